import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { ConfigError } from '#kernel';

/** The form of the file. A vault of a newer form is refused, never guessed at. */
export const FORM = 1;

/**
 * Rows of the vault. `learners` is only ever appended to, so that SQLite never moves a wrapped secret to another page and
 * leaves a copy behind; what is deleted is overwritten (`secure_delete`). A row of `numbers` is what one message linked:
 * an ECK iD, a key, or both, with the hashes under which they stand in `lookups`.
 */
const SCHEMA = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE schools (id INTEGER PRIMARY KEY, oin TEXT NOT NULL UNIQUE, first_sector TEXT);
CREATE TABLE school_sectors (school INTEGER NOT NULL, sector TEXT NOT NULL, PRIMARY KEY (school, sector)) WITHOUT ROWID;
CREATE TABLE school_keys (
  school INTEGER NOT NULL, purpose TEXT NOT NULL, version INTEGER NOT NULL,
  wrapped_by TEXT NOT NULL, wrapped BLOB NOT NULL, made_ms INTEGER NOT NULL,
  PRIMARY KEY (school, purpose, version)) WITHOUT ROWID;
CREATE TABLE learners (
  id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE, school INTEGER NOT NULL, kind TEXT NOT NULL,
  secret_version INTEGER NOT NULL, wrapped BLOB, forgotten_ms INTEGER);
CREATE TABLE lookups (
  school INTEGER NOT NULL, hash BLOB NOT NULL, learner INTEGER NOT NULL, key_version INTEGER NOT NULL,
  PRIMARY KEY (school, hash)) WITHOUT ROWID;
CREATE TABLE numbers (
  learner INTEGER NOT NULL, ordinal INTEGER NOT NULL, eck_id_hash BLOB, las_key_hash BLOB, sealed BLOB NOT NULL,
  PRIMARY KEY (learner, ordinal)) WITHOUT ROWID;
CREATE TABLE names (
  learner INTEGER NOT NULL, mark BLOB NOT NULL, rank INTEGER NOT NULL, touched_ms INTEGER NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (learner, mark)) WITHOUT ROWID;
