import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import * as decide from './entitlement.ts';
import type { Entitlement, ProductCopy } from './tables.ts';

const { GRANTED, PROVISIONED, USED, EXPIRED, WITHDRAWN, BLOCKED, REFUSED } = decide;
const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const publisher = '00000001000000000002';
const platform = '00000001000000000003';
const other = '00000001000000000009';
const product: ProductCopy = { product: 'maths-1', publisher, platform };
/** Noon in the Netherlands on a day. */
const noon = (day: string): number => Date.parse(`${day}T11:00:00Z`);
const now = noon('2026-11-22');

const row = (changes: Partial<Entitlement> = {}): Entitlement => ({
  school,
  id: 'e-1',
  holder: 'l:anna',
  product: 'maths-1',
  state: GRANTED,
  starts: '2026-08-01',
  ends: '2027-07-31',
  granter: seller,
  publisher,
  platform,
  flow: 'flow-1',
  changed: 0,
  more: {},
  ...changes,
});
const pool = (changes: Partial<Entitlement> = {}): Entitlement =>
  row({ id: 'pool', holder: '', more: { count: 2 }, ...changes });

function grant(
  terms: Partial<EntitlementTerms>,
  given: Partial<decide.GrantState> = {},
  who: Partial<decide.GrantCommand> = {},
): decide.EntitlementEvent[] {
  return decide.grant(
    { now, existing: undefined, product, pool: undefined, forgotten: false, ...given },
    {
      terms: EntitlementTerms.fromPartial({ entitlementId: 'e-1', productId: 'maths-1', ...terms }),
      school,
      learner: 'anna',
      group: '',
      granter: seller,
      sealed: '',
      flow: 'flow-1',
      ...who,
    },
  );
}
const granted = (events: decide.EntitlementEvent[]): Entitlement => {
  const found = events.find((event) => event.type === 'Granted');
  if (!found) throw new Error(`nothing was granted: ${JSON.stringify(events)}`);
  return found.entitlement;
};
const change = (
  existing: Entitlement | undefined,
  command: Partial<decide.ChangeCommand>,
  given: Partial<decide.SwapState> = {},
): decide.EntitlementEvent[] =>
  decide.change(
    { now, existing, pool: undefined, product: undefined, target: undefined, ...given },
    { mode: 'withdraw', by: seller, swapToProduct: '', swapTo: '', flow: 'flow-2', ...command },
  );
const use = (existing: Entitlement | undefined, day: string, at = now, by = platform): decide.EntitlementEvent[] =>
  decide.use({ existing, now: at }, { day, times: 0, by });
const refusal = (events: decide.EntitlementEvent[]): string | undefined =>
  events.length === 1 && (events[0]!.type === 'GrantRefused' || events[0]!.type === 'ChangeRefused')
    ? events[0]!.code
    : undefined;

