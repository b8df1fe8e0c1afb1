/** Every event that asks or answers → the row of its flow. */
import { type Consumer, decoded, type LogRecord, type TimerRow, type Unit } from '#bus';
import { uuidBytes } from '#kernel';
import { type EventName, events } from '#proto/events';
import { countMinutes } from './counts.ts';
import { type Answer, type Asked, meanings } from './events.ts';
import { begun, isRefusedOfLearner, withAnswer, withAsked } from './flow.ts';
import { addScores, gathered, score } from './scores.ts';
import { type FlowTableRow, flowsTable, refusedTable } from './tables.ts';

const DAY_MS = 86_400_000;
/** As long as references are remembered. */
const LONG_MS = 400 * DAY_MS;
const SHORT_MS = 35 * DAY_MS;
const LONG: ReadonlySet<string> = new Set(['orders', 'entitlements', 'parties']);
/** An answer in a flow that is older than this, and of which no row is left, is nobody's question any more. */
const YOUNG_MS = DAY_MS;
/** Rows a sweep looks at in one unit, and the rest between two. */
const SWEPT_AT_ONCE = 500;
const SWEEP_REST_MS = 200;
const SWEEP = 'sweep';

/** `changed` is told each flow that changes, before the commit. */
export const consumer = (changed: (flowId: string) => void): Consumer => ({
  name: 'flows',
  streams: ['parties', 'catalogue', 'rosters', 'orders', 'entitlements', 'access', 'results', 'deliveries'],
  types: Object.keys(meanings),
  handle(record, unit) {
    const meaning = meanings[record.type as EventName] as Asked | Answer | undefined;
    if (meaning === undefined) return;
    if (meaning.kind === 'asked') onAsked(record, meaning, unit);
    else if (!onAnswer(record, meaning, unit)) return;
    changed(record.flowId);
    // There is no chain without a party, so this is early enough, and costs the others nothing.
    if (record.type === 'PartyRegistered')
      unit.setTimer({ id: SWEEP, atMs: unit.now + DAY_MS, key: SWEEP, payload: '' });
  },
  onTimer: sweep,
  settle(sums, unit) {
    const { accepted, refused } = gathered(sums);
    addScores(unit, accepted, refused);
    countMinutes(unit, accepted);
  },
});

function onAsked(record: LogRecord, meaning: Asked, unit: Unit): void {
  const { flowId, type, school, key, timeMs: atMs } = record;
  const event = decoded(record, type as EventName);
  const before = unit.get(flowsTable, flowId);
  const next = withAsked(
    before ?? begun(flowId, atMs),
    {
      type: type as EventName,
      method: meaning.method(event),
      party: meaning.party(event),
      subject: meaning.subject(event),
      school,
      key,
      atMs,
      losses: meaning.losses?.(event) ?? [],
    },
    (outcome) => (meanings[outcome as EventName] as Answer | undefined)?.to.includes(type as EventName) ?? false,
  );
  save(unit, before, next);
  score(unit, laneOf(record), before, next);
}

function save(unit: Unit, before: FlowTableRow | undefined, next: FlowTableRow): void {
  unit.put(flowsTable, next);
  // Over another lane the answer may come before what names the learner.
  if (isRefusedOfLearner(next) && !(before && isRefusedOfLearner(before)))
    unit.put(refusedTable, { learner: next.key, flowId: next.flowId });
}

const laneOf = ({ stream, partition }: LogRecord): string => `${stream}/${partition}`;

function onAnswer(record: LogRecord, meaning: Answer, unit: Unit): boolean {
  const { flowId, type, school, key, timeMs: atMs } = record;
  const flow = unit.get(flowsTable, flowId);
  if (flow === undefined && (beganMs(flowId) ?? atMs) < atMs - YOUNG_MS) return false;
  const event = decoded(record, type as EventName);
  const next = withAnswer(flow ?? begun(flowId, atMs), {
    type: type as EventName,
    to: meaning.to,
    says: meaning.says(event),
    partial: meaning.partial ?? false,
    code: meaning.code?.(event) ?? '',
    told: meaning.told?.(event) ?? '',
    school,
    key,
    atMs,
  });
  save(unit, flow, next);
  score(unit, laneOf(record), flow, next);
  return true;
}

/** When a flow began, by its id; undefined when the id does not say. */
export function beganMs(flowId: string): number | undefined {
  const id = uuidBytes(flowId);
  if (id === undefined || id[6]! >> 4 !== 7) return undefined;
  const view = new DataView(id.buffer);
  return view.getUint32(0) * 2 ** 16 + view.getUint16(4);
}

/**
 * Removes flows whose reference is forgotten. Ids rise with time, so one pass a day over those older than 35 days needs no
 * index; `payload` is where it is.
 */
function sweep(timer: TimerRow, unit: Unit): void {
  const page = unit.list(flowsTable, {
    equals: [],
    ...(timer.payload === '' ? {} : { after: [timer.payload] }),
    limit: SWEPT_AT_ONCE,
  });
  let isYoung = false;
  for (const flow of page) {
    if (flow.acceptedMs > unit.now - SHORT_MS) {
      isYoung = true;
      break;
    }
    if (flow.acceptedMs > unit.now - keptMs(flow)) continue;
    unit.remove(flowsTable, flow.flowId);
    if (isRefusedOfLearner(flow)) unit.remove(refusedTable, flow.key, flow.flowId);
  }
  const ends = isYoung || page.length < SWEPT_AT_ONCE;
  unit.setTimer({
    id: SWEEP,
    atMs: unit.now + (ends ? DAY_MS : SWEEP_REST_MS),
    key: SWEEP,
    payload: ends ? '' : page.at(-1)!.flowId,
  });
}

const keptMs = ({ type, outcome }: FlowTableRow): number =>
  LONG.has(events[(type || outcome) as EventName]?.stream ?? '') ? LONG_MS : SHORT_MS;
