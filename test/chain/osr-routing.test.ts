/** An administration with several addresses: each school is asked at the one that OSR has for it, on that day. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { brinOf, dutchDay } from '#kernel';
import { MandateState, Role } from '#proto/eduk/core/v1/party';
import { type LasPeer, openLas } from '../parties/las.ts';
import { type OsrPeer, openOsr } from '../parties/osr.ts';
import { eckId, newSchool, readUntil, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const NAMESPACE = 'http://example.org/schemas/leerlinggegevens/20260101';
const NOW = new Date();
const FIRST = NOW.getUTCMonth() >= 7 ? NOW.getUTCFullYear() : NOW.getUTCFullYear() - 1;
const YEAR = `${FIRST}-${FIRST + 1}`;
const dayIn = (days: number): string => dutchDay(Date.now() + days * 86_400_000);
const folder = mkdtempSync(join(tmpdir(), 'eduk-osr-routing-'));
const [here, there] = [newSchool(), newSchool()];
let osr: OsrPeer;
let at: TestGateway;
let party: TestParty;
let own: TestParty;
/** Two places of one administration. */
let one: LasPeer;
let two: LasPeer;

const routingId = (school: string, digits = '00001'): string => `${school.slice(0, 15)}${digits}`;
const inOsr = (school: string, url: string, more: object = {}) =>
  osr.endpoints.push({ routing_id: routingId(school), namespace: NAMESPACE, url, supplier: party.oin, ...more });
const sync = () => at.operator.syncRegister([{ schoolOins: [here, there] }]);
const settings = (more: object = {}) => {
  const secret = join(folder, 'sleutel');
  writeFileSync(secret, 'een-sleutel\n', { mode: 0o600 });
  const schools = [here, there].map((school) => ({ school, sleutel: 'sleutel', ...more }));
  writeFileSync(
    join(folder, 'leerlijst.json'),
    JSON.stringify({
      ...{ party: party.oin, klantcode: one.klant.klantcode, klantnaam: one.klant.klantnaam, everyMinutes: 0 },
      ...{ leerlinggegevens: `osr:${NAMESPACE}`, schools },
    }),
  );
};
/** Which of the two was asked about a school, and what came of it. */
async function pulled(school: string): Promise<[string, string, string]> {
  one.asked.length = 0;
  two.asked.length = 0;
  const { rosters } = await at.operator.pullRoster([{ schoolOin: school, partyOin: party.oin, whole: true }]);
  const brin = brinOf(school)!;
  const who = [one, two].map((las) => (las.asked.some((asked) => asked.brin === brin) ? '1' : '0')).join('');
  const [{ pull, told }] = rosters as [(typeof rosters)[0]];
  return [{ '10': 'one', '01': 'two', '00': 'nobody' }[who] ?? 'both', pull!.code, told];
}

beforeAll(async () => {
  [osr, one, two] = await Promise.all([openOsr(), openLas(), openLas()]);
  at = await startTestGateway({
    EDUK_ADMINISTRATIONS: folder,
    EDUK_OSR_URL: osr.url,
    EDUK_OSR_SERVICES: `${NAMESPACE}=roster`,
    EDUK_OSR_EVERY: '0',
  });
  party = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  own = await at.party('De Wilgenhof', [Role.ROLE_SCHOOL], here);
  for (const school of [here, there]) {
    osr.schools.add(school);
    osr.mandates.push({ school, supplier: party.oin, namespace: NAMESPACE, start: '2026-08-01' });
    for (const las of [one, two])
      las.schools.set(brinOf(school)!, {
        ...{ sleutel: 'een-sleutel', year: YEAR, made: '2026-11-20T03:15:00Z', staff: [] },
        groups: [{ key: 'g7', name: 'Zeven' }],
        pupils: [{ key: 'k1', eckId: eckId(school === here ? 1 : 2), name: 'Els', group: 'g7' }],
      });
  }
  settings();
});
afterAll(async () => {
  await at?.stop();
  await Promise.all([osr?.close(), one?.close(), two?.close()]);
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  osr.endpoints = [];
  settings();
});

