/**
 * A mailbox changes its endpoint: its party names another standard for it, or takes one away, so that the next takes it. What the
 * one of before took over goes along, and the other begins where that one stood: nothing is lost, nothing comes twice, and of a key nothing
 * overtakes. Nothing of the mailbox is begun meanwhile; what is under way ends first, or its lease does. Functions over rows,
 * in the transactions in which attempts are started, a chunk each.
 */
import type { Writer } from './mailbox.ts';
import { isSent, MAILBOXES, standardFor } from './standards.ts';
import {
  type AttemptRow,
  attempts,
  endpoints,
  type HeadRow,
  heads,
  type Member,
  mail,
  NEVER,
  type PushKeyRow,
  type PushMoveRow,
  parkedMail,
  pushCursors,
  pushKeys,
  pushMoves,
  setAside,
} from './tables.ts';

/** Keys that one call moves, with all that waits of them. */
const MOVED_AT_ONCE = 200;

/** How a mailbox stands before the endpoints of its party change. */
interface Stood {
  standard: string | undefined;
  isSent: boolean;
}

export const stoodBefore = (unit: Pick<Writer, 'get'>, party: string): Map<number, Stood> =>
  new Map(
    MAILBOXES.map((service) => [
      service,
      { standard: standardFor(unit, party, service), isSent: isSent(unit, party, service) },
    ]),
  );

/**
 * Endpoints of a party changed: mailboxes that another standard takes now begin to move there. What was not sent begins where its party
 * said; `fromMs`: Unix milliseconds, 0 = with all that is kept, undefined = nothing was said.
 */
export function beginMoves(
  unit: Writer,
  party: string,
  before: ReadonlyMap<number, Stood>,
  fromMs: (standard: string) => number | undefined,
): void {
  for (const [service, { standard: had, isSent: wasSent }] of before) {
    const has = standardFor(unit, party, service);
    const head = unit.get(heads, party, service);
    // Without any mail nothing was taken over.
    if (has === undefined || head === undefined) continue;
    const from = !wasSent && isSent(unit, party, service) ? fromMs(has) : undefined;
    const leaves = from ? lastBefore(unit, head, from) : 0;
    const move = unit.get(pushMoves, party, service);
    const source = had ?? has;
    if (source === has && leaves === 0) {
      // What was said before, about what a mandate gives back, counts no more.
      const known = from === undefined ? undefined : unit.get(pushCursors, party, has, service);
      if (known?.begin) unit.put(pushCursors, { ...known, begin: 0 });
      if (from !== undefined && move) unit.put(pushMoves, { ...move, begin: 0 });
      continue;
    }
    const cursor = unit.get(pushCursors, party, source, service);
    unit.remove(pushCursors, party, source, service);
    // A move that was not over may have rows at both.
    const others = [...new Set([...(move?.sources ?? []), source])].filter((standard) => standard !== has);
    unit.put(pushMoves, {
      party,
      service,
      sources: leaves > 0 ? [...others, has] : others,
      after: Math.max(move?.after ?? cursor?.after ?? -1, leaves || -1),
      begin: from === undefined ? (move?.begin ?? cursor?.begin ?? 0) : leaves,
      leaves: Math.max(move?.leaves ?? 0, leaves),
      at: [],
    });
  }
}

/** Who says from when on as late as this means from now on. */
const NOW_MS = 60_000;

/** Parked rows of a mailbox that are looked at. */
const PARKED_LOOKED_AT = 20_000;

/** Number of the last row of a mailbox that first arrived before a moment, also where that is parked. */
export function lastBefore(reader: Pick<Writer, 'get' | 'list' | 'now'>, head: Readonly<HeadRow>, ms: number): number {
  const { party, service, number, first } = head;
  const nextOf = (after: number) => reader.list(mail, { equals: [party, service], after: [after], limit: 1 })[0];
  let low = first - 1;
  let high = number;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = nextOf(middle);
    if (row === undefined || row.atMs >= ms) high = middle;
    else low = row.number;
  }
  const through = (nextOf(low)?.number ?? number + 1) - 1;
  if (ms > reader.now - NOW_MS || through === low) return through;
  // Between two rows that are there lies what is parked.
  return reader
    .list(parkedMail, { equals: [party, service], limit: PARKED_LOOKED_AT })
    .filter(({ first, atMs }) => first <= through && atMs < ms)
    .reduce((last, { first }) => Math.max(last, first), low);
}

/** What moves of a party, and when there is more to do about it. */
export interface Moving {
  services: ReadonlySet<number>;
  nextMs: number;
}

/** What else happens in the same transaction: lists show rows as they were before it. */
export interface Beside {
  /** Rows of this endpoint were changed by it. */
  isTouched(standard: string): boolean;
  /** Mailboxes that were looked at here already. */
  looked: Set<string>;
  isUnderWay(attempt: Readonly<AttemptRow>): boolean;
}

/** Goes on with what moves of a party. Of these mailboxes nothing may be started in the same transaction. */
export function goOnMoving(unit: Writer, party: string, beside: Beside): Moving {
  const services = new Set<number>();
  let nextMs = NEVER;
  for (const { service } of unit.list(pushMoves, { equals: [party] })) {
    services.add(service);
    const name = `${party}/${service}`;
    const move = unit.get(pushMoves, party, service);
    if (move === undefined || beside.looked.has(name)) {
      nextMs = unit.now;
      continue;
    }
    beside.looked.add(name);
    nextMs = Math.min(nextMs, goOn(unit, move, beside));
  }
  return { services, nextMs };
}

