/**
 * An order and the states of its lines: pure. `docs/order-states.md` draws the machine; `NEXT` below is it.
 *
 * Every command is answered by at least one event, so that its sender learns what became of it; `unchanged` says that
 * it stood so already.
 */
import { type Fault, isDay } from '#kernel';
import { LineState, type LineTerms } from '#proto/eduk/core/v1/ordering';
import {
  type OrderCancelSubmitted,
  type OrderConfirmSubmitted,
  OrderLineEntry,
  type OrderSubmitted,
} from '#proto/eduk/events/v1/orders';
import { LineRow, OrderRow } from '#proto/eduk/orders/v1/orders';
import type { EventOf } from '#proto/events';

type OrderEventName =
  | 'OrderPlaced'
  | 'OrderRefused'
  | 'LearnerLineOrdered'
  | 'OrderLinesChanged'
  | 'OrderChangeRefused';
/** What this service says on the log. */
export type OrderEvent = { [N in OrderEventName]: { type: N; value: EventOf<N> } }[OrderEventName];

/** A command cannot be decided before this is known. */
export interface Lacks {
  /** `product:` and its id, or `order:` with school and order id. */
  lacks: string;
}

/** What an order needs to know of others. */
export interface OrderWorld {
  product(productId: string): { publisherOin: string; withdrawn: boolean } | undefined;
  forgotten(learner: string): boolean;
}

const {
  LINE_STATE_PLACED,
  LINE_STATE_CONFIRMED,
  LINE_STATE_REFUSED,
  LINE_STATE_DELIVERED,
  LINE_STATE_CANCELLED,
  LINE_STATE_CREDITED,
} = LineState;

/** Where a line may go from where it is. No way leads back. */
export const NEXT: Readonly<Record<number, readonly LineState[]>> = {
  [LINE_STATE_PLACED]: [LINE_STATE_CONFIRMED, LINE_STATE_REFUSED, LINE_STATE_CANCELLED],
  [LINE_STATE_CONFIRMED]: [LINE_STATE_DELIVERED, LINE_STATE_CANCELLED],
  [LINE_STATE_DELIVERED]: [LINE_STATE_CREDITED],
  [LINE_STATE_REFUSED]: [],
  [LINE_STATE_CANCELLED]: [],
  [LINE_STATE_CREDITED]: [],
};

/** States that a seller may name. */
const OF_SELLER: ReadonlySet<LineState> = new Set([
  LINE_STATE_CONFIRMED,
  LINE_STATE_REFUSED,
  LINE_STATE_DELIVERED,
  LINE_STATE_CREDITED,
]);

const MOST_LINES = 1_000;
const MOST_COPIES = 1_000_000;

/** What a record waits for when a product, or an order, is not known. */
export const productName = (productId: string): string => `product:${productId}`;
export const orderName = (schoolOin: string, orderId: string): string => `order:${schoolOin}/${orderId}`;

/**
 * Decides about a sent order, given what stands under its buyer and id. A refused order leaves its id free. An order that
 * stands and is sent again changes nothing where it says the same, and is refused where it does not.
 */
export function decideOrder(
  standing: OrderRow | undefined,
  sent: OrderSubmitted,
  world: OrderWorld,
): OrderEvent[] | Lacks {
  const told = whatIsWrong(sent);
  if (told) return [refuseOrder(sent, 'wire.invalid', told)];
  if (standing?.outcome === 'placed')
    return sameOrder(standing, sent)
      ? [nothingChanged(sent)]
      : [refuseOrder(sent, 'state.conflict', 'Another order has this id.')];
  const lines: OrderLineEntry[] = [];
  for (const [i, line] of sent.lines.entries()) {
    const product = world.product(line.terms!.productId);
    if (!product) return { lacks: productName(line.terms!.productId) };
    if (product.withdrawn) return [refuseOrder(sent, 'state.conflict', `The product of line ${i + 1} is withdrawn.`)];
    if (line.learner !== '' && world.forgotten(line.learner))
      return [refuseOrder(sent, 'learner.unknown', `The learner of line ${i + 1} is not known at this school.`)];
    lines.push({ ...line, sellerOin: line.sellerOin || product.publisherOin });
  }
  const { orderId, schoolOin, buyerOin, expected } = sent;
  return [
    { type: 'OrderPlaced', value: { orderId, schoolOin, buyerOin, lines, expected } },
    ...lines
      .filter((line) => line.learner !== '')
      .map(
        ({ learner, terms }): OrderEvent => ({
          type: 'LearnerLineOrdered',
          value: { orderId, lineId: terms!.lineId, schoolOin, learner, productId: terms!.productId },
        }),
      ),
  ];
}

