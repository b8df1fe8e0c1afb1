/**
 * A part of a difference: what somebody means who decides about some of it, and what is left. Pure. What is decided by itself is a
 * learner, a group or a member of staff; of what kind each is, is the gravest of what happens to it.
 */
import { isOtherMark, type RosterKind as Kind, takingKinds } from '#kernel';
import type { GroupEntry, LearnerEntry, RosterDifference, StaffEntry } from '#proto/eduk/events/v1/rosters';
import type { Changes, Claims, RosterState } from './roster.ts';
import type { Claim } from './scope.ts';

/** Whether it takes something away, or shows another person. */
export const takes = ({ kind }: Item): boolean => takingKinds.has(kind);

/** What is meant. No kinds = all kinds; no groups = everybody. */
export interface Part {
  kinds: readonly string[];
  /** Tokens of groups in which learners are now, or come into: those learners, and what becomes of the groups themselves. */
  groups: readonly string[];
}

export const ALL_OF_IT: Part = { kinds: [], groups: [] };

/** A learner, group or member of staff to whom something happens. */
export interface Item {
  /** What is said of whom, in one word: that somebody leaves is another thing than how somebody stays. */
  word: string;
  kind: Kind;
  /** Group it is in now, or comes into; of a group itself. Empty = none, and of staff. */
  group: string;
  yearGroup: string;
}

const learnerWord = (token: string): string => `l ${token}`;
const leftWord = (token: string): string => `l- ${token}`;
/** All words about one learner. */
export const wordsOfLearner = (token: string): string[] => [learnerWord(token), leftWord(token)];
const groupWord = (token: string): string => `g ${token}`;
const closedWord = (token: string): string => `g- ${token}`;
const staffWord = (token: string): string => `s ${token}`;
const goneWord = (token: string): string => `s- ${token}`;

const groupKinds = { opened: 'groupsOpened', closed: 'groupsClosed', changed: 'groupsChanged' } as const;

/** A name that was given and is now another one. What is given for the first time, or no longer, is no rename. */
export const isOtherName = (before: string | undefined, after: string): boolean =>
  (before ?? '') !== '' && after !== '' && before !== after;

/** A day of leaving within the school year that was not told before, or is earlier than was told. */
export const leavesSooner = (before: LearnerEntry, { leavesOn }: LearnerEntry, schoolYear: string): boolean =>
  leavesOn !== '' &&
  leavesOn < `${schoolYear.slice(5)}-07-31` &&
  (before.leavesOn === '' || leavesOn < before.leavesOn);

/** All that a difference has, by word. */
export function itemsOf(state: RosterState, changes: Changes, schoolYear: string): Map<string, Item> {
  const items = new Map<string, Item>();
  const add = (word: string, kind: Kind, group: string, yearGroup: string) =>
    items.set(word, { word, kind, group, yearGroup });
  const stays = (now: LearnerEntry, before: LearnerEntry | undefined, otherwise: Kind) => {
    const kind =
      before && isOtherMark(before.nameMark, now.nameMark)
        ? 'renamed'
        : before && leavesSooner(before, now, schoolYear)
          ? 'leavingLater'
          : otherwise;
    add(learnerWord(now.learner), kind, (before ?? now).group, (before ?? now).yearGroup);
  };
  for (const { learner, group } of changes.left)
    add(leftWord(learner), 'left', group, state.learners.get(learner)?.yearGroup ?? '');
  for (const now of changes.joined) add(learnerWord(now.learner), 'joined', now.group, now.yearGroup);
  for (const { learner, before } of changes.moved) stays(learner, before, 'moved');
  for (const now of changes.changed) stays(now, state.learners.get(now.learner), 'changed');
  for (const { group, change } of changes.groups) {
    const isRenamed = change === 'renamed' && isOtherName(state.groups.get(group.group)?.name, group.name);
    const kind = change === 'renamed' ? (isRenamed ? 'groupsRenamed' : 'groupsChanged') : groupKinds[change];
    add(change === 'closed' ? closedWord(group.group) : groupWord(group.group), kind, group.group, group.yearGroup);
  }
  for (const { staff, change } of changes.staff) {
    const before = state.staff.get(staff.staff);
    if (change === 'left') add(goneWord(staff.staff), 'staffLeft', '', '');
    else if (!before) add(staffWord(staff.staff), 'staffJoined', '', '');
    else
      add(
        staffWord(staff.staff),
        isOtherMark(before.nameMark, staff.nameMark) ? 'staffRenamed' : 'staffChanged',
        '',
        '',
      );
  }
  return items;
}

/** Whether an item is in a part. */
export const isIn = ({ kinds, groups }: Part, { kind, group }: Item): boolean =>
  (kinds.length === 0 || kinds.includes(kind)) && (groups.length === 0 || groups.includes(group));

/** Those items only. What nobody sees (which roster names whom, where nothing else changes) goes along. */
export function only(
  state: RosterState,
  { changes, claims }: { changes: Changes; claims: Claims },
  words: ReadonlySet<string>,
  schoolYear: string,
): { changes: Changes; claims: Claims } {
  const all = itemsOf(state, changes, schoolYear);
  const some: Changes = {
    ...changes,
    joined: changes.joined.filter(({ learner }) => words.has(learnerWord(learner))),
    moved: changes.moved.filter(({ learner }) => words.has(learnerWord(learner.learner))),
    changed: changes.changed.filter(({ learner }) => words.has(learnerWord(learner))),
    left: changes.left.filter(({ learner }) => words.has(leftWord(learner))),
    groups: changes.groups.filter(({ group: { group }, change }) =>
      words.has(change === 'closed' ? closedWord(group) : groupWord(group)),
    ),
    staff: changes.staff.filter(({ staff: { staff }, change }) =>
      words.has(change === 'left' ? goneWord(staff) : staffWord(staff)),
    ),
  };
  const kept = <E>(of: ReadonlyMap<string, readonly Claim<E>[]>, ...words_: ((token: string) => string)[]) =>
    new Map([...of].filter(([token]) => words_.every((word) => !all.has(word(token)) || words.has(word(token)))));
  return {
    changes: { ...some, difference: differenceOf(state, changes, some, schoolYear) },
    claims: {
      learners: kept(claims.learners, learnerWord, leftWord),
      groups: kept(claims.groups, groupWord, closedWord),
      staff: kept(claims.staff, staffWord, goneWord),
    },
  };
}

