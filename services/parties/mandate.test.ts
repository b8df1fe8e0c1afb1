import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Mandate, MandateState, Service } from '#proto/eduk/core/v1/party';
import { MandateChangeSubmitted, MandateSubmitted } from '#proto/eduk/events/v1/parties';
import {
  decideEnd,
  decideMandate,
  decideMandateChange,
  endOf,
  evolve,
  keyAfter,
  type MandateWorld,
  noPair,
  type Pair,
} from './mandate.ts';
import type { PartyEvent } from './party.ts';

const SCHOOL = '0000000700001AB00000';
const BOARD = '00000003444444440000';
const PARTY = '00000003222222220000';
const OPERATOR = '00000003555555550000';
const {
  MANDATE_STATE_UNCONFIRMED: UNCONFIRMED,
  MANDATE_STATE_ACTIVE: ACTIVE,
  MANDATE_STATE_RUN_OFF: RUN_OFF,
  MANDATE_STATE_ENDED: ENDED,
} = MandateState;
const { SERVICE_ROSTER: ROSTER, SERVICE_ORDER: ORDER, SERVICE_RESULT: RESULT } = Service;

const world: MandateWorld = { now: Date.parse('2026-11-22T10:00:00Z'), isBoard: (oin) => oin === BOARD };
const at = (moment: string): MandateWorld => ({ ...world, now: Date.parse(moment) });
const mandate = (mandateId: string, more: Partial<Mandate> = {}) =>
  Mandate.fromPartial({
    mandateId,
    schoolOin: SCHOOL,
    partyOin: PARTY,
    services: [ROSTER],
    attributes: ['a', 'b'],
    ...more,
  });
const entered = (m: Mandate, byOin = OPERATOR, confirm = true) =>
  MandateSubmitted.fromPartial({ mandate: m, byOin, confirm });
const change = (mandateId: string, what: string, more: Partial<MandateChangeSubmitted> = {}) =>
  MandateChangeSubmitted.fromPartial({ schoolOin: SCHOOL, mandateId, change: what, byOin: OPERATOR, ...more });

const grant = (pair: Pair, m: Mandate, byOin = OPERATOR, confirm = true) =>
  decideMandate(pair, entered(m, byOin, confirm), false, world).reduce(evolve, pair);
const changedBy = (pair: Pair, asked: MandateChangeSubmitted, when = world) =>
  decideMandateChange(pair, asked, when).reduce(evolve, pair);
const stands = (pair: Pair) => Object.fromEntries(pair.mandates.map(({ mandate: m }) => [m.mandateId, m]));
const code = (events: PartyEvent[]) => (events[0]?.type === 'PartyChangeRefused' ? events[0].value.code : undefined);

