import {
  type AsideRow,
  asideTable,
  type FreezeRow,
  freezesTable,
  type HoldRuleRow,
  holdRulesTable,
  type RuledWord,
  type RuleSpentRow,
  ruleSpentTable,
  type Table,
  table,
} from '#bus';
import type { Approval, RuleAsk } from '#kernel';
import type {
  GroupEntry,
  LearnerEntry,
  RosterDifference,
  SiteEntry,
  StaffEntry,
  StaffGroupEntry,
  YearGroupDifference,
} from '#proto/eduk/events/v1/rosters';
import type { GroupPart } from './part.ts';

/** What rosters keeps. Everything is a token or a word from a list; names rest in the vault. */

const retention = 'RETENTION_ROSTER';

/** A school year of a school that has a roster. */
export interface YearRow {
  school: string;
  year: string;
  /** Id of the last roster applied; empty when learners were named outside a roster only. */
  rosterId: string;
  byOin: string;
  /** Day the roster describes, YYYY-MM-DD. */
  asOf: string;
  /** When the newest roster applied was made, Unix milliseconds; 0 = never said. */
  madeMs: number;
  /** When anything in it last changed, Unix milliseconds. */
  changedMs: number;
  learners: number;
  groups: number;
  sites: SiteEntry[];
}

/** The newest roster of a scope: of a site, an administration, both, or the whole school. */
export interface ScopeRow {
  school: string;
  year: string;
  site: string;
  administration: string;
  rosterId: string;
  byOin: string;
  asOf: string;
  /** When it was made, Unix milliseconds; 0 = never said. */
  madeMs: number;
  /** When one was last taken, Unix milliseconds. */
  seenMs: number;
  /** When one of more than this scope took its place, Unix milliseconds; 0 = it stands. */
  endedMs: number;
  /** Learners whom it names. */
  learners: number;
  sites: SiteEntry[];
}

/** What a roster says, where more than one names the same. Marks are in hexadecimal. */
export interface ClaimRow<E> {
  scope: string;
  entry: E;
}
type Marked<E extends { nameMark: Uint8Array }> = Omit<E, 'nameMark' | 'siteCodes'> & { nameMark: string };
export type LearnerClaim = ClaimRow<Marked<LearnerEntry>>;
export type StaffClaim = ClaimRow<Marked<StaffEntry>>;
export type GroupClaim = ClaimRow<Omit<GroupEntry, 'siteCodes'>>;

/** Who names a row. */
interface Claimed<C> {
  /** The scope of the only roster that does; absent = the whole school. */
  scope?: string | undefined;
  /** All of them, first what counts, where they are more. */
  claims?: C[] | undefined;
}

/** A learner who is at the school in that year, as all rosters that name it say together. */
export interface LearnerRow extends Claimed<LearnerClaim> {
  school: string;
  year: string;
  learner: string;
  yearGroup: string;
  baseGroup: string;
  compositeGroups: string[];
  site: string;
  entersOn: string;
  leavesOn: string;
  /** In hexadecimal; empty = no names given. */
  nameMark: string;
  changedMs: number;
}

export interface GroupRow extends Claimed<GroupClaim> {
  school: string;
  year: string;
  groupToken: string;
  name: string;
  description: string;
  yearGroup: string;
  /** 0 or 1. */
  composite: number;
  changedMs: number;
}

export interface StaffRow extends Claimed<StaffClaim> {
  school: string;
  year: string;
  staff: string;
  groups: StaffGroupEntry[];
  duties: string[];
  nameMark: string;
  changedMs: number;
}

/** A part of a roster whose last part has not come. */
export interface PartRow {
  school: string;
  byOin: string;
  /** Id, school year, site and administration of the roster, as `partsOf` writes them. */
  rosterId: string;
  part: number;
  /** The RosterSubmitted as it stood on the log. */
  body: Uint8Array;
}

