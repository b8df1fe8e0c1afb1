/** Copies of the state: between a file and a database, and what has to be right on the side that goes on. */
import { existsSync } from 'node:fs';
import type pg from 'pg';
import { ConfigError, GatewayError, PARTITIONS } from '#kernel';
import { streamOf, toLog, topicOf } from '../kafka/cloudevents.ts';
import { DEFAULT_DRIVER, openDriver } from '../kafka/driver.ts';
import type { DriverName, DriverSettings, FetchedRecord, Lane } from '../kafka/port.ts';
import { streams as knownStreams } from '../kafka/topics.ts';
import type { Remembered } from '../ledger.ts';
import type { LogRecord, ServiceModule } from '../port.ts';
import { Database } from '../postgres/connection.ts';
import { RELAY } from '../postgres/relay.ts';
import { migrate, quoted } from '../postgres/schema.ts';
import { laneName, SqliteStore } from '../sqlite.ts';
import { engineTables } from '../tables.ts';
import { connectForCopy, PostgresPlace } from './postgres.ts';
import { SqlitePlace, type SqliteUse } from './sqlite.ts';
import { lanesIn, postgresWays, sqliteWays } from './state.ts';

export { appendToLedger, ledgerOf, type Remembered, readLedger } from '../ledger.ts';
export { makeLedger, noteInLedger, readLedgerIn } from '../postgres/ledger.ts';
export * from './place.ts';
export { COPIES, connectForCopy, PostgresPlace } from './postgres.ts';
export { SqlitePlace } from './sqlite.ts';
export { stateTables } from './state.ts';

/** The state in a file. A target is made; throws `ConfigError` when it is there. */
export function openStateFile(file: string, modules: readonly ServiceModule[], use: SqliteUse): SqlitePlace {
  if (use === 'target' && existsSync(file)) throw new ConfigError([`${file} is there already`]);
  if (use === 'source' && !existsSync(file)) throw new ConfigError([`${file} is not there`]);
  // Opening it brings its tables to this release.
  new SqliteStore(file, [...engineTables, ...modules.flatMap(({ tables }) => tables)]).close();
  return new SqlitePlace(file, use, sqliteWays);
}

/** Makes or widens the tables of the state in a database. */
export async function makeStateTables(url: string, modules: readonly ServiceModule[]): Promise<void> {
  const database = new Database({ url, application: 'copy of eduk', most: 1 });
  try {
    await migrate(database, modules, { evenSo: true });
  } finally {
    await database.close();
  }
}

/** The state in a database, as of now. */
export const openStateDatabase = async (
  url: string,
  modules: readonly ServiceModule[],
  use: 'source' | 'target',
): Promise<PostgresPlace> =>
  PostgresPlace.open(await connectForCopy(url, 'EDUK_DATABASE_URL'), use, postgresWays(modules));

/** Whether the database holds anything of a state. */
export async function holdsState(client: Pick<pg.ClientBase, 'query'>): Promise<boolean> {
  const { rows } = await client.query("SELECT to_regclass('bus.lanes') IS NOT NULL AS made");
  if (!(rows[0] as { made: boolean }).made) return false;
  const found = await client.query('SELECT EXISTS (SELECT 1 FROM bus.lanes WHERE head > 0) AS used');
  return (found.rows[0] as { used: boolean }).used;
}

/** Removes a state from a database; the list of withdrawals stays. */
export async function dropState(
  client: Pick<pg.ClientBase, 'query'>,
  modules: readonly ServiceModule[],
): Promise<void> {
  for (const name of ['bus', ...modules.map((module) => module.name)])
    await client.query(`DROP SCHEMA IF EXISTS ${quoted(name)} CASCADE`);
}

