import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { GatewayError } from '#kernel';

/** Cursors: opaque, authenticated, valid for one party and one list. AES-256-GCM under a key that all replicas share. */
export class Cursors {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(party: string, of: string, at: string): string {
    if (at === '') return '';
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(`1|${party}|${of}`));
    return Buffer.concat([
      Uint8Array.of(1),
      nonce,
      cipher.update(at, 'utf8'),
      cipher.final(),
      cipher.getAuthTag(),
    ]).toString('base64url');
  }

  /** Empty → empty: from the start. A cursor of another party or list is no cursor. */
  open(party: string, of: string, text: string): string {
    if (text === '') return '';
    const cursor = Buffer.from(text, 'base64url');
    const bad = () =>
      new GatewayError('wire.invalid', 'This is no cursor of yours for this list.', { where: 'cursor' });
    if (cursor[0] !== 1 || cursor.length < 30 || cursor.length > 2_000) throw bad();
    const decipher = createDecipheriv('aes-256-gcm', this.#key, cursor.subarray(1, 13)).setAAD(
      Buffer.from(`1|${party}|${of}`),
    );
    decipher.setAuthTag(cursor.subarray(-16));
    try {
      return Buffer.concat([decipher.update(cursor.subarray(13, -16)), decipher.final()]).toString('utf8');
    } catch {
      throw bad(); // The tag does not fit: forged, or of someone else.
    }
  }
}
