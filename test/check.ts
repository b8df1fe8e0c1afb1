/** `npm run check`: types, lint, contracts, generated files, unit and contract tests. Ends at the first that fails. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');
const steps: [string, string, string[]][] = [
  ['types', join(bin, 'tsc'), ['--noEmit', '-p', '.']],
  ['types of pages', join(bin, 'tsc'), ['--noEmit', '-p', 'services/console/web']],
  ['lint', join(bin, 'biome'), ['check', '.']],
  ['contracts', join(bin, 'buf'), ['lint']],
  ['generated files', process.execPath, ['proto/generate.ts', '--check']],
  ['tests', process.execPath, ['test/run.ts', 'services', 'adapters', 'proto', 'test/tidy']],
];
if (existsSync(join(root, 'proto/baseline.binpb')))
  steps.splice(3, 0, ['breaking', join(bin, 'buf'), ['breaking', '--against', 'proto/baseline.binpb']]);
for (const [name, command, args] of steps) {
  const started = performance.now();
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
  });
  process.stderr.write(
    `${name}: ${status === 0 ? 'ok' : 'failed'}, ${((performance.now() - started) / 1000).toFixed(1)} s\n`,
  );
  if (status !== 0) process.exit(1);
}
