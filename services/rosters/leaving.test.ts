/** Who left loses names after 30 days and numbers on 1 October, unless a roster names them again; and nobody else does. */
import { describe, expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { endOfDutchDay } from '#kernel';
import { LearnerEntry, type RosterSubmitted, StaffEntry } from '#proto/eduk/events/v1/rosters';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { rosters } from './index.ts';
import { namesEnd, numbersEnd } from './leaving.ts';
import { forgotten, learners as learnersTable, left, turns } from './tables.ts';

const school = '0000000700099XX00000';
const byOin = '00000001000000000001';
const DAY = 86_400_000;
const YEAR = '2026-2027';

const learner = (token: string, more: Partial<LearnerEntry> = {}) =>
  LearnerEntry.fromPartial({ learner: token, yearGroup: '5', nameMark: Uint8Array.of(97), ...more });
const pupils = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => learner(`lt_${String(from + i).padStart(5, '0')}`));
let sent = 0;
const push = (b: TestBench, roster: Partial<RosterSubmitted>) =>
  b.submit(
    'RosterSubmitted',
    { rosterId: `r${++sent}`, schoolOin: school, schoolYear: YEAR, byOin, part: 0, last: true, ...roster },
    school,
    { school },
  );
const at = (day: string) => testBench(rosters, { now: `${day}T10:00:00Z` });
const rows = (b: TestBench) => b.list(left, { equals: [] });
const ended = async (b: TestBench, sinceMs = 0n) =>
  (await b.client(RostersServiceDefinition).listNamesEnded({ sinceMs, limit: 0 })).people.map(({ person }) => person);
const overdue = (b: TestBench) => b.client(RostersServiceDefinition).countOverdue({});
const marks = (b: TestBench) => b.list(forgotten, { equals: [school] });

describe('the terms', () => {
  test.each([
    ['2026-11-22', '2026-12-22', '2027-09-27'],
    ['2027-07-31', '2027-08-30', '2027-09-27'],
    // The names' days are the time to come back, whatever the date.
    ['2026-09-20', '2026-10-20', '2026-10-20'],
    ['2026-09-30', '2026-10-30', '2026-10-30'],
    ['2026-10-01', '2026-10-31', '2027-09-27'],
  ])('of who left on %s names go after %s, and the forgetting begins after %s', (leftOn, names, numbers) => {
    const now = Date.parse(`${leftOn}T10:00:00Z`);
    const namesMs = namesEnd(leftOn, now);
    expect(namesMs).toBe(endOfDutchDay(names));
    expect(numbersEnd(leftOn, namesMs)).toBe(endOfDutchDay(numbers));
  });
  test('who is said to have left long ago has three days all the same', () => {
    const now = Date.parse('2026-11-22T10:00:00Z');
    expect(namesEnd('2026-02-01', now)).toBe(now + 3 * DAY);
  });
});

