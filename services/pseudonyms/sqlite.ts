import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { backup, DatabaseSync, type StatementSync } from 'node:sqlite';
import { ConfigError, makeFolders } from '#kernel';
import type {
  Kind,
  LearnerRow,
  NamesRow,
  NumbersRow,
  Part,
  Rows,
  SchoolKeyRow,
  SchoolRow,
  TextRow,
  Writes,
} from './rows.ts';
import { bytesOf, textOf } from './seal.ts';

/** The form of a file that is made. A vault of a newer form than we know is refused, never guessed at. */
export const FORM = 1;
/** The form of a file whose keys were ever renewed: a release that knows nothing of that would misread it. */
const RENEWED_FORM = 2;
/** Pages copied in one go by a backup: about a millisecond. */
const BACKUP_PAGES = 256;

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

/** Of before, a file lacks it. */
const MERGED = `
CREATE TABLE IF NOT EXISTS merged (learner INTEGER PRIMARY KEY, winner INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS merged_of_winner ON merged (winner);
`;

const LEARNER = `
  l.id, l.token, l.kind, l.secret_version AS secretVersion, l.wrapped, l.forgotten_ms AS forgottenMs,
    (SELECT n.mark FROM names n WHERE n.learner = l.id ORDER BY n.rank DESC LIMIT 1) AS mark,
    (SELECT b.content FROM births b WHERE b.learner = l.id) AS birth,
    (SELECT c.content FROM contact c WHERE c.learner = l.id) AS contact,
    EXISTS (SELECT 1 FROM numbers m WHERE m.learner = l.id AND m.eck_id_hash IS NOT NULL) AS hasEckId,
    (SELECT f.at_ms FROM forgetting f WHERE f.learner = l.id) AS waitsMs,
    (SELECT w.token FROM merged g JOIN learners w ON w.id = g.winner WHERE g.learner = l.id) AS mergedInto,
    (SELECT group_concat(o.token, ' ') FROM merged g JOIN learners o ON o.id = g.learner WHERE g.winner = l.id) AS merged
  FROM learners l`;

