import { afterAll, beforeAll, expect, test } from 'vitest';
import { schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

let at: TestGateway;
let las: TestParty;
let seller: TestParty;
const school = newSchool();
const product = '9789000000019';

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  seller = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
  await at.mandate(school, seller.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
  await sendAll(seller.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: product, title: 'Rekenen' } },
  ]);
  await place(1);
  await readUntil(seller.orders.watchOrders({}), (all) => all.length === 1);
});
afterAll(() => at?.stop());

const place = (n: number) =>
  las.orders.placeOrder({
    reference: `o${n}`,
    orderId: `o${n}`,
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId: product, quantity: 1 } }],
    waitMs: 5000n,
  });

test('a list says where to watch from: nothing listed is told again, nothing later is missed', async () => {
  const { orders, watchCursor } = await seller.orders.listOrders({});
  expect(orders.map(({ orderId }) => orderId)).toEqual(['o1']);
  await place(2);
  const [first] = await readUntil(seller.orders.watchOrders({ cursor: watchCursor }), (all) => all.length === 1);
  expect(first!.order!.orderId).toBe('o2');
});

test('the same for products, entitlements and a roster; a second page names no place', async () => {
  const { watchCursor: products } = await las.catalogue.searchProducts({ limit: 1 });
  await sendAll(seller.catalogue.publishProducts(), [
    { reference: 'p2', product: { productId: '9789000000026', title: 'Taal' } },
  ]);
  const [product2] = await readUntil(las.catalogue.watchProducts({ cursor: products }), (all) => all.length === 1);
  expect(product2!.product!.productId).toBe('9789000000026');
  const { cursor } = await las.catalogue.searchProducts({ limit: 1 });
  expect((await las.catalogue.searchProducts({ limit: 1, cursor })).watchCursor).toBe('');

  const { watchCursor: entitlements } = await seller.entitlements.listEntitlements({ schoolOin: school });
  await sendAll(seller.entitlements.grantEntitlements(), [
    {
      reference: 'g',
      schoolOin: school,
      holder: { learner: { eckId: eckId(1) } },
      terms: { entitlementId: 'e', productId: product },
    },
  ]);
  const [granted] = await readUntil(
    seller.entitlements.watchEntitlements({ cursor: entitlements }),
    (all) => all.length === 1,
  );
  expect(granted).toMatchObject({ change: 'granted', entitlement: { terms: { entitlementId: 'e' } } });

  const roster = { schoolOin: school, schoolYear: schoolYearOf(Date.now()) };
  const push = (reference: string, learners: number) =>
    sendAll(las.rosters.pushRoster(), [
      {
        reference,
        rosterId: reference,
        last: true,
        roster: {
          ...roster,
          learners: Array.from({ length: learners }, (_, i) => ({ ref: { eckId: eckId(100 + i) } })),
        },
      },
    ]);
  await push('r1', 1);
  await readUntil(seller.rosters.watchRosters({}), (all) => all.length === 1);
  const { watchCursor } = await seller.rosters.getRoster(roster);
  await push('r2', 2);
  const [joined] = await readUntil(
    seller.rosters.watchRosters({ cursor: watchCursor, schoolOin: school }),
    (all) => all.length === 1,
  );
  expect(joined).toMatchObject({ change: 'learner_joined', learner: { ref: { eckId: eckId(101) } } });
});