describe('a learner who left', () => {
  test('loses names after 30 days, and on 1 October everything: receivers and services are told before', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { learners: pupils(29) });
    expect(b.events('LearnerLeft')).toHaveLength(1);
    b.advance(30 * DAY);
    expect(await ended(b)).toEqual([]);
    b.advance(DAY);
    expect(await ended(b)).toEqual(['lt_00029']);
    expect(b.events('LearnerForgotten')).toEqual([]);
    b.advance(Date.parse('2027-09-27T21:00:00Z') - b.now());
    expect(b.events('LearnerForgotten')).toEqual([]);
    b.advance(2 * 3_600_000);
    // The whole of the rest of the school has not left only because no roster of the next year came.
    expect(b.events('LearnerForgotten').map(({ value }) => value)).toEqual([
      { schoolOin: school, learner: 'lt_00029', destroyAtMs: BigInt(endOfDutchDay('2027-09-30')) },
    ]);
    expect(rows(b)).toEqual([]);
    expect(await overdue(b)).toEqual({ people: 0, sinceMs: 0n });
  });

  test('on a day that was said, keeps names for 30 days from that day', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { learners: [...pupils(29), learner('lt_00029', { leavesOn: '2026-12-01' })] });
    b.advance(35 * DAY);
    expect(await ended(b)).toEqual([]);
    b.advance(5 * DAY);
    expect(await ended(b)).toEqual(['lt_00029']);
  });

  test('and comes back in time is as if it had never left, also where only its numbers are there', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { learners: pupils(29) });
    b.advance(20 * DAY);
    push(b, { learners: pupils(30) });
    expect(rows(b)).toEqual([]);
    b.advance(40 * DAY);
    expect(await ended(b)).toEqual([]);
    push(b, { learners: pupils(29) });
    b.advance(40 * DAY);
    expect(await ended(b)).toEqual(['lt_00029']);
    push(b, { learners: pupils(30) });
    expect(await ended(b)).toEqual([]);
    b.advance(250 * DAY);
    expect(b.events('LearnerForgotten')).toEqual([]);
  });

  test('and comes back in the last days is kept: everyone is told, and the year before has it again', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { schoolYear: '2027-2028', learners: pupils(29) });
    b.advance(Date.parse('2027-09-28T10:00:00Z') - b.now());
    expect(b.events('LearnerForgotten').map(({ value }) => value)).toMatchObject([{ learner: 'lt_00029' }]);
    expect(b.list(learnersTable, { equals: [school, YEAR] })).toHaveLength(29);
    push(b, { schoolYear: '2027-2028', learners: pupils(30) });
    expect(b.events('LearnerKept')).toHaveLength(1);
    expect(b.list(learnersTable, { equals: [school, YEAR] })).toHaveLength(30);
    expect(b.list(learnersTable, { equals: [school, '2027-2028'] })).toHaveLength(30);
    const { forgetting } = await b.client(RostersServiceDefinition).listForgetting({ sinceMs: 0n, limit: 0 });
    expect(forgetting).toMatchObject([{ learner: 'lt_00029', kept: true }]);
    b.advance(10 * DAY);
    push(b, { schoolYear: '2027-2028', learners: pupils(30) });
    expect(b.list(learnersTable, { equals: [school, '2027-2028'] })).toHaveLength(30);
    expect(rows(b)).toEqual([]);
  });

  test('and is destroyed is nobody: a roster that names the token does not bring it back', () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { schoolYear: '2027-2028', learners: pupils(29) });
    b.advance(Date.parse('2027-10-01T10:00:00Z') - b.now());
    push(b, { schoolYear: '2027-2028', learners: pupils(30) });
    expect(b.list(learnersTable, { equals: [school, '2027-2028'] })).toHaveLength(29);
    expect(b.events('LearnerKept')).toEqual([]);
  });

  test('and is kept by an operator in those days leaves anew, 30 days from then', () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { learners: pupils(29) });
    b.advance(Date.parse('2027-09-28T10:00:00Z') - b.now());
    b.submit('LearnerKeepSubmitted', { schoolOin: school, learner: 'lt_00029', byOin }, 'lt_00029', { school });
    expect(b.events('LearnerKept')).toHaveLength(1);
    expect(rows(b)).toMatchObject([{ person: 'lt_00029', leftOn: '2027-09-28', endedMs: 0 }]);
  });

  test('does not count among those whom somebody asks to forget on that day', () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(100) });
    push(b, { schoolYear: '2027-2028', learners: pupils(60) });
    b.advance(Date.parse('2027-09-28T10:00:00Z') - b.now());
    expect(b.events('LearnerForgotten')).toHaveLength(40);
    const ask = { schoolOin: school, learner: 'lt_00001', destroyAtMs: BigInt(b.now() + 3 * DAY), byOin };
    b.submit('LearnerForgetSubmitted', ask, 'lt_00001', { school });
    expect(b.events('LearnerForgetHeld')).toEqual([]);
  });

  test('and whom somebody asked to forget is forgotten by that, and waits for nothing here', () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { learners: pupils(29) });
    b.advance(30 * DAY);
    const ask = { schoolOin: school, learner: 'lt_00029', destroyAtMs: BigInt(b.now() + 3 * DAY), byOin };
    b.submit('LearnerForgetSubmitted', ask, 'lt_00029', { school });
    b.advance(2 * DAY);
    expect(rows(b)).toMatchObject([{ endedMs: 0 }]);
    b.advance(2 * DAY);
    expect(rows(b)).toEqual([]);
    expect(b.events('LearnerForgotten')).toHaveLength(1);
  });
});

