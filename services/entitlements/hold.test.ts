import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Product } from '#proto/eduk/core/v1/product';
import { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import { GRANTED, WITHDRAWN } from './entitlement.ts';
import { judge, nothingTaken, type Window } from './hold.ts';
import { entitlementsWith } from './index.ts';
import { entitlements, held, holds } from './tables.ts';

const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const publisher = '00000001000000000002';
const HOUR = 3_600_000;

describe('a withdrawal waits', () => {
  const limits = { withdrawals: 20, percent: 10 };
  const take = (window: Window, now: number, ofMessage = 1, flow = `${now}`, standing = 100) =>
    judge(window, { now, flow, ofMessage, spared: false, standing: () => standing }, limits);

  test('where more than so many, and more than that share, go within a day; a message waits whole', () => {
    let window = nothingTaken;
    for (let i = 0; i < 20; i++) {
      const { reason, window: next } = take(window, i * HOUR, 1, `f${i}`, 100 - i);
      expect(reason).toBe(undefined);
      window = next;
    }
    expect(take(window, 20 * HOUR, 1, 'f', 80).reason).toBe('withdraws_many');
    // A day after the first ones, they count no more.
    expect(take(window, 30 * HOUR, 1, 'f', 80).reason).toBe(undefined);
    expect(take(nothingTaken, 0, 21).reason).toBe('withdraws_many');
    expect(take(nothingTaken, 0, 21, 'f', 1000).reason).toBe(undefined);
    expect(
      judge(
        nothingTaken,
        { now: 0, flow: 'f', ofMessage: 500, spared: false, standing: () => 1 },
        { ...limits, withdrawals: 0 },
      ).reason,
    ).toBe(undefined);
  });

  test('however slowly: what stands is counted anew when its count is a window old', () => {
    let [window, stands] = [nothingTaken, 1000];
    for (let hour = 0; hour < 10 * 24; hour++)
      for (let n = 0; n < 9 && stands > 0; n++) {
        const judged = take(window, hour * HOUR, 1, `${hour} ${n}`, stands);
        window = judged.window;
        if (judged.reason === undefined) stands--;
      }
    // Had the first count been kept, all would be gone.
    expect(stands).toBeGreaterThan(200);
  });

  test('whatever the pace: within any 24 hours no more goes than the limits, of what stood 50 hours before', () => {
    const step = fc.record({ after: fc.integer({ min: 0, max: 6 * HOUR }), many: fc.integer({ min: 1, max: 60 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 1000 }), (steps, standing) => {
        let [window, now] = [nothingTaken, 0];
        const went: number[] = [];
        for (const { after, many } of steps) {
          now += after;
          for (let n = 0; n < many && went.length < standing; n++) {
            const judged = take(window, now, 1, `${now} ${n}`, standing - went.length);
            window = judged.window;
            if (judged.reason === undefined) went.push(now);
          }
          const within = went.filter((at) => at > now - 24 * HOUR).length;
          const stood = standing - went.filter((at) => at <= now - 50 * HOUR).length;
          expect(within).toBeLessThanOrEqual(Math.max(limits.withdrawals, (stood * limits.percent) / 100));
        }
      }),
    );
  });

  test('all of one message, or none of it, whatever came before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ size: fc.integer({ min: 1, max: 30 }), after: fc.integer({ min: 0, max: 5 }) }), {
          maxLength: 12,
        }),
        fc.integer({ min: 0, max: 400 }),
        (messages, standing) => {
          let window = nothingTaken;
          let [now, stands] = [0, standing];
          for (const [i, { size, after }] of messages.entries()) {
            now += after * HOUR;
            const reasons = new Set<string | undefined>();
            for (let n = 0; n < size; n++) {
              const judged = take(window, now, size, `f${i}`, stands);
              if (judged.reason === undefined) stands--;
              reasons.add(judged.reason);
              window = judged.window;
            }
            expect(reasons.size).toBe(1);
          }
        },
      ),
    );
  });
});

