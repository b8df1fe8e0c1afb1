/**
 * The decider of rosters: what a roster, a decision about a hold, named learners, a day of leaving or a wish to be
 * forgotten mean for one school and school year. Pure: state and command in, events out; time is part of the command.
 */
import { dutchDay, type Fault, isDay, isSchoolYear } from '#kernel';
import type { GroupEntry, LearnerEntry, RosterDifference, SiteEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import type { EventName, EventOf } from '#proto/events';

/** Below this many pupils no share is counted: one family is already ten percent. */
export const FEWEST_PUPILS = 20;
/** What a hold shows at most of those who would leave and of groups that would close. */
export const SHOWN_AT_MOST = 50;

/** A whole roster: the parts put together. */
export interface RosterDocument {
  rosterId: string;
  schoolOin: string;
  schoolYear: string;
  asOf: string;
  /** Unix milliseconds; 0 = not said. */
  madeMs: number;
  partial: boolean;
  byOin: string;
  sites: readonly SiteEntry[];
  groups: readonly GroupEntry[];
  learners: readonly LearnerEntry[];
  staff: readonly StaffEntry[];
}

/** A hold, as far as deciding needs it. */
export interface HoldState {
  holdId: string;
  rosterId: string;
  year: string;
  flowId: string;
  state: string;
  madeMs: number;
  partial: boolean;
}

/** One school in one school year, as it is known. */
export interface RosterState {
  madeMs: number;
  sites: readonly SiteEntry[];
  groups: ReadonlyMap<string, GroupEntry>;
  /** How many learners there are. */
  size: number;
  /** All of them; for a command that names its learners, at least those. */
  learners: ReadonlyMap<string, LearnerEntry>;
  staff: ReadonlyMap<string, StaffEntry>;
  /** Learners of the school whom no roster may bring back. */
  forgotten: ReadonlySet<string>;
  /** Holds of this year that wait. */
  waiting: readonly HoldState[];
}

export const nothingKnown: RosterState = {
  madeMs: 0,
  sites: [],
  groups: new Map(),
  size: 0,
  learners: new Map(),
  staff: new Map(),
  forgotten: new Set(),
  waiting: [],
};

export type RosterCommand =
  /** The last part came. `holdId` is the name a hold would get. */
  | { type: 'CloseRoster'; document: RosterDocument; holdId: string; thresholdPercent: number; now: number }
  /** Someone looked at a hold. `document` is what was held; absent when the hold is unknown. */
  | {
      type: 'DecideHold';
      schoolOin: string;
      holdId: string;
      approve: boolean;
      hold?: HoldState | undefined;
      document?: RosterDocument | undefined;
      now: number;
    }
  | { type: 'AddLearners'; schoolOin: string; schoolYear: string; learners: readonly LearnerEntry[]; now: number }
  /** A day of leaving may have ended. */
  | { type: 'EndDay'; schoolOin: string; schoolYear: string; learner: string; now: number };

type Writes =
  | 'RosterApplied'
  | 'RosterHeld'
  | 'RosterRefused'
  | 'RosterPartTaken'
  | 'HoldDecided'
  | 'LearnerJoined'
  | 'LearnerMoved'
  | 'LearnerChanged'
  | 'LearnerLeft'
  | 'LearnerForgotten'
  | 'GroupChanged'
  | 'StaffChanged';

/** An event to append. `flowId`: where it belongs to another flow than the record decided. */
export type RosterEvent = {
  [N in EventName & Writes]: { name: N; value: EventOf<N>; key: string; flowId?: string };
}[EventName & Writes];

/** What a command led to: events, and for a roster that was applied or held, the difference behind them. */
export interface Decided {
  events: RosterEvent[];
  changes?: Changes;
}

export function decide(state: RosterState, command: RosterCommand): Decided {
  switch (command.type) {
    case 'CloseRoster':
      return closeRoster(state, command);
    case 'DecideHold':
      return decideHold(state, command);
    case 'AddLearners':
      return addLearners(state, command);
    case 'EndDay': {
      const { schoolOin, schoolYear, learner, now } = command;
      const entry = state.learners.get(learner);
      if (!entry || !hasLeft(entry, now)) return { events: [] }; // Gone before, or the day was moved.
      return { events: [left(schoolOin, schoolYear, { learner, leftOn: entry.leavesOn, group: entry.group })] };
    }
  }
}

function closeRoster(state: RosterState, command: Extract<RosterCommand, { type: 'CloseRoster' }>): Decided {
  const { document, holdId, thresholdPercent, now } = command;
  const refuse = (code: Fault, told: string): Decided => ({
    events: [refused({ rosterId: document.rosterId, holdId: '', schoolOin: document.schoolOin, code, told })],
  });
  const wrong = whatIsWrong(document, state);
  if (wrong !== undefined) return refuse('wire.invalid', wrong);
  if (isOlder(document.madeMs, state.madeMs))
    return refuse('state.conflict', 'A roster that was made later has been applied already.');

  const changes = compare(state, document, now);
  const reason = whyHold(state, changes, thresholdPercent);
  // A roster with additions only stands beside a full one that waits; a full one takes the place of both sorts.
  const rivals = state.waiting.filter((hold) => !document.partial || hold.partial);
  if (reason !== undefined && rivals.some((hold) => isOlder(document.madeMs, hold.madeMs)))
    return refuse('state.conflict', 'A roster that was made later waits for approval already.');
  const superseded = rivals
    .filter((hold) => !isOlder(document.madeMs, hold.madeMs))
    .map((hold) =>
      refused(
        {
          rosterId: hold.rosterId,
          holdId: hold.holdId,
          schoolOin: document.schoolOin,
          code: 'state.conflict',
          told: 'A newer roster of this school and school year has taken its place.',
        },
        hold.flowId,
      ),
    );
  if (reason !== undefined) {
    const { rosterId, schoolOin, schoolYear } = document;
    const value = { rosterId, holdId, schoolOin, schoolYear, difference: changes.difference, reason };
    return { events: [...superseded, { name: 'RosterHeld', key: schoolOin, value }], changes };
  }
  return { events: [...superseded, ...apply(document, changes)], changes };
}

function decideHold(state: RosterState, command: Extract<RosterCommand, { type: 'DecideHold' }>): Decided {
  const { schoolOin, holdId, approve, hold, document, now } = command;
  const refuse = (code: Fault, told: string): Decided => ({
    events: [refused({ rosterId: hold?.rosterId ?? '', holdId, schoolOin, code, told })],
  });
  if (!hold) return refuse('state.missing', 'Nothing is held under this id.');
  if (hold.state !== 'waiting' || !document) return refuse('state.conflict', 'This was decided before.');
  const decided: RosterEvent = {
    name: 'HoldDecided',
    key: schoolOin,
    value: { holdId, rosterId: hold.rosterId, schoolOin, approved: approve },
  };
  if (!approve) {
    const told = 'It waited for approval and was rejected.';
    return {
      events: [
        decided,
        refused({ rosterId: hold.rosterId, holdId, schoolOin, code: 'hold.pending', told }, hold.flowId),
      ],
    };
  }
  // What only adds builds on groups that may have closed while it waited.
  const wrong = whatIsWrong(document, state);
  if (wrong !== undefined) {
    const value = { rosterId: hold.rosterId, holdId, schoolOin, code: 'wire.invalid' as const, told: wrong };
    return { events: [refused(value), refused(value, hold.flowId)] };
  }
  const changes = compare(state, document, now);
  return {
    events: [decided, ...apply(document, changes).map((event) => ({ ...event, flowId: hold.flowId }))],
    changes,
  };
}

function addLearners(state: RosterState, command: Extract<RosterCommand, { type: 'AddLearners' }>): Decided {
  const { schoolOin, schoolYear, now } = command;
  const named = command.learners.map((entry) => addedTo(state.learners.get(entry.learner), entry));
  const document: RosterDocument = {
    rosterId: '',
    schoolOin,
    schoolYear,
    asOf: '',
    madeMs: 0,
    partial: true,
    byOin: '',
    sites: [],
    groups: [],
    learners: named,
    staff: [],
  };
  const wrong = whatIsWrong(document, state);
  if (wrong !== undefined)
    return { events: [refused({ rosterId: '', holdId: '', schoolOin, code: 'wire.invalid', told: wrong })] };
  const changes = compare(state, document, now);
  return { events: apply(document, changes), changes };
}

/** Naming a learner outside a roster takes nothing away: what it leaves out stays as it is known. */
function addedTo(known: LearnerEntry | undefined, entry: LearnerEntry): LearnerEntry {
  if (!known) return entry;
  return {
    learner: entry.learner,
    yearGroup: entry.yearGroup || known.yearGroup,
    group: entry.group || known.group,
    compositeGroups: [...new Set([...known.compositeGroups, ...entry.compositeGroups])],
    site: entry.site || known.site,
    entersOn: entry.entersOn || known.entersOn,
    leavesOn: entry.leavesOn || known.leavesOn,
    nameMark: entry.nameMark.length > 0 ? entry.nameMark : known.nameMark,
  };
}

/** Says what breaks the contract, in words without values; undefined = nothing. */
export function whatIsWrong(document: RosterDocument, state: RosterState): string | undefined {
  if (!isSchoolYear(document.schoolYear)) return 'The school year must be two years that follow each other.';
  if (document.asOf !== '' && !isDay(document.asOf)) return 'The day the roster describes does not exist.';
  const groups = new Set<string>();
  for (const { group } of document.groups) {
    if (group === '') return 'A group has no key.';
    if (groups.has(group)) return 'A group stands in the roster twice.';
    groups.add(group);
  }
  // What only adds may build on groups that are known; a whole roster names its own.
  const isGroup = (group: string) => groups.has(group) || (document.partial && state.groups.has(group));
  const learners = new Set<string>();
  for (const entry of document.learners) {
    if (entry.learner === '') return 'A learner has no token.';
    if (learners.has(entry.learner)) return 'A learner stands in the roster twice.';
    learners.add(entry.learner);
    if (entry.group !== '' && !isGroup(entry.group)) return 'A learner is in a group that the roster does not have.';
    if (!entry.compositeGroups.every(isGroup)) return 'A learner is in a group that the roster does not have.';
    if (entry.entersOn !== '' && !isDay(entry.entersOn)) return 'A day of entering does not exist.';
    if (entry.leavesOn !== '' && !isDay(entry.leavesOn)) return 'A day of leaving does not exist.';
  }
  const staff = new Set<string>();
  for (const entry of document.staff) {
    if (entry.staff === '') return 'A member of staff has no token.';
    if (staff.has(entry.staff)) return 'A member of staff stands in the roster twice.';
    staff.add(entry.staff);
    if (!entry.groups.every(({ group }) => isGroup(group)))
      return 'A member of staff has a group that the roster does not have.';
  }
  return undefined;
}

/** Where one of both does not say when it was made, neither is older. */
const isOlder = (madeMs: number, thanMs: number): boolean => madeMs !== 0 && madeMs < thanMs;

/** The day of leaving is over, in the Netherlands. */
export const hasLeft = (entry: LearnerEntry, now: number): boolean =>
  entry.leavesOn !== '' && entry.leavesOn < dutchDay(now);

/** What a roster changes, in full. */
export interface Changes {
  joined: LearnerEntry[];
  moved: { learner: LearnerEntry; before: LearnerEntry }[];
  changed: LearnerEntry[];
  left: { learner: string; leftOn: string; group: string }[];
  groups: { group: GroupEntry; change: 'opened' | 'renamed' | 'changed' | 'closed' }[];
  staff: { staff: StaffEntry; change: 'joined' | 'changed' | 'left' }[];
  sites: readonly SiteEntry[];
  sitesChanged: boolean;
  difference: RosterDifference;
}

/** True when the roster would leave everything as it is. */
export const isNothing = (changes: Changes): boolean =>
  !changes.sitesChanged &&
  [changes.joined, changes.moved, changes.changed, changes.left, changes.groups, changes.staff].every(
    ({ length }) => length === 0,
  );

/** Compares what is known with a document that `whatIsWrong` has passed. */
export function compare(state: RosterState, document: RosterDocument, now: number): Changes {
  const today = dutchDay(now);
  const joined: Changes['joined'] = [];
  const moved: Changes['moved'] = [];
  const changed: Changes['changed'] = [];
  const gone: Changes['left'] = [];
  let renamed = 0;
  const named = new Set<string>();
  for (const given of document.learners) {
    named.add(given.learner);
    const entry = tidy(given);
    const before = state.learners.get(entry.learner);
    if (state.forgotten.has(entry.learner)) continue;
    if (entry.leavesOn !== '' && entry.leavesOn < today) {
      if (before) gone.push({ learner: entry.learner, leftOn: entry.leavesOn, group: before.group });
    } else if (!before) joined.push(entry);
    else {
      const otherNames = !sameBytes(before.nameMark, entry.nameMark);
      if (otherNames && before.nameMark.length > 0 && entry.nameMark.length > 0) renamed++;
      if (!samePlace(before, entry)) moved.push({ learner: entry, before });
      else if (otherNames || before.entersOn !== entry.entersOn || before.leavesOn !== entry.leavesOn)
        changed.push(entry);
    }
  }
  if (!document.partial)
    for (const before of state.learners.values())
      if (!named.has(before.learner)) gone.push({ learner: before.learner, leftOn: today, group: before.group });

  const groups = compareGroups(state, document);
  const staff = compareStaff(state, document);
  const sites = document.partial ? withSites(state.sites, document.sites) : [...document.sites];
  const count = <T extends { change: string }>(rows: readonly T[], change: T['change']) =>
    rows.filter((row) => row.change === change).length;
  return {
    joined,
    moved,
    changed,
    left: gone,
    groups,
    staff,
    sites,
    sitesChanged: !sameSites(state.sites, sites),
    difference: {
      before: state.size,
      after: state.size + joined.length - gone.length,
      joined: joined.length,
      left: gone.length,
      moved: moved.length,
      renamed,
      groupsOpened: count(groups, 'opened'),
      groupsClosed: count(groups, 'closed'),
      groupsRenamed: groups.filter(
        ({ group, change }) => change === 'renamed' && isOtherName(state.groups.get(group.group)?.name, group.name),
      ).length,
      staffJoined: count(staff, 'joined'),
      staffLeft: count(staff, 'left'),
    },
  };
}

function compareGroups(state: RosterState, document: RosterDocument): Changes['groups'] {
  const rows: Changes['groups'] = [];
  const named = new Set<string>();
  for (const group of document.groups) {
    named.add(group.group);
    const before = state.groups.get(group.group);
    if (!before) rows.push({ group, change: 'opened' });
    else if (before.name !== group.name || before.description !== group.description)
      rows.push({ group, change: 'renamed' });
    else if (before.yearGroup !== group.yearGroup || before.composite !== group.composite)
      rows.push({ group, change: 'changed' });
  }
  if (!document.partial)
    for (const group of state.groups.values()) if (!named.has(group.group)) rows.push({ group, change: 'closed' });
  return rows;
}

function compareStaff(state: RosterState, document: RosterDocument): Changes['staff'] {
  const rows: Changes['staff'] = [];
  const named = new Set<string>();
  for (const given of document.staff) {
    named.add(given.staff);
    const staff = tidyStaff(given);
    const before = state.staff.get(staff.staff);
    if (!before) rows.push({ staff, change: 'joined' });
    else if (!sameBytes(before.nameMark, staff.nameMark) || staffWords(before) !== staffWords(staff))
      rows.push({ staff, change: 'changed' });
  }
  if (!document.partial)
    for (const staff of state.staff.values()) if (!named.has(staff.staff)) rows.push({ staff, change: 'left' });
  return rows;
}

/** Why a roster must wait for approval; undefined = it need not. */
export function whyHold(state: RosterState, changes: Changes, thresholdPercent: number): string | undefined {
  const { before, after, left: leaving, renamed, groupsRenamed, groupsClosed } = changes.difference;
  // However small the school: an empty roster never empties it by itself.
  if (before > 0 && after === 0) return 'empty';
  if (before < FEWEST_PUPILS) return undefined;
  const isMany = (part: number, whole: number) => part * 100 > whole * thresholdPercent;
  // More than half gone, or all groups gone, looks like a document that was cut off.
  const noGroups =
    state.groups.size > 0 &&
    groupsClosed === state.groups.size &&
    changes.groups.every(({ change }) => change === 'closed');
  if (noGroups || (isMany(leaving, before) && leaving * 2 > before)) return 'truncated';
  if (isMany(leaving, before)) return 'removes_many';
  if (isMany(renamed, before) || isMany(groupsRenamed, state.groups.size)) return 'renames_many';
  return undefined;
}

/** The events of a roster that counts: what it is first, then each change. */
function apply(document: RosterDocument, changes: Changes): RosterEvent[] {
  const { schoolOin, schoolYear, rosterId } = document;
  const where = { schoolOin, schoolYear };
  const events: RosterEvent[] = [
    { name: 'RosterApplied', key: schoolOin, value: { rosterId, ...where, difference: changes.difference } },
  ];
  const tellGroup = ({ group, change }: Changes['groups'][number]) =>
    events.push({ name: 'GroupChanged', key: schoolOin, value: { ...where, group, change } });
  for (const row of changes.groups) if (row.change !== 'closed') tellGroup(row);
  for (const learner of changes.joined)
    events.push({ name: 'LearnerJoined', key: learner.learner, value: { ...where, learner } });
  for (const { learner, before } of changes.moved)
    events.push({ name: 'LearnerMoved', key: learner.learner, value: { ...where, learner, before } });
  for (const learner of changes.changed)
    events.push({ name: 'LearnerChanged', key: learner.learner, value: { ...where, learner } });
  for (const row of changes.left) events.push(left(schoolOin, schoolYear, row));
  for (const { staff, change } of changes.staff)
    events.push({ name: 'StaffChanged', key: staff.staff, value: { ...where, staff, change } });
  for (const row of changes.groups) if (row.change === 'closed') tellGroup(row);
  return events;
}

const left = (schoolOin: string, schoolYear: string, row: Changes['left'][number]): RosterEvent => ({
  name: 'LearnerLeft',
  key: row.learner,
  value: { schoolOin, schoolYear, ...row },
});

const refused = (value: EventOf<'RosterRefused'> & { code: Fault }, flowId?: string): RosterEvent => ({
  name: 'RosterRefused',
  key: value.schoolOin,
  value,
  ...(flowId === undefined ? {} : { flowId }),
});

/** What an event makes of a school year: rows are saved by the same rule. */
export function evolve(state: RosterState, event: RosterEvent): RosterState {
  switch (event.name) {
    case 'LearnerJoined':
    case 'LearnerMoved':
    case 'LearnerChanged': {
      const learners = new Map(state.learners).set(event.value.learner!.learner, event.value.learner!);
      return { ...state, learners, size: learners.size };
    }
    case 'LearnerLeft':
    case 'LearnerForgotten': {
      const learners = new Map(state.learners);
      learners.delete(event.value.learner);
      const forgotten =
        event.name === 'LearnerForgotten' ? new Set([...state.forgotten, event.value.learner]) : state.forgotten;
      return { ...state, learners, size: learners.size, forgotten };
    }
    case 'GroupChanged': {
      const groups = new Map(state.groups);
      if (event.value.change === 'closed') groups.delete(event.value.group!.group);
      else groups.set(event.value.group!.group, event.value.group!);
      return { ...state, groups };
    }
    case 'StaffChanged': {
      const staff = new Map(state.staff);
      if (event.value.change === 'left') staff.delete(event.value.staff!.staff);
      else staff.set(event.value.staff!.staff, event.value.staff!);
      return { ...state, staff };
    }
    default:
      return state;
  }
}

/** Sets have no order and no doubles: an administration that shuffles them has changed nothing. */
const tidy = (entry: LearnerEntry): LearnerEntry =>
  entry.compositeGroups.length < 2 ? entry : { ...entry, compositeGroups: [...new Set(entry.compositeGroups)].sort() };

const tidyStaff = (entry: StaffEntry): StaffEntry => ({
  ...entry,
  duties: [...new Set(entry.duties)].sort(),
  groups: entry.groups
    .map(({ group, duties }) => ({ group, duties: [...new Set(duties)].sort() }))
    .sort((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0)),
});

const staffWords = ({ duties, groups }: StaffEntry): string =>
  JSON.stringify([duties, groups.map((g) => [g.group, g.duties])]);

const samePlace = (a: LearnerEntry, b: LearnerEntry): boolean =>
  a.yearGroup === b.yearGroup &&
  a.group === b.group &&
  a.site === b.site &&
  a.compositeGroups.length === b.compositeGroups.length &&
  a.compositeGroups.every((group, i) => group === b.compositeGroups[i]);

/** A name that was absent and is now given is no rename; nor is one that is no longer given. */
const isOtherName = (before: string | undefined, after: string): boolean =>
  (before ?? '') !== '' && after !== '' && before !== after;

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

function withSites(known: readonly SiteEntry[], more: readonly SiteEntry[]): SiteEntry[] {
  const sites = new Map(known.map((site) => [site.site, site]));
  for (const site of more) sites.set(site.site, site);
  return [...sites.values()];
}

const sameSites = (a: readonly SiteEntry[], b: readonly SiteEntry[]): boolean =>
  a.length === b.length &&
  a.every((site, i) => site.site === b[i]!.site && site.name === b[i]!.name && site.description === b[i]!.description);
