import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Audience, ResultKind, ResultPayload } from '#proto/eduk/core/v1/ordering';
import { ProgressBy } from '#proto/eduk/gateway/v1/result';
import { learnerProgress, type OpenedResult, scaleOf, schoolProgress, suppressed } from './progress.ts';

const { RESULT_KIND_PROGRESS, RESULT_KIND_INTERIM, RESULT_KIND_FINAL } = ResultKind;
const { AUDIENCE_LEARNER, AUDIENCE_TEACHER, AUDIENCE_MENTOR, AUDIENCE_PARENT, AUDIENCE_SCHOOL, AUDIENCE_UNSPECIFIED } =
  Audience;

const opened = (
  payload: Partial<ResultPayload> = {},
  more: Partial<Omit<OpenedResult, 'payload'>> = {},
): OpenedResult => ({
  learner: 'A',
  group: 'g',
  productId: 'p',
  fromOin: '00000001000000000001',
  day: '2026-11-20',
  kind: RESULT_KIND_PROGRESS,
  payload: ResultPayload.fromPartial(payload),
  ...more,
});
const only = (results: OpenedResult[], audience: Audience = AUDIENCE_TEACHER) => {
  const rows = learnerProgress(results, audience);
  expect(rows).toHaveLength(1);
  return rows[0]!.progress;
};

const word = (value: string, vocabulary = '') => ({ value, vocabulary, vocabularyLocation: '' });

describe('progress of a learner', () => {
  test('adds up work and time, and takes the latest share done', () => {
    const progress = only([
      opened({ activityId: 'ch2', donePercent: 40, secondsSpent: 60n, exercisesDone: 4 }, { day: '2026-11-21' }),
      opened({ activityId: 'ch1', donePercent: 20, secondsSpent: 90n, exercisesDone: 6 }),
      opened({ activityId: 'ch1' }, { day: '2026-11-19' }),
    ]);
    expect(progress).toMatchObject({
      donePercent: 40,
      secondsSpent: 150n,
      exercisesDone: 10,
      results: 3,
      lastDay: '2026-11-21',
      latest: undefined,
    });
  });
  test('does not count the parts of an activity that is reported as a whole', () => {
    const parts = [
      opened({ activityId: 't', partId: '1', secondsSpent: 30n, donePercent: 100 }),
      opened({ activityId: 't', partId: '2', secondsSpent: 40n, donePercent: 50 }),
    ];
    expect(only(parts)).toMatchObject({ secondsSpent: 70n, donePercent: 50 });
    expect(only([...parts, opened({ activityId: 't', secondsSpent: 75n, donePercent: 80 })])).toMatchObject({
      secondsSpent: 75n,
      donePercent: 80,
    });
  });
  test('stands per product and supplier', () => {
    const rows = learnerProgress(
      [opened({}, { productId: 'q' }), opened({}, { learner: 'B' }), opened({}, { fromOin: '2' }), opened()],
      AUDIENCE_TEACHER,
    );
    expect(
      rows.map(({ learner, progress }) => [learner, progress.productId, progress.fromOin, progress.results]),
    ).toEqual([
      ['A', 'p', '00000001000000000001', 1],
      ['A', 'p', '2', 1],
      ['A', 'q', '00000001000000000001', 1],
      ['B', 'p', '00000001000000000001', 1],
    ]);
  });
  test('shows the latest interim or final score; of one day the final one, then the whole', () => {
    const scored = (grade: string, kind: ResultKind, more: Partial<ResultPayload> = {}, day = '2026-11-20') =>
      opened({ grade, ...more }, { kind, day });
    expect(
      only([scored('8', RESULT_KIND_FINAL), scored('6', RESULT_KIND_INTERIM, {}, '2026-11-21')]).latest!.grade,
    ).toBe('6');
    expect(
      only([scored('8', RESULT_KIND_FINAL), scored('6', RESULT_KIND_INTERIM, { takenAt: '2026-11-20T12:00:00Z' })])
        .latest!.grade,
    ).toBe('8');
    expect(only([scored('7', RESULT_KIND_FINAL), scored('5', RESULT_KIND_FINAL, { partId: '1' })]).latest!.grade).toBe(
      '7',
    );
    expect(only([scored('9', RESULT_KIND_PROGRESS)]).latest).toBeUndefined();
  });
});

