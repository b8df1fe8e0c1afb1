import { newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import type { LearnersSubmitted, SchoolCrossingSubmitted } from '#proto/eduk/events/v1/rosters';
import { ChangeSchoolRequest, UndoSchoolChangeRequest } from '#proto/eduk/operator/v1/operator';
import { event, type Intake } from '../submission.ts';

/** Learners of a school go on at another. An operator's only. Why it is so: docs/decisions/0059. */

const asked = <R>(
  method: 'ChangeSchool' | 'UndoSchoolChange',
  codec: Intake<R>['codec'],
  given: Pick<Intake<R>, 'events' | 'school'>,
): Intake<R> => {
  const reference = `operator-${newId()}`;
  return {
    method: `OperatorService/${method}`,
    type: `eduk.operator.v1.${method}Request`,
    codec,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    ...given,
  };
};

/** `listed`: tokens at the school that they leave. `byPerson`: in hexadecimal; empty = the operator's key. */
export const changeSchool = (listed: readonly string[], byPerson: string): Intake<ChangeSchoolRequest> =>
  asked<ChangeSchoolRequest>('ChangeSchool', ChangeSchoolRequest, {
    school: (request) => request.asked!.schoolOin,
    events: (request, _found, { caller: { oin: byOin } }) => {
      const { schoolOin, toSchoolOin, onDay, whole, siteCodes, yearGroups } = request.asked!;
      const change = { schoolOin, toSchoolOin, onDay, whole, siteCodes, yearGroups, learners: [...listed] };
      return [event('SchoolChangeSubmitted', { ...change, byOin, byPerson }, schoolOin)];
    },
  });

export const undoChange = (schoolOin: string): Intake<UndoSchoolChangeRequest> =>
  asked<UndoSchoolChangeRequest>('UndoSchoolChange', UndoSchoolChangeRequest, {
    school: () => schoolOin,
    events: ({ changeId }, _found, { caller: { oin: byOin } }) => [
      event('SchoolChangeUndoSubmitted', { schoolOin, changeId, byOin }, schoolOin),
    ],
  });

/** Some are learners of the school where they go on. What comes with it says of nobody who they were elsewhere. */
export const arriving = (given: Omit<LearnersSubmitted, 'byOin' | 'crossing'>): Intake<ChangeSchoolRequest> =>
  asked<ChangeSchoolRequest>('ChangeSchool', ChangeSchoolRequest, {
    school: () => given.schoolOin,
    events: (_request, _found, { caller: { oin: byOin } }) => [
      event('LearnersSubmitted', { ...given, byOin, crossing: true }, given.schoolOin),
    ],
  });

/** They leave the other one. */
export const crossed = (given: Omit<SchoolCrossingSubmitted, 'byOin'>): Intake<ChangeSchoolRequest> =>
  asked<ChangeSchoolRequest>('ChangeSchool', ChangeSchoolRequest, {
    school: () => given.schoolOin,
    events: (_request, _found, { caller: { oin: byOin } }) => [
      event('SchoolCrossingSubmitted', { ...given, byOin }, given.schoolOin),
    ],
  });
