/** Answers to pulls: asked of the owner by its proto, then through release. */
import { GatewayError, isSchoolYear, isSiteCode } from '#kernel';
import { EntitlementState, EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { Decision } from '#proto/eduk/core/v1/receipt';
import type { FlowRow } from '#proto/eduk/flows/v1/flows';
import { AuditServiceDefinition } from '#proto/eduk/gateway/v1/audit';
import {
  CatalogueServiceDefinition,
  type GetProductRequest,
  type SearchProductsRequest,
} from '#proto/eduk/gateway/v1/catalogue';
import { DeliveryServiceDefinition } from '#proto/eduk/gateway/v1/delivery';
import {
  type CompareEntitlementsRequest,
  type Entitlement,
  EntitlementServiceDefinition,
  type GetEntitlementRequest,
  type ListEntitlementsRequest,
} from '#proto/eduk/gateway/v1/entitlement';
import {
  FlowServiceDefinition,
  type GetFlowRequest,
  type LaunchesRequest,
  type PreflightRequest,
  type ReadinessRequest,
  type SearchFlowsRequest,
  type WhyBlockedRequest,
} from '#proto/eduk/gateway/v1/flow';
import {
  type GetOrderRequest,
  type ListOrdersRequest,
  type Order,
  OrderServiceDefinition,
} from '#proto/eduk/gateway/v1/order';
import {
  type GetPartyRequest,
  type GetScorecardRequest,
  type ListMandatesRequest,
  type ListPartiesRequest,
  type ListReviewsRequest,
  PartyServiceDefinition,
} from '#proto/eduk/gateway/v1/party';
import {
  type GetProgressRequest,
  type ListResultsRequest,
  ResultServiceDefinition,
} from '#proto/eduk/gateway/v1/result';
import { type GetRosterRequest, RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { revealRoster } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { headCursor } from '../head.ts';
import { gives } from '../intake/parties.ts';
import { hasRef } from '../intake/people.ts';
import { purposeFor, requireSite, tryPurpose } from '../purpose.ts';
import { settle } from '../settle.ts';
import { referenceKey } from '../stages/accept.ts';
import { actsForSchool, requireRole } from '../stages/authorise.ts';
import { listDeadLetters } from './dead.ts';
import { concerns, showEntitlements } from './entitlements.ts';
import { flowOf, isWithin, present } from './flows.ts';
import { launches } from './launches.ts';
import { isOfSchool } from './mandates.ts';
import { groupsOf, tokenOf } from './names.ts';
import { isElsewhere, showOrder } from './orders.ts';
import { preflight } from './preflight.ts';
import { progress } from './progress.ts';
import { readiness } from './readiness.ts';
import { getLogConsistency, getLogHead, getReceipt } from './receipts.ts';
import { showResults } from './results.ts';
import { scorecard } from './scores.ts';
import { searchOwnFlows } from './search.ts';
import { why } from './why-party.ts';

export type Read = (request: any, caller: Caller, gate: Gate) => Promise<unknown>;

const limitOf = (asked: number): number => {
  if (asked > 1000) throw new GatewayError('wire.invalid', 'A limit is at most 1,000.', { where: 'limit' });
  return asked || 100;
};

/** A page of what is sorted in memory. */
function page<T>(
  gate: Gate,
  caller: Caller,
  of: string,
  items: readonly T[],
  key: (item: T) => string,
  request: { limit: number; cursor: string },
): { items: T[]; cursor: string } {
  const after = gate.cursors.open(caller.oin, of, request.cursor);
  const limit = limitOf(request.limit);
  const rest = items.filter((item) => key(item) > after).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const shown = rest.slice(0, limit);
  return { items: shown, cursor: gate.cursors.seal(caller.oin, of, rest.length > limit ? key(shown.at(-1)!) : '') };
}

const getParty: Read = async ({ oin }: GetPartyRequest, caller, { door }) => {
  const party = door.chain.party(oin);
  if (!party || !sharesWith(door.chain, caller, oin))
    throw new GatewayError('state.missing', undefined, { where: 'oin' });
  return { party };
};

/** Parties see themselves, schools, and whoever has a mandate of a school that they have one of too. */
function sharesWith(chain: Gate['door']['chain'], caller: Caller, oin: string): boolean {
  if (caller.kind === 'operator' || caller.oin === oin) return true;
  const other = chain.party(oin);
  if (!other) return false;
  if (other.roles.includes(Role.ROLE_SCHOOL)) return true;
  if (caller.roles.has(Role.ROLE_SCHOOL) || caller.roles.has(Role.ROLE_BOARD))
    return chain
      .mandates()
      .some(
        (mandate) =>
          mandate.partyOin === oin &&
          (mandate.schoolOin === caller.oin || chain.party(mandate.schoolOin)?.boardOin === caller.oin),
      );
  const own = new Set(chain.schoolsOf(caller.oin));
  return chain.schoolsOf(oin).some((school) => own.has(school));
}

const listParties: Read = async (request: ListPartiesRequest, caller, gate) => {
  const { chain } = gate.door;
  const shown = chain
    .parties()
    .filter(
      (party) =>
        (request.role === Role.ROLE_UNSPECIFIED || party.roles.includes(request.role)) &&
        sharesWith(chain, caller, party.oin),
    );
  const { items, cursor } = page(gate, caller, 'parties', shown, (party) => party.oin, request);
  return { parties: items, cursor };
};

const listMandates: Read = async (request: ListMandatesRequest, caller, gate) => {
  const { chain } = gate.door;
  const watchCursor = request.cursor
    ? ''
    : await headCursor(gate.door, gate.cursors, caller, Service.SERVICE_UNSPECIFIED);
  // What the mailbox had told by then is in the list.
  if (!request.cursor) await chain.refresh();
  const shown = chain
    .mandates()
    .filter(
      (mandate) =>
        (caller.kind === 'operator' || mandate.partyOin === caller.oin || gives(gate.door, caller, mandate)) &&
        (request.schoolOin === '' || isOfSchool(chain, mandate, request.schoolOin)) &&
        (request.partyOin === '' || mandate.partyOin === request.partyOin),
    );
  const { items, cursor } = page(gate, caller, 'mandates', shown, (mandate) => mandate.mandateId, request);
  return { mandates: items.map((mandate) => chain.shown(mandate)), cursor, watchCursor };
};

/** What the schools of the caller are asked: its own, or those of which it is the board. Others have none. */
const listReviews: Read = async (request: ListReviewsRequest, caller, gate) => {
  const { chain, services } = gate.door;
  const own = [
    ...(caller.roles.has(Role.ROLE_SCHOOL) ? [caller.oin] : []),
    ...(caller.roles.has(Role.ROLE_BOARD) ? chain.schoolsOfBoard(caller.oin) : []),
  ];
  const named = request.schoolOin;
  const asked = named === '' || named === caller.oin ? own : own.filter((school) => school === named);
  const schoolOins = [...new Set(asked)];
  const { reviews } = schoolOins.length === 0 ? { reviews: [] } : await services.parties.listReviews({ schoolOins });
  const shown = reviews.filter(({ state }) => !request.open || state === 'open');
  const name = ({ schoolOin, mandateId }: (typeof shown)[number]): string => `${schoolOin}|${mandateId}`;
  const { items, cursor } = page(gate, caller, 'reviews', shown, name, request);
  return { reviews: items, cursor };
};

/** Its own, whoever asks. */
const getScorecard: Read = async (request: GetScorecardRequest, caller, gate) => ({
  scorecard: await scorecard(request, caller.oin, gate),
});

const getProduct: Read = async ({ productId }: GetProductRequest, _caller, { door }) => {
  const { products } = await door.services.catalogue.getProducts({ productIds: [productId] });
  if (!products[0]) throw new GatewayError('product.unknown', undefined, { where: 'product_id' });
  return { product: products[0] };
};

const searchProducts: Read = async (request: SearchProductsRequest, caller, gate) => {
  const watchCursor = request.cursor ? '' : await headCursor(gate.door, gate.cursors, caller, 'catalogue');
  const of = 'products';
  const { products, next } = await gate.door.services.catalogue.searchProducts({
    ...request,
    limit: limitOf(request.limit),
    after: gate.cursors.open(caller.oin, of, request.cursor),
  });
  return { products, cursor: gate.cursors.seal(caller.oin, of, next), watchCursor };
};

const getRoster: Read = async (request: GetRosterRequest, caller, gate) => {
  const { door } = gate;
  const purpose = purposeFor(door, caller, request.schoolOin, Service.SERVICE_ROSTER);
  const watchCursor = request.cursor
    ? ''
    : await headCursor(door, gate.cursors, caller, Service.SERVICE_ROSTER, request.schoolOin, request.siteCode);
  if (request.schoolYear !== '' && !isSchoolYear(request.schoolYear))
    throw new GatewayError('wire.invalid', 'A school year is two years that follow each other.', {
      where: 'school_year',
    });
  if (!isSiteCode(request.siteCode))
    throw new GatewayError('wire.invalid', 'The code of a site is two digits.', { where: 'site_code' });
  requireSite(purpose, request.siteCode);
  const of = `roster|${request.schoolOin}|${request.schoolYear}${request.siteCode && `|${request.siteCode}`}`;
  // Pages are of the year of the first, though the school may go on to another between two of them.
  const [pageYear = '', after = ''] = gate.cursors.open(caller.oin, of, request.cursor).split(' ');
  const answer = await door.services.rosters.getRoster({
    schoolOin: request.schoolOin,
    schoolYear: pageYear || request.schoolYear,
    limit: limitOf(request.limit),
    after,
    siteCode: request.siteCode,
  });
  const { schoolYear } = answer;
  if (!answer.known)
    throw request.siteCode === ''
      ? new GatewayError('state.missing', 'There is no roster of this school and year yet.', { where: 'school_year' })
      : new GatewayError('state.missing', 'There is no roster of this site, school and year yet.', {
          where: 'site_code',
        });
  const roster = await revealRoster(
    door.services.vault,
    purpose,
    { schoolYear, asOf: answer.asOf, madeAt: '', siteCode: request.siteCode },
    answer,
  );
  // Pages are parts of one read: the first counts it, and says so.
  if (request.cursor === '')
    gate.reads.note(
      {
        ...{ partyOin: caller.oin, method: 'RosterService/GetRoster', schoolOin: request.schoolOin },
        ...{
          schoolYear,
          siteCode: request.siteCode,
          form: answer.next === '' ? 'gRPC' : 'gRPC, the first of its pages',
        },
      },
      {
        kind: 'roster',
        learners: answer.learners.length,
        groups: answer.groups.length,
        staff: answer.staff.length,
        losses: [],
      },
    );
  return {
    roster: roster.reveal((it) => it),
    changedMs: answer.changedMs,
    cursor: gate.cursors.seal(caller.oin, of, answer.next && `${schoolYear} ${answer.next}`),
    watchCursor,
  };
};

const getOrder: Read = async (request: GetOrderRequest, caller, { door }) => {
  const sent = request.orderId ? undefined : await sentAs(door, caller, request.reference, 'OrderService/PlaceOrder');
  const orderId = sent?.subject ?? request.orderId;
  const buyerOin = request.buyerOin || (sent ? caller.oin : '');
  const orders = await settle(door, async () => {
    const { orders } = await door.services.orders.getOrder({ orderId, buyerOin, partyOin: partyOf(caller) });
    return orders.length > 0 ? orders : undefined;
  });
  if (!orders && sent)
    return {
      order: {
        orderId,
        schoolOin: sent.schoolOin,
        buyerOin: caller.oin,
        lines: [],
        expected: false,
        decision: undecided,
        flowId: sent.flowId,
        placedMs: sent.acceptedMs,
      } satisfies Order,
    };
  if (!orders) throw new GatewayError('state.missing', undefined, { where: 'order_id' });
  if (orders.length > 1)
    throw new GatewayError('wire.invalid', 'Several buyers used this order id; name the buyer.', {
      where: 'buyer_oin',
    });
  const order = await showOrder(door, caller, orders[0]!);
  if (isElsewhere(orders[0]!, order)) throw new GatewayError('state.missing', undefined, { where: 'order_id' });
  return { order };
};

/** Accepted, and nothing decided yet. */
const undecided: Decision = { outcome: '', code: '', told: '' };

/**
 * A message by its reference. Its subject (order, entitlement) is waited for, a bit more than a second; empty = its owner
 * has not come to it. Throws state.missing where nothing was accepted under this reference.
 */
async function sentAs(door: Gate['door'], caller: Caller, reference: string, method: string): Promise<FlowRow> {
  if (!reference) throw new GatewayError('wire.invalid', 'Name an id or a reference.', { where: 'reference' });
  const key = referenceKey(door, caller.oin, method, reference);
  const ask = async () =>
    (await door.services.flows.getFlow({ flowId: '', partyOin: caller.oin, referenceKey: key, method })).flow;
  const flow =
    (await settle(door, async () => await ask().then((row) => (row?.subject ? row : undefined)))) ?? (await ask());
  if (!flow || !isWithin(caller, flow)) throw new GatewayError('state.missing', undefined, { where: 'reference' });
  return flow;
}

const partyOf = (caller: Caller): string => (caller.kind === 'operator' ? '' : caller.oin);

const listOrders: Read = async (request: ListOrdersRequest, caller, gate) => {
  const { door, cursors } = gate;
  const of = `orders|${request.schoolOin}`;
  const watchCursor = request.cursor ? '' : await headCursor(door, cursors, caller, Service.SERVICE_ORDER);
  // Who names a school is told why there is nothing to see; who names none sees what it may.
  if (request.schoolOin) purposeFor(door, caller, request.schoolOin, Service.SERVICE_ORDER);
  const forSchool = request.schoolOin !== '' && actsForSchool(door, caller, request.schoolOin);
  const { orders, next } = await door.services.orders.listOrders({
    partyOin: forSchool ? '' : partyOf(caller),
    schoolOin: request.schoolOin,
    productId: '',
    learner: '',
    limit: limitOf(request.limit),
    after: cursors.open(caller.oin, of, request.cursor),
    waiting: false,
  });
  // Orders of schools whose mandate has ended meanwhile are not shown any more.
  const may = orders.filter((row) => 'purpose' in tryPurpose(door, caller, row.schoolOin, Service.SERVICE_ORDER));
  const all = await Promise.all(may.map((row) => showOrder(door, caller, row)));
  const shown = all.filter((order, i) => !isElsewhere(may[i]!, order));
  return { orders: shown, cursor: cursors.seal(caller.oin, of, next), watchCursor };
};

const getEntitlement: Read = async (request: GetEntitlementRequest, caller, { door }) => {
  const sent = request.entitlementId
    ? undefined
    : await sentAs(door, caller, request.reference, 'EntitlementService/GrantEntitlements');
  const entitlementId = sent?.subject ?? request.entitlementId;
  const schoolOin = request.schoolOin || (sent?.schoolOin ?? '');
  // Another party's answers as late as nobody's: the time tells nothing of what there is.
  const row = await settle(door, async () => {
    const { entitlement } = await door.services.entitlements.getEntitlement({ schoolOin, entitlementId });
    return entitlement && concerns(door, caller, entitlement) ? entitlement : undefined;
  });
  if (!row && sent)
    return {
      entitlement: {
        terms: EntitlementTerms.fromPartial({ entitlementId }),
        schoolOin: sent.schoolOin,
        holder: undefined,
        state: EntitlementState.ENTITLEMENT_STATE_UNSPECIFIED,
        taken: 0,
        activationCode: '',
        grantedByOin: caller.oin,
        decision: undecided,
        flowId: sent.flowId,
        firstUsedOn: '',
      } satisfies Entitlement,
    };
  if (!row) throw new GatewayError('state.missing', undefined, { where: 'entitlement_id' });
  const [entitlement] = await showEntitlements(door, caller, schoolOin, [row]);
  if (!entitlement) throw new GatewayError('state.missing', undefined, { where: 'entitlement_id' });
  return { entitlement };
};

const listEntitlements: Read = async (request: ListEntitlementsRequest, caller, gate) => {
  const { door, cursors } = gate;
  if (!request.schoolOin) throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  purposeFor(door, caller, request.schoolOin, Service.SERVICE_ENTITLEMENT);
  const watchCursor = request.cursor ? '' : await headCursor(door, cursors, caller, Service.SERVICE_ENTITLEMENT);
  const learner = hasRef(request.learner) ? await tokenOf(gate, caller, request.schoolOin, request.learner) : '';
  const groups = learner ? await groupsOf(gate, request.schoolOin, learner) : [];
  const of = `entitlements|${request.schoolOin}|${learner}|${request.productId}`;
  const { entitlements, next } = await door.services.entitlements.listEntitlements({
    schoolOin: request.schoolOin,
    learner,
    groups,
    productId: request.productId,
    partyOin: actsForSchool(door, caller, request.schoolOin) ? '' : partyOf(caller),
    limit: limitOf(request.limit),
    after: cursors.open(caller.oin, of, request.cursor),
    orderId: '',
    waiting: false,
  });
  return {
    entitlements: await showEntitlements(door, caller, request.schoolOin, entitlements),
    cursor: cursors.seal(caller.oin, of, next),
    watchCursor,
  };
};

/** Says nothing about anybody: ids, and how they stand. */
const compareEntitlements: Read = (request: CompareEntitlementsRequest, caller, gate) =>
  gate.reconciler!.page(request, caller);

const listResults: Read = async (request: ListResultsRequest, caller, gate) => {
  const { door, cursors } = gate;
  if (!request.schoolOin) throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  purposeFor(door, caller, request.schoolOin, Service.SERVICE_RESULT);
  const watchCursor = request.cursor ? '' : await headCursor(door, cursors, caller, Service.SERVICE_RESULT);
  const learner = hasRef(request.learner) ? await tokenOf(gate, caller, request.schoolOin, request.learner) : '';
  const of = `results|${request.schoolOin}|${learner}|${request.productId}`;
  // A supplier sees what it sent, also where it is a dashboard; an administration, a dashboard and the school see all.
  const sees =
    actsForSchool(door, caller, request.schoolOin) ||
    caller.roles.has(Role.ROLE_ADMINISTRATION) ||
    (caller.roles.has(Role.ROLE_DASHBOARD) &&
      !caller.roles.has(Role.ROLE_PLATFORM) &&
      !caller.roles.has(Role.ROLE_PUBLISHER)) ||
    caller.kind === 'operator';
  const { results, next } = await door.services.results.listResults({
    schoolOin: request.schoolOin,
    learner,
    group: '',
    productId: request.productId,
    fromOin: sees ? '' : caller.oin,
    limit: limitOf(request.limit),
    after: cursors.open(caller.oin, of, request.cursor),
  });
  return {
    results: (await showResults(door, caller, request.schoolOin, results)).filter((record) => record !== undefined),
    cursor: cursors.seal(caller.oin, of, next),
    watchCursor,
  };
};

const getFlow: Read = async (request: GetFlowRequest, caller, gate) => {
  if (request.waitMs < 0n || request.waitMs > 30_000n)
    throw new GatewayError('wire.invalid', 'wait_ms is 0 to 30,000.', { where: 'wait_ms' });
  // Whose flow it is comes first: nobody waits for another party's.
  const row = await flowOf(gate, caller, request);
  if (request.waitMs === 0n || row.outcome) return { flow: await present(gate, caller, row, request.reference) };
  const { flow } = await gate.door.services.flows.awaitDecision({ flowId: row.flowId, waitMs: request.waitMs });
  return { flow: await present(gate, caller, flow ? { ...flow, method: row.method } : row, request.reference) };
};

/** Unary reads of the public surface. */
export const reads: readonly { definition: { fullName: string }; methods: Record<string, Read> }[] = [
  { definition: PartyServiceDefinition, methods: { getParty, listParties, listMandates, listReviews, getScorecard } },
  { definition: CatalogueServiceDefinition, methods: { getProduct, searchProducts } },
  { definition: RosterServiceDefinition, methods: { getRoster } },
  { definition: OrderServiceDefinition, methods: { getOrder, listOrders } },
  { definition: EntitlementServiceDefinition, methods: { getEntitlement, listEntitlements, compareEntitlements } },
  {
    definition: ResultServiceDefinition,
    methods: {
      listResults,
      getProgress: (request: GetProgressRequest, caller, gate) => progress(request, caller, gate),
    },
  },
  {
    definition: FlowServiceDefinition,
    methods: {
      getFlow,
      searchFlows: async (request: SearchFlowsRequest, caller, gate) => {
        requireRole(caller, []);
        return searchOwnFlows(request, caller, gate);
      },
      whyBlocked: async (request: WhyBlockedRequest, caller, gate) => {
        requireRole(caller, []);
        return why(request, caller, gate);
      },
      readiness: (request: ReadinessRequest, caller, gate) => readiness(request, caller, gate),
      preflight: (request: PreflightRequest, caller, gate) => preflight(request, caller, gate),
      launches: (request: LaunchesRequest, caller, gate) => launches(request, caller, gate),
    },
  },
  { definition: DeliveryServiceDefinition, methods: { listDeadLetters } },
  { definition: AuditServiceDefinition, methods: { getReceipt, getLogHead, getLogConsistency } },
];
