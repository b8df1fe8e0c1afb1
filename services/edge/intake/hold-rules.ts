import { newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import type { HoldRuleSubmitted } from '#proto/eduk/events/v1/parties';
import { ApproveHoldRuleRequest, EndHoldRuleRequest, SetHoldRuleRequest } from '#proto/eduk/operator/v1/operator';
import { event, type Intake } from '../submission.ts';

/** Rules that let go what would wait are facts of the stream of parties: set, approved and ended by operators. */

type Submitted = Omit<HoldRuleSubmitted, 'byOin'>;

const asked = <R>(method: string, codec: Intake<R>['codec'], submitted: Submitted): Intake<R> => {
  const reference = newId();
  const { schoolOin } = submitted.rule!;
  return {
    method: `OperatorService/${method}`,
    type: `eduk.operator.v1.${method}Request`,
    codec,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: () => schoolOin,
    // All of one rule stands under one key, in order.
    events: (_request, _found, { caller: { oin: byOin } }) => [
      event('HoldRuleSubmitted', { ...submitted, byOin }, schoolOin || byOin),
    ],
  };
};

export const setHoldRule = (submitted: Submitted): Intake<SetHoldRuleRequest> =>
  asked('SetHoldRule', SetHoldRuleRequest, submitted);

export const approveHoldRule = (submitted: Submitted): Intake<ApproveHoldRuleRequest> =>
  asked('ApproveHoldRule', ApproveHoldRuleRequest, submitted);

export const endHoldRule = (submitted: Submitted): Intake<EndHoldRuleRequest> =>
  asked('EndHoldRule', EndHoldRuleRequest, submitted);
