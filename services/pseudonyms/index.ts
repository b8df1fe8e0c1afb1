export { devKeyFile, findMasterKey, type MasterKeyFile, type MasterKeySettings, readMasterKey } from './master.ts';
export { startVaultThread, type VaultThread } from './spawn.ts';
export { openVault, type RevealCount, type Vault, type VaultOptions } from './vault.ts';
