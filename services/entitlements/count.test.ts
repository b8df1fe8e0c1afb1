/**
 * Counted licences are never oversold, whatever comes in whatever order over whatever lanes, repeated, with the process
 * gone before or after any commit.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryStore, type ServiceModule, type TestBench, testBench, type Unit } from '#bus';
import { EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Product } from '#proto/eduk/core/v1/product';
import { REFUSED, WITHDRAWN } from './entitlement.ts';
import { entitlements } from './index.ts';
import * as tables from './tables.ts';

const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const platform = '00000001000000000003';
const HOUR = 3_600_000;

/** The process goes away at a commit: with nothing of it kept, or with all of it kept and nobody told. */
class Mortal extends MemoryStore {
  commitsToLive = Infinity;
  keeps = false;
  override commit(): void {
    if (this.commitsToLive-- <= 0) {
      this.commitsToLive = Infinity;
      if (this.keeps) super.commit();
      throw new Error('gone');
    }
    super.commit();
  }
}

const pools = ['p-0', 'p-1'];
const draws = Array.from({ length: 7 }, (_, i) => `d-${i}`);
const pupils = ['anna', 'ben', 'chris', 'dora'];
const pick = (values: string[]) => fc.constantFrom(...values);

const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pool' as const), id: pick(pools), count: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('draw' as const),
      id: pick(draws),
      from: pick(pools),
      learner: pick(pupils),
      key: pick(['school', 'learner']),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('withdraw' as const),
      id: pick([...draws, ...pools]),
      mode: pick(['withdraw', 'withdraw', 'block', 'unblock']),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('swap' as const),
      id: pick([...draws, ...pools]),
      to: pick(['s-0', 's-1']),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('use' as const), id: pick(draws) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('left' as const), learner: pick(pupils) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), learner: pick(pupils) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('publish' as const), product: pick(['maths-1', 'maths-2']) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('again' as const), back: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('run' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), after: fc.nat(3), keeps: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), hours: fc.integer({ min: 1, max: 30 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Appends what a step says; answers the flow that must end in a decision, if any. */
function submit(bench: TestBench, it: Step): string | undefined {
  switch (it.do) {
    case 'pool':
      return bench.append(
        'GrantSubmitted',
        {
          terms: terms({ entitlementId: it.id, count: it.count }),
          schoolOin: school,
          holder: { learner: '', group: '' },
          byOin: seller,
        },
        school,
      );
    case 'draw':
      return bench.append(
        'GrantSubmitted',
        {
          terms: terms({ entitlementId: it.id, fromEntitlementId: it.from }),
          schoolOin: school,
          holder: { learner: it.learner, group: '' },
          byOin: seller,
        },
        it.key === 'school' ? school : it.learner,
      );
    case 'withdraw':
      return bench.append(
        'WithdrawSubmitted',
        { schoolOin: school, entitlementId: it.id, mode: it.mode, byOin: seller },
        school,
      );
    case 'swap':
      return bench.append(
        'WithdrawSubmitted',
        {
          schoolOin: school,
          entitlementId: it.id,
          mode: 'withdraw',
          byOin: seller,
          swapToProductId: 'maths-2',
          swapToEntitlementId: it.to,
        },
        school,
      );
    case 'use':
      return bench.append(
        'UsageSubmitted',
        { schoolOin: school, entitlementId: it.id, day: '2026-11-22', byOin: platform },
        school,
      );
    case 'left':
      bench.append(
        'LearnerLeft',
        { schoolOin: school, schoolYear: '2026-2027', learner: it.learner, leftOn: '2026-11-22' },
        it.learner,
      );
      return;
    case 'forget':
      bench.append('LearnerForgotten', { schoolOin: school, learner: it.learner }, it.learner);
      return;
    case 'publish':
      bench.append(
        'ProductPublished',
        { product: Product.fromPartial({ productId: it.product, publisherOin: platform }) },
        it.product,
      );
      return;
    default:
      return;
  }
}
const terms = (more: Partial<EntitlementTerms>) => EntitlementTerms.fromPartial({ productId: 'maths-1', ...more });

function neverOversold(bench: TestBench): void {
  const rows = bench.list(tables.entitlements, { equals: [school] });
  for (const pool of rows.filter(({ state, more }) => more.count && state !== REFUSED)) {
    const live = rows.filter(
      ({ state, more }) => more.from === pool.id && state !== REFUSED && state !== WITHDRAWN,
    ).length;
    expect(pool.more.taken ?? 0).toBe(live);
    expect(live).toBeLessThanOrEqual(pool.more.count!);
    if (pool.state === WITHDRAWN) expect(live).toBe(0);
  }
}

/** What receivers are told, in the order of the log: grants and ends of draws, against the count told before. */
function neverOversoldInWhatIsTold(bench: TestBench): void {
  const counts = new Map<string, number>();
  const poolOf = new Map<string, string>();
  const taken = new Map<string, number>();
  // A bench that was started again shows what was there lane by lane; ids tell the order of their making.
  const told = bench.events().sort((a, b) => Buffer.compare(a.record.id, b.record.id));
  for (const { name, value } of told)
    if (name === 'EntitlementGranted') {
      const { terms, unchanged } = value as { terms: EntitlementTerms; unchanged: boolean };
      if (unchanged) continue;
      expect(poolOf.has(terms.entitlementId) || counts.has(terms.entitlementId)).toBe(false);
      if (terms.count) counts.set(terms.entitlementId, terms.count);
      if (!terms.fromEntitlementId) continue;
      poolOf.set(terms.entitlementId, terms.fromEntitlementId);
      taken.set(terms.fromEntitlementId, (taken.get(terms.fromEntitlementId) ?? 0) + 1);
      expect(taken.get(terms.fromEntitlementId)!).toBeLessThanOrEqual(counts.get(terms.fromEntitlementId) ?? 0);
    } else if (name === 'EntitlementChanged') {
      const { entitlementId, state, unchanged } = value as { entitlementId: string; state: number; unchanged: boolean };
      const pool = poolOf.get(entitlementId);
      if (!unchanged && state === WITHDRAWN && pool) taken.set(pool, taken.get(pool)! - 1);
    }
}

interface Seen {
  drawn: number;
  usedUp: number;
  crashes: number;
}

function holds(module: ServiceModule, numRuns: number): Seen {
  const seen: Seen = { drawn: 0, usedUp: 0, crashes: 0 };
  const known = fc.constantFrom([], ['maths-1'], ['maths-1', 'maths-2']);
  fc.assert(
    fc.property(known, fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }), (published, steps) => {
      const store = new Mortal();
      let bench = testBench(module, { now: '2026-11-22T11:00:00Z', store });
      for (const product of published) submit(bench, { do: 'publish', product });
      const flows: string[] = [];
      /** Runs until it is quiet, over as many lives as that takes. */
      const survive = (work: () => void): void => {
        try {
          work();
        } catch (thrown) {
          if ((thrown as Error).message !== 'gone') throw thrown;
          seen.crashes++;
          bench = bench.restart();
          neverOversold(bench);
          bench.run();
        }
        neverOversold(bench);
      };
      const sent: Step[] = [];
      for (const it of steps) {
        if (it.do === 'run') survive(() => bench.run());
        else if (it.do === 'wait') survive(() => bench.advance(it.hours * HOUR));
        else if (it.do === 'crash') {
          store.keeps = it.keeps;
          store.commitsToLive = it.after;
          survive(() => bench.run());
          store.commitsToLive = Infinity;
        } else {
          const what = it.do === 'again' ? sent.at(-1 - it.back) : it;
          if (!what) continue;
          sent.push(what);
          const flow = submit(bench, what);
          if (flow) flows.push(flow);
        }
      }
      survive(() => bench.run());
      survive(() => bench.advance(50 * HOUR));
      expect(bench.parked()).toEqual([]);
      expect(bench.waiting()).toEqual([]);
      neverOversoldInWhatIsTold(bench);
      const decided = new Set(bench.events().map(({ flowId }) => flowId));
      for (const flow of flows) expect(decided.has(flow)).toBe(true);
      for (const { value } of bench.events('EntitlementGranted'))
        if (value.terms!.fromEntitlementId && !value.unchanged) seen.drawn++;
      for (const { value } of bench.events('GrantRefused')) if (value.code === 'count.used_up') seen.usedUp++;
    }),
    { numRuns },
  );
  return seen;
}

