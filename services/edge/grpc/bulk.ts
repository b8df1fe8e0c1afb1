import type { ServerDuplexStream } from '@grpc/grpc-js';
import { asGatewayError, decodedWith, GatewayError } from '#kernel';
import type { Receipt, Refusal } from '#proto/eduk/core/v1/receipt';
import { MERGE_MS } from '../audit.ts';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { pass, submit } from '../pipeline.ts';
import { LARGEST, tooLarge } from '../stages/check.ts';
import type { Intake, Submission } from '../submission.ts';
import { statusOf } from './status.ts';

/** Items of one group, which is one transaction and one answer. */
const GROUP = 200;
/** Bytes of items that are read and not yet answered; the door reads no further. */
const BUDGET = 1 << 20;
/** Groups of one stream in the pipeline at once; answers leave in order. */
const UNDER_WAY = 3;

interface Ack {
  through: bigint;
  receipt: Receipt;
  refusals: Refusal[];
}

/**
 * A bulk stream: each item has its reference; each committed group is answered by `{through, receipt, refusals}`. A
 * refused item does not end the stream; shutdown, overload and a full disk do, after a last answer for what is durable.
 */
export function serveBulk<Req>(
  call: ServerDuplexStream<Buffer, Ack>,
  intake: Intake<Req>,
  caller: Caller,
  { door, notes, turns }: Pick<Gate, 'door' | 'notes' | 'turns'>,
  /** Aborts with why the stream must end; what is under way is answered first. */
  leaving: AbortSignal,
): void {
  let group: Submission<Req>[] = [];
  let groupBytes = 0;
  let unanswered = 0;
  let index = 0n;
  let underWay = 0;
  let ended = false;
  let over = false;
  /** Faster than its party may: it is read on after a while. */
  let isResting = false;
  /** Answers that lie here because the sender does not read them: beyond a few nothing more is read of it. */
  let unread = 0;
  let last: Promise<void> = Promise.resolve();
  /** Ends when the group before is on the log, or is not and ended the stream. */
  let turn: Promise<void> = Promise.resolve();
  /** What ended the stream for what follows: nothing behind it may be taken, since its sender repeats from there. */
  let stopped: GatewayError | undefined;
  /** Schools of which something was refused because they are closed: nothing more of them is taken by this stream. */
  const closed = new Set<string>();

  /** Refuses what stands behind the first that ends the stream, in this group and those after it. */
  const stopBehind = (batch: readonly Submission[]): void => {
    for (const submission of batch) {
      if (stopped) submission.refused = stopped;
      else if (submission.refused && endsStream.has(submission.refused.fault)) stopped = submission.refused;
      // The school may be open again by now; what its sender has to repeat comes first all the same.
      else if (submission.refused?.fault === 'school.closed') closed.add(submission.school ?? '');
      else if (closed.has(submission.school ?? '')) submission.refused ??= new GatewayError('school.closed');
    }
  };

  const fail = (thrown: unknown): void => {
    if (over) return;
    over = true;
    call.emit('error', statusOf(thrown));
  };

  /** Ends the stream from outside: nothing more is read, what is under way is answered. */
  const leave = (): void => {
    if (over) return;
    const why = leaving.reason as GatewayError;
    // Nobody knows this sender any more: what is not accepted by now stays outside.
    if (why.fault === 'party.unknown') stopped ??= why;
    group = [];
    ended = true;
    call.pause();
    last = last.then(() => fail(why));
    last.catch(fail);
  };

  const flush = (): void => {
    if (group.length === 0 || over) return;
    const batch = group;
    const first = index;
    const bytes = groupBytes;
    group = [];
    groupBytes = 0;
    index += BigInt(batch.length);
    underWay++;
    rest(turns.items(caller.oin, batch.length));
    const before = turn;
    let done = () => {};
    turn = new Promise((resolve) => {
      done = resolve;
    });
    const work = (async () => {
      await pass(batch, door, 'admit', 'check');
      // What one stream sends of a key never overtakes, whichever group is quicker, and whichever has to be sent again.
      await before;
      stopBehind(batch);
      // Of a call that is over the rest is sent again too, perhaps at another door.
      if (!over) await pass(batch, door, 'accept');
      stopBehind(batch);
    })().finally(done);
    last = last.then(async () => {
      await work;
      underWay--;
      unanswered -= bytes;
      if (over) return;
      const stop = batch.findIndex(({ refused }) => refused !== undefined && endsStream.has(refused.fault));
      const answered = stop < 0 ? batch : batch.slice(0, stop);
      if (answered.length > 0) {
        unread++;
        call.write(ackOf(answered, first), () => {
          unread--;
          resume();
        });
      }
      for (const submission of answered) if (submission.refused) notes.note(submission, submission.refused);
      if (stop >= 0) return fail(batch[stop]!.refused);
      resume();
    });
    last.catch(fail);
  };

  const rest = (ms: number): void => {
    if (ms === 0 || isResting) return;
    isResting = true;
    call.pause();
    setTimeout(() => {
      isResting = false;
      resume();
    }, ms).unref();
  };

  const resume = (): void => {
    if (over || leaving.aborted) return;
    if (group.length > 0 && (group.length >= GROUP || ended || underWay === 0)) flush();
    if (ended && group.length === 0 && underWay === 0) {
      over = true;
      call.end();
    } else if (
      !ended &&
      !isResting &&
      call.isPaused() &&
      unread < UNDER_WAY &&
      unanswered < BUDGET &&
      underWay < UNDER_WAY
    )
      call.resume();
  };

  call.on('data', (bytes: Buffer) => {
    if (leaving.aborted) return;
    group.push(itemOf(bytes, intake, caller));
    groupBytes += bytes.length;
    unanswered += bytes.length;
    if (group.length >= GROUP) flush();
    // A slow sender's items do not wait for a full group.
    else if (underWay === 0 && group.length === 1) setImmediate(resume);
    if (unread >= UNDER_WAY || unanswered >= BUDGET || underWay >= UNDER_WAY) call.pause();
  });
  if (leaving.aborted) leave();
  leaving.addEventListener('abort', leave, { once: true });
  call.on('end', () => {
    ended = true;
    resume();
  });
  call.on('cancelled', () => {
    over = true; // What was accepted stays; the sender repeats the rest by reference.
  });
  call.on('error', () => {
    over = true;
  });
}

