/**
 * Why an order, product or learner has no material yet. Asks every owner what it knows, and says of each cause how far
 * things came, who must act, and how. Ten kinds of cause, each asked by order, product and learner: test/chain/why.test.ts.
 */
import { dutchDay, type Fault, faults, GatewayError, isFault } from '#kernel';
import { EntitlementState, LineState } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import type { EntitlementRow } from '#proto/eduk/entitlements/v1/entitlements';
import type { Blocker, WhyBlockedRequest, WhyBlockedResponse } from '#proto/eduk/gateway/v1/flow';
import type { OrderRow } from '#proto/eduk/orders/v1/orders';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { hasRef } from '../intake/people.ts';
import { actsForSchool } from '../stages/authorise.ts';
import { groupsOf, tokenOf } from './names.ts';

/** What to do about a cause. */
export const remedies: Partial<Record<Fault, string>> = {
  'mandate.missing': 'The school grants a mandate for this service to this party.',
  'mandate.unconfirmed': 'The school confirms the mandate; what waits is then sent in order.',
  'mandate.ended': 'The school grants a new mandate, or the order moves to another supplier.',
  'product.unknown':
    'The publisher publishes the product, or the buyer corrects the product id; after 24 hours it is refused.',
  'count.used_up': 'The buyer orders more licences, or the seller withdraws unused ones.',
  'hold.pending': 'Someone of the school looks at the difference and approves or rejects it: eduk hold list.',
  'gateway.bug': 'We look at the parked key: eduk dead list, then eduk dead retry.',
  'gateway.clear_data': 'We look at the parked key: eduk dead list.',
  'entitlement.not_started': 'Wait for the first day, or the seller grants an earlier start.',
  'entitlement.expired': 'The buyer orders anew.',
  'entitlement.blocked': 'The seller unblocks it or grants a new one.',
  'entitlement.missing': 'The seller grants the entitlement.',
  'order.unconfirmed': 'The seller confirms or refuses the line.',
  'state.conflict': 'The sender corrects the message and sends it under a new id.',
  'state.missing': 'The sender checks the id.',
  'learner.unknown': 'The administration sends the learner in its roster.',
  'wire.invalid': 'The sender corrects the message.',
  'wire.pgn': 'The sender removes personal numbers.',
  'party.forbidden': 'The operator gives the party the role it needs.',
};

/** The most blocking first. */
const weight: Partial<Record<Fault, number>> = {
  'gateway.bug': 0,
  'hold.pending': 1,
  'mandate.unconfirmed': 2,
  'mandate.ended': 2,
  'mandate.missing': 3,
  'product.unknown': 4,
  'count.used_up': 4,
  'entitlement.blocked': 5,
  'entitlement.expired': 5,
  'entitlement.not_started': 6,
  'order.unconfirmed': 7,
  'entitlement.missing': 7,
};

type Found = Partial<Blocker> & { code: Fault };

