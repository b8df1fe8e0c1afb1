/**
 * What was delivered under an id that its receiver saw. No index is kept for it: what went out together has one row, and an event is looked for at
 * its own time, which its id tells. Mail takes its numbers in the order of time, so that the place is found by halving.
 */
import { allOf, type EngineView } from '#bus';
import type { Service } from '#proto/eduk/core/v1/party';
import type { FindDeliveredRequest, FindDeliveredResponse, FlowDelivery } from '#proto/eduk/delivery/v1/delivery';
import { subjectOf } from './about.ts';
import { isForgotten, standsBehind } from './mailbox.ts';
import { standingOf } from './push.ts';
import { madeMs, unpacked } from './sets.ts';
import {
  type BodyRow,
  bodies,
  endpoints,
  type HeadRow,
  heads,
  type MailRow,
  mail,
  moved,
  parkedMail,
  type SetRow,
  sets,
} from './tables.ts';

/** Events of flows that began near an event, and mail near it of one mailbox, that are looked through; mailboxes. */
const BODIES = 1_000;
const MAIL = 20_000;
const MAILBOXES = 2_000;
/** Of all mailboxes together. */
const MAIL_OF_ALL = 100_000;
const PAGE = 1_000;
/** By so much the clocks of two machines may differ. */
const SKEW_MS = 10_000;
/** Parties that have or had an endpoint. */
const PARTIES = 20_000;

type Place = Pick<MailRow, 'flowId' | 'eventId'>;

export function findDelivered(engine: EngineView, { id, partyOin }: FindDeliveredRequest): FindDeliveredResponse {
  const set = setOf(engine, id, partyOin);
  if (set) return ofSet(engine, set);
  const ms = madeMs(id);
  if (ms === undefined) return { rows: [], gone: 0, partial: false };
  const found = ofFlows(engine, id, ms) ?? ofMailboxes(engine, id, ms, partyOin);
  if (found === 'partial' || found === undefined) return { rows: [], gone: 0, partial: found === 'partial' };
  if (isForgotten(engine, found)) return { rows: [], gone: 0, partial: false };
  const rows = rowsOf(engine, found).filter(({ delivery }) => partyOin === '' || delivery.partyOin === partyOin);
  return { rows, gone: 0, partial: false };
}

const rowsOf = (engine: EngineView, body: Readonly<BodyRow>) =>
  deliveriesOf(engine, body).map((delivery) => ({
    flowId: body.flowId,
    eventId: body.eventId,
    schoolOin: body.school,
    about: subjectOf(delivery.service, body),
    delivery,
  }));

function setOf(engine: EngineView, id: string, partyOin: string): Readonly<SetRow> | undefined {
  if (partyOin !== '') return engine.get(sets, partyOin, id);
  const parties = new Set(engine.list(endpoints, { equals: [], limit: PARTIES }).map(({ party }) => party));
  return allOf(parties, (party) => engine.get(sets, party, id)).find((row) => row !== undefined);
}

function ofSet(engine: EngineView, { party, service, firsts }: Readonly<SetRow>): FindDeliveredResponse {
  const numbers = unpacked(firsts);
  const told = allOf(placesOf(engine, party, service, numbers), ({ flowId, eventId }) =>
    engine.get(bodies, flowId, eventId),
  );
  const kept = told.filter((body) => body !== undefined && !isForgotten(engine, body));
  const rows = allOf(kept, (body) => rowsOf(engine, body!)).flat();
  return {
    rows: rows.filter(({ delivery }) => delivery.partyOin === party),
    gone: numbers.length - kept.length,
    partial: false,
  };
}

/** Where mail lies that first arrived under these numbers: as it arrived, where it came back after it was parked, or where it is parked. */
function placesOf(engine: EngineView, party: string, service: number, numbers: readonly number[]): Place[] {
  const found = allOf(numbers, (first): Place | undefined => {
    const row = engine.get(mail, party, service, first) ?? movedMail(engine, party, service, first);
    return row?.first === first ? row : undefined;
  });
  const lacking = new Set(numbers.filter((_, i) => found[i] === undefined));
  const parked =
    lacking.size === 0
      ? []
      : engine.list(parkedMail, { equals: [party, service] }).filter(({ first }) => lacking.has(first));
  return [...found.filter((row) => row !== undefined), ...parked];
}

function movedMail(engine: EngineView, party: string, service: number, first: number): Readonly<MailRow> | undefined {
  const to = engine.get(moved, party, service, first);
  return to && engine.get(mail, party, service, to.number);
}

