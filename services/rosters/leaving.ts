/**
 * Who left, and how long what the vault holds of them is kept: names and contact 30 days, numbers until 1 October. Whoever a roster
 * names again before that never left. Why it is so: docs/decisions/0052-names-leave-by-themselves.md.
 */
import { allOf, type Reader, type TimerRow, type Unit } from '#bus';
import { dutchDay, endOfDutchDay } from '#kernel';
import { winnerOf } from './merge.ts';
import { forgotten, type LeftRow, learners, left, staff, type TurnRow, turns, years } from './tables.ts';

const DAY_MS = 86_400_000;
/** Names and contact: days after the day of leaving. */
const NAMES_DAYS = 30;
/** Who is said to have left long ago can be named again for this long all the same. */
const LEAST_MS = 3 * DAY_MS;
/** Between the forgetting, of which receivers are told, and the destruction. */
export const TERM_UNDO_MS = 3 * DAY_MS;
/** People dealt with at one firing of a timer. */
const AT_ONCE = 100;

/** Words of timers: somebody's hour has come; a year whose people may have left is looked through. */
const LEAVING = 'leaving';
const GONE = 'gone';

export interface Person {
  token: string;
  isStaff: boolean;
}
export interface Leaver extends Person {
  /** YYYY-MM-DD. */
  leftOn: string;
}

/** When names and contact go, Unix milliseconds. */
export function namesEnd(leftOn: string, now: number): number {
  const day = new Date(Date.parse(`${leftOn}T00:00:00Z`) + NAMES_DAYS * DAY_MS).toISOString().slice(0, 10);
  return Math.max(endOfDutchDay(day), now + LEAST_MS);
}

/**
 * When the forgetting begins of which the destruction falls on 1 October after leaving. Who left in September keeps the days in which
 * names could be given again.
 */
export function numbersEnd(leftOn: string, namesEndedMs: number): number {
  const year = Number(leftOn.slice(0, 4)) + (leftOn.slice(5) >= '10-01' ? 1 : 0);
  return Math.max(endOfDutchDay(`${year}-09-30`) - TERM_UNDO_MS, namesEndedMs);
}

/** Those who stand in one of these years. */
function presentIn(rows: Reader, school: string, inYears: readonly string[], people: readonly Person[]): Set<string> {
  if (inYears.length === 0) return new Set();
  const found = allOf(people, ({ token, isStaff }) =>
    allOf(inYears, (year) =>
      isStaff ? rows.get(staff, school, year, token) : rows.get(learners, school, year, token),
    ),
  );
  return new Set(people.filter((_, i) => found[i]!.some(Boolean)).map(({ token }) => token));
}

/** The year that the school is in, and those to come. */
const yearsFrom = (rows: Reader, school: string, running: string): string[] =>
  rows
    .list(years, { equals: [school] })
    .map(({ year }) => year)
    .filter((year) => year >= running);

/** A roster of a year was applied, or somebody named or taken out of it otherwise. */
export function follow(
  unit: Unit,
  running: string,
  { school, year, came, went }: { school: string; year: string; came: readonly Person[]; went: readonly Leaver[] },
): void {
  const isOfNow = year >= running;
  const leavers = isOfNow
    ? went
    : [...went, ...came.map((person) => ({ ...person, leftOn: lastDayOf(year, unit.now) }))];
  if (came.length + leavers.length === 0) return;
  if (isOfNow) {
    const known = new Set(unit.list(left, { equals: [school] }).map(({ person }) => person));
    for (const { token } of came) if (known.has(token)) unit.remove(left, school, token);
  }
  note(unit, school, running, year, leavers);
}

/** Those who stand in no other year than this one begin to leave; whom we know to leave, on the day that was said first. */
function note(unit: Unit, school: string, running: string, except: string, leavers: readonly Leaver[]): void {
  if (leavers.length === 0) return;
  const inYears = yearsFrom(unit, school, running).filter((year) => year !== except);
  const present = presentIn(unit, school, inYears, leavers);
  const known = new Set(unit.list(left, { equals: [school] }).map(({ person }) => person));
  const ends = new Map<string, number>();
  for (const { token, isStaff, leftOn } of leavers) {
    if (present.has(token) || known.has(token)) continue;
    const dueMs = ends.get(leftOn) ?? namesEnd(leftOn, unit.now);
    ends.set(leftOn, dueMs);
    unit.put(left, { school, person: token, isStaff: isStaff ? 1 : 0, leftOn, dueMs, endedMs: 0 });
  }
  if (ends.size > 0) awaitHour(unit, school, Math.min(...ends.values()));
}

/** The timer of a school stands at its earliest hour. */
function awaitHour(unit: Unit, school: string, dueMs: number): void {
  const [first] = unit.list(left, { index: 'ofSchool', equals: [school], limit: 1 });
  const atMs = Math.max(unit.now, Math.min(dueMs, first?.dueMs ?? Infinity));
  unit.setTimer({ id: `${school} ${LEAVING}`, atMs, key: school, payload: LEAVING });
}

/** The last day of a school year; of one that is not over, today. */
function lastDayOf(year: string, now: number): string {
  const last = `${year.slice(5)}-07-31`;
  const today = dutchDay(now);
  return last < today ? last : today;
}

/**
 * Looks once, for each year that a school is in, through the years before it: who stands in those and not in this one has left. Nobody
 * says so at the turn, and what was there before this was kept is found so too.
 */
