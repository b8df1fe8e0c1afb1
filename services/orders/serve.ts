/** Answers eduk.orders.v1 from rows, and from what still waits. */
import { allOf, decoded, type EngineView, type ListOptions, type Table } from '#bus';
import { type Implementation, implement } from '#kernel';
import type { OrderSubmitted } from '#proto/eduk/events/v1/orders';
import {
  LineRow,
  ListOrdersRequest,
  type ListOrdersResponse,
  OrderRow,
  OrdersServiceDefinition,
} from '#proto/eduk/orders/v1/orders';
import { consumer, same } from './consume.ts';
import { entriesTable, ordersTable, productsTable } from './tables.ts';

const DEFAULT_LIMIT = 100;
const MOST = 1_000;
/** Rows read at once, and rows looked at for one answer: a filter that seldom matches answers a short page and goes on. */
const PAGE = 200;
const LOOK_AT = 10_000;
/** Waiting records looked at. */
const WAITING = 100_000;

export function serve(engine: EngineView): readonly Implementation[] {
  return [
    implement(OrdersServiceDefinition, {
      /** Those a party may see: its own, and of others the lines it sells. */
      getOrder({ orderId, buyerOin, partyOin }) {
        const rows =
          buyerOin === ''
            ? engine.list(ordersTable, { index: 'by_order', equals: [orderId] })
            : [engine.get(ordersTable, buyerOin, orderId)];
        const standing = rows.flatMap((row) => (row ? OrderRow.decode(row.order) : []));
        const placed = standing.filter((order) => order.outcome === 'placed');
        // One that waits is newer than one refused under the same id.
        const waiting =
          placed.length > 0
            ? []
            : waitingOrders(engine, (order) => order.orderId === orderId, orderId).filter(
                (order) => buyerOin === '' || order.buyerOin === buyerOin,
              );
        const refused = standing.filter(
          (order) => order.outcome !== 'placed' && !waiting.some((one) => one.buyerOin === order.buyerOin),
        );
        return { orders: [...placed, ...waiting, ...refused].flatMap((order) => seenBy(order, partyOin) ?? []) };
      },
      listOrders: (asked) => listOrders(engine, asked),
      listSubjects({ schoolOin, learner }) {
        const asked = ListOrdersRequest.fromPartial({ schoolOin, learner, limit: MOST });
        const waiting = waitingFor(engine, { ...asked, tokens: same.tokensOf(engine, schoolOin, learner) });
        const { orders: standing, next } = listOrders(engine, asked);
        const orders = [...waiting, ...standing];
        return {
          // Who buys places, places again and cancels; who sells confirms.
          subjects: orders.slice(0, MOST).map(({ orderId, buyerOin, lines }) => ({
            subject: orderId,
            partyOins: [...new Set([buyerOin, ...lines.map(({ line }) => line?.sellerOin ?? '')])],
            services: [],
          })),
          // In the order of their ids: of those behind the last it is not known when they came.
          coveredFromMs: next === '' && orders.length <= MOST ? 0n : BigInt(engine.now()),
        };
      },
    }),
  ];
}

function listOrders(engine: EngineView, asked: ListOrdersRequest): ListOrdersResponse {
  const filter: Filter = { ...asked, tokens: same.tokensOf(engine, asked.schoolOin, asked.learner) };
  const orders: OrderRow[] = filter.waiting && filter.after === '' ? waitingFor(engine, filter).slice(0, MOST) : [];
  const limit = orders.length + Math.min(filter.limit || DEFAULT_LIMIT, MOST);
  let looked = 0;
  let last = '';
  for (const at of places(engine, filter)) {
    if (orders.length === limit || looked === LOOK_AT) return { orders, next: last };
    looked += 1;
    last = `${at.buyerOin}/${at.orderId}`;
    const row = engine.get(ordersTable, at.buyerOin, at.orderId);
    const order = row && seenBy(OrderRow.decode(row.order), filter.partyOin);
    if (order && matches(order, filter)) orders.push(order);
  }
  return { orders, next: '' };
}

/** `tokens`: of the learner that is asked for. */
type Filter = ListOrdersRequest & { tokens: readonly string[] };

/** The order as a party may see it: whole for its buyer and the operator, its own lines for a seller. */
function seenBy(order: OrderRow, partyOin: string): OrderRow | undefined {
  if (partyOin === '' || partyOin === order.buyerOin) return order;
  const lines = order.outcome === 'refused' ? [] : order.lines.filter(({ line }) => line?.sellerOin === partyOin);
  return lines.length === 0 ? undefined : { ...order, lines };
}

/** Judged on what the party sees: a filter tells nothing of other sellers' lines. */
const matches = (order: OrderRow, filter: Filter): boolean =>
  (filter.schoolOin === '' || order.schoolOin === filter.schoolOin) &&
  (filter.productId === '' || order.lines.some(({ line }) => line?.terms?.productId === filter.productId)) &&
  (filter.learner === '' || order.lines.some(({ line }) => filter.tokens.includes(line?.learner ?? '')));

