/** Answers who is at school, from rows as of the last commit. */
import { allOf, type EngineView, type Reader } from '#bus';
import { type Handlers, type Implementation, implement, isAtSite, isSchoolYear, MAIN_SITE } from '#kernel';
import { type GroupEntry, type LearnerEntry, RosterDifference, type StaffEntry } from '#proto/eduk/events/v1/rosters';
import { type Hold, RostersServiceDefinition, type SiteRoster } from '#proto/eduk/rosters/v1/rosters';
import {
  claimsOfGroup,
  claimsOfLearner,
  claimsOfStaff,
  groupEntry,
  learnerEntry,
  staffEntry,
  standingOf,
  turnState,
} from './consume.ts';
import { lastChange } from './history.ts';
import { pulling } from './pulls.ts';
import { ofSite } from './scope.ts';
import {
  forgotten,
  groups,
  type HoldRow,
  holds,
  type LearnerRow,
  learners,
  type ScopeRow,
  type StaffRow,
  scopes,
  staff,
  turns,
  years,
} from './tables.ts';
import { dueDay, type Standing, whyNot, whyWait, yearAfter } from './turn.ts';

/** Learners on a page where the caller names no number, and the most it may name. */
const PAGE = 1_000;
const LARGEST_PAGE = 5_000;

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
        learners: allOf(named, (learner) => engine.get(learners, schoolOin, year, learner) ?? [])
          .flat()
          .map(learnerEntry),
      };
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
      return { holds: rows.map(holdOf) };
    },
    listForgetting({ sinceMs, limit }) {
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const page = engine.list(forgotten, { index: 'byHour', equals: [], after: [Number(sinceMs) - 1], limit: size });
      // Who was approved together has one hour, which no page may cut: the next one begins after it.
      const last = page.at(-1)?.destroyAtMs;
      const rows =
        page.length < size
          ? page
          : [
              ...page.filter(({ destroyAtMs }) => destroyAtMs !== last),
              ...engine.list(forgotten, { index: 'byHour', equals: [last!] }),
            ];
      return {
        forgetting: rows.map(({ school, learner, destroyAtMs, keptMs }) => ({
          schoolOin: school,
          learner,
          destroyAtMs: BigInt(destroyAtMs ?? 0),
          kept: keptMs !== undefined && keptMs > 0,
        })),
      };
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

const holdOf = (row: HoldRow): Hold => ({
  holdId: row.holdId,
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
});
