/** Attacks on the doors over the wire: nothing of them is read, reached, written or remembered, and the gateway goes on. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { PlaceOrderRequest } from '#proto/eduk/gateway/v1/order';
import { edexml, type UwlrAsk, uwlrQuestion, uwlrResults } from './files.ts';
import {
  eckId,
  Fault,
  newOin,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { captureLogs, logged } from './logs.ts';

captureLogs();

const BOOK = '9789000000019';
let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let ask: UwlrAsk;
const school = newSchool();
const pull = '/soap/uwlr/v2/leerlinggegevens';
const push = '/soap/uwlr/v2/leerresultaten';

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  const services = [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_RESULT];
  await at.mandate(school, las.oin, services);
  const { autorisatiesleutel } = await at.mandate(school, publisher.oin, services);
  ask = { sleutel: autorisatiesleutel, klantcode: publisher.klantcode, klantnaam: publisher.klantnaam, school };
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: BOOK, title: 'Wilg' } },
  ]);
  const posted = await postFile(edexml({ school, pupils: [{ key: 'L-1', eckId: eckId(1) }] }));
  expect(posted.status).toBe(202);
});
afterAll(() => at?.stop());

const postFile = (body: string | Buffer, query = '', headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${at.http}/edexml${query}`, {
    method: 'POST',
    body: body as string,
    headers: { authorization: `Bearer ${las.apiKey}`, ...headers },
  });
const soap = (path: string, body: string): Promise<string> =>
  fetch(`${at.http}${path}`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body }).then((it) => it.text());

/** Sends bytes over a connection of its own and gives all that comes back until it is closed, or for `ms` from the first. */
const raw = (text: string, ms = 1_500): Promise<string> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(at.http);
    const socket = connect(Number(port), hostname);
    let said = '';
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(said);
    };
    let timer = setTimeout(done, 60_000);
    socket.on('data', (chunk) => {
      if (said === '') {
        clearTimeout(timer);
        timer = setTimeout(done, ms);
      }
      said += chunk.toString('latin1');
    });
    socket.on('error', done).on('close', done);
    socket.write(Buffer.from(text, 'latin1'));
  });