describe('a grant', () => {
  test('carries publisher and platform of the catalogue, and dates where none were given', () => {
    expect(granted(grant({}))).toMatchObject({
      starts: '2026-11-22',
      ends: '2027-07-31',
      publisher,
      platform,
      state: GRANTED,
      holder: 'l:anna',
    });
  });
  test.each([
    ['2026-07-31', '', '2026-07-31', '2026-07-31'],
    ['2026-08-01', '', '2026-08-01', '2027-07-31'],
  ])('made on %s ends on the 31 July that follows', (day, startsOn, starts, ends) => {
    expect(granted(grant({ startsOn }, { now: noon(day) }))).toMatchObject({ starts, ends });
  });
  test('that starts next school year ends with that year', () => {
    expect(granted(grant({ startsOn: '2027-08-01' }))).toMatchObject({ starts: '2027-08-01', ends: '2028-07-31' });
  });
  test('that started last school year and names no end ends with the running year', () => {
    expect(granted(grant({ startsOn: '2025-09-01' })).ends).toBe('2027-07-31');
  });
  test('just after Dutch midnight starts on the new day', () => {
    expect(granted(grant({}, { now: Date.parse('2026-11-22T23:30:00Z') })).starts).toBe('2026-11-23');
  });
  test('keeps order, line, code and the end of readable results', () => {
    expect(
      granted(grant({ orderId: 'o', lineId: '1', resultsReadableUntil: '2028-07-31' }, {}, { sealed: 'c2VhbA==' }))
        .more,
    ).toEqual({
      order: 'o',
      line: '1',
      readable: '2028-07-31',
      sealed: 'c2VhbA==',
      filled: 3,
    });
  });
  test('to a group and to the school', () => {
    expect(granted(grant({ count: 30 }, {}, { learner: '', group: '4h2' })).holder).toBe('g:4h2');
    expect(granted(grant({}, {}, { learner: '' })).holder).toBe('');
  });
  test.each<[string, Partial<EntitlementTerms>, Partial<decide.GrantCommand>]>([
    ['an end before its start', { startsOn: '2027-01-01', endsOn: '2026-12-31' }, {}],
    ['a day that does not exist', { startsOn: '2026-02-30' }, {}],
    ['results readable shorter than use', { endsOn: '2027-07-31', resultsReadableUntil: '2027-01-01' }, {}],
    ['a count for one learner', { count: 2 }, {}],
    ['a learner and a group', {}, { group: '4h2' }],
    ['a draw for a group', { fromEntitlementId: 'pool' }, { learner: '', group: '4h2' }],
    ['a draw from itself', { fromEntitlementId: 'e-1' }, {}],
  ])('with %s is refused', (_what, terms, who) => {
    expect(refusal(grant(terms, { pool: pool() }, who))).toBe('wire.invalid');
  });
  test('of a product nobody published needs it', () => {
    expect(grant({}, { product: undefined })).toEqual([{ type: 'Needs', need: 'product' }]);
  });
  test('the same again changes nothing, whatever day it is and with another sealing of the code', () => {
    const existing = granted(grant({}, {}, { sealed: 'YQ==' }));
    expect(grant({}, { existing, now: noon('2027-01-05') }, { sealed: 'Yg==' })).toEqual([
      { type: 'GrantRepeated', entitlement: existing },
    ]);
  });
  test('the same again is known without its product and its pool', () => {
    const existing = granted(grant({ fromEntitlementId: 'pool' }, { pool: pool() }));
    expect(grant({ fromEntitlementId: 'pool' }, { existing, product: undefined })[0]!.type).toBe('GrantRepeated');
  });
  test.each<[string, Partial<EntitlementTerms>, Partial<decide.GrantCommand>]>([
    ['another product', { productId: 'maths-2' }, {}],
    ['another learner', {}, { learner: 'ben' }],
    ['another end', { endsOn: '2027-07-31' }, {}],
    ['another order', { orderId: 'o' }, {}],
    ['another sender', {}, { granter: other }],
  ])('under an id that stands for %s is refused', (_what, terms, who) => {
    expect(refusal(grant(terms, { existing: granted(grant({})) }, who))).toBe('state.conflict');
  });
  test('of what was withdrawn is not answered as granted', () => {
    expect(refusal(grant({}, { existing: { ...granted(grant({})), state: WITHDRAWN } }))).toBe('entitlement.blocked');
  });
  test('to a learner who was forgotten meanwhile is refused', () =>
    expect(refusal(grant({}, { forgotten: true }))).toBe('learner.unknown'));
  test('may follow a refusal under the same id', () => {
    expect(granted(grant({}, { existing: row({ state: REFUSED, product: 'maths-2' }) })).state).toBe(GRANTED);
  });
});