interface Place {
  buyerOin: string;
  orderId: string;
}

/** Orders that may match, by buyer and order id, from the narrowest index that the filter names. */
function* places(engine: EngineView, filter: Filter): Generator<Place> {
  const slash = filter.after.indexOf('/');
  const after: Place | undefined =
    slash === -1 ? undefined : { buyerOin: filter.after.slice(0, slash), orderId: filter.after.slice(slash + 1) };
  if (filter.learner !== '') {
    const walks = filter.tokens.map((learner) => walk(engine, entriesTable, { equals: ['learner', learner] }, after));
    return yield* walks.reduce((all, one) => merge(all, one));
  }
  if (filter.productId !== '')
    return yield* walk(engine, entriesTable, { equals: ['product', filter.productId] }, after);
  if (filter.partyOin === '')
    return yield* walk(
      engine,
      ordersTable,
      filter.schoolOin === '' ? { equals: [] } : { index: 'by_school', equals: [filter.schoolOin] },
      after,
    );
  const bought = walk(engine, ordersTable, { equals: [filter.partyOin] }, after, filter.partyOin);
  const sold = walk(engine, entriesTable, { equals: ['seller', filter.partyOin] }, after);
  yield* merge(bought, sold);
}

/** Rows of one list in pages. `buyer`: the list is of one buyer's orders, so that its places differ in order id only. */
function* walk<Row extends Place>(
  engine: EngineView,
  from: Table<Row>,
  options: ListOptions,
  after: Place | undefined,
  buyer?: string,
): Generator<Place> {
  if (after && buyer !== undefined) {
    if (after.buyerOin > buyer) return;
    if (after.buyerOin < buyer) after = undefined;
  }
  for (;;) {
    const beyond = after && { after: buyer === undefined ? [after.buyerOin, after.orderId] : [after.orderId] };
    const rows: readonly Readonly<Row>[] = engine.list(from, { ...options, ...beyond, limit: PAGE });
    // They are looked at one by one.
    allOf(rows, (at) => engine.get(ordersTable, at.buyerOin, at.orderId));
    yield* rows;
    if (rows.length < PAGE) return;
    after = rows.at(-1);
  }
}

/** Two lists in order as one, each place once. */
function* merge(a: Generator<Place>, b: Generator<Place>): Generator<Place> {
  let x = a.next();
  let y = b.next();
  while (!x.done || !y.done) {
    const order = x.done ? 1 : y.done ? -1 : compare(x.value, y.value);
    yield (order <= 0 ? x.value : y.value) as Place;
    if (order <= 0) x = a.next();
    if (order >= 0) y = b.next();
  }
}

const compare = (a: Place, b: Place): number =>
  a.buyerOin === b.buyerOin
    ? a.orderId < b.orderId
      ? -1
      : a.orderId > b.orderId
        ? 1
        : 0
    : a.buyerOin < b.buyerOin
      ? -1
      : 1;

/** Waiting orders as a party may see them, those that the filter names. */
const waitingFor = (engine: EngineView, filter: Filter): OrderRow[] =>
  waitingOrders(
    engine,
    ({ schoolOin, lines }) =>
      (filter.schoolOin === '' || schoolOin === filter.schoolOin) &&
      (filter.productId === '' || lines.some(({ terms }) => terms?.productId === filter.productId)) &&
      (filter.learner === '' || lines.some(({ learner }) => filter.tokens.includes(learner))),
  )
    .flatMap((order) => seenBy(order, filter.partyOin) ?? [])
    .filter((order) => matches(order, filter));

/** Orders that are accepted and lack a product, one per buyer and id. With `orderId`, others are not decoded. */
function waitingOrders(engine: EngineView, wanted: (sent: OrderSubmitted) => boolean, orderId?: string): OrderRow[] {
  const orders = new Map<string, OrderRow>();
  for (const { record, scope } of engine.waiting({ consumer: consumer.name, limit: WAITING })) {
    if (record.type !== 'OrderSubmitted' || (orderId !== undefined && !scope.endsWith(`/${orderId}`))) continue;
    const sent = decoded(record, 'OrderSubmitted');
    const place = `${sent.buyerOin}/${sent.orderId}`;
    if (!wanted(sent) || orders.has(place)) continue;
    const products = new Set(sent.lines.map(({ terms }) => terms?.productId ?? ''));
    const known = allOf(products, (id) => ({ id, row: engine.get(productsTable, id) }));
    const waitsFor = known.flatMap(({ id, row }) => (row ? [] : [id])).sort();
    const { schoolOin, buyerOin, expected } = sent;
    const lines = sent.lines.map((line) => LineRow.fromPartial({ line }));
    orders.set(
      place,
      OrderRow.fromPartial({
        orderId: sent.orderId,
        schoolOin,
        buyerOin,
        expected,
        lines,
        outcome: 'waiting',
        waitsFor,
        flowId: record.flowId,
        placedMs: BigInt(record.timeMs),
      }),
    );
  }
  return [...orders.values()];
}