/** A roster that waits, or waited, for approval. */
export interface HoldRow {
  school: string;
  holdId: string;
  year: string;
  rosterId: string;
  byOin: string;
  flowId: string;
  reason: string;
  /** `waiting`, `approved`, `rejected` or `superseded` (by a newer roster). */
  state: string;
  sinceMs: number;
  madeMs: number;
  /** 0 or 1. */
  partial: number;
  difference: RosterDifference;
  learnersLeaving: string[];
  groupsClosing: string[];
  /** Absent = a roster of the whole school. */
  site?: string | undefined;
  administration?: string | undefined;
  /** Learners who are to be forgotten; absent = none. */
  forgets?: number | undefined;
  /** Where the difference is. Absent in rows of before this was kept. */
  yearGroups?: YearGroupDifference[] | undefined;
  /** Two tokens that are to be merged; absent = none. */
  merge?: HeldMerge | undefined;
  /** Learners who are to go on at another school; absent = none. */
  schoolChange?: HeldSchoolChange | undefined;
  /** Where the difference is, by group. Absent in rows of before this was kept. */
  byGroup?: GroupPart[] | undefined;
  /** 1 = a part was decided, and this is the rest. */
  part?: number | undefined;
  /** One person approved it, or a part, where two must. Absent = nobody did. */
  approval?: Approval | undefined;
  /** What rules are asked about it, and how they stood to it. Absent in rows of before there were rules. */
  asks?: RuleAsk[] | undefined;
  ruled?: RuledWord | undefined;
}

/** What a hold said and nobody approved, by the word of an item: a roster that says it again is held. */
export interface MarkRow {
  school: string;
  year: string;
  word: string;
  holdId: string;
  /** 0 or 1: rejected, or not decided yet. */
  rejected: number;
  /** Scope word of the roster. */
  scope: string;
}

export interface HeldSchoolChange {
  toSchool: string;
  onDay: string;
  /** Who asked; empty = the operator's key. */
  byPerson: string;
}

export interface HeldMerge {
  winner: string;
  loser: string;
  /** Who asked; empty = the operator's key. */
  byPerson: string;
}

/** A second token of a learner, and what the rosters said of it. */
export interface MergeRow {
  school: string;
  loser: string;
  winner: string;
  /** When it was decided last. */
  atMs: number;
  untilMs: number;
  /** 0 or 1. */
  undone: number;
  /** Rows of the loser as they were. */
  held: LearnerRow[];
  /** School years in which the winner is there by the loser's row. */
  moved: string[];
}

/** Learners of a school go on at another one. Its id is that of its hold. */
export interface ChangeRow {
  school: string;
  changeId: string;
  toSchool: string;
  /** First day there. */
  onDay: string;
  /** 0 or 1. */
  whole: number;
  sites: string[];
  yearGroups: string[];
  /** It is of a list, of so many. */
  listed: number;
  /** Of what was asked: the same again is the same change. */
  word: string;
  /** `held`, `planned`, `under_way`, `done`, `undone` or `rejected`. */
  state: string;
  /** School year of the first rosters that they leave, and the day of leaving; empty until the day has come. */
  year: string;
  leftOn: string;
  waiting: number;
  went: number;
  stayed: number;
  /** When it last changed. */
  atMs: number;
}

/** One who goes, by the token of the school that they leave. Nowhere does it say who they are at the other one. */
export interface CrosserRow {
  school: string;
  changeId: string;
  learner: string;
  /** `listed` = asked for by a list; `waits`, `went` or `stays` once the day has come. */
  state: string;
  atMs: number;
}

/** The parts of a held roster, until it is decided. */
export interface HeldPartRow {
  school: string;
  holdId: string;
  part: number;
  body: Uint8Array;
}

