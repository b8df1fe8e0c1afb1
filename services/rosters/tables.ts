import { type Table, table } from '#bus';
import type { RosterDifference, SiteEntry, StaffGroupEntry } from '#proto/eduk/events/v1/rosters';

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

/** A learner who is at the school in that year. */
export interface LearnerRow {
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

export interface GroupRow {
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

export interface StaffRow {
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
  /** `waiting`, `approved` or `rejected`. */
  state: string;
  sinceMs: number;
  madeMs: number;
  /** 0 or 1. */
  partial: number;
  difference: RosterDifference;
  learnersLeaving: string[];
  groupsClosing: string[];
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
}

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
  },
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
  },
  indexes: { waiting: ['state', 'school', 'year'], ofYear: ['school', 'year'] },
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
  columns: { school: 'text', learner: 'text', atMs: 'int', destroyAtMs: 'int' },
  // Empty once the vault was told after its hour.
  indexes: { byHour: ['destroyAtMs', 'school'] },
  retention,
});

export const tables: readonly Table[] = [years, learners, groups, staff, parts, holds, heldParts, forgotten];
