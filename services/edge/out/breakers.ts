/**
 * Between an answer that says that an endpoint takes nothing and the commit that puts it to rest, others that were claimed before
 * are still on their way to it. A circuit breaker for each endpoint with attempts under way keeps those back. What counts is the
 * endpoint's row: a breaker begins as the row says, is half open where the row has it tried with one request, and goes with the last
 * attempt. So it costs nothing where no mail waits, and nothing is lost with this process.
 */
import { EventEmitter } from 'node:events';
import CircuitBreaker from 'opossum';
import type { Attempt } from '#proto/eduk/delivery/v1/delivery';

/** How long it stays open by itself: by then the row rests. Milliseconds. */
const OPEN_MS = 1_000;
const ROTATE_MS = 1_000;

/** What came of a request, as far as a breaker cares. */
interface Told {
  status?: number | undefined;
  cause?: string | undefined;
  reach?: string | undefined;
}

/** Statuses, and causes of none, by which nobody is there; of the others the row decides. */
const NOBODY = new Set([502, 503, 504]);
const UNREACHED = new Set(['refused', 'unknown_host', 'address', 'tls']);

/** An answer in the shape in which a breaker knows failures. */
class Sick extends Error {
  readonly told: Told;
  constructor(told: Told) {
    super('the endpoint takes nothing now');
    this.told = told;
  }
}

type Breaker = CircuitBreaker<[() => Promise<Told>], Told>;

export type Circuit = Pick<Attempt, 'partyOin' | 'standard' | 'trial'>;
const nameOf = ({ partyOin, standard }: Circuit): string => `${partyOin}/${standard}`;

export class Breakers {
  readonly #known = new Map<string, { breaker: Breaker; under: number }>();
  /** One clock for all of them. */
  readonly #rotate = new EventEmitter().setMaxListeners(0);
  readonly #timer = setInterval(() => this.#rotate.emit('rotate'), ROTATE_MS).unref();

  /** Breakers that there are. */
  get size(): number {
    return this.#known.size;
  }

  /** An attempt begins; call the answer when it is over. */
  enter(attempt: Circuit): () => void {
    const name = nameOf(attempt);
    let one = this.#known.get(name);
    if (one === undefined || attempt.trial) {
      one?.breaker.shutdown();
      one = { breaker: this.#made(name, attempt.trial), under: one?.under ?? 0 };
      this.#known.set(name, one);
    }
    one.under += 1;
    return () => {
      const now = this.#known.get(name);
      if (now === undefined) return;
      now.under -= 1;
      this.#let(name);
    };
  }

  /** Makes a request, unless its endpoint showed a moment ago that it takes none: then undefined, and nothing was sent. */
  async through<T extends Told>(attempt: Circuit, request: () => Promise<T>): Promise<T | undefined> {
    const breaker = this.#known.get(nameOf(attempt))?.breaker;
    if (breaker === undefined) return request();
    try {
      return (await breaker.fire(request)) as T;
    } catch (thrown) {
      if (thrown instanceof Sick) return thrown.told as T;
      if (thrown instanceof Error && CircuitBreaker.isOurError(thrown)) return undefined;
      throw thrown;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { breaker } of this.#known.values()) breaker.shutdown();
    this.#known.clear();
  }

  #made(name: string, isTrial: boolean): Breaker {
    const breaker: Breaker = new CircuitBreaker(
      async (request: () => Promise<Told>) => {
        const told = await request();
        if (isSick(told)) throw new Sick(told);
        return told;
      },
      {
        name,
        // Requests have their own.
        timeout: false,
        resetTimeout: OPEN_MS,
        // One such answer is enough, and what we could not do ourselves is none.
        errorThresholdPercentage: 0,
        errorFilter: (thrown: unknown) => !(thrown instanceof Sick),
        rollingPercentilesEnabled: false,
        enableSnapshots: false,
        rotateBucketController: this.#rotate,
        ...(isTrial ? { state: HALF_OPEN } : {}),
      },
    );
    breaker.on('halfOpen', () => this.#let(name));
    return breaker;
  }

  /** Nothing is under way to it and it keeps nothing back: the row knows the rest. */
  #let(name: string): void {
    const one = this.#known.get(name);
    if (one === undefined || one.under > 0 || one.breaker.opened) return;
    one.breaker.shutdown();
    this.#known.delete(name);
  }
}

const HALF_OPEN = { enabled: true, closed: false, open: false, halfOpen: true, warmUp: false, shutdown: false };

const isSick = ({ status = 0, cause = '', reach = '' }: Told): boolean =>
  reach === '' ? NOBODY.has(status) || (status === 0 && UNREACHED.has(cause)) : reach === 'endpoint' && status !== 429;