/** What an order waited for did not come. */
export const orderTooLate = (sent: OrderSubmitted, world: OrderWorld): OrderEvent => {
  const line = sent.lines.findIndex(({ terms }) => !terms || !world.product(terms.productId)) + 1;
  return refuseOrder(
    sent,
    'product.unknown',
    line === 0 ? 'A product was not published in time.' : `The product of line ${line} was not published in time.`,
  );
};

/**
 * Decides about outcomes that a seller tells, given the orders of that school under that id. All or nothing: one outcome
 * that is not possible refuses the message. Several outcomes of one line are taken one after the other.
 */
export function decideConfirm(standing: readonly OrderRow[], asked: OrderConfirmSubmitted): OrderEvent[] | Lacks {
  const { orderId, schoolOin, sellerOin } = asked;
  const no = (code: Fault, told: string): OrderEvent[] => [
    { type: 'OrderChangeRefused', value: { orderId, schoolOin, byOin: sellerOin, code, told } },
  ];
  if (asked.outcomes.length === 0) return no('wire.invalid', 'No outcome is given.');
  for (const { state, day } of asked.outcomes) {
    if (!OF_SELLER.has(state)) return no('wire.invalid', 'A seller says confirmed, refused, delivered or credited.');
    if (day !== '' && !isDay(day)) return no('wire.invalid', 'A date must be a day that exists, YYYY-MM-DD.');
  }
  const named = standing.filter((order) => asked.buyerOin === '' || order.buyerOin === asked.buyerOin);
  if (named.length === 0) return { lacks: orderName(schoolOin, orderId) };
  const own = named.filter(
    (order) => order.outcome === 'placed' && order.lines.some((line) => line.line?.sellerOin === sellerOin),
  );
  if (own.length === 0) return no('state.missing', NO_ORDER);
  if (own.length > 1) return no('state.conflict', 'Two buyers use this order id; name the buyer.');
  const [order] = own as [OrderRow];

  const states = new Map<string, LineState>();
  for (const { line, state } of order.lines)
    if (line?.terms && line.sellerOin === sellerOin) states.set(line.terms.lineId, state);
  const last = new Map(asked.outcomes.map(({ lineId, state }) => [lineId, state]));
  const changes = [];
  for (const outcome of asked.outcomes) {
    const { lineId, state } = outcome;
    const now = states.get(lineId);
    // Another seller's line is as unknown as one that does not exist.
    if (now === undefined) return no('state.missing', 'This order has no such line with this seller.');
    const before = order.lines.find(({ line }) => line?.terms?.lineId === lineId)!.state;
    if (last.get(lineId) === before || now === state) continue; // Said before.
    if (!NEXT[now]?.includes(state)) return no('state.conflict', 'A line cannot go from its state to the one given.');
    states.set(lineId, state);
    changes.push(outcome);
  }
  return [
    {
      type: 'OrderLinesChanged',
      value: {
        orderId,
        schoolOin,
        buyerOin: order.buyerOin,
        sellerOin,
        outcomes: changes,
        unchanged: changes.length === 0,
      },
    },
  ];
}

/**
 * Decides about lines that the buyer takes back; none named = all that can be. A named line that is delivered refuses the
 * message. Cancelling twice is cancelling once.
 */