/** Most events are decided at once: they stand with the flows that began just before. */
function ofFlows(engine: EngineView, id: string, ms: number): Readonly<BodyRow> | undefined {
  const until = Math.floor(ms + 1_000)
    .toString(16)
    .padStart(12, '0');
  let after = [`${until.slice(0, 8)}-${until.slice(8)}-7000-0000-000000000000`];
  for (let looked = 0; looked < BODIES; looked += PAGE / 4) {
    const page = engine.list(bodies, { equals: [], after, descending: true, limit: PAGE / 4 });
    const found = page.find(({ eventId }) => eventId === id);
    if (found || page.length < PAGE / 4) return found;
    const { flowId, eventId } = page.at(-1)!;
    after = [flowId, eventId];
  }
  return undefined;
}

/** From its own time on, in each mailbox. `partial`: there is more mail than was looked through. */
function ofMailboxes(
  engine: EngineView,
  id: string,
  ms: number,
  partyOin: string,
): Readonly<BodyRow> | 'partial' | undefined {
  const of = engine.list(heads, { equals: partyOin === '' ? [] : [partyOin], limit: MAILBOXES });
  const from = allOf(of, (head) => ({ head, number: numberAt(engine, head, ms - SKEW_MS) }));
  let left = MAIL_OF_ALL;
  let isPartial = of.length === MAILBOXES;
  for (const { head, number } of from) {
    const { place, looked, isCut } = inMailbox(engine, head, number, id, Math.min(MAIL, left));
    if (place) return engine.get(bodies, place.flowId, place.eventId);
    left -= looked;
    isPartial ||= isCut;
  }
  return isPartial ? 'partial' : undefined;
}

/** First number that was given out at this time or later. */
function numberAt(engine: EngineView, { party, service, first, number }: Readonly<HeadRow>, ms: number): number {
  let [low, high] = [first, number + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    // What was parked left a gap.
    const [row] = engine.list(mail, { equals: [party, service], after: [middle - 1], limit: 1 });
    if (row === undefined || row.atMs >= ms) high = middle;
    else low = row.number + 1;
  }
  return low;
}

function inMailbox(
  engine: EngineView,
  { party, service }: Readonly<HeadRow>,
  from: number,
  id: string,
  most: number,
): { place?: Place; looked: number; isCut: boolean } {
  if (most <= 0) return { looked: 0, isCut: true };
  let looked = 0;
  let isCut = false;
  const equals = [party, service];
  for (let after = from - 1; ; ) {
    if (looked >= most) {
      isCut = true;
      break;
    }
    const page = engine.list(mail, { equals, after: [after], limit: PAGE });
    looked += page.length;
    const place = page.find(({ eventId }) => eventId === id);
    if (place) return { place, looked, isCut };
    if (page.length < PAGE) break;
    after = page.at(-1)!.number;
  }
  // What was parked since may lie far behind its time, or is parked still.
  const came = engine.list(moved, { equals, after: [from - 1], limit: PAGE });
  const parked = engine.list(parkedMail, { equals, limit: PAGE * 5 });
  const place =
    allOf(came, ({ number }) => engine.get(mail, party, service, number)).find((row) => row?.eventId === id) ??
    parked.find(({ eventId }) => eventId === id);
  const isMore = came.length === PAGE || parked.length === PAGE * 5;
  return { ...(place ? { place } : {}), looked: looked + came.length + parked.length, isCut: isCut || isMore };
}

/** How an event stands with each of its receivers. */
export function deliveriesOf(engine: EngineView, body: Readonly<BodyRow>): FlowDelivery[] {
  return body.receivers.split(' ').map((receiver) => {
    const [party, service, first] = receiver.split('/') as [string, string, string];
    const row = { party, service: Number(service), first: Number(first) };
    const base = {
      partyOin: party,
      service: row.service as Service,
      type: body.type,
      code: '',
      atMs: BigInt(body.timeMs),
      standard: '',
      attempts: 0,
      status: 0,
      nextMs: 0n,
      cause: '',
      losses: [],
    };
    const pushed = standingOf(engine, row, body);
    const isOver = pushed !== undefined && ['delivered', 'untold', 'dropped'].includes(pushed.state);
    if (!isOver && isForgotten(engine, body)) return { ...base, state: 'forgotten' };
    const parked = standsBehind(engine, row, body);
    if (!isOver && parked) {
      // Its key may have been parked before it came.
      const atMs = BigInt(Math.max(parked.sinceMs, body.timeMs));
      return { ...base, state: 'parked', code: parked.code, atMs };
    }
    if (pushed === undefined) return { ...base, state: 'ready' };
    const { state, code, attempts, status, standard, cause, losses, atMs, nextMs } = pushed;
    const at = { atMs: BigInt(atMs), nextMs: BigInt(nextMs) };
    return { ...base, state, code, attempts, status, standard, cause, losses: [...losses], ...at };
  });
}
