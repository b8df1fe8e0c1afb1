import {
  asGatewayError,
  type Clock,
  describeError,
  GatewayError,
  log,
  PARTITIONS,
  partitionOf,
  sha256,
  uuid7,
  uuidText,
} from '#kernel';
import { events } from '#proto/events';
import type {
  AgeRow,
  Consumer,
  EngineView,
  LaneTaken,
  ListOptions,
  LogRecord,
  ParkedRow,
  Reader,
  ServiceModule,
  Stretch,
  Table,
  TimerRow,
  Unit,
  WaitingRow,
} from './port.ts';
import { Waiting } from './port.ts';
import { type AppendedRecord, type LaneRow, Missing, type Reference, type Store, StoreFailure } from './store.ts';
import { stretchesOf } from './stretches.ts';
import {
  engineTables,
  NEVER,
  type ParkedKeyRow,
  parkedIn,
  parkedKeys,
  parkedRecords,
  positions,
  recordOf,
  scopes,
  type TimerTableRow,
  timers,
  type WaitRow,
  type WakeRow,
  waitingIn,
  waits,
  wakes,
} from './tables.ts';
import { type Pending, RecordUnit, Rows } from './unit.ts';

/** An event to accept. */
export interface NewEvent {
  stream: string;
  type: string;
  key: string;
  data: Uint8Array;
}

/** A message to accept: its claim and its events. */
export interface NewEntry {
  /** 16 bytes. */
  flowId: Uint8Array;
  partyOin: string;
  method: string;
  /** Empty = the message has no reference and is new each time. */
  referenceKey: Uint8Array;
  digest: Uint8Array;
  digestVersion: number;
  rememberDays: number;
  events: readonly NewEvent[];
  answer: Uint8Array;
  schoolOin: string;
  traceparent: string;
}

export interface EntryOutcome {
  taken: 'accepted' | 'repeated' | 'conflict';
  answer: Uint8Array;
  flowId: Uint8Array;
}

/** A lane, and its newest records as long as somebody has still to read them. */
interface Lane extends LaneRow {
  /** Records from `tailFirst` to `head`. */
  tail: LogRecord[];
  tailFirst: number;
  seats: Seat[];
  /** The record after `head` is nowhere to be had. */
  lost: boolean;
  /** With the log elsewhere: number of the newest record that was appended, as far as we were told; it may not have arrived. */
  announced: number;
}

/** A consumer in a lane. */
interface Seat {
  member: Member;
  lane: Lane;
  /** Number of the last record taken, as the open group leaves it. */
  position: number;
  committed: number;
  gap: boolean;
  moved: boolean;
}

/** A consumer, with what the engine remembers of it. */
interface Member {
  consumer: Consumer;
  name: string;
  types: ReadonlySet<string>;
  seats: Seat[];
  /** What its records gathered in the open group. */
  sums: Map<string, number>;
  /** Whether something of it waits or is parked; looked up again when `unsure`. */
  waiting: boolean;
  parked: boolean;
  unsure: boolean;
  /** What its waiting records lack, and perhaps more; absent = to be looked up. */
  wanted: Set<string> | undefined;
  /** Size of `wanted` from which it is looked up again: it only grows. */
  wantedMost: number;
  /** When keys were parked lately, by stream. */
  parkedAt: Map<string, number[]>;
  stopped: Set<string>;
}

/** Stream name under which fired timers rest. */
const TIMERS = 'timers';
const TIMER_TYPE = 'Timer';
/** Records of one lane in one unit of work. */
const UNIT = 128;
/** Resting records taken up in one go. */
const RESUME = 64;
/** How much a consumer's `wanted` may grow beyond twice what it was. */
const WANTED = 50_000;
/** Newest records that are kept in memory until everybody read them. */
const TAIL_RECORDS = 20_000;
const TAIL_BYTES = 16 << 20;
/** Five keys parked by one consumer within a minute: not the data is ill, our release is. */
const ILL_KEYS = 5;
const ILL_MS = 60_000;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Where claims are put together. */
const desk = Buffer.alloc(1024);

/** What a reference is found by: 16 bytes over sender, method and reference. */
export function claimOf(partyOin: string, method: string, referenceKey: Uint8Array): Uint8Array {
  const names = `${partyOin}\0${method}\0`;
  // A character takes three bytes at most.
  const most = names.length * 3 + referenceKey.length;
  const on = most <= desk.length ? desk : Buffer.alloc(most);
  const end = on.write(names);
  on.set(referenceKey, end);
  return first16(sha256(on.subarray(0, end + referenceKey.length)));
}

/** The flow that a claim stands for, as long as it is remembered. */
export function flowUnder(store: Pick<Store, 'reference'>, claim: Uint8Array, now: number): string | undefined {
  const found = store.reference(claim);
  return found === undefined || found.rememberUntilMs <= now ? undefined : uuidText(found.flowId);
}

/** The first 16 bytes of a digest that is Latin-1 characters. */
function first16(digest: string): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = digest.charCodeAt(i);
  return bytes;
}

/** An id that is the same each time the same thing is done: the form of UUIDv7, its random bits a digest. */
function derivedId(ms: number, ...parts: readonly (string | number)[]): Uint8Array {
  const id = first16(sha256(parts.join('\0')));
  const view = new DataView(id.buffer);
  view.setUint32(0, Math.floor(ms / 2 ** 16));
  view.setUint16(4, ms % 2 ** 16);
  id[6] = 0x70 | (id[6]! & 0x0f);
  id[8] = 0x80 | (id[8]! & 0x3f);
  return id;
}

const timerOf = (record: LogRecord): TimerRow => {
  const { id, payload } = JSON.parse(decoder.decode(record.data)) as { id: string; payload: string };
  return { id, atMs: record.timeMs, key: record.key, payload, flowId: record.flowId, school: record.school };
};

/** Partitions of keys seen lately. */
const partitions = new Map<string, number>();
function partition(key: string): number {
  let found = partitions.get(key);
  if (found === undefined) {
    if (partitions.size > 50_000) partitions.clear();
    found = partitionOf(key);
    partitions.set(key, found);
  }
  return found;
}

/** Consumers that could not settle what a group gathered: one of its records is ill, and parks when it settles by itself. */
const settlesEach = new WeakSet<Consumer>();

function settled({ name, consumer }: Member, sums: ReadonlyMap<string, number>, unit: RecordUnit): void {
  if (sums.size === 0) return;
  if (consumer.settle === undefined) throw new GatewayError('gateway.bug', `${name} gathers and settles nothing`);
  consumer.settle(sums, unit);
  if (unit.takeGathered().size > 0) throw new GatewayError('gateway.bug', `${name} gathers while it settles`);
}

