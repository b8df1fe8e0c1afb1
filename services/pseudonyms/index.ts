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
export {
  devKeyFile,
  findMasterKey,
  type MasterKeyFile,
  type MasterKeySettings,
  nextKeyFile,
  readMasterKey,
  readNextKey,
} from './master.ts';
export { openPostgresVault, type PostgresVaultOptions } from './postgres/vault.ts';
export { startVaultThread, type VaultThread } from './spawn.ts';
export { openVault, type Vault, type VaultOptions } from './vault.ts';
