/** All messages about one learner, as the operator finds them by what names the learner: a number, or a pseudonym that a party was told. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Fault as Code } from '#kernel';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { ListFlowsRequest } from '#proto/eduk/operator/v1/operator';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { expectTold, refusedCall } from './told.ts';

const BOOK = '9789000000033';
const YEAR = '2026-2027';
const school = newSchool();
const neighbour = newSchool();
const [noor, daan] = [1, 2].map((n) => ({ eckId: eckId(8_800 + n), lasKey: `sleutel-${n}` })) as [Ref, Ref];
interface Ref {
  eckId: string;
  lasKey: string;
}

let at: TestGateway;
let las: TestParty;
let shop: TestParty;
let publisher: TestParty;
let platform: TestParty;
/** Of what was sent about Noor, by a word for each; oldest first. */
const ofNoor = new Map<string, string>();

const wait = { waitMs: 20_000n };
const find = async (asked: Partial<ListFlowsRequest>) =>
  at.operator.listFlows({ schoolOin: school, learner: noor, ...asked } as never);
const idsOf = async (asked: Partial<ListFlowsRequest> = {}) => (await find(asked)).flows.map(({ flowId }) => flowId);
const newestFirst = (some = [...ofNoor.values()]): string[] => [...some].sort().reverse();
const line = (learner: Ref) => ({
  terms: { lineId: '1', productId: BOOK, quantity: 1 },
  learner,
  sellerOin: publisher.oin,
});
async function grant(reference: string, learner: Ref, productId = BOOK): Promise<string> {
  const terms = { entitlementId: reference, productId, startsOn: '2026-08-01', endsOn: '2036-07-31' };
  const message = { reference: `g-${reference}`, schoolOin: school, holder: { learner }, terms };
  expect((await sendAll(publisher.entitlements.grantEntitlements(), [message]))[0]!.refusals).toEqual([]);
  return flowOf(publisher, `g-${reference}`);
}
async function result(reference: string, learner: Ref, from = platform, resultId = reference): Promise<string> {
  const message = {
    reference: `r-${reference}`,
    schoolOin: school,
    result: {
      resultId,
      learner,
      productId: BOOK,
      kind: ResultKind.RESULT_KIND_FINAL,
      payload: { activityId: 'toets-1', score: 8, scoreMax: 10 },
    },
  };
  expect((await sendAll(from.results.returnResults(), [message]))[0]!.refusals).toEqual([]);
  return flowOf(from, `r-${reference}`);
}
/** Once it is decided. */
const flowOf = async (party: TestParty, reference: string): Promise<string> =>
  (await party.flows.getFlow({ reference, ...wait })).flow!.flowId;

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  shop = await at.party('Boekhuis', [Role.ROLE_DISTRIBUTOR]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM], undefined, ['eck_id', 'las_key', 'call_name']);
  const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT } = Service;
  for (const of of [school, neighbour]) await at.mandate(of, las.oin, [SERVICE_ROSTER, SERVICE_ORDER]);
  await at.mandate(school, shop.oin, [SERVICE_ORDER]);
  await at.mandate(school, publisher.oin, [SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT]);
  for (const services of [[SERVICE_ROSTER], [SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT]])
    await at.operator.grantMandate({
      mandate: {
        schoolOin: school,
        partyOin: platform.oin,
        services,
        attributes: services[0] === SERVICE_ROSTER ? ['eck_id', 'las_key', 'call_name'] : [],
        pairwise: services[0] === SERVICE_ROSTER,
      },
      confirm: true,
    } as never);
  const learners = [noor, daan].map((ref) => ({ ref, person: { callName: 'Noor' }, yearGroup: '7' }));
  for (const of of [school, neighbour])
    expect(
      (
        await las.identity.registerLearners({
          ...{ reference: `all-${of}`, schoolOin: of, schoolYear: YEAR, learners },
          ...wait,
        } as never)
      ).refusals,
    ).toEqual([]);
  const product = {
    ...{ productId: BOOK, title: 'Rekenen', accessUrl: 'https://wilg.example/r', licence: { licensed: true } },
    platformOin: platform.oin,
  };
  await sendAll(publisher.catalogue.publishProducts(), [{ reference: 'book', product }]);
  await flowOf(publisher, 'book');

  const place = async (party: TestParty, orderId: string, learner: Ref) =>
    (
      await party.orders.placeOrder({
        ...{ reference: `o-${orderId}`, orderId, schoolOin: school, lines: [line(learner)] },
        ...wait,
      } as never)
    ).flowId;
  ofNoor.set('order', await place(las, 'bestelling-1', noor));
  // Another buyer's order has the same id, and is of another learner.
  await place(shop, 'bestelling-1', daan);
  ofNoor.set(
    'confirm',
    (
      await publisher.orders.confirmOrder({
        ...{ reference: 'c-1', orderId: 'bestelling-1', outcomes: [{ lineId: '1', state: 2 }], buyerOin: las.oin },
        ...wait,
      } as never)
    ).flowId,
  );
  ofNoor.set('grant', await grant('licentie-1', noor));
  // An id is of its service: what is called as her order is not hers.
  await grant('bestelling-1', daan);
  await grant('licentie-2', daan);
  const provision = async (entitlementId: string) =>
    (
      await platform.access.provisionAccess({
        ...{ reference: `v-${entitlementId}`, schoolOin: school, entitlementId },
        ...wait,
      } as never)
    ).flowId;
  ofNoor.set('provision', await provision('licentie-1'));
  await provision('licentie-2');
  const launch = (reference: string, productId: string) =>
    platform.access.createLaunch({ reference, schoolOin: school, learner: noor, productId } as never);
  const opened = await launch('l-1', BOOK);
  ofNoor.set('launch', await flowOf(platform, 'l-1'));
  await platform.access.redeemLaunch({ reference: 'l-1-in', ticket: opened.ticket } as never);
  ofNoor.set('redeem', await flowOf(platform, 'l-1-in'));
  // Who was not let in is found too, although nothing stands of it.
  await launch('l-2', 'geen');
  ofNoor.set('refused launch', await flowOf(platform, 'l-2'));
  ofNoor.set('result', await result('toets-1', noor));
  // Another sender's result has the same id, and is of another learner.
  await result('toets-1', daan, publisher);
  ofNoor.set('result again', await result('toets-1b', noor, platform, 'toets-1'));
}, 60_000);
afterAll(() => at?.stop());

