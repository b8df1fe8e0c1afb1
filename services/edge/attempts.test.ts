import { expect, test } from 'vitest';
import { Attempts } from './attempts.ts';

let now = 0;
const made = () => new Attempts(() => now);

test('ten failures are free; then one each six seconds, by name and place', () => {
  const attempts = made();
  for (let i = 0; i < 10; i++) {
    expect(attempts.waitMs('a', '192.0.2.1')).toBe(0);
    attempts.failed('a', '192.0.2.1');
  }
  expect(attempts.waitMs('a', '192.0.2.1')).toBe(6_000);
  // Nobody can shut another out, and another party of the same supplier is not shut out either.
  expect(attempts.waitMs('a', '192.0.2.2')).toBe(0);
  expect(attempts.waitMs('b', '192.0.2.1')).toBe(0);
  now += 6_000;
  expect(attempts.waitMs('a', '192.0.2.1')).toBe(0);
  attempts.failed('a', '192.0.2.1');
  expect(attempts.waitMs('a', '192.0.2.1')).toBe(6_000);
});

test('however many come at once, the wait is a minute at most', () => {
  const attempts = made();
  for (let i = 0; i < 1_000; i++) attempts.failed('a', '192.0.2.1');
  expect(attempts.waitMs('a', '192.0.2.1')).toBe(60_000);
});

test('who knows may err again', () => {
  const attempts = made();
  for (let i = 0; i < 10; i++) attempts.failed('a', '192.0.2.1');
  attempts.succeeded('a', '192.0.2.1');
  expect(attempts.waitMs('a', '192.0.2.1')).toBe(0);
});

test('one place that tries many names is slowed as well, however IPv6 writes it', () => {
  const attempts = made();
  for (let i = 0; i < 100; i++) attempts.failed(`client ${i}`, `2001:db8:1:2::${i.toString(16)}`);
  expect(attempts.waitMs('another', '2001:db8:1:2:ffff::1')).toBe(600);
  expect(attempts.waitMs('another', '2001:db8:1:3::1')).toBe(0);
  for (let i = 0; i < 100; i++) attempts.failed(`client ${i}`, '::ffff:192.0.2.7');
  expect(attempts.waitMs('another', '192.0.2.7')).toBe(600);
});

test('whatever is tried, memory is bounded', () => {
  const attempts = made();
  for (let i = 0; i < 30_000; i++) attempts.failed('x'.repeat(i % 5_000), `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  expect(attempts.size).toBeGreaterThan(4_000);
  expect(attempts.size).toBeLessThanOrEqual(10_000);
});
