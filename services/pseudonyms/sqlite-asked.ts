import type { AskedRow, AskedStore } from './asked.ts';
import type { SqliteFile } from './sqlite.ts';

const TABLE = `CREATE TABLE IF NOT EXISTS asked_reveals (
  request_id TEXT PRIMARY KEY, school_oin TEXT NOT NULL, reason TEXT NOT NULL, attributes TEXT NOT NULL, tables TEXT NOT NULL,
  tokens TEXT NOT NULL, flow_id TEXT NOT NULL, learners INTEGER NOT NULL, state TEXT NOT NULL, asked_by TEXT NOT NULL,
  asked_ms INTEGER NOT NULL, decided_by TEXT NOT NULL, decided_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
  taken_ms INTEGER NOT NULL, shown INTEGER NOT NULL) WITHOUT ROWID`;
const ROW = `request_id AS requestId, school_oin AS school, reason, attributes, tables, tokens, flow_id AS flowId, learners, state,
  asked_by AS askedBy, asked_ms AS askedMs, decided_by AS decidedBy, decided_ms AS decidedMs, until_ms AS untilMs,
  taken_ms AS takenMs, shown`;

/** Requests in the file, in a table that is made when there is something to ask. */
export function sqliteAsked(rows: SqliteFile, together: <T>(work: () => T) => T): AskedStore {
  let made = false;
  const inTable = <T>(work: () => T): T => {
    const result = together(() => {
      if (!made) rows.write.make(TABLE);
      return work();
    });
    made = true;
    return result;
  };
  const changed = (sql: string, ...values: (string | number)[]): boolean =>
    inTable(() => rows.write.ask(`${sql} RETURNING request_id`, ...values).length === 1);
  return {
    add: async (row, sinceMs, most) =>
      inTable(() => {
        const [sum] = rows.write.ask<{ learners: number }>(
          'SELECT coalesce(sum(learners), 0) AS learners FROM asked_reveals WHERE asked_by = ? AND asked_ms > ?',
          row.askedBy,
          sinceMs,
        );
        if (sum!.learners + row.learners > most) return false;
        rows.write.ask(
          `INSERT INTO asked_reveals VALUES (${Array(16).fill('?').join(', ')})`,
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
        );
        return true;
      }),
    get: async (requestId) =>
      inTable(() => rows.ask<AskedRow>(`SELECT ${ROW} FROM asked_reveals WHERE request_id = ?`, requestId)[0]),
    list: async (school) =>
      inTable(() =>
        rows.ask<AskedRow>(
          `SELECT ${ROW} FROM asked_reveals WHERE ? IN ('', school_oin) ORDER BY asked_ms DESC, request_id DESC`,
          school,
        ),
      ),
    decide: async (requestId, by, approve, now, untilMs) =>
      changed(
        `UPDATE asked_reveals SET state = ?, decided_by = ?, decided_ms = ?, until_ms = ?, tokens = iif(?, tokens, '')
          WHERE request_id = ? AND state = 'asked' AND until_ms > ? AND asked_by <> ?`,
        approve ? 'approved' : 'refused',
        by,
        now,
        approve ? untilMs : 0,
        approve ? 1 : 0,
        requestId,
        now,
        by,
      ),
    take: async (requestId, by, now, shown) =>
      changed(
        `UPDATE asked_reveals SET state = 'taken', taken_ms = ?, until_ms = 0, tokens = '', shown = ?
          WHERE request_id = ? AND state = 'approved' AND until_ms > ? AND asked_by = ? AND decided_by <> ?`,
        now,
        shown,
        requestId,
        now,
        by,
        by,
      ),
    async sweep(now, beforeMs) {
      if (!made && rows.ask("SELECT 1 FROM sqlite_master WHERE name = 'asked_reveals'").length === 0) return;
      inTable(() => {
        rows.write.ask(
          "UPDATE asked_reveals SET state = 'expired', tokens = '', until_ms = 0 WHERE state IN ('asked', 'approved') AND until_ms <= ?",
          now,
        );
        rows.write.ask('DELETE FROM asked_reveals WHERE asked_ms < ?', beforeMs);
      });
    },
  };
}
