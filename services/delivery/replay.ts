/**
 * Sending mail of a party again: what a selection comes to, counted first, and then sent at a pace. Functions over rows, a chunk a unit
 * of work, so that a replay of a million messages needs no more memory than one of ten, and goes on after a crash where it was.
 *
 * It decides nothing of the past anew. A row of the mailbox is set aside for its endpoint once more, as it was: same delivery id, same
 * number in its key; whether it may be sent, and what of it, is judged now, here and by the sender. Live mail goes on beside it. A row that would
 * come after later mail of its key is left out unless that was asked for.
 */
import { allOf } from '#bus';
import { dutchMinute, type Fault, type FreezeFact, type Frozen, frozen } from '#kernel';
import type { Service } from '#proto/eduk/core/v1/party';
import type { EventName } from '#proto/events';
import { eventOf, idsOf } from './about.ts';
import { isForgotten, KEPT_MS, type Writer } from './mailbox.ts';
import { boardOf, holdersIn, mayHave } from './mandates.ts';
import { goOnMoving } from './moves.ts';
import { wake } from './push.ts';
import { isAboutDifference, isKind } from './reconciled.ts';
import { type Route, routes } from './routes.ts';
import { endOf, STANDARDS, standardFor, takenOver } from './standards.ts';
import {
  type AttemptRow,
  attempts,
  type BodyRow,
  bodies,
  closedSchools,
  endpoints,
  freezes,
  heads,
  type MailRow,
  type Member,
  mail,
  NEVER,
  noCounts,
  parkedMail,
  pushKeys,
  pushSchools,
  type ReplayRow,
  type ReplaySelection,
  replayKeys,
  replays,
  setAside,
  stoppedParties,
} from './tables.ts';

/** Rows that one unit looks at, and keys that it clears. */
const LOOKED_AT = 400;
/** How often a replay that runs is paced, and how often one is looked at that waits for its last answers. */
const TICK_MS = 100;
const LAST_TICK_MS = 250;
/** How often one is looked at that a freeze holds. */
const FROZEN_TICK_MS = 5_000;
/** A replay that was held up catches up with so much of its pace, and no more: it must not come in a burst. */
const MOST_LATE_MS = 2_000;
/** Messages with the sender at once: enough for the pace, and fewer than what would keep live mail from being looked at. */
const LEAST_WINDOW = 200;
const MOST_WINDOW = 1_500;
/** What was counted holds for so long: afterwards it is counted anew. */
export const COUNTED_MS = 3_600_000;

/** What one row of the mailbox is for a replay. */
type Verdict =
  /** Not meant. */
  | { is: 'other' }
  /** It is on its way, or waits at the endpoint. */
  | { is: 'pending' }
  | { is: 'forbidden'; reason: string }
  /** The receiver said that it took it. */
  | { is: 'had' }
  | { is: 'fresh' };

interface Looked {
  row: Readonly<MailRow>;
  body: Readonly<BodyRow> | undefined;
  standard: string | undefined;
  verdict: Verdict;
  /** The receiver has it, or may. */
  isThere: boolean;
  /** Something of its key is in an attempt. */
  isBusy: boolean;
}

/** What was asked. */
export interface ReplayOrder {
  action: string;
  jobId: string;
  party: string;
  selection: ReplaySelection;
  rate: number;
  mostErrors: number;
  secondAbove: number;
  byPerson: string;
  confirmed: boolean;
  /** It is the party itself that asks; absent or false = an operator. */
  byParty?: boolean | undefined;
}

export type Decided = { state: string } | { code: Fault; told: string };

/** The replay of a party that is not over; undefined = none. */
const openOf = (unit: Pick<Writer, 'get' | 'list'>, party: string): Readonly<ReplayRow> | undefined =>
  unit
    .list(replays, { equals: [party] })
    .map(({ jobId }) => unit.get(replays, party, jobId))
    .find((row) => row !== undefined && !isOver(row));

const over: ReadonlySet<string> = new Set(['done', 'stopped', 'replaced', 'expired']);
export const isOver = ({ state }: Pick<ReplayRow, 'state'>): boolean => over.has(state);

