import { describe, expect, test } from 'vitest';
import { MemoryStore, type TestBench, testBench } from '#bus';
import { EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Product } from '#proto/eduk/core/v1/product';
import {
  EntitlementsServiceDefinition,
  GetEntitlementRequest,
  ListEntitlementsRequest,
} from '#proto/eduk/entitlements/v1/entitlements';
import { BLOCKED, EXPIRED, GRANTED, PROVISIONED, USED, WITHDRAWN } from './entitlement.ts';
import { entitlements } from './index.ts';
import * as tables from './tables.ts';

const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const publisher = '00000001000000000002';
const platform = '00000001000000000003';
const HOUR = 3_600_000;

const open = (now = '2026-11-22T11:00:00Z'): TestBench => testBench(entitlements, { now });
const publish = (
  bench: TestBench,
  productId = 'maths-1',
  more: { unchanged?: boolean; platformOin?: string } = {},
): string =>
  bench.submit(
    'ProductPublished',
    {
      product: Product.fromPartial({ productId, publisherOin: publisher, platformOin: more.platformOin ?? platform }),
      unchanged: more.unchanged ?? false,
    },
    productId,
  );
interface GrantMore {
  terms?: Partial<EntitlementTerms>;
  learner?: string;
  group?: string;
  byOin?: string;
  code?: string;
}
const grant = (
  bench: TestBench,
  entitlementId: string,
  { terms, learner = 'anna', group = '', byOin = seller, code = '' }: GrantMore = {},
  how: 'submit' | 'append' = 'submit',
): string =>
  bench[how](
    'GrantSubmitted',
    {
      terms: EntitlementTerms.fromPartial({ entitlementId, productId: 'maths-1', ...terms }),
      schoolOin: school,
      holder: { learner, group },
      byOin,
      activationCode: Buffer.from(code),
    },
    terms?.fromEntitlementId ? school : learner || school,
    { school },
  );
const withdraw = (
  bench: TestBench,
  entitlementId: string,
  more: { mode?: string; swapToProductId?: string; swapToEntitlementId?: string; byOin?: string } = {},
): string =>
  bench.submit(
    'WithdrawSubmitted',
    { schoolOin: school, entitlementId, mode: 'withdraw', byOin: seller, ...more },
    school,
    { school },
  );
const use = (bench: TestBench, entitlementId: string, day: string, byOin = platform): string =>
  bench.submit('UsageSubmitted', { schoolOin: school, entitlementId, day, times: 1, byOin }, school, { school });
const left = (bench: TestBench, leftOn: string, learner = 'anna', schoolYear = '2026-2027'): string =>
  bench.submit('LearnerLeft', { schoolOin: school, schoolYear, learner, leftOn, group: '' }, learner, { school });

/** The only event since the last look. */
function only(bench: TestBench) {
  const found = bench.events();
  bench.clear();
  expect(found.map(({ name }) => name)).toHaveLength(1);
  return found[0]!;
}
const get = async (bench: TestBench, entitlementId: string) =>
  (
    await bench
      .client(EntitlementsServiceDefinition)
      .getEntitlement(GetEntitlementRequest.fromPartial({ schoolOin: school, entitlementId }))
  ).entitlement;
const list = async (bench: TestBench, filters: Partial<ListEntitlementsRequest>) => {
  const answer = await bench
    .client(EntitlementsServiceDefinition)
    .listEntitlements(ListEntitlementsRequest.fromPartial(filters));
  return { ids: answer.entitlements.map(({ terms }) => terms!.entitlementId), next: answer.next };
};

