/** Record → decision → rows and events. */
import {
  type Consumer,
  decoded,
  emit,
  type LogRecord,
  leavesOn,
  MergedLearners,
  SetAside,
  terms,
  type Unit,
} from '#bus';
import { endOfDutchDay, isDay, schoolYearOf, startOfDutchDay } from '#kernel';
import { ProductState } from '#proto/eduk/core/v1/product';
import type { ProductPublished } from '#proto/eduk/events/v1/catalogue';
import type { OrderCancelSubmitted, OrderConfirmSubmitted, OrderSubmitted } from '#proto/eduk/events/v1/orders';
import { OrderRow } from '#proto/eduk/orders/v1/orders';
import type { EventOf } from '#proto/events';
import {
  confirmTooLate,
  decideCancel,
  decideConfirm,
  decideOrder,
  evolve,
  type OrderEvent,
  type OrderWorld,
  orderName,
  orderTooLate,
  productName,
  withLearner,
  withoutLearner,
} from './order.ts';
import {
  type EntryTableRow,
  entriesTable,
  forgottenTable,
  linesAside,
  mergedLearners,
  ordersTable,
  productsTable,
} from './tables.ts';

const kept = new SetAside(linesAside);
export const same = new MergedLearners(mergedLearners);

/** How long an order waits for its products (ours), and a confirmation for its order. Milliseconds. */
const PRODUCT_WAIT_MS = 24 * 3_600_000;
const ORDER_WAIT_MS = 60_000;
/** Orders that lose their learners, or leave, in one unit of work. */
const LEAVE_AT_ONCE = 200;

export const consumer: Consumer = {
  name: 'orders',
  streams: ['orders', 'catalogue', 'rosters'],
  types: [
    'OrderSubmitted',
    'OrderConfirmSubmitted',
    'OrderCancelSubmitted',
    'ProductPublished',
    'LearnerForgotten',
    'LearnerKept',
    'LearnersMerged',
    'LearnersMergeUndone',
  ],

  handle(record, unit) {
    switch (record.type) {
      case 'OrderSubmitted':
        return onOrder(decoded(record, 'OrderSubmitted'), record, unit);
      case 'OrderConfirmSubmitted':
        return onConfirm(decoded(record, 'OrderConfirmSubmitted'), record, unit, true);
      case 'OrderCancelSubmitted':
        return onCancel(decoded(record, 'OrderCancelSubmitted'), record, unit);
      case 'ProductPublished':
        return onProduct(decoded(record, 'ProductPublished'), unit);
      case 'LearnerForgotten':
        return onForgotten(decoded(record, 'LearnerForgotten'), unit);
      case 'LearnerKept':
        return onKept(decoded(record, 'LearnerKept'), unit);
      case 'LearnersMerged':
        return same.add(unit, decoded(record, 'LearnersMerged'));
      case 'LearnersMergeUndone':
        return same.remove(unit, decoded(record, 'LearnersMergeUndone'));
    }
  },

  onDeadline(record, _what, unit) {
    if (record.type === 'OrderSubmitted') {
      const sent = decoded(record, 'OrderSubmitted');
      conclude(unit, load(unit, sent.buyerOin, sent.orderId), [orderTooLate(sent, world(unit))], record, sent);
      unit.wake(orderName(sent.schoolOin, sent.orderId));
    } else onConfirm(decoded(record, 'OrderConfirmSubmitted'), record, unit, false);
  },

  /** A year is over: its orders lose their learners, its learners leave the list of the forgotten, or its orders leave. */
  onTimer(timer, unit) {
    if (kept.onTimer(timer, unit)) return;
    const [what, which] = timer.payload.split(' ') as [string, string];
    if (what === 'forgotten') {
      unit.remove(forgottenTable, which);
      return;
    }
    const index = what === 'forget' ? 'by_forget' : 'by_leave';
    const rows = unit.list(ordersTable, { index, equals: [timer.key, which], limit: LEAVE_AT_ONCE });
    for (const row of rows) {
      const order = OrderRow.decode(row.order);
      if (what === 'forget')
        save(
          unit,
          order,
          withoutLearner(order, () => true),
          '',
        );
      else remove(unit, order);
    }
    if (rows.length === LEAVE_AT_ONCE)
      unit.setTimer({ id: timer.id, atMs: unit.now + 1, key: timer.key, payload: timer.payload });
  },

  /**
   * An order and what its buyer says of it later rest together, and hold up nothing else of the school. What a seller says
   * rests apart: it may wait for the very order that comes behind it.
   */
  scope(record) {
    switch (record.type) {
      case 'OrderSubmitted': {
        const { schoolOin, orderId } = decoded(record, 'OrderSubmitted');
        return orderName(schoolOin, orderId);
      }
      case 'OrderCancelSubmitted': {
        const { schoolOin, orderId } = decoded(record, 'OrderCancelSubmitted');
        return orderName(schoolOin, orderId);
      }
      case 'OrderConfirmSubmitted': {
        const { schoolOin, orderId, sellerOin } = decoded(record, 'OrderConfirmSubmitted');
        return `${orderName(schoolOin, orderId)}/${sellerOin}`;
      }
      default:
        return `${record.stream}/${record.key}`;
    }
  },
};

