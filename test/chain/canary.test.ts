/**
 * Distinctive invented identities are pushed through every door, in right places and wrong ones, well formed and broken.
 * Afterwards nothing at rest, nothing logged and nothing told to others may hold one. The gateway is a process of its own,
 * so that all it writes can be read. A planted leak must be found, or the search proves nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ClientReadableStream,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, type MethodDefinition } from '#kernel';
import { Audience, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, type Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { fieldsOf } from '#proto/labels';
import { publicServices } from '../../services/edge/grpc/services.ts';
import { edexml, uwlrQuestion, uwlrResults } from './files.ts';
import { type Clients, clientsOf, Fault, newOin, newSchool, sendAll, type WireClient, wire } from './gateway.ts';
import { Receiver } from './receiver.ts';

const BOOK = '9789000000019';
const WAIT = 3000n;
const school = newSchool();

/** Each is found by a part of it that nothing else holds. */
const planted = {
  'an ECK iD': `https://ketenid.nl/pilot/${'c0ffee'.repeat(21)}a1`,
  'another ECK iD': `https://ketenid.nl/pilot/${'facade'.repeat(21)}b2`,
  'a key of the administration': 'kanarie-sleutel-4711',
  'a key of staff': 'kanarie-meester-4712',
  'a family name': 'Kanariepietersen',
  'a call name': 'Zwaluwine',
  'given names': 'Merelina Vinkje',
  'a birth date': '2014-01-29',
  'an e-mail address': 'zwaluwine.kanarie@leerling.example',
  'an account name': 'zwaluwine.k.2014',
  "a group's key": 'kanariegroep-7q',
  "a group's name": 'Groep van juf Nachtegaal',
  "a site's name": 'De Uilenhorst, Sperwerstraat',
  'an activation code': 'KANARIE-CODE-8844-QX',
  'an activity': 'Toets over het Nest van Zwaluwine',
  'a score': '733.1337',
  'a remark of a sender': 'Leerling Kanarie is ziek',
} as const;
type What = keyof typeof planted;
const values = Object.entries(planted) as [What, string][];

/** Ways in which a value may rest: as text, in other letters, in base64, in hexadecimal, in UTF-16. */
function formsOf(value: string): Buffer[] {
  const utf8 = Buffer.from(value);
  const forms = [
    utf8,
    Buffer.from(value, 'utf16le'),
    Buffer.from(utf8.toString('hex')),
    Buffer.from(encodeURIComponent(value)),
  ];
  // Base64 of a part depends on where it stands: three places, without the letters that neighbours share.
  for (let shift = 0; shift < 3; shift++) {
    const text = Buffer.concat([Buffer.alloc(shift), utf8])
      .toString('base64')
      .replace(/=+$/, '');
    const core = text.slice(shift === 0 ? 0 : shift + 1, -2);
    forms.push(Buffer.from(core), Buffer.from(core.replaceAll('+', '-').replaceAll('/', '_')));
  }
  if (/^[\d.]+$/.test(value)) {
    const double = Buffer.alloc(8);
    double.writeDoubleLE(Number(value));
    forms.push(double);
  }
  return forms;
}
const forms = values.map(([what, value]) => ({ what, forms: formsOf(value) }));

/** What of the planted is in these bytes, in any letters. */
function found(bytes: Buffer | string, but: readonly string[] = []): string[] {
  const text = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes);
  const lower = Buffer.from(text.toString('latin1').toLowerCase(), 'latin1');
  const hits: string[] = [];
  for (const { what, forms: list } of forms) {
    if (but.includes(what)) continue;
    const small = Buffer.from(list[0]!.toString('latin1').toLowerCase(), 'latin1');
    if (list.some((form) => text.includes(form)) || lower.includes(small)) hits.push(what);
  }
  for (const [what, secret] of secrets) if (text.includes(secret)) hits.push(what);
  return hits;
}
/** Keys, secrets and tickets that were given out. */
const secrets = new Map<string, string>();