const open = (withdrawals = 2, byTwo = false): TestBench => {
  const bench = testBench(entitlementsWith({ withdrawals, percent: 10, byTwo }), { now: '2026-11-22T11:00:00Z' });
  for (const productId of ['maths', 'dutch'])
    bench.submit(
      'ProductPublished',
      { product: Product.fromPartial({ productId, publisherOin: publisher, platformOin: publisher }) },
      productId,
    );
  return bench;
};
const grant = (bench: TestBench, id: string, productId = 'maths', endsOn = ''): string =>
  bench.submit(
    'GrantSubmitted',
    {
      terms: EntitlementTerms.fromPartial({ entitlementId: id, productId, endsOn }),
      schoolOin: school,
      holder: { learner: `l-${id}`, group: '' },
      byOin: seller,
    },
    `l-${id}`,
    { school },
  );
const change = (bench: TestBench, id: string, mode = 'withdraw', ofMessage = 1, flowId?: string): string =>
  bench.submit(
    'WithdrawSubmitted',
    { schoolOin: school, entitlementId: id, mode, byOin: seller, ofMessage },
    school,
    flowId === undefined ? { school } : { school, flowId },
  );
const decideIt = (bench: TestBench, holdId: string, approve: boolean, productIds: string[] = []): string =>
  bench.submit('EntitlementHoldDecisionSubmitted', { schoolOin: school, holdId, approve, productIds }, school, {
    school,
  });
const waiting = async (bench: TestBench) =>
  (await bench.client(EntitlementsServiceDefinition).listChangeHolds({ schoolOin: school, decided: false })).holds;
const stateOf = (bench: TestBench, id: string) => bench.get(entitlements, school, id)?.state;
const said = (bench: TestBench) =>
  bench.events().map(({ name, value }) => `${name} ${(value as { code?: string }).code ?? ''}`.trim());

const ids = ['a', 'b', 'c', 'd'];
const withFour = (withdrawals = 2, byTwo = false): TestBench => {
  const bench = open(withdrawals, byTwo);
  for (const [i, id] of ids.entries()) grant(bench, id, i < 2 ? 'maths' : 'dutch');
  bench.clear();
  return bench;
};
const all = (bench: TestBench): void => {
  for (const id of ids) change(bench, id, 'withdraw', ids.length, '01a81aab-cc00-7431-8359-07c7b2405ced');
};

test('a message that takes much away waits whole, by product; released in part, and the rest rejected', async () => {
  const bench = withFour();
  all(bench);
  expect(said(bench)).toEqual(ids.map(() => 'EntitlementChangeHeld'));
  const [hold, ...others] = await waiting(bench);
  expect(others).toEqual([]);
  expect(hold).toMatchObject({
    reason: 'withdraws_many',
    byOin: seller,
    part: false,
    products: [
      { productId: 'dutch', entitlements: 2, learners: 2 },
      { productId: 'maths', entitlements: 2, learners: 2 },
    ],
  });
  bench.clear();
  const first = decideIt(bench, hold!.holdId, true, ['maths']);
  expect(said(bench)).toEqual(['EntitlementHoldDecided', 'EntitlementChanged', 'EntitlementChanged']);
  expect(bench.events('EntitlementHoldDecided')[0]).toMatchObject({ flowId: first, value: { items: 2, waiting: 2 } });
  expect(bench.events('EntitlementChanged')[0]!.flowId).toBe('01a81aab-cc00-7431-8359-07c7b2405ced');
  expect(ids.map((id) => stateOf(bench, id))).toEqual([WITHDRAWN, WITHDRAWN, GRANTED, GRANTED]);
  expect(await waiting(bench)).toMatchObject([
    { part: true, byClass: false, products: [{ productId: 'dutch', entitlements: 2 }] },
  ]);
  bench.clear();
  decideIt(bench, hold!.holdId, false);
  expect(said(bench).slice(1)).toEqual([
    'EntitlementChangeRefused hold.pending',
    'EntitlementChangeRefused hold.pending',
  ]);
  expect([await waiting(bench), bench.list(held, { equals: [] })]).toEqual([[], []]);
  // One is few, but somebody said no before.
  change(bench, 'c');
  expect(await waiting(bench)).toMatchObject([{ reason: 'said_again' }]);
  bench.clear();
  decideIt(bench, hold!.holdId, true);
  decideIt(bench, 'change-x', true);
  expect(said(bench)).toEqual(['EntitlementHoldRefused state.conflict', 'EntitlementHoldRefused state.missing']);
});

