/** Learners of a school go on at another one: what that comes to, by numbers. Why it is so: docs/decisions/0059. */
import { GatewayError, isDay, isSchoolOin, isSiteCode } from '#kernel';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import { MandateState, Service } from '#proto/eduk/core/v1/party';
import type * as op from '#proto/eduk/operator/v1/operator';
import { operator } from '../caller.ts';
import { hasRef } from '../intake/people.ts';
import { findPgn } from '../pgn.ts';
import type { Door } from '../submission.ts';
import { checkOf } from './forget.ts';

const PAGE = 1_000;
/** Of one call to the vault. */
const LOT = 500;
const MOST_LISTED = 5_000;
const TYPE = 'eduk.operator.v1.PreviewSchoolChangeRequest';
const live: ReadonlySet<EntitlementState> = new Set([
  EntitlementState.ENTITLEMENT_STATE_GRANTED,
  EntitlementState.ENTITLEMENT_STATE_PROVISIONED,
  EntitlementState.ENTITLEMENT_STATE_USED,
  EntitlementState.ENTITLEMENT_STATE_BLOCKED,
]);

const wrong = (told: string, where: string) => new GatewayError('wire.invalid', told, { where: `asked.${where}` });

/** Faults: wire.invalid, wire.pgn, state.missing (a school that nobody knows). */
export function checkAsked(
  asked: op.SchoolChangeAsked | undefined,
  { chain }: Pick<Door, 'chain'>,
): op.SchoolChangeAsked {
  if (!asked) throw new GatewayError('wire.invalid', undefined, { where: 'asked' });
  const { schoolOin, toSchoolOin, onDay, whole, siteCodes, yearGroups, learners } = asked;
  for (const [oin, where] of [
    [schoolOin, 'school_oin'],
    [toSchoolOin, 'to_school_oin'],
  ] as const) {
    if (!isSchoolOin(oin)) throw wrong('This is no school.', where);
    if (!chain.knowsSchool(oin) && !chain.party(oin))
      throw new GatewayError('state.missing', 'No school is known under this OIN.', { where: `asked.${where}` });
  }
  if (schoolOin === toSchoolOin) throw wrong('Learners go on at another school.', 'to_school_oin');
  if (!isDay(onDay)) throw wrong('This day does not exist.', 'on_day');
  for (const code of siteCodes)
    if (code === '' || !isSiteCode(code)) throw wrong('The code of a site is two digits.', 'site_codes');
  const some = siteCodes.length + yearGroups.length + learners.length;
  if (whole ? some > 0 : some === 0)
    throw wrong('A change is of the whole school, or of sites, year groups or a list.', 'whole');
  if (learners.length > MOST_LISTED) throw wrong('At most 5,000 learners at once.', 'learners');
  for (const [i, ref] of learners.entries())
    if (!hasRef(ref)) throw wrong('Name each learner by ECK iD or key.', `learners[${i}]`);
  const [pgn] = findPgn([{ type: TYPE, message: { asked }, sender: operator.oin, school: schoolOin }]);
  if (pgn) throw pgn;
  return asked;
}

/** Tokens of a list at the school that they leave; who is unknown there is left out. */
export async function listedOf(
  { schoolOin, learners }: op.SchoolChangeAsked,
  { services }: Pick<Door, 'services'>,
): Promise<string[]> {
  const found = new Set<string>();
  for (let from = 0; from < learners.length; from += LOT) {
    const { identified } = await services.vault.identify({
      schoolOin,
      sector: '',
      identities: learners
        .slice(from, from + LOT)
        .map((ref) => ({ kind: 'learner', ...ref, person: undefined, partyOin: '' })),
      create: false,
      saltFor: [],
    });
    for (const { token, code } of identified) if (token !== '' && code === '') found.add(token);
  }
  return [...found].sort();
}

export interface Preview {
  answer: Omit<op.PreviewSchoolChangeResponse, 'names'>;
  /** Tokens of the list. */
  listed: string[];
}

