/**
 * Learners of a school go on at another one: a merge, a split, or some of them. One person asks, another approves; on the day they cross in lots. Who
 * somebody is at the other school is another token, which only the vault knows beside this one: a door has each lot join there first, and then
 * says here who went. Why it is so: docs/decisions/0059-who-changes-school-is-told-of-twice.md.
 */
import { createHash } from 'node:crypto';
import { decoded, emit, Freezes, type LogRecord, type Reader, type TimerRow, type Unit } from '#bus';
import { dutchDay, type Fault, isAtSite, isDay, schoolYearOf, startOfDutchDay, uuidText } from '#kernel';
import { RosterDifference, type SchoolChangeSubmitted } from '#proto/eduk/events/v1/rosters';
import type { Going } from '#proto/eduk/rosters/v1/rosters';
import type { Leaver } from './leaving.ts';
import type { LearnerRows } from './merge.ts';
import { winnerOf } from './merge.ts';
import {
  type ChangeRow,
  changes,
  crossers,
  freezes,
  type HoldRow,
  holds,
  type LearnerRow,
  learners,
  years,
} from './tables.ts';

/** Why a hold is no roster's; the word of its timers. */
export const SCHOOL_CHANGE = 'school_change';
/** So long rosters of the school do not bring back who went, for its administration may name them for some nights more. */
const AWAY_MS = 30 * 86_400_000;
const KEPT_MS = 2 * 366 * 86_400_000;
/** Rows removed at one firing of a timer. */
const AT_ONCE = 1_000;

export type Scope = Pick<SchoolChangeSubmitted, 'whole' | 'siteCodes' | 'yearGroups'> & {
  school: string;
  onDay: string;
  /** Only these; undefined = no list was given. */
  listed: ReadonlySet<string> | undefined;
};

const timerOf = (school: string, changeId: string): string => `${school} ${SCHOOL_CHANGE} ${changeId}`;

const yearOfDay = (day: string): string => schoolYearOf(Date.parse(`${day}T12:00:00Z`));

const yearBefore = (year: string): string => `${Number(year.slice(0, 4)) - 1}-${year.slice(0, 4)}`;

export interface Selected {
  /** Rosters that they leave, from this year on; empty = there are none. */
  year: string;
  /** School year of the day. */
  toYear: string;
  /** Of that first year. */
  rows: LearnerRow[];
}

/**
 * Who goes, as the rosters stand: of the school year of the day, and where the school has nobody in that, as one that ends by it, of the year
 * before. Whoever leaves before the day does not go.
 */
export function selected(
  rows: Reader,
  { school, onDay, whole, siteCodes, yearGroups, listed }: Scope,
  codesOf: (row: LearnerRow) => string[],
): Selected {
  const toYear = yearOfDay(onDay);
  const year =
    rows
      .list(years, { equals: [school] })
      .filter((one) => one.year <= toYear && one.year >= yearBefore(toYear) && one.learners > 0)
      .map((one) => one.year)
      .sort()
      .at(-1) ?? '';
  if (year === '') return { year, toYear, rows: [] };
  const isSome = listed !== undefined || siteCodes.length + yearGroups.length > 0;
  const goes = (row: LearnerRow): boolean =>
    !(row.leavesOn !== '' && row.leavesOn < onDay) &&
    (whole ||
      (isSome &&
        (listed === undefined || listed.has(row.learner)) &&
        (siteCodes.length === 0 || siteCodes.some((code) => isAtSite(codesOf(row), code))) &&
        (yearGroups.length === 0 || yearGroups.includes(row.yearGroup))));
  return { year, toYear, rows: rows.list(learners, { equals: [school, year] }).filter(goes) };
}

/** Where one who goes stands in the rosters, from a year on. */
export function goingOf(rows: Reader, school: string, learner: string, from: string, toYear: string): Going {
  const found = rows
    .list(years, { equals: [school] })
    .map(({ year }) => year)
    .filter((year) => year >= from)
    .sort()
    .flatMap((year) => rows.get(learners, school, year, learner) ?? []);
  const named = new Set(found.map(({ year }) => year));
  return {
    learner,
    years: found
      .filter(({ year }) => year >= toYear || !named.has(toYear))
      .map(({ year, yearGroup, nameMark }) => ({
        schoolYear: year,
        toSchoolYear: year < toYear ? toYear : year,
        // In another school year it is another one, or the same for once more: that is for the school to say.
        yearGroup: year < toYear ? '' : yearGroup,
        nameMark: Buffer.from(nameMark, 'hex'),
      })),
  };
}

type Why = [code: Fault, told: string];

