/** One simulation from its seed to what was found, and the shortest plan that still finds it. */
import * as checks from './checks.ts';
import { compareInOrder, compareRepeated } from './compare.ts';
import { type EngineKind, embedded } from './engine.ts';
import { type Plan, planOf } from './plan.ts';
import { Run } from './run.ts';
import type { Plant } from './store.ts';

export interface Findings {
  seed: number;
  problems: string[];
  /** Messages with a receipt, records on the log, rows handed to receivers. */
  accepted: number;
  records: number;
  delivered: number;
  groups: number;
  crashes: number;
  failures: number;
}

export interface SimulateOptions {
  plant?: Plant;
  kind?: EngineKind;
  /** Whether the run is compared with one without faults. Default true. */
  compared?: boolean;
}

/** Beyond every deadline of what waits. */
const BEYOND_MS = 3 * 86_400_000;

export async function simulate(
  plan: Plan,
  { plant = 'none', kind = embedded, compared = true }: SimulateOptions = {},
): Promise<Findings> {
  const run = new Run(plan, kind, plant);
  let records = 0;
  try {
    await run.whole();
    checks.checkAtHead(run);
    checks.checkWaiting(run, checks.wholeLog(run));
    run.wait(BEYOND_MS);
    run.mend();
    await run.readAll();
    const log = checks.wholeLog(run);
    records = log.length;
    checks.checkAtHead(run);
    checks.checkNothingWaits(run);
    checks.checkLanes(run, log);
    checks.checkAccepted(run, log);
    checks.checkDecided(run, log);
    checks.checkTaken(run, log);
    checks.checkMailboxes(run, log);
    checks.checkDomain(run, log);
    if (compared && kind.repeats) await compareRepeated(run, kind);
    if (compared && plan.calm) compareInOrder(run);
  } catch (thrown) {
    run.problem(`it ended with ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
  }
  return {
    seed: plan.seed,
    problems: run.problems,
    accepted: [...run.sent.values()].filter(({ answer }) => answer !== undefined).length,
    records,
    delivered: run.mailboxes.reduce((sum, { delivered }) => sum + delivered.length, 0),
    groups: run.groups,
    crashes: run.crashes,
    failures: run.failures,
  };
}

export const simulateSeed = (seed: number, options?: SimulateOptions): Promise<Findings> =>
  simulate(planOf(seed), options);

/** What kind of problem it is, without its ids and numbers. */
const kindOf = (problem: string): string => problem.replaceAll(/[0-9]+/g, '#').slice(0, 40);

/** Leaves out steps, and messages in them, as long as what was found first is still found; at most `runs` tries. */
export async function shrink(plan: Plan, options: SimulateOptions, runs = 400): Promise<Plan> {
  let best = plan;
  let left = runs;
  const wanted = kindOf((await simulate(plan, options)).problems[0] ?? '');
  const fails = async (steps: Plan['steps']): Promise<boolean> => {
    if (left-- <= 0) return false;
    const shorter = { ...plan, steps };
    if (!(await simulate(shorter, options)).problems.some((problem) => kindOf(problem) === wanted)) return false;
    best = shorter;
    return true;
  };
  for (let size = Math.ceil(plan.steps.length / 2); size >= 1 && left > 0; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < best.steps.length && left > 0; )
      if (!(await fails([...best.steps.slice(0, at), ...best.steps.slice(at + size)]))) at += size;
  for (let at = 0; at < best.steps.length && left > 0; at++)
    for (const plainer of plainerSteps(best.steps[at]!)) await fails(best.steps.with(at, plainer));
  return best;
}

function* plainerSteps(step: Plan['steps'][number]): Generator<Plan['steps'][number]> {
  if (step.do === 'group') {
    if (step.fault) yield { ...step, fault: undefined };
    for (let i = step.send.length - 1; i >= 0 && step.send.length > 1; i--)
      yield { ...step, send: step.send.toSpliced(i, 1) };
    if (step.lost) yield { ...step, lost: false };
    if (step.repeat.length > 0) yield { ...step, repeat: [] };
    if (step.conflict.length > 0) yield { ...step, conflict: [] };
    if (step.resend) yield { ...step, resend: false };
  }
  if (step.do === 'read' && step.fault) yield { ...step, fault: undefined };
}
