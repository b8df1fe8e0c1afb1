import type { Cell, Cells, Layout } from './cells.ts';
import type { KeyValue, ListOptions } from './port.ts';

/** The order of cells in every store: absent first, numbers by size, text by its code points (collation C). */
export function compareCells(a: Cell, b: Cell): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  return (a as number) < (b as number) ? -1 : 1;
}

/** UTF-16 order and code point order differ only where surrogates meet what lies above them. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800 && x < 0xe000 !== y < 0xe000) return x < 0xe000 ? 1 : -1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

export const plain = (value: KeyValue): Cell => (typeof value === 'bigint' ? Number(value) : value);

export function orderOf(layout: Layout, index: string): readonly number[] {
  const order = layout.orders.get(index);
  if (order === undefined) throw new Error(`table ${layout.name} has no index ${index}`);
  return order;
}

/** Whether a row is among what a list asks for, its limit apart. */
export function isListed(cells: Cells, order: readonly number[], { equals, after, descending }: ListOptions): boolean {
  for (let i = 0; i < equals.length; i++) if (compareCells(cells[order[i]!]!, plain(equals[i]!)) !== 0) return false;
  if (after === undefined) return true;
  const sign = descending ? -1 : 1;
  for (const [i, value] of after.entries()) {
    const cell = cells[order[equals.length + i]!]!;
    if (cell === null) return false;
    const way = compareCells(cell, plain(value)) * sign;
    if (way !== 0) return way > 0;
  }
  return false;
}

/** Compares rows in the order of a key or index. */
export const byOrder =
  (order: readonly number[], descending = false) =>
  (a: Cells, b: Cells): number => {
    for (const at of order) {
      const way = compareCells(a[at]!, b[at]!);
      if (way !== 0) return descending ? -way : way;
    }
    return 0;
  };