export async function whyBlocked(request: WhyBlockedRequest, caller: Caller, gate: Gate): Promise<WhyBlockedResponse> {
  const { door } = gate;
  const { services, chain } = door;
  const asked = [request.orderId !== '', request.productId !== '', hasRef(request.learner)].filter(Boolean).length;
  if (asked !== 1)
    throw new GatewayError('wire.invalid', 'Ask by order, by product or by learner.', { where: 'order_id' });
  if (!request.schoolOin && !request.orderId)
    throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  const today = dutchDay(door.clock.now());
  const found: Found[] = [];
  const all =
    caller.kind === 'operator' || (request.schoolOin !== '' && actsForSchool(door, caller, request.schoolOin));
  const party = all ? '' : caller.oin;
  if (!all && request.schoolOin && chain.between(request.schoolOin, caller.oin).length === 0)
    throw new GatewayError('state.missing', undefined, { where: 'school_oin' });
  if (!all && hasRef(request.learner)) requireAnyMandate(gate, request.schoolOin, caller.oin);

  // What the owners know.
  const learner = hasRef(request.learner)
    ? await tokenOf(gate, request.schoolOin, request.learner).catch(unknownLearner)
    : '';
  if (learner === undefined) found.push({ code: 'learner.unknown', lastStep: 'none', learners: 1 });
  let orders: OrderRow[] = [];
  let entitlements: EntitlementRow[] = [];
  if (learner !== undefined) {
    orders = request.orderId
      ? (await services.orders.getOrder({ orderId: request.orderId, buyerOin: '', partyOin: party })).orders
      : (
          await services.orders.listOrders({
            partyOin: party,
            schoolOin: request.schoolOin,
            productId: request.productId,
            learner,
            limit: 1000,
            after: '',
            waiting: true,
          })
        ).orders;
    const school = request.schoolOin || orders[0]?.schoolOin || '';
    if (school)
      entitlements = (
        await services.entitlements.listEntitlements({
          schoolOin: school,
          learner,
          groups: learner ? await groupsOf(gate, school, learner) : [],
          productId: request.productId,
          partyOin: party,
          limit: 1000,
          after: '',
          orderId: request.orderId,
          waiting: true,
        })
      ).entitlements;
  }
  const school = request.schoolOin || orders[0]?.schoolOin || '';
  const products = new Set<string>(request.productId ? [request.productId] : []);
  for (const order of orders)
    for (const { line } of order.lines) if (!learner || line!.learner === learner) products.add(line!.terms!.productId);
  for (const row of entitlements) products.add(row.terms!.productId);
  const known = new Map(
    (await services.catalogue.getProducts({ productIds: [...products] })).products.map((product) => [
      product.productId,
      product,
    ]),
  );

  // What came later and works has taken the place of what did not.
  const works = new Set(
    entitlements.filter((row) => !aboutEntitlement(row, today)).flatMap((row) => [holding(row), ...fulfilled(row)]),
  );
  for (const order of orders) {
    // Asked by its id, an order answers for itself; asked by product or learner, for what they lack.
    const replaced =
      !request.orderId &&
      order.outcome !== 'placed' &&
      order.lines.every(({ line }) =>
        works.has(holding({ terms: line!.terms, holder: { learner: line!.learner, group: line!.group } })),
      );
    if (!replaced) found.push(...aboutOrder(order, learner ?? '', entitlements));
  }
  for (const row of entitlements) {
    const cause = aboutEntitlement(row, today);
    if (cause && !works.has(holding(row)) && !fulfilled(row).some((line) => works.has(line))) found.push(cause);
  }
  const waited = new Set(found.filter(({ code }) => code === 'product.unknown').map(({ productId }) => productId));
  for (const productId of products)
    if (!known.has(productId) && !waited.has(productId))
      found.push({ code: 'product.unknown', productId, lastStep: 'none', who: 'sender' });

  // Whether the parties that must act may. A seller needs `order`, the place where it is opened `entitlement` and `access`.
  if (school && (all || party)) {
    const needs = new Map<string, { party: string; service: Service; productId: string }>();
    const need = (oin: string, service: Service, productId: string) => {
      if (oin && (all || oin === caller.oin)) needs.set(`${oin}|${service}`, { party: oin, service, productId });
    };
    for (const order of orders)
      for (const { line } of order.lines) need(line!.sellerOin, Service.SERVICE_ORDER, line!.terms!.productId);
    for (const product of known.values()) {
      need(product.publisherOin, Service.SERVICE_ENTITLEMENT, product.productId);
      need(product.platformOin, Service.SERVICE_ENTITLEMENT, product.productId);
      need(product.platformOin, Service.SERVICE_ACCESS, product.productId);
    }
    for (const { party: oin, service, productId } of needs.values()) {
      const { fault } = chain.judge(school, oin, service);
      if (fault)
        found.push({
          code: fault,
          partyOin: school,
          who: 'school',
          productId,
          lastStep: 'release',
          told: `${chain.party(oin)?.name ?? 'A party'} may not have ${serviceName(service)} of this school: ${faults[fault].en}${otherServices(gate, school, oin, service)}`,
        });
    }
  }

  // What never was accepted, what is held, what is parked.
  const [{ notes }, { holds }, { parked }] = await Promise.all([
    services.flows.listRefusals({
      schoolOin: school,
      orderId: request.orderId,
      productId: request.productId,
      limit: 50,
    }),
    school ? services.rosters.listHolds({ schoolOin: school, decided: false }) : { holds: [] },
    services.log.listParked({ limit: 200 }),
  ]);
  for (const note of notes) {
    if (!isFault(note.code) || (!all && note.partyOin !== caller.oin)) continue;
    // What was refused once and taken later blocks nothing any more.
    const taken =
      (note.orderId && orders.some((order) => order.orderId === note.orderId)) ||
      (note.entitlementId && entitlements.some((row) => row.terms!.entitlementId === note.entitlementId));
    if (taken) continue;
    found.push({
      code: note.code,
      partyOin: faults[note.code].who === 'school' ? note.schoolOin : note.partyOin,
      orderId: note.orderId,
      productId: note.productId,
      entitlementId: note.entitlementId,
      lastStep: 'door',
      sinceMs: note.atMs,
      told: `${note.method} of ${chain.party(note.partyOin)?.name ?? 'a party'} was refused ${note.times} time${note.times === 1 ? '' : 's'}: ${faults[note.code].en}`,
    });
  }
  for (const hold of holds)
    found.push({
      code: 'hold.pending',
      partyOin: hold.schoolOin,
      who: 'school',
      lastStep: 'RosterHeld',
      sinceMs: hold.sinceMs,
      flowId: hold.flowId,
      learners: hold.difference?.left ?? 0,
      told: `A roster of ${hold.schoolYear}${ofSite(hold)} waits for approval: ${heldBecause[hold.reason] ?? hold.reason}.`,
    });
  const keys = new Set(
    [
      school,
      learner ?? '',
      request.orderId,
      ...products,
      ...orders.flatMap(({ lines }) => lines.map(({ line }) => line!.learner)),
      ...entitlements.map((row) => row.holder?.learner ?? ''),
    ].filter((key) => key !== ''),
  );
  if (all)
    for (const row of parked)
      if (keys.has(row.key))
        found.push({
          code: isFault(row.code) ? row.code : 'gateway.bug',
          who: 'us',
          lastStep: `${row.consumer} on ${row.stream}`,
          sinceMs: row.sinceMs,
          flowId: row.flowId,
          told: `${row.events} event${row.events === 1 ? '' : 's'} wait behind one that ${row.consumer} could not handle.`,
        });

  // Another party's order is not there for a party.
  if (!all && request.orderId && orders.length === 0 && found.length === 0)
    throw new GatewayError('state.missing', 'No order of yours has this id.', { where: 'order_id' });
  const blockers = dedupe(found).map((cause) => complete(cause, gate, school));
  blockers.sort((a, b) => (weight[a.code as Fault] ?? 9) - (weight[b.code as Fault] ?? 9));
  return { blockers, told: sentence(blockers, orders.length + entitlements.length) };
}