/** Takes an order in: begins to count, begins to send, or stops. The caller sees to the next step where it is not refused. */
export function takeOrder(unit: Writer, order: ReplayOrder): Decided {
  const { party, jobId } = order;
  const job = unit.get(replays, party, jobId);
  if (order.action === 'preview') return job ? { state: job.state } : begin(unit, order);
  if (job === undefined || (order.byParty && !job.byParty))
    return { code: 'state.missing', told: 'No replay has this id.' };
  if (order.action === 'stop') {
    if (isOver(job)) return { code: 'state.conflict', told: `This replay is over: ${job.state}.` };
    return put(unit, { ...job, state: 'stopped', cause: order.byParty ? 'party' : 'operator', endedMs: unit.now });
  }
  return run(unit, job, order);
}

const put = (unit: Writer, row: ReplayRow): Decided => {
  unit.put(replays, row);
  return { state: row.state };
};

function begin(unit: Writer, { party, jobId, selection, byParty = false }: ReplayOrder): Decided {
  if (selection.reconciled && (selection.school === '' || !isKind(selection.reconciled)))
    return { code: 'wire.invalid', told: 'What a reconciliation found is of one school and a kind that is compared.' };
  const open = openOf(unit, party);
  if (open?.state === 'counting' || open?.state === 'running')
    return { code: 'state.conflict', told: 'Another replay of this party is under way: wait for it, or stop it.' };
  if (!STANDARDS.some((standard) => isReached(unit, party, standard)))
    return {
      code: 'state.missing',
      told: 'Nothing is sent to this party: it has no endpoint. Who watches a mailbox reads it again from an older cursor.',
    };
  if (open && byParty && !open.byParty)
    return {
      code: 'state.conflict',
      told: 'An operator of the gateway prepares a replay of your mail: ask them, or wait until that is over.',
    };
  if (open) unit.put(replays, { ...open, state: 'replaced', endedMs: unit.now });
  const all = unit.list(heads, { equals: [party] });
  const bounds = all
    .filter(({ service }) => selection.service === 0 || service === selection.service)
    .map(({ service, number, first }) => ({ service, from: first - 1, through: number }));
  for (const standard of STANDARDS) {
    const endpoint = unit.get(endpoints, party, standard);
    if (endpoint) unit.put(endpoints, { ...endpoint, replay: jobId });
  }
  return put(unit, {
    party,
    jobId,
    state: 'counting',
    cause: '',
    // What happens from now on is live mail.
    selection: { ...selection, untilMs: selection.untilMs || unit.now },
    bounds,
    at: 0,
    after: bounds[0]?.from ?? 0,
    parkedAfter: [],
    looked: 0,
    counts: noCounts,
    forbidden: {},
    rate: 0,
    mostErrors: 0,
    asked: undefined,
    owed: 0,
    pacedMs: 0,
    keptFromMs: oldestOf(unit, party, bounds),
    madeMs: unit.now,
    countedMs: 0,
    startedMs: 0,
    endedMs: 0,
    told: '',
    isClear: 0,
    byParty: byParty ? 1 : 0,
  });
}

/** When the oldest mail arrived that is still there; 0 = there is none. */
function oldestOf(unit: Writer, party: string, bounds: ReplayRow['bounds']): number {
  const firsts = bounds.flatMap(({ service, from }) =>
    unit.list(mail, { equals: [party, service], after: [from], limit: 1 }),
  );
  return firsts.length === 0 ? 0 : Math.min(...firsts.map(({ atMs }) => atMs));
}

/** Messages that a replay sends, as counted. */
export const toSend = ({ counts, selection }: Pick<ReplayRow, 'counts' | 'selection'>): number =>
  counts.fresh + (selection.again ? counts.had : 0) + (selection.outOfOrder ? counts.outOfOrder : 0);

