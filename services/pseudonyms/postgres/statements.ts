/** Every statement on the vault's rows in PostgreSQL: what a group wants and what it wrote, as arrays, one statement a table. */
import type { LearnerRow, NumbersRow, SchoolKeyRow } from '../rows.ts';
import { bytesOf, textOf } from '../seal.ts';
import type { Connection, Statement } from './connection.ts';
import type { Changes, Loaded, Wanted } from './image.ts';

/** As in SQLite, but for the secret, which stands in a table that is cut into parts. */
const LEARNER = `
  l.id, l.token, l.kind, l.secret_version AS "secretVersion", l.forgotten_ms AS "forgottenMs",
  (SELECT s.wrapped FROM secrets s WHERE s.learner = l.id) AS wrapped,
  (SELECT n.mark FROM names n WHERE n.learner = l.id ORDER BY n.rank DESC LIMIT 1) AS mark,
  (SELECT b.content FROM births b WHERE b.learner = l.id) AS birth,
  (SELECT c.content FROM contact c WHERE c.learner = l.id) AS contact,
  EXISTS (SELECT 1 FROM numbers m WHERE m.learner = l.id AND m.eck_id_hash IS NOT NULL) AS "hasEckId",
  (SELECT f.at_ms FROM forgetting f WHERE f.learner = l.id) AS "waitsMs",
  (SELECT w.token FROM merged g JOIN learners w ON w.id = g.winner WHERE g.learner = l.id) AS "mergedInto",
  ARRAY(SELECT o.token FROM merged g JOIN learners o ON o.id = g.learner WHERE g.winner = l.id ORDER BY o.token) AS merged`;

const SELECT = {
  versions: 'SELECT id, version FROM schools WHERE id = ANY($1)',
  locked: 'SELECT id, version FROM schools WHERE id = ANY($1) ORDER BY id FOR UPDATE',
  schools: `SELECT id, oin, first_sector AS "firstSector", version,
    ARRAY(SELECT sector FROM school_sectors WHERE school = schools.id) AS sectors FROM schools WHERE oin = ANY($1)`,
  schoolKeys: `SELECT k.school, k.purpose, k.version, k.wrapped_by AS "wrappedBy", k.wrapped, k.made_ms AS "madeMs" FROM schools s JOIN school_keys k ON k.school = s.id
    WHERE s.oin = ANY($1) ORDER BY k.version`,
  hashes: `SELECT w.school, w.hash, ${LEARNER} FROM unnest($1::bigint[], $2::bytea[]) AS w(school, hash)
    JOIN lookups k ON k.school = w.school AND k.hash = w.hash JOIN learners l ON l.id = k.learner`,
  tokens: `SELECT l.school, ${LEARNER} FROM unnest($1::bigint[], $2::text[]) AS w(school, token)
    JOIN learners l ON l.token = w.token AND l.school = w.school`,
  numbers: `SELECT learner, ordinal, eck_id_hash AS "eckId", las_key_hash AS "lasKey", sealed
    FROM numbers WHERE learner = ANY($1) ORDER BY ordinal`,
  names: 'SELECT learner, mark, rank, touched_ms AS "touchedMs", sealed FROM names WHERE learner = ANY($1)',
  birth: 'SELECT learner, sealed FROM births WHERE learner = ANY($1)',
  contact: 'SELECT learner, sealed FROM contact WHERE learner = ANY($1)',
  texts: `SELECT t.school, t.token, t.key_version AS "keyVersion", t.touched_ms AS "touchedMs", t.sealed
    FROM unnest($1::bigint[], $2::text[]) AS w(school, token) JOIN texts t ON t.school = w.school AND t.token = w.token`,
  ids: "SELECT nextval('ids') AS id FROM generate_series(1, $1)",
} as const;

const select = (what: keyof typeof SELECT, ...values: unknown[]): Statement => ({
  name: `select ${what}`,
  text: SELECT[what],
  values,
});

/** School → version. */
export type Versions = Map<number, string>;
const versionsOf = (rows: readonly { id: number; version: number }[]): Versions =>
  new Map(rows.map(({ id, version }) => [id, String(version)]));

/** The versions of schools at this moment. */
export async function readVersions(connection: Connection, schools: readonly number[]): Promise<Versions> {
  const [rows] = await connection.send([select('versions', schools)]);
  return versionsOf(rows as { id: number; version: number }[]);
}

