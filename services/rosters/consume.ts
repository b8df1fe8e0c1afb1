/** Records of the stream `rosters` → state from rows → decision → rows, events and timers, in one unit of work. */
import {
  type Consumer,
  decoded,
  emit,
  Freezes,
  HoldRules,
  type LogRecord,
  type Reader,
  SetAside,
  type TimerRow,
  terms,
  type Unit,
} from '#bus';
import {
  dutchDay,
  dutchMinute,
  endOfDutchDay,
  FIRST_OF_TWO,
  forgetHoldId,
  isSeconded,
  type RosterKind,
  type RuleAsk,
  rosterKinds,
  schoolYearOf,
  seenForgetHold,
  shownForgetHold,
  startOfDutchDay,
  uuidText,
} from '#kernel';
import type { HoldRule } from '#proto/eduk/core/v1/party';
import type { FreezeChanged, HoldRuleChanged, PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import {
  type GroupEntry,
  type LearnerEntry,
  RosterDifference,
  RosterSubmitted,
  type StaffEntry,
} from '#proto/eduk/events/v1/rosters';
import {
  askChange,
  awayFrom,
  comeBack,
  cross,
  decideChange,
  dropChanges,
  lookAgain,
  onChangeTimer,
  purgeChanges,
  SCHOOL_CHANGE,
  undoChange,
} from './change.ts';
import { Touched, touchedBy } from './history.ts';
import {
  dropLeavers,
  follow,
  type Leaver,
  leaveAgain,
  lookBack,
  lookedBack,
  noteGone,
  onLeavingTimer,
  type Person,
} from './leaving.ts';
import {
  askMerge,
  asMerged,
  decideMerge,
  dropHeld,
  forgetHeld,
  keepHeld,
  type LearnerRows,
  losersOf,
  MERGE,
  purgeMerges,
  undoMerge,
  winnerOf,
} from './merge.ts';
import { byGroup, itemsOf, wordsOfLearner } from './part.ts';
import {
  byYearGroup,
  type Changes,
  type Claims,
  combinedGroup,
  combinedLearner,
  combinedStaff,
  type Decided,
  decide,
  FREEZE,
  type HoldState,
  isNothing,
  nothingKnown,
  type RosterDocument,
  type RosterEvent,
  type RosterState,
  type ScopeState,
  SHOWN_AT_MOST,
  sameSiteEntries,
} from './roster.ts';
import { type Claim, scopeOf, scopeWord, siteCodesOf, WHOLE } from './scope.ts';
import {
  aside,
  type ClaimRow,
  type ForgottenRow,
  forgotten,
  freezes,
  type GroupRow,
  groups,
  type HeldForgetRow,
  type HoldRow,
  heldForgets,
  heldParts,
  holdRules,
  holds,
  type LearnerRow,
  type LeftRow,
  learners,
  marks,
  parts,
  places,
  ruleSpent,
  type ScopeRow,
  type StaffRow,
  scopes,
  staff,
  turns,
  type YearRow,
  years,
} from './tables.ts';
import {
  decideTurn,
  dueDay,
  firstStanding,
  type Standing,
  standingAfter,
  type TurnCommand,
  type TurnSite,
  type TurnState,
} from './turn.ts';

const DAY_MS = 86_400_000;
/** How long parts of a roster wait for its last one. */
export const PARTS_MS = DAY_MS;
/** A roster of a year whose term is over already, such as an old file, is kept this long. */
const LEAST_KEPT_MS = 30 * DAY_MS;
/** Marks of forgotten learners outlive every roster that could still name them. */
const FORGOTTEN_KEPT_MS = 2 * 366 * DAY_MS;
/** A school has so many learners forgotten in a day without approval, however small it is. */
const FORGETS_AT_ONCE = 10;
/** Who is destroyed within this time cannot be kept any more: the vault may be at it. */
const TOO_LATE_MS = 5 * 60_000;
/** Why a hold is no roster's. */
export const FORGETS_MANY = 'forgets_many';
const kept = new SetAside(aside);
/** Rows removed at one firing of the timer. */
const PURGED_AT_ONCE = 1_000;

export interface RosterSettings {
  /** A roster that removes or renames more than this share of a school, in percent, waits for approval. */
  holdThresholdPercent: number;
  /** Two persons approve a held roster. */
  holdSecondPerson?: boolean;
}

export function consumer({ holdThresholdPercent, holdSecondPerson = false }: RosterSettings): Consumer {
  return {
    name: 'rosters',
    // That a school is forgotten is decided with the parties, because with it everything of it closes at once.
    streams: ['rosters', 'parties'],
    types: [
      'RosterSubmitted',
      'LearnersSubmitted',
      'HoldDecisionSubmitted',
      'LearnerForgetSubmitted',
      'LearnerKeepSubmitted',
      'SchoolYearTurnSubmitted',
      'PartyStandingChanged',
      'LearnersMergeSubmitted',
      'LearnersMergeUndoSubmitted',
      'SchoolChangeSubmitted',
      'SchoolChangeUndoSubmitted',
      'SchoolCrossingSubmitted',
      'FreezeChanged',
      'HoldRuleChanged',
    ],
    handle(record, unit) {
      switch (record.type) {
        case 'RosterSubmitted':
          return takePart(record, unit, holdThresholdPercent);
        case 'LearnersSubmitted':
          return addLearners(record, unit);
        case 'HoldDecisionSubmitted':
          return decideHold(record, unit, holdSecondPerson);
        case 'LearnerForgetSubmitted':
          return forget(record, unit, holdThresholdPercent);
        case 'LearnerKeepSubmitted':
          return keepEach(record, unit);
        case 'SchoolYearTurnSubmitted':
          return askTurn(record, unit);
        case 'PartyStandingChanged':
          return onForgetting(decoded(record, 'PartyStandingChanged'), unit);
        case 'LearnersMergeSubmitted':
          return askMerge(record, unit);
        case 'LearnersMergeUndoSubmitted':
          return undoMerge(record, unit, learnerRows);
        case 'SchoolChangeSubmitted':
          return askChange(record, unit);
        case 'SchoolChangeUndoSubmitted':
          return undoChange(record, unit);
        case 'SchoolCrossingSubmitted':
          return crossOver(record, unit);
        case 'FreezeChanged':
          return onFreeze(decoded(record, 'FreezeChanged'), unit);
        case 'HoldRuleChanged':
          return onRule(decoded(record, 'HoldRuleChanged'), unit);
      }
    },
    onTimer: (timer, unit) => onTimer(timer, unit, holdThresholdPercent),
  };
}

function takePart(record: LogRecord, unit: Unit, thresholdPercent: number): void {
  const given = decoded(record, 'RosterSubmitted');
  const { schoolOin, byOin, rosterId, schoolYear, part, siteCode, administration } = given;
  const whole = wholeOf(given);
  const timer = `parts ${byOin} ${whole}`;
  if (!given.last) {
    unit.put(parts, { school: schoolOin, byOin, rosterId: whole, part, body: record.data });
    unit.setTimer({ id: `${schoolOin} ${timer}`, atMs: unit.now + PARTS_MS, key: schoolOin, payload: timer });
    emit(unit, 'RosterPartTaken', { rosterId, schoolOin, schoolYear, part, siteCode, administration }, schoolOin);
    return;
  }
  const earlier = unit.list(parts, { equals: [schoolOin, byOin, whole] });
  for (const row of earlier) unit.remove(parts, schoolOin, byOin, whole, row.part);
  if (earlier.length > 0) unit.cancelTimer(`${schoolOin} ${timer}`);
  const bodies = [...earlier.filter((row) => row.part < part).map(({ body }) => body), record.data];
  // Rows come by number and are unique, so that as many as the last one's number means none is missing.
  const document = bodies.length === part + 1 ? assemble(bodies, unit, record.timeMs) : undefined;
  if (!document) {
    const told = 'A part of the roster is missing, or of another school year, site or administration.';
    const value = { rosterId, holdId: '', schoolOin, code: 'wire.invalid', told, siteCode, administration };
    emit(unit, 'RosterRefused', value, schoolOin);
    return;
  }

  const holdId = uuidText(record.id);
  const state = load(unit, schoolOin, schoolYear);
  const frozenUntil = heldUntil(unit, schoolOin, byOin);
  const close = {
    ...{ type: 'CloseRoster' as const, document, holdId, thresholdPercent, now: unit.now },
    frozen: frozenUntil !== undefined,
  } as const;
  const asNew = decide(state, close);
  const held = asNew.events.find((event) => event.name === 'RosterHeld');
  // By when it came, so that the log read again gives the same.
  const hold = { school: schoolOin, asks: asNew.asks ?? [], atMs: record.timeMs };
  const rule = held ? rulesKnown.release(unit, hold) : undefined;
  const decided = rule ? { ...asNew, ...decide(state, { ...close, released: true }) } : asNew;
  if (rule) tellReleased(unit, { ...document, holdId }, { rule, asks: hold.asks, waited: false });
  save(unit, state, document, decided);
  if (!held) return;
  const { difference, reason } = held.value;
  const { changes } = asNew as { changes: Changes };
  unit.put(holds, {
    school: schoolOin,
    holdId,
    year: schoolYear,
    rosterId,
    byOin,
    flowId: record.flowId,
    reason,
    state: rule ? 'approved' : 'waiting',
    sinceMs: unit.now,
    madeMs: document.madeMs,
    partial: document.partial ? 1 : 0,
    site: siteCode,
    administration,
    ...shown(state, changes, schoolYear, difference!),
    asks: hold.asks,
    ...(rule ? { ruled: { ruleId: rule.ruleId } } : {}),
  });
  if (rule) return;
  for (const [i, body] of bodies.entries()) unit.put(heldParts, { school: schoolOin, holdId, part: i, body });
  if (reason !== FREEZE) return;
  awaitThaw(unit, schoolOin, holdId, frozenUntil!);
  letPass(unit, schoolOin, holdId, document);
}

/** What a freeze holds of a roster; who comes, moves, or is said more of passes. */
const DISTURBING: ReadonlySet<string> = new Set<RosterKind>([
  'left',
  'renamed',
  'groupsClosed',
  'groupsRenamed',
  'staffLeft',
  'staffRenamed',
]);
const PASSING = rosterKinds.filter((kind) => !DISTURBING.has(kind));

/** Of a roster that a freeze holds: what disturbs nobody counts now. Where it does not stand by itself, all of it waits. */
function letPass(unit: Unit, school: string, holdId: string, document: RosterDocument): void {
  const row = unit.get(holds, school, holdId)!;
  const state = load(unit, school, row.year);
  const part = { kinds: PASSING, groups: [] };
  const hold = holdState(row);
  const { now } = unit;
  const decided = decide(state, {
    type: 'DecideHold',
    schoolOin: school,
    holdId,
    approve: true,
    hold,
    document,
    part,
    now,
  });
  if (!decided.rest) return;
  const { changes, state: left } = decided.rest;
  unit.put(holds, { ...row, part: 1, ...shown(left, changes, row.year, changes.difference) });
  // Nobody decided about it, and nothing of the rest was turned down: a later roster says it again as it did now.
  const { marks: _, ...of } = decided;
  save(unit, state, document, { ...of, events: of.events.filter(({ name }) => name !== 'HoldDecided') });
}

const freezesKnown = new Freezes(freezes);

/** When no freeze holds any more what a party says of a school's people; undefined = none does now. */
const heldUntil = (unit: Unit, school: string, party: string): number | undefined =>
  freezesKnown.of(unit, { kind: 'rename', schools: [school], parties: [party], atMs: unit.now })?.untilMs;

const awaitThaw = (unit: Unit, school: string, holdId: string, atMs: number): void =>
  unit.setTimer({ id: `${school} ${FREEZE} ${holdId}`, atMs, key: school, payload: `${FREEZE} ${holdId}` });

/** What waits for one that was ended early looks again, each in the order of its school. */
function onFreeze(changed: FreezeChanged, unit: Unit): void {
  freezesKnown.take(unit, changed);
  if (changed.change !== 'ended' || changed.unchanged) return;
  const { schoolOin } = changed.freeze!;
  const equals = schoolOin === '' ? ['waiting'] : ['waiting', schoolOin];
  for (const { school, holdId, reason } of unit.list(holds, { index: 'waiting', equals }))
    if (reason === FREEZE) awaitThaw(unit, school, holdId, unit.now);
  lookAgain(unit);
}

/**
 * The freeze that held a roster has ended: it goes on as if it came now. What would wait for approval by now waits for that; nothing else has to be
 * said by anybody.
 */
function thaw(unit: Unit, school: string, holdId: string, thresholdPercent: number): void {
  const row = unit.get(holds, school, holdId);
  if (row?.state !== 'waiting' || row.reason !== FREEZE) return;
  const untilMs = heldUntil(unit, school, row.byOin);
  if (untilMs !== undefined) {
    awaitThaw(unit, school, holdId, untilMs);
    return;
  }
  const bodies = unit.list(heldParts, { equals: [school, holdId] }).map(({ body }) => body);
  const document = assemble(bodies, unit, row.sinceMs);
  if (!document) {
    endHold(unit, school, holdId, 'rejected');
    return;
  }
  const { now } = unit;
  const state = load(unit, school, row.year);
  // As one that comes now: only to see whether it would wait.
  const asNew = decide(state, { type: 'CloseRoster', document, holdId, thresholdPercent, now });
  const held = asNew.events.find((event) => event.name === 'RosterHeld');
  const asks = asNew.asks ?? [];
  const rule = held ? rulesKnown.release(unit, { school, asks, atMs: row.sinceMs }) : undefined;
  if (held && !rule) {
    const { reason, difference } = held.value;
    const yearGroups = byYearGroup(state, asNew.changes!);
    unit.put(holds, { ...row, reason, difference: difference!, yearGroups, asks });
    emit(unit, 'RosterHeld', held.value, school, { flowId: row.flowId, school });
    return;
  }
  if (rule) {
    unit.put(holds, { ...row, asks, ruled: { ruleId: rule.ruleId } });
    tellReleased(unit, { ...document, holdId }, { rule, asks, waited: true }, row.flowId);
  }
  goOn(unit, row, state, document);
}

/** What waited is carried out, and nobody decided about it. */
function goOn(unit: Unit, row: HoldRow, state: RosterState, document: RosterDocument): void {
  const { school, holdId } = row;
  const decided = decide(state, {
    type: 'DecideHold',
    schoolOin: school,
    holdId,
    approve: true,
    hold: holdState(row),
    document,
    now: unit.now,
  });
  endHold(unit, school, holdId, 'approved');
  const events = decided.events.filter(({ name }) => name !== 'HoldDecided');
  save(unit, state, document, { ...decided, events });
  mayTurn(unit, school, standingOf(unit, school), row.year);
}

export const rulesKnown = new HoldRules(holdRules, ruleSpent);
/** The word of timers that look at a roster which waited before a rule stood. */
const RULE = 'rule';

/** A rule as it stands now. What waits is looked at where whoever set it said so, each in the order of its school. */
function onRule(changed: HoldRuleChanged, unit: Unit): void {
  rulesKnown.take(unit, changed);
  const { rule, change, unchanged } = changed;
  if (!rule?.waiting || unchanged || (change !== 'set' && change !== 'approved')) return;
  const equals = rule.schoolOin === '' ? ['waiting'] : ['waiting', rule.schoolOin];
  const atMs = Math.max(unit.now, Number(rule.fromMs));
  for (const { school, holdId } of unit.list(holds, { index: 'waiting', equals }))
    unit.setTimer({
      id: `${school} ${RULE} ${holdId} ${rule.ruleId}`,
      atMs,
      key: school,
      payload: `${RULE} ${holdId} ${rule.ruleId}`,
    });
}

/** A roster that waits is compared as it stands now, and goes on where this rule lets it. A part of one, or one under a freeze, waits on. */
function lookByRule(unit: Unit, school: string, holdId: string, ruleId: string, thresholdPercent: number): void {
  const row = unit.get(holds, school, holdId);
  if (row?.state !== 'waiting' || row.part === 1 || row.rosterId === '') return;
  const bodies = unit.list(heldParts, { equals: [school, holdId] }).map(({ body }) => body);
  const document = bodies.length === 0 ? undefined : assemble(bodies, unit, row.sinceMs);
  if (!document) return;
  const state = load(unit, school, row.year);
  const frozen = heldUntil(unit, school, row.byOin) !== undefined;
  const { now } = unit;
  // Beside others that wait it would be refused; here it is only asked why it waits.
  const alone = { ...state, waiting: [] };
  const asNew = decide(alone, { type: 'CloseRoster', document, holdId, thresholdPercent, frozen, now });
  if (!asNew.asks) return;
  const rule = rulesKnown.release(unit, { school, asks: asNew.asks, atMs: now }, ruleId);
  const next = { ...row, asks: asNew.asks, ...(rule ? { ruled: { ruleId: rule.ruleId } } : {}) };
  unit.put(holds, next);
  if (!rule) return;
  tellReleased(unit, { ...document, holdId }, { rule, asks: asNew.asks, waited: true }, row.flowId);
  goOn(unit, next, state, document);
}

function tellReleased(
  unit: Unit,
  { holdId, rosterId, schoolOin, byOin }: Pick<RosterDocument, 'rosterId' | 'schoolOin' | 'byOin'> & { holdId: string },
  of: { rule: HoldRule; asks: RuleAsk[]; waited: boolean },
  flowId?: string,
): void {
  const asks = of.asks.map((ask) => ({ ...ask, yearGroups: [...ask.yearGroups] }));
  const value = { holdId, rosterId, schoolOin, byOin, ...of, asks };
  emit(unit, 'RosterReleased', value, schoolOin, flowId === undefined ? undefined : { flowId, school: schoolOin });
}

/** What a hold shows of a difference. */
function shown(
  state: RosterState,
  changes: Changes,
  year: string,
  difference: RosterDifference,
): Pick<HoldRow, 'difference' | 'learnersLeaving' | 'groupsClosing' | 'yearGroups' | 'byGroup'> {
  return {
    difference,
    learnersLeaving: changes.left.slice(0, SHOWN_AT_MOST).map(({ learner }) => learner),
    groupsClosing: changes.groups
      .filter(({ change }) => change === 'closed')
      .slice(0, SHOWN_AT_MOST)
      .map(({ group }) => group.group),
    yearGroups: byYearGroup(state, changes),
    byGroup: byGroup(itemsOf(state, changes, year).values(), changes, state),
  };
}

/** What the parts of one roster have in common, in one word: two sites may be sent under one id at the same time. */
const wholeOf = ({ rosterId, schoolYear, siteCode, administration }: RosterSubmitted): string =>
  `${schoolYear}|${siteCode}|${administration}|${rosterId}`;

/**
 * Parts put together; the last one says what the roster is. Undefined when parts name different years. None is made later than it
 * came (`latestMs`): a clock that is ahead, or a slip in a date, would keep every later roster out.
 */
function assemble(bodies: readonly Uint8Array[], unit: Unit, latestMs: number): RosterDocument | undefined {
  const all = bodies.map((body) => RosterSubmitted.decode(body));
  const last = all.at(-1)!;
  if (all.some(({ schoolYear }) => schoolYear !== last.schoolYear)) return undefined;
  const said = (pick: (part: RosterSubmitted) => string) =>
    pick(last) || all.map(pick).find((text) => text !== '') || '';
  return {
    rosterId: last.rosterId,
    schoolOin: last.schoolOin,
    schoolYear: last.schoolYear,
    asOf: said((part) => part.asOf),
    madeMs: Math.min(Date.parse(said((part) => part.madeAt)) || 0, latestMs),
    partial: all.some((part) => part.partial),
    byOin: last.byOin,
    siteCode: last.siteCode,
    administration: last.administration,
    sites: all.flatMap((part) => part.sites),
    groups: all.flatMap((part) => part.groups),
    learners: [
      ...asMerged(
        unit,
        last.schoolOin,
        all.flatMap((part) => part.learners),
      ),
    ],
    staff: all.flatMap((part) => part.staff),
  };
}

function addLearners(record: LogRecord, unit: Unit): void {
  const { schoolOin, schoolYear: givenYear, learners: given, crossing } = decoded(record, 'LearnersSubmitted');
  const schoolYear = givenYear || standingOf(unit, schoolOin).running;
  const named = [...asMerged(unit, schoolOin, given)];
  const came = new Set(crossing ? named.map(({ learner }) => learner) : []);
  const state = load(
    unit,
    schoolOin,
    schoolYear,
    named.map(({ learner }) => learner),
    came,
  );
  if (crossing) comeBack(unit, schoolOin, came);
  const decided = decide(state, { type: 'AddLearners', schoolOin, schoolYear, learners: named, now: unit.now });
  save(unit, state, { schoolOin, schoolYear }, decided);
}

/** Names and numbers of who went have their term, as of who left otherwise. */
function crossOver(record: LogRecord, unit: Unit): void {
  const school = decoded(record, 'SchoolCrossingSubmitted').schoolOin;
  const { running } = standingOf(unit, school);
  cross(record, unit, learnerRows, (year, went) => follow(unit, running, { school, year, came: [], went }));
}

function decideHold(record: LogRecord, unit: Unit, byTwo: boolean): void {
  const {
    schoolOin,
    holdId: shownAs,
    approve,
    kinds,
    groups,
    byPerson,
    confirmed,
  } = decoded(record, 'HoldDecisionSubmitted');
  const { holdId, seen } = seenForgetHold(shownAs);
  const row = unit.get(holds, schoolOin, holdId);
  const waits = row?.state === 'waiting';
  if (waits && row.reason === FORGETS_MANY) {
    decideForgets(unit, row, approve, seen, record);
    return;
  }
  if (waits && row.reason === MERGE) {
    decideMerge(record, unit, row, learnerRows);
    return;
  }
  if (waits && row.reason === SCHOOL_CHANGE) {
    decideChange(record, unit, row);
    return;
  }
  const isQuiet = kinds.length > 0 && !kinds.some((kind) => DISTURBING.has(kind));
  const frozenUntil = waits && approve && !isQuiet ? heldUntil(unit, schoolOin, row.byOin) : undefined;
  if (row && frozenUntil !== undefined) {
    const told = `A freeze holds until ${dutchMinute(frozenUntil)}: approve it after that, or end the freeze first.`;
    const about = { rosterId: row.rosterId, siteCode: row.site ?? '', administration: row.administration ?? '' };
    emit(unit, 'RosterRefused', { ...about, holdId: '', schoolOin, code: 'freeze.holds', told }, schoolOin);
    return;
  }

  const approval = { byPerson, part: [...[...kinds].sort(), '', ...[...groups].sort()].join(' ') };
  if (waits && approve && byTwo && !isSeconded(row.approval, { ...approval, confirmed })) {
    if (row.approval?.part !== approval.part) unit.put(holds, { ...row, approval });
    const { rosterId, site: siteCode = '', administration = '' } = row;
    const about = { rosterId, holdId: '', schoolOin, siteCode, administration };
    emit(unit, 'RosterRefused', { ...about, code: 'hold.pending', told: FIRST_OF_TWO }, schoolOin);
    return;
  }
  const document = waits
    ? assemble(
        unit.list(heldParts, { equals: [schoolOin, holdId] }).map(({ body }) => body),
        unit,
        row.sinceMs,
      )
    : undefined;
  const state = waits ? load(unit, schoolOin, row.year) : nothingKnown;
  const hold = row && holdState(row);
  const part = { kinds, groups };
  const decided = decide(state, {
    type: 'DecideHold',
    schoolOin,
    holdId,
    approve,
    hold,
    document,
    part,
    now: unit.now,
  });
  if (decided.rest && row) {
    const { changes, state: left } = decided.rest;
    unit.put(holds, { ...row, part: 1, approval: undefined, ...shown(left, changes, row.year, changes.difference) });
  }
  save(unit, state, document ?? { schoolOin, schoolYear: row?.year ?? '' }, decided);
  // It may have been what kept the school in its year.
  if (waits && !decided.rest) mayTurn(unit, schoolOin, standingOf(unit, schoolOin), row.year);
}

/**
 * Keyed by the learner, so that it may run beside a roster of the school: the mark that stays behind keeps that roster,
 * decided before or after, from bringing the learner back.
 */
function forget(record: LogRecord, unit: Unit, thresholdPercent: number): void {
  const { schoolOin, learner, destroyAtMs, byOin } = decoded(record, 'LearnerForgetSubmitted');
  const mark = unit.get(forgotten, schoolOin, learner);
  const waits = mark !== undefined && !mark.keptMs;
  if (!waits && isTooMany(unit, schoolOin, record.timeMs, thresholdPercent)) {
    holdForget(unit, { school: schoolOin, learner, flowId: record.flowId, byOin, record, destroyAtMs });
    return;
  }
  for (const token of [learner, ...losersOf(unit, schoolOin, learner)])
    forgetNow(unit, schoolOin, token, record.timeMs, destroyAtMs);
}

/** By when they were asked for, not by now: what a restore takes in again was asked on many days. */
function isTooMany(unit: Unit, school: string, askedMs: number, thresholdPercent: number): boolean {
  const day = unit
    .list(forgotten, { equals: [school] })
    .filter(({ atMs, keptMs, byTerm }) => !keptMs && !byTerm && atMs > askedMs - DAY_MS && atMs <= askedMs).length;
  if (day < FORGETS_AT_ONCE) return false;
  const size = Math.max(0, ...unit.list(years, { equals: [school] }).map(({ learners }) => learners));
  return day >= Math.floor(((size + day) * thresholdPercent) / 100);
}

function holdForget(
  unit: Unit,
  {
    school,
    learner,
    flowId,
    byOin,
    record,
    destroyAtMs,
  }: { school: string; learner: string; flowId: string; byOin: string; record: LogRecord; destroyAtMs: bigint },
): void {
  const year = schoolYearOf(record.timeMs);
  const waiting = unit
    .list(holds, { index: 'waiting', equals: ['waiting', school] })
    .find(({ reason }) => reason === FORGETS_MANY);
  const holdId = waiting?.holdId ?? forgetHoldId(uuidText(record.id));
  let nth = waiting?.forgets ?? 0;
  if (!unit.get(heldForgets, school, holdId, learner)) {
    const before: HoldRow = waiting ?? {
      school,
      holdId,
      year,
      rosterId: '',
      byOin,
      flowId,
      reason: FORGETS_MANY,
      state: 'waiting',
      sinceMs: unit.now,
      madeMs: 0,
      partial: 0,
      difference: RosterDifference.fromPartial({}),
      learnersLeaving: [],
      groupsClosing: [],
    };
    nth = (before.forgets ?? 0) + 1;
    unit.put(holds, { ...before, forgets: nth });
    const delayMs = Math.max(0, Number(destroyAtMs) - record.timeMs);
    unit.put(heldForgets, { school, holdId, learner, flowId, delayMs, nth });
  }
  const shown = shownForgetHold(holdId, nth);
  emit(unit, 'LearnerForgetHeld', { schoolOin: school, learner, holdId: shown }, learner);
}

/** Someone looked at them: all that were seen are forgotten, or none. Who came after that look waits on, in a hold of its own. */
function decideForgets(unit: Unit, row: HoldRow, approve: boolean, seen: number | undefined, record: LogRecord): void {
  const { school, holdId } = row;
  const decidedMs = record.timeMs;
  const all = unit.list(heldForgets, { equals: [school, holdId] });
  const isSeen = ({ nth }: HeldForgetRow) => seen === undefined || (nth ?? 0) <= seen;
  const held = all.filter(isSeen);
  const later = all.filter((one) => !isSeen(one)).sort((a, b) => (a.nth ?? 0) - (b.nth ?? 0));
  unit.put(holds, { ...row, state: approve ? 'approved' : 'rejected', forgets: held.length });
  dropHeldForgets(unit, all);
  if (later.length > 0) {
    const next = forgetHoldId(uuidText(record.id));
    unit.put(holds, { ...row, holdId: next, flowId: later[0]!.flowId, sinceMs: unit.now, forgets: later.length });
    for (const [i, one] of later.entries()) {
      unit.put(heldForgets, { ...one, holdId: next, nth: i + 1 });
      const value = { schoolOin: school, learner: one.learner, holdId: shownForgetHold(next, i + 1) };
      emit(unit, 'LearnerForgetHeld', value, one.learner, { flowId: one.flowId, school });
    }
  }
  emit(unit, 'HoldDecided', { holdId, rosterId: '', schoolOin: school, approved: approve, part: false }, school);
  const told = 'It waited for approval and was rejected.';
  for (const { learner, flowId, delayMs } of held)
    if (approve)
      for (const token of [learner, ...losersOf(unit, school, learner)])
        forgetNow(unit, school, token, decidedMs, BigInt(decidedMs + delayMs), flowId);
    else {
      const about = { rosterId: '', holdId, schoolOin: school, siteCode: '', administration: '' };
      emit(unit, 'RosterRefused', { ...about, code: 'hold.pending', told }, school, { flowId, school });
    }
}

function forgetNow(
  unit: Unit,
  school: string,
  learner: string,
  atMs: number,
  askedAtMs: bigint,
  flowId?: string,
  why: Pick<ForgottenRow, 'ofSchool' | 'byTerm'> = {},
): void {
  const mark = unit.get(forgotten, school, learner);
  const waits = mark !== undefined && !mark.keptMs ? mark : undefined;
  // Asking again brings it no later: who asks every night would never see it done.
  const destroyAtMs = waits ? BigInt(Math.min(waits.destroyAtMs ?? Infinity, Number(askedAtMs))) : askedAtMs;
  kept.open(unit, school, learner, Number(destroyAtMs));
  forgetHeld(unit, school, learner, Number(destroyAtMs));
  for (const year of unit.list(years, { equals: [school] })) {
    for (const word of wordsOfLearner(learner)) unit.remove(marks, school, year.year, word);
    const row = unit.get(learners, school, year.year, learner);
    if (!row) continue;
    kept.put(unit, school, learner, row.year, row);
    removeLearner(unit, school, row.year, learner, row.leavesOn);
    count(unit, row, -1, touch(unit, claimsOfLearner(row), [], row));
  }
  // Who was asked to be forgotten by itself stays so when its school is kept.
  const { ofSchool, byTerm } = waits ?? why;
  unit.put(forgotten, {
    school,
    learner,
    atMs: waits?.atMs ?? atMs,
    destroyAtMs: Number(destroyAtMs),
    ...(ofSchool ? { ofSchool } : {}),
    ...(byTerm ? { byTerm } : {}),
  });
  // Told again on a repeat: the vault may have to destroy sooner than it was told first.
  const options = flowId === undefined ? undefined : { flowId, school };
  emit(unit, 'LearnerForgotten', { schoolOin: school, learner, destroyAtMs }, learner, options);
}

/**
 * A whole school is forgotten, kept after all, or its hour is there. Some learners at a time: each is told of by itself, as
 * when it alone were forgotten, but nothing is held, because somebody saw the numbers.
 */
function onForgetting({ oin: school, standing, change }: PartyStandingChanged, unit: Unit): void {
  const forgetting = standing?.forgetting;
  if (!forgetting || change === '' || change === 'confirmed' || change.startsWith('names_')) return;
  const payload = `${SCHOOL} ${change} ${forgetting.destroyAtMs}`;
  unit.setTimer({ id: `${school} ${SCHOOL}`, atMs: unit.now, key: school, payload });
}

/** Timers of a school that is forgotten as a whole: of one change at a time, for a later one ends what the one before began. */
const SCHOOL = 'school';
/** Learners that one firing of the timer forgets or keeps. */
const OF_SCHOOL_AT_ONCE = 100;

function goOnWithSchool(unit: Unit, school: string, change: string, destroyAtMs: number, timer: TimerRow): void {
  const again = () => unit.setTimer({ ...timer, atMs: unit.now });
  if (change === 'kept') {
    const marks = unit.list(forgotten, { index: 'ofSchool', equals: [school, 1], limit: OF_SCHOOL_AT_ONCE });
    // Who was destroyed when it was forgotten another time is not brought back.
    for (const { ofSchool: _, ...mark } of marks)
      if (mark.keptMs || (mark.destroyAtMs ?? 0) <= unit.now) unit.put(forgotten, mark);
      else keepNow(unit, mark, unit.now);
    if (marks.length > 0) again();
    return;
  }
  // At the hour whoever was on the way meanwhile goes with the rest.
  const atMs = change === 'destroyed' ? unit.now : destroyAtMs;
  for (const { year } of unit.list(years, { equals: [school] })) {
    const some = unit.list(learners, { equals: [school, year], limit: OF_SCHOOL_AT_ONCE });
    for (const { learner } of some)
      for (const token of [learner, ...losersOf(unit, school, learner)])
        forgetNow(unit, school, token, unit.now, BigInt(atMs), undefined, { ofSchool: 1 });
    if (some.length > 0) {
      again();
      return;
    }
  }
  if (change !== 'destroyed') return;
  // Its rosters have no term to wait for.
  for (const { year } of unit.list(years, { equals: [school] }))
    unit.setTimer({ id: purgeTimer(school, year), atMs: unit.now, key: school, payload: `purge ${year} ${SCHOOL}` });
  if (dropLeavers(unit, school) || dropChanges(unit, school)) again();
  for (const { byOin, rosterId, part } of unit.list(parts, { equals: [school], limit: PURGED_AT_ONCE }))
    unit.remove(parts, school, byOin, rosterId, part);
}

const purgeTimer = (school: string, year: string): string => `${school} purge ${year}`;

/** What the places of one learner look like changes; before the year counts it. */
function touch(
  unit: Unit,
  before: Claim<LearnerEntry>[],
  after: Claim<LearnerEntry>[],
  { school, year }: Pick<LearnerRow, 'school' | 'year'>,
): number {
  const touched = new Touched();
  touched.learner(before, after);
  const changedMs = momentOfChange(unit, school, year);
  touched.save(unit, school, year, unit.get(years, school, year)?.changedMs ?? 0, changedMs);
  return changedMs;
}

/** One learner more, or fewer, in the year and in the scopes that name it. */
function count(unit: Unit, row: LearnerRow, by: 1 | -1, changedMs: number): void {
  const { school, year } = row;
  const named = new Set(claimsOfLearner(row).map(({ scope }) => scope));
  for (const { site, administration } of unit.list(scopes, { equals: [school, year] })) {
    const scope = unit.get(scopes, school, year, site, administration);
    if (scope && named.has(scopeWord(scope)))
      unit.put(scopes, { ...scope, learners: Math.max(0, scope.learners + by) });
  }
  const known = unit.get(years, school, year);
  if (known) unit.put(years, { ...known, learners: known.learners + by, changedMs });
}

/**
 * When something of a school year changes: now, and later than every change that was told of. A clock that was set back, that of the
 * process that goes on, and two changes in one millisecond would hide the second from who asks what changed since the first.
 */
function momentOfChange(unit: Unit, school: string, ...ofYears: readonly string[]): number {
  const told = ofYears.map((year) => unit.get(years, school, year)?.changedMs ?? 0);
  return Math.max(unit.now, 1 + Math.max(...told, unit.get(turns, school)?.turnedMs ?? 0));
}

/** Without the groups that closed meanwhile. */
function inOpenGroups(unit: Unit, row: LearnerRow): LearnerRow {
  const isOpen = (group: string) => group !== '' && unit.get(groups, row.school, row.year, group) !== undefined;
  const compositeGroups = row.compositeGroups.filter(isOpen);
  const claims = row.claims?.map(({ scope, entry }) => ({
    scope,
    entry: {
      ...entry,
      group: isOpen(entry.group) ? entry.group : '',
      compositeGroups: entry.compositeGroups.filter(isOpen),
    },
  }));
  return { ...row, baseGroup: isOpen(row.baseGroup) ? row.baseGroup : '', compositeGroups, claims };
}

/** The forgetting is taken back: the learner is where the rosters of then had it; those to come say where it is now. */
function keepEach(record: LogRecord, unit: Unit): void {
  const { schoolOin: school, learner } = decoded(record, 'LearnerKeepSubmitted');
  keep(record, unit, school, learner);
  for (const token of losersOf(unit, school, learner)) keep(record, unit, school, token);
}

function keep(record: LogRecord, unit: Unit, school: string, learner: string): void {
  const mark = unit.get(forgotten, school, learner);
  const refuse = (code: 'state.missing' | 'state.conflict', told: string) =>
    emit(unit, 'LearnerKeepRefused', { schoolOin: school, learner, code, told }, learner);
  if (!mark || mark.keptMs) {
    refuse('state.missing', 'This learner does not wait to be forgotten.');
    return;
  }
  if ((mark.destroyAtMs ?? 0) < record.timeMs + TOO_LATE_MS) {
    refuse('state.conflict', 'This learner is destroyed, or will be within five minutes.');
    return;
  }
  keepNow(unit, mark, record.timeMs);
  if (mark.byTerm) leaveAgain(unit, school, learner);
}

function keepNow(unit: Unit, mark: ForgottenRow, atMs: number): void {
  const { school, learner } = mark;
  unit.put(forgotten, { ...mark, keptMs: atMs });
  keepHeld(unit, school, learner);
  emit(unit, 'LearnerKept', { schoolOin: school, learner }, learner);
  for (const { held } of kept.take<LearnerRow>(unit, school, learner)) {
    // The year ended meanwhile.
    if (!unit.get(years, school, held.year)) continue;
    const row = inOpenGroups(unit, held);
    putBack(unit, row);
    emit(unit, 'LearnerJoined', { schoolOin: school, schoolYear: row.year, learner: learnerEntry(row) }, learner);
  }
}

function putBack(unit: Unit, row: LearnerRow): void {
  const { school, year, learner, leavesOn } = row;
  unit.put(learners, { ...row, changedMs: unit.now });
  count(unit, row, 1, touch(unit, [], claimsOfLearner(row), row));
  if (leavesOn !== '')
    unit.setTimer({
      id: leaveTimer(school, year, learner),
      atMs: endOfDay(leavesOn),
      key: school,
      payload: `leave ${year} ${learner}`,
    });
}

const learnerRows: LearnerRows = {
  put: putBack,
  remove(unit, row) {
    removeLearner(unit, row.school, row.year, row.learner, row.leavesOn);
    count(unit, row, -1, touch(unit, claimsOfLearner(row), [], row));
  },
  seenAnew(unit, row) {
    const changedMs = touch(unit, claimsOfLearner(row), [], row);
    const year = unit.get(years, row.school, row.year);
    if (year) unit.put(years, { ...year, changedMs });
  },
  entry: (row) => learnerEntry(row),
  inOpenGroups,
};

function onTimer(timer: TimerRow, unit: Unit, thresholdPercent: number): void {
  if (kept.onTimer(timer, unit)) return;
  if (onChangeTimer(timer, unit, codesOf)) return;
  const running = () => standingOf(unit, timer.key).running;
  if (onLeavingTimer(timer, unit, running, (row, atMs) => forgetByTerm(unit, row, atMs))) return;
  const [what, first = '', second = ''] = timer.payload.split(' ');
  const schoolOin = timer.key;
  if (what === 'leave') endDay(unit, schoolOin, first, second);
  else if (what === 'purge') purge(unit, schoolOin, first, timer, second === SCHOOL);
  else if (what === FREEZE) thaw(unit, schoolOin, first, thresholdPercent);
  else if (what === RULE) lookByRule(unit, schoolOin, first, second, thresholdPercent);
  else if (what === 'turn') dayCame(unit, schoolOin, first);
  else if (what === MERGE) dropHeld(unit, schoolOin, first);
  else if (what === SCHOOL) goOnWithSchool(unit, schoolOin, first, Number(second), timer);
  else dropParts(unit, schoolOin, first, timer.payload.slice(`parts ${first} `.length));
}

/** The time of the numbers of who left is over. Of staff no service but the vault holds more than a token. */
function forgetByTerm(unit: Unit, { school, person, isStaff }: LeftRow, destroyAtMs: number): void {
  if (isStaff === 1) unit.put(forgotten, { school, learner: person, atMs: unit.now, destroyAtMs: unit.now, byTerm: 1 });
  else
    for (const token of [person, ...losersOf(unit, school, person)])
      forgetNow(unit, school, token, unit.now, BigInt(destroyAtMs), undefined, { byTerm: 1 });
}

function endDay(unit: Unit, schoolOin: string, schoolYear: string, learner: string): void {
  const state = load(unit, schoolOin, schoolYear, [learner]);
  const decided = decide(state, { type: 'EndDay', schoolOin, schoolYear, learner, now: unit.now });
  save(unit, state, { schoolOin, schoolYear }, decided);
}

function dropParts(unit: Unit, schoolOin: string, byOin: string, whole: string): void {
  const rows = unit.list(parts, { equals: [schoolOin, byOin, whole] });
  for (const { part } of rows) unit.remove(parts, schoolOin, byOin, whole, part);
  if (rows.length === 0) return;
  const { rosterId, siteCode, administration } = RosterSubmitted.decode(rows[0]!.body);
  const told = 'The last part of the roster did not come within 24 hours.';
  const value = { rosterId, holdId: '', schoolOin, code: 'wire.invalid', told, siteCode, administration };
  emit(unit, 'RosterRefused', value, schoolOin);
}

/** Retention: the turn of the year is no removal, so nobody is told that anyone left. */
function purge(unit: Unit, school: string, year: string, timer: TimerRow, isForgotten: boolean): void {
  const page = { equals: [school, year], limit: PURGED_AT_ONCE };
  const oldLearners = unit.list(learners, page);
  const oldStaff = oldLearners.length === PURGED_AT_ONCE ? [] : unit.list(staff, { equals: [school, year] });
  if (!isForgotten)
    noteGone(unit, standingOf(unit, school).running, school, year, [
      ...oldLearners.map(({ learner }) => ({ token: learner, isStaff: false })),
      ...oldStaff.map((row) => ({ token: row.staff, isStaff: true })),
    ]);
  for (const row of oldLearners) unit.remove(learners, school, year, row.learner);
  if (oldLearners.length === PURGED_AT_ONCE) {
    unit.setTimer({ ...timer, atMs: unit.now });
    return;
  }
  for (const { word } of unit.list(marks, { equals: [school, year] })) unit.remove(marks, school, year, word);
  for (const row of unit.list(groups, { equals: [school, year] })) unit.remove(groups, school, year, row.groupToken);
  for (const row of oldStaff) unit.remove(staff, school, year, row.staff);
  for (const row of unit.list(scopes, { equals: [school, year] }))
    unit.remove(scopes, school, year, row.site, row.administration);
  for (const { site, kind, place } of unit.list(places, { equals: [school, year] }))
    unit.remove(places, school, year, site, kind, place);
  for (const hold of unit.list(holds, { index: 'ofYear', equals: [school, year] })) {
    dropHeldParts(unit, hold);
    dropHeldForgets(unit, unit.list(heldForgets, { equals: [school, hold.holdId] }));
    unit.remove(holds, school, hold.holdId);
  }
  for (const mark of unit.list(forgotten, { equals: [school] }))
    if (mark.atMs < unit.now - FORGOTTEN_KEPT_MS) unit.remove(forgotten, school, mark.learner);
  purgeMerges(unit, school, year);
  purgeChanges(unit, school);
  unit.remove(years, school, year);
  if (unit.list(years, { equals: [school] }).every((row) => row.year === year)) unit.remove(turns, school);
}

/** When a school year's rows have had their term, Unix milliseconds. */
const keptUntil = (year: string): number =>
  terms['RETENTION_ROSTER']!.end(startOfDutchDay(`${year.slice(0, 4)}-08-01`));

/** State of a school year from rows; with `only`, of those learners. `came`: those who come from another school now. */
function load(
  unit: Unit,
  school: string,
  year: string,
  only?: readonly string[],
  came: ReadonlySet<string> = new Set(),
): RosterState {
  const row = unit.get(years, school, year);
  const equals = [school, year];
  const learnerRows = only
    ? only.flatMap((learner) => unit.get(learners, school, year, learner) ?? [])
    : unit.list(learners, { equals });
  const groupRows = unit.list(groups, { equals });
  const staffRows = only ? [] : unit.list(staff, { equals });
  const known = {
    learners: opened(learnerRows, (one) => one.learner, claimsOfLearner, combinedLearner),
    groups: opened(groupRows, (one) => one.groupToken, claimsOfGroup, combinedGroup),
    staff: opened(staffRows, (one) => one.staff, claimsOfStaff, combinedStaff),
  };
  return {
    scopes: scopesOf(row, unit.list(scopes, { equals }), unit.now),
    claims: { learners: known.learners.claims, groups: known.groups.claims, staff: known.staff.claims },
    groups: known.groups.entries,
    size: row?.learners ?? 0,
    learners: known.learners.entries,
    staff: known.staff.entries,
    forgotten: new Set([
      ...forgottenIn(unit, school, year),
      ...awayFrom(unit, school).filter((learner) => !came.has(learner)),
    ]),
    marked: only
      ? new Map()
      : new Map(
          unit
            .list(marks, { equals })
            .map(({ word, holdId, rejected, scope }) => [word, { word, holdId, rejected: rejected === 1, scope }]),
        ),
    waiting: unit
      .list(holds, { index: 'waiting', equals: ['waiting', school, year] })
      .filter(isOfRoster)
      .map((hold) => ({ ...holdState(hold), madeMs: believed(hold.madeMs, unit.now) })),
  };
}

/** Learners whom a roster of this year may not bring back. Who is forgotten for its term only may come back as long as it is not destroyed. */
function forgottenIn(unit: Unit, school: string, year: string): Set<string> {
  const marks = unit.list(forgotten, { equals: [school] }).filter(({ keptMs }) => !keptMs);
  const isOfNow = marks.some(isOfTerm) && year >= standingOf(unit, school, year).running;
  return new Set(
    marks
      .filter((mark) => !isOfNow || !isOfTerm(mark) || (mark.destroyAtMs ?? 0) < unit.now + TOO_LATE_MS)
      .map(({ learner }) => learner),
  );
}

const isOfTerm = ({ byTerm }: ForgottenRow): boolean => byTerm === 1;

/** A roster names again who was forgotten for its term: as if it had never left. */
function takeBack(unit: Unit, school: string, came: readonly Person[]): void {
  const tokens = new Set(came.map(({ token }) => token));
  for (const mark of unit.list(forgotten, { equals: [school] }))
    if (isOfTerm(mark) && !mark.keptMs && tokens.has(winnerOf(unit, school, mark.learner)))
      keepNow(unit, mark, unit.now);
}

/** Rows of before this was seen may say that a roster was made in days to come: then nobody knows when it was. */
const believed = (madeMs: number, now: number): number => (madeMs > now ? 0 : madeMs);

/** Years of before scopes were kept have one roster, of the whole school. */
function scopesOf(row: YearRow | undefined, rows: readonly ScopeRow[], now: number): ReadonlyMap<string, ScopeState> {
  if (rows.length > 0 || !row || row.rosterId === '')
    return new Map(
      rows.map((scope) => [
        scopeWord(scope),
        { madeMs: believed(scope.madeMs, now), sites: scope.sites, ended: scope.endedMs > 0 },
      ]),
    );
  return new Map([[WHOLE, { madeMs: believed(row.madeMs, now), sites: row.sites, ended: false }]]);
}

/** Rows by token as what counts, and the claims of those that another roster than one of the whole school names. */
function opened<R extends { scope?: string | undefined; claims?: unknown }, E>(
  rows: readonly R[],
  tokenOf: (row: R) => string,
  claimsOf: (row: R) => Claim<E>[],
  combined: (claims: readonly Claim<E>[]) => E,
): { entries: Map<string, E>; claims: Map<string, Claim<E>[]> } {
  const entries = new Map<string, E>();
  const claims = new Map<string, Claim<E>[]>();
  for (const row of rows) {
    const held = claimsOf(row);
    entries.set(tokenOf(row), combined(held));
    if (row.scope || row.claims) claims.set(tokenOf(row), held);
  }
  return { entries, claims };
}

/** Whose school year it is; the whole roster where one was closed or approved. */
type About = Pick<RosterDocument, 'schoolOin' | 'schoolYear'> & Partial<RosterDocument>;

/** Rows, timers and events of what was decided. */
function save(unit: Unit, state: RosterState, about: About, decided: Decided): void {
  const { events, changes, claims } = decided;
  saveMarks(unit, about, decided.marks);
  let size = 0;
  let openGroups = 0;
  const saved = { learners: new Set<string>(), groups: new Set<string>(), staff: new Set<string>() };
  const { came, went } = moves(events, unit.now);
  const running = came.length + went.length === 0 ? '' : standingOf(unit, about.schoolOin, about.schoolYear).running;
  if (came.length > 0 && about.schoolYear >= running) takeBack(unit, about.schoolOin, came);
  for (const event of events) {
    if (event.name === 'LearnerJoined') size++;
    if (event.name === 'LearnerLeft') size--;
    if (event.name === 'GroupChanged') openGroups += { opened: 1, closed: -1 }[event.value.change] ?? 0;
    if (event.name === 'GroupChanged') saved.groups.add(event.value.group!.group);
    else if (event.name === 'StaffChanged') saved.staff.add(event.key);
    else saved.learners.add(event.key);
    saveRow(unit, state, about, event, claims);
    const options = event.flowId === undefined ? undefined : { flowId: event.flowId };
    emit(unit, event.name, event.value as never, event.key, options);
  }
  if (claims) saveClaims(unit, about, claims, saved);
  const isApplied = events.some((event) => event.name === 'RosterApplied');
  const { schoolOin: school, schoolYear: year } = about;
  const touched = touchedBy(state, events, claims, {
    learner: (token) => heldIn(state, token),
    group: (token) => heldBy(state.claims.groups, state.groups, token),
    staff: (token) => heldBy(state.claims.staff, state.staff, token),
  });
  const known = unit.get(years, school, year);
  if (isApplied && changes && !sameSiteEntries(changes.sites, known?.sites ?? [])) touched.add('', 'structure');
  const changedMs = momentOfChange(unit, school, year);
  touched.save(unit, school, year, known?.changedMs ?? 0, changedMs);
  if (isApplied || !touched.isEmpty)
    saveYear(unit, about, { size, openGroups, isApplied, changes, isTouched: !touched.isEmpty, changedMs });
  const gone = events.flatMap((event) => (event.name === 'LearnerLeft' ? [event.value.learner] : []));
  const counts = claimCounts(state, claims, gone);
  saveScopes(unit, state, about, isApplied && about.rosterId ? changes : undefined, counts);
  if (isApplied || size !== 0) yearCame(unit, about.schoolOin, about.schoolYear);
  follow(unit, running, { school, year, came, went });
  if (isApplied) lookBack(unit, school, standingOf(unit, school, year).running);
}

function saveMarks(unit: Unit, { schoolOin: school, schoolYear: year }: About, of: Decided['marks']): void {
  for (const word of of?.drop ?? []) unit.remove(marks, school, year, word);
  for (const { word, holdId, rejected, scope } of of?.add ?? [])
    unit.put(marks, { school, year, word, holdId, rejected: rejected ? 1 : 0, scope });
}

/** Who came into a year and who went out of it. */
function moves(events: readonly RosterEvent[], now: number): { came: Person[]; went: Leaver[] } {
  const came: Person[] = [];
  const went: Leaver[] = [];
  for (const event of events)
    if (event.name === 'LearnerJoined') came.push({ token: event.key, isStaff: false });
    else if (event.name === 'LearnerLeft')
      went.push({ token: event.key, isStaff: false, leftOn: event.value.leftOn || dutchDay(now) });
    else if (event.name === 'StaffChanged' && event.value.change === 'joined')
      came.push({ token: event.key, isStaff: true });
    else if (event.name === 'StaffChanged' && event.value.change === 'left')
      went.push({ token: event.key, isStaff: true, leftOn: dutchDay(now) });
  return { came, went };
}

/** Which year a school is in. `also`: a year whose row this unit wrote, which a list does not show yet. */
export function standingOf(rows: Reader & { now: number }, school: string, also = ''): Standing {
  const row = rows.get(turns, school);
  if (!row) {
    const sizes = new Map(rows.list(years, { equals: [school] }).map(({ year, learners }) => [year, learners]));
    const own = also === '' ? undefined : rows.get(years, school, also);
    if (own) sizes.set(own.year, own.learners);
    return firstStanding(sizes, rows.now);
  }
  const { running, before, plannedYear, plannedDay } = row;
  return { running, before, ...(plannedYear === '' ? {} : { plan: { year: plannedYear, day: plannedDay } }) };
}

/** A school between two years, from rows. */
export function turnState(rows: Reader & { now: number }, school: string, to: string): TurnState {
  const stands = standingOf(rows, school);
  const [from, next] = [stands.running, to].map((year) => {
    const equals = [school, year];
    return {
      learners: rows.list(learners, { equals }).map(({ learner }) => learner),
      groups: rows.list(groups, { equals }).map(({ groupToken }) => groupToken),
      staff: rows.list(staff, { equals }).map((one) => one.staff),
      scopes: rows.list(scopes, { equals }).filter(({ endedMs }) => endedMs === 0),
    };
  }) as [RowsOfYear, RowsOfYear];
  const inBoth = (a: readonly string[], b: readonly string[]) => {
    const known = new Set(a);
    return b.filter((token) => known.has(token)).length;
  };
  return {
    ...stands,
    size: rows.get(years, school, to)?.learners,
    difference: {
      learnersBefore: from.learners.length,
      learnersAfter: next.learners.length,
      learnersStay: inBoth(from.learners, next.learners),
      groupsBefore: from.groups.length,
      groupsAfter: next.groups.length,
      groupsStay: inBoth(from.groups, next.groups),
      staffBefore: from.staff.length,
      staffAfter: next.staff.length,
      staffStay: inBoth(from.staff, next.staff),
    },
    sites: sitesOfBoth(from.scopes, next.scopes),
    waiting: heldOf(rows, school, to),
  };
}

/** Rosters of a year that wait for approval. */
export const heldOf = (rows: Reader, school: string, year: string): number =>
  rows.list(holds, { index: 'waiting', equals: ['waiting', school, year] }).filter(isOfRoster).length;

const isOfRoster = ({ reason }: HoldRow): boolean =>
  reason !== FORGETS_MANY && reason !== MERGE && reason !== SCHOOL_CHANGE;

interface RowsOfYear {
  learners: string[];
  groups: string[];
  staff: string[];
  scopes: ScopeRow[];
}

/** Where a roster of the whole school has come for the year to go to, no site is missing in it. */
function sitesOfBoth(before: readonly ScopeRow[], after: readonly ScopeRow[]): TurnSite[] {
  if (after.some(({ site }) => site === '')) return [];
  const count = (rows: readonly ScopeRow[], site: string) =>
    rows.filter((row) => row.site === site).reduce((sum, row) => sum + row.learners, 0);
  const codes = new Set([...before, ...after].map(({ site }) => site).filter((site) => site !== ''));
  return [...codes]
    .sort()
    .map((siteCode) => ({ siteCode, before: count(before, siteCode), after: count(after, siteCode) }));
}

const turnTimer = (school: string, year: string): string => `${school} turn ${year}`;

function askTurn(record: LogRecord, unit: Unit): void {
  const { schoolOin, schoolYear, onDay } = decoded(record, 'SchoolYearTurnSubmitted');
  const command = { type: 'AskTurn', schoolOin, schoolYear, onDay, now: unit.now } as const;
  saveTurn(unit, schoolOin, turnState(unit, schoolOin, schoolYear), command);
}

function dayCame(unit: Unit, schoolOin: string, schoolYear: string): void {
  const command = { type: 'DayCame', schoolOin, schoolYear, now: unit.now } as const;
  saveTurn(unit, schoolOin, turnState(unit, schoolOin, schoolYear), command);
}

/** A roster of a year was taken: the turn to it comes on its day, or now where that day was before. */
function yearCame(unit: Unit, school: string, year: string): void {
  const stands = standingOf(unit, school, year);
  if (!unit.get(turns, school)) saveStanding(unit, school, stands, 0);
  if (year === stands.running) {
    // Where the turn waits for a site, or for pupils, this may have been the last roster that had them.
    const due = unit
      .list(years, { equals: [school] })
      .filter((one) => startOfDutchDay(dueDay(stands, one.year)) <= unit.now);
    for (const one of due) mayTurn(unit, school, stands, one.year);
  } else mayTurn(unit, school, stands, year);
}

/** The turn to a year comes on its day, or at once where that was before and something else stood in its way. */
function mayTurn(unit: Unit, school: string, stands: Standing, year: string): void {
  if (year > stands.running) awaitDay(unit, school, stands, year);
}

/** Also where that day has come: what this unit wrote is listed in the next one. */
function awaitDay(unit: Unit, school: string, stands: Standing, year: string): void {
  const atMs = Math.max(unit.now, startOfDutchDay(dueDay(stands, year)));
  unit.setTimer({ id: turnTimer(school, year), atMs, key: school, payload: `turn ${year}` });
}

function saveTurn(unit: Unit, school: string, state: TurnState, command: TurnCommand): void {
  const decided = decideTurn(state, command);
  for (const { name, value } of decided) emit(unit, name, value as never, school);
  const stands = standingAfter(state, decided);
  const isOther = decided.some(({ name }) => name !== 'SchoolYearTurnRefused');
  if (!isOther) return;
  const hasTurned = decided.some(({ name }) => name === 'SchoolYearTurned');
  // Who asks since the last change of the year before is told of this one.
  const turnedMs = hasTurned
    ? momentOfChange(unit, school, state.running, stands.running)
    : (unit.get(turns, school)?.turnedMs ?? 0);
  saveStanding(unit, school, stands, turnedMs);
  if (hasTurned) lookBack(unit, school, stands.running);
  unit.cancelTimer(turnTimer(school, command.schoolYear));
  // What is to come: the day that was chosen, or that of the turn that was taken back.
  const next = stands.plan?.year ?? (stands.running < state.running ? state.running : '');
  if (next !== '') awaitDay(unit, school, stands, next);
}

function saveStanding(unit: Unit, school: string, { running, before, plan }: Standing, turnedMs: number): void {
  unit.put(turns, {
    school,
    running,
    before,
    turnedMs,
    plannedYear: plan?.year ?? '',
    plannedDay: plan?.day ?? '',
    ...lookedBack(unit.get(turns, school)),
  });
}

/** Who names whom may change where what is told does not: a pupil at two sites is left out at one. */
function saveClaims(
  unit: Unit,
  { schoolOin: school, schoolYear: year }: About,
  claims: Claims,
  saved: Record<keyof Claims, ReadonlySet<string>>,
): void {
  for (const [token, held] of claims.learners)
    if (!saved.learners.has(token)) unit.put(learners, learnerRow(school, year, combinedLearner(held), held, unit.now));
  for (const [token, held] of claims.groups)
    if (!saved.groups.has(token)) unit.put(groups, groupRow(school, year, combinedGroup(held), held, unit.now));
  for (const [token, held] of claims.staff)
    if (!saved.staff.has(token)) unit.put(staff, staffRow(school, year, combinedStaff(held), held, unit.now));
}

/**
 * The scope of a roster that counts is new, those whose place it took have ended, and each counts its learners. Rows come from
 * the list that `load` read too: an engine that fetches rows for a whole group has it at hand, also where there is none.
 */
function saveScopes(
  unit: Unit,
  state: RosterState,
  {
    schoolOin: school,
    schoolYear: year,
    rosterId = '',
    byOin = '',
    asOf = '',
    siteCode = '',
    administration = '',
  }: About,
  changes: Changes | undefined,
  counts: ReadonlyMap<string, number>,
): void {
  const known = new Map(unit.list(scopes, { equals: [school, year] }).map((row) => [scopeWord(row), row]));
  const saved = new Map<string, ScopeRow>();
  const own = scopeWord({ site: siteCode, administration });
  for (const [word, scope] of changes?.scopes ?? []) {
    if (known.has(word) && word !== own && scope === state.scopes.get(word)) continue;
    const before: ScopeRow = known.get(word) ?? {
      school,
      year,
      ...scopeOf(word),
      rosterId: '',
      byOin: '',
      asOf: '',
      madeMs: 0,
      seenMs: 0,
      endedMs: 0,
      // Those of before scopes were kept, or named outside a roster.
      learners: [...state.learners.keys()].filter((token) => heldIn(state, token).some((claim) => claim.scope === word))
        .length,
      sites: [],
    };
    saved.set(word, {
      ...before,
      ...(word === own ? { rosterId, byOin, asOf: asOf || before.asOf, seenMs: unit.now } : {}),
      madeMs: scope.madeMs,
      sites: [...scope.sites],
      endedMs: scope.ended ? before.endedMs || unit.now : 0,
    });
  }
  for (const [word, by] of counts) {
    const row = saved.get(word) ?? known.get(word);
    if (row && by !== 0) saved.set(word, { ...row, learners: Math.max(0, row.learners + by) });
  }
  for (const row of saved.values()) unit.put(scopes, row);
}

const heldIn = (state: RosterState, token: string): readonly Claim<LearnerEntry>[] =>
  heldBy(state.claims.learners, state.learners, token);

const heldBy = <E>(
  claims: ReadonlyMap<string, readonly Claim<E>[]>,
  known: ReadonlyMap<string, E>,
  token: string,
): readonly Claim<E>[] => claims.get(token) ?? (known.has(token) ? [{ scope: WHOLE, entry: known.get(token)! }] : []);

/** How many learners more, or fewer, each scope names. */
function claimCounts(state: RosterState, claims: Claims | undefined, gone: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (held: readonly Claim<LearnerEntry>[], by: number) => {
    for (const { scope } of held) counts.set(scope, (counts.get(scope) ?? 0) + by);
  };
  for (const [token, held] of claims?.learners ?? []) {
    add(heldIn(state, token), -1);
    add(held, 1);
  }
  for (const token of gone) add(heldIn(state, token), -1);
  return counts;
}

/** The rule of `evolve`, for rows. Rows are not read again: `state` has those that were there. */
function saveRow(
  unit: Unit,
  state: RosterState,
  { schoolOin: school, schoolYear: year }: About,
  event: RosterEvent,
  claims: Claims | undefined,
): void {
  switch (event.name) {
    case 'LearnerJoined':
    case 'LearnerMoved':
    case 'LearnerChanged': {
      const entry = event.value.learner!;
      const held = claims?.learners.get(entry.learner) ?? state.claims.learners.get(entry.learner);
      unit.put(learners, learnerRow(school, year, entry, held, unit.now));
      const id = leaveTimer(school, year, entry.learner);
      if (entry.leavesOn !== '')
        unit.setTimer({
          id,
          atMs: endOfDay(entry.leavesOn),
          key: school,
          payload: `leave ${year} ${entry.learner}`,
        });
      else if (state.learners.get(entry.learner)?.leavesOn) unit.cancelTimer(id);
      return;
    }
    case 'LearnerLeft': {
      const { learner } = event.value;
      removeLearner(unit, school, year, learner, state.learners.get(learner)?.leavesOn);
      return;
    }
    case 'GroupChanged': {
      const { group, change } = event.value;
      const held = claims?.groups.get(group!.group) ?? state.claims.groups.get(group!.group);
      if (change === 'closed') unit.remove(groups, school, year, group!.group);
      else unit.put(groups, groupRow(school, year, group!, held, unit.now));
      return;
    }
    case 'StaffChanged': {
      const person = event.value.staff!;
      const held = claims?.staff.get(person.staff) ?? state.claims.staff.get(person.staff);
      if (event.value.change === 'left') unit.remove(staff, school, year, person.staff);
      else unit.put(staff, staffRow(school, year, person, held, unit.now));
      return;
    }
    case 'HoldDecided':
      if (event.value.part) return;
      endHold(unit, school, event.value.holdId, event.value.approved ? 'approved' : 'rejected');
      return;
    case 'RosterRefused':
      // Nobody rejected what a newer roster took the place of.
      if (event.value.holdId !== '')
        endHold(unit, school, event.value.holdId, event.value.code === 'state.conflict' ? 'superseded' : 'rejected');
  }
}

function saveYear(
  unit: Unit,
  document: About,
  {
    size,
    openGroups,
    isApplied,
    changes,
    isTouched,
    changedMs,
  }: {
    size: number;
    openGroups: number;
    isApplied: boolean;
    changes: Changes | undefined;
    isTouched: boolean;
    /** Of what changes. */
    changedMs: number;
  },
): void {
  const { schoolOin: school, schoolYear: year } = document;
  const known = unit.get(years, school, year);
  if (!known) {
    unit.setTimer({
      id: purgeTimer(school, year),
      atMs: Math.max(keptUntil(year), unit.now + LEAST_KEPT_MS),
      key: school,
      payload: `purge ${year}`,
    });
  }
  const before: YearRow = known ?? {
    school,
    year,
    rosterId: '',
    byOin: '',
    asOf: '',
    madeMs: 0,
    changedMs: 0,
    learners: 0,
    groups: 0,
    sites: [],
  };
  const isChanged = !known || isTouched || (isApplied && changes !== undefined && !isNothing(changes));
  unit.put(years, {
    ...before,
    rosterId: document.rosterId ?? before.rosterId,
    byOin: document.byOin ?? before.byOin,
    asOf: document.asOf || before.asOf,
    madeMs: Math.max(before.madeMs, document.madeMs ?? 0),
    changedMs: isChanged ? changedMs : before.changedMs,
    learners: before.learners + size,
    groups: before.groups + openGroups,
    sites: isApplied && changes ? [...changes.sites] : before.sites,
  });
}

/** Classes leave together, and asking the calendar costs more than saving a row. */
const endsOfDays = new Map<string, number>();
function endOfDay(day: string): number {
  const known = endsOfDays.get(day);
  if (known !== undefined) return known;
  if (endsOfDays.size >= 1_000) endsOfDays.clear();
  const at = endOfDutchDay(day);
  endsOfDays.set(day, at);
  return at;
}

const leaveTimer = (school: string, year: string, learner: string): string => `${school} leave ${year} ${learner}`;

function removeLearner(unit: Unit, school: string, year: string, learner: string, leavesOn: string | undefined): void {
  unit.remove(learners, school, year, learner);
  if (leavesOn) unit.cancelTimer(leaveTimer(school, year, learner));
}

function endHold(unit: Unit, school: string, holdId: string, state: string): void {
  const hold = unit.get(holds, school, holdId);
  if (hold?.state !== 'waiting') return;
  unit.put(holds, { ...hold, state });
  dropHeldParts(unit, hold);
}

function dropHeldParts(unit: Pick<Unit, 'remove'> & Reader, { school, holdId }: HoldRow): void {
  for (const { part } of unit.list(heldParts, { equals: [school, holdId] }))
    unit.remove(heldParts, school, holdId, part);
}

function dropHeldForgets(unit: Pick<Unit, 'remove'>, held: readonly HeldForgetRow[]): void {
  for (const { school, holdId, learner } of held) unit.remove(heldForgets, school, holdId, learner);
}

const holdState = (row: HoldRow): HoldState => ({
  holdId: row.holdId,
  reason: row.reason,
  rosterId: row.rosterId,
  year: row.year,
  flowId: row.flowId,
  state: row.state,
  madeMs: row.madeMs,
  partial: row.partial === 1,
  siteCode: row.site ?? '',
  administration: row.administration ?? '',
});

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

/** One claim is its row; where there are more, each is kept as its roster said it. */
const claimColumns = <E, R>(
  held: readonly Claim<E>[] | undefined,
  rowOf: (entry: E) => R,
): { scope: string | undefined; claims: ClaimRow<R>[] | undefined } =>
  held === undefined || held.length < 2
    ? { scope: held?.[0]?.scope || undefined, claims: undefined }
    : { scope: undefined, claims: held.map(({ scope, entry }) => ({ scope, entry: rowOf(entry) })) };

type Held<E> = readonly Claim<E>[] | undefined;
const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

const learnerRow = (
  school: string,
  year: string,
  entry: LearnerEntry,
  held: Held<LearnerEntry>,
  changedMs: number,
): LearnerRow => ({
  school,
  year,
  learner: entry.learner,
  yearGroup: entry.yearGroup,
  baseGroup: entry.group,
  compositeGroups: entry.compositeGroups,
  site: entry.site,
  entersOn: entry.entersOn,
  leavesOn: entry.leavesOn,
  nameMark: hexOf(entry.nameMark),
  changedMs,
  ...claimColumns(held, ({ siteCodes: _, nameMark, ...rest }) => ({ ...rest, nameMark: hexOf(nameMark) })),
});

/** What each roster that names a learner says, first what counts. */
export const claimsOfLearner = (row: LearnerRow): Claim<LearnerEntry>[] =>
  row.claims?.map(({ scope, entry }) => ({
    scope,
    entry: { ...entry, nameMark: bytesOf(entry.nameMark), siteCodes: [] },
  })) ?? [{ scope: row.scope ?? WHOLE, entry: learnerBase(row) }];

const learnerBase = (row: LearnerRow): LearnerEntry => ({
  learner: row.learner,
  yearGroup: row.yearGroup,
  group: row.baseGroup,
  compositeGroups: row.compositeGroups,
  site: row.site,
  entersOn: row.entersOn,
  leavesOn: row.leavesOn,
  nameMark: bytesOf(row.nameMark),
  siteCodes: [],
});

/** Sites of a row without opening its claims. */
export const codesOf = ({
  scope,
  claims,
}: {
  scope?: string | undefined;
  claims?: ClaimRow<unknown>[] | undefined;
}): string[] => (claims ? siteCodesOf(claims) : scope ? siteCodesOf([{ scope, entry: undefined }]) : []);

const withCodes = <E extends { siteCodes: string[] }>(entry: E, row: Parameters<typeof codesOf>[0]): E =>
  row.scope || row.claims ? { ...entry, siteCodes: codesOf(row) } : entry;

export const learnerEntry = (row: LearnerRow): LearnerEntry => withCodes(learnerBase(row), row);

const groupRow = (
  school: string,
  year: string,
  entry: GroupEntry,
  held: Held<GroupEntry>,
  changedMs: number,
): GroupRow => ({
  school,
  year,
  groupToken: entry.group,
  name: entry.name,
  description: entry.description,
  yearGroup: entry.yearGroup,
  composite: entry.composite ? 1 : 0,
  changedMs,
  ...claimColumns(held, ({ siteCodes: _, ...rest }) => rest),
});

export const claimsOfGroup = (row: GroupRow): Claim<GroupEntry>[] =>
  row.claims?.map(({ scope, entry }) => ({ scope, entry: { ...entry, siteCodes: [] } })) ?? [
    { scope: row.scope ?? WHOLE, entry: groupBase(row) },
  ];

const groupBase = (row: GroupRow): GroupEntry => ({
  group: row.groupToken,
  name: row.name,
  description: row.description,
  yearGroup: row.yearGroup,
  composite: row.composite === 1,
  siteCodes: [],
});

export const groupEntry = (row: GroupRow): GroupEntry => withCodes(groupBase(row), row);

const staffRow = (
  school: string,
  year: string,
  entry: StaffEntry,
  held: Held<StaffEntry>,
  changedMs: number,
): StaffRow => ({
  school,
  year,
  staff: entry.staff,
  groups: entry.groups,
  duties: entry.duties,
  nameMark: hexOf(entry.nameMark),
  changedMs,
  ...claimColumns(held, ({ siteCodes: _, nameMark, ...rest }) => ({ ...rest, nameMark: hexOf(nameMark) })),
});

export const claimsOfStaff = (row: StaffRow): Claim<StaffEntry>[] =>
  row.claims?.map(({ scope, entry }) => ({
    scope,
    entry: { ...entry, nameMark: bytesOf(entry.nameMark), siteCodes: [] },
  })) ?? [{ scope: row.scope ?? WHOLE, entry: staffBase(row) }];

const staffBase = (row: StaffRow): StaffEntry => ({
  staff: row.staff,
  groups: row.groups,
  duties: row.duties,
  nameMark: bytesOf(row.nameMark),
  siteCodes: [],
});

export const staffEntry = (row: StaffRow): StaffEntry => withCodes(staffBase(row), row);
