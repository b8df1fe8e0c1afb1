import { GatewayError } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { MergeLearnersRequest } from '#proto/eduk/operator/v1/operator';
import { event, type Intake } from '../submission.ts';
import { hasRef } from './people.ts';

/** Two tokens of one learner become one, or two again. An operator's only. `byPerson`: in hexadecimal; empty = the operator's key. */
export const mergeLearners = (reference: string, byPerson: string): Intake<MergeLearnersRequest> => ({
  method: 'OperatorService/MergeLearners',
  type: 'eduk.operator.v1.MergeLearnersRequest',
  codec: MergeLearnersRequest,
  roles: [Role.ROLE_OPERATOR],
  remember: 35,
  reference: () => reference,
  school: (request) => request.schoolOin,
  check: checkMerge,
  people: ({ winner, loser }) =>
    [winner!, loser!].map(({ eckId, lasKey }, i) => ({
      identity: { kind: 'learner', eckId, lasKey, person: undefined },
      create: false,
      path: i === 0 ? 'winner' : 'loser',
    })),
  events: ({ schoolOin }, found, { caller: { oin: byOin } }) => {
    const [winner, loser] = [found.tokens[0]!, found.tokens[1]!];
    return [event('LearnersMergeSubmitted', { schoolOin, winner, loser, byOin, byPerson }, schoolOin)];
  },
});

/** Who were merged are found as one, so who it was is said beforehand. */
export const partLearners = (
  reference: string,
  { winner, loser }: { winner: string; loser: string },
): Intake<MergeLearnersRequest> => ({
  method: 'OperatorService/MergeLearners',
  type: 'eduk.operator.v1.MergeLearnersRequest',
  codec: MergeLearnersRequest,
  roles: [Role.ROLE_OPERATOR],
  remember: 35,
  reference: () => reference,
  school: (request) => request.schoolOin,
  check: checkMerge,
  events: ({ schoolOin }, _found, { caller: { oin: byOin } }) => [
    event('LearnersMergeUndoSubmitted', { schoolOin, winner, loser, byOin }, schoolOin),
  ],
});

/** Faults: wire.invalid. */
export function checkMerge({ schoolOin, winner, loser }: MergeLearnersRequest): void {
  if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  for (const [where, ref] of [
    ['winner', winner],
    ['loser', loser],
  ] as const)
    if (!hasRef(ref)) throw new GatewayError('wire.invalid', 'Name each learner by ECK iD or key.', { where });
}
