import { beforeAll, describe, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { planOf } from './plan.ts';
import { report } from './report.ts';
import { simulate } from './simulate.ts';

// A simulation is full of failures that are meant.
beforeAll(() => logTo(() => undefined));

const SEEDS = 500;
const AT_ONCE = 50;

describe('whatever breaks, what was accepted is decided once, in order, and told', () => {
  for (let first = 1; first <= SEEDS; first += AT_ONCE)
    test(`seeds ${first} to ${first + AT_ONCE - 1}`, async () => {
      for (let seed = first; seed < first + AT_ONCE; seed++) {
        const plan = planOf(seed);
        const found = await simulate(plan);
        // Once is enough: what was found is made shorter and said whole.
        if (found.problems.length > 0) expect.fail(await report(plan, found, {}, 150));
      }
    }, 240_000);

  test('the same seed does the same', async () => {
    const { problems, ...once } = await simulate(planOf(7));
    const { problems: again, ...twice } = await simulate(planOf(7));
    expect(twice).toEqual(once);
    expect(again).toEqual(problems);
  });
});