function run(unit: Writer, job: Readonly<ReplayRow>, order: ReplayOrder): Decided {
  if (job.state === 'counting') return { code: 'state.conflict', told: 'It is not counted yet.' };
  if (job.state === 'running') return { state: job.state };
  if (isOver(job)) return { code: 'state.conflict', told: `This replay is over: ${job.state}. Count it anew.` };
  if (unit.now - job.countedMs >= COUNTED_MS)
    return { code: 'state.conflict', told: 'It was counted more than an hour ago. Count it anew.' };
  const held = heldWhole(unit, job);
  if (held) {
    const told = `A freeze holds until ${dutchMinute(held.untilMs)}: nothing is sent again before.`;
    return { code: 'freeze.holds', told };
  }
  const isMuch = order.secondAbove > 0 && toSend(job) > order.secondAbove;
  if (order.byParty && (isMuch || job.state === 'asked'))
    return {
      code: 'hold.operator',
      told: `It is more than ${order.secondAbove} messages: an operator of the gateway begins it. Tell them its replay_id.`,
    };
  if (job.state === 'counted') {
    const asked = { ...job, rate: order.rate, mostErrors: order.mostErrors };
    if (isMuch) return put(unit, { ...asked, state: 'asked', asked: order.byPerson });
    return put(unit, started(asked, unit.now));
  }
  // As it was asked for; whoever asked does not begin it too, and the operator's key is nobody in particular.
  const isSecond = order.byPerson === '' ? order.confirmed : order.byPerson !== job.asked;
  if (!isSecond)
    return {
      code: 'hold.pending',
      told: 'It is so much that a second person begins it: who asked for it does not.',
    };
  return put(unit, started(job, unit.now));
}

/** The freeze of the party, of the only school of the selection, or of all, that stands in the way of the whole replay. */
function heldWhole(
  unit: Pick<Writer, 'list' | 'now'>,
  { party, selection: { school } }: Readonly<ReplayRow>,
): Frozen | undefined {
  const schools = school === '' ? [] : [school];
  return frozen(unit.list(freezes, { equals: [] }), { kind: 'replay', schools, parties: [party], atMs: unit.now });
}

const started = (job: Readonly<ReplayRow>, now: number): ReplayRow => ({
  ...job,
  state: 'running',
  at: 0,
  after: job.bounds[0]?.from ?? 0,
  looked: 0,
  owed: 0,
  pacedMs: now,
  startedMs: now,
});

const isReached = (unit: Pick<Writer, 'get'>, party: string, standard: string): boolean => {
  const row = unit.get(endpoints, party, standard);
  return row !== undefined && row.url !== '' && !row.gone;
};

/** What a step came to: when the next one is, Unix milliseconds; undefined = there is none. `woke`: there is something to send. */
export interface Stepped {
  atMs: number | undefined;
  woke: boolean;
}

/** One step of a replay, in a unit of work of its own. */
export function step(unit: Writer, party: string, jobId: string): Stepped {
  const job = unit.get(replays, party, jobId);
  if (job === undefined) return { atMs: undefined, woke: false };
  if ((job.state === 'counting' || job.state === 'running') && isMoving(unit, party))
    return { atMs: unit.now + TICK_MS, woke: false };
  if (job.state === 'counting') return { atMs: count(unit, job), woke: false };
  if (job.state === 'running') return send(unit, job);
  if (!isOver(job)) {
    const untilMs = job.countedMs + COUNTED_MS;
    if (unit.now < untilMs) return { atMs: untilMs, woke: false };
    unit.put(replays, { ...job, state: 'expired', endedMs: unit.now });
    return { atMs: unit.now, woke: false };
  }
  return { atMs: clear(unit, job), woke: false };
}

/** Whether a mailbox changes its endpoint: what waits of it has no one place then. It goes on here too, where nobody else comes by. */
function isMoving(unit: Writer, party: string): boolean {
  const beside = {
    isTouched: () => false,
    looked: new Set<string>(),
    isUnderWay: ({ started }: AttemptRow) => !!started,
  };
  return goOnMoving(unit, party, beside).services.size > 0;
}

/** What was remembered of keys goes, a chunk of it; then the party's mail is looked at as before. */
function clear(unit: Writer, job: Readonly<ReplayRow>): number | undefined {
  const { party, jobId } = job;
  const rows = unit.list(replayKeys, { equals: [party, jobId], limit: LOOKED_AT });
  for (const { service, school, key } of rows) unit.remove(replayKeys, party, jobId, service, school, key);
  for (const standard of STANDARDS) {
    const endpoint = unit.get(endpoints, party, standard);
    // What of it was set aside is passed over by the next look at it.
    if (endpoint?.replay === jobId) unit.put(endpoints, { ...endpoint, replay: '' });
  }
  if (rows.length === LOOKED_AT) return unit.now;
  unit.put(replays, { ...job, isClear: 1 });
  return undefined;
}

