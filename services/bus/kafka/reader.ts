import { ranges } from './admin.ts';
import { type Cluster, restMs } from './cluster.ts';
import { answered, OFFSET_OUT_OF_RANGE } from './codes.ts';
import { KafkaError, type KafkaReader, type Lane, type ReaderOptions } from './port.ts';
import type { FetchedLane, Link } from './wire.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const LANE_MAX_BYTES = 1024 * 1024;
const MAX_WAIT_MS = 500;
/** Shortest wait of a fetch that leaves out lanes whose handlers are open. */
const LEAST_WAIT_MS = 2;
/** A lane without a leader is looked at again after this. */
const LEADERLESS_MS = 100;

interface LaneState {
  readonly lane: Lane;
  /** Next offset to be handed; undefined = the earliest, which is not known yet. */
  offset: bigint | undefined;
  /** The start was `earliest` and nothing was handed yet: then another earliest is no gap. */
  fromEarliest: boolean;
  /** Raised by `seek`: what was asked for before is not handed. */
  epoch: number;
  /** Since when a handler is open, monotonic milliseconds as all times here that are not told; 0 = none is. */
  busyMs: number;
  paused: boolean;
  gap: boolean;
  leader: number;
  /** Not before this time, after something failed. */
  restsUntilMs: number;
  tries: number;
  /** Unix milliseconds. */
  failsSinceMs: number;
}

/** One loop a leader: one fetch at a time over the lanes that have nothing open, then their handlers, each by itself. */
export class Reader implements KafkaReader {
  readonly #cluster: Cluster;
  readonly #options: Required<Omit<ReaderOptions, 'onTrouble'>> & Pick<ReaderOptions, 'onTrouble'>;
  readonly #lanes = new Map<string, LaneState>();
  readonly #loops = new Map<number, { wake: () => void; done: Promise<void> }>();
  #leading: Promise<void>;
  #wakeLeading: () => void = () => {};
  #turn = 0;

