import {
  type LearnerRow,
  MISSING,
  type NamesRow,
  type NumbersRow,
  type Part,
  type Rows,
  type SchoolKeyRow,
  type SchoolRow,
  type TextRow,
  type Writes,
} from '../rows.ts';

/** By what a row is found: one letter for the kind of row, then the rest. */
type Key = string;
const byHash = (hash: string): Key => `h${hash}`;
const byToken = (token: string): Key => `t${token}`;
const numbersOf = (learner: number): Key => `n${learner}`;
const namesOf = (learner: number): Key => `m${learner}`;
const particularsOf = (part: Part, learner: number): Key => `${part === 'birth' ? 'b' : 'c'}${learner}`;
const textOf = (token: string): Key => `x${token}`;

/** Rows by school, then by key. What is held as `undefined` is known not to exist. */
class BySchool {
  readonly #schools = new Map<number, Map<Key, unknown>>();
  of(school: number): Map<Key, unknown> {
    let rows = this.#schools.get(school);
    if (!rows) {
      rows = new Map();
      this.#schools.set(school, rows);
    }
    return rows;
  }
  drop(school: number): void {
    this.#schools.delete(school);
  }
  clear(): void {
    this.#schools.clear();
  }
}

/** What a run asked for and did not find loaded. */
export interface Wanted {
  schools: Set<string>;
  hashes: Map<string, { school: number; hash: string }>;
  tokens: Map<string, { school: number; token: string }>;
  /** Learner → school, each. */
  numbers: Map<number, number>;
  names: Map<number, number>;
  birth: Map<number, number>;
  contact: Map<number, number>;
  texts: Map<string, { school: number; token: string }>;
  /** How many new ids. */
  ids: number;
}
const nothing = (): Wanted => ({
  schools: new Set(),
  hashes: new Map(),
  tokens: new Map(),
  numbers: new Map(),
  names: new Map(),
  birth: new Map(),
  contact: new Map(),
  texts: new Map(),
  ids: 0,
});

/** What was loaded for what was wanted; what is wanted and not here does not exist. */
export interface Loaded {
  schools: (SchoolRow & { oin: string })[];
  byHash: (LearnerRow & { school: number; hash: string })[];
  byToken: (LearnerRow & { school: number })[];
  numbers: (NumbersRow & { learner: number })[];
  names: (NamesRow & { learner: number })[];
  birth: { learner: number; sealed: Uint8Array }[];
  contact: { learner: number; sealed: Uint8Array }[];
  texts: (TextRow & { school: number })[];
  ids: number[];
}

/** What a run wrote, as it is to be saved. Upserts by key: the last one counts. */
export interface Changes {
  /** Schools of which something is written; new ones too. */
  dirty: Set<number>;
  schools: { id: number; oin: string }[];
  schoolKeys: (SchoolKeyRow & { school: number })[];
  droppedSchoolKeys: { school: number; purpose: string; version: number }[];
  firstSectors: { school: number; sector: string }[];
  sectors: { school: number; sector: string }[];
  learners: { school: number; id: number; token: string; kind: string; secretVersion: number }[];
  secrets: Map<number, Uint8Array>;
  lookups: Map<string, { school: number; hash: string; learner: number; keyVersion: number }>;
  numbers: Map<string, NumbersRow & { learner: number }>;
  names: Map<string, NamesRow & { learner: number }>;
  birth: Map<number, { content: string; sealed: Uint8Array }>;
  contact: Map<number, { content: string; sealed: Uint8Array; touchedMs: number }>;
  /** Particulars whose content stays. */
  resealed: Record<Part, Map<number, Uint8Array>>;
  texts: Map<string, TextRow & { school: number }>;
  waiting: Map<number, number | undefined>;
  /** Learner → whose token it is; undefined = its own. */
  merged: Map<number, number | undefined>;
  destroyed: { school: number; learner: number; nowMs: number }[];
  droppedLookups: { school: number; hash: string; learner: number }[];
  droppedTexts: { school: number; token: string }[];
  /** Learners whose names, birth dates and contact go, before anything of theirs is saved anew. */
  namesDropped: Set<number>;
}
const unchanged = (): Changes => ({
  dirty: new Set(),
  schools: [],
  schoolKeys: [],
  droppedSchoolKeys: [],
  firstSectors: [],
  sectors: [],
  learners: [],
  secrets: new Map(),
  lookups: new Map(),
  numbers: new Map(),
  names: new Map(),
  birth: new Map(),
  contact: new Map(),
  resealed: { birth: new Map(), contact: new Map() },
  texts: new Map(),
  waiting: new Map(),
  merged: new Map(),
  destroyed: [],
  droppedLookups: [],
  droppedTexts: [],
  namesDropped: new Set(),
});

