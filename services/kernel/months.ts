/** Counts by day that grow old: days older than two months become months, months three years old go. Pure. */
const DAY_MS = 86_400_000;
const KEPT_DAYS = 62;
const KEPT_MONTHS = 37;

const dayBefore = (day: string, days: number): string =>
  new Date(Date.parse(day) - days * DAY_MS).toISOString().slice(0, 10);

/**
 * What becomes on a day of rows of one thing, each of a day (YYYY-MM-DD) or a month (YYYY-MM): `gone` are removed, then `months` put. `sum`:
 * the first with what the second counts.
 */
export function intoMonths<Row extends { day: string }>(
  rows: readonly Row[],
  today: string,
  sum: (row: Row, more: Row) => Row,
): { gone: Row[]; months: Row[] } {
  const oldest = dayBefore(today, KEPT_DAYS);
  const oldestMonth = dayBefore(today, KEPT_MONTHS * 31).slice(0, 7);
  const known = new Map(rows.map((row) => [row.day, row]));
  const months = new Map<string, Row>();
  const gone = rows.filter(({ day }) => day < (isMonth(day) ? oldestMonth : oldest));
  for (const row of gone) {
    const month = row.day.slice(0, 7);
    if (isMonth(row.day) || month < oldestMonth) continue;
    const before = months.get(month) ?? known.get(month);
    months.set(month, before ? sum(before, row) : { ...row, day: month });
  }
  return { gone, months: [...months.values()] };
}

const isMonth = (day: string): boolean => day.length === 7;

/** Whether a day or month is one of those from a day until a day; a month is where any day of it is. */
export const isOfDays = (day: string, fromDay: string, untilDay: string): boolean =>
  day >= fromDay.slice(0, day.length) && day <= untilDay.slice(0, day.length);
