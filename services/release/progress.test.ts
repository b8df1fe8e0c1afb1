import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Audience, ResultKind, ResultPayload } from '#proto/eduk/core/v1/ordering';
import { learnerProgress, type OpenedResult, schoolProgress, suppressed } from './progress.ts';

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
  };

  test('count learners and take means', () => {
    const results = [
      ...learners(10, 'g', { donePercent: 50, score: 5, scoreMax: 10 }),
      ...learners(10, 'h', { donePercent: 100, score: 4, scoreMax: 5 }),
    ];
    expect(schoolProgress(results)).toEqual([
      { ...hidden, learners: 20, hidden: false, meanDonePercent: 75, meanScorePercent: 65 },
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
      ...learners(3, 'g', { donePercent: 50, score: 1, scoreMax: 10 }, 20),
    ];
    expect(schoolProgress(results)).toMatchObject([{ learners: 23, meanDonePercent: 50, meanScorePercent: 0 }]);
  });
  test('a mean of a group is not shown when that of a few in another group would follow', () => {
    const scored = { score: 5, scoreMax: 10 };
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
