import { brinOf, GatewayError, isBrin, isOin, isSchoolOin, schoolOin } from '#kernel';
import type { FindDeliveredResponse } from '#proto/eduk/delivery/v1/delivery';
import type { EntitlementRow, ListProductSchoolsResponse } from '#proto/eduk/entitlements/v1/entitlements';
import type { FindFlowsResponse, FlowRow, Subject } from '#proto/eduk/flows/v1/flows';
import type { SearchFlowsRequest, SearchFlowsResponse } from '#proto/eduk/gateway/v1/flow';
import type * as op from '#proto/eduk/operator/v1/operator';
import { ListFlowsRequest } from '#proto/eduk/operator/v1/operator';
import { type Caller, operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { hasRef } from '../intake/people.ts';
import { mayHave } from './dead.ts';
import { flowNow } from './flows.ts';
import { schoolNamed } from './known.ts';
import { tokenFor } from './names.ts';

/** What an operator looks for, and how everything is. */

const NONE: Delivered = { rows: [], gone: 0, partial: false };

const MOST = 200;
const USUAL = 50;
const DAY_MS = 86_400_000;
const EAN = /^\d{13}$/;
/** Orders, and entitlements, of one product that are looked for. */
const MOST_OF_PRODUCT = 1_000;
/** Things of one learner that are looked for. */
const MOST_OF_LEARNER = 5_000;
/** Pages of entitlements, of 5,000 each, that are looked through for a product: of one school or several. */
const PAGES_OF_PRODUCT = 8;
const FLOW = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Of what goes out together a part has the id of the whole, and says which it is. */
const DELIVERY = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.\w)*$/;

/** Names of those of some parties and schools that are registered. */
function namesIn({ door }: Gate, oins: Iterable<string>): op.PartyName[] {
  return [...new Set(oins)].flatMap((oin) => {
    const name = door.chain.party(oin)?.name;
    return name === undefined || name === '' ? [] : [{ oin, name }];
  });
}

const foundOf = ({ flowId, method, partyOin, schoolOin, subject, state, code, acceptedMs }: FlowRow): op.FoundFlow => ({
  flowId,
  method,
  partyOin,
  schoolOin,
  subject,
  state,
  code,
  acceptedMs,
});

/** As the contract names them. */
const STATES = new Set(['accepted', 'waiting', 'held', 'parked', 'refused', 'decided', 'done', 'read']);

const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);

type Delivered = Pick<FindDeliveredResponse, 'rows' | 'gone' | 'partial'>;

