import type { AskedRow, AskedStore } from '../asked.ts';
import type { Statement } from './connection.ts';

const ROW = `request_id AS "requestId", school_oin AS school, reason, attributes, tables, tokens, flow_id AS "flowId", learners, state,
  asked_by AS "askedBy", asked_ms AS "askedMs", decided_by AS "decidedBy", decided_ms AS "decidedMs", until_ms AS "untilMs",
  taken_ms AS "takenMs", shown`;

/** Requests in the database, for all replicas. A statement that changes a row waits for another on it, and then looks again. */
export function postgresAsked(send: (...statements: Statement[]) => Promise<any[][]>): AskedStore {
  const rows = async <T>(text: string, ...values: unknown[]): Promise<T[]> => (await send({ text, values }))[0] as T[];
  const changed = async (text: string, ...values: unknown[]): Promise<boolean> =>
    (await rows(`${text} RETURNING request_id`, ...values)).length === 1;
  return {
    async add(row, sinceMs, most) {
      // Two requests of one person, at two replicas, are added up one after the other.
      const [, , added] = await send(
        { text: 'BEGIN' },
        { text: 'SELECT pg_advisory_xact_lock(hashtext($1))', values: [`asked ${row.askedBy}`] },
        {
          text: `INSERT INTO asked_reveals SELECT $1, $2, $3, $4, $5, $6, $7, $8::int, $9, $10, $11::bigint, $12, $13::bigint, $14::bigint,
              $15::bigint, $16::int
            WHERE (SELECT coalesce(sum(learners), 0) FROM asked_reveals WHERE asked_by = $10 AND asked_ms > $17) + $8::int <= $18
            RETURNING request_id`,
          values: [
            row.requestId,
            row.school,
            row.reason,
            row.attributes,
            row.tables,
            row.tokens,
            row.flowId,
            row.learners,
            row.state,
            row.askedBy,
            row.askedMs,
            row.decidedBy,
            row.decidedMs,
            row.untilMs,
            row.takenMs,
            row.shown,
            sinceMs,
            most,
          ],
        },
        { text: 'COMMIT' },
      );
      return added!.length === 1;
    },
    get: async (requestId) =>
      (await rows<AskedRow>(`SELECT ${ROW} FROM asked_reveals WHERE request_id = $1`, requestId))[0],
    list: (school) =>
      rows(
        `SELECT ${ROW} FROM asked_reveals WHERE $1 IN ('', school_oin) ORDER BY asked_ms DESC, request_id DESC`,
        school,
      ),
    decide: (requestId, by, approve, now, untilMs) =>
      changed(
        `UPDATE asked_reveals SET state = $1, decided_by = $2, decided_ms = $3, until_ms = $4,
            tokens = CASE WHEN $5 THEN tokens ELSE '' END
          WHERE request_id = $6 AND state = 'asked' AND until_ms > $3 AND asked_by <> $2`,
        approve ? 'approved' : 'refused',
        by,
        now,
        approve ? untilMs : 0,
        approve,
        requestId,
      ),
    take: (requestId, by, now, shown) =>
      changed(
        `UPDATE asked_reveals SET state = 'taken', taken_ms = $1, until_ms = 0, tokens = '', shown = $2
          WHERE request_id = $3 AND state = 'approved' AND until_ms > $1 AND asked_by = $4 AND decided_by <> $4`,
        now,
        shown,
        requestId,
        by,
      ),
    async sweep(now, beforeMs) {
      await send(
        {
          text: "UPDATE asked_reveals SET state = 'expired', tokens = '', until_ms = 0 WHERE state IN ('asked', 'approved') AND until_ms <= $1",
          values: [now],
        },
        { text: 'DELETE FROM asked_reveals WHERE asked_ms < $1', values: [beforeMs] },
      );
    },
  };
}
