/** Results on their way out over UWLR: to an administration in 2.3 and a dashboard in 2.2, and what becomes of each answer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, dutchDay, schoolYearOf } from '#kernel';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type LasPeer, openLas } from '../parties/las.ts';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { complaintsOf } from './published.ts';

const today = dutchDay(Date.now());
const year = schoolYearOf(Date.now());
const folder = mkdtempSync(join(tmpdir(), 'eduk-results-out-'));
let at: TestGateway;
let app: TestParty;
let las: LasPeer;
let board: LasPeer;
let lasOin: string;
let boardOin: string;
let made = 0;

const mandates = new Map<string, string[]>();
/** Schools that stand in the files otherwise than by their BRIN alone. */
const entries = new Map<string, object[]>();

/** A school with three pupils, at whose administration and dashboard results are wanted. */
async function schoolOf(confirm = true): Promise<string> {
  const school = newSchool();
  const brin = brinOf(school)!;
  for (const [peer, oin] of [
    [las, lasOin],
    [board, boardOin],
  ] as const) {
    const { mandateId } = await at.mandate(school, oin, [Service.SERVICE_RESULT], { confirm });
    mandates.set(school, [...(mandates.get(school) ?? []), mandateId]);
    peer.schools.set(brin, { sleutel: `sleutel-${brin}`, year, made: '', groups: [], pupils: [], staff: [] });
    writeFileSync(join(folder, `${brin}.sleutel`), `sleutel-${brin}`, { mode: 0o600 });
  }
  const sender = await at.party('Rooster', [Role.ROLE_ADMINISTRATION]);
  await at.mandate(school, sender.oin, [Service.SERVICE_ROSTER]);
  await at.mandate(school, app.oin, [Service.SERVICE_RESULT]);
  await sendAll(sender.rosters.pushRoster(), [
    {
      reference: `roster-${school}`,
      rosterId: `roster-${school}`,
      part: 0,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: year,
        groups: [{ key: '7a', name: '7a', yearGroup: '7' }],
        learners: [1, 2, 3].map((i) => ({ ref: refOf(i), yearGroup: '7', groupKey: '7a' })),
      },
    },
  ]);
  return school;
}
const refOf = (i: number) => ({ lasKey: `L${i}`, eckId: eckId(8_000 + i) });
const settings = (schools: readonly string[]): void => {
  for (const [name, peer, oin, version] of [
    ['las', las, lasOin, '2.3'],
    ['bord', board, boardOin, '2.2'],
  ] as const)
    writeFileSync(
      join(folder, `${name}.json`),
      JSON.stringify({
        party: oin,
        klantcode: peer.klant.klantcode,
        klantnaam: peer.klant.klantnaam,
        version,
        timeoutSeconds: 2,
        schools: schools.flatMap((school) =>
          (entries.get(school) ?? [{}]).map((more) => ({
            school: brinOf(school)!,
            sleutel: `${brinOf(school)!}.sleutel`,
            ...more,
          })),
        ),
      }),
    );
};
const send = async (school: string, learner: number, result: object = {}): Promise<string> => {
  const resultId = `r${++made}`;
  const item = {
    reference: resultId,
    schoolOin: school,
    result: {
      resultId,
      learner: refOf(learner),
      productId: '9789000000019',
      kind: ResultKind.RESULT_KIND_FINAL,
      payload: { activityId: 'toets-1', activityName: 'Toets', takenAt: today, score: 7 },
      ...result,
    },
  };
  const answers = await sendAll(app.results.returnResults(), [item]);
  expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
  return resultId;
};
const until = async <T>(look: () => Promise<T> | T, enough: (found: T) => boolean, ms = 60_000): Promise<T> => {
  for (const end = Date.now() + ms; ; await wait(30)) {
    const found = await look();
    if (enough(found)) return found;
    if (Date.now() > end)
      throw new Error(`not within ${ms} ms: ${JSON.stringify(found, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`);
  }
};
const resultsAt = (peer: LasPeer, school: string): Record<string, string> =>
  Object.fromEntries(peer.results.get(brinOf(school)!) ?? []);
const messagesOf = (peer: LasPeer, school: string): string[] =>
  peer.messages.filter((text) => text.includes(`<brincode>${brinOf(school)}</brincode>`));
