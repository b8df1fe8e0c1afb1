import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Form,
  Fund,
  type LineOutcome,
  LineState,
  type LineTerms,
  lineStateToJSON,
  Ownership,
  Payer,
  Renewal,
} from '#proto/eduk/core/v1/ordering';
import {
  OrderCancelSubmitted,
  OrderConfirmSubmitted,
  OrderLineEntry,
  OrderSubmitted,
} from '#proto/eduk/events/v1/orders';
import type { OrderRow } from '#proto/eduk/orders/v1/orders';
import { decideCancel, decideConfirm, decideOrder, evolve, NEXT, type OrderEvent, type OrderWorld } from './order.ts';

const SCHOOL = '0000000700001AB00000';
const BUYER = '00000003111111110000';
const [SELLER, OTHER] = ['00000003222222220000', '00000003333333330000'];
const {
  LINE_STATE_PLACED: PLACED,
  LINE_STATE_CONFIRMED: CONFIRMED,
  LINE_STATE_REFUSED: REFUSED,
  LINE_STATE_DELIVERED: DELIVERED,
  LINE_STATE_CANCELLED: CANCELLED,
  LINE_STATE_CREDITED: CREDITED,
} = LineState;

const world: OrderWorld = {
  product: (id) =>
    id === 'unknown'
      ? undefined
      : { publisherOin: id.startsWith('other') ? OTHER : SELLER, withdrawn: id === 'withdrawn' },
  forgotten: (learner) => learner === 'gone',
};

const line = (
  lineId: string,
  productId = 'book',
  more: Partial<OrderLineEntry> & { terms?: Partial<LineTerms> } = {},
) =>
  OrderLineEntry.fromPartial({
    ...more,
    terms: {
      lineId,
      productId,
      quantity: 1,
      fund: Fund.FUND_IBF,
      payer: Payer.PAYER_SCHOOL,
      form: Form.FORM_LICENCE,
      ownership: Ownership.OWNERSHIP_RENT,
      renewal: Renewal.RENEWAL_ENDS,
      ...more.terms,
    },
  });
const order = (lines: OrderLineEntry[], more: Partial<OrderSubmitted> = {}) =>
  OrderSubmitted.fromPartial({ orderId: 'o1', schoolOin: SCHOOL, buyerOin: BUYER, lines, ...more });
const confirm = (outcomes: [string, LineState][], more: Partial<OrderConfirmSubmitted> = {}) =>
  OrderConfirmSubmitted.fromPartial({
    orderId: 'o1',
    schoolOin: SCHOOL,
    sellerOin: SELLER,
    outcomes: outcomes.map(([lineId, state]) => ({ lineId, state })),
    ...more,
  });
const cancel = (...lineIds: string[]) =>
  OrderCancelSubmitted.fromPartial({ orderId: 'o1', schoolOin: SCHOOL, buyerOin: BUYER, lineIds });

const about = { flowId: 'f', atMs: 1 };
const applied = (standing: OrderRow | undefined, events: OrderEvent[]) =>
  events.reduce<OrderRow | undefined>((o, e) => evolve(o, e, about), standing);
const decided = (decision: OrderEvent[] | { lacks: string }): OrderEvent[] => {
  if ('lacks' in decision) throw new Error(`waits for ${decision.lacks}`);
  return decision;
};
const placed = (...lines: OrderLineEntry[]): OrderRow =>
  applied(undefined, decided(decideOrder(undefined, order(lines), world)))!;
const confirmed = (standing: OrderRow, ...outcomes: [string, LineState][]): OrderRow =>
  applied(standing, decided(decideConfirm([standing], confirm(outcomes))))!;
const states = (standing: OrderRow | undefined) =>
  Object.fromEntries(standing!.lines.map(({ line: of, state }) => [of!.terms!.lineId, state]));
const code = (events: OrderEvent[] | { lacks: string }) => {
  const [event] = decided(events);
  return event?.type === 'OrderRefused' || event?.type === 'OrderChangeRefused' ? event.value.code : undefined;
};

