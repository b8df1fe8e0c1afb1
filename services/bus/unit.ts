import { encoded, GatewayError, uuid7 } from '#kernel';
import { type Cell, type Cells, decodeRow, encodeKey, encodeRow, keyText, type Layout, layoutOf } from './cells.ts';
import {
  type AppendOptions,
  type KeyValue,
  type ListOptions,
  type LogRecord,
  type MessageType,
  type Reader,
  type Table,
  type Unit,
  Waiting,
} from './port.ts';
import type { Change, Store } from './store.ts';
import { timers, wakes } from './tables.ts';

/** What a row is at this moment, and whether the store knows it yet. */
interface Held extends Change {
  dirty: boolean;
  /** Somebody found something here. */
  found: boolean;
}

interface HeldTable {
  layout: Layout;
  /** What this group read or wrote. */
  held: Map<string, Held>;
  /** What was found in the group before it; what is used again moves over. */
  before: Map<string, Held>;
  dirty: Held[];
}

/**
 * The rows of a group of units: what its records have left so far, over the store. Changes reach the store when a list
 * needs them or when the group ends. Since all writes pass here, what was read or written stays as a cache.
 */
export class Rows implements Reader {
  readonly #store: Store;
  readonly #tables = new Map<string, HeldTable>();
  /** Names of tables that changed since `settled`. */
  touched = new Set<string>();

  constructor(store: Store, tables: readonly Table[]) {
    this.#store = store;
    for (const table of tables) {
      if (this.#tables.has(table.name)) throw new GatewayError('gateway.bug', `two tables are called ${table.name}`);
      this.#tables.set(table.name, { layout: layoutOf(table), held: new Map(), before: new Map(), dirty: [] });
    }
  }

  /** The layout of a table that the engine was opened with. */
  layout(table: Table): Layout {
    return this.#of(table).layout;
  }

  get<Row extends object>(table: Table<Row>, ...key: KeyValue[]): Readonly<Row> | undefined {
    const of = this.#of(table);
    const at = encodeKey(of.layout, key);
    const cells = this.#cells(of, keyText(of.layout, at), at);
    return cells === null ? undefined : decodeRow<Row>(of.layout, cells);
  }

  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[] {
    const of = this.#of(table);
    this.#flush(of);
    return this.#store.list(of.layout, options).map((cells) => decodeRow<Row>(of.layout, cells));
  }

  put<Row extends object>(table: Table<Row>, row: Row): void {
    const of = this.#of(table);
    const cells = encodeRow(of.layout, row);
    this.set(of.layout, keyText(of.layout, cells), cells, cells);
  }

  remove<Row extends object>(table: Table<Row>, ...key: KeyValue[]): void {
    const { layout } = this.#of(table);
    const at = encodeKey(layout, key);
    this.set(layout, keyText(layout, at), at, null);
  }

  /** Cells of a row; null = there is none. */
  cells(layout: Layout, text: string, key: readonly Cell[]): Cells | null {
    return this.#cells(this.#tables.get(layout.name)!, text, key);
  }

  /** Changes a row; `key` starts with the key's cells. */
  set(layout: Layout, text: string, key: readonly Cell[], cells: Cells | null): void {
    const of = this.#tables.get(layout.name)!;
    const held = heldIn(of, text);
    if (held === undefined) {
      const made: Held = { key, cells, dirty: true, found: false };
      of.held.set(text, made);
      of.dirty.push(made);
    } else {
      held.cells = cells;
      if (!held.dirty) {
        held.dirty = true;
        of.dirty.push(held);
      }
    }
    this.touched.add(layout.name);
  }

  /** Hands every change to the store's open transaction. */
  flush(): void {
    for (const of of this.#tables.values()) this.#flush(of);
  }

  /**
   * The group is committed. Answers the names of the tables that changed. Into the next group go only rows that somebody
   * found: most are made once and not looked at again soon, and whatever outlives a group the collector copies.
   */
  settled(): ReadonlySet<string> {
    const { touched } = this;
    this.touched = new Set();
    for (const of of this.#tables.values())
      if (of.held.size > 0) {
        of.before = new Map();
        for (const [text, held] of of.held) if (held.found) of.before.set(text, { ...held, found: false });
        of.held = new Map();
      }
    return touched;
  }

  /** The group is rolled back: nothing held counts any more. */
  forget(): void {
    this.touched = new Set();
    for (const of of this.#tables.values()) {
      of.held = new Map();
      of.before = new Map();
      of.dirty = [];
    }
  }

  #of(table: Table): HeldTable {
    const of = this.#tables.get(table.name);
    if (of === undefined)
      throw new GatewayError('gateway.bug', `table ${table.name} belongs to no module of this engine`);
    return of;
  }

  #cells(of: HeldTable, text: string, key: readonly Cell[]): Cells | null {
    const held = heldIn(of, text);
    if (held !== undefined) {
      if (held.cells !== null) held.found = true;
      return held.cells;
    }
    const cells = this.#store.get(of.layout, key) ?? null;
    of.held.set(text, { key, cells, dirty: false, found: cells !== null });
    return cells;
  }

  #flush(of: HeldTable): void {
    if (of.dirty.length === 0) return;
    this.#store.write(of.layout, of.dirty);
    for (const held of of.dirty) held.dirty = false;
    of.dirty = [];
  }
}

