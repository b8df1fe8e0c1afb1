import { GatewayError, isPartyOin, newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { type CredentialDigests, PartyStandingSubmitted } from '#proto/eduk/events/v1/parties';
import { ResumePartyRequest, StopPartyRequest } from '#proto/eduk/operator/v1/operator';
import type { Door, Intake } from '../submission.ts';
import { event } from '../submission.ts';

/** Stopping a party everywhere, and letting it go on. The decider says what that means; a repeat changes nothing. */

export const unsaid = PartyStandingSubmitted.fromPartial({});

/** Faults: wire.invalid, state.missing. */
async function isRegistered(oin: string, { chain }: Pick<Door, 'chain'>): Promise<void> {
  if (!isPartyOin(oin)) throw new GatewayError('wire.invalid', 'This is not an OIN.', { where: 'oin' });
  if (!chain.party(oin)) await chain.refresh();
  if (!chain.party(oin)) throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'oin' });
}

export function stopParty(): Intake<StopPartyRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/StopParty',
    type: 'eduk.operator.v1.StopPartyRequest',
    codec: StopPartyRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: () => '',
    locate: ({ oin }, door) => isRegistered(oin, door),
    check: ({ reason }) => {
      if (reason === '')
        throw new GatewayError('wire.invalid', 'Name the case, such as breach-2026-11: no spaces, 64 characters.', {
          where: 'reason',
        });
    },
    events: ({ oin, reason }) => [event('PartyStandingSubmitted', { ...unsaid, oin, change: 'stop', reason }, oin)],
  };
}

/** `credentials`: digests of what it goes on with. */
export function resumeParty(credentials: CredentialDigests): Intake<ResumePartyRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/ResumeParty',
    type: 'eduk.operator.v1.ResumePartyRequest',
    codec: ResumePartyRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: () => '',
    locate: ({ oin }, door) => isRegistered(oin, door),
    events: ({ oin }) => [event('PartyStandingSubmitted', { ...unsaid, oin, change: 'resume', credentials }, oin)],
  };
}
