import { dutchDay, GatewayError, isDay, isPartyOin, isSchoolOin } from '#kernel';
import { EntitlementState, LineState, Ownership, Renewal } from '#proto/eduk/core/v1/ordering';
import { type Mandate, MandateState, Service } from '#proto/eduk/core/v1/party';
import type { Product } from '#proto/eduk/core/v1/product';
import type { ParkedRows } from '#proto/eduk/delivery/v1/delivery';
import type { EntitlementRow } from '#proto/eduk/entitlements/v1/entitlements';
import { type PreviewSwitchRequest, SwitchLine } from '#proto/eduk/operator/v1/operator';
import type { LineRow, OrderRow } from '#proto/eduk/orders/v1/orders';
import { SCHOOL_UNKNOWN } from '../stages/authorise.ts';
import type { Door } from '../submission.ts';

/**
 * What a change of supplier touches. `touched` is pure; around it stands what is read for it. Only counts leave here: who
 * they are is nobody's business but the school's.
 */

/** Rows of one owner that are looked at, and how many come at once. */
const MOST_ROWS = 60_000;
const PAGE = 1000;
/** Titles that are listed one by one. */
const MOST_TITLES = 50;

/** A change, with everything filled in that was left open. */
export interface Change {
  school: string;
  from: string;
  to: string;
  services: Service[];
  day: string;
  runOffUntil: string;
  today: string;
}

/** What it is judged by. */
export interface Touches extends Change {
  /** Of the school with the old party, and with the new. */
  old: readonly Mandate[];
  new: readonly Mandate[];
  /** Granted by, published by or opened at the old party; and at the new. */
  oldLicences: readonly EntitlementRow[];
  newLicences: readonly EntitlementRow[];
  /** Bought or sold by the old party; and by the new. */
  oldOrders: readonly OrderRow[];
  newOrders: readonly OrderRow[];
  products: ReadonlyMap<string, Product>;
  parked: readonly ParkedRows[];
  /** Owners of whose rows not all were looked at. */
  partial: ReadonlySet<'licences' | 'orders'>;
  isRegistered: boolean;
  hasKey: boolean;
}

const { MANDATE_STATE_ACTIVE: ACTIVE, MANDATE_STATE_RUN_OFF: RUN_OFF } = MandateState;
const { SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT, SERVICE_PROGRESS, SERVICE_USAGE } = Service;

/** New business, which a run-off refuses at once. */
const fresh: readonly Service[] = [SERVICE_ORDER, SERVICE_ENTITLEMENT];

/** The old party's mandates that a change is about: those that hold, and those that it let run off before. */
export const mandatesOf = (old: readonly Mandate[], services: readonly Service[], runOffUntil: string): Mandate[] =>
  old.filter(
    ({ state, services: own, runOffUntil: until }) =>
      (state === ACTIVE || (state === RUN_OFF && until === runOffUntil)) && own.some((one) => services.includes(one)),
  );

/** Checks a change and fills in what it leaves open. Faults: wire.invalid, state.missing (the old party has nothing). */
export function changeOf(door: Pick<Door, 'chain' | 'clock'>, request: PreviewSwitchRequest): Change {
  const { schoolOin, fromOin, toOin, day } = request;
  const invalid = (told: string, where: string) => new GatewayError('wire.invalid', told, { where });
  if (!isSchoolOin(schoolOin))
    throw invalid('A change is of a school: 00000007000, the BRIN and five digits.', 'school_oin');
  if (!isPartyOin(fromOin)) throw invalid('A party is named by its OIN.', 'from_oin');
  if (!isPartyOin(toOin) || toOin === fromOin)
    throw invalid('The new party is another one, named by its OIN.', 'to_oin');
  const today = dutchDay(door.clock.now());
  if (!isDay(day) || day < today) throw invalid('The first day of the new party is today or later.', 'day');
  const runOffUntil = request.runOffUntil || day;
  if (!isDay(runOffUntil) || runOffUntil < today)
    throw invalid('The last day of the old party is today or later.', 'run_off_until');
  const old = door.chain.between(schoolOin, fromOin);
  if (old.length === 0 && !door.chain.knowsSchool(schoolOin))
    throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  const all = [...new Set(old.flatMap((one) => (one.state === ACTIVE || one.state === RUN_OFF ? one.services : [])))];
  const services = (request.services.length > 0 ? [...new Set(request.services)] : all).sort((a, b) => a - b);
  if (services.length === 0)
    throw new GatewayError('state.missing', 'This school has no mandate with the old party that holds.', {
      where: 'from_oin',
    });
  return { school: schoolOin, from: fromOin, to: toOin, services, day, runOffUntil, today };
}

