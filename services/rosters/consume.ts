/** Records of the stream `rosters` → state from rows → decision → rows, events and timers, in one unit of work. */
import { type Consumer, decoded, emit, type LogRecord, type Reader, type TimerRow, terms, type Unit } from '#bus';
import { endOfDutchDay, schoolYearOf, startOfDutchDay, uuidText } from '#kernel';
import { type GroupEntry, type LearnerEntry, RosterSubmitted, type StaffEntry } from '#proto/eduk/events/v1/rosters';
import {
  type Changes,
  type Decided,
  decide,
  type HoldState,
  isNothing,
  nothingKnown,
  type RosterDocument,
  type RosterEvent,
  type RosterState,
  SHOWN_AT_MOST,
} from './roster.ts';
import {
  forgotten,
  type GroupRow,
  groups,
  type HoldRow,
  heldParts,
  holds,
  type LearnerRow,
  learners,
  parts,
  type StaffRow,
  staff,
  type YearRow,
  years,
} from './tables.ts';

const DAY_MS = 86_400_000;
/** How long parts of a roster wait for its last one. */
export const PARTS_MS = DAY_MS;
/** A roster of a year whose term is over already, such as an old file, is kept this long. */
const LEAST_KEPT_MS = 30 * DAY_MS;
/** Marks of forgotten learners outlive every roster that could still name them. */
const FORGOTTEN_KEPT_MS = 2 * 366 * DAY_MS;
/** Rows removed at one firing of the timer. */
const PURGED_AT_ONCE = 1_000;

export interface RosterSettings {
  /** A roster that removes or renames more than this share of a school, in percent, waits for approval. */
  holdThresholdPercent: number;
}

export function consumer({ holdThresholdPercent }: RosterSettings): Consumer {
  return {
    name: 'rosters',
    streams: ['rosters'],
    types: ['RosterSubmitted', 'LearnersSubmitted', 'HoldDecisionSubmitted', 'LearnerForgetSubmitted'],
    handle(record, unit) {
      switch (record.type) {
        case 'RosterSubmitted':
          return takePart(record, unit, holdThresholdPercent);
        case 'LearnersSubmitted':
          return addLearners(record, unit);
        case 'HoldDecisionSubmitted':
          return decideHold(record, unit);
        case 'LearnerForgetSubmitted':
          return forget(record, unit);
      }
    },
    onTimer,
  };
}

function takePart(record: LogRecord, unit: Unit, thresholdPercent: number): void {
  const given = decoded(record, 'RosterSubmitted');
  const { schoolOin, byOin, rosterId, schoolYear, part } = given;
  const timer = `parts ${byOin} ${rosterId}`;
  if (!given.last) {
    unit.put(parts, { school: schoolOin, byOin, rosterId, part, body: record.data });
    unit.setTimer({ id: `${schoolOin} ${timer}`, atMs: unit.now + PARTS_MS, key: schoolOin, payload: timer });
    emit(unit, 'RosterPartTaken', { rosterId, schoolOin, schoolYear, part }, schoolOin);
    return;
  }
  const earlier = unit.list(parts, { equals: [schoolOin, byOin, rosterId] });
  for (const row of earlier) unit.remove(parts, schoolOin, byOin, rosterId, row.part);
  if (earlier.length > 0) unit.cancelTimer(`${schoolOin} ${timer}`);
  const bodies = [...earlier.filter((row) => row.part < part).map(({ body }) => body), record.data];
  // Rows come by number and are unique, so that as many as the last one's number means none is missing.
  const document = bodies.length === part + 1 ? assemble(bodies) : undefined;
  if (!document) {
    const told = 'A part of the roster is missing, or of another school year.';
    emit(unit, 'RosterRefused', { rosterId, holdId: '', schoolOin, code: 'wire.invalid', told }, schoolOin);
    return;
  }

  const holdId = uuidText(record.id);
  const state = load(unit, schoolOin, schoolYear);
  const decided = decide(state, { type: 'CloseRoster', document, holdId, thresholdPercent, now: unit.now });
  save(unit, state, document, decided);
  const held = decided.events.find((event) => event.name === 'RosterHeld');
  if (!held) return;
  const { difference, reason } = held.value;
  unit.put(holds, {
    school: schoolOin,
    holdId,
    year: schoolYear,
    rosterId,
    byOin,
    flowId: record.flowId,
    reason,
    state: 'waiting',
    sinceMs: unit.now,
    madeMs: document.madeMs,
    partial: document.partial ? 1 : 0,
    difference: difference!,
    learnersLeaving: decided.changes!.left.slice(0, SHOWN_AT_MOST).map(({ learner }) => learner),
    groupsClosing: decided
      .changes!.groups.filter(({ change }) => change === 'closed')
      .slice(0, SHOWN_AT_MOST)
      .map(({ group }) => group.group),
  });
  for (const [i, body] of bodies.entries()) unit.put(heldParts, { school: schoolOin, holdId, part: i, body });
}

