import { AsyncLocalStorage } from 'node:async_hooks';

/** Until when the caller at the door waits, carried along with whatever is done for it. Monotonic milliseconds. */
const waits = new AsyncLocalStorage<number>();

/** Runs `work` for a caller who waits `ms` from now on; undefined or Infinity = as long as it takes. */
export const within = <T>(ms: number | undefined, work: () => T): T =>
  ms === undefined || ms === Number.POSITIVE_INFINITY ? work() : waits.run(performance.now() + ms, work);

/** Milliseconds that the caller still waits, negative once it has gone; undefined = not said. */
export function timeLeft(): number | undefined {
  const until = waits.getStore();
  return until === undefined ? undefined : until - performance.now();
}

/** Runs `work` that others share, whatever the caller at hand waits. */
export const unhurried = <T>(work: () => T): T => waits.exit(work);
