import { afterAll, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let distributor: TestParty;
const school = newSchool();

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  distributor = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_RESULT]);
  await at.mandate(school, publisher.oin, [
    Service.SERVICE_ORDER,
    Service.SERVICE_ENTITLEMENT,
    Service.SERVICE_ACCESS,
    Service.SERVICE_RESULT,
    Service.SERVICE_USAGE,
  ]);
  await at.mandate(school, distributor.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
});
afterAll(() => at?.stop());

test('one order travels from catalogue to launch and result', async () => {
  const [ack] = await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: 'p1',
      product: {
        productId: '9789000000019',
        title: 'Rekenen voor reuzen',
        accessUrl: 'https://wilg.example/reuzen',
        licence: { licensed: true },
      },
    },
  ]);
  expect(ack!.refusals).toEqual([]);
  const placed = await las.orders.placeOrder({
    reference: 'o1',
    orderId: 'order-1',
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId: '9789000000019', quantity: 1 }, learner: { eckId: eckId(1) } }],
    waitMs: 5000n,
  });
  expect(placed.decision).toMatchObject({ outcome: 'OrderPlaced' });
  expect(placed.receipt!.leaf.length).toBe(32);
  const [seen] = await readUntil(publisher.orders.watchOrders({}), (all) => all.length === 1);
  expect(seen).toMatchObject({
    change: 'placed',
    order: { orderId: 'order-1', lines: [{ line: { learner: { eckId: eckId(1), lasKey: '' } } }] },
  });
  const confirmed = await publisher.orders.confirmOrder({
    reference: 'c1',
    orderId: 'order-1',
    outcomes: [{ lineId: '1', state: 2 }],
    waitMs: 5000n,
  });
  expect(confirmed.decision).toMatchObject({ outcome: 'OrderLinesChanged', code: '' });
  const grants = await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: 'g1',
      schoolOin: school,
      holder: { learner: { eckId: eckId(1) } },
      terms: { entitlementId: 'ent-1', productId: '9789000000019', orderId: 'order-1', lineId: '1' },
    },
  ]);
  expect(grants.at(-1)).toMatchObject({ through: 0n, refusals: [] });
  const launch = await publisher.access.createLaunch({
    reference: 'l1',
    schoolOin: school,
    learner: { eckId: eckId(1) },
    productId: '9789000000019',
  });
  expect(launch.decision).toMatchObject({ outcome: 'LaunchCreated' });
  expect(launch.launchUrl).toMatch(/^https:\/\/wilg\.example\/reuzen#ticket=/);
  const redeemed = await publisher.access.redeemLaunch({ reference: 'r1', ticket: launch.ticket });
  expect(redeemed).toMatchObject({ schoolOin: school, productId: '9789000000019', learner: { eckId: eckId(1) } });
  const again = await publisher.access.redeemLaunch({ reference: 'r2', ticket: launch.ticket });
  expect(again.decision).toMatchObject({ code: 'launch.spent' });
  const results = await sendAll(publisher.results.returnResults(), [
    {
      reference: 'x1',
      schoolOin: school,
      result: {
        resultId: 'res-1',
        learner: { eckId: eckId(1) },
        productId: '9789000000019',
        kind: 3,
        payload: { activityId: 't1', score: 8, scoreMax: 10, donePercent: 100 },
      },
    },
  ]);
  expect(results.at(-1)!.refusals).toEqual([]);
  const [back] = await readUntil(las.results.watchResults({}), (all) => all.length === 1);
  expect(back!.record).toMatchObject({
    result: { resultId: 'res-1', learner: { eckId: eckId(1) }, payload: { score: 8 } },
  });
});
