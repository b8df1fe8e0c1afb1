/** What can be compared with a party, as one table: what of it stands here, and in which words. */
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import type { Caller } from '../caller.ts';
import { purposeFor } from '../purpose.ts';
import { hereOf } from '../reads/faces.ts';
import type { Door } from '../submission.ts';
import type { Expected, Ours } from './compare.ts';

export interface Kind {
  /** Of the mandate that it needs, and of the mailbox by which it is told. */
  service: Service;
  /** Events that tell how such a thing stands: those that are sent again. */
  events: readonly string[];
  /** What a party should have of a school. Throws mandate.*, school.closed. */
  expected(door: Door, caller: Caller, school: string): Expected;
}

/** Things that one look reads. */
const PAGE = 1_000;

const words: Readonly<Partial<Record<EntitlementState, string>>> = {
  [EntitlementState.ENTITLEMENT_STATE_GRANTED]: 'open',
  [EntitlementState.ENTITLEMENT_STATE_PROVISIONED]: 'open',
  [EntitlementState.ENTITLEMENT_STATE_USED]: 'open',
  [EntitlementState.ENTITLEMENT_STATE_BLOCKED]: 'blocked',
};
const CLOSED = 'closed';

export const ENTITLEMENT = 'entitlement';

export const kinds: Readonly<Record<string, Kind>> = {
  [ENTITLEMENT]: {
    service: Service.SERVICE_ENTITLEMENT,
    events: ['EntitlementGranted', 'EntitlementChanged'],
    expected: (door, caller, school) => async (after) => {
      // Anew for each page: a mandate may end while a long comparison goes on.
      const purpose = purposeFor(door, caller, school, Service.SERVICE_ENTITLEMENT);
      const { entitlements, next } = await door.services.entitlements.listEntitlements({
        schoolOin: school,
        learner: '',
        groups: [],
        productId: '',
        partyOin: caller.oin,
        limit: PAGE,
        after: after === '' ? '' : `${school}/${after}`,
        orderId: '',
        waiting: false,
      });
      const isHere = await hereOf(
        purpose,
        entitlements.map(({ holder }) => holder?.learner ?? ''),
      );
      const things = entitlements
        .filter(({ outcome, holder }) => outcome === 'granted' && isHere(holder?.learner ?? ''))
        .map(({ terms, state, changedMs }): Ours => {
          const word = words[state] ?? CLOSED;
          return {
            key: terms!.entitlementId,
            says: [word, terms!.productId],
            mayLack: word === CLOSED,
            changedMs: Number(changedMs),
          };
        });
      return { things, through: next.slice(school.length + 1), isLast: next === '' };
    },
  },
};