/** Parts put together; the last one says what the roster is. Undefined when parts name different years. */
function assemble(bodies: readonly Uint8Array[]): RosterDocument | undefined {
  const all = bodies.map((body) => RosterSubmitted.decode(body));
  const last = all.at(-1)!;
  if (all.some(({ schoolYear }) => schoolYear !== last.schoolYear)) return undefined;
  const said = (pick: (part: RosterSubmitted) => string) =>
    pick(last) || all.map(pick).find((text) => text !== '') || '';
  return {
    rosterId: last.rosterId,
    schoolOin: last.schoolOin,
    schoolYear: last.schoolYear,
    asOf: said((part) => part.asOf),
    madeMs: Date.parse(said((part) => part.madeAt)) || 0,
    partial: all.some((part) => part.partial),
    byOin: last.byOin,
    sites: all.flatMap((part) => part.sites),
    groups: all.flatMap((part) => part.groups),
    learners: all.flatMap((part) => part.learners),
    staff: all.flatMap((part) => part.staff),
  };
}

function addLearners(record: LogRecord, unit: Unit): void {
  const { schoolOin, schoolYear: givenYear, learners: named } = decoded(record, 'LearnersSubmitted');
  const schoolYear = givenYear || schoolYearOf(unit.now);
  const state = load(
    unit,
    schoolOin,
    schoolYear,
    named.map(({ learner }) => learner),
  );
  const decided = decide(state, { type: 'AddLearners', schoolOin, schoolYear, learners: named, now: unit.now });
  save(unit, state, { schoolOin, schoolYear }, decided);
}

function decideHold(record: LogRecord, unit: Unit): void {
  const { schoolOin, holdId, approve } = decoded(record, 'HoldDecisionSubmitted');
  const row = unit.get(holds, schoolOin, holdId);
  const waits = row?.state === 'waiting';
  const document = waits
    ? assemble(unit.list(heldParts, { equals: [schoolOin, holdId] }).map(({ body }) => body))
    : undefined;
  const state = waits ? load(unit, schoolOin, row.year) : nothingKnown;
  const hold = row && holdState(row);
  const decided = decide(state, { type: 'DecideHold', schoolOin, holdId, approve, hold, document, now: unit.now });
  save(unit, state, document ?? { schoolOin, schoolYear: row?.year ?? '' }, decided);
}

/**
 * Keyed by the learner, so that it may run beside a roster of the school: the mark that stays behind keeps that roster,
 * decided before or after, from bringing the learner back.
 */