export function decideCancel(standing: OrderRow | undefined, asked: OrderCancelSubmitted): OrderEvent[] {
  const { orderId, schoolOin, buyerOin } = asked;
  const no = (code: Fault, told: string): OrderEvent[] => [
    { type: 'OrderChangeRefused', value: { orderId, schoolOin, byOin: buyerOin, code, told } },
  ];
  if (standing?.outcome !== 'placed' || standing.schoolOin !== schoolOin) return no('state.missing', NO_ORDER);
  const ids = new Set(asked.lineIds);
  for (const id of ids)
    if (!standing.lines.some(({ line }) => line?.terms?.lineId === id))
      return no('state.missing', 'This order has no such line.');
  const named = standing.lines.filter(({ line }) => ids.size === 0 || ids.has(line!.terms!.lineId));
  const open = named.filter(({ state }) => NEXT[state]?.includes(LINE_STATE_CANCELLED));
  const cancelled = named.filter(({ state }) => state === LINE_STATE_CANCELLED);
  const stuck = open.length + cancelled.length < named.length;
  if (stuck && (ids.size > 0 || open.length + cancelled.length === 0))
    return no('state.conflict', 'What is delivered or refused cannot be cancelled.');
  if (open.length === 0) return [nothingChanged(asked)];
  // Each seller hears of its own lines.
  return [...new Set(open.map(({ line }) => line!.sellerOin))].map(
    (sellerOin): OrderEvent => ({
      type: 'OrderLinesChanged',
      value: {
        orderId,
        schoolOin,
        buyerOin,
        sellerOin,
        unchanged: false,
        outcomes: open
          .filter(({ line }) => line!.sellerOin === sellerOin)
          .map(({ line }) => ({ lineId: line!.terms!.lineId, state: LINE_STATE_CANCELLED, reason: '', day: '' })),
      },
    }),
  );
}

/** What an order that stayed unknown is answered. */
export const confirmTooLate = ({ orderId, schoolOin, sellerOin }: OrderConfirmSubmitted): OrderEvent => ({
  type: 'OrderChangeRefused',
  value: { orderId, schoolOin, byOin: sellerOin, code: 'state.missing', told: NO_ORDER },
});

/**
 * The order after an event about it. `flowId` and `atMs` (Unix milliseconds) are those of the command; `sent` gives a
 * refused order its lines.
 */
export function evolve(
  order: OrderRow | undefined,
  event: OrderEvent,
  about: { flowId: string; atMs: number; sent?: OrderSubmitted },
): OrderRow | undefined {
  switch (event.type) {
    case 'OrderPlaced': {
      const { orderId, schoolOin, buyerOin, lines, expected } = event.value;
      const rows = lines.map((line) => LineRow.fromPartial({ line, state: LINE_STATE_PLACED }));
      return OrderRow.fromPartial({
        orderId,
        schoolOin,
        buyerOin,
        expected,
        outcome: 'placed',
        flowId: about.flowId,
        placedMs: BigInt(about.atMs),
        lines: rows,
      });
    }
    case 'OrderRefused': {
      if (order?.outcome === 'placed') return order; // Another order was refused, not the one that stands.
      const { orderId, schoolOin, buyerOin, code, told } = event.value;
      const rows = (about.sent?.lines ?? []).map((line) => LineRow.fromPartial({ line, state: LINE_STATE_REFUSED }));
      const expected = about.sent?.expected ?? false;
      return OrderRow.fromPartial({
        orderId,
        schoolOin,
        buyerOin,
        expected,
        outcome: 'refused',
        code,
        told,
        flowId: about.flowId,
        placedMs: BigInt(about.atMs),
        lines: rows,
      });
    }
    case 'OrderLinesChanged': {
      if (!order || event.value.unchanged) return order;
      const lines = new Map(order.lines.map((line) => [line.line?.terms?.lineId, line]));
      for (const { lineId, state, reason, day } of event.value.outcomes) {
        const line = lines.get(lineId);
        const byOin = state === LINE_STATE_CANCELLED ? event.value.buyerOin : event.value.sellerOin;
        if (line) lines.set(lineId, { ...line, state, reason, day, byOin });
      }
      return { ...order, lines: [...lines.values()] };
    }
    default:
      return order;
  }
}

