/** Answers who is at school, from rows as of the last commit. */
import { allOf, type EngineView, type Reader, rulingOf, type Table } from '#bus';
import {
  dutchDay,
  type Handlers,
  type Implementation,
  implement,
  isAtSite,
  isSchoolYear,
  MAIN_SITE,
  schoolYearOf,
  shownForgetHold,
  startOfDutchDay,
} from '#kernel';
import {
  type GroupEntry,
  type LearnerEntry,
  RosterDifference,
  type StaffEntry,
  TurnDifference,
} from '#proto/eduk/events/v1/rosters';
import {
  type Hold,
  type Merge,
  RostersServiceDefinition,
  type SchoolChange,
  type SiteRoster,
  type WaitingTurn,
} from '#proto/eduk/rosters/v1/rosters';
import { frozenMove, goingOf, selected } from './change.ts';
import {
  claimsOfGroup,
  claimsOfLearner,
  claimsOfStaff,
  codesOf,
  FORGETS_MANY,
  groupEntry,
  heldOf,
  learnerEntry,
  rulesKnown,
  staffEntry,
  standingOf,
  turnState,
} from './consume.ts';
import { lastChange } from './history.ts';
import { winnerOf } from './merge.ts';
import { pulling } from './pulls.ts';
import { ofSite } from './scope.ts';
import {
  type ChangeRow,
  changes,
  crossers,
  forgotten,
  groups,
  type HoldRow,
  holds,
  type LearnerRow,
  learners,
  left,
  type MergeRow,
  merges,
  type ScopeRow,
  type StaffRow,
  scopes,
  staff,
  turns,
  years,
} from './tables.ts';
import { dueDay, type Standing, whyLate, whyNot, whyWait, yearAfter } from './turn.ts';

/** Learners on a page where the caller names no number, and the most it may name. */
const PAGE = 1_000;
const LARGEST_PAGE = 5_000;
/** Whoever leaves at its hour has gone within this time; more than so many are not counted. */
const LATE_MS = 86_400_000;
const OVERDUE_COUNTED = 1_000;
/** Schools whose turn waits that are listed. */
const WAITING_TURNS = 100;
/** Of a school that is not listed nobody looks closer. */
const NOTHING_SEEN = { difference: TurnDifference.fromPartial({}), sites: [] };

