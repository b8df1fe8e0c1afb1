/**
 * What the bus needs of Kafka, whichever client library speaks to it. Ownership and positions live in PostgreSQL: there is
 * no group membership here, no auto-commit, no partitioner and no retry of a write. Who writes gives the lane and keeps one
 * request in flight a lane; who reads gives the offset of every lane.
 *
 * Every driver passes `contract.ts` and the fault tests, against a real broker.
 */

export type DriverName = 'kafkajs' | 'platformatic';

export interface DriverSettings {
  /** `host:port`, one or more, to find the cluster by. */
  brokers: readonly string[];
  /** Shown in the broker's logs and quotas. */
  clientId: string;
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
  /** Given = TLS, also when empty: then the system's authorities count. PEM. */
  tls?: { ca?: string | Buffer; cert?: string | Buffer; key?: string | Buffer };
  /** How long a connection may take, credentials included. Default 5 s. */
  connectTimeoutMs?: number;
  /** How long one request may take before its outcome counts as unknown. Default 15 s. */
  requestTimeoutMs?: number;
}

/** One partition of one topic. */
export interface Lane {
  topic: string;
  partition: number;
}

/** Name and bytes. Kafka keeps their order and allows a name twice. */
export type Header = readonly [name: string, value: Uint8Array];

export interface ProducedRecord {
  key: Uint8Array | null;
  /** Empty is a value; null is a tombstone. */
  value: Uint8Array | null;
  headers: readonly Header[];
  /** Unix milliseconds. */
  timestampMs: number;
}

/** `timestampMs` is the broker's where the topic says `LogAppendTime`. Keys and values are views of the answer's bytes. */
export interface FetchedRecord extends ProducedRecord {
  offset: bigint;
}

/**
 * What went wrong, in Kafka's own names (`NOT_LEADER_OR_FOLLOWER`, `SASL_AUTHENTICATION_FAILED`, …) or ours for what
 * happened on the way: `CONNECTION` (no connection, or it ended), `TIMEOUT` (no answer in time), `CLOSED` (this driver was
 * closed), `TLS` (no agreement on encryption), `DRIVER` (the library broke its promise).
 * `message` quotes no key, value, header or password.
 */
export class KafkaError extends Error {
  readonly code: string;
  /** The same request can succeed later, without anybody changing anything but the cluster's health. */
  readonly retriable: boolean;
  /** For a write: `none` = surely nothing was written; `unknown` = it may have been, or may still be. */
  readonly written: 'none' | 'unknown';
  constructor(
    code: string,
    message: string,
    { retriable, written = 'none', cause }: { retriable: boolean; written?: 'none' | 'unknown'; cause?: unknown },
  ) {
    super(message, { cause });
    this.name = 'KafkaError';
    this.code = code;
    this.retriable = retriable;
    this.written = written;
  }
}

/** What a driver is. `close` ends everything that was opened by it, at once and without waiting for brokers. */
export interface KafkaDriver {
  readonly name: DriverName;
  /** The library and its version, for `eduk doctor`. */
  readonly library: string;
  admin(): KafkaAdmin;
  producer(options?: ProducerOptions): KafkaProducer;
  reader(options: ReaderOptions): KafkaReader;
  close(): Promise<void>;
}

export interface TopicSpec {
  name: string;
  partitions: number;
  replication: number;
  /** Kafka's own names and values, such as `'cleanup.policy': 'delete'`. */
  configs: Readonly<Record<string, string>>;
}

export interface TopicDescription {
  name: string;
  /** In order of their number. */
  partitions: readonly {
    partition: number;
    /** Broker id; -1 = none at this moment. */
    leader: number;
    replicas: readonly number[];
    inSync: readonly number[];
  }[];
  /** All settings of the topic, those that it inherits included. */
  configs: Readonly<Record<string, string>>;
}

export interface ClusterDescription {
  clusterId: string;
  controller: number;
  brokers: readonly { id: number; host: string; port: number }[];
}

/** How far a lane reaches: `earliest` is the first offset kept, `end` the one that the next record gets. */
export interface LaneRange extends Lane {
  earliest: bigint;
  end: bigint;
}

export interface LaneOffset extends Lane {
  offset: bigint;
}

