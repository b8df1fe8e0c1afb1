import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import {
  ConfigError,
  callerGone,
  GatewayError,
  Gone,
  logTo,
  type Transport,
  timeLeft,
  tooLate,
  within,
} from '../index.ts';
import { type GrpcTransport, type GrpcTransportOptions, grpcTransport, serveGrpc } from './index.ts';
import { testAuthority } from './testing.ts';

logTo(() => undefined);

const KEY = 'a key of the test';
const SERVICE = 'eduk.test.v1.Echo';
const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (answer: Uint8Array): string => Buffer.from(answer).toString();

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function server(
  target: Transport,
  more: Partial<Parameters<typeof serveGrpc>[0]> & { serves?: readonly string[] } = {},
) {
  const { serves = [SERVICE], ...options } = more;
  const running = await serveGrpc({ address: { host: '127.0.0.1', port: 0 }, key: KEY, ...options });
  running.open(target, serves);
  closing.push(() => running.stop(0));
  return running;
}

function client(ports: readonly number[], more: Partial<GrpcTransportOptions> = {}): GrpcTransport {
  const transport = grpcTransport({
    addresses: ports.map((port) => `127.0.0.1:${port}`),
    key: KEY,
    repeats: (_service, method) => method !== 'once',
    ...more,
  });
  closing.push(() => transport.close());
  return transport;
}

const echo: Transport = { call: async (_service, _method, request) => request };

async function until(holds: () => boolean, ms = 60_000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error('it did not come to hold in time');
    await sleep(10);
  }
}

/** A replica in a process of its own, that can be killed and stopped. */
async function replica(port = 0): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing-replica.ts'), KEY, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closing.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, port: Number(line.toString()) };
}

