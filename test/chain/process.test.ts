/**
 * The gateway as a process, from outside: what it says when it cannot start, how it ends, and what is left of what it
 * acknowledged when it is killed or its disk is full.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { type Clients, clientsOf, eckId, newOin, newSchool, sendAll, type WireClient, wire } from './gateway.ts';

const bin = join(import.meta.dirname, '../../services/cli/eduk.js');
const folders: string[] = [];
const children: ChildProcess[] = [];
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-process-'));
  folders.push(folder);
  return join(folder, 'data');
}
afterEach(() => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

interface Run {
  child: ChildProcess;
  out(): string;
  err(): string;
  /** Exit status, or the signal. */
  ended: Promise<number | string>;
}

function run(data: string, env: Record<string, string> = {}, node: string = process.execPath): Run {
  const child = spawn(node, [bin, 'start'], {
    env: {
      PATH: process.env['PATH'],
      EDUK_DATA: data,
      EDUK_GRPC: '127.0.0.1:0',
      EDUK_HTTP: '127.0.0.1:0',
      EDUK_LOG: 'debug',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let out = '';
  let err = '';
  child.stdout!.on('data', (bytes) => {
    out += bytes;
  });
  child.stderr!.on('data', (bytes) => {
    err += bytes;
  });
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1)),
  );
  return { child, out: () => out, err: () => err, ended };
}

interface Running extends Run {
  grpc: GrpcClient;
  operator: WireClient<typeof OperatorServiceDefinition>;
  as(apiKey: string): Clients;
}

async function started(data: string, env: Record<string, string> = {}): Promise<Running> {
  const it = run(data, env);
  const gone = it.ended.then((how) => {
    throw new Error(`it ended with ${how}: ${it.err()}`);
  });
  const ready = async () => {
    for (;;) {
      const address = /^ready grpc=(\S+) http=\S+ console=\S+$/m.exec(it.out())?.[1];
      if (address) return address;
      await sleep(10);
    }
  };
  const address = await Promise.race([ready(), gone]);
  gone.catch(() => undefined);
  const grpc = new GrpcClient(address as string, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const key = readFileSync(join(data, 'operator.key'), 'utf8').trim();
  return {
    ...it,
    grpc,
    operator: wire(OperatorServiceDefinition, grpc, `Bearer ${key}`),
    as: (apiKey) => clientsOf(grpc, `Bearer ${apiKey}`),
  };
}

const productId = '9789000000019';
const services = [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS];

/** A publisher with a product, and a school that lets it. */
async function prepared(it: Running): Promise<{ apiKey: string; school: string }> {
  const oin = newOin();
  const { apiKey } = await it.operator.addParty({
    party: { oin, name: 'Uitgeverij Wilg', roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM] },
  });
  const school = newSchool();
  await it.operator.grantMandate({ mandate: { schoolOin: school, partyOin: oin, services }, confirm: true });
  await sendAll(it.as(apiKey).catalogue.publishProducts(), [
    { reference: 'p', product: { productId, title: 'Rekenen', licence: { licensed: true } } },
  ]);
  return { apiKey, school };
}

const grantOf = (school: string, i: number, run = 'g') => ({
  reference: `${run}-${i}`,
  schoolOin: school,
  holder: i % 3 === 0 ? { learner: { eckId: eckId(i) } } : undefined,
  terms: { entitlementId: `${run}-${i}`, productId },
});

/** Sends until the stream breaks or all is answered; gives how many were acknowledged. */
function stream(
  clients: Clients,
  items: Iterable<object>,
  acknowledged: (through: number) => void = () => undefined,
): Promise<{ taken: number; fault: string; refused: number }> {
  return new Promise((resolve) => {
    const call = clients.entitlements.grantEntitlements();
    let taken = 0;
    let refused = 0;
    call.on('data', (ack: GrantEntitlementsResponse) => {
      taken = Number(ack.through) + 1;
      refused += ack.refusals.length;
      acknowledged(taken);
    });
    call.on('error', (error: { metadata?: { get(name: string): unknown[] }; message: string }) =>
      resolve({ taken, refused, fault: error.metadata?.get('eduk-fault')[0]?.toString() ?? error.message }),
    );
    call.on('end', () => resolve({ taken, refused, fault: '' }));
    // One listener: a gateway that was killed drains nothing, and each item would leave another behind.
    let drained = (): void => undefined;
    call.on('drain', () => drained());
    const feed = async () => {
      for (const item of items) {
        if (call.destroyed) return;
        if (call.write(item as never)) continue;
        const drain = new Promise<void>((go) => {
          drained = go;
        });
        await Promise.race([drain, sleep(200)]);
      }
      call.end();
    };
    void feed();
  });
}

