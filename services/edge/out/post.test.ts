import { generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type DiallerOptions, diallerFor, issueCertificate, networksOf } from '#kernel';
import { type Poster, posterFor } from './post.ts';

/** How long it took: measured, so that a test says only that it is there. */
const tookMs = expect.any(Number) as number;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const TIMEOUT_MS = 300;
function poster(networks = networksOf([], true), options: DiallerOptions = {}): Poster {
  const dialler = diallerFor(networks, options);
  closing.push(() => dialler.close());
  return posterFor(dialler, { timeoutMs: TIMEOUT_MS });
}

async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
}

async function raw(take: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    take(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const body = Buffer.from('[]');
const mine = () => true;

describe('one request', () => {
  test('is a POST with its headers and length, over a connection that is used again', async () => {
    const seen: unknown[] = [];
    const { url, server } = await serve(async (request, response) => {
      let text = '';
      for await (const chunk of request) text += chunk;
      seen.push([request.method, request.url, request.headers['webhook-id'], request.headers['content-length'], text]);
      response.end('thanks');
    });
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    const { post } = poster();
    for (let i = 0; i < 5; i++)
      expect(await post(url, { 'webhook-id': `${i}` }, body, mine)).toEqual({
        status: 200,
        cause: '',
        retryAfterS: 0,
        tookMs,
      });
    expect(seen).toEqual([0, 1, 2, 3, 4].map((i) => ['POST', '/hook', `${i}`, '2', '[]']));
    expect(connections).toBe(1);
  });

  test('follows no redirect', async () => {
    const asked: string[] = [];
    const { url } = await serve((request, response) => {
      asked.push(request.url!);
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    expect(await poster().post(url, {}, body, mine)).toMatchObject({ status: 307 });
    expect(asked).toEqual(['/hook']);
  });

  test('brings back what the receiver asked for, in seconds or as a moment', async () => {
    const values = ['7', new Date(Date.now() + 9_500).toUTCString(), 'soon', '-3'];
    const { url } = await serve((_, response) => response.writeHead(429, { 'retry-after': values.shift()! }).end());
    const { post } = poster();
    expect((await post(url, {}, body, mine)).retryAfterS).toBe(7);
    expect((await post(url, {}, body, mine)).retryAfterS).toBeGreaterThan(7);
    expect((await post(url, {}, body, mine)).retryAfterS).toBe(0);
    expect((await post(url, {}, body, mine)).retryAfterS).toBe(0);
  });
});

describe('without an answer there is a cause', () => {
  test('nobody listens', async () => {
    const { url, server } = await serve(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    expect(await poster().post(url, {}, body, mine)).toEqual({ status: 0, cause: 'refused', retryAfterS: 0, tookMs });
  });

  test('no such name', async () => {
    expect((await poster().post('https://nobody.invalid/', {}, body, mine)).cause).toBe('unknown_host');
  });

  test('an address that may not be reached, also behind a name', async () => {
    const { post } = poster(networksOf([], false));
    expect((await post('https://10.0.0.1/', {}, body, mine)).cause).toBe('address');
    expect((await post('https://[::ffff:a00:1]/', {}, body, mine)).cause).toBe('address');
    expect((await post('https://localhost:1/', {}, body, mine)).cause).toBe('address');
    expect((await post('file:///etc/passwd', {}, body, mine)).cause).toBe('address');
  });

  test('no TLS where TLS should be', async () => {
    const { url } = await serve((_, response) => response.end());
    expect((await poster().post(url.replace('http:', 'https:'), {}, body, mine)).cause).toMatch(/^(tls|refused)$/);
  });

  test.each<[string, (socket: Socket) => void, string]>([
    ['hangs', () => undefined, 'timeout'],
    ['takes it and hangs', (socket) => socket.resume(), 'timeout'],
    ['drips its answer', (socket) => drip(socket), 'timeout'],
    ['closes at once', (socket) => socket.once('data', () => socket.destroy()), 'reset'],
    ['half closes', (socket) => socket.once('data', () => socket.end()), 'reset'],
    ['sends headers without end', (socket) => socket.once('data', () => flood(socket)), 'reset'],
    ['promises an answer and never gives it', (socket) => promise(socket), 'timeout'],
    ['speaks no HTTP', (socket) => socket.once('data', () => socket.end('220 mail\r\n\r\n')), 'reset'],
  ])('a receiver that %s', async (_, take, cause) => {
    const url = await raw(take);
    const since = performance.now();
    expect(await poster().post(url, {}, body, mine)).toEqual({ status: 0, cause, retryAfterS: 0, tookMs });
    expect(performance.now() - since).toBeLessThan(TIMEOUT_MS + 5_000);
  });

  /** More headers than anyone needs. */
  function flood(socket: Socket): void {
    socket.write('HTTP/1.1 200 OK\r\n');
    for (let i = 0; i < 200; i++) socket.write(`x-${i}: ${'x'.repeat(500)}\r\n`);
  }

  /** Processing, again and again (RFC 2518 §10.1). */
  function promise(socket: Socket): void {
    const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 20);
    socket.once('close', () => clearInterval(timer));
  }

  /** A byte of an answer now and then, without an end. */
  function drip(socket: Socket): void {
    const start = 'HTTP/1.1 200 OK\r\nx: ';
    let at = 0;
    const timer = setInterval(() => socket.write(start[at++] ?? 'x'), 10);
    socket.once('close', () => clearInterval(timer));
  }

  test('a connection that the receiver closed while it waited', async () => {
    let kept: Socket | undefined;
    const { url } = await serve((request, response) => {
      request.resume();
      if (kept === undefined) {
        kept = request.socket;
        response.end();
      } else request.socket.destroy();
    });
    const { post } = poster();
    expect((await post(url, {}, body, mine)).status).toBe(200);
    expect((await post(url, {}, body, mine)).cause).toBe('stale');
  });
});

describe('a certificate', () => {
  const DAY = 86_400_000;
  const keys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const authority = (commonName: string) => {
    const { publicKey, privateKey } = keys();
    const by = { subject: { commonName }, key: privateKey };
    const validity = { notBeforeMs: Date.now() - 2 * DAY, notAfterMs: Date.now() + DAY };
    const ca = issueCertificate({ subject: by.subject, publicKey, by, authority: {}, ...validity });
    const issue = (names: string[], days = 1) => {
      const own = keys();
      const cert = issueCertificate({
        ...{ subject: { commonName: 'receiver' }, publicKey: own.publicKey, by, uses: ['server'] as const, names },
        ...{ notBeforeMs: Date.now() - 2 * DAY, notAfterMs: Date.now() + days * DAY },
      });
      return { cert, key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }) };
    };
    return { ca, issue };
  };
  const known = authority('known');
  const other = authority('other');
  let asked = 0;
  const serveTls = async (shown: { cert: string; key: string | Buffer }): Promise<string> => {
    asked = 0;
    const server = createTlsServer(shown, (_, response) => {
      asked += 1;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return `https://localhost:${(server.address() as AddressInfo).port}/`;
  };

  test.each([
    ['of its name', known.issue(['localhost']), '', 1],
    ['of another name', known.issue(['other.example']), 'tls', 0],
    ['that has ended', known.issue(['localhost'], -1), 'tls', 0],
    ['of an authority that nobody knows', other.issue(['localhost']), 'tls', 0],
  ])('%s', async (_, shown, cause, requests) => {
    const url = await serveTls(shown);
    expect((await poster(networksOf([], true), { ca: known.ca }).post(url, {}, body, mine)).cause).toBe(cause);
    // Without a proof of who it is not one byte of mail is sent.
    expect(asked).toBe(requests);
  });
});

test.each([301, 302, 303, 307, 308])('a redirect that leads to itself (%i) is asked once', async (status) => {
  let asked = 0;
  const { url } = await serve((request, response) => {
    asked += 1;
    request.resume();
    response.writeHead(status, { location: url }).end();
  });
  expect(await poster().post(url, {}, body, mine)).toMatchObject({ status, cause: '' });
  expect(asked).toBe(1);
});

test('who answers before it has read the request has answered', async () => {
  const { url } = await serve((_, response) => response.writeHead(413, { connection: 'close' }).end());
  const answer = await poster().post(url, {}, Buffer.alloc(4_000_000), mine);
  // The answer may be lost in the connection that is cut behind it.
  expect([413, 0]).toContain(answer.status);
  if (answer.status === 0) expect(answer.cause).toBe('reset');
});

test('names: none, of nothing, and of what may not be reached', async () => {
  const resolves = (addresses: string[] | undefined) =>
    poster(networksOf([], false), {
      resolve: (_name, _options, done) =>
        addresses === undefined
          ? done(Object.assign(new Error('try again'), { code: 'EAI_AGAIN' }), [])
          : done(
              null,
              addresses.map((address) => ({ address, family: 4 })),
            ),
    });
  const post = async (addresses: string[] | undefined) =>
    (await resolves(addresses).post('https://receiver.example/', {}, body, mine)).cause;
  expect(await post(undefined)).toBe('unknown_host');
  expect(['unknown_host', 'address']).toContain(await post([]));
  expect(await post(['10.0.0.1'])).toBe('address');
});

test('nothing is written where the lease passed while the connection was made', async () => {
  let bytes = 0;
  const url = await raw((socket) =>
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    }),
  );
  expect(await poster().post(url, {}, body, () => false)).toEqual({
    status: 0,
    cause: 'expired',
    retryAfterS: 0,
    tookMs,
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(bytes).toBe(0);
});

test('an endless answer ends with its status, and its connection is let go of', async () => {
  let isClosed = false;
  const { url } = await serve((_, response) => {
    response.once('close', () => {
      isClosed = true;
    });
    response.writeHead(200);
    const more = () => {
      if (!response.destroyed) response.write('x'.repeat(20_000), () => setImmediate(more));
    };
    more();
  });
  expect((await poster().post(url, {}, body, mine)).status).toBe(200);
  await expect.poll(() => isClosed, { interval: 20 }).toBe(true);
});