function forget(record: LogRecord, unit: Unit): void {
  const { schoolOin, learner, destroyAtMs } = decoded(record, 'LearnerForgetSubmitted');
  for (const year of unit.list(years, { equals: [schoolOin] })) {
    const row = unit.get(learners, schoolOin, year.year, learner);
    if (!row) continue;
    removeLearner(unit, schoolOin, row.year, learner, row.leavesOn);
    const kept = unit.get(years, schoolOin, year.year) ?? year;
    unit.put(years, { ...kept, learners: kept.learners - 1, changedMs: unit.now });
  }
  unit.put(forgotten, { school: schoolOin, learner, atMs: unit.now, destroyAtMs: Number(destroyAtMs) });
  // Told again on a repeat: the vault may have to destroy sooner than it was told first.
  emit(unit, 'LearnerForgotten', { schoolOin, learner, destroyAtMs }, learner);
}

function onTimer(timer: TimerRow, unit: Unit): void {
  const [what, first = '', second = ''] = timer.payload.split(' ');
  const schoolOin = timer.key;
  if (what === 'leave') endDay(unit, schoolOin, first, second);
  else if (what === 'purge') purge(unit, schoolOin, first, timer);
  else dropParts(unit, schoolOin, first, second);
}

function endDay(unit: Unit, schoolOin: string, schoolYear: string, learner: string): void {
  const state = load(unit, schoolOin, schoolYear, [learner]);
  const decided = decide(state, { type: 'EndDay', schoolOin, schoolYear, learner, now: unit.now });
  save(unit, state, { schoolOin, schoolYear }, decided);
}

function dropParts(unit: Unit, schoolOin: string, byOin: string, rosterId: string): void {
  for (const { part } of unit.list(parts, { equals: [schoolOin, byOin, rosterId] }))
    unit.remove(parts, schoolOin, byOin, rosterId, part);
  const told = 'The last part of the roster did not come within 24 hours.';
  emit(unit, 'RosterRefused', { rosterId, holdId: '', schoolOin, code: 'wire.invalid', told }, schoolOin);
}

/** Retention: the turn of the year is no removal, so nobody is told that anyone left. */
function purge(unit: Unit, school: string, year: string, timer: TimerRow): void {
  const page = { equals: [school, year], limit: PURGED_AT_ONCE };
  const oldLearners = unit.list(learners, page);
  for (const row of oldLearners) unit.remove(learners, school, year, row.learner);
  if (oldLearners.length === PURGED_AT_ONCE) {
    unit.setTimer({ ...timer, atMs: unit.now });
    return;
  }
  for (const row of unit.list(groups, { equals: [school, year] })) unit.remove(groups, school, year, row.groupToken);
  for (const row of unit.list(staff, { equals: [school, year] })) unit.remove(staff, school, year, row.staff);
  for (const hold of unit.list(holds, { index: 'ofYear', equals: [school, year] })) {
    dropHeldParts(unit, hold);
    unit.remove(holds, school, hold.holdId);
  }
  for (const mark of unit.list(forgotten, { equals: [school] }))
    if (mark.atMs < unit.now - FORGOTTEN_KEPT_MS) unit.remove(forgotten, school, mark.learner);
  unit.remove(years, school, year);
}

/** When a school year's rows have had their term, Unix milliseconds. */
const keptUntil = (year: string): number =>
  terms['RETENTION_ROSTER']!.end(startOfDutchDay(`${year.slice(0, 4)}-08-01`));

/** State of a school year from rows; with `only`, of those learners. */
function load(unit: Unit, school: string, year: string, only?: readonly string[]): RosterState {
  const row = unit.get(years, school, year);
  const rows = only
    ? only.flatMap((learner) => unit.get(learners, school, year, learner) ?? [])
    : unit.list(learners, { equals: [school, year] });
  return {
    madeMs: row?.madeMs ?? 0,
    sites: row?.sites ?? [],
    groups: new Map(
      unit.list(groups, { equals: [school, year] }).map((group) => [group.groupToken, groupEntry(group)]),
    ),
    size: row?.learners ?? 0,
    learners: new Map(rows.map((learner) => [learner.learner, learnerEntry(learner)])),
    staff: new Map(
      only ? [] : unit.list(staff, { equals: [school, year] }).map((person) => [person.staff, staffEntry(person)]),
    ),
    forgotten: new Set(unit.list(forgotten, { equals: [school] }).map(({ learner }) => learner)),
    waiting: unit.list(holds, { index: 'waiting', equals: ['waiting', school, year] }).map(holdState),
  };
}

