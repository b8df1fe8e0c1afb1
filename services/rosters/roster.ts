/**
 * The decider of rosters: what a roster, a decision about a hold, named learners, a day of leaving or a wish to be
 * forgotten mean for one school and school year. Pure: state and command in, events out; time is part of the command.
 */
import {
  dutchDay,
  type Fault,
  isAdministration,
  isDay,
  isOtherMark,
  isSchoolYear,
  isSiteCode,
  type RuleAsk,
} from '#kernel';
import type {
  GroupEntry,
  LearnerEntry,
  RosterDifference,
  SiteEntry,
  StaffEntry,
  YearGroupDifference,
} from '#proto/eduk/events/v1/rosters';
import type { EventName, EventOf } from '#proto/events';
import {
  ALL_OF_IT,
  carriedOut,
  type Item,
  isIn,
  isOtherName,
  itemsOf,
  leavesSooner,
  only,
  type Part,
  takes,
} from './part.ts';
import {
  type Claim,
  claimed,
  IN_USE,
  type Reach,
  reachOf,
  sameSites,
  scopeOf,
  scopeWord,
  siteCodesOf,
  WHOLE,
} from './scope.ts';

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
  /** Code of the site it is of; empty = the whole school. */
  siteCode: string;
  /** Five digits of the administration it is of; empty = not said. */
  administration: string;
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
  siteCode: string;
  administration: string;
  /** Why it waits. */
  reason?: string;
}

/** Something that a hold said and that was not approved: a roster that says it again is held. */
export interface Mark {
  /** Of an `Item`. */
  word: string;
  holdId: string;
  /** False: nobody decided about it yet, but about other parts of the hold. */
  rejected: boolean;
  /** Scope word of the roster that was held. */
  scope: string;
}

/** The newest roster of a scope. */
export interface ScopeState {
  /** Unix milliseconds; 0 = not said. */
  madeMs: number;
  /** Sites that it describes. */
  sites: readonly SiteEntry[];
  /** A roster of more than this scope has taken its place. */
  ended: boolean;
}

/** Who names whom, by token, first what counts. Absent = one roster of the whole school does. */
export interface Claims {
  learners: ReadonlyMap<string, readonly Claim<LearnerEntry>[]>;
  groups: ReadonlyMap<string, readonly Claim<GroupEntry>[]>;
  staff: ReadonlyMap<string, readonly Claim<StaffEntry>[]>;
}

/** One school in one school year, as it is known. */
export interface RosterState {
  /** By scope word: of which a roster came in this year. */
  scopes: ReadonlyMap<string, ScopeState>;
  claims: Claims;
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
  /** By word: what was said and not approved. */
  marked: ReadonlyMap<string, Mark>;
}

const noClaims: Claims = { learners: new Map(), groups: new Map(), staff: new Map() };

export const nothingKnown: RosterState = {
  scopes: new Map(),
  claims: noClaims,
  groups: new Map(),
  size: 0,
  learners: new Map(),
  staff: new Map(),
  forgotten: new Set(),
  waiting: [],
  marked: new Map(),
};

export type RosterCommand =
  /** The last part came. `holdId` is the name a hold would get. */
  | {
      type: 'CloseRoster';
      document: RosterDocument;
      holdId: string;
      thresholdPercent: number;
      /** A freeze holds: what takes away or renames waits until it ends. */
      frozen?: boolean;
      /** A rule lets it go: it waits for nobody. */
      released?: boolean;
      now: number;
    }
  /** Someone looked at a hold. `document` is what was held; absent when the hold is unknown. */
  | {
      type: 'DecideHold';
      schoolOin: string;
      holdId: string;
      approve: boolean;
      hold?: HoldState | undefined;
      document?: RosterDocument | undefined;
      /** What it is about; absent = all that still waits. */
      part?: Part | undefined;
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
  /** Of a roster that is held: what a rule is asked. */
  asks?: RuleAsk[];
  /** Claims that are others than before, where what was decided takes effect. */
  claims?: Claims;
  /** What goes on waiting under the hold that was decided about, and the state that it would change. */
  rest?: { changes: Changes; state: RosterState };
  /** What was not approved from now on, and words of what no longer is. */
  marks?: { add: readonly Mark[]; drop: readonly string[] };
}

export function decide(state: RosterState, command: RosterCommand): Decided {
  switch (command.type) {
    case 'CloseRoster':
      return closeRoster(state, command);
    case 'DecideHold':
      return decideHold(state, command);
    case 'AddLearners':
      return addLearners(state, command);
    case 'EndDay':
      return endDay(state, command);
  }
}

/** Who is named by a roster that has no day of leaving in the past stays, as that roster says. */
function endDay(state: RosterState, command: Extract<RosterCommand, { type: 'EndDay' }>): Decided {
  const { schoolOin, schoolYear, learner, now } = command;
  const before = state.learners.get(learner);
  if (!before || !hasLeft(before, now)) return { events: [] }; // Gone before, or the day was moved.
  const claims = learnerClaims(state, learner).filter(({ entry }) => !hasLeft(entry, now));
  const where = { schoolOin, schoolYear };
  if (claims.length === 0) return { events: [left(where, goneOf(before, before.leavesOn))] };
  const value = { ...where, learner: combinedLearner(claims), before };
  return {
    events: [{ name: 'LearnerMoved', key: learner, value }],
    claims: { ...noClaims, learners: new Map([[learner, claims]]) },
  };
}

