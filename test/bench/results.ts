/** What the parts of the bench write into RESULTS.md beside this file. */
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';

export const number = (n: number, digits = 0): string =>
  n.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });

/** The machine in words. */
export const machine = (): string =>
  `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${number(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, load average ${loadavg()[0]!.toFixed(1)}.`;

function commit(): string {
  try {
    const stdio: ('ignore' | 'pipe')[] = ['ignore', 'pipe', 'ignore'];
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, stdio })
      .toString()
      .trim();
  } catch {
    return 'no repository';
  }
}

/** Appends a section, with date and commit in its heading. */
export function note(title: string, lines: readonly string[]): void {
  const when = new Date().toISOString().slice(0, 16).replace('T', ' ');
  const text = ['', `## ${title}, ${when} UTC, ${commit()}`, '', ...lines, ''].join('\n');
  appendFileSync(join(import.meta.dirname, 'RESULTS.md'), text);
  process.stdout.write(`${text}\nWritten to test/bench/RESULTS.md\n`);
}
