import { GatewayError, isPartyOin, isSchoolOin, newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { type CredentialDigests, PartyStandingSubmitted } from '#proto/eduk/events/v1/parties';
import { ResumePartyRequest, SetIdentityRequest, StopPartyRequest } from '#proto/eduk/operator/v1/operator';
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

/** Where names of a school's people are, and what is asked of parties for it. */
export const IDENTITIES: Readonly<Record<string, string>> = { 'on-demand': 'names_on_demand', kept: 'names_kept' };

export function setIdentity(): Intake<SetIdentityRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/SetIdentity',
    type: 'eduk.operator.v1.SetIdentityRequest',
    codec: SetIdentityRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: ({ schoolOin }) => schoolOin,
    check: ({ schoolOin, identity }) => {
      if (!isSchoolOin(schoolOin))
        throw new GatewayError('wire.invalid', 'This is no school.', { where: 'school_oin' });
      if (!Object.hasOwn(IDENTITIES, identity))
        throw new GatewayError('wire.invalid', 'Names are on-demand or kept.', { where: 'identity' });
    },
    events: ({ schoolOin: oin, identity }) => [
      event('PartyStandingSubmitted', { ...unsaid, oin, change: IDENTITIES[identity]! }, oin),
    ],
  };
}
