/**
 * What each driver costs, against a real broker: `node services/bus/kafka/bench.ts [host:port]`, each driver in a process of
 * its own. Records carry the headers of an event; acks from all; batches of 100 records a lane over 16 lanes.
 */
import { execFileSync } from 'node:child_process';
import { newId, uuid7 } from '#kernel';
import type { LogRecord } from '../port.ts';
import { fromLog, toLog } from './cloudevents.ts';
import { openDriver } from './driver.ts';
import { lanesOf, until } from './ledger.ts';
import type { DriverName, LaneRecords } from './port.ts';

const RECORDS = 160_000;
const BATCH = 100;

interface Figures {
  driver: string;
  bytes: number;
  headers: string;
  writeRate: number;
  writeCpuUs: number;
  readRate: number;
  readCpuUs: number;
  rssMb: number;
}

const cpuUs = (from: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(from);
  return user + system;
};

async function measure(name: DriverName, broker: string, bytes: number, asEvents: boolean): Promise<Figures> {
  const driver = await openDriver(name, { brokers: [broker], clientId: 'bench' });
  const topic = `bench.${name}.${bytes}.${asEvents}.${Date.now()}`;
  await driver
    .admin()
    .createTopics([
      { name: topic, partitions: 16, replication: 1, configs: { 'message.timestamp.type': 'LogAppendTime' } },
    ]);
  const lanes = lanesOf(topic);
  const data = Buffer.alloc(bytes, 'x');
  const event = (partition: number, number: number): LogRecord => ({
    stream: 'orders',
    partition,
    number,
    id: uuid7(),
    key: 'a-token-of-a-learner-of-some-length',
    type: 'OrderPlaced',
    flowId,
    school: '0000000700001AA00000',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    timeMs: Date.now(),
    data,
  });
  const flowId = newId();
  const bare = { key: Buffer.from('key'), value: data, headers: [], timestampMs: Date.now() };
  const producer = driver.producer();
  const round = (from: number): LaneRecords[] =>
    lanes.map(({ topic, partition }) => ({
      topic,
      partition,
      records: Array.from({ length: BATCH }, (_, at) => (asEvents ? fromLog(event(partition, from + at + 1)) : bare)),
    }));
  const writeAll = async (count: number, from: number) => {
    // One request under way a lane; two halves, so that the broker is not idle while we encode.
    for (let written = 0, number = from; written < count; written += lanes.length * BATCH, number += BATCH) {
      const all = round(number);
      const outcomes = await Promise.all([producer.send(all.slice(0, 8)), producer.send(all.slice(8))]);
      for (const { error } of outcomes.flat()) if (error) throw error;
    }
  };
  await writeAll(RECORDS / 4, 0);
  let from = Date.now();
  let cpu = process.cpuUsage();
  await writeAll(RECORDS, RECORDS / 4 / 16);
  const writeMs = Date.now() - from;
  const writeCpu = cpuUs(cpu);
  await producer.close();

  const total = RECORDS + RECORDS / 4;
  let read = 0;
  from = Date.now();
  cpu = process.cpuUsage();
  driver.reader({
    lanes: lanes.map((lane) => ({ ...lane, offset: 0n })),
    onRecords(lane, records) {
      if (asEvents) for (const record of records) toLog(lane, record);
      read += records.length;
    },
    onGap: () => {},
  });
  await until('all came', () => read === total, 120_000);
  const readMs = Date.now() - from;
  const readCpu = cpuUs(cpu);
  await driver.close();
  return {
    driver: name,
    bytes,
    headers: asEvents ? 'event' : 'none',
    writeRate: Math.round((RECORDS / writeMs) * 1000),
    writeCpuUs: Number((writeCpu / RECORDS).toFixed(1)),
    readRate: Math.round((total / readMs) * 1000),
    readCpuUs: Number((readCpu / total).toFixed(1)),
    rssMb: Math.round(process.memoryUsage.rss() / 1e6),
  };
}

async function main(): Promise<void> {
  const [, , broker, name, bytes, asEvents] = process.argv as (string | undefined)[];
  if (broker === undefined) {
    process.stderr.write('node services/bus/kafka/bench.ts host:port\n');
    process.exitCode = 2;
    return;
  }
  if (name !== undefined) {
    process.stdout.write(JSON.stringify(await measure(name as DriverName, broker, Number(bytes), asEvents === 'true')));
    return;
  }
  const rows: Figures[] = [];
  for (const asEvents of [false, true]) {
    for (const bytes of [300, 1024]) {
      for (const driver of ['platformatic', 'kafkajs'] as const) {
        const said = execFileSync(
          process.execPath,
          [import.meta.filename, broker, driver, String(bytes), String(asEvents)],
          {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        );
        rows.push(JSON.parse(said) as Figures);
      }
    }
  }
  process.stdout.write(
    '| driver | value | headers | written/s | CPU µs | read/s | CPU µs | memory |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n',
  );
  for (const { driver, bytes, headers, writeRate, writeCpuUs, readRate, readCpuUs, rssMb } of rows) {
    process.stdout.write(
      `| ${driver} | ${bytes} B | ${headers} | ${writeRate} | ${writeCpuUs} | ${readRate} | ${readCpuUs} | ${rssMb} MB |\n`,
    );
  }
}

void main();
