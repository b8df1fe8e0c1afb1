/** Every method of the operator's surface: its effect, seen through another method, and that no party may call it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, dutchDay, type MethodDefinition, newId, schoolYearOf } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import type { FlowRebuild } from '#proto/eduk/flows/v1/flows';
import { ListPartiesResponse, OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { type LasPeer, openLas } from '../parties/las.ts';
import { type OsrPeer, openOsr } from '../parties/osr.ts';
import { edexml } from './files.ts';
import {
  eckId,
  Fault,
  newOin,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
  type WireClient,
  wire,
} from './gateway.ts';

type Operator = WireClient<typeof OperatorServiceDefinition>;
let at: TestGateway;
let las: TestParty;
const school = newSchool();

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
const bytes = (text: string): Uint8Array => Buffer.from(text);
const pupils = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i}`, eckId: eckId(1000 + i), name: 'Beuk' }));
const importRoster = (as: Operator, count: number, asOf: string) =>
  as.importRoster([{ schoolOin: school, chunk: bytes(edexml({ school, asOf, pupils: pupils(count) })) }]);
const order = (orderId: string, productId: string) => ({
  reference: orderId,
  orderId,
  schoolOin: school,
  lines: [{ terms: { lineId: '1', productId, quantity: 1 } }],
  waitMs: 1000n,
});
const catalogueFile = () =>
  readFileSync(join(import.meta.dirname, '../../adapters/eckdt/examples/04-bare-entry.xml'), 'utf8');

let osr: OsrPeer;
let administration: LasPeer;
const administrations = mkdtempSync(join(tmpdir(), 'eduk-administrations-'));
const NAMESPACE = 'http://example.org/schemas/roster/20260101';
beforeAll(async () => {
  osr = await openOsr();
  administration = await openLas();
  at = await startTestGateway({
    EDUK_OSR_URL: osr.url,
    EDUK_OSR_SERVICES: `${NAMESPACE}=usage`,
    EDUK_OSR_EVERY: '0',
    EDUK_ADMINISTRATIONS: administrations,
  });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
});
afterAll(async () => {
  await at?.stop();
  await osr?.close();
  await administration?.close();
  rmSync(administrations, { recursive: true, force: true });
});

async function anotherSchool(): Promise<string> {
  const schoolOin = newSchool();
  await at.mandate(schoolOin, las.oin, [Service.SERVICE_ROSTER]);
  return schoolOin;
}
async function forgottenSchool(): Promise<string> {
  const schoolOin = await anotherSchool();
  const { check } = await at.operator.previewSchoolForget({ schoolOin });
  await at.operator.forgetSchool({ schoolOin, check });
  return schoolOin;
}

/** A replay to a party that has an endpoint and no mail. */
async function countedReplay(): Promise<string> {
  const oin = newOin();
  const endpoints = [{ standard: 'webhook', url: 'http://127.0.0.1:9/hook' }];
  await at.operator.addParty({ party: { oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM], endpoints } });
  const { jobId } = await at.operator.previewReplay({ selection: { partyOin: oin } as never });
  await watched(at.operator, jobId);
  return jobId;
}

/** A platform that said that it has something which is nobody's here. */
async function comparedParty(): Promise<string> {
  const party = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  await at.mandate(school, party.oin, [Service.SERVICE_ENTITLEMENT]);
  const held = [{ entitlementId: 'x1', state: 'open' }];
  await party.entitlements.compareEntitlements({ schoolOin: school, held, last: true });
  return party.oin;
}

/** What is told of a rebuild until it is over. */
const rebuiltBy = (as: Operator, mend: boolean): Promise<FlowRebuild[]> =>
  new Promise((resolve, reject) => {
    const told: FlowRebuild[] = [];
    as.rebuildFlows({ mend })
      .on('data', ({ rebuild }: { rebuild?: FlowRebuild }) => told.push(rebuild!))
      .on('error', (error: ServiceError) => reject(new Fault(error)))
      .on('end', () => resolve(told));
  });

/** States that are told of a replay until it rests. */
const watched = (as: Operator, jobId: string): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const states: string[] = [];
    as.watchReplay({ jobId })
      .on('data', ({ replay }: { replay?: { state: string } }) => states.push(replay!.state))
      .on('error', (error: ServiceError) => reject(new Fault(error)))
      .on('end', () => resolve(states));
  });
const leaving = (toSchoolOin = newSchool()) => ({
  schoolOin: school,
  toSchoolOin,
  onDay: dutchDay(Date.now()),
  whole: true,
});

/** A rule that lets leavers go, without a school. */
const rule = () => ({
  kinds: ['leavers'],
  until: dutchDay(Date.now() + 20 * 86_400_000),
  mostPercent: 15,
  reason: 'year-1',
});

