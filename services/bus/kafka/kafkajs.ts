/**
 * `kafkajs` 2.2.4, by the modules beneath its clients: connections, requests, encoder and decoder. Its public API has no
 * assignment by hand, answers for a whole request instead of for each lane, and heals an offset out of range silently. The
 * modules are not promised to anybody, but the library is at rest: its version is pinned, and `contract.ts` holds it to this use.
 *
 * Mended from here: `TimeoutNegativeWarning` on Node 24; a request without an answer left its connection open, so that the
 * next one could wait behind it; closing waited for answers; order of headers; offsets of batches without records.
 */
import { createRequire } from 'node:module';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { connectionError } from './codes.ts';
import { type FetchedRecord, KafkaError, type Lane, type LaneRecords } from './port.ts';
import { buffer, byTopic, type FetchedLane, isTlsAlert, type Link, type WireOf } from './wire.ts';

/** What we use of the library's modules, which have no types. */
interface KafkajsEncoder {
  readonly buffer: Buffer;
  size(): number;
  writeInt8(value: number): KafkajsEncoder;
  writeInt16(value: number): KafkajsEncoder;
  writeInt32(value: number): KafkajsEncoder;
  writeString(value: string | null): KafkajsEncoder;
  writeVarInt(value: number): KafkajsEncoder;
  writeVarLong(value: number): KafkajsEncoder;
  writeVarIntString(value: string): KafkajsEncoder;
  writeVarIntBytes(value: Buffer | null): KafkajsEncoder;
  writeEncoder(value: KafkajsEncoder): KafkajsEncoder;
}
interface KafkajsDecoder {
  readonly buffer: Buffer;
  offset: number;
  readInt8(): number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): bigint;
  readString(): string;
  readVarInt(): number;
  readVarLong(): { toString(): string };
  readVarIntString(): string;
  readVarIntBytes(): Buffer | null;
  readArray<T>(read: (decoder: KafkajsDecoder) => T): T[];
  readBytes(length: number): Buffer;
}
interface Protocol<T = any> {
  request: {
    apiKey: number;
    apiVersion: number;
    apiName: string;
    encode(): Promise<KafkajsEncoder>;
    expectResponse?(): boolean;
  };
  response: { decode(bytes: Buffer): Promise<T>; parse(decoded: T): Promise<T> };
  requestTimeout?: number;
}
interface KafkajsConnection {
  socket?: Socket;
  requestQueue: {
    pending: unknown[];
    throttledUntil: number;
    throttleCheckTimeoutId: NodeJS.Timeout | null;
    checkPendingRequests(): void;
    scheduleCheckPendingRequests(): void;
    destroy(): void;
  };
  connect(): Promise<unknown>;
  authenticate(): Promise<void>;
  setVersions(versions: unknown): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  rejectRequests(error: Error): void;
  send<T>(protocol: Protocol<T>): Promise<T>;
}

const load = createRequire(import.meta.url);
const ConnectionClass: new (options: object) => KafkajsConnection = load('kafkajs/src/network/connection');
const Encoder: (new (
  size?: number,
) => KafkajsEncoder) & {
  sizeOfVarInt(value: number): number;
  sizeOfVarLong(value: number): number;
  sizeOfVarIntBytes(value: Buffer | null): number;
} = load('kafkajs/src/protocol/encoder');
const Decoder: new (bytes: Buffer) => KafkajsDecoder = load('kafkajs/src/protocol/decoder');
const { RecordBatch }: { RecordBatch(batch: object): Promise<KafkajsEncoder> } = load(
  'kafkajs/src/protocol/recordBatch/v0',
);
const { requests }: { requests: Record<string, { protocol(of: { version: number }): (of?: object) => Protocol }> } =
  load('kafkajs/src/protocol/requests');

/** The newest version of each request that the library writes; every Kafka up to 4 speaks it. */
const ask = {
  ApiVersions: requests.ApiVersions!.protocol({ version: 2 }),
  Metadata: requests.Metadata!.protocol({ version: 6 }),
  Produce: requests.Produce!.protocol({ version: 7 }),
  Fetch: requests.Fetch!.protocol({ version: 11 }),
  ListOffsets: requests.ListOffsets!.protocol({ version: 3 }),
  CreateTopics: requests.CreateTopics!.protocol({ version: 3 }),
  DescribeConfigs: requests.DescribeConfigs!.protocol({ version: 2 }),
  GroupCoordinator: requests.GroupCoordinator!.protocol({ version: 2 }),
  OffsetCommit: requests.OffsetCommit!.protocol({ version: 5 }),
  OffsetFetch: requests.OffsetFetch!.protocol({ version: 4 }),
};

