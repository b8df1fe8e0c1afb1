/**
 * Copies the log to Kafka. Whoever holds the lease `relay` sends each lane's records in their order, one request at a time
 * a lane, and moves `published` where its epoch is still the newest. One that slept can repeat, never be first out of order:
 * what it sends has been sent before, and readers drop by number what they know.
 */
import { type Clock, logSeldom } from '#kernel';
import { fromLog } from '../kafka/cloudevents.ts';
import type { KafkaProducer, LaneRecords } from '../kafka/port.ts';
import type { LogRecord } from '../port.ts';
import type { Database } from './connection.ts';
import type { Holder, Lease } from './owners.ts';
import { readLog } from './read.ts';
import { Signal } from './signal.ts';
import type { Topics } from './topics.ts';

export const RELAY = 'relay';
/** Records of one lane, and bytes over all lanes, in one round. */
const LANE_RECORDS = 1000;
const ROUND_BYTES = 8 << 20;
/** How often the log is looked at when nothing is heard of it, milliseconds: at first, and when nothing comes. */
const LOOK_MS = 5;
const LOOK_IDLE_MS = 40;
/**
 * After a round it rests as long as the round took, at most so long: what comes meanwhile shares the next, of which each
 * makes every reader come for it. Not where so many records were sent.
 */
const GATHER_MS = 10;
const MANY = 256;
const REST_MS = 50;
const REST_MOST_MS = 1000;

interface Position {
  stream: string;
  partition: number;
  number: number;
}

const nameOf = ({ stream, partition }: Position): string => `${stream}/${partition}`;
const isSame = (a: Position, b: Position): boolean => a.stream === b.stream && a.partition === b.partition;

export class Relay implements Holder {
  readonly #database: Database;
  readonly #producer: KafkaProducer;
  readonly #topics: Topics;
  readonly #appended: Signal;
  readonly #clock: Clock;
  /** Lanes that could not be sent, until when they are left alone. */
  readonly #resting = new Map<string, { untilMs: number; tries: number }>();
  #turn = 0;
  readonly #log = logSeldom();
  /** Since when nothing could be sent, Unix milliseconds; 0 = it goes well. */
  troubledSinceMs = 0;
  published = 0;

  /** `appended`: raised by whoever appends in this process; others are noticed by looking. */
  constructor(options: {
    database: Database;
    producer: KafkaProducer;
    topics: Topics;
    appended: Signal;
    clock: Clock;
  }) {
    this.#database = options.database;
    this.#producer = options.producer;
    this.#topics = options.topics;
    this.#appended = options.appended;
    this.#clock = options.clock;
  }

  async hold({ epoch }: Lease, lost: AbortSignal): Promise<void> {
    this.#resting.clear();
    // From here on no relay before this one moves anything.
    await this.#tryUntil(lost, () =>
      this.#database.query('UPDATE bus.published SET epoch = $1 WHERE epoch < $1', [epoch]),
    );
    let idle = LOOK_MS;
    let failures = 0;
    while (!lost.aborted) {
      try {
        const began = performance.now();
        const sent = await this.#round(epoch, lost);
        if (sent === undefined) return;
        failures = 0;
        if (this.#resting.size === 0) this.troubledSinceMs = 0;
        idle = sent > 0 ? LOOK_MS : Math.min(LOOK_IDLE_MS, idle * 2);
        if (sent > 0 && sent < MANY) await new Signal().within(Math.min(GATHER_MS, performance.now() - began), lost);
        if (sent === 0) await this.#appended.within(idle, lost);
      } catch (thrown) {
        failures += 1;
        this.#tell(thrown);
        await new Signal().within(Math.min(REST_MOST_MS, REST_MS * 2 ** failures), lost);
      }
    }
  }