describe('an audience', () => {
  const result = opened(
    {
      activityId: 'code',
      activityName: 'Toets 1',
      partId: '',
      score: 8,
      scoreMax: 10,
      grade: '8',
      secondsSpent: 600n,
      exercisesDone: 5,
      donePercent: 50,
      takenAt: '2026-11-20',
      definition: 'd',
    },
    { kind: RESULT_KIND_FINAL },
  );
  test.each([
    ['learner', AUDIENCE_LEARNER],
    ['teacher', AUDIENCE_TEACHER],
  ])('%s sees work, time, and the whole score', (_, audience) => {
    expect(only([result], audience)).toMatchObject({
      secondsSpent: 600n,
      exercisesDone: 5,
      donePercent: 50,
      latest: result.payload,
    });
  });
  test('mentor sees work, time and score, not what is within a test', () => {
    const { latest, ...progress } = only([result], AUDIENCE_MENTOR);
    expect(progress).toMatchObject({ secondsSpent: 600n, exercisesDone: 5 });
    expect(latest).toEqual(
      ResultPayload.fromPartial({ activityName: 'Toets 1', score: 8, scoreMax: 10, grade: '8', takenAt: '2026-11-20' }),
    );
  });
  test('parent sees work and score, not the time', () => {
    const { latest, ...progress } = only([result], AUDIENCE_PARENT);
    expect(progress).toMatchObject({ secondsSpent: 0n, exercisesDone: 5, donePercent: 50 });
    expect(latest).toEqual(
      ResultPayload.fromPartial({ activityName: 'Toets 1', score: 8, scoreMax: 10, grade: '8', takenAt: '2026-11-20' }),
    );
  });
  test.each([AUDIENCE_SCHOOL, AUDIENCE_UNSPECIFIED])('school (%s), or none, sees no single learner', (audience) => {
    expect(() => learnerProgress([result], audience)).toThrow(expect.objectContaining({ fault: 'wire.invalid' }));
  });
});

describe('totals', () => {
  const learners = (count: number, group: string, payload: Partial<ResultPayload> = {}, from = 0) =>
    Array.from({ length: count }, (_, i) =>
      opened(payload, { learner: `${group}${from + i}`, group, kind: RESULT_KIND_FINAL }),
    );
  const hidden = {
    productId: 'p',
    fromOin: '00000001000000000001',
    learners: 0,
    hidden: true,
    meanDonePercent: 0,
    meanScorePercent: 0,
    subject: undefined,
    goal: undefined,
    scores: [],
    secondsSpent: 0n,
    exercisesDone: 0,
  };

  test('count learners and take means', () => {
    const results = [
      ...learners(10, 'g', { activityId: 't', donePercent: 50, score: 5, scoreMax: 10 }),
      ...learners(10, 'h', { activityId: 't', donePercent: 100, score: 8, scoreMax: 10 }),
    ];
    expect(schoolProgress(results)).toEqual([
      {
        ...hidden,
        learners: 20,
        hidden: false,
        meanDonePercent: 75,
        meanScorePercent: 65,
        scores: [{ scale: expect.objectContaining({ code: 't', max: 10 }), learners: 20, mean: 6.5 }],
      },
    ]);
    expect(schoolProgress(results, { group: 'g' })).toMatchObject([
      { learners: 10, hidden: false, meanDonePercent: 50, meanScorePercent: 50 },
    ]);
  });
  test('under ten learners are hidden, with their means', () => {
    expect(schoolProgress(learners(9, 'g', { donePercent: 50 }))).toEqual([hidden]);
  });
  test('of a group are hidden when those of a small group would follow', () => {
    const results = [...learners(5, 'small'), ...learners(20, 'b'), ...learners(30, 'c')];
    expect(schoolProgress(results)).toMatchObject([{ learners: 55, hidden: false }]);
    expect(schoolProgress(results, { group: 'small' })).toEqual([hidden]);
    expect(schoolProgress(results, { group: 'b' })).toEqual([hidden]);
    expect(schoolProgress(results, { group: 'c' })).toMatchObject([{ learners: 30, hidden: false }]);
  });
  test('a mean of few among many is not shown', () => {
    const results = [
      ...learners(20, 'g', { donePercent: 50 }),
      ...learners(3, 'g', { activityId: '', donePercent: 50, score: 1, scoreMax: 10 }, 20),
    ];
    expect(schoolProgress(results)).toMatchObject([{ learners: 23, meanDonePercent: 50, meanScorePercent: 0 }]);
  });
  test('a mean of a group is not shown when that of a few in another group would follow', () => {
    const scored = { activityId: 't', score: 5, scoreMax: 10 };
    const results = [...learners(15, 'g', scored), ...learners(15, 'h'), ...learners(3, 'h', scored, 15)];
    expect(schoolProgress(results, { group: 'g' })).toMatchObject([{ learners: 15, meanScorePercent: 0 }]);
    expect(schoolProgress(results)).toMatchObject([{ learners: 33, meanScorePercent: 50 }]);
  });
  test('of one product; of a group without results there is nothing', () => {
    const results = [...learners(10, 'g'), ...learners(10, 'g').map((result) => ({ ...result, productId: 'q' }))];
    expect(schoolProgress(results, { productId: 'q' })).toMatchObject([{ productId: 'q', learners: 10 }]);
    expect(schoolProgress(results, { group: 'x' })).toEqual([]);
  });
});

