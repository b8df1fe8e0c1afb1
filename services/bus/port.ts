/**
 * What a service sees of the log, on both engines. Services write deciders: functions of a record and of rows, which
 * answer with rows, events, timers and waits. Only the engine knows SQLite, PostgreSQL or Kafka.
 *
 * Promises: a unit of work covers one partition of one stream for one consumer; its rows, events, timers and position
 * are one transaction; per key records come in order, each exactly once into the rows (a record may be *decided* again
 * after a crash or a conflict, never *saved* again). A decider must therefore be a pure function of record, rows and
 * `unit.now`: no clocks, no randomness, no I/O.
 */
import { type Decoder, decodedWith, type Encoder, type Implementation } from '#kernel';
import { type EventName, type EventOf, events } from '#proto/events';

/** An event on the log, with its place. */
export interface LogRecord {
  stream: string;
  partition: number;
  /** Number in the lane, from 1, without gaps. */
  number: number;
  /** UUIDv7, 16 bytes. */
  id: Uint8Array;
  key: string;
  /** Name of the event message, such as `OrderSubmitted`. */
  type: string;
  /** Flow it belongs to, 36 characters. */
  flowId: string;
  /** OIN of the school it concerns; empty where none. */
  school: string;
  traceparent: string;
  /** When it was appended, Unix milliseconds. */
  timeMs: number;
  data: Uint8Array;
}

export type ColumnType = 'text' | 'int' | 'real' | 'blob' | 'json';

/** A table is data: the engines make it, compile its statements once, and load and save rows in batches. */
export interface Table<Row extends object = any> {
  /** `<service>_<things>`. */
  readonly name: string;
  readonly key: readonly (keyof Row & string)[];
  readonly columns: { readonly [K in keyof Row & string]: ColumnType };
  /** Name → columns. The key's columns are appended where missing, so that paging is stable. */
  readonly indexes: Readonly<Record<string, readonly (keyof Row & string)[]>>;
  /** Retention class, a name of eduk.core.v1.Retention. */
  readonly retention: string;
}

export function table<Row extends object>(definition: {
  name: string;
  key: readonly (keyof Row & string)[];
  columns: { readonly [K in keyof Row & string]: ColumnType };
  indexes?: Readonly<Record<string, readonly (keyof Row & string)[]>>;
  retention: string;
}): Table<Row> {
  return { indexes: {}, ...definition };
}

export type KeyValue = string | number | bigint;

export interface ListOptions {
  /** Index to use; absent = the key itself. */
  index?: string;
  /** Values of the key's or index's first columns that must match. */
  equals: readonly KeyValue[];
  /** Values of the columns after those (key or index order): rows strictly after them. */
  after?: readonly KeyValue[];
  /** Newest (largest) first. */
  descending?: boolean;
  limit?: number;
}

/** Reads as of the last commit. */
export interface Reader {
  get<Row extends object>(table: Table<Row>, ...key: KeyValue[]): Readonly<Row> | undefined;
  /** In the order of the key or index. */
  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[];
}

export interface AppendOptions {
  /** Default: the flow of the record being decided. */
  flowId?: string;
  /** Default: the school of the record being decided. */
  school?: string;
}

/** A message that knows how to encode itself: what ts-proto writes. */
export type MessageType<T> = Encoder<T>;

export interface TimerRow {
  /** Unique in the consumer; setting it again moves it. */
  id: string;
  atMs: number;
  /** Key whose order it joins. */
  key: string;
  /** What to do; the consumer's own words. */
  payload: string;
  /** Flow that set it. */
  flowId: string;
  school: string;
}

/** What a decider works with while it handles one record. Nothing of it counts if the decider throws or waits. */
export interface Unit extends Reader {
  /** Unix milliseconds; the same for a whole unit. */
  readonly now: number;
  /** A row as this unit has left it so far. */
  get<Row extends object>(table: Table<Row>, ...key: KeyValue[]): Readonly<Row> | undefined;
  /** Rows as they were before this record (earlier records of the unit included). */
  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[];
  /** Inserts or replaces. */
  put<Row extends object>(table: Table<Row>, row: Row): void;
  remove<Row extends object>(table: Table<Row>, ...key: KeyValue[]): void;
  /** Appends an event; `key` decides its lane. */
  append<T>(
    stream: string,
    type: string,
    message: MessageType<T>,
    value: T,
    key: string,
    options?: AppendOptions,
  ): void;
  /** This record cannot be decided before `what` is known: it rests, with later records of its scope behind it. Ends the handler. */
  wait(what: string, deadlineMs: number): never;
  /** Something became known: what rested for it is decided again, in order, within this consumer. */
  wake(what: string): void;
  setTimer(timer: { id: string; atMs: number; key: string; payload: string }): void;
  cancelTimer(id: string): void;
  /** Adds to a sum that `Consumer.settle` gets once for the whole group: what a thousand records add to is then one row written once. */
  gather(name: string, n: number): void;
}