test('all messages about a learner are found, newest first, and nobody else’s', async () => {
  const { flows, coveredFromMs, more } = await find({});
  expect(flows.map(({ flowId }) => flowId)).toEqual(newestFirst());
  expect([coveredFromMs, more]).toEqual([0n, false]);
  expect(flows.find(({ flowId }) => flowId === ofNoor.get('refused launch'))).toMatchObject({ state: 'refused' });
  // By the key of the administration, and by the school's BRIN.
  expect(await idsOf({ learner: { eckId: '', lasKey: noor.lasKey } })).toEqual(newestFirst());
  expect(await idsOf({ schoolOin: school.slice(11, 15) })).toEqual(newestFirst());
  // Another school knows the same learner, and has nothing of theirs.
  expect(await idsOf({ schoolOin: neighbour })).toEqual([]);
});

test('by the pseudonym of a party, and by nobody else’s', async () => {
  const { roster } = await platform.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
  const told = new Set(roster!.learners.map(({ ref }) => ref!.lasKey));
  const answers = await Promise.all(
    [...told].map((lasKey) => idsOf({ learner: { eckId: '', lasKey }, pseudonymOfOin: platform.oin })),
  );
  expect(answers).toContainEqual(newestFirst());
  const [lasKey = ''] = told;
  for (const [pseudonymOfOin, code, where] of [
    ['', 'learner.unknown', 'learner'],
    [publisher.oin, 'learner.unknown', 'learner'],
    [newOin(), 'state.missing', 'pseudonym_of_oin'],
  ] as const)
    expectTold(await refusedCall(find({ learner: { eckId: '', lasKey }, pseudonymOfOin })), code, [lasKey], where);
});

test('other filters hold too, and pages follow each other', async () => {
  const of = (...words: string[]) => newestFirst(words.map((word) => ofNoor.get(word)!));
  expect(await idsOf({ state: 'refused' })).toEqual(of('refused launch'));
  expect(await idsOf({ state: 'read' })).toEqual([]);
  expect(await idsOf({ partyOin: publisher.oin })).toEqual(of('confirm', 'grant'));
  expect(await idsOf({ partyOin: las.oin })).toEqual(of('order'));
  const seen: string[] = [];
  for (let after = ''; ; ) {
    const { flows, next } = await find({ limit: 3, after });
    seen.push(...flows.map(({ flowId }) => flowId));
    if (next === '') break;
    after = next;
  }
  expect(seen).toEqual(newestFirst());
});

test('what was not asked well is said, and never what was given', async () => {
  const unknown = eckId(8_899);
  const cases: [Partial<ListFlowsRequest>, Code, string][] = [
    [{ schoolOin: '' }, 'wire.invalid', 'school_oin'],
    [{ text: 'toets-1' }, 'wire.invalid', 'text'],
    [{ learner: { eckId: unknown, lasKey: '' } }, 'learner.unknown', 'learner'],
  ];
  for (const [asked, code, where] of cases)
    expectTold(await refusedCall(find(asked)), code, [noor.eckId, noor.lasKey, unknown], where);
});

test('after the learner is forgotten nothing is found any more', async () => {
  await at.operator.forgetLearner({ schoolOin: school, learner: noor, now: true } as never);
  expectTold(await refusedCall(find({})), 'learner.unknown', [noor.eckId], 'learner');
  const learners = [{ ref: noor, person: { callName: 'Noor' }, yearGroup: '7' }];
  await las.identity.registerLearners({
    ...{ reference: 'again', schoolOin: school, schoolYear: YEAR, learners },
    ...wait,
  } as never);
  expect(await idsOf()).toEqual([]);
  expect((await idsOf({ learner: daan })).length).toBeGreaterThan(0);
});
