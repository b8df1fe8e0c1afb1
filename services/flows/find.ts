/** Flows by what they are about, from the newest rows. */
import type { EngineView } from '#bus';
import { senderKeyOf } from '#kernel';
import type { FindFlowsRequest, FindFlowsResponse, FlowRow } from '#proto/eduk/flows/v1/flows';
import { findReads, READ } from './reads.ts';
import { type FlowTableRow, flowsTable } from './tables.ts';

const PAGE = 1000;
/** Rows looked at, newest first. */
const LOOKED_AT = 20_000;
const MOST_FOUND = 1000;

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
  { schoolOin, subject, key, partyOin, state, beforeMs }: FindFlowsRequest,
  most: number,
  show: (flow: Readonly<FlowTableRow>) => FlowRow,
): FindFlowsResponse {
  const found: FlowRow[] = [];
  let after = beforeMs > 0n ? idBefore(Number(beforeMs)) : undefined;
  let last: Readonly<FlowTableRow> | undefined;
  for (let looked = 0; looked < LOOKED_AT; looked += PAGE) {
    const page = engine.list(flowsTable, {
      equals: [],
      ...(after === undefined ? {} : { after: [after] }),
      descending: true,
      limit: PAGE,
    });
    for (const flow of page) {
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
    if (page.length < PAGE) return { flows: found, coveredFromMs: 0n, more: false };
    after = page.at(-1)!.flowId;
  }
  return { flows: found, coveredFromMs: BigInt(last?.acceptedMs ?? 0), more: false };
}
