/**
 * A school whose names are not kept: they are asked of its administration when a receiver may have them. What rests, who is told what while it
 * answers and while it does not, and how a school goes there and back.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { brinOf, schoolYearOf } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type LasPeer, openLas } from '../parties/las.ts';
import {
  eckId,
  type Fault,
  newSchool,
  readUntil,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { Receiver } from './receiver.ts';

const YEAR = schoolYearOf(Date.now());
const PUPILS = 25;
/** Parts of names and days that the administration gives. */
const WORDS = ['Quizelaar', 'Vanderquist', 'Meesterhof', '2014-05-'];
const folder = mkdtempSync(join(tmpdir(), 'eduk-on-demand-'));
const school = newSchool();
const brin = brinOf(school)!;
let las: LasPeer;
let at: TestGateway;
let administration: TestParty;
let platform: TestParty;
let hook: TestParty;
let receiver: Receiver;
let made = 0;

/** The school as its administration has it; `named` gives each pupil its name. */
function fill(named: (i: number) => string, count = PUPILS): void {
  las.schools.set(brin, {
    sleutel: 'sleutel-van-de-school',
    year: YEAR,
    made: new Date(Date.UTC(2026, 8, 1, 3, made++)).toISOString(),
    groups: [{ key: 'g7', name: 'Zeven' }],
    pupils: Array.from({ length: count }, (_, i) => ({
      key: `k${i}`,
      eckId: eckId(7700 + i),
      name: named(i),
      group: 'g7',
      extra: `<geboortedatum>2014-05-${String(i + 1).padStart(2, '0')}</geboortedatum>`,
    })),
    staff: [{ key: 'm1', name: 'Meesterhof', groups: ['g7'] }],
  });
}
const first = (i: number): string => `Quizelaar ${i}`;
const second = (i: number): string => (i === 3 ? 'Vanderquist 3' : first(i));

const pull = async () =>
  (await at.operator.pullRoster([{ schoolOin: school, partyOin: administration.oin }])).rosters[0]!;
const again = (of: TestParty) => at.as(`Bearer ${of.apiKey}`);
const roster = async () => (await again(platform).rosters.getRoster({ schoolOin: school })).roster!;
const nameOf = async (key: string): Promise<string | undefined> =>
  (await roster()).learners.find(({ ref }) => ref!.lasKey === key)?.person?.familyName;
/** Rows of the vault that hold anything of names, and which of these words stand in some file of the gateway, which is stopped. */
function atRest(): { rows: number; words: string[] } {
  const db = new DatabaseSync(join(at.folder, 'vault.db'), { readOnly: true });
  try {
    const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!['n']);
    const rows = ['names', 'births', 'contact'].reduce((sum, table) => sum + count(table), 0);
    const files = readdirSync(at.folder, { withFileTypes: true }).filter((entry) => entry.isFile());
    const bytes = files.map(({ name }) => readFileSync(join(at.folder, name)));
    return { rows, words: WORDS.filter((word) => bytes.some((one) => one.includes(word))) };
  } finally {
    db.close();
  }
}
/** People whose names were destroyed, each time, by the log of what was done. */
async function destroyed(): Promise<bigint[]> {
  const { leaves } = await at.operator.readAuditLog({ from: 0n, limit: 1000 });
  return leaves
    .map(({ record }) => AuditRecord.decode(record))
    .filter(({ method, schoolOin }) => method === 'VaultService/EndNames' && schoolOin === school)
    .map(({ people }) => people);
}
const eventually = (read: () => unknown) => expect.poll(read, { interval: 200 });

