/** The loops over a cluster that is made up: what real brokers do rarely, each at a moment of our choosing. */
import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Admin } from './admin.ts';
import { Cluster, place } from './cluster.ts';
import { until } from './ledger.ts';
import { KafkaError, type Lane, type LaneGap, type ReaderOptions, type ReaderTrouble } from './port.ts';
import { Producer } from './producer.ts';
import { Reader } from './reader.ts';
import type { ClusterMetadata, FetchedLane, Link, Wire } from './wire.ts';

type Fetch = Parameters<Link['fetch']>[0];

/** Two brokers; lane 0 of topic `t` is led by broker 1, lane 1 by broker 2, unless said otherwise. */
class MadeUp implements Wire {
  readonly name = 'platformatic';
  readonly library = 'none';
  leaders = [1, 2];
  connects: number[] = [];
  asked: { broker: number; what: string }[] = [];
  fetches: { broker: number; request: Fetch }[] = [];
  /** What a broker does; the defaults answer well. */
  connecting: (broker: number) => Promise<void> = async () => {};
  metadata: (broker: number) => Promise<void> = async () => {};
  produce: Link['produce'] = async (lanes) =>
    lanes.map(({ topic, partition }) => ({ topic, partition, code: 0, offset: 7n }));
  fetch: (broker: number, request: Fetch) => Promise<FetchedLane[]> = async (_broker, { maxWaitMs }) => {
    await rest(maxWaitMs, undefined, { ref: false });
    return [];
  };
  range = { earliest: 0n, end: 10n };
  /** Code with which offsets of a lane are answered. */
  offsets = (): number => 0;

  async connect(_host: string, port: number, signal: AbortSignal): Promise<Link> {
    this.connects.push(port);
    await this.connecting(port);
    const gone = Promise.withResolvers<void>();
    const closed = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        gone.resolve();
        reject(new KafkaError('CONNECTION', 'closed', { retriable: true }));
      });
    });
    closed.catch(() => {});
    const ask = <T>(what: string, answer: () => Promise<T>): Promise<T> => {
      this.asked.push({ broker: port, what });
      return Promise.race([answer(), closed]);
    };
    const described = (): ClusterMetadata => ({
      clusterId: 'c',
      controller: 1,
      brokers: [1, 2].map((id) => ({ id, host: 'b', port: id })),
      topics: [
        {
          name: 't',
          code: 0,
          partitions: this.leaders.map((leader, partition) => ({
            partition,
            leader,
            replicas: [1, 2],
            inSync: [1, 2],
          })),
        },
      ],
    });
    const none = () => Promise.reject(new Error('not in these tests'));
    return {
      address: `b:${port}`,
      ended: gone.promise,
      metadata: () => ask('metadata', () => this.metadata(port).then(described)),
      produce: (lanes, timeoutMs) => ask('produce', () => this.produce(lanes, timeoutMs)),
      fetch: (request) => {
        this.fetches.push({ broker: port, request });
        return ask('fetch', () => this.fetch(port, request));
      },
      offsets: (lanes, which) =>
        ask('offsets', async () => lanes.map((lane) => ({ ...lane, code: this.offsets(), offset: this.range[which] }))),
      createTopics: (specs) => ask('createTopics', async () => specs.map(({ name }) => ({ name, code: 0, words: '' }))),
      configs: none,
      coordinator: none,
      commit: none,
      committed: none,
    };
  }
}

const lane = (partition: number): Lane => ({ topic: 't', partition });
const records = [{ key: null, value: Buffer.from('x'), headers: [], timestampMs: 1 }];
const network = (message = 'reset') => Object.assign(new Error(message), { code: 'ECONNRESET' });
const fetched = (partition: number, from: number, count: number, end = 100): FetchedLane => ({
  ...lane(partition),
  code: 0,
  end: BigInt(end),
  records: Array.from({ length: count }, (_, at) => ({ ...records[0]!, offset: BigInt(from + at) })),
  next: BigInt(from + count),
});

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const clusterOf = (wire: Wire, brokers = ['b:1', 'b:2']): Cluster =>
  new Cluster(wire, { brokers, clientId: 'x', connectTimeoutMs: 1000, requestTimeoutMs: 3000 });
