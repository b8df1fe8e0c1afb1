/** Reads the log's own table: as much as was asked for, whatever is behind. */
import type { LaneTaken, LogRecord, Stretch } from '../port.ts';
import type { Database } from './connection.ts';

/** What a record takes besides its data, roughly. */
const AROUND = 400;
/** Records read at once; each lane gets its part of them. */
const RECORDS = 16_000;
const LEAST_OF_LANE = 20;

/**
 * Records of these lanes, lane by lane in the order given, each from its first on without leaving one out: about `bytes` of
 * all together, and at least one where there is any. Each lane has a like part of them, and at most `most` records. Data is
 * measured where it lies: what is not wanted does not cross. Throws `StoreFailure`.
 */
export async function readLog(
  database: Pick<Database, 'cells'>,
  lanes: readonly Stretch[],
  { most, bytes }: { most: number; bytes: number },
): Promise<LogRecord[]> {
  if (lanes.length === 0) return [];
  const rows = await database.cells(
    `SELECT stream, partition, number, id, key, type, flow, school, traceparent, time_ms, data FROM (
       SELECT o.*, sum(o.size) OVER (ORDER BY u.ord, o.number ROWS UNBOUNDED PRECEDING) - o.size AS before
       FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) WITH ORDINALITY u (s, p, n, h, ord)
       CROSS JOIN LATERAL (
         SELECT o.*, sum(o.size) OVER (ORDER BY o.number ROWS UNBOUNDED PRECEDING) - o.size AS before_in_lane
         FROM (SELECT *, octet_length(data) + ${AROUND} AS size FROM bus.outbox o
           WHERE o.stream = u.s AND o.partition = u.p AND o.number > u.n AND o.number <= u.h ORDER BY o.number LIMIT $5) o) o
       WHERE o.before_in_lane < $6) o
     WHERE o.before < $7`,
    [
      lanes.map(({ stream }) => stream),
      lanes.map(({ partition }) => partition),
      lanes.map(({ after }) => after),
      lanes.map(({ through }) => through),
      Math.min(most, Math.max(LEAST_OF_LANE, Math.ceil(RECORDS / lanes.length))),
      Math.ceil(bytes / lanes.length),
      bytes,
    ],
  );
  return rows.map(recordOfRow);
}

/** Of the columns above, in their order. */
const recordOfRow = (row: readonly unknown[]): LogRecord => ({
  stream: row[0] as string,
  partition: row[1] as number,
  number: row[2] as number,
  id: row[3] as Buffer,
  key: row[4] as string,
  type: row[5] as string,
  flowId: row[6] as string,
  school: row[7] as string,
  traceparent: row[8] as string,
  timeMs: row[9] as number,
  data: row[10] as Buffer,
});

/** How far a consumer is in each of its lanes. Throws `StoreFailure`. */
export async function lanesTaken(database: Pick<Database, 'cells'>, consumer: string): Promise<LaneTaken[]> {
  const rows = await database.cells(
    `SELECT l.stream, l.partition, l.first, coalesce(q.number, l.first - 1) FROM bus.consumers c
     JOIN bus.lanes l ON l.stream = c.stream
     LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = l.stream AND q.partition = l.partition
     WHERE c.consumer = $1 ORDER BY 1, 2`,
    [consumer],
  );
  return rows.map(([stream, partition, first, taken]) => ({
    stream: stream as string,
    partition: partition as number,
    first: Number(first),
    taken: Number(taken),
  }));
}
