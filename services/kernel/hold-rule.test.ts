import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type HoldRuleFact,
  holdRuleKinds,
  mostOf,
  notFitting,
  type RuleAsk,
  ruled,
  ruleEnd,
  type Spent,
  spend,
  spentBeside,
  standBeside,
  usesOf,
  whyNot,
} from './hold-rule.ts';

const rule = (given: Partial<HoldRuleFact> = {}): HoldRuleFact => ({
  ruleId: 'r',
  schoolOin: '',
  kinds: ['leavers'],
  yearGroups: [],
  fromMs: 10,
  untilMs: 100,
  endedMs: 0,
  approvedMs: 10,
  mostPercent: 15,
  mostCount: 0,
  ...given,
});
const leavers = (count: number, yearGroups: string[] = ['8']): RuleAsk => ({
  kind: 'leavers',
  of: 'learners',
  count,
  base: 100,
  yearGroups,
});
const why = (given: Partial<HoldRuleFact>, asks: RuleAsk[], atMs = 50, spent: Spent[] = []) =>
  whyNot(rule(given), { asks, atMs }, spent);

describe('a rule lets go', () => {
  test('as much as its share, and its count, in all', () => {
    expect([15, 16].map((n) => why({}, [leavers(n)]))).toEqual([undefined, 'beyond_share']);
    expect([12, 13].map((n) => why({ mostCount: 12 }, [leavers(n)]))).toEqual([undefined, 'beyond_count']);
    const once = spend([], [leavers(10)]);
    expect([5, 6].map((n) => why({}, [leavers(n)], 50, once))).toEqual([undefined, 'beyond_share']);
    // Of what was there at first: the school does not get smaller by what goes.
    expect(why({}, [{ ...leavers(6), base: 1000 }], 50, once)).toBe('beyond_share');
  });

  test('of year groups none who has no year group, also where it names an empty one', () => {
    expect(why({ yearGroups: ['', '8'] }, [leavers(5, ['', '8'])])).toBe('other_year_groups');
    expect(why({ yearGroups: ['', '8'] }, [leavers(5)])).toBe(undefined);
  });

  test('no more than its share of what is asked about, however large what it was first used for', () => {
    const once = spend([], [{ ...leavers(10), base: 10_000 }]);
    const ofFew = (count: number) => why({}, [leavers(count)], 50, once);
    expect([ofFew(15), ofFew(16), ofFew(100)]).toEqual([undefined, 'beyond_share', 'beyond_share']);
  });

  test('never more than a half of what is taken away, whatever it says', () => {
    expect(why({ mostPercent: 100 }, [leavers(51)])).toBe('beyond_share');
    const renames: RuleAsk = { ...leavers(100, []), kind: 'renames' };
    expect(why({ mostPercent: 100, kinds: ['renames'] }, [renames])).toBe(undefined);
    expect(why({ mostPercent: 100, kinds: ['renames', 'leavers'] }, [renames])).toBe('beyond_share');
  });

  test('only all that keeps a hold waiting, and only what it names', () => {
    const slip: RuleAsk = { kind: 'truncated', of: '', count: 0, base: 0, yearGroups: [] };
    expect(why({}, [leavers(5), slip])).toBe('other_kind');
    expect(why({ kinds: [...holdRuleKinds, 'truncated'] }, [slip])).toBe('other_kind');
    expect(why({}, [])).toBe('other_kind');
    expect(why({}, [leavers(5), { ...leavers(2), kind: 'groups', of: 'groups' }])).toBe('other_kind');
    expect(why({ yearGroups: ['8'] }, [leavers(5, ['7', '8'])])).toBe('other_year_groups');
    expect(why({ yearGroups: ['7', '8'] }, [leavers(5, ['8'])])).toBe(undefined);
    expect(why({ yearGroups: ['8'] }, [leavers(5, ['', '8'])])).toBe('other_year_groups');
  });

  test('from its first moment, once a second person approved it, to the last before its end', () => {
    const at = [9, 10, 99, 100].map((ms) => why({}, [leavers(1)], ms));
    expect(at).toEqual(['not_begun', undefined, undefined, 'over']);
    expect(why({ approvedMs: 0 }, [leavers(1)])).toBe('not_approved');
    expect([59, 60].map((ms) => why({ approvedMs: 60 }, [leavers(1)], ms))).toEqual(['not_begun', undefined]);
    expect([49, 50].map((ms) => why({ endedMs: 50 }, [leavers(1)], ms))).toEqual([undefined, 'ended']);
  });
});

