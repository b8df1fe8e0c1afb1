/**
 * One service at its owner: records come from Kafka, groups of them are decided over what is loaded, and saved with one
 * transaction that begins with the lease and ends with the numbers of what was appended. Nothing of a group is seen before
 * its commit; after a failure whose outcome is unknown everything is forgotten and begun again from the positions in the
 * database.
 */
import { type Clock, describeError, GatewayError, log, logSeldom, PARTITIONS } from '#kernel';
import { keyText, layoutOf } from '../cells.ts';
import { Core } from '../core.ts';
import { toLog, topicOf } from '../kafka/cloudevents.ts';
import {
  type FetchedRecord,
  type KafkaAdmin,
  type KafkaDriver,
  KafkaError,
  type KafkaReader,
  type Lane,
  type LaneGap,
  type LaneOffset,
} from '../kafka/port.ts';
import type { LogRecord, ServiceModule } from '../port.ts';
import { type Change, type LaneRow, Missing, StoreFailure } from '../store.ts';
import { positions } from '../tables.ts';
import { appendRecords, type Ground } from './append.ts';
import { type Database, DatabaseError } from './connection.ts';
import { loadWanted, saveChanges } from './load.ts';
import { confirming, type Holder, type Lease, NOT_OWNER } from './owners.ts';
import { readLog } from './read.ts';
import { Signal } from './signal.ts';
import { Snapshot } from './snapshot.ts';

/** Records that may have arrived and wait to be decided; above, Kafka is not read. */
const BACKLOG_RECORDS = 8_000;
const BACKLOG_BYTES = 16 << 20;
/** How long one group decides before it is saved, milliseconds. */
const GROUP_MS = 25;
/** Records of a lane, and bytes, read from the log's table at once, where Kafka does not have them. */
const HEAL = 2_000;
const HEAL_BYTES = 8 << 20;
/**
 * After a group its service rests as long as the group took, at most so long: what comes meanwhile shares the next load and
 * commit, which cost the same for one record as for many. Not where somebody waits for an answer, nor where so many records
 * are at hand.
 */
const GATHER_MS = 15;
const MANY = 256;
/** How often offsets are noted and what should have arrived is looked for, milliseconds. */
const HOUSEKEEPING_MS = 1_000;
/** Looks in a row at which a lane stands still although more was published, before the log's table is read instead. */
const PATIENCE = 4;
/** How often offsets are told to Kafka, milliseconds. */
const SHOW_MS = 10_000;
const REST_MS = 25;
const REST_MOST_MS = 2_000;
/**
 * How long positions wait for another change to be saved with, milliseconds, where nothing else came of the records: a
 * service reads much that is not for it, and a commit for each of them would cost more than all the rest.
 */
const POSITIONS_MS = 100;
/** Looks at what is missing in one group, after which the service says that it gets nowhere. */
const LOOKS = 10_000;

class Lost extends Error {}

interface Turn {
  run(core: Core): unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export interface ServiceOptions {
  database: Database;
  driver: KafkaDriver;
  module: ServiceModule;
  clock: Clock;
  topicPrefix: string;
  ground: Ground;
  /** Raised when something was appended. */
  appended: Signal;
  /** Told after each commit; `lost`: from now on others change these rows. */
  changed(touched: ReadonlySet<string>, lost: boolean): void;
}

/** Where a lane stands at Kafka: records up to `number` lie before `offset`. */
interface Mark {
  number: number;
  offset: bigint;
}

export class Service implements Holder {
  readonly #options: ServiceOptions;
  readonly #streams: readonly string[];
  readonly #signal = new Signal();
  /** Raised by who waits for an answer while a service rests between groups. */
  #hurry: Signal | undefined;
  #turns: Turn[] = [];
  #core: Core | undefined;
  /** Positions that are not saved yet, by their keys, and since when, monotonic milliseconds. */
  readonly #unsaved = new Map<string, Change>();
  #unsavedSince = Number.POSITIVE_INFINITY;
  /** Who wants to know that nothing is left to do. */
  #looks: (() => void)[] = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#streams = [...new Set(options.module.consumers.flatMap(({ streams }) => streams))];
  }

