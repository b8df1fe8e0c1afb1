import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Roster, type RosterLearner } from '#proto/eduk/core/v1/learner';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Result } from '#proto/eduk/core/v1/result';
import { lossTables, type OneRoster, oneRosterOf, problemsIn } from './index.ts';

const now = Date.parse('2026-11-23T08:00:00Z');
const word = (max: number) => fc.oneof(fc.constant(''), fc.string({ unit: 'binary', maxLength: max }));
const key = fc.oneof(fc.constantFrom('', 'a', 'b', 'c'), fc.string({ unit: 'binary', maxLength: 300 }));
const day = fc.constantFrom('', '2015-02-28', '2026-09-01', '2027-01-31', '2026-02-30', 'morgen');
const ref = fc.option(fc.record({ lasKey: key, eckId: fc.constantFrom('', 'https://ketenid.nl/pilot/1', 'x') }), {
  nil: undefined,
});
const person = fc.option(
  fc.record({
    ...{ familyName: word(9), familyNamePrefix: word(3), givenNames: word(9), initials: word(3), callName: word(9) },
    ...{ birthDate: day, gender: fc.constantFrom('', '1', '9'), email: word(9), accountName: word(9) },
  }),
  { nil: undefined },
);
const some = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 5 });
/** Wilder than anything that is let in: keys twice, empty, or too long; references to nothing. */
const roster = fc
  .record({
    schoolOin: fc.constantFrom('', '0000000700088QP00000', '00000001234567890000'),
    schoolYear: fc.constantFrom('2026-2027', '2026-2027', '2026-2027', '', 'ooit'),
    asOf: day,
    madeAt: fc.constantFrom('', '2026-11-22T07:00:00.5+01:00', 'ooit'),
    siteCode: fc.constantFrom('', '01'),
    administration: fc.constantFrom('', '00001'),
    sites: some(fc.record({ key, name: word(9), description: word(9) })),
    groups: some(fc.record({ key, name: word(9), description: word(9), yearGroup: word(3), composite: fc.boolean() })),
    learners: some(
      fc.record({
        ...{ ref, person, yearGroup: word(3), groupKey: key, compositeGroupKeys: some(key), siteKey: key },
        ...{ entersOn: day, leavesOn: day, siteCodes: fc.constant<string[]>([]) },
      }),
    ),
    staff: some(
      fc.record({ ref, person, duties: some(word(3)), groups: some(fc.record({ key, duties: some(word(3)) })) }),
    ),
  })
  .map((it) => Roster.fromPartial(it));
const result = fc
  .record({
    ...{
      resultId: key,
      learner: ref,
      productId: word(5),
      groupKey: key,
      kind: fc.constant(ResultKind.RESULT_KIND_FINAL),
    },
    ...{ statedAt: fc.constant(''), withdrawn: fc.boolean() },
    payload: fc.option(
      fc.record({
        ...{ activityId: key, activityName: word(9), partId: key, grade: word(3) },
        ...{
          takenAt: fc.oneof(day, fc.constant('2026-11-22T07:00:00Z')),
          score: fc.option(fc.double(), { nil: undefined }),
        },
        ...{
          scoreMax: fc.option(fc.double(), { nil: undefined }),
          donePercent: fc.option(fc.nat(100), { nil: undefined }),
        },
      }),
      { nil: undefined },
    ),
  })
  .map((it) => Result.fromPartial(it));

const known = new Set(lossTables.flatMap(({ rows }) => rows.map(({ reason, element }) => `${reason} ${element}`)));

test('any roster with any results is valid OneRoster, as JSON too; what is lost has a row in the tables', () => {
  fc.assert(
    fc.property(roster, some(result), (given, results) => {
      const { wire, losses } = oneRosterOf(given, results, now);
      expect(problemsIn(wire)).toEqual([]);
      expect(problemsIn(JSON.parse(JSON.stringify(wire)) as OneRoster)).toEqual([]);
      for (const { reason, element } of losses.list()) expect(known).toContain(`${reason} ${element}`);
      // Nobody and nothing goes without a word.
      const lost = (reason: string, element: string) =>
        losses.list().find((one) => one.reason === reason && one.element === element)?.count ?? 0;
      if (lost('unfit', 'school_year') > 0) return;
      expect(wire.user.length + lost('unfit', 'user') + lost('minimised', 'user')).toBe(
        given.learners.length + given.staff.length,
      );
      expect(wire.class.length + lost('unfit', 'group')).toBe(given.groups.length);
      expect(wire.assessmentResult.length + lost('unfit', 'result') + lost('unfit', 'withdrawn')).toBe(results.length);
    }),
    { numRuns: 500 },
  );
});

