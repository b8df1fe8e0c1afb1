/**
 * How ready schools are for their first day: the counts of services/readiness, cut to what the caller may know, with the cause of
 * what is missing and the party to ask for it. A question reads counts, never orders or entitlements.
 */
import {
  dutchDay,
  type Fault,
  faults,
  GatewayError,
  isDay,
  isFault,
  isSchoolYear,
  remedies,
  schoolYearOf,
  startOfDutchDay,
} from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { Product } from '#proto/eduk/core/v1/product';
import {
  type ReadinessCause,
  type ReadinessCount,
  ReadinessDay,
  type ReadinessRequest,
  type ReadinessResponse,
  ReadinessRow,
} from '#proto/eduk/gateway/v1/flow';
import type { NeedCell } from '#proto/eduk/readiness/v1/readiness';
import { rowsToTell, type TellableCount, type TellableRow, tellRow } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { sitesFor } from '../sites.ts';
import { actsForSchool, requireOpenSchool, requireOwnSchool, SCHOOL_UNKNOWN } from '../stages/authorise.ts';

const USUAL = 50;
const MOST = 1_000;
/** Schools of one answer: of each all products are added up. */
const MOST_SCHOOLS = 50;
/** Products asked of the counts at once. */
const PAGE = 200;
/** From May on the question is about the year to come. */
const TURNS = '05-01';
/** Outside the school how it went is told from so many licences on, in tens. */
const FEWEST_FOR_DAYS = 200;
const DAY_MS = 86_400_000;

/** Services of which a mandate makes a party one of those who bring material. */
const BRINGS = [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS] as const;

/** What a caller may see of a school. */
interface Sight {
  /** Counts as they are. */
  exact: boolean;
  sees(cell: NeedCell, product: Product | undefined): boolean;
  /** Whether it may know which sensitive product it is. */
  knows(cell: NeedCell, product: Product): boolean;
}

/** Faults: state.missing, party.forbidden, mandate.*. */
function sightOf(gate: Gate, caller: Caller, school: string, mayBeExact: boolean): Sight {
  const { door } = gate;
  const { chain } = door;
  requireOwnSchool(caller, school);
  if (!chain.knowsSchool(school)) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  if (caller.kind === 'operator') return { exact: false, sees: () => true, knows: () => false };
  requireOpenSchool(door, school);
  if (actsForSchool(door, caller, school)) return { exact: mayBeExact, sees: () => true, knows: () => true };
  const { oin } = caller;
  const judged = BRINGS.map((service) => ({ service, fault: chain.judge(school, oin, service).fault }));
  const held = judged.filter(({ fault }) => fault === undefined);
  if (held.length === 0) {
    const fault = judged.find((one) => one.fault !== 'mandate.missing')?.fault ?? 'mandate.missing';
    throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
  }
  // Of a mandate for some sites nobody can say which counts are of these; what the party sent itself it knows.
  const isOfSites = held.some(({ service }) => sitesFor(door, caller, school, service) !== undefined);
  const took = ({ buyerOin, sellerOin }: NeedCell): boolean => buyerOin === oin || sellerOin === oin;
  return {
    exact: false,
    sees: (cell, product) =>
      took(cell) || (!isOfSites && (product?.publisherOin === oin || platformOf(product) === oin)),
    knows: (cell, product) => took(cell) || product.publisherOin === oin,
  };
}

const platformOf = (product: Product | undefined): string => product?.platformOin || (product?.publisherOin ?? '');

/** Cells of a page of products; `all`: of all of them. */
async function cellsOf(
  { door }: Gate,
  asked: { schoolOin: string; schoolYear: string; byGroup: boolean; productId: string; after: string; limit: number },
  all: boolean,
): Promise<{ cells: NeedCell[]; next: string }> {
  const cells: NeedCell[] = [];
  let { after } = asked;
  for (;;) {
    const page = await door.asked.readiness.listNeeds({ ...asked, after });
    cells.push(...page.cells);
    if (!all || page.next === '') return { cells, next: page.next };
    after = page.next;
  }
}

async function productsOf({ door }: Gate, ids: readonly string[]): Promise<Map<string, Product>> {
  const known = new Map<string, Product>();
  const wanted = [...new Set(ids)];
  for (let from = 0; from < wanted.length; from += PAGE) {
    const { products } = await door.services.catalogue.getProducts({ productIds: wanted.slice(from, from + PAGE) });
    for (const product of products) known.set(product.productId, product);
  }
  return known;
}

