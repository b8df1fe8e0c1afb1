import { AsyncResource } from 'node:async_hooks';
import { callerGone, timeLeft, tooLate } from './deadline.ts';
import { GatewayError } from './errors.ts';

interface Waiter {
  wake(): void;
}

/**
 * Thrown by a look that lacks what is not at hand: it can be fetched, and then it looks again. Undefined: not from here, who
 * asked is told. Rejects as the look would.
 */
interface Lacking {
  fetch(): Promise<void> | undefined;
}
const isLacking = (thrown: unknown): thrown is Lacking =>
  typeof (thrown as Partial<Lacking> | null)?.fetch === 'function';

/**
 * Callers that wait until what stands under a key may have changed. It carries no news: who is woken looks again. Thousands
 * may wait; only those whose key is named are woken.
 *
 * Whoever changes something calls `hint` while it does, and `settled` is called after the commit. A waiter that came
 * between the two is looked at once at the next commit whatever its key, so that no change is missed.
 */
export class Waiters {
  readonly #byKey = new Map<string, Set<Waiter>>();
  readonly #hinted = new Set<string>();
  #fresh = new Set<Waiter>();
  #count = 0;
  readonly #most: number;

  /** `most` callers at once; more are told `gateway.overloaded`. */
  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#count;
  }

  /** Something under this key changes; remembered only where somebody waits for it. */
  hint(key: string): void {
    if (this.#count > 0 && this.#byKey.has(key)) this.#hinted.add(key);
  }

  /** What was hinted may be seen now; `all`: anything may have changed. */
  settled(all = false): void {
    if (this.#count === 0) return;
    for (const key of all ? [...this.#byKey.keys()] : this.#hinted)
      for (const waiter of [...(this.#byKey.get(key) ?? [])]) waiter.wake();
    this.#hinted.clear();
    const fresh = this.#fresh;
    this.#fresh = new Set();
    for (const waiter of fresh) waiter.wake();
  }

  /**
   * Answers what `look` finds, as soon as it finds something, else undefined after `ms`, or when the caller's own time is over;
   * who left waits no longer. `look` is asked at once, and again each time the key may have changed, which it is told. Throws
   * what it throws, `gateway.overloaded` when too many wait, `gateway.late` for who left. A look that lacks something waits for
   * it as a waiter that has come already: what changes meanwhile is seen.
   */
  async until<T>(key: string, ms: number, look: (isWoken: boolean) => T | undefined): Promise<T | undefined> {
    // Who is woken looks as the call that it is, whoever wakes it.
    const call = new AsyncResource('Waiter');
    let lacking: Promise<void> | undefined;
    try {
      const found = look(false);
      if (found !== undefined || ms <= 0) return found;
    } catch (thrown) {
      lacking = isLacking(thrown) ? thrown.fetch() : undefined;
      if (lacking === undefined) throw thrown;
    }
    if (this.#count >= this.#most) {
      lacking?.catch(() => undefined);
      throw new GatewayError('gateway.overloaded', 'Too many callers wait already.', { retryAfterS: 1 });
    }
    return new Promise((resolve, reject) => {
      let isFetching = false;
      let wasWoken = false;
      let isLast = false;
      let isOver = false;
      let stays: (() => void) | undefined;
      const finish = (end: () => void): void => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        stays?.();
        this.#count -= 1;
        this.#fresh.delete(waiter);
        const of = this.#byKey.get(key);
        of?.delete(waiter);
        if (of?.size === 0) this.#byKey.delete(key);
        end();
      };
      const fetching = (fetched: Promise<void>): void => {
        isFetching = true;
        wasWoken = false;
        fetched.then(
          () => {
            isFetching = false;
            lookAgain(false);
            // It may have been fetched before what it was woken for was there: in a turn of its own it is old, and fetched anew.
            if (wasWoken && !isFetching) setImmediate(lookAgain, true);
          },
          (thrown) => finish(() => reject(thrown as Error)),
        );
      };
      const lookAgain = (isWoken: boolean): void => {
        if (isOver) return;
        if (isFetching) {
          wasWoken = true;
          return;
        }
        try {
          const now = call.runInAsyncScope(look, undefined, isWoken);
          if (now !== undefined || isLast) finish(() => resolve(now));
        } catch (thrown) {
          const fetched = isLacking(thrown) ? call.runInAsyncScope(() => thrown.fetch()) : undefined;
          if (fetched) fetching(fetched);
          else finish(() => reject(thrown as Error));
        }
      };
      const waiter: Waiter = { wake: () => lookAgain(true) };
      const timer = setTimeout(
        () => {
          isLast = true;
          lookAgain(false);
        },
        Math.max(0, Math.min(ms, timeLeft() ?? ms)),
      );
      timer.unref();
      const of = this.#byKey.get(key) ?? new Set();
      this.#byKey.set(key, of.add(waiter));
      this.#fresh.add(waiter);
      this.#count += 1;
      stays = callerGone()?.onGone(() => finish(() => reject(tooLate())));
      if (lacking) fetching(lacking);
    });
  }
}
