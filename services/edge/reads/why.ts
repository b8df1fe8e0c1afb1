/**
 * Why an order, product or learner has no material yet. Asks every owner what it knows, and says of each cause how far
 * things came, who must act, and how. Ten kinds of cause, each asked by order, product and learner: test/chain/why.test.ts.
 */
import {
  asGatewayError,
  describeError,
  dutchDay,
  dutchMinute,
  type Fault,
  type Frozen,
  faults,
  GatewayError,
  isFault,
  log,
  remedies,
  schoolYearOf,
} from '#kernel';
import { EntitlementState, LineState } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import type { ChangeHold, EntitlementRow } from '#proto/eduk/entitlements/v1/entitlements';
import type { Blocker, WhyBlockedRequest, WhyBlockedResponse } from '#proto/eduk/gateway/v1/flow';
import type { OrderRow } from '#proto/eduk/orders/v1/orders';
import type { Hold } from '#proto/eduk/rosters/v1/rosters';
import type { Caller } from '../caller.ts';
import type { Chain, FrozenBy } from '../chain.ts';
import type { Gate } from '../gate.ts';
import { hasRef } from '../intake/people.ts';
import { settle } from '../settle.ts';
import { learnersAt, sitesFor } from '../sites.ts';
import { actsForSchool } from '../stages/authorise.ts';
import { activeLicences, type Enrolment, enrolmentOf } from './active.ts';
import { requireKnown } from './known.ts';
import { tokenOf } from './names.ts';

/** The most blocking first. */
const weight: Partial<Record<Fault, number>> = {
  'gateway.bug': 0,
  'hold.pending': 1,
  'freeze.holds': 1,
  'school.closed': 1,
  'mandate.unconfirmed': 2,
  'mandate.unaccepted': 2,
  'mandate.ended': 2,
  'mandate.suspended': 2,
  'mandate.missing': 3,
  'product.unknown': 4,
  'count.used_up': 4,
  'entitlement.blocked': 5,
  'entitlement.expired': 5,
  'entitlement.not_started': 6,
  'order.unconfirmed': 7,
  'entitlement.missing': 7,
};

/** `earlier`: nothing waits for it any more. `aside`: it holds up something, but perhaps not what was asked. */
export type Found = Partial<Blocker> & { code: Fault; earlier?: boolean; aside?: boolean };

/** A refusal of longer ago that nobody sent again explains, and no longer stands in the way. Milliseconds. */
export const OLD_REFUSAL_MS = 24 * 3_600_000;
/** Pages of 1,000 looked at: more than a large school has. */
const MOST_PAGES = 50;
/** Of one kind of cause so many are told one by one; the rest are counted with the last. */
const MOST_ALIKE = 50;

