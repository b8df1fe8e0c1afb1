import { closeSync, existsSync, openSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { ConfigError, GatewayError, makeFolders, PARTITIONS, uuidText } from '#kernel';
import type { Cell, Cells, Layout } from './cells.ts';
import { layoutOf } from './cells.ts';
import type { ListOptions, LogRecord, Table } from './port.ts';
import { arrays, list, marks, quoted, SqliteRows } from './sqlite-rows.ts';
import { type AppendedRecord, type Change, type LaneRow, type Reference, type Store, StoreFailure } from './store.ts';

/** Raised when a release reads or writes the file in a way that an older one would not understand. */
export const SCHEMA_VERSION = 1;
/** `EDUK` in ASCII: what the file says it is. */
const APPLICATION = 0x4544554b;
/** Pages of journal at which it is moved into the file, between two groups. */
const JOURNAL_PAGES = 8000;
const PAGE = 4096;
/** Memory for pages of the file, KiB. */
const CACHE_KIB = 32_768;
const DAY_MS = 86_400_000;
/** Pages copied in one go by a backup: about a millisecond. */
const BACKUP_PAGES = 256;
/** Rows that one statement inserts where there are enough. */
const BATCH = 8;

const sqlType = { text: 'TEXT', int: 'INTEGER', real: 'REAL', blob: 'BLOB', json: 'TEXT' } as const;

interface TableStatements {
  put: StatementSync;
  putBatch: StatementSync;
  remove: StatementSync;
}

interface LaneStatements {
  read: StatementSync;
  add: StatementSync;
  addBatch: StatementSync;
  clean: StatementSync;
}

type Columns = (string | number | Uint8Array | null)[];

/** Records that are noted elsewhere too, before they are committed. */
export interface Remember {
  wants(record: LogRecord): boolean;
  append(records: readonly LogRecord[]): void;
}

/** Name of a lane's table. */
export const laneName = (stream: string, partition: number): string =>
  `log_${stream}_${String(partition).padStart(2, '0')}`;
/** Columns of a lane's table. */
export const LOG_TABLE = `(number INTEGER PRIMARY KEY, id BLOB NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, flow, school TEXT,
          trace TEXT, time_ms INTEGER NOT NULL, data BLOB NOT NULL, claim BLOB, digest BLOB, digest_version INTEGER)`;
/** The first place of answers that may be forgotten on one day: they stand in that order. */
export const placeOfAnswer = (untilMs: number): number => (Math.floor(untilMs / DAY_MS) + 1) * 2 ** 32;

/**
 * Log and rows in one SQLite file, durable at each commit (`synchronous=FULL`).
 *
 * A lane is a table of its own whose key is the number, so that appending touches its last page only and reading a lane
 * is one range, without any second index. References are a small table by claim; their answers stand in the order in
 * which they may be forgotten, so that cleaning needs no index either.
 */
export class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #file: string;
  readonly #tables = new Map<string, TableStatements>();
  readonly #lanes = new Map<string, LaneStatements>();
  readonly #claim: StatementSync;
  readonly #rows: SqliteRows;
  readonly #reclaim: StatementSync;
  readonly #answer: StatementSync;
  readonly #unanswer: StatementSync;
  readonly #setLane: StatementSync;
  readonly #journal: StatementSync;
  /** The next answer's place, by the day after which it is forgotten. */
  readonly #nextAnswer = new Map<number, number>();
  readonly #remember: Remember | undefined;
  /** Of the open transaction. */
  #toRemember: AppendedRecord[] = [];

  /**
   * Opens or makes the file. Throws `ConfigError` when it is not ours, of a newer version, or in use. What is to be
   * remembered is so before it is committed.
   */
  constructor(file: string, tables: readonly Table[], remember?: Remember) {
    this.#remember = remember;
    makeFolders(dirname(file));
    // Made beforehand, so that only its owner ever reads it.
    if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
    this.#file = file;
    this.#db = new DatabaseSync(file);
    try {
      this.#open(tables);
    } catch (thrown) {
      this.#db.close();
      const code = (thrown as { errcode?: number }).errcode;
      if (code === 5)
        throw new ConfigError([
          `${file} is in use by another process: is a gateway running on this data folder already?`,
        ]);
      if (code === 26) throw new ConfigError([`${file} is no data file of this gateway`]);
      throw thrown;
    }
    this.#claim = this.#db.prepare('INSERT OR IGNORE INTO bus_references (claim, answer) VALUES (?, ?)');
    this.#rows = new SqliteRows(this.#db);
    this.#reclaim = this.#db.prepare('UPDATE bus_references SET answer = ? WHERE claim = ?');
    this.#answer = this.#db.prepare(
      'INSERT INTO bus_answers (id, claim, digest, digest_version, answer, flow, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#unanswer = this.#db.prepare('DELETE FROM bus_answers WHERE id = ?');
    this.#journal = arrays(this.#db, 'PRAGMA wal_checkpoint(NOOP)');
    this.#setLane = this.#db.prepare(
      'INSERT OR REPLACE INTO bus_lanes (stream, partition, head, first) VALUES (?, ?, ?, ?)',
    );
  }

  #open(tables: readonly Table[]): void {
    const db = this.#db;
    db.exec('PRAGMA busy_timeout = 500');
    const version = Number(Object.values(db.prepare('PRAGMA user_version').get()!)[0]);
    const application = Number(Object.values(db.prepare('PRAGMA application_id').get()!)[0]);
    const isEmpty = Number(Object.values(db.prepare('SELECT count(*) FROM sqlite_schema').get()!)[0]) === 0;
    if (!isEmpty && application !== APPLICATION)
      throw new ConfigError([`${this.#file} is no data file of this gateway`]);
    if (version > SCHEMA_VERSION)
      throw new ConfigError([
        `${this.#file} was written by a newer version of the gateway (data version ${version}, this release knows ${SCHEMA_VERSION}); start that version`,
      ]);
    db.exec(
      `PRAGMA page_size = ${PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${JOURNAL_PAGES};
       PRAGMA cache_size = -${CACHE_KIB}; PRAGMA journal_size_limit = ${JOURNAL_PAGES * PAGE * 2}; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;`,
    );
    // One process owns the file; a second one is told so instead of sharing it. Said only once the journal is open: one that was
    // opened so can never be shared, not even with another thread.
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    db.exec('PRAGMA locking_mode = EXCLUSIVE');
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec(`PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${SCHEMA_VERSION};
        CREATE TABLE IF NOT EXISTS bus_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS bus_lanes (stream TEXT, partition INTEGER, head INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (stream, partition)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS bus_references (claim BLOB PRIMARY KEY, answer INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS bus_answers (id INTEGER PRIMARY KEY, claim BLOB NOT NULL, digest BLOB NOT NULL, digest_version INTEGER NOT NULL,
          answer BLOB NOT NULL, flow BLOB NOT NULL, until_ms INTEGER NOT NULL);`);
      const shape = JSON.stringify(tables.map(({ name, key, columns, indexes }) => ({ name, key, columns, indexes })));
      const made = db.prepare(`SELECT value FROM bus_meta WHERE name = 'tables'`).get() as
        | { value: string }
        | undefined;
      if (made?.value !== shape) {
        for (const table of tables) this.#make(layoutOf(table));
        db.prepare(`INSERT OR REPLACE INTO bus_meta (name, value) VALUES ('tables', ?)`).run(shape);
      }
      db.exec('COMMIT');
    } catch (thrown) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw thrown;
    }
  }

  /** Makes a table, or adds the columns and indexes that it does not have yet. */
  #make(layout: Layout): void {
    const { name, columns, types, keySize, table } = layout;
    const key = columns.slice(0, keySize);
    const declared = columns.map(
      (column, i) => `${quoted(column)} ${sqlType[types[i]!]}${i < keySize ? ' NOT NULL' : ''}`,
    );
    const there = this.#db.prepare(`PRAGMA table_info(${quoted(name)})`).all() as unknown as {
      name: string;
      pk: number;
    }[];
    if (there.length === 0) {
      this.#db.exec(
        `CREATE TABLE ${quoted(name)} (${declared.join(', ')}, PRIMARY KEY (${list(key)}))${hasRowid(layout) ? '' : ' WITHOUT ROWID'}`,
      );
    } else {
      const keyThere = there.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
      if (keyThere.map((column) => column.name).join() !== key.join())
        throw new ConfigError([`table ${name} in ${this.#file} has another key than this release`]);
      for (const [i, column] of columns.entries())
        if (!there.some((known) => known.name === column))
          this.#db.exec(`ALTER TABLE ${quoted(name)} ADD COLUMN ${declared[i]}`);
    }
    for (const index of Object.keys(table.indexes)) {
      const of = layout.orders.get(index)!.map((at) => columns[at]!);
      const full = `${name}__${index}`;
      const known = (this.#db.prepare(`PRAGMA index_info(${quoted(full)})`).all() as unknown as { name: string }[]).map(
        (column) => column.name,
      );
      if (known.length > 0 && known.join() !== of.join()) this.#db.exec(`DROP INDEX ${quoted(full)}`);
      this.#db.exec(`CREATE INDEX IF NOT EXISTS ${quoted(full)} ON ${quoted(name)} (${list(of)})`);
    }
  }

  #of(layout: Layout): TableStatements {
    let of = this.#tables.get(layout.name);
    if (of === undefined) {
      const { columns, keySize } = layout;
      const name = quoted(layout.name);
      const match = columns
        .slice(0, keySize)
        .map((column) => `${quoted(column)} = ?`)
        .join(' AND ');
      const others = columns.slice(keySize);
      const update =
        others.length === 0
          ? 'DO NOTHING'
          : `DO UPDATE SET ${others.map((column) => `${quoted(column)} = excluded.${quoted(column)}`).join(', ')}`;
      // Replacing keeps a row in place only where there is no rowid that would change.
      const put = (rows: number): string =>
        hasRowid(layout)
          ? `INSERT INTO ${name} (${list(columns)}) VALUES ${Array(rows).fill(marks(columns.length)).join(', ')} ON CONFLICT (${list(columns.slice(0, keySize))}) ${update}`
          : `INSERT OR REPLACE INTO ${name} (${list(columns)}) VALUES ${Array(rows).fill(marks(columns.length)).join(', ')}`;
      of = {
        put: this.#db.prepare(put(1)),
        putBatch: this.#db.prepare(put(BATCH)),
        remove: this.#db.prepare(`DELETE FROM ${name} WHERE ${match}`),
      };
      this.#tables.set(layout.name, of);
    }
    return of;
  }

  #lane(stream: string, partition: number): LaneStatements {
    const name = laneName(stream, partition);
    let of = this.#lanes.get(name);
    if (of === undefined) {
      if (!/^[a-z][a-z0-9_]*$/.test(stream) || !(partition >= 0 && partition < PARTITIONS))
        throw new GatewayError('gateway.bug', 'that is no lane');
      this.#db.exec(`CREATE TABLE IF NOT EXISTS ${name} ${LOG_TABLE}`);
      const add = (rows: number): string =>
        `INSERT INTO ${name} (number, id, key, type, flow, school, trace, time_ms, data, claim, digest, digest_version) VALUES ${Array(rows).fill(marks(12)).join(', ')}`;
      of = {
        read: arrays(this.#db, `SELECT ${LOG_COLUMNS} FROM ${name} WHERE number > ? ORDER BY number LIMIT ?`),
        add: this.#db.prepare(add(1)),
        addBatch: this.#db.prepare(add(BATCH)),
        clean: this.#db.prepare(`DELETE FROM ${name} WHERE number <= ?`),
      };
      this.#lanes.set(name, of);
    }
    return of;
  }

  lanes(): readonly LaneRow[] {
    return this.#db.prepare('SELECT stream, partition, head, first FROM bus_lanes').all() as unknown as LaneRow[];
  }

  get(layout: Layout, key: readonly Cell[]): Cells | undefined {
    return this.#rows.get(layout, key);
  }

  list(layout: Layout, options: ListOptions): readonly Cells[] {
    return this.#rows.list(layout, options);
  }

  read(stream: string, partition: number, after: number, limit: number): readonly LogRecord[] {
    try {
      const rows = this.#lane(stream, partition).read.all(
        after,
        limit === Infinity ? -1 : limit,
      ) as unknown as Columns[];
      return rows.map((row) => recordIn(stream, partition, row));
    } catch (thrown) {
      throw new StoreFailure(thrown);
    }
  }

  begin(): void {
    this.#do(() => this.#db.exec('BEGIN IMMEDIATE'));
  }

  claim(reference: Reference, nowMs: number): Reference | undefined {
    const { claim, digest, digestVersion, answer, flowId, rememberUntilMs } = reference;
    return this.#do(() => {
      const id = this.#answerId(rememberUntilMs);
      const isNew = this.#claim.run(claim, id).changes === 1;
      if (!isNew) {
        const { place, ...known } = this.#rows.claimed(claim)!;
        if (known.rememberUntilMs > nowMs) return known;
        this.#unanswer.run(place);
        this.#reclaim.run(id, claim);
      }
      this.#answer.run(id, claim, digest, digestVersion, answer, flowId, rememberUntilMs);
      return undefined;
    });
  }

  reference(claim: Uint8Array): Reference | undefined {
    return this.#rows.reference(claim);
  }

  /** Answers stand in the order of the day after which they may be forgotten. */
  #answerId(untilMs: number): number {
    const day = placeOfAnswer(untilMs);
    let next = this.#nextAnswer.get(day);
    if (next === undefined) {
      const last = this.#db
        .prepare('SELECT max(id) AS id FROM bus_answers WHERE id >= ? AND id < ?')
        .get(day, day + 2 ** 32) as { id: number | null };
      next = last.id === null ? day : last.id + 1;
      if (this.#nextAnswer.size > 1000) this.#nextAnswer.clear();
    }
    this.#nextAnswer.set(day, next + 1);
    return next;
  }

  write(layout: Layout, changes: readonly Change[]): void {
    const of = this.#of(layout);
    this.#do(() => {
      let batch: Cell[] = [];
      let rows = 0;
      const size = BATCH * layout.columns.length;
      for (const { key, cells } of changes) {
        if (cells === null) of.remove.run(...(key as SQLInputValue[]).slice(0, layout.keySize));
        else {
          for (const cell of cells) batch.push(cell);
          rows += 1;
          if (batch.length === size) {
            of.putBatch.run(...(batch as SQLInputValue[]));
            batch = [];
          }
        }
      }
      for (let at = 0; rows > 0 && at < batch.length; at += layout.columns.length)
        of.put.run(...(batch.slice(at, at + layout.columns.length) as SQLInputValue[]));
    });
  }

  append(records: readonly AppendedRecord[], lanes: readonly LaneRow[]): void {
    this.#do(() => {
      const batches = new Map<string, Columns>();
      for (const record of records) {
        const { stream, partition, origin } = record;
        if (this.#remember?.wants(record)) this.#toRemember.push(record);
        const lane = `${stream}/${partition}`;
        let batch = batches.get(lane);
        if (batch === undefined) {
          batch = [];
          batches.set(lane, batch);
        }
        batch.push(
          record.number,
          record.id,
          record.key,
          record.type,
          flowCell(record),
          record.school === '' ? null : record.school,
          record.traceparent === '' ? null : record.traceparent,
          record.timeMs,
          record.data,
          origin === null ? null : origin.claim,
          origin === null ? null : origin.digest,
          origin === null ? null : origin.digestVersion,
        );
        if (batch.length === BATCH * 12) {
          this.#lane(stream, partition).addBatch.run(...batch);
          batch.length = 0;
        }
      }
      for (const { stream, partition, head, first } of lanes) {
        const batch = batches.get(`${stream}/${partition}`) ?? [];
        for (let at = 0; at < batch.length; at += 12)
          this.#lane(stream, partition).add.run(...batch.slice(at, at + 12));
        this.#setLane.run(stream, partition, head, first);
      }
    });
  }

  commit(): void {
    this.#do(() => {
      if (this.#toRemember.length > 0) this.#remember!.append(this.#toRemember);
      this.#db.exec('COMMIT');
    });
    this.#toRemember = [];
  }

  rollback(): void {
    // A lane's table or an answer's place may be among what is undone.
    this.#lanes.clear();
    this.#nextAnswer.clear();
    this.#toRemember = [];
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
  }

  cleanLane({ stream, partition, first, head }: LaneRow, through: number, beforeMs: number, limit: number): number {
    return this.#do(() => {
      const of = this.#lane(stream, partition);
      const old = this.#db
        .prepare(
          `SELECT number FROM ${laneName(stream, partition)} WHERE number >= ? AND number <= ? AND time_ms < ? ORDER BY number DESC LIMIT 1`,
        )
        .get(first, Math.min(through, first + limit - 1), beforeMs) as { number: number } | undefined;
      if (old === undefined) return 0;
      this.#db.exec('BEGIN IMMEDIATE');
      try {
        of.clean.run(old.number);
        this.#setLane.run(stream, partition, head, old.number + 1);
        this.#db.exec('COMMIT');
      } catch (thrown) {
        this.rollback();
        throw thrown;
      }
      return old.number + 1 - first;
    });
  }

  cleanReferences(nowMs: number, limit: number): number {
    return this.#do(() => {
      const today = Math.floor(nowMs / DAY_MS);
      const due = this.#db
        .prepare('SELECT id, claim FROM bus_answers WHERE id < ? ORDER BY id LIMIT ?')
        .all((today + 1) * 2 ** 32, limit) as { id: number; claim: Uint8Array }[];
      if (due.length === 0) return 0;
      this.#db.exec('BEGIN IMMEDIATE');
      try {
        const forget = this.#db.prepare('DELETE FROM bus_references WHERE claim = ? AND answer = ?');
        for (const { id, claim } of due) {
          forget.run(claim, id);
          this.#unanswer.run(id);
        }
        this.#db.exec('COMMIT');
      } catch (thrown) {
        this.rollback();
        throw thrown;
      }
      return due.length;
    });
  }

  settle(): void {
    const [, pages] = this.#do(() => this.#journal.get() as unknown as [number, number, number]);
    // Just before SQLite would do it by itself, within a commit that somebody waits for.
    if (pages >= JOURNAL_PAGES * 0.8) this.#do(() => this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)'));
  }

  /** From now on other threads may read the file while this one writes; other gateways are still refused. */
  share(): void {
    this.#do(() => {
      this.#db.exec('PRAGMA locking_mode = NORMAL');
      // The lock goes with the next reading.
      this.#db.prepare('SELECT count(*) FROM bus_meta').get();
    });
  }

  /** Copies the file a little at a time; what is committed meanwhile is in the copy as well, wholly or not at all. */
  async backup(file: string): Promise<void> {
    // Made beforehand, so that only its owner ever reads it.
    if (!existsSync(file)) closeSync(openSync(file, 'wx', 0o600));
    await backup(this.#db, file, { rate: BACKUP_PAGES });
  }

  freeBytes(): number {
    const { bavail, bsize } = statfsSync(dirname(this.#file));
    return bavail * bsize;
  }

  close(): void {
    if (!this.#db.isOpen) return;
    try {
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } finally {
      this.#db.close();
    }
  }

  #do<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      if (thrown instanceof GatewayError || thrown instanceof StoreFailure) throw thrown;
      throw new StoreFailure(thrown);
    }
  }
}

/** Columns of a lane that make a record, in the order of `recordIn`. */
export const LOG_COLUMNS = 'number, id, key, type, flow, school, trace, time_ms, data';

/** A record from its row in a lane's table. */
export const recordIn = (
  stream: string,
  partition: number,
  [number, id, key, type, flow, school, trace, timeMs, data]: readonly (string | number | Uint8Array | null)[],
): LogRecord => ({
  stream,
  partition,
  number: number as number,
  id: id as Uint8Array,
  key: key as string,
  type: type as string,
  // A first event has the id of its flow.
  flowId: flow === null ? uuidText(id as Uint8Array) : typeof flow === 'string' ? flow : uuidText(flow as Uint8Array),
  school: (school as string | null) ?? '',
  traceparent: (trace as string | null) ?? '',
  timeMs: timeMs as number,
  data: data as Uint8Array,
});

/** Rows that may be large stand in a table of their own with an index by key; small ones stand in the index itself. */
function hasRowid(layout: Layout): boolean {
  return layout.types.includes('blob') || (layout.keySize === 1 && layout.types[0] === 'int');
}

/** 16 bytes where the flow has the usual form, nothing where it is the event's own id. */
export function flowCell({ flowId, id }: Pick<LogRecord, 'flowId' | 'id'>): string | Uint8Array | null {
  if (flowId.length !== 36) return flowId;
  const bytes = new Uint8Array(16);
  let own = true;
  for (let i = 0, at = 0; i < 16; i++, at += 2) {
    if (at === 8 || at === 13 || at === 18 || at === 23) at += 1;
    const byte = nibble(flowId.charCodeAt(at)) * 16 + nibble(flowId.charCodeAt(at + 1));
    if (!(byte >= 0)) return flowId;
    bytes[i] = byte;
    if (byte !== id[i]) own = false;
  }
  return own ? null : bytes;
}

/** Value of a hexadecimal digit in small letters; NaN for anything else, so that text comes back as it was. */
const nibble = (code: number): number =>
  code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : Number.NaN;