describe('calls between roles', () => {
  test('many cross together and come back to whoever asked', async () => {
    const { port } = await server(echo);
    const transport = client([port]);
    const asked = Array.from({ length: 3_000 }, (_, i) => `${i} ${'x'.repeat(i % 700)}`);
    const answers = await Promise.all(asked.map((one) => transport.call(SERVICE, 'echo', bytes(one))));
    expect(answers.map(text)).toEqual(asked);
  });

  test('an answer larger than a frame crosses, and an empty one', async () => {
    const { port } = await server(echo);
    const transport = client([port]);
    const large = Buffer.alloc(5 << 20, 7);
    const [first, second, none] = await Promise.all([
      transport.call(SERVICE, 'echo', large),
      transport.call(SERVICE, 'echo', bytes('small')),
      transport.call(SERVICE, 'echo', new Uint8Array(0)),
    ]);
    expect(Buffer.from(first!).equals(large)).toBe(true);
    expect(text(second!)).toBe('small');
    expect(none).toHaveLength(0);
  });

  test('errors cross as fault, words, places and when to come back, and no cause', async () => {
    const { port } = await server({
      call: async (_service, method) => {
        if (method === 'bug') throw new TypeError('a secret value');
        throw new GatewayError('gateway.overloaded', 'Too much.', {
          where: [{ path: 'learners[3].las_key', line: 7 }, { path: 'x' }],
          retryAfterS: 2.5,
          cause: new Error('secret'),
        });
      },
    });
    const transport = client([port]);
    const error = await transport.call(SERVICE, 'any', bytes('')).catch((thrown) => thrown);
    expect(error).toMatchObject({
      fault: 'gateway.overloaded',
      told: 'Too much.',
      where: [{ path: 'learners[3].las_key', line: 7 }, { path: 'x' }],
      retryAfterS: 2.5,
    });
    expect(error.cause).toBeUndefined();
    const bug = await transport.call(SERVICE, 'bug', bytes('')).catch((thrown) => thrown);
    expect(bug.fault).toBe('gateway.bug');
    expect(JSON.stringify([bug.message, bug.told])).not.toContain('secret');
  });

  test('how long the caller waits crosses, and ends the call', async () => {
    const seen: (number | undefined)[] = [];
    const { port } = await server({
      call: async (_service, method, request) => {
        seen.push(timeLeft());
        if (method === 'slow') await sleep(600_000, undefined, { ref: false });
        return request;
      },
    });
    const transport = client([port], { callMs: 30_000 });
    await transport.call(SERVICE, 'echo', bytes(''));
    expect(seen[0]).toBeGreaterThan(25_000);
    expect(seen[0]).toBeLessThan(30_001);
    const started = performance.now();
    await expect(within(400, () => transport.call(SERVICE, 'slow', bytes('')))).rejects.toMatchObject({
      fault: 'gateway.unavailable',
    });
    // Long before `callMs` is over.
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(seen[1]).toBeLessThan(401);
    await expect(within(-1, () => transport.call(SERVICE, 'echo', bytes('')))).rejects.toMatchObject({
      fault: 'gateway.unavailable',
    });
    expect(seen).toHaveLength(2);
  });

  test('that the caller left crosses, and frees it at once', async () => {
    const left: string[] = [];
    const { port } = await server({
      call: async (_service, method, request) => {
        if (method !== 'slow') return request;
        return new Promise((_resolve, reject) => {
          callerGone()!.onGone(() => {
            left.push(method);
            reject(tooLate());
          });
        });
      },
    });
    const transport = client([port]);
    await transport.call(SERVICE, 'echo', bytes(''));
    const gone = new Gone();
    const slow = within(undefined, () => transport.call(SERVICE, 'slow', bytes('')), gone);
    const other = transport.call(SERVICE, 'echo', bytes('other'));
    setTimeout(() => gone.leave(), 50);
    await expect(slow).rejects.toMatchObject({ fault: 'gateway.late' });
    await until(() => left.length === 1);
    expect(Buffer.from(await other).toString()).toBe('other');
    await expect(within(undefined, () => transport.call(SERVICE, 'echo', bytes('')), gone)).rejects.toMatchObject({
      fault: 'gateway.late',
    });
  });

  test('several replicas share the calls; one that leaves gets no more and answers what it has', async () => {
    const taken = [0, 0];
    const counting = (i: number): Transport => ({
      call: async (_service, _method, request) => {
        taken[i]! += 1;
        await sleep(20);
        return request;
      },
    });
    const [a, b] = [await server(counting(0)), await server(counting(1))];
    const transport = client([a.port, b.port]);
    const one = async () => {
      for (let i = 0; i < 20; i++) await transport.call(SERVICE, 'once', bytes(String(i)));
    };
    await transport.call(SERVICE, 'once', bytes(''));
    await sleep(200);
    const work = Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        await sleep(i); // Each in a turn of its own.
        await one();
      }),
    );
    await until(() => Math.min(...taken) > 10);
    const stopped = a.stop(5_000);
    await work; // None failed, though `once` is never repeated.
    await stopped;
    expect(taken[0]! + taken[1]!).toBe(201);
    expect(transport.counts()).toMatchObject({ lost: 0, repeated: 0 });
  });

  test('a call waits for a replica that is still to come, and is told when none comes', async () => {
    const first = await server(echo);
    const { port } = first;
    await first.stop(0);
    const transport = client([port], { patienceMs: 300 });
    await expect(transport.call(SERVICE, 'once', bytes('a'))).rejects.toMatchObject({
      fault: 'gateway.unavailable',
      retryAfterS: 1,
    });
    expect(transport.reaches(SERVICE)).toBe(false);
    const patient = client([port], { patienceMs: 5_000 });
    const asked = patient.call(SERVICE, 'once', bytes('b'));
    await sleep(100);
    await server(echo, { address: { host: '127.0.0.1', port } });
    expect(text(await asked)).toBe('b');
    expect(patient.reaches(SERVICE)).toBe(true);
    expect(patient.reaches('eduk.test.v1.Other')).toBe(false);
  });

  test('what a replica cannot answer yet is asked again for a while, where a repeat has no second effect', async () => {
    let asked = 0;
    const { port } = await server({
      call: async (_service, _method, request) => {
        if (++asked < 4) throw new GatewayError('gateway.unavailable');
        return request;
      },
    });
    const transport = client([port], { persistMs: 5_000 });
    expect(text(await transport.call(SERVICE, 'echo', bytes('a')))).toBe('a');
    expect(asked).toBe(4);
    asked = 0;
    await expect(transport.call(SERVICE, 'once', bytes('a'))).rejects.toMatchObject({ fault: 'gateway.unavailable' });
    expect(asked).toBe(1);
    asked = -1_000;
    await expect(within(300, () => transport.call(SERVICE, 'echo', bytes('a')))).rejects.toMatchObject({
      fault: 'gateway.unavailable',
    });
  });

  test('a process that listens and is not ready yet is waited for', async () => {
    const running = await serveGrpc({ address: { host: '127.0.0.1', port: 0 }, key: KEY });
    closing.push(() => running.stop(0));
    const transport = client([running.port]);
    const asked = transport.call(SERVICE, 'once', bytes('a'));
    await sleep(150);
    expect(transport.reaches(SERVICE)).toBe(false);
    running.open(echo, [SERVICE]);
    expect(text(await asked)).toBe('a');
  });

  test('a service is asked where it is served', async () => {
    const named = (name: string): Transport => ({ call: async () => bytes(name) });
    const a = await server(named('a'), { serves: ['A'] });
    const b = await server(named('b'), { serves: ['B'] });
    const transport = client([a.port, b.port]);
    for (let i = 0; i < 4; i++) {
      expect(text(await transport.call('A', 'x', bytes('')))).toBe('a');
      expect(text(await transport.call('B', 'x', bytes('')))).toBe('b');
    }
  });
});