/** Entitlements of a school by id, as their owner lists them. */
async function listed(clients: Clients, school: string): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  for (let cursor = ''; ; ) {
    const page = await clients.entitlements.listEntitlements({ schoolOin: school, limit: 1000, cursor });
    for (const { terms } of page.entitlements) ids.set(terms!.entitlementId, (ids.get(terms!.entitlementId) ?? 0) + 1);
    cursor = page.cursor;
    if (!cursor) return ids;
  }
}

async function idle(it: Running): Promise<void> {
  for (const until = Date.now() + 60_000; ; await sleep(50)) {
    const { ages } = await it.operator.status({});
    if (ages.every(({ unread }) => Number(unread) === 0)) return;
    if (Date.now() > until) throw new Error('the consumers did not come to the head');
  }
}

const whole = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder).map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );

describe('what it says when it cannot start', () => {
  test('settings that are wrong, all at once: exit 2', async () => {
    const it = run(newFolder(), {
      EDUK_GRPC: 'nowhere',
      EDUK_HTTP: '0.0.0.0:8080',
      EDUK_LOG: 'loud',
      EDUK_NOTHING: '1',
      EDUK_OUTBOX_MAX: '-1',
    });
    expect(await it.ended).toBe(2);
    for (const name of ['EDUK_GRPC', 'EDUK_HTTP', 'EDUK_LOG', 'EDUK_NOTHING', 'EDUK_OUTBOX_MAX'])
      expect(it.err()).toContain(name);
    plain(it.err());
    expect(it.out()).toBe('');
  });
  for (const name of ['EDUK_GRPC', 'EDUK_HTTP'])
    test(`${name} names a port in use: exit 1, and it says which`, async () => {
      const holder = createServer();
      await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
      const { port } = holder.address() as { port: number };
      const it = run(newFolder(), { [name]: `127.0.0.1:${port}` });
      expect(await it.ended).toBe(1);
      expect(it.err()).toContain(name);
      expect(it.err()).toContain(String(port));
      plain(it.err());
      await new Promise((resolve) => holder.close(resolve));
    });
  test('a data folder that a gateway uses: exit 1, and that gateway goes on', async () => {
    const data = newFolder();
    const first = await started(data);
    const second = run(data);
    expect(await second.ended).toBe(1);
    plain(second.err());
    expect((await first.operator.status({})).version).not.toBe('');
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
  });
  for (const [file, newer] of [
    ['state.db', 'PRAGMA user_version = 9999'],
    ['vault.db', "UPDATE meta SET value = 9999 WHERE name = 'form'"],
  ] as const)
    test(`${file} of a newer version: exit 1, and nothing in the folder changes`, async () => {
      const data = newFolder();
      const first = await started(data);
      first.child.kill('SIGTERM');
      expect(await first.ended).toBe(0);
      const db = new DatabaseSync(join(data, file));
      db.exec(newer);
      db.close();
      const before = whole(data);
      const it = run(data);
      expect(await it.ended).toBe(1);
      expect(it.err()).toMatch(/newer/);
      plain(it.err());
      expect(whole(data)).toEqual(before);
    });
  test('a data folder that is taken away under it: it ends by itself, instead of taking in what would be lost', async () => {
    const data = newFolder();
    const it = await started(data);
    rmSync(data, { recursive: true, force: true });
    expect(await it.ended).toBe(1);
  });
  test('a file that is no database of ours: exit 1, and it stays', async () => {
    const data = newFolder();
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, 'state.db'), 'this is something else entirely'.repeat(1000));
    const before = whole(data)['state.db'];
    const it = run(data);
    expect(await it.ended).toBe(1);
    plain(it.err());
    expect(whole(data)['state.db']).toBe(before);
  });
  test('an older node: a plain message, or the newer one that npm ci brought', async () => {
    // A program that calls itself an older node: ours, told so before anything is loaded.
    const folder = mkdtempSync(join(tmpdir(), 'eduk-old-'));
    folders.push(folder);
    writeFileSync(
      join(folder, 'old.cjs'),
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.0' } });\nObject.defineProperty(process, 'version', { value: 'v18.20.0' });\n",
    );
    // A copy outside the project finds no newer one beside it.
    const lonely = join(folder, 'services', 'cli');
    mkdirSync(lonely, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(join(lonely, 'eduk.js'), readFileSync(bin));
    const told = execOf(process.execPath, ['--require', join(folder, 'old.cjs'), join(lonely, 'eduk.js'), 'start']);
    expect(told.status).toBeGreaterThan(0);
    expect(told.err).toMatch(/needs Node 24 or newer; this is v18\.20\.0/);
    plain(told.err);
    const system = ['/usr/bin/node', '/usr/local/bin/node'].find(
      (path) =>
        existsSync(path) &&
        Number.parseInt(execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }), 10) < 24,
    );
    if (!system) return;
    const real = execOf(system, [join(lonely, 'eduk.js'), 'start']);
    expect(real.status).toBeGreaterThan(0);
    expect(real.err).toMatch(/needs Node 24 or newer/);
    plain(real.err);
  });
});

