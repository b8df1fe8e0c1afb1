import { hash } from 'node:crypto';

/**
 * SHA-256 as 32 Latin-1 characters. As bytes it would be memory outside the heap for each digest, which costs more than the
 * digest itself and has to be swept.
 */
export const sha256 = (data: Uint8Array | string): string => hash('sha256', data, 'binary');

const BLOCK = 64;
/** Where messages are put together; a longer one gets memory of its own. Wiped after each use: the key stands before it. */
const desk = Buffer.alloc(4096);
/** Where the second digest is made. Wiped too. */
const last = Buffer.alloc(BLOCK + 32);
/** `fill` of a Buffer looks at encodings first. */
const wipe = (bytes: Uint8Array, end: number): void => void Uint8Array.prototype.fill.call(bytes, 0, 0, end);

/**
 * HMAC-SHA-256 (RFC 2104) from two one-shot digests. `createHmac` with a key of bytes makes a key object at each call, which
 * costs five times the digest itself; where a key serves many messages this is what the doors and the vault use.
 */
export class HmacKey {
  // Arrays of 64 bytes stand in the heap; larger ones would be memory outside it, and some keys serve one message only.
  readonly #inner = new Uint8Array(BLOCK).fill(0x36);
  readonly #outer = new Uint8Array(BLOCK).fill(0x5c);

  /** `key` is at most 64 bytes; ours have 16 or 32. */
  constructor(key: Uint8Array) {
    if (key.length > BLOCK) throw new RangeError('A key of HMAC-SHA-256 here has at most 64 bytes.');
    for (let i = 0; i < key.length; i++) {
      this.#inner[i]! ^= key[i]!;
      this.#outer[i]! ^= key[i]!;
    }
  }

  /** 32 bytes, of the parts one after the other. Text is UTF-8. */
  digest(...parts: readonly (string | Uint8Array)[]): Buffer {
    let most = BLOCK;
    // A character of text takes three bytes at most.
    for (const part of parts) most += typeof part === 'string' ? part.length * 3 : part.length;
    const on = most <= desk.length ? desk : Buffer.alloc(most);
    on.set(this.#inner);
    let end = BLOCK;
    for (const part of parts)
      if (typeof part === 'string') end += on.write(part, end);
      else {
        on.set(part, end);
        end += part.length;
      }
    last.set(this.#outer);
    last.write(sha256(on.subarray(0, end)), BLOCK, 'latin1');
    wipe(on, end);
    const digest = sha256(last);
    wipe(last, last.length);
    return Buffer.from(digest, 'latin1');
  }
}
