import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Infrastructure } from './index.ts';
import { left, missing } from './left.ts';

const program = join(import.meta.dirname, 'main.ts');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-local-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const begin = (args: readonly string[], env: Record<string, string> = {}): ChildProcess =>
  // Docker is looked for on the path, and not found: these are the tests of what is run without it.
  spawn(process.execPath, [program, ...args], {
    env: { ...process.env, DOCKER_HOST: 'tcp://127.0.0.1:1', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
/** The line with the addresses. */
async function addresses(running: ChildProcess): Promise<Omit<Infrastructure, 'stop'>> {
  for await (const line of createInterface({ input: running.stdout! })) return JSON.parse(line);
  throw new Error('It ended without addresses.');
}
/** Exit code and milliseconds until then. */
async function ended(running: ChildProcess, signal: NodeJS.Signals): Promise<{ code: number | null; ms: number }> {
  const began = Date.now();
  const exit = once(running, 'exit');
  running.kill(signal);
  const [code] = await exit;
  return { code, ms: Date.now() - began };
}

describe.skipIf(missing)('Kafka and PostgreSQL in the foreground', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'serve until %s, and leave no process',
    async (signal) => {
      const running = begin(['--folder', folder]);
      const { brokers, databaseUrl, vaultUrl, origin } = await addresses(running);
      expect(origin).toEqual({ kafka: 'maven', postgres: 'maven' });
      expect(brokers).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
      for (const url of [databaseUrl, vaultUrl]) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
        await client.end();
      }
      expect(left(folder).length).toBeGreaterThan(2);
      const { code, ms } = await ended(running, signal);
      expect(code).toBe(0);
      expect(ms).toBeLessThan(10_000);
      expect(left(folder)).toEqual([]);
    },
    240_000,
  );

  test('end when the one that started them is killed, and can be started again at once', async () => {
    const first = begin(['--folder', folder]);
    const before = await addresses(first);
    expect((await ended(first, 'SIGKILL')).code).toBeNull();
    const second = begin(['--folder', folder]);
    expect(await addresses(second)).toEqual(before);
    await ended(second, 'SIGKILL');
    for (let tries = 0; left(folder).length > 0 && tries < 300; tries++) await sleep(100);
    expect(left(folder)).toEqual([]);
  }, 240_000);

  test('leave nothing when they are told to end while they start', async () => {
    const running = begin(['--folder', folder]);
    for (let tries = 0; left(folder).length < 2 && tries < 3_000; tries++) await sleep(20);
    expect((await ended(running, 'SIGTERM')).ms).toBeLessThan(10_000);
    for (let tries = 0; left(folder).length > 0 && tries < 300; tries++) await sleep(100);
    expect(left(folder)).toEqual([]);
  }, 240_000);
});

test('addresses that are given are used, and nothing is started', async () => {
  const running = begin(['--folder', folder], {
    EDUK_KAFKA_BROKERS: 'one.example:9092, two.example:9092',
    EDUK_DATABASE_URL: 'postgres://eduk:secret@db.example:5432/gateway?sslmode=require',
  });
  expect(await addresses(running)).toEqual({
    brokers: ['one.example:9092', 'two.example:9092'],
    databaseUrl: 'postgres://eduk:secret@db.example:5432/gateway?sslmode=require',
    vaultUrl: 'postgres://eduk:secret@db.example:5432/gateway_vault?sslmode=require',
    origin: { kafka: 'given', postgres: 'given' },
  });
  expect((await ended(running, 'SIGTERM')).code).toBe(0);
});

test.each([[[]], [['--folder', 'x', '--nodes', '2']], [['--wrong']]])('wrong use ends with 2: %j', async (args) => {
  const [code] = await once(begin(args), 'exit');
  expect(code).toBe(2);
});