describe('granting', () => {
  test('is told once, with what the catalogue says, under the learner, in the flow of the grant', async () => {
    const bench = open();
    publish(bench);
    const flowId = grant(bench, 'e-1', { terms: { orderId: 'o-1', lineId: '1' }, code: 'sealed' });
    expect(only(bench)).toMatchObject({
      name: 'EntitlementGranted',
      key: 'anna',
      flowId,
      school,
      value: {
        terms: {
          entitlementId: 'e-1',
          startsOn: '2026-11-22',
          endsOn: '2027-07-31',
          resultsReadableUntil: '2027-07-31',
          orderId: 'o-1',
        },
        holder: { learner: 'anna', group: '' },
        byOin: seller,
        publisherOin: publisher,
        platformOin: platform,
        unchanged: false,
      },
    });
    expect(await get(bench, 'e-1')).toMatchObject({
      outcome: 'granted',
      state: GRANTED,
      flowId,
      terms: { orderId: 'o-1' },
      holder: { learner: 'anna' },
    });
    expect(Buffer.from((await get(bench, 'e-1'))!.activationCode).toString()).toBe('sealed');
  });
  test('of a product without a platform of its own is for the publisher', () => {
    const bench = open();
    publish(bench, 'maths-1', { platformOin: '' });
    grant(bench, 'e-1');
    expect(only(bench).value).toMatchObject({ platformOin: publisher });
  });
  test('the same twice decides both flows and tells receivers once', () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1');
    bench.clear();
    const flowId = grant(bench, 'e-1');
    expect(only(bench)).toMatchObject({ name: 'EntitlementGranted', flowId, value: { unchanged: true } });
  });
  test('something else under the same id is refused and leaves what stands', async () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1');
    bench.clear();
    grant(bench, 'e-1', { learner: 'ben' });
    expect(only(bench)).toMatchObject({
      name: 'GrantRefused',
      key: 'ben',
      value: { code: 'state.conflict', entitlementId: 'e-1' },
    });
    expect(await get(bench, 'e-1')).toMatchObject({ outcome: 'granted', holder: { learner: 'anna' } });
  });
  test('a refusal is kept as the answer until a good grant comes', async () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1', { terms: { startsOn: '2027-01-01', endsOn: '2026-12-31', orderId: 'o-1' } });
    expect(only(bench)).toMatchObject({ name: 'GrantRefused', value: { code: 'wire.invalid' } });
    expect(await get(bench, 'e-1')).toMatchObject({
      outcome: 'refused',
      code: 'wire.invalid',
      terms: { orderId: 'o-1' },
    });
    grant(bench, 'e-1');
    expect(await get(bench, 'e-1')).toMatchObject({ outcome: 'granted', code: '' });
  });
});

describe('an unknown product', () => {
  test('keeps only that entitlement waiting, and is granted when it is published', async () => {
    const bench = open();
    publish(bench);
    const flowId = grant(bench, 'e-1', { terms: { productId: 'new' } });
    expect(bench.events()).toEqual([]);
    expect(await get(bench, 'e-1')).toMatchObject({
      outcome: 'waiting',
      code: 'product.unknown',
      flowId,
      terms: { productId: 'new' },
      grantedByOin: seller,
    });
    expect(bench.waiting({ consumer: 'entitlements' })).toMatchObject([{ what: 'product:new' }]);
    grant(bench, 'e-2');
    expect(only(bench)).toMatchObject({ name: 'EntitlementGranted', value: { terms: { entitlementId: 'e-2' } } });
    bench.advance(23 * HOUR);
    publish(bench, 'new');
    expect(only(bench)).toMatchObject({
      name: 'EntitlementGranted',
      flowId,
      value: { terms: { entitlementId: 'e-1', startsOn: '2026-11-23' } },
    });
    expect(bench.waiting()).toEqual([]);
  });
  test('is refused after a day', async () => {
    const bench = open();
    const flowId = grant(bench, 'e-1');
    bench.advance(24 * HOUR - 1);
    expect(bench.events()).toEqual([]);
    bench.advance(1);
    expect(only(bench)).toMatchObject({
      name: 'GrantRefused',
      flowId,
      value: { code: 'product.unknown', productId: 'maths-1' },
    });
    expect(await get(bench, 'e-1')).toMatchObject({ outcome: 'refused', code: 'product.unknown' });
  });
  test('a repeat behind a waiting grant is recognised', () => {
    const bench = open();
    grant(bench, 'e-1');
    grant(bench, 'e-1');
    publish(bench);
    expect(bench.events('EntitlementGranted').map(({ value }) => value.unchanged)).toEqual([false, true]);
  });
});

