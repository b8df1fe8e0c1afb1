/**
 * Sending mail to endpoints: which rows go out together, and what becomes of them. Functions over rows; whoever sends
 * asks for attempts, and each is committed as started before it is told.
 *
 * The order within a key: a row is in one attempt at a time, or set aside behind what arrived earlier of its key, or still
 * ahead of the cursor. An attempt holds rows of a key in the order of their arrival, and as long as it stands no other
 * holds that key. So nothing of a key is sent before what arrived earlier is taken or parked.
 */
import { allOf, together } from '#bus';
import { type Fault, NOT_SENT, UWLR } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import { idsOf } from './about.ts';
import {
  type Answered,
  afterAnswer,
  FIRST_WIDTH,
  isReach,
  keyWaitMs,
  type Limits,
  MOST_REPEATS,
  NO_LIMITS,
  newEndpoint,
  pace,
  parksKey,
  roomOf,
  SCHOOL_WAIT_MS,
  spend,
  TOO_MANY,
  type Verdict,
  verdictOf,
  widthOf,
} from './endpoint.ts';
import type { Seen } from './lines.ts';
import { isForgotten, KEPT_MS, park, standsBehind, type Writer } from './mailbox.ts';
import { mayHave } from './mandates.ts';
import { goOnMoving, type Moving } from './moves.ts';
import { became, isOn, openReplay, overtaken, requestFailed } from './replayed.ts';
import { score } from './scores.ts';
import { noteSet, noteTold } from './sets.ts';
import { beginOf, endOf, STANDARDS, standardFor, standardsOf, takenOver } from './standards.ts';
import {
  type AttemptRow,
  attempts,
  type BodyRow,
  bodies,
  type EndpointRow,
  endpoints,
  HELD,
  heads,
  type LossCell,
  type MailRow,
  type Member,
  mail,
  NEVER,
  outcomes,
  type PushKeyRow,
  type PushSchoolRow,
  pushCursors,
  pushKeys,
  pushMoves,
  pushSchools,
  type SetAsideRow,
  STOPPED,
  setAside,
  sets,
} from './tables.ts';

/** How long a sender has an attempt for itself: its request, and 3 s before it. Keys of one that died wait for so long. */
export const LEASE_MS = 9_000;
/** Administrations answer once they have worked through a message. */
const UWLR_LEASE_MS = 35_000;
export const leaseMsOf = (standard: string): number => (standard === UWLR ? UWLR_LEASE_MS : LEASE_MS);
/** Rows and bytes of one attempt. */
const MOST_ROWS = 100;
const MOST_BYTES = 512 * 1024;
/** Mail of one mailbox that one claim looks at, and keys that are due: so many, and more for each place that is free. */
const LOOKED_AT = 800;
const KEYS_LOOKED_AT = 50;
const KEYS_A_PLACE = 50;
/** No more keys are set aside for want of a place. The more there are, the more of a school are found together. */
const MOST_AHEAD = 2000;
/**
 * What finds no place is due at once, by a clock so coarse that many such keys are due together: then they are found in the
 * order of their schools, and a school's go in one request.
 */
const TOGETHER_MS = 10_000;
/** So many places of its sender no endpoint takes that has this many requests under way: they are for all others. */
const KEPT_FREE = 64;
const OWN_PLACES = 8;
/** `full` of an endpoint that has as many requests as it may have at once, rather than as its pace or its sender allow. */
const FILLED = 2;
/** Endpoints that one claim looks at. */
const ENDPOINTS_LOOKED_AT = 64;
/** How long what could not be prepared rests, and what a copy of the mandates does not allow yet. */
const UNSENT_WAIT_MS = 1_000;
const AGAIN_WAIT_MS = 250;
/** Why what was asked for could not be written, where asking again gives the same. */
const OURS: ReadonlySet<string> = new Set<Fault>(['gateway.bug', 'gateway.clear_data', 'wire.too_large']);
/** A connection that was closed while it waited is no failure, so many times. */
const MOST_STALE = 3;

/** Something is there for the endpoint of this party that takes a mailbox. True where that is news. */
export function wake(unit: Writer, party: string, service: number): boolean {
  const standard = standardFor(unit, party, service);
  const row = standard === undefined ? undefined : unit.get(endpoints, party, standard);
  if (row === undefined || row.full || row.dueMs <= unit.now) return false;
  unit.put(endpoints, { ...row, dueMs: unit.now });
  return true;
}

/** A party was named with an endpoint, or with none for a mailbox. What had stopped it is forgotten: someone looked at it. */
export function takeEndpoint(
  unit: Writer,
  party: string,
  standard: string,
  named: string,
  limits: Limits = NO_LIMITS,
): void {
  const known = unit.get(endpoints, party, standard) ?? {
    ...newEndpoint(party, standard, named),
    // A replay that is not over notes what goes out of live mail here, too.
    replay: STANDARDS.map((one) => unit.get(endpoints, party, one)?.replay).find((job) => job) ?? '',
  };
  if (named === NOT_SENT) {
    unit.put(endpoints, { ...known, ...limits, url: '', none: 1, gone: 1, full: 0, dueMs: unit.now });
    return;
  }
  const url = named;
  // How much another address takes is not known.
  const row = known.url === url ? known : { ...known, width: FIRST_WIDTH, narrowed: 0, steady: 0 };
  unit.put(endpoints, {
    ...row,
    ...limits,
    url,
    none: 0,
    gone: 0,
    doubts: 0,
    rests: 0,
    restUntilMs: 0,
    full: 0,
    dueMs: unit.now,
  });
}

/** A party has no endpoint any more: nothing is sent, and what waits stays where it is, until it is named with one again. */
export function leaveEndpoint(unit: Writer, party: string, standard: string): void {
  const row = unit.get(endpoints, party, standard);
  if (row !== undefined && (row.url !== '' || row.none))
    unit.put(endpoints, { ...row, url: '', none: 0, gone: 1, full: 0, dueMs: unit.now });
}

/** What became of an attempt, as its sender tells it. */
export interface Outcome {
  attemptId: string;
  partyOin: string;
  standard: string;
  number: number;
  result: string;
  status: number;
  cause: string;
  code: string;
  retryAfterS: number;
  /** Numbers of rows of which there was nothing to tell. */
  untold: readonly bigint[];
  /** How far the answer reaches, where the standard says so; else empty. */
  reach: string;
  /** Numbers of rows that were not in the request. */
  rest: readonly bigint[];
  losses: readonly { number: bigint; losses: readonly LossCell[] }[];
  /** How long the request took; 0 or absent = it was not measured. */
  tookMs?: number;
}

/**
 * One call of a sender: outcomes are taken in, then attempts are started. Lists show rows as they were before it, so it
 * remembers what it changed.
 */
export interface Ask {
  owner: string;
  /** Leases of other owners are void. */
  isAlone: boolean;
  /** Whether this attempt was given out here and its lease runs, by the monotonic clock: jumps of the other do not matter. */
  isHeld(attemptId: string): boolean;
  /** Ids for new attempts: so many are started at most, old ones included. */
  ids: readonly string[];
  /** What became of endpoints and keys, for whoever tells of it after the commit. */
  saw?(seen: Seen): void;
}

interface Call extends Ask {
  /** Attempts that may still be started, and ids that were used. */
  left: number;
  used: number;
  /** Attempts and keys that this call changed. */
  changed: Set<string>;
  touched: Set<string>;
  /** Attempts that came of others. */
  parts: AttemptRow[];
  woken: Map<string, EndpointRow>;
  /** Schools that this call saw refused, or taken again, by endpoint. */
  schools: Map<string, PushSchoolRow | undefined>;
  /** Keys that this call set aside with their school. */
  refused: Lane[];
  /** Endpoints that had as many requests as they may have, before this call. */
  full: Set<string>;
  /** Attempts that were too many for their endpoint, as this call was told. */
  tooMany: Set<string>;
  /** Mailboxes that change their endpoint and were looked at. */
  moved: Set<string>;
}

export interface Started {
  attempt: AttemptRow;
  url: string;
  /** Its endpoint rested. */
  isTrial: boolean;
  rows: { member: Member; body: Readonly<BodyRow> }[];
}

