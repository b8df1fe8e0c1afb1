import type { Cluster } from './cluster.ts';
import { answered, unwritten } from './codes.ts';
import {
  KafkaError,
  type KafkaProducer,
  type LaneOutcome,
  type LaneRecords,
  type ProducedRecord,
  type ProducerOptions,
} from './port.ts';

const MAX_BYTES = 32 * 1024 * 1024;
/** What Kafka adds to a record and to a header, at most. */
const RECORD_OVERHEAD = 24;
const HEADER_OVERHEAD = 6;

/** How many bytes a record takes on the wire, a little too many. What `max.message.bytes` bounds is the sum over a lane's records. */
export function recordBytes({ key, value, headers }: ProducedRecord): number {
  let bytes = RECORD_OVERHEAD + (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, value] of headers) bytes += HEADER_OVERHEAD + name.length + value.length;
  return bytes;
}

export class Producer implements KafkaProducer {
  readonly #cluster: Cluster;
  readonly #maxBytes: number;
  readonly #underWay = new Set<string>();
  #bytes = 0;

  constructor(cluster: Cluster, { maxBytes = MAX_BYTES }: ProducerOptions = {}) {
    this.#cluster = cluster;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async send(lanes: readonly LaneRecords[]): Promise<LaneOutcome[]> {
    if (this.#cluster.closed) throw new KafkaError('CLOSED', 'this producer was closed', { retriable: false });
    const keys = lanes.map(({ topic, partition }) => `${topic}/${partition}`);
    const busy = keys.find((key, at) => this.#underWay.has(key) || keys.indexOf(key) !== at);
    if (busy !== undefined) throw new KafkaError('DRIVER', `lane ${busy} is under way already`, { retriable: false });
    let bytes = 0;
    for (const { records } of lanes) for (const record of records) bytes += recordBytes(record);
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new KafkaError('OVERLOADED', `more than ${this.#maxBytes} bytes would be under way`, { retriable: true });
    }
    this.#bytes += bytes;
    for (const key of keys) this.#underWay.add(key);
    try {
      return await this.#send(lanes);
    } finally {
      this.#bytes -= bytes;
      for (const key of keys) this.#underWay.delete(key);
    }
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  async #send(lanes: readonly LaneRecords[]): Promise<LaneOutcome[]> {
    const outcomes: LaneOutcome[] = [];
    const byLeader = new Map<number, number[]>();
    await Promise.all(
      lanes.map(async (lane, at) => {
        if (lane.records.length === 0) {
          outcomes[at] = { error: new KafkaError('DRIVER', 'a lane without records', { retriable: false }) };
          return;
        }
        try {
          const leader = await this.#cluster.leader(lane);
          if (leader < 0) throw unwritten(answered(5, `${lane.topic}/${lane.partition}`));
          const led = byLeader.get(leader);
          if (led) led.push(at);
          else byLeader.set(leader, [at]);
        } catch (error) {
          this.#cluster.stale([lane.topic]);
          outcomes[at] = { error: unwritten(error as KafkaError) };
        }
      }),
    );
    await Promise.all(
      [...byLeader].map(async ([leader, indexes]) => {
        // In one order, so that all lanes of a topic stand together.
        indexes.sort((a, b) => a - b);
        const group = indexes.map((at) => lanes[at]!);
        const fail = (error: KafkaError) => {
          this.#cluster.stale(group.map(({ topic }) => topic));
          for (const at of indexes) outcomes[at] ??= { error };
        };
        let link: Awaited<ReturnType<Cluster['link']>>;
        try {
          link = await this.#cluster.link(leader);
        } catch (error) {
          return fail(unwritten(error as KafkaError));
        }
        try {
          // The broker gives up first, so that its answer tells more than our clock.
          const said = await this.#cluster.ask(
            link,
            link.produce(group, Math.ceil(this.#cluster.settings.requestTimeoutMs * 0.8)),
          );
          for (const { topic, partition, code, offset } of said) {
            const at = indexes.find((at) => lanes[at]!.topic === topic && lanes[at]!.partition === partition);
            if (at === undefined) continue;
            if (code === 0) outcomes[at] = { offset };
            else {
              outcomes[at] = { error: answered(code, `${topic}/${partition}`) };
              this.#cluster.stale([topic]);
            }
          }
          if (indexes.some((at) => outcomes[at] === undefined))
            fail(new KafkaError('DRIVER', 'the answer lacks a lane', { retriable: true, written: 'unknown' }));
        } catch (error) {
          const { code, message, retriable, cause } = error as KafkaError;
          fail(new KafkaError(code, message, { retriable, written: 'unknown', cause }));
        }
      }),
    );
    return outcomes;
  }
}