test('of several the one that ends first lets it go; else the nearest miss is named', () => {
  const ask = (rules: HoldRuleFact[], asks: RuleAsk[], school = 'a') =>
    ruled(rules, { school, asks, atMs: 50 }, () => []);
  const [soon, late] = [rule({ ruleId: 'soon', untilMs: 60 }), rule({ ruleId: 'late' })];
  expect(ask([late, soon], [leavers(5)]).rule?.ruleId).toBe('soon');
  expect(ask([rule({ schoolOin: 'b' })], [leavers(5)])).toEqual({});
  expect(ask([rule({ kinds: ['withdrawals'] })], [leavers(5)])).toEqual({});
  const over = rule({ ruleId: 'over', untilMs: 40 });
  expect(ask([over, late], [leavers(20)]).near).toMatchObject({ rule: { ruleId: 'late' }, why: 'beyond_share' });
});

const kinds = fc.uniqueArray(fc.constantFrom(...holdRuleKinds), { minLength: 1 });
const rules = fc.record({
  ruleId: fc.constantFrom('p', 'q', 'r'),
  schoolOin: fc.constantFrom('', 'a', 'b'),
  kinds,
  yearGroups: fc.constantFrom([], ['8']),
  fromMs: fc.nat(100),
  untilMs: fc.nat(120),
  endedMs: fc.constantFrom(0, 30, 70),
  approvedMs: fc.constantFrom(0, 1, 40),
  mostPercent: fc.integer({ min: 1, max: 100 }),
  mostCount: fc.constantFrom(0, 5, 40),
});
const asks = fc.array(
  fc.record({
    kind: fc.constantFrom(...holdRuleKinds, 'empty', 'said_again', 'freeze'),
    of: fc.constantFrom('learners', 'groups'),
    count: fc.integer({ min: 1, max: 60 }),
    base: fc.constant(100),
    yearGroups: fc.constantFrom([], ['8'], ['7']),
  }),
  { maxLength: 3 },
);

test('whatever is asked of it, and in whatever order: what a rule lets go stays within its bounds, its time and its kinds', () => {
  fc.assert(
    fc.property(rules, fc.array(fc.tuple(asks, fc.nat(130)), { maxLength: 12 }), (fact, holds) => {
      let spent: Spent[] = [];
      for (const [asked, atMs] of holds) {
        const no = whyNot(fact, { asks: asked, atMs }, spent);
        if (no !== undefined) {
          expect(notFitting).toContain(no);
          continue;
        }
        expect(asked.length).toBeGreaterThan(0);
        expect(asked.every(({ kind }) => (fact.kinds as string[]).includes(kind))).toBe(true);
        expect(atMs >= fact.fromMs && atMs < ruleEnd(fact) && fact.approvedMs > 0).toBe(true);
        spent = spend(spent, asked);
        for (const { count, base } of spent) {
          expect(count * 100).toBeLessThanOrEqual(base * Math.min(fact.mostPercent, mostOf(fact.kinds)));
          if (fact.mostCount > 0) expect(count).toBeLessThanOrEqual(fact.mostCount);
        }
      }
    }),
  );
});

