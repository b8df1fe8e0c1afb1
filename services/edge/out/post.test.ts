import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { diallerFor, networksOf } from '#kernel';
import { type Poster, posterFor } from './post.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const TIMEOUT_MS = 300;
function poster(networks = networksOf([], true)): Poster {
  const dialler = diallerFor(networks);
  closing.push(() => dialler.close());
  return posterFor(dialler, TIMEOUT_MS);
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
      expect(await post(url, { 'webhook-id': `${i}` }, body, mine)).toEqual({ status: 200, cause: '', retryAfterS: 0 });
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
    expect(await poster().post(url, {}, body, mine)).toEqual({ status: 0, cause: 'refused', retryAfterS: 0 });
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
    ['speaks no HTTP', (socket) => socket.once('data', () => socket.end('220 mail\r\n\r\n')), 'reset'],
  ])('a receiver that %s', async (_, take, cause) => {
    const url = await raw(take);
    const since = performance.now();
    expect(await poster().post(url, {}, body, mine)).toEqual({ status: 0, cause, retryAfterS: 0 });
    expect(performance.now() - since).toBeLessThan(TIMEOUT_MS + 700);
  });

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

test('nothing is written where the lease passed while the connection was made', async () => {
  let bytes = 0;
  const url = await raw((socket) =>
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    }),
  );
  expect(await poster().post(url, {}, body, () => false)).toEqual({ status: 0, cause: 'expired', retryAfterS: 0 });
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
  await new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS + 100));
  expect(isClosed).toBe(true);
});
