/** A SQLite file as a place to copy from or to. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { ConfigError } from '#kernel';
import type { Cells } from '../cells.ts';
import { Batch, type CopiedTable, type CopyPlace } from './place.ts';

/** How rows of one table lie in the file, where that differs from a table of the same name and columns. */
export interface SqliteWay {
  /** Statements that together give the rows in order. */
  selects?(db: DatabaseSync): readonly string[];
  /** The cells as they are copied, from those of the select. */
  read?(cells: Cells): Cells;
  /** A writer of one row. */
  adder?(db: DatabaseSync): (row: Cells) => void;
  /** Names of tables that are counted, where every row of them is read. */
  counted?(db: DatabaseSync): readonly string[];
}

const quoted = (name: string): string => `"${name}"`;
const list = (names: readonly string[]): string => names.map(quoted).join(', ');

export type SqliteUse =
  /** Nobody else may write meanwhile; nothing is changed. */
  | 'source'
  /** All or nothing, and durable, by `finish`. */
  | 'target';

/**
 * Opens the file for itself alone. Throws `ConfigError` when a gateway is running on it. A target must have its tables; it
 * is written without a journal, so what is not finished is worth nothing.
 */
export class SqlitePlace implements CopyPlace {
  readonly #db: DatabaseSync;
  readonly #file: string;
  readonly #ways: ReadonlyMap<string, SqliteWay>;
  readonly #adders = new Map<string, (row: Cells) => void>();

  constructor(file: string, use: SqliteUse, ways: ReadonlyMap<string, SqliteWay>) {
    this.#file = file;
    this.#ways = ways;
    this.#db = new DatabaseSync(file, { timeout: 500 });
    try {
      if (use === 'target')
        this.#db.exec('PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;');
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -32768;');
      this.#db.exec('BEGIN IMMEDIATE');
    } catch (thrown) {
      this.#db.close();
      if ((thrown as { errcode?: number }).errcode === 5)
        throw new ConfigError([`${file} is in use: a gateway is running on this data folder; stop it first`]);
      throw thrown;
    }
  }

  get db(): DatabaseSync {
    return this.#db;
  }

  #way(table: CopiedTable): SqliteWay {
    return this.#ways.get(table.name) ?? {};
  }

  async *read(table: CopiedTable): AsyncIterable<readonly Cells[]> {
    const way = this.#way(table);
    const selects = way.selects?.(this.#db) ?? [
      `SELECT ${list(table.columns)} FROM ${quoted(table.name)} ORDER BY ${list(table.columns.slice(0, table.keySize))}`,
    ];
    const batch = new Batch();
    for (const select of selects) {
      const statement = this.#db.prepare(select);
      statement.setReturnArrays(true);
      for (const cells of statement.iterate() as unknown as Iterable<Cells>) {
        const full = batch.push(way.read?.(cells) ?? cells);
        if (full) yield full;
      }
    }
    const rest = batch.take();
    if (rest.length > 0) yield rest;
  }

  async add(table: CopiedTable, rows: readonly Cells[]): Promise<void> {
    let adder = this.#adders.get(table.name);
    if (adder === undefined) {
      adder = this.#way(table).adder?.(this.#db) ?? this.#plain(table);
      this.#adders.set(table.name, adder);
    }
    for (const row of rows) adder(row);
  }

  #plain(table: CopiedTable): (row: Cells) => void {
    const statement: StatementSync = this.#db.prepare(
      `INSERT INTO ${quoted(table.name)} (${list(table.columns)}) VALUES (${table.columns.map(() => '?').join(', ')})`,
    );
    return (row) => statement.run(...(row as SQLInputValue[]));
  }

  async count(table: CopiedTable): Promise<number> {
    const way = this.#way(table);
    // What is counted is what is read: where only some of a table is, its own statement says which.
    const from = way.counted?.(this.#db).map(quoted) ??
      way.selects?.(this.#db).map((select) => `(${select})`) ?? [quoted(table.name)];
    return from.reduce(
      (sum, rows) => sum + (this.#db.prepare(`SELECT count(*) AS n FROM ${rows}`).get() as { n: number }).n,
      0,
    );
  }

  /** The whole file as it is, into another. `told` hears how many bytes of how many are there. */
  async backup(file: string, told: (bytes: number, all: number) => void = () => undefined): Promise<void> {
    // The lock stays when the transaction ends.
    this.#db.exec('COMMIT');
    const { page_size: size } = this.#db.prepare('PRAGMA page_size').get() as { page_size: number };
    await backup(this.#db, file, {
      progress: ({ totalPages, remainingPages }) => told((totalPages - remainingPages) * size, totalPages * size),
    });
    this.#db.exec('BEGIN IMMEDIATE');
  }

  /** What was added is on disk when this returns. */
  finish(): void {
    this.#db.exec('COMMIT');
    this.#db.close();
    for (const path of [this.#file, dirname(this.#file)]) {
      const descriptor = openSync(path, 'r');
      fsyncSync(descriptor);
      closeSync(descriptor);
    }
  }

  /** Closes without changing anything. */
  close(): void {
    if (!this.#db.isOpen) return;
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    this.#db.close();
  }
}