const EARLIEST = -2;
const END = -1;
const READ_UNCOMMITTED = 0;
const ACKS_ALL = -1;
const CONFIG_OF_TOPIC = 2;
/** Bytes of a batch before the length of what follows is known: offset and length. */
const BATCH_HEAD = 12;
const CONTROL = 0x20;
const APPEND_TIME = 0x08;
const COMPRESSED = 0x07;

const nothing = () => {};
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing, namespace: () => silent };

export const kafkajs: WireOf = ({ clientId, sasl, tls, connectTimeoutMs, requestTimeoutMs }) => ({
  name: 'kafkajs',
  library: 'kafkajs 2.2.4',
  async connect(host, port, signal) {
    const address = `${host}:${port}`;
    const gone = Promise.withResolvers<void>();
    const connection = new ConnectionClass({
      host,
      port,
      clientId,
      logger: silent,
      requestTimeout: requestTimeoutMs,
      connectionTimeout: connectTimeoutMs,
      ssl: tls,
      sasl: sasl && { ...sasl },
      socketFactory: ({ onConnect }: { onConnect(): void }) => {
        const socket = tls
          ? connectTls({ host, port, ...(!isIP(host) && { servername: host }), ...tls }, onConnect)
          : connectPlain({ host, port }, onConnect);
        socket.setNoDelay(true);
        // The library takes the alert of a broker that wants TLS for the length of an answer.
        if (!tls)
          socket.once('data', (first) => isTlsAlert(first) && socket.destroy(new Error('the broker speaks TLS')));
        socket.once('close', () => {
          connection.rejectRequests(new Error('closed'));
          connection.requestQueue.destroy();
          gone.resolve();
        });
        return socket;
      },
    });
    const queue = connection.requestQueue;
    // The library's own looks again after `throttledUntil - now`, which is mostly negative.
    queue.scheduleCheckPendingRequests = () => {
      if (queue.throttleCheckTimeoutId !== null || queue.pending.length === 0) return;
      queue.throttleCheckTimeoutId = setTimeout(
        () => {
          queue.throttleCheckTimeoutId = null;
          queue.checkPendingRequests();
        },
        Math.max(10, queue.throttledUntil - Date.now()),
      );
    };
    const end = () => {
      connection.socket?.destroy();
      if (connection.socket === undefined) gone.resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    void gone.promise.then(() => signal.removeEventListener('abort', end));
    // Its own limit counts until the socket is there, not until the broker has answered.
    const { promise: late, reject: tooLate } = Promise.withResolvers<never>();
    const timer = setTimeout(() => tooLate(new Error('connection timeout')), connectTimeoutMs);
    try {
      const connecting = connection.connect();
      connecting.catch(nothing);
      if (signal.aborted) end();
      // It never settles where the socket is only destroyed; where it says why, that comes a little after.
      const ended = gone.promise.then(() => rest(10)).then(() => Promise.reject(new Error('closed')));
      ended.catch(nothing);
      await Promise.race([
        (async () => {
          await connecting;
          const { apiVersions } = await connection.send(ask.ApiVersions());
          connection.setVersions(
            Object.fromEntries(
              apiVersions.map(({ apiKey, ...versions }: { apiKey: number; minVersion: number; maxVersion: number }) => [
                apiKey,
                versions,
              ]),
            ),
          );
          connection.setSupportAuthenticationProtocol(true);
          await connection.authenticate();
        })(),
        late,
        ended,
      ]);
    } catch (error) {
      end();
      throw connectionError(address, error);
    } finally {
      clearTimeout(timer);
    }

    /** Codes of lanes and topics are ours to judge: the library makes one error of the first. */
    const send = async <T>({ request, response, requestTimeout }: Protocol<T>): Promise<T> => {
      try {
        return await connection.send<T>({
          request,
          response: { decode: response.decode, parse: (decoded: T) => Promise.resolve(decoded) },
          ...(requestTimeout !== undefined && { requestTimeout: requestTimeoutMs }),
        });
      } catch (error) {
        // Whatever it was, the next answer on this connection could be taken for that of another request.
        end();
        throw connectionError(address, error);
      }
    };

    const link: Link = {
      address,
      ended: gone.promise,
      async metadata(topics) {
        const said = await send(ask.Metadata({ topics: [...topics], allowAutoTopicCreation: false }));
        return {
          clusterId: said.clusterId ?? '',
          controller: said.controllerId,
          brokers: said.brokers.map(({ nodeId, host, port }: any) => ({ id: nodeId, host, port })),
          topics: said.topicMetadata.map(({ topic, topicErrorCode, partitionMetadata }: any) => ({
            name: topic,
            code: topicErrorCode,
            partitions: partitionMetadata.map(({ partitionId, leader, replicas, isr }: any) => ({
              partition: partitionId,
              leader,
              replicas,
              inSync: isr,
            })),
          })),
        };
      },

      async produce(lanes, timeoutMs) {
        const { request, response } = ask.Produce({ acks: ACKS_ALL, timeout: timeoutMs, topicData: [] });
        const said = await send({ request: { ...request, encode: () => producing(lanes, timeoutMs) }, response });
        return said.topics.flatMap(({ topicName, partitions }: any) =>
          partitions.map(({ partition, errorCode, baseOffset }: any) => ({
            topic: topicName,
            partition,
            code: errorCode,
            offset: BigInt(baseOffset),
          })),
        );
      },

      async fetch({ lanes, maxWaitMs, maxBytes, laneMaxBytes }) {
        const { request, requestTimeout } = ask.Fetch({
          isolationLevel: READ_UNCOMMITTED,
          maxWaitTime: maxWaitMs,
          minBytes: 1,
          maxBytes,
          rackId: '',
          topics: byTopic(lanes).map(({ topic, lanes }) => ({
            topic,
            partitions: lanes.map(({ partition, offset }) => ({
              partition,
              fetchOffset: offset,
              maxBytes: laneMaxBytes,
            })),
          })),
        });
        const { code, lanes: said } = await send<{ code: number; lanes: FetchedLane[] }>({
          request,
          requestTimeout,
          response: {
            decode: async (bytes) => fetched(new Decoder(bytes)),
            parse: (decoded) => Promise.resolve(decoded),
          },
        });
        if (code !== 0) throw new KafkaError('DRIVER', `fetch session error ${code}`, { retriable: true });
        return said;
      },

      async offsets(lanes, which) {
        const said = await send(
          ask.ListOffsets({
            isolationLevel: READ_UNCOMMITTED,
            topics: byTopic(lanes).map(({ topic, lanes }) => ({
              topic,
              partitions: lanes.map(({ partition }) => ({
                partition,
                timestamp: which === 'earliest' ? EARLIEST : END,
              })),
            })),
          }),
        );
        return said.responses.flatMap(({ topic, partitions }: any) =>
          partitions.map(({ partition, errorCode, offset }: any) => ({
            topic,
            partition,
            code: errorCode,
            offset: BigInt(offset),
          })),
        );
      },

      async createTopics(specs, timeoutMs) {
        const said = await send(
          ask.CreateTopics({
            validateOnly: false,
            timeout: timeoutMs,
            topics: specs.map(({ name, partitions, replication, configs }) => ({
              topic: name,
              numPartitions: partitions,
              replicationFactor: replication,
              replicaAssignment: [],
              configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })),
            })),
          }),
        );
        return said.topicErrors.map(({ topic, errorCode, errorMessage }: any) => ({
          name: topic,
          code: errorCode,
          words: errorMessage ?? '',
        }));
      },

      async configs(topics) {
        const said = await send(
          ask.DescribeConfigs({
            resources: topics.map((name) => ({ type: CONFIG_OF_TOPIC, name })),
            includeSynonyms: false,
          }),
        );
        return said.resources.map(({ resourceName, errorCode, configEntries }: any) => ({
          name: resourceName,
          code: errorCode,
          configs: Object.fromEntries(
            configEntries.map(({ configName, configValue }: any) => [configName, configValue ?? '']),
          ),
        }));
      },

      async coordinator(group) {
        const { errorCode: code, coordinator } = await send(ask.GroupCoordinator({ groupId: group }));
        return { code, id: coordinator.nodeId, host: coordinator.host, port: coordinator.port };
      },

      async commit(group, offsets) {
        const said = await send(
          ask.OffsetCommit({
            groupId: group,
            groupGenerationId: -1,
            memberId: '',
            topics: byTopic(offsets).map(({ topic, lanes }) => ({
              topic,
              partitions: lanes.map(({ partition, offset }) => ({ partition, offset: offset.toString() })),
            })),
          }),
        );
        return said.responses.flatMap(({ topic, partitions }: any) =>
          partitions.map(({ partition, errorCode }: any) => ({ topic, partition, code: errorCode })),
        );
      },

      async committed(group, lanes) {
        const said = await send(
          ask.OffsetFetch({
            groupId: group,
            topics: byTopic(lanes).map(({ topic, lanes }) => ({
              topic,
              partitions: lanes.map(({ partition }) => ({ partition })),
            })),
          }),
        );
        return said.responses.flatMap(({ topic, partitions }: any) =>
          partitions.map(({ partition, errorCode, offset }: any) => ({
            topic,
            partition,
            code: errorCode || said.errorCode,
            offset: BigInt(offset),
          })),
        );
      },
    };
    return link;
  },
});

