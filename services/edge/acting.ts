/** Who sends in the name of a school: the party that calls, with a mandate of that school to act for it. */
import { faults, GatewayError, isPartyOin } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import type { Caller } from './caller.ts';
import type { Chain } from './chain.ts';
import { requireOwnSchool } from './stages/authorise.ts';

/** Metadata of gRPC, and header of HTTP, with the OIN in whose name a party calls; without it, or with its own, its own. */
export const FROM = 'eduk-from';

/**
 * The caller as which a call is taken in. In the name of another only a party may call, and only for a school whose mandate
 * names `act`. It then is that school, narrowed to it and to what `requireMandate` lets an actor send; it reads in its own name.
 * Faults: party.forbidden, wire.invalid, mandate.*.
 */
export function inNameOf(caller: Caller, from: string | undefined, chain: Chain): Caller {
  if (from === undefined || from === '' || from === caller.oin) return caller;
  if (caller.kind !== 'party')
    throw new GatewayError('party.forbidden', 'An operator acts in nobody’s name.', { where: FROM });
  if (!isPartyOin(from)) throw new GatewayError('wire.invalid', 'This is not an OIN.', { where: FROM });
  requireOwnSchool(caller, from);
  const { fault } = chain.judgeActing(from, caller.oin);
  if (fault !== undefined)
    throw new GatewayError(
      fault,
      fault === 'mandate.missing' ? 'You have no mandate to act for whom you name.' : faults[fault].en,
      { where: FROM },
    );
  return {
    kind: 'party',
    oin: from,
    roles: new Set(chain.party(from)?.roles ?? [Role.ROLE_SCHOOL]),
    scopes: caller.scopes,
    school: from,
    actor: caller.oin,
  };
}

/** What is read in somebody else's name: what became of a message that was sent so. */
const readable: ReadonlySet<string> = new Set([
  'flow/getFlow',
  'flow/watchFlow',
  'audit/getReceipt',
  'audit/getLogHead',
  'audit/getLogConsistency',
]);

/** Faults: party.forbidden. */
export function requireOwnName({ actor }: Caller, scope: string, key: string): void {
  if (actor !== undefined && !readable.has(`${scope}/${key}`))
    throw new GatewayError('party.forbidden', 'What is read is read in your own name, without eduk-from.');
}
