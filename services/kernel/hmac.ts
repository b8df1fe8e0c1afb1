import { hash } from 'node:crypto';

/**
 * HMAC-SHA-256 (RFC 2104) from two one-shot digests. `createHmac` with a key of bytes makes a key object at each call, which
 * costs five times the digest itself; where a key serves many messages this is what the doors and the vault use.
 */
export class HmacKey {
  readonly #inner = new Uint8Array(64).fill(0x36);
  readonly #outer = new Uint8Array(96).fill(0x5c, 0, 64);

  /** `key` is at most 64 bytes; ours have 16 or 32. */
  constructor(key: Uint8Array) {
    if (key.length > 64) throw new RangeError('A key of HMAC-SHA-256 here has at most 64 bytes.');
    for (const [i, byte] of key.entries()) {
      this.#inner[i]! ^= byte;
      this.#outer[i]! ^= byte;
    }
  }

  /** 32 bytes, of the parts one after the other. Text is UTF-8. */
  digest(...parts: readonly (string | Uint8Array)[]): Buffer {
    return this.#finish(
      Buffer.concat([this.#inner, ...parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))]),
    );
  }

  #finish(message: Uint8Array): Buffer {
    this.#outer.set(hash('sha256', message, 'buffer'), 64);
    return hash('sha256', this.#outer, 'buffer');
  }
}
