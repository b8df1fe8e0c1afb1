/** What the relay and the leases owe while much is behind, a lane cannot be sent, or one transaction hangs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalPostgres, startPostgres } from '#deploy/local';
import { systemClock, uuid7 } from '#kernel';
import { KafkaError, type KafkaProducer, type LaneRecords } from '../kafka/port.ts';
import { appendRecords } from './append.ts';
import { Database } from './connection.ts';
import { type Holder, type Lease, Owners } from './owners.ts';
import { readLog } from './read.ts';
import { Relay } from './relay.ts';
import { makeLanes, migrate } from './schema.ts';
import { Signal } from './signal.ts';
import type { Topics } from './topics.ts';

let folder: string;
let postgres: LocalPostgres;
let url: string;
let database: Database;
let made = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-relay-'));
  postgres = await startPostgres({ folder });
});
afterAll(async () => {
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  const name = `relay_${made++}`;
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const at = new URL(postgres.url);
  at.pathname = `/${name}`;
  url = at.href;
  database = new Database({ url, application: 'eduk test', most: 8 });
  await migrate(database, []);
  await database.transaction((session) => makeLanes(session, ['asks']));
});
afterEach(() => database.close());

const append = (partition: number, sizes: readonly number[]) =>
  database.transaction((_, send) =>
    appendRecords(
      send,
      sizes.map((size) => ({
        stream: 'asks',
        partition,
        id: Buffer.from(uuid7()),
        key: 'k',
        type: 'Asked',
        flowId: '',
        school: '',
        traceparent: '',
        timeMs: Date.UTC(2026, 10, 21),
        data: Buffer.alloc(size, 1),
        origin: null,
      })),
    ),
  );
const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('of a log that is far behind no more is read than can be sent, of every lane its part, none left out', async () => {
  for (let partition = 0; partition < 8; partition++)
    await append(
      partition,
      Array.from({ length: 30 }, () => (partition === 3 ? 400_000 : 20_000)),
    );
  const lanes = Array.from({ length: 8 }, (_, i) => ({
    stream: 'asks',
    partition: 7 - i,
    after: i,
    through: i === 0 ? 2 : 100,
  }));
  const found = await readLog(database, lanes, { most: 1000, bytes: 1_000_000 });
  const bytes = found.reduce((sum, { data }) => sum + data.length, 0);
  expect(bytes).toBeGreaterThan(700_000);
  expect(bytes).toBeLessThan(1_500_000);
  const numbers = new Map<number, number[]>();
  for (const { partition, number } of found) numbers.set(partition, [...(numbers.get(partition) ?? []), number]);
  for (const [i, { partition, after }] of lanes.entries()) {
    // The last may have to wait for the next round, in which others are last.
    const of = numbers.get(partition) ?? [];
    if (i < 6) expect(of.length).toBeGreaterThan(0);
    expect(of).toEqual(of.map((_, at) => after + 1 + at));
    if (i === 0) expect(of).toEqual([1, 2]);
  }
  // One that is larger than all that was asked for is found all the same.
  expect(
    await readLog(database, [{ stream: 'asks', partition: 3, after: 29, through: 99 }], { most: 9, bytes: 9 }),
  ).toHaveLength(1);
  expect(await readLog(database, [], { most: 1, bytes: 1 })).toEqual([]);
});

test('a lane that cannot be sent holds up no other, and goes on when it can', async () => {
  let broken = true;
  const sent = new Map<number, number>();
  const producer = {
    bytes: 0,
    send: async (lanes: readonly LaneRecords[]) =>
      lanes.map(({ partition, records }) => {
        if (partition === 5 && broken) return { error: new KafkaError('NOT_LEADER', 'no leader', { retriable: true }) };
        sent.set(partition, (sent.get(partition) ?? 0) + records.length);
        return { offset: 0n };
      }),
    close: async () => undefined,
  } as unknown as KafkaProducer;
  const topics = {
    prefix: 't',
    of: (stream: string) => `t.${stream}`,
    have: async () => undefined,
  } as unknown as Topics;
  const appended = new Signal();
  const relay = new Relay({ database, producer, topics, appended, clock: systemClock });
  await append(5, [1, 1, 1]);
  const lost = new AbortController();
  const holding = relay.hold({ name: 'relay', epoch: 1 }, lost.signal);
  await rest(2500);
  // By now it is left alone for a second each time.
  const began = performance.now();
  for (let i = 1; i <= 6; i++) {
    await append(1, [1]);
    appended.raise();
    while ((sent.get(1) ?? 0) < i && performance.now() - began < 20_000) await rest(5);
  }
  // Held up by the other, it would be a second each time.
  expect(performance.now() - began).toBeLessThan(5000);
  expect(relay.troubledSinceMs).toBeGreaterThan(0);
  broken = false;
  while ((sent.get(5) ?? 0) < 3 && performance.now() - began < 20_000) await rest(20);
  expect(sent.get(5)).toBe(3);
  await expect.poll(() => relay.troubledSinceMs).toBe(0);
  lost.abort();
  await holding;
});

/** Holds until it is told to end, and counts how often it was given what. */
class Holding implements Holder {
  taken = 0;
  open = 0;
  async hold(_: Lease, lost: AbortSignal): Promise<void> {
    this.taken += 1;
    this.open += 1;
    await new Promise<void>((resolve) => lost.addEventListener('abort', () => resolve(), { once: true }));
    this.open -= 1;
  }
}

test('a transaction that hangs over one lease costs its process no other', async () => {
  const holders = new Map(['a', 'b', 'c'].map((name) => [name, new Holding()] as const));
  const owners = new Owners({ database, replica: 'one', address: 'one:1', holders });
  await owners.start();
  expect([...holders.values()].map(({ open }) => open)).toEqual([1, 1, 1]);
  expect(owners.addressOf('a')).toBe('one:1');
  const stuck = new pg.Client({ connectionString: url });
  stuck.on('error', () => undefined);
  await stuck.connect();
  await stuck.query('BEGIN');
  await stuck.query("UPDATE bus.owners SET version = version + 1 WHERE name = 'b'");
  await rest(6500);
  const left = await database.query<{ name: string; left: number }>(
    'SELECT name, extract(epoch FROM until - now())::float8 AS left FROM bus.owners ORDER BY name',
  );
  for (const { name, left: seconds } of left) if (name !== 'b') expect(seconds, name).toBeGreaterThan(2);
  // Another does not wait for it either.
  const second = new Owners({ database, replica: 'two', address: 'two:1', holders: new Map([['b', new Holding()]]) });
  const began = performance.now();
  await second.start();
  expect(performance.now() - began).toBeLessThan(8000);
  await second.stop();
  await stuck.query('ROLLBACK');
  await stuck.end();
  await rest(1200);
  expect([...holders.values()].map(({ taken }) => taken)).toEqual([1, 1, 1]);
  await owners.stop();
});

test('a process that starts while the database is away owns what is its own as soon as it is back', async () => {
  let away = true;
  const flaky = {
    query: (...asked: Parameters<Database['query']>) =>
      away ? Promise.reject(new Error('away')) : database.query(...asked),
  } as unknown as Database;
  const holder = new Holding();
  const owners = new Owners({ database: flaky, replica: 'one', address: '', holders: new Map([['a', holder]]) });
  await owners.start();
  expect(holder.open).toBe(0);
  away = false;
  await expect.poll(() => holder.open).toBe(1);
  await owners.stop();
});