/** A call with which the operator has its way; its effect is seen through another method. */
const cases: { [K in keyof Operator]: { call(as: Operator): Promise<unknown>; effect(): Promise<void> } } = {
  addParty: {
    call: (as) => as.addParty({ party: { oin: newOin(), name: 'Indringer', roles: [Role.ROLE_PUBLISHER] } }),
    effect: async () => {
      const added = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
      expect((await added.parties.getParty({ oin: added.oin })).party).toMatchObject({ name: 'Uitgeverij Wilg' });
      const again = await at.operator.addParty({
        party: { oin: added.oin, name: 'Uitgeverij Wilg', roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM] },
      });
      // Registered twice: new roles, and no secret twice.
      expect(again).toMatchObject({ existed: true, apiKey: '', clientSecret: '', clientId: added.clientId });
      expect((await added.parties.getParty({ oin: added.oin })).party!.roles).toContain(Role.ROLE_PLATFORM);
    },
  },
  removeEndpoint: {
    call: (as) => as.removeEndpoint({ oin: las.oin, standard: 'uwlr' }),
    effect: async () => {
      const url = 'https://plein.example/uwlr';
      const oin = newOin();
      const party = { oin, name: 'Plein', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'uwlr', url }] };
      await at.operator.addParty({ party });
      const { party: left, decision } = await at.operator.removeEndpoint({ oin, standard: 'uwlr' });
      expect([left!.endpoints, decision!.code]).toEqual([[], '']);
      expect((await at.operator.listParties({ oin })).parties).toMatchObject([{ name: 'Plein', endpoints: [] }]);
      expect(await codeOf(at.operator.removeEndpoint({ oin, standard: 'uwlr' }))).toBe('state.missing');
      expect(await codeOf(at.operator.removeEndpoint({ oin: newOin(), standard: 'uwlr' }))).toBe('state.missing');
      // Nor is a board taken for granted.
      const ofNobody = { party: { oin: newOin(), name: 'De Es', roles: [Role.ROLE_SCHOOL], boardOin: newOin() } };
      expect(await codeOf(at.operator.addParty(ofNobody))).toBe('state.missing');
    },
  },
  renewSecret: {
    call: (as) => as.renewSecret({ oin: las.oin, overlapS: 3600 }),
    effect: async () => {
      const added = await at.party('Uitgeverij Es', [Role.ROLE_PUBLISHER]);
      const { apiKey } = await at.operator.renewSecret({ oin: added.oin, overlapS: 0 });
      const { party } = await at.as(`Bearer ${apiKey}`).parties.getParty({ oin: added.oin });
      expect(party).toMatchObject({ name: 'Uitgeverij Es', roles: [Role.ROLE_PUBLISHER] });
      await expect(added.parties.getParty({ oin: added.oin })).rejects.toThrow(/not known here/);
    },
  },
  setKeys: {
    call: (as) => as.setKeys({ oin: las.oin, jwksUrl: 'https://keys.example/' }),
    effect: async () => {
      const { clientId } = await at.operator.setKeys({ oin: las.oin, jwksUrl: 'https://keys.example/' });
      expect(clientId).toBe(las.clientId);
    },
  },
  setSignIn: {
    call: (as) => as.setSignIn({ oin: las.oin, numbers: ['kvk:12345678'] }),
    effect: async () => {
      const { oin } = await at.party('Bestuur de Linde', [Role.ROLE_BOARD]);
      const numbers = ['kvk:12345678', 'rsin:123456782'];
      expect((await at.operator.setSignIn({ oin, numbers })).numbers).toEqual(numbers);
      expect((await at.operator.listParties({ oin })).signIns).toEqual([{ oin, numbers }]);
      const other = await at.party('Bestuur de Beuk', [Role.ROLE_BOARD]);
      const taken = await at.operator.setSignIn({ oin: other.oin, numbers: ['kvk:12345678'] });
      expect([taken.numbers, taken.decision!.code]).toEqual([[], 'state.conflict']);
      // Of a supplier nobody signs in to decide for a school.
      expect((await at.operator.setSignIn({ oin: las.oin, numbers: ['kvk:87654321'] })).decision!.code).toBe(
        'wire.invalid',
      );
      expect((await at.operator.setSignIn({ oin, numbers: [] })).numbers).toEqual([]);
      expect((await at.operator.setSignIn({ oin: other.oin, numbers })).numbers).toEqual(numbers);
      await at.operator.setSignIn({ oin: other.oin, numbers: [] });
    },
  },
  listParties: {
    call: (as) => as.listParties({}),
    effect: async () => {
      const added = await at.party('Lijstduwer', [Role.ROLE_DASHBOARD]);
      const { parties } = await at.operator.listParties({ role: Role.ROLE_DASHBOARD });
      expect(parties.map(({ oin }) => oin)).toContain(added.oin);
      const jwk = {
        kty: 'OKP',
        crv: 'Ed25519',
        x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
        kid: 'k-1',
        alg: 'EdDSA',
      };
      await at.operator.setKeys({ oin: added.oin, jwks: Buffer.from(JSON.stringify({ keys: [jwk] })) });
      const shown = await at.operator.listParties({ oin: added.oin });
      expect(shown.parties).toHaveLength(1);
      // By what it proves itself, and nothing by which anybody else could.
      expect(shown.proofs).toMatchObject({
        clientId: added.clientId,
        hasSecret: true,
        keys: [{ kid: 'k-1', alg: 'EdDSA', kty: 'OKP', untilMs: 0n }],
      });
      expect(
        Buffer.from(ListPartiesResponse.encode(ListPartiesResponse.fromPartial(shown)).finish()).includes(jwk.x),
      ).toBe(false);
    },
  },
  grantMandate: {
    call: (as) =>
      as.grantMandate({
        mandate: { schoolOin: school, partyOin: las.oin, services: [Service.SERVICE_STAFF] },
        confirm: true,
      }),
    effect: async () => {
      const added = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
      const given = await at.mandate(school, added.oin, [Service.SERVICE_ACCESS]);
      expect(given.autorisatiesleutel.length).toBeGreaterThan(20);
      expect((await added.parties.listMandates({})).mandates).toMatchObject([{ mandateId: given.mandateId }]);
      expect((await at.mandate(school, added.oin, [Service.SERVICE_USAGE])).autorisatiesleutel).toBe('');
    },
  },
  pullRoster: {
    call: (as) => as.pullRoster([{ schoolOin: school }]),
    effect: async () => {
      const oin = newSchool();
      const own = await at.party('School', [Role.ROLE_SCHOOL], oin);
      await at.mandate(oin, las.oin, [Service.SERVICE_ROSTER]);
      const { klant, url, schools } = administration;
      writeFileSync(join(administrations, 'sleutel'), 'geheim', { mode: 0o600 });
      writeFileSync(
        join(administrations, 'een.json'),
        JSON.stringify({
          party: las.oin,
          ...klant,
          leerlinggegevens: url,
          everyMinutes: 0,
          schools: [{ school: oin, sleutel: 'sleutel' }],
        }),
      );
      schools.set(brinOf(oin)!, {
        sleutel: 'geheim',
        year: schoolYearOf(Date.now()),
        made: '2026-11-20T03:15:00Z',
        groups: [],
        pupils: [{ key: 'k1', name: 'Beuk' }],
        staff: [],
      });
      expect((await at.operator.pullRoster([{ schoolOin: oin }])).rosters).toMatchObject([
        { pull: { outcome: 'applied', learners: 1 } },
      ]);
      expect((await own.rosters.getRoster({ schoolOin: oin })).roster!.learners).toHaveLength(1);
    },
  },
  showScorecard: {
    call: (as) => as.showScorecard({ partyOin: las.oin }),
    // How its endpoints take what is sent: webhooks.test.ts.
    effect: async () => {
      await las.orders.placeOrder(order('score-1', 'score'));
      const total = async () => (await at.operator.showScorecard({ partyOin: las.oin })).scorecard!.total!;
      await expect.poll(async () => (await total()).accepted > 0n).toBe(true);
      const unknown = at.operator.showScorecard({ partyOin: '00000001999999999999' });
      await expect(unknown).rejects.toMatchObject({ code: 'state.missing' });
    },
  },
  listPulls: {
    call: (as) => as.listPulls({ schoolOin: school }),
    effect: async () => {
      const oin = newSchool();
      await at.party('School', [Role.ROLE_SCHOOL], oin);
      writeFileSync(
        join(administrations, 'lijst.json'),
        JSON.stringify({
          party: (await at.party('Tweede', [Role.ROLE_ADMINISTRATION])).oin,
          ...administration.klant,
          leerlinggegevens: administration.url,
          everyMinutes: 0,
          schools: [{ school: oin, sleutel: 'sleutel' }],
        }),
      );
      // Never asked yet; then asked in vain, which is a row of that year alone.
      const list = async (failing = false) => (await at.operator.listPulls({ schoolOin: oin, failing })).pulls;
      expect(await list()).toMatchObject([{ scheduled: false, pull: { schoolOin: oin, lastMs: 0n } }]);
      expect(await list(true)).toEqual([]);
      await at.operator.pullRoster([{ schoolOin: oin, schoolYear: '2027-2028' }]);
      expect(await list(true)).toMatchObject([
        { scheduled: false, pull: { schoolYear: '2027-2028', outcome: 'failed', code: 'mandate.missing' } },
      ]);
      expect((await list(true))[0]!.pull!.told).toContain('no mandate');
      expect(await list()).toHaveLength(2);
      // What somebody asked once by hand is no lasting worry; what the settings have is.
      const worries = async () => (await at.operator.status({})).pulls.filter(({ schoolOin }) => schoolOin === oin);
      expect(await worries()).toEqual([]);
      await at.operator.pullRoster([{ schoolOin: oin }]);
      expect(await worries()).toMatchObject([{ outcome: 'failed', failures: 1 }]);
      rmSync(join(administrations, 'lijst.json'));
      expect(await worries()).toEqual([]);
    },
  },
  syncRegister: {
    call: (as) => as.syncRegister([{ schoolOins: [school], dryRun: true }]),
    effect: async () => {
      const oin = newSchool();
      osr.schools.add(oin);
      osr.mandates.push({ school: oin, supplier: las.oin, namespace: NAMESPACE, start: '2026-08-01' });
      const { lines } = await at.operator.syncRegister([{ schoolOins: [oin] }]);
      expect(lines).toMatchObject([{ kind: 'add', partyOin: las.oin, applied: true }]);
      const { mandates } = await at.operator.listMandates({ schoolOin: oin });
      expect(mandates).toMatchObject([{ source: 'osr', services: [Service.SERVICE_USAGE] }]);
    },
  },
  previewSwitch: {
    call: (as) => as.previewSwitch({ schoolOin: school, fromOin: las.oin, toOin: newOin(), day: '2999-01-01' }),
    effect: async () => {
      const asked = { schoolOin: school, fromOin: las.oin, toOin: newOin(), day: '2999-01-01' };
      const { lines, services } = await at.operator.previewSwitch(asked);
      expect(services).toContain(Service.SERVICE_ORDER);
      expect(lines.map(({ what }) => what)).toContain('party');
      expect(await codeOf(at.operator.previewSwitch({ ...asked, day: '2020-01-01' }))).toBe('wire.invalid');
      expect(await codeOf(at.operator.previewSwitch({ ...asked, fromOin: newOin() }))).toBe('state.missing');
      await expect(at.operator.previewSwitch({ ...asked, schoolOin: newSchool() })).rejects.toThrow(
        'This school is not known here',
      );
    },
  },
  applySwitch: {
    call: (as) =>
      as.applySwitch({ change: { schoolOin: newSchool(), fromOin: newOin(), toOin: newOin(), day: '2999-01-01' } }),
    effect: async () => {
      const [oin, from, to] = [newSchool(), newOin(), newOin()];
      await at.mandate(oin, from, [Service.SERVICE_USAGE]);
      const change = { schoolOin: oin, fromOin: from, toOin: to, day: '2999-01-01' };
      const { steps, autorisatiesleutel } = await at.operator.applySwitch({ change, confirm: true });
      expect(steps.map(({ step }) => step)).toEqual(['grant', 'run_off']);
      expect(autorisatiesleutel.length).toBeGreaterThan(20);
      const { mandates } = await at.operator.listMandates({ schoolOin: oin });
      expect(mandates.find(({ partyOin }) => partyOin === to)).toMatchObject({ validFrom: '2999-01-01' });
      expect(mandates.find(({ partyOin }) => partyOin === from)).toMatchObject({
        state: MandateState.MANDATE_STATE_RUN_OFF,
        runOffUntil: '2999-01-01',
      });
    },
  },
  changeMandate: {
    call: async (as) =>
      as.changeMandate({
        mandateId: (await las.parties.listMandates({})).mandates[0]!.mandateId,
        change: 'stop',
      }),
    effect: async () => {
      const added = await at.party('Wisselaar', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER], { confirm: false });
      const state = async () => (await added.parties.listMandates({})).mandates[0]!.state;
      expect(await state()).toBe(MandateState.MANDATE_STATE_UNCONFIRMED);
      await at.operator.changeMandate({ mandateId, change: 'confirm' });
      expect(await state()).toBe(MandateState.MANDATE_STATE_ACTIVE);
      const { autorisatiesleutel } = await at.operator.changeMandate({ mandateId, change: 'key' });
      expect(autorisatiesleutel.length).toBeGreaterThan(20);
      await at.operator.changeMandate({ mandateId, change: 'run_off', runOffUntil: '2099-12-31' });
      expect(await state()).toBe(MandateState.MANDATE_STATE_RUN_OFF);
      await at.operator.changeMandate({ mandateId, change: 'stop' });
      expect(await state()).toBe(MandateState.MANDATE_STATE_ENDED);
      expect(await codeOf(at.operator.changeMandate({ mandateId, change: 'paint' }))).toBe('wire.invalid');
      expect(await codeOf(at.operator.changeMandate({ mandateId: 'm-none', change: 'stop' }))).toBe('state.missing');
    },
  },
  listMandates: {
    call: (as) => as.listMandates({}),
    effect: async () => {
      const added = await at.party('Volmacht', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER]);
      expect((await at.operator.listMandates({ partyOin: added.oin })).mandates).toMatchObject([{ mandateId }]);
      expect(await codeOf(at.operator.listMandates({ partyOin: newOin() }))).toBe('state.missing');
      expect(await codeOf(at.operator.listMandates({ schoolOin: newSchool() }))).toBe('state.missing');
      // Whoever is registered may be asked for as either side: party show does, of each.
      expect((await at.operator.listMandates({ schoolOin: added.oin })).mandates).toEqual([]);
      const board = await at.party('Stichting Zonder', [Role.ROLE_BOARD]);
      expect((await at.operator.listMandates({ schoolOin: board.oin })).mandates).toEqual([]);
    },
  },
  previewRelease: {
    call: (as) => as.previewRelease({ partyOin: las.oin, schoolOin: school }),
    effect: async () => {
      const added = await at.party('Leerplein', [Role.ROLE_PLATFORM], undefined, ['eck_id', 'email']);
      await at.mandate(school, added.oin, [Service.SERVICE_ROSTER], { attributes: ['email', 'gender'] });
      const asked = { partyOin: added.oin, schoolOin: school, lang: 'nl' };
      const { services, names } = await at.operator.previewRelease(asked);
      expect(services).toMatchObject([{ service: Service.SERVICE_ROSTER, code: '' }]);
      expect(services[0]!.attributes.filter(({ given }) => given).map(({ name }) => name)).toEqual(['email']);
      expect(names).toContainEqual({ oin: added.oin, name: 'Leerplein' });
    },
  },
  showFlow: {
    call: (as) => as.showFlow({ partyOin: las.oin, reference: 'flow-1' }),
    effect: async () => {
      const { flowId } = await las.orders.placeOrder(order('flow-1', 'onbekend'));
      for (const asked of [{ flowId }, { partyOin: las.oin, reference: 'flow-1' }])
        expect(await at.operator.showFlow(asked)).toMatchObject({
          flow: { flowId, method: 'OrderService/PlaceOrder', state: 'waiting' },
          partyOin: las.oin,
          partyName: 'De Leerlijst',
        });
    },
  },
  listFlows: {
    call: (as) => as.listFlows({ text: 'found-1' }),
    effect: async () => {
      const { flowId } = await las.orders.placeOrder(order('found-1', 'onbekend'));
      // By its id, what it is about, its sender's reference, its sender and its school.
      for (const asked of [
        { text: flowId },
        { text: 'found-1' },
        { text: 'found-1', partyOin: las.oin },
        { text: las.oin },
        { text: school },
        { text: school.slice(11, 15) },
        { schoolOin: school.slice(11, 15), state: 'waiting' },
      ]) {
        const { flows, names } = await at.operator.listFlows(asked);
        expect(flows).toContainEqual(
          expect.objectContaining({ flowId, method: 'OrderService/PlaceOrder', partyOin: las.oin, schoolOin: school }),
        );
        expect(names).toContainEqual({ oin: las.oin, name: 'De Leerlijst' });
      }
      for (const asked of [{ text: newOin() }, { text: flowId, state: 'refused' }, { text: 'found-2' }])
        expect(await at.operator.listFlows(asked)).toMatchObject({ flows: [], coveredFromMs: 0n, more: false });
      // Nothing of who is unknown is not nothing.
      for (const asked of [{ schoolOin: '99QQ' }, { partyOin: '00000099100000009999' }])
        await expect(at.operator.listFlows(asked)).rejects.toMatchObject({ code: 'state.missing' });
      const [newest] = (await at.operator.listFlows({ limit: 1 })).flows;
      const { flows: before } = await at.operator.listFlows({ beforeMs: newest!.acceptedMs, limit: 200 });
      expect(before.every(({ acceptedMs }) => acceptedMs < newest!.acceptedMs)).toBe(true);
      // By the EAN of a product, which its order names.
      await las.orders.placeOrder(order('found-3', '9789000000910'));
      const byProduct = async () => {
        const { flows, missing } = await at.operator.listFlows({ text: '978-90-000009-1-0', schoolOin: school });
        return [flows.map(({ subject }) => subject), missing];
      };
      await expect.poll(byProduct, { timeout: 60_000 }).toEqual([['found-3'], []]);
      // Of licences too nothing is missing, although no school was named.
      expect((await at.operator.listFlows({ text: '9789000000910' })).missing).toEqual([]);
      // Up to a moment, page after page: each once.
      const asked = { schoolOin: school, beforeMs: newest!.acceptedMs };
      const all = (await at.operator.listFlows({ ...asked, limit: 200 })).flows.map((flow) => flow.flowId);
      const paged: string[] = [];
      for (let after = ''; paged.length <= all.length; ) {
        const page = await at.operator.listFlows({ ...asked, limit: 7, after });
        paged.push(...page.flows.map((flow) => flow.flowId));
        if ((after = page.next) === '') break;
      }
      expect(paged.slice(0, all.length)).toEqual(all);
      const since = await at.operator.listFlows({ text: 'found-1', fromMs: newest!.acceptedMs + 60_000n });
      expect(since).toMatchObject({ flows: [], coveredFromMs: newest!.acceptedMs + 60_000n, next: '' });
    },
  },
  showOverview: {
    call: (as) => as.showOverview({}),
    effect: async () => {
      await las.orders.placeOrder(order('seen-1', 'onbekend'));
      await expect
        .poll(async () => {
          const { counts, minutes } = await at.operator.showOverview({});
          const ofLas = counts.find(
            ({ partyOin, method }) => partyOin === las.oin && method === 'OrderService/PlaceOrder',
          );
          return [minutes.length, (ofLas?.accepted ?? 0) > 0];
        })
        .toEqual([60, true]);
      const { names } = await at.operator.showOverview({});
      expect(names).toContainEqual({ oin: las.oin, name: 'De Leerlijst' });
    },
  },
  whyBlocked: {
    call: (as) => as.whyBlocked({ schoolOin: school, orderId: 'why-1' }),
    effect: async () => {
      await las.orders.placeOrder(order('why-1', 'nog-niet'));
      const { blockers } = await at.operator.whyBlocked({ schoolOin: school, orderId: 'why-1' });
      expect(blockers[0]).toMatchObject({ code: 'product.unknown', productId: 'nog-niet', orderId: 'why-1' });
    },
  },
  showReadiness: {
    call: (as) => as.showReadiness({ asked: { schoolOin: school } }),
    effect: async () => {
      // Fewer than ten: that it is so, and no number.
      await las.orders.placeOrder(order('ready-1', 'ready'));
      await expect
        .poll(async () => {
          const { readiness } = await at.operator.showReadiness({ asked: { schoolOin: school, productId: 'ready' } });
          return readiness!.rows.map(({ wanted, causes }) => [
            wanted,
            causes.map(({ code, partyOin }) => [code, partyOin]),
          ]);
        })
        .toEqual([[expect.objectContaining({ count: 0, underTen: true }), [['product.unknown', las.oin]]]]);
    },
  },
  showPreflight: {
    call: (as) => as.showPreflight({ asked: { schoolOin: school } }),
    effect: async () => {
      await las.orders.placeOrder(order('flight-1', 'flight'));
      const { preflight } = await at.operator.showPreflight({ asked: { schoolOin: school, limit: 1000 } });
      expect(preflight!.lines).toContainEqual(
        expect.objectContaining({
          orderId: 'flight-1',
          productId: 'flight',
          code: 'product.unknown',
          partyOin: las.oin,
        }),
      );
      expect(await codeOf(at.operator.showPreflight({ asked: { schoolOin: newSchool() } }))).toBe('state.missing');
    },
  },
  showLaunches: {
    call: (as) => as.showLaunches({}),
    effect: async () => {
      for (const ask of [at.operator.showLaunches, at.operator.showReadiness, at.operator.showPreflight])
        await expect(ask({ partyOin: newOin() })).rejects.toThrow('No party has this OIN');
      const { launches } = await at.operator.showLaunches({});
      expect(launches!.beside).toHaveLength(4);
      expect(launches!.until).toMatch(/^\d\d:(00|15|30|45)$/);
    },
  },
  importRoster: {
    call: (as) => importRoster(as, 3, '2026-09-01'),
    effect: async () => {
      const taken = await importRoster(at.operator, 30, '2026-09-02');
      expect(taken).toMatchObject({ schoolOin: school, learners: 30, decision: { code: '' }, holdId: '' });
      const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' });
      expect(roster!.learners).toHaveLength(30);
    },
  },
  exportRoster: {
    // What is in it: edexml.test.ts.
    call: (as) => as.exportRoster({ schoolOin: school, partyOin: las.oin, file: join(tmpdir(), 'eduk-never.xml') }),
    effect: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'eduk-export-'));
      const file = join(folder, 'a.xml');
      try {
        await importRoster(at.operator, 30, '2026-09-02');
        const asked = { schoolOin: school, partyOin: las.oin, schoolYear: '2026-2027', file };
        const told = await at.operator.exportRoster(asked);
        expect(told.learners).toBeGreaterThan(0);
        expect(readFileSync(file, 'utf8')).toContain('key="k0"');
        expect(statSync(file).mode & 0o777).toBe(0o600);
        expect(await codeOf(at.operator.exportRoster(asked))).toBe('state.conflict');
        expect(await codeOf(at.operator.exportRoster({ ...asked, file: 'here.xml' }))).toBe('wire.invalid');
        expect(await codeOf(at.operator.exportRoster({ ...asked, partyOin: newOin() }))).toBe('state.missing');
        expect(readdirSync(folder)).toEqual(['a.xml']);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  },
  listHolds: {
    call: (as) => as.listHolds({}),
    effect: async () => {
      const held = await importRoster(at.operator, 5, '2026-09-03');
      expect(held.holdId).not.toBe('');
      const { holds } = await at.operator.listHolds({ schoolOin: school });
      expect(holds).toMatchObject([{ holdId: held.holdId, state: 'waiting', difference: { left: 25 } }]);
      expect(await codeOf(at.operator.listHolds({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  listSites: {
    call: (as) => as.listSites({ schoolOin: school }),
    effect: async () => {
      const { years } = await at.operator.listSites({ schoolOin: school });
      expect(years).toMatchObject([
        { schoolYear: '2026-2027', sites: [{ siteCode: '00', administration: '', learners: 30, endedMs: 0n }] },
      ]);
      expect(await codeOf(at.operator.listSites({ schoolOin: '' }))).toBe('wire.invalid');
    },
  },
  previewTurn: {
    call: (as) => as.previewTurn({ schoolOin: school }),
    effect: async () => {
      const { turn, schoolName } = await at.operator.previewTurn({ schoolOin: school });
      expect(schoolName).not.toBe('');
      // In November there is no other year to go to yet.
      expect(turn).toMatchObject({ running: '2026-2027', schoolYear: '2027-2028', code: 'state.conflict', waits: '' });
      expect(turn!.difference!.learnersBefore).toBeGreaterThan(0);
      expect(await codeOf(at.operator.previewTurn({ schoolOin: newSchool() }))).toBe('state.missing');
      expect(await codeOf(at.operator.previewTurn({ schoolOin: school, schoolYear: '2027' }))).toBe('wire.invalid');
    },
  },
  turnYear: {
    call: (as) => as.turnYear({ schoolOin: school, schoolYear: '2027-2028' }),
    effect: async () => {
      const { decision } = await at.operator.turnYear({ schoolOin: school, schoolYear: '2027-2028' });
      expect(decision).toMatchObject({ code: 'state.conflict' });
      const planned = { schoolOin: school, schoolYear: '2027-2028', onDay: '2027-08-23' };
      expect((await at.operator.turnYear(planned)).decision).toMatchObject({
        outcome: 'SchoolYearTurnPlanned',
        code: '',
      });
      expect((await at.operator.previewTurn({ schoolOin: school })).turn).toMatchObject({
        onDay: '2027-08-23',
        planned: true,
      });
    },
  },
  decideHold: {
    call: (as) => as.decideHold({ holdId: 'none', approve: true }),
    effect: async () => {
      const [hold] = (await at.operator.listHolds({ schoolOin: school })).holds;
      const { decision } = await at.operator.decideHold({ holdId: hold!.holdId, approve: true });
      expect(decision).toMatchObject({ code: '' });
      const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' });
      expect(roster!.learners).toHaveLength(5);
      expect((await at.operator.listHolds({ schoolOin: school })).holds).toEqual([]);
      expect(await codeOf(at.operator.decideHold({ holdId: hold!.holdId, approve: false }))).toBe('state.conflict');
    },
  },
  importCatalogue: {
    call: (as) => as.importCatalogue([{ partyOin: las.oin, chunk: bytes('<x/>') }]),
    effect: async () => {
      const publisher = await at.party('Uitgeverij Eik', [Role.ROLE_PUBLISHER]);
      const taken = await at.operator.importCatalogue([{ partyOin: publisher.oin, chunk: bytes(catalogueFile()) }]);
      expect(taken).toMatchObject({ records: 1, published: 1, refusals: [] });
      const { products } = await las.catalogue.searchProducts({ publisherOin: publisher.oin });
      expect(products).toHaveLength(1);
      expect(await codeOf(at.operator.importCatalogue([{ partyOin: las.oin, chunk: bytes('<x/>') }]))).toBe(
        'party.forbidden',
      );
    },
  },
  forgetLearner: {
    call: (as) => as.forgetLearner({ schoolOin: school, learner: { eckId: eckId(1001) } }),
    effect: async () => {
      await at.operator.forgetLearner({ schoolOin: school, learner: { lasKey: 'k0' }, now: true });
      const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' });
      expect(roster!.learners.map(({ ref }) => ref!.lasKey)).not.toContain('k0');
      expect(await codeOf(at.operator.forgetLearner({ schoolOin: school, learner: { lasKey: 'k0' }, now: true }))).toBe(
        'learner.unknown',
      );
    },
  },
  keepLearner: {
    call: (as) => as.keepLearner({ schoolOin: school, learner: { eckId: eckId(1001) } }),
    effect: async () => {
      const one = { schoolOin: school, learner: { lasKey: 'k1' } };
      const keys = async () => {
        const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' });
        return roster!.learners.map(({ ref }) => ref!.lasKey);
      };
      expect((await at.operator.keepLearner(one)).decision).toMatchObject({ code: 'state.missing' });
      const { destroyedMs } = await at.operator.forgetLearner(one);
      expect(Number(destroyedMs)).toBeGreaterThan(Date.now() + 71 * 3_600_000);
      expect(await keys()).not.toContain('k1');
      expect((await at.operator.keepLearner(one)).decision).toMatchObject({ code: '', outcome: 'LearnerKept' });
      expect(await keys()).toContain('k1');
    },
  },
  replaceNumber: {
    call: (as) => as.replaceNumber({ schoolOin: school, before: { lasKey: 'k2' }, after: { lasKey: 'k2-new' } }),
    effect: async () => {
      const number = (before: object, after: object) => at.operator.replaceNumber({ schoolOin: school, before, after });
      expect(await number({ eckId: eckId(1002) }, { eckId: eckId(1902) })).toEqual({ changed: true });
      const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' });
      const ids = roster!.learners.map(({ ref }) => ref!.eckId);
      expect([ids.includes(eckId(1002)), ids.includes(eckId(1902))]).toEqual([false, true]);
      expect(await number({ eckId: eckId(1902) }, { eckId: eckId(1002) })).toEqual({ changed: true });
      expect(await codeOf(number({ lasKey: 'k2' }, { lasKey: 'k3' }))).toBe('state.conflict');
      expect(await codeOf(number({ lasKey: 'nobody' }, { lasKey: 'k9' }))).toBe('learner.unknown');
      expect(await codeOf(number({ lasKey: 'k2' }, { eckId: eckId(1) }))).toBe('wire.invalid');
    },
  },
  transferSchool: {
    call: (as) => as.transferSchool({ schoolOin: school, boardOin: newOin(), apply: true }),
    effect: async () => {
      const [before, after] = [newOin(), newOin()];
      const parties: string[] = [];
      for (const name of ['Uitgeverij Olm', 'Platform Olm', 'Distributeur Olm'])
        parties.push((await at.party(name, [Role.ROLE_PUBLISHER])).oin);
      const [olm, platform, distributor] = parties as [string, string, string];
      for (const oin of [before, after])
        await at.operator.addParty({ party: { oin, name: 'Stichting', roles: [Role.ROLE_BOARD] } });
      const [moving, other] = [newSchool(), newSchool()];
      for (const [oin, boardOin] of [
        [moving, before],
        [other, after],
      ] as const)
        await at.operator.addParty({ party: { oin, name: 'De Olm', roles: [Role.ROLE_SCHOOL], boardOin } });
      const give = (schoolOin: string, partyOin: string, service: Service, confirm = true) =>
        at.operator.grantMandate({ mandate: { schoolOin, partyOin, services: [service] }, confirm });
      await give(before, olm, Service.SERVICE_ENTITLEMENT);
      await give(before, platform, Service.SERVICE_ACCESS, false);
      await give(moving, platform, Service.SERVICE_ROSTER);
      await give(after, distributor, Service.SERVICE_ORDER);
      const outcomes = (lines: { outcome: string; mandate?: { partyOin: string } | undefined; covered: boolean }[]) =>
        lines.map(({ outcome, mandate, covered }) => [outcome, mandate!.partyOin, covered]).sort();
      const go = (more: object = {}) => at.operator.transferSchool({ schoolOin: moving, boardOin: after, ...more });

      const looked = await go({ runOffUntil: '2036-07-31' });
      expect(outcomes(looked.lines)).toEqual(
        [
          ['ends', olm, false],
          ['ends', platform, false],
          ['lacks', distributor, false],
          ['stays', platform, true],
        ].sort(),
      );
      expect([looked.beforeOin, looked.flowIds]).toEqual([before, []]);
      const done = await go({ runOffUntil: '2036-07-31', apply: true });
      expect([done.decision!.code, done.flowIds.length]).toEqual(['', 3]);
      const { parties: listed } = await at.operator.listParties({ oin: moving });
      expect(listed).toMatchObject([{ name: 'De Olm', roles: [Role.ROLE_SCHOOL], boardOin: after }]);
      const { mandates } = await at.operator.listMandates({ schoolOin: moving });
      const stateOf = (partyOin: string, boardOin: string) =>
        mandates.find((one) => one.partyOin === partyOin && one.boardOin === boardOin)?.state;
      expect(stateOf(olm, before)).toBe(MandateState.MANDATE_STATE_RUN_OFF);
      expect(stateOf(platform, before)).toBe(MandateState.MANDATE_STATE_ENDED);
      expect(stateOf(platform, '')).toBe(MandateState.MANDATE_STATE_ACTIVE);
      expect(stateOf(distributor, after)).toBeUndefined();
      // Done again, or killed between two steps: what was done is not done anew.
      expect((await go({ runOffUntil: '2036-07-31', apply: true })).flowIds).toHaveLength(1);
      expect(await codeOf(go({ boardOin: newOin() }))).toBe('state.missing');
      expect(await codeOf(go({ runOffUntil: '2020-01-01' }))).toBe('wire.invalid');
      expect(await codeOf(go({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  // test/chain/school-change.test.ts has what they come to.
  previewSchoolChange: {
    call: (as) => as.previewSchoolChange({ asked: leaving() }),
    effect: async () => {
      const to = await anotherSchool();
      const seen = await at.operator.previewSchoolChange({ asked: leaving(to) });
      expect(seen.learners.reduce((sum, { learners }) => sum + learners, 0)).toBeGreaterThan(0);
      expect([seen.known, seen.check]).toMatchObject([0, expect.stringMatching(/^[0-9a-f]{4}-[0-9a-f]{4}$/)]);
      expect(await at.operator.previewSchoolChange({ asked: leaving(to) })).toEqual(seen);
      const holdsPgn = { ...leaving(to), whole: false, learners: [{ lasKey: '999990019' }, { lasKey: '999990020' }] };
      expect(await codeOf(at.operator.previewSchoolChange({ asked: holdsPgn }))).toMatch(/^(wire\.pgn)?$/);
    },
  },
  changeSchool: {
    call: (as) => as.changeSchool({ asked: leaving(), check: '0000-0000' }),
    effect: async () => {
      const asked = leaving(await anotherSchool());
      const { check } = await at.operator.previewSchoolChange({ asked });
      const { changeId, decision } = await at.operator.changeSchool({ asked, check });
      expect(decision!.outcome).toBe('SchoolChangeHeld');
      await at.operator.decideHold({ holdId: changeId, approve: false });
      const { changes } = await at.operator.listSchoolChanges({ schoolOin: asked.toSchoolOin });
      expect(changes).toMatchObject([{ changeId, state: 'rejected', whole: true }]);
    },
  },
  undoSchoolChange: {
    call: (as) => as.undoSchoolChange({ changeId: 'none' }),
    effect: async () => {
      const asked = leaving(await anotherSchool());
      const { check } = await at.operator.previewSchoolChange({ asked });
      const { changeId } = await at.operator.changeSchool({ asked, check });
      expect((await at.operator.undoSchoolChange({ changeId })).decision!.outcome).toBe('SchoolChangeUndone');
      expect(await codeOf(at.operator.undoSchoolChange({ changeId: 'none' }))).toBe('state.missing');
    },
  },
  listSchoolChanges: {
    call: (as) => as.listSchoolChanges({ schoolOin: school }),
    effect: async () => {
      const { changes } = await at.operator.listSchoolChanges({ schoolOin: school });
      expect(changes.every(({ schoolOin }) => schoolOin === school)).toBe(true);
      expect(await codeOf(at.operator.listSchoolChanges({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  makeLink: {
    call: (as) => as.makeLink({ page: '/launches' }),
    effect: async () => {
      const { link, secret } = await at.operator.makeLink({ page: '/flows', query: [{ name: 'q', value: 'ord-1' }] });
      const hours = Number(link!.endsMs - link!.madeMs) / 3_600_000;
      expect([Math.round(hours), secret.length]).toEqual([24, 43]);
      // No other page, no other query, no longer than two weeks, and nothing that reads like somebody's name.
      for (const wrong of [
        { page: '/settings' },
        { page: '/access' },
        { page: 'constructor' },
        { page: '/flow', query: [{ name: 'cursor', value: 'x' }] },
        {
          page: '/flows',
          query: [
            { name: 'q', value: 'a' },
            { name: 'q', value: 'b' },
          ],
        },
        { page: '/flows', query: [{ name: 'q', value: 'Zoë Zevenboom' }] },
        { page: '/launches', hours: 337 },
      ])
        expect([wrong, await codeOf(at.operator.makeLink(wrong))]).toEqual([wrong, 'wire.invalid']);
    },
  },
  listLinks: {
    call: (as) => as.listLinks({}),
    effect: async () => {
      const { link } = await at.operator.makeLink({ page: '/launches', hours: 1 });
      const { links } = await at.operator.listLinks({});
      // The first to end first.
      expect(links[0]).toEqual(link);
    },
  },
  openLink: {
    call: (as) => as.openLink({ linkId: 'x'.repeat(16), secret: 'x'.repeat(43) }),
    effect: async () => {
      const { link, secret } = await at.operator.makeLink({ page: '/launches' });
      const { linkId } = link!;
      expect((await at.operator.openLink({ linkId, secret })).link).toMatchObject({ linkId, page: '/launches' });
      const { links } = await at.operator.listLinks({});
      expect(links.find((one) => one.linkId === linkId)!.openedMs).toBeGreaterThan(0n);
      for (const wrong of ['', 'x'.repeat(43), secret.slice(1)])
        expect(await codeOf(at.operator.openLink({ linkId, secret: wrong }))).toBe('party.unknown');
    },
  },
  endLink: {
    call: (as) => as.endLink({ linkId: 'x'.repeat(16) }),
    effect: async () => {
      const { link, secret } = await at.operator.makeLink({ page: '/launches' });
      const { linkId } = link!;
      await at.operator.endLink({ linkId });
      expect(await codeOf(at.operator.openLink({ linkId, secret }))).toBe('party.unknown');
      expect(await codeOf(at.operator.endLink({ linkId }))).toBe('state.missing');
    },
  },
  mapKeys: {
    call: (as) => as.mapKeys({ schoolOin: school, learners: [{ eckId: eckId(1003), lasKey: 'x3' }], apply: true }),
    effect: async () => {
      const two = [
        { eckId: eckId(1003), lasKey: 'n3' },
        { eckId: eckId(999_999), lasKey: 'n4' },
      ];
      const preview = await at.operator.mapKeys({ schoolOin: school, learners: two });
      expect(preview).toMatchObject({ outcomes: ['maps', 'unknown'], maps: 1, known: 0, unknown: 1, taken: 0 });
      const done = await at.operator.mapKeys({ schoolOin: school, learners: two, apply: true });
      expect(done).toEqual(preview);
      expect((await at.operator.mapKeys({ schoolOin: school, learners: two, apply: true })).outcomes).toEqual([
        'known',
        'unknown',
      ]);
      // Whom no line names is counted; who is named, and who is nobody, is not.
      const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' });
      expect(done.unnamed).toBe(roster!.learners.length - 1);
      expect(done.unnamedByYearGroup.reduce((sum, { learners }) => sum + learners, 0)).toBe(done.unnamed);
      // A receiver goes on seeing the key that it knows, and there is nobody more than there was.
      expect(roster!.learners.find((one) => one.ref!.eckId === eckId(1003))!.ref!.lasKey).toBe('k3');
      const map = (...learners: { eckId: string; lasKey: string }[]) =>
        at.operator.mapKeys({ schoolOin: school, learners, apply: true });
      expect((await map({ eckId: eckId(1004), lasKey: 'n3' })).outcomes).toEqual(['taken']);
      const twice = await map({ eckId: eckId(1004), lasKey: 'n5' }, { eckId: eckId(1005), lasKey: 'n5' });
      expect(twice).toMatchObject({ outcomes: ['taken', 'taken'], taken: 2 });
      // Who has left is named all the same, and is in no roster.
      expect(twice.unnamed).toBe(roster!.learners.length - 1);
      expect(await codeOf(map({ eckId: eckId(1004), lasKey: '' }))).toBe('wire.invalid');
      expect(await codeOf(map())).toBe('wire.invalid');
    },
  },
  mergeLearners: {
    call: (as) =>
      as.mergeLearners({ schoolOin: school, winner: { lasKey: 'k3' }, loser: { lasKey: 'k4' }, apply: true }),
    effect: async () => {
      const merge = (winner: object, loser: object, more: object = {}) =>
        at.operator.mergeLearners({ schoolOin: school, winner, loser, ...more });
      const [third, fourth] = [{ lasKey: 'k3' }, { eckId: eckId(1004) }];
      expect((await merge(third, fourth)).outcome).toBe('merges');
      const { holdId } = await merge(third, fourth, { apply: true });
      await at.operator.decideHold({ holdId, approve: false });
      // What was turned down is asked for again, and is another matter.
      const again = await merge(third, fourth, { apply: true });
      expect(again.holdId).not.toBe(holdId);
      await at.operator.decideHold({ holdId: again.holdId, approve: true, confirm: true });
      expect(await merge(third, fourth)).toMatchObject({ outcome: 'merged' });
      expect((await merge(third, fourth, { undo: true, apply: true })).decision).toMatchObject({
        outcome: 'LearnersMergeUndone',
      });
      expect((await merge(third, fourth)).outcome).toBe('merges');
      expect(await codeOf(merge(third, { lasKey: 'nobody' }))).toBe('learner.unknown');
      expect(await codeOf(merge(third, {}))).toBe('wire.invalid');
    },
  },
  status: {
    call: (as) => as.status({}),
    effect: async () => {
      const before = await at.operator.status({});
      expect(before).toMatchObject({ devKey: true, parkedKeys: 0 });
      expect(before.freeDiskBytes).toBeGreaterThan(0n);
      await las.orders.placeOrder(order('status-1', 'onbekend'));
      expect((await at.operator.status({})).events).toBeGreaterThan(before.events);
    },
  },
  listAlerts: {
    call: (as) => as.listAlerts({}),
    effect: async () => expect((await at.operator.listAlerts({})).channels).toEqual([]),
  },
  testAlerts: {
    call: (as) => as.testAlerts({}),
    effect: async () => expect((await at.operator.testAlerts({})).channels).toEqual([]),
  },
  listParked: {
    call: (as) => as.listParked({}),
    effect: async () => {
      const seller = await at.party('Trage Uitgever', [Role.ROLE_PUBLISHER]);
      await sendAll(seller.catalogue.publishProducts(), [
        { reference: 'p', product: { productId: 'traag', title: 'Traag', licence: { licensed: true } } },
      ]);
      // A seller without a mandate: what is for it waits at its mailbox once it looks.
      await las.orders.placeOrder(order('parked-1', 'traag'));
      const watch = seller.orders.watchOrders({});
      watch.on('error', () => undefined);
      let rows: { partyOin: string; code: string; rows: bigint }[] = [];
      for (let i = 0; i < 1_000 && rows.length === 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 30));
        rows = (await at.operator.listParked({ schoolOin: school })).rows.filter((row) => row.partyOin === seller.oin);
      }
      watch.cancel();
      expect(rows).toMatchObject([{ code: 'mandate.missing', rows: 1n }]);
      // Of whom nobody knows it does not say that nothing waits.
      for (const asked of [{ partyOin: newOin() }, { schoolOin: newSchool() }]) {
        expect(await codeOf(at.operator.listParked(asked))).toBe('state.missing');
        expect(await codeOf(at.operator.resolveDeliveries({ ...asked, action: 'retry' }))).toBe('state.missing');
      }
      expect(await codeOf(at.operator.whyBlocked({ partyOin: seller.oin, schoolOin: newSchool() }))).toBe(
        'state.missing',
      );
      expect((await at.operator.listParked({ partyOin: las.oin })).rows).toEqual([]);
    },
  },
  retryParked: {
    call: (as) => as.retryParked({ consumer: 'orders', stream: 'orders', key: 'none' }),
    effect: async () => {
      expect(await at.operator.retryParked({ consumer: 'orders', stream: 'orders', key: 'none' })).toEqual({
        found: false,
      });
      expect((await at.operator.listParked({})).keys).toEqual([]);
    },
  },
  resolveDeliveries: {
    call: (as) => as.resolveDeliveries({ partyOin: las.oin, action: 'drop' }),
    effect: async () => {
      // What an endpoint does not take, and is sent again or given up: webhooks.test.ts.
      expect(await at.operator.resolveDeliveries({ partyOin: las.oin, action: 'drop' })).toEqual({ keys: 0, rows: 0n });
    },
  },
  // What is sent again to a real receiver, at a pace, and what a restart does to it: replay.test.ts.
  previewReplay: {
    call: (as) => as.previewReplay({ selection: { partyOin: las.oin } as never }),
    effect: async () => {
      expect(await codeOf(at.operator.previewReplay({ selection: { partyOin: newOin() } as never }))).toBe(
        'state.missing',
      );
      const elsewhere = { partyOin: las.oin, schoolOin: newSchool() };
      expect(await codeOf(at.operator.previewReplay({ selection: elsewhere as never }))).toBe('state.missing');
      const types = ['NoSuchThing'];
      expect(await codeOf(at.operator.previewReplay({ selection: { partyOin: las.oin, types } as never }))).toBe(
        'wire.invalid',
      );
      // Nothing is sent to it.
      const { jobId, decision } = await at.operator.previewReplay({ selection: { partyOin: las.oin } as never });
      expect(decision).toMatchObject({ outcome: 'ReplayRefused', code: 'state.missing' });
      expect((await at.operator.listReplays({ jobId })).replays).toEqual([]);
    },
  },
  runReplay: {
    call: (as) => as.runReplay({ jobId: 'none' }),
    effect: async () => {
      const jobId = await countedReplay();
      expect(await codeOf(at.operator.runReplay({ jobId, rate: 5001 }))).toBe('wire.invalid');
      const { decision } = await at.operator.runReplay({ jobId });
      expect(decision).toMatchObject({ outcome: 'ReplayChanged', code: '' });
      expect((await watched(at.operator, jobId)).at(-1)).toBe('done');
      expect(await codeOf(at.operator.runReplay({ jobId: 'none' }))).toBe('state.missing');
    },
  },
  stopReplay: {
    call: (as) => as.stopReplay({ jobId: 'none' }),
    effect: async () => {
      const jobId = await countedReplay();
      expect((await at.operator.stopReplay({ jobId })).replay).toMatchObject({ state: 'stopped', cause: 'operator' });
      expect((await at.operator.stopReplay({ jobId })).decision).toMatchObject({ code: 'state.conflict' });
      expect(await codeOf(at.operator.stopReplay({ jobId: 'none' }))).toBe('state.missing');
    },
  },
  listReplays: {
    call: (as) => as.listReplays({}),
    effect: async () => {
      const jobId = await countedReplay();
      expect((await at.operator.listReplays({ jobId })).replays).toMatchObject([{ state: 'counted', toSend: 0n }]);
      // None of a party that nobody knows is not none.
      expect(await codeOf(at.operator.listReplays({ partyOin: newOin() }))).toBe('state.missing');
      expect((await at.operator.listReplays({ partyOin: las.oin })).replays).toEqual([]);
    },
  },
  reconcile: {
    call: (as) => as.reconcile({ partyOin: newOin(), schoolOin: school }),
    effect: async () => {
      const party = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
      // It has no endpoint at which it could be asked.
      expect(await codeOf(at.operator.reconcile({ partyOin: party.oin, schoolOin: school }))).toBe('state.missing');
      expect(await codeOf(at.operator.reconcile({ partyOin: party.oin }))).toBe('wire.invalid');
    },
  },
  listReconciliations: {
    call: (as) => as.listReconciliations({}),
    effect: async () => {
      const party = await comparedParty();
      const { reconciliations, names } = await at.operator.listReconciliations({ partyOin: party });
      expect(reconciliations).toMatchObject([
        {
          reconciliation: { schoolOin: school, source: 'stated', counts: { surplus: 1n } },
          canBeAsked: false,
          dueMs: 0n,
        },
      ]);
      expect(names).toContainEqual({ oin: party, name: 'Leerplein' });
    },
  },
  listDifferences: {
    call: (as) => as.listDifferences({ partyOin: newOin(), schoolOin: school }),
    effect: async () => {
      const partyOin = await comparedParty();
      expect((await at.operator.listDifferences({ partyOin, schoolOin: school })).differences).toMatchObject([
        { key: 'x1', what: 'surplus', ours: [], theirs: ['open', ''] },
      ]);
      expect(await codeOf(at.operator.listDifferences({ partyOin, schoolOin: school, kind: 'order' }))).toBe(
        'wire.invalid',
      );
    },
  },
  watchReplay: {
    call: (as) => watched(as, 'none'),
    effect: async () => {
      expect((await watched(at.operator, await countedReplay())).at(-1)).toBe('counted');
      expect(await codeOf(watched(at.operator, 'none'))).toBe('state.missing');
    },
  },
  rebuildFlows: {
    call: (as) => rebuiltBy(as, false),
    effect: async () => {
      await las.orders.placeOrder(order('rebuilt', 'onbekend'));
      const told = await rebuiltBy(at.operator, true);
      expect(told.at(-1)).toMatchObject({
        state: 'done',
        missing: 0n,
        surplus: 0n,
        differs: 0n,
        left: 0n,
        unreadable: 0n,
      });
      expect(Number(told.at(-1)!.flows)).toBeGreaterThan(1);
    },
  },
  readAuditLog: {
    call: (as) => as.readAuditLog({ limit: 10 }),
    effect: async () => {
      const { flowId } = await las.orders.placeOrder(order('read-log', 'onbekend'));
      await at.operator.showReceipt({ receiptId: flowId, waitMs: 20_000n });
      const { head, leaves, keys } = await at.operator.readAuditLog({ limit: 2000 });
      expect(leaves).toHaveLength(Number(head!.size));
      expect(keys).toHaveLength(1);
      expect(leaves.map(({ record }) => AuditRecord.decode(record).receiptId)).toContain(flowId);
      const more = await at.operator.readAuditLog({ from: 1n, limit: 2, sinceSize: 1n, headsAbove: 0n });
      expect(more.leaves.map(({ index }) => index)).toEqual([1n, 2n]);
      expect(more.consistency.length).toBeGreaterThan(0);
      expect(more.heads.length).toBeGreaterThan(0);
    },
  },
  searchAuditLog: {
    call: (as) => as.searchAuditLog({ asked: { limit: 1 } }),
    effect: async () => {
      const { flowId } = await las.orders.placeOrder(order('search-log', 'onbekend'));
      await at.operator.showReceipt({ receiptId: flowId, waitMs: 20_000n });
      const asked = { partyOin: las.oin, method: 'OrderService/PlaceOrder', limit: 200 };
      const { found, names } = await at.operator.searchAuditLog({ asked });
      const row = found!.rows.find(({ receiptId }) => receiptId === flowId)!;
      expect(row).toMatchObject({ partyOin: las.oin, methods: ['OrderService/PlaceOrder'] });
      expect(row.index).toBeLessThan(found!.head!.size);
      expect(names).toContainEqual(expect.objectContaining({ oin: las.oin }));
      const elsewhere = await at.operator.searchAuditLog({
        asked: { ...asked, fromDay: '2001-01-01', toDay: '2001-01-02' },
      });
      expect(elsewhere.found!.rows).toEqual([]);
      expect(await codeOf(at.operator.searchAuditLog({}))).toBe('wire.invalid');
    },
  },
  showReceipt: {
    call: (as) => as.showReceipt({ receiptId: 'r-none' }),
    effect: async () => {
      const { flowId } = await las.orders.placeOrder(order('show-receipt', 'onbekend'));
      const { proof } = await at.operator.showReceipt({ receiptId: flowId, waitMs: 20_000n });
      expect(AuditRecord.decode(proof!.record)).toMatchObject({ receiptId: flowId, partyOin: las.oin });
      expect(await codeOf(at.operator.showReceipt({ receiptId: 'r-none' }))).toBe('state.missing');
    },
  },
  listAccess: {
    call: (as) => as.listAccess({ schoolOin: school }),
    effect: async () => {
      // Whom it counts: audit.test.ts.
      expect((await at.operator.listAccess({ schoolOin: newSchool() })).rows).toEqual([]);
      expect(await codeOf(at.operator.listAccess({}))).toBe('wire.invalid');
    },
  },
  rotateKeys: {
    call: (as) => as.rotateKeys({ kinds: ['data'] }),
    effect: async () => {
      const { keys } = await at.operator.rotateKeys({ kinds: ['data', 'index'], schoolOin: school });
      expect(keys).toMatchObject({ master: 1, rotating: true });
      await expect.poll(async () => (await at.operator.showKeys({})).keys!.rotating, { interval: 200 }).toBe(false);
      expect(await codeOf(at.operator.rotateKeys({ kinds: ['data'], schoolOin: newOin() }))).toBe('state.missing');
      expect(await codeOf(at.operator.rotateKeys({ kinds: ['names'] }))).toBe('wire.invalid');
      // Nobody has put a new one beside it.
      expect(await codeOf(at.operator.rotateKeys({ kinds: ['master'] }))).toBe('state.missing');
    },
  },
  askReveal: {
    call: (as) => as.askReveal({ schoolOin: school, reason: 'case', tokens: ['lt_a'] }),
    effect: async () => {
      // What two persons can do who sign in: reveal.test.ts. A key is nobody in particular.
      expect(await codeOf(at.operator.askReveal({ schoolOin: school, reason: 'case', tokens: ['lt_a'] }))).toBe(
        'party.forbidden',
      );
      expect((await at.operator.listReveals({})).reveals).toEqual([]);
    },
  },
  listReveals: {
    call: (as) => as.listReveals({}),
    effect: async () => {
      expect((await at.operator.listReveals({ schoolOin: school })).reveals).toEqual([]);
      expect(await codeOf(at.operator.listReveals({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  decideReveal: {
    call: (as) => as.decideReveal({ requestId: 'r-1', approve: true }),
    effect: async () =>
      expect(await codeOf(at.operator.decideReveal({ requestId: 'r-1', approve: true }))).toBe('party.forbidden'),
  },
  fetchReveal: {
    call: (as) => as.fetchReveal({ requestId: 'r-1' }),
    effect: async () => expect(await codeOf(at.operator.fetchReveal({ requestId: 'r-1' }))).toBe('party.forbidden'),
  },
  holdKeys: {
    call: (as) => as.holdKeys({ schoolOin: school, at: '' }),
    effect: async () => {
      // What it does with a holder: held-keys.test.ts.
      // There is nobody to take it back from.
      expect(await codeOf(at.operator.holdKeys({ schoolOin: school }))).toBe('state.missing');
      const at1 = 'http://127.0.0.1:1/v1/transit/keys/x';
      expect(await codeOf(at.operator.holdKeys({ schoolOin: school, at: at1, token: 'x' }))).toBe('peer.unavailable');
      expect(await codeOf(at.operator.holdKeys({ schoolOin: school, at: 'https://a.example/x', token: 'x' }))).toBe(
        'wire.invalid',
      );
      expect(await codeOf(at.operator.holdKeys({ schoolOin: newOin(), at: at1, token: 'x' }))).toBe('state.missing');
      expect(await codeOf(at.operator.holdKeys({}))).toBe('wire.invalid');
    },
  },
  showKeys: {
    call: (as) => as.showKeys({}),
    effect: async () => {
      const { keys } = await at.operator.showKeys({});
      expect(keys!.keys.map(({ kind }) => kind)).toEqual(['master', 'data', 'index', 'pairwise']);
      expect(keys!.schools).toBeGreaterThan(0);
    },
  },
  previewEndpoints: {
    call: (as) => as.previewEndpoints({ party: { oin: las.oin } }),
    effect: async () => {
      // What is kept, and where an endpoint begins: webhooks.test.ts.
      const endpoints = [{ standard: 'webhook', url: 'https://plein.example/hook' }];
      const { kept, nowMs } = await at.operator.previewEndpoints({ party: { oin: newOin(), endpoints } });
      expect([kept, Number(nowMs) > 0]).toEqual([[], true]);
      expect((await at.operator.listParties({ oin: las.oin })).parties[0]!.endpoints).toEqual([]);
    },
  },
  previewWithheld: {
    call: (as) => as.previewWithheld({ oin: las.oin }),
    effect: async () => {
      // What goes: party-stop.test.ts, services/delivery/kept.test.ts.
      expect(await at.operator.previewWithheld({ oin: las.oin })).toEqual({ going: [], unconfirmed: false });
      const wrongs: [object, string][] = [
        [{}, 'wire.invalid'],
        [{ oin: las.oin, mandateId: newId() }, 'wire.invalid'],
        [{ mandateId: newId(), change: 'stop' }, 'wire.invalid'],
        [{ mandateId: newId(), change: 'confirm' }, 'state.missing'],
        [{ oin: newOin() }, 'state.missing'],
      ];
      for (const [wrong, code] of wrongs) expect(await codeOf(at.operator.previewWithheld(wrong))).toBe(code);
    },
  },
  previewStop: {
    call: (as) => as.previewStop({ oin: las.oin }),
    effect: async () => {
      // What a stop does: party-stop.test.ts.
      expect(await at.operator.previewStop({ oin: las.oin })).toMatchObject({
        party: { oin: las.oin },
        services: expect.arrayContaining([Service.SERVICE_ROSTER, Service.SERVICE_ORDER]),
        pairwiseSchools: 0,
      });
      expect(await codeOf(at.operator.previewStop({ oin: newOin() }))).toBe('state.missing');
    },
  },
  stopParty: {
    call: (as) => as.stopParty({ oin: las.oin, reason: 'intruder' }),
    effect: async () => {
      const added = await at.party('Stilstand', [Role.ROLE_PLATFORM]);
      expect(await at.operator.stopParty({ oin: added.oin, reason: 'case-1' })).toMatchObject({ unchanged: false });
      expect(await codeOf(added.parties.getParty({ oin: added.oin }))).toBe('party.unknown');
      expect((await at.operator.listParties({ oin: added.oin })).stopped).toMatchObject([{ reason: 'case-1' }]);
      expect(await codeOf(at.operator.stopParty({ oin: added.oin, reason: '' }))).toBe('wire.invalid');
    },
  },
  setFreeze: {
    call: (as) => as.setFreeze({ schoolOin: school, until: '2099-01-01', reason: 'exams' }),
    effect: async () => {
      // What a freeze holds: freezes.test.ts.
      const asked = { partyOin: las.oin, until: dutchDay(Date.now() + 86_400_000), reason: 'exams-1' };
      const once = await at.operator.setFreeze(asked);
      expect(once).toMatchObject({ unchanged: false, freeze: { reason: 'exams-1', byOin: 'operator' } });
      expect(await at.operator.setFreeze(asked)).toMatchObject({ unchanged: true });
      await at.operator.endFreeze({ freezeId: once.freeze!.freezeId });
      const wrongs: [object, string][] = [
        [{ until: '2099-01-01', reason: 'x' }, 'wire.invalid'],
        [{ ...asked, all: true }, 'wire.invalid'],
        [{ ...asked, reason: 'Jan de Boer' }, 'wire.invalid'],
        [{ ...asked, until: '2099-02-30' }, 'wire.invalid'],
        [{ ...asked, partyOin: newOin() }, 'state.missing'],
      ];
      for (const [wrong, code] of wrongs) expect(await codeOf(at.operator.setFreeze(wrong))).toBe(code);
      const long = await at.operator.setFreeze({ ...asked, until: '2099-01-01' });
      expect(long.decision).toMatchObject({ outcome: 'PartyChangeRefused', code: 'wire.invalid' });
    },
  },
  previewFreeze: {
    call: (as) => as.previewFreeze({ asked: { all: true, until: '2027-02-30' } }),
    effect: async () => {
      // What waits for one: freezes.test.ts.
      const day = dutchDay(Date.now() + 86_400_000);
      const asked = { partyOin: las.oin, until: day };
      const { freeze, works, goesOnMs } = await at.operator.previewFreeze({ asked });
      expect([freeze!.partyOin, works, goesOnMs]).toEqual([las.oin, [], freeze!.untilMs]);
      const wrongs: [object, string][] = [
        [{}, 'wire.invalid'],
        [{ asked, freezeId: newId() }, 'wire.invalid'],
        [{ asked: { ...asked, all: true } }, 'wire.invalid'],
        [{ asked: { ...asked, until: '' } }, 'wire.invalid'],
        [{ asked: { ...asked, until: '2027-02-30' } }, 'wire.invalid'],
        [{ asked: { ...asked, until: dutchDay(Date.now() - 86_400_000) } }, 'wire.invalid'],
        [{ asked: { ...asked, from: day, until: dutchDay(Date.now()) } }, 'wire.invalid'],
        [{ asked: { ...asked, until: dutchDay(Date.now() + 100 * 86_400_000) } }, 'wire.invalid'],
        [{ asked: { ...asked, partyOin: newOin() } }, 'state.missing'],
        [{ freezeId: newId() }, 'state.missing'],
      ];
      for (const [wrong, code] of wrongs) expect(await codeOf(at.operator.previewFreeze(wrong))).toBe(code);
      expect((await at.operator.listFreezes({ partyOin: las.oin })).freezes).toEqual([]);
    },
  },
  listFreezes: {
    call: (as) => as.listFreezes({}),
    effect: async () => {
      const until = dutchDay(Date.now() + 86_400_000);
      const { freeze } = await at.operator.setFreeze({ partyOin: las.oin, until, reason: 'listed' });
      const named = async (past: boolean) =>
        (await at.operator.listFreezes({ partyOin: las.oin, past })).freezes.find(
          (one) => one.freeze!.freezeId === freeze!.freezeId,
        )?.state;
      expect(await named(false)).toBe('holds');
      // A freeze of a party is one at each school, of a school of each party: not of who is unknown.
      const unknowns = [{ partyOin: newOin() }, { schoolOin: '0000000700098ZZ00000' }];
      for (const unknown of unknowns) expect(await codeOf(at.operator.listFreezes(unknown))).toBe('state.missing');
      await at.operator.endFreeze({ freezeId: freeze!.freezeId });
      expect([await named(false), await named(true)]).toEqual([undefined, 'ended']);
      for (const unknown of unknowns) expect(await codeOf(at.operator.listFreezes(unknown))).toBe('state.missing');
    },
  },
  endFreeze: {
    call: (as) => as.endFreeze({ freezeId: newId() }),
    effect: async () => {
      // With a second person: services/parties/freeze.test.ts.
      expect(await codeOf(at.operator.endFreeze({ freezeId: newId() }))).toBe('state.missing');
      const until = dutchDay(Date.now() + 86_400_000);
      const { freeze } = await at.operator.setFreeze({ partyOin: las.oin, until, reason: 'ended' });
      const ended = await at.operator.endFreeze({ freezeId: freeze!.freezeId });
      expect(ended.decision?.outcome).toBe('FreezeChanged');
      expect(ended.freeze!.endedMs).toBeGreaterThan(0n);
    },
  },
  setHoldRule: {
    call: (as) => as.setHoldRule({ ...rule(), schoolOin: school }),
    effect: async () => {
      // What a rule lets go: hold-rules.test.ts.
      const asked = { ...rule(), schoolOin: await anotherSchool() };
      const once = await at.operator.setHoldRule(asked);
      expect(once).toMatchObject({ unchanged: false, rule: { reason: 'year-1', byOin: 'operator', mostPercent: 15 } });
      expect(await at.operator.setHoldRule(asked)).toMatchObject({ unchanged: true, rule: once.rule });
      const wrongs: [object, string][] = [
        [{ ...asked, schoolOin: '' }, 'wire.invalid'],
        [{ ...asked, all: true }, 'wire.invalid'],
        [{ ...asked, kinds: ['empty'] }, 'wire.invalid'],
        [{ ...asked, mostPercent: 51 }, 'wire.invalid'],
        [{ ...asked, reason: 'Jan de Boer' }, 'wire.invalid'],
        [{ ...asked, until: dutchDay(Date.now() + 62 * 86_400_000) }, 'wire.invalid'],
        [{ ...asked, schoolOin: newSchool() }, 'state.missing'],
      ];
      for (const [wrong, code] of wrongs) expect(await codeOf(at.operator.setHoldRule(wrong))).toBe(code);
    },
  },
  previewHoldRule: {
    call: (as) => as.previewHoldRule({ asked: { ...rule(), schoolOin: school } }),
    effect: async () => {
      const asked = { ...rule(), schoolOin: await anotherSchool() };
      expect(await at.operator.previewHoldRule({ asked })).toEqual({ waiting: [], decided: [] });
      expect((await at.operator.listHoldRules({ schoolOin: asked.schoolOin })).rules).toEqual([]);
      expect(await codeOf(at.operator.previewHoldRule({}))).toBe('wire.invalid');
    },
  },
  listHoldRules: {
    call: (as) => as.listHoldRules({}),
    effect: async () => {
      const schoolOin = await anotherSchool();
      const { rule: set } = await at.operator.setHoldRule({ ...rule(), schoolOin });
      const listed = async (past: boolean) =>
        (await at.operator.listHoldRules({ schoolOin, past })).rules.map(({ state }) => state);
      expect(await listed(false)).toEqual(['stands']);
      await at.operator.endHoldRule({ ruleId: set!.ruleId });
      expect([await listed(false), await listed(true)]).toEqual([[], ['ended']]);
      const { rule: ofAll } = await at.operator.setHoldRule({ ...rule(), all: true });
      expect(await codeOf(at.operator.listHoldRules({ schoolOin: '0000000700098ZZ00000' }))).toBe('state.missing');
      await at.operator.endHoldRule({ ruleId: ofAll!.ruleId });
    },
  },
  approveHoldRule: {
    call: (as) => as.approveHoldRule({ ruleId: newId() }),
    effect: async () => {
      // With a second person: hold-rules.test.ts.
      expect(await codeOf(at.operator.approveHoldRule({ ruleId: newId() }))).toBe('state.missing');
      const { rule: set } = await at.operator.setHoldRule({ ...rule(), schoolOin: await anotherSchool() });
      const approved = await at.operator.approveHoldRule({ ruleId: set!.ruleId });
      expect(approved).toMatchObject({ decision: { outcome: 'HoldRuleChanged' }, rule: set });
    },
  },
  endHoldRule: {
    call: (as) => as.endHoldRule({ ruleId: newId() }),
    effect: async () => {
      expect(await codeOf(at.operator.endHoldRule({ ruleId: newId() }))).toBe('state.missing');
      const { rule: set } = await at.operator.setHoldRule({ ...rule(), schoolOin: await anotherSchool() });
      const ended = await at.operator.endHoldRule({ ruleId: set!.ruleId });
      expect(ended.decision?.outcome).toBe('HoldRuleChanged');
      expect(ended.rule!.endedMs).toBeGreaterThan(0n);
    },
  },
  setIdentity: {
    call: (as) => as.setIdentity({ schoolOin: school, identity: 'on-demand' }),
    effect: async () => {
      const schoolOin = await anotherSchool();
      const once = await at.operator.setIdentity({ schoolOin, identity: 'on-demand' });
      expect(once).toMatchObject({ unchanged: false, decision: { outcome: 'PartyStandingChanged' } });
      expect((await at.operator.showProcessing({ schoolOin })).identity).toBe('on-demand');
      expect(await at.operator.setIdentity({ schoolOin, identity: 'on-demand' })).toMatchObject({ unchanged: true });
      expect(await at.operator.setIdentity({ schoolOin, identity: 'kept' })).toMatchObject({ unchanged: false });
      expect((await at.operator.showProcessing({ schoolOin })).identity).toBeUndefined();
      expect(await codeOf(at.operator.setIdentity({ schoolOin, identity: 'elsewhere' }))).toBe('wire.invalid');
      expect(await codeOf(at.operator.setIdentity({ schoolOin: newOin(), identity: 'kept' }))).toBe('wire.invalid');
    },
  },
  resumeParty: {
    call: (as) => as.resumeParty({ oin: las.oin }),
    effect: async () => {
      const added = await at.party('Hervat', [Role.ROLE_PLATFORM]);
      await at.operator.stopParty({ oin: added.oin, reason: 'case-2' });
      const { apiKey, clientSecret } = await at.operator.resumeParty({ oin: added.oin });
      expect(clientSecret).not.toBe(added.clientSecret);
      expect(await codeOf(added.parties.getParty({ oin: added.oin }))).toBe('party.unknown');
      expect(await codeOf(at.as(`Bearer ${apiKey}`).parties.getParty({ oin: added.oin }))).toBe('');
      expect(await codeOf(at.operator.resumeParty({ oin: newOin() }))).toBe('state.missing');
    },
  },
  listReach: {
    call: (as) => as.listReach({ partyOin: las.oin }),
    effect: async () => {
      expect((await at.operator.listReach({ partyOin: las.oin, toDay: '2020-01-01' })).rows).toEqual([]);
      expect(await codeOf(at.operator.listReach({ partyOin: newOin() }))).toBe('state.missing');
      const elsewhere = { partyOin: las.oin, schoolOin: newSchool() };
      expect(await codeOf(at.operator.listReach(elsewhere))).toBe('state.missing');
    },
  },
  showProcessing: {
    call: (as) => as.showProcessing({ schoolOin: school }),
    effect: async () => {
      const told = await at.operator.showProcessing({ schoolOin: school });
      expect(told.parties.map(({ oin }) => oin)).toContain(las.oin);
      expect(told.subprocessorsKnown).toBe(false);
      expect(await codeOf(at.operator.showProcessing({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  listReviews: {
    call: (as) => as.listReviews({}),
    effect: async () => {
      // Nothing is as old as that, and nothing was counted before.
      const { due, countedSince } = await at.operator.listReviews({ schoolOin: school });
      expect(due).toEqual([]);
      expect(countedSince).toMatch(/^\d{4}-\d\d-\d\d$/);
      expect(await codeOf(at.operator.listReviews({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  openReviews: {
    call: (as) => as.openReviews({}),
    effect: async () => {
      // Which are opened: services/edge/reads/reviews.test.ts.
      expect(await at.operator.openReviews({ schoolOin: school })).toMatchObject({ opened: 0, flowIds: [] });
      expect(await codeOf(at.operator.openReviews({ endsOn: '2020-01-01' }))).toBe('wire.invalid');
      expect(await codeOf(at.operator.openReviews({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  answerReview: {
    call: (as) => as.answerReview({ mandateId: 'm-1', answer: 'keep' }),
    effect: async () => {
      const added = await at.party('Bevraagd', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
      expect(await codeOf(at.operator.answerReview({ mandateId, answer: 'maybe' }))).toBe('wire.invalid');
      expect(await codeOf(at.operator.answerReview({ mandateId: 'm-none', answer: 'keep' }))).toBe('state.missing');
      const asked = { mandateId, answer: 'narrow', services: [Service.SERVICE_ROSTER] };
      const { mandateId: instead, decision } = await at.operator.answerReview(asked);
      expect(decision!.code).toBe('');
      const { mandates } = await at.operator.listMandates({ partyOin: added.oin });
      const stateOf = (id: string) => mandates.find((one) => one.mandateId === id);
      expect(stateOf(mandateId)!.state).toBe(MandateState.MANDATE_STATE_ENDED);
      expect(stateOf(instead)).toMatchObject({
        state: MandateState.MANDATE_STATE_ACTIVE,
        services: [Service.SERVICE_ROSTER],
      });
      const { reviews } = await at.operator.listReviews({ schoolOin: school });
      expect(reviews).toContainEqual(expect.objectContaining({ mandateId, state: 'narrowed', byOin: 'operator' }));
    },
  },
  previewSchoolForget: {
    call: (as) => as.previewSchoolForget({ schoolOin: school }),
    effect: async () => {
      const seen = await at.operator.previewSchoolForget({ schoolOin: school });
      expect(seen.rosters.map(({ schoolYear }) => schoolYear)).toContain('2026-2027');
      expect(seen.learners).toBeGreaterThan(0);
      expect(seen.receivers.map(({ partyOin }) => partyOin)).toContain(las.oin);
      expect(await codeOf(at.operator.previewSchoolForget({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  forgetSchool: {
    call: (as) => as.forgetSchool({ schoolOin: school, check: '0000-0000' }),
    // What it comes to: school-forget.test.ts.
    effect: async () => {
      const schoolOin = await anotherSchool();
      expect(await codeOf(at.operator.forgetSchool({ schoolOin, check: '0000-0000' }))).toBe('state.conflict');
      const { check } = await at.operator.previewSchoolForget({ schoolOin });
      const { forgetting } = await at.operator.forgetSchool({ schoolOin, check });
      expect(forgetting).toMatchObject({ state: 'waits', receivers: [{ partyOin: las.oin }] });
      expect(await codeOf(las.rosters.getRoster({ schoolOin, schoolYear: '2026-2027' }))).toBe('mandate.ended');
    },
  },
  keepSchool: {
    call: (as) => as.keepSchool({ schoolOin: school }),
    effect: async () => {
      expect((await at.operator.keepSchool({ schoolOin: school })).decision).toMatchObject({ code: 'state.missing' });
      const schoolOin = await forgottenSchool();
      expect((await at.operator.keepSchool({ schoolOin })).forgetting).toMatchObject({ state: 'kept' });
      expect(await codeOf(las.rosters.getRoster({ schoolOin, schoolYear: '2026-2027' }))).not.toBe('mandate.ended');
    },
  },
  confirmSchoolForget: {
    call: (as) => as.confirmSchoolForget({ schoolOin: school, partyOin: las.oin }),
    effect: async () => {
      const schoolOin = await forgottenSchool();
      const { forgetting } = await at.operator.confirmSchoolForget({ schoolOin, partyOin: las.oin });
      expect(forgetting!.receivers[0]!.confirmedMs).toBeGreaterThan(0n);
    },
  },
  listSchoolForgets: {
    call: (as) => as.listSchoolForgets({}),
    effect: async () => {
      const schoolOin = await forgottenSchool();
      const { forgettings, names } = await at.operator.listSchoolForgets({ schoolOin });
      expect(forgettings).toMatchObject([{ schoolOin, state: 'waits' }]);
      // What would be shown as active, and gives nothing, is not granted.
      const mandate = { schoolOin, partyOin: las.oin, services: [Service.SERVICE_ORDER] };
      expect(await codeOf(at.operator.grantMandate({ mandate, confirm: true } as never))).toBe('mandate.ended');
      expect(names.map(({ oin }) => oin)).toContain(las.oin);
      expect((await at.operator.listSchoolForgets({})).forgettings.length).toBeGreaterThan(1);
      expect(await codeOf(at.operator.listSchoolForgets({ schoolOin: newSchool() }))).toBe('state.missing');
    },
  },
  exportSchool: {
    call: (as) => as.exportSchool([{ schoolOin: school, folder: join(tmpdir(), 'eduk-never') }]),
    // What is in it: school-export.test.ts.
    effect: async () => {
      const parent = mkdtempSync(join(tmpdir(), 'eduk-export-'));
      try {
        const { files } = await at.operator.exportSchool([{ schoolOin: school, folder: join(parent, 'out') }]);
        const roster = files.find(({ name }) => name.endsWith('.xml'))!;
        expect(readFileSync(join(parent, 'out', roster.name), 'utf8')).toContain('<leerling key="k1"');
        // It is in the log within the second in which records are gathered.
        await expect
          .poll(
            async () => {
              const { rows } = await at.operator.listAccess({ schoolOin: school });
              return rows.filter(({ purpose }) => purpose === 'school_export').map(({ partyOin }) => partyOin);
            },
            { timeout: 60_000 },
          )
          .toContain(school);
      } finally {
        rmSync(parent, { recursive: true, force: true });
      }
    },
  },
  backup: {
    call: (as) => as.backup({ folder: tmpdir() }),
    effect: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'eduk-backup-'));
      try {
        await at.operator.backup({ folder });
        for (const [name, table] of [
          ['state.db', 'parties_parties'],
          ['vault.db', 'learners'],
        ] as const) {
          const file = new DatabaseSync(join(folder, name));
          expect(
            (file.prepare(`SELECT count(*) AS rows FROM ${table}`).get() as { rows: number }).rows,
          ).toBeGreaterThan(1);
          file.close();
        }
        expect(await codeOf(at.operator.backup({ folder: 'here' }))).toBe('wire.invalid');
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  },
};

const methods = Object.keys(OperatorServiceDefinition.methods as Record<string, MethodDefinition>);

test('every method has a case', () => {
  expect(Object.keys(cases)).toEqual(expect.arrayContaining(methods));
  expect(Object.keys(cases)).toHaveLength(methods.length);
});

describe.each(Object.keys(cases) as (keyof Operator)[])('%s', (key) => {
  test('has its effect', () => cases[key].effect());

  test('refused to parties, to nobody, and to a wrong key', async () => {
    const as = (authorization?: string) => wire(OperatorServiceDefinition, at.channel, authorization);
    expect(await codeOf(cases[key].call(as(`Bearer ${las.apiKey}`)))).toBe('party.forbidden');
    expect(await codeOf(cases[key].call(as()))).toBe('party.unknown');
    expect(await codeOf(cases[key].call(as(`Bearer eduk_operator_${'x'.repeat(43)}`)))).toBe('party.unknown');
  });
});
