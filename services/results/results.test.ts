import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { resultIdFor } from '#kernel';
import { ResultEntry } from '#proto/eduk/events/v1/results';
import { ResultsServiceDefinition } from '#proto/eduk/results/v1/results';
import { results } from './index.ts';
import { aside, forgotten, readable, results as table, years } from './tables.ts';

const school = '0000000700099XX00000';
const supplier = '00000001000000000001';
const other = '00000001000000000002';
const day = 86_400_000;
const start = '2026-11-22T10:00:00Z';

const result = (resultId: string, more: Partial<ResultEntry> = {}): ResultEntry =>
  ResultEntry.fromPartial({
    resultId,
    schoolOin: school,
    learner: 'A',
    productId: 'p1',
    day: '2026-11-20',
    kind: 3,
    payload: Uint8Array.of(7),
    byOin: supplier,
    digest: Uint8Array.of(1),
    ...more,
  });
const bench = (now: string | number = start): TestBench => testBench(results, { now });
const submit = (b: TestBench, entry: ResultEntry): string =>
  b.submit('ResultSubmitted', { result: entry }, entry.learner, { school: entry.schoolOin });
const forget = (b: TestBench, learner: string): string =>
  b.submit('LearnerForgotten', { schoolOin: school, learner, destroyAtMs: 0n }, learner, { school });
const grant = (
  b: TestBench,
  terms: { endsOn?: string; resultsReadableUntil?: string; productId?: string },
  holder: { learner?: string; group?: string } = {},
): string =>
  b.submit(
    'EntitlementGranted',
    { terms: { entitlementId: 'e', productId: 'p1', ...terms } as never, schoolOin: school, holder: holder as never },
    holder.learner ?? school,
    { school },
  );
const list = async (b: TestBench, filter: Partial<Parameters<ReturnType<typeof reader>['listResults']>[0]> = {}) =>
  reader(b).listResults({
    schoolOin: '',
    learner: '',
    group: '',
    productId: '',
    fromOin: '',
    limit: 0,
    after: '',
    ...filter,
  });
const reader = (b: TestBench) => b.client(ResultsServiceDefinition);
const ids = async (b: TestBench, filter: Parameters<typeof list>[1]) =>
  (await list(b, filter)).results.map(({ resultId }) => resultId);