const parent = mkdtempSync(join(tmpdir(), 'eduk-canary-'));
const folder = join(parent, 'data');
let child: ChildProcess;
const said: Buffer[] = [];
let channel: GrpcClient;
let http = '';
let operator: WireClient<typeof OperatorServiceDefinition>;
const as: Record<string, Clients & { oin: string; apiKey: string }> = {};
/** Who also has its mail sent. The platform's says everything back that it is told, with a fault. */
const hooks: Record<string, Receiver> = {};
const klant = { sleutel: '', klantcode: '', klantnaam: '' };
/** All that came back to senders of refused or broken messages. */
const answers: string[] = [];

beforeAll(async () => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
  const own = { EDUK_DATA: folder, EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0', EDUK_LOG: 'debug' };
  child = spawn(process.execPath, [join(import.meta.dirname, '../../services/cli/eduk.js'), 'start'], {
    env: { ...env, ...own, EDUK_CONSOLE: '127.0.0.1:0', NODE_DEBUG: '', GRPC_VERBOSITY: 'DEBUG' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr!.on('data', (bytes: Buffer) => said.push(bytes));
  const lines = createInterface({ input: child.stdout! });
  const grpc = await new Promise<string>((resolve) =>
    lines.on('line', (line) => {
      said.push(Buffer.from(`${line}\n`));
      const ready = /^ready grpc=(\S+) http=(\S+)/.exec(line);
      if (!ready) return;
      http = `http://${ready[2]}`;
      resolve(ready[1]!);
    }),
  );
  channel = new GrpcClient(grpc, credentials.createInsecure());
  const operatorKey = readFileSync(join(folder, 'operator.key'), 'utf8').trim();
  operator = wire(OperatorServiceDefinition, channel, `Bearer ${operatorKey}`);
  secrets.set("the operator's key", operatorKey);
  for (const [name, role] of [
    ['las', Role.ROLE_ADMINISTRATION],
    ['publisher', Role.ROLE_PUBLISHER],
    ['platform', Role.ROLE_PLATFORM],
    ['dashboard', Role.ROLE_DASHBOARD],
    // What these may see is nothing of a person: no mandate, and one that names no attribute but the year group.
    ['stranger', Role.ROLE_PLATFORM],
    ['modest', Role.ROLE_DISTRIBUTOR],
  ] as const) {
    const oin = newOin();
    const endpoints: { standard: string; url: string }[] = [];
    if (['platform', 'modest', 'stranger'].includes(name)) {
      hooks[name] = await Receiver.open();
      if (name === 'platform') hooks[name].behaviour = sayBack();
      endpoints.push({ standard: 'webhook', url: hooks[name].url });
    }
    const added = await operator.addParty({ party: { oin, name: `Partij ${name}`, roles: [role], endpoints } });
    if (hooks[name]) {
      hooks[name].secret = added.webhookSecret;
      secrets.set(`the webhook secret of ${name}`, added.webhookSecret.slice('whsec_'.length));
    }
    as[name] = { oin, apiKey: added.apiKey, ...clientsOf(channel, `Bearer ${added.apiKey}`) };
    secrets.set(`the API key of ${name}`, added.apiKey).set(`the client secret of ${name}`, added.clientSecret);
    if (name === 'stranger') continue;
    const { autorisatiesleutel } = await operator.grantMandate({
      mandate: {
        schoolOin: school,
        partyOin: oin,
        services: [1, 2, 3, 4, 5, 6, 7, 8] as Service[],
        attributes: name === 'modest' ? ['year_group'] : [],
      },
      confirm: true,
    });
    secrets.set(`the autorisatiesleutel of ${name}`, autorisatiesleutel);
    if (name === 'platform')
      Object.assign(klant, { sleutel: autorisatiesleutel, klantcode: added.klantcode, klantnaam: added.klantnaam });
  }
});
/** Answers a fault with all that it was told, in every place that an answer has; every third time it takes it. */
function sayBack(): Receiver['behaviour'] {
  let times = 0;
  return ({ body }, response) => {
    times += 1;
    if (times % 3 === 0) return undefined;
    const line = Buffer.from(body)
      .toString('latin1')
      .replaceAll(/[^\x20-\x7e]/g, '')
      .slice(0, 8_000);
    response.writeHead(times % 3 === 1 ? 500 : 422, line.slice(0, 200), {
      'x-echo': line,
      'retry-after': line.slice(0, 50),
    });
    response.end(body);
    return 'handled';
  };
}

afterAll(async () => {
  for (const hook of Object.values(hooks)) await hook.close();
  channel?.close();
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(parent, { recursive: true, force: true });
});

const toText = (value: unknown): string =>
  JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? `${one}` : one)) ?? '';
/** Keeps what a refused call was told: its words and its trailers. */
async function keep(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    answers.push(`${thrown.code} ${thrown.details} ${toText(thrown.metadata.getMap())}`);
    for (const list of Object.values(thrown.metadata.toHttp2Headers()))
      answers.push(Array.isArray(list) ? list.map(String).join(' ') : String(list));
    for (const one of thrown.metadata.get('grpc-status-details-bin')) answers.push(Buffer.from(one).toString('latin1'));
    return undefined;
  }
}

