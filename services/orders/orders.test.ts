import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryStore, testBench } from '#bus';
import { LineState } from '#proto/eduk/core/v1/ordering';
import { Product, ProductState } from '#proto/eduk/core/v1/product';
import { OrderCancelSubmitted, OrderConfirmSubmitted, OrderSubmitted } from '#proto/eduk/events/v1/orders';
import { GetOrderRequest, ListOrdersRequest, OrdersServiceDefinition } from '#proto/eduk/orders/v1/orders';
import { orders } from './index.ts';
import { entriesTable, linesAside } from './tables.ts';

const SCHOOL = '0000000700001AB00000';
const BUYER = '00000003111111110000';
const [SELLER, OTHER] = ['00000003222222220000', '00000003333333330000'];
const {
  LINE_STATE_PLACED: PLACED,
  LINE_STATE_CONFIRMED: CONFIRMED,
  LINE_STATE_DELIVERED: DELIVERED,
  LINE_STATE_CANCELLED: CANCELLED,
} = LineState;
const HOUR = 3_600_000;

type Wish = { lineId?: string; productId?: string; learner?: string; sellerOin?: string; endsOn?: string };
const sent = (orderId: string, wishes: Wish[], more: Partial<OrderSubmitted> = {}) =>
  OrderSubmitted.fromPartial({
    orderId,
    schoolOin: SCHOOL,
    buyerOin: BUYER,
    ...more,
    lines: wishes.map(({ lineId, productId, learner, sellerOin, endsOn }, i) => ({
      terms: { lineId: lineId ?? String(i + 1), productId: productId ?? 'book', quantity: 1, endsOn },
      learner,
      sellerOin,
    })),
  });

function start(options: Parameters<typeof testBench>[1] = {}) {
  const bench = testBench(orders, options);
  const client = bench.client(OrdersServiceDefinition);
  return {
    bench,
    publish: (productId: string, publisherOin = SELLER, state: ProductState = ProductState.PRODUCT_STATE_AVAILABLE) =>
      bench.submit('ProductPublished', { product: Product.fromPartial({ productId, publisherOin, state }) }, productId),
    place: (orderId: string, wishes: Wish[], more: Partial<OrderSubmitted> = {}) =>
      bench.submit('OrderSubmitted', sent(orderId, wishes, more), more.schoolOin ?? SCHOOL, {
        school: more.schoolOin ?? SCHOOL,
      }),
    confirm: (orderId: string, outcomes: [string, LineState][], sellerOin = SELLER) =>
      bench.submit(
        'OrderConfirmSubmitted',
        OrderConfirmSubmitted.fromPartial({
          orderId,
          schoolOin: SCHOOL,
          sellerOin,
          outcomes: outcomes.map(([lineId, state]) => ({ lineId, state })),
        }),
        SCHOOL,
        { school: SCHOOL },
      ),
    cancel: (orderId: string, ...lineIds: string[]) =>
      bench.submit(
        'OrderCancelSubmitted',
        OrderCancelSubmitted.fromPartial({ orderId, schoolOin: SCHOOL, buyerOin: BUYER, lineIds }),
        SCHOOL,
        { school: SCHOOL },
      ),
    forget: (learner: string) =>
      bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner, destroyAtMs: 0n }, learner, { school: SCHOOL }),
    waits: (learner: string) =>
      bench.submit(
        'LearnerForgotten',
        { schoolOin: SCHOOL, learner, destroyAtMs: BigInt(bench.now() + 72 * 3_600_000) },
        learner,
        { school: SCHOOL },
      ),
    keep: (learner: string) => bench.submit('LearnerKept', { schoolOin: SCHOOL, learner }, learner, { school: SCHOOL }),
    get: async (orderId: string, partyOin = BUYER, buyerOin = '') =>
      (await client.getOrder(GetOrderRequest.fromPartial({ orderId, partyOin, buyerOin }))).orders,
    list: async (filter: Partial<ListOrdersRequest>) => client.listOrders(ListOrdersRequest.fromPartial(filter)),
    types: () => bench.events().map(({ name }) => name),
  };
}