describe('results', () => {
  test('each submission has one outcome, in its flow, under the learner', () => {
    const b = bench();
    const flows = [
      submit(b, result('r')),
      submit(b, result('r')),
      submit(b, result('r', { digest: Uint8Array.of(2), payload: Uint8Array.of(8) })),
      submit(b, result('r', { learner: 'B' })),
    ];
    const seen = b
      .events()
      .map(({ name, flowId, key, value }) => [
        name,
        flowId,
        key,
        (value as { replaces?: boolean }).replaces,
        (value as { unchanged?: boolean }).unchanged,
      ]);
    expect(seen).toEqual([
      ['ResultRecorded', flows[0], 'A', false, false],
      ['ResultRecorded', flows[1], 'A', false, true],
      ['ResultRecorded', flows[2], 'A', true, false],
      ['ResultRefused', flows[3], 'B', undefined, undefined],
    ]);
    expect(b.list(table, { equals: [] })).toMatchObject([{ payload: Uint8Array.of(8), digest: '02', learner: 'A' }]);
  });

  test('an id of another supplier, or at another school, is another result', async () => {
    const b = bench();
    submit(b, result('r'));
    submit(b, result('r', { byOin: other, learner: 'B' }));
    submit(b, result('r', { schoolOin: '0000000700099YY00000', learner: 'C' }));
    expect(b.events('ResultRefused')).toEqual([]);
    expect(b.list(table, { equals: [] })).toHaveLength(3);
  });

  test('taken back are listed no more, stay so after a restart, and go with their year', async () => {
    const b = bench();
    submit(b, result('r1'));
    submit(b, result('r2'));
    submit(b, result('r1', { withdrawn: true, payload: new Uint8Array(0), digest: new Uint8Array(0) }));
    expect(b.events('ResultRecorded').at(-1)!.value).toMatchObject({ replaces: true, result: { withdrawn: true } });
    expect(await ids(b, { schoolOin: school })).toEqual(['r2']);
    const later = b.restart();
    submit(later, result('r1', { digest: Uint8Array.of(9), statedMs: 9_999_999_999_999n }));
    expect(later.events('ResultRefused')).toMatchObject([{ value: { code: 'state.conflict' } }]);
    expect(await ids(later, { schoolOin: school })).toEqual(['r2']);
    later.advance(Date.parse('2027-10-01T08:00:00Z') - later.now());
    expect(later.list(table, { equals: [] })).toEqual([]);
  });

  test('that an older release wrote, without these columns, are read and replaced', async () => {
    const b = bench();
    submit(b, result('r1'));
    const [row] = b.list(table, { equals: [] });
    expect(row).toMatchObject({ withdrawn: 0, statedMs: 0 });
    const { resultEntry } = await import('./consume.ts');
    expect(resultEntry({ ...row!, withdrawn: null, statedMs: null })).toMatchObject({ withdrawn: false, statedMs: 0n });
  });

  test('that came under a key of UWLR are found under another token of the learner, and a repeat of what an older release took is one', async () => {
    const b = bench();
    const work = Buffer.alloc(16, 3);
    submit(b, result(resultIdFor('1', 'A', work)));
    b.submit('LearnersMerged', { schoolOin: school, winner: 'W', loser: 'A' }, 'W', { school });
    // The same message again now finds the learner by the token that stays.
    submit(b, result(resultIdFor('1', 'W', work), { learner: 'W' }));
    submit(b, result(resultIdFor('1', 'W', work), { learner: 'W', digest: Uint8Array.of(2) }));
    expect(b.events('ResultRecorded').map(({ value }) => [value.unchanged, value.replaces])).toEqual([
      [false, false],
      [true, false],
      [false, true],
    ]);
    expect(b.list(table, { equals: [] })).toMatchObject([{ resultId: resultIdFor('1', 'A', work), digest: '02' }]);
    expect((await reader(b).listSubjects({ schoolOin: school, learner: 'W' })).subjects).toMatchObject([
      { subject: resultIdFor('1', 'A', work), services: [] },
    ]);
    submit(b, result('7', { learner: 'B' }));
    submit(b, result(resultIdFor('7', 'B', work), { learner: 'B' }));
    expect(b.events('ResultRecorded').at(-1)!.value).toMatchObject({ unchanged: true, result: { resultId: '7' } });
    // Of another learner, or with another content, it is another result.
    submit(b, result(resultIdFor('7', 'C', work), { learner: 'C' }));
    submit(b, result(resultIdFor('7', 'B', work), { learner: 'B', digest: Uint8Array.of(9) }));
    expect(b.events('ResultRefused')).toEqual([]);
    expect(b.list(table, { equals: [] })).toHaveLength(4);
  });

  test('of a forgotten learner go, and later ones are refused', () => {
    const b = bench();
    submit(b, result('r1'));
    submit(b, result('r2', { byOin: other }));
    submit(b, result('r3', { learner: 'B' }));
    forget(b, 'A');
    expect(b.list(table, { equals: [] }).map(({ learner }) => learner)).toEqual(['B']);
    const flowId = submit(b, result('r4'));
    expect(b.events('ResultRefused')).toMatchObject([{ flowId, key: 'A', value: { code: 'learner.unknown' } }]);
    submit(b, result('r5', { learner: 'B' }));
    expect(b.list(table, { equals: [] })).toHaveLength(2);
  });
});

describe('a list', () => {
  const filled = () => {
    const b = bench();
    submit(b, result('c', { learner: 'A', group: 'g', productId: 'p1' }));
    submit(b, result('b', { learner: 'B', group: 'g', productId: 'p2' }));
    submit(b, result('a', { learner: 'A', group: 'h', productId: 'p2', byOin: other }));
    submit(b, result('d', { learner: 'C', schoolOin: '0000000700099YY00000' }));
    return b;
  };
  test.each([
    [{ schoolOin: school }, ['c', 'b', 'a']],
    [{ learner: 'A' }, ['c', 'a']],
    [{ schoolOin: '0000000700099YY00000', learner: 'A' }, []],
    [{ schoolOin: school, group: 'g' }, ['c', 'b']],
    [{ schoolOin: school, productId: 'p2' }, ['b', 'a']],
    [{ schoolOin: school, productId: 'p2', fromOin: other }, ['a']],
    [{ fromOin: supplier }, ['c', 'b', 'd']],
    [{ learner: 'A', group: 'h', fromOin: supplier }, []],
  ])('by %j has %j, in the order of coming', async (filter, expected) => {
    expect(await ids(filled(), filter)).toEqual(expected);
  });
  test('by nothing is refused', async () => {
    await expect(list(filled())).rejects.toMatchObject({ fault: 'wire.invalid' });
  });
  test('gives entries as they were recorded', async () => {
    const b = bench();
    submit(b, result('r', { group: 'g' }));
    expect((await list(b, { learner: 'A' })).results).toEqual([result('r', { group: 'g' })]);
  });
  test('comes in pages that neither repeat nor miss one, also with a filter that fits few', async () => {
    const b = bench();
    for (let i = 0; i < 23; i++) submit(b, result(`r${i}`, { productId: i % 5 === 0 ? 'rare' : 'p' }));
    submit(b, result('r3', { productId: 'p', digest: Uint8Array.of(5) })); // Replaced: keeps its place.
    for (const [filter, count] of [
      [{ schoolOin: school }, 23],
      [{ learner: 'A', productId: 'rare' }, 5],
    ] as const)
      for (const limit of [1, 2, 5, 23, 100]) {
        const seen: string[] = [];
        let after = '';
        do {
          const page = await list(b, { ...filter, limit, after });
          expect(page.results.length).toBeLessThanOrEqual(limit);
          seen.push(...page.results.map(({ resultId }) => resultId));
          after = page.next;
        } while (after !== '');
        expect(seen).toHaveLength(count);
        expect(new Set(seen).size).toBe(count);
      }
  });
});