describe('a draw from a count', () => {
  test('takes one and keeps within the days of its pool', () => {
    const from = pool({ starts: '2026-12-01', ends: '2027-01-31' });
    const events = grant({ fromEntitlementId: 'pool' }, { pool: from });
    expect(granted(events)).toMatchObject({ starts: '2026-12-01', ends: '2027-01-31', more: { from: 'pool' } });
    expect(events[1]).toEqual({ type: 'Noted', entitlement: { ...from, more: { count: 2, taken: 1 } } });
  });
  test.each<[string, Entitlement, Partial<EntitlementTerms>, Partial<decide.GrantCommand>, string]>([
    ['used up', pool({ more: { count: 2, taken: 2 } }), {}, {}, 'count.used_up'],
    ['blocked', pool({ state: BLOCKED }), {}, {}, 'entitlement.blocked'],
    ['withdrawn', pool({ state: WITHDRAWN }), {}, {}, 'entitlement.blocked'],
    ['past its end', pool({ ends: '2026-11-21' }), {}, {}, 'wire.invalid'],
    [
      'expired',
      pool({ starts: '2026-08-01', ends: '2026-11-21' }),
      { startsOn: '2026-09-01' },
      {},
      'entitlement.expired',
    ],
    ['shorter', pool(), { endsOn: '2028-01-01' }, {}, 'wire.invalid'],
    ['not counted', pool({ more: {} }), {}, {}, 'state.conflict'],
    ['of another product', pool({ product: 'maths-2' }), {}, {}, 'state.conflict'],
    ["another party's", pool(), {}, { granter: other }, 'state.missing'],
  ])('that is %s is refused', (_what, from, terms, who, code) => {
    expect(refusal(grant({ fromEntitlementId: 'pool', ...terms }, { pool: from }, who))).toBe(code);
  });
  test('that is not known yet waits', () => {
    expect(grant({ fromEntitlementId: 'pool' })).toEqual([{ type: 'Needs', need: 'pool' }]);
    expect(grant({ fromEntitlementId: 'pool' }, { pool: pool({ state: REFUSED }) })).toEqual([
      { type: 'Needs', need: 'pool' },
    ]);
  });
});

describe('a withdrawal', () => {
  test.each([GRANTED, PROVISIONED, BLOCKED])('before first use ends it (state %i)', (state) => {
    expect(change(row({ state }), {})).toMatchObject([
      { type: 'Changed', cause: 'withdrawn', entitlement: { state: WITHDRAWN } },
    ]);
  });
  test('gives a licence back to its count', () => {
    const from = pool({ more: { count: 2, taken: 2 } });
    expect(change(row({ more: { from: 'pool' } }), {}, { pool: from })[1]).toMatchObject({
      type: 'Noted',
      entitlement: { id: 'pool', more: { taken: 1 } },
    });
  });
  test('after first use is no longer possible, blocked or not', () => {
    expect(refusal(change(row({ state: USED, more: { used: '2026-09-01' } }), {}))).toBe('state.conflict');
    expect(refusal(change(row({ state: BLOCKED, more: { used: '2026-09-01', before: USED } }), {}))).toBe(
      'state.conflict',
    );
  });
  test('of a count from which licences are taken is refused', () => {
    expect(refusal(change(pool({ more: { count: 2, taken: 1 } }), {}))).toBe('state.conflict');
  });
  test('of what expired is refused', () =>
    expect(refusal(change(row({ state: EXPIRED }), {}))).toBe('entitlement.expired'));
  test('twice is once', () => {
    const existing = row({ state: WITHDRAWN });
    expect(change(existing, {})).toEqual([{ type: 'ChangeRepeated', cause: 'withdrawn', entitlement: existing }]);
  });
  test('by the publisher is fine, by anyone else it is not there', () => {
    expect(change(row(), { by: publisher })[0]!.type).toBe('Changed');
    expect(refusal(change(row(), { by: platform }))).toBe('state.missing');
    expect(refusal(change(row(), { by: other }))).toBe('state.missing');
  });
  test('of what is not known, or was refused, needs it', () => {
    expect(change(undefined, {})).toEqual([{ type: 'Needs', need: 'entitlement' }]);
    expect(change(row({ state: REFUSED }), {})).toEqual([{ type: 'Needs', need: 'entitlement' }]);
  });
  test('in an unknown mode is refused', () => expect(refusal(change(row(), { mode: 'undo' }))).toBe('wire.invalid'));
});

