/** How far every consumer is, from the database: any process may ask. */
import type { AgeRow } from '../port.ts';
import type { Database } from './connection.ts';

/*
 * Each first record is looked up by itself (LIMIT): where it is joined, the planner, to whom today's log looked empty when it made
 * its plan, goes through all lanes for each.
 */
const AGES = `
SELECT c.consumer, c.stream, coalesce(sum(l.head - p.number) FILTER (WHERE l.head > p.number), 0)::bigint AS unread,
       min(o.time_ms) AS oldest,
       (SELECT count(*) FROM bus.bus_parked_keys k WHERE k.consumer = c.consumer AND k.stream = c.stream)::int AS parked,
       EXISTS (SELECT 1 FROM bus.troubles t WHERE t.consumer = c.consumer AND t.stream = c.stream AND t.kind = 'gap') AS gap,
       EXISTS (SELECT 1 FROM bus.troubles t WHERE t.consumer = c.consumer AND t.stream = c.stream AND t.kind = 'stopped') AS stopped
FROM bus.consumers c
JOIN bus.lanes l ON l.stream = c.stream
LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = c.stream AND q.partition = l.partition
CROSS JOIN LATERAL (SELECT coalesce(q.number, l.first - 1) AS number) p
LEFT JOIN LATERAL (SELECT time_ms FROM bus.outbox o WHERE o.stream = l.stream AND o.partition = l.partition AND o.number = p.number + 1 AND l.head > p.number LIMIT 1) o ON true
GROUP BY c.consumer, c.stream ORDER BY c.consumer, c.stream`;

export async function ages(database: Database, now: number): Promise<AgeRow[]> {
  const rows = await database.query<{
    consumer: string;
    stream: string;
    unread: number;
    oldest: number | null;
    parked: number;
    gap: boolean;
    stopped: boolean;
  }>(AGES);
  return rows.map(({ consumer, stream, unread, oldest, parked, gap, stopped }) => ({
    consumer,
    stream,
    unread,
    oldestUnreadMs: oldest === null ? 0 : Math.max(0, now - oldest),
    parkedKeys: parked,
    gap,
    stopped,
  }));
}

/** Age of the oldest event that is not on Kafka yet, and how many there are. */
export async function unpublished(database: Database, now: number): Promise<{ events: number; oldestMs: number }> {
  const [row] = await database.query<{ events: number; oldest: number | null }>(
    `SELECT coalesce(sum(l.head - p.number), 0)::bigint AS events, min(o.time_ms) AS oldest
     FROM bus.published p JOIN bus.lanes l ON l.stream = p.stream AND l.partition = p.partition
     LEFT JOIN LATERAL (SELECT time_ms FROM bus.outbox o WHERE o.stream = l.stream AND o.partition = l.partition AND o.number = p.number + 1 LIMIT 1) o ON true
     WHERE l.head > p.number`,
  );
  return { events: row?.events ?? 0, oldestMs: row?.oldest == null ? 0 : Math.max(0, now - row.oldest) };
}

/**
 * Events that some consumer has not taken, and the age of the oldest: what doors go by. Who stopped, in a lane or a stream,
 * does not count for the age, because waiting does not help it, and everybody's bulk would be slow for one that is ill; what
 * it has not taken counts, because it is kept.
 */
export async function backlog(database: Database, now: number): Promise<{ unread: number; oldestMs: number }> {
  const [row] = await database.query<{ unread: number; oldest: number | null }>(
    `SELECT coalesce(sum(l.head - p.number), 0)::bigint AS unread, min(o.time_ms) AS oldest
     FROM bus.lanes l
     CROSS JOIN LATERAL (
       SELECT min(coalesce(q.number, l.first - 1)) AS number, min(coalesce(q.number, l.first - 1)) FILTER (WHERE NOT EXISTS (
         SELECT 1 FROM bus.troubles t WHERE t.consumer = c.consumer AND t.stream = c.stream AND (t.kind = 'stopped' OR t.partition = l.partition))) AS going
       FROM bus.consumers c
       LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = c.stream AND q.partition = l.partition
       WHERE c.stream = l.stream) p
     LEFT JOIN LATERAL (SELECT time_ms FROM bus.outbox o WHERE o.stream = l.stream AND o.partition = l.partition AND o.number = p.going + 1 AND l.head > p.going LIMIT 1) o ON true
     WHERE l.head > p.number`,
  );
  return { unread: row?.unread ?? 0, oldestMs: row?.oldest == null ? 0 : Math.max(0, now - row.oldest) };
}
