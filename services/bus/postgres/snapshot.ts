/**
 * Rows of a PostgreSQL database as a store that never waits: what was loaded, with what a group has written over it. What is
 * not loaded is remembered as wanted, and asking for it throws `Missing`; whoever runs the group loads all that is wanted
 * in one go (`load.ts`) and runs it again. Valid as long as nobody else writes these rows: that is what ownership is for
 * (`owner.ts`).
 */
import { type Cell, type Cells, keyText, type Layout } from '../cells.ts';
import { byOrder, isListed, orderOf } from '../compare.ts';
import type { ListOptions, LogRecord } from '../port.ts';
import { type AppendedRecord, type Change, type LaneRow, Missing, type Reference, type Store } from '../store.ts';

/** A list that was loaded: its first rows, at most as many as were asked for. */
interface Loaded {
  options: ListOptions;
  rows: readonly Cells[];
  /** There are no more. */
  whole: boolean;
  /** Groups that wrote to its table since it was asked for. */
  unused: number;
}

/** A list that is wanted, by its shape and values. */
export interface WantedList {
  id: string;
  options: ListOptions;
  limit: number;
}

export interface WantedTable {
  layout: Layout;
  keys: Map<string, readonly Cell[]>;
  lists: Map<string, WantedList>;
}

interface TableRows {
  layout: Layout;
  /** Loaded lately, and before that: what is used again moves over, what is not falls out. */
  young: Map<string, Cells | null>;
  old: Map<string, Cells | null>;
  lists: Map<string, Loaded>;
  /** What the open group wrote. */
  written: Map<string, Change>;
}

/**
 * Rows of one table that are kept in memory over groups: twice as many at most, and lists. Only between two groups: one that
 * needs more than this must find all of it at once, or it would ask for ever.
 */
const KEPT = 40_000;
const KEPT_LISTS = 5_000;
/**
 * Short lists that are asked for again and again are kept up to date by what a group wrote, instead of being loaded anew: so
 * many rows at most, as long as one of so many groups asks, and as long as that is little work.
 */
const CARRIED_ROWS = 64;
const CARRIED_GROUPS = 16;
const CARRIED_WORK = 20_000;
/** What a list asks for beyond its limit, so that rows which this group removed do not lead to another look. */
const SPARE = 16;
/** Asked without a limit: enough for every list that deciders make; more are loaded when there are more. */
const UNLIMITED = 1_000_000;

export class Snapshot implements Store {
  readonly #tables = new Map<string, TableRows>();
  wanted = new Map<string, WantedTable>();
  /** Records of the open group, without numbers: the database gives them. */
  appended: readonly AppendedRecord[] = [];
  readonly #lanes: readonly LaneRow[];

  constructor(lanes: readonly LaneRow[] = []) {
    this.#lanes = lanes;
  }

  get(layout: Layout, key: readonly Cell[]): Cells | undefined {
    const of = this.#of(layout);
    const text = keyText(layout, key);
    const written = of.written.get(text);
    if (written !== undefined) return written.cells ?? undefined;
    let cells = of.young.get(text);
    if (cells === undefined) {
      cells = of.old.get(text);
      if (cells === undefined) {
        this.#want(layout).keys.set(text, key.slice(0, layout.keySize));
        throw Missing.one;
      }
      keep(of, text, cells);
    }
    return cells ?? undefined;
  }

  list(layout: Layout, options: ListOptions): readonly Cells[] {
    const of = this.#of(layout);
    const limit = options.limit ?? UNLIMITED;
    const id = listId(options);
    const loaded = of.lists.get(id);
    const order = orderOf(layout, options.index ?? '');
    const compare = byOrder(order, options.descending);
    const mine: Cells[] = [];
    let replaced = 0;
    for (const { cells } of of.written.values())
      if (cells === null) replaced += 1;
      else {
        replaced += 1;
        if (isListed(cells, order, options)) mine.push(cells);
      }
    const needs = limit + replaced;
    if (
      loaded === undefined ||
      (!loaded.whole && loaded.rows.length < needs && !this.#suffices(of, loaded, mine, limit, compare))
    ) {
      this.#wantList(layout, id, options, Math.min(UNLIMITED, needs + (replaced > 0 ? SPARE : 0)));
      throw Missing.one;
    }
    loaded.unused = 0;
    const rows = this.#merge(of, loaded, mine, compare);
    return rows.length > limit ? rows.slice(0, limit) : rows;
  }

  /** Whether the certain part of what was loaded fills the limit although some of it was replaced. */
  #suffices(
    of: TableRows,
    loaded: Loaded,
    mine: readonly Cells[],
    limit: number,
    compare: (a: Cells, b: Cells) => number,
  ): boolean {
    return this.#merge(of, loaded, mine, compare).length >= limit;
  }