const producerOf = (wire: Wire): Producer => {
  const producer = new Producer(clusterOf(wire));
  open.push(producer);
  return producer;
};
function readerOf(wire: Wire, options: Partial<ReaderOptions> = {}) {
  const got: string[] = [];
  const gaps: LaneGap[] = [];
  const troubles: ReaderTrouble[] = [];
  const reader = new Reader(clusterOf(wire), {
    lanes: [{ ...lane(0), offset: 0n }],
    maxWaitMs: 20,
    onRecords({ partition }, records) {
      got.push(...records.map(({ offset }) => `${partition}:${offset}`));
    },
    onGap: (gap) => gaps.push(gap),
    onTrouble: (trouble) => troubles.push(trouble),
    ...options,
  });
  open.push(reader);
  return { reader, got, gaps, troubles };
}

test('one leader that fails leaves the outcome of its lanes unknown, and those of others as they are', async () => {
  const wire = new MadeUp();
  wire.produce = async (lanes) => {
    if (lanes[0]!.partition === 1) throw network();
    return lanes.map(({ topic, partition }) => ({ topic, partition, code: 0, offset: 3n }));
  };
  const [one, other] = await producerOf(wire).send([0, 1].map((partition) => ({ ...lane(partition), records })));
  expect(one).toEqual({ offset: 3n });
  expect(other!.error).toMatchObject({ code: 'CONNECTION', retriable: true, written: 'unknown' });
  expect(other!.error!.message).toBe('broker b:2: no connection (ECONNRESET)');
});

test('where there was no connection nothing was written', async () => {
  const wire = new MadeUp();
  wire.connecting = async (broker) => {
    if (broker === 2) throw network();
  };
  const [one, other] = await producerOf(wire).send([0, 1].map((partition) => ({ ...lane(partition), records })));
  expect(one).toEqual({ offset: 7n });
  expect(other!.error).toMatchObject({ code: 'CONNECTION', written: 'none' });
});

test('an answer that lacks a lane is no success', async () => {
  const wire = new MadeUp();
  wire.leaders = [1, 1];
  wire.produce = async ([first]) => [{ topic: 't', partition: first!.partition, code: 0, offset: 1n }];
  const [one, other] = await producerOf(wire).send([0, 1].map((partition) => ({ ...lane(partition), records })));
  expect(one).toEqual({ offset: 1n });
  expect(other!.error).toMatchObject({ code: 'DRIVER', written: 'unknown' });
});

test('one request a leader for all its lanes; a leader that moved is looked up before the next', async () => {
  const wire = new MadeUp();
  wire.leaders = [1, 1];
  const producer = producerOf(wire);
  const send = () => producer.send([0, 1].map((partition) => ({ ...lane(partition), records })));
  await send();
  expect(wire.asked.filter(({ what }) => what === 'produce')).toEqual([{ broker: 1, what: 'produce' }]);
  wire.leaders = [2, 2];
  wire.produce = async (lanes) => lanes.map((lane) => ({ ...lane, code: 6, offset: -1n }));
  await rest(60);
  expect((await send())[0]!.error).toMatchObject({ code: 'NOT_LEADER_OR_FOLLOWER', written: 'unknown' });
  wire.produce = async (lanes) => lanes.map((lane) => ({ ...lane, code: 0, offset: 9n }));
  wire.asked = [];
  expect(await send()).toEqual([{ offset: 9n }, { offset: 9n }]);
  expect(wire.asked.filter(({ what }) => what === 'produce')).toEqual([{ broker: 2, what: 'produce' }]);
});

test('leaders are not asked for again while all goes well', async () => {
  const wire = new MadeUp();
  const producer = producerOf(wire);
  const send = () => producer.send([0, 1].map((partition) => ({ ...lane(partition), records })));
  await send();
  const looked = wire.asked.filter(({ what }) => what === 'metadata').length;
  for (let i = 0; i < 3; i++) {
    await rest(60);
    expect(await send()).toEqual([{ offset: 7n }, { offset: 7n }]);
  }
  expect(wire.asked.filter(({ what }) => what === 'metadata').length).toBe(looked);
});

