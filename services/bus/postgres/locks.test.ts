/** What the tables owe to doors, owners and releases while others hold locks: backups, other releases, each other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalPostgres, startPostgres } from '#deploy/local';
import { partitionOf, uuid7 } from '#kernel';
import { type Consumer, type ServiceModule, table } from '../port.ts';
import { ages, backlog } from './ages.ts';
import { appendRecords, Ground, type Unnumbered } from './append.ts';
import { cleanLog } from './clean.ts';
import { Database } from './connection.ts';
import { confirming, NOT_OWNER } from './owners.ts';
import { dayOf, migrate } from './schema.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 21, 23, 0);

let folder: string;
let postgres: LocalPostgres;
let url: string;
let database: Database;
let opened: pg.Client[];
let made = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-locks-'));
  postgres = await startPostgres({ folder });
});
afterAll(async () => {
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  opened = [];
  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  const name = `locks_${made++}`;
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const at = new URL(postgres.url);
  at.pathname = `/${name}`;
  url = at.href;
  database = new Database({ url, application: 'eduk test', most: 6 });
});
afterEach(async () => {
  for (const client of opened) await client.end();
  await database.close();
});

async function other(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  opened.push(client);
  return client;
}

const things = (indexes: Record<string, readonly ('id' | 'size')[]>) =>
  table<{ id: string; size: number }>({
    name: 'probe_things',
    key: ['id'],
    columns: { id: 'text', size: 'int' },
    indexes,
    retention: 'RETENTION_AUDIT',
  });
const consumer = (name: string, ...streams: string[]): Consumer => ({
  name,
  streams,
  types: ['Asked'],
  handle: () => undefined,
});
const release = (consumers: Consumer[], indexes: Record<string, readonly ('id' | 'size')[]> = {}): ServiceModule[] => [
  { name: 'probe', tables: [things(indexes)], consumers, serve: () => [] },
];
const record = (key: string, timeMs: number, data = 'x'): Unnumbered => ({
  stream: 'asks',
  partition: partitionOf(key),
  id: Buffer.from(uuid7()),
  key,
  type: 'Asked',
  flowId: '',
  school: '',
  traceparent: '',
  timeMs,
  data: Buffer.from(data),
  origin: null,
});
const append = (...records: Unnumbered[]) => database.transaction((_, send) => appendRecords(send, records));
const took = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};
const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('what is sent ahead of the commit is committed whole or not at all', async () => {
  await migrate(database, release([]));
  const note = (key: string) => ({
    text: 'INSERT INTO bus.retries (consumer, stream, key) VALUES ($1, $2, $3)',
    values: ['c', 's', key],
  });
  const noted = async () =>
    (await database.query<{ key: string }>('SELECT key FROM bus.retries ORDER BY 1')).map(({ key }) => key);
  const failing = database.transaction((_, send) => {
    send(note('before'));
    send({ text: 'SELECT 1 / 0' });
    send(note('behind'));
  });
  await expect(failing).rejects.toMatchObject({ cause: { code: '22012' } });
  expect(await noted()).toEqual([]);
  const answer = await database.transaction(async (session, send) => {
    send(note('a'));
    const { rows } = await session.query('SELECT count(*)::int AS n FROM bus.retries');
    send(note('b'));
    return rows;
  });
  expect(answer).toEqual([{ n: 1 }]);
  expect(await noted()).toEqual(['a', 'b']);
});

test('an owner that another has taken over from writes nothing, although it commits without asking first', async () => {
  await migrate(database, release([]));
  const ground = new Ground(database, []);
  await ground.have(['asks'], NOW);
  await database.query("INSERT INTO bus.owners (name, owner, epoch) VALUES ('probe', 'other', 5)");
  const saved = (epoch: number) =>
    database.transaction((_, send) => {
      send(confirming({ name: 'probe', epoch }));
      appendRecords(send, [record('a', NOW)]);
    });
  const heads = () => database.query('SELECT 1 FROM bus.lanes WHERE head > 0');
  await expect(saved(4)).rejects.toMatchObject({ cause: { code: NOT_OWNER } });
  expect(await heads()).toEqual([]);
  await saved(5);
  expect(await heads()).toHaveLength(1);
});

test('midnight comes while a backup reads the log: doors go on, and the day is made later', async () => {
  await migrate(database, release([consumer('reader', 'asks')]));
  await new Ground(database, ['asks']).have([], NOW);
  await append(record('a', NOW));
  const backup = await other();
  await backup.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await backup.query('SELECT count(*) FROM bus.outbox');
  // Another moment of the day after, for which one more day is to be made.
  const ground = new Ground(database, ['asks']);
  expect(
    await took(async () => {
      await ground.have([], NOW + DAY);
      await append(record('a', NOW + DAY));
      await ground.have([], NOW + DAY);
    }),
  ).toBeLessThan(8000);
  const day = await database.query('SELECT tableoid::regclass::text AS name FROM bus.outbox ORDER BY number');
  expect(day.map(({ name }) => name)).toEqual([`bus.outbox_${dayOf(NOW)}`, `bus.outbox_${dayOf(NOW) + 1}`]);
  await backup.query('COMMIT');
  await new Ground(database, ['asks']).have([], NOW + DAY);
  expect(await database.query(`SELECT to_regclass('bus.outbox_${dayOf(NOW) + 3}') AS there`)).toEqual([
    { there: `bus.outbox_${dayOf(NOW) + 3}` },
  ]);
});

test('a release that has nothing to change starts beside an owner that is in the middle of a transaction', async () => {
  const modules = release([consumer('reader', 'asks')], { size: ['size'] });
  await migrate(database, modules);
  const owner = await other();
  await owner.query('BEGIN');
  await owner.query("INSERT INTO probe.probe_things VALUES ('a', 1)");
  await owner.query("INSERT INTO bus.bus_timers (consumer, id) VALUES ('reader', 'a')");
  expect(await took(() => migrate(database, modules))).toBeLessThan(8000);
  await owner.query('ROLLBACK');
});

test('a release that changes a table waits for who uses it, and others do not wait long behind it', async () => {
  await migrate(database, release([consumer('reader', 'asks')]));
  const owner = await other();
  await owner.query('BEGIN');
  await owner.query("INSERT INTO probe.probe_things VALUES ('a', 1)");
  const migrating = migrate(database, release([consumer('reader', 'asks')], { size: ['size'] }));
  const second = await other();
  await rest(300);
  // Behind the change that waits.
  expect(await took(() => second.query("INSERT INTO probe.probe_things VALUES ('b', 1)"))).toBeLessThan(8000);
  await rest(500);
  await owner.query('COMMIT');
  await migrating;
  expect(await database.query("SELECT 1 AS one FROM pg_indexes WHERE indexname = 'probe_things__size'")).toHaveLength(
    1,
  );
});

test('a consumer that a release no longer has holds up neither doors nor cleaning; the release before has it back', async () => {
  const before = release([consumer('reader', 'asks'), consumer('gone', 'asks')]);
  await migrate(database, before);
  await new Ground(database, ['asks']).have([], NOW);
  await append(...Array.from({ length: 20 }, (_, i) => record(`k${i}`, NOW)));
  await database.query(
    "INSERT INTO bus.bus_positions (consumer, stream, partition, number) SELECT 'reader', stream, partition, head FROM bus.lanes WHERE stream = 'asks'",
  );
  await database.query(
    'UPDATE bus.published p SET number = l.head FROM bus.lanes l WHERE l.stream = p.stream AND l.partition = p.partition',
  );
  expect((await backlog(database, NOW)).unread).toBe(20);
  expect(await cleanLog(database, NOW + 4 * DAY)).toBe(0);
  await migrate(database, release([consumer('reader', 'asks')]));
  expect(await backlog(database, NOW)).toEqual({ unread: 0, oldestMs: 0 });
  // A door has no services, and takes none away.
  await migrate(database, []);
  expect(await ages(database, NOW)).toHaveLength(1);
  await migrate(database, before);
  expect((await backlog(database, NOW)).unread).toBe(20);
  await migrate(database, release([consumer('reader', 'asks')]));
  expect(await cleanLog(database, NOW + 4 * DAY)).toBe(20);
});

test('who stopped makes nobody slow, and what it has not taken counts', async () => {
  await migrate(database, release([consumer('reader', 'asks'), consumer('ill', 'asks')]));
  await new Ground(database, ['asks']).have([], NOW);
  await append(...Array.from({ length: 40 }, (_, i) => record(`k${i}`, NOW)));
  await database.query(
    "INSERT INTO bus.bus_positions (consumer, stream, partition, number) SELECT 'reader', stream, partition, head FROM bus.lanes WHERE stream = 'asks'",
  );
  expect(await backlog(database, NOW + 5000)).toEqual({ unread: 40, oldestMs: 5000 });
  await database.query("INSERT INTO bus.troubles VALUES ('ill', 'asks', 0, 'stopped', 0)");
  expect(await backlog(database, NOW + 5000)).toEqual({ unread: 40, oldestMs: 0 });
  await database.query("UPDATE bus.troubles SET kind = 'gap'");
  const [lane] = await database.query<{ head: number }>(
    "SELECT head FROM bus.lanes WHERE stream = 'asks' AND partition = 0",
  );
  expect(lane!.head).toBeGreaterThan(0);
  // A gap is of one lane.
  expect(await backlog(database, NOW + 5000)).toEqual({ unread: 40, oldestMs: 5000 });
});

test('days and the rest are cleaned by several at once, each record once', async () => {
  await migrate(database, release([consumer('reader', 'asks')]));
  const ground = new Ground(database, ['asks']);
  // Before its day was made.
  await append(...Array.from({ length: 50 }, (_, i) => record(`k${i}`, NOW)));
  await ground.have([], NOW + DAY);
  await append(...Array.from({ length: 60 }, (_, i) => record(`k${i}`, NOW + DAY)));
  await database.query(
    'UPDATE bus.published p SET number = l.head FROM bus.lanes l WHERE l.stream = p.stream AND l.partition = p.partition',
  );
  expect(await cleanLog(database, NOW + 5 * DAY)).toBe(0);
  await database.query(
    "INSERT INTO bus.bus_positions (consumer, stream, partition, number) SELECT 'reader', stream, partition, head FROM bus.lanes WHERE stream = 'asks'",
  );
  const removed = await Promise.all([1, 2, 3].map(() => cleanLog(database, NOW + 5 * DAY)));
  const again = await cleanLog(database, NOW + 5 * DAY);
  expect([...removed, again].reduce((sum, count) => sum + count, 0)).toBe(110);
  expect(await database.query("SELECT * FROM bus.lanes WHERE stream = 'asks' AND first <> head + 1")).toEqual([]);
  expect(await database.query('SELECT * FROM bus.outbox')).toEqual([]);
});

test('consumers of a service that no release has any more go once nobody runs it; its positions stay', async () => {
  const other = (name: string): ServiceModule[] => [
    { name, tables: [], consumers: [consumer(name, 'asks')], serve: () => [] },
  ];
  await migrate(database, other('older'));
  await migrate(database, other('newer'));
  await database.query(
    "INSERT INTO bus.bus_positions (consumer, stream, partition, number) VALUES ('older', 'asks', 0, 7)",
  );
  const left = async () =>
    (await database.query<{ consumer: string }>('SELECT consumer FROM bus.consumers ORDER BY 1')).map(
      (row) => row.consumer,
    );
  // Who does not say what its release has takes nothing away.
  await migrate(database, other('newer'));
  expect(await left()).toContain('older');
  await database.query("INSERT INTO bus.replicas (name, replica, seen) VALUES ('older', 'r', now() - interval '30 s')");
  await migrate(database, other('newer'), { release: ['newer', 'probe'] });
  expect(await left()).toContain('older');
  await database.query("UPDATE bus.replicas SET seen = now() - interval '2 min'");
  await database.query("INSERT INTO bus.owners (name, owner, until) VALUES ('older', 'r', now() + interval '1 s')");
  await migrate(database, other('newer'), { release: ['newer', 'probe'] });
  expect(await left()).toContain('older');
  await database.query("UPDATE bus.owners SET until = '-infinity'");
  await migrate(database, other('newer'), { release: ['newer', 'probe'] });
  expect(await left()).toEqual(['newer']);
  expect(await database.query("SELECT number FROM bus.bus_positions WHERE consumer = 'older'")).toEqual([
    { number: 7 },
  ]);
  // The release before names it again.
  await migrate(database, other('older'), { release: ['older', 'newer'] });
  expect(await left()).toEqual(['newer', 'older']);
});