/** Begins a transaction in which nobody else writes anything of these schools. */
export async function holdSchools(connection: Connection, schools: readonly number[]): Promise<Versions> {
  const [, rows] = await connection.send([{ text: 'BEGIN' }, select('locked', schools)]);
  return versionsOf(rows as { id: number; version: number }[]);
}

interface StoredLearner
  extends Omit<LearnerRow, 'mark' | 'birth' | 'contact' | 'wrapped' | 'waitsMs' | 'mergedInto' | 'forgotten'> {
  school: number;
  wrapped: Uint8Array | null;
  forgottenMs: number | null;
  mark: Uint8Array | null;
  birth: Uint8Array | null;
  contact: Uint8Array | null;
  waitsMs: number | null;
  mergedInto: string | null;
}
const learnerOf = (row: StoredLearner): LearnerRow & { school: number } => ({
  school: row.school,
  id: row.id,
  token: row.token,
  kind: row.kind,
  secretVersion: row.secretVersion,
  wrapped: row.wrapped ?? undefined,
  mark: row.mark ? textOf(row.mark) : '',
  birth: row.birth ? textOf(row.birth) : '',
  contact: row.contact ? textOf(row.contact) : '',
  hasEckId: row.hasEckId,
  waitsMs: row.waitsMs ?? undefined,
  mergedInto: row.mergedInto ?? undefined,
  merged: row.merged,
  forgotten: row.forgottenMs !== null,
});

/**
 * All that is wanted and the versions of `schools`, in one way there and back, as of one moment. Within a transaction that
 * holds the schools (`held`) that moment is not needed.
 */
export async function load(
  connection: Connection,
  wanted: Wanted,
  ids: number,
  schools: readonly number[],
  held: boolean,
): Promise<{ loaded: Loaded; versions: Versions }> {
  const asked: [Statement, (rows: any[]) => void][] = [];
  const loaded: Loaded = {
    schools: [],
    byHash: [],
    byToken: [],
    numbers: [],
    names: [],
    birth: [],
    contact: [],
    texts: [],
    ids: [],
  };
  let versions: Versions = new Map();
  asked.push([select('versions', schools), (rows) => (versions = versionsOf(rows))]);
  if (wanted.schools.size > 0) {
    const oins = [...wanted.schools];
    const keys = new Map<number, SchoolKeyRow[]>();
    asked.push([
      select('schoolKeys', oins),
      (rows: (SchoolKeyRow & { school: number })[]) => {
        for (const { school, ...key } of rows) keys.set(school, [...(keys.get(school) ?? []), key]);
      },
    ]);
    asked.push([
      select('schools', oins),
      (rows) => {
        for (const { id, oin, firstSector, version, sectors } of rows) {
          versions.set(id, String(version));
          loaded.schools.push({
            id,
            oin,
            firstSector: firstSector ?? undefined,
            sectors,
            keys: keys.get(id) ?? [],
            version: String(version),
          });
        }
      },
    ]);
  }
  if (wanted.hashes.size > 0) {
    const all = [...wanted.hashes.values()];
    asked.push([
      select(
        'hashes',
        all.map(({ school }) => school),
        all.map(({ hash }) => bytesOf(hash)),
      ),
      (rows: (StoredLearner & { hash: Uint8Array })[]) => {
        for (const row of rows) loaded.byHash.push({ ...learnerOf(row), hash: textOf(row.hash) });
      },
    ]);
  }
  if (wanted.tokens.size > 0) {
    const all = [...wanted.tokens.values()];
    asked.push([
      select(
        'tokens',
        all.map(({ school }) => school),
        all.map(({ token }) => token),
      ),
      (rows: StoredLearner[]) => {
        for (const row of rows) loaded.byToken.push(learnerOf(row));
      },
    ]);
  }
  if (wanted.numbers.size > 0)
    asked.push([
      select('numbers', [...wanted.numbers.keys()]),
      (rows) => {
        for (const row of rows as (Pick<NumbersRow, 'ordinal' | 'sealed'> & {
          learner: number;
          eckId: Uint8Array | null;
          lasKey: Uint8Array | null;
        })[])
          loaded.numbers.push({
            ...row,
            eckId: row.eckId ? textOf(row.eckId) : undefined,
            lasKey: row.lasKey ? textOf(row.lasKey) : undefined,
          });
      },
    ]);
  if (wanted.names.size > 0)
    asked.push([
      select('names', [...wanted.names.keys()]),
      (rows) => {
        for (const row of rows) loaded.names.push({ ...row, mark: textOf(row.mark) });
      },
    ]);
  for (const part of ['birth', 'contact'] as const)
    if (wanted[part].size > 0) asked.push([select(part, [...wanted[part].keys()]), (rows) => (loaded[part] = rows)]);
  if (wanted.texts.size > 0) {
    const all = [...wanted.texts.values()];
    asked.push([
      select(
        'texts',
        all.map(({ school }) => school),
        all.map(({ token }) => token),
      ),
      (rows) => (loaded.texts = rows),
    ]);
  }
  if (ids > 0) asked.push([select('ids', ids), (rows) => (loaded.ids = rows.map(({ id }) => id))]);
  const statements = asked.map(([statement]) => statement);
  const around = held || statements.length === 1 ? 0 : 1;
  const answers = await connection.send(
    around === 1 ? [{ text: 'BEGIN ISOLATION LEVEL REPEATABLE READ' }, ...statements, { text: 'COMMIT' }] : statements,
  );
  for (const [i, [, take]] of asked.entries()) take(answers[i + around]!);
  return { loaded, versions };
}

