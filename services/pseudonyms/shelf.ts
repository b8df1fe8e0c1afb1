import type { KeyObject } from 'node:crypto';
import { type Clock, GatewayError, HmacKey } from '#kernel';
import {
  ClosedSchool,
  isHeld,
  type MasterRing,
  masterClosed,
  type Purpose,
  purposes,
  SALTS_AFTER_MS,
  type SchoolLease,
  type SchoolWrappers,
} from './keys.ts';
import { type Pseudonymous, Pseudonyms } from './pairwise.ts';
import type { Kind, LearnerRow, Rows, SchoolKeyRow } from './rows.ts';
import { base32, bytesOf, keyOf, mac, open, type Place, random, seal, shortMac, textOf, versionsOf } from './seal.ts';

/** What may change of one learner or member of staff: no number and no name. */
type Facts = Pick<LearnerRow, 'mark' | 'birth' | 'contact' | 'hasEckId' | 'waitsMs' | 'mergedInto' | 'merged'>;

/** One learner or member of staff as far as the vault has needed it. Facts change through `Shelf.change` only. */
export interface Learner extends Readonly<Facts> {
  readonly id: number;
  readonly token: string;
  readonly kind: Kind;
  readonly secretVersion: number;
  /** The secret under the school's key, until it is needed. */
  wrapped: Uint8Array | undefined;
  /** 32 Latin-1 characters: a KeyObject would take ten times the memory. */
  secret: string | undefined;
}

export type NumberColumn = 'eck_id' | 'las_key';

interface SchoolKey {
  version: number;
  /** Seals and opens. */
  key: KeyObject;
  /** The same, for digests. */
  hmac: HmacKey;
  /** From when it is used. */
  madeMs: number;
}
const schoolKey = (version: number, bytes: Uint8Array, madeMs: number): SchoolKey => ({
  version,
  madeMs,
  key: keyOf(bytes),
  hmac: new HmacKey(bytes),
});

export interface School {
  readonly id: number;
  readonly oin: string;
  /** As the database has it; see `SchoolRow`. */
  version: string;
  readonly firstSector: string | undefined;
  readonly sectors: ReadonlySet<string>;
  /** By purpose, oldest first; the last is the one that seals. Of a school that is not open, whoever asks throws. */
  readonly keys: ReadonlyMap<Purpose, readonly SchoolKey[]>;
  /** By what its keys are wrapped, where that is held elsewhere: without it they are no longer used. */
  readonly lease: SchoolLease | undefined;
  readonly byHash: Map<string, Learner>;
  readonly byToken: Map<string, Learner>;
  /** Of receivers that were asked for, by version, kind and OIN. */
  readonly pseudonyms: Map<string, Pseudonyms>;
}
/** In the place of the keys of a school that is not open. What needs no key, such as forgetting, goes on. */
class ClosedKeys extends Map<Purpose, readonly SchoolKey[]> {
  readonly #why: () => GatewayError;
  constructor(why: () => GatewayError) {
    super();
    this.#why = why;
  }
  override get(): never {
    throw this.#why();
  }
  override [Symbol.iterator](): never {
    throw this.#why();
  }
}
/** Whether it may be used as it was read: its keys were opened, and may still be. */
const isCurrent = ({ keys, lease }: School, master: MasterRing): boolean =>
  !(keys instanceof ClosedKeys) && (lease?.isOpen ?? true) && !master.isClosed;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The three tables, each under a key of its own. */
export type PeopleTable = 'numbers' | 'names' | 'contact';

/** Receivers of one school whose keys are kept, kinds and versions counted each. */
const MAX_RECEIVERS = 300;

const broken = (table: string) =>
  new GatewayError('gateway.bug', `A row of ${table} in the vault does not open under its key.`);

/**
 * Rows of schools and learners with their keys, and a bounded cache of both. Synchronous; one run at a time. What a run
 * changes in the cache can be taken back (`undo`) until it is settled.
 */
export class Shelf {
  readonly rows: Rows;
  readonly clock: Clock;
  readonly #master: MasterRing;
  readonly #held: SchoolWrappers;
  readonly #maxLearners: number;
  /** Least recently used first. */
  readonly #schools = new Map<string, School>();
  /** Schools that were asked for since the run began. */
  readonly used = new Set<School>();
  #undo: (() => void)[] = [];
  #last: { learner: Learner; key: HmacKey } | undefined;

  constructor(rows: Rows, master: MasterRing, clock: Clock, maxLearners: number, held: SchoolWrappers = noneHeld) {
    this.rows = rows;
    this.#master = master;
    this.#held = held;
    this.clock = clock;
    this.#maxLearners = maxLearners;
  }