function closeRoster(state: RosterState, command: Extract<RosterCommand, { type: 'CloseRoster' }>): Decided {
  const { document, holdId, thresholdPercent, frozen = false, released = false, now } = command;
  const { rosterId, schoolOin, schoolYear, siteCode, administration } = document;
  const scope = { siteCode, administration };
  const refuse = (code: Fault, told: string): Decided => ({
    events: [refused({ rosterId, holdId: '', schoolOin, code, told, ...scope })],
  });
  const wrong = whatIsWrong(document, state);
  if (wrong !== undefined) return refuse('wire.invalid', wrong);
  const reach = reachIn(state, document);
  if (isOvertaken(state, document, reach))
    return refuse('state.conflict', 'A roster that was made later has been applied already.');

  const { changes, claims } = compare(state, document, now);
  const whys = [
    ...whysHold(changes, thresholdPercent),
    ...(saidAgain(state, changes, schoolYear) ? ['said_again'] : []),
    ...(frozen && disturbs(changes) ? [FREEZE] : []),
  ];
  const reason = released ? undefined : whys[0];
  // A roster with additions only stands beside a full one that waits; a full one takes the place of both sorts.
  const rivals = state.waiting.filter((hold) => {
    const word = scopeWord({ site: hold.siteCode, administration: hold.administration });
    // One of a site goes when a roster of the whole school counts; while both wait, both are shown.
    const isAlike = reach.covers(word) && (reason === undefined || !reach.exceeds(word));
    return isAlike && (!document.partial || hold.partial);
  });
  if (reason !== undefined && rivals.some((hold) => isOlder(document.madeMs, hold.madeMs)))
    return refuse('state.conflict', 'A roster that was made later waits for approval already.');
  const superseded = rivals
    .filter((hold) => !isOlder(document.madeMs, hold.madeMs))
    .map((hold) =>
      refused(
        {
          rosterId: hold.rosterId,
          holdId: hold.holdId,
          schoolOin,
          code: 'state.conflict',
          told: 'A newer roster of this school and school year has taken its place.',
          siteCode: hold.siteCode,
          administration: hold.administration,
        },
        hold.flowId,
      ),
    );
  if (reason !== undefined) {
    const value = { rosterId, holdId, schoolOin, schoolYear, difference: changes.difference, reason, ...scope };
    const asks = asksOf(whys, state, changes, document);
    return { events: [...superseded, { name: 'RosterHeld', key: schoolOin, value }], changes, asks };
  }
  const marks = { add: [], drop: noLongerSaid(state, document, reach, new Map()) };
  return { events: [...superseded, ...apply(document, changes)], changes, claims, marks };
}

/** However little it is: what somebody looked at and did not approve is looked at again. */
function saidAgain(state: RosterState, changes: Changes, schoolYear: string): boolean {
  if (state.marked.size === 0) return false;
  const words = [...itemsOf(state, changes, schoolYear).keys()];
  return words.some((word) => state.marked.has(word));
}

/** Marks that end once a roster counts: it could have said them, and does not, or what it says of them is carried out. */
function noLongerSaid(
  { marked }: RosterState,
  document: RosterDocument,
  reach: Reach,
  waiting: ReadonlyMap<string, unknown>,
): string[] {
  return [...marked.values()]
    .filter(({ word, scope }) => !waiting.has(word) && !document.partial && reach.covers(scope))
    .map(({ word }) => word);
}