/** Removes what is over for longer than mail is kept. */
export function cleanReplays(unit: Writer, party: string): void {
  for (const row of unit.list(replays, { equals: [party] }))
    if (isOver(row) && row.isClear && row.endedMs <= unit.now - KEPT_MS) unit.remove(replays, party, row.jobId);
}

// ---- counting

function count(unit: Writer, job: Readonly<ReplayRow>): number {
  let next: ReplayRow = { ...job, counts: { ...job.counts }, forbidden: { ...job.forbidden } };
  if (next.at < next.bounds.length) {
    const page = pageOf(unit, job);
    const all = look(unit, next, page.rows);
    keysOf(unit, next, all);
    for (const looked of all) tally(unit, next, looked);
    next = moved(next, page);
  } else if (next.bounds.length > 0) next = countParked(unit, next);
  if (next.at >= 2 * next.bounds.length) next = { ...next, state: 'counted', countedMs: unit.now };
  unit.put(replays, next);
  return next.state === 'counted' ? unit.now + COUNTED_MS : unit.now;
}

function tally(unit: Writer, job: ReplayRow, { row, body, verdict, isThere }: Looked): void {
  const { counts, selection, forbidden, party, jobId } = job;
  if (body === undefined) return;
  const { is } = verdict;
  if (is !== 'other') counts.selected += 1;
  if (is === 'pending') counts.pending += 1;
  if (is === 'forbidden') forbidden[verdict.reason] = (forbidden[verdict.reason] ?? 0) + 1;
  const { service } = row;
  const key = [party, jobId, service, body.school, body.key] as const;
  const known = unit.get(replayKeys, ...key);
  const isSent = is === 'fresh' || (is === 'had' && selection.again);
  if (isSent) {
    const of = known ?? { party, jobId, service, school: body.school, key: body.key, fresh: 0, had: 0, late: 0 };
    // Live mail of its key went out meanwhile.
    if (of.late > row.number) counts.outOfOrder += 1;
    else counts[is] += 1;
    unit.put(replayKeys, of.late > row.number ? of : { ...of, [is]: of[is] + 1 });
    return;
  }
  if (is === 'had') counts.had += 1;
  if (!isThere || known === undefined || known.late > row.number) return;
  // All that is kept about a thing that differs is sent: what the receiver has of the key about other things is no newer state of it.
  if (selection.reconciled && is === 'other') return;
  // The receiver has this one, and it is not sent again: what comes before it in its key would come after it.
  counts.outOfOrder += known.fresh + known.had;
  counts.fresh -= known.fresh;
  counts.had -= known.had;
  unit.put(replayKeys, { ...known, fresh: 0, had: 0, late: row.number });
}

/** What is parked because it may not be sent is out of the mailbox, and goes by itself once it may. */
function countParked(unit: Writer, job: ReplayRow): ReplayRow {
  const { party, bounds, selection, counts, forbidden, at, parkedAfter } = job;
  const { service } = bounds[at - bounds.length]!;
  const rows = unit.list(parkedMail, {
    equals: [party, service],
    ...(parkedAfter.length > 0 ? { after: parkedAfter } : {}),
    limit: LOOKED_AT,
  });
  const meant = allOf(rows, (row) => {
    const body = unit.get(bodies, row.flowId, row.eventId);
    return body !== undefined && isMeant(unit, party, selection, row, body) ? [row] : [];
  }).flat();
  counts.selected += meant.length;
  if (meant.length > 0) forbidden['parked'] = (forbidden['parked'] ?? 0) + meant.length;
  const last = rows.at(-1);
  if (rows.length < LOOKED_AT || last === undefined) return { ...job, at: at + 1, parkedAfter: [] };
  return { ...job, parkedAfter: [last.school, last.key, last.first] };
}

// ---- sending

