import { type Client, type Clock, connect, dispatcher, newId, type ServiceDefinition, uuid7, uuidBytes } from '#kernel';
import { type EventName, type EventOf, events } from '#proto/events';
import { type Cell, type Cells, keyText, type Layout } from './cells.ts';
import { compareCells, orderOf, plain } from './compare.ts';
import { Core, type EntryOutcome, type NewEntry } from './core.ts';
import type {
  AgeRow,
  EngineView,
  ListOptions,
  LogRecord,
  MessageType,
  ParkedRow,
  Reader,
  ServiceModule,
  Table,
  WaitingRow,
} from './port.ts';
import type { AppendedRecord, Change, LaneRow, Reference, Store } from './store.ts';

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Rows of a table, and in each order that was asked for so far. */
class MemoryTable {
  readonly #rows = new Map<string, Cells>();
  readonly #sorted = new Map<string, Cells[]>();
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  get(id: string): Cells | undefined {
    return this.#rows.get(id);
  }

  set(id: string, cells: Cells | undefined): void {
    const before = this.#rows.get(id);
    if (cells === undefined) this.#rows.delete(id);
    else this.#rows.set(id, cells);
    for (const [index, rows] of this.#sorted) {
      const order = orderOf(this.#layout, index);
      if (before !== undefined) rows.splice(firstNotBefore(rows, order, before), 1);
      if (cells !== undefined) rows.splice(firstNotBefore(rows, order, cells), 0, cells);
    }
  }

  list({ index = '', equals, after, descending = false, limit = Infinity }: ListOptions): Cells[] {
    const order = orderOf(this.#layout, index);
    let rows = this.#sorted.get(index);
    if (rows === undefined) {
      rows = [...this.#rows.values()].sort((a, b) => compareRows(a, b, order));
      this.#sorted.set(index, rows);
    }
    // Where rows that match begin and end, by binary search: an index orders whole rows, so that none are alike.
    const prefix = equals.map(plain);
    let from = firstWhere(rows, (row) => comparePrefix(row, order, prefix) >= 0);
    let to = firstWhere(rows, (row) => comparePrefix(row, order, prefix) > 0);
    if (after !== undefined) {
      const past = [...prefix, ...after.map(plain)];
      if (descending) to = firstWhere(rows, (row) => comparePrefix(row, order, past) >= 0);
      else from = firstWhere(rows, (row) => comparePrefix(row, order, past) > 0);
    }
    if (descending) {
      // What is absent comes before no value, as in SQL.
      if (after !== undefined)
        while (
          from < to &&
          order.slice(prefix.length, prefix.length + after.length).some((at) => rows[from]![at] === null)
        )
          from += 1;
      return rows.slice(Math.max(from, to - limit), to).reverse();
    }
    return rows.slice(from, Math.min(to, from + limit));
  }
}

/** The first index for which `is` holds; it must hold for all after it. */
function firstWhere(rows: readonly Cells[], is: (row: Cells) => boolean): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (is(rows[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function compareRows(a: Cells, b: Cells, order: readonly number[]): number {
  for (const at of order) {
    const way = compareCells(a[at]!, b[at]!);
    if (way !== 0) return way;
  }
  return 0;
}

function comparePrefix(row: Cells, order: readonly number[], values: readonly Cell[]): number {
  for (let i = 0; i < values.length; i++) {
    const way = compareCells(row[order[i]!]!, values[i]!);
    if (way !== 0) return way;
  }
  return 0;
}

const firstNotBefore = (rows: readonly Cells[], order: readonly number[], row: Cells): number =>
  firstWhere(rows, (other) => compareRows(other, row, order) >= 0);

/** Log, references and rows in memory, for tests: what it keeps outlives the engine that used it, like a file. */
export class MemoryStore implements Store {
  readonly #tables = new Map<string, MemoryTable>();
  readonly #log = new Map<string, AppendedRecord[]>();
  readonly #lanes = new Map<string, LaneRow>();
  readonly #references = new Map<string, Reference>();
  #undo: (() => void)[] = [];

  lanes(): readonly LaneRow[] {
    return [...this.#lanes.values()].map((row) => ({ ...row }));
  }

  get(layout: Layout, key: readonly Cell[]): Cells | undefined {
    return this.#tables.get(layout.name)?.get(keyText(layout, key));
  }

  list(layout: Layout, options: ListOptions): readonly Cells[] {
    orderOf(layout, options.index ?? '');
    return this.#tables.get(layout.name)?.list(options) ?? [];
  }

  reference(claim: Uint8Array): Reference | undefined {
    return this.#references.get(hexOf(claim));
  }

  read(stream: string, partition: number, after: number, limit: number): readonly LogRecord[] {
    const records = this.#log.get(`${stream}/${partition}`) ?? [];
    const from = records.findIndex(({ number }) => number > after);
    return from < 0 ? [] : records.slice(from, from + limit);
  }

  begin(): void {
    this.#undo = [];
  }

  claim(reference: Reference, nowMs: number): Reference | undefined {
    const id = hexOf(reference.claim);
    const first = this.#references.get(id);
    if (first !== undefined && first.rememberUntilMs > nowMs) return first;
    this.#references.set(id, reference);
    this.#undo.push(() => (first === undefined ? this.#references.delete(id) : this.#references.set(id, first)));
    return undefined;
  }

  write(layout: Layout, changes: readonly Change[]): void {
    let of = this.#tables.get(layout.name);
    if (of === undefined) {
      of = new MemoryTable(layout);
      this.#tables.set(layout.name, of);
    }
    const table = of;
    for (const { key, cells } of changes) {
      const id = keyText(layout, key);
      const before = table.get(id);
      table.set(id, cells ?? undefined);
      this.#undo.push(() => table.set(id, before));
    }
  }

  append(records: readonly AppendedRecord[], lanes: readonly LaneRow[]): void {
    for (const record of records) {
      const id = `${record.stream}/${record.partition}`;
      const log = this.#log.get(id);
      const of = log ?? [];
      if (log === undefined) this.#log.set(id, of);
      of.push(record);
      this.#undo.push(() => of.pop());
    }
    for (const row of lanes) {
      const id = `${row.stream}/${row.partition}`;
      const before = this.#lanes.get(id);
      this.#lanes.set(id, { ...row });
      this.#undo.push(() => (before === undefined ? this.#lanes.delete(id) : this.#lanes.set(id, before)));
    }
  }

  commit(): void {
    this.#undo = [];
  }

  rollback(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }

  cleanLane(lane: LaneRow, through: number, beforeMs: number, limit: number): number {
    const log = this.#log.get(`${lane.stream}/${lane.partition}`) ?? [];
    let count = 0;
    while (count < log.length && count < limit && log[count]!.number <= through && log[count]!.timeMs < beforeMs)
      count += 1;
    log.splice(0, count);
    const row = this.#lanes.get(`${lane.stream}/${lane.partition}`);
    if (row) row.first += count;
    return count;
  }

  cleanReferences(nowMs: number, limit: number): number {
    const due = [...this.#references].filter(([, { rememberUntilMs }]) => rememberUntilMs <= nowMs).slice(0, limit);
    for (const [id] of due) this.#references.delete(id);
    return due.length;
  }

  settle(): void {
    // There is no journal.
  }

  freeBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  close(): void {
    // Kept, so that a test can open another engine on it.
  }

  /** For tests of what an engine does when its log is damaged: takes one record away. */
  lose(stream: string, partition: number, number: number): void {
    const log = this.#log.get(`${stream}/${partition}`) ?? [];
    const at = log.findIndex((record) => record.number === number);
    if (at >= 0) log.splice(at, 1);
  }
}

/** An event that a decider appended, or a test submitted. */
export interface BenchEvent<N extends EventName = EventName> {
  name: N;
  value: EventOf<N>;
  key: string;
  flowId: string;
  school: string;
  record: LogRecord;
}

export interface SubmitOptions {
  /** 36 characters; default a new one. */
  flowId?: string;
  school?: string;
}

/**
 * Runs modules over memory, so that deciders are tested through the port: submit, and read what they appended and what
 * rows they left. Everything is synchronous; time moves only by `advance`.
 */
export interface TestBench extends Reader {
  /** Appends an event and runs every consumer until nothing is left to do. Answers the flow id. */
  submit<N extends EventName>(name: N, value: Partial<EventOf<N>>, key: string, options?: SubmitOptions): string;
  /** As `submit`, without running: several can be submitted before `run`. */
  append<N extends EventName>(name: N, value: Partial<EventOf<N>>, key: string, options?: SubmitOptions): string;
  /** Runs every consumer until nothing is left to do now. */
  run(): void;
  /** What the deciders appended so far, in order; not what the test submitted. */
  events<N extends EventName>(name: N): BenchEvent<N>[];
  events(): BenchEvent[];
  /** Forgets the events so far, so that `events` answers only later ones. */
  clear(): void;
  /** Moves the clock and runs what is due: timers and deadlines, each at its own time. */
  advance(ms: number): void;
  /** The bench's time, Unix milliseconds. */
  now(): number;
  /** Accepts messages as a door would, with references; does not run. */
  accept(entries: readonly NewEntry[]): EntryOutcome[];
  waiting(filter?: { consumer?: string; what?: string; scope?: string; limit?: number }): readonly WaitingRow[];
  parked(): readonly ParkedRow[];
  ages(): readonly AgeRow[];
  retryParked(consumer: string, stream: string, key: string): boolean;
  /** Calls one of the modules' own services; `serve` is called once. */
  client<D extends ServiceDefinition>(definition: D): Client<D>;
  /** What the modules' `serve` were given. */
  readonly view: EngineView;
  /** Another engine over the same rows and log, as after a restart. */
  restart(): TestBench;
}

export interface BenchOptions {
  /** Unix milliseconds, or an RFC 3339 moment. Default 2026-08-17T08:00:00Z. */
  now?: number | string;
  /** Rows and log to go on with. */
  store?: Store;
}

export function testBench(module: ServiceModule | readonly ServiceModule[], options: BenchOptions = {}): TestBench {
  const modules = (Array.isArray(module) ? module : [module]) as readonly ServiceModule[];
  const given = options.now ?? '2026-08-17T08:00:00Z';
  let now = typeof given === 'number' ? given : Date.parse(given);
  const clock: Clock = { now: () => now };
  const store = options.store ?? new MemoryStore();
  let seen: LogRecord[] = store.lanes().flatMap(({ stream, partition }) => store.read(stream, partition, 0, Infinity));
  const core = new Core({ store, modules, clock, appended: (records) => seen.push(...records) });
  const submitted = new Set<string>();
  let transport: ReturnType<typeof dispatcher> | undefined;

  const run = (): void => {
    while (core.hasWork()) {
      const taken = core.group(() => core.run(() => true));
      if (taken === 0 && core.hasWork())
        throw new Error('the bench has work that it cannot do: see what is parked, stopped or missing');
    }
  };
  const append: TestBench['append'] = (name, value, key, more = {}) => {
    const { stream, codec } = events[name];
    const type = codec as unknown as MessageType<unknown> & { fromPartial(value: unknown): unknown };
    const flowId = more.flowId ?? newId();
    const data = type.encode(type.fromPartial(value)).finish();
    const id = uuid7(now);
    submitted.add(hexOf(id));
    core.group(() =>
      core.push({ stream, type: name, key, data, id, flowId, school: more.school ?? '', traceparent: '', timeMs: now }),
    );
    return flowId;
  };
  const bench: TestBench = {
    append,
    run,
    submit(name, value, key, more) {
      const flowId = append(name, value, key, more);
      run();
      return flowId;
    },
    events(name?: EventName): BenchEvent[] {
      return seen
        .filter(
          (record) =>
            !submitted.has(hexOf(record.id)) &&
            (name === undefined || record.type === name) &&
            Object.hasOwn(events, record.type),
        )
        .map((record) => ({
          name: record.type as EventName,
          value: events[record.type as EventName].codec.decode(record.data),
          key: record.key,
          flowId: record.flowId,
          school: record.school,
          record,
        })) as BenchEvent[];
    },
    clear() {
      seen = [];
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        run();
        const due = core.nextDueMs();
        if (due > end) break;
        now = Math.max(now, due);
      }
      now = end;
      run();
    },
    now: () => now,
    accept: (entries) => {
      for (const { flowId } of entries) submitted.add(hexOf(flowId));
      return core.group(() => core.accept(entries));
    },
    get: (table, ...key) => core.get(table, ...key),
    list: <Row extends object>(table: Table<Row>, listOptions: ListOptions) => core.list(table, listOptions),
    waiting: (filter = {}) => core.waiting(filter),
    parked: () => core.parked(),
    ages: () => core.ages(),
    retryParked(consumer, stream, key) {
      const found = core.group(() => core.retryParked(consumer, stream, key));
      run();
      return found;
    },
    client(definition) {
      transport ??= dispatcher(modules.flatMap((one) => one.serve(core)));
      return connect(definition, transport);
    },
    view: core,
    restart: () => testBench(modules, { now, store }),
  };
  return bench;
}

/** 16 bytes of a flow id in its usual form. Throws when it is none. */
export function flowBytes(flowId: string): Uint8Array {
  const bytes = uuidBytes(flowId);
  if (bytes === undefined) throw new Error('a flow id is a UUID');
  return bytes;
}
