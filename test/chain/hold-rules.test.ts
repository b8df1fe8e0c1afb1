/** Rules that let go what would wait for approval, on the wire: of rosters and of withdrawals, previewed, by two persons, ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dutchDay } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { WithdrawMode } from '#proto/eduk/gateway/v1/entitlement';
import { edexml } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { refusedCall } from './told.ts';

let at: TestGateway;
let seller: TestParty;
const oin = newSchool();
const everyone = Array.from({ length: 40 }, (_, i) => i + 1);
const until = dutchDay(Date.now() + 20 * 86_400_000);

async function awaited<T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  for (const end = Date.now() + 60_000; ; await sleep(50)) {
    const answer = await ask();
    if (holds(answer) || Date.now() > end) return answer;
  }
}
const roster = (asOf: string, pupils: readonly number[]) =>
  at.operator.importRoster([
    {
      chunk: Buffer.from(
        edexml({ school: oin, asOf, pupils: pupils.map((n) => ({ key: `L-${n}`, eckId: eckId(n) })) }),
      ),
    },
  ]);
const holds = async (decided = false) => (await at.operator.listHolds({ schoolOin: oin, decided })).holds;
const nearWhy = async (why: string) =>
  (
    await awaited(
      () => holds(),
      ([one]) => one?.ruling?.nearWhy === why,
    )
  )[0]?.ruling;
const flowOf = async (flowId: string) => (await at.operator.showFlow({ flowId })).flow!;
const leavers = { schoolOin: oin, kinds: ['leavers'], until, mostPercent: 50, reason: 'year-end' };

beforeAll(async () => {
  at = await startTestGateway({ EDUK_HOLD_SECOND_PERSON: 'yes', EDUK_HOLD_WITHDRAWALS: '5' });
  await at.party('Basisschool De Linde', [Role.ROLE_SCHOOL], oin);
  seller = await at.party('Uitgeverij Els', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  await at.mandate(oin, seller.oin, [Service.SERVICE_ENTITLEMENT]);
  await sendAll(seller.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: '9789000003110', title: 'Boek', licence: { licensed: true } } },
  ]);
  await roster('2026-10-01', everyone);
});
afterAll(() => at?.stop());

test('what waits is previewed; a rule stands once a second person says so, and leaves alone what waits unless it is asked to look', async () => {
  const held = await roster('2026-10-02', everyone.slice(6));
  expect(held.decision?.code).toBe('hold.pending');
  const small = await at.operator.previewHoldRule({ asked: { ...leavers, mostPercent: 10 } });
  expect(small).toMatchObject({ waiting: [{ holdId: held.holdId, whyNot: 'beyond_share' }], decided: [] });
  const asked = { ...leavers, waiting: true };
  const preview = await at.operator.previewHoldRule({ asked });
  expect(preview.waiting).toMatchObject([{ holdId: held.holdId, whyNot: '', asks: [{ count: 6, base: 40 }] }]);
  // A preview sets nothing.
  expect((await at.operator.listHoldRules({})).rules).toEqual([]);

  const set = await at.operator.setHoldRule(asked);
  expect(set).toMatchObject({ unchanged: false, rule: { approvedMs: 0n, byOin: 'operator' } });
  const { ruleId } = set.rule!;
  expect((await at.operator.listHoldRules({ schoolOin: oin })).rules).toMatchObject([{ state: 'asked', released: 0 }]);
  expect(await nearWhy('not_approved')).toMatchObject({ nearRuleId: ruleId });
  const first = await at.operator.approveHoldRule({ ruleId });
  expect(first.decision?.code).toBe('hold.pending');
  await at.operator.approveHoldRule({ ruleId, confirm: true });
  expect(await awaited(holds, (all) => all.length === 0)).toEqual([]);
  expect((await holds(true))[0]).toMatchObject({ holdId: held.holdId, state: 'approved', ruling: { ruleId } });
  expect((await at.operator.listHoldRules({ schoolOin: oin })).rules).toMatchObject([{ state: 'stands', released: 1 }]);
  const flow = await awaited(
    () => flowOf(held.flowId),
    ({ steps, state }) => state === 'decided' && steps.some(({ step }) => step === 'RosterReleased'),
  );
  const step = flow.steps.find((one) => one.step === 'RosterReleased');
  expect(step?.told).toMatch(new RegExp(`^Released by rule ${ruleId} \\(year-end\\), set by operator, until `));
  expect(flow.state).toBe('decided');
});

test('what comes next goes at once, in all as much as the rule says; it is in the log of what was done', async () => {
  await at.restart();
  seller = { ...seller, ...at.as(`Bearer ${seller.apiKey}`) };
  const next = await roster('2026-10-03', everyone.slice(14));
  expect(next.decision?.outcome).toBe('RosterApplied');
  const flow = await awaited(
    () => flowOf(next.flowId),
    ({ steps, state }) => state === 'decided' && steps.some(({ step }) => step === 'RosterReleased'),
  );
  expect(flow.state).toBe('decided');
  // 6 and 8 of 40 went: 7 more are more than a half.
  const beyond = await roster('2026-10-04', everyone.slice(21));
  expect(beyond.decision?.code).toBe('hold.pending');
  expect((await holds())[0]).toMatchObject({ ruling: { nearWhy: 'beyond_share' } });
  const { rules } = await at.operator.listHoldRules({ schoolOin: oin });
  const use = { schoolOin: oin, kind: 'leavers', of: 'learners', count: 14, beside: 0, most: 20, base: 40 };
  expect(rules).toMatchObject([{ used: [use], schools: 1, endsSoon: false }]);
  // What it let go counts for another beside it, before that is set too.
  const beside = await at.operator.previewHoldRule({ asked: { ...leavers, mostPercent: 40 } });
  expect(beside.waiting).toMatchObject([{ holdId: beyond.holdId, whyNot: 'beyond_share' }]);
  const leaves = await awaited(
    async () => (await at.operator.readAuditLog({ from: 0n, limit: 1000 })).leaves,
    (all) => methodsOf(all).filter((method) => method === 'RosterReleased').length === 2,
  );
  expect(methodsOf(leaves)).toEqual(expect.arrayContaining(['HoldRuleChanged', 'RosterReleased']));
  await at.operator.decideHold({ holdId: beyond.holdId, approve: false });
});

test('what stood already is named as it is, and not another rule of that reason', async () => {
  const ruleIds: string[] = [];
  for (const kinds of [['renames'], ['groups'], ['groups'], ['renames']]) {
    const { rule } = await at.operator.setHoldRule({ ...leavers, reason: 'two-kinds', kinds });
    ruleIds.push(rule!.ruleId);
  }
  const [renames, groups] = ruleIds;
  expect(ruleIds).toEqual([renames, groups, groups, renames]);
  for (const ruleId of [renames!, groups!]) await at.operator.endHoldRule({ ruleId });
});

const methodsOf = (leaves: { record: Uint8Array }[]): string[] =>
  leaves.map(({ record }) => AuditRecord.decode(record).method);

test('withdrawals go by a rule of their own; ended, what comes waits again', async () => {
  const ids = everyone.slice(20).map((n) => `e-${n}`);
  await sendAll(
    seller.entitlements.grantEntitlements(),
    ids.map((id, i) => ({
      reference: id,
      schoolOin: oin,
      holder: { learner: { eckId: eckId(21 + i) } },
      terms: { entitlementId: id, productId: '9789000003110' },
    })),
  );
  const standing = async () =>
    (await seller.entitlements.listEntitlements({ schoolOin: oin, limit: 100 } as never)).entitlements.filter(
      ({ state }) => state === EntitlementState.ENTITLEMENT_STATE_GRANTED,
    ).length;
  await awaited(standing, (count) => count === ids.length);
  const withdraw = (reference: string, entitlementIds: string[]) =>
    seller.entitlements.withdrawEntitlements({
      ...{ reference, schoolOin: oin, entitlementIds, waitMs: 10_000n },
      mode: WithdrawMode.WITHDRAW_MODE_WITHDRAW,
    });
  await withdraw('before', ids.slice(14));
  const [before] = await awaited(holds, ([one]) => one?.products[0]?.entitlements === 6);
  const { rule } = await at.operator.setHoldRule({ ...leavers, kinds: ['withdrawals'], reason: 'returns' });
  const { ruleId } = rule!;
  await at.operator.approveHoldRule({ ruleId, confirm: true });
  // What waits shows that the rule is known where it counts.
  expect(await nearWhy('came_before')).toMatchObject({ nearRuleId: ruleId });
  const went = await withdraw('went', ids.slice(0, 7));
  expect(await awaited(standing, (count) => count === 13)).toBe(13);
  const flow = await awaited(
    () => flowOf(went.flowId),
    ({ steps, state }) => state !== 'accepted' && steps.some(({ step }) => step === 'EntitlementsReleased'),
  );
  expect([flow.state, flow.held]).toEqual(['decided', 0]);
  expect((await at.operator.endHoldRule({ ruleId })).rule!.endedMs).toBeGreaterThan(0n);
  expect(await nearWhy('ended')).toMatchObject({ nearRuleId: ruleId });
  await at.operator.decideHold({ holdId: before!.holdId, approve: false });
  expect((await withdraw('waits', ids.slice(7, 13))).decision?.code).toBe('hold.pending');
  const [hold] = await awaited(holds, ([one]) => one?.products[0]?.entitlements === 6);
  expect(hold).toMatchObject({ reason: 'withdraws_many', ruling: { nearRuleId: ruleId, nearWhy: 'ended' } });
  const again = await at.operator.previewHoldRule({ asked: { ...leavers, kinds: ['withdrawals'], mostCount: 7 } });
  expect(again.waiting).toMatchObject([{ holdId: hold!.holdId, whyNot: '' }]);
  // What it had let go first would have left less for what came after it; also of what somebody turned down.
  const ofSeller = again.decided.filter(({ reason }) => reason === 'withdraws_many');
  expect(ofSeller.map(({ state, whyNot }) => [state, whyNot])).toEqual([
    ['rejected', ''],
    ['approved', 'beyond_share'],
  ]);
  expect((await refusedCall(at.operator.endHoldRule({ ruleId: 'nobody' }))).code).toBe('state.missing');
  expect((await refusedCall(at.operator.listHoldRules({ schoolOin: newSchool() }))).code).toBe('state.missing');
  const nowhere = await refusedCall(at.operator.setHoldRule({ ...leavers, yearGroups: ['9'] }));
  expect([nowhere.code, nowhere.where]).toEqual(['wire.invalid', ['year_groups']]);
  expect(await standing()).toBe(13);
});

test('the rest of what somebody decided in part is for somebody too, and a preview says so', async () => {
  for (const { rule } of (await at.operator.listHoldRules({ schoolOin: oin })).rules)
    await at.operator.endHoldRule({ ruleId: rule!.ruleId });
  const held = await roster('2026-10-05', [...everyone.slice(14, 34), 50]);
  expect(held.decision?.code).toBe('hold.pending');
  for (const confirm of [false, true])
    await at.operator.decideHold({ holdId: held.holdId, approve: true, kinds: ['joined'], confirm });
  const asked = { ...leavers, waiting: true, reason: 'part' };
  const { waiting } = await at.operator.previewHoldRule({ asked });
  const rest = waiting.find(({ holdId }) => holdId === held.holdId);
  expect(rest).toMatchObject({ whyNot: 'part_decided', asks: [{ count: 6 }] });
  const { rule } = await at.operator.setHoldRule(asked);
  await at.operator.approveHoldRule({ ruleId: rule!.ruleId, confirm: true });
  const ruling = async () => (await holds()).find(({ holdId }) => holdId === held.holdId)?.ruling;
  const near = { nearRuleId: rule!.ruleId, nearWhy: 'part_decided' };
  expect(await awaited(ruling, (one) => one?.nearWhy === near.nearWhy)).toMatchObject(near);
  await at.operator.endHoldRule({ ruleId: rule!.ruleId });
  await at.operator.decideHold({ holdId: held.holdId, approve: false });
});
