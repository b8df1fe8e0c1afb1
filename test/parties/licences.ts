/** What publisher, platform and distributor do alike: follow entitlements, and make places ready for those who hold one. */
import type { Ledger } from './ledger.ts';
import type { Settings } from './program.ts';
import { type Message, Refused, type Wire } from './wire.ts';

/** Entitlements a party makes ready at once. */
const AT_ONCE = 16;

const holderOf = ({ holder }: Message): string => holder?.learner?.eckId || holder?.groupKey || 'the school';

/** How an entitlement stands in a ledger. */
export const itemOf = (entitlement: Message): string =>
  `${entitlement['terms'].entitlementId} ${holderOf(entitlement)}`;

/** Columns: `granted`, `ready`, `used`, `withdrawn`, `refused`; an item is `<entitlement> <holder>`, of the last two the id alone. */
export function followEntitlements(
  wire: Wire,
  ledger: Ledger,
  granted: (entitlement: Message) => void = () => {},
): void {
  wire.watch(
    'EntitlementService/WatchEntitlements',
    ({ change, entitlement }) => {
      const id = entitlement.terms.entitlementId as string;
      const item = itemOf(entitlement);
      if (change === 'granted') {
        ledger.note('granted', item);
        granted(entitlement);
      } else if (change === 'refused') ledger.note('refused', id);
      else if (entitlement.state === 'ENTITLEMENT_STATE_PROVISIONED') ledger.note('ready', item);
      else if (entitlement.state === 'ENTITLEMENT_STATE_USED') ledger.note('used', item);
      else if (entitlement.state === 'ENTITLEMENT_STATE_WITHDRAWN') ledger.note('withdrawn', id);
    },
    (refused) => ledger.note('watch ended', refused.code),
  );
}

/** Tells the gateway of each grant that its holder's place is ready. */
export function makeReady(settings: Settings, wire: Wire, ledger: Ledger): (entitlement: Message) => void {
  const waiting: string[] = [];
  const seen = new Set<string>();
  let busy = 0;
  const next = async (): Promise<void> => {
    busy++;
    for (let entitlementId = waiting.shift(); entitlementId; entitlementId = waiting.shift())
      try {
        await wire.call('AccessService/ProvisionAccess', {
          reference: `ready-${entitlementId}`,
          schoolOin: settings.school,
          entitlementId,
        });
      } catch (thrown) {
        ledger.note('not made ready', `${entitlementId} ${thrown instanceof Refused ? thrown.code : 'party.failed'}`);
      }
    busy--;
  };
  return ({ terms: { entitlementId, count } }) => {
    // A count is a stock to take from: nobody has a place by it.
    if (count > 0 || seen.has(entitlementId)) return;
    seen.add(entitlementId);
    waiting.push(entitlementId);
    if (busy < AT_ONCE) void next();
  };
}

/** Shows the gateway the ticket that a browser brought. Answers who stands at the door. */
export async function redeem(wire: Wire, ledger: Ledger, ticket: string, reference: string): Promise<Message> {
  const answer = await wire.call('AccessService/RedeemLaunch', { reference, ticket });
  if (answer['decision'].code !== '') throw new Refused(answer['decision'].code, answer['decision'].told);
  ledger.note('opened', `${answer['learner'].eckId} ${answer['productId']} ${answer['person']?.callName ?? ''}`);
  return answer;
}