describe('a block', () => {
  test.each([GRANTED, PROVISIONED, USED])('and its end lead back to state %i', (state) => {
    const [blocked] = change(row({ state, more: { ready: ['p'] } }), { mode: 'block' });
    expect(blocked).toMatchObject({ cause: 'blocked', entitlement: { state: BLOCKED } });
    const [free] = change((blocked as { entitlement: Entitlement }).entitlement, { mode: 'unblock' });
    expect(free).toMatchObject({ cause: 'unblocked', entitlement: { state, more: { ready: ['p'] } } });
  });
  test('twice is once, and so is its end', () => {
    expect(change(row({ state: BLOCKED }), { mode: 'block' })[0]).toMatchObject({
      type: 'ChangeRepeated',
      cause: 'blocked',
    });
    expect(change(row(), { mode: 'unblock' })[0]).toMatchObject({ type: 'ChangeRepeated', cause: 'unblocked' });
  });
  test.each(['block', 'unblock'])('%s of what has ended is refused', (mode) => {
    expect(refusal(change(row({ state: WITHDRAWN }), { mode }))).toBe('entitlement.blocked');
    expect(refusal(change(row({ state: EXPIRED }), { mode }))).toBe('entitlement.expired');
  });
});

describe('a swap', () => {
  const german: ProductCopy = { product: 'german-1', publisher: other, platform: other };
  const command = { swapToProduct: 'german-1', swapTo: 'e-2' };
  test('ends the one and grants the other to the same holder for the same days', () => {
    const existing = row({ state: PROVISIONED, more: { order: 'o', line: '1', ready: [platform], sealed: 'YQ==' } });
    expect(change(existing, command, { product: german })).toMatchObject([
      { type: 'Changed', cause: 'swapped', entitlement: { id: 'e-1', state: WITHDRAWN, more: { swappedTo: 'e-2' } } },
      {
        type: 'Granted',
        entitlement: {
          id: 'e-2',
          product: 'german-1',
          state: GRANTED,
          holder: 'l:anna',
          starts: '2026-08-01',
          ends: '2027-07-31',
          granter: seller,
          publisher: other,
          platform: other,
          flow: 'flow-2',
          more: { order: 'o', line: '1' },
        },
      },
    ]);
    expect(
      (change(existing, command, { product: german })[1] as { entitlement: Entitlement }).entitlement.more,
    ).toEqual({ order: 'o', line: '1' });
  });
  test('of a draw gives it back to the count of the old product', () => {
    const events = change(row({ more: { from: 'pool' } }), command, {
      product: german,
      pool: pool({ more: { count: 2, taken: 1 } }),
    });
    expect(events.map(({ type }) => type)).toEqual(['Changed', 'Noted', 'Granted']);
    expect(granted(events).more.from).toBeUndefined();
  });
  test('after first use is refused', () =>
    expect(refusal(change(row({ state: USED, more: { used: '2026-09-01' } }), command, { product: german }))).toBe(
      'state.conflict',
    ));
  test('to an id in use is refused', () =>
    expect(refusal(change(row(), command, { product: german, target: row({ id: 'e-2' }) }))).toBe('state.conflict'));
  test('to an unknown product needs it', () =>
    expect(change(row(), command)).toEqual([{ type: 'Needs', need: 'product' }]));
  test('twice is once', () => {
    const [first, second] = change(row(), command, { product: german }) as { entitlement: Entitlement }[];
    expect(change(first!.entitlement, command, { product: german, target: second!.entitlement })).toMatchObject([
      { type: 'ChangeRepeated', cause: 'swapped' },
    ]);
    expect(refusal(change(first!.entitlement, { ...command, swapTo: 'e-3' }, { product: german }))).toBe(
      'entitlement.blocked',
    );
  });
  test.each([
    ['without an id', { swapToProduct: 'german-1' }],
    ['without a product', { swapTo: 'e-2' }],
    ['as a block', { ...command, mode: 'block' }],
  ])('%s is refused', (_what, wrong) =>
    expect(refusal(change(row(), wrong, { product: german }))).toBe('wire.invalid'),
  );
});