export function lookBack(unit: Unit, school: string, running: string): void {
  const row = unit.get(turns, school);
  if (!row || row.lookedBack === running) return;
  unit.put(turns, { ...row, lookedBack: running });
  for (const { year } of unit.list(years, { equals: [school] }))
    if (year < running)
      unit.setTimer({
        id: `${school} ${GONE} ${year}`,
        atMs: unit.now,
        key: school,
        payload: `${GONE} ${year} learner`,
      });
}

/** Kept when a turn is written anew. */
export const lookedBack = (row: TurnRow | undefined): Pick<TurnRow, 'lookedBack'> =>
  row?.lookedBack === undefined ? {} : { lookedBack: row.lookedBack };

function look(unit: Unit, running: string, timer: TimerRow): void {
  const school = timer.key;
  const [, year = '', kind = '', after] = timer.payload.split(' ');
  const isStaff = kind === 'staff';
  const page = { equals: [school, year], limit: AT_ONCE, ...(after === undefined ? {} : { after: [after] }) };
  const people: string[] = isStaff
    ? unit.list(staff, page).map((row) => row.staff)
    : unit.list(learners, page).map(({ learner }) => learner);
  const leftOn = lastDayOf(year, unit.now);
  if (year < running)
    note(
      unit,
      school,
      running,
      '',
      people.map((token) => ({ token, isStaff, leftOn })),
    );
  const next = people.length === AT_ONCE ? `${kind} ${people.at(-1)}` : isStaff ? '' : 'staff';
  if (next !== '') unit.setTimer({ ...timer, atMs: unit.now, payload: `${GONE} ${year} ${next}` });
}

/** A year's rows go: who stands in no other has left by its end. */
export function noteGone(unit: Unit, running: string, school: string, year: string, people: readonly Person[]): void {
  const leftOn = lastDayOf(year, unit.now);
  note(
    unit,
    school,
    running,
    year,
    people.map((person) => ({ ...person, leftOn })),
  );
}

/** What is known of the school's leavers goes with it. Says whether there are more. */
export function dropLeavers(unit: Unit, school: string): boolean {
  const rows = unit.list(left, { equals: [school], limit: AT_ONCE });
  for (const { person } of rows) unit.remove(left, school, person);
  return rows.length === AT_ONCE;
}

/** Who was forgotten by its term and is kept has left all the same: the term begins again. */
export function leaveAgain(unit: Unit, school: string, token: string): void {
  const leftOn = dutchDay(unit.now);
  const dueMs = namesEnd(leftOn, unit.now);
  unit.put(left, { school, person: token, isStaff: 0, leftOn, dueMs, endedMs: 0 });
  awaitHour(unit, school, dueMs);
}

/**
 * Somebody's hour may have come. `forget` has a learner forgotten whose time is over; `atMs`: when the vault destroys. True where the
 * timer was one of these.
 */
export function onLeavingTimer(
  timer: TimerRow,
  unit: Unit,
  running: () => string,
  forget: (row: LeftRow, destroyAtMs: number) => void,
): boolean {
  const [what] = timer.payload.split(' ');
  if (what === GONE) look(unit, running(), timer);
  else if (what === LEAVING) endTerms(unit, timer.key, running(), forget);
  else return false;
  return true;
}

const isStaffRow = ({ isStaff }: LeftRow): boolean => isStaff === 1;

function endTerms(
  unit: Unit,
  school: string,
  running: string,
  forget: (row: LeftRow, destroyAtMs: number) => void,
): void {
  const rows = unit.list(left, { index: 'ofSchool', equals: [school], limit: AT_ONCE + 1 });
  const due = rows.filter(({ dueMs }) => dueMs <= unit.now).slice(0, AT_ONCE);
  const people = due.map(({ person, isStaff }) => ({ token: person, isStaff: isStaff === 1 }));
  const inYears = yearsFrom(unit, school, running);
  const present = presentIn(unit, school, inYears, people);
  const marks = allOf(due, ({ person }) => unit.get(forgotten, school, person));
  const winners = allOf(due, (row) => (isStaffRow(row) ? row.person : winnerOf(unit, school, row.person)));
  const later = rows.slice(due.length, due.length + 1).map(({ dueMs }) => dueMs);
  const put = (row: LeftRow): void => {
    unit.put(left, row);
    later.push(row.dueMs);
  };
  for (const [i, row] of due.entries()) {
    const { person, leftOn, endedMs } = row;
    const mark = marks[i];
    const winner = winners[i]!;
    if (winner !== person) {
      // A second token stands for another: whoever it is leaves, and is forgotten, as that one.
      unit.remove(left, school, person);
      if (
        !unit.get(left, school, winner) &&
        !presentIn(unit, school, inYears, [{ token: winner, isStaff: false }]).has(winner)
      )
        put({ ...row, person: winner, dueMs: Math.max(row.dueMs, unit.now + 1) });
    } else if (present.has(person)) unit.remove(left, school, person);
    else if (mark && !mark.keptMs) {
      // Somebody asked for it before; it may still be taken back.
      const destroyAtMs = mark.destroyAtMs ?? 0;
      if (destroyAtMs <= unit.now) unit.remove(left, school, person);
      else put({ ...row, dueMs: destroyAtMs + 1 });
    } else if (endedMs === 0) put({ ...row, endedMs: unit.now, dueMs: numbersEnd(leftOn, unit.now + 1) });
    else {
      unit.remove(left, school, person);
      forget(row, unit.now + TERM_UNDO_MS);
    }
  }
  if (later.length > 0)
    unit.setTimer({
      id: `${school} ${LEAVING}`,
      atMs: Math.max(unit.now, Math.min(...later)),
      key: school,
      payload: LEAVING,
    });
}
