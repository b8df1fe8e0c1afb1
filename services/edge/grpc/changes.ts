/** Learners of a school go on at another: previewed, asked for, taken back, listed. */
import { GatewayError } from '#kernel';
import type * as op from '#proto/eduk/operator/v1/operator';
import { type Caller, operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { changeSchool, undoChange } from '../intake/changes.ts';
import { previewChange } from '../leaving/change.ts';
import { requireKnown } from '../reads/known.ts';
import { decisionOf } from './decision.ts';
import { personOf } from './merges.ts';
import { take } from './writes.ts';

const WAIT_MS = 10_000;

const namesOf = ({ door }: Gate, oins: readonly string[]): op.PartyName[] =>
  [...new Set(oins)].flatMap((oin) => {
    const name = door.chain.party(oin)?.name;
    return name ? [{ oin, name }] : [];
  });

export async function previewAnswer(
  { asked }: op.PreviewSchoolChangeRequest,
  gate: Gate,
): Promise<op.PreviewSchoolChangeResponse> {
  const { answer } = await previewChange(asked, gate.door);
  const { schoolOin, toSchoolOin } = asked!;
  const named = [...answer.parties.map(({ partyOin }) => partyOin), ...answer.rights.map(({ sellerOin }) => sellerOin)];
  return { ...answer, names: namesOf(gate, [schoolOin, toSchoolOin, ...named]) };
}

/** Faults: those of the preview; state.conflict where the numbers are others by now, or nobody would go. */
export async function changeAnswer(
  request: op.ChangeSchoolRequest,
  gate: Gate,
  caller: Caller,
): Promise<op.ChangeSchoolResponse> {
  const { answer, listed } = await previewChange(request.asked, gate.door);
  if (request.check !== answer.check)
    throw new GatewayError(
      'state.conflict',
      'The numbers are others by now, or were not looked at: preview it first.',
      { where: 'check' },
    );
  if (answer.learners.length === 0)
    throw new GatewayError('state.conflict', 'Nobody would go: no roster of that time names anybody.', {
      where: 'asked',
    });
  const { flowId } = await take(changeSchool(listed, personOf(caller)), request, operator, gate);
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  const { schoolOin, toSchoolOin, onDay, whole } = request.asked!;
  const { changes } = await gate.door.services.rosters.listSchoolChanges({ schoolOin, underWay: false });
  const { holds } = await gate.door.services.rosters.listHolds({ schoolOin, decided: false });
  const own = holds.find((one) => one.flowId === flowId)?.holdId;
  // Asked again, it is the same that waits.
  const standing = changes.find(
    (one) =>
      (one.state === 'held' || one.state === 'planned') &&
      one.toSchoolOin === toSchoolOin &&
      one.onDay === onDay &&
      one.whole === whole &&
      one.listed === listed.length &&
      sameWords(one.siteCodes, request.asked!.siteCodes) &&
      sameWords(one.yearGroups, request.asked!.yearGroups),
  );
  return { changeId: own ?? standing?.changeId ?? '', flowId, decision };
}

const sameWords = (a: readonly string[], b: readonly string[]): boolean =>
  JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());

/** Faults: state.missing. */
export async function undoAnswer(
  request: op.UndoSchoolChangeRequest,
  gate: Gate,
): Promise<op.UndoSchoolChangeResponse> {
  const { changes } = await gate.door.services.rosters.listSchoolChanges({ schoolOin: '', underWay: false });
  const change = changes.find(({ changeId }) => changeId === request.changeId);
  if (!change)
    throw new GatewayError('state.missing', 'There is no change of schools under this id.', { where: 'change_id' });
  const { flowId } = await take(undoChange(change.schoolOin), request, operator, gate);
  return { flowId, decision: await decisionOf(gate, flowId, WAIT_MS) };
}

export async function listAnswer(
  { schoolOin }: op.ListSchoolChangesRequest,
  gate: Gate,
): Promise<op.ListSchoolChangesResponse> {
  const listed = await gate.door.services.rosters.listSchoolChanges({ schoolOin: '', underWay: false });
  const changes = listed.changes.filter(
    (one) => schoolOin === '' || one.schoolOin === schoolOin || one.toSchoolOin === schoolOin,
  );
  if (changes.length === 0) await requireKnown(gate, { partyOin: '', schoolOin });
  return {
    changes,
    names: namesOf(
      gate,
      changes.flatMap((one) => [one.schoolOin, one.toSchoolOin]),
    ),
  };
}
