/** How much was accepted in the last hour, by minute, sender and method: gathered as flows are written, so that a question reads counts and no flows. */
import type { EngineView, Unit } from '#bus';
import type { CountFlowsResponse, FlowCount } from '#proto/eduk/flows/v1/flows';
import type { Accepted } from './scores.ts';
import { flowsTable, type MinuteRow, minutes } from './tables.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** An answer is given again for so long. */
const FRESH_MS = 800;
const PAGE = 2_000;
/** Rows that one answer may read; what came before is left out, and the answer says so. */
const MOST_READ = 40_000;
/** Rows that leave with a new one. */
const GO_AT_ONCE = 500;
/** The row that says since when minutes are counted. */
const MARK = { minute: 0, party: '', method: '', accepted: 0 } as const;
const minuteOf = (ms: number): number => ms - (ms % MINUTE_MS);

/** What a group accepted goes into the rows of its minutes, and those that are older than an hour leave. */
export function countMinutes(unit: Unit, accepted: readonly Accepted[]): void {
  const changed = new Map<string, MinuteRow>();
  let first = Number.POSITIVE_INFINITY;
  for (const { acceptedMs, party, method, times } of accepted) {
    if (acceptedMs <= unit.now - HOUR_MS) continue;
    const minute = minuteOf(acceptedMs);
    first = Math.min(first, acceptedMs);
    const name = `${minute}|${party}|${method}`;
    const row = changed.get(name) ?? { minute, party, method, accepted: 0, lastMs: 0 };
    changed.set(name, { ...row, accepted: row.accepted + times, lastMs: Math.max(row.lastMs, acceptedMs) });
  }
  let isNew = false;
  for (const { minute, party, method, accepted, lastMs } of changed.values()) {
    const before = unit.get(minutes, minute, party, method);
    if (before === undefined) isNew = true;
    unit.put(minutes, {
      minute,
      party,
      method,
      accepted: accepted + (before?.accepted ?? 0),
      lastMs: Math.max(lastMs, before?.lastMs ?? 0),
    });
  }
  if (!isNew) return;
  if (unit.get(minutes, MARK.minute, MARK.party, MARK.method) === undefined) {
    const [oldest] = unit.list(flowsTable, { equals: [], limit: 1 });
    unit.put(minutes, { ...MARK, lastMs: oldest && oldest.acceptedMs < first ? unit.now : 0 });
  }
  for (const { minute, party, method } of unit.list(minutes, { equals: [], after: afterMark, limit: GO_AT_ONCE })) {
    if (minute >= minuteOf(unit.now) - HOUR_MS) break;
    unit.remove(minutes, minute, party, method);
  }
}

const afterMark = [MARK.minute, MARK.party, MARK.method];

export class Counts {
  readonly #engine: EngineView;
  #answer: { atMs: number; response: CountFlowsResponse } | undefined;

  constructor(engine: EngineView) {
    this.#engine = engine;
  }

  count(): CountFlowsResponse {
    const now = this.#engine.now();
    if (this.#answer && Math.abs(now - this.#answer.atMs) < FRESH_MS) return this.#answer.response;
    const response = this.#fresh(now);
    this.#answer = { atMs: now, response };
    return response;
  }

  #fresh(now: number): CountFlowsResponse {
    const firstMinute = minuteOf(now) - HOUR_MS + MINUTE_MS;
    const since = this.#engine.get(minutes, MARK.minute, MARK.party, MARK.method)?.lastMs ?? 0;
    const bars = Array.from({ length: HOUR_MS / MINUTE_MS }, (_, i) => ({
      minuteMs: BigInt(firstMinute + i * MINUTE_MS),
      accepted: 0,
    }));
    const counts = new Map<string, FlowCount>();
    let coveredFrom = Math.max(firstMinute, since);
    let before: (string | number)[] | undefined;
    // Newest first: where there is more than may be read, the newest are what somebody looks at.
    for (let read = 0; ; read += PAGE) {
      const page = this.#engine.list(minutes, {
        equals: [],
        ...(before === undefined ? {} : { after: before }),
        descending: true,
        limit: PAGE,
      });
      for (const { minute, party, method, accepted, lastMs } of page) {
        if (minute < firstMinute) continue;
        // Doors are ahead by a moment.
        bars[Math.min((minute - firstMinute) / MINUTE_MS, bars.length - 1)]!.accepted += accepted;
        const name = `${party}|${method}`;
        const known = counts.get(name);
        if (known) known.accepted += accepted;
        else counts.set(name, { partyOin: party, method, accepted, lastMs: BigInt(lastMs) });
      }
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE || last.minute < firstMinute) break;
      if (read + PAGE >= MOST_READ) {
        coveredFrom = Math.max(coveredFrom, last.minute + MINUTE_MS);
        break;
      }
      before = [last.minute, last.party, last.method];
    }
    return {
      minutes: bars,
      counts: [...counts.values()].sort((a, b) => b.accepted - a.accepted),
      coveredFromMs: BigInt(coveredFrom),
    };
  }
}
