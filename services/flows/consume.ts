/** Every event that asks or answers → the row of its flow. */
import type { Consumer, LogRecord, TimerRow, Unit } from '#bus';
import { uuidBytes } from '#kernel';
import { type EventName, events } from '#proto/events';
import { countMinutes } from './counts.ts';
import { meanings } from './events.ts';
import { type Fact, factOf, withFact } from './facts.ts';
import { begun, isRefusedOfLearner } from './flow.ts';
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
    const fact = factOf(record);
    if (fact === undefined) return;
    const { flowId } = record;
    const before = unit.get(flowsTable, flowId);
    if (before === undefined && isLate(flowId, fact)) return;
    const next = withFact(before ?? begun(flowId, fact.atMs), fact);
    save(unit, before, next);
    score(unit, laneOf(record), before, next);
    changed(flowId);
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

function save(unit: Unit, before: FlowTableRow | undefined, next: FlowTableRow): void {
  unit.put(flowsTable, next);
  // Over another lane the answer may come before what names the learner.
  if (isRefusedOfLearner(next) && !(before && isRefusedOfLearner(before)))
    unit.put(refusedTable, { learner: next.key, flowId: next.flowId });
}

const laneOf = ({ stream, partition }: LogRecord): string => `${stream}/${partition}`;

/** An answer in a flow that is older than a day: where no row is left, it brings none back. */
export const isLate = (flowId: string, { asks, atMs }: Fact): boolean =>
  !asks && (beganMs(flowId) ?? atMs) < atMs - YOUNG_MS;

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

/** How long the row of a flow is kept, milliseconds. */
export const keptMs = ({ type, outcome }: FlowTableRow): number =>
  LONG.has(events[(type || outcome) as EventName]?.stream ?? '') ? LONG_MS : SHORT_MS;
