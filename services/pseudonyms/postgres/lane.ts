import { randomInt } from 'node:crypto';
import { asGatewayError, ConfigError, describeError, GatewayError, logSeldom } from '#kernel';
import type { Call, Desk } from '../calls.ts';
import { Forgetting } from '../forgetting.ts';
import type { MasterRing, SchoolWrappers } from '../keys.ts';
import { MISSING } from '../rows.ts';
import { type School, Shelf } from '../shelf.ts';
import { Conflict, Connection } from './connection.ts';
import { Image } from './image.ts';
import type { PostgresLedger } from './ledger.ts';
import { holdSchools, load, readVersions, save, type Versions } from './statements.ts';

/** Calls that are answered together at most. */
const GROUP = 256;
/** How old the check may be on which an answer rests: longer, and the process stood still; then it looks again. */
const CONFIRMED_MS = 1_000;
/** Runs of one group at most. Each load and each lock brings it further; this only ends what never should begin. */
const MOST_RUNS = 100;

export interface LaneOptions {
  url: string;
  schema: string;
  master: MasterRing;
  /** Keys that schools hold; none by default. */
  held?: SchoolWrappers;
  clock: Desk['shelf']['clock'];
  maxCached: number;
  ledger: PostgresLedger;
}

/** While the database is away every group fails. */
const tell = logSeldom();

type Outcome = { answers: unknown[] } | { thrown: unknown };

/**
 * Answers calls, group by group, over one connection: a cache, an image and a queue of its own. A vault has several, each
 * for some of the schools, and does nothing between two of its lanes that it would not do between two replicas: what keeps
 * all of them right is the version of a school in the database. It changes with each change to anything of the school, in
 * the transaction of that change.
 *
 * A group is run on what the cache and the image hold. What it wants besides is loaded in one go, and it is run again. A
 * group that only read is answered when the versions, read after it was asked, are those of what it ran on; one that
 * writes takes the schools' rows for itself first, and if a version is another one then, runs again on what is so now,
 * with nobody else able to change it. So nothing that was destroyed before a call came is used to answer it.
 */
