import { afterAll, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  eckId,
  type Fault,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

let at: TestGateway;
let wilg: TestParty;
let berk: TestParty;
let seller: TestParty;
const school = newSchool();
const [ofWilg, ofBerk] = ['9789000000019', '9789000000026'];

beforeAll(async () => {
  at = await startTestGateway();
  wilg = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  berk = await at.party('Uitgeverij Berk', [Role.ROLE_PUBLISHER]);
  seller = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
  for (const { oin } of [wilg, berk, seller]) await at.mandate(school, oin, [Service.SERVICE_ENTITLEMENT]);
  await sendAll(wilg.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: ofWilg, title: 'Rekenen' } },
  ]);
  await sendAll(berk.catalogue.publishProducts(), [{ reference: 'p', product: { productId: ofBerk, title: 'Taal' } }]);
});
afterAll(() => at?.stop());

const grant = async (by: TestParty, entitlementId: string, productId: string) => {
  await sendAll(by.entitlements.grantEntitlements(), [
    {
      reference: entitlementId,
      schoolOin: school,
      holder: { learner: { eckId: eckId(1) } },
      terms: { entitlementId, productId },
    },
  ]);
  return (
    await by.flows.getFlow({ reference: entitlementId, method: 'EntitlementService/GrantEntitlements', waitMs: 5000n })
  ).flow!;
};

test("a publisher gives its own products and no other publisher's; a distributor gives both", async () => {
  expect((await grant(wilg, 'w1', ofWilg)).state).not.toBe('refused');
  const refused = await grant(wilg, 'w2', ofBerk);
  expect(refused.steps.some(({ code }) => code === 'party.forbidden')).toBe(true);
  expect((await grant(seller, 's1', ofWilg)).state).not.toBe('refused');
  expect((await grant(seller, 's2', ofBerk)).state).not.toBe('refused');
});

test('nor by a swap', async () => {
  const swap = await wilg.entitlements.withdrawEntitlements({
    reference: 'swap',
    schoolOin: school,
    entitlementIds: ['w1'],
    swapToProductId: ofBerk,
    waitMs: 5000n,
  });
  expect(swap.decision).toMatchObject({ code: 'party.forbidden' });
});

test('a mandate is of a school, or of a board for the schools it has: of nobody else, and not of a board without any', async () => {
  const board = await at.party('Stichting Bos', [Role.ROLE_BOARD]);
  const refused = (schoolOin: string) =>
    at.operator
      .grantMandate({
        mandate: { schoolOin, partyOin: wilg.oin, services: [Service.SERVICE_ROSTER] },
        confirm: true,
      })
      .catch((fault: Fault) => fault);
  expect(await refused(seller.oin)).toMatchObject({ code: 'wire.invalid' });
  expect(await refused(board.oin)).toMatchObject({ code: 'state.missing' });
});
