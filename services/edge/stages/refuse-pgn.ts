import { refusePgn } from '../pgn.ts';
import { each } from '../pipeline.ts';
import type { Submission } from '../submission.ts';

/** Faults: wire.pgn, with paths and never a value. */
export function refusePersonalNumbers(batch: readonly Submission[]): void {
  each(batch, ({ message, intake }) => message.reveal((request) => refusePgn(intake.type, request)));
}