describe('a count', () => {
  const pool = (bench: TestBench, count: number) => grant(bench, 'pool', { terms: { count }, learner: '' });
  const draw = (bench: TestBench, id: string, learner = id) =>
    grant(bench, id, { terms: { fromEntitlementId: 'pool' }, learner });
  test('gives as many as it has, and one more when one comes back', async () => {
    const bench = open();
    publish(bench);
    pool(bench, 2);
    draw(bench, 'd-1');
    draw(bench, 'd-2');
    bench.clear();
    draw(bench, 'd-3');
    expect(only(bench)).toMatchObject({ name: 'GrantRefused', value: { code: 'count.used_up' } });
    expect(await get(bench, 'pool')).toMatchObject({
      taken: 2,
      terms: { count: 2 },
      holder: { learner: '', group: '' },
    });
    withdraw(bench, 'd-1');
    expect(only(bench)).toMatchObject({ name: 'EntitlementChanged', value: { cause: 'withdrawn', state: WITHDRAWN } });
    draw(bench, 'd-3');
    expect(only(bench)).toMatchObject({ name: 'EntitlementGranted' });
    expect(await get(bench, 'pool')).toMatchObject({ taken: 2 });
  });
  test('may come after a draw, within a minute', () => {
    const bench = open();
    publish(bench);
    draw(bench, 'd-1');
    expect(bench.events()).toEqual([]);
    pool(bench, 2);
    expect(bench.events('EntitlementGranted').map(({ value }) => value.terms!.entitlementId)).toEqual(['pool', 'd-1']);
    grant(bench, 'd-2', { terms: { fromEntitlementId: 'nowhere' } });
    bench.clear();
    bench.advance(60_000);
    expect(only(bench)).toMatchObject({ name: 'GrantRefused', value: { code: 'state.missing' } });
  });
  test('has its school among those of its product, also where it was refused, swapped or waits', async () => {
    const bench = open();
    const schools = (productId: string, limit = 0) =>
      bench.client(EntitlementsServiceDefinition).listProductSchools({ productId, limit });
    expect(await schools('maths-1')).toEqual({ schoolOins: [], more: false, sinceMs: 0n });
    grant(bench, 'waits');
    expect((await schools('maths-1')).schoolOins).toEqual([school]);
    publish(bench);
    publish(bench, 'maths-2');
    grant(bench, 'e1');
    withdraw(bench, 'e1', { swapToProductId: 'maths-2', swapToEntitlementId: 'e2' });
    grant(bench, 'late', { terms: { productId: 'gone-1' } });
    bench.advance(25 * HOUR);
    for (const product of ['maths-1', 'maths-2', 'gone-1'])
      expect(await schools(product), product).toEqual({ schoolOins: [school], more: false, sinceMs: 0n });
    // Once for each pair, however many there are.
    for (let i = 0; i < 5; i++) grant(bench, `more-${i}`);
    expect(bench.list(tables.productSchools, { equals: ['maths-1'] })).toHaveLength(1);
    expect(await schools('none')).toMatchObject({ schoolOins: [] });
  });

  test('is told of what waits, however much of the whole school waits before it', async () => {
    const bench = open();
    for (let i = 0; i < 1_001; i++) grant(bench, `a${i}`, { learner: '' }, 'append');
    grant(bench, 'of-anna', { learner: 'anna' });
    grant(bench, 'z', { learner: 'anna' });
    const asked = { schoolOin: school, learner: 'anna' };
    expect(await bench.client(EntitlementsServiceDefinition).listSubjects(asked)).toMatchObject({
      subjects: [{ subject: 'of-anna' }, { subject: 'z' }],
      coveredFromMs: 0n,
    });
  });

  test('takes back the rights of all tokens of a learner; becoming one, or two again, takes back none', async () => {
    const bench = open();
    publish(bench);
    pool(bench, 2);
    draw(bench, 'of-anna', 'anna');
    draw(bench, 'of-second', 'second');
    const states = async () => Promise.all(['of-anna', 'of-second'].map(async (id) => (await get(bench, id))!.state));
    const granted = await states();
    const two = { schoolOin: school, winner: 'anna', loser: 'second' };
    /** What the rosters say of a token that became another; its lane and that of the other have no common order. */
    const became = (learner: string, mergedInto: string) =>
      bench.submit(
        'LearnerLeft',
        { schoolOin: school, schoolYear: '2026-2027', learner, leftOn: '2026-11-22', group: '', mergedInto },
        learner,
        { school },
      );
    became('second', 'anna');
    bench.submit('LearnersMerged', two, 'second', { school });
    expect(await states()).toEqual(granted);
    const ofSecond = async () =>
      (await list(bench, { schoolOin: school, learner: 'second' })).ids.filter((id) => id !== 'pool').sort();
    expect(await ofSecond()).toEqual(['of-anna', 'of-second']);
    // What is about the learner is of both, and the count that they are taken from is about many.
    const about = () =>
      bench.client(EntitlementsServiceDefinition).listSubjects({ schoolOin: school, learner: 'second' });
    expect(await about()).toMatchObject({
      subjects: [{ subject: 'of-anna' }, { subject: 'of-second' }],
      learners: ['anna', 'second'],
      coveredFromMs: 0n,
    });
    bench.submit('LearnersMergeUndone', two, 'second', { school });
    became('anna', 'second');
    expect(await states()).toEqual(granted);
    expect(await ofSecond()).toEqual(['of-second']);
    bench.submit('LearnersMerged', two, 'second', { school });
    // A day of leaving of the token that is no more says nothing of the learner.
    left(bench, '2026-11-22', 'second');
    expect(await states()).toEqual(granted);
    left(bench, '2026-11-22', 'anna');
    expect((await states()).some((state, i) => state === granted[i])).toBe(false);
  });

  test('gets back what a leaving learner took, used or not, and not what the learner owns', async () => {
    const bench = open();
    publish(bench);
    pool(bench, 2);
    draw(bench, 'd-1', 'anna');
    grant(bench, 'own', { learner: 'anna' });
    grant(bench, 'class', { learner: '', group: '4h2' });
    use(bench, 'd-1', '2026-11-22');
    bench.clear();
    left(bench, '2026-11-22');
    expect(only(bench)).toMatchObject({
      name: 'EntitlementChanged',
      key: 'anna',
      value: { entitlementId: 'd-1', cause: 'left', state: WITHDRAWN },
    });
    expect(await get(bench, 'pool')).toMatchObject({ taken: 0 });
    expect(await get(bench, 'own')).toMatchObject({ state: GRANTED });
    expect(await get(bench, 'class')).toMatchObject({ state: GRANTED });
  });
  test('who gave a personal licence is told once that its learner goes on at another school; what was counted returns', async () => {
    const bench = open();
    publish(bench);
    pool(bench, 2);
    draw(bench, 'd-1', 'anna');
    grant(bench, 'own', { learner: 'anna' });
    grant(bench, 'class', { learner: '', group: '4h2' });
    bench.clear();
    const movedToSchoolOin = '0000000700099YY00000';
    const gone = { schoolOin: school, learner: 'anna', leftOn: '2026-11-22', movedToSchoolOin };
    for (const schoolYear of ['2026-2027', '2027-2028'])
      bench.submit('LearnerLeft', { ...gone, schoolYear }, 'anna', { school });
    expect(bench.events().map(({ value }) => value)).toMatchObject([
      { entitlementId: 'd-1', cause: 'left', state: WITHDRAWN, toSchoolOin: '' },
      { entitlementId: 'own', cause: 'school_changed', state: GRANTED, toSchoolOin: movedToSchoolOin },
    ]);
    expect(await get(bench, 'own')).toMatchObject({ state: GRANTED });
  });
  test('waits for the day on which a learner leaves, who may stay after all', () => {
    const bench = open();
    publish(bench);
    pool(bench, 2);
    draw(bench, 'd-1', 'anna');
    draw(bench, 'd-2', 'ben');
    left(bench, '2026-11-30', 'anna');
    left(bench, '2026-11-30', 'ben');
    bench.submit(
      'LearnerJoined',
      { schoolOin: school, schoolYear: '2026-2027', learner: { learner: 'ben' } as never },
      'ben',
    );
    bench.clear();
    bench.advance(7 * 24 * HOUR);
    expect(bench.events()).toEqual([]);
    bench.advance(24 * HOUR);
    expect(only(bench)).toMatchObject({ value: { entitlementId: 'd-1', cause: 'left' } });
  });
});