const host = () => new URL(at.http).host;
const answersIn = (said: string): number[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

test('XXE and remote schemas: no door fetches what a document names', async () => {
  let reached = 0;
  const trap = createServer((_, response) => {
    reached++;
    response.end('<!ENTITY x "in">');
  });
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  const to = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/x`;
  const file = edexml({ school, pupils: [{ key: 'L-1', eckId: eckId(1) }] }).replace(/^<\?xml.*\n/, '');
  const doctypes = [
    `<!DOCTYPE EDEX SYSTEM "${to}">`,
    `<!DOCTYPE EDEX [<!ENTITY x SYSTEM "${to}">]>`,
    `<!DOCTYPE EDEX [<!ENTITY % p SYSTEM "${to}"> %p;]>`,
  ];
  for (const doctype of doctypes) {
    expect((await postFile(doctype + file)).status).toBe(400);
    expect(await soap(pull, doctype + uwlrQuestion(ask).replace(/^<\?xml.*\n/, ''))).toContain('wire.unreadable');
  }
  // A schema or stylesheet elsewhere is a hint that nobody takes.
  const hinted = file.replace(
    '<EDEX>',
    `<EDEX xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="${to}">`,
  );
  await postFile(`<?xml-stylesheet href="${to}"?>${hinted}`);
  await postFile(
    hinted.replace('<school>', `<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="${to}"/><school>`),
  );
  trap.close();
  expect(reached).toBe(0);
});

describe('SOAP header smuggling', () => {
  const block = (klantcode: string) =>
    `<h:autorisatie><h:autorisatiesleutel>${ask.sleutel}</h:autorisatiesleutel><h:klantcode>${klantcode}</h:klantcode><h:klantnaam>${ask.klantnaam}</h:klantnaam></h:autorisatie>`;
  const good = () => uwlrQuestion(ask);

  test('as it should be, it is answered', async () =>
    expect(await soap(pull, good())).toContain('leerlinggegevens_antwoord'));

  test.each<[string, () => string]>([
    ['a second block of the same name', () => good().replace('</env:Header>', `${block('another')}</env:Header>`)],
    [
      'a second header',
      () => good().replace('<env:Body>', `<env:Header>${block(ask.klantcode)}</env:Header><env:Body>`),
    ],
    [
      'the header behind the body',
      () => {
        const [header] = /<env:Header>.*<\/env:Header>/s.exec(good())!;
        return good().replace(header!, '').replace('</env:Body>', `</env:Body>${header}`);
      },
    ],
    ['two keys in a block', () => good().replace('<h:klantcode>', '<h:klantcode>x</h:klantcode><h:klantcode>')],
    [
      'the block within another',
      () => good().replace('<h:autorisatie>', '<w><h:autorisatie>').replace('</h:autorisatie>', '</h:autorisatie></w>'),
    ],
    [
      'the block in the body',
      () => {
        const [header] = /<h:autorisatie>.*<\/h:autorisatie>/s.exec(good())!;
        return good().replace(header!, '').replace('<q:schooljaar>', `${header}<q:schooljaar>`);
      },
    ],
    ['a second request in the body', () => good().replace('</env:Body>', `<q:leerlinggegevens_verzoek/></env:Body>`)],
  ])('%s is refused', async (_, forged) => {
    const answer = await soap(pull, forged());
    expect(answer).toContain('Fault');
    expect(answer).not.toContain('leerlinggegevens_antwoord');
  });

  test('an HTTP header says nothing of who calls or what is asked', async () => {
    const answer = await fetch(`${at.http}${pull}`, {
      method: 'POST',
      headers: { soapaction: '"BrengLeerresultaten"', klantcode: 'another', 'x-forwarded-user': 'operator' },
      body: good(),
    });
    expect(await answer.text()).toContain('leerlinggegevens_antwoord');
  });
});

test('XML signature wrapping: a signed copy in the header changes nothing of what is read and who is asked for', async () => {
  const other = newSchool();
  // The body of a school that agreed, signed and moved aside; in its place a question about another.
  const signed = /<q:leerlinggegevens_verzoek.*<\/q:leerlinggegevens_verzoek>/s.exec(uwlrQuestion(ask))![0];
  const wrapped = uwlrQuestion({ ...ask, school: other }).replace(
    '</env:Header>',
    `<w:Security xmlns:w="urn:w"><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo><Reference URI="#b"/></SignedInfo></Signature><env:Body Id="b">${signed}</env:Body></w:Security></env:Header>`,
  );
  const answer = await soap(pull, wrapped);
  expect(answer).toMatch(/state\.missing|mandate\.missing/);
  expect(answer).not.toContain('leerlinggegevens_antwoord');
});

test('path traversal: no name in a request or file leads to a file', async () => {
  const parent = join(at.folder, '..');
  const before = [...readdirSync(parent), ...readdirSync(at.folder)].sort();
  for (const path of [
    '/../../etc/passwd',
    '/..%2f..%2fetc%2fpasswd',
    '/soap/uwlr/v2/..%5c..%5cpackage.json',
    '/edexml/../../package.json',
  ])
    for (const answer of [await raw(`GET ${path} HTTP/1.1\r\nHost: ${host()}\r\nConnection: close\r\n\r\n`)]) {
      expect(answersIn(answer)).toEqual([404]);
      expect(answer).not.toMatch(/root:|eduk-gateway/);
    }
  for (const name of [
    '../../../../package.json',
    '..%2F..%2FREADME.md',
    '/etc/passwd',
    'leerresultaten.xsd%00../../x',
  ]) {
    const answer = await (await fetch(`${at.http}${push}?xsd=${name}`)).text();
    expect(answer).not.toMatch(/root:|eduk-gateway|Integration gateway/);
    expect(answer).toContain('state.missing');
  }
  const named = await postFile(
    edexml({
      school,
      groups: ['../../g'],
      groupName: '../../../tmp/eduk-traversal',
      pupils: [{ key: '../../../tmp/eduk-l', eckId: eckId(1), group: '../../g' }],
    }),
    '?schooljaar=2026-2027',
    { 'content-disposition': 'attachment; filename="../../../tmp/eduk-traversal.xml"', 'x-file-name': '../../eduk' },
  );
  // A key may hold such signs: it names a pupil, never a file.
  expect([202, 400, 409]).toContain(named.status);
  expect((await postFile(edexml({ school, pupils: [] }), '?school=../../etc/passwd')).status).toBe(400);
  expect(existsSync('/tmp/eduk-traversal')).toBe(false);
  expect(existsSync('/tmp/eduk-traversal.xml')).toBe(false);
  const after = [...readdirSync(parent), ...readdirSync(at.folder)].filter((it) => !/-(wal|shm)$/.test(it)).sort();
  expect(after.filter((it) => !before.includes(it))).toEqual([]);
});

describe('HTTP request smuggling', () => {
  const smuggled = () => `GET /healthz HTTP/1.1\r\nHost: ${host()}\r\nX: smuggled\r\n\r\n`;
  const post = (headers: string, body: string) =>
    `POST /oauth2/token HTTP/1.1\r\nHost: ${host()}\r\n${headers}\r\n${body}`;

  test.each<[string, () => string]>([
    [
      'a length and chunks',
      () => post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${smuggled()}`),
    ],
    ['chunks that are not last', () => post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${smuggled()}`)],
    ['an unknown transfer coding', () => post('Transfer-Encoding: xchunked\r\n', smuggled())],
    ['a space before the colon', () => post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${smuggled()}`)],
    ['two lengths', () => post('Content-Length: 0\r\nContent-Length: 60\r\n', smuggled())],
    ['a length with a sign', () => post('Content-Length: +0\r\n', smuggled())],
    ['a length that is no number', () => post('Content-Length: 0x0\r\n', smuggled())],
    ['a folded header', () => post('X: a\r\n b\r\nContent-Length: 0\r\n', smuggled())],
    ['a bare line feed', () => post('X: a\nContent-Length: 0\r\n', smuggled())],
    ['a bare carriage return', () => post('X: a\rContent-Length: 60\r\n', smuggled())],
    ['a NUL in a header', () => post('X: a\0b\r\n', smuggled())],
    ['a chunk with a wrong size', () => post('Transfer-Encoding: chunked\r\n', `-1\r\n\r\n${smuggled()}`)],
    [
      'a chunk without its line ending',
      () => post('Transfer-Encoding: chunked\r\n', `1\r\nZZ\r\n0\r\n\r\n${smuggled()}`),
    ],
    ['no Host', () => `GET /healthz HTTP/1.1\r\n\r\n${smuggled()}`],
  ])('%s: one refusal, and what follows is not answered', async (_, request) => {
    const answers = answersIn(await raw(request()));
    expect(answers).toHaveLength(1);
    expect(answers[0]).toBe(400);
  });

  test('two hosts, or one in the address: never another than is configured', async () => {
    for (const request of [
      `GET /healthz HTTP/1.1\r\nHost: ${host()}\r\nHost: evil.example\r\n\r\n`,
      `GET /healthz HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: ${host()}\r\n\r\n`,
    ]) {
      const answers = answersIn(await raw(request, 500));
      expect(answers.length).toBe(1);
      expect([400, 403]).toContain(answers[0]);
    }
  });

  test('an upgrade to another protocol is not made', async () => {
    const said = await raw(
      `GET /healthz HTTP/1.1\r\nHost: ${host()}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
      500,
    );
    expect(said).not.toContain('101 ');
  });
});

test('header bombs: 17 kB in one and 101 of them are refused', async () => {
  const get = (headers: string) =>
    raw(`GET /healthz HTTP/1.1\r\nHost: ${host()}\r\nConnection: close\r\n${headers}\r\n`);
  expect(answersIn(await get(''))).toEqual([200]);
  expect(answersIn(await get(`X: ${'x'.repeat(17 * 1024)}\r\n`))).toEqual([431]);
  expect(answersIn(await get(Array.from({ length: 101 }, (_, i) => `X-${i}: \r\n`).join('')))).toEqual([413]);
  // What stands behind the others is seen too: a proxy puts its headers at the end.
  const many = Array.from({ length: 80 }, (_, i) => [`x-${i}`, ''] as const);
  const proxied = await postFile('<EDEX/>', '', Object.fromEntries([...many, ['x-forwarded-for', '192.0.2.1']]));
  expect(proxied.status).toBe(401);
});

test('decompression bombs: no compressed body is opened', async () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  for (const coding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', 'x-gzip']) {
    const answer = await postFile(bomb, '', { 'content-encoding': coding });
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, 'wire.unreadable']);
  }
});

test('prototype pollution: names of what objects have are names like any other', async () => {
  const own = Object.getOwnPropertyNames(Object.prototype).sort();
  const names = ['__proto__', 'constructor', 'toString'];
  for (const [i, name] of names.entries()) {
    const { decision } = await las.orders.placeOrder({
      reference: name,
      orderId: name,
      schoolOin: school,
      lines: [{ terms: { lineId: name, productId: BOOK, quantity: 1 }, learner: { eckId: eckId(i + 1) } }],
      waitMs: 10_000n,
    });
    expect(decision).toMatchObject({ outcome: 'OrderPlaced' });
    expect((await las.orders.getOrder({ orderId: name })).order).toMatchObject({ orderId: name });
    await expect(las.orders.getOrder({ orderId: `${name}x` })).rejects.toMatchObject({ code: 'state.missing' });
    await expect(
      at.operator.addParty({
        party: { oin: newOin(), name: 'x', roles: [1], endpoints: [{ standard: name, url: 'https://x.example' }] },
      }),
    ).resolves.toBeDefined();
    const file = edexml({ school, pupils: [{ key: name, eckId: eckId(1) }] });
    await postFile(file.replace('<EDEX>', `<EDEX ${name}="1">`));
    await soap(push, uwlrResults(ask, [{ key: name, leerlingid: name }]));
    for (const path of [`/${name}`, `/${name}/openapi.json`, `/healthz?${name}[x]=1`, `/edexml?${name}=1`])
      await fetch(`${at.http}${path}`);
  }
  const form = 'grant_type=client_credentials&__proto__[admin]=1&constructor[prototype][admin]=1';
  const token = await fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    body: form,
    headers: {
      authorization: `Basic ${Buffer.from(`${las.clientId}:${las.clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
  });
  expect(token.status).toBe(200);
  for (const json of ['{"__proto__":{"admin":1}}', '{"constructor":{"prototype":{"admin":1}}}'])
    for (const authorization of [`Bearer eduk_at_${Buffer.from(json).toString('base64url')}.x`, `Bearer ${json}`])
      expect((await fetch(`${at.http}/edexml`, { method: 'POST', headers: { authorization } })).status).toBe(401);
  expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(own);
  expect(({} as { admin?: number }).admin).toBeUndefined();
});

test('log injection: every line is one object of ours, and nothing that was sent stands in it', async () => {
  const planted = 'PLANTED\r\n{"level":"error","event":"forged"}\u001b[31m';
  const line = encodeURIComponent(planted);
  await raw(
    `GET /${line} HTTP/1.1\r\nHost: ${host()}\r\nUser-Agent: PLANTED\u001b[2J\r\nX-A: PLANTED\tforged\r\nConnection: close\r\n\r\n`,
  );
  await raw('PLANTED /forged HTTP/9.9\r\n\r\n');
  await fetch(`${at.http}/edexml?school=${line}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${las.apiKey}` },
  });
  await fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(planted).toString('base64')}` },
    body: `grant_type=${line}`,
  });
  await soap(pull, planted);
  await soap(pull, uwlrQuestion({ ...ask, klantnaam: 'PLANTED&#10;forged', klantcode: 'PLANTED' }));
  await postFile(
    edexml({
      school,
      groupName: 'PLANTED&#10;{&quot;event&quot;:&quot;forged&quot;}',
      pupils: [{ key: 'PLANTED&#10;forged' }],
    }),
  );
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${las.apiKey}`);
  metadata.set('traceparent', 'PLANTED forged');
  metadata.set('user-agent', 'PLANTED forged');
  const error = await new Promise<ServiceError | null>((resolve) =>
    at.channel.makeUnaryRequest(
      '/eduk.gateway.v1.OrderService/PlaceOrder',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      Buffer.from(
        PlaceOrderRequest.encode(
          PlaceOrderRequest.fromPartial({ reference: planted, orderId: planted, schoolOin: planted }),
        ).finish(),
      ),
      metadata,
      (thrown) => resolve(thrown),
    ),
  );
  expect(new Fault(error!).code).toBe('wire.invalid');
  const said = logged();
  for (const one of ['PLANTED', 'forged', '\u001b[']) expect(said).not.toContain(one);
  for (const one of said.split('\n').filter((it) => it.trim() !== '')) {
    if (!one.startsWith('{')) continue; // What the gateway says to people at its start.
    expect(JSON.parse(one)).toMatchObject({ level: expect.any(String), event: expect.stringMatching(/^[a-z_]+$/) });
  }
});

test('after all of it the gateway answers as before', async () => {
  const { decision } = await las.orders.placeOrder({
    reference: 'last',
    orderId: 'last',
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: { eckId: eckId(1) } }],
    waitMs: 10_000n,
  });
  expect(decision).toMatchObject({ outcome: 'OrderPlaced' });
  expect(await soap(pull, uwlrQuestion(ask))).toContain('leerlinggegevens_antwoord');
  expect(statSync(at.folder).isDirectory()).toBe(true);
  expect(logged()).not.toMatch(/_bug"|gateway\.bug/);
});
