import { beforeAll, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { elsewhere } from './engine.ts';
import { planOf } from './plan.ts';
import { report } from './report.ts';
import { simulate } from './simulate.ts';

beforeAll(() => logTo(() => undefined));

/** A relay and nine readers cost more steps than one process. */
const SEEDS = 40;

test(`with the log elsewhere, what was accepted is decided once, in order, and told: seeds 1 to ${SEEDS}`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = planOf(seed);
    const found = await simulate(plan, { kind: elsewhere });
    if (found.problems.length > 0) expect.fail(await report(plan, found, { kind: elsewhere }, 80));
  }
}, 240_000);