/** What a change touches, as it stands now. Faults: as `changeOf`. */
export async function previewSwitch(
  door: Door,
  request: PreviewSwitchRequest,
): Promise<{ change: Change; lines: SwitchLine[] }> {
  const change = changeOf(door, request);
  const { school, from, to } = change;
  const { entitlements, orders, delivery, catalogue } = door.services;
  const partial = new Set<'licences' | 'orders'>();
  const licencesOf = (partyOin: string) =>
    all(
      async (after) => {
        const { entitlements: rows, next } = await entitlements.listEntitlements({
          schoolOin: school,
          partyOin,
          after,
          limit: PAGE,
          learner: '',
          groups: [],
          productId: '',
          orderId: '',
          waiting: false,
        });
        return { rows, next };
      },
      () => partial.add('licences'),
    );
  const ordersOf = (partyOin: string) =>
    all(
      async (after) => {
        const { orders: rows, next } = await orders.listOrders({
          schoolOin: school,
          partyOin,
          after,
          limit: PAGE,
          learner: '',
          productId: '',
          waiting: true,
        });
        return { rows, next };
      },
      () => partial.add('orders'),
    );
  const [oldLicences, newLicences, oldOrders, newOrders, { parked }] = await Promise.all([
    licencesOf(from),
    licencesOf(to),
    ordersOf(from),
    ordersOf(to),
    delivery.listParkedRows({ schoolOin: school, partyOin: from }),
  ]);
  const ids = new Set([
    ...oldLicences.map(({ terms }) => terms?.productId ?? ''),
    ...oldOrders.flatMap(({ lines }) => lines.map(({ line }) => line?.terms?.productId ?? '')),
  ]);
  const known = await inPages(
    [...ids].filter(Boolean),
    async (productIds) => (await catalogue.getProducts({ productIds })).products,
  );
  const lines = touched({
    ...change,
    old: door.chain.between(school, from),
    new: door.chain.between(school, to),
    oldLicences,
    newLicences,
    oldOrders,
    newOrders,
    products: new Map(known.map((product) => [product.productId, product])),
    parked,
    partial,
    isRegistered: door.chain.party(to) !== undefined,
    hasKey: door.chain.hasKey(school, to),
  });
  return { change, lines };
}

async function all<Row>(
  page: (after: string) => Promise<{ rows: Row[]; next: string }>,
  tooMany: () => unknown,
): Promise<Row[]> {
  const found: Row[] = [];
  for (let after = ''; ; ) {
    const { rows, next } = await page(after);
    found.push(...rows);
    if (next === '') return found;
    if (found.length >= MOST_ROWS) {
      tooMany();
      return found;
    }
    after = next;
  }
}

async function inPages<T, R>(list: readonly T[], ask: (some: T[]) => Promise<R[]>): Promise<R[]> {
  const found: R[] = [];
  for (let i = 0; i < list.length; i += 500) found.push(...(await ask(list.slice(i, i + 500))));
  return found;
}

const isRunning = ({ outcome, state }: EntitlementRow): boolean =>
  outcome === 'granted' &&
  (state === EntitlementState.ENTITLEMENT_STATE_GRANTED ||
    state === EntitlementState.ENTITLEMENT_STATE_PROVISIONED ||
    state === EntitlementState.ENTITLEMENT_STATE_USED ||
    state === EntitlementState.ENTITLEMENT_STATE_BLOCKED);

/** What the new party granted is its own, whoever publishes it. */
const isOfOld = (row: EntitlementRow, { to }: Pick<Change, 'to'>): boolean => isRunning(row) && row.grantedByOin !== to;

const endOf = ({ terms }: EntitlementRow): string => terms?.endsOn ?? '';
const latest = (days: readonly string[]): string => [...days].sort().at(-1) ?? '';

/** Lines of orders, each with its seller, as `pick` wants them. */
const linesOf = (orders: readonly OrderRow[], party: string): LineRow[] =>
  orders.flatMap(({ outcome, buyerOin, lines }) =>
    outcome === 'refused' ? [] : lines.filter(({ line }) => line?.sellerOin === party || buyerOin === party),
  );