interface Why {
  code: Fault;
  who: string;
  partyOin: string;
}

/** Parties whose endpoints take nothing at the moment. */
type Sick = ReadonlySet<string>;

/** Why licences of a cell stay in a state, and who must act; undefined = nothing is missing. */
function whyOf(
  { door }: Gate,
  school: string,
  cell: NeedCell,
  state: string,
  code: string,
  product: Product | undefined,
  sick: Sick,
): Why | undefined {
  const { chain } = door;
  const { buyerOin, sellerOin } = cell;
  const seller = sellerOin || (product?.publisherOin ?? '');
  const because = (fault: Fault, partyOin: string): Why => ({ code: fault, who: faults[fault].who, partyOin });
  const agreement = (party: string, fault: Fault): Why => {
    if (fault === 'mandate.suspended') return { code: fault, who: 'us', partyOin: '' };
    return fault === 'mandate.unaccepted'
      ? { code: fault, who: 'peer', partyOin: party }
      : { code: fault, who: 'school', partyOin: school };
  };
  /** Whether one of some parties may have a service; else why not. */
  const lacks = (parties: readonly string[], service: Service): Why | undefined => {
    const judged = [...new Set(parties)]
      .filter((oin) => oin !== '' && oin !== school)
      .map((oin) => ({ oin, fault: chain.judge(school, oin, service).fault }));
    if (judged.length === 0 || judged.some(({ fault }) => fault === undefined)) return undefined;
    const worst = judged.find(({ fault }) => fault !== 'mandate.missing') ?? judged[0]!;
    return agreement(worst.oin, worst.fault!);
  };
  const platform = platformOf(product);
  const down = (party: string): Why | undefined => (sick.has(party) ? because('peer.unavailable', party) : undefined);
  switch (state) {
    case 'waiting':
      return because('product.unknown', buyerOin);
    case 'refused':
      return because(isFault(code) ? code : 'state.conflict', buyerOin);
    case 'ordered':
      return (
        lacks([seller], Service.SERVICE_ORDER) ??
        down(seller) ?? { code: 'order.unconfirmed', who: 'peer', partyOin: seller }
      );
    case 'declined':
      return { code: 'peer.refused', who: 'sender', partyOin: buyerOin };
    case 'confirmed':
      return (
        lacks([seller, product?.publisherOin ?? ''], Service.SERVICE_ENTITLEMENT) ??
        because('entitlement.missing', seller)
      );
    case 'not_granted':
      return because(isFault(code) ? code : 'state.conflict', seller);
    case 'blocked':
      return because('entitlement.blocked', seller);
    case 'expired':
      return because('entitlement.expired', buyerOin || seller);
    case 'unassigned':
      return because('entitlement.unassigned', seller);
    case 'granted':
      return (
        lacks([platform], Service.SERVICE_ENTITLEMENT) ??
        lacks([platform], Service.SERVICE_ACCESS) ??
        down(platform) ??
        because('access.unprovisioned', platform)
      );
    default:
      return undefined;
  }
}

const STATES_BY_STEP: readonly (readonly string[])[] = [
  ['waiting', 'refused', 'ordered', 'declined'],
  ['confirmed', 'not_granted', 'blocked', 'expired'],
  ['unassigned', 'granted'],
  ['provisioned'],
  ['opened'],
];

/** What one row is made of: counts by state and cause. */
interface Making {
  schoolOin: string;
  productId: string;
  title: string;
  group: string;
  counts: Map<string, number>;
  states: Map<string, string>;
  causes: Map<string, { why: Why; state: string }>;
  days: readonly ReadinessDay[][];
}

const shown = ({ count, underTen, hidden }: TellableCount): ReadinessCount => ({
  count,
  underTen,
  hidden,
  atLeast: false,
});

/** A sum of what is told. */
function summed(all: readonly ReadinessCount[]): ReadinessCount {
  const count = all.reduce((sum, one) => sum + one.count, 0);
  return {
    count,
    underTen: false,
    hidden: false,
    atLeast: all.some(({ underTen, hidden, atLeast }) => underTen || hidden || atLeast),
  };
}

const weightOf = ({ count, hidden, underTen }: ReadinessCount): number => count || (hidden ? 10 : underTen ? 1 : 0);