const numbersOf = async (bench: TestBench, holdId: string, learners: readonly string[]): Promise<number[]> =>
  (await bench.client(EntitlementsServiceDefinition).listHeldChanges({ schoolOin: school, holdId })).changes.flatMap(
    ({ nth, learner }) => (learners.includes(learner) ? [nth] : []),
  );

test('a part is of the messages of a class; with each goes all that waits about its entitlement, and what came since waits on', async () => {
  const bench = withFour();
  all(bench);
  const { holdId } = (await waiting(bench))[0]!;
  const changes = (await bench.client(EntitlementsServiceDefinition).listHeldChanges({ schoolOin: school, holdId }))
    .changes;
  expect(changes.map(({ learner, productId }) => [learner, productId])).toEqual([
    ['l-a', 'maths'],
    ['l-b', 'maths'],
    ['l-c', 'dutch'],
    ['l-d', 'dutch'],
  ]);
  const messages = await numbersOf(bench, holdId, ['l-a', 'l-c']);
  // After the door looked: the one stands behind what is decided, and would overtake it; the other is not of it.
  change(bench, 'a', 'unblock');
  change(bench, 'b', 'unblock');
  bench.clear();
  const decide = (more: { approve: boolean; groups?: string[]; messages?: number[]; productIds?: string[] }) =>
    bench.submit('EntitlementHoldDecisionSubmitted', { schoolOin: school, holdId, ...more }, school, { school });
  decide({ approve: true, groups: ['g7'], messages, productIds: ['maths'] });
  expect(bench.events('EntitlementHoldDecided')[0]!.value).toMatchObject({ items: 2, waiting: 4 });
  expect(ids.map((id) => stateOf(bench, id))).toEqual([WITHDRAWN, GRANTED, GRANTED, GRANTED]);
  decide({ approve: true, groups: ['g7'], messages });
  expect(ids.map((id) => stateOf(bench, id))).toEqual([WITHDRAWN, GRANTED, WITHDRAWN, GRANTED]);
  expect(await waiting(bench)).toMatchObject([
    {
      ...{ part: true, byClass: true },
      products: [
        { productId: 'dutch', entitlements: 1 },
        { productId: 'maths', entitlements: 1, messages: 2 },
      ],
    },
  ]);
  bench.clear();
  // All of it was decided meanwhile.
  decide({ approve: false, groups: ['g7'], messages });
  expect(said(bench)).toEqual(['EntitlementHoldRefused state.missing']);
  decide({ approve: false });
  expect([await waiting(bench), bench.list(held, { equals: [] })]).toEqual([[], []]);
  expect(
    (await bench.client(EntitlementsServiceDefinition).listHeldChanges({ schoolOin: school, holdId })).changes,
  ).toEqual([]);
});

