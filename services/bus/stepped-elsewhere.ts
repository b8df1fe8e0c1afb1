import type { Clock } from '#kernel';
import { Core, type EntryOutcome } from './core.ts';
import type { AgeRow, EngineView, LogRecord, ServiceModule, Table } from './port.ts';
import type { GroupPlan } from './stepped.ts';
import type { AppendedRecord, LaneRow, Store } from './store.ts';
import { stretchesOf } from './stretches.ts';
import { engineTables, type PositionRow, positions } from './tables.ts';

/** A log that is another system's, as it outlives every process: what was published, some of it more than once. */
export class SteppedLog {
  /** By lane: what a reader gets from the first offset on. */
  readonly lanes = new Map<string, LogRecord[]>();
  /** By lane: number up to which a relay noted that it published. */
  readonly published = new Map<string, number>();
  /** Counts what was done, so that each process goes on with other chances. */
  turns = 0;
}

const laneOf = (stream: string, partition: number): string => `${stream}/${partition}`;

/** A store as several processes share it: numbers are given with the append, after the head that stands in the store. */
class Shared implements Store {
  readonly #store: Store;
  constructor(store: Store) {
    this.#store = store;
  }
  append(records: readonly AppendedRecord[]): void {
    const heads = new Map(this.#store.lanes().map((lane) => [laneOf(lane.stream, lane.partition), { ...lane }]));
    const touched = new Map<string, LaneRow>();
    const numbered = records.map((record) => {
      const name = laneOf(record.stream, record.partition);
      const lane = heads.get(name) ?? { stream: record.stream, partition: record.partition, head: 0, first: 1 };
      heads.set(name, lane);
      touched.set(name, lane);
      lane.head += 1;
      return { ...record, number: lane.head };
    });
    this.#store.append(numbered, [...touched.values()]);
  }
  lanes = () => this.#store.lanes();
  get: Store['get'] = (layout, key) => this.#store.get(layout, key);
  list: Store['list'] = (layout, options) => this.#store.list(layout, options);
  reference: Store['reference'] = (claim) => this.#store.reference(claim);
  read: Store['read'] = (stream, partition, after, limit) => this.#store.read(stream, partition, after, limit);
  begin = () => this.#store.begin();
  claim: Store['claim'] = (reference, nowMs) => this.#store.claim(reference, nowMs);
  write: Store['write'] = (layout, changes) => this.#store.write(layout, changes);
  commit = () => this.#store.commit();
  rollback = () => this.#store.rollback();
  cleanLane: Store['cleanLane'] = (lane, through, beforeMs, limit) =>
    this.#store.cleanLane(lane, through, beforeMs, limit);
  cleanReferences: Store['cleanReferences'] = (nowMs, limit) => this.#store.cleanReferences(nowMs, limit);
  settle = () => this.#store.settle();
  freeBytes = () => this.#store.freeBytes();
  close = () => this.#store.close();
}

/** One service, and how far it read each lane of the log. */
interface Owner {
  module: ServiceModule;
  core: Core;
  streams: ReadonlySet<string>;
  offsets: Map<string, number>;
  /** Lanes of which a record is nowhere to be had. */
  lost: Set<string>;
}

/** How often what can go wrong on the way does. */
const CHANCES = { relayForgets: 0.15, relayRepeats: 0.1, tailIsLost: 0.03, readerGoesBack: 0.1, ownerMoves: 0.02 };
const RELAYED = 40;
const FETCHED = 60;
const HEALED = 200;
const IN_VAIN = 6;
const REREAD = 4;

/**
 * The same deciders with the log elsewhere, for simulations: doors put messages into the store, relays publish what stands
 * there, each service is an engine of its own that reads the log at least once. All in one thread, a step at a time; which
 * step is next, and what goes wrong with it, is chance that `SteppedLog.turns` decides.
 */
export class SteppedElsewhere {
  readonly turn = 0;
  readonly #store: Store;
  readonly #log: SteppedLog;
  readonly #clock: Clock;
  readonly #modules: readonly ServiceModule[];
  readonly #door: Core;
  readonly #owners: Owner[];