test('a count is never oversold, and what is taken is what stands', () => {
  const seen = holds(entitlements, 400);
  // The property says nothing unless these happened, often.
  expect(seen.drawn).toBeGreaterThan(200);
  expect(seen.usedUp).toBeGreaterThan(30);
  expect(seen.crashes).toBeGreaterThan(100);
});

/** The service with its unit of work replaced. */
const withUnit = (replace: (unit: Unit) => Partial<Unit>): ServiceModule => {
  const consumer = entitlements.consumers[0]!;
  const broken = (unit: Unit): Unit =>
    new Proxy(unit, {
      get(target, name) {
        const value = replace(target)[name as keyof Unit] ?? target[name as keyof Unit];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  return {
    ...entitlements,
    consumers: [{ ...consumer, handle: (record, unit) => consumer.handle(record, broken(unit)) }],
  };
};

test('the property sees a count that is not written, and one that does not come back', () => {
  const forgetful = withUnit((unit) => ({
    put(table, row) {
      if (!(row as { more?: { taken?: number } }).more?.taken) unit.put(table, row);
    },
  }));
  expect(() => holds(forgetful, 400)).toThrow();
  const greedy = withUnit((unit) => ({
    put(table, row) {
      const before = unit.get(tables.entitlements, school, (row as { id?: string }).id ?? '');
      const { taken = 0 } = (row as { more?: { taken?: number } }).more ?? {};
      if (!before || taken >= (before.more.taken ?? 0)) unit.put(table, row);
    },
  }));
  expect(() => holds(greedy, 400)).toThrow();
});

test('a repeat is told as one: the same draw a hundred times takes one', () => {
  const bench = testBench(entitlements, { now: '2026-11-22T11:00:00Z' });
  submit(bench, { do: 'publish', product: 'maths-1' });
  submit(bench, { do: 'pool', id: 'p-0', count: 2 });
  for (let i = 0; i < 100; i++) submit(bench, { do: 'draw', id: 'd-0', from: 'p-0', learner: 'anna', key: 'school' });
  bench.run();
  expect(bench.get(tables.entitlements, school, 'p-0')!.more.taken).toBe(1);
  expect(bench.events('EntitlementGranted').filter(({ value }) => !value.unchanged)).toHaveLength(2);
});