function goOn(unit: Writer, move: Readonly<PushMoveRow>, beside: Beside): number {
  const { party, service } = move;
  const target = standardFor(unit, party, service);
  if (target === undefined) return NEVER;
  if (move.sources.some(beside.isTouched)) return unit.now;
  const standing = move.sources.flatMap((standard) =>
    unit.list(attempts, { equals: [party, standard] }).filter((attempt) => attempt.service === service),
  );
  const underWay = standing.filter(beside.isUnderWay);
  if (underWay.length > 0) return Math.max(unit.now + 1, Math.min(...underWay.map(({ leaseMs }) => leaseMs)));
  const waiting = standing.filter(
    (attempt) => attempt.standard !== target || attempt.members.some((one) => !isKept(move, attempt, one)),
  );
  for (const attempt of waiting) {
    unit.remove(attempts, party, attempt.standard, attempt.attemptId);
    const members = attempt.members.filter((one) => isKept(move, attempt, one));
    // It may have been taken: it comes again as it was, under the same ids.
    if (members.length > 0)
      unit.put(attempts, { ...attempt, members, standard: target, started: 0, leaseMs: unit.now });
    const left = new Set(members.map(({ key }) => key));
    for (const { key } of attempt.members) {
      const row = left.has(key) ? undefined : unit.get(pushKeys, party, attempt.standard, service, attempt.school, key);
      // What waits behind it waits for nothing any more.
      if (row && !row.parked) unit.put(pushKeys, { ...row, dueMs: unit.now });
    }
    // There is place for another.
    wakeEndpoint(unit, party, attempt.standard);
  }
  // Rows that this call changed are listed as they were: the next one takes them.
  if (waiting.length > 0) return unit.now;
  let left = MOVED_AT_ONCE;
  const sources = [...move.sources];
  let { at } = move;
  while (sources.length > 0 && left > 0) {
    const equals = [party, sources[0]!, service];
    const keys = unit.list(pushKeys, { equals, ...(at.length > 0 ? { after: at } : {}), limit: left });
    for (const row of keys) moveKey(unit, row, target, move);
    const last = keys.at(-1);
    // This list may not end here: the next call sees.
    if (keys.length === left) {
      at = sources[0] === target ? [last!.school, last!.key] : [];
      break;
    }
    left -= keys.length;
    at = [];
    sources.shift();
  }
  if (sources.length > 0) unit.put(pushMoves, { ...move, sources, at });
  else {
    unit.remove(pushMoves, party, service);
    const { after, begin } = move;
    if (after >= 0) unit.put(pushCursors, { party, standard: target, service, after, begin });
    wakeEndpoint(unit, party, target);
  }
  return unit.now;
}

function wakeEndpoint(unit: Writer, party: string, standard: string): void {
  const row = unit.get(endpoints, party, standard);
  if (row && row.url !== '' && !row.gone) unit.put(endpoints, { ...row, full: 0, dueMs: unit.now });
}

/** Whether a row is still sent by itself, after a party said from when; what somebody sends again is. */
const stays = ({ leaves }: Readonly<PushMoveRow>, { first, job }: Pick<Member, 'first' | 'job'>): boolean =>
  first > leaves || job !== undefined;

const isKept = (move: Readonly<PushMoveRow>, { stopped }: Readonly<AttemptRow>, one: Member): boolean =>
  (stopped?.includes(one.key) ?? false) || stays(move, one);

/**
 * What waits of a key goes along, as far as it is still sent; what was stopped or parked stays so, whole. How the other address answered
 * says nothing of this one.
 */
function moveKey(unit: Writer, row: Readonly<PushKeyRow>, standard: string, move: Readonly<PushMoveRow>): void {
  const { party, service, school, key } = row;
  const isSame = row.standard === standard;
  if (isSame && row.parked) return;
  let rows = row.rows;
  for (const one of unit.list(setAside, { equals: [party, row.standard, service, school, key] })) {
    const goes = row.parked > 0 || stays(move, one);
    if (isSame && goes) continue;
    unit.remove(setAside, party, row.standard, service, school, key, one.first);
    if (goes) unit.put(setAside, { ...one, standard });
    else rows -= 1;
  }
  if (!isSame || rows === 0) unit.remove(pushKeys, party, row.standard, service, school, key);
  if (rows === 0) return;
  const there = isSame ? undefined : unit.get(pushKeys, party, standard, service, school, key);
  const isWaiting = !row.parked && row.dueMs !== NEVER;
  // It was refused with its school, or waits for a place; or what failed of it is not sent any more.
  const isFresh = isWaiting && (row.failures === 0 || rows < row.rows);
  const parked = Math.max(row.parked, there?.parked ?? 0);
  unit.put(pushKeys, {
    ...row,
    standard,
    ...(isFresh ? { failures: 0, sinceMs: 0, status: 0, code: '', cause: '' } : {}),
    rows: rows + (there?.rows ?? 0),
    parked,
    dueMs: parked ? NEVER : isWaiting || (there !== undefined && there.dueMs !== NEVER) ? unit.now : NEVER,
    tried: Math.max(row.tried || 0, there?.tried || 0),
  });
}