/**
 * Faults: wire.invalid, state.missing, party.forbidden, mandate.*. `mayBeExact`: false where somebody else looks at what the caller
 * would see: then counts are told to the school as to others.
 */
export async function readiness(
  asked: ReadinessRequest,
  caller: Caller,
  gate: Gate,
  mayBeExact = true,
): Promise<ReadinessResponse> {
  const { door, cursors } = gate;
  const now = door.clock.now();
  const { schoolOin, firstDay, byGroup, productId } = asked;
  if (firstDay !== '' && !isDay(firstDay))
    throw new GatewayError('wire.invalid', 'A date must be a day that exists, YYYY-MM-DD.', { where: 'first_day' });
  if (asked.schoolYear !== '' && !isSchoolYear(asked.schoolYear))
    throw new GatewayError('wire.invalid', 'A school year is two years that follow each other.', {
      where: 'school_year',
    });
  if (asked.limit > MOST) throw new GatewayError('wire.invalid', 'A limit is at most 1,000.', { where: 'limit' });
  if (schoolOin === '' && (byGroup || productId !== ''))
    throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  const today = dutchDay(now);
  const schoolYear = asked.schoolYear || yearAsked(firstDay, now);
  const daysLeft = firstDay === '' ? 0 : Math.round((Date.parse(firstDay) - Date.parse(today)) / DAY_MS);
  const limit = asked.limit || USUAL;
  const of = `readiness|${schoolOin}|${schoolYear}|${byGroup}|${productId}`;
  const after = cursors.open(caller.oin, of, asked.cursor);
  const { endpoints } = await door.services.delivery.listEndpoints({ idle: false, partyOin: '' });
  const sick = new Set(endpoints.flatMap(({ state, partyOin }) => (state === 'up' ? [] : [partyOin])));

  if (schoolOin === '') {
    const most = Math.min(limit, MOST_SCHOOLS);
    const page = schoolsOf(gate, caller)
      .filter((oin) => oin > after)
      .slice(0, most + 1);
    const rows: ReadinessRow[] = [];
    const products: ReadinessRow[] = [];
    for (const school of page.slice(0, most)) {
      const sight = sightIfAny(gate, caller, school, mayBeExact);
      if (!sight) continue;
      const query = { schoolOin: school, schoolYear, byGroup: false, productId: '', after: '', limit: PAGE };
      const { cells } = await cellsOf(gate, query, true);
      const known = await productsOf(
        gate,
        cells.map((cell) => cell.productId),
      );
      const made = tell(gate, school, makingsOf(gate, school, cells, sight, known, sick), sight);
      if (made.length === 0) continue;
      products.push(...made.map(({ row }) => row));
      rows.push(
        summary(
          gate,
          school,
          made.map(({ row }) => row),
        ),
      );
    }
    return {
      schoolYear,
      daysLeft,
      rows,
      chase: chaseOf(products),
      days: [],
      cursor: cursors.seal(caller.oin, of, page.length > most ? page[most - 1]! : ''),
    };
  }

  const sight = sightOf(gate, caller, schoolOin, mayBeExact);
  if (byGroup && !sight.exact && caller.kind !== 'operator')
    throw new GatewayError('party.forbidden', 'Groups are for the school itself.', { where: 'by_group' });
  const { cells, next } = await cellsOf(gate, { schoolOin, schoolYear, byGroup, productId, after, limit }, false);
  const known = await productsOf(
    gate,
    cells.map((cell) => cell.productId),
  );
  const makings = makingsOf(gate, schoolOin, cells, sight, known, sick);
  const made = tell(gate, schoolOin, makings, sight);
  if (byGroup) await nameGroups(gate, schoolOin, made);
  const rows = made.map(({ row }) => row);
  return {
    schoolYear,
    daysLeft,
    rows,
    chase: chaseOf(rows),
    days: byGroup
      ? []
      : daysTold(
          makings.flatMap(({ days }) => days),
          sight.exact,
        ),
    cursor: cursors.seal(caller.oin, of, next),
  };
}

function yearAsked(firstDay: string, now: number): string {
  if (firstDay !== '') return schoolYearOf(startOfDutchDay(firstDay));
  const day = dutchDay(now);
  const first = Number(day.slice(0, 4));
  return day.slice(5) >= TURNS && day.slice(5) < '08-01' ? `${first}-${first + 1}` : schoolYearOf(now);
}