/** A service's decider on some streams. */
export interface Consumer {
  /** Name of the service; unique. Positions are kept per consumer and lane. */
  readonly name: string;
  readonly streams: readonly string[];
  /**
   * Those of its streams that say what the others are judged by (who may receive): what was appended to them before is
   * taken before. Nothing else is taken while they are behind.
   */
  readonly first?: readonly string[];
  /** Types it handles; others of its streams are passed over. A type no consumer of the stream knows parks. */
  readonly types: readonly string[];
  handle(record: LogRecord, unit: Unit): void;
  /** A timer fired; `record.type` is `Timer` and `record.key` the timer's key. */
  onTimer?(timer: TimerRow, unit: Unit): void;
  /** What `wait` named did not come in time. Must decide now, usually by a refusal. */
  onDeadline?(record: LogRecord, what: string, unit: Unit): void;
  /**
   * The group's records are decided: what they gathered, by name, goes into rows within the same transaction. A sum is zero where one record took away
   * what another added, and not there where one did both; what a record gathered that threw or waits is not in them. `unit` is nobody's record: it has no flow. Where this throws the group is undone, and from then on
   * it is called within each record by itself, so that one that is ill parks and the others go on.
   */
  settle?(sums: ReadonlyMap<string, number>, unit: Unit): void;
  /** Records that stay behind a waiting one: those of the same scope. Default: the record's key. */
  scope?(record: LogRecord): string;
}

/** How far a consumer is, for operators. */
export interface AgeRow {
  consumer: string;
  stream: string;
  unread: number;
  /** Age of the oldest unread event, milliseconds; 0 = at the head. */
  oldestUnreadMs: number;
  parkedKeys: number;
  gap: boolean;
  /** Five of its keys were parked within a minute: it takes nothing until one is retried or the engine restarts. */
  stopped?: boolean;
}

export interface WaitingRow {
  consumer: string;
  /** What it lacks. */
  what: string;
  scope: string;
  record: LogRecord;
  sinceMs: number;
  deadlineMs: number;
}

export interface ParkedRow {
  consumer: string;
  stream: string;
  key: string;
  code: string;
  sinceMs: number;
  events: number;
  flowId: string;
}

/** How far a consumer is in one lane of the log, and what of the lane is kept. */
export interface LaneTaken {
  stream: string;
  partition: number;
  /** Number of the oldest record that is kept. What is not kept any more was appended before `LOG_WINDOW_MS` ago. */
  first: number;
  /** Number of the last record that the consumer took; 0 = none. */
  taken: number;
}

/** Numbers of one lane: above `after`, not above `through`. */
export interface Stretch {
  stream: string;
  partition: number;
  after: number;
  through: number;
}

/** What the engine gives a service besides its tables. */
export interface EngineView extends Reader {
  /**
   * After a commit; `touched` holds names of tables that changed. `elsewhere`: another process changed something of this
   * service, and `touched` is empty. A listener reads nothing.
   */
  onCommit(listener: (touched: ReadonlySet<string>, elsewhere: boolean) => void): void;
  /** Called by a handler before it waits for a change: where this process does not hear of changes, the call goes elsewhere. */
  mayWait(): void;
  /** In the order of their scopes; one scope's in the order of their arrival. */
  waiting(filter: { consumer?: string; what?: string; scope?: string; limit?: number }): readonly WaitingRow[];
  parked(limit?: number): readonly ParkedRow[];
  ages(): readonly AgeRow[];
  now(): number;
  /**
   * How far a consumer of this service is in each of its lanes, as of the last commit. Where processes share the work, who writes the
   * service's rows answers a call that asks this.
   */
  lanes(consumer: string): readonly LaneTaken[];
  /**
   * Records that the log still keeps, each lane's from the first on in order and without leaving one out: at most `most` of a lane and about
   * `bytes` of all together, and at least one where there is any. Answered where `lanes` is.
   */
  log(of: readonly Stretch[], atMost: { most: number; bytes: number }): readonly LogRecord[];
  /** The flow that a sender's reference stands for, 36 characters, from the moment its message was accepted until it is forgotten. */
  flowOf(reference: { partyOin: string; method: string; referenceKey: Uint8Array }): string | undefined;
  /**
   * Writes rows that are no event's outcome (notes, counters, marks of a reader): one small transaction. Never for what a decider owns.
   */
  note(write: (unit: Pick<Unit, 'get' | 'list' | 'put' | 'remove' | 'now'>) => void): void;
}

/** One business capability: tables, deciders, and answers to its own proto. */
export interface ServiceModule {
  readonly name: string;
  readonly tables: readonly Table[];
  readonly consumers: readonly Consumer[];
  /** Answers to reads; called once when the engine is up. */
  serve(engine: EngineView): readonly Implementation[];
}

/** Thrown by `unit.wait`; only engines catch it. */
export class Waiting extends Error {
  readonly what: string;
  readonly deadlineMs: number;
  constructor(what: string, deadlineMs: number) {
    super('waiting');
    this.name = 'Waiting';
    this.what = what;
    this.deadlineMs = deadlineMs;
  }
}

/** Appends an event by its name: stream and codec come from the contract. */
export function emit<N extends EventName>(
  unit: Unit,
  name: N,
  value: EventOf<N>,
  key: string,
  options?: AppendOptions,
): void {
  const { stream, codec } = events[name];
  unit.append(stream, name, codec as unknown as MessageType<EventOf<N>>, value, key, options);
}

/** What was decoded of a record, with the record: several consumers read it, one soon after the other. */
const event = Symbol('event');

/** The event in a record, decoded once; not to be changed. `name` must be the record's type. */
export function decoded<N extends EventName>(record: LogRecord, name: N): EventOf<N> {
  const of = record as LogRecord & { [event]?: unknown };
  of[event] ??= decodedWith(events[name].codec as Decoder<unknown>, record.data);
  return of[event] as EventOf<N>;
}
