/** A school's administration system: sends the school, orders its books, opens them from its portal, keeps the results. */
import { readFile } from 'node:fs/promises';
import { openLedger } from './ledger.ts';
import type { Launch, Order } from './plan.ts';
import { runParty } from './program.ts';
import { broughtItem, openResults } from './uwlr.ts';
import { inTurns, type Message, Refused } from './wire.ts';

await runParty((settings, wire) => {
  const ledger = openLedger();
  return {
    ledger: () => ledger.read(),
    counts: () => ledger.counts(),

    watch() {
      wire.watch(
        'OrderService/WatchOrders',
        ({ change, order, outcomes }) => {
          if (change === 'placed') ledger.note('placed', order.orderId);
          for (const { lineId, state } of outcomes as Message[])
            if (state === 'LINE_STATE_CONFIRMED') ledger.note('confirmed', `${order.orderId}/${lineId}`);
        },
        (refused) => ledger.note('watch ended', refused.code),
      );
      wire.watch(
        'ResultService/WatchResults',
        ({ record: { fromOin, result } }) => {
          const { score, donePercent } = result.payload;
          // A result that came over UWLR is known by its sender's key, and by whose and what it is behind that.
          const [resultId] = result.resultId.split('~');
          ledger.note(
            'results',
            `${resultId} ${result.learner.eckId} ${result.productId} ${fromOin} ${score ?? donePercent}`,
          );
        },
        (refused) => ledger.note('watch ended', refused.code),
      );
    },

    /** Opens an address for results over UWLR; answers where. */
    receive: ({ key }: { key: string }) =>
      openResults(settings.uwlr!.version, key, (result) => ledger.note('brought', broughtItem(result))),

    /** POST /edexml, as an export of the administration is sent. Answers what the gateway read in it. */
    async import({ file }: { file: string }) {
      const response = await fetch(`${settings.http}/edexml`, {
        method: 'POST',
        headers: { authorization: `Bearer ${settings.apiKey}`, 'content-type': 'application/xml' },
        body: await readFile(file),
      });
      const answer = (await response.json()) as Message;
      if (response.status !== 202) throw new Refused(answer['code'] ?? 'party.failed', answer['detail'] ?? '');
      return answer;
    },

    async order({ orders }: { orders: Order[] }) {
      await inTurns(orders, 4, async ({ orderId, lines }) => {
        const { decision } = await wire.call('OrderService/PlaceOrder', {
          reference: `order-${orderId}`,
          orderId,
          schoolOin: settings.school,
          lines: lines.map(({ lineId, productId, quantity, eckId, groupKey, sellerOin }) => ({
            terms: {
              lineId,
              productId,
              quantity,
              fund: 'FUND_IBF',
              payer: 'PAYER_SCHOOL',
              form: 'FORM_LICENCE',
              ownership: 'OWNERSHIP_SALE',
              renewal: 'RENEWAL_ENDS',
            },
            ...(eckId ? { learner: { eckId } } : {}),
            groupKey: groupKey ?? '',
            sellerOin: sellerOin ?? '',
          })),
          waitMs: 20_000,
        });
        if (decision.code !== '') throw new Refused(decision.code, decision.told);
      });
    },

    /** Asks a way in for each pupil; answers the tickets, which a browser would carry to the platform, and refusals' codes. */
    async launch({ launches }: { launches: Launch[] }) {
      const tickets: string[] = [];
      const refused: string[] = [];
      await inTurns(launches, 8, async ({ eckId, productId }) => {
        const { ticket, decision } = await wire.call('AccessService/CreateLaunch', {
          reference: `launch-${productId}-${eckId.slice(-24)}`,
          schoolOin: settings.school,
          learner: { eckId },
          productId,
        });
        if (ticket) tickets.push(ticket);
        else refused.push(decision.code);
      });
      return { tickets, refused };
    },

    /** Results of one pupil, or of the whole school. Answers ECK iDs, one a result. */
    async results({ eckId }: { eckId?: string }) {
      const found: string[] = [];
      let cursor = '';
      do {
        const answer = await wire.call('ResultService/ListResults', {
          schoolOin: settings.school,
          ...(eckId ? { learner: { eckId } } : {}),
          limit: 1000,
          cursor,
        });
        for (const { result } of answer['results']) found.push(result.learner?.eckId ?? '');
        cursor = answer['cursor'];
      } while (cursor !== '');
      return found;
    },
  };
});
