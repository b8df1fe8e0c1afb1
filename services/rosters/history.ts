/**
 * When what some part of a school looks like last changed. Whoever looks at a group, at a site, or at the school sees something
 * else when somebody in it changes, comes, or goes: both places of a move have changed, and a place that nobody is in any more
 * keeps the moment. Each view is compared as it is shown, so that a roster of one site changes nothing for who looks at another.
 */
import type { Reader, Unit } from '#bus';
import { isAtSite, MAIN_SITE } from '#kernel';
import type { GroupEntry, LearnerEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import {
  type Claims,
  combinedGroup,
  combinedLearner,
  combinedStaff,
  type RosterEvent,
  type RosterState,
  sameGroup,
  sameLearner,
  sameStaff,
} from './roster.ts';
import { type Claim, ofSite, siteCodesOf, WHOLE } from './scope.ts';
import { type PlaceRow, places, years } from './tables.ts';

export type Kind = 'learner' | 'staff' | 'structure';
export const ALL = '';
export const NO_BASE = '-';
export const NO_COMPOSITE = '~';

/** Who names one of a kind, before and after. */
type Held<E> = readonly Claim<E>[];

/** Collects places that changed, to be kept once. */
export class Touched {
  /** Places by site and kind. */
  readonly #seen = new Map<string, Set<string>>();

  get isEmpty(): boolean {
    return this.#seen.size === 0;
  }

  add(site: string, kind: Kind, ...some: readonly string[]): void {
    const word = `${site}|${kind}`;
    let known = this.#seen.get(word);
    if (!known) this.#seen.set(word, (known = new Set([ALL])));
    for (const place of some) known.add(place);
  }

  learner(before: Held<LearnerEntry>, after: Held<LearnerEntry>): void {
    for (const site of sitesOf(before, after)) {
      const [from, to] = [viewOf(before, site, combinedLearner), viewOf(after, site, combinedLearner)];
      if (from && to && sameLearner(from, to)) continue;
      for (const entry of [from, to]) if (entry) this.add(site, 'learner', ...placesOfLearner(entry));
    }
  }

  staff(before: Held<StaffEntry>, after: Held<StaffEntry>, isComposite: (group: string) => boolean): void {
    for (const site of sitesOf(before, after)) {
      const [from, to] = [viewOf(before, site, combinedStaff), viewOf(after, site, combinedStaff)];
      if (from && to && sameStaff(from, to)) continue;
      for (const entry of [from, to]) if (entry) this.add(site, 'staff', ...placesOfStaff(entry, isComposite));
    }
  }

  group(before: Held<GroupEntry>, after: Held<GroupEntry>): void {
    for (const site of sitesOf(before, after)) {
      const [from, to] = [viewOf(before, site, combinedGroup), viewOf(after, site, combinedGroup)];
      if (from && to && sameGroup(from, to)) continue;
      if (from || to) this.add(site, 'structure');
    }
  }

  /** Keeps what changed, as of `changedMs`. What was there before any place was kept may have changed until `before`. */
  save(unit: Unit, school: string, year: string, before: number, changedMs: number): void {
    if (this.isEmpty) return;
    if (before > 0 && unit.list(places, { equals: [school, year], limit: 1 }).length === 0)
      unit.put(places, { school, year, site: '', kind: '', place: '', changedMs: before });
    for (const [word, some] of this.#seen) {
      const [site = '', kind = ''] = word.split('|');
      for (const place of some) unit.put(places, { school, year, site, kind, place, changedMs });
    }
  }
}

/** What events and claims of a decision change, by what was known before it. */
export function touchedBy(
  state: RosterState,
  events: readonly RosterEvent[],
  claims: Claims | undefined,
  kept: {
    learner(token: string): Held<LearnerEntry>;
    group(token: string): Held<GroupEntry>;
    staff(token: string): Held<StaffEntry>;
  },
): Touched {
  const touched = new Touched();
  const next = { learners: new Map(claims?.learners), groups: new Map(claims?.groups), staff: new Map(claims?.staff) };
  const only = <E>(entry: E): Held<E> => [{ scope: WHOLE, entry }];
  const composite = new Map<string, boolean>();
  for (const { group, composite: is } of state.groups.values()) composite.set(group, is);
  for (const event of events)
    switch (event.name) {
      case 'LearnerJoined':
      case 'LearnerMoved':
      case 'LearnerChanged':
        if (!next.learners.has(event.key)) next.learners.set(event.key, only(event.value.learner!));
        break;
      case 'LearnerLeft':
        next.learners.set(event.key, []);
        break;
      case 'GroupChanged': {
        const group = event.value.group!;
        composite.set(group.group, group.composite);
        if (event.value.change === 'closed') next.groups.set(group.group, []);
        else if (!next.groups.has(group.group)) next.groups.set(group.group, only(group));
        break;
      }
      case 'StaffChanged':
        if (event.value.change === 'left') next.staff.set(event.key, []);
        else if (!next.staff.has(event.key)) next.staff.set(event.key, only(event.value.staff!));
    }
  for (const [token, after] of next.learners) touched.learner(kept.learner(token), after);
  for (const [token, after] of next.groups) touched.group(kept.group(token), after);
  const isComposite = (group: string) => composite.get(group) === true;
  for (const [token, after] of next.staff) touched.staff(kept.staff(token), after, isComposite);
  return touched;
}

/** Sites at which one of them may be seen, the whole school first. */
const sitesOf = (...all: readonly Held<unknown>[]): Set<string> =>
  new Set(['', ...all.flatMap((held) => (held.length === 0 ? [] : [...siteCodesOf(held), MAIN_SITE]))]);

/** How one of them is shown at a site; undefined = not at all. The rule of `serve.ts`. */
function viewOf<E extends { siteCodes: string[] }>(
  held: Held<E>,
  site: string,
  combined: (held: Held<E>) => E,
): E | undefined {
  if (held.length === 0) return undefined;
  const entry = combined(held);
  if (site === '') return entry;
  if (!isAtSite(siteCodesOf(held), site)) return undefined;
  return held.length > 1 ? (ofSite(held, site) ?? entry) : entry;
}

function placesOfLearner({ group, compositeGroups }: LearnerEntry): string[] {
  return [group || NO_BASE, ...(compositeGroups.length === 0 ? [NO_COMPOSITE] : compositeGroups)];
}

function placesOfStaff({ groups }: StaffEntry, isComposite: (group: string) => boolean): string[] {
  const tokens = groups.map(({ group }) => group);
  return [
    ...tokens,
    ...(tokens.every(isComposite) ? [NO_BASE] : []),
    ...(tokens.some(isComposite) ? [] : [NO_COMPOSITE]),
  ];
}

/** What is asked of the history: kinds at a site, of learners and staff some groups only. None = all. */
export interface AskedPlaces {
  site: string;
  kinds: readonly string[];
  groups: readonly string[];
  noBase: boolean;
  noComposite: boolean;
}

/** When what is asked last changed, Unix milliseconds; 0 = never. */
export function lastChange(reader: Reader, school: string, year: string, asked: AskedPlaces): number {
  const { site } = asked;
  const kinds = new Set(asked.kinds.length > 0 ? asked.kinds : ['learner', 'staff', 'structure']);
  const named = new Set(asked.groups);
  if (asked.noBase) named.add(NO_BASE);
  if (asked.noComposite) named.add(NO_COMPOSITE);
  const isAsked = ({ kind, place }: PlaceRow): boolean =>
    kinds.has(kind) && (named.size === 0 || kind === 'structure' ? place === ALL : named.has(place));
  const rows = reader.list(places, { equals: [school, year, site] }).filter(isAsked);
  // Which groups there are at a site also follows from who is in them.
  if (site !== '' && kinds.has('structure'))
    rows.push(
      ...reader
        .list(places, { equals: [school, year, ''] })
        .filter(({ kind, place }) => kind === 'structure' && place === ALL),
      ...reader
        .list(places, { equals: [school, year, site] })
        .filter(({ kind, place }) => kind !== '' && place === ALL),
    );
  const [since] = reader.list(places, { equals: [school, year, '', '', ''] });
  // A year of before this was kept: nothing is known but when anything changed.
  const floor =
    since?.changedMs ?? (hasHistory(reader, school, year) ? 0 : (reader.get(years, school, year)?.changedMs ?? 0));
  return rows.reduce((latest, { changedMs }) => Math.max(latest, changedMs), floor);
}

const hasHistory = (reader: Reader, school: string, year: string): boolean =>
  reader.list(places, { equals: [school, year], limit: 1 }).length > 0;