describe('by subject and by goal', () => {
  const { PROGRESS_BY_SUBJECT, PROGRESS_BY_GOAL } = ProgressBy;
  const other = { fromOin: '00000001000000000002', productId: 'q' };
  const work = [
    opened({ subject: word('rekenen', 'urn:v'), goals: [word('G1'), word('G2')], secondsSpent: 60n, donePercent: 40 }),
    opened({ subject: word('rekenen', 'urn:v'), goals: [word('G1')], secondsSpent: 30n, donePercent: 90 }, other),
    opened({ subject: word('rekenen'), exercisesDone: 3 }),
    opened({ exercisesDone: 4 }),
  ];
  test('work of all suppliers adds up; shares and scores stand beside each other', () => {
    const rows = learnerProgress(
      [
        ...work,
        opened({ subject: word('rekenen', 'urn:v'), activityId: 't', score: 6 }, { kind: RESULT_KIND_FINAL }),
        opened(
          { subject: word('rekenen', 'urn:v'), activityId: 't', grade: 'V' },
          { ...other, kind: RESULT_KIND_INTERIM },
        ),
      ],
      AUDIENCE_TEACHER,
      { by: PROGRESS_BY_SUBJECT },
    ).map(({ progress }) => progress);
    expect(rows.map(({ subject, secondsSpent, exercisesDone }) => [subject, secondsSpent, exercisesDone])).toEqual([
      [undefined, 0n, 4],
      [word('rekenen'), 0n, 3],
      [word('rekenen', 'urn:v'), 90n, 0],
    ]);
    expect(rows[2]).toMatchObject({
      productId: '',
      fromOin: '',
      donePercent: 0,
      shares: [
        { productId: 'p', donePercent: 40 },
        { productId: 'q', donePercent: 90 },
      ],
      scores: [
        { value: 6, kind: RESULT_KIND_FINAL, scale: { code: 't', productId: 'p' } },
        { value: undefined, grade: 'V', kind: RESULT_KIND_INTERIM, scale: { productId: 'q' } },
      ],
    });
  });
  test('work for two goals is in the row of each', () => {
    const of = (goal?: string) =>
      learnerProgress(work, AUDIENCE_TEACHER, { by: PROGRESS_BY_GOAL, ...(goal ? { goal } : {}) }).map(
        ({ progress }) => [progress.goal?.value, progress.secondsSpent],
      );
    expect(of()).toEqual([
      [undefined, 0n],
      ['G1', 90n],
      ['G2', 60n],
    ]);
    expect(of('G2')).toEqual([['G2', 60n]]);
  });
  test('only a subject, or a goal, as asked', () => {
    const of = (options: { subject?: string; goal?: string }) =>
      learnerProgress(work, AUDIENCE_TEACHER, options).map(({ progress }) => [progress.productId, progress.results]);
    expect(of({ subject: 'rekenen' })).toEqual([
      ['p', 2],
      ['q', 1],
    ]);
    expect(of({ goal: 'G2' })).toEqual([['p', 1]]);
  });
  test('totals of a row are not narrowed by something else, which would tell the rest of it', () => {
    for (const options of [
      { subject: 's' },
      { goal: 's' },
      { by: PROGRESS_BY_SUBJECT, productId: 'p' },
      { by: PROGRESS_BY_SUBJECT, goal: 'g' },
      { by: PROGRESS_BY_GOAL, subject: 's' },
    ])
      expect(() => schoolProgress(work, options)).toThrow(expect.objectContaining({ fault: 'wire.invalid' }));
    expect(schoolProgress(work, { by: PROGRESS_BY_SUBJECT, subject: 'rekenen' })).toHaveLength(2);
  });
  test('sums of a subject are shown only while no product and no subject is hidden', () => {
    const many = (count: number, payload: Partial<ResultPayload>, more: Partial<OpenedResult> = {}) =>
      Array.from({ length: count }, (_, i) => opened(payload, { learner: `L${i}`, ...more }));
    const math = many(12, { subject: word('rekenen'), secondsSpent: 10n });
    const read = many(12, { subject: word('taal'), secondsSpent: 20n }, other);
    const sums = (results: OpenedResult[]) =>
      schoolProgress(results, { by: PROGRESS_BY_SUBJECT }).map(({ subject, hidden, secondsSpent }) => [
        subject?.value,
        hidden,
        secondsSpent,
      ]);
    expect(sums([...math, ...read])).toEqual([
      ['rekenen', false, 120n],
      ['taal', false, 240n],
    ]);
    const few = many(2, { subject: word('taal'), secondsSpent: 1n }, { productId: 'third' });
    expect(sums([...math, ...read, ...few])).toEqual([
      ['rekenen', false, 0n],
      ['taal', false, 0n],
    ]);
  });
});

