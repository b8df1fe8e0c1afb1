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
const { SERVICE_ROSTER: ROSTER, SERVICE_ORDER: ORDER, SERVICE_RESULT: RESULT, SERVICE_ACT: ACT } = Service;

const world: MandateWorld = {
  now: Date.parse('2026-11-22T10:00:00Z'),
  isBoard: (oin) => oin === BOARD,
  requiresAcceptance: () => false,
};
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
/** What a service releases where a mandate lists no attributes. */
const defaults = [
  { service: ROSTER, attributes: ['a', 'b'] },
  { service: ORDER, attributes: ['b'] },
  { service: RESULT, attributes: ['a'] },
];
const releasedBy = (attributes: readonly string[], service: Service): readonly string[] =>
  attributes.length > 0 ? attributes : (defaults.find((one) => one.service === service)?.attributes ?? []);
const entered = (m: Mandate, byOin = OPERATOR, confirm = true) =>
  MandateSubmitted.fromPartial({ mandate: m, byOin, confirm, defaults });
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

  test('ends no later than the school said itself, whatever its board says', () => {
    const pair = changedBy(
      grant(board, mandate('s'), SCHOOL),
      change('s', 'run_off', { runOffUntil: '2026-12-31', byOin: SCHOOL }),
    );
    expect(stands(changedBy(pair, change('b', 'run_off', { runOffUntil: '2027-03-31' })))).toMatchObject({
      b: { state: RUN_OFF, runOffUntil: '2027-03-31' },
      s: { state: RUN_OFF, runOffUntil: '2026-12-31' },
    });
    expect(stands(changedBy(pair, change('b', 'run_off', { runOffUntil: '2026-11-30' })))['s']!.runOffUntil).toBe(
      '2026-11-30',
    );
  });
});