const person = {
  callName: planted['a call name'],
  familyName: planted['a family name'],
  givenNames: planted['given names'],
  birthDate: planted['a birth date'],
  email: planted['an e-mail address'],
  accountName: planted['an account name'],
};
const learner = { eckId: planted['an ECK iD'], lasKey: planted['a key of the administration'] };
const groupKey = planted["a group's key"];
const terms = (entitlementId: string) => ({
  entitlementId,
  productId: BOOK,
  startsOn: '2026-08-01',
  endsOn: '2036-07-31',
});

let ticket = '';
test('the identities go through every door, where they belong', async () => {
  const { las, publisher, platform } = as as Record<'las' | 'publisher' | 'platform', (typeof as)[string]>;
  const clean = async (sent: Promise<unknown[]>) =>
    expect((await sent).flatMap((answer) => (answer as { refusals: unknown[] }).refusals)).toEqual([]);
  await clean(
    sendAll(publisher.catalogue.publishProducts(), [
      {
        reference: 'p',
        product: {
          productId: BOOK,
          title: 'Rekenen',
          platformOin: platform.oin,
          accessUrl: 'https://leer.example/open',
        },
      },
    ]),
  );
  const roster = {
    schoolOin: school,
    schoolYear: '2026-2027',
    sites: [{ key: 's1', name: planted["a site's name"] }],
    groups: [{ key: groupKey, name: planted["a group's name"], yearGroup: '7' }],
    learners: [
      { ref: learner, person, yearGroup: '7', groupKey, siteKey: 's1' },
      { ref: { eckId: planted['another ECK iD'] }, person, yearGroup: '7', groupKey },
    ],
    staff: [{ ref: { lasKey: planted['a key of staff'] }, person, groups: [{ key: groupKey }] }],
  };
  await clean(sendAll(las.rosters.pushRoster(), [{ reference: 'ro', rosterId: 'ro', last: true, roster }]));
  await las.identity.registerLearners({
    reference: 'reg',
    schoolOin: school,
    schoolYear: '2026-2027',
    learners: roster.learners,
    waitMs: WAIT,
  });
  await las.orders.placeOrder({
    reference: 'o',
    orderId: 'o',
    schoolOin: school,
    lines: [
      { terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner },
      { terms: { lineId: '2', productId: BOOK, quantity: 3 }, groupKey },
    ],
    waitMs: WAIT,
  });
  await clean(
    sendAll(publisher.entitlements.grantEntitlements(), [
      {
        reference: 'g1',
        schoolOin: school,
        holder: { learner },
        terms: terms('e1'),
        activationCode: planted['an activation code'],
      },
      { reference: 'g2', schoolOin: school, holder: { groupKey }, terms: { ...terms('e2'), count: 2 } },
    ]),
  );
  await sleep(500);
  const launch = await las.access.createLaunch({ reference: 'l', schoolOin: school, learner, productId: BOOK });
  ticket = launch.ticket;
  expect(ticket).not.toBe('');
  secrets.set('the secret of a ticket', ticket.split('.')[1]!);
  expect((await platform.access.redeemLaunch({ reference: 're', ticket })).learner?.eckId).toBe(learner.eckId);
  await keep(platform.access.redeemLaunch({ reference: 're2', ticket }));
  await clean(
    sendAll(platform.results.returnResults(), [
      {
        reference: 'r1',
        schoolOin: school,
        result: {
          resultId: 'r1',
          learner,
          productId: BOOK,
          groupKey,
          kind: ResultKind.RESULT_KIND_FINAL,
          payload: {
            activityId: 'toets-1',
            activityName: planted['an activity'],
            score: Number(planted['a score']),
            scoreMax: 1000,
            takenAt: '2026-11-20',
          },
        },
      },
    ]),
  );
  const file = edexml({
    school,
    groupName: planted["a group's name"],
    groups: [groupKey],
    pupils: [{ key: learner.lasKey, eckId: learner.eckId, name: planted['a family name'], group: groupKey }],
  });
  await operator.importRoster([{ schoolOin: school, chunk: Buffer.from(file) }]);
  const posted = await fetch(`${http}/edexml`, {
    method: 'POST',
    headers: { authorization: `Bearer ${las.apiKey}` },
    body: file,
  });
  answers.push(await posted.text());
  const ask = { ...klant, school };
  const soap = (path: string, body: string) =>
    fetch(`${http}/soap/uwlr/v2/${path}`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body }).then(
      (answer) => answer.text(),
    );
  expect(await soap('leerlinggegevens', uwlrQuestion(ask))).toContain(planted['a family name']);
  answers.push(
    await soap(
      'leerresultaten',
      uwlrResults(ask, [{ key: 'u1', leerlingid: learner.lasKey, score: planted['a score'] }]),
    ),
  );
  const learners = await as['dashboard']!.results.getProgress({
    schoolOin: school,
    audience: Audience.AUDIENCE_LEARNER,
    learner,
  });
  expect(learners.learners.length).toBeGreaterThan(0);
}, 60_000);

