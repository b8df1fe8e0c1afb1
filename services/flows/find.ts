/** Flows by what they are about, from the newest rows. */
import type { EngineView } from '#bus';
import type { FindFlowsRequest, FindFlowsResponse, FlowRow } from '#proto/eduk/flows/v1/flows';
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

/** What is asked must all fit; an empty filter fits anything. `show` also says the state, which rows alone do not. */
export function findFlows(
  engine: EngineView,
  { schoolOin, subject, key, limit, partyOin, state, beforeMs }: FindFlowsRequest,
  show: (flow: Readonly<FlowTableRow>) => FlowRow,
): FindFlowsResponse {
  const most = Math.min(limit || 100, MOST_FOUND);
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
        (subject !== '' && flow.subject !== subject) ||
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