/** Whose school year it is; the whole roster where one was closed or approved. */
type About = Pick<RosterDocument, 'schoolOin' | 'schoolYear'> & Partial<RosterDocument>;

/** Rows, timers and events of what was decided. */
function save(unit: Unit, state: RosterState, about: About, { events, changes }: Decided): void {
  let size = 0;
  let openGroups = 0;
  for (const event of events) {
    if (event.name === 'LearnerJoined') size++;
    if (event.name === 'LearnerLeft') size--;
    if (event.name === 'GroupChanged') openGroups += { opened: 1, closed: -1 }[event.value.change] ?? 0;
    saveRow(unit, state, about, event);
    const options = event.flowId === undefined ? undefined : { flowId: event.flowId };
    emit(unit, event.name, event.value as never, event.key, options);
  }
  const isApplied = events.some((event) => event.name === 'RosterApplied');
  if (isApplied || size !== 0) saveYear(unit, about, { size, openGroups, isApplied, changes });
}

/** The rule of `evolve`, for rows. Rows are not read again: `state` has those that were there. */
function saveRow(
  unit: Unit,
  state: RosterState,
  { schoolOin: school, schoolYear: year }: About,
  event: RosterEvent,
): void {
  switch (event.name) {
    case 'LearnerJoined':
    case 'LearnerMoved':
    case 'LearnerChanged': {
      const entry = event.value.learner!;
      unit.put(learners, learnerRow(school, year, entry, unit.now));
      const id = leaveTimer(school, year, entry.learner);
      if (entry.leavesOn !== '')
        unit.setTimer({
          id,
          atMs: endOfDay(entry.leavesOn),
          key: school,
          payload: `leave ${year} ${entry.learner}`,
        });
      else if (state.learners.get(entry.learner)?.leavesOn) unit.cancelTimer(id);
      return;
    }
    case 'LearnerLeft': {
      const { learner } = event.value;
      removeLearner(unit, school, year, learner, state.learners.get(learner)?.leavesOn);
      return;
    }
    case 'GroupChanged': {
      const { group, change } = event.value;
      if (change === 'closed') unit.remove(groups, school, year, group!.group);
      else unit.put(groups, groupRow(school, year, group!, unit.now));
      return;
    }
    case 'StaffChanged':
      if (event.value.change === 'left') unit.remove(staff, school, year, event.value.staff!.staff);
      else unit.put(staff, staffRow(school, year, event.value.staff!, unit.now));
      return;
    case 'HoldDecided':
      endHold(unit, school, event.value.holdId, event.value.approved ? 'approved' : 'rejected');
      return;
    case 'RosterRefused':
      if (event.value.holdId !== '') endHold(unit, school, event.value.holdId, 'rejected');
  }
}

function saveYear(
  unit: Unit,
  document: About,
  {
    size,
    openGroups,
    isApplied,
    changes,
  }: { size: number; openGroups: number; isApplied: boolean; changes: Changes | undefined },
): void {
  const { schoolOin: school, schoolYear: year } = document;
  const known = unit.get(years, school, year);
  if (!known) {
    const id = `${school} purge ${year}`;
    unit.setTimer({
      id,
      atMs: Math.max(keptUntil(year), unit.now + LEAST_KEPT_MS),
      key: school,
      payload: `purge ${year}`,
    });
  }
  const before: YearRow = known ?? {
    school,
    year,
    rosterId: '',
    byOin: '',
    asOf: '',
    madeMs: 0,
    changedMs: 0,
    learners: 0,
    groups: 0,
    sites: [],
  };
  const isChanged = !known || (isApplied ? changes !== undefined && !isNothing(changes) : size !== 0);
  unit.put(years, {
    ...before,
    rosterId: document.rosterId ?? before.rosterId,
    byOin: document.byOin ?? before.byOin,
    asOf: document.asOf || before.asOf,
    madeMs: Math.max(before.madeMs, document.madeMs ?? 0),
    changedMs: isChanged ? unit.now : before.changedMs,
    learners: before.learners + size,
    groups: before.groups + openGroups,
    sites: isApplied && changes ? [...changes.sites] : before.sites,
  });
}