describe('until when results are readable', () => {
  test('a product that nobody granted: as long as they are kept', async () => {
    const b = bench();
    submit(b, result('r'));
    b.advance(200 * day);
    expect(await ids(b, { learner: 'A' })).toEqual(['r']);
  });
  test('the latest promise for the learner or the school counts, also after the licence ended', async () => {
    const b = bench();
    submit(b, result('r'));
    grant(b, { endsOn: '2026-11-30', resultsReadableUntil: '2026-12-31' }, { learner: 'A' });
    grant(b, { endsOn: '2026-12-05' }, { learner: 'A' });
    b.advance(Date.parse('2026-12-31T22:59:59Z') - b.now());
    expect(await ids(b, { learner: 'A' })).toEqual(['r']);
    b.advance(1_000);
    expect(await ids(b, { learner: 'A' })).toEqual([]);
    grant(b, { endsOn: '2027-01-31' }, { group: 'g' });
    expect(await ids(b, { learner: 'A' })).toEqual(['r']);
  });
  test('a licence without an end: until the school year ends', async () => {
    const b = bench();
    submit(b, result('r'));
    grant(b, {}, { learner: 'A' });
    expect(b.list(readable, { equals: [school] })).toEqual([
      { school, productId: 'p1', learner: 'A', until: '2027-07-31' },
    ]);
  });
});

test('what is said again holds since then, also after a restart', () => {
  const said = (moment: string, mark: number) =>
    result('r', { statedMs: BigInt(Date.parse(moment)), digest: Uint8Array.of(mark), payload: Uint8Array.of(mark) });
  const b = bench();
  submit(b, said('2026-11-20T10:00:00Z', 1));
  submit(b, said('2026-11-20T12:00:00Z', 1));
  submit(b.restart(), said('2026-11-20T11:00:00Z', 2));
  expect(b.list(table, { equals: [] })).toMatchObject([{ digest: '01', payload: Uint8Array.of(1) }]);
});

describe('retention', () => {
  test('of a result whose day is in years to come is that of the year in which it came', () => {
    const b = bench('2027-07-20T10:00:00Z');
    submit(b, result('slip', { day: '2062-07-19' }));
    submit(b, result('next', { day: '2027-09-10' }));
    b.advance(Date.parse('2027-10-02T00:00:00Z') - b.now());
    expect(b.list(table, { equals: [] }).map(({ resultId }) => resultId)).toEqual(['next']);
    b.advance(366 * day);
    expect(b.list(table, { equals: [] })).toEqual([]);
  });

  test('results go on 1 October after their school year; those of the next year stay', () => {
    const b = bench();
    for (let i = 0; i < 1_100; i++) b.append('ResultSubmitted', { result: result(`old${i}`) }, 'A', { school });
    b.run();
    forget(b, 'B');
    grant(b, { endsOn: '2027-07-31' }, { learner: 'A' });
    b.advance(Date.parse('2027-09-10T08:00:00Z') - b.now());
    submit(b, result('new', { day: '2027-09-09' }));
    b.advance(Date.parse('2027-09-30T21:59:59Z') - b.now());
    expect(b.list(table, { equals: [] })).toHaveLength(1_101);
    b.advance(1_000);
    expect(b.list(table, { equals: [] }).map(({ resultId }) => resultId)).toEqual(['new']);
    expect(b.list(readable, { equals: [] })).toEqual([]);
    expect(b.list(forgotten, { equals: [] })).toEqual([]);
    expect(b.list(years, { equals: [] })).toEqual([{ school, year: '2027-2028' }]);
  });
  test('one that comes late stays 14 days', () => {
    const b = bench();
    submit(b, result('late', { day: '2026-06-01' }));
    b.advance(14 * day - 1);
    expect(b.list(table, { equals: [] })).toHaveLength(1);
    b.advance(1);
    expect(b.list(table, { equals: [] })).toEqual([]);
  });
});

