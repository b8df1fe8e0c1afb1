/** A pupil of two tokens, for everyone who reads of a school: UWLR answers and what changed in them, progress, the school's own export, a school that is forgotten. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { read, toCore } from '#adapters/edexml';
import { brinOf, dutchDay, schoolYearOf } from '#kernel';
import { Audience, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty, wire } from './gateway.ts';
import { type StandInProvider, startProvider } from './provider.ts';

const YEAR = schoolYearOf(Date.now());
const BOOK = 'rekenen-7';
const ASK = 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens';
const AUT = 'http://www.edustandaard.nl/leerresultaten/2/autorisatie';
const school = newSchool();
let provider: StandInProvider;
let at: TestGateway;
let las: TestParty;
let app: TestParty;
let dashboard: TestParty;
let sleutel: string;
let folder: string;

interface Pupil {
  key: string;
  eck?: string;
  group: string;
}
/** Fewer than ten are not counted; one of twelve is there a second time, by a key of its own and with the ECK iD and the names. */
const twelve: Pupil[] = Array.from({ length: 12 }, (_, i) => ({
  key: `L${i + 1}`,
  group: '7a',
  ...(i === 0 ? {} : { eck: eckId(500 + i) }),
}));
const double: Pupil = { key: 'D1', eck: eckId(500), group: '8b' };
const others: Pupil[] = [
  { key: 'L20', eck: eckId(520), group: '8b' },
  { key: 'L30', eck: eckId(530), group: '6c' },
];
const pupils = [...twelve, double, ...others];
const refOf = ({ key, eck = '' }: Pupil) => ({ lasKey: key, eckId: eck });

let pushed = 0;
const push = async (named: readonly Pupil[]): Promise<void> => {
  const rosterId = `roster-${++pushed}`;
  const answers = (await sendAll(las.rosters.pushRoster(), [
    {
      reference: rosterId,
      rosterId,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: YEAR,
        groups: ['6c', '7a', '8b'].map((key) => ({ key, name: key, yearGroup: key[0]! })),
        learners: named.map((one) => ({
          ref: refOf(one),
          yearGroup: one.group[0]!,
          groupKey: one.group,
          ...(one.key === 'L1' ? {} : { person: { familyName: `Achter${one.key}`, callName: `Roep${one.key}` } }),
        })),
      },
    },
  ])) as { refusals: unknown[] }[];
  expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
};