function decideHold(state: RosterState, command: Extract<RosterCommand, { type: 'DecideHold' }>): Decided {
  const { schoolOin, holdId, approve, hold, document, now } = command;
  const about = {
    rosterId: hold?.rosterId ?? '',
    holdId,
    schoolOin,
    siteCode: hold?.siteCode ?? '',
    administration: hold?.administration ?? '',
  };
  const refuse = (code: Fault, told: string): Decided => ({ events: [refused({ ...about, code, told })] });
  if (!hold) return refuse('state.missing', 'Nothing is held under this id.');
  if (hold.state !== 'waiting' || !document) return refuse('state.conflict', 'This was decided before.');
  const part = command.part ?? ALL_OF_IT;
  const isWhole = part.kinds.length === 0 && part.groups.length === 0;
  const reach = reachIn(state, document);
  const scope = reach.word;
  // What only adds builds on groups that may have closed while it waited.
  const wrong = whatIsWrong(document, state);
  // A newer one of its own scope took its place; one of a site may have been applied beside a waiting one of the school.
  const overtaken = isOvertaken(state, document, reach);
  const looked = wrong === undefined && !overtaken ? compare(state, document, now) : undefined;
  const isOf = (mark: Mark | undefined): boolean => mark?.holdId === holdId;
  const said = looked ? itemsOf(state, looked.changes, document.schoolYear) : new Map<string, Item>();
  const items = new Map(
    [...said].filter(([word]) => !(isOf(state.marked.get(word)) && state.marked.get(word)!.rejected)),
  );
  const meant = new Map([...items].filter(([, item]) => isIn(part, item)));
  const marksOf = (some: Iterable<Item>, rejected: boolean): Mark[] =>
    [...some].map(({ word }) => ({ word, holdId, rejected, scope }));
  const decided = (part: boolean): RosterEvent => ({
    name: 'HoldDecided',
    key: schoolOin,
    value: { holdId, rosterId: hold.rosterId, schoolOin, approved: approve, part },
  });
  const heldOn = ({ difference }: Changes): RosterEvent => {
    const { rosterId, schoolYear, siteCode, administration } = document;
    const value = {
      rosterId,
      holdId,
      schoolOin,
      schoolYear,
      difference,
      reason: hold.reason ?? '',
      siteCode,
      administration,
    };
    return { name: 'RosterHeld', key: schoolOin, value, flowId: hold.flowId };
  };
  // Of a part: the hold waits on, so that this refusal is of the decision alone.
  const refusePart = (code: Fault, told: string): Decided => ({
    events: [refused({ ...about, holdId: '', code, told })],
  });
  if (looked && !isWhole && meant.size === 0)
    return refusePart('state.missing', 'Nothing of what was named waits under this hold.');
  if (!approve) {
    if (looked && meant.size < items.size) {
      const rest = new Map([...items].filter(([word]) => !meant.has(word)));
      const { changes } = only(state, looked, new Set(rest.keys()), document.schoolYear);
      const add = [...marksOf(meant.values(), true), ...marksOf(rest.values(), false)];
      return { events: [decided(true), heldOn(changes)], rest: { changes, state }, marks: { add, drop: [] } };
    }
    const told = 'It waited for approval and was rejected.';
    // Who rejects all of it rejects the roster: what it would only have added may come with the next one.
    const isPartLeft = [...state.marked.values()].some(isOf);
    const add = marksOf(
      [...items.values()].filter((item) => isPartLeft || takes(item)),
      true,
    );
    return {
      events: [decided(false), refused({ ...about, code: 'hold.pending', told }, hold.flowId)],
      marks: { add, drop: [] },
    };
  }
  const refuseBoth = (code: Fault, told: string): Decided => {
    const value = { ...about, code, told };
    return { events: [refused(value), refused(value, hold.flowId)] };
  };
  if (wrong !== undefined) return refuseBoth('wire.invalid', wrong);
  if (!looked)
    return refuseBoth('state.conflict', 'A roster that was made later has been applied while this one waited.');
  const words = meant.size === said.size ? new Set(meant.keys()) : carriedOut(state, looked, new Set(meant.keys()));
  if (!isWhole && [...meant.keys()].every((word) => !words.has(word)))
    return refusePart('state.conflict', 'A group closes with who is in it: approve that too.');
  const { changes, claims } = meant.size === said.size ? looked : only(state, looked, words, document.schoolYear);
  const applied = apply(document, changes).map((event) => ({ ...event, flowId: hold.flowId }));
  const next = evolved(state, { events: applied, changes, claims });
  const again = compare(next, document, now);
  const isRejected = (word: string): boolean => said.has(word) && !items.has(word);
  const rest = new Map([...itemsOf(next, again.changes, document.schoolYear)].filter(([word]) => !isRejected(word)));
  const done = [...words].filter((word) => state.marked.has(word) && !rest.has(word));
  if (isWhole || rest.size === 0) {
    const stays = new Map([...said].filter(([word]) => !words.has(word)));
    const drop = [...new Set([...done, ...noLongerSaid(state, document, reach, stays)])];
    return { events: [decided(false), ...applied], changes, claims, marks: { add: [], drop } };
  }
  const left = only(next, again, new Set(rest.keys()), document.schoolYear);
  return {
    events: [decided(true), ...applied, heldOn(left.changes)],
    changes,
    claims,
    rest: { changes: left.changes, state: next },
    marks: { add: marksOf(rest.values(), false), drop: done },
  };
}

function addLearners(state: RosterState, command: Extract<RosterCommand, { type: 'AddLearners' }>): Decided {
  const { schoolOin, schoolYear, now } = command;
  const named = command.learners.map((entry) => addedTo(learnerClaims(state, entry.learner)[0]?.entry, entry));
  const document: RosterDocument = {
    rosterId: '',
    schoolOin,
    schoolYear,
    asOf: '',
    madeMs: 0,
    partial: true,
    byOin: '',
    siteCode: '',
    administration: '',
    sites: [],
    groups: [],
    learners: named,
    staff: [],
  };
  const wrong = whatIsWrong(document, state);
  if (wrong !== undefined)
    return {
      events: [
        refused({
          rosterId: '',
          holdId: '',
          schoolOin,
          code: 'wire.invalid',
          told: wrong,
          siteCode: '',
          administration: '',
        }),
      ],
    };
  const { changes, claims } = compare(state, document, now, true);
  return { events: apply(document, changes), changes, claims };
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
    siteCodes: [],
  };
}

const reachIn = (state: RosterState, { siteCode, administration }: RosterDocument): Reach =>
  reachOf({ site: siteCode, administration }, state.scopes.keys());

/** A roster that says something of the same learners was made later. */
const isOvertaken = (state: RosterState, { madeMs }: RosterDocument, reach: Reach): boolean =>
  [...state.scopes].some(([word, scope]) => reach.comparable(word) && isOlder(madeMs, scope.madeMs));

const claimsIn = <E>(claims: ReadonlyMap<string, readonly Claim<E>[]>, known: ReadonlyMap<string, E>, token: string) =>
  claims.get(token) ?? (known.has(token) ? [{ scope: WHOLE, entry: known.get(token)! }] : []);

const learnerClaims = (state: RosterState, token: string): readonly Claim<LearnerEntry>[] =>
  claimsIn(state.claims.learners, state.learners, token);
