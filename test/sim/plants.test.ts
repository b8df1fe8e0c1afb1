import { beforeAll, describe, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { elsewhere, embedded } from './engine.ts';
import { planOf } from './plan.ts';
import { shrink, simulate, simulateSeed } from './simulate.ts';
import type { Plant } from './store.ts';

beforeAll(() => logTo(() => undefined));

/** Seeds within which a planted fault must show. */
const SEEDS = 40;

/** Problems of the first seed that shows what is looked for; the ledgers alone must find it, without the comparison. */
async function found(plant: Plant, like: RegExp, kind = embedded): Promise<string | undefined> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems } = await simulateSeed(seed, { plant, kind, compared: false });
    const problem = problems.find((text) => like.test(text));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

describe('a planted fault is found', () => {
  test.each<[Plant, RegExp]>([
    ['skippedPosition', /took .* 0 times/],
    ['reusedNumber', /^lane .*: (\d+) follows \d+/],
    ['lostRecord', /was accepted and is lost/],
    ['effectTwice', /took .* 2 times|holds a row twice/],
    ['lostWake', /still waits for .*, which came/],
    ['answeredBeforeCommit', /was accepted and is lost/],
    ['forgottenReference', /taken in again|an attempt without its receipt is on the log/],
    ['staleRight', /(LaunchCreated|LaunchRedeemed) of .*, which was closed/],
    ['staleCount', /says that 0 are taken/],
    ['keptResult', /results_results still names a learner/],
  ])('%s', async (plant, like) => {
    expect(await found(plant, like)).toMatch(like);
  });

  test.each<Plant>([
    'skippedPosition',
    'reusedNumber',
    'lostRecord',
    'effectTwice',
    'lostWake',
    'answeredBeforeCommit',
    'forgottenReference',
  ])('%s is not what it is without faults', async (plant) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { problems } = await simulateSeed(seed, { plant });
      if (problems.some((text) => text.includes('is not what it is without faults'))) return;
    }
    expect.fail('no comparison found it');
  });

  test.each<[Plant, RegExp]>([
    ['skippedPosition', /took .* 0 times/],
    ['effectTwice', /took .* 2 times|holds a row twice/],
    ['lostRecord', /was accepted and is lost/],
    ['answeredBeforeCommit', /was accepted and is lost/],
  ])('%s, with the log elsewhere', async (plant, like) => {
    expect(await found(plant, like, elsewhere)).toMatch(like);
  });

  test('and its plan made shorter', async () => {
    const plan = planOf(1);
    const options = { plant: 'lostRecord', compared: false } as const;
    const shorter = await shrink(plan, options, 120);
    expect(shorter.steps.length).toBeLessThan(plan.steps.length / 4);
    expect((await simulate(shorter, options)).problems).not.toEqual([]);
    expect((await simulate(shorter)).problems).toEqual([]);
  });
});
