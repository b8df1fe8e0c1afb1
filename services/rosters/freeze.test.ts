/** What a freeze holds of a school: rosters that take away or rename, and changes of schools. Everything else passes. */
import { describe, expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { Freeze } from '#proto/eduk/core/v1/party';
import {
  type GroupEntry,
  LearnerEntry,
  type RosterSubmitted,
  SchoolChangeSubmitted,
} from '#proto/eduk/events/v1/rosters';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { rosters } from './index.ts';
import { heldParts } from './tables.ts';

const school = '0000000700099XX00000';
const toSchoolOin = '0000000700099YY00000';
const year = '2026-2027';
const byOin = '00000001000000000001';
const HOUR = 3_600_000;
const start = '2027-05-10T06:00:00Z';

const learner = (token: string, more: Partial<LearnerEntry> = {}): LearnerEntry =>
  LearnerEntry.fromPartial({ learner: token, yearGroup: '5', nameMark: Uint8Array.of(97), ...more });
const group = (token: string, name = `n-${token}`): GroupEntry => ({
  group: token,
  name,
  description: '',
  yearGroup: '5',
  composite: false,
  siteCodes: [],
});
const pupils = (count: number): LearnerEntry[] => Array.from({ length: count }, (_, i) => learner(`L${i}`));

function opened() {
  const b = testBench(rosters, { now: start });
  const reader = b.client(RostersServiceDefinition);
  let sent = 0;
  const push = (roster: Partial<RosterSubmitted>): string =>
    b.submit(
      'RosterSubmitted',
      { rosterId: `r${++sent}`, schoolOin: school, schoolYear: year, byOin, part: 0, last: true, ...roster },
      school,
      { school },
    );
  const freeze = (of: Partial<Freeze> = {}, change = 'set'): Freeze => {
    const times = { fromMs: BigInt(b.now()), untilMs: BigInt(b.now() + 48 * HOUR) };
    const value = Freeze.fromPartial({ freezeId: 'f', schoolOin: school, reason: 'exams', ...times, ...of });
    b.submit('FreezeChanged', { freeze: value, change, unchanged: false }, school);
    return value;
  };
  const end = (value: Freeze) => freeze({ ...value, endedMs: BigInt(b.now()) }, 'ended');
  const waiting = async () => (await reader.listHolds({ schoolOin: school, decided: false })).holds;
  const there = async () =>
    (await reader.getRoster({ schoolOin: school, schoolYear: year, limit: 0, after: '', siteCode: '' })).learners.map(
      (one) => one.learner,
    );
  const decide = (holdId: string, approve: boolean, byPerson = '', kinds: string[] = []) =>
    b.submit('HoldDecisionSubmitted', { schoolOin: school, holdId, approve, byOin, byPerson, kinds }, school, {
      school,
    });
  push({ groups: [group('g')], learners: pupils(40).map((one) => ({ ...one, group: 'g' })) });
  b.clear();
  return { b, reader, push, freeze, end, waiting, there, decide };
}
const outcomes = (b: TestBench) =>
  b.events().flatMap(({ name }) => (/^Roster(Held|Applied|Refused)$/.test(name) ? [name] : []));

describe('a roster, while a freeze of its school holds,', () => {
  const all = pupils(40).map((one) => ({ ...one, group: 'g' }));
  const others = all.slice(1);
  const groups = [group('g')];
  test.each<[string, Partial<RosterSubmitted>, string]>([
    ['that brings pupils and groups', { groups: [group('g'), group('h')], learners: [...all, learner('N')] }, ''],
    ['that says the same', { groups, learners: all }, ''],
    ['with a day of leaving to come', { groups, learners: [{ ...all[0]!, leavesOn: '2027-06-30' }, ...others] }, ''],
    ['that lacks a pupil', { groups, learners: others }, 'freeze'],
    [
      'with another name of a pupil',
      { groups, learners: [{ ...all[0]!, nameMark: Uint8Array.of(98) }, ...others] },
      'freeze',
    ],
    // What a person must look at anyway says so.
    ['with other names of all groups', { groups: [group('g', 'other')], learners: all }, 'renames_many'],
    ['without groups', { learners: pupils(40) }, 'truncated'],
  ])('%s', (_what, roster, reason) => {
    const it = opened();
    it.freeze();
    it.push(roster);
    expect(outcomes(it.b)).toEqual([reason === '' ? 'RosterApplied' : 'RosterHeld']);
    expect(it.b.events('RosterHeld')[0]?.value.reason ?? '').toBe(reason);
  });

  test('goes on by itself when that ends, in its own flow, and nobody has to say anything', async () => {
    const it = opened();
    it.freeze();
    const flowId = it.push({ groups: [group('g')], learners: all.slice(1) });
    it.b.advance(47 * HOUR);
    expect(await it.there()).toHaveLength(40);
    it.b.advance(HOUR);
    expect(await it.there()).toHaveLength(39);
    expect(it.b.events('RosterApplied')).toMatchObject([{ flowId }]);
    expect(it.b.events('LearnerLeft')).toHaveLength(1);
    expect([await it.waiting(), it.b.list(heldParts, { equals: [] })]).toEqual([[], []]);
    expect(it.b.events('HoldDecided')).toEqual([]);
  });

  test('whose pupils are new lets those in at once, night after night; who is missing leaves when it ends', async () => {
    const it = opened();
    it.freeze();
    const flowId = it.push({ groups: [...groups, group('h')], learners: [...others, learner('N', { group: 'h' })] });
    expect(await it.there()).toEqual(expect.arrayContaining(['L0', 'N']));
    expect(await it.waiting()).toMatchObject([{ reason: 'freeze', difference: { left: 1, joined: 0 } }]);
    it.b.advance(24 * HOUR);
    it.push({ groups: [...groups, group('h')], learners: [...others, learner('N', { group: 'h' }), learner('O')] });
    expect(await it.there()).toEqual(expect.arrayContaining(['L0', 'N', 'O']));
    expect(await it.waiting()).toMatchObject([{ reason: 'freeze', difference: { left: 1, joined: 0 } }]);
    it.b.advance(24 * HOUR);
    expect(await it.waiting()).toEqual([]);
    expect(await it.there()).toHaveLength(41);
    expect(await it.there()).not.toContain('L0');
    expect(it.b.events('LearnerLeft')).toHaveLength(1);
    expect(it.b.events('RosterApplied').filter((one) => one.flowId === flowId)).toHaveLength(1);
  });

  test('goes on when the last of those that overlap ends; at once when it is ended early', async () => {
    const it = opened();
    const first = it.freeze();
    it.freeze({ freezeId: 'all', schoolOin: '', untilMs: BigInt(it.b.now() + 72 * HOUR) });
    it.push({ groups: [group('g')], learners: all.slice(1) });
    it.end(first);
    it.b.advance(71 * HOUR);
    expect(outcomes(it.b)).toEqual(['RosterHeld']);
    it.b.advance(HOUR);
    expect(outcomes(it.b)).toEqual(['RosterHeld', 'RosterApplied']);
    const early = it.freeze({ freezeId: 'early' });
    it.push({ groups: [group('g')], learners: all.slice(2) });
    it.b.advance(HOUR);
    expect(await it.there()).toHaveLength(39);
    it.end(early);
    it.b.advance(0);
    expect(await it.there()).toHaveLength(38);
  });

  test('of another school or party is not held', () => {
    const it = opened();
    it.freeze({ schoolOin: toSchoolOin });
    it.freeze({ freezeId: 'f2', schoolOin: '', partyOin: '00000001000000000009' });
    it.push({ groups: [group('g')], learners: all.slice(1) });
    expect(outcomes(it.b)).toEqual(['RosterApplied']);
    it.freeze({ freezeId: 'f3', schoolOin: '', partyOin: byOin });
    it.push({ groups: [group('g')], learners: all.slice(2) });
    expect(outcomes(it.b)).toEqual(['RosterApplied', 'RosterHeld']);
  });

  test('is not approved before that ends; may be rejected', async () => {
    const it = opened();
    it.freeze();
    // Above the threshold, so that somebody must look at it besides.
    const flowId = it.push({ groups: [group('g')], learners: [...all.slice(10), learner('N')] });
    const { holdId, reason } = (await it.waiting())[0]!;
    expect(reason).toBe('removes_many');
    it.decide(holdId, true);
    expect(it.b.events('RosterRefused').at(-1)!.value).toMatchObject({ code: 'freeze.holds' });
    it.decide(holdId, true, '', ['joined', 'left']);
    expect(it.b.events('RosterRefused').at(-1)!.value).toMatchObject({ code: 'freeze.holds' });
    it.decide(holdId, true, '', ['joined']);
    expect([(await it.there()).length, (await it.waiting())[0]!.difference!.joined]).toEqual([41, 0]);
    it.b.advance(48 * HOUR);
    expect(await it.waiting()).toMatchObject([{ holdId, reason: 'removes_many' }]);
    it.decide(holdId, true);
    expect(it.b.events('RosterApplied')).toMatchObject([{ flowId }, { flowId }]);
    it.freeze({ freezeId: 'f2' });
    it.push({ groups: [group('g')], learners: all.slice(11) });
    it.decide((await it.waiting())[0]!.holdId, false);
    it.b.advance(72 * HOUR);
    expect(await it.there()).toHaveLength(31);
  });

  test('that would wait for approval by the time that it ends does so, as one that came then', async () => {
    const it = opened();
    it.freeze();
    it.push({ groups: [group('g')], learners: all.slice(4) });
    // More come meanwhile, whom it does not name.
    it.push({ partial: true, learners: Array.from({ length: 10 }, (_, i) => learner(`N${i}`)) });
    expect(outcomes(it.b)).toEqual(['RosterHeld', 'RosterApplied']);
    it.b.advance(48 * HOUR);
    expect(await it.waiting()).toMatchObject([{ reason: 'removes_many', difference: { left: 14 } }]);
    expect(await it.there()).toHaveLength(50);
  });

  test('that is overtaken by a newer one is no longer waited for', async () => {
    const it = opened();
    it.freeze();
    it.push({ groups: [group('g')], learners: all.slice(1), madeAt: '2027-05-10T05:00:00Z' });
    it.push({ groups: [group('g')], learners: [...all, learner('N')], madeAt: '2027-05-10T05:30:00Z' });
    expect(outcomes(it.b)).toEqual(['RosterHeld', 'RosterRefused', 'RosterApplied']);
    it.b.advance(48 * HOUR);
    expect(await it.there()).toHaveLength(41);
  });
});

describe('a change of schools', () => {
  const planned = (it: ReturnType<typeof opened>, onDay: string) => {
    const asked = { schoolOin: school, toSchoolOin, onDay, whole: true, byOin: 'operator', byPerson: 'a' };
    it.b.submit('SchoolChangeSubmitted', SchoolChangeSubmitted.fromPartial(asked), school, { school });
    const { changeId } = it.b.events('SchoolChangeHeld').at(-1)!.value;
    it.decide(changeId, true, 'b');
    return async () =>
      (await it.reader.listSchoolChanges({ schoolOin: school, underWay: false })).changes.map(
        ({ state, frozenUntilMs }) => [state, Number(frozenUntilMs)],
      );
  };

  test.each([
    ['the school that they leave', school],
    ['the one where they go on', toSchoolOin],
  ])('whose day comes while a freeze of %s holds begins when that ends', async (_of, schoolOin) => {
    const it = opened();
    const standing = planned(it, '2027-05-11');
    const { untilMs } = it.freeze({ schoolOin });
    expect(await standing()).toEqual([['planned', 0]]);
    it.b.advance(24 * HOUR);
    expect(await standing()).toEqual([['planned', Number(untilMs)]]);
    it.b.advance(24 * HOUR);
    expect(await standing()).toEqual([['under_way', 0]]);
  });

  test('begins at once where that is ended early, and not before its day', async () => {
    const it = opened();
    const soon = planned(it, '2027-05-11');
    const value = it.freeze();
    it.b.advance(24 * HOUR);
    it.end(value);
    it.b.advance(0);
    expect(await soon()).toEqual([['under_way', 0]]);
    const other = opened();
    const later = planned(other, '2027-06-11');
    other.end(other.freeze());
    other.b.advance(24 * HOUR);
    expect(await later()).toEqual([['planned', 0]]);
    other.b.advance(40 * 24 * HOUR);
    expect(await later()).toEqual([['under_way', 0]]);
  });
});