describe('an order', () => {
  test('is placed, told to its learners, and confirmed', async () => {
    const { bench, publish, place, confirm, get, types } = start();
    publish('book');
    const flow = place('o1', [{}, { learner: 'tok1' }]);
    expect(types()).toEqual(['OrderPlaced', 'LearnerLineOrdered']);
    expect(bench.events().map(({ key, flowId, school }) => [key, flowId, school])).toEqual([
      [SCHOOL, flow, SCHOOL],
      ['tok1', flow, SCHOOL],
    ]);
    confirm('o1', [['1', CONFIRMED]]);
    const [order] = await get('o1');
    expect(order).toMatchObject({ outcome: 'placed', flowId: flow, placedMs: BigInt(bench.now()) });
    expect(order!.lines.map(({ state, byOin, line }) => [state, byOin, line!.sellerOin])).toEqual([
      [CONFIRMED, SELLER, SELLER],
      [PLACED, '', SELLER],
    ]);
  });

  test('waits for its product, says so, and is placed when it comes', async () => {
    const { bench, publish, place, get, types } = start();
    publish('book');
    const flow = place('o1', [{}, { productId: 'new' }, { productId: 'newer' }]);
    place('o2', [{}]);
    expect(types()).toEqual(['OrderPlaced']); // The other order of the school does not wait.
    expect(await get('o1')).toMatchObject([
      { outcome: 'waiting', waitsFor: ['new', 'newer'], flowId: flow, lines: [{}, {}, {}] },
    ]);
    expect(await get('o1', SELLER)).toEqual([]);
    publish('new');
    expect(await get('o1')).toMatchObject([{ outcome: 'waiting', waitsFor: ['newer'] }]);
    publish('newer', OTHER);
    expect(await get('o1')).toMatchObject([{ outcome: 'placed', waitsFor: [], flowId: flow }]);
    expect(bench.waiting()).toEqual([]);
  });

  test('is refused when its product does not come within 24 hours, and may be sent again', async () => {
    const { bench, publish, place, get, types } = start();
    place('o1', [{ productId: 'new' }]);
    bench.advance(24 * HOUR - 1);
    expect(types()).toEqual([]);
    bench.advance(1);
    expect(bench.events('OrderRefused').map(({ value }) => value.code)).toEqual(['product.unknown']);
    expect(await get('o1')).toMatchObject([{ outcome: 'refused', code: 'product.unknown' }]);
    place('o1', [{ productId: 'new' }]);
    expect(await get('o1')).toMatchObject([{ outcome: 'waiting' }]);
    publish('new');
    expect(await get('o1')).toMatchObject([{ outcome: 'placed', code: '' }]);
  });

  test('a second product does not win another day', () => {
    const { bench, publish, place, types } = start();
    place('o1', [{ productId: 'new' }, { productId: 'never' }]);
    bench.advance(20 * HOUR);
    publish('new');
    bench.advance(4 * HOUR);
    expect(types()).toEqual(['OrderRefused']);
  });

  test('what its buyer says stays behind it while it waits', async () => {
    const { publish, place, cancel, get, types } = start();
    place('o1', [{ productId: 'new' }]);
    cancel('o1');
    expect(types()).toEqual([]);
    publish('new');
    expect(types()).toEqual(['OrderPlaced', 'OrderLinesChanged']);
    expect((await get('o1'))[0]!.lines[0]!.state).toBe(CANCELLED);
  });

  test('sent again: the same changes nothing, another is refused; both flows have an answer', async () => {
    const { bench, publish, place, get } = start();
    publish('book');
    place('o1', [{}]);
    bench.clear();
    const same = place('o1', [{}]);
    const other = place('o1', [{}, {}]);
    expect(bench.events().map(({ name, flowId }) => [name, flowId])).toEqual([
      ['OrderLinesChanged', same],
      ['OrderRefused', other],
    ]);
    expect(bench.events('OrderLinesChanged')[0]!.value).toMatchObject({ unchanged: true, outcomes: [] });
    expect((await get('o1'))[0]!.lines).toHaveLength(1);
  });

  test('of a withdrawn product is refused; lines ordered before stand', async () => {
    const { publish, place, get } = start();
    publish('book');
    place('o1', [{}]);
    publish('book', SELLER, ProductState.PRODUCT_STATE_WITHDRAWN);
    place('o2', [{}]);
    expect(await get('o1')).toMatchObject([{ outcome: 'placed' }]);
    expect(await get('o2')).toMatchObject([{ outcome: 'refused', code: 'state.conflict' }]);
  });
});