/** Every string of a message set to one value, wherever it does not belong. */
function filled(type: string, value: string, depth = 0): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  if (depth > 4) return message;
  for (const field of fieldsOf[type] ?? []) {
    if (field.kind === 'message' && !field.map) {
      const inner = filled(field.of!, value, depth + 1);
      message[field.name] = field.repeated ? [inner] : inner;
    } else if (field.kind === 'string') {
      const one = field.name === 'schoolOin' ? school : value;
      message[field.name] = field.repeated ? [one] : one;
    }
  }
  return message;
}
/** Values with blanks or of more than 64 characters: what an id, a term or a time cannot be. */
const misplaced = values.filter(([, value]) => / /.test(value) || value.length > 64);

function call(path: string, method: MethodDefinition, bytes: Buffer, given: Metadata): Promise<string[]> {
  return new Promise((resolve) => {
    const told: string[] = [];
    const failed = (error: ServiceError) => {
      told.push(error.details, toText(error.metadata?.getMap() ?? {}));
      for (const one of error.metadata?.get('grpc-status-details-bin') ?? [])
        told.push(Buffer.from(one).toString('latin1'));
      resolve(told);
    };
    const write = (one: Buffer) => one;
    const read = (one: Buffer) => one;
    if (method.requestStream && method.responseStream) {
      const stream = channel.makeBidiStreamRequest(path, write, read, given);
      stream.on('data', (one: Buffer) => told.push(one.toString('latin1')));
      stream.on('error', failed).on('end', () => resolve(told));
      stream.write(bytes);
      stream.end();
    } else if (method.requestStream) {
      const stream = channel.makeClientStreamRequest(path, write, read, given, (error, one) => {
        if (error) failed(error);
        else resolve([one!.toString('latin1')]);
      });
      stream.write(bytes);
      stream.end();
    } else if (method.responseStream) {
      const stream = channel.makeServerStreamRequest(path, write, read, bytes, given);
      stream.on('error', failed).on('data', () => undefined);
      setTimeout(() => stream.cancel(), 40);
    } else
      channel.makeUnaryRequest(path, write, read, bytes, given, (error) => (error ? failed(error) : resolve(told)));
  });
}