function send(unit: Writer, given: Readonly<ReplayRow>): Stepped {
  const { party } = given;
  if (!STANDARDS.some((standard) => isReached(unit, party, standard))) {
    unit.put(replays, { ...given, state: 'stopped', cause: 'endpoint', endedMs: unit.now });
    return { atMs: unit.now, woke: false };
  }
  const held = heldWhole(unit, given);
  if (held) {
    unit.put(replays, { ...given, cause: 'freeze', pacedMs: unit.now });
    // It may be ended early.
    return { atMs: Math.min(held.untilMs, unit.now + FROZEN_TICK_MS), woke: false };
  }
  const since = Math.min(Math.max(0, unit.now - given.pacedMs), MOST_LATE_MS);
  const owed = given.owed + (since / 1000) * given.rate;
  let job: ReplayRow = { ...given, cause: '', counts: { ...given.counts }, owed, pacedMs: unit.now };
  let left = Math.min(Math.floor(owed), Math.max(0, windowOf(job) - openOfJob(job)));
  // Held up by the receiver, it goes on at its pace, not faster.
  if (left < Math.floor(owed)) job.owed = left + (owed % 1);
  let woke = false;
  if (left > 0 && job.at < job.bounds.length) {
    const page = pageOf(unit, job);
    let through = job.after;
    let taken = 0;
    const all = look(unit, job, page.rows);
    keysOf(unit, job, all);
    for (const looked of all) {
      if (left === 0) break;
      through = looked.row.number;
      taken += 1;
      if (!release(unit, job, looked)) continue;
      left -= 1;
      job.owed -= 1;
      woke = true;
    }
    const isThrough = taken === page.rows.length;
    job = isThrough ? moved(job, page) : { ...job, after: through, looked: job.looked + taken };
    const services = new Set(job.bounds.map(({ service }) => service));
    if (woke) for (const service of services) wake(unit, party, service);
  } else if (left > 0) job.owed = 0;
  const isOut = job.at >= job.bounds.length;
  if (isOut && job.counts.released === settledOf(job)) {
    // What was counted and not given to the sender, whatever became of it: also what is gone from the mailbox, or waits at the endpoint.
    job.counts.leftOut = toSend(job) - job.counts.released;
    unit.put(replays, { ...job, state: 'done', endedMs: unit.now });
    return { atMs: unit.now, woke };
  }
  unit.put(replays, job);
  // Of a narrow selection most pages hold nothing: those are not waited for.
  const isBehind = !isOut && left > 0;
  return { atMs: unit.now + (isBehind ? 1 : isOut ? LAST_TICK_MS : TICK_MS), woke };
}

/** Messages that it may have with the sender at once, and that it has. */
const windowOf = ({ rate }: Pick<ReplayRow, 'rate'>): number => Math.min(MOST_WINDOW, Math.max(LEAST_WINDOW, rate));
const openOfJob = (job: Readonly<ReplayRow>): number => job.counts.released - settledOf(job);

/** Keys that one look at what waits goes through. */
const PARKED_LOOKED_AT = 5_000;

/**
 * How many messages of a replay stand at keys that are parked, where it can give the sender nothing more and has nothing under way: of what it
 * has there it is a few at most. It goes on when those keys do.
 */
export function parkedOf(reader: Pick<Writer, 'list'>, job: Readonly<ReplayRow>): number {
  const { party, jobId } = job;
  const open = openOfJob(job);
  if (job.state !== 'running' || open === 0 || (job.at < job.bounds.length && open < windowOf(job))) return 0;
  let parked = 0;
  for (const standard of STANDARDS) {
    const of = { index: 'by_due', equals: [party, standard, NEVER], limit: PARKED_LOOKED_AT };
    for (const lane of reader.list(pushKeys, of)) {
      if (!lane.parked) continue;
      const { service, school, key } = lane;
      const rows = reader.list(setAside, { equals: [party, standard, service, school, key], limit: MOST_WINDOW });
      parked += rows.filter((row) => row.job === jobId).length;
      if (parked >= open) return open;
    }
  }
  return parked;
}