describe('changing', () => {
  test('block and unblock; repeats decide their flow and tell nobody', () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1');
    bench.clear();
    withdraw(bench, 'e-1', { mode: 'block' });
    expect(only(bench)).toMatchObject({
      key: 'anna',
      value: { cause: 'blocked', state: BLOCKED, unchanged: false, grantedByOin: seller },
    });
    const flowId = withdraw(bench, 'e-1', { mode: 'block' });
    expect(only(bench)).toMatchObject({ flowId, value: { cause: 'blocked', state: BLOCKED, unchanged: true } });
    withdraw(bench, 'e-1', { mode: 'unblock', byOin: publisher });
    expect(only(bench)).toMatchObject({ value: { cause: 'unblocked', state: GRANTED } });
  });
  test('of what is not there waits a minute for it', () => {
    const bench = open();
    publish(bench);
    const flowId = withdraw(bench, 'e-1');
    expect(bench.events()).toEqual([]);
    grant(bench, 'e-1');
    expect(bench.events().map(({ name }) => name)).toEqual(['EntitlementGranted', 'EntitlementChanged']);
    expect(bench.events('EntitlementChanged')[0]!.flowId).toBe(flowId);
    bench.clear();
    withdraw(bench, 'e-2');
    bench.advance(60_000);
    expect(only(bench)).toMatchObject({
      name: 'EntitlementChangeRefused',
      key: school,
      value: { code: 'state.missing', entitlementId: 'e-2', byOin: seller },
    });
  });
  test("another party's is not there, at once", () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1');
    bench.clear();
    withdraw(bench, 'e-1', { byOin: platform });
    expect(only(bench)).toMatchObject({ name: 'EntitlementChangeRefused', value: { code: 'state.missing' } });
  });
  test('swap is one step, waits for its product, and is refused after first use', async () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1', { terms: { orderId: 'o-1' } });
    bench.clear();
    const flowId = withdraw(bench, 'e-1', { swapToProductId: 'maths-2', swapToEntitlementId: 'e-2' });
    expect(bench.events()).toEqual([]);
    publish(bench, 'maths-2');
    const [out, into] = bench.events();
    expect(out).toMatchObject({
      name: 'EntitlementChanged',
      flowId,
      value: { entitlementId: 'e-1', cause: 'swapped', state: WITHDRAWN },
    });
    expect(into).toMatchObject({
      name: 'EntitlementGranted',
      flowId,
      value: { terms: { entitlementId: 'e-2', productId: 'maths-2', orderId: 'o-1' }, byOin: seller },
    });
    use(bench, 'e-2', '2026-11-22');
    bench.clear();
    withdraw(bench, 'e-2', { swapToProductId: 'maths-1', swapToEntitlementId: 'e-3' });
    expect(only(bench)).toMatchObject({ name: 'EntitlementChangeRefused', value: { code: 'state.conflict' } });
    expect(await get(bench, 'e-3')).toBeUndefined();
    expect((await list(bench, { orderId: 'o-1' })).ids).toEqual(['e-1', 'e-2']);
  });
});

