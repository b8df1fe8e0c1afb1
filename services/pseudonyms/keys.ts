import { hkdfSync, type KeyObject } from 'node:crypto';
import { HmacKey } from '#kernel';
import { keyOf, mac } from './seal.ts';

/**
 * The top of the key hierarchy: everything that comes straight from the master key, by HKDF-SHA-256 under the vault's own
 * random id and a label each. The master key itself seals nothing and is not kept: it may be wiped once this has been made.
 */
export interface MasterKeys {
  /** Says whether this is the key the vault was made under; says nothing about the key. */
  readonly check: Buffer;
  /** Wraps the data keys of one school. */
  wrapping(schoolOin: string): KeyObject;
  /**
   * The first key of a school for pairwise pseudonyms. Made, not drawn: a backup from before the school had one gives the
   * same one again, and what a receiver has once been shown stays.
   */
  pairwise(schoolOin: string): Buffer;
  /** 32 bytes each, for the doors. */
  readonly digestKey: Buffer;
  readonly cursorKey: Buffer;
  readonly tokenKey: Buffer;
}

/** How keys wrapped by this master key are marked. A renewed or school-held key gets a name of its own. */
export const WRAPPED_BY = 'master:1';

export function masterKeys(master: Uint8Array, vaultId: Uint8Array): MasterKeys {
  const derive = (label: string): Buffer => Buffer.from(hkdfSync('sha256', master, vaultId, `eduk vault ${label}`, 32));
  const schools = new HmacKey(derive('schools 1'));
  const pairwise = derive('pairwise 1');
  return {
    check: mac(new HmacKey(derive('check 1')), 'check', vaultId),
    wrapping: (schoolOin) => keyOf(mac(schools, WRAPPED_BY, schoolOin)),
    pairwise: (schoolOin) => Buffer.from(hkdfSync('sha256', pairwise, vaultId, `eduk vault pairwise ${schoolOin}`, 32)),
    digestKey: derive('door digest 1'),
    cursorKey: derive('door cursor 1'),
    tokenKey: derive('door token 1'),
  };
}

/** The data keys of a school: random but for `pairwise`, one for each use, each with versions of its own. */
export const purposes = [
  /** HMAC: finds a number without holding it. */
  'index',
  /** The three tables. */
  'numbers',
  'names',
  'contact',
  /** Text a school wrote, and the tokens for it. */
  'texts',
  'text_tokens',
  /** What concerns no learner. */
  'payloads',
  'salts',
  /** Wraps the secrets of learners. */
  'learners',
  /** Pseudonyms of one receiver each; keys of receivers are made from it. */
  'pairwise',
] as const;
export type Purpose = (typeof purposes)[number];
