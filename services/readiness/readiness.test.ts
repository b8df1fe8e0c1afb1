import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Table, type TestBench, testBench } from '#bus';
import { EntitlementState, EntitlementTerms, LineState, LineTerms } from '#proto/eduk/core/v1/ordering';
import { OrderLineEntry } from '#proto/eduk/events/v1/orders';
import { LearnerEntry } from '#proto/eduk/events/v1/rosters';
import { ReadinessServiceDefinition } from '#proto/eduk/readiness/v1/readiness';
import { countedCells } from './cells.ts';
import { readiness } from './index.ts';
import { reached, sharesOf, withoutDrawn } from './need.ts';
import {
  aside,
  cells,
  days,
  merged,
  type Need,
  needOf,
  needs,
  orders,
  pupils,
  type Tally,
  type Total,
  totals,
  years,
} from './tables.ts';

const school = '0000000700001AB00000';
const las = '00000001000000000001';
const seller = '00000001000000000002';
const DAY = 86_400_000;
const YEAR = '2026-2027';
const open = (now: string | number = '2026-06-10T10:00:00Z'): TestBench => testBench(readiness, { now });

interface Line {
  id?: string;
  learner?: string;
  group?: string;
  product?: string;
  quantity?: number;
  endsOn?: string;
}
const linesOf = (lines: readonly Line[]) =>
  lines.map(({ id = '1', learner = '', group = '', product = 'p1', quantity = 1, endsOn = '' }) =>
    OrderLineEntry.fromPartial({
      learner,
      group,
      sellerOin: seller,
      terms: LineTerms.fromPartial({ lineId: id, productId: product, quantity, endsOn }),
    }),
  );
const order = (b: TestBench, name: 'OrderSubmitted' | 'OrderPlaced', orderId: string, ...lines: Line[]) =>
  b.submit(name, { orderId, schoolOin: school, buyerOin: las, lines: linesOf(lines) }, school, { school });
const said = (b: TestBench, orderId: string, state: LineState, lineId = '1', unchanged = false) =>
  b.submit(
    'OrderLinesChanged',
    {
      orderId,
      schoolOin: school,
      buyerOin: las,
      sellerOin: seller,
      outcomes: [{ lineId, state, reason: '', day: '' }],
      unchanged,
    },
    school,
    { school },
  );
interface Grant {
  id?: string;
  learner?: string;
  group?: string;
  product?: string;
  count?: number;
  startsOn?: string;
  endsOn?: string;
  order?: string;
  unchanged?: boolean;
}
const grant = (b: TestBench, more: Grant = {}) => {
  const { id = 'e1', learner = '', group = '', product = 'p1', count = 0, order = '', unchanged = false } = more;
  return b.submit(
    'EntitlementGranted',
    {
      terms: EntitlementTerms.fromPartial({
        entitlementId: id,
        productId: product,
        startsOn: more.startsOn ?? '2026-08-01',
        endsOn: more.endsOn ?? '2027-07-31',
        count,
        orderId: order,
        lineId: order && '1',
      }),
      schoolOin: school,
      holder: { learner, group },
      byOin: seller,
      unchanged,
    },
    learner || school,
    { school },
  );
};
const { ENTITLEMENT_STATE_PROVISIONED, ENTITLEMENT_STATE_USED, ENTITLEMENT_STATE_WITHDRAWN } = EntitlementState;
const changed = (b: TestBench, cause: string, state: EntitlementState, more: Grant = {}) =>
  b.submit(
    'EntitlementChanged',
    {
      entitlementId: more.id ?? 'e1',
      productId: more.product ?? 'p1',
      schoolOin: school,
      holder: { learner: more.learner ?? '', group: more.group ?? '' },
      state,
      cause,
      grantedByOin: seller,
      unchanged: more.unchanged ?? false,
    },
    more.learner || school,
    { school },
  );
const joined = (
  b: TestBench,
  learner: string,
  group: string,
  name: 'LearnerJoined' | 'LearnerMoved' = 'LearnerJoined',
) =>
  b.submit(
    name,
    { schoolOin: school, schoolYear: YEAR, learner: LearnerEntry.fromPartial({ learner, group }) },
    learner,
    { school },
  );

