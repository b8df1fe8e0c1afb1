/** Log lines of endpoints: one where something of one changes, seldom enough that an endpoint that comes and goes does not fill the log. */
import { log } from '#kernel';
import type { EndpointRow } from './tables.ts';

/** After a line that an endpoint fails, or keys of it park, the next of this kind waits so long. Milliseconds. */
const SELDOM_MS = 60_000;
/** Endpoints that are remembered; one that is forgotten may be told of once more. */
const MOST_KEPT = 10_000;

type State = 'up' | 'failing' | 'resting' | 'gone';
/** From well to worst: what gets worse is told at once. */
const worse: readonly State[] = ['up', 'failing', 'resting', 'gone'];

export const stateOf = ({ gone, rests, doubts }: Pick<EndpointRow, 'gone' | 'rests' | 'doubts'>): State =>
  gone ? 'gone' : rests > 0 ? 'resting' : doubts > 0 ? 'failing' : 'up';

/** What came of one call of a sender, once it is committed. */
export type Seen =
  | { before: Readonly<EndpointRow>; after: Readonly<EndpointRow> }
  | { parked: Pick<EndpointRow, 'party' | 'standard'>; code: string; status: number };

interface Told {
  /** The last state that a line told of. */
  state: State;
  /** Monotonic milliseconds: since when it fails by the lines, and of the last line of each kind. */
  sinceMs: number;
  failingMs: number;
  parkedMs: number;
  /** Keys that parked since that line. */
  parked: number;
}

/** Says who and what came back, never an address, a key or a word of the receiver: `eduk dead list` and `eduk party show` do. */
export class EndpointLines {
  readonly #now: () => number;
  readonly #told = new Map<string, Told>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  saw(all: readonly Seen[]): void {
    for (const one of all)
      if ('parked' in one) this.#parked(one.parked, one.code, one.status);
      else this.#became(one.before, one.after);
  }

  #of({ party, standard }: Pick<EndpointRow, 'party' | 'standard'>, state: State): Told {
    const name = `${party}/${standard}`;
    let told = this.#told.get(name);
    if (told === undefined) {
      if (this.#told.size >= MOST_KEPT) this.#told.clear();
      told = { state, sinceMs: this.#now(), failingMs: -Infinity, parkedMs: -Infinity, parked: 0 };
      this.#told.set(name, told);
    }
    return told;
  }

  #became(before: Readonly<EndpointRow>, after: Readonly<EndpointRow>): void {
    const state = stateOf(after);
    // What was told before a restart is taken from the row.
    const told = this.#of(after, stateOf(before));
    if (state === told.state) return;
    const now = this.#now();
    const { party: party_oin, standard, status, cause } = after;
    if (state === 'up') {
      log('info', 'endpoint_recovered', { party_oin, standard, failed_ms: Math.round(now - told.sinceMs) });
      told.state = 'up';
      return;
    }
    if (told.state === 'up') {
      // It failed and recovered a moment ago, and that was told: if it goes on failing, a later failure tells it.
      if (now - told.failingMs < SELDOM_MS) return;
      told.failingMs = now;
      told.sinceMs = now;
    } else if (worse.indexOf(state) < worse.indexOf(told.state)) return;
    told.state = state;
    log('warn', `endpoint_${state}`, { party_oin, standard, status, cause: cause || undefined });
  }

  #parked({ party, standard }: Pick<EndpointRow, 'party' | 'standard'>, code: string, status: number): void {
    const told = this.#of({ party, standard }, 'up');
    told.parked += 1;
    const now = this.#now();
    if (now - told.parkedMs < SELDOM_MS) return;
    log('warn', 'endpoint_keys_parked', { party_oin: party, standard, keys: told.parked, code, status });
    told.parkedMs = now;
    told.parked = 0;
  }
}
