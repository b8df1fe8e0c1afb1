import type { KeyObject } from 'node:crypto';
import { type Clock, GatewayError, HmacKey } from '#kernel';
import { type MasterKeys, type Purpose, purposes, WRAPPED_BY } from './keys.ts';
import { base32, bytesOf, keyOf, mac, open, type Place, random, seal, shortMac, textOf, versionsOf } from './seal.ts';
import type { Store } from './store.ts';

/** One learner or member of staff as far as the vault has needed it: no number and no name. */
export interface Learner {
  readonly id: number;
  readonly token: string;
  readonly kind: Kind;
  readonly secretVersion: number;
  /** The secret under the school's key, until it is needed. */
  wrapped: Uint8Array | undefined;
  /** 32 Latin-1 characters: a KeyObject would take ten times the memory. */
  secret: string | undefined;
  /** Of the newest names; empty = none. */
  mark: string;
  /** Of birth date and gender, and of contact, as they are stored; empty = none. */
  birth: string;
  contact: string;
  hasEckId: boolean;
}

export type Kind = 'learner' | 'staff';
export type NumberColumn = 'eck_id' | 'las_key';

interface SchoolKey {
  version: number;
  /** Seals and opens. */
  key: KeyObject;
  /** The same, for digests. */
  hmac: HmacKey;
}
const schoolKey = (version: number, bytes: Uint8Array): SchoolKey => ({
  version,
  key: keyOf(bytes),
  hmac: new HmacKey(bytes),
});

export interface School {
  readonly id: number;
  readonly oin: string;
  firstSector: string | undefined;
  readonly sectors: Set<string>;
  /** By purpose, oldest first; the last is the one that seals. */
  readonly keys: Map<Purpose, SchoolKey[]>;
  readonly byHash: Map<string, Learner>;
  readonly byToken: Map<string, Learner>;
}

interface LearnerRow {
  id: number;
  token: string;
  kind: Kind;
  secretVersion: number;
  wrapped: Uint8Array;
  mark: Uint8Array | null;
  birth: Uint8Array | null;
  contact: Uint8Array | null;
  hasEckId: number;
}

/** The three tables, each under a key of its own. */
export type PeopleTable = 'numbers' | 'names' | 'contact';

const broken = (table: string) =>
  new GatewayError('gateway.bug', `A row of ${table} in the vault does not open under its key.`);

/** Rows of schools and learners with their keys, and a bounded cache of both. Synchronous; one thread. */
export class Shelf {
  readonly store: Store;
  readonly clock: Clock;
  readonly #master: MasterKeys;
  readonly #maxLearners: number;
  /** Least recently used first. */
  readonly #schools = new Map<string, School>();
  #writing = false;
  #last: { learner: Learner; key: HmacKey } | undefined;

  constructor(store: Store, master: MasterKeys, clock: Clock, maxLearners: number) {
    this.store = store;
    this.#master = master;
    this.clock = clock;
    this.#maxLearners = maxLearners;
  }

  /** Every write stands behind this: it opens the transaction of the group that is being answered. */
  get write() {
    if (!this.#writing) {
      this.store.begin();
      this.#writing = true;
    }
    return this.store.run;
  }

  get writing(): boolean {
    return this.#writing;
  }

