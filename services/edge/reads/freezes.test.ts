import { describe, expect, test } from 'vitest';
import { type FreezeFact, startOfDutchDay } from '#kernel';
import { ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import { ChangeHold } from '#proto/eduk/entitlements/v1/entitlements';
import { Hold, SchoolChange } from '#proto/eduk/rosters/v1/rosters';
import { goesOnMs, isBeside, type Work, wouldGoOn, wouldStop } from './freezes.ts';

const [SENDER, RECEIVER] = ['00000001000000000001', '00000001000000000002'];
const [SCHOOL, OTHER] = ['0000000700099ZX00000', '0000000700099YY00000'];

const freeze = (freezeId: string, of: Partial<FreezeFact>, from: string, until: string): FreezeFact => ({
  ...{ freezeId, schoolOin: '', partyOin: '', endedMs: 0, reason: freezeId },
  fromMs: startOfDutchDay(from),
  untilMs: startOfDutchDay(until),
  ...of,
});
const replay = (jobId: string, schoolOin = '', of: Partial<ReplayJob> = {}) =>
  ReplayJob.fromPartial({
    ...{ jobId, state: 'running', toSend: 50n, released: 10n },
    selection: { schoolOin, partyOin: RECEIVER },
    ...of,
  });
const change = (changeId: string, onDay: string, of: Partial<SchoolChange> = {}) =>
  SchoolChange.fromPartial({
    changeId,
    state: 'planned',
    schoolOin: OTHER,
    toSchoolOin: SCHOOL,
    onDay,
    waiting: 3,
    ...of,
  });
const ids = (works: readonly { id: string }[]) => works.map(({ id }) => id);

describe('a freeze that is set', () => {
  const asked = freeze('', { schoolOin: SCHOOL }, '2027-05-10', '2027-05-28');

  test('stops what runs and is planned within it, of whom it is about', () => {
    const work = {
      replays: [replay('of-it', SCHOOL), replay('of-many'), replay('counted', SCHOOL, { state: 'counted' })],
      changes: [
        change('within', '2027-05-15'),
        change('after', '2027-08-01'),
        change('over', '2027-05-15', { state: 'done' }),
      ],
    };
    expect(wouldStop(asked, work)).toMatchObject([
      { kind: 'replay', id: 'of-it', count: 40n },
      { kind: 'school_change', id: 'within', count: 3n, onDay: '2027-05-15' },
    ]);
    expect(ids(wouldStop(freeze('', {}, '2027-05-03', '2027-05-05'), work))).toEqual(['of-it', 'of-many']);
  });

  test('goes on with others that hold for the same', () => {
    const all = [
      freeze('around', {}, '2027-05-20', '2027-06-10'),
      // What others do there goes on before it ends.
      freeze('of-one-party-there', { schoolOin: SCHOOL, partyOin: RECEIVER }, '2027-05-20', '2027-07-01'),
      freeze('over-by-then', {}, '2027-05-03', '2027-05-10'),
      freeze('elsewhere', { schoolOin: OTHER }, '2027-05-03', '2027-07-10'),
      freeze('later', {}, '2027-06-20', '2027-06-21'),
    ];
    expect(goesOnMs(asked, all)).toBe(startOfDutchDay('2027-06-10'));
    expect(all.filter((one) => isBeside(asked, one)).map(({ freezeId }) => freezeId)).toEqual([
      'around',
      'of-one-party-there',
    ]);
  });
});

describe('a freeze that is ended', () => {
  const nowMs = startOfDutchDay('2027-05-12');
  const ofSchool = freeze('of-school', { schoolOin: SCHOOL }, '2027-05-10', '2027-05-28');
  const ofParty = freeze('of-party', { partyOin: RECEIVER }, '2027-05-10', '2027-05-20');
  const toCome = freeze('to-come', {}, '2027-05-15', '2027-05-20');
  const hold = { schoolOin: SCHOOL, byOin: SENDER, reason: 'freeze', sinceMs: 7n };
  const work: Work = {
    replays: [replay('rests', SCHOOL, { cause: 'freeze' }), replay('runs', SCHOOL)],
    changes: [change('waits', '2027-05-11', { frozenUntilMs: 1n }), change('planned', '2027-06-01')],
    rosters: [
      Hold.fromPartial({ ...hold, holdId: 'roster', difference: { left: 2, renamed: 1 } }),
      Hold.fromPartial({ ...hold, holdId: 'of-another', schoolOin: OTHER }),
      Hold.fromPartial({ ...hold, holdId: 'for-approval', reason: 'threshold' }),
    ],
    withdrawals: [
      ChangeHold.fromPartial({ ...hold, holdId: 'withdrawals', products: [{ entitlements: 4 }, { entitlements: 1 }] }),
      ChangeHold.fromPartial({ ...hold, holdId: 'many', reason: 'withdraws_many' }),
    ],
  };

  test('lets go all that waits for it, and nothing that waits for something else', () => {
    const works = wouldGoOn(ofSchool, [ofSchool, toCome], work, nowMs);
    expect(works.map(({ id, count, waitsOn, about }) => [id, Number(count), waitsOn, about])).toEqual([
      ['rests', 40, false, false],
      ['waits', 3, false, false],
      ['roster', 3, false, false],
      ['withdrawals', 5, false, false],
    ]);
    expect(wouldGoOn(toCome, [ofSchool, toCome], work, nowMs)).toEqual([]);
  });

  test('leaves waiting what another one holds, and says where that is not known of all', () => {
    const works = wouldGoOn(ofSchool, [ofSchool, ofParty], work, nowMs);
    // A withdrawal may be of what this party publishes.
    expect(works.map(({ id, waitsOn, about }) => [id, waitsOn, about])).toEqual([
      ['rests', true, false],
      ['waits', false, false],
      ['roster', false, false],
      ['withdrawals', false, true],
    ]);
    const ofAll = freeze('of-all', {}, '2027-05-10', '2027-05-20');
    expect(wouldGoOn(ofSchool, [ofSchool, ofAll], work, nowMs).every(({ waitsOn }) => waitsOn)).toBe(true);
  });
});
