/** What `flow why` says at 8:30 on the first school day: what a pupil has comes first, and nothing that is over stands in the way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { WithdrawMode } from '#proto/eduk/gateway/v1/entitlement';
import type { WhyBlockedRequest, WhyBlockedResponse } from '#proto/eduk/gateway/v1/flow';
import { edexml } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { refusedCall } from './told.ts';

let at: TestGateway;
let school: TestParty;
let seller: TestParty;
const oin = newSchool();
const pupil = { eckId: eckId(1) };
const everyone = Array.from({ length: 40 }, (_, i) => i + 1);
const book = (n: number): string => `97890000021${10 + n}`;

const grant = (id: string, productId: string, learner: { eckId: string } | undefined, terms: object = {}) =>
  sendAll(seller.entitlements.grantEntitlements(), [
    {
      reference: id,
      schoolOin: oin,
      ...(learner ? { holder: { learner } } : {}),
      terms: { entitlementId: id, productId, ...terms },
    },
  ]);
const roster = (asOf: string, pupils: readonly number[]) =>
  at.operator.importRoster([
    {
      chunk: Buffer.from(
        edexml({ school: oin, asOf, pupils: pupils.map((n) => ({ key: `L-${n}`, eckId: eckId(n) })) }),
      ),
    },
  ]);
const why = (about: Partial<WhyBlockedRequest>) => school.flows.whyBlocked({ schoolOin: oin, ...about } as never);
const codes = ({ blockers }: Pick<WhyBlockedResponse, 'blockers'>) => blockers.map(({ code }) => code);
async function until<T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  for (const end = Date.now() + 60_000; ; await sleep(50)) {
    const answer = await ask();
    if (holds(answer) || Date.now() > end) return answer;
  }
}

beforeAll(async () => {
  at = await startTestGateway();
  school = await at.party('Basisschool De Es', [Role.ROLE_SCHOOL], oin);
  seller = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  await at.mandate(oin, seller.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS]);
  await sendAll(
    seller.catalogue.publishProducts(),
    Array.from({ length: 9 }, (_, n) => ({
      reference: `p-${n}`,
      product: { productId: book(n), title: `Boek ${n}`, licence: { licensed: true }, sensitive: n === 2 },
    })),
  );
  await roster('2026-10-01', everyone);
});
afterAll(() => at?.stop());

test('first what the pupil has, and what opens', async () => {
  expect((await why({ learner: pupil as never })).told).toMatch(/^The learner has no active licence\. /);
  await grant('own', book(0), pupil, { endsOn: '2027-07-01' });
  await grant('school', book(1), undefined);
  await grant('care', book(2), pupil);
  // A count opens nothing by itself.
  await grant('count', book(3), undefined, { count: 30 });
  const answer = await until(
    () => why({ learner: pupil as never }),
    ({ has }) => has.length === 3,
  );
  expect(answer.told).toMatch(/^The learner has 3 active licences and can open all of them\. Nothing blocks/);
  expect(answer.has).toMatchObject([
    { entitlementId: 'own', title: 'Boek 0', holder: 'learner', endsOn: '2027-07-01', platformName: 'Uitgeverij Wilg' },
    { entitlementId: 'school', title: 'Boek 1', holder: 'school', code: '' },
    { entitlementId: 'care', title: 'Boek 2', holder: 'learner', code: '' },
  ]);
  // Who is no party to it, is not told which sensitive product a pupil has.
  const { has } = await at.operator.whyBlocked({ schoolOin: oin, learner: pupil });
  expect(has.find(({ title }) => title === 'Boek 2')).toBeUndefined();
  expect(has.filter(({ productId }) => productId === '')).toMatchObject([
    { entitlementId: '', title: '', holder: 'learner' },
  ]);
  // Of a pupil in no roster, what the school has does not open.
  const newcomer = { eckId: eckId(50) };
  await grant('newcomer', book(0), newcomer);
  const theirs = await until(
    () => why({ learner: newcomer as never }),
    ({ has }) => has.length === 2,
  );
  expect(theirs.told).toMatch(/^The learner has 2 active licences and can open 1 of them\./);
  expect(theirs.has.map(({ entitlementId, code }) => [entitlementId, code])).toEqual([
    ['newcomer', ''],
    ['school', 'learner.unknown'],
  ]);
});

test('what ended last year, and was refused to others, stands apart', async () => {
  await grant('last-year', book(4), pupil, {
    startsOn: '2025-08-01',
    endsOn: '2026-07-31',
    resultsReadableUntil: '2027-07-31',
  });
  await refusedCall(school.rosters.getRoster({ schoolOin: newSchool() }));
  // A refusal at the door that names no pupil: of a supplier without a mandate for orders of this school.
  const stranger = await at.party('Zonder mandaat', [Role.ROLE_DISTRIBUTOR]);
  await refusedCall(
    stranger.orders.placeOrder({
      reference: 'o',
      orderId: 'o',
      schoolOin: oin,
      lines: [{ terms: { lineId: '1', productId: book(8), quantity: 1 }, sellerOin: seller.oin }],
    }),
  );
  const answer = await until(
    () => why({ learner: pupil as never }),
    ({ earlier }) => earlier.length === 2,
  );
  expect(codes(answer)).toEqual([]);
  expect(answer.told).toContain('can open all of them. Nothing blocks now; see what was refused or ended earlier.');
  expect(answer.earlier.map(({ code }) => code).sort()).toEqual(['entitlement.expired', 'mandate.missing']);
});

test('a roster that is held comes first only for whom it may bring in', async () => {
  const held = await roster('2026-10-02', everyone.slice(0, 5));
  expect(held.holdId).not.toBe('');
  await grant('waits', '9789000000000', pupil);
  const known = await until(
    () => why({ learner: pupil as never }),
    ({ blockers }) => blockers.length === 2,
  );
  expect(codes(known)).toEqual(['product.unknown', 'hold.pending']);
  // A grant that waits says that it waits; what is refused after a day says something else.
  expect(known.blockers[0]!.told).toBe('It waits for its product, which no publisher has published yet.');
  expect(known.blockers[0]!.lastStep).toBe('GrantSubmitted');
  const stranger = await why({ learner: { eckId: eckId(99) } as never });
  expect(codes(stranger)[0]).toBe('hold.pending');
  await at.operator.decideHold({ holdId: held.holdId, approve: false });
});

test('what went back because its pupil was forgotten, or was swapped, waits for nobody', async () => {
  const gone = { eckId: eckId(3) };
  await grant('gone', book(6), gone);
  await grant('wrong', book(6), pupil);
  await seller.entitlements.withdrawEntitlements({
    reference: 'swap',
    schoolOin: oin,
    entitlementIds: ['wrong'],
    swapToProductId: book(7),
    waitMs: 5000n,
  });
  await at.operator.forgetLearner({ schoolOin: oin, learner: gone, now: true });
  const answer = await until(
    () => why({ productId: book(6) }),
    ({ blockers }) => blockers.length === 0,
  );
  expect(answer).toMatchObject({ blockers: [], earlier: [] });
  const swapped = await why({ learner: pupil as never });
  expect(swapped.blockers.map(({ entitlementId }) => entitlementId)).not.toContain('wrong');
});

test('a pupil who clicks in the moment of the grant gets in', async () => {
  for (let i = 0; i < 20; i++) {
    const id = `click-${i}`;
    const [launch] = await Promise.all([
      school.access.createLaunch({ reference: id, schoolOin: oin, learner: pupil, entitlementId: id }),
      grant(id, book(0), pupil),
    ]);
    expect(launch.decision, id).toMatchObject({ outcome: 'LaunchCreated', code: '' });
  }
  const wrong = { schoolOin: oin, learner: pupil, entitlementId: 'click-never' };
  const began = Date.now();
  const refused = await school.access.createLaunch({ reference: 'click-never', ...wrong });
  expect(refused.decision).toMatchObject({ code: 'state.missing' });
  expect(Date.now() - began).toBeLessThan(4_500);
});

test('by product the whole school is read, and many alike are counted', async () => {
  const count = 2_300;
  const productId = book(5);
  await sendAll(
    seller.entitlements.grantEntitlements(),
    Array.from({ length: count }, (_, i) => {
      const id = `many-${String(i).padStart(5, '0')}`;
      return {
        reference: id,
        schoolOin: oin,
        holder: { learner: { eckId: eckId(100_000 + i) } },
        terms: { entitlementId: id, productId, ...(i < 80 ? { startsOn: '2027-01-10' } : {}) },
      };
    }),
  );
  await seller.entitlements.withdrawEntitlements({
    reference: 'block-last',
    schoolOin: oin,
    entitlementIds: [`many-${String(count - 1).padStart(5, '0')}`],
    mode: WithdrawMode.WITHDRAW_MODE_BLOCK,
    waitMs: 10_000n,
  });
  const answer = await until(
    () => why({ productId }),
    // Lanes are decided side by side: the last one may be blocked before the others are granted.
    ({ blockers, told }) => codes({ blockers }).includes('entitlement.blocked') && told.startsWith(`${count - 81} `),
  );
  expect(answer.partial).toBe(false);
  expect(answer.blockers[0]).toMatchObject({
    code: 'entitlement.blocked',
    told: 'The seller blocked it.',
    learners: 1,
  });
  expect(answer.told).toMatch(/^2219 licences are active\. /);
  const later = answer.blockers.filter(({ code }) => code === 'entitlement.not_started');
  expect(later).toHaveLength(50);
  expect(later.reduce((sum, { learners }) => sum + learners, 0)).toBe(80);
});

test('an order of another school is not there for a school, nor why it waits', async () => {
  const place = await school.orders.placeOrder({
    reference: 'theirs',
    orderId: 'theirs',
    schoolOin: oin,
    lines: [{ terms: { lineId: '1', productId: '9789999999999', quantity: 1 } }],
    waitMs: 500n,
  } as never);
  expect(place.flowId).not.toBe('');
  expect((await why({ orderId: 'theirs' })).blockers.length).toBeGreaterThan(0);
  const elsewhere = await at.party('Basisschool De Eik', [Role.ROLE_SCHOOL], newSchool());
  expect(
    await refusedCall(elsewhere.flows.whyBlocked({ schoolOin: elsewhere.oin, orderId: 'theirs' } as never)),
  ).toMatchObject({ code: 'state.missing' });
});