/** Classes leave together, and asking the calendar costs more than saving a row. */
const endsOfDays = new Map<string, number>();
function endOfDay(day: string): number {
  const known = endsOfDays.get(day);
  if (known !== undefined) return known;
  if (endsOfDays.size >= 1_000) endsOfDays.clear();
  const at = endOfDutchDay(day);
  endsOfDays.set(day, at);
  return at;
}

const leaveTimer = (school: string, year: string, learner: string): string => `${school} leave ${year} ${learner}`;

function removeLearner(unit: Unit, school: string, year: string, learner: string, leavesOn: string | undefined): void {
  unit.remove(learners, school, year, learner);
  if (leavesOn) unit.cancelTimer(leaveTimer(school, year, learner));
}

function endHold(unit: Unit, school: string, holdId: string, state: string): void {
  const hold = unit.get(holds, school, holdId);
  if (hold?.state !== 'waiting') return;
  unit.put(holds, { ...hold, state });
  dropHeldParts(unit, hold);
}

function dropHeldParts(unit: Pick<Unit, 'remove'> & Reader, { school, holdId }: HoldRow): void {
  for (const { part } of unit.list(heldParts, { equals: [school, holdId] }))
    unit.remove(heldParts, school, holdId, part);
}

const holdState = (row: HoldRow): HoldState => ({
  holdId: row.holdId,
  rosterId: row.rosterId,
  year: row.year,
  flowId: row.flowId,
  state: row.state,
  madeMs: row.madeMs,
  partial: row.partial === 1,
});

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

const learnerRow = (school: string, year: string, entry: LearnerEntry, changedMs: number): LearnerRow => ({
  school,
  year,
  learner: entry.learner,
  yearGroup: entry.yearGroup,
  baseGroup: entry.group,
  compositeGroups: entry.compositeGroups,
  site: entry.site,
  entersOn: entry.entersOn,
  leavesOn: entry.leavesOn,
  nameMark: hexOf(entry.nameMark),
  changedMs,
});

export const learnerEntry = (row: LearnerRow): LearnerEntry => ({
  learner: row.learner,
  yearGroup: row.yearGroup,
  group: row.baseGroup,
  compositeGroups: row.compositeGroups,
  site: row.site,
  entersOn: row.entersOn,
  leavesOn: row.leavesOn,
  nameMark: Buffer.from(row.nameMark, 'hex'),
});

const groupRow = (school: string, year: string, entry: GroupEntry, changedMs: number): GroupRow => ({
  school,
  year,
  groupToken: entry.group,
  name: entry.name,
  description: entry.description,
  yearGroup: entry.yearGroup,
  composite: entry.composite ? 1 : 0,
  changedMs,
});

export const groupEntry = (row: GroupRow): GroupEntry => ({
  group: row.groupToken,
  name: row.name,
  description: row.description,
  yearGroup: row.yearGroup,
  composite: row.composite === 1,
});

const staffRow = (school: string, year: string, entry: StaffEntry, changedMs: number): StaffRow => ({
  school,
  year,
  staff: entry.staff,
  groups: entry.groups,
  duties: entry.duties,
  nameMark: hexOf(entry.nameMark),
  changedMs,
});

export const staffEntry = (row: StaffRow): StaffEntry => ({
  staff: row.staff,
  groups: row.groups,
  duties: row.duties,
  nameMark: Buffer.from(row.nameMark, 'hex'),
});
