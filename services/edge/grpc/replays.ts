/** Sending mail of a party again: counted first, then begun, followed, and stopped. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { GatewayError, isPartyOin, newId } from '#kernel';
import type { ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import type { ReplaySelection } from '#proto/eduk/events/v1/deliveries';
import type * as op from '#proto/eduk/operator/v1/operator';
import { type Caller, operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import {
  checkKinds,
  checkPace,
  checkTimes,
  ERRORS,
  previewReplay,
  RATE,
  runReplay,
  stopReplay,
} from '../intake/replays.ts';
import { requireKnown } from '../reads/known.ts';
import { kinds } from '../reconcile/index.ts';
import { SCHOOL_UNKNOWN } from '../stages/authorise.ts';
import { decisionOf } from './decision.ts';
import { personOf } from './merges.ts';
import { take } from './writes.ts';

const WAIT_MS = 10_000;
/** How often a replay that is watched is looked at. */
const LOOK_MS = 250;
const OVER: ReadonlySet<string> = new Set(['counted', 'asked', 'waiting', 'done', 'stopped', 'replaced', 'expired']);

const invalid = (told: string, where: string): GatewayError => new GatewayError('wire.invalid', told, { where });

async function jobNamed({ door }: Gate, jobId: string): Promise<ReplayJob> {
  if (jobId === '') throw invalid('Name the replay.', 'job_id');
  const { replays } = await door.services.delivery.listReplays({ partyOin: '', jobId });
  if (!replays[0]) throw new GatewayError('state.missing', 'No replay has this id.', { where: 'job_id' });
  return replays[0];
}

/** Of one decision: how the replay stands behind it. */
async function decided(gate: Gate, flowId: string, jobId: string) {
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  return { replay: await jobNamed(gate, jobId), flowId, decision };
}

/** Of what a reconciliation found, all that tells how such a thing stands is sent, also what the party once took: it says that it lacks it. */
const reconciledOf = (given: ReplaySelection): ReplaySelection => {
  const kind = Object.hasOwn(kinds, given.reconciled) ? kinds[given.reconciled] : undefined;
  return kind ? { ...given, service: kind.service, types: [...kind.events], again: true } : given;
};

export const replayUnary = {
  previewReplay: async (request: op.PreviewReplayRequest, gate: Gate): Promise<op.PreviewReplayResponse> => {
    const selection = request.selection && reconciledOf(request.selection);
    if (!selection || !isPartyOin(selection.partyOin)) throw invalid('This is not an OIN.', 'selection.party_oin');
    if (!gate.door.chain.party(selection.partyOin))
      throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'selection.party_oin' });
    checkKinds(selection.types, 'selection.types');
    checkTimes(selection, 'selection.until_ms');
    const { reconciled } = selection;
    if (reconciled !== '' && !Object.hasOwn(kinds, reconciled))
      throw invalid('Nothing of this kind is compared.', 'selection.reconciled');
    if (reconciled !== '' && selection.schoolOin === '') throw invalid('Name the school.', 'selection.school_oin');
    await gate.door.chain.afresh(() => {
      if (selection.schoolOin !== '' && !gate.door.chain.knowsSchool(selection.schoolOin))
        throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'selection.school_oin' });
    });
    const jobId = newId();
    const { flowId } = await take(
      previewReplay(selection.partyOin, { jobId, selection }),
      { ...request, selection },
      operator,
      gate,
    );
    return { jobId, flowId, decision: await decisionOf(gate, flowId, WAIT_MS) };
  },
  runReplay: async (request: op.RunReplayRequest, gate: Gate, caller: Caller): Promise<op.RunReplayResponse> => {
    const { jobId, rate, mostErrors = ERRORS, confirm } = request;
    checkPace(rate, mostErrors);
    const { selection } = await jobNamed(gate, jobId);
    const byPerson = personOf(caller);
    const order = {
      jobId,
      rate: rate || RATE,
      mostErrors,
      secondAbove: gate.replaySecondAbove,
      byPerson,
      confirmed: byPerson === '' && confirm,
    };
    const { flowId } = await take(runReplay(selection!.partyOin, order), request, operator, gate);
    return decided(gate, flowId, jobId);
  },
  stopReplay: async (request: op.StopReplayRequest, gate: Gate): Promise<op.StopReplayResponse> => {
    const { jobId } = request;
    const { selection } = await jobNamed(gate, jobId);
    const { flowId } = await take(stopReplay(selection!.partyOin, { jobId }), request, operator, gate);
    return decided(gate, flowId, jobId);
  },
  listReplays: async (request: op.ListReplaysRequest, { door }: Gate): Promise<op.ListReplaysResponse> => {
    const { replays } = await door.services.delivery.listReplays(request);
    if (replays.length === 0) await requireKnown({ door }, { partyOin: request.partyOin, schoolOin: '' });
    const named = new Set(replays.flatMap(({ selection }) => [selection!.partyOin, selection!.schoolOin]));
    const names = [...named].flatMap((oin) => {
      const name = door.chain.party(oin)?.name;
      return name ? [{ oin, name }] : [];
    });
    return { replays, names };
  },
};

/** Tells of a replay where it changed, until it is counted, waits for somebody, or is over. */
export async function watchReplay(
  call: ServerWritableStream<Buffer, unknown>,
  { jobId }: op.WatchReplayRequest,
  gate: Gate,
  over: AbortSignal,
): Promise<void> {
  let told = '';
  while (!call.cancelled && !over.aborted) {
    const replay = await jobNamed(gate, jobId);
    const now = JSON.stringify(replay, (_key, value) => (typeof value === 'bigint' ? String(value) : value));
    if (now !== told) {
      told = now;
      // Who reads slower than it changes gets the newest afterwards, not all that was between.
      if (!call.write({ replay }))
        await new Promise<void>((resolve) => {
          call.once('drain', resolve);
          call.once('cancelled', resolve);
          over.addEventListener('abort', () => resolve(), { once: true });
        });
    }
    // What left before it was stopped may still be answered.
    if (OVER.has(replay.state) && replay.underWay === 0n) return;
    await sleep(LOOK_MS);
  }
  if (!call.cancelled) throw over.reason;
}