describe('scores', () => {
  const monitor = (abilityScale: string, ability: number) => ({
    activityId: 'LVS',
    monitor: {
      ability,
      abilityScale,
      references: [{ code: 'NIV', comparisonGroup: 'LAND', value: 'II', qualification: '' }],
    } as never,
  });
  test('a named scale is one over tests and products of a supplier; another supplier has its own', () => {
    const codes = [
      opened(monitor('REK', 200)),
      opened(monitor('REK', 210), { productId: 'other' }),
      opened(monitor('REK', 210), { fromOin: '2' }),
      opened(monitor('', 210)),
    ].map((result) => JSON.stringify(scaleOf(result)));
    expect(codes[0]).toBe(codes[1]);
    expect(new Set(codes).size).toBe(3);
  });
  test('a mentor sees whole tests by name, without codes, parts and references', () => {
    const { scores } = only(
      [
        opened({ activityId: 't', activityName: 'Toets', partId: 'a', score: 1 }, { kind: RESULT_KIND_INTERIM }),
        opened({ activityId: 't', activityName: 'Toets', score: 9 }, { kind: RESULT_KIND_FINAL }),
        opened(monitor('REK', 200), { kind: RESULT_KIND_FINAL }),
      ],
      AUDIENCE_MENTOR,
    );
    expect(scores.map(({ scale, value, references }) => [scale!.name, scale!.code, value, references])).toEqual([
      ['Toets', '', 9, []],
      ['', '', 200, []],
    ]);
  });

  /** Every way in which two scores may or may not compare. */
  const anyResult = fc.record({
    learner: fc.constantFrom(...Array.from({ length: 14 }, (_, i) => `L${i}`)),
    group: fc.constantFrom('g', 'h'),
    productId: fc.constantFrom('', 'p', 'q'),
    fromOin: fc.constantFrom('1', '2'),
    day: fc.constantFrom('2026-11-19', '2026-11-20'),
    kind: fc.constantFrom(RESULT_KIND_PROGRESS, RESULT_KIND_INTERIM, RESULT_KIND_FINAL),
    payload: fc
      .record({
        activityId: fc.constantFrom('', 't1', 't2'),
        definition: fc.constantFrom('', 't1@1', 't1@2'),
        partId: fc.constantFrom('', 'a'),
        donePercent: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
        score: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
        scoreMax: fc.constantFrom(undefined, 10, 20),
        grade: fc.constantFrom('', 'V', '7.5'),
        monitor: fc.option(
          fc.record({ ability: fc.constantFrom(undefined, 100, 200), abilityScale: fc.constantFrom('', 'A', 'B') }),
          { nil: undefined },
        ),
        subject: fc.constantFrom(undefined, word('s'), word('s', 'urn:v')),
      })
      .map((payload) => ResultPayload.fromPartial(payload as never)),
  });
  test('nothing is averaged over two scales, nor over words, whatever there is', () => {
    fc.assert(
      fc.property(
        fc.array(anyResult, { minLength: 20, maxLength: 120 }),
        fc.constantFrom(ProgressBy.PROGRESS_BY_PRODUCT, ProgressBy.PROGRESS_BY_SUBJECT),
        fc.constantFrom(undefined, 'g'),
        (results, by, group) => {
          for (const row of schoolProgress(results, { by, ...(group ? { group } : {}) })) {
            const mine = results.filter(
              (result) =>
                (group === undefined || result.group === group) &&
                (by === ProgressBy.PROGRESS_BY_PRODUCT
                  ? result.productId === row.productId && result.fromOin === row.fromOin
                  : JSON.stringify(result.payload.subject) === JSON.stringify(row.subject)),
            );
            for (const { scale, learners, mean } of row.scores) {
              expect(scale!.code).not.toBe('');
              expect(learners).toBeGreaterThanOrEqual(10);
              // Only numbers that stand on this very scale can be in the mean: it lies within theirs.
              const values = mine
                .filter(
                  (one) =>
                    one.kind !== RESULT_KIND_PROGRESS &&
                    JSON.stringify({ ...scaleOf(one), name: '' }) === JSON.stringify({ ...scale, name: '' }),
                )
                .map(({ payload }) => payload.monitor?.ability ?? payload.score)
                .filter((value) => value !== undefined);
              expect(values.length).toBeGreaterThanOrEqual(learners);
              expect(mean).toBeGreaterThanOrEqual(Math.min(...values) - 0.05);
              expect(mean).toBeLessThanOrEqual(Math.max(...values) + 0.05);
            }
            if (row.meanScorePercent > 0) {
              const scales = new Set(
                mine.flatMap((one) => {
                  const scale = scaleOf(one);
                  return one.kind !== RESULT_KIND_PROGRESS &&
                    scale.kind === 1 &&
                    (scale.max ?? 0) > 0 &&
                    scale.code !== ''
                    ? [JSON.stringify({ ...scale, name: '' })]
                    : [];
                }),
              );
              expect(scales.size).toBeGreaterThanOrEqual(1);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });
  test('a mean over scores of two tests, two versions, two maxima or two suppliers is not there', () => {
    const half = (from: number, payload: Partial<ResultPayload>, more: Partial<OpenedResult> = {}) =>
      Array.from({ length: 10 }, (_, i) =>
        opened(
          { activityId: 't', definition: 't@1', score: 5, scoreMax: 10, ...payload },
          { learner: `L${from + i}`, kind: RESULT_KIND_FINAL, ...more },
        ),
      );
    const of = (payload: Partial<ResultPayload>, more: Partial<OpenedResult> = {}) =>
      schoolProgress([...half(0, {}), ...half(10, payload, more)], { by: ProgressBy.PROGRESS_BY_SUBJECT })[0]!;
    expect(of({}).meanScorePercent).toBe(50);
    for (const [payload, more] of [
      [{ activityId: 'u', definition: 'u@1' }],
      [{ definition: 't@2' }],
      [{ scoreMax: 20 }],
      [{ partId: 'a' }],
      [{}, { fromOin: '2' }],
      [{}, { productId: 'q' }],
    ] as const) {
      const row = of(payload, more);
      expect([row.meanScorePercent, row.scores.map(({ learners }) => learners)]).toEqual([0, [10, 10]]);
    }
    expect(of({ score: undefined, scoreMax: undefined, grade: '5' }).scores).toHaveLength(1);
    expect(of({ activityId: '', definition: '' }).scores).toHaveLength(1);
  });
});

test('whatever the cells, no small number follows from the total and what is shown', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 8 }), (counts) => {
      const cells = counts.map((count, i) => ({ name: `c${i}`, count }));
      const hidden = suppressed(cells, 10);
      const sizes = cells.filter(({ name }) => hidden.has(name)).map(({ count }) => count);
      for (const { name, count } of cells) if (count > 0 && count < 10) expect(hidden.has(name)).toBe(true);
      if (!counts.some((count) => count > 0 && count < 10)) expect(hidden.size).toBe(0);
      // Alone, a hidden number is the rest of the total; unless nothing else could be hidden, then the total itself is small or it is all there is.
      const shownSomething = cells.some(({ name, count }) => count > 0 && !hidden.has(name));
      if (hidden.size > 0 && shownSomething) {
        expect(sizes.length).toBeGreaterThanOrEqual(2);
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThanOrEqual(10);
      }
    }),
  );
});
