/** A school goes to another administration: the pupils stay who they are, to the gateway and to everyone who receives. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const YEAR = '2026-2027';
const BOOK = '9789000000019';
const school = newSchool();
let at: TestGateway;
let before: TestParty;
let after: TestParty;
let publisher: TestParty;
let platform: TestParty;

beforeAll(async () => {
  at = await startTestGateway();
  before = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  after = await at.party('Schoolhuis', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  for (const las of [before, after]) await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  await at.mandate(school, publisher.oin, [Service.SERVICE_ENTITLEMENT]);
  await at.mandate(school, platform.oin, [Service.SERVICE_ROSTER]);
  const product = { productId: BOOK, title: 'Rekenen voor reuzen', licence: { licensed: true } };
  await sendAll(publisher.catalogue.publishProducts(), [{ reference: 'product', product }]);
});
afterAll(() => at?.stop());

interface Ref {
  eckId?: string;
  lasKey?: string;
}
const push = (las: TestParty, rosterId: string, refs: Ref[]) =>
  sendAll(las.rosters.pushRoster(), [
    {
      reference: rosterId,
      rosterId,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: YEAR,
        groups: [{ key: '7a', name: '7A', yearGroup: '7' }],
        learners: refs.map((ref) => ({ ref, yearGroup: '7', groupKey: '7a' })),
      },
    },
  ]);
/** What the platform is shown of everyone, by ECK iD and key. */
async function shown(until: number): Promise<string[]> {
  for (const end = Date.now() + 60_000; ; ) {
    const { roster } = await platform.rosters
      .getRoster({ schoolOin: school, schoolYear: YEAR })
      .catch(() => ({ roster: undefined }));
    const refs = (roster?.learners ?? []).map(({ ref }) => `${ref!.eckId.slice(-8)} ${ref!.lasKey}`).sort();
    if (refs.length === until || Date.now() > end) return refs;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('keys are mapped in by ECK iD, what a receiver was shown stays, and nobody leaves, joins or is doubled', async () => {
  await push(before, 'old-1', [
    { eckId: eckId(1), lasKey: 'old-1' },
    { eckId: eckId(2), lasKey: 'old-2' },
    { eckId: eckId(3), lasKey: 'old-3' },
    { lasKey: 'old-4' },
  ]);
  const first = await shown(4);
  expect(first.map((one) => one.split(' ')[1]).sort()).toEqual(['old-1', 'old-2', 'old-3', 'old-4']);
  const grant = {
    reference: 'grant',
    schoolOin: school,
    holder: { learner: { eckId: eckId(1) } },
    terms: { entitlementId: 'right', productId: BOOK, startsOn: '2026-08-01', endsOn: '2036-07-31' },
  };
  await sendAll(publisher.entitlements.grantEntitlements(), [grant]);
  const learners = [1, 2, 3, 5].map((n) => ({ eckId: eckId(n), lasKey: `new-${n}` }));
  expect(await at.operator.mapKeys({ schoolOin: school, learners, apply: true })).toMatchObject({
    outcomes: ['maps', 'maps', 'maps', 'unknown'],
    // Who has no ECK iD here is for the school to tell: an old key and a new one.
    unnamed: 1,
    unnamedByYearGroup: [{ yearGroup: '7', learners: 1 }],
  });
  await at.operator.replaceNumber({ schoolOin: school, before: { lasKey: 'old-4' }, after: { lasKey: 'new-4' } });
  // The new administration names some by its key alone; one is new at the school.
  await push(after, 'new-1', [
    { eckId: eckId(1), lasKey: 'new-1' },
    { lasKey: 'new-2' },
    { lasKey: 'new-3' },
    { lasKey: 'new-4' },
    { eckId: eckId(5), lasKey: 'new-5' },
  ]);
  const then = await shown(5);
  expect(then.filter((one) => !first.includes(one)).map((one) => one.split(' ')[1])).toEqual(['new-5']);
  expect(first.filter((one) => !then.includes(one))).toEqual([]);
  const told = (await readUntil(platform.rosters.watchRosters({}), (rows) =>
    rows.some((row: any) => row.learner?.ref?.lasKey === 'new-5'),
  )) as any[];
  expect(told.filter(({ change }) => change === 'learner_left')).toEqual([]);
  // No two learners have an order among them.
  const joined = told.filter(({ change }) => change === 'learner_joined').map(({ learner }) => learner.ref.lasKey);
  expect(joined.sort()).toEqual(['new-5', 'old-1', 'old-2', 'old-3', 'old-4']);
  const { entitlements } = await publisher.entitlements.listEntitlements({
    schoolOin: school,
    learner: { eckId: eckId(1) },
  });
  expect(entitlements.map(({ terms }) => terms!.entitlementId)).toEqual(['right']);
});
