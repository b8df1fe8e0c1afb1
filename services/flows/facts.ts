/** What a record of the log says of its flow, and the flow with that: the same where rows are written and where they are made anew. */
import { decoded, type LogRecord } from '#bus';
import type { EventName } from '#proto/events';
import { type Answer, type Asked, meanings } from './events.ts';
import { type AnswerFact, type AskedFact, withAnswer, withAsked } from './flow.ts';
import type { FlowTableRow } from './tables.ts';

/** `asks`: a message was accepted; else a service decided. */
export type Fact = (AskedFact & { asks: true }) | (Omit<AnswerFact, 'to'> & { asks: false });

const meaningOf = (type: string): Asked | Answer | undefined =>
  meanings[type as EventName] as Asked | Answer | undefined;

/** Undefined = it touches no flow. */
export function factOf(record: LogRecord): Fact | undefined {
  const type = record.type as EventName;
  const meaning = meaningOf(type);
  if (meaning === undefined) return undefined;
  const { school, key, timeMs: atMs } = record;
  const event = decoded(record, type);
  if (meaning.kind === 'asked')
    return {
      asks: true,
      type,
      method: meaning.method(event),
      party: meaning.party(event),
      subject: meaning.subject(event),
      school,
      key,
      atMs,
      losses: meaning.losses?.(event) ?? [],
    };
  return {
    asks: false,
    type,
    says: meaning.says(event),
    partial: meaning.partial ?? false,
    code: meaning.code?.(event) ?? '',
    told: meaning.told?.(event) ?? '',
    school,
    key,
    atMs,
  };
}

const answers = (outcome: string, asked: EventName): boolean =>
  (meaningOf(outcome) as Answer | undefined)?.to?.includes(asked) ?? false;

/** The flow with one fact more. */
export const withFact = (flow: FlowTableRow, fact: Fact): FlowTableRow =>
  fact.asks
    ? withAsked(flow, fact, (outcome) => answers(outcome, fact.type))
    : withAnswer(flow, { ...fact, to: (meaningOf(fact.type) as Answer).to });