describe('when a process is lost', () => {
  test('kill -9: what may be repeated is answered by another, what may not is said to be unknown', async () => {
    const [a, b] = [await replica(), await replica()];
    const transport = client([a.port, b.port]);
    await until(() => transport.reaches(SERVICE));
    await sleep(200);
    const calls = Array.from({ length: 40 }, async (_, i) => {
      await sleep(i % 4);
      return text(await transport.call(SERVICE, 'slow', bytes(String(i))));
    });
    const once = Array.from({ length: 20 }, async (_, i) => {
      await sleep(i % 4);
      return transport.call(SERVICE, 'once', bytes('x')).then(text, (thrown) => thrown.fault);
    });
    await sleep(50);
    a.child.kill('SIGKILL');
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    const outcomes = await Promise.all(once);
    expect(new Set(outcomes)).toEqual(new Set(['x', 'gateway.unavailable']));
    expect(transport.counts().repeated).toBeGreaterThan(0);
    // And its successor, at the same address, is found within a second or two.
    const again = await replica(a.port);
    b.child.kill('SIGKILL');
    expect(text(await transport.call(SERVICE, 'echo', bytes('back')))).toBe('back');
    expect(again.port).toBe(a.port);
  });

  test('SIGSTOP: a process that hangs is left within 10 s', async () => {
    const [a, b] = [await replica(), await replica()];
    const transport = client([a.port, b.port]);
    await until(() => transport.reaches(SERVICE));
    await sleep(200);
    a.child.kill('SIGSTOP');
    const started = performance.now();
    const calls = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        await sleep(i);
        return text(await transport.call(SERVICE, 'echo', bytes(String(i))));
      }),
    );
    expect(calls).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(b.child.exitCode).toBeNull();
  });
});

