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

test('guesses that come at once get no further than those that come one after the other', async () => {
  const attempts = made();
  let looked = 0;
  const guess = async () => {
    const attempt = await attempts.begin('a', '192.0.2.1');
    if (typeof attempt === 'number') return attempt;
    looked += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    attempt.failed();
    attempt.ended();
    return 0;
  };
  const waits = await Promise.all(Array.from({ length: 60 }, guess));
  expect(looked).toBe(10);
  expect(waits.filter((ms) => ms === 6_000)).toHaveLength(50);
});

test('who is right is not refused for coming many times at once, nor for what the gateway could not find out', async () => {
  const attempts = made();
  const ask = async (ends: 'succeeded' | 'neither') => {
    const attempt = await attempts.begin('a', '192.0.2.1');
    if (typeof attempt === 'number') return attempt;
    await new Promise((resolve) => setImmediate(resolve));
    if (ends === 'succeeded') attempt.succeeded();
    attempt.ended();
    return 0;
  };
  expect(new Set(await Promise.all(Array.from({ length: 60 }, () => ask('succeeded'))))).toEqual(new Set([0]));
  expect(new Set(await Promise.all(Array.from({ length: 60 }, () => ask('neither'))))).toEqual(new Set([0]));
  // Beyond a hundred that wait nobody is kept any longer.
  expect(new Set(await Promise.all(Array.from({ length: 120 }, () => ask('succeeded'))))).toEqual(new Set([0, 6_000]));
  expect(attempts.waitMs('a', '192.0.2.1')).toBe(0);
});

test('one place is one, however it is written', () => {
  const attempts = made();
  const places = ['2001:DB8:1:2::1', '2001:0db8:0001:0002::2', '2001:db8:1:2::3%eth0', '[2001:db8:1:2::4]:4711'];
  for (let i = 0; i < 100; i++) attempts.failed(`client ${i}`, places[i % places.length]!);
  expect(attempts.waitMs('another', '2001:db8:1:2:ffff::1')).toBe(600);
});
