/**
 * `@platformatic/kafka`, by what it exports beneath its clients: connections, requests and answers. Its consumer and
 * producer are not used: they retry writes by themselves and have no assignment by hand. Versions of requests are those that
 * every Kafka from 2.8 up to 4 speaks, so that nothing is negotiated.
 */
import { isIP } from 'node:net';
import {
  ConfigResourceTypes,
  Connection,
  createAPI,
  createTopicsV5,
  describeConfigsV4,
  FetchIsolationLevels,
  FindCoordinatorKeyTypes,
  fetchV12,
  findCoordinatorV3,
  listOffsetsV6,
  type MessageRecord,
  metadataV9,
  offsetCommitV8,
  offsetFetchV7,
  ProduceAcks,
  produceV9,
  Reader,
  ResponseError,
} from '@platformatic/kafka';
import { connectionError } from './codes.ts';
import { type FetchedRecord, KafkaError } from './port.ts';
import { buffer, byTopic, isTlsAlert, type Link, type WireOf } from './wire.ts';

const EARLIEST = -2n;
const END = -1n;
const MECHANISMS = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const;
/** Bit of a batch's attributes: markers of transactions, which no reader wants. */
const CONTROL = 0x20;
/** And: the broker's time, the same for the whole batch. */
const APPEND_TIME = 0x08;

/** The answer in one piece before it is read: the library seeks through its chunks at every field otherwise. */
const fetch = createAPI<Parameters<typeof fetchV12.createRequest>, fetchV12.FetchResponse>(
  fetchV12.api.key,
  fetchV12.api.version,
  fetchV12.createRequest,
  (correlation, key, version, reader) =>
    fetchV12.parseResponse(correlation, key, version, Reader.from(reader.buffer.slice(reader.position))),
);

/** Header names repeat in every record: their bytes and strings are made once. */
const nameBytes = new Map<string, Buffer>();
const nameOf = new Map<string, string>();
const KNOWN_NAMES = 1000;

function bytesOf(name: string): Buffer {
  const known = nameBytes.get(name);
  if (known !== undefined) return known;
  const made = Buffer.from(name);
  if (nameBytes.size < KNOWN_NAMES) nameBytes.set(name, made);
  return made;
}

function headerName(bytes: Buffer): string {
  const quick = bytes.toString('latin1');
  const known = nameOf.get(quick);
  if (known !== undefined) return known;
  const made = bytes.toString('utf8');
  if (nameOf.size < KNOWN_NAMES) nameOf.set(quick, made);
  return made;
}

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
        const messages: MessageRecord[] = [];
        for (const { topic, partition, records } of lanes) {
          for (const { key, value, headers, timestampMs } of records) {
            messages.push({
              topic,
              partition,
              // The library knows no null but writes it as such; its type says otherwise.
              key: (key === null ? null : buffer(key)) as Buffer,
              value: (value === null ? null : buffer(value)) as Buffer,
              headers: encodedHeaders(headers),
              timestamp: BigInt(timestampMs),
            });
          }
        }
        const said = await ask(produceV9.api.async(connection, ProduceAcks.ALL, timeoutMs, messages, {}));
        if (typeof said === 'boolean')
          throw new KafkaError('DRIVER', 'no answer to acks=all', { retriable: true, written: 'unknown' });
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
        const said = await ask(
          fetch.async(connection, maxWaitMs, 1, maxBytes, FetchIsolationLevels.READ_UNCOMMITTED, 0, -1, topics, [], ''),
        );
        return said.responses.flatMap(({ topicId, partitions }) =>
          partitions.map(({ partitionIndex, errorCode, highWatermark, records: batches }) => {
            const records: FetchedRecord[] = [];
            let next: bigint | undefined;
            for (const batch of batches ?? []) {
              next = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
              if (batch.attributes & CONTROL) continue;
              const appendMs = batch.attributes & APPEND_TIME ? Number(batch.maxTimestamp) : undefined;
              const firstMs = Number(batch.firstTimestamp);
              for (const { key, value, headers, offsetDelta, timestampDelta } of batch.records) {
                records.push({
                  offset: batch.firstOffset + BigInt(offsetDelta),
                  timestampMs: appendMs ?? firstMs + Number(timestampDelta),
                  key,
                  value,
                  headers: headers.map(([name, value]) => [
                    name === null ? '' : headerName(name),
                    value ?? Buffer.alloc(0),
                  ]),
                });
              }
            }
            return { topic: topicId, partition: partitionIndex, code: errorCode, end: highWatermark, records, next };
          }),
        );
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

/** A Map by identity of bytes, so that a name may come twice. */
function encodedHeaders(headers: readonly (readonly [string, Uint8Array])[]): Map<Buffer, Buffer> {
  const encoded = new Map<Buffer, Buffer>();
  for (const [name, value] of headers) {
    const known = bytesOf(name);
    encoded.set(encoded.has(known) ? Buffer.from(name) : known, buffer(value));
  }
  return encoded;
}