async function board(b: TestBench, more: { byGroup?: boolean; productId?: string; schoolYear?: string } = {}) {
  const { cells } = await b.client(ReadinessServiceDefinition).listNeeds({
    schoolOin: school,
    schoolYear: YEAR,
    byGroup: false,
    productId: '',
    limit: 0,
    after: '',
    ...more,
  });
  return cells;
}
/** `product group: state code=count`, one a cell. */
const told = async (b: TestBench, more: Parameters<typeof board>[1] = {}) =>
  (await board(b, more)).map(
    ({ productId, group, counts }) =>
      `${productId}${group && ` ${group}`}: ${counts.map(({ state, code, count }) => `${state}${code && ` ${code}`}=${count}`).join(' ')}`,
  );

describe('a learner’s licence goes its way', () => {
  test('from the order to the first opening', async () => {
    const b = open();
    order(b, 'OrderSubmitted', 'o1', { learner: 'anna' });
    expect(await told(b)).toEqual(['p1: waiting product.unknown=1']);
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    expect(await told(b)).toEqual(['p1: ordered=1']);
    said(b, 'o1', LineState.LINE_STATE_CONFIRMED);
    expect(await told(b)).toEqual(['p1: confirmed=1']);
    grant(b, { learner: 'anna', order: 'o1' });
    expect(await told(b)).toEqual(['p1: granted=1']);
    changed(b, 'provisioned', ENTITLEMENT_STATE_PROVISIONED, { learner: 'anna' });
    b.advance(70 * DAY);
    changed(b, 'first_used', ENTITLEMENT_STATE_USED, { learner: 'anna' });
    expect(await told(b)).toEqual(['p1: opened=1']);
    const [cell] = await board(b);
    expect(cell).toMatchObject({ buyerOin: las, sellerOin: seller });
    expect(cell!.days).toEqual([
      { day: '2026-06-10', wanted: 1, confirmed: 1, granted: 1, provisioned: 1, opened: 0 },
      { day: '2026-08-19', wanted: 1, confirmed: 1, granted: 1, provisioned: 1, opened: 1 },
    ]);
  });

  test('or stops: refused, declined, cancelled, not granted, blocked, withdrawn, swapped', async () => {
    const b = open();
    order(b, 'OrderSubmitted', 'o1', { learner: 'anna', product: 'a' });
    b.submit(
      'OrderRefused',
      { orderId: 'o1', schoolOin: school, buyerOin: las, code: 'product.unknown', told: '' },
      school,
    );
    order(b, 'OrderPlaced', 'o2', { learner: 'anna', product: 'b' });
    said(b, 'o2', LineState.LINE_STATE_REFUSED);
    order(b, 'OrderPlaced', 'o3', { learner: 'anna', product: 'c' });
    said(b, 'o3', LineState.LINE_STATE_CANCELLED);
    b.submit(
      'GrantRefused',
      {
        entitlementId: 'x',
        productId: 'd',
        schoolOin: school,
        holder: { learner: 'anna', group: '' },
        byOin: seller,
        code: 'count.used_up',
      },
      'anna',
    );
    grant(b, { id: 'e', learner: 'anna', product: 'e' });
    changed(b, 'blocked', EntitlementState.ENTITLEMENT_STATE_BLOCKED, { id: 'e', learner: 'anna', product: 'e' });
    order(b, 'OrderPlaced', 'o6', { learner: 'anna', product: 'f' });
    grant(b, { id: 'f', learner: 'anna', product: 'f' });
    changed(b, 'withdrawn', ENTITLEMENT_STATE_WITHDRAWN, { id: 'f', learner: 'anna', product: 'f' });
    order(b, 'OrderPlaced', 'o7', { learner: 'anna', product: 'g' });
    grant(b, { id: 'g', learner: 'anna', product: 'g' });
    changed(b, 'swapped', ENTITLEMENT_STATE_WITHDRAWN, { id: 'g', learner: 'anna', product: 'g' });
    expect(await told(b)).toEqual([
      'a: refused product.unknown=1',
      'b: declined peer.refused=1',
      'd: not_granted count.used_up=1',
      'e: blocked=1',
      'f: blocked=1',
    ]);
    // What was refused and is sent again, and granted after all, is missing no longer.
    order(b, 'OrderSubmitted', 'o1', { learner: 'anna', product: 'a' });
    order(b, 'OrderPlaced', 'o1', { learner: 'anna', product: 'a' });
    grant(b, { id: 'x', learner: 'anna', product: 'd' });
    expect((await told(b)).slice(0, 1)).toEqual(['a: ordered=1']);
    expect(await told(b, { productId: 'd' })).toEqual(['d: granted=1']);
    expect(await told(b, { productId: 'none' })).toEqual([]);
  });

  test('ordered twice it is one; what is said again changes nothing', async () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    order(b, 'OrderPlaced', 'o2', { learner: 'anna' });
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    said(b, 'o2', LineState.LINE_STATE_CONFIRMED);
    said(b, 'o2', LineState.LINE_STATE_CONFIRMED, '1', true);
    expect(await told(b)).toEqual(['p1: confirmed=1']);
    grant(b, { learner: 'anna' });
    changed(b, 'first_used', ENTITLEMENT_STATE_USED, { learner: 'anna' });
    grant(b, { learner: 'anna', unchanged: true });
    changed(b, 'used', ENTITLEMENT_STATE_USED, { learner: 'anna', unchanged: true });
    expect(await told(b)).toEqual(['p1: opened=1']);
    expect(await told(b.restart())).toEqual(['p1: opened=1']);
  });
});

