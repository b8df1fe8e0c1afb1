/** The hour of a school that is forgotten, seen through a whole gateway: what is left of it anywhere, and that another school notices nothing. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type AheadGateway, startAhead } from './ahead.ts';
import { eckId, Fault, newSchool, readUntil, sendAll } from './gateway.ts';

const YEAR = '2026-2027';
const PUPILS = 90;
const ASKED = '2026-11-23T10:00:00Z';
const school = newSchool();
const other = newSchool();
let at: AheadGateway;
let keys: { las: string; platform: string; publisher: string };
let platformOin: string;
let references = 0;
/** What the vault's file held of the school before, sealed. */
let sealed: Buffer[];

const las = () => at.as(keys.las);
const platform = () => at.as(keys.platform);
const eventually = (ask: () => Promise<unknown>) => expect.poll(ask, { interval: 200 });
async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
const push = (schoolOin: string, count = PUPILS) =>
  sendAll(las().rosters.pushRoster(), [
    {
      reference: `roster-${++references}`,
      rosterId: `roster-${references}`,
      last: true,
      roster: {
        schoolOin,
        schoolYear: YEAR,
        groups: Array.from({ length: 5 }, (_, i) => ({ key: `g${i}`, name: `Groep van juf ${i}`, yearGroup: '7' })),
        learners: Array.from({ length: count }, (_, i) => ({
          ref: { eckId: eckId(1000 + i), lasKey: `k${i}` },
          person: { familyName: `Achter${i}`, callName: `Roep${i}`, birthDate: '2015-01-02', email: `p${i}@x.example` },
          yearGroup: '7',
          groupKey: `g${i % 5}`,
        })),
        staff: [{ ref: { lasKey: 'juf' }, person: { familyName: 'Juf' }, groups: [{ key: 'g0', duties: ['LRK'] }] }],
      },
    },
  ]);
const rosterOf = async (schoolOin: string) =>
  (await platform().rosters.getRoster({ schoolOin, schoolYear: YEAR })).roster!;
const seen = (schoolOin = school) => at.operator.previewSchoolForget({ schoolOin });
const rowsOf = (sql: string, ...values: string[]) => {
  const db = new DatabaseSync(join(at.folder, 'vault.db'), { readOnly: true });
  try {
    return db.prepare(sql).all(...values) as Record<string, unknown>[];
  } finally {
    db.close();
  }
};
const ofSchool = 'school = (SELECT id FROM schools WHERE oin = ?)';
const ofPeople = `learner IN (SELECT id FROM learners WHERE ${ofSchool})`;
/** Everything of the school that rests in the vault under a key, and the keys. */
const vaultOf = (oin: string) => ({
  numbers: rowsOf(`SELECT sealed FROM numbers WHERE ${ofPeople}`, oin),
  names: rowsOf(`SELECT sealed FROM names WHERE ${ofPeople}`, oin),
  births: rowsOf(`SELECT sealed FROM births WHERE ${ofPeople}`, oin),
  contact: rowsOf(`SELECT sealed FROM contact WHERE ${ofPeople}`, oin),
  texts: rowsOf(`SELECT sealed FROM texts WHERE ${ofSchool}`, oin),
  lookups: rowsOf(`SELECT hash AS sealed FROM lookups WHERE ${ofSchool}`, oin),
  secrets: rowsOf(`SELECT wrapped AS sealed FROM learners WHERE wrapped IS NOT NULL AND ${ofSchool}`, oin),
  keys: rowsOf(`SELECT wrapped AS sealed, made_ms AS madeMs FROM school_keys WHERE ${ofSchool}`, oin),
});
const countsOf = (oin: string) =>
  Object.fromEntries(Object.entries(vaultOf(oin)).map(([name, rows]) => [name, rows.length]));
/** How many of these stand anywhere in the vault's files, byte for byte. */
const leftOf = (values: readonly Buffer[]) => {
  const bytes = ['vault.db', 'vault.db-wal']
    .map((name) => join(at.folder, name))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file));
  return values.filter((value) => bytes.some((file) => file.includes(value))).length;
};

beforeAll(async () => {
  at = await startAhead(ASKED);
  const [one, two, three] = [
    await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]),
    await at.party('Leerplein', [Role.ROLE_PLATFORM], ['eck_id', 'call_name']),
    await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]),
  ];
  keys = { las: one.apiKey, platform: two.apiKey, publisher: three.apiKey };
  platformOin = two.oin;
  for (const schoolOin of [school, other]) {
    await at.mandate(schoolOin, one.oin, [Service.SERVICE_ROSTER]);
    await at.mandate(schoolOin, two.oin, [Service.SERVICE_ROSTER], { attributes: ['eck_id', 'call_name'] });
    await at.mandate(schoolOin, three.oin, [Service.SERVICE_ENTITLEMENT]);
    await push(schoolOin);
  }
});
afterAll(() => at?.stop());