/** A learner whom no roster may bring back. */
export interface ForgottenRow {
  school: string;
  learner: string;
  atMs: number;
  /** When the vault destroys the identity, Unix milliseconds. Absent in rows of before this was kept. */
  destroyAtMs?: number | undefined;
  /** When it was taken back, Unix milliseconds. */
  keptMs?: number | undefined;
  /** 1 where the whole school is forgotten: with it the learner is kept. */
  ofSchool?: number | undefined;
  /** 1 where nobody asked: the learner left, and the time of its numbers is over. A roster that names it again takes it back. */
  byTerm?: number | undefined;
}

/**
 * When what a place looks like last changed: a receiver that names the moment it last looked is told whether anything changed
 * there since, also by who left it. A place is a group, those in none, or all of a kind, at a site or in the whole school.
 */
export interface PlaceRow {
  school: string;
  year: string;
  /** Empty = the whole school. */
  site: string;
  /** `learner`, `staff` or `structure`; empty = the moment since which this is kept. */
  kind: string;
  /** Token of a group, `-` = in no base group, `~` = in no composite group; empty = all. */
  place: string;
  changedMs: number;
}

/** A learner whose forgetting waits for approval. */
export interface HeldForgetRow {
  school: string;
  holdId: string;
  learner: string;
  flowId: string;
  /** Between the forgetting and the destruction, milliseconds. */
  delayMs: number;
  /** Which of the hold it is, from 1; null in rows of before this was kept, whom everybody has seen. */
  nth: number | null;
}

/** A learner or member of staff who stands in no roster of this year or of those to come. */
export interface LeftRow {
  school: string;
  person: string;
  /** 0 or 1. */
  isStaff: number;
  /** YYYY-MM-DD. */
  leftOn: string;
  /** When the names go; once these have gone, when the numbers do. Unix milliseconds. */
  dueMs: number;
  /** When the names went, Unix milliseconds; 0 = they are there. */
  endedMs: number;
}

/** Which school year a school is in. */
export interface TurnRow {
  school: string;
  running: string;
  /** The year before, where the turn can be taken back; empty = it cannot. */
  before: string;
  /** When it turned, Unix milliseconds; 0 = it did not here. */
  turnedMs: number;
  /** Year and Dutch day of a turn to come that were chosen; empty = none were. */
  plannedYear: string;
  plannedDay: string;
  /** The year from which the years before it were last looked through for who left. */
  lookedBack?: string | undefined;
}

export const turns: Table<TurnRow> = table<TurnRow>({
  name: 'rosters_turns',
  key: ['school'],
  columns: {
    school: 'text',
    running: 'text',
    before: 'text',
    turnedMs: 'int',
    plannedYear: 'text',
    plannedDay: 'text',
    lookedBack: 'text',
  },
  retention,
});

export const years: Table<YearRow> = table<YearRow>({
  name: 'rosters_years',
  key: ['school', 'year'],
  columns: {
    school: 'text',
    year: 'text',
    rosterId: 'text',
    byOin: 'text',
    asOf: 'text',
    madeMs: 'int',
    changedMs: 'int',
    learners: 'int',
    groups: 'int',
    sites: 'json',
  },
  retention,
});

export const scopes: Table<ScopeRow> = table<ScopeRow>({
  name: 'rosters_scopes',
  key: ['school', 'year', 'site', 'administration'],
  columns: {
    school: 'text',
    year: 'text',
    site: 'text',
    administration: 'text',
    rosterId: 'text',
    byOin: 'text',
    asOf: 'text',
    madeMs: 'int',
    seenMs: 'int',
    endedMs: 'int',
    learners: 'int',
    sites: 'json',
  },
  retention,
});

export const learners: Table<LearnerRow> = table<LearnerRow>({
  name: 'rosters_learners',
  key: ['school', 'year', 'learner'],
  columns: {
    school: 'text',
    year: 'text',
    learner: 'text',
    yearGroup: 'text',
    baseGroup: 'text',
    compositeGroups: 'json',
    site: 'text',
    entersOn: 'text',
    leavesOn: 'text',
    nameMark: 'text',
    changedMs: 'int',
    scope: 'text',
    claims: 'json',
  },
  retention,
});

