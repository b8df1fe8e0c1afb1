/**
 * Answers to reads, over PostgreSQL, by handlers that were written for rows at hand: a call runs against what has been
 * loaded for it; where it asks for more, that is loaded in one go and the call runs again. Handlers only read, so running
 * them again changes nothing; one that notes something runs at the owner of the service, within a group of it.
 */
import { asGatewayError, type Clock, GatewayError, type Implementation, stopIfLate, uuidText } from '#kernel';
import { type RunningCall, runningCall } from '../calls.ts';
import type { Core } from '../core.ts';
import { claimOf } from '../core.ts';
import type {
  AgeRow,
  EngineView,
  KeyValue,
  LaneTaken,
  ListOptions,
  LogRecord,
  ParkedRow,
  Stretch,
  Table,
  WaitingRow,
} from '../port.ts';
import { Missing, StoreFailure } from '../store.ts';
import { engineTables, parkedKeys, recordOf, waits } from '../tables.ts';
import { Rows } from '../unit.ts';
import { ages } from './ages.ts';
import type { Database, Pinned } from './connection.ts';
import { loadWanted, Together } from './load.ts';
import { lanesTaken, readLog } from './read.ts';
import { Snapshot } from './snapshot.ts';

/** The handler wants to write: it must run at the owner. */
export class WantsOwner extends Error {}

interface Call extends RunningCall {
  /** Changes of the rows that were known when the call began to load; another number = they may have changed. */
  change: number;
  /** Loads that its rows come from. */
  loads: number;
  /** How often its rows were thrown away because something had changed. */
  losses: number;
  /** What was loaded this very moment is taken as it is, even if something changed while it was on its way. */
  isFresh: boolean;
  /** All its rows are of one moment, until it has its answer or waits. */
  pinned: Pinned | undefined;
  snapshot: Snapshot;
  rows: Rows;
  /** Other things that were asked for, by name. */
  known: Map<string, unknown>;
  wanted: Map<string, (on: Pick<Database, 'cells'>) => Promise<unknown>>;
  /** Within a group of the owner. */
  core: Core | undefined;
}

/** Times one call is run: a handler that always asks for more is a bug. */
const RUNS = 2_000;
/** Calls at once whose rows are of one moment: each holds a connection, and the owner needs some as well. */
const PINNED = 3;

export class View implements EngineView {
  readonly #database: Database;
  readonly #together: Together;
  readonly service: string;
  readonly #tables: readonly Table[];
  readonly #clock: Clock;
  readonly #isOwner: () => boolean;
  readonly #listeners: ((touched: ReadonlySet<string>, elsewhere: boolean) => void)[] = [];
  #changes = 0;
  #pinned = 0;
  readonly #wantPins: (() => void)[] = [];

  constructor(options: {
    database: Database;
    service: string;
    tables: readonly Table[];
    clock: Clock;
    /** Whether this process is the owner of the service. */
    isOwner: () => boolean;
  }) {
    this.#isOwner = options.isOwner;
    this.#database = options.database;
    this.service = options.service;
    this.#together = new Together(options.database, options.service);
    this.#tables = [...engineTables, ...options.tables];
    this.#clock = options.clock;
  }

