/** What is said of a seed that fails: what was found, and the fewest steps that still show it. */
import type { Plan } from './plan.ts';
import { type Findings, type SimulateOptions, shrink, simulate } from './simulate.ts';

/** Lines for people. `runs`: tries to leave something out. */
export async function report(
  plan: Plan,
  { problems }: Findings,
  options: SimulateOptions = {},
  runs = 400,
): Promise<string> {
  const lines = [
    `seed ${plan.seed} fails (npm run sim -- --seed ${plan.seed}):`,
    ...problems.slice(0, 10).map(indented),
  ];
  const shorter = await shrink(plan, options, runs);
  const { problems: left } = await simulate(shorter, options);
  lines.push(`with ${shorter.steps.length} of its ${plan.steps.length} steps:`, ...left.slice(0, 5).map(indented));
  for (const step of shorter.steps) {
    lines.push(indented(JSON.stringify(step)));
    if (step.do !== 'group') continue;
    for (const n of step.send) {
      const message = shorter.messages[n];
      if (message) lines.push(`    message ${n}: ${message.method} ${JSON.stringify(message.events)}`);
    }
  }
  return lines.join('\n');
}

const indented = (line: string): string => `  ${line}`;
