/** Answers who is at school, from rows as of the last commit. */
import type { EngineView } from '#bus';
import { type Handlers, type Implementation, implement, schoolYearOf } from '#kernel';
import { type Hold, RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { groupEntry, learnerEntry, staffEntry } from './consume.ts';
import { forgotten, groups, type HoldRow, holds, learners, staff, years } from './tables.ts';

/** Learners on a page where the caller names no number, and the most it may name. */
const PAGE = 1_000;
const LARGEST_PAGE = 5_000;

export function serve(engine: EngineView): readonly Implementation[] {
  const handlers: Handlers<typeof RostersServiceDefinition> = {
    getRoster({ schoolOin, schoolYear, limit, after }) {
      const year = schoolYear || schoolYearOf(engine.now());
      const row = engine.get(years, schoolOin, year);
      if (!row)
        return { known: false, changedMs: 0n, asOf: '', sites: [], groups: [], learners: [], staff: [], next: '' };
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const equals = [schoolOin, year];
      // One more than the page, to know whether there is a next one.
      const page = engine.list(learners, { equals, limit: size + 1, ...(after === '' ? {} : { after: [after] }) });
      const shown = page.slice(0, size);
      const isFirst = after === '';
      return {
        known: true,
        changedMs: BigInt(row.changedMs),
        asOf: row.asOf,
        sites: isFirst ? row.sites : [],
        groups: isFirst ? engine.list(groups, { equals }).map(groupEntry) : [],
        learners: shown.map(learnerEntry),
        staff: isFirst ? engine.list(staff, { equals }).map(staffEntry) : [],
        next: page.length > size ? shown.at(-1)!.learner : '',
      };
    },
    getLearners({ schoolOin, schoolYear, learners: named }) {
      const year = schoolYear || schoolYearOf(engine.now());
      return {
        learners: named.flatMap((learner) => engine.get(learners, schoolOin, year, learner) ?? []).map(learnerEntry),
      };
    },
    listHolds({ schoolOin, decided }) {
      const rows = decided
        ? engine.list(holds, { equals: schoolOin === '' ? [] : [schoolOin] })
        : engine.list(holds, { index: 'waiting', equals: schoolOin === '' ? ['waiting'] : ['waiting', schoolOin] });
      return { holds: rows.map(holdOf) };
    },
    listForgetting({ sinceMs, limit }) {
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const rows = engine.list(forgotten, { index: 'byHour', equals: [], after: [Number(sinceMs) - 1], limit: size });
      return {
        forgetting: rows.map(({ school, learner, destroyAtMs }) => ({
          schoolOin: school,
          learner,
          destroyAtMs: BigInt(destroyAtMs ?? 0),
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
        })),
      };
    },
  };
  return [implement(RostersServiceDefinition, handlers)];
}

const holdOf = (row: HoldRow): Hold => ({
  holdId: row.holdId,
  schoolOin: row.school,
  schoolYear: row.year,
  rosterId: row.rosterId,
  reason: row.reason,
  difference: row.difference,
  sinceMs: BigInt(row.sinceMs),
  byOin: row.byOin,
  flowId: row.flowId,
  state: row.state,
  learnersLeaving: row.learnersLeaving,
  groupsClosing: row.groupsClosing,
});