describe('use', () => {
  test('for the first time is the moment after which nothing can be undone', () => {
    expect(use(row({ state: PROVISIONED }), '2026-11-20')).toMatchObject([
      {
        type: 'Changed',
        cause: 'first_used',
        day: '2026-11-20',
        entitlement: { state: USED, more: { used: '2026-11-20', uses: 1 } },
      },
    ]);
  });
  test('later is only counted', () => {
    const existing = row({ state: USED, more: { used: '2026-11-20', uses: 3 } });
    expect(decide.use({ existing, now }, { day: '2026-11-21', times: 4, by: publisher })).toMatchObject([
      { type: 'ChangeRepeated', cause: 'used', entitlement: { more: { used: '2026-11-20', uses: 7 } } },
    ]);
  });
  const ended = row({ ends: '2026-11-20', state: EXPIRED });
  test.each<[string, Entitlement, string, string, string | undefined]>([
    ['before the start', row(), '2026-07-31', '2026-11-22', 'entitlement.not_started'],
    ['on the first day', row(), '2026-08-01', '2026-11-22', undefined],
    ['told a week after the end', ended, '2026-11-20', '2026-11-27', undefined],
    ['told later', ended, '2026-11-20', '2026-11-28', 'entitlement.expired'],
    ['in the days of grace', ended, '2026-11-22', '2026-11-22', undefined],
    ['while blocked', row({ state: BLOCKED }), '2026-11-22', '2026-11-22', 'entitlement.blocked'],
    ['after a withdrawal', row({ state: WITHDRAWN }), '2026-11-22', '2026-11-22', 'entitlement.blocked'],
    ['tomorrow', row(), '2026-11-24', '2026-11-22', 'wire.invalid'],
    ['on no day', row(), 'today', '2026-11-22', 'wire.invalid'],
  ])('%s', (_what, existing, day, on, code) => {
    expect(refusal(use(existing, day, noon(on)))).toBe(code);
  });
  test('told late leaves an expired entitlement expired', () => {
    expect(use(ended, '2026-11-20')[0]).toMatchObject({ cause: 'first_used', entitlement: { state: EXPIRED } });
  });
  test('told by another than platform or publisher is of nothing', () =>
    expect(refusal(use(row(), '2026-11-22', now, seller))).toBe('state.missing'));
  test('by a launch counts, unless it was blocked meanwhile', () => {
    expect(decide.useByLaunch({ existing: row(), now }, '2026-11-22')).toMatchObject([
      { type: 'Changed', cause: 'first_used' },
    ]);
    expect(
      decide.useByLaunch({ existing: row({ more: { used: '2026-11-20', uses: 1 } }), now }, '2026-11-22'),
    ).toMatchObject([{ type: 'Noted', entitlement: { more: { uses: 2 } } }]);
    expect(decide.useByLaunch({ existing: row({ state: BLOCKED }), now }, '2026-11-22')).toEqual([]);
    expect(decide.useByLaunch({ existing: undefined, now }, '2026-11-22')).toEqual([]);
  });
});

describe('a platform', () => {
  test('that is ready provisions it, and undoes that', () => {
    const [ready] = decide.provision({ existing: row(), now }, platform, false) as { entitlement: Entitlement }[];
    expect(ready).toMatchObject({
      cause: 'provisioned',
      entitlement: { state: PROVISIONED, more: { ready: [platform] } },
    });
    expect(decide.provision({ existing: ready!.entitlement, now }, platform, false)).toEqual([]);
    expect(decide.provision({ existing: ready!.entitlement, now }, platform, true)).toMatchObject([
      { cause: 'revoked', entitlement: { state: GRANTED, more: {} } },
    ]);
  });
  test('changes nothing of what is used', () => {
    expect(decide.provision({ existing: row({ state: USED }), now }, platform, false)).toMatchObject([
      { type: 'Noted', entitlement: { state: USED } },
    ]);
  });
  test('is remembered through a block', () => {
    expect(
      decide.provision({ existing: row({ state: BLOCKED, more: { before: GRANTED } }), now }, platform, false),
    ).toMatchObject([{ type: 'Noted', entitlement: { state: BLOCKED, more: { before: PROVISIONED } } }]);
  });
});

describe('the end', () => {
  test('comes when the last day has passed in the Netherlands, not before', () => {
    const existing = row({ ends: '2026-11-22' });
    expect(decide.expire({ existing, now: Date.parse('2026-11-22T22:59:59Z') })).toEqual([]);
    expect(decide.expire({ existing, now: Date.parse('2026-11-22T23:00:00Z') })).toMatchObject([
      { cause: 'expired', entitlement: { state: EXPIRED } },
    ]);
  });
  test('leaves a withdrawn one as it is', () =>
    expect(decide.expire({ existing: row({ ends: '2026-11-01', state: WITHDRAWN }), now })).toEqual([]));
});