/** For whom and of what: what two parties would both deliver. */
const placeOf = (product: string, learner: string, group: string): string => `${product}|${learner}|${group}`;

export function touched(at: Touches): SwitchLine[] {
  const lines: SwitchLine[] = [];
  const say = (part: string, what: string, more: Partial<SwitchLine>): void =>
    void lines.push(SwitchLine.fromPartial({ part, what, ...more }));
  const asked = (...services: Service[]): boolean => services.some((one) => at.services.includes(one));
  aboutMandates(at, say);
  if (asked(SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT, SERVICE_USAGE, SERVICE_PROGRESS)) {
    aboutLicences(at, say);
    aboutOrders(at, say);
    aboutTitles(at, say);
  }
  for (const row of at.parked)
    if (at.services.includes(row.service))
      say('dropped', 'mail', {
        count: row.rows,
        service: row.service,
        who: 'us',
        told: 'Mail for the old party waits and is dropped 30 days after it arrived: eduk dead retry sends it, eduk dead drop gives it up.',
      });
  return lines;
}

type Say = (part: string, what: string, more: Partial<SwitchLine>) => void;

function aboutMandates(at: Touches, say: Say): void {
  const { services, day, today, runOffUntil } = at;
  if (!at.isRegistered)
    say('mandate', 'party', { count: 1n, who: 'us', told: 'The new party is not registered: eduk party add.' });
  if (!at.hasKey)
    say('mandate', 'key', {
      count: 1n,
      who: 'to',
      told: 'The new party gets an autorisatiesleutel with its first mandate, and sets it before its first day.',
    });
  say('mandate', 'agreement', {
    count: 1n,
    who: 'school',
    told: 'The processing agreement with the old party does not cover the new one: the school concludes its own.',
  });
  const concerned = mandatesOf(at.old, services, runOffUntil);
  for (const { mandateId, services: own } of concerned) {
    const others = own.filter((one) => !services.includes(one));
    if (others.length > 0)
      say('mandate', 'more_services', {
        count: BigInt(others.length),
        mandateId,
        who: 'us',
        told: 'This mandate of the old party also holds services that are to stay: give those by a mandate of their own and end this one, or change all of them.',
      });
  }
  for (const service of services) {
    const own = concerned.filter((one) => one.services.includes(service));
    if (own.length === 0) {
      say('mandate', 'nothing', {
        service,
        who: '',
        told: 'The old party has no mandate for this that holds: there is nothing to run off.',
      });
      continue;
    }
    // It ends with the run-off, or by itself before that.
    const ends = latest(
      own.map(({ validUntil }) => (validUntil !== '' && validUntil < runOffUntil ? validUntil : runOffUntil)),
    );
    const given = at.new.filter((one) => one.state === ACTIVE && one.services.includes(service));
    const first = [day, ...given.map(({ validFrom }) => validFrom || today)].sort()[0]!;
    const gap = daysBetween(ends, first) - 1;
    if (gap > 0)
      say('dropped', 'gap', {
        count: BigInt(gap),
        service,
        until: dayBefore(first),
        who: 'us',
        told: 'Days on which nobody has this: what comes for it then is refused or waits. Let the old party run off until the day before, or later.',
      });
    const waits = fresh.includes(service) ? daysBetween(today, first) : 0;
    if (waits > 0)
      say('dropped', 'new_business', {
        count: BigInt(waits),
        service,
        until: dayBefore(first),
        who: 'us',
        told: 'Days on which nobody takes new orders or grants: a run-off refuses these from the moment it is made. Make the change on its day, or give the new party a mandate from today.',
      });
    const both = given.some(({ validFrom }) => validFrom === '' || validFrom <= ends);
    if (both)
      say('twice', 'overlap', {
        count: BigInt(daysBetween(first > today ? first : today, ends) + 1),
        service,
        until: ends,
        who: 'us',
        told: 'Days on which both parties have this, and both are told what is new.',
      });
  }
}

