/** A platform with a webhook of its own, that answers as a test says: one that has dead letters. */
import { expect } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { DeadLetter } from '#proto/eduk/gateway/v1/delivery';
import { type Clients, eckId, newOin, sendAll, type TestGateway } from './gateway.ts';
import { Receiver } from './receiver.ts';

export interface Listener extends Clients {
  oin: string;
  hook: Receiver;
  /** Has `publisher` give it a licence for a learner, told under this id. */
  told(entitlementId: string, learner: number): Promise<void>;
  /** Its dead letters about these, once each of them is in this state. */
  letters(state: string, ...about: string[]): Promise<DeadLetter[]>;
}

export async function openListener(at: TestGateway, publisher: Clients, school: string): Promise<Listener> {
  const oin = newOin();
  const hook = await Receiver.open();
  const party = { oin, name: 'Luisterplein', roles: [Role.ROLE_PLATFORM] };
  const { apiKey, webhookSecret } = await at.operator.addParty({
    party: { ...party, endpoints: [{ standard: 'webhook', url: hook.url, fromMs: 0n }] },
  });
  hook.secret = webhookSecret;
  await at.mandate(school, oin, [Service.SERVICE_ENTITLEMENT]);
  const productId = `luister-${oin}`;
  const product = { productId, title: 'Luisteren', platformOin: oin, licence: { licensed: true } };
  await sendAll(publisher.catalogue.publishProducts(), [{ reference: `product-${oin}`, product }]);
  const clients = at.as(`Bearer ${apiKey}`);
  return {
    ...clients,
    oin,
    hook,
    async told(entitlementId, learner) {
      const terms = { entitlementId, productId, startsOn: '2026-08-01', endsOn: '2036-07-31' };
      const holder = { learner: { eckId: eckId(learner) } };
      await sendAll(publisher.entitlements.grantEntitlements(), [
        { reference: `grant-${entitlementId}`, schoolOin: school, holder, terms },
      ]);
    },
    async letters(state, ...about) {
      const look = async () => {
        const { letters } = await clients.deliveries.listDeadLetters({ selection: { schoolOin: school } });
        return letters.filter((letter) => letter.state === state && about.includes(letter.about));
      };
      await expect
        .poll(async () => (await look()).map((letter) => letter.about).sort(), { timeout: 30_000, interval: 20 })
        .toEqual([...about].sort());
      return look();
    },
  };
}
