/**
 * `@platformatic/kafka`, by what it exports beneath its clients: connections, requests and answers. Its consumer and
 * producer are not used: they retry writes by themselves and have no assignment by hand. Versions of requests are those that
 * every Kafka from 2.8 up to 4 speaks, so that nothing is negotiated.
 */
import { isIP } from 'node:net';
import {
  ConfigResourceTypes,
  Connection,
  crc32c,
  createAPI,
  createTopicsV5,
  describeConfigsV4,
  FetchIsolationLevels,
  FindCoordinatorKeyTypes,
  fetchV12,
  findCoordinatorV3,
  listOffsetsV6,
  metadataV9,
  offsetCommitV8,
  offsetFetchV7,
  ProduceAcks,
  produceV9,
  Reader,
  ResponseError,
  Writer,
} from '@platformatic/kafka';
import { answered, connectionError } from './codes.ts';
import type { LaneRecords } from './port.ts';
import { decodeBatches, encodeBatch } from './records.ts';
import { byTopic, type FetchedLane, isTlsAlert, type Link, type WireOf } from './wire.ts';

const EARLIEST = -2n;
const END = -1n;
const MECHANISMS = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const;

/** Produce, version 9. Topic and lanes are one list each. */
const produce = createAPI<[lanes: readonly LaneRecords[], timeoutMs: number], produceV9.ProduceResponse>(
  produceV9.api.key,
  produceV9.api.version,
  (lanes: readonly LaneRecords[], timeoutMs: number) =>
    Writer.create()
      .appendString(null)
      .appendInt16(ProduceAcks.ALL)
      .appendInt32(timeoutMs)
      .appendArray(byTopic(lanes), (to, { topic, lanes }) => {
        to.appendString(topic).appendArray(lanes, (to, { partition, records }) => {
          const batch = encodeBatch(records, crc32c);
          to.appendInt32(partition)
            .appendUnsignedVarInt(batch.length + 1)
            .append(batch);
        });
      })
      .appendTaggedFields(),
  produceV9.parseResponse,
);

interface Fetched {
  code: number;
  lanes: FetchedLane[];
}

/** Fetch, version 12. The answer is put in one piece first: the library seeks through its chunks at every field otherwise. */
const fetch = createAPI<Parameters<typeof fetchV12.createRequest>, Fetched>(
  fetchV12.api.key,
  fetchV12.api.version,
  fetchV12.createRequest,
  (_correlation, _key, _version, chunks) => {
    const bytes = chunks.buffer.slice(chunks.position);
    const reader = Reader.from(bytes);
    reader.readInt32(); // throttle_time_ms
    const code = reader.readInt16();
    reader.readInt32(); // session_id
    const lanes: FetchedLane[] = [];
    reader.readArray((reader) => {
      const topic = reader.readString();
      reader.readArray((reader) => {
        const partition = reader.readInt32();
        const code = reader.readInt16();
        const end = reader.readInt64();
        reader.skip(8 + 8); // last_stable_offset, log_start_offset
        reader.readNullableArray((reader) => reader.skip(8 + 8)); // aborted_transactions
        reader.readInt32(); // preferred_read_replica
        const length = Math.max(0, reader.readUnsignedVarInt() - 1);
        const records = bytes.subarray(reader.position, reader.position + length);
        reader.skip(length);
        lanes.push({ topic, partition, code, end, ...decodeBatches(records, crc32c) });
      });
    });
    return { code, lanes };
  },
);

