import { existsSync, statSync } from 'node:fs';

/** What a start finds on this machine. The same places as the gateway's own; nothing here reads a key. */

export interface KeyPlace {
  file: string;
  devKey: boolean;
}

/** The file with the master key: the named one, else the development key beside the data folder. */
export const masterKeyFile = (config: { EDUK_DATA: string; EDUK_MASTER_KEY_FILE?: string | undefined }): KeyPlace =>
  config.EDUK_MASTER_KEY_FILE === undefined
    ? { file: `${config.EDUK_DATA.replace(/[/\\]+$/, '')}.dev.key`, devKey: true }
    : { file: config.EDUK_MASTER_KEY_FILE, devKey: false };

/** Permission bits that others than the owner have; 0 where the system knows none. */
export function openToOthers(path: string): number {
  return process.platform === 'win32' || !existsSync(path) ? 0 : statSync(path).mode & 0o077;
}

export const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8).padStart(4, '0');
