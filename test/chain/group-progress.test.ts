/** Progress of a group over suppliers of whom some name the group and some, as everyone over UWLR, do not. */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dutchDay, schoolYearOf } from '#kernel';
import { Audience, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const school = newSchool();
/** Twelve pupils a group: numbers under ten are hidden. */
const SIZE = 12;
const pupils = Array.from({ length: 2 * SIZE }, (_, i) => ({
  eckId: eckId(9_000 + i),
  groupKey: i < SIZE ? '7a' : '7b',
}));

let at: TestGateway;
let dashboard: TestParty;

beforeAll(async () => {
  at = await startTestGateway();
  const las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  const named = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  const silent = await at.party('Oefenhof', [Role.ROLE_PLATFORM]);
  dashboard = await at.party('Kijkglas', [Role.ROLE_DASHBOARD]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  await at.mandate(school, named.oin, [Service.SERVICE_RESULT]);
  await at.mandate(school, silent.oin, [Service.SERVICE_RESULT]);
  await at.mandate(school, dashboard.oin, [Service.SERVICE_PROGRESS]);
  await sendAll(las.rosters.pushRoster(), [
    {
      reference: 'roster',
      rosterId: 'roster',
      part: 0,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: schoolYearOf(Date.now()),
        groups: ['7a', '7b'].map((key) => ({ key, name: key, yearGroup: '7' })),
        learners: pupils.map(({ eckId, groupKey }) => ({ ref: { eckId }, yearGroup: '7', groupKey })),
      },
    },
  ]);
  for (const [supplier, product, names] of [
    [named, 'names-groups', true],
    [silent, 'names-none', false],
  ] as const)
    await sendAll(
      supplier.results.returnResults(),
      pupils.map(({ eckId, groupKey }, i) => ({
        reference: `r${i}`,
        schoolOin: school,
        result: {
          resultId: `r${i}`,
          learner: { eckId },
          productId: product,
          groupKey: names ? groupKey : '',
          kind: ResultKind.RESULT_KIND_PROGRESS,
          payload: { activityId: 'h1', donePercent: 50, takenAt: dutchDay(Date.now()) },
        },
      })),
    );
  // Recorded after it was acknowledged; the last pupil's results come last.
  const last = { eckId: pupils.at(-1)!.eckId };
  const until = Date.now() + 60_000;
  while ((await ask({ audience: Audience.AUDIENCE_TEACHER, learner: last })).learners.length < 2) {
    if (Date.now() > until) throw new Error('the results were not recorded');
    await wait(50);
  }
  await wait(200);
});
afterAll(() => at?.stop());

const ask = (request: { audience: Audience; learner?: { eckId: string }; groupKey?: string }) =>
  dashboard.results.getProgress({ schoolOin: school, limit: 1000, ...request });

test('a teacher sees the group’s pupils with every supplier, whether it names groups or not', async () => {
  const { learners } = await ask({ audience: Audience.AUDIENCE_TEACHER, groupKey: '7a' });
  const seen = learners.map(({ learner, productId }) => `${learner!.eckId} ${productId}`).sort();
  const group = pupils.filter(({ groupKey }) => groupKey === '7a');
  expect(seen).toEqual(group.flatMap(({ eckId }) => [`${eckId} names-groups`, `${eckId} names-none`]).sort());
});

test('so does one who asks for a pupil within the group, and nothing of a pupil of another', async () => {
  const of = async (i: number) =>
    (await ask({ audience: Audience.AUDIENCE_TEACHER, groupKey: '7a', learner: { eckId: pupils[i]!.eckId } })).learners;
  expect((await of(0)).map(({ productId }) => productId).sort()).toEqual(['names-groups', 'names-none']);
  expect(await of(SIZE)).toEqual([]);
});

test('totals of a group count both', async () => {
  const { totals } = await ask({ audience: Audience.AUDIENCE_SCHOOL, groupKey: '7b' });
  expect(totals.map(({ productId, learners, hidden }) => ({ productId, learners, hidden }))).toEqual([
    { productId: 'names-groups', learners: SIZE, hidden: false },
    { productId: 'names-none', learners: SIZE, hidden: false },
  ]);
});
