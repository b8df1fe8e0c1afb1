import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { schoolYearOf } from '#kernel';
import type { Age } from '#proto/eduk/bus/v1/bus';
import type { LeaversKept, ListParkedResponse } from '#proto/eduk/operator/v1/operator';
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

function rostersKept({ years, ages, leavers, now }: Known): Kept[] {
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
  return [rosters, namesKept(leavers, why)];
}

/** Names go by a timer of rosters, and the doors tell the vault. */
function namesKept({ overdue: people, sinceMs, untoldSchools, untoldSinceMs }: LeaversKept, why: string): Kept {
  const late =
    people === 0
      ? []
      : [
          `${counted(people, 'person', 'people')} who left should have lost names or numbers, the first ${dutchTime(sinceMs)}: ${why || 'rosters does not come to it'}`,
        ];
  const untold =
    untoldSchools === 0
      ? []
      : [
          `the vault could not be told of ${counted(untoldSchools, 'school')} whose names go, since ${dutchTime(untoldSinceMs)}: see names_not_ended in the log of the door`,
        ];
  return late.length + untold.length > 0
    ? overdue('names', [...late, ...untold].join('; '))
    : ok('names', 'of who left go after 30 days, numbers on 1 October');
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
  leavers: LeaversKept;
  parked: ListParkedResponse;
  now: number;
}

/** One line a class. */
export const retention = (known: Known): Kept[] => [
  ...rostersKept(known),
  ...owners.map(({ what, until, consumers }) => {
    const why = standsStill(known.ages, consumers);
    return why === '' ? ok(what, until) : overdue(what, `may be kept too long (they ${until}): ${why}`);
  }),
  parkedKept(known.parked, known.now),
  backupsKept(known.backups, known.now),
];

/** What stands on this machine's disk, where no gateway can be asked. */
export const backupsOnly = (backups: string, now: number): Kept[] => [backupsKept(backups, now)];
