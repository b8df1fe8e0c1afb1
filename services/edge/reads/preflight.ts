/**
 * Which lines of orders will fail on a day to come, before anybody notices: judged by what stands now, with mandates as they are on that
 * day. It goes through a party's orders page by page; catalogue and vault are asked once for a page, mandates never.
 */
import { dutchDay, type Fault, faults, GatewayError, isDay, remedies } from '#kernel';
import { Form, LineState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type Product, ProductState } from '#proto/eduk/core/v1/product';
import {
  PreflightLine,
  type PreflightMessage,
  type PreflightRequest,
  type PreflightResponse,
} from '#proto/eduk/gateway/v1/flow';
import type { OrderRow } from '#proto/eduk/orders/v1/orders';
import type { Caller } from '../caller.ts';
import { judgeOne } from '../chain.ts';
import type { Gate } from '../gate.ts';
import { purposeFor, tryPurpose } from '../purpose.ts';
import { learnersAt, sitesFor } from '../sites.ts';
import { actsForSchool, requireOwnSchool } from '../stages/authorise.ts';

const USUAL = 100;
const MOST = 1_000;
/** Learners asked of the vault at once. */
const AT_ONCE = 1_000;
const YEAR_BEGINS = '08-01';

/** A line that is looked at. */
interface Open {
  order: OrderRow;
  lineId: string;
  productId: string;
  sellerOin: string;
  learner: string;
  quantity: number;
}

interface Cause {
  code: Fault;
  who: string;
  partyOin: string;
}

const isOpen = (state: LineState): boolean =>
  state === LineState.LINE_STATE_UNSPECIFIED ||
  state === LineState.LINE_STATE_PLACED ||
  state === LineState.LINE_STATE_CONFIRMED;

/** Faults: wire.invalid, party.forbidden, mandate.*. */
export async function preflight(asked: PreflightRequest, caller: Caller, gate: Gate): Promise<PreflightResponse> {
  const { door, cursors } = gate;
  if (asked.day !== '' && !isDay(asked.day))
    throw new GatewayError('wire.invalid', 'A date must be a day that exists, YYYY-MM-DD.', { where: 'day' });
  if (asked.lang !== '' && asked.lang !== 'nl' && asked.lang !== 'en')
    throw new GatewayError('wire.invalid', 'Messages are in nl or en.', { where: 'lang' });
  if (asked.limit > MOST) throw new GatewayError('wire.invalid', 'A limit is at most 1,000.', { where: 'limit' });
  const { schoolOin } = asked;
  if (schoolOin !== '') {
    requireOwnSchool(caller, schoolOin);
    // Who names a school is told why there is nothing to see; who names none sees what it may.
    purposeFor(door, caller, schoolOin, Service.SERVICE_ORDER);
  }
  const today = dutchDay(door.clock.now());
  const day = asked.day || nextStart(today);
  const of = `preflight|${schoolOin}|${day}`;
  const after = cursors.open(caller.oin, of, asked.cursor);
  const forSchool = schoolOin !== '' && actsForSchool(door, caller, schoolOin);
  const { orders, next } = await door.services.orders.listOrders({
    partyOin: forSchool || caller.kind === 'operator' ? '' : caller.oin,
    schoolOin,
    productId: '',
    learner: '',
    limit: asked.limit || USUAL,
    after,
    waiting: after === '',
  });
  const open: Open[] = [];
  for (const order of orders) {
    if (order.outcome === 'refused') continue;
    if ('fault' in tryPurpose(door, caller, order.schoolOin, Service.SERVICE_ORDER)) continue;
    // Of a mandate for some sites: the lines of who is there.
    const sites = sitesFor(door, caller, order.schoolOin, Service.SERVICE_ORDER);
    const learners = order.lines.map(({ line }) => line!.learner);
    const here = sites && (await learnersAt(door, order.schoolOin, sites, learners));
    for (const { line, state } of order.lines) {
      const { terms } = line!;
      if (!terms || terms.form === Form.FORM_FOLIO || !isOpen(state)) continue;
      if ((terms.endsOn !== '' && terms.endsOn < day) || (here && line!.learner !== '' && !here.has(line!.learner)))
        continue;
      const { lineId, productId, quantity } = terms;
      open.push({ order, lineId, productId, quantity, sellerOin: line!.sellerOin, learner: line!.learner });
    }
  }
  const ids = [...new Set(open.map(({ productId }) => productId))];
  const products = new Map(
    (ids.length === 0 ? [] : (await door.services.catalogue.getProducts({ productIds: ids })).products).map((one) => [
      one.productId,
      one,
    ]),
  );
  const { unnumbered, left } = await learnersOf(gate, open);
  // Found among all mandates: once for a school.
  const administrations = new Map<string, ReturnType<typeof administrationOf>>();
  const administration = (school: string) => {
    const known = administrations.get(school) ?? administrationOf(door.chain, school);
    administrations.set(school, known);
    return known;
  };
  // Of who left nothing is missing.
  const staying = open.filter(({ learner }) => !left.has(learner));
  const lines = staying.flatMap((line) => {
    const product = products.get(line.productId);
    const causes = causesOf(gate, line, product, day, today);
    if (unnumbered.has(line.learner))
      causes.push({ code: 'learner.no_eck_id', ...administration(line.order.schoolOin) });
    return causes.map((cause) => told(gate, caller, line, product, cause));
  });
  return {
    day,
    lookedAt: staying.length,
    lines,
    messages: messagesOf(lines, day, asked.lang === 'en' ? 'en' : 'nl'),
    cursor: cursors.seal(caller.oin, of, next),
  };
}