test('what is alike is said once; needs of the release before, which said each in full, are read as they are', async () => {
  const b = open();
  for (const id of ['e3', 'e1', 'e2']) grant(b, { id, learner: 'anna' });
  const row = b.get(needs, school, 'l:anna', 'p1')!;
  expect(row.rights).toEqual([[expect.objectContaining({ s: 'granted' }), 'e1', 'e2', 'e3']]);
  expect(row.lines).toBeUndefined();
  b.view.note((unit) => unit.put(needs, { ...row, lines: {}, rights: Object.fromEntries(needOf(row).rights) }));
  changed(b, 'first_used', ENTITLEMENT_STATE_USED, { id: 'e2', learner: 'anna' });
  expect(await told(b)).toEqual(['p1: opened=1']);
  expect([...needOf(b.get(needs, school, 'l:anna', 'p1')!).rights].map(([id, { s }]) => `${id} ${s}`)).toEqual([
    'e1 granted',
    'e2 opened',
    'e3 granted',
  ]);
});

describe('how it went', () => {
  const stood = async (b: TestBench) =>
    (await board(b)).flatMap(({ days: all }) => all.map(({ day, wanted, granted }) => [day, wanted, granted]));

  test('a day is written once, on the next day on which something changes', async () => {
    const b = open();
    for (const learner of ['a', 'b', 'c']) order(b, 'OrderPlaced', `o-${learner}`, { learner });
    expect(b.list(days, { equals: [] })).toEqual([]);
    b.advance(2 * DAY);
    grant(b, { id: 'e-a', learner: 'a' });
    expect(b.list(days, { equals: [] })).toMatchObject([{ day: '2026-06-10', counts: { 'l ordered': 3 } }]);
    const before = b.list(days, { equals: [] });
    grant(b, { id: 'e-b', learner: 'b' });
    expect(b.list(days, { equals: [] })).toEqual(before);
    expect(await stood(b)).toEqual([
      ['2026-06-10', 3, 0],
      ['2026-06-12', 3, 2],
    ]);
    for (let i = 0; i < 130; i++) {
      b.advance(DAY);
      changed(b, 'used', i % 2 ? ENTITLEMENT_STATE_USED : ENTITLEMENT_STATE_PROVISIONED, { id: 'e-a', learner: 'a' });
    }
    expect(await stood(b)).toHaveLength(120);
  });

  test('what came and went on one day leaves no row', () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    said(b, 'o1', LineState.LINE_STATE_CANCELLED);
    expect(b.list(totals, { equals: [] })).toEqual([]);
    order(b, 'OrderPlaced', 'o2', { learner: 'anna' });
    b.advance(DAY);
    said(b, 'o2', LineState.LINE_STATE_CANCELLED);
    expect(b.list(totals, { equals: [] })).toMatchObject([{ counts: {}, day: '2026-06-11' }]);
    expect(b.list(days, { equals: [] })).toMatchObject([{ day: '2026-06-10', counts: { 'l ordered': 1 } }]);
  });

  test('what comes and goes within one group stands as it would one by one', () => {
    const [inTurn, grouped] = [open(), open()];
    for (const b of [inTurn, grouped]) {
      joined(b, 'anna', 'g7');
      grant(b, { learner: 'anna' });
      changed(b, 'provisioned', ENTITLEMENT_STATE_PROVISIONED, { learner: 'anna' });
      b.advance(DAY);
      const steps =
        b === inTurn ? b : new Proxy(b, { get: (of, key) => Reflect.get(of, key === 'submit' ? 'append' : key) });
      joined(steps, 'anna', 'g8', 'LearnerMoved');
      b.run();
      changed(steps, 'used', ENTITLEMENT_STATE_USED, { learner: 'anna' });
      changed(steps, 'used', ENTITLEMENT_STATE_PROVISIONED, { learner: 'anna' });
      grant(steps, { id: 'e9', learner: 'bo', product: 'p2' });
      changed(steps, 'swapped', ENTITLEMENT_STATE_WITHDRAWN, { id: 'e9', learner: 'bo', product: 'p2' });
      b.run();
    }
    expect(inTurn.list(days, { equals: [] })).toHaveLength(1);
    for (const table of [cells, totals, days, years] as readonly Table[])
      expect(grouped.list(table, { equals: [] })).toEqual(inTurn.list(table, { equals: [] }));
  });

  test('rows of the release before, with their days in one column, say the same, and move with the next change', async () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    const [{ day: _day, since: _since, ...row }] = b.list(totals, { equals: [] }) as [Total];
    b.view.note((unit) =>
      unit.put(totals, {
        ...row,
        days: [
          ['2026-06-08', { 'l waiting product.unknown': 1 }],
          ['2026-06-10', row.counts],
        ],
      }),
    );
    const old = [
      ['2026-06-08', 1, 0],
      ['2026-06-10', 1, 0],
    ];
    expect(await stood(b)).toEqual(old);
    b.advance(DAY);
    grant(b, { learner: 'anna', order: 'o1' });
    expect(await stood(b)).toEqual([...old, ['2026-06-11', 1, 1]]);
    expect(b.list(totals, { equals: [] })).toMatchObject([{ day: '2026-06-11', since: '2026-06-08', days: undefined }]);
  });
});