beforeAll(async () => {
  las = await openLas();
  receiver = await Receiver.open();
  mkdirSync(join(folder, 'geheim'));
  writeFileSync(join(folder, 'geheim', 'sleutel'), 'sleutel-van-de-school\n', { mode: 0o600 });
  at = await startTestGateway({ EDUK_ADMINISTRATIONS: folder, EDUK_NAMES_HELD_S: '600' });
  administration = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  platform = await at.party('Het Platform', [Role.ROLE_PLATFORM]);
  hook = await at.party('De Haak', [Role.ROLE_PLATFORM]);
  await at.mandate(school, administration.oin, [Service.SERVICE_ROSTER]);
  for (const { oin } of [platform, hook])
    await at.mandate(school, oin, [Service.SERVICE_ROSTER], {
      attributes: ['las_key', 'eck_id', 'family_name', 'call_name', 'birth_date', 'groups', 'staff'],
    });
  writeFileSync(
    join(folder, 'leerlijst.json'),
    JSON.stringify({
      party: administration.oin,
      klantcode: las.klant.klantcode,
      klantnaam: las.klant.klantnaam,
      leerlinggegevens: `${las.url}/leerlinggegevens`,
      everyMinutes: 0,
      timeoutSeconds: 1,
      schools: [{ school: brin, sleutel: 'geheim/sleutel' }],
    }),
  );
});
afterAll(async () => {
  await at?.stop();
  await receiver?.close();
  await las?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('names that were kept go when the school says so, and are asked from then on', async () => {
  fill(first);
  expect((await pull()).pull).toMatchObject({ outcome: 'applied', learners: PUPILS });
  expect(await nameOf('k3')).toBe('Quizelaar 3');
  const set = await at.operator.setIdentity({ schoolOin: school, identity: 'on-demand' });
  expect(set).toMatchObject({ unchanged: false, administrations: [administration.oin] });
  await eventually(destroyed).toEqual([BigInt(PUPILS + 1)]);
  let rest: ReturnType<typeof atRest> | undefined;
  await at.restart(() => {
    rest = atRest();
  });
  expect(rest).toEqual({ rows: 0, words: [] });

  // All that the vault can open of the school, as its export has it, names nobody.
  const out = join(folder, 'export');
  await at.operator.exportSchool([{ schoolOin: school, folder: out }]);
  const exported = readdirSync(out).map((file) => readFileSync(join(out, file), 'utf8'));
  expect(exported.some((text) => text.includes(eckId(7703)))).toBe(true);
  for (const word of WORDS)
    expect(
      exported.filter((text) => text.includes(word)),
      word,
    ).toEqual([]);

  las.asked.length = 0;
  const shown = await roster();
  expect(shown.learners.find(({ ref }) => ref!.lasKey === 'k3')).toMatchObject({
    person: { familyName: 'Quizelaar 3', callName: 'Zoë', birthDate: '2014-05-04' },
  });
  expect(shown.staff).toMatchObject([{ person: { familyName: 'Meesterhof' } }]);
  expect(await nameOf('k4')).toBe('Quizelaar 4');
  // One question for the school, and then minutes of memory.
  expect(las.asked.map(({ operation }) => operation)).toEqual(['leerlinggegevens']);
});

/** Changes that a watch of the platform tells, up to `count`. */
const watched = async (cursor: string, count: number) =>
  readUntil(again(platform).rosters.watchRosters({ cursor, schoolOin: school }), (all) => all.length === count, 30_000);

test('a change of a name is known by its mark, and told as the administration has it by then', async () => {
  const { watchCursor } = await again(platform).rosters.getRoster({ schoolOin: school });
  fill(second);
  expect((await pull()).pull).toMatchObject({ outcome: 'applied' });
  const [change] = await watched(watchCursor, 1);
  expect(change).toMatchObject({
    change: 'learner_changed',
    learner: { ref: { lasKey: 'k3' }, person: { familyName: 'Vanderquist 3' } },
  });
  // Whoever comes is told with a name too, though the school was asked a moment ago.
  const { watchCursor: then } = await again(platform).rosters.getRoster({ schoolOin: school });
  fill(second, PUPILS + 1);
  await pull();
  expect((await watched(then, 1))[0]).toMatchObject({
    change: 'learner_joined',
    learner: { person: { familyName: `Quizelaar ${PUPILS}` } },
  });
  // What is in memory is not asked for again by who reads.
  las.asked.length = 0;
  await roster();
  await roster();
  expect(las.asked).toEqual([]);
});

test('while the administration cannot tell, everybody is told who must act, and what waits goes in order', async () => {
  const added = await at.operator.addParty({
    party: {
      oin: hook.oin,
      name: 'De Haak',
      roles: [Role.ROLE_PLATFORM],
      endpoints: [{ standard: 'webhook', url: receiver.url, fromMs: 0n }],
    },
  });
  receiver.secret = added.webhookSecret;
  await eventually(() => receiver.first.length).toBeGreaterThan(PUPILS);
  const named = (key: string) =>
    receiver.first.flatMap(({ type, data }) =>
      data?.learner?.ref?.lasKey === key ? [`${type.split('.').at(-1)} ${data.learner.person?.familyName ?? '-'}`] : [],
    );
  const { watchCursor } = await again(platform).rosters.getRoster({ schoolOin: school });
  const before = receiver.first.length;

  // It answers who asks what changed since, and nobody who asks for names.
  las.fails = (_operation, _brin, text) => (/laatstontvangengegevens>[^<]/.test(text) ? undefined : 'error');
  await at.restart();
  for (const name of ['Eerste', 'Tweede']) {
    fill((i) => (i === 5 ? name : second(i)), PUPILS + 1);
    expect((await pull()).pull).toMatchObject({ outcome: 'applied' });
  }
  const failed = await again(platform)
    .rosters.getRoster({ schoolOin: school })
    .then(
      () => undefined,
      (thrown: Fault) => thrown,
    );
  expect(failed).toMatchObject({ code: 'peer.unavailable' });
  expect(failed!.details).toContain('asked of its administration');
  // Parked for the webhook, and for who watches.
  const watch = watched(watchCursor, 2);
  watch.catch(() => undefined);
  await eventually(async () => {
    const { blockers } = await at.operator.whyBlocked({ schoolOin: school, learner: { lasKey: 'k5' } });
    return blockers.map(({ code, who }) => [code, who]);
  }).toContainEqual(['peer.unavailable', 'peer']);
  expect(receiver.first).toHaveLength(before);

  las.fails = () => undefined;
  const told = await watch;
  expect(told.map(({ learner }) => learner?.person?.familyName)).toEqual(['Tweede', 'Tweede']);
  await eventually(() => named('k5').length).toBe(3);
  expect(named('k5').slice(1)).toEqual(['LearnerChanged Tweede', 'LearnerChanged Tweede']);
  expect(receiver.problems).toEqual([]);
});

test('an administration that is slow is waited for, and one that names others for many is not believed', async () => {
  fill((i) => second(i - 1), PUPILS + 1);
  expect((await pull()).pull).toMatchObject({ outcome: 'held', code: 'hold.pending' });
  await at.restart();
  const refused = await roster().then(
    () => undefined,
    (thrown: Fault) => thrown,
  );
  expect(refused).toMatchObject({ code: 'peer.unavailable' });
  expect(refused!.details).toContain('has other names for many people');
  fill((i) => (i === 5 ? 'Tweede' : second(i)), PUPILS);
  await at.restart();
  // Whom the administration does not know has no name, and is there all the same.
  const { learners } = await roster();
  expect(learners).toHaveLength(PUPILS + 1);
  expect(learners.filter(({ person }) => person === undefined).map(({ ref }) => ref!.lasKey)).toEqual([`k${PUPILS}`]);
});

test('a school that has its names kept again has them with the next roster', async () => {
  expect(await at.operator.setIdentity({ schoolOin: school, identity: 'kept' })).toMatchObject({ unchanged: false });
  fill(second, PUPILS + 1);
  las.asked.length = 0;
  expect((await pull()).pull).toMatchObject({ outcome: 'applied' });
  expect(las.asked.map(({ since }) => since)).toEqual(['']);
  las.fails = () => 'error';
  expect(await nameOf('k3')).toBe('Vanderquist 3');
  expect((await at.operator.showProcessing({ schoolOin: school })).identity).toBeUndefined();
  await at.gateway.stop();
  expect(atRest()).toMatchObject({ words: [] });
  expect(atRest().rows).toBeGreaterThan(PUPILS);
});
