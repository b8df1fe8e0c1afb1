/** The demo with a small school: it must succeed as it is, and fail when one program does something wrong. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { missingHere } from '#deploy/local';

const demo = join(import.meta.dirname, 'main.ts');
const cli = join(import.meta.dirname, '../../services/cli/eduk.js');
const kept: string[] = [];
afterEach(() => {
  for (const folder of kept.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** The folder is named in the second line. */
const folderIn = (out: string): string | undefined => /kept in (\S+) until/.exec(out)?.[1];

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [demo, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (part) => {
      out += part;
    });
  const ended = once(child, 'close').then(([code]) => {
    const folder = folderIn(out);
    if (folder) kept.push(folder);
    return { code: code as number, out, folder };
  });
  return { child, ended, out: () => out };
}

/** Rows of the table that do not agree. */
const wrongRows = (out: string): string[] => out.split('\n').filter((line) => / {2}NO$/.test(line));

/** Processes of this machine whose environment names the folder; none where the system does not show it. */
const runningIn = (folder: string): string[] =>
  (existsSync('/proc/self/environ') ? readdirSync('/proc') : [])
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`EDUK_DATA=${folder}`);
      } catch {
        return false; // Ended meanwhile, or not ours to read.
      }
    });

const missing = await missingHere();

describe('the demo against a gateway that runs on Kafka and PostgreSQL', () => {
  test('says in one line that there is none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-none-'));
    kept.push(folder);
    const { code, out } = await start(['--engine', 'kafka'], { EDUK_DATA: folder }).ended;
    expect(out).toBe(`No gateway is running with its data in ${folder}. Start one with: npm run start:distributed\n`);
    expect(code).toBe(1);
  });

  test.skipIf(missing !== undefined)(
    'is played twice on the same one, each time with everything for everybody',
    { timeout: 600_000 },
    async () => {
      const parent = mkdtempSync(join(tmpdir(), 'eduk-demo-distributed-'));
      kept.push(parent);
      // Whom PostgreSQL runs as, where root starts it, must pass through.
      chmodSync(parent, 0o711);
      const data = join(parent, 'data');
      const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
      const running = spawn(process.execPath, [join(import.meta.dirname, '../../deploy/distributed.ts')], {
        env: {
          ...own,
          DOCKER_HOST: 'tcp://127.0.0.1:1',
          EDUK_DATA: data,
          EDUK_GRPC: '127.0.0.1:0',
          EDUK_HTTP: '127.0.0.1:0',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const ended = once(running, 'exit');
      let said = '';
      for (const stream of [running.stdout, running.stderr])
        stream.on('data', (part) => {
          said += part;
        });
      try {
        while (!/^ready /m.test(said) && running.exitCode === null) await wait(100);
        expect(said).toMatch(/^ready /m);
        for (const file of ['servers.json', 'settings.sh'])
          expect([file, statSync(join(data, file)).mode & 0o777]).toEqual([file, 0o600]);
        for (const round of ['first', 'second']) {
          const { code, out } = await start(['--engine', 'kafka', '--pupils', '40'], { EDUK_DATA: data }).ended;
          expect(wrongRows(out), `${round}: ${out}`).toEqual([]);
          expect(out).toMatch(/All \d+ rows agree\./);
          expect(out).toMatch(/^State .* what is found of pupils in clear .* nothing .* yes$/m);
          expect(out).toMatch(/^Kafka .* the school’s public number in clear .* found .* yes$/m);
          expect(code).toBe(0);
        }
        const commands = `. '${data}/settings.sh' && exec '${process.execPath}' '${cli}' doctor`;
        const { stdout } = spawnSync('sh', ['-c', commands], { encoding: 'utf8', env: own });
        expect(stdout).toMatch(/^topics +ok/m);
        expect(stdout).toMatch(/This set-up survives the loss of any of its processes\./);
      } finally {
        running.kill('SIGTERM');
        await ended;
      }
      for (const file of ['servers.json', 'settings.sh'])
        expect([file, existsSync(join(data, file))]).toEqual([file, false]);
    },
  );
});

describe('the demo', () => {
  test('ends with every party having exactly what it should have', { timeout: 600_000 }, async () => {
    const { code, out, folder } = await start(['--pupils', '150', '--seed', '7']).ended;
    expect(out).toMatch(/All \d+ rows agree\./);
    expect(wrongRows(out)).toEqual([]);
    expect(code).toBe(0);
    for (const party of ['Leerlingbeheer', 'Boekenhuis', 'Wilgenblad', 'Zilvermeeuw', 'Leerplein', 'Kijkglas'])
      expect(out).toMatch(new RegExp(`^${party} .* yes$`, 'm'));
    expect(existsSync(folder!)).toBe(false);
  });

  test.each([
    ['lost-grant', /^Boekenhuis +licences granted .* NO$/m, /Boekenhuis lacks 1 of “licences granted”/],
    ['lost-confirmation', /^Leerlingbeheer +order lines confirmed .* NO$/m, /lacks 1 of “order lines confirmed”/],
    ['lost-result', /^Kijkglas +progress per pupil and supplier .* NO$/m, /lacks 1 of “results, each with its score”/],
  ])('fails when a program is told to make a mistake: %s', { timeout: 600_000 }, async (plant, row, why) => {
    const { code, out, folder } = await start(['--pupils', '50', '--plant', plant]).ended;
    expect(out).toMatch(row);
    expect(out).toMatch(why);
    expect(code).toBe(1);
    expect(existsSync(join(folder!, 'data', 'state.db'))).toBe(true);
    expect(runningIn(folder!)).toEqual([]);
  });

  test.runIf(existsSync('/proc/self/environ'))(
    'ends every program when it is interrupted',
    { timeout: 600_000 },
    async () => {
      const { child, ended, out } = start(['--pupils', '50']);
      while (!out().includes('4. ')) await wait(50);
      const folder = folderIn(out())!;
      expect(runningIn(folder).length).toBeGreaterThan(6);
      child.kill('SIGINT');
      expect((await ended).code).toBe(130);
      expect(runningIn(folder)).toEqual([]);
      expect(existsSync(folder)).toBe(false);
    },
  );

  test.each([
    [['--engine', 'sqlite'], /--engine is embedded or kafka/],
    [['--brokers', '3'], /Unknown option '--brokers'/],
    [['--pupils', '3'], /--pupils is a whole number/],
    [['--seed', 'x'], /--seed is a whole number/],
    [['--plant', 'nothing'], /--plant is one of/],
  ])('says what is wrong with %j', async (args, words) => {
    const { code, out } = await start(args).ended;
    expect(code).toBe(2);
    expect(out).toMatch(words);
  });
});