  get isHeld(): boolean {
    return this.#core !== undefined;
  }

  /** Something may be due: the clock moved, or a retry was asked for. */
  kick(): void {
    this.#hurry?.raise();
    this.#signal.raise();
  }

  /** Resolves once nothing is left to do of what is at hand and due now. For tests. */
  untilIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#looks.push(resolve);
      this.kick();
    });
  }

  /** Runs `work` within a group of its own; it may be run again until all it asks for is loaded. Undefined = not the owner. */
  turn<T>(work: (core: Core) => T): Promise<T> | undefined {
    if (this.#core === undefined) return undefined;
    return new Promise<T>((resolve, reject) => {
      this.#turns.push({ run: work, resolve: resolve as (value: unknown) => void, reject });
      this.kick();
    });
  }

  async hold(lease: Lease, lost: AbortSignal): Promise<void> {
    const tell = logSeldom();
    for (let failures = 0; !lost.aborted; ) {
      const began = performance.now();
      try {
        await this.#work(lease, lost);
      } catch (thrown) {
        if (thrown instanceof Lost) return;
        failures = performance.now() - began > 10_000 ? 1 : failures + 1;
        tell('error', 'service_begins_again', { service: lease.name, failures, ...describeError(asError(thrown)) });
        await new Signal().within(Math.min(REST_MOST_MS, REST_MS * 2 ** failures), lost);
      } finally {
        this.#core = undefined;
        this.#options.changed(new Set(), true);
        for (const { reject } of this.#turns.splice(0))
          reject(new GatewayError('gateway.unavailable', undefined, { retryAfterS: 1 }));
      }
    }
  }

  /** From the positions in the database until something fails or the lease is lost. */
  async #work(lease: Lease, lost: AbortSignal): Promise<void> {
    const { database, module, clock } = this.#options;
    const snapshot = new Snapshot(await this.#firsts());
    const core = await this.#loaded(
      snapshot,
      () => new Core({ store: snapshot, modules: [module], clock, logElsewhere: true }),
      () => this.#knowPositions(snapshot),
    );
    const feed = await Feed.open(this.#options, this.#streams, core, this.#signal);
    core.onCommit((touched) => this.#options.changed(touched, false));
    this.#core = core;
    const firsts = module.consumers.flatMap(({ first = [] }) => first);
    let lookedAt = performance.now();
    try {
      while (!lost.aborted) {
        feed.fill();
        const looks = this.#looks.splice(0);
        if (looks.length > 0) await this.#takeRetries(lease, snapshot, core);
        const hasWork = () => this.#loaded(snapshot, () => core.hasWork());
        let busy = await hasWork();
        if (busy && firsts.length > 0) {
          core.announce(await this.#heads(firsts));
          busy = await hasWork();
        }
        // Only now: whoever waits in the queue is told when one of these questions fails.
        const turns = this.#turns.splice(0);
        if (busy || turns.length > 0) {
          this.#looks.push(...looks);
          const began = performance.now();
          await this.#group(lease, snapshot, core, turns, busy);
          if (busy && feed.atHand < MANY) await this.#gather(performance.now() - began, lost);
        } else {
          if (looks.length > 0) await this.#savePositions(lease);
          for (const idle of looks) idle();
          const due = await this.#loaded(snapshot, () => core.nextDueMs());
          const unsaved = this.#unsavedSince + POSITIONS_MS - performance.now();
          await this.#signal.within(Math.max(1, Math.min(HOUSEKEEPING_MS, due - clock.now(), unsaved)), lost);
        }
        if (performance.now() - this.#unsavedSince >= POSITIONS_MS) await this.#savePositions(lease);
        if (performance.now() - lookedAt > HOUSEKEEPING_MS) {
          lookedAt = performance.now();
          await this.#housekeep(lease, snapshot, core, feed);
        }
      }
      // The next owner need not read again what was read.
      await this.#savePositions(lease)
        .then(() => feed.noteOffsets(lease))
        .catch(() => undefined);
    } finally {
      this.#forgetPositions();
      await feed.close();
      await database
        .query('DELETE FROM bus.troubles WHERE consumer = ANY($1::text[])', [this.#consumers()])
        .catch(() => undefined);
    }
  }

  async #gather(ms: number, lost: AbortSignal): Promise<void> {
    if (this.#turns.length > 0 || this.#looks.length > 0) return;
    this.#hurry = new Signal();
    await this.#hurry.within(Math.min(ms, GATHER_MS), lost);
    this.#hurry = undefined;
  }

  #consumers(): string[] {
    return this.#options.module.consumers.map(({ name }) => name);
  }

  /** How far lanes reach: whoever decides something by these streams has seen what was appended until now. */
  #heads(streams: readonly string[]): Promise<Pick<LaneRow, 'stream' | 'partition' | 'head'>[]> {
    return this.#options.database.query(
      'SELECT stream, partition, head FROM bus.lanes WHERE stream = ANY($1::text[])',
      [streams],
    );
  }

  /** The oldest record of each lane: where a consumer begins that never read it. */
  #firsts(): Promise<LaneRow[]> {
    return this.#options.database.query<LaneRow & Record<string, unknown>>(
      'SELECT stream, partition, head, first FROM bus.lanes WHERE stream = ANY($1::text[])',
      [this.#streams],
    );
  }

  /** All positions of this service at once, also those that no row has yet. */
  async #knowPositions(snapshot: Snapshot): Promise<void> {
    const layout = layoutOf(positions);
    for (const { name, streams } of this.#options.module.consumers)
      for (const stream of streams)
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const key = [name, stream, partition];
          const of = snapshot.wanted.get(layout.name) ?? { layout, keys: new Map(), lists: new Map() };
          of.keys.set(keyText(layout, key), key);
          snapshot.wanted.set(layout.name, of);
        }
  }

  /** What `look` answers once everything that it asks for is loaded. */
  async #loaded<T>(snapshot: Snapshot, look: () => T, first?: () => Promise<void>): Promise<T> {
    await first?.();
    for (let looks = 0; looks < LOOKS; looks++)
      try {
        return look();
      } catch (thrown) {
        if (!(thrown instanceof Missing)) throw thrown;
        await this.#load(snapshot);
      }
    throw new GatewayError('gateway.bug', 'a group never stops asking');
  }

  async #load(snapshot: Snapshot): Promise<void> {
    if (!(await loadWanted(this.#options.database, this.#options.module.name, snapshot)))
      throw new GatewayError('gateway.bug', 'nothing is missing');
  }

  /** One group: turns of callers, then records. A turn that fails undoes the group; the others are taken without it. */
  async #group(lease: Lease, snapshot: Snapshot, core: Core, turns: readonly Turn[], decides: boolean): Promise<void> {
    let open = [...turns];
    const answers = new Map<Turn, unknown>();
    let failing: Turn | undefined;
    const prepare = () =>
      core.prepare(() => {
        answers.clear();
        for (const turn of open) {
          failing = turn;
          const answer = turn.run(core);
          // An asynchronous handler rejects instead of throwing; what it asked for is known all the same.
          if (answer instanceof Promise) answer.catch(() => undefined);
          if (snapshot.wanted.size > 0) throw Missing.one;
          answers.set(turn, answer);
        }
        failing = undefined;
        if (!decides) return;
        const until = performance.now() + GROUP_MS;
        core.run(() => performance.now() < until);
      });
    for (;;)
      try {
        await this.#loaded(snapshot, prepare);
        break;
      } catch (thrown) {
        if (failing === undefined) {
          for (const { reject } of open) reject(thrown);
          throw thrown;
        }
        const failed: Turn = failing;
        failed.reject(thrown);
        open = open.filter((turn) => turn !== failed);
        failing = undefined;
      }
    try {
      await this.#save(lease, snapshot);
    } catch (thrown) {
      core.undo();
      for (const { reject } of open)
        reject(
          thrown instanceof Lost ? new GatewayError('gateway.unavailable', undefined, { retryAfterS: 1 }) : thrown,
        );
      throw thrown;
    }
    for (const turn of open) turn.resolve(answers.get(turn));
  }

  async #save(lease: Lease, snapshot: Snapshot): Promise<void> {
    const core = this.#core!;
    const changes = snapshot.changes();
    const records = snapshot.appended;
    if (records.length === 0 && changes.every(({ layout }) => layout.name === positions.name)) {
      for (const { layout, changes: of } of changes)
        for (const change of of) this.#unsaved.set(keyText(layout, change.key), change);
      if (this.#unsaved.size > 0) this.#unsavedSince = Math.min(this.#unsavedSince, performance.now());
      snapshot.commit();
      core.settle();
      return;
    }
    if (records.length > 0)
      await this.#options.ground.have(
        records.map(({ stream }) => stream),
        records[0]!.timeMs,
      );
    await this.#write(lease, changes, records);
    snapshot.commit();
    core.settle();
    if (records.length > 0) this.#options.appended.raise();
  }

  /** One transaction; with the positions that were not saved yet. */
  async #write(lease: Lease, changes: ReturnType<Snapshot['changes']>, records: Snapshot['appended']): Promise<void> {
    const layout = layoutOf(positions);
    const moved = new Map(this.#unsaved);
    for (const of of changes)
      if (of.layout.name === layout.name)
        for (const change of of.changes) moved.set(keyText(layout, change.key), change);
    await this.#options.database
      .transaction((_, send) => {
        send(confirming(lease));
        for (const of of changes)
          if (of.layout.name !== layout.name) saveChanges(send, lease.name, of.layout, of.changes);
        if (moved.size > 0) saveChanges(send, lease.name, layout, [...moved.values()]);
        if (records.length > 0) appendRecords(send, records);
      })
      .catch((thrown: unknown) => {
        throw isNotOwner(thrown) ? new Lost() : thrown;
      });
    this.#forgetPositions();
  }

  async #savePositions(lease: Lease): Promise<void> {
    if (this.#unsaved.size > 0) await this.#write(lease, [], []);
  }

  #forgetPositions(): void {
    this.#unsaved.clear();
    this.#unsavedSince = Number.POSITIVE_INFINITY;
  }

  /** Notes offsets and what is stuck, takes up retries that were asked for, and looks whether Kafka owes us records. */
  async #housekeep(lease: Lease, snapshot: Snapshot, core: Core, feed: Feed): Promise<void> {
    // An offset must not be noted before the position that it belongs to.
    await this.#savePositions(lease);
    await feed.noteOffsets(lease);
    await feed.heal();
    await this.#noteTroubles(core);
    await this.#takeRetries(lease, snapshot, core);
  }

  /** What stands in the database is what is so now: whatever an owner before this one left there, or what is well again, goes. */
  async #noteTroubles(core: Core): Promise<void> {
    const { database, clock } = this.#options;
    const troubles = [
      ...core.stopped().map((of) => ({ ...of, partition: 0, kind: 'stopped' })),
      ...core.gaps().map((of) => ({ ...of, kind: 'gap' })),
    ];
    const columns = [
      troubles.map(({ consumer }) => consumer),
      troubles.map(({ stream }) => stream),
      troubles.map(({ partition }) => partition),
      troubles.map(({ kind }) => kind),
    ];
    await database.query(
      'DELETE FROM bus.troubles WHERE consumer = ANY($1::text[]) AND NOT (consumer, stream, partition, kind) IN (SELECT * FROM unnest($2::text[], $3::text[], $4::int[], $5::text[]))',
      [this.#consumers(), ...columns],
    );
    if (troubles.length > 0)
      await database.query(
        'INSERT INTO bus.troubles (consumer, stream, partition, kind, since_ms) SELECT c, s, p, k, $5 FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) u (c, s, p, k) ON CONFLICT DO NOTHING',
        [...columns, clock.now()],
      );
  }

  /** Parked keys that somebody wants taken up again. */
  async #takeRetries(lease: Lease, snapshot: Snapshot, core: Core): Promise<void> {
    const { database } = this.#options;
    const asked = await database.query<{ consumer: string; stream: string; key: string }>(
      'SELECT consumer, stream, key FROM bus.retries WHERE consumer = ANY($1::text[]) LIMIT 100',
      [this.#consumers()],
    );
    if (asked.length === 0) return;
    await this.#loaded(snapshot, () =>
      core.prepare(() => {
        for (const { consumer, stream, key } of asked) core.retryParked(consumer, stream, key);
      }),
    );
    try {
      await this.#save(lease, snapshot);
    } catch (thrown) {
      core.undo();
      throw thrown;
    }
    await database.query(
      // Not by one that slept: what it knows to be parked may be old.
      'DELETE FROM bus.retries r USING unnest($1::text[], $2::text[], $3::text[]) u (c, s, k) WHERE r.consumer = u.c AND r.stream = u.s AND r.key = u.k AND EXISTS (SELECT 1 FROM bus.owners o WHERE o.name = $4 AND o.epoch = $5)',
      [
        asked.map(({ consumer }) => consumer),
        asked.map(({ stream }) => stream),
        asked.map(({ key }) => key),
        lease.name,
        lease.epoch,
      ],
    );
  }
}