/** What can be carried out of what was chosen: a group opens with who comes into it, and closes when nobody is in it any more. */
export function carriedOut(
  state: RosterState,
  { changes, claims }: { changes: Changes; claims: Claims },
  chosen: ReadonlySet<string>,
): Set<string> {
  const words = new Set(chosen);
  const entriesOf = <E>(held: readonly Claim<E>[] | undefined, known: E): readonly E[] =>
    held?.map(({ entry }) => entry) ?? [known];
  const pupils = new Map<string, readonly LearnerEntry[]>();
  for (const [token, known] of state.learners)
    if (!words.has(leftWord(token))) pupils.set(token, entriesOf(state.claims.learners.get(token), known));
  for (const entry of [...changes.joined, ...changes.moved.map(({ learner }) => learner), ...changes.changed])
    if (words.has(learnerWord(entry.learner)))
      pupils.set(entry.learner, entriesOf(claims.learners.get(entry.learner), entry));
  const teachers = new Map<string, readonly StaffEntry[]>();
  for (const [token, known] of state.staff)
    if (!words.has(goneWord(token))) teachers.set(token, entriesOf(state.claims.staff.get(token), known));
  for (const { staff, change } of changes.staff)
    if (change !== 'left' && words.has(staffWord(staff.staff)))
      teachers.set(staff.staff, entriesOf(claims.staff.get(staff.staff), staff));
  const used = new Set<string>();
  for (const entries of pupils.values())
    for (const { group, compositeGroups } of entries) for (const token of [group, ...compositeGroups]) used.add(token);
  for (const entries of teachers.values())
    for (const { groups } of entries) for (const { group } of groups) used.add(group);
  for (const { group, change } of changes.groups)
    if (change === 'opened' && used.has(group.group)) words.add(groupWord(group.group));
    else if (change === 'closed' && used.has(group.group)) words.delete(closedWord(group.group));
  return words;
}

/** A class or other group in a difference, as numbers. */
export interface GroupPart {
  group: string;
  yearGroup: string;
  joined: number;
  left: number;
  moved: number;
  renamed: number;
  closes: boolean;
}

/** Where a difference is, by group; those of whom nobody says a group are not in it. */
export function byGroup(items: Iterable<Item>, changes: Changes, state: RosterState): GroupPart[] {
  const moved = new Set(changes.moved.map(({ learner }) => learnerWord(learner.learner)));
  const parts = new Map<string, GroupPart>();
  for (const { word, kind, group, yearGroup } of items) {
    if (group === '') continue;
    const part = parts.get(group) ?? {
      group,
      yearGroup: state.groups.get(group)?.yearGroup || yearGroup,
      joined: 0,
      left: 0,
      moved: 0,
      renamed: 0,
      closes: false,
    };
    parts.set(group, {
      ...part,
      joined: part.joined + (kind === 'joined' ? 1 : 0),
      left: part.left + (kind === 'left' ? 1 : 0),
      moved: part.moved + (moved.has(word) ? 1 : 0),
      renamed: part.renamed + (kind === 'renamed' ? 1 : 0),
      closes: part.closes || kind === 'groupsClosed',
    });
  }
  return [...parts.values()].sort((a, b) =>
    a.yearGroup === b.yearGroup ? (a.group < b.group ? -1 : 1) : a.yearGroup < b.yearGroup ? -1 : 1,
  );
}

/** Numbers of a part of a difference; those of before and the shares stand for the whole. */
function differenceOf(state: RosterState, whole: Changes, part: Changes, schoolYear: string): RosterDifference {
  const { difference } = whole;
  const { joined, left, moved, changed, groups, staff } = part;
  const stays = [...moved.map(({ learner }) => learner), ...changed];
  const other = (now: LearnerEntry): boolean => {
    const before = state.learners.get(now.learner);
    return before !== undefined && isOtherMark(before.nameMark, now.nameMark);
  };
  const sooner = (now: LearnerEntry): boolean => {
    const before = state.learners.get(now.learner);
    return before !== undefined && leavesSooner(before, now, schoolYear);
  };
  const count = <T extends { change: string }>(rows: readonly T[], change: T['change']) =>
    rows.filter((row) => row.change === change).length;
  const isRenamed = ({ group }: { group: GroupEntry }) => isOtherName(state.groups.get(group.group)?.name, group.name);
  return {
    ...difference,
    after: difference.after + (whole.left.length - left.length) - (whole.joined.length - joined.length),
    joined: joined.length,
    left: left.length,
    moved: moved.length,
    renamed: stays.filter(other).length,
    groupsOpened: count(groups, 'opened'),
    groupsClosed: count(groups, 'closed'),
    groupsRenamed: groups.filter((row) => row.change === 'renamed' && isRenamed(row)).length,
    staffJoined: count(staff, 'joined'),
    staffLeft: count(staff, 'left'),
    staffRenamed: staff.filter(({ staff: now, change }) => {
      const before = state.staff.get(now.staff);
      return change === 'changed' && before !== undefined && isOtherMark(before.nameMark, now.nameMark);
    }).length,
    leavingLater: stays.filter(sooner).length,
  };
}
