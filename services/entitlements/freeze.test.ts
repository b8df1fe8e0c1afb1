/** What a freeze holds of entitlements: withdrawals, swaps and blocks. Grants, use and what ends by itself pass, and nothing of one overtakes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Freeze } from '#proto/eduk/core/v1/party';
import { Product } from '#proto/eduk/core/v1/product';
import { EntitlementHoldDecisionSubmitted } from '#proto/eduk/events/v1/entitlements';
import { EXPIRED, GRANTED, USED, WITHDRAWN } from './entitlement.ts';
import { entitlementsWith } from './index.ts';
import * as tables from './tables.ts';

const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const publisher = '00000001000000000002';
const platform = '00000001000000000003';
const HOUR = 3_600_000;

function opened(limits = { withdrawals: 0, percent: 10 }) {
  const b = testBench(entitlementsWith(limits), { now: '2027-05-10T06:00:00Z' });
  for (const productId of ['maths-1', 'maths-2'])
    b.submit(
      'ProductPublished',
      { product: Product.fromPartial({ productId, publisherOin: publisher, platformOin: platform }), unchanged: false },
      productId,
    );
  const at = { school };
  const grant = (entitlementId: string, terms: Partial<EntitlementTerms> = {}, learner = 'anna') =>
    b.submit(
      'GrantSubmitted',
      {
        terms: EntitlementTerms.fromPartial({ entitlementId, productId: 'maths-1', ...terms }),
        schoolOin: school,
        holder: { learner, group: '' },
        byOin: seller,
      },
      learner,
      at,
    );
  const change = (entitlementId: string, mode = 'withdraw', more: object = {}) =>
    b.submit('WithdrawSubmitted', { schoolOin: school, entitlementId, mode, byOin: seller, ...more }, school, at);
  const use = (entitlementId: string) =>
    b.submit(
      'UsageSubmitted',
      { schoolOin: school, entitlementId, day: '2027-05-10', times: 1, byOin: platform },
      school,
      at,
    );
  const freeze = (of: Partial<Freeze> = {}, event = 'set'): Freeze => {
    const times = { fromMs: BigInt(b.now()), untilMs: BigInt(b.now() + 48 * HOUR) };
    const value = Freeze.fromPartial({ freezeId: 'f', schoolOin: school, reason: 'exams', ...times, ...of });
    b.submit('FreezeChanged', { freeze: value, change: event, unchanged: false }, school);
    return value;
  };
  const end = (value: Freeze) => freeze({ ...value, endedMs: BigInt(b.now()) }, 'ended');
  const state = (id: string) => b.get(tables.entitlements, school, id)?.state;
  const holds = () => b.list(tables.holds, { equals: [school] }).map(({ reason, state: of }) => `${reason} ${of}`);
  const decide = (approve: boolean) => {
    const { holdId } = b.list(tables.holds, { equals: [school] }).find((one) => one.state === 'waiting')!;
    const asked = EntitlementHoldDecisionSubmitted.fromPartial({ schoolOin: school, holdId, approve });
    b.submit('EntitlementHoldDecisionSubmitted', asked, school, at);
  };
  /** What became of a message, in its own flow. */
  const told = (flowId: string) =>
    b
      .events()
      .filter((one) => one.flowId === flowId && !/Submitted$/.test(one.name))
      .map(({ name, value }) =>
        `${name} ${'cause' in value ? value.cause : 'reason' in value ? value.reason : 'code' in value ? value.code : ''}`.trim(),
      );
  return { b, grant, change, use, freeze, end, state, holds, decide, told };
}

