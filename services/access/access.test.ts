import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import * as decide from './access.ts';
import type { Launch, Learner, ProductCopy, Right } from './tables.ts';

const {
  ENTITLEMENT_STATE_GRANTED: GRANTED,
  ENTITLEMENT_STATE_PROVISIONED: PROVISIONED,
  ENTITLEMENT_STATE_USED: USED,
  ENTITLEMENT_STATE_EXPIRED: EXPIRED,
  ENTITLEMENT_STATE_WITHDRAWN: WITHDRAWN,
  ENTITLEMENT_STATE_BLOCKED: BLOCKED,
} = EntitlementState;
const school = '0000000700001AB00000';
const publisher = '00000001000000000002';
const platform = '00000001000000000003';
const other = '00000001000000000009';
const today = '2026-11-22';
const now = Date.parse('2026-11-22T11:00:00Z');

const right = (changes: Partial<Right> = {}): Right => ({
  school,
  id: 'e-1',
  holder: 'l:anna',
  product: 'maths-1',
  state: GRANTED,
  starts: '2026-08-01',
  ends: '2027-07-31',
  publisher,
  platform,
  counted: 0,
  ...changes,
});
const anna: Learner = { school, learner: 'anna', years: { '2026-2027': { groups: ['4h2', 'wisb1'] } } };
const free: ProductCopy = { product: 'maths-1', publisher, platform, licensed: 0 };
const launch = (
  given: Partial<decide.LaunchState>,
  command: Partial<decide.LaunchCommand> = {},
): decide.LaunchDecision =>
  decide.launch(
    { now, today, existing: undefined, learner: anna, rights: [], product: { ...free, licensed: 1 }, ...given },
    { launch: 'l-1', school, learner: 'anna', entitlement: '', product: 'maths-1', digest: 'd1', ...command },
  );
const outcome = (decision: decide.LaunchDecision): string =>
  decision.type === 'Created' ? decision.launch.entitlement || 'free' : decision.code;

describe('a launch', () => {
  test('lives five minutes and names what it stands on', () => {
    expect(launch({ rights: [right()] })).toEqual({
      type: 'Created',
      launch: expect.objectContaining({
        entitlement: 'e-1',
        product: 'maths-1',
        platform,
        created: now,
        expires: now + 300_000,
        day: today,
        digest: 'd1',
        state: 'created',
      }),
    });
  });
  test.each<[string, Right[], string]>([
    ['own', [right()], 'e-1'],
    ['provisioned', [right({ state: PROVISIONED })], 'e-1'],
    ['used', [right({ state: USED })], 'e-1'],
    ['by base group', [right({ holder: 'g:4h2' })], 'e-1'],
    ['by composite group', [right({ holder: 'g:wisb1' })], 'e-1'],
    ['by school', [right({ holder: '' })], 'e-1'],
    [
      'own before group before school',
      [right({ id: 's', holder: '' }), right({ id: 'g', holder: 'g:4h2' }), right({ id: 'o' })],
      'o',
    ],
    ['an open one beside a closed one', [right({ state: WITHDRAWN }), right({ id: 's', holder: '' })], 's'],
    ["another learner's", [right({ holder: 'l:ben' })], 'state.missing'],
    ["another group's", [right({ holder: 'g:5v1' })], 'state.missing'],
    ['of another product', [right({ product: 'maths-2' })], 'state.missing'],
    ['a count that nobody took from', [right({ holder: '', counted: 1 })], 'state.missing'],
    ['not started', [right({ starts: '2026-11-23' })], 'entitlement.not_started'],
    ['on the first day', [right({ starts: today })], 'e-1'],
    ['on the last day', [right({ ends: today })], 'e-1'],
    ['a day later', [right({ ends: '2026-11-21' })], 'entitlement.expired'],
    ['expired', [right({ state: EXPIRED })], 'entitlement.expired'],
    ['blocked', [right({ state: BLOCKED })], 'entitlement.blocked'],
    ['withdrawn', [right({ state: WITHDRAWN })], 'entitlement.blocked'],
    ['blocked beside expired', [right({ ends: '2026-11-21' }), right({ state: BLOCKED })], 'entitlement.blocked'],
    [
      'last year expired, next year not started',
      [right({ ends: '2026-11-21' }), right({ starts: '2027-08-01', ends: '2028-07-31' })],
      'entitlement.not_started',
    ],
  ])('%s', (_what, rights, expected) => expect(outcome(launch({ rights }))).toBe(expected));

  test('by the entitlement alone, or with its product, never with another', () => {
    expect(outcome(launch({ rights: [right()] }, { entitlement: 'e-1', product: '' }))).toBe('e-1');
    expect(outcome(launch({ rights: [right()] }, { entitlement: 'e-1' }))).toBe('e-1');
    expect(outcome(launch({ rights: [right()] }, { entitlement: 'e-1', product: 'maths-2' }))).toBe('state.missing');
    expect(outcome(launch({ rights: [] }, { entitlement: 'e-1', product: '' }))).toBe('state.missing');
    expect(outcome(launch({ rights: [right()] }, { product: '' }))).toBe('wire.invalid');
  });
  test('of free material needs a learner of the school and nothing else', () => {
    expect(outcome(launch({ product: free }))).toBe('free');
    expect(outcome(launch({ product: free, learner: undefined }))).toBe('learner.unknown');
    expect(outcome(launch({ product: free, rights: [right()] }))).toBe('e-1');
    expect(outcome(launch({ product: free, rights: [right({ state: BLOCKED })] }))).toBe('free');
  });
  test('by someone who is in no roster: only what is personal', () => {
    expect(outcome(launch({ learner: undefined, rights: [right({ holder: '' })] }))).toBe('learner.unknown');
    expect(outcome(launch({ learner: undefined, rights: [right()] }))).toBe('e-1');
  });
  test('twice under one id is refused', () => {
    const first = launch({ rights: [right()] }) as { launch: Launch };
    expect(outcome(launch({ rights: [right()], existing: first.launch }))).toBe('state.conflict');
  });
});