/** Every call tries again while brokers are away, until `requestTimeoutMs` has passed, and rejects with a `KafkaError`. */
export interface KafkaAdmin {
  brokers(): Promise<ClusterDescription>;
  /** Those of `names` that exist. */
  describeTopics(names: readonly string[]): Promise<TopicDescription[]>;
  /** Creates what is missing; a topic that exists is left as it is. Names of the created. */
  createTopics(specs: readonly TopicSpec[]): Promise<string[]>;
  /** In the order of `lanes`. An unknown topic rejects with `UNKNOWN_TOPIC_OR_PARTITION`. */
  ranges(lanes: readonly Lane[]): Promise<LaneRange[]>;
  /** For display by Kafka's own tools only: nobody reads them back to decide anything. */
  commitOffsets(group: string, offsets: readonly LaneOffset[]): Promise<void>;
  /** What `commitOffsets` left; lanes without are absent. */
  committedOffsets(group: string, lanes: readonly Lane[]): Promise<LaneOffset[]>;
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** Most bytes of records that may be under way in all; `send` rejects beyond. Default 32 MiB. */
  maxBytes?: number;
}

/** Records for one lane, in their order. */
export interface LaneRecords extends Lane {
  records: readonly ProducedRecord[];
}

/** What became of a lane's records: all were written, the first at `offset`, or `error` says what is known. */
export type LaneOutcome = { offset: bigint; error?: undefined } | { offset?: undefined; error: KafkaError };

export interface KafkaProducer {
  /**
   * Writes with acks from all in-sync replicas, in one request a leader, and tells what became of each lane, in the order
   * given. Nothing is tried again: after an outcome that is unknown the caller sends the same records again, and readers drop
   * by number what came twice. Records of one lane are written as one batch: all or none.
   *
   * The caller keeps one `send` at a time a lane. Rejects only where nothing was sent at all: more than `maxBytes` under way
   * (`OVERLOADED`, retriable), a lane twice in one call or already under way (`DRIVER`), or closed.
   * After a timeout the connection is dropped; the broker may still write what it had received, later than a repeat.
   */
  send(lanes: readonly LaneRecords[]): Promise<LaneOutcome[]>;
  /** Bytes of records under way. */
  readonly bytes: number;
  close(): Promise<void>;
}

export interface LaneStart extends Lane {
  offset: bigint | 'earliest';
}

/** The offset that a reader stands at is not there. */
export interface LaneGap extends Lane {
  asked: bigint;
  /** First offset kept. */
  earliest: bigint;
  /** Offset that the next record gets. */
  end: bigint;
}

/** Something that the reader goes on trying by itself. `lane` is absent where it concerns a whole broker. */
export interface ReaderTrouble {
  lane?: Lane;
  error: KafkaError;
  /** Since when it goes on without success, Unix milliseconds. */
  sinceMs: number;
}

export interface ReaderOptions {
  lanes: readonly LaneStart[];
  /**
   * Records of one lane, in their order, without holes but those that Kafka itself leaves between offsets. While the promise
   * is open that lane is not fetched, and no other call for it comes. When it rejects, the same records come again after a
   * rest, and `onTrouble` tells of it. `end` is the lane's end as of this answer: `end - last offset - 1` are still unread.
   */
  onRecords(lane: Lane, records: readonly FetchedRecord[], end: bigint): void | Promise<void>;
  /** The lane stands still until `seek`. Never healed by the driver. */
  onGap(gap: LaneGap): void;
  /** Told when something begins to fail, and again at each further attempt. */
  onTrouble?(trouble: ReaderTrouble): void;
  /** Most bytes of one answer of one broker; a single larger batch still comes whole. Default 4 MiB. */
  maxBytes?: number;
  /** Most bytes of one lane in an answer. Default 1 MiB. */
  laneMaxBytes?: number;
  /** How long a broker may wait for new records before it answers with none. Default 500 ms. */
  maxWaitMs?: number;
}

/**
 * Reads lanes from given offsets. Brokers that go, come back or pass lanes to another are waited for, with rests from 50 ms
 * up to 2 s. Memory: two answers of `maxBytes` a broker at most, whatever the handlers do.
 */
export interface KafkaReader {
  /** Goes on at `offset`, also after a gap. Records of before the call are not handed any more. Like `resume`, heeded within `maxWaitMs`. */
  seek(lane: Lane, offset: bigint | 'earliest'): void;
  /** No further call of `onRecords` for this lane; an open one goes on. */
  pause(lane: Lane): void;
  resume(lane: Lane): void;
  /** Next offset to be handed; undefined until a start at `earliest` is known. */
  position(lane: Lane): bigint | undefined;
  /** No call of a handler begins after this; resolves when the connections are gone, without waiting for open handlers. */
  close(): Promise<void>;
}
