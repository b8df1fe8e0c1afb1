export type { RevealCount } from './calls.ts';
export { devKeyFile, findMasterKey, type MasterKeyFile, type MasterKeySettings, readMasterKey } from './master.ts';
export { openPostgresVault, type PostgresVaultOptions } from './postgres/vault.ts';
export { startVaultThread, type VaultThread } from './spawn.ts';
export { openVault, type Vault, type VaultOptions } from './vault.ts';
