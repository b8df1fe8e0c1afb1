import { describe, expect, test } from 'vitest';
import { Gone, within } from './deadline.ts';
import { Waiters } from './waiters.ts';

describe('waiters', () => {
  test('what is there is answered at once; nobody waits', async () => {
    const waiters = new Waiters(1);
    expect(await waiters.until('a', 1000, () => 'there')).toBe('there');
    expect(waiters.count).toBe(0);
  });

  test('a commit looks at those it concerns only, and at those who came since the last one', async () => {
    const waiters = new Waiters(10);
    const looks = { a: 0, b: 0 };
    let there = false;
    const look = (key: 'a' | 'b') => () => {
      looks[key] += 1;
      return there || undefined;
    };
    const [a, b] = [waiters.until('a', 5000, look('a')), waiters.until('b', 50, look('b'))];
    expect(looks).toEqual({ a: 1, b: 1 });
    waiters.settled();
    expect(looks).toEqual({ a: 2, b: 2 });
    waiters.settled();
    expect(looks).toEqual({ a: 2, b: 2 });
    there = true;
    waiters.hint('a');
    expect(looks).toEqual({ a: 2, b: 2 });
    waiters.settled();
    expect(await a).toBe(true);
    there = false;
    expect(await b).toBeUndefined();
    expect(waiters.count).toBe(0);
  });

  test('a look is told whether its key may have changed, also when that was while it fetched', async () => {
    const waiters = new Waiters(10);
    const told: boolean[] = [];
    const { promise: fetched, resolve } = Promise.withResolvers<void>();
    const waiting = waiters.until('a', 5000, (isWoken) => {
      told.push(isWoken);
      if (told.length === 1) throw { fetch: () => fetched };
      return isWoken || undefined;
    });
    waiters.hint('a');
    waiters.settled();
    expect(told).toEqual([false]);
    resolve();
    expect(await waiting).toBe(true);
    expect(told).toEqual([false, false, true]);
  });

  test('who leaves waits no longer, and nobody waits beyond the time of his own', async () => {
    const waiters = new Waiters(2);
    const gone = new Gone();
    const left = within(undefined, () => waiters.until('a', 60_000, () => undefined), gone);
    const late = within(20, () => waiters.until('a', 60_000, () => undefined));
    expect(waiters.count).toBe(2);
    gone.leave();
    await expect(left).rejects.toMatchObject({ fault: 'gateway.late' });
    expect(waiters.count).toBe(1);
    expect(await late).toBeUndefined();
    expect(waiters.count).toBe(0);
    // Who has left already does not begin to wait.
    await expect(within(undefined, () => waiters.until('a', 60_000, () => undefined), gone)).rejects.toMatchObject({
      fault: 'gateway.late',
    });
    expect(waiters.count).toBe(0);
  });

  test('more than may wait are told so, and a failing look reaches its caller', async () => {
    const waiters = new Waiters(1);
    let fails = false;
    const first = waiters.until('a', 5000, () => {
      if (fails) throw new Error('broken');
      return undefined;
    });
    await expect(waiters.until('b', 5000, () => undefined)).rejects.toMatchObject({ fault: 'gateway.overloaded' });
    fails = true;
    waiters.settled();
    await expect(first).rejects.toThrow('broken');
    expect(waiters.count).toBe(0);
  });
});
