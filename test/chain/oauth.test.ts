/** Tokens: how a client proves itself, what a token is for, and each way to cheat. */
import { createHmac, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { exportJWK, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  eckId,
  Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

let at: TestGateway;
let las: TestParty;
let other: TestParty;
const [schoolA, schoolB] = [newSchool(), newSchool()];

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const own = keyPair();
const jwksOf = async (...keys: [KeyObject, string][]) => ({
  keys: await Promise.all(
    keys.map(async ([key, kid]) => ({ ...(await exportJWK(key)), kid, alg: 'ES256', use: 'sig' })),
  ),
});
const textOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION, Role.ROLE_PUBLISHER]);
  other = await at.party('Een Ander', [Role.ROLE_ADMINISTRATION]);
  for (const school of [schoolA, schoolB])
    for (const { oin } of [las, other])
      await at.mandate(school, oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
  await at.operator.setKeys({ oin: las.oin, jwks: textOf(await jwksOf([own.publicKey, 'one'])) });
});
afterAll(() => at?.stop());

interface Answer {
  status: number;
  body: Record<string, unknown>;
  headers: Headers;
}
async function ask(fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    headers,
    body: new URLSearchParams({ grant_type: 'client_credentials', ...fields }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown>, headers: answer.headers };
}
const basic = ({ clientId, clientSecret }: { clientId: string; clientSecret: string }) => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
});
const asked = (assertion: string, more: Record<string, string> = {}) =>
  ask({
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
    ...more,
  });

const seconds = () => Math.floor(Date.now() / 1000);
const claims = (more: JWTPayload = {}): JWTPayload => ({
  iss: las.clientId,
  sub: las.clientId,
  aud: `${at.http}/oauth2/token`,
  jti: randomUUID(),
  iat: seconds(),
  exp: seconds() + 60,
  ...more,
});
const signed = (
  payload: JWTPayload,
  key: KeyObject = own.privateKey,
  header: Record<string, unknown> = { kid: 'one' },
) => new SignJWT(payload).setProtectedHeader({ alg: 'ES256', ...header }).sign(key);
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

