import { type Encoder, encoded, GatewayError, uuidText } from '#kernel';
import type { Entry } from '#proto/eduk/bus/v1/bus';
import { Taken } from '#proto/eduk/bus/v1/bus';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { events } from '#proto/events';
import type { Door, Submission } from '../submission.ts';
import { each } from './each.ts';

/** Version of the digest of gRPC messages; a change of what is digested raises it. */
const DIGEST_VERSION = 1;

export function referenceKey(
  door: Pick<Door, 'digestKey'>,
  party: string,
  method: string,
  reference: string,
): Uint8Array {
  return door.digestKey.digest(`reference|${party}|${method}|${reference}`).subarray(0, 16);
}

/**
 * One transaction per group in the engine: the reference is claimed and the events appended, or neither.
 * Faults: state.conflict (a known reference with other content), gateway.overloaded, gateway.disk_full.
 */
export async function accept(batch: readonly Submission[], door: Door): Promise<void> {
  const now = door.clock.now();
  const entries: Entry[] = [];
  const sent: Submission[] = [];
  each(batch, (submission) => {
    entries.push(entryOf(submission, door, now));
    sent.push(submission);
  });
  if (entries.length === 0) return;
  const { outcomes } = await door.services.log.accept({ entries });
  for (const [i, submission] of sent.entries()) {
    const outcome = outcomes[i]!;
    if (outcome.taken === Taken.TAKEN_CONFLICT)
      submission.refused = new GatewayError('state.conflict', 'This reference was used before with other content.', {
        where: 'reference',
      });
    else if (outcome.taken === Taken.TAKEN_REPEATED) takeFirstAnswer(submission, outcome.answer, outcome.flowId);
  }
}

function entryOf(submission: Submission, door: Door, now: number): Entry {
  const { intake, caller, school = '', bytes, found } = submission;
  submission.acceptedMs = now;
  const { reference, made } = submission.message.reveal((request) => ({
    reference: intake.reference(request),
    made: intake.events(request, found!, {
      caller,
      nowMs: now,
      located: submission.located,
      flowId: submission.flowId,
      door,
    }),
  }));
  return {
    flowId: submission.flow,
    partyOin: caller.oin,
    method: intake.method,
    referenceKey: referenceKey(door, caller.oin, intake.method, reference),
    digest: door.digestKey.digest('content|', bytes!).subarray(0, 16),
    digestVersion: DIGEST_VERSION,
    rememberDays: intake.remember,
    events: made.map(({ name, value, key }) => ({
      stream: events[name].stream,
      type: name,
      key,
      data: encoded(events[name].codec as Encoder<unknown>, value),
    })),
    // A group's receipt is made from the leaves and times of its items, so an item needs no more than those.
    answer: encoded(
      Receipt,
      submission.bulk
        ? { ...receiptOf(submission), salt: new Uint8Array(0), rememberedUntilMs: 0n }
        : receiptOf(submission),
    ),
    schoolOin: school,
    traceparent: submission.traceparent,
    bulk: submission.bulk,
  };
}

const DAY_MS = 86_400_000;

export function receiptOf(submission: Submission): Receipt {
  return {
    version: 1,
    leaf: submission.leaf!,
    salt: submission.salt!,
    acceptedMs: BigInt(submission.acceptedMs!),
    rememberedUntilMs: BigInt(submission.acceptedMs! + submission.intake.remember * DAY_MS),
  };
}

/** A repeat is answered as the first was: same flow, same receipt. */
function takeFirstAnswer(submission: Submission, answer: Uint8Array, flow: Uint8Array): void {
  submission.repeated = true;
  submission.flow = flow;
  submission.flowId = uuidText(flow);
  const first = Receipt.decode(answer);
  submission.leaf = first.leaf;
  if (!submission.bulk) submission.salt = first.salt;
  submission.acceptedMs = Number(first.acceptedMs);
}
