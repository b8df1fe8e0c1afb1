/** Entitlements and access together on one log: each reads what the other writes. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type TestBench, testBench } from '#bus';
import { EntitlementState, EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Product } from '#proto/eduk/core/v1/product';
import { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import { LearnerEntry } from '#proto/eduk/events/v1/rosters';
import { access } from '#services/access';
import { entitlements } from '#services/entitlements';

const school = '0000000700001AB00000';
const seller = '00000001000000000001';
const platform = '00000001000000000003';
const ticketDigest = createHash('sha256').update('ticket').digest();

function open(): TestBench {
  const bench = testBench([entitlements, access], { now: '2026-11-22T11:00:00Z' });
  bench.submit(
    'ProductPublished',
    { product: Product.fromPartial({ productId: 'maths-1', publisherOin: platform, licence: { licensed: true } }) },
    'maths-1',
  );
  for (const learner of ['anna', 'ben'])
    bench.submit(
      'LearnerJoined',
      { schoolOin: school, schoolYear: '2026-2027', learner: LearnerEntry.fromPartial({ learner, group: '4h2' }) },
      learner,
    );
  return bench;
}
const grant = (bench: TestBench, terms: Partial<EntitlementTerms>, learner: string) =>
  bench.submit(
    'GrantSubmitted',
    {
      terms: EntitlementTerms.fromPartial({ productId: 'maths-1', ...terms }),
      schoolOin: school,
      holder: { learner, group: '' },
      byOin: seller,
    },
    learner || school,
  );
const launch = (bench: TestBench, launchId: string, learner = 'anna') =>
  bench.submit(
    'LaunchSubmitted',
    { launchId, schoolOin: school, learner, productId: 'maths-1', ticketDigest, byOin: seller },
    learner,
  );
const redeem = (bench: TestBench, launchId: string) =>
  bench.submit('RedeemSubmitted', { launchId, ticketDigest, byOin: platform }, platform);
const get = async (bench: TestBench, entitlementId: string) =>
  (await bench.client(EntitlementsServiceDefinition).getEntitlement({ schoolOin: school, entitlementId })).entitlement!;
const names = (bench: TestBench): string[] => {
  const found = bench
    .events()
    .map(({ name, value }) =>
      'cause' in value ? `${name} ${value.cause}` : 'code' in value ? `${name} ${value.code}` : name,
    );
  bench.clear();
  return found;
};

test('granted, provisioned, launched, redeemed: first use, after which nothing can be undone', async () => {
  const bench = open();
  grant(bench, { entitlementId: 'e-1' }, 'anna');
  bench.submit('ProvisionSubmitted', { schoolOin: school, entitlementId: 'e-1', byOin: platform }, school);
  launch(bench, 'l-1');
  redeem(bench, 'l-1');
  bench.submit(
    'WithdrawSubmitted',
    { schoolOin: school, entitlementId: 'e-1', mode: 'withdraw', byOin: seller },
    school,
  );
  expect(names(bench)).toEqual([
    'EntitlementGranted',
    'AccessProvisioned',
    'EntitlementChanged provisioned',
    'LaunchCreated',
    'LaunchRedeemed',
    'EntitlementChanged first_used',
    'EntitlementChangeRefused state.conflict',
  ]);
  expect(await get(bench, 'e-1')).toMatchObject({
    state: EntitlementState.ENTITLEMENT_STATE_USED,
    firstUsedOn: '2026-11-22',
    provisionedBy: [platform],
  });
});

test('what is withdrawn, blocked, swapped or expired no longer opens', () => {
  const bench = open();
  grant(bench, { entitlementId: 'e-1' }, 'anna');
  const change = (mode: string) =>
    bench.submit('WithdrawSubmitted', { schoolOin: school, entitlementId: 'e-1', mode, byOin: seller }, school);
  change('block');
  launch(bench, 'l-1');
  change('unblock');
  launch(bench, 'l-2');
  change('withdraw');
  redeem(bench, 'l-2');
  launch(bench, 'l-3');
  grant(bench, { entitlementId: 'e-2', startsOn: '2026-11-01', endsOn: '2026-11-22' }, 'ben');
  launch(bench, 'l-4', 'ben');
  bench.advance(13 * 3_600_000);
  launch(bench, 'l-5', 'ben');
  expect(names(bench)).toEqual([
    'EntitlementGranted',
    'EntitlementChanged blocked',
    'AccessRefused entitlement.blocked',
    'EntitlementChanged unblocked',
    'LaunchCreated',
    'EntitlementChanged withdrawn',
    'AccessRefused entitlement.blocked',
    'AccessRefused entitlement.blocked',
    'EntitlementGranted',
    'LaunchCreated',
    'EntitlementChanged expired',
    'AccessRefused entitlement.expired',
  ]);
});

test('a count opens for those who took from it, and for nobody who is forgotten', async () => {
  const bench = open();
  grant(bench, { entitlementId: 'pool', count: 1 }, '');
  launch(bench, 'l-1');
  grant(bench, { entitlementId: 'd-1', fromEntitlementId: 'pool' }, 'anna');
  grant(bench, { entitlementId: 'd-2', fromEntitlementId: 'pool' }, 'ben');
  launch(bench, 'l-2');
  bench.submit('LearnerForgotten', { schoolOin: school, learner: 'anna' }, 'anna');
  launch(bench, 'l-3');
  grant(bench, { entitlementId: 'd-3', fromEntitlementId: 'pool' }, 'ben');
  launch(bench, 'l-4', 'ben');
  expect(names(bench)).toEqual([
    'EntitlementGranted',
    'AccessRefused state.missing',
    'EntitlementGranted',
    'GrantRefused count.used_up',
    'LaunchCreated',
    'EntitlementChanged forgotten',
    'AccessRefused learner.unknown',
    'EntitlementGranted',
    'LaunchCreated',
  ]);
  expect(await get(bench, 'pool')).toMatchObject({ taken: 1 });
  const rows = [...entitlements.tables, ...access.tables].flatMap((table) => bench.list(table, { equals: [] }));
  // A mark of the forgetting itself stands for three days in each, so that a grant which waited is not given after all.
  expect(rows.filter((row) => JSON.stringify(row).includes('anna'))).toEqual([
    { school, learner: 'anna', learners: 1 },
    { school, learner: 'anna', learners: 1 },
  ]);
});

test('what one restart after the other left undone is done', async () => {
  let bench = open();
  const flow = grant(bench, { entitlementId: 'e-1', productId: 'maths-2' }, 'anna');
  bench = bench.restart();
  bench.submit(
    'ProductPublished',
    { product: Product.fromPartial({ productId: 'maths-2', publisherOin: platform }) },
    'maths-2',
  );
  expect(bench.events('EntitlementGranted').map(({ flowId }) => flowId)).toEqual([flow]);
  bench.submit('ProvisionSubmitted', { schoolOin: school, entitlementId: 'e-9', byOin: platform }, school);
  bench = bench.restart();
  bench.advance(60_000);
  expect(bench.events('AccessRefused').map(({ value }) => value.subject)).toEqual(['e-9']);
  expect(bench.parked()).toEqual([]);
});
