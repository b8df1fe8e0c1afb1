/**
 * The inbound door, whole and in order. Every message that is written, whatever its standard, passes this list; replay
 * and redelivery enter it at a named stage. Reading (an adapter, or the decoding of a gRPC message) and authentication
 * happen before it, because they differ per transport: stages/authenticate.ts and the adapters.
 */
import { setImmediate as breath } from 'node:timers/promises';
import { asGatewayError, Clear, stopIfLate, traceparentOf, uuid7, uuidText } from '#kernel';
import type { Caller } from './caller.ts';
import { mayBeStale } from './chain.ts';
import { accept } from './stages/accept.ts';
import { admit } from './stages/admit.ts';
import { authorise } from './stages/authorise.ts';
import { check } from './stages/check.ts';
import { identify } from './stages/identify.ts';
import { locate } from './stages/locate.ts';
import { place } from './stages/place.ts';
import { read } from './stages/read.ts';
import { refusePersonalNumbers } from './stages/refuse-pgn.ts';
import type { Door, Intake, Submission } from './submission.ts';

/** A stage takes a batch and marks what it refuses; it never drops or reorders. */
export type Stage = (batch: readonly Submission[], door: Door) => void | Promise<void>;

export const stages = {
  admit,
  read,
  refusePersonalNumbers,
  locate,
  authorise,
  place,
  identify,
  check,
  accept,
} as const satisfies Record<string, Stage>;
export type StageName = keyof typeof stages;
const order = Object.keys(stages) as StageName[];
/** Stages that judge by the door's copy of parties and mandates: what they refuse they judge again where that was old. */
const asksTheCopy: ReadonlySet<StageName> = new Set(['locate', 'authorise', 'place']);
/** From this many messages on, others are let in between two stages: together the stages of such a batch take long. */
const MANY = 50;

/**
 * Takes a batch through the stages, from `from` to `to`. After `accept` each submission is accepted or `refused` is set;
 * who stops before it can still take a message whole or not at all.
 */
export async function pass(
  batch: readonly Submission[],
  door: Door,
  from: StageName = 'admit',
  to: StageName = 'accept',
): Promise<void> {
  const { telemetry } = door;
  // What was refused in an earlier part of the way was told then.
  const taken = telemetry && batch.filter(({ refused }) => refused === undefined);
  try {
    await stagesOf(batch, door, from, to);
  } finally {
    for (const one of taken ?? []) if (one.refused !== undefined || to === 'accept') telemetry!.passed(one);
  }
}

async function stagesOf(batch: readonly Submission[], door: Door, from: StageName, to: StageName): Promise<void> {
  for (const name of order.slice(order.indexOf(from), order.indexOf(to) + 1)) {
    const open = batch.some((submission) => submission.refused)
      ? batch.filter((submission) => !submission.refused)
      : batch;
    if (open.length === 0) return;
    try {
      stopIfLate();
      const done = stages[name](open, door);
      if (done) await done;
      if (asksTheCopy.has(name)) {
        const stale = open.filter((submission) => mayBeStale(submission.refused));
        if (stale.length > 0 && (await door.chain.caughtUp())) {
          for (const submission of stale) submission.refused = undefined;
          await stages[name](stale, door);
        }
      }
      if (name !== to && open.length >= MANY) await breath();
    } catch (thrown) {
      // A stage that fails as a whole fails each message it held; what was refused before keeps its own reason.
      const error = asGatewayError(thrown);
      for (const submission of open) submission.refused ??= error;
    }
  }
}

export function submit<Req>(
  intake: Intake<Req>,
  request: Req,
  caller: Caller,
  more: { bulk?: boolean; traceparent?: string } = {},
): Submission<Req> {
  const flow = uuid7();
  return {
    intake,
    caller,
    message: new Clear(request),
    bulk: more.bulk ?? false,
    traceparent: traceparentOf(more.traceparent),
    flow,
    flowId: uuidText(flow),
  };
}
