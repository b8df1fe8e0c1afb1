import fc from 'fast-check';
import { expect, test } from 'vitest';
import { testBench } from '#bus';
import {
  BeginReconciliationRequest,
  DeliveryServiceDefinition,
  ListDifferencesRequest,
  NoteReconciledRequest,
} from '#proto/eduk/delivery/v1/delivery';
import { delivery } from './index.ts';
import { KEPT_MS } from './mailbox.ts';
import { cleanReconciled } from './reconciled.ts';
import { differences, reconciliations } from './tables.ts';

const PARTY = '00000001000000000003';
const SCHOOL = '0000000700012AB00000';
const named = { partyOin: PARTY, schoolOin: SCHOOL, kind: 'entitlement' };

function books() {
  const bench = testBench(delivery);
  const client = bench.client(DeliveryServiceDefinition);
  const begin = async (id: string, more: Partial<BeginReconciliationRequest> = {}) =>
    (
      await client.beginReconciliation(
        BeginReconciliationRequest.fromPartial({ ...named, id, source: 'asked', leaseMs: 60_000n, ...more }),
      )
    ).taken;
  /** Keys in a stretch that are missing there; all others are equal. */
  const note = (id: string, after: string, through: string, missing: readonly string[]) =>
    client.noteReconciled(
      NoteReconciledRequest.fromPartial({
        ...named,
        ...{ id, after, through, isLast: through === '' },
        counts: { missing: BigInt(missing.length), same: 1n },
        differences: missing.map((key) => ({ key, what: 'missing', ours: ['open', 'p'], theirs: [] })),
        leaseMs: 60_000n,
      }),
    );
  const kept = async () =>
    (await client.listDifferences(ListDifferencesRequest.fromPartial({ ...named, limit: 1000 }))).differences;
  const listed = async () => (await client.listReconciliations({ ...named, differing: false })).reconciliations[0]!;
  return { bench, client, begin, note, kept, listed };
}

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
const stretchesOf = (cuts: readonly string[]): [string, string][] => {
  const ends = [...new Set(cuts)].sort();
  return [...ends, ''].map((through, i) => [ends[i - 1] ?? '', through]);
};

test('whatever died before, a comparison that is through leaves what it found, each stretch counted once', async () => {
  const pass = fc.record({
    missing: fc.subarray(KEYS),
    cuts: fc.array(fc.constantFrom('aa', 'b', 'cc', 'e'), { maxLength: 3 }),
    /** Stretches that are noted before it dies; more than there are = it does not. */
    dies: fc.integer({ min: 0, max: 8 }),
    repeats: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(pass, { minLength: 1, maxLength: 5 }), async (passes) => {
      const { begin, note, kept, listed } = books();
      let model = new Map<string, number>();
      let done = 0;
      for (const [i, { missing, cuts, dies, repeats }] of passes.entries()) {
        const id = `r${i}`;
        expect(await begin(id)).toBe(true);
        for (const [n, [after, through]] of stretchesOf(cuts).entries()) {
          if (n === dies) break;
          const isIn = (key: string): boolean => key > after && (through === '' || key <= through);
          const found = missing.filter(isIn);
          const told = [await note(id, after, through, found)];
          if (repeats) told.push(await note(id, after, through, found));
          expect(told.map(({ taken }) => taken)).toEqual(told.map(() => true));
          model = new Map([...[...model].filter(([key]) => !isIn(key)), ...found.map((key) => [key, i] as const)]);
          if (through !== '') continue;
          done += 1;
          const { counts, kept: told_, begunMs } = told.at(-1)!.reconciliation!;
          expect([counts!.missing, told_, begunMs]).toEqual([BigInt(missing.length), BigInt(missing.length), 0n]);
          expect(counts!.same).toBe(BigInt(stretchesOf(cuts).length));
        }
        expect((await kept()).map(({ key }) => key)).toEqual([...model.keys()].sort());
      }
      if (done === 0) expect((await listed()).lastMs).toBe(0n);
    }),
    { numRuns: 60 },
  );
});