const groupClaims = (state: RosterState, token: string): readonly Claim<GroupEntry>[] =>
  claimsIn(state.claims.groups, state.groups, token);
const staffClaims = (state: RosterState, token: string): readonly Claim<StaffEntry>[] =>
  claimsIn(state.claims.staff, state.staff, token);

/** A learner as all rosters that name it say together: as the first says, in the composite groups of all. */
export function combinedLearner(claims: readonly Claim<LearnerEntry>[]): LearnerEntry {
  const [first, ...others] = claims;
  const siteCodes = siteCodesOf(claims);
  if (others.length === 0) return siteCodes.length === 0 ? first!.entry : { ...first!.entry, siteCodes };
  const compositeGroups = [...new Set(claims.flatMap(({ entry }) => entry.compositeGroups))].sort();
  return { ...first!.entry, compositeGroups, siteCodes };
}

export function combinedGroup(claims: readonly Claim<GroupEntry>[]): GroupEntry {
  const siteCodes = siteCodesOf(claims);
  return siteCodes.length === 0 ? claims[0]!.entry : { ...claims[0]!.entry, siteCodes };
}

/** A member of staff has the groups and duties of all sites. */
export function combinedStaff(claims: readonly Claim<StaffEntry>[]): StaffEntry {
  const siteCodes = siteCodesOf(claims);
  const entry = claims[0]!.entry;
  if (claims.length === 1) return siteCodes.length === 0 ? entry : { ...entry, siteCodes };
  const duties = new Map<string, string[]>();
  for (const claim of claims)
    for (const { group, duties: more } of claim.entry.groups)
      duties.set(group, [...(duties.get(group) ?? []), ...more]);
  return tidyStaff({
    ...entry,
    duties: claims.flatMap((claim) => claim.entry.duties),
    groups: [...duties].map(([group, all]) => ({ group, duties: all })),
    siteCodes,
  });
}

/** Says what breaks the contract, in words without values; undefined = nothing. */
export function whatIsWrong(document: RosterDocument, state: RosterState): string | undefined {
  if (!isSchoolYear(document.schoolYear)) return 'The school year must be two years that follow each other.';
  if (!isSiteCode(document.siteCode)) return 'The code of a site is two digits.';
  if (!isAdministration(document.administration)) return 'An administration is the five digits that end a routing id.';
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
  left: Gone[];
  groups: { group: GroupEntry; change: 'opened' | 'renamed' | 'changed' | 'closed'; siteCodesBefore: string[] }[];
  staff: { staff: StaffEntry; change: 'joined' | 'changed' | 'left'; siteCodesBefore: string[] }[];
  /** Sites of all rosters of the year together. */
  sites: readonly SiteEntry[];
  sitesChanged: boolean;
  /** Scopes as they are once this counts. */
  scopes: ReadonlyMap<string, ScopeState>;
  /** Codes of sites whose rosters end. */
  sitesEnded: string[];
  /** Groups and staff that were known in the scope. */
  groupsKnown: number;
  staffKnown: number;
  /** By each smaller scope that it speaks for: how many learners were named by it, and how many of them would leave. */
  parts: ReadonlyMap<string, { named: number; leaving: number }>;
  difference: RosterDifference;
}

interface Gone {
  learner: string;
  leftOn: string;
  group: string;
  siteCodes: string[];
}

const goneOf = ({ learner, group, siteCodes }: LearnerEntry, leftOn: string): Gone => ({
  learner,
  leftOn,
  group,
  siteCodes,
});

/** True when the roster would leave everything as it is. */
export const isNothing = (changes: Changes): boolean =>
  !changes.sitesChanged &&
  changes.sitesEnded.length === 0 &&
  [changes.joined, changes.moved, changes.changed, changes.left, changes.groups, changes.staff].every(
    ({ length }) => length === 0,
  );

/**
 * Compares what is known with a document that `whatIsWrong` has passed. With `adds`, learners are named outside a roster:
 * who is known stays named by the rosters that name it.
 */
