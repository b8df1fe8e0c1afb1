/** A pupil who was doubled: two tokens become one for everyone, once a second person says so, and two again when that was wrong. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  eckId,
  Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const YEAR = '2026-2027';
const [FIRST, SECOND] = ['9789000000101', '9789000000118'];
const school = newSchool();
let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let platform: TestParty;

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
  for (const party of [publisher, platform])
    await at.mandate(school, party.oin, [
      Service.SERVICE_ROSTER,
      Service.SERVICE_ENTITLEMENT,
      Service.SERVICE_ACCESS,
      Service.SERVICE_RESULT,
    ]);
  for (const productId of [FIRST, SECOND])
    await sendAll(publisher.catalogue.publishProducts(), [
      {
        reference: productId,
        product: { productId, title: 'Rekenen', licence: { licensed: true }, platformOin: platform.oin },
      },
    ]);
});
afterAll(() => at?.stop());

interface Ref {
  eckId?: string;
  lasKey?: string;
}
const push = (rosterId: string, refs: Ref[]) =>
  sendAll(las.rosters.pushRoster(), [
    {
      reference: rosterId,
      rosterId,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: YEAR,
        groups: [{ key: '7a', name: '7A', yearGroup: '7' }],
        learners: refs.map((ref) => ({ ref, yearGroup: '7', groupKey: '7a' })),
      },
    },
  ]);
let sent = 0;
/** Taken, all of it. */
const taken = async (answers: Promise<{ refusals: unknown[] }[]>) =>
  expect((await answers).flatMap(({ refusals }) => refusals)).toEqual([]);
const grant = (entitlementId: string, productId: string, learner: Ref) =>
  taken(
    sendAll(publisher.entitlements.grantEntitlements(), [
      {
        reference: `grant-${++sent}`,
        schoolOin: school,
        holder: { learner },
        terms: { entitlementId, productId, startsOn: '2026-08-01', endsOn: '2036-07-31' },
      },
    ]),
  );
const result = (resultId: string, learner: Ref, score: string) =>
  taken(
    sendAll(platform.results.returnResults(), [
      {
        reference: `result-${++sent}`,
        schoolOin: school,
        result: {
          resultId,
          learner,
          productId: FIRST,
          kind: ResultKind.RESULT_KIND_FINAL,
          payload: {
            activityId: 'toets-1',
            donePercent: 100,
            score: Number(score),
            scoreMax: 10,
            takenAt: '2026-11-20',
          },
        },
      },
    ]),
  );
const rights = async (learner: Ref) =>
  (await publisher.entitlements.listEntitlements({ schoolOin: school, learner })).entitlements
    .map(({ terms }) => terms!.entitlementId)
    .sort();
const roster = async () => {
  const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
  return roster!.learners.map(({ ref }) => `${ref!.eckId} ${ref!.lasKey}`.trim()).sort();
};
const until = async (seen: () => Promise<unknown>, wanted: unknown) => {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 30)))
    if (JSON.stringify(await seen()) === JSON.stringify(wanted)) break;
  expect(await seen()).toEqual(wanted);
};
const launch = async (reference: string, learner: Ref, productId: string) => {
  const { decision, ticket } = await platform.access.createLaunch({ reference, schoolOin: school, learner, productId });
  if (decision?.outcome !== 'LaunchCreated') return decision?.code;
  return (await platform.access.redeemLaunch({ reference: `${reference}-in`, ticket })).learner?.eckId;
};
const codeOf = async (answer: Promise<unknown>) => {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.code;
    throw thrown;
  }
};

const old = { lasKey: 'old-1' };
const fresh = { eckId: eckId(1), lasKey: 'new-1' };
const other = { eckId: eckId(2), lasKey: 'old-2' };
const merge = (more: object = {}) =>
  at.operator.mergeLearners({ schoolOin: school, winner: old, loser: fresh, ...more });

