/** Who learners are, outside of any delivery: a privacy officer asks, another person decides, the officer fetches it once. */
import { GatewayError } from '#kernel';
import type { FlowRow } from '#proto/eduk/flows/v1/flows';
import type * as op from '#proto/eduk/operator/v1/operator';
import type { AskedReveal } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { type AttributeName, askable, revealAsked, tablesOf } from '#release';
import { type Caller, operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { requirePerson } from '../operators.ts';
import { flowOf } from '../reads/flows.ts';
import { requireKnown } from '../reads/known.ts';

/** What a school needs to find a pupil in its own administration, and a person to see that it is the right one. */
const DEFAULT: readonly AttributeName[] = ['las_key', 'call_name', 'family_name'];
const LEARNER = /^lt_/;

const told = (asked: AskedReveal, { person }: Caller): op.LearnerReveal => ({
  asked,
  mine: person !== undefined && Buffer.from(asked.askedBy).equals(person.id),
});

/** Tokens of the learners that a message was about. Faults: state.missing, wire.invalid. */
async function learnersOf(gate: Gate, schoolOin: string, flowId: string): Promise<string[]> {
  const flow = await flowOf(gate, operator, { flowId, reference: '', method: '' });
  if (flow.schoolOin !== '' && flow.schoolOin !== schoolOin)
    throw new GatewayError('state.missing', 'This flow is of another school.', { where: 'flow_id' });
  if (LEARNER.test(flow.key)) return [flow.key];
  const holders = await holdersOf(gate, schoolOin, flow);
  const tokens = holders.flatMap((holder) => (holder?.learner ? [holder.learner] : []));
  if (tokens.length > 0) return [...new Set(tokens)];
  throw new GatewayError('wire.invalid', 'This flow is about no learner by itself: name learners by their tokens.', {
    where: 'flow_id',
  });
}

/** Whom a message was about that is kept under its order or entitlement. */
async function holdersOf(
  { door }: Gate,
  schoolOin: string,
  { method, subject, partyOin }: FlowRow,
): Promise<({ learner: string } | undefined)[]> {
  const { orders, entitlements } = door.services;
  if (method.startsWith('EntitlementService/')) {
    const { entitlement } = await entitlements.getEntitlement({ schoolOin, entitlementId: subject });
    return [entitlement?.holder];
  }
  if (!method.startsWith('OrderService/')) return [];
  const found = await orders.getOrder({ orderId: subject, buyerOin: '', partyOin: '' });
  const here = found.orders.filter((order) => order.schoolOin === schoolOin);
  const own = here.filter((order) => order.buyerOin === partyOin);
  const [order, ...others] = own.length > 0 ? own : here;
  // Buyers may have chosen the same id: then a seller's message does not say which it is about.
  return order && others.length === 0 ? order.lines.map(({ line }) => line) : [];
}

async function ask(request: op.AskRevealRequest, gate: Gate, caller: Caller): Promise<op.AskRevealResponse> {
  const askedBy = requirePerson(caller, 'asks');
  const { schoolOin, reason, flowId } = request;
  const { chain, services } = gate.door;
  if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  if (!chain.knowsSchool(schoolOin))
    throw new GatewayError('state.missing', 'No school has this OIN.', { where: 'school_oin' });
  if ((flowId === '') === (request.tokens.length === 0))
    throw new GatewayError('wire.invalid', 'Name learners by their tokens, or a flow.', { where: 'tokens' });
  const names = request.attributes.length > 0 ? request.attributes : DEFAULT;
  if (!names.every((name) => askable.has(name as AttributeName)))
    throw new GatewayError('wire.invalid', 'This is no attribute of a learner that the vault holds.', {
      where: 'attributes',
    });
  const attributes = [...askable].filter((name) => names.includes(name));
  const tokens = flowId === '' ? request.tokens : await learnersOf(gate, schoolOin, flowId);
  const { asked } = await services.vault.askReveal({
    schoolOin,
    reason,
    attributes,
    tokens,
    flowId,
    askedBy,
    ...tablesOf(new Set(attributes)),
  });
  return { asked: told(asked!, caller) };
}

async function tell({ requestId }: op.FetchRevealRequest, gate: Gate, caller: Caller): Promise<op.FetchRevealResponse> {
  const askedBy = requirePerson(caller, 'asks');
  const { asked, people } = await revealAsked(gate.door.services.vault, { requestId, askedBy, party: operator.oin });
  const learners = people.reveal((list) =>
    asked.tokens.map((token, i) => ({
      token,
      known: list[i] !== undefined,
      ref: list[i]?.ref,
      person: list[i]?.person,
    })),
  );
  return { asked: told(asked, caller), learners };
}

export const revealUnary: Record<string, (request: any, gate: Gate, caller: Caller) => Promise<unknown>> = {
  askReveal: ask,
  listReveals: async ({ schoolOin }: op.ListRevealsRequest, gate, caller): Promise<op.ListRevealsResponse> => {
    const { asked } = await gate.door.services.vault.listAskedReveals({ schoolOin });
    if (asked.length === 0) await requireKnown(gate, { partyOin: '', schoolOin });
    return { reveals: asked.map((one) => told(one, caller)) };
  },
  decideReveal: async (request: op.DecideRevealRequest, gate, caller): Promise<op.DecideRevealResponse> => {
    const decidedBy = requirePerson(caller, 'decides');
    const { asked } = await gate.door.services.vault.decideReveal({ ...request, decidedBy });
    return { asked: told(asked!, caller) };
  },
  fetchReveal: tell,
};