/** Takes outcomes in and starts attempts; the caller commits before it sends any. */
export function exchange(unit: Writer, told: readonly Outcome[], ask: Ask): Started[] {
  const call: Call = {
    ...ask,
    left: ask.ids.length,
    used: 0,
    changed: new Set(),
    touched: new Set(),
    parts: [],
    woken: new Map(),
    schools: new Map(),
    refused: [],
    full: new Set(),
    tooMany: new Set(),
    moved: new Set(),
  };
  together(told, (outcome) => takeIn(unit, outcome, call));
  const started: Started[] = [];
  if (call.left === 0) return started;
  const due = unit
    .list(endpoints, { index: 'by_due', equals: [], limit: ENDPOINTS_LOOKED_AT })
    .filter(({ dueMs }) => dueMs <= unit.now);
  const rows = new Map([...due.map((row): [string, EndpointRow] => [endpointName(row), row]), ...call.woken]);
  together(rows.values(), ({ party, standard }) => {
    if (call.left > 0) started.push(...claim(unit, unit.get(endpoints, party, standard)!, call));
  });
  return started;
}

/** Whether a request has an id of its own, and not that of the only event in it. */
const hasSetId = ({ standard, members }: AttemptRow): boolean => standard !== UWLR && members.length > 1;

const endpointName = ({ party, standard }: Pick<EndpointRow, 'party' | 'standard'>): string => `${party}/${standard}`;

type Lane = Pick<PushKeyRow, 'party' | 'standard' | 'service' | 'school' | 'key'>;
const laneName = ({ party, standard, service, school, key }: Lane): string =>
  `${party}/${standard}/${service}/${school}/${key}`;
const laneOf = ({ party, standard, service, school }: Omit<Lane, 'key'>, key: string): Lane => ({
  party,
  standard,
  service,
  school,
  key,
});
const keyRow = (unit: Pick<Writer, 'get'>, { party, standard, service, school, key }: Lane) =>
  unit.get(pushKeys, party, standard, service, school, key);

// ---- what became of attempts

function takeIn(unit: Writer, outcome: Outcome, call: Call): void {
  const attempt = unit.get(attempts, outcome.partyOin, outcome.standard, outcome.attemptId);
  const endpoint = unit.get(endpoints, outcome.partyOin, outcome.standard);
  // Told too late: its lease had passed, and it is someone else's or over.
  if (!attempt?.started || attempt.owner !== call.owner || attempt.number !== outcome.number || !endpoint) return;
  call.changed.add(attempt.attemptId);
  if (outcome.result.endsWith('answered') && hasSetId(attempt)) noteTold(unit, attempt, outcome.untold);
  if (endpoint.full === FILLED) call.full.add(endpointName(endpoint));
  const next = settle(unit, attempt, endpoint, outcome, call);
  call.saw?.({ before: endpoint, after: next });
  const row = { ...next, full: 0, dueMs: unit.now };
  unit.put(endpoints, row);
  call.woken.set(endpointName(row), row);
  // What waits for its end elsewhere.
  if (unit.get(pushMoves, attempt.party, attempt.service)) wake(unit, attempt.party, attempt.service);
}

function settle(
  unit: Writer,
  given: Readonly<AttemptRow>,
  endpoint: Readonly<EndpointRow>,
  outcome: Outcome,
  call: Call,
): EndpointRow {
  const { now } = unit;
  let attempt = given;
  if (attempt.stopped?.length && outcome.result !== 'withheld' && !isTaken(outcome)) {
    attempt = stopKeys(unit, attempt, whyOf(outcome), call);
    // What was sent is no more than what it says of the endpoint.
    if (attempt.members.length === 0)
      return outcome.result === 'unsent'
        ? endpoint
        : afterAnswer(endpoint, answerOf(unit, given, endpoint, outcome, call), now);
  }
  const waits = (ms: number, unsent = 0) =>
    unit.put(attempts, { ...attempt, unsent: (attempt.unsent || 0) + unsent, started: 0, leaseMs: now + ms });
  if (outcome.result === 'withheld') {
    if (!withhold(unit, attempt, outcome.code, call)) waits(AGAIN_WAIT_MS, 1);
    return endpoint;
  }
  const { status } = outcome;
  const cause = causeOf(outcome);
  const reach = isReach(outcome.reach) ? outcome.reach : undefined;
  if (outcome.result === 'unsent' && reach === 'school') {
    const why = { status: 0, code: outcome.code as Fault, cause };
    call.saw?.({ parked: endpoint, code: why.code, status: 0 });
    schoolRefused(unit, neverLeft(attempt), why, call);
    return endpoint;
  }
  if (outcome.result === 'unsent' && reach !== 'endpoint') {
    // What is too large together goes in parts, and of what we cannot write by our own fault each key is tried by itself;
    // the endpoint knows nothing of it.
    if (OURS.has(outcome.code))
      failed(
        unit,
        neverLeft(attempt),
        { ...endpoint, succeededMs: now },
        { status: 0, code: outcome.code as Fault, cause: '', isFinal: false },
        call,
      );
    else waits(UNSENT_WAIT_MS, 1);
    return endpoint;
  }
  if (outcome.cause === 'stale' && attempt.number < MOST_STALE) {
    waits(0);
    return endpoint;
  }
  attempt = setApart(unit, attempt, outcome.rest, call);
  const answer = answerOf(unit, attempt, endpoint, outcome, call);
  const { verdict } = answer;
  const next = afterAnswer(endpoint, answer, now);
  scoreOf(unit, attempt, outcome, verdict);
  if (verdict !== 'taken') requestFailed(unit, attempt.party, attempt.members);
  if (verdict === 'taken') taken(unit, attempt, outcome, call);
  else if (verdict === 'endpoint' || verdict === 'busy' || verdict === 'gone')
    waits(0, outcome.result === 'unsent' ? 1 : 0);
  else {
    const why = whyOf(outcome);
    if (verdict === 'school') {
      call.saw?.({ parked: endpoint, code: why.code, status });
      schoolRefused(unit, attempt, why, call);
    } else failed(unit, attempt, next, { ...why, isFinal: verdict === 'message' }, call);
  }
  return next;
}

/** This time nothing of it left. */
const neverLeft = (attempt: Readonly<AttemptRow>): AttemptRow => ({ ...attempt, unsent: (attempt.unsent || 0) + 1 });

const causeOf = ({ cause }: Outcome): string => (cause === 'stale' ? 'reset' : cause);

/** What an answer says, in our words, however far the standard lets it reach. */
function verdictIn({ status, reach: said, ...outcome }: Outcome): Verdict {
  const reach = isReach(said) ? said : undefined;
  if (status === TOO_MANY && (reach ?? 'endpoint') === 'endpoint') return 'busy';
  return reach ?? verdictOf(status, causeOf({ status, reach: said, ...outcome }));
}

const isTaken = (outcome: Outcome): boolean =>
  (outcome.result === 'answered' || outcome.result === 'unanswered') && verdictIn(outcome) === 'taken';

function answerOf(
  unit: Writer,
  attempt: Readonly<AttemptRow>,
  endpoint: Readonly<EndpointRow>,
  outcome: Outcome,
  call: Call,
): Answered {
  const verdict = verdictIn(outcome);
  return {
    verdict,
    status: outcome.status,
    cause: causeOf(outcome),
    retryAfterS: outcome.retryAfterS,
    startedMs: attempt.startedMs,
    first: attempt.failures === 0,
    isFull: call.full.has(endpointName(endpoint)),
    others: verdict === 'busy' ? othersOf(unit, attempt, call) : 0,
    seed: `${attempt.attemptId}/${attempt.number}`,
  };
}

/** Why a failure failed, in the codes of all. */
function whyOf(outcome: Outcome): Why {
  if (outcome.result === 'unsent') return { status: 0, code: outcome.code as Fault, cause: '' };
  const { status } = outcome;
  const verdict = verdictIn(outcome);
  const code = isRefusal(verdict) ? 'peer.refused' : status === 0 ? 'peer.unknown_outcome' : 'peer.unavailable';
  // Only the words of a standard say more than the status does.
  return { status, code, cause: isReach(outcome.reach) ? causeOf(outcome) : '' };
}

/** Keys of it whose repeats an operator stopped wait for an operator; answers what is left of the attempt. */
function stopKeys(unit: Writer, attempt: Readonly<AttemptRow>, why: Why, call?: Call): Readonly<AttemptRow> {
  const { party, standard, attemptId, stopped = [], held } = attempt;
  const out = new Set(stopped);
  for (const key of keysOf(attempt)) {
    if (!out.has(key)) continue;
    const lane = laneOf(attempt, key);
    const members = attempt.members.filter((member) => member.key === key);
    // Of the first one the key counts.
    for (const [i, member] of members.entries())
      unit.put(setAside, { ...lane, ...(i === 0 ? member : leftAgain(member, sentTimes(attempt))) });
    unit.put(pushKeys, {
      ...lane,
      rows: (keyRow(unit, lane)?.rows ?? 0) + members.length,
      parked: held?.includes(key) ? HELD : STOPPED,
      failures: sentTimes(attempt),
      sinceMs: attempt.sinceMs || attempt.startedMs || unit.now,
      ...why,
      dueMs: NEVER,
      tried: triedOf(members, keyRow(unit, lane)),
    });
    call?.touched.add(laneName(lane));
  }
  const left: AttemptRow = {
    ...attempt,
    stopped: undefined,
    held: undefined,
    members: attempt.members.filter(({ key }) => !out.has(key)),
  };
  if (left.members.length === 0) unit.remove(attempts, party, standard, attemptId);
  else unit.put(attempts, left);
  return left;
}

