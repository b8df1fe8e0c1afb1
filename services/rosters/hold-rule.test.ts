/** Rules that let rosters go which would wait: who leaves at the end of a year, groups that close, other names. */
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { Freeze, HoldRule } from '#proto/eduk/core/v1/party';
import { type GroupEntry, LearnerEntry, type RosterSubmitted } from '#proto/eduk/events/v1/rosters';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { rosters } from './index.ts';

const school = '0000000700099XX00000';
const year = '2026-2027';
const byOin = '00000001000000000001';
const HOUR = 3_600_000;

const group = (token: string, name = `n-${token}`): GroupEntry => ({
  ...{ group: token, name, description: '', yearGroup: '', composite: false, siteCodes: [] },
});
/** Forty pupils: ten of each of the year groups 5 to 8. */
const everyone = Array.from({ length: 40 }, (_, i) =>
  LearnerEntry.fromPartial({
    ...{ learner: `L${i}`, group: `g${5 + Math.floor(i / 10)}`, yearGroup: `${5 + Math.floor(i / 10)}` },
    nameMark: Uint8Array.of(97),
  }),
);
const groups = ['g5', 'g6', 'g7', 'g8'].map((token) => group(token));
const without = (...gone: number[]) => everyone.filter((_, i) => !gone.includes(i));
const some = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

function opened() {
  const b = testBench(rosters, { now: '2027-07-05T06:00:00Z' });
  const reader = b.client(RostersServiceDefinition);
  let sent = 0;
  const push = (learners: LearnerEntry[], more: Partial<RosterSubmitted> = {}): string =>
    b.submit(
      'RosterSubmitted',
      {
        ...{ rosterId: `r${++sent}`, schoolOin: school, schoolYear: year, byOin, part: 0, last: true },
        ...{ groups, learners, ...more },
      },
      school,
      { school },
    );
  const rule = (of: Partial<HoldRule> = {}, change = 'set'): HoldRule => {
    const value = HoldRule.fromPartial({
      ...{ ruleId: 'rule', schoolOin: school, kinds: ['leavers'], mostPercent: 25, reason: 'year-end' },
      ...{ byOin: 'operator', fromMs: BigInt(b.now()), approvedMs: BigInt(b.now()) },
      untilMs: BigInt(b.now() + 24 * HOUR),
      ...of,
    });
    b.submit('HoldRuleChanged', { rule: value, change, unchanged: false }, school);
    return value;
  };
  const all = async () => (await reader.listHolds({ schoolOin: school, decided: true })).holds;
  const waiting = async () => (await reader.listHolds({ schoolOin: school, decided: false })).holds;
  const size = async () =>
    (await reader.getRoster({ schoolOin: school, schoolYear: year, limit: 0, after: '', siteCode: '' })).learners
      .length;
  const decide = (holdId: string, approve: boolean, kinds: string[] = []) =>
    b.submit('HoldDecisionSubmitted', { schoolOin: school, holdId, approve, byOin, kinds }, school, { school });
  push(everyone);
  b.clear();
  return { b, push, rule, all, waiting, size, decide };
}