describe('a mandate', () => {
  test('is active when confirmed, else unconfirmed until it is', () => {
    expect(stands(grant(noPair, mandate('m')))['m']).toMatchObject({
      state: ACTIVE,
      services: [ROSTER],
      attributes: ['a', 'b'],
    });
    const pair = grant(noPair, mandate('m'), OPERATOR, false);
    expect(stands(pair)['m']!.state).toBe(UNCONFIRMED);
    expect(stands(changedBy(pair, change('m', 'confirm')))['m']!.state).toBe(ACTIVE);
  });

  test('may name several services, and may start later: doors judge dates', () => {
    const pair = grant(noPair, mandate('m', { services: [ORDER, ROSTER, ORDER], validFrom: '2027-08-01' }));
    expect(stands(pair)['m']).toMatchObject({ state: ACTIVE, services: [ROSTER, ORDER], validFrom: '2027-08-01' });
  });

  test('entered twice is entered once; with other content, or an id in use, it is refused', () => {
    const pair = grant(noPair, mandate('m'));
    expect(decideMandate(pair, entered(mandate('m')), false, world)).toMatchObject([
      { type: 'MandateChanged', value: { unchanged: true } },
    ]);
    expect(code(decideMandate(pair, entered(mandate('m', { services: [ORDER] })), false, world))).toBe(
      'state.conflict',
    );
    expect(code(decideMandate(noPair, entered(mandate('m')), true, world))).toBe('state.conflict');
    // What became of it since does not make it another grant.
    const stopped = changedBy(pair, change('m', 'stop'));
    expect(decideMandate(stopped, entered(mandate('m')), false, world)).toMatchObject([
      { value: { unchanged: true, mandate: { state: ENDED } } },
    ]);
  });

  test.each([
    ['no id', { mandateId: '' }],
    ['no school', { schoolOin: 'x' }],
    ['no party', { partyOin: 'x' }],
    ['no service', { services: [] }],
    ['a service that is none', { services: [77 as Service] }],
    ['a day that is none', { validFrom: '2026-02-30' }],
    ['an end that is past', { validUntil: '2026-11-21' }],
    ['an end before its start', { validFrom: '2027-08-01', validUntil: '2027-07-31' }],
  ])('with %s is refused', (_, more) =>
    expect(code(decideMandate(noPair, entered({ ...mandate('m'), ...more } as Mandate), false, world))).toBe(
      'wire.invalid',
    ),
  );

  test('runs off until a day, which may be moved, and stops at once', () => {
    const pair = grant(noPair, mandate('m'));
    const running = changedBy(pair, change('m', 'run_off', { runOffUntil: '2027-07-31' }));
    expect(stands(running)['m']).toMatchObject({ state: RUN_OFF, runOffUntil: '2027-07-31' });
    expect(stands(changedBy(running, change('m', 'run_off', { runOffUntil: '2026-12-31' })))['m']!.runOffUntil).toBe(
      '2026-12-31',
    );
    expect(stands(changedBy(running, change('m', 'stop')))['m']!.state).toBe(ENDED);
    expect(code(decideMandateChange(running, change('m', 'confirm'), world))).toBe('state.conflict');
  });

  test('refuses what cannot be', () => {
    const unconfirmed = grant(noPair, mandate('m'), OPERATOR, false);
    expect(code(decideMandateChange(unconfirmed, change('m', 'run_off', { runOffUntil: '2027-07-31' }), world))).toBe(
      'state.conflict',
    );
    const pair = grant(noPair, mandate('m'));
    for (const runOffUntil of ['', 'soon', '2026-11-21'])
      expect(code(decideMandateChange(pair, change('m', 'run_off', { runOffUntil }), world))).toBe('wire.invalid');
    expect(code(decideMandateChange(pair, change('m', 'forget'), world))).toBe('wire.invalid');
    expect(code(decideMandateChange(pair, change('n', 'stop'), world))).toBe('state.missing');
    const ended = changedBy(pair, change('m', 'stop'));
    for (const what of ['confirm', 'stop', 'key', 'run_off'])
      expect(code(decideMandateChange(ended, change('m', what), world))).toBe('mandate.ended');
  });

  test('ends after its last Dutch day, at the earlier of validity and run-off', () => {
    const m = mandate('m', { validUntil: '2027-07-31' });
    expect(endOf({ ...m, state: ACTIVE })).toBe(Date.parse('2027-07-31T22:00:00Z'));
    expect(endOf({ ...m, state: RUN_OFF, runOffUntil: '2026-12-31' })).toBe(Date.parse('2026-12-31T23:00:00Z'));
    expect(endOf({ ...m, state: ENDED })).toBeUndefined();
    const pair = grant(noPair, m);
    expect(decideEnd(pair, 'm', at('2027-07-31T21:59:59Z'))).toEqual([]);
    expect(decideEnd(pair, 'm', at('2027-07-31T22:00:00Z'))).toMatchObject([{ value: { mandate: { state: ENDED } } }]);
    expect(decideEnd(changedBy(pair, change('m', 'stop')), 'm', at('2027-08-01T00:00:00Z'))).toEqual([]);
  });

  test('keeps the first key of the pair until it is renewed', () => {
    const [one, two, short] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2), new Uint8Array(3)];
    const pair = { ...noPair, keyDigest: keyAfter(noPair, one, false) };
    expect(pair.keyDigest).toBe(one);
    expect(keyAfter(pair, two, false)).toBe(one);
    expect(keyAfter(pair, two, true)).toBe(two);
    expect(keyAfter(pair, short, true)).toBe(one);
    expect(
      code(decideMandateChange(grant(noPair, mandate('m')), change('m', 'key', { keyDigest: short }), world)),
    ).toBe('wire.invalid');
  });
});