/** A row that left so many times more, or may have. */
const leftAgain = (member: Readonly<Member>, times: number): Member =>
  times > 0 ? { ...member, before: (member.before || 0) + times } : member;

/** How far a key is tried, with these rows back among those that are set aside. */
const triedOf = (members: readonly Member[], before: Readonly<PushKeyRow> | undefined): number =>
  Math.max(before?.tried || 0, ...members.map(({ first }) => first));

/** Requests that its endpoint had besides this one, when it said that this one was too many. */
function othersOf(unit: Writer, { party, standard, attemptId }: AttemptRow, { tooMany }: Call): number {
  tooMany.add(attemptId);
  // As it was before this call: what is told together was under way together.
  return unit
    .list(attempts, { equals: [party, standard] })
    .filter((one) => one.started && one.leaseMs > unit.now && !tooMany.has(one.attemptId)).length;
}

const isRefusal = (verdict: Verdict): boolean => verdict === 'message' || verdict === 'school';

/** Rows that were not in the request are an attempt of their own, never started; what is left is what was sent. */
function setApart(
  unit: Writer,
  attempt: Readonly<AttemptRow>,
  rest: readonly bigint[],
  call: Call,
): Readonly<AttemptRow> {
  if (rest.length === 0) return attempt;
  const numbers = new Set(rest.map(Number));
  const apart = new Set(attempt.members.filter(({ number }) => numbers.has(number)).map(({ key }) => key));
  const members = attempt.members.filter(({ key }) => !apart.has(key));
  // Of a key nothing is sent while something of it is under way elsewhere, so a key is never divided.
  if (apart.size === 0 || members.length === 0) return attempt;
  const part: AttemptRow = {
    ...attempt,
    attemptId: `${attempt.attemptId}.r`,
    started: 0,
    leaseMs: unit.now,
    number: 0,
    unsent: 0,
    members: attempt.members.filter(({ key }) => apart.has(key)),
  };
  call.changed.add(part.attemptId);
  call.parts.push(part);
  unit.put(attempts, part);
  return { ...attempt, members };
}

/** What one failure was. */
interface Why {
  status: number;
  code: Fault;
  cause: string;
}

const UNKNOWN: Why = { status: 0, code: 'peer.unknown_outcome', cause: '' };

/** The endpoint takes nothing of this school: what is of it waits, and is tried again together. */
function schoolRefused(unit: Writer, attempt: Readonly<AttemptRow>, why: Why, call: Call): void {
  const { party, standard, school, attemptId } = attempt;
  const untilMs = unit.now + SCHOOL_WAIT_MS;
  const before = unit.get(pushSchools, party, standard, school);
  const row = { party, standard, school, untilMs, sinceMs: before?.sinceMs ?? unit.now, ...why };
  unit.put(pushSchools, row);
  call.schools.set(`${party}/${standard}/${school}`, row);
  unit.remove(attempts, party, standard, attemptId);
  for (const key of keysOf(attempt)) {
    const lane = laneOf(attempt, key);
    const members = attempt.members.filter((member) => member.key === key);
    for (const member of members) unit.put(setAside, { ...lane, ...leftAgain(member, sentTimes(attempt)) });
    const waiting = keyRow(unit, lane);
    const tried = triedOf(members, waiting);
    unit.put(pushKeys, { ...refusedKey(lane, (waiting?.rows ?? 0) + members.length, row, waiting), tried });
    call.touched.add(laneName(lane));
    call.refused.push(lane);
  }
}

/** The endpoint takes what is of this school, so what waits with it waits no longer. */
function schoolTaken(unit: Writer, { party, standard, service, school }: AttemptRow, call: Call): void {
  if (unit.get(pushSchools, party, standard, school) === undefined) return;
  unit.remove(pushSchools, party, standard, school);
  call.schools.set(`${party}/${standard}/${school}`, undefined);
  const lanes: Lane[] = [
    ...unit.list(pushKeys, { equals: [party, standard, service, school] }),
    ...call.refused.filter((lane) => lane.party === party && lane.standard === standard && lane.school === school),
  ];
  for (const lane of lanes) {
    const row = keyRow(unit, lane);
    if (row === undefined || row.parked || row.code === '' || row.failures > 0 || row.dueMs === NEVER) continue;
    call.touched.add(laneName(row));
    unit.put(pushKeys, { ...row, sinceMs: 0, status: 0, code: '', cause: '', dueMs: unit.now });
  }
}

/** A key that waits because its school was refused. */
const refusedKey = (
  lane: Lane,
  rows: number,
  { untilMs, sinceMs, status, code, cause }: PushSchoolRow,
  before: Readonly<PushKeyRow> | undefined,
): PushKeyRow => ({
  ...lane,
  rows,
  parked: 0,
  // It goes with the others, since nothing is wrong with it.
  failures: 0,
  sinceMs: before?.sinceMs || sinceMs,
  status,
  code,
  cause,
  dueMs: untilMs,
  tried: before?.tried || 0,
});

/** How often its rows were sent, or may have been, since they were last taken up. */
const sentTimes = ({ failures, number, unsent }: AttemptRow): number => failures + number - (unsent || 0);

/** How often one of its rows was, over all. */
export const allTimes = (attempt: AttemptRow, member: Pick<Member, 'before'> | undefined): number =>
  (member?.before || 0) + sentTimes(attempt);

/** How often the message that a key waits for was, over all. */
export const timesOf = (reader: Pick<Writer, 'list'>, row: Pick<PushKeyRow, keyof Lane | 'failures'>): number =>
  row.failures + (firstOf(reader, row)?.before || 0);

/** What waits first of a key. */
export const firstOf = (
  reader: Pick<Writer, 'list'>,
  { party, standard, service, school, key }: Lane,
): Readonly<SetAsideRow> | undefined =>
  reader.list(setAside, { equals: [party, standard, service, school, key], limit: 1 })[0];

/** A key counts its failures anew: how often its first message was sent stays with that. */
function countAnew(unit: Writer, row: Readonly<PushKeyRow>): void {
  const first = row.failures > 0 ? firstOf(unit, row) : undefined;
  if (first) unit.put(setAside, { ...first, before: timesOf(unit, row) });
}

function taken(unit: Writer, attempt: Readonly<AttemptRow>, { status, untold, losses }: Outcome, call: Call): void {
  const nothing = new Set(untold.map(Number));
  const lost = new Map(losses.map((one) => [Number(one.number), one.losses]));
  became(
    unit,
    attempt.party,
    attempt.members.filter(({ number }) => !nothing.has(number)),
    'sent',
  );
  became(
    unit,
    attempt.party,
    attempt.members.filter(({ number }) => nothing.has(number)),
    'untold',
  );
  for (const member of attempt.members) {
    const { flowId, eventId, number, job } = member;
    const isUntold = nothing.has(number);
    // What it was told before it was told, whatever it may be told now.
    if (isUntold && job) continue;
    const last = { attempts: allTimes(attempt, member), status: isUntold ? 0 : status };
    ended(unit, attempt, { flowId, eventId }, isUntold ? 'untold' : 'delivered', last, lost.get(number));
  }
  unit.remove(attempts, attempt.party, attempt.standard, attempt.attemptId);
  // Where there was nothing to send, nobody said that the school is taken again.
  if (nothing.size < attempt.members.length) schoolTaken(unit, attempt, call);
  together(keysOf(attempt), (key) => {
    const row = keyRow(unit, laneOf(attempt, key));
    // What is stopped behind it stays.
    if (row === undefined || row.parked) return;
    call.touched.add(laneName(row));
    unit.put(pushKeys, { ...row, failures: 0, sinceMs: 0, status: 0, code: '', cause: '', dueMs: unit.now });
  });
}

const keysOf = ({ members }: Pick<AttemptRow, 'members'>): Set<string> => new Set(members.map(({ key }) => key));

