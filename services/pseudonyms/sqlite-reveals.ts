import type { RevealHour, RevealStore } from './reveals.ts';
import type { SqliteFile } from './sqlite.ts';

const TABLE = `CREATE TABLE IF NOT EXISTS reveal_hours (
  hour_ms INTEGER NOT NULL, party_oin TEXT NOT NULL, learners INTEGER NOT NULL, PRIMARY KEY (hour_ms, party_oin)) WITHOUT ROWID`;

/** Counts of reveals in the file, in a table that is made when there is something to count. */
export function sqliteReveals(rows: SqliteFile, together: <T>(work: () => T) => T): RevealStore {
  let made = false;
  const open = (): void => {
    rows.write.make(TABLE);
    made = true;
  };
  return {
    add: async (hours) =>
      together(() => {
        open();
        return hours.flatMap(({ hourMs, partyOin, learners }) =>
          rows.ask<RevealHour>(
            `INSERT INTO reveal_hours VALUES (?, ?, ?) ON CONFLICT (hour_ms, party_oin)
              DO UPDATE SET learners = learners + excluded.learners
              RETURNING hour_ms AS hourMs, party_oin AS partyOin, learners`,
            hourMs,
            partyOin,
            learners,
          ),
        );
      }),
    async since(hourMs) {
      if (!made) together(open);
      return rows.ask<RevealHour>(
        'SELECT hour_ms AS hourMs, party_oin AS partyOin, learners FROM reveal_hours WHERE hour_ms >= ? ORDER BY hour_ms, party_oin',
        hourMs,
      );
    },
    async sweep(hourMs) {
      if (!made) return;
      together(() => void rows.write.ask('DELETE FROM reveal_hours WHERE hour_ms < ?', hourMs));
    },
  };
}
