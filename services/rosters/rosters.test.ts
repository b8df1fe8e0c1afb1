import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryStore, type Table, type TestBench, testBench } from '#bus';
import { PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import {
  type GroupEntry,
  type HoldDecisionSubmitted,
  LearnerEntry,
  type RosterSubmitted,
  SiteEntry,
} from '#proto/eduk/events/v1/rosters';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { claimsOfLearner } from './consume.ts';
import { rosters, rostersWith } from './index.ts';
import { scopeWord } from './scope.ts';
import {
  aside,
  forgotten,
  groups as groupsTable,
  heldForgets,
  heldParts,
  learners as learnersTable,
  marks,
  merges,
  parts,
  scopes,
  staff as staffTable,
  years,
} from './tables.ts';

const school = '0000000700099XX00000';
const year = '2026-2027';
const byOin = '00000001000000000001';
const day = 86_400_000;
const start = '2026-11-22T10:00:00Z';

const learner = (token: string, more: Partial<LearnerEntry> = {}): LearnerEntry =>
  LearnerEntry.fromPartial({ learner: token, yearGroup: '5', nameMark: Uint8Array.of(97), ...more });
const group = (token: string): GroupEntry => ({
  group: token,
  name: `n-${token}`,
  description: '',
  yearGroup: '5',
  composite: false,
  siteCodes: [],
});
const pupils = (count: number, more: Partial<LearnerEntry> = {}): LearnerEntry[] =>
  Array.from({ length: count }, (_, i) => learner(`L${String(i).padStart(5, '0')}`, more));

const bench = (now: string | number = start): TestBench => testBench(rosters, { now });

let sent = 0;
const push = (b: TestBench, roster: Partial<RosterSubmitted>, flowId?: string): string =>
  b.submit(
    'RosterSubmitted',
    { rosterId: `r${++sent}`, schoolOin: school, schoolYear: year, byOin, part: 0, last: true, ...roster },
    school,
    { school, ...(flowId === undefined ? {} : { flowId }) },
  );
const names = (b: TestBench) => b.events().map(({ name }) => name);
const reader = (b: TestBench) => b.client(RostersServiceDefinition);
const page = (b: TestBench, more: { after?: string; limit?: number; schoolYear?: string; siteCode?: string } = {}) =>
  reader(b).getRoster({ schoolOin: school, schoolYear: year, limit: 0, after: '', siteCode: '', ...more });
const holdsOf = (b: TestBench, decided = false) => reader(b).listHolds({ schoolOin: school, decided });
const decideHold = (b: TestBench, holdId: string, approve: boolean, of: Partial<HoldDecisionSubmitted> = {}) =>
  b.submit('HoldDecisionSubmitted', { schoolOin: school, holdId, approve, byOin, ...of }, school, { school });

/** Two become one, as one person asked and another approved. */
const merge = (b: TestBench, winner: string, loser: string): void => {
  b.submit('LearnersMergeSubmitted', { schoolOin: school, winner, loser, byOin, byPerson: 'a' }, school, { school });
  const { holdId } = b.events('LearnersMergeHeld').at(-1)!.value;
  b.submit('HoldDecisionSubmitted', { schoolOin: school, holdId, approve: true, byOin, byPerson: 'b' }, school, {
    school,
  });
};
const part = (b: TestBench, winner: string, loser: string): string =>
  b.submit('LearnersMergeUndoSubmitted', { schoolOin: school, winner, loser, byOin }, school, { school });

describe('parts of a roster', () => {
  test('rest until the last one, each with an outcome in its own flow', () => {
    const b = bench();
    const first = push(b, {
      rosterId: 'r',
      part: 0,
      last: false,
      groups: [group('g')],
      learners: [learner('A', { group: 'g' })],
      madeAt: '2026-11-22T09:00:00Z',
    });
    push(b, { rosterId: 'r', part: 1, last: false, learners: [learner('B')] });
    expect(names(b)).toEqual(['RosterPartTaken', 'RosterPartTaken']);
    expect(b.events('RosterPartTaken')[0]!.flowId).toBe(first);
    const last = push(b, { rosterId: 'r', part: 2, last: true, learners: [learner('C', { group: 'g' })] });
    expect(b.events('RosterApplied')).toMatchObject([
      { flowId: last, value: { rosterId: 'r', difference: { joined: 3, groupsOpened: 1 } } },
    ]);
    expect(b.list(parts, { equals: [] })).toEqual([]);
    expect(b.get(years, school, year)).toMatchObject({
      learners: 3,
      groups: 1,
      madeMs: Date.parse('2026-11-22T09:00:00Z'),
    });
    b.advance(2 * day);
    expect(b.events('RosterRefused')).toEqual([]);
  });

  test('may overtake each other and be repeated', () => {
    const b = bench();
    for (const part of [1, 0, 1]) push(b, { rosterId: 'r', part, last: false, learners: [learner(`P${part}`)] });
    push(b, { rosterId: 'r', part: 2, last: true, learners: [learner('P2')] });
    expect(b.events('RosterApplied')[0]!.value.difference).toMatchObject({ joined: 3 });
  });

  test('one missing when the last one comes: refused, and nothing rests', () => {
    const b = bench();
    push(b, { rosterId: 'r', part: 0, last: false, learners: [learner('A')] });
    push(b, { rosterId: 'r', part: 2, last: true });
    expect(b.events('RosterRefused')[0]!.value).toMatchObject({ rosterId: 'r', code: 'wire.invalid' });
    expect(b.list(parts, { equals: [] })).toEqual([]);
    expect(b.get(years, school, year)).toBeUndefined();
  });

  test('of other school years: refused', () => {
    const b = bench();
    push(b, { rosterId: 'r', part: 0, last: false, schoolYear: '2027-2028' });
    push(b, { rosterId: 'r', part: 1, last: true });
    expect(b.events('RosterRefused')[0]!.value).toMatchObject({ code: 'wire.invalid' });
  });

  test('without a last one are dropped after 24 hours, and that is told', () => {
    const b = bench();
    const flowId = push(b, { rosterId: 'r', part: 0, last: false });
    b.advance(day - 1);
    expect(b.events('RosterRefused')).toEqual([]);
    b.advance(1);
    expect(b.events('RosterRefused')).toMatchObject([
      { flowId, key: school, value: { rosterId: 'r', code: 'wire.invalid' } },
    ]);
    expect(b.list(parts, { equals: [] })).toEqual([]);
  });

  test('of two sites, or two administrations, with the same id are as many rosters', () => {
    const b = bench();
    push(b, { rosterId: 'r', part: 0, last: false, siteCode: '01', learners: [learner('A')] });
    push(b, { rosterId: 'r', part: 0, last: false, siteCode: '02', learners: [learner('B')] });
    push(b, { rosterId: 'r', part: 0, last: false, siteCode: '02', administration: '00002', learners: [learner('C')] });
    push(b, { rosterId: 'r', part: 1, siteCode: '01', learners: [learner('D')] });
    expect(b.events('LearnerJoined').map(({ key }) => key)).toEqual(['A', 'D']);
    expect(b.list(parts, { equals: [] })).toHaveLength(2);
    b.advance(day);
    expect(
      b.events('RosterRefused').map(({ value }) => [value.rosterId, value.siteCode, value.administration]),
    ).toEqual([
      ['r', '02', '00002'],
      ['r', '02', ''],
    ]);
  });

  test('of two senders with the same id are two rosters', () => {
    const b = bench();
    push(b, { rosterId: 'r', part: 0, last: false, learners: [learner('A')] });
    push(b, { rosterId: 'r', part: 0, last: true, byOin: '00000001000000000002', learners: [learner('B')] });
    expect(b.events('LearnerJoined').map(({ key }) => key)).toEqual(['B']);
    expect(b.list(parts, { equals: [] })).toHaveLength(1);
  });
});

describe('what is told', () => {
  test('learners and staff under their own key, groups and the roster under the school', () => {
    const b = bench();
    push(b, {
      groups: [group('g')],
      learners: [learner('A')],
      staff: [{ staff: 'T', groups: [], duties: [], nameMark: new Uint8Array(0), siteCodes: [] }],
    });
    expect(b.events().map(({ name, key }) => [name, key])).toEqual([
      ['RosterApplied', school],
      ['GroupChanged', school],
      ['LearnerJoined', 'A'],
      ['StaffChanged', 'T'],
    ]);
  });

  test('a roster without a difference: applied with zeros, and the moment of change stays', () => {
    const b = bench();
    const content = {
      groups: [group('g')],
      sites: [SiteEntry.fromPartial({ site: 's' })],
      learners: [learner('B', { group: 'g', leavesOn: '2027-02-01' }), learner('A', { compositeGroups: ['g'] })],
    };
    push(b, content);
    const { changedMs } = b.get(years, school, year)!;
    b.advance(day);
    b.clear();
    push(b, content);
    expect(names(b)).toEqual(['RosterApplied']);
    const { difference } = b.events('RosterApplied')[0]!.value;
    expect(Object.entries(difference!).filter(([, n]) => n !== 0)).toEqual([
      ['before', 2],
      ['after', 2],
      ['groupsBefore', 1],
    ]);
    expect(b.get(years, school, year)!.changedMs).toBe(changedMs);
    push(b, { ...content, sites: [] });
    expect(b.get(years, school, year)!.changedMs).toBe(changedMs + day);
  });

  test('next year stands beside this year', () => {
    const b = bench('2027-06-01T08:00:00Z');
    push(b, { learners: pupils(30) });
    push(b, { schoolYear: '2027-2028', learners: pupils(5) });
    expect(b.events('LearnerLeft')).toEqual([]);
    expect(b.events('LearnerJoined').filter(({ value }) => value.schoolYear === '2027-2028')).toHaveLength(5);
    expect(b.get(years, school, year)!.learners).toBe(30);
    b.advance(70 * day); // Past 1 August: the turn removes nobody.
    expect(b.events('LearnerLeft')).toEqual([]);
    expect(b.get(years, school, year)!.learners).toBe(30);
  });

  test('an older roster is refused', () => {
    const b = bench();
    push(b, { madeAt: '2026-11-21T10:00:00Z', learners: [learner('A')] });
    push(b, { madeAt: '2026-11-21T09:59:59Z', learners: [learner('B')] });
    expect(b.events('RosterRefused')[0]!.value.code).toBe('state.conflict');
    push(b, { madeAt: '2026-11-21T12:00:00+02:00', learners: [learner('A'), learner('C')] }); // The same moment as the first.
    expect(b.events('RosterApplied')).toHaveLength(2);
  });

  test('one that says it was made in days to come keeps no later one out', async () => {
    const b = bench();
    push(b, { madeAt: '2036-11-22T10:00:00Z', learners: pupils(30) });
    expect(b.get(years, school, year)!.madeMs).toBe(b.now());
    b.advance(day);
    push(b, { madeAt: new Date(b.now()).toISOString(), learners: pupils(31) });
    expect(b.events('RosterRefused')).toEqual([]);
    // Held, it is as old as the day on which it came, also once it is approved.
    push(b, { madeAt: '2036-11-22T10:00:00Z', learners: pupils(10) });
    const [hold] = (await holdsOf(b)).holds;
    b.advance(day);
    decideHold(b, hold!.holdId, true);
    push(b, { madeAt: new Date(b.now() - 1_000).toISOString(), learners: pupils(11) });
    expect(b.events('RosterRefused')).toEqual([]);
    expect(b.get(years, school, year)!.learners).toBe(11);
  });

  test('nor does one that stands in rows of before this was seen', () => {
    const store = new MemoryStore();
    const before = testBench(rosters, { now: '2026-11-22T12:00:00Z', store });
    push(before, { madeAt: '2026-11-22T11:00:00Z', learners: [learner('A')] });
    const b = testBench(rosters, { now: '2026-11-22T10:00:00Z', store });
    push(b, { madeAt: '2026-11-22T09:00:00Z', learners: [learner('A'), learner('B')] });
    expect(b.events('RosterRefused')).toEqual([]);
  });
});

describe('a day of leaving', () => {
  const leaving = (leavesOn: string) => ({ learners: [learner('A', { leavesOn, group: '' }), learner('B')] });
  test('lets the learner go when it ends in the Netherlands', () => {
    const b = bench();
    push(b, leaving('2026-11-30'));
    b.advance(Date.parse('2026-11-30T22:59:59.999Z') - b.now());
    expect(b.events('LearnerLeft')).toEqual([]);
    b.advance(1);
    expect(b.events('LearnerLeft')).toMatchObject([{ key: 'A', value: { leftOn: '2026-11-30', schoolYear: year } }]);
    expect(b.get(learnersTable, school, year, 'A')).toBeUndefined();
    expect(b.get(years, school, year)!).toMatchObject({ learners: 1, changedMs: b.now() });
    push(b, leaving('2026-11-30')); // The administration goes on naming the learner.
    expect(b.events('LearnerLeft')).toHaveLength(1);
    expect(b.events('LearnerJoined')).toHaveLength(2);
  });
  test('that moves or is taken back moves the going', () => {
    const b = bench();
    push(b, leaving('2026-11-30'));
    push(b, leaving('2026-12-05'));
    b.advance(10 * day);
    expect(b.events('LearnerLeft')).toEqual([]);
    push(b, leaving(''));
    b.advance(10 * day);
    expect(b.events('LearnerLeft')).toEqual([]);
    expect(b.get(years, school, year)!.learners).toBe(2);
  });
});

describe('a held roster', () => {
  const groups = [group('g'), group('h')];
  const whole = { groups, learners: pupils(100, { group: 'g' }) };
  const cut = { groups, learners: pupils(80, { group: 'g' }), madeAt: '2026-11-22T09:00:00Z' };
  const schoolThatGot = (...more: Partial<RosterSubmitted>[]): TestBench => {
    const b = bench();
    push(b, whole);
    for (const roster of more) push(b, roster);
    return b;
  };

  test('changes nothing and is shown with its difference', async () => {
    const b = bench();
    push(b, whole);
    const flowId = push(b, { ...cut, rosterId: 'cut', groups: [group('g')] });
    expect(b.events('LearnerLeft')).toEqual([]);
    expect(b.get(years, school, year)!.learners).toBe(100);
    const { holds } = await holdsOf(b);
    expect(holds).toMatchObject([
      {
        rosterId: 'cut',
        reason: 'removes_many',
        difference: { before: 100, after: 80, left: 20, groupsClosed: 1 },
        state: 'waiting',
        flowId,
        byOin,
        groupsClosing: ['h'],
      },
    ]);
    expect(holds[0]!.learnersLeaving).toHaveLength(20);
    expect(b.events('RosterHeld')[0]!.value.holdId).toBe(holds[0]!.holdId);
  });

  test('approved: counts, compared again with what is known by then; deciding twice is refused', async () => {
    const b = schoolThatGot({ ...cut, rosterId: 'cut' });
    const { holdId, flowId } = (await holdsOf(b)).holds[0]!;
    b.submit('LearnersSubmitted', { schoolOin: school, schoolYear: year, learners: [learner('new')] }, school, {
      school,
    });
    b.clear();
    const decision = decideHold(b, holdId, true);
    expect(b.events('LearnerLeft')).toHaveLength(21);
    expect(b.events('HoldDecided')).toMatchObject([{ flowId: decision, value: { holdId, approved: true } }]);
    expect(b.events('RosterApplied')).toMatchObject([
      { flowId, value: { rosterId: 'cut', difference: { before: 101, left: 21 } } },
    ]);
    expect((await holdsOf(b)).holds).toEqual([]);
    expect((await holdsOf(b, true)).holds).toMatchObject([{ state: 'approved' }]);
    expect(b.list(heldParts, { equals: [] })).toEqual([]);
    const again = decideHold(b, holdId, false);
    expect(b.events('RosterRefused')).toMatchObject([{ flowId: again, value: { holdId, code: 'state.conflict' } }]);
    expect(b.get(years, school, year)!.learners).toBe(80);
  });

  test('rejected: nothing changes; told in both flows', async () => {
    const b = schoolThatGot(cut);
    const { holdId, flowId } = (await holdsOf(b)).holds[0]!;
    decideHold(b, holdId, false);
    expect(b.events('RosterRefused')).toMatchObject([{ flowId, value: { holdId, code: 'hold.pending' } }]);
    expect((await holdsOf(b, true)).holds).toMatchObject([{ state: 'rejected' }]);
    expect(b.get(years, school, year)!.learners).toBe(100);
  });

  test('approved in part: that is told, the rest waits on under the same id, and is held again when it is said again', async () => {
    const b = schoolThatGot({ ...cut, learners: [...cut.learners, learner('N', { group: 'g' })] });
    const [hold] = (await holdsOf(b)).holds;
    const { holdId, flowId } = hold!;
    expect(hold).toMatchObject({ part: false, groups: [{ group: 'g', joined: 1, left: 20 }] });
    decideHold(b, holdId, true, { kinds: ['joined'] });
    expect([b.events('LearnerJoined').at(-1)!.key, b.events('LearnerLeft')]).toEqual(['N', []]);
    expect(b.events('HoldDecided').at(-1)!.value).toMatchObject({ approved: true, part: true });
    expect(b.events('RosterHeld').at(-1)).toMatchObject({
      flowId,
      value: { holdId, difference: { left: 20, joined: 0 } },
    });
    expect((await holdsOf(b)).holds).toMatchObject([
      {
        holdId,
        part: true,
        state: 'waiting',
        difference: { left: 20, joined: 0 },
        groups: [{ group: 'g', left: 20, joined: 0 }],
      },
    ]);
    const wrong = decideHold(b, holdId, true, { kinds: ['staffLeft'] });
    expect(b.events('RosterRefused').at(-1)).toMatchObject({ flowId: wrong, value: { code: 'state.missing' } });
    decideHold(b, holdId, false);
    expect([(await holdsOf(b)).holds, b.list(marks, { equals: [] }).length]).toEqual([[], 20]);
    expect(b.list(heldParts, { equals: [] })).toEqual([]);
    // One of them leaves: of hundred that is little, and still somebody said no.
    const again = { ...whole, learners: [...whole.learners.slice(0, 99), learner('N', { group: 'g' })] };
    push(b, { ...again, rosterId: 'again', madeAt: '2026-11-22T09:30:00Z' });
    const held = (await holdsOf(b)).holds[0]!;
    expect(held).toMatchObject({ reason: 'said_again', difference: { left: 1 } });
    decideHold(b, held.holdId, true);
    expect([b.get(years, school, year)!.learners, b.list(marks, { equals: [] })]).toEqual([100, []]);
  });

  test('where two persons approve: the second one, of the same part, carries it out; one is enough to reject', async () => {
    const b = testBench(rostersWith({ holdThresholdPercent: 10, holdSecondPerson: true }), { now: start });
    push(b, whole);
    push(b, { ...cut, learners: [...cut.learners, learner('N', { group: 'g' })] });
    const { holdId } = (await holdsOf(b)).holds[0]!;
    const kinds = ['joined', 'renamed'];
    for (const of of [
      { byPerson: 'a', kinds },
      { byPerson: 'a', kinds },
      { byPerson: '', kinds },
    ]) {
      const flowId = decideHold(b, holdId, true, of);
      expect(b.events('RosterRefused').at(-1)).toMatchObject({ flowId, value: { holdId: '', code: 'hold.pending' } });
    }
    expect((await holdsOf(b)).holds).toMatchObject([{ state: 'waiting', approvedOnce: true, part: false }]);
    // In whatever order they are named.
    decideHold(b, holdId, true, { byPerson: 'b', kinds: [...kinds].reverse() });
    expect((await holdsOf(b)).holds).toMatchObject([{ state: 'waiting', approvedOnce: false, part: true }]);
    decideHold(b, holdId, false, { byPerson: 'b' });
    expect([(await holdsOf(b)).holds, b.get(years, school, year)!.learners]).toEqual([[], 101]);
  });

  test('unknown: refused', () => {
    const b = bench();
    decideHold(b, 'nothing', true);
    expect(b.events('RosterRefused')[0]!.value).toMatchObject({ holdId: 'nothing', code: 'state.missing' });
  });

  test('replaced by a newer one', async () => {
    const b = schoolThatGot(cut, { ...cut, madeAt: '2026-11-22T09:30:00Z' });
    const { holds } = await holdsOf(b, true);
    expect(holds.map(({ state }) => state).sort()).toEqual(['superseded', 'waiting']);
    const older = holds.find(({ state }) => state === 'superseded')!;
    expect(b.events('RosterRefused')).toMatchObject([
      { flowId: older.flowId, value: { holdId: older.holdId, code: 'state.conflict' } },
    ]);
    push(b, { ...whole, madeAt: '2026-11-22T09:40:00Z' });
    expect((await holdsOf(b)).holds).toEqual([]);
  });

  test('of several parts is kept whole', async () => {
    const b = schoolThatGot();
    push(b, { rosterId: 'p', part: 0, last: false, groups, learners: pupils(30, { group: 'g' }) });
    push(b, { rosterId: 'p', part: 1, last: true, learners: [learner('N', { group: 'h' })] });
    const { holdId, reason } = (await holdsOf(b)).holds[0]!;
    expect(reason).toBe('truncated');
    decideHold(b, holdId, true);
    expect(b.get(years, school, year)!.learners).toBe(31);
    expect(b.get(learnersTable, school, year, 'N')).toMatchObject({ baseGroup: 'h' });
  });

  test('that names a day of leaving for most of a school empties it neither now nor on that day', async () => {
    const b = schoolThatGot();
    const leaving = (count: number, leavesOn: string) =>
      whole.learners.map((one, i) => (i < count ? { ...one, leavesOn } : one));
    push(b, { groups, learners: leaving(50, '2026-11-30') });
    expect((await holdsOf(b)).holds).toEqual([]);
    push(b, { groups, learners: leaving(100, '2026-11-23') });
    expect((await holdsOf(b)).holds).toMatchObject([
      { reason: 'ends_many', difference: { before: 100, left: 0, leavingLater: 100 } },
    ]);
    push(b, { groups, learners: leaving(50, '2026-11-30') });
    // That everybody leaves a year at its end is how a year ends.
    push(b, {
      groups,
      learners: leaving(50, '2026-11-30').map((one) => ({ ...one, leavesOn: one.leavesOn || '2027-07-31' })),
    });
    expect((await holdsOf(b)).holds).toEqual([]);
    b.advance(10 * day);
    expect(b.get(years, school, year)!.learners).toBe(50);
  });

  test('the threshold is a setting', async () => {
    const b = testBench(rostersWith({ holdThresholdPercent: 25 }), { now: start });
    push(b, whole);
    push(b, cut);
    expect((await holdsOf(b)).holds).toEqual([]);
    expect(b.events('LearnerLeft')).toHaveLength(20);
  });

  test('of any size never empties a school', async () => {
    const b = bench();
    push(b, { learners: pupils(3) });
    push(b, {});
    expect((await holdsOf(b)).holds).toMatchObject([{ reason: 'empty' }]);
  });
});

describe('a learner to be forgotten', () => {
  const forget = (b: TestBench, token: string, destroyAtMs = 9n) =>
    b.submit('LearnerForgetSubmitted', { schoolOin: school, learner: token, destroyAtMs, byOin }, token, { school });

  test('leaves every year, at once, and no roster brings it back', () => {
    const b = bench('2027-06-01T08:00:00Z');
    push(b, { learners: [learner('A', { leavesOn: '2027-07-01' }), learner('B')] });
    push(b, { schoolYear: '2027-2028', learners: [learner('A'), learner('B')] });
    const flowId = forget(b, 'A');
    expect(b.events('LearnerForgotten')).toMatchObject([
      { key: 'A', flowId, value: { schoolOin: school, destroyAtMs: 9n } },
    ]);
    expect(b.list(learnersTable, { equals: [school] }).map((row) => row.learner)).toEqual(['B', 'B']);
    expect(b.list(years, { equals: [school] }).map((row) => row.learners)).toEqual([1, 1]);
    b.clear();
    push(b, { learners: [learner('A'), learner('B')] });
    b.submit('LearnersSubmitted', { schoolOin: school, schoolYear: year, learners: [learner('A')] }, school, {
      school,
    });
    b.advance(60 * day);
    expect(b.events('LearnerJoined')).toEqual([]);
    expect(b.events('LearnerLeft')).toEqual([]);
  });
  test('asked again is destroyed no later, and sooner where that is asked', () => {
    const b = bench();
    for (const at of [50n, 90n, 20n]) forget(b, 'X', at);
    expect(b.events('LearnerForgotten').map(({ value }) => value.destroyAtMs)).toEqual([50n, 50n, 20n]);
  });
  test('whom no roster named is forgotten too, each time it is asked', () => {
    const b = bench();
    forget(b, 'X', 1n);
    forget(b, 'X', 0n);
    expect(b.events('LearnerForgotten')).toHaveLength(2);
  });
});

describe('a forgetting that is taken back', () => {
  const waits = (b: TestBench, token: string) =>
    b.submit(
      'LearnerForgetSubmitted',
      { schoolOin: school, learner: token, destroyAtMs: BigInt(b.now() + 3 * day), byOin },
      token,
      { school },
    );
  const keep = (b: TestBench, token: string) =>
    b.submit('LearnerKeepSubmitted', { schoolOin: school, learner: token, byOin }, token, { school });
  const told = (b: TestBench, since = b.now() - day) => reader(b).listForgetting({ sinceMs: BigInt(since), limit: 0 });

  test('puts the learner where it was, in every year, and the next roster moves it on', async () => {
    const b = bench('2027-06-01T08:00:00Z');
    push(b, { groups: [group('g1')], learners: [learner('A', { group: 'g1' }), learner('B')] });
    push(b, { schoolYear: '2027-2028', learners: [learner('A'), learner('B')] });
    const before = [learnersTable, years, scopes].map((table: Table<any>) => b.list(table, { equals: [school] }));
    waits(b, 'A');
    expect((await told(b)).forgetting).toMatchObject([{ learner: 'A', kept: false }]);
    b.advance(2 * day);
    b.clear();
    const flowId = keep(b, 'A');
    expect(b.events().map(({ name, key, flowId: of }) => [name, key, of])).toEqual([
      ['LearnerKept', 'A', flowId],
      ['LearnerJoined', 'A', flowId],
      ['LearnerJoined', 'A', flowId],
    ]);
    const still = (rows: readonly Record<string, unknown>[]) => rows.map(({ changedMs: _, ...row }) => row);
    expect(
      [learnersTable, years, scopes].map((table: Table<any>) => still(b.list(table, { equals: [school] }))),
    ).toEqual(before.map(still));
    expect((await told(b)).forgetting).toMatchObject([{ learner: 'A', kept: true }]);
    b.clear();
    push(b, { groups: [group('g1')], learners: [learner('A'), learner('B')] });
    expect(b.events('LearnerMoved')).toMatchObject([{ key: 'A' }]);
    // It can be forgotten again.
    waits(b, 'A');
    expect((await told(b)).forgetting).toMatchObject([{ learner: 'A', kept: false }]);
    b.advance(4 * day);
    expect(b.list(aside, { equals: [] })).toEqual([]);
  });
  test('who left meanwhile leaves', () => {
    const b = bench();
    push(b, { learners: [learner('A', { leavesOn: '2026-11-23' }), learner('B')] });
    waits(b, 'A');
    b.advance(2 * day);
    keep(b, 'A');
    b.run();
    expect(b.events('LearnerLeft')).toMatchObject([{ key: 'A' }]);
  });
  test('is refused to who does not wait, and within the last minutes', () => {
    const b = bench();
    push(b, { learners: [learner('A'), learner('B')] });
    keep(b, 'A');
    waits(b, 'A');
    b.advance(3 * day - 60_000);
    keep(b, 'A');
    expect(b.events('LearnerKeepRefused').map(({ value }) => value.code)).toEqual(['state.missing', 'state.conflict']);
    expect(b.events('LearnerKept')).toEqual([]);
  });
});

describe('many to be forgotten at once', () => {
  const wants = (b: TestBench, n: number) =>
    b.submit(
      'LearnerForgetSubmitted',
      { schoolOin: school, learner: `L${String(n).padStart(5, '0')}`, destroyAtMs: BigInt(b.now() + 3 * day), byOin },
      `L${String(n).padStart(5, '0')}`,
      { school },
    );
  test('are held from the eleventh on, all in one hold; approved, their hours begin', async () => {
    const b = testBench(rostersWith({ holdThresholdPercent: 10 }), { now: start });
    push(b, { learners: pupils(40) });
    const flows = Array.from({ length: 14 }, (_, n) => wants(b, n));
    wants(b, 13);
    expect(b.events('LearnerForgotten')).toHaveLength(10);
    expect(b.events('LearnerForgetHeld')).toHaveLength(5);
    const { holds } = await holdsOf(b);
    expect(holds).toMatchObject([{ reason: 'forgets_many', forgets: 4, state: 'waiting' }]);
    // A roster comes and goes beside it.
    push(b, { learners: pupils(40) });
    expect((await holdsOf(b)).holds).toHaveLength(1);
    b.advance(day);
    b.clear();
    decideHold(b, holds[0]!.holdId, true);
    expect(b.events('HoldDecided')).toMatchObject([{ value: { approved: true } }]);
    expect(b.events('LearnerForgotten').map(({ flowId, value }) => [flowId, Number(value.destroyAtMs)])).toEqual(
      flows.slice(10).map((flowId) => [flowId, b.now() + 3 * day]),
    );
    expect(b.list(years, { equals: [school] })).toMatchObject([{ learners: 26 }]);
    expect(b.list(scopes, { equals: [school, year] })).toMatchObject([{ learners: 26 }]);
    decideHold(b, holds[0]!.holdId, false);
    expect(b.events('RosterRefused')).toMatchObject([{ value: { code: 'state.conflict' } }]);
    expect(b.list(heldForgets, { equals: [] })).toEqual([]);
  });
  test('who comes while somebody looks is not decided with those who were seen', async () => {
    const b = bench();
    push(b, { learners: pupils(40) });
    for (let n = 0; n < 14; n++) wants(b, n);
    const [seen] = (await holdsOf(b)).holds;
    for (let n = 14; n < 20; n++) wants(b, n);
    expect((await holdsOf(b)).holds).toMatchObject([{ forgets: 10 }]);
    b.clear();
    decideHold(b, seen!.holdId, true);
    const told = (name: 'LearnerForgotten' | 'LearnerForgetHeld') => b.events(name).map(({ key }) => key);
    expect(told('LearnerForgotten')).toEqual(['L00010', 'L00011', 'L00012', 'L00013']);
    expect(told('LearnerForgetHeld')).toHaveLength(6);
    const { holds } = await holdsOf(b);
    expect(holds).toMatchObject([{ reason: 'forgets_many', forgets: 6, state: 'waiting' }]);
    // The one that was seen is decided; another look is another id.
    decideHold(b, seen!.holdId, true);
    expect(b.events('RosterRefused')).toMatchObject([{ value: { code: 'state.conflict' } }]);
    wants(b, 20);
    decideHold(b, holds[0]!.holdId, false);
    expect((await holdsOf(b)).holds).toMatchObject([{ forgets: 1 }]);
    decideHold(b, (await holdsOf(b)).holds[0]!.holdId, true);
    expect(told('LearnerForgotten')).toHaveLength(5);
    expect(b.list(heldForgets, { equals: [] })).toEqual([]);
    expect((await holdsOf(b, true)).holds.map(({ state, forgets }) => [state, forgets]).sort()).toEqual([
      ['approved', 1],
      ['approved', 4],
      ['rejected', 6],
    ]);
  });
  test('rejected, they are as before, and their flows say so', async () => {
    const b = bench();
    push(b, { learners: pupils(40) });
    for (let n = 0; n < 12; n++) wants(b, n);
    const [hold] = (await holdsOf(b)).holds;
    b.clear();
    decideHold(b, hold!.holdId, false);
    expect(b.events('LearnerForgotten')).toEqual([]);
    expect(b.events('RosterRefused').map(({ value }) => value.code)).toEqual(['hold.pending', 'hold.pending']);
    expect(b.list(learnersTable, { equals: [school] })).toHaveLength(30);
  });
  test('a large school may have more, and the next day begins anew', () => {
    const b = testBench(rostersWith({ holdThresholdPercent: 10 }), { now: start });
    push(b, { learners: pupils(200) });
    for (let n = 0; n < 25; n++) wants(b, n);
    expect([b.events('LearnerForgotten').length, b.events('LearnerForgetHeld').length]).toEqual([20, 5]);
    b.advance(day + 1);
    wants(b, 100);
    expect(b.events('LearnerForgotten')).toHaveLength(21);
  });
});

describe('the turn of the year', () => {
  const next = '2027-2028';
  const turn = (b: TestBench, more: { schoolYear?: string; onDay?: string } = {}) =>
    b.submit('SchoolYearTurnSubmitted', { schoolOin: school, schoolYear: next, onDay: '', byOin, ...more }, school, {
      school,
    });
  const running = async (b: TestBench) => (await page(b, { schoolYear: '' })).schoolYear;
  const preview = (b: TestBench, schoolYear = '') => reader(b).previewTurn({ schoolOin: school, schoolYear });
  const bothYears = (now: string): TestBench => {
    const b = bench('2027-02-01T08:00:00Z');
    push(b, { groups: [group('g'), group('h')], learners: pupils(30, { group: 'g' }) });
    b.advance(Date.parse(now) - b.now());
    push(b, { schoolYear: next, groups: [group('h'), group('i')], learners: pupils(28, { group: 'i' }) });
    b.clear();
    return b;
  };

  test('comes on 1 August in the Netherlands, once, and nobody leaves by it', async () => {
    const b = bothYears('2027-06-01T08:00:00Z');
    b.advance(Date.parse('2027-07-31T21:59:59Z') - b.now());
    expect([await running(b), names(b)]).toEqual([year, []]);
    b.advance(1_000);
    expect(b.events()).toMatchObject([
      {
        name: 'SchoolYearTurned',
        key: school,
        value: {
          schoolYear: next,
          yearBefore: year,
          cause: 'day',
          difference: {
            learnersBefore: 30,
            learnersAfter: 28,
            learnersStay: 28,
            groupsBefore: 2,
            groupsAfter: 2,
            groupsStay: 1,
          },
        },
      },
    ]);
    expect(await running(b)).toBe(next);
    expect((await page(b, { schoolYear: year })).learners).toHaveLength(30);
    push(b, { schoolYear: next, groups: [group('h'), group('i')], learners: pupils(28, { group: 'i' }) });
    b.advance(90 * day);
    expect(b.events('SchoolYearTurned')).toHaveLength(1);
  });

  test('that does not come on its day is listed with why, until it came', async () => {
    const waiting = (b: TestBench, limit = 0) => reader(b).listTurns({ schoolOin: '', limit });
    const b = bench('2027-02-01T08:00:00Z');
    push(b, { groups: [group('g')], learners: pupils(30, { group: 'g' }) });
    b.advance(Date.parse('2027-07-31T21:59:59Z') - b.now());
    expect(await waiting(b)).toEqual({ turns: [], total: 0 });
    b.advance(1_000);
    const late = { schoolOin: school, running: year, schoolYear: next, onDay: '2027-08-01' };
    expect(await waiting(b)).toEqual({ turns: [{ ...late, why: 'no_roster' }], total: 1 });
    expect((await reader(b).listTurns({ schoolOin: '0000000700075ZZ00000', limit: 0 })).total).toBe(0);
    push(b, { schoolYear: next, groups: [group('i')], learners: pupils(12, { group: 'i' }) });
    b.advance(1_000);
    expect(await waiting(b)).toEqual({ turns: [{ ...late, why: 'cut_off' }], total: 1 });
    turn(b);
    expect(await running(b)).toBe(next);
    expect(await waiting(b)).toEqual({ turns: [], total: 0 });
  });

  test('is asked from May on, seen before, and taken back; then it comes on its day', async () => {
    const b = bothYears('2027-06-01T08:00:00Z');
    expect(await preview(b)).toMatchObject({
      running: year,
      schoolYear: next,
      onDay: '2027-08-01',
      code: '',
      waits: '',
    });
    turn(b);
    expect([await running(b), b.restart() && (await running(b))]).toEqual([next, next]);
    // Who asks for no year is told of all of it, though nothing in it changed but in the millisecond before.
    expect((await page(b, { schoolYear: '' })).changedMs).toBe(BigInt(b.now() + 1));
    expect((await reader(b).getLearners({ schoolOin: school, schoolYear: '', learners: ['L00001'] })).schoolYear).toBe(
      next,
    );
    b.advance(day);
    turn(b, { schoolYear: year });
    expect(await running(b)).toBe(year);
    b.advance(90 * day);
    expect(b.events('SchoolYearTurned').map(({ value }) => value.cause)).toEqual(['asked', 'back', 'day']);
  });

  test('is put off to a day', async () => {
    const b = bothYears('2027-06-01T08:00:00Z');
    turn(b, { onDay: '2027-08-23' });
    expect(b.events().map(({ name }) => name)).toEqual(['SchoolYearTurnPlanned']);
    expect(await preview(b)).toMatchObject({ onDay: '2027-08-23', planned: true });
    b.advance(Date.parse('2027-08-22T21:59:59Z') - b.now());
    push(b, { schoolYear: next, groups: [group('h'), group('i')], learners: pupils(29, { group: 'i' }) });
    expect(await running(b)).toBe(year);
    // Learners named for no year are in the one that the school is in.
    b.submit('LearnersSubmitted', { schoolOin: school, schoolYear: '', learners: [learner('N')], byOin }, school, {
      school,
    });
    expect(b.events('LearnerJoined').at(-1)!.value.schoolYear).toBe(year);
    b.advance(1_000);
    expect(await running(b)).toBe(next);
  });

  test('waits for a roster that comes later, and for one that looks cut off until somebody asks', async () => {
    const b = bench('2027-02-01T08:00:00Z');
    push(b, { learners: pupils(30) });
    b.advance(200 * day);
    expect([dutch(b), await running(b)]).toEqual(['2027-08', year]);
    push(b, { schoolYear: next, learners: pupils(14) });
    expect([await running(b), (await preview(b)).waits]).toEqual([year, 'cut_off']);
    push(b, { schoolYear: next, learners: pupils(15) });
    expect(await running(b)).toBe(next);
    const c = bench('2027-02-01T08:00:00Z');
    push(c, { learners: pupils(30) });
    c.advance(200 * day);
    push(c, { schoolYear: next, learners: pupils(14) });
    turn(c);
    expect(await running(c)).toBe(next);
  });

  test('waits for each site, and for a roster that is held', async () => {
    const b = bench('2027-02-01T08:00:00Z');
    for (const siteCode of ['01', '02'])
      push(b, { siteCode, learners: pupils(30).map((l) => ({ ...l, learner: `${siteCode}${l.learner}` })) });
    b.advance(200 * day);
    push(b, {
      schoolYear: next,
      siteCode: '01',
      learners: pupils(40).map((l) => ({ ...l, learner: `01${l.learner}` })),
    });
    expect([await running(b), (await preview(b)).waits]).toEqual([year, 'leaves_out_site']);
    expect((await preview(b)).sites).toEqual([
      { siteCode: '01', before: 30, after: 40 },
      { siteCode: '02', before: 30, after: 0 },
    ]);
    push(b, {
      schoolYear: next,
      siteCode: '01',
      learners: pupils(5).map((l) => ({ ...l, learner: `01${l.learner}` })),
    });
    push(b, {
      schoolYear: next,
      siteCode: '02',
      learners: pupils(30).map((l) => ({ ...l, learner: `02${l.learner}` })),
    });
    expect([await running(b), (await preview(b)).code]).toEqual([year, 'hold.pending']);
    const [hold] = (await holdsOf(b)).holds;
    decideHold(b, hold!.holdId, false);
    push(b, {
      schoolYear: next,
      siteCode: '02',
      learners: pupils(31).map((l) => ({ ...l, learner: `02${l.learner}` })),
    });
    expect(await running(b)).toBe(next);
  });

  test('comes once the roster that stood in its way is rejected, or the site that it waited for is gone', async () => {
    const b = bothYears('2027-06-01T08:00:00Z');
    push(b, { schoolYear: next, groups: [group('h'), group('i')], learners: pupils(5) });
    b.advance(Date.parse('2027-08-03T08:00:00Z') - b.now());
    expect([await running(b), (await preview(b)).code]).toEqual([year, 'hold.pending']);
    const [hold] = (await holdsOf(b)).holds;
    decideHold(b, hold!.holdId, false);
    expect(await running(b)).toBe(next);

    const c = bench('2027-02-01T08:00:00Z');
    push(c, { siteCode: '01', learners: pupils(30) });
    push(c, { siteCode: '02', learners: [learner('X')] });
    c.advance(Date.parse('2027-06-01T08:00:00Z') - c.now());
    push(c, { schoolYear: next, siteCode: '01', learners: pupils(30) });
    c.advance(Date.parse('2027-08-03T08:00:00Z') - c.now());
    expect([await running(c), (await preview(c)).waits]).toEqual([year, 'leaves_out_site']);
    push(c, { siteCode: '02', learners: [] });
    decideHold(c, (await holdsOf(c)).holds[0]!.holdId, true);
    expect(await running(c)).toBe(next);
  });

  test('is told as a change to who asks for no year, whatever the clock does', async () => {
    const b = bothYears('2027-06-01T08:00:00Z');
    const { changedMs } = await page(b, { schoolYear: '' });
    const of = await page(b, { schoolYear: next });
    b.advance(-3_600_000);
    turn(b);
    const turned = await page(b, { schoolYear: '' });
    expect(turned.changedMs).toBeGreaterThan(changedMs > of.changedMs ? changedMs : of.changedMs);
    push(b, { schoolYear: next, groups: [group('h'), group('i')], learners: pupils(29, { group: 'i' }) });
    expect((await page(b, { schoolYear: '' })).changedMs).toBeGreaterThan(turned.changedMs);
  });

  test('refused, in its own flow', () => {
    const b = bothYears('2027-04-01T08:00:00Z');
    const flowId = turn(b);
    expect(b.events()).toMatchObject([{ name: 'SchoolYearTurnRefused', flowId, value: { code: 'state.conflict' } }]);
  });

  const dutch = (b: TestBench): string => new Date(b.now()).toISOString().slice(0, 7);
});

describe('learners named outside a roster', () => {
  test('join the running year where none is named, and have an outcome', () => {
    const b = bench();
    const flowId = b.submit(
      'LearnersSubmitted',
      { schoolOin: school, schoolYear: '', learners: [learner('A')], byOin },
      school,
      { school },
    );
    expect(b.events('RosterApplied')).toMatchObject([
      { flowId, value: { rosterId: '', schoolYear: year, difference: { joined: 1 } } },
    ]);
    push(b, { learners: [learner('A'), learner('B')] });
    expect(b.events('LearnerJoined').map(({ key }) => key)).toEqual(['A', 'B']);
  });
});

describe('two tokens of one learner', () => {
  const groups = [group('g'), group('h'), group('i')];
  const [a, bb, c] = [learner('A', { group: 'g' }), learner('B', { group: 'h' }), learner('C', { group: 'i' })];
  const whoIsThere = async (b: TestBench, schoolYear = year) =>
    (await page(b, { schoolYear })).learners.map(({ learner, group }) => `${learner} ${group}`);

  test('are one in every year, also where an administration goes on naming both', async () => {
    const b = bench();
    push(b, { schoolYear: '2025-2026', groups, learners: [bb, c] });
    push(b, { groups, learners: [a, bb, c] });
    merge(b, 'A', 'B');
    // Where the first was not, it is where the second was.
    expect(await whoIsThere(b, '2025-2026')).toEqual(['A h', 'C i']);
    expect(await whoIsThere(b)).toEqual(['A g', 'C i']);
    // By the vault both numbers lead to the first from then on; what was under way names the second.
    for (const named of [
      [a, { ...bb, learner: 'A' }, c],
      [{ ...bb, learner: 'A' }, a, bb, c],
      [bb, c],
    ]) {
      push(b, { groups, learners: named });
      expect(b.events('RosterRefused')).toEqual([]);
      expect(await whoIsThere(b)).toEqual([`A ${named[0]!.group}`, 'C i']);
    }
    // Twice in a roster without a reason is still refused.
    push(b, { groups, learners: [a, c, c] });
    expect(b.events('RosterRefused')).toHaveLength(1);
  });

  test('that wait for a second person keep no school in its year', () => {
    const b = bench('2026-08-10T10:00:00Z');
    push(b, { schoolYear: '2025-2026', groups, learners: [a, bb, c] });
    b.submit('LearnersMergeSubmitted', { schoolOin: school, winner: 'A', loser: 'B', byOin, byPerson: 'a' }, school, {
      school,
    });
    push(b, { groups, learners: [a, bb, c] });
    expect(b.events('SchoolYearTurned').map(({ value }) => value.schoolYear)).toEqual([year]);
  });

  test('undone: each is where it was, and nobody is told of anyone else', async () => {
    const b = bench();
    push(b, { groups, learners: [bb, c] });
    merge(b, 'A', 'B');
    expect(await whoIsThere(b)).toEqual(['A h', 'C i']);
    const told = b.events().length;
    part(b, 'A', 'B');
    expect(await whoIsThere(b)).toEqual(['B h', 'C i']);
    expect(
      b
        .events()
        .slice(told)
        .map(({ name, key }) => `${name} ${key}`),
    ).toEqual(['LearnersMergeUndone B', 'LearnerLeft A', 'LearnerJoined B']);
    part(b, 'A', 'B');
    expect(b.events('LearnersMergeRefused').at(-1)!.value).toMatchObject({ code: 'state.missing' });
  });

  test('can be undone for thirty days', async () => {
    const b = bench();
    push(b, { groups, learners: [a, bb, c] });
    merge(b, 'A', 'B');
    b.advance(30 * day + 1);
    part(b, 'A', 'B');
    expect(b.events('LearnersMergeRefused').at(-1)!.value).toMatchObject({ code: 'state.conflict' });
    expect(await whoIsThere(b)).toEqual(['A g', 'C i']);
  });

  test('change what the groups of both look like, and no other', async () => {
    const b = bench();
    push(b, { groups, learners: [a, bb, c] });
    const first = b.now();
    const of = async (one: string) =>
      Number(
        (
          await reader(b).getLastChange({
            schoolOin: school,
            schoolYear: year,
            siteCode: '',
            kinds: ['learner'],
            groups: [one],
            noBase: false,
            noComposite: false,
          })
        ).changedMs,
      );
    for (const change of [() => merge(b, 'A', 'B'), () => void part(b, 'A', 'B')]) {
      b.advance(60_000);
      change();
      // One after the other, so that none has the moment of the one before.
      const moments = [await of('g'), await of('h')];
      for (const moment of moments) expect(moment - b.now()).toBeOneOf([0, 1, 2]);
      expect(await of('i')).toBe(first);
      const seen = Number((await page(b)).changedMs);
      expect(seen).toBe(Math.max(...moments));
      b.advance(60_000);
      expect(Math.max(await of('g'), await of('h'))).toBe(seen);
    }
  });

  test('forgotten, what rosters said of the second goes with the learner, and stays when it is kept', () => {
    const b = bench();
    push(b, { groups, learners: [a, bb, c] });
    merge(b, 'A', 'B');
    const held = () => b.get(merges, school, 'B')!.held.length;
    const forget = () =>
      b.submit(
        'LearnerForgetSubmitted',
        { schoolOin: school, learner: 'A', destroyAtMs: BigInt(b.now() + 3 * day) },
        'A',
        {
          school,
        },
      );
    forget();
    expect(b.events('LearnerForgotten').map(({ key }) => key)).toEqual(['A', 'B']);
    b.submit('LearnerKeepSubmitted', { schoolOin: school, learner: 'A' }, 'A', { school });
    b.advance(4 * day);
    expect(held()).toBe(1);
    forget();
    expect(held()).toBe(1);
    b.advance(3 * day);
    expect(held()).toBe(0);
  });
});

describe('retention', () => {
  test('a year goes after it was the previous one; nobody is told that anyone left', () => {
    const b = bench();
    push(b, {
      groups: [group('g')],
      learners: pupils(2_500, { group: 'g' }),
      staff: [{ staff: 'T', groups: [], duties: [], nameMark: new Uint8Array(0), siteCodes: [] }],
    });
    b.submit('LearnerForgetSubmitted', { schoolOin: school, learner: 'X', destroyAtMs: 0n }, 'X', { school });
    b.advance(Date.parse('2028-07-31T21:59:59Z') - b.now());
    expect(b.get(years, school, year)!.learners).toBe(2_500);
    b.advance(1_000);
    for (const table of [years, learnersTable, groupsTable, staffTable] as Table[])
      expect(b.list(table, { equals: [school] })).toEqual([]);
    expect(b.events('LearnerLeft')).toEqual([]);
    expect(b.list(forgotten, { equals: [school] })).toHaveLength(1); // Kept a little longer than any roster.
  });
  test('a file of a year long past is kept thirty days', () => {
    const b = bench();
    push(b, { schoolYear: '2019-2020', learners: [learner('A')] });
    b.advance(29 * day);
    expect(b.get(years, school, '2019-2020')).toBeDefined();
    b.advance(day);
    expect(b.get(years, school, '2019-2020')).toBeUndefined();
  });
});

describe('answers', () => {
  test('a roster comes in pages; groups, sites and staff on the first', async () => {
    const b = bench();
    push(b, {
      asOf: '2026-11-20',
      groups: [group('g')],
      sites: [{ site: 's', name: 'n', description: '' }],
      learners: pupils(5, { group: 'g' }),
      staff: [
        {
          staff: 'T',
          groups: [{ group: 'g', duties: ['LRK'] }],
          duties: [],
          nameMark: Buffer.from('x'),
          siteCodes: [],
        },
      ],
    });
    const first = await page(b, { limit: 2 });
    expect(first).toMatchObject({ known: true, asOf: '2026-11-20', changedMs: BigInt(b.now()), next: 'L00001' });
    expect([first.groups, first.sites, first.staff, first.learners].map(({ length }) => length)).toEqual([1, 1, 1, 2]);
    expect(first.learners[0]).toEqual(learner('L00000', { group: 'g' }));
    const second = await page(b, { limit: 2, after: first.next });
    expect([second.groups, second.sites, second.staff, second.learners].map(({ length }) => length)).toEqual([
      0, 0, 0, 2,
    ]);
    const third = await page(b, { limit: 2, after: second.next });
    expect([third.learners.length, third.next]).toEqual([1, '']);
    expect(await page(b, { schoolYear: '' })).toMatchObject({ known: true }); // The running year.
    expect(await page(b, { schoolYear: '2027-2028' })).toMatchObject({ known: false, learners: [] });
  });
  test('of one site: those its rosters name, and every group that one of them is in', async () => {
    const b = bench();
    const tokens = (answer: { learners: LearnerEntry[] }) => answer.learners.map(({ learner: token }) => token);
    push(b, { siteCode: '01', groups: [group('g')], learners: pupils(500, { group: 'g' }) });
    push(b, {
      siteCode: '02',
      groups: [group('h')],
      sites: [{ site: 's', name: 'n', description: '' }],
      learners: ['M', 'N'].map((token) => learner(token, { group: 'h' })),
      staff: [
        { staff: 'T', groups: [{ group: 'h', duties: [] }], duties: [], nameMark: Buffer.from('x'), siteCodes: [] },
      ],
    });
    // Named outside a roster: at the site of its roster, or at none, in whatever group.
    const added = ['M', 'O'].map((token) => learner(token, { group: 'g' }));
    b.submit('LearnersSubmitted', { schoolOin: school, schoolYear: year, learners: added }, school, { school });
    const two = await page(b, { siteCode: '02' });
    expect(tokens(two)).toEqual(['M', 'N']);
    expect(two.groups.map((one) => one.group)).toEqual(['g', 'h']);
    expect([two.staff.length, two.sites.length]).toEqual([1, 1]);
    const main = await page(b, { siteCode: '00' });
    expect([tokens(main), main.groups.map((one) => one.group), main.staff]).toEqual([['O'], ['g'], []]);
    expect(await page(b, { siteCode: '03' })).toMatchObject({ known: false });
    let found = 0;
    for (let after = ''; ; ) {
      const { learners, next } = await page(b, { siteCode: '01', limit: 170, after });
      found += learners.length;
      if (next === '') break;
      expect(learners).toHaveLength(170);
      after = next;
    }
    expect(found).toBe(500);
  });

  test('learners by token, schools and years', async () => {
    const b = bench();
    push(b, { groups: [group('g')], learners: [learner('A'), learner('B')] });
    expect(
      (await reader(b).getLearners({ schoolOin: school, schoolYear: year, learners: ['B', 'X'] })).learners.map(
        (l) => l.learner,
      ),
    ).toEqual(['B']);
    const all = await reader(b).listSchools({ schoolOin: '' });
    expect(all.rosters).toEqual([
      {
        schoolOin: school,
        schoolYear: year,
        learners: 2,
        groups: 1,
        changedMs: BigInt(b.now()),
        sites: [
          { siteCode: '', administration: '', learners: 2, seenMs: BigInt(b.now()), madeMs: 0n, byOin, endedMs: 0n },
        ],
        running: true,
      },
    ]);
    expect(await reader(b).listSchools({ schoolOin: school })).toEqual(all);
  });
});

describe('any sequence', () => {
  const tokens = ['A', 'B', 'C', 'D', 'E'];
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('roster' as const),
        named: fc.subarray(tokens, { minLength: 1 }),
        group: fc.constantFrom('g', 'h'),
        site: fc.constantFrom('', '00', '01', '02', '02/00003'),
        leavesOn: fc.constantFrom('', '2026-11-23', '2026-11-01'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('forget' as const),
        token: fc.constantFrom(...tokens),
        waits: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('keep' as const), token: fc.constantFrom(...tokens) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('add' as const), token: fc.constantFrom(...tokens) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom('merge' as const, 'part' as const),
        winner: fc.constantFrom(...tokens),
        loser: fc.constantFrom(...tokens),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('day' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const) }) },
  );
  const approve = (b: TestBench, holdId: string) =>
    b.submit('HoldDecisionSubmitted', { schoolOin: school, holdId, approve: true, byOin, byPerson: 'b' }, school, {
      school,
    });
  test('of rosters, days, namings, forgettings, merges, what is taken back and restarts: events fold to the rows', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let b = bench();
        for (const one of steps) {
          if (one.type === 'roster')
            push(b, {
              siteCode: one.site.slice(0, 2),
              administration: one.site.slice(3),
              groups: [group(one.group)],
              learners: one.named.map((token) => learner(token, { group: one.group, leavesOn: one.leavesOn })),
            });
          else if (one.type === 'forget')
            b.submit(
              'LearnerForgetSubmitted',
              { schoolOin: school, learner: one.token, destroyAtMs: one.waits ? BigInt(b.now() + 3 * day) : 0n },
              one.token,
              { school },
            );
          else if (one.type === 'keep')
            b.submit('LearnerKeepSubmitted', { schoolOin: school, learner: one.token }, one.token, { school });
          else if (one.type === 'add')
            b.submit(
              'LearnersSubmitted',
              { schoolOin: school, schoolYear: year, learners: [learner(one.token)] },
              school,
              { school },
            );
          else if (one.type === 'merge' || one.type === 'part') {
            const two = { schoolOin: school, winner: one.winner, loser: one.loser, byOin };
            if (one.type === 'part') b.submit('LearnersMergeUndoSubmitted', two, school, { school });
            else {
              b.submit('LearnersMergeSubmitted', { ...two, byPerson: 'a' }, school, { school });
              const held = b.events('LearnersMergeHeld').at(-1)?.value;
              if (held) approve(b, held.holdId);
            }
          } else if (one.type === 'day') b.advance(day);
          else b = b.restart();
        }
        const members = new Map<string, string>();
        for (const { name, key, value } of b.events()) {
          if (name === 'LearnerJoined') expect(members.has(key)).toBe(false);
          if (name === 'LearnerLeft') expect(members.has(key)).toBe(true);
          if (name === 'LearnerJoined' || name === 'LearnerMoved')
            members.set(key, (value as { learner: LearnerEntry }).learner.group);
          if (name === 'LearnerLeft' || name === 'LearnerForgotten') members.delete(key);
        }
        const rows = b.list(learnersTable, { equals: [school, year] });
        expect(new Map(rows.map((row) => [row.learner, row.baseGroup]))).toEqual(members);
        expect(b.get(years, school, year)?.learners ?? 0).toBe(members.size);
        // What a scope counts is what rows say of it; nobody is in a group that is not there.
        const open = new Set(b.list(groupsTable, { equals: [school, year] }).map(({ groupToken }) => groupToken));
        expect(b.get(years, school, year)?.groups ?? 0).toBe(open.size);
        const named = new Map<string, number>();
        for (const row of rows)
          for (const { scope, entry } of claimsOfLearner(row)) {
            named.set(scope, (named.get(scope) ?? 0) + 1);
            expect(entry.group === '' || open.has(entry.group)).toBe(true);
          }
        for (const row of b.list(scopes, { equals: [school, year] }))
          expect([scopeWord(row), row.learners]).toEqual([scopeWord(row), named.get(scopeWord(row)) ?? 0]);
        // Who was merged is in no roster under that token.
        for (const { loser, undone } of b.list(merges, { equals: [school] }))
          if (!undone) expect(members.has(loser)).toBe(false);
        expect(b.parked()).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a whole school that is forgotten', () => {
  const HOURS = 72 * 3_600_000;
  const before = '2025-2026';
  const standing = (b: TestBench, change: string, destroyAtMs: number) =>
    b.submit(
      'PartyStandingChanged',
      PartyStandingChanged.fromPartial({
        oin: school,
        change,
        standing: { forgetting: { schoolOin: school, state: change, destroyAtMs: BigInt(destroyAtMs) } },
      }),
      school,
      { school },
    );
  const rows = (b: TestBench) => b.list(learnersTable, { equals: [school] }).map(({ changedMs: _, ...row }) => row);
  const filled = () => {
    const b = bench();
    push(b, { schoolYear: before, groups: [group('g')], learners: pupils(120, { group: 'g' }) });
    push(b, { groups: [group('g')], learners: pupils(230, { group: 'g', leavesOn: '2027-01-31' }), siteCode: '' });
    return b;
  };

  test('forgets each learner of each year, holds nothing, and puts all back as it was when it is kept', () => {
    const b = filled();
    // One was asked to be forgotten by itself, and stays so.
    b.submit(
      'LearnerForgetSubmitted',
      { schoolOin: school, learner: 'L00007', destroyAtMs: BigInt(b.now() + HOURS), byOin },
      'L00007',
      { school },
    );
    const was = rows(b);
    standing(b, 'waits', b.now() + HOURS);
    b.run();
    expect(rows(b)).toEqual([]);
    expect(b.events('LearnerForgetHeld')).toEqual([]);
    expect(new Set(b.events('LearnerForgotten').map(({ value }) => value.learner)).size).toBe(230);
    expect(b.list(years, { equals: [school] }).map(({ learners }) => learners)).toEqual([0, 0]);
    standing(b, 'kept', b.now() + HOURS);
    b.run();
    expect(rows(b)).toEqual(was);
    expect(b.events('LearnerKept')).toHaveLength(229);
    expect(b.events('LearnerKept').map(({ value }) => value.learner)).not.toContain('L00007');
    expect(b.list(years, { equals: [school] }).map(({ learners }) => learners)).toEqual([119, 229]);
    // Kept is kept: at the hour nothing happens, and who leaves leaves.
    b.advance(HOURS + day);
    expect(rows(b)).toEqual(was);
    b.advance(100 * day);
    expect(b.events('LearnerLeft').length).toBeGreaterThanOrEqual(229);
  });

  test('takes every token of a learner along, and brings them back', () => {
    const b = filled();
    merge(b, 'L00000', 'L00001');
    const was = rows(b);
    standing(b, 'waits', b.now() + HOURS);
    b.run();
    expect(new Set(b.events('LearnerForgotten').map(({ value }) => value.learner)).size).toBe(230);
    standing(b, 'kept', b.now() + HOURS);
    b.run();
    expect(rows(b)).toEqual(was);
    expect(b.events('LearnerKept').map(({ value }) => value.learner)).toContain('L00001');
  });

  test('that is kept before everyone was reached opens whom it had closed', () => {
    const b = filled();
    const was = rows(b);
    standing(b, 'waits', b.now() + HOURS);
    standing(b, 'kept', b.now() + HOURS);
    b.run();
    expect(rows(b)).toEqual(was);
    expect(b.list(aside, { equals: [school] })).toEqual([]);
  });

  test('leaves at its hour nothing of rosters, of whoever came meanwhile neither; the marks stay', () => {
    const b = filled();
    push(b, { rosterId: 'open', part: 0, last: false, learners: pupils(3) });
    const hour = b.now() + HOURS;
    standing(b, 'waits', hour);
    b.run();
    b.submit('LearnersSubmitted', { schoolOin: school, schoolYear: year, learners: [learner('late')] }, school, {
      school,
    });
    expect(rows(b)).toHaveLength(1);
    b.advance(HOURS);
    standing(b, 'destroyed', hour);
    b.run();
    for (const table of [learnersTable, groupsTable, staffTable, scopes, years, parts, aside] as Table[])
      expect([table.name, b.list(table, { equals: [school] })]).toEqual([table.name, []]);
    expect(b.events('LearnerForgotten').at(-1)!.value).toMatchObject({ learner: 'late', destroyAtMs: BigInt(b.now()) });
    expect(b.list(forgotten, { equals: [school] })).toHaveLength(231);
    // Forgotten another time and kept, nobody who was destroyed is brought back.
    standing(b, 'kept', b.now() + HOURS);
    b.run();
    expect(b.events('LearnerKept')).toEqual([]);
  });
});