function ended(
  unit: Writer,
  { party, standard }: Pick<EndpointRow, 'party' | 'standard'>,
  { flowId, eventId }: Pick<Member, 'flowId' | 'eventId'>,
  state: string,
  last: { attempts: number; status: number },
  losses?: readonly LossCell[],
): void {
  const lost = losses?.map(({ element, reason, count }) => ({ element, reason, count }));
  unit.put(outcomes, { flowId, eventId, party, standard, state, ...last, atMs: unit.now, losses: lost });
}

/** Counts a request with those of its endpoint; where there was nothing to tell none was made. */
function scoreOf(unit: Writer, attempt: Readonly<AttemptRow>, outcome: Outcome, verdict: Verdict): void {
  if (outcome.result === 'unsent') return;
  const untold = new Set(outcome.untold.map(Number));
  const told = attempt.members.filter(({ number }) => !untold.has(number));
  if (told.length === 0) return;
  const { party, standard } = attempt;
  score(unit, {
    party,
    standard,
    failure: verdict === 'taken' ? '' : outcome.cause || String(outcome.status),
    isAgain: sentTimes(attempt) > 1,
    tookMs: outcome.tookMs ?? 0,
    ages: verdict === 'taken' ? told.map(({ atMs }) => Math.max(0, unit.now - atMs)) : [],
  });
}

/**
 * The attempt failed by what is in it, maybe. Of several rows nobody knows by which: they are sent again in parts, until
 * one is left, whose key then waits, or parks.
 */
function failed(
  unit: Writer,
  attempt: Readonly<AttemptRow>,
  endpoint: EndpointRow,
  { status, code, cause, isFinal }: Why & { isFinal: boolean },
  call: Call,
): void {
  const { now } = unit;
  const { party, standard, attemptId, members } = attempt;
  unit.remove(attempts, party, standard, attemptId);
  // How often the same rows left in one request.
  const times = sentTimes(attempt) - attempt.failures;
  if (members.length > 1) {
    const left = members.map((member) => leftAgain(member, times));
    for (const [i, part] of partsOf(left).entries()) {
      const id = `${attemptId}.${i}`;
      call.changed.add(id);
      call.parts.push({
        ...attempt,
        attemptId: id,
        started: 0,
        leaseMs: now,
        number: 0,
        unsent: 0,
        members: part.rows,
      });
      unit.put(attempts, call.parts.at(-1)!);
      if (part.behind.length > 0) setBehind(unit, attempt, part.behind, call);
    }
    return;
  }
  const failures = attempt.failures + 1;
  const sinceMs = attempt.sinceMs || now;
  const parks = isFinal || parksKey(failures, sinceMs, endpoint, now);
  if (parks && !members[0]!.job) call.saw?.({ parked: endpoint, code, status });
  const dueMs = parks ? NEVER : now + keyWaitMs(failures, `${attemptId}/${attempt.number}`);
  const lane = laneOf(attempt, members[0]!.key);
  if (parks && members[0]!.job) {
    // It had its time before: live mail of its key does not wait behind it.
    became(unit, party, members, 'refused');
    const behind = keyRow(unit, lane);
    if (behind) unit.put(pushKeys, { ...behind, failures: 0, sinceMs: 0, status: 0, code: '', cause: '', dueMs: now });
    call.touched.add(laneName(lane));
    return;
  }
  // This failure is among those of its key.
  unit.put(setAside, { ...lane, ...leftAgain(members[0]!, times - 1) });
  unit.put(pushKeys, {
    ...lane,
    rows: (keyRow(unit, lane)?.rows ?? 0) + 1,
    parked: parks ? 1 : 0,
    failures,
    sinceMs,
    status,
    code,
    cause,
    dueMs,
    tried: triedOf(members, keyRow(unit, lane)),
  });
  call.touched.add(laneName(lane));
}

/** Into so many parts an attempt is split. */
const PARTS = 10;

/** Parts of whole keys; of a key by itself the first row, with the others behind it. */
export function partsOf(members: readonly Member[]): { rows: Member[]; behind: Member[] }[] {
  const byKey = new Map<string, Member[]>();
  for (const member of members) byKey.set(member.key, [...(byKey.get(member.key) ?? []), member]);
  const keys = [...byKey.values()];
  if (keys.length === 1) return [{ rows: keys[0]!.slice(0, 1), behind: keys[0]!.slice(1) }];
  const size = Math.ceil(keys.length / PARTS);
  const parts: { rows: Member[]; behind: Member[] }[] = [];
  for (let i = 0; i < keys.length; i += size) parts.push({ rows: keys.slice(i, i + size).flat(), behind: [] });
  return parts;
}

/** Rows of one key stand first again among those that were set aside, behind an attempt of that key. */
function setBehind(unit: Writer, attempt: Readonly<AttemptRow>, rows: readonly Member[], call: Call): void {
  const lane = laneOf(attempt, rows[0]!.key);
  for (const member of rows) aside(unit, lane, member);
  const row = keyRow(unit, lane)!;
  unit.put(pushKeys, { ...row, tried: triedOf(rows, row) });
  call.touched.add(laneName(lane));
}

/**
 * The receiver may not have these rows now: they leave the mailbox, with all of their keys, and come back under fresh
 * numbers once it may. False: it may have them after all, by what is known here.
 */
function withhold(unit: Writer, attempt: Readonly<AttemptRow>, code: string, call: Call): boolean {
  const { party, standard, service, school } = attempt;
  if (code.startsWith('mandate.') && mayHave(unit, school, party, service as Service, unit.now)) return false;
  for (const key of keysOf(attempt)) {
    const lane = laneOf(attempt, key);
    const aside = keyRow(unit, lane) ? unit.list(setAside, { equals: [party, standard, service, school, key] }) : [];
    for (const member of [...attempt.members.filter((one) => one.key === key), ...aside]) {
      if (member.job) {
        became(unit, party, [member], 'withheld');
        continue;
      }
      const row = unit.get(mail, party, service, member.number);
      const body = unit.get(bodies, member.flowId, member.eventId);
      // Gone from there already: another reader took it out, and it comes back as well.
      if (row !== undefined && body !== undefined) park(unit, row, body, code);
    }
    for (const { first } of aside) unit.remove(setAside, party, standard, service, school, key, first);
    unit.remove(pushKeys, party, standard, service, school, key);
    call.touched.add(laneName(lane));
  }
  unit.remove(attempts, party, standard, attempt.attemptId);
  return true;
}

// ---- starting attempts

interface Batch {
  attemptId: string;
  service: number;
  school: string;
  failures: number;
  sinceMs: number;
  rows: Started['rows'];
  bytes: number;
}

const hasSpace = (batch: Batch, body: Readonly<BodyRow>): boolean =>
  batch.rows.length < MOST_ROWS && batch.bytes + body.data.length <= MOST_BYTES;