test('who begins last goes on; one that is only due leaves another alone, and what was through lately', async () => {
  const { bench, client, begin, note, kept, listed } = books();
  expect(await begin('one')).toBe(true);
  expect((await note('one', '', 'c', ['a'])).taken).toBe(true);
  const since = BigInt(bench.now());
  // While one is under way, another is not due; a person or the party begins all the same.
  expect(await begin('due', { unlessSinceMs: since })).toBe(false);
  expect(await begin('two')).toBe(true);
  expect((await note('one', 'c', '', [])).taken).toBe(false);
  // Nor may a stretch be left out.
  expect((await note('two', 'c', '', [])).taken).toBe(false);
  expect((await note('two', '', '', ['a', 'b'])).taken).toBe(true);
  expect(await begin('due', { unlessSinceMs: since })).toBe(false);
  const first = (await kept())[0]!.sinceMs;
  bench.advance(86_400_000);
  expect(await begin('due', { unlessSinceMs: BigInt(bench.now()) })).toBe(true);
  await note('due', '', '', ['a']);
  // Since when it differs stays.
  expect((await kept()).map(({ key, sinceMs }) => [key, sinceMs])).toEqual([['a', first]]);
  await begin('fails');
  await client.failReconciliation({ ...named, id: 'fails', code: 'peer.refused' });
  expect(await listed()).toMatchObject({ code: 'peer.refused', failures: 1, counts: { missing: 1n } });
  // One that is silent for longer than its lease has ended.
  await begin('silent');
  bench.advance(60_001);
  expect(await begin('next', { unlessSinceMs: BigInt(bench.now()) })).toBe(true);
  expect(
    (await client.listReconciliations({ partyOin: '', schoolOin: '', differing: true })).reconciliations.length,
  ).toBe(1);
});

test('no more is kept than there is place for, and it goes thirty days behind the last comparison', async () => {
  const { bench, begin, note } = books();
  const many = Array.from({ length: 2_000 }, (_, i) => `k${String(i).padStart(5, '0')}`);
  await begin('one');
  let after = '';
  for (let lot = 0; lot < 11; lot++) {
    const keys = many.map((key) => `${String(lot).padStart(2, '0')}${key}`);
    const through = lot === 10 ? '' : keys.at(-1)!;
    const { reconciliation } = await note('one', after, through, keys);
    after = through;
    if (lot === 10) expect([reconciliation!.counts!.missing, reconciliation!.kept]).toEqual([22_000n, 20_000n]);
  }
  expect(bench.view.list(differences, { equals: [PARTY], limit: 30_000 }).length).toBe(20_000);
  let isMore = false;
  const clean = () =>
    bench.view.note((unit) => {
      isMore = cleanReconciled(unit, PARTY);
    });
  clean();
  expect(isMore).toBe(false);
  expect(bench.view.list(reconciliations, { equals: [] }).length).toBe(1);
  bench.advance(KEPT_MS + 1);
  for (let chunk = 0; chunk <= 20; chunk++) clean();
  clean();
  expect(isMore).toBe(false);
  expect(bench.view.list(differences, { equals: [] })).toEqual([]);
  expect(bench.view.list(reconciliations, { equals: [] })).toEqual([]);
});

test('one that names more than it may has ended: nothing of that stretch is kept, and what was found before stands', async () => {
  const { client, begin, note, kept, listed } = books();
  await begin('first');
  await note('first', '', '', ['a', 'm']);
  const bounded = (id: string, after: string, through: string, theirs: bigint) =>
    client.noteReconciled(
      NoteReconciledRequest.fromPartial({
        ...named,
        ...{ id, after, through, isLast: false, mostTheirs: 10, mostStretches: 3 },
        counts: { theirs },
        differences: [{ key: through, what: 'surplus', ours: [], theirs: ['open', ''] }],
        leaseMs: 60_000n,
      }),
    );
  await begin('wide');
  expect(await bounded('wide', '', 'b', 6n)).toMatchObject({ taken: true, tooLarge: false });
  expect(await bounded('wide', 'b', 'n', 5n)).toMatchObject({ taken: false, tooLarge: true });
  expect((await kept()).map(({ key }) => key)).toEqual(['b', 'm']);
  expect(await listed()).toMatchObject({ code: 'wire.too_large', failures: 1, begunMs: 0n, counts: { missing: 2n } });
  // It is over, and the next one counts from nothing.
  expect(await bounded('wide', 'b', 'c', 1n)).toMatchObject({ taken: false, tooLarge: false });
  await begin('long');
  for (const [after, through] of [
    ['', 'b'],
    ['b', 'c'],
    ['c', 'd'],
  ] as const)
    expect(await bounded('long', after, through, 0n)).toMatchObject({ taken: true });
  expect(await bounded('long', 'd', 'e', 0n)).toMatchObject({ taken: false, tooLarge: true });
});

test('whoever begins again and again, each time below where it was, has no more kept than twice what one may', async () => {
  const { bench, begin, note } = books();
  const keys = (lot: string, length: number) => Array.from({ length }, (_, i) => `${lot}${String(i).padStart(5, '0')}`);
  const stands = () => bench.view.list(differences, { equals: [PARTY], limit: 100_000 }).map(({ key }) => key);
  for (const lot of ['f', 'e', 'd', 'c', 'b']) {
    await begin(lot);
    const all = keys(lot, lot === 'b' ? 500 : 10_000);
    await note(lot, '', all.at(-1)!, all);
  }
  const found = stands();
  expect(found.length).toBe(40_000);
  // What goes is what the one under way is about to pass.
  expect([found[0], found[500]]).toEqual(['b00000', 'c00500']);
  await begin('a');
  await note('a', '', '', ['a']);
  expect(stands()).toEqual(['a']);
});