describe('a learner who leaves', () => {
  const drawn = row({ state: USED, more: { from: 'pool', used: '2026-09-01' } });
  const from = pool({ more: { count: 2, taken: 2 } });
  const leave = (existing: Entitlement, year: string, day: string) =>
    decide.leave({ existing, pool: from, now }, year, day);
  test('takes a personal licence along', () => expect(leave(row(), '2026-2027', '2026-11-20')).toEqual([]));
  test('gives a school licence back, used or not', () => {
    expect(leave(drawn, '2026-2027', '2026-11-20')).toMatchObject([
      { cause: 'left', entitlement: { state: WITHDRAWN } },
      { type: 'Noted', entitlement: { id: 'pool', more: { taken: 1 } } },
    ]);
  });
  test("out of next year's roster keeps what runs today and gives back what starts then", () => {
    expect(leave(drawn, '2027-2028', '2026-11-20')).toEqual([]);
    expect(leave({ ...drawn, starts: '2027-08-01', ends: '2028-07-31' }, '2027-2028', '2026-11-20')).toMatchObject([
      { cause: 'left' },
      {},
    ]);
  });
});

describe('a learner who is forgotten', () => {
  test('loses the right, and the row no longer says whose it was', () => {
    expect(
      decide.forget({
        existing: row({ more: { from: 'pool', sealed: 'YQ==' } }),
        pool: pool({ more: { count: 2, taken: 1 } }),
        now,
      }),
    ).toMatchObject([
      {
        cause: 'forgotten',
        entitlement: { state: WITHDRAWN, holder: decide.FORGOTTEN_HOLDER, more: { from: 'pool' } },
      },
      { type: 'Noted', entitlement: { more: { taken: 0 } } },
    ]);
  });
  test('leaves what had ended, without a name', () => {
    expect(
      decide.forget({ existing: row({ state: EXPIRED, more: { sealed: 'YQ==' } }), pool: undefined, now }),
    ).toEqual([{ type: 'Noted', entitlement: row({ state: EXPIRED, holder: decide.FORGOTTEN_HOLDER }) }]);
  });
});

/** Every path through the states, by random commands on one entitlement. */
test('whatever is asked: used is never undone, ended never revives, and a repeat of a change changes nothing', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('change' as const),
      mode: fc.constantFrom('withdraw', 'block', 'unblock'),
      by: fc.constantFrom(seller, publisher, other),
    }),
    fc.record({ kind: fc.constant('use' as const), ago: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ kind: fc.constant('provision' as const), revoke: fc.boolean() }),
    fc.record({ kind: fc.constant('days' as const), days: fc.integer({ min: 1, max: 200 }) }),
    fc.record({ kind: fc.constant('forget' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let current = row();
      let at = now;
      for (const it of steps) {
        let events: decide.EntitlementEvent[];
        switch (it.kind) {
          case 'change':
            events = change(current, it, { now: at });
            break;
          case 'use':
            events = use(current, decide.plusDays(decide.today(at), -it.ago), at);
            break;
          case 'provision':
            events = decide.provision({ existing: current, now: at }, platform, it.revoke);
            break;
          case 'forget':
            events = decide.forget({ existing: current, pool: undefined, now: at });
            break;
          default:
            at += it.days * 86_400_000;
            events = decide.expire({ existing: current, now: at });
        }
        expect(events.length).toBeLessThanOrEqual(1);
        const next = events[0] && 'entitlement' in events[0] ? events[0].entitlement : current;
        const ended = current.state === WITHDRAWN || current.state === EXPIRED;
        if (ended) expect(next.state).toBe(current.state);
        if (current.more.used) {
          expect(next.more.used).toBe(current.more.used);
          if (next.state === WITHDRAWN && current.state !== WITHDRAWN) expect(it.kind).toBe('forget');
        }
        if (it.kind === 'change' && events[0]?.type === 'Changed')
          expect(change(next, it, { now: at })).toMatchObject([{ type: 'ChangeRepeated' }]);
        current = next;
      }
    }),
    { numRuns: 500 },
  );
});
