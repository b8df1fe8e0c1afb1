/** What a browser or a row keeps for the console: nobody reads it, or makes it, without the operator's key. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const NONCE = 12;
const TAG = 16;

export class Seals {
  readonly #operatorKey: string;

  /** The same at all doors. */
  constructor(operatorKey: string) {
    this.#operatorKey = operatorKey;
  }

  /** `salt`: something that is not kept beside it, or empty. */
  seal(purpose: string, salt: string, value: object): Uint8Array {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', this.#key(purpose, salt), nonce, { authTagLength: TAG });
    const text = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), text]);
  }

  /** Undefined = it was not sealed for this, or not here. */
  open(purpose: string, salt: string, sealed: Uint8Array): unknown {
    if (sealed.length < NONCE + TAG) return undefined;
    const nonce = sealed.subarray(0, NONCE);
    const cipher = createDecipheriv('aes-256-gcm', this.#key(purpose, salt), nonce, { authTagLength: TAG });
    cipher.setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
    try {
      return JSON.parse(Buffer.concat([cipher.update(sealed.subarray(NONCE + TAG)), cipher.final()]).toString('utf8'));
    } catch {
      // Of another key, or changed: it is none.
      return undefined;
    }
  }

  #key(purpose: string, salt: string): Uint8Array {
    return new Uint8Array(hkdfSync('sha256', this.#operatorKey, salt, `eduk console ${purpose}`, 32));
  }
}