describe('use', () => {
  test('is told the first time, then counted', async () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1');
    bench.clear();
    use(bench, 'e-1', '2026-11-22');
    expect(only(bench)).toMatchObject({
      key: 'anna',
      value: { cause: 'first_used', day: '2026-11-22', state: USED, unchanged: false },
    });
    const flowId = use(bench, 'e-1', '2026-11-22', publisher);
    expect(only(bench)).toMatchObject({ flowId, value: { cause: 'used', unchanged: true } });
    expect(await get(bench, 'e-1')).toMatchObject({ state: USED, firstUsedOn: '2026-11-22' });
    withdraw(bench, 'e-1');
    expect(only(bench)).toMatchObject({ name: 'EntitlementChangeRefused', value: { code: 'state.conflict' } });
  });
  test('of what was never granted is refused after a minute', () => {
    const bench = open();
    use(bench, 'e-1', '2026-11-22');
    bench.advance(60_000);
    expect(only(bench)).toMatchObject({
      name: 'EntitlementChangeRefused',
      value: { code: 'state.missing', byOin: platform },
    });
  });
  test('by a redeemed launch, of a provisioned entitlement', async () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1');
    bench.clear();
    const told = { schoolOin: school, entitlementId: 'e-1', byOin: platform };
    bench.submit('AccessProvisioned', told, 'anna');
    bench.submit('AccessProvisioned', told, 'anna');
    expect(only(bench)).toMatchObject({
      name: 'EntitlementChanged',
      value: { cause: 'provisioned', state: PROVISIONED },
    });
    expect(await get(bench, 'e-1')).toMatchObject({ provisionedBy: [platform] });
    const redeemed = {
      launchId: 'l-1',
      schoolOin: school,
      learner: 'anna',
      productId: 'maths-1',
      day: '2026-11-22',
      byOin: platform,
    };
    bench.submit('LaunchRedeemed', { ...redeemed, entitlementId: '' }, 'anna');
    expect(bench.events()).toEqual([]);
    bench.submit('LaunchRedeemed', { ...redeemed, entitlementId: 'e-1' }, 'anna');
    bench.submit('LaunchRedeemed', { ...redeemed, entitlementId: 'e-1' }, 'anna');
    expect(only(bench)).toMatchObject({ value: { cause: 'first_used', state: USED } });
    bench.submit('AccessRevoked', told, 'anna');
    expect(await get(bench, 'e-1')).toMatchObject({ state: USED, provisionedBy: [] });
  });
});