async function told(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
const tokenWith = async (fields: Record<string, string>, party = las) => {
  const { body } = await ask(fields, basic(party));
  return at.as(`Bearer ${String(body['access_token'])}`);
};

describe('private_key_jwt', () => {
  test('an assertion gives a token, by either audience, until its keys are others', async () => {
    const { status, body, headers } = await asked(await signed(claims()));
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 600 });
    expect(await told(at.as(`Bearer ${String(body['access_token'])}`).parties.getParty({ oin: las.oin }))).toBe('');
    expect((await asked(await signed(claims({ aud: at.http })))).status).toBe(200);
    const next = keyPair();
    await at.operator.setKeys({ oin: las.oin, jwks: textOf(await jwksOf([next.publicKey, 'two'])) });
    expect((await asked(await signed(claims()))).status).toBe(401);
    expect((await asked(await signed(claims(), next.privateKey, { kid: 'two' }))).status).toBe(200);
    await at.operator.setKeys({ oin: las.oin, jwks: textOf(await jwksOf([own.publicKey, 'one'])) });
  });

  test('may end within a second, and is for us alone', async () => {
    const ends = seconds() + 60.1234;
    const broken = await signed(claims({ exp: ends }));
    expect((await asked(broken)).status).toBe(200);
    expect((await asked(broken)).status).toBe(401);
    expect((await asked(await signed(claims({ aud: [at.http, `${at.http}/oauth2/token`] })))).status).toBe(200);
    // Who else it is for could show it here.
    expect((await asked(await signed(claims({ aud: [at.http, 'https://elsewhere.example'] })))).status).toBe(401);
  });

  test('of what is no name is refused like any other, and counted', async () => {
    for (const name of [5, true, null, ['a'], { a: 1 }]) {
      const assertion = `${base64({ alg: 'ES256' })}.${base64({ ...claims(), iss: name, sub: name })}.AAAA`;
      expect((await asked(assertion)).status).toBe(401);
    }
  });

  test('is taken once, also by another door of the same gateway', async () => {
    const assertion = await signed(claims());
    expect((await asked(assertion)).status).toBe(200);
    expect((await asked(assertion)).status).toBe(401);
    // What was taken is known to the parties' owner, which all doors ask, and which outlives them.
    await at.restart();
    expect((await asked(assertion)).status).toBe(401);
    const twice = await signed(claims());
    const answers = await Promise.all([asked(twice), asked(twice), asked(twice)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401]);
  });

  const forger = keyPair();
  test.each<[string, () => Promise<string> | string]>([
    ['alg none', () => `${base64({ alg: 'none', kid: 'one' })}.${base64(claims())}.`],
    ['alg None', () => `${base64({ alg: 'None', kid: 'one' })}.${base64(claims())}.`],
    [
      'a public key as the secret of an HMAC',
      () => {
        const body = `${base64({ alg: 'HS256', kid: 'one' })}.${base64(claims())}`;
        const pem = own.publicKey.export({ type: 'spki', format: 'pem' });
        return `${body}.${createHmac('sha256', pem).update(body).digest('base64url')}`;
      },
    ],
    ['no signature', async () => (await signed(claims())).replace(/[^.]+$/, '')],
    ['another key', () => signed(claims(), forger.privateKey)],
    [
      'a key of its own in the header',
      async () => signed(claims(), forger.privateKey, { jwk: await exportJWK(forger.publicKey) }),
    ],
    ['the audience of another server', () => signed(claims({ aud: 'https://elsewhere.example/oauth2/token' }))],
    ['no audience', () => signed(claims({ aud: undefined as never }))],
    ['another issuer than subject', () => signed(claims({ iss: 'somebody' }))],
    ['the name of another client', () => signed(claims({ iss: other.clientId, sub: other.clientId }))],
    ['no jti', () => signed(claims({ jti: undefined as never }))],
    ['no end', () => signed(claims({ exp: undefined as never }))],
    ['an end that is past', () => signed(claims({ exp: seconds() - 60 }))],
    ['an end in a year', () => signed(claims({ exp: seconds() + 31_536_000 }))],
    ['a beginning to come', () => signed(claims({ nbf: seconds() + 120, exp: seconds() + 240 }))],
    ['text that is none', () => 'a.b.c'],
    ['a long text', () => 'x'.repeat(20_000)],
  ])('%s is refused, in the same words', async (_what, make) => {
    // Who has just shown that it knows may err again: else these would be too many.
    expect((await ask({}, basic(las))).status).toBe(200);
    const { status, body } = await asked(await make());
    expect([status, body]).toEqual([
      401,
      {
        error: 'invalid_client',
        error_description: expect.stringMatching(/^This assertion is not taken\. Look at iss /),
      },
    ]);
  });

  test('two proofs at once, and a client_id of another, are refused', async () => {
    const assertion = await signed(claims());
    const type = { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' };
    expect((await ask({ ...type, client_assertion: assertion }, basic(las))).status).toBe(400);
    expect((await asked(assertion, { client_id: other.clientId })).status).toBe(401);
    expect((await ask({ client_assertion: assertion })).status).toBe(400);
    // A name alone proves nothing where nobody showed a certificate.
    expect((await ask({ client_id: las.clientId })).status).toBe(401);
  });
});