describe('who has two tokens', () => {
  const two = (b: TestBench, name: 'LearnersMerged' | 'LearnersMergeUndone') =>
    b.submit(name, { schoolOin: school, winner: 'anna', loser: 'anna2' }, 'anna2', { school });

  test('is counted once, in the class of the first, and twice again when it is undone', async () => {
    const b = open();
    joined(b, 'anna', 'g7');
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    grant(b, { id: 'e2', learner: 'anna2' });
    grant(b, { id: 'e3', learner: 'anna2', product: 'p2' });
    expect(await told(b)).toEqual(['p1: granted=1', 'p1: ordered=1', 'p2: granted=1']);
    two(b, 'LearnersMerged');
    expect(await told(b, { byGroup: true })).toEqual(['p1 g7: granted=1', 'p2 g7: granted=1']);
    changed(b, 'first_used', ENTITLEMENT_STATE_USED, { id: 'e2', learner: 'anna2' });
    joined(b, 'anna', 'g8', 'LearnerMoved');
    b.submit('LearnerLeft', { schoolOin: school, schoolYear: YEAR, learner: 'anna2', leftOn: '2026-06-10' }, 'anna2');
    expect(await told(b, { byGroup: true })).toEqual(['p1 g8: opened=1', 'p2 g8: granted=1']);
    two(b, 'LearnersMergeUndone');
    joined(b, 'anna2', 'g9');
    expect(await told(b, { byGroup: true })).toEqual(['p1 g8: ordered=1', 'p1 g9: opened=1', 'p2 g9: granted=1']);
    expect(b.list(merged, { equals: [] }).filter(({ learner }) => learner !== '')).toEqual([]);
  });

  test('and is forgotten as both', async () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    grant(b, { id: 'e2', learner: 'anna2' });
    two(b, 'LearnersMerged');
    const gone = (learner: string) =>
      b.submit('LearnerForgotten', { schoolOin: school, learner, destroyAtMs: BigInt(b.now() + DAY) }, learner);
    gone('anna');
    expect(await told(b)).toEqual(['p1: granted=1']);
    gone('anna2');
    expect(await told(b)).toEqual([]);
    for (const learner of ['anna2', 'anna'])
      b.submit('LearnerKept', { schoolOin: school, learner }, learner, { school });
    expect(await told(b)).toEqual(['p1: granted=1']);
  });
});