describe('a grant of a board for all its schools, at one of them', () => {
  const part = (mandateId: string, more: Partial<Mandate> = {}) =>
    mandate(mandateId, { services: [ROSTER, RESULT], boardOin: BOARD, boardMandateId: `whole-${mandateId}`, ...more });
  /** An operator enters it for the board. */
  const board = grant(noPair, part('b1'));
  const bySchool = { byOin: SCHOOL };
  const byBoard = { byOin: BOARD, boardOin: BOARD };

  test('says whose it is and who entered it', () => {
    expect(stands(board)['b1']).toMatchObject({ boardOin: BOARD, boardMandateId: 'whole-b1', enteredBy: OPERATOR });
    expect(stands(grant(noPair, mandate('b'), BOARD))['b']).toMatchObject({ boardOin: BOARD, enteredBy: BOARD });
    expect(stands(grant(noPair, mandate('s'), SCHOOL))['s']).toMatchObject({ boardOin: '', enteredBy: SCHOOL });
  });

  test('does not hold for what the school gives more narrowly, whichever was first', () => {
    const narrow = { services: [ROSTER], attributes: ['a'] };
    for (const pair of [
      grant(board, mandate('s', narrow), SCHOOL),
      grant(grant(noPair, mandate('s', narrow), SCHOOL), part('b1')),
    ])
      expect(stands(pair)).toMatchObject({
        b1: { services: [RESULT], narrowed: [ROSTER], state: ACTIVE },
        s: { services: [ROSTER], attributes: ['a'], state: ACTIVE },
      });
  });

  test('a later one leaves out what the school narrowed, also after that ended', () => {
    const narrowed = grant(board, mandate('s', { services: [ROSTER], attributes: ['a'] }), SCHOOL);
    expect(stands(grant(narrowed, part('b2')))['b2']).toMatchObject({ services: [RESULT], narrowed: [ROSTER] });
    const over = changedBy(narrowed, change('b1', 'stop', byBoard));
    expect(stands(over)).toMatchObject({ b1: { state: ENDED }, s: { state: ENDED } });
    expect(stands(grant(over, part('b2')))['b2']).toMatchObject({ services: [RESULT], narrowed: [ROSTER] });
  });

  test.each(['stop', 'run_off'])('a later one leaves out what the school withdrew: %s', (what) => {
    const pair = changedBy(board, change('b1', what, { runOffUntil: '2026-12-31', ...bySchool }));
    // What it was stays told: the school ended it.
    expect(stands(pair)['b1']).toMatchObject({ services: [ROSTER, RESULT], narrowed: [ROSTER, RESULT] });
    const again = grant(pair, part('b2'));
    expect(stands(again)['b2']).toMatchObject({ services: [], narrowed: [ROSTER, RESULT], state: ACTIVE });
    // The school gives it again itself, within what its board gives.
    const given = grant(again, mandate('s', { services: [RESULT, ORDER] }), SCHOOL);
    expect(stands(given)['s']).toMatchObject({ services: [RESULT], state: ACTIVE });
  });

  test('a later one brings back what the board withdrew itself, and what only ran out', () => {
    for (const pair of [
      changedBy(board, change('b1', 'stop', byBoard)),
      changedBy(board, change('b1', 'stop', { boardOin: BOARD })), // An operator, for the board.
      decideEnd(grant(noPair, part('b1', { validUntil: '2026-12-31' })), 'b1', at('2027-01-02T00:00:00Z')).reduce(
        evolve,
        board,
      ),
    ])
      expect(stands(grant(pair, part('b2')))['b2']).toMatchObject({ services: [ROSTER, RESULT], narrowed: [] });
  });

  test('an operator who withdraws it at one school stands in for that school', () => {
    const pair = changedBy(board, change('b1', 'stop'));
    expect(stands(grant(pair, part('b2')))['b2']).toMatchObject({ services: [], narrowed: [ROSTER, RESULT] });
  });

  test('a school that withdraws it keeps what it gave itself', () => {
    const narrowed = grant(board, mandate('s', { services: [ROSTER], attributes: ['a'] }), SCHOOL);
    expect(stands(changedBy(narrowed, change('b1', 'stop', bySchool)))).toMatchObject({
      b1: { state: ENDED },
      s: { state: ACTIVE, services: [ROSTER] },
    });
  });

  test('unconfirmed takes nothing, and leaves out what the school narrowed until it is confirmed', () => {
    const waiting = grant(noPair, part('b1'), OPERATOR, false);
    const own = grant(waiting, mandate('s', { services: [ROSTER], attributes: ['z'] }), SCHOOL);
    expect(stands(own)['s']!.attributes).toEqual(['z']); // Nobody gave more or less yet.
    const confirmed = MandateChangeSubmitted.fromPartial({ ...change('b1', 'confirm'), defaults });
    expect(stands(changedBy(own, confirmed))['b1']).toMatchObject({
      state: ACTIVE,
      services: [RESULT],
      narrowed: [ROSTER],
    });
  });

  test('an empty list of attributes is the default of the service: narrower than it is narrower', () => {
    const whole = grant(noPair, part('b1', { attributes: [] }));
    const asked = (services: Service[], attributes: string[]) =>
      grant(whole, mandate('s', { services, attributes }), SCHOOL);
    expect(stands(asked([ROSTER], ['a']))['s']!.attributes).toEqual(['a']);
    expect(stands(asked([ROSTER], ['a', 'z']))['s']!.attributes).toEqual(['a']);
    expect(stands(asked([ROSTER], []))['s']!.attributes).toEqual([]);
    // One list for two services holds what both may release.
    expect(stands(asked([ROSTER, RESULT], ['a', 'b']))['s']!.attributes).toEqual(['a']);
    // And where the board listed less than the default, the school's default is no more than that.
    const little = grant(noPair, part('b1', { attributes: ['b', 'c'] }));
    expect(stands(grant(little, mandate('s', { attributes: [] }), SCHOOL))['s']!.attributes).toEqual(['b']);
  });

  test('what is left of a list is never nothing: that would be the default again', () => {
    const whole = grant(noPair, part('b1', { attributes: [] }));
    expect(code(decideMandate(whole, entered(mandate('s', { attributes: ['z'] }), SCHOOL), false, world))).toBe(
      'party.forbidden',
    );
  });

  test('entered twice is entered once, whatever the school did to it', () => {
    const narrowed = grant(board, mandate('s', { services: [ROSTER] }), SCHOOL);
    expect(decideMandate(narrowed, entered(part('b1')), false, world)).toMatchObject([{ value: { unchanged: true } }]);
  });
});