  /** What was changed counts. Then lets go of the schools that were not asked for the longest, until the bound holds. */
  settle(): void {
    this.#undo = [];
    this.used.clear();
    let held = 0;
    for (const school of this.#schools.values()) held += Math.max(school.byHash.size, school.byToken.size);
    for (const [oin, school] of this.#schools) {
      if (held <= this.#maxLearners) return;
      held -= Math.max(school.byHash.size, school.byToken.size);
      this.#schools.delete(oin);
    }
  }

  /** The run counts for nothing: the cache is as it was before, with what was read besides. */
  undo(): void {
    for (let i = this.#undo.length - 1; i >= 0; i--) this.#undo[i]!();
    this.#undo = [];
    this.used.clear();
    this.#last = undefined;
  }

  /** Nothing is cached any more. */
  clear(): void {
    this.#undo = [];
    this.used.clear();
    this.#schools.clear();
    this.#last = undefined;
  }

  /** Of this school nothing is cached any more. Not within a run. */
  forgetSchool(school: School): void {
    if (this.#schools.get(school.oin) === school) this.#schools.delete(school.oin);
    this.#last = undefined;
  }

  /** As if every cached school had been asked for. */
  useAll(): void {
    for (const school of this.#schools.values()) this.used.add(school);
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
    if (cached && isCurrent(cached, this.#master)) {
      cached.lease?.use();
      this.used.add(cached);
      this.#schools.delete(oin);
      this.#schools.set(oin, cached);
      return cached;
    }
    const row = this.rows.school(oin);
    if (!row && !create) return undefined;
    const school = {
      oin,
      byHash: new Map<string, Learner>(),
      byToken: new Map<string, Learner>(),
      pseudonyms: new Map<string, Pseudonyms>(),
    };
    if (row) {
      const { id, firstSector, version } = row;
      const held = row.keys.find(({ wrappedBy }) => isHeld(wrappedBy))?.wrappedBy;
      const lease = held === undefined ? undefined : this.#held.lease(held);
      const keys = this.#mayUnwrap(held, lease)
        ? this.#unwrapped(oin, row.keys, lease)
        : new ClosedKeys(this.#master.isClosed ? masterClosed : () => new ClosedSchool(oin, held!));
      return this.#cache({ ...school, id, firstSector, version, sectors: new Set(row.sectors), keys, lease });
    }
    const { write } = this.rows;
    const { wraps } = this.#master;
    const madeMs = this.clock.now();
    const keys = new Map<Purpose, SchoolKey[]>();
    for (const purpose of purposes)
      keys.set(purpose, [schoolKey(1, purpose === 'pairwise' ? wraps.pairwise(oin) : random(32), madeMs)]);
    const id = write.addSchool(oin, wrappedKeys(wraps.name, wraps.wrapping(oin), oin, keys));
    this.#undo.push(() => this.#schools.delete(oin));
    const made = { ...school, id, firstSector: undefined, version: '', sectors: new Set<string>(), keys };
    return this.#cache({ ...made, lease: undefined });
  }

  #mayUnwrap(held: string | undefined, lease: SchoolLease | undefined): boolean {
    return !this.#master.isClosed && (held === undefined || lease !== undefined);
  }

  #unwrapped(
    oin: string,
    rows: readonly SchoolKeyRow[],
    lease: SchoolLease | undefined,
  ): Map<Purpose, readonly SchoolKey[]> {
    const keys = new Map<Purpose, SchoolKey[]>();
    const wrapping = new Map<string, KeyObject>();
    for (const { purpose, version, wrapped, wrappedBy, madeMs } of rows) {
      if (lease?.name === wrappedBy) wrapping.set(wrappedBy, lease.wrapping);
      if (!wrapping.has(wrappedBy)) {
        const wrapper = this.#master.of(wrappedBy);
        // Another replica has begun to use a master key that this one has not read yet.
        if (!wrapper) throw new GatewayError('gateway.unavailable', 'The vault has not read its new master key yet.');
        wrapping.set(wrappedBy, wrapper.wrapping(oin));
      }
      const bytes = open(wrapping.get(wrappedBy)!, keyPlace(oin, purpose, version, wrappedBy), wrapped);
      if (!bytes) throw broken('school_keys');
      keys.set(purpose, [...(keys.get(purpose) ?? []), schoolKey(version, bytes, madeMs)]);
    }
    // A school from before there were such keys has no row of it, and its keys are still under the master key of then.
    if (!keys.has('pairwise'))
      keys.set('pairwise', [schoolKey(1, this.#master.of(rows[0]!.wrappedBy)!.pairwise(oin), 0)]);
    return keys;
  }

  /** New versions of these keys, which seal from now on. `madeMs` at the earliest. */
  renewKeys(school: School, renewed: readonly Purpose[], madeMs: number): void {
    const fromMs = Math.max(madeMs, this.clock.now());
    const added = new Map<Purpose, SchoolKey[]>();
    for (const purpose of renewed) {
      const { version } = this.key(school, purpose);
      if (version >= MAX_VERSION) throw new GatewayError('gateway.bug', 'A key of a school has no version left.');
      const key = schoolKey(version + 1, random(32), purpose === 'salts' ? fromMs + SALTS_AFTER_MS : fromMs);
      added.set(purpose, [key]);
    }
    // All of them, so that one that was never written down is.
    const all = new Map(school.keys);
    for (const [purpose, [key]] of added) all.set(purpose, [...all.get(purpose)!, key!]);
    this.#putKeys(school, all, school.lease);
    for (const purpose of renewed) this.#setKeys(school, purpose, all.get(purpose)!);
  }

  /** The same keys, all under the master key that wraps now, or under what a holder has opened. */
  rewrapUnder(school: School, lease: SchoolLease | undefined): void {
    this.#putKeys(school, new Map(school.keys), lease);
    const before = school.lease;
    (school as Mutable<School>).lease = lease;
    this.#undo.push(() => {
      (school as Mutable<School>).lease = before;
    });
  }

  #putKeys(
    { id, oin }: School,
    keys: ReadonlyMap<Purpose, readonly SchoolKey[]>,
    lease: SchoolLease | undefined,
  ): void {
    const { wraps } = this.#master;
    const [name, wrapping] = lease ? [lease.name, lease.wrapping] : [wraps.name, wraps.wrapping(oin)];
    this.rows.write.putSchoolKeys(id, wrappedKeys(name, wrapping, oin, keys));
  }

  /** Keys that may not be used any more leave the memory, and with them what they have opened. Not within a run. */
  dropClosed(): void {
    for (const [oin, school] of this.#schools) if (!isCurrent(school, this.#master)) this.#schools.delete(oin);
    this.#last = undefined;
  }

  /** The newest version alone stays. Says how many went. */
  dropOlder(school: School, dropped: readonly Purpose[]): number {
    const older = dropped.flatMap((purpose) =>
      this.olderVersions(school, purpose).map((version) => ({ purpose, version })),
    );
    if (older.length === 0) return 0;
    this.rows.write.dropSchoolKeys(school.id, older);
    for (const purpose of new Set(older.map((one) => one.purpose)))
      this.#setKeys(school, purpose, [this.key(school, purpose)]);
    return older.length;
  }

  #setKeys(school: School, purpose: Purpose, keys: readonly SchoolKey[]): void {
    const held = school.keys as Map<Purpose, readonly SchoolKey[]>;
    const before = held.get(purpose)!;
    held.set(purpose, keys);
    this.#undo.push(() => held.set(purpose, before));
  }

  /** Versions of a key that are held beside the newest; most often none. */
  olderVersions(school: School, purpose: Purpose): readonly number[] {
    const keys = school.keys.get(purpose)!;
    return keys.length === 1 ? NO_VERSIONS : keys.slice(0, -1).map(({ version }) => version);
  }

  /** The key that makes the salts of what began at this moment. */
  saltKey(school: School, beganMs: number): HmacKey {
    const keys = school.keys.get('salts')!;
    return (keys.findLast(({ madeMs }) => madeMs <= beganMs) ?? keys[0]!).hmac;
  }

  #cache(school: School): School {
    this.#schools.set(school.oin, school);
    this.used.add(school);
    return school;
  }

  /** The first sector that a school names. */
  nameSector(school: School, sector: string): void {
    this.rows.write.nameSector(school.id, sector);
    (school as Mutable<School>).firstSector = sector;
    this.#undo.push(() => {
      (school as Mutable<School>).firstSector = undefined;
    });
  }

  addSector(school: School, sector: string): void {
    this.rows.write.addSector(school.id, sector);
    const sectors = school.sectors as Set<string>;
    sectors.add(sector);
    this.#undo.push(() => sectors.delete(sector));
  }

  /** The key of the school that seals now, or the one of a version. */
  key(school: School, purpose: Purpose): SchoolKey;
  key(school: School, purpose: Purpose, version: number): SchoolKey | undefined;
  key(school: School, purpose: Purpose, version?: number): SchoolKey | undefined {
    const keys = school.keys.get(purpose)!;
    return version === undefined ? keys[keys.length - 1]! : keys.find((key) => key.version === version);
  }

  /**
   * The pseudonyms of one receiver, as often as they were renewed, under the key that is used now or the one of a version.
   */
  pseudonyms(school: School, party: string, kind: Pseudonymous, renewed: number): Pseudonyms;
  pseudonyms(
    school: School,
    party: string,
    kind: Pseudonymous,
    renewed: number,
    version: number,
  ): Pseudonyms | undefined;
  pseudonyms(
    school: School,
    party: string,
    kind: Pseudonymous,
    renewed: number,
    version?: number,
  ): Pseudonyms | undefined {
    const key = version === undefined ? this.key(school, 'pairwise') : this.key(school, 'pairwise', version);
    if (!key) return undefined;
    const name = `${key.version} ${renewed} ${kind} ${party}`;
    let known = school.pseudonyms.get(name);
    if (!known) {
      if (school.pseudonyms.size >= MAX_RECEIVERS) school.pseudonyms.clear();
      known = new Pseudonyms(key.key, key.version, school.oin, party, kind, renewed);
      school.pseudonyms.set(name, known);
    }
    return known;
  }

  /** Where a number would stand in the index: a hash under the school's key, so that two schools have nothing in common. */
  hash(
    school: School,
    kind: Kind,
    sector: string,
    column: NumberColumn,
    number: string,
    version = this.key(school, 'index').version,
  ): string {
    return shortMac(
      this.key(school, 'index', version)!.hmac,
      kind === 'staff' ? `staff ${column}` : `learner ${sector} ${column}`,
      number,
    );
  }

  byHash(school: School, hash: string): Learner | undefined {
    const cached = school.byHash.get(hash);
    if (cached) return cached;
    const row = this.rows.learnerByHash(school.id, hash);
    if (!row) return undefined;
    const learner = school.byToken.get(row.token) ?? this.#keep(school, row);
    school.byHash.set(hash, learner);
    return learner;
  }

  /** Undefined also for someone who was forgotten. */
  byToken(school: School, token: string): Learner | undefined {
    const cached = school.byToken.get(token);
    if (cached) return cached;
    const row = this.rows.learnerByToken(school.id, token);
    return row && !row.forgotten ? this.#keep(school, row) : undefined;
  }

  /** Who it is: a token that was merged into another stands for that one, as long as that one is there. */
  whole(school: School, learner: Learner): Learner {
    return (learner.mergedInto !== undefined && this.byToken(school, learner.mergedInto)) || learner;
  }

  /** The learner, then its other tokens. */
  parts(school: School, learner: Learner): Learner[] {
    return [learner, ...learner.merged.flatMap((token) => this.byToken(school, token) ?? [])];
  }

  #keep(school: School, { id, token, kind, secretVersion, wrapped, ...row }: LearnerRow): Learner {
    const { mark, birth, contact, hasEckId, waitsMs, mergedInto, merged } = row;
    const learner: Learner = {
      id,
      token,
      kind,
      secretVersion,
      wrapped,
      secret: undefined,
      mark,
      birth,
      contact,
      hasEckId,
      waitsMs,
      mergedInto,
      merged,
    };
    school.byToken.set(token, learner);
    return learner;
  }

  /** A new person: a random token, and a random secret under the school's key. */
  addLearner(school: School, kind: Kind): Learner {
    const { write } = this.rows;
    const token = (kind === 'staff' ? 'st_' : 'lt_') + base32(random(16));
    const secret = random(32);
    const wrapping = this.key(school, 'learners');
    const wrapped = seal(wrapping.key, { school: wrapping.version, learner: 1 }, secretPlace(school, token), secret);
    const id = write.addLearner(school.id, { token, kind, secretVersion: 1, wrapped });
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
      waitsMs: undefined,
      mergedInto: undefined,
      merged: NOBODY,
    };
    school.byToken.set(token, learner);
    this.#undo.push(() => school.byToken.delete(token));
    return learner;
  }