describe('placing', () => {
  test('an order with its lines: each has its seller, and each learner hears of the line', () => {
    const lines = [
      line('1', 'book', { terms: { quantity: 30 } as LineTerms }),
      line('2', 'other-book', { learner: 'tok1' }),
      line('3', 'book', { sellerOin: OTHER, group: 'g1' }),
    ];
    const events = decided(decideOrder(undefined, order(lines), world));
    expect(events.map(({ type }) => type)).toEqual(['OrderPlaced', 'LearnerLineOrdered']);
    expect(events[0]!.type === 'OrderPlaced' && events[0]!.value.lines.map(({ sellerOin }) => sellerOin)).toEqual([
      SELLER,
      OTHER,
      OTHER,
    ]);
    expect(events[1]!.value).toEqual({
      orderId: 'o1',
      lineId: '2',
      schoolOin: SCHOOL,
      learner: 'tok1',
      productId: 'other-book',
    });
    expect(states(applied(undefined, events))).toEqual({ 1: PLACED, 2: PLACED, 3: PLACED });
  });

  test('waits for a product that nobody published', () => {
    expect(decideOrder(undefined, order([line('1'), line('2', 'unknown')]), world)).toEqual({
      lacks: 'product:unknown',
    });
  });

  const wrong: [string, OrderSubmitted][] = [
    ['no lines', order([])],
    ['too many lines', order(Array.from({ length: 1001 }, (_, i) => line(String(i))))],
    ['no buyer', order([line('1')], { buyerOin: '' })],
    ['a line without product', order([line('1', '')])],
    ['two lines with one id', order([line('1'), line('1')])],
    ['a line for both', order([line('1', 'book', { learner: 'a', group: 'b' })])],
    ['no copies', order([line('1', 'book', { terms: { quantity: 0 } as LineTerms })])],
    ['too many copies', order([line('1', 'book', { terms: { quantity: 1_000_001 } as LineTerms })])],
    ['two copies for one learner', order([line('1', 'book', { learner: 'a', terms: { quantity: 2 } as LineTerms })])],
    ['a day that is none', order([line('1', 'book', { terms: { startsOn: '2026-02-30' } as LineTerms })])],
    [
      'an end before the start',
      order([line('1', 'book', { terms: { startsOn: '2026-09-01', endsOn: '2026-08-31' } as LineTerms })]),
    ],
    [
      'a wrong line beside an unknown product',
      order([line('1', 'unknown'), line('2', 'book', { terms: { quantity: 0 } as LineTerms })]),
    ],
  ];
  test.each(wrong)('%s: refused, without waiting', (_, sent) =>
    expect(code(decideOrder(undefined, sent, world))).toBe('wire.invalid'),
  );

  test('a withdrawn product, a forgotten learner: refused', () => {
    expect(code(decideOrder(undefined, order([line('1', 'withdrawn')]), world))).toBe('state.conflict');
    expect(code(decideOrder(undefined, order([line('1', 'book', { learner: 'gone' })]), world))).toBe(
      'learner.unknown',
    );
  });

  test('the most lines and copies are taken', () => {
    const many = Array.from({ length: 1000 }, (_, i) =>
      line(String(i), 'book', { terms: { quantity: 1_000_000 } as LineTerms }),
    );
    expect(placed(...many).lines).toHaveLength(1000);
  });

  test('the same order again changes nothing; another under its id is refused and leaves the first', () => {
    const standing = confirmed(placed(line('1'), line('2')), ['1', CONFIRMED]);
    const again = decided(decideOrder(standing, order([line('1'), line('2')]), world));
    expect(again).toMatchObject([{ type: 'OrderLinesChanged', value: { outcomes: [], unchanged: true } }]);
    expect(applied(standing, again)).toEqual(standing);
    for (const other of [
      order([line('1')]),
      order([line('1'), line('2', 'other-book')]),
      order([line('1'), line('2')], { expected: true }),
    ]) {
      const events = decided(decideOrder(standing, other, world));
      expect(code(events)).toBe('state.conflict');
      expect(applied(standing, events)).toEqual(standing);
    }
  });

  test('a refused order leaves its id free', () => {
    const refused = evolve(undefined, decided(decideOrder(undefined, order([line('1', 'withdrawn')]), world))[0]!, {
      ...about,
      sent: order([line('1', 'withdrawn')]),
    });
    expect(refused).toMatchObject({ outcome: 'refused', code: 'state.conflict' });
    expect(decided(decideOrder(refused, order([line('1')]), world))[0]!.type).toBe('OrderPlaced');
  });
});

