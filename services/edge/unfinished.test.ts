import { expect, test } from 'vitest';
import { Unfinished } from './unfinished.ts';

test('beyond the total the slowest sender is cut off, and only as many as it takes', async () => {
  const unfinished = new Unfinished(1_000);
  const cut: string[] = [];
  const slow = unfinished.begin(() => cut.push('slow'));
  const slower = unfinished.begin(() => cut.push('slower'));
  slower.grow(100);
  slow.grow(200);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const quick = unfinished.begin(() => cut.push('quick'));
  quick.grow(700);
  expect([cut, unfinished.held]).toEqual([[], 1_000]);
  quick.grow(50);
  expect([cut, unfinished.held]).toEqual([['slower'], 950]);
  quick.grow(250);
  expect([cut, unfinished.held]).toEqual([['slower', 'slow'], 1_000]);
  // Who was cut off holds nothing more, whatever of it still comes.
  slow.grow(5_000);
  slow.end();
  quick.end();
  expect([cut.length, unfinished.held, unfinished.count]).toEqual([2, 0, 0]);
});

test('one sender alone may have it all, and no more', () => {
  const unfinished = new Unfinished(1_000);
  let cut = 0;
  const one = unfinished.begin(() => cut++);
  one.grow(1_000);
  expect(cut).toBe(0);
  one.grow(1);
  expect([cut, unfinished.held]).toEqual([1, 0]);
});
