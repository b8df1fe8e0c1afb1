/** Results in full on the wire: what a message says arrives whole; pupils who are not known yet; corrected and taken back; progress. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dutchDay, schoolYearOf } from '#kernel';
import { Audience, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { ProgressBy } from '#proto/eduk/gateway/v1/result';
import { type UwlrAsk, uwlrResults } from './files.ts';
import { eckId, newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = schoolYearOf(Date.now());
const today = dutchDay(Date.now());
const yesterday = dutchDay(Date.now() - 86_400_000);
const school = newSchool();
let at: TestGateway;
let las: TestParty;
let app: TestParty;
let other: TestParty;
let dashboard: TestParty;
let ask: UwlrAsk;
/** Of a party whose file says that its keys last. */
let lasting: UwlrAsk;
const folder = mkdtempSync(join(tmpdir(), 'eduk-senders-'));
let rosters = 0;

interface Pupil {
  lasKey: string;
  eckId?: string;
}
const roster = (learners: Pupil[]) =>
  sendAll(las.rosters.pushRoster(), [
    {
      reference: `roster-${++rosters}`,
      rosterId: `roster-${rosters}`,
      part: 0,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: year,
        groups: [{ key: '7a', name: '7a', yearGroup: '7' }],
        learners: learners.map((ref) => ({ ref, yearGroup: '7', groupKey: '7a' })),
      },
    },
  ]);
const bring = async (results: Parameters<typeof uwlrResults>[1]): Promise<string> => {
  const answer = await fetch(`${at.http}/soap/uwlr/v2/leerresultaten`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: uwlrResults({ ...ask, year }, results),
  });
  return answer.text();
};
const listed = async () => (await las.results.listResults({ schoolOin: school, limit: 1000 })).results;
/** What was acknowledged is recorded a moment later. */
const until = async <T>(read: () => Promise<T>, enough: (value: T) => boolean): Promise<T> => {
  for (const end = Date.now() + 60_000; ; await wait(30)) {
    const value = await read();
    if (enough(value)) return value;
    if (Date.now() > end)
      throw new Error(`not within 15 s: ${JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`);
  }
};
/** As their senders gave them: over UWLR the id goes on with whose they are and what of. */
const keysOf = (all: Awaited<ReturnType<typeof listed>>) =>
  all.map(({ result }) => result!.resultId.replace(/~[\w-]+$/, '')).sort();
const xml = (key: string, leerlingid: string, eck?: string) => ({
  key,
  leerlingid,
  day: today,
  ...(eck ? { extra: `<r:eckid>${eck}</r:eckid>` } : {}),
});

