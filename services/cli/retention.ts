import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { schoolYearOf } from '#kernel';
import type { Age } from '#proto/eduk/bus/v1/bus';
import type { ListParkedResponse } from '#proto/eduk/operator/v1/operator';
import type { SchoolRoster } from '#proto/eduk/rosters/v1/rosters';
import { counted, dutchTime, span } from './print.ts';

/** What is kept longer than its class says, and why: one line for each class. What each may be kept is in `services/bus/retention.ts`. */

export interface Kept {
  name: string;
  state: 'ok' | 'warn';
  says: string;
}

const DAY_MS = 86_400_000;
/** Mail that waits, parked keys: days. */
const PARKED_DAYS = 30;
const BACKUP_DAYS = 35;
/** Names and contact: days after a learner left. */
const NAMES_DAYS = 30;
/** A timer that is this late is not coming by itself; ms. */
const LATE_MS = DAY_MS;

const ok = (what: string, says: string): Kept => ({ name: `kept: ${what}`, state: 'ok', says });
const overdue = (what: string, says: string): Kept => ({ name: `kept: ${what}`, state: 'warn', says });

/** Classes whose owners remove by timers of their own, which stand still with them. */
const owners: readonly { what: string; until: string; consumers: readonly string[] }[] = [
  { what: 'results', until: 'go on 1 October after their school year', consumers: ['results'] },
  { what: 'launches', until: 'lose their hour after 30 days', consumers: ['access'] },
  {
    what: 'orders, rights',
    until: 'lose their learner after the school year, and go after seven years',
    consumers: ['orders', 'entitlements'],
  },
  { what: 'audit', until: 'goes after three years', consumers: ['audit'] },
];

/** Why nothing of a consumer goes at its time; empty = it does. */
function standsStill(ages: readonly Age[], consumers: readonly string[]): string {
  const still = ages.filter(
    ({ consumer, gap, oldestUnreadMs }) => consumers.includes(consumer) && (gap || Number(oldestUnreadMs) > LATE_MS),
  );
  return still
    .map(({ consumer, stream, gap, oldestUnreadMs }) =>
      gap
        ? `${consumer} stands still on ${stream}, where a number is missing`
        : `${consumer} is ${span(Number(oldestUnreadMs))} behind on ${stream}`,
    )
    .join(', ');
}

const earlierYear = (year: string): string => `${Number(year.slice(0, 4)) - 1}-${year.slice(0, 4)}`;

function rostersKept(years: readonly SchoolRoster[], ages: readonly Age[], now: number): Kept[] {
  const previous = earlierYear(schoolYearOf(now));
  const old = years.filter(({ schoolYear }) => schoolYear < previous);
  const why = standsStill(ages, ['rosters']);
  const rosters =
    old.length === 0
      ? ok('rosters', 'none is older than the previous school year')
      : overdue(
          'rosters',
          `${counted(old.length, 'school year')} older than the previous one, of ${counted(new Set(old.map(({ schoolOin }) => schoolOin)).size, 'school')}: ${why || 'a file of a year long past is kept 30 days'}`,
        );
  // A school year ends on 31 July; who did not come back left then.
  const left = years.filter(
    ({ schoolYear }) => Date.parse(`${schoolYear.slice(5)}-08-01T00:00:00Z`) + NAMES_DAYS * DAY_MS < now,
  );
  const names =
    left.length === 0
      ? ok('names', 'no school year ended more than 30 days ago')
      : overdue(
          'names',
          `of who left ${counted(new Set(left.map(({ schoolOin }) => schoolOin)).size, 'school')} after ${left.map(({ schoolYear }) => schoolYear).sort()[0]}, more than 30 days ago: nothing takes them away by itself; the school has them forgotten (eduk learner forget)`,
        );
  return [rosters, names];
}

function parkedKept({ keys, rows }: ListParkedResponse, now: number): Kept {
  const before = now - PARKED_DAYS * DAY_MS;
  const since = [...keys, ...rows].map(({ sinceMs }) => Number(sinceMs)).filter((ms) => ms > 0 && ms < before);
  return since.length === 0
    ? ok('parked', `nothing has waited for more than ${PARKED_DAYS} days`)
    : overdue(
        'parked',
        `${counted(since.length, 'key')} for more than ${PARKED_DAYS} days, the first since ${dutchTime(Math.min(...since))}: nobody took it up or gave it up (eduk dead list)`,
      );
}

/** Backups are removed by whoever makes them. */
function backupsKept(folder: string, now: number): Kept {
  const before = now - BACKUP_DAYS * DAY_MS;
  const old = !existsSync(folder)
    ? []
    : readdirSync(folder).filter((name) => {
        const takenAt = takenAtOf(join(folder, name, 'manifest.json'));
        return takenAt !== undefined && takenAt < before;
      });
  return old.length === 0
    ? ok('backups', `none in ${folder} is older than ${BACKUP_DAYS} days`)
    : overdue(
        'backups',
        `${counted(old.length, 'backup')} in ${folder} older than ${BACKUP_DAYS} days: who was forgotten since still stands in it; nothing removes backups but you`,
      );
}

function takenAtOf(manifest: string): number | undefined {
  try {
    const { takenAt } = JSON.parse(readFileSync(manifest, 'utf8')) as { takenAt?: string };
    return takenAt === undefined ? undefined : Date.parse(takenAt);
  } catch {
    // No backup, or one that cannot be read: the restore drill says so.
    return undefined;
  }
}

export interface Known {
  backups: string;
  ages: readonly Age[];
  years: readonly SchoolRoster[];
  parked: ListParkedResponse;
  now: number;
}

/** One line a class. */
export const retention = ({ backups, ages, years, parked, now }: Known): Kept[] => [
  ...rostersKept(years, ages, now),
  ...owners.map(({ what, until, consumers }) => {
    const why = standsStill(ages, consumers);
    return why === '' ? ok(what, until) : overdue(what, `may be kept too long (they ${until}): ${why}`);
  }),
  parkedKept(parked, now),
  backupsKept(backups, now),
];

/** What stands on this machine's disk, where no gateway can be asked. */
export const backupsOnly = (backups: string, now: number): Kept[] => [backupsKept(backups, now)];
