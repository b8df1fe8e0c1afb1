import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, ConfigError, describeError, GatewayError, log } from '#kernel';
import { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { ShowKeysResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { Desk } from './calls.ts';
import {
  ClosedSchool,
  emptied,
  type Rotation as Kind,
  type MasterRing,
  rotationKinds,
  rotations,
  wrapperName,
} from './keys.ts';
import { FIRST } from './people.ts';
import { keepUp, type Meta, masterNumber, type NextKey, readNext } from './ring.ts';
import { each } from './rows.ts';
import type { Learner, School, Shelf } from './shelf.ts';

/**
 * Renewing keys while calls are answered. A new version of a key seals from the moment that it is committed; what rests under
 * the one before is sealed anew, some learners at a time, each lot in a transaction of its own; then the one before is
 * destroyed. How far that is stands in the rows themselves: each value names the version of its key. So a process that is
 * killed loses nothing but the place where it was reading, and any other goes on.
 */

/** What renewing needs of a database beside rows. */
export interface RotationStore {
  meta(): Promise<Meta>;
  /** In one transaction; undefined = away with it. */
  putMeta(values: Readonly<Record<string, number | Uint8Array | undefined>>): Promise<void>;
  /** Takes `rotating` away, if it is still this. */
  settle(rotating: number): Promise<void>;
  /** Once, before the first key is renewed: a release that knows nothing of it must not open the vault any more. */
  prepare(): Promise<void>;
  /** Schools, and how many of them have keys under another name than this that is no held one. */
  countSchools(wrapper: string): Promise<{ schools: number; otherwise: number }>;
  /** Some of the schools with keys under another name that is no held one. */
  wrappedOtherwise(wrapper: string, limit: number): Promise<string[]>;
  /** Schools that have more than one version of a key that is to be emptied; how many, and some of them. */
  several(kind: Kind, limit: number): Promise<{ count: number; oins: string[] }>;
  /** Schools whose newest key of this kind was made before; how many, and one of them that is none of these. */
  madeBefore(kind: Kind, ms: number, except: readonly string[]): Promise<{ count: number; oin: string | undefined }>;
  /** Schools whose keys are wrapped by one that is held elsewhere, and its name. */
  held(): Promise<{ oin: string; name: string }[]>;
  /** When the newest key of this kind was made that took the place of another; 0 = none did. Milliseconds. */
  renewedMs(kind: Kind): Promise<number>;
  /** Who is not forgotten, in the order of ids. */
  learnersAfter(oin: string, id: number, limit: number): Promise<{ id: number; token: string }[]>;
  textsAfter(oin: string, token: string, limit: number): Promise<string[]>;
  /** How many rows of a school stand under another version than the newest. */
  leftovers(oin: string): Promise<number>;
  /** Runs in the transaction of a group of calls. */
  run<T>(oin: string, work: (desk: Desk) => T): Promise<T>;
  /** Nobody else renews anything meanwhile; false when somebody does. */
  alone(work: () => Promise<void>): Promise<boolean>;
}

/** Learners, or texts, that are sealed anew in one transaction: some ten milliseconds. */
const LOT = 64;
const SCHOOLS_AT_ONCE = 10;
/** How long it reads on where nothing is to be done. */
const READING_MS = 50;
/** A school whose rows do not open is left for so long, so that the others go on. */
const SKIP_MS = 3_600_000;
/** One whose key is held elsewhere, where nobody answers, is tried again after this. */
const CLOSED_MS = 60_000;
/** Between two lots it rests so many times as long as one took: calls come first. */
const REST = 3;
const MOST_REST_MS = 500;

/** How far a school is read. */
interface Place {
  oin: string;
  /** After this id. */
  learner: number;
  /** After this token; undefined = the learners are not done. */
  text: string | undefined;
  passes: number;
}

export interface RotationOptions {
  store: RotationStore;
  ring: MasterRing;
  clock: Clock;
  nextKey: NextKey;
  /**
   * How long other processes get to read a new master key, and may hold it up when it is not there, before anything is
   * wrapped under it. Milliseconds; 0 = there are no others.
   */
  othersMs: number;
  /** Opens a new master key that is held elsewhere, so that `nextKey` finds it. */
  prepareNext?: () => Promise<void>;
  /** What is known of those who hold keys of schools is sealed under the master key that wraps now. Says whether it was not. */
  reseal?: () => Promise<boolean>;
}

export class KeyRotation {
  readonly #options: RotationOptions;
  readonly #skipped = new Map<string, number>();
  /** Schools that were not open when it was their turn, and when that was. */
  readonly #closed = new Map<string, number>();
  #busy = false;
  #place: Place | undefined;
  #stopped = false;

  constructor(options: RotationOptions) {
    this.#options = options;
  }

  /** Begins to renew. Throws `wire.invalid` for a kind that is none, `state.missing` where the new master key is not there. */
  async begin(kinds: readonly string[], oin: string): Promise<void> {
    const { store, clock } = this.#options;
    for (const [i, kind] of kinds.entries())
      if (kind !== 'master' && !rotationKinds.includes(kind as Kind))
        throw new GatewayError('wire.invalid', 'A kind of keys is master, data, index or pairwise.', {
          where: `kinds[${i}]`,
        });
    if (kinds.length === 0) throw new GatewayError('wire.invalid', 'Name a kind of keys.', { where: 'kinds' });
    if (oin !== '' && kinds.includes('master'))
      throw new GatewayError('wire.invalid', 'The master key is of all schools.', { where: 'school_oin' });
    const chosen = rotationKinds.filter((kind) => kinds.includes(kind));
    const now = clock.now();
    // Anything that the one before was not.
    const rotating = () => ({ rotating: now * 1000 + randomInt(1000) });
    await store.prepare();
    if (kinds.includes('master')) await this.#beginMaster(now);
    if (oin === '')
      // Past what was made in this millisecond.
      await store.putMeta({
        ...Object.fromEntries(chosen.map((kind) => [`rotate_${kind}_ms`, now + 1])),
        ...rotating(),
      });
    else {
      // Before, so that a kill leaves nothing undone; and after, for who has looked meanwhile and found nothing to do.
      await store.putMeta(rotating());
      await this.#renew(oin, chosen, now);
      await store.putMeta(rotating());
    }
    log('info', 'vault.rotation_begun', { kinds: kinds.join(' '), school_oin: oin });
  }

  async #beginMaster(now: number): Promise<void> {
    const { store, ring, nextKey } = this.#options;
    const meta = await store.meta();
    if (meta.has('next_check')) return;
    await this.#options.prepareNext?.();
    if (!keepUp(ring, meta, nextKey)) throw noNext();
    let next: ReturnType<typeof readNext>;
    try {
      next = readNext(nextKey, meta.get('vault_id') as Uint8Array, masterNumber(meta) + 1);
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown;
      throw new GatewayError(
        'state.conflict',
        'The new master key is no file of 64 hexadecimal digits, or of eduk key make, that only its owner can read (mode 0600).',
        { cause: thrown },
      );
    }
    const { current, doors } = ring;
    if (!next) throw noNext();
    if (next.check.equals(current!.check))
      throw new GatewayError('state.conflict', 'The key that was put beside the master key is the same one.');
    await store.putMeta({ next_check: next.check, next_kept: current!.handOver(next, doors), next_ms: now });
    ring.next = next;
  }

  async #renew(oin: string, kinds: readonly Kind[], madeMs: number): Promise<void> {
    const known = await this.#options.store.run(oin, ({ shelf }) => {
      const school = shelf.school(oin, false);
      const renewed = kinds.flatMap((kind) => rotations[kind]);
      if (school && renewed.length > 0) shelf.renewKeys(school, renewed, madeMs);
      return school !== undefined;
    });
    if (!known) throw new GatewayError('state.missing', 'The vault knows no such school.', { where: 'school_oin' });
  }

  async state(): Promise<Omit<ShowKeysResponse, 'held' | 'masterAt' | 'masterAwayMs' | 'masterClosed'>> {
    const { store } = this.#options;
    const meta = await store.meta();
    const master = masterNumber(meta);
    const at = (name: string) => BigInt(Math.floor(Number(meta.get(name) ?? 0)));
    const { schools, otherwise } = await store.countSchools(wrapperName(meta.has('next_check') ? master + 1 : master));
    return {
      master,
      schools,
      rotating: meta.has('rotating') || meta.has('next_check'),
      heldMs: meta.has('next_check') ? at('next_held_ms') : 0n,
      skipped: this.#skipped.size,
      keys: [
        {
          kind: 'master',
          askedMs: at('next_ms'),
          schoolsLeft: meta.has('next_check') ? otherwise : 0,
          renewedMs: at('master_ms'),
        },
        ...(await Promise.all(
          rotationKinds.map(async (kind) => {
            const askedMs = at(`rotate_${kind}_ms`);
            const [{ count: old }, { count: several }, renewedMs] = await Promise.all([
              askedMs === 0n ? { count: 0 } : store.madeBefore(kind, Number(askedMs), []),
              store.several(kind, 0),
              store.renewedMs(kind),
            ]);
            return { kind, askedMs, schoolsLeft: old + several, renewedMs: BigInt(renewedMs) };
          }),
        )),
      ],
    };
  }

  /** Nothing more after the lot that is under way. */
  stop(): void {
    this.#stopped = true;
  }

  /** Until nothing is left to do, resting between lots. */
  async run(): Promise<void> {
    for (let more = true; more && !this.#stopped; ) {
      const began = performance.now();
      more = await this.step();
      if (more) await sleep(Math.min(MOST_REST_MS, (performance.now() - began) * REST));
    }
  }

  /** One lot. False when nothing is left to do, or somebody else is at it. */
  async step(): Promise<boolean> {
    if (this.#busy) return false;
    this.#busy = true;
    try {
      return await this.#step();
    } finally {
      this.#busy = false;
    }
  }

  async #step(): Promise<boolean> {
    const { store, ring, nextKey, clock, prepareNext } = this.#options;
    // Whoever holds the master key does not let us have it.
    if (ring.isClosed) return false;
    const meta = await store.meta();
    const master = masterNumber(meta);
    const isNew = (check: string) => !ring.wraps.check.equals(Buffer.from((meta.get(check) as Uint8Array) ?? []));
    // Where this process has the key already, nobody is asked for it.
    if (isNew(meta.has('next_check') ? 'next_check' : 'check')) await prepareNext?.().catch(telling);
    if (meta.has('next_check') || ring.current?.name !== wrapperName(master))
      if (!keepUp(ring, meta, nextKey)) {
        log('error', 'vault.master_key_missing');
        if (meta.has('next_check')) await store.putMeta({ next_held_ms: clock.now() });
        return false;
      }
    const rotating = meta.get('rotating') as number | undefined;
    if ((rotating === undefined && !meta.has('next_check')) || this.#stopped) return false;
    let more = false;
    const mine = await store.alone(async () => {
      more = (await this.#wrap(meta)) || (await this.#empty()) || (await this.#renewNext(meta));
      if (!more && rotating !== undefined && !meta.has('next_check') && this.#skipped.size + this.#closed.size === 0)
        await store.settle(rotating);
    });
    return mine && more;
  }

  /** Some schools under the next master key, which is the current one when none is left. */
  async #wrap(meta: Meta): Promise<boolean> {
    const { store, ring, clock, othersMs } = this.#options;
    if (!meta.has('next_check')) return false;
    const now = clock.now();
    const since = Math.max(Number(meta.get('next_ms')), Number(meta.get('next_held_ms') ?? 0));
    if (now - since < othersMs) return false;
    const oins = await store.wrappedOtherwise(ring.wraps.name, SCHOOLS_AT_ONCE);
    for (const oin of oins)
      await store.run(oin, ({ shelf }) => {
        const school = shelf.school(oin, false)!;
        // Held elsewhere meanwhile: then the master key has no part in it.
        if (!school.lease) shelf.rewrapUnder(school, undefined);
      });
    if (oins.length > 0 || (await this.#options.reseal?.())) return true;
    await store.putMeta({
      master: masterNumber(meta) + 1,
      check: meta.get('next_check')!,
      kept: meta.get('next_kept')!,
      master_ms: now,
      // Somebody made this key on purpose.
      dev_key: 0,
      next_check: undefined,
      next_kept: undefined,
      next_ms: undefined,
      next_held_ms: undefined,
    });
    if (ring.next) ring.advance();
    log('info', 'vault.master_replaced', { master: masterNumber(meta) + 1 });
    return true;
  }

  /** The next lot of a school that has more than one version of a key; the older ones go when nothing is left under them. */
  async #empty(): Promise<boolean> {
    const { store, clock } = this.#options;
    const now = clock.now();
    for (const [oin, atMs] of this.#skipped) if (now - atMs >= SKIP_MS) this.#skipped.delete(oin);
    for (const [oin, atMs] of this.#closed) if (now - atMs >= CLOSED_MS) this.#closed.delete(oin);
    const waits = (oin: string) => this.#skipped.has(oin) || this.#closed.has(oin);
    const waiting = this.#skipped.size + this.#closed.size;
    let oin = this.#place?.oin;
    if (oin === undefined) {
      const several = await Promise.all(rotationKinds.map((kind) => store.several(kind, waiting + 1)));
      oin = several.flatMap(({ oins }) => oins).find((one) => !waits(one));
      if (oin === undefined) return false;
    }
    this.#place ??= { oin, learner: 0, text: undefined, passes: 0 };
    try {
      const began = performance.now();
      // What another process has done already is only read.
      while (!(await this.#emptyLot(oin, this.#place)) && performance.now() - began < READING_MS);
    } catch (thrown) {
      this.#place = undefined;
      if (thrown instanceof ClosedSchool) {
        this.#closed.set(oin, now);
        return true;
      }
      // A database that is away comes back; what does not open is looked at by somebody.
      if (thrown instanceof GatewayError && thrown.fault !== 'gateway.bug') throw thrown;
      this.#skipped.set(oin, now);
      log('error', 'vault.rotation_failed', { school_oin: oin, ...describeError(thrown) });
    }
    return true;
  }

  /** Whether something was written. */
  async #emptyLot(oin: string, place: Place): Promise<boolean> {
    const { store } = this.#options;
    if (place.text === undefined) {
      const lot = await store.learnersAfter(oin, place.learner, LOT);
      if (lot.length > 0) {
        const changed = await store.run(oin, ({ shelf }) => {
          const school = shelf.school(oin, false)!;
          return each(lot, ({ token }) => resealLearner(shelf, school, token)).includes(true);
        });
        place.learner = lot.at(-1)!.id;
        return changed;
      }
      place.text = '';
    }
    const lot = await store.textsAfter(oin, place.text, LOT);
    if (lot.length > 0) {
      const changed = await store.run(oin, ({ shelf }) => {
        const school = shelf.school(oin, false)!;
        return each(lot, (token) => resealText(shelf, school, token)).includes(true);
      });
      place.text = lot.at(-1)!;
      return changed;
    }
    const newest = await store.run(oin, ({ shelf }) => newestVersions(shelf, shelf.school(oin, false)!));
    const left = await store.leftovers(oin);
    const keys =
      left > 0
        ? undefined
        : await store.run(oin, ({ shelf }) => {
            const school = shelf.school(oin, false)!;
            // They were renewed once more since it was looked for what is left.
            if (newestVersions(shelf, school) !== newest) return undefined;
            return shelf.dropOlder(school, emptied);
          });
    if (keys === undefined) {
      if (place.passes++ > 2) throw new GatewayError('gateway.bug', 'Rows of a school stay under a key that is to go.');
      place.learner = 0;
      place.text = undefined;
      return false;
    }
    this.#place = undefined;
    log('info', 'vault.keys_destroyed', { school_oin: oin, keys });
    return true;
  }

  /** New keys for the next school that is to have them. */
  async #renewNext(meta: Meta): Promise<boolean> {
    const { store } = this.#options;
    const due: { kind: Kind; oin: string; askedMs: number }[] = [];
    for (const kind of rotationKinds) {
      const askedMs = Number(meta.get(`rotate_${kind}_ms`) ?? 0);
      const { oin } =
        askedMs === 0 ? { oin: undefined } : await store.madeBefore(kind, askedMs, [...this.#closed.keys()]);
      if (oin !== undefined) due.push({ kind, oin, askedMs });
    }
    const first = due[0];
    if (!first) return false;
    const same = due.filter(({ oin }) => oin === first.oin);
    try {
      await this.#renew(
        first.oin,
        same.map(({ kind }) => kind),
        Math.max(...same.map(({ askedMs }) => askedMs)),
      );
    } catch (thrown) {
      // The others go on; this one when its key can be had again.
      if (!(thrown instanceof ClosedSchool)) throw thrown;
      this.#closed.set(first.oin, this.#options.clock.now());
    }
    return true;
  }
}

/** Of a holder that does not answer: without its key there is nothing to do but to say so. */
const telling = (thrown: unknown): void => log('warn', 'vault.master_holder_away', describeError(thrown));

const noNext = (): GatewayError =>
  new GatewayError(
    'state.missing',
    'There is no new master key: put it beside the old one on each machine with a vault, under its name with .next (mode 0600).',
  );

const newestVersions = (shelf: Shelf, school: School): string =>
  emptied.map((purpose) => shelf.key(school, purpose).version).join(' ');

/** All that is held of a learner, under the keys that seal now. Whether something was not. */
function resealLearner(shelf: Shelf, school: School, token: string): boolean {
  const learner = shelf.byToken(school, token);
  if (!learner) return false;
  const { rows } = shelf;
  let changed = shelf.rewrapSecret(school, learner);
  const { version } = shelf.key(school, 'index');
  for (const row of rows.numbers(school.id, learner.id)) {
    const column = ['ref', row.ordinal];
    const sealed = shelf.resealed(school, learner, 'numbers', column, row.sealed);
    const hashes = { eckId: row.eckId, lasKey: row.lasKey };
    if (shelf.olderVersions(school, 'index').length > 0) {
      const ref = LearnerRef.decode(shelf.openFor(school, learner, 'numbers', column, row.sealed));
      for (const [name, numberColumn] of NUMBERS) {
        const from = row[name];
        if (from === undefined) continue;
        const to = newest(shelf, school, learner, numberColumn, ref[name], from);
        if (to === from) continue;
        shelf.moveLookup(school, from, to, learner, version);
        hashes[name] = to;
      }
    }
    if (!sealed && hashes.eckId === row.eckId && hashes.lasKey === row.lasKey) continue;
    rows.write.putNumbers(school.id, learner.id, { ...row, ...hashes, sealed: sealed ?? row.sealed });
    changed = true;
  }
  for (const row of rows.names(school.id, learner.id)) {
    const sealed = shelf.resealed(school, learner, 'names', ['name', row.mark], row.sealed);
    if (!sealed) continue;
    rows.write.putNames(school.id, learner.id, { ...row, sealed });
    changed = true;
  }
  for (const part of ['birth', 'contact'] as const) {
    const held = rows.particulars(part, school.id, learner.id);
    const sealed = held && shelf.resealed(school, learner, part === 'birth' ? 'names' : 'contact', [part], held);
    if (!sealed) continue;
    rows.write.resealParticulars(part, school.id, learner.id, sealed);
    changed = true;
  }
  return changed;
}

const NUMBERS = [
  ['eckId', 'eck_id'],
  ['lasKey', 'las_key'],
] as const;

/** The same place of the index under its newest key. In which sector it stands is only known by trying. */
function newest(
  shelf: Shelf,
  school: School,
  { kind }: Learner,
  column: 'eck_id' | 'las_key',
  number: string,
  from: string,
): string {
  const slots = kind === 'staff' ? [FIRST] : [FIRST, ...school.sectors];
  for (const slot of slots) {
    const to = shelf.hash(school, kind, slot, column, number);
    if (to === from) return from;
    for (const version of shelf.olderVersions(school, 'index'))
      if (shelf.hash(school, kind, slot, column, number, version) === from) return to;
  }
  throw new GatewayError('gateway.bug', 'A number in the vault does not stand where it is looked for.');
}

function resealText(shelf: Shelf, school: School, token: string): boolean {
  const row = shelf.rows.text(school.id, token);
  const sealed = row && shelf.resealedText(school, token, row.sealed);
  if (!sealed) return false;
  shelf.rows.write.putText(school.id, { ...row, sealed });
  return true;
}