function claim(unit: Writer, given: Readonly<EndpointRow>, call: Call): Started[] {
  const { now } = unit;
  const { party, standard, url } = given;
  let endpoint = given;
  const standing = [
    ...unit
      .list(attempts, { equals: [party, standard] })
      .flatMap((row) =>
        call.changed.has(row.attemptId) ? (unit.get(attempts, party, standard, row.attemptId) ?? []) : row,
      ),
    ...call.parts.filter((part) => part.party === party && part.standard === standard),
  ];
  const busy = new Set<string>();
  const leaseMs = leaseMsOf(standard);
  const refused = new Map(
    unit.list(pushSchools, { equals: [party, standard] }).map((row): [string, PushSchoolRow] => [row.school, row]),
  );
  /** The school's row, while nothing of it is sent. */
  const restOf = (school: string): PushSchoolRow | undefined => {
    const name = `${party}/${standard}/${school}`;
    const row = call.schools.has(name) ? call.schools.get(name) : refused.get(school);
    return row !== undefined && row.untilMs > now ? row : undefined;
  };
  const moving = goOnMoving(unit, party, {
    isTouched: (one) => call.woken.has(endpointName({ party, standard: one })),
    looked: call.moved,
    isUnderWay: (attempt) => isUnderWay(unit, attempt, call),
  });
  const ready: Readonly<AttemptRow>[] = [];
  let underWay = 0;
  let repeats = 0;
  let next = NEVER;
  let leasesMs = NEVER;
  for (const attempt of standing) {
    for (const key of keysOf(attempt)) busy.add(laneName(laneOf(attempt, key)));
    if (isUnderWay(unit, attempt, call)) {
      underWay += 1;
      if (attempt.failures > 0) repeats += 1;
      leasesMs = Math.min(leasesMs, Math.max(now + AGAIN_WAIT_MS, Math.min(attempt.leaseMs, now + leaseMs)));
    } else if (moving.services.has(attempt.service)) continue;
    else if (attempt.started || isPast(attempt, now)) ready.push(attempt);
    else next = Math.min(next, attempt.leaseMs);
  }
  next = Math.min(next, leasesMs);
  // Nothing is sent there: what a sender that died had does not stay with it.
  if (endpoint.gone)
    for (const attempt of ready) {
      const left = attempt.stopped?.length ? stopKeys(unit, attempt, UNKNOWN, call) : attempt;
      if (left.started && left.members.length > 0) unit.put(attempts, { ...left, started: 0, leaseMs: now });
    }
  const own = Math.max(OWN_PLACES - underWay, call.left - KEPT_FREE, 0);
  let room = Math.min(own, roomOf(endpoint, underWay, now));
  const started: Started[] = [];
  const take = (attempt: AttemptRow, rows: Started['rows']): void => {
    unit.put(attempts, attempt);
    // One that goes on by another standard may have no row yet.
    if (hasSetId(attempt) && (attempt.number === 1 || !unit.get(sets, party, attempt.attemptId)))
      noteSet(unit, attempt);
    started.push({ attempt, url, isTrial: endpoint.rests > 0, rows });
    next = Math.min(next, attempt.leaseMs);
  };
  const mark = { owner: call.owner, started: 1, leaseMs: now + leaseMs, startedMs: now };

  // What was sent before is sent again as it was, less what nobody may have any more.
  together(ready, (given) => {
    if (room === 0 || call.left === 0) return;
    // Its sender died, and whether it was taken nobody knows.
    const attempt = given.stopped?.length ? stopKeys(unit, given, UNKNOWN, call) : given;
    if (attempt.members.length === 0) return;
    const rows = deliverables(unit, attempt, attempt.members);
    const kept = new Set(rows.map(({ member }) => member.number));
    became(
      unit,
      party,
      attempt.members.filter(({ number }) => !kept.has(number)),
      'gone',
    );
    if (rows.length === 0) {
      dissolve(unit, attempt, call);
      return;
    }
    const keysLeft = new Set(rows.map(({ member }) => member.key));
    free(
      unit,
      attempt,
      [...keysOf(attempt)].filter((key) => !keysLeft.has(key)),
      call,
    );
    room -= 1;
    call.left -= 1;
    take({ ...attempt, ...mark, number: attempt.number + 1, members: rows.map(({ member }) => member) }, rows);
  });

  const open = new Map<string, Batch>();
  const batches: Batch[] = [];
  const holding = new Map<string, Batch>();
  let isBlocked = false;
  const begin = (service: number, school: string, failures = 0, sinceMs = 0): Batch | undefined => {
    if (room === 0 || call.left === 0) {
      isBlocked = true;
      return undefined;
    }
    room -= 1;
    call.left -= 1;
    const attemptId = call.ids[call.used++]!;
    const batch: Batch = { attemptId, service, school, failures, sinceMs, rows: [], bytes: 0 };
    batches.push(batch);
    return batch;
  };
  const batchFor = (service: number, school: string, body: Readonly<BodyRow>): Batch | undefined => {
    // Of a school that is closed this is told, and nothing else: it goes by itself.
    const name = `${service}/${school}${body.type === 'LearnerForgotten' ? '/word' : ''}`;
    const known = open.get(name);
    if (known !== undefined && hasSpace(known, body)) return known;
    const made = begin(service, school);
    if (made !== undefined) open.set(name, made);
    return made;
  };
  const replay = openReplay(unit, endpoint);
  const add = (batch: Batch, member: Member, body: Readonly<BodyRow>): void => {
    if (replay && !member.job)
      overtaken(unit, replay, { service: batch.service, school: body.school, key: body.key }, member.number);
    batch.rows.push({ member, body });
    batch.bytes += body.data.length;
  };

  // Keys of which something was set aside.
  // What this call woke is not in the list yet.
  let again = [...call.touched].some((name) => name.startsWith(`${party}/${standard}/`)) || moving.nextMs <= now;
  next = Math.min(next, moving.nextMs);
  const limit = KEYS_LOOKED_AT + room * KEYS_A_PLACE;
  const keys = unit.list(pushKeys, { index: 'by_due', equals: [party, standard], limit });
  let ahead = keys.length < limit || keys.at(-1)!.dueMs > now ? 0 : endpoint.ahead;
  const isExact = ahead === 0;
  const due = keys.filter(({ dueMs }) => dueMs <= now);
  next = Math.min(next, keys[due.length]?.dueMs ?? NEVER);
  together(due, (row) => {
    if (isExact) ahead += 1;
    const name = laneName(row);
    if (call.touched.has(name) || busy.has(name) || moving.services.has(row.service)) return;
    const rest = restOf(row.school);
    if (rest !== undefined) {
      countAnew(unit, row);
      unit.put(pushKeys, refusedKey(laneOf(row, row.key), row.rows, rest, row));
      next = Math.min(next, rest.untilMs);
      ahead -= 1;
      return;
    }
    const known = row.failures > 0 ? undefined : open.get(`${row.service}/${row.school}`);
    if ((known === undefined || known.rows.length >= MOST_ROWS) && (room === 0 || call.left === 0)) {
      isBlocked = true;
      return;
    }
    const waiting = unit.list(setAside, {
      equals: [party, standard, row.service, row.school, row.key],
      limit: MOST_ROWS,
    });
    const rows = deliverables(unit, row, waiting);
    const kept = new Set(rows.map(({ member }) => member.first));
    const gone = waiting.filter(({ first }) => !kept.has(first));
    let taking = rows;
    let batch: Batch | undefined;
    if (rows.length > 0 && row.failures > 0) {
      const spent = repeats < MOST_REPEATS ? spend(endpoint, now) : { atMs: now + AGAIN_WAIT_MS };
      if ('atMs' in spent) {
        // Later, so that it does not stand before others that are due.
        unit.put(pushKeys, { ...row, dueMs: spent.atMs });
        next = Math.min(next, spent.atMs);
        return;
      }
      batch = begin(row.service, row.school, row.failures, row.sinceMs);
      if (batch === undefined) return;
      endpoint = spent.row;
      repeats += 1;
      taking = rows.slice(0, 1);
    } else if (rows.length > 0) {
      batch = batchFor(row.service, row.school, rows[0]!.body);
      if (batch === undefined) return;
      const { length } = batch.rows;
      // What arrived first of a key goes first, however little space is left.
      for (const { member, body } of rows) {
        if (!hasSpace(batch, body) && batch.rows.length > length) break;
        add(batch, member, body);
      }
      taking = rows.slice(0, batch.rows.length - length);
    }
    if (row.failures > 0) for (const { member, body } of taking) add(batch!, member, body);
    became(unit, party, gone, 'gone');
    // What was let go took no place: there may be more of it behind this page.
    if (gone.length > 0 && keys.length === limit) again = true;
    const left = row.rows - gone.length - taking.length;
    for (const { first } of [...gone, ...taking.map(({ member }) => member)])
      unit.remove(setAside, party, standard, row.service, row.school, row.key, first);
    if (left <= 0) unit.remove(pushKeys, party, standard, row.service, row.school, row.key);
    else if (batch === undefined) again = true;
    if (left > 0) {
      const out = new Set([...gone, ...taking.map(({ member }) => member)].map(({ first }) => first));
      const next = waiting.find(({ first }) => !out.has(first))?.first ?? (waiting.at(-1)?.first ?? 0) + 1;
      const tried = (row.tried || 0) < next ? 0 : row.tried;
      unit.put(pushKeys, { ...row, rows: left, dueMs: batch === undefined ? now : NEVER, tried });
    }
    if (batch !== undefined) holding.set(name, batch);
    if (batch !== undefined || left <= 0) ahead -= 1;
  });

  // Mail that was not looked at before, oldest mailbox first; as long as what was set aside is not too much already.
  if (ahead < MOST_AHEAD && (room > 0 || open.size > 0))
    for (const { service, after, begin, page, isWhole } of unread(
      unit,
      party,
      standard,
      (room + 1) * MOST_ROWS,
      moving,
    )) {
      let through = after;
      together(page, (row) => {
        const body = unit.get(bodies, row.flowId, row.eventId);
        if (row.first > begin && body !== undefined && !isForgotten(unit, body)) {
          const lane = { party, standard, service, school: body.school, key: body.key };
          const name = laneName(lane);
          const parked = standsBehind(unit, row, body);
          const { first, number, flowId, eventId, atMs } = row;
          const member: Member = { key: body.key, first, number, flowId, eventId, atMs };
          const holds = holding.get(name);
          if (parked !== undefined) park(unit, row, body, parked.code);
          else if (busy.has(name) || keyRow(unit, lane) !== undefined) aside(unit, lane, member);
          else if (holds !== undefined && (holds.failures > 0 || !hasSpace(holds, body))) aside(unit, lane, member);
          else if (!hasEnded(unit, lane, member)) {
            const rest = restOf(body.school);
            if (rest !== undefined) {
              unit.put(setAside, { ...lane, ...member });
              unit.put(pushKeys, refusedKey(lane, 1, rest, undefined));
              next = Math.min(next, rest.untilMs);
              through = row.number;
              return;
            }
            const batch = holds ?? batchFor(service, body.school, body);
            if (batch === undefined) {
              aside(unit, lane, member, now - (now % TOGETHER_MS));
              ahead += 1;
            } else {
              add(batch, member, body);
              holding.set(name, batch);
            }
          }
        }
        through = row.number;
      });
      if (through > after) unit.put(pushCursors, { party, standard, service, after: through, begin });
      if (!isWhole && through === page.at(-1)!.number) again = true;
    }

  for (const { rows, bytes: _, ...batch } of batches)
    take({ party, standard, ...batch, ...mark, number: 1, unsent: 0, members: rows.map(({ member }) => member) }, rows);

  const paced = pace(endpoint, started.length, now);
  endpoint = paced.row;
  if (room === 0) next = Math.min(next, paced.nextMs ?? NEVER);
  const rests = endpoint.restUntilMs > now && room === 0 && underWay === 0;
  const full = room > 0 ? 0 : underWay + started.length >= widthOf(endpoint) ? FILLED : 1;
  // What it has in hand ends, or its lease does, and what moves goes on.
  if (endpoint.gone) next = Math.min(leasesMs, moving.nextMs);
  else if (rests) next = Math.min(endpoint.restUntilMs, now + 3_600_000);
  else if (again && room > 0) next = now;
  // Stopped by what the sender can take, not by the endpoint: the next call goes on.
  else if (isBlocked && room > 0) next = now;
  unit.put(endpoints, { ...endpoint, ahead: Math.max(0, ahead), full, dueMs: next });
  return started;
}