function nextStart(today: string): string {
  const first = `${today.slice(0, 4)}-${YEAR_BEGINS}`;
  if (today <= first) return first;
  return today < `${today.slice(0, 4)}-09-01` ? today : `${Number(today.slice(0, 4)) + 1}-${YEAR_BEGINS}`;
}

/** Of some lines, the tokens of those who have no ECK iD, and of those who left the school. */
async function learnersOf(
  { door }: Gate,
  open: readonly Open[],
): Promise<{ unnumbered: ReadonlySet<string>; left: ReadonlySet<string> }> {
  const bySchool = new Map<string, Set<string>>();
  for (const { order, learner } of open) {
    if (learner === '') continue;
    const tokens = bySchool.get(order.schoolOin) ?? new Set();
    bySchool.set(order.schoolOin, tokens.add(learner));
  }
  const { rosters, vault } = door.services;
  const unnumbered = new Set<string>();
  const left = new Set<string>();
  for (const [schoolOin, tokens] of bySchool) {
    const all = [...tokens];
    for (let from = 0; from < all.length; from += AT_ONCE) {
      const tokens = all.slice(from, from + AT_ONCE);
      const [lacking, gone] = await Promise.all([
        vault.lackEckId({ schoolOin, tokens }),
        rosters.listLeft({ schoolOin, learners: tokens }),
      ]);
      for (const token of lacking.tokens) unnumbered.add(token);
      for (const token of gone.learners) left.add(token);
    }
  }
  return { unnumbered, left };
}

function causesOf(
  { door }: Gate,
  { order, productId, sellerOin }: Open,
  product: Product | undefined,
  day: string,
  today: string,
): Cause[] {
  const { chain } = door;
  const { schoolOin: school, buyerOin } = order;
  const causes: Cause[] = [];
  if (!product) causes.push({ code: 'product.unknown', who: 'sender', partyOin: buyerOin });
  else {
    const { state, availableUntil, licence, accessUrl, publisherOin } = product;
    const last = [availableUntil, licence?.endsOn ?? ''].filter(isDay).sort()[0];
    if (state === ProductState.PRODUCT_STATE_WITHDRAWN || (last !== undefined && last < day))
      causes.push({ code: 'product.ended', who: 'sender', partyOin: buyerOin });
    if (accessUrl === '') causes.push({ code: 'product.no_link', who: 'peer', partyOin: publisherOin });
  }
  const on = day > today ? day : today;
  const publisher = product?.publisherOin ?? '';
  const platform = product?.platformOin || publisher;
  const needs: readonly [string, Service][] = [
    [sellerOin || publisher, Service.SERVICE_ORDER],
    [publisher, Service.SERVICE_ENTITLEMENT],
    [platform, Service.SERVICE_ENTITLEMENT],
    [platform, Service.SERVICE_ACCESS],
  ];
  const seen = new Set<string>();
  for (const [party, service] of productId === '' ? [] : needs) {
    if (party === '' || party === school || seen.has(`${party} ${service}`)) continue;
    seen.add(`${party} ${service}`);
    const fault = lacksOn(chain, school, party, service, on);
    if (fault === undefined) continue;
    const cause: Cause =
      fault === 'mandate.suspended'
        ? { code: fault, who: 'us', partyOin: '' }
        : fault === 'mandate.unaccepted'
          ? { code: fault, who: 'peer', partyOin: party }
          : { code: fault, who: 'school', partyOin: school };
    if (!causes.some(({ code, partyOin }) => code === cause.code && partyOin === cause.partyOin)) causes.push(cause);
  }
  return causes;
}

/** Why a party may not have a service of a school on a day; undefined = it may, by what stands now. */
function lacksOn(
  chain: Gate['door']['chain'],
  school: string,
  party: string,
  service: Service,
  day: string,
): Fault | undefined {
  // What holds nowhere today, or is not fresh, is told by those that judge today.
  const now = chain.judge(school, party, service).fault;
  if (now === 'mandate.suspended') return now;
  const judged = chain
    .between(school, party)
    .filter(({ services }) => services.includes(service))
    .map((mandate) => judgeOne(mandate, day, false));
  if (judged.includes(undefined)) return undefined;
  return judged.find((fault) => fault !== undefined) ?? now ?? 'mandate.missing';
}

