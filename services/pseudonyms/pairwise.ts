import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  type Decipheriv,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { base32, bytesOfBase32 } from './seal.ts';

/**
 * Pseudonyms of one receiver: the token of a person or text, encrypted under a key of this school, this receiver and this
 * kind. A token is 16 random bytes, or a keyed digest of as many, so one block of AES is all it takes: two tokens never share
 * a pseudonym, whoever has no key sees random bytes, and whoever has it reads the token back, without a table.
 */
export class Pseudonyms {
  /** Before the 26 characters. */
  readonly #head: string;
  readonly #prefix: string;
  readonly #cipher: Cipheriv;
  readonly #decipher: Decipheriv;

  /** `key` is the school's key for pairwise pseudonyms, of this version; `renewed`: how often those of this receiver were renewed. */
  constructor(key: KeyObject, version: number, school: string, party: string, kind: Pseudonymous, renewed = 0) {
    this.#head = `pw${version}${renewed > 0 ? `r${renewed}` : ''}-`;
    this.#prefix = prefixes[kind];
    const label = `eduk pairwise ${kind} ${school} ${party}${renewed > 0 ? ` ${renewed}` : ''}`;
    const own = Buffer.from(hkdfSync('sha256', key, '', label, 32));
    // Each block stands for itself, so one cipher serves for all of them and is never ended.
    this.#cipher = createCipheriv('aes-256-ecb', own, null).setAutoPadding(false);
    this.#decipher = createDecipheriv('aes-256-ecb', own, null).setAutoPadding(false);
    own.fill(0);
  }

  /** `pw`, the version of the key, `r` and how often they were renewed, `-`, 26 characters. */
  of(token: string): string {
    const bytes = bytesOfBase32(token.slice(this.#prefix.length));
    if (!bytes || !token.startsWith(this.#prefix)) throw new TypeError('This is no token of this kind.');
    return this.#head + base32(this.#cipher.update(bytes));
  }

  /** The token, if the 26 characters are a pseudonym of this receiver; any others give a token that nobody has. */
  tokenOf(characters: string): string | undefined {
    const bytes = bytesOfBase32(characters);
    return bytes && this.#prefix + base32(this.#decipher.update(bytes));
  }
}

/** What has pseudonyms. */
export type Pseudonymous = 'learner' | 'staff' | 'text';
const prefixes: Record<Pseudonymous, string> = { learner: 'lt_', staff: 'st_', text: 'tx_' };

const FORM = /^(?:urn:eduk:)?pw([1-9]\d{0,4})(?:r([1-9]\d{0,3}))?-([a-z2-7]{26})$/;

/** In the place of an ECK iD a pseudonym is a URI, as an ECK iD is one, and of another form, so that nobody takes it for one. */
export const asUri = (pseudonym: string): string => `urn:eduk:${pseudonym}`;

/** Version, renewals and characters of a text that has the form of a pseudonym, which no number or text of a school has. */
export function readPseudonym(text: string): { version: number; renewed: number; characters: string } | undefined {
  const m = FORM.exec(text);
  return m ? { version: Number(m[1]), renewed: Number(m[2] ?? 0), characters: m[3]! } : undefined;
}