  async #tryUntil(lost: AbortSignal, work: () => Promise<unknown>): Promise<void> {
    while (!lost.aborted)
      try {
        await work();
        return;
      } catch (thrown) {
        this.#tell(thrown);
        await new Signal().within(REST_MOST_MS, lost);
      }
  }

  /** Sends what stands above `published`. Answers how many records; undefined when another relay has taken over. */
  async #round(epoch: number, lost: AbortSignal): Promise<number | undefined> {
    const behind = await this.#database.query<Position & { head: number; epoch: number }>(
      `SELECT p.stream, p.partition, p.number, p.epoch, l.head FROM bus.published p
       JOIN bus.lanes l ON l.stream = p.stream AND l.partition = p.partition WHERE l.head > p.number OR p.epoch > $1`,
      [epoch],
    );
    if (behind.some((lane) => lane.epoch > epoch)) return undefined;
    if (behind.length === 0) {
      this.#resting.clear();
      return 0;
    }
    // Another lane first each time, and none that rests: one that nobody leads holds up no other.
    const now = performance.now();
    const open = behind.filter((lane) => (this.#resting.get(nameOf(lane))?.untilMs ?? 0) <= now);
    const turn = this.#turn++ % Math.max(1, open.length);
    const rows = await readLog(
      this.#database,
      [...open.slice(turn), ...open.slice(0, turn)].map(({ number, head, ...lane }) => ({
        ...lane,
        after: number,
        through: head,
      })),
      { most: LANE_RECORDS, bytes: ROUND_BYTES },
    );
    const lanes = this.#lanesOf(rows);
    if (lanes.length === 0 || lost.aborted) return 0;
    await this.#topics.have(lanes.map(({ through }) => through.stream));
    const outcomes = await this.#producer.send(lanes.map(({ lane }) => lane));
    const moved: Position[] = [];
    let failed: unknown;
    for (const [i, outcome] of outcomes.entries()) {
      const { through } = lanes[i]!;
      if (outcome.error === undefined) {
        moved.push(through);
        this.#resting.delete(nameOf(through));
      } else {
        failed = outcome.error;
        const tries = (this.#resting.get(nameOf(through))?.tries ?? 0) + 1;
        const untilMs = performance.now() + Math.min(REST_MOST_MS, REST_MS * 2 ** tries);
        this.#resting.set(nameOf(through), { tries, untilMs });
      }
    }
    await this.#move(moved, epoch);
    if (failed !== undefined && moved.length === 0) throw failed;
    if (failed !== undefined) this.#tell(failed);
    const sent = moved.reduce((sum, to) => sum + (to.number - behind.find((lane) => isSame(lane, to))!.number), 0);
    this.published += sent;
    return sent;
  }

  #lanesOf(records: readonly LogRecord[]): { lane: LaneRecords; through: Position }[] {
    const lanes = new Map<
      string,
      { lane: { topic: string; partition: number; records: ReturnType<typeof fromLog>[] }; through: Position }
    >();
    for (const record of records) {
      const { stream, partition, number } = record;
      const id = `${stream}/${partition}`;
      let of = lanes.get(id);
      if (of === undefined) {
        of = {
          lane: { topic: this.#topics.of(stream), partition, records: [] },
          through: { stream, partition, number },
        };
        lanes.set(id, of);
      }
      of.lane.records.push(fromLog(record));
      of.through.number = number;
    }
    return [...lanes.values()];
  }

  async #move(moved: readonly Position[], epoch: number): Promise<void> {
    if (moved.length === 0) return;
    await this.#database.query(
      `UPDATE bus.published p SET number = u.n FROM unnest($1::text[], $2::int[], $3::bigint[]) u (s, p, n)
       WHERE p.stream = u.s AND p.partition = u.p AND p.epoch = $4 AND p.number < u.n`,
      [
        moved.map(({ stream }) => stream),
        moved.map(({ partition }) => partition),
        moved.map(({ number }) => number),
        epoch,
      ],
    );
  }

  #tell(thrown: unknown): void {
    this.troubledSinceMs ||= this.#clock.now();
    const { name, code } = thrown as { name?: string; code?: string };
    this.#log('error', 'relay_failed', { cause: name ?? typeof thrown, ...(typeof code === 'string' ? { code } : {}) });
  }
}