const STATEMENTS = {
  metas: 'SELECT name, value FROM meta',
  dropMeta: 'DELETE FROM meta WHERE name = ?',
  getMeta: 'SELECT value FROM meta WHERE name = ?',
  putMeta: 'INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  school: 'SELECT id, first_sector AS firstSector FROM schools WHERE oin = ?',
  schoolOfToken: 'SELECT s.oin FROM learners l JOIN schools s ON s.id = l.school WHERE l.token = ?',
  addSchool: 'INSERT INTO schools (oin) VALUES (?)',
  nameSector: 'UPDATE schools SET first_sector = ? WHERE id = ?',
  sectors: 'SELECT sector FROM school_sectors WHERE school = ?',
  addSector: 'INSERT INTO school_sectors VALUES (?, ?) ON CONFLICT DO NOTHING',
  schoolKeys: `SELECT purpose, version, wrapped_by AS wrappedBy, wrapped, made_ms AS madeMs
    FROM school_keys WHERE school = ? ORDER BY version`,
  putSchoolKey: `INSERT INTO school_keys VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (school, purpose, version)
    DO UPDATE SET wrapped_by = excluded.wrapped_by, wrapped = excluded.wrapped`,
  dropSchoolKey: 'DELETE FROM school_keys WHERE school = ? AND purpose = ? AND version = ?',
  addLearner: 'INSERT INTO learners (token, school, kind, secret_version, wrapped) VALUES (?, ?, ?, ?, ?)',
  learnerOfHash: 'SELECT learner FROM lookups WHERE school = ? AND hash = ?',
  learnerById: `SELECT ${LEARNER} WHERE l.id = ?`,
  learnerByToken: `SELECT ${LEARNER} WHERE l.token = ? AND l.school = ?`,
  addLookup: 'INSERT INTO lookups VALUES (?, ?, ?, ?)',
  putSecret: 'UPDATE learners SET wrapped = ? WHERE id = ? AND forgotten_ms IS NULL',
  putNumbers: `INSERT INTO numbers VALUES (?, ?, ?, ?, ?) ON CONFLICT (learner, ordinal)
    DO UPDATE SET eck_id_hash = excluded.eck_id_hash, las_key_hash = excluded.las_key_hash, sealed = excluded.sealed`,
  numbers:
    'SELECT ordinal, eck_id_hash AS eckId, las_key_hash AS lasKey, sealed FROM numbers WHERE learner = ? ORDER BY ordinal',
  names: 'SELECT mark, rank, touched_ms AS touchedMs, sealed FROM names WHERE learner = ?',
  putName: `INSERT INTO names VALUES (?, ?, ?, ?, ?) ON CONFLICT (learner, mark)
    DO UPDATE SET rank = excluded.rank, touched_ms = excluded.touched_ms, sealed = excluded.sealed`,
  touchName: 'UPDATE names SET touched_ms = ? WHERE learner = ? AND mark = ?',
  sweepNames: `DELETE FROM names WHERE touched_ms < ? AND rank < (SELECT max(o.rank) FROM names o WHERE o.learner = names.learner)`,
  birth: 'SELECT sealed FROM births WHERE learner = ?',
  putBirth:
    'INSERT INTO births VALUES (?, ?, ?) ON CONFLICT (learner) DO UPDATE SET content = excluded.content, sealed = excluded.sealed',
  resealBirth: 'UPDATE births SET sealed = ? WHERE learner = ?',
  resealContact: 'UPDATE contact SET sealed = ? WHERE learner = ?',
  contact: 'SELECT sealed FROM contact WHERE learner = ?',
  putContact:
    'INSERT INTO contact VALUES (?, ?, ?, ?) ON CONFLICT (learner) DO UPDATE SET content = excluded.content, touched_ms = excluded.touched_ms, sealed = excluded.sealed',
  text: 'SELECT token, key_version AS keyVersion, touched_ms AS touchedMs, sealed FROM texts WHERE school = ? AND token = ?',
  putText: `INSERT INTO texts VALUES (?, ?, ?, ?, ?) ON CONFLICT (school, token)
    DO UPDATE SET key_version = excluded.key_version, touched_ms = excluded.touched_ms, sealed = excluded.sealed`,
  due: 'SELECT l.token, s.oin FROM forgetting f JOIN learners l ON l.id = f.learner JOIN schools s ON s.id = l.school WHERE f.at_ms <= ?',
  putWaiting: 'INSERT INTO forgetting VALUES (?, ?) ON CONFLICT (learner) DO UPDATE SET at_ms = excluded.at_ms',
  dropWaiting: 'DELETE FROM forgetting WHERE learner = ?',
  dropText: 'DELETE FROM texts WHERE school = ? AND token = ?',
  putMerged: 'INSERT INTO merged VALUES (?, ?) ON CONFLICT (learner) DO UPDATE SET winner = excluded.winner',
  dropMerged: 'DELETE FROM merged WHERE learner = ?',
  dropLookup: 'DELETE FROM lookups WHERE school = ? AND hash = ?',
  dropNumbers: 'DELETE FROM numbers WHERE learner = ?',
  dropNames: 'DELETE FROM names WHERE learner = ?',
  dropBirth: 'DELETE FROM births WHERE learner = ?',
  dropContact: 'DELETE FROM contact WHERE learner = ?',
  entomb: 'UPDATE learners SET wrapped = NULL, forgotten_ms = ? WHERE id = ?',
} as const;

type Statements = { readonly [K in keyof typeof STATEMENTS]: StatementSync };

interface StoredLearner {
  id: number;
  token: string;
  kind: Kind;
  secretVersion: number;
  wrapped: Uint8Array | null;
  forgottenMs: number | null;
  mark: Uint8Array | null;
  birth: Uint8Array | null;
  contact: Uint8Array | null;
  hasEckId: number;
  waitsMs: number | null;
  mergedInto: string | null;
  merged: string | null;
}

const textOrEmpty = (bytes: Uint8Array | null): string => (bytes ? textOf(bytes) : '');
const bytesOrNull = (text: string | undefined): Buffer | null => (text === undefined ? null : bytesOf(text));
const textOrUndefined = (bytes: Uint8Array | null): string | undefined => (bytes ? textOf(bytes) : undefined);