/** How many ids are loaded at least where some are wanting. */
const IDS = 100;

/** Somebody who was forgotten in the run that is going on. */
const TOMBSTONE: Omit<LearnerRow, 'id' | 'token'> = {
  kind: 'learner',
  secretVersion: 0,
  wrapped: undefined,
  mark: '',
  birth: '',
  contact: '',
  hasEckId: false,
  waitsMs: undefined,
  mergedInto: undefined,
  merged: [],
  forgotten: true,
};

/**
 * Rows of a PostgreSQL database as rows that never wait: those that were loaded for the calls that are being answered, with
 * what these calls wrote over them. It is emptied with each group of calls; what lasts longer is the shelf's.
 */
export class Image implements Rows, Writes {
  readonly #schools = new Map<string, SchoolRow | undefined>();
  readonly #loaded = new BySchool();
  readonly #written = new BySchool();
  /** Ids nobody has; the first `#taken` are given away in this run. */
  #ids: number[] = [];
  #taken = 0;
  /** Schools that this run has made. */
  readonly #made = new Set<number>();
  wanted = nothing();
  changes = unchanged();
  missing = false;

  get write(): this {
    if (this.missing) throw MISSING;
    return this;
  }

  get writing(): boolean {
    return this.changes.dirty.size > 0;
  }

  /** What the run wrote and wanted counts for nothing; what was loaded stays. */
  undo(): void {
    this.#written.clear();
    this.#made.clear();
    this.changes = unchanged();
    this.wanted = nothing();
    this.missing = false;
    this.#taken = 0;
  }

  /** The group was answered. */
  clear(): void {
    this.#ids.splice(0, this.#taken);
    this.undo();
    this.#schools.clear();
    this.#loaded.clear();
  }

  /** What was loaded of this school is no longer so. */
  drop(school: number, oin: string): void {
    this.#loaded.drop(school);
    this.#schools.delete(oin);
  }

