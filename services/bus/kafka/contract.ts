/** What every driver owes the bus. A driver's test gives its name and a broker; `faults.test.ts` holds it to the rest. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDriver, openWire } from './driver.ts';
import { fromEarliest, lanesOf, until } from './ledger.ts';
import {
  type DriverName,
  type DriverSettings,
  type FetchedRecord,
  type Header,
  type KafkaDriver,
  KafkaError,
  type Lane,
  type LaneGap,
  type ProducedRecord,
  type ReaderOptions,
  type ReaderTrouble,
} from './port.ts';

export interface Broker {
  brokers: string[];
  /** TLS and a password, by each mechanism. */
  secure: { brokers: string[]; ca: string; username: string; password: string };
  /** Takes away what a lane holds before `offset`, as retention does. */
  truncate(lane: Lane, offset: bigint): Promise<void>;
}

const record = (text: string, headers: readonly Header[] = []): ProducedRecord => ({
  key: Buffer.from('key'),
  value: Buffer.from(text),
  headers,
  timestampMs: 1_786_000_000_000,
});
const texts = (records: readonly FetchedRecord[]) => records.map(({ value }) => Buffer.from(value!).toString());

export function driverContract(name: DriverName, broker: () => Broker): void {
  describe(`driver ${name}`, () => {
    let driver: KafkaDriver;
    const settings = (): DriverSettings => ({
      brokers: broker().brokers,
      clientId: 'contract',
      requestTimeoutMs: 8000,
    });
    let made = 0;

    beforeAll(async () => {
      driver = await openDriver(name, settings());
    });
    afterAll(async () => {
      await driver?.close();
    });

    /** A topic of its own for each test. It keeps all: a record's time is made up, and retention goes by it. */
    const topic = async (partitions = 2, configs: Record<string, string> = {}): Promise<string> => {
      const topic = `contract.${name}.${++made}`;
      const admin = driver.admin();
      await admin.createTopics([
        { name: topic, partitions, replication: 1, configs: { 'retention.ms': '-1', ...configs } },
      ]);
      await admin.close();
      return topic;
    };
    const written = async (lane: Lane, records: readonly ProducedRecord[]): Promise<bigint> => {
      const producer = driver.producer();
      const [outcome] = await producer.send([{ ...lane, records }]);
      await producer.close();
      if (outcome!.error) throw outcome!.error;
      return outcome!.offset;
    };
    interface Read {
      records: Map<string, FetchedRecord[]>;
      gaps: LaneGap[];
      troubles: ReaderTrouble[];
      calls: number;
    }
    const read = (lanes: ReaderOptions['lanes'], options: Partial<ReaderOptions> = {}) => {
      const got: Read = { records: new Map(), gaps: [], troubles: [], calls: 0 };
      const reader = driver.reader({
        lanes,
        onRecords({ topic, partition }, records) {
          got.calls++;
          const key = `${topic}/${partition}`;
          got.records.set(key, [...(got.records.get(key) ?? []), ...records]);
        },
        onGap: (gap) => got.gaps.push(gap),
        onTrouble: (trouble) => got.troubles.push(trouble),
        ...options,
      });
      const count = () => [...got.records.values()].reduce((sum, { length }) => sum + length, 0);
      return { ...got, got, reader, count };
    };

    test('names itself and its library', () => {
      expect(driver.name).toBe(name);
      expect(driver.library).toMatch(/kafka.* \d+\.\d+\.\d+$/);
    });

    test('a connection that has ended refuses what is asked of it, at once', async () => {
      const wire = await openWire(name, settings());
      const [host, port] = broker().brokers[0]!.split(':') as [string, string];
      const end = new AbortController();
      const link = await wire.connect(host, Number(port), end.signal);
      const open = link.metadata([]);
      expect((await open).brokers.length).toBe(1);
      end.abort();
      await link.ended;
      const from = performance.now();
      await expect(link.metadata([])).rejects.toMatchObject({ code: 'CONNECTION', retriable: true });
      expect(performance.now() - from).toBeLessThan(1000);
    });

    test('what is written comes back as it was, in its order', async () => {
      const name = await topic();
      const producer = driver.producer();
      for (let round = 0; round < 20; round++) {
        const outcomes = await producer.send(
          [0, 1].map((partition) => ({
            topic: name,
            partition,
            records: [0, 1, 2].map((at) => record(`${partition}:${round * 3 + at}`)),
          })),
        );
        expect(outcomes).toEqual([{ offset: BigInt(round * 3) }, { offset: BigInt(round * 3) }]);
      }
      await producer.close();
      const { reader, records, count } = read(fromEarliest(lanesOf(name, 2)));
      await until('all came', () => count() === 120);
      await reader.close();
      for (const partition of [0, 1]) {
        const got = records.get(`${name}/${partition}`)!;
        expect(texts(got)).toEqual(Array.from({ length: 60 }, (_, at) => `${partition}:${at}`));
        expect(got.map(({ offset }) => offset)).toEqual(Array.from({ length: 60 }, (_, at) => BigInt(at)));
        expect(got[0]).toMatchObject({ timestampMs: 1_786_000_000_000 });
      }
    });

    test('headers keep their order, come twice, hold any bytes or none', async () => {
      const lane = { topic: await topic(), partition: 1 };
      const headers: Header[] = [
        ['ce_id', Buffer.from('1')],
        ['2', Buffer.from([0, 255, 128])],
        ['1', Buffer.alloc(0)],
        ['ce_id', Buffer.from('again')],
        ['größe', Buffer.from('ß')],
        ['__proto__', Buffer.from('x')],
      ];
      await written(lane, [record('with', headers), record('without')]);
      const { reader, records, count } = read([{ ...lane, offset: 0n }]);
      await until('both came', () => count() === 2);
      await reader.close();
      const [first, second] = records.get(`${lane.topic}/1`)!;
      expect(first!.headers.map(([name, value]) => [name, Buffer.from(value)])).toEqual(headers);
      expect(second!.headers).toEqual([]);
    });

    test('keys and values may be empty, or none', async () => {
      const lane = { topic: await topic(), partition: 0 };
      const base = { headers: [], timestampMs: 5 };
      await written(lane, [
        { ...base, key: Buffer.alloc(0), value: Buffer.alloc(0) },
        { ...base, key: null, value: new Uint8Array([7]) },
        { ...base, key: new Uint8Array([8]), value: null },
      ]);
      const { reader, records, count } = read([{ ...lane, offset: 0n }]);
      await until('all came', () => count() === 3);
      await reader.close();
      const got = records.get(`${lane.topic}/0`)!.map(({ key, value }) => [key && [...key], value && [...value]]);
      expect(got).toEqual([
        [[], []],
        [null, [7]],
        [[8], null],
      ]);
    });

    test('the time is the broker’s where the topic says so', async () => {
      const lane = { topic: await topic(1, { 'message.timestamp.type': 'LogAppendTime' }), partition: 0 };
      const from = Date.now();
      await written(lane, [record('a'), record('b')]);
      const { reader, records, count } = read([{ ...lane, offset: 0n }]);
      await until('both came', () => count() === 2);
      await reader.close();
      for (const { timestampMs } of records.get(`${lane.topic}/0`)!) {
        expect(timestampMs).toBeGreaterThanOrEqual(from - 1000);
        expect(timestampMs).toBeLessThanOrEqual(Date.now() + 1000);
      }
    });

    test('records of a megabyte and more pass, several lanes at once, beyond the bounds of an answer', async () => {
      const name = await topic(4, { 'max.message.bytes': String(16 * 1024 * 1024) });
      const lanes = lanesOf(name, 4);
      const value = Buffer.alloc(1_200_000, 'x');
      const producer = driver.producer();
      for (let round = 0; round < 3; round++) {
        const outcomes = await producer.send(
          lanes.map((lane) => ({ ...lane, records: [record('small'), { ...record(''), value }] })),
        );
        expect(outcomes.every(({ error }) => error === undefined)).toBe(true);
      }
      await producer.close();
      const { reader, records, count } = read(fromEarliest(lanes), { maxBytes: 500_000, laneMaxBytes: 100_000 });
      await until('all came', () => count() === 24);
      await reader.close();
      for (const lane of lanes) {
        const got = records.get(`${name}/${lane.partition}`)!;
        expect(got.map(({ value }) => value!.length)).toEqual([5, 1_200_000, 5, 1_200_000, 5, 1_200_000]);
        expect(value.equals(got[1]!.value!)).toBe(true);
      }
    });

    test('many lanes in one call and one reader', async () => {
      const names = await Promise.all(Array.from({ length: 7 }, () => topic(16)));
      const lanes = names.flatMap((name) => lanesOf(name, 16));
      const producer = driver.producer();
      for (let round = 0; round < 3; round++) {
        const outcomes = await producer.send(lanes.map((lane) => ({ ...lane, records: [record(String(round))] })));
        expect(outcomes).toEqual(lanes.map(() => ({ offset: BigInt(round) })));
      }
      await producer.close();
      const { reader, records, count } = read(fromEarliest(lanes));
      await until('all came', () => count() === lanes.length * 3);
      await reader.close();
      for (const lane of lanes) expect(texts(records.get(`${lane.topic}/${lane.partition}`)!)).toEqual(['0', '1', '2']);
    });

    test('reading begins at the offset that is given, also within a batch', async () => {
      const lane = { topic: await topic(), partition: 0 };
      await written(
        lane,
        Array.from({ length: 10 }, (_, at) => record(String(at))),
      );
      const { reader, records, count } = read([{ ...lane, offset: 7n }]);
      await until('the rest came', () => count() >= 3);
      await reader.close();
      expect(texts(records.get(`${lane.topic}/0`)!)).toEqual(['7', '8', '9']);
    });

    test('seek goes back and forth, pause and resume hold one lane only', async () => {
      const name = await topic();
      const [one, other] = lanesOf(name, 2) as [Lane, Lane];
      await written(
        one,
        Array.from({ length: 5 }, (_, at) => record(String(at))),
      );
      const { reader, records, count } = read(fromEarliest([one, other]));
      await until('all came', () => count() === 5);
      expect(reader.position(one)).toBe(5n);
      await until('the other has begun', () => reader.position(other) === 0n);
      reader.seek(one, 3n);
      await until('two came again', () => count() === 7);
      expect(texts(records.get(`${name}/0`)!)).toEqual(['0', '1', '2', '3', '4', '3', '4']);

      reader.pause(one);
      await written(one, [record('held')]);
      await written(other, [record('free')]);
      await until('the other went on', () => records.has(`${name}/1`));
      await rest(300);
      expect(count()).toBe(8);
      reader.resume(one);
      await until('the held came', () => count() === 9);
      expect(texts(records.get(`${name}/0`)!).at(-1)).toBe('held');
      reader.seek(one, 'earliest');
      await until('all came again', () => count() === 15);
      await reader.close();
    });

    test('an offset that is not there is told, never healed; the lane stands until seek, others go on', async () => {
      const name = await topic(3);
      const [below, above, fine] = lanesOf(name, 3) as [Lane, Lane, Lane];
      const records = Array.from({ length: 10 }, (_, at) => record(String(at)));
      for (const lane of [below, above, fine]) await written(lane, records);
      await broker().truncate(below, 6n);
      const reading = read([
        { ...below, offset: 2n },
        { ...above, offset: 11n },
        { ...fine, offset: 0n },
      ]);
      await until('both are told', () => reading.gaps.length === 2);
      await until('the third goes on', () => reading.count() === 10);
      await rest(700);
      expect(reading.gaps.sort((a, b) => a.partition - b.partition)).toEqual([
        { ...below, asked: 2n, earliest: 6n, end: 10n },
        { ...above, asked: 11n, earliest: 0n, end: 10n },
      ]);
      expect(reading.count()).toBe(10);
      reading.reader.seek(below, 6n);
      await until('it goes on where it is told', () => reading.count() === 14);
      expect(texts(reading.records.get(`${name}/0`)!)).toEqual(['6', '7', '8', '9']);
      await reading.reader.close();
      // Who asks for the earliest has no gap, and the end itself is none.
      const again = read([
        { ...below, offset: 'earliest' },
        { ...above, offset: 10n },
      ]);
      await until('what is left came', () => again.count() === 4);
      await rest(300);
      expect(again.gaps).toEqual([]);
      await again.reader.close();
    });

    test('what is taken away while a lane is behind is told as well', async () => {
      const lane = { topic: await topic(1), partition: 0 };
      await written(lane, [record('0')]);
      let go = () => {};
      const held = new Promise<void>((resolve) => {
        go = resolve;
      });
      const reading = read([{ ...lane, offset: 0n }], { onRecords: () => held });
      await until('the handler is open', () => reading.reader.position(lane) === 0n);
      await rest(200);
      await written(lane, [record('1'), record('2'), record('3')]);
      await broker().truncate(lane, 3n);
      go();
      await until('it is told', () => reading.gaps.length === 1);
      expect(reading.gaps).toEqual([{ ...lane, asked: 1n, earliest: 3n, end: 4n }]);
      await reading.reader.close();
    });

    test('ranges tell the first kept and the next offset', async () => {
      const name = await topic(3);
      const lanes = lanesOf(name, 3);
      await written(
        lanes[1]!,
        Array.from({ length: 4 }, (_, at) => record(String(at))),
      );
      await broker().truncate(lanes[1]!, 3n);
      const admin = driver.admin();
      expect(await admin.ranges([lanes[2]!, lanes[1]!])).toEqual([
        { ...lanes[2], earliest: 0n, end: 0n },
        { ...lanes[1], earliest: 3n, end: 4n },
      ]);
      await admin.close();
    });

    test('topics are created as declared, left as they are, and described', async () => {
      const admin = driver.admin();
      const spec = {
        name: `contract.${name}.declared`,
        partitions: 16,
        replication: 1,
        configs: { 'retention.ms': '123456789', 'cleanup.policy': 'delete', 'max.message.bytes': '2000000' },
      };
      expect(await admin.createTopics([spec])).toEqual([spec.name]);
      expect(await admin.createTopics([{ ...spec, partitions: 3 }])).toEqual([]);
      const described = await admin.describeTopics([spec.name, `contract.${name}.none`]);
      expect(described).toMatchObject([{ name: spec.name, configs: { ...spec.configs, 'min.insync.replicas': '1' } }]);
      expect(described[0]!.partitions.map(({ partition }) => partition)).toEqual(
        Array.from({ length: 16 }, (_, at) => at),
      );
      expect(described[0]!.partitions[0]).toEqual({ partition: 0, leader: 1, replicas: [1], inSync: [1] });
      await expect(
        admin.createTopics([{ ...spec, name: `contract.${name}.bad`, configs: { 'retention.ms': 'x' } }]),
      ).rejects.toMatchObject({
        code: 'INVALID_CONFIG',
        retriable: false,
      });
      await expect(
        admin.createTopics([{ ...spec, name: `contract.${name}.bad`, replication: 3 }]),
      ).rejects.toMatchObject({
        code: 'INVALID_REPLICATION_FACTOR',
      });
      const { brokers, clusterId } = await admin.brokers();
      expect(brokers.map(({ id, host, port }) => `${id} ${host}:${port}`)).toEqual([`1 ${broker().brokers[0]}`]);
      expect(clusterId).not.toBe('');
      await admin.close();
    });

    test('offsets committed for display are there for Kafka’s tools', async () => {
      const name = await topic();
      const lanes = lanesOf(name, 2);
      await written(
        lanes[0]!,
        Array.from({ length: 6 }, (_, at) => record(String(at))),
      );
      const admin = driver.admin();
      await admin.commitOffsets(`group.${name}`, [{ ...lanes[0]!, offset: 4n }]);
      await admin.commitOffsets(`group.${name}`, [{ ...lanes[0]!, offset: 5n }]);
      await admin.commitOffsets(`group.${name}`, []);
      expect(await admin.committedOffsets(`group.${name}`, lanes)).toEqual([{ ...lanes[0], offset: 5n }]);
      await admin.close();
    });

    test('a topic that does not exist is told to each in its way, soon', async () => {
      const lane = { topic: `contract.${name}.nowhere`, partition: 0 };
      const known = { topic: await topic(), partition: 0 };
      const from = Date.now();
      const producer = driver.producer();
      const [missing, fine, beyond] = await producer.send([
        { ...lane, records: [record('x')] },
        { ...known, records: [record('x')] },
        { ...known, partition: 99, records: [record('x')] },
      ]);
      await producer.close();
      expect(missing!.error).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', written: 'none' });
      expect(beyond!.error).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', written: 'none' });
      expect(fine).toEqual({ offset: 0n });
      const admin = driver.admin();
      await expect(admin.ranges([lane])).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
      await admin.close();
      const reading = read([
        { ...lane, offset: 0n },
        { ...known, offset: 0n },
      ]);
      await until('it is told', () =>
        reading.troubles.some(({ error }) => error.code === 'UNKNOWN_TOPIC_OR_PARTITION'),
      );
      await until('the other goes on', () => reading.count() === 1);
      expect(reading.troubles[0]).toMatchObject({ lane });
      expect(Date.now() - from).toBeLessThan(5000);
      await reading.reader.close();
    });

    test('a batch that is too large is refused for its lane alone, for good', async () => {
      const name = await topic(2, { 'max.message.bytes': '10000' });
      const [one, other] = lanesOf(name, 2) as [Lane, Lane];
      const producer = driver.producer();
      const [large, small] = await producer.send([
        { ...one, records: [{ ...record(''), value: Buffer.alloc(20_000) }] },
        { ...other, records: [record('small')] },
      ]);
      expect(large!.error).toMatchObject({ code: 'MESSAGE_TOO_LARGE', retriable: false, written: 'none' });
      expect(small).toEqual({ offset: 0n });
      expect(await producer.send([{ ...one, records: [record('small')] }])).toEqual([{ offset: 0n }]);
      await producer.close();
    });

    test('what is under way is bounded, and a lane has one request at a time', async () => {
      const name = await topic(2);
      const [one, other] = lanesOf(name, 2) as [Lane, Lane];
      const producer = driver.producer({ maxBytes: 3000 });
      const large = [{ ...record(''), value: Buffer.alloc(2000) }];
      const first = producer.send([{ ...one, records: large }]);
      expect(producer.bytes).toBeGreaterThan(2000);
      await expect(producer.send([{ ...other, records: large }])).rejects.toMatchObject({
        code: 'OVERLOADED',
        retriable: true,
      });
      await expect(producer.send([{ ...one, records: [record('x')] }])).rejects.toMatchObject({ code: 'DRIVER' });
      await expect(
        producer.send([
          { ...other, records: [record('x')] },
          { ...other, records: [record('x')] },
        ]),
      ).rejects.toMatchObject({ code: 'DRIVER' });
      expect(await first).toEqual([{ offset: 0n }]);
      expect(producer.bytes).toBe(0);
      expect(await producer.send([{ ...other, records: large }])).toEqual([{ offset: 0n }]);
      await producer.close();
    });

    test('a handler that is open holds its lane, and bounds what is held in memory', async () => {
      const name = await topic(4);
      const lanes = lanesOf(name, 4);
      const producer = driver.producer({ maxBytes: 1 << 30 });
      const value = Buffer.alloc(10_000);
      for (let round = 0; round < 10; round++) {
        await producer.send(
          lanes.map((lane) => ({ ...lane, records: Array.from({ length: 50 }, () => ({ ...record(''), value })) })),
        );
      }
      await producer.close();
      const open: (() => void)[] = [];
      let held = 0;
      let calls = 0;
      let handed = 0;
      const reading = read(fromEarliest(lanes), {
        maxBytes: 1 << 20,
        laneMaxBytes: 600_000,
        onRecords(_lane, records) {
          calls++;
          handed += records.length;
          held += records.reduce((sum, { value }) => sum + value!.length, 0);
          return new Promise<void>((resolve) => open.push(resolve));
        },
      });
      await until('each lane has one open handler', () => calls === 4);
      await rest(1000);
      expect(calls).toBe(4);
      // A batch of 500 kB comes whole.
      expect(held).toBeLessThanOrEqual(4 * 1_100_000);
      let at = 0;
      const goOn = () => {
        while (at < open.length) open[at++]!();
        return handed >= 2000;
      };
      await until('all were handed', goOn, 30_000).catch((thrown: Error) => {
        const where = lanes.map((lane) => `${lane.partition} at ${reading.reader.position(lane)}`).join(', ');
        const told = [...reading.troubles.map(({ error: { code } }) => code), ...reading.gaps.map(() => 'gap')].join(
          ' ',
        );
        throw new Error(`${thrown.message}: ${handed} in ${calls} calls, lanes ${where}; told: ${told || 'nothing'}`);
      });
      expect(handed).toBe(2000);
      for (const done of open) done();
      await reading.reader.close();
    });

    test('a handler that fails gets the same records again, after a rest, and it is told', async () => {
      const lane = { topic: await topic(), partition: 0 };
      await written(lane, [record('a'), record('b')]);
      const seen: string[][] = [];
      const reading = read([{ ...lane, offset: 0n }], {
        async onRecords(_lane, records) {
          seen.push(texts(records));
          if (seen.length < 3) throw new Error('not now');
        },
      });
      await until('it comes a third time', () => seen.length === 3);
      await until('it is past them', () => reading.reader.position(lane) === 2n);
      expect(seen).toEqual([
        ['a', 'b'],
        ['a', 'b'],
        ['a', 'b'],
      ]);
      expect(reading.troubles.map(({ error: { code }, lane }) => [code, lane])).toEqual([
        ['HANDLER', lane],
        ['HANDLER', lane],
      ]);
      await reading.reader.close();
    });

    test('a lane is read at once, also when others are idle or held', async () => {
      const name = await topic(16);
      const lanes = lanesOf(name, 16);
      const at = new Map<number, number>();
      let open = 0;
      const reading = read(fromEarliest(lanes), {
        maxWaitMs: 2000,
        async onRecords({ partition }, records) {
          open++;
          for (const { value } of records) at.set(Number(Buffer.from(value!)), Date.now());
          // Lane 15 is slow for good.
          await rest(partition === 15 ? 60_000 : 10, undefined, { ref: false });
          open--;
        },
      });
      const producer = driver.producer();
      await producer.send([{ ...lanes[15]!, records: [record('0')] }]);
      await until('the slow one is open', () => open === 1);
      const took: number[] = [];
      for (let number = 1; number <= 60; number++) {
        const from = Date.now();
        // The same lane again and again, soon after its handler has ended.
        await producer.send([{ ...lanes[number % 2]!, records: [record(String(number))] }]);
        await until('it came', () => at.has(number));
        took.push(at.get(number)! - from);
      }
      took.sort((a, b) => a - b);
      // A lane that were not looked at would wait for the whole of maxWaitMs.
      expect(took[30]).toBeLessThan(200);
      expect(took[57]).toBeLessThan(1000);
      await producer.close();
      await reading.reader.close();
    });

    test('nothing is handed after close, which waits for no handler and no broker', async () => {
      const name = await topic();
      const lanes = lanesOf(name, 2);
      let calls = 0;
      const reading = read(fromEarliest(lanes), {
        maxWaitMs: 5000,
        onRecords() {
          calls++;
          return new Promise<void>(() => {});
        },
      });
      await written(lanes[0]!, [record('a')]);
      await until('a handler is open', () => calls === 1);
      const producer = driver.producer();
      const sending = producer.send([
        { ...lanes[1]!, records: Array.from({ length: 500 }, () => record('x'.repeat(1000))) },
      ]);
      const from = Date.now();
      await Promise.all([reading.reader.close(), producer.close()]);
      expect(Date.now() - from).toBeLessThan(500);
      const [outcome] = await sending;
      expect(outcome!.error === undefined || ['CLOSED', 'CONNECTION'].includes(outcome!.error.code)).toBe(true);
      await expect(producer.send([{ ...lanes[0]!, records: [record('x')] }])).rejects.toMatchObject({ code: 'CLOSED' });
      await written(lanes[1]!, [record('b')]);
      await rest(300);
      expect(calls).toBe(1);
      await reading.reader.close();
    });

    describe('with TLS and a password', () => {
      const lane = () => ({ topic: `contract.${name}.secure`, partition: 0 });
      const open = (change: Partial<DriverSettings> = {}): Promise<KafkaDriver> => {
        const { brokers, ca, username, password } = broker().secure;
        return openDriver(name, {
          ...settings(),
          brokers,
          requestTimeoutMs: 4000,
          tls: { ca },
          sasl: { mechanism: 'plain', username, password },
          ...change,
        });
      };

      test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('%s: writes and reads', async (mechanism) => {
        const { username, password } = broker().secure;
        const secure = await open({ sasl: { mechanism, username, password } });
        const admin = secure.admin();
        await admin.createTopics([{ name: lane().topic, partitions: 1, replication: 1, configs: {} }]);
        const producer = secure.producer();
        const [{ offset }] = (await producer.send([{ ...lane(), records: [record(mechanism)] }])) as [
          { offset: bigint },
        ];
        const got: string[] = [];
        secure.reader({
          lanes: [{ ...lane(), offset }],
          onRecords: (_lane, records) => {
            got.push(...texts(records));
          },
          onGap: () => {},
        });
        await until('it came', () => got.length === 1);
        expect(got).toEqual([mechanism]);
        await secure.close();
      });

      const refusals: [string, (secure: Broker['secure']) => Partial<DriverSettings>, string, RegExp][] = [
        [
          'a wrong password',
          ({ username }) => ({ sasl: { mechanism: 'plain', username, password: 'wrong-secret' } }),
          'SASL_AUTHENTICATION_FAILED',
          /refused the user name or password/,
        ],
        [
          'a wrong password (SCRAM)',
          ({ username }) => ({ sasl: { mechanism: 'scram-sha-512', username, password: 'wrong-secret' } }),
          'SASL_AUTHENTICATION_FAILED',
          /refused the user name or password/,
        ],
        ['an authority that is not trusted', () => ({ tls: {} }), 'TLS', /no agreement on TLS/],
        ['no TLS where the broker wants it', () => ({ tls: undefined }), 'TLS', /TLS/],
        ['TLS where the broker has none', () => ({ brokers: broker().brokers }), 'TLS', /TLS/],
      ];
      test.each(refusals)('%s is told soon, and not tried again', async (_what, change, code, words) => {
        const secure = await open(change(broker().secure));
        const from = Date.now();
        const error = await secure
          .admin()
          .brokers()
          .then(
            () => undefined,
            (error: unknown) => error as KafkaError,
          );
        expect(error).toBeInstanceOf(KafkaError);
        expect(error).toMatchObject({ code, retriable: false });
        expect(error!.message).toMatch(words);
        expect(error!.message).not.toMatch(/wrong-secret|eduk/);
        expect(Date.now() - from).toBeLessThan(2500);
        const [outcome] = await secure.producer().send([{ ...lane(), records: [record('x')] }]);
        expect(outcome!.error).toMatchObject({ code, written: 'none' });
        const troubles: ReaderTrouble[] = [];
        const reader = secure.reader({
          lanes: [{ ...lane(), offset: 0n }],
          onRecords: () => {},
          onGap: () => {},
          onTrouble: (trouble) => troubles.push(trouble),
        });
        await until('the reader tells it', () => troubles.length > 0);
        expect(troubles[0]!.error).toMatchObject({ code });
        await reader.close();
        await secure.close();
      });
    });

    test('nobody there: told as what it is, within the time of a request', async () => {
      const alone = await openDriver(name, { brokers: ['127.0.0.1:1'], clientId: 'contract', requestTimeoutMs: 1000 });
      const from = Date.now();
      await expect(alone.admin().brokers()).rejects.toMatchObject({ code: 'CONNECTION', retriable: true });
      expect(Date.now() - from).toBeLessThan(2000);
      const [outcome] = await alone.producer().send([{ topic: 't', partition: 0, records: [record('x')] }]);
      expect(outcome!.error).toMatchObject({ code: 'CONNECTION', retriable: true, written: 'none' });
      await alone.close();
      await expect(openDriver(name, { brokers: ['nowhere'], clientId: 'x' })).rejects.toMatchObject({ code: 'DRIVER' });
    });

    test('a process that closes under load ends by itself, and has written nothing to stderr', async () => {
      const name_ = await topic(16);
      const script = join(import.meta.dirname, 'load.test-process.ts');
      const from = Date.now();
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        [script, name, broker().brokers[0]!, name_],
        { timeout: 30_000 },
      );
      expect(stderr).toBe('');
      const told = JSON.parse(stdout) as {
        written: number;
        read: number;
        closedMs: number;
        left: string[];
        openMs: number;
      };
      expect(told.written).toBeGreaterThan(1000);
      expect(told.read).toBeGreaterThan(1000);
      expect(told.closedMs).toBeLessThan(500);
      expect(told.left.filter((name) => !/Pipe|TTY|FS/.test(name))).toEqual([]);
      expect(Date.now() - from).toBeLessThan(told.openMs + 8000);
    });
  });
}