/** Schools of which a caller may see something, by OIN. */
function schoolsOf({ door }: Gate, caller: Caller): string[] {
  const { chain } = door;
  if (caller.school !== undefined) return [caller.school];
  if (caller.kind === 'operator')
    return [
      ...new Set([
        ...chain.parties().flatMap(({ oin, roles }) => (roles.includes(Role.ROLE_SCHOOL) ? [oin] : [])),
        ...chain.mandates().map(({ schoolOin }) => schoolOin),
      ]),
    ]
      .filter((oin) => chain.knowsSchool(oin))
      .sort();
  return [
    ...new Set([
      ...(caller.roles.has(Role.ROLE_SCHOOL) ? [caller.oin] : []),
      ...(caller.roles.has(Role.ROLE_BOARD) ? chain.schoolsOfBoard(caller.oin) : []),
      ...chain.schoolsOf(caller.oin),
    ]),
  ].sort();
}

/** Nothing of a school that the caller may not ask about, or that is closed. */
function sightIfAny(gate: Gate, caller: Caller, school: string, mayBeExact: boolean): Sight | undefined {
  try {
    return sightOf(gate, caller, school, mayBeExact);
  } catch (thrown) {
    if (
      thrown instanceof GatewayError &&
      (thrown.fault.startsWith('mandate.') || thrown.fault === 'state.missing' || thrown.fault === 'party.forbidden')
    )
      return undefined;
    throw thrown;
  }
}

/** Cells that the caller sees, put together by product and group. */
function makingsOf(
  gate: Gate,
  school: string,
  cells: readonly NeedCell[],
  sight: Sight,
  known: ReadonlyMap<string, Product>,
  sick: Sick,
): Making[] {
  const makings = new Map<string, Making>();
  for (const cell of cells) {
    const product = known.get(cell.productId);
    if (!sight.sees(cell, product)) continue;
    const isUntold = product?.sensitive === true && !sight.knows(cell, product);
    const name = isUntold ? '' : `${cell.productId} ${cell.group}`;
    let making = makings.get(name);
    if (!making)
      makings.set(
        name,
        (making = {
          schoolOin: school,
          productId: isUntold ? '' : cell.productId,
          title: isUntold ? 'Sensitive titles' : (product?.title ?? ''),
          group: isUntold ? '' : cell.group,
          counts: new Map(),
          states: new Map(),
          causes: new Map(),
          days: [],
        }),
      );
    for (const { state, code, count } of cell.counts) {
      const why = whyOf(gate, school, cell, state, code, product, sick);
      const cause = why === undefined ? state : [state, why.code, why.who, why.partyOin].join(' ');
      making.counts.set(cause, (making.counts.get(cause) ?? 0) + count);
      making.states.set(cause, state);
      if (why) making.causes.set(cause, { why, state });
    }
    if (cell.days.length > 0) making.days = [...making.days, cell.days.map((day) => ReadinessDay.fromPartial(day))];
  }
  return [...makings.values()];
}

interface Made {
  row: ReadinessRow;
  group: string;
}

function tell(gate: Gate, school: string, makings: readonly Making[], sight: Sight): Made[] {
  const isByGroup = makings.some(({ group }) => group !== '');
  const told = new Map<Making, TellableRow>();
  if (isByGroup && !sight.exact) {
    // Sums of a product over its groups may be known: rows of groups are told whole, or not at all.
    for (const productId of new Set(makings.map((making) => making.productId))) {
      const rows = new Map(
        makings.filter((making) => making.productId === productId).map((making) => [making, making.counts]),
      );
      const tellable = rowsToTell(rows);
      for (const making of rows.keys()) if (tellable.has(making)) told.set(making, tellRow(making.counts, true));
    }
  } else for (const making of makings) told.set(making, tellRow(making.counts, sight.exact));
  return makings.map((making) => ({ row: rowOf(gate, school, making, told.get(making)), group: making.group }));
}

const NOT_TOLD: ReadinessCount = { count: 0, underTen: false, hidden: true, atLeast: false };

