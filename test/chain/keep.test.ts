/** `eduk backup`, `restore`, `move` and the drill, by the command line. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { startGateway } from '../../services/main.ts';

logTo(() => undefined);

/** One command, as a person starts it. */
const run = (line: string | readonly string[], env: Record<string, string>, text = '') =>
  new Promise<{ exit: number; out: string; err: string; readonly json: any }>((resolve) => {
    const child = execFile(
      process.execPath,
      [join(import.meta.dirname, '../../services/cli/eduk.js'), ...(typeof line === 'string' ? line.split(' ') : line)],
      { env: { PATH: process.env['PATH'], ...env } },
      (error, out, err) =>
        resolve({
          exit: typeof error?.code === 'number' ? error.code : 0,
          out,
          err,
          get json() {
            return JSON.parse(out);
          },
        }),
    );
    child.stdin!.end(text);
  });

let home: string;
let data: string;
let gateway: Awaited<ReturnType<typeof startGateway>>;
const env = (folder = data) => ({
  EDUK_DATA: folder,
  EDUK_BACKUPS: join(home, 'backups'),
  EDUK_MASTER_KEY_FILE: `${data}.dev.key`,
});
/** Keys in the roster that is taken in. */
const PUPIL = 'L-1001';
const OTHER = 'L-1002';
const party = 'party add --oin 00000001000000000001 --name Uitgever --role publisher --json';

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'eduk-keep-'));
  data = join(home, 'data');
  gateway = await startGateway({ EDUK_DATA: data, EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' });
});
afterAll(async () => {
  await gateway?.stop();
  rmSync(home, { recursive: true, force: true });
});

test('a running gateway is backed up, the drill restores it, and a restore has all of it', async () => {
  expect((await run('doctor --restore-drill --json', env())).json).toMatchObject({
    ok: false,
    restoreDrill: null,
    checks: expect.arrayContaining([
      { name: 'restore drill', state: 'fail', says: expect.stringContaining('no backup') },
    ]),
  });
  expect((await run(party, env())).exit).toBe(0);
  const made = await run('backup --json', env());
  expect(made.json).toMatchObject({ folder: expect.stringContaining(join(home, 'backups')), rows: expect.any(Number) });
  expect(made.exit).toBe(0);
  // Only rows: no key, no list.
  expect(readdirSync(made.json.folder).sort()).toEqual(['manifest.json', 'state.db', 'vault.db']);
  const drilled = await run('doctor --restore-drill --json', env());
  expect(drilled.json.restoreDrill).toMatchObject({ backup: made.json.folder, rows: made.json.rows });
  expect(drilled.json.checks).toContainEqual(expect.objectContaining({ name: 'restore drill', state: 'ok' }));
  expect(readdirSync(join(home, 'backups'))).toHaveLength(1);

  const other = join(home, 'other');
  const refused = await run(['restore', made.json.folder, '--json'], env(other));
  expect(refused.exit).toBe(1);
  expect(refused.json.error).toMatchObject({ code: 'state.conflict', message: expect.stringContaining('--lists') });
  const empty = await run(['restore', made.json.folder, '--lists', home, '--json'], env(other));
  expect(empty.json.error.message).toMatch(/holds no lists .*--without-lists/);
  const restored = await run(['restore', made.json.folder, '--without-lists', '--json'], env(other));
  expect(restored.json).toMatchObject({ engine: 'embedded', rows: made.json.rows, reapplied: 0, lost: [] });
  const second = await startGateway({ ...env(other), EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' });
  try {
    expect((await run('party list --json', env(other))).json).toMatchObject([{ name: 'Uitgever' }]);
  } finally {
    await second.stop();
  }
});

test('what a school took back after the backup is taken back in what is restored', async () => {
  const school = '0000000700099ZX00000';
  const roster = join(import.meta.dirname, '../../adapters/edexml/examples/01-primary.xml');
  expect((await run(['roster', 'import', roster, '--json'], env())).exit).toBe(0);
  const grant = `mandate grant --school ${school} --party 00000001000000000001 --service roster --confirm --json`;
  const { mandateId } = (await run(grant, env())).json;
  const { folder } = (await run('backup --json', env())).json;
  expect((await run(`mandate withdraw ${mandateId} --json`, env())).exit).toBe(0);
  const forget = `learner forget --school ${school} --now --json`;
  expect((await run(forget, env(), `${PUPIL}\n`)).exit).toBe(0);
  // Somebody was to be forgotten too, and is kept after all.
  expect((await run(`learner forget --school ${school} --json`, env(), `${OTHER}\n`)).exit).toBe(0);
  expect((await run(`learner keep --school ${school} --json`, env(), `${OTHER}\n`)).exit).toBe(0);

  const other = join(home, 'fourth');
  const restored = await run(['restore', folder, '--lists', data, '--json'], env(other));
  expect(restored.json).toMatchObject({ reapplied: 4 });
  const second = await startGateway({ ...env(other), EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0' });
  try {
    expect((await run('mandate list --json', env(other))).json).toMatchObject([{ mandateId, state: 'ended' }]);
    const again = await run(forget, env(other), `${PUPIL}\n`);
    expect([again.exit, again.json.error.code]).toEqual([1, 'learner.unknown']);
    // Somebody else is there, and waits for nothing.
    const kept = await run(`learner keep --school ${school} --json`, env(other), `${OTHER}\n`);
    expect(kept.json.lines).toMatchObject([{ error: { code: 'state.missing' } }]);
    expect((await run(forget, env(other), `${OTHER}\n`)).exit).toBe(0);
  } finally {
    await second.stop();
  }
});

test('wrong use, and what stands in the way, are told as everywhere', async () => {
  expect((await run('move', env())).exit).toBe(2);
  expect((await run('move --to kafka --resume', env())).exit).toBe(2);
  expect((await run('move --to kafka --force', env())).exit).toBe(2);
  const unset = await run('move --to kafka --json', env());
  expect([unset.exit, unset.json.error.message]).toEqual([2, expect.stringContaining('EDUK_KAFKA_BROKERS is needed')]);
  const databases = {
    EDUK_DATABASE_URL: 'postgres://a@127.0.0.1:1/a',
    EDUK_VAULT_DATABASE_URL: 'postgres://a@127.0.0.1:1/b',
  };
  const running = await run('move --to kafka --json', { ...env(), ...databases, EDUK_KAFKA_BROKERS: '127.0.0.1:1' });
  expect(running.json.error).toMatchObject({ code: 'state.conflict', message: expect.stringContaining('is in use') });
  expect(running.exit).toBe(1);
  const nothing = await run('move --resume --json', env());
  expect(nothing.json.error.message).toContain('nothing to take back');
  expect((await run(['restore', join(home, 'none')], env())).exit).toBe(2);
  expect((await run(['restore', home], env(join(home, 'third')))).err).toContain('is no backup');
  expect(existsSync(join(home, 'third', 'state.db'))).toBe(false);
});