async function uwlr(group: string, since = ''): Promise<string> {
  const body = `<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Header><h:autorisatie xmlns:h="${AUT}"><autorisatiesleutel>${sleutel}</autorisatiesleutel><klantcode>${app.klantcode}</klantcode><klantnaam>${app.klantnaam}</klantnaam></h:autorisatie></env:Header>
<env:Body><q:leerlingen_verzoek xmlns:q="${ASK}"><q:schooljaar>${YEAR}</q:schooljaar><q:brincode>${brinOf(school)}</q:brincode><q:xsdversie>2.2</q:xsdversie>${since && `<q:laatstontvangengegevens>${since}</q:laatstontvangengegevens>`}<q:groepen><q:groep key="${group}"/></q:groepen></q:leerlingen_verzoek></env:Body></env:Envelope>`;
  const headers = { 'content-type': 'text/xml', soapaction: '' };
  return (await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens`, { method: 'POST', headers, body })).text();
}
const GROUPS = ['6c', '7a', '8b'];
/** Keys of a group's pupils; `-` = nothing changed since. */
const seen = async (since = '') =>
  Object.fromEntries(
    await Promise.all(
      GROUPS.map(async (group): Promise<[string, string[] | string]> => {
        const answer = await uwlr(group, since);
        if (answer.includes('<geenwijzigingen/>')) return [group, '-'];
        if (answer.includes('<geengegevens/>')) return [group, []];
        return [group, [...answer.matchAll(/<leerling key="([^"]*)"/g)].map(([, key]) => key!).sort()];
      }),
    ),
  );
const madeAt = async (): Promise<string> => /<aanmaakdatum>([^<]*)</.exec(await uwlr('7a'))![1]!;

const counted = async () => {
  const { totals } = await dashboard.results.getProgress({
    schoolOin: school,
    audience: Audience.AUDIENCE_SCHOOL,
    limit: 100,
  });
  return totals.map(({ productId, learners, hidden }) => [productId, learners, hidden]);
};

const two = { winner: { lasKey: 'L1' }, loser: { lasKey: 'D1' } };
const merge = async () => {
  const { holdId } = await at.operator.mergeLearners({ schoolOin: school, ...two, apply: true });
  const { decision } = await at.operator.decideHold({ holdId, approve: true, confirm: true });
  expect(decision).toMatchObject({ outcome: 'HoldDecided', code: '' });
};
const part = async () =>
  expect(
    (await at.operator.mergeLearners({ schoolOin: school, ...two, apply: true, undo: true })).decision,
  ).toMatchObject({ outcome: 'LearnersMergeUndone' });
/** Answers come from what was decided a moment ago. */
async function until(ask: () => Promise<unknown>, wanted: unknown): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50)))
    if (isDeepStrictEqual(await ask(), wanted)) return;
  expect(await ask()).toEqual(wanted);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-merged-'));
  provider = await startProvider();
  at = await startTestGateway({
    EDUK_OIDC_ISSUER: provider.issuer,
    EDUK_OIDC_AUDIENCE: 'eduk',
    EDUK_OIDC_ROLES: 'operator=admins,privacy=officers,read=helpdesk',
  });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  dashboard = await at.party('Kijkglas', [Role.ROLE_DASHBOARD]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  sleutel = (await at.mandate(school, app.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT])).autorisatiesleutel;
  await at.mandate(school, dashboard.oin, [Service.SERVICE_PROGRESS]);
  await push(pupils);
  await until(async () => ((await seen())['7a'] as string[]).length, 12);
  const results = [...twelve, double].map((one, i) => ({
    reference: `r${i}`,
    schoolOin: school,
    result: {
      resultId: `r${i}`,
      learner: one.eck ? { eckId: one.eck } : { lasKey: one.key },
      productId: BOOK,
      kind: ResultKind.RESULT_KIND_PROGRESS,
      payload: { activityId: `h${i === 12 ? 2 : 1}`, donePercent: 50, takenAt: dutchDay(Date.now()) },
    },
  }));
  const answers = (await sendAll(app.results.returnResults(), results)) as { refusals: unknown[] }[];
  expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
  await until(counted, [[BOOK, 13, false]]);
});
afterAll(async () => {
  await at?.stop();
  provider?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('UWLR tells of the learner once, and which groups changed by it: those of both, and no other', async () => {
  const all = { '6c': ['L30'], '7a': twelve.map(({ key }) => key).sort(), '8b': ['D1', 'L20'] };
  expect(await seen()).toEqual(all);
  const first = await madeAt();
  expect(await seen(first)).toEqual({ '6c': '-', '7a': '-', '8b': '-' });
  await merge();
  const now = { ...all, '8b': ['L20'] };
  expect(await seen()).toEqual(now);
  expect(await seen(first)).toEqual({ ...now, '6c': '-' });
  // The one that stays is shown by what it has, and by what only the other one had.
  const shown = /<leerling key="L1"[^>]*>.*?<\/leerling>/s.exec(await uwlr('7a'))![0];
  expect(shown).toContain(`eckid="${eckId(500)}"`);
  expect(shown).toContain('RoepD1');
  const second = await madeAt();
  expect(await seen(second)).toEqual({ '6c': '-', '7a': '-', '8b': '-' });
  // An administration that goes on sending both says nothing new.
  await push(pupils);
  await until(async () => (await at.operator.listHolds({ schoolOin: school })).holds, []);
  expect(await seen()).toEqual(now);
  expect((await seen(second))['6c']).toBe('-');
  expect(await uwlr('7a')).not.toContain('key="D1"');
});

test('progress counts one learner, and shows the work done under both numbers', async () => {
  expect(await counted()).toEqual([[BOOK, 12, false]]);
  const { learners } = await dashboard.results.getProgress({
    schoolOin: school,
    audience: Audience.AUDIENCE_TEACHER,
    learner: { lasKey: 'D1' },
  });
  expect(learners).toHaveLength(1);
  expect(learners[0]!.learner!.eckId).toBe(eckId(500));
  const { results } = await app.results.listResults({ schoolOin: school, learner: { lasKey: 'L1' } });
  expect(results.map(({ result }) => result!.resultId).sort()).toEqual(['r0', 'r12']);
  const { learners: ofGroup } = await dashboard.results.getProgress({
    schoolOin: school,
    audience: Audience.AUDIENCE_TEACHER,
    groupKey: '7a',
    limit: 100,
  });
  expect(ofGroup).toHaveLength(12);
});

test('the school takes both along, and is told that they are one', async () => {
  const out = join(folder, 'export');
  await at.operator.exportSchool([{ schoolOin: school, folder: out }]);
  const lines = (name: string) => readFileSync(join(out, name), 'utf8').trim().split('\r\n');
  const tokenOf = (key: string) =>
    lines('sleutels.csv')
      .find((line) => line.endsWith(`,${key}`))!
      .split(',')[0]!;
  const [winner, loser] = [tokenOf('L1'), tokenOf('D1')];
  expect(winner).not.toBe(loser);
  const people = lines('personen.csv');
  expect(people).toHaveLength(1 + pupils.length);
  expect(people.find((line) => line.startsWith(`${loser},`))).toMatch(new RegExp(`,${winner}$`));
  expect(people.find((line) => line.startsWith(`${winner},`))).toMatch(/,$/);
  // What was done under either number is there, and in the roster the learner is whole.
  const done = lines('resultaten.csv');
  for (const token of [winner, loser]) expect(done.filter((line) => line.includes(token))).toHaveLength(1);
  const roster = unveiled(toCore(read(readFileSync(join(out, `edexml-${YEAR}.xml`)))));
  const kept = roster.learners.filter(({ ref }) => ref!.lasKey === 'L1' || ref!.lasKey === 'D1');
  expect(kept.map(({ ref, person }) => [ref, person!.callName])).toEqual([
    [{ eckId: eckId(500), lasKey: 'L1' }, 'RoepD1'],
  ]);
});

test('parted, each is where it was, and the same groups changed', async () => {
  const before = await madeAt();
  await part();
  const seenNow = await seen(before);
  expect(seenNow['6c']).toBe('-');
  expect(seenNow['7a']).toContain('L1');
  expect(seenNow['8b']).toEqual(['D1', 'L20']);
  await until(counted, [[BOOK, 13, false]]);
  expect(await seen(await madeAt())).toEqual({ '6c': '-', '7a': '-', '8b': '-' });
});

test('of persons who sign in, the one who asked does not approve it, whatever token they bring; another one does', async () => {
  const as = async (sub: string, more: object = {}) => {
    const exp = Math.floor(Date.now() / 1000) + 300;
    const claims = { iss: provider.issuer, aud: 'eduk', sub, exp, roles: ['admins'], ...more };
    return wire(OperatorServiceDefinition, at.channel, `Bearer ${await provider.signed(claims)}`);
  };
  const { holdId } = await (await as('anne')).mergeLearners({ schoolOin: school, ...two, apply: true });
  const decide = async (who: string, more: object = {}) =>
    (await (await as(who, { jti: `${Math.random()}` })).decideHold({ holdId, approve: true, ...more })).decision?.code;
  expect(await decide('anne')).toBe('party.forbidden');
  // Nor by saying that they stand in for another.
  expect(await decide('anne', { confirm: true })).toBe('party.forbidden');
  expect((await at.operator.mergeLearners({ schoolOin: school, ...two })).outcome).toBe('merges');
  expect(await decide('bram')).toBe('');
  await until(async () => (await at.operator.mergeLearners({ schoolOin: school, ...two })).outcome, 'merged');
  await part();
});

test('a school that is forgotten forgets both, and its receivers are told of it by the number that they know', async () => {
  await merge();
  await until(async () => (await seen())['8b'], ['L20']);
  const { check } = await at.operator.previewSchoolForget({ schoolOin: school });
  await at.operator.forgetSchool({ schoolOin: school, check });
  const kept = await at.operator.keepSchool({ schoolOin: school });
  expect(kept.decision).toMatchObject({ code: '' });
  // All is back as it was: one learner, of both numbers.
  await until(seen, { '6c': ['L30'], '7a': twelve.map(({ key }) => key).sort(), '8b': ['L20'] });
  await until(counted, [[BOOK, 12, false]]);
});