describe('the end', () => {
  test('comes with the last Dutch day, for all of a school, page by page, each in its own flow', async () => {
    const bench = open('2027-07-30T11:00:00Z');
    publish(bench);
    const flows = Array.from({ length: 1_200 }, (_, i) => grant(bench, `e-${i}`, { learner: `l-${i}` }, 'append'));
    bench.run();
    grant(bench, 'longer', { terms: { endsOn: '2027-08-01' } });
    withdraw(bench, 'e-7');
    bench.clear();
    bench.advance(Date.parse('2027-07-31T21:59:59Z') - bench.now());
    expect(bench.events()).toEqual([]);
    bench.advance(1_000);
    const ended = bench.events('EntitlementChanged');
    expect(ended).toHaveLength(1_199);
    expect(ended.every(({ value }) => value.cause === 'expired' && value.state === EXPIRED)).toBe(true);
    expect(new Set(ended.map(({ flowId }) => flowId))).toEqual(new Set(flows.filter((_, i) => i !== 7)));
    bench.clear();
    bench.advance(24 * HOUR);
    expect(only(bench)).toMatchObject({ value: { entitlementId: 'longer', cause: 'expired' } });
    use(bench, 'e-1', '2027-07-31');
    expect(only(bench)).toMatchObject({ value: { cause: 'first_used', state: EXPIRED } });
    bench.advance(7 * 24 * HOUR);
    use(bench, 'e-2', '2027-07-31');
    expect(only(bench)).toMatchObject({ name: 'EntitlementChangeRefused', value: { code: 'entitlement.expired' } });
  });
  test('comes at once for a grant whose days have passed', () => {
    const bench = open();
    publish(bench);
    grant(bench, 'e-1', { terms: { startsOn: '2026-09-01', endsOn: '2026-10-01' } });
    grant(bench, 'e-2', { terms: { startsOn: '2026-09-01', endsOn: '2026-10-01' } });
    expect(bench.events('EntitlementChanged').map(({ value }) => [value.entitlementId, value.cause])).toEqual([
      ['e-1', 'expired'],
      ['e-2', 'expired'],
    ]);
  });
});

test('after the school year nobody is named, after seven more nothing is kept', async () => {
  const bench = open('2027-07-01T11:00:00Z');
  publish(bench);
  for (let i = 0; i < 600; i++) grant(bench, `e-${i}`, { terms: { orderId: 'o-1' }, code: 'sealed' }, 'append');
  grant(bench, 'readable', { learner: 'ben', terms: { resultsReadableUntil: '2028-07-31' } });
  grant(bench, 'refused', { learner: 'ben', terms: { endsOn: '2020-01-01' } });
  grant(bench, 'class', { learner: '', group: '4h2' });
  const advanceTo = (moment: string) => bench.advance(Date.parse(moment) - bench.now());
  const rows = () => JSON.stringify(bench.list(tables.entitlements, { equals: [school] }));
  advanceTo('2027-09-30T21:59:59Z');
  expect(rows()).toContain('l:anna');
  advanceTo('2027-09-30T22:00:00Z');
  expect(rows()).not.toMatch(/l:anna|c2VhbGVk/);
  expect(await get(bench, 'readable')).toMatchObject({ holder: { learner: 'ben' } });
  expect(await get(bench, 'refused')).toMatchObject({ holder: undefined });
  expect(await get(bench, 'class')).toMatchObject({ holder: { group: '4h2' }, state: EXPIRED });
  advanceTo('2028-07-31T22:00:00Z');
  expect(rows()).not.toContain('l:ben');
  expect((await list(bench, { orderId: 'o-1', limit: 1000 })).ids).toHaveLength(600);
  advanceTo('2034-09-30T22:00:00Z');
  for (const table of entitlements.tables)
    if (table !== tables.products && table !== tables.productSchools)
      expect(bench.list(table, { equals: [] })).toEqual([]);
  expect(bench.list(tables.productSchools, { equals: [] })).toMatchObject([{ product: '', school: '' }]);
});