function heldIn(of: HeldTable, text: string): Held | undefined {
  const held = of.held.get(text);
  if (held !== undefined) return held;
  const before = of.before.get(text);
  if (before !== undefined) of.held.set(text, before);
  return before;
}

/** An event on its way to the log. */
export interface Pending {
  stream: string;
  type: string;
  key: string;
  data: Uint8Array;
  /** 16 bytes. */
  id: Uint8Array;
  flowId: string;
  school: string;
  traceparent: string;
  timeMs: number;
}

/** A change of the record at hand. */
interface OwnChange extends Change {
  layout: Layout;
  text: string;
}

/** From this many changes on, those of a record are found by their key; most records have two or three. */
const MANY = 12;

/**
 * What one record does, over the rows of its group. `keep` merges it into them; `drop` leaves no trace. One object
 * serves every record in turn.
 */
export class RecordUnit implements Unit {
  now = 0;
  readonly #rows: Rows;
  #consumer = '';
  #record: Pick<LogRecord, 'flowId' | 'school' | 'traceparent'> = { flowId: '', school: '', traceparent: '' };
  #eventId: ((index: number) => Uint8Array) | undefined;
  #changes: OwnChange[] = [];
  /** The same by table and key, where they are many. */
  #found: Map<Layout, Map<string, OwnChange>> | undefined;
  #appended: Pending[] = [];
  #gathered = new Map<string, number>();

  readonly #isWanted: (consumer: string, what: string) => boolean;

  /** `isWanted`: whether something of a consumer may wait for it. Most of what becomes known nobody waits for. */
  constructor(rows: Rows, isWanted: (consumer: string, what: string) => boolean) {
    this.#rows = rows;
    this.#isWanted = isWanted;
  }

  /** Starts a record. `eventId` gives the ids of its events; by default each is new. */
  begin(
    consumer: string,
    now: number,
    record: Pick<LogRecord, 'flowId' | 'school' | 'traceparent'>,
    eventId?: (index: number) => Uint8Array,
  ): void {
    this.drop();
    this.now = now;
    this.#consumer = consumer;
    this.#record = record;
    this.#eventId = eventId;
  }