describe('a school beside its board', () => {
  const board = grant(
    noPair,
    mandate('b', { services: [ROSTER, RESULT], attributes: ['a', 'b', 'c'], validUntil: '2027-07-31' }),
    BOARD,
  );

  test('narrows what the board gave, and stands instead of it', () => {
    const pair = grant(board, mandate('s', { services: [ROSTER, ORDER], attributes: ['b', 'z'] }), SCHOOL);
    expect(stands(pair)).toMatchObject({
      b: { services: [RESULT], attributes: ['a', 'b', 'c'], state: ACTIVE },
      s: { services: [ROSTER], attributes: ['b'], validUntil: '2027-07-31', state: ACTIVE },
    });
  });

  test('gives nothing that the board did not give', () => {
    expect(code(decideMandate(board, entered(mandate('s', { services: [ORDER] }), SCHOOL), false, world))).toBe(
      'party.forbidden',
    );
  });

  test('on its own decides alone', () => {
    expect(stands(grant(noPair, mandate('s', { attributes: ['z'] }), SCHOOL))['s']!.attributes).toEqual(['z']);
  });

  test('narrows when it confirms, not before', () => {
    const pair = grant(board, mandate('s'), SCHOOL, false);
    expect(stands(pair)['b']!.services).toEqual([ROSTER, RESULT]);
    expect(stands(changedBy(pair, change('s', 'confirm', { byOin: SCHOOL })))['b']!.services).toEqual([RESULT]);
  });

  test('ends with its board', () => {
    const pair = grant(board, mandate('s'), SCHOOL);
    expect(stands(changedBy(pair, change('b', 'stop')))).toMatchObject({ b: { state: ENDED }, s: { state: ENDED } });
    expect(stands(changedBy(pair, change('b', 'run_off', { runOffUntil: '2026-12-31' })))).toMatchObject({
      b: { state: RUN_OFF },
      s: { state: RUN_OFF, runOffUntil: '2026-12-31' },
    });
  });
});

test('whatever is asked in whatever order: never wider than the board, never back from the end', () => {
  const attributes = fc.subarray(['a', 'b', 'c', 'd']);
  const services = fc.subarray([ROSTER, ORDER, RESULT], { minLength: 1 });
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('grant' as const),
      id: fc.constantFrom('s1', 's2', 's3'),
      attributes,
      services,
      confirm: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('change' as const),
      id: fc.constantFrom('s1', 's2', 's3', 'b'),
      what: fc.constantFrom('confirm', 'run_off', 'stop'),
    }),
  );
  fc.assert(
    fc.property(attributes, services, fc.array(step, { maxLength: 12 }), (boardAttributes, boardServices, steps) => {
      let pair = grant(noPair, mandate('b', { services: boardServices, attributes: boardAttributes }), BOARD);
      for (const one of steps) {
        const before = stands(pair);
        const boardStands = before['b']!.state !== ENDED;
        const events =
          one.kind === 'grant'
            ? decideMandate(pair, entered(mandate(one.id, one), SCHOOL, one.confirm), false, world)
            : decideMandateChange(pair, change(one.id, one.what, { runOffUntil: '2027-01-01' }), world);
        expect(events.length).toBeGreaterThan(0);
        pair = events.reduce(evolve, pair);
        for (const [id, m] of Object.entries(stands(pair))) {
          if (before[id]?.state === ENDED) expect(m.state).toBe(ENDED);
          if (boardStands && id !== 'b' && m.state !== ENDED && stands(pair)['b']!.state !== ENDED) {
            expect(boardServices).toEqual(expect.arrayContaining(m.services));
            expect(boardAttributes).toEqual(expect.arrayContaining(m.attributes));
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});