beforeAll(async () => {
  at = await startTestGateway({ EDUK_ADMINISTRATIONS: folder });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  other = await at.party('Oefenhof', [Role.ROLE_PLATFORM]);
  dashboard = await at.party('Kijkglas', [Role.ROLE_DASHBOARD]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
  const { autorisatiesleutel } = await at.mandate(school, app.oin, [Service.SERVICE_RESULT]);
  const ofOther = await at.mandate(school, other.oin, [Service.SERVICE_RESULT]);
  const { klantcode, klantnaam } = other;
  lasting = { sleutel: ofOther.autorisatiesleutel, klantcode, klantnaam, school };
  writeFileSync(join(folder, 'oefenhof.json'), JSON.stringify({ party: other.oin, resultKeys: 'lasting' }));
  await at.mandate(school, dashboard.oin, [Service.SERVICE_PROGRESS, Service.SERVICE_RESULT]);
  ask = { sleutel: autorisatiesleutel, klantcode: app.klantcode, klantnaam: app.klantnaam, school };
});
afterAll(async () => {
  await at?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('results that come before the roster are refused as of unknown pupils, and taken when they are repeated after it', async () => {
  const early = [xml('early-1', 'L1', eckId(7_001)), xml('early-2', 'L2')];
  const answer = await bring(early);
  expect(answer).toContain('<faultcode>Client.LeerlingOngeldig</faultcode>');
  expect(answer).toContain('0 of 2 results are taken');
  await roster([{ lasKey: 'L1', eckId: eckId(7_001) }, { lasKey: 'L2' }, { lasKey: 'L3', eckId: eckId(7_003) }]);
  await until(
    () => bring(early),
    (text) => text.includes('leerresultaten_bevestiging'),
  );
  expect(keysOf(await until(listed, ({ length }) => length === 2))).toEqual(['early-1', 'early-2']);
});

test('an unknown pupil among others: the fault names the place, the others are not lost, a repeat has no second effect', async () => {
  const mixed = [xml('mix-1', 'L1'), xml('mix-2', 'WIE'), xml('mix-3', 'L3'), xml('mix-4', 'ONBEKEND', eckId(9_999))];
  const answer = await bring(mixed);
  expect(answer).toContain('<faultcode>Client.LeerlingOngeldig</faultcode>');
  expect(answer).toContain('2 of 4 results are taken');
  // Each of these stands in a toetsafname of its own.
  expect([...answer.matchAll(/toetsafname\[(\d+)\]\/leerlingid/g)].map(([, n]) => n)).toEqual(['2', '4']);
  for (const value of ['WIE', 'ONBEKEND', eckId(9_999)]) expect(answer).not.toContain(value);
  const before = await until(listed, ({ length }) => length === 4);
  expect(keysOf(before)).toEqual(['early-1', 'early-2', 'mix-1', 'mix-3']);
  expect(await bring(mixed)).toContain('2 of 4 results are taken');
  expect(await bring([mixed[0]!, mixed[2]!])).toContain('leerresultaten_bevestiging');
  await wait(300);
  expect(await listed()).toEqual(before);
});

/** What the gateway has of one test of UWLR, over all keys. */
const scoresOf = async (sender: TestParty, code: string) =>
  (await listed())
    .filter(({ fromOin, result }) => fromOin === sender.oin && result!.payload!.activityId === code)
    .map(({ result }) => {
      const { resultId, learner, payload } = result!;
      return `${resultId.replace(/~.*/, '')} ${learner!.eckId === eckId(7_001) ? 'L1' : 'L3'} ${payload!.takenAt} ${payload!.score}`;
    })
    .sort();
const counted = (key: string, leerlingid: string, score: string, more: object = {}) => ({
  ...xml(key, leerlingid),
  score,
  toetscode: 'DICTEE',
  ...more,
});
const bringAs = async (as: UwlrAsk, results: Parameters<typeof uwlrResults>[1]): Promise<void> => {
  const answer = await fetch(`${at.http}/soap/uwlr/v2/leerresultaten`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: uwlrResults({ ...as, year }, results),
  });
  expect(await answer.text()).toContain('leerresultaten_bevestiging');
};

test('a sender that counts keys in each message loses no result; a repeat does nothing, and a correction corrects', async () => {
  const first = [counted('1', 'L1', '5'), counted('2', 'L3', '6')];
  await bringAs(ask, first);
  await bringAs(ask, first);
  await bringAs(ask, [counted('1', 'L3', '7'), counted('2', 'L3', '8', { day: yesterday })]);
  await bringAs(ask, [counted('1', 'L1', '9', { toetscode: 'DICTEE-2' })]);
  await bringAs(ask, [counted('1', 'L1', '4')]);
  await bringAs(ask, first.slice(1));
  expect(
    await until(
      () => scoresOf(app, 'DICTEE'),
      (all) => all.length === 4 && all[0]!.endsWith(' 4'),
    ),
  ).toEqual([`1 L1 ${today} 4`, `1 L3 ${today} 7`, `2 L3 ${yesterday} 8`, `2 L3 ${today} 6`]);
  expect(
    await until(
      () => scoresOf(app, 'DICTEE-2'),
      ({ length }) => length === 1,
    ),
  ).toEqual([`1 L1 ${today} 9`]);
});

test('of a sender whose file says that its keys last, a day is corrected, and no other pupil gets the result; a UUID lasts by itself', async () => {
  await bringAs(lasting, [counted('k-1', 'L1', '5')]);
  await bringAs(lasting, [counted('k-1', 'L1', '5', { day: yesterday })]);
  await until(
    () => scoresOf(other, 'DICTEE'),
    (all) => all.join() === `k-1 L1 ${yesterday} 5`,
  );
  await bringAs(lasting, [counted('k-1', 'L3', '5')]);
  const uuid = '0198f2aa-0000-4000-8000-000000000001';
  const one = (score: string, more: object = {}) => counted(uuid, 'L1', score, { toetscode: 'TAAL', ...more });
  await bringAs(ask, [one('5')]);
  await bringAs(ask, [one('6', { day: yesterday })]);
  expect(
    await until(
      () => scoresOf(app, 'TAAL'),
      (all) => all.join().endsWith(' 6'),
    ),
  ).toEqual([`${uuid} L1 ${yesterday} 6`]);
  expect(await scoresOf(other, 'DICTEE')).toEqual([`k-1 L1 ${yesterday} 5`]);
});

test('a flow is found by the key that the sender gave', async () => {
  const { flows } = await until(
    () => at.operator.listFlows({ text: 'mix-1' }),
    ({ flows }) => flows.length > 0,
  );
  expect(flows.every(({ subject }) => subject.startsWith('mix-1~'))).toBe(true);
});

test('a message whose form is wrong is still refused whole', async () => {
  const answer = await bring([xml('whole-1', 'L1'), { ...xml('whole-2', 'L3'), score: '9999999999999999' }]);
  expect(answer).toContain('Client.ScoreOngeldig');
  await wait(300);
  expect(keysOf(await listed())).not.toContain('whole-1');
});

test('a pupil is found by the key where the school has given no ECK iD yet, by the ECK iD after the keys changed, and never as another', async () => {
  // L2 has no ECK iD at this school; L1 has another one than the message says.
  expect(await bring([xml('both-1', 'L2', eckId(7_222))])).toContain('leerresultaten_bevestiging');
  expect(await bring([xml('both-2', 'L1', eckId(7_223))])).toContain('Client.LeerlingOngeldig');
  // Another administration came, with keys of its own; who left is in no roster any more.
  await roster([
    { lasKey: 'N1', eckId: eckId(7_001) },
    { lasKey: 'N3', eckId: eckId(7_003) },
  ]);
  expect(
    await bring([xml('moved-1', 'L1', eckId(7_001)), xml('moved-2', 'L2'), xml('moved-3', 'OUD', eckId(7_003))]),
  ).toContain('leerresultaten_bevestiging');
  const all = await until(listed, (found) =>
    ['both-1', 'moved-1', 'moved-2', 'moved-3'].every((key) => keysOf(found).includes(key)),
  );
  expect(keysOf(all)).not.toContain('both-2');
});

const work = (reference: string, payload: object | undefined, more: object = {}, eck = eckId(7_003)) => ({
  reference,
  schoolOin: school,
  result: {
    resultId: 'work',
    learner: { eckId: eck },
    productId: 'boek',
    kind: ResultKind.RESULT_KIND_FINAL,
    ...(payload ? { payload: { activityId: 'H1', takenAt: today, ...payload } } : {}),
    ...more,
  },
});
const refusals = (answers: { refusals: { code: string }[] }[]) =>
  answers.flatMap(({ refusals }) => refusals.map(({ code }) => code));

test('a result is corrected by what is said later, also to an earlier day, and taken back for good', async () => {
  const said = (minutes: number) => ({ statedAt: new Date(Date.now() - minutes * 60_000).toISOString() });
  const send = async (...items: ReturnType<typeof work>[]) =>
    expect(refusals(await sendAll(other.results.returnResults(), items))).toEqual([]);
  const records = readUntil(las.results.watchResults({}), (seen) =>
    seen.some(({ record }) => record!.result!.withdrawn),
  );
  await send(work('w1', { score: 3 }, said(30)));
  await send(work('w2', { score: 8, takenAt: yesterday }, said(10)));
  // Came late; it was said before what stands.
  await send(work('w3', { score: 1 }, said(20)));
  const of = async () => (await listed()).filter(({ result }) => result!.resultId === 'work');
  expect(await until(of, ([one]) => one?.result?.payload?.score === 8)).toMatchObject([
    { result: { payload: { score: 8, takenAt: yesterday }, withdrawn: false } },
  ]);
  expect(
    refusals(await sendAll(other.results.returnResults(), [work('w4', { score: 1 }, { withdrawn: true })])),
  ).toEqual(['wire.invalid']);
  await send(work('w5', undefined, { withdrawn: true }));
  await until(of, ({ length }) => length === 0);
  // What comes under the id afterwards does not bring it back.
  await send(work('w6', { score: 8 }, said(0)));
  await wait(300);
  expect(await of()).toEqual([]);
  const told = (await records).filter(({ record }) => record!.result!.resultId === 'work');
  expect(
    told.map(({ replaces, record }) => [replaces, record!.result!.withdrawn, record!.result!.payload?.score]),
  ).toEqual([
    [false, false, 3],
    [true, false, 8],
    [true, true, undefined],
  ]);
});

test('what describes a test arrives at the dashboard; numbers that no receiver could write are refused', async () => {
  const term = (value: string, vocabulary = '') => ({ value, vocabulary, vocabularyLocation: '' });
  const payload = {
    score: 31,
    subject: term('Rekenen en wiskunde', 'http://purl.edustandaard.nl/concept/328cc12a-87b2-41c4-aef8-853595f9f9dd'),
    goals: [term('F1-getallen', 'urn:slo')],
    version: term('2'),
    test: {
      code: term('H1', 'urn:toetsen'),
      norming: {
        weight: 1.5,
        norms: [
          {
            term: 'V',
            from: 24,
            to: 40,
            colour: { red: 1, green: 2, blue: 3, opacity: 0.5 },
            markFrom: 5.5,
            markTo: 10,
          },
        ],
      },
      parts: [{ number: 1, code: term('a'), name: 'Getallen' }],
    },
    monitor: {
      items: 40,
      ability: 212.5,
      abilityScale: 'REK',
      references: [{ code: 'NIV', comparisonGroup: 'LAND', value: 'II' }],
    },
  };
  const mine = (reference: string, more: object) => work(reference, { ...payload, ...more }, { resultId: 'full' });
  expect(
    refusals(
      await sendAll(other.results.returnResults(), [
        mine('f0', { monitor: { ability: Number.POSITIVE_INFINITY } }),
        mine('f1', { test: { norming: { norms: [{ markFrom: 11 }] } } }),
        mine('f2', { test: { norming: { norms: [{ colour: { red: 256 } }] } } }),
        mine('f3', { goals: Array.from({ length: 51 }, () => term('g')) }),
        mine('f4', {}),
      ]),
    ),
  ).toEqual(['wire.invalid', 'wire.invalid', 'wire.invalid', 'wire.invalid']);
  const [seen] = await until(
    async () => (await dashboard.results.listResults({ schoolOin: school, productId: 'boek' })).results,
    ({ length }) => length === 1,
  );
  expect(seen!.result!.payload).toMatchObject(payload);
});

test('progress by subject and by goal goes over all suppliers, with each score on its own scale', async () => {
  const rekenen = {
    value: 'Rekenen en wiskunde',
    vocabulary: 'http://purl.edustandaard.nl/concept/328cc12a-87b2-41c4-aef8-853595f9f9dd',
  };
  const extra = {
    subject: rekenen,
    goals: [{ value: 'F1-getallen', vocabulary: 'urn:slo' }],
    secondsSpent: 90n,
    donePercent: 20,
  };
  expect(
    refusals(
      await sendAll(app.results.returnResults(), [
        work('p1', { ...extra, grade: 'goed', activityId: 'X' }, { resultId: 'p1' }),
      ]),
    ),
  ).toEqual([]);
  const learner = { eckId: eckId(7_003) };
  const by = async (by: ProgressBy, more: object = {}) =>
    (
      await dashboard.results.getProgress({
        schoolOin: school,
        audience: Audience.AUDIENCE_TEACHER,
        learner,
        by,
        ...more,
      })
    ).learners;
  const subject = await until(
    () => by(ProgressBy.PROGRESS_BY_SUBJECT, { subject: rekenen.value }),
    ([row]) => row?.results === 2,
  );
  expect(subject).toMatchObject([
    {
      subject: rekenen,
      productId: '',
      secondsSpent: 90n,
      shares: [{ fromOin: app.oin, donePercent: 20 }],
      scores: [
        { value: 212.5, scale: { code: 'REK', fromOin: other.oin }, references: [{ value: 'II' }] },
        { grade: 'goed', scale: { code: 'X', fromOin: app.oin } },
      ],
    },
  ]);
  expect((await by(ProgressBy.PROGRESS_BY_GOAL, { goal: 'F1-getallen' })).map(({ results }) => results)).toEqual([2]);
  await expect(
    dashboard.results.getProgress({ schoolOin: school, audience: Audience.AUDIENCE_SCHOOL, subject: rekenen.value }),
  ).rejects.toMatchObject({ code: 'wire.invalid' });
});
