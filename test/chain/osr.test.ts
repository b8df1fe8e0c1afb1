/** Mandates of OSR: how it is asked, what becomes of its answers, and what does not. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { diallerFor, dutchDay, GatewayError, networksOf } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import type { SyncRegisterRequest } from '#proto/eduk/operator/v1/operator';
import { type OsrAddress, osrAt } from '#services/edge';
import { type OsrFault, type OsrPeer, type OsrSettings, openOsr, operations } from '../parties/osr.ts';
import { testAuthority } from './authority.ts';
import { Fault, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const ROSTER = 'http://example.org/schemas/roster/20260101';
const RESULTS = 'http://example.org/schemas/results/20260101';
const { MANDATE_STATE_ACTIVE: ACTIVE, MANDATE_STATE_RUN_OFF: RUN_OFF, MANDATE_STATE_ENDED: ENDED } = MandateState;
const today = dutchDay(Date.now());

describe('OSR', () => {
  const SCHOOL = '0000000700099ZX00000';
  const SUPPLIER = '00000003222222220000';
  const question = { school: SCHOOL, supplier: SUPPLIER, namespace: ROSTER, day: '2026-11-22' };
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function peer(settings?: OsrSettings): Promise<OsrPeer> {
    const opened = await openOsr(settings);
    closing.push(() => opened.close());
    opened.schools.add(SCHOOL);
    opened.mandates.push({
      school: SCHOOL,
      supplier: SUPPLIER,
      namespace: ROSTER,
      start: '2026-08-01',
      end: '2027-07-31',
    });
    return opened;
  }

  function client(address: OsrAddress, tls: Parameters<typeof diallerFor>[1] = {}) {
    const dialler = diallerFor(networksOf([], true), tls);
    closing.push(() => dialler.close());
    const rests: number[] = [];
    return { osr: osrAt(address, dialler, { timeoutMs: 500, rest: async (ms) => void rests.push(ms) }), rests };
  }

  const faultOf = async (answer: Promise<unknown>): Promise<string> => {
    try {
      await answer;
      return '';
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(GatewayError);
      return (thrown as GatewayError).fault;
    }
  };

  test('has the names of its description', () => {
    const file = join(import.meta.dirname, '../../../shared/standards/osr/osr-v2.reconstructed.openapi.yaml');
    if (!existsSync(file)) return;
    const text = readFileSync(file, 'utf8');
    for (const [path, { may, needs }] of Object.entries(operations)) {
      const own = text.slice(text.indexOf(`  ${path}:\n`) + 3);
      const part = own.split(/\n {2}\//)[0]!.split('\n    post:')[0]!;
      const named = (pattern: RegExp) => [...part.matchAll(pattern)].map(([, name]) => name);
      expect([path, named(/\{name: (\w+), in: query/g)]).toEqual([path, may]);
      expect([path, named(/\{name: (\w+), in: query, required: true/g)]).toEqual([path, needs]);
    }
  });

  test('is asked whether a school mandated a supplier, on the reference day', async () => {
    const at = await peer();
    const { osr } = client(at);
    expect(await osr.mandate(question)).toEqual({ holds: true, validFrom: '', validUntil: '' });
    expect(await osr.mandate({ ...question, day: '2026-07-31' })).toMatchObject({ holds: false });
    expect(await osr.mandate({ ...question, supplier: '00000003333333330000' })).toMatchObject({ holds: false });
    at.shows = true;
    expect(await osr.mandate(question)).toEqual({ holds: true, validFrom: '2026-08-01', validUntil: '2027-07-31' });
    expect(at.asked.every((one) => one.includes('reference_date='))).toBe(true);
  });

  test('is asked for all pages of a list, and whether it knows a school', async () => {
    const at = await peer({ page: 2 });
    for (let i = 1; i <= 5; i++)
      at.endpoints.push({ routing_id: `0000000700099ZX0000${i}`, namespace: ROSTER, url: `https://las.example/${i}` });
    const { osr } = client(at);
    const found = await osr.endpoints(question);
    expect(found.map(({ endpoint }) => endpoint.url)).toEqual([1, 2, 3, 4, 5].map((i) => `https://las.example/${i}`));
    expect(at.asked).toHaveLength(3);
    expect(await osr.school(SCHOOL)).toEqual({ oin: SCHOOL, name: 'Een school' });
    expect(await osr.school('0000000700098ZX00000')).toBeUndefined();
    // A page that cannot be read makes the whole list unknown.
    at.fails = (_path, query) => (query.get('page') === '1' ? 'garbage' : undefined);
    expect(await faultOf(osr.endpoints(question))).toBe('peer.unavailable');
  });

  test('is shown the key, and says so where that is wrong', async () => {
    const key = { name: 'X-API-Key', value: 'geheim' };
    const at = await peer({ key });
    expect(await client({ url: at.url, key }).osr.mandate(question)).toMatchObject({ holds: true });
    expect(await faultOf(client({ url: at.url }).osr.mandate(question))).toBe('peer.refused');
  });

  test('is believed only with a certificate of its authority, and shown ours', async () => {
    const theirs = testAuthority('OSR');
    const { cert, key } = theirs.issue({}, { names: ['localhost'] });
    const at = await peer({ tls: { cert, key, ca: theirs.ca } });
    const own = theirs.issue({ serialNumber: '00000003444444440000' });
    expect(await client(at, { ca: theirs.ca, client: own }).osr.mandate(question)).toMatchObject({ holds: true });
    at.asked.length = 0;
    expect(await faultOf(client(at).osr.mandate(question))).toBe('peer.unavailable');
    expect(await faultOf(client(at, { ca: testAuthority().ca, client: own }).osr.mandate(question))).toBe(
      'peer.unavailable',
    );
    expect(at.asked).toEqual([]); // Nothing was said to who could not prove to be OSR.
    expect(await faultOf(client(at, { ca: theirs.ca }).osr.mandate(question))).toBe('peer.refused');
  });

  const cases: [OsrFault, string, number][] = [
    ['slow', 'peer.unavailable', 3],
    ['error', 'peer.unavailable', 3],
    ['busy', 'peer.unavailable', 3],
    ['silent', 'peer.unavailable', 3],
    ['half', 'peer.unavailable', 3],
    ['garbage', 'peer.unavailable', 1],
    ['empty', 'peer.unavailable', 1],
    ['refuse', 'peer.refused', 1],
    ['elsewhere', 'peer.refused', 1],
  ];
  test.each(cases)('answering %s is %s, after %i questions', async (fault, expected, times) => {
    const at = await peer();
    at.fails = () => fault;
    const { osr, rests } = client(at);
    expect(await faultOf(osr.mandate(question))).toBe(expected);
    expect(at.asked).toHaveLength(times);
    if (fault === 'busy') expect(rests).toEqual([7000, 7000]);
  });
});

describe('what OSR says', () => {
  let osr: OsrPeer;
  let at: TestGateway;
  let las: TestParty;
  let other: TestParty;
  let school: string;

  beforeAll(async () => {
    osr = await openOsr();
    at = await startTestGateway({
      EDUK_OSR_URL: osr.url,
      EDUK_OSR_SERVICES: `${ROSTER}=roster,${RESULTS}=result+progress`,
      EDUK_OSR_EVERY: '0',
    });
    las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    other = await at.party('Het Rooster', [Role.ROLE_ADMINISTRATION]);
  });
  afterAll(async () => {
    await at?.stop();
    await osr?.close();
  });
  beforeEach(() => {
    school = newSchool();
    osr.schools.add(school);
    osr.fails = () => undefined;
    osr.shows = false;
  });
  afterEach(() => {
    osr.mandates = [];
    osr.endpoints = [];
  });

  const sync = (more: Partial<SyncRegisterRequest> = {}) =>
    at.operator.syncRegister([{ schoolOins: [school], partyOins: [], date: '', dryRun: false, approve: '', ...more }]);
  const says = async (more: Partial<SyncRegisterRequest> = {}) =>
    (await sync(more)).lines.map(({ kind, partyOin }) => [kind, partyOin]);
  /** None while the school is unknown here: nothing but its mandates makes it known. */
  const mandates = (party = las) =>
    at.operator.listMandates({ schoolOin: school, partyOin: party.oin }).then(
      (said) => said.mandates,
      (thrown: unknown) => {
        if (thrown instanceof Fault && thrown.code === 'state.missing') return [];
        throw thrown;
      },
    );
  const inOsr = (supplier: TestParty, namespace = ROSTER, more: object = {}) =>
    osr.mandates.push({ school, supplier: supplier.oin, namespace, start: '2026-08-01', ...more });
  const codeOf = async (answer: Promise<unknown>): Promise<string> => {
    try {
      await answer;
      return '';
    } catch (thrown) {
      return (thrown as Fault).code;
    }
  };

  test('is looked at first, then taken over as the school’s word, once', async () => {
    osr.shows = true;
    inOsr(las, ROSTER, { end: '2027-07-31' });
    osr.endpoints.push({
      routing_id: `${school.slice(0, 15)}00001`,
      namespace: ROSTER,
      url: 'https://las.example/uwlr',
      attributes: 'LAS',
    });
    const looked = await sync({ dryRun: true });
    expect(looked.lines).toMatchObject([
      { kind: 'add', partyOin: las.oin, services: [Service.SERVICE_ROSTER], validUntil: '2027-07-31', applied: false },
    ]);
    expect(looked.names.map(({ name }) => name)).toContain('De Leerlijst');
    expect(await mandates()).toEqual([]);
    const done = await sync();
    expect(done).toMatchObject({ date: today, run: { outcome: 'done', added: 1, unanswered: 0 } });
    const [mandate] = await mandates();
    expect(mandate).toMatchObject({
      state: ACTIVE,
      source: 'osr',
      sourceService: ROSTER,
      enteredBy: 'osr',
      validFrom: '2026-08-01',
      validUntil: '2027-07-31',
      endpoints: [{ url: 'https://las.example/uwlr', kind: 'LAS' }],
    });
    expect(await sync()).toMatchObject({ lines: [], unchanged: 1 });
    // It routes: the administration may send the school's roster.
    expect((await las.parties.listMandates({})).mandates.map(({ mandateId }) => mandateId)).toContain(
      mandate!.mandateId,
    );
  });

  test('on another day is looked at only', async () => {
    inOsr(las, ROSTER, { start: '2027-08-01' });
    expect(await says()).toEqual([]);
    expect(await codeOf(sync({ date: '2027-09-01' }))).toBe('wire.invalid');
    expect(await says({ date: '2027-09-01', dryRun: true })).toEqual([['add', las.oin]]);
    expect(await mandates()).toEqual([]);
  });

  test('changes days and endpoints of what was taken from it', async () => {
    osr.shows = true;
    inOsr(las);
    await sync();
    osr.mandates[0]!.end = '2027-07-31';
    osr.endpoints.push({
      routing_id: `${school.slice(0, 15)}00001`,
      namespace: ROSTER,
      url: 'https://las.example/nieuw',
    });
    const { lines } = await sync();
    expect(lines).toMatchObject([
      { kind: 'change', told: expect.stringMatching(/last day was not set; a new endpoint/) },
    ]);
    expect(await mandates()).toMatchObject([
      { state: ACTIVE, validUntil: '2027-07-31', endpoints: [{ url: 'https://las.example/nieuw' }] },
    ]);
    // An answer without its days changes none.
    osr.shows = false;
    expect(await sync()).toMatchObject({ lines: [], unchanged: 1 });
  });

  test('runs a mandate off where another supplier has it, takes that back, and stops it where nobody has', async () => {
    inOsr(las);
    inOsr(las, RESULTS);
    await sync();
    osr.mandates[0]!.supplier = other.oin;
    expect(await says()).toEqual(
      expect.arrayContaining([
        ['run_off', las.oin],
        ['add', other.oin],
      ]),
    );
    const rosterOf = async (party: TestParty) =>
      (await mandates(party)).find(({ sourceService }) => sourceService === ROSTER);
    expect(await rosterOf(las)).toMatchObject({
      state: RUN_OFF,
      endedBy: 'osr',
      runOffUntil: expect.stringMatching(/^20/),
    });
    osr.mandates[0]!.supplier = las.oin;
    expect(await says()).toEqual(
      expect.arrayContaining([
        ['change', las.oin],
        ['run_off', other.oin],
      ]),
    );
    expect(await rosterOf(las)).toMatchObject({ state: ACTIVE, endedBy: '', runOffUntil: '' });
    osr.mandates.shift();
    expect(await says()).toEqual([['stop', las.oin]]);
    expect(await rosterOf(las)).toMatchObject({ state: ENDED, endedBy: 'osr' });
    // Given again, it is another mandate.
    inOsr(las);
    expect(await says()).toEqual(expect.arrayContaining([['add', las.oin]]));
    const all = (await mandates()).filter(({ sourceService }) => sourceService === ROSTER);
    expect(all.map(({ state }) => state).sort()).toEqual([ACTIVE, ENDED]);
  });

  test('that is empty ends nobody, until it is approved as it stands', async () => {
    inOsr(las);
    inOsr(other, RESULTS);
    await sync();
    osr.mandates = [];
    const held = await sync();
    expect(held.run).toMatchObject({ outcome: 'held', code: 'hold.pending', ended: 2 });
    expect(held.lines.every(({ applied }) => !applied)).toBe(true);
    expect((await mandates())[0]!.state).toBe(ACTIVE);
    expect((await at.operator.status({})).registers).toMatchObject([{ register: 'osr', outcome: 'held' }]);
    expect(await codeOf(sync({ approve: 'osr-0000000000000000' }))).toBe('state.conflict');
    expect((await sync({ approve: held.run!.holdId })).run).toMatchObject({ outcome: 'done', ended: 2 });
    expect([(await mandates())[0]!.state, (await mandates(other))[0]!.state]).toEqual([ENDED, ENDED]);
  });

  test('that would end more than a share waits; one may end', async () => {
    const schools = Array.from({ length: 6 }, newSchool);
    for (const one of schools) {
      osr.schools.add(one);
      osr.mandates.push({ school: one, supplier: las.oin, namespace: ROSTER, start: '2026-08-01' });
    }
    const all = { schoolOins: schools };
    expect((await sync(all)).run).toMatchObject({ added: 6 });
    osr.mandates.pop();
    expect((await sync(all)).run).toMatchObject({ outcome: 'done', ended: 1 });
    osr.mandates.splice(0, 2);
    expect((await sync(all)).run).toMatchObject({ outcome: 'held', ended: 2 });
  });

  test('leaves what was given here alone, and does not undo what was ended here', async () => {
    const given = await at.mandate(school, las.oin, [Service.SERVICE_ROSTER], { attributes: ['eck_id'] });
    inOsr(las);
    // It would add the default set of attributes to a mandate that names fewer.
    expect(await says()).toEqual([['covered', las.oin]]);
    await at.operator.changeMandate({ mandateId: given.mandateId, change: 'stop', runOffUntil: '' });
    expect(await says()).toEqual([['ended_here', las.oin]]);
    expect(await mandates()).toHaveLength(1);
    // Of what it brought itself the same holds.
    inOsr(other, RESULTS);
    await sync();
    const [brought] = await mandates(other);
    await at.operator.changeMandate({ mandateId: brought!.mandateId, change: 'stop', runOffUntil: '' });
    expect(await says()).toEqual(expect.arrayContaining([['ended_here', other.oin]]));
    expect((await mandates(other)).map(({ state }) => state)).toEqual([ENDED]);
  });

  test('of an unknown supplier, school or endpoint is told to who must act, and ends nothing', async () => {
    inOsr(las);
    await sync();
    osr.schools.delete(school);
    osr.mandates = [];
    expect(await says()).toEqual(expect.arrayContaining([['unmatched_school', las.oin]]));
    expect((await mandates())[0]!.state).toBe(ACTIVE);
    osr.schools.add(school);
    osr.endpoints.push({
      routing_id: `${school.slice(0, 15)}00001`,
      namespace: RESULTS,
      url: 'https://vreemd.example/',
    });
    inOsr(las);
    const { lines, run } = await sync();
    expect(lines).toMatchObject([{ kind: 'unmatched_party', sourceService: RESULTS, who: 'us' }]);
    expect(run).toMatchObject({ unmatched: 1 });
    // An address that leads inside is not taken over.
    osr.endpoints = [{ routing_id: `${school.slice(0, 15)}00001`, namespace: ROSTER, url: 'https://169.254.169.254/' }];
    expect((await sync()).lines).toMatchObject([{ kind: 'endpoint', who: 'peer', code: 'wire.invalid' }]);
    expect((await mandates())[0]!.endpoints).toEqual([]);
  });

  test('not at all: what was not answered changes nothing, and the rest is done', async () => {
    inOsr(las);
    inOsr(las, RESULTS);
    await sync();
    osr.mandates.splice(0, 1);
    osr.fails = (_path, query) =>
      query.get('service_version_namespace') === ROSTER && query.has('supplier_oin') ? 'garbage' : undefined;
    osr.mandates.push({ school, supplier: other.oin, namespace: RESULTS, start: '2026-08-01' });
    const { lines, run } = await sync();
    expect(lines.map(({ kind }) => kind).sort()).toEqual(['add', 'unanswered', 'unanswered']);
    expect(run).toMatchObject({ outcome: 'done', added: 1, ended: 0, unanswered: 2 });
    expect((await mandates()).map(({ state }) => state)).toEqual([ACTIVE, ACTIVE]);
    osr.fails = () => 'garbage';
    const schools = Array.from({ length: 4 }, newSchool);
    expect(await codeOf(sync({ schoolOins: schools }))).toBe('peer.unavailable');
    osr.fails = () => 'refuse';
    expect(await codeOf(sync())).toBe('peer.refused');
    expect((await at.operator.status({})).registers).toMatchObject([{ outcome: 'failed', code: 'peer.refused' }]);
  });

  test('is asked by one at a time', async () => {
    inOsr(las);
    const answers = await Promise.allSettled([sync(), sync(), sync()]);
    const refused = answers.filter((one) => one.status === 'rejected');
    expect(refused.map(({ reason }) => (reason as Fault).code)).toEqual(['state.conflict', 'state.conflict']);
    expect((await mandates()).length).toBe(1);
  });
});

