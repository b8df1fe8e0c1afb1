import { GatewayError } from '#kernel';
import type { ColumnType, KeyValue, Table } from './port.ts';

/**
 * Rows as the engines keep them: one array of cells a row, the key's columns first. Encoding checks every value, so that
 * a row no store could hold fails in the handler that made it, and never in the transaction it would share with others.
 */
export type Cell = string | number | Uint8Array | null;
export type Cells = readonly Cell[];

/** A table with everything that is computed from its definition once. */
export interface Layout {
  readonly table: Table;
  readonly name: string;
  /** Key columns, then the others. */
  readonly columns: readonly string[];
  readonly types: readonly ColumnType[];
  readonly keySize: number;
  readonly names: ReadonlySet<string>;
  /** Columns of each index, the key's columns appended where missing; '' is the key. */
  readonly orders: ReadonlyMap<string, readonly number[]>;
}

const NAME = /^[a-z][a-z0-9_]*$/;
const layouts = new WeakMap<Table, Layout>();

/** Throws `gateway.bug` when the definition contradicts itself. */
export function layoutOf(table: Table): Layout {
  const known = layouts.get(table);
  if (known) return known;
  const { name, key, columns, indexes } = table;
  const names = [...key, ...Object.keys(columns).filter((column) => !key.includes(column))];
  const position = (column: string): number => {
    const at = names.indexOf(column);
    if (at < 0 || !Object.hasOwn(columns, column))
      throw new GatewayError('gateway.bug', `table ${name} has no column ${column}`);
    return at;
  };
  for (const word of [name, ...names, ...Object.keys(indexes)])
    if (!NAME.test(word.replaceAll(/[A-Z]/g, 'a')))
      throw new GatewayError('gateway.bug', `${word} is no name for a table, column or index`);
  if (key.length === 0) throw new GatewayError('gateway.bug', `table ${name} has no key`);
  const keyAt = key.map(position);
  for (const at of keyAt)
    if (columns[names[at]!] === 'blob' || columns[names[at]!] === 'json')
      throw new GatewayError('gateway.bug', `table ${name}: a key is text or a number`);
  const orders = new Map<string, readonly number[]>([['', keyAt]]);
  for (const [index, of] of Object.entries(indexes)) {
    const at = of.map(position);
    orders.set(index, [...at, ...keyAt.filter((k) => !at.includes(k))]);
  }
  const layout: Layout = {
    table,
    name,
    columns: names,
    types: names.map((column) => columns[column]!),
    keySize: key.length,
    names: new Set(names),
    orders,
  };
  layouts.set(table, layout);
  return layout;
}

const wrong = (layout: Layout, column: string, must: string): GatewayError =>
  new GatewayError('gateway.bug', `${layout.name}.${column} must be ${must}`, { where: `${layout.name}.${column}` });

function cell(layout: Layout, at: number, value: unknown): Cell {
  if (value === undefined || value === null) {
    if (at < layout.keySize) throw wrong(layout, layout.columns[at]!, 'given: it is part of the key');
    return null;
  }
  switch (layout.types[at]!) {
    case 'text':
      if (typeof value !== 'string') throw wrong(layout, layout.columns[at]!, 'text');
      if (value.includes('\0')) throw wrong(layout, layout.columns[at]!, 'free of NUL');
      return value;
    case 'int':
      if (!Number.isSafeInteger(value)) throw wrong(layout, layout.columns[at]!, 'a whole number below 2^53');
      return value as number;
    case 'real':
      if (typeof value !== 'number' || !Number.isFinite(value))
        throw wrong(layout, layout.columns[at]!, 'a finite number');
      return value;
    case 'blob':
      if (!(value instanceof Uint8Array)) throw wrong(layout, layout.columns[at]!, 'bytes');
      return value;
    case 'json':
      return JSON.stringify(value);
  }
}

/** A row as cells. Absent values (null or undefined) are one and the same. Throws `gateway.bug` on a value no column holds. */
export function encodeRow(layout: Layout, row: object): Cell[] {
  const { columns } = layout;
  const cells: Cell[] = new Array(columns.length);
  let given = 0;
  for (let at = 0; at < columns.length; at++) {
    const value = (row as Record<string, unknown>)[columns[at]!];
    if (value !== undefined) given++;
    cells[at] = cell(layout, at, value);
  }
  for (const _ in row) given--;
  // It has more than the values that were found: absent ones, or what is no column.
  if (given !== 0)
    for (const name in row)
      if (!layout.names.has(name))
        throw new GatewayError('gateway.bug', `table ${layout.name} has no column ${name}`, { where: layout.name });
  return cells;
}

/** A fresh row; absent values are undefined. */
export function decodeRow<Row extends object>(layout: Layout, cells: Cells): Row {
  const row: Record<string, unknown> = {};
  const { columns, types } = layout;
  for (let at = 0; at < columns.length; at++) {
    const value = cells[at];
    row[columns[at]!] = value === null ? undefined : types[at] === 'json' ? JSON.parse(value as string) : value;
  }
  return row as Row;
}

/** Cells of a key given as values. Throws `gateway.bug` when it is not the whole key. */
export function encodeKey(layout: Layout, key: readonly KeyValue[]): Cell[] {
  if (key.length !== layout.keySize)
    throw new GatewayError('gateway.bug', `the key of ${layout.name} has ${layout.keySize} columns`);
  const cells: Cell[] = new Array(key.length);
  for (let at = 0; at < key.length; at++) {
    const value = key[at];
    cells[at] = cell(layout, at, typeof value === 'bigint' ? Number(value) : value);
  }
  return cells;
}

/** The key as one text, to find a row in memory; `cells` may be a whole row. */
export function keyText(layout: Layout, cells: Cells): string {
  if (layout.keySize === 1) return typeof cells[0] === 'string' ? cells[0] : String(cells[0]);
  let text = String(cells[0]);
  for (let at = 1; at < layout.keySize; at++) text += `\0${cells[at]}`;
  return text;
}
