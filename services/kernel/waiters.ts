import { AsyncResource } from 'node:async_hooks';
import { GatewayError } from './errors.ts';

interface Waiter {
  wake(): void;
}

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
   * Answers what `look` finds, as soon as it finds something, else undefined after `ms`. `look` is asked at once, and again
   * each time the key may have changed. Throws what it throws, and `gateway.overloaded` when too many wait.
   */
  async until<T>(key: string, ms: number, look: () => T | undefined): Promise<T | undefined> {
    const found = look();
    if (found !== undefined || ms <= 0) return found;
    if (this.#count >= this.#most)
      throw new GatewayError('gateway.overloaded', 'Too many callers wait already.', { retryAfterS: 1 });
    // Who is woken looks as the call that it is, whoever wakes it.
    const looks = AsyncResource.bind(look);
    return new Promise((resolve, reject) => {
      const finish = (end: () => void): void => {
        clearTimeout(timer);
        this.#count -= 1;
        this.#fresh.delete(waiter);
        const of = this.#byKey.get(key);
        of?.delete(waiter);
        if (of?.size === 0) this.#byKey.delete(key);
        end();
      };
      const lookAgain = (last: boolean): void => {
        try {
          const now = looks();
          if (now !== undefined || last) finish(() => resolve(now));
        } catch (thrown) {
          finish(() => reject(thrown as Error));
        }
      };
      const waiter: Waiter = { wake: () => lookAgain(false) };
      const timer = setTimeout(() => lookAgain(true), ms);
      timer.unref();
      const of = this.#byKey.get(key) ?? new Set();
      this.#byKey.set(key, of.add(waiter));
      this.#fresh.add(waiter);
      this.#count += 1;
    });
  }
}