/** Names of gateway processes that are connected to a database at this moment. */
export async function connectedTo(client: Pick<pg.ClientBase, 'query'>): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT DISTINCT application_name AS name FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'eduk %' AND pid <> pg_backend_pid() ORDER BY 1`,
  );
  return (rows as { name: string }[]).map(({ name }) => name);
}

/** The newest number of a lane. */
export interface LaneHead {
  stream: string;
  partition: number;
  head: number;
}

/**
 * Makes a copied state in a database ready to go on from. Where Kafka holds numbers that consumers have not passed (left
 * there by what ran before, or by what was lost), the whole lane is lifted above them: log, head and positions alike, so
 * that what lies there is old by its number. Nothing is to be published: consumers are at the head, or read what is left
 * from the log's own table. Epochs are above any that another owner may remember. Answers the heads.
 */
export async function settleDatabase(
  place: PostgresPlace,
  modules: readonly ServiceModule[],
  topics: readonly LaneHead[],
  epoch: number,
): Promise<LaneHead[]> {
  for (const { stream, partition, head } of topics) {
    const [row] = await place.query(
      `SELECT coalesce((SELECT min(coalesce(q.number, l.first - 1)) FROM bus.consumers c
         LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = c.stream AND q.partition = l.partition
         WHERE c.stream = l.stream), l.head) AS lowest FROM bus.lanes l WHERE l.stream = $1 AND l.partition = $2`,
      [stream, partition],
    );
    const lift = row === undefined ? 0 : head - (row as { lowest: number }).lowest;
    if (lift <= 0) continue;
    const of = [stream, partition, lift];
    // By way of negative numbers: a number may not stand twice, not even within one statement.
    await place.query('UPDATE bus.outbox SET number = -(number + $3) WHERE stream = $1 AND partition = $2', of);
    await place.query('UPDATE bus.outbox SET number = -number WHERE stream = $1 AND partition = $2', of.slice(0, 2));
    await place.query(
      'UPDATE bus.lanes SET head = head + $3, first = first + $3 WHERE stream = $1 AND partition = $2',
      of,
    );
    await place.query('UPDATE bus.bus_positions SET number = number + $3 WHERE stream = $1 AND partition = $2', of);
  }
  await place.query(
    `INSERT INTO bus.published (stream, partition, number, epoch) SELECT stream, partition, head, $1 FROM bus.lanes
     ON CONFLICT (stream, partition) DO UPDATE SET number = excluded.number, epoch = excluded.epoch`,
    [epoch],
  );
  await place.query(
    `INSERT INTO bus.owners (name, epoch, version) SELECT unnest($1::text[]), $2, $2
     ON CONFLICT (name) DO UPDATE SET epoch = greatest(bus.owners.epoch + 1, excluded.epoch), version = bus.owners.version + 1`,
    [[RELAY, ...modules.map(({ name }) => name)], epoch],
  );
  return place.query('SELECT stream, partition, head FROM bus.lanes WHERE head > 0 ORDER BY stream, partition');
}

/** Where Kafka is, and under which names. */
export interface TopicsPlace {
  kafka: DriverSettings;
  kafkaClient?: DriverName | undefined;
  /** Default `eduk`. */
  topicPrefix?: string;
}

/** Records at the end of each lane that are looked at for its newest number: who sends twice sends the last ones. */
const TAIL = 5_000n;
/** How long Kafka may say nothing before a reading of it is given up, milliseconds. */
const SILENT_MS = 30_000;

/**
 * Reads what lies on the topics, each record once, in the order of its lane: all of it, or only the end of each lane. What
 * somebody else wrote there is passed over. Answers the newest number of each lane.
 */
export async function readTopics(
  place: TopicsPlace,
  which: 'all' | 'end',
  take: (record: LogRecord) => void = () => undefined,
): Promise<LaneHead[]> {
  const { kafka, kafkaClient = DEFAULT_DRIVER, topicPrefix = 'eduk' } = place;
  const driver = await openDriver(kafkaClient, kafka);
  try {
    const admin = driver.admin();
    const topics = await admin.describeTopics(knownStreams.map((stream) => topicOf(topicPrefix, stream)));
    const lanes = topics.flatMap(({ name }) =>
      Array.from({ length: PARTITIONS }, (_, partition): Lane => ({ topic: name, partition })),
    );
    const ranges = (await admin.ranges(lanes)).filter(({ earliest, end }) => end > earliest);
    const heads = new Map<string, LaneHead>();
    const left = new Map(ranges.map(({ topic, partition, end }) => [`${topic}/${partition}`, end]));
    if (left.size === 0) return [];
    let heard = performance.now();
    await new Promise<void>((resolve, reject) => {
      const patience = setInterval(() => {
        if (performance.now() - heard > SILENT_MS)
          reject(new GatewayError('gateway.unavailable', 'Kafka does not hand over what it holds.'));
      }, 1000);
      const done = (settle: () => void) => {
        clearInterval(patience);
        settle();
      };
      driver.reader({
        lanes: ranges.map(({ topic, partition, earliest, end }) => ({
          topic,
          partition,
          offset: which === 'all' || end - TAIL < earliest ? earliest : end - TAIL,
        })),
        onRecords(lane, records) {
          heard = performance.now();
          const key = `${lane.topic}/${lane.partition}`;
          const end = left.get(key);
          if (end === undefined) return;
          for (const record of records) if (record.offset < end) note(lane, record);
          if ((records.at(-1)?.offset ?? -1n) + 1n >= end) left.delete(key);
          if (left.size === 0) done(resolve);
        },
        // Dropped while we read: its oldest is what there is.
        onGap: (gap) =>
          done(() => reject(new GatewayError('gateway.unavailable', `Kafka dropped ${gap.topic} meanwhile.`))),
      });
    });
    return [...heads.values()];

    function note(lane: Lane, fetched: FetchedRecord): void {
      let record: LogRecord;
      try {
        record = toLog(lane, fetched);
      } catch {
        return; // Not ours.
      }
      const stream = streamOf(topicPrefix, lane.topic)!;
      const key = `${stream}/${lane.partition}`;
      const before = heads.get(key)?.head ?? 0;
      if (record.number <= before) return;
      heads.set(key, { stream, partition: lane.partition, head: record.number });
      take(record);
    }
  } finally {
    await driver.close();
  }
}

/** Puts records at the end of their lanes, with their ids and new numbers, unless one with its id is on the log. Answers how many. */
export function takeInAgain(
  file: string,
  modules: readonly ServiceModule[],
  records: readonly Omit<LogRecord, 'number'>[],
): number {
  const store = new SqliteStore(file, [...engineTables, ...modules.flatMap(({ tables }) => tables)]);
  try {
    const heads = new Map(store.lanes().map((lane) => [`${lane.stream}/${lane.partition}`, { ...lane }]));
    store.begin();
    const appended = records.map((record) => {
      const key = `${record.stream}/${record.partition}`;
      const lane = heads.get(key) ?? { stream: record.stream, partition: record.partition, head: 0, first: 1 };
      heads.set(key, lane);
      lane.head += 1;
      return { ...record, number: lane.head, origin: null };
    });
    store.append(appended, [...heads.values()]);
    store.commit();
    return appended.length;
  } finally {
    store.close();
  }
}

/** Newest numbers of the lanes in an opened file. */
export const lanesOf = (place: SqlitePlace): (LaneHead & { first: number })[] =>
  place.db
    .prepare('SELECT stream, partition, head, first FROM bus_lanes WHERE head > 0')
    .all() as unknown as (LaneHead & { first: number })[];

/** Whether a lane holds a message that a door took in above a number. */
export const acceptedSince = (place: SqlitePlace, stream: string, partition: number, number: number): boolean =>
  lanesIn(place.db).some((lane) => lane.stream === stream && lane.partition === partition) &&
  place.db
    .prepare(`SELECT 1 FROM ${laneName(stream, partition)} WHERE number > ? AND type LIKE '%Submitted' LIMIT 1`)
    .get(number) !== undefined;

/** Newest numbers by lane (`stream/partition`). */
export function headsIn(file: string, modules: readonly ServiceModule[]): Map<string, number> {
  const place = openStateFile(file, modules, 'source');
  try {
    return new Map(lanesOf(place).map(({ stream, partition, head }) => [`${stream}/${partition}`, head]));
  } finally {
    place.close();
  }
}

/** Of these records, each once, those that the log of a file does not hold among what it took in since. */
export function newTo<R extends Remembered>(
  file: string,
  modules: readonly ServiceModule[],
  records: readonly R[],
  sinceMs: number,
): R[] {
  const place = openStateFile(file, modules, 'source');
  try {
    const known = new Set<string>();
    for (const { stream, partition } of lanesIn(place.db))
      for (const { id } of place.db
        .prepare(`SELECT id FROM ${laneName(stream, partition)} WHERE time_ms >= ?`)
        .iterate(sinceMs) as unknown as Iterable<{ id: Uint8Array }>)
        known.add(Buffer.from(id).toString('hex'));
    return records.filter(({ id }) => {
      const hex = Buffer.from(id).toString('hex');
      if (known.has(hex)) return false;
      known.add(hex);
      return true;
    });
  } finally {
    place.close();
  }
}

/** Mailboxes go on above the numbers that receivers may know from a time that is not in this file. */
export function liftMail(file: string, by: number): void {
  const place = new SqlitePlace(file, 'target', sqliteWays);
  place.db.prepare('UPDATE delivery_heads SET number = number + ? WHERE number > 0').run(by);
  place.finish();
}
