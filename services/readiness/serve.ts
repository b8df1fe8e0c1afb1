/** Answers eduk.readiness.v1 from the counts. */
import type { EngineView, Table } from '#bus';
import { type Implementation, implement } from '#kernel';
import {
  type ListNeedsRequest,
  type ListNeedsResponse,
  type NeedCell,
  type NeedDay,
  ReadinessServiceDefinition,
} from '#proto/eduk/readiness/v1/readiness';
import { countedCells, daysOf } from './cells.ts';
import { type Cell, cells, days as dayTable, type Tally, type Total, type TotalDay, totals } from './tables.ts';

/** Products on a page where the caller names no number, and the most it may name. */
const PRODUCTS = 200;
const MOST_PRODUCTS = 1_000;
const ROWS = 1_000;
/** Comes after every OIN and token. */
const LAST = '~';

export const serve = (engine: EngineView): readonly Implementation[] => [
  implement(ReadinessServiceDefinition, { listNeeds: (request) => listNeeds(engine, request) }),
];

function listNeeds(engine: EngineView, request: ListNeedsRequest): ListNeedsResponse {
  const { schoolOin: school, schoolYear: year, byGroup, productId } = request;
  const limit = Math.min(request.limit || PRODUCTS, MOST_PRODUCTS);
  const of = (after: string, most: number) => ({ school, year, productId, after, most });
  const grouped = products<Cell>(engine, cells, of(request.after, limit));
  const found: NeedCell[] = [];
  const last = grouped.at(-1)?.[0].product ?? '';
  // Days of products of which nothing is wanted any more are left out with them.
  const days = new Map<string, TotalDays[]>();
  if (!byGroup && grouped.length > 0) {
    const all = of(request.after, Number.POSITIVE_INFINITY);
    const before = new Map(
      products<TotalDay>(engine, dayTable, all, last).map((rows) => [rows[0].product, rows] as const),
    );
    for (const rows of products<Total>(engine, totals, all, last))
      days.set(
        rows[0].product,
        rows.map((total) => daysOfTotal(total, before.get(total.product) ?? [])),
      );
  }
  for (const rows of grouped) {
    const { product } = rows[0];
    const counted = countedCells(rows, byGroup);
    const trend = byGroup ? new Map<string, NeedDay[]>() : daysOf(days.get(product) ?? []);
    for (const { group, buyer, seller, counts } of counted)
      found.push({
        productId: product,
        group,
        buyerOin: buyer,
        sellerOin: seller,
        counts: Object.entries(counts).map(([name, count]) => {
          const [state = '', code = ''] = name.split(' ');
          return { state, code, count };
        }),
        days: trend.get(`${buyer} ${seller}`) ?? [],
      });
  }
  return { cells: found, next: productId === '' && grouped.length === limit ? last : '' };
}

interface TotalDays {
  buyer: string;
  seller: string;
  days: [day: string, counts: Tally][];
}

/** How a total stood at the end of each day on which it changed, the oldest first. */
function daysOfTotal({ buyer, seller, counts, day, days = [] }: Total, before: readonly TotalDay[]): TotalDays {
  const ofRows = before.filter((row) => row.buyer === buyer && row.seller === seller);
  return {
    buyer,
    seller,
    days: [
      ...days,
      ...ofRows.map((row): [string, Tally] => [row.day, row.counts]),
      ...(day ? [[day, counts] as const] : []),
    ].map(([on, stood]) => [on, stood]),
  };
}

/** Rows of so many products, or of those through one, each product's together. */
function products<Row extends Cell | Total | TotalDay>(
  engine: EngineView,
  table: Table<Row>,
  asked: { school: string; year: string; productId: string; after: string; most: number },
  through = '',
): [Row, ...Row[]][] {
  const { school, year, productId, most } = asked;
  const found: [Row, ...Row[]][] = [];
  const equals = [school, year, ...(productId === '' ? [] : [productId])];
  // Columns of the key after school, year and product.
  const columns = table.key.slice(3);
  const behind = columns.map(() => LAST);
  let after: string[] | undefined = productId === '' && asked.after !== '' ? [asked.after, ...behind] : undefined;
  for (;;) {
    const page = engine.list(table, { equals, ...(after ? { after } : {}), limit: ROWS });
    for (const row of page as readonly Row[]) {
      const { product } = row;
      if (through !== '' && product > through) return found;
      const open = found.at(-1);
      if (open?.[0].product === product) open.push(row);
      else if (found.length === most) return found;
      else found.push([row]);
    }
    const row = page.at(-1) as Row | undefined;
    if (row === undefined || page.length < ROWS) return found;
    const rest = columns.map((column) => String(row[column]));
    after = [...(productId === '' ? [row.product] : []), ...rest];
  }
}
