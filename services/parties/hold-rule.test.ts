import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { LONGEST_RULE_MS } from '#kernel';
import { HoldRule } from '#proto/eduk/core/v1/party';
import { HoldRuleSubmitted } from '#proto/eduk/events/v1/parties';
import { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import { decideHoldRule } from './hold-rule.ts';
import { parties } from './index.ts';

const SCHOOL = '0000000700001AB00000';
const NOW = Date.parse('2027-07-01T10:00:00Z');
const HOUR = 3_600_000;

const rule = (given: Partial<HoldRule> = {}): HoldRule =>
  HoldRule.fromPartial({
    ruleId: 'r1',
    schoolOin: SCHOOL,
    kinds: ['leavers'],
    fromMs: BigInt(NOW + HOUR),
    untilMs: BigInt(NOW + 2 * HOUR),
    mostPercent: 15,
    reason: 'year-end-2027',
    ...given,
  });
const asked = (given: Partial<HoldRuleSubmitted> = {}, of: Partial<HoldRule> = {}): HoldRuleSubmitted =>
  HoldRuleSubmitted.fromPartial({ change: 'set', byOin: 'operator', ...given, rule: rule(of) });
const outcome = ({ event }: ReturnType<typeof decideHoldRule>) =>
  event.type === 'PartyChangeRefused' ? event.value.code : event.type === 'HoldRuleChanged' ? event.value.change : '';

describe('a rule is set', () => {
  test('as it is asked, and never in the past; without a second person it stands at once', () => {
    const { next } = decideHoldRule(undefined, [], asked({ byPerson: 'ab' }, { fromMs: 5n, approvedMs: 5n }), NOW);
    const at = BigInt(NOW);
    expect(next).toMatchObject({ fromMs: at, setMs: at, approvedMs: at, byOin: 'operator', byPerson: 'ab' });
  });

  test.each<[string, Partial<HoldRule>]>([
    ['without a word', { reason: '' }],
    ['of no school', { schoolOin: '12' }],
    ['of nothing', { kinds: [] }],
    ['of an empty roster', { kinds: ['empty'] }],
    ['of year groups that withdraw', { kinds: ['withdrawals'], yearGroups: ['8'] }],
    ['without a bound', { mostPercent: 0 }],
    ['of more than a half', { mostPercent: 51 }],
    ['that ends as it begins', { untilMs: BigInt(NOW + HOUR) }],
    ['without an end', { untilMs: 0n }],
    ['that is over', { fromMs: 0n, untilMs: BigInt(NOW) }],
    ['that lasts', { untilMs: BigInt(NOW + HOUR + LONGEST_RULE_MS + 1) }],
  ])('but none %s', (_how, of) => {
    const decided = decideHoldRule(undefined, [], asked({}, of), NOW);
    expect([outcome(decided), decided.next]).toEqual(['wire.invalid', undefined]);
  });

  test('the same once; another beside it', () => {
    const { next } = decideHoldRule(undefined, [], asked(), NOW);
    const again = decideHoldRule(undefined, [next!], asked({}, { ruleId: 'r2' }), NOW + 5);
    expect(again.event).toMatchObject({ value: { unchanged: true, rule: { ruleId: 'r1' } } });
    for (const other of [{ mostPercent: 20 }, { yearGroups: ['8'] }, { waiting: true }])
      expect(decideHoldRule(undefined, [next!], asked({}, { ruleId: 'r2', ...other }), NOW).next).toBeDefined();
    const ended = { ...next!, endedMs: BigInt(NOW + 1) };
    expect(decideHoldRule(undefined, [ended], asked({}, { ruleId: 'r2' }), NOW + 5).next).toBeDefined();
  });
});

test('where two must, it stands once another approved it; one is enough to end it', () => {
  const first = decideHoldRule(undefined, [], asked({ second: true, byPerson: 'ab' }), NOW);
  expect([outcome(first), first.next!.approvedMs]).toEqual(['asked', 0n]);
  const approve = (given: Partial<HoldRuleSubmitted>, now = NOW + 5) =>
    decideHoldRule(first.next, [], asked({ change: 'approve', ...given }), now);
  expect(outcome(approve({ byPerson: 'ab' }))).toBe('hold.pending');
  // The key is nobody in particular, and must say that it stands in.
  expect(outcome(approve({}))).toBe('hold.pending');
  expect(outcome(approve({ confirmed: true }))).toBe('approved');
  expect(approve({ byPerson: 'cd' }).next).toMatchObject({ approvedMs: BigInt(NOW + 5), approvedBy: 'cd' });
  expect(outcome(approve({ byPerson: 'cd' }, NOW + 2 * HOUR))).toBe('state.conflict');
  const end = decideHoldRule(first.next, [], asked({ change: 'end', byPerson: 'ab' }), NOW + 7);
  expect(end.next).toMatchObject({ endedMs: BigInt(NOW + 7) });
  expect(decideHoldRule(end.next, [], asked({ change: 'end' }), NOW + 9)).toMatchObject({
    event: { value: { unchanged: true } },
  });
  expect(outcome(decideHoldRule(undefined, [], asked({ change: 'end' }), NOW))).toBe('state.missing');
  expect(outcome(decideHoldRule(first.next, [], asked({ change: 'bend' }), NOW))).toBe('wire.invalid');
});

test('doors hear of it, and it leaves when its time is over', async () => {
  const bench = testBench(parties, { now: NOW });
  const { snapshot } = bench.client(PartiesServiceDefinition);
  const submit = (of: HoldRuleSubmitted) => bench.submit('HoldRuleSubmitted', of, SCHOOL, { school: SCHOOL });
  submit(asked());
  const before = await snapshot({ since: 0n });
  expect(before.holdRules).toMatchObject([{ ruleId: 'r1', endedMs: 0n }]);
  submit(asked({ change: 'end' }));
  expect((await snapshot({ since: before.version })).holdRules).toMatchObject([{ endedMs: BigInt(NOW) }]);
  expect(bench.events('HoldRuleChanged').map(({ value }) => value.change)).toEqual(['set', 'ended']);
  bench.advance(4 * 366 * 24 * HOUR);
  expect((await snapshot({ since: 0n })).holdRules).toEqual([]);
});
