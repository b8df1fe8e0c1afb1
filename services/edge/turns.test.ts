import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { GatewayError } from '#kernel';
import { type Pace, paceOf, Turns } from './turns.ts';

const pace: Pace = { calls: 100, items: 1_000, atOnce: 4, waiting: 50, turn: 2 };
const [wilg, berk] = ['wilg', 'berk'];

/** Turns with a clock of their own, and calls that end when they are told to. */
function setUp(more: Partial<Pace> = {}) {
  let now = 0;
  const turns = new Turns({ ...pace, ...more }, () => now);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const call = (oin: string, name = oin) => {
    const answer = turns.call(oin, () => {
      begun.push(name);
      return new Promise<string>((resolve) => ends.push(() => resolve(name)));
    });
    answer.catch(() => undefined);
    return answer;
  };
  return {
    turns,
    begun,
    ends,
    call,
    pass: (ms: number) => {
      now += ms;
    },
  };
}
const refusal = (answer: Promise<unknown>): Promise<GatewayError> =>
  answer.then(
    () => undefined,
    (thrown) => thrown,
  ) as never;

describe('calls', () => {
  test('of a party that sends many stand before those of another by no more than one round', async () => {
    const { call, begun, ends } = setUp();
    for (let i = 0; i < 20; i++) call(wilg, `wilg ${i}`);
    call(berk, 'berk 0');
    call(berk, 'berk 1');
    await turn();
    await turn();
    // Two a turn: what wilg began at once, then one of each.
    expect(begun.slice(0, 4)).toEqual(['wilg 0', 'wilg 1', 'wilg 2', 'berk 0']);
    await turn();
    expect(begun.slice(4)).toEqual(['wilg 3', 'berk 1']);
    // Four at once: the rest of wilg waits until one of its own ends.
    await turn();
    expect(begun).toHaveLength(6);
    ends[0]!();
    await turn();
    await turn();
    expect(begun.slice(6)).toEqual(['wilg 4']);
  });

  test('keep the order of their party, and bring back what was answered or thrown', async () => {
    const { turns, call, begun, ends } = setUp({ turn: 100, atOnce: 1 });
    const answers = [call(wilg, 'a'), call(wilg, 'b'), call(wilg, 'c')];
    for (let i = 0; i < 3; i++) {
      while (!ends[i]) await turn();
      ends[i]!();
    }
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'c']);
    expect(begun).toEqual(['a', 'b', 'c']);
    await expect(turns.call(wilg, () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    expect(await turns.call(wilg, () => 1)).toBe(1);
  });

  test('beyond the rate are told when to come back, and taken then', async () => {
    const { call, pass, turns } = setUp({ atOnce: 1_000, waiting: 1_000 });
    // Two seconds' worth at once.
    for (let i = 0; i < 200; i++) call(wilg);
    const told = await refusal(call(wilg));
    expect(told).toMatchObject({ fault: 'gateway.overloaded', retryAfterS: 1 });
    expect(turns.counts().refused).toBe(1);
    // Another is not meant.
    let isRefused = false;
    call(berk).catch(() => {
      isRefused = true;
    });
    pass(10);
    call(wilg).catch(() => {
      isRefused = true;
    });
    await turn();
    expect(isRefused).toBe(false);
    expect(await refusal(call(wilg))).toMatchObject({ fault: 'gateway.overloaded' });
  });

  test('that wait are counted, and one more is told when to come back', async () => {
    const { call, turns } = setUp({ calls: 10_000 });
    for (let i = 0; i < 52; i++) call(wilg);
    expect(turns.counts()).toMatchObject({ parties: 1, waiting: 50 });
    expect(await refusal(call(wilg))).toMatchObject({ fault: 'gateway.overloaded', retryAfterS: 1 });
  });
});

test('without a limit nobody waits', async () => {
  const turns = new Turns(paceOf(0, 0));
  for (let i = 0; i < 3; i++) expect(turns.items(wilg, 1_000_000)).toBe(0);
  await Promise.all(Array.from({ length: 500 }, () => turns.call(wilg, () => undefined)));
  expect(turns.counts().refused).toBe(0);
});

test('items of streams are read no faster than the rate, after a burst', () => {
  const { turns, pass } = setUp();
  expect(turns.items(wilg, 2_000)).toBe(0);
  expect(turns.items(wilg, 200)).toBeGreaterThanOrEqual(200);
  expect(turns.items(berk, 200)).toBe(0);
  pass(202);
  expect(turns.items(wilg, 1)).toBe(0);
});
