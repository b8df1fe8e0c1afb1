import { GatewayError, isSchoolOin, newId } from '#kernel';
import { type ForgetReceiver, Role } from '#proto/eduk/core/v1/party';
import { ConfirmSchoolForgetRequest, ForgetSchoolRequest, KeepSchoolRequest } from '#proto/eduk/operator/v1/operator';
import type { Door, Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { FORGET_UNDO_MS } from './rosters.ts';
import { unsaid } from './standing.ts';

/** Forgetting a whole school, and taking that back. Parties decide; a repeat changes nothing. */

/** Faults: wire.invalid. */
function requireSchool({ schoolOin }: { schoolOin: string }): void {
  if (!isSchoolOin(schoolOin)) throw new GatewayError('wire.invalid', 'This is no school.', { where: 'school_oin' });
}

const asked = <R extends { schoolOin: string }>(
  method: string,
  codec: Intake<R>['codec'],
  given: Pick<Intake<R>, 'events'>,
): Intake<R> => {
  const reference = newId();
  return {
    method: `OperatorService/${method}`,
    type: `eduk.operator.v1.${method}Request`,
    codec,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: ({ schoolOin }) => schoolOin,
    check: requireSchool,
    ...given,
  };
};

/** `receivers`: who had data of the school's people, or might have had. */
export const forgetSchool = (receivers: readonly ForgetReceiver[], { clock }: Pick<Door, 'clock'>) =>
  asked<ForgetSchoolRequest>('ForgetSchool', ForgetSchoolRequest, {
    events: ({ schoolOin: oin }) => [
      event(
        'PartyStandingSubmitted',
        {
          ...unsaid,
          oin,
          change: 'forget',
          destroyAtMs: BigInt(clock.now() + FORGET_UNDO_MS),
          receivers: [...receivers],
        },
        oin,
      ),
    ],
  });

export const keepSchool = () =>
  asked<KeepSchoolRequest>('KeepSchool', KeepSchoolRequest, {
    events: ({ schoolOin: oin }) => [event('PartyStandingSubmitted', { ...unsaid, oin, change: 'keep' }, oin)],
  });

export const confirmSchoolForget = () =>
  asked<ConfirmSchoolForgetRequest>('ConfirmSchoolForget', ConfirmSchoolForgetRequest, {
    events: ({ schoolOin: oin, partyOin }) => [
      event('PartyStandingSubmitted', { ...unsaid, oin, change: 'confirm', partyOin }, oin),
    ],
  });
