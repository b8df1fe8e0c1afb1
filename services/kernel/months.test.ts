import fc from 'fast-check';
import { expect, test } from 'vitest';
import { intoMonths, isOfDays } from './months.ts';

const dayOf = (n: number): string => new Date(Date.UTC(2026, 0, 1 + n)).toISOString().slice(0, 10);
interface Row {
  day: string;
  n: number;
}
const sum = (row: Row, more: Row): Row => ({ ...row, n: row.n + more.n });

test('whenever rows are put together, all of three years are counted once, and two months of it by day', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_500), { minLength: 1, maxLength: 60 }), (days) => {
      const rows = new Map<string, Row>();
      const came = [...new Set(days)].sort((a, b) => a - b);
      for (const n of came) {
        const { gone, months } = intoMonths([...rows.values()], dayOf(n), sum);
        for (const { day } of gone) rows.delete(day);
        for (const row of months) rows.set(row.day, row);
        rows.set(dayOf(n), { day: dayOf(n), n: 1 });
      }
      const last = came.at(-1)!;
      const counted = [...rows.values()].reduce((all, { n }) => all + n, 0);
      expect(counted).toBeGreaterThanOrEqual(came.filter((n) => n > last - 3 * 366).length);
      expect(counted).toBeLessThanOrEqual(came.filter((n) => n > last - 38 * 31 - 31).length);
      for (const n of came) if (n >= last - 62) expect(rows.get(dayOf(n))).toEqual({ day: dayOf(n), n: 1 });
      expect([...rows.keys()].filter((day) => day.length > 7 && day < dayOf(last - 62))).toEqual([]);
    }),
  );
});

test('a month is asked for where any day of it is', () => {
  expect(
    ['2026-01', '2026-02', '2026-02-01', '2026-02-02'].map((day) => isOfDays(day, '2026-01-31', '2026-02-01')),
  ).toEqual([true, true, true, false]);
});