describe('any interleaving and repetition', () => {
  const sent = fc.record({
    resultId: fc.constantFrom('r1', 'r2'),
    learner: fc.constantFrom('A', 'B'),
    byOin: fc.constantFrom(supplier, other),
    day: fc.constantFrom('2026-11-18', '2026-11-19'),
    content: fc.constantFrom(1, 2),
  });
  const step = fc.oneof(
    { weight: 8, arbitrary: sent.map((entry) => ({ type: 'result' as const, ...entry })) },
    { weight: 1, arbitrary: fc.constantFrom('A', 'B').map((learner) => ({ type: 'forget' as const, learner })) },
    { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
  );
  test('one outcome for each; rows are what was told last; nothing of the forgotten stays', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let b = bench();
        let submitted = 0;
        const gone = new Set<string>();
        const told = new Map<string, ResultEntry>();
        for (const one of steps) {
          b.clear();
          if (one.type === 'restart') b = b.restart();
          else if (one.type === 'forget') {
            forget(b, one.learner);
            gone.add(one.learner);
            for (const [id, entry] of told) if (entry.learner === one.learner) told.delete(id);
          } else {
            const { content, type, ...more } = one;
            submit(
              b,
              result(one.resultId, { ...more, digest: Uint8Array.of(content), payload: Uint8Array.of(content) }),
            );
            submitted++;
            const [event, ...rest] = b.events();
            expect(rest).toEqual([]);
            const id = `${one.byOin} ${one.resultId}`;
            if (event!.name === 'ResultRecorded') {
              const {
                result: entry,
                replaces,
                unchanged,
              } = event!.value as { result: ResultEntry; replaces: boolean; unchanged: boolean };
              expect(gone.has(entry.learner)).toBe(false);
              expect(replaces || unchanged).toBe(told.has(id));
              if (!unchanged) told.set(id, entry);
              expect(told.get(id)).toMatchObject({ day: one.day, learner: one.learner });
            } else
              expect(
                gone.has(one.learner) || told.get(id)!.learner !== one.learner || told.get(id)!.day > one.day,
              ).toBe(true);
          }
        }
        const rows = b.list(table, { equals: [school] });
        const left = rows.map((row) => [`${row.byOin} ${row.resultId}`, row.learner, row.day, row.payload]);
        expect(left).toEqual(
          [...told]
            .sort(([a], [z]) => (a < z ? -1 : 1))
            .map(([id, entry]) => [id, entry.learner, entry.day, entry.payload]),
        );
        expect(rows.length).toBeLessThanOrEqual(submitted);
      }),
      { numRuns: 100 },
    );
  });
});

describe('a forgetting that is taken back', () => {
  const waits = (b: TestBench) =>
    b.submit('LearnerForgotten', { schoolOin: school, learner: 'A', destroyAtMs: BigInt(b.now() + 3 * day) }, 'A', {
      school,
    });
  const keep = (b: TestBench) => b.submit('LearnerKept', { schoolOin: school, learner: 'A' }, 'A', { school });
  test('gives results back, tells them again, and takes new ones', () => {
    const b = bench();
    submit(b, result('r1'));
    submit(b, result('r2', { payload: Uint8Array.of(0, 255, 8) }));
    const before = b.list(table, { equals: [] });
    waits(b);
    expect(b.list(table, { equals: [] })).toEqual([]);
    b.advance(2 * day);
    b.clear();
    keep(b);
    expect(b.list(table, { equals: [] })).toEqual(before);
    expect(b.events('ResultRecorded')).toMatchObject([
      { key: 'A', value: { result: { resultId: 'r1' }, replaces: true, unchanged: false } },
      { key: 'A', value: { result: { resultId: 'r2', payload: Uint8Array.of(0, 255, 8) } } },
    ]);
    expect(b.list(aside, { equals: [] })).toEqual([]);
    b.clear();
    submit(b, result('r3'));
    expect(b.events('ResultRecorded')).toHaveLength(1);
  });
  test('what no mailbox holds any more is not told again', () => {
    // Later than any other test, because ids never go back in time.
    const b = bench('2040-11-22T10:00:00Z');
    submit(b, result('r1', { day: '2040-11-20' }));
    b.advance(40 * day);
    waits(b);
    b.clear();
    keep(b);
    expect(b.events()).toEqual([]);
    expect(b.list(table, { equals: [] })).toHaveLength(1);
  });
  test('after its hour nothing is left', () => {
    const b = bench();
    submit(b, result('r1'));
    waits(b);
    b.advance(4 * day);
    expect(b.list(aside, { equals: [] })).toEqual([]);
  });
});
