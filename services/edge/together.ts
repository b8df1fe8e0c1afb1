/**
 * Messages that come alone, on their way to the log: those of one party that get here in one turn of the event loop are accepted by one
 * call, with one record of what was done. Alone each would need an event and a leaf of its own for that.
 */
import {
  asGatewayError,
  callerGone,
  type GatewayError,
  Gone,
  lateness,
  timeLeft,
  tooLate,
  unhurried,
  within,
} from '#kernel';

/** What is accepted together at most: messages, and bytes of them. */
const MOST = 100;
const MOST_BYTES = 1 << 18;

/** One that waits. */
interface One<T> {
  what: T;
  isLate: (() => boolean) | undefined;
  /** Monotonic milliseconds. */
  until: number;
  gone: Gone | undefined;
  done(): void;
  failed(error: GatewayError): void;
}

export class Together<T> {
  /** Takes what one party sent, and resolves when all of it is answered for; rejects with what failed it as a whole. */
  readonly #take: (these: readonly T[]) => Promise<void>;
  readonly #waiting = new Map<string, { ones: One<T>[]; bytes: number }>();
  #isDue = false;

  constructor(take: (these: readonly T[]) => Promise<void>) {
    this.#take = take;
  }

  /** Rejects with `gateway.late` once its caller leaves; what was begun for others too then goes on without it. */
  add(party: string, what: T, bytes: number): Promise<void> {
    const gone = callerGone();
    const left = timeLeft();
    return new Promise((resolve, reject) => {
      const stays = gone?.onGone(() => reject(tooLate()));
      const one: One<T> = {
        what,
        isLate: lateness(),
        until: left === undefined ? Number.POSITIVE_INFINITY : performance.now() + left,
        gone,
        done() {
          stays?.();
          resolve();
        },
        failed(error) {
          stays?.();
          reject(error);
        },
      };
      const known = this.#waiting.get(party);
      if (known && known.ones.length < MOST && known.bytes + bytes <= MOST_BYTES) {
        known.ones.push(one);
        known.bytes += bytes;
      } else {
        if (known) {
          this.#waiting.delete(party);
          void this.#send(known.ones);
        }
        this.#waiting.set(party, { ones: [one], bytes });
      }
      if (this.#isDue) return;
      this.#isDue = true;
      unhurried(() => setImmediate(() => this.#flush()));
    });
  }

  #flush(): void {
    this.#isDue = false;
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { ones } of all) void this.#send(ones);
  }

  async #send(all: readonly One<T>[]): Promise<void> {
    const ones = all.filter((one) => {
      if (!one.isLate?.()) return true;
      one.failed(tooLate());
      return false;
    });
    if (ones.length === 0) return;
    try {
      // For all of them, and not for whose turn it happens to be.
      await unhurried(() => within(longest(ones), () => this.#take(ones.map(({ what }) => what)), allGone(ones)));
      for (const one of ones) one.done();
    } catch (thrown) {
      for (const one of ones) one.failed(asGatewayError(thrown));
    }
  }
}

const longest = (ones: readonly One<unknown>[]): number | undefined => {
  const until = Math.max(...ones.map((one) => one.until));
  return until === Number.POSITIVE_INFINITY ? undefined : until - performance.now();
};

/** Leaves once all have left; undefined where somebody waits of whom nobody would say so. */
function allGone(ones: readonly One<unknown>[]): Gone | undefined {
  if (ones.length === 1) return ones[0]!.gone;
  if (ones.some(({ gone }) => gone === undefined)) return undefined;
  const all = new Gone();
  let left = ones.length;
  for (const { gone } of ones)
    gone!.onGone(() => {
      left -= 1;
      if (left === 0) all.leave();
    });
  return all;
}
