import { describe, expect, test } from 'vitest';
import type { LaunchCount } from '#proto/eduk/access/v1/access';
import { type Circumstances, judgeLaunches } from './launches-judge.ts';

const DAY = '2026-08-31';
const BESIDE = ['2026-08-24', '2026-08-17', '2026-08-10', '2026-08-03'];
/** 8:30. */
const QUARTER = 34;
const about = (more: Partial<Circumstances> = {}): Circumstances => ({
  day: DAY,
  beside: BESIDE,
  quarter: QUARTER,
  behindMs: 0,
  sick: new Set(),
  ...more,
});
const launches = (
  platformOin: string,
  created: number,
  redeemed: number,
  more: { day?: string; quarter?: number; refused?: Record<string, number>; shown?: Record<string, number> } = {},
): LaunchCount => ({
  day: more.day ?? DAY,
  quarter: more.quarter ?? QUARTER,
  platformOin,
  publisherOin: `of ${platformOin}`,
  created,
  redeemed,
  refused: [
    ...Object.entries(more.refused ?? {}).map(([code, count]) => ({ code, count, shown: false })),
    ...Object.entries(more.shown ?? {}).map(([code, count]) => ({ code, count, shown: true })),
  ],
});
const usually = (platform: string, created: number, redeemed: number, refused: Record<string, number> = {}) =>
  BESIDE.map((day) => launches(platform, created, redeemed, { day, refused }));
const verdict = (counts: readonly LaunchCount[], more: Partial<Circumstances> = {}) =>
  judgeLaunches(counts, about(more)).map(({ platform, state, whose, because, code, party }) =>
    [platform, state, whose, because, code, party].filter((word) => word !== '').join(' '),
  );

describe('a morning like others', () => {
  test('is usual, also where the usual is not much', () => {
    expect(verdict([...usually('a', 100, 98), launches('a', 200, 192)])).toEqual(['a usual']);
    expect(
      verdict([
        ...usually('a', 70, 60, { 'learner.unknown': 30 }),
        launches('a', 140, 120, { refused: { 'learner.unknown': 60 } }),
      ]),
    ).toEqual(['a usual']);
  });
  test('with few launches says nothing, and takes the quarters before where the one that runs has few', () => {
    expect(verdict([launches('a', 19, 0)])).toEqual(['a few']);
    expect(verdict([launches('a', 5, 0), launches('a', 40, 0, { quarter: 33 })])).toEqual([
      'a low them unopened peer.unavailable a',
    ]);
    expect(verdict([launches('a', 5, 0), launches('a', 40, 0, { quarter: 29 })])).toEqual(['a few']);
  });
  test('is measured by the same weekday only', () => {
    const otherDays = ['2026-08-30', '2026-08-29'].map((day) => launches('a', 100, 40, { day }));
    expect(verdict([...otherDays, ...usually('a', 100, 98), launches('a', 100, 84)])[0]).toContain('a low');
  });
  test('what was never before is measured by 95 of 100', () => {
    const [one] = judgeLaunches([launches('a', 100, 84)], about());
    expect(one).toMatchObject({ state: 'low', usualKnown: false, usualShare: 0.95 });
    expect(verdict([launches('a', 100, 86)])).toEqual(['a usual']);
  });
});

describe('far fewer get in', () => {
  const others = [...usually('b', 100, 98), launches('b', 100, 98)];
  test('it is them: tickets that nobody shows, with the endpoint at rest or not', () => {
    const down = [...usually('a', 100, 98), launches('a', 100, 3), ...others];
    expect(verdict(down)).toEqual(['a low them unopened peer.unavailable a', 'b usual']);
    expect(verdict(down, { sick: new Set(['a']) })[0]).toBe('a low them endpoint peer.unavailable a');
  });
  test('it is them: tickets shown too late, and what was not granted', () => {
    expect(
      verdict([...usually('a', 100, 98), launches('a', 100, 30, { shown: { 'launch.spent': 70 } }), ...others])[0],
    ).toBe('a low them shown launch.spent a');
    expect(
      verdict([
        ...usually('a', 100, 98),
        launches('a', 40, 39, { refused: { 'entitlement.not_started': 60 } }),
        ...others,
      ])[0],
    ).toBe('a low them refused entitlement.not_started of a');
    expect(verdict([...usually('a', 100, 98), launches('a', 40, 39, { refused: { 'learner.unknown': 60 } })])[0]).toBe(
      'a low them refused learner.unknown',
    );
  });
  test('a ticket that was shown and refused is not also one that nobody showed', () => {
    const shown = launches('a', 100, 40, { shown: { 'launch.spent': 50 } });
    expect(verdict([...usually('a', 100, 98), shown])[0]).toBe('a low them shown launch.spent a');
  });
  test('what is always refused is not what is new', () => {
    const known = usually('a', 60, 58, { 'learner.unknown': 40 });
    expect(verdict([...known, launches('a', 60, 2, { refused: { 'learner.unknown': 45 } })])).toEqual([
      'a low them unopened peer.unavailable a',
    ]);
  });
  test('it is us: our own faults, a part that is behind, or every platform at once', () => {
    expect(verdict([...usually('a', 100, 98), launches('a', 10, 9, { refused: { 'gateway.bug': 90 } })])).toEqual([
      'a low us ours gateway.bug',
    ]);
    const missing = launches('a', 10, 9, { refused: { 'state.missing': 90 } });
    expect(verdict([...usually('a', 100, 98), missing], { behindMs: 60_000 })).toEqual([
      'a low us behind gateway.late',
    ]);
    const all = ['a', 'b', 'c'].flatMap((one) => [...usually(one, 100, 98), launches(one, 100, 5)]);
    expect(new Set(verdict(all).map((one) => one.slice(2)))).toEqual(
      new Set(['low us everywhere gateway.unavailable']),
    );
    // One that works says that we do.
    expect(verdict([...all, ...usually('d', 100, 98), launches('d', 100, 98)])[0]).toContain('low them unopened');
  });
});

describe('hardly any launches', () => {
  const gone = (...platforms: string[]) =>
    platforms.flatMap((one) =>
      BESIDE.flatMap((day) => [33, 32].map((quarter) => launches(one, 100, 98, { day, quarter }))),
    );
  test('of one platform it is them, of all it is nobody’s in particular', () => {
    expect(verdict([...gone('a'), ...usually('b', 100, 98), launches('b', 100, 98)])).toEqual([
      'a none them silent peer.unavailable a',
      'b usual',
    ]);
    expect(verdict(gone('a', 'b'))).toEqual([
      'a none us nowhere gateway.unavailable',
      'b none us nowhere gateway.unavailable',
    ]);
    expect(verdict(gone('a'), { behindMs: 60_000 })).toEqual(['a none us behind gateway.late']);
  });
  test('a quarter that has only begun is waited for', () => {
    expect(verdict(usually('a', 100, 98))).toEqual(['a few']);
  });
});