type SqlType = 'bigint' | 'int' | 'text' | 'bytea';
/** Inserts rows given column by column. `replace` names the key, and what is found under it is replaced. */
function insert(
  table: string,
  columns: readonly (readonly [name: string, type: SqlType, values: readonly unknown[]])[],
  replace?: readonly string[],
): Statement[] {
  if (columns[0]![2].length === 0) return [];
  const names = columns.map(([name]) => name);
  const replaced = names.filter((name) => !replace?.includes(name)).map((name) => `${name} = excluded.${name}`);
  return [
    {
      name: `insert ${table}`,
      text: `INSERT INTO ${table} (${names.join(', ')})
        SELECT * FROM unnest(${columns.map(([, type], i) => `$${i + 1}::${type}[]`).join(', ')})
        ${replace ? `ON CONFLICT (${replace.join(', ')}) DO UPDATE SET ${replaced.join(', ')}` : ''}`,
      values: columns.map(([, , values]) => values),
    },
  ];
}

const bytesOrNull = (text: string | undefined): Buffer | null => (text === undefined ? null : bytesOf(text));

/** Notes the parts whose files still hold the bytes of what was deleted; `gone` has their `tableoid`. */
export const markUnwiped = (gone: string, nowMs: string): string =>
  `INSERT INTO unwiped (part, since_ms) SELECT DISTINCT tableoid::regclass::text, ${nowMs}::bigint FROM ${gone} ORDER BY 1
    ON CONFLICT (part) DO UPDATE SET marks = unwiped.marks + 1`;

const wipe = (table: string, which: string, values: unknown[]): Statement => ({
  name: `wipe ${table}`,
  text: `WITH gone AS (DELETE FROM ${table} ${which} RETURNING ${table}.tableoid) ${markUnwiped('gone', `$${values.length}`)}`,
  values,
});

function reseal(part: 'birth' | 'contact', sealed: ReadonlyMap<number, Uint8Array>): Statement[] {
  if (sealed.size === 0) return [];
  const table = part === 'birth' ? 'births' : 'contact';
  return [
    {
      name: `reseal ${table}`,
      text: `UPDATE ${table} SET sealed = w.sealed FROM unnest($1::bigint[], $2::bytea[]) AS w(learner, sealed)
        WHERE ${table}.learner = w.learner`,
      values: [[...sealed.keys()], [...sealed.values()]],
    },
  ];
}

/**
 * Saves what a group wrote and commits, in the transaction that holds its schools; each of them has `version` from then on.
 * One way there and back.
 */