/** Whether an attempt is with its sender. */
function isUnderWay(unit: Writer, attempt: Readonly<AttemptRow>, call: Call): boolean {
  if (!attempt.started) return false;
  if (call.isHeld(attempt.attemptId)) return true;
  if (call.isAlone && attempt.owner !== call.owner) return false;
  // The clock went back: nobody has a lease for longer than it lasts.
  const leaseMs = leaseMsOf(attempt.standard);
  if (attempt.leaseMs > unit.now + leaseMs) {
    unit.put(attempts, { ...attempt, leaseMs: unit.now + leaseMs });
    return true;
  }
  return attempt.leaseMs > unit.now;
}

const isPast = ({ leaseMs, standard }: AttemptRow, now: number): boolean =>
  leaseMs <= now || leaseMs > now + leaseMsOf(standard);

/** A row of mail with its event, as long as it lies in the mailbox and its learner is not forgotten. */
function deliverable(
  unit: Pick<Writer, 'get'>,
  { party, service }: Pick<Lane, 'party' | 'service'>,
  { key, first, number, flowId, eventId, atMs, job, before }: Member,
): Started['rows'][number] | undefined {
  if (!isOn(unit, party, { job }) || unit.get(mail, party, service, number) === undefined) return undefined;
  const body = unit.get(bodies, flowId, eventId);
  if (body === undefined || isForgotten(unit, body)) return undefined;
  const more = { ...(job ? { job } : {}), ...(before ? { before } : {}) };
  return { member: { key, first, number, flowId, eventId, atMs, ...more }, body };
}

const deliverables = (
  unit: Pick<Writer, 'get'>,
  of: Pick<Lane, 'party' | 'service'>,
  members: readonly Member[],
): Started['rows'] => allOf(members, (member) => deliverable(unit, of, member)).filter((row) => row !== undefined);

/** Nothing of it can be sent any more. */
function dissolve(unit: Writer, attempt: Readonly<AttemptRow>, call: Call): void {
  unit.remove(attempts, attempt.party, attempt.standard, attempt.attemptId);
  free(unit, attempt, keysOf(attempt), call);
}

/** What waits behind these keys of an attempt waits for it no longer. */
function free(unit: Writer, attempt: Readonly<AttemptRow>, keys: Iterable<string>, call: Call): void {
  for (const key of keys) {
    const row = keyRow(unit, laneOf(attempt, key));
    if (row === undefined || row.parked) continue;
    call.touched.add(laneName(row));
    unit.put(pushKeys, { ...row, dueMs: unit.now });
  }
}

/** Whether a row that left the mailbox for another reader, and came back, was delivered or dropped before. */
const hasEnded = (unit: Pick<Writer, 'get'>, { party, service }: Lane, member: Member): boolean =>
  member.number !== member.first && endOf(unit, party, service, member) !== undefined;

function aside(unit: Writer, lane: Lane, member: Member, dueMs = NEVER): void {
  const row = keyRow(unit, lane) ?? {
    ...lane,
    rows: 0,
    parked: 0,
    failures: 0,
    sinceMs: 0,
    status: 0,
    code: '',
    cause: '',
    dueMs,
  };
  unit.put(setAside, { ...lane, ...member });
  unit.put(pushKeys, { ...row, rows: row.rows + 1 });
}

interface Unread {
  service: number;
  after: number;
  /** What first arrived up to here is passed over. */
  begin: number;
  page: readonly Readonly<MailRow>[];
  isWhole: boolean;
}

/** Mail that the endpoint has not taken over, a page of each mailbox; the one that waits longest first. */
function unread(unit: Writer, party: string, standard: string, most: number, moving: Moving): Unread[] {
  const limit = Math.min(LOOKED_AT, most);
  const found: Unread[] = [];
  for (const head of unit.list(heads, { equals: [party] })) {
    const { service } = head;
    if (moving.services.has(service) || standardFor(unit, party, service) !== standard) continue;
    const cursor = unit.get(pushCursors, party, standard, service);
    const after = cursor?.after ?? head.first - 1;
    if (head.number <= after) continue;
    const page = unit.list(mail, { equals: [party, service], after: [after], limit });
    // What was here is parked, and comes back under other numbers.
    if (page.length === 0) unit.put(pushCursors, { party, standard, service, ...cursor, after: head.number });
    else found.push({ service, after, begin: cursor?.begin || 0, page, isWhole: page.length < limit });
  }
  return found.sort((a, b) => a.page[0]!.atMs - b.page[0]!.atMs);
}

// ---- what operators do and see

/** Which keys; empty = any. */
export interface Selection {
  party: string;
  school: string;
  key: string;
  /** Fault that it failed with; absent or empty = any. */
  code?: string | undefined;
  /** Failing since this moment or later, and since before, Unix milliseconds; absent or 0 = whenever. */
  fromMs?: number | undefined;
  untilMs?: number | undefined;
  /** Mailbox; absent or 0 = any. */
  service?: number | undefined;
  /** Id of a thing that a message which waits is about; absent or empty = any. What waits with it goes with it. */
  about?: string | undefined;
  /** It is the party itself that chooses: what an operator stopped is not meant. Absent = an operator. */
  byParty?: boolean | undefined;
}

/** Whether it is chosen by what is wrong with it. */
const isNarrow = ({ code = '', fromMs = 0, untilMs = 0 }: Selection): boolean =>
  code !== '' || fromMs > 0 || untilMs > 0;

/** Whether all that fails at an endpoint is chosen, or all of a school. */
const isOfAll = (which: Selection): boolean => which.key === '' && !which.about && !which.service && !isNarrow(which);

/** Whether one key of an attempt is chosen. */
const isKeyMeant = (
  unit: Pick<Writer, 'get'>,
  { key, about }: Selection,
  attempt: Readonly<AttemptRow>,
  one: string,
): boolean =>
  (key === '' || one === key) &&
  (!about ||
    hasAbout(
      unit,
      about,
      attempt.members.filter((member) => member.key === one),
    ));

/** An attempt of which these keys are repeated again. */
function withoutStops(attempt: Readonly<AttemptRow>, goesOn: (key: string) => boolean): AttemptRow {
  const left = (keys: readonly string[] = []): string[] | undefined => {
    const kept = keys.filter((key) => !goesOn(key));
    return kept.length === 0 ? undefined : kept;
  };
  return { ...attempt, stopped: left(attempt.stopped), held: left(attempt.held) };
}

