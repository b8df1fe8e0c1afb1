import { asGatewayError } from '#kernel';
import type { Submission } from '../submission.ts';

/** Runs `one` for each submission; what it throws refuses that submission only. */
export function each(batch: readonly Submission[], one: (submission: Submission) => void): void {
  for (const submission of batch) {
    try {
      one(submission);
    } catch (thrown) {
      submission.refused = asGatewayError(thrown);
    }
  }
}
