/** Each limit of a connection, met over the wire: they hang on inner parts of a library, so nothing less would show that they hold. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { type handleBidiStreamingCall, type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { Unfinished } from '../unfinished.ts';
import {
  type ConnectionLimits,
  type Connections,
  connectionLimits,
  guardConnections,
  serverOptions,
} from './connections.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const bytes = (value: Buffer): Buffer => value;
const method = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

interface Served {
  port: number;
  connections: Connections;
  unfinished: Unfinished;
  /** Calls that were begun. */
  seen: () => number;
}

/** A server with the door's limits, or smaller ones. */
async function serve(more: Partial<ConnectionLimits> = {}, most = 1_000_000_000): Promise<Served> {
  const server = new Server(serverOptions);
  const unfinished = new Unfinished(most);
  const connections = guardConnections(server, unfinished, (path) => path === '/t/Unary', {
    ...connectionLimits,
    ...more,
  });
  let seen = 0;
  server.addService({ unary: method('/t/Unary', false), bidi: method('/t/Bidi', true) } as never, {
    unary: ((call, callback) => {
      seen++;
      callback(null, call.request);
    }) as handleUnaryCall<Buffer, Buffer>,
    bidi: ((call) => {
      seen++;
      call.on('data', (message: Buffer) => call.write(message));
      call.on('end', () => call.end());
      call.on('error', () => undefined);
    }) as handleBidiStreamingCall<Buffer, Buffer>,
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  closing.push(() => {
    connections.stop();
    server.forceShutdown();
  });
  return { port, connections, unfinished, seen: () => seen };
}

function session(port: number): ClientHttp2Session & { goneBy: () => number | undefined } {
  const made = connect(`http://127.0.0.1:${port}`);
  let goneBy: number | undefined;
  made.on('error', () => undefined);
  made.on('goaway', (code) => {
    goneBy = code;
  });
  closing.push(() => made.destroy());
  return Object.assign(made, { goneBy: () => goneBy });
}

const open = (on: ClientHttp2Session, path = '/t/Bidi', headers: Record<string, string> = {}): ClientHttp2Stream =>
  on
    .request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers })
    .on('error', () => undefined)
    .resume();

const message = (body: Buffer, length = body.length, compressed = 0): Buffer => {
  const head = Buffer.alloc(5);
  head[0] = compressed;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
};

/** How a call ended: its gRPC status, or the code by which it was reset. */
const ended = (stream: ClientHttp2Stream): Promise<{ status?: number; reset?: number }> =>
  new Promise((resolve) => {
    const note = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] !== undefined) resolve({ status: Number(headers['grpc-status']) });
    };
    stream.on('response', note).on('trailers', note);
    stream.once('close', () => resolve({ reset: stream.rstCode }));
  });

/** Waits until it is so; other work on the machine may make that long. */
async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isSo(); i++) await sleep(20);
  expect(isSo()).toBe(true);
}

const closed = (of: { closed?: boolean; destroyed: boolean; once(event: 'close', then: () => void): unknown }) =>
  of.destroyed ? Promise.resolve() : new Promise<void>((resolve) => of.once('close', resolve));

function tcp(port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  closing.push(() => socket.destroy());
  return socket;
}

test('a connection that says nothing is cut after the time for a handshake; one that was greeted stays', async () => {
  const { port, connections } = await serve({ handshakeMs: 600 });
  const silent = tcp(port);
  const garbage = tcp(port);
  garbage.write('GET / HTTP/1.1\r\n\r\n');
  const greeted = session(port);
  await Promise.all([closed(silent), closed(garbage)]);
  await sleep(200);
  expect(greeted.closed).toBe(false);
  expect(connections.count).toBe(1);
});

test('there are no more connections than the limit', async () => {
  const { port, connections } = await serve({ connections: 3 });
  const three = [session(port), session(port), session(port)];
  for (const one of three) await ended(open(one, '/t/Unary').end(message(Buffer.from('x'))));
  await closed(tcp(port));
  expect(connections.count).toBe(3);
});

test('the next call beyond 100 on a connection waits for one that ends', async () => {
  const { port, seen } = await serve();
  const on = session(port);
  await ended(open(on, '/t/Unary').end(message(Buffer.from('x'))));
  expect(on.remoteSettings.maxConcurrentStreams).toBe(100);
  const held = Array.from({ length: 101 }, () => {
    const call = open(on);
    call.write(message(Buffer.from('x')));
    return call;
  });
  await until(() => seen() === 101);
  await sleep(50);
  expect(seen()).toBe(101);
  held[0]!.end();
  await ended(held[0]!);
  await until(() => seen() === 102);
});

test('metadata beyond 16 KiB, or beyond 100 of them, ends the call and nothing else', async () => {
  const { port, seen } = await serve();
  const on = session(port);
  const call = (headers: Record<string, string>) => ended(open(on, '/t/Unary', headers).end(message(Buffer.from('x'))));
  expect(await call({ 'x-long': 'x'.repeat(15_000) })).toEqual({ status: 0 });
  expect(await call({ 'x-long': 'x'.repeat(17_000) })).toEqual({ reset: constants.NGHTTP2_ENHANCE_YOUR_CALM });
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, '']));
  expect(await call(many(80))).toEqual({ status: 0 });
  expect(await call(many(120))).toEqual({ reset: constants.NGHTTP2_ENHANCE_YOUR_CALM });
  expect(seen()).toBe(2);
  expect(on.closed).toBe(false);
});