/** Faults: those of `checkAsked`. */
export async function previewChange(
  given: op.SchoolChangeAsked | undefined,
  door: Pick<Door, 'chain' | 'services'>,
): Promise<Preview> {
  const asked = checkAsked(given, door);
  const { services } = door;
  const { schoolOin, toSchoolOin, onDay, whole, siteCodes, yearGroups } = asked;
  const listed = await listedOf(asked, door);
  const isNobody = asked.learners.length > 0 && listed.length === 0;
  const chosen = await services.rosters.selectGoing({
    schoolOin,
    onDay,
    whole,
    siteCodes,
    yearGroups,
    learners: listed,
  });
  const going = isNobody ? [] : chosen.learners;
  const tokens = new Set(going.map(({ learner }) => learner));
  const counts = new Map<string, number>();
  for (const [i] of going.entries()) {
    const yearGroup = chosen.yearGroups[i]!;
    counts.set(yearGroup, (counts.get(yearGroup) ?? 0) + 1);
  }
  let [known, staying] = [0, 0];
  for (let from = 0; from < going.length; from += LOT) {
    const lot = going.slice(from, from + LOT);
    const seen = await services.vault.enrolAt({
      fromSchoolOin: schoolOin,
      toSchoolOin,
      learners: lot.map(({ learner }) => ({ token: learner, nameMark: new Uint8Array(0), tag: 0 })),
      look: true,
    });
    known += seen.enrolled.length;
    staying += seen.staying.length;
  }
  const seen = {
    schoolYear: chosen.schoolYear,
    toSchoolYear: chosen.toSchoolYear,
    learners: [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([yearGroup, learners]) => ({ yearGroup, learners })),
    known,
    staying,
    rights: await rightsOf(schoolOin, tokens, door),
    parties: partiesAt(schoolOin, toSchoolOin, door),
    results: await resultsOf(schoolOin, tokens, door),
    unknown: asked.learners.length === 0 ? 0 : asked.learners.length - listed.filter((one) => tokens.has(one)).length,
  };
  const scope = [schoolOin, toSchoolOin, onDay, whole, siteCodes, yearGroups, listed];
  return { answer: { ...seen, check: checkOf([...scope, seen]) }, listed };
}

/** Rights that hold, by product; those to sensitive titles together, without a name. */
async function rightsOf(
  schoolOin: string,
  tokens: ReadonlySet<string>,
  { services }: Pick<Door, 'services'>,
): Promise<op.RightsThatGo[]> {
  const found = new Map<string, op.RightsThatGo>();
  if (tokens.size === 0) return [];
  for (let after = ''; ; ) {
    const { entitlements, next } = await services.entitlements.listEntitlements({
      schoolOin,
      learner: '',
      groups: [],
      productId: '',
      partyOin: '',
      orderId: '',
      waiting: false,
      limit: PAGE,
      after,
    });
    for (const { holder, terms, state, grantedByOin: sellerOin } of entitlements) {
      if (!holder?.learner || !tokens.has(holder.learner) || !live.has(state)) continue;
      const { productId, fromEntitlementId } = terms!;
      const key = `${productId} ${sellerOin}`;
      const before = found.get(key) ?? { productId, title: '', sellerOin, personal: 0, counted: 0 };
      const what = fromEntitlementId === '' ? 'personal' : 'counted';
      found.set(key, { ...before, [what]: before[what] + 1 });
    }
    if (next === '') break;
    after = next;
  }
  const productIds = [...new Set([...found.values()].map(({ productId }) => productId))];
  const known = await services.catalogue.getProducts({ productIds });
  const products = new Map(known.products.map((product) => [product.productId, product]));
  const shown: op.RightsThatGo[] = [];
  for (const right of found.values()) {
    const product = products.get(right.productId);
    if (!product?.sensitive) {
      shown.push({ ...right, title: product?.title ?? '' });
      continue;
    }
    const together = shown.find(({ productId, sellerOin }) => productId === '' && sellerOin === right.sellerOin);
    if (!together) shown.push({ ...right, productId: '', title: '' });
    else {
      together.personal += right.personal;
      together.counted += right.counted;
    }
  }
  return shown.sort((a, b) => (`${a.productId} ${a.sellerOin}` < `${b.productId} ${b.sellerOin}` ? -1 : 1));
}

async function resultsOf(
  schoolOin: string,
  tokens: ReadonlySet<string>,
  { services }: Pick<Door, 'services'>,
): Promise<bigint> {
  let sum = 0n;
  for (let after = ''; tokens.size > 0; ) {
    const asked = { schoolOin, learner: '', group: '', productId: '', fromOin: '', limit: PAGE, after };
    const { results, next } = await services.results.listResults(asked);
    sum += BigInt(results.filter(({ learner }) => tokens.has(learner)).length);
    if (next === '') break;
    after = next;
  }
  return sum;
}

const services = Object.values(Service).filter(
  (service): service is Service => typeof service === 'number' && service > 0,
);

/** Whoever may have anything of the one school, and what of it they may have of the other: mandates do not travel. */
function partiesAt(schoolOin: string, toSchoolOin: string, { chain }: Pick<Door, 'chain'>): op.PartyAtBoth[] {
  const holders = new Set(
    chain
      .mandates()
      .filter((one) => one.schoolOin === schoolOin && one.state !== MandateState.MANDATE_STATE_ENDED)
      .map(({ partyOin }) => partyOin),
  );
  const may = (school: string, party: string) => (service: Service) =>
    chain.judge(school, party, service).fault === undefined;
  return [...holders]
    .sort()
    .map((partyOin) => {
      const had = services.filter(may(schoolOin, partyOin));
      return { partyOin, had, has: had.filter(may(toSchoolOin, partyOin)) };
    })
    .filter(({ had }) => had.length > 0);
}
