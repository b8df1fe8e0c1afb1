import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createPage } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError, issueCertificate, issueRevocationList, readConsoleLink, schoolOin } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { commands } from './commands/index.ts';
import { refused } from './commands/start.ts';
import { eduk as main } from './main.ts';
import { Problem } from './problem.ts';
import { fakeGateway, NOW, Refusal, run } from './testing.ts';

const oin = '00000001000000000001';
const school = '0000000700001AB00000';
const done = { outcome: 'PartyRegistered', code: '', told: '' };
const party = {
  oin,
  name: 'Uitgever',
  roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM],
  endpoints: [{ standard: 'uwlr', url: 'https://a/' }],
  boardOin: '',
  sectors: [],
  attributes: [],
  requiresAcceptance: false,
};

const answers: Record<string, (request: any, token: string | undefined) => unknown> = {};
let gateway: Awaited<ReturnType<typeof fakeGateway>>;
const asked: Record<string, any> = {};
/** Answers with `said`, and keeps what was asked. */
const answer = (method: string, said: unknown) => {
  answers[method] = (request) => {
    asked[method] = request;
    return said;
  };
};
const eduk = (line: string | readonly string[], text?: string | Uint8Array) => run(line, gateway.env, text);

beforeAll(async () => {
  gateway = await fakeGateway(answers);
});
afterAll(() => gateway.stop());
beforeEach(() => {
  for (const key of Object.keys(answers)) delete answers[key];
  // No mail is kept of a party that gets an endpoint.
  answers['previewEndpoints'] = () => ({ kept: [], nowMs: BigInt(NOW) });
  // Nor is any withheld.
  answers['previewWithheld'] = () => ({ going: [] });
});

test('a listing of a school that is unknown says so, and not that there is nothing', async () => {
  const unknown = new Refusal('state.missing', 'This school is not known here.', [{ path: 'school_oin' }]);
  for (const [line, method] of [
    ['hold list', 'listHolds'],
    ['mandate list', 'listMandates'],
    ['mandate review', 'listReviews'],
    ['school forgets', 'listSchoolForgets'],
    ['school changes', 'listSchoolChanges'],
    ['preflight', 'showPreflight'],
    ['learner reveal list', 'listReveals'],
  ] as const) {
    answer(method, unknown);
    const { exit, out, err } = await eduk(`${line} --school ${school}`);
    expect([line, exit, out, err]).toEqual([line, 1, '', expect.stringContaining('This school is not known here.')]);
    expect(asked[method].schoolOin ?? asked[method].asked.schoolOin).toBe(school);
  }
});

describe('reconcile', () => {
  const reconciliation = {
    partyOin: oin,
    schoolOin: school,
    kind: 'entitlement',
    source: 'asked',
    lastMs: BigInt(NOW),
    counts: { ours: 12n, theirs: 11n, same: 8n, missing: 2n, surplus: 1n, differs: 1n, moving: 1n },
    kept: 4n,
  };
  const names = [{ oin, name: 'Leerplein' }];
  const lines = (of: object = {}, canBeAsked = true) => ({
    reconciliations: [{ reconciliation: { ...reconciliation, ...of }, canBeAsked, dueMs: 0n }],
    names,
  });
  const pair = `--party ${oin} --school ${school}`;

  test('run asks about each school that the party can be asked about', async () => {
    answer('listReconciliations', lines());
    answer('reconcile', { reconciliation });
    const { out, err, exit } = await eduk(`reconcile run --party ${oin}`);
    expect(exit).toBe(0);
    expect(asked['reconcile']).toMatchObject({ partyOin: oin, schoolOin: school });
    expect(out).toMatch(/Leerplein[\s\S]*differs\s+2\s+1\s+1\s+8/);
    expect(err).toContain('eduk reconcile mend');
    answer('listReconciliations', lines({}, false));
    expect((await eduk(`reconcile run --party ${oin} --json`)).json.error.code).toBe('state.missing');
  });

  test('who is unknown is said to be so, and nobody is asked', async () => {
    answer('listReconciliations', new Refusal('state.missing', 'No party has this OIN.', [{ path: 'party_oin' }]));
    delete asked['reconcile'];
    for (const command of [`run --party ${oin}`, `show --party ${oin}`, `mend ${pair}`])
      expect((await eduk(`reconcile ${command} --json`)).json.error).toMatchObject({
        code: 'state.missing',
        message: 'No party has this OIN.',
      });
    expect(asked['reconcile']).toBe(undefined);
  });

  test('show says how they stand, and with a party and a school what differs', async () => {
    answer('listReconciliations', lines());
    answer('listDifferences', {
      differences: [
        { key: 'e1', what: 'missing', ours: ['open', '9789000000019'], theirs: [], sinceMs: BigInt(NOW) },
        { key: 'x1', what: 'surplus', ours: [], theirs: ['open', ''], sinceMs: BigInt(NOW) },
      ],
    });
    const { out } = await eduk(`reconcile show ${pair}`);
    expect(out).toMatch(/e1\s+missing\s+open 9789000000019/);
    expect(out).toContain('And 2 more');
    const { json } = await eduk(`reconcile show ${pair} --json`);
    expect(json.reconciliations).toMatchObject([{ missing: 2, source: 'asked', code: null, canBeAsked: true }]);
    expect(json.differences).toMatchObject([
      { id: 'e1', here: { state: 'open', productId: '9789000000019' }, there: null },
      { id: 'x1', here: null, there: { state: 'open', productId: null } },
    ]);
    answer('listReconciliations', { reconciliations: [], names: [] });
    expect((await eduk('reconcile show')).out).toContain('Nothing was compared yet');
    for (const [of, word] of [
      [{ failures: 2, code: 'peer.refused' }, 'no answer:'],
      [{ begunMs: BigInt(NOW) }, 'under way'],
      [{ lastMs: 0n, counts: undefined }, 'not asked yet'],
      [{ counts: { same: 3n } }, 'equal'],
    ] as const) {
      answer('listReconciliations', lines(of));
      expect((await eduk('reconcile show --differing')).out).toContain(word);
    }
  });

  test('mend counts what sending again mends, and writes to the party what it must remove', async () => {
    answer('listReconciliations', lines());
    answer('previewReplay', { jobId: 'job', decision: done });
    const job = {
      jobId: 'job',
      selection: { partyOin: oin, reconciled: 'entitlement', again: true },
      state: 'counted',
    };
    answer('watchReplay', { replay: { ...job, selected: 4n, had: 4n, toSend: 4n } });
    const { out, err, exit } = await eduk(`reconcile mend ${pair}`);
    expect(exit).toBe(0);
    expect(asked['previewReplay'].selection).toMatchObject({
      partyOin: oin,
      schoolOin: school,
      reconciled: 'entitlement',
    });
    expect(out.replaceAll(/\s+/g, ' ')).toContain('you have 1 entitlement that the gateway does not have of you');
    expect(err).toContain('eduk replay run job');
    const { json } = await eduk(`reconcile mend ${pair} --json`);
    expect(json).toMatchObject({ reconciliation: { missing: 2 }, replay: { toSend: 4 }, message: expect.any(String) });
    answer('watchReplay', { replay: job });
    expect((await eduk(`reconcile mend ${pair}`)).err).toContain('ListEntitlements');
    answer('listReconciliations', lines({ counts: { surplus: 1n } }));
    expect((await eduk(`reconcile mend ${pair}`)).err).toContain('the party removes it itself');
    answer('listReconciliations', lines({ lastMs: 0n }));
    expect((await eduk(`reconcile mend ${pair} --json`)).json.error.code).toBe('state.missing');
  });
});

