/** How much was accepted in the last hour, by minute, sender and method: rows are counted once, and kept as numbers in memory. */
import type { EngineView } from '#bus';
import type { CountFlowsResponse, FlowCount } from '#proto/eduk/flows/v1/flows';
import { flowsTable } from './tables.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** What is younger may still get rows under ids that were passed: it is counted anew each time. */
const SETTLED_MS = 3_000;
/** An answer is given again for so long. */
const FRESH_MS = 800;
const PAGE = 2_000;
/** Rows that one answer may read; what came before is left out, and the answer says so. */
const MOST_READ = 40_000;

interface Tally {
  /** By minute. */
  minutes: Map<number, Map<string, { accepted: number; lastMs: number }>>;
}

export class Counts {
  readonly #engine: EngineView;
  #settled: Tally = { minutes: new Map() };
  /** Everything before is in `#settled`. */
  #through = 0;
  #coveredFrom = 0;
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
    const settles = now - SETTLED_MS;
    if (this.#through < firstMinute || this.#through > now) {
      this.#settled = { minutes: new Map() };
      this.#through = this.#coveredFrom = firstMinute;
    }
    for (const minute of this.#settled.minutes.keys()) if (minute < firstMinute) this.#settled.minutes.delete(minute);
    const young: Tally = { minutes: new Map() };
    let read = 0;
    let before: string | undefined;
    // Newest first: where there is more than may be read, the newest are what somebody looks at.
    for (;;) {
      const page = this.#engine.list(flowsTable, {
        equals: [],
        ...(before === undefined ? {} : { after: [before] }),
        descending: true,
        limit: PAGE,
      });
      let isOld = false;
      for (const { acceptedMs, party, method } of page) {
        // Ids are made a moment before the message is accepted, at several doors.
        if (acceptedMs < this.#through - SETTLED_MS) {
          isOld = true;
          break;
        }
        if (acceptedMs < this.#through) continue;
        add(acceptedMs < settles ? this.#settled : young, acceptedMs, party, method);
      }
      read += page.length;
      if (isOld || page.length < PAGE) break;
      before = page.at(-1)!.flowId;
      if (read >= MOST_READ) {
        this.#settled.minutes = new Map(
          [...this.#settled.minutes].filter(([minute]) => minute >= minuteOf(page.at(-1)!.acceptedMs)),
        );
        this.#coveredFrom = page.at(-1)!.acceptedMs;
        break;
      }
    }
    this.#through = Math.max(this.#through, settles);
    this.#coveredFrom = Math.max(this.#coveredFrom, firstMinute);
    return answerOf([this.#settled, young], firstMinute, this.#coveredFrom);
  }
}

const minuteOf = (ms: number): number => ms - (ms % MINUTE_MS);

function add({ minutes }: Tally, atMs: number, party: string, method: string): void {
  const minute = minuteOf(atMs);
  let of = minutes.get(minute);
  if (!of) minutes.set(minute, (of = new Map()));
  const name = `${party}|${method}`;
  const cell = of.get(name);
  if (cell) {
    cell.accepted += 1;
    cell.lastMs = Math.max(cell.lastMs, atMs);
  } else of.set(name, { accepted: 1, lastMs: atMs });
}

function answerOf(tallies: readonly Tally[], firstMinute: number, coveredFrom: number): CountFlowsResponse {
  const counts = new Map<string, FlowCount>();
  const minutes = Array.from({ length: HOUR_MS / MINUTE_MS }, (_, i) => ({
    minuteMs: BigInt(firstMinute + i * MINUTE_MS),
    accepted: 0,
  }));
  for (const tally of tallies)
    for (const [minute, of] of tally.minutes)
      for (const [name, { accepted, lastMs }] of of) {
        const bar = minutes[(minute - firstMinute) / MINUTE_MS];
        if (bar) bar.accepted += accepted;
        const at = name.indexOf('|');
        const known = counts.get(name);
        if (known) {
          known.accepted += accepted;
          if (BigInt(lastMs) > known.lastMs) known.lastMs = BigInt(lastMs);
        } else
          counts.set(name, {
            partyOin: name.slice(0, at),
            method: name.slice(at + 1),
            accepted,
            lastMs: BigInt(lastMs),
          });
      }
  return {
    minutes,
    counts: [...counts.values()].sort((a, b) => b.accepted - a.accepted),
    coveredFromMs: BigInt(coveredFrom),
  };
}