export function compare(
  state: RosterState,
  document: RosterDocument,
  now: number,
  adds = false,
): { changes: Changes; claims: Claims } {
  const reach = reachIn(state, document);
  const today = dutchDay(now);
  const joined: Changes['joined'] = [];
  const moved: Changes['moved'] = [];
  const changed: Changes['changed'] = [];
  const gone: Gone[] = [];
  const claims = new Map<string, readonly Claim<LearnerEntry>[]>();
  let renamed = 0;
  // Learners of the scope: a roster of a site is measured by its own pupils.
  let own = 0;
  let ownLost = 0;
  let ownGained = 0;
  // A day of leaving that is told now takes effect by itself: it is looked at when it is told. At the end of the year everybody leaves it.
  let leavingLater = 0;
  const isOwn = (held: readonly Claim<LearnerEntry>[]) => held.some(({ scope }) => reach.covers(scope));

  const settle = (
    before: LearnerEntry | undefined,
    held: readonly Claim<LearnerEntry>[],
    next: readonly Claim<LearnerEntry>[],
    leftOn: string,
  ) => {
    if (next.length === 0) {
      if (before) gone.push(goneOf(before, leftOn));
      return;
    }
    if (!sameClaims(held, next, sameLearner)) claims.set(next[0]!.entry.learner, next);
    const entry = combinedLearner(next);
    if (!before) {
      joined.push(entry);
      return;
    }
    const otherPerson = !sameBytes(before.nameMark, entry.nameMark);
    if (isOtherMark(before.nameMark, entry.nameMark)) renamed++;
    if (!samePlace(before, entry) || !sameSites(before.siteCodes, entry.siteCodes))
      moved.push({ learner: entry, before });
    else if (otherPerson || !sameDays(before, entry)) changed.push(entry);
  };

  const named = new Set<string>();
  for (const given of document.learners) {
    named.add(given.learner);
    if (state.forgotten.has(given.learner)) continue;
    const entry = tidy(given);
    const before = state.learners.get(entry.learner);
    const held = learnerClaims(state, entry.learner);
    if (isOwn(held)) own++;
    if (entry.leavesOn !== '' && entry.leavesOn < today) {
      // It says that the learner has left, which counts for every roster that it could take the place of.
      if (isOwn(held)) ownLost++;
      const next = adds ? [] : held.filter(({ scope }) => !reach.comparable(scope));
      if (next.length < held.length) settle(before, held, next, entry.leavesOn);
      continue;
    }
    // Most of a roster is as it was, so this is asked first.
    if (held.length === 1 && held[0]!.scope === reach.word && sameLearner(held[0]!.entry, entry)) continue;
    if (!isOwn(held)) ownGained++;
    if (before && leavesSooner(before, entry, document.schoolYear)) leavingLater++;
    const next = adds && held.length > 0 ? [{ ...held[0]!, entry }, ...held.slice(1)] : claimed(held, entry, reach);
    settle(before, held, next, '');
  }
  if (!document.partial)
    for (const before of state.learners.values()) {
      if (named.has(before.learner)) continue;
      const held = learnerClaims(state, before.learner);
      const next = held.filter(({ scope }) => !reach.covers(scope));
      if (next.length === held.length) continue;
      own++;
      ownLost++;
      settle(before, held, next, today);
    }

  const staff = compareStaff(state, document, reach);
  const goneNow = new Set(gone.map(({ learner }) => learner));
  const groups = compareGroups(state, document, reach, claims, goneNow, staff.claims);
  const scopes = adds ? state.scopes : scopesAfter(state, document, reach);
  const sites = sitesOf(scopes);
  const before = reach.whole ? state.size : own;
  const count = <T extends { change: string }>(rows: readonly T[], change: T['change']) =>
    rows.filter((row) => row.change === change).length;
  const changes: Changes = {
    joined,
    moved,
    changed,
    left: gone,
    groups: groups.rows,
    staff: staff.rows,
    sites,
    sitesChanged: !sameSiteEntries(sitesOf(state.scopes), sites),
    scopes,
    sitesEnded: [...scopes]
      .filter(([word, { ended }]) => ended && state.scopes.get(word)?.ended === false && reach.exceeds(word))
      .map(([word]) => scopeOf(word).site)
      .filter((site, i, all) => site !== '' && all.indexOf(site) === i)
      .sort(),
    groupsKnown: groups.known,
    staffKnown: staff.known,
    parts: partsOf(state, reach, gone),
    difference: {
      before,
      after: reach.whole ? state.size + joined.length - gone.length : own - ownLost + ownGained,
      joined: joined.length,
      left: gone.length,
      moved: moved.length,
      renamed,
      groupsOpened: count(groups.rows, 'opened'),
      groupsClosed: count(groups.rows, 'closed'),
      groupsRenamed: groups.rows.filter(
        ({ group, change }) => change === 'renamed' && isOtherName(state.groups.get(group.group)?.name, group.name),
      ).length,
      staffJoined: count(staff.rows, 'joined'),
      staffLeft: count(staff.rows, 'left'),
      staffRenamed: staff.renamed,
      groupsBefore: groups.known,
      staffBefore: staff.known,
      leavingLater,
    },
  };
  return { changes, claims: { learners: claims, groups: groups.claims, staff: staff.claims } };
}

/** The scopes once a roster counts: its own is new, those it speaks for end. */
function scopesAfter(state: RosterState, document: RosterDocument, reach: Reach): ReadonlyMap<string, ScopeState> {
  const scopes = new Map(state.scopes);
  const known = scopes.get(reach.word);
  if (!document.partial)
    for (const [word, scope] of scopes) if (reach.covers(word)) scopes.set(word, { ...scope, sites: [], ended: true });
  scopes.set(reach.word, {
    madeMs: Math.max(known?.madeMs ?? 0, document.madeMs),
    sites: document.partial ? withSites(known?.sites ?? [], document.sites) : document.sites,
    ended: false,
  });
  return scopes;
}

const sitesOf = (scopes: ReadonlyMap<string, ScopeState>): readonly SiteEntry[] => {
  const lists = [...scopes.values()].map(({ sites }) => sites).filter((sites) => sites.length > 0);
  return lists.length < 2 ? (lists[0] ?? []) : lists.reduce(withSites, []);
};

function partsOf(state: RosterState, reach: Reach, gone: readonly Gone[]): Changes['parts'] {
  const parts = new Map<string, { named: number; leaving: number }>();
  for (const [word, { ended }] of state.scopes)
    if (!ended && reach.exceeds(word)) parts.set(word, { named: 0, leaving: 0 });
  if (parts.size === 0) return parts;
  for (const held of state.claims.learners.values())
    for (const { scope } of held) {
      const part = parts.get(scope);
      if (part) part.named++;
    }
  for (const { learner } of gone)
    for (const { scope } of learnerClaims(state, learner)) {
      const part = parts.get(scope);
      if (part) part.leaving++;
    }
  return parts;
}

