import { afterEach, expect, test, vi } from 'vitest';
import { logTo } from './log.ts';
import { logSeldom } from './seldom.ts';

afterEach(() => {
  vi.useRealTimers();
  logTo((line) => process.stderr.write(`${line}\n`));
});

test('the first of many is told at once, and the next says how many were not', () => {
  vi.useFakeTimers();
  const lines: Record<string, unknown>[] = [];
  logTo((line) => lines.push(JSON.parse(line)));
  const seldom = logSeldom(1_000);
  for (let i = 0; i < 50; i++) seldom('warn', 'group_failed', { calls: i });
  seldom('error', 'other');
  vi.advanceTimersByTime(1_000);
  seldom('warn', 'group_failed', { calls: 99 });
  vi.advanceTimersByTime(1_000);
  seldom('warn', 'group_failed', { calls: 100 });
  expect(lines).toMatchObject([
    { event: 'group_failed', calls: 0 },
    { event: 'other', level: 'error' },
    { event: 'group_failed', calls: 99, left_out: 49 },
    { event: 'group_failed', calls: 100 },
  ]);
  expect(lines[3]).not.toHaveProperty('left_out');
});
