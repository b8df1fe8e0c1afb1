import { faults, GatewayError } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import { type Agreement, everything, givenOf, judgeAttributes, type Purpose, type Receiver, sitesOf } from '#release';
import type { Caller } from './caller.ts';
import { learnersAt } from './sites.ts';
import { actsForSchool, requireOpenSchool, requireOwnSchool, SCHOOL_UNKNOWN } from './stages/authorise.ts';
import type { Door } from './submission.ts';

type Copy = Pick<Door, 'chain'>;
/** What of a door release needs: for mandates of some sites, who is where. */
type Releasing = Copy & Partial<Pick<Door, 'services' | 'clock'>>;

/** What a receiver is, and what it declares, as the doors' copy has it. */
export const receiverOf = ({ chain }: Copy, { oin, roles }: Caller): Receiver => ({
  roles,
  declared: chain.party(oin)?.attributes ?? [],
});

/**
 * What the school agreed to about one service of one receiver, today. Throws state.missing for a school nobody knows. `closing`:
 * as if it were not closed; see `Chain.judge`.
 */
export function agreementOf(door: Copy, caller: Caller, school: string, service: Service, closing = false): Agreement {
  if (!closing && door.chain.isClosed(school)) return { mandates: [], fault: 'mandate.ended' };
  // Who acts for a school is given nothing as that school.
  if (caller.actor !== undefined) return door.chain.judge(school, caller.actor, service);
  if (actsForSchool(door, caller, school)) return { mandates: [], own: true };
  if (!door.chain.knowsSchool(school)) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  return door.chain.judge(school, caller.oin, service, false, closing);
}

/**
 * First stage of release: whether this receiver may have this service of this school now, and with which attributes.
 * Throws mandate.* or state.missing. The school itself, and the operator acting for it, see what the school sees.
 */
export function purposeFor(
  door: Releasing,
  caller: Caller,
  school: string,
  service: Service,
  closing = false,
): Purpose {
  requireOwnSchool(caller, school);
  if (!closing) requireOpenSchool(door, school);
  const base = { school, party: caller.actor ?? caller.oin, service };
  if (caller.kind === 'operator') return { ...base, released: everything, pairwise: false };
  const agreement = agreementOf(door, caller, school, service, closing);
  const { fault } = agreement;
  if (fault !== undefined) throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
  const sites = agreement.own ? undefined : sitesOf(agreement.mandates);
  return {
    ...base,
    ...(sites ? { sites, within: (tokens) => whoIsAt(door, school, sites, tokens) } : {}),
    released: givenOf(judgeAttributes(receiverOf(door, caller), agreement, service)),
    pairwise: !agreement.own && door.chain.isPairwise(school, base.party),
    pseudonyms: door.chain.standing(base.party)?.pseudonyms ?? 0,
  };
}

/** Without a way to find out nobody is at a site. */
const whoIsAt = async (
  { services, clock }: Releasing,
  school: string,
  sites: ReadonlySet<string>,
  tokens: readonly string[],
): Promise<ReadonlySet<string>> =>
  services && clock ? learnersAt({ services, clock }, school, sites, tokens) : new Set();

/** News of a mandate, for the two whom it is between: it is released by no mandate, and holds nothing of a person. */
export const ofAgreements = (school: string, party: string): Purpose => ({
  school,
  party,
  service: Service.SERVICE_UNSPECIFIED,
  released: new Set(),
  pairwise: false,
});

/** The same, but with the fault instead of a throw: for rows of a mailbox. */
export function tryPurpose(
  door: Releasing,
  caller: Caller,
  school: string,
  service: Service,
  closing = false,
): { purpose: Purpose } | { fault: GatewayError['fault'] } {
  // What is of another school than the token's is passed over, as if there were no mandate.
  if (caller.school !== undefined && caller.school !== school) return { fault: 'mandate.missing' };
  try {
    return { purpose: purposeFor(door, caller, school, service, closing) };
  } catch (thrown) {
    if (thrown instanceof GatewayError && (thrown.fault.startsWith('mandate.') || thrown.fault === 'state.missing'))
      return { fault: thrown.fault === 'state.missing' ? 'mandate.missing' : thrown.fault };
    throw thrown;
  }
}

/**
 * What is told of a school that is closed because it is forgotten: whom its receivers must forget too. Everything else of it
 * parks, until the forgetting is taken back.
 */
export const isClosingWord = ({ type }: { type: string }): boolean => type === 'LearnerForgotten';

/** Refuses a site that is asked for and that the mandates are not about. Faults: mandate.missing. */
export function requireSite({ sites }: Purpose, asked: string): void {
  if (asked !== '' && sites !== undefined && !sites.has(asked))
    throw new GatewayError('mandate.missing', 'The mandate is for other sites of this school.', { where: 'site_code' });
}
