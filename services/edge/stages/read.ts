import { encoded, GatewayError } from '#kernel';
import { checkGrammar } from '../labels.ts';
import type { Submission } from '../submission.ts';
import { each } from './each.ts';

/**
 * Form: the grammar of every label, then what the message itself demands. Also fixes the bytes that digest and receipt
 * speak of: the message encoded anew, without how long the caller would wait.
 * Faults: wire.invalid, with paths.
 */
export function read(batch: readonly Submission[]): void {
  each(batch, (submission) => {
    const { intake, caller } = submission;
    submission.message.reveal((request) => {
      if (!intake.reference(request))
        throw new GatewayError('wire.invalid', 'Every write needs a reference of its sender.', { where: 'reference' });
      checkGrammar(intake.type, request);
      intake.check?.(request, caller);
      submission.bytes = encoded(
        intake.codec,
        'waitMs' in request && request.waitMs ? { ...request, waitMs: 0n } : request,
      );
    });
  });
}
