/** Loads what a snapshot lacks, and writes what a group left: one statement a table and kind, rows as arrays. */
import type { Cell, Cells, Layout } from '../cells.ts';
import { keyText } from '../cells.ts';
import { orderOf, plain } from '../compare.ts';
import type { ColumnType, ListOptions } from '../port.ts';
import type { Change } from '../store.ts';
import { arrayOf } from './arrays.ts';
import { type Pinned, type Send, statementName } from './connection.ts';
import { placeOf, quoted } from './schema.ts';
import type { Snapshot, WantedList } from './snapshot.ts';

const elements = { text: 'text', int: 'bigint', real: 'float8', blob: 'bytea', json: 'text' } as const;
/** What `columnOf` gives, as a statement casts it. */
export const arrayType = (type: ColumnType): string => `${elements[type]}[]`;

/** Values of one column for PostgreSQL. */
export const columnOf = (rows: readonly (readonly Cell[])[], at: number, type: ColumnType): Buffer =>
  arrayOf(
    elements[type],
    rows.map((row) => row[at] ?? null),
  );

/** A view of the same memory; the database library takes nothing else for bytes. */
export const asBuffer = (bytes: Uint8Array | null | undefined): Buffer | null =>
  bytes === null || bytes === undefined
    ? null
    : Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

interface Statements {
  get: string;
  put: string;
  remove: string;
  columns: string;
}
const statements = new WeakMap<Layout, Map<string, Statements>>();

function statementsOf(service: string, layout: Layout): Statements {
  let byService = statements.get(layout);
  if (byService === undefined) {
    byService = new Map();
    statements.set(layout, byService);
  }
  const known = byService.get(service);
  if (known !== undefined) return known;
  const place = placeOf(service, layout.table);
  const { columns, types, keySize } = layout;
  const all = columns.map(quoted).join(', ');
  const keys = columns.slice(0, keySize);
  const keyArrays = keys.map((_, at) => `$${at + 1}::${arrayType(types[at]!)}`).join(', ');
  const keyNames = keys.map((_, at) => `k${at}`).join(', ');
  const onKey = keys.map((name, at) => `t.${quoted(name)} = u.k${at}`).join(' AND ');
  const values = columns.slice(keySize);
  const made: Statements = {
    columns: columns.map((name) => `t.${quoted(name)}`).join(', '),
    get: `SELECT ${columns.map((name) => `t.${quoted(name)}`).join(', ')} FROM unnest(${keyArrays}) u (${keyNames}) JOIN ${place} t ON ${onKey}`,
    put: `INSERT INTO ${place} (${all}) SELECT * FROM unnest(${types.map((type, at) => `$${at + 1}::${arrayType(type)}`).join(', ')}) ON CONFLICT (${keys.map(quoted).join(', ')}) DO ${
      values.length === 0
        ? 'NOTHING'
        : `UPDATE SET ${values.map((name) => `${quoted(name)} = excluded.${quoted(name)}`).join(', ')}`
    }`,
    remove: `DELETE FROM ${place} t USING unnest(${keyArrays}) u (${keyNames}) WHERE ${onKey}`,
  };
  byService.set(service, made);
  return made;
}

/**
 * Loads everything the snapshot was asked for in vain. Answers how many statements that took. Throws `StoreFailure`.
 * `together`: keys are looked up with those that others ask for in the same moment.
 */
export async function loadWanted(
  database: Pick<Pinned, 'cells'>,
  service: string,
  snapshot: Snapshot,
  together?: Together,
): Promise<number> {
  const wanted = snapshot.takeWanted();
  const loads = wanted.flatMap(({ layout, keys, lists }) => [
    ...(keys.size > 0
      ? [together?.load(snapshot, layout, keys) ?? loadKeys(database, service, layout, [{ snapshot, keys }])]
      : []),
    ...byShape([...lists.values()]).map((alike) => loadLists(database, service, snapshot, layout, alike)),
  ]);
  await Promise.all(loads);
  return loads.length;
}

type Keys = ReadonlyMap<string, readonly Cell[]>;

interface Asker {
  snapshot: Snapshot;
  keys: Keys;
}

/** Calls that come in one frame ask in one moment, each for a row or two: one statement finds all of a table. */
export class Together {
  readonly #database: Pick<Pinned, 'cells'>;
  readonly #service: string;
  readonly #open = new Map<Layout, { askers: Asker[]; found: Promise<void> }>();

  constructor(database: Pick<Pinned, 'cells'>, service: string) {
    this.#database = database;
    this.#service = service;
  }

