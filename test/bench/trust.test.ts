import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { partsOf } from './profile.ts';
import { intakeOf } from './trust.ts';
import { withoutAudit } from './without-audit.ts';

test('what the bench takes out of a gateway is still there to be taken out', () => {
  const source = readFileSync(join(import.meta.dirname, '../../services/edge/stages/accept.ts'), 'utf8');
  const left = withoutAudit(source);
  expect(left.length).toBeLessThan(source.length);
  expect(() => withoutAudit(left)).toThrow(/not there any more/);
});

/** A profile of stacks `[milliseconds, frames from the outermost]`, each frame `file function`. */
function profile(stacks: readonly (readonly [number, ...string[]])[]) {
  const nodes: {
    id: number;
    children: number[];
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[] = [{ id: 1, children: [], callFrame: { functionName: '(root)', url: '', lineNumber: 0 } }];
  const samples: number[] = [];
  const timeDeltas: number[] = [];
  for (const [ms, ...frames] of stacks) {
    let at = nodes[0]!;
    for (const frame of frames) {
      const [file, functionName = ''] = frame.split(' ');
      const made = {
        id: nodes.length + 1,
        children: [],
        callFrame: { functionName, url: file === '-' ? '' : `file:///x/${file}`, lineNumber: 0 },
      };
      nodes.push(made);
      at.children.push(made.id);
      at = made;
    }
    samples.push(at.id);
    timeDeltas.push(ms * 1000);
  }
  return JSON.stringify({ nodes, startTime: 0, samples, timeDeltas });
}
const door = [
  [10, 'services/edge/pipeline.ts pass', 'services/edge/stages/authorise.ts authorise', 'services/kernel/ids.ts isOin'],
  [5, 'services/edge/stages/authenticate.ts authenticate'],
  [20, 'services/edge/pipeline.ts pass'],
  [3, 'services/edge/stages/accept.ts accept', 'services/edge/audit.ts itemOf'],
  [12, '- (garbage collector)'],
  [1000, '- (idle)'],
] as const;
const vault = [
  [30, 'services/pseudonyms/vault.ts identify'],
  [10, '- (garbage collector)'],
] as const;
const log = [
  [8, 'services/bus/engine.ts #run', 'services/bus/core.ts accept'],
  [70, 'services/bus/engine.ts #run', 'services/orders/consume.ts handle'],
  [2, 'services/bus/engine.ts #run', 'services/audit/consume.ts handle', 'services/kernel/merkle.ts nodeHash'],
] as const;

test('a frame belongs to the innermost part that is known of it; what is idle, to none', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-trust-'));
  try {
    for (const [thread, stacks] of [door, vault, log].entries())
      writeFileSync(join(folder, `CPU.20261122.120000.77.${thread}.001.cpuprofile`), profile(stacks));
    const whole = { from: 0, to: 1e12 };
    const first = join(folder, 'CPU.20261122.120000.77.0.001.cpuprofile');
    expect(partsOf(first, whole, (url) => (url.includes('edge') ? 'edge' : undefined))).toEqual(
      new Map([
        ['edge', 38],
        ['', 12],
      ]),
    );
    expect(partsOf(first, { from: 0, to: 12_000 }, () => 'all')).toEqual(new Map([['all', 10]]));
    expect(intakeOf(folder, 77, whole)).toEqual({ authenticate: 5, mandate: 10, identify: 40, audit: 5, rest: 40 });
    expect(() => intakeOf(folder, 78, whole)).toThrow(/three threads/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
