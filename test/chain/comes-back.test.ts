/** A receiver that was away while much gathered for it comes back, and is not overrun by what waited. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newOin, newSchool, sendAll, startTestGateway } from './gateway.ts';
import { Receiver } from './receiver.ts';

const PRODUCT = '9789000000019';
const SCHOOLS = 20;
/** Learners of one school, and messages of one learner. */
const LEARNERS = 15;
const EACH = 10;
/** Requests that the receiver takes at once. */
const TAKES = 2;

test('what gathered while a receiver was away begins with one request, grows as it is taken, and keeps its order', async () => {
  const at = await startTestGateway();
  const hook = await Receiver.open();
  try {
    const oin = newOin();
    const added = await at.operator.addParty({
      party: {
        oin,
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        endpoints: [{ standard: 'webhook', url: hook.url }],
      },
    });
    hook.secret = added.webhookSecret;
    const publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
    const schools = Array.from({ length: SCHOOLS }, newSchool);
    for (const school of schools)
      for (const party of [publisher.oin, oin]) await at.mandate(school, party, [Service.SERVICE_ENTITLEMENT]);
    await sendAll(publisher.catalogue.publishProducts(), [
      {
        reference: PRODUCT,
        product: { productId: PRODUCT, title: 'Taal', platformOin: oin, licence: { licensed: true } },
      },
    ]);

    let isAway = true;
    let open = 0;
    let taken = 0;
    let refused = 0;
    /** Of each request since it is back: how many it had then, and how many it had taken. */
    const seen: { open: number; taken: number }[] = [];
    hook.behaviour = async () => {
      if (isAway) return 503;
      open += 1;
      seen.push({ open, taken });
      try {
        if (open > TAKES) {
          refused += 1;
          return 429;
        }
        await sleep(20);
        taken += 1;
        return 204;
      } finally {
        open -= 1;
      }
    };

    const ids: string[] = [];
    for (let turn = 0; turn < EACH; turn++) {
      const grants = schools.flatMap((schoolOin, s) =>
        Array.from({ length: LEARNERS }, (_, i) => {
          const reference = `ent-${turn}-${s}-${i}`;
          ids.push(reference);
          return {
            reference,
            schoolOin,
            holder: { learner: { eckId: eckId(s * LEARNERS + i) } },
            terms: { entitlementId: reference, productId: PRODUCT },
          };
        }),
      );
      const answers = await sendAll(publisher.entitlements.grantEntitlements(), grants);
      expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
    }
    const { endpoints } = await at.operator.showScorecard({ partyOin: oin });
    expect(endpoints).toMatchObject([{ state: 'resting', status: 503 }]);
    const before = hook.requests.length;
    isAway = false;
    await hook.until(ids.length);

    expect(hook.first.map(({ data }) => data.entitlement.terms.entitlementId).sort()).toEqual(ids.sort());
    expect(hook.problems).toEqual([]);
    expect(hook.repeats).toBe(0);
    // One alone until it is taken, and for two that are taken one more.
    expect(seen.filter((one) => one.open > 1 + one.taken / 2)).toEqual([]);
    expect(refused).toBeLessThan(5);
    // It was tried seldom while it was away, and it had enough to take that it could have been overrun.
    expect(before).toBeLessThan(30);
    expect(seen.length).toBeGreaterThanOrEqual(SCHOOLS);
  } finally {
    await hook.close();
    await at.stop();
  }
});
