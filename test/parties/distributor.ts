/** A distributor: confirms what it sells, and hands out licences in bulk for what the school ordered. */
import { openLedger } from './ledger.ts';
import { followEntitlements } from './licences.ts';
import type { Grant } from './plan.ts';
import { runParty } from './program.ts';
import { confirmOrders } from './selling.ts';

await runParty((settings, wire) => {
  const ledger = openLedger();
  let toLose = settings.plant === 'lost-grant' ? 1 : 0;
  return {
    ledger: () => ledger.read(),
    counts: () => ledger.counts(),

    watch() {
      confirmOrders(settings, wire, ledger);
      followEntitlements(wire, ledger);
    },

    /** One stream with every grant. Planted `lost-grant`: the very first is left out. */
    grant({ grants }: { grants: Grant[] }) {
      const sent = grants.slice(toLose);
      toLose = 0;
      return wire.bulk(
        'EntitlementService/GrantEntitlements',
        sent.map(({ entitlementId, productId, orderId, lineId, eckId, groupKey, count, fromEntitlementId }) => ({
          reference: `grant-${entitlementId}`,
          schoolOin: settings.school,
          holder: { ...(eckId ? { learner: { eckId } } : {}), groupKey: groupKey ?? '' },
          terms: {
            entitlementId,
            productId,
            orderId,
            lineId,
            count: count ?? 0,
            fromEntitlementId: fromEntitlementId ?? '',
          },
        })),
      );
    },

    /** Who holds an entitlement, as this seller may know it: the ECK iD, or nothing. */
    async holder({ entitlementId }: { entitlementId: string }) {
      const { entitlement } = await wire.call('EntitlementService/GetEntitlement', {
        schoolOin: settings.school,
        entitlementId,
      });
      return { eckId: entitlement.holder?.learner?.eckId ?? '', state: entitlement.state };
    },

    /** Entitlements of one pupil. */
    async list({ eckId }: { eckId: string }) {
      const { entitlements } = await wire.call('EntitlementService/ListEntitlements', {
        schoolOin: settings.school,
        learner: { eckId },
      });
      return entitlements.length;
    },
  };
});