describe('a confirmation', () => {
  test('that comes before its order waits for it, and holds up nothing', async () => {
    const { bench, publish, place, confirm, get } = start();
    publish('book');
    confirm('o1', [['1', CONFIRMED]]);
    confirm('o1', [['1', DELIVERED]]);
    expect(bench.waiting().map(({ what }) => what)).toEqual([`order:${SCHOOL}/o1`, '']);
    place('o1', [{}]);
    expect((await get('o1'))[0]!.lines[0]!.state).toBe(DELIVERED);
  });

  test('of an order that never comes is refused after a minute', () => {
    const { bench, confirm } = start();
    confirm('o1', [['1', CONFIRMED]]);
    bench.advance(60_000);
    expect(bench.events('OrderChangeRefused').map(({ value }) => [value.code, value.byOin])).toEqual([
      ['state.missing', SELLER],
    ]);
  });
});

describe('reading', () => {
  test('a seller sees its own lines, a stranger nothing, the operator all', async () => {
    const { publish, place, get, list } = start();
    publish('book');
    publish('atlas', OTHER);
    place('o1', [{}, { productId: 'atlas' }]);
    expect((await get('o1', OTHER))[0]!.lines.map(({ line }) => line!.terms!.productId)).toEqual(['atlas']);
    expect(await get('o1', '00000003999999990000')).toEqual([]);
    expect((await get('o1', ''))[0]!.lines).toHaveLength(2);
    // A filter does not tell what another sells.
    expect((await list({ partyOin: OTHER, productId: 'book' })).orders).toEqual([]);
    expect((await list({ partyOin: OTHER, productId: 'atlas' })).orders).toHaveLength(1);
  });

  test('a refused order is its buyer’s alone', async () => {
    const { publish, place, get, list } = start();
    publish('book', SELLER, ProductState.PRODUCT_STATE_WITHDRAWN);
    place('o1', [{ sellerOin: SELLER }]);
    expect(await get('o1', SELLER)).toEqual([]);
    expect((await list({ partyOin: SELLER })).orders).toEqual([]);
    expect(await get('o1', BUYER)).toHaveLength(1);
  });

  test('two buyers with one order id', async () => {
    const { publish, place, get } = start();
    publish('book');
    place('o1', [{}]);
    place('o1', [{}], { buyerOin: OTHER });
    expect(await get('o1', '')).toHaveLength(2);
    expect(await get('o1', SELLER)).toHaveLength(2);
    expect(await get('o1', SELLER, OTHER)).toMatchObject([{ buyerOin: OTHER }]);
    expect(await get('o1', BUYER)).toMatchObject([{ buyerOin: BUYER }]);
  });

  test('pages through what a party buys and sells, by school, product and learner, each once', async () => {
    const { publish, place, list } = start();
    publish('book');
    publish('atlas', OTHER);
    const school2 = '0000000700002CD00000';
    for (let i = 0; i < 25; i++)
      place(
        `o${i}`,
        [{ learner: i % 5 === 0 ? 'tok1' : '' }, { productId: i % 2 ? 'atlas' : 'book' }],
        i % 3 === 0 ? { buyerOin: OTHER } : i % 7 === 0 ? { schoolOin: school2 } : {},
      );
    const all = async (filter: Partial<ListOrdersRequest>) => {
      const found: string[] = [];
      let next = '';
      do {
        const page = await list({ ...filter, limit: 4, after: next });
        expect(page.orders.length).toBeLessThanOrEqual(4);
        found.push(...page.orders.map(({ buyerOin, orderId }) => `${buyerOin}/${orderId}`));
        next = page.next;
      } while (next !== '');
      expect(found).toEqual([...new Set(found)].sort());
      return found.length;
    };
    expect(await all({})).toBe(25);
    expect(await all({ partyOin: BUYER })).toBe(16);
    expect(await all({ partyOin: SELLER })).toBe(25);
    expect(await all({ partyOin: OTHER })).toBe(17); // 9 bought, 12 sold, 4 of them both.
    publish('map', BUYER);
    for (let i = 0; i < 9; i++) place(`m${i}`, [{ productId: 'map' }], { buyerOin: OTHER });
    expect(await all({ partyOin: BUYER })).toBe(25);
    expect(await all({ schoolOin: school2 })).toBe(2);
    expect(await all({ productId: 'atlas' })).toBe(12);
    expect(await all({ learner: 'tok1' })).toBe(5);
    expect(await all({ learner: 'tok1', partyOin: BUYER, productId: 'atlas' })).toBe(1);
    expect(await all({ learner: 'tok9' })).toBe(0);
  });
});