  /** Rows changed: what waits looks again. `elsewhere`: by another process, which does not say what. */
  changed(touched: ReadonlySet<string>, elsewhere: boolean): void {
    this.#changes += 1;
    // Outside any call: a listener has nothing to read here.
    runningCall.exit(() => {
      for (const listener of this.#listeners) listener(touched, elsewhere);
    });
  }

  /**
   * Runs `handler` until it finds all it asks for. Within a group of `core`, `Missing` is the group's business. `began`: when
   * the call came (monotonic milliseconds), where this is not the first time that it is run.
   */
  async run<T>(handler: () => T | Promise<T>, began?: number): Promise<T> {
    const call = this.#call(began);
    try {
      for (let runs = 0; runs < RUNS; runs++)
        try {
          return await runningCall.run(call, handler);
        } catch (thrown) {
          if (!(thrown instanceof Missing)) throw thrown;
          // Nobody waits for it: nothing more is asked of the database.
          stopIfLate();
          await this.#load(call);
        }
    } catch (thrown) {
      throw told(thrown);
    } finally {
      this.#unpin(call);
    }
    throw new GatewayError('gateway.bug', 'a question never stops asking');
  }

  /** The synchronous part of `handler`, within an open group of `core`: it may note. */
  runWithin<T>(core: Core, handler: () => T, began?: number): T {
    const call = this.#call(began);
    call.core = core;
    try {
      return runningCall.run(call, handler);
    } finally {
      // What goes on after the group reads like any other call.
      call.core = undefined;
    }
  }

  #call(began = performance.now()): Call {
    const snapshot = new Snapshot();
    const call: Call = {
      began,
      change: this.#changes,
      loads: 0,
      losses: 0,
      isFresh: false,
      pinned: undefined,
      snapshot,
      rows: new Rows(snapshot, this.#tables),
      known: new Map(),
      wanted: new Map(),
      core: undefined,
      fetch: () => (call.core === undefined ? this.#load(call, false) : undefined),
    };
    return call;
  }

  /** What it knows is old. */
  #forget(call: Call): void {
    call.change = this.#changes;
    call.loads = 0;
    call.snapshot = new Snapshot();
    call.rows = new Rows(call.snapshot, this.#tables);
    call.known.clear();
  }

  /** From here on all that it loads is of one moment. */
  async #pin(call: Call): Promise<void> {
    while (this.#pinned >= PINNED) await new Promise<void>((resolve) => this.#wantPins.push(resolve));
    this.#pinned += 1;
    try {
      // Before the moment: what is committed in between counts as a change.
      this.#forget(call);
      call.pinned = await this.#database.pinned();
    } catch (thrown) {
      this.#unpinned();
      throw thrown;
    }
  }

  #unpin(call: Call): void {
    const { pinned } = call;
    if (pinned === undefined) return;
    call.pinned = undefined;
    pinned.end();
    this.#unpinned();
  }

  #unpinned(): void {
    this.#pinned -= 1;
    this.#wantPins.shift()?.();
  }

