/**
 * A copy of everything that one place holds to another, whatever keeps them: rows as cells, table by table, in the order of
 * their keys. Both sides are counted and digested by the same rule, so that a copy is known to be whole before anybody
 * works on it.
 */
import { createHash } from 'node:crypto';
import type { Cell, Cells } from '../cells.ts';
import type { ColumnType } from '../port.ts';

/** A table as it is copied; where it lies and what it is called there is the place's own matter. */
export interface CopiedTable {
  name: string;
  columns: readonly string[];
  types: readonly ColumnType[];
  /** By so many of the first columns rows are told apart, and stand in order: text by its UTF-8, bytes by theirs. */
  keySize: number;
}

/** One store, opened for a copy, as of one moment. */
export interface CopyPlace {
  /** Rows in batches, in the order of the key. */
  read(table: CopiedTable): AsyncIterable<readonly Cells[]>;
  /** Adds rows to a table that has none of them. */
  add(table: CopiedTable, rows: readonly Cells[]): Promise<void>;
  /** How many rows, for a forecast. */
  count(table: CopiedTable): Promise<number>;
}

/** What one table held: the same on two sides = the same rows. */
export interface Tally {
  table: string;
  rows: number;
  /** SHA-256 over all cells in order, hexadecimal. */
  digest: string;
}

/** Rows handed over at once. */
export const BATCH_ROWS = 1000;
/** And bytes, about. */
export const BATCH_BYTES = 4 << 20;

const TAG = { null: 0, number: 1, text: 2, bytes: 3 } as const;
const encoder = new TextEncoder();

/** Digest of a table: each cell with its kind and length before it, so that no two tables look alike. */
class Digest {
  readonly #hash = createHash('sha256');
  readonly #head = Buffer.alloc(5);
  rows = 0;

  add(rows: readonly Cells[]): void {
    for (const cells of rows) for (const cell of cells) this.#cell(cell);
    this.rows += rows.length;
  }

  #cell(cell: Cell): void {
    const head = this.#head;
    if (cell === null) {
      head.writeUInt8(TAG.null);
      this.#hash.update(head.subarray(0, 1));
    } else if (typeof cell === 'number') {
      const number = Buffer.alloc(9);
      number.writeUInt8(TAG.number);
      number.writeDoubleBE(cell === 0 ? 0 : cell, 1);
      this.#hash.update(number);
    } else {
      const bytes = typeof cell === 'string' ? encoder.encode(cell) : cell;
      head.writeUInt8(typeof cell === 'string' ? TAG.text : TAG.bytes);
      head.writeUInt32BE(bytes.length, 1);
      this.#hash.update(head);
      this.#hash.update(bytes);
    }
  }

  tally(table: string): Tally {
    return { table, rows: this.rows, digest: this.#hash.digest('hex') };
  }
}

/** Hears how many rows more were gone through, now and then; is waited for. */
export type Heard = (rows: number) => void | Promise<void>;

/** What a place holds. */
export async function tallyOf(
  place: CopyPlace,
  tables: readonly CopiedTable[],
  told: Heard = () => undefined,
): Promise<Tally[]> {
  const tallies: Tally[] = [];
  for (const table of tables) {
    const digest = new Digest();
    for await (const rows of place.read(table)) {
      digest.add(rows);
      await told(rows.length);
    }
    tallies.push(digest.tally(table.name));
  }
  return tallies;
}

/** Copies all rows; answers what the source held. */
export async function copyTables(
  from: CopyPlace,
  to: CopyPlace,
  tables: readonly CopiedTable[],
  told: Heard = () => undefined,
): Promise<Tally[]> {
  const tallies: Tally[] = [];
  for (const table of tables) {
    const digest = new Digest();
    for await (const rows of from.read(table)) {
      digest.add(rows);
      await to.add(table, rows);
      await told(rows.length);
    }
    tallies.push(digest.tally(table.name));
  }
  return tallies;
}

/** Names of tables in which two sides differ. */
export function differences(one: readonly Tally[], other: readonly Tally[]): string[] {
  const names = new Set([...one, ...other].map(({ table }) => table));
  const of = (tallies: readonly Tally[], name: string) => tallies.find(({ table }) => table === name);
  return [...names].filter((name) => {
    const [a, b] = [of(one, name), of(other, name)];
    return a === undefined || b === undefined || a.rows !== b.rows || a.digest !== b.digest;
  });
}

/** Collects rows until there are enough for one batch. */
export class Batch {
  #rows: Cells[] = [];
  #bytes = 0;

  /** Answers the batch where it is full with this row. */
  push(row: Cells): readonly Cells[] | undefined {
    this.#rows.push(row);
    for (const cell of row) this.#bytes += typeof cell === 'string' || cell instanceof Uint8Array ? cell.length : 8;
    return this.#rows.length >= BATCH_ROWS || this.#bytes >= BATCH_BYTES ? this.take() : undefined;
  }

  take(): readonly Cells[] {
    const rows = this.#rows;
    this.#rows = [];
    this.#bytes = 0;
    return rows;
  }
}
