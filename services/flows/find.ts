/** Flows by what they are about, by learner, by school, by sender, or by time alone: from an index each, newest first. */
import { allOf, type EngineView, type ListOptions } from '#bus';
import { GatewayError, senderKeyOf } from '#kernel';
import type { FindFlowsRequest, FindFlowsResponse, FlowRow, Subject } from '#proto/eduk/flows/v1/flows';
import { type EventName, events } from '#proto/events';
import { beganMs } from './consume.ts';
import { findReads, isPlace, READ, readPlace, type Stop } from './reads.ts';
import { type FlowTableRow, flowsTable, refusedTable } from './tables.ts';

const PAGE = 1000;
const FEW = 8;
/** Rows looked at, newest first, of those that the index gives. */
const LOOKED_AT = 20_000;
const MOST_FOUND = 1000;
/** Things of one learner that are looked for. */
const MOST_SUBJECTS = 5_000;

/** So much later than it began, at most, a message is accepted. */
const ACCEPTED_WITHIN_MS = 30_000;

/** Place before all flows that began at `ms` or later: ids rise with time. */
export function idBefore(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-0000-000000000000`;
}

/** Which places are looked at: below `before` if it is there, and none that began before what `floor` says. */
interface Reach {
  before: string | undefined;
  floor: string;
}

/**
 * What is asked must all fit; an empty filter fits anything. A result is found by the key that its sender gave, too. `show` also says the state,
 * which rows alone do not. Every flow has one place (a message its id, a read that of when it was read last), by which lists are in order: so a
 * page ends at a place and the next one begins below it.
 */
export function findFlows(
  engine: EngineView,
  asked: FindFlowsRequest,
  show: (flow: Readonly<FlowTableRow>) => FlowRow,
): FindFlowsResponse {
  if (asked.subjects.length > MOST_SUBJECTS)
    throw new GatewayError('gateway.bug', 'So many subjects are not looked for at once.', { where: 'subjects' });
  if (asked.after !== '' && !isPlace(asked.after))
    throw new GatewayError('wire.invalid', 'This is no place of a page.', { where: 'after' });
  const most = Math.min(asked.limit || 100, MOST_FOUND);
  const none = { flows: [], stop: undefined, more: false };
  const read = findReads(engine, asked, most);
  const accepted = asked.state === READ ? none : findAccepted(engine, asked, most, show);
  const of = [
    ...read.flows.map((flow) => ({ flow, place: readPlace(Number(flow.acceptedMs), flow.flowId) })),
    ...accepted.flows.map((flow) => ({ flow, place: flow.flowId })),
  ];
  // What is below the end of one list is of the next page: the other may have more above it.
  const stop = [read.stop, accepted.stop].reduce((a, b) => (a && b ? (a.place > b.place ? a : b) : (a ?? b)));
  const known = of.filter(({ place }) => stop === undefined || place >= stop.place);
  known.sort((a, b) => (a.place < b.place ? 1 : -1));
  const found = known.slice(0, most);
  const cut = known[most];
  const coveredFromMs = BigInt(cut ? Number(cut.flow.acceptedMs) : (stop?.ms ?? 0));
  return {
    flows: found.map(({ flow }) => flow),
    coveredFromMs: coveredFromMs > asked.fromMs ? coveredFromMs : asked.fromMs,
    more: cut !== undefined || accepted.more || known.length < of.length,
    next: cut ? found.at(-1)!.place : (stop?.place ?? ''),
  };
}

/** Of messages, as their rows stand. */
function findAccepted(
  engine: EngineView,
  asked: FindFlowsRequest,
  most: number,
  show: (flow: Readonly<FlowTableRow>) => FlowRow,
): { flows: FlowRow[]; stop: Stop | undefined; more: boolean } {
  const { schoolOin, subject, key, partyOin, state, fromMs, beforeMs } = asked;
  const flows: FlowRow[] = [];
  const rows = rowsFor(engine, asked, most);
  for (;;) {
    const next = rows.next();
    if (next.done) return { flows, stop: next.value, more: false };
    const flow = next.value;
    if (
      (schoolOin !== '' && flow.school !== schoolOin) ||
      (subject !== '' &&
        asked.subjects.length === 0 &&
        flow.subject !== subject &&
        senderKeyOf(flow.subject) !== subject) ||
      (key !== '' && flow.key !== key) ||
      (partyOin !== '' && flow.party !== partyOin) ||
      flow.acceptedMs < fromMs ||
      (beforeMs > 0n && flow.acceptedMs >= beforeMs)
    )
      continue;
    const row = show(flow);
    if (state !== '' && row.state !== state) continue;
    if (flows.length === most) return { flows, stop: { place: flows.at(-1)!.flowId, ms: flow.acceptedMs }, more: true };
    flows.push(row);
  }
}

/** Newest first; what it ends with says how far was looked, undefined = these are all. */
type Newest = Generator<Readonly<FlowTableRow>, Stop | undefined, void>;

/** Rows that may fit, by the narrowest index there is for what is asked. */
function rowsFor(
  engine: EngineView,
  { schoolOin, subject, key, partyOin, fromMs, beforeMs, after, learners, subjects }: FindFlowsRequest,
  most: number,
): Newest {
  const until = beforeMs > 0n ? idBefore(Number(beforeMs)) : '';
  const before = after !== '' && (until === '' || after < until) ? after : until;
  const reach: Reach = { before: before || undefined, floor: idBefore(Number(fromMs) - ACCEPTED_WITHIN_MS) };
  // Where nothing is filtered away the first page holds all that is wanted, and whether there is more.
  const first = Math.min(PAGE, most + 1);
  if (learners.length > 0 || subjects.length > 0)
    return ofSubjects(engine, { learners, subjects, subject }, reach, first);
  const under = subject === '' ? undefined : underKey(engine, subject, reach);
  if (under) return merged(newest(engine, { index: 'by_subject', equals: [subject] }, reach, first), under);
  if (schoolOin !== '') return newest(engine, { index: 'by_school', equals: [schoolOin] }, reach, first);
  if (partyOin !== '') return newest(engine, { index: 'by_party', equals: [partyOin] }, reach, first);
  return newest(engine, { equals: [] }, reach, key === '' && subject === '' ? first : PAGE);
}

function newest(engine: EngineView, where: Pick<ListOptions, 'index' | 'equals'>, reach: Reach, first: number): Newest {
  return inPages(reach, first, (beyond) => {
    const page = engine.list(flowsTable, { ...where, ...beyond });
    return { page, rows: page };
  });
}

/** Page after page of one index, as far as may be looked. `rows` are the flows of its page, which may lack some. */
function* inPages(
  { before, floor }: Reach,
  first: number,
  read: (beyond: Pick<ListOptions, 'after' | 'descending' | 'limit'>) => {
    page: readonly Readonly<{ flowId: string }>[];
    rows: readonly (Readonly<FlowTableRow> | undefined)[];
  },
): Newest {
  let after = before;
  let ms = 0;
  for (let looked = 0, limit = first; looked < LOOKED_AT; looked += limit, limit = PAGE) {
    const { page, rows } = read({ ...(after === undefined ? {} : { after: [after] }), descending: true, limit });
    for (const row of rows) {
      if (row === undefined) continue;
      if (row.flowId < floor) return undefined;
      ms = row.acceptedMs;
      yield row;
    }
    if (page.length < limit) return undefined;
    after = page.at(-1)!.flowId;
  }
  // Of rows that are gone their ids say when they began.
  return { place: after!, ms: ms || (beganMs(after!) ?? 0) };
}

/** Rows whose subject begins with the key of its sender, newest first; undefined = they are too many to put in order. */
function underKey(engine: EngineView, key: string, { before, floor }: Reach): Readonly<FlowTableRow>[] | undefined {
  const isUnder = ({ subject }: Readonly<FlowTableRow>) => subject.startsWith(`${key}~`);
  const rows: Readonly<FlowTableRow>[] = [];
  // Most keys begin none: not a thousand of others' are read to find that out.
  for (let last: Readonly<FlowTableRow> | undefined, limit = FEW; rows.length < PAGE; limit = PAGE) {
    const after = last === undefined ? [`${key}~`] : [last.subject, last.flowId];
    const page = engine.list(flowsTable, { index: 'by_subject', equals: [], after, limit });
    rows.push(...page.filter(isUnder));
    last = page.at(-1);
    if (last === undefined || page.length < limit || !isUnder(last)) break;
  }
  if (rows.length >= PAGE) return undefined;
  return rows
    .filter(({ flowId }) => (before === undefined || flowId < before) && flowId >= floor)
    .sort((a, b) => (a.flowId < b.flowId ? 1 : -1));
}

/** Of both, which have none in common, newest first. */
function* merged(rows: Newest, others: readonly Readonly<FlowTableRow>[]): Newest {
  let at = 0;
  for (;;) {
    const next = rows.next();
    const down = next.done ? next.value?.place : next.value.flowId;
    while (at < others.length && (down === undefined || others[at]!.flowId > down)) yield others[at++]!;
    if (next.done) return next.value;
    yield next.value;
  }
}

/** About any of these, the subject itself among them, and what was refused of these learners. */
function* ofSubjects(
  engine: EngineView,
  { learners, subjects, subject }: Pick<FindFlowsRequest, 'learners' | 'subjects' | 'subject'>,
  reach: Reach,
  first: number,
): Newest {
  const itself =
    subject === ''
      ? []
      : [
          newest(engine, { index: 'by_subject', equals: [subject] }, reach, first),
          ofRows(underKey(engine, subject, reach) ?? []),
        ];
  const refused = learners.map((learner) => refusedOf(engine, learner, reach, first));
  const about = [...Map.groupBy(subjects, ({ subject }) => subject)].map(([subject, of]) =>
    fitting(newest(engine, { index: 'by_subject', equals: [subject] }, reach, first), of),
  );
  const lists = allOf([...itself, ...refused, ...about], (rows) => ({ rows, next: rows.next() }));
  let open = lists.filter(({ next }) => !(next.done && next.value === undefined));
  let last = '';
  while (open.length > 0) {
    const first = open.reduce((a, b) => (placeIn(b.next) > placeIn(a.next) ? b : a));
    // What is below the end of one list is not known to be the next.
    if (first.next.done) return first.next.value;
    const row = first.next.value;
    // It may be in several: what was refused may also be about something that the learner has.
    if (row.flowId !== last) yield row;
    last = row.flowId;
    first.next = first.rows.next();
    if (first.next.done && first.next.value === undefined) open = open.filter((list) => list !== first);
  }
  return undefined;
}

function* ofRows(rows: readonly Readonly<FlowTableRow>[]): Newest {
  yield* rows;
  return undefined;
}

/** Of a list that has something, or ends somewhere. */
const placeIn = (next: IteratorResult<Readonly<FlowTableRow>, Stop | undefined>): string =>
  next.done ? next.value!.place : next.value.flowId;

/** Those of the senders and for the services that one of these names. */
function* fitting(rows: Newest, of: readonly Subject[]): Newest {
  for (;;) {
    const next = rows.next();
    if (next.done) return next.value;
    const { party, type, outcome } = next.value;
    const service = events[(type || outcome) as EventName]?.stream ?? '';
    const isAny = (some: readonly string[], one: string): boolean => some.length === 0 || some.includes(one);
    if (of.some(({ partyOins, services }) => isAny(partyOins, party) && isAny(services, service))) yield next.value;
  }
}

function refusedOf(engine: EngineView, learner: string, reach: Reach, first: number): Newest {
  return inPages(reach, first, (beyond) => {
    const page = engine.list(refusedTable, { equals: [learner], ...beyond });
    return { page, rows: allOf(page, ({ flowId }) => engine.get(flowsTable, flowId)) };
  });
}
