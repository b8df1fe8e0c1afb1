/**
 * `kafkajs` 2.2.4, by the modules beneath its clients: connections, requests, encoder and decoder. Its public API has no
 * assignment by hand, answers for a whole request instead of for each lane, and heals an offset out of range silently. The
 * modules are not promised to anybody, but the library is at rest: its version is pinned, and `contract.ts` holds it to this use.
 *
 * Mended from here: `TimeoutNegativeWarning` on Node 24; a request without an answer left its connection open, so that the
 * next one could wait behind it; one on a connection that had ended waited for ever; closing waited for answers; a broker that
 * wants TLS was waited for. Record batches are ours.
 */
import { createRequire } from 'node:module';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { answered, connectionError } from './codes.ts';
import type { LaneRecords } from './port.ts';
import { type Crc32c, decodeBatches, encodeBatch } from './records.ts';
import { byTopic, type FetchedLane, isTlsAlert, type Link, type WireOf } from './wire.ts';

/** What we use of the library's modules, which have no types. */
interface KafkajsEncoder {
  writeInt16(value: number): KafkajsEncoder;
  writeInt32(value: number): KafkajsEncoder;
  writeString(value: string | null): KafkajsEncoder;
  writeBuffer(value: Buffer): KafkajsEncoder;
}
interface KafkajsDecoder {
  offset: number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): bigint;
  readString(): string;
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
    push(request: object): void;
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
const Encoder: new (size?: number) => KafkajsEncoder = load('kafkajs/src/protocol/encoder');
const Decoder: new (bytes: Buffer) => KafkajsDecoder = load('kafkajs/src/protocol/decoder');
const crc32c: Crc32c = load('kafkajs/src/protocol/recordBatch/crc32C');
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
    // The library writes to a socket that is gone, and its clock stopped with it: nobody would ever answer.
    const push = queue.push.bind(queue);
    queue.push = (request) => {
      if (connection.socket === undefined || connection.socket.destroyed) throw new Error('closed');
      push(request);
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
      const ended = gone.promise.then(() => turn()).then(() => Promise.reject(new Error('closed')));
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
        if (code !== 0) throw answered(code, `fetch from ${address}`);
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
      const batch = encodeBatch(records, crc32c);
      body.writeInt32(partition).writeInt32(batch.length).writeBuffer(batch);
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
  decoder.readArray((decoder) => {
    const topic = decoder.readString();
    decoder.readArray((decoder) => {
      const partition = decoder.readInt32();
      const code = decoder.readInt16();
      const end = decoder.readInt64();
      decoder.offset += 8 + 8; // last_stable_offset, log_start_offset
      decoder.readArray((aborted) => {
        aborted.offset += 8 + 8;
      });
      decoder.readInt32(); // preferred_read_replica
      const records = decoder.readBytes(Math.max(0, decoder.readInt32()));
      lanes.push({ topic, partition, code, end, ...decodeBatches(records, crc32c) });
    });
  });
  return { code, clientSideThrottleTime, lanes };
}
