import { type Encoder, encoded, GatewayError, merkleRoot, newId, uuid7, uuidText } from '#kernel';
import { type Entry, type Outcome, Taken } from '#proto/eduk/bus/v1/bus';
import { AuditKind, type AuditRecord } from '#proto/eduk/core/v1/audit';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { events } from '#proto/events';
import { auditEvent, itemOf, MERGE_MS, recordOf } from '../audit.ts';
import type { Door, Submission } from '../submission.ts';
import { each } from './each.ts';

const NONE = new Uint8Array(0);
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

/** A message, and what the log is to take of it. */
export interface Made {
  submission: Submission;
  entry: Entry;
}

/**
 * One transaction per group in the engine: the reference is claimed and the events appended, or neither; and with them what the log
 * of what was done says of it.
 * Faults: state.conflict (a known reference with other content), gateway.overloaded, gateway.disk_full.
 */
export async function accept(batch: readonly Submission[], door: Door): Promise<void> {
  const now = door.clock.now();
  const made: Made[] = [];
  each(batch, (submission) => {
    made.push({ submission, entry: entryOf(submission, door, now) });
  });
  const first = made[0]?.submission;
  if (first === undefined) return;
  if (first.bulk || made.length > 1) await take(made, door, ofStream, first.bulk ? tagOf(made, door) : undefined);
  else {
    const { oin, actor } = first.caller;
    // What is sent in its name is said apart from what it sends itself.
    await door.together.add(actor === undefined ? oin : `${oin}|${actor}`, made[0]!, first.bytes!.length);
  }
}

/** Messages of one party that each came alone. */
export async function acceptTogether(made: readonly Made[], door: Pick<Door, 'services'>): Promise<void> {
  if (made.length > 1) return take(made, door, ofSeveral);
  const { submission, entry } = made[0]!;
  // A message alone says it itself: where it is a repeat, nothing happened.
  const record: AuditRecord = {
    ...accepted([submission], submission.acceptedMs!),
    receiptId: submission.flowId,
    content: submission.leaf!,
  };
  entry.events.push(auditEvent([itemOf(record)], submission.caller.oin));
  const { outcomes } = await door.services.log.accept({ entries: [entry] });
  settle(submission, outcomes[0]!);
}

/** Several messages of one party, with an entry beside theirs that says so; `tag`, of a stream's, by which they are known together. */
async function take(
  made: readonly Made[],
  door: Pick<Door, 'services'>,
  say: (group: readonly Submission[], now: number, receiptId?: string) => Said,
  tag?: Uint8Array,
): Promise<void> {
  const sent = made.map(({ submission }) => submission);
  const now = Math.max(...sent.map(({ acceptedMs }) => acceptedMs!));
  const said = say(sent, now);
  const which = tag && Buffer.concat([bytesOfId(said.id), tag]);
  if (which) for (const { submission, entry } of made) entry.answer = answerInGroup(submission, which);
  const entries = [...made.map(({ entry }) => entry), entryFor(said.record, sent[0]!)];
  const { outcomes } = await door.services.log.accept({ entries });
  const isNew = sent.map((submission, i) => settle(submission, outcomes[i]!));
  if (!isNew.includes(false)) return;
  // Not all of the group was new: what it is now is said by another record, before anybody is answered.
  const stands = sent.filter(({ refused }) => !refused);
  const known = which && !isNew.includes(true) ? cameBefore(sent, which) : undefined;
  let instead: AuditRecord = { ...said.record, content: NONE, times: 0n, messages: [], receiptId: '' };
  if (known?.isWhole) for (const submission of stands) submission.group = known.group;
  // That of a group of which this was said already is said again: whoever said it may have died before the log had it.
  else if (stands.length > 0)
    instead = say(stands, known?.group.atMs ?? now, ofRest(known?.group.receiptId ?? said.id)).record;
  await door.services.log.accept({ entries: [entryFor({ ...instead, replaces: said.id }, sent[0]!)] });
}

/** What became of a message; false = it did not add to the log. */
function settle(submission: Submission, { taken, answer, flowId }: Outcome): boolean {
  if (taken === Taken.TAKEN_CONFLICT)
    submission.refused = new GatewayError('state.conflict', 'This reference was used before with other content.', {
      where: 'reference',
    });
  else if (taken === Taken.TAKEN_REPEATED) takeFirstAnswer(submission, answer, flowId);
  else return true;
  return false;
}

/** A record of a group, and the id by which another record names it. */
interface Said {
  record: AuditRecord;
  id: string;
}

