import { newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import type { FreezeSubmitted } from '#proto/eduk/events/v1/parties';
import { EndFreezeRequest, SetFreezeRequest } from '#proto/eduk/operator/v1/operator';
import { event, type Intake } from '../submission.ts';

/** Freezes are facts of the stream of parties: set and ended early by operators. */

const asked = <R>(
  method: 'SetFreeze' | 'EndFreeze',
  codec: Intake<R>['codec'],
  submitted: Omit<FreezeSubmitted, 'byOin'>,
): Intake<R> => {
  const reference = newId();
  const { schoolOin, partyOin } = submitted.freeze!;
  return {
    method: `OperatorService/${method}`,
    type: `eduk.operator.v1.${method}Request`,
    codec,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: () => schoolOin,
    // Both of one freeze stand under one key, in order.
    events: (_request, _found, { caller: { oin: byOin } }) => [
      event('FreezeSubmitted', { ...submitted, byOin }, schoolOin || partyOin || byOin),
    ],
  };
};

export const setFreeze = (submitted: Omit<FreezeSubmitted, 'byOin'>): Intake<SetFreezeRequest> =>
  asked('SetFreeze', SetFreezeRequest, submitted);

export const endFreeze = (submitted: Omit<FreezeSubmitted, 'byOin'>): Intake<EndFreezeRequest> =>
  asked('EndFreeze', EndFreezeRequest, submitted);
