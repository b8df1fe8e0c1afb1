/** What a call that writes and waits owes its caller, however often it is run. */
import { setTimeout as rest } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Implementation, systemClock, Waiters } from '#kernel';
import { callBegan } from '../calls.ts';
import type { Core } from '../core.ts';
import type { Database } from './connection.ts';
import { overDatabase, View } from './view.ts';

test('waits from when it came, not from when it was last run', async () => {
  const view = new View({
    database: {} as Database,
    service: 'probe',
    tables: [],
    clock: systemClock,
    isOwner: () => true,
  });
  const waiters = new Waiters(10);
  view.onCommit(() => waiters.settled(true));
  let notes = 0;
  const core = { noteWithin: () => void (notes += 1) } as unknown as Core;
  let mayWrite = false;
  // As a poll for work does: it waits until there is some, and notes that it took it; somebody else was quicker.
  const poll = async () => {
    const until = callBegan() + 1000;
    for (;;) {
      if (mayWrite) {
        mayWrite = false;
        view.note(() => undefined);
      }
      const left = until - performance.now();
      if (left <= 0) return { notes };
      view.mayWait();
      await waiters.until('work', left, () => (mayWrite ? true : undefined));
    }
  };
  const implementation = { definition: {}, handlers: { poll } } as unknown as Implementation;
  const { handlers } = overDatabase(view, 'probe', implementation, {
    here: async <T>(_: string, handler: () => T, began: number): Promise<T> => view.runWithin(core, handler, began),
    elsewhere: () => Promise.reject(new Error('elsewhere')),
  });
  const began = performance.now();
  const calling = (handlers as unknown as Record<string, (asked: unknown) => Promise<unknown>>)['poll']!({});
  const wake = setInterval(() => {
    mayWrite = true;
    view.changed(new Set(), false);
  }, 400);
  const never = new AbortController();
  await Promise.race([calling, rest(60_000, undefined, { signal: never.signal }).catch(() => undefined)]);
  never.abort();
  clearInterval(wake);
  expect(performance.now() - began).toBeLessThan(30_000);
  await calling;
});