describe('a learner', () => {
  test('of more orders than are told is told of so many, and that they do not go back', async () => {
    const { bench, publish, place } = start();
    publish('book');
    place('stands', [{ learner: 'anna' }]);
    const subjects = () => bench.client(OrdersServiceDefinition).listSubjects({ schoolOin: SCHOOL, learner: 'anna' });
    expect(await subjects()).toMatchObject({ subjects: [{ subject: 'stands' }], coveredFromMs: 0n });
    for (let i = 0; i < 1_000; i++)
      bench.append('OrderSubmitted', sent(`waits-${i}`, [{ learner: 'anna', productId: 'unknown' }]), SCHOOL, {
        school: SCHOOL,
      });
    bench.run();
    const told = await subjects();
    expect([told.subjects.length, told.coveredFromMs]).toEqual([1_000, BigInt(bench.now())]);
  });

  test('of two tokens is found in orders by either, and the same order sent by the other number is the same', async () => {
    const { bench, publish, place, list, types } = start();
    publish('book');
    place('o1', [{ learner: 'anna' }, { learner: 'ben' }]);
    place('o2', [{ learner: 'second' }]);
    const two = { schoolOin: SCHOOL, winner: 'anna', loser: 'second' };
    const found = async (learner: string) =>
      (await list({ schoolOin: SCHOOL, learner })).orders.map(({ orderId }) => orderId).sort();
    expect([await found('anna'), await found('second')]).toEqual([['o1'], ['o2']]);
    bench.submit('LearnersMerged', two, 'second', { school: SCHOOL });
    expect([await found('anna'), await found('second'), await found('ben')]).toEqual([
      ['o1', 'o2'],
      ['o1', 'o2'],
      ['o1'],
    ]);
    // Its buyer and its sellers send messages about an order.
    const asked = { schoolOin: SCHOOL, learner: 'second' };
    expect(await bench.client(OrdersServiceDefinition).listSubjects(asked)).toEqual({
      subjects: ['o1', 'o2'].map((subject) => ({ subject, partyOins: [BUYER, SELLER], services: [] })),
      coveredFromMs: 0n,
    });
    bench.clear();
    place('o2', [{ learner: 'anna' }]);
    place('o2', [{ learner: 'ben' }]);
    expect(types()).toEqual(['OrderLinesChanged', 'OrderRefused']);
    expect(bench.events('OrderLinesChanged')[0]!.value).toMatchObject({ unchanged: true });
    bench.submit('LearnersMergeUndone', two, 'second', { school: SCHOOL });
    expect([await found('anna'), await found('second')]).toEqual([['o1'], ['o2']]);
    bench.clear();
    place('o2', [{ learner: 'anna' }]);
    expect(types()).toEqual(['OrderRefused']);
  });

  test('that is forgotten leaves every line, also of orders under way', async () => {
    const { bench, publish, place, forget, get, list } = start();
    publish('book');
    place('o1', [{ learner: 'tok1' }, { learner: 'tok2' }]);
    place('o2', [{ learner: 'tok1', productId: 'new' }]);
    place('o3', [{ learner: 'tok1', productId: 'never' }]);
    forget('tok1');
    expect((await get('o1'))[0]!.lines.map(({ line }) => line!.learner)).toEqual(['', 'tok2']);
    publish('new');
    expect(await get('o2')).toMatchObject([{ outcome: 'refused', code: 'learner.unknown' }]);
    bench.advance(24 * HOUR);
    expect(await get('o3')).toMatchObject([{ outcome: 'refused', code: 'product.unknown' }]);
    expect((await list({ learner: 'tok1' })).orders).toEqual([]);
    expect(bench.list(entriesTable, { equals: ['learner', 'tok1'] })).toEqual([]);
    for (const id of ['o1', 'o2', 'o3'])
      expect(JSON.stringify(await get(id), (_, v) => (typeof v === 'bigint' ? String(v) : v))).not.toContain('tok1');
  });

  test('leaves the lines when the school year of their use is over', async () => {
    const { bench, publish, place, get } = start({ now: '2027-04-01T08:00:00Z' });
    publish('book');
    for (let i = 0; i < 250; i++) place(`a${i}`, [{ learner: `tok${i}` }]);
    place('b', [{ learner: 'tok1', endsOn: '2028-07-31' }]);
    bench.advance(Date.parse('2027-07-31T21:59:59Z') - bench.now());
    expect((await get('a0'))[0]!.lines[0]!.line!.learner).toBe('tok0');
    bench.advance(2_000);
    for (let i = 0; i < 250; i++) expect((await get(`a${i}`))[0]!.lines[0]!.line!.learner).toBe('');
    expect((await get('b'))[0]!.lines[0]!.line!.learner).toBe('tok1');
    bench.advance(366 * 24 * HOUR);
    expect((await get('b'))[0]!.lines[0]!.line!.learner).toBe('');
  });
});