test('two become one: rights, launches, results and rosters are of both names, and receivers are told who is no more', async () => {
  await push('first', [old, other]);
  await until(roster, [`${other.eckId} old-2`, 'old-1'].sort());
  await push('double', [old, other, fresh]);
  await until(async () => (await roster()).length, 3);
  await grant('right-1', FIRST, old);
  await grant('right-2', SECOND, { eckId: fresh.eckId });
  await result('result-1', { eckId: fresh.eckId }, '7');
  await until(async () => [await rights(old), await rights(fresh)], [['right-1'], ['right-2']]);

  const preview = await merge();
  expect(preview).toMatchObject({
    outcome: 'merges',
    winner: { schoolYears: [YEAR], entitlements: 1, results: 0 },
    loser: { schoolYears: [YEAR], entitlements: 1, results: 1 },
    flowId: '',
  });
  const asked = await merge({ apply: true });
  expect(asked.decision).toMatchObject({ outcome: 'LearnersMergeHeld', code: 'hold.pending' });
  // Asked again it is the same that waits, and nothing has changed.
  expect((await merge({ apply: true })).holdId).toBe(asked.holdId);
  expect((await at.operator.listHolds({ schoolOin: school })).holds).toMatchObject([
    { holdId: asked.holdId, reason: 'merge', merges: 1, forgets: 0 },
  ]);
  expect([await rights(old), await rights(fresh), (await roster()).length]).toEqual([['right-1'], ['right-2'], 3]);
  // The key that asked is no second person, unless it says that it stands in for one.
  const alone = await at.operator.decideHold({ holdId: asked.holdId, approve: true });
  expect(alone.decision).toMatchObject({ code: 'party.forbidden' });
  expect((await merge()).outcome).toBe('merges');
  const done = await at.operator.decideHold({ holdId: asked.holdId, approve: true, confirm: true });
  expect(done.decision).toMatchObject({ outcome: 'HoldDecided', code: '' });

  const both = ['right-1', 'right-2'];
  await until(() => rights(old), both);
  expect(await rights(fresh)).toEqual(both);
  await until(roster, [`${eckId(1)} old-1`, `${eckId(2)} old-2`].sort());
  expect(await launch('launch-1', old, SECOND)).toBe(eckId(1));
  expect(await launch('launch-2', { eckId: fresh.eckId }, FIRST)).toBe(eckId(1));
  // The same piece of work by the other number is no work of another.
  await result('result-1', old, '8');
  await until(
    async () =>
      (await las.results.listResults({ schoolOin: school, learner: { eckId: fresh.eckId } })).results.map(
        ({ result: of }) => [of!.learner!.lasKey, of!.payload!.score],
      ),
    [['old-1', 8]],
  );
  // The grant said again of the same pupil by another number is the same grant; of another pupil it is not.
  await grant('right-2', SECOND, old);
  // What is known by a roster from now on is one pupil, by either number or both.
  await push('after', [{ eckId: fresh.eckId, lasKey: 'new-1' }, other]);
  await until(roster, [`${eckId(1)} old-1`, `${eckId(2)} old-2`].sort());
  const told = (await readUntil(
    platform.rosters.watchRosters({}),
    (rows) => rows.some((row: any) => row.change === 'learner_left'),
    60_000,
  )) as any[];
  // By the number under which it was told.
  expect(told.filter(({ change }) => change === 'learner_left').map(({ learner }) => learner.ref.lasKey)).toEqual([
    'new-1',
  ]);
  // What is told of a right of the first from now on is told by the ECK iD of the second, which it lacked: that it was used.
  const mail = (await readUntil(
    publisher.entitlements.watchEntitlements({}),
    (rows) => rows.some((row: any) => row.change === 'changed' && row.entitlement.terms.entitlementId === 'right-1'),
    60_000,
  )) as any[];
  expect(mail.findLast((row) => row.change === 'changed').entitlement.holder.learner.eckId).toBe(eckId(1));
  await grant('right-4', SECOND, old);
  await until(() => rights(fresh), ['right-1', 'right-2', 'right-4']);
  expect(await codeOf(merge({ winner: other, loser: old }))).toBe('state.conflict');
  expect(await merge()).toMatchObject({ outcome: 'merged', winner: { entitlements: 3, results: 1 } });
});

test('and two again: each has what it had, what came meanwhile stays with the first, and a repeat changes nothing', async () => {
  await grant('right-3', FIRST, { eckId: fresh.eckId });
  await until(() => rights(old), ['right-1', 'right-2', 'right-3', 'right-4']);
  expect(await merge({ undo: true })).toMatchObject({ outcome: 'parts', flowId: '' });
  expect(await rights(fresh)).toHaveLength(4);
  const undone = await merge({ undo: true, apply: true });
  expect(undone.decision).toMatchObject({ outcome: 'LearnersMergeUndone', code: '' });
  await until(() => rights(fresh), ['right-2']);
  expect(await rights(old)).toEqual(['right-1', 'right-3', 'right-4']);
  await until(roster, [`${eckId(1)} new-1`, `${eckId(2)} old-2`, 'old-1'].sort());
  expect(await merge({ undo: true, apply: true })).toMatchObject({ outcome: 'parted', flowId: '' });
  expect(await launch('launch-3', { eckId: fresh.eckId }, FIRST)).toBe('state.missing');
});

test('forgetting one forgets every token of it', async () => {
  const { holdId } = await merge({ apply: true });
  await at.operator.decideHold({ holdId, approve: true, confirm: true });
  await until(() => rights(old), ['right-1', 'right-2', 'right-3', 'right-4']);
  await at.operator.forgetLearner({ schoolOin: school, learner: { lasKey: 'new-1' }, now: true });
  await until(roster, [`${eckId(2)} old-2`]);
  for (const ref of [old, fresh, { eckId: fresh.eckId }]) expect(await codeOf(rights(ref))).toBe('learner.unknown');
  const { entitlements } = await publisher.entitlements.listEntitlements({ schoolOin: school });
  expect(entitlements.filter(({ holder }) => holder?.learner?.lasKey || holder?.learner?.eckId)).toEqual([]);
});
