/**
 * What happens to mail: it arrives, is parked, is released under fresh numbers, and leaves after thirty days. Functions
 * over rows; nothing here knows the log or a receiver.
 *
 * The order within a key: mail of a key rises by `first`, and as long as the key is parked everything of it from
 * `fromFirst` on is out of reach. A release first gathers what still lies in the mailbox behind the parked rows, then
 * appends all of a key at once. So nothing of a key is ever read before what arrived earlier.
 */
import { allOf, terms, type Unit } from '#bus';
import {
  type BodyRow,
  bodies,
  dropped,
  forgotten,
  type HeadRow,
  heads,
  type MailRow,
  mail,
  moved,
  type ParkedKeyRow,
  parkedKeys,
  parkedMail,
} from './tables.ts';

const DAY_MS = 86_400_000;
export const KEPT_MS = 30 * DAY_MS;
/** Rows that one unit looks at while it gathers, and moves while it releases or cleans. */
const LOOKED_AT_ONCE = 1000;
const MOVED_AT_ONCE = 500;

/** What is needed to write rows, in a unit of work or in a note. */
export type Writer = Pick<Unit, 'get' | 'list' | 'put' | 'remove' | 'now'>;

/** A mailbox. */
export interface Address {
  party: string;
  service: number;
}

/** Mail of one school to one mailbox. */
export interface Way extends Address {
  school: string;
}

const EMPTY = { number: 0, first: 1, parkedKeys: 0, round: 0 };

export const headOf = (reader: Pick<Writer, 'get'>, { party, service }: Address): Readonly<HeadRow> =>
  reader.get(heads, party, service) ?? { party, service, ...EMPTY };

/** Puts an event into a mailbox and answers its number. Behind parked mail of its key it is parked, too. */
export function arrive(unit: Writer, address: Address, body: Omit<BodyRow, 'receivers'>): number {
  const { party, service } = address;
  const head = headOf(unit, address);
  const number = head.number + 1;
  unit.put(heads, { ...head, number });
  const { flowId, eventId, school, key } = body;
  const parked = head.parkedKeys > 0 ? unit.get(parkedKeys, party, service, school, key) : undefined;
  if (parked === undefined) unit.put(mail, { party, service, number, first: number, flowId, eventId, atMs: unit.now });
  else {
    unit.put(parkedMail, { party, service, school, key, first: number, flowId, eventId, atMs: unit.now });
    unit.put(parkedKeys, { ...parked, rows: parked.rows + 1 });
  }
  return number;
}

/** Whether a row of the mailbox stands behind parked ones of its key. */
export function standsBehind(
  reader: Pick<Writer, 'get'>,
  row: Pick<MailRow, 'party' | 'service' | 'first'>,
  body: Pick<BodyRow, 'school' | 'key'>,
): Readonly<ParkedKeyRow> | undefined {
  const parked = reader.get(parkedKeys, row.party, row.service, body.school, body.key);
  return parked !== undefined && row.first >= parked.fromFirst ? parked : undefined;
}

/** Of the moment of forgetting itself, and later: that it happened, and what follows from it, is delivered. */
export const isForgotten = (reader: Pick<Writer, 'get'>, body: Pick<BodyRow, 'key' | 'timeMs'>): boolean => {
  const row = reader.get(forgotten, body.key);
  return row !== undefined && body.timeMs < row.atMs;
};

/** Takes a row out of the mailbox; its key is parked from it on. */
export function park(
  unit: Writer,
  row: Readonly<MailRow>,
  { school, key }: Pick<BodyRow, 'school' | 'key'>,
  code: string,
): void {
  const { party, service, number, first, flowId, eventId, atMs } = row;
  const before = unit.get(parkedKeys, party, service, school, key);
  if (before === undefined) {
    const head = headOf(unit, row);
    unit.put(heads, { ...head, parkedKeys: head.parkedKeys + 1 });
    unit.put(parkedKeys, {
      party,
      service,
      school,
      key,
      fromFirst: first,
      code,
      sinceMs: unit.now,
      round: head.round,
      rows: 1,
    });
  } else unit.put(parkedKeys, { ...before, fromFirst: Math.min(before.fromFirst, first), rows: before.rows + 1 });
  unit.remove(mail, party, service, number);
  unit.put(parkedMail, { party, service, school, key, first, flowId, eventId, atMs });
}

/** Begins a release; answers its round. */
export function beginRelease(unit: Writer, way: Way): number {
  const head = headOf(unit, way);
  const round = head.round + 1;
  unit.put(heads, { ...head, round });
  return round;
}

/**
 * Takes the rows that stand behind parked ones out of the mailbox, from number `after` on (undefined = from the first
 * that can). Answers where to go on; undefined = all are gathered.
 */
export function gather(unit: Writer, { party, service, school }: Way, after: number | undefined): number | undefined {
  const keys = new Map(unit.list(parkedKeys, { equals: [party, service, school] }).map((row) => [row.key, row]));
  if (keys.size === 0) return undefined;
  const from = after ?? Math.min(...[...keys.values()].map(({ fromFirst }) => fromFirst)) - 1;
  const page = unit.list(mail, { equals: [party, service], after: [from], limit: LOOKED_AT_ONCE });
  for (const { row, body } of allOf(page, (row) => ({ row, body: unit.get(bodies, row.flowId, row.eventId) }))) {
    if (body?.school !== school) continue;
    const parked = keys.get(body.key);
    if (parked !== undefined && row.first >= parked.fromFirst) park(unit, row, body, parked.code);
  }
  return page.length < LOOKED_AT_ONCE ? undefined : page.at(-1)!.number;
}

