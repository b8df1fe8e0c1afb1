import type { Door } from './submission.ts';

const TRIES_MS = [5, 10, 20, 40, 80, 160, 320, 640];

/**
 * Asks an owner until it knows, for a bit more than a second: what a sender was told is accepted may not be decided yet.
 * Undefined = it still does not know.
 */
export async function settle<T>(_door: Door, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  let known = await ask();
  for (const ms of TRIES_MS) {
    if (known !== undefined) return known;
    await new Promise((resolve) => setTimeout(resolve, ms));
    known = await ask();
  }
  return known;
}
