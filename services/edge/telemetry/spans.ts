/**
 * What of a flow is told as spans. A trace is a flow: its id is the flow's own, so that every process names the same trace without
 * being told, and who has a flow id finds the trace. docs/telemetry.md says which spans there are.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Link, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { traceparentOf, uuidBytes, uuidText } from '#kernel';
import type { Attempt, AttemptOutcome } from '#proto/eduk/delivery/v1/delivery';
import type { Submission } from '../submission.ts';

/** All that a span may say. What is not named here goes nowhere; values are ids and words of ours, never text of a message. */
export const attributes = [
  'eduk.flow_id',
  'eduk.method',
  'eduk.party',
  'eduk.school',
  'eduk.bulk',
  'eduk.repeated',
  'eduk.standard',
  'eduk.event',
  'eduk.attempt',
  'eduk.messages',
  'error.type',
  'http.response.status_code',
] as const;
export type AttributeName = (typeof attributes)[number];
export type Attributes = Partial<Record<AttributeName, string | number | boolean>>;

/** A span as it is told. Times in Unix milliseconds. */
export interface Span {
  traceId: string;
  spanId: string;
  parentId: string | undefined;
  name: string;
  kind: SpanKind;
  startMs: number;
  endMs: number;
  status: SpanStatusCode;
  attributes: Attributes;
  links: Link[];
}

/** Words and ids of ours; a text of any other form is left out. */
const PLAIN = /^[A-Za-z0-9_./:-]{1,96}$/;
const NAMES: ReadonlySet<string> = new Set(attributes);

export const allowed = (given: Attributes): Attributes =>
  Object.fromEntries(
    Object.entries(given).filter(
      ([name, value]) =>
        NAMES.has(name) && (typeof value === 'string' ? PLAIN.test(value) : Number.isFinite(Number(value))),
    ),
  );

export const traceIdOf = (flowId: string): string => flowId.replaceAll('-', '');

/** The same in every process: the flow, and what of it. */
const spanIdOf = (...of: string[]): string => createHash('sha256').update(of.join('|')).digest('hex').slice(0, 16);
/** The span under which all others of a flow stand: that it was accepted, or refused. */
const rootOf = (flowId: string): string => spanIdOf('flow', flowId);

/** When an id of ours was made, Unix milliseconds. */
const madeMs = (id: Uint8Array): number => {
  const view = new DataView(id.buffer, id.byteOffset, id.length);
  return view.getUint32(0) * 2 ** 16 + view.getUint16(4);
};

/** Whether this share of all flows has this one in it: the same answer everywhere. */
export function isSampled(flowId: string, share: number): boolean {
  if (share >= 1) return true;
  // The last bytes of an id are random.
  return share > 0 && Number.parseInt(flowId.slice(-12), 16) < share * 2 ** 48;
}

/** What a door did with a message: accepted it, or says why not. */
export function ofSubmission(submission: Submission, nowMs: number): Span {
  const { flowId, flow, intake, caller, school, refused, repeated, bulk, traceparent } = submission;
  const again = repeated === true;
  return {
    traceId: traceIdOf(flowId),
    // What comes again is told beside what came first.
    spanId: again ? randomBytes(8).toString('hex') : rootOf(flowId),
    parentId: again ? rootOf(flowId) : undefined,
    name: intake.method,
    kind: SpanKind.SERVER,
    startMs: again ? nowMs : Math.min(nowMs, madeMs(flow)),
    endMs: nowMs,
    status: refused ? SpanStatusCode.ERROR : SpanStatusCode.OK,
    attributes: {
      'eduk.flow_id': flowId,
      'eduk.method': intake.method,
      'eduk.party': caller.oin,
      ...(school ? { 'eduk.school': school } : {}),
      ...(bulk ? { 'eduk.bulk': true } : {}),
      ...(again ? { 'eduk.repeated': true } : {}),
      ...(refused ? { 'error.type': refused.fault } : {}),
    },
    links: linkOf(traceparent),
  };
}

/** The sender's own trace, if it told of one. */
function linkOf(traceparent: string): Link[] {
  const [, traceId, spanId, flags] = traceparentOf(traceparent).split('-');
  if (traceId === undefined) return [];
  return [{ context: { traceId, spanId: spanId!, traceFlags: Number.parseInt(flags!, 16), isRemote: true } }];
}

/**
 * What came of an attempt, for each message in it: how long it lay ready since it was decided (told with the first attempt), and the
 * request itself.
 */
export function ofAttempt(
  attempt: Attempt,
  outcome: Partial<AttemptOutcome>,
  beganMs: number,
  nowMs: number,
  sampled: (flowId: string) => boolean,
): Span[] {
  const { attemptId, partyOin, schoolOin, standard, number, rows } = attempt;
  const { result, status = 0, cause = '', code = '' } = outcome;
  // Not sent at all is told when it is.
  if (result === 'unsent') return [];
  const isTaken = result === 'answered' && status >= 200 && status < 300;
  const why = isTaken ? '' : code || cause || (status > 0 ? String(status) : 'unanswered');
  return rows
    .filter(({ flowId }) => uuidBytes(flowId) !== undefined && sampled(flowId))
    .flatMap(({ flowId, eventId, type }) => {
      const event = uuidText(eventId);
      const common = { traceId: traceIdOf(flowId), parentId: rootOf(flowId), links: [] };
      const of: Attributes = {
        'eduk.flow_id': flowId,
        'eduk.party': partyOin,
        'eduk.school': schoolOin,
        'eduk.standard': standard,
        'eduk.event': type,
      };
      const lay: Span = {
        ...common,
        spanId: spanIdOf('lay', event, partyOin, standard),
        name: 'mailbox',
        kind: SpanKind.INTERNAL,
        startMs: Math.min(beganMs, madeMs(eventId)),
        endMs: beganMs,
        status: SpanStatusCode.UNSET,
        attributes: of,
      };
      const sent: Span = {
        ...common,
        spanId: spanIdOf('sent', event, attemptId, String(number)),
        name: `deliver ${standard}`,
        kind: SpanKind.CLIENT,
        startMs: beganMs,
        endMs: nowMs,
        status: isTaken ? SpanStatusCode.OK : SpanStatusCode.ERROR,
        attributes: {
          ...of,
          'eduk.attempt': number,
          'eduk.messages': rows.length,
          ...(status > 0 ? { 'http.response.status_code': status } : {}),
          ...(why === '' ? {} : { 'error.type': why }),
        },
      };
      return number > 1 ? [sent] : [lay, sent];
    });
}

export const SAMPLED = TraceFlags.SAMPLED;