function onOrder(given: OrderSubmitted, record: LogRecord, unit: Unit): void {
  const standing = load(unit, given.buyerOin, given.orderId);
  const sent = asItStands(unit, standing, given);
  const decision = decideOrder(standing, sent, world(unit));
  // Counted from when it was sent; but a gateway that was down for a day still looks once at what it missed.
  if ('lacks' in decision)
    unit.wait(decision.lacks, Math.max(record.timeMs + PRODUCT_WAIT_MS, unit.now + ORDER_WAIT_MS));
  conclude(unit, standing, decision, record, sent);
  unit.wake(orderName(sent.schoolOin, sent.orderId));
}

/** A line for who was merged since names the token that the standing line names: the same order again. */
function asItStands(unit: Unit, standing: OrderRow | undefined, sent: OrderSubmitted): OrderSubmitted {
  const { schoolOin: school } = sent;
  const before = new Map(standing?.lines.map(({ line }) => [line?.terms?.lineId ?? '', line?.learner ?? '']));
  const lines = sent.lines.map((line) => {
    const learner = before.get(line.terms?.lineId ?? '') || line.learner;
    const isSame =
      learner !== line.learner && same.winnerOf(unit, school, learner) === same.winnerOf(unit, school, line.learner);
    return isSame ? { ...line, learner } : line;
  });
  return lines.every((line, i) => line === sent.lines[i]) ? sent : { ...sent, lines };
}

function onConfirm(asked: OrderConfirmSubmitted, record: LogRecord, unit: Unit, mayWait: boolean): void {
  const { orderId, schoolOin } = asked;
  const orders = unit
    .list(ordersTable, { index: 'by_order', equals: [orderId, schoolOin] })
    .map((row) => OrderRow.decode(row.order));
  const decision = decideConfirm(orders, asked);
  if ('lacks' in decision) {
    if (mayWait) unit.wait(decision.lacks, unit.now + ORDER_WAIT_MS);
    conclude(unit, undefined, [confirmTooLate(asked)], record);
    return;
  }
  const changed = decision[0]?.type === 'OrderLinesChanged' ? decision[0].value.buyerOin : undefined;
  conclude(
    unit,
    orders.find((order) => order.buyerOin === changed),
    decision,
    record,
  );
}

function onCancel(asked: OrderCancelSubmitted, record: LogRecord, unit: Unit): void {
  const standing = load(unit, asked.buyerOin, asked.orderId);
  conclude(unit, standing, decideCancel(standing, asked), record);
}

function onProduct({ product }: ProductPublished, unit: Unit): void {
  if (!product) return;
  const { productId, publisherOin, state } = product;
  const withdrawn = state === ProductState.PRODUCT_STATE_WITHDRAWN ? 1 : 0;
  const known = unit.get(productsTable, productId);
  if (known?.publisherOin !== publisherOin || known.withdrawn !== withdrawn)
    unit.put(productsTable, { productId, publisherOin, withdrawn });
  if (!known) unit.wake(productName(productId));
}

function onForgotten({ learner, schoolOin, destroyAtMs }: EventOf<'LearnerForgotten'>, unit: Unit): void {
  kept.open(unit, schoolOin, learner, Number(destroyAtMs));
  if (!unit.get(forgottenTable, learner)) {
    unit.put(forgottenTable, { learner, schoolOin });
    const atMs = terms['RETENTION_ROSTER']!.end(unit.now);
    unit.setTimer({ id: `forgotten:${learner}`, atMs, key: schoolOin, payload: `forgotten ${learner}` });
  }
  for (const { buyerOin, orderId } of unit.list(entriesTable, { equals: ['learner', learner] })) {
    const row = unit.get(ordersTable, buyerOin, orderId);
    if (!row) continue;
    const order = OrderRow.decode(row.order);
    const lines = order.lines.flatMap(({ line }) => (line?.learner === learner ? [line.terms?.lineId ?? ''] : []));
    kept.put(unit, schoolOin, learner, `${buyerOin} ${orderId}`, { lines } satisfies Lines);
    save(
      unit,
      order,
      withoutLearner(order, (one) => one === learner),
      row.forgetAfter,
    );
  }
}

interface Lines {
  lines: string[];
}

/** The forgetting was taken back: lines name the learner again, unless the school year of their order ended meanwhile. */
function onKept({ learner, schoolOin }: EventOf<'LearnerKept'>, unit: Unit): void {
  if (unit.get(forgottenTable, learner)) {
    unit.remove(forgottenTable, learner);
    unit.cancelTimer(`forgotten:${learner}`);
  }
  for (const { part, held } of kept.take<Lines>(unit, schoolOin, learner)) {
    const [buyerOin = '', ...orderId] = part.split(' ');
    const row = unit.get(ordersTable, buyerOin, orderId.join(' '));
    if (!row || row.forgetAfter === '') continue;
    const order = OrderRow.decode(row.order);
    const named = withLearner(order, learner, new Set(held.lines));
    save(unit, order, named, row.forgetAfter);
  }
}

