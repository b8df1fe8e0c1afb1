import { describe, expect, test } from 'vitest';
import { killRun } from './sender.ts';

const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 2 ** 31);
const KILLS = 300;
/** Enough for a planted fault to show. */
const PLANTED_KILLS = 12;

describe(`an engine that is killed (seed ${seed}: KILL_SEED=${seed} repeats the choices)`, () => {
  test(`${KILLS} times loses nothing it accepted, takes nothing twice, keeps order and answers a repeat alike`, async () => {
    const findings = await killRun({ kills: KILLS, seed });
    process.stdout.write(`kill seed=${seed} ${JSON.stringify({ ...findings, problems: findings.problems.length })}\n`);
    expect(findings.problems.slice(0, 20)).toEqual([]);
    expect(findings.kills).toBe(KILLS);
    expect(findings.unanswered).toBeGreaterThanOrEqual(KILLS / 2);
    expect(findings.repeated).toBeGreaterThan(0);
  }, 240_000);

  test('is found out when it acknowledges before it commits', async () => {
    const { problems } = await killRun({ kills: PLANTED_KILLS, seed, plant: 'acknowledgeBeforeCommit' });
    expect(problems.join('\n')).toMatch(/is lost|taken in again|answered otherwise/);
  });

  test('is found out when it skips a position', async () => {
    const { problems } = await killRun({ kills: PLANTED_KILLS, seed, plant: 'skippedPosition' });
    expect(problems.join('\n')).toMatch(/was taken 0 times/);
  });
});
