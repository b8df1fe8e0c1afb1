import { expect, test } from 'vitest';
import { RegisterLine } from '#proto/eduk/operator/v1/operator';
import { heldBecause } from './difference.ts';

const lines = (kind: string, count: number): RegisterLine[] =>
  Array.from({ length: count }, () => RegisterLine.fromPartial({ kind }));

test.each([
  ['nothing', [], 40, 40, undefined],
  ['one end', lines('stop', 1), 3, 2, undefined],
  ['more ends than the share', lines('stop', 5), 40, 35, 'ends_many'],
  ['ends where the register knows of nothing', lines('stop', 1), 3, 0, 'empty'],
  ['a few schools that begin', lines('add', 25), 0, 25, undefined],
  ['a first comparison of many schools', lines('add', 26), 0, 26, 'adds_many'],
  ['a register that says yes to everything', lines('add', 5_000), 40, 5_040, 'adds_many'],
  ['growth within the share', lines('add', 100), 1_000, 1_100, undefined],
])('%s', (_name, changes, standing, positive, why) => {
  expect(heldBecause({ lines: changes, standing, positive }, 10)).toBe(why);
});