describe('a rule of leavers', () => {
  test('lets the last year group go: nobody looks, and it is told by whose rule', async () => {
    const { b, push, rule, all, waiting, size } = opened();
    rule({ yearGroups: ['8'] });
    const flow = push(without(...some(30, 10)), { groups: groups.slice(0, 3) });
    expect([await waiting(), await size()]).toEqual([[], 30]);
    expect(b.events('RosterHeld')).toEqual([]);
    const [released] = b.events('RosterReleased');
    expect(released).toMatchObject({
      flowId: flow,
      value: {
        ...{ schoolOin: school, byOin, waited: false, rule: { ruleId: 'rule', byOin: 'operator' } },
        asks: [{ kind: 'leavers', of: 'learners', count: 10, base: 40, yearGroups: ['8'] }],
      },
    });
    const [hold] = await all();
    expect(hold).toMatchObject({ state: 'approved', ruling: { ruleId: 'rule' }, difference: { left: 10 } });
    expect(hold!.holdId).toBe(released!.value.holdId);
  });

  test.each<[string, Partial<HoldRule>, number[], string]>([
    ['beyond its share', { mostPercent: 20 }, some(30, 10), 'beyond_share'],
    ['beyond its count', { mostCount: 9 }, some(30, 10), 'beyond_count'],
    ['of other year groups', { yearGroups: ['8'] }, some(25, 10), 'other_year_groups'],
    ['before a second person approved it', { approvedMs: 0n }, some(30, 10), 'not_approved'],
    ['of another kind beside it', { kinds: ['renames'] }, some(30, 10), ''],
  ])('but not %s', async (_how, of, gone, nearWhy) => {
    const { b, push, rule, waiting, size } = opened();
    rule(of);
    push(without(...gone));
    const [hold] = await waiting();
    expect([hold!.ruling?.nearWhy, await size()]).toEqual([nearWhy, 40]);
    expect(hold!.ruling?.nearRuleId).toBe(nearWhy === '' ? '' : 'rule');
    expect(b.events('RosterReleased')).toEqual([]);
  });

  test('and rules of two reasons together no more than one of them, also where the other is asked by itself', async () => {
    const { b, push, rule, waiting, size } = opened();
    rule();
    rule({ ruleId: 'other', reason: 'site-closes' });
    push(without(...some(30, 8)));
    expect(await size()).toBe(32);
    push(without(...some(24, 14)));
    rule({ ruleId: 'third', reason: 'late', waiting: true });
    b.advance(HOUR);
    const [hold] = await waiting();
    expect([hold!.ruling?.nearWhy, await size()]).toEqual(['beyond_share', 32]);
    // When those that let something go are over, another begins anew.
    b.advance(24 * HOUR);
    rule({ ruleId: 'next' });
    push(without(...some(28, 10)));
    expect(await size()).toBe(30);
  });

  test('in all while it stands, and no longer; then a roster waits that says by how much it came late', async () => {
    const { b, push, rule, waiting, size } = opened();
    rule({ mostPercent: 20 });
    push(without(...some(30, 5)));
    expect(await size()).toBe(35);
    push(without(...some(30, 9)));
    expect((await waiting())[0]!.ruling).toMatchObject({ nearRuleId: 'rule', nearWhy: 'beyond_share' });
    b.advance(24 * HOUR);
    push(without(...some(30, 10)));
    expect((await waiting())[0]!.ruling).toMatchObject({ nearWhy: 'over' });
    expect(await size()).toBe(35);
  });

  test('an empty roster, one that is cut off, staff who go, and what was turned down before never go by a rule', async () => {
    const { b, push, rule, waiting, size, decide } = opened();
    rule({ kinds: ['leavers', 'groups'], mostPercent: 50 });
    push([], { groups: [] });
    expect((await waiting())[0]).toMatchObject({ reason: 'empty', ruling: { nearWhy: 'other_kind' } });
    push(without(...some(15, 25)));
    expect((await waiting())[0]).toMatchObject({ reason: 'truncated' });
    decide((await waiting())[0]!.holdId, false);
    push(without(...some(15, 10)));
    expect((await waiting())[0]).toMatchObject({ reason: 'removes_many', ruling: { nearWhy: 'other_kind' } });
    expect([b.events('RosterReleased'), await size()]).toEqual([[], 40]);
  });

  test('not while a freeze holds, and what came then is for somebody to look at', async () => {
    const { b, push, rule, waiting, size } = opened();
    rule();
    const until = BigInt(b.now() + HOUR);
    const freeze = Freeze.fromPartial({ freezeId: 'f', schoolOin: school, fromMs: BigInt(b.now()), untilMs: until });
    b.submit('FreezeChanged', { freeze, change: 'set', unchanged: false }, school);
    push(without(...some(30, 10)));
    expect(await waiting()).toMatchObject([{ reason: 'removes_many', ruling: { nearWhy: 'other_kind' } }]);
    b.advance(2 * HOUR);
    expect([(await waiting()).length, await size(), b.events('RosterReleased')]).toEqual([1, 40, []]);
  });
});

test('groups that close and names that change go by rules of their own', async () => {
  const { push, rule, waiting, size } = opened();
  rule({ kinds: ['groups', 'renames'], mostPercent: 50 });
  const merged = everyone.map((one) => ({ ...one, group: Number(one.yearGroup) < 7 ? 'g5' : 'g7' }));
  push(merged, { groups: [group('g5'), group('g7')] });
  expect([await waiting(), await size()]).toEqual([[], 40]);
  push(merged, { groups: [group('g5', 'six'), group('g7')] });
  expect(await waiting()).toEqual([]);
});

describe('what waits when a rule is set', () => {
  test('waits on, and says so; with `waiting` it goes on, once the rule stands', async () => {
    const { b, push, rule, all, waiting, size } = opened();
    const flow = push(without(...some(30, 10)));
    rule();
    expect((await waiting())[0]!.ruling).toMatchObject({ nearRuleId: 'rule', nearWhy: 'came_before' });
    const asked = rule({ ruleId: 'second', waiting: true, approvedMs: 0n }, 'asked');
    expect(await size()).toBe(40);
    rule({ ...asked, approvedMs: BigInt(b.now()) }, 'approved');
    b.advance(1);
    expect([await waiting(), await size()]).toEqual([[], 30]);
    expect(b.events('RosterReleased')).toMatchObject([{ flowId: flow, value: { waited: true } }]);
    // By the one that says so, not by the one that stood beside it.
    expect((await all())[0]).toMatchObject({ state: 'approved', ruling: { ruleId: 'second' } });
  });

  test('a part of a hold that somebody looked at is for somebody to decide', async () => {
    const { b, push, rule, waiting, size, decide } = opened();
    push([...without(...some(30, 10)), LearnerEntry.fromPartial({ learner: 'N', group: 'g5', yearGroup: '5' })]);
    decide((await waiting())[0]!.holdId, true, ['joined']);
    rule({ waiting: true });
    b.advance(1);
    expect([(await waiting()).length, await size()]).toEqual([1, 41]);
  });

  test('one that was ended lets nothing go', async () => {
    const { b, push, rule, waiting } = opened();
    const set = rule();
    rule({ ...set, endedMs: BigInt(b.now()) }, 'ended');
    push(without(...some(30, 10)));
    expect((await waiting())[0]!.ruling).toMatchObject({ nearRuleId: 'rule', nearWhy: 'ended' });
  });
});