const isNotOwner = (thrown: unknown): boolean =>
  thrown instanceof StoreFailure && thrown.cause instanceof DatabaseError && thrown.cause.code === NOT_OWNER;

const asError = (thrown: unknown): unknown =>
  thrown instanceof Error && 'cause' in thrown && thrown.name === 'StoreFailure' ? thrown.cause : thrown;

/** Records on their way from Kafka to the core of one service: in the order of their numbers, each once, none left out. */
class Feed {
  readonly #options: ServiceOptions;
  readonly #core: Core;
  readonly #signal: Signal;
  #reader!: KafkaReader;
  /** Handed by Kafka and not yet in the core, by lane; `taken` is called once they are. */
  readonly #waiting = new Map<string, { records: LogRecord[]; taken: () => void }[]>();
  /** Records of all these. */
  #held = 0;
  readonly #streamOf = new Map<string, string>();
  readonly #marks = new Map<string, Mark[]>();
  readonly #noted = new Map<string, number>();
  /** Noted since the last time that Kafka was told. */
  readonly #shown = new Map<string, LaneOffset>();
  #shownAt = performance.now();
  #admin: KafkaAdmin | undefined;
  /** Where each lane stood at the last look, and for how many looks. */
  readonly #stoodAt = new Map<string, { number: number; looks: number }>();
  #closed = false;