test('rules that stand at one time let go together what the largest of them may; one that is over leaves another its own', () => {
  const [wide, narrow] = [
    rule({ ruleId: 'wide', mostPercent: 20, untilMs: 60 }),
    rule({ ruleId: 'narrow', mostCount: 12 }),
  ];
  const spent = new Map<string, Spent[]>();
  const go = (count: number, atMs: number, only?: string) => {
    const asks = [leavers(count)];
    const { rule: by, near } = ruled(
      [narrow, wide],
      { school: 'a', asks, atMs },
      (of) => spent.get(of.ruleId) ?? [],
      only,
    );
    if (by) spent.set(by.ruleId, spend(spent.get(by.ruleId) ?? [], asks));
    return by?.ruleId ?? near?.why;
  };
  expect([go(10, 50), go(8, 50), go(3, 50)]).toEqual(['wide', 'wide', 'beyond_share']);
  // The one that was asked alone is not asked about itself alone.
  expect([go(3, 50, 'narrow'), go(2, 50)]).toEqual(['beyond_share', 'wide']);
  expect(go(1, 70)).toBe('beyond_share');
  const next = rule({ ruleId: 'next', fromMs: 60 });
  expect([standBeside(wide, next), standBeside(narrow, next), standBeside(next, next)]).toEqual([false, true, false]);
  expect(standBeside(rule({ ruleId: 'x', schoolOin: 'a' }), rule({ ruleId: 'y', schoolOin: 'b' }))).toBe(false);
  expect(standBeside(rule({ ruleId: 'x', endedMs: 30 }), rule({ ruleId: 'y', fromMs: 20, approvedMs: 30 }))).toBe(
    false,
  );
});

test('what went by one rule counts for the next as a part of what stood before either', () => {
  const spent = new Map<string, Spent[]>([['first', spend([], [{ ...leavers(13), base: 40 }])]]);
  const facts = [rule({ ruleId: 'first', mostPercent: 35 }), rule({ ruleId: 'second', mostPercent: 50 })];
  const asked = (count: number) =>
    ruled(
      facts,
      { school: 'a', asks: [{ ...leavers(count), base: 27 }], atMs: 50 },
      ({ ruleId }) => spent.get(ruleId) ?? [],
    ).rule?.ruleId;
  expect([asked(7), asked(8)]).toEqual(['second', undefined]);
  const beside = spentBeside(facts[1]!, facts, ({ ruleId }) => spent.get(ruleId) ?? []);
  expect(usesOf(facts[1]!, [], beside)).toMatchObject([{ base: 40, beside: 13, most: 20, count: 0 }]);
});

const several = fc
  .array(rules, { minLength: 2, maxLength: 4 })
  .map((all) => all.map((one, i) => ({ ...one, ruleId: `r${i}` })));

test('however many rules there are: when one lets go, it and those beside it stay within its bounds; no school loses more than a half', () => {
  const asked = fc.array(fc.tuple(asks, fc.nat(130), fc.constantFrom('a', 'b')), { maxLength: 15 });
  fc.assert(
    fc.property(several, asked, (facts, holds) => {
      const spent = new Map<string, Spent[]>();
      const spentAt = (school: string) => (of: HoldRuleFact) => spent.get(`${school} ${of.ruleId}`) ?? [];
      const sum = (of: HoldRuleFact[], school: string, kind: string, what: string): number =>
        of
          .flatMap(spentAt(school))
          .filter((one) => one.kind === kind && one.of === what)
          .reduce((all, { count }) => all + count, 0);
      for (const [these, atMs, school] of holds) {
        const { rule: by } = ruled(facts, { school, asks: these, atMs }, spentAt(school));
        if (!by) continue;
        spent.set(`${school} ${by.ruleId}`, spend(spentAt(school)(by), these));
        const share = Math.min(by.mostPercent, mostOf(by.kinds));
        const beside = facts.filter((one) => one === by || standBeside(one, by));
        for (const { kind, of } of these) {
          const gone = sum(beside, school, kind, of);
          expect(gone).toBeLessThanOrEqual(share);
          if (by.mostCount > 0) expect(gone).toBeLessThanOrEqual(by.mostCount);
        }
      }
      // Whichever moment is looked at: of all that rules which stood then let go, while they stood.
      for (const atMs of [0, 10, 35, 69, 99])
        for (const school of ['a', 'b']) {
          const standing = facts.filter(
            (one) => one.approvedMs > 0 && Math.max(one.fromMs, one.approvedMs) <= atMs && atMs < ruleEnd(one),
          );
          for (const what of ['learners', 'groups'])
            for (const kind of ['leavers', 'groups', 'withdrawals'])
              expect(sum(standing, school, kind, what)).toBeLessThanOrEqual(50);
        }
    }),
    { numRuns: 500 },
  );
});