export const platformatic: WireOf = ({ clientId, sasl, tls, connectTimeoutMs, requestTimeoutMs }) => ({
  name: 'platformatic',
  library: '@platformatic/kafka 2.12.1',
  async connect(host, port, signal) {
    const address = `${host}:${port}`;
    const connection = new Connection(clientId, {
      connectTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      // Requests wait for nothing but the socket: how many there are is bounded in bytes, by their senders.
      maxInflights: 10_000,
      ...(tls && { tls: { ...tls, ...(!isIP(host) && { servername: host }) } }),
      ...(sasl && { sasl: { ...sasl, mechanism: MECHANISMS[sasl.mechanism] } }),
    });
    const ended = new Promise<void>((resolve) => connection.once('close', () => resolve()));
    // Told by the calls that it fails; without a listener it would end the process.
    connection.on('error', () => {});
    // The library's own close waits until everything is written: forever, where the broker does not read.
    const end = () => connection.socket?.destroy(new Error('closed'));
    signal.addEventListener('abort', end, { once: true });
    void ended.then(() => signal.removeEventListener('abort', end));
    let wantsTls = false;
    try {
      const connecting = connection.connect(host, port);
      if (!tls) {
        connection.socket.once('data', (first: Buffer) => {
          wantsTls = isTlsAlert(first);
        });
      }
      if (signal.aborted) end();
      await connecting;
    } catch (error) {
      signal.removeEventListener('abort', end);
      connection.socket?.destroy();
      throw connectionError(address, wantsTls ? new Error('the broker speaks TLS') : error);
    }

    /** What the broker said of single lanes comes as an error that holds the whole answer. */
    const ask = async <T>(answer: Promise<T>): Promise<T> => {
      try {
        return await answer;
      } catch (error) {
        if (error instanceof ResponseError) {
          const { response } = error as unknown as { response?: T };
          if (response !== undefined && response !== null) return response;
        }
        throw connectionError(address, error);
      }
    };

    const link: Link = {
      address,
      ended,
      async metadata(topics) {
        const said = await ask(metadataV9.api.async(connection, [...topics], false, false, false));
        return {
          clusterId: said.clusterId ?? '',
          controller: said.controllerId,
          brokers: said.brokers.map(({ nodeId, host, port }) => ({ id: nodeId, host, port })),
          topics: said.topics.map(({ name, errorCode, partitions }) => ({
            name,
            code: errorCode,
            partitions: partitions.map(({ partitionIndex, leaderId, replicaNodes, isrNodes }) => ({
              partition: partitionIndex,
              leader: leaderId,
              replicas: replicaNodes,
              inSync: isrNodes,
            })),
          })),
        };
      },

      async produce(lanes, timeoutMs) {
        const said = await ask(produce.async(connection, lanes, timeoutMs));
        return said.responses.flatMap(({ name, partitionResponses }) =>
          partitionResponses.map(({ index, errorCode, baseOffset }) => ({
            topic: name,
            partition: index,
            code: errorCode,
            offset: baseOffset,
          })),
        );
      },

      async fetch({ lanes, maxWaitMs, maxBytes, laneMaxBytes }) {
        const topics = byTopic(lanes).map(({ topic, lanes }) => ({
          topicId: topic, // A name in this version.
          partitions: lanes.map(({ partition, offset }) => ({
            partition,
            currentLeaderEpoch: -1,
            fetchOffset: offset,
            lastFetchedEpoch: -1,
            partitionMaxBytes: laneMaxBytes,
          })),
        }));
        const { code, lanes: said } = await ask(
          fetch.async(connection, maxWaitMs, 1, maxBytes, FetchIsolationLevels.READ_UNCOMMITTED, 0, -1, topics, [], ''),
        );
        if (code !== 0) throw answered(code, `fetch from ${address}`);
        return said;
      },

      async offsets(lanes, which) {
        const topics = byTopic(lanes).map(({ topic, lanes }) => ({
          name: topic,
          partitions: lanes.map(({ partition }) => ({
            partitionIndex: partition,
            currentLeaderEpoch: -1,
            timestamp: which === 'earliest' ? EARLIEST : END,
          })),
        }));
        const said = await ask(listOffsetsV6.api.async(connection, -1, FetchIsolationLevels.READ_UNCOMMITTED, topics));
        return said.topics.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex, errorCode, offset }) => ({
            topic: name,
            partition: partitionIndex,
            code: errorCode,
            offset,
          })),
        );
      },

      async createTopics(specs, timeoutMs) {
        const said = await ask(
          createTopicsV5.api.async(
            connection,
            specs.map(({ name, partitions, replication, configs }) => ({
              name,
              numPartitions: partitions,
              replicationFactor: replication,
              assignments: [],
              configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
            })),
            timeoutMs,
            false,
          ),
        );
        return said.topics.map(({ name, errorCode, errorMessage }) => ({
          name,
          code: errorCode,
          words: errorMessage ?? '',
        }));
      },

      async configs(topics) {
        const said = await ask(
          describeConfigsV4.api.async(
            connection,
            topics.map((name) => ({
              resourceType: ConfigResourceTypes.TOPIC,
              resourceName: name,
              configurationKeys: null,
            })),
            false,
            false,
          ),
        );
        return said.results.map(({ resourceName, errorCode, configs }) => ({
          name: resourceName,
          code: errorCode,
          configs: Object.fromEntries(configs.map(({ name, value }) => [name, value ?? ''])),
        }));
      },

      async coordinator(group) {
        const said = await ask(findCoordinatorV3.api.async(connection, FindCoordinatorKeyTypes.GROUP, [group]));
        const { errorCode: code, nodeId: id, host, port } = said.coordinators[0]!;
        return { code, id, host, port };
      },

      async commit(group, offsets) {
        const topics = byTopic(offsets).map(({ topic, lanes }) => ({
          name: topic,
          partitions: lanes.map(({ partition, offset }) => ({
            partitionIndex: partition,
            committedOffset: offset,
            committedLeaderEpoch: -1,
            committedMetadata: null,
          })),
        }));
        const said = await ask(offsetCommitV8.api.async(connection, group, -1, '', null, topics));
        return said.topics.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex, errorCode }) => ({
            topic: name,
            partition: partitionIndex,
            code: errorCode,
          })),
        );
      },

      async committed(group, lanes) {
        const topics = byTopic(lanes).map(({ topic, lanes }) => ({
          name: topic,
          partitionIndexes: lanes.map(({ partition }) => partition),
        }));
        const said = await ask(offsetFetchV7.api.async(connection, [{ groupId: group, topics }], false));
        return said.topics.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex, errorCode, committedOffset }) => ({
            topic: name,
            partition: partitionIndex,
            code: errorCode || said.errorCode,
            offset: committedOffset,
          })),
        );
      },
    };
    return link;
  },
});
