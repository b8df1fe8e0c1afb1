/** Time as an argument, so that a simulation can own it. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** The calendar day in the Netherlands, `YYYY-MM-DD`: mandates, periods and school years turn at Dutch midnight. */
const day = new Intl.DateTimeFormat('en-CA', {
  timeZone: 'Europe/Amsterdam',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
});
/** Asked thousands of times a second for the same minute, and no day turns within one. */
let lastMinute = Number.NaN;
let lastDay = '';
export function dutchDay(ms: number): string {
  const minute = Math.floor(ms / 60_000);
  if (minute !== lastMinute) {
    lastDay = day.format(ms);
    lastMinute = minute;
  }
  return lastDay;
}

const wall = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'Europe/Amsterdam',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const QUARTER_MS = 15 * 60_000;
let atQuarter = Number.NaN;
let lastQuarter = 0;
/** Quarter of the Dutch day, 0 to 95, as the clock on the wall shows it. */
export function dutchQuarter(ms: number): number {
  const at = Math.floor(ms / QUARTER_MS);
  if (at !== atQuarter) {
    const [hour = 0, minute = 0] = wall.format(ms).split(':').map(Number);
    lastQuarter = hour * 4 + Math.floor(minute / 15);
    atQuarter = at;
  }
  return lastQuarter;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
/** Of January to December; February's depends on the year. */
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
/** Whether `text` is a day that exists. */
export function isDay(text: string): boolean {
  if (!DAY.test(text)) return false;
  const year = Number(text.slice(0, 4));
  const month = Number(text.slice(5, 7));
  const day = Number(text.slice(8));
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day >= 1 && day <= (DAYS[month - 1] ?? 0) + (leap ? 1 : 0);
}

/** `2026-2027`: two years that follow each other. */
export function isSchoolYear(text: string): boolean {
  const m = /^(\d{4})-(\d{4})$/.exec(text);
  return m !== null && Number(m[2]) === Number(m[1]) + 1;
}

/** The school year that a moment falls in; it turns on 1 August. */
export function schoolYearOf(ms: number): string {
  const [year, month] = dutchDay(ms).split('-').map(Number) as [number, number];
  const first = month >= 8 ? year : year - 1;
  return `${first}-${first + 1}`;
}

/** The first millisecond after Dutch day `text` has ended. */
export function endOfDutchDay(text: string): number {
  const noon = Date.parse(`${text}T12:00:00Z`);
  // Amsterdam is one or two hours ahead of UTC, so the day ends at 22:00 or 23:00 UTC.
  for (const hour of [22, 23]) {
    const at = Date.parse(`${text}T${hour}:00:00Z`);
    if (dutchDay(at) !== dutchDay(noon)) return at;
  }
  return Date.parse(`${text}T23:00:00Z`);
}

/** The first millisecond of Dutch day `text`. */
export function startOfDutchDay(text: string): number {
  const before = new Date(`${text}T12:00:00Z`);
  before.setUTCDate(before.getUTCDate() - 1);
  return endOfDutchDay(before.toISOString().slice(0, 10));
}

const minute = new Intl.DateTimeFormat('sv-SE', {
  timeZone: 'Europe/Amsterdam',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
});
/** A moment by the clocks of the Netherlands, `YYYY-MM-DDTHH:MM`. */
export const dutchMinute = (ms: number): string => minute.format(ms).replace(' ', 'T');

const HOURS: readonly number[] = [2, 1];
/**
 * The moment of `YYYY-MM-DDTHH:MM` on the clocks of the Netherlands; undefined = it is no such text. Of an hour that comes twice the `last` or
 * the first; one that is left out in spring is the hour after it.
 */
export function dutchMoment(text: string, last = false): number | undefined {
  const [day = '', time = ''] = text.split('T');
  if (!isDay(day) || !/^([01]\d|2[0-3]):[0-5]\d$/.test(time)) return undefined;
  const utc = Date.parse(`${text}:00Z`);
  const found = HOURS.map((hours) => utc - hours * 3_600_000).filter((ms) => dutchMinute(ms) === text);
  return (last ? found.at(-1) : found[0]) ?? utc - 3_600_000;
}

/** Codes of year groups, as all standards of the chain have them (EDEXML, jaargroep). */
export const yearGroupCodes: ReadonlySet<string> = new Set(
  'B D 0 1 2 3 4 5 6 7 8 11 12 13 14 15 16 S V C N H'.split(' '),
);