describe('classes', () => {
  test('a learner is counted in the group that the roster says, whichever came first', async () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    joined(b, 'anna', 'g7');
    joined(b, 'bo', 'g7');
    grant(b, { id: 'e2', learner: 'bo' });
    expect(await told(b, { byGroup: true })).toEqual(['p1 g7: granted=1', 'p1 g7: ordered=1']);
    joined(b, 'anna', 'g8', 'LearnerMoved');
    expect(await told(b, { byGroup: true })).toEqual(['p1 g7: granted=1', 'p1 g8: ordered=1']);
    b.submit('LearnerLeft', { schoolOin: school, schoolYear: YEAR, learner: 'bo', leftOn: '2026-06-10' }, 'bo');
    expect(await told(b)).toEqual(['p1: ordered=1']);
    b.submit('LearnerLeft', { schoolOin: school, schoolYear: YEAR, learner: 'anna', leftOn: '2026-09-01' }, 'anna');
    expect(await told(b)).toEqual(['p1: ordered=1']);
    b.advance(83 * DAY);
    expect(await told(b)).toEqual([]);
    joined(b, 'anna', 'g8');
    expect(await told(b)).toEqual(['p1: ordered=1']);
  });
});

describe('by count', () => {
  test('what learners get of their own is taken from what was ordered for all', async () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { quantity: 30 });
    said(b, 'o1', LineState.LINE_STATE_CONFIRMED);
    expect(await told(b)).toEqual(['p1: confirmed=30']);
    for (const learner of ['a', 'b', 'c']) grant(b, { id: `e-${learner}`, learner });
    expect(await told(b)).toEqual(['p1: granted=3', 'p1: confirmed=27']);
    // Granted by count: nobody has one by that.
    grant(b, { id: 'pool', count: 40 });
    expect(await told(b)).toEqual(['p1: granted=3', 'p1: unassigned=37']);
  });

  test('of a group first, then of the school', async () => {
    const b = open();
    for (const learner of ['a', 'b', 'c']) joined(b, learner, 'g7');
    order(b, 'OrderPlaced', 'o1', { group: 'g7', quantity: 2 });
    order(b, 'OrderPlaced', 'o2', { quantity: 5 });
    for (const learner of ['a', 'b', 'c']) grant(b, { id: `e-${learner}`, learner });
    expect(await told(b, { byGroup: true })).toEqual(['p1: ordered=4', 'p1 g7: granted=3']);
    expect(await told(b)).toEqual(['p1: ordered=4', 'p1: granted=3']);
  });

  test('a licence of a whole group is all that was ordered for it', async () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { group: 'g7', quantity: 24 });
    grant(b, { group: 'g7' });
    expect(await told(b, { byGroup: true })).toEqual(['p1 g7: granted=24']);
    changed(b, 'first_used', ENTITLEMENT_STATE_USED, { group: 'g7' });
    expect(await told(b)).toEqual(['p1: opened=24']);
  });
});

