import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from './testing.ts';

/** `eduk start` as a process of its own, with a data folder and ports of its own. */
let place = '';
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'eduk-start-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

function start(env: Record<string, string>, ...roles: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'eduk.js'), 'start', ...roles], {
    env: { PATH: process.env['PATH'], ...env },
  });
  let [out, err] = ['', ''];
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      out += chunk;
      if (out.includes('\n')) resolve();
    });
    child.once('exit', () => resolve());
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, ready, ended, out: () => out, err: () => err };
}

test('start says ready on one line, answers commands, and ends with 0 within 10 s of SIGTERM', async () => {
  const env = { EDUK_DATA: join(place, 'data'), EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' };
  const gateway = start(env);
  await gateway.ready;
  expect(gateway.out()).toMatch(/^ready grpc=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ console=127\.0\.0\.1:\d+\n$/);
  expect(gateway.err()).toContain('development key');
  expect(await run('party list --json', env)).toMatchObject({ exit: 0, json: [] });

  const grpc = /grpc=(\S+)/.exec(gateway.out())![1]!;
  const second = start({ ...env, EDUK_DATA: join(place, 'second'), EDUK_GRPC: grpc });
  expect(await second.ended).toBe(1);
  expect(second.err().replaceAll('\n', ' ')).toContain(`EDUK_GRPC (${grpc}) names a port that another program uses`);
  expect(second.out()).toBe('');

  const from = Date.now();
  gateway.child.kill('SIGTERM');
  gateway.child.kill('SIGTERM'); // A repeat changes nothing.
  expect(await gateway.ended).toBe(0);
  expect(Date.now() - from).toBeLessThan(10_000);
  expect(gateway.out().split('\n')).toHaveLength(2);
  expect(gateway.err()).toMatch(/\nStopping: [^\n]+\nStopped\.\n$/);
  expect(existsSync(join(env.EDUK_DATA, 'addresses.json'))).toBe(false);
  expect((await run('party list --json', env)).json.error.code).toBe('peer.unavailable');
});

test.runIf(process.platform === 'linux')(
  'the room for young objects is bounded, unless who starts it says how',
  async () => {
    const argumentsOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(1, 3);
    const at = (name: string) => ({ EDUK_DATA: join(place, name), EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' });
    const [bounded, told] = [start(at('bounded')), start({ ...at('told'), NODE_OPTIONS: '--max-semi-space-size=32' })];
    await Promise.all([bounded.ready, told.ready]);
    expect(argumentsOf(bounded.child.pid!)).toEqual(['--max-semi-space-size=8', join(import.meta.dirname, 'eduk.js')]);
    expect(argumentsOf(told.child.pid!)).toEqual([join(import.meta.dirname, 'eduk.js'), 'start']);
    for (const { child } of [bounded, told]) child.kill('SIGTERM');
    expect(await Promise.all([bounded.ended, told.ended])).toEqual([0, 0]);
  },
);

test('SIGTERM during the start stops it as soon as it is ready', async () => {
  const gateway = start({ EDUK_DATA: join(place, 'early'), EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' });
  const folder = join(place, 'early');
  while (!existsSync(folder)) await new Promise((resolve) => setTimeout(resolve, 5));
  gateway.child.kill('SIGTERM');
  expect(await gateway.ended).toBe(0);
  expect(gateway.err()).toMatch(/Stopping: [^\n]+\n(.*\n)*Stopped\.\n$/);
});

test('start with wrong settings ends with 2 and one problem a line', async () => {
  const gateway = start({ EDUK_DATA: join(place, 'wrong'), EDUK_HTTP: 'here', EDUK_NOTHING: '1' });
  expect(await gateway.ended).toBe(2);
  expect(gateway.err().trim().split('\n')).toHaveLength(2);
  expect(existsSync(join(place, 'wrong'))).toBe(false);
});

test('roles are refused on the embedded engine, and so is a role that there is not', async () => {
  const embedded = start({ EDUK_DATA: join(place, 'roles') }, 'core');
  expect(await embedded.ended).toBe(2);
  expect(embedded.err().replaceAll('\n', ' ')).toMatch(/one file and one process.*EDUK_ENGINE=kafka/);
  const unknown = start({ EDUK_DATA: join(place, 'roles'), EDUK_ENGINE: 'kafka' }, 'kern');
  expect(await unknown.ended).toBe(2);
  expect(unknown.err().replaceAll('\n', ' ')).toMatch(/kern: no such role or service. Roles: door, core/);
  expect(existsSync(join(place, 'roles'))).toBe(false);
});

test('what a role misses in the settings is told at once, and no password with it', async () => {
  const role = start(
    {
      EDUK_DATA: join(place, 'lacks'),
      EDUK_ENGINE: 'kafka',
      EDUK_DATABASE_URL: 'mysql://eduk:g3heim@host/x',
      EDUK_INNER: '10.0.0.1:1',
    },
    'core',
  );
  expect(await role.ended).toBe(2);
  const told = role.err().trim().split('\n').join(' ');
  for (const name of ['EDUK_DATABASE_URL', 'EDUK_KAFKA_BROKERS', 'EDUK_INNER_TLS_CA']) expect(told).toContain(name);
  expect(told).not.toContain('g3heim');
});