test('until the hour nothing is destroyed, also by a gateway that was away; nobody is let in', async () => {
  for (const one of [school, other])
    await eventually(async () => (await rosterOf(one).catch(() => ({ learners: [] }))).learners.length).toBe(PUPILS);
  await eventually(async () => (await seen()).receivers.some(({ mustConfirm }) => mustConfirm)).toBe(true);
  const { check } = await seen();
  const { forgetting } = await at.operator.forgetSchool({ schoolOin: school, check });
  expect(Number(forgetting!.destroyAtMs) - Date.parse(ASKED)).toBeGreaterThan(71.9 * 3_600_000);
  await at.at('2026-11-26T09:30:00Z', () => {
    sealed = Object.values(vaultOf(school)).flatMap((rows) =>
      rows.map((row) => Buffer.from(row['sealed'] as Uint8Array)),
    );
    expect(countsOf(school)).toMatchObject({
      numbers: 91,
      names: 91,
      births: 90,
      contact: 90,
      texts: 10,
      secrets: 91,
    });
    expect(leftOf(sealed)).toBe(sealed.length);
  });
  expect(await codeOf(rosterOf(school))).toBe('mandate.ended');
  expect((await at.operator.listSchoolForgets({})).forgettings).toMatchObject([{ schoolOin: school, state: 'waits' }]);
  expect(await seen()).toMatchObject({ learners: PUPILS, staff: 1, texts: 10 });
});

test('at the hour people, texts and keys go, from every row and every byte; another school has all of it', async () => {
  await at.at('2026-11-26T10:30:00Z');
  await eventually(() => seen()).toMatchObject({ learners: 0, staff: 0, texts: 0, mandates: 0, rosters: [] });
  expect(await seen(other)).toMatchObject({ learners: PUPILS, staff: 1, texts: 10, mandates: 3 });
  // What is destroyed and that it was: in the log of what was done.
  const done = async () => {
    const { leaves } = await at.operator.readAuditLog({ from: 0n, limit: 1000 });
    return leaves
      .map(({ record }) => AuditRecord.decode(record))
      .filter(({ schoolOin, method }) => schoolOin === school && /^PartyStanding|ForgetSchool$/.test(method))
      .map(({ method, code, people }) => [method.replace(/.*\//, ''), code || people]);
  };
  await eventually(done).toEqual(
    expect.arrayContaining([
      ['PartyStandingChanged', 'school_waits'],
      ['PartyStandingChanged', 'school_destroyed'],
      // Learners went at their own hour; the teacher, whom nobody forgot, goes with the school.
      ['ForgetSchool', 1n],
    ]),
  );
  expect(await codeOf(rosterOf(school))).not.toBe('');
  expect((await rosterOf(other)).learners[0]!.person!.callName).toMatch(/^Roep/);
  const news = await readUntil(at.as(keys.publisher).parties.watchMandates({}), (all) =>
    all.some(({ schoolForgetting }) => schoolForgetting?.state === 'destroyed'),
  );
  expect(news.findLast(({ schoolForgetting }) => schoolForgetting)!.schoolForgetting).toMatchObject({
    schoolOin: school,
  });
  await at.at('2026-11-26T10:40:00Z', () => {
    const { keys: of, ...rest } = vaultOf(school);
    expect(Object.fromEntries(Object.entries(rest).map(([name, rows]) => [name, rows.length]))).toEqual({
      numbers: 0,
      names: 0,
      births: 0,
      contact: 0,
      texts: 0,
      lookups: 0,
      secrets: 0,
    });
    // Its keys are others, so that what is elsewhere under the ones before stays closed.
    expect(of.length).toBeGreaterThan(0);
    expect(Math.min(...of.map(({ madeMs }) => Number(madeMs)))).toBeGreaterThanOrEqual(
      Date.parse('2026-11-26T10:00:00Z'),
    );
    expect(leftOf(sealed)).toBe(0);
    expect(countsOf(other)).toMatchObject({
      numbers: 91,
      names: 91,
      births: 90,
      contact: 90,
      texts: 10,
      secrets: 91,
    });
    const list = readFileSync(join(at.folder, 'vault.db.forgotten'), 'utf8').split('\n');
    expect(list.filter((line) => line.startsWith('sc_'))).toHaveLength(1);
    expect(list.filter((line) => / destroyed /.test(line))).toHaveLength(92);
  });
});

test('who has to be asked is asked until it confirmed, and the school comes again as one of which nothing is known', async () => {
  const asks = async () => {
    const { forgettings } = await at.operator.listSchoolForgets({ schoolOin: school });
    return forgettings.flatMap(({ receivers }) => receivers.filter((one) => one.mustConfirm && one.confirmedMs === 0n));
  };
  expect((await asks()).map(({ partyOin }) => partyOin)).toEqual([platformOin]);
  await at.operator.confirmSchoolForget({ schoolOin: school, partyOin: platformOin });
  expect(await asks()).toEqual([]);
  await at.at('2026-11-26T12:00:00Z');
  const { parties } = await at.operator.listParties({});
  const oins = parties.filter(({ roles }) => !roles.includes(Role.ROLE_SCHOOL)).map(({ oin }) => oin);
  expect(oins).toContain(platformOin);
  const [lasOin] = parties.filter(({ roles }) => roles.includes(Role.ROLE_ADMINISTRATION)).map(({ oin }) => oin);
  await at.mandate(school, lasOin!, [Service.SERVICE_ROSTER]);
  await at.mandate(school, platformOin, [Service.SERVICE_ROSTER], { attributes: ['eck_id', 'call_name'] });
  await push(school, 30);
  await eventually(async () => (await rosterOf(school).catch(() => ({ learners: [] }))).learners.length).toBe(30);
  // A minute later the doors have told the vault again of the hour: who came since stays.
  await at.at('2026-11-27T12:00:00Z');
  expect(await seen()).toMatchObject({ learners: 30, staff: 1, texts: 10 });
});