  commit(): void {
    if (this.#writing) this.store.commit();
    this.#writing = false;
  }

  /** What is cached may come from the transaction that is taken back, so all of it goes. */
  rollback(): void {
    this.#writing = false;
    this.#schools.clear();
    this.#last = undefined;
    this.store.rollback();
  }

  /** Lets go of the schools that were not asked for the longest, until the bound holds. */
  trim(): void {
    let held = 0;
    for (const school of this.#schools.values()) held += Math.max(school.byHash.size, school.byToken.size);
    for (const [oin, school] of this.#schools) {
      if (held <= this.#maxLearners) return;
      held -= Math.max(school.byHash.size, school.byToken.size);
      this.#schools.delete(oin);
    }
  }

  /** How many learners are cached, over all schools. */
  get cached(): number {
    let held = 0;
    for (const school of this.#schools.values()) held += school.byToken.size;
    return held;
  }

  /** A school that the vault knows; with `create`, any. */
  school(oin: string, create: true): School;
  school(oin: string, create: boolean): School | undefined;
  school(oin: string, create: boolean): School | undefined {
    const cached = this.#schools.get(oin);
    if (cached) {
      this.#schools.delete(oin);
      this.#schools.set(oin, cached);
      return cached;
    }
    const row = this.store.run.school.get(oin) as { id: number; firstSector: string | null } | undefined;
    if (!row && !create) return undefined;
    const id = row?.id ?? Number(this.write.addSchool.run(oin).lastInsertRowid);
    const school: School = {
      id,
      oin,
      firstSector: row?.firstSector ?? undefined,
      sectors: new Set((this.store.run.sectors.all(id) as { sector: string }[]).map(({ sector }) => sector)),
      keys: new Map(),
      byHash: new Map(),
      byToken: new Map(),
    };
    this.#loadKeys(school, row === undefined);
    this.#schools.set(oin, school);
    return school;
  }

  #loadKeys(school: School, fresh: boolean): void {
    const wrapping = this.#master.wrapping(school.oin);
    const place = (purpose: string, version: number): Place => [
      'school_keys',
      school.oin,
      purpose,
      version,
      WRAPPED_BY,
    ];
    if (fresh)
      for (const purpose of purposes) {
        const bytes = random(32);
        const wrapped = seal(wrapping, { school: 0, learner: 0 }, place(purpose, 1), bytes);
        this.write.addSchoolKey.run(school.id, purpose, 1, WRAPPED_BY, wrapped, this.clock.now());
        school.keys.set(purpose, [schoolKey(1, bytes)]);
      }
    else
      for (const row of this.store.run.schoolKeys.all(school.id) as unknown as {
        purpose: Purpose;
        version: number;
        wrapped: Uint8Array;
      }[]) {
        const bytes = open(wrapping, place(row.purpose, row.version), row.wrapped);
        if (!bytes) throw broken('school_keys');
        const held = school.keys.get(row.purpose) ?? [];
        held.push(schoolKey(row.version, bytes));
        school.keys.set(row.purpose, held);
      }
  }

  /** The key of the school that seals now, or the one of a version. */
  key(school: School, purpose: Purpose): SchoolKey;
  key(school: School, purpose: Purpose, version: number): SchoolKey | undefined;
  key(school: School, purpose: Purpose, version?: number): SchoolKey | undefined {
    const keys = school.keys.get(purpose)!;
    return version === undefined ? keys[keys.length - 1]! : keys.find((key) => key.version === version);
  }

  /** Where a number would stand in the index: a hash under the school's key, so that two schools have nothing in common. */
  hash(school: School, kind: Kind, sector: string, column: NumberColumn, number: string): string {
    return shortMac(
      this.key(school, 'index').hmac,
      kind === 'staff' ? `staff ${column}` : `learner ${sector} ${column}`,
      number,
    );
  }

  byHash(school: School, hash: string): Learner | undefined {
    const cached = school.byHash.get(hash);
    if (cached) return cached;
    const hit = this.store.run.learnerOfHash.get(school.id, bytesOf(hash)) as { learner: number } | undefined;
    if (!hit) return undefined;
    const row = this.store.run.learnerById.get(hit.learner) as unknown as LearnerRow;
    const learner = school.byToken.get(row.token) ?? this.#keep(school, row);
    school.byHash.set(hash, learner);
    return learner;
  }

  byToken(school: School, token: string): Learner | undefined {
    const cached = school.byToken.get(token);
    if (cached) return cached;
    const row = this.store.run.learnerByToken.get(token, school.id) as LearnerRow | undefined;
    return row && this.#keep(school, row);
  }

  #keep(school: School, row: LearnerRow): Learner {
    const learner: Learner = {
      id: row.id,
      token: row.token,
      kind: row.kind,
      secretVersion: row.secretVersion,
      wrapped: row.wrapped,
      secret: undefined,
      mark: row.mark ? textOf(row.mark) : '',
      birth: row.birth ? textOf(row.birth) : '',
      contact: row.contact ? textOf(row.contact) : '',
      hasEckId: row.hasEckId === 1,
    };
    school.byToken.set(row.token, learner);
    return learner;
  }

  /** A new person: a random token, and a random secret under the school's key. */
  addLearner(school: School, kind: Kind): Learner {
    const token = (kind === 'staff' ? 'st_' : 'lt_') + base32(random(16));
    const secret = random(32);
    const wrapping = this.key(school, 'learners');
    const wrapped = seal(wrapping.key, { school: wrapping.version, learner: 1 }, secretPlace(school, token), secret);
    const id = Number(this.write.addLearner.run(token, school.id, kind, 1, wrapped).lastInsertRowid);
    const learner: Learner = {
      id,
      token,
      kind,
      secretVersion: 1,
      wrapped: undefined,
      secret: textOf(secret),
      mark: '',
      birth: '',
      contact: '',
      hasEckId: false,
    };
    school.byToken.set(token, learner);
    return learner;
  }

  /** The caches let go of a person; the rows are the caller's. */
  drop(school: School, learner: Learner, hashes: readonly string[]): void {
    school.byToken.delete(learner.token);
    for (const hash of hashes) school.byHash.delete(hash);
    learner.secret = undefined;
    this.#last = undefined;
  }

  #secret(school: School, learner: Learner): HmacKey {
    // One person's values are made together, so the last key serves most of them.
    if (this.#last?.learner === learner) return this.#last.key;
    learner.secret ??= this.#unwrap(school, learner);
    learner.wrapped = undefined;
    const key = new HmacKey(bytesOf(learner.secret));
    this.#last = { learner, key };
    return key;
  }

  #unwrap(school: School, learner: Learner): string {
    const key = this.key(school, 'learners', versionsOf(learner.wrapped!)?.school ?? 0);
    const secret = key && open(key.key, secretPlace(school, learner.token), learner.wrapped!);
    if (!secret) throw broken('learners');
    return textOf(secret);
  }

  /** What a learner's secret says of a value: marks of names, salts. 16 bytes; gone with the secret. */
  learnerMac(school: School, learner: Learner, label: string, value: Uint8Array | string): Buffer {
    return mac(this.#secret(school, learner), label, value).subarray(0, 16);
  }

  sealFor(school: School, learner: Learner, table: PeopleTable, column: Place, value: Uint8Array | string): Buffer {
    const { key, version } = this.key(school, table);
    return seal(key, { school: version, learner: 0 }, [table, school.oin, learner.token, ...column], value);
  }

  /** Throws when the row is not the one that was written there: that is damage, or someone moved values about. */
  openFor(school: School, learner: Learner, table: PeopleTable, column: Place, sealed: Uint8Array): Buffer {
    const key = this.key(school, table, versionsOf(sealed)?.school ?? 0);
    const value = key && open(key.key, [table, school.oin, learner.token, ...column], sealed);
    if (!value) throw broken(table);
    return value;
  }

  /** Payloads: under the learner's secret, or the school's key where there is no learner. */
  sealPayload(school: School, learner: Learner | undefined, context: string, data: Uint8Array): Buffer {
    if (learner)
      return seal(
        this.#payloadKey(school, learner),
        { school: 0, learner: learner.secretVersion },
        ['payload', school.oin, learner.token, context],
        data,
      );
    const { key, version } = this.key(school, 'payloads');
    return seal(key, { school: version, learner: 0 }, ['payload', school.oin, '', context], data);
  }

  /** Undefined when it cannot be opened: other learner, other context, or bytes that we did not make. */
  openPayload(school: School, learner: Learner | undefined, context: string, sealed: Uint8Array): Buffer | undefined {
    const versions = versionsOf(sealed);
    if (!versions) return undefined;
    if (learner)
      return versions.learner === learner.secretVersion
        ? open(this.#payloadKey(school, learner), ['payload', school.oin, learner.token, context], sealed)
        : undefined;
    const key = this.key(school, 'payloads', versions.school);
    return key && open(key.key, ['payload', school.oin, '', context], sealed);
  }

  sealText(school: School, token: string, text: string): Buffer {
    const { key, version } = this.key(school, 'texts');
    return seal(key, { school: version, learner: 0 }, ['texts', school.oin, token, 'text'], text);
  }

  openText(school: School, token: string, sealed: Uint8Array): string {
    const key = this.key(school, 'texts', versionsOf(sealed)?.school ?? 0);
    const text = key && open(key.key, ['texts', school.oin, token, 'text'], sealed);
    if (!text) throw broken('texts');
    return text.toString();
  }

  #payloadKey(school: School, learner: Learner): KeyObject {
    return keyOf(mac(this.#secret(school, learner), 'payload', ''));
  }
}

const secretPlace = (school: School, token: string): Place => ['learners', school.oin, token];