export async function save(connection: Connection, changes: Changes, version: number, nowMs: number): Promise<void> {
  const { schools, firstSectors, sectors, learners, destroyed, droppedLookups, droppedTexts, namesDropped } = changes;
  const statements: Statement[] = [];
  if (droppedTexts.length > 0)
    statements.push(
      wipe(
        'texts',
        'USING unnest($1::bigint[], $2::text[]) AS w(school, token) WHERE texts.school = w.school AND texts.token = w.token',
        [droppedTexts.map(({ school }) => school), droppedTexts.map(({ token }) => token), nowMs],
      ),
    );
  if (droppedLookups.length > 0)
    statements.push(
      // First, for the same number may lead to somebody new in this group.
      wipe(
        'lookups',
        `USING unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS w(school, hash, learner)
          WHERE lookups.school = w.school AND lookups.hash = w.hash AND lookups.learner = w.learner`,
        [
          droppedLookups.map(({ school }) => school),
          droppedLookups.map(({ hash }) => bytesOf(hash)),
          droppedLookups.map(({ learner }) => learner),
          nowMs,
        ],
      ),
    );
  if (namesDropped.size > 0)
    statements.push(
      ...['names', 'births', 'contact'].map((table) =>
        wipe(table, 'WHERE learner = ANY($1)', [[...namesDropped], nowMs]),
      ),
    );
  if (destroyed.length > 0) {
    const gone = destroyed.map(({ learner }) => learner);
    statements.push(
      ...['secrets', 'numbers', 'names', 'births', 'contact'].map((table) =>
        wipe(table, 'WHERE learner = ANY($1)', [gone, nowMs]),
      ),
    );
  }
  statements.push(
    ...insert('schools', [
      ['id', 'bigint', schools.map(({ id }) => id)],
      ['oin', 'text', schools.map(({ oin }) => oin)],
      ['version', 'bigint', schools.map(() => version)],
    ]),
  );
  const { schoolKeys: keys, droppedSchoolKeys } = changes;
  if (droppedSchoolKeys.length > 0)
    statements.push(
      wipe(
        'school_keys',
        `USING unnest($1::bigint[], $2::text[], $3::int[]) AS w(school, purpose, version)
          WHERE school_keys.school = w.school AND school_keys.purpose = w.purpose AND school_keys.version = w.version`,
        [
          droppedSchoolKeys.map(({ school }) => school),
          droppedSchoolKeys.map(({ purpose }) => purpose),
          droppedSchoolKeys.map((one) => one.version),
          nowMs,
        ],
      ),
    );
  statements.push(
    ...insert(
      'school_keys',
      [
        ['school', 'bigint', keys.map(({ school }) => school)],
        ['purpose', 'text', keys.map(({ purpose }) => purpose)],
        ['version', 'int', keys.map((key) => key.version)],
        ['wrapped_by', 'text', keys.map(({ wrappedBy }) => wrappedBy)],
        ['wrapped', 'bytea', keys.map(({ wrapped }) => wrapped)],
        ['made_ms', 'bigint', keys.map(({ madeMs }) => madeMs)],
      ],
      ['school', 'purpose', 'version'],
    ),
    ...insert('school_sectors', [
      ['school', 'bigint', sectors.map(({ school }) => school)],
      ['sector', 'text', sectors.map(({ sector }) => sector)],
    ]),
    ...insert('learners', [
      ['id', 'bigint', learners.map(({ id }) => id)],
      ['token', 'text', learners.map(({ token }) => token)],
      ['school', 'bigint', learners.map(({ school }) => school)],
      ['kind', 'text', learners.map(({ kind }) => kind)],
      ['secret_version', 'int', learners.map(({ secretVersion }) => secretVersion)],
    ]),
    ...insert(
      'secrets',
      [
        ['learner', 'bigint', [...changes.secrets.keys()]],
        ['wrapped', 'bytea', [...changes.secrets.values()]],
      ],
      ['learner'],
    ),
  );
  const lookups = [...changes.lookups.values()];
  const numbers = [...changes.numbers.values()];
  const names = [...changes.names.values()];
  const births = [...changes.birth];
  const contact = [...changes.contact];
  const texts = [...changes.texts.values()];
  const waiting = [...changes.waiting].filter(([, atMs]) => atMs !== undefined);
  const kept = [...changes.waiting].filter(([, atMs]) => atMs === undefined).map(([learner]) => learner);
  statements.push(
    ...insert('lookups', [
      ['school', 'bigint', lookups.map(({ school }) => school)],
      ['hash', 'bytea', lookups.map(({ hash }) => bytesOf(hash))],
      ['learner', 'bigint', lookups.map(({ learner }) => learner)],
      ['key_version', 'int', lookups.map(({ keyVersion }) => keyVersion)],
    ]),
    ...insert(
      'numbers',
      [
        ['learner', 'bigint', numbers.map(({ learner }) => learner)],
        ['ordinal', 'int', numbers.map(({ ordinal }) => ordinal)],
        ['eck_id_hash', 'bytea', numbers.map(({ eckId }) => bytesOrNull(eckId))],
        ['las_key_hash', 'bytea', numbers.map(({ lasKey }) => bytesOrNull(lasKey))],
        ['sealed', 'bytea', numbers.map(({ sealed }) => sealed)],
      ],
      ['learner', 'ordinal'],
    ),
    ...(['birth', 'contact'] as const).flatMap((part) => reseal(part, changes.resealed[part])),
    ...insert(
      'names',
      [
        ['learner', 'bigint', names.map(({ learner }) => learner)],
        ['mark', 'bytea', names.map(({ mark }) => bytesOf(mark))],
        ['rank', 'int', names.map(({ rank }) => rank)],
        ['touched_ms', 'bigint', names.map(({ touchedMs }) => touchedMs)],
        ['sealed', 'bytea', names.map(({ sealed }) => sealed)],
      ],
      ['learner', 'mark'],
    ),
    ...insert(
      'births',
      [
        ['learner', 'bigint', births.map(([learner]) => learner)],
        ['content', 'bytea', births.map(([, { content }]) => bytesOf(content))],
        ['sealed', 'bytea', births.map(([, { sealed }]) => sealed)],
      ],
      ['learner'],
    ),
    ...insert(
      'contact',
      [
        ['learner', 'bigint', contact.map(([learner]) => learner)],
        ['content', 'bytea', contact.map(([, { content }]) => bytesOf(content))],
        ['touched_ms', 'bigint', contact.map(([, { touchedMs }]) => touchedMs)],
        ['sealed', 'bytea', contact.map(([, { sealed }]) => sealed)],
      ],
      ['learner'],
    ),
    ...insert(
      'texts',
      [
        ['school', 'bigint', texts.map(({ school }) => school)],
        ['token', 'text', texts.map(({ token }) => token)],
        ['key_version', 'int', texts.map(({ keyVersion }) => keyVersion)],
        ['touched_ms', 'bigint', texts.map(({ touchedMs }) => touchedMs)],
        ['sealed', 'bytea', texts.map(({ sealed }) => sealed)],
      ],
      ['school', 'token'],
    ),
    ...insert(
      'forgetting',
      [
        ['learner', 'bigint', waiting.map(([learner]) => learner)],
        ['at_ms', 'bigint', waiting.map(([, atMs]) => atMs)],
      ],
      ['learner'],
    ),
  );
  const merged = [...changes.merged];
  const apart = [...merged.filter(([, winner]) => winner === undefined), ...destroyed.map(({ learner }) => [learner])];
  if (apart.length > 0)
    statements.push({
      text: 'DELETE FROM merged WHERE learner = ANY($1)',
      values: [apart.map(([learner]) => learner)],
    });
  const together = merged.filter(([, winner]) => winner !== undefined);
  statements.push(
    ...insert(
      'merged',
      [
        ['learner', 'bigint', together.map(([learner]) => learner)],
        ['winner', 'bigint', together.map(([, winner]) => winner)],
      ],
      ['learner'],
    ),
  );
  const waitNoMore = [...kept, ...destroyed.map(({ learner }) => learner)];
  if (waitNoMore.length > 0)
    statements.push({ text: 'DELETE FROM forgetting WHERE learner = ANY($1)', values: [waitNoMore] });
  if (destroyed.length > 0)
    statements.push({
      text: `UPDATE learners SET forgotten_ms = w.at_ms FROM unnest($1::bigint[], $2::bigint[]) AS w(learner, at_ms)
        WHERE learners.id = w.learner`,
      values: [destroyed.map(({ learner }) => learner), destroyed.map((one) => one.nowMs)],
    });
  if (firstSectors.length > 0)
    statements.push({
      text: `UPDATE schools SET first_sector = w.sector FROM unnest($1::bigint[], $2::text[]) AS w(school, sector)
        WHERE schools.id = w.school`,
      values: [firstSectors.map(({ school }) => school), firstSectors.map(({ sector }) => sector)],
    });
  statements.push(
    {
      name: 'raise',
      text: 'UPDATE schools SET version = $1 WHERE id = ANY($2)',
      values: [version, [...changes.dirty]],
    },
    { text: 'COMMIT' },
  );
  await connection.send(statements);
}
