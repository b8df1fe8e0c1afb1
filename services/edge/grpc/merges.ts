/** Two tokens of one learner of a school become one, or two again: what it comes to, and asking for it. */
import { GatewayError, newId } from '#kernel';
import type * as op from '#proto/eduk/operator/v1/operator';
import { type Caller, operator } from '../caller.ts';
import { tellMerges } from '../forgetting.ts';
import type { Gate } from '../gate.ts';
import { checkMerge, mergeLearners, partLearners } from '../intake/merges.ts';
import { findPgn } from '../pgn.ts';
import { decisionOf } from './decision.ts';
import { take } from './writes.ts';

const TYPE = 'eduk.operator.v1.MergeLearnersRequest';
const WAIT_MS = 10_000;
const COUNTED = 1_000;
/** What was decided before this is long told. */
const LATELY_MS = 10 * 60_000;

/** In hexadecimal; empty = the operator's key, which is nobody in particular. */
export const personOf = ({ person }: Caller): string => (person ? Buffer.from(person.id).toString('hex') : '');

export async function mergeAnswer(
  request: op.MergeLearnersRequest,
  gate: Gate,
  caller: Caller,
): Promise<op.MergeLearnersResponse> {
  const { schoolOin } = request;
  checkMerge(request);
  const [pgn] = findPgn([{ type: TYPE, message: { ...request }, sender: operator.oin, school: schoolOin }]);
  if (pgn) throw pgn;
  const [winner, loser] = await named(request, gate);
  if (request.undo) return part(request, gate, winner.token, loser);
  if (winner.token === loser.token) return answer('merged', schoolOin, winner.token, loser.merged ?? loser.token, gate);
  const { services } = gate.door;
  const tokens = { winner: winner.token, loser: loser.token };
  const { code } = await services.vault.mergeTokens({ schoolOin, ...tokens, undo: false, look: true });
  if (code !== '')
    throw new GatewayError(
      'state.conflict',
      'They are of two sectors, or one of them is merged with another learner.',
      {
        where: 'loser',
      },
    );
  const shown = await answer('merges', schoolOin, winner.token, loser.token, gate);
  if (!request.apply) return shown;
  const waiting = async () => {
    const { holds } = await services.rosters.listHolds({ schoolOin, decided: false });
    return holds.find((one) => one.winner === tokens.winner && one.loser === tokens.loser);
  };
  // Asked again, it is the same that waits.
  const before = await waiting();
  const flowId =
    before?.flowId ??
    (await take(mergeLearners(`operator-${newId()}`, personOf(caller)), request, operator, gate)).flowId;
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  return { ...shown, flowId, decision, holdId: (before ?? (await waiting()))?.holdId ?? '' };
}

interface Named {
  token: string;
  merged?: string | undefined;
}

async function named({ schoolOin, winner, loser }: op.MergeLearnersRequest, { door }: Gate): Promise<[Named, Named]> {
  const { identified } = await door.services.vault.identify({
    schoolOin,
    sector: '',
    identities: [winner!, loser!].map((ref) => ({ kind: 'learner', ...ref, person: undefined, partyOin: '' })),
    create: false,
    saltFor: [],
  });
  for (const [i, { code, token }] of identified.entries())
    if (code === 'state.conflict' || token === '')
      throw new GatewayError(code === 'state.conflict' ? code : 'learner.unknown', undefined, {
        where: i === 0 ? 'winner' : 'loser',
      });
  return [identified[0]!, identified[1]!];
}

async function part(
  request: op.MergeLearnersRequest,
  gate: Gate,
  winner: string,
  { token, merged: loser }: Named,
): Promise<op.MergeLearnersResponse> {
  const { schoolOin } = request;
  const { services, clock } = gate.door;
  if (token !== winner || loser === undefined) return answer('parted', schoolOin, winner, loser ?? token, gate);
  const shown = await answer('parts', schoolOin, winner, loser, gate);
  if (shown.undoUntilMs < BigInt(clock.now()))
    throw new GatewayError('state.conflict', 'It can be undone for 30 days.', { where: 'undo' });
  if (!request.apply) return shown;
  const tokens = { winner, loser };
  // First, so that nobody is told of the one by the numbers of the other; what then is not undone is told to the vault again.
  await services.vault.mergeTokens({ schoolOin, ...tokens, undo: true, look: false });
  const intake = partLearners(`operator-${newId()}`, tokens);
  const { flowId } = await take(intake, request, operator, gate);
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  if (decision.code !== '') await services.vault.mergeTokens({ schoolOin, ...tokens, undo: false, look: false });
  return { ...shown, flowId, decision };
}

/** Where a merge was approved, the vault learns of it at once; where this door ends before, within a minute. */
export const approved = (gate: Gate): Promise<void> =>
  tellMerges(gate.door.services, gate.door.clock.now() - LATELY_MS);

async function answer(
  outcome: string,
  schoolOin: string,
  winner: string,
  loser: string,
  gate: Gate,
): Promise<op.MergeLearnersResponse> {
  const { rosters } = gate.door.services;
  const { merges } = await rosters.listMerges({ sinceMs: 0n, limit: 0, schoolOin, learner: winner });
  const standing = merges.find((one) => one.loser === loser && !one.undone);
  const isOne = winner === loser;
  return {
    outcome,
    winner: await hasOf(schoolOin, winner, gate),
    loser: isOne ? undefined : await hasOf(schoolOin, loser, gate),
    undoUntilMs: standing?.undoUntilMs ?? 0n,
    flowId: '',
    decision: undefined,
    holdId: '',
  };
}

/** Of those that are one, both say what is there of the two. */
async function hasOf(schoolOin: string, learner: string, { door }: Gate): Promise<op.LearnerHas> {
  const { rosters, entitlements, results } = door.services;
  const { rosters: years } = await rosters.listSchools({ schoolOin });
  const schoolYears: string[] = [];
  for (const { schoolYear } of years) {
    const { learners } = await rosters.getLearners({ schoolOin, schoolYear, learners: [learner] });
    if (learners.length > 0) schoolYears.push(schoolYear);
  }
  const rest = { productId: '', limit: COUNTED, after: '' };
  const [rights, done] = await Promise.all([
    entitlements.listEntitlements({
      schoolOin,
      learner,
      groups: [],
      partyOin: '',
      orderId: '',
      waiting: false,
      ...rest,
    }),
    results.listResults({ schoolOin, learner, group: '', fromOin: '', ...rest }),
  ]);
  return {
    schoolYears: schoolYears.sort(),
    entitlements: rights.entitlements.filter(({ holder }) => holder?.learner).length,
    results: done.results.length,
  };
}