function execOf(command: string, args: string[]): { status: number; err: string } {
  try {
    execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe', timeout: 20_000 });
    return { status: 0, err: '' };
  } catch (thrown) {
    const { status, stderr } = thrown as { status: number; stderr: string };
    return { status, err: stderr };
  }
}

/** For a person: no stack, no path into our code. */
function plain(text: string): void {
  expect(text.trim()).not.toBe('');
  expect(text).not.toMatch(/^\s+at .*\.[jt]s/m);
  expect(text).not.toMatch(/Error:|node:internal/);
}

test('SIGTERM under load ends every process within 10 s, and what was acknowledged is there', async () => {
  const data = newFolder();
  const it = await started(data);
  const { apiKey, school } = await prepared(it);
  const clients = it.as(apiKey);
  const watching = clients.entitlements.watchEntitlements({});
  let watched = '';
  watching.on('data', () => undefined);
  watching.on('error', (error: { metadata?: { get(name: string): unknown[] }; message: string }) => {
    watched = error.metadata?.get('eduk-fault')[0]?.toString() ?? error.message;
  });
  let enough = () => {};
  const busy = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const sending = stream(clients, endless(school), (taken) => taken >= 2_000 && enough());
  await busy;
  const pids = threadsOf(it.child.pid!);
  const before = Date.now();
  it.child.kill('SIGTERM');
  expect(await it.ended).toBe(0);
  expect(Date.now() - before).toBeLessThan(10_000);
  for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
  const { taken } = await sending;
  expect(taken).toBeGreaterThanOrEqual(2_000);
  await expect.poll(() => watched).not.toBe('');
  expect(existsSync(join(data, 'addresses.json'))).toBe(false);
  it.grpc.close();
  const again = await started(data);
  await idle(again);
  const ids = await listed(again.as(apiKey), school);
  for (let i = 0; i < taken; i++)
    if (ids.get(`g-${i}`) !== 1) throw new Error(`g-${i} of ${taken} acknowledged is there ${ids.get(`g-${i}`)} times`);
  again.grpc.close();
  again.child.kill('SIGTERM');
  expect(await again.ended).toBe(0);
});

function* endless(school: string, run = 'g'): Generator<object> {
  for (let i = 0; ; i++) yield grantOf(school, i, run);
}

/** A process and its children. */
function threadsOf(pid: number): number[] {
  const of = (one: number): number[] => {
    const file = `/proc/${one}/task/${one}/children`;
    const below = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number) : [];
    return [one, ...below.flatMap(of)];
  };
  return of(pid);
}

