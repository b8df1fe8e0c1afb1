import { describe, expect, test } from 'vitest';
import { shared, timeLeft, within } from './deadline.ts';

describe('shared work', () => {
  test('is under way once, does not hurry for whoever began it, and begins anew once it is over', async () => {
    const left: (number | undefined)[] = [];
    let end: () => void = () => undefined;
    const work = shared(() => {
      left.push(timeLeft());
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    });
    const first = within(1, work);
    expect(work()).toBe(first);
    const idle = work.idle();
    end();
    await Promise.all([first, idle]);
    void within(1, work);
    expect(left).toEqual([undefined, undefined]);
    end();
  });

  test('that fails does so for all who share it, and not for who waits until it is over', async () => {
    const work = shared(() => Promise.reject(new Error('away')));
    const all = Promise.allSettled([work(), work(), work.idle()]);
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    await work.idle();
  });
});