function aboutLicences(at: Touches, say: Say): void {
  const { runOffUntil, partial } = at;
  const running = at.oldLicences.filter((one) => isOfOld(one, at));
  const more = { partial: partial.has('licences') };
  const within = running.filter((one) => endOf(one) !== '' && endOf(one) <= runOffUntil);
  const beyond = running.filter((one) => !within.includes(one));
  if (within.length > 0)
    say('running', 'licences', {
      ...more,
      count: BigInt(within.length),
      service: SERVICE_ENTITLEMENT,
      until: latest(within.map(endOf)),
      told: 'Licences of the old party that end by themselves before its run-off does.',
    });
  if (beyond.length > 0)
    say('running', 'licences', {
      ...more,
      count: BigInt(beyond.length),
      service: SERVICE_ENTITLEMENT,
      until: latest(beyond.map(endOf)),
      who: 'school',
      told: 'Licences of the old party that outlive its run-off: from then on nobody withdraws or reports on them. Let it run off until their last day, or have them withdrawn or swapped before.',
    });
  const inUse = running.filter(
    ({ state, platformOin, publisherOin }) =>
      (platformOin || publisherOin) === at.from && state !== EntitlementState.ENTITLEMENT_STATE_GRANTED,
  );
  const late = inUse.filter((one) => endOf(one) > runOffUntil);
  if (inUse.length > 0)
    say('running', 'results', {
      ...more,
      count: BigInt(inUse.length),
      service: SERVICE_RESULT,
      until: latest(inUse.map(endOf)),
      who: late.length > 0 ? 'from' : '',
      told:
        late.length > 0
          ? `Licences in use from which results are still expected; of ${late.length} after the run-off, when they are refused: the old party returns them before, or runs off longer.`
          : 'Licences in use from which results are still expected, all before the run-off is over.',
    });
  const others = new Set(
    at.newLicences
      .filter((one) => isRunning(one) && one.grantedByOin === at.to)
      .map(({ terms, holder }) => placeOf(terms?.productId ?? '', holder?.learner ?? '', holder?.group ?? '')),
  );
  const twice = running.filter(
    ({ grantedByOin, terms, holder }) =>
      grantedByOin === at.from &&
      others.has(placeOf(terms?.productId ?? '', holder?.learner ?? '', holder?.group ?? '')),
  );
  if (twice.length > 0)
    say('twice', 'licences', {
      ...more,
      count: BigInt(twice.length),
      service: SERVICE_ENTITLEMENT,
      who: 'school',
      told: 'Granted by both parties to the same learner or group: have one of the two withdrawn.',
    });
}

const isOpen = ({ state }: LineRow): boolean =>
  state === LineState.LINE_STATE_UNSPECIFIED ||
  state === LineState.LINE_STATE_PLACED ||
  state === LineState.LINE_STATE_CONFIRMED;

function aboutOrders(at: Touches, say: Say): void {
  const { runOffUntil, today, partial } = at;
  const more = { service: SERVICE_ORDER, partial: partial.has('orders') };
  const own = linesOf(at.oldOrders, at.from);
  const open = own.filter(isOpen);
  const unconfirmed = open.filter(({ state }) => state !== LineState.LINE_STATE_CONFIRMED);
  if (unconfirmed.length > 0)
    say('running', 'orders', {
      ...more,
      count: BigInt(unconfirmed.length),
      until: runOffUntil,
      who: 'from',
      told: 'Order lines that are not confirmed: the old party confirms or refuses them before its last day, or the school cancels them.',
    });
  const confirmed = open.length - unconfirmed.length;
  if (confirmed > 0)
    say('running', 'deliveries', {
      ...more,
      count: BigInt(confirmed),
      until: runOffUntil,
      who: 'from',
      told: 'Order lines that are confirmed and not delivered: the old party delivers before its last day, or credits them.',
    });
  const rented = own.filter(
    ({ line, state }) =>
      line?.terms?.ownership === Ownership.OWNERSHIP_RENT &&
      state === LineState.LINE_STATE_DELIVERED &&
      (line.terms.returnBy === '' || line.terms.returnBy >= today),
  );
  const back = latest(rented.map(({ line }) => line!.terms!.returnBy));
  if (rented.length > 0)
    say('running', 'returns', {
      ...more,
      count: BigInt(rented.length),
      until: back,
      who: 'school',
      told:
        back > runOffUntil
          ? 'Order lines with rented copies that go back to the old party, some after its run-off: let it run off until then, or bring them back before.'
          : 'Order lines with rented copies that go back to the old party.',
    });
  const renewing = own.filter(
    ({ line, state }) =>
      line?.terms?.renewal === Renewal.RENEWAL_RENEWS &&
      (state === LineState.LINE_STATE_CONFIRMED || state === LineState.LINE_STATE_DELIVERED),
  );
  const notices = renewing.map(({ line }) => line!.terms!.noticeBy).filter((one) => one >= today);
  if (renewing.length > 0)
    say('twice', 'renewals', {
      ...more,
      count: BigInt(renewing.length),
      until: [...notices].sort()[0] ?? '',
      who: 'school',
      told:
        notices.length > 0
          ? 'Order lines at the old party that renew by themselves, beside what the new one delivers: give notice, the first by the day shown.'
          : 'Order lines at the old party that renew by themselves, and no day to give notice is left: ask it whether it lets them end.',
    });
  const receiver = ({ line }: LineRow): string =>
    placeOf(line?.terms?.productId ?? '', line?.learner ?? '', line?.group ?? '');
  const stands = (one: LineRow): boolean => isOpen(one) || one.state === LineState.LINE_STATE_DELIVERED;
  const others = new Set(linesOf(at.newOrders, at.to).filter(stands).map(receiver));
  const twice = own.filter((one) => stands(one) && others.has(receiver(one)));
  if (twice.length > 0)
    say('twice', 'orders', {
      ...more,
      count: BigInt(twice.length),
      who: 'school',
      told: 'Ordered at both parties for the same receiver: cancel one of the two, or have it credited.',
    });
}