describe('while a freeze holds', () => {
  test.each<[string, string, object, string]>([
    ['a withdrawal', 'withdraw', {}, 'EntitlementChanged withdrawn'],
    ['a block', 'block', {}, 'EntitlementChanged blocked'],
    ['a swap', 'withdraw', { swapToProductId: 'maths-2', swapToEntitlementId: 'e-9' }, 'EntitlementChanged swapped'],
  ])('%s waits, says why, and happens in its own flow when it ends', (_what, mode, more, after) => {
    const it = opened();
    it.grant('e-1');
    it.freeze();
    const flow = it.change('e-1', mode, more);
    expect([it.told(flow), it.state('e-1')]).toEqual([['EntitlementChangeHeld freeze'], GRANTED]);
    it.b.advance(48 * HOUR - 1);
    expect(it.state('e-1')).toBe(GRANTED);
    it.b.advance(1);
    expect(it.told(flow)[1]).toBe(after);
    expect(it.holds()).toEqual(['freeze ended']);
    expect(it.b.list(tables.held, { equals: [] })).toEqual([]);
  });

  test('grants, use, an end to a block, a last day and what is of others pass', () => {
    const it = opened();
    it.grant('e-1');
    it.grant('e-2', { endsOn: '2027-05-10' });
    it.grant('e-3');
    it.change('e-3', 'block');
    it.freeze();
    it.freeze({ freezeId: 'f2', schoolOin: '', partyOin: '00000001000000000009' });
    it.change('e-1');
    it.grant('e-4');
    it.use('e-4');
    it.change('e-3', 'unblock');
    it.b.advance(24 * HOUR);
    expect(['e-1', 'e-2', 'e-3', 'e-4'].map(it.state)).toEqual([GRANTED, EXPIRED, GRANTED, USED]);
  });

  test.each([
    ['of the school', {}],
    ['of all', { schoolOin: '' }],
    ['of who sends', { schoolOin: '', partyOin: seller }],
    ['of the platform', { schoolOin: '', partyOin: platform }],
  ])('a freeze %s does', (_of, scope) => {
    const it = opened();
    it.grant('e-1');
    it.freeze(scope);
    it.change('e-1');
    expect([it.state('e-1'), it.holds()]).toEqual([GRANTED, ['freeze waiting']]);
  });

  test('what was used meanwhile is not withdrawn afterwards', () => {
    const it = opened();
    it.grant('e-1');
    it.freeze();
    const flow = it.change('e-1');
    it.use('e-1');
    it.b.advance(48 * HOUR);
    expect([it.told(flow).at(-1), it.state('e-1')]).toEqual(['EntitlementChangeRefused state.conflict', USED]);
  });

  test('ended early it goes on at once; where another holds, when that ends', () => {
    const it = opened();
    it.grant('e-1');
    const first = it.freeze();
    it.freeze({ freezeId: 'f2', schoolOin: '', untilMs: BigInt(it.b.now() + HOUR) });
    it.change('e-1');
    it.end(first);
    it.b.advance(HOUR - 1);
    expect([it.state('e-1'), it.holds()]).toEqual([GRANTED, ['freeze waiting']]);
    it.b.advance(1);
    expect(it.state('e-1')).toBe(WITHDRAWN);
    it.grant('e-2');
    const again = it.freeze({ freezeId: 'f3' });
    it.change('e-2');
    it.end(again);
    it.b.advance(0);
    expect(it.state('e-2')).toBe(WITHDRAWN);
  });

  test('nobody approves it before; what is much waits for approval afterwards', () => {
    const it = opened({ withdrawals: 2, percent: 10 });
    for (let i = 0; i < 10; i++) it.grant(`e-${i}`, {}, `l${i}`);
    it.freeze();
    for (let i = 0; i < 5; i++) it.change(`e-${i}`);
    expect(it.holds()).toEqual(['freeze waiting']);
    it.decide(true);
    expect(it.b.events('EntitlementHoldRefused')).toMatchObject([{ value: { code: 'freeze.holds' } }]);
    it.b.advance(48 * HOUR);
    expect(it.holds()).toContain('freeze ended');
    expect(it.holds()).toContain('withdraws_many waiting');
    it.decide(true);
    expect([0, 1, 2, 3, 4, 5].map((i) => it.state(`e-${i}`))).toEqual([...Array(5).fill(WITHDRAWN), GRANTED]);
    const other = opened();
    other.grant('e-1');
    other.freeze();
    other.change('e-1');
    other.decide(false);
    other.b.advance(48 * HOUR);
    expect(other.state('e-1')).toBe(GRANTED);
  });
});

describe.each([
  ['of the publisher', { schoolOin: '', partyOin: publisher }],
  ['of the platform', { schoolOin: '', partyOin: platform }],
])('while a freeze %s holds', (_of, scope) => {
  const held = () => {
    const it = opened({ withdrawals: 3, percent: 10 });
    for (let i = 0; i < 20; i++) it.grant(`e-${i}`, {}, `l-${i}`);
    for (let i = 0; i < 8; i++) it.change(`e-${i}`, 'withdraw', { ofMessage: 8 });
    return it;
  };

  test('nobody approves what would be taken away of it; after it once is enough', () => {
    const it = held();
    it.freeze(scope);
    it.decide(true);
    expect(it.b.events('EntitlementHoldRefused')).toMatchObject([{ value: { code: 'freeze.holds' } }]);
    expect([it.holds(), it.b.events('EntitlementHoldDecided')]).toEqual([['withdraws_many waiting'], []]);
    it.b.advance(48 * HOUR);
    it.decide(true);
    expect([it.state('e-0'), it.holds()]).toEqual([WITHDRAWN, ['withdraws_many approved']]);
  });

  test('a freeze of another that ends lets nothing of it go, nor under another hold', () => {
    const it = opened();
    it.grant('e-1');
    it.freeze(scope);
    const other = it.freeze({ freezeId: 'f2', schoolOin: '0000000700009ZZ00000' });
    const flow = it.change('e-1');
    it.end(other);
    it.b.advance(HOUR);
    expect([it.told(flow), it.holds()]).toEqual([['EntitlementChangeHeld freeze'], ['freeze waiting']]);
    it.b.advance(47 * HOUR);
    expect([it.state('e-1'), it.holds()]).toEqual([WITHDRAWN, ['freeze ended']]);
  });
});