  /** A number leads to this person from now on. */
  addLookup(school: School, hash: string, learner: Learner, keyVersion: number): void {
    this.rows.write.addLookup(school.id, hash, learner.id, keyVersion);
    school.byHash.set(hash, learner);
    this.#undo.push(() => school.byHash.delete(hash));
  }

  /** The hash under a newer key leads to this person, and the one before to nobody. */
  moveLookup(school: School, from: string, to: string, learner: Learner, keyVersion: number): void {
    this.rows.write.moveLookup(school.id, from, to, learner.id, keyVersion);
    school.byHash.delete(from);
    school.byHash.set(to, learner);
    this.#undo.push(() => {
      school.byHash.delete(to);
      school.byHash.delete(from);
    });
  }

  /** The secret, as the row has it, under the key that seals now. False when it was. */
  rewrapSecret(school: School, learner: Learner): boolean {
    const stored = this.rows.learnerByToken(school.id, learner.token)?.wrapped;
    const { key, version } = this.key(school, 'learners');
    if (!stored || versionsOf(stored)?.school === version) return false;
    learner.secret ??= this.#unwrap(school, learner);
    learner.wrapped = undefined;
    const versions = { school: version, learner: learner.secretVersion };
    const secret = bytesOf(learner.secret);
    this.rows.write.putSecret(school.id, learner.id, seal(key, versions, secretPlace(school, learner.token), secret));
    secret.fill(0);
    return true;
  }

  /** The value again under the key that seals now; undefined when that is what it stands under. */
  resealed(
    school: School,
    learner: Learner,
    table: PeopleTable,
    column: Place,
    sealed: Uint8Array,
  ): Buffer | undefined {
    if (versionsOf(sealed)?.school === this.key(school, table).version) return undefined;
    return this.sealFor(school, learner, table, column, this.openFor(school, learner, table, column, sealed));
  }

  /** Notes what a write has changed; the write is the caller's. */
  change(learner: Learner, facts: Partial<Facts>): void {
    const { mark, birth, contact, hasEckId, waitsMs, mergedInto, merged } = learner;
    this.#undo.push(() => Object.assign(learner, { mark, birth, contact, hasEckId, waitsMs, mergedInto, merged }));
    Object.assign(learner, facts);
  }

  /** Destroys names, birth date and contact of a person. Says whether there were any. Needs no key. */
  endNames(school: School, learner: Learner): boolean {
    if (learner.mark === '' && learner.birth === '' && learner.contact === '') return false;
    this.rows.write.dropNames(school.id, learner.id);
    this.change(learner, { mark: '', birth: '', contact: '' });
    return true;
  }

  /** Destroys all that is held of a person but the token. */
  destroy(school: School, learner: Learner): void {
    const linked = this.rows.numbers(school.id, learner.id);
    const hashes = linked.flatMap(({ eckId, lasKey }) => [eckId, lasKey]).filter((hash) => hash !== undefined);
    this.rows.write.destroy(school.id, learner, hashes, this.clock.now());
    school.byToken.delete(learner.token);
    for (const hash of hashes) school.byHash.delete(hash);
    // Should the run be taken back, the row is read again: wiping a secret is not.
    this.#undo.push(() => {
      school.byToken.delete(learner.token);
      for (const hash of hashes) school.byHash.delete(hash);
    });
    learner.secret = undefined;
    learner.wrapped = undefined;
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

  /** As `resealed`. */
  resealedText(school: School, token: string, sealed: Uint8Array): Buffer | undefined {
    if (versionsOf(sealed)?.school === this.key(school, 'texts').version) return undefined;
    return this.sealText(school, token, this.openText(school, token, sealed));
  }

  #payloadKey(school: School, learner: Learner): KeyObject {
    return keyOf(mac(this.#secret(school, learner), 'payload', ''));
  }
}

const noneHeld: SchoolWrappers = { lease: () => undefined };
const NO_VERSIONS: readonly number[] = [];
const NOBODY: readonly string[] = [];
/** A version stands in two bytes. */
const MAX_VERSION = 0xffff;

const keyPlace = (oin: string, purpose: string, version: number, wrappedBy: string): Place => [
  'school_keys',
  oin,
  purpose,
  version,
  wrappedBy,
];

function wrappedKeys(
  wrappedBy: string,
  wrapping: KeyObject,
  oin: string,
  keys: ReadonlyMap<Purpose, readonly SchoolKey[]>,
): readonly SchoolKeyRow[] {
  return [...keys].flatMap(([purpose, versions]) =>
    versions.map(({ version, key, madeMs }) => {
      const bytes = key.export();
      const place = keyPlace(oin, purpose, version, wrappedBy);
      const wrapped = seal(wrapping, { school: 0, learner: 0 }, place, bytes);
      bytes.fill(0);
      return { purpose, version, wrappedBy, wrapped, madeMs };
    }),
  );
}
const secretPlace = (school: School, token: string): Place => ['learners', school.oin, token];