function compareGroups(
  state: RosterState,
  document: RosterDocument,
  reach: Reach,
  learners: ReadonlyMap<string, readonly Claim<LearnerEntry>[]>,
  gone: ReadonlySet<string>,
  staff: Claims['staff'],
): { rows: Changes['groups']; claims: Map<string, readonly Claim<GroupEntry>[]>; known: number } {
  const rows: Changes['groups'] = [];
  const claims = new Map<string, readonly Claim<GroupEntry>[]>();
  let known = 0;
  const settle = (before: GroupEntry | undefined, held: readonly Claim<GroupEntry>[], next: Claim<GroupEntry>[]) => {
    const group = combinedGroup(next);
    if (!sameClaims(held, next, sameGroup)) claims.set(group.group, next);
    const siteCodesBefore = before?.siteCodes ?? [];
    if (!before) rows.push({ group, change: 'opened', siteCodesBefore });
    else if (before.name !== group.name || before.description !== group.description)
      rows.push({ group, change: 'renamed', siteCodesBefore });
    else if (!sameGroup(before, group) || !sameSites(before.siteCodes, group.siteCodes))
      rows.push({ group, change: 'changed', siteCodesBefore });
  };
  const named = new Set<string>();
  for (const group of document.groups) {
    named.add(group.group);
    const held = groupClaims(state, group.group);
    if (held.some(({ scope }) => reach.covers(scope))) known++;
    settle(state.groups.get(group.group), held, claimed(held, plain(group), reach));
  }
  if (document.partial) return { rows, claims, known: reach.whole ? state.groups.size : known };
  // A learner or teacher whom another roster names keeps the groups that this roster no longer has.
  let inUse: Set<string> | undefined;
  const isInUse = (group: string) => (inUse ??= groupsInUse(state, reach, learners, gone, staff)).has(group);
  for (const group of state.groups.values()) {
    if (named.has(group.group)) continue;
    const held = groupClaims(state, group.group);
    const next = held.filter(({ scope }) => !reach.covers(scope));
    if (next.length === held.length) continue;
    known++;
    if (next.length === 0 && !isInUse(group.group))
      rows.push({ group, change: 'closed', siteCodesBefore: group.siteCodes });
    else settle(group, held, next.length > 0 ? next : [{ scope: IN_USE, entry: held[0]!.entry }]);
  }
  return { rows, claims, known };
}

function groupsInUse(
  state: RosterState,
  reach: Reach,
  learners: ReadonlyMap<string, readonly Claim<LearnerEntry>[]>,
  gone: ReadonlySet<string>,
  staff: Claims['staff'],
): Set<string> {
  const inUse = new Set<string>();
  if (reach.whole) return inUse; // Everybody who stays is named by this roster, with its groups.
  for (const token of state.learners.keys()) {
    if (gone.has(token)) continue;
    for (const { scope, entry } of learners.get(token) ?? learnerClaims(state, token))
      if (!reach.covers(scope)) for (const group of [entry.group, ...entry.compositeGroups]) inUse.add(group);
  }
  for (const token of state.staff.keys())
    for (const { scope, entry } of staff.get(token) ?? staffClaims(state, token))
      if (!reach.covers(scope)) for (const { group } of entry.groups) inUse.add(group);
  return inUse;
}

function compareStaff(
  state: RosterState,
  document: RosterDocument,
  reach: Reach,
): { rows: Changes['staff']; claims: Map<string, readonly Claim<StaffEntry>[]>; known: number; renamed: number } {
  const rows: Changes['staff'] = [];
  const claims = new Map<string, readonly Claim<StaffEntry>[]>();
  let [known, renamed] = [0, 0];
  const settle = (before: StaffEntry | undefined, held: readonly Claim<StaffEntry>[], next: Claim<StaffEntry>[]) => {
    const staff = combinedStaff(next);
    if (!sameClaims(held, next, sameStaff)) claims.set(staff.staff, next);
    if (before && isOtherMark(before.nameMark, staff.nameMark)) renamed++;
    if (!before) rows.push({ staff, change: 'joined', siteCodesBefore: [] });
    else if (!sameStaff(before, staff) || !sameSites(before.siteCodes, staff.siteCodes))
      rows.push({ staff, change: 'changed', siteCodesBefore: before.siteCodes });
  };
  const named = new Set<string>();
  for (const given of document.staff) {
    named.add(given.staff);
    const held = staffClaims(state, given.staff);
    if (held.some(({ scope }) => reach.covers(scope))) known++;
    settle(state.staff.get(given.staff), held, claimed(held, tidyStaff(plain(given)), reach));
  }
  if (!document.partial)
    for (const staff of state.staff.values()) {
      if (named.has(staff.staff)) continue;
      const held = staffClaims(state, staff.staff);
      const next = held.filter(({ scope }) => !reach.covers(scope));
      if (next.length === held.length) continue;
      known++;
      if (next.length === 0) rows.push({ staff, change: 'left', siteCodesBefore: staff.siteCodes });
      else settle(staff, held, next);
    }
  return { rows, claims, known: document.partial && reach.whole ? state.staff.size : known, renamed };
}