test('an order leaves at the end of the year in which its seven years are over', async () => {
  const { bench, publish, place, list } = start({ now: '2026-08-17T08:00:00Z' });
  publish('book');
  for (let i = 0; i < 250; i++) place(`o${i}`, [{ learner: i % 2 ? 'tok1' : '' }]);
  bench.advance(Date.parse('2033-12-31T22:59:59Z') - bench.now());
  expect((await list({ limit: 1000 })).orders).toHaveLength(250);
  place('young', [{}]);
  bench.advance(2_000);
  expect((await list({})).orders.map(({ orderId }) => orderId)).toEqual(['young']);
  expect(bench.list(entriesTable, { equals: [] })).toHaveLength(2);
});

test('any interleaving of products, orders, answers and restarts ends alike for each order', async () => {
  const step = fc.constantFrom(
    'publish book',
    'publish atlas',
    'place',
    'confirm',
    'confirm other',
    'deliver',
    'cancel',
    'restart',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 15 }), async (steps) => {
      const run = async (restarts: boolean, batched: boolean) => {
        const store = new MemoryStore();
        let at = start({ store });
        for (const what of steps) {
          if (what === 'publish book') at.publish('book');
          if (what === 'publish atlas') at.publish('atlas', OTHER);
          if (what === 'place') {
            at.place('o1', [{}, { productId: 'atlas' }]);
            if (batched) at.place('o1', [{}, { productId: 'atlas' }]);
          }
          if (what === 'confirm') at.confirm('o1', [['1', CONFIRMED]]);
          if (what === 'confirm other') at.confirm('o1', [['2', CONFIRMED]], OTHER);
          if (what === 'deliver') at.confirm('o1', [['1', DELIVERED]]);
          if (what === 'cancel') at.cancel('o1');
          if (what === 'restart' && restarts) at = start({ store, now: at.bench.now() });
        }
        at.publish('book');
        at.publish('atlas', OTHER);
        at.bench.advance(25 * HOUR);
        expect(at.bench.parked()).toEqual([]);
        expect(at.bench.waiting()).toEqual([]);
        const found = await at.get('o1');
        expect(found).toHaveLength(steps.includes('place') ? 1 : 0);
        return { lines: found[0]?.lines, placed: at.bench.events('OrderPlaced').length };
      };
      const plain = await run(false, false);
      expect(await run(true, false)).toEqual(plain);
      expect(await run(false, true)).toEqual(plain);
      expect(plain.placed).toBe(steps.includes('place') ? 1 : 0);
    }),
    { numRuns: 60 },
  );
});

test('any order id of the grammar is found by itself only', async () => {
  const { publish, place, get } = start();
  publish('book');
  place('slow/b', [{ productId: 'new' }]);
  const ids = ['a/b', 'b', '2026:x', 'x@y+z#-._'];
  for (const id of ids) place(id, [{}]);
  for (const id of [...ids, 'slow/b']) expect((await get(id)).map(({ orderId }) => orderId)).toEqual([id]);
});

describe('a forgetting that is taken back', () => {
  test('gives lines their learner back, whatever became of them; new orders may name it', async () => {
    const { publish, place, confirm, waits, keep, get, bench } = start();
    publish('book');
    place('o1', [{}, { learner: 'tok1' }, { learner: 'tok2' }]);
    waits('tok1');
    expect((await get('o1'))[0]!.lines.map(({ line }) => line!.learner)).toEqual(['', '', 'tok2']);
    confirm('o1', [['2', CONFIRMED]]);
    keep('tok1');
    expect((await get('o1'))[0]!.lines.map(({ line, state }) => [line!.learner, state])).toEqual([
      ['', PLACED],
      ['tok1', CONFIRMED],
      ['tok2', PLACED],
    ]);
    bench.clear();
    place('o2', [{ learner: 'tok1' }]);
    expect(bench.events('OrderPlaced')).toHaveLength(1);
    waits('tok1');
    bench.advance(73 * 3_600_000);
    expect(bench.list(linesAside, { equals: [] })).toEqual([]);
  });
});
