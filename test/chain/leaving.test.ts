/** Somebody leaves a school, seen over the wire for a year: what is kept of them, until when, and what is as it was when they come back. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type AheadGateway, startAhead } from './ahead.ts';
import { eckId, newSchool, readUntil, sendAll } from './gateway.ts';

const YEAR = '2026-2027';
const PUPILS = 25;
const LEAVER = 24;
const school = newSchool();
let at: AheadGateway;
let keys: { las: string; platform: string; dashboard: string };
let was: string[];
let references = 0;

const las = () => at.as(keys.las);
const platform = () => at.as(keys.platform);
const dashboard = () => at.as(keys.dashboard);
const eventually = (ask: () => Promise<unknown>) => expect.poll(ask, { interval: 200 });

/** A roster of the whole school, with or without the pupil who leaves. */
const push = (count: number) =>
  sendAll(las().rosters.pushRoster(), [
    {
      reference: `roster-${++references}`,
      rosterId: `roster-${references}`,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: YEAR,
        groups: [{ key: 'g7', name: 'Groep 7', yearGroup: '7' }],
        learners: Array.from({ length: count }, (_, i) => ({
          ref: { eckId: eckId(100 + i), lasKey: `k${100 + i}` },
          person: { familyName: `Achter${i}`, callName: `Roep${i}`, birthDate: '2015-01-02' },
          yearGroup: '7',
          groupKey: 'g7',
        })),
      },
    },
  ]);
const inRoster = async () =>
  (await platform().rosters.getRoster({ schoolOin: school, schoolYear: YEAR })).roster!.learners;
const countIs = (count: number) => eventually(async () => (await inRoster()).length).toBe(count);
/** What a receiver with pseudonyms calls the pupil: it changes only with the pupil's token. */
const pseudonyms = async () =>
  (await dashboard().rosters.getRoster({ schoolOin: school, schoolYear: YEAR })).roster!.learners.map(
    ({ ref }) => ref!.lasKey,
  );
/** Names of all of whom anything is held, in a roster or not, as the school itself is told. */
async function namesHeld(): Promise<string[]> {
  const out = join(dirname(at.folder), `export-${++references}`);
  await at.operator.exportSchool([{ schoolOin: school, folder: out }]);
  const [, ...rows] = readFileSync(join(out, 'personen.csv'), 'utf8').trimEnd().split('\r\n');
  return rows.flatMap((row) => /Achter\d+/.exec(row)?.[0] ?? []);
}
/** Rows in the vault's file, while nobody has it. */
function rowsHeld(): Record<string, number> {
  const db = new DatabaseSync(join(at.folder, 'vault.db'), { readOnly: true });
  const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!['n']);
  try {
    return { names: count('names'), births: count('births'), numbers: count('numbers') };
  } finally {
    db.close();
  }
}
const held = async () => {
  const { learners } = await at.operator.previewSchoolForget({ schoolOin: school });
  return learners;
};
async function doctor(): Promise<Record<string, { state: string; says: string }>> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../services/cli/eduk.js'), 'doctor', '--json'], {
    env: at.env,
  });
  let out = '';
  child.stdout.on('data', (bytes) => (out += bytes));
  await new Promise((resolve) => child.once('close', resolve));
  return Object.fromEntries(JSON.parse(out).checks.map((check: { name: string }) => [check.name, check]));
}

beforeAll(async () => {
  at = await startAhead('2026-11-23T10:00:00Z');
  const party = (name: string, role: Role, attributes: string[]) => at.party(name, [role], attributes);
  const [one, two, three] = [
    await party('De Leerlijst', Role.ROLE_ADMINISTRATION, []),
    await party('Leerplein', Role.ROLE_PLATFORM, ['eck_id', 'call_name', 'family_name']),
    await party('Zicht', Role.ROLE_DASHBOARD, ['las_key']),
  ];
  keys = { las: one.apiKey, platform: two.apiKey, dashboard: three.apiKey };
  await at.mandate(school, one.oin, [Service.SERVICE_ROSTER]);
  await at.mandate(school, two.oin, [Service.SERVICE_ROSTER], { attributes: ['eck_id', 'call_name', 'family_name'] });
  await at.mandate(school, three.oin, [Service.SERVICE_ROSTER], { attributes: ['las_key'], pairwise: true });
  await push(PUPILS);
});
afterAll(() => at?.stop());

test('names stay for 30 days after leaving, and then go by themselves', async () => {
  await eventually(async () => (await inRoster().catch(() => [])).length).toBe(PUPILS);
  was = (await pseudonyms()).sort();
  await push(PUPILS - 1);
  await countIs(PUPILS - 1);
  await at.at('2026-12-22T12:00:00Z');
  await countIs(PUPILS - 1);
  expect(await namesHeld()).toContain(`Achter${LEAVER}`);
  await at.at('2026-12-24T12:00:00Z');
  await eventually(namesHeld).not.toContain(`Achter${LEAVER}`);
  expect(await namesHeld()).toHaveLength(PUPILS - 1);
  // Still somebody, by number.
  expect(await held()).toBe(PUPILS);
  expect((await doctor())['kept: names']).toMatchObject({ state: 'ok' });
  await eventually(async () => {
    const { leaves } = await at.operator.readAuditLog({ from: 0n, limit: 1000 });
    return leaves
      .map(({ record }) => AuditRecord.decode(record))
      .filter(({ method, schoolOin }) => method === 'VaultService/EndNames' && schoolOin === school)
      .map(({ people }) => people);
  }).toEqual([1n]);
  await at.at('2026-12-24T13:00:00Z', () =>
    expect(rowsHeld()).toEqual({ names: PUPILS - 1, births: PUPILS - 1, numbers: PUPILS }),
  );
});

test('who comes back has the token of before, and names again', async () => {
  await push(PUPILS);
  await countIs(PUPILS);
  expect((await pseudonyms()).sort()).toEqual(was);
  const names = (await inRoster()).map(({ person }) => person!.familyName);
  expect(names).toContain(`Achter${LEAVER}`);
  await push(PUPILS - 1);
  await countIs(PUPILS - 1);
  await push(PUPILS);
  await countIs(PUPILS);
  expect((await pseudonyms()).sort()).toEqual(was);
  // A clock that stood still for two months ends nothing of who is there.
  await at.at('2027-02-25T12:00:00Z');
  await countIs(PUPILS);
  expect(await namesHeld()).toHaveLength(PUPILS);
});

test('numbers go on 1 October: receivers are told by number before, then nobody knows who it was', async () => {
  const before = await pseudonyms();
  await push(PUPILS - 1);
  await countIs(PUPILS - 1);
  await at.at('2027-09-28T12:00:00Z');
  const told = await readUntil(
    platform().rosters.watchRosters({ schoolOin: school }),
    (all) => all.some(({ change }) => change === 'learner_forgotten'),
    60_000,
  );
  const forgotten = told.filter(({ change }) => change === 'learner_forgotten');
  expect(JSON.stringify(forgotten)).toContain(eckId(100 + LEAVER));
  expect(forgotten).toHaveLength(1);
  expect(await held()).toBe(PUPILS);
  await at.at('2027-10-01T12:00:00Z');
  await eventually(held).toBe(PUPILS - 1);
  // The same number is somebody new.
  await push(PUPILS);
  await countIs(PUPILS);
  const after = await pseudonyms();
  expect(after.filter((key) => !before.includes(key))).toHaveLength(1);
  expect((await doctor())['kept: names']).toMatchObject({ state: 'ok' });
});