export const groups: Table<GroupRow> = table<GroupRow>({
  name: 'rosters_groups',
  key: ['school', 'year', 'groupToken'],
  columns: {
    school: 'text',
    year: 'text',
    groupToken: 'text',
    name: 'text',
    description: 'text',
    yearGroup: 'text',
    composite: 'int',
    changedMs: 'int',
    scope: 'text',
    claims: 'json',
  },
  retention,
});

export const staff: Table<StaffRow> = table<StaffRow>({
  name: 'rosters_staff',
  key: ['school', 'year', 'staff'],
  columns: {
    school: 'text',
    year: 'text',
    staff: 'text',
    groups: 'json',
    duties: 'json',
    nameMark: 'text',
    changedMs: 'int',
    scope: 'text',
    claims: 'json',
  },
  retention,
});

export const places: Table<PlaceRow> = table<PlaceRow>({
  name: 'rosters_places',
  key: ['school', 'year', 'site', 'kind', 'place'],
  columns: { school: 'text', year: 'text', site: 'text', kind: 'text', place: 'text', changedMs: 'int' },
  retention,
});

export const parts: Table<PartRow> = table<PartRow>({
  name: 'rosters_parts',
  key: ['school', 'byOin', 'rosterId', 'part'],
  columns: { school: 'text', byOin: 'text', rosterId: 'text', part: 'int', body: 'blob' },
  retention,
});

export const holds: Table<HoldRow> = table<HoldRow>({
  name: 'rosters_holds',
  key: ['school', 'holdId'],
  columns: {
    school: 'text',
    holdId: 'text',
    year: 'text',
    rosterId: 'text',
    byOin: 'text',
    flowId: 'text',
    reason: 'text',
    state: 'text',
    sinceMs: 'int',
    madeMs: 'int',
    partial: 'int',
    difference: 'json',
    learnersLeaving: 'json',
    groupsClosing: 'json',
    site: 'text',
    administration: 'text',
    forgets: 'int',
    yearGroups: 'json',
    merge: 'json',
    schoolChange: 'json',
    byGroup: 'json',
    part: 'int',
    approval: 'json',
    asks: 'json',
    ruled: 'json',
  },
  indexes: { waiting: ['state', 'school', 'year'], ofYear: ['school', 'year'] },
  retention,
});

export const marks: Table<MarkRow> = table<MarkRow>({
  name: 'rosters_marks',
  key: ['school', 'year', 'word'],
  columns: { school: 'text', year: 'text', word: 'text', holdId: 'text', rejected: 'int', scope: 'text' },
  retention,
});

export const heldParts: Table<HeldPartRow> = table<HeldPartRow>({
  name: 'rosters_held_parts',
  key: ['school', 'holdId', 'part'],
  columns: { school: 'text', holdId: 'text', part: 'int', body: 'blob' },
  retention,
});

export const forgotten: Table<ForgottenRow> = table<ForgottenRow>({
  name: 'rosters_forgotten',
  key: ['school', 'learner'],
  columns: {
    school: 'text',
    learner: 'text',
    atMs: 'int',
    destroyAtMs: 'int',
    keptMs: 'int',
    ofSchool: 'int',
    byTerm: 'int',
  },
  // Empty once the vault was told after its hour.
  indexes: { byHour: ['destroyAtMs', 'school'], ofSchool: ['school', 'ofSchool'] },
  retention,
});

export const left: Table<LeftRow> = table<LeftRow>({
  name: 'rosters_left',
  key: ['school', 'person'],
  columns: { school: 'text', person: 'text', isStaff: 'int', leftOn: 'text', dueMs: 'int', endedMs: 'int' },
  indexes: { ofSchool: ['school', 'dueMs'], byHour: ['dueMs', 'school'], ended: ['endedMs', 'school'] },
  retention,
});

