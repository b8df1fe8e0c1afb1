import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { ConfigError } from '#kernel';

/** Where the master key rests. Only the vault's own thread or process reads it. */
export interface MasterKeyFile {
  file: string;
  /** True for the key that the first start on loopback makes. Such data may listen on no other address. */
  devKey: boolean;
  /** True when it was made just now. */
  made: boolean;
}

export interface MasterKeySettings {
  /** EDUK_DATA. */
  data: string;
  /** EDUK_MASTER_KEY_FILE, where set. */
  keyFile: string | undefined;
  /** Whether every listener is on loopback. */
  loopback: boolean;
  /** The vault's database; a key is never made for one that exists. */
  vaultFile: string;
}

/** `.eduk` → `.eduk.dev.key`: beside the data folder, so that no copy or backup of the folder holds it. */
export const devKeyFile = (data: string): string => `${data.replace(/[/\\]+$/, '')}.dev.key`;

/**
 * The file with the master key: the one that was named, or on loopback the development key, which is made on the first
 * start. Throws `ConfigError` in words for the operator.
 */
export function findMasterKey({ data, keyFile, loopback, vaultFile }: MasterKeySettings): MasterKeyFile {
  if (keyFile !== undefined) {
    readMasterKey(keyFile);
    return { file: keyFile, devKey: false, made: false };
  }
  if (!loopback)
    throw new ConfigError([
      'EDUK_MASTER_KEY_FILE is needed: a listener is not on loopback, where no development key is made',
    ]);
  const file = devKeyFile(data);
  if (existsSync(file)) {
    readMasterKey(file);
    return { file, devKey: true, made: false };
  }
  if (existsSync(vaultFile))
    throw new ConfigError([
      `${file} is gone, and ${vaultFile} cannot be opened without it; put it back, or name the key with EDUK_MASTER_KEY_FILE`,
    ]);
  // Of two first starts at once one makes the key, and the other finds it whole.
  const made = `${file}.${process.pid}.new`;
  const descriptor = openSync(made, 'wx', 0o600);
  try {
    writeSync(descriptor, `${randomBytes(32).toString('hex')}\n`);
    fsyncSync(descriptor);
    linkSync(made, file);
    return { file, devKey: true, made: true };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    readMasterKey(file);
    return { file, devKey: true, made: false };
  } finally {
    closeSync(descriptor);
    rmSync(made, { force: true });
  }
}

/** 32 bytes from a file of 64 hexadecimal digits that only its owner can read. Throws `ConfigError`, never with content. */
export function readMasterKey(file: string): Uint8Array {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    throw new ConfigError([`the master key ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`]);
  }
  try {
    const { mode } = fstatSync(descriptor);
    // Windows has no such mode; there the folder's rights decide.
    if (process.platform !== 'win32' && (mode & 0o777 & ~0o600) !== 0)
      throw new ConfigError([
        `the master key ${file} can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}); it must be 0600 or stricter`,
      ]);
    const text = readFileSync(descriptor, 'latin1').trim();
    if (!/^[0-9a-fA-F]{64}$/.test(text))
      throw new ConfigError([`the master key ${file} must hold 32 bytes as 64 hexadecimal digits and nothing else`]);
    return Uint8Array.from(Buffer.from(text, 'hex'));
  } finally {
    closeSync(descriptor);
  }
}

/** Beside the master key: the one that is to follow it, until that takes its place. */
export const nextKeyFile = (file: string): string => `${file}.next`;

/** The master key that is to follow, 32 bytes; undefined where there is none. Throws `ConfigError`, never with content. */
export const readNextKey = (file: string): Uint8Array | undefined =>
  existsSync(nextKeyFile(file)) ? readMasterKey(nextKeyFile(file)) : undefined;