describe('school years', () => {
  test('what is ordered in spring without days is for the year to come, unless its entitlement says otherwise', async () => {
    const b = open('2026-03-31T10:00:00Z');
    order(b, 'OrderPlaced', 'now', { learner: 'anna', product: 'now' });
    b.advance(2 * DAY);
    order(b, 'OrderPlaced', 'next', { learner: 'anna', product: 'next' });
    order(b, 'OrderPlaced', 'dated', { learner: 'anna', product: 'dated', endsOn: '2026-07-31' });
    order(b, 'OrderPlaced', 'named', { learner: 'anna', product: 'named' });
    grant(b, {
      id: 'n',
      learner: 'anna',
      product: 'named',
      order: 'named',
      startsOn: '2026-04-02',
      endsOn: '2026-07-31',
    });
    expect(await told(b)).toEqual(['next: ordered=1']);
    expect(await told(b, { schoolYear: '2025-2026' })).toEqual([
      'dated: ordered=1',
      'named: granted=1',
      'now: ordered=1',
    ]);
  });

  test('a licence of several years is ready in each for which something is ordered', async () => {
    const b = open();
    grant(b, { learner: 'anna', startsOn: '2025-08-01', endsOn: '2028-07-31' });
    expect(await told(b)).toEqual([]);
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    expect(await told(b)).toEqual(['p1: granted=1']);
  });

  test('nothing of a year is left on 1 October after it', () => {
    const b = open();
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' }, { id: '2', quantity: 30 });
    joined(b, 'anna', 'g7');
    grant(b, { learner: 'anna' });
    b.advance(Date.parse('2027-09-30T12:00:00Z') - b.now());
    expect(b.list(needs, { equals: [] })).toHaveLength(2);
    b.advance(DAY);
    for (const table of [needs, orders, pupils, cells, totals, days, years] as readonly Table[])
      expect(b.list(table, { equals: [] })).toEqual([]);
    expect(b.parked()).toEqual([]);
  });
});

describe('who is forgotten', () => {
  const forget = (b: TestBench, destroyAtMs: bigint) =>
    b.submit('LearnerForgotten', { schoolOin: school, learner: 'anna', destroyAtMs }, 'anna', { school });
  const filled = () => {
    const b = open();
    joined(b, 'anna', 'g7');
    order(b, 'OrderPlaced', 'o1', { learner: 'anna' });
    grant(b, { learner: 'anna' });
    return b;
  };

  test('is in no count and no row, and what comes later does not bring anybody back', async () => {
    const b = filled();
    forget(b, BigInt(b.now() + DAY));
    expect(await told(b)).toEqual([]);
    b.advance(DAY + 1);
    order(b, 'OrderPlaced', 'o2', { learner: 'anna' });
    const kept: readonly Table[] = [needs, orders, pupils, cells, totals, days, aside];
    const rows = kept.flatMap((table) => [...b.list(table, { equals: [] })]);
    expect(JSON.stringify(rows)).not.toContain('anna');
    expect(await told(b)).toEqual([]);
  });

  test('and is kept after all, is counted as everything said meanwhile', async () => {
    const b = filled();
    forget(b, BigInt(b.now() + 3 * DAY));
    // In either order: the entitlements say that it ended, and that it is there again.
    changed(b, 'forgotten', ENTITLEMENT_STATE_WITHDRAWN, { learner: 'anna' });
    grant(b, { learner: 'anna' });
    b.submit('LearnerKept', { schoolOin: school, learner: 'anna' }, 'anna', { school });
    expect(await told(b, { byGroup: true })).toEqual(['p1 g7: granted=1']);
    said(b, 'o1', LineState.LINE_STATE_CANCELLED);
    expect(b.list(aside, { equals: [] })).toEqual([]);
  });
});

/** What one lane says, in its order. */
type Step = (b: TestBench) => unknown;
const learners = ['a', 'b'] as const;
const products = ['p1', 'p2'] as const;
const orderSteps = fc
  .array(
    fc.record({
      id: fc.constantFrom('o1', 'o2', 'o3'),
      what: fc.constantFrom('sent', 'placed', 'refused', 'confirmed', 'declined', 'cancelled', 'again'),
      holder: fc.constantFrom({ learner: 'a' }, { learner: 'b' }, { group: 'g1' }, {}),
      product: fc.constantFrom(...products),
      quantity: fc.integer({ min: 1, max: 20 }),
    }),
    { maxLength: 12 },
  )
  .map((all) =>
    all.map(
      ({ id, what, holder, product, quantity }): Step =>
        (b) => {
          const line = { ...holder, product, quantity: 'learner' in holder ? 1 : quantity };
          if (what === 'sent') return order(b, 'OrderSubmitted', id, line);
          if (what === 'placed') return order(b, 'OrderPlaced', id, line);
          if (what === 'refused')
            return b.submit(
              'OrderRefused',
              { orderId: id, schoolOin: school, buyerOin: las, code: 'state.conflict' },
              school,
            );
          if (what === 'again') return said(b, id, LineState.LINE_STATE_CONFIRMED, '1', true);
          const state = what === 'confirmed' ? 2 : what === 'declined' ? 3 : 5;
          return said(b, id, state as LineState);
        },
    ),
  );
