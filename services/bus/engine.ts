import { join } from 'node:path';
import {
  asGatewayError,
  type Clock,
  describeError,
  GatewayError,
  type Implementation,
  implement,
  log,
  systemClock,
} from '#kernel';
import { type AcceptRequest, type AcceptResponse, LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { Core, type EntryOutcome } from './core.ts';
import { checkEntry, gathered } from './entries.ts';
import { appendToLedger, ledgerOf, type Wants } from './ledger.ts';
import type { EngineView, ServiceModule } from './port.ts';
import { AcceptQueue, type Part } from './queue.ts';
import { CLEAN_CHUNK, LOG_WINDOW_MS, unclassed } from './retention.ts';
import { SqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';
import { engineTables } from './tables.ts';

export interface EngineOptions {
  modules: readonly ServiceModule[];
  /** Default: the system's. */
  clock?: Clock;
  /** Unread events above which `Accept` answers `gateway.overloaded`. Default 500,000. */
  outboxMax?: number;
  /** Bytes free on disk below which `Accept` answers `gateway.disk_full` while deciding goes on. Default 64 MiB. */
  freeBytesMin?: number;
}

/** An engine: log, deciders and their rows. */
export interface Engine {
  /** Reads, and what operators ask. */
  readonly view: EngineView;
  /** `eduk.bus.v1.LogService` and what the modules serve. */
  readonly implementations: readonly Implementation[];
  /** Begins to run units of work. Accepting works from then on too. */
  start(): void;
  /** Finishes what was taken in, writes everything out and closes. What is unread stays on the log for the next start. */
  stop(): Promise<void>;
  /** Removes now what has had its time, as the engine does by itself every minute. Answers how many records and references. */
  clean(): number | Promise<number>;
  /** For tests and tools: what `read` finds in `view`. */
  ask<T>(read: () => T): Promise<T>;
  /** For tests: runs until nothing is left to do now. Works without `start`. */
  runToIdle(): Promise<void>;
}

/** Entries in one group. */
const GROUP = 512;
/** Entries that may wait for a group, over all callers. */
const QUEUE_MAX = 50_000;
/** How long one turn decides before it commits and lets others in, milliseconds. */
const TURN_MS = 40;
const TURN_BUSY_MS = 5;
/** Bulk is taken slower from the first age of the oldest unread event, and at a trickle from the second, milliseconds. */
const SLOWER_MS = 500;
const TRICKLE_MS = 2000;
const TRICKLE_EVERY_MS = 250;
/** Bulk entries in one group while they are taken slower. */
const SLOW_GROUP = 64;
/** Unread events up to which deciders find the log in memory: above, bulk is taken slower too. */
const UNREAD_IN_MEMORY = 2000;
const CLEAN_EVERY_MS = 60_000;
/** How long `stop` goes on deciding. */
const DRAIN_MS = 2000;

/** Where the embedded engine keeps its file in a data folder. */
export const stateFile = (dataFolder: string): string => join(dataFolder, 'state.db');

/**
 * Opens or makes the file. Throws `ConfigError` when it is of a newer version, in use, or not ours. Records that `remembers`
 * wants stand in the list beside it before they are committed.
 */
export const openStore = (file: string, modules: readonly ServiceModule[], remembers?: Wants): SqliteStore =>
  new SqliteStore(
    file,
    [...engineTables, ...modules.flatMap((module) => module.tables)],
    remembers && { wants: remembers, append: (records) => appendToLedger(ledgerOf(file), records) },
  );

/** An engine on a file. */
export interface FileEngine extends Engine {
  /** Writes all that is committed at one moment into a new file, while everything goes on. */
  backup(file: string): Promise<void>;
  /** From now on `openBeside` may read the file; another gateway is still told that it is in use. */
  share(): void;
}

/** Opens the embedded engine on a file of its own; throws as `openStore`. */
export function openEngine(options: EngineOptions & { file: string; remembers?: Wants }): FileEngine {
  const store = openStore(options.file, options.modules, options.remembers);
  try {
    return { ...engineOver(store, options), backup: (file) => store.backup(file), share: () => store.share() };
  } catch (thrown) {
    store.close();
    throw thrown;
  }
}

/** The engine over any store. */
export function engineOver(store: Store, options: EngineOptions): Engine {
  const { modules } = options;
  const unknown = unclassed(modules.flatMap((module) => module.tables));
  if (unknown.length > 0)
    throw new GatewayError('gateway.bug', `these tables name no class of retention: ${unknown.join(', ')}`);
  const clock = options.clock ?? systemClock;
  const core = new Core({ store, modules, clock });
  const turns = new Turns(store, core, clock, options.outboxMax ?? 500_000, options.freeBytesMin ?? 64 << 20);
  const implementations = [logService(store, core, turns), ...modules.flatMap((module) => module.serve(core))];
  return {
    view: core,
    implementations,
    start: () => turns.start(),
    stop: () => turns.stop(),
    clean: () => turns.cleanAll(),
    ask: async (read) => read(),
    runToIdle: () => turns.runToIdle(),
  };
}

/** Decides when the core does what: groups of accepts and units share a transaction, and the event loop is free in between. */
class Turns {
  readonly #store: Store;
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #outboxMax: number;
  readonly #freeBytesMin: number;
  #hasRoom = true;
  #roomAt = Number.NEGATIVE_INFINITY;
  readonly #queue = new AcceptQueue();
  #state: 'new' | 'running' | 'stopping' | 'closed' = 'new';
  #scheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #cleaner: NodeJS.Timeout | undefined;
  /** Deciding rests until then after the store failed (monotonic milliseconds). */
  #restUntil = 0;
  #failures = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #oldestMs = 0;
  #oldestAt = Number.NEGATIVE_INFINITY;
  #trickledAt = Number.NEGATIVE_INFINITY;
  #unread = 0;
  #idle: (() => void)[] = [];

  constructor(store: Store, core: Core, clock: Clock, outboxMax: number, freeBytesMin: number) {
    this.#store = store;
    this.#core = core;
    this.#clock = clock;
    this.#outboxMax = outboxMax;
    this.#freeBytesMin = freeBytesMin;
    this.#unread = core.unread();
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'running';
    this.#cleaner = setInterval(() => this.#clean(), CLEAN_EVERY_MS);
    this.#cleaner.unref();
    this.kick();
  }

  /** Something may be there to do. */
  kick(): void {
    if (this.#scheduled || this.#state === 'closed') return;
    this.#scheduled = true;
    clearTimeout(this.#timer);
    // Calls that arrive together are gathered before the turn.
    setImmediate(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  accept(request: AcceptRequest): Promise<AcceptResponse> {
    const { entries } = request;
    if (this.#state === 'stopping' || this.#state === 'closed')
      throw new GatewayError('gateway.stopping', undefined, { retryAfterS: 5 });
    if (!this.#room()) throw new GatewayError('gateway.disk_full', undefined, { retryAfterS: 60 });
    if (this.#unread > this.#outboxMax || this.#queue.size + entries.length > QUEUE_MAX)
      throw new GatewayError('gateway.overloaded', undefined, { retryAfterS: 2 });
    for (const [i, entry] of entries.entries()) checkEntry(entry, `entries[${i}]`);
    return gathered(entries, this.#queue, () => this.kick());
  }

  /** Looked at once a second. */
  #room(): boolean {
    const now = performance.now();
    if (now - this.#roomAt > 1000) {
      this.#roomAt = now;
      this.#hasRoom = this.#store.freeBytes() >= this.#freeBytesMin;
    }
    return this.#hasRoom;
  }

  #turn(): void {
    if (this.#state === 'closed') return;
    const started = performance.now();
    const rests = started < this.#restUntil;
    let parts: Part[] = [];
    try {
      parts = this.#queue.take(GROUP, this.#bulkLimit(started));
      const decides = !rests && this.#state !== 'new' && (parts.length > 0 || this.#core.hasWork());
      if (parts.length === 0 && !decides) {
        this.#sleep(rests);
        return;
      }
      this.#group(parts, decides);
    } catch (thrown) {
      for (const part of parts) part.failed(thrown);
      this.#failed(thrown, parts.length);
    }
    this.#unread = this.#core.unread();
    this.kick();
    // After the answers have left.
    setImmediate(() => this.#settle());
  }

  #group(parts: readonly Part[], decides: boolean): void {
    // Larger groups write fewer pages; shorter ones answer a person sooner.
    const budgetMs = this.#queue.hasInteractive || parts.some(({ isBulk }) => !isBulk) ? TURN_BUSY_MS : TURN_MS;
    const accept = () => parts.map(({ entries }) => this.#core.accept(entries));
    let results: EntryOutcome[][];
    try {
      results = this.#core.group(() => {
        const taken = accept();
        const until = performance.now() + budgetMs;
        if (decides) this.#core.run(() => performance.now() < until);
        return taken;
      });
      if (decides) this.#failures = 0;
    } catch (thrown) {
      if (parts.length === 0 || !decides) throw thrown;
      // What cannot be decided must not keep others from being accepted, nor the other way round.
      this.#failed(thrown, 0);
      results = this.#core.group(accept);
    }
    for (const [i, part] of parts.entries()) part.done(results[i]!);
  }

  /** Deciding rests, longer each time; told once a second. */
  #failed(thrown: unknown, accepts: number): void {
    const now = performance.now();
    if (now - this.#toldAt > 1000) {
      this.#toldAt = now;
      log('error', 'group_failed', { accepts, ...describeError(asGatewayError(thrown)) });
    }
    this.#failures += 1;
    this.#restUntil = now + Math.min(5000, 25 * 2 ** this.#failures);
  }

  #settle(): void {
    if (this.#state === 'closed') return;
    try {
      this.#store.settle();
    } catch (thrown) {
      log('error', 'checkpoint_failed', describeError(thrown));
    }
  }

  #sleep(rests: boolean): void {
    const wait = rests
      ? this.#restUntil - performance.now()
      : this.#queue.size > 0
        ? TRICKLE_EVERY_MS / 5
        : this.#core.nextDueMs() - this.#clock.now();
    if (!rests && this.#queue.size === 0) for (const done of this.#idle.splice(0)) done();
    if (wait === Infinity || this.#state !== 'running') {
      if (this.#queue.size === 0 && !rests) return;
    }
    this.#timer = setTimeout(() => this.kick(), Math.min(60_000, Math.max(1, wait)));
  }

  /** Entries of bulk streams that the next group may take. */
  #bulkLimit(now: number): number {
    if (now - this.#oldestAt > 100) {
      this.#oldestAt = now;
      this.#oldestMs = this.#unread > 0 ? this.#core.oldestUnreadMs() : 0;
    }
    if (this.#oldestMs < SLOWER_MS && this.#unread < UNREAD_IN_MEMORY) return GROUP;
    if (this.#oldestMs < TRICKLE_MS && this.#unread < 2 * UNREAD_IN_MEMORY) return SLOW_GROUP;
    if (now - this.#trickledAt < TRICKLE_EVERY_MS) return 0;
    this.#trickledAt = now;
    return 1;
  }

  /** Removes what has had its time, a little at a time. */
  #clean(): void {
    if (this.#state !== 'running') return;
    try {
      if (this.#cleanSome() >= CLEAN_CHUNK) setImmediate(() => this.#clean());
    } catch (thrown) {
      log('error', 'cleaning_failed', describeError(thrown));
    }
  }

  #cleanSome(): number {
    const now = this.#clock.now();
    return this.#core.clean(now - LOG_WINDOW_MS, CLEAN_CHUNK) + this.#store.cleanReferences(now, CLEAN_CHUNK);
  }

  cleanAll(): number {
    let sum = 0;
    for (;;) {
      const removed = this.#cleanSome();
      sum += removed;
      if (removed === 0) return sum;
    }
  }

  async runToIdle(): Promise<void> {
    if (this.#state === 'new') this.#state = 'running';
    for (;;) {
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        this.kick();
      });
      if (this.#queue.size === 0 && !this.#core.hasWork()) return;
    }
  }

  async stop(): Promise<void> {
    if (this.#state === 'closed') return;
    const wasNew = this.#state === 'new';
    this.#state = 'stopping';
    clearInterval(this.#cleaner);
    const until = performance.now() + DRAIN_MS;
    if (!wasNew)
      while (
        performance.now() < until &&
        (this.#queue.size > 0 || (performance.now() >= this.#restUntil && this.#core.hasWork()))
      )
        await new Promise<void>((resolve) => {
          this.kick();
          setTimeout(resolve, 2);
        });
    this.#state = 'closed';
    clearTimeout(this.#timer);
    for (const part of this.#queue.take(Infinity, Infinity)) part.failed(new GatewayError('gateway.stopping'));
    this.#store.close();
  }
}

function logService(store: Store, core: Core, turns: Turns): Implementation {
  return implement(LogServiceDefinition, {
    accept: (request) => turns.accept(request),
    ages: () => ({
      ages: core.ages().map(({ consumer, stream, unread, oldestUnreadMs, parkedKeys, gap }) => ({
        consumer,
        stream,
        unread: BigInt(unread),
        oldestUnreadMs: BigInt(Math.round(oldestUnreadMs)),
        parkedKeys,
        gap,
      })),
      head: BigInt(core.head()),
      freeDiskBytes: BigInt(store.freeBytes()),
    }),
    listParked: ({ limit }) => ({
      parked: core.parked(limit || 100).map((row) => ({ ...row, sinceMs: BigInt(row.sinceMs) })),
    }),
    retryParked: ({ consumer, stream, key }) => {
      const found = core.group(() => core.retryParked(consumer, stream, key));
      turns.kick();
      return { found };
    },
  });
}
