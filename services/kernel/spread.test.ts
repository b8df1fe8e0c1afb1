import { expect, test } from 'vitest';
import { mergedSpread, quantileOf, type Spread, withTime } from './spread.ts';

const of = (times: readonly number[]): Spread => times.reduce<Spread>((spread, ms) => withTime(spread, ms), {});

test('quantiles are within 10 % of the exact ones', () => {
  const times = Array.from({ length: 2_000 }, (_, i) => Math.round(5 + (i * 7919) ** 1.3) % 90_000).map((ms) => ms + 3);
  const sorted = [...times].sort((a, b) => a - b);
  for (const q of [0.01, 0.5, 0.9, 0.99]) {
    const exact = sorted[Math.ceil(q * sorted.length) - 1]!;
    expect(Math.abs(quantileOf(of(times), q)! - exact) / exact).toBeLessThan(0.1);
  }
});

test('put together they are what one of both is; of nothing nothing is told', () => {
  expect(mergedSpread(of([1, 50]), of([50, 4_000]))).toEqual(of([1, 50, 50, 4_000]));
  expect(quantileOf({}, 0.5)).toBeUndefined();
  expect(quantileOf(of([0, 0.4]), 0.99)).toBe(0);
  expect(Object.keys(of([Number.MAX_SAFE_INTEGER, Number.NaN, -4]))).toEqual(['0', '121']);
});
