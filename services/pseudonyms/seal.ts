import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';
import type { HmacKey } from '#kernel';

/**
 * The primitives of the vault, and the one form in which it writes a sealed value:
 *
 *   format (1) | version of the school's key (2) | version of the learner's secret (2) | nonce (12) | ciphertext | tag (16)
 *
 * A version of 0 means that no such key takes part. Both versions stand in every value, so that keys can be renewed one
 * value at a time, without another form.
 */
const FORMAT = 1;
const HEADER = 5;
const NONCE = 12;
const TAG = 16;
/** Bytes that sealing adds. */
export const SEAL_OVERHEAD = HEADER + NONCE + TAG;

export interface Versions {
  school: number;
  learner: number;
}

/** What a value is and where it belongs; the same words must be given to open it. The versions are added to them. */
export type Place = readonly (string | number)[];

const options = { authTagLength: TAG };

const additional = (place: Place, versions: Versions): Buffer =>
  Buffer.from(JSON.stringify([FORMAT, versions.school, versions.learner, ...place]));

/** AES-256-GCM under a random nonce. The place is authenticated, not written. */
export function seal(key: KeyObject, versions: Versions, place: Place, value: Uint8Array | string): Buffer {
  const plain = typeof value === 'string' ? Buffer.from(value) : value;
  const sealed = Buffer.allocUnsafe(SEAL_OVERHEAD + plain.length);
  sealed[0] = FORMAT;
  sealed.writeUInt16BE(versions.school, 1);
  sealed.writeUInt16BE(versions.learner, 3);
  const nonce = sealed.subarray(HEADER, HEADER + NONCE);
  randomInto(nonce);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, options);
  cipher.setAAD(additional(place, versions));
  sealed.set(cipher.update(plain), HEADER + NONCE);
  cipher.final();
  sealed.set(cipher.getAuthTag(), sealed.length - TAG);
  return sealed;
}

/** The versions a sealed value names; undefined when it is no sealed value of a form we know. */
export function versionsOf(sealed: Uint8Array): Versions | undefined {
  if (sealed.length < SEAL_OVERHEAD || sealed[0] !== FORMAT) return undefined;
  return { school: (sealed[1]! << 8) | sealed[2]!, learner: (sealed[3]! << 8) | sealed[4]! };
}

/** The value, or undefined when key, place or bytes are not those it was sealed with. */
export function open(key: KeyObject, place: Place, sealed: Uint8Array): Buffer | undefined {
  const versions = versionsOf(sealed);
  if (!versions) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(HEADER, HEADER + NONCE), options);
  decipher.setAAD(additional(place, versions));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  const value = decipher.update(sealed.subarray(HEADER + NONCE, sealed.length - TAG));
  try {
    decipher.final();
  } catch {
    return undefined; // A wrong tag says nothing but "not this"; the caller decides whether that is a fault.
  }
  return value;
}

/**
 * HMAC-SHA-256 over a label and what it is about. The label comes from our code and holds no zero byte, so that two
 * labels never meet, whatever the value. 32 bytes.
 */
export const mac = (key: HmacKey, label: string, value: Uint8Array | string): Buffer => key.digest(label, '\0', value);

/** The first 16 bytes of `mac` as 16 Latin-1 characters: small to hold as the key of a Map. */
export const shortMac = (key: HmacKey, label: string, value: string): string =>
  mac(key, label, value).toString('latin1', 0, 16);

export const bytesOf = (latin1: string): Buffer => Buffer.from(latin1, 'latin1');
export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** A key as node:crypto works with it; several times faster than raw bytes where it is used at once. */
export const keyOf = (bytes: Uint8Array): KeyObject => createSecretKey(bytes);

const pool = Buffer.alloc(8192);
let used = pool.length;
/** Random bytes, drawn from the system a page at a time and wiped from the page as they are handed out. */
function randomInto(target: Uint8Array): void {
  if (used + target.length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  pool.copy(target, 0, used, used + target.length);
  pool.fill(0, used, used + target.length);
  used += target.length;
}

/** Random bytes in memory of their own, so that a secret can be wiped. */
export function random(length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  randomInto(bytes);
  return bytes;
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const values = new Uint8Array(128).fill(255);
for (let i = 0; i < 32; i++) values[ALPHABET.charCodeAt(i)] = i;
/** Back to 16 bytes; undefined for what `base32` never gives. */
export function bytesOfBase32(text: string): Buffer | undefined {
  if (text.length !== 26) return undefined;
  const bytes = Buffer.allocUnsafe(16);
  let held = 0;
  let bits = 0;
  for (let i = 0, at = 0; i < 26; i++) {
    const value = values[text.charCodeAt(i)] ?? 255;
    if (value === 255) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >>> bits;
      held &= (1 << bits) - 1;
    }
  }
  // Two bits are left over, and are zero in what was made here.
  return held === 0 ? bytes : undefined;
}

/** 16 bytes as 26 characters of lower-case base32 (RFC 4648 §6, without padding). */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes.subarray(0, 16)) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >>> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text + ALPHABET[(held << (5 - bits)) & 31];
}