test('no later grant of a board holds for what its school decided', () => {
  const services = fc.subarray([ROSTER, ORDER, RESULT], { minLength: 1 });
  const attributes = fc.subarray(['a', 'b', 'c']);
  const step = fc.record({
    by: fc.constantFrom('board', 'school'),
    what: fc.constantFrom('grant', 'stop', 'run_off'),
    n: fc.nat(3),
    services,
    attributes,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
      let pair = noPair;
      const spoken = new Set<Service>();
      for (const { by, what, n, services, attributes } of steps) {
        const oin = by === 'board' ? BOARD : SCHOOL;
        const events =
          what === 'grant'
            ? decideMandate(pair, entered(mandate(`${by}${n}`, { services, attributes }), oin), false, world)
            : decideMandateChange(
                pair,
                change(`board${n}`, what, {
                  byOin: oin,
                  boardOin: by === 'board' ? BOARD : '',
                  runOffUntil: '2027-01-01',
                }),
                world,
              );
        if (by === 'school' && events[0]?.type === 'MandateChanged')
          for (const service of [...events[0].value.mandate!.services, ...events[0].value.mandate!.narrowed])
            spoken.add(service);
        const before = stands(pair);
        pair = events.reduce(evolve, pair);
        for (const [id, m] of Object.entries(stands(pair)))
          if (before[id] === undefined && m.boardOin === BOARD)
            for (const service of m.services) expect(spoken.has(service)).toBe(false);
        // And nothing is released twice over: where the school's own stands, the board's does not.
        const held = Object.values(stands(pair)).filter((m) => m.state === ACTIVE);
        const own = new Set(held.filter((m) => m.boardOin === '').flatMap((m) => m.services));
        for (const m of held.filter((one) => one.boardOin !== ''))
          for (const service of m.services) expect(own.has(service)).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
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
            // An empty list releases the default, so what counts is what each releases.
            for (const service of m.services)
              expect(releasedBy(boardAttributes, service)).toEqual(
                expect.arrayContaining([...releasedBy(m.attributes, service)]),
              );
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

describe('a mandate that both must accept', () => {
  const two = mandate('m', { requiresAcceptance: true });
  const state = (pair: Pair) => {
    const { state, confirmedBy, acceptedBy, endedBy } = stands(pair)['m']!;
    return { state, confirmedBy, acceptedBy, endedBy };
  };
  const accept = change('m', 'accept', { byOin: PARTY });
  const confirm = change('m', 'confirm', { byOin: SCHOOL });

  test('holds once school and party have both said so, whoever is first', () => {
    const given = grant(noPair, two, SCHOOL);
    expect(state(given)).toMatchObject({ state: UNCONFIRMED, confirmedBy: SCHOOL, acceptedBy: '' });
    expect(state(changedBy(given, accept))).toMatchObject({ state: ACTIVE, confirmedBy: SCHOOL, acceptedBy: PARTY });

    const entered = grant(noPair, two, OPERATOR, false);
    const accepted = changedBy(entered, accept);
    expect(state(accepted)).toMatchObject({ state: UNCONFIRMED, confirmedBy: '', acceptedBy: PARTY });
    expect(state(changedBy(accepted, confirm))).toMatchObject({ state: ACTIVE, confirmedBy: SCHOOL });
    const confirmed = changedBy(entered, confirm);
    expect(state(confirmed)).toMatchObject({ state: UNCONFIRMED, confirmedBy: SCHOOL });
    expect(state(changedBy(confirmed, accept))).toMatchObject({ state: ACTIVE, acceptedBy: PARTY });
  });

  test('is needed where the party asks for it, and nowhere else', () => {
    const asks = { ...world, requiresAcceptance: (oin: string) => oin === PARTY };
    const given = decideMandate(noPair, entered(mandate('m'), SCHOOL), false, asks).reduce(evolve, noPair);
    expect(stands(given)['m']).toMatchObject({ state: UNCONFIRMED, requiresAcceptance: true });
    expect(stands(grant(noPair, mandate('m'), SCHOOL))['m']).toMatchObject({
      state: ACTIVE,
      requiresAcceptance: false,
    });
    // What the party asks since makes the same grant no other.
    expect(decideMandate(given, entered(mandate('m'), SCHOOL), false, world)).toMatchObject([
      { value: { unchanged: true, mandate: { state: UNCONFIRMED } } },
    ]);
  });

  test('is not needed for less than the party accepted, and is for more', () => {
    const asks = { ...world, requiresAcceptance: (oin: string) => oin === PARTY };
    const wide = mandate('m', {
      services: [ROSTER, ORDER],
      attributes: ['a', 'b'],
      agreement: 'x',
      agreementVersion: '1',
    });
    const held = changedBy(grant(noPair, { ...wide, requiresAcceptance: true }, SCHOOL), accept);
    const enter = (more: Partial<Mandate>) => {
      const told = decideMandate(
        held,
        entered(mandate('n', { ...wide, mandateId: 'n', ...more }), SCHOOL),
        false,
        asks,
      );
      const { state, acceptedBy } = told
        .reduce(evolve, held)
        .mandates.find((m) => m.mandate.mandateId === 'n')!.mandate;
      return { state, acceptedBy };
    };
    for (const less of [{ services: [ROSTER] }, { attributes: ['a'] }, { siteCodes: ['01'] }, { pairwise: true }])
      expect(enter(less)).toEqual({ state: ACTIVE, acceptedBy: PARTY });
    for (const other of [{ attributes: ['a', 'c'] }, { agreementVersion: '2' }, { agreement: 'y' }])
      expect(enter(other)).toEqual({ state: UNCONFIRMED, acceptedBy: '' });
    // Of what begins later it has nothing until then.
    wide.validFrom = '2027-08-01';
    const later = changedBy(grant(noPair, { ...wide, requiresAcceptance: true }, SCHOOL), accept);
    const sooner = (validFrom: string) =>
      stands(
        decideMandate(later, entered({ ...wide, mandateId: 'n', validFrom }, SCHOOL), false, asks).reduce(
          evolve,
          later,
        ),
      )['n'];
    for (const day of ['', '2026-11-22', '2027-07-31'])
      expect(sooner(day)).toMatchObject({ state: UNCONFIRMED, acceptedBy: '' });
    expect(sooner('2027-08-01')).toMatchObject({ state: ACTIVE, acceptedBy: PARTY });
  });

  test('tells each change by its word, and said twice is said once', () => {
    const given = grant(noPair, two, OPERATOR, false);
    const words = (pair: Pair, asked: MandateChangeSubmitted) =>
      decideMandateChange(pair, asked, world).map(({ value }) => value as { change: string; unchanged: boolean });
    expect(words(given, accept)).toMatchObject([{ change: 'accepted', unchanged: false }]);
    const accepted = changedBy(given, accept);
    expect(words(accepted, accept)).toMatchObject([{ unchanged: true }]);
    expect(words(accepted, confirm)).toMatchObject([{ change: 'confirmed', unchanged: false }]);
    const active = changedBy(accepted, confirm);
    for (const asked of [accept, confirm]) expect(words(active, asked)).toMatchObject([{ unchanged: true }]);
  });

  test('ends when the party refuses it, also later, and then nothing brings it back', () => {
    for (const pair of [grant(noPair, two, SCHOOL), changedBy(grant(noPair, two, SCHOOL), accept)]) {
      const refused = changedBy(pair, change('m', 'refuse', { byOin: PARTY }));
      expect(state(refused)).toMatchObject({ state: ENDED, endedBy: PARTY });
      for (const asked of [accept, confirm])
        expect(code(decideMandateChange(refused, asked, world))).toBe('mandate.ended');
    }
  });

  test('takes over from its board’s only once it holds', () => {
    const board = grant(noPair, mandate('all', { services: [ROSTER, ORDER] }), BOARD);
    const narrower = mandate('m', { requiresAcceptance: true, attributes: ['a'] });
    const given = grant(board, narrower, SCHOOL);
    expect(stands(given)['all']).toMatchObject({ services: [ROSTER, ORDER], narrowed: [] });
    const both = decideMandateChange(given, { ...accept, defaults }, world).reduce(evolve, given);
    expect(stands(both)['all']).toMatchObject({ services: [ORDER], narrowed: [ROSTER] });
    expect(stands(both)['m']).toMatchObject({ state: ACTIVE, attributes: ['a'] });
  });
});

describe('sites and purposes of a mandate', () => {
  test('are kept once each, in order; what is none is refused', () => {
    const given = grant(noPair, mandate('m', { siteCodes: ['02', '01', '02'], purposes: [5, 1, 5] }));
    expect(stands(given)['m']).toMatchObject({ siteCodes: ['01', '02'], purposes: [1, 5] });
    for (const wrong of [{ siteCodes: ['1'] }, { siteCodes: [''] }, { purposes: [77 as never] }, { services: [ACT] }])
      expect(code(decideMandate(noPair, entered(mandate('m', wrong)), false, world))).toBe('wire.invalid');
  });

  test('of a school’s own are those that its board gave', () => {
    const board = grant(noPair, mandate('all', { siteCodes: ['01', '02'] }), BOARD);
    const sites = (siteCodes: string[]) => stands(grant(board, mandate('m', { siteCodes }), SCHOOL))['m']?.siteCodes;
    expect(sites([])).toEqual(['01', '02']);
    expect(sites(['02', '03'])).toEqual(['02']);
    expect(code(decideMandate(board, entered(mandate('m', { siteCodes: ['03'] }), SCHOOL), false, world))).toBe(
      'party.forbidden',
    );
  });
});

describe('a register', () => {
  const OSR = 'osr';
  const ofOsr = (more: Partial<Mandate> = {}) =>
    mandate('m1', { source: OSR, sourceService: 'http://x/roster', ...more });
  const given = grant(noPair, ofOsr({ validUntil: '2027-07-31' }), OSR);
  const said = (more: Partial<Mandate>) =>
    change('m1', 'register', { byOin: OSR, defaults, registered: ofOsr(more) as never });

  test('changes days and endpoints of its own mandate, and nothing else of it', () => {
    const endpoints = [{ routingId: SCHOOL, url: 'https://las.example/', kind: 'LAS', validFrom: '', validUntil: '' }];
    const after = stands(changedBy(given, said({ validUntil: '2028-07-31', endpoints, services: [ORDER] })))['m1']!;
    expect(after).toEqual({ ...stands(given)['m1'], validUntil: '2028-07-31', endpoints });
    const again = decideMandateChange(given, said({ validUntil: '2027-07-31' }), world);
    expect(again).toMatchObject([{ value: { unchanged: true } }]);
  });

  test('changes nobody else’s', () => {
    const own = grant(noPair, mandate('m1'));
    expect(code(decideMandateChange(own, said({ validUntil: '2028-07-31' }), world))).toBe('state.conflict');
    const other = said({ source: 'another' });
    expect(code(decideMandateChange(given, other, world))).toBe('state.conflict');
    expect(code(decideMandateChange(given, said({ validUntil: '2020-01-01' }), world))).toBe('state.conflict');
  });

  test('takes back a run-off of its own, and of nobody else', () => {
    const runOff = (byOin: string) => changedBy(given, change('m1', 'run_off', { runOffUntil: '2026-12-31', byOin }));
    expect(stands(runOff(OSR))['m1']).toMatchObject({ state: RUN_OFF, endedBy: OSR });
    expect(stands(changedBy(runOff(OSR), said({})))['m1']).toMatchObject({
      state: ACTIVE,
      runOffUntil: '',
      endedBy: '',
    });
    expect(stands(changedBy(runOff(SCHOOL), said({})))['m1']).toMatchObject({
      state: RUN_OFF,
      runOffUntil: '2026-12-31',
      endedBy: SCHOOL,
    });
  });

  test('gives no longer than the board did', () => {
    const board = grant(noPair, mandate('b1', { validUntil: '2027-07-31' }), BOARD);
    const both = grant(board, ofOsr(), OSR);
    expect(stands(both)['m1']!.validUntil).toBe('2027-07-31');
    expect(stands(changedBy(both, said({ validUntil: '2030-07-31' })))['m1']!.validUntil).toBe('2027-07-31');
  });
});
