import { expect, test } from 'vitest';
import { HoldRule, HoldRuling } from '#proto/eduk/core/v1/party';
import type { UsedAt } from '../reads/rule-uses.ts';
import { type RuleToWatch, rulesToWatch } from './rules.ts';

const DAY = 86_400_000;
const nowMs = Date.parse('2027-07-12T06:30:00Z');
const SCHOOL = '0000000700012AB00000';

const rule = (more: Partial<HoldRule> = {}): HoldRule =>
  HoldRule.fromPartial({
    ...{ ruleId: 'r', schoolOin: SCHOOL, kinds: ['leavers'], yearGroups: ['8'], mostPercent: 15, approvedMs: 1n },
    ...{ fromMs: BigInt(nowMs - 40 * DAY), untilMs: BigInt(nowMs + 5 * DAY) },
    ...more,
  });
const use = (more: Partial<UsedAt> = {}): UsedAt => ({
  ...{ schoolOin: SCHOOL, kind: 'leavers', of: 'learners', count: 5, beside: 0, most: 15, base: 100 },
  ...{ lastMs: nowMs - 6 * DAY },
  ...more,
});
const waits = (nearWhy: string, schoolOin = SCHOOL) => ({
  schoolOin,
  ruling: HoldRuling.fromPartial({ nearRuleId: 'r', nearWhy }),
});
const ENDS = { ruleId: 'r', schoolOin: SCHOOL, endsInDays: 5, fullAt: 0 };
const FULL = { ruleId: 'r', schoolOin: SCHOOL, fullAt: 1 };
const long = { untilMs: BigInt(nowMs + 15 * DAY) };

test.each<[string, HoldRule[], UsedAt[], ReturnType<typeof waits>[], RuleToWatch[]]>([
  ['that ends within a week, while something still comes', [rule()], [use()], [], [ENDS]],
  ['that ends, and something waits for another reason', [rule()], [], [waits('other_year_groups')], [ENDS]],
  ['that ends, but nothing comes any more', [rule()], [use({ lastMs: nowMs - 7 * DAY })], [], []],
  ['that stands for another two weeks', [rule(long)], [use()], [], []],
  ['of four days, of which three are left', [rule({ fromMs: BigInt(nowMs - DAY) })], [use()], [], []],
  ['that nobody approved', [rule({ approvedMs: 0n })], [use()], [], []],
  ['that was ended', [rule({ endedMs: BigInt(nowMs) })], [use()], [], []],
  ['with which another goes on', [rule(), rule({ ...long, ruleId: 's', fromMs: rule().untilMs })], [use()], [], []],
  [
    'with which another goes on, a day later',
    [rule(), rule({ ...long, ruleId: 's', fromMs: rule().untilMs + BigInt(DAY) })],
    [use()],
    [],
    [ENDS],
  ],
  [
    'with which another goes on, of other year groups, of another school or kind',
    [
      rule(),
      rule({ ...long, ruleId: 's', yearGroups: ['7'] }),
      rule({ ...long, ruleId: 't', schoolOin: 'another' }),
      rule({ ...long, ruleId: 'u', kinds: ['groups'] }),
    ],
    [use()],
    [],
    [ENDS],
  ],
  ['used by four in five, while something comes', [rule(long)], [use({ count: 12 })], [], [FULL]],
  ['used by less', [rule(long)], [use({ count: 11 })], [], []],
  ['used by another beside it too', [rule(long)], [use({ beside: 7 })], [], [FULL]],
  ['used up, where another has room', [rule(long), rule({ ...long, ruleId: 's' })], [use({ count: 15 })], [], []],
  [
    'used up, where another is to come',
    [rule(long), rule({ ...long, ruleId: 's', fromMs: long.untilMs })],
    [use({ count: 15 })],
    [],
    [FULL],
  ],
  ['used up long ago', [rule(long)], [use({ count: 15, lastMs: 1 })], [], []],
  [
    'used up long ago, and now more waits',
    [rule(long)],
    [use({ count: 15, lastMs: 1 })],
    [waits('beyond_share')],
    [FULL],
  ],
  [
    'used up, where more waits elsewhere, or for another reason',
    [rule(long)],
    [use({ count: 15, lastMs: 1 })],
    [waits('beyond_share', 'another'), waits('other_year_groups')],
    [],
  ],
])('a rule %s', (_what, rules, uses, waiting, expected) =>
  expect(rulesToWatch(rules, new Map([['r', uses]]), waiting, nowMs)).toEqual(expected),
);