describe('flow rebuild', () => {
  const rebuild = {
    state: 'done',
    permille: 1000,
    records: 5_000n,
    flows: 1_200n,
    older: 90n,
    missing: 1n,
    surplus: 1n,
    differs: 2n,
    mended: 0n,
    left: 0n,
    unreadable: 0n,
    keptFromMs: BigInt(NOW - 2 * 86_400_000),
    differences: [{ flowId: '01a206e7-fe49-72dd-9a63-0f92d265dea4', what: 'differs', columns: ['answered', 'steps'] }],
    columns: [{ column: 'answered', flows: 2n }],
  };

  test('says what differs by kind, column and id, and changes nothing unless asked', async () => {
    answer('rebuildFlows', { rebuild });
    const { out, err, exit } = await eduk('flow rebuild');
    expect(exit).toBe(1);
    expect(asked['rebuildFlows']).toMatchObject({ mend: false });
    for (const words of [
      /missing\s+1/,
      /otherwise\s+2/,
      /as the log has them\s+1196/,
      /answered\s+2/,
      /dea4\s+differs/,
      /Totals/,
    ])
      expect(out).toMatch(words);
    expect(err).toContain('eduk flow rebuild --mend');
    expect((await eduk('flow rebuild --check --json')).json).toMatchObject({
      mend: false,
      same: 1196,
      older: 90,
      columns: { answered: 2 },
      differences: [{ what: 'differs', columns: ['answered', 'steps'] }],
    });
  });

  test('mends where asked; what was left is told, and nothing that differs is said so', async () => {
    answer('rebuildFlows', { rebuild: { ...rebuild, mended: 4n } });
    const { exit, err } = await eduk('flow rebuild --mend');
    expect([exit, asked['rebuildFlows'].mend]).toEqual([0, true]);
    expect(err).toContain('4 flows put right');
    answer('rebuildFlows', { rebuild: { ...rebuild, mended: 3n, left: 1n } });
    expect((await eduk('flow rebuild --mend')).exit).toBe(1);
    answer('rebuildFlows', {
      rebuild: { ...rebuild, missing: 0n, surplus: 0n, differs: 0n, columns: [], differences: [] },
    });
    const right = await eduk('flow rebuild');
    expect([right.exit, right.err]).toEqual([0, expect.stringContaining('as the log has it')]);
    expect((await eduk('flow rebuild --check --mend')).exit).toBe(2);
  });

  test('a stream that ends before its end is no answer; a terminal has a bar', async () => {
    answer('rebuildFlows', { rebuild: { ...rebuild, state: 'comparing', permille: 500 } });
    expect((await eduk('flow rebuild --json')).json.error.code).toBe('peer.unavailable');
    const { err } = await run('flow rebuild', gateway.env, '', true);
    expect(err).toMatch(/\[#+-+\] 50 % {2}of the flows compared/);
  });
});

describe('replay', () => {
  const job = {
    jobId: '01a206e7-fe49-72dd-9a63-0f92d265dea4',
    selection: { partyOin: oin, service: 3, again: true, fromMs: 1n },
    state: 'counted',
    keptFromMs: BigInt(NOW - 86_400_000),
    selected: 120n,
    fresh: 10n,
    had: 90n,
    outOfOrder: 5n,
    pending: 3n,
    forbidden: [{ reason: 'mandate.missing', messages: 12n }],
    toSend: 100n,
  };

  test('the preview says what would be sent, what not and why, and how it is begun', async () => {
    answer('previewReplay', { jobId: job.jobId, decision: done });
    answer('watchReplay', { replay: job });
    const line = `replay preview --party ${oin} --service entitlement --school ${school} --again --event EntitlementGranted --from 2026-11-01`;
    const { out, err, exit } = await eduk(line);
    expect(exit).toBe(0);
    expect(asked['previewReplay'].selection).toMatchObject({
      partyOin: oin,
      service: 3,
      schoolOin: school,
      again: true,
      outOfOrder: false,
      types: ['EntitlementGranted'],
      fromMs: BigInt(Date.parse('2026-11-01T00:00:00+01:00')),
    });
    expect(asked['watchReplay']).toMatchObject({ jobId: job.jobId });
    for (const words of [
      /does not have\s+10\s+sent/,
      /would change nothing\s+90\s+sent again/,
      /--out-of-order sends/,
      /no mandate allows it now\s+12\s+not sent/,
      /of what was before, nothing can be\s+sent/,
    ])
      expect(out).toMatch(words);
    expect(err).toContain(`eduk replay run ${job.jobId}`);
    expect(err).toContain('cannot be undone');
    const { json } = await eduk(`${line} --json`);
    expect(json).toMatchObject({ jobId: job.jobId, toSend: 100, had: 90, forbidden: { 'mandate.missing': 12 } });
    for (const from of ['gisteren', '2026-13-40', '2026-02-30', '2026-02-30T08:30:00Z'])
      expect((await eduk(`replay preview --party ${oin} --from ${from}`)).exit, from).toBe(2);
  });

  test('run follows it to its end, and says what cannot be undone', async () => {
    const ran = { ...job, rate: 20, mostErrors: 3, startedMs: BigInt(NOW), released: 60n };
    answer('runReplay', { replay: { ...ran, state: 'running' }, decision: done });
    answer('watchReplay', {
      replay: { ...ran, state: 'stopped', cause: 'errors', sent: 40n, errors: 4n, setBack: 15n, underWay: 5n },
    });
    const { out, exit } = await eduk(`replay run ${job.jobId} --rate 20 --errors 3`);
    expect(asked['runReplay']).toMatchObject({ jobId: job.jobId, rate: 20, mostErrors: 3, confirm: false });
    expect(exit).toBe(1);
    for (const words of [
      'too many requests failed',
      '40 of 100, which cannot be undone',
      '5, which may',
      '15, which never left',
    ])
      expect(out).toContain(words);
    const shown = await run(`replay run ${job.jobId}`, gateway.env, '', true);
    expect(asked['runReplay'].mostErrors).toBeUndefined();
    expect(shown.err).toMatch(/\[#+-+\] 40 % {2}40 of 100 sent, 4 failures/);
    answer('watchReplay', {
      replay: { ...job, state: 'waiting', cause: 'parked', startedMs: BigInt(NOW), parked: 7n },
    });
    const waits = await eduk(`replay run ${job.jobId}`);
    expect(waits.exit).toBe(1);
    expect(waits.out.replace(/\s+/g, ' ')).toContain(
      'waits for keys that are parked, 7 messages of it: eduk dead retry --party',
    );
  });

  test('a second person is asked for', async () => {
    answer('runReplay', { replay: { ...job, state: 'asked' }, decision: done });
    const { json, exit } = await eduk(`replay run ${job.jobId} --json`);
    expect([exit, json.error.code]).toEqual([1, 'hold.pending']);
  });

  test('stop and status', async () => {
    answer('stopReplay', { replay: { ...job, state: 'stopped', cause: 'operator', sent: 7n }, decision: done });
    expect((await eduk(`replay stop ${job.jobId}`)).out).toContain('7 of 100, which cannot be undone');
    answer('listReplays', { replays: [job], names: [{ oin, name: 'Uitgever' }] });
    expect((await eduk('replay status')).out).toMatch(/Uitgever[\s\S]*counted\s+0 of 100/);
    expect((await eduk(`replay status ${job.jobId}`)).out).toContain('no mandate allows it now');
    answer('listReplays', { replays: [], names: [] });
    expect((await eduk('replay status')).out).toContain('Nothing was sent again');
    expect((await eduk(`replay status ${job.jobId}`)).exit).toBe(1);
  });
});

describe('alerts', () => {
  const standing = {
    alert: {
      code: 'endpoint.failing',
      partyOin: oin,
      schoolOin: '',
      subject: 'webhook',
      grade: 'warn',
      count: 0n,
      sinceMs: 0n,
      patienceMs: 0n,
    },
    openedMs: BigInt(NOW - 600_000),
    toldMs: 0n,
    failures: 2,
    nl: 'Het adres neemt niets aan.',
    en: 'The address takes nothing.',
    who: 'party',
    see: 'eduk dead list',
  };
  test('are listed with whom they are of, since when, who must act and what to do', async () => {
    answer('listAlerts', { alerts: [standing], names: [{ oin, name: 'Uitgever' }], channels: ['mail'] });
    const { out, err, exit } = await eduk('alert list');
    expect(exit).toBe(0);
    for (const words of [
      'Uitgever, webhook',
      '10 min',
      'failed 2 times',
      'The address takes nothing.',
      'the party',
      'eduk dead list',
    ])
      expect(out).toContain(words);
    expect(err).toContain('Told by mail.');
    const { json } = await eduk('alert list --json');
    expect(json).toMatchObject({
      alerts: [
        { code: 'endpoint.failing', partyName: 'Uitgever', since: new Date(NOW - 600_000).toISOString(), told: null },
      ],
      channels: ['mail'],
    });
  });
  test('that are none are said to be none, and that nobody is told', async () => {
    answer('listAlerts', { alerts: [], names: [], channels: [] });
    const { out, err } = await eduk('alert list');
    expect(out).toContain('Nothing stands in the way.');
    expect(err).toContain('EDUK_ALERT_WEBHOOK');
  });
  test('stand in the doctor’s list too, with how many, and where nobody takes them', async () => {
    const checkOf = async (said: object) => {
      answer('status', {});
      answer('listAlerts', said);
      const { json } = await eduk('doctor --json');
      return (json.checks as { name: string; state: string; says: string }[]).find(({ name }) => name === 'alerts');
    };
    expect(await checkOf({ alerts: [], channels: ['mail'] })).toMatchObject({
      state: 'ok',
      says: 'nothing stands in the way; told by mail',
    });
    expect((await checkOf({ alerts: [], channels: [] }))!.says).toBe(
      'nothing stands in the way; told to nobody: EDUK_ALERT_WEBHOOK and EDUK_ALERT_MAIL are not set',
    );
    const paging = { ...standing, alert: { ...standing.alert, code: 'disk.little', grade: 'page' } };
    expect(await checkOf({ alerts: [paging, standing, standing], channels: ['mail'] })).toMatchObject({
      state: 'warn',
      says: '3 alerts: disk.little, 2 × endpoint.failing; see eduk alert list; 3 could not be told: see eduk alert test',
    });
  });
  test('are tried: what each place answered, and exit 1 where one did not take it or there is none', async () => {
    answer('testAlerts', { channels: [{ channel: 'mail', code: '', status: 250 }] });
    expect((await eduk('alert test')).exit).toBe(0);
    answer('testAlerts', {
      channels: [
        { channel: 'webhook', code: 'peer.refused', status: 503 },
        { channel: 'mail', code: '', status: 250 },
      ],
    });
    const { out, exit } = await eduk('alert test');
    expect(exit).toBe(1);
    expect(out).toContain('peer.refused (503)');
    answer('testAlerts', { channels: [] });
    expect((await eduk('alert test')).exit).toBe(1);
  });
});

describe('school export', () => {
  test('names a whole path, and tells files and what is left out', async () => {
    answers['exportSchool'] = ([request]: any[]) => {
      asked['exportSchool'] = request;
      return {
        files: [
          { name: 'personen.csv', rows: 12n, bytes: 2048n },
          { name: 'LEESMIJ.txt', rows: 0n, bytes: 900n },
        ],
        forgetting: 2n,
        losses: 1n,
      };
    };
    const { exit, json } = await eduk('school export --school 01ab --out mee --json');
    expect(asked['exportSchool']).toMatchObject({ schoolOin: school, folder: resolve('mee') });
    expect([exit, json.leftOut]).toEqual([0, { forgetting: 2, edexml: 1 }]);
    expect(json.files[0]).toEqual({ name: 'personen.csv', rows: 12, bytes: 2048 });
    const said = await eduk('school export --school 01ab --out mee');
    expect(said.out).toMatch(/personen\.csv +12 rows[\s\S]*wait to be forgotten +2, left out/);
    expect(said.err).toContain('hand it over encrypted');
  });
});

describe('party', () => {
  const secrets = {
    clientId: 'eduk-1',
    clientSecret: 's',
    apiKey: 'eduk_key_1',
    klantcode: oin,
    klantnaam: 'Uitgever',
    flowId: 'f',
    decision: done,
  };
  const add = `party add --oin ${oin} --name Uitgever --role publisher,platform --endpoint uwlr=https://a/ --json`;

  test('add prints the secrets in the shape that others build on', async () => {
    answer('addParty', { party, existed: false, ...secrets });
    const { exit, json, out } = await eduk(add);
    expect(json).toEqual({
      oin,
      clientId: 'eduk-1',
      clientSecret: 's',
      apiKey: 'eduk_key_1',
      certificate: null,
      privateKey: null,
      uwlr: { klantcode: oin, klantnaam: 'Uitgever' },
    });
    expect(Object.keys(json)).toEqual([
      'oin',
      'clientId',
      'clientSecret',
      'apiKey',
      'certificate',
      'privateKey',
      'uwlr',
    ]);
    expect(out.trim().split('\n')).toHaveLength(1);
    expect(exit).toBe(0);
    expect(asked['addParty'].party).toEqual(party);
  });

  test('add says how much an endpoint takes, and show tells it', async () => {
    answer('addParty', { party, existed: false, ...secrets });
    await eduk(`${add} --endpoint-limit uwlr=4/20`);
    const endpoints = [{ standard: 'uwlr', url: 'https://a/', maxInFlight: 4, maxPerSecond: 20 }];
    expect(asked['addParty'].party.endpoints).toEqual(endpoints);
    for (const wrong of ['uwlr', 'uwlr=x', 'uwlr=1/', 'webhook=1'])
      expect([wrong, (await eduk(`${add} --endpoint-limit ${wrong}`)).exit]).toEqual([wrong, 2]);
    answer('listParties', { parties: [{ ...party, endpoints }] });
    answer('listMandates', { mandates: [], names: [] });
    expect((await eduk(`party show ${oin}`)).out).toContain('https://a/, 4 at once, 20 a second');
    expect((await eduk(`party show ${oin} --json`)).json.endpoints).toEqual(endpoints);
  });

  test('add with a webhook prints its secret, and null where the address was registered before', async () => {
    answer('addParty', { party, existed: false, ...secrets, webhookSecret: 'whsec_AA==' });
    const hook = add.replace('uwlr=https://a/', 'webhook=https://a/');
    expect((await eduk(hook)).json).toMatchObject({ webhookSecret: 'whsec_AA==' });
    expect((await eduk(hook.replace(' --json', ''))).out).toContain('whsec_AA==');
    answer('addParty', { party, existed: true, ...secrets });
    expect((await eduk(hook)).json).toMatchObject({ webhookSecret: null });
  });

  test('add with an address for one service prints its secret; none is one too, and what there is not is said', async () => {
    const serviceWebhookSecrets = [{ standard: 'webhook-order', secret: 'whsec_BB==' }];
    answer('addParty', { party, existed: false, ...secrets, serviceWebhookSecrets });
    const own = add.replace('uwlr=https://a/', 'webhook-order=https://a/,webhook-roster=none');
    expect((await eduk(own)).json).toMatchObject({ serviceWebhookSecrets: { 'webhook-order': 'whsec_BB==' } });
    expect(asked['addParty'].party.endpoints).toEqual([
      { standard: 'webhook-order', url: 'https://a/' },
      { standard: 'webhook-roster', url: 'none' },
    ]);
    expect((await eduk(own.replace(' --json', ''))).out).toContain('webhook-order secret  whsec_BB==');
    const plain = add.replace(' --json', '');
    const wrong = await eduk(plain.replace('uwlr=', 'webhook-orders='));
    expect([wrong.exit, wrong.err]).toEqual([2, expect.stringContaining('webhook-order')]);
    expect((await eduk(plain.replace('uwlr=https://a/', 'webhook=none'))).err).toContain('party endpoint remove');
    answer('listParties', { parties: [{ ...party, endpoints: [{ standard: 'webhook-roster', url: 'none' }] }] });
    answer('listMandates', { mandates: [], names: [] });
    expect((await eduk(`party show ${oin}`)).out).toContain('not sent: it is watched');
  });

  test('add tells what is kept before any of it is sent, and takes a choice', async () => {
    const hook = add.replace('uwlr=https://a/', 'webhook=https://a/');
    const kept = [
      { service: 2, standard: 'webhook', messages: 1200n, left: 0n, more: true, oldestMs: BigInt(NOW - 86_400_000) },
      { service: 5, standard: 'webhook', messages: 3n, left: 0n, more: false, oldestMs: BigInt(NOW) },
    ];
    answer('addParty', { party, existed: true, ...secrets });
    answer('previewEndpoints', { kept, nowMs: BigInt(NOW) });
    delete asked['addParty'];
    const open = await eduk(hook.replace(' --json', ''));
    expect(open.exit).toBe(2);
    expect(open.err.replaceAll('\n', ' ')).toMatch(
      /about 1200 of order, 3 of result; the oldest of .*--from kept .*--from now/,
    );
    expect(asked['addParty']).toBeUndefined();
    const fromOf = () => asked['addParty'].party.endpoints.map(({ fromMs }: { fromMs: bigint }) => fromMs);
    const sent = await eduk(`${hook} --from kept`);
    expect([sent.exit, fromOf(), sent.json.kept[0]]).toEqual([
      0,
      [0n],
      { service: 'order', standard: 'webhook', messages: 1200, notSent: 0, more: true, oldest: expect.any(String) },
    ]);
    answer('previewEndpoints', { kept: kept.map((one) => ({ ...one, left: one.messages })), nowMs: BigInt(NOW) });
    expect((await eduk(`${hook} --from now`)).err).toContain('1203 messages stay in the mailbox');
    expect(fromOf()).toEqual([BigInt(NOW)]);
    await eduk(`${hook} --from 2026-08-17T08:00:00Z`);
    expect(fromOf()).toEqual([BigInt(Date.parse('2026-08-17T08:00:00Z'))]);
    expect((await eduk(`${hook.replace(' --json', '')} --from later`)).err).toContain('must be kept or now, or a day');
    // Nothing kept, and nothing is asked.
    answer('previewEndpoints', { kept: [], nowMs: BigInt(NOW) });
    expect((await eduk(hook)).exit).toBe(0);
    expect(fromOf()).toEqual([undefined]);
  });

  test('another address: add says what of before goes there, asks on a terminal, and --preview changes nothing', async () => {
    const hook = add.replace('uwlr=https://a/', 'webhook=https://b/');
    const going = [
      { ...{ service: 2, standard: 'webhook', messages: 40n, staying: 3n }, oldestMs: BigInt(NOW - 86_400_000) },
      { service: 5, standard: 'webhook', messages: 1n, oldestMs: BigInt(NOW) },
    ];
    answer('addParty', { party, existed: true, ...secrets, going });
    answer('previewEndpoints', { kept: [], going, nowMs: BigInt(NOW) });
    delete asked['addParty'];
    const preview = await eduk(`${hook.replace(' --json', '')} --preview`);
    expect([preview.exit, preview.out]).toEqual([0, expect.stringMatching(/order\s+webhook\s+40\s+3/)]);
    expect(preview.err).toContain('Nothing was changed.');
    expect((await eduk(`${hook} --preview`)).json).toMatchObject({
      kept: [],
      going: [{ messages: 40 }, { staying: 0 }],
    });
    // Who types is asked; a script is told.
    const typed = (text: string, more = '') =>
      run(`${hook.replace(' --json', '')}${more}`, gateway.env, text, false, true);
    const no = await typed('no\n');
    expect([no.exit, no.err]).toEqual([
      2,
      expect.stringMatching(/order\s+webhook\s+40\s+3[\s\S]*Go on\?[\s\S]*Nothing was/),
    ]);
    expect(asked['addParty']).toBe(undefined);
    expect((await typed('yes\n')).exit).toBe(0);
    expect((await typed('', ' --yes')).exit).toBe(0);
    const script = await eduk(hook);
    expect([script.exit, script.json.going[0]]).toEqual([
      0,
      { service: 'order', standard: 'webhook', messages: 40, staying: 3, more: false, oldest: expect.any(String) },
    ]);
    expect(script.err.replaceAll('\n', ' ')).toMatch(
      /To the address that stands now: 41 messages of before, and 3 messages that are parked .*the oldest of/,
    );
    // Nothing goes elsewhere, and nobody is asked.
    answer('previewEndpoints', { kept: [], nowMs: BigInt(NOW) });
    answer('addParty', { party, existed: true, ...secrets });
    const none = await typed('');
    expect([none.exit, none.err]).toEqual([0, expect.not.stringContaining('Go on')]);
    answer('previewEndpoints', { kept: [], going, nowMs: BigInt(NOW) });
    delete asked['removeEndpoint'];
    expect((await eduk(`party endpoint remove --oin ${oin} --standard webhook-order --preview`)).out).toContain('40');
    expect(asked['removeEndpoint']).toBe(undefined);
    answer('removeEndpoint', { party, going, decision: { outcome: 'PartyRegistered' } });
    expect((await eduk(`party endpoint remove --oin ${oin} --standard webhook-order`)).err).toContain('41 messages');
  });

  test('what is withheld is told before a mandate holds or a party goes on, and said afterwards', async () => {
    const going = [{ service: 2, standard: 'webhook', messages: 7n, oldestMs: BigInt(NOW), schools: 2 }];
    answer('previewWithheld', { going });
    answer('changeMandate', {
      state: MandateState.MANDATE_STATE_ACTIVE,
      decision: { outcome: 'MandateChanged' },
      going,
    });
    answer('resumeParty', { decision: { outcome: 'PartyStandingChanged' }, clientId: 'c', going });
    for (const method of ['changeMandate', 'resumeParty']) delete asked[method];
    for (const [line, of] of [
      ['mandate confirm m-1', { mandateId: 'm-1', change: 'confirm', oin: '' }],
      ['mandate accept m-1', { mandateId: 'm-1', change: 'accept', oin: '' }],
      [`party resume ${oin}`, { mandateId: '', oin }],
    ] as const) {
      expect((await eduk(`${line} --preview`)).out).toMatch(/order\s+webhook\s+7\s+2/);
      expect(asked['previewWithheld']).toMatchObject(of);
      const no = await run(line, gateway.env, 'no\n', false, true);
      expect([no.exit, no.err]).toEqual([2, expect.stringContaining('Go on?')]);
    }
    expect([asked['changeMandate'], asked['resumeParty']]).toEqual([undefined, undefined]);
    for (const line of ['mandate confirm m-1', `party resume ${oin}`]) {
      expect((await run(line, gateway.env, 'yes\n', false, true)).exit).toBe(0);
      expect((await eduk(line)).err).toContain('Let go, in order: 7 messages of before; the oldest of');
      expect((await eduk(`${line} --json`)).json).toMatchObject({ going: [{ messages: 7, schools: 2 }] });
    }
    // Who keeps it is away: that is said, and keeps nobody from it.
    answer('previewWithheld', new Refusal('peer.unavailable', 'It does not answer.'));
    for (const [method, line] of [
      ['changeMandate', 'mandate confirm m-1'],
      ['resumeParty', `party resume ${oin}`],
    ] as const) {
      expect((await eduk(`${line} --preview --json`)).json.error.code).toBe('peer.unavailable');
      const unseen = { decision: { outcome: 'Changed' }, clientId: 'c', state: MandateState.MANDATE_STATE_ACTIVE };
      answer(method, { ...unseen, uncounted: true });
      const on = await run(line, gateway.env, 'yes\n', false, true);
      expect([on.exit, on.err]).toEqual([0, expect.stringMatching(/could not be counted[\s\S]*Go on\?/)]);
      expect((await eduk(line)).err).toContain('could not be counted');
      expect((await eduk(`${line} --json`)).json.uncounted).toBe(true);
    }
    answer('previewWithheld', { going: [], unconfirmed: true });
    expect((await eduk('mandate confirm m-1 --preview')).err).toContain('school and party both');
  });

  test('add of a party that exists prints null for secrets, and says so beside it', async () => {
    answer('addParty', { party, existed: true, ...secrets, clientSecret: '', apiKey: '' });
    const { exit, json, err } = await eduk(add);
    expect(json).toMatchObject({ clientId: 'eduk-1', clientSecret: null, apiKey: null, certificate: null });
    expect(err).toContain('registered already');
    expect(exit).toBe(0);
  });

  test('add of a party that was refused by its decision is a refusal', async () => {
    answer('addParty', {
      party,
      existed: false,
      ...secrets,
      decision: { outcome: 'PartyRefused', code: 'state.conflict', told: 'Another board.' },
    });
    expect((await eduk(add)).json).toEqual({
      error: { code: 'state.conflict', message: 'Another board.', who: 'sender' },
    });
  });

  test('add takes what a party declares, and endpoint remove says what is left', async () => {
    answer('addParty', { party, existed: false, ...secrets });
    await eduk(`${add} --attributes eck_id,groups`);
    expect(asked['addParty'].party.attributes).toEqual(['eck_id', 'groups']);
    answer('removeEndpoint', { party: { ...party, endpoints: [] }, flowId: 'f', decision: done });
    const remove = `party endpoint remove --oin ${oin} --standard uwlr`;
    expect((await eduk(`${remove} --json`)).json).toEqual({ oin, endpoints: [] });
    expect(asked['removeEndpoint']).toEqual({ oin, standard: 'uwlr' });
    expect((await eduk(remove)).out).toBe('It has no endpoint any more.\n');
    answer('removeEndpoint', { party, flowId: 'f', decision: done });
    expect((await eduk(remove)).out).toBe('uwlr  https://a/\n');
    expect((await eduk('party endpoint')).exit).toBe(2);
    expect((await eduk('party endpoint lose')).err).toContain('did you mean party endpoint remove?');
  });

  test('secret renew prints the new ones, and until when the old hold', async () => {
    const renewed = { clientId: 'eduk-1', clientSecret: 's', apiKey: 'eduk_key_2', flowId: 'f', decision: done };
    answer('renewSecret', { ...renewed, beforeUntilMs: BigInt(NOW) });
    expect((await eduk(`party secret renew ${oin} --json`)).json).toEqual({
      oin,
      clientId: 'eduk-1',
      clientSecret: 's',
      apiKey: 'eduk_key_2',
      oldUntil: new Date(NOW).toISOString(),
    });
    expect(asked['renewSecret']).toEqual({ oin, overlapS: 86_400, webhooks: false });
    answer('renewSecret', { ...renewed, beforeUntilMs: 0n });
    expect((await eduk(`party secret renew ${oin} --overlap 0`)).out).toMatch(/old ones hold +no longer/);
    expect(asked['renewSecret'].overlapS).toBe(0);
    // A secret that exists in this answer only is printed although its decision is still to come.
    answer('renewSecret', { ...renewed, beforeUntilMs: BigInt(NOW), webhookSecret: 'whsec_new' });
    expect((await eduk(`party secret renew ${oin} --webhooks --json`)).json).toEqual({
      ...{ oin, webhookSecret: 'whsec_new', mandatesWebhookSecret: null, holdingsSecret: null },
      oldUntil: new Date(NOW).toISOString(),
    });
    expect(asked['renewSecret'].webhooks).toBe(true);
    answer('renewSecret', { ...renewed, beforeUntilMs: 0n, decision: undefined });
    const undecided = await eduk(`party secret renew ${oin}`);
    expect([undecided.exit, undecided.out.includes('eduk_key_2'), undecided.err.includes('flow show f')]).toEqual([
      0,
      true,
      true,
    ]);
    for (const wrong of ['12', `${oin} --overlap 721`, `${oin} --overlap -1`])
      expect((await eduk(`party secret renew ${wrong}`)).exit).toBe(2);
  });

  test('signin takes numbers of an organisation, or none', async () => {
    answer('setSignIn', { numbers: [], flowId: 'f', decision: done });
    const numbers = ['kvk:11111111', 'kvk:11111111/000012345678', 'rsin:123456782', `oin:${oin}`, 'brin:99AA'];
    const flags = `--kvk 11111111,11111111/000012345678 --rsin 123456782 --by-oin ${oin} --brin 99AA`;
    expect((await eduk(`party signin ${oin} ${flags} --json`)).json).toEqual({ oin, signIn: numbers });
    expect(asked['setSignIn']).toEqual({ oin, numbers });
    expect((await eduk(`party signin ${oin} --none`)).out).toBe('Nobody signs in for it any more.\n');
    expect(asked['setSignIn']).toEqual({ oin, numbers: [] });
    for (const wrong of [
      '',
      '--none --kvk 11111111',
      '--kvk 1111111',
      '--kvk 11111111/1',
      '--rsin 12345678',
      '--brin 9AA',
    ])
      expect([wrong, (await eduk(`party signin ${oin} ${wrong}`)).exit]).toEqual([wrong, 2]);
    answer('setSignIn', { flowId: 'f', decision: { outcome: '', code: '', told: '' } });
    expect((await eduk(`party signin ${oin} --none`)).err).toContain('flow show f');
  });

  test('keys takes an address or a file', async () => {
    answer('setKeys', { clientId: 'eduk-1', flowId: 'f', decision: done });
    const jwks = 'https://keys.example/jwks.json';
    expect((await eduk(`party keys ${oin} --jwks ${jwks} --json`)).json).toEqual({ oin, clientId: 'eduk-1', jwks });
    expect([asked['setKeys'].oin, asked['setKeys'].jwksUrl, asked['setKeys'].jwks.length]).toEqual([oin, jwks, 0]);
    const file = join(gateway.data, 'jwks.json');
    writeFileSync(file, '{"keys":[]}');
    expect((await eduk(['party', 'keys', oin, '--jwks', file])).out).toContain('as in the file');
    expect(asked['setKeys'].jwksUrl).toBe('');
    expect(Buffer.from(asked['setKeys'].jwks).toString()).toBe('{"keys":[]}');
    expect((await eduk(['party', 'keys', oin, '--jwks', `${file}.gone`])).exit).toBe(2);
    answer('setKeys', { decision: { outcome: '', code: 'wire.invalid', told: 'The set of keys holds no keys.' } });
    expect((await eduk(['party', 'keys', oin, '--jwks', file])).exit).toBe(1);
  });

  test('list and show read well, and in JSON use words', async () => {
    answer('listParties', { parties: [party] });
    answer('listMandates', { mandates: [] });
    expect((await eduk('party list --json')).json).toEqual([
      {
        oin,
        name: 'Uitgever',
        roles: ['publisher', 'platform'],
        endpoints: [{ standard: 'uwlr', url: 'https://a/' }],
        boardOin: null,
        sectors: [],
        attributes: [],
        requiresAcceptance: false,
        stopped: null,
      },
    ]);
    expect((await eduk('party list')).out).toBe(
      `OIN                   NAME      ROLES\n${oin}  Uitgever  publisher, platform\n`,
    );
    const stopped = [{ oin, sinceMs: BigInt(NOW), reason: 'breach-1' }];
    answer('listParties', { parties: [party], stopped });
    expect((await eduk('party list --json')).json).toMatchObject([{ oin, stopped: { reason: 'breach-1' } }]);
    expect((await eduk('party list')).out.replaceAll(/\s+/g, ' ')).toMatch(/stopped since .* \(breach-1\)/);
    answer('status', {});
    answer('listParked', {});
    const checked = (await eduk('doctor --json')).json.checks as { name: string; state: string; says: string }[];
    const check = checked.find(({ name }) => name === 'stopped parties');
    expect(check).toMatchObject({ state: 'warn' });
    expect(check!.says).toContain(oin);
    answer('listParties', { parties: [party] });
    expect((await eduk(`party show ${oin}`)).out).toContain('https://a/');
    // Of a school, what it sent of each site.
    const site = { learners: 5, seenMs: BigInt(NOW), madeMs: 0n, byOin: oin, administration: '' };
    const sites = [
      { ...site, siteCode: '', endedMs: BigInt(NOW) },
      { ...site, siteCode: '01', administration: '00002', endedMs: 0n },
    ];
    answer('listParties', { parties: [{ ...party, oin: school, roles: [Role.ROLE_SCHOOL] }] });
    answer('listSites', { years: [{ schoolOin: school, schoolYear: '2026-2027', sites }] });
    const shown = await eduk(`party show ${school}`);
    expect(shown.out).toMatch(/2026-2027 +whole school +5 +2026-11-22 08:30:00 +replaced 2026-11-22/);
    expect(shown.out).toMatch(/2026-2027 +01 +00002 +5/);
    expect((await eduk(`party show ${school} --json`)).json.sites[1]).toEqual({
      schoolYear: '2026-2027',
      siteCode: '01',
      administration: '00002',
      learners: 5,
      lastSeen: '2026-11-22T07:30:00.000Z',
      madeAt: null,
      byOin: oin,
      replacedAt: null,
    });
    expect((await eduk('party show 01ab')).out).toContain(school);
    const keys = [
      { kid: 'k-1', alg: 'ES256', kty: 'EC', untilMs: BigInt(NOW) },
      { kid: '', alg: '', kty: 'OKP', untilMs: 0n },
    ];
    const proofs = { clientId: 'eduk-1', hasSecret: true, beforeUntilMs: BigInt(NOW), jwksUrl: '', keys };
    answer('listParties', { parties: [party], proofs });
    const { out } = await eduk(`party show ${oin}`);
    expect(out).toMatch(/client secret +given; the one before holds until 2026-11-22 08:30:00/);
    expect(out).toMatch(/signs with +k-1, ES256, until 2026-11-22 08:30:00\n +a key without name, OKP\n/);
    expect((await eduk(`party show ${oin} --json`)).json.proofs).toEqual({
      clientId: 'eduk-1',
      secret: true,
      oldSecretUntil: '2026-11-22T07:30:00.000Z',
      jwksUrl: null,
      keys: [
        { kid: 'k-1', alg: 'ES256', kty: 'EC', until: '2026-11-22T07:30:00.000Z' },
        { kid: null, alg: null, kty: 'OKP', until: null },
      ],
    });
    answer('listParties', { parties: [] });
    expect(await eduk(`party show ${oin} --json`)).toMatchObject({
      exit: 1,
      json: { error: { code: 'state.missing' } },
    });
    expect(await eduk('party show 12 --json')).toMatchObject({ exit: 2 });
  });
});

describe('what may be a mistake is said', () => {
  test('an endpoint to which nothing is sent, a party that nobody registered', async () => {
    answer('addParty', { party, existed: false, clientId: 'c', clientSecret: 's', apiKey: 'a' });
    expect((await eduk(`party add --oin ${oin} --name U --role publisher --endpoint webhok=https://a/`)).err).toContain(
      'Nothing is sent to an endpoint webhok',
    );
    answer('grantMandate', {
      mandateId: 'm-1',
      state: MandateState.MANDATE_STATE_ACTIVE,
      autorisatiesleutel: 'k',
      flowId: 'f',
      decision: done,
    });
    const grant = `mandate grant --school ${school} --party ${oin} --service roster --confirm`;
    answer('listParties', { parties: [] });
    const nobody = await eduk(grant);
    expect([nobody.exit, nobody.err]).toEqual([0, expect.stringContaining(`Nobody is registered as ${oin}`)]);
    answer('listParties', { parties: [party] });
    expect((await eduk(grant)).err).toBe('');
  });
});

describe('a grant', () => {
  test('says which attributes of it are not released, and how to see why', async () => {
    const said = { state: MandateState.MANDATE_STATE_ACTIVE, autorisatiesleutel: 'k', flowId: 'f', decision: done };
    answer('grantMandate', { mandateId: 'm-1', ...said });
    answer('listParties', { parties: [party] });
    const services = [[], ['not_declared']].map((reasons) => ({
      service: Service.SERVICE_ROSTER,
      attributes: [
        { name: 'email', given: false, reasons: ['role'] },
        { name: 'groups', given: reasons.length === 0, reasons },
      ],
    }));
    answer('previewRelease', { services, names: [] });
    const grant = `mandate grant --school ${school} --party ${oin} --service roster --confirm`;
    const { err, exit } = await eduk(`${grant} --attributes groups,email`);
    expect(exit).toBe(0);
    expect(err).toContain('Not released, whatever the mandate names: email.');
    expect(err).toContain(`eduk release preview --party ${oin} --school ${school}`);
    expect((await eduk(`${grant} --attributes groups`)).err).toBe('');
  });
});

describe('rules of holds', () => {
  const rule = (more: object = {}) => ({
    ...{ ruleId: 'r-1', schoolOin: '0000000700099AB00000', kinds: ['leavers'], yearGroups: ['8'] },
    ...{ fromMs: BigInt(NOW), untilMs: BigInt(NOW + 86_400_000), mostPercent: 15, mostCount: 90 },
    ...{ reason: 'year-end-2027', byOin: 'operator', byPerson: '', setMs: BigInt(NOW), approvedMs: BigInt(NOW) },
    ...{ approvedBy: '', endedMs: 0n, waiting: false },
    ...more,
  });
  const done = { outcome: 'HoldRuleChanged' };
  const add = 'hold rule add --school 99ab --kind leavers --year-group 8 --percent 15 --count 90';
  const rest = '--until 2027-07-31 --reason year-end-2027';

  test('hold rule add says what it lets go and how it is ended, or who must say so too', async () => {
    answer('setHoldRule', { flowId: 'f', decision: done, rule: rule(), unchanged: false });
    const set = await eduk(`${add} ${rest}`);
    expect(asked['setHoldRule']).toEqual({
      ...{ schoolOin: '0000000700099AB00000', all: false, kinds: ['leavers'], yearGroups: ['8'] },
      ...{ from: '', until: '2027-07-31', mostPercent: 15, mostCount: 90, reason: 'year-end-2027', waiting: false },
    });
    expect([set.exit, set.err]).toEqual([0, 'It ends by itself; earlier by eduk hold rule end r-1.\n']);
    expect(set.out).toContain('leavers of 8, at most 15 % and 90');
    answer('setHoldRule', { flowId: 'f', decision: done, rule: rule({ approvedMs: 0n }), unchanged: false });
    expect((await eduk(`${add} ${rest}`)).err).toContain('eduk hold rule approve r-1');
    for (const wrong of ['', '--all --school 99ab', '--all --kind empty', '--all --percent many'])
      expect((await eduk(`hold rule add ${wrong} --kind leavers --percent 15 ${rest}`)).exit).toBe(2);
    answer('setHoldRule', {
      flowId: 'f',
      decision: { outcome: 'PartyChangeRefused', code: 'wire.invalid', told: 'no' },
    });
    expect((await eduk(`${add} ${rest}`)).exit).toBe(1);
  });

  test('hold rule add --preview sets nothing and says what would go', async () => {
    const asks = [{ kind: 'leavers', of: 'learners', count: 90, base: 600, yearGroups: ['8'] }];
    const hold = {
      schoolOin: '0000000700099AB00000',
      schoolName: 'De Es',
      reason: 'removes_many',
      sinceMs: BigInt(NOW),
      asks,
    };
    answer('previewHoldRule', {
      waiting: [{ ...hold, holdId: 'h-1', state: 'waiting', whyNot: '' }],
      decided: [{ ...hold, holdId: 'h-2', state: 'rejected', whyNot: 'beyond_share' }],
    });
    const shown = await eduk(`${add} ${rest} --preview`);
    expect(shown.out).toMatch(/De Es +90 of 600 learners \(leavers\) +waiting +released +h-1/);
    expect(shown.out).toMatch(/rejected +waits: it is beyond its share +h-2/);
    expect(shown.err).toBe('What waits now goes on only with --waiting.\n');
    expect((await eduk(`${add} ${rest} --preview --json`)).json).toMatchObject({
      waiting: [{ holdId: 'h-1', released: true }],
      decided: [{ holdId: 'h-2', released: false, whyNot: 'beyond_share' }],
    });
  });

  test('hold rule list, approve and end', async () => {
    const names = [{ oin: rule().schoolOin, name: 'De Es' }];
    answer('listHoldRules', { rules: [{ rule: rule(), state: 'stands', released: 2 }], names });
    expect((await eduk('hold rule list')).out).toMatch(/r-1 +De Es .* stands +2\nyear-end-2027/);
    expect((await eduk('hold rule list --json')).json).toMatchObject({
      rules: [{ state: 'stands', released: 2, schoolName: 'De Es', by: 'operator', mostCount: 90 }],
    });
    const use = { kind: 'leavers', of: 'learners', count: 14, beside: 6, most: 25, base: 100 };
    const used = [{ ...use, schoolOin: rule().schoolOin }];
    const soon = { rule: rule(), state: 'stands', released: 2, used, schools: 1, endsSoon: true };
    const ofAll = { ...soon, rule: rule({ schoolOin: '' }), schools: 3, endsSoon: false };
    answer('listHoldRules', { rules: [soon, ofAll], names });
    const { out } = await eduk('hold rule list');
    for (const text of ['20 of 25', '6 by', 'ends in 1 d', 'at De Es', 'less at 2'])
      expect(out.replaceAll(/\s+/g, ' ')).toContain(text);
    expect((await eduk('hold rule list --json')).json).toMatchObject({
      rules: [
        { endsSoon: true, schools: 1, used: [{ ...use, schoolName: 'De Es' }] },
        { endsSoon: false, schools: 3 },
      ],
    });
    answer('approveHoldRule', { flowId: 'f', decision: done, rule: rule() });
    expect(await eduk('hold rule approve r-1')).toMatchObject({ exit: 0, err: 'It stands.\n' });
    answer('endHoldRule', { flowId: 'f', decision: done, rule: rule({ endedMs: BigInt(NOW) }) });
    expect(await eduk('hold rule end r-1')).toMatchObject({
      exit: 0,
      err: 'It is ended: what comes from now on waits for approval.\n',
    });
  });
});

describe('freezes', () => {
  const freeze = (more: object = {}) => ({
    freezeId: 'f-1',
    schoolOin: '0000000700099AB00000',
    partyOin: '',
    fromMs: BigInt(NOW),
    untilMs: BigInt(NOW + 86_400_000),
    reason: 'exams-2027',
    byOin: 'operator',
    byPerson: '',
    setMs: BigInt(NOW),
    endedMs: 0n,
    endAskedBy: '',
    ...more,
  });
  const done = { outcome: 'FreezeChanged' };

  test('freeze set says of what and until when, and how it is ended', async () => {
    answer('setFreeze', { flowId: 'f', decision: done, freeze: freeze(), unchanged: false });
    const set = await eduk('freeze set --school 99ab --until 2027-05-28 --reason exams-2027');
    expect(asked['setFreeze']).toEqual({
      schoolOin: '0000000700099AB00000',
      partyOin: '',
      all: false,
      from: '',
      until: '2027-05-28',
      reason: 'exams-2027',
    });
    expect([set.exit, set.err]).toEqual([0, 'It ends by itself; earlier by eduk freeze end f-1.\n']);
    for (const wrong of ['', '--all --school 99ab', '--school 99ab --from tomorrow'])
      expect((await eduk(`freeze set ${wrong} --until 2027-05-28 --reason x`)).exit).toBe(2);
    answer('setFreeze', { flowId: 'f', decision: { outcome: 'PartyChangeRefused', code: 'wire.invalid', told: 'no' } });
    expect((await eduk('freeze set --all --until 2027-05-28 --reason x')).exit).toBe(1);
  });

  test('a freeze is looked at before it is set or ended: --preview, or a question where somebody types', async () => {
    const works = [
      { kind: 'replay', id: 'r-1', partyOin: oin, count: 40n },
      {
        ...{ kind: 'roster', id: 'h-1', schoolOin: school, partyOin: oin, count: 1n },
        sinceMs: BigInt(NOW - 3_600_000),
      },
      { kind: 'withdrawal', id: 'h-2', schoolOin: school, partyOin: oin, count: 5n, waitsOn: true, about: true },
    ];
    const freeze = { freezeId: 'f-1', schoolOin: school, reason: 'exams-2027', untilMs: BigInt(NOW), endedMs: 1n };
    answer('previewFreeze', { freeze, goesOnMs: BigInt(NOW) + 1n, works, names: [{ oin, name: 'Leerplein' }] });
    answer('setFreeze', { decision: { outcome: 'FreezeChanged' }, freeze, works: works.slice(0, 1) });
    answer('endFreeze', { decision: { outcome: 'FreezeChanged' }, freeze, works });
    for (const method of ['setFreeze', 'endFreeze']) delete asked[method];
    const set = 'freeze set --school 99ab --until 2027-05-28 --reason exams-2027';
    const shown = await eduk(`${set} --preview`);
    expect(asked['previewFreeze']).toMatchObject({ asked: { until: '2027-05-28' }, freezeId: '' });
    expect([shown.exit, shown.out]).toEqual([0, expect.stringMatching(/replay\s+Leerplein\s+40 messages/)]);
    expect(shown.err).toMatch(/What waits goes on at .*: others hold until then\. Nothing was changed\./s);
    const sooner = { freeze: { ...freeze, untilMs: freeze.untilMs - 1n }, state: 'holds' };
    answer('previewFreeze', { freeze, goesOnMs: freeze.untilMs, beside: [sooner] });
    const longer = (await eduk(`${set} --preview`)).err.replaceAll('\n', ' ');
    expect(longer).toBe(
      'Others that hold now end sooner: what of this waits for them waits until this one ends. Nothing was changed. ',
    );
    answer('previewFreeze', { freeze, goesOnMs: BigInt(NOW) + 1n, works, names: [{ oin, name: 'Leerplein' }] });
    const end = await eduk('freeze end f-1 --preview');
    expect(end.out).toMatch(/about 5 licences\s+waits on/);
    expect((await eduk('freeze end f-1 --preview --json')).json.works).toMatchObject([
      { kind: 'replay', waitsOn: false, count: 40, since: null },
      { kind: 'roster', schoolOin: school },
      { waitsOn: true, about: true },
    ]);
    for (const line of [set, 'freeze end f-1']) {
      const no = await run(line, gateway.env, 'no\n', false, true);
      expect([no.exit, no.err]).toEqual([2, expect.stringMatching(/40 messages[\s\S]*Go on\?/)]);
    }
    expect([asked['setFreeze'], asked['endFreeze']]).toEqual([undefined, undefined]);
    expect((await run('freeze end f-1', gateway.env, 'yes\n', false, true)).exit).toBe(0);
    expect((await eduk(set)).err).toContain('1 replay waits for it.');
    const ended = (await eduk('freeze end f-1')).err.replaceAll('\n', ' ');
    expect(ended).toMatch(/1 replay and 1 roster go on, the oldest since .*1 lot of withdrawals or blocks waits on/);
    expect((await eduk('freeze end f-1 --json')).json.works).toHaveLength(3);
    // A brake works also while nobody can say what it stops.
    answer('previewFreeze', new Refusal('peer.unavailable', 'It does not answer.'));
    answer('setFreeze', { decision: { outcome: 'FreezeChanged' }, freeze, uncounted: true });
    answer('endFreeze', { decision: { outcome: 'FreezeChanged' }, freeze, uncounted: true });
    for (const line of [set, 'freeze end f-1']) {
      expect((await run(line, gateway.env, 'yes\n', false, true)).exit).toBe(0);
      expect((await eduk(line)).err).toContain('could not be counted');
      expect((await eduk(`${line} --json`)).json.uncounted).toBe(true);
    }
  });

  test('freeze list and freeze end', async () => {
    answer('listFreezes', {
      freezes: [{ freeze: freeze(), state: 'holds' }],
      names: [{ oin: freeze().schoolOin, name: 'De Es' }],
    });
    const listed = await eduk('freeze list');
    expect(listed.out).toMatch(/exams-2027 +De Es .* holds +f-1/);
    expect((await eduk('freeze list --json')).json).toMatchObject({
      freezes: [{ state: 'holds', schoolName: 'De Es', by: 'operator' }],
    });
    answer('status', {});
    answer('listParked', {});
    expect((await eduk('doctor --json')).json.checks).toContainEqual({
      name: 'freezes',
      state: 'ok',
      says: expect.stringMatching(/waits for De Es until .* \(exams-2027\)$/),
    });
    answer('endFreeze', { flowId: 'f', decision: done, freeze: freeze({ endedMs: BigInt(NOW) }) });
    expect(await eduk('freeze end f-1')).toMatchObject({
      exit: 0,
      err: 'It is ended; what waited for it goes on, unless another freeze holds it.\n',
    });
    answer('endFreeze', { flowId: 'f', decision: done, freeze: freeze({ endAskedBy: 'ab' }) });
    expect((await eduk('freeze end f-1')).err).toBe('It stands until a second person ends it too.\n');
  });
});

describe('keys', () => {
  const keys = (left: number, more: object = {}) => ({
    keys: {
      master: 1,
      schools: 12,
      rotating: left > 0,
      heldMs: 0n,
      skipped: 0,
      keys: ['master', 'data', 'index', 'pairwise'].map((kind) => ({
        kind,
        askedMs: kind === 'data' ? BigInt(NOW) : 0n,
        renewedMs: kind === 'index' ? BigInt(NOW) : 0n,
        schoolsLeft: kind === 'data' ? left : 0,
      })),
      ...more,
    },
  });

  test('key rotate begins, and with --follow waits until it is done', async () => {
    answer('rotateKeys', keys(2));
    let left = 2;
    answers['showKeys'] = () => keys(--left);
    const { out, err, exit } = await eduk('key rotate data index --school 99ab --follow');
    const schoolOin = '0000000700099AB00000';
    expect(asked['rotateKeys']).toEqual({ kinds: ['data', 'index'], schoolOin, emergency: '' });
    await eduk('key rotate data --emergency leak-1');
    expect(asked['rotateKeys']).toMatchObject({ emergency: 'leak-1' });
    expect(err).toBe('data: 2 schools to do\ndata: 1 school to do\n');
    expect(out).toMatch(/renewing +nothing/);
    expect(exit).toBe(0);
    const { json } = await eduk('key rotate data --json');
    expect(json).toMatchObject({ master: 1, rotating: true, keys: [{ kind: 'master' }, { schoolsLeft: 2 }, {}, {}] });
  });

  test('key rotate refuses what is no kind, and the master key of one school', async () => {
    for (const line of ['key rotate names', 'key rotate master --school 99ab', 'key rotate'])
      expect((await eduk(line)).exit).toBe(2);
  });

  test('key list says who holds the master key up, and which schools were left', async () => {
    answer('showKeys', keys(3, { heldMs: BigInt(NOW - 60_000), skipped: 2 }));
    const { out } = await eduk('key list');
    expect(out).toMatch(/data +seal what rests in the vault +never +3 /);
    expect(out).toMatch(/index +find numbers and texts, make +2026-11-22 08:30:00 +0/);
    expect((await eduk('key list --json')).json.keys[2]).toMatchObject({
      kind: 'index',
      renewed: '2026-11-22T07:30:00.000Z',
    });
    expect(out.replaceAll(/\s+/g, ' ')).toContain('lacked the new master key 1 min ago');
    expect(out.replaceAll(/\s+/g, ' ')).toContain('2 schools keep their keys');
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  const at = 'https://keys.example/v1/transit/keys/one';
  const held = [
    { schoolOin: school, at, open: false, awayMs: BigInt(NOW), code: 'peer.refused' },
    { schoolOin: oin, at, open: true, awayMs: 0n, code: '' },
  ];

  test('key list says whose keys are held where, and what is closed', async () => {
    answer('showKeys', keys(0, { held, masterAt: at, masterAwayMs: BigInt(NOW), masterClosed: true }));
    const { out } = await eduk('key list');
    expect(out).toContain(`number 1, held at ${at}`);
    expect(out.replaceAll(/\s+/g, ' ')).toContain('closed: its holder says no');
    expect(out.replaceAll(/\s+/g, ' ')).toContain('nothing can be found, sealed or shown until it does');
    const { json } = await eduk('key list --json');
    expect(json).toMatchObject({
      heldAt: at,
      closed: true,
      held: [{ open: false, code: 'peer.refused' }, { code: null }],
    });
    answer('status', {});
    answer('listParked', {});
    const checks = (await eduk('doctor --json')).json.checks as { name: string; state: string; says: string }[];
    const said = checks.filter(({ name }) => name === 'held keys');
    expect(said.map(({ state }) => state)).toEqual(['fail', 'warn']);
    expect(said[1]!.says).toContain(school);
  });

  test('key hold takes a token from a file that nobody else reads; back needs none', async () => {
    const place = mkdtempSync(join(tmpdir(), 'eduk-hold-'));
    const token = join(place, 'token');
    answer('holdKeys', keys(2, { held }));
    writeFileSync(token, 'hvs.secret\n', { mode: 0o644 });
    const line = `key hold --school ${school} --at ${at} --token-file ${token}`;
    const refused = await eduk(line);
    expect([refused.exit, refused.err.includes('hvs.secret')]).toEqual([2, false]);
    chmodSync(token, 0o600);
    const { out, exit } = await eduk(line);
    expect(asked['holdKeys']).toEqual({ schoolOin: school, at, token: 'hvs.secret' });
    expect([exit, out.includes('hvs.secret')]).toEqual([0, false]);
    await eduk(`key hold --school ${school} --back`);
    expect(asked['holdKeys']).toEqual({ schoolOin: school, at: '', token: '' });
    for (const wrong of [
      'key hold --back',
      `key hold --school ${school}`,
      `key hold --school ${school} --at ${at}`,
      `key hold --school ${school} --back --at ${at} --token-file ${token}`,
      `key make --at ${at} --token-file ${token}`,
    ])
      expect((await eduk(wrong)).exit).toBe(2);
    const made = await run(`key make --at https://127.0.0.1:1/x --token-file ${token} --to ${join(place, 'key')}`, {});
    expect([made.exit, made.err]).toEqual([1, expect.stringContaining('no address of a key')]);
    rmSync(place, { recursive: true });
  });
});

describe('learner reveal', () => {
  const token = `lt_${'a'.repeat(26)}`;
  const asked1 = {
    requestId: 'r-1',
    schoolOin: school,
    reason: 'case-7',
    attributes: ['call_name'],
    tokens: [token],
    learners: 1,
    state: 'asked',
    askedBy: Buffer.alloc(32, 0xab),
    askedMs: BigInt(NOW),
    untilMs: BigInt(NOW + 3_600_000),
  };
  const told = {
    asked: { asked: { ...asked1, state: 'taken', shown: 1 }, mine: true },
    learners: [
      { token, known: true, ref: { lasKey: 'sleutel-9' }, person: { callName: 'Geheima' } },
      { token: `lt_${'b'.repeat(26)}`, known: false },
    ],
  };
  let place = '';
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'eduk-reveal-'));
    return () => rmSync(place, { recursive: true });
  });

  test('asks by tokens on standard input, or by a flow; what is no token goes nowhere and is not repeated', async () => {
    answer('askReveal', { asked: { asked: asked1, mine: true } });
    const line = `learner reveal --school ${school} --reason case-7`;
    const { json, exit } = await eduk(`${line} --attributes call_name,eck_id --json`, `${token}\n`);
    expect(asked['askReveal']).toMatchObject({ schoolOin: school, reason: 'case-7', flowId: '', tokens: [token] });
    expect(asked['askReveal'].attributes).toEqual(['call_name', 'eck_id']);
    expect([exit, json]).toMatchObject([
      0,
      { id: 'r-1', state: 'asked', mine: true, askedBy: 'abababababab', decidedBy: null },
    ]);
    await eduk(`${line} --flow f-1`);
    expect(asked['askReveal']).toMatchObject({ flowId: 'f-1', tokens: [] });
    delete answers['askReveal'];
    for (const wrong of ['', 'Geheima Jansen', 'https://ketenid.nl/pilot/geheima', `${token};x`]) {
      const refused = await eduk(line, `${wrong}\n`);
      expect([refused.exit, /geheima/i.test(refused.err + refused.out)]).toEqual([2, false]);
    }
  });

  test('list, approve and refuse show requests, and nobody', async () => {
    answer('listReveals', { reveals: [{ asked: asked1, mine: false }] });
    const listed = await eduk('learner reveal list');
    for (const word of ['r-1', 'case-7', 'abababababab', 'asked']) expect(listed.out).toContain(word);
    answer('decideReveal', { asked: { asked: { ...asked1, state: 'approved' }, mine: false } });
    expect((await eduk('learner reveal approve r-1')).exit).toBe(0);
    expect(asked['decideReveal']).toEqual({ requestId: 'r-1', approve: true });
    await eduk('learner reveal refuse r-1');
    expect(asked['decideReveal']).toEqual({ requestId: 'r-1', approve: false });
    answers['decideReveal'] = () => new Refusal('party.forbidden', 'Another person than the one who asked decides.');
    expect(await eduk('learner reveal approve r-1')).toMatchObject({ exit: 1, out: '' });
  });

  test('fetch shows them on a terminal only; into a pipe nothing is asked for', async () => {
    let fetched = 0;
    answers['fetchReveal'] = () => {
      fetched += 1;
      return told;
    };
    for (const line of ['learner reveal fetch r-1', 'learner reveal fetch r-1 --json'])
      expect(await eduk(line)).toMatchObject({ exit: 2 });
    expect(fetched).toBe(0);
    const shown = await run('learner reveal fetch r-1', gateway.env, '', true);
    for (const word of ['Geheima', 'sleutel-9', 'nobody']) expect(shown.out).toContain(word);
    expect(shown.err).not.toContain('Geheima');
    const { json } = await run('learner reveal fetch r-1 --json', gateway.env, '', true);
    expect(json.learners).toEqual([
      { token, known: true, lasKey: 'sleutel-9', callName: 'Geheima' },
      { token: told.learners[1]!.token, known: false },
    ]);
  });

  test('fetch writes a new file that nobody else reads, before which nothing is asked for', async () => {
    const file = join(place, 'who.json');
    answers['fetchReveal'] = () => new Refusal('state.conflict', 'Nobody has approved it yet.');
    expect((await eduk(`learner reveal fetch r-1 --to ${file}`)).exit).toBe(1);
    expect(existsSync(file)).toBe(false);
    let fetched = 0;
    answers['fetchReveal'] = () => {
      fetched += 1;
      return told;
    };
    expect((await eduk(`learner reveal fetch r-1 --to ${join(place, 'none', 'who.json')}`)).exit).toBe(2);
    expect(fetched).toBe(0);
    const { out, err, exit } = await eduk(`learner reveal fetch r-1 --to ${file}`);
    expect([exit, /Geheima|sleutel-9/.test(out + err)]).toEqual([0, false]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, 'utf8')).learners[0]).toMatchObject({ callName: 'Geheima' });
    expect((await eduk(`learner reveal fetch r-1 --to ${file}`)).exit).toBe(2);
    expect([fetched, readFileSync(file, 'utf8').includes('Geheima')]).toEqual([1, true]);
  });

  test('sends a token of the operators’ provider as it stands in its file', async () => {
    const signed = 'eyJhbGciOiJQUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_';
    const file = join(place, 'token');
    writeFileSync(file, `${signed}\n`, { mode: 0o600 });
    let sent: string | undefined;
    answers['listReveals'] = (_request, authorization) => {
      sent = authorization;
      return { reveals: [] };
    };
    const env = { ...gateway.env, EDUK_TOKEN_FILE: file };
    expect((await run('learner reveal list', env)).exit).toBe(0);
    expect(sent).toBe(`Bearer ${signed}`);
    answers['listReveals'] = () => new Refusal('party.unknown', 'This is no token.');
    const refused = await run('learner reveal list', env);
    expect([
      refused.exit,
      refused.err.replace(/\s+/g, ' ').includes('sign in again'),
      refused.err.includes(signed),
    ]).toEqual([1, true, false]);
  });
});

