import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dutchDay, startOfDutchDay } from '#kernel';
import { lastDue, nextDue } from './due.ts';

const HOUR_MS = 3_600_000;
const moment = fc.integer({ min: Date.UTC(2026, 0, 3), max: Date.UTC(2028, 11, 30) });

test('each pair is due once a Dutch day, within the hours, in summer and in winter', () => {
  fc.assert(
    fc.property(
      moment,
      fc.stringMatching(/^\d{20}$/),
      fc.record({ from: fc.integer({ min: 0, max: 23 }), over: fc.integer({ min: 1, max: 24 }) }),
      (now, party, hours) => {
        const [last, next] = [lastDue(now, party, 's', hours), nextDue(now, party, 's', hours)];
        expect(last <= now && now < next).toBe(true);
        expect(lastDue(next, party, 's', hours)).toBe(next);
        expect(next - last).toBeGreaterThanOrEqual(23 * HOUR_MS);
        expect(next - last).toBeLessThanOrEqual(25 * HOUR_MS);
        const begins = [dutchDay(last), dutchDay(last - 24 * HOUR_MS)].map(startOfDutchDay);
        expect(
          begins.some((day) => last >= day + hours.from * HOUR_MS && last < day + (hours.from + hours.over) * HOUR_MS),
        ).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test('pairs are spread over the hours', () => {
  const hours = { from: 1, over: 4 };
  const now = Date.UTC(2026, 10, 23, 12);
  const all = Array.from({ length: 400 }, (_, i) => lastDue(now, `p${i}`, 's', hours) - startOfDutchDay('2026-11-23'));
  for (const hour of [1, 2, 3, 4])
    expect(all.filter((ms) => Math.floor(ms / HOUR_MS) === hour).length).toBeGreaterThan(60);
});
