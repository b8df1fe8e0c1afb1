/** A party that is stopped everywhere and goes on, over the wire; and what schools are told of it: papers, breach, reviews. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  eckId,
  Fault,
  newOin,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { Receiver } from './receiver.ts';

const YEAR = '2026-2027';
const school = newSchool();
const other = newSchool();
const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_RESULT } = Service;
/** How soon every door closes a route. */
const CLOSED_MS = 5_000;

let at: TestGateway;
let folder: string;
let las: TestParty;
let platform: TestParty;
let neighbour: TestParty;
let processing: string;

let sequence = 0;
const fresh = (name: string): string => `${name}-${++sequence}`;
const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => '',
    (thrown: unknown) => {
      if (thrown instanceof Fault && thrown.code) return thrown.code;
      throw thrown;
    },
  );
async function eventually<T>(ask: () => Promise<T>, right: (value: T) => boolean, ms = 60_000): Promise<T> {
  for (const until = Date.now() + ms; ; ) {
    const value = await ask();
    if (right(value) || Date.now() > until) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const pupils = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({
    ref: { eckId: eckId(70_000 + from + i), lasKey: `key-${from + i}` },
    person: { callName: `Noor${from + i}`, familyName: 'Beuk' },
    yearGroup: '7',
    groupKey: '7a',
  }));
async function push(schoolOin: string, learners: ReturnType<typeof pupils>): Promise<void> {
  await sendAll(las.rosters.pushRoster(), [
    {
      reference: fresh('roster'),
      rosterId: fresh('roster-id'),
      last: true,
      roster: { schoolOin, schoolYear: YEAR, groups: [{ key: '7a', name: 'Groep 7A', yearGroup: '7' }], learners },
    },
  ]);
}
const rosterOf = (party: TestParty, schoolOin = school) => party.rosters.getRoster({ schoolOin, schoolYear: YEAR });

/** The command line in a process of its own. */
const cli = (...args: string[]): Promise<{ exit: number; json: any }> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, '../../services/cli/eduk.js'), ...args, '--json'],
      {
        cwd: folder,
        env: { PATH: process.env['PATH'], EDUK_DATA: at.folder, EDUK_GRPC: at.gateway.addresses.grpc },
      },
      (error, stdout) => resolve({ exit: error ? Number(error.code) : 0, json: JSON.parse(stdout) }),
    );
  });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-papers-'));
  processing = join(folder, 'processing.json');
  writeFileSync(
    processing,
    JSON.stringify({
      operator: { name: 'Ketenbeheer BV', contact: 'privacy@ketenbeheer.example' },
      subprocessors: [{ name: 'Rekencentrum', does: 'servers', country: 'Nederland' }],
    }),
  );
  at = await startTestGateway({ EDUK_PROCESSOR_FOR: 'Leerlijst Groep', EDUK_PROCESSING_FILE: processing });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  neighbour = await at.party('Buurman', [Role.ROLE_PLATFORM]);
  for (const oin of [school, other]) {
    await at.mandate(oin, las.oin, [SERVICE_ROSTER, SERVICE_ORDER]);
    await at.operator.grantMandate({
      mandate: {
        schoolOin: oin,
        partyOin: platform.oin,
        services: [SERVICE_ROSTER, SERVICE_RESULT],
        attributes: ['eck_id', 'call_name', 'groups', 'year_group'],
        pairwise: oin === school,
      },
      confirm: true,
    });
    await at.mandate(oin, neighbour.oin, [SERVICE_ROSTER]);
  }
  await push(school, pupils(12));
  await push(other, pupils(5, 100));
  for (const [oin, count] of [
    [school, 12],
    [other, 5],
  ] as const)
    await eventually(
      async () => (await rosterOf(platform, oin).catch(() => undefined))?.roster?.learners.length,
      (n) => n === count,
    );
});
afterAll(async () => {
  await at?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('papers and breach', () => {
  test('papers are of the mandates, the declaration and the file as they are; a mandate that changes changes them', async () => {
    const read = async () => {
      const out = join(folder, fresh('papers'));
      const { exit, json } = await cli('papers', '--school', school.slice(11, 15), '--out', out);
      expect([exit, json.missing]).toEqual([0, ['the board of the school']]);
      return Object.fromEntries(readdirSync(out).map((file) => [file, readFileSync(join(out, file), 'utf8')]));
    };
    const first = await read();
    expect(Object.keys(first).sort()).toEqual([
      'bijlage-1.md',
      'dpia-invoer.md',
      'ouders.html',
      'verwerkingsregister.md',
    ]);
    const added = await at.party('Nieuwkomer', [Role.ROLE_DASHBOARD]);
    const { mandateId } = await at.mandate(school, added.oin, [SERVICE_ROSTER], { confirm: false });
    const unconfirmed = await read();
    for (const [file, text] of Object.entries(unconfirmed)) {
      expect(text, file).toContain('Rekencentrum');
      expect(text, file).toContain('Leerplein');
      expect(text, file).not.toMatch(/Noor\d|Beuk|ketenid\.nl/);
      if (file !== 'ouders.html') expect(text, file).toContain('niet bevestigd: werkt niet');
    }
    expect(unconfirmed['ouders.html']).toBe(first['ouders.html']);
    await at.operator.changeMandate({ mandateId, change: 'confirm' });
    const confirmed = await read();
    for (const file of Object.keys(first)) expect(confirmed[file], file).not.toBe(unconfirmed[file]);
    expect(confirmed['ouders.html']).toContain('Nieuwkomer');
    expect(confirmed['verwerkingsregister.md']).toContain('Verwerker: Leerlijst Groep.');
    await at.operator.changeMandate({ mandateId, change: 'stop' });
    expect((await read())['ouders.html']).toBe(first['ouders.html']);
  });

  test('a declaration that says nothing sensible is refused, not passed over', async () => {
    const right = readFileSync(processing, 'utf8');
    writeFileSync(processing, '{"subprocessors":[{"name":"X"}]}');
    expect(await codeOf(at.operator.showProcessing({ schoolOin: school }))).toBe('state.conflict');
    writeFileSync(processing, right);
    expect(await codeOf(at.operator.showProcessing({ schoolOin: newSchool() }))).toBe('state.missing');
    expect(await codeOf(at.operator.showProcessing({ schoolOin: newOin() }))).toBe('wire.invalid');
  });

  test('a breach names schools, how many different learners, attributes and since when, and what nobody knows', async () => {
    // Shown again: more answers, not more learners.
    for (let i = 0; i < 4; i++) await rosterOf(platform);
    const rows = await eventually(
      async () => (await at.operator.listReach({ partyOin: platform.oin })).rows,
      (found) => found.length === 2 && found.some(({ schoolOin, times }) => schoolOin === school && times >= 5n),
    );
    expect(rows.map(({ schoolOin }) => schoolOin)).toEqual([school, other].sort());
    const out = join(folder, 'breach');
    const { exit, json } = await cli('breach', '--party', platform.oin, '--out', out);
    expect(exit).toBe(0);
    const of = (oin: string) => json.schools.find(({ schoolOin }: { schoolOin: string }) => schoolOin === oin);
    expect(of(school)).toMatchObject({ learners: 12, staff: 0, uncountedDays: 0 });
    expect(of(other)).toMatchObject({ learners: 5 });
    expect(of(school).people).toBeGreaterThan(48);
    expect(json.attributes).toEqual(expect.arrayContaining(['call_name', 'eck_id', 'groups', 'year_group']));
    const text = readFileSync(join(out, `${school.slice(11, 15)}.md`), 'utf8');
    expect(text).toContain('ongeveer 12');
    expect(text).toContain('Roepnaam');
    expect(text).toContain('Wat deze bron niet kan zeggen');
    expect(readFileSync(join(out, 'samenvatting.md'), 'utf8')).toContain('Van 2 scholen');
    expect(
      readdirSync(out)
        .map((file) => readFileSync(join(out, file), 'utf8'))
        .join(),
    ).not.toMatch(/Noor\d|Beuk|ketenid\.nl/);
    // Of days in which nothing was given nothing is told.
    const none = await cli('breach', '--party', platform.oin, '--to', '2020-01-01', '--out', join(folder, 'none'));
    expect(none.json.schools).toEqual([]);
    expect((await cli('breach', '--party', newOin(), '--out', join(folder, 'nobody'))).json.error.code).toBe(
      'state.missing',
    );
  });
});

describe('stop', () => {
  test('a stop closes everything at once, parks what is under way, and renews pseudonyms; resume opens it in order', async () => {
    const receiver = await Receiver.open();
    try {
      const { webhookSecret } = await at.operator.addParty({
        party: {
          oin: platform.oin,
          name: 'Leerplein',
          roles: [Role.ROLE_PLATFORM],
          endpoints: [{ standard: 'webhook', url: receiver.url, fromMs: 0n }],
        },
      });
      receiver.secret = webhookSecret;
      const before = (await rosterOf(platform)).roster!.learners[0]!.ref!.eckId;
      expect(before).toMatch(/^urn:eduk:pw1-/);
      const token = await tokenOf(platform.clientId, platform.clientSecret);
      const watch = readUntil(
        at.as(`Bearer ${token}`).rosters.watchRosters({ schoolOin: school }),
        () => false,
        60_000,
      );
      const watched = watch.then(
        () => 'ended',
        (thrown: unknown) => (thrown instanceof Fault ? thrown.code : 'ended'),
      );
      const preview = await at.operator.previewStop({ oin: platform.oin });
      expect(preview).toMatchObject({
        schools: 2,
        active: 2,
        pairwiseSchools: 1,
        services: [SERVICE_ROSTER, SERVICE_RESULT],
      });
      expect(await codeOf(at.operator.stopParty({ oin: platform.oin, reason: 'has spaces' }))).toBe('wire.invalid');
      expect(await codeOf(at.operator.stopParty({ oin: newOin(), reason: 'case-1' }))).toBe('state.missing');
      expect(await codeOf(rosterOf(platform))).toBe('');

      // Without --yes nothing happens.
      const asked = await cli('party', 'stop', platform.oin, '--reason', 'breach-1');
      expect(asked.json).toMatchObject({ done: false, schools: 2, stopped: null });
      expect(await codeOf(rosterOf(platform))).toBe('');
      const done = await cli('party', 'stop', platform.oin, '--reason', 'breach-1', '--yes');
      const began = Date.now();
      expect(done.json).toMatchObject({ done: true, stopped: { reason: 'breach-1' } });
      expect(await codeOf(rosterOf(platform))).toBe('party.unknown');
      expect(await codeOf(rosterOf(at.as(`Bearer ${token}`) as TestParty))).toBe('party.unknown');
      await expect(tokenOf(platform.clientId, platform.clientSecret)).rejects.toThrow('invalid_client');
      expect(await watched).toBe('party.unknown');
      expect(Date.now() - began).toBeLessThan(CLOSED_MS + 5_000);
      // Another party and the school notice nothing, but that its mandates give nothing.
      expect(await codeOf(rosterOf(neighbour))).toBe('');
      const { mandates } = await at.operator.listMandates({ partyOin: platform.oin });
      expect(mandates.map(({ partyStopped }) => partyStopped)).toEqual([true, true]);
      const told = await at.operator.previewRelease({ partyOin: platform.oin, schoolOin: school });
      expect(told.services.flatMap(({ attributes }) => attributes.filter(({ given }) => given))).toEqual([]);
      // By the mandates that name the service, which stand: it is the operator who must act.
      const byService = new Map(mandates.filter((one) => one.schoolOin === school).map((one) => [one.mandateId, one]));
      expect(told.services.map(({ code }) => code)).toEqual(['mandate.suspended', 'mandate.suspended']);
      expect(told.services.flatMap(({ mandateIds }) => mandateIds)).toEqual([...byService.keys(), ...byService.keys()]);
      const order = await at.operator.previewRelease({
        partyOin: platform.oin,
        schoolOin: school,
        service: SERVICE_ORDER,
      });
      expect(order.services).toMatchObject([{ code: 'mandate.suspended', mandateIds: [] }]);
      expect(order.services[0]!.told).toContain('The operator has stopped this party');
      // Stopping twice is stopping once, for the same reason as the first time.
      const again = await at.operator.stopParty({ oin: platform.oin, reason: 'breach-2' });
      expect(again).toMatchObject({ unchanged: true, stopped: { reason: 'breach-1' } });

      // Secrets that would never work are not given: it gets others when it goes on.
      const renewed = await cli('party', 'secret', 'renew', platform.oin);
      expect(renewed.exit).not.toBe(0);
      expect(renewed.json.error).toMatchObject({ code: 'state.conflict' });
      expect(renewed.json.error.message).toContain('eduk party resume');

      // What is under way parks; the endpoint hears nothing.
      const heard = receiver.requests.length;
      await push(school, [...pupils(12), ...pupils(2, 50)]);
      await eventually(
        async () =>
          (await at.operator.listParked({ schoolOin: school })).rows.filter(
            ({ partyOin }) => partyOin === platform.oin,
          ),
        (rows) => rows.some(({ code }) => code === 'mandate.suspended'),
      );
      const { rows: parked } = await at.operator.listParked({ schoolOin: school });
      const codes = parked.filter(({ partyOin }) => partyOin === platform.oin).map(({ code }) => code);
      expect([...new Set(codes)]).toEqual(['mandate.suspended']);
      expect(receiver.requests.length).toBe(heard);
      // A restart changes nothing of it.
      await at.restart();
      las = { ...las, ...at.as(`Bearer ${las.apiKey}`) };
      neighbour = { ...neighbour, ...at.as(`Bearer ${neighbour.apiKey}`) };
      expect(await codeOf(at.as(`Bearer ${platform.apiKey}`).rosters.getRoster({ schoolOin: school }))).toBe(
        'party.unknown',
      );
      expect((await at.operator.listParties({ oin: platform.oin })).stopped).toMatchObject([{ reason: 'breach-1' }]);

      // What it would let go is told before, and after.
      const { going } = await at.operator.previewWithheld({ oin: platform.oin });
      expect(going).toMatchObject([{ standard: 'webhook', schools: 1 }]);
      expect(going[0]!.messages).toBeGreaterThan(0n);
      const { json } = await cli('party', 'resume', platform.oin);
      expect(json).toMatchObject({ resumed: true, going: [{ service: 'roster', standard: 'webhook' }] });
      expect(json.going[0].messages).toBeGreaterThan(0);
      expect(json.webhookSecret).toMatch(/^whsec_/);
      expect(json.webhookSecret).not.toBe(webhookSecret);
      receiver.secret = json.webhookSecret;
      platform = { ...platform, ...json, ...at.as(`Bearer ${json.apiKey}`) };
      const after = (await rosterOf(platform)).roster!.learners;
      expect(after).toHaveLength(14);
      expect(after[0]!.ref!.eckId).toMatch(/^urn:eduk:pw1r1-/);
      expect(after.map(({ ref }) => ref!.eckId.slice(-26))).not.toContain(before.slice(-26));
      // The secrets of before are nobody's.
      await expect(tokenOf(platform.clientId, 'x'.repeat(43))).rejects.toThrow('invalid_client');
      expect(await codeOf(rosterOf(at.as(`Bearer ${token}`) as TestParty))).toBe('party.unknown');
      // What waited comes, each pupil once.
      const joined = await eventually(
        async () => receiver.requests.length,
        (n) => n > heard,
      );
      expect(joined).toBeGreaterThan(heard);
      // Under another key than before.
      expect(receiver.requests.at(-1)!.keyId).not.toBe(receiver.requests[heard - 1]?.keyId);
      expect((await at.operator.resumeParty({ oin: platform.oin })).unchanged).toBe(true);
      expect(await codeOf(rosterOf(platform))).toBe('');
    } finally {
      await receiver.close();
    }
  });

  test('the log of what was done holds the stop, its end and each answer of a school', async () => {
    const { flowId } = await las.orders.placeOrder({
      reference: fresh('order'),
      orderId: fresh('order'),
      schoolOin: school,
      lines: [{ terms: { lineId: '1', productId: '9789000000019', quantity: 1 } }],
    });
    await las.audit.getReceipt({ receiptId: flowId, waitMs: 20_000n });
    const records = async (): Promise<AuditRecord[]> => {
      const { leaves } = await at.operator.readAuditLog({ limit: 2000 });
      return leaves.map(({ record }) => AuditRecord.decode(record));
    };
    // What is decided reaches the log by another stream than what was asked.
    await expect
      .poll(async () => (await records()).filter(({ method }) => method === 'PartyStandingChanged'), {
        timeout: 60_000,
      })
      .toMatchObject([
        { kind: AuditKind.AUDIT_KIND_MANDATE, partyOin: platform.oin, code: 'stopped' },
        { kind: AuditKind.AUDIT_KIND_MANDATE, partyOin: platform.oin, code: 'resumed' },
      ]);
    expect((await records()).some(({ method }) => method.endsWith('StopParty'))).toBe(true);
  });
});

/** An access token for a client; throws what the token endpoint says. */
async function tokenOf(clientId: string, secret: string): Promise<string> {
  const response = await fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: 'grant_type=client_credentials',
  });
  const said = (await response.json()) as { access_token?: string; error?: string };
  if (!said.access_token) throw new Error(said.error ?? 'no token');
  return said.access_token;
}