describe('what a seller says', () => {
  test('goes the whole way', () => {
    const standing = confirmed(confirmed(placed(line('1'), line('2')), ['1', CONFIRMED], ['2', REFUSED]), [
      '1',
      DELIVERED,
    ]);
    expect(states(standing)).toEqual({ 1: DELIVERED, 2: REFUSED });
    expect(states(confirmed(standing, ['1', CREDITED]))).toEqual({ 1: CREDITED, 2: REFUSED });
  });

  test('confirmed and delivered in one message', () => {
    expect(states(confirmed(placed(line('1')), ['1', CONFIRMED], ['1', DELIVERED]))).toEqual({ 1: DELIVERED });
  });

  test('again is no effect, and says so', () => {
    const standing = confirmed(placed(line('1')), ['1', CONFIRMED], ['1', DELIVERED]);
    for (const repeat of [
      confirm([['1', DELIVERED]]),
      confirm([
        ['1', CONFIRMED],
        ['1', DELIVERED],
      ]),
    ])
      expect(decideConfirm([standing], repeat)).toMatchObject([
        { type: 'OrderLinesChanged', value: { outcomes: [], unchanged: true } },
      ]);
  });

  test('all or nothing', () => {
    const standing = confirmed(placed(line('1'), line('2')), ['1', REFUSED]);
    const events = decideConfirm(
      [standing],
      confirm([
        ['2', CONFIRMED],
        ['1', DELIVERED],
      ]),
    );
    expect(code(events)).toBe('state.conflict');
    expect(states(applied(standing, decided(events)))).toEqual({ 1: REFUSED, 2: PLACED });
  });

  test('of lines that are not its own: as unknown as lines that do not exist', () => {
    const standing = placed(line('1'), line('2', 'other-book'));
    expect(code(decideConfirm([standing], confirm([['2', CONFIRMED]])))).toBe('state.missing');
    expect(code(decideConfirm([standing], confirm([['3', CONFIRMED]])))).toBe('state.missing');
    expect(code(decideConfirm([standing], confirm([['1', CONFIRMED]], { sellerOin: BUYER })))).toBe('state.missing');
  });

  test('of an order that was refused: as unknown as one that never was, at once', () => {
    const sent = order([line('1', 'withdrawn', { sellerOin: SELLER })]);
    const refused = evolve(undefined, decided(decideOrder(undefined, sent, world))[0]!, { ...about, sent })!;
    expect(code(decideConfirm([refused], confirm([['1', CONFIRMED]])))).toBe('state.missing');
  });

  test('of an order that is not known: waits', () => {
    expect(decideConfirm([], confirm([['1', CONFIRMED]]))).toEqual({ lacks: `order:${SCHOOL}/o1` });
  });

  test('nothing, or what only a buyer says: refused', () => {
    const standing = placed(line('1'));
    for (const outcomes of [[], [['1', CANCELLED]], [['1', PLACED]], [['1', 0]]] as [string, LineState][][])
      expect(code(decideConfirm([standing], confirm(outcomes)))).toBe('wire.invalid');
  });

  test('where two buyers use one order id: the buyer must be named', () => {
    const mine = placed(line('1'));
    const theirs = { ...mine, buyerOin: OTHER };
    expect(code(decideConfirm([mine, theirs], confirm([['1', CONFIRMED]])))).toBe('state.conflict');
    expect(decideConfirm([mine, theirs], confirm([['1', CONFIRMED]], { buyerOin: OTHER }))).toMatchObject([
      { value: { buyerOin: OTHER } },
    ]);
  });

  const all = [PLACED, CONFIRMED, REFUSED, DELIVERED, CANCELLED, CREDITED];
  test.each(all.flatMap((from) => [CONFIRMED, REFUSED, DELIVERED, CREDITED].map((to) => [from, to] as const)))(
    'from %i to %i only along the drawn ways',
    (from, to) => {
      const base = placed(line('1'));
      const standing = { ...base, lines: base.lines.map((row) => ({ ...row, state: from })) };
      const events = decided(decideConfirm([standing], confirm([['1', to]])));
      if (from === to) expect(events[0]!.value).toMatchObject({ unchanged: true });
      else if (NEXT[from]!.includes(to)) expect(states(applied(standing, events))).toEqual({ 1: to });
      else expect(code(events)).toBe('state.conflict');
    },
  );
});