export async function whyBlocked(request: WhyBlockedRequest, caller: Caller, gate: Gate): Promise<WhyBlockedResponse> {
  const { door } = gate;
  const { services, chain } = door;
  const asked = [request.orderId !== '', request.productId !== '', hasRef(request.learner)].filter(Boolean).length;
  if (asked !== 1)
    throw new GatewayError('wire.invalid', 'Ask by order, by product or by learner.', { where: 'order_id' });
  if (!request.schoolOin && !request.orderId)
    throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  const now = door.clock.now();
  const today = dutchDay(now);
  const found: Found[] = [];
  let partial = false;
  const all =
    caller.kind === 'operator' || (request.schoolOin !== '' && actsForSchool(door, caller, request.schoolOin));
  const party = all ? '' : caller.oin;
  if (!all && request.schoolOin && chain.between(request.schoolOin, caller.oin).length === 0)
    throw new GatewayError('state.missing', undefined, { where: 'school_oin' });
  if (!all && hasRef(request.learner)) requireAnyMandate(gate, request.schoolOin, caller.oin);

  // What the owners know.
  const closed = await closedSchool(gate, request.schoolOin);
  if (closed) found.push(closed);
  // Of a closed school nobody can say who has this number.
  let learner = !hasRef(request.learner)
    ? ''
    : closed
      ? undefined
      : await tokenOf(gate, caller, request.schoolOin, request.learner).catch(unknownLearner);
  if (learner && !all && !(await isAnywhere(gate, caller, request.schoolOin, learner))) learner = undefined;
  if (learner === undefined && !closed) found.push({ code: 'learner.unknown', lastStep: 'none', learners: 1 });
  let orders: OrderRow[] = [];
  let entitlements: EntitlementRow[] = [];
  let enrolment: Enrolment = { groups: [], enrolled: false };
  if (learner !== undefined) {
    if (request.orderId)
      // Who was told a moment ago that it is accepted is not told that there is nothing.
      orders =
        (await settle(door, async () => {
          const asked = { orderId: request.orderId, buyerOin: '', partyOin: party };
          // Who may see all of the school that it names may not see the orders of another.
          const found = (await services.orders.getOrder(asked)).orders.filter(
            ({ schoolOin }) => caller.kind === 'operator' || ['', schoolOin].includes(request.schoolOin),
          );
          return found.length > 0 ? found : undefined;
        })) ?? [];
    else
      [orders, partial] = await allPages(async (after) => {
        const { orders: items, next } = await services.orders.listOrders({
          partyOin: party,
          schoolOin: request.schoolOin,
          productId: request.productId,
          learner,
          limit: 1000,
          after,
          waiting: true,
        });
        return { items, next };
      });
    const school = request.schoolOin || orders[0]?.schoolOin || '';
    if (school) {
      if (learner) enrolment = await enrolmentOf(gate, school, learner);
      const [rows, more] = await allPages(async (after) => {
        const { entitlements: items, next } = await services.entitlements.listEntitlements({
          schoolOin: school,
          learner,
          groups: enrolment.groups,
          productId: request.productId,
          partyOin: party,
          limit: 1000,
          after,
          orderId: request.orderId,
          waiting: true,
        });
        return { items, next };
      });
      entitlements = rows;
      partial ||= more;
    }
  }
  const school = request.schoolOin || orders[0]?.schoolOin || '';
  if (request.schoolOin === '') {
    const waits = await closedSchool(gate, school);
    if (waits) found.push(waits);
  }
  if (!all) [orders, entitlements] = await ofItsSites(gate, caller, school, orders, entitlements);
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
  const causes = new Map(entitlements.map((row) => [row, aboutEntitlement(row, today, request.productId !== '')]));
  const works = new Set(
    entitlements.filter((row) => isActive(row, today)).flatMap((row) => [holding(row), ...fulfilled(row)]),
  );
  // Products of what is over concern nobody: who supplied them needs no mandate any more.
  const current = new Set<string>(request.productId ? [request.productId] : []);
  const isOld = ({ sinceMs }: Found): boolean => Number(sinceMs ?? 0n) < now - OLD_REFUSAL_MS;
  for (const order of orders) {
    // Asked by its id, an order answers for itself; asked by product or learner, for what they lack.
    const replaced =
      !request.orderId &&
      order.outcome !== 'placed' &&
      order.lines.every(({ line }) =>
        works.has(holding({ terms: line!.terms, holder: { learner: line!.learner, group: line!.group } })),
      );
    if (replaced) continue;
    const about = aboutOrder(order, learner ?? '', entitlements);
    for (const cause of about) {
      // Who asks for one order wants to hear of that one, however long ago.
      const earlier = order.outcome === 'refused' && !request.orderId && isOld(cause);
      found.push({ ...cause, earlier });
    }
    if (order.outcome !== 'refused') for (const { line } of order.lines) current.add(line!.terms!.productId);
  }
  for (const row of entitlements) {
    const cause = causes.get(row);
    if (isActive(row, today)) current.add(row.terms!.productId);
    if (!cause || works.has(holding(row)) || fulfilled(row).some((line) => works.has(line))) continue;
    const earlier =
      !request.orderId && (row.outcome === 'refused' ? isOld(cause) : endedEarlier(row, now) || cause.earlier === true);
    found.push({ ...cause, earlier });
    if (!earlier) current.add(row.terms!.productId);
  }
  const waited = new Set(found.filter(({ code }) => code === 'product.unknown').map(({ productId }) => productId));
  for (const productId of products)
    if (!known.has(productId) && !waited.has(productId) && current.has(productId))
      found.push({ code: 'product.unknown', productId, lastStep: 'none', who: 'sender' });

  // Whether the parties that must act may. A seller needs `order`, the place where it is opened `entitlement` and `access`.
  if (school && (all || party)) {
    const needs = new Map<string, { party: string; service: Service; productId: string }>();
    const need = (oin: string, service: Service, productId: string) => {
      if (oin && (all || oin === caller.oin)) needs.set(`${oin}|${service}`, { party: oin, service, productId });
    };
    for (const order of orders)
      if (order.outcome !== 'refused')
        for (const { line } of order.lines) need(line!.sellerOin, Service.SERVICE_ORDER, line!.terms!.productId);
    for (const product of known.values()) {
      if (!current.has(product.productId)) continue;
      need(product.publisherOin, Service.SERVICE_ENTITLEMENT, product.productId);
      need(product.platformOin, Service.SERVICE_ENTITLEMENT, product.productId);
      need(product.platformOin, Service.SERVICE_ACCESS, product.productId);
    }
    for (const { party: oin, service, productId } of needs.values()) {
      const { fault } = chain.judge(school, oin, service);
      if (fault)
        found.push({
          code: fault,
          // What the school has confirmed waits for its party.
          ...(fault === 'mandate.suspended'
            ? { who: 'us' }
            : fault === 'mandate.unaccepted'
              ? { partyOin: oin }
              : { partyOin: school, who: 'school' }),
          productId,
          lastStep: 'release',
          told: `${chain.party(oin)?.name ?? 'A party'} may not have ${serviceName(service)} of this school: ${faults[fault].en}${otherServices(gate, school, oin, service)}`,
        });
    }
  }

  // What never was accepted, what is held, what is parked.
  const [{ notes }, { holds }, changes, { parked }, { parked: unsent }, { endpoints }] = await Promise.all([
    services.flows.listRefusals({
      schoolOin: school,
      orderId: request.orderId,
      productId: request.productId,
      limit: 50,
    }),
    school ? services.rosters.listHolds({ schoolOin: school, decided: false }) : { holds: [] },
    school ? services.entitlements.listChangeHolds({ schoolOin: school, decided: false }) : { holds: [] },
    services.log.listParked({ limit: 200 }),
    services.delivery.listParkedRows({ schoolOin: school, partyOin: party }),
    services.delivery.listEndpoints({ idle: false, partyOin: party }),
  ]);
  for (const note of notes) {
    if (!isFault(note.code) || (!all && note.partyOin !== caller.oin)) continue;
    // What was refused once and taken later blocks nothing any more.
    const taken =
      (note.orderId && orders.some((order) => order.orderId === note.orderId)) ||
      (note.entitlementId && entitlements.some((row) => row.terms!.entitlementId === note.entitlementId));
    if (taken) continue;
    const subject = note.orderId || note.productId || note.entitlementId;
    const isAsked =
      request.orderId !== '' || request.productId !== '' || (subject !== '' && products.has(note.productId));
    found.push({
      // Of a refusal that names no learner nobody knows whether it was about this one.
      earlier: isOld({ code: note.code, sinceMs: note.atMs }) || !isAsked,
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
  const learners = new Set(
    [
      learner ?? '',
      ...orders.flatMap(({ lines }) => lines.map(({ line }) => line!.learner)),
      ...entitlements.map((row) => row.holder?.learner ?? ''),
    ].filter((token) => token !== ''),
  );
  const mayComeWithIt = learner === undefined || orders.some(({ expected }) => expected);
  for (const hold of holds.filter(({ forgets }) => forgets === 0))
    found.push({
      ...rosterHeld(hold, chain),
      aside: !mayComeWithIt && !(await touches(gate, hold, learner ? new Set([learner]) : learners)),
    });
  for (const hold of changes.holds) {
    if (!all && hold.byOin !== caller.oin) continue;
    const isAsked =
      request.productId === '' ||
      hold.products.some(({ productId, entitlements }) => entitlements > 0 && productId === request.productId);
    // What is withdrawn goes on until then: it keeps nobody from anything.
    found.push({ ...changesHeld(hold, chain), aside: !isAsked || learner !== undefined });
  }
  const keys = new Set([school, request.orderId, ...products, ...learners].filter((key) => key !== ''));
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

  // What cannot be told because nobody tells the names.
  if (chain.isOnDemand(school)) {
    const unnamed = unsent.filter(({ standard, code }) => standard === '' && code === 'peer.unavailable');
    const [administration = ''] = gate.names.administrationsOf(school);
    if (unnamed.length > 0)
      found.push({
        code: 'peer.unavailable',
        partyOin: administration,
        who: 'peer',
        lastStep: 'release',
        sinceMs: unnamed.reduce((least, { sinceMs }) => (sinceMs < least ? sinceMs : least), unnamed[0]!.sinceMs),
        told: `Names of this school are asked of its administration, which does not tell them: ${unnamed.reduce((sum, { rows }) => sum + rows, 0n)} messages wait.`,
        remedy:
          'The administration answers again, or its settings are mended (eduk roster pull says what is wrong); what waits then goes by itself, in order.',
      });
  }

  // What receivers did not take.
  for (const { standard, key, partyOin, code, rows, sinceMs, attempts, status } of unsent)
    if (standard !== '' && keys.has(key))
      found.push({
        code: isFault(code) ? code : 'peer.unavailable',
        partyOin,
        lastStep: `${standard} of delivery`,
        sinceMs,
        told: `${rows} message${rows === 1n ? '' : 's'} of this ${rows === 1n ? 'waits' : 'wait'} for ${chain.party(partyOin)?.name ?? 'a party'}: its ${standard} ${answered(status)} to attempt ${attempts}.`,
      });
  const receivers = new Set([
    ...orders.flatMap(({ lines, buyerOin }) => [buyerOin, ...lines.map(({ line }) => line!.sellerOin)]),
    ...[...known.values()].flatMap(({ publisherOin, platformOin }) => [publisherOin, platformOin]),
  ]);
  for (const { partyOin, standard, state, status, oldestMs, restUntilMs } of endpoints)
    if (state !== 'up' && receivers.has(partyOin))
      found.push({
        code: state === 'gone' ? 'peer.refused' : 'peer.unavailable',
        partyOin,
        lastStep: `${standard} of delivery`,
        sinceMs: oldestMs,
        told: `The ${standard} of ${chain.party(partyOin)?.name ?? 'a party'} ${answered(status)}; ${state === 'gone' ? 'nothing is sent there any more' : `it is tried again after ${new Date(Number(restUntilMs)).toISOString()}`}.`,
      });

  // Another party's order is not there for a party. An order that was refused at the door is known by that.
  if (request.orderId && orders.length === 0 && entitlements.length === 0 && found.length === 0)
    throw new GatewayError('state.missing', all ? 'No order has this id.' : 'No order of yours has this id.', {
      where: 'order_id',
    });
  // Of a school that nobody knows nothing else is to be said: neither who sells to it is at fault, nor it by having no mandate.
  const isBare = found.every(({ code }) => /^peer\.|\.unknown$|^mandate\.missing$/.test(code));
  if (caller.kind === 'operator' && isBare && orders.length === 0 && entitlements.length === 0)
    await requireKnown(gate, { partyOin: '', schoolOin: school });
  const { blockers, earlier } = inOrder(found, gate, school);
  const active = entitlements.filter((row) => isActive(row, today));
  // What a learner has, and how many may be opened; of an order or product, how many licences hold.
  const has = learner ? activeLicences(gate, caller, school, active, known, enrolment) : [];
  const sentences = [
    learner
      ? hasSentence(has.length, has.filter(({ code }) => code === '').length, all ? '' : ' of yours')
      : active.length > 0 && blockers.length > 0
        ? `${counted(active.length, 'licence is', 'licences are')} active.`
        : '',
    sentence(blockers, earlier, orders.length + entitlements.length),
    partial ? 'There is more than could be looked at: ask by order or by learner.' : '',
  ];
  return { blockers, told: sentences.filter(Boolean).join(' '), has: has.slice(0, MOST_SHOWN), earlier, partial };
}

/** Causes as they are told: those that stand in the way, the most blocking first, and those of earlier, the newest first. */
export function inOrder(
  found: readonly Found[],
  gate: Gate,
  school: string,
): { blockers: Blocker[]; earlier: Blocker[] } {
  const ranked = folded(dedupe(found)).sort((a, b) => rank(a) - rank(b));
  const told = (of: readonly Found[]) => of.map((cause) => complete(cause, gate, school));
  return {
    blockers: told(ranked.filter(({ earlier }) => !earlier)),
    earlier: told(
      ranked.filter(({ earlier }) => earlier).sort((a, b) => Number(b.sinceMs ?? 0n) - Number(a.sinceMs ?? 0n)),
    ),
  };
}

/** Licences of one learner that are shown; all are counted. */
const MOST_SHOWN = 200;

const rank = ({ code, aside }: Found): number => (aside ? 8 : (weight[code] ?? 9));

export const counted = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

function hasSentence(active: number, open: number, whose: string): string {
  if (active === 0) return `The learner has no active licence${whose}.`;
  const first = `The learner has ${counted(active, 'active licence', 'active licences')}${whose}`;
  if (open === active) return `${first} and can open ${active === 1 ? 'it' : 'all of them'}.`;
  return open === 0 ? `${first} and can open none.` : `${first} and can open ${open} of them.`;
}

/** All pages of a list, and whether there were more than are looked at. */
async function allPages<T>(
  page: (after: string) => Promise<{ items: readonly T[]; next: string }>,
): Promise<[T[], boolean]> {
  const all: T[] = [];
  let after = '';
  for (let n = 0; n < MOST_PAGES; n++) {
    const { items, next } = await page(after);
    all.push(...items);
    if (next === '') return [all, false];
    after = next;
  }
  return [all, true];
}

/** Whether a held roster may be what these learners lack: one of them is in no roster of its year yet, or it names them or their groups. */
async function touches({ door }: Gate, hold: Hold, learners: ReadonlySet<string>): Promise<boolean> {
  const asked = [...learners].slice(0, 1000);
  if (asked.length === 0) return false;
  if (asked.some((token) => hold.learnersLeaving.includes(token))) return true;
  const { learners: entries } = await door.services.rosters.getLearners({
    schoolOin: hold.schoolOin,
    schoolYear: hold.schoolYear,
    learners: asked,
  });
  const closing = new Set(hold.groupsClosing);
  return (
    entries.length < asked.length ||
    entries.some(({ group, compositeGroups }) => [group, ...compositeGroups].some((one) => closing.has(one)))
  );
}

/** That the key of a school is held elsewhere, where nobody lets us use it. */
async function closedSchool({ door }: Gate, school: string): Promise<Found | undefined> {
  if (school === '') return undefined;
  const { held } = await door.services.vault.showHolds({ schoolOin: school }).catch((thrown: unknown) => {
    // What the vault cannot say now is not in the way of what others know.
    log('warn', 'why_without_vault', describeError(asGatewayError(thrown)));
    return { held: [] };
  });
  const hold = held.find(({ open }) => !open);
  if (!hold) return undefined;
  const does = hold.code === 'peer.refused' ? 'says no' : 'gives no answer';
  return {
    code: 'school.closed',
    partyOin: school,
    who: 'school',
    lastStep: 'vault',
    sinceMs: hold.awayMs,
    told: `The key to the data of ${door.chain.party(school)?.name ?? 'this school'} is held at ${new URL(hold.at).host}, which ${does}: nothing of the school is taken in or shown until it does.`,
  };
}

/** Whether a learner is at a school is told only to who may have something of that school now. Throws mandate.*. */
function requireAnyMandate({ door }: Gate, school: string, party: string): void {
  const services = new Set(door.chain.between(school, party).flatMap((mandate) => mandate.services));
  const judged = [...services].map((service) => door.chain.judge(school, party, service));
  if (judged.some(({ fault }) => fault === undefined)) return;
  const fault = judged[0]?.fault ?? 'mandate.missing';
  throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
}

/** Of these learners those of whom a caller may hear about one service: of a mandate for some sites who is there. */
async function heardOf(gate: Gate, caller: Caller, school: string, service: Service, learners: readonly string[]) {
  const sites = school === '' ? undefined : sitesFor(gate.door, caller, school, service);
  if (sites === undefined) return () => true;
  const here = await learnersAt(gate.door, school, sites, learners);
  return (token: string) => token === '' || here.has(token);
}

/** Whether a learner is at a site of any mandate of the caller: who is at none is nobody to it. */
async function isAnywhere(gate: Gate, caller: Caller, school: string, learner: string): Promise<boolean> {
  const services = new Set(gate.door.chain.between(school, caller.oin).flatMap((mandate) => mandate.services));
  for (const service of services)
    if (
      gate.door.chain.judge(school, caller.oin, service).fault === undefined &&
      (await heardOf(gate, caller, school, service, [learner]))(learner)
    )
      return true;
  return false;
}

/** Without what is of learners of other sites than the mandates name, as in the lists of orders and entitlements. */
async function ofItsSites(
  gate: Gate,
  caller: Caller,
  school: string,
  orders: readonly OrderRow[],
  entitlements: readonly EntitlementRow[],
): Promise<[OrderRow[], EntitlementRow[]]> {
  const ordered = orders.flatMap(({ lines }) => lines.map(({ line }) => line!.learner));
  const held = entitlements.map(({ holder }) => holder?.learner ?? '');
  const [ofOrders, ofRights] = await Promise.all([
    heardOf(gate, caller, school, Service.SERVICE_ORDER, ordered),
    heardOf(gate, caller, school, Service.SERVICE_ENTITLEMENT, held),
  ]);
  return [
    orders.flatMap((order) => {
      const lines = order.lines.filter(({ line }) => ofOrders(line!.learner));
      return lines.length === 0 && order.lines.length > 0 ? [] : [{ ...order, lines }];
    }),
    entitlements.filter(({ holder }) => ofRights(holder?.learner ?? '')),
  ];
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
      told: 'It waits for its product, which no publisher has published yet.',
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

/** Whether it may be used today by whom it is for. */
function isActive(row: EntitlementRow, today: string): boolean {
  const { startsOn, endsOn } = row.terms!;
  return (
    row.outcome === 'granted' &&
    row.holder !== undefined &&
    row.state !== EntitlementState.ENTITLEMENT_STATE_BLOCKED &&
    row.state !== EntitlementState.ENTITLEMENT_STATE_WITHDRAWN &&
    row.state !== EntitlementState.ENTITLEMENT_STATE_EXPIRED &&
    !(endsOn && today > endsOn) &&
    !(startsOn && today < startsOn)
  );
}

/** Whether it ended in an earlier school year: on the first school day that is no news. */
const endedEarlier = ({ terms, state }: EntitlementRow, now: number): boolean =>
  state !== EntitlementState.ENTITLEMENT_STATE_WITHDRAWN &&
  terms!.endsOn !== '' &&
  schoolYearOf(Date.parse(`${terms!.endsOn}T12:00:00Z`)) < schoolYearOf(now);

/** Why one was taken back, where its row says it. */
const takenBack: Record<string, string> = {
  withdrawn: 'The seller withdrew it.',
  left: 'It went back because the learner left the school.',
};

/** `byProduct`: of a whole school, in which learners come and go. */
function aboutEntitlement(row: EntitlementRow, today: string, byProduct: boolean): Found | undefined {
  // A learner who was forgotten, or is no longer named, waits for nothing.
  if (row.holder === undefined || row.cause === 'forgotten') return undefined;
  // What took the place of one that was swapped speaks for itself.
  if (row.cause === 'swapped' || (row.cause === 'left' && byProduct)) return undefined;
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
    return {
      ...base,
      code: 'entitlement.blocked',
      lastStep: 'EntitlementChanged',
      told: row.state === EntitlementState.ENTITLEMENT_STATE_BLOCKED ? 'The seller blocked it.' : takenBack[row.cause],
      earlier: row.cause === 'left',
    };
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

/** A roster that waits for approval, or for the end of a freeze. */
export function rosterHeld(hold: Hold, chain: Chain): Found {
  const roster = `A roster of ${hold.schoolYear}${ofSite(hold)} waits`;
  const base = {
    partyOin: hold.schoolOin,
    lastStep: 'RosterHeld',
    sinceMs: hold.sinceMs,
    flowId: hold.flowId,
    learners: hold.difference?.left ?? 0,
  };
  if (hold.reason !== FREEZE)
    return {
      ...base,
      code: 'hold.pending',
      who: 'school',
      told: `${roster} for approval: ${heldBecause[hold.reason] ?? hold.reason}.`,
    };
  const held = chain.frozen({ kind: 'rename', schools: [hold.schoolOin], parties: [hold.byOin] });
  return { ...base, code: 'freeze.holds', who: 'us', told: `${roster}: ${frozenWords(held)}` };
}

/** Withdrawals and blocks that wait. */
export function changesHeld(hold: ChangeHold, chain: Chain): Found {
  const products = hold.products.filter(({ entitlements }) => entitlements > 0);
  // What is left after a part by class would tell how large a small class was.
  const many = hold.byClass
    ? 'entitlements'
    : counted(
        products.reduce((count, { entitlements }) => count + entitlements, 0),
        'entitlement',
        'entitlements',
      );
  const base = {
    partyOin: hold.schoolOin,
    productId: products.length === 1 ? products[0]!.productId : '',
    lastStep: 'EntitlementChangeHeld',
    sinceMs: hold.sinceMs,
    flowId: hold.flowId,
    // Of several products the same learner counts each time.
    learners: products.length === 1 && !hold.byClass ? products[0]!.learners : 0,
  };
  if (hold.reason !== FREEZE)
    return {
      ...base,
      code: 'hold.pending',
      who: 'school',
      told: `Withdrawals of ${many} wait for approval: ${heldBecause[hold.reason] ?? hold.reason}.`,
    };
  const held = chain.frozen({ kind: 'withdraw', schools: [hold.schoolOin], parties: [hold.byOin] });
  return { ...base, code: 'freeze.holds', who: 'us', told: `Withdrawals of ${many} wait: ${frozenWithdrawal(held)}` };
}

/** As `eduk hold list` says it. */
const ofSite = ({ siteCode, administration }: { siteCode: string; administration: string }): string =>
  `${siteCode && ` of site ${siteCode}`}${administration && ` of administration ${administration}`}`;

/** The reason of a hold that a freeze keeps waiting. */
const FREEZE = 'freeze';

/** A freeze of whose product it is, or of whose platform, is not known by the sender alone. */
const frozenWithdrawal = (held: Frozen<FrozenBy> | undefined): string =>
  held ? frozenWords(held) : 'a freeze of a publisher or platform holds, or did a moment ago: eduk freeze list.';

/** Which freeze it is, who set it and when, and until when it holds. */
const frozenWords = (held: Frozen<FrozenBy> | undefined): string => {
  if (!held) return 'a freeze held it, and it goes on now.';
  const { freeze, untilMs } = held;
  const set = `set by ${freeze.byOin} on ${dutchMinute(Number(freeze.setMs)).replace('T', ' ')}`;
  return `freeze ${freeze.reason}, ${set}, holds until ${dutchMinute(untilMs).replace('T', ' ')}.`;
};

const heldBecause: Record<string, string> = {
  empty: 'it is empty',
  truncated: 'it seems cut off',
  leaves_out_site: 'it names no site, and lacks most pupils of one',
  removes_many: 'it removes many learners',
  renames_many: 'it renames many learners or groups',
  removes_groups: 'it closes many groups',
  removes_staff: 'it removes many staff',
  renames_staff: 'it renames many staff',
  ends_many: 'it names a day on which most learners leave',
  said_again: 'it says again what was not approved before',
  withdraws_many: 'they take much away at once',
};

export const answered = (status: number): string => (status === 0 ? 'gave no answer' : `answered ${status}`);

export const serviceName = (service: Service): string =>
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
      cause.earlier === true,
      cause.code,
      cause.partyOin,
      cause.orderId,
      cause.productId,
      cause.entitlementId,
      cause.lastStep,
      // Rosters of two sites that wait are two things to look at.
      cause.code.startsWith('mandate.') || cause.code === 'hold.pending' ? cause.told : '',
    ].join('|');
    const known = seen.get(key);
    if (known) known.learners = (known.learners ?? 0) + (cause.learners ?? 0);
    else seen.set(key, { ...cause });
  }
  return [...seen.values()];
}

/** Of a whole school thousands may lack the same: those beyond the first are counted, so that the answer stays readable. */
function folded(found: readonly Found[]): Found[] {
  const kinds = new Map<string, Found[]>();
  for (const cause of found) {
    const { code, told, partyOin, productId, lastStep, earlier } = cause;
    const kind = [code, told, partyOin, productId, lastStep, earlier].join('|');
    const of = kinds.get(kind);
    if (!of) kinds.set(kind, [cause]);
    else if (of.length < MOST_ALIKE) of.push(cause);
    else of[MOST_ALIKE - 1]!.learners = (of[MOST_ALIKE - 1]!.learners ?? 0) + (cause.learners ?? 0);
  }
  return [...kinds.values()].flat();
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
    remedy: cause.remedy || (remedies[cause.code] ?? ''),
    orderId: cause.orderId ?? '',
    productId: cause.productId ?? '',
    entitlementId: cause.entitlementId ?? '',
    flowId: cause.flowId ?? '',
    sinceMs: cause.sinceMs ?? 0n,
    learners: cause.learners ?? 0,
  };
}

export function sentence(blockers: readonly Blocker[], earlier: readonly Blocker[], known: number): string {
  const first = blockers[0];
  if (!first)
    return earlier.length > 0
      ? 'Nothing blocks now; see what was refused or ended earlier.'
      : known === 0
        ? 'Nothing was ordered or granted under this.'
        : 'Nothing blocks: what was ordered is granted, and the parties may have it.';
  // Fifty licences that stopped for one reason have one cause.
  const causes = new Set(
    blockers.map(({ code, told, partyOin, productId }) => [code, told, partyOin, productId].join('|')),
  ).size;
  const more = causes === 1 ? '' : ` There ${causes === 2 ? 'is one more cause' : `are ${causes - 1} more causes`}.`;
  return `${first.told} ${first.partyName ? `${first.partyName} must act` : first.who === 'us' ? 'We must act' : `The ${first.who} must act`}: ${first.remedy}${more}`;
}