test('a broker that takes connections and answers nothing does not hold up who asks for leaders', async () => {
  const wire = new MadeUp();
  wire.metadata = (broker) => (broker === 1 ? new Promise(() => {}) : Promise.resolve());
  const from = Date.now();
  const admin = new Admin(clusterOf(wire));
  open.push(admin);
  expect((await admin.brokers()).brokers.length).toBe(2);
  expect(Date.now() - from).toBeLessThan(2900);
});

test('a topic that was made is waited for, however often a broker has not heard of it', async () => {
  const wire = new MadeUp();
  let asked = 0;
  wire.offsets = () => (asked++ < 10 ? 3 : 0);
  const admin = new Admin(clusterOf(wire));
  open.push(admin);
  expect(await admin.createTopics([{ name: 't', partitions: 2, replication: 1, configs: {} }])).toEqual(['t']);
  expect(asked).toBeGreaterThan(10);
});

test('a password that is refused is not tried at every broker', async () => {
  const wire = new MadeUp();
  wire.connecting = async () => {
    throw Object.assign(new Error('SASL authentication failed.'), { code: 'PLT_KFK_AUTHENTICATION' });
  };
  const admin = new Admin(clusterOf(wire));
  open.push(admin);
  await expect(admin.brokers()).rejects.toMatchObject({ code: 'SASL_AUTHENTICATION_FAILED' });
  expect(wire.connects.length).toBe(1);
});

test('records that were asked for before a seek are not handed', async () => {
  const wire = new MadeUp();
  const answers: ((lanes: FetchedLane[]) => void)[] = [];
  wire.fetch = () => new Promise((resolve) => answers.push(resolve));
  const { reader, got } = readerOf(wire);
  await until('it asks', () => answers.length === 1);
  reader.seek(lane(0), 50n);
  answers[0]!([fetched(0, 0, 3)]);
  await until('it asks again', () => answers.length === 2);
  expect(wire.fetches[1]!.request.lanes).toEqual([{ ...lane(0), offset: 50n }]);
  answers[1]!([fetched(0, 48, 4)]);
  await until('they came', () => got.length > 0);
  await until('it asks a third time', () => answers.length === 3);
  reader.seek(lane(0), 20n);
  answers[2]!([fetched(0, 52, 2)]);
  await until('it asks from there', () => answers.length === 4);
  expect(wire.fetches[3]!.request.lanes).toEqual([{ ...lane(0), offset: 20n }]);
  expect(got).toEqual(['0:50', '0:51']);
});

test('a handler that is open is never called again, and makes the fetch of the others short', async () => {
  const wire = new MadeUp();
  wire.leaders = [1, 1];
  let offset = 0;
  wire.fetch = async (_broker, { lanes, maxWaitMs }) => {
    if (lanes.some(({ partition }) => partition === 0)) return [fetched(0, offset++, 1)];
    await rest(maxWaitMs);
    return [];
  };
  let open_ = 0;
  let most = 0;
  readerOf(wire, {
    maxWaitMs: 3000,
    lanes: [0, 1].map((partition) => ({ ...lane(partition), offset: 0n })),
    async onRecords() {
      most = Math.max(most, ++open_);
      await rest(20);
      open_--;
    },
  });
  await until('several came', () => offset > 10, 5000);
  expect(most).toBe(1);
  // The first has both; then the other alone, no longer than the handler has been open: 20 ms, and what a busy machine adds.
  expect(wire.fetches[0]!.request).toMatchObject({ maxWaitMs: 3000, lanes: [{ partition: 0 }, { partition: 1 }] });
  for (const { request } of wire.fetches) if (request.lanes.length === 1) expect(request.maxWaitMs).toBeLessThan(1500);
});

