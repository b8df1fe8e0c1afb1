import { faults, GatewayError } from '#kernel';
import type { Service } from '#proto/eduk/core/v1/party';
import { everything, type Purpose, released } from '#release';
import type { Caller } from './caller.ts';
import { actsForSchool, SCHOOL_UNKNOWN } from './stages/authorise.ts';
import type { Door } from './submission.ts';

/**
 * First stage of release: whether this receiver may have this service of this school now, and with which attributes.
 * Throws mandate.* or state.missing. The school itself, and the operator acting for it, see what the school sees.
 */
export function purposeFor(door: Door, caller: Caller, school: string, service: Service): Purpose {
  const base = { school, party: caller.oin, service };
  if (caller.kind === 'operator' || actsForSchool(door, caller, school)) return { ...base, released: everything };
  if (!door.chain.knowsSchool(school)) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  const { mandate, fault } = door.chain.judge(school, caller.oin, service);
  if (fault) throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
  return { ...base, released: released(mandate!.attributes, service) };
}

/** The same, but with the fault instead of a throw: for rows of a mailbox. */
export function tryPurpose(
  door: Door,
  caller: Caller,
  school: string,
  service: Service,
): { purpose: Purpose } | { fault: GatewayError['fault'] } {
  try {
    return { purpose: purposeFor(door, caller, school, service) };
  } catch (thrown) {
    if (thrown instanceof GatewayError && (thrown.fault.startsWith('mandate.') || thrown.fault === 'state.missing'))
      return { fault: thrown.fault === 'state.missing' ? 'mandate.missing' : thrown.fault };
    throw thrown;
  }
}