test('a connection of that age gets no more calls, its calls may end, and then it is cut', async () => {
  const { port, connections } = await serve({ ageMs: 2_500, graceMs: 2_500 });
  const on = session(port);
  const call = open(on);
  call.write(message(Buffer.from('x')));
  await until(() => connections.count === 1);
  const leaving = connections.leaving(`127.0.0.1:${on.socket?.localPort}`)!;
  expect(leaving.aborted).toBe(false);
  await new Promise((resolve) => leaving.addEventListener('abort', resolve));
  await until(() => on.goneBy() === constants.NGHTTP2_NO_ERROR);
  let answers = 0;
  call.on('data', () => answers++);
  call.write(message(Buffer.from('x')));
  await until(() => answers > 0);
  expect(on.destroyed).toBe(false);
  await closed(on);
  await until(() => connections.count === 0);
});

test('who pings without need is told so and cut off; who is sent something may', async () => {
  const { port } = await serve();
  const ping = (on: ClientHttp2Session) =>
    new Promise<void>((resolve) => {
      on.once('close', resolve);
      if (on.closed || on.destroyed || !on.ping(() => resolve())) resolve();
    });
  const busy = session(port);
  const call = open(busy);
  let answered = 0;
  call.on('data', (chunk: Buffer) => {
    answered += chunk.length;
  });
  for (let i = 1; i <= 6; i++) {
    call.write(message(Buffer.alloc(495)));
    await until(() => answered === i * 500);
    await ping(busy);
  }
  expect(busy.closed).toBe(false);
  const idle = session(port);
  await new Promise((resolve) => idle.once('connect', resolve));
  for (let i = 0; i < 5; i++) await ping(idle);
  await closed(idle);
  expect(idle.goneBy()).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  // Many at once, before the first of them is answered.
  const rash = session(port);
  await new Promise((resolve) => rash.once('connect', resolve));
  for (let i = 0; i < 8; i++) void ping(rash);
  await closed(rash);
});

test('HTTP/2 rapid reset: who takes back calls by the hundred is cut off', async () => {
  const { port, seen } = await serve();
  const on = session(port);
  await ended(open(on, '/t/Unary').end(message(Buffer.from('x'))));
  for (let i = 0; i < 3_000 && !on.destroyed; i++) {
    const call = open(on);
    call.close(constants.NGHTTP2_CANCEL);
    if (i % 50 === 0) await sleep(1);
  }
  await closed(on);
  expect(seen()).toBeLessThan(1_000);
  const other = session(port);
  expect(await ended(open(other, '/t/Unary').end(message(Buffer.from('x'))))).toEqual({ status: 0 });
});

test('a gRPC message of 1 GB is refused by the length that it announces', async () => {
  const { port, unfinished, seen } = await serve();
  const on = session(port);
  const before = process.memoryUsage().rss;
  const call = open(on, '/t/Unary');
  const end = ended(call);
  call.write(message(Buffer.alloc(1_000), 1_000_000_000));
  expect(await end).toEqual({ status: 8 });
  expect([seen(), unfinished.held]).toEqual([0, 0]);
  expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
});

test('decompression bomb: 100 MB in 100 kB are not unpacked beyond what a message may be', async () => {
  const { port, seen } = await serve();
  const on = session(port);
  const bomb = gzipSync(Buffer.alloc(100_000_000));
  expect(bomb.length).toBeLessThan(150_000);
  const before = process.memoryUsage().rss;
  const call = open(on, '/t/Unary', { 'grpc-encoding': 'gzip' });
  const end = ended(call);
  call.end(message(bomb, bomb.length, 1));
  expect(await end).toEqual({ status: 8 });
  expect(seen()).toBe(0);
  expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
});

test('a message that does not arrive in time is cut off; a stream may wait with the next', async () => {
  const { port } = await serve({ arrivalMs: 800 });
  const on = session(port);
  const never = ended(open(on, '/t/Unary'));
  const half = open(on);
  half.write(message(Buffer.alloc(10), 1_000));
  const idle = open(on);
  idle.write(message(Buffer.from('x')));
  const reset = { reset: constants.NGHTTP2_ENHANCE_YOUR_CALM };
  expect(await Promise.all([never, ended(half)])).toEqual([reset, reset]);
  await sleep(300);
  expect(idle.closed).toBe(false);
  expect(on.closed).toBe(false);
});

test('of two hundred half messages no more is held than the total, and others go on', async () => {
  const { port, unfinished } = await serve({}, 500_000);
  const connections = Array.from({ length: 4 }, () => session(port));
  const calls = connections.flatMap((on) => Array.from({ length: 50 }, () => open(on)));
  for (const call of calls) call.write(message(Buffer.alloc(10_000), 4_000_000));
  await until(() => calls.filter(({ closed }) => closed).length >= 150);
  expect(unfinished.held).toBeLessThanOrEqual(500_000);
  const other = session(port);
  expect(await ended(open(other, '/t/Unary').end(message(Buffer.alloc(100_000))))).toEqual({ status: 0 });
});