/** Where the difference is: by year group, as it was for who leaves, as it is to be for the others. */
export function byYearGroup(state: RosterState, { joined, left, moved, changed }: Changes): YearGroupDifference[] {
  const parts = new Map<string, YearGroupDifference>();
  const add = (yearGroup: string, what: 'joined' | 'left' | 'moved' | 'renamed') => {
    const part = parts.get(yearGroup) ?? { yearGroup, joined: 0, left: 0, moved: 0, renamed: 0 };
    parts.set(yearGroup, { ...part, [what]: part[what] + 1 });
  };
  const addRenamed = (now: LearnerEntry) => {
    const before = state.learners.get(now.learner);
    if (before && isOtherMark(before.nameMark, now.nameMark)) add(now.yearGroup, 'renamed');
  };
  for (const { yearGroup } of joined) add(yearGroup, 'joined');
  for (const { learner } of left) add(state.learners.get(learner)?.yearGroup ?? '', 'left');
  for (const { learner } of moved) {
    add(learner.yearGroup, 'moved');
    addRenamed(learner);
  }
  for (const learner of changed) addRenamed(learner);
  return [...parts.values()].sort((a, b) => (a.yearGroup < b.yearGroup ? -1 : 1));
}

/** Why a roster must wait for approval; undefined = it need not. */
export const whyHold = (changes: Changes, thresholdPercent: number): string | undefined =>
  whysHold(changes, thresholdPercent)[0];

/** All that makes a roster wait for approval; the first is the gravest, and is told. */
function whysHold(changes: Changes, thresholdPercent: number): string[] {
  const {
    before,
    after,
    left: leaving,
    renamed,
    groupsRenamed,
    groupsClosed,
    staffLeft,
    staffRenamed,
    leavingLater,
  } = changes.difference;
  const whys: string[] = [];
  // However small the school: an empty roster never empties it by itself. A site whose pupils all moved may be empty.
  if (before > 0 && after === 0 && leaving > 0) whys.push('empty');
  // However small the site: a roster that says it is of the whole school and lacks most of a site is of a part of it.
  if ([...changes.parts.values()].some((part) => part.leaving * 2 > part.named)) whys.push('leaves_out_site');
  if (before < FEWEST_PUPILS) return whys;
  const isMany = (part: number, whole: number) => part * 100 > whole * thresholdPercent;
  // More than half gone, or all groups gone, looks like a document that was cut off.
  const noGroups =
    changes.groupsKnown > 0 &&
    groupsClosed === changes.groupsKnown &&
    changes.groups.every(({ change }) => change === 'closed');
  if (noGroups || (isMany(leaving, before) && leaving * 2 > before)) whys.push('truncated');
  if (isMany(leaving, before)) whys.push('removes_many');
  // The last class leaves before the holidays, and that is told beforehand; a whole school that does is a slip.
  if (leavingLater > 0 && (leaving + leavingLater) * 2 > before) whys.push('ends_many');
  if (isMany(renamed, before) || isMany(groupsRenamed, changes.groupsKnown)) whys.push('renames_many');
  // One group or one teacher is a large share of a small school, and an ordinary day.
  const areMany = (part: number, whole: number) => part > 1 && isMany(part, whole);
  if (areMany(groupsClosed, changes.groupsKnown)) whys.push('removes_groups');
  if (areMany(staffLeft, changes.staffKnown)) whys.push('removes_staff');
  if (areMany(staffRenamed, changes.staffKnown)) whys.push('renames_staff');
  return whys;
}

/** What a rule is asked about each reason; a reason that no rule lets go stands as it is. */
function asksOf(whys: readonly string[], state: RosterState, changes: Changes, document: RosterDocument): RuleAsk[] {
  const { before, left: leaving, leavingLater, renamed, groupsRenamed, groupsClosed } = changes.difference;
  return whys.flatMap((why): RuleAsk[] => {
    switch (why) {
      case 'removes_many':
        return [
          {
            ...{ kind: 'leavers', of: 'learners', count: leaving + leavingLater, base: before },
            yearGroups: leaversYears(state, changes, document),
          },
        ];
      case 'removes_groups':
        return [{ kind: 'groups', of: 'groups', count: groupsClosed, base: changes.groupsKnown, yearGroups: [] }];
      case 'renames_many':
        return [
          { kind: 'renames', of: 'learners', count: renamed, base: before, yearGroups: [] },
          { kind: 'renames', of: 'groups', count: groupsRenamed, base: changes.groupsKnown, yearGroups: [] },
        ].filter(({ count }) => count > 0);
      default:
        return [{ kind: why, of: '', count: 0, base: 0, yearGroups: [] }];
    }
  });
}

/** Year groups of who leaves, now or on a day that is told; the empty one is that of who has none. */
function leaversYears(state: RosterState, { left: gone }: Changes, document: RosterDocument): string[] {
  const yearOf = (learner: string): string => state.learners.get(learner)?.yearGroup ?? '';
  const later = document.learners.filter((entry) => {
    const before = state.learners.get(entry.learner);
    return before !== undefined && leavesSooner(before, entry, document.schoolYear);
  });
  return [...new Set([...gone, ...later].map(({ learner }) => yearOf(learner)))].sort();
}

/** Why a roster is held that a freeze keeps waiting, and nothing else. */
export const FREEZE = 'freeze';

/** Whether it takes anybody or anything away now, or gives others names. Who moves to another group, or leaves on a day to come, is not disturbed. */
const disturbs = ({ difference }: Changes): boolean =>
  difference.left +
    difference.renamed +
    difference.groupsClosed +
    difference.groupsRenamed +
    difference.staffLeft +
    difference.staffRenamed >
  0;