export function serve(engine: EngineView): readonly Implementation[] {
  const handlers: Handlers<typeof RostersServiceDefinition> = {
    ...pulling(engine),
    getRoster({ schoolOin, schoolYear, limit, after, siteCode }) {
      const year = schoolYear || standingNow(engine, schoolOin).running;
      const row = engine.get(years, schoolOin, year);
      const equals = [schoolOin, year];
      const rosters = siteCode === '' || !row ? [] : engine.list(scopes, { equals: [...equals, siteCode] });
      // A site of which no roster came is not known; the main site is where nothing else was said.
      if (!row || (siteCode !== '' && siteCode !== MAIN_SITE && rosters.length === 0))
        return {
          known: false,
          changedMs: 0n,
          asOf: '',
          sites: [],
          groups: [],
          learners: [],
          staff: [],
          next: '',
          schoolYear: year,
        };
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const { shown, next } = pageOf(engine, equals, size, after, siteCode);
      const isFirst = after === '';
      const asOf = rosters.reduce((latest, one) => (one.asOf > latest ? one.asOf : latest), '');
      return {
        known: true,
        // Who asks for the running year has not seen this one before the turn, though nothing in it changed since.
        changedMs: BigInt(schoolYear ? row.changedMs : Math.max(row.changedMs, turnedMs(engine, schoolOin))),
        asOf: asOf || row.asOf,
        sites: !isFirst ? [] : rosters.length > 0 ? rosters.flatMap(({ sites }) => sites) : row.sites,
        groups: isFirst ? groupsOf(engine, equals, siteCode) : [],
        learners: shown,
        staff: isFirst ? engine.list(staff, { equals }).flatMap((one) => staffAt(one, siteCode) ?? []) : [],
        next,
        schoolYear: year,
      };
    },
    getLearners({ schoolOin, schoolYear, learners: named }) {
      const year = schoolYear || standingNow(engine, schoolOin).running;
      return {
        schoolYear: year,
        learners: allOf(named, (learner) => entryOf(engine, schoolOin, year, learner)).flat(),
      };
    },
    listLeft({ schoolOin, learners: named }) {
      const rows = allOf(named, (learner) => engine.get(left, schoolOin, learner));
      return { learners: rows.flatMap((row) => row?.person ?? []) };
    },
    getLastChange({ schoolOin, schoolYear, siteCode, ...asked }) {
      const year = schoolYear || standingNow(engine, schoolOin).running;
      const changedMs = lastChange(engine, schoolOin, year, { ...asked, site: siteCode });
      return { changedMs: BigInt(schoolYear ? changedMs : Math.max(changedMs, turnedMs(engine, schoolOin))) };
    },
    listHolds({ schoolOin, decided }) {
      const rows = decided
        ? engine.list(holds, { equals: schoolOin === '' ? [] : [schoolOin] })
        : engine.list(holds, { index: 'waiting', equals: schoolOin === '' ? ['waiting'] : ['waiting', schoolOin] });
      return { holds: rows.map((row) => holdOf(engine, row)) };
    },
    listRuleSpent: (request) => rulesKnown.spent(engine, request),
    listForgetting({ sinceMs, limit }) {
      return {
        forgetting: wholeHours(engine, forgotten, 'byHour', 'destroyAtMs', Number(sinceMs), limit).map(
          ({ school, learner, destroyAtMs, keptMs }) => ({
            schoolOin: school,
            learner,
            destroyAtMs: BigInt(destroyAtMs ?? 0),
            kept: keptMs !== undefined && keptMs > 0,
          }),
        ),
      };
    },
    listMerges({ sinceMs, limit, schoolOin, learner }) {
      if (learner !== '') {
        const own = engine.get(merges, schoolOin, learner);
        const winner = own && !own.undone ? own.winner : learner;
        return { merges: engine.list(merges, { index: 'winner', equals: [schoolOin, winner] }).map(mergeOf) };
      }
      if (schoolOin !== '') return { merges: engine.list(merges, { equals: [schoolOin] }).map(mergeOf) };
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const page = engine.list(merges, { index: 'byTime', equals: [], after: [Number(sinceMs) - 1], limit: size });
      return { merges: page.map(mergeOf) };
    },
    selectGoing({ schoolOin: school, onDay, learners: named, ...scope }) {
      const listed = named.length === 0 ? undefined : new Set(named.map((token) => winnerOf(engine, school, token)));
      const { year, toYear, rows } = selected(engine, { ...scope, school, onDay, listed }, codesOf);
      return {
        schoolYear: year,
        toSchoolYear: toYear,
        learners: rows.map(({ learner }) => goingOf(engine, school, learner, year, toYear)),
        yearGroups: rows.map(({ yearGroup }) => yearGroup),
      };
    },
    listSchoolChanges({ schoolOin: school, underWay }) {
      const rows = underWay
        ? engine.list(changes, {
            index: 'byState',
            equals: school === '' ? ['under_way'] : ['under_way', school],
          })
        : engine.list(changes, { equals: school === '' ? [] : [school] });
      return {
        changes: rows
          .map((row) => changeOf(row, frozenUntil(engine, row)))
          .sort((a, b) => (a.changeId < b.changeId ? -1 : 1)),
      };
    },
    listGoing({ schoolOin: school, changeId, limit }) {
      const change = engine.get(changes, school, changeId);
      if (!change) return { learners: [] };
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const page = engine.list(crossers, { index: 'byState', equals: [school, changeId, 'waits'], limit: size });
      const toYear = schoolYearOf(Date.parse(`${change.onDay}T12:00:00Z`));
      return { learners: page.map(({ learner }) => goingOf(engine, school, learner, change.year, toYear)) };
    },
    listNamesEnded({ sinceMs, limit }) {
      // Whose names are there still stand at 0.
      const rows = wholeHours(engine, left, 'ended', 'endedMs', Math.max(1, Number(sinceMs)), limit);
      return {
        people: rows.map(({ school, person, endedMs }) => ({ schoolOin: school, person, endedMs: BigInt(endedMs) })),
      };
    },
    countOverdue() {
      const lateMs = engine.now() - LATE_MS;
      const rows = engine.list(left, { index: 'byHour', equals: [], limit: OVERDUE_COUNTED });
      const overdue = rows.filter(({ dueMs }) => dueMs < lateMs);
      return { people: overdue.length, sinceMs: BigInt(overdue[0]?.dueMs ?? 0) };
    },
    listSchools({ schoolOin }) {
      const rows = engine.list(years, { equals: schoolOin === '' ? [] : [schoolOin] });
      return {
        rosters: rows.map((row) => ({
          schoolOin: row.school,
          schoolYear: row.year,
          learners: row.learners,
          groups: row.groups,
          changedMs: BigInt(row.changedMs),
          sites: engine.list(scopes, { equals: [row.school, row.year] }).map(siteOf),
          running: standingNow(engine, row.school).running === row.year,
        })),
      };
    },
    listTurns({ schoolOin, limit }) {
      const rows = readerAt(engine, engine.now());
      const today = dutchDay(rows.now);
      const size = Math.min(limit || WAITING_TURNS, WAITING_TURNS);
      const found: WaitingTurn[] = [];
      let total = 0;
      for (const { school } of engine.list(turns, { equals: schoolOin === '' ? [] : [schoolOin] })) {
        const stands = standingOf(rows, school);
        const schoolYear = yearAfter(stands.running);
        const onDay = dueDay(stands, schoolYear);
        if (onDay > today) continue;
        const why = whyLate(
          {
            size: engine.get(years, school, schoolYear)?.learners,
            waiting: heldOf(rows, school, schoolYear),
          },
          // Two whole years are read only of those that are listed.
          () => (found.length < size ? turnState(rows, school, schoolYear) : NOTHING_SEEN),
        );
        if (why === undefined) continue;
        total++;
        if (found.length < size) found.push({ schoolOin: school, running: stands.running, schoolYear, onDay, why });
      }
      return { turns: found, total };
    },
    previewTurn({ schoolOin, schoolYear: asked }) {
      const now = engine.now();
      const rows = readerAt(engine, now);
      const schoolYear = asked || yearAfter(standingOf(rows, schoolOin).running);
      const state = turnState(rows, schoolOin, schoolYear);
      const refusal = whyNot(state, { schoolYear, onDay: '', now });
      const isAhead = schoolYear > state.running;
      return {
        running: state.running,
        schoolYear,
        difference: state.difference,
        sites: [...state.sites],
        onDay: isAhead && isSchoolYear(schoolYear) ? dueDay(state, schoolYear) : '',
        planned: state.plan?.year === schoolYear,
        code: refusal?.code ?? '',
        told: refusal?.told ?? '',
        waits: isAhead && state.size ? (whyWait(state) ?? '') : '',
      };
    },
  };
  return [implement(RostersServiceDefinition, handlers)];
}