/** Whether what failed so, and since then, is meant. What was taken up again fails since no moment. */
export const meant = (
  { code = '', fromMs = 0, untilMs = 0 }: Pick<Selection, 'code' | 'fromMs' | 'untilMs'>,
  row: { code: string; sinceMs: number },
): boolean =>
  (code === '' || row.code === code) &&
  row.sinceMs >= fromMs &&
  (untilMs === 0 || (row.sinceMs > 0 && row.sinceMs < untilMs));

/** Whether it is sent again by itself; with a school that is refused none has failed. */
const isRepeated = ({ parked, failures, code }: Readonly<PushKeyRow>): boolean =>
  !parked && (failures > 0 || code === '');

/** Keys that one call changes. */
const RESOLVED_AT_ONCE = 1000;

/** Keys that fail and are chosen: also by what is about a thing among what waits of them. */
export function chosen(reader: Pick<Writer, 'get' | 'list'>, which: Selection): readonly Readonly<PushKeyRow>[] {
  const rows = failing(reader, which);
  const { about } = which;
  if (!about) return rows;
  return allOf(rows, (row) => {
    const { party, standard, service, school, key } = row;
    const waiting = reader.list(setAside, { equals: [party, standard, service, school, key] });
    return hasAbout(reader, about, waiting) ? [row] : [];
  }).flat();
}

const hasAbout = (reader: Pick<Writer, 'get'>, about: string, rows: readonly Readonly<Member>[]): boolean =>
  allOf(rows, ({ flowId, eventId }) => reader.get(bodies, flowId, eventId)).some(
    (body) => body !== undefined && idsOf(body).has(about),
  );

/**
 * Takes keys that parked, or wait for another attempt, up again, or drops what waits of them, or stops their repeats, or releases
 * what a party held; of one call so many keys. An attempt under way is not touched, but for what follows it.
 */
export function resolve(
  unit: Writer,
  which: Selection,
  action: string,
  most = RESOLVED_AT_ONCE,
): { keys: number; rows: number } {
  if (action === 'stop') return stopRepeats(unit, which, most);
  const takesUp = action === 'retry' || action === 'release';
  let keys = 0;
  let rows = 0;
  const parties = new Set<string>();
  for (const row of chosen(unit, which)) {
    if (keys === most) break;
    // It is being tried again.
    if (action === 'retry' && row.code === '') continue;
    if (action === 'retry' && which.byParty && row.parked >= STOPPED) continue;
    if (action === 'release' && row.parked !== HELD) continue;
    // Nobody was shown it, and it goes by itself.
    if (action === 'drop' && isNarrow(which) && isRepeated(row)) continue;
    const { party, standard, service, school, key } = row;
    parties.add(party);
    keys += 1;
    rows += row.rows;
    unit.remove(pushSchools, party, standard, school);
    if (takesUp) {
      countAnew(unit, row);
      unit.put(pushKeys, {
        ...row,
        parked: 0,
        failures: 0,
        sinceMs: 0,
        status: 0,
        code: '',
        cause: '',
        dueMs: unit.now,
      });
      continue;
    }
    for (const [i, one] of unit.list(setAside, { equals: [party, standard, service, school, key] }).entries()) {
      const times = (one.before || 0) + (i === 0 ? row.failures : 0);
      if (one.job) became(unit, party, [one], 'refused');
      else ended(unit, row, one, 'dropped', { attempts: times, status: row.status });
      unit.remove(setAside, party, standard, service, school, key, one.first);
    }
    unit.remove(pushKeys, party, standard, service, school, key);
  }
  // Who says that an endpoint is well again need not wait for the end of its rest. An operator's is asked until none are left: one that
  // was woken is not counted again.
  if (action === 'retry' && keys < most)
    for (const { attempt, keys: of } of failingAttempts(unit, which)) {
      const rests = (unit.get(endpoints, attempt.party, attempt.standard)?.restUntilMs ?? 0) > unit.now;
      if (of.length === 0 || (!which.byParty && !rests)) continue;
      parties.add(attempt.party);
      keys += of.length;
      rows += attempt.members.filter(({ key }) => of.includes(key)).length;
    }
  if (action === 'release' || (action === 'retry' && !which.byParty))
    for (const attempt of unit.list(attempts, { equals: which.party === '' ? [] : [which.party] })) {
      const of = (action === 'release' ? attempt.held : attempt.stopped) ?? [];
      if (of.length === 0 || !isMeant(unit, which, attempt)) continue;
      const goOn = new Set(of.filter((key) => isKeyMeant(unit, which, attempt, key)));
      if (action === 'release') keys += goOn.size;
      unit.put(
        attempts,
        withoutStops(attempt, (key) => goOn.has(key)),
      );
    }
  if (takesUp)
    for (const endpoint of unit.list(endpoints, { equals: which.party === '' ? [] : [which.party] }))
      if (
        endpoint.url !== '' &&
        (parties.has(endpoint.party) || (action === 'retry' && isOfAll(which) && endpoint.gone))
      )
        unit.put(endpoints, { ...endpoint, gone: 0, restUntilMs: 0, full: 0, dueMs: unit.now });
  return { keys, rows };
}

/**
 * Nothing of these keys is sent again before an operator says so: neither what waits for another attempt, nor what is under way
 * now, if it fails. It stays so, whatever becomes of the endpoint, of this process and of the party's registration.
 */
function stopRepeats(unit: Writer, which: Selection, most: number): { keys: number; rows: number } {
  const { party, byParty = false } = which;
  const stopped = new Set<string>();
  let rows = 0;
  // Before what waits: of a key that is stopped nothing is under way without its mark.
  for (const attempt of unit.list(attempts, { equals: party === '' ? [] : [party] })) {
    if (stopped.size >= most) break;
    if (!isMeant(unit, which, attempt)) continue;
    // What an operator stops is the operator's, also where its party held it.
    const done = attempt.stopped?.filter((one) => byParty || !attempt.held?.includes(one)) ?? [];
    // A first attempt that is under way repeats nothing yet, but would.
    const of = [...keysOf(attempt)].filter((one) => !done.includes(one) && isKeyMeant(unit, which, attempt, one));
    if (of.length === 0) continue;
    for (const one of of) stopped.add(laneName(laneOf(attempt, one)));
    rows += attempt.members.filter((member) => of.includes(member.key)).length;
    const rest = withoutStops(attempt, (one) => of.includes(one));
    const marked: AttemptRow = {
      ...rest,
      stopped: [...(rest.stopped ?? []), ...of],
      held: byParty ? [...(rest.held ?? []), ...of] : rest.held,
    };
    if (attempt.started) unit.put(attempts, marked);
    else stopKeys(unit, marked, lastOf(unit, attempt));
  }
  for (const known of chosen(unit, which)) {
    const isOpen = known.parked === 0 || (known.parked === HELD && !byParty);
    if (!isOpen || (stopped.size >= most && !stopped.has(laneName(known)))) continue;
    stopped.add(laneName(known));
    rows += known.rows;
    const row = keyRow(unit, known)!;
    // It was stopped with its attempt.
    if (row.parked !== known.parked) continue;
    const why: Partial<PushKeyRow> = row.code === '' ? { ...lastOf(unit, row), sinceMs: row.sinceMs || unit.now } : {};
    unit.put(pushKeys, { ...row, ...why, parked: byParty ? HELD : STOPPED, dueMs: NEVER });
  }
  return { keys: stopped.size, rows };
}

/** Why an endpoint took nothing last. */
function lastOf(unit: Pick<Writer, 'get'>, of: Pick<EndpointRow, 'party' | 'standard'>): Why {
  const { status = 0, cause = '' } = unit.get(endpoints, of.party, of.standard) ?? {};
  return { status, code: status === 0 && cause === 'timeout' ? 'peer.unknown_outcome' : 'peer.unavailable', cause: '' };
}

/** What waits as a whole to be sent again and is chosen: keys of it that nobody stopped. */
export const failingAttempts = (
  reader: Pick<Writer, 'get' | 'list'>,
  which: Selection,
): { attempt: Readonly<AttemptRow>; keys: string[]; why: Why }[] =>
  reader
    .list(attempts, { equals: which.party === '' ? [] : [which.party] })
    .filter((attempt) => !attempt.started && sentTimes(attempt) > 0 && isMeant(reader, which, attempt))
    .map((attempt) => ({
      attempt,
      keys: [...keysOf(attempt)].filter(
        (key) => !attempt.stopped?.includes(key) && isKeyMeant(reader, which, attempt, key),
      ),
      why: lastOf(reader, attempt),
    }));