const world = (unit: Unit): OrderWorld => ({
  product(productId) {
    const row = unit.get(productsTable, productId);
    return row && { publisherOin: row.publisherOin, withdrawn: row.withdrawn === 1 };
  },
  forgotten: (learner) => unit.get(forgottenTable, learner) !== undefined,
});

function load(unit: Unit, buyerOin: string, orderId: string): OrderRow | undefined {
  const row = unit.get(ordersTable, buyerOin, orderId);
  return row && OrderRow.decode(row.order);
}

/** Saves what the events made of the order, and says them. */
function conclude(
  unit: Unit,
  before: OrderRow | undefined,
  events: readonly OrderEvent[],
  record: LogRecord,
  sent?: OrderSubmitted,
): void {
  const about = { flowId: record.flowId, atMs: record.timeMs, sent };
  const after = events.reduce<OrderRow | undefined>((order, event) => evolve(order, event, about), before);
  // Nothing can be kept of an order without a name, nor of a learner who was forgotten while the order waited.
  if (after && after !== before && after.buyerOin !== '' && after.orderId !== '') {
    const kept = after.outcome === 'refused' ? withoutLearner(after, world(unit).forgotten) : after;
    save(unit, before, kept, forgetAfter(kept, record.timeMs, unit));
    const year = leaveYear(kept);
    if (before?.placedMs !== kept.placedMs)
      unit.setTimer({
        id: `leave:${kept.schoolOin}/${year}`,
        atMs: endOfDutchDay(`${year}-12-31`),
        key: kept.schoolOin,
        payload: `leave ${year}`,
      });
  }
  for (const event of events) say(unit, event, record.key);
}

/** Writes an order and where it is found. */
function save(unit: Unit, before: OrderRow | undefined, after: OrderRow, forgetAfter: string): void {
  const { buyerOin, orderId, schoolOin } = after;
  const order = OrderRow.encode(after).finish();
  unit.put(ordersTable, { buyerOin, orderId, schoolOin, forgetAfter, leaves: leaveYear(after), order });
  const old = before ? entriesOf(before) : new Map<string, EntryTableRow>();
  const now = entriesOf(after);
  for (const [text, entry] of now) if (!old.has(text)) unit.put(entriesTable, entry);
  for (const [text, { kind, value }] of old)
    if (!now.has(text)) unit.remove(entriesTable, kind, value, buyerOin, orderId);
}

function remove(unit: Unit, order: OrderRow): void {
  const { buyerOin, orderId } = order;
  unit.remove(ordersTable, buyerOin, orderId);
  for (const { kind, value } of entriesOf(order).values()) unit.remove(entriesTable, kind, value, buyerOin, orderId);
}

/** The year in which an order has rested as long as its class says; it leaves at the end of it. */
const leaveYear = (order: OrderRow): string => leavesOn(ordersTable.retention, Number(order.placedMs))!.slice(0, 4);

function entriesOf(order: OrderRow): Map<string, EntryTableRow> {
  const entries = new Map<string, EntryTableRow>();
  const { buyerOin, orderId } = order;
  const add = (kind: EntryTableRow['kind'], value: string) => {
    if (value !== '') entries.set(`${kind}/${value}`, { kind, value, buyerOin, orderId });
  };
  for (const { line } of order.lines) {
    // What was refused at the start never reached its sellers.
    if (order.outcome === 'placed') add('seller', line?.sellerOin ?? '');
    add('product', line?.terms?.productId ?? '');
    add('learner', line?.learner ?? '');
  }
  return entries;
}

/** The school year after which the order's learners go: that of its last day of use. Sets the school's timer for it. */
function forgetAfter(order: OrderRow, atMs: number, unit: Unit): string {
  const named = order.lines.filter(({ line }) => line && line.learner !== '');
  if (named.length === 0) return '';
  const days = named.flatMap(({ line }) => [line?.terms?.startsOn ?? '', line?.terms?.endsOn ?? '']).filter(isDay);
  const year = [schoolYearOf(atMs), schoolYearOf(unit.now), ...days.map((day) => schoolYearOf(startOfDutchDay(day)))]
    .sort()
    .at(-1)!;
  unit.setTimer({
    id: `forget:${order.schoolOin}/${year}`,
    atMs: endOfDutchDay(`${year.slice(5)}-07-31`),
    key: order.schoolOin,
    payload: `forget ${year}`,
  });
  return year;
}

/** On the lane of its question, so that order holds between them; but what is a learner's is keyed so. */
function say(unit: Unit, event: OrderEvent, key: string): void {
  emit<OrderEvent['type']>(
    unit,
    event.type,
    event.value,
    event.type === 'LearnerLineOrdered' ? event.value.learner : key,
  );
}