function rowOf({ door }: Gate, school: string, making: Making, told: TellableRow | undefined): ReadinessRow {
  const { chain } = door;
  const { productId, title, states } = making;
  const upTo = (step: number): ReadinessCount => {
    if (!told) return NOT_TOLD;
    const wanted = new Set(STATES_BY_STEP.slice(step).flat());
    return shown(told.sum(new Set([...states].flatMap(([name, state]) => (wanted.has(state) ? [name] : [])))));
  };
  const causes = [...making.causes].map(([name, { why, state }]): ReadinessCause => {
    const { code, who, partyOin } = why;
    return {
      code,
      state,
      count: told ? shown(told.cells.get(name)!) : NOT_TOLD,
      who,
      partyOin,
      partyName: chain.party(partyOin)?.name ?? '',
      told: faults[code].en,
      remedy: remedies[code] ?? '',
      products: 1,
    };
  });
  return ReadinessRow.fromPartial({
    schoolOin: school,
    schoolName: chain.party(school)?.name ?? '',
    productId,
    title,
    wanted: told ? shown(told.total) : NOT_TOLD,
    confirmed: upTo(1),
    granted: upTo(2),
    provisioned: upTo(3),
    opened: upTo(4),
    causes: causes.sort(mostFirst),
  });
}

const mostFirst = (a: ReadinessCause, b: ReadinessCause): number =>
  weightOf(b.count!) - weightOf(a.count!) || (a.code + a.partyOin < b.code + b.partyOin ? -1 : 1);

/** A school as one row: sums of what its products tell. */
function summary({ door }: Gate, school: string, rows: readonly ReadinessRow[]): ReadinessRow {
  const sum = (of: (row: ReadinessRow) => ReadinessCount | undefined) => summed(rows.map((row) => of(row)!));
  return ReadinessRow.fromPartial({
    schoolOin: school,
    schoolName: door.chain.party(school)?.name ?? '',
    wanted: sum(({ wanted }) => wanted),
    confirmed: sum(({ confirmed }) => confirmed),
    granted: sum(({ granted }) => granted),
    provisioned: sum(({ provisioned }) => provisioned),
    opened: sum(({ opened }) => opened),
    causes: chaseOf(rows),
  });
}

/** Causes of many rows by whom to ask, the most first. */
function chaseOf(rows: readonly ReadinessRow[]): ReadinessCause[] {
  const byAsk = new Map<string, { cause: ReadinessCause; counts: ReadinessCount[] }>();
  for (const { causes } of rows)
    for (const cause of causes) {
      const name = [cause.code, cause.state, cause.who, cause.partyOin].join(' ');
      const known = byAsk.get(name);
      if (known) {
        known.counts.push(cause.count!);
        known.cause.products += cause.products;
      } else byAsk.set(name, { cause: { ...cause }, counts: [cause.count!] });
    }
  return [...byAsk.values()]
    .map(({ cause, counts }) => ({ ...cause, count: counts.length === 1 ? counts[0]! : summed(counts) }))
    .sort(mostFirst);
}

/** How all of a page went: on each day on which one changed, what all had come to. */
function daysTold(all: readonly ReadinessDay[][], exact: boolean): ReadinessDay[] {
  const days = [...new Set(all.flatMap((one) => one.map(({ day }) => day)))].sort();
  const tens = (n: number): number => (exact ? n : n - (n % 10));
  return days.flatMap((day) => {
    const sum = { wanted: 0, confirmed: 0, granted: 0, provisioned: 0, opened: 0 };
    for (const one of all) {
      const last = one.filter((at) => at.day <= day).at(-1);
      if (last) for (const step of Object.keys(sum) as (keyof typeof sum)[]) sum[step] += last[step];
    }
    if (!exact && sum.wanted < FEWEST_FOR_DAYS) return [];
    return [
      {
        day,
        wanted: tens(sum.wanted),
        confirmed: tens(sum.confirmed),
        granted: tens(sum.granted),
        provisioned: tens(sum.provisioned),
        opened: tens(sum.opened),
      },
    ];
  });
}

/** Groups by their keys in the administration, as the school knows them. */
async function nameGroups({ door }: Gate, school: string, made: readonly Made[]): Promise<void> {
  const tokens = [...new Set(made.map(({ group }) => group).filter((group) => group !== ''))];
  if (tokens.length === 0) return;
  const { texts } = await door.services.vault.openTexts({ schoolOin: school, tokens, keys: [], partyOin: '' });
  const keys = new Map(tokens.map((token, i) => [token, texts[i] ?? '']));
  for (const { row, group } of made) row.groupKey = keys.get(group) ?? '';
}