const stepOf = async (resultId: string, oin: string) => {
  const { flow } = await at.operator.showFlow({ partyOin: app.oin, reference: resultId });
  return flow?.steps.find(({ receiverOin }) => receiverOin === oin);
};
const keyOf = (resultId: string): string => `${app.oin}.${resultId}`;
let schools: string[] = [];
const use = (...some: string[]): void => {
  schools = [...new Set([...schools, ...some])];
  settings(schools);
};

beforeAll(async () => {
  las = await openLas();
  board = await openLas();
  at = await startTestGateway({ EDUK_ADMINISTRATIONS: folder });
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  [lasOin, boardOin] = [newOin(), newOin()];
  for (const [oin, role, peer] of [
    [lasOin, Role.ROLE_ADMINISTRATION, las],
    [boardOin, Role.ROLE_DASHBOARD, board],
  ] as const)
    await at.operator.addParty({
      party: {
        oin,
        name: 'Ontvanger',
        roles: [role],
        endpoints: [{ standard: 'uwlr', url: `${peer.url}/leerresultaten` }],
      },
    });
  settings([]);
  // The folder counts for five seconds as it was read: all schools of the tests stand in it from the beginning.
  const [ofSites, ofKey] = [await schoolOf(), await schoolOf()];
  entries.set(ofSites, [{}, { dependancecode: '03' }]);
  entries.set(ofKey, [{ schoolkey: 'sleutel & school' }]);
  use(
    await schoolOf(),
    await schoolOf(),
    await schoolOf(),
    await schoolOf(),
    await schoolOf(),
    await schoolOf(),
    await schoolOf(false),
  );
  use(ofSites, ofKey);
});
afterAll(async () => {
  await at?.stop();
  await las?.close();
  await board?.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => {
  las.fails = () => undefined;
  board.fails = () => undefined;
});

test('arrive at an administration in 2.3 and at a dashboard in 2.2, the same at both, and the flow shows what had no place', async () => {
  const school = schools[0]!;
  const one = await send(school, 1);
  const two = await send(school, 2, {
    payload: { activityId: 'toets-1', activityName: 'Toets', takenAt: today, score: 3, donePercent: 40 },
  });
  for (const peer of [las, board])
    await until(
      () => resultsAt(peer, school),
      (found) => Object.keys(found).length === 2,
    );
  expect(resultsAt(las, school)).toEqual({ [keyOf(one)]: 'L1=7', [keyOf(two)]: 'L2=3' });
  expect(resultsAt(board, school)).toEqual(resultsAt(las, school));
  for (const [peer, version] of [
    [las, '2.3'],
    [board, '2.2'],
  ] as const)
    for (const text of messagesOf(peer, school)) {
      expect(text).toContain(`<xsdversie>${version}</xsdversie>`);
      expect(text).toContain(`<schooljaar>${year}</schooljaar>`);
      expect(text).toContain(`<eckid>${eckId(8_001).slice(0, 20)}`);
      expect(complaintsOf(version, text) ?? []).toEqual([]);
    }
  expect(las.asked.at(-1)!.action).toBe('"BrengLeerresultaten"');
  for (const oin of [lasOin, boardOin]) {
    const step = await until(
      () => stepOf(two, oin),
      (found) => found?.state === 'done',
    );
    expect(step).toMatchObject({ told: 'uwlr: attempt 1 was answered 200', code: '' });
    expect(step!.losses).toEqual([
      { element: 'product_id', reason: 'no_place', count: 1 },
      { element: 'done_percent', reason: 'no_place', count: 1 },
    ]);
  }
});

test('a correction comes under the same key; a result that is taken back cannot be, and its flow says so', async () => {
  const school = schools[0]!;
  const statedAt = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  const resultId = await send(school, 1, { statedAt: statedAt(20) });
  await until(
    () => resultsAt(las, school)[keyOf(resultId)],
    (found) => found === 'L1=7',
  );
  const again = (reference: string, result: object) =>
    sendAll(app.results.returnResults(), [
      {
        reference,
        schoolOin: school,
        result: { resultId, learner: refOf(1), productId: '9789000000019', kind: 2, ...result },
      },
    ]);
  await again(`${resultId}-b`, {
    statedAt: statedAt(10),
    payload: { activityId: 'toets-1', activityName: 'Toets', takenAt: today, score: 9 },
  });
  await until(
    () => resultsAt(las, school)[keyOf(resultId)],
    (found) => found === 'L1=9',
  );
  const before = messagesOf(las, school).length;
  await again(`${resultId}-c`, { statedAt: statedAt(1), withdrawn: true });
  const step = await until(
    () => stepOf(`${resultId}-c`, lasOin),
    (found) => found?.state === 'done',
  );
  expect(step).toMatchObject({
    told: 'uwlr: nothing in it is for this receiver',
    losses: [{ element: 'withdrawn', reason: 'no_place', count: 1 }],
  });
  expect(messagesOf(las, school)).toHaveLength(before);
});

test('two versions of a test and two school years go in messages of their own, once each', async () => {
  const school = schools[1]!;
  const of = (learner: number, version: string, takenAt: string) =>
    send(school, learner, {
      payload: {
        activityId: 'T',
        activityName: 'T',
        takenAt,
        score: 5,
        test: { code: { value: 'T' }, version: { value: version } },
      },
    });
  las.fails = board.fails = () => 'busy';
  const ids = [
    await of(1, '1', today),
    await of(2, '2', today),
    await of(3, '1', today),
    await of(3, '1', dutchDay(Date.now() - 400 * 86_400_000)),
  ];
  await wait(300);
  las.fails = board.fails = () => undefined;
  for (const peer of [las, board]) {
    await until(
      () => resultsAt(peer, school),
      (found) => Object.keys(found).length === 4,
      60_000,
    );
    for (const text of messagesOf(peer, school))
      expect(complaintsOf('2.2', text.replace('2.3', '2.2')) ?? []).toEqual([]);
  }
  expect(Object.keys(resultsAt(las, school)).sort()).toEqual(ids.map(keyOf).sort());
});

describe('an answer that is no confirmation', () => {
  test('refuses a school: its results wait, those of others go on, and an operator sees who must act', async () => {
    const [school, other] = [schools[2]!, schools[3]!];
    const brin = brinOf(school)!;
    las.fails = (_, of) =>
      of === brin ? { faultcode: 'Client.AutorisatieOngeldig', faultstring: 'Sterre Zomerdijk mag niet' } : undefined;
    const first = await send(school, 1);
    await send(other, 1);
    await until(
      () => resultsAt(las, other),
      (found) => Object.keys(found).length === 1,
    );
    await until(
      () => stepOf(first, lasOin),
      (found) => found?.code === 'peer.refused',
    );
    await send(school, 2);
    await send(other, 2);
    await until(
      () => resultsAt(las, other),
      (found) => Object.keys(found).length === 2,
    );
    // Of the refused school nobody asks again; at the dashboard it goes on.
    await until(
      () => resultsAt(board, school),
      (found) => Object.keys(found).length === 2,
    );
    expect(messagesOf(las, school)).toHaveLength(1);
    const { rows } = await at.operator.listParked({ schoolOin: school });
    expect(rows).toMatchObject([
      {
        partyOin: lasOin,
        standard: 'uwlr',
        key: '',
        code: 'peer.refused',
        cause: 'Client.AutorisatieOngeldig',
        rows: 2n,
      },
    ]);
    const step = await stepOf(first, lasOin);
    expect(step!.told).toContain('was answered 500 Client.AutorisatieOngeldig');
    expect(JSON.stringify([rows, step], (_, v) => (typeof v === 'bigint' ? `${v}` : v))).not.toContain('Sterre');
    las.fails = () => undefined;
    await at.operator.resolveDeliveries({ schoolOin: school, action: 'retry' });
    await until(
      () => resultsAt(las, school),
      (found) => Object.keys(found).length === 2,
    );
    expect((await at.operator.listParked({ schoolOin: school })).rows).toEqual([]);
  });

  test.each([
    'Client.LeerlingOngeldig',
    'Client.ScoreOngeldig',
    'Client.VocabulaireTermOngeldig',
    'Client.ToetsNormeringOngeldig',
    'Client.EldResultaatOngeldig',
    'Client.OngeldigBericht',
    'soap:Client',
  ])(
    'refuses one result (%s): it is found among others, which are not lost',
    async (faultcode) => {
      const school = schools[4]!;
      const before = Object.keys(resultsAt(las, school)).length;
      const holds = `<leerlingid>L2</leerlingid>`;
      las.fails = (_, of, text) => {
        if (of !== brinOf(school)) return undefined;
        return text.includes(holds) ? { faultcode, faultstring: 'L2, Sterre' } : undefined;
      };
      await send(school, 1);
      const bad = await send(school, 2);
      await send(school, 3);
      await until(
        () => resultsAt(las, school),
        (found) => Object.keys(found).length === before + 2,
      );
      const { rows } = await until(
        () => at.operator.listParked({ schoolOin: school }),
        (found) => found.rows.length === 1,
      );
      expect(rows).toMatchObject([
        { code: 'peer.refused', cause: faultcode.replace('soap:', ''), rows: 1n, attempts: 1 },
      ]);
      expect(await stepOf(bad, lasOin)).toMatchObject({ state: 'parked', code: 'peer.refused' });
      await at.operator.resolveDeliveries({ schoolOin: school, action: 'drop' });
    },
    60_000,
  );

  test.each([
    ['a version that it does not speak', { faultcode: 'Client.XsdVersieOngeldig', faultstring: '' }],
    ['no time', { faultcode: 'Server.TijdelijkNietBeschikbaar', faultstring: 'later' }],
    ['no time, by its status', 'busy'],
    ['no way in', 'refuse'],
    ['another address', 'elsewhere'],
    ['a failure of its own', { faultcode: 'Server.InterneFout', faultstring: 'Sterre' }],
    ['a failure without a word', 'error'],
    ['a page', 'garbage'],
    ['nothing', 'empty'],
    ['half an answer', 'half'],
    ['more than anybody reads', 'huge'],
  ] as const)(
    'is about the endpoint, or nobody knows (%s): it is sent again under the same key',
    async (_, fault) => {
      const school = schools[5]!;
      las.fails = () => fault;
      const resultId = await send(school, 1);
      const asked = las.messages.length;
      await until(
        () => las.messages.length,
        (found) => found > asked || messagesOf(las, school).length > 0,
      );
      await until(
        () => stepOf(resultId, lasOin),
        (found) => found !== undefined && /attempt \d/.test(found.told),
      );
      expect((await at.operator.listParked({ schoolOin: school })).rows).toEqual([]);
      las.fails = () => undefined;
      await at.operator.resolveDeliveries({ action: 'retry' });
      await until(
        () => resultsAt(las, school)[keyOf(resultId)],
        (found) => found === 'L1=7',
        60_000,
      );
      await until(
        () => stepOf(resultId, lasOin),
        (found) => found?.state === 'done',
      );
    },
    60_000,
  );

  test('never comes though it was taken: the repeat has the same keys, and no second effect', async () => {
    const school = schools[5]!;
    las.fails = () => 'taken and silent';
    const resultId = await send(school, 3);
    await until(
      () => resultsAt(las, school)[keyOf(resultId)],
      (found) => found === 'L3=7',
    );
    const before = Object.keys(resultsAt(las, school)).length;
    las.fails = () => undefined;
    await until(
      () => stepOf(resultId, lasOin),
      (found) => found?.state === 'done',
      60_000,
    );
    expect(messagesOf(las, school).filter((text) => text.includes(keyOf(resultId))).length).toBeGreaterThan(1);
    expect(Object.keys(resultsAt(las, school))).toHaveLength(before);
  });
});

test('nothing goes out before the school confirms, and what waited goes then; once it ends, nothing goes any more', async () => {
  const school = schools[6]!;
  const ids = mandates.get(school)!;
  const first = await send(school, 1);
  await until(
    () => stepOf(first, lasOin),
    (found) => found?.code === 'mandate.unconfirmed',
  );
  // Taken back while both wait: neither is told.
  const undone = await send(school, 3);
  const result = { resultId: undone, learner: refOf(3), productId: '9789000000019', withdrawn: true };
  await sendAll(app.results.returnResults(), [
    { reference: `${undone}-b`, schoolOin: school, result: { ...result, kind: ResultKind.RESULT_KIND_FINAL } },
  ]);
  await until(
    () => stepOf(`${undone}-b`, lasOin),
    (found) => found?.code === 'mandate.unconfirmed',
  );
  expect([messagesOf(las, school), messagesOf(board, school)]).toEqual([[], []]);
  for (const mandateId of ids) await at.operator.changeMandate({ mandateId, change: 'confirm' });
  for (const peer of [las, board])
    await until(
      () => resultsAt(peer, school)[keyOf(first)],
      (found) => found === 'L1=7',
    );
  for (const reference of [undone, `${undone}-b`]) {
    const step = await until(
      () => stepOf(reference, lasOin),
      (found) => found?.state === 'done',
    );
    expect(step!.losses).toEqual([{ element: 'withdrawn', reason: 'no_place', count: 1 }]);
  }
  expect(messagesOf(las, school).join()).not.toContain(keyOf(undone));
  await at.operator.changeMandate({ mandateId: ids[1]!, change: 'stop' });
  await send(school, 2);
  await until(
    () => Object.keys(resultsAt(las, school)).length,
    (found) => found === 2,
  );
  await wait(500);
  expect(Object.keys(resultsAt(board, school))).toHaveLength(1);
});

test('goes to the entry of the pupil’s site, and by the key of a school that is known by one', async () => {
  const [ofSites, ofKey] = [schools[7]!, schools[8]!];
  const sender = await at.party('Vestiging', [Role.ROLE_ADMINISTRATION]);
  await at.mandate(ofSites, sender.oin, [Service.SERVICE_ROSTER]);
  const roster = { schoolOin: ofSites, schoolYear: year, siteCode: '03', groups: [], learners: [{ ref: refOf(9) }] };
  await sendAll(sender.rosters.pushRoster(), [{ reference: 'site', rosterId: 'site', part: 0, last: true, roster }]);
  const there = await send(ofSites, 9);
  const here = await send(ofSites, 1);
  await until(
    () => resultsAt(las, ofSites),
    (found) => Object.keys(found).length === 2,
  );
  const siteOf = (resultId: string): string =>
    /<dependancecode>(\d\d)/.exec(messagesOf(las, ofSites).find((text) => text.includes(keyOf(resultId)))!)?.[1] ?? '';
  expect([siteOf(there), siteOf(here)]).toEqual(['03', '']);
  const { sleutel, ...rest } = las.schools.get(brinOf(ofKey)!)!;
  for (const peer of [las, board]) peer.schools.set('', { sleutel, ...rest });
  const byKey = await send(ofKey, 1);
  for (const [peer, version] of [
    [las, '2.3'],
    [board, '2.2'],
  ] as const) {
    const text = await until(
      () => peer.messages.find((one) => one.includes(keyOf(byKey))) ?? '',
      (found) => found !== '',
    );
    expect(text).toContain('<schoolkey>sleutel &amp; school</schoolkey>');
    expect(text).not.toContain('<brincode>');
    expect(complaintsOf(version, text) ?? []).toEqual([]);
  }
});

test('what is not set is named: no file for a party, no school in it, no key where it should be', async () => {
  const oin = newOin();
  const endpoints = [{ standard: 'uwlr', url: `${board.url}/leerresultaten` }];
  await at.operator.addParty({ party: { oin, name: 'Los', roles: [Role.ROLE_DASHBOARD], endpoints } });
  const school = await schoolOf();
  await at.mandate(school, oin, [Service.SERVICE_RESULT]);
  const resultId = await send(school, 1);
  // No file: the endpoint rests. No school in the file of the administration: the school waits.
  await until(
    () => at.operator.listParked({}),
    ({ endpoints: all, rows }) =>
      all.some((one) => one.partyOin === oin && one.cause === 'settings') &&
      rows.some((row) => row.partyOin === lasOin && row.schoolOin === school && row.cause === 'settings'),
  );
  expect((await stepOf(resultId, lasOin))!.code).toBe('gateway.unavailable');
  const { administrationProblems } = await at.operator.status({});
  expect(administrationProblems.join('\n')).toContain(oin);
  await at.operator.removeEndpoint({ oin, standard: 'uwlr' });
  use(school);
  // The files are read again within seconds.
  await until(
    async () => {
      await at.operator.resolveDeliveries({ schoolOin: school, action: 'retry' });
      await wait(300);
      return resultsAt(las, school)[keyOf(resultId)];
    },
    (found) => found === 'L1=7',
  );
});
