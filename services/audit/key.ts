/** The key that signs heads: a file of its own, which no backup and no move takes along. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, ConfigError, readSettingFile } from '#kernel';

/** Its place in the data folder. */
const NAME = 'log.key';

/**
 * Of EDUK_LOG_KEY_FILE, else of the data folder, where the first start makes it (mode 0600). Throws `ConfigError`, never with what
 * the file holds.
 */
export function logKey(config: Config): KeyObject {
  const named = config.EDUK_LOG_KEY_FILE;
  const file = named ?? join(config.EDUK_DATA, NAME);
  if (named === undefined && !existsSync(file)) make(file);
  const pem = named === undefined ? readFileSync(file) : readSettingFile(config, 'EDUK_LOG_KEY_FILE');
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0)
    throw new ConfigError([
      `${named === undefined ? file : 'EDUK_LOG_KEY_FILE names a file that'} can be read by others; it must be 0600 or stricter`,
    ]);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below: what OpenSSL says of it may quote it.
  }
  throw new ConfigError([
    `${named === undefined ? file : 'EDUK_LOG_KEY_FILE'} does not hold an Ed25519 key (PEM, PKCS #8): openssl genpkey -algorithm ed25519 makes one`,
  ]);
}

/** Of several processes that start at once on one folder, one makes it, and none sees it half written. */
function make(file: string): void {
  const written = `${file}.${process.pid}`;
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(written, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  chmodSync(written, 0o600);
  try {
    linkSync(written, file);
  } catch (thrown) {
    if ((thrown as { code?: string }).code !== 'EEXIST') throw thrown;
  } finally {
    rmSync(written);
  }
}
