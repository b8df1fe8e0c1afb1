import { asGatewayError, GatewayError } from '#kernel';
import { type Caller, whoCalls } from '../caller.ts';
import { limits } from '../limits.ts';

/** What a stream of either direction is here. */
interface Call {
  readonly cancelled: boolean;
  once(event: 'cancelled' | 'close' | 'finish' | 'error', then: () => void): unknown;
}

interface Open {
  call: Call;
  caller: Caller;
  over: AbortController;
  again: () => Promise<Caller>;
}

/**
 * Streams that are open, and why one must end: its credential does not stand any more, its connection has its age, the
 * gateway stops. Each ends itself, after what is under way in it.
 */
export class Streams {
  readonly #open = new Set<Open>();
  readonly #byParty = new Map<string, number>();
  readonly #most: number;
  readonly #timer: NodeJS.Timeout;
  #isChecking = false;

  constructor(everyMs: number = limits.recheck.at, most: number = limits.openStreams.at) {
    this.#most = most;
    this.#timer = setInterval(() => void this.#check(), everyMs);
    this.#timer.unref();
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * Notes a stream of a party until it ends. `again` finds out who calls, as at its beginning. The signal aborts with the
   * `GatewayError` to end it with. Faults: gateway.overloaded.
   */
  add(
    call: Call,
    caller: Caller,
    again: () => Promise<Caller>,
    ends: readonly (AbortSignal | undefined)[],
  ): AbortSignal {
    const oin = whoCalls(caller);
    const had = this.#byParty.get(oin) ?? 0;
    if (had >= this.#most)
      throw new GatewayError('gateway.overloaded', 'Too many streams of this party are open.', { retryAfterS: 5 });
    this.#byParty.set(oin, had + 1);
    const over = new AbortController();
    const one: Open = { call, caller, over, again };
    this.#open.add(one);
    const [closing, leaving] = ends;
    const stops = () => over.abort(new GatewayError('gateway.stopping', undefined, { retryAfterS: 5 }));
    const leaves = () =>
      over.abort(
        new GatewayError('gateway.unavailable', 'This connection is old; go on over another.', { retryAfterS: 1 }),
      );
    if (closing?.aborted) stops();
    if (leaving?.aborted) leaves();
    closing?.addEventListener('abort', stops, { once: true });
    leaving?.addEventListener('abort', leaves, { once: true });
    const gone = () => {
      if (!this.#open.delete(one)) return;
      closing?.removeEventListener('abort', stops);
      leaving?.removeEventListener('abort', leaves);
      const left = this.#byParty.get(oin)! - 1;
      if (left === 0) this.#byParty.delete(oin);
      else this.#byParty.set(oin, left);
      over.abort(new GatewayError('gateway.unavailable'));
    };
    for (const event of ['cancelled', 'close', 'finish', 'error'] as const) call.once(event, gone);
    if (call.cancelled) gone();
    return over.signal;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    // At once: where many expire together, they share one look at whether the door's copy is old.
    await Promise.all(
      [...this.#open].map(async ({ call, caller, over, again }) => {
        if (over.signal.aborted || call.cancelled) return;
        try {
          const now = await again();
          const { oin, roles } = now;
          if (oin !== caller.oin || now.actor !== caller.actor) over.abort(new GatewayError('party.unknown'));
          else if (!isSame(roles, caller.roles))
            // What it carries is judged by those of its beginning; of the next one by those of now.
            over.abort(
              new GatewayError('gateway.unavailable', 'Your roles were changed; begin anew.', { retryAfterS: 1 }),
            );
        } catch (thrown) {
          const error = asGatewayError(thrown);
          // Where it cannot be found out now, the copy of the parties is too old: what is sent is judged by that itself.
          // Who acts for a school does so as long as its mandate says.
          if (error.fault === 'party.unknown' || (caller.actor !== undefined && error.fault.startsWith('mandate.')))
            over.abort(error);
        }
      }),
    );
    this.#isChecking = false;
  }
}

const isSame = <T>(some: ReadonlySet<T>, others: ReadonlySet<T>): boolean =>
  some.size === others.size && [...some].every((one) => others.has(one));
