import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dutchDay } from '#kernel';
import { TurnDifference } from '#proto/eduk/events/v1/rosters';
import {
  decideTurn,
  dueDay,
  firstStanding,
  lastDay,
  type Standing,
  standingAfter,
  type TurnCommand,
  type TurnState,
} from './turn.ts';

const schoolOin = '0000000700099XX00000';
const [year, next] = ['2026-2027', '2027-2028'];
const at = (day: string): number => Date.parse(`${day}T10:00:00Z`);
const difference = (learnersBefore: number, learnersAfter: number): TurnDifference =>
  TurnDifference.fromPartial({ learnersBefore, learnersAfter });
const state = (more: Partial<TurnState> = {}): TurnState => ({
  running: year,
  before: '',
  size: 590,
  difference: difference(600, 590),
  sites: [],
  waiting: 0,
  ...more,
});
const ask = (day: string, more: { schoolYear?: string; onDay?: string } = {}): TurnCommand => ({
  type: 'AskTurn',
  schoolOin,
  schoolYear: next,
  onDay: '',
  now: at(day),
  ...more,
});
const came = (day: string, schoolYear = next): TurnCommand => ({
  type: 'DayCame',
  schoolOin,
  schoolYear,
  now: at(day),
});
/** An event in a few words. */
const told = (given: TurnState, command: TurnCommand): string[] =>
  decideTurn(given, command).map(({ name, value }) =>
    name === 'SchoolYearTurned'
      ? `${value.yearBefore} > ${value.schoolYear} ${value.cause}`
      : name === 'SchoolYearTurnPlanned'
        ? `planned ${value.onDay}`
        : `refused ${value.code}`,
  );
const asked = [`${year} > ${next} asked`];
const byDay = [`${year} > ${next} day`];

describe('a turn that is asked', () => {
  test('is from 1 May on, once there is a roster of that year', () => {
    expect(told(state(), ask('2027-04-30'))).toEqual(['refused state.conflict']);
    expect(told(state(), ask('2027-05-01'))).toEqual(asked);
    expect(told(state(), ask('2027-09-20'))).toEqual(asked);
    expect(told(state({ size: undefined }), ask('2027-06-01'))).toEqual(['refused state.missing']);
    expect(told(state({ size: 0 }), ask('2027-06-01'))).toEqual(['refused state.missing']);
  });
  test('waits for nobody but who must approve a roster of that year', () => {
    expect(told(state({ waiting: 1 }), ask('2027-06-01'))).toEqual(['refused hold.pending']);
    // What it would not do by itself it does when somebody looked at it.
    expect(told(state({ difference: difference(600, 12), size: 12 }), ask('2027-06-01'))).toEqual(asked);
  });
  test('to the year that the school is in, or one that is none, is refused', () => {
    expect(told(state(), ask('2027-06-01', { schoolYear: year }))).toEqual(['refused state.conflict']);
    expect(told(state(), ask('2027-06-01', { schoolYear: '2027-2029' }))).toEqual(['refused wire.invalid']);
  });
  test('on a day is planned: one to come, between 1 May and 31 October, also before there is a roster', () => {
    const on = (onDay: string) => told(state({ size: undefined }), ask('2027-06-01', { onDay }));
    expect(on('2027-08-23')).toEqual(['planned 2027-08-23']);
    for (const wrong of ['2027-06-01', '2027-05-31', '2027-11-01', '2027-02-30', '2028-08-01'])
      expect(on(wrong)).toEqual(['refused wire.invalid']);
  });
  test('is taken back until 31 July, at once, and to no other year', () => {
    const turned = state({ running: next, before: year });
    const back = { schoolYear: year };
    expect(told(turned, ask('2027-07-31', back))).toEqual([`${next} > ${year} back`]);
    expect(told(turned, ask('2027-08-01', back))).toEqual(['refused state.conflict']);
    expect(told(turned, ask('2027-07-01', { ...back, onDay: '2027-07-20' }))).toEqual(['refused wire.invalid']);
    expect(told(state({ running: next }), ask('2027-07-01', back))).toEqual(['refused state.conflict']);
  });
});

