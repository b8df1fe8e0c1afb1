/** What sellers do alike: follow the orders that are placed with them, and confirm each line. */
import type { Ledger } from './ledger.ts';
import type { Settings } from './program.ts';
import { type Message, Refused, type Wire } from './wire.ts';

/** Columns: `ordered` and `confirmed`, an item is `<order>/<line>`. Planted `lost-confirmation`: the first line is left open. */
export function confirmOrders(settings: Settings, wire: Wire, ledger: Ledger): void {
  let isFirst = true;
  const confirm = async ({ orderId, lines }: Message): Promise<void> => {
    const ids = (lines as Message[]).map(({ line }) => line.terms.lineId as string);
    for (const id of ids) ledger.note('ordered', `${orderId}/${id}`);
    const left = settings.plant === 'lost-confirmation' && isFirst ? ids.slice(1) : ids;
    isFirst = false;
    await wire.call('OrderService/ConfirmOrder', {
      reference: `confirm-${orderId}`,
      orderId,
      outcomes: left.map((lineId) => ({ lineId, state: 'LINE_STATE_CONFIRMED' })),
    });
    for (const id of left) ledger.note('confirmed', `${orderId}/${id}`);
  };
  const seen = new Set<string>();
  wire.watch(
    'OrderService/WatchOrders',
    ({ change, order }) => {
      if (change !== 'placed' || seen.has(order.orderId)) return;
      seen.add(order.orderId);
      confirm(order).catch((thrown) =>
        ledger.note('not confirmed', `${order.orderId} ${thrown instanceof Refused ? thrown.code : 'party.failed'}`),
      );
    },
    (refused) => ledger.note('watch ended', refused.code),
  );
}