/** Sets a row aside for its endpoint, behind nothing but what is under way of its key. */
function release(unit: Writer, job: ReplayRow, { row, body, standard, verdict, isBusy }: Looked): boolean {
  const { party, jobId, selection, counts } = job;
  const { is } = verdict;
  if (body === undefined || standard === undefined) return false;
  const { service } = row;
  const known = unit.get(replayKeys, party, jobId, service, body.school, body.key);
  // Of what was not counted nothing is sent, and never more than was counted.
  const uncounted = toSend(job) - counts.released;
  if (known === undefined || uncounted <= 0) return false;
  const isMeantNow = is === 'fresh' || (is === 'had' && selection.again);
  // Nor anything out of order that was counted as in order.
  const isLate = isMeantNow && known.late >= row.number && !selection.outOfOrder;
  // Maybe it was forbidden when it was counted: how many were left out is known for certain at the end.
  if (isLate || is === 'forbidden') counts.leftOut = Math.min(counts.leftOut + 1, uncounted);
  if (isLate || !isMeantNow) return false;
  const lane = { party, standard, service, school: body.school, key: body.key };
  const { first, number, flowId, eventId } = row;
  // Its age is that of the replay: what is late of live mail is told by that.
  const member: Member = { key: body.key, first, number, flowId, eventId, atMs: unit.now, job: jobId };
  const isNew = unit.get(setAside, party, standard, service, body.school, body.key, first) === undefined;
  unit.put(setAside, { ...lane, ...member });
  const waiting = unit.get(pushKeys, party, standard, service, body.school, body.key);
  if (waiting === undefined)
    unit.put(pushKeys, {
      ...lane,
      rows: 1,
      parked: 0,
      failures: 0,
      sinceMs: 0,
      status: 0,
      code: '',
      cause: '',
      // Whatever comes of that attempt, it wakes its keys.
      dueMs: isBusy ? NEVER : unit.now,
    });
  else if (isNew) unit.put(pushKeys, { ...waiting, rows: waiting.rows + 1 });
  counts.released += 1;
  return true;
}

/** Of what was given to the sender: what is over with. */
export const settledOf = ({ counts: { sent, untold, refused, withheld, gone } }: Pick<ReplayRow, 'counts'>): number =>
  sent + untold + refused + withheld + gone;

// ---- looking

interface Page {
  rows: readonly Readonly<MailRow>[];
  /** Nothing of this mailbox is behind it. */
  isLast: boolean;
}

function pageOf(unit: Writer, { party, bounds, at, after }: ReplayRow): Page {
  const bound = bounds[at];
  if (bound === undefined) return { rows: [], isLast: true };
  const rows = unit.list(mail, { equals: [party, bound.service], after: [after], limit: LOOKED_AT });
  const within = rows.filter(({ number }) => number <= bound.through);
  return { rows: within, isLast: within.length < LOOKED_AT };
}

/** Behind the page: in the same mailbox, or at the beginning of the next. */
function moved(job: ReplayRow, { rows, isLast }: Page): ReplayRow {
  const looked = job.looked + rows.length;
  if (!isLast) return { ...job, looked, after: rows.at(-1)!.number };
  return { ...job, looked, at: job.at + 1, after: job.bounds[job.at + 1]?.from ?? 0 };
}

function look(unit: Writer, job: ReplayRow, rows: readonly Readonly<MailRow>[]): Looked[] {
  const { party, selection } = job;
  const underWay = new Set<string>();
  const busy = new Set<string>();
  for (const standard of STANDARDS)
    for (const { service, school, members } of unit.list(attempts, { equals: [party, standard] }))
      for (const { eventId, key } of members) {
        underWay.add(eventId);
        busy.add(`${standard}/${service}/${school}/${key}`);
      }
  const facts = unit.list(freezes, { equals: [] });
  return allOf(rows, (row) => {
    const body = unit.get(bodies, row.flowId, row.eventId);
    const standard = standardFor(unit, party, row.service);
    if (body === undefined || standard === undefined)
      return { row, body, standard, verdict: { is: 'other' } as const, isThere: false, isBusy: false };
    const end = endOf(unit, party, row.service, row);
    const isMoving = underWay.has(row.eventId);
    const isThere = isMoving || end?.state === 'delivered';
    const verdict: Verdict = isMeant(unit, party, selection, row, body)
      ? judged(unit, job, row, body, standard, { isMoving, end: end?.state, facts })
      : { is: 'other' };
    const isBusy = busy.has(`${standard}/${row.service}/${body.school}/${body.key}`);
    return { row, body, standard, verdict, isThere, isBusy };
  });
}