test('what a freeze of one publisher holds does not wait for that of another', () => {
  const it = opened();
  it.b.submit(
    'ProductPublished',
    { product: Product.fromPartial({ productId: 'maths-3', publisherOin: '00000001000000000004' }), unchanged: false },
    'maths-3',
  );
  it.grant('e-1', { productId: 'maths-3' });
  it.grant('e-2');
  it.freeze({ schoolOin: '', partyOin: '00000001000000000004', untilMs: BigInt(it.b.now() + 60 * 24 * HOUR) });
  it.freeze({ freezeId: 'f2', schoolOin: '', partyOin: publisher });
  it.change('e-1');
  it.change('e-2');
  it.b.advance(48 * HOUR);
  expect([it.state('e-1'), it.state('e-2')]).toEqual([GRANTED, WITHDRAWN]);
  it.b.advance(59 * 24 * HOUR);
  expect(it.state('e-1')).toBe(WITHDRAWN);
});

describe('what waits once more', () => {
  const DAY = 24 * HOUR;
  const many = () => {
    const it = opened({ withdrawals: 3, percent: 10 });
    for (let i = 0; i < 20; i++) it.grant(`e-${i}`, {}, `l-${i}`);
    const ids = () => it.b.list(tables.holds, { equals: [school] }).map(({ holdId }) => holdId);
    const waiting = () => it.b.list(tables.held, { equals: [] }).length;
    return { ...it, ids, waiting };
  };

  test('is under a hold of its own, which no age ends; what was decided before is shown for 30 days', () => {
    const it = many();
    it.freeze();
    for (let i = 0; i < 8; i++) it.change(`e-${i}`, 'withdraw', { ofMessage: 8 });
    it.b.advance(2 * DAY);
    expect(it.holds().sort()).toEqual(['freeze ended', 'withdraws_many waiting']);
    expect(new Set(it.ids()).size).toBe(2);
    it.b.advance(31 * DAY);
    expect([it.holds(), it.waiting(), it.state('e-7')]).toEqual([['withdraws_many waiting'], 8, GRANTED]);
    it.decide(true);
    expect([it.waiting(), it.state('e-7')]).toEqual([0, WITHDRAWN]);
    it.b.advance(31 * DAY);
    expect(it.holds()).toEqual([]);
  });

  test('its hold is known by the message and by how often it waits: the log taken once more gives the same', () => {
    const it = many();
    it.freeze();
    const flow = it.change('e-0', 'withdraw', { ofMessage: 8 });
    it.b.advance(2 * DAY);
    const held = it.b.events('EntitlementChangeHeld').filter(({ flowId }) => flowId === flow);
    expect(held.map(({ value }) => value.reason)).toEqual(['freeze', 'withdraws_many']);
    expect(held[1]!.value.holdId).toBe(`${held[0]!.value.holdId}-2`);
  });

  test('a second freeze has a hold of its own, which goes on by itself', () => {
    const it = many();
    it.freeze();
    it.change('e-0', 'withdraw', { ofMessage: 8 });
    it.b.advance(2 * DAY);
    it.freeze({ freezeId: 'f2', untilMs: BigInt(it.b.now() + DAY) });
    const flow = it.change('e-1');
    expect(it.holds().sort()).toEqual(['freeze ended', 'freeze waiting', 'withdraws_many waiting']);
    it.b.advance(DAY);
    expect([it.told(flow).at(-1), it.state('e-1')]).toEqual(['EntitlementChanged withdrawn', WITHDRAWN]);
  });
});

test('in the end each entitlement stands as without a freeze: nothing is lost, and nothing of one overtakes', () => {
  const step = fc.record({
    id: fc.constantFrom('e-1', 'e-2'),
    what: fc.constantFrom('grant', 'withdraw', 'block', 'unblock'),
  });
  const states = (steps: { id: string; what: string }[], from: number, to: number) => {
    const it = opened();
    const flows: string[] = [];
    let set: Freeze | undefined;
    for (const [i, { id, what }] of steps.entries()) {
      if (i === from) set = it.freeze();
      if (i === to && set) it.end(set);
      flows.push(what === 'grant' ? it.grant(id) : it.change(id, what));
    }
    it.b.advance(72 * HOUR);
    // The same outcome in each flow, in the end.
    return [
      ['e-1', 'e-2'].map(it.state),
      flows.map((flow) => it.told(flow).at(-1)),
      it.b.list(tables.held, { equals: [] }).length,
    ];
  };
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 9 }), fc.nat(8), fc.nat(9), (steps, from, length) => {
      const all = [{ id: 'e-1', what: 'grant' }, { id: 'e-2', what: 'grant' }, ...steps];
      expect(states(all, from, from + length)).toEqual(states(all, -1, -1));
    }),
    { numRuns: 60 },
  );
});
