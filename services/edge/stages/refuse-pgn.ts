import { ColumnMemory, findPgn } from '../pgn.ts';
import type { Submission } from '../submission.ts';

const columns = new ColumnMemory();

/** Faults: wire.pgn, with paths and never a value. */
export function refusePersonalNumbers(batch: readonly Submission[]): void {
  // The school is the one a message names; who may speak for it is judged later.
  const looked = batch.map(({ message, intake, caller }) =>
    message.reveal((request) => ({
      type: intake.type,
      message: request,
      sender: caller.oin,
      school: schoolIn(request),
    })),
  );
  for (const [i, error] of findPgn(looked, columns).entries()) if (error) batch[i]!.refused = error;
}

const schoolIn = (request: { schoolOin?: string; roster?: { schoolOin: string } }): string =>
  request.schoolOin ?? request.roster?.schoolOin ?? '';