const rightSteps = (holder: { learner?: string; group?: string }) =>
  fc
    .array(
      fc.record({
        id: fc.constantFrom('e1', 'e2'),
        product: fc.constantFrom(...products),
        what: fc.constantFrom(
          'granted',
          'again',
          'refused',
          'provisioned',
          'used',
          'blocked',
          'withdrawn',
          'swapped',
          'expired',
        ),
        count: fc.constantFrom(0, 0, 5),
      }),
      { maxLength: 6 },
    )
    .map((all) =>
      all.map(
        ({ id, product, what, count }): Step =>
          (b) => {
            const about = { ...holder, id: `${id}-${holder.learner ?? holder.group ?? ''}`, product };
            if (what === 'granted') return grant(b, { ...about, count: holder.learner ? 0 : count });
            if (what === 'again') return grant(b, { ...about, unchanged: true });
            if (what === 'refused')
              return b.submit(
                'GrantRefused',
                {
                  entitlementId: about.id,
                  productId: product,
                  schoolOin: school,
                  holder: { learner: holder.learner ?? '', group: holder.group ?? '' },
                  byOin: seller,
                  code: 'count.used_up',
                },
                holder.learner || school,
              );
            const states = { provisioned: 2, used: 3, expired: 4, withdrawn: 5, swapped: 5, blocked: 6 } as const;
            return changed(b, what, states[what as keyof typeof states], about);
          },
      ),
    );
const rosterSteps = (learner: string) =>
  fc
    .array(fc.constantFrom('g1', 'g2', 'left', 'forgotten', 'kept', ...(learner === 'b' ? ['one', 'two'] : [])), {
      maxLength: 5,
    })
    .map((all) =>
      all.map(
        (what): Step =>
          (b) => {
            const about = { schoolOin: school, learner };
            if (what === 'left')
              return b.submit('LearnerLeft', { ...about, schoolYear: YEAR, leftOn: '2026-06-10' }, learner);
            if (what === 'forgotten')
              return b.submit('LearnerForgotten', { ...about, destroyAtMs: BigInt(b.now() + DAY) }, learner);
            if (what === 'kept') return b.submit('LearnerKept', about, learner);
            const both = { schoolOin: school, winner: 'a', loser: learner };
            if (what === 'one') return b.submit('LearnersMerged', both, learner);
            if (what === 'two') return b.submit('LearnersMergeUndone', both, learner);
            return joined(b, learner, what);
          },
      ),
    );

/** Counts as they follow from the rows of needs. */
function recount(b: TestBench): Record<string, Tally> {
  const found: Record<string, Tally> = {};
  const winner = (holder: string): string => {
    const row = holder.startsWith('l:') ? b.get(merged, school, holder.slice(2)) : undefined;
    return row ? `l:${row.winner}` : holder;
  };
  const people = Map.groupBy(
    b.list(needs, { equals: [] }).map(needOf),
    ({ holder, product }) => `${winner(holder)} ${product}`,
  );
  const all = [...people.values()].map(
    (some): Need => ({
      ...some[0]!,
      holder: winner(some[0]!.holder),
      lines: new Map(some.flatMap(({ lines }) => [...lines])),
      rights: new Map(some.flatMap(({ rights }) => [...rights])),
    }),
  );
  for (const need of all) {
    const isLearner = need.holder.startsWith('l:');
    const groups = isLearner ? (b.get(pupils, school, need.holder.slice(2))?.years ?? {}) : {};
    for (const { year, buyer, seller, state, code, count, counted, drawn } of sharesOf(need, isLearner)) {
      const group = isLearner ? (groups[year] ?? '') : need.holder.slice(2);
      if (isLearner && group === '-') continue;
      const tally = (found[[school, year, need.product, group, buyer, seller].join('|')] ??= {});
      const name = `${counted ? 'c' : 'l'} ${state}${code && ` ${code}`}`;
      tally[name] = (tally[name] ?? 0) + count;
      if (drawn) tally['d'] = (tally['d'] ?? 0) + 1;
    }
  }
  return found;
}
const counted = (b: TestBench): Record<string, Tally> =>
  Object.fromEntries(
    b
      .list(cells, { equals: [] })
      .map(({ school, year, product, group, buyer, seller, counts }) => [
        [school, year, product, group, buyer, seller].join('|'),
        counts,
      ]),
  );