  /** Merges what the record did into the rows of the group; answers its events. */
  keep(): readonly Pending[] {
    for (const { layout, text, key, cells } of this.#changes) this.#rows.set(layout, text, key, cells);
    const appended = this.#appended;
    this.drop();
    return appended;
  }

  /** What the record gathered, which is the caller's from now on; without what it added and took away again. */
  takeGathered(): ReadonlyMap<string, number> {
    const gathered = this.#gathered;
    if (gathered.size === 0) return gathered;
    this.#gathered = new Map();
    for (const [name, n] of gathered) if (n === 0) gathered.delete(name);
    return gathered;
  }

  drop(): void {
    if (this.#changes.length > 0) this.#changes = [];
    this.#found = undefined;
    if (this.#appended.length > 0) this.#appended = [];
    if (this.#gathered.size > 0) this.#gathered = new Map();
  }

  get<Row extends object>(table: Table<Row>, ...key: KeyValue[]): Readonly<Row> | undefined {
    const layout = this.#rows.layout(table);
    const at = encodeKey(layout, key);
    const text = keyText(layout, at);
    const changed = this.#changed(layout, text);
    const cells = changed === undefined ? this.#rows.cells(layout, text, at) : changed.cells;
    return cells === null ? undefined : decodeRow<Row>(layout, cells);
  }

  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[] {
    return this.#rows.list(table, options);
  }

  put<Row extends object>(table: Table<Row>, row: Row): void {
    const layout = this.#rows.layout(table);
    const cells = encodeRow(layout, row);
    this.#change(layout, keyText(layout, cells), cells, cells);
  }

  remove<Row extends object>(table: Table<Row>, ...key: KeyValue[]): void {
    const layout = this.#rows.layout(table);
    const at = encodeKey(layout, key);
    this.#change(layout, keyText(layout, at), at, null);
  }

  append<T>(
    stream: string,
    type: string,
    message: MessageType<T>,
    value: T,
    key: string,
    options?: AppendOptions,
  ): void {
    if (key === '') throw new GatewayError('gateway.bug', `${type} was appended without a key`);
    this.#appended.push({
      stream,
      type,
      key,
      data: encoded(message, value),
      id: this.#eventId?.(this.#appended.length) ?? uuid7(this.now),
      flowId: options?.flowId ?? this.#record.flowId,
      school: options?.school ?? this.#record.school,
      traceparent: this.#record.traceparent,
      timeMs: this.now,
    });
  }

  wait(what: string, deadlineMs: number): never {
    throw new Waiting(what, deadlineMs);
  }

  wake(what: string): void {
    if (!this.#isWanted(this.#consumer, what)) return;
    this.put(wakes, { consumer: this.#consumer, kind: 'what', name: what, afterScope: '', afterSeq: 0 });
  }

  setTimer(timer: { id: string; atMs: number; key: string; payload: string }): void {
    this.put(timers, {
      consumer: this.#consumer,
      id: timer.id,
      atMs: timer.atMs,
      key: timer.key,
      payload: timer.payload,
      flowId: this.#record.flowId,
      school: this.#record.school,
    });
  }

  cancelTimer(id: string): void {
    this.remove(timers, this.#consumer, id);
  }

  gather(name: string, n: number): void {
    this.#gathered.set(name, (this.#gathered.get(name) ?? 0) + n);
  }

  #change(layout: Layout, text: string, key: readonly Cell[], cells: Cells | null): void {
    const known = this.#changed(layout, text);
    if (known !== undefined) {
      known.cells = cells;
      return;
    }
    const made: OwnChange = { layout, text, key, cells };
    this.#changes.push(made);
    if (this.#found !== undefined) this.#find(made);
    else if (this.#changes.length > MANY) {
      this.#found = new Map();
      for (const change of this.#changes) this.#find(change);
    }
  }

  #find(change: OwnChange): void {
    const of = this.#found!.get(change.layout);
    if (of === undefined) this.#found!.set(change.layout, new Map([[change.text, change]]));
    else of.set(change.text, change);
  }

  #changed(layout: Layout, text: string): OwnChange | undefined {
    if (this.#found !== undefined) return this.#found.get(layout)?.get(text);
    for (const change of this.#changes) if (change.layout === layout && change.text === text) return change;
    return undefined;
  }
}