describe('groups of today', () => {
  const learner = (years: Learner['years']) => ({ years });
  test.each<[string, Learner['years'], string, readonly string[] | undefined]>([
    [
      'of the running year',
      { '2026-2027': { groups: ['4h2'] }, '2027-2028': { groups: ['5h1'] } },
      '2026-11-22',
      ['4h2'],
    ],
    ['after 1 August', { '2026-2027': { groups: ['4h2'] }, '2027-2028': { groups: ['5h1'] } }, '2027-08-01', ['5h1']],
    ['before the school turned its year', { '2026-2027': { groups: ['4h2'] } }, '2027-08-20', ['4h2']],
    ['of a pupil who is to come', { '2027-2028': { groups: ['1b'] } }, '2027-06-01', undefined],
    ['until the day of leaving', { '2026-2027': { groups: ['4h2'], until: '2026-11-23' } }, '2026-11-22', ['4h2']],
    ['from the day of leaving', { '2026-2027': { groups: ['4h2'], until: '2026-11-22' } }, '2026-11-22', undefined],
  ])('%s', (_what, years, day, expected) => {
    expect(decide.groupsToday(learner(years), Date.parse(`${day}T11:00:00Z`), day)).toEqual(expected);
  });
});

describe('a school that was told to have turned its year', () => {
  const [year, next] = ['2026-2027', '2027-2028'];
  const both = { years: { [year]: { groups: ['4h2', 'wisb'] }, [next]: { groups: ['5h1', 'wisb'] } } };
  const groups = (learner: Pick<Learner, 'years'>, day: string, turned: string) =>
    decide.groupsToday(learner, Date.parse(`${day}T11:00:00Z`), day, turned);
  test('early: who moves on is in groups of both years, until the one before has ended', () => {
    expect(groups(both, '2027-07-10', next)).toEqual(['4h2', 'wisb', '5h1']);
    expect(groups(both, '2027-08-14', next)).toEqual(['4h2', 'wisb', '5h1']);
    expect(groups(both, '2027-08-15', next)).toEqual(['5h1', 'wisb']);
  });
  test('late: the year before stands until then', () => {
    expect(groups(both, '2027-08-20', year)).toEqual(['4h2', 'wisb']);
    expect(groups(both, '2027-08-23', next)).toEqual(['5h1', 'wisb']);
  });
  test('who is in the year before only, is there no longer once it has ended', () => {
    const before = { years: { [year]: { groups: ['4h2'] } } };
    expect(groups(before, '2027-07-31', next)).toEqual(['4h2']);
    expect(groups(before, '2027-08-15', next)).toBeUndefined();
    expect(decide.isEnrolled(before, '2027-08-14', next)).toBe(true);
    expect(decide.isEnrolled(before, '2027-08-15', next)).toBe(false);
    expect(decide.isEnrolled({ years: { [next]: { groups: [] } } }, '2027-06-01', year)).toBe(true);
  });
});