describe('release preview', () => {
  const attribute = (name: string, given: boolean, reasons: string[], told: string) => ({
    name,
    about: `What ${name} is.`,
    given,
    pairwise: given,
    reasons,
    told,
  });
  const preview = {
    services: [
      {
        service: Service.SERVICE_ROSTER,
        code: '',
        told: 'Volgens mandaat m-1.',
        mandateIds: ['m-1'],
        pairwise: true,
        linkableBy: ['email'],
        linkableTold: 'De partij krijgt eigen pseudoniemen, te koppelen via email.',
        attributes: [
          attribute('eck_id', true, ['mandate'], 'Het mandaat noemt het.'),
          attribute('email', false, ['not_in_mandate', 'role'], 'Het mandaat noemt het niet. Geen rol mag het hebben.'),
        ],
      },
    ],
    names: [{ oin, name: 'Uitgever' }],
  };

  test('asks for a school by BRIN or OIN, and prints each attribute with its reasons', async () => {
    answer('previewRelease', preview);
    const { json, exit } = await eduk(`release preview --party ${oin} --school 99ab --service roster --json`);
    expect(asked['previewRelease']).toEqual({
      partyOin: oin,
      schoolOin: '0000000700099AB00000',
      service: Service.SERVICE_ROSTER,
      lang: 'en',
    });
    expect(json).toEqual({
      partyOin: oin,
      partyName: 'Uitgever',
      schoolOin: '0000000700099AB00000',
      schoolName: null,
      services: [{ ...preview.services[0], service: 'roster', code: null }],
    });
    expect(exit).toBe(0);
    const { out } = await eduk(`release preview --party ${oin} --school 0000000700099AB00000 --lang nl`);
    expect(asked['previewRelease']).toMatchObject({ service: Service.SERVICE_UNSPECIFIED, lang: 'nl' });
    expect(out).toMatch(/partij +Uitgever, /);
    expect(out).toMatch(/GEGEVEN +KRIJGT +WAAROM/);
    expect(out).toContain('te koppelen via email.');
    expect(out).toMatch(/eck_id +als pseudoniem +Het mandaat noemt het\./);
    expect(out).toMatch(/email +nee +Het mandaat noemt het niet\./);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  test('without a mandate says so, and a school that is none is misuse', async () => {
    answer('previewRelease', { services: [], names: [] });
    expect((await eduk(`release preview --party ${oin} --school 99AB`)).out).toContain('gave this party no mandate');
    expect((await eduk(`release preview --party ${oin} --school 99AB --lang nl`)).out).toContain('geen mandaat');
    expect((await eduk(`release preview --party ${oin} --school 7`)).err).toContain('a BRIN or an OIN');
    expect((await eduk(`release preview --party ${oin} --school 99AB --lang fr`)).exit).toBe(2);
  });
});

describe('mandate', () => {
  const grant = `mandate grant --school ${school} --party ${oin} --service roster --service access --json`;
  test('grant prints id, state and the key of the pair, or null', async () => {
    answer('grantMandate', {
      mandateId: 'm-1',
      state: MandateState.MANDATE_STATE_UNCONFIRMED,
      autorisatiesleutel: 'k',
      flowId: 'f',
      decision: done,
    });
    const first = await eduk(grant);
    expect(first.json).toEqual({ mandateId: 'm-1', state: 'unconfirmed', autorisatiesleutel: 'k' });
    expect(first.err).toContain('eduk mandate confirm m-1');
    expect(asked['grantMandate']).toMatchObject({
      confirm: false,
      mandate: {
        schoolOin: school,
        partyOin: oin,
        services: [Service.SERVICE_ROSTER, Service.SERVICE_ACCESS],
        attributes: [],
      },
    });
    answer('grantMandate', {
      mandateId: 'm-2',
      state: MandateState.MANDATE_STATE_ACTIVE,
      autorisatiesleutel: '',
      flowId: 'f',
      decision: done,
    });
    expect((await eduk(`${grant} --confirm --pairwise --attributes a,b`)).json).toEqual({
      mandateId: 'm-2',
      state: 'active',
      autorisatiesleutel: null,
    });
    expect(asked['grantMandate']).toMatchObject({ confirm: true, mandate: { attributes: ['a', 'b'], pairwise: true } });
  });

  test('grant for a board prints what each of its schools has, and one id to confirm or withdraw it by', async () => {
    const part = (brin: string, more: object) => ({
      mandate: {
        mandateId: `m-part-${brin}`,
        schoolOin: `00000007000${brin}00000`,
        boardOin: oin,
        boardMandateId: 'm-1',
        state: MandateState.MANDATE_STATE_UNCONFIRMED,
        ...more,
      },
      autorisatiesleutel: `key-${brin}`,
    });
    answer('grantMandate', {
      mandateId: 'm-1',
      state: MandateState.MANDATE_STATE_UNCONFIRMED,
      autorisatiesleutel: '',
      flowId: 'f',
      decision: done,
      schools: [part('11AA', { services: [1, 4] }), part('11AB', { services: [4], narrowed: [1] })],
    });
    const said = await eduk(grant);
    expect(said.json).toMatchObject({
      mandateId: 'm-1',
      state: 'unconfirmed',
      autorisatiesleutel: null,
      schools: [
        { schoolOin: '0000000700011AA00000', services: ['roster', 'access'], narrowed: [] },
        { services: ['access'], narrowed: ['roster'], autorisatiesleutel: 'key-11AB' },
      ],
    });
    expect(said.err).toContain('eduk mandate confirm m-1');
    const { out } = await eduk(grant.replace(' --json', ''));
    for (const text of ['in each of 2 schools', 'm-part-11AA', 'key-11AA', 'not roster: the school decides'])
      expect(out).toContain(text);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  test('grant without a decision in time says no state', async () => {
    answer('grantMandate', {
      mandateId: 'm-1',
      state: 0,
      autorisatiesleutel: '',
      flowId: 'f-1',
      decision: { outcome: '', code: '', told: '' },
    });
    const { exit, json } = await eduk(grant);
    expect(json.error).toMatchObject({ code: 'peer.unknown_outcome', who: 'us' });
    expect(json.error.message).toContain('f-1');
    expect(exit).toBe(1);
  });

  test('confirm, withdraw, run off and key are changes of it', async () => {
    answer('changeMandate', {
      state: MandateState.MANDATE_STATE_RUN_OFF,
      autorisatiesleutel: 'new',
      flowId: 'f',
      decision: done,
    });
    answer('listMandates', {
      mandates: [
        { mandateId: 'm-9', schoolOin: school, partyOin: oin, services: [1], state: 4 },
        { mandateId: 'm-7', state: 2 },
      ],
    });
    const changes = [];
    for (const line of [
      'mandate confirm m-1',
      'mandate accept m-1',
      'mandate refuse m-1',
      'mandate withdraw m-1',
      'mandate withdraw m-1 --run-off-until 2026-12-31',
      'mandate key m-1 --renew',
      `mandate key --renew --school ${school} --party ${oin}`,
    ]) {
      expect((await eduk(`${line} --json`)).exit).toBe(0);
      const { mandateId, change, runOffUntil } = asked['changeMandate'];
      changes.push([mandateId, change, runOffUntil]);
    }
    expect(changes).toEqual([
      ['m-1', 'confirm', ''],
      ['m-1', 'accept', ''],
      ['m-1', 'refuse', ''],
      ['m-1', 'stop', ''],
      ['m-1', 'run_off', '2026-12-31'],
      ['m-1', 'key', ''],
      ['m-7', 'key', ''],
    ]);
    expect((await eduk('mandate key m-1')).exit).toBe(2);
  });

  test('one word of two says whose the other is', async () => {
    const decided = { state: MandateState.MANDATE_STATE_UNCONFIRMED, flowId: 'f', decision: done };
    answer('changeMandate', decided);
    expect((await eduk('mandate confirm m-1')).err).toContain('eduk mandate accept m-1');
    expect((await eduk('mandate accept m-1')).err).toContain('eduk mandate confirm m-1');
    answer('changeMandate', { ...decided, state: MandateState.MANDATE_STATE_ACTIVE });
    expect((await eduk('mandate confirm m-1')).err).toBe('');
  });

  test('a mandate of a party that is stopped reads so', async () => {
    const of = { schoolOin: school, partyOin: oin, services: [2], partyStopped: true };
    answer('listMandates', { mandates: [{ mandateId: 'm-1', ...of, state: 2 }] });
    expect((await eduk('mandate list')).out).toContain('its party is stopped');
    answer('listMandates', { mandates: [{ mandateId: 'm-1', ...of, state: 4 }] });
    expect((await eduk('mandate list')).out).not.toContain('stopped');
  });

  test('names agreement, purposes and sites, and says whose word is wanting', async () => {
    answer('grantMandate', { mandateId: 'm-1', state: 1, autorisatiesleutel: '', flowId: 'f', decision: done });
    const said = await eduk(
      `${grant} --confirm --agreement VO-7 --agreement-version 3 --purpose supply,results --site 01 --site 02 --requires-acceptance`,
    );
    expect(said.err).toContain('eduk mandate accept m-1');
    expect(asked['grantMandate'].mandate).toMatchObject({
      agreement: 'VO-7',
      agreementVersion: '3',
      purposes: [3, 5],
      siteCodes: ['01', '02'],
      requiresAcceptance: true,
    });
    for (const wrong of ['--site 1', '--purpose fun']) expect((await eduk(`${grant} ${wrong}`)).exit).toBe(2);
    const of = {
      schoolOin: school,
      partyOin: oin,
      services: [2],
      requiresAcceptance: true,
      purposes: [3],
      siteCodes: ['01'],
    };
    answer('listMandates', {
      mandates: [
        { mandateId: 'm-1', ...of, state: 1, confirmedBy: school },
        { mandateId: 'm-2', ...of, state: 1 },
        { mandateId: 'm-3', ...of, state: 4, endedBy: oin },
      ],
    });
    const { out } = await eduk('mandate list');
    for (const words of [
      'waits for the party',
      'waits for the school',
      'refused by the party',
      'for supply',
      'only site 01',
    ])
      expect(out).toContain(words);
  });

  test('list fits the width', async () => {
    const mandates = Array.from({ length: 9 }, (_, i) => ({
      mandateId: `m-0123456789abcdef0123456${i}`,
      schoolOin: school,
      partyOin: oin,
      services: [1, 2, 3, 4, 5, 6, 7, 8],
      attributes: [],
      state: (i % 4) + 1,
      runOffUntil: '2026-12-31',
    }));
    answer('listMandates', { mandates });
    const { out } = await eduk('mandate list');
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    expect(out).toContain('until 2026-12-31');
  });

  test('a board is shown with its schools', async () => {
    answer('listMandates', { mandates: [] });
    answers['listParties'] = ({ role }) => ({
      parties: role
        ? [
            { oin: school, name: 'De Es', roles: [Role.ROLE_SCHOOL], boardOin: oin },
            { oin: '0000000700009ZZ00000', name: 'Een ander', roles: [Role.ROLE_SCHOOL] },
          ]
        : [{ oin, name: 'Stichting Bos', roles: [Role.ROLE_BOARD] }],
    });
    expect((await eduk(`party show ${oin}`)).out).toContain(`De Es, ${school}`);
    expect((await eduk(`party show ${oin} --json`)).json.schools).toEqual([{ oin: school, name: 'De Es' }]);
  });

  test('list names the parties, and says where each mandate comes from', async () => {
    const of = { schoolOin: school, partyOin: oin, attributes: [] };
    const board = '00000099000000009000';
    answer('listMandates', {
      mandates: [
        { mandateId: 'm-1', ...of, services: [1], state: 2, enteredBy: 'operator' },
        { mandateId: 'm-2', ...of, services: [4], narrowed: [1], state: 2, boardOin: board, boardMandateId: 'm-all' },
        { mandateId: 'm-3', ...of, services: [4], narrowed: [4], state: 4, boardOin: board },
      ],
      names: [
        { oin: school, name: 'De Regenboog' },
        { oin: board, name: 'Stichting Bos' },
      ],
    });
    const { out } = await eduk('mandate list');
    for (const text of [
      'De Regenboog',
      school,
      oin,
      'of the school',
      'entered by an operator',
      'of the board Stichting Bos',
      'part of m-all',
      'not roster: the school decides',
      'by the school',
    ])
      expect(out).toContain(text);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    const { json } = await eduk('mandate list --json');
    expect(json[1]).toMatchObject({
      schoolName: 'De Regenboog',
      partyName: null,
      boardOin: board,
      boardName: 'Stichting Bos',
      boardMandateId: 'm-all',
      narrowed: ['roster'],
    });
  });
});

describe('imports', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'eduk-files-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const taken = {
    schoolOin: school,
    schoolYear: '2026-2027',
    learners: 3,
    groups: 1,
    staff: 1,
    flowId: 'f',
    decision: { outcome: 'RosterApplied' },
  };

  test('how far a file is goes by its own bytes; what is printed is the same on a terminal and elsewhere, and --json alone', async () => {
    const file = join(folder, 'far.xml');
    writeFileSync(file, Buffer.alloc(5_000_000, ' '));
    answer('importRoster', taken);
    answer('importCatalogue', { records: 1, published: 1, unchanged: 0, refusals: [] });
    for (const line of [`roster import ${file}`, `catalogue import ${file} --party ${oin}`]) {
      const shown = await run(line, gateway.env, '', true);
      expect(shown.err).toMatch(/\r\[#+-+\] \d+ % {2}\d\.\d MB of 5\.0 MB sent/);
      expect(shown.err).toContain('\rSent; waiting for the gateway: ');
      expect(shown.err.endsWith('\r\x1b[K'), line).toBe(true);
      const piped = await eduk(line);
      expect([piped.err, piped.out, piped.exit]).toEqual(['', shown.out, 0]);
      const [json, jsonShown] = [await eduk(`${line} --json`), await run(`${line} --json`, gateway.env, '', true)];
      expect([jsonShown.out, jsonShown.err, json.err]).toEqual([json.out, '', '']);
    }
    // Of standard input nobody knows how much there is; what was read whole before it is sent is known.
    expect((await run('roster import -', gateway.env, '<EDEX></EDEX>', true)).err).not.toContain(' % ');
    const stripped = await run('roster import - --strip-pgn', gateway.env, '<EDEX></EDEX>', true);
    expect(stripped.err).toContain('100 %  13 B of 13 B sent');
    answer('importRoster', new Refusal('wire.invalid', 'Broken.', [{ path: 'EDEX' }]));
    const refused = await run(`roster import ${file}`, gateway.env, '', true);
    expect([refused.exit, refused.err.split('\r\x1b[K').at(-1)]).toEqual([
      1,
      'Broken.\n  wire.invalid; who must act: the school\n  at EDEX\n',
    ]);
  });

  test('a place where nothing can be written is told of as such, and is no mistake of ours', async () => {
    const file = join(folder, 'no-folder');
    writeFileSync(file, '');
    answer('listParties', { parties: [] });
    answer('status', {});
    for (const [line, exit] of [
      [`party score --month 2026-10 --out ${file}/x`, 2],
      [`conform uwlr --ea --for 1 --report ${file}/x.md`, 2],
      [`audit head --out ${file}/x`, 2],
      [`backup --to ${file}/x`, 1],
    ] as const) {
      if (line.startsWith('audit')) answer('readAuditLog', { head: { size: 0n, timeMs: 0n }, keys: [] });
      const { err, exit: ended } = await eduk(line);
      expect([line, ended, err]).toEqual([line, exit, expect.stringContaining('ENOTDIR')]);
      expect(err).not.toContain('gateway.bug');
    }
  });

  test('whatever is asked says that it waits, where the answer takes long', async () => {
    let come = () => {};
    const parties = new Promise((done) => {
      come = () => done({ parties: [] });
    });
    let shown = '';
    answers['listParties'] = () => parties;
    let looks = 0;
    const ran = main(['party', 'list'], {
      env: gateway.env,
      stdin: process.stdin,
      out: () => undefined,
      err: (said) => {
        shown += said;
        if (said.includes('Waiting for the gateway: ')) come();
      },
      now: () => NOW + 500 * looks++,
      screen: { columns: () => 80 },
    });
    expect(await ran).toBe(0);
    expect(shown).toMatch(/^\rWaiting for the gateway: \d s/);
    expect(shown.endsWith('\r\x1b[K')).toBe(true);
  });

  test('a file travels in parts of at most 1 MiB after the settings, whole', async () => {
    const file = join(folder, 'big.xml');
    const bytes = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => i % 251));
    writeFileSync(file, bytes);
    answer('importRoster', taken);
    expect(
      (await eduk(['roster', 'import', file, '--school', school, '--schooljaar', '2026-2027', '--json'])).json,
    ).toMatchObject({ learners: 3, outcome: 'RosterApplied' });
    const [settings, ...parts] = asked['importRoster'];
    expect(settings).toMatchObject({ schoolOin: school, schoolYear: '2026-2027' });
    expect(Math.max(...parts.map(({ chunk }: any) => chunk.length))).toBeLessThanOrEqual(1024 * 1024);
    expect(Buffer.concat(parts.map(({ chunk }: any) => chunk)).equals(bytes)).toBe(true);
    answer('importRoster', { ...taken, siteCode: '01', administration: '' });
    expect((await eduk(['roster', 'import', file, '--site', '01', '--json'])).json).toMatchObject({
      siteCode: '01',
      administration: null,
    });
    expect(asked['importRoster'][0]).toMatchObject({ siteCode: '01', wholeSchool: false });
    expect((await eduk(['roster', 'import', file, '--site', '01'])).out).toContain('2026-2027, site 01');
    await eduk(['roster', 'import', file, '--whole-school', '--json']);
    expect(asked['importRoster'][0]).toMatchObject({ siteCode: '', wholeSchool: true });
    expect((await eduk(['roster', 'import', file, '--whole-school', '--site', '01'])).exit).toBe(2);
    answer('importRoster', taken);
    await eduk('roster import - --json', bytes);
    expect(Buffer.concat(asked['importRoster'].slice(1).map(({ chunk }: any) => chunk)).equals(bytes)).toBe(true);
  });

  test('warnings and what was left in the file are told with it, exit 0', async () => {
    answer('importRoster', {
      ...taken,
      warnings: [
        {
          code: 'year_group_missing',
          told: 'A pupil has no jaargroep.',
          count: 12,
          where: [{ path: 'EDEX/x', line: 31 }],
        },
      ],
      losses: [{ element: 'fotourl', reason: 'minimised', count: 3 }],
    });
    const told = await eduk('roster import - --json', '<x/>');
    expect([told.exit, told.json.losses, told.json.warnings[0].where]).toEqual([
      0,
      [{ element: 'fotourl', reason: 'minimised', count: 3 }],
      [{ path: 'EDEX/x', line: 31 }],
    ]);
    const human = await eduk('roster import -', '<x/>');
    expect([human.exit, human.out]).toEqual([0, expect.stringMatching(/year_group_missing, 12\s+times; line 31, …/)]);
    expect(human.out).toMatch(/left in the file +3 × fotourl\n/);
  });

  test('a watched folder: each file is sent, moved and has its outcome beside it', async () => {
    const inbox = mkdtempSync(join(folder, 'inbox-'));
    for (const name of ['a.xml', 'b.XML', '.c.xml', 'd.txt'])
      writeFileSync(join(inbox, name), '<x><bsn>123456782</bsn></x>');
    answer('status', {});
    answer('importRoster', taken);
    const { exit, json } = await eduk([
      'roster',
      'watch',
      inbox,
      '--school',
      school,
      '--strip-pgn',
      '--once',
      '--json',
    ]);
    expect([exit, json.files.map(({ file, to }: any) => [file, to])]).toEqual([
      0,
      [
        ['a.xml', 'done'],
        ['b.XML', 'done'],
      ],
    ]);
    expect(asked['importRoster'][0]).toMatchObject({ schoolOin: school });
    expect(Buffer.concat(asked['importRoster'].slice(1).map(({ chunk }: any) => chunk)).toString()).toBe('<x></x>');
    expect(readdirSync(inbox).sort()).toEqual(['.c.xml', 'd.txt', 'done']);
    expect(JSON.parse(readFileSync(join(inbox, 'done', 'a.xml.json'), 'utf8'))).toMatchObject({ flowId: 'f' });

    // The same name again: both stay. And what is refused or held stands apart.
    writeFileSync(join(inbox, 'a.xml'), '<x/>');
    answer('importRoster', { ...taken, holdId: 'h-1', decision: { outcome: 'RosterHeld', code: 'hold.pending' } });
    expect((await eduk(['roster', 'watch', inbox, '--once'])).exit).toBe(1);
    writeFileSync(join(inbox, 'a.xml'), '<x>');
    expect((await eduk(['roster', 'watch', inbox, '--strip-pgn', '--once'])).exit).toBe(1);
    expect(readdirSync(join(inbox, 'held')).sort()).toEqual(['a.xml', 'a.xml.json']);
    expect(JSON.parse(readFileSync(join(inbox, 'refused', 'a.xml.json'), 'utf8')).error.code).toBe('wire.unreadable');
    expect((await eduk(['roster', 'watch', join(folder, 'none'), '--once'])).exit).toBe(2);
  });

  test('a watched folder whose files are replaced, written on or taken away meanwhile: nothing is lost, and it goes on', async () => {
    const inbox = mkdtempSync(join(folder, 'inbox-'));
    const put = (name: string, text: string) => writeFileSync(join(inbox, name), text);
    const at = (name: string) => readFileSync(join(inbox, name), 'utf8');
    const sent: string[] = [];
    const whileSent = (then: Record<string, () => unknown>) => {
      answers['importRoster'] = (parts) => {
        const text = Buffer.concat(parts.slice(1).map(({ chunk }: any) => chunk)).toString();
        // One that was broken off before may end only now.
        if (text !== '') sent.push(text);
        return then[text]?.() ?? taken;
      };
    };
    answer('status', {});
    for (const name of ['a.xml', 'b.xml', 'c.xml', 'd.xml']) put(name, `<${name[0]}/>`);
    whileSent({
      '<a/>': () => {
        put('.new', '<a2/>');
        renameSync(join(inbox, '.new'), join(inbox, 'a.xml'));
      },
      '<b/>': () => rmSync(join(inbox, 'b.xml')),
      '<c/>': () => {
        put('c.xml', '<c><more/></c>');
        return new Refusal('wire.unreadable', 'It ends before its end.');
      },
    });
    const first = await eduk(['roster', 'watch', inbox, '--once', '--json']);
    expect(first.json.files.map(({ file, to }: any) => [file, to])).toEqual([
      ['a.xml', 'done'],
      ['b.xml', 'done'],
      ['c.xml', ''],
      ['d.xml', 'done'],
    ]);
    expect([at('a.xml'), at('c.xml'), at('done/d.xml')]).toEqual(['<a2/>', '<c><more/></c>', '<d/>']);
    expect(readdirSync(join(inbox, 'done')).sort()).toEqual(['a.xml.json', 'b.xml.json', 'd.xml', 'd.xml.json']);

    put(`e\u001b[2J\ndone.xml`, '<e/>');
    const second = await eduk(['roster', 'watch', inbox, '--once']);
    expect(sent).toEqual(['<a/>', '<b/>', '<c/>', '<d/>', '<a2/>', '<c><more/></c>', '<e/>']);
    expect(second.exit).toBe(0);
    expect(second.out).not.toContain('\u001b');
    expect(second.out.trim().split('\n')).toHaveLength(3);
    expect(readdirSync(inbox)).toEqual(['done']);
  });

  test('an export names the party, the version and a whole path', async () => {
    answer('exportRoster', {
      schoolYear: '2026-2027',
      learners: 3,
      bytes: 900n,
      losses: [{ element: 'eckid', reason: 'no_place', count: 3 }],
    });
    const told = await eduk([
      'roster',
      'export',
      '--party',
      oin,
      '--school',
      'instellingsnummer:1234',
      '--version',
      '2.0',
      '--out',
      'x.xml',
    ]);
    expect(asked['exportRoster'][0] ?? asked['exportRoster']).toMatchObject({
      partyOin: oin,
      schoolOin: '00000007VL0000001234',
      version: '2.0',
      file: join(process.cwd(), 'x.xml'),
    });
    expect([told.exit, told.out]).toEqual([0, expect.stringMatching(/eckid\s+3\s+no_place/)]);
    expect(
      (await eduk(['roster', 'export', '--party', oin, '--school', '99AB', '--version', '3', '--out', 'x'])).exit,
    ).toBe(2);
  });

  test('a held roster is a negative answer with the hold', async () => {
    answer('importRoster', {
      ...taken,
      holdId: 'h-1',
      decision: { outcome: 'RosterHeld', code: 'hold.pending' },
      difference: { before: 100, after: 20, left: 80 },
    });
    const { exit, json } = await eduk('roster import - --json', '<x/>');
    expect(json).toMatchObject({
      error: { code: 'hold.pending', who: 'school', holdId: 'h-1' },
      holdId: 'h-1',
      difference: { left: 80 },
    });
    expect(json.error.message).toContain('h-1');
    expect(exit).toBe(1);
    const human = await eduk('roster import -', '<x/>');
    expect([human.exit, human.out.includes('100 learners become 20: 80 leave')]).toEqual([1, true]);
  });

  test('--strip-pgn takes personal numbers out before anything is sent', async () => {
    answer('importRoster', taken);
    const file = join(folder, 'pgn.xml');
    writeFileSync(
      file,
      '<EDEX><leerlingen><leerling key="1"><bsn>123456782</bsn><achternaam>A</achternaam></leerling></leerlingen></EDEX>',
    );
    await eduk(['roster', 'import', file, '--strip-pgn']);
    const sent = Buffer.concat(asked['importRoster'].map(({ chunk }: any) => chunk)).toString();
    expect(sent).toContain('<achternaam>A');
    expect(sent).not.toContain('123456782');
  });

  test('a file that is not there is wrong use, and nothing is asked', async () => {
    expect(await eduk(['roster', 'import', join(folder, 'none.xml'), '--json'])).toMatchObject({
      exit: 2,
      json: { error: { code: 'wire.invalid' } },
    });
    expect((await eduk(['catalogue', 'import', folder, '--party', oin])).exit).toBe(2);
  });

  test('records of a catalogue that were refused are listed', async () => {
    answer('importCatalogue', {
      records: 3,
      published: 2,
      unchanged: 0,
      refusals: [{ index: 1n, code: 'wire.invalid', where: 'a/b', told: '' }],
    });
    const { exit, json } = await eduk(`catalogue import - --party ${oin} --json`, '<x/>');
    expect(json).toMatchObject({
      records: 3,
      published: 2,
      refusals: [{ index: 1, code: 'wire.invalid', where: 'a/b' }],
      error: { code: 'wire.invalid' },
    });
    expect(exit).toBe(1);
    expect(asked['importCatalogue'][0].partyOin).toBe(oin);
  });
});

describe('learners', () => {
  const key = 'leerling-geheim-77';
  const eckId = 'https://ketenid.nl/pilot/geheim';

  test('are read from standard input, told apart by form, and never printed', async () => {
    const learners: unknown[] = [];
    answers['forgetLearner'] = (request) => {
      learners.push(request.learner);
      return learners.length === 2
        ? new Refusal('learner.unknown', 'Not known here.')
        : { flowId: 'f', decision: { outcome: 'LearnerForgotten' }, destroyedMs: BigInt(NOW) };
    };
    const { exit, json, out, err } = await eduk(
      `learner forget --school ${school} --now --json`,
      `${key}\r\n\r\n${eckId}\n`,
    );
    expect(learners).toEqual([
      { lasKey: key, eckId: '' },
      { lasKey: '', eckId },
    ]);
    expect(json).toMatchObject({
      error: { code: 'learner.unknown' },
      lines: [
        { line: 1, flowId: 'f', destroyed: '2026-11-22T07:30:00.000Z' },
        { line: 3, error: { code: 'learner.unknown' } },
      ],
    });
    expect(exit).toBe(1);
    expect(out + err).not.toContain('geheim');
  });

  test('are kept after all, by line', async () => {
    const learners: unknown[] = [];
    answers['keepLearner'] = (request) => {
      learners.push(request.learner);
      return learners.length === 2
        ? { flowId: 'g', decision: { code: 'state.conflict', told: 'This learner is destroyed.' } }
        : { flowId: 'f', decision: { outcome: 'LearnerKept' } };
    };
    const { exit, json, out, err } = await eduk(`learner keep --school ${school} --json`, `${key}\n${eckId}\n`);
    expect(learners).toEqual([
      { lasKey: key, eckId: '' },
      { lasKey: '', eckId },
    ]);
    expect(json.lines).toMatchObject([
      { line: 1, flowId: 'f', kept: true },
      { line: 2, error: { code: 'state.conflict', message: 'This learner is destroyed.' } },
    ]);
    expect(exit).toBe(1);
    expect(out + err).not.toContain('geheim');
  });

  test('get another number, two a line', async () => {
    const asked: unknown[] = [];
    answers['replaceNumber'] = ({ before, after }) => {
      asked.push([before, after]);
      return asked.length === 2 ? new Refusal('state.conflict', 'Two learners.') : { changed: true };
    };
    const lines = `${key};${key}8\n${eckId}\t${eckId}/2\n`;
    const { exit, json, out, err } = await eduk(`learner replace --school ${school} --json`, lines);
    expect(asked).toEqual([
      [
        { eckId: '', lasKey: key },
        { eckId: '', lasKey: `${key}8` },
      ],
      [
        { eckId, lasKey: '' },
        { eckId: `${eckId}/2`, lasKey: '' },
      ],
    ]);
    expect(json.lines).toMatchObject([
      { line: 1, changed: true },
      { line: 2, error: { code: 'state.conflict' } },
    ]);
    expect(exit).toBe(1);
    for (const wrong of [key, `${key};`, `${key};a;b`]) {
      const refused = await eduk(`learner replace --school ${school}`, `${wrong}\n`);
      expect(refused.exit).toBe(2);
      expect(refused.err).toContain('Line 1');
      expect(refused.err).not.toContain('geheim');
    }
    expect(out + err).not.toContain('geheim');
  });

  test('have other keys in another administration: counts, and lines that name nobody', async () => {
    const answered = {
      outcomes: ['maps', 'unknown', 'taken', 'known'],
      maps: 1,
      known: 1,
      unknown: 1,
      taken: 1,
      unnamed: 3,
      unnamedByYearGroup: [{ yearGroup: '7', learners: 3 }],
    };
    answer('mapKeys', answered);
    const lines = `${eckId}/1;${key}1\n\n${eckId}/2\t${key}2\n${eckId}/3;${key}3\n${eckId}/4;${key}4\n`;
    const looked = await eduk(`learner map --school ${school}`, lines);
    expect(asked['mapKeys']).toMatchObject({ schoolOin: school, apply: false });
    expect(asked['mapKeys'].learners[1]).toEqual({ eckId: `${eckId}/2`, lasKey: `${key}2` });
    expect(looked.exit).toBe(0);
    expect(looked.out).toMatch(/would lead to their learner +1\n/);
    expect(looked.out).toMatch(/year group 7 +3\n/);
    expect(looked.out).toMatch(/\n3 +nobody at the school has this ECK iD\n4 +the key is another/);
    expect(looked.err).toContain('Nothing was changed');
    // A spreadsheet writes a mark before its first line, and may put quotes around what it has.
    await eduk(`learner map --school ${school}`, `\ufeff"${eckId}/1";"${key}1"\r\n`);
    expect(asked['mapKeys'].learners).toEqual([{ eckId: `${eckId}/1`, lasKey: `${key}1` }]);
    const done = await eduk(`learner map --school ${school} --apply --json`, lines);
    expect(asked['mapKeys']).toMatchObject({ apply: true });
    expect([done.exit, done.json]).toEqual([
      1,
      {
        applied: true,
        maps: 1,
        known: 1,
        unknown: 1,
        taken: 1,
        left: [
          { line: 3, outcome: 'unknown' },
          { line: 4, outcome: 'taken' },
        ],
        unnamed: 3,
        unnamedByYearGroup: [{ yearGroup: '7', learners: 3 }],
      },
    ]);
    for (const wrong of [`${key};${key}`, `${eckId};${eckId}`]) {
      const refused = await eduk(`learner map --school ${school}`, `${wrong}\n`);
      expect([refused.exit, refused.err.includes('Line 1'), refused.err.includes('geheim')]).toEqual([2, true, false]);
    }
    expect(looked.out + looked.err + done.out + done.err).not.toContain('geheim');
  });

  test('are two who are one: what it comes to, that it waits, and by which id', async () => {
    const asked: any[] = [];
    const there = { schoolYears: ['2026-2027'], entitlements: 2, results: 1 };
    answers['mergeLearners'] = (request) => {
      asked.push(request);
      const shown = { outcome: 'merges', winner: there, loser: { ...there, entitlements: 0 }, undoUntilMs: 0n };
      if (!request.apply) return shown;
      return {
        ...shown,
        flowId: 'f',
        holdId: 'h-1',
        decision: { outcome: 'LearnersMergeHeld', code: 'hold.pending', told: 'It waits.' },
      };
    };
    const looked = await eduk(`learner merge --school ${school}`, `${key};${eckId}\n`);
    expect(asked[0]).toMatchObject({ winner: { lasKey: key }, loser: { eckId }, apply: false, undo: false });
    expect(looked.out).toContain('would become one');
    expect(looked.out.replaceAll(/\s+/g, ' ')).toContain(
      'the first: 2 entitlements, 1 result, in rosters of 2026-2027',
    );
    const done = await eduk(`learner merge --school ${school} --apply --json`, `${key};${eckId}\n`);
    expect([done.exit, done.json.lines]).toMatchObject([
      0,
      [{ line: 1, held: true, holdId: 'h-1', second: { entitlements: 0 } }],
    ]);
    expect(looked.out + looked.err + done.out + done.err).not.toContain('geheim');
  });

  test('held for approval is told as that', async () => {
    answers['forgetLearner'] = () => ({
      flowId: 'f',
      decision: { outcome: 'LearnerForgetHeld', code: 'hold.pending', told: 'It waits.' },
      destroyedMs: 0n,
    });
    const { exit, json } = await eduk(`learner forget --school ${school} --json`, `${key}\n`);
    expect([exit, json.lines]).toEqual([0, [{ line: 1, flowId: 'f', destroyed: null, held: true }]]);
  });

  test('none at all is wrong use', async () =>
    expect((await eduk(`learner forget --school ${school}`, '\n')).exit).toBe(2));

  test('given as an argument are refused without being repeated', async () => {
    for (const line of [`flow why --learner ${key} --school ${school}`, `learner forget ${key} --school ${school}`]) {
      const { exit, err } = await eduk(line);
      expect(exit).toBe(2);
      expect(err).not.toContain(key);
    }
  });

  test('why says first the sentence, then who must act', async () => {
    const blocker = {
      code: 'mandate.unconfirmed',
      lastStep: 'release',
      who: 'school',
      partyOin: school,
      partyName: 'De Regenboog',
      told: 'Not confirmed.',
      remedy: 'The school confirms.',
      sinceMs: BigInt(NOW - 180_000),
      learners: 24,
    };
    answer('whyBlocked', { told: 'The school must confirm.', blockers: [blocker] });
    const { out, exit } = await eduk('flow why --order o-1');
    expect(out.startsWith('The school must confirm.\n\nWHAT BLOCKS')).toBe(true);
    for (const text of ['mandate.unconfirmed', '3 min', 'De Regenboog', 'The school confirms.', '24 learners'])
      expect(out).toContain(text);
    expect(exit).toBe(0);
    // Fifty of the same are one row with how many; --json keeps each.
    const same = Array.from({ length: 50 }, (_, i) => ({
      ...blocker,
      learners: 1,
      entitlementId: `e-${i}`,
      flowId: `f-${i}`,
    }));
    answer('whyBlocked', { told: 'The school must confirm.', blockers: [...same, { ...blocker, code: 'log.gap' }] });
    const many = await eduk('flow why --order o-1');
    expect(many.out.match(/mandate\.unconfirmed/g)).toHaveLength(1);
    expect(many.out.replace(/\s+/g, ' ')).toContain('entitlements e-0, e-1, e-2 and 47 more');
    expect(many.out).toContain('50 learners');
    expect(many.out).toContain('log.gap');
    expect((await eduk('flow why --order o-1 --json')).json.blockers).toHaveLength(51);
    answer('whyBlocked', { told: 'The school must confirm.', blockers: [blocker] });
    const two = await eduk(`flow why --learner --school ${school} --json`, `a\nb\n`);
    expect(two.json.blockers.map(({ line }: any) => line)).toEqual([1, 2]);
    const one = await eduk(`flow why --learner --school ${school} --json`, 'a\n');
    expect(one.json).toMatchObject({
      told: 'The school must confirm.',
      blockers: [{ since: '2026-11-22T07:27:00.000Z', partyName: 'De Regenboog' }],
    });
    await eduk(`flow why --party ${oin}`);
    expect(asked['whyBlocked']).toMatchObject({ partyOin: oin, schoolOin: '', orderId: '' });
    expect((await eduk(`flow why --party ${oin} --order o-1`)).exit).toBe(2);
    expect((await eduk('flow why --product 978')).exit).toBe(2);
    expect((await eduk('flow why --product 978 --order 1')).exit).toBe(2);
  });

  test('party score shows how it goes, as a table, JSON, CSV and the files of a month', async () => {
    const score = {
      accepted: 120n,
      refused: 3n,
      refusedAtDoor: 2n,
      schemaViolations: 2n,
      refusals: [
        { code: 'product.unknown', times: 3n },
        { code: 'wire.invalid', times: 2n },
      ],
      requests: 40n,
      again: 6n,
      failed: 5n,
      failures: [{ code: '503', times: 5n }],
      delivered: 35n,
      answerP50Ms: 90n,
      answerP99Ms: 1_400n,
      deliveryP50Ms: 120n,
      deliveryP99Ms: 65_000n,
    };
    const card = {
      partyOin: oin,
      fromDay: '2026-10-01',
      untilDay: '2026-10-31',
      total: score,
      days: [{ day: '2026-10-05', score }],
      endpoints: [{ standard: 'webhook', score }],
      endings: [
        { what: 'mandate', subject: 'vo-2026 3.0', day: '2026-11-30', count: 2, schoolOins: [school] },
        { what: 'certificate', subject: '', day: '2026-12-01', count: 1 },
      ],
      lastAcceptedMs: BigInt(NOW),
    };
    answer('showScorecard', { scorecard: card });
    answer('listParties', { parties: [{ oin, name: 'Uitgever' }] });
    const { out } = await eduk(`party score ${oin} --from 2026-10-01 --to 2026-10-31`);
    expect(asked['showScorecard']).toEqual({ partyOin: oin, fromDay: '2026-10-01', untilDay: '2026-10-31' });
    const words = out.replaceAll(/\s+/g, ' ');
    for (const said of [
      'Uitgever, ',
      'refused 5: product.unknown 3, wire.invalid 2',
      'requests 40, of which 6 again',
      'failed 5: 503 5',
      '90 ms (half)',
      '2026-11-30 mandates vo-2026 3.0, 2 schools',
    ])
      expect(words).toContain(said);
    expect((await eduk(`party score ${oin} --json`)).json).toMatchObject({
      partyName: 'Uitgever',
      lastDelivered: null,
      total: { accepted: 120, answerP99Ms: 1_400 },
      days: [{ day: '2026-10-05', failures: [{ code: '503', times: 5 }] }],
      endings: [
        { what: 'mandate', count: 2 },
        { what: 'certificate', subject: null },
      ],
    });
    const csv = (await eduk(`party score ${oin} --csv`)).out.split(/\r?\n/);
    expect(csv[0]).toMatch(/^partyOin,day,accepted,refused,/);
    expect(csv[1]).toBe(`${oin},2026-10-05,120,3,2,2,40,6,5,35,90,1400,120,65000`);
    const folder = join(gateway.data, 'scores');
    expect((await eduk(`party score --month 2026-10 --out ${folder} --json`)).json.files).toHaveLength(2);
    expect(asked['showScorecard']).toEqual({ partyOin: oin, fromDay: '2026-10-01', untilDay: '2026-10-31' });
    expect(readFileSync(join(folder, `${oin}-2026-10.csv`), 'utf8')).toContain('total,120,');
    for (const wrong of ['', `${oin} --month 2026-10`, `${oin} --csv --json`, '--month 2026-13 --out x', '12'])
      expect((await eduk(`party score ${wrong}`)).exit).toBe(2);
  });

  test('readiness shows how far, what to ask of whom, and no count that is not told', async () => {
    const of = (count: number, more: object = {}) => ({
      count,
      underTen: false,
      hidden: false,
      atLeast: false,
      ...more,
    });
    const cause = {
      code: 'entitlement.missing',
      state: 'confirmed',
      who: 'peer',
      partyOin: oin,
      partyName: 'Uitgeverij Wilg',
      told: 'Not granted.',
      remedy: 'The seller grants the entitlement.',
      products: 1,
    };
    const row = {
      schoolOin: school,
      schoolName: 'De Regenboog',
      productId: '978',
      title: 'Rekenen',
      wanted: of(24),
      confirmed: of(24),
      granted: of(0, { hidden: true }),
      provisioned: of(0),
      opened: of(0),
      causes: [{ ...cause, count: of(0, { underTen: true }) }],
    };
    const day = { day: '2026-08-19', wanted: 240, confirmed: 240, granted: 230, provisioned: 0, opened: 0 };
    const page = { schoolYear: '2026-2027', daysLeft: 5, rows: [row], days: [day] };
    answer('showReadiness', { readiness: { ...page, chase: [{ ...cause, count: of(30, { atLeast: true }) }] } });
    const line = `readiness --school ${school} --first-day 2026-08-24`;
    const { out, exit } = await eduk(line);
    expect(asked['showReadiness']).toMatchObject({
      asked: { schoolOin: school, firstDay: '2026-08-24', byGroup: false },
    });
    expect(exit).toBe(0);
    for (const text of ['in 5 days', 'Rekenen', '<10', '30+', 'Uitgeverij Wilg', 'The seller grants', '2026-08-19'])
      expect(out).toContain(text);
    expect((await eduk(`${line} --json`)).json).toMatchObject({
      daysLeft: 5,
      rows: [{ wanted: { count: 24 }, granted: { count: null }, causes: [{ count: null, underTen: true }] }],
      chase: [{ count: 30, atLeast: true, partyOin: oin }],
      days: [{ granted: 230 }],
    });
    answer('showReadiness', { readiness: { schoolYear: '2026-2027' } });
    expect((await eduk('readiness')).err).toContain('Nothing is wanted for 2026-2027');
    expect((await eduk('readiness --by-group')).exit).toBe(2);
  });

  test('preflight groups lines by whom to call, and prints messages when asked', async () => {
    const line = {
      schoolOin: school,
      schoolName: 'De Regenboog',
      buyerOin: oin,
      orderId: 'o-1',
      productId: '978',
      title: 'Rekenen',
      code: 'product.no_link',
      who: 'peer',
      partyOin: oin,
      partyName: 'Uitgeverij Wilg',
      told: 'No link.',
      remedy: 'The publisher publishes the address.',
      quantity: 1,
    };
    const lines = Array.from({ length: 7 }, (_, i) => ({ ...line, lineId: `${i + 1}` }));
    const messages = [
      { partyOin: oin, partyName: 'Uitgeverij Wilg', subject: 'Seven lines', body: 'Dear Wilg,\n\n- o-1' },
    ];
    answer('showPreflight', { preflight: { day: '2027-08-01', lookedAt: 40, lines, messages } });
    const { out, exit } = await eduk(`preflight --party ${oin} --messages`);
    expect(exit).toBe(1);
    expect(asked['showPreflight']).toMatchObject({ partyOin: oin, asked: { lang: 'nl', day: '' } });
    for (const text of [
      '40 open lines',
      '7 lines',
      'product.no_link',
      'o-1/5',
      'and 2 more',
      'Seven lines',
      'Dear Wilg,',
    ])
      expect(out).toContain(text);
    expect((await eduk('preflight --json')).json).toMatchObject({
      failing: 7,
      lookedAt: 40,
      messages: [{ subject: 'Seven lines' }],
    });
    answer('showPreflight', { preflight: { day: '2027-08-01', lookedAt: 40 } });
    expect((await eduk('preflight')).exit).toBe(0);
  });

  test('launches say whose fault it is and whom to call before the figures, and exit 1 where it is not as usual', async () => {
    const of = (count: number) => ({ count, underTen: false, hidden: false, atLeast: false });
    const small = { count: 0, underTen: true, hidden: false, atLeast: false };
    const quarter = { at: '08:30', asked: of(400), opened: of(30), unopened: of(362), refused: small, usual: 410 };
    const row = {
      platformOin: oin,
      platformName: 'Leerplein',
      publisherOin: oin,
      publisherName: 'Uitgeverij Wilg',
      quarters: [quarter],
      state: 'low',
      percent: 5,
      usualPercent: 95,
      usualKnown: true,
      whose: 'them',
      code: 'peer.unavailable',
      who: 'peer',
      partyOin: oin,
      partyName: 'Leerplein',
      because: 'unopened',
      told: 'It is them: tickets.',
      remedy: 'Call the platform.',
    };
    answer('showLaunches', { launches: { day: '2026-08-24', until: '08:45', beside: ['2026-08-17'], rows: [row] } });
    const { out, exit } = await eduk(`launches --party ${oin}`);
    expect(exit).toBe(1);
    expect(asked['showLaunches']).toMatchObject({ partyOin: oin, asked: { day: '' } });
    for (const text of [
      'Leerplein',
      '5 % get in, usually 95 %',
      'It is them: tickets.',
      'Call the platform.',
      '<10',
      '400 (410)',
    ])
      expect(out).toContain(text);
    expect((await eduk('launches --json')).json).toMatchObject({
      rows: [{ whose: 'them', quarters: [{ refused: { count: null, underTen: true } }] }],
    });
    answer('showLaunches', {
      launches: { day: '2026-08-24', until: '08:45', rows: [{ ...row, state: 'usual', whose: '' }] },
    });
    expect((await eduk('launches')).exit).toBe(0);
    answer('showLaunches', { launches: { day: '2026-08-24' } });
    expect((await eduk('launches')).err).toContain('No launches on 2026-08-24');
  });

  test('why shows what a learner has before what blocks, and what is over under a heading of its own', async () => {
    const licence = { title: 'Rekenen', productId: '978', endsOn: '2027-07-31', platformName: 'Leerplein' };
    answer('whyBlocked', {
      told: 'The learner has 3 active licences and can open 2 of them. It waits.',
      has: [
        { ...licence, entitlementId: 'e-1', holder: 'learner' },
        { ...licence, title: '', entitlementId: 'e-2', holder: 'school', code: 'mandate.ended' },
        { entitlementId: '', holder: 'group', endsOn: '2027-07-31' },
      ],
      blockers: [{ code: 'product.unknown', told: 'It waits.', learners: 1 }],
      earlier: [{ code: 'entitlement.expired', told: 'It ended.', sinceMs: BigInt(NOW - 9 * 86_400_000) }],
      partial: true,
    });
    const { out } = await eduk(`flow why --learner --school ${school}`, 'a\n');
    const places = ['can open 2 of them', 'LICENCE', 'WHAT BLOCKS', 'Refused or ended earlier', 'entitlement.expired'];
    expect(places.map((text) => out.indexOf(text))).toEqual(
      places.map((text) => out.indexOf(text)).sort((a, b) => a - b),
    );
    for (const text of [
      'Rekenen',
      'the learner',
      'Leerplein',
      'not now: mandate.ended',
      '(a sensitive product)',
      '9 d',
    ])
      expect(out).toContain(text);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    const { json } = await eduk(`flow why --learner --school ${school} --json`, 'a\n');
    expect(json).toMatchObject({
      has: [
        { line: 1, title: 'Rekenen', opens: true, code: null },
        { line: 1, title: null, opens: false, code: 'mandate.ended' },
        { line: 1, productId: null },
      ],
      earlier: [{ line: 1, code: 'entitlement.expired' }],
      partial: true,
    });
  });
});

describe('what waits', () => {
  test('messages, and rosters that were read, are listed by school, party and state', async () => {
    const id = '019ab000-0000-7000-8000-000000000001';
    const found = {
      ...{ flowId: id, method: 'uwlr/HaalLeerlinggegevens', partyOin: oin, schoolOin: school, subject: '2026-2027' },
      ...{ state: 'read', code: '', acceptedMs: BigInt(NOW) },
    };
    answer('listFlows', { flows: [found], names: [{ oin, name: 'Uitgever' }], coveredFromMs: 0n, more: false });
    const { out, exit } = await eduk(`flow list --state read --party ${oin} --school 01AB`);
    expect([exit, out.includes('Uitgever'), out.includes(id)]).toEqual([0, true, true]);
    expect(asked['listFlows']).toMatchObject({ state: 'read', partyOin: oin, schoolOin: school, text: '', limit: 0 });
    expect((await eduk('flow list 2026-2027 --json')).json).toEqual([
      {
        ...{ flowId: id, at: '2026-11-22T07:30:00.000Z', method: 'uwlr/HaalLeerlinggegevens', partyOin: oin },
        ...{ partyName: 'Uitgever', schoolOin: school, subject: '2026-2027', state: 'read', code: null },
      },
    ]);
    expect(asked['listFlows']).toMatchObject({ text: '2026-2027' });
    answer('listFlows', { flows: [], names: [], coveredFromMs: BigInt(NOW), more: false });
    expect((await eduk('flow list x')).out).toContain('Messages since 2026-11-22 08:30:00 were looked through');
    expect(asked['listFlows']).toMatchObject({ fromMs: 0n, beforeMs: 0n, after: '' });
    answer('listFlows', { flows: [], names: [], coveredFromMs: BigInt(NOW), more: false, next: id });
    const ranged = await eduk(`flow list --from 2026-11-20 --until 2026-11-22T08:31:00+01:00 --after ${id}`);
    expect(ranged.out).toContain(`What is older is looked for: eduk flow list with the same words and --after ${id}`);
    expect(asked['listFlows']).toMatchObject({
      fromMs: BigInt(Date.parse('2026-11-19T23:00:00Z')),
      beforeMs: BigInt(NOW + 60_000),
      after: id,
    });
    for (const wrong of ['--state somewhere', '--limit 500', '--limit 0', '--from yesterday', '--until 08:30'])
      expect((await eduk(`flow list ${wrong}`)).exit).toBe(2);
  });

  test('by the id of a delivery what went out under it is listed; shown where it was one message', async () => {
    const id = '019ab000-0000-7000-8000-00000000000d';
    const flow = (flowId: string) => ({ flowId, method: 'EntitlementService/GrantEntitlements', state: 'decided' });
    const delivery = (flowId: string, status: number) => ({
      ...{ flowId, deliveryId: `e-${flowId}`, schoolOin: school, about: `licence-${flowId}` },
      delivery: {
        ...{ partyOin: oin, type: 'EntitlementGranted', state: status === 200 ? 'delivered' : 'failing' },
        ...{ attempts: 2, status, atMs: BigInt(NOW) },
      },
    });
    const names = [{ oin, name: 'Leerplein' }];
    const two = { flows: [flow('a'), flow('b')], deliveries: [delivery('a', 200), delivery('b', 500)], gone: 1, names };
    answer('listFlows', { ...two, coveredFromMs: 0n, more: false });
    const { out, exit } = await eduk(`flow list ${id}`);
    expect(exit).toBe(0);
    for (const word of [
      'Leerplein',
      'licence-b',
      'failing',
      '2 attempts, 500',
      '1 event of this request is kept no longer',
    ])
      expect(out).toContain(word);
    expect((await eduk(`flow list ${id} --json`)).json[1]).toMatchObject({
      flowId: 'b',
      deliveries: [
        { deliveryId: 'e-b', receiverOin: oin, about: 'licence-b', state: 'failing', attempts: 2, status: 500 },
      ],
    });
    answer('showFlow', new Refusal('state.missing', 'Nothing is known under this id.', []));
    expect((await eduk(`flow show ${id}`)).err).toContain(`2 messages went out under this id: eduk flow list ${id}`);
    answer('listFlows', { flows: [], deliveries: [], missing: ['deliveries'], coveredFromMs: 0n, more: false });
    expect((await eduk(`flow list ${id}`)).out).toContain('Not all mail of the time of this id was looked through');
    expect((await eduk(`flow show ${id}`)).exit).toBe(1);
  });

  test('messages about a learner are listed, whom standard input names and no answer does', async () => {
    const told = 'pw1-abcdefghijklmnopqrstuvwxyz';
    answer('listFlows', {
      flows: [{ flowId: 'f', subject: 'order-1', state: 'decided' }],
      names: [],
      coveredFromMs: 0n,
      more: true,
      next: 'f',
    });
    const asks = `flow list --learner --school 01AB`;
    const { out, exit } = await eduk(`${asks} --pseudonym-of ${oin} --party ${oin}`, `${told}\n`);
    expect([exit, out.includes('order-1'), out.includes(told)]).toEqual([0, true, false]);
    expect(out).toContain('There are more: eduk flow list with the same words and --after f');
    expect(asked['listFlows']).toMatchObject({
      ...{ text: '', schoolOin: school, partyOin: oin, pseudonymOfOin: oin },
      learner: { eckId: '', lasKey: told },
    });
    const eckId = 'https://ketenid.nl/201703/0a1b';
    expect((await eduk(`${asks} --json`, `${eckId}\n`)).json).toMatchObject([{ subject: 'order-1' }]);
    expect(asked['listFlows']).toMatchObject({ learner: { eckId, lasKey: '' }, pseudonymOfOin: '' });
    for (const [line, input, says] of [
      ['flow list --learner', `${told}\n`, 'Name the school'],
      [`${asks} order-1`, `${told}\n`, 'by --learner or by TEXT'],
      [asks, `${told}\n${eckId}\n`, 'one learner at a time'],
      [asks, '\n', 'no learner'],
      [`flow list --pseudonym-of ${oin}`, '', 'by --learner'],
      [`${asks} --pseudonym-of ${told}`, '', 'must be an OIN'],
      [`flow list --learner ${eckId} --school 01AB`, '', 'standard input'],
    ] as const) {
      const wrong = await eduk(line, input);
      expect([line, wrong.exit, wrong.err.includes(says)]).toEqual([line, 2, true]);
      for (const value of [told, eckId]) expect(wrong.err).not.toContain(value);
    }
  });

  test('a flow is shown with its steps', async () => {
    const flow = {
      flowId: 'f',
      method: 'OrderService/PlaceOrder',
      state: 'decided',
      steps: [
        { step: 'OrderPlaced', service: 'orders', atMs: BigInt(NOW), state: 'done' },
        { step: 'delivery', service: 'delivery', receiverOin: oin, state: 'waiting', code: 'mandate.missing' },
      ],
    };
    answer('showFlow', { flow, partyOin: oin, partyName: 'Uitgever' });
    expect((await eduk('flow show f')).out).toContain('2026-11-22 08:30:00  OrderPlaced');
    expect((await eduk('flow show f --json')).json.steps[1]).toEqual({
      step: 'delivery',
      service: 'delivery',
      at: null,
      state: 'waiting',
      code: 'mandate.missing',
      told: null,
      receiverOin: oin,
      losses: [],
    });
    // A row that lies in a mailbox has not been fetched yet, whatever `done` may suggest.
    const sent = {
      ...{ step: 'ResultRecorded', service: 'delivery', atMs: BigInt(NOW), receiverOin: oin, state: 'done' },
      ...{ told: 'uwlr: attempt 1 was answered 200' },
      losses: [{ element: 'done_percent', reason: 'no_place', count: 1 }],
    };
    answer('showFlow', { flow: { ...flow, steps: [sent] }, partyOin: oin, partyName: 'Uitgever' });
    expect((await eduk('flow show f')).out).toContain('left out: done_percent');
    expect((await eduk('flow show f --json')).json.steps[0].losses).toEqual(sent.losses);
    const laid = { step: 'OrderPlaced', service: 'delivery', atMs: BigInt(NOW), receiverOin: oin, state: 'done' };
    answer('showFlow', { flow: { ...flow, steps: [laid] }, partyOin: oin, partyName: 'Uitgever' });
    expect((await eduk('flow show f')).out).toMatch(/delivery +done +in its mailbox/);
    answer('showFlow', {
      flow: { ...flow, state: 'held', changes: 24, held: 10 },
      partyOin: oin,
      partyName: 'Uitgever',
    });
    expect((await eduk('flow show f')).out).toMatch(/waits for approval +10 of 24 changes: eduk hold list/);
    expect((await eduk('flow show f --json')).json).toMatchObject({ state: 'held', changes: 24, held: 10 });
    expect((await eduk('flow show --reference r')).exit).toBe(2);
  });

  test('holds are listed with their difference and decided by id', async () => {
    answer('listHolds', {
      holds: [
        {
          holdId: 'h',
          schoolOin: school,
          schoolName: 'De Regenboog',
          schoolYear: '2026-2027',
          siteCode: '01',
          reason: 'removes_many',
          difference: { before: 100, after: 20, left: 80, groupsClosed: 2, staffRenamed: 3 },
          yearGroups: [{ yearGroup: '7', left: 80, joined: 1 }],
          sinceMs: BigInt(NOW - 3_600_000),
          state: 'waiting',
          groupsClosing: ['7a', '7b'],
          groups: [{ group: 'G7', name: '7a', yearGroup: '7', left: 80, closes: true }],
        },
      ],
    });
    const { out } = await eduk('hold list');
    for (const text of [
      '100 learners become 20: 80 leave, 2 groups close, 3 staff renamed',
      '7: 80 leave, 1 join',
      'it removes many learners',
      '2026-2027, site 01',
      '7a, 7b',
      '7a: 80 leave, closes',
      '(1 h)',
    ])
      expect(out).toContain(text);
    answer('decideHold', { flowId: 'f', decision: { outcome: 'HoldDecided' } });
    expect((await eduk('hold approve h --json')).json).toEqual({ holdId: 'h', state: 'approved', flowId: 'f' });
    expect(asked['decideHold']).toEqual({
      holdId: 'h',
      approve: true,
      confirm: false,
      kinds: [],
      groups: [],
      productIds: [],
    });
    await eduk('hold reject h');
    expect(asked['decideHold'].approve).toBe(false);
    expect((await eduk('hold approve h --without left,groupsClosed --group 7a')).out).toContain('approved in part');
    expect(asked['decideHold']).toMatchObject({ groups: ['G7'], kinds: expect.arrayContaining(['joined', 'renamed']) });
    expect(asked['decideHold'].kinds).not.toContain('left');
    await eduk('hold reject h --only left');
    expect(asked['decideHold']).toMatchObject({ approve: false, kinds: ['left'], groups: [] });
    await eduk('hold approve h --product maths');
    expect(asked['decideHold']).toMatchObject({ approve: true, kinds: [], productIds: ['maths'] });
    expect((await eduk('hold approve h --group 8z')).exit).not.toBe(0);
    expect((await eduk('hold approve h --only left --without joined')).exit).not.toBe(0);
    answer('decideHold', new Refusal('state.conflict', 'This hold was approved before.', [{ path: 'hold_id' }]));
    expect((await eduk('hold reject h --json')).json.error).toMatchObject({
      code: 'state.conflict',
      message: 'This hold was approved before.',
    });
  });

  test('held withdrawals are listed by class, and decided by it', async () => {
    const of = (count: number, more = {}) => ({ count, underTen: false, hidden: false, atLeast: false, ...more });
    answer('listHolds', {
      holds: [
        {
          holdId: 'change-h',
          schoolOin: school,
          reason: 'withdraws_many',
          state: 'waiting',
          sinceMs: BigInt(NOW),
          products: [{ productId: '9789000000019', title: 'Getal 1', entitlements: 40, learners: 38 }],
          groups: [
            { group: 'G7', name: '7a', loses: [{ productId: '9789000000019', learners: of(24), licences: 1 }] },
            {
              group: 'without-class',
              loses: [
                { productId: '9789000000019', learners: of(0, { underTen: true }), licences: 0 },
                { productId: '9789000000026', learners: of(0), licences: 2 },
              ],
            },
          ],
        },
      ],
    });
    expect((await eduk('hold list')).out.replace(/\s+/g, ' ')).toContain(
      'by group 7a: 24 of Getal 1, 1 licence of no learner, of Getal 1; without-class: <10 of Getal 1, 2 licences of no learner, of 9789000000026',
    );
    const left = { productId: '9789000000019', title: 'Getal 1', learners: 24, atLeast: true };
    const rest = { holdId: 'change-h', schoolOin: school, reason: 'withdraws_many', state: 'waiting' };
    answer('listHolds', {
      holds: [25, 0].map((entitlements) => ({ ...rest, products: [{ ...left, entitlements }], groups: [] })),
    });
    const { out } = await eduk('hold list');
    for (const text of ['25 entitlements or more', 'some entitlements']) expect(out).toContain(text);
    expect(out).not.toContain('of one learner');
    answer('listHolds', {
      holds: [
        {
          ...rest,
          groups: [
            { group: 'G7', name: '7a' },
            { group: 'without-class', name: '' },
          ],
        },
      ],
    });
    answer('decideHold', { flowId: 'f', decision: { outcome: 'EntitlementHoldDecided' } });
    await eduk('hold reject change-h --group 7a,without-class --product 9789000000019');
    expect(asked['decideHold']).toMatchObject({ groups: ['G7', 'without-class'], productIds: ['9789000000019'] });
  });

  test('the turn of a school year is seen before it is asked', async () => {
    const turn = {
      running: '2026-2027',
      schoolYear: '2027-2028',
      difference: { learnersBefore: 612, learnersAfter: 598, learnersStay: 540, groupsBefore: 24, groupsAfter: 25 },
      sites: [{ siteCode: '01', before: 300, after: 0 }],
      onDay: '2027-08-01',
      waits: 'leaves_out_site',
    };
    answer('previewTurn', { schoolName: 'De Regenboog', turn });
    const { out, err } = await eduk(`roster turn --school ${school}`);
    for (const text of [
      'De Regenboog',
      '2027-2028',
      '612 → 598: 540 in both, 58 new, 72 in this year only',
      '2027-08-01',
    ])
      expect(out).toContain(text);
    expect(out.replace(/\s+/g, ' ')).toContain('a site of this year has no roster for the year to come');
    expect(err).toContain('Nothing was changed');
    expect(asked['turnYear']).toBeUndefined();
    expect((await eduk(`roster turn --school ${school} --on 2027-08-23`)).exit).toBe(2);
    answer('turnYear', { flowId: 'f', decision: { outcome: 'SchoolYearTurnPlanned' } });
    const done = await eduk(`roster turn --school ${school} --on 2027-08-23 --apply --json`);
    expect(done.json).toMatchObject({
      applied: true,
      flowId: 'f',
      running: '2026-2027',
      schoolYear: '2027-2028',
      onDay: '2027-08-23',
      planned: true,
    });
    const shown = (await eduk(`roster turn --school ${school} --on 2027-08-23 --apply`)).out;
    expect(shown).toContain('2027-08-23, chosen for this school');
    expect(shown).not.toContain('2027-08-01');
    expect(asked['turnYear']).toEqual({ schoolOin: school, schoolYear: '2027-2028', onDay: '2027-08-23' });
    const told = 'A roster of this school year waits for approval: decide about it first.';
    answer('turnYear', { flowId: 'f', decision: { outcome: 'SchoolYearTurnRefused', code: 'hold.pending', told } });
    const refused = await eduk(`roster turn --school ${school} --apply --json`);
    expect([refused.exit, refused.json.error.code, refused.json.applied]).toEqual([1, 'hold.pending', false]);
  });

  test('rosters that are asked of administrations are listed, with who must act and when it goes on by itself', async () => {
    const las = '00000001000000000007';
    const pulls = [
      {
        pull: {
          partyOin: las,
          dueMs: 1_795_000_000_000n,
          lastMs: 1n,
          outcome: 'failed',
          code: 'peer.unavailable',
          who: 'peer',
          failures: 2,
        },
        scheduled: true,
      },
      {
        pull: {
          partyOin: las,
          schoolOin: school,
          schoolYear: '2026-2027',
          siteCode: '01',
          lastMs: 1_790_000_000_000n,
          outcome: 'failed',
          code: 'gateway.unavailable',
          told: 'The settings name no address.',
          who: 'us',
          failures: 1,
        },
        scheduled: false,
      },
      { pull: { partyOin: las, schoolOin: '0000000700075ZZ00000', schoolYear: '2026-2027' }, scheduled: true },
    ];
    const names = [
      { oin: school, name: 'De Regenboog' },
      { oin: las, name: 'De Leerlijst' },
    ];
    answer('listPulls', { pulls, names, problems: ['x.json: party must be an OIN.'] });
    const { out } = await eduk(`roster pulls --school ${school} --failing`);
    expect(asked['listPulls']).toEqual({ schoolOin: school, partyOin: '', failing: true });
    for (const text of [
      'De Leerlijst',
      'all its schools',
      'rests',
      'De Regenboog',
      'gateway.unavailable',
      'The settings name no address.',
      'the operator must act',
      'by hand',
      'not asked yet',
      'soon',
      'x.json: party must be an OIN.',
    ])
      expect(out.replace(/\s+/g, ' ')).toContain(text);
    const { json } = await eduk('roster pulls --json');
    expect(json.rosters).toHaveLength(3);
    expect(json.rosters[2]).toMatchObject({ outcome: null, last: null, next: null, scheduled: true });
    answer('listPulls', {});
    expect((await eduk('roster pulls')).out).toBe('No roster is asked of any administration.\n');
  });

  test('a school that waits to be destroyed is told by doctor while it can be kept, and who must confirm', async () => {
    answer('status', { version: '1' });
    const receivers = [{ partyOin: oin, confirmedMs: 0n, mustConfirm: true }];
    answer('listSchoolForgets', {
      forgettings: [
        { schoolOin: school, state: 'waits', destroyAtMs: 1_795_000_000_000n, receivers },
        { schoolOin: '0000000700075ZZ00000', state: 'kept', receivers },
        { schoolOin: '0000000700078ZZ00000', state: 'destroyed', receivers: [{ partyOin: oin, confirmedMs: 1n }] },
      ],
    });
    const { json } = await eduk('doctor --json');
    const said = json.checks.filter(({ name }: { name: string }) => name === 'forgotten schools');
    expect(said.map(({ says }: { says: string }) => says)).toEqual([
      `${school} (to be destroyed 2026-11-18 12:06:40): 1 receiver has not confirmed; see eduk school forgets, and ask them`,
      `${school} is closed, and destroyed on 2026-11-18 12:06:40; eduk school keep takes that back`,
    ]);
    answer('listSchoolForgets', {});
    expect((await eduk('doctor --json')).json.checks).toContainEqual({
      name: 'forgotten schools',
      state: 'ok',
      says: 'nobody has to be asked whether it deleted what it had',
    });
  });

  test('a school whose turn waits is told by doctor, with why, ten by name', async () => {
    const turn = (n: number, why: string) => ({
      schoolOin: `00000007000${10 + n}ZZ00000`,
      running: '2025-2026',
      schoolYear: '2026-2027',
      onDay: '2026-08-01',
      why,
    });
    const some = Array.from({ length: 12 }, (_, n) => turn(n, n === 0 ? 'held' : 'no_roster'));
    answer('status', { version: '1', turns: some, turnsTotal: 40 });
    const { json } = await eduk('doctor --json');
    const said = json.checks.filter(({ name }: { name: string }) => name === 'school year');
    expect(said).toHaveLength(11);
    expect(said[0]).toMatchObject({ state: 'warn' });
    expect(said[0].says).toContain('a roster for that year waits for approval');
    expect(said[1].says).toContain('no roster for that year came; see eduk roster turn');
    expect(said[10].says).toBe('30 more schools wait');
    answer('status', { version: '1' });
    expect((await eduk('doctor --json')).json.checks.map(({ name }: { name: string }) => name)).not.toContain(
      'school year',
    );
  });

  test('parked keys are listed and taken up again, only those that were meant', async () => {
    const keys = [
      { consumer: 'orders', stream: 'orders', key: 'a', code: 'gateway.bug', events: 2 },
      { consumer: 'orders', stream: 'rosters', key: 'b', code: 'gateway.bug', events: 1 },
    ];
    answer('listParked', {
      keys,
      rows: [{ partyOin: oin, schoolOin: school, service: 1, code: 'mandate.unconfirmed', rows: 3n }],
      names: [{ oin: school, name: 'De Regenboog' }],
    });
    const { out } = await eduk('dead list');
    for (const text of ['2 keys parked', 'mandate.unconfirmed', 'the school', 'De Regenboog', oin])
      expect(out).toContain(text);
    // A line for each key.
    expect(out).toMatch(
      /^CONSUMER +STREAM +KEY +CODE +EVENTS +SINCE\norders +orders +a +gateway\.bug +2\norders +rosters +b +/m,
    );
    const retried: string[] = [];
    answers['retryParked'] = ({ key }) => {
      retried.push(key);
      return { found: true };
    };
    answer('resolveDeliveries', { keys: 0, rows: 0n });
    expect((await eduk('dead retry b --json')).json).toEqual({
      retried: [{ consumer: 'orders', stream: 'rosters', key: 'b' }],
      deliveries: { keys: 0, rows: 0 },
      endpoints: [],
    });
    await eduk('dead retry --all');
    expect(retried).toEqual(['b', 'a', 'b']);
    expect((await eduk('dead retry none')).exit).toBe(1);
    expect((await eduk('dead retry')).exit).toBe(2);
  });

  test('what was dropped is told with its number', async () => {
    const dropped = { partyOin: oin, schoolOin: school, service: 2, code: 'mandate.ended', rows: 7n };
    answer('listParked', {
      keys: [],
      rows: [],
      names: [],
      dropped: [{ ...dropped, fromMs: BigInt(NOW), untilMs: BigInt(NOW) }],
    });
    const { out } = await eduk('dead list');
    for (const text of ['Nothing waits.', 'thirty days', 'mandate.ended', '7', 'order', oin])
      expect(out).toContain(text);
    expect((await eduk('dead list --json')).json.dropped).toMatchObject([
      { rows: 7, code: 'mandate.ended', service: 'order' },
    ]);
  });

  test('what an endpoint did not take is listed with its last status, sent again or given up', async () => {
    const parked = {
      ...{ partyOin: oin, schoolOin: school, service: 3, standard: 'webhook', key: 'token-1' },
      ...{ code: 'peer.refused', status: 422, attempts: 1, rows: 2n },
    };
    const resting = { partyOin: oin, standard: 'webhook', state: 'resting', status: 503, restUntilMs: BigInt(NOW) };
    answer('listParked', { keys: [], rows: [parked], endpoints: [resting], names: [] });
    const { out } = await eduk('dead list');
    expect(out).toContain(`${oin}, webhook; who must act: the other party\nKEY`);
    expect(out).toMatch(/^token-1 +entitlement +peer\.refused +422 +1 +2$/m);
    for (const text of ['resting', '503']) expect(out).toContain(text);
    const { json } = await eduk('dead list --json');
    expect(json.rows).toEqual([]);
    expect(json.deliveries).toMatchObject([{ key: 'token-1', status: 422, rows: 2, service: 'entitlement' }]);
    expect(json.endpoints).toMatchObject([{ state: 'resting', status: 503, partyOin: oin }]);
    answer('resolveDeliveries', { keys: 1, rows: 2n });
    expect((await eduk(`dead retry --party ${oin} --json`)).json.deliveries).toEqual({ keys: 1, rows: 2 });
    expect(asked['resolveDeliveries']).toMatchObject({ partyOin: oin, key: '', action: 'retry' });
    expect((await eduk('dead drop token-1 --json')).json).toEqual({ dropped: { keys: 1, rows: 2 } });
    expect(asked['resolveDeliveries']).toMatchObject({ partyOin: '', key: 'token-1', action: 'drop' });
    expect((await eduk('dead drop')).exit).toBe(2);
    expect((await eduk(`dead stop --school ${school} --json`)).json).toEqual({ stopped: { keys: 1, rows: 2 } });
    expect(asked['resolveDeliveries']).toMatchObject({ schoolOin: school, key: '', action: 'stop' });
    await eduk('dead stop --code peer.unavailable --until 2026-11-22T08:30:00+01:00');
    expect(asked['resolveDeliveries']).toMatchObject({
      partyOin: '',
      code: 'peer.unavailable',
      fromMs: 0n,
      untilMs: BigInt(Date.parse('2026-11-22T08:30:00+01:00')),
      action: 'stop',
    });
    await eduk(`dead list --party ${oin} --code peer.refused --from 2026-11-21`);
    expect(asked['listParked']).toMatchObject({ partyOin: oin, code: 'peer.refused', untilMs: 0n });
    expect((await eduk('dead drop --code no.code')).exit).toBe(2);
    expect((await eduk('dead drop --until 2026-11-31')).exit).toBe(2);
    expect((await eduk('dead stop --all')).out).toContain('2 messages of 1 key stopped');
    expect((await eduk('dead stop')).exit).toBe(2);
    answer('listParked', { keys: [], rows: [{ ...parked, stopped: true }], endpoints: [], names: [] });
    expect((await eduk('dead list')).out).toMatch(/^token-1 .* 1, stopped +2$/m);
    expect((await eduk(`dead retry --party ${oin} --consumer orders`)).exit).toBe(2);
    answer('resolveDeliveries', { keys: 0, rows: 0n });
    expect((await eduk('dead drop token-2')).exit).toBe(1);
    expect((await eduk('dead stop token-2')).exit).toBe(1);
  });

  test('a school that an endpoint refuses as a whole is one line, with who must act and what it said in our words', async () => {
    const refused = {
      ...{ partyOin: oin, schoolOin: school, service: 5, standard: 'uwlr', key: '', code: 'peer.refused' },
      ...{ status: 500, rows: 812n, cause: 'Client.AutorisatieOngeldig', nextMs: BigInt(NOW + 3_600_000) },
      ...{ who: 'school', told: 'The administration does not take the key.' },
    };
    answer('listParked', { keys: [], rows: [refused], endpoints: [], names: [] });
    const { out } = await eduk('dead list');
    expect(out).toContain('1 whole school that an endpoint did not take');
    expect(out.replaceAll(/\s+/g, ' ')).toContain(
      `${oin}, uwlr; who must act: the school. Client.AutorisatieOngeldig: The administration does not take the key.`,
    );
    expect(out).toMatch(new RegExp(`^all of ${school} +result +peer\\.refused +500 +0 +812$`, 'm'));
    const { json } = await eduk('dead list --json');
    expect(json.deliveries).toMatchObject([
      { key: '', who: 'school', cause: 'Client.AutorisatieOngeldig', rows: 812, retryAt: expect.stringContaining('T') },
    ]);
  });

  test('an endpoint that said 410 is sent to again although no key parked; one that rests says until when', async () => {
    const endpoint = { partyOin: oin, standard: 'webhook', state: 'gone', status: 410 };
    answer('resolveDeliveries', { keys: 0, rows: 0n });
    answer('listParked', { keys: [], rows: [], endpoints: [endpoint], names: [] });
    const woken = await eduk(`dead retry --party ${oin} --json`);
    expect(woken).toMatchObject({ exit: 0, json: { endpoints: [{ partyOin: oin, standard: 'webhook' }] } });
    expect((await eduk(`dead retry --party ${oin}`)).out).toContain('1 endpoint');
    expect((await eduk(`dead retry --party ${school}`)).exit).toBe(1);
    const restUntilMs = BigInt(Date.UTC(2026, 10, 22, 7, 30));
    answer('listParked', {
      keys: [],
      rows: [],
      endpoints: [{ ...endpoint, state: 'resting', restUntilMs }],
      names: [],
    });
    expect((await eduk('dead list')).out).toContain('until 2026-11-22 08:30:00');
    const resting = await eduk(`dead retry --party ${oin}`);
    expect(resting.exit).toBe(1);
    expect(resting.err).toMatch(/rests until\s+2026-11-22\s+08:30:00/);
  });
});

test.each([
  ['hold list', 'listHolds', {}],
  ['dead list', 'listParked', {}],
  ['dead drop', 'resolveDeliveries', { keys: 1, rows: 1n }],
  ['dead stop', 'resolveDeliveries', { keys: 1, rows: 1n }],
  ['mandate list', 'listMandates', {}],
  ['audit access', 'listAccess', {}],
])('a school is named by BRIN or by OIN: %s', async (command, method, said) => {
  answer(method as 'listHolds', said);
  for (const named of ['99zx', '99ZX', schoolOin('99ZX')]) {
    delete asked[method];
    await eduk(`${command} --school ${named} --json`);
    expect(asked[method]).toMatchObject({ schoolOin: schoolOin('99ZX') });
  }
  expect((await eduk(`${command} --school 99Z`)).err).toMatch(/must be a BRIN or an OIN/);
});

describe('errors', () => {
  test('have one shape in JSON, with places and never a value', async () => {
    answer(
      'listParties',
      new Refusal('mandate.unconfirmed', 'Not yet.', [{ path: 'a.b' }, { path: 'EDEX/x', line: 7 }]),
    );
    const { exit, out, json, err } = await eduk('party list --json');
    expect(json).toEqual({
      error: {
        code: 'mandate.unconfirmed',
        message: 'Not yet.',
        who: 'school',
        where: [{ path: 'a.b' }, { path: 'EDEX/x', line: 7 }],
      },
    });
    expect([exit, out.trim().split('\n').length, err]).toEqual([1, 1, '']);
    const human = await eduk('party list');
    expect([human.out, human.err]).toEqual([
      '',
      'Not yet.\n  mandate.unconfirmed; who must act: the school\n  at a.b\n  at EDEX/x (line 7)\n',
    ]);
    // Whoever types the command is the sender.
    answer('listParties', { parties: [] });
    answer('listMandates', {});
    expect((await eduk(`party show ${oin}`)).err).toBe('No party has this OIN.\n  state.missing; who must act: you\n');
  });

  test('show a person ten places, and JSON all of them', async () => {
    const places = Array.from({ length: 43 }, (_, i) => ({ path: `a[${i}]` }));
    answer('listParties', new Refusal('wire.invalid', 'Wrong.', places));
    expect((await eduk('party list --json')).json.error.where).toEqual(places);
    const { err } = await eduk('party list');
    expect(err).toContain('at a[9]');
    expect(err).not.toContain('at a[10]');
    expect(err).toContain('33 places more');
  });

  test('are read from the trailer where the details are missing', async () => {
    answer('listParties', new Refusal('gateway.overloaded', 'Later.', [], true));
    expect((await eduk('party list --json')).json).toEqual({
      error: { code: 'gateway.overloaded', message: 'Later.', who: 'us' },
    });
  });

  test('of wrong use have the same shape and exit status 2', async () => {
    for (const line of [
      'nothing --json',
      '--json',
      'party --json',
      'party add --json',
      'replay --json',
      'party list --jsn --json',
    ]) {
      const { exit, json } = await eduk(line);
      expect(Object.keys(json)).toEqual(['error']);
      expect(json.error).toMatchObject({ code: 'wire.invalid', who: 'sender' });
      expect(exit).toBe(2);
    }
  });

  test('a token that is missing or of another gateway is said to be', async () => {
    answers['listParties'] = (_, token) =>
      token === 'Bearer eduk_operator_0123456789abcdef0123456789abcdef'
        ? { parties: [] }
        : new Refusal('party.unknown', 'Who?');
    expect((await eduk('party list')).exit).toBe(0);
    const file = join(gateway.data, 'other.key');
    writeFileSync(file, '# of another\neduk_operator_other\n');
    const other = await run('party list', { ...gateway.env, EDUK_TOKEN_FILE: file });
    expect([other.exit, other.err.replaceAll('\n', ' ').includes('does not know the token')]).toEqual([1, true]);
    const none = await run('party list', { EDUK_DATA: join(gateway.data, 'elsewhere'), EDUK_GRPC: gateway.grpc });
    expect([none.exit, none.err.includes('EDUK_TOKEN_FILE')]).toEqual([1, true]);
  });

  test('settings that are wrong are listed and are wrong use', async () => {
    const { exit, err } = await run('party list', { EDUK_NOTHING: '1', EDUK_GRPC: 'here' });
    expect(exit).toBe(2);
    expect(err.trim().split('\n')).toHaveLength(2);
  });

  test('a setting from --config is read', async () => {
    answer('listParties', { parties: [] });
    const file = join(gateway.data, 'eduk.conf');
    writeFileSync(file, `EDUK_DATA=${gateway.data}\n`);
    expect((await run(['--config', file, 'party', 'list', '--json'], {})).json).toEqual([]);
    expect((await run(['party', 'list', '--config', `${file}.none`], {})).exit).toBe(2);
  });

  test('every command but start and doctor needs a gateway, and says how to start one', async () => {
    const words: Record<string, string[]> = {
      'party add': ['--oin', oin, '--name', 'X', '--role', 'publisher'],
      'party show': [oin],
      'party score': [oin],
      'party endpoint remove': ['--oin', oin, '--standard', 'webhook'],
      'party secret renew': [oin],
      'party keys': [oin, '--jwks', 'https://keys.example/'],
      'party signin': [oin, '--none'],
      'release preview': ['--party', oin, '--school', '99AB'],
      'mandate grant': ['--school', school, '--party', oin, '--service', 'roster'],
      'mandate confirm': ['m'],
      'mandate accept': ['m'],
      'mandate refuse': ['m'],
      'mandate withdraw': ['m'],
      'mandate key': ['m', '--renew'],
      'roster import': ['-'],
      'roster turn': ['--school', school],
      'roster pull': ['--school', school],
      'roster watch': ['.', '--once'],
      'roster export': ['--party', oin, '--school', '99AB', '--out', 'never'],
      'catalogue import': ['-', '--party', oin],
      'flow show': ['f'],
      'flow why': ['--order', 'o'],
      'console link': ['--to', '/launches'],
      'console unlink': ['l'],
      'hold approve': ['h'],
      'hold reject': ['h'],
      'dead retry': ['--all'],
      'dead stop': ['key'],
      'dead drop': ['key'],
      'replay preview': ['--party', oin],
      'replay run': ['r'],
      'replay stop': ['r'],
      'reconcile run': ['--party', oin],
      'reconcile mend': ['--party', oin, '--school', school],
      'learner forget': ['--school', school],
      'learner keep': ['--school', school],
      'learner replace': ['--school', school],
      'learner reveal': ['--school', school, '--reason', 'case-1', '--flow', 'f'],
      'learner reveal approve': ['r'],
      'learner reveal refuse': ['r'],
      'learner reveal fetch': ['r', '--to', join(tmpdir(), `eduk-never-${process.pid}.json`)],
      'learner map': ['--school', school],
      'learner merge': ['--school', school],
      'audit access': ['--school', school],
      'receipt fetch': ['r'],
      'key rotate': ['data'],
      'hold rule add': ['--all', '--kind', 'leavers', '--percent', '15', '--until', '2036-08-01', '--reason', 'year-1'],
      'hold rule approve': ['r'],
      'hold rule end': ['r'],
      'freeze set': ['--all', '--until', '2036-08-01', '--reason', 'exams-1'],
      'freeze end': ['f'],
      switch: ['--school', school, '--from', oin, '--to', '00000001000000000002', '--on', '2026-12-01'],
      'party stop': [oin, '--reason', 'case-1', '--yes'],
      'party resume': [oin],
      'mandate answer': ['m', '--answer', 'keep'],
      papers: ['--school', '99AB', '--out', 'never'],
      breach: ['--party', oin, '--out', 'never'],
      'school export': ['--school', '99AB', '--out', 'never'],
      'school forget': ['--school', '99AB'],
      'school keep': ['--school', '99AB'],
      'school done': ['--school', '99AB', '--party', oin],
      'school merge': ['--school', '99AB', '--to', '99AC', '--on', '2036-08-01'],
      'school split': ['--school', '99AB', '--to', '99AC', '--on', '2036-08-01', '--year-group', '7'],
      'school undo': ['c'],
      'school transfer': ['--school', '99AB', '--board', oin],
      'school identity': ['on-demand', '--school', '99AB'],
      'key hold': ['--school', '99AB', '--back'],
    };
    const input: Record<string, string> = { 'learner map': 'https://ketenid.nl/pilot/x;y' };
    const killed = await fakeGateway({});
    killed.kill();
    for (const { name, alone } of commands.filter(({ name }) => name !== 'start'))
      for (const env of [{ EDUK_DATA: join(killed.data, 'never'), EDUK_GRPC: '127.0.0.1:0' }, killed.env]) {
        if (alone) continue;
        const { exit, json } = await run(
          [...name.split(' '), ...(words[name] ?? []), '--json'],
          env,
          input[name] ?? 'x;y',
        );
        expect([name, exit, json.error.code]).toEqual([name, 1, 'peer.unavailable']);
        expect(json.error.message).toContain('npx eduk start');
      }
    killed.stop();
  });

  test('what answers and is no gRPC door is said to be none, and where the door’s address stands', async () => {
    const page = createPage((_, answer) => answer.end('a page')).listen(0, '127.0.0.1');
    await once(page, 'listening');
    const env = {
      EDUK_DATA: join(tmpdir(), 'eduk-no-folder'),
      EDUK_GRPC: `127.0.0.1:${(page.address() as AddressInfo).port}`,
    };
    const { exit, json } = await run('party list --json', env);
    expect([exit, json.error.code]).toEqual([1, 'peer.refused']);
    expect(json.error.message).toContain(`${env.EDUK_GRPC} is not a gateway's gRPC door`);
    expect(json.error.message).toContain('grpc=');
    page.closeAllConnections();
    page.close();
  });

  test('a school whose number has a slip is not said to have been shown to nobody', async () => {
    answer('listAccess', { rows: [], names: [{ oin: school, name: 'De Wilgenhof' }] });
    expect((await eduk(`audit access --school ${school}`)).out).toContain('Nobody was given anything');
    answer('listAccess', { rows: [], names: [] });
    const { exit, json } = await eduk(`audit access --school ${school} --json`);
    expect([exit, json.error.code]).toEqual([1, 'state.missing']);
    const turned = await eduk(`audit access --school ${school} --from 2026-12-01 --to 2026-11-01`);
    expect([turned.exit, turned.err]).toEqual([2, '--from is a later day than --to.\n']);
  });

  test('audit search goes on until it has what was asked, and says what it looked at and what no head holds', async () => {
    const row = {
      index: 40n,
      atMs: BigInt(NOW),
      kind: 2,
      partyOin: oin,
      schoolOins: [school],
      methods: ['A/B'],
      times: 3n,
    };
    const page = { coveredFromMs: BigInt(NOW), coveredToMs: BigInt(NOW), keptFromMs: BigInt(NOW), size: 41n };
    const head = { size: 40n, timeMs: BigInt(NOW), root: Buffer.alloc(32, 7) };
    const pages: any[] = [];
    answers['searchAuditLog'] = ({ asked: one }) => {
      pages.push(one);
      const { before } = one;
      return {
        found:
          before === undefined
            ? { ...page, rows: [row], coveredFrom: 20n, coveredTo: 41n, before: 20n, head }
            : { ...page, rows: [{ ...row, index: 7n, code: 'mandate.missing' }], coveredTo: 20n, head },
        names: [{ oin, name: 'Leerplein' }],
      };
    };
    const line = `audit search --from 2026-11-01 --to 2026-11-02 --party ${oin} --school ${school} --kind refused --method A/B`;
    const { out, err, exit } = await eduk(line);
    expect(exit).toBe(0);
    expect(out).toMatch(/40 \*[\s\S]*refused\s+Leerplein[\s\S]*7 [\s\S]*mandate\.missing/);
    expect(err).toMatch(/Looked at leaves 0 to 40/);
    expect(err).toContain('* = no head holds it yet.');
    expect(pages).toMatchObject([
      {
        fromDay: '2026-11-01',
        toDay: '2026-11-02',
        partyOin: oin,
        schoolOin: school,
        kind: 2,
        method: 'A/B',
        limit: 50,
      },
      { before: 20n, limit: 49 },
    ]);
    const { json } = await eduk(`${line} --limit 1 --json`);
    expect(json).toMatchObject({
      rows: [{ leaf: 40, kind: 'refused', partyName: 'Leerplein', signed: false }],
      covered: { fromLeaf: 20, toLeaf: 40 },
      before: 20,
      head: { size: 40 },
    });
    expect((await eduk('audit search --limit 1')).err).toContain('go on with --before 20');
    answer('searchAuditLog', { found: { size: 0n } });
    expect((await eduk('audit search')).out).toContain('Nothing was found.');
    expect((await eduk('audit search --limit 0')).exit).toBe(2);
    expect((await eduk('audit search --from 2026-11-02 --to 2026-11-01')).exit).toBe(2);
  });

  test('papers that were filled in by hand are not written over without --force, and none of the others then', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-papers-'));
    const facts = { atMs: BigInt(NOW), school: { ...party, oin: school, name: 'De Wilgenhof' }, parties: [] };
    const words = ['papers', '--school', school, '--out', folder, '--json'];
    answer('showProcessing', facts);
    expect((await eduk(words)).exit).toBe(0);
    // What says the same is no change.
    expect((await eduk(words)).exit).toBe(0);
    const filled = join(folder, 'verwerkingsregister.md');
    writeFileSync(filled, 'FG: mevrouw De Boer');
    rmSync(join(folder, 'ouders.html'));
    const { exit, json } = await eduk(words);
    expect([exit, json.error.message]).toEqual([2, expect.stringContaining('verwerkingsregister.md')]);
    expect(json.error.message).toContain('--force');
    expect(json.error.message).not.toContain('bijlage-1.md');
    expect(readFileSync(filled, 'utf8')).toBe('FG: mevrouw De Boer');
    expect(existsSync(join(folder, 'ouders.html'))).toBe(false);
    expect((await eduk([...words, '--force'])).exit).toBe(0);
    expect(readFileSync(filled, 'utf8')).toContain('# Verwerkingsregister');
    expect(existsSync(join(folder, 'ouders.html'))).toBe(true);
    rmSync(folder, { recursive: true });
  });

  test('a breach at a party that nobody knows leaves no folder; one that is known says what is counted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-breach-'));
    const out = join(folder, 'melding');
    answer('listParties', { parties: [], stopped: [] });
    answers['listReach'] = () => new Refusal('state.missing', 'No party has this OIN.');
    const { exit, json } = await eduk(['breach', '--party', oin, '--out', out, '--json']);
    expect([exit, json.error.code]).toEqual([1, 'state.missing']);
    expect(existsSync(out)).toBe(false);
    answer('listParties', { parties: [party], stopped: [] });
    answer('showProcessing', new Refusal('state.missing', 'No school is known under this OIN.'));
    const row = { schoolOin: school, firstDay: '2026-11-20', lastDay: '2026-11-22', days: 2, times: 2n, people: 1500n };
    const reach = {
      ...row,
      purposes: ['result'],
      attributes: ['eck_id'],
      learners: Buffer.alloc(0),
      staff: Buffer.alloc(0),
    };
    answer('listReach', { rows: [reach], names: [], keptFrom: '2026-11-01', afterSchool: '', afterDay: '' });
    expect((await eduk(['breach', '--party', oin, '--out', out, '--json'])).exit).toBe(0);
    for (const file of ['01AB.md', 'samenvatting.md']) {
      const text = readFileSync(join(out, file), 'utf8');
      expect(text, file).toContain('leer- en toetsresultaten');
      expect(text, file).toContain('leerlingen, medewerkers en resultaten tellen apart');
      expect(text, file).not.toMatch(/\b(zij|haar)\b/);
    }
    const one = readFileSync(join(out, '01AB.md'), 'utf8');
    expect(one).toContain('| vrijgaven (leerlingen, medewerkers en resultaten apart geteld) | 2 |');
    expect(one).toContain('| 1.500 |');
    rmSync(folder, { recursive: true });
  });

  test('a proof that proves nothing is not shown as one', async () => {
    answer('showReceipt', { proof: { record: Buffer.alloc(40), recordSalt: Buffer.alloc(16), index: 3n, path: [] } });
    const { exit, json } = await eduk('receipt fetch r --json');
    expect([exit, json.error.code, json.error.who]).toEqual([1, 'state.conflict', 'us']);
  });

  test('a promise that the gateway knows nothing of was broken, or is of another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-promise-'));
    const path = join(folder, 'r.json');
    answer('showReceipt', new Refusal('state.missing', 'Nothing is known under this id.'));
    writeFileSync(path, JSON.stringify({ receipt: { version: 1, receiptId: 'r', mergedByMs: '1' } }));
    const late = (await eduk(['receipt', 'verify', path, '--json'])).json.error;
    expect([late.code, late.who]).toEqual(['state.missing', 'us']);
    expect(late.message).toContain('another gateway, or the promise is broken');
    writeFileSync(path, JSON.stringify({ receipt: { version: 1, receiptId: 'r', mergedByMs: String(NOW + 60_000) } }));
    expect((await eduk(['receipt', 'verify', path, '--json'])).json.error.message).toContain('promise until');
    rmSync(folder, { recursive: true });
  });

  test('the token does not leave this machine', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'eduk-far-'));
    writeFileSync(join(elsewhere, 'addresses.json'), '{"grpc":"192.0.2.1:50051"}');
    expect(await run('party list --json', { EDUK_DATA: elsewhere })).toMatchObject({
      exit: 1,
      json: { error: { code: 'party.forbidden' } },
    });
    rmSync(elsewhere, { recursive: true });
  });
});

