/** Flows made anew beside those that stand, for operators: driven from here, a short step at a time, as long as somebody follows it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { asGatewayError, newId } from '#kernel';
import type { StepRebuildResponse } from '#proto/eduk/flows/v1/flows';
import type * as op from '#proto/eduk/operator/v1/operator';
import type { Gate } from '../gate.ts';

/** After each step it rests so many times as long as the step took: where flows are read, it has a fifth of a thread at most. */
const REST = 4;
/** Well below what a run outlives without a step. */
const LONGEST_REST_MS = 5_000;
/** What is told, at most each so many milliseconds. */
const TELL_MS = 250;
/** Times it begins anew where another process, or thread, answers from now on. */
const ANEW = 3;

export async function rebuildFlows(
  call: Pick<ServerWritableStream<Buffer, unknown>, 'write' | 'cancelled' | 'once' | 'off'>,
  { mend }: op.RebuildFlowsRequest,
  { door }: Gate,
  over: AbortSignal,
): Promise<void> {
  // Read beside the state, written by it.
  const { asked, services } = door;
  const runId = newId();
  const ended = new AbortController();
  const end = (): void => ended.abort();
  call.once('cancelled', end);
  over.addEventListener('abort', end, { once: true });
  let begun = false;
  try {
    let anew = 0;
    let toldAt = Number.NEGATIVE_INFINITY;
    while (!call.cancelled && !ended.signal.aborted) {
      const began = performance.now();
      let answer: StepRebuildResponse;
      try {
        answer = await asked.flows.stepRebuild({ runId, mend, begun, stop: false });
        begun = true;
      } catch (thrown) {
        if (!begun || asGatewayError(thrown).fault !== 'state.missing' || ++anew > ANEW) throw thrown;
        begun = false;
        continue;
      }
      const { rebuild, mends } = answer;
      if (mends.length > 0) await services.flows.mendFlows({ mends });
      const now = performance.now();
      const isOver = rebuild!.state === 'done';
      if (isOver || now - toldAt > TELL_MS) {
        toldAt = now;
        call.write({ rebuild });
      }
      if (isOver) {
        begun = false;
        return;
      }
      const restMs = Math.min(LONGEST_REST_MS, (now - began) * REST);
      await sleep(restMs, undefined, { signal: ended.signal }).catch(() => undefined);
    }
    if (!call.cancelled) throw over.reason;
  } finally {
    call.off('cancelled', end);
    over.removeEventListener('abort', end);
    // Another may begin at once.
    if (begun) await asked.flows.stepRebuild({ runId, mend, begun, stop: true }).catch(() => undefined);
  }
}
