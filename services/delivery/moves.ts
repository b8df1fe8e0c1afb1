/**
 * A mailbox changes its endpoint: its party names another standard for it, or takes one away, so that the next takes it. What the
 * one of before took over goes along, and the other begins where that one stood: nothing is lost, nothing comes twice, and of a key nothing
 * overtakes. Nothing of the mailbox is begun meanwhile; what is under way ends first, or its lease does. Functions over rows,
 * in the transactions in which attempts are started, a chunk each.
 */
import type { Writer } from './mailbox.ts';
import { MAILBOXES, standardFor } from './standards.ts';
import {
  type AttemptRow,
  attempts,
  endpoints,
  heads,
  NEVER,
  type PushKeyRow,
  type PushMoveRow,
  pushCursors,
  pushKeys,
  pushMoves,
  setAside,
} from './tables.ts';

/** Keys that one call moves, with all that waits of them. */
const MOVED_AT_ONCE = 200;

/** By which standard each mailbox of a party is sent, before something changes. */
export const sentBy = (unit: Pick<Writer, 'get'>, party: string): Map<number, string | undefined> =>
  new Map(MAILBOXES.map((service) => [service, standardFor(unit, party, service)]));

/** Endpoints of a party changed: mailboxes that another standard takes now begin to move there. */
export function beginMoves(unit: Writer, party: string, before: ReadonlyMap<number, string | undefined>): void {
  for (const [service, had] of before) {
    const has = standardFor(unit, party, service);
    // Without any mail nothing was taken over.
    if (had === undefined || has === undefined || had === has || unit.get(heads, party, service) === undefined)
      continue;
    const move = unit.get(pushMoves, party, service);
    const cursor = unit.get(pushCursors, party, had, service);
    unit.remove(pushCursors, party, had, service);
    unit.put(pushMoves, {
      party,
      service,
      // A move that was not over may have rows at both.
      sources: [...new Set([...(move?.sources ?? []), had])].filter((standard) => standard !== has),
      after: move?.after ?? cursor?.after ?? -1,
    });
  }
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
  const waiting = move.sources.flatMap((standard) =>
    unit.list(attempts, { equals: [party, standard] }).filter((attempt) => attempt.service === service),
  );
  const underWay = waiting.filter(beside.isUnderWay);
  if (underWay.length > 0) return Math.max(unit.now + 1, Math.min(...underWay.map(({ leaseMs }) => leaseMs)));
  for (const attempt of waiting) {
    unit.remove(attempts, party, attempt.standard, attempt.attemptId);
    // It may have been taken: it comes again as it was, under the same ids.
    unit.put(attempts, { ...attempt, standard: target, started: 0, leaseMs: unit.now });
    // There is place for another.
    wakeEndpoint(unit, party, attempt.standard);
  }
  let left = MOVED_AT_ONCE;
  const sources = [...move.sources];
  while (sources.length > 0 && left > 0) {
    const keys = unit.list(pushKeys, { equals: [party, sources[0]!, service], limit: left });
    for (const row of keys) moveKey(unit, row, target);
    // This list may not end here: the next call sees.
    if (keys.length === left) break;
    left -= keys.length;
    sources.shift();
  }
  if (sources.length > 0) unit.put(pushMoves, { ...move, sources });
  else {
    unit.remove(pushMoves, party, service);
    if (move.after >= 0) unit.put(pushCursors, { party, standard: target, service, after: move.after });
    wakeEndpoint(unit, party, target);
  }
  return unit.now;
}

function wakeEndpoint(unit: Writer, party: string, standard: string): void {
  const row = unit.get(endpoints, party, standard);
  if (row && row.url !== '' && !row.gone) unit.put(endpoints, { ...row, full: 0, dueMs: unit.now });
}

/** What waits of a key goes along; what was stopped or parked stays so. How the other address answered says nothing of this one. */
function moveKey(unit: Writer, row: Readonly<PushKeyRow>, standard: string): void {
  const { party, service, school, key } = row;
  const there = unit.get(pushKeys, party, standard, service, school, key);
  for (const one of unit.list(setAside, { equals: [party, row.standard, service, school, key] })) {
    unit.remove(setAside, party, row.standard, service, school, key, one.first);
    unit.put(setAside, { ...one, standard });
  }
  unit.remove(pushKeys, party, row.standard, service, school, key);
  const isWaiting = !row.parked && row.dueMs !== NEVER;
  // It was refused with its school, or waits for a place.
  const isFresh = isWaiting && row.failures === 0;
  const parked = Math.max(row.parked, there?.parked ?? 0);
  unit.put(pushKeys, {
    ...row,
    standard,
    ...(isFresh ? { sinceMs: 0, status: 0, code: '', cause: '' } : {}),
    rows: row.rows + (there?.rows ?? 0),
    parked,
    dueMs: parked ? NEVER : isWaiting || (there !== undefined && there.dueMs !== NEVER) ? unit.now : NEVER,
    tried: Math.max(row.tried || 0, there?.tried || 0),
  });
}