describe('forgetting', () => {
  test('ends what the learner held and takes the token out of the rows', async () => {
    const bench = open();
    publish(bench);
    grant(bench, 'pool', { terms: { count: 1 }, learner: '' });
    grant(bench, 'd-1', { terms: { fromEntitlementId: 'pool' } });
    grant(bench, 'e-1', { code: 'sealed' });
    grant(bench, 'bad', { terms: { endsOn: '2020-01-01' } });
    use(bench, 'e-1', '2026-11-22');
    bench.clear();
    bench.submit('LearnerForgotten', { schoolOin: school, learner: 'anna', destroyAtMs: 0n }, 'anna');
    expect(
      bench
        .events('EntitlementChanged')
        .map(({ key, value }) => [key, value.entitlementId, value.cause, value.holder?.learner]),
    ).toEqual([
      ['anna', 'd-1', 'forgotten', 'anna'],
      ['anna', 'e-1', 'forgotten', 'anna'],
    ]);
    expect(await get(bench, 'pool')).toMatchObject({ taken: 0 });
    expect(await get(bench, 'e-1')).toMatchObject({ state: WITHDRAWN, holder: undefined });
    expect(JSON.stringify(bench.list(tables.entitlements, { equals: [school] }))).not.toMatch(/anna|sealed|c2VhbGVk/);
    expect((await list(bench, { schoolOin: school, learner: 'anna' })).ids).toEqual(['pool']);
  });
});

describe('a forgetting that is taken back', () => {
  const waits = (bench: TestBench) =>
    bench.submit(
      'LearnerForgotten',
      { schoolOin: school, learner: 'anna', destroyAtMs: BigInt(bench.now() + 72 * HOUR) },
      'anna',
    );
  const keep = (bench: TestBench) => bench.submit('LearnerKept', { schoolOin: school, learner: 'anna' }, 'anna');
  const filled = () => {
    const bench = open();
    publish(bench);
    grant(bench, 'pool', { terms: { count: 1 }, learner: '' });
    grant(bench, 'd-1', { terms: { fromEntitlementId: 'pool' } });
    grant(bench, 'e-1', { code: 'sealed' });
    use(bench, 'e-1', '2026-11-22');
    grant(bench, 'short', { terms: { endsOn: '2026-11-23' } });
    return bench;
  };
  test('gives back what was held, tells who was told of its end, and takes from the count again', async () => {
    const bench = filled();
    const before = bench.list(tables.entitlements, { equals: [school] });
    waits(bench);
    expect(await get(bench, 'pool')).toMatchObject({ taken: 0 });
    bench.advance(60 * HOUR);
    bench.clear();
    keep(bench);
    expect(
      bench.events().map(({ name, key, value }) => {
        const { cause, state, terms, entitlementId } = value as never as Record<string, any>;
        return [name, key, terms?.entitlementId ?? entitlementId, cause, state];
      }),
    ).toEqual([
      ['EntitlementGranted', 'anna', 'd-1', undefined, undefined],
      ['EntitlementGranted', 'anna', 'e-1', undefined, undefined],
      ['EntitlementChanged', 'anna', 'e-1', 'kept', USED],
      ['EntitlementChanged', 'anna', 'short', 'expired', EXPIRED],
    ]);
    expect(Buffer.from(bench.events('EntitlementGranted')[1]!.value.activationCode).toString('base64')).toBe(
      before.find(({ id }) => id === 'e-1')!.more.sealed,
    );
    expect(await get(bench, 'pool')).toMatchObject({ taken: 1 });
    const after = bench.list(tables.entitlements, { equals: [school] });
    const still = ({ changed: _, state: __, ...row }: (typeof after)[number]) => row;
    expect(after.map(still)).toEqual(before.map(still));
    expect(bench.list(tables.aside, { equals: [] })).toEqual([]);
    bench.clear();
    grant(bench, 'e-2');
    expect(only(bench)).toMatchObject({ name: 'EntitlementGranted' });
  });
  test('after its hour nothing of it is left to take back', () => {
    const bench = filled();
    waits(bench);
    expect(JSON.stringify(bench.list(tables.aside, { equals: [] }))).toContain('anna');
    bench.advance(73 * HOUR);
    for (const table of entitlements.tables)
      expect(JSON.stringify(bench.list(table, { equals: [] }))).not.toContain('anna');
    bench.clear();
    keep(bench);
    expect(bench.events()).toEqual([]);
  });
  test('brought forward, it is destroyed at once', () => {
    const bench = filled();
    waits(bench);
    bench.submit('LearnerForgotten', { schoolOin: school, learner: 'anna', destroyAtMs: 0n }, 'anna');
    expect(bench.list(tables.aside, { equals: [] })).toEqual([]);
  });
});