/** What the log of what was done says of messages of one party, whichever way they came. */
function accepted(group: readonly Submission[], now: number): AuditRecord {
  const { intake, caller, school } = group[0]!;
  return recordOf({
    kind: AuditKind.AUDIT_KIND_ACCEPTED,
    atMs: BigInt(now),
    partyOin: caller.oin,
    // Of a group about several schools, or of several kinds, none is named.
    schoolOin: group.every((one) => one.school === school) ? (school ?? '') : '',
    method: group.every((one) => one.intake.method === intake.method) ? intake.method : '',
    times: BigInt(group.length),
    actedBy: caller.actor ?? '',
  });
}

/** A group of a stream: one receipt, over the root of all. */
function ofStream(group: readonly Submission[], now: number, receiptId = newId()): Said {
  const of = { receiptId, root: merkleRoot(group.map(({ leaf }) => leaf!)), atMs: now };
  for (const submission of group) submission.group = of;
  return { record: { ...accepted(group, now), receiptId, content: of.root }, id: receiptId };
}

/** Bytes of a group's id, and of what was sent in it, by which one that comes again is known. */
const ID = 16;
const TAG = 8;
const bytesOfId = (id: string): Buffer => Buffer.from(id.replaceAll('-', ''), 'hex');

/** The same for a group that comes again as it was: references and contents, in their order. */
const tagOf = (made: readonly Made[], { digestKey }: Pick<Door, 'digestKey'>): Buffer =>
  digestKey
    .digest('group|', Buffer.concat(made.flatMap(({ entry }) => [entry.referenceKey, entry.digest])))
    .subarray(0, TAG);

/**
 * Under which receipt stands what was left of a group that held repeats or conflicts: made of the id that the whole would have had, since
 * that is what its new items were kept with. The last bit tells the two apart.
 */
const ofRest = (id: string): string => {
  const bytes = bytesOfId(id);
  bytes[ID - 1]! ^= 1;
  return uuidText(bytes);
};

/** A group of which nothing is new now, and which was sent before as it is. `isWhole`: all of it was new then. */
function cameBefore(sent: readonly Submission[], which: Buffer) {
  const tag = which.subarray(ID);
  const then = sent.filter(({ before }) => before?.subarray(ID).equals(tag));
  const first = then[0];
  if (first === undefined || !then.every(({ before }) => before!.equals(first.before!))) return undefined;
  const group = {
    receiptId: uuidText(first.before!.subarray(0, ID)),
    root: merkleRoot(then.map(({ leaf }) => leaf!)),
    atMs: first.acceptedMs!,
  };
  // An item that was in it twice was new once.
  const isWhole = then.length === sent.length && new Set(sent.map(({ flowId }) => flowId)).size === sent.length;
  return { group, isWhole };
}

/**
 * What a repeat of an item of a stream is answered by. A group's receipt is made from the leaves and times of its items; in the place of
 * a salt stands which group that was.
 */
const answerInGroup = (submission: Submission, which: Uint8Array): Uint8Array =>
  encoded(Receipt, { ...kept(submission), salt: which, rememberedUntilMs: 0n });

/** Messages that came alone: each has a receipt, under which it is found; a repeat, where it was accepted first. */
function ofSeveral(group: readonly Submission[], now: number): Said {
  const fresh = group.filter(({ repeated }) => !repeated);
  const record = { ...accepted(group, now), times: BigInt(fresh.length) };
  const messages = fresh.map(({ flowId, leaf, school = '', intake }) => ({
    receiptId: flowId,
    content: leaf!,
    schoolOin: record.schoolOin === '' ? school : '',
    method: record.method === '' ? intake.method : '',
  }));
  return { record: { ...record, messages }, id: group[0]!.flowId };
}

/** What has the log take a record by itself. */
const entryFor = (record: AuditRecord, { intake, caller, bulk, traceparent }: Submission): Entry => ({
  flowId: uuid7(),
  partyOin: caller.oin,
  method: intake.method,
  referenceKey: NONE,
  digest: NONE,
  digestVersion: DIGEST_VERSION,
  rememberDays: intake.remember,
  events: [auditEvent([itemOf(record)], caller.oin)],
  answer: NONE,
  schoolOin: '',
  traceparent,
  bulk,
});

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
    // Of an item of a stream it follows once its group is known.
    answer: submission.bulk ? NONE : encoded(Receipt, kept(submission)),
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
  if (submission.bulk) submission.before = Buffer.from(first.salt);
  else submission.salt = first.salt;
  submission.acceptedMs = Number(first.acceptedMs);
}
