import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type Ask, DialError, type Dialler, type DiallerOptions, diallerFor } from './dial.ts';
import { networksOf, type Resolve } from './networks.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function dialler(networks = networksOf([], true), options: DiallerOptions = {}): Dialler {
  const made = diallerFor(networks, options);
  closing.push(() => made.close());
  return made;
}

async function serve(listener: RequestListener): Promise<{ url: string; port: number; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, port, url: `http://127.0.0.1:${port}/at` };
}

/** Answers names with what is given, one list after the other, and the last for ever. */
const names = (...answers: string[][]): Resolve & { asked: number } => {
  const resolve = (_name: string, _options: unknown, done: Parameters<Resolve>[2]) => {
    const list = answers[Math.min(resolve.asked++, answers.length - 1)]!;
    done(
      null,
      list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  resolve.asked = 0;
  return resolve;
};

async function reasonOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(DialError);
    expect((thrown as DialError).fault).toBe('peer.unavailable');
    expect((thrown as DialError).message).not.toMatch(/127\.|example|\/at/);
    return (thrown as DialError).reason;
  }
}

describe('an answer', () => {
  test('comes whole, with its status and headers', async () => {
    const { url } = await serve(async (request, response) => {
      let text = '';
      for await (const chunk of request) text += chunk;
      response.writeHead(201, { 'x-was': `${request.method} ${text}` }).end('made');
    });
    const { status, headers, body } = await dialler().dial(url, { method: 'POST', body: 'wilg' });
    expect([status, headers['x-was'], body.toString()]).toEqual([201, 'POST wilg', 'made']);
  });

  test('is JSON, or is none', async () => {
    const answers: [number, string][] = [
      [200, '{"keys":[]}'],
      [200, '{"keys":['],
      [404, '{}'],
      [200, '\xff'],
    ];
    const { url } = await serve((_, response) => {
      const [status, text] = answers.shift()!;
      response.writeHead(status).end(Buffer.from(text, 'latin1'));
    });
    const { fetchJson } = dialler();
    expect(await fetchJson(url)).toEqual({ keys: [] });
    for (let i = 0; i < 3; i++) expect(await reasonOf(fetchJson(url))).toBe('unreadable');
  });

  test('has the form of fetch, for who wants that', async () => {
    const { url } = await serve(async (request, response) => {
      let text = '';
      for await (const chunk of request) text += chunk;
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify([request.method, request.headers['content-type'], text]));
    });
    const answer = await dialler().fetch(url, { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
    expect(answer.ok).toBe(true);
    expect(await answer.json()).toEqual(['POST', 'application/x-www-form-urlencoded;charset=UTF-8', 'a=b']);
  });

  test('that leads elsewhere is not followed', async () => {
    const asked: string[] = [];
    const { url } = await serve((request, response) => {
      asked.push(request.url!);
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    const { dial, fetch, fetchJson } = dialler();
    expect((await dial(url)).status).toBe(302);
    expect((await fetch(url)).status).toBe(302);
    expect((await fetch(url, { redirect: 'follow' })).status).toBe(302);
    expect(await reasonOf(fetchJson(url))).toBe('unreadable');
    expect(asked).toEqual(['/at', '/at', '/at', '/at']);
  });
});

describe('no answer', () => {
  const limits: Ask = { timeoutMs: 200, mostBytes: 10_000 };

  test.each<[string, RequestListener, string]>([
    ['that never comes', () => undefined, 'timeout'],
    ['that is larger than was asked for', (_, response) => response.end('x'.repeat(10_001)), 'too_large'],
    [
      'that does not end',
      (_, response) => {
        response.writeHead(200);
        const more = () => response.destroyed || response.write('x'.repeat(500), () => setImmediate(more));
        more();
      },
      'too_large',
    ],
    [
      'that is cut',
      (_, response) => response.writeHead(200, { 'content-length': '9' }).write('x', () => response.destroy()),
      'reset',
    ],
    [
      'that is compressed',
      (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      'unreadable',
    ],
    [
      'with headers of 20 kB',
      (_, response) => response.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end(),
      'reset',
    ],
  ])('%s', async (_, listener, reason) => {
    const { url } = await serve(listener);
    expect(await reasonOf(dialler().dial(url, limits))).toBe(reason);
  });

  test('when nobody listens, no name is found, or the caller leaves', async () => {
    const { url, server } = await serve(() => undefined);
    const leaving = new AbortController();
    const left = reasonOf(dialler().dial(url, { signal: leaving.signal }));
    setTimeout(() => leaving.abort(), 20);
    expect(await left).toBe('reset');
    expect(await reasonOf(dialler().dial(url, { signal: AbortSignal.abort() }))).toBe('reset');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await reasonOf(dialler().dial(url))).toBe('refused');
    expect(await reasonOf(dialler().dial('https://nobody.invalid/'))).toBe('unknown_host');
  });
});

describe('what is behind us', () => {
  const outside = networksOf([], false);

  test('is not reached by its address, however that is written', async () => {
    const { port } = await serve((_, response) => response.end());
    const { dial } = dialler(outside);
    for (const host of [
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      'localhost',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[64:ff9b::7f00:1]',
      '169.254.169.254',
      '[fd00:ec2::254]',
    ])
      expect([host, await reasonOf(dial(`https://${host}:${port}/at`))]).toEqual([host, 'address']);
    for (const url of ['file:///etc/passwd', 'ftp://1.1.1.1/', 'data:,x', 'there'])
      expect(await reasonOf(dial(url))).toBe('address');
  });

  test('is not reached by a name that leads there, the first time or later (DNS rebinding)', async () => {
    let requests = 0;
    const { port } = await serve((_, response) => {
      requests++;
      response.end();
    });
    const url = `http://hook.example:${port}/at`;
    // Where the name led when it was registered says nothing of where it leads now: it is resolved at each connect.
    const resolve = names(['127.0.0.1'], ['127.0.0.2', '10.0.0.1'], ['::ffff:10.0.0.1'], ['64:ff9b::a00:1']);
    const networks = networksOf(['http://127.0.0.1/32'], false);
    expect(networks.problemWith(url)).toBeUndefined();
    const { dial, close } = dialler(networks, { resolve });
    expect((await dial(url, { headers: { connection: 'close' } })).status).toBe(200);
    for (let i = 0; i < 3; i++) expect(await reasonOf(dial(url))).toBe('address');
    expect([resolve.asked, requests]).toEqual([4, 1]);
    close();
  });

  test('of several addresses only those that may be reached are tried', async () => {
    const { port } = await serve((_, response) => response.end());
    const mixed = names(['10.0.0.1', '127.0.0.1', '::ffff:192.168.0.1']);
    const { dial } = dialler(networksOf(['http://127.0.0.1/32'], false), { resolve: mixed });
    expect((await dial(`http://hook.example:${port}/at`)).status).toBe(200);
  });

  test('is let go of before a byte was written, should a connection lead there after all', async () => {
    let bytes = 0;
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      socket
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    // As if what was judged were not what was connected to.
    let asked = 0;
    const networks = { ...outside, allows: () => asked++ === 0 };
    const { dial } = dialler(networks, { resolve: names(['127.0.0.1']) });
    expect(await reasonOf(dial(`http://hook.example:${port}/at`))).toBe('address');
    expect(asked).toBe(2);
    expect(bytes).toBe(0);
  });
});