const learnerOf = (row: StoredLearner): LearnerRow => ({
  id: row.id,
  token: row.token,
  kind: row.kind,
  secretVersion: row.secretVersion,
  wrapped: row.wrapped ?? undefined,
  mark: textOrEmpty(row.mark),
  birth: textOrEmpty(row.birth),
  contact: textOrEmpty(row.contact),
  hasEckId: row.hasEckId === 1,
  waitsMs: row.waitsMs ?? undefined,
  mergedInto: row.mergedInto ?? undefined,
  merged: row.merged?.split(' ').sort() ?? [],
  forgotten: row.forgottenMs !== null,
});

/** The vault's file: its rows, and what only a file needs. */
export class SqliteFile implements Rows, Writes {
  /** True when the file was empty and has now its tables, in a transaction that is still open. */
  readonly fresh: boolean;
  readonly missing = false;
  readonly #db: DatabaseSync;
  readonly #file: string;
  readonly #run: Statements;
  #writing: boolean;
  #unwiped = false;

  constructor(db: DatabaseSync, file: string, fresh: boolean) {
    this.#db = db;
    this.#file = file;
    this.fresh = fresh;
    this.#writing = fresh;
    this.#run = Object.fromEntries(
      Object.entries(STATEMENTS).map(([name, sql]) => [name, db.prepare(sql)]),
    ) as Statements;
  }

  /** Opens the transaction of the group that is being answered. */
  get write(): this {
    if (!this.#writing) {
      this.#db.exec('BEGIN IMMEDIATE');
      this.#writing = true;
    }
    return this;
  }

  get writing(): boolean {
    return this.#writing;
  }

  /** What was destroyed leaves the write-ahead log too before this returns. */
  commit(): void {
    if (this.#writing) this.#db.exec('COMMIT');
    this.#writing = false;
    if (!this.#unwiped) return;
    this.checkpoint();
    this.#unwiped = false;
  }

  rollback(): void {
    this.#writing = false;
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
  }

  school(oin: string): SchoolRow | undefined {
    const row = this.#run.school.get(oin) as { id: number; firstSector: string | null } | undefined;
    return (
      row && {
        id: row.id,
        firstSector: row.firstSector ?? undefined,
        sectors: (this.#run.sectors.all(row.id) as { sector: string }[]).map(({ sector }) => sector),
        keys: this.#run.schoolKeys.all(row.id) as unknown as SchoolKeyRow[],
        version: '',
      }
    );
  }

  schoolOfToken(token: string): string | undefined {
    return (this.#run.schoolOfToken.get(token) as { oin: string } | undefined)?.oin;
  }

  learnerByHash(school: number, hash: string): LearnerRow | undefined {
    const hit = this.#run.learnerOfHash.get(school, bytesOf(hash)) as { learner: number } | undefined;
    return hit && learnerOf(this.#run.learnerById.get(hit.learner) as unknown as StoredLearner);
  }

  learnerByToken(school: number, token: string): LearnerRow | undefined {
    const row = this.#run.learnerByToken.get(token, school) as unknown as StoredLearner | undefined;
    return row && learnerOf(row);
  }

  numbers(_school: number, learner: number): NumbersRow[] {
    const rows = this.#run.numbers.all(learner) as {
      ordinal: number;
      eckId: Uint8Array | null;
      lasKey: Uint8Array | null;
      sealed: Uint8Array;
    }[];
    return rows.map(({ ordinal, eckId, lasKey, sealed }) => ({
      ordinal,
      eckId: textOrUndefined(eckId),
      lasKey: textOrUndefined(lasKey),
      sealed,
    }));
  }

  names(_school: number, learner: number): NamesRow[] {
    const rows = this.#run.names.all(learner) as unknown as (Omit<NamesRow, 'mark'> & { mark: Uint8Array })[];
    return rows.map((row) => ({ ...row, mark: textOf(row.mark) }));
  }

  particulars(part: Part, _school: number, learner: number): Uint8Array | undefined {
    return (this.#run[part].get(learner) as { sealed: Uint8Array } | undefined)?.sealed;
  }

  text(school: number, token: string): TextRow | undefined {
    return this.#run.text.get(school, token) as TextRow | undefined;
  }

  /** Whose time has come. */
  due(nowMs: number): { token: string; oin: string }[] {
    return this.#run.due.all(nowMs) as { token: string; oin: string }[];
  }

  addSchool(oin: string, keys: readonly SchoolKeyRow[]): number {
    const id = Number(this.#run.addSchool.run(oin).lastInsertRowid);
    this.putSchoolKeys(id, keys);
    return id;
  }

  putSchoolKeys(school: number, keys: readonly SchoolKeyRow[]): void {
    for (const { purpose, version, wrappedBy, wrapped, madeMs } of keys)
      this.#run.putSchoolKey.run(school, purpose, version, wrappedBy, wrapped, madeMs);
  }

  dropSchoolKeys(school: number, keys: readonly Pick<SchoolKeyRow, 'purpose' | 'version'>[]): void {
    for (const { purpose, version } of keys) this.#run.dropSchoolKey.run(school, purpose, version);
    this.#noteDestroyed();
  }

  /** What was deleted leaves the log at the commit, and copies of it the file when that is written anew. */
  #noteDestroyed(): void {
    this.setMeta('unvacuumed', Number(this.meta('unvacuumed') ?? 0) + 1);
    this.#unwiped = true;
  }

  nameSector(school: number, sector: string): void {
    this.#run.nameSector.run(sector, school);
  }

  addSector(school: number, sector: string): void {
    this.#run.addSector.run(school, sector);
  }

  addLearner(
    school: number,
    { token, kind, secretVersion, wrapped }: Pick<LearnerRow, 'token' | 'kind' | 'secretVersion' | 'wrapped'>,
  ): number {
    return Number(this.#run.addLearner.run(token, school, kind, secretVersion, wrapped!).lastInsertRowid);
  }

  addLookup(school: number, hash: string, learner: number, keyVersion: number): void {
    this.#run.addLookup.run(school, bytesOf(hash), learner, keyVersion);
  }

  moveLookup(school: number, from: string, to: string, learner: number, keyVersion: number): void {
    this.#run.dropLookup.run(school, bytesOf(from));
    this.#run.addLookup.run(school, bytesOf(to), learner, keyVersion);
  }

  putSecret(_school: number, learner: number, wrapped: Uint8Array): void {
    this.#run.putSecret.run(wrapped, learner);
  }

  putNumbers(_school: number, learner: number, { ordinal, eckId, lasKey, sealed }: NumbersRow): void {
    this.#run.putNumbers.run(learner, ordinal, bytesOrNull(eckId), bytesOrNull(lasKey), sealed);
  }

  putNames(_school: number, learner: number, { mark, rank, touchedMs, sealed }: NamesRow): void {
    this.#run.putName.run(learner, bytesOf(mark), rank, touchedMs, sealed);
  }

  putParticulars(
    part: Part,
    _school: number,
    learner: number,
    content: string,
    sealed: Uint8Array,
    touchedMs: number,
  ): void {
    if (part === 'birth') this.#run.putBirth.run(learner, bytesOf(content), sealed);
    else this.#run.putContact.run(learner, bytesOf(content), touchedMs, sealed);
  }

  resealParticulars(part: Part, _school: number, learner: number, sealed: Uint8Array): void {
    this.#run[part === 'birth' ? 'resealBirth' : 'resealContact'].run(sealed, learner);
  }

  putText(school: number, { token, keyVersion, touchedMs, sealed }: TextRow): void {
    this.#run.putText.run(school, token, keyVersion, touchedMs, sealed);
  }

  dropText(school: number, token: string): void {
    this.#run.dropText.run(school, token);
    this.#noteDestroyed();
  }

  dropNames(_school: number, learner: number): void {
    this.#run.dropNames.run(learner);
    this.#run.dropBirth.run(learner);
    this.#run.dropContact.run(learner);
    this.#noteDestroyed();
  }

  setWaiting(_school: number, learner: number, atMs: number | undefined): void {
    if (atMs === undefined) this.#run.dropWaiting.run(learner);
    else this.#run.putWaiting.run(learner, atMs);
  }

  setMerged(_school: number, learner: number, winner: number | undefined): void {
    if (winner === undefined) this.#run.dropMerged.run(learner);
    else this.#run.putMerged.run(learner, winner);
  }

  destroy(school: number, { id }: Pick<LearnerRow, 'id'>, hashes: readonly string[], nowMs: number): void {
    for (const hash of hashes) this.#run.dropLookup.run(school, bytesOf(hash));
    this.#run.dropNumbers.run(id);
    this.#run.dropNames.run(id);
    this.#run.dropBirth.run(id);
    this.#run.dropContact.run(id);
    this.#run.dropWaiting.run(id);
    this.#run.dropMerged.run(id);
    this.#run.entomb.run(nowMs, id);
    this.#noteDestroyed();
  }

  /** Names that are not the newest and were asked for. */
  touchNames(learner: number, mark: string, nowMs: number): void {
    this.#run.touchName.run(nowMs, learner, bytesOf(mark));
  }

  /** Names that are not the newest and were not asked for since. Returns how many went. */
  sweepNames(beforeMs: number): number {
    return Number(this.#run.sweepNames.run(beforeMs).changes);
  }

  meta(name: string): number | Uint8Array | undefined {
    return this.#run.getMeta.get(name)?.['value'] as number | Uint8Array | undefined;
  }

  setMeta(name: string, value: number | Uint8Array): void {
    this.#run.putMeta.run(name, value);
  }

  /** All that the vault says of itself. */
  metas(): Map<string, number | Uint8Array> {
    const rows = this.#run.metas.all() as { name: string; value: number | Uint8Array }[];
    return new Map(rows.map(({ name, value }) => [name, value]));
  }

  dropMeta(name: string): void {
    this.#run.dropMeta.run(name);
  }

  /** What renewing keys needs and other work does not. */
  prepareRenewing(): void {
    this.setMeta('form', RENEWED_FORM);
    this.#db.exec('CREATE INDEX IF NOT EXISTS learners_of_school ON learners (school, id)');
  }

  /** A table that is made when it is first needed. */
  make(sql: string): void {
    this.#db.exec(sql);
  }

  /** All or some rows of what is asked now and then only. */
  ask<T>(sql: string, ...values: (string | number)[]): T[] {
    return this.#db.prepare(sql).all(...values) as T[];
  }

  /** Brings everything into the database file and cuts the write-ahead log to nothing. */
  checkpoint(): void {
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  /** Writes the file anew, so that no page keeps what was moved. */
  vacuum(): void {
    this.#db.exec('VACUUM');
  }

  /** Copies the file a little at a time, as of its end. */
  async backup(file: string): Promise<void> {
    // Made beforehand, so that only its owner ever reads it.
    if (!existsSync(file)) closeSync(openSync(file, 'wx', 0o600));
    await backup(this.#db, file, { rate: BACKUP_PAGES });
  }

  /** Size of the database file. */
  bytes(): number {
    return statSync(this.#file).size;
  }

  close(): void {
    this.#db.close();
  }
}

/** Opens or makes the file, for this process alone. Throws `ConfigError` in words for the operator. */
export function openSqliteFile(file: string): SqliteFile {
  try {
    makeFolders(dirname(file), 0o700);
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
    if (fresh) db.exec(SCHEMA + MERGED);
    else if (!tables.some(({ name }) => name === 'meta')) throw new ConfigError([`${file} is no vault`]);
    else {
      const form = Number(db.prepare("SELECT value FROM meta WHERE name = 'form'").get()?.['value']);
      if (!(form <= RENEWED_FORM))
        throw new ConfigError([
          `${file} was made by a newer release (form ${form}; this release knows ${RENEWED_FORM})`,
        ]);
      db.exec(MERGED);
      db.exec('COMMIT');
    }
    return new SqliteFile(db, file, fresh);
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