/** Produce, version 7: transactional_id acks timeout [topic [partition records]]. */
async function producing(lanes: readonly LaneRecords[], timeoutMs: number): Promise<KafkajsEncoder> {
  const topics = byTopic(lanes);
  const body = new Encoder(1 << 16)
    .writeString(null)
    .writeInt16(ACKS_ALL)
    .writeInt32(timeoutMs)
    .writeInt32(topics.length);
  for (const { topic, lanes } of topics) {
    body.writeString(topic).writeInt32(lanes.length);
    for (const { partition, records } of lanes) {
      const firstTimestamp = records[0]!.timestampMs;
      const batch = await RecordBatch({
        firstTimestamp,
        maxTimestamp: records.reduce((max, { timestampMs }) => Math.max(max, timestampMs), firstTimestamp),
        lastOffsetDelta: records.length - 1,
        records: records.map(({ key, value, headers, timestampMs }, at) => {
          const keyBytes = key === null ? null : buffer(key);
          const valueBytes = value === null ? null : buffer(value);
          const record = new Encoder()
            .writeInt8(0)
            .writeVarLong(timestampMs - firstTimestamp)
            .writeVarInt(at)
            .writeVarIntBytes(keyBytes)
            .writeVarIntBytes(valueBytes)
            .writeVarInt(headers.length);
          for (const [name, bytes] of headers) record.writeVarIntString(name).writeVarIntBytes(buffer(bytes));
          return new Encoder(record.size() + 5).writeVarInt(record.size()).writeEncoder(record);
        }),
      });
      body.writeInt32(partition).writeInt32(batch.size()).writeEncoder(batch);
    }
  }
  return body;
}

