/** Flows by what they are about, by learner, by school, by sender, or by time alone: from an index each, newest first. */
import { allOf, type EngineView, type ListOptions } from '#bus';
import { GatewayError, senderKeyOf } from '#kernel';
import type { FindFlowsRequest, FindFlowsResponse, FlowRow, Subject } from '#proto/eduk/flows/v1/flows';
import { type EventName, events } from '#proto/events';
import { findReads, READ } from './reads.ts';
import { type FlowTableRow, flowsTable, refusedTable } from './tables.ts';

const PAGE = 1000;
const FEW = 8;
/** Rows looked at, newest first, of those that the index gives. */
const LOOKED_AT = 20_000;
const MOST_FOUND = 1000;
/** Things of one learner that are looked for. */
const MOST_SUBJECTS = 5_000;

/** Place before all flows that began at `ms` or later: ids rise with time. */
export function idBefore(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-0000-000000000000`;
}

/** What is asked must all fit; an empty filter fits anything. A result is found by the key that its sender gave, too. `show` also says the state, which rows alone do not. */
export function findFlows(
  engine: EngineView,
  asked: FindFlowsRequest,
  show: (flow: Readonly<FlowTableRow>) => FlowRow,
): FindFlowsResponse {
  if (asked.subjects.length > MOST_SUBJECTS)
    throw new GatewayError('gateway.bug', 'So many subjects are not looked for at once.', { where: 'subjects' });
  const most = Math.min(asked.limit || 100, MOST_FOUND);
  const read = findReads(engine, asked, most);
  const none = { flows: [], coveredFromMs: 0n, more: false };
  const accepted = asked.state === READ ? none : findAccepted(engine, asked, most, show);
  if (read.length === 0) return accepted;
  const all = [...accepted.flows, ...read].sort((a, b) => Number(b.acceptedMs - a.acceptedMs));
  // Where messages go on below the end of this list, reads from there on are of the next.
  const flows = accepted.more ? all.filter(({ acceptedMs }) => acceptedMs >= accepted.coveredFromMs) : all;
  if (flows.length <= most) return { ...accepted, flows, more: accepted.more };
  return { flows: flows.slice(0, most), coveredFromMs: flows[most]!.acceptedMs, more: true };
}

/** Of messages, as their rows stand. */
function findAccepted(
  engine: EngineView,
  asked: FindFlowsRequest,
  most: number,
  show: (flow: Readonly<FlowTableRow>) => FlowRow,
): FindFlowsResponse {
  const { schoolOin, subject, key, partyOin, state } = asked;
  const found: FlowRow[] = [];
  const rows = rowsFor(engine, asked, most);
  let last: Readonly<FlowTableRow> | undefined;
  for (;;) {
    const next = rows.next();
    if (next.done)
      return {
        flows: found,
        coveredFromMs: next.value ? 0n : BigInt(last?.acceptedMs ?? engine.now()),
        more: false,
      };
    const flow = next.value;
    last = flow;
    if (
      (schoolOin !== '' && flow.school !== schoolOin) ||
      (subject !== '' && flow.subject !== subject && senderKeyOf(flow.subject) !== subject) ||
      (key !== '' && flow.key !== key) ||
      (partyOin !== '' && flow.party !== partyOin)
    )
      continue;
    const row = show(flow);
    if (state !== '' && row.state !== state) continue;
    if (found.length === most) return { flows: found, coveredFromMs: BigInt(flow.acceptedMs), more: true };
    found.push(row);
  }
}

/** Newest first; what it ends with says that these are all. */
type Newest = Generator<Readonly<FlowTableRow>, boolean, void>;

/** Rows that may fit, by the narrowest index there is for what is asked. */
function rowsFor(
  engine: EngineView,
  { schoolOin, subject, key, partyOin, beforeMs, learners, subjects }: FindFlowsRequest,
  most: number,
): Newest {
  const before = beforeMs > 0n ? idBefore(Number(beforeMs)) : undefined;
  // Where nothing is filtered away the first page holds all that is wanted, and whether there is more.
  const first = Math.min(PAGE, most + 1);
  if (learners.length > 0) return ofLearner(engine, learners, subjects, before, first);
  const under = subject === '' ? undefined : underKey(engine, subject, before);
  if (under) return merged(newest(engine, { index: 'by_subject', equals: [subject] }, before, first), under);
  if (schoolOin !== '') return newest(engine, { index: 'by_school', equals: [schoolOin] }, before, first);
  if (partyOin !== '') return newest(engine, { index: 'by_party', equals: [partyOin] }, before, first);
  return newest(engine, { equals: [] }, before, key === '' && subject === '' ? first : PAGE);
}

function* newest(
  engine: EngineView,
  where: Pick<ListOptions, 'index' | 'equals'>,
  before: string | undefined,
  first: number,
): Newest {
  let after = before;
  for (let looked = 0, limit = first; looked < LOOKED_AT; looked += limit, limit = PAGE) {
    const page = engine.list(flowsTable, {
      ...where,
      ...(after === undefined ? {} : { after: [after] }),
      descending: true,
      limit,
    });
    yield* page;
    if (page.length < limit) return true;
    after = page.at(-1)!.flowId;
  }
  return false;
}

/** Rows whose subject begins with the key of its sender, newest first; undefined = they are too many to put in order. */
function underKey(engine: EngineView, key: string, before: string | undefined): Readonly<FlowTableRow>[] | undefined {
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
    .filter(({ flowId }) => before === undefined || flowId < before)
    .sort((a, b) => (a.flowId < b.flowId ? 1 : -1));
}

/** Of both, which have none in common, newest first. */
function* merged(rows: Newest, others: readonly Readonly<FlowTableRow>[]): Newest {
  let at = 0;
  for (;;) {
    const next = rows.next();
    if (next.done && !next.value) return false;
    while (at < others.length && (next.done || others[at]!.flowId > next.value.flowId)) yield others[at++]!;
    if (next.done) return true;
    yield next.value;
  }
}

/** About what a learner has, and what was refused of the learner. */
function* ofLearner(
  engine: EngineView,
  learners: readonly string[],
  subjects: readonly Subject[],
  before: string | undefined,
  first: number,
): Newest {
  const refused = learners.map((learner) => refusedOf(engine, learner, before, first));
  const about = [...Map.groupBy(subjects, ({ subject }) => subject)].map(([subject, of]) =>
    fitting(newest(engine, { index: 'by_subject', equals: [subject] }, before, first), of),
  );
  const lists = allOf([...refused, ...about], (rows) => ({ rows, next: rows.next() }));
  let open = lists.filter(({ next }) => !(next.done && next.value));
  let last = '';
  while (open.length > 0) {
    // What is below the end of one list is not known to be the next.
    if (open.some(({ next }) => next.done)) return false;
    const first = open.reduce((a, b) => (flowIdOf(b.next) > flowIdOf(a.next) ? b : a));
    const row = first.next.value as Readonly<FlowTableRow>;
    // What was refused may also be about something that the learner has.
    if (row.flowId !== last) yield row;
    last = row.flowId;
    first.next = first.rows.next();
    if (first.next.done && first.next.value) open = open.filter((list) => list !== first);
  }
  return true;
}

const flowIdOf = ({ value }: IteratorResult<Readonly<FlowTableRow>, boolean>): string =>
  (value as Readonly<FlowTableRow>).flowId;

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

function* refusedOf(engine: EngineView, learner: string, before: string | undefined, first: number): Newest {
  let after = before;
  for (let looked = 0, limit = first; looked < LOOKED_AT; looked += limit, limit = PAGE) {
    const page = engine.list(refusedTable, {
      equals: [learner],
      ...(after === undefined ? {} : { after: [after] }),
      descending: true,
      limit,
    });
    for (const row of allOf(page, ({ flowId }) => engine.get(flowsTable, flowId))) if (row) yield row;
    if (page.length < limit) return true;
    after = page.at(-1)!.flowId;
  }
  return false;
}