/**
 * Appends parked mail of keys that were gathered (parked before `round`) under fresh numbers, all of a key at once.
 * `more`: keys of this round are left; `later`: keys were parked since, for another round.
 */
export function send(unit: Writer, { party, service, school }: Way, round: number): { more: boolean; later: boolean } {
  let moved = 0;
  let later = false;
  const keys = unit.list(parkedKeys, { equals: [party, service, school] });
  const rowsOf = (key: string) => unit.list(parkedMail, { equals: [party, service, school, key] });
  const next = keys.filter((parked) => parked.round < round).slice(0, MOVED_AT_ONCE);
  allOf(next, ({ key }) => rowsOf(key));
  for (const parked of keys) {
    if (parked.round >= round) {
      later = true;
      continue;
    }
    if (moved >= MOVED_AT_ONCE) return { more: true, later };
    moved += 1 + sendKey(unit, { party, service, school }, parked.key);
  }
  return { more: false, later };
}

/**
 * Appends what is parked of a key under fresh numbers; says how much. Of a learner who is forgotten it is passed over there, so that the
 * word of the forgetting does not stand behind what nobody may read.
 */
export function sendKey(unit: Writer, { party, service, school }: Way, key: string): number {
  if (unit.get(parkedKeys, party, service, school, key) === undefined) return 0;
  let { number, ...head } = headOf(unit, { party, service });
  const rows = unit.list(parkedMail, { equals: [party, service, school, key] });
  for (const { first, flowId, eventId } of rows) {
    unit.remove(parkedMail, party, service, school, key, first);
    number += 1;
    unit.put(mail, { party, service, number, first, flowId, eventId, atMs: unit.now });
    unit.put(moved, { party, service, first, number });
  }
  unit.remove(parkedKeys, party, service, school, key);
  unit.put(heads, { ...head, number, parkedKeys: head.parkedKeys - 1 });
  return rows.length;
}

/** Removes what is older than thirty days, a chunk of it; `ended` is told each row. Answers when to come again, Unix milliseconds. */
export function clean(unit: Writer, { party, service }: Address, ended?: (row: Readonly<MailRow>) => void): number {
  const before = unit.now - KEPT_MS;
  const rows = unit.list(mail, { equals: [party, service], limit: MOVED_AT_ONCE });
  const old = rows.filter(({ atMs }) => atMs <= before);
  for (const row of old) {
    unit.remove(mail, party, service, row.number);
    if (row.first !== row.number) unit.remove(moved, party, service, row.first);
    unit.remove(bodies, row.flowId, row.eventId);
    ended?.(row);
  }
  const head = headOf(unit, { party, service });
  if (old.length > 0) unit.put(heads, { ...head, first: old.at(-1)!.number + 1 });
  const parked = cleanParked(unit, { party, service }, before);
  for (const { learner, atMs } of unit.list(forgotten, { index: 'by_time', equals: [], limit: MOVED_AT_ONCE }))
    if (atMs <= before) unit.remove(forgotten, learner);
  if (old.length + parked >= MOVED_AT_ONCE) return unit.now + 1;
  if (headOf(unit, { party, service }).parkedKeys > 0) return unit.now + DAY_MS;
  return Math.max((rows[old.length]?.atMs ?? unit.now) + KEPT_MS, unit.now + DAY_MS);
}

/** What nobody may have any more is still told of, by its number. */
function countDropped(unit: Writer, { party, service, school, code }: ParkedKeyRow, rows: number): void {
  if (rows === 0) return;
  const before = unit.get(dropped, party, service, school, code);
  unit.put(dropped, {
    party,
    service,
    school,
    code,
    rows: (before?.rows ?? 0) + rows,
    fromMs: before?.fromMs ?? unit.now,
    untilMs: unit.now,
  });
}

function cleanParked(unit: Writer, { party, service }: Address, before: number): number {
  for (const row of unit.list(dropped, { equals: [party, service] }))
    if (terms[dropped.retention]!.end(row.untilMs) <= unit.now)
      unit.remove(dropped, party, service, row.school, row.code);
  let removed = 0;
  let after: [string, string] | undefined;
  for (;;) {
    const page = unit.list(parkedKeys, {
      equals: [party, service],
      ...(after ? { after } : {}),
      limit: LOOKED_AT_ONCE,
    });
    for (const parked of page) {
      if (parked.sinceMs > before) continue;
      const { school, key } = parked;
      const rows = unit.list(parkedMail, { equals: [party, service, school, key] });
      const old = rows.filter(({ atMs }) => atMs <= before);
      for (const { first, flowId, eventId } of old) {
        unit.remove(parkedMail, party, service, school, key, first);
        unit.remove(moved, party, service, first);
        unit.remove(bodies, flowId, eventId);
      }
      removed += old.length;
      countDropped(unit, parked, old.length);
      if (old.length < rows.length)
        unit.put(parkedKeys, {
          ...parked,
          fromFirst: rows[old.length]!.first,
          sinceMs: rows[old.length]!.atMs,
          rows: rows.length - old.length,
        });
      else {
        // What may still lie behind it in the mailbox is judged anew when it is read.
        unit.remove(parkedKeys, party, service, school, key);
        const head = headOf(unit, { party, service });
        unit.put(heads, { ...head, parkedKeys: head.parkedKeys - 1 });
      }
      if (removed >= MOVED_AT_ONCE) return removed;
    }
    if (page.length < LOOKED_AT_ONCE) return removed;
    after = [page.at(-1)!.school, page.at(-1)!.key];
  }
}
