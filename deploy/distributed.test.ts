import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { missingHere } from '#deploy/local';

const missing = await missingHere();
const root = join(import.meta.dirname, '..');
let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'eduk-distributed-'));
});
afterEach(() => {
  rmSync(data, { recursive: true, force: true });
  rmSync(`${data}.dev.key`, { force: true });
});

function begin(
  args: readonly string[] = [],
  env: Record<string, string> = {},
): ChildProcess & { out: string; err: string } {
  const child = spawn(process.execPath, [join(root, 'deploy/distributed.ts'), ...args], {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      JAVA_HOME: process.env['JAVA_HOME'] ?? '',
      DOCKER_HOST: 'tcp://127.0.0.1:1',
      EDUK_DATA: data,
      EDUK_GRPC: '127.0.0.1:0',
      EDUK_HTTP: '127.0.0.1:0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  }) as unknown as ChildProcess & { out: string; err: string };
  [child.out, child.err] = ['', ''];
  child.stdout!.on('data', (chunk) => {
    child.out += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    child.err += chunk;
  });
  return child;
}

async function until(holds: () => boolean, what: () => string, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`it took too long: ${what()}`);
    await sleep(50);
  }
}

const eduk = async (...args: string[]): Promise<any> => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(root, 'services/cli/eduk.js'), ...args, '--json'],
    {
      env: { PATH: process.env['PATH'], EDUK_DATA: data },
    },
  );
  return JSON.parse(stdout);
};

interface Listed {
  name: string;
  pid: number | null;
  internal: string;
}
const processes = (): Listed[] => JSON.parse(readFileSync(join(data, 'processes.json'), 'utf8'));

/** Processes that name the folder in their command line or environment. */
const left = (): string[] =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return ['cmdline', 'environ'].some((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(data));
    } catch {
      return false; // It has ended, or is somebody else's.
    }
  });

describe.skipIf(missing !== undefined || process.platform !== 'linux')('npm run start:distributed', () => {
  test('one line when all roles are ready; commands work; a role that dies comes back; SIGTERM leaves nothing but data', async () => {
    const running = begin();
    const ended = once(running, 'exit');
    await until(
      () => running.out.includes('\n') || running.exitCode !== null,
      () => running.err,
      240_000,
    );
    expect(running.out, running.err).toMatch(
      /^ready grpc=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ console=127\.0\.0\.1:\d+\n$/,
    );
    expect(processes().map(({ name }) => name)).toEqual(['door', 'core', 'delivery', 'watch', 'vault']);
    const oin = '00000099100000009000';
    await eduk('party', 'add', '--oin', oin, '--name', 'Leerplein', '--role', 'platform');

    const core = processes().find(({ name }) => name === 'core')!;
    process.kill(core.pid!, 'SIGKILL');
    await until(
      () => running.err.includes('core ended (SIGKILL)'),
      () => running.err,
      60_000,
    );
    await until(
      () => ![null, core.pid].includes(processes().find(({ name }) => name === 'core')!.pid),
      () => running.err,
      60_000,
    );
    // The door waits for it.
    await eduk('party', 'add', '--oin', '00000099100000008000', '--name', 'Boekenhuis', '--role', 'distributor');
    expect((await eduk('party', 'list')).map((party: { oin: string }) => party.oin).sort()).toEqual([
      '00000099100000008000',
      oin,
    ]);
    const ready = await Promise.all(
      processes().map(async ({ internal }) => (await fetch(`http://${internal}/readyz`)).status),
    );
    expect(ready).toEqual([200, 200, 200, 200, 200]);
    // What holds a password is said nowhere.
    expect(running.err + running.out).not.toMatch(/postgres:\/\//);

    const from = Date.now();
    running.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
    expect(Date.now() - from).toBeLessThan(10_000);
    expect(left()).toEqual([]);
    expect(existsSync(join(data, 'addresses.json'))).toBe(false);
    expect(existsSync(join(data, 'operator.key'))).toBe(true);
  }, 400_000);

  test('roles end when the one who started them is killed', async () => {
    const running = begin();
    await until(
      () => running.out.includes('\n') || running.exitCode !== null,
      () => running.err,
      240_000,
    );
    expect(running.out, running.err).toMatch(/^ready /);
    running.kill('SIGKILL');
    await until(
      () => left().length === 0,
      () => left().join(),
      60_000,
    );
  }, 300_000);

  test('a role that never gets ready ends it all, with what it said', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const running = begin([], { EDUK_HTTP: `127.0.0.1:${(taken.address() as { port: number }).port}` });
    try {
      expect((await once(running, 'exit'))[0]).toBe(1);
    } finally {
      taken.close();
    }
    expect(running.err).toContain('door does not start; what it said stands above.');
    expect(running.err).toContain('names a port that another program uses');
    expect(left()).toEqual([]);
  }, 200_000);

  test('an option that there is not is wrong use', async () => {
    const running = begin(['--replicas', 'kern=2']);
    expect((await once(running, 'exit'))[0]).toBe(2);
    expect(running.err).toMatch(/Use: npm run start:distributed/);
    expect(readdirSync(data)).toEqual([]);
  });
});