  /** Rows that are certain: loaded ones as this group left them, and its own up to the last that was loaded. */
  #merge(
    of: TableRows,
    { rows, whole }: Loaded,
    mine: readonly Cells[],
    compare: (a: Cells, b: Cells) => number,
  ): Cells[] {
    if (of.written.size === 0) return rows as Cells[];
    const kept = rows.filter((cells) => !of.written.has(keyText(of.layout, cells)));
    if (mine.length === 0) return kept;
    const last = rows.at(-1);
    const own = whole || last === undefined ? mine : mine.filter((cells) => compare(cells, last) <= 0);
    return [...kept, ...own].sort(compare);
  }

  lanes(): readonly LaneRow[] {
    return this.#lanes;
  }

  reference(): Reference | undefined {
    throw Missing.one;
  }

  read(): readonly LogRecord[] {
    return [];
  }

  claim(): Reference | undefined {
    throw new Error('references are claimed by the doors');
  }

  begin(): void {
    this.rollback();
  }

  write(layout: Layout, changes: readonly Change[]): void {
    const { written } = this.#of(layout);
    for (const { key, cells } of changes)
      written.set(keyText(layout, key), { key: key.slice(0, layout.keySize), cells });
  }

  append(records: readonly AppendedRecord[]): void {
    this.appended = records;
  }

  /** Tables with what the open group wrote. */
  changes(): { layout: Layout; changes: Change[] }[] {
    const found: { layout: Layout; changes: Change[] }[] = [];
    for (const { layout, written } of this.#tables.values())
      if (written.size > 0) found.push({ layout, changes: [...written.values()] });
    return found;
  }

  /** What the group wrote is in the database now. */
  commit(): void {
    for (const of of this.#tables.values()) {
      if (of.written.size > 0) {
        of.lists = this.#carried(of);
        for (const [text, { cells }] of of.written) keep(of, text, cells);
        of.written = new Map();
      } else if (of.lists.size >= KEPT_LISTS) of.lists = new Map();
      if (of.young.size >= KEPT) {
        of.old = of.young;
        of.young = new Map();
      }
    }
    this.appended = [];
  }

  /** Lists with what the group wrote in them; the others are loaded again when they are asked for. */
  #carried(of: TableRows): Map<string, Loaded> {
    const carried = new Map<string, Loaded>();
    if (of.lists.size * of.written.size > CARRIED_WORK) return carried;
    for (const [id, loaded] of of.lists) {
      const { options, whole, unused } = loaded;
      if (loaded.rows.length > CARRIED_ROWS || unused >= CARRIED_GROUPS) continue;
      const order = orderOf(of.layout, options.index ?? '');
      const mine: Cells[] = [];
      for (const { cells } of of.written.values())
        if (cells !== null && isListed(cells, order, options)) mine.push(cells);
      const rows = this.#merge(of, loaded, mine, byOrder(order, options.descending));
      // How far a list is certain is told by its last row.
      if (whole || rows.length > 0) carried.set(id, { options, rows, whole, unused: unused + 1 });
    }
    return carried;
  }

  rollback(): void {
    for (const of of this.#tables.values()) if (of.written.size > 0) of.written = new Map();
    this.appended = [];
  }

  /** Takes in rows that were loaded; null = there is none. */
  know(layout: Layout, text: string, cells: Cells | null): void {
    keep(this.#of(layout), text, cells);
  }

  knowList(layout: Layout, { id, options, limit }: WantedList, rows: readonly Cells[]): void {
    const of = this.#of(layout);
    of.lists.set(id, { options, rows, whole: rows.length < limit, unused: 0 });
    for (const cells of rows) keep(of, keyText(layout, cells), cells);
  }

  /** What was asked for in vain since the last time. */
  takeWanted(): readonly WantedTable[] {
    const { wanted } = this;
    this.wanted = new Map();
    return [...wanted.values()];
  }

  cleanLane(): number {
    return 0;
  }

  cleanReferences(): number {
    return 0;
  }

  settle(): void {
    // PostgreSQL does this by itself.
  }

  freeBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  close(): void {
    // Nothing is held but memory.
  }

  #of(layout: Layout): TableRows {
    let of = this.#tables.get(layout.name);
    if (of === undefined) {
      of = { layout, young: new Map(), old: new Map(), lists: new Map(), written: new Map() };
      this.#tables.set(layout.name, of);
    }
    return of;
  }

  #want(layout: Layout): WantedTable {
    let wanted = this.wanted.get(layout.name);
    if (wanted === undefined) {
      wanted = { layout, keys: new Map(), lists: new Map() };
      this.wanted.set(layout.name, wanted);
    }
    return wanted;
  }

  #wantList(layout: Layout, id: string, options: ListOptions, limit: number): void {
    const { lists } = this.#want(layout);
    const before = lists.get(id);
    if (before === undefined || before.limit < limit) lists.set(id, { id, options, limit });
  }
}

function keep(of: TableRows, text: string, cells: Cells | null): void {
  of.young.set(text, cells);
}

/** A list without its limit: two that differ in nothing else share what was loaded. */
const listId = ({ index = '', equals, after, descending = false }: ListOptions): string =>
  `${index}|${descending ? 'd' : 'a'}|${equals.map(named).join('\0')}|${after === undefined ? '' : after.map(named).join('\0')}|${after === undefined ? 0 : 1}`;
const named = (value: string | number | bigint): string => (typeof value === 'string' ? `s${value}` : `n${value}`);
