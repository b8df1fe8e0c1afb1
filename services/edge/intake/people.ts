import { GatewayError } from '#kernel';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { PersonAsk } from '../submission.ts';

export const hasRef = (ref: LearnerRef | undefined): ref is LearnerRef =>
  ref !== undefined && (ref.eckId !== '' || ref.lasKey !== '');

/**
 * A learner named by a seller or platform. An ECK iD that is new at a school gets a token, because material may be ordered
 * before a roster comes; a key of the administration means nothing before its roster.
 */
export const namedLearner = (ref: LearnerRef, path: string, mayBeNew: boolean): PersonAsk => ({
  identity: { kind: 'learner', eckId: ref.eckId, lasKey: ref.eckId ? '' : ref.lasKey, person: undefined },
  create: mayBeNew && ref.eckId !== '',
  path,
});

export function atMostOne(learner: LearnerRef | undefined, groupKey: string, path: string): void {
  if (hasRef(learner) && groupKey)
    throw new GatewayError('wire.invalid', 'Name a learner or a group, not both.', { where: path });
}
