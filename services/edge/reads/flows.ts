import { GatewayError } from '#kernel';
import type { FlowDelivery } from '#proto/eduk/delivery/v1/delivery';
import type { FlowRow } from '#proto/eduk/flows/v1/flows';
import type { Flow, FlowStep } from '#proto/eduk/gateway/v1/flow';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { settle } from '../settle.ts';
import { referenceKey } from '../stages/accept.ts';

/** Methods a reference can belong to, for GetFlow without one. */
const writeMethods = [
  'OrderService/PlaceOrder',
  'OrderService/ConfirmOrder',
  'OrderService/CancelOrder',
  'EntitlementService/GrantEntitlements',
  'EntitlementService/WithdrawEntitlements',
  'EntitlementService/ReportUsage',
  'ResultService/ReturnResults',
  'RosterService/PushRoster',
  'CatalogueService/PublishProducts',
  'AccessService/ProvisionAccess',
  'AccessService/RevokeAccess',
  'AccessService/CreateLaunch',
  'AccessService/RedeemLaunch',
  'IdentityService/RegisterLearners',
  'IdentityService/ForgetLearner',
  'PartyService/GrantMandate',
  'PartyService/WithdrawMandate',
  'PartyService/ConfirmMandate',
  'PartyService/AcceptMandate',
  'PartyService/RefuseMandate',
  'DeliveryService/Retry',
  'DeliveryService/Hold',
  'DeliveryService/Release',
  'DeliveryService/PreviewReplay',
  'DeliveryService/Replay',
  'DeliveryService/StopReplay',
  'uwlr/BrengLeerresultaten',
  'edexml/import',
];

interface AskedFlow {
  flowId: string;
  reference: string;
  method: string;
  partyOin?: string;
}

/** A person waits for nothing that comes in meanwhile; programs, which ask for each message of theirs, go the way of the messages. */
const waysOf = (door: Gate['door'], { kind }: Caller) => (kind === 'operator' ? door.asked : door.services);

/** The flow a caller means; state.missing for another party's. */
export async function flowOf(gate: Gate, caller: Caller, asked: AskedFlow): Promise<FlowRow> {
  const flow = await settle(gate.door, () => flowNow(gate, caller, asked));
  if (!flow) throw new GatewayError('state.missing', undefined, { where: asked.flowId ? 'flow_id' : 'reference' });
  return flow;
}

/** The same as far as it is known now. */
export async function flowNow({ door }: Gate, caller: Caller, asked: AskedFlow): Promise<FlowRow | undefined> {
  const party = caller.kind === 'operator' ? (asked.partyOin ?? '') : caller.oin;
  if (asked.flowId) {
    const { flow } = await waysOf(door, caller).flows.getFlow({
      flowId: asked.flowId,
      partyOin: '',
      referenceKey: new Uint8Array(0),
      method: '',
    });
    // Another party's answers as late as nobody's: the time tells nothing of what there is.
    return flow && (caller.kind === 'operator' || flow.partyOin === caller.oin) && isWithin(caller, flow)
      ? flow
      : undefined;
  }
  if (!asked.reference || !party)
    throw new GatewayError('wire.invalid', 'Name a flow, or a reference and its party.', { where: 'flow_id' });
  const { flows } = await waysOf(door, caller).flows.findReferences({
    partyOin: party,
    references: (asked.method ? [asked.method] : writeMethods).map((method) => ({
      method,
      key: referenceKey(door, party, method, asked.reference),
    })),
  });
  return flows.find((flow) => isWithin(caller, flow));
}

/** What a token for one school may know of: messages about that school. */
export const isWithin = (caller: Caller, flow: FlowRow): boolean =>
  caller.school === undefined || flow.schoolOin === caller.school;

/** How a step reads of a delivery; others have the same name. */
const stepStates: Readonly<Record<string, string>> = {
  ready: 'done',
  delivered: 'done',
  untold: 'done',
  sending: 'waiting',
  failing: 'waiting',
};

/** What came of sending, in words: attempts and the last status, nothing that a receiver wrote. */
function toldOf({ state, standard, attempts, status, cause, nextMs }: FlowDelivery): string {
  if (standard === '') return '';
  const answer = [status === 0 ? '' : status, cause].filter(Boolean).join(' ');
  const tries = `attempt ${attempts}${answer === '' ? ' had no answer' : ` was answered ${answer}`}`;
  const next = nextMs > 0n ? `, the next after ${new Date(Number(nextMs)).toISOString()}` : '';
  switch (state) {
    case 'delivered':
      return `${standard}: ${tries}`;
    case 'untold':
      return `${standard}: nothing in it is for this receiver`;
    case 'dropped':
      return `${standard}: dropped by an operator after ${attempts} attempt${attempts === 1 ? '' : 's'}`;
    case 'sending':
      return `${standard}: attempt ${attempts} is under way`;
    case 'waiting':
      return `${standard}: waits to be sent`;
    default:
      return `${standard}: ${tries}${next}`;
  }
}

/** A hold that was decided is known for so long: after that nobody knows whether it was by class. */
const HOLDS_KNOWN_MS = 30 * 86_400_000;

/** Whether how many changes were decided, and when, would tell an operator how large a small class is. */
async function tellsClasses({ door }: Gate, caller: Caller, row: FlowRow): Promise<boolean> {
  if (caller.kind !== 'operator' || row.changes < 2) return false;
  if (Number(row.acceptedMs) <= door.clock.now() - HOLDS_KNOWN_MS) return true;
  const asked = { schoolOin: row.schoolOin, decided: true };
  const holds = await door.services.entitlements.listChangeHolds(asked).then(
    (answer) => answer.holds,
    () => undefined,
  );
  // Where it cannot be found out it is not told.
  return holds?.some(({ byClass, byOin }) => byClass && byOin === row.partyOin) ?? true;
}

/** Of steps that read alike the first. */
const alike = (steps: readonly FlowStep[]): FlowStep[] =>
  [
    ...Map.groupBy(steps, ({ step, service, receiverOin, state, code }) =>
      [step, service, receiverOin, state, code].join('\n'),
    ).values(),
  ].map(([first]) => first!);

/** Steps of the services, then what became of its events at each receiver. */
export async function present(gate: Gate, caller: Caller, row: FlowRow, reference: string): Promise<Flow> {
  const { deliveries } = await waysOf(gate.door, caller).delivery.flowRows({ flowId: row.flowId });
  const steps: FlowStep[] = row.steps.map((step) => ({ ...step, receiverOin: '', losses: [] }));
  for (const delivery of deliveries)
    steps.push({
      step: delivery.type,
      service: 'delivery',
      atMs: delivery.atMs,
      code: delivery.code,
      told: toldOf(delivery),
      receiverOin: delivery.partyOin,
      state: stepStates[delivery.state] ?? delivery.state,
      losses: delivery.losses,
    });
  const heldAtLeast = await tellsClasses(gate, caller, row);
  const parked = deliveries.some(({ state }) => state === 'parked');
  const state = row.state === 'decided' && parked ? 'parked' : row.state;
  return {
    flowId: row.flowId,
    reference,
    method: row.method,
    schoolOin: row.schoolOin,
    state,
    steps: heldAtLeast ? alike(steps) : steps,
    ended: ['decided', 'refused', 'done', 'read'].includes(state),
    subject: row.subject,
    losses: row.losses,
    changes: row.changes,
    held: heldAtLeast ? Math.min(row.held, 1) : row.held,
    heldAtLeast,
  };
}