function refuse(unit: Unit, school: string, changeId: string, [code, told]: Why, flowId?: string): void {
  const options = flowId === undefined ? undefined : { flowId, school };
  emit(unit, 'SchoolChangeRefused', { schoolOin: school, changeId, code, told }, school, options);
}

function whyNot(unit: Unit, asked: SchoolChangeSubmitted): Why | undefined {
  const { schoolOin, toSchoolOin, onDay, whole, siteCodes, yearGroups, learners: listed } = asked;
  if (toSchoolOin === '' || toSchoolOin === schoolOin)
    return ['wire.invalid', 'Learners go on at another school than the one that they leave.'];
  if (!isDay(onDay) || onDay < dutchDay(unit.now)) return ['wire.invalid', 'The day is one that is not past.'];
  const some = siteCodes.length + yearGroups.length + listed.length;
  if (whole ? some > 0 : some === 0)
    return ['wire.invalid', 'A change is of the whole school, or of sites, year groups or a list.'];
  return undefined;
}

/** The same change asked again is the one that stands. */
const wordOf = ({ toSchoolOin, onDay, whole, siteCodes, yearGroups, learners: of }: SchoolChangeSubmitted): string =>
  createHash('sha256')
    .update(JSON.stringify([toSchoolOin, onDay, whole, [...siteCodes].sort(), [...yearGroups].sort(), [...of].sort()]))
    .digest('hex');

/** Waits, always. */
export function askChange(record: LogRecord, unit: Unit): void {
  const asked = decoded(record, 'SchoolChangeSubmitted');
  const { schoolOin: school, toSchoolOin, onDay, byOin, byPerson } = asked;
  const why = whyNot(unit, asked);
  if (why) {
    refuse(unit, school, '', why);
    return;
  }
  const word = wordOf(asked);
  const before = unit
    .list(changes, { equals: [school] })
    .find((one) => one.word === word && (one.state === 'held' || one.state === 'planned'));
  const changeId = before?.changeId ?? uuidText(record.id);
  if (before?.state === 'planned') {
    emit(unit, 'SchoolChangePlanned', { schoolOin: school, changeId, toSchoolOin, onDay }, school);
    return;
  }
  if (!before) {
    const listed = new Set(asked.learners.map((token) => winnerOf(unit, school, token)));
    for (const learner of listed) unit.put(crossers, { school, changeId, learner, state: 'listed', atMs: unit.now });
    unit.put(changes, {
      school,
      changeId,
      toSchool: toSchoolOin,
      onDay,
      whole: asked.whole ? 1 : 0,
      sites: asked.siteCodes,
      yearGroups: asked.yearGroups,
      listed: listed.size,
      word,
      state: 'held',
      year: '',
      leftOn: '',
      waiting: 0,
      went: 0,
      stayed: 0,
      atMs: unit.now,
    });
    unit.put(holds, {
      school,
      holdId: changeId,
      year: schoolYearOf(record.timeMs),
      rosterId: '',
      byOin,
      flowId: record.flowId,
      reason: SCHOOL_CHANGE,
      state: 'waiting',
      sinceMs: unit.now,
      madeMs: 0,
      partial: 0,
      difference: RosterDifference.fromPartial({}),
      learnersLeaving: [],
      groupsClosing: [],
      schoolChange: { toSchool: toSchoolOin, onDay, byPerson },
    });
  }
  emit(unit, 'SchoolChangeHeld', { schoolOin: school, changeId, toSchoolOin }, school);
}

/** Whoever asked does not approve it too; the operator's key is nobody in particular, and must say that it stands in. */
export function decideChange(record: LogRecord, unit: Unit, hold: HoldRow): void {
  const { approve, byPerson, confirmed } = decoded(record, 'HoldDecisionSubmitted');
  const { school, holdId: changeId, flowId } = hold;
  const row = unit.get(changes, school, changeId);
  const isSecond = byPerson === '' ? confirmed : byPerson !== hold.schoolChange!.byPerson;
  if (approve && !isSecond) {
    refuse(unit, school, changeId, ['party.forbidden', 'Who asked for it does not approve it: another person does.']);
    return;
  }
  const isApproved = approve && row?.state === 'held';
  unit.put(holds, { ...hold, state: isApproved ? 'approved' : 'rejected' });
  emit(
    unit,
    'HoldDecided',
    { holdId: changeId, rosterId: '', schoolOin: school, approved: isApproved, part: false },
    school,
  );
  if (!isApproved) {
    if (row) endChange(unit, row, 'rejected');
    refuse(unit, school, changeId, ['hold.pending', 'It waited for approval and was rejected.'], flowId);
    return;
  }
  unit.put(changes, { ...row, state: 'planned', atMs: unit.now });
  // The last moment of the day before: a school year that turns on that day does so after it.
  const atMs = Math.max(unit.now, startOfDutchDay(row.onDay) - 1);
  unit.setTimer({ id: timerOf(school, changeId), atMs, key: school, payload: `${SCHOOL_CHANGE} ${changeId}` });
  const planned = { schoolOin: school, changeId, toSchoolOin: row.toSchool, onDay: row.onDay };
  emit(unit, 'SchoolChangePlanned', planned, school, { flowId, school });
}