/** The order without a learner; the lines stay for the books. */
export const withoutLearner = (order: OrderRow, isGone: (learner: string) => boolean): OrderRow => ({
  ...order,
  lines: order.lines.map((row) =>
    row.line && row.line.learner !== '' && isGone(row.line.learner)
      ? { ...row, line: { ...row.line, learner: '' } }
      : row,
  ),
});

/** Lines that lost their learner, by id, name it again. */
export const withLearner = (order: OrderRow, learner: string, lines: ReadonlySet<string>): OrderRow => ({
  ...order,
  lines: order.lines.map((row) =>
    row.line?.learner === '' && lines.has(row.line.terms?.lineId ?? '')
      ? { ...row, line: { ...row.line, learner } }
      : row,
  ),
});

const NO_ORDER = 'Nothing is known under this order id.';

const refuseOrder = ({ orderId, schoolOin, buyerOin }: OrderSubmitted, code: Fault, told: string): OrderEvent => ({
  type: 'OrderRefused',
  value: { orderId, schoolOin, buyerOin, code, told },
});

const nothingChanged = (about: { orderId: string; schoolOin: string; buyerOin: string }): OrderEvent => ({
  type: 'OrderLinesChanged',
  value: {
    orderId: about.orderId,
    schoolOin: about.schoolOin,
    buyerOin: about.buyerOin,
    sellerOin: '',
    outcomes: [],
    unchanged: true,
  },
});

function whatIsWrong(sent: OrderSubmitted): string | undefined {
  if (sent.orderId === '' || sent.schoolOin === '' || sent.buyerOin === '')
    return 'An order names its id, its school and its buyer.';
  if (sent.lines.length === 0 || sent.lines.length > MOST_LINES) return 'An order has 1 to 1,000 lines.';
  const ids = new Set<string>();
  for (const [i, { terms, learner, group }] of sent.lines.entries()) {
    const line = `Line ${i + 1}`;
    if (!terms || terms.lineId === '' || terms.productId === '') return `${line} lacks its id or its product.`;
    if (ids.has(terms.lineId)) return `${line} has the id of an earlier line.`;
    ids.add(terms.lineId);
    if (learner !== '' && group !== '') return `${line} is for a learner or for a group, not for both.`;
    if (terms.quantity < 1 || terms.quantity > MOST_COPIES) return `${line}: the quantity is from 1 to 1,000,000.`;
    if (learner !== '' && terms.quantity !== 1) return `${line} is for one learner, so its quantity is 1.`;
    if (daysOf(terms).some((day) => day !== '' && !isDay(day)))
      return `${line}: a date must be a day that exists, YYYY-MM-DD.`;
    if (terms.startsOn !== '' && terms.endsOn !== '' && terms.endsOn < terms.startsOn)
      return `${line} ends before it starts.`;
  }
  return undefined;
}

const daysOf = (terms: LineTerms): string[] => [terms.startsOn, terms.endsOn, terms.noticeBy, terms.returnBy];

/** Whether an order says what stands; a seller that was left open may be any. */
function sameOrder(standing: OrderRow, sent: OrderSubmitted): boolean {
  if (
    standing.schoolOin !== sent.schoolOin ||
    standing.expected !== sent.expected ||
    standing.lines.length !== sent.lines.length
  )
    return false;
  return sent.lines.every((line, i) => {
    const { line: before } = standing.lines[i]!;
    if (!before) return false;
    const sellerOin = line.sellerOin || before.sellerOin;
    return (
      Buffer.compare(OrderLineEntry.encode(before).finish(), OrderLineEntry.encode({ ...line, sellerOin }).finish()) ===
      0
    );
  });
}
