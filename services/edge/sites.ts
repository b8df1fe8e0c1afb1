/** At which sites of a school a learner is: what a mandate for some sites is judged by. */
import { schoolYearOf } from '#kernel';
import type { Mandate, Service } from '#proto/eduk/core/v1/party';
import type { LearnerEntry } from '#proto/eduk/events/v1/rosters';
import { sitesOf } from '#release';
import type { Caller } from './caller.ts';
import { actsForSchool } from './stages/authorise.ts';
import type { Door } from './submission.ts';

/** So many school years later, or earlier. */
const yearAway = (year: string, away: number): string => {
  const first = Number(year.slice(0, 4)) + away;
  return `${first}-${first + 1}`;
};
/** Learners asked of the owner of rosters at once. */
const AT_ONCE = 1000;

/** Sites for which a caller may have a service of a school now; undefined = the whole school. */
export function sitesFor(
  door: Pick<Door, 'chain'>,
  caller: Caller,
  school: string,
  service: Service,
): ReadonlySet<string> | undefined {
  const { chain } = door;
  if (!chain.namesSites || caller.kind === 'operator') return undefined;
  const mandates: readonly Mandate[] =
    caller.actor !== undefined
      ? chain.judgeActing(school, caller.actor, service).mandates
      : actsForSchool(door, caller, school)
        ? []
        : chain.judge(school, caller.oin, service).mandates;
  return sitesOf(mandates);
}

/**
 * What the rosters say of these learners: that of the school year the school is in, else of the next, else of the one before. Who is in
 * none is left out.
 */
export async function entriesOf(
  { services, clock }: Pick<Door, 'services' | 'clock'>,
  schoolOin: string,
  tokens: readonly string[],
): Promise<ReadonlyMap<string, LearnerEntry>> {
  const found = new Map<string, LearnerEntry>();
  let open = [...new Set(tokens)].filter((token) => token !== '');
  let running = '';
  for (const away of [0, 1, -1]) {
    const year = away === 0 ? '' : yearAway(running || schoolYearOf(clock.now()), away);
    for (let from = 0; from < open.length; from += AT_ONCE) {
      const { learners, schoolYear } = await services.rosters.getLearners({
        schoolOin,
        schoolYear: year,
        learners: open.slice(from, from + AT_ONCE),
      });
      running ||= schoolYear;
      for (const entry of learners) found.set(entry.learner, entry);
    }
    open = open.filter((token) => !found.has(token));
  }
  return found;
}

/** Those of these learners whom a roster of one of the sites names. Who is in no roster, or in one of the whole school only, is at no site. */
export async function learnersAt(
  door: Pick<Door, 'services' | 'clock'>,
  schoolOin: string,
  sites: ReadonlySet<string>,
  tokens: readonly string[],
): Promise<ReadonlySet<string>> {
  const entries = await entriesOf(door, schoolOin, tokens);
  return new Set(
    [...entries].flatMap(([learner, { siteCodes }]) => (siteCodes.some((code) => sites.has(code)) ? [learner] : [])),
  );
}