/** A page of rows from an hour on. Those of one hour stand together, which no page may cut: the next one begins after it. */
function wholeHours<Row extends object>(
  engine: EngineView,
  of: Table<Row>,
  index: string,
  hour: keyof Row & string,
  sinceMs: number,
  limit: number,
): readonly Readonly<Row>[] {
  const size = Math.min(limit || PAGE, LARGEST_PAGE);
  const page = engine.list(of, { index, equals: [], after: [sinceMs - 1], limit: size });
  const last = page.at(-1)?.[hour];
  if (page.length < size) return page;
  return [...page.filter((row) => row[hour] !== last), ...engine.list(of, { index, equals: [last as number] })];
}

const readerAt = (engine: EngineView, now: number): Reader & { now: number } => ({
  get: engine.get.bind(engine),
  list: engine.list.bind(engine),
  now,
});

const standingNow = (engine: EngineView, school: string): Standing =>
  standingOf(readerAt(engine, engine.now()), school);

const turnedMs = (engine: EngineView, school: string): number => engine.get(turns, school)?.turnedMs ?? 0;

/** A page of learners; of one site, as its own roster says, where one is asked. */
function pageOf(
  engine: EngineView,
  equals: readonly string[],
  size: number,
  after: string,
  siteCode: string,
): { shown: LearnerEntry[]; next: string } {
  const shown: LearnerEntry[] = [];
  for (let last = after; ; ) {
    // One more than the page, to know whether there is a next one; pupils of other sites stand in between.
    const limit = siteCode === '' ? size + 1 : Math.max(size + 1, 200);
    const rows = engine.list(learners, { equals, limit, ...(last === '' ? {} : { after: [last] }) });
    for (const row of rows) {
      const entry = learnerAt(row, siteCode);
      if (!entry) continue;
      if (shown.length === size) return { shown, next: shown.at(-1)!.learner };
      shown.push(entry);
    }
    if (rows.length < limit) return { shown, next: '' };
    last = rows.at(-1)!.learner;
  }
}

function learnerAt(row: LearnerRow, siteCode: string): LearnerEntry | undefined {
  const entry = learnerEntry(row);
  if (siteCode === '') return entry;
  if (!isAtSite(entry.siteCodes, siteCode)) return undefined;
  const said = row.claims && ofSite(claimsOfLearner(row), siteCode);
  return said ? { ...said, siteCodes: entry.siteCodes } : entry;
}