/** Answer to a fetch, version 11. */
function fetched(decoder: KafkajsDecoder): { code: number; clientSideThrottleTime: number; lanes: FetchedLane[] } {
  const clientSideThrottleTime = decoder.readInt32();
  const code = decoder.readInt16();
  decoder.readInt32(); // session_id
  const lanes: FetchedLane[] = [];
  const topics = decoder.readInt32();
  for (let at = 0; at < topics; at++) {
    const topic = decoder.readString();
    const partitions = decoder.readInt32();
    for (let at = 0; at < partitions; at++) {
      const lane: Lane = { topic, partition: decoder.readInt32() };
      const laneCode = decoder.readInt16();
      const end = decoder.readInt64();
      decoder.readInt64(); // last_stable_offset
      decoder.readInt64(); // log_start_offset
      decoder.readArray((aborted) => [aborted.readInt64(), aborted.readInt64()]);
      decoder.readInt32(); // preferred_read_replica
      lanes.push({ ...lane, code: laneCode, end, ...batches(decoder.readBytes(Math.max(0, decoder.readInt32()))) });
    }
  }
  return { code, clientSideThrottleTime, lanes };
}

/** Whole batches; an answer may end within one. */
function batches(bytes: Buffer): { records: FetchedRecord[]; next?: bigint } {
  const records: FetchedRecord[] = [];
  let next: bigint | undefined;
  let from = 0;
  while (bytes.length - from >= BATCH_HEAD) {
    const length = bytes.readInt32BE(from + 8);
    if (bytes.length - from - BATCH_HEAD < length) break;
    const decoder = new Decoder(bytes.subarray(from, from + BATCH_HEAD + length));
    const firstOffset = decoder.readInt64();
    decoder.offset += 4 + 4 + 1 + 4; // length, leader epoch, magic, crc
    const attributes = decoder.readInt16();
    next = firstOffset + BigInt(decoder.readInt32()) + 1n;
    const firstMs = Number(decoder.readInt64());
    const appendMs = attributes & APPEND_TIME ? Number(decoder.readInt64()) : undefined;
    if (appendMs === undefined) decoder.offset += 8; // max timestamp
    decoder.offset += 8 + 2 + 4; // producer
    const count = decoder.readInt32();
    if (attributes & COMPRESSED)
      throw new KafkaError('DRIVER', 'a compressed batch, which we never write', { retriable: false });
    if (!(attributes & CONTROL)) {
      for (let at = 0; at < count; at++) {
        decoder.readVarInt(); // length
        decoder.readInt8(); // attributes
        const delta = decoder.readVarLong();
        const timestampMs = appendMs ?? firstMs + Number(delta.toString());
        const offset = firstOffset + BigInt(decoder.readVarInt());
        const key = decoder.readVarIntBytes();
        const value = decoder.readVarIntBytes();
        const headers: [string, Buffer][] = [];
        for (let left = decoder.readVarInt(); left > 0; left--) {
          headers.push([decoder.readVarIntString() ?? '', decoder.readVarIntBytes() ?? Buffer.alloc(0)]);
        }
        records.push({ offset, timestampMs, key, value, headers });
      }
    }
    from += BATCH_HEAD + length;
  }
  return { records, next };
}
