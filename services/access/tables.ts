/** Rows of this service: copies of what it must know to let someone in, and the launches it decided. */
import { asideTable, forgottenTable, mergedTable, table } from '#bus';
import type { EntitlementState } from '#proto/eduk/core/v1/ordering';

/** A copy of an entitlement: who may open what, and when. */
export interface Right {
  school: string;
  id: string;
  /** `l:` and a learner's token, `g:` and a group's token, empty = the whole school. */
  holder: string;
  product: string;
  state: EntitlementState;
  starts: string;
  ends: string;
  publisher: string;
  platform: string;
  /** 1 = a count to take licences from; it lets nobody in by itself. */
  counted: number;
}

export const rights = table<Right>({
  name: 'access_rights',
  key: ['school', 'id'],
  columns: {
    school: 'text',
    id: 'text',
    holder: 'text',
    product: 'text',
    state: 'int',
    starts: 'text',
    ends: 'text',
    publisher: 'text',
    platform: 'text',
    counted: 'int',
  },
  indexes: { holder: ['school', 'holder', 'product'] },
  retention: 'RETENTION_ORDER',
});

/** A learner at school: the groups of each school year. */
export interface Learner {
  school: string;
  learner: string;
  years: Record<string, Enrolment>;
}

export interface Enrolment {
  groups: string[];
  /** First day on which the learner is no longer there. */
  until?: string;
}

export const learners = table<Learner>({
  name: 'access_learners',
  key: ['school', 'learner'],
  columns: { school: 'text', learner: 'text', years: 'json' },
  retention: 'RETENTION_ROSTER',
});

/** Which school year a school is in, where it was told; until then that of the calendar. */
export interface Turn {
  school: string;
  running: string;
}

export const turns = table<Turn>({
  name: 'access_turns',
  key: ['school'],
  columns: { school: 'text', running: 'text' },
  retention: 'RETENTION_ROSTER',
});

/** What access needs of the catalogue. */
export interface ProductCopy {
  product: string;
  publisher: string;
  platform: string;
  /** 0 = free material: no entitlement is needed. */
  licensed: number;
}

export const products = table<ProductCopy>({
  name: 'access_products',
  key: ['product'],
  columns: { product: 'text', publisher: 'text', platform: 'text', licensed: 'int' },
  retention: 'RETENTION_PUBLIC',
});

export interface Launch {
  launch: string;
  school: string;
  /** Empty once the learner is forgotten. */
  learner: string;
  /** Empty for free material. */
  entitlement: string;
  product: string;
  publisher: string;
  platform: string;
  /** Of the ticket, SHA-256 as hex; empty after thirty days. */
  digest: string;
  /** Dutch day of its making. */
  day: string;
  /** Exact for thirty days, then the start of the day. */
  created: number;
  expires: number;
  redeemed: number;
  redeemer: string;
  /** `created`, `refused`, `redeemed`. */
  state: string;
  code: string;
}

export const launches = table<Launch>({
  name: 'access_launches',
  key: ['launch'],
  columns: {
    launch: 'text',
    school: 'text',
    learner: 'text',
    entitlement: 'text',
    product: 'text',
    publisher: 'text',
    platform: 'text',
    digest: 'text',
    day: 'text',
    created: 'int',
    expires: 'int',
    redeemed: 'int',
    redeemer: 'text',
    state: 'text',
    code: 'text',
  },
  indexes: { learner: ['school', 'learner'], day: ['day'] },
  retention: 'RETENTION_ACCESS',
});

/** So that neither a right that is told late, nor a launch that waited, names who was forgotten. */
export const forgotten = forgottenTable('access_forgotten', 'RETENTION_ROSTER');

/** What there was of a learner who waits to be forgotten: `groups`, a `Learner`; `right ` and an id; `launch ` and an id. */
export const aside = asideTable('access_aside', 'RETENTION_ACCESS');

/** Who is let in by what stands under another token of theirs. */
export const merged = mergedTable('access_merged');

/** Days for which the timer stands that makes their launches' times coarse. */
export interface LaunchDay {
  day: string;
}

export const launchDays = table<LaunchDay>({
  name: 'access_launch_days',
  key: ['day'],
  columns: { day: 'text' },
  retention: 'RETENTION_ACCESS',
});

/** Last days of use for which the timer stands that removes a school's ended rights. */
export interface Ending {
  school: string;
  day: string;
}

export const endings = table<Ending>({
  name: 'access_endings',
  key: ['school', 'day'],
  columns: { school: 'text', day: 'text' },
  retention: 'RETENTION_ORDER',
});

/** Launches of a quarter of an hour, of all schools together. */
export interface Tally {
  /** Dutch day. */
  day: string;
  /** 0 to 95. */
  quarter: number;
  /** Both empty where it was refused before it was known what was to be opened. */
  platform: string;
  publisher: string;
  /** `created`, `redeemed`, `refused CODE`, `shown CODE`. */
  counts: Record<string, number>;
}

export const tallies = table<Tally>({
  name: 'access_tallies',
  key: ['day', 'quarter', 'platform', 'publisher'],
  columns: { day: 'text', quarter: 'int', platform: 'text', publisher: 'text', counts: 'json' },
  retention: 'RETENTION_ACCESS',
});