describe('doctor', () => {
  const check = (json: any, name: string) => json.checks.find((one: any) => one.name === name);

  test('looks at a machine without a gateway', async () => {
    const place = mkdtempSync(join(tmpdir(), 'eduk-doctor-'));
    const env = { EDUK_DATA: join(place, 'data'), EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' };
    const { exit, json } = await run('doctor --json', env);
    expect(json).toMatchObject({ ok: true, survives: ['process'], gateway: null });
    expect(exit).toBe(0);
    expect(check(json, 'gateway').says).toContain('npm start');

    // npm run start:distributed lets its database pass through the folder: nothing in it can be listed or read by that.
    mkdirSync(env.EDUK_DATA);
    for (const [mode, state] of [
      [0o700, 'ok'],
      [0o711, 'ok'],
      [0o755, 'warn'],
    ] as const) {
      chmodSync(env.EDUK_DATA, mode);
      expect(check((await run('doctor --json', env)).json, 'data folder').state).toBe(state);
    }

    const busy = createServer();
    const port = await new Promise<number>((resolve) =>
      busy.listen(0, '127.0.0.1', () => resolve((busy.address() as { port: number }).port)),
    );
    const key = join(place, 'key');
    writeFileSync(key, 'secret');
    chmodSync(key, 0o644);
    const ill = await run('doctor --json', { ...env, EDUK_HTTP: `127.0.0.1:${port}`, EDUK_MASTER_KEY_FILE: key });
    busy.close();
    expect(ill.exit).toBe(1);
    expect(check(ill.json, 'EDUK_HTTP')).toMatchObject({ state: 'fail' });
    expect(check(ill.json, 'master key')).toMatchObject({ state: 'fail' });
    expect(ill.out).not.toContain('secret');
    chmodSync(key, 0o600);
    for (const [mode, state, says] of [
      [0o600, 'warn', 'eduk key rotate master'],
      [0o644, 'fail', 'can be read by others'],
    ] as const) {
      writeFileSync(`${key}.next`, 'secret');
      chmodSync(`${key}.next`, mode);
      const { json } = await run('doctor --json', { ...env, EDUK_MASTER_KEY_FILE: key });
      expect(check(json, 'master key')).toMatchObject({ state, says: expect.stringContaining(says) });
    }
    expect((await run('doctor', { EDUK_NOTHING: '1' })).exit).toBe(1);
    rmSync(place, { recursive: true });
  });

  test('warns thirty days before a certificate, list or party’s certificate ends', async () => {
    const place = mkdtempSync(join(tmpdir(), 'eduk-doctor-'));
    const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const by = { subject: { commonName: 'door' }, key };
    const lasts = (days: number): string => {
      const times = { notBeforeMs: NOW - 1_000, notAfterMs: NOW + days * 86_400_000 };
      return issueCertificate({ subject: by.subject, publicKey, by, ...times });
    };
    const put = (name: string, text: string) => {
      writeFileSync(join(place, name), text);
      return join(place, name);
    };
    const list = issueRevocationList({
      by,
      thisUpdateMs: NOW - 1_000,
      nextUpdateMs: NOW + 29 * 86_400_000,
      revoked: [],
    });
    const settings = {
      EDUK_TLS_CERT: put('cert', lasts(31) + lasts(400)),
      EDUK_TLS_KEY: put('key', ''),
      EDUK_TLS_CLIENT_CA: put('ca', lasts(400) + lasts(29)),
      EDUK_TLS_CLIENT_CRL: put('crl', list),
      EDUK_INNER_TLS_CA: put('inner-ca', 'nothing'),
      EDUK_INNER_TLS_CERT: put('inner', lasts(-0.001)),
      EDUK_INNER_TLS_KEY: put('inner-key', ''),
    };
    answer('status', {
      version: '0.1.0',
      certificates: [
        { partyOin: oin, partyName: 'Alpha', notAfterMs: BigInt(NOW + 29 * 86_400_000) },
        { partyOin: school, partyName: 'Beta', notAfterMs: BigInt(NOW + 31 * 86_400_000) },
      ],
    });
    answer('listParked', {});
    const { exit, json } = await run('doctor --json', { ...gateway.env, EDUK_OPERATOR: gateway.grpc, ...settings });
    const states = Object.fromEntries(json.checks.map(({ name, state }: any) => [name, state]));
    expect(states).toMatchObject({
      EDUK_TLS_CERT: 'ok',
      EDUK_TLS_CLIENT_CA: 'warn',
      EDUK_TLS_CLIENT_CRL: 'warn',
      EDUK_INNER_TLS_CA: 'fail',
      EDUK_INNER_TLS_CERT: 'fail',
      'party certificate': 'warn',
    });
    expect(check(json, 'party certificate').says).toMatch(/^Alpha \(.*ends .* in 29 d/);
    expect(exit).toBe(1);
    rmSync(place, { recursive: true });
  });

  test('asks a running gateway how it is', async () => {
    answer('status', {
      version: '0.1.0',
      events: 12n,
      holds: 1,
      parkedKeys: 2,
      devKey: true,
      freeDiskBytes: 5_000_000_000n,
      disks: [
        {
          use: { place: 'state', disk: 'data', usedBytes: 1_200_000_000n, freeBytes: 1n },
          atMs: BigInt(NOW),
          growsBytes: 80_000_000n,
          fullMs: BigInt(NOW + 5.5 * 86_400_000),
        },
        { use: { place: 'vault', disk: 'data', usedBytes: 1_000n, freeBytes: 1n }, atMs: BigInt(NOW), growsBytes: 0n },
        { use: { place: 'postgresql', disk: 'postgresql', usedBytes: 1_000n, freeBytes: 0n }, atMs: BigInt(NOW) },
      ],
      ages: [{ consumer: 'orders', stream: 'orders', unread: 7n, oldestUnreadMs: 240_000n }],
      revealsPerHour: 100_000n,
      bulkReveals: [{ partyOin: oin, partyName: 'Alpha', hourMs: BigInt(NOW), learners: 250_000n }],
    });
    answer('listParked', {
      rows: [{ partyOin: oin, schoolOin: school, service: 3, standard: 'webhook', key: 'token-1', rows: 2n }],
      endpoints: [{ partyOin: oin, standard: 'webhook', state: 'resting', status: 401 }],
    });
    const { json } = await eduk('doctor --json');
    expect(check(json, 'endpoints')).toMatchObject({ state: 'warn' });
    expect(check(json, 'endpoints').says).toMatch(/1 key .*1 endpoint fails.*eduk dead list/);
    expect(check(json, 'disk growth')).toMatchObject({
      state: 'warn',
      says: 'state 1.2 GB, 80 MB a day more: full in 5 days at this rate; vault 1.0 kB, not growing; postgresql 1.0 kB, measured for less than an hour',
    });
    expect(json.gateway).toMatchObject({ events: 12, holds: 1, parkedKeys: 2, devKey: true });
    for (const name of ['consumers', 'parked', 'held', 'gateway’s key']) expect(check(json, name).state).toBe('warn');
    expect(check(json, 'ports').state).toBe('ok');
    expect(check(json, 'reveals')).toMatchObject({ state: 'warn' });
    expect(check(json, 'reveals').says).toMatch(/^Alpha, \d+ was shown 250000 learners .* above 100000/);
    const { out } = await eduk('doctor');
    expect(out).toMatch(/orders +orders +7 +4 min/);
    expect(json.checks.map(({ name }: { name: string }) => name)).not.toContain('services');
    answer('status', { version: '0.1.0', ages: [{ consumer: 'loans', stream: 'orders', unread: 7n }] });
    const strange = check((await eduk('doctor --json')).json, 'services');
    expect(strange).toMatchObject({ state: 'warn' });
    expect(strange.says).toMatch(/this release has no loans, and doors and cleaning wait for it/);
  });

  test('says what is kept longer than its class allows, and why', async () => {
    const place = mkdtempSync(join(tmpdir(), 'eduk-doctor-'));
    const taken = (name: string, daysAgo: number) => {
      mkdirSync(join(place, name));
      const manifest = { takenAt: new Date(NOW - daysAgo * 86_400_000).toISOString() };
      writeFileSync(join(place, name, 'manifest.json'), JSON.stringify(manifest));
    };
    taken('new', 34);
    mkdirSync(join(place, 'else'));
    const doctor = async () =>
      (await run('doctor --json', { ...gateway.env, EDUK_OPERATOR: gateway.grpc, EDUK_BACKUPS: place })).json;
    const states = (json: any) =>
      Object.fromEntries(
        json.checks.flatMap(({ name, state }: any) => (name.startsWith('kept: ') ? [[name.slice(6), state]] : [])),
      );
    answer('status', { version: '0.1.0', ages: [{ consumer: 'results', stream: 'results' }] });
    answer('listParked', { rows: [{ partyOin: oin, key: 'k', sinceMs: BigInt(NOW - 29 * 86_400_000) }] });
    answer('listParties', { parties: [{ oin: school }] });
    answer('listSites', { years: [{ schoolOin: school, schoolYear: '2026-2027' }] });
    const classes = ['rosters', 'names', 'results', 'launches', 'orders, rights', 'audit', 'parked', 'backups'];
    expect(states(await doctor())).toEqual(Object.fromEntries(classes.map((name) => [name, 'ok'])));

    taken('old', 36);
    answer('status', {
      version: '0.1.0',
      ages: [
        { consumer: 'results', stream: 'results', unread: 1n, oldestUnreadMs: 2n * 86_400_000n },
        { consumer: 'access', stream: 'access', gap: true },
      ],
      leavers: { overdue: 12, sinceMs: BigInt(NOW - 3 * 86_400_000), untoldSchools: 2, untoldSinceMs: BigInt(NOW) },
    });
    answer('listParked', {
      keys: [{ consumer: 'orders', stream: 'orders', key: 'k', sinceMs: BigInt(NOW - 31 * 86_400_000) }],
    });
    answer('listSites', {
      years: ['2024-2025', '2025-2026', '2026-2027'].map((schoolYear) => ({ schoolOin: school, schoolYear })),
    });
    const json = await doctor();
    expect(states(json)).toEqual({
      rosters: 'warn',
      names: 'warn',
      results: 'warn',
      launches: 'warn',
      'orders, rights': 'ok',
      audit: 'ok',
      parked: 'warn',
      backups: 'warn',
    });
    expect(check(json, 'kept: rosters').says).toMatch(/^1 school year older .* of 1 school: /);
    expect(check(json, 'kept: results').says).toContain('results is 2 d behind on results');
    expect(check(json, 'kept: launches').says).toContain('access stands still on access');
    expect(check(json, 'kept: names').says).toMatch(
      /^12 people who left should have lost names or numbers, the first .*; the vault could not be told of 2 schools/,
    );
    expect(check(json, 'kept: backups').says).toContain('1 backup');
    rmSync(place, { recursive: true });
  });

  test('names forgotten schools of which a receiver has not confirmed that it deleted', async () => {
    answer('status', { version: '0.1.0' });
    const of = (state: string, mustConfirm: boolean, confirmedMs: bigint) => ({
      schoolOin: school,
      state,
      destroyAtMs: BigInt(NOW),
      receivers: [{ partyOin: oin, mustConfirm, confirmedMs }],
    });
    const says = async (...forgettings: object[]) => {
      answer('listSchoolForgets', { forgettings });
      return check((await eduk('doctor --json')).json, 'forgotten schools');
    };
    expect(await says(of('destroyed', true, 5n), of('kept', true, 0n), of('waits', false, 0n))).toMatchObject({
      state: 'ok',
    });
    const open = await says(of('destroyed', true, 0n), of('destroyed', true, 5n));
    expect(open).toMatchObject({ state: 'warn' });
    expect(open.says).toMatch(
      new RegExp(`^${school} \\(destroyed .*\\): 1 receiver has not confirmed; see eduk school`),
    );
  });
});

describe('console', () => {
  test('prints a link that the console of this machine takes', async () => {
    answer('status', {});
    const { exit, json } = await eduk('console --json');
    const [, at, link] = /^(http:\/\/127\.0\.0\.1:8081\/sign-in)#(.+)$/.exec(json.url)!;
    expect([exit, at]).toEqual([0, 'http://127.0.0.1:8081/sign-in']);
    expect(readConsoleLink('eduk_operator_0123456789abcdef0123456789abcdef', link!, NOW)).toBeDefined();
  });
  test('and one that leads to a page', async () => {
    answer('status', {});
    for (const to of ['/flow?id=x-1', 'http://localhost:8081/flow?id=x-1'])
      expect((await eduk(`console --to ${to} --json`)).json.url).toMatch(
        /^http:\/\/127\.0\.0\.1:8081\/sign-in\?to=%2Fflow%3Fid%3Dx-1#.{60,}$/,
      );
    for (const to of ['//evil.example/flow', 'https://evil.example/flow', 'flow'])
      expect([to, (await eduk(`console --to ${to}`)).exit]).toEqual([to, 2]);
  });
  test('and tells which pages and parts there are, where it would lead nowhere', async () => {
    for (const [to, told] of [
      ['/nonsense', /no such page\. There are \/, \/launches, .*\/flow,/],
      ['/replays', /Did you mean \/replay\?/],
      ['/constructor', /no such page/],
      ['/flow?ids=x-1', /\/flow takes .* than id, party, reference/],
      ['/settings?name=x', /takes nothing behind a \?/],
    ] as const) {
      const { exit, err } = await eduk(`console --to ${to}`);
      expect([to, exit, err.replaceAll(/\s+/g, ' ')]).toEqual([to, 2, expect.stringMatching(told)]);
      expect(err).not.toContain('x-1');
    }
  });
  test('makes a link to one page, lists what is shared, and ends a link', async () => {
    const link = {
      linkId: 'AbCdEfGhIjKlMnOp',
      page: '/flow',
      query: [{ name: 'id', value: 'x-1' }],
      endsMs: BigInt(NOW),
    };
    answer('makeLink', { link, secret: 'geheim' });
    const { json, exit } = await eduk('console link --to /flow?id=x-1 --hours 48 --json');
    expect([exit, json.url]).toEqual([0, 'http://127.0.0.1:8081/shared?link=AbCdEfGhIjKlMnOp#geheim']);
    expect(asked['makeLink']).toMatchObject({ page: '/flow', query: [{ name: 'id', value: 'x-1' }], hours: 48 });
    const whole = await eduk('console link --to http://127.0.0.1:8081/flow?id=x-1');
    expect(whole.err).toContain('on this machine only');
    expect(asked['makeLink']).toMatchObject({ page: '/flow', hours: 0 });
    for (const wrong of ['--to flow', '--to //evil.example/x', '--to /flow --hours 337', '--to /flow --hours 0', ''])
      expect([wrong, (await eduk(`console link ${wrong}`)).exit]).toEqual([wrong, 2]);
    // Its own address under any of its names; another's is a mistake, and not its path here.
    asked['makeLink'] = undefined;
    for (const host of [
      'evil.example',
      '127.0.0.1:9999',
      '127.0.0.1.evil.example:8081',
      'x@evil.example',
      '127.0.0.1',
    ]) {
      const { exit, err } = await eduk(`console link --to http://${host}/flow?id=x-1`);
      expect([host, exit, err]).toEqual([host, 2, expect.stringMatching(/another host.*http:\/\/127\.0\.0\.1:8081/s)]);
    }
    for (const to of ['https://127.0.0.1:8081/flow', '/\\evil.example/flow', 'javascript:alert(1)'])
      expect([to, (await eduk(`console link --to ${to}`)).exit]).toEqual([to, 2]);
    expect(asked['makeLink']).toBeUndefined();
    expect((await eduk('console link --to http://localhost:8081/flow?id=x-1')).exit).toBe(0);
    expect(asked['makeLink']).toMatchObject({ page: '/flow', query: [{ name: 'id', value: 'x-1' }] });
    answer('listLinks', { links: [link] });
    expect((await eduk('console links')).out).toMatch(/AbCdEfGhIjKlMnOp\s+\/flow\?id=x-1\s.*never/);
    answer('endLink', {});
    expect((await eduk('console unlink AbCdEfGhIjKlMnOp')).exit).toBe(0);
    expect(asked['endLink']).toMatchObject({ linkId: 'AbCdEfGhIjKlMnOp' });
  });
  test('makes none where the gateway does not know this operator', async () => {
    answer('status', new Refusal('party.unknown', 'Who?'));
    expect(await eduk('console --json')).toMatchObject({ exit: 1, json: { error: { code: 'party.unknown' } } });
  });
});

describe('start', () => {
  const config = { EDUK_DATA: '.eduk', EDUK_GRPC: '127.0.0.1:50051', EDUK_HTTP: '127.0.0.1:8080' };
  const said = (thrown: unknown) => refused(thrown, config) as Problem;

  test('a port in use names the setting, however the listener says it', () => {
    const http = Object.assign(new Error('listen EADDRINUSE: address already in use 127.0.0.1:8080'), {
      code: 'EADDRINUSE',
      port: 8080,
    });
    expect(said(http).message).toContain('EDUK_HTTP (127.0.0.1:8080)');
    const grpc = new Error(
      'Failed to bind to address 127.0.0.1:50051: errors: [listen EADDRINUSE: address already in use 127.0.0.1:50051]',
    );
    expect(said(new Error('door', { cause: grpc })).message).toContain('EDUK_GRPC (127.0.0.1:50051)');
    expect(said(http).exit).toBe(1);
  });

  test('what the data folder refuses is told plainly, one a line', () => {
    const problem = said(new ConfigError(['state.db was written by a newer version', 'second']));
    expect([problem.exit, problem.message]).toEqual([1, 'state.db was written by a newer version\nsecond']);
  });

  test('settings that are wrong, and names of roles, are wrong use', async () => {
    expect(await run('start', { EDUK_HTTP: '8080' })).toMatchObject({ exit: 2, err: 'EDUK_HTTP must be host:port\n' });
    expect((await run('start door', {})).exit).toBe(2);
  });

  test('an error that is not ours keeps its text to itself', () =>
    expect(said(new Error('boom'))).not.toBeInstanceOf(Problem));
});

describe('osr sync', () => {
  const line = (more: object) => ({
    kind: 'add',
    schoolOin: school,
    partyOin: oin,
    services: [Service.SERVICE_ROSTER],
    ...more,
  });
  const names = [{ oin, name: 'Uitgever' }];
  const runOf = (more: object = {}) => ({ register: 'osr', outcome: 'done', schools: 1, ...more });

  test('asks about schools by BRIN, OIN and file, in messages that are not too large', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'eduk-osr-')), 'schools');
    writeFileSync(file, Array.from({ length: 501 }, () => '99ZX\n').join(''));
    const parts: any[] = [];
    answers['syncRegister'] = (requests) => {
      parts.push(...[requests].flat());
      return { lines: [], run: runOf(), names: [], date: '2026-11-22', unchanged: 3 };
    };
    const { json, exit } = await eduk(`osr sync --school ${school} --schools ${file} --party ${oin} --dry-run --json`);
    expect(exit).toBe(0);
    expect(json).toMatchObject({ date: '2026-11-22', dryRun: true, unchanged: 3, holdId: null, lines: [] });
    expect(parts[0]).toMatchObject({ partyOins: [oin], dryRun: true, approve: '' });
    expect(parts.flatMap(({ schoolOins }) => schoolOins)).toHaveLength(502);
    expect((await eduk(`osr sync --schools ${file}.gone`)).exit).toBe(2);
    rmSync(dirname(file), { recursive: true });
  });

  test('shows what changes first, with who must act', async () => {
    answers['syncRegister'] = () => ({
      lines: [
        line({ kind: 'covered', told: 'Zij heeft het al.' }),
        line({
          validFrom: '2026-08-01',
          endpoints: [{ routingId: school, url: 'https://las.example/' }],
          applied: true,
        }),
        line({ kind: 'unmatched_school', partyOin: '', told: 'OSR does not know this school.', who: 'us' }),
      ],
      run: runOf({ added: 1, unmatched: 1 }),
      names,
      date: '2026-11-22',
      unchanged: 0,
    });
    const { out, exit } = await eduk('osr sync');
    expect(exit).toBe(0);
    expect(out.indexOf('from 2026-08-01')).toBeLessThan(out.indexOf('Zij heeft het al.'));
    expect(out).toMatch(/Uitgever/);
    expect(out).toMatch(/the operator must act/);
    expect((await eduk('osr sync --json')).json.lines.map(({ kind }: any) => kind)).toEqual([
      'add',
      'unmatched_school',
      'covered',
    ]);
  });

  test('that is held exits 1 with the id to approve; so do questions without an answer', async () => {
    answers['syncRegister'] = () => ({
      lines: [line({ kind: 'stop' })],
      run: runOf({ outcome: 'held', code: 'hold.pending', holdId: 'osr-1', ended: 1 }),
      names,
    });
    const { json, exit } = await eduk('osr sync --json');
    expect([exit, json.error.code, json.holdId]).toEqual([1, 'hold.pending', 'osr-1']);
    expect((await eduk('osr sync')).err).toMatch(/eduk osr sync --approve osr-1/);
    answers['syncRegister'] = () => ({ lines: [line({ kind: 'unanswered' })], run: runOf({ unanswered: 1 }), names });
    expect((await eduk('osr sync --json')).json.error).toMatchObject({ code: 'peer.unavailable', who: 'peer' });
    answers['syncRegister'] = () => ({ lines: [line({ kind: 'refused' })], run: runOf(), names });
    expect((await eduk('osr sync --json')).json.error).toMatchObject({ code: 'party.forbidden', who: 'school' });
  });
});