/** The events of a roster that counts: what it is first, then each change. */
function apply(document: RosterDocument, changes: Changes): RosterEvent[] {
  const { schoolOin, schoolYear, rosterId, siteCode, administration } = document;
  const { difference, sitesEnded } = changes;
  const where = { schoolOin, schoolYear };
  const events: RosterEvent[] = [
    {
      name: 'RosterApplied',
      key: schoolOin,
      value: { rosterId, ...where, difference, siteCode, administration, sitesEnded },
    },
  ];
  const tellGroup = ({ group, change, siteCodesBefore }: Changes['groups'][number]) =>
    events.push({ name: 'GroupChanged', key: schoolOin, value: { ...where, group, change, siteCodesBefore } });
  for (const row of changes.groups) if (row.change !== 'closed') tellGroup(row);
  for (const learner of changes.joined)
    events.push({ name: 'LearnerJoined', key: learner.learner, value: { ...where, learner } });
  for (const { learner, before } of changes.moved)
    events.push({ name: 'LearnerMoved', key: learner.learner, value: { ...where, learner, before } });
  for (const learner of changes.changed)
    events.push({ name: 'LearnerChanged', key: learner.learner, value: { ...where, learner } });
  for (const row of changes.left) events.push(left(where, row));
  for (const { staff, change, siteCodesBefore } of changes.staff)
    events.push({ name: 'StaffChanged', key: staff.staff, value: { ...where, staff, change, siteCodesBefore } });
  for (const row of changes.groups) if (row.change === 'closed') tellGroup(row);
  return events;
}

const left = (where: { schoolOin: string; schoolYear: string }, row: Gone): RosterEvent => ({
  name: 'LearnerLeft',
  key: row.learner,
  value: { ...where, ...row, mergedInto: '', movedToSchoolOin: '' },
});

const refused = (value: EventOf<'RosterRefused'> & { code: Fault }, flowId?: string): RosterEvent => ({
  name: 'RosterRefused',
  key: value.schoolOin,
  value,
  ...(flowId === undefined ? {} : { flowId }),
});

/** What a decision makes of a school year: rows are saved by the same rule. Holds are rows only. */
export function evolved(state: RosterState, { events, changes, claims, marks }: Decided): RosterState {
  const next = events.reduce(evolve, state);
  const isApplied = events.some(({ name }) => name === 'RosterApplied');
  const kept = <E>(
    before: ReadonlyMap<string, readonly Claim<E>[]>,
    after: ReadonlyMap<string, readonly Claim<E>[]> | undefined,
    known: ReadonlyMap<string, E>,
  ) => new Map([...before, ...(after ?? [])].filter(([token]) => known.has(token)));
  return {
    ...next,
    scopes: isApplied && changes ? changes.scopes : state.scopes,
    marked: marks ? markedAfter(state.marked, marks) : state.marked,
    claims: {
      learners: kept(state.claims.learners, claims?.learners, next.learners),
      groups: kept(state.claims.groups, claims?.groups, next.groups),
      staff: kept(state.claims.staff, claims?.staff, next.staff),
    },
  };
}

function markedAfter(
  marked: RosterState['marked'],
  { add, drop }: NonNullable<Decided['marks']>,
): RosterState['marked'] {
  const after = new Map(marked);
  for (const word of drop) after.delete(word);
  for (const mark of add) after.set(mark.word, mark);
  return after;
}

function evolve(state: RosterState, event: RosterEvent): RosterState {
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
  entry.compositeGroups.length < 2
    ? plain(entry)
    : { ...entry, compositeGroups: [...new Set(entry.compositeGroups)].sort(), siteCodes: [] };

/** Site codes are ours to say; those that came along are not read. */
const plain = <E extends { siteCodes: string[] }>(entry: E): E =>
  entry.siteCodes.length === 0 ? entry : { ...entry, siteCodes: [] };

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

const sameDays = (a: LearnerEntry, b: LearnerEntry): boolean => a.entersOn === b.entersOn && a.leavesOn === b.leavesOn;

export const sameLearner = (a: LearnerEntry, b: LearnerEntry): boolean =>
  samePlace(a, b) && sameDays(a, b) && sameBytes(a.nameMark, b.nameMark);

export const sameGroup = (a: GroupEntry, b: GroupEntry): boolean =>
  a.name === b.name && a.description === b.description && a.yearGroup === b.yearGroup && a.composite === b.composite;

export const sameStaff = (a: StaffEntry, b: StaffEntry): boolean =>
  sameBytes(a.nameMark, b.nameMark) && staffWords(a) === staffWords(b);

const sameClaims = <E>(
  a: readonly Claim<E>[],
  b: readonly Claim<E>[],
  sameEntry: (one: E, other: E) => boolean,
): boolean =>
  a.length === b.length && a.every(({ scope, entry }, i) => scope === b[i]!.scope && sameEntry(entry, b[i]!.entry));

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

function withSites(known: readonly SiteEntry[], more: readonly SiteEntry[]): SiteEntry[] {
  const sites = new Map(known.map((site) => [site.site, site]));
  for (const site of more) sites.set(site.site, site);
  return [...sites.values()];
}

export const sameSiteEntries = (a: readonly SiteEntry[], b: readonly SiteEntry[]): boolean =>
  a.length === b.length &&
  a.every((site, i) => site.site === b[i]!.site && site.name === b[i]!.name && site.description === b[i]!.description);
