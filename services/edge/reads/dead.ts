import type { Service } from '#proto/eduk/core/v1/party';
import type { DeadLetterRow } from '#proto/eduk/delivery/v1/delivery';
import {
  type DeadLetter,
  DeadLetterSelection,
  type ListDeadLettersRequest,
  type ListDeadLettersResponse,
  type ReplayStanding,
} from '#proto/eduk/gateway/v1/delivery';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { checkSelection, replayIdOf } from '../intake/deliveries.ts';
import { tryPurpose } from '../purpose.ts';
import { requireOwnSchool, requireRole } from '../stages/authorise.ts';
import { flowNow } from './flows.ts';

const PAGE = 100;
const LARGEST_PAGE = 200;

/** What is for the caller and does not arrive. Faults: wire.invalid, party.forbidden (a token for another school). */
export async function listDeadLetters(
  request: ListDeadLettersRequest,
  caller: Caller,
  gate: Gate,
): Promise<ListDeadLettersResponse> {
  requireRole(caller, []);
  const given = request.selection ?? DeadLetterSelection.fromPartial({});
  checkSelection(given);
  if (given.schoolOin !== '') requireOwnSchool(caller, given.schoolOin);
  const selection = { ...given, schoolOin: caller.school ?? given.schoolOin };
  const { cursors, door } = gate;
  const of = `dead|${JSON.stringify(Object.values(selection).map(String))}`;
  const { letters, next } = await door.services.delivery.listDeadLetters({
    partyOin: caller.oin,
    selection,
    after: cursors.open(caller.oin, of, request.cursor),
    limit: Math.min(request.limit || PAGE, LARGEST_PAGE),
  });
  const may = new Map<string, boolean>();
  const shown = letters.map((row) => letterOf(row, mayHave(row, caller, gate, may)));
  // Of which flows they came is told to who sent those.
  const flows = [...new Set(shown.flatMap(({ flowId }) => (flowId === '' ? [] : [flowId])))];
  const own = new Set(
    (
      await Promise.all(
        flows.map(async (flowId) =>
          (await flowNow(gate, caller, { flowId, reference: '', method: '' })) ? [flowId] : [],
        ),
      )
    ).flat(),
  );
  return {
    letters: shown.map((letter) => (own.has(letter.flowId) ? letter : { ...letter, flowId: '' })),
    cursor: cursors.seal(caller.oin, of, next),
  };
}

/** Whether what a message is about may be told now: as what is sent, and not where only some of the school may be. */
export function mayHave(
  { service, schoolOin }: Pick<DeadLetterRow, 'service' | 'schoolOin'>,
  caller: Caller,
  { door }: Gate,
  known: Map<string, boolean>,
): boolean {
  if (service === 0) return true;
  const name = `${service}|${schoolOin}`;
  const found = known.get(name);
  if (found !== undefined) return found;
  const tried = tryPurpose(door, caller, schoolOin, service as Service);
  const may = 'purpose' in tried && tried.purpose.within === undefined && !door.chain.isStopped(caller.oin);
  known.set(name, may);
  return may;
}

function letterOf({ type, about, rows, ...row }: DeadLetterRow, may: boolean): DeadLetter {
  return { ...row, kind: may ? type : '', about: may ? about : '', flowId: may ? row.flowId : '', messages: rows };
}

/** How the replay stands that the caller had counted under a reference; undefined = there is none. */
export async function ownReplay(
  caller: Pick<Caller, 'oin'>,
  reference: string,
  { door }: Gate,
): Promise<ReplayStanding | undefined> {
  const jobId = replayIdOf(caller.oin, reference);
  const { replays } = await door.services.delivery.listReplays({ partyOin: caller.oin, jobId });
  const job = replays[0];
  if (job === undefined) return undefined;
  const { state, cause, keptFromMs, selected, fresh, had, outOfOrder, pending, forbidden, toSend } = job;
  const { rate, mostErrors, errors, sent, untold, refused, withheld, gone, leftOut, madeMs, startedMs, endedMs } = job;
  return {
    replayId: jobId,
    ...{ state, cause, keptFromMs, selected, fresh, had, outOfOrder, pending, forbidden, toSend },
    ...{ rate, mostErrors, errors, sent, untold, refused, withheld, gone, leftOut, madeMs, startedMs, endedMs },
  };
}