describe('keys by address', () => {
  let server: Server;
  let fetched = 0;
  let answer: unknown;
  let jwksUrl: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      fetched++;
      if (request.url === '/away') return void response.writeHead(302, { location: '/keys' }).end();
      if (request.url === '/broken') return void response.writeHead(500).end();
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    jwksUrl = `http://127.0.0.1:${(server.address() as { port: number }).port}/keys`;
  });
  afterAll(() => server.close());
  const as = (key: KeyObject, kid: string, header = {}) =>
    signed(claims({ iss: other.clientId, sub: other.clientId }), key, { kid, ...header }).then((one) => asked(one));

  test('are fetched once, kept, and never from where an assertion says', async () => {
    const key = keyPair();
    answer = await jwksOf([key.publicKey, 'a']);
    await at.operator.setKeys({ oin: other.oin, jwksUrl });
    expect((await as(key.privateKey, 'a')).status).toBe(200);
    expect((await as(key.privateKey, 'a')).status).toBe(200);
    expect(fetched).toBe(1);
    const forger = keyPair();
    answer = await jwksOf([forger.publicKey, 'evil']);
    const before = fetched;
    expect((await as(forger.privateKey, 'a', { jku: jwksUrl.replace('/keys', '/evil') })).status).toBe(401);
    expect(fetched).toBe(before);
  });

  test('that cannot be had are told as such, and a redirect is not followed', async () => {
    const key = keyPair();
    answer = await jwksOf([key.publicKey, 'a']);
    for (const path of ['/broken', '/away']) {
      await at.operator.setKeys({ oin: other.oin, jwksUrl: jwksUrl.replace('/keys', path) });
      const { status, body } = await as(key.privateKey, 'a');
      expect([status, body['error']]).toEqual([503, 'temporarily_unavailable']);
    }
  });

  test.each([
    'http://192.0.2.1/keys',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1/keys',
    'https://[::ffff:10.0.0.1]/keys',
    'https://user:secret@keys.example/',
    'file:///etc/passwd',
    'http://keys.example/',
  ])('an address that leads inside is not registered: %s', async (address) => {
    expect(await told(at.operator.setKeys({ oin: other.oin, jwksUrl: address }))).toBe('wire.invalid');
  });

  test('nor are private keys, symmetric keys, or what is no set', async () => {
    const pair = keyPair();
    for (const set of [
      { keys: [await exportJWK(pair.privateKey)] },
      { keys: [{ kty: 'oct', k: 'AAAA' }] },
      { keys: [] },
      [],
      null,
    ])
      expect(await told(at.operator.setKeys({ oin: other.oin, jwks: textOf(set) }))).toBe('wire.invalid');
    expect(await told(at.operator.setKeys({ oin: other.oin, jwks: Buffer.from('{') }))).toBe('wire.invalid');
    // A key without its set is what is tried first: it is told how to write one.
    const single = textOf(await exportJWK(pair.publicKey));
    await expect(at.operator.setKeys({ oin: other.oin, jwks: single })).rejects.toThrow('{"keys": [KEY]}');
    expect(await told(at.operator.setKeys({ oin: other.oin }))).toBe('wire.invalid');
  });
});

