/** Removes what has had its time: whole days of the log, and references that are no longer remembered. */
import { log } from '#kernel';
import { CLEAN_CHUNK, LOG_WINDOW_MS } from '../retention.ts';
import { StoreFailure } from '../store.ts';
import { type Database, DatabaseError } from './connection.ts';
import { dayOf } from './schema.ts';

/** One process cleans at a time; the others leave it to that one. */
const CLEANING = 0x45_44_55_43;

/**
 * Drops days that lie wholly before the window and that Kafka and every consumer have passed. Answers how many records.
 * A day that cannot be locked at once is left for the next time: nobody waits for cleaning.
 */
export async function cleanLog(database: Database, now: number): Promise<number> {
  const days = await database.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'bus.outbox'::regclass AND c.relname ~ '^outbox_[0-9]+$' ORDER BY c.relname`,
  );
  let removed = 0;
  for (const { name } of days) {
    const day = Number(name.slice('outbox_'.length));
    if (day >= dayOf(now - LOG_WINDOW_MS)) continue;
    removed += await dropDay(database, name).catch((thrown: unknown) => {
      const cause = thrown instanceof StoreFailure ? thrown.cause : undefined;
      log('warn', 'day_not_dropped', { day, ...(cause instanceof DatabaseError ? { code: cause.code } : {}) });
      return 0;
    });
  }
  return removed + (await cleanRest(database, dayOf(now - LOG_WINDOW_MS)));
}

/** What was appended before its day was made, a chunk at a time. */
async function cleanRest(database: Database, before: number): Promise<number> {
  const removed = await database.query<{ count: number }>(
    `WITH gone AS (
       DELETE FROM bus.outbox_rest WHERE (stream, partition, number, day) IN (
         SELECT d.stream, d.partition, d.number, d.day FROM bus.published p
         CROSS JOIN LATERAL (
           SELECT min(coalesce(q.number, 0)) AS number FROM bus.consumers c
           LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = c.stream AND q.partition = p.partition
           WHERE c.stream = p.stream) t
         CROSS JOIN LATERAL (
           SELECT * FROM bus.outbox_rest d WHERE d.stream = p.stream AND d.partition = p.partition
             AND d.number <= least(p.number, t.number) ORDER BY d.number LIMIT ${CLEAN_CHUNK}) d
         WHERE d.day < $1 LIMIT ${CLEAN_CHUNK})
       RETURNING stream, partition, number)
     UPDATE bus.lanes l SET first = greatest(l.first, g.number + 1)
     FROM (SELECT stream, partition, max(number) AS number, count(*) AS count FROM gone GROUP BY stream, partition ORDER BY stream, partition) g
     WHERE l.stream = g.stream AND l.partition = g.partition RETURNING g.count`,
    [before],
  );
  return removed.reduce((sum, { count }) => sum + count, 0);
}

async function dropDay(database: Database, name: string): Promise<number> {
  return database.transaction(async (session) => {
    const alone = await session.query<{ mine: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS mine', [CLEANING]);
    if (!alone.rows[0]!.mine) return 0;
    // The newest and oldest number of each lane are found by the key, however many records there are.
    const { rows } = await session.query<{
      stream: string;
      partition: number;
      last: number;
      count: number;
      passed: boolean;
    }>(
      `SELECT d.stream, d.partition, d.last, d.count,
         d.last <= p.number AND NOT EXISTS (
           SELECT 1 FROM bus.consumers c
           LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = c.stream AND q.partition = d.partition
           WHERE c.stream = d.stream AND coalesce(q.number, 0) < d.last) AS passed
       FROM bus.published p CROSS JOIN LATERAL (
         SELECT p.stream, p.partition, n.number AS last, n.number - o.number + 1 AS count FROM
           (SELECT number FROM bus.${name} r WHERE r.stream = p.stream AND r.partition = p.partition ORDER BY number DESC LIMIT 1) n,
           (SELECT number FROM bus.${name} r WHERE r.stream = p.stream AND r.partition = p.partition ORDER BY number LIMIT 1) o) d`,
    );
    if (rows.some(({ passed }) => !passed)) return 0;
    // Lanes first, as everybody who appends does.
    await session.query("SET LOCAL lock_timeout = '200ms'");
    await session.query(
      `UPDATE bus.lanes l SET first = greatest(l.first, u.n + 1) FROM (SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[]) u (s, p, n) ORDER BY s, p) u
       WHERE l.stream = u.s AND l.partition = u.p`,
      [rows.map(({ stream }) => stream), rows.map(({ partition }) => partition), rows.map(({ last }) => last)],
    );
    // Of a day that has ended nothing is appended any more, so its records cannot have grown in between.
    await session.query(`DROP TABLE bus.${name}`);
    return rows.reduce((sum, { count }) => sum + count, 0);
  });
}

/** Removes references that are remembered no longer, a chunk at a time. Answers how many. */
export async function cleanReferences(database: Database, now: number): Promise<number> {
  const removed = await database.query(
    `DELETE FROM bus.references WHERE claim IN (SELECT claim FROM bus.references WHERE until_ms <= $1 ORDER BY until_ms LIMIT ${CLEAN_CHUNK} FOR UPDATE SKIP LOCKED) RETURNING 1`,
    [now],
  );
  return removed.length;
}