/** What only the old party has: who publishes a title, or opens it on a platform, is its only source. */
function aboutTitles(at: Touches, say: Say): void {
  const { from, to, day } = at;
  const isOnly = (product: string): boolean => {
    const known = at.products.get(product);
    return known !== undefined && (known.publisherOin === from || known.platformOin === from);
  };
  const running = at.oldLicences.filter(
    (one) => isOfOld(one, at) && endOf(one) >= day && isOnly(one.terms?.productId ?? ''),
  );
  const byProduct = new Map<string, number>();
  let sensitive = 0;
  for (const { terms } of running) {
    const id = terms!.productId;
    if (at.products.get(id)!.sensitive) sensitive++;
    else byProduct.set(id, (byProduct.get(id) ?? 0) + 1);
  }
  const titles = [...byProduct].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const more = { service: SERVICE_ENTITLEMENT, who: 'school', partial: at.partial.has('licences') };
  for (const [productId, count] of titles.slice(0, MOST_TITLES)) {
    const { title, followupProductId } = at.products.get(productId)!;
    say('dropped', 'product', {
      ...more,
      count: BigInt(count),
      productId,
      title,
      told: followupProductId
        ? `Licences of a title that only the old party has; its publisher names ${followupProductId} as what follows it.`
        : 'Licences of a title that only the old party has: choose what takes its place, or let it run on.',
    });
  }
  const rest = titles.slice(MOST_TITLES).reduce((sum, [, count]) => sum + count, 0);
  if (rest > 0)
    say('dropped', 'product', {
      ...more,
      count: BigInt(rest),
      told: `Licences of ${titles.length - MOST_TITLES} other titles that only the old party has.`,
    });
  if (sensitive > 0)
    say('dropped', 'product', {
      ...more,
      count: BigInt(sensitive),
      told: 'Licences of sensitive titles that only the old party has; the school sees which.',
    });
  const served = new Set(
    at.newLicences
      .filter((one) => isRunning(one) && (one.grantedByOin === to || one.platformOin === to || one.publisherOin === to))
      .map(({ holder }) => holder?.learner ?? ''),
  );
  const left = new Set(
    running.map(({ holder }) => holder?.learner ?? '').filter((learner) => learner !== '' && !served.has(learner)),
  );
  if (left.size > 0)
    say('dropped', 'learners', {
      ...more,
      count: BigInt(left.size),
      told: 'Learners with such material who have nothing of the new party yet: order for them before the first day.',
    });
}

const DAY_MS = 86_400_000;
/** Days from one to the other; 0 = the same day. */
const daysBetween = (one: string, other: string): number => Math.round((Date.parse(other) - Date.parse(one)) / DAY_MS);
const dayBefore = (day: string): string => new Date(Date.parse(day) - DAY_MS).toISOString().slice(0, 10);