test('each school is asked where OSR has its own address, and both sides are told where that changes', async () => {
  inOsr(here, `${one.url}/leerlinggegevens`);
  inOsr(there, `${two.url}/leerlinggegevens`);
  await sync();
  expect((await pulled(here))[0]).toBe('one');
  expect((await pulled(there))[0]).toBe('two');

  const { watchCursor } = await own.parties.listMandates({});
  const { watchCursor: theirs } = await party.parties.listMandates({});
  osr.endpoints[0]!.url = `${two.url}/leerlinggegevens`;
  const { lines } = await sync();
  expect(lines.map(({ kind, schoolOin }) => [kind, schoolOin])).toEqual([['change', here]]);
  expect((await pulled(here))[0]).toBe('two');
  for (const [side, cursor] of [
    [own, watchCursor],
    [party, theirs],
  ] as const) {
    const [news] = await readUntil(side.parties.watchMandates({ cursor }), (all) => all.length > 0);
    expect(news).toMatchObject({ change: 'changed', reason: 'register', mandate: { schoolOin: here } });
    expect(news!.mandate!.endpoints.map(({ url }) => url)).toEqual([`${two.url}/leerlinggegevens`]);
  }
});

test('an address counts on its days, and one of later days is known beforehand', async () => {
  inOsr(here, `${one.url}/leerlinggegevens`, { end: dayIn(0) });
  inOsr(here, `${two.url}/leerlinggegevens`, { start: dayIn(1) });
  await sync();
  const { mandates } = await at.operator.listMandates({ schoolOin: here });
  expect(mandates[0]!.endpoints.map(({ url, validFrom }) => [new URL(url).port, validFrom !== ''])).toHaveLength(2);
  expect((await pulled(here))[0]).toBe('one');
  osr.endpoints = [];
  inOsr(here, `${one.url}/leerlinggegevens`, { start: '2026-08-01', end: dayIn(-1) });
  await sync();
  const [who, code, told] = await pulled(here);
  expect([who, code]).toEqual(['nobody', 'gateway.unavailable']);
  expect(told).toContain('OSR has no address');
});

test('where a school runs several administrations, that of the one that is meant', async () => {
  inOsr(here, `${one.url}/leerlinggegevens`);
  inOsr(here, `${two.url}/leerlinggegevens`, { routing_id: routingId(here, '00002') });
  await sync();
  const [who, , told] = await pulled(here);
  expect(who).toBe('nobody');
  expect(told).toContain('addresses of 2 administrations');
  settings({ administration: '00002' });
  expect((await pulled(here))[0]).toBe('two');
});

test('none outside the networks that are allowed: it is left out, told, and nothing is sent there', async () => {
  inOsr(here, 'https://10.0.0.1/leerlinggegevens');
  const { lines } = await sync();
  expect(lines.map(({ kind, code }) => [kind, code])).toContainEqual(['endpoint', 'wire.invalid']);
  expect((await pulled(here)).slice(0, 2)).toEqual(['nobody', 'gateway.unavailable']);
});

test('of a mandate that the school ended nothing is asked, wherever OSR has an address', async () => {
  inOsr(there, `${two.url}/leerlinggegevens`);
  await sync();
  expect((await pulled(there))[0]).toBe('two');
  const [mandate] = (await at.operator.listMandates({ schoolOin: there })).mandates;
  await at.operator.changeMandate({ mandateId: mandate!.mandateId, change: 'stop' });
  expect((await at.operator.listMandates({ schoolOin: there })).mandates[0]!.state).toBe(
    MandateState.MANDATE_STATE_ENDED,
  );
  expect((await pulled(there)).slice(0, 2)).toEqual(['nobody', 'mandate.ended']);
});