  private constructor(options: ServiceOptions, streams: readonly string[], core: Core, signal: Signal) {
    this.#options = options;
    this.#core = core;
    this.#signal = signal;
    for (const stream of streams) this.#streamOf.set(topicOf(options.topicPrefix, stream), stream);
  }

  /** Begins where the notes of offsets say, or with the oldest record there is: numbers decide what counts. */
  static async open(options: ServiceOptions, streams: readonly string[], core: Core, signal: Signal): Promise<Feed> {
    const feed = new Feed(options, streams, core, signal);
    const noted = await options.database.query<{
      stream: string;
      partition: number;
      number: number;
      kafka_offset: number;
    }>('SELECT stream, partition, number, kafka_offset FROM bus.offsets WHERE consumer = $1', [options.module.name]);
    const offsets = new Map(noted.map((row) => [`${row.stream}/${row.partition}`, row]));
    feed.#reader = options.driver.reader({
      lanes: [...feed.#streamOf].flatMap(([topic, stream]) =>
        Array.from({ length: PARTITIONS }, (_, partition) => {
          const known = offsets.get(`${stream}/${partition}`);
          const usable = known !== undefined && known.number <= core.arrivedThrough(stream, partition);
          return { topic, partition, offset: usable ? BigInt(known.kafka_offset) : ('earliest' as const) };
        }),
      ),
      onRecords: (lane, records) => feed.#take(lane, records),
      onGap: (gap) => feed.#gap(gap),
      maxWaitMs: 1_000,
    });
    return feed;
  }

  /**
   * The lane is read on at once, as long as there is room: one whose handler is open is left out of a fetch, and waits for
   * the next. Undefined = there is.
   */
  #take({ topic, partition }: Lane, fetched: readonly FetchedRecord[]): Promise<void> | undefined {
    if (this.#closed) return undefined;
    const stream = this.#streamOf.get(topic)!;
    const records = this.#ours({ topic, partition }, fetched);
    const lane = `${stream}/${partition}`;
    // What a relay that slept sent again may stand behind newer ones.
    const newest = records.reduce((most, { number }) => Math.max(most, number), 0);
    const { length } = records;
    this.#held += length;
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#waiting.get(lane) ?? [];
    const taken = () => {
      this.#held -= length;
      const last = fetched.at(-1);
      if (last !== undefined && newest > 0) this.#mark(lane, { number: newest, offset: last.offset + 1n });
      resolve();
    };
    this.#waiting.set(lane, [...before, { records, taken }]);
    this.#signal.raise();
    const { records: backlog, bytes } = this.#core.backlog();
    const hasRoom = before.length === 0 && backlog + this.#held <= BACKLOG_RECORDS && bytes <= BACKLOG_BYTES;
    return hasRoom ? undefined : promise;
  }

  /** What somebody else wrote to our topic has no number, is told of, and is passed over. */
  #ours(lane: Lane, fetched: readonly FetchedRecord[]): LogRecord[] {
    const records: LogRecord[] = [];
    for (const one of fetched)
      try {
        records.push(toLog(lane, one));
      } catch (thrown) {
        if (!(thrown instanceof KafkaError)) throw thrown;
        log('error', 'record_not_ours', { topic: lane.topic, partition: lane.partition, offset: Number(one.offset) });
      }
    return records;
  }

  #mark(lane: string, mark: Mark): void {
    const marks = this.#marks.get(lane) ?? [];
    if (marks.length > 0 && marks.at(-1)!.number >= mark.number) marks.at(-1)!.offset = mark.offset;
    else marks.push(mark);
    this.#marks.set(lane, marks);
  }

  /** An offset that Kafka does not have any more, or not yet: begun again at its oldest; numbers tell what is missing. */
  #gap({ topic, partition, asked, earliest, end }: LaneGap): void {
    log('error', 'offset_out_of_range', {
      topic,
      partition,
      asked: Number(asked),
      earliest: Number(earliest),
      end: Number(end),
    });
    this.#reader.seek({ topic, partition }, 'earliest');
  }

  /** Records that are here and not yet taken by everybody. */
  get atHand(): number {
    return this.#core.backlog().records + this.#held;
  }

  /** Hands on what has come, as far as the core has room. */
  fill(): void {
    for (const [lane, waiting] of this.#waiting) {
      while (waiting.length > 0 && this.#fillLane(lane, waiting[0]!.records)) waiting.shift()!.taken();
      if (waiting.length === 0) this.#waiting.delete(lane);
    }
  }

  /** False where some of them are left. */
  #fillLane(lane: string, records: LogRecord[]): boolean {
    const { records: backlog, bytes } = this.#core.backlog();
    if (backlog > BACKLOG_RECORDS || bytes > BACKLOG_BYTES) return false;
    let at = 0;
    while (at < records.length && this.#core.arrived(records[at]!)) at += 1;
    if (at > 0 && this.#lostLanes.has(lane) && !this.#core.isLost(lane)) this.#lostLanes.delete(lane);
    if (at === records.length) return true;
    // One before it did not come: it is looked for in the log itself.
    records.splice(0, at);
    if (!this.#lostLanes.has(lane)) void this.#fillFrom(lane).catch(() => undefined);
    return false;
  }

  readonly #healing = new Set<string>();
  /** Lanes whose next record is nowhere: looked for again by `heal` only. */
  readonly #lostLanes = new Set<string>();

  /** Takes from the log's table what Kafka does not have. */
  async #fillFrom(lane: string): Promise<void> {
    if (this.#healing.has(lane) || this.#closed) return;
    this.#healing.add(lane);
    try {
      const [stream, partition] = [lane.slice(0, lane.lastIndexOf('/')), Number(lane.slice(lane.lastIndexOf('/') + 1))];
      const after = this.#core.arrivedThrough(stream, partition);
      const found = await readLog(
        this.#options.database,
        [{ stream, partition, after, through: Number.MAX_SAFE_INTEGER }],
        { most: HEAL, bytes: HEAL_BYTES },
      );
      if (this.#core.arrivedThrough(stream, partition) !== after) return;
      if (found[0]?.number !== after + 1) {
        if (found.length > 0 || this.#waiting.has(lane)) this.#lost(stream, partition);
        return;
      }
      log('warn', 'log_healed', { stream, partition, after, records: found.length });
      for (const record of found) if (!this.#core.arrived(record)) break;
      this.#lostLanes.delete(lane);
      this.#signal.raise();
    } finally {
      this.#healing.delete(lane);
    }
  }

  #lost(stream: string, partition: number): void {
    this.#lostLanes.add(`${stream}/${partition}`);
    this.#core.lost(stream, partition);
  }

  /** Where the log was published further than what arrived, and nothing moved for a while, the log itself is read. */
  async heal(): Promise<void> {
    const rows = await this.#options.database.query<{ stream: string; partition: number; number: number }>(
      'SELECT stream, partition, number FROM bus.published WHERE stream = ANY($1::text[])',
      [[...this.#streamOf.values()]],
    );
    for (const { stream, partition, number } of rows) {
      const { records: backlog, bytes } = this.#core.backlog();
      const lane = `${stream}/${partition}`;
      const at = this.#core.arrivedThrough(stream, partition);
      const before = this.#stoodAt.get(lane);
      const looks = number > at && before?.number === at ? before.looks + 1 : 0;
      this.#stoodAt.set(lane, { number: at, looks });
      if (looks >= PATIENCE && backlog < BACKLOG_RECORDS && bytes < BACKLOG_BYTES) await this.#fillFrom(lane);
    }
  }

  /** Where to begin reading next time. A note that is too old costs time only. */
  async noteOffsets({ name }: Lease): Promise<void> {
    const found: { stream: string; partition: number; mark: Mark }[] = [];
    for (const [lane, marks] of this.#marks) {
      const [stream, partition] = [lane.slice(0, lane.lastIndexOf('/')), Number(lane.slice(lane.lastIndexOf('/') + 1))];
      const through = this.#core.takenThrough(stream, partition);
      let passed = -1;
      for (const [i, { number }] of marks.entries()) if (number <= through) passed = i;
      if (passed < 0) continue;
      const mark = marks[passed]!;
      marks.splice(0, passed);
      if (this.#noted.get(lane) === mark.number) continue;
      found.push({ stream, partition, mark });
    }
    if (found.length === 0) return;
    await this.#options.database.query(
      `INSERT INTO bus.offsets (consumer, stream, partition, number, kafka_offset) SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
       ON CONFLICT (consumer, stream, partition) DO UPDATE SET number = excluded.number, kafka_offset = excluded.kafka_offset`,
      [
        name,
        found.map(({ stream }) => stream),
        found.map(({ partition }) => partition),
        found.map(({ mark }) => mark.number),
        found.map(({ mark }) => mark.offset.toString()),
      ],
    );
    for (const { stream, partition, mark } of found) {
      this.#noted.set(`${stream}/${partition}`, mark.number);
      this.#shown.set(`${stream}/${partition}`, {
        topic: topicOf(this.#options.topicPrefix, stream),
        partition,
        offset: mark.offset,
      });
    }
    if (performance.now() - this.#shownAt > SHOW_MS) await this.#show(name);
  }

  /** For Kafka's own tools only: a group of the service's name with its offsets. Whether it succeeds changes nothing. */
  async #show(service: string): Promise<void> {
    this.#shownAt = performance.now();
    const offsets = [...this.#shown.values()];
    this.#shown.clear();
    this.#admin ??= this.#options.driver.admin();
    await this.#admin.commitOffsets(`${this.#options.topicPrefix}.${service}`, offsets).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of this.#waiting.values()) for (const { taken } of waiting) taken();
    this.#waiting.clear();
    await Promise.all([this.#reader.close(), this.#admin?.close()]);
  }
}