/** What is done for a group is done in no flow. */
const NOBODY = { flowId: '', school: '', traceparent: '' } as const;

type Decided = 'kept' | 'parked' | { what: string; deadlineMs: number };

/**
 * The engine without its timing: accepts, and runs units of work, over any store, in groups that are one transaction
 * each. Everything here is synchronous and knows one writer, itself.
 */
export class Core implements Reader {
  readonly #store: Store;
  readonly #rows: Rows;
  readonly #unit: RecordUnit;
  readonly #clock: Clock;
  readonly #members: Member[] = [];
  readonly #byName = new Map<string, Member>();
  readonly #lanes = new Map<string, Lane[]>();
  readonly #known = new Map<string, Set<string>>();
  readonly #appended: ((records: readonly LogRecord[]) => void) | undefined;
  readonly #listeners: ((touched: ReadonlySet<string>, elsewhere: boolean) => void)[] = [];
  /** Appended by the open group, without a number yet; and with one. */
  #pending: (Pending & { origin: AppendedRecord['origin'] })[] = [];
  #numbered: AppendedRecord[] = [];
  /** Lanes in which the open group gave numbers, and what was newest there before. */
  #grown = new Map<Lane, { row: LaneRow; before: number }>();
  #inGroup = false;
  #now = 0;
  #turn = 0;
  #nextTimerMs: number | undefined;
  #nextDeadlineMs: number | undefined;
  #wakesMayStand = true;
  #tailRecords = 0;
  #tailBytes = 0;
  /** Whether the log is another system's: what is appended comes back by `arrived`, and nothing is numbered here. */
  readonly #logElsewhere: boolean;
  /** Something that was not loaded was asked for: nothing of this group counts. */
  #missed = false;
  /** What parked keys and retries of this group mean to the process, which no rollback undoes: done once it is committed. */
  #onceCommitted: (() => void)[] = [];

  /**
   * `appended` is told of records after their commit. With `logElsewhere` the store's lanes are ignored: records come by
   * `arrived`, and the store numbers what is appended itself.
   */
  constructor(options: {
    store: Store;
    modules: readonly ServiceModule[];
    clock: Clock;
    appended?: (records: readonly LogRecord[]) => void;
    logElsewhere?: boolean;
  }) {
    this.#store = options.store;
    this.#appended = options.appended;
    this.#clock = options.clock;
    this.#logElsewhere = options.logElsewhere ?? false;
    this.#rows = new Rows(options.store, [...engineTables, ...options.modules.flatMap((module) => module.tables)]);
    this.#unit = new RecordUnit(this.#rows, (consumer, what) => this.#isWanted(consumer, what));
    for (const [type, { stream }] of Object.entries(events)) this.#knows(stream, type);
    for (const row of options.store.lanes()) {
      const lane = this.#lane(row.stream, row.partition);
      lane.head = row.head;
      lane.first = row.first;
      lane.tailFirst = row.head + 1;
    }
    for (const consumer of options.modules.flatMap((module) => module.consumers)) this.#join(consumer);
    if (this.#logElsewhere)
      for (const lane of this.#allLanes()) {
        lane.head = Math.min(...lane.seats.map(({ position }) => position));
        lane.tailFirst = lane.head + 1;
      }
  }

  *#allLanes(): Generator<Lane> {
    for (const lanes of this.#lanes.values()) yield* lanes;
  }

  #knows(stream: string, type: string): void {
    let types = this.#known.get(stream);
    if (types === undefined) {
      types = new Set();
      this.#known.set(stream, types);
    }
    types.add(type);
  }

  #join(consumer: Consumer): void {
    if (this.#byName.has(consumer.name))
      throw new GatewayError('gateway.bug', `two consumers are called ${consumer.name}`);
    const member: Member = {
      consumer,
      name: consumer.name,
      types: new Set(consumer.types),
      seats: [],
      sums: new Map(),
      waiting: true,
      parked: true,
      unsure: true,
      wanted: undefined,
      wantedMost: 0,
      parkedAt: new Map(),
      stopped: new Set(),
    };
    this.#members.push(member);
    this.#byName.set(consumer.name, member);
    for (const stream of consumer.streams) {
      for (const type of consumer.types) if (!Object.hasOwn(events, type)) this.#knows(stream, type);
      for (let at = 0; at < PARTITIONS; at++) {
        const lane = this.#lane(stream, at);
        const row = this.#rows.get(positions, consumer.name, stream, at);
        // One that never read this lane starts with the oldest record there is; one that did must find the next.
        const position = row?.number ?? lane.first - 1;
        const seat: Seat = { member, lane, position, committed: position, gap: false, moved: false };
        member.seats.push(seat);
        lane.seats.push(seat);
      }
    }
  }

