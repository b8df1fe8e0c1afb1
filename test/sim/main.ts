/**
 * `npm run sim -- --seed N [--seeds COUNT] [--engine embedded|elsewhere]`: simulates seeds from N on, one by default, and says what was found. A failing
 * seed is made shorter and its steps are printed; of 1,000 seeds and more the result is added to RESULTS.md.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { logTo } from '#kernel';
import { kinds } from './engine.ts';
import { planOf } from './plan.ts';
import { report } from './report.ts';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, seeds: { type: 'string' }, engine: { type: 'string' } },
});
/** From so many seeds on the result is kept. */
const RECORDED = 1000;
/** So often it says how far it is, seeds. */
const PROGRESS = 500;
/** So many failing seeds are made shorter; more say the same. */
const SHORTENED = 3;
const kind = kinds.find(({ name }) => name === (values.engine ?? 'embedded'));
const first = Number(values.seed ?? 1);
const count = Number(values.seeds ?? (values.seed === undefined ? 10_000 : 1));
if (!kind || !Number.isSafeInteger(first) || !Number.isSafeInteger(count) || first < 0 || count < 1) {
  process.stderr.write(
    `Seeds are whole numbers, the engine is ${kinds.map(({ name }) => name).join(' or ')}: npm run sim -- --seed 42 --seeds 100\n`,
  );
  process.exit(2);
}
process.stdout.write(`seed ${first}${count > 1 ? ` to ${first + count - 1}` : ''}\n`);
// A simulation is full of failures that are meant.
logTo(() => undefined);

const started = performance.now();
const sum = { accepted: 0, records: 0, delivered: 0, groups: 0, crashes: 0, failures: 0 };
const failed: number[] = [];
// A run that is ended says how far it came.
let isEnded = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    isEnded = true;
  });
let last = first - 1;
for (let seed = first; seed < first + count && !isEnded; seed++) {
  last = seed;
  if (seed > first && (seed - first) % PROGRESS === 0) process.stderr.write(`${seed - first} of ${count}\n`);
  // Signals are heard between seeds.
  await new Promise((resolve) => setImmediate(resolve));
  const plan = planOf(seed);
  const found = await simulate(plan, { kind });
  for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += found[name];
  if (found.problems.length === 0) continue;
  failed.push(seed);
  process.stdout.write(
    failed.length > SHORTENED
      ? `seed ${seed} fails: ${found.problems[0]}\n`
      : `${await report(plan, found, { kind })}\n`,
  );
}
const seconds = (performance.now() - started) / 1000;
const line =
  `${new Date().toISOString().slice(0, 10)}: ${kind.name}, seeds ${first} to ${last}, ${failed.length} failed${failed.length > 0 ? ` (${failed.slice(0, 20).join(', ')})` : ''}; ` +
  `${sum.accepted} messages, ${sum.records} records, ${sum.delivered} deliveries, ${sum.groups} groups, ` +
  `${sum.crashes} crashes, ${sum.failures} failed groups; ${seconds.toFixed(0)} s`;
process.stdout.write(`${line}\n`);
if (last - first + 1 >= RECORDED) appendFileSync(join(import.meta.dirname, 'RESULTS.md'), `- ${line}\n`);
process.exit(failed.length > 0 ? 1 : 0);