/** Asks for the rows of all keys of a page together, so that an engine that has to load them does so once. */
const keysOf = (unit: Writer, { party, jobId }: ReplayRow, all: readonly Looked[]): unknown =>
  allOf(all, ({ row, body }) => body && unit.get(replayKeys, party, jobId, row.service, body.school, body.key));

function judged(
  unit: Writer,
  { party, jobId }: ReplayRow,
  row: Readonly<MailRow>,
  body: Readonly<BodyRow>,
  standard: string,
  { isMoving, end, facts }: { isMoving: boolean; end: string | undefined; facts: readonly FreezeFact[] },
): Verdict {
  const { service, number, first } = row;
  const { school, key } = body;
  if (isMoving) return { is: 'pending' };
  const cursor = takenOver(unit, party, standard, service) ?? 0;
  if (number > cursor) return { is: 'pending' };
  const aside = unit.get(setAside, party, standard, service, school, key, first);
  const lane = unit.get(pushKeys, party, standard, service, school, key);
  // What another replay left there is nobody's.
  if (aside !== undefined && (aside.job === undefined || aside.job === jobId)) return { is: 'pending' };
  if (lane !== undefined && (lane.parked || lane.failures > 0)) return { is: 'pending' };
  const reason = whyNot(unit, party, service, standard, body, facts);
  if (reason !== undefined) return { is: 'forbidden', reason };
  return { is: end === 'delivered' ? 'had' : 'fresh' };
}

/** A freeze holds for the party or for the school that it is about. */
const FROZEN = 'frozen';

/** Why the party may not be sent it now; undefined = it may, by what is known here. The sender judges again. */
function whyNot(
  unit: Writer,
  party: string,
  service: number,
  standard: string,
  body: Readonly<BodyRow>,
  facts: readonly FreezeFact[],
): string | undefined {
  if (isForgotten(unit, body)) return 'forgotten';
  if (unit.get(stoppedParties, party)) return 'stopped';
  const closed = unit.get(closedSchools, body.school);
  if (closed && (closed.untilMs === 0 || unit.now < closed.untilMs)) return 'closed';
  const act = { kind: 'replay', schools: [body.school], parties: [party], atMs: unit.now } as const;
  if (frozen(facts, act)) return FROZEN;
  if (service !== 0 && !mayHave(unit, body.school, party, service as Service, unit.now)) return 'mandate.missing';
  const rest = unit.get(pushSchools, party, standard, body.school);
  if (rest !== undefined && rest.untilMs > unit.now) return 'refused';
  if (!isReached(unit, party, standard)) return 'endpoint';
  return isToldNow(unit, party, body) ? undefined : 'route';
}

/** Whether what was told it then would be told it now, by who it is. Who is named by the event itself always is. */
function isToldNow(unit: Writer, party: string, body: Readonly<BodyRow>): boolean {
  const name = body.type as EventName;
  const route = routes[name] as Route<EventName> | undefined;
  if (route === undefined) return false;
  // A school is told of its board by what the board is now, and what was forgotten by who had it then.
  if (route.mailbox === 'mandates')
    return party === body.school || party === boardOf(unit, body.school) || isNamed(unit, body, party, route);
  return isNamed(unit, body, party, route);
}

const isNamed = (unit: Writer, body: Readonly<BodyRow>, party: string, route: Route<EventName>): boolean =>
  route.receivers(eventOf(body) as never, holdersIn(unit)).includes(party);

/** Whether a row is of what was selected. */
export function isMeant(
  unit: Pick<Writer, 'get'>,
  party: string,
  { school, key, about, flowId, types, fromMs, untilMs, reconciled }: ReplaySelection,
  row: Pick<MailRow, 'flowId'>,
  body: Readonly<BodyRow>,
): boolean {
  return (
    (flowId === '' || row.flowId === flowId) &&
    (school === '' || body.school === school) &&
    (key === '' || body.key === key) &&
    (types.length === 0 || types.includes(body.type)) &&
    body.timeMs >= fromMs &&
    (untilMs === 0 || body.timeMs < untilMs) &&
    (about === '' || idsOf(body).has(about)) &&
    (!reconciled || isAboutDifference(unit, party, reconciled, body, eventOf(body)))
  );
}