  #lane(stream: string, at: number): Lane {
    let lanes = this.#lanes.get(stream);
    if (lanes === undefined) {
      lanes = Array.from({ length: PARTITIONS }, (_, partition) => ({
        stream,
        partition,
        head: 0,
        first: 1,
        tail: [],
        tailFirst: 1,
        seats: [],
        lost: false,
        announced: 0,
      }));
      this.#lanes.set(stream, lanes);
    }
    return lanes[at]!;
  }

  // ---- groups

  /**
   * One transaction: what `work` does is durable when this returns, and did not happen when it throws. Answers what
   * `work` answers.
   */
  group<T>(work: () => T): T {
    const result = this.prepare(work);
    try {
      this.#store.commit();
    } catch (thrown) {
      this.undo();
      throw thrown instanceof StoreFailure ? asGatewayError(thrown.cause) : thrown;
    }
    this.settle();
    return result;
  }

  /**
   * Everything of a group but its commit, which the caller makes with the store before it calls `settle`, or `undo` where
   * it failed. Throws `Missing` when `work` asked the store for what is not loaded; then nothing happened.
   */
  prepare<T>(work: () => T): T {
    if (this.#inGroup) throw new GatewayError('gateway.bug', 'a group within a group');
    this.#inGroup = true;
    this.#now = Math.max(this.#now, this.#clock.now());
    try {
      this.#store.begin();
      const result = work();
      this.#look();
      this.#writeOut();
      if (this.#missed) throw Missing.one;
      return result;
    } catch (thrown) {
      this.undo();
      throw thrown instanceof StoreFailure && !(thrown instanceof Missing) ? asGatewayError(thrown.cause) : thrown;
    }
  }

  #tell(touched: ReadonlySet<string>): void {
    for (const listener of this.#listeners)
      try {
        listener(touched, false);
      } catch (thrown) {
        log('error', 'listener_failed', describeError(thrown));
      }
  }

  /** Hands the store all that the group did. */
  #writeOut(): void {
    for (const member of this.#members)
      for (const seat of member.seats)
        if (seat.moved)
          this.#rows.put(positions, {
            consumer: member.name,
            stream: seat.lane.stream,
            partition: seat.lane.partition,
            number: seat.position,
          });
    this.#number();
    this.#rows.flush();
    if (this.#numbered.length > 0)
      this.#store.append(
        this.#numbered,
        [...this.#grown.values()].map(({ row }) => row),
      );
  }

  /** The prepared group is committed. */
  settle(): void {
    const records = this.#numbered;
    for (const member of this.#members)
      for (const seat of member.seats)
        if (seat.moved) {
          seat.committed = seat.position;
          seat.moved = false;
        }
    if (records.length > 0) this.#appended?.(records);
    this.#prune();
    if (!this.#logElsewhere) this.#bound();
    this.#numbered = [];
    this.#grown.clear();
    const touched = this.#rows.settled();
    if (touched.has(timers.name)) this.#nextTimerMs = undefined;
    if (touched.has(waits.name)) this.#nextDeadlineMs = undefined;
    if (touched.has(wakes.name)) this.#wakesMayStand = true;
    for (const then of this.#onceCommitted) then();
    this.#onceCommitted = [];
    this.#inGroup = false;
    if (touched.size > 0) this.#tell(touched);
  }

  /** The prepared group, or what there is of one, did not happen. */
  undo(): void {
    try {
      this.#store.rollback();
    } catch (thrown) {
      log('error', 'rollback_failed', describeError(thrown));
    }
    this.#unit.drop();
    this.#rows.forget();
    this.#pending = [];
    this.#numbered = [];
    if (!this.#logElsewhere) for (const [lane, { before }] of this.#grown) this.#shrink(lane, before);
    this.#grown.clear();
    this.#onceCommitted = [];
    this.#missed = false;
    this.#inGroup = false;
    this.#nextTimerMs = undefined;
    this.#nextDeadlineMs = undefined;
    this.#wakesMayStand = true;
    for (const member of this.#members) {
      member.waiting = member.parked = member.unsure = true;
      member.wanted = undefined;
      member.sums.clear();
      for (const seat of member.seats) {
        seat.position = seat.committed;
        seat.moved = false;
      }
    }
  }

  /**
   * Gives numbers to what the group appended since it was asked last; where the log is here, its consumers can read that at once. Number
   * order is commit order: one group is open at a time, and one that is undone takes its numbers back.
   */
  #number(): void {
    for (const p of this.#pending) {
      const lane = this.#lane(p.stream, partition(p.key));
      let grown = this.#grown.get(lane);
      if (grown === undefined) {
        const { stream, head, first } = lane;
        grown = { row: { stream, partition: lane.partition, head, first }, before: head };
        this.#grown.set(lane, grown);
      }
      grown.row.head += 1;
      const record: AppendedRecord = {
        stream: p.stream,
        partition: lane.partition,
        number: grown.row.head,
        id: p.id,
        key: p.key,
        type: p.type,
        flowId: p.flowId,
        school: p.school,
        traceparent: p.traceparent,
        timeMs: p.timeMs,
        data: p.data,
        origin: p.origin,
      };
      this.#numbered.push(record);
      if (this.#logElsewhere) continue;
      lane.head = record.number;
      if (lane.seats.length === 0) lane.tailFirst = record.number + 1;
      else this.#intoTail(lane, record);
    }
    this.#pending = [];
  }

  #intoTail(lane: Lane, record: LogRecord): void {
    lane.tail.push(record);
    this.#tailRecords += 1;
    this.#tailBytes += record.data.length;
  }

  /** What was given numbers above `head` is no more. */
  #shrink(lane: Lane, head: number): void {
    while (lane.tail.length > 0 && lane.tail.at(-1)!.number > head) {
      this.#tailBytes -= lane.tail.pop()!.data.length;
      this.#tailRecords -= 1;
    }
    lane.head = head;
    if (lane.tail.length === 0) lane.tailFirst = head + 1;
  }

  /** Where much is unread, what grew last is read from the store. */
  #bound(): void {
    for (const lane of this.#grown.keys()) {
      if (this.#tailRecords < TAIL_RECORDS && this.#tailBytes < TAIL_BYTES) return;
      this.#forgetTail(lane);
      lane.tailFirst = lane.head + 1;
    }
  }

  /**
   * With the log elsewhere: takes in the next record of its lane. One that is known already is passed over; answers false,
   * with nothing changed, when one before it has not arrived.
   */
  arrived(record: LogRecord): boolean {
    const lane = this.#lane(record.stream, record.partition);
    if (record.number <= lane.head) return true;
    if (record.number > lane.head + 1) return false;
    lane.head = record.number;
    lane.lost = false;
    if (lane.tail.length === 0) lane.tailFirst = record.number;
    this.#intoTail(lane, record);
    return true;
  }

  /** With the log elsewhere: number of the newest record that arrived. */
  arrivedThrough(stream: string, partition: number): number {
    return this.#lane(stream, partition).head;
  }

  /** With the log elsewhere: the record after the newest that arrived is nowhere to be had. Answers who cannot go on, the first time. */
  lost(stream: string, partition: number): string[] {
    const lane = this.#lane(stream, partition);
    if (lane.lost) return [];
    lane.lost = true;
    const stopped = lane.seats.map(({ member }) => member.name);
    for (const consumer of stopped)
      log('error', 'log_gap', { fault: 'log.gap', consumer, stream, partition, after: lane.head });
    return stopped;
  }

  /** With the log elsewhere: whether the record after the newest of a lane (`stream/partition`) is nowhere to be had. */
  isLost(lane: string): boolean {
    const slash = lane.lastIndexOf('/');
    return this.#lane(lane.slice(0, slash), Number(lane.slice(slash + 1))).lost;
  }

  /** With the log elsewhere: who cannot go on in which lane, because a record is nowhere to be had. */
  gaps(): { consumer: string; stream: string; partition: number }[] {
    return [...this.#allLanes()].flatMap(({ stream, partition, lost, seats }) =>
      lost ? seats.map(({ member }) => ({ consumer: member.name, stream, partition })) : [],
    );
  }

  /** With the log elsewhere: number up to which every consumer of this engine has taken the records, as committed. */
  takenThrough(stream: string, partition: number): number {
    const lane = this.#lane(stream, partition);
    return Math.min(...lane.seats.map(({ committed }) => committed));
  }

  /** Streams that a consumer takes nothing of, because too many of its keys were parked. */
  stopped(): { consumer: string; stream: string }[] {
    return this.#members.flatMap(({ name, stopped }) => [...stopped].map((stream) => ({ consumer: name, stream })));
  }

  /** With the log elsewhere: what has arrived and is not yet taken by everybody. */
  backlog(): { records: number; bytes: number } {
    return { records: this.#tailRecords, bytes: this.#tailBytes };
  }

  #forgetTail(lane: Lane): void {
    this.#tailRecords -= lane.tail.length;
    for (const { data } of lane.tail) this.#tailBytes -= data.length;
    lane.tail = [];
  }

  /** Lets go of records that every consumer of their lane has taken. */
  #prune(): void {
    for (const lanes of this.#lanes.values())
      for (const lane of lanes) {
        if (lane.tail.length === 0) continue;
        let passed = lane.head;
        for (const seat of lane.seats) if (seat.committed < passed) passed = seat.committed;
        const drop = Math.min(lane.tail.length, passed - lane.tailFirst + 1);
        if (drop <= 0) continue;
        if (drop === lane.tail.length) this.#forgetTail(lane);
        else if (drop >= UNIT) {
          this.#tailRecords -= drop;
          for (let i = 0; i < drop; i++) this.#tailBytes -= lane.tail[i]!.data.length;
          lane.tail = lane.tail.slice(drop);
        } else continue;
        lane.tailFirst += drop;
      }
  }

  // ---- accepting

  /** Within a group: claims the references and appends the events. Answers per entry. */
  accept(entries: readonly NewEntry[]): EntryOutcome[] {
    return entries.map((entry) => this.#acceptOne(entry));
  }

  #acceptOne(entry: NewEntry): EntryOutcome {
    const { flowId, answer, digest, digestVersion, referenceKey } = entry;
    let origin: AppendedRecord['origin'] = null;
    if (referenceKey.length > 0) {
      const claim = claimOf(entry.partyOin, entry.method, referenceKey);
      const reference: Reference = {
        claim,
        digest,
        digestVersion,
        answer,
        flowId,
        rememberUntilMs: this.#now + entry.rememberDays * 86_400_000,
      };
      const first = this.#store.claim(reference, this.#now);
      if (first !== undefined) {
        // Digests of another version say nothing about the content: never a conflict.
        const conflict = first.digestVersion === digestVersion && !same(first.digest, digest);
        return { taken: conflict ? 'conflict' : 'repeated', answer: first.answer, flowId: first.flowId };
      }
      origin = { claim, digest, digestVersion };
    }
    const flow = uuidText(flowId);
    for (const [index, { stream, type, key, data }] of entry.events.entries())
      this.#pending.push({
        stream,
        type,
        key,
        data,
        id: index === 0 ? flowId : uuid7(this.#now),
        flowId: flow,
        school: entry.schoolOin,
        traceparent: entry.traceparent,
        timeMs: this.#now,
        origin: index === 0 ? origin : null,
      });
    return { taken: 'accepted', answer, flowId };
  }

  /** Within a group: appends one event that carries no claim. */
  push(pending: Pending): void {
    this.#pending.push({ ...pending, origin: null });
  }

  // ---- units of work

  /** Whether a unit could run now. */
  hasWork(): boolean {
    const now = Math.max(this.#now, this.#clock.now());
    if (this.#wakesMayStand)
      this.#wakesMayStand = this.#members.some(
        ({ name }) => this.#rows.list(wakes, { equals: [name], limit: 1 }).length > 0,
      );
    if (this.#wakesMayStand || this.nextDueMs() <= now) return true;
    return this.#members.some((member) => this.#readySeats(member).next().done !== true);
  }

  /** When the next timer or deadline is due, Unix milliseconds; Infinity = none. */
  nextDueMs(): number {
    this.#nextTimerMs ??= Math.min(...this.#members.map((member) => this.#timersOf(member, 1)[0]?.atMs ?? Infinity));
    this.#nextDeadlineMs ??= Math.min(
      ...this.#members.map((member) => this.#deadlinesOf(member, 1)[0]?.deadlineMs ?? Infinity),
    );
    return Math.min(this.#nextTimerMs, this.#nextDeadlineMs);
  }

  #ready(seat: Seat): boolean {
    return seat.position < seat.lane.head && !seat.gap && !seat.member.stopped.has(seat.lane.stream);
  }

  /** Seats that can take something now. While streams that come first are behind, only those. */
  *#readySeats(member: Member): Generator<Seat> {
    const { first } = member.consumer;
    const isBehind = first !== undefined && member.seats.some((seat) => first.includes(seat.lane.stream) && owes(seat));
    for (const seat of member.seats)
      if (this.#ready(seat) && !(isBehind && !first.includes(seat.lane.stream))) yield seat;
  }

  /** With the log elsewhere: how far lanes of streams that come first reach, whether it has arrived or not. */
  announce(lanes: readonly Pick<LaneRow, 'stream' | 'partition' | 'head'>[]): void {
    for (const { stream, partition, head } of lanes) this.#lane(stream, partition).announced = head;
  }

  /** Within a group: runs units until `goOn` answers false or nothing is left. Answers how many records were taken. */
  run(goOn: () => boolean): number {
    this.#look();
    let taken = 0;
    if (this.nextDueMs() <= this.#now) {
      taken += this.#fireTimers();
      taken += this.#fireDeadlines();
      this.#nextTimerMs = undefined;
      this.#nextDeadlineMs = undefined;
    }
    if (this.#wakesMayStand) taken += this.#takeUpWoken();
    taken += this.#runLanes(goOn);
    for (const member of this.#members) if (member.sums.size > 0) this.#softly(() => this.#settle(member));
    return taken;
  }

  /** For simulations: how many runs with something to take went before says which lane is first in the next. */
  turnTo(turn: number): void {
    this.#turn = turn;
  }

  /** Every lane that can be read, and again as long as what was decided is there to be read: question and answer leave rows once. */
  #runLanes(goOn: () => boolean): number {
    let taken = 0;
    // Another seat is first each time, so that a short budget starves none.
    const turn = this.#turn;
    for (let goesOn = true; goesOn; ) {
      if (!this.#logElsewhere) this.#number();
      const seats = this.#members.flatMap((member) => [...this.#readySeats(member)]);
      if (seats.length === 0) break;
      this.#turn = turn + 1;
      for (let i = 0; i < seats.length && goesOn; i++) {
        goesOn = goOn();
        if (goesOn) taken += this.#runLane(seats[(turn + i) % seats.length]!, goOn);
      }
      if (this.#logElsewhere) break;
    }
    return taken;
  }

  /** What the records of a group gathered goes into rows. Where that fails, nothing of the group counts, and each record settles by itself from then on. */
  #settle(member: Member): void {
    const unit = this.#unit;
    unit.begin(member.name, this.#now, NOBODY);
    try {
      settled(member, member.sums, unit);
    } catch (thrown) {
      unit.drop();
      if (!(thrown instanceof StoreFailure)) settlesEach.add(member.consumer);
      throw thrown;
    }
    for (const pending of unit.keep()) this.push(pending);
    member.sums.clear();
  }

  /** A record is decided. */
  #keep(member: Member): void {
    const unit = this.#unit;
    const sums = unit.takeGathered();
    if (settlesEach.has(member.consumer)) settled(member, sums, unit);
    else for (const [name, n] of sums) member.sums.set(name, (member.sums.get(name) ?? 0) + n);
    for (const pending of unit.keep()) this.push(pending);
  }

  /** Looks up whether consumers have anything resting, where that may have changed. */
  #look(): void {
    for (const member of this.#members)
      if (member.unsure) {
        member.waiting = this.#rows.list(scopes, { equals: [member.name], limit: 1 }).length > 0;
        member.parked = this.#rows.list(parkedKeys, { equals: [member.name], limit: 1 }).length > 0;
        member.unsure = false;
        if (!member.waiting || (member.wanted?.size ?? 0) > member.wantedMost) member.wanted = undefined;
      }
  }

  /** The next records of a lane: those that are not in memory from the store, which does not have yet what the open group appended. */
  #next(lane: Lane, position: number): readonly LogRecord[] {
    const at = position + 1 - lane.tailFirst;
    if (at >= 0) return lane.tail.slice(at, at + UNIT);
    const stored = this.#store.read(lane.stream, lane.partition, position, UNIT);
    const last = stored.at(-1);
    if (last === undefined || last.number + 1 < lane.tailFirst || stored.length === UNIT) return stored;
    const rest = last.number + 1 - lane.tailFirst;
    return [...stored, ...lane.tail.slice(rest, rest + UNIT - stored.length)];
  }

  #runLane(seat: Seat, goOn: () => boolean): number {
    const { lane, member } = seat;
    const records = this.#next(lane, seat.position);
    let taken = 0;
    for (const record of records) {
      if (record.number <= seat.position) continue;
      if (record.number !== seat.position + 1) break;
      // Goes on with the next where something was not loaded, so that one look finds all that is missing.
      try {
        this.#deliver(member, record);
      } catch (thrown) {
        if (!(thrown instanceof Missing)) throw thrown;
        this.#missed = true;
      }
      seat.position = record.number;
      seat.moved = true;
      taken += 1;
      if ((taken & 7) === 0 && !goOn()) return taken;
    }
    if (taken < records.length || records.length === 0) {
      seat.gap = true;
      log('error', 'log_gap', {
        fault: 'log.gap',
        consumer: member.name,
        stream: lane.stream,
        partition: lane.partition,
        after: seat.position,
        head: lane.head,
      });
    }
    return taken;
  }

  /** Goes on with the next where something was not loaded, so that one look finds all that is missing. */
  #softly(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      if (!(thrown instanceof Missing)) throw thrown;
      this.#missed = true;
    }
  }

  #deliver(member: Member, record: LogRecord): void {
    if (this.#isOfOthers(member, record)) return;
    if (member.waiting) {
      const scope = this.#scope(member, record);
      if (scope !== undefined && this.#restBehind(member, scope, record)) return;
    }
    const decided = this.#decide(member, record);
    if (typeof decided === 'object') this.#rest(member, record, decided);
  }

  /** Of a type that it does not take, and that others know. */
  #isOfOthers({ types }: Member, { stream, type }: LogRecord): boolean {
    return stream !== TIMERS && !types.has(type) && this.#known.get(stream)?.has(type) === true;
  }

  /** Undefined when the consumer's own function failed; the handler's outcome then decides. */
  #scope(member: Member, record: LogRecord): string | undefined {
    if (record.stream === TIMERS) return `${TIMERS}/${record.key}`;
    if (member.consumer.scope === undefined) return `${record.stream}/${record.key}`;
    try {
      return member.consumer.scope(record);
    } catch (thrown) {
      log('error', 'scope_failed', { consumer: member.name, stream: record.stream, ...describeError(thrown) });
      return undefined;
    }
  }

  /** One record, all or nothing. A failure parks it; `expired` names what did not come in time. */
  #decide(member: Member, record: LogRecord, expired?: string, again = false): Decided {
    if (member.parked && !again) {
      const where = this.#parkedIn(member, record);
      if (where !== undefined) {
        this.#park(member, where, record, '');
        return 'parked';
      }
    }
    if (this.#isOfOthers(member, record)) return 'kept';
    if (record.stream !== TIMERS && !member.types.has(record.type)) {
      this.#park(member, record.stream, record, 'wire.version');
      return 'parked';
    }
    const unit = this.#unit;
    try {
      if (record.stream === TIMERS) {
        const timer = timerOf(record);
        unit.begin(member.name, this.#now, record, (index) =>
          derivedId(timer.atMs, member.name, timer.id, timer.atMs, index),
        );
        if (member.consumer.onTimer === undefined)
          throw new GatewayError('gateway.bug', `${member.name} sets timers and takes none`);
        member.consumer.onTimer(timer, unit);
      } else {
        unit.begin(member.name, this.#now, record);
        if (expired === undefined) member.consumer.handle(record, unit);
        else if (member.consumer.onDeadline === undefined) throw new GatewayError('state.missing');
        else member.consumer.onDeadline(record, expired, unit);
      }
      this.#keep(member);
      return 'kept';
    } catch (thrown) {
      unit.drop();
      if (thrown instanceof StoreFailure) throw thrown;
      if (thrown instanceof Waiting && expired === undefined)
        return { what: thrown.what, deadlineMs: thrown.deadlineMs };
      const error =
        thrown instanceof Waiting ? new GatewayError('gateway.bug', 'a deadline cannot wait') : asGatewayError(thrown);
      this.#onceCommitted.push(() =>
        log('error', 'record_parked', {
          consumer: member.name,
          stream: record.stream,
          type: record.type,
          flow_id: record.flowId,
          ...describeError(error),
        }),
      );
      this.#park(member, record.stream, record, error.fault);
      return 'parked';
    }
  }

  // ---- timers

  /** Timers of a consumer by their time. Those of a service that is not part of this release keep. */
  #timersOf({ name, consumer }: Member, limit: number): readonly Readonly<TimerTableRow>[] {
    return consumer.onTimer === undefined ? [] : this.#rows.list(timers, { index: 'due', equals: [name], limit });
  }

  #fireTimers(): number {
    const due: Readonly<TimerTableRow>[] = [];
    for (const member of this.#members)
      this.#softly(() => {
        for (const row of this.#timersOf(member, RESUME)) if (row.atMs <= this.#now) due.push(row);
      });
    for (const row of due) {
      // One that fired before it may have cancelled or moved it.
      const still = this.#rows.get(timers, row.consumer, row.id);
      if (still?.atMs === row.atMs) this.#softly(() => this.#fire(this.#byName.get(row.consumer)!, row));
    }
    return due.length;
  }

  #fire(member: Member, row: TimerTableRow): void {
    this.#rows.remove(timers, row.consumer, row.id);
    const record: LogRecord = {
      stream: TIMERS,
      partition: 0,
      number: 0,
      id: derivedId(row.atMs, row.consumer, row.id, row.atMs),
      key: row.key,
      type: TIMER_TYPE,
      flowId: row.flowId,
      school: row.school,
      traceparent: '',
      timeMs: row.atMs,
      data: encoder.encode(JSON.stringify({ id: row.id, payload: row.payload })),
    };
    if (member.waiting && this.#restBehind(member, `${TIMERS}/${row.key}`, record)) return;
    const decided = this.#decide(member, record);
    if (typeof decided === 'object') this.#rest(member, record, decided);
  }

  // ---- waiting

  /** Puts a record behind what waits in its scope; false when nothing does. */
  #restBehind(member: Member, scope: string, record: LogRecord): boolean {
    const row = this.#rows.get(scopes, member.name, scope);
    if (row === undefined) return false;
    this.#rows.put(waits, {
      ...record0(record),
      consumer: member.name,
      scope,
      seq: row.nextSeq,
      what: '',
      sinceMs: this.#now,
      deadlineMs: NEVER,
    });
    this.#rows.put(scopes, { ...row, nextSeq: row.nextSeq + 1 });
    return true;
  }

  /** No look at all as long as nothing of the consumer waits, and mostly none otherwise: this is asked for every event. */
  #isWanted(consumer: string, what: string): boolean {
    const member = this.#byName.get(consumer);
    if (!member?.waiting) return false;
    if (member.wanted === undefined) {
      member.wanted = this.#wantedBy(member);
      member.wantedMost = 2 * member.wanted.size + WANTED;
    }
    return member.wanted.has(what);
  }

  #wantedBy(member: Member): Set<string> {
    const wanted = new Set<string>();
    for (let last = ''; ; ) {
      // Past all scopes that lack the same.
      const [row] = this.#rows.list(waits, {
        index: 'what',
        equals: [member.name],
        after: [last, '\u{10ffff}'],
        limit: 1,
      });
      if (row === undefined) return wanted;
      wanted.add(row.what);
      last = row.what;
    }
  }

  #rest(member: Member, record: LogRecord, { what, deadlineMs }: { what: string; deadlineMs: number }): void {
    const scope = this.#scope(member, record);
    if (scope === undefined || !isNamed({ what, deadlineMs })) {
      log('error', 'wait_without_name_or_deadline', { consumer: member.name, type: record.type });
      this.#park(member, record.stream, record, 'gateway.bug');
      return;
    }
    this.#rows.put(waits, {
      ...record0(record),
      consumer: member.name,
      scope,
      seq: 1,
      what,
      sinceMs: this.#now,
      deadlineMs,
    });
    this.#rows.put(scopes, { consumer: member.name, scope, firstSeq: 1, nextSeq: 2 });
    member.wanted?.add(what);
    member.waiting = true;
  }

  /** Decides the records of a scope in order, until one waits again or enough are done. */
  #resume(member: Member, scope: string, expired: boolean): number {
    const row = this.#rows.get(scopes, member.name, scope);
    if (row === undefined) return 0;
    let seq = row.firstSeq;
    let taken = 0;
    let waiting = false;
    // Behind one that parks, all others do at once: what is parked is older than what waits.
    let parks = false;
    while (seq < row.nextSeq && (taken < RESUME || parks)) {
      const rest = this.#rows.get(waits, member.name, scope, seq)!;
      const decided = this.#decide(member, recordOf(rest), expired && seq === row.firstSeq ? rest.what : undefined);
      taken += 1;
      // A store that loads what it is asked for loads them together.
      if (decided === 'parked' && !parks) this.#rows.list(waits, { equals: [member.name, scope], after: [seq] });
      parks = decided === 'parked';
      if (typeof decided === 'object') {
        // Being asked again for the same does not postpone the deadline.
        const deadlineMs =
          decided.what === rest.what ? Math.min(rest.deadlineMs, decided.deadlineMs) : decided.deadlineMs;
        this.#rows.put(waits, { ...rest, what: decided.what, deadlineMs });
        member.wanted?.add(decided.what);
        waiting = true;
        break;
      }
      this.#rows.remove(waits, member.name, scope, seq);
      seq += 1;
    }
    if (seq === row.nextSeq) {
      this.#rows.remove(scopes, member.name, scope);
      member.unsure = true;
    } else {
      this.#rows.put(scopes, { ...row, firstSeq: seq });
      if (!waiting) this.#wake(member, 'scope', scope);
    }
    return taken;
  }

  /** Waiting records of a consumer by their deadline; those that only stand behind one have none. */
  #deadlinesOf({ name, waiting }: Member, limit: number): readonly Readonly<WaitRow>[] {
    if (!waiting) return [];
    return this.#rows
      .list(waits, { index: 'late', equals: [name], limit })
      .filter(({ deadlineMs }) => deadlineMs !== NEVER);
  }

  #fireDeadlines(): number {
    const due: Readonly<WaitRow>[] = [];
    for (const member of this.#members)
      this.#softly(() => {
        for (const row of this.#deadlinesOf(member, RESUME)) if (row.deadlineMs <= this.#now) due.push(row);
      });
    let taken = 0;
    // One before it may have been taken up, or waits for something else by now.
    for (const { consumer, scope, seq } of due)
      if ((this.#rows.get(waits, consumer, scope, seq)?.deadlineMs ?? NEVER) <= this.#now)
        this.#softly(() => {
          taken += this.#resume(this.#byName.get(consumer)!, scope, true);
        });
    return taken;
  }

  #wake(member: Member, kind: 'what' | 'scope' | 'parked', name: string): void {
    this.#rows.put(wakes, { consumer: member.name, kind, name, afterScope: '', afterSeq: 0 });
    this.#wakesMayStand = true;
  }

  #takeUpWoken(): number {
    let taken = 0;
    const standing: Readonly<WakeRow>[] = [];
    for (const { name } of this.#members)
      this.#softly(() => standing.push(...this.#rows.list(wakes, { equals: [name], limit: RESUME })));
    for (const row of standing) {
      const member = this.#byName.get(row.consumer)!;
      this.#rows.remove(wakes, row.consumer, row.kind, row.name);
      if (row.kind === 'scope') taken += this.#resume(member, row.name, false);
      else if (row.kind === 'parked') taken += this.#retry(member, row.name);
      else {
        const page = this.#rows.list(waits, {
          index: 'what',
          equals: [row.consumer, row.name],
          after: [row.afterScope, row.afterSeq],
          limit: RESUME,
        });
        let last = row;
        for (const rest of page) {
          last = { ...row, afterScope: rest.scope, afterSeq: rest.seq };
          this.#softly(() => {
            taken += this.#resume(member, rest.scope, false);
          });
          if (taken > RESUME) break;
        }
        // Told again while some were taken up: then all are asked anew.
        const anew = this.#rows.get(wakes, row.consumer, row.kind, row.name) !== undefined;
        if (!anew && page.length > 0 && (page.length === RESUME || last.afterScope !== page.at(-1)!.scope))
          this.#rows.put(wakes, last);
      }
      if (taken > RESUME) break;
    }
    return taken;
  }

  // ---- parking

  /** The stream in which the key of this record is parked. A timer rests where its key does. */
  #parkedIn(member: Member, record: LogRecord): string | undefined {
    const places = record.stream === TIMERS ? [TIMERS, ...member.consumer.streams] : [record.stream];
    return places.find((stream) => this.#rows.get(parkedKeys, member.name, stream, record.key) !== undefined);
  }

  #park(member: Member, parkedIn: string, record: LogRecord, code: string): void {
    let row: Readonly<ParkedKeyRow> | undefined = this.#rows.get(parkedKeys, member.name, parkedIn, record.key);
    if (row === undefined) {
      row = {
        consumer: member.name,
        stream: parkedIn,
        key: record.key,
        code,
        sinceMs: this.#now,
        flowId: record.flowId,
        firstSeq: 1,
        nextSeq: 1,
      };
      member.parked = true;
      this.#onceCommitted.push(() => this.#countParked(member, parkedIn));
    }
    this.#rows.put(parkedRecords, { ...record0(record), consumer: member.name, parkedIn, seq: row.nextSeq });
    this.#rows.put(parkedKeys, { ...row, nextSeq: row.nextSeq + 1 });
  }

  #countParked(member: Member, parkedIn: string): void {
    const recent = (member.parkedAt.get(parkedIn) ?? []).filter((at) => at > this.#now - ILL_MS);
    recent.push(this.#now);
    member.parkedAt.set(parkedIn, recent);
    if (recent.length < ILL_KEYS || member.stopped.has(parkedIn)) return;
    member.stopped.add(parkedIn);
    log('error', 'stream_stopped', {
      consumer: member.name,
      stream: parkedIn,
      parked_keys: recent.length,
      within_ms: ILL_MS,
    });
  }

  /** Decides the records of a parked key in order, until one fails again or enough are done. */
  #retry(member: Member, name: string): number {
    const slash = name.indexOf('/');
    const [stream, key] = [name.slice(0, slash), name.slice(slash + 1)];
    const row = this.#rows.get(parkedKeys, member.name, stream, key);
    if (row === undefined) return 0;
    let seq = row.firstSeq;
    let taken = 0;
    let rests = false;
    let failed: Pick<ParkedKeyRow, 'code' | 'flowId'> | undefined;
    while (seq < row.nextSeq && taken < RESUME) {
      const record = recordOf(this.#rows.get(parkedRecords, member.name, stream, key, seq)!);
      taken += 1;
      const became = this.#retryOne(member, record);
      if (typeof became === 'object') {
        failed = { ...became, flowId: record.flowId };
        break;
      }
      rests ||= became === 'rests';
      this.#rows.remove(parkedRecords, member.name, stream, key, seq);
      seq += 1;
    }
    const nextSeq = rests ? this.#restAlong(member, row, failed === undefined ? seq : seq + 1) : row.nextSeq;
    if (seq === nextSeq) {
      this.#rows.remove(parkedKeys, member.name, stream, key);
      member.unsure = true;
    } else {
      this.#rows.put(parkedKeys, { ...row, ...failed, firstSeq: seq, nextSeq });
      if (failed === undefined) this.#wake(member, 'parked', name);
    }
    return taken;
  }

  /**
   * What is parked is older than what waits of the same scope: behind a record that rests now, all others of its scope go along at once. The
   * places of what stays are closed up; answers the next seq.
   */
  #restAlong(member: Member, { stream, key }: ParkedKeyRow, from: number): number {
    let to = from;
    const equals = [member.name, stream, key];
    for (const row of this.#rows.list(parkedRecords, { equals, after: [from - 1] })) {
      const record = recordOf(row);
      const scope = this.#scope(member, record);
      const rests = scope !== undefined && this.#restBehind(member, scope, record);
      if (rests || to < row.seq) this.#rows.remove(parkedRecords, member.name, stream, key, row.seq);
      if (rests) continue;
      if (to < row.seq) this.#rows.put(parkedRecords, { ...row, seq: to });
      to += 1;
    }
    return to;
  }

  /** Answers the code when it failed again. */
  #retryOne(member: Member, record: LogRecord): 'taken' | 'rests' | { code: string } {
    if (this.#isOfOthers(member, record)) return 'taken';
    const scope = this.#scope(member, record);
    if (scope !== undefined && this.#restBehind(member, scope, record)) return 'rests';
    if (record.stream !== TIMERS && !member.types.has(record.type)) return { code: 'wire.version' };
    const unit = this.#unit;
    try {
      if (record.stream === TIMERS) {
        const timer = timerOf(record);
        unit.begin(member.name, this.#now, record, (index) =>
          derivedId(timer.atMs, member.name, timer.id, timer.atMs, index),
        );
        member.consumer.onTimer!(timer, unit);
      } else {
        unit.begin(member.name, this.#now, record);
        member.consumer.handle(record, unit);
      }
      this.#keep(member);
      return 'taken';
    } catch (thrown) {
      unit.drop();
      if (thrown instanceof StoreFailure) throw thrown;
      if (!(thrown instanceof Waiting)) return { code: asGatewayError(thrown).fault };
      if (scope === undefined || !isNamed(thrown)) return { code: 'gateway.bug' };
      this.#rest(member, record, thrown);
      return 'rests';
    }
  }

  /** Within a group: has a parked key taken up again by the next units. False when it is not parked. */
  retryParked(consumer: string, stream: string, key: string): boolean {
    const member = this.#byName.get(consumer);
    if (member === undefined || this.#rows.get(parkedKeys, consumer, stream, key) === undefined) return false;
    // Somebody looked at it: the stream may go on as well, unless that person is told that the retry failed.
    this.#onceCommitted.push(() => {
      member.stopped.delete(stream);
      member.parkedAt.delete(stream);
    });
    this.#wake(member, 'parked', `${stream}/${key}`);
    return true;
  }

  // ---- what others may see

  now(): number {
    return this.#clock.now();
  }

  lanes(consumer: string): readonly LaneTaken[] {
    return (this.#byName.get(consumer)?.seats ?? []).map(({ lane, committed }) => ({
      stream: lane.stream,
      partition: lane.partition,
      first: lane.first,
      taken: committed,
    }));
  }

  log(of: readonly Stretch[], atMost: { most: number; bytes: number }): readonly LogRecord[] {
    return stretchesOf(of, atMost, (stream, partition, after, limit) =>
      this.#store.read(stream, partition, after, limit),
    );
  }

  flowOf({ partyOin, method, referenceKey }: Parameters<EngineView['flowOf']>[0]): string | undefined {
    return flowUnder(this.#store, claimOf(partyOin, method, referenceKey), this.#clock.now());
  }

  get<Row extends object>(table: Table<Row>, ...key: (string | number | bigint)[]): Readonly<Row> | undefined {
    return this.#rows.get(table, ...key);
  }

  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[] {
    return this.#rows.list(table, options);
  }

  onCommit(listener: (touched: ReadonlySet<string>, elsewhere: boolean) => void): void {
    this.#listeners.push(listener);
  }

  mayWait(): void {
    // Every change happens here.
  }

  note(write: Parameters<EngineView['note']>[0]): void {
    this.group(() => this.noteWithin(write));
  }

  /** As `note`, within the group that is open. */
  noteWithin(write: Parameters<EngineView['note']>[0]): void {
    this.#unit.begin('', this.#now, { flowId: '', school: '', traceparent: '' });
    write(this.#unit satisfies Pick<Unit, 'get' | 'list' | 'put' | 'remove' | 'now'>);
    if (this.#unit.keep().length > 0) throw new GatewayError('gateway.bug', 'a note appends no events');
  }

  waiting(filter: Parameters<EngineView['waiting']>[0]): readonly WaitingRow[] {
    const { consumer, what, scope, limit = 100 } = filter;
    if (consumer !== undefined || (what ?? scope) === undefined) return waitingIn(this.#rows, filter);
    return this.#members.flatMap(({ name }) => waitingIn(this.#rows, { ...filter, consumer: name })).slice(0, limit);
  }

  parked(limit?: number): readonly ParkedRow[] {
    return parkedIn(this.#rows, limit);
  }

  ages(): readonly AgeRow[] {
    const now = this.#clock.now();
    return this.#members.flatMap((member) =>
      member.consumer.streams.map((stream) => {
        const seats = member.seats.filter((seat) => seat.lane.stream === stream);
        let unread = 0;
        let oldest = now;
        for (const seat of seats) {
          unread += seat.lane.head - seat.committed;
          oldest = Math.min(oldest, this.#nextTime(seat) ?? now);
        }
        return {
          consumer: member.name,
          stream,
          unread,
          oldestUnreadMs: Math.max(0, now - oldest),
          parkedKeys: member.parked ? this.#rows.list(parkedKeys, { equals: [member.name, stream] }).length : 0,
          gap: seats.some((seat) => seat.gap || (seat.lane.lost && seat.committed === seat.lane.head)),
          stopped: member.stopped.has(stream),
        };
      }),
    );
  }

  /** Age of the oldest event that a consumer has not taken, milliseconds. Lanes that stopped do not count: waiting does not help them. */
  oldestUnreadMs(): number {
    let oldest = Infinity;
    for (const member of this.#members)
      for (const seat of member.seats)
        if (this.#ready(seat)) oldest = Math.min(oldest, this.#nextTime(seat) ?? Infinity);
    return oldest === Infinity ? 0 : Math.max(0, this.#clock.now() - oldest);
  }

  #nextTime(seat: Seat): number | undefined {
    const { lane, committed } = seat;
    if (committed >= lane.head) return undefined;
    if (committed + 1 >= lane.tailFirst) return lane.tail[committed + 1 - lane.tailFirst]?.timeMs;
    return this.#store.read(lane.stream, lane.partition, committed, 1)[0]?.timeMs;
  }

  /** Events that some consumer has not taken yet. */
  unread(): number {
    let unread = 0;
    for (const lanes of this.#lanes.values())
      for (const { head, seats } of lanes) {
        let passed = head;
        for (const { committed } of seats) if (committed < passed) passed = committed;
        unread += head - passed;
      }
    return unread;
  }

  /** Events ever appended. */
  head(): number {
    let sum = 0;
    for (const lanes of this.#lanes.values()) for (const { head } of lanes) sum += head;
    return sum;
  }

  /** Removes up to `limit` records that every consumer has taken and that are older than `beforeMs`. Answers how many. */
  clean(beforeMs: number, limit: number): number {
    let removed = 0;
    for (const lanes of this.#lanes.values())
      for (const lane of lanes) {
        if (removed >= limit) return removed;
        let through = lane.head;
        for (const { committed } of lane.seats) if (committed < through) through = committed;
        if (through < lane.first) continue;
        const count = this.#store.cleanLane(lane, through, beforeMs, limit - removed);
        lane.first += count;
        removed += count;
      }
    return removed;
  }
}

/** Whether something was appended to its lane that it has not taken and can be expected to. A stream that stopped, or lacks a record, keeps nobody. */
const owes = ({ position, lane, gap, member }: Seat): boolean =>
  position < Math.max(lane.head, lane.announced) && !gap && !lane.lost && !member.stopped.has(lane.stream);

const isNamed = ({ what, deadlineMs }: Pick<Waiting, 'what' | 'deadlineMs'>): boolean =>
  what !== '' && Number.isSafeInteger(deadlineMs);

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** The columns of a record, without what an engine adds. */
const record0 = (record: LogRecord) => recordOf(record);