describe('the turn of the year', () => {
  test('finds who did not come back, many at a time, and staff too; who stands in the new year stays', async () => {
    const b = at('2026-11-22');
    const staff = ['st_a', 'st_b'].map((one) => StaffEntry.fromPartial({ staff: one }));
    push(b, { learners: pupils(700), staff });
    push(b, { schoolYear: '2027-2028', learners: pupils(450), staff: staff.slice(0, 1) });
    b.advance(Date.parse('2027-08-01T10:00:00Z') - b.now());
    expect(b.list(turns, { equals: [school] })).toMatchObject([{ running: '2027-2028', lookedBack: '2027-2028' }]);
    expect(rows(b)).toHaveLength(251);
    expect(new Set(rows(b).map(({ leftOn }) => leftOn))).toEqual(new Set(['2027-07-31']));
    b.advance(31 * DAY);
    const gone = await ended(b);
    expect(gone).toHaveLength(251);
    expect(gone).toContain('st_b');
    expect(gone).not.toContain('lt_00449');
    b.advance(Date.parse('2027-10-01T10:00:00Z') - b.now());
    expect(b.events('LearnerForgotten')).toHaveLength(250);
    // Of staff only the vault is told.
    expect(marks(b).filter(({ learner: token }) => token === 'st_b')).toMatchObject([{ byTerm: 1 }]);
    // The rosters of the year before have lost those who are nobody any more.
    expect(b.list(learnersTable, { equals: [school, YEAR] })).toHaveLength(450);
  });

  test('a turn that is taken back takes nobody away', async () => {
    const b = at('2027-06-01');
    push(b, { learners: pupils(40) });
    push(b, { schoolYear: '2027-2028', learners: pupils(30) });
    b.submit('SchoolYearTurnSubmitted', { schoolOin: school, schoolYear: '2027-2028', onDay: '', byOin }, school, {
      school,
    });
    b.advance(DAY);
    expect(rows(b)).toHaveLength(10);
    b.submit('SchoolYearTurnSubmitted', { schoolOin: school, schoolYear: YEAR, onDay: '', byOin }, school, { school });
    b.advance(40 * DAY);
    expect(await ended(b)).toEqual([]);
    expect(rows(b)).toEqual([]);
    // And once it turns for good, they are found again.
    b.advance(Date.parse('2027-08-02T10:00:00Z') - b.now());
    expect(rows(b)).toHaveLength(10);
  });

  test('who stands in the roster of a year that was over before it came has left; who stands in this one too has not', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(25) });
    push(b, { schoolYear: '2025-2026', learners: pupils(30) });
    expect(rows(b).map(({ person, leftOn }) => [person, leftOn])).toEqual(
      pupils(5, 25).map(({ learner: token }) => [token, '2026-07-31']),
    );
    // Both terms were over before we knew: three days to be named again, then receivers are told, three days later it is done.
    b.advance(3 * DAY - 1);
    expect(b.events('LearnerForgotten')).toEqual([]);
    b.advance(1000);
    expect(b.events('LearnerForgotten').map(({ value }) => value.learner)).toEqual(
      pupils(5, 25).map(({ learner: token }) => token),
    );
  });

  test('of a school that sends nothing any more all have left when its last year goes', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(1200) });
    b.advance(Date.parse('2028-08-02T10:00:00Z') - b.now());
    expect(b.list(learnersTable, { equals: [school] })).toEqual([]);
    expect(rows(b)).toHaveLength(1200);
    b.advance(4 * DAY);
    expect(b.events('LearnerForgotten')).toHaveLength(1200);
  });
});

describe('a school', () => {
  test('that is known from before this was kept is looked through at its next roster', () => {
    const b = at('2026-11-22');
    push(b, { schoolYear: '2025-2026', learners: pupils(30) });
    push(b, { learners: pupils(25) });
    // As a release before this one left it.
    for (const row of rows(b)) b.view.note((unit) => unit.remove(left, school, row.person));
    const [turn] = b.list(turns, { equals: [school] });
    b.view.note((unit) => {
      const { lookedBack: _, ...before } = turn!;
      unit.put(turns, before);
    });
    expect(rows(b)).toEqual([]);
    push(b, { learners: pupils(25) });
    b.advance(1000);
    expect(rows(b)).toHaveLength(5);
  });

  test('whose hours are not kept shows how many wait, and since when', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    const dueMs = b.now() - 2 * DAY;
    b.view.note((unit) =>
      unit.put(left, { school, person: 'lt_x', isStaff: 0, leftOn: '2026-01-01', dueMs, endedMs: 0 }),
    );
    expect(await overdue(b)).toEqual({ people: 1, sinceMs: BigInt(dueMs) });
  });
});

describe('of two tokens of one learner', () => {
  const merge = (b: TestBench, winner: string, loser: string): void => {
    b.submit('LearnersMergeSubmitted', { schoolOin: school, winner, loser, byOin, byPerson: 'a' }, school, { school });
    const { holdId } = b.events('LearnersMergeHeld').at(-1)!.value;
    const decision = { schoolOin: school, holdId, approve: true, byOin, byPerson: 'b' };
    b.submit('HoldDecisionSubmitted', decision, school, { school });
  };
  const forgets = (b: TestBench) => b.events('LearnerForgotten').map(({ value }) => value.learner);

  test('the one that had left goes on with the one that is there', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    push(b, { learners: pupils(29) });
    merge(b, 'lt_00000', 'lt_00029');
    b.advance(31 * DAY);
    expect(await ended(b)).toEqual([]);
    expect(rows(b)).toEqual([]);
    push(b, { schoolYear: '2027-2028', learners: pupils(29) });
    b.advance(Date.parse('2027-10-02T10:00:00Z') - b.now());
    expect(forgets(b)).toEqual([]);
  });

  test('both go when their learner leaves, and both are kept when it comes back', async () => {
    const b = at('2026-11-22');
    push(b, { learners: pupils(30) });
    merge(b, 'lt_00029', 'lt_00028');
    push(b, { learners: pupils(28) });
    b.advance(31 * DAY);
    // The vault knows that names under the other are of the same person.
    expect(await ended(b)).toEqual(['lt_00029']);
    push(b, { schoolYear: '2027-2028', learners: pupils(28) });
    b.advance(Date.parse('2027-09-28T10:00:00Z') - b.now());
    expect(forgets(b).sort()).toEqual(['lt_00028', 'lt_00029']);
    push(b, { schoolYear: '2027-2028', learners: [...pupils(28), learner('lt_00028')] });
    expect(
      b
        .events('LearnerKept')
        .map(({ value }) => value.learner)
        .sort(),
    ).toEqual(['lt_00028', 'lt_00029']);
  });
});