/** Whether a learner is at a school is told only to who may have something of that school now. Throws mandate.*. */
function requireAnyMandate({ door }: Gate, school: string, party: string): void {
  const services = new Set(door.chain.between(school, party).flatMap((mandate) => mandate.services));
  const judged = [...services].map((service) => door.chain.judge(school, party, service));
  if (judged.some(({ fault }) => fault === undefined)) return;
  const fault = judged[0]?.fault ?? 'mandate.missing';
  throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
}

type Held = { terms?: { productId: string } | undefined; holder?: { learner: string; group: string } | undefined };

/** Who holds what: two of the same are one to a pupil. */
const holding = ({ terms, holder }: Held): string =>
  `${terms?.productId}|${holder?.learner ?? ''}|${holder?.group ?? ''}`;

/** The line of an order that an entitlement is for, if it says so. */
const fulfilled = ({ terms }: EntitlementRow): string[] =>
  terms?.orderId && terms.lineId ? [`line ${terms.orderId}|${terms.lineId}`] : [];

function unknownLearner(thrown: unknown): undefined {
  if (thrown instanceof GatewayError && thrown.fault === 'learner.unknown') return undefined;
  throw thrown;
}

function aboutOrder(order: OrderRow, learner: string, entitlements: readonly EntitlementRow[]): Found[] {
  const base = { orderId: order.orderId, flowId: order.flowId, sinceMs: order.placedMs };
  if (order.outcome === 'waiting')
    return (order.waitsFor.length > 0 ? order.waitsFor : ['']).map((productId) => ({
      ...base,
      code: 'product.unknown' as const,
      productId,
      partyOin: order.buyerOin,
      lastStep: 'OrderSubmitted',
      learners: order.lines.filter(({ line }) => line!.learner).length,
    }));
  if (order.outcome === 'refused')
    return [
      {
        ...base,
        code: isFault(order.code) ? order.code : 'state.conflict',
        partyOin: order.buyerOin,
        lastStep: 'OrderRefused',
        told: order.told,
      },
    ];
  const found: Found[] = [];
  for (const { line, state } of order.lines) {
    if (learner && line!.learner !== learner) continue;
    const at = {
      ...base,
      productId: line!.terms!.productId,
      partyOin: line!.sellerOin,
      learners: line!.learner ? 1 : 0,
    };
    if (state === LineState.LINE_STATE_PLACED)
      found.push({ ...at, code: 'order.unconfirmed', lastStep: 'OrderPlaced' });
    else if (
      state === LineState.LINE_STATE_CONFIRMED &&
      !entitlements.some(
        (row) =>
          row.terms!.orderId === order.orderId && (!row.terms!.lineId || row.terms!.lineId === line!.terms!.lineId),
      )
    )
      found.push({ ...at, code: 'entitlement.missing', lastStep: 'OrderLinesChanged' });
  }
  return found;
}