describe('switch', () => {
  const to = '00000001000000000002';
  const command = `switch --school 99ab --from ${oin} --to ${to} --on 2026-12-01`;
  const preview = {
    lines: [
      { part: 'twice', what: 'renewals', count: 2n, until: '2026-12-31', who: 'school', told: 'Zeg op.' },
      {
        part: 'running',
        what: 'orders',
        count: 3n,
        service: Service.SERVICE_ORDER,
        who: 'from',
        partial: true,
        told: 'Lever.',
      },
    ],
    services: [Service.SERVICE_ORDER],
    names: [{ oin, name: 'Uitgever' }],
    runOffUntil: '2026-12-01',
  };
  const step = (name: string, more: object = {}) => ({
    step: name,
    mandate: { mandateId: `m-${name}`, services: [Service.SERVICE_ORDER], state: MandateState.MANDATE_STATE_ACTIVE },
    flowId: 'f',
    decision: { outcome: 'MandateChanged', code: '', told: '' },
    ...more,
  });

  test('changes nothing without --apply, and says who must act', async () => {
    answer('previewSwitch', preview);
    const { out, err, exit } = await eduk(command);
    expect(asked['previewSwitch']).toMatchObject({
      schoolOin: '0000000700099AB00000',
      day: '2026-12-01',
      runOffUntil: '',
    });
    expect(exit).toBe(0);
    expect(err).toMatch(/Nothing was changed/);
    expect(out.indexOf('Left running')).toBeLessThan(out.indexOf('Ordered, granted or told twice'));
    expect(out).toMatch(/at least 3/);
    expect(out).toMatch(/Uitgever +Lever/);
    const { json } = await eduk(`${command} --json`);
    expect(json).toMatchObject({
      applied: false,
      lines: [
        { count: 2, who: 'school' },
        { service: 'order', partial: true },
      ],
    });
  });

  test('with --apply tells each step; what was refused exits 1', async () => {
    answer('previewSwitch', preview);
    answer('applySwitch', { steps: [step('grant'), step('run_off')], autorisatiesleutel: 'sleutel' });
    const { out, err, exit } = await eduk(`${command} --apply --confirm`);
    expect(asked['applySwitch']).toMatchObject({ change: { toOin: to }, confirm: true });
    expect(exit).toBe(0);
    expect(out).toMatch(/m-grant/);
    expect(out).toMatch(/sleutel/);
    expect(err).toMatch(/2 steps made/);
    const waits = { mandateId: 'm-grant', state: 1, requiresAcceptance: true, confirmedBy: 'operator' };
    answer('applySwitch', { steps: [step('grant', { mandate: waits }), step('run_off')] });
    const unaccepted = (await eduk(`${command} --apply --confirm`)).err;
    expect(unaccepted).toContain('eduk mandate accept m-grant');
    expect(unaccepted).not.toContain('eduk mandate confirm');
    answer('applySwitch', { steps: [step('grant', { flowId: '' }), step('run_off', { flowId: '' })] });
    expect((await eduk(`${command} --apply`)).err).toMatch(/nothing was changed/);
    const decision = { outcome: 'PartyChangeRefused', code: 'party.forbidden', told: 'Het bestuur gaf dit niet.' };
    answer('applySwitch', { steps: [step('grant', { decision })] });
    const refused = await eduk(`${command} --apply --json`);
    expect([refused.exit, refused.json.error.code, refused.json.applied]).toEqual([1, 'party.forbidden', false]);
  });
});