describe('cancelling', () => {
  test('named lines, of several sellers: each seller hears of its own', () => {
    const standing = placed(line('1'), line('2', 'other-book'), line('3'));
    const events = decideCancel(standing, cancel('1', '2'));
    expect(events).toMatchObject([
      { value: { sellerOin: SELLER, outcomes: [{ lineId: '1' }] } },
      { value: { sellerOin: OTHER, outcomes: [{ lineId: '2' }] } },
    ]);
    expect(states(applied(standing, events))).toEqual({ 1: CANCELLED, 2: CANCELLED, 3: PLACED });
  });

  test('without names: all that can be', () => {
    const standing = confirmed(
      placed(line('1'), line('2'), line('3')),
      ['1', CONFIRMED],
      ['1', DELIVERED],
      ['2', CONFIRMED],
    );
    expect(states(applied(standing, decideCancel(standing, cancel())))).toEqual({
      1: DELIVERED,
      2: CANCELLED,
      3: CANCELLED,
    });
  });

  test('twice is once', () => {
    const standing = applied(placed(line('1')), decideCancel(placed(line('1')), cancel()))!;
    for (const again of [cancel(), cancel('1')])
      expect(decideCancel(standing, again)).toMatchObject([{ value: { unchanged: true, outcomes: [] } }]);
  });

  test('what is delivered or refused, unknown, or of another buyer: refused', () => {
    const standing = confirmed(placed(line('1'), line('2')), ['1', CONFIRMED], ['1', DELIVERED], ['2', REFUSED]);
    for (const id of ['1', '2']) expect(code(decideCancel(standing, cancel(id)))).toBe('state.conflict');
    expect(code(decideCancel(standing, cancel()))).toBe('state.conflict');
    expect(code(decideCancel(standing, cancel('9')))).toBe('state.missing');
    expect(code(decideCancel(undefined, cancel()))).toBe('state.missing');
    expect(code(decideCancel({ ...standing, schoolOin: '0000000700009ZZ00000' }, cancel()))).toBe('state.missing');
  });
});

