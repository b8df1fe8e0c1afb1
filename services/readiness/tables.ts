/** Rows of this service. What a need is counted in follows from its row, so that it can be taken out of the counts again. */
import { asideTable, forgottenTable, mergedTable, table } from '#bus';

const retention = 'RETENTION_RESULT';

/** What is known of an order line. */
export interface LineCell {
  /** How many. */
  q: number;
  s: 'waiting' | 'refused' | 'placed' | 'declined' | 'confirmed' | 'gone';
  /** Buyer and seller. */
  b: string;
  e: string;
  /** School year. */
  y: string;
  /** 1 = the line itself says so. */
  d?: number;
  /** Fault of a refusal. */
  c?: string;
}

/** What is known of an entitlement. `moved`: swapped, or gone along with who left. */
export interface RightCell {
  s: 'not_granted' | 'granted' | 'provisioned' | 'opened' | 'blocked' | 'expired' | 'withdrawn' | 'moved';
  /** Who granted. */
  g: string;
  /** First and last school year. */
  y: string;
  z: string;
  /** How many learners may take one. */
  n?: number;
  /** Order and line that it is for. */
  l?: string;
  /** Fault of a refusal. */
  c?: string;
}

export interface Need {
  school: string;
  /** `l:` and a learner's token, `g:` and a group's token, empty = the whole school. */
  holder: string;
  product: string;
  /** By buyer, order and line. */
  lines: ReadonlyMap<string, LineCell>;
  /** By entitlement id. */
  rights: ReadonlyMap<string, RightCell>;
}

/** A cell, and the names of all that are alike: what somebody was given ten times is said once. */
export type Alike<Cell> = [cell: Cell, ...names: string[]];

/** A need as it is kept: each row is read again with the next that is said of it, so it is short. */
export interface NeedRow {
  school: string;
  holder: string;
  product: string;
  /** Absent = none; by name, as rows were before. */
  lines?: readonly Alike<LineCell>[] | Readonly<Record<string, LineCell>> | undefined;
  rights?: readonly Alike<RightCell>[] | Readonly<Record<string, RightCell>> | undefined;
}

export const needOf = ({ school, holder, product, lines, rights }: Readonly<NeedRow>): Need => ({
  school,
  holder,
  product,
  lines: byName(lines),
  rights: byName(rights),
});

export const needRow = ({ school, holder, product, lines, rights }: Need): NeedRow => ({
  school,
  holder,
  product,
  lines: alike(lines),
  rights: alike(rights),
});

function byName<Cell>(kept: readonly Alike<Cell>[] | Readonly<Record<string, Cell>> | undefined): Map<string, Cell> {
  const found = new Map<string, Cell>();
  if (kept === undefined) return found;
  if (!Array.isArray(kept)) return new Map(Object.entries(kept));
  for (const group of kept as readonly Alike<Cell>[])
    for (let i = 1; i < group.length; i++) found.set(group[i] as string, group[0]);
  return kept.length > 1 ? new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1))) : found;
}

function alike<Cell extends object>(cells: ReadonlyMap<string, Cell>): Alike<Cell>[] | undefined {
  if (cells.size === 0) return undefined;
  const groups: Alike<Cell>[] = [];
  for (const [name, cell] of cells) {
    const group = groups.find(([one]) => one === cell) ?? groups.find(([one]) => isAlike(one, cell));
    if (group) group.push(name);
    else groups.push([cell, name]);
  }
  return groups;
}

function isAlike<Cell extends object>(a: Cell, b: Cell): boolean {
  const names = Object.keys(a) as (keyof Cell)[];
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

export const needs = table<NeedRow>({
  name: 'readiness_needs',
  key: ['school', 'holder', 'product'],
  columns: { school: 'text', holder: 'text', product: 'text', lines: 'json', rights: 'json' },
  retention,
});

/** Where the lines of an order are. */
export interface OrderLines {
  buyer: string;
  order: string;
  school: string;
  /** The last school year of its lines, after which it goes. */
  year: string;
  /** The year that a line without days is for: by when the order was sent, whenever it was decided. */
  asked: string;
  state: 'sent' | 'placed' | 'refused';
  /** By line: holder and product; holder `x` = a learner who was forgotten. */
  lines: Record<string, [holder: string, product: string]>;
}

export const orders = table<OrderLines>({
  name: 'readiness_orders',
  key: ['buyer', 'order'],
  columns: { buyer: 'text', order: 'text', school: 'text', year: 'text', asked: 'text', state: 'text', lines: 'json' },
  indexes: { year: ['school', 'year'] },
  retention,
});

/** In which group a learner is, by school year; `-` = left. */
export interface Pupil {
  school: string;
  learner: string;
  years: Record<string, string>;
}

export const pupils = table<Pupil>({
  name: 'readiness_pupils',
  key: ['school', 'learner'],
  columns: { school: 'text', learner: 'text', years: 'json' },
  retention,
});

/** Counts by `l state code` (of learners) and `c state code` (by count); `d` = of learners, taken from a count. */
export type Tally = Record<string, number>;

/** Of one group, or of none. */
export interface Cell {
  school: string;
  year: string;
  product: string;
  group: string;
  buyer: string;
  seller: string;
  counts: Tally;
}

export const cells = table<Cell>({
  name: 'readiness_cells',
  key: ['school', 'year', 'product', 'group', 'buyer', 'seller'],
  columns: {
    school: 'text',
    year: 'text',
    product: 'text',
    group: 'text',
    buyer: 'text',
    seller: 'text',
    counts: 'json',
  },
  retention,
});

/** Of the whole school, as it stands now. */
export interface Total {
  school: string;
  year: string;
  product: string;
  buyer: string;
  seller: string;
  counts: Tally;
  /** On which it changed last: it stands so since, and at the end of that day. */
  day?: string;
  /** On which something of it was counted first. */
  since?: string;
  /** Days before, as rows were before they had a table: they go there with the next change. */
  days?: [day: string, counts: Tally][];
}

export const totals = table<Total>({
  name: 'readiness_totals',
  key: ['school', 'year', 'product', 'buyer', 'seller'],
  columns: {
    school: 'text',
    year: 'text',
    product: 'text',
    buyer: 'text',
    seller: 'text',
    counts: 'json',
    day: 'text',
    since: 'text',
    days: 'json',
  },
  retention,
});

/** How a total stood at the end of an earlier day on which it changed: written once, on the next day on which it changes. */
export interface TotalDay {
  school: string;
  year: string;
  product: string;
  buyer: string;
  seller: string;
  day: string;
  counts: Tally;
}

export const days = table<TotalDay>({
  name: 'readiness_days',
  key: ['school', 'year', 'product', 'buyer', 'seller', 'day'],
  columns: {
    school: 'text',
    year: 'text',
    product: 'text',
    buyer: 'text',
    seller: 'text',
    day: 'text',
    counts: 'json',
  },
  retention,
});

/** Years of a school of which something is kept, and whose end therefore has a timer. */
export interface Year {
  school: string;
  year: string;
}

export const years = table<Year>({
  name: 'readiness_years',
  key: ['school', 'year'],
  columns: { school: 'text', year: 'text' },
  retention,
});

export const forgotten = forgottenTable('readiness_forgotten', retention);

/** What a learner needed who waits to be forgotten, by product: a `Need`; and the `Pupil`. */
export const aside = asideTable('readiness_aside', retention);

/** Whose second tokens are counted with them. */
export const merged = mergedTable('readiness_merged');

export const tables = [needs, orders, pupils, cells, totals, days, years, forgotten, aside, merged];