  constructor(cluster: Cluster, options: ReaderOptions) {
    this.#cluster = cluster;
    this.#options = { maxBytes: MAX_BYTES, laneMaxBytes: LANE_MAX_BYTES, maxWaitMs: MAX_WAIT_MS, ...options };
    for (const { topic, partition, offset } of options.lanes) {
      this.#lanes.set(keyOf({ topic, partition }), {
        lane: { topic, partition },
        offset: offset === 'earliest' ? undefined : offset,
        fromEarliest: offset === 'earliest',
        epoch: 0,
        busyMs: 0,
        paused: false,
        gap: false,
        leader: -1,
        restsUntilMs: 0,
        tries: 0,
        failsSinceMs: 0,
      });
    }
    this.#leading = this.#lead();
  }

  seek(lane: Lane, offset: bigint | 'earliest'): void {
    const state = this.#state(lane);
    state.epoch++;
    state.offset = offset === 'earliest' ? undefined : offset;
    state.fromEarliest = offset === 'earliest';
    state.gap = false;
    state.restsUntilMs = 0;
    this.#wake(state);
  }

  pause(lane: Lane): void {
    this.#state(lane).paused = true;
  }

  resume(lane: Lane): void {
    const state = this.#state(lane);
    state.paused = false;
    this.#wake(state);
  }

  position(lane: Lane): bigint | undefined {
    return this.#state(lane).offset;
  }

  async close(): Promise<void> {
    const closing = this.#cluster.close();
    this.#wakeLeading();
    for (const { wake } of this.#loops.values()) wake();
    await this.#leading;
    await Promise.all([...this.#loops.values()].map(({ done }) => done));
    await closing;
  }

  #state(lane: Lane): LaneState {
    const state = this.#lanes.get(keyOf(lane));
    if (state === undefined)
      throw new KafkaError('DRIVER', `lane ${keyOf(lane)} is not of this reader`, { retriable: false });
    return state;
  }

  #wake({ leader }: LaneState): void {
    this.#loops.get(leader)?.wake();
  }

  /** Finds leaders for lanes that have none, and starts a loop for each leader. */
  async #lead(): Promise<void> {
    while (!this.#cluster.closed) {
      const now = performance.now();
      const leaderless = [...this.#lanes.values()].filter(({ leader }) => leader < 0);
      const due = leaderless.filter(({ restsUntilMs }) => restsUntilMs <= now);
      await Promise.all(
        due.map(async (state) => {
          try {
            state.leader = await this.#cluster.leader(state.lane);
            if (state.leader < 0) throw answered(5, keyOf(state.lane));
          } catch (error) {
            this.#cluster.stale([state.lane.topic]);
            this.#trouble(state, error as KafkaError);
          }
        }),
      );
      // Once all are known: the first fetch is to hold all lanes that it can.
      for (const { leader } of due) {
        if (leader < 0 || this.#cluster.closed) continue;
        const loop = this.#loops.get(leader);
        if (loop) loop.wake();
        else this.#start(leader);
      }
      const rests = [...this.#lanes.values()]
        .filter(({ leader }) => leader < 0)
        .map(({ restsUntilMs }) => restsUntilMs - performance.now());
      await this.#sleep(Math.max(LEAST_WAIT_MS, Math.min(...rests)), (wake) => {
        this.#wakeLeading = wake;
      });
    }
  }

  #start(leader: number): void {
    const loop = { wake: () => {}, done: Promise.resolve() };
    this.#loops.set(leader, loop);
    loop.done = this.#loop(leader, loop);
  }

  async #loop(leader: number, loop: { wake: () => void }): Promise<void> {
    while (!this.#cluster.closed) {
      const led = [...this.#lanes.values()].filter((state) => state.leader === leader);
      if (led.length === 0) break;
      const now = performance.now();
      const free = led.filter(({ busyMs, paused, gap }) => busyMs === 0 && !paused && !gap);
      const ready = free.filter(({ restsUntilMs }) => restsUntilMs <= now);
      if (ready.length === 0) {
        // Infinity = until a handler ends, or somebody calls.
        await this.#sleep(Math.min(...free.map(({ restsUntilMs }) => restsUntilMs - now)), (wake) => {
          loop.wake = wake;
        });
        continue;
      }
      try {
        const link = await this.#cluster.link(leader);
        await this.#resolveEarliest(link, ready);
        const asked = ready.filter(({ offset }) => offset !== undefined);
        if (asked.length === 0) continue;
        await this.#fetch(link, asked, led);
      } catch (error) {
        if (this.#cluster.closed) break;
        const failed = error as KafkaError;
        this.#cluster.stale(new Set(ready.map(({ lane }) => lane.topic)));
        let first = true;
        for (const state of ready) {
          this.#trouble(state, failed, first ? 'broker' : 'quiet');
          first = false;
          // The leader may be another by now.
          state.leader = -1;
        }
        this.#wakeLeading();
      }
    }
    // In the same turn as it ends: nobody is to wake a loop that no longer listens.
    this.#loops.delete(leader);
  }

  async #resolveEarliest(link: Link, ready: readonly LaneState[]): Promise<void> {
    const unknown = ready.filter(({ offset }) => offset === undefined);
    if (unknown.length === 0) return;
    const epochs = unknown.map(({ epoch }) => epoch);
    const said = await this.#cluster.ask(
      link,
      link.offsets(
        unknown.map(({ lane }) => lane),
        'earliest',
      ),
    );
    for (const { topic, partition, code, offset } of said) {
      const at = unknown.findIndex(({ lane }) => lane.topic === topic && lane.partition === partition);
      const state = unknown[at];
      if (state === undefined || state.epoch !== epochs[at]) continue;
      if (code === 0) state.offset = offset;
      else this.#lost(state, code);
    }
  }

  async #fetch(link: Link, asked: readonly LaneState[], led: readonly LaneState[]): Promise<void> {
    // Another lane first each time: only the first is sure to get a batch that is larger than the bounds.
    const turn = this.#turn++ % asked.length;
    const order = [...asked.slice(turn), ...asked.slice(0, turn)];
    const epochs = new Map(order.map((state) => [state, state.epoch]));
    const { maxBytes, laneMaxBytes, maxWaitMs } = this.#options;
    const said = await this.#cluster.ask(
      link,
      link.fetch({
        lanes: order.map(({ lane, offset }) => ({ ...lane, offset: offset! })),
        maxBytes,
        laneMaxBytes,
        maxWaitMs: waitMs(led, maxWaitMs),
      }),
    );
    const gone: LaneState[] = [];
    for (const answer of said) {
      if (this.#cluster.closed) return;
      const state = this.#lanes.get(keyOf(answer));
      if (state === undefined || state.epoch !== epochs.get(state) || state.paused) continue;
      if (answer.code === OFFSET_OUT_OF_RANGE) gone.push(state);
      else if (answer.code !== 0) this.#lost(state, answer.code);
      else this.#hand(state, answer);
    }
    for (const state of gone) await this.#outOfRange(state);
  }

  #hand(state: LaneState, { records, next, end }: FetchedLane): void {
    state.tries = 0;
    state.failsSinceMs = 0;
    if (next === undefined || next <= state.offset!) return;
    const first = records.findIndex(({ offset }) => offset >= state.offset!);
    if (first < 0) {
      // Only what nobody wants, such as marks of transactions.
      state.offset = next;
      return;
    }
    const { epoch } = state;
    const done = () => {
      if (state.epoch !== epoch) return;
      state.offset = next;
      state.fromEarliest = false;
    };
    const failed = (cause: unknown) => {
      if (this.#cluster.closed || state.epoch !== epoch) return;
      this.#trouble(
        state,
        new KafkaError('HANDLER', `the handler of ${keyOf(state.lane)} failed`, { retriable: true, cause }),
      );
    };
    try {
      const handled = this.#options.onRecords(state.lane, first === 0 ? records : records.slice(first), end);
      if (handled === undefined) done();
      else {
        state.busyMs = performance.now();
        handled.then(done, failed).finally(() => {
          state.busyMs = 0;
          this.#wake(state);
        });
      }
    } catch (error) {
      failed(error);
    }
  }

  /** Tells of a gap; never heals it. */
  async #outOfRange(state: LaneState): Promise<void> {
    const { epoch, offset } = state;
    // It may have come from a broker that no longer leads, and does not know.
    await this.#cluster.refresh([state.lane.topic]);
    const [range] = await ranges(this.#cluster, [state.lane]);
    if (this.#cluster.closed || state.epoch !== epoch || range === undefined) return;
    if (state.fromEarliest) {
      state.offset = undefined;
      return;
    }
    if (offset! >= range.earliest && offset! <= range.end) {
      // Another leader knows the offset, or will in a moment.
      this.#lost(state, OFFSET_OUT_OF_RANGE);
      return;
    }
    state.gap = true;
    this.#options.onGap({ ...state.lane, asked: offset!, earliest: range.earliest, end: range.end });
  }

  /** A lane whose leader has changed, or cannot answer. */
  #lost(state: LaneState, code: number): void {
    this.#cluster.stale([state.lane.topic]);
    this.#trouble(state, answered(code, keyOf(state.lane)));
    state.leader = -1;
    this.#wakeLeading();
  }

  #trouble(state: LaneState, error: KafkaError, of: 'lane' | 'broker' | 'quiet' = 'lane'): void {
    if (this.#cluster.closed) return;
    state.failsSinceMs ||= Date.now();
    state.restsUntilMs = performance.now() + Math.max(state.leader < 0 ? LEADERLESS_MS : 0, restMs(state.tries++));
    if (of !== 'quiet')
      this.#options.onTrouble?.({ ...(of === 'lane' && { lane: state.lane }), error, sinceMs: state.failsSinceMs });
  }

  /** Until the time is over, or the function given to `expose` is called; not at all once closed. */
  #sleep(ms: number, expose: (wake: () => void) => void): Promise<void> {
    if (this.#cluster.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = Number.isFinite(ms) ? setTimeout(resolve, ms) : undefined;
      expose(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

const keyOf = ({ topic, partition }: Lane): string => `${topic}/${partition}`;

/**
 * A lane whose handler is open is not in the fetch, and must wait for the fetch to return once it is done. So a fetch waits at
 * most as long as the youngest handler has been open: a lane loses no more time than it used itself.
 */
function waitMs(led: readonly LaneState[], maxWaitMs: number): number {
  const now = performance.now();
  let wait = maxWaitMs;
  for (const { busyMs } of led) if (busyMs > 0) wait = Math.min(wait, Math.max(LEAST_WAIT_MS, now - busyMs));
  return Math.round(wait);
}
