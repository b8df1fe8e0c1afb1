/**
 * What connections that do nothing, or next to nothing, cost a gateway: `npm run bench -- connections` opens 10,000 idle and
 * 1,000 slow ones; a test does the same with fewer. The gateway is a process of its own, so its memory is its own.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { end, lineOf, program } from './programs.ts';

export interface ConnectionFigures {
  /** Resident memory of the gateway, MB: before, with the idle ones, at most with the slow ones, after all are gone. */
  beforeMb: number;
  idleMb: number;
  slowMb: number;
  afterMb: number;
  /** Idle connections that stand when the slow ones have sent, and slow ones that were opened. */
  idle: number;
  slow: number;
  /** Slow senders that the gateway cut off. */
  cut: number;
  /** Longest answer of 50 requests before, and of 50 beside them, ms. */
  aloneMs: number;
  slowestMs: number;
}

const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), // SETTINGS, empty.
]);
const SETTINGS_ACK = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);
const PING = 6;
/** Bytes that a slow sender brings of the 4 MiB, or 32 MiB, that it announces. */
const BROUGHT = 512 * 1024;
const AT_ONCE = 200;

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

/** Greets in HTTP/2, answers what must be answered, and says nothing more. */
function idleOne(port: number, closed: () => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(PREFACE));
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      while (rest.length >= 9) {
        const length = rest.readUIntBE(0, 3);
        if (rest.length < 9 + length) return;
        const [type, flags] = [rest[3], rest[4]];
        if (type === 4 && flags === 0) {
          socket.write(SETTINGS_ACK);
          resolve(socket);
        }
        if (type === PING && flags === 0) {
          const pong = Buffer.from(rest.subarray(0, 9 + length));
          pong[4] = 1;
          socket.write(pong);
        }
        rest = rest.subarray(9 + length);
      }
    });
    socket.once('error', reject);
    socket.once('close', () => {
      closed();
      reject(new Error('an idle connection was closed'));
    });
  });
}

/** Begins a message of 4 MiB over gRPC, and brings a part of it. */
function slowCall(port: number, gone: () => void): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  const call = session.request({
    ':method': 'POST',
    ':path': '/eduk.gateway.v1.OrderService/PlaceOrder',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  call.on('error', () => undefined).on('close', () => call.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM && gone());
  const head = Buffer.alloc(5);
  head.writeUInt32BE(4 * 1024 * 1024, 1);
  call.write(head);
  call.write(Buffer.alloc(BROUGHT));
  return session;
}

/** Begins a file of 32 MiB over HTTP, and brings a part of it. */
function slowPost(port: number, gone: () => void): Socket {
  const socket = connect(port, '127.0.0.1', () => {
    socket.write(
      `POST /soap/uwlr/v2/leerresultaten HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: ${32 * 1024 * 1024}\r\n\r\n`,
    );
    socket.write(Buffer.alloc(BROUGHT, 32));
  });
  socket.on('error', () => undefined).once('data', gone);
  return socket;
}

/** Starts a gateway, opens so many connections of each kind, and gives what that took. Ends all it started. */
export async function connectionFigures(idle: number, slow: number): Promise<ConnectionFigures> {
  const parent = mkdtempSync(join(tmpdir(), 'eduk-connections-'));
  const env = {
    EDUK_DATA: join(parent, 'data'),
    EDUK_GRPC: '127.0.0.1:0',
    EDUK_HTTP: '127.0.0.1:0',
    EDUK_LOG: 'error',
  };
  const gateway = program({ args: ['../../services/cli/eduk.js', 'start'], env });
  const open: { destroy(): unknown }[] = [];
  let cut = 0;
  let isEnding = false;
  const gone = () => {
    if (!isEnding) cut++;
  };
  let lost = 0;
  const closed = () => {
    if (!isEnding) lost++;
  };
  try {
    await lineOf(gateway, (line) => line.startsWith('ready '));
    const addresses = JSON.parse(readFileSync(join(env.EDUK_DATA, 'addresses.json'), 'utf8')) as {
      grpc: string;
      http: string;
    };
    const [grpc, http] = [addresses.grpc, addresses.http].map((address) => Number(address.split(':').at(-1))) as [
      number,
      number,
    ];
    const ask = async (): Promise<number> => {
      const began = performance.now();
      await (await fetch(`http://127.0.0.1:${http}/healthz`)).text();
      return performance.now() - began;
    };
    let aloneMs = 0;
    for (let i = 0; i < 50; i++) aloneMs = Math.max(aloneMs, await ask());
    const beforeMb = rssOf(gateway.pid!);
    while (open.length < idle)
      open.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(AT_ONCE, idle - open.length) }, () => idleOne(grpc, closed)),
        )),
      );
    await sleep(500);
    const idleMb = rssOf(gateway.pid!);
    let slowMb = 0;
    let slowestMs = 0;
    for (let i = 0; i < slow; i++) {
      open.push(i % 2 === 0 ? slowCall(grpc, gone) : slowPost(http, gone));
      if (i % 20 === 0) slowMb = Math.max(slowMb, rssOf(gateway.pid!));
      if (i % 20 === 0) await sleep(5);
    }
    for (let i = 0; i < 50; i++) {
      slowestMs = Math.max(slowestMs, await ask());
      slowMb = Math.max(slowMb, rssOf(gateway.pid!));
      await sleep(20);
    }
    const standing = idle - lost;
    isEnding = true;
    for (const one of open) one.destroy();
    await sleep(1_000);
    return { beforeMb, idleMb, slowMb, afterMb: rssOf(gateway.pid!), idle: standing, slow, cut, aloneMs, slowestMs };
  } finally {
    isEnding = true;
    for (const one of open) one.destroy();
    await end(gateway);
    rmSync(parent, { recursive: true, force: true });
  }
}