describe('who may call', () => {
  test('without the key nobody on this machine', async () => {
    const { port } = await server(echo);
    const stranger = client([port], { key: 'another', patienceMs: 300 });
    await expect(stranger.call(SERVICE, 'echo', bytes('a'))).rejects.toMatchObject({ fault: 'gateway.unavailable' });
    expect(() => client([port], { key: undefined })).toThrow(ConfigError);
    await expect(server(echo, { key: undefined })).rejects.toThrow(ConfigError);
  });

  test('another address than loopback demands TLS, at both ends', async () => {
    await expect(server(echo, { address: { host: '0.0.0.0', port: 0 } })).rejects.toThrow(/not loopback.*TLS/);
    expect(() => grpcTransport({ addresses: ['192.0.2.1:1'], key: KEY, repeats: () => false })).toThrow(/not loopback/);
    expect(() => grpcTransport({ addresses: ['core.example:1'], key: KEY, repeats: () => false })).toThrow(/TLS/);
  });

  test('over TLS a certificate of the same authority, and of no other', async () => {
    const ours = testAuthority();
    const theirs = testAuthority();
    const { port } = await server(echo, {
      address: { host: '0.0.0.0', port: 0 },
      tls: ours.issue('core'),
      key: undefined,
    });
    const addresses = [`localhost:${port}`, `127.0.0.1:${port}`];
    for (const address of addresses) {
      const role = client([], { addresses: [address], tls: ours.issue('door'), key: undefined });
      expect(text(await role.call(SERVICE, 'echo', bytes('hello')))).toBe('hello');
    }
    const { ca } = ours.issue('x');
    const strangers = {
      'a certificate of another authority': { ...theirs.issue('door'), ca },
      'a server of another authority': { ...ours.issue('door'), ca: theirs.ca },
    };
    for (const [who, tls] of Object.entries(strangers)) {
      const stranger = client([], { addresses: [addresses[0]!], tls, key: undefined, patienceMs: 500 });
      const outcome = await stranger.call(SERVICE, 'echo', bytes('hello')).then(text, (thrown) => thrown.fault);
      expect([who, outcome]).toEqual([who, 'gateway.unavailable']);
    }
    // One replica among several, at an address that no certificate knows.
    const asOne = async (names?: string[], patienceMs = 5_000) =>
      client([], {
        addresses: [`127.0.0.2:${port}`],
        names,
        tls: ours.issue('core'),
        key: undefined,
        patienceMs,
      })
        .call(SERVICE, 'echo', bytes('hello'))
        .then(text, (thrown) => thrown.fault);
    expect(await asOne(undefined, 500)).toBe('gateway.unavailable');
    expect(await asOne(['vault'], 500)).toBe('gateway.unavailable');
    expect(await asOne(['vault', 'localhost'])).toBe('hello');
    const plain = client([port], { patienceMs: 500 });
    await expect(plain.call(SERVICE, 'echo', bytes('a'))).rejects.toMatchObject({ fault: 'gateway.unavailable' });
  });
});

test('over TLS only those are answered who have business here, by the names of their certificates', async () => {
  const ours = testAuthority();
  const asked: (readonly string[])[] = [];
  const { port } = await server(echo, {
    tls: ours.issue('vault'),
    key: undefined,
    mayCall: (names) => {
      asked.push(names);
      return names.includes('door');
    },
  });
  const as = (subject: string) =>
    client([], { addresses: [`localhost:${port}`], tls: ours.issue(subject), key: undefined, patienceMs: 1_000 })
      .call(SERVICE, 'echo', bytes('hello'))
      .then(text, (thrown) => thrown.fault);
  expect(await as('door')).toBe('hello');
  expect(await as('watch')).toBe('gateway.unavailable');
  expect(asked).toContainEqual(['watch', 'localhost']);
});

test('health says what the process said of itself', async () => {
  const running = await server(echo);
  const ask = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const caller = new Client(`127.0.0.1:${running.port}`, credentials.createInsecure());
      caller.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (name: string) => Buffer.concat([Buffer.of(10, name.length), Buffer.from(name)]),
        (answer: Buffer) => answer[1] ?? 0,
        SERVICE,
        (error, answer) => {
          caller.close();
          error ? reject(error) : resolve(answer!);
        },
      );
    });
  expect(await ask()).toBe(2);
  running.health(true);
  expect(await ask()).toBe(1);
  running.leave();
  expect(await ask()).toBe(2);
});