export const heldForgets: Table<HeldForgetRow> = table<HeldForgetRow>({
  name: 'rosters_held_forgets',
  key: ['school', 'holdId', 'learner'],
  columns: { school: 'text', holdId: 'text', learner: 'text', flowId: 'text', delayMs: 'int', nth: 'int' },
  retention,
});

export const merges: Table<MergeRow> = table<MergeRow>({
  name: 'rosters_merges',
  key: ['school', 'loser'],
  columns: {
    school: 'text',
    loser: 'text',
    winner: 'text',
    atMs: 'int',
    untilMs: 'int',
    undone: 'int',
    held: 'json',
    moved: 'json',
  },
  // In the order in which the vault is told.
  indexes: { byTime: ['atMs', 'school'], winner: ['school', 'winner'] },
  // By the loser, who is forgotten with the winner, also after the roster is gone.
  retention: 'RETENTION_ORDER',
});

export const changes: Table<ChangeRow> = table<ChangeRow>({
  name: 'rosters_changes',
  key: ['school', 'changeId'],
  columns: {
    school: 'text',
    changeId: 'text',
    toSchool: 'text',
    onDay: 'text',
    whole: 'int',
    sites: 'json',
    yearGroups: 'json',
    listed: 'int',
    word: 'text',
    state: 'text',
    year: 'text',
    leftOn: 'text',
    waiting: 'int',
    went: 'int',
    stayed: 'int',
    atMs: 'int',
  },
  indexes: { byState: ['state', 'school'] },
  retention,
});

export const crossers: Table<CrosserRow> = table<CrosserRow>({
  name: 'rosters_crossers',
  key: ['school', 'changeId', 'learner'],
  columns: { school: 'text', changeId: 'text', learner: 'text', state: 'text', atMs: 'int' },
  indexes: { byState: ['school', 'changeId', 'state'] },
  retention,
});

/** Rows of `learners` of who waits to be forgotten, by school year. */
export const aside: Table<AsideRow> = asideTable('rosters_aside', retention);

/** A roster that is asked of an administration. By calls of the doors, not by events: it says nothing of what is known. */
export interface PullRow {
  party: string;
  /** All empty: the administration itself. */
  school: string;
  year: string;
  site: string;
  administration: string;
  /** Who asks now, hexadecimal, and until when; empty = nobody. */
  claim: string;
  untilMs: number;
  dueMs: number;
  /** 1 = somebody must act. */
  failing: number;
  /** An eduk.rosters.v1.Pull. */
  pull: Uint8Array;
}

/** Copies of freezes: what they guard is not taken away, renamed or moved. */
export const freezes: Table<FreezeRow> = freezesTable('rosters_freezes');

/** Copies of rules that let rosters go which would wait, and what each let go at a school. */
export const holdRules: Table<HoldRuleRow> = holdRulesTable('rosters_hold_rules');
export const ruleSpent: Table<RuleSpentRow> = ruleSpentTable('rosters_rule_spent');

export const pulls: Table<PullRow> = table<PullRow>({
  name: 'rosters_pulls',
  key: ['party', 'school', 'year', 'site', 'administration'],
  columns: {
    party: 'text',
    school: 'text',
    year: 'text',
    site: 'text',
    administration: 'text',
    claim: 'text',
    untilMs: 'int',
    dueMs: 'int',
    failing: 'int',
    pull: 'blob',
  },
  indexes: { failing: ['failing', 'party', 'school'] },
  retention: 'RETENTION_PUBLIC',
});

export const tables: readonly Table[] = [
  turns,
  years,
  scopes,
  learners,
  groups,
  staff,
  places,
  parts,
  holds,
  heldParts,
  marks,
  forgotten,
  left,
  heldForgets,
  merges,
  changes,
  crossers,
  aside,
  pulls,
  freezes,
  holdRules,
  ruleSpent,
];
