import { Service } from '#proto/eduk/core/v1/party';
import type { Order } from '#proto/eduk/gateway/v1/order';
import type { OrderRow } from '#proto/eduk/orders/v1/orders';
import type { Caller } from '../caller.ts';
import { purposeFor } from '../purpose.ts';
import { actsForSchool } from '../stages/authorise.ts';
import type { Door } from '../submission.ts';
import { facesOf, hereOf } from './faces.ts';

const outcomeNames: Record<string, string> = { placed: 'OrderPlaced', refused: 'OrderRefused' };

/** Whether all of its lines were for learners of sites that the caller's mandates are not about: it is not there then. */
export const isElsewhere = (row: OrderRow, shown: Order): boolean => row.lines.length > 0 && shown.lines.length === 0;

/** An order as buyer, seller or school may see it: a seller sees its own lines. Throws mandate.*. */
export async function showOrder(door: Door, caller: Caller, row: OrderRow): Promise<Order> {
  const purpose = purposeFor(door, caller, row.schoolOin, Service.SERVICE_ORDER);
  const whole = caller.kind === 'operator' || caller.oin === row.buyerOin || actsForSchool(door, caller, row.schoolOin);
  const own = whole ? row.lines : row.lines.filter(({ line }) => line!.sellerOin === caller.oin);
  const isHere = await hereOf(
    purpose,
    own.map(({ line }) => line!.learner),
  );
  const lines = own.filter(({ line }) => isHere(line!.learner));
  const faces = await facesOf(
    door,
    purpose,
    lines.map(({ line }) => line!.learner),
    lines.map(({ line }) => line!.group),
  );
  return faces.reveal(({ ref, text }) => ({
    orderId: row.orderId,
    schoolOin: row.schoolOin,
    buyerOin: row.buyerOin,
    lines: lines.map(({ line, state, reason, day }) => ({
      line: {
        terms: line!.terms,
        learner: ref(line!.learner),
        groupKey: text(line!.group),
        sellerOin: line!.sellerOin,
      },
      state,
      reason,
      day,
    })),
    expected: row.expected,
    decision: { outcome: outcomeNames[row.outcome] ?? '', code: row.code, told: row.told },
    flowId: whole ? row.flowId : '',
    placedMs: row.placedMs,
  }));
}