function aboutEntitlement(row: EntitlementRow, today: string): Found | undefined {
  const terms = row.terms!;
  const base = {
    entitlementId: terms.entitlementId,
    productId: terms.productId,
    orderId: terms.orderId,
    flowId: row.flowId,
    sinceMs: row.changedMs,
    partyOin: row.grantedByOin,
    learners: row.holder?.learner ? 1 : 0,
  };
  if (row.outcome === 'waiting')
    return {
      ...base,
      code: isFault(row.code) ? row.code : 'product.unknown',
      lastStep: 'GrantSubmitted',
      told: row.told,
    };
  if (row.outcome === 'refused')
    return { ...base, code: isFault(row.code) ? row.code : 'state.conflict', lastStep: 'GrantRefused', told: row.told };
  if (
    row.state === EntitlementState.ENTITLEMENT_STATE_BLOCKED ||
    row.state === EntitlementState.ENTITLEMENT_STATE_WITHDRAWN
  )
    return { ...base, code: 'entitlement.blocked', lastStep: 'EntitlementChanged' };
  if (row.state === EntitlementState.ENTITLEMENT_STATE_EXPIRED || (terms.endsOn && today > terms.endsOn))
    return { ...base, code: 'entitlement.expired', lastStep: 'EntitlementChanged' };
  if (terms.startsOn && today < terms.startsOn)
    return {
      ...base,
      code: 'entitlement.not_started',
      lastStep: 'EntitlementGranted',
      told: `It starts on ${terms.startsOn}.`,
    };
  return undefined;
}

/** As `eduk hold list` says it. */
const ofSite = ({ siteCode, administration }: { siteCode: string; administration: string }): string =>
  `${siteCode && ` of site ${siteCode}`}${administration && ` of administration ${administration}`}`;

const heldBecause: Record<string, string> = {
  empty: 'it is empty',
  truncated: 'it seems cut off',
  leaves_out_site: 'it names no site, and lacks most pupils of one',
  removes_many: 'it removes many learners',
  renames_many: 'it renames many learners',
};

const serviceName = (service: Service): string =>
  (Object.entries(Service).find(([, value]) => value === service)?.[0] ?? '').replace('SERVICE_', '').toLowerCase();

/** A mandate for another service is the usual mistake: name what there is. */
function otherServices({ door }: Gate, school: string, party: string, service: Service): string {
  const { chain } = door;
  const named = new Set(chain.between(school, party).flatMap((mandate) => mandate.services));
  named.delete(service);
  // Only what holds today: a mandate that ended, or waits for its school, is no mandate to have.
  const has = [...named].filter((other) => chain.judge(school, party, other).fault === undefined);
  return has.length === 0 ? '' : ` It has a mandate for ${has.map(serviceName).join(', ')}.`;
}

function dedupe(found: readonly Found[]): Found[] {
  const seen = new Map<string, Found>();
  for (const cause of found) {
    const key = [
      cause.code,
      cause.partyOin,
      cause.orderId,
      cause.productId,
      cause.entitlementId,
      cause.lastStep,
      cause.code.startsWith('mandate.') ? cause.told : '',
    ].join('|');
    const known = seen.get(key);
    if (known) known.learners = (known.learners ?? 0) + (cause.learners ?? 0);
    else seen.set(key, { ...cause });
  }
  return [...seen.values()];
}

function complete(cause: Found, { door }: Gate, school: string): Blocker {
  const row = faults[cause.code];
  const who = cause.who || row.who;
  const partyOin = who === 'school' ? school || (cause.partyOin ?? '') : who === 'us' ? '' : (cause.partyOin ?? '');
  return {
    code: cause.code,
    lastStep: cause.lastStep ?? '',
    who,
    partyOin,
    partyName: door.chain.party(partyOin)?.name ?? '',
    told: cause.told || row.en,
    remedy: remedies[cause.code] ?? '',
    orderId: cause.orderId ?? '',
    productId: cause.productId ?? '',
    entitlementId: cause.entitlementId ?? '',
    flowId: cause.flowId ?? '',
    sinceMs: cause.sinceMs ?? 0n,
    learners: cause.learners ?? 0,
  };
}

function sentence(blockers: readonly Blocker[], known: number): string {
  const first = blockers[0];
  if (!first)
    return known === 0
      ? 'Nothing was ordered or granted under this.'
      : 'Nothing blocks: what was ordered is granted, and the parties may have it.';
  const more =
    blockers.length === 1
      ? ''
      : ` There ${blockers.length === 2 ? 'is one more cause' : `are ${blockers.length - 1} more causes`}.`;
  return `${first.told} ${first.partyName ? `${first.partyName} must act` : first.who === 'us' ? 'We must act' : `The ${first.who} must act`}: ${first.remedy}${more}`;
}
