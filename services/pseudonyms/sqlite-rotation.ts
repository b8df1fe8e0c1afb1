import { emptied, type Rotation, rotations } from './keys.ts';
import type { RotationStore } from './rotation.ts';
import type { SqliteFile } from './sqlite.ts';

const listed = (purposes: readonly string[]): string => purposes.map((purpose) => `'${purpose}'`).join(', ');
/** Of this kind those of which the older versions go. */
const emptiedOf = (kind: Rotation): string =>
  listed(rotations[kind].filter((purpose) => (emptied as readonly string[]).includes(purpose)));

const newest = (purpose: string): string =>
  `(SELECT max(version) FROM school_keys WHERE school = s.id AND purpose = '${purpose}')`;
/** The version that a sealed value names stands in its second and third byte. */
const stale = (sealed: string, purpose: string): string =>
  `substr(${sealed}, 2, 2) <> (SELECT unhex(printf('%04x', max(version))) FROM school_keys WHERE school = s.id AND purpose = '${purpose}')`;

const LEFTOVERS = `SELECT
  (SELECT count(*) FROM lookups k WHERE k.school = s.id AND k.key_version <> ${newest('index')})
  + (SELECT count(*) FROM texts t WHERE t.school = s.id AND ${stale('t.sealed', 'texts')})
  + (SELECT count(*) FROM learners l WHERE l.school = s.id AND l.wrapped IS NOT NULL AND ${stale('l.wrapped', 'learners')})
  ${[
    ['numbers', 'numbers'],
    ['names', 'names'],
    ['births', 'names'],
    ['contact', 'contact'],
  ]
    .map(
      ([table, purpose]) =>
        `+ (SELECT count(*) FROM learners l JOIN ${table} r ON r.learner = l.id WHERE l.school = s.id AND ${stale('r.sealed', purpose!)})`,
    )
    .join(' ')} AS rows
  FROM schools s WHERE s.oin = ?`;

/** What renewing keys asks of the file. `run` and `together` are the vault's: a group of calls, and a transaction. */
export function sqliteRotation(
  rows: SqliteFile,
  run: RotationStore['run'],
  together: <T>(work: () => T) => T,
): RotationStore {
  return {
    run,
    meta: async () => rows.metas(),
    async putMeta(values) {
      together(() => {
        const { write } = rows;
        for (const [name, value] of Object.entries(values))
          if (value === undefined) write.dropMeta(name);
          else write.setMeta(name, value);
      });
    },
    async settle(rotating) {
      together(() => {
        if (rows.meta('rotating') === rotating) rows.write.dropMeta('rotating');
      });
    },
    async prepare() {
      together(() => rows.write.prepareRenewing());
    },
    async countSchools(wrapper) {
      const [found] = rows.ask<{ schools: number; otherwise: number }>(
        `SELECT (SELECT count(*) FROM schools) AS schools,
          (SELECT count(DISTINCT school) FROM school_keys WHERE wrapped_by <> ? AND wrapped_by NOT LIKE 'held:%') AS otherwise`,
        wrapper,
      );
      return found!;
    },
    async wrappedOtherwise(wrapper, limit) {
      const found = rows.ask<{ oin: string }>(
        `SELECT DISTINCT s.oin FROM school_keys k JOIN schools s ON s.id = k.school WHERE k.wrapped_by <> ?
          AND k.wrapped_by NOT LIKE 'held:%' LIMIT ?`,
        wrapper,
        limit,
      );
      return found.map(({ oin }) => oin);
    },
    async several(kind, limit) {
      const schools = `SELECT DISTINCT school FROM school_keys WHERE purpose IN (${emptiedOf(kind)})
        GROUP BY school, purpose HAVING count(*) > 1`;
      const [counted] = rows.ask<{ count: number }>(`SELECT count(*) AS count FROM (${schools})`);
      const found = rows.ask<{ oin: string }>(
        `SELECT oin FROM schools WHERE id IN (${schools}) ORDER BY id LIMIT ?`,
        limit,
      );
      return { count: counted!.count, oins: found.map(({ oin }) => oin) };
    },
    async madeBefore(kind, ms, except) {
      const [found] = rows.ask<{ count: number; oin: string | null }>(
        `SELECT count(*) AS count, min(iif(s.oin IN (SELECT value FROM json_each(?)), NULL, s.oin)) AS oin
          FROM schools s WHERE NOT EXISTS (
          SELECT 1 FROM school_keys k WHERE k.school = s.id AND k.purpose = ? AND k.made_ms >= ?)`,
        JSON.stringify(except),
        rotations[kind][0],
        ms,
      );
      return { count: found!.count, oin: found!.oin ?? undefined };
    },
    async renewedMs(kind) {
      const [found] = rows.ask<{ ms: number | null }>(
        'SELECT max(made_ms) AS ms FROM school_keys WHERE purpose = ? AND version > 1',
        rotations[kind][0],
      );
      return found!.ms ?? 0;
    },
    held: async () =>
      rows.ask<{ oin: string; name: string }>(
        `SELECT DISTINCT s.oin, k.wrapped_by AS name FROM school_keys k JOIN schools s ON s.id = k.school
          WHERE k.wrapped_by LIKE 'held:%' ORDER BY s.oin`,
      ),
    async learnersAfter(oin, id, limit) {
      return rows.ask<{ id: number; token: string }>(
        `SELECT id, token FROM learners WHERE school = (SELECT id FROM schools WHERE oin = ?) AND id > ?
          AND forgotten_ms IS NULL ORDER BY id LIMIT ?`,
        oin,
        id,
        limit,
      );
    },
    async textsAfter(oin, token, limit) {
      const found = rows.ask<{ token: string }>(
        `SELECT token FROM texts WHERE school = (SELECT id FROM schools WHERE oin = ?) AND token > ? ORDER BY token LIMIT ?`,
        oin,
        token,
        limit,
      );
      return found.map((row) => row.token);
    },
    leftovers: async (oin) => rows.ask<{ rows: number }>(LEFTOVERS, oin)[0]!.rows,
    async alone(work) {
      await work();
      return true;
    },
  };
}
