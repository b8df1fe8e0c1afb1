/**
 * How ready a school is, over the wire through a whole gateway: one planted cause a product, each found with the party that must act,
 * by the school with its counts, by everybody else without one under ten.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dutchDay } from '#kernel';
import { LineState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { WithdrawMode } from '#proto/eduk/gateway/v1/entitlement';
import type { ReadinessRequest, ReadinessResponse, ReadinessRow } from '#proto/eduk/gateway/v1/flow';
import { edexml } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { refusedCall } from './told.ts';

let at: TestGateway;
let school: TestParty;
let las: TestParty;
let seller: TestParty;
let platform: TestParty;
let unheard: TestParty;
let stranger: TestParty;
const oin = newSchool();
const PUPILS = 12;
const pupils = Array.from({ length: PUPILS }, (_, i) => i + 1);
const groupOf = (n: number): string => (n <= 9 ? 'g7' : 'g8');

/** Products, each of which stops where its name says. */
const titles = [
  'unconfirmed',
  'declined',
  'ungranted',
  'used-up',
  'counted',
  'unprovisioned',
  'unmandated',
  'blocked',
  'opened',
  'care',
] as const;
type Title = (typeof titles)[number] | 'unknown';

const publish = () =>
  sendAll(
    seller.catalogue.publishProducts(),
    titles.map((id) => ({
      reference: `p-${id}`,
      product: {
        productId: id,
        title: `Boek ${id}`,
        licence: { licensed: true },
        platformOin: id === 'unmandated' ? unheard.oin : platform.oin,
        sensitive: id === 'care',
      },
    })),
  );
const place = (id: Title, of: readonly number[] = pupils) =>
  las.orders.placeOrder({
    reference: `o-${id}`,
    orderId: `o-${id}`,
    schoolOin: oin,
    lines: of.map((n) => ({
      terms: { lineId: `${n}`, productId: id, quantity: 1 },
      learner: { eckId: eckId(n) },
      sellerOin: id === 'unknown' ? '' : seller.oin,
    })),
    waitMs: id === 'unknown' ? 0n : 10_000n,
  });
const say = (id: Title, state: LineState) =>
  seller.orders.confirmOrder({
    reference: `c-${id}`,
    orderId: `o-${id}`,
    outcomes: pupils.map((n) => ({ lineId: `${n}`, state })),
    waitMs: 10_000n,
  });
const grant = (id: Title, of: readonly number[] = pupils, terms: object = {}) =>
  sendAll(
    seller.entitlements.grantEntitlements(),
    of.map((n) => ({
      reference: `e-${id}-${n}`,
      schoolOin: oin,
      holder: { learner: { eckId: eckId(n) } },
      terms: { entitlementId: `e-${id}-${n}`, productId: id, orderId: `o-${id}`, lineId: `${n}`, ...terms },
    })),
  );
const ask = async (as: TestParty, more: Partial<ReadinessRequest> = {}) =>
  as.flows.readiness({ schoolOin: oin, ...more } as ReadinessRequest);
const asOperator = async (more: Partial<ReadinessRequest> = {}, partyOin = '') =>
  (await at.operator.showReadiness({ asked: { schoolOin: oin, ...more } as ReadinessRequest, partyOin })).readiness!;
const n = (count?: { count: number; underTen: boolean; hidden: boolean; atLeast: boolean }): number | string =>
  !count ? '' : count.underTen ? '<10' : count.hidden ? '-' : `${count.count}${count.atLeast ? '+' : ''}`;
const steps = (row: ReadinessRow): string =>
  [row.wanted, row.confirmed, row.granted, row.provisioned, row.opened].map(n).join(' ');
const causes = (row: ReadinessRow): string[] =>
  row.causes.map(({ code, count, partyName }) => `${n(count)} ${code} ${partyName}`);
/** `product: steps; causes`. */
const told = ({ rows }: ReadinessResponse): Record<string, string> =>
  Object.fromEntries(rows.map((row) => [row.productId || row.title, [steps(row), ...causes(row)].join('; ')]));
async function until(ask: () => Promise<unknown>, ms = 60_000): Promise<void> {
  for (const end = Date.now() + ms; ; await sleep(100)) {
    try {
      await ask();
      return;
    } catch (thrown) {
      if (Date.now() > end) throw thrown;
    }
  }
}