describe('a token', () => {
  test('says what may be asked for', async () => {
    const known = (await (await fetch(`${at.http}/.well-known/oauth-authorization-server`)).json()) as any;
    expect(known).toMatchObject({ issuer: at.http, token_endpoint: `${at.http}/oauth2/token` });
    expect(known.scopes_supported).toEqual([
      'access',
      'audit',
      'catalogue',
      'delivery',
      'entitlement',
      'flow',
      'identity',
      'order',
      'party',
      'result',
      'roster',
    ]);
  });

  test('for some services is refused at others', async () => {
    const as = await tokenWith({ scope: 'roster flow' });
    expect(await told(as.parties.getParty({ oin: las.oin }))).toBe('party.forbidden');
    expect(await told(as.orders.listOrders({}))).toBe('party.forbidden');
    expect(await told(as.rosters.getRoster({ schoolOin: schoolA }))).toBe('state.missing');
    expect((await ask({ scope: 'roster everything' }, basic(las))).body['error']).toBe('invalid_scope');
    expect((await ask({ scope: ' ' }, basic(las))).body['error']).toBe('invalid_scope');
    expect((await ask({ scope: 'roster' }, basic(las))).body['scope']).toBe('roster');
  });

  test('for school A is refused for school B, read or written, by whichever id', async () => {
    const as = await tokenWith({ school: schoolA });
    expect(await told(as.rosters.getRoster({ schoolOin: schoolA }))).toBe('state.missing');
    expect(await told(as.rosters.getRoster({ schoolOin: schoolB }))).toBe('party.forbidden');
    const register = (schoolOin: string, n: number, by = as) =>
      by.identity.registerLearners({
        reference: `register-${n}`,
        schoolOin,
        learners: [{ ref: { eckId: eckId(n), lasKey: `l${n}` } }],
      } as never);
    expect(await told(register(schoolB, 1))).toBe('party.forbidden');
    expect(await told(register(schoolA, 2))).toBe('');
    // What the party itself sent about B does not exist for this token, nor do its mandates there.
    const whole = await tokenWith({});
    const flow = (await register(schoolB, 3, whole)) as { flowId: string };
    expect(await told(whole.flows.getFlow({ flowId: flow.flowId }))).toBe('');
    expect(await told(as.flows.getFlow({ flowId: flow.flowId }))).toBe('state.missing');
    expect(await told(as.flows.getFlow({ reference: 'register-3' }))).toBe('state.missing');
    const { mandates } = await as.parties.listMandates({});
    expect(new Set(mandates.map(({ schoolOin }) => schoolOin))).toEqual(new Set([schoolA]));
    expect(await told(as.parties.listMandates({ schoolOin: schoolB }))).toBe('party.forbidden');
    expect(await told(as.orders.listOrders({}))).toBe('');
    expect(await told(as.orders.listOrders({ schoolOin: schoolB }))).toBe('party.forbidden');
    expect(await told(as.entitlements.listEntitlements({ schoolOin: schoolB }))).toBe('party.forbidden');
    // What is sent to the party, of that school alone.
    expect(await told(as.deliveries.listDeadLetters({}))).toBe('');
    expect(await told(as.deliveries.listDeadLetters({ selection: { schoolOin: schoolB } }))).toBe('party.forbidden');
    expect(await told(as.deliveries.hold({ reference: 'hold-a', selection: { schoolOin: schoolA } }))).toBe('');
    for (const selection of [{}, { schoolOin: schoolB }]) {
      expect(await told(as.deliveries.hold({ reference: 'hold-b', selection }))).toBe('party.forbidden');
      expect(await told(as.deliveries.previewReplay({ reference: 'preview-b', selection }))).toBe('party.forbidden');
    }
    // A list of all is for a token that is for all.
    expect(await told(as.parties.listParties({}))).toBe('party.forbidden');
    // An order of B by its id, its mail, and its items among those of A.
    const order = (orderId: string, schoolOin: string) => ({
      reference: orderId,
      orderId,
      schoolOin,
      lines: [{ terms: { lineId: '1', productId: 'p', quantity: 1 }, learner: { eckId: eckId(3) } }],
      waitMs: 5_000n,
    });
    await whole.orders.placeOrder(order('of-b', schoolB));
    expect(await told(whole.orders.getOrder({ orderId: 'of-b' }))).toBe('');
    expect(await told(as.orders.getOrder({ orderId: 'of-b' }))).toBe('party.forbidden');
    // Why it waits neither, whichever school is named beside it.
    expect(await told(whole.flows.whyBlocked({ orderId: 'of-b' }))).toBe('');
    expect(await told(as.flows.whyBlocked({ orderId: 'of-b' }))).toBe('state.missing');
    expect(await told(as.flows.whyBlocked({ schoolOin: schoolA, orderId: 'of-b' }))).toBe('state.missing');
    expect(await told(as.orders.placeOrder(order('of-b-2', schoolB)))).toBe('party.forbidden');
    expect(await told(readUntil(as.rosters.watchRosters({ schoolOin: schoolB }), () => false, 5_000))).toBe(
      'party.forbidden',
    );
    // It passes over the mail of others, so its cursor is none for a watch of all.
    const { watchCursor: cursor } = await as.orders.listOrders({});
    const watched = (by: typeof as) =>
      readUntil(by.orders.watchOrders({ cursor }), () => false, 300).catch((thrown) =>
        thrown instanceof Fault ? thrown.code : 'waits',
      );
    expect(await watched(whole)).toBe('wire.invalid');
    expect(await watched(as)).toBe('waits');
    const grant = (schoolOin: string) => ({
      reference: `grant-${schoolOin}`,
      schoolOin,
      holder: { learner: { eckId: eckId(3) } },
      terms: { entitlementId: `e-${schoolOin}`, productId: 'p' },
    });
    const acks = await sendAll(as.entitlements.grantEntitlements(), [grant(schoolA), grant(schoolB)] as never[]);
    const refusals = acks.flatMap((ack) => ack.refusals.map(({ index, code }) => [index, code]));
    expect(refusals).toContainEqual([1n, 'party.forbidden']);
    expect(refusals).not.toContainEqual([0n, 'party.forbidden']);
    const { body } = await ask({ school: schoolA }, basic(las));
    const file = readFileSync(new URL('../../adapters/edexml/examples/01-primary.xml', import.meta.url));
    const edexml = await fetch(`${at.http}/edexml`, {
      method: 'POST',
      body: file,
      headers: { authorization: `Bearer ${String(body['access_token'])}` },
    });
    expect([edexml.status, ((await edexml.json()) as { code: string }).code]).toEqual([403, 'party.forbidden']);
    expect((await ask({ school: 'x' }, basic(las))).body['error']).toBe('invalid_request');
  });

  test('of another gateway, or changed, is none', async () => {
    const { body } = await ask({ school: schoolA }, basic(las));
    const token = String(body['access_token']);
    const [head, signature] = token.slice('eduk_at_'.length).split('.') as [string, string];
    const payload = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>;
    expect(payload['aud']).toBe(at.http);
    for (const changed of [
      { ...payload, school: schoolB },
      { ...payload, aud: 'https://elsewhere.example' },
    ])
      expect(
        await told(at.as(`Bearer eduk_at_${base64(changed)}.${signature}`).parties.getParty({ oin: las.oin })),
      ).toBe('party.unknown');
  });
});