describe('any sequence of what buyer and sellers say', () => {
  const ids = ['1', '2', '3', '4'];
  const fresh = () => placed(line('1'), line('2'), line('3', 'other-book'), line('4', 'other-book'));
  const outcome = (of: readonly string[]) =>
    fc.tuple(fc.constantFrom(...of), fc.constantFrom(CONFIRMED, REFUSED, DELIVERED, CREDITED));
  const says = (seller: string, of: readonly string[]) =>
    fc
      .array(outcome(of), { minLength: 1, maxLength: 3 })
      .map(
        (outcomes) => (standing: OrderRow) =>
          decided(decideConfirm([standing], confirm(outcomes, { sellerOin: seller }))),
      );
  const ofSeller = says(SELLER, ['1', '2']);
  const ofOther = says(OTHER, ['3', '4']);
  const ofBuyer = fc.subarray(ids).map((named) => (standing: OrderRow) => decideCancel(standing, cancel(...named)));
  const commands = fc.array(fc.oneof(ofSeller, ofOther, ofBuyer), { maxLength: 30 });
  const took = (events: OrderEvent[]) =>
    events.some((event) => event.type === 'OrderLinesChanged' && !event.value.unchanged);

  /** How far a line is on any way through the machine. */
  const depth: Record<number, number> = {
    [PLACED]: 0,
    [CONFIRMED]: 1,
    [REFUSED]: 9,
    [CANCELLED]: 9,
    [DELIVERED]: 2,
    [CREDITED]: 9,
  };

  test('no line ever goes back, and each step is a drawn one', () => {
    fc.assert(
      fc.property(commands, (list) => {
        let standing = fresh();
        for (const command of list) {
          const events = command(standing);
          expect(events.length).toBeGreaterThan(0);
          for (const event of events)
            if (event.type === 'OrderLinesChanged')
              for (const { lineId, state } of event.value.outcomes as LineOutcome[]) {
                const before = standing.lines.find(({ line: of }) => of!.terms!.lineId === lineId)!.state;
                expect(depth[state]).toBeGreaterThan(depth[before]!);
                standing = applied(standing, [
                  {
                    ...event,
                    value: {
                      ...event.value,
                      outcomes: event.value.outcomes.filter((o) => o.lineId === lineId && o.state === state),
                    },
                  },
                ])!;
                expect(NEXT[before]).toContain(state);
              }
          expect(standing.lines.map(({ line: of }) => of!.terms!.lineId)).toEqual(ids);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('what was taken may come again at any later moment: nothing changes', () => {
    fc.assert(
      fc.property(commands, fc.infiniteStream(fc.nat(2)), (list, dice) => {
        let standing = fresh();
        const taken: ((standing: OrderRow) => OrderEvent[])[] = [];
        for (const command of list) {
          const events = command(standing);
          standing = applied(standing, events)!;
          if (took(events)) taken.push(command);
          for (const repeat of taken)
            if (dice.next().value === 0) {
              const events = repeat(standing);
              // A cancellation of all that can be takes nothing new: what could be was cancelled then.
              expect(took(events)).toBe(false);
              expect(applied(standing, events)).toEqual(standing);
            }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('sellers do not touch each other: any interleaving of theirs ends alike', () => {
    fc.assert(
      fc.property(
        fc.array(ofSeller, { maxLength: 12 }),
        fc.array(ofOther, { maxLength: 12 }),
        fc.infiniteStream(fc.boolean()),
        (ours, theirs, dice) => {
          const run = (list: ((standing: OrderRow) => OrderEvent[])[]) =>
            list.reduce((standing, command) => applied(standing, command(standing))!, fresh());
          const mixed = [];
          let [i, j] = [0, 0];
          while (i < ours.length || j < theirs.length)
            mixed.push(j === theirs.length || (i < ours.length && dice.next().value) ? ours[i++]! : theirs[j++]!);
          expect(run(mixed)).toEqual(run([...ours, ...theirs]));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a refusal leaves no trace', () => {
    fc.assert(
      fc.property(commands, (list) => {
        let standing = fresh();
        for (const command of list) {
          const events = command(standing);
          const next = applied(standing, events)!;
          if (!took(events)) expect(next).toEqual(standing);
          standing = next;
        }
      }),
    );
  });
});

describe('the drawings', () => {
  const drawn = (file: string) =>
    [...readFileSync(new URL(file, import.meta.url), 'utf8').matchAll(/^ {2}(\w+) --> (\w+)/gm)]
      .map(([, from, to]) => `${from} → ${to}`)
      .sort();
  const name = (state: number) =>
    lineStateToJSON(state as LineState)
      .replace('LINE_STATE_', '')
      .toLowerCase();
  const ways = Object.entries(NEXT)
    .flatMap(([from, to]) => to.map((one) => `${name(Number(from))} → ${name(one)}`))
    .sort();

  test.each(['README.md', '../../docs/order-states.md'])('in %s show the ways there are', (file) =>
    expect(drawn(file)).toEqual(ways),
  );
});
