/** Rules that let withdrawals go which would wait. */
import { expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Freeze, HoldRule } from '#proto/eduk/core/v1/party';
import { Product } from '#proto/eduk/core/v1/product';
import { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import { GRANTED, WITHDRAWN } from './entitlement.ts';
import { entitlementsWith } from './index.ts';
import { entitlements, held } from './tables.ts';

const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const HOUR = 3_600_000;
const ids = Array.from({ length: 20 }, (_, i) => `e${i}`);
const flow = (n: number): string => `01a81aab-cc00-7431-8359-07c7b2405c${10 + n}`;

function open() {
  const bench = testBench(entitlementsWith({ withdrawals: 2, percent: 10 }), { now: '2027-07-05T06:00:00Z' });
  bench.submit('ProductPublished', { product: Product.fromPartial({ productId: 'maths', publisherOin: seller }) }, 'm');
  for (const id of ids)
    bench.submit(
      'GrantSubmitted',
      {
        terms: EntitlementTerms.fromPartial({ entitlementId: id, productId: 'maths', endsOn: '2028-07-31' }),
        ...{ schoolOin: school, holder: { learner: `l-${id}`, group: '' }, byOin: seller },
      },
      `l-${id}`,
      { school },
    );
  bench.clear();
  const rule = (of: Partial<HoldRule> = {}, change = 'set'): HoldRule => {
    const value = HoldRule.fromPartial({
      ...{ ruleId: 'rule', schoolOin: school, kinds: ['withdrawals'], mostPercent: 50, reason: 'year-end' },
      ...{ byOin: 'operator', fromMs: BigInt(bench.now()), approvedMs: BigInt(bench.now()) },
      untilMs: BigInt(bench.now() + 48 * HOUR),
      ...of,
    });
    bench.submit('HoldRuleChanged', { rule: value, change, unchanged: false }, school);
    return value;
  };
  /** One message of a sender that withdraws these. */
  const withdraw = (named: readonly string[], n: number): void => {
    for (const entitlementId of named)
      bench.submit(
        'WithdrawSubmitted',
        { schoolOin: school, entitlementId, mode: 'withdraw', byOin: seller, ofMessage: named.length },
        school,
        { school, flowId: flow(n) },
      );
  };
  return { bench, rule, withdraw };
}
const holds = async (bench: TestBench, decided = false) =>
  (await bench.client(EntitlementsServiceDefinition).listChangeHolds({ schoolOin: school, decided })).holds;
const gone = (bench: TestBench): number =>
  ids.filter((id) => bench.get(entitlements, school, id)?.state === WITHDRAWN).length;

test('a message goes whole by a rule, and it is told once, by whose', async () => {
  const { bench, rule, withdraw } = open();
  rule();
  withdraw(ids.slice(0, 6), 1);
  expect([gone(bench), await holds(bench), bench.events('EntitlementChangeHeld')]).toEqual([6, [], []]);
  expect(bench.events('EntitlementsReleased')).toMatchObject([
    {
      flowId: flow(1),
      value: {
        ...{ schoolOin: school, byOin: seller, waited: false, rule: { ruleId: 'rule' } },
        asks: [{ kind: 'withdrawals', of: 'entitlements', count: 6, base: 20 }],
      },
    },
  ]);
  expect(await holds(bench, true)).toMatchObject([
    {
      ...{ state: 'approved', ruling: { ruleId: 'rule' }, products: [{ productId: 'maths', entitlements: 6 }] },
    },
  ]);
  bench.advance(31 * 24 * HOUR);
  expect(await holds(bench, true)).toEqual([]);
});

test('a message that says it names fewer than it does goes no further than it said', async () => {
  const { bench, rule, withdraw } = open();
  rule();
  withdraw(ids.slice(0, 3), 1);
  withdraw(ids.slice(3, 6), 1);
  expect([gone(bench), (await holds(bench))[0]?.products[0]?.entitlements]).toEqual([3, 3]);
});

test('in all while it stands: what is beyond waits, whole, and says why', async () => {
  const { bench, rule, withdraw } = open();
  rule();
  withdraw(ids.slice(0, 6), 1);
  withdraw(ids.slice(6, 12), 2);
  expect(gone(bench)).toBe(6);
  expect(await holds(bench)).toMatchObject([{ ruling: { nearRuleId: 'rule', nearWhy: 'beyond_share' } }]);
  // As much as is left of it.
  withdraw(ids.slice(12, 16), 3);
  expect(gone(bench)).toBe(10);
});

test('not over, not for a second person, not under a freeze, not what was turned down', async () => {
  const { bench, rule, withdraw } = open();
  rule({ approvedMs: 0n });
  withdraw(ids.slice(0, 4), 1);
  const [hold] = await holds(bench);
  expect(hold!.ruling).toMatchObject({ nearWhy: 'not_approved' });
  bench.submit(
    'EntitlementHoldDecisionSubmitted',
    { schoolOin: school, holdId: hold!.holdId, approve: false },
    school,
    {
      school,
    },
  );
  rule();
  withdraw(ids.slice(0, 4), 2);
  expect((await holds(bench))[0]).toMatchObject({ reason: 'said_again', ruling: { nearRuleId: '' } });
  const untilMs = BigInt(bench.now() + HOUR);
  const freeze = Freeze.fromPartial({ freezeId: 'f', schoolOin: school, fromMs: BigInt(bench.now()), untilMs });
  bench.submit('FreezeChanged', { freeze, change: 'set', unchanged: false }, school);
  withdraw(ids.slice(4, 8), 3);
  expect(gone(bench)).toBe(0);
  // The freeze ends before the rule: what waited for it comes as if it came then.
  bench.advance(2 * HOUR);
  expect(gone(bench)).toBe(4);
  bench.advance(48 * HOUR);
  withdraw(ids.slice(8, 12), 4);
  expect(gone(bench)).toBe(4);
});

test('what waits goes on by a rule that says so, in the flow of each, and only then', async () => {
  const { bench, rule, withdraw } = open();
  withdraw(ids.slice(0, 6), 1);
  rule();
  bench.advance(1);
  expect((await holds(bench))[0]!.ruling).toMatchObject({ nearRuleId: 'rule', nearWhy: 'came_before' });
  // Too small itself, and no word for the first one.
  rule({ ruleId: 'small', waiting: true, mostPercent: 20 });
  bench.advance(1);
  expect(gone(bench)).toBe(0);
  rule({ ruleId: 'large', waiting: true });
  bench.advance(1);
  expect([gone(bench), await holds(bench), bench.list(held, { equals: [] })]).toEqual([6, [], []]);
  expect(bench.events('EntitlementsReleased')).toMatchObject([
    { flowId: flow(1), value: { waited: true, rule: { ruleId: 'large' } } },
  ]);
  expect(bench.get(entitlements, school, 'e7')?.state).toBe(GRANTED);
});
