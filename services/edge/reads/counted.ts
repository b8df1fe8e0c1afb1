/** What is counted beside a change. It never stops the change: a freeze is set, and a party goes on, also while nobody can say what that comes to. */
import { setTimeout as after } from 'node:timers/promises';
import { describeError, log } from '#kernel';

/** Who waits for a change waits no longer than this for what it comes to. */
const COUNT_MS = 5000;

export interface Counted<T> {
  found: T[];
  /** It could not be counted, or not in time. */
  uncounted: boolean;
}

export async function countedBeside<T>(count: () => Promise<T[]>, withinMs = COUNT_MS): Promise<Counted<T>> {
  const end = new AbortController();
  const late = after(withinMs, undefined, { signal: end.signal }).then(
    () => undefined,
    () => undefined,
  );
  try {
    const found = await Promise.race([count(), late]);
    if (found !== undefined) return { found, uncounted: false };
    log('warn', 'change_not_counted', { within_ms: withinMs });
  } catch (thrown) {
    log('warn', 'change_not_counted', describeError(thrown));
  } finally {
    end.abort();
  }
  return { found: [], uncounted: true };
}