/** Whether what is under way, or waits as a whole to be sent again, is of a selection: of a first attempt nothing is wrong yet. */
function isMeant(unit: Pick<Writer, 'get'>, which: Selection, attempt: Readonly<AttemptRow>): boolean {
  if (which.school !== '' && attempt.school !== which.school) return false;
  if (which.service && attempt.service !== which.service) return false;
  if (!isNarrow(which)) return true;
  if (sentTimes(attempt) <= (attempt.started ? 1 : 0)) return false;
  return meant(which, { code: lastOf(unit, attempt).code, sinceMs: attempt.sinceMs || attempt.startedMs });
}

/** Keys at endpoints of which something failed and was not taken since; those that are taken up again, and wait for their turn, among them. */
export const failing = (reader: Pick<Writer, 'list'>, which: Selection): Readonly<PushKeyRow>[] =>
  reader
    .list(pushKeys, { equals: which.party === '' ? [] : [which.party] })
    .filter(
      (row) =>
        (row.code !== '' || (row.tried || 0) > 0) &&
        (which.school === '' || row.school === which.school) &&
        (which.key === '' || row.key === which.key) &&
        (!which.service || row.service === which.service) &&
        meant(which, row),
    );

/** When the oldest mail arrived that an endpoint should have and that is not parked, Unix milliseconds; 0 = there is none. */
export function oldestOf(reader: Pick<Writer, 'get' | 'list'>, { party, standard }: EndpointRow): number {
  let oldest = NEVER;
  for (const head of reader.list(heads, { equals: [party] })) {
    if (standardFor(reader, party, head.service) !== standard) continue;
    const after = takenOver(reader, party, standard, head.service) ?? head.first - 1;
    const [row] =
      head.number <= after ? [] : reader.list(mail, { equals: [party, head.service], after: [after], limit: 1 });
    oldest = Math.min(oldest, row?.atMs ?? NEVER);
  }
  for (const { members } of reader.list(attempts, { equals: [party, standard] }))
    for (const { atMs } of members) oldest = Math.min(oldest, atMs);
  for (const { parked, service, school, key } of reader.list(pushKeys, { equals: [party, standard] })) {
    if (parked) continue;
    const [first] = reader.list(setAside, { equals: [party, standard, service, school, key], limit: 1 });
    oldest = Math.min(oldest, first?.atMs ?? NEVER);
  }
  return oldest === NEVER ? 0 : oldest;
}

/** How one delivery stands at its endpoint. */
export interface Standing {
  standard: string;
  /** `delivered`, `untold`, `dropped`, `sending`, `waiting`, `failing` or `parked`. */
  state: string;
  attempts: number;
  status: number;
  code: string;
  cause: string;
  nextMs: number;
  atMs: number;
  losses: readonly LossCell[];
}

type Told = Pick<BodyRow, 'flowId' | 'eventId' | 'school' | 'key' | 'timeMs'>;

/** Undefined = the party has no endpoint for it. `first`: the row's number at first arrival. */
export function standingOf(
  reader: Pick<Writer, 'get' | 'list'>,
  at: { party: string; service: number; first: number },
  body: Told,
): Standing | undefined {
  const own = standardFor(reader, at.party, at.service);
  if (own === undefined) return undefined;
  // What ended by another standard before stays with that; what moves may still wait there.
  for (const standard of [own, ...standardsOf(at.service).filter((one) => one !== own)]) {
    const found = standingBy(reader, standard, at, body);
    if (found) return found;
  }
  const endpoint = reader.get(endpoints, at.party, own)!;
  // Of before it began: it lies there for who watches it.
  if (endpoint.url === '' || at.first <= beginOf(reader, at.party, own, at.service)) return undefined;
  const nothing = { ...NOTHING, standard: own, atMs: body.timeMs };
  return endpoint.gone
    ? { ...nothing, state: 'failing', status: endpoint.status, code: 'peer.refused' }
    : { ...nothing, state: 'waiting' };
}

const NOTHING = { attempts: 0, status: 0, code: '', cause: '', nextMs: 0, losses: [] } as const;

/** What one standard has of a delivery: how it ended, or where it waits. */
function standingBy(
  reader: Pick<Writer, 'get' | 'list'>,
  standard: string,
  { party, service, first }: { party: string; service: number; first: number },
  { flowId, eventId, school, key, timeMs }: Told,
): Standing | undefined {
  const endpoint = reader.get(endpoints, party, standard);
  if (endpoint === undefined) return undefined;
  const end = reader.get(outcomes, flowId, eventId, party, standard);
  if (end !== undefined) return { ...end, code: '', cause: '', nextMs: 0, losses: end.losses ?? [] };
  const lane = keyRow(reader, { party, standard, service, school, key });
  const waits = lane && reader.get(setAside, party, standard, service, school, key, first);
  if (lane !== undefined && waits !== undefined)
    return {
      standard,
      state: lane.parked ? 'parked' : lane.code === '' ? 'waiting' : 'failing',
      // Of its key only the first one is tried.
      attempts: (waits.before || 0) + (firstOf(reader, lane)?.first === first ? lane.failures : 0),
      status: lane.status,
      code: lane.code,
      cause: lane.cause || '',
      nextMs: lane.dueMs === NEVER ? 0 : lane.dueMs,
      atMs: lane.sinceMs || timeMs,
      losses: [],
    };
  for (const attempt of reader.list(attempts, { equals: [party, standard] })) {
    const member = attempt.members.find((one) => one.eventId === eventId);
    if (member)
      return {
        ...NOTHING,
        standard,
        atMs: timeMs,
        ...(attempt.started
          ? { state: 'sending' }
          : endpoint.url === ''
            ? // Nothing is wrong with it: its party has it sent nowhere.
              { state: 'waiting' }
            : {
                state: 'failing',
                status: endpoint.status,
                code: endpoint.gone ? 'peer.refused' : 'peer.unavailable',
                nextMs: endpoint.gone ? 0 : endpoint.restUntilMs,
              }),
        attempts: allTimes(attempt, member),
      };
  }
  return undefined;
}

/** Removes what was set aside longer ago than mail is kept, a chunk of it. Answers how many rows. */
export function cleanAside(unit: Writer, party: string, service: number): number {
  const before = unit.now - KEPT_MS;
  let removed = 0;
  for (const standard of standardsOf(service)) {
    for (const row of unit.list(pushKeys, { equals: [party, standard, service], limit: LOOKED_AT })) {
      const { school, key } = row;
      const old = unit
        .list(setAside, { equals: [party, standard, service, school, key], limit: LOOKED_AT })
        .filter(({ atMs }) => atMs <= before);
      if (old.length === 0) continue;
      for (const { first } of old) unit.remove(setAside, party, standard, service, school, key, first);
      became(unit, party, old, 'gone');
      removed += old.length;
      if (old.length < row.rows) unit.put(pushKeys, { ...row, rows: row.rows - old.length });
      else unit.remove(pushKeys, party, standard, service, school, key);
    }
    for (const { school, untilMs } of unit.list(pushSchools, { equals: [party, standard], limit: LOOKED_AT }))
      if (untilMs <= before) unit.remove(pushSchools, party, standard, school);
  }
  return removed;
}

/** Schools of which an endpoint takes nothing, with how much waits of each. */
export const refusedSchools = (
  reader: Pick<Writer, 'list'>,
  { party, school }: Pick<Selection, 'party' | 'school'>,
): { row: Readonly<PushSchoolRow>; rows: number; service: number }[] =>
  reader
    .list(pushSchools, { equals: party === '' ? [] : [party] })
    .filter((row) => school === '' || row.school === school)
    .map((row) => {
      const keys = reader
        .list(pushKeys, { equals: [row.party, row.standard] })
        .filter((key) => key.school === row.school && !key.parked);
      return {
        row,
        rows: keys.reduce((sum, key) => sum + key.rows, 0),
        service: keys[0]?.service ?? Service.SERVICE_RESULT,
      };
    })
    .filter(({ rows }) => rows > 0);

/** Whether anything is due at any endpoint, and when the next thing is; NEVER = nothing. */
export const nextDue = (reader: Pick<Writer, 'list'>): number =>
  reader.list(endpoints, { index: 'by_due', equals: [], limit: 1 })[0]?.dueMs ?? NEVER;

/** Whether mail of this party also goes to an endpoint. */
export const hasEndpoint = (reader: Pick<Writer, 'get'>, party: string): boolean =>
  STANDARDS.some((standard) => reader.get(endpoints, party, standard) !== undefined);

/** Removes how a delivery ended, with its mail. */
export function forgetOutcome(unit: Writer, party: string, { service, flowId, eventId }: MailRow): void {
  for (const standard of standardsOf(service)) unit.remove(outcomes, flowId, eventId, party, standard);
}