test('and where they do not: ids, references, times, headers, addresses, broken and unknown bytes', async () => {
  const las = as['las']!;
  const metadata = (key: string, more: Record<string, string> = {}) => {
    const given = new Metadata();
    given.set('authorization', `Bearer ${key}`);
    for (const [name, value] of Object.entries(more)) given.set(name, value);
    return given;
  };
  const operatorKey = secrets.get("the operator's key")!;
  const work: Promise<string[]>[] = [];
  for (const definition of [...publicServices, OperatorServiceDefinition])
    for (const method of Object.values(definition.methods as Record<string, MethodDefinition>)) {
      const path = `/${definition.fullName}/${method.name}`;
      const type = `${definition.fullName.replace(/\.\w+$/, '')}.${method.name}Request`;
      const codec = method.requestType as unknown as {
        fromPartial(o: unknown): unknown;
        encode(m: unknown): { finish(): Uint8Array };
      };
      const keys =
        definition === (OperatorServiceDefinition as never)
          ? [operatorKey]
          : [las.apiKey, as['publisher']!.apiKey, as['platform']!.apiKey];
      for (const key of keys) {
        for (const [, value] of misplaced) {
          const bytes = Buffer.from(codec.encode(codec.fromPartial(filled(type, value))).finish());
          work.push(call(path, method, bytes, metadata(key)));
        }
        const [, text] = misplaced[0]!;
        const utf8 = Buffer.from(text);
        // A field that no contract knows; a length that lies; text that is no protobuf at all.
        work.push(
          call(
            path,
            method,
            Buffer.concat([Buffer.from([0xfa, 0x07, 0x80 | (utf8.length & 127), utf8.length >> 7]), utf8]),
            metadata(key),
          ),
        );
        work.push(call(path, method, Buffer.concat([Buffer.from([0x0a, 0xff, 0xff, 0x03]), utf8]), metadata(key)));
        work.push(call(path, method, Buffer.from(values.map(([, value]) => value).join(' ')), metadata(key)));
        work.push(
          call(
            path,
            method,
            Buffer.alloc(0),
            metadata(key, { 'x-leerling': planted['an e-mail address'], traceparent: planted['a remark of a sender'] }),
          ),
        );
      }
      work.push(call(path, method, Buffer.alloc(0), metadata(planted['an account name'])));
    }
  for (const told of await Promise.all(work)) answers.push(...told);

  const query = values.map(([what, value]) => `${what.replace(/\W/g, '')}=${encodeURIComponent(value)}`).join('&');
  const text = values.map(([, value]) => value).join(' ');
  for (const path of [
    '/edexml',
    '/soap/uwlr/v2/leerlinggegevens',
    '/soap/uwlr/v2/leerresultaten',
    '/oauth2/token',
    '/metrics',
    `/launch/${encodeURIComponent(learner.eckId)}`,
    `/${encodeURIComponent(planted['a family name'])}`,
  ])
    for (const body of [
      text,
      `<EDEX><school><schooljaar>${text}`,
      `<?xml version="1.0"?><EDEX><leerlingen><leerling key="${learner.lasKey}"><bsn>${text}</bsn></leerling></leerlingen></EDEX>`,
      edexml({
        school,
        year: planted['a call name'],
        pupils: [{ key: learner.lasKey, name: planted['a family name'] }],
      }),
    ]) {
      const answer = await fetch(`${http}${path}?${query}&school=${encodeURIComponent(planted['a family name'])}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${las.apiKey}`,
          'x-leerling': planted['an e-mail address'],
          cookie: `naam=${planted['a family name']}`,
          'user-agent': planted['an account name'],
        },
        body,
      });
      answers.push(toText(Object.fromEntries(answer.headers)), await answer.text());
    }
  const ask = { ...klant, school };
  for (const body of [
    uwlrQuestion({ ...ask, klantnaam: planted['a family name'] }),
    uwlrQuestion({ ...ask, sleutel: planted['an account name'] }),
    uwlrQuestion({ ...ask, year: planted['a birth date'] }),
    uwlrQuestion(ask, `<q:onbekend>${text}</q:onbekend>`),
    uwlrResults(ask, [
      {
        key: planted['a remark of a sender'],
        leerlingid: `${learner.lasKey}-onbekend`,
        score: planted['a family name'],
      },
    ]),
    uwlrResults(ask, [
      {
        key: planted['a remark of a sender'],
        leerlingid: learner.lasKey,
        score: planted['a score'],
        toetscode: planted['an activity'],
      },
    ]),
  ])
    answers.push(
      await (
        await fetch(`${http}/soap/uwlr/v2/leerresultaten`, {
          method: 'POST',
          headers: { 'content-type': 'text/xml' },
          body,
        })
      ).text(),
    );
  await fetch(`${http}/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${planted['an account name']}:${planted['a family name']}`).toString('base64')}`,
    },
    body: `grant_type=${planted['a call name']}`,
  }).then(async (answer) => answers.push(await answer.text()));
  expect(brinOf(school)).toBeDefined();
}, 120_000);

describe('afterwards none of them is', () => {
  test('in what was told of refusals', () => {
    expect(answers.length).toBeGreaterThan(500);
    expect(answers.flatMap((answer) => found(answer).map((what) => `${what}: ${answer.slice(0, 200)}`))).toEqual([]);
  });

  test('in what others are told', async () => {
    const { stranger, modest, dashboard } = as as Record<'stranger' | 'modest' | 'dashboard', (typeof as)[string]>;
    const seen: string[] = [];
    const listen = (watch: ClientReadableStream<unknown>) =>
      new Promise<void>((resolve) => {
        watch.on('data', (message) => seen.push(toText(message))).on('error', () => resolve());
        setTimeout(() => watch.cancel(), 700);
      });
    await Promise.all(
      [stranger, modest].flatMap((party) => [
        listen(party.rosters.watchRosters({})),
        listen(party.orders.watchOrders({})),
        listen(party.entitlements.watchEntitlements({})),
        listen(party.results.watchResults({})),
        listen(party.catalogue.watchProducts({})),
      ]),
    );
    for (const party of [stranger, modest])
      for (const answer of await Promise.all(
        [
          party.rosters.getRoster({ schoolOin: school, schoolYear: '2026-2027' }),
          party.orders.listOrders({}),
          party.orders.listOrders({ schoolOin: school }),
          party.entitlements.listEntitlements({ schoolOin: school }),
          party.results.listResults({ schoolOin: school }),
          party.flows.whyBlocked({ schoolOin: school, productId: BOOK }),
          party.flows.whyBlocked({ schoolOin: school, learner }),
          party.parties.listMandates({}),
          party.parties.listParties({}),
          party.flows.getFlow({ reference: 'o' }),
        ].map((asked) => keep(asked as Promise<unknown>)),
      ))
        seen.push(toText(answer));
    seen.push(toText(await dashboard.results.getProgress({ schoolOin: school, audience: Audience.AUDIENCE_SCHOOL })));
    expect(seen.length).toBeGreaterThan(20);
    // What was sent to them, and that it was.
    expect(hooks['platform']!.requests.some(({ body }) => found(body).length > 0)).toBe(true);
    expect(hooks['modest']!.requests.length).toBeGreaterThan(0);
    expect(hooks['stranger']!.requests).toEqual([]);
    for (const hook of Object.values(hooks)) expect(hook.problems).toEqual([]);
    seen.push(...hooks['modest']!.requests.map(({ body }) => body));
    expect(seen.flatMap((text) => found(text).map((what) => `${what}: ${text.slice(0, 300)}`))).toEqual([]);
  }, 30_000);

  test('in what operators are shown, but for the names of groups that a roster would close', async () => {
    const shown = [
      await operator.status({}),
      await operator.listParties({}),
      await operator.listMandates({}),
      await operator.listParked({}),
      await operator.whyBlocked({ schoolOin: school, productId: BOOK }),
      await operator.whyBlocked({ schoolOin: school, learner }),
      await operator.showFlow({ reference: 'o', partyOin: as['las']!.oin }),
    ].map(toText);
    expect(shown.flatMap((text) => found(text).map((what) => `${what}: ${text.slice(0, 300)}`))).toEqual([]);
    const { holds } = await operator.listHolds({});
    expect(found(toText(holds), ["a group's name"])).toEqual([]);
    expect(found(await (await fetch(`${http}/metrics`)).text())).toEqual([]);
  });

  const files = () => readdirSync(folder).map((name) => join(folder, name));
  const keyFiles = /operator\.key$/;
  test('at rest: state, vault, addresses, with their journals, running and stopped', async () => {
    await sleep(1_500); // Refusals are noted once a second.
    const look = () =>
      files()
        .filter((file) => !keyFiles.test(file))
        .flatMap((file) => found(readFileSync(file)).map((what) => `${what} in ${file.slice(folder.length + 1)}`));
    expect(files().map((file) => file.slice(folder.length + 1))).toEqual(
      expect.arrayContaining(['addresses.json', 'state.db', 'state.db-wal', 'vault.db', 'vault.db-wal']),
    );
    expect(look()).toEqual([]);
    child.kill('SIGTERM');
    await once(child, 'exit');
    expect(look()).toEqual([]);
    // Something did rest: the search looked at databases that hold the order, the entitlement and the result.
    const state = readFileSync(join(folder, 'state.db'));
    for (const id of [BOOK, as['las']!.oin]) expect(state.includes(id)).toBe(true);
  }, 30_000);

  test('in what the process wrote', () => {
    const text = Buffer.concat(said);
    expect(text.length).toBeGreaterThan(50);
    expect(found(text)).toEqual([]);
    expect(text.toString()).not.toMatch(/UnhandledPromiseRejection|uncaughtException|\n\s+at .*node:internal/);
  });
});

describe('the search finds what is planted', () => {
  test('in a line of a log, an event, a row, in other forms', () => {
    for (const [what, value] of values) {
      expect(found(`{"event":"roster","told":"${value}"}`)).toContain(what);
      expect(found(Buffer.concat([Buffer.from([1, 2]), Buffer.from(value), Buffer.from([0])]))).toContain(what);
      expect(found(value.toUpperCase())).toContain(what);
      expect(found(Buffer.from(value).toString('hex'))).toContain(what);
      expect(found(Buffer.from(`{"x":"${value}"}`).toString('base64'))).toContain(what);
    }
  });

  test('in a copy of the state where an event was written with a name, and one with a score', () => {
    const copy = join(parent, 'leak.db');
    copyFileSync(join(folder, 'state.db'), copy);
    const db = new DatabaseSync(copy);
    const double = Buffer.alloc(8);
    double.writeDoubleLE(Number(planted['a score']));
    db.exec('CREATE TABLE leak (data BLOB)');
    db.prepare('INSERT INTO leak VALUES (?)').run(Buffer.concat([Buffer.from(planted['a family name']), double]));
    db.close();
    expect(found(readFileSync(copy)).sort()).toEqual(['a family name', 'a score']);
    writeFileSync(copy, '');
  });
});
