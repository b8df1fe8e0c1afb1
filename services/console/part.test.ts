import { expect, test } from 'vitest';
import type { Hold } from './types.ts';
import { lostBy, NOTHING, stands } from './web/part.ts';

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

test('how much a part of withdrawals takes away is told as far as counts of classes are', () => {
  const told = (count: number) => ({ count, kind: 'told' as const });
  const of = {
    products: [
      { id: 'maths', entitlements: 30 },
      { id: 'dutch', entitlements: 12 },
    ],
    groups: [
      { group: 'a', loses: [{ product: 'maths', learners: told(24), licences: 1 }] },
      {
        group: 'b',
        loses: [
          { product: 'maths', learners: { count: 0, kind: 'under_ten' }, licences: 0 },
          { product: 'dutch', learners: told(12), licences: 0 },
        ],
      },
    ],
  } as unknown as Hold;
  expect(lostBy(of, NOTHING)).toEqual(told(42));
  expect(lostBy(of, { ...NOTHING, products: ['dutch'] })).toEqual(told(12));
  const rest = { ...of, products: of.products.map((one) => ({ ...one, atLeast: true })) };
  expect(lostBy(rest, NOTHING)).toEqual({ count: 42, kind: 'at_least' });
  expect(lostBy(of, { ...NOTHING, groups: ['a'] })).toEqual(told(25));
  expect(lostBy(of, { ...NOTHING, groups: ['a', 'b'] })).toEqual({ count: 37, kind: 'at_least' });
  expect(lostBy(of, { ...NOTHING, groups: ['b'], products: ['dutch'] })).toEqual(told(12));
});
