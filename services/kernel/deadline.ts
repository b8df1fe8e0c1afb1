import { AsyncLocalStorage } from 'node:async_hooks';
import { GatewayError } from './errors.ts';

/** That a caller left: its answer is worth nothing any more. One for each call, so it is as little as it can be. */
export class Gone {
  #isGone = false;
  #then: Set<() => void> | undefined;

  get isGone(): boolean {
    return this.#isGone;
  }

  leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const then = this.#then;
    this.#then = undefined;
    if (then) for (const one of then) one();
  }

  /** Calls `then` when the caller leaves, at once if it has; gives what takes that back. */
  onGone(then: () => void): () => void {
    if (this.#isGone) {
      then();
      return () => undefined;
    }
    this.#then ??= new Set();
    this.#then.add(then);
    return () => this.#then?.delete(then);
  }
}

interface Wait {
  /** Monotonic milliseconds. */
  until: number;
  gone: Gone | undefined;
}

/** Until when the caller at the door waits, and whether it left, carried along with whatever is done for it. */
const waits = new AsyncLocalStorage<Wait>();

/** Runs `work` for a caller who waits `ms` from now on (undefined or Infinity = as long as it takes), or until it leaves. */
export const within = <T>(ms: number | undefined, work: () => T, gone?: Gone): T =>
  (ms === undefined || ms === Number.POSITIVE_INFINITY) && gone === undefined
    ? work()
    : waits.run({ until: performance.now() + (ms ?? Number.POSITIVE_INFINITY), gone }, work);

/** Milliseconds that the caller still waits, negative once it has gone; undefined = not said. */
export function timeLeft(): number | undefined {
  const wait = waits.getStore();
  if (wait === undefined) return undefined;
  if (wait.gone?.isGone) return Number.NEGATIVE_INFINITY;
  return wait.until === Number.POSITIVE_INFINITY ? undefined : wait.until - performance.now();
}

/** What tells that the caller left; undefined = nobody says. */
export const callerGone = (): Gone | undefined => waits.getStore()?.gone;

/** Says later, wherever it is asked, whether the caller at hand still waits; undefined = it does as long as it takes. */
export function lateness(): (() => boolean) | undefined {
  const wait = waits.getStore();
  return wait && (() => wait.gone?.isGone === true || performance.now() > wait.until);
}

/** For whoever still listens: the caller left, or its time is over. What it asked for under a reference it may ask again. */
export const tooLate = (): GatewayError => new GatewayError('gateway.late');

/** Throws `gateway.late` when nobody waits for what is done now. */
export function stopIfLate(): void {
  const left = timeLeft();
  if (left !== undefined && left <= 0) throw tooLate();
}

/** Runs `work` that others share, whatever the caller at hand waits. */
export const unhurried = <T>(work: () => T): T => waits.exit(work);

/** Begins the work, or shares what is under way. */
export interface Shared<T> {
  (): Promise<T>;
  /** Resolves when none is under way, whatever came of it. */
  idle(): Promise<void>;
}

/** `work` of which one is under way at a time. Whoever asks meanwhile shares it, so it is not hurried by who happened to be first. */
export function shared<T>(work: () => Promise<T>): Shared<T> {
  let running: Promise<T> | undefined;
  const begin = () => {
    running ??= unhurried(work).finally(() => {
      running = undefined;
    });
    return running;
  };
  return Object.assign(begin, {
    idle: async () => {
      await running?.catch(() => undefined);
    },
  });
}
