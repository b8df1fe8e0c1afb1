import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Plant } from './plants.ts';
import { childIn, killRun } from './sender.ts';

const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 2 ** 31);
const KILLS = 300;
/** Enough for a planted fault to show in almost every run; where each kill misses its moment, runs with other seeds follow. */
const PLANTED_KILLS = 12;
const PLANTED_RUNS = 6;

const folder = mkdtempSync(join(tmpdir(), 'eduk-killed-'));
let child: string;
beforeAll(async () => {
  child = await childIn(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is found with a planted fault, in as many runs as it takes for `pattern` to be among it. */
async function foundOut(plant: Plant, pattern: RegExp): Promise<string> {
  let found = '';
  for (let run = 0; run < PLANTED_RUNS && !pattern.test(found); run++) {
    const { problems } = await killRun({ child, kills: PLANTED_KILLS, seed: seed + run, plant });
    found += problems.join('\n');
  }
  return found;
}

describe(`an engine that is killed (seed ${seed}: KILL_SEED=${seed} repeats the choices)`, () => {
  test(`${KILLS} times loses nothing it accepted, takes nothing twice, keeps order and answers a repeat alike`, async () => {
    const findings = await killRun({ child, kills: KILLS, seed });
    process.stdout.write(`kill seed=${seed} ${JSON.stringify({ ...findings, problems: findings.problems.length })}\n`);
    expect(findings.problems.slice(0, 20)).toEqual([]);
    expect(findings.kills).toBe(KILLS);
    expect(findings.unanswered).toBeGreaterThanOrEqual(KILLS / 2);
    expect(findings.repeated).toBeGreaterThan(0);
  }, 600_000);

  test('is found out when it acknowledges before it commits', async () => {
    const lost = /is lost|taken in again|answered otherwise/;
    expect(await foundOut('acknowledgeBeforeCommit', lost)).toMatch(lost);
  });

  test('is found out when it skips a position', async () => {
    const skipped = /was taken 0 times/;
    expect(await foundOut('skippedPosition', skipped)).toMatch(skipped);
  });
});
