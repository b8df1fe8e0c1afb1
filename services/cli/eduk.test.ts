import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The bin on an older Node: the same file in a project folder of its own, run by a Node that says it is 18. */
let folder = '';
const bin = () => join(folder, 'services/cli/eduk.js');

const older = [
  '--import',
  'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"18.20.0"}});Object.defineProperty(process,"version",{value:"v18.20.0"})',
];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-bin-'));
  mkdirSync(join(folder, 'services/cli'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  copyFileSync(join(import.meta.dirname, 'eduk.js'), bin());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('an older node without the bundled one is told plainly what to do', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...older, bin(), 'doctor'], { encoding: 'utf8' });
  expect(stderr).toBe(
    'eduk needs Node 24 or newer; this is v18.20.0. Run npm ci in the project folder, or install Node 24.\n',
  );
  expect(stdout).toBe('');
  expect(status).toBe(2);
});

test('an older node hands over to the bundled one, with arguments, exit status and signals', async () => {
  const bundled = join(folder, 'node_modules/.bin/node');
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  writeFileSync(
    bundled,
    `#!/bin/sh\nshift\ntrap 'echo stopped; exit 7' TERM\necho "ready $*"\nif [ "$1" = start ]; then n=0; while [ $n -lt 200 ]; do n=$((n+1)); sleep 0.05; done; fi\nexit 5\n`,
  );
  chmodSync(bundled, 0o755);
  const once = spawnSync(process.execPath, [...older, bin(), 'party', 'list', '--json'], { encoding: 'utf8' });
  expect([once.stdout, once.stderr, once.status]).toEqual(['ready party list --json\n', '', 5]);

  const child = spawn(process.execPath, [...older, bin(), 'start']);
  let said = '';
  // After `close` nothing more is to be read; after `exit` the last words may still be under way.
  const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  await new Promise<void>((resolve) =>
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.includes('ready')) resolve();
    }),
  );
  child.kill('SIGTERM');
  expect(await ended).toBe(7);
  expect(said).toBe('ready start\nstopped\n');
});

test('an older node passes on a signal that comes as soon as its child runs', async () => {
  const bundled = join(folder, 'node_modules/.bin/node');
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  // The child itself tells its parent to stop, before anybody could have waited for anything.
  writeFileSync(
    bundled,
    "#!/bin/sh\ntrap 'exit 7' TERM\nkill -TERM $PPID\nn=0; while [ $n -lt 200 ]; do n=$((n+1)); sleep 0.05; done\nexit 5\n",
  );
  chmodSync(bundled, 0o755);
  // What stands between making the child and listening is a moment; here it is a long one.
  const slow =
    'import cp from "node:child_process";const f=cp.spawn;cp.spawn=(...a)=>{const c=f(...a);Atomics.wait(new Int32Array(new SharedArrayBuffer(4)),0,0,300);return c;}';
  const child = spawn(process.execPath, [...older, '--import', `data:text/javascript,${slow}`, bin(), 'start']);
  const ended = await new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
  expect(ended).toBe(7);
});

test('a node that is itself the bundled one, and too old, does not start itself for ever', () => {
  const bundled = join(folder, 'node_modules/.bin/node');
  rmSync(bundled, { force: true });
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  spawnSync('ln', ['-s', process.execPath, bundled]);
  const { status, stderr } = spawnSync(process.execPath, [...older, bin()], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('eduk needs Node 24');
});

test('the bin is plain JavaScript that an old node can parse', () => {
  const text = readFileSync(join(import.meta.dirname, 'eduk.js'), 'utf8');
  const code = text.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
  expect(code).not.toMatch(/=>|`|\?\.|\?\?|\b(const|let|class|async|await)\b|^import\s/m);
});

test('package.json names this file as the bin', () => {
  const root = join(import.meta.dirname, '../..');
  const { bin: named } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(join(root, named.eduk)).toBe(join(import.meta.dirname, 'eduk.js'));
});
