/**
 * Tables of the distributed engine: schema `bus` for what all share, one schema a service for its rows. Releases only add
 * (columns, indexes, functions under a new name), so that the release before and the one after run on one database; what is
 * no longer used is dropped by a later release.
 */
import { setTimeout as rest } from 'node:timers/promises';
import type pg from 'pg';
import { ConfigError, GatewayError, log, PARTITIONS } from '#kernel';
import { events } from '#proto/events';
import { layoutOf } from '../cells.ts';
import { refusal, standingOfDatabase } from '../copy/standing.ts';
import type { ServiceModule, Table } from '../port.ts';
import { engineTables } from '../tables.ts';
import { type Database, DatabaseError, type Session } from './connection.ts';
import { makeLedger } from './ledger.ts';

/** Of schema `bus`. Raised with each step in `steps`; a database of a newer major than this release knows is refused. */
const STEPS_KNOWN = 1;
/** Steps from here on an older release could not live with; none so far. */
const OLDEST_READER = 1;
/** Key of the lock under which one process at a time changes tables. */
const MIGRATING = 0x45_44_55_4b;
/** How long one statement of a migration may take, milliseconds: an index over a large table is made as long as it takes. */
const STEP_MS = 3_600_000;
/**
 * How long a change of a table waits for those who use it, and how often all of it is begun again: whoever comes meanwhile
 * waits behind it, so that a backup under way must not stand all still.
 */
const LOCK_MS = 2_000;
const TRIES = 5;
const RETRY_MS = 1_000;
/** The same for the days of the log, which are made a day ahead. */
const DAY_LOCK_MS = 150;

const sqlType = {
  text: 'text COLLATE "C"',
  int: 'bigint',
  real: 'double precision',
  blob: 'bytea',
  json: 'text',
} as const;
export const quoted = (name: string): string => `"${name}"`;

/** Where a table lies: the engine's own in `bus`, a service's in the schema that bears its name. */
export const placeOf = (service: string, table: Table): string =>
  `${quoted(isEngineTable(table) ? 'bus' : service)}.${quoted(table.name)}`;

const isEngineTable = (table: Table): boolean => (engineTables as readonly Table[]).includes(table);

/**
 * The log's side. `lanes.head` is the number of the newest record; `first` the oldest that may still be there. `published`
 * stands apart, so that who copies the log to Kafka and who appends to it do not wait for each other.
 */
