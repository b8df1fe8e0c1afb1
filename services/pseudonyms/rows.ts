import type { Purpose } from './keys.ts';

/**
 * What the vault asks of a database, and all it asks: rows by their keys, and a few kinds of writes. Everything above this
 * line (`shelf.ts`, `people.ts`, `forgetting.ts`) is synchronous and the same for every database. SQLite (`sqlite.ts`)
 * answers at once. PostgreSQL (`postgres/image.ts`) answers from rows that were loaded beforehand; for one that was not it
 * answers `undefined`, remembers it, and the run counts for nothing: it is done again when the rows are there.
 */
export interface Rows {
  school(oin: string): SchoolRow | undefined;
  /** Where a number leads; never to someone who was forgotten. */
  learnerByHash(school: number, hash: string): LearnerRow | undefined;
  /** Also of someone who was forgotten. */
  learnerByToken(school: number, token: string): LearnerRow | undefined;
  /** What was linked, in order. */
  numbers(school: number, learner: number): readonly NumbersRow[];
  names(school: number, learner: number): readonly NamesRow[];
  particulars(part: Part, school: number, learner: number): Uint8Array | undefined;
  text(school: number, token: string): TextRow | undefined;
  /**
   * Every write stands behind this: it opens the transaction, or, where a row was missing, throws `MISSING`, so that
   * nothing is made and sealed in a run that counts for nothing.
   */
  readonly write: Writes;
  /** Whether a row was asked for that is not loaded: then what this run says is not so. Always false for SQLite. */
  readonly missing: boolean;
}

export interface Writes {
  addSchool(oin: string, keys: readonly SchoolKeyRow[]): number;
  /** Inserts or replaces. */
  putSchoolKeys(school: number, keys: readonly SchoolKeyRow[]): void;
  dropSchoolKeys(school: number, keys: readonly Pick<SchoolKeyRow, 'purpose' | 'version'>[]): void;
  nameSector(school: number, sector: string): void;
  addSector(school: number, sector: string): void;
  addLearner(school: number, row: Pick<LearnerRow, 'token' | 'kind' | 'secretVersion' | 'wrapped'>): number;
  addLookup(school: number, hash: string, learner: number, keyVersion: number): void;
  /** Another hash leads to the same learner, and this one to nobody. */
  moveLookup(school: number, from: string, to: string, learner: number, keyVersion: number): void;
  /** The same secret under another key. */
  putSecret(school: number, learner: number, wrapped: Uint8Array): void;
  /** Inserts or replaces. */
  putNumbers(school: number, learner: number, row: NumbersRow): void;
  /** Inserts or replaces. */
  putNames(school: number, learner: number, row: NamesRow): void;
  putParticulars(
    part: Part,
    school: number,
    learner: number,
    content: string,
    sealed: Uint8Array,
    touchedMs: number,
  ): void;
  /** The same content under another key. */
  resealParticulars(part: Part, school: number, learner: number, sealed: Uint8Array): void;
  /** Inserts or replaces. */
  putText(school: number, row: TextRow): void;
  dropText(school: number, token: string): void;
  /** Names of every mark, birth date, gender and contact. */
  dropNames(school: number, learner: number): void;
  /** Undefined = not after all. */
  setWaiting(school: number, learner: number, atMs: number | undefined): void;
  /** The first leads to the second; undefined = to itself again. */
  setMerged(school: number, learner: number, winner: number | undefined): void;
  /** Everything but the token goes: secret, index, all rows. */
  destroy(school: number, learner: Pick<LearnerRow, 'id' | 'token'>, hashes: readonly string[], nowMs: number): void;
}

export type Kind = 'learner' | 'staff';
/** Birth date and gender rest in `births`, e-mail and account name in `contact`. */
export type Part = 'birth' | 'contact';

export interface SchoolKeyRow {
  purpose: Purpose;
  version: number;
  /** Name of the `Wrapper`. */
  wrappedBy: string;
  wrapped: Uint8Array;
  /** From when it is used. */
  madeMs: number;
}

export interface SchoolRow {
  id: number;
  firstSector: string | undefined;
  sectors: readonly string[];
  /** Oldest version first. */
  keys: readonly SchoolKeyRow[];
  /** Changes with each change to anything of the school; empty where nobody else can change it. */
  version: string;
}

export interface LearnerRow {
  id: number;
  token: string;
  kind: Kind;
  secretVersion: number;
  wrapped: Uint8Array | undefined;
  /** Of the newest names, and of what stands in `births` and `contact`; empty = none. 16 Latin-1 characters. */
  mark: string;
  birth: string;
  contact: string;
  hasEckId: boolean;
  /** When it is to be forgotten, unless that is taken back. */
  waitsMs: number | undefined;
  /** Token of the learner whose second token this is. */
  mergedInto: string | undefined;
  /** Tokens of the same learner that lead here. */
  merged: readonly string[];
  forgotten: boolean;
}

/** What one message linked: an ECK iD, a key, or both, with the hashes under which they stand in `lookups`. */
export interface NumbersRow {
  ordinal: number;
  eckId: string | undefined;
  lasKey: string | undefined;
  sealed: Uint8Array;
}

export interface NamesRow {
  mark: string;
  /** The highest is the newest. */
  rank: number;
  touchedMs: number;
  sealed: Uint8Array;
}

export interface TextRow {
  token: string;
  keyVersion: number;
  touchedMs: number;
  sealed: Uint8Array;
}

/** Thrown by a write in a run that misses a row. One object: it is thrown often and says nothing. */
export const MISSING: unique symbol = Symbol('a row is not loaded');

/**
 * `work` for each item. An item that cannot go on for want of a row does not keep the others from naming what they want, so
 * that all of it is loaded in one go.
 */
export function each<T, R>(items: readonly T[], work: (item: T, index: number) => R): R[] {
  const results: R[] = [];
  let missing = false;
  for (const [index, item] of items.entries())
    try {
      results.push(work(item, index));
    } catch (thrown) {
      if (thrown !== MISSING) throw thrown;
      missing = true;
    }
  if (missing) throw MISSING;
  return results;
}
