export type { RevealCount } from './calls.ts';
export {
  type ForgottenList,
  forgottenInDatabase,
  forgottenInFile,
  makeVaultFile,
  makeVaultTables,
  VAULT_DROPPED,
  VAULT_SETTLED,
  VAULT_THERE,
  vaultPostgresWays,
  vaultSqliteWays,
  vaultTables,
} from './copy.ts';
export { MasterSource, makeHeldKey, readAtStart } from './custody.ts';
export { type Holders, holdersOver, problemWithKeyAddress, problemWithOwnAddress } from './holder.ts';
export {
  devKeyFile,
  findMasterKey,
  type HeldKey,
  heldKeyText,
  type MasterKeyFile,
  type MasterKeySettings,
  nextKeyFile,
  readKeyFile,
  readMasterKey,
} from './master.ts';
export { openPostgresVault, type PostgresVaultOptions } from './postgres/vault.ts';
export { startVaultThread, type VaultThread } from './spawn.ts';
export { openVault, type Vault, type VaultOptions } from './vault.ts';