describe('secrets', () => {
  test('are renewed with an overlap that ends, and the old before those at once', async () => {
    const party = await at.party('Vergeetachtig', [Role.ROLE_PUBLISHER]);
    const works = async ({
      clientId,
      clientSecret,
      apiKey,
    }: {
      clientId: string;
      clientSecret: string;
      apiKey: string;
    }) => [
      (await ask({}, basic({ clientId, clientSecret }))).status,
      await told(at.as(`Bearer ${apiKey}`).parties.getParty({ oin: party.oin })),
    ];
    const second = await at.operator.renewSecret({ oin: party.oin, overlapS: 3600 });
    expect(await works(party)).toEqual([200, '']);
    expect(await works(second)).toEqual([200, '']);
    const third = await at.operator.renewSecret({ oin: party.oin, overlapS: 1 });
    expect(await works(party)).toEqual([401, 'party.unknown']);
    expect(await works(third)).toEqual([200, '']);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, Number(third.beforeUntilMs) - Date.now()) + 50));
    expect(await works(second)).toEqual([401, 'party.unknown']);
    const fourth = await at.operator.renewSecret({ oin: party.oin, overlapS: 0 });
    expect(await works(third)).toEqual([401, 'party.unknown']);
    await at.restart();
    expect(await works(fourth)).toEqual([200, '']);
    expect(await told(at.operator.renewSecret({ oin: '00000099999999999000' }))).toBe('state.missing');
    expect(await told(at.operator.renewSecret({ oin: party.oin, overlapS: 31 * 86_400 }))).toBe('wire.invalid');
  });

  test('that are guessed make who guesses wait, and nobody else', async () => {
    const party = await at.party('Doelwit', [Role.ROLE_PUBLISHER]);
    const guess = () => ask({}, basic({ ...party, clientSecret: 'guess' }));
    // The time by which failures are forgotten stands still, so that it does not matter how busy this machine is.
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      for (let guessed = 0; guessed < 10; guessed++) expect((await guess()).status).toBe(401);
      const { status, headers } = await guess();
      expect([status, headers.get('retry-after')]).toEqual([429, '6']);
      // What it sends meanwhile is not looked at.
      expect((await ask({}, basic(party))).status).toBe(429);
      expect((await ask({}, basic(las))).status).toBe(200);
      vi.advanceTimersByTime(6_000);
      expect((await ask({}, basic(party))).status).toBe(200);
      // However many come at once.
      const statuses = (await Promise.all(Array.from({ length: 30 }, guess))).map(({ status }) => status);
      expect(statuses.sort()).toEqual([...Array(10).fill(401), ...Array(20).fill(429)]);
    } finally {
      vi.useRealTimers();
    }
  });
});