describe('redeeming', () => {
  const made = (launch({ rights: [right()] }) as { launch: Launch }).launch;
  const redeem = (given: Partial<decide.RedeemState>, command: Partial<decide.RedeemCommand> = {}) =>
    decide.redeem(
      { shownMs: now + 1000, today, launch: made, right: right(), ...given },
      { by: platform, digest: 'd1', ...command },
    );
  const code = (decision: decide.RedeemDecision) => (decision.type === 'Refused' ? decision.code : decision.type);
  test('once', () => {
    const first = redeem({}) as { launch: Launch };
    expect(first).toMatchObject({
      type: 'Redeemed',
      launch: { state: 'redeemed', redeemed: now + 1000, redeemer: platform },
    });
    expect(code(redeem({ launch: first.launch }))).toBe('launch.spent');
  });
  test.each<[string, Partial<decide.RedeemState>, Partial<decide.RedeemCommand>, string]>([
    ['by the publisher', {}, { by: publisher }, 'Redeemed'],
    ['by another', {}, { by: other }, 'state.missing'],
    ['with another ticket', {}, { digest: 'd2' }, 'state.missing'],
    ['without one', { launch: { ...made, digest: '' } }, { digest: '' }, 'state.missing'],
    ['just in time', { shownMs: now + 299_999 }, {}, 'Redeemed'],
    ['too late', { shownMs: now + 300_000 }, {}, 'launch.spent'],
    ['what was refused', { launch: { ...made, state: 'refused' } }, {}, 'state.missing'],
    ['what is not known yet', { launch: undefined }, {}, 'Needs'],
    ['what was blocked since', { right: right({ state: BLOCKED }) }, {}, 'entitlement.blocked'],
    ['what is gone since', { right: undefined }, {}, 'entitlement.blocked'],
    ['free material', { launch: { ...made, entitlement: '' }, right: undefined }, {}, 'Redeemed'],
    ['for a learner who is forgotten', { launch: decide.nobodys(made) }, {}, 'state.missing'],
    ['by another, too late', { shownMs: now + 300_000 }, { by: other }, 'state.missing'],
  ])('%s', (_what, given, command, expected) => expect(code(redeem(given, command))).toBe(expected));
});

describe('provisioning', () => {
  const provision = (it: Right | undefined, command: Partial<{ by: string; revoke: boolean }> = {}) => {
    const decision = decide.provision(it, today, { by: platform, revoke: false, ...command });
    return decision.type === 'Refused' ? decision.code : decision.type;
  };
  test('by platform or publisher, also ahead of the first day', () => {
    expect(provision(right())).toBe('Provisioned');
    expect(provision(right({ starts: '2027-01-01' }), { by: publisher })).toBe('Provisioned');
    expect(provision(right(), { by: other })).toBe('state.missing');
    expect(provision(undefined)).toBe('Needs');
  });
  test('not of what ended; taking away is always possible', () => {
    expect(provision(right({ state: WITHDRAWN }))).toBe('entitlement.blocked');
    expect(provision(right({ ends: '2026-11-21' }))).toBe('entitlement.expired');
    expect(provision(right({ state: WITHDRAWN }), { revoke: true })).toBe('Revoked');
  });
});

const anyRight = fc.record({
  id: fc.constantFrom('e-1', 'e-2', 'e-3'),
  holder: fc.constantFrom('l:anna', 'l:ben', 'g:4h2', 'g:5v1', ''),
  product: fc.constantFrom('maths-1', 'maths-2'),
  state: fc.constantFrom(GRANTED, PROVISIONED, USED, EXPIRED, WITHDRAWN, BLOCKED),
  starts: fc.constantFrom('2026-08-01', today, '2026-11-23'),
  ends: fc.constantFrom('2026-11-21', today, '2027-07-31'),
  counted: fc.constantFrom(0, 0, 1),
});

test('whoever gets in holds something open; whoever holds something open gets in', () => {
  fc.assert(
    fc.property(fc.array(anyRight, { maxLength: 6 }), fc.boolean(), (some, known) => {
      const rights = some.map((it) => right(it));
      const mayOpen = (it: Right) =>
        it.product === 'maths-1' &&
        it.counted === 0 &&
        [GRANTED, PROVISIONED, USED].includes(it.state as never) &&
        it.starts <= today &&
        today <= it.ends &&
        (it.holder === 'l:anna' || (known && ['g:4h2', ''].includes(it.holder)));
      const decision = launch({ rights, learner: known ? anna : undefined });
      expect(decision.type === 'Created').toBe(rights.some(mayOpen));
      if (decision.type === 'Created')
        expect(rights.some((it) => it.id === decision.launch.entitlement && mayOpen(it))).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('of all tickets shown in any order at most one gets in', () => {
  const attempt = fc.record({
    by: fc.constantFrom(platform, publisher, other),
    digest: fc.constantFrom('d1', 'd1', 'd2'),
    after: fc.integer({ min: 0, max: 400_000 }),
  });
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 12 }), (attempts) => {
      let current = (launch({ rights: [right()] }) as { launch: Launch }).launch;
      let entered = 0;
      for (const { by, digest, after } of attempts) {
        const decision = decide.redeem(
          { shownMs: now + after, today, launch: current, right: right() },
          { by, digest },
        );
        if (decision.type !== 'Redeemed') continue;
        entered++;
        expect([by !== other, digest, after < 300_000]).toEqual([true, 'd1', true]);
        current = decision.launch;
      }
      expect(entered).toBeLessThanOrEqual(1);
      const worthy = attempts.some(({ by, digest, after }) => by !== other && digest === 'd1' && after < 300_000);
      expect(entered === 1).toBe(worthy);
    }),
  );
});