/**
 * Bytes that are no message of this type, or too many of them, are one refused item, not the end of the stream. Size is
 * judged before anything is decoded: two bytes on the wire can be an object of hundreds.
 */
function itemOf<Req>(bytes: Buffer, intake: Intake<Req>, caller: Caller): Submission<Req> {
  let why: GatewayError;
  if (bytes.length > LARGEST.bulk) why = tooLarge();
  else
    try {
      return submit(intake, decodedWith(intake.codec, bytes), caller, { bulk: true });
    } catch (thrown) {
      why = new GatewayError('wire.unreadable', undefined, { cause: thrown });
    }
  const submission = submit(intake, intake.codec.decode(new Uint8Array(0)), caller, { bulk: true });
  submission.refused = why;
  return submission;
}

const endsStream: ReadonlySet<string> = new Set([
  'gateway.overloaded',
  'gateway.stopping',
  'gateway.unavailable',
  'gateway.disk_full',
  'gateway.bug',
  'party.unknown',
]);

function ackOf(batch: readonly Submission[], first: bigint): Ack {
  const refusals: Refusal[] = [];
  let group: Submission['group'];
  let acceptedMs = 0;
  let remembered = Number.POSITIVE_INFINITY;
  for (const [i, submission] of batch.entries()) {
    if (submission.refused) {
      const { fault, told, where } = asGatewayError(submission.refused);
      refusals.push({ index: first + BigInt(i), code: fault, where: where.map((w) => w.path).join(' '), told });
    } else {
      group = submission.group;
      // Of a group that holds repeats: when all of it was accepted, and how long all of it is remembered.
      acceptedMs = Math.max(acceptedMs, submission.acceptedMs!);
      remembered = Math.min(remembered, submission.acceptedMs! + submission.intake.remember * 86_400_000);
    }
  }
  return {
    through: first + BigInt(batch.length - 1),
    receipt: {
      version: 1,
      leaf: group?.root ?? new Uint8Array(0),
      salt: new Uint8Array(0),
      acceptedMs: BigInt(acceptedMs),
      rememberedUntilMs: group ? BigInt(remembered) : 0n,
      receiptId: group?.receiptId ?? '',
      mergedByMs: group ? BigInt(group.atMs + MERGE_MS) : 0n,
    },
    refusals,
  };
}

/** Ends a stream before anything is read of it. */
export function refuseStream(call: { emit(event: 'error', error: unknown): boolean }, thrown: unknown): void {
  call.emit('error', statusOf(thrown instanceof GatewayError ? thrown : asGatewayError(thrown)));
}