/** Who sends the roster of a school; the school where nobody does. */
function administrationOf(chain: Gate['door']['chain'], school: string): Pick<Cause, 'who' | 'partyOin'> {
  const parties = chain
    .mandates()
    .filter(({ schoolOin, services }) => schoolOin === school && services.includes(Service.SERVICE_ROSTER))
    .map(({ partyOin }) => partyOin)
    .filter(
      (oin) =>
        chain.party(oin)?.roles.includes(Role.ROLE_ADMINISTRATION) === true &&
        chain.judge(school, oin, Service.SERVICE_ROSTER).fault === undefined,
    )
    .sort();
  return parties[0] ? { who: 'sender', partyOin: parties[0] } : { who: 'school', partyOin: school };
}

function told(
  { door }: Gate,
  caller: Caller,
  { order, lineId, productId, quantity, learner }: Open,
  product: Product | undefined,
  { code, who, partyOin }: Cause,
): PreflightLine {
  const { chain } = door;
  // Which care title a line is for, its buyer and seller know; who runs the gateway need not.
  const isUntold = product?.sensitive === true && learner !== '' && caller.kind === 'operator';
  return PreflightLine.fromPartial({
    schoolOin: order.schoolOin,
    schoolName: chain.party(order.schoolOin)?.name ?? '',
    buyerOin: order.buyerOin,
    orderId: order.orderId,
    lineId,
    productId: isUntold ? '' : productId,
    title: isUntold ? '' : (product?.title ?? ''),
    code,
    who,
    partyOin,
    partyName: chain.party(partyOin)?.name ?? '',
    told: faults[code].en,
    remedy: remedies[code] ?? '',
    quantity,
    followupProductId: code === 'product.ended' && !isUntold ? (product?.followupProductId ?? '') : '',
  });
}

const phrases = {
  nl: {
    subject: (n: number, day: string) =>
      n === 1 ? `Eén bestelregel die op ${day} misloopt` : `${n} bestelregels die op ${day} mislopen`,
    opening: (name: string, day: string) =>
      `Beste ${name || 'collega'},\n\nDeze bestelregels leveren op ${day} geen leermiddel op zolang dit zo blijft:`,
    school: 'school',
    line: 'bestelling',
    lines: 'regel',
    product: 'product',
    followup: 'vervolg',
    closing: 'Wilt u dit regelen voor die dag? Wat daarna nog fout gaat, zien wij opnieuw.',
  },
  en: {
    subject: (n: number, day: string) =>
      n === 1 ? `One order line that will fail on ${day}` : `${n} order lines that will fail on ${day}`,
    opening: (name: string, day: string) =>
      `Dear ${name || 'colleague'},\n\nThese order lines bring no material on ${day} as long as this stays so:`,
    school: 'school',
    line: 'order',
    lines: 'line',
    product: 'product',
    followup: 'followed by',
    closing: 'Would you see to it before that day? What still fails then, we will see again.',
  },
} as const;

/** Lines of one order and product are one line of the message. */
function messagesOf(lines: readonly PreflightLine[], day: string, lang: 'nl' | 'en'): PreflightMessage[] {
  const words = phrases[lang];
  const byParty = new Map<string, PreflightLine[]>();
  for (const line of lines) {
    // Ours to mend: nobody is written to.
    if (line.partyOin === '') continue;
    const of = byParty.get(line.partyOin) ?? [];
    of.push(line);
    byParty.set(line.partyOin, of);
  }
  return [...byParty]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([partyOin, own]) => {
      const { partyName } = own[0]!;
      const parts = [...new Set(own.map(({ code }) => code))].sort().map((code) => {
        const alike = new Map<string, PreflightLine[]>();
        for (const line of own.filter((one) => one.code === code)) {
          const name = [line.schoolOin, line.buyerOin, line.orderId, line.productId].join(' ');
          alike.set(name, [...(alike.get(name) ?? []), line]);
        }
        const rows = [...alike.values()].map((same) => {
          const { schoolName, schoolOin, orderId, productId, title, followupProductId } = same[0]!;
          return [
            `- ${words.school} ${[schoolName, schoolOin].filter(Boolean).join(', ')}; ${words.line} ${orderId}`,
            `${words.lines} ${same.map(({ lineId }) => lineId).join(', ')}`,
            ...(productId ? [`${words.product} ${[productId, title].filter(Boolean).join(', ')}`] : []),
            ...(followupProductId ? [`${words.followup} ${followupProductId}`] : []),
          ].join('; ');
        });
        return `${faults[code as Fault][lang]} (${code})\n${rows.join('\n')}`;
      });
      return {
        partyOin,
        partyName,
        subject: words.subject(own.length, day),
        body: [words.opening(partyName, day), ...parts, words.closing].join('\n\n'),
      };
    });
}