describe('a grant that waits while its learner is forgotten', () => {
  const forget = (bench: TestBench, learner = 'anna') =>
    bench.submit('LearnerForgotten', { schoolOin: school, learner, destroyAtMs: 0n }, learner);
  test('is refused, and nothing keeps the token', async () => {
    const bench = open();
    grant(bench, 'e-1');
    forget(bench);
    forget(bench);
    forget(bench, 'ben');
    publish(bench);
    expect(only(bench)).toMatchObject({
      name: 'GrantRefused',
      value: { code: 'learner.unknown', entitlementId: 'e-1' },
    });
    expect(await get(bench, 'e-1')).toMatchObject({ outcome: 'refused', holder: undefined });
    grant(bench, 'e-2', { learner: 'chris' });
    expect(only(bench)).toMatchObject({ name: 'EntitlementGranted' });
    bench.advance(73 * HOUR);
    for (const table of entitlements.tables)
      expect(JSON.stringify(bench.list(table, { equals: [] }))).not.toMatch(/anna|ben/);
    expect(bench.list(tables.forgotten, { equals: [] })).toEqual([]);
  });
  test('is refused also by a gateway that was away for longer than the mark stands', () => {
    const store = new MemoryStore();
    const before = testBench(entitlements, { store, now: '2026-11-22T11:00:00Z' });
    publish(before);
    forget(before);
    grant(before, 'e-1', {}, 'append');
    const bench = testBench(entitlements, { store, now: '2026-11-26T11:00:00Z' });
    bench.clear();
    bench.run();
    expect(only(bench)).toMatchObject({ name: 'GrantRefused', value: { code: 'learner.unknown' } });
    bench.advance(73 * HOUR);
    expect(bench.list(tables.forgotten, { equals: [] })).toEqual([]);
  });
  test('is granted when the forgetting was undone', () => {
    const bench = open();
    grant(bench, 'e-1');
    forget(bench);
    bench.submit(
      'LearnerJoined',
      { schoolOin: school, schoolYear: '2026-2027', learner: { learner: 'anna' } as never },
      'anna',
    );
    publish(bench);
    expect(only(bench)).toMatchObject({ name: 'EntitlementGranted' });
  });
});

describe('listing', () => {
  const filled = () => {
    const bench = open();
    publish(bench);
    publish(bench, 'maths-2', { platformOin: publisher });
    for (let i = 0; i < 150; i++) grant(bench, `a-${String(i).padStart(3, '0')}`, {}, 'append');
    for (let i = 0; i < 150; i++) grant(bench, `b-${String(i).padStart(3, '0')}`, { learner: 'ben' }, 'append');
    grant(bench, 'a-class', { learner: '', group: '4h2', terms: { productId: 'maths-2' } }, 'append');
    grant(bench, 'a-other', { learner: '', group: '5v1' }, 'append');
    grant(bench, 'z-school', { learner: '', byOin: platform }, 'append');
    bench.run();
    return bench;
  };
  test('a learner sees own, group and school, page by page, each once', async () => {
    const bench = filled();
    const filters = { schoolOin: school, learner: 'anna', groups: ['4h2'], limit: 60 };
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const page = await list(bench, { ...filters, after });
      seen.push(...page.ids);
      if (!page.next) break;
      after = page.next;
    }
    expect(seen).toHaveLength(152);
    expect(seen).toEqual([...seen].sort());
    expect(seen.slice(-2)).toEqual(['a-class', 'z-school']);
  });
  test('by product, party and school', async () => {
    const bench = filled();
    expect(await list(bench, { productId: 'maths-2' })).toEqual({ ids: ['a-class'], next: '' });
    expect((await list(bench, { partyOin: platform, limit: 1000 })).ids).toHaveLength(302);
    expect((await list(bench, { partyOin: seller, schoolOin: school, productId: 'maths-2' })).ids).toEqual(['a-class']);
    expect((await list(bench, { schoolOin: '0000000700099ZZ00000' })).ids).toEqual([]);
    expect((await list(bench, { partyOin: '00000001000000000099' })).ids).toEqual([]);
    const all = await list(bench, { limit: 300 });
    expect(all.next).toBe(`${school}/${all.ids.at(-1)}`);
    expect((await list(bench, { limit: 300, after: all.next })).ids).toEqual(['b-148', 'b-149', 'z-school']);
  });
});
