/**
 * A gateway whose clock goes on while it is stopped: what it does at an hour of which everything else was decided long before. A
 * school is forgotten and destroyed, and comes again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { brinOf, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { type LasPeer, openLas } from '../parties/las.ts';
import { clientsOf, eckId, newOin, newSchool, type WireClient, wire } from './gateway.ts';

const HOUR = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), 'eduk-later-'));
const data = join(folder, 'data');
const administrations = join(folder, 'administraties');
/** Every thread that it is loaded into lives so much later. */
const clock = join(folder, 'clock.mjs');
const school = newSchool();
const brin = brinOf(school)!;
const children = new Set<ChildProcess>();
let las: LasPeer;

interface Later {
  operator: WireClient<typeof OperatorServiceDefinition>;
  channel: GrpcClient;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

async function start(aheadMs: number): Promise<Later> {
  writeFileSync(
    clock,
    `const Real = Date; const now = Real.now; const later = () => now.call(Real) + ${aheadMs};
    globalThis.Date = new Proxy(Real, {
      construct: (of, args, own) => Reflect.construct(of, args.length === 0 ? [later()] : args, own),
      get: (of, name) => (name === 'now' ? later : of[name]),
    });`,
  );
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../services/cli/eduk.js'), 'start'], {
    env: {
      PATH: process.env['PATH'],
      NODE_OPTIONS: `--import=${pathToFileURL(clock).href}`,
      EDUK_DATA: data,
      EDUK_GRPC: '127.0.0.1:0',
      EDUK_HTTP: '127.0.0.1:0',
      EDUK_LOG: 'error',
      EDUK_ADMINISTRATIONS: administrations,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let said = '';
  child.stdout!.on('data', (bytes) => (said += bytes));
  child.stderr!.on('data', (bytes) => (said += bytes));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let address: string | undefined;
  for (const until = Date.now() + 60_000; address === undefined; await sleep(20)) {
    address = /^ready grpc=(\S+) /m.exec(said)?.[1];
    if (child.exitCode !== null || Date.now() > until) throw new Error(`it did not start: ${said}`);
  }
  const channel = new GrpcClient(address, credentials.createInsecure());
  const key = readFileSync(join(data, 'operator.key'), 'utf8').trim();
  return {
    channel,
    operator: wire(OperatorServiceDefinition, channel, `Bearer ${key}`),
    stop: async (signal: NodeJS.Signals = 'SIGTERM') => {
      channel.close();
      child.kill(signal);
      await ended;
      children.delete(child);
    },
  };
}

beforeAll(async () => {
  las = await openLas();
  mkdirSync(administrations);
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await las?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a school that was forgotten is destroyed at its hour, in the vault too; one that comes again is fetched whole', async () => {
  const party = newOin();
  const year = schoolYearOf(Date.now());
  las.schools.set(brin, {
    sleutel: 'sleutel',
    year,
    made: new Date(Date.now() - HOUR).toISOString(),
    groups: [{ key: 'g7', name: 'Zeven' }],
    pupils: Array.from({ length: 25 }, (_, i) => ({
      key: `k${i}`,
      eckId: eckId(70 + i),
      name: `Els ${i}`,
      group: 'g7',
    })),
    staff: [{ key: 'm1', name: 'Berk', groups: ['g7'] }],
  });
  writeFileSync(join(administrations, 'sleutel'), 'sleutel\n', { mode: 0o600 });
  writeFileSync(
    join(administrations, 'las.json'),
    JSON.stringify({
      party,
      ...las.klant,
      leerlinggegevens: `${las.url}/leerlinggegevens`,
      everyMinutes: 0,
      schools: [{ school: brin, sleutel: 'sleutel' }],
    }),
  );
  const joins = async ({ operator }: Later) => {
    await operator.grantMandate({
      mandate: { schoolOin: school, partyOin: party, services: [Service.SERVICE_ROSTER] },
      confirm: true,
    });
  };
  const pull = async ({ operator }: Later) => (await operator.pullRoster([{ schoolOin: school }])).rosters[0]!.pull!;
  const held = async ({ operator }: Later) => {
    const { learners, staff, texts } = await operator.previewSchoolForget({ schoolOin: school });
    return [learners, staff, Number(texts) > 0];
  };

  let at = await start(0);
  await at.operator.addParty({ party: { oin: party, name: 'De Leerlijst', roles: [Role.ROLE_ADMINISTRATION] } });
  const { apiKey } = await at.operator.addParty({
    party: { oin: school, name: 'School', roles: [Role.ROLE_SCHOOL] },
  });
  await joins(at);
  expect(await pull(at)).toMatchObject({ outcome: 'applied', learners: 25 });
  expect(await pull(at)).toMatchObject({ outcome: 'unchanged' });
  expect(await held(at)).toEqual([25, 1, true]);
  const { check } = await at.operator.previewSchoolForget({ schoolOin: school });
  expect((await at.operator.forgetSchool({ schoolOin: school, check })).forgetting).toMatchObject({ state: 'waits' });
  expect(await pull(at)).toMatchObject({ outcome: 'failed', code: 'mandate.ended' });
  await at.stop();

  at = await start(71 * HOUR);
  expect(await held(at)).toEqual([25, 1, true]);
  await at.stop();

  at = await start(73 * HOUR);
  await expect.poll(() => held(at), { timeout: 90_000, interval: 500 }).toEqual([0, 0, false]);
  const { forgetting } = await at.operator.previewSchoolForget({ schoolOin: school });
  expect(forgetting).toMatchObject({ state: 'destroyed' });
  await at.stop();
  const vault = new DatabaseSync(join(data, 'vault.db'), { readOnly: true });
  try {
    const rows = (table: string) => vault.prepare(`SELECT count(*) AS n FROM ${table}`).get()!['n'];
    for (const table of ['names', 'numbers', 'texts', 'lookups']) expect([table, rows(table)]).toEqual([table, 0]);
  } finally {
    vault.close();
  }

  at = await start(75 * HOUR);
  await joins(at);
  expect(await pull(at)).toMatchObject({ outcome: 'applied', learners: 25 });
  expect(await held(at)).toEqual([25, 1, true]);
  const { rosters } = clientsOf(at.channel, `Bearer ${apiKey}`);
  expect((await rosters.getRoster({ schoolOin: school, schoolYear: year })).roster!.learners).toHaveLength(25);
  await at.stop();
}, 240_000);

test('a gateway that was killed while it asked an administration keeps that school waiting for a minute and a half at most', async () => {
  const pull = async ({ operator }: Later) =>
    (await operator.pullRoster([{ schoolOin: school, whole: true }])).rosters[0]!.pull!;
  let at = await start(76 * HOUR);
  las.fails = () => 'slow';
  const before = las.asked.length;
  const asked = pull(at).catch(() => undefined);
  await expect.poll(() => las.asked.length).toBeGreaterThan(before);
  await at.stop('SIGKILL');
  await asked;
  las.fails = () => undefined;
  at = await start(76 * HOUR);
  await expect(pull(at)).rejects.toMatchObject({ code: 'state.conflict' });
  await at.stop();
  at = await start(76 * HOUR + 100_000);
  expect(await pull(at)).toMatchObject({ outcome: 'applied', learners: 25 });
  await at.stop();
});

test('of a school that turned its year before August the year that it is in is fetched, by itself too', async () => {
  const june = Date.parse('2027-06-10T08:00:00Z') - Date.now();
  const [year, next] = ['2026-2027', '2027-2028'];
  las.schools.get(brin)!.year = next;
  las.asked.length = 0;
  const years = () => las.asked.map(({ schooljaar }) => schooljaar);
  let at = await start(june);
  const pull = async (schoolYear = '') =>
    (await at.operator.pullRoster([{ schoolOin: school, schoolYear }])).rosters[0]!.pull!;
  expect(await pull(next)).toMatchObject({ outcome: 'applied' });
  await at.operator.turnYear({ schoolOin: school, schoolYear: next });
  expect(await pull()).toMatchObject({ schoolYear: next, outcome: 'unchanged' });
  await at.stop();
  const file = join(administrations, 'las.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), everyMinutes: 60 }));
  las.asked.length = 0;
  at = await start(june + 2 * HOUR);
  await expect.poll(years, { interval: 200 }).toEqual([year, next]);
  await at.stop();
});
