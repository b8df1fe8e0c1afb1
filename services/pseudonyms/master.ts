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
import { problemWithOwnAddress } from './holder.ts';

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
    readKeyFile(keyFile);
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

/** A master key that somebody else holds: what we have of it, and where it is opened. */
export interface HeldKey {
  /** The key that wraps it. */
  address: string;
  /** File with what lets us in there. */
  tokenFile: string;
  wrapped: string;
}

const HELD = 'eduk master key, held elsewhere';
const HELD_LINES = /^address: (\S+)\ntoken-file: ([^\n]+)\nwrapped: (\S+)$/;

/** The text of a file for a master key that is held elsewhere. */
export const heldKeyText = ({ address, tokenFile, wrapped }: HeldKey): string =>
  `${HELD}\naddress: ${address}\ntoken-file: ${tokenFile}\nwrapped: ${wrapped}\n`;

/** 32 bytes from a file of 64 hexadecimal digits that only its owner can read. Throws `ConfigError`, never with content. */
export function readMasterKey(file: string): Uint8Array {
  const key = readKeyFile(file);
  if (key instanceof Uint8Array) return key;
  throw new ConfigError([`the master key ${file} is held elsewhere, and is not in the file`]);
}

/** The master key, or where it is held. Throws `ConfigError`, never with content. */
export function readKeyFile(file: string): Uint8Array | HeldKey {
  const text = readOwn(file, 'the master key');
  if (text.startsWith(`${HELD}\n`)) {
    const [, address, tokenFile, wrapped] = HELD_LINES.exec(text.slice(HELD.length + 1)) ?? [];
    if (!address || !tokenFile || !wrapped || problemWithOwnAddress(address))
      throw new ConfigError([`the master key ${file} is held elsewhere, and the file does not say where`]);
    return { address, tokenFile, wrapped };
  }
  if (!/^[0-9a-fA-F]{64}$/.test(text))
    throw new ConfigError([
      `the master key ${file} must hold 32 bytes as 64 hexadecimal digits and nothing else, or be what eduk key make wrote`,
    ]);
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** What lets us in at the holder of a key: the one line of a file that only its owner can read. Throws `ConfigError`. */
export function readHolderToken(file: string): string {
  const token = readOwn(file, 'the token for the holder of a key');
  if (!/^[\x21-\x7e]{1,4096}$/.test(token))
    throw new ConfigError([`the token for the holder of a key ${file} must be one line without spaces`]);
  return token;
}

/** The text of a file that nobody else can read. */
function readOwn(file: string, what: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    throw new ConfigError([`${what} ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`]);
  }
  try {
    const { mode } = fstatSync(descriptor);
    // Windows has no such mode; there the folder's rights decide.
    if (process.platform !== 'win32' && (mode & 0o777 & ~0o600) !== 0)
      throw new ConfigError([
        `${what} ${file} can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}); it must be 0600 or stricter`,
      ]);
    return readFileSync(descriptor, 'latin1').trim();
  } finally {
    closeSync(descriptor);
  }
}

/** Beside the master key: the one that is to follow it, until that takes its place. */
export const nextKeyFile = (file: string): string => `${file}.next`;