/** Nothing found is an empty list; by a product only the operator finds what is about others. Faults: wire.invalid; of who asks for a learner also state.missing, learner.unknown and school.closed. */
export async function searchFlows(
  request: op.ListFlowsRequest,
  gate: Gate,
  isOperator = true,
): Promise<op.ListFlowsResponse> {
  const { partyOin, state, fromMs, beforeMs, after } = request;
  if (state !== '' && !STATES.has(state))
    throw new GatewayError('wire.invalid', 'No message is in such a state.', { where: 'state' });
  const text = request.text.trim();
  const limit = Math.min(request.limit || USUAL, MOST);
  const school = schoolNamed(request.schoolOin);
  const { flows } = gate.door.asked;
  const ask = {
    ...{ schoolOin: school, subject: '', key: '', limit, partyOin, state, fromMs, beforeMs, after },
    ...{ learners: [] as string[], subjects: [] as Subject[] },
  };
  const fits = (flow: FlowRow, by = partyOin): boolean =>
    (school === '' || flow.schoolOin === school) &&
    (by === '' || flow.partyOin === by) &&
    (state === '' || flow.state === state) &&
    flow.acceptedMs >= fromMs &&
    (beforeMs === 0n || flow.acceptedMs < beforeMs) &&
    // What is known by its id or reference is of the first page.
    after === '';
  const answer = (
    rows: readonly FlowRow[],
    found?: Omit<FindFlowsResponse, 'flows'>,
    { rows: deliveries, gone, partial }: Delivered = NONE,
  ): op.ListFlowsResponse => ({
    flows: rows.map(foundOf),
    coveredFromMs: found?.coveredFromMs ?? 0n,
    more: found?.more ?? false,
    next: found?.next ?? '',
    missing: partial ? ['deliveries'] : [],
    deliveries: deliveries.map(({ eventId: deliveryId, ...row }) => ({ ...row, deliveryId })),
    gone,
    names: namesIn(gate, [
      ...rows.flatMap((row) => [row.partyOin, row.schoolOin]),
      ...deliveries.map(({ delivery }) => delivery!.partyOin),
    ]),
  });
  if (hasRef(request.learner)) {
    const { learners, subjects, coveredFromMs } = await ofLearner({ ...request, text, schoolOin: school }, gate);
    const found = await flows.findFlows({ ...ask, learners, subjects });
    return answer(found.flows, { ...found, coveredFromMs: later(found.coveredFromMs, coveredFromMs) });
  }
  if (DELIVERY.test(text)) {
    const flow = FLOW.test(text)
      ? await flowNow(gate, operator, { flowId: text, reference: '', method: '' })
      : undefined;
    if (flow) return answer(fits(flow) ? [flow] : []);
    const delivered = await gate.door.asked.delivery.findDelivered({ id: text, partyOin: isOperator ? '' : partyOin });
    const ids = [...new Set(delivered.rows.map(({ flowId }) => flowId))];
    const known = await Promise.all(
      ids.map((flowId) => flowNow(gate, operator, { flowId, reference: '', method: '' })),
    );
    // Of all that went out under the id, which is no more than one request: a party is its sender or receiver.
    const sent = new Map(known.flatMap((one) => (one && fits(one, '') ? [[one.flowId, one]] : [])));
    const rows = delivered.rows.filter(
      ({ flowId, delivery }) =>
        sent.has(flowId) && ['', delivery!.partyOin, sent.get(flowId)!.partyOin].includes(partyOin),
    );
    const told = new Set(rows.map(({ flowId }) => flowId));
    const found = [...sent.values()].filter(({ flowId }) => told.has(flowId));
    return answer(
      found.sort((a, b) => (a.flowId < b.flowId ? 1 : -1)),
      undefined,
      { ...delivered, rows },
    );
  }
  if (isSchoolOin(text) || isBrin(text)) {
    const asked = isBrin(text) ? schoolOin(text) : text;
    if (school !== '' && school !== asked) return answer([]);
    const found = await flows.findFlows({ ...ask, schoolOin: asked });
    return answer(found.flows, found);
  }
  // What is known by this text itself comes first; a reference only its sender and the bus know. Most texts are none, so nothing is waited for.
  const asSender = isOin(text) && brinOf(text) === undefined && (partyOin === '' || partyOin === text);
  const productId = text.replaceAll('-', '');
  const ofText = async (): Promise<{ found: FindFlowsResponse; missing: string[] }> => {
    if (asSender) return { found: await flows.findFlows({ ...ask, partyOin: text }), missing: [] };
    if (!isOperator || !EAN.test(productId))
      return { found: await flows.findFlows({ ...ask, subject: text }), missing: [] };
    const { subjects, missing, coveredFromMs } = await ofProduct(productId, school, gate);
    const itself = { subject: productId, partyOins: [], services: [] };
    const found = await flows.findFlows({ ...ask, subject: text, subjects: [itself, ...subjects] });
    return { found: { ...found, coveredFromMs: later(found.coveredFromMs, coveredFromMs) }, missing };
  };
  const [byReference, { found, missing }] = await Promise.all([
    text !== '' && partyOin !== ''
      ? flowNow(gate, operator, { flowId: '', partyOin, reference: text, method: '' })
      : undefined,
    ofText(),
  ]);
  const first = byReference && fits(byReference) ? [byReference] : [];
  const rest = found.flows.filter(({ flowId }) => flowId !== byReference?.flowId);
  return { ...answer([...first, ...rest], found), missing };
}

/**
 * What the owners have of a product, and what of it there was no end to. Entitlements are not kept by product, as that would cost each grant:
 * those of one school after the other are looked through, where there are any.
 */
async function ofProduct(
  productId: string,
  schoolOin: string,
  { door: { asked: of } }: Gate,
): Promise<{ subjects: Subject[]; missing: string[]; coveredFromMs: bigint }> {
  const missing: string[] = [];
  const asked = { productId, learner: '', partyOin: '', limit: MOST_OF_PRODUCT };
  const ofSchools = async ({ schoolOins, more }: Pick<ListProductSchoolsResponse, 'schoolOins' | 'more'>) => {
    const rows: EntitlementRow[] = [];
    let pages = 0;
    let isCut = more;
    for (const schoolOin of schoolOins)
      for (let after = ''; ; ) {
        if (pages === PAGES_OF_PRODUCT || rows.length > MOST_OF_PRODUCT) {
          isCut = true;
          break;
        }
        pages += 1;
        const { entitlements, next } = await of.entitlements.listEntitlements({
          ...{ ...asked, schoolOin, groups: [], orderId: '', waiting: true, after },
        });
        rows.push(...entitlements);
        after = next;
        if (after === '') break;
      }
    if (isCut || rows.length > MOST_OF_PRODUCT) missing.push('entitlements');
    return rows.slice(0, MOST_OF_PRODUCT);
  };
  const schools =
    schoolOin === ''
      ? await of.entitlements.listProductSchools({ productId, limit: PAGES_OF_PRODUCT })
      : { schoolOins: [schoolOin], more: false, sinceMs: 0n };
  const [{ orders, next }, entitlements] = await Promise.all([
    of.orders.listOrders({ ...asked, schoolOin, waiting: true, after: '' }),
    ofSchools(schools),
  ]);
  if (next !== '' || orders.length > MOST_OF_PRODUCT) missing.push('orders');
  return {
    subjects: [
      ...orders.slice(0, MOST_OF_PRODUCT).map(({ orderId, buyerOin, lines }) => ({
        subject: orderId,
        partyOins: [...new Set([buyerOin, ...lines.map(({ line }) => line?.sellerOin ?? '')])],
        services: ['orders'],
      })),
      ...entitlements.map(({ terms }) => ({
        subject: terms?.entitlementId ?? '',
        partyOins: [],
        services: ['entitlements', 'access'],
      })),
    ],
    missing,
    coveredFromMs: schools.sinceMs,
  };
}