const school = Roster.fromPartial({
  schoolOin: '0000000700088QP00000',
  schoolYear: '2026-2027',
  madeAt: '2026-11-22T07:00:00Z',
  sites: [{ key: 'z', name: 'Zuid' }],
  groups: [
    { key: '7a', name: 'Zeven', yearGroup: '7' },
    { key: 'plus', name: 'Plus', composite: true },
  ],
  learners: [
    {
      ref: { lasKey: 'L1', eckId: 'https://ketenid.nl/pilot/1' },
      person: { familyName: 'Plooistra', familyNamePrefix: 'van', callName: 'Zoë' },
      ...{ yearGroup: '7', groupKey: '7a', compositeGroupKeys: ['plus'], siteKey: 'z', leavesOn: '2027-01-31' },
    },
  ],
  staff: [
    {
      ref: { lasKey: 'T1' },
      person: { familyName: 'Meester', givenNames: 'Jo' },
      groups: [{ key: '7a', duties: ['LRK'] }],
    },
  ],
});
const one = Result.fromPartial({
  ...{ resultId: 'r1', learner: { eckId: '', lasKey: 'L1' }, kind: ResultKind.RESULT_KIND_INTERIM },
  payload: {
    activityId: 'T1',
    activityName: 'Dictee',
    partId: 'b',
    score: 7,
    scoreMax: 10,
    grade: 'V',
    takenAt: '2026-11-20',
  },
});

test('a result finds its pupil by either number', () => {
  const byEckId = { ...one, learner: { eckId: 'https://ketenid.nl/pilot/1', lasKey: '' } };
  const { wire } = oneRosterOf(school, [byEckId], now);
  expect(wire.assessmentResult[0]!.student.sourcedId).toBe(wire.user[0]!.sourcedId);
});

test('a class, its pupils, its teacher and a result are where OneRoster looks for them', () => {
  const { wire } = oneRosterOf(school, [one], now);
  expect(wire.org.map(({ type, name }) => [type, name])).toEqual([
    ['school', '0000000700088QP00000'],
    ['department', 'Zuid'],
  ]);
  expect(wire.class.map(({ title, classType }) => [title, classType])).toEqual([
    ['Zeven', 'homeroom'],
    ['Plus', 'scheduled'],
  ]);
  expect(wire.user[0]).toMatchObject({
    ...{ givenName: 'Zoë', familyName: 'van Plooistra', preferredFirstName: 'Zoë', metadata: { jaargroep: '7' } },
    userIds: [
      { type: 'ECK iD', identifier: 'https://ketenid.nl/pilot/1' },
      { type: 'LAS', identifier: 'L1' },
    ],
  });
  expect(wire.enrollment.map(({ role, endDate }) => [role, endDate])).toEqual([
    ['student', '2027-01-31'],
    ['student', '2027-01-31'],
    ['teacher', undefined],
  ]);
  expect(wire.assessmentLineItem.map(({ title }) => title)).toEqual(['Dictee', 'b']);
  expect(wire.assessmentLineItem[1]!.parentAssessmentLineItem!.sourcedId).toBe(wire.assessmentLineItem[0]!.sourcedId);
  expect(wire.assessmentResult).toMatchObject([
    { score: 7, textScore: 'V', scoreDate: '2026-11-20', scoreStatus: 'fully graded' },
  ]);
});

test.each<[string, (all: OneRoster) => void, string]>([
  ['a reference to nothing', (all) => void all.class.pop(), 'leads nowhere'],
  ['an id twice', (all) => void all.user.push(all.user[0]!), 'an id twice'],
  ['a name that is absent', (all) => void ((all.user[0] as { givenName?: string }).givenName = undefined), 'absent'],
  ['an empty name', (all) => void (all.user[0]!.familyName = ''), 'not as it must be'],
  ['a word that is on no list', (all) => void ((all.class[0]!.classType as string) = 'klas'), 'not as it must be'],
  ['a day that is none', (all) => void (all.enrollment[0]!.endDate = '2027-02-30'), 'not as it must be'],
  ['a day outside of the year', (all) => void (all.enrollment[0]!.endDate = '2028-02-01'), 'outside of its session'],
  ['no primary role', (all) => void (all.user[0]!.roles = []), 'no primary'],
  ['a class in no term', (all) => void (all.class[0]!.terms = []), 'not as it must be'],
  ['a field that is none', (all) => void Object.assign(all.org[0]!, { bsn: '1' }), 'unknown'],
  ['no moment', (all) => void (all.org[0]!.dateLastModified = 'ooit'), 'no moment'],
])('the check finds %s', (_, spoil, told) => {
  const { wire } = oneRosterOf(school, [one], now);
  expect(problemsIn(wire)).toEqual([]);
  spoil(wire);
  expect(problemsIn(wire).join('\n')).toContain(told);
});

test('who is told without a name to go by is counted, and not written', () => {
  const bare = { ...school, learners: [{ ...school.learners[0]!, ref: { lasKey: '', eckId: '' } } as RosterLearner] };
  const { wire, losses } = oneRosterOf(bare, [one], now);
  expect(wire.user).toHaveLength(1);
  expect(losses.list()).toContainEqual({ element: 'user', reason: 'minimised', count: 1 });
  expect(losses.list()).toContainEqual({ element: 'result', reason: 'unfit', count: 1 });
});
