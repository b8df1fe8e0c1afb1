import { describe, expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import { LearnerEntry, type RosterSubmitted, SchoolChangeSubmitted } from '#proto/eduk/events/v1/rosters';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { rosters } from './index.ts';
import { changes, crossers, left } from './tables.ts';

const school = '0000000700099XX00000';
const toSchoolOin = '0000000700099YY00000';
const year = '2026-2027';
const byOin = 'operator';
const day = 86_400_000;
/** In June, for the usual day. */
const start = '2027-06-10T10:00:00Z';
const onDay = '2027-08-01';

const learner = (token: string, more: Partial<LearnerEntry> = {}): LearnerEntry =>
  LearnerEntry.fromPartial({ learner: token, yearGroup: '5', nameMark: Uint8Array.of(97), ...more });
const bench = (now: string = start): TestBench => testBench(rosters, { now });
let sent = 0;
const push = (b: TestBench, learners: LearnerEntry[], more: Partial<RosterSubmitted> = {}) =>
  b.submit(
    'RosterSubmitted',
    { rosterId: `r${++sent}`, schoolOin: school, schoolYear: year, byOin, part: 0, last: true, learners, ...more },
    school,
    { school },
  );
const ask = (b: TestBench, more: Partial<SchoolChangeSubmitted> = {}, byPerson = 'a'): string => {
  const asked = SchoolChangeSubmitted.fromPartial({ schoolOin: school, toSchoolOin, onDay, byOin, byPerson, ...more });
  b.submit('SchoolChangeSubmitted', asked, school, { school });
  return b.events('SchoolChangeHeld').at(-1)?.value.changeId ?? '';
};
const decide = (b: TestBench, holdId: string, approve = true, byPerson = 'b') =>
  b.submit('HoldDecisionSubmitted', { schoolOin: school, holdId, approve, byOin, byPerson }, school, { school });
const plan = (b: TestBench, more: Partial<SchoolChangeSubmitted>): string => {
  const changeId = ask(b, more);
  decide(b, changeId);
  return changeId;
};
const cross = (b: TestBench, changeId: string, went: string[], stayed: string[] = []) =>
  b.submit('SchoolCrossingSubmitted', { schoolOin: school, changeId, went, stayed, byOin }, school, { school });
const reader = (b: TestBench) => b.client(RostersServiceDefinition);
const standing = async (b: TestBench) =>
  (await reader(b).listSchoolChanges({ schoolOin: school, underWay: false })).changes.map(
    ({ state, waiting, went, stayed }) => [state, waiting, went, stayed],
  );
const going = async (b: TestBench, changeId: string) =>
  (await reader(b).listGoing({ schoolOin: school, changeId, limit: 0 })).learners.map(
    ({ learner: token, years }) =>
      `${token} ${years.map((one) => `${one.schoolYear} ${one.toSchoolYear} ${one.yearGroup}`).join(' ')}`,
  );
const there = async (b: TestBench, schoolYear = year) =>
  (await reader(b).getRoster({ schoolOin: school, schoolYear, limit: 0, after: '', siteCode: '' })).learners.map(
    (one) => one.learner,
  );
const untilDay = (b: TestBench) => b.advance(Date.parse('2027-07-31T21:59:59.999Z') - b.now());
const refusals = (b: TestBench) => b.events('SchoolChangeRefused').map(({ value }) => value.code);

describe('a change of schools', () => {
  test('on the first of August takes who is there at the end of the year, as of the year to come', async () => {
    const b = bench();
    push(
      b,
      ['A', 'B', 'C', 'D'].map((token) => learner(token, token === 'D' ? { leavesOn: '2027-07-20' } : {})),
    );
    const changeId = plan(b, { whole: true });
    b.advance(30 * day);
    expect(await standing(b)).toEqual([['planned', 0, 0, 0]]);
    // Who comes before the day goes too.
    push(
      b,
      ['A', 'B', 'C', 'E'].map((token) => learner(token)),
    );
    untilDay(b);
    expect(await standing(b)).toEqual([['under_way', 4, 0, 0]]);
    expect(await going(b, changeId)).toEqual(['A', 'B', 'C', 'E'].map((token) => `${token} ${year} 2027-2028 `));
    cross(b, changeId, ['A', 'B']);
    expect(await there(b)).toEqual(['C', 'E']);
    const gone = b.events('LearnerLeft').filter(({ value }) => value.movedToSchoolOin !== '');
    expect(gone.map(({ value }) => [value.learner, value.schoolYear, value.leftOn, value.movedToSchoolOin])).toEqual([
      ['A', year, '2027-07-31', toSchoolOin],
      ['B', year, '2027-07-31', toSchoolOin],
    ]);
    // The same lot told again, as by another door, changes nothing.
    const told = b.events('LearnerLeft').length;
    cross(b, changeId, ['A', 'B']);
    expect(b.events('LearnerLeft')).toHaveLength(told);
    cross(b, changeId, ['C'], ['E']);
    expect(await standing(b)).toEqual([['done', 0, 3, 1]]);
    expect(await there(b)).toEqual(['E']);
    // Their names and numbers have their term, as of who left otherwise.
    expect(b.list(left, { equals: [school] }).map(({ person, leftOn }) => [person, leftOn])).toEqual(
      expect.arrayContaining(['A', 'B', 'C'].map((person) => [person, '2027-07-31'])),
    );
    expect(refusals(b)).toEqual([]);
  });

  test('in the year of the day takes its rosters and later ones; of a site, or of year groups', async () => {
    const b = bench('2026-11-22T10:00:00Z');
    push(b, [learner('A'), learner('B', { yearGroup: '6' })], { siteCode: '01' });
    push(b, [learner('C'), learner('D', { yearGroup: '6' })], { siteCode: '02' });
    push(b, [learner('D', { yearGroup: '7' })], { schoolYear: '2027-2028', siteCode: '02' });
    const select = async (more: object) =>
      (
        await reader(b).selectGoing({
          schoolOin: school,
          onDay: '2026-12-01',
          whole: false,
          siteCodes: [],
          yearGroups: [],
          learners: [],
          ...more,
        })
      ).learners.map(({ learner: token }) => token);
    expect(await select({})).toEqual([]);
    expect(await select({ siteCodes: ['02'] })).toEqual(['C', 'D']);
    expect(await select({ yearGroups: ['6'] })).toEqual(['B', 'D']);
    expect(await select({ learners: ['A', 'nobody'] })).toEqual(['A']);
    expect(await select({ whole: true })).toHaveLength(4);
    const changeId = plan(b, { onDay: '2026-12-01', siteCodes: ['02'], yearGroups: ['6'] });
    b.advance(9 * day);
    expect(await going(b, changeId)).toEqual(['D 2026-2027 2026-2027 6 2027-2028 2027-2028 7']);
    cross(b, changeId, ['D']);
    expect([await there(b), await there(b, '2027-2028')]).toEqual([['A', 'B', 'C'], []]);
  });

  test('takes two persons; refused, rejected and taken back it leaves nothing', async () => {
    const b = bench();
    push(b, [learner('A')]);
    const changeId = ask(b, { learners: ['A'] });
    expect(ask(b, { learners: ['A'] })).toBe(changeId);
    decide(b, changeId, true, 'a');
    decide(b, changeId, true, '');
    expect([refusals(b), await standing(b)]).toEqual([['party.forbidden', 'party.forbidden'], [['held', 0, 0, 0]]]);
    decide(b, changeId, false);
    expect(await standing(b)).toEqual([['rejected', 0, 0, 0]]);
    const second = plan(b, { learners: ['A'] });
    expect(ask(b, { learners: ['A'] })).toBe(second);
    expect(b.events('SchoolChangePlanned')).toHaveLength(2);
    b.submit('SchoolChangeUndoSubmitted', { schoolOin: school, changeId: second, byOin }, school, { school });
    expect(await standing(b)).toContainEqual(['undone', 0, 0, 0]);
    expect(b.list(crossers, { equals: [school] })).toEqual([]);
    untilDay(b);
    expect(await there(b)).toEqual(['A']);
    cross(b, second, ['A']);
    expect([refusals(b).at(-1), await there(b)]).toEqual(['state.missing', ['A']]);
    for (const wrong of [{ toSchoolOin: school }, { onDay: '2027-06-09' }, {}, { whole: true, yearGroups: ['5'] }])
      ask(b, { whole: false, ...wrong });
    expect(refusals(b).slice(-4)).toEqual(Array(4).fill('wire.invalid'));
    expect((await reader(b).listHolds({ schoolOin: school, decided: false })).holds).toEqual([]);
  });

  test('the administration that goes on naming who went brings nobody back for thirty days, and another change does', async () => {
    const b = bench('2027-03-01T10:00:00Z');
    const all = ['A', 'B', 'C'].map((token) => learner(token));
    push(b, all);
    const changeId = plan(b, { onDay: '2027-03-01', learners: ['A', 'B'] });
    b.run();
    cross(b, changeId, ['A', 'B']);
    push(b, all);
    expect(await there(b)).toEqual(['C']);
    const named = (crossing: boolean) =>
      b.submit(
        'LearnersSubmitted',
        { schoolOin: school, schoolYear: year, learners: [learner('A')], byOin, crossing },
        school,
        { school },
      );
    named(false);
    expect(await there(b)).toEqual(['C']);
    named(true);
    push(b, all);
    expect(await there(b)).toEqual(['A', 'C']);
    b.advance(30 * day + 1);
    expect(b.list(crossers, { equals: [school] })).toEqual([]);
    push(b, all);
    expect(await there(b)).toEqual(['A', 'B', 'C']);
    expect(b.list(changes, { equals: [school] })).toMatchObject([{ state: 'done' }]);
  });

  test('a second token goes as the learner whose it is; who is forgotten meanwhile is told of by that alone', async () => {
    const b = bench('2027-03-01T10:00:00Z');
    push(b, [learner('A'), learner('B'), learner('C')]);
    const two = { schoolOin: school, winner: 'A', loser: 'B', byOin };
    b.submit('LearnersMergeSubmitted', { ...two, byPerson: 'a' }, school, { school });
    decide(b, b.events('LearnersMergeHeld').at(-1)!.value.holdId);
    const changeId = plan(b, { onDay: '2027-03-01', learners: ['B', 'C', 'nobody'] });
    b.run();
    expect((await going(b, changeId)).map((text) => text.split(' ')[0])).toEqual(['A', 'C']);
    b.submit(
      'LearnerForgetSubmitted',
      { schoolOin: school, learner: 'C', destroyAtMs: BigInt(b.now() + 3 * day), byOin },
      'C',
      { school },
    );
    cross(b, changeId, ['A'], ['C']);
    expect(b.events('LearnerLeft').filter(({ value }) => value.movedToSchoolOin !== '')).toHaveLength(1);
    expect([await standing(b), await there(b)]).toEqual([[['done', 0, 1, 1]], []]);
  });

  test('of a school that is forgotten nothing stays', () => {
    const b = bench();
    push(b, [learner('A')]);
    plan(b, { learners: ['A'] });
    const forgetting = { schoolOin: school, state: 'destroyed', destroyAtMs: BigInt(b.now()) };
    const change = { oin: school, change: 'destroyed', standing: { forgetting } };
    b.submit('PartyStandingChanged', PartyStandingChanged.fromPartial(change), school, { school });
    b.run();
    untilDay(b);
    expect([b.list(changes, { equals: [school] }), b.list(crossers, { equals: [school] })]).toEqual([[], []]);
  });
});