test('an offset out of range at a broker that no longer leads is no gap', async () => {
  const wire = new MadeUp();
  wire.fetch = async (broker, { lanes, maxWaitMs }) => {
    if (broker === 1) {
      wire.leaders = [2, 2];
      return [{ ...fetched(0, 0, 0), code: 1 }];
    }
    if (lanes[0]!.offset === 5n) return [fetched(0, 5, 2)];
    await rest(maxWaitMs);
    return [];
  };
  const { got, gaps, troubles } = readerOf(wire, { lanes: [{ ...lane(0), offset: 5n }] });
  await until('they came', () => got.length === 2);
  expect(gaps).toEqual([]);
  expect(troubles.map(({ error }) => error.code)).toEqual(['OFFSET_OUT_OF_RANGE']);
});

test('one that is really gone is told with what is left, once', async () => {
  const wire = new MadeUp();
  wire.range = { earliest: 8n, end: 10n };
  wire.fetch = async (_broker, { lanes, maxWaitMs }) => {
    if (lanes[0]!.offset! < 8n) return [{ ...fetched(0, 0, 0), code: 1 }];
    await rest(maxWaitMs);
    return [];
  };
  const { reader, gaps } = readerOf(wire, { lanes: [{ ...lane(0), offset: 5n }] });
  await until('it is told', () => gaps.length > 0);
  await rest(200);
  expect(gaps).toEqual([{ ...lane(0), asked: 5n, earliest: 8n, end: 10n }]);
  expect(reader.position(lane(0))).toBe(5n);
});

test('a batch that holds nothing for a reader is passed, so that it is not asked for again and again', async () => {
  const wire = new MadeUp();
  wire.fetch = async (_broker, { lanes, maxWaitMs }) => {
    if (lanes[0]!.offset === 0n) return [{ ...fetched(0, 0, 0), next: 4n }];
    await rest(maxWaitMs);
    return [];
  };
  const { reader, got } = readerOf(wire);
  await until('it is past it', () => reader.position(lane(0)) === 4n);
  expect(got).toEqual([]);
});

test('a leader that fails is asked at growing rests, and told of', async () => {
  const wire = new MadeUp();
  wire.fetch = async () => {
    throw network();
  };
  const { troubles } = readerOf(wire);
  await rest(1500);
  expect(wire.fetches.length).toBeGreaterThan(2);
  expect(wire.fetches.length).toBeLessThan(12);
  expect(troubles.length).toBe(wire.fetches.length);
  expect(new Set(troubles.map(({ sinceMs }) => sinceMs)).size).toBe(1);
});

test('a clock that is set back an hour makes nobody rest longer, nor trust leaders that moved', async () => {
  const wire = new MadeUp();
  const now = Date.now;
  wire.fetch = async (broker, { maxWaitMs }) => {
    if (broker === 1) {
      // Between an answer and the rest after it.
      Date.now = () => now() - 3_600_000;
      wire.leaders = [2, 2];
      throw network();
    }
    await rest(maxWaitMs, undefined, { ref: false });
    return [];
  };
  try {
    readerOf(wire);
    await until('the new leader is asked', () => wire.fetches.some(({ broker }) => broker === 2), 5000);
  } finally {
    Date.now = now;
  }
});

test('a clock that is set forward makes nobody give up before the time', async () => {
  const wire = new MadeUp();
  const now = Date.now;
  let asked = 0;
  wire.metadata = async () => {
    asked += 1;
    Date.now = () => now() + asked * 3_600_000;
    if (asked < 3) throw network();
  };
  const cluster = clusterOf(wire, ['b:1']);
  open.push(cluster);
  try {
    await cluster.insist(() => cluster.refresh(['t']));
  } finally {
    Date.now = now;
  }
  expect(asked).toBe(3);
});

test('places are host and port', () => {
  expect(place('kafka-1.example:9092')).toEqual({ host: 'kafka-1.example', port: 9092 });
  expect(place('[::1]:9092')).toEqual({ host: '::1', port: 9092 });
  for (const wrong of ['kafka', ':9092', 'kafka:0', 'kafka:x', 'kafka:99999'])
    expect(() => place(wrong)).toThrow(KafkaError);
});
