/**
 * What a client library gives: connections that speak Kafka's protocol. Leaders, tries, loops and promises are ours
 * (`cluster.ts`, `producer.ts`, `reader.ts`, `admin.ts`), so that they are the same whichever library is beneath.
 */
import type { DriverName, DriverSettings, FetchedRecord, Lane, LaneOffset, LaneRecords, TopicSpec } from './port.ts';

export interface Wire {
  readonly name: DriverName;
  readonly library: string;
  /** Rejects with a `KafkaError`, at the latest after `connectTimeoutMs`; `signal` ends a connection at any time, at once. */
  connect(host: string, port: number, signal: AbortSignal): Promise<Link>;
}

/** Opens nothing yet. */
export type WireOf = (
  settings: Required<Pick<DriverSettings, 'connectTimeoutMs' | 'requestTimeoutMs'>> & DriverSettings,
) => Wire;

export interface ClusterMetadata {
  clusterId: string;
  controller: number;
  brokers: { id: number; host: string; port: number }[];
  topics: {
    name: string;
    code: number;
    partitions: { partition: number; leader: number; replicas: number[]; inSync: number[] }[];
  }[];
}

export interface FetchedLane extends Lane {
  code: number;
  /** Offset that the next record of the lane gets. */
  end: bigint;
  /** May begin before the asked offset: brokers answer whole batches. */
  records: FetchedRecord[];
  /** Offset after the last batch of this answer; undefined where there was none. */
  next?: bigint;
}

/**
 * One connection to one broker. Every call rejects with a `KafkaError` where the whole request failed (after
 * `requestTimeoutMs` with `TIMEOUT`, and the connection ends), and answers with Kafka's codes for each lane or topic otherwise.
 */
export interface Link {
  readonly address: string;
  /** Resolves once the connection is gone, for whatever reason. */
  readonly ended: Promise<void>;
  metadata(topics: readonly string[]): Promise<ClusterMetadata>;
  /** Acks from all in-sync replicas, for which the broker waits `timeoutMs`. */
  produce(lanes: readonly LaneRecords[], timeoutMs: number): Promise<(Lane & { code: number; offset: bigint })[]>;
  fetch(request: {
    lanes: readonly LaneOffset[];
    maxWaitMs: number;
    maxBytes: number;
    laneMaxBytes: number;
  }): Promise<FetchedLane[]>;
  offsets(lanes: readonly Lane[], which: 'earliest' | 'end'): Promise<(LaneOffset & { code: number })[]>;
  createTopics(
    specs: readonly TopicSpec[],
    timeoutMs: number,
  ): Promise<{ name: string; code: number; words: string }[]>;
  configs(topics: readonly string[]): Promise<{ name: string; code: number; configs: Record<string, string> }[]>;
  coordinator(group: string): Promise<{ code: number; id: number; host: string; port: number }>;
  commit(group: string, offsets: readonly LaneOffset[]): Promise<(Lane & { code: number })[]>;
  /** Offset -1 = none. */
  committed(group: string, lanes: readonly Lane[]): Promise<(LaneOffset & { code: number })[]>;
}

/** Lanes by topic, in their order; a topic may come twice where others stand between. */
export function byTopic<T extends Lane>(lanes: readonly T[]): { topic: string; lanes: T[] }[] {
  const topics: { topic: string; lanes: T[] }[] = [];
  for (const lane of lanes) {
    const last = topics.at(-1);
    if (last?.topic === lane.topic) last.lanes.push(lane);
    else topics.push({ topic: lane.topic, lanes: [lane] });
  }
  return topics;
}

/** A view of the same bytes: both libraries want Buffers. */
export const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Whether the first bytes of a connection without TLS are the alert of a broker that wants it: no library says so itself. */
export const isTlsAlert = ([type, version]: Uint8Array): boolean => type === 0x15 && version === 0x03;
