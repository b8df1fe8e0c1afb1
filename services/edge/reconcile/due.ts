/** When a party is asked about a school: once a day, each pair at a moment of its own in the hours that are set. Pure. */
import { createHash } from 'node:crypto';
import { dutchDay, startOfDutchDay } from '#kernel';

/** Of a Dutch day: from which hour, and over how many; 0 = never. */
export interface Hours {
  from: number;
  over: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The moment of a pair on a day; it is the same every day. */
function momentOn(day: string, party: string, school: string, { from, over }: Hours): number {
  const share = createHash('sha256').update(`${party}|${school}`).digest().readUInt32BE(0) / 2 ** 32;
  return startOfDutchDay(day) + Math.floor((from + share * over) * HOUR_MS);
}

/** A Dutch day by its distance from today; hours are not counted, for two days of the year have 23 and 25. */
const dayFrom = (now: number, days: number): string =>
  new Date(Date.parse(dutchDay(now)) + days * DAY_MS).toISOString().slice(0, 10);

/** The last moment at which the pair was due. */
export function lastDue(now: number, party: string, school: string, hours: Hours): number {
  // Hours may end on the next day.
  const moments = [0, -1, -2].map((days) => momentOn(dayFrom(now, days), party, school, hours));
  return moments.find((moment) => moment <= now)!;
}

/** The next one. */
export function nextDue(now: number, party: string, school: string, hours: Hours): number {
  const moments = [-1, 0, 1].map((days) => momentOn(dayFrom(now, days), party, school, hours));
  return moments.find((moment) => moment > now)!;
}