export class Lane {
  readonly #options: LaneOptions;
  readonly #image = new Image();
  readonly #desk: Desk;
  #connection: Connection | undefined;
  #queue: Call[] = [];
  #working: Promise<void> | undefined;
  /** Versions read since the group was begun, and when the oldest of them was asked for. */
  #confirmed: Versions = new Map();
  #confirmedMs = 0;
  /** Schools that this group's transaction has for itself; undefined when none is open. */
  #held: Set<number> | undefined;
  /** Some school is open no longer. */
  #isDropDue = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    const shelf = new Shelf(this.#image, options.master, options.clock, options.maxCached, options.held);
    this.#desk = { shelf, forgetting: new Forgetting(shelf) };
  }

  submit<T>(run: (desk: Desk) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run, resolve: resolve as (answer: unknown) => void, reject });
      this.#working ??= this.#work();
    });
  }

  /** Resolves when nothing is left to answer. */
  async idle(): Promise<void> {
    while (this.#working) await this.#working;
  }

  close(): void {
    this.#connection?.close();
  }

  /** Lets go of what others have changed since: a secret that was destroyed has no place in memory either, used or not. */
  async refresh(): Promise<void> {
    if (this.cached > 0) await this.submit(({ shelf }) => shelf.useAll());
  }

  /** Lets go of schools that are not open any more. */
  async dropClosed(): Promise<void> {
    // Before the next group: what a run stands on does not go while it runs.
    this.#isDropDue = true;
    await this.submit(() => undefined);
  }

  /** How many learners are cached. */
  get cached(): number {
    return this.#desk.shelf.cached;
  }

  async #work(): Promise<void> {
    // What arrives in one turn of the event loop, and later while a group is under way, goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#answer(this.#queue.splice(0, GROUP));
    this.#working = undefined;
  }

  async #answer(calls: readonly Call[], again = false): Promise<void> {
    try {
      const outcome = await this.#group(calls);
      if ('answers' in outcome) for (const [i, { resolve }] of calls.entries()) resolve(outcome.answers[i]);
      else if (calls.length === 1) calls[0]!.reject(outcome.thrown);
      // One of them is to blame. Each for itself, so that only that one fails.
      else for (const call of calls) await this.#answer([call]);
    } catch (thrown) {
      // A connection that was cut while nobody looked, or a server that came back: once more on a new one. Every call can be
      // made twice, whether or not the first time was committed.
      if (!again && (thrown instanceof Conflict || asGatewayError(thrown).fault === 'gateway.unavailable'))
        return this.#answer(calls, true);
      const error =
        thrown instanceof ConfigError ? new GatewayError('gateway.unavailable', undefined, { cause: thrown }) : thrown;
      tell('warn', 'vault.group_failed', { calls: calls.length, ...describeError(error) });
      for (const { reject } of calls) reject(error);
    }
  }

  /** Throws when we could not find out; nothing of the group counts then, unless the cut came after the commit. */
  async #group(calls: readonly Call[]): Promise<Outcome> {
    const { shelf, forgetting } = this.#desk;
    const image = this.#image;
    if (this.#isDropDue) shelf.dropClosed();
    this.#isDropDue = false;
    this.#confirmed.clear();
    try {
      for (let runs = 0; runs < MOST_RUNS; runs++) {
        const outcome = this.#run(calls);
        const used = [...shelf.used];
        if (image.missing) {
          await this.#load(used);
          continue;
        }
        const failed = 'thrown' in outcome;
        if (failed || !image.writing) {
          if (!this.#fresh(used) && !(await this.#confirm(used))) {
            this.#takeBack();
            continue;
          }
          if (failed) this.#takeBack();
          else shelf.settle();
          return outcome;
        }
        if (!(await this.#hold(used))) {
          this.#takeBack();
          continue;
        }
        try {
          await this.#save(used);
        } catch (error) {
          if (!(error instanceof Conflict)) throw error;
          // A school that somebody else has just made: it is loaded next time.
          this.#takeBack();
          await this.#release();
          for (const school of used) this.#drop(school);
          image.clear();
          continue;
        }
        shelf.settle();
        return outcome;
      }
      throw new GatewayError('gateway.bug', 'A group of calls to the vault comes to no end.');
    } catch (error) {
      this.#takeBack();
      // Nobody knows whether a commit under way came through, so nothing that it would have changed may stay.
      shelf.clear();
      throw error;
    } finally {
      forgetting.takeDecided();
      image.clear();
      await this.#release();
    }
  }

  #run(calls: readonly Call[]): Outcome {
    try {
      return { answers: calls.map(({ run }) => this.#each(run)) };
    } catch (thrown) {
      return { thrown };
    }
  }

  /** A call that misses a row does not keep the next from naming what it wants. What it answers is never looked at. */
  #each(run: Call['run']): unknown {
    try {
      return run(this.#desk);
    } catch (thrown) {
      // After a miss anything may be thrown: the run saw nothing where something is.
      if (thrown === MISSING || this.#image.missing) return undefined;
      throw thrown;
    }
  }

  #takeBack(): void {
    this.#desk.shelf.undo();
    this.#image.undo();
    this.#desk.forgetting.takeDecided();
  }

  #drop(school: School): void {
    this.#desk.shelf.forgetSchool(school);
    this.#image.drop(school.id, school.oin);
  }

  async #open(): Promise<Connection> {
    if (!this.#connection?.usable) {
      this.#connection?.close();
      this.#connection = await Connection.open(this.#options.url, this.#options.schema);
    }
    return this.#connection;
  }

  async #load(used: readonly School[]): Promise<void> {
    const { wanted, idsWanted } = this.#image;
    this.#takeBack();
    const connection = await this.#open();
    const asked = performance.now();
    const { loaded, versions } = await load(
      connection,
      wanted,
      idsWanted,
      used.map(({ id }) => id),
      this.#held !== undefined,
    );
    // First what is no longer so goes, then comes what is.
    this.#compare(used, versions, asked);
    this.#image.take(wanted, loaded);
  }

  /** Whether all of these are as they were read. What is not is dropped. */
  #compare(used: readonly School[], versions: Versions, asked: number): boolean {
    if (this.#confirmed.size === 0) this.#confirmedMs = asked;
    let same = true;
    for (const school of used) {
      if (versions.get(school.id) === school.version) continue;
      this.#drop(school);
      same = false;
    }
    for (const [id, version] of versions) this.#confirmed.set(id, version);
    return same;
  }

  /** Whether the versions on which this run stands were read since the group began, and not long ago. */
  #fresh(used: readonly School[]): boolean {
    if (performance.now() - this.#confirmedMs > CONFIRMED_MS) this.#confirmed.clear();
    return used.every(({ id, version }) => this.#confirmed.get(id) === version);
  }

  async #confirm(used: readonly School[]): Promise<boolean> {
    const connection = await this.#open();
    const asked = performance.now();
    this.#confirmed.clear();
    const versions = await readVersions(
      connection,
      used.map(({ id }) => id),
    );
    return this.#compare(used, versions, asked) && this.#fresh(used);
  }

  /** Takes the schools that are written for this group alone. False when one is no longer as it was: then run again. */
  async #hold(used: readonly School[]): Promise<boolean> {
    const { dirty, schools } = this.#image.changes;
    const made = new Set(schools.map(({ id }) => id));
    const stored = used.filter(({ id }) => !made.has(id));
    if (this.#held && stored.every(({ id }) => !dirty.has(id) || this.#held!.has(id)))
      return this.#fresh(stored.filter(({ id }) => !this.#held!.has(id))) || this.#confirm(stored);
    // Locks are taken in the order of ids, all at once, so that two groups never wait for each other.
    const ids = [...new Set([...dirty, ...(this.#held ?? [])])].filter((id) => !made.has(id));
    await this.#release();
    const connection = await this.#open();
    const asked = performance.now();
    this.#held = new Set(ids);
    const versions = await holdSchools(connection, ids);
    const same = this.#compare(
      stored.filter(({ id }) => dirty.has(id)),
      versions,
      asked,
    );
    return same && (this.#fresh(stored) || this.#confirm(stored));
  }

  async #save(used: readonly School[]): Promise<void> {
    const { changes } = this.#image;
    const { clock, ledger } = this.#options;
    // Should the commit then fail, the ledger is right all the same: this was asked for.
    await ledger.append(this.#desk.forgetting.takeDecided(), clock.now());
    // Drawn, not counted up: a database that came back from a backup must not look like the one it is not.
    const version = randomInt(2 ** 48 - 1) + 1;
    await save(this.#connection!, changes, version, clock.now());
    this.#held = undefined;
    for (const school of used) if (changes.dirty.has(school.id)) school.version = String(version);
  }

  /** Ends the transaction, if one is open, without effect. */
  async #release(): Promise<void> {
    if (!this.#held) return;
    this.#held = undefined;
    await this.#connection?.rollback();
  }
}