  /** `mayPin`: not where it waits, because what comes while it waits is what it waits for. */
  async #load(call: Call, mayPin = true): Promise<void> {
    // Rows of several moments may contradict each other; and where something is committed all the time, a question that
    // began anew each time would never be answered.
    if (call.pinned === undefined && call.loads > 0 && call.change !== this.#changes) call.losses += 1;
    if (mayPin && call.pinned === undefined && call.losses > (call.loads > 0 ? 0 : 2)) await this.#pin(call);
    if (call.loads === 0 && call.pinned === undefined) call.change = this.#changes;
    const { wanted } = call;
    call.wanted = new Map();
    const found = await Promise.all([
      // What is of one moment is looked up by itself.
      loadWanted(call.pinned ?? this.#database, this.service, call.snapshot, call.pinned ? undefined : this.#together),
      ...[...wanted].map(async ([name, load]) => {
        call.known.set(name, await load(call.pinned ?? this.#database));
        return 1;
      }),
    ]);
    // Another call asked for it, and this one only waited for the answer.
    const statements = found.reduce((sum, one) => sum + one, 0);
    if (statements === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    call.loads += 1;
    // Several statements are of several moments.
    if (mayPin && call.pinned === undefined && statements > 1 && call.change !== this.#changes) return;
    call.isFresh = true;
    setImmediate(() => {
      call.isFresh = false;
    });
  }

  /** The call that is being answered, with what it knows brought up to date. */
  #now(): Call {
    const call = runningCall.getStore() as Call | undefined;
    if (call?.snapshot === undefined) throw new GatewayError('gateway.bug', 'rows are read within a call only');
    if (call.change !== this.#changes && !call.isFresh && call.pinned === undefined && call.core === undefined) {
      if (call.loads > 0) call.losses += 1;
      this.#forget(call);
    }
    return call;
  }

  /** `load` may look at the moment that the call's rows are of. */
  #ask<T>(name: string, load: (on: Pick<Database, 'cells'>) => Promise<T>): T {
    const call = this.#now();
    if (call.known.has(name)) return call.known.get(name) as T;
    call.wanted.set(name, load);
    throw Missing.one;
  }

  get<Row extends object>(table: Table<Row>, ...key: KeyValue[]): Readonly<Row> | undefined {
    const call = this.#now();
    return (call.core ?? call.rows).get(table, ...key);
  }

  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[] {
    const call = this.#now();
    return (call.core ?? call.rows).list(table, options);
  }

  mayWait(): void {
    if (!this.#isOwner()) throw new WantsOwner();
    const call = this.#now();
    // What it goes to wait for may have come while it looked.
    this.#unpin(call);
    call.isFresh = false;
    call.losses = 0;
  }

  note(write: Parameters<EngineView['note']>[0]): void {
    const { core } = this.#now();
    if (core === undefined) throw new WantsOwner();
    core.noteWithin(write);
  }

  onCommit(listener: (touched: ReadonlySet<string>, elsewhere: boolean) => void): void {
    this.#listeners.push(listener);
  }

  now(): number {
    return this.#clock.now();
  }

  flowOf(reference: Parameters<EngineView['flowOf']>[0]): string | undefined {
    const claim = claimOf(reference.partyOin, reference.method, reference.referenceKey);
    const hex = Buffer.from(claim).toString('hex');
    return this.#ask(`flow ${hex}`, async () => {
      const [row] = await this.#database.query<{ flow: Buffer; until_ms: number }>(
        'SELECT flow, until_ms FROM bus.references WHERE claim = $1',
        [Buffer.from(claim)],
      );
      return row === undefined || row.until_ms <= this.#clock.now() ? undefined : uuidText(row.flow);
    });
  }

  lanes(consumer: string): readonly LaneTaken[] {
    if (!this.#isOwner()) throw new WantsOwner();
    return this.#ask(`lanes ${consumer}`, (on) => lanesTaken(on, consumer));
  }

  log(of: readonly Stretch[], atMost: { most: number; bytes: number }): readonly LogRecord[] {
    if (!this.#isOwner()) throw new WantsOwner();
    return this.#ask(`log ${JSON.stringify(of)}`, (on) => readLog(on, of, atMost));
  }

  ages(): readonly AgeRow[] {
    return this.#ask('ages', () => ages(this.#database, this.#clock.now()));
  }

  /** Of every service: the engine's rows lie in one place. */
  waiting({ consumer, what, scope, limit = 100 }: Parameters<EngineView['waiting']>[0]): readonly WaitingRow[] {
    const consumers =
      consumer === undefined
        ? this.#ask('consumers', async () =>
            (
              await this.#database.query<{ consumer: string }>('SELECT DISTINCT consumer FROM bus.consumers ORDER BY 1')
            ).map((row) => row.consumer),
          )
        : [consumer];
    const rows = consumers.flatMap((name) =>
      what === undefined
        ? this.list(waits, { equals: scope === undefined ? [name] : [name, scope], limit })
        : this.list(waits, {
            index: 'what',
            equals: [name, what, ...(scope === undefined ? [] : [scope])],
            limit,
          }),
    );
    return rows.slice(0, limit).map((row) => ({
      consumer: row.consumer,
      what: row.what,
      scope: row.scope,
      record: recordOf(row),
      sinceMs: row.sinceMs,
      deadlineMs: row.deadlineMs,
    }));
  }

  parked(limit = 100): readonly ParkedRow[] {
    return this.list(parkedKeys, { equals: [], limit }).map(
      ({ consumer, stream, key, code, sinceMs, flowId, firstSeq, nextSeq }) => ({
        consumer,
        stream,
        key,
        code,
        sinceMs,
        events: nextSeq - firstSeq,
        flowId,
      }),
    );
  }
}

/** A database that failed is told by what that means for the caller: one that is away comes back. */
const told = (thrown: unknown): unknown =>
  thrown instanceof StoreFailure && !(thrown instanceof Missing) ? asGatewayError(thrown.cause) : thrown;

/** How a call that must run at the owner gets there. */
export interface OwnerCalls {
  /** Runs the handler's synchronous part within a group of the owner in this process; undefined = the owner is elsewhere. */
  here<T>(service: string, handler: () => T, began: number): Promise<T> | undefined;
  /** Sends the call to the process that owns the service. Rejects `gateway.unavailable` when there is none. */
  elsewhere(
    service: string,
    definition: Implementation['definition'],
    method: string,
    request: unknown,
  ): Promise<unknown>;
}

/** Handlers that load what they ask for. */
export const overDatabase = (
  view: View,
  service: string,
  implementation: Implementation,
  owners: OwnerCalls,
): Implementation => ({
  definition: implementation.definition,
  handlers: Object.fromEntries(
    Object.entries(implementation.handlers).map(([method, handler]) => [
      method,
      async (request: unknown) => {
        // However often it is run: who waits for so long waits from here.
        const began = performance.now();
        for (let runs = 0; runs < RUNS; runs++) {
          try {
            return await view.run(() => handler(request), began);
          } catch (thrown) {
            if (!(thrown instanceof WantsOwner)) throw thrown;
          }
          const here = owners.here(service, () => handler(request), began);
          if (here === undefined) return owners.elsewhere(service, implementation.definition, method, request);
          try {
            return await here;
          } catch (thrown) {
            // What it noted is kept; the rest of it goes on as a question.
            if (!(thrown instanceof Missing || thrown instanceof WantsOwner)) throw told(thrown);
          }
        }
        throw new GatewayError('gateway.bug', 'a question never stops asking');
      },
    ]),
  ),
});