/** What the owners have of a learner of a school, and the tokens by which the learner is known there. */
async function ofLearner(
  { text, schoolOin, learner, pseudonymOfOin }: op.ListFlowsRequest,
  gate: Gate,
): Promise<{ learners: string[]; subjects: Subject[]; coveredFromMs: bigint }> {
  const { asked, chain } = gate.door;
  if (text !== '') throw new GatewayError('wire.invalid', 'Ask by learner or by text.', { where: 'text' });
  if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  if (pseudonymOfOin !== '' && !chain.party(pseudonymOfOin))
    throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'pseudonym_of_oin' });
  const of = { schoolOin, learner: await tokenFor(gate, pseudonymOfOin, schoolOin, learner!) };
  const [orders, entitlements, access, results] = await Promise.all([
    asked.orders.listSubjects(of),
    asked.entitlements.listSubjects(of),
    asked.access.listSubjects(of),
    asked.results.listSubjects(of),
  ]);
  const answered: [{ subjects: Subject[]; coveredFromMs: bigint }, string[]][] = [
    [orders, ['orders']],
    // Their provisioning is of access.
    [entitlements, ['entitlements', 'access']],
    [access, ['access']],
    [results, ['results']],
  ];
  const all = answered.flatMap(([{ subjects }, services]) => subjects.map((one) => ({ ...one, services })));
  // Of what is left out it is not known when it came.
  const cutMs = all.length > MOST_OF_LEARNER ? BigInt(gate.door.clock.now()) : 0n;
  return {
    learners: entitlements.learners,
    subjects: all.slice(0, MOST_OF_LEARNER),
    coveredFromMs: answered.reduce((last, [{ coveredFromMs }]) => (coveredFromMs > last ? coveredFromMs : last), cutMs),
  };
}

/** Of a party's own messages, and of what was sent to it. Faults: none of its own; of others nothing is found. */
export async function searchOwnFlows(
  { schoolOin: named, ...asked }: SearchFlowsRequest,
  caller: Caller,
  gate: Gate,
): Promise<SearchFlowsResponse> {
  const schoolOin = schoolNamed(named);
  // A token for one school knows of that school alone.
  if (caller.school !== undefined && schoolOin !== '' && schoolOin !== caller.school)
    return { flows: [], coveredFromMs: 0n, more: false, next: '', deliveries: [], gone: 0, partial: false };
  const request = ListFlowsRequest.fromPartial({
    ...asked,
    partyOin: caller.oin,
    schoolOin: caller.school ?? schoolOin,
  });
  const { flows, deliveries, missing, ...found } = await searchFlows(request, gate, false);
  const { coveredFromMs, more, next, gone } = found;
  const own = flows.filter(({ partyOin }) => partyOin === caller.oin);
  const sent = new Set(own.map(({ flowId }) => flowId));
  const may = new Map<string, boolean>();
  return {
    flows: own.map(({ partyOin: _, ...flow }) => flow),
    deliveries: deliveries.map(({ deliveryId, flowId, schoolOin, about, delivery }) => {
      const { service, type, state, attempts, status, atMs } = delivery!;
      const isTold = mayHave({ service, schoolOin }, caller, gate, may);
      return {
        ...{ deliveryId, service, schoolOin, kind: isTold ? type : '', about: isTold ? about : '' },
        ...{ state, attempts, status, atMs, flowId: sent.has(flowId) ? flowId : '' },
      };
    }),
    ...{ coveredFromMs, more, next, gone, partial: missing.includes('deliveries') },
  };
}

export async function showOverview(gate: Gate): Promise<op.ShowOverviewResponse> {
  const { asked, services } = gate.door;
  const [{ minutes, counts, coveredFromMs }, { notes }, { endpoints }] = await Promise.all([
    asked.flows.countFlows({}),
    asked.flows.listRefusals({ schoolOin: '', orderId: '', productId: '', limit: MOST }),
    services.delivery.listEndpoints({ idle: true, partyOin: '' }),
  ]);
  const since = BigInt(gate.door.clock.now() - DAY_MS);
  const refusals = notes.filter(({ atMs }) => atMs >= since);
  return {
    minutes,
    counts,
    coveredFromMs,
    refusals,
    endpoints,
    names: namesIn(gate, [
      ...counts.map(({ partyOin }) => partyOin),
      ...endpoints.map(({ partyOin }) => partyOin),
      ...refusals.flatMap(({ partyOin, schoolOin }) => [partyOin, schoolOin]),
    ]),
  };
}