CREATE TABLE births (learner INTEGER PRIMARY KEY, content BLOB NOT NULL, sealed BLOB NOT NULL);
CREATE TABLE contact (learner INTEGER PRIMARY KEY, content BLOB NOT NULL, touched_ms INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE TABLE texts (
  school INTEGER NOT NULL, token TEXT NOT NULL, key_version INTEGER NOT NULL, touched_ms INTEGER NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (school, token)) WITHOUT ROWID;
CREATE TABLE forgetting (learner INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
`;

const LEARNER = `
  SELECT l.id, l.token, l.kind, l.secret_version AS secretVersion, l.wrapped,
    (SELECT n.mark FROM names n WHERE n.learner = l.id ORDER BY n.rank DESC LIMIT 1) AS mark,
    (SELECT b.content FROM births b WHERE b.learner = l.id) AS birth,
    (SELECT c.content FROM contact c WHERE c.learner = l.id) AS contact,
    EXISTS (SELECT 1 FROM numbers m WHERE m.learner = l.id AND m.eck_id_hash IS NOT NULL) AS hasEckId
  FROM learners l`;

const STATEMENTS = {
  getMeta: 'SELECT value FROM meta WHERE name = ?',
  putMeta: 'INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  school: 'SELECT id, first_sector AS firstSector FROM schools WHERE oin = ?',
  schoolOfToken:
    'SELECT l.id, l.forgotten_ms AS forgottenMs, s.oin FROM learners l JOIN schools s ON s.id = l.school WHERE l.token = ?',
  addSchool: 'INSERT INTO schools (oin) VALUES (?)',
  nameSector: 'UPDATE schools SET first_sector = ? WHERE id = ?',
  sectors: 'SELECT sector FROM school_sectors WHERE school = ?',
  addSector: 'INSERT INTO school_sectors VALUES (?, ?) ON CONFLICT DO NOTHING',
  schoolKeys:
    'SELECT purpose, version, wrapped_by AS wrappedBy, wrapped FROM school_keys WHERE school = ? ORDER BY version',
  addSchoolKey: 'INSERT INTO school_keys VALUES (?, ?, ?, ?, ?, ?)',
  addLearner: 'INSERT INTO learners (token, school, kind, secret_version, wrapped) VALUES (?, ?, ?, ?, ?)',
  learnerOfHash: 'SELECT learner FROM lookups WHERE school = ? AND hash = ?',
  learnerById: `${LEARNER} WHERE l.id = ?`,
  learnerByToken: `${LEARNER} WHERE l.token = ? AND l.school = ? AND l.forgotten_ms IS NULL`,
  tombstone: 'SELECT id FROM learners WHERE token = ? AND school = ? AND forgotten_ms IS NOT NULL',
  addLookup: 'INSERT INTO lookups VALUES (?, ?, ?, ?)',
  hashesOf: 'SELECT eck_id_hash AS eckId, las_key_hash AS lasKey FROM numbers WHERE learner = ?',
  addNumbers: 'INSERT INTO numbers VALUES (?, ?, ?, ?, ?)',
  countNumbers: 'SELECT count(*) AS n FROM numbers WHERE learner = ?',
  numbers: 'SELECT ordinal, sealed FROM numbers WHERE learner = ? ORDER BY ordinal DESC',
  nextRank: 'SELECT coalesce(max(rank), 0) + 1 AS rank FROM names WHERE learner = ?',
  addName: 'INSERT INTO names VALUES (?, ?, ?, ?, ?)',
  raiseName: 'UPDATE names SET rank = ?, touched_ms = ? WHERE learner = ? AND mark = ?',
  touchName: 'UPDATE names SET touched_ms = ? WHERE learner = ? AND mark = ?',
  name: 'SELECT sealed, touched_ms AS touchedMs FROM names WHERE learner = ? AND mark = ?',
  sweepNames: `DELETE FROM names WHERE touched_ms < ? AND rank < (SELECT max(o.rank) FROM names o WHERE o.learner = names.learner)`,
  birth: 'SELECT sealed FROM births WHERE learner = ?',
  putBirth:
    'INSERT INTO births VALUES (?, ?, ?) ON CONFLICT (learner) DO UPDATE SET content = excluded.content, sealed = excluded.sealed',
  contact: 'SELECT sealed FROM contact WHERE learner = ?',
  putContact:
    'INSERT INTO contact VALUES (?, ?, ?, ?) ON CONFLICT (learner) DO UPDATE SET content = excluded.content, touched_ms = excluded.touched_ms, sealed = excluded.sealed',
  text: 'SELECT sealed, touched_ms AS touchedMs FROM texts WHERE school = ? AND token = ?',
  addText: 'INSERT INTO texts VALUES (?, ?, ?, ?, ?)',
  touchText: 'UPDATE texts SET touched_ms = ? WHERE school = ? AND token = ?',
  allWaiting:
    'SELECT f.learner, f.at_ms AS atMs, l.token, s.oin FROM forgetting f JOIN learners l ON l.id = f.learner JOIN schools s ON s.id = l.school',
  putWaiting: 'INSERT INTO forgetting VALUES (?, ?) ON CONFLICT (learner) DO UPDATE SET at_ms = excluded.at_ms',
  dropWaiting: 'DELETE FROM forgetting WHERE learner = ?',
  dropLookup: 'DELETE FROM lookups WHERE school = ? AND hash = ?',
  dropNumbers: 'DELETE FROM numbers WHERE learner = ?',
  dropNames: 'DELETE FROM names WHERE learner = ?',
  dropBirth: 'DELETE FROM births WHERE learner = ?',
  dropContact: 'DELETE FROM contact WHERE learner = ?',
  entomb: 'UPDATE learners SET wrapped = NULL, forgotten_ms = ? WHERE id = ?',
} as const;

export type Statements = { readonly [K in keyof typeof STATEMENTS]: StatementSync };

export interface Store {
  readonly run: Statements;
  /** True when the file was empty and has now its tables, in a transaction that is still open. */
  readonly fresh: boolean;
  begin(): void;
  commit(): void;
  rollback(): void;
  /** Brings everything into the database file and cuts the write-ahead log to nothing. */
  checkpoint(): void;
  /** Writes the file anew, so that no page keeps what was moved. */
  vacuum(): void;
  /** Size of the database file. */
  bytes(): number;
  close(): void;
}

/** Opens or makes the file, for this process alone. Throws `ConfigError` in words for the operator. */
export function openStore(file: string): Store {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Made here, so that it is never readable by others, not even for a moment; SQLite gives its log the same mode.
    closeSync(openSync(file, 'a', 0o600));
  } catch (error) {
    throw new ConfigError([`${file} cannot be opened (${(error as NodeJS.ErrnoException).code})`]);
  }
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { timeout: 2000 });
    // One process only: two would not see each other's caches. It also saves the shared-memory file.
    db.exec('PRAGMA locking_mode = EXCLUSIVE');
    db.exec('PRAGMA journal_mode = WAL');
    db.exec(
      'PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -32000',
    );
    db.exec('BEGIN IMMEDIATE');
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all() as { name: string }[];
    const fresh = tables.length === 0;
    if (fresh) db.exec(SCHEMA);
    else if (!tables.some(({ name }) => name === 'meta')) throw new ConfigError([`${file} is no vault`]);
    else {
      const form = Number(db.prepare("SELECT value FROM meta WHERE name = 'form'").get()?.['value']);
      if (!(form <= FORM))
        throw new ConfigError([`${file} was made by a newer release (form ${form}; this release knows ${FORM})`]);
      db.exec('COMMIT');
    }
    return storeOn(db, file, fresh);
  } catch (error) {
    db?.close();
    if (error instanceof ConfigError) throw error;
    const words = /locked|busy/i.test(String(error))
      ? 'is in use by another process: is a gateway running on this data folder already?'
      : /not a database|malformed/i.test(String(error))
        ? 'is damaged or no vault'
        : undefined;
    if (words) throw new ConfigError([`${file} ${words}`]);
    throw error;
  }
}

function storeOn(db: DatabaseSync, file: string, fresh: boolean): Store {
  const run = Object.fromEntries(
    Object.entries(STATEMENTS).map(([name, sql]) => [name, db.prepare(sql)]),
  ) as Statements;
  return {
    run,
    fresh,
    begin: () => db.exec('BEGIN IMMEDIATE'),
    commit: () => db.exec('COMMIT'),
    rollback: () => {
      if (db.isTransaction) db.exec('ROLLBACK');
    },
    checkpoint: () => db.exec('PRAGMA wal_checkpoint(TRUNCATE)'),
    vacuum: () => db.exec('VACUUM'),
    bytes: () => statSync(file).size,
    close: () => db.close(),
  };
}
