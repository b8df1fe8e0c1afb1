/** What is read of the engine's SQLite file, whichever connection asks. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { GatewayError } from '#kernel';
import type { Cell, Cells, Layout } from './cells.ts';
import type { KeyValue, ListOptions } from './port.ts';
import { type Reference, type Store, StoreFailure } from './store.ts';

export const quoted = (name: string): string => `"${name}"`;
export const list = (names: readonly string[]): string => names.map(quoted).join(', ');
export const marks = (count: number): string => `(${Array(count).fill('?').join(', ')})`;

/** A statement whose rows are arrays: no object is made that nobody reads by name. */
export function arrays(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  return statement;
}

interface TableStatements {
  get: StatementSync;
  lists: Map<string, StatementSync>;
}

/** Throws `StoreFailure` where the file cannot be read. */
export class SqliteRows implements Pick<Store, 'get' | 'list' | 'reference'> {
  readonly #db: DatabaseSync;
  readonly #tables = new Map<string, TableStatements>();
  #claimed: StatementSync | undefined;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  get(layout: Layout, key: readonly Cell[]): Cells | undefined {
    try {
      return this.#of(layout).get.get(...(key as SQLInputValue[]).slice(0, layout.keySize)) as unknown as
        | Cells
        | undefined;
    } catch (thrown) {
      throw new StoreFailure(thrown);
    }
  }

  list(layout: Layout, options: ListOptions): readonly Cells[] {
    const { index = '', equals, after = [], descending = false, limit } = options;
    const order = layout.orders.get(index);
    if (order === undefined) throw new GatewayError('gateway.bug', `table ${layout.name} has no index ${index}`);
    if (equals.length + after.length > order.length)
      throw new GatewayError('gateway.bug', `too many values to list ${layout.name}`);
    const of = this.#of(layout);
    const id = `${index} ${equals.length} ${after.length} ${descending}`;
    let statement = of.lists.get(id);
    if (statement === undefined) {
      const columns = order.map((at) => layout.columns[at]!);
      const match = columns.slice(0, equals.length).map((column) => `${quoted(column)} = ?`);
      const rest = columns.slice(equals.length, equals.length + after.length);
      if (rest.length > 0) match.push(`(${list(rest)}) ${descending ? '<' : '>'} ${marks(rest.length)}`);
      statement = arrays(
        this.#db,
        `SELECT ${list(layout.columns)} FROM ${quoted(layout.name)}${match.length > 0 ? ` WHERE ${match.join(' AND ')}` : ''}` +
          ` ORDER BY ${columns.map((column) => `${quoted(column)}${descending ? ' DESC' : ''}`).join(', ')} LIMIT ?`,
      );
      of.lists.set(id, statement);
    }
    const values = [...equals, ...after].map((value: KeyValue) => (typeof value === 'bigint' ? Number(value) : value));
    try {
      return statement.all(...values, limit === undefined || limit === Infinity ? -1 : limit) as unknown as Cells[];
    } catch (thrown) {
      throw new StoreFailure(thrown);
    }
  }

  reference(claim: Uint8Array): Reference | undefined {
    const found = this.claimed(claim);
    if (found === undefined) return undefined;
    const { digest, digestVersion, answer, flowId, rememberUntilMs } = found;
    return { claim, digest, digestVersion, answer, flowId, rememberUntilMs };
  }

  /** As `reference`, with the place of its answer. */
  claimed(claim: Uint8Array): (Reference & { place: number }) | undefined {
    this.#claimed ??= arrays(
      this.#db,
      'SELECT a.digest, a.digest_version, a.answer, a.flow, a.until_ms, r.answer FROM bus_references r JOIN bus_answers a ON a.id = r.answer WHERE r.claim = ?',
    );
    let found: unknown;
    try {
      found = this.#claimed.get(claim);
    } catch (thrown) {
      throw new StoreFailure(thrown);
    }
    if (found === undefined) return undefined;
    const [digest, digestVersion, answer, flowId, rememberUntilMs, place] = found as [
      Uint8Array,
      number,
      Uint8Array,
      Uint8Array,
      number,
      number,
    ];
    return { claim, digest, digestVersion, answer, flowId, rememberUntilMs, place };
  }

  #of(layout: Layout): TableStatements {
    let of = this.#tables.get(layout.name);
    if (of === undefined) {
      const { columns, keySize } = layout;
      const match = columns
        .slice(0, keySize)
        .map((column) => `${quoted(column)} = ?`)
        .join(' AND ');
      of = {
        get: arrays(this.#db, `SELECT ${list(columns)} FROM ${quoted(layout.name)} WHERE ${match}`),
        lists: new Map(),
      };
      this.#tables.set(layout.name, of);
    }
    return of;
  }
}