describe('a day that comes', () => {
  test('is 1 August, or the one chosen; before it nothing happens', () => {
    expect(told(state(), came('2027-07-31'))).toEqual([]);
    expect(told(state(), came('2027-08-01'))).toEqual(byDay);
    const planned = state({ plan: { year: next, day: '2027-08-23' } });
    expect(told(planned, came('2027-08-22'))).toEqual([]);
    expect(told(planned, came('2027-08-23'))).toEqual(byDay);
    expect(dueDay({ plan: { year: '2028-2029', day: '2028-05-01' } }, next)).toBe('2027-08-01');
  });
  test('turns nothing without a roster, with one that waits, or one that looks cut off', () => {
    for (const more of [
      { size: undefined },
      { size: 0 },
      { waiting: 1 },
      { difference: difference(600, 299) },
      { sites: [{ siteCode: '01', before: 3, after: 0 }] },
    ])
      expect(told(state(more), came('2027-08-01'))).toEqual([]);
    expect(told(state({ difference: difference(600, 300) }), came('2027-08-01'))).toEqual(byDay);
    // A share of a few pupils says nothing.
    expect(told(state({ difference: difference(19, 2) }), came('2027-08-01'))).toEqual(byDay);
    expect(told(state({ sites: [{ siteCode: '01', before: 0, after: 9 }] }), came('2027-08-01'))).toEqual(byDay);
  });
  test('of a year that was gone on to before, or of one before that, turns nothing', () => {
    expect(told(state({ running: next, before: year }), came('2027-08-01'))).toEqual([]);
    expect(told(state({ running: next }), came('2027-08-01', year))).toEqual([]);
  });
});

test('a school of which nothing was said is in the year of the calendar, or in the last that it has a roster of', () => {
  const now = at('2027-08-05');
  const running = (sizes: [string, number][]) => firstStanding(new Map(sizes), now).running;
  expect(running([])).toBe(next);
  expect(running([[year, 10]])).toBe(year);
  expect(
    running([
      [year, 10],
      [next, 0],
    ]),
  ).toBe(year);
  expect(
    running([
      [year, 10],
      [next, 1],
    ]),
  ).toBe(next);
  expect(running([['2019-2020', 10]])).toBe(next);
});

test('any sequence: a school never goes back but by taking back, never leaves a year for one without pupils, and each turn is one event', () => {
  const day = fc.integer({ min: 0, max: 900 }).map((n) => dutchDay(at('2026-09-01') + n * 86_400_000));
  const anyYear = fc.constantFrom('2025-2026', year, next, '2028-2029');
  const anyStep = fc.record({
    day,
    schoolYear: anyYear,
    onDay: fc.oneof(fc.constant(''), day),
    isAsked: fc.boolean(),
    size: fc.constantFrom(undefined, 0, 5, 290, 600),
    waiting: fc.constantFrom(0, 0, 1),
  });
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      let stands: Standing = { running: year, before: '' };
      for (const step of steps.sort((a, b) => (a.day < b.day ? -1 : 1))) {
        const given = { ...stands, ...step, difference: difference(600, step.size ?? 0), sites: [] };
        const now = at(step.day);
        const about = { schoolOin, schoolYear: step.schoolYear, now };
        const command: TurnCommand = step.isAsked
          ? { type: 'AskTurn', ...about, onDay: step.onDay }
          : { type: 'DayCame', ...about };
        const events = decideTurn(given, command);
        expect(events.length).toBe(step.isAsked ? 1 : events.length);
        expect(events.length).toBeLessThan(2);
        const after = standingAfter(stands, events);
        const event = events[0];
        if (event?.name !== 'SchoolYearTurned') expect(after.running).toBe(stands.running);
        else {
          expect(event.value).toMatchObject({ yearBefore: stands.running, schoolYear: after.running });
          if (after.running < stands.running) {
            expect([event.value.cause, after.running, step.isAsked]).toEqual(['back', stands.before, true]);
            expect(step.day <= lastDay(after.running)).toBe(true);
          } else {
            expect(step.size! > 0 && step.waiting === 0).toBe(true);
            if (!step.isAsked) expect(step.size! * 2 >= 600 && step.day >= dueDay(stands, step.schoolYear)).toBe(true);
          }
          // Asked again right after, it is no second turn.
          expect(decideTurn({ ...given, ...after }, { type: 'DayCame', ...about })).toEqual([]);
        }
        stands = after;
      }
    }),
    { numRuns: 500 },
  );
});