/** Groups of the school, or of one site: those that its rosters name, and any other that someone at the site is in. */
function groupsOf(engine: EngineView, equals: readonly string[], siteCode: string): GroupEntry[] {
  const rows = engine.list(groups, { equals });
  if (siteCode === '') return rows.map(groupEntry);
  const used = new Set<string>();
  for (const row of engine.list(learners, { equals })) {
    const entry = learnerAt(row, siteCode);
    if (entry) for (const group of [entry.group, ...entry.compositeGroups]) used.add(group);
  }
  for (const row of engine.list(staff, { equals }))
    for (const { group } of staffAt(row, siteCode)?.groups ?? []) used.add(group);
  return rows.flatMap((row) => {
    const entry = groupEntry(row);
    if (!isAtSite(entry.siteCodes, siteCode)) return used.has(row.groupToken) ? [entry] : [];
    const said = row.claims && ofSite(claimsOfGroup(row), siteCode);
    return [said ? { ...said, siteCodes: entry.siteCodes } : entry];
  });
}

function staffAt(row: StaffRow, siteCode: string): StaffEntry | undefined {
  const entry = staffEntry(row);
  if (!isAtSite(entry.siteCodes, siteCode)) return undefined;
  const said = row.claims && ofSite(claimsOfStaff(row), siteCode);
  return said ? { ...said, siteCodes: entry.siteCodes } : entry;
}

const siteOf = (row: ScopeRow): SiteRoster => ({
  siteCode: row.site,
  administration: row.administration,
  learners: row.learners,
  seenMs: BigInt(row.seenMs),
  madeMs: BigInt(row.madeMs),
  byOin: row.byOin,
  endedMs: BigInt(row.endedMs),
});

const holdOf = (engine: EngineView, row: HoldRow): Hold => ({
  holdId:
    row.reason === FORGETS_MANY && row.state === 'waiting' ? shownForgetHold(row.holdId, row.forgets ?? 0) : row.holdId,
  schoolOin: row.school,
  schoolYear: row.year,
  rosterId: row.rosterId,
  reason: row.reason,
  difference: RosterDifference.fromPartial(row.difference),
  sinceMs: BigInt(row.sinceMs),
  byOin: row.byOin,
  flowId: row.flowId,
  state: row.state,
  learnersLeaving: row.learnersLeaving,
  groupsClosing: row.groupsClosing,
  siteCode: row.site ?? '',
  administration: row.administration ?? '',
  forgets: row.forgets ?? 0,
  yearGroups: row.yearGroups ?? [],
  winner: row.merge?.winner ?? '',
  loser: row.merge?.loser ?? '',
  toSchoolOin: row.schoolChange?.toSchool ?? '',
  onDay: row.schoolChange?.onDay ?? '',
  groups: row.byGroup ?? [],
  part: row.part === 1,
  approvedOnce: row.approval !== undefined && row.state === 'waiting',
  ruling: rulingOf(engine, rulesKnown, row),
});

/** By the token that was asked for, also where the learner is there by another one. */
function entryOf(reader: Reader, school: string, year: string, learner: string): LearnerEntry[] {
  const row =
    reader.get(learners, school, year, learner) ??
    reader.get(learners, school, year, winnerOf(reader, school, learner));
  return row ? [{ ...learnerEntry(row), learner }] : [];
}

const mergeOf = (row: MergeRow): Merge => ({
  schoolOin: row.school,
  winner: row.winner,
  loser: row.loser,
  undone: row.undone === 1,
  undoUntilMs: BigInt(row.untilMs),
  atMs: BigInt(row.atMs),
});

/** When a change goes on whose day has come and that a freeze holds; 0 = none does. */
const frozenUntil = (engine: EngineView, row: ChangeRow): number =>
  startOfDutchDay(row.onDay) - 1 > engine.now() ? 0 : (frozenMove(engine, engine.now(), row) ?? 0);

const changeOf = (row: ChangeRow, frozenUntilMs: number): SchoolChange => ({
  changeId: row.changeId,
  schoolOin: row.school,
  toSchoolOin: row.toSchool,
  onDay: row.onDay,
  whole: row.whole === 1,
  siteCodes: row.sites,
  yearGroups: row.yearGroups,
  listed: row.listed,
  state: row.state,
  waiting: row.waiting,
  went: row.went,
  stayed: row.stayed,
  atMs: BigInt(row.atMs),
  frozenUntilMs: BigInt(frozenUntilMs),
});
