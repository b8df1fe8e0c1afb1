/**
 * How many launches there were, and what came of them: by day, quarter of an hour, platform and publisher, of all schools together. It
 * names nobody, and goes after five weeks, when it has been the usual of the same weekday for the last time.
 */
import type { Unit } from '#bus';
import { dutchDay, dutchQuarter, startOfDutchDay } from '#kernel';
import { type Tally, tallies } from './tables.ts';

/** Days on which a count is still asked for: four weeks back, from a day of the last week. */
export const TALLY_DAYS = 36;
const DAY_MS = 86_400_000;
const PAGE = 200;
const KIND = 'tally';

export interface Parties {
  platform: string;
  publisher: string;
}

/** `what`: `created`, `redeemed`, `refused` or `shown` and a fault. `atMs`: when the launch was asked for. */
export function count(unit: Unit, atMs: number, { platform, publisher }: Parties, what: string): void {
  const [day, quarter] = [dutchDay(atMs), dutchQuarter(atMs)];
  const row = unit.get(tallies, day, quarter, platform, publisher);
  const counts: Tally['counts'] = { ...row?.counts, [what]: (row?.counts[what] ?? 0) + 1 };
  unit.put(tallies, { day, quarter, platform, publisher, counts });
  if (!row) remindOf(unit, day, startOfDutchDay(day) + TALLY_DAYS * DAY_MS);
}

const remindOf = (unit: Unit, day: string, atMs: number): void =>
  unit.setTimer({ id: `${KIND}:${day}`, atMs, key: 'launches', payload: `${KIND}|${day}` });

/** True where the timer was one of these. */
export function forget(timer: { payload: string }, unit: Unit): boolean {
  const [kind, day = ''] = timer.payload.split('|');
  if (kind !== KIND) return false;
  const rows = unit.list(tallies, { equals: [day], limit: PAGE });
  for (const { quarter, platform, publisher } of rows) unit.remove(tallies, day, quarter, platform, publisher);
  if (rows.length === PAGE) remindOf(unit, day, unit.now);
  return true;
}