test('whatever happens, and in whatever order streams are read, counts are those of the needs, and each step holds the next', () => {
  fc.assert(
    fc.property(
      fc.tuple(
        orderSteps,
        ...learners.flatMap((learner) => [rightSteps({ learner }), rosterSteps(learner)]),
        rightSteps({ group: 'g1' }),
        rightSteps({}),
      ),
      fc.infiniteStream(fc.nat(97)),
      (lanes, pick) => {
        const inTurn = open();
        for (const lane of lanes) for (const step of lane) step(inTurn);
        const grouped = open();
        // Nothing is decided before the step that says so: everything until there is one group.
        const waits = new Proxy(grouped, { get: (of, key) => Reflect.get(of, key === 'submit' ? 'append' : key) });
        for (const lane of lanes)
          for (const step of lane) {
            step(waits);
            if (pick.next().value! % 3 === 0) grouped.run();
          }
        grouped.run();
        const mixed = open();
        const rest = lanes.map((lane) => [...lane]);
        for (;;) {
          const left = rest.filter((lane) => lane.length > 0);
          if (left.length === 0) break;
          left[pick.next().value! % left.length]!.shift()!(mixed);
        }
        for (const b of [inTurn, mixed, grouped]) {
          expect(b.parked()).toEqual([]);
          expect(counted(b)).toEqual(recount(b));
          const sums: Record<string, Tally> = {};
          for (const [name, counts] of Object.entries(counted(b))) {
            const parts = name.split('|');
            const total = (sums[[...parts.slice(0, 3), ...parts.slice(4)].join('|')] ??= {});
            for (const [cell, n] of Object.entries(counts)) {
              expect(n).toBeGreaterThan(0);
              total[cell] = (total[cell] ?? 0) + n;
            }
          }
          for (const { school, year, product, buyer, seller, counts } of b.list(totals, { equals: [] }))
            expect(counts).toEqual(sums[[school, year, product, buyer, seller].join('|')] ?? {});
          for (const byGroup of [true, false])
            for (const product of products) {
              const rows = b.list(cells, { equals: [school, YEAR, product] });
              const shown = countedCells(rows, byGroup);
              for (const { counts } of shown) {
                const steps = reached(counts);
                expect(steps[0]).toBe(Object.values(counts).reduce((sum, n) => sum + n, 0));
                for (let i = 1; i < steps.length; i++) expect(steps[i]).toBeLessThanOrEqual(steps[i - 1]!);
              }
            }
        }
        // What an order says of a line whose learner waits to be forgotten is not heard: then it matters what came first.
        if (!isForgotten(lanes)) expect(counted(mixed)).toEqual(counted(inTurn));
      },
    ),
    { numRuns: 150 },
  );
});
const isForgotten = (lanes: readonly (readonly Step[])[]): boolean => {
  let seen = false;
  const probe = new Proxy({} as TestBench, {
    get: (_, key) => (key === 'now' ? () => 0 : (name: string) => (seen ||= name === 'LearnerForgotten')),
  });
  for (const lane of lanes) for (const step of lane) step(probe);
  return seen;
};

test('what is drawn comes off what was granted by count, then off what was ordered', () => {
  expect(withoutDrawn({ ordered: 3, unassigned: 2, granted: 9 }, 4)).toEqual({
    left: { ordered: 1, granted: 9 },
    over: 0,
  });
  expect(withoutDrawn({ granted: 9 }, 4)).toEqual({ left: { granted: 9 }, over: 4 });
});