  /** How many ids to load beside what is wanted: enough for whoever is looked for and may turn out to be new. */
  get idsWanted(): number {
    const { ids, hashes, schools } = this.wanted;
    return Math.max(ids, hashes.size + schools.size - this.#ids.length);
  }

  take(wanted: Wanted, loaded: Loaded): void {
    for (const oin of wanted.schools) this.#schools.set(oin, undefined);
    for (const row of loaded.schools) this.#schools.set(row.oin, row);
    for (const { school, hash } of wanted.hashes.values()) this.#loaded.of(school).set(byHash(hash), undefined);
    for (const row of loaded.byHash) this.#loaded.of(row.school).set(byHash(row.hash), row);
    for (const { school, token } of wanted.tokens.values()) this.#loaded.of(school).set(byToken(token), undefined);
    for (const row of loaded.byToken) this.#loaded.of(row.school).set(byToken(row.token), row);
    for (const [learner, school] of wanted.numbers) this.#loaded.of(school).set(numbersOf(learner), []);
    for (const row of loaded.numbers)
      (this.#loaded.of(wanted.numbers.get(row.learner)!).get(numbersOf(row.learner)) as NumbersRow[]).push(row);
    for (const [learner, school] of wanted.names) this.#loaded.of(school).set(namesOf(learner), []);
    for (const row of loaded.names)
      (this.#loaded.of(wanted.names.get(row.learner)!).get(namesOf(row.learner)) as NamesRow[]).push(row);
    for (const part of ['birth', 'contact'] as const) {
      for (const [learner, school] of wanted[part])
        this.#loaded.of(school).set(particularsOf(part, learner), undefined);
      for (const { learner, sealed } of loaded[part])
        this.#loaded.of(wanted[part].get(learner)!).set(particularsOf(part, learner), sealed);
    }
    for (const { school, token } of wanted.texts.values()) this.#loaded.of(school).set(textOf(token), undefined);
    for (const row of loaded.texts) this.#loaded.of(row.school).set(textOf(row.token), row);
    this.#ids.push(...loaded.ids);
  }

  /** The row as this run has left it; where it is not loaded, `want` says that it is wanted. */
  #get<T>(school: number, key: Key, want: (wanted: Wanted) => void): T | undefined {
    const written = this.#written.of(school);
    if (written.has(key)) return written.get(key) as T | undefined;
    const loaded = this.#loaded.of(school);
    if (loaded.has(key)) return loaded.get(key) as T | undefined;
    // Of a school that this run has made nothing is stored; its keys, and so its hashes, are other ones in the next run.
    if (this.#made.has(school)) return undefined;
    want(this.wanted);
    this.missing = true;
    return undefined;
  }

  /** The same, where it is held. */
  #held<T>(school: number, key: Key): T | undefined {
    return (this.#written.of(school).get(key) ?? this.#loaded.of(school).get(key)) as T | undefined;
  }

  school(oin: string): SchoolRow | undefined {
    if (this.#schools.has(oin)) return this.#schools.get(oin);
    this.wanted.schools.add(oin);
    this.missing = true;
    return undefined;
  }

  learnerByHash(school: number, hash: string): LearnerRow | undefined {
    return this.#get(school, byHash(hash), ({ hashes }) => hashes.set(`${school} ${hash}`, { school, hash }));
  }

  learnerByToken(school: number, token: string): LearnerRow | undefined {
    return this.#get(school, byToken(token), ({ tokens }) => tokens.set(`${school} ${token}`, { school, token }));
  }

  numbers(school: number, learner: number): readonly NumbersRow[] {
    return this.#get<NumbersRow[]>(school, numbersOf(learner), ({ numbers }) => numbers.set(learner, school)) ?? [];
  }

  names(school: number, learner: number): readonly NamesRow[] {
    return this.#get<NamesRow[]>(school, namesOf(learner), ({ names }) => names.set(learner, school)) ?? [];
  }

  particulars(part: Part, school: number, learner: number): Uint8Array | undefined {
    return this.#get(school, particularsOf(part, learner), (wanted) => wanted[part].set(learner, school));
  }

  text(school: number, token: string): TextRow | undefined {
    return this.#get(school, textOf(token), ({ texts }) => texts.set(`${school} ${token}`, { school, token }));
  }

  #newId(): number {
    const id = this.#ids[this.#taken];
    if (id === undefined) {
      this.wanted.ids = IDS;
      this.missing = true;
      throw MISSING;
    }
    this.#taken++;
    return id;
  }

  addSchool(oin: string, keys: readonly SchoolKeyRow[]): number {
    const id = this.#newId();
    this.#made.add(id);
    this.changes.schools.push({ id, oin });
    this.putSchoolKeys(id, keys);
    return id;
  }

  putSchoolKeys(school: number, keys: readonly SchoolKeyRow[]): void {
    const { changes } = this;
    const put = new Set(keys.map(({ purpose, version }) => `${purpose} ${version}`));
    // The same key twice in one group: the last one counts.
    changes.schoolKeys = changes.schoolKeys.filter(
      (one) => one.school !== school || !put.has(`${one.purpose} ${one.version}`),
    );
    changes.schoolKeys.push(...keys.map((key) => ({ ...key, school })));
    changes.dirty.add(school);
  }

  dropSchoolKeys(school: number, keys: readonly Pick<SchoolKeyRow, 'purpose' | 'version'>[]): void {
    const { changes } = this;
    for (const { purpose, version } of keys) {
      changes.schoolKeys = changes.schoolKeys.filter(
        (one) => one.school !== school || one.purpose !== purpose || one.version !== version,
      );
      changes.droppedSchoolKeys.push({ school, purpose, version });
    }
    changes.dirty.add(school);
  }

  nameSector(school: number, sector: string): void {
    this.changes.firstSectors.push({ school, sector });
    this.changes.dirty.add(school);
  }

  addSector(school: number, sector: string): void {
    this.changes.sectors.push({ school, sector });
    this.changes.dirty.add(school);
  }

  addLearner(
    school: number,
    { token, kind, secretVersion, wrapped }: Pick<LearnerRow, 'token' | 'kind' | 'secretVersion' | 'wrapped'>,
  ): number {
    const id = this.#newId();
    this.changes.learners.push({ school, id, token, kind, secretVersion });
    this.changes.secrets.set(id, wrapped!);
    this.changes.dirty.add(school);
    // Of somebody new nothing is stored: there is nothing to load.
    for (const key of [numbersOf(id), namesOf(id)]) this.#written.of(school).set(key, []);
    for (const part of ['birth', 'contact'] as const) this.#written.of(school).set(particularsOf(part, id), undefined);
    return id;
  }

  addLookup(school: number, hash: string, learner: number, keyVersion: number): void {
    this.changes.lookups.set(`${school} ${hash}`, { school, hash, learner, keyVersion });
    this.changes.dirty.add(school);
  }

  moveLookup(school: number, from: string, to: string, learner: number, keyVersion: number): void {
    this.changes.lookups.delete(`${school} ${from}`);
    this.changes.droppedLookups.push({ school, hash: from, learner });
    this.#written.of(school).set(byHash(from), undefined);
    this.addLookup(school, to, learner, keyVersion);
  }

  putSecret(school: number, learner: number, wrapped: Uint8Array): void {
    this.changes.secrets.set(learner, wrapped);
    this.changes.dirty.add(school);
  }

  putNumbers(school: number, learner: number, row: NumbersRow): void {
    this.changes.numbers.set(`${learner} ${row.ordinal}`, { ...row, learner });
    this.changes.dirty.add(school);
    const held = this.#held<NumbersRow[]>(school, numbersOf(learner)) ?? [];
    const others = held.filter(({ ordinal }) => ordinal !== row.ordinal);
    this.#written.of(school).set(
      numbersOf(learner),
      [...others, row].sort((a, b) => a.ordinal - b.ordinal),
    );
  }

  putNames(school: number, learner: number, row: NamesRow): void {
    this.changes.names.set(`${learner} ${row.mark}`, { ...row, learner });
    this.changes.dirty.add(school);
    const others = (this.#held<NamesRow[]>(school, namesOf(learner)) ?? []).filter(({ mark }) => mark !== row.mark);
    this.#written.of(school).set(namesOf(learner), [...others, row]);
  }

  putParticulars(
    part: Part,
    school: number,
    learner: number,
    content: string,
    sealed: Uint8Array,
    touchedMs: number,
  ): void {
    if (part === 'birth') this.changes.birth.set(learner, { content, sealed });
    else this.changes.contact.set(learner, { content, sealed, touchedMs });
    this.changes.dirty.add(school);
    this.#written.of(school).set(particularsOf(part, learner), sealed);
  }

  resealParticulars(part: Part, school: number, learner: number, sealed: Uint8Array): void {
    this.changes.resealed[part].set(learner, sealed);
    this.changes.dirty.add(school);
    this.#written.of(school).set(particularsOf(part, learner), sealed);
  }

  putText(school: number, row: TextRow): void {
    this.changes.texts.set(`${school} ${row.token}`, { ...row, school });
    this.changes.dirty.add(school);
    this.#written.of(school).set(textOf(row.token), row);
  }

  dropText(school: number, token: string): void {
    this.changes.texts.delete(`${school} ${token}`);
    this.changes.droppedTexts.push({ school, token });
    this.changes.dirty.add(school);
    this.#written.of(school).set(textOf(token), undefined);
  }

  dropNames(school: number, learner: number): void {
    const { changes } = this;
    this.#unwriteNames(learner);
    changes.namesDropped.add(learner);
    changes.dirty.add(school);
    const written = this.#written.of(school);
    written.set(namesOf(learner), []);
    for (const part of ['birth', 'contact'] as const) written.set(particularsOf(part, learner), undefined);
  }

  /** What this run wrote of them before is not to be written at all. */
  #unwriteNames(learner: number): void {
    const { names, birth, contact, resealed } = this.changes;
    for (const [key, row] of names) if (row.learner === learner) names.delete(key);
    for (const rows of [birth, contact, resealed.birth, resealed.contact]) rows.delete(learner);
  }

  setWaiting(school: number, learner: number, atMs: number | undefined): void {
    this.changes.waiting.set(learner, atMs);
    this.changes.dirty.add(school);
  }

  setMerged(school: number, learner: number, winner: number | undefined): void {
    this.changes.merged.set(learner, winner);
    this.changes.dirty.add(school);
  }

  destroy(
    school: number,
    { id: learner, token }: Pick<LearnerRow, 'id' | 'token'>,
    hashes: readonly string[],
    nowMs: number,
  ): void {
    const { changes } = this;
    const written = this.#written.of(school);
    written.set(byToken(token), { ...TOMBSTONE, id: learner, token });
    changes.dirty.add(school);
    changes.destroyed.push({ school, learner, nowMs });
    for (const hash of hashes) {
      changes.lookups.delete(`${school} ${hash}`);
      changes.droppedLookups.push({ school, hash, learner });
      written.set(byHash(hash), undefined);
    }
    // What this run wrote of them before is not to be written at all.
    changes.secrets.delete(learner);
    this.#unwriteNames(learner);
    changes.waiting.delete(learner);
    changes.merged.delete(learner);
    for (const [key, row] of changes.numbers) if (row.learner === learner) changes.numbers.delete(key);
  }
}