  constructor(options: { store: Store; log: SteppedLog; modules: readonly ServiceModule[]; clock: Clock }) {
    this.#store = new Shared(options.store);
    this.#log = options.log;
    this.#clock = options.clock;
    this.#modules = options.modules;
    this.#door = this.#open([]);
    this.#owners = options.modules.map((module) => ({
      module,
      core: this.#door,
      streams: new Set(module.consumers.flatMap((consumer) => consumer.streams)),
      offsets: new Map(),
      lost: new Set(),
    }));
    for (const owner of this.#owners) this.#begin(owner);
  }

  #open(modules: readonly ServiceModule[]): Core {
    return new Core({ store: this.#store, modules, clock: this.#clock, logElsewhere: true });
  }

  /** From 0 up to 1; the next is another. */
  #chance(): number {
    this.#log.turns += 1;
    let t = Math.imul(this.#log.turns, 0x6d2b79f5);
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#chance() * from.length)]!;
  }

  /** Accepts in one transaction, then takes about `budget` steps, each a transaction of its own where it writes. */
  group({ entries, retries = [], budget }: GroupPlan): EntryOutcome[] {
    const outcomes = entries.length === 0 ? [] : this.#door.group(() => this.#door.accept(entries));
    for (const [consumer, stream, key] of retries)
      for (const owner of this.#owners)
        if (owner.module.consumers.some(({ name }) => name === consumer))
          this.#as(owner, (core) => void core.retryParked(consumer, stream, key));
    if (budget === undefined) return outcomes;
    for (let step = 0, inVain = 0; step <= budget; step++) {
      inVain = this.#step(budget) ? 0 : inVain + 1;
      // Looking everywhere costs more than a step, so it is done when steps find nothing.
      if (inVain >= IN_VAIN && !this.hasWork()) break;
    }
    return outcomes;
  }

  /** Whether there was something to do. */
  #step(budget: number): boolean {
    const what = this.#chance();
    if (what < 0.3) return this.#relay();
    if (what < 0.65) return this.#fetch(this.#pick(this.#owners));
    return this.#decide(this.#pick(this.#owners), budget);
  }

  /** A group of one service. Where it fails the owner begins again, as whoever does not know what was saved. */
  #as(owner: Owner, work: (core: Core) => void): void {
    try {
      owner.core.group(() => work(owner.core));
    } catch (thrown) {
      this.#begin(owner);
      throw thrown;
    }
  }

  /** Another process goes on with a service. It reads from a little before what it has to take next. */
  #begin(owner: Owner): void {
    owner.core = this.#open([owner.module]);
    owner.offsets = new Map();
    owner.lost = new Set();
    for (const [name, records] of this.#log.lanes) {
      const [stream, partition] = name.split('/') as [string, string];
      if (!owner.streams.has(stream)) continue;
      const through = owner.core.arrivedThrough(stream, Number(partition));
      const next = records.findIndex(({ number }) => number > through);
      owner.offsets.set(name, Math.max(0, (next < 0 ? records.length : next) - Math.floor(this.#chance() * REREAD)));
    }
  }

  #decide(owner: Owner, budget: number): boolean {
    if (!owner.core.hasWork()) return false;
    if (this.#chance() < CHANCES.ownerMoves) {
      this.#begin(owner);
      return true;
    }
    let asked = 0;
    const most = 1 + Math.floor(this.#chance() * (budget + 1));
    this.#as(owner, (core) => void core.run(() => ++asked <= most));
    return true;
  }

  /** Publishes what stands in a lane of the store and was not noted as published. */
  #relay(): boolean {
    const behind = this.#store.lanes().filter((lane) => this.#published(lane) < lane.head);
    if (behind.length === 0) return false;
    const { stream, partition, head } = this.#pick(behind);
    const name = laneOf(stream, partition);
    const from = this.#log.published.get(name) ?? 0;
    const records = this.#store.read(stream, partition, from, 1 + Math.floor(this.#chance() * RELAYED));
    const lane = this.#log.lanes.get(name) ?? [];
    this.#log.lanes.set(name, lane);
    lane.push(...records);
    // One that slept publishes again what another did meanwhile; it is never first with anything.
    if (from > 0 && this.#chance() < CHANCES.relayRepeats)
      lane.push(
        ...this.#store
          .read(stream, partition, Math.floor(this.#chance() * from), 5)
          .filter(({ number }) => number <= from),
      );
    if (this.#chance() < CHANCES.relayForgets) return true;
    // What is not in the store either, readers will miss.
    this.#log.published.set(name, records.at(-1)?.number ?? head);
    // A broker that says it has them and loses them: what is noted as published is not sent again by itself.
    if (this.#chance() < CHANCES.tailIsLost) lane.splice(Math.max(0, lane.length - 1 - Math.floor(this.#chance() * 3)));
    return true;
  }

  #published = ({ stream, partition }: { stream: string; partition: number }): number =>
    this.#log.published.get(laneOf(stream, partition)) ?? 0;

  /** Lanes of which the service has not read all that is published. */
  #behind({ core, offsets, streams, lost }: Owner): { stream: string; partition: number; name: string }[] {
    const lanes: { stream: string; partition: number; name: string }[] = [];
    for (const [name, published] of this.#log.published) {
      const slash = name.indexOf('/');
      const stream = name.slice(0, slash);
      if (!streams.has(stream) || lost.has(name)) continue;
      const partition = Number(name.slice(slash + 1));
      if (
        core.arrivedThrough(stream, partition) < published ||
        (offsets.get(name) ?? 0) < (this.#log.lanes.get(name)?.length ?? 0)
      )
        lanes.push({ stream, partition, name });
    }
    return lanes;
  }

  /** Reads on in a lane; what the log does not have is read from the store. */
  #fetch(owner: Owner): boolean {
    const { core, offsets } = owner;
    const behind = this.#behind(owner);
    if (behind.length === 0) return false;
    const { stream, partition, name } = this.#pick(behind);
    const lane = this.#log.lanes.get(name) ?? [];
    let offset = Math.min(offsets.get(name) ?? 0, lane.length);
    if (this.#chance() < CHANCES.readerGoesBack) offset = Math.floor(this.#chance() * offset);
    const page = lane.slice(offset, offset + 1 + Math.floor(this.#chance() * FETCHED));
    offsets.set(name, offset + page.length);
    const heal = (): void => {
      const from = core.arrivedThrough(stream, partition);
      for (const record of this.#store.read(stream, partition, from, HEALED)) core.arrived(record);
      // In neither place: the lane stops, loudly.
      if (core.arrivedThrough(stream, partition) > from) return;
      core.lost(stream, partition);
      owner.lost.add(name);
    };
    for (const record of page) if (!core.arrived(record)) heal();
    if (page.length === 0 && core.arrivedThrough(stream, partition) < this.#published({ stream, partition })) heal();
    return true;
  }

  hasWork(): boolean {
    return (
      this.#store.lanes().some((lane) => this.#published(lane) < lane.head) ||
      this.#owners.some((owner) => owner.core.hasWork() || this.#behind(owner).length > 0)
    );
  }

  nextDueMs(): number {
    return Math.min(Infinity, ...this.#owners.map(({ core }) => core.nextDueMs()));
  }

  /** Nothing: what is kept how long is the database's own here. */
  clean(): number {
    return 0;
  }

  /** Each group takes its own chances: it cannot be repeated. */
  turnTo(): void {
    // There is no order to set.
  }

  #coreOf(table: string): Core {
    return (this.#owners.find(({ module }) => module.tables.some(({ name }) => name === table)) ?? this.#owners[0]!)
      .core;
  }

  tables(): readonly Table[] {
    return [...engineTables, ...this.#modules.flatMap((module) => module.tables)];
  }

  rows(name: string): readonly object[] {
    const table = this.tables().find((one) => one.name === name);
    if (table === undefined) throw new Error(`no table is called ${name}`);
    return this.#coreOf(name).list(table as Table<object>, { equals: [] });
  }

  records(): LogRecord[] {
    return this.#store
      .lanes()
      .flatMap(({ stream, partition }) => this.#store.read(stream, partition, 0, Number.MAX_SAFE_INTEGER));
  }

  /** Events of a stream that a consumer has not taken, wherever they are. */
  #unread(consumer: string, stream: string): number {
    const taken = (this.rows(positions.name) as PositionRow[])
      .filter((row) => row.consumer === consumer && row.stream === stream)
      .reduce((sum, { number }) => sum + number, 0);
    return this.#store.lanes().reduce((sum, lane) => (lane.stream === stream ? sum + lane.head : sum), -taken);
  }

  /** As of all services; notes are those of delivery. */
  get view(): EngineView {
    const each = <T>(ask: (core: Core) => readonly T[]): T[] => this.#owners.flatMap(({ core }) => ask(core));
    return {
      get: (table, ...key) => this.#coreOf(table.name).get(table, ...key),
      list: (table, options) => this.#coreOf(table.name).list(table, options),
      onCommit: () => undefined,
      mayWait: () => undefined,
      waiting: (filter) => each((core) => core.waiting(filter)),
      // The rows of all consumers stand in one table, so that any of them knows all.
      parked: (limit) => this.#owners[0]!.core.parked(limit),
      ages: () =>
        each((core): AgeRow[] =>
          core.ages().map((age) => ({ ...age, unread: this.#unread(age.consumer, age.stream) })),
        ),
      now: () => this.#clock.now(),
      lanes: (consumer) => each((core) => core.lanes(consumer)),
      log: (of, atMost) =>
        stretchesOf(of, atMost, (stream, partition, after, limit) => this.#store.read(stream, partition, after, limit)),
      flowOf: (reference) => this.#door.flowOf(reference),
      note: (write) => this.#coreOf('delivery_mail').note(write),
    };
  }
}
