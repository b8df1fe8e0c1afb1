/**
 * `npm test`: every test, then one last line `N passed, N failed`. Arguments are handed to vitest. What was skipped is
 * named; with CI set, nothing may be skipped but what compares with published files that are absent.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const out = mkdtempSync(join(tmpdir(), 'eduk-test-'));
const report = join(out, 'report.json');
const vitest = spawn(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=dot',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => vitest.kill(signal));
const code = await new Promise<number>((resolve) => vitest.on('exit', (status) => resolve(status ?? 1)));

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
}
if (!existsSync(report)) {
  process.stdout.write('The tests did not run to their end.\n0 passed, 1 failed\n');
  process.exit(1);
}
const results = JSON.parse(readFileSync(report, 'utf8')) as Report;
rmSync(out, { recursive: true, force: true });
// A file that cannot be loaded fails as one test.
const broken = results.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((one) => one.status === 'failed'),
);
const skipped = results.testResults.flatMap(({ assertionResults }) =>
  assertionResults.filter(({ status }) => status !== 'passed' && status !== 'failed').map(({ fullName }) => fullName),
);
for (const name of skipped) process.stdout.write(`skipped: ${name}\n`);
let failed = results.numFailedTests + broken.length;
const published = existsSync(join(root, '../shared/standards'));
if (process.env['CI'] && skipped.length > 0 && published) {
  process.stdout.write(`In CI nothing may be skipped: ${skipped.length} skipped.\n`);
  failed += skipped.length;
}
if (failed === 0 && code !== 0) failed = 1;
process.stdout.write(
  `${results.numPassedTests} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}\n`,
);
process.exit(failed > 0 || results.numPassedTests === 0 ? 1 : 0);
