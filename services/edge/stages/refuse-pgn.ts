import { findPgn } from '../pgn.ts';
import type { Submission } from '../submission.ts';

/** Faults: wire.pgn, with paths and never a value. */
export function refusePersonalNumbers(batch: readonly Submission[]): void {
  // The school is the one a message names; who may speak for it is judged later.
  const looked = batch.map(({ message, intake }) =>
    message.reveal((request) => ({ type: intake.type, message: request, school: schoolIn(request) })),
  );
  for (const [i, error] of findPgn(looked).entries()) if (error) batch[i]!.refused = error;
}

const schoolIn = (request: { schoolOin?: string; roster?: { schoolOin: string } }): string =>
  request.schoolOin ?? request.roster?.schoolOin ?? '';
