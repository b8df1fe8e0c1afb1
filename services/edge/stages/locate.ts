import { asGatewayError } from '#kernel';
import type { Door, Submission } from '../submission.ts';
import { requireRole } from './authorise.ts';

/**
 * Asks the owner of an id which school it belongs to, where the message does not say. A caller without the role learns
 * nothing of what there is. Faults: party.forbidden, state.missing.
 */
export async function locate(batch: readonly Submission[], door: Door): Promise<void> {
  const waiting: Promise<void>[] = [];
  for (const submission of batch) {
    const { intake, caller } = submission;
    if (intake.locate)
      waiting.push(
        submission.message
          .reveal(async (request) => {
            requireRole(caller, intake.roles);
            return intake.locate!(request, door, caller);
          })
          .then(
            (located) => {
              submission.located = located;
              submission.school = submission.message.reveal((request) => intake.school(request, located));
            },
            (thrown) => {
              submission.refused = asGatewayError(thrown);
            },
          ),
      );
    else submission.school = submission.message.reveal((request) => intake.school(request, undefined));
  }
  if (waiting.length > 0) await Promise.all(waiting);
}