/** Until its day. */
export function undoChange(record: LogRecord, unit: Unit): void {
  const { schoolOin: school, changeId } = decoded(record, 'SchoolChangeUndoSubmitted');
  const row = unit.get(changes, school, changeId);
  if (row?.state !== 'held' && row?.state !== 'planned') {
    const why: Why =
      row?.state === 'under_way' || row?.state === 'done'
        ? ['state.conflict', 'Its day has come: have those who should not have gone go back, by a change of their own.']
        : ['state.missing', 'No such change of schools is to come.'];
    refuse(unit, school, changeId, why);
    return;
  }
  unit.cancelTimer(timerOf(school, changeId));
  const hold = unit.get(holds, school, changeId);
  if (hold?.state === 'waiting') unit.put(holds, { ...hold, state: 'rejected' });
  endChange(unit, row, 'undone');
  emit(unit, 'SchoolChangeUndone', { schoolOin: school, changeId }, school);
}

function endChange(unit: Unit, row: ChangeRow, state: 'undone' | 'rejected'): void {
  unit.put(changes, { ...row, state, atMs: unit.now });
  for (const { learner } of unit.list(crossers, { equals: [row.school, row.changeId] }))
    unit.remove(crossers, row.school, row.changeId, learner);
}

/** The day has come, or the time in which rosters do not bring back who went is over. True = the timer is of a change. */
export function onChangeTimer(timer: TimerRow, unit: Unit, codesOf: (row: LearnerRow) => string[]): boolean {
  const [what, changeId = ''] = timer.payload.split(' ');
  if (what !== SCHOOL_CHANGE) return false;
  const row = unit.get(changes, timer.key, changeId);
  const untilMs = row && frozenMove(unit, unit.now, row);
  if (untilMs !== undefined) unit.setTimer({ ...timer, atMs: untilMs });
  else if (row?.state === 'planned') begin(unit, row, timer, codesOf);
  else if (row?.state === 'done') {
    const some = unit.list(crossers, { equals: [row.school, changeId], limit: AT_ONCE });
    for (const { learner } of some) unit.remove(crossers, row.school, changeId, learner);
    if (some.length === AT_ONCE) unit.setTimer({ ...timer, atMs: unit.now });
  }
  return true;
}

const freezesKnown = new Freezes(freezes);

/** When no freeze of either school holds any more a change that has not begun; undefined = none does now. */
export const frozenMove = (rows: Reader, now: number, { school, toSchool, state }: ChangeRow): number | undefined =>
  state === 'planned'
    ? freezesKnown.of(rows, { kind: 'move', schools: [school, toSchool], parties: [], atMs: now })?.untilMs
    : undefined;

/** A freeze was ended early: what waits for its day, or for a freeze, is looked at anew. */
export function lookAgain(unit: Unit): void {
  for (const { school, changeId, onDay } of unit.list(changes, { index: 'byState', equals: ['planned'] })) {
    const atMs = Math.max(unit.now, startOfDutchDay(onDay) - 1);
    unit.setTimer({ id: timerOf(school, changeId), atMs, key: school, payload: `${SCHOOL_CHANGE} ${changeId}` });
  }
}

/** Who goes is settled now: who comes to the school after this has not gone. */
function begin(unit: Unit, row: ChangeRow, timer: TimerRow, codesOf: (row: LearnerRow) => string[]): void {
  const { school, changeId, onDay, sites, yearGroups } = row;
  const listed = row.listed > 0 ? unit.list(crossers, { equals: [school, changeId] }) : [];
  const { year, rows } = selected(
    unit,
    {
      school,
      onDay,
      whole: row.whole === 1,
      siteCodes: sites,
      yearGroups,
      listed: row.listed > 0 ? new Set(listed.map(({ learner }) => winnerOf(unit, school, learner))) : undefined,
    },
    codesOf,
  );
  const going = new Set(rows.map(({ learner }) => learner));
  for (const { learner } of listed) if (!going.has(learner)) unit.remove(crossers, school, changeId, learner);
  for (const learner of going) unit.put(crossers, { school, changeId, learner, state: 'waits', atMs: unit.now });
  // It may have waited longer than for its day.
  const leftOn = dutchDay(timer.atMs);
  save(unit, { ...row, state: 'under_way', year, leftOn, waiting: going.size, atMs: unit.now });
}