test('kill -9 under a bulk stream, 20 times: what was acknowledged is there, what is sent again has no second effect', async () => {
  const data = newFolder();
  let it = await started(data);
  const { apiKey, school } = await prepared(it);
  // The sender's ledger: how far it was answered. It sends again from a little before there, as a careful sender does.
  let next = 0;
  for (let round = 0; round < 20; round++) {
    const from = Math.max(0, next - 50);
    let best = from;
    const killAt = 1 + Math.floor(Math.random() * 1_500);
    const sending = stream(it.as(apiKey), from0(school, from), (taken) => {
      best = from + taken;
      if (taken >= killAt) it.child.kill('SIGKILL');
    });
    const { refused } = await sending;
    expect(refused).toBe(0);
    expect(await it.ended).toBe('SIGKILL');
    it.grpc.close();
    next = best;
    it = await started(data);
    // Beyond what was answered some may have been taken; nothing answered may lack.
    const spot = [from, best - 1, Math.floor((from + best) / 2)].filter((i) => i >= 0 && i < best);
    for (const i of spot)
      expect(
        await it.as(apiKey).entitlements.getEntitlement({ schoolOin: school, entitlementId: `g-${i}` }),
      ).toMatchObject({
        entitlement: { terms: { entitlementId: `g-${i}` } },
      });
  }
  const total = next + 500;
  const last = await stream(it.as(apiKey), upTo(school, total));
  expect(last).toEqual({ taken: total, refused: 0, fault: '' });
  await idle(it);
  const ids = await listed(it.as(apiKey), school);
  for (let i = 0; i < total; i++)
    if (ids.get(`g-${i}`) !== 1) throw new Error(`g-${i} of ${total} is there ${ids.get(`g-${i}`)} times`);
  it.grpc.close();
  it.child.kill('SIGTERM');
  expect(await it.ended).toBe(0);
});

function* from0(school: string, from: number): Generator<object> {
  for (let i = from; ; i++) yield grantOf(school, i);
}
function* upTo(school: string, total: number): Generator<object> {
  for (let i = 0; i < total; i++) yield grantOf(school, i);
}

test('a full disk: refused as gateway.disk_full, nothing acknowledged is lost, and it goes on when there is room', async () => {
  const mount = mkdtempSync(join(tmpdir(), 'eduk-disk-'));
  folders.push(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', mount], { stdio: 'pipe' });
  } catch {
    // Only root may mount; the engine's own tests fill a disk without.
    process.stderr.write('no disk of its own can be mounted here: the full disk is left to the tests of the engine\n');
    return;
  }
  let it: Running | undefined;
  try {
    const data = join(mount, 'data');
    // What fills the disk besides, and can be taken away. The gateway keeps 64 MiB free for what it still has to decide.
    writeFileSync(join(mount, 'ballast'), Buffer.alloc(70 << 20, 1));
    it = await started(data);
    const { apiKey, school } = await prepared(it);
    const first = await stream(it.as(apiKey), endless(school));
    expect(first.fault).toBe('gateway.disk_full');
    expect(first.taken).toBeGreaterThan(200);
    expect(first.refused).toBe(0);
    expect(it.child.exitCode).toBe(null);
    const again = await stream(
      it.as(apiKey),
      Array.from({ length: 400 }, (_, i) => grantOf(school, i, 'full')),
    );
    expect(again.fault).toBe('gateway.disk_full');
    // Reads go on.
    expect((await it.as(apiKey).catalogue.getProduct({ productId })).product).toMatchObject({ productId });
    rmSync(join(mount, 'ballast'));
    await sleep(1_500);
    const total = first.taken + 300;
    const rest = await stream(it.as(apiKey), upTo(school, total));
    expect(rest).toEqual({ taken: total, refused: 0, fault: '' });
    await idle(it);
    const ids = await listed(it.as(apiKey), school);
    for (let i = 0; i < total; i++)
      if (ids.get(`g-${i}`) !== 1) throw new Error(`g-${i} of ${total} is there ${ids.get(`g-${i}`)} times`);
    it.grpc.close();
    it.child.kill('SIGTERM');
    expect(await it.ended).toBe(0);
  } finally {
    it?.grpc.close();
    if (it && it.child.exitCode === null && it.child.signalCode === null) {
      it.child.kill('SIGKILL');
      await it.ended;
    }
    execFileSync('umount', [mount], { stdio: 'pipe' });
  }
});