  /** Resolves when the snapshot knows them. Throws `StoreFailure`. */
  load(snapshot: Snapshot, layout: Layout, keys: Keys): Promise<void> {
    let open = this.#open.get(layout);
    if (open === undefined) {
      const askers: Asker[] = [];
      // Once all who were called in this moment have asked.
      const found = Promise.resolve().then(() => {
        this.#open.delete(layout);
        return loadKeys(this.#database, this.#service, layout, askers);
      });
      open = { askers, found };
      this.#open.set(layout, open);
    }
    open.askers.push({ snapshot, keys });
    return open.found;
  }
}

async function loadKeys(
  database: Pick<Pinned, 'cells'>,
  service: string,
  layout: Layout,
  askers: readonly Asker[],
): Promise<void> {
  const asked = new Map(askers.flatMap(({ keys }) => [...keys]));
  const rows = [...asked.values()];
  const cells = await database.cells(
    statementsOf(service, layout).get,
    layout.types.slice(0, layout.keySize).map((type, at) => columnOf(rows, at, type)),
  );
  const found = new Map((cells as Cells[]).map((row) => [keyText(layout, row), row]));
  for (const { snapshot, keys } of askers)
    for (const text of keys.keys()) snapshot.know(layout, text, found.get(text) ?? null);
}

const shapeOf = ({ index = '', equals, after, descending = false }: ListOptions): string =>
  `${index} ${equals.length} ${after?.length ?? -1} ${descending}`;

function byShape(lists: readonly WantedList[]): WantedList[][] {
  const shapes = new Map<string, WantedList[]>();
  for (const list of lists) {
    const shape = shapeOf(list.options);
    const alike = shapes.get(shape);
    if (alike === undefined) shapes.set(shape, [list]);
    else alike.push(list);
  }
  return [...shapes.values()];
}

/** Lists of one shape: as many ranges of one index, each with its own limit. */
async function loadLists(
  database: Pick<Pinned, 'cells'>,
  service: string,
  snapshot: Snapshot,
  layout: Layout,
  alike: readonly WantedList[],
): Promise<void> {
  const { index = '', equals, after, descending = false } = alike[0]!.options;
  const order = orderOf(layout, index);
  const bounds = [...equals, ...(after ?? [])].map((_, i) => order[i]!);
  const name = (at: number) => `t.${quoted(layout.columns[at]!)}`;
  const parts = equals.map((_, i) => `${name(order[i]!)} = u.b${i}`);
  if (after !== undefined && after.length > 0) {
    const columns = after.map((_, i) => name(order[equals.length + i]!));
    const values = after.map((_, i) => `u.b${equals.length + i}`);
    parts.push(`(${columns.join(', ')}) ${descending ? '<' : '>'} (${values.join(', ')})`);
  }
  const ordered = order
    .map(
      (at) =>
        `${name(at)}${descending ? ' DESC' : ''}${at < layout.keySize ? '' : descending ? ' NULLS LAST' : ' NULLS FIRST'}`,
    )
    .join(', ');
  const arrays = bounds.map((at, i) => `$${i + 1}::${arrayType(layout.types[at]!)}`);
  const limits = `$${bounds.length + 1}::bigint[]`;
  const names = [...bounds.map((_, i) => `b${i}`), 'most', 'ord'].join(', ');
  const { columns } = statementsOf(service, layout);
  const text = `SELECT l.* FROM unnest(${[...arrays, limits].join(', ')}) WITH ORDINALITY u (${names}) CROSS JOIN LATERAL (SELECT u.ord, ${columns} FROM ${placeOf(service, layout.table)} t ${
    parts.length > 0 ? `WHERE ${parts.join(' AND ')}` : ''
  } ORDER BY ${ordered} LIMIT u.most) l`;
  const asked = alike.map(({ options }) => [...options.equals, ...(options.after ?? [])].map(plain));
  const rows = await database.cells(text, [
    ...bounds.map((at, i) => columnOf(asked, i, layout.types[at]!)),
    arrayOf(
      'bigint',
      alike.map(({ limit }) => limit),
    ),
  ]);
  const found = alike.map((): Cells[] => []);
  for (const [ord, ...cells] of rows) found[Number(ord) - 1]!.push(cells as Cells);
  for (const [i, list] of alike.entries()) snapshot.knowList(layout, list, found[i]!);
}

/** Writes what a group left of one table's rows. */
export function saveChanges(send: Send, service: string, layout: Layout, changes: readonly Change[]): void {
  const { put, remove } = statementsOf(service, layout);
  const kept = changes.flatMap(({ cells }) => (cells === null ? [] : [cells]));
  const removed = changes.flatMap(({ key, cells }) => (cells === null ? [key] : []));
  if (removed.length > 0)
    send({
      name: statementName(remove),
      text: remove,
      values: layout.types.slice(0, layout.keySize).map((type, at) => columnOf(removed, at, type)),
    });
  if (kept.length > 0)
    send({
      name: statementName(put),
      text: put,
      values: layout.types.map((type, at) => columnOf(kept, at, type)),
    });
}
