import type { Decision } from '#proto/eduk/core/v1/receipt';
import type { Gate } from '../gate.ts';
import { limits } from '../limits.ts';

/** Longest that an answer waits for a decision. */
export const MAX_WAIT_MS = limits.waitMs.at;

export const undecided: Decision = { outcome: '', code: '', told: '' };

/** The first decision, when it comes within the time. */
export async function decisionOf(gate: Gate, flowId: string, waitMs: number): Promise<Decision> {
  if (waitMs <= 0) return undecided;
  const { flow } = await gate.door.services.flows.awaitDecision({
    flowId,
    waitMs: BigInt(Math.min(waitMs, MAX_WAIT_MS)),
  });
  return flow ? { outcome: flow.outcome, code: flow.code, told: flow.told } : undecided;
}