const steps: readonly string[] = [
  `
CREATE TABLE bus.lanes (
  stream text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  head bigint NOT NULL DEFAULT 0,
  first bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (stream, partition)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE TABLE bus.published (
  stream text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  number bigint NOT NULL DEFAULT 0,
  epoch bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (stream, partition)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE TABLE bus.outbox (
  stream text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  number bigint NOT NULL,
  day int NOT NULL,
  id bytea NOT NULL,
  key text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  flow text COLLATE "C" NOT NULL,
  school text COLLATE "C" NOT NULL,
  traceparent text COLLATE "C" NOT NULL,
  time_ms bigint NOT NULL,
  data bytea NOT NULL,
  claim bytea,
  digest bytea,
  digest_version int,
  PRIMARY KEY (stream, partition, number, day)
) PARTITION BY RANGE (day);
CREATE TABLE bus.outbox_rest PARTITION OF bus.outbox DEFAULT;
CREATE TABLE bus.references (
  claim bytea PRIMARY KEY,
  digest bytea NOT NULL,
  digest_version int NOT NULL,
  answer bytea NOT NULL,
  flow bytea NOT NULL,
  until_ms bigint NOT NULL
);
CREATE INDEX references_until ON bus.references (until_ms);
CREATE TABLE bus.owners (
  name text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL DEFAULT '',
  address text COLLATE "C" NOT NULL DEFAULT '',
  epoch bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE TABLE bus.replicas (
  name text COLLATE "C" NOT NULL,
  replica text COLLATE "C" NOT NULL,
  seen timestamptz NOT NULL,
  PRIMARY KEY (name, replica)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE TABLE bus.offsets (
  consumer text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  number bigint NOT NULL,
  kafka_offset bigint NOT NULL,
  PRIMARY KEY (consumer, stream, partition)
) WITH (fillfactor = 40);
CREATE TABLE bus.consumers (
  consumer text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  service text COLLATE "C" NOT NULL,
  PRIMARY KEY (consumer, stream)
);
CREATE TABLE bus.troubles (
  consumer text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  kind text COLLATE "C" NOT NULL,
  since_ms bigint NOT NULL,
  PRIMARY KEY (consumer, stream, partition, kind)
);
CREATE TABLE bus.retries (
  consumer text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  PRIMARY KEY (consumer, stream, key)
);

-- Gives records their numbers and puts them on the log: the last act of a transaction, so that number order is commit order.
CREATE FUNCTION bus.append_1(
  streams text[], partitions int[], days int[], ids bytea[], keys text[], types text[], flows text[], schools text[],
  traces text[], times bigint[], datas bytea[], claims bytea[], digests bytea[], versions int[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM bus.lanes l
    JOIN (SELECT DISTINCT s, p FROM unnest(streams, partitions) u (s, p)) u ON u.s = l.stream AND u.p = l.partition
    ORDER BY l.stream, l.partition FOR UPDATE OF l;
  INSERT INTO bus.outbox
    SELECT u.s, u.p, l.head + row_number() OVER (PARTITION BY u.s, u.p ORDER BY u.ord), u.day, u.id, u.key, u.type,
           u.flow, u.school, u.trace, u.time, u.data, u.claim, u.digest, u.version
    FROM unnest(streams, partitions, days, ids, keys, types, flows, schools, traces, times, datas, claims, digests, versions)
      WITH ORDINALITY u (s, p, day, id, key, type, flow, school, trace, time, data, claim, digest, version, ord)
    JOIN bus.lanes l ON l.stream = u.s AND l.partition = u.p;
  UPDATE bus.lanes l SET head = l.head + u.n
    FROM (SELECT s, p, count(*) n FROM unnest(streams, partitions) u (s, p) GROUP BY s, p) u
    WHERE l.stream = u.s AND l.partition = u.p;
END $$;

-- Claims references; answers the ones that stand already, with what they are answered with. Rows come in the order of their
-- claims, so that two doors never wait for each other in a circle.
CREATE FUNCTION bus.claim_1(
  p_claims bytea[], p_digests bytea[], p_versions int[], p_answers bytea[], p_flows bytea[], p_untils bigint[], p_now bigint
) RETURNS SETOF bus.references LANGUAGE plpgsql AS $$
DECLARE
  taken bytea[];
BEGIN
  WITH inserted AS (
    INSERT INTO bus.references AS r (claim, digest, digest_version, answer, flow, until_ms)
      SELECT * FROM unnest(p_claims, p_digests, p_versions, p_answers, p_flows, p_untils) u (c, d, v, a, f, t) ORDER BY u.c
      ON CONFLICT (claim) DO UPDATE
        SET digest = excluded.digest, digest_version = excluded.digest_version, answer = excluded.answer,
            flow = excluded.flow, until_ms = excluded.until_ms
        WHERE r.until_ms <= p_now
      RETURNING claim
  ) SELECT array_agg(claim) INTO taken FROM inserted;
  IF cardinality(taken) = cardinality(p_claims) THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT r.* FROM bus.references r
    WHERE r.claim = ANY(p_claims) AND NOT r.claim = ANY(coalesce(taken, ARRAY[]::bytea[]));
END $$;
`,
];

/** A service of which no process was heard of for so long runs nowhere, seconds. */
const UNSEEN_S = 60;

interface MigrateSettings {
  evenSo?: boolean;
  release?: readonly string[] | undefined;
}

/**
 * Makes or widens what this release needs; at most one process does so at a time. Throws `ConfigError` when the database
 * belongs to a release that this one cannot run beside, or, unless `evenSo`, when it was moved elsewhere or is an unfinished copy.
 * `release`: names of all services that this release has; absent = of others nothing is known, and they stay.
 */
export async function migrate(
  database: Database,
  modules: readonly ServiceModule[],
  settings: MigrateSettings = {},
): Promise<void> {
  for (let tries = 1; ; tries++)
    try {
      return await migrateOnce(database, modules, settings);
    } catch (thrown) {
      // Somebody uses a table that is to be changed, or two waited for each other.
      if (tries === TRIES || !/^(55P03|40P01)$/.test(codeOf(thrown) ?? '')) throw thrown;
      log('warn', 'migration_waits', { tries });
      await rest(RETRY_MS);
    }
}

