/** Answers eduk.flows.v1 from rows as of the last commit, and from what rests in the engine. */
import { allOf, callBegan, type EngineView } from '#bus';
import { GatewayError, type Handlers, type Implementation, implement, type Waiters } from '#kernel';
import { type FlowRow, FlowsServiceDefinition, type Step } from '#proto/eduk/flows/v1/flows';
import { type EventName, events } from '#proto/events';
import { beganMs } from './consume.ts';
import { Counts } from './counts.ts';
import { findFlows } from './find.ts';
import { heldOf, isDecided, stateOf } from './flow.ts';
import { noteReads, readFlow } from './reads.ts';
import { MOST_MENDS, mendFlows, Rebuilds } from './rebuild.ts';
import { listRefusals, noteRefusals } from './refusals.ts';
import { Resting } from './resting.ts';
import { listScores } from './scores.ts';
import { type FlowTableRow, flowsTable, reads, type StepCell } from './tables.ts';

const LONGEST_WAIT_MS = 30_000;
/** How long a question about a flow that no row knows waits until this service has read what was accepted. */
const CATCH_UP_MS = 3000;
const MOST_REFERENCES = 100;

export function serve(engine: EngineView, waiters: Waiters): readonly Implementation[] {
  const resting = new Resting(engine);
  const counts = new Counts(engine);
  const rebuilds = new Rebuilds();
  engine.onCommit((_touched, elsewhere) => {
    resting.changed();
    waiters.settled(elsewhere);
  });
  const row = (flowId: string) => engine.get(flowsTable, flowId);
  const show = (flow: Readonly<FlowTableRow> | undefined) => flow && flowRow(flow, resting);
  /** Of so many milliseconds, those that the call has not waited yet. */
  const left = (ms: number) => callBegan() + ms - performance.now();
  const behind = () => engine.ages().some(({ consumer, unread }) => consumer === 'flows' && unread > 0);

  const byReference = (partyOin: string, method: string, referenceKey: Uint8Array): FlowRow | undefined => {
    const found = engine.flowOf({ partyOin, method, referenceKey });
    if (found === undefined) return undefined;
    const known = row(found);
    // Accepted a moment ago: the reference stands before this service has read the event.
    return { ...(known ? flowRow(known, resting) : acceptedOnly(found, partyOin)), method };
  };

  const handlers: Handlers<typeof FlowsServiceDefinition> = {
    async getFlow({ flowId, partyOin, referenceKey, method }) {
      if (flowId !== '') {
        const known = row(flowId);
        const read = known ? undefined : engine.get(reads, flowId);
        if (read) return { flow: readFlow(read) };
        if (known || !behind()) return { flow: show(known) };
        engine.mayWait();
        return { flow: show(await waiters.until(flowId, left(CATCH_UP_MS), () => row(flowId))) };
      }
      if (partyOin === '' || method === '')
        throw new GatewayError('wire.invalid', 'Name a flow, or sender, method and reference.', { where: 'flow_id' });
      return { flow: byReference(partyOin, method, referenceKey) };
    },
    findReferences({ partyOin, references }) {
      if (references.length > MOST_REFERENCES) throw new GatewayError('gateway.bug', 'So many methods there are not.');
      const found = allOf(references, ({ method, key }) => byReference(partyOin, method, key));
      return { flows: found.filter((flow) => flow !== undefined) };
    },
    async awaitDecision({ flowId, waitMs }) {
      const decided = () => {
        const known = row(flowId);
        return known && isDecided(known) ? known : undefined;
      };
      engine.mayWait();
      const known = await waiters.until(flowId, left(Math.min(Number(waitMs), LONGEST_WAIT_MS)), decided);
      return { flow: show(known ?? row(flowId)) };
    },
    findFlows: (asked) => findFlows(engine, asked, (flow) => flowRow(flow, resting)),
    countFlows: () => counts.count(),
    noteRefusals({ notes }) {
      noteRefusals(engine, notes);
      return {};
    },
    listScores: (asked) => ({ rows: listScores(engine, asked) }),
    noteReads({ notes }) {
      noteReads(engine, notes);
      return {};
    },
    listRefusals: (asked) => ({ notes: listRefusals(engine, asked) }),
    stepRebuild: (asked) => rebuilds.step(engine, asked),
    mendFlows({ mends }) {
      if (mends.length > MOST_MENDS) throw new GatewayError('gateway.bug', 'So many are not mended at once.');
      let right: string[] = [];
      engine.note((unit) => {
        right = mendFlows(unit, mends);
      });
      for (const flowId of right) waiters.hint(flowId);
      return { mended: right.length };
    },
  };
  return [implement(FlowsServiceDefinition, handlers)];
}

function flowRow(flow: Readonly<FlowTableRow>, resting: Resting): FlowRow {
  const state = stateOf(flow);
  const asked = flow.type as EventName | '';
  const service = asked === '' ? '' : events[asked].stream;
  const rest = state === 'accepted' ? resting.of(flow.flowId, service, flow.key) : undefined;
  const steps: Step[] = [];
  const add = ({ step, atMs, code, told, state: how }: StepCell) =>
    steps.push({ step, service: serviceOf(step), atMs: BigInt(atMs), code: code ?? '', told: told ?? '', state: how });
  if (asked !== '') add({ step: asked, atMs: flow.acceptedMs, state: 'done' });
  const { outcome, code, told, decidedMs: atMs } = flow;
  for (const step of flow.steps ?? []) if (step.atMs < atMs || step.state === 'held') add(step);
  if (outcome !== '')
    add({
      step: outcome,
      atMs,
      ...(flow.says === 'refused' || flow.says === 'held' ? { code, told } : {}),
      state: flow.says === 'refused' || flow.says === 'held' ? flow.says : 'done',
    });
  for (const step of flow.steps ?? []) if (!(step.atMs < atMs || step.state === 'held')) add(step);
  if (rest)
    steps.push({
      step: asked,
      service: rest.service,
      atMs: BigInt(rest.sinceMs),
      code: rest.code,
      told: rest.told,
      state: rest.state,
    });
  return {
    flowId: flow.flowId,
    partyOin: flow.party,
    method: flow.method,
    schoolOin: flow.school,
    key: flow.key,
    subject: flow.subject,
    state: rest?.state ?? state,
    code: rest?.code ?? code,
    told: rest?.told ?? told,
    outcome,
    acceptedMs: BigInt(flow.acceptedMs),
    decidedMs: BigInt(atMs),
    steps,
    losses: flow.losses ?? [],
    ...heldOf(flow),
  };
}

/** A door writes what was asked; the stream's service answers. */
const serviceOf = (step: string): string =>
  step.endsWith('Submitted') ? 'door' : (events[step as EventName]?.stream ?? '');

const acceptedOnly = (flowId: string, partyOin: string): FlowRow => ({
  flowId,
  partyOin,
  method: '',
  schoolOin: '',
  key: '',
  subject: '',
  state: 'accepted',
  code: '',
  told: '',
  outcome: '',
  acceptedMs: BigInt(beganMs(flowId) ?? 0),
  decidedMs: 0n,
  steps: [],
  losses: [],
  changes: 0,
  held: 0,
});
