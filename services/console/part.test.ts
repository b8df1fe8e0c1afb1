import { expect, test } from 'vitest';
import type { Hold } from './types.ts';
import { NOTHING, stands } from './web/part.ts';

const hold = {
  difference: { left: 3, joined: 0 },
  groups: [{ group: 'g7' }],
  products: [{ id: '9789000000019' }],
} as unknown as Hold;

test('what is ticked counts while it waits: of what was decided meanwhile nothing is sent', () => {
  expect(stands(hold, NOTHING)).toBe(true);
  expect(stands(hold, { kinds: ['left'], groups: ['g7'], products: ['9789000000019'] })).toBe(true);
  expect(stands(hold, { ...NOTHING, kinds: ['joined'] })).toBe(false);
  expect(stands(hold, { ...NOTHING, kinds: ['left'], groups: ['g8'] })).toBe(false);
  expect(stands(hold, { ...NOTHING, products: ['9789000000026'] })).toBe(false);
  expect(stands({ ...hold, difference: undefined } as never, { ...NOTHING, kinds: ['left'] })).toBe(false);
});
