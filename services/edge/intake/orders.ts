import { GatewayError } from '#kernel';
import { LineState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { CancelOrderRequest, ConfirmOrderRequest, PlaceOrderRequest } from '#proto/eduk/gateway/v1/order';
import type { OrderRow } from '#proto/eduk/orders/v1/orders';
import type { Caller } from '../caller.ts';
import { settle } from '../settle.ts';
import type { Door, Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { atMostOne, hasRef, namedLearner } from './people.ts';

const MAX_LINES = 1000;
const MAX_QUANTITY = 1_000_000;

export const placeOrder: Intake<PlaceOrderRequest> = {
  method: 'OrderService/PlaceOrder',
  type: 'eduk.gateway.v1.PlaceOrderRequest',
  codec: PlaceOrderRequest,
  roles: [Role.ROLE_ADMINISTRATION, Role.ROLE_SCHOOL, Role.ROLE_BOARD, Role.ROLE_DISTRIBUTOR],
  service: Service.SERVICE_ORDER,
  fresh: true,
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (!request.orderId) throw new GatewayError('wire.invalid', 'An order needs an id.', { where: 'order_id' });
    if (!request.schoolOin)
      throw new GatewayError('wire.invalid', 'An order names its school.', { where: 'school_oin' });
    if (request.lines.length === 0 || request.lines.length > MAX_LINES)
      throw new GatewayError('wire.invalid', `An order has 1 to ${MAX_LINES} lines.`, { where: 'lines' });
    const ids = new Set<string>();
    for (const [i, line] of request.lines.entries()) {
      const terms = line.terms;
      const at = `lines[${i}]`;
      if (!terms?.lineId || ids.has(terms.lineId))
        throw new GatewayError('wire.invalid', 'Each line has an id of its own.', { where: `${at}.terms.line_id` });
      ids.add(terms.lineId);
      if (!terms.productId)
        throw new GatewayError('wire.invalid', 'A line names a product.', { where: `${at}.terms.product_id` });
      if (terms.quantity < 1 || terms.quantity > MAX_QUANTITY)
        throw new GatewayError('wire.invalid', 'A quantity is 1 to 1,000,000.', { where: `${at}.terms.quantity` });
      if (hasRef(line.learner) && terms.quantity !== 1)
        throw new GatewayError('wire.invalid', 'A line for one learner has quantity 1.', {
          where: `${at}.terms.quantity`,
        });
      if (terms.startsOn && terms.endsOn && terms.endsOn < terms.startsOn)
        throw new GatewayError('wire.invalid', 'A line ends before it starts.', { where: `${at}.terms.ends_on` });
      atMostOne(line.learner, line.groupKey, at);
    }
  },
  people: (request) =>
    request.lines.flatMap((line, i) =>
      hasRef(line.learner) ? [namedLearner(line.learner, `lines[${i}].learner`, true)] : [],
    ),
  texts: (request) => request.lines.map((line) => line.groupKey),
  events: (request, found, { caller }) => {
    let next = 0;
    const lines = request.lines.map((line) => ({
      terms: line.terms,
      learner: hasRef(line.learner) ? found.tokens[next++]! : '',
      group: line.groupKey ? found.texts.get(line.groupKey)! : '',
      sellerOin: line.sellerOin,
    }));
    return [
      event(
        'OrderSubmitted',
        {
          orderId: request.orderId,
          schoolOin: request.schoolOin,
          buyerOin: caller.oin,
          lines,
          expected: request.expected,
        },
        request.schoolOin,
      ),
    ];
  },
  about: (request) => ({ orderId: request.orderId, productId: request.lines[0]?.terms?.productId ?? '' }),
};

/** The order a caller means; waits shortly for one that was accepted a moment ago. */
async function orderOf(door: Door, caller: Caller, orderId: string, buyerOin: string): Promise<OrderRow> {
  const party = caller.kind === 'operator' ? '' : caller.oin;
  const orders = await settle(door, async () => {
    const { orders } = await door.services.orders.getOrder({ orderId, buyerOin, partyOin: party });
    return orders.length > 0 ? orders : undefined;
  });
  if (!orders) throw new GatewayError('state.missing', 'No order of yours has this id.', { where: 'order_id' });
  if (orders.length > 1)
    throw new GatewayError('wire.invalid', 'Several buyers used this order id; name the buyer.', {
      where: 'buyer_oin',
    });
  return orders[0]!;
}

const outcomes: ReadonlySet<LineState> = new Set([
  LineState.LINE_STATE_CONFIRMED,
  LineState.LINE_STATE_REFUSED,
  LineState.LINE_STATE_DELIVERED,
  LineState.LINE_STATE_CREDITED,
]);

export const confirmOrder: Intake<ConfirmOrderRequest> = {
  method: 'OrderService/ConfirmOrder',
  type: 'eduk.gateway.v1.ConfirmOrderRequest',
  codec: ConfirmOrderRequest,
  roles: [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR],
  service: Service.SERVICE_ORDER,
  remember: 400,
  reference: (request) => request.reference,
  school: (_request, located) => (located as OrderRow).schoolOin,
  locate: (request, door, caller) => orderOf(door, caller, request.orderId, request.buyerOin),
  check: (request) => {
    if (!request.orderId) throw new GatewayError('wire.invalid', 'Name the order.', { where: 'order_id' });
    if (request.outcomes.length === 0)
      throw new GatewayError('wire.invalid', 'Name the outcome of at least one line.', { where: 'outcomes' });
    for (const [i, outcome] of request.outcomes.entries()) {
      if (!outcome.lineId) throw new GatewayError('wire.invalid', undefined, { where: `outcomes[${i}].line_id` });
      if (!outcomes.has(outcome.state))
        throw new GatewayError('wire.invalid', 'An outcome is confirmed, refused, delivered or credited.', {
          where: `outcomes[${i}].state`,
        });
    }
  },
  // Keyed by buyer and order too would be finer; the school keeps one order's events behind each other all the same.
  events: (request, _found, { caller, located }) => {
    const order = located as OrderRow;
    return [
      event(
        'OrderConfirmSubmitted',
        {
          orderId: request.orderId,
          schoolOin: order.schoolOin,
          sellerOin: caller.oin,
          buyerOin: order.buyerOin,
          outcomes: request.outcomes,
        },
        order.schoolOin,
      ),
    ];
  },
  about: (request) => ({ orderId: request.orderId }),
};

export const cancelOrder: Intake<CancelOrderRequest> = {
  method: 'OrderService/CancelOrder',
  type: 'eduk.gateway.v1.CancelOrderRequest',
  codec: CancelOrderRequest,
  roles: [Role.ROLE_ADMINISTRATION, Role.ROLE_SCHOOL, Role.ROLE_BOARD, Role.ROLE_DISTRIBUTOR],
  service: Service.SERVICE_ORDER,
  remember: 400,
  reference: (request) => request.reference,
  school: (_request, located) => (located as OrderRow).schoolOin,
  locate: (request, door, caller) => orderOf(door, caller, request.orderId, caller.oin),
  check: (request) => {
    if (!request.orderId) throw new GatewayError('wire.invalid', 'Name the order.', { where: 'order_id' });
  },
  events: (request, _found, { caller, located }) => [
    event(
      'OrderCancelSubmitted',
      {
        orderId: request.orderId,
        schoolOin: (located as OrderRow).schoolOin,
        buyerOin: caller.oin,
        lineIds: request.lineIds,
      },
      (located as OrderRow).schoolOin,
    ),
  ],
  about: (request) => ({ orderId: request.orderId }),
};