/** Nobody is left to go: it is done. */
function save(unit: Unit, row: ChangeRow): void {
  const isDone = row.waiting === 0;
  unit.put(changes, isDone ? { ...row, state: 'done' } : row);
  if (!isDone) return;
  const { school, changeId } = row;
  const payload = `${SCHOOL_CHANGE} ${changeId}`;
  unit.setTimer({ id: timerOf(school, changeId), atMs: unit.now + AWAY_MS, key: school, payload });
}

/** Some are at the other school, and leave this one. Who was said to have gone before has gone. */
export function cross(
  record: LogRecord,
  unit: Unit,
  rows: LearnerRows,
  gone: (year: string, went: readonly Leaver[]) => void,
): void {
  const { schoolOin: school, changeId, went, stayed } = decoded(record, 'SchoolCrossingSubmitted');
  const row = unit.get(changes, school, changeId);
  if (row?.state !== 'under_way' && row?.state !== 'done') {
    refuse(unit, school, changeId, ['state.missing', 'No such change of schools is under way.']);
    return;
  }
  const waits = (learner: string) => unit.get(crossers, school, changeId, learner)?.state === 'waits';
  const leaving = [...new Set(went)].filter(waits);
  const staying = [...new Set(stayed)].filter((learner) => waits(learner) && !leaving.includes(learner));
  for (const learner of leaving) unit.put(crossers, { school, changeId, learner, state: 'went', atMs: unit.now });
  for (const learner of staying) unit.put(crossers, { school, changeId, learner, state: 'stays', atMs: unit.now });
  const inYears = unit
    .list(years, { equals: [school] })
    .map(({ year }) => year)
    .filter((year) => year >= row.year);
  const left = inYears.map((year) => ({
    year,
    went: leaving.flatMap((learner) => {
      const there = unit.get(learners, school, year, learner);
      return there && leave(unit, there, row, rows) ? [{ token: learner, isStaff: false, leftOn: row.leftOn }] : [];
    }),
  }));
  for (const { year, went: of } of left) if (of.length > 0) gone(year, of);
  const counts = { went: leaving.length, stayed: staying.length };
  const after = {
    ...row,
    went: row.went + counts.went,
    stayed: row.stayed + counts.stayed,
    waiting: row.waiting - counts.went - counts.stayed,
    atMs: unit.now,
  };
  if (row.state === 'under_way') save(unit, after);
  const said = { schoolOin: school, changeId, toSchoolOin: row.toSchool, ...counts, waiting: after.waiting };
  emit(unit, 'SchoolCrossed', said, school);
}

function leave(unit: Unit, there: LearnerRow, { leftOn, toSchool }: ChangeRow, rows: LearnerRows): boolean {
  const { school: schoolOin, year: schoolYear, learner, baseGroup: group } = there;
  const { siteCodes } = rows.entry(there);
  rows.remove(unit, there);
  const value = { schoolOin, schoolYear, learner, leftOn, group, siteCodes, mergedInto: '' };
  emit(unit, 'LearnerLeft', { ...value, movedToSchoolOin: toSchool }, learner);
  return true;
}

/** Who went, and is not brought back by a roster yet. */
export const awayFrom = (rows: Reader, school: string): string[] =>
  rows
    .list(crossers, { equals: [school] })
    .filter(({ state }) => state === 'went')
    .map(({ learner }) => learner);

/** They come back by another change: they are no more away. */
export function comeBack(unit: Unit, school: string, came: ReadonlySet<string>): void {
  for (const { changeId, learner, state } of unit.list(crossers, { equals: [school] }))
    if (state === 'went' && came.has(learner)) unit.remove(crossers, school, changeId, learner);
}

/** What was decided long ago is of no use any more. */
export function purgeChanges(unit: Unit, school: string): void {
  for (const { changeId, atMs, state } of unit.list(changes, { equals: [school] }))
    if (atMs < unit.now - KEPT_MS && state !== 'planned' && state !== 'under_way')
      unit.remove(changes, school, changeId);
}

/** A school that is forgotten has no changes. True = there is more. */
export function dropChanges(unit: Unit, school: string): boolean {
  const some = unit.list(crossers, { equals: [school], limit: AT_ONCE });
  for (const { changeId, learner } of some) unit.remove(crossers, school, changeId, learner);
  for (const { changeId } of unit.list(changes, { equals: [school] })) {
    unit.cancelTimer(timerOf(school, changeId));
    unit.remove(changes, school, changeId);
  }
  return some.length === AT_ONCE;
}
