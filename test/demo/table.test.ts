import { expect, test } from 'vitest';
import { agrees, compare, tableOf } from './table.ts';

const row = (should: string | string[], has: string | string[]) => ({ party: 'P', what: 'things', should, has });

test('agrees in any order, and only with every item as often as it should be there', () => {
  expect(agrees(row(['a', 'b', 'b'], ['b', 'a', 'b']))).toBe(true);
  expect(agrees(row(['a', 'b', 'b'], ['b', 'a', 'a']))).toBe(false);
  expect(agrees(row([], []))).toBe(true);
  expect(agrees(row('yes', 'no'))).toBe(false);
});

test('says what is lacking and what is too many', () => {
  expect(compare(row(['a', 'b', 'b'], ['b', 'c', 'c']))).toEqual({ lacking: ['a', 'b'], tooMany: ['c', 'c'] });
});

test('shows numbers of items and words as they are, and an example of what is wrong', () => {
  const lines = tableOf([row(['a', 'b'], ['a']), row('stopped', 'stopped')], (item) => item.toUpperCase());
  expect(lines[2]).toMatch(/things +2 +1 +NO$/);
  expect(lines[3]).toMatch(/stopped +stopped +yes$/);
  expect(lines.at(-1)).toBe('P lacks 1 of “things”, such as B');
});