test('a gateway with an interval asks by itself; without OSR it says so', async () => {
  const osr = await openOsr({ key: { name: 'X-Sleutel', value: 'geheim-van-osr' } });
  const at = await startTestGateway();
  try {
    await expect(at.operator.syncRegister([{ dryRun: true }])).rejects.toThrow(/EDUK_OSR_URL/);
    const las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    const school = newSchool();
    await at.operator.addParty({ party: { oin: school, name: 'De Es', roles: [Role.ROLE_SCHOOL] } });
    osr.schools.add(school);
    osr.mandates.push({ school, supplier: las.oin, namespace: ROSTER, start: '2026-08-01' });
    const file = join(at.folder, 'osr.key');
    writeFileSync(file, 'X-Sleutel: geheim-van-osr\n', { mode: 0o600 });
    await at.restart(undefined, {
      EDUK_OSR_URL: osr.url,
      EDUK_OSR_SERVICES: `${ROSTER}=roster`,
      EDUK_OSR_KEY_FILE: file,
    });
    await expect
      .poll(async () => (await at.operator.listMandates({ schoolOin: school })).mandates)
      .toMatchObject([{ source: 'osr', state: ACTIVE }]);
  } finally {
    await at.stop();
    await osr.close();
  }
});

test.each([
  [{ EDUK_OSR_SERVICES: `${ROSTER}=rooster` }, /EDUK_OSR_SERVICES must be/],
  [{ EDUK_OSR_SERVICES: `${ROSTER}=roster,${ROSTER}=result` }, /each namespace once/],
  [{ EDUK_OSR_SERVICES: '' }, /EDUK_OSR_URL needs EDUK_OSR_SERVICES/],
  [{ EDUK_OSR_TLS_CERT: '/nergens/osr.pem' }, /EDUK_OSR_TLS_CERT needs EDUK_OSR_TLS_KEY/],
  [{ EDUK_OSR_KEY_FILE: '/nergens/osr.key' }, /EDUK_OSR_KEY_FILE names a file that cannot be read/],
])('settings of OSR that cannot be meant stop the start: %o', async (wrong, told) => {
  const settings = { EDUK_OSR_URL: 'https://osr.example/api/v2', EDUK_OSR_SERVICES: `${ROSTER}=roster`, ...wrong };
  await expect(startTestGateway(settings)).rejects.toThrow(told);
});