test('two persons approve the same part however they name it; of a class only where the same would be lost', async () => {
  const bench = withFour(2, true);
  all(bench);
  const { holdId } = (await waiting(bench))[0]!;
  const approve = (byPerson: string, part: { productIds?: string[]; groups?: string[]; messages?: number[] }) => {
    bench.clear();
    const of = { schoolOin: school, holdId, approve: true, byPerson, ...part };
    bench.submit('EntitlementHoldDecisionSubmitted', of, school, { school });
    return said(bench)[0];
  };
  const refused = 'EntitlementHoldRefused hold.pending';
  const [before, after] = [await numbersOf(bench, holdId, ['l-a']), await numbersOf(bench, holdId, ['l-a', 'l-c'])];
  // Who came into the class between the two was seen by one of them only.
  expect([
    approve('p', { groups: ['g7'], messages: before }),
    approve('q', { groups: ['g7'], messages: after }),
  ]).toEqual([refused, refused]);
  expect(approve('p', { groups: ['g7'], messages: after })).toBe('EntitlementHoldDecided');
  expect(ids.map((id) => stateOf(bench, id))).toEqual([WITHDRAWN, GRANTED, WITHDRAWN, GRANTED]);
  expect([approve('p', { productIds: ['maths', 'dutch'] }), approve('q', { productIds: ['dutch', 'maths'] })]).toEqual([
    refused,
    'EntitlementHoldDecided',
  ]);
});

test('where two persons approve, one and the same is not enough, nor are two of different parts; the second carries it out', async () => {
  const bench = withFour(2, true);
  all(bench);
  const { holdId } = (await waiting(bench))[0]!;
  const approve = (byPerson: string, productIds: string[] = [], confirmed = false) => {
    bench.clear();
    bench.submit(
      'EntitlementHoldDecisionSubmitted',
      { schoolOin: school, holdId, approve: true, productIds, byPerson, confirmed },
      school,
      { school },
    );
    return said(bench)[0];
  };
  const refused = 'EntitlementHoldRefused hold.pending';
  expect([approve('a'), approve('a'), approve('b', ['maths']), approve('')]).toEqual(Array(4).fill(refused));
  expect(await waiting(bench)).toMatchObject([{ approvedOnce: true }]);
  expect(approve('b')).toBe('EntitlementHoldDecided');
  expect(ids.map((id) => stateOf(bench, id))).toEqual(Array(4).fill(WITHDRAWN));
});

test('what one person approved must be approved anew when more comes to be taken away; what only stands behind it changes nothing', async () => {
  const bench = withFour(2, true);
  for (const id of ids.slice(0, 2)) change(bench, id, 'withdraw', 3);
  const { holdId } = (await waiting(bench))[0]!;
  const approve = (byPerson: string) => {
    bench.clear();
    const decision = { schoolOin: school, holdId, approve: true, byPerson, confirmed: false };
    bench.submit('EntitlementHoldDecisionSubmitted', decision, school, { school });
    return said(bench)[0];
  };
  const refused = 'EntitlementHoldRefused hold.pending';
  expect(approve('a')).toBe(refused);
  grant(bench, 'a');
  expect(await waiting(bench)).toMatchObject([{ approvedOnce: true }]);
  change(bench, 'c', 'withdraw', 3);
  expect(await waiting(bench)).toMatchObject([{ holdId, approvedOnce: false }]);
  expect([approve('b'), stateOf(bench, 'a')]).toEqual([refused, GRANTED]);
  expect([approve('a'), stateOf(bench, 'c')]).toEqual(['EntitlementHoldDecided', WITHDRAWN]);
});

test('what comes after one that waits stays behind it; use goes on, and then nothing can be undone', async () => {
  const bench = withFour();
  all(bench);
  bench.clear();
  grant(bench, 'a');
  change(bench, 'b', 'unblock');
  expect(bench.events('EntitlementChangeHeld').map(({ value }) => value.reason)).toEqual(['behind', 'behind']);
  bench.submit(
    'UsageSubmitted',
    { schoolOin: school, entitlementId: 'c', day: '2026-11-22', times: 1, byOin: publisher },
    school,
  );
  bench.clear();
  decideIt(bench, (await waiting(bench))[0]!.holdId, true);
  expect(said(bench)).toEqual([
    'EntitlementHoldDecided',
    'EntitlementChanged',
    'EntitlementChanged',
    'EntitlementChangeRefused state.conflict',
    'EntitlementChanged',
    'GrantRefused entitlement.blocked',
    'EntitlementChangeRefused entitlement.blocked',
  ]);
});