/** What the database said, where it said anything. */
function codeOf(thrown: unknown): string | undefined {
  for (let at = thrown; at instanceof Error; at = at.cause) if (at instanceof DatabaseError) return at.code;
  return undefined;
}

async function migrateOnce(
  database: Database,
  modules: readonly ServiceModule[],
  settings: MigrateSettings,
): Promise<void> {
  await database
    .transaction(async (session) => {
      await session.query(`SET LOCAL statement_timeout = ${STEP_MS}`);
      await slow(session, `SELECT pg_advisory_xact_lock(${MIGRATING})`);
      await session.query(`SET LOCAL lock_timeout = ${LOCK_MS}`);
      const words = refusal(await standingOfDatabase(session), 'the database of EDUK_DATABASE_URL');
      if (words !== undefined && !settings.evenSo) throw new ConfigErrorInTransaction(words);
      await session.query('CREATE SCHEMA IF NOT EXISTS bus');
      await makeLedger(session);
      await session.query(
        'CREATE TABLE IF NOT EXISTS bus.meta (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), steps int NOT NULL, oldest_reader int NOT NULL)',
      );
      const meta = (await session.query<{ steps: number; oldest_reader: number }>('SELECT * FROM bus.meta')).rows[0];
      if (meta !== undefined && meta.oldest_reader > STEPS_KNOWN)
        throw new ConfigErrorInTransaction('the database belongs to a newer release; start that one');
      for (const step of steps.slice(meta?.steps ?? 0)) await slow(session, step);
      if ((meta?.steps ?? 0) < STEPS_KNOWN)
        await session.query(
          'INSERT INTO bus.meta (steps, oldest_reader) VALUES ($1, $2) ON CONFLICT (only_row) DO UPDATE SET steps = excluded.steps, oldest_reader = greatest(bus.meta.oldest_reader, excluded.oldest_reader)',
          [STEPS_KNOWN, OLDEST_READER],
        );
      for (const table of engineTables) await makeTable(session, 'bus', table);
      for (const module of modules) {
        await session.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(module.name)}`);
        for (const table of module.tables) await makeTable(session, module.name, table);
        for (const { name, streams } of module.consumers)
          for (const stream of streams)
            await session.query(
              'INSERT INTO bus.consumers (consumer, stream, service) VALUES ($1, $2, $3) ON CONFLICT (consumer, stream) DO UPDATE SET service = excluded.service WHERE bus.consumers.service <> excluded.service',
              [name, stream, module.name],
            );
        // One that this release no longer has reads nothing any more: doors and cleaning do not wait for it. The release before
        // names it again when it starts.
        const named = module.consumers.flatMap(({ name, streams }) => streams.map((stream) => ({ name, stream })));
        await session.query(
          'DELETE FROM bus.consumers WHERE service = $1 AND NOT (consumer, stream) IN (SELECT * FROM unnest($2::text[], $3::text[]))',
          [module.name, named.map(({ name }) => name), named.map(({ stream }) => stream)],
        );
      }
      if (settings.release) await forgetServices(session, settings.release);
      const streams = new Set([
        ...Object.values(events).map(({ stream }) => stream),
        ...modules.flatMap(({ consumers }) => consumers.flatMap(({ streams: of }) => of)),
      ]);
      await makeLanes(session, [...streams]);
    })
    .catch((thrown: unknown) => {
      if (thrown instanceof GatewayError && thrown.cause instanceof ConfigError) throw thrown.cause;
      throw thrown;
    });
}

/**
 * Consumers of services that this release does not have, and that nobody runs, read nothing any more: doors and cleaning do not wait for
 * them. Their positions stay, so that the release before goes on where it was; what is older than the log's window may be gone by then.
 */
async function forgetServices(session: Session, release: readonly string[]): Promise<void> {
  const { rows } = await session.query<{ consumer: string; stream: string }>(
    `DELETE FROM bus.consumers c WHERE NOT c.service = ANY($1::text[])
       AND NOT EXISTS (SELECT 1 FROM bus.owners o WHERE o.name = c.service AND o.until > now() - interval '${UNSEEN_S} s')
       AND NOT EXISTS (SELECT 1 FROM bus.replicas r WHERE r.name = c.service AND r.seen > now() - interval '${UNSEEN_S} s')
     RETURNING c.consumer, c.stream`,
    [release],
  );
  for (const { consumer, stream } of rows) log('warn', 'consumer_removed', { consumer, stream });
}

/** A statement that takes as long as it takes; elsewhere an answer that does not come ends the connection. */
const slow = (session: Session, text: string) => {
  const query: pg.QueryConfig & { query_timeout: number } = { text, query_timeout: STEP_MS };
  return session.query(query);
};

/** Carries a `ConfigError` out of a transaction. */
class ConfigErrorInTransaction extends GatewayError {
  constructor(problem: string) {
    super('gateway.bug', undefined, { cause: new ConfigError([problem]) });
  }
}

/** Sixteen lanes a stream, where they are not there yet. */
export async function makeLanes(session: Pick<Session, 'query'>, streams: readonly string[]): Promise<void> {
  for (const table of ['lanes', 'published'])
    await session.query(
      `INSERT INTO bus.${table} (stream, partition) SELECT s, p FROM unnest($1::text[]) s CROSS JOIN generate_series(0, ${PARTITIONS - 1}) p
       WHERE NOT EXISTS (SELECT 1 FROM bus.${table} t WHERE t.stream = s AND t.partition = p) ON CONFLICT DO NOTHING`,
      [streams],
    );
}

async function makeTable(session: Session, schema: string, table: Table): Promise<void> {
  const layout = layoutOf(table);
  const place = `${quoted(schema)}.${quoted(table.name)}`;
  const columns = layout.columns.map((name, at) => ({
    name,
    sql: `${quoted(name)} ${sqlType[layout.types[at]!]}${at < layout.keySize ? ' NOT NULL' : ''}`,
  }));
  const there = await session.query<{ column_name: string }>(
    'SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2',
    [schema, table.name],
  );
  if (there.rows.length === 0) {
    const key = layout.columns.slice(0, layout.keySize).map(quoted).join(', ');
    await session.query(
      `CREATE TABLE ${place} (${columns.map(({ sql }) => sql).join(', ')}, PRIMARY KEY (${key})) WITH (fillfactor = 80)`,
    );
  } else {
    const known = new Set(there.rows.map(({ column_name }) => column_name));
    for (const { name, sql } of columns)
      if (!known.has(name)) await slow(session, `ALTER TABLE ${place} ADD COLUMN IF NOT EXISTS ${sql}`);
  }
  // Looked up first: PostgreSQL locks the table against writers before it sees that there is nothing to do.
  const made = await session.query<{ indexname: string }>(
    'SELECT indexname FROM pg_indexes WHERE schemaname = $1 AND tablename = $2',
    [schema, table.name],
  );
  const indexed = new Set(made.rows.map(({ indexname }) => indexname));
  for (const [index, order] of layout.orders)
    if (index !== '' && !indexed.has(`${table.name}__${index}`))
      await slow(
        session,
        `CREATE INDEX IF NOT EXISTS ${quoted(`${table.name}__${index}`)} ON ${place} (${order
          .map((at) => `${quoted(layout.columns[at]!)}${at < layout.keySize ? '' : ' NULLS FIRST'}`)
          .join(', ')})`,
      );
}

/** Days since 1970 in UTC, by which the log is cut into partitions. */
export const dayOf = (ms: number): number => Math.floor(ms / 86_400_000);

/**
 * Makes the log's partitions of these days, where they are missing. Rows that came before them stay in the rest. Rejects
 * where somebody uses the log for longer than a moment, as a backup does: nobody waits for a day to be made.
 */
export async function makeDays(database: Database, days: readonly number[]): Promise<void> {
  for (const day of days) {
    const name = `outbox_${day}`;
    const there = await database.query(
      'SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2',
      ['bus', name],
    );
    if (there.length > 0) continue;
    await database.transaction(async (session) => {
      await session.query(`SET LOCAL lock_timeout = ${DAY_LOCK_MS}`);
      await session.query('SELECT pg_advisory_xact_lock($1)', [MIGRATING]);
      const strays = await session.query('SELECT 1 FROM bus.outbox_rest WHERE day = $1 LIMIT 1', [day]);
      if (strays.rows.length > 0) return;
      await session.query(
        `CREATE TABLE IF NOT EXISTS bus.${name} PARTITION OF bus.outbox FOR VALUES FROM (${day}) TO (${day + 1})`,
      );
    });
  }
}