beforeAll(async () => {
  at = await startTestGateway();
  school = await at.party('Basisschool De Es', [Role.ROLE_SCHOOL], oin);
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  seller = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  unheard = await at.party('Ver Plein', [Role.ROLE_PLATFORM]);
  stranger = await at.party('Een ander', [Role.ROLE_PLATFORM]);
  const all = [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS];
  await at.mandate(oin, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
  await at.mandate(oin, seller.oin, all);
  await at.mandate(oin, platform.oin, all);
  await at.mandate(oin, stranger.oin, all);
  await at.operator.importRoster([
    {
      chunk: Buffer.from(
        edexml({
          school: oin,
          groups: ['g7', 'g8'],
          pupils: pupils.map((k) => ({ key: `L-${k}`, eckId: eckId(k), group: groupOf(k) })),
        }),
      ),
    },
  ]);
  await publish();
  for (const id of titles) if (id !== 'counted' && id !== 'used-up') await place(id);
  await place('unknown');
  const { LINE_STATE_CONFIRMED, LINE_STATE_REFUSED } = LineState;
  await say('declined', LINE_STATE_REFUSED);
  for (const id of ['ungranted', 'unprovisioned', 'unmandated', 'blocked', 'opened', 'care'] as const)
    await say(id, LINE_STATE_CONFIRMED);
  for (const id of ['unprovisioned', 'unmandated', 'blocked', 'opened', 'care'] as const) await grant(id);
  // A count of two is used up by the third; another count nobody was given anything of.
  for (const [id, count] of [
    ['used-up', 2],
    ['counted', 30],
  ] as const)
    await sendAll(seller.entitlements.grantEntitlements(), [
      { reference: `pool-${id}`, schoolOin: oin, terms: { entitlementId: `pool-${id}`, productId: id, count } },
    ]);
  await grant('used-up', pupils.slice(0, 3), { orderId: '', lineId: '', fromEntitlementId: 'pool-used-up' });
  await seller.entitlements.withdrawEntitlements({
    reference: 'b',
    schoolOin: oin,
    entitlementIds: pupils.map((k) => `e-blocked-${k}`),
    mode: WithdrawMode.WITHDRAW_MODE_BLOCK,
  });
  for (const k of pupils)
    await platform.access.provisionAccess({ reference: `pr-${k}`, schoolOin: oin, entitlementId: `e-opened-${k}` });
  const launch = await platform.access.createLaunch({
    reference: 'l',
    schoolOin: oin,
    learner: { eckId: eckId(1) },
    productId: 'opened',
    waitMs: 10_000n,
  });
  await platform.access.redeemLaunch({ reference: 'r', ticket: launch.ticket, waitMs: 10_000n });
});
afterAll(() => at?.stop());

const exact: Record<string, string> = {
  unknown: '12 0 0 0 0; 12 product.unknown De Leerlijst',
  unconfirmed: '12 0 0 0 0; 12 order.unconfirmed Uitgeverij Wilg',
  declined: '12 0 0 0 0; 12 peer.refused De Leerlijst',
  ungranted: '12 12 0 0 0; 12 entitlement.missing Uitgeverij Wilg',
  'used-up': '3 3 2 0 0; 2 access.unprovisioned Leerplein; 1 count.used_up Uitgeverij Wilg',
  counted: '30 30 30 0 0; 30 entitlement.unassigned Uitgeverij Wilg',
  unprovisioned: '12 12 12 0 0; 12 access.unprovisioned Leerplein',
  unmandated: '12 12 12 0 0; 12 mandate.missing Basisschool De Es',
  blocked: '12 12 0 0 0; 12 entitlement.blocked Uitgeverij Wilg',
  opened: '12 12 12 12 1',
  care: '12 12 12 0 0; 12 access.unprovisioned Leerplein',
};

describe('a school sees', () => {
  test('each planted cause, with its count and the party that must act', async () => {
    await until(async () => expect(told(await ask(school))).toEqual(exact));
  });

  test('whom to ask for what, the most first, and what to do', async () => {
    const { chase, schoolYear, days, daysLeft } = await ask(school, {
      firstDay: dutchDay(Date.now() + 5 * 86_400_000),
    });
    expect(chase.map(({ code, count, partyName }) => `${n(count)} ${code} ${partyName}`)).toEqual([
      '30 entitlement.unassigned Uitgeverij Wilg',
      '26 access.unprovisioned Leerplein',
      '12 entitlement.blocked Uitgeverij Wilg',
      '12 entitlement.missing Uitgeverij Wilg',
      '12 mandate.missing Basisschool De Es',
      '12 order.unconfirmed Uitgeverij Wilg',
      '12 peer.refused De Leerlijst',
      '12 product.unknown De Leerlijst',
      '1 count.used_up Uitgeverij Wilg',
    ]);
    expect(chase.find(({ code }) => code === 'access.unprovisioned')).toMatchObject({ products: 3, who: 'peer' });
    for (const { remedy } of chase) expect(remedy).not.toBe('');
    expect([schoolYear, daysLeft]).toEqual(['2026-2027', 5]);
    expect(days).toMatchObject([{ wanted: 141, opened: 1 }]);
  });

  test('the same by group', async () => {
    const { rows } = await ask(school, { byGroup: true, productId: 'ungranted' });
    expect(rows.map((row) => `${row.groupKey}: ${steps(row)}`).sort()).toEqual(['g7: 9 9 0 0 0', 'g8: 3 3 0 0 0']);
  });

  test('page after page, and nothing of another year', async () => {
    const all: string[] = [];
    for (let cursor = '', first = true; first || cursor !== ''; first = false) {
      const page = await ask(school, { limit: 4, cursor });
      all.push(...page.rows.map(({ productId }) => productId));
      cursor = page.cursor;
    }
    expect(all.sort()).toEqual(Object.keys(exact).sort());
    expect(await ask(school, { schoolYear: '2025-2026' })).toMatchObject({ rows: [], chase: [] });
  });
});

describe('others see', () => {
  test('their own slice, and no count under ten nor one from which it would follow', async () => {
    const ofSeller = told(await ask(seller));
    expect(ofSeller['used-up']).toBe(
      '<10 <10 <10 0 0; <10 access.unprovisioned Leerplein; <10 count.used_up Uitgeverij Wilg',
    );
    expect(ofSeller['opened']).toBe('12 12 12 12 <10');
    // Who would publish it nobody knows: its buyer sees it.
    expect(Object.keys(ofSeller).sort()).toEqual(titles.slice().sort());
    const ofLas = told(await ask(las));
    expect(ofLas['unknown']).toBe(exact['unknown']);
    expect(ofLas['counted']).toBeUndefined();
    expect(Object.keys(told(await ask(platform))).sort()).toEqual(
      ['Sensitive titles', ...titles.filter((id) => id !== 'unmandated' && id !== 'care')].sort(),
    );
    expect(await ask(stranger)).toMatchObject({ rows: [], chase: [], days: [] });
    // As the operator sees it for them.
    expect(told(await asOperator({}, seller.oin))).toEqual(ofSeller);
  });

  test('nothing without a mandate, and no groups', async () => {
    expect(await refusedCall(ask(unheard))).toMatchObject({ code: 'mandate.missing', where: ['school_oin'] });
    expect(await refusedCall(ask(seller, { byGroup: true }))).toMatchObject({ code: 'party.forbidden' });
    expect(await refusedCall(ask(seller, { schoolOin: newSchool() }))).toMatchObject({ code: 'state.missing' });
    expect(await refusedCall(ask(school, { schoolOin: '', byGroup: true }))).toMatchObject({ code: 'wire.invalid' });
    expect(await refusedCall(ask(school, { firstDay: '2026-02-30' }))).toMatchObject({ where: ['first_day'] });
    expect(await refusedCall(ask(school, { schoolYear: '2026-2028' }))).toMatchObject({ where: ['school_year'] });
    expect(await refusedCall(ask(school, { limit: 1001 }))).toMatchObject({ where: ['limit'] });
    const { cursor } = await ask(school, { limit: 1 });
    expect(await refusedCall(ask(las, { limit: 1, cursor }))).toMatchObject({ where: ['cursor'] });
  });

  test('the operator all of it, without sensitive titles, and groups where they are large enough', async () => {
    const all = told(await asOperator());
    const { care, 'used-up': _, opened: __, ...rest } = exact;
    expect(all).toMatchObject({ ...rest, 'Sensitive titles': care });
    expect(all['opened']).toBe('12 12 12 12 <10');
    const { rows } = await asOperator({ byGroup: true, productId: 'ungranted' });
    expect(rows.map((row) => `${row.groupKey}: ${steps(row)}`).sort()).toEqual(['g7: - - - - -', 'g8: - - - - -']);
    // To ask in the name of the school gives no more.
    expect(told(await asOperator({}, oin))['used-up']).toContain('<10');
  });

  test('schools as sums of what is told of their products', async () => {
    const { rows, chase } = (await at.operator.showReadiness({ asked: {} })).readiness!;
    const [row] = rows.filter(({ schoolOin }) => schoolOin === oin);
    expect(steps(row!)).toBe('138+ 102+ 78+ 12 0+');
    expect(chase.length).toBeGreaterThan(5);
    expect((await ask(seller, { schoolOin: '' })).rows).toMatchObject([{ schoolOin: oin, productId: '' }]);
    expect((await ask(unheard, { schoolOin: '' })).rows).toEqual([]);
    expect((await ask(school, { schoolOin: '' })).rows.map(steps)).toEqual(['141 105 80 12 1']);
  });

  test('of a mandate for some sites nothing, for nobody can say which of it is of these', async () => {
    const mandate = {
      schoolOin: oin,
      partyOin: unheard.oin,
      services: [Service.SERVICE_ENTITLEMENT],
      siteCodes: ['01'],
    };
    await at.operator.grantMandate({ mandate, confirm: true });
    expect((await ask(unheard)).rows).toEqual([]);
  });
});

test('what is repaired is gone from the list, and it outlives a restart', async () => {
  await at.mandate(oin, unheard.oin, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS]);
  await say('unconfirmed', LineState.LINE_STATE_CONFIRMED);
  await grant('unconfirmed');
  await at.restart();
  await until(async () => {
    const all = told(await asOperator());
    expect(all['unmandated']).toBe('12 12 12 0 0; 12 access.unprovisioned Ver Plein');
    expect(all['unconfirmed']).toBe('12 12 12 0 0; 12 access.unprovisioned Leerplein');
  });
});