test('of who is forgotten nothing waits on, and nobody is named', async () => {
  const bench = withFour();
  all(bench);
  const { holdId } = (await waiting(bench))[0]!;
  bench.submit('LearnerForgotten', { schoolOin: school, learner: 'l-a', destroyAtMs: 0n }, 'l-a');
  const { changes } = await bench.client(EntitlementsServiceDefinition).listHeldChanges({ schoolOin: school, holdId });
  expect(changes.map(({ learner }) => learner)).toEqual(['l-b', 'l-c', 'l-d']);
});

test('swaps, repeats and what ends today never wait; what ends while it waits is told so', async () => {
  const bench = open();
  for (const id of ids) grant(bench, id, 'maths', id === 'a' ? '2026-11-30' : '2026-11-22');
  bench.clear();
  for (const id of ['b', 'c', 'd']) change(bench, id, 'withdraw', 3);
  expect(bench.events('EntitlementChanged')).toHaveLength(3);
  change(bench, 'a', 'withdraw', 30);
  expect(await waiting(bench)).toHaveLength(1);
  bench.clear();
  bench.advance(10 * 24 * HOUR);
  expect(said(bench)).toEqual(['EntitlementChanged', 'EntitlementChangeRefused entitlement.expired']);
  expect([await waiting(bench), bench.list(holds, { equals: [school] })]).toMatchObject([[], [{ state: 'ended' }]]);
  for (const id of ['e', 'f', 'g']) grant(bench, id);
  bench.clear();
  for (const id of ['e', 'f', 'g'])
    bench.submit(
      'WithdrawSubmitted',
      {
        schoolOin: school,
        entitlementId: id,
        mode: 'withdraw',
        byOin: seller,
        swapToProductId: 'dutch',
        swapToEntitlementId: `to-${id}`,
        ofMessage: 3,
      },
      school,
      { school },
    );
  expect(bench.events('EntitlementGranted')).toHaveLength(3);
});

test('while nothing may be taken away all of it waits, however little, and counts for nothing', () => {
  expect(
    judge(
      nothingTaken,
      { now: 0, flow: 'f', ofMessage: 1, spared: false, standing: () => 9, frozen: true },
      { withdrawals: 0, percent: 10 },
    ),
  ).toEqual({ reason: 'freeze', window: nothingTaken });
});

test('whatever waited: once it is approved, each entitlement stands as if nothing had waited, and no message is lost', () => {
  const step = fc.record({
    id: fc.constantFrom(...ids),
    what: fc.constantFrom('grant', 'withdraw', 'withdraw', 'block', 'unblock'),
    size: fc.constantFrom(1, 1, 9),
  });
  const run = (bench: TestBench, steps: { id: string; what: string; size: number }[]): string[] =>
    steps.map(({ id, what, size }) =>
      what === 'grant' ? grant(bench, id, ids.indexOf(id) < 2 ? 'maths' : 'dutch') : change(bench, id, what, size),
    );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.subarray(['maths', 'dutch']), (steps, first) => {
      const [free, bench] = [withFour(0), withFour(1)];
      run(free, steps);
      const flows = run(bench, steps);
      const open = () => bench.list(holds, { index: 'waiting', equals: ['waiting'] });
      for (const { holdId } of open()) decideIt(bench, holdId, true, first);
      for (const { holdId } of open()) decideIt(bench, holdId, true);
      expect(ids.map((id) => stateOf(bench, id))).toEqual(ids.map((id) => stateOf(free, id)));
      expect(bench.list(held, { equals: [] })).toEqual([]);
      for (const flowId of flows) {
        const answers = bench
          .events()
          .filter((event) => event.flowId === flowId && event.name !== 'EntitlementChangeHeld');
        expect(answers).toHaveLength(1);
      }
    }),
    { numRuns: 60 },
  );
});
