import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dutchMinute, dutchMoment, endOfDutchDay, startOfDutchDay } from './clock.ts';
import { type FreezeFact, type FreezeKind, freezeEnd, freezeStops, frozen } from './freeze.ts';

const fact = (given: Partial<FreezeFact>): FreezeFact => ({
  freezeId: 'f',
  schoolOin: '',
  partyOin: '',
  fromMs: 0,
  untilMs: 100,
  endedMs: 0,
  reason: 'exams-2027',
  ...given,
});

const scopes = ['', 'a', 'b'];
const facts = fc.array(
  fc.record({
    freezeId: fc.string({ minLength: 1, maxLength: 3 }),
    schoolOin: fc.constantFrom(...scopes),
    partyOin: fc.constantFrom(...scopes),
    fromMs: fc.nat(50),
    untilMs: fc.nat(100),
    endedMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100 })),
    reason: fc.constant('r'),
  }),
  { maxLength: 6 },
);
const acts = fc.record({
  kind: fc.constantFrom(...(Object.keys(freezeStops) as FreezeKind[])),
  schools: fc.constantFrom([], ['a'], ['b'], ['a', 'b'], ['*']),
  parties: fc.constantFrom([], ['a'], ['c', 'b'], ['*']),
  atMs: fc.nat(110),
});

describe('frozen', () => {
  test('stops what takes away or disturbs, and nothing else', () => {
    const at = { schools: ['a'], parties: ['p'], atMs: 50 };
    const stopped = (Object.keys(freezeStops) as FreezeKind[]).filter((kind) => frozen([fact({})], { ...at, kind }));
    expect(stopped).toEqual(['withdraw', 'deactivate', 'rename', 'replay', 'move', 'key_rotation']);
  });

  test.each([
    ['', '', ['a'], ['p'], true],
    ['a', '', ['a'], ['p'], true],
    ['a', '', ['b', 'a'], [], true],
    ['a', '', ['b'], ['a'], false],
    ['', 'p', ['a'], ['p'], true],
    ['', 'p', ['a'], ['q'], false],
    ['a', 'p', ['a'], ['p', 'q'], true],
    ['a', 'p', ['a'], ['q'], false],
    ['a', 'p', ['b'], ['p'], false],
    ['a', '', ['*'], [], true],
    ['a', 'p', ['*'], [], false],
    ['', '', [], [], true],
  ])('school %j and party %j: of %j and %j is %j', (schoolOin, partyOin, schools, parties, held) => {
    const act = { kind: 'withdraw', schools, parties, atMs: 50 } as const;
    expect(frozen([fact({ schoolOin, partyOin })], act) !== undefined).toBe(held);
  });

  test('holds from its first moment to the last one before its end, or before it was ended', () => {
    const held = (given: Partial<FreezeFact>) =>
      [9, 10, 19, 20, 29, 30].filter((atMs) =>
        frozen([fact({ fromMs: 10, untilMs: 30, ...given })], { kind: 'move', schools: [], parties: [], atMs }),
      );
    expect(held({})).toEqual([10, 19, 20, 29]);
    expect(held({ endedMs: 20 })).toEqual([10, 19]);
    expect(held({ endedMs: 5 })).toEqual([]);
  });

  test('is the union of all that are about the act, at every moment, until the end that it names', () => {
    fc.assert(
      fc.property(facts, acts, (all, act) => {
        // By the words of the rule, fact by fact.
        const isIn = (of: string, named: readonly string[]) =>
          of === '' || named.some((one) => one === '*' || one === of);
        const isAbout = ({ schoolOin, partyOin }: FreezeFact) =>
          isIn(schoolOin, act.schools) && isIn(partyOin, act.parties);
        const holdsAt = (ms: number) =>
          freezeStops[act.kind] && all.some((one) => isAbout(one) && one.fromMs <= ms && ms < freezeEnd(one));
        const held = frozen(all, act);
        expect(held !== undefined).toBe(holdsAt(act.atMs));
        if (!held) return;
        expect(all).toContain(held.freeze);
        for (let ms = act.atMs; ms < held.untilMs; ms++) expect(holdsAt(ms)).toBe(true);
        expect(holdsAt(held.untilMs)).toBe(false);
        // One more freeze makes none shorter, whatever their order.
        const more = frozen([...all.toReversed(), fact({ fromMs: 5, untilMs: 40 })], act)!;
        expect(more.untilMs).toBeGreaterThanOrEqual(held.untilMs);
      }),
    );
  });
});

describe('a moment by Dutch clocks', () => {
  test.each([
    ['2027-05-10T08:00', '2027-05-10T06:00:00Z', undefined],
    ['2027-01-10T00:00', '2027-01-09T23:00:00Z', undefined],
    // 31 October 2027: 02:30 comes twice, first in summer time.
    ['2027-10-31T02:30', '2027-10-31T00:30:00Z', '2027-10-31T01:30:00Z'],
    // 28 March 2027: 02:30 does not exist.
    ['2027-03-28T02:30', '2027-03-28T01:30:00Z', undefined],
  ])('%s', (text, first, last) => {
    expect(new Date(dutchMoment(text)!)).toEqual(new Date(first));
    expect(new Date(dutchMoment(text, true)!)).toEqual(new Date(last ?? first));
  });

  test.each(['2027-05-10', '2027-02-30T08:00', '2027-05-10T24:00', '2027-05-10T8:00', 'now', ''])(
    '%j is none',
    (text) => {
      expect(dutchMoment(text)).toBeUndefined();
    },
  );

  test('is read as it is written, at any minute of years with two turns of the clocks each', () => {
    const range = { min: Date.parse('2026-01-01T00:00Z') / 60_000, max: Date.parse('2029-01-01T00:00Z') / 60_000 };
    fc.assert(
      fc.property(fc.integer(range), (minutes) => {
        const ms = minutes * 60_000;
        const text = dutchMinute(ms);
        expect([dutchMoment(text), dutchMoment(text, true)]).toContain(ms);
      }),
    );
  });

  test('a day of which the clocks turn is frozen for as long as it lasts', () => {
    const hours = (day: string) => {
      const one = fact({ fromMs: startOfDutchDay(day), untilMs: endOfDutchDay(day) });
      const act = { kind: 'replay', schools: [], parties: [], atMs: one.fromMs } as const;
      return (frozen([one], act)!.untilMs - one.fromMs) / 3_600_000;
    };
    expect(['2027-03-28', '2027-05-10', '2027-10-31'].map(hours)).toEqual([23, 24, 25]);
  });
});
