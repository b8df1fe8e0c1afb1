import { faults, GatewayError } from '#kernel';
import type { Service } from '#proto/eduk/core/v1/party';
import { type Agreement, everything, givenOf, judgeAttributes, type Purpose, type Receiver } from '#release';
import type { Caller } from './caller.ts';
import { actsForSchool, requireOwnSchool, SCHOOL_UNKNOWN } from './stages/authorise.ts';
import type { Door } from './submission.ts';

type Copy = Pick<Door, 'chain'>;

/** What a receiver is, and what it declares, as the doors' copy has it. */
export const receiverOf = ({ chain }: Copy, { oin, roles }: Caller): Receiver => ({
  roles,
  declared: chain.party(oin)?.attributes ?? [],
});

/** What the school agreed to about one service of one receiver, today. Throws state.missing for a school nobody knows. */
export function agreementOf(door: Copy, caller: Caller, school: string, service: Service): Agreement {
  if (actsForSchool(door, caller, school)) return { mandates: [], own: true };
  if (!door.chain.knowsSchool(school)) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  return door.chain.judge(school, caller.oin, service);
}

/**
 * First stage of release: whether this receiver may have this service of this school now, and with which attributes.
 * Throws mandate.* or state.missing. The school itself, and the operator acting for it, see what the school sees.
 */
export function purposeFor(door: Copy, caller: Caller, school: string, service: Service): Purpose {
  requireOwnSchool(caller, school);
  const base = { school, party: caller.oin, service };
  if (caller.kind === 'operator') return { ...base, released: everything, pairwise: false };
  const agreement = agreementOf(door, caller, school, service);
  const { fault } = agreement;
  if (fault !== undefined) throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
  return {
    ...base,
    released: givenOf(judgeAttributes(receiverOf(door, caller), agreement, service)),
    pairwise: !agreement.own && door.chain.isPairwise(school, caller.oin),
  };
}

/** The same, but with the fault instead of a throw: for rows of a mailbox. */
export function tryPurpose(
  door: Copy,
  caller: Caller,
  school: string,
  service: Service,
): { purpose: Purpose } | { fault: GatewayError['fault'] } {
  // What is of another school than the token's is passed over, as if there were no mandate.
  if (caller.school !== undefined && caller.school !== school) return { fault: 'mandate.missing' };
  try {
    return { purpose: purposeFor(door, caller, school, service) };
  } catch (thrown) {
    if (thrown instanceof GatewayError && (thrown.fault.startsWith('mandate.') || thrown.fault === 'state.missing'))
      return { fault: thrown.fault === 'state.missing' ? 'mandate.missing' : thrown.fault };
    throw thrown;
  }
}
