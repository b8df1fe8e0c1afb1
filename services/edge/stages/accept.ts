import { type Encoder, encoded, GatewayError, merkleRoot, uuid7, uuidText } from '#kernel';
import type { Entry } from '#proto/eduk/bus/v1/bus';
import { Taken } from '#proto/eduk/bus/v1/bus';
import { AuditKind, type AuditRecord } from '#proto/eduk/core/v1/audit';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { events } from '#proto/events';
import { auditEvent, itemOf, MERGE_MS, recordOf } from '../audit.ts';
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
 * One transaction per group in the engine: the reference is claimed and the events appended, or neither; and with them what the log
 * of what was done says of it.
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
  const isGroup = sent[0]!.bulk || sent.length > 1;
  if (isGroup) entries.push(groupEntry(sent, now));
  // A message alone says it itself: where it is a repeat, nothing happened.
  else entries[0]!.events.push(auditEvent([itemOf(acceptedRecord(sent[0]!, now))], sent[0]!.caller.oin));
  const { outcomes } = await door.services.log.accept({ entries });
  let isWhole = true;
  for (const [i, submission] of sent.entries()) {
    const outcome = outcomes[i]!;
    if (outcome.taken === Taken.TAKEN_CONFLICT)
      submission.refused = new GatewayError('state.conflict', 'This reference was used before with other content.', {
        where: 'reference',
      });
    else if (outcome.taken === Taken.TAKEN_REPEATED) takeFirstAnswer(submission, outcome.answer, outcome.flowId);
    else continue;
    isWhole = false;
  }
  // Not all of the group was new: what it is now is said by another record, before anybody is answered.
  if (isGroup && !isWhole) {
    const of = sent.filter(({ refused }) => !refused);
    const entry = groupEntry(of.length > 0 ? of : sent, now, {
      times: of.length,
      replaces: sent[0]!.group!.receiptId,
    });
    await door.services.log.accept({ entries: [entry] });
  }
}

/** A message that was accepted, as the log of what was done has it. */
const acceptedRecord = ({ intake, caller, school, flowId, leaf }: Submission, now: number): AuditRecord =>
  recordOf({
    kind: AuditKind.AUDIT_KIND_ACCEPTED,
    atMs: BigInt(now),
    partyOin: caller.oin,
    schoolOin: school ?? '',
    method: intake.method,
    receiptId: flowId,
    content: leaf!,
    times: 1n,
  });

/** What says of a group that it was accepted: an entry beside those of its messages, in their transaction. */
function groupEntry(group: readonly Submission[], now: number, instead?: { times: number; replaces: string }): Entry {
  const { intake, caller, school, bulk, traceparent } = group[0]!;
  const flow = uuid7();
  const of = { receiptId: uuidText(flow), root: merkleRoot(group.map(({ leaf }) => leaf!)), atMs: now };
  for (const submission of group) submission.group = of;
  const record = recordOf({
    kind: AuditKind.AUDIT_KIND_ACCEPTED,
    atMs: BigInt(now),
    partyOin: caller.oin,
    // Of a group about several schools none is named.
    schoolOin: group.every((one) => one.school === school) ? (school ?? '') : '',
    method: intake.method,
    receiptId: of.receiptId,
    content: instead?.times === 0 ? new Uint8Array(0) : of.root,
    times: BigInt(instead?.times ?? group.length),
    replaces: instead?.replaces ?? '',
  });
  return {
    flowId: flow,
    partyOin: caller.oin,
    method: intake.method,
    referenceKey: new Uint8Array(0),
    digest: new Uint8Array(0),
    digestVersion: DIGEST_VERSION,
    rememberDays: intake.remember,
    events: [auditEvent([itemOf(record)], caller.oin)],
    answer: new Uint8Array(0),
    schoolOin: '',
    traceparent,
    bulk,
  };
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
      submission.bulk ? { ...kept(submission), salt: new Uint8Array(0), rememberedUntilMs: 0n } : kept(submission),
    ),
    schoolOin: school,
    traceparent: submission.traceparent,
    bulk: submission.bulk,
  };
}

const DAY_MS = 86_400_000;

/** Of a receipt, what a repeat could not find out again. */
const kept = (submission: Submission): Receipt => ({ ...receiptOf(submission), receiptId: '', mergedByMs: 0n });

export function receiptOf(submission: Submission): Receipt {
  return {
    version: 1,
    leaf: submission.leaf!,
    salt: submission.salt!,
    acceptedMs: BigInt(submission.acceptedMs!),
    rememberedUntilMs: BigInt(submission.acceptedMs! + submission.intake.remember * DAY_MS),
    receiptId: submission.flowId,
    mergedByMs: BigInt(submission.acceptedMs! + MERGE_MS),
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
