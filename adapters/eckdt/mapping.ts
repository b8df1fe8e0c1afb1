/**
 * ECK DT catalogue record → `eduk.core.v1.Product`. The two tables are the whole of it: one row for each field of the
 * core, with the fields of the standard it is taken from. What the core has no place for stands in `leftOut`.
 */
import { dutchDay, type Fault, isDay, startOfDutchDay, type Where } from '#kernel';
import { type LicenceTerms, type Price, type Product, ProductState } from '#proto/eduk/core/v1/product';
import type { Catalogue, CatalogueRecord, Entry } from './wire.ts';

/** Doubts that an importer should hear of; the record is taken nevertheless. */
export const notes = {
  'ean.check_digit':
    'The id has 13 digits, but its last one is not the check digit of an EAN. It is kept as it stands.',
  'field.lacking': 'The standard demands this field.',
  'reference.unusable':
    'The id that is referred to has characters or a length that no id here has. The reference is left out.',
  'link.not_https': 'Material is opened over https only. The address is left out.',
  'link.unusable': 'This is no web address. It is left out.',
  'state.unknown': 'The word for the state is none we know. The state is left open.',
  'date.placeholder': 'The day stands for “no day”. It is left out.',
  'price.consumer': 'One consumer price stands beside several prices, or beside none. It is left out.',
} as const;
export type NoteCode = keyof typeof notes;
export interface Note {
  index: number;
  note: NoteCode;
  where: Where;
}

/** A record that was not taken, and why. */
export interface Refusal {
  index: number;
  code: Fault;
  where: readonly Where[];
}

/** What became of one record: a product or a refusal. */
export interface Outcome {
  index: number;
  product?: Product;
  refusal?: Refusal;
  notes: readonly Note[];
}

/** Where rows tell what they find. Paths are relative to the `Entry`. */
interface Say {
  problem(path: string): void;
  note(note: NoteCode, path: string): void;
}

interface Row<Core> {
  core: keyof Core;
  /** Fields of the standard, in order of preference. */
  eck: readonly (keyof Entry)[];
  how: string;
  from: (entry: Entry, say: Say) => Core[keyof Core];
}

const row = <Core, Name extends keyof Core>(
  core: Name,
  eck: readonly (keyof Entry)[],
  how: string,
  from: (entry: Entry, say: Say) => Core[Name],
): Row<Core> => ({
  core,
  eck,
  how,
  from,
});
const product = <Name extends keyof Product>(
  core: Name,
  eck: readonly (keyof Entry)[],
  how: string,
  from: (entry: Entry, say: Say) => Product[Name],
) => row<Product, Name>(core, eck, how, from);
const terms = <Name extends keyof LicenceTerms>(
  core: Name,
  eck: readonly (keyof Entry)[],
  how: string,
  from: (entry: Entry, say: Say) => LicenceTerms[Name],
) => row<LicenceTerms, Name>(core, eck, how, from);

/** ECK DT §1.5, LicenseData. */
export const licenceTable: readonly Row<LicenceTerms>[] = [
  terms('licensed', ['IsLicensed'], 'as it is', (e) => e.IsLicensed ?? false),
  terms('duration', ['LicenseDuration'], 'as it is', (e) => e.LicenseDuration ?? ''),
  terms('startsOn', ['LicenseStartDate'], 'day', (e, say) => day(e.LicenseStartDate, 'LicenseStartDate', say)),
  terms('endsOn', ['LicenseEndDate'], 'day', (e, say) => day(e.LicenseEndDate, 'LicenseEndDate', say)),
  terms('activateBefore', ['ActivationBefore'], 'day of ActivationBeforeDate', (e, say) =>
    day(e.ActivationBefore?.ActivationBeforeDate, 'ActivationBefore/ActivationBeforeDate', say),
  ),
  terms('activateWithinDays', ['ActivationBefore'], 'ActivationBeforeDays; 0 is not given', (e, say) =>
    uint32(e.ActivationBefore?.ActivationBeforeDays, 'ActivationBefore/ActivationBeforeDays', say),
  ),
  terms('count', ['LicenseCount'], 'as it is; 0 is not given', (e, say) => uint32(e.LicenseCount, 'LicenseCount', say)),
];

/** ECK DT §1.5, all groups. */
export const productTable: readonly Row<Product>[] = [
  product('productId', ['ProductId'], 'as it is; refused when it is no id of the gateway', (e, say) =>
    productId(e.ProductId ?? '', say),
  ),
  product('title', ['Title'], 'blanks collapsed', (e) => line(e.Title)),
  product('authors', ['Authors'], 'each Author', (e) => each(e.Authors?.Author)),
  product('description', ['Description'], 'as it is', (e) => e.Description ?? ''),
  product('publisher', ['Publisher'], 'blanks collapsed', (e) => line(e.Publisher)),
  product('publisherOin', [], 'empty: the gateway knows who sends', () => ''),
  product('platformOin', [], 'empty: ECK names no platform', () => ''),
  product(
    'sectors',
    ['CurriculumInfo', 'DEPSectors', 'Sectors'],
    'parted at commas, in small letters; HBO is `ho`, BVE is `mbo`',
    (e) =>
      sectors(
        e.CurriculumInfo?.Sector === undefined ? [] : [e.CurriculumInfo.Sector],
        e.DEPSectors?.DEPSector,
        e.Sectors?.Sector,
      ),
  ),
  product('levels', ['CurriculumInfo', 'DEPLevels', 'Levels'], 'each Level, once', (e) =>
    union(e.CurriculumInfo?.Levels?.Level, e.DEPLevels?.DEPLevel, e.Levels?.Level),
  ),
  product('years', ['CurriculumInfo', 'DEPYears', 'Years'], 'each Year, once', (e) =>
    union(e.CurriculumInfo?.Years?.Year, e.DEPYears?.DEPYear, e.Years?.Year),
  ),
  product(
    'subjects',
    ['CurriculumInfo', 'DEPCourses', 'Courses', 'DEPSubjects', 'Subjects'],
    'each Course, then each Subject, once',
    (e) =>
      union(
        e.CurriculumInfo?.Courses?.Course,
        e.DEPCourses?.DEPCourse,
        e.Courses?.Course,
        e.CurriculumInfo?.Subjects?.Subject,
        e.DEPSubjects?.DEPSubject,
        e.Subjects?.Subject,
      ),
  ),
  product('goals', [], 'none: ECK has no learning goals', () => []),
  product('workForms', ['ProductUsages'], 'each ProductUsage, once', (e) => union(e.ProductUsages?.ProductUsage)),
  product(
    'licence',
    ['IsLicensed', 'LicenseDuration', 'LicenseStartDate', 'LicenseEndDate', 'ActivationBefore', 'LicenseCount'],
    'the other table',
    licence,
  ),
  product(
    'prices',
    ['Prices', 'Currency', 'PriceVATHigh', 'PriceVATLow'],
    '`Prices`; without it the two older prices',
    prices,
  ),
  product('state', ['ProductState'], 'by `states`', (e, say) => state(e.ProductState, say)),
  product('availableFrom', ['FirstPublishedDate'], 'day', (e, say) =>
    day(e.FirstPublishedDate, 'FirstPublishedDate', say),
  ),
  product('availableUntil', ['EndOfLifeDate'], 'day', (e, say) => day(e.EndOfLifeDate, 'EndOfLifeDate', say)),
  product('sensitive', [], 'false: ECK does not say, and a subject does not prove it', () => false),
  product('accessUrl', ['AccessLocation'], 'https only', (e, say) =>
    link(e.AccessLocation, 'AccessLocation', say, 'https'),
  ),
  product('informationUrl', ['InformationLocation'], 'http or https', (e, say) =>
    link(e.InformationLocation, 'InformationLocation', say, 'http'),
  ),
  product('edition', ['Edition'], 'blanks collapsed', (e) => line(e.Edition)),
  product(
    'followupProductId',
    ['FollowupProduct'],
    'when it is an id of the gateway',
    (e, say) => reference(e.FollowupProduct, 'FollowupProduct', say) ?? '',
  ),
  product('partProductIds', ['SubProducts'], 'each ProductId that is an id of the gateway, once', (e, say) => [
    ...new Set(
      (e.SubProducts?.ProductId ?? []).flatMap((it, i) => reference(it, `SubProducts/ProductId[${i + 1}]`, say) ?? []),
    ),
  ]),
  product('modifiedAt', ['LastModifiedDate'], 'the moment in UTC', (e, say) =>
    moment(e.LastModifiedDate, 'LastModifiedDate', say),
  ),
  product('intendedFor', ['IntendedEndUserRole'], 'in small letters', (e) => line(e.IntendedEndUserRole).toLowerCase()),
  product('medium', ['Medium'], 'in small letters', (e) => line(e.Medium).toLowerCase()),
];

/** Fields of the standard that the core has no place for. Nothing is done with them. */
export const leftOut: readonly (keyof Entry)[] = [
  'PublisherThumbnailLocation',
  'ProductThumbnailLocation',
  'ProductFamilyName',
  'Environments',
  'ContentLocation',
  'AggregationLevel',
  'IsSeparatelyAvailable',
  'DeprecationDate',
  'SupportedUntilDate',
  'LastRevisionDate',
  'Version',
  'IsConsumptionProduct',
  'CurriculumInformationLocation',
  'SaleUnitSize',
  'Supplier',
  'SupplierThumbnailLocation',
  'PriceIsIndicative',
  'LicenseAvailabilityOptions',
  'LicenseAvailablityOptions',
  'AdditionalLicenseOptions',
  'IsCatalogItem',
  'Copyright',
];

/** One record → its product, or why there is none. */
export function outcomeOf(record: CatalogueRecord): Outcome {
  const { index, entry, path } = record;
  if (entry === undefined) {
    const code = record.problems[0]?.fault ?? 'wire.invalid';
    return { index, refusal: { index, code, where: record.problems.map((it) => it.where) }, notes: [] };
  }
  const wrong: Where[] = [];
  const said: Note[] = record.lacks.map((where) => ({ index, note: 'field.lacking', where }));
  const place = (at: string): Where => ({
    path: `${path}/${at}`,
    line: record.lines[at.split('/', 1)[0]!] ?? record.line,
  });
  const made = build(productTable, entry, {
    problem: (at) => wrong.push(place(at)),
    note: (note, at) => said.push({ index, note, where: place(at) }),
  });
  if (wrong.length > 0) return { index, refusal: { index, code: 'wire.invalid', where: wrong }, notes: [] };
  return { index, product: made, notes: said };
}

/** The records one by one, so that a large catalogue is passed on while it is mapped. */
export function* outcomes(catalogue: Catalogue): Generator<Outcome> {
  for (const record of catalogue.records) yield outcomeOf(record);
}

export interface Products {
  products: Product[];
  refusals: Refusal[];
  notes: Note[];
}

/** The whole catalogue at once. */
export function toCore(catalogue: Catalogue): Products {
  const all: Products = { products: [], refusals: [], notes: [] };
  for (const outcome of outcomes(catalogue)) {
    if (outcome.product) all.products.push(outcome.product);
    if (outcome.refusal) all.refusals.push(outcome.refusal);
    all.notes.push(...outcome.notes);
  }
  return all;
}

function build<Core>(table: readonly Row<Core>[], entry: Entry, say: Say): Core {
  const core: Partial<Core> = {};
  for (const it of table) core[it.core] = it.from(entry, say);
  return core as Core;
}

function licence(entry: Entry, say: Say): LicenceTerms {
  return build(licenceTable, entry, say);
}

/** What the gateway takes as an id: `LABEL_ID` of `eduk/core/v1/labels.proto`. */
const ID = /^[A-Za-z0-9._:/@+#-]{1,64}$/;

/**
 * ECK DT §1.5: a ProductId is an EAN or ISBN in practice, but any text may be one. One outside the grammar of the
 * gateway's ids is refused instead of replaced by a digest: orders name the product by the id its publisher gave it,
 * and nobody would ever order it by another.
 */
function productId(id: string, say: Say): string {
  if (!ID.test(id)) say.problem('ProductId');
  else if (/^\d{13}$/.test(id) && !hasCheckDigit(id)) say.note('ean.check_digit', 'ProductId');
  return id;
}

/** GS1: weights 1 and 3 by turns, the sum a multiple of ten. */
export function hasCheckDigit(ean: string): boolean {
  let sum = 0;
  for (let i = 0; i < ean.length; i++) sum += Number(ean[i]) * (i % 2 === 0 ? 1 : 3);
  return sum % 10 === 0;
}

function reference(id: string | undefined, path: string, say: Say): string | undefined {
  if (id === undefined || ID.test(id)) return id;
  say.note('reference.unusable', path);
  return undefined;
}

const line = (text = ''): string => text.replace(/\s+/g, ' ').trim();

/** Words for “does not apply” that sources put into lists which must not be empty. */
const NOTHING = new Set(['nvt', 'n.v.t.', 'n.v.t', '-']);
const each = (words: readonly string[] = []): string[] =>
  words.map(line).filter((it) => it !== '' && !NOTHING.has(it.toLowerCase()));

/** ECK DT 2.5 says the same twice, in DEP… and in CurriculumInfo: together, each word once. */
const union = (...lists: (readonly string[] | undefined)[]): string[] => [...new Set(lists.flatMap((it) => each(it)))];

const sectorNames: Record<string, string> = { hbo: 'ho', bve: 'mbo' };
function sectors(...lists: (readonly string[] | undefined)[]): string[] {
  const words = lists.flatMap((list) => (list ?? []).flatMap((it) => each(it.split(/[,;]/))));
  return [...new Set(words.map((it) => it.toLowerCase()).map((it) => sectorNames[it] ?? it))];
}

/** ProductState: an open list; these words are seen in the national catalogue. */
export const states: Readonly<Record<string, ProductState>> = {
  leverbaar: ProductState.PRODUCT_STATE_AVAILABLE,
  'beperkt leverbaar': ProductState.PRODUCT_STATE_AVAILABLE,
  'nog niet leverbaar': ProductState.PRODUCT_STATE_ANNOUNCED,
  // It cannot be had now and will be.
  'tijdelijk niet leverbaar': ProductState.PRODUCT_STATE_ANNOUNCED,
  'niet meer leverbaar': ProductState.PRODUCT_STATE_WITHDRAWN,
  'zal niet verschijnen': ProductState.PRODUCT_STATE_WITHDRAWN,
};

function state(word: string | undefined, say: Say): ProductState {
  if (word === undefined) return ProductState.PRODUCT_STATE_UNSPECIFIED;
  const known = line(word).toLowerCase();
  if (Object.hasOwn(states, known)) return states[known]!;
  say.note('state.unknown', 'ProductState');
  return ProductState.PRODUCT_STATE_UNSPECIFIED;
}

/**
 * The rates of the older two prices, in hundredths of a percent. Their records state no percentage, so it is the rate of
 * the day: 21 and, since 2019, 9 percent.
 */
export const olderRates = { PriceVATHigh: 2100, PriceVATLow: 900 } as const;

/** ECK DT §1.5, Purchase. Amounts are eurocents without VAT; Consumerprice is eurocents with VAT. */
function prices(entry: Entry, say: Say): Price[] {
  const given = entry.Prices?.Price ?? [];
  const currency = entry.Prices?.Currency ?? entry.Currency;
  if (currency !== undefined && !/^EURO?$/i.test(currency))
    say.problem(entry.Prices?.Currency === undefined ? 'Currency' : 'Prices/Currency');
  const consumer = entry.Prices?.Consumerprice ?? 0n;
  if (consumer !== 0n && given.length !== 1) say.note('price.consumer', 'Prices/Consumerprice');
  if (given.length > 0) {
    return given.map((it) => ({
      amountCents: it.Amount ?? 0n,
      vatBasisPoints: basisPoints(it.VAT ?? '0'),
      // With several prices nobody can say which one the consumer price belongs to.
      consumerCents: given.length === 1 ? consumer : 0n,
    }));
  }
  return (['PriceVATHigh', 'PriceVATLow'] as const).flatMap((name) => {
    const amount = entry[name];
    return amount === undefined ? [] : [{ amountCents: amount, vatBasisPoints: olderRates[name], consumerCents: 0n }];
  });
}

/** Decimal percentage → hundredths of a percent, without a detour through binary fractions: `9.0` is 900. */
export function basisPoints(percentage: string): number {
  const [whole = '', fraction = ''] = percentage.replace(/^[+-]/, '').split('.');
  const digits = fraction.padEnd(3, '0');
  const hundredths = Number(whole || '0') * 100 + Number(digits.slice(0, 2));
  return digits[2]! >= '5' ? hundredths + 1 : hundredths;
}

const DATED = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2})(:\d{2}(?:\.\d+)?))?(Z|[+-]\d{2}:\d{2})?$/;

/**
 * The day that is meant, in the Netherlands. A day is itself whatever its zone. A time with a zone is the Dutch day of
 * that moment, except that the last minute of a written day means that day: 31 July 23:59:59Z closes 31 July, though
 * Amsterdam is then in August.
 */
export function dayOf(text: string): string {
  const m = DATED.exec(text)!;
  const [, date, time, seconds, zone] = m as unknown as [
    string,
    string,
    string | undefined,
    string,
    string | undefined,
  ];
  if (time === undefined || time === '23:59') return date;
  if (zone === undefined)
    return time === '24:00' ? new Date(Date.parse(`${date}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10) : date;
  return dutchDay(instant(date, time, seconds, zone));
}

function day(text: string | undefined, path: string, say: Say): string {
  if (text === undefined) return '';
  if (isPlaceholder(text)) {
    say.note('date.placeholder', path);
    return '';
  }
  const found = dayOf(text);
  if (!isDay(found)) say.problem(path);
  return found;
}

/** 1 January of the year 1 and of 1900 is how some software writes that there is no date. */
const isPlaceholder = (text: string): boolean => /^(0001|1900)-01-01/.test(text);

/** The moment of a last change, RFC 3339 in UTC. A day is its first moment in the Netherlands; a time without a zone is Dutch. */
export function momentOf(text: string): string {
  const m = DATED.exec(text)!;
  const [, date, time, seconds, zone] = m as unknown as [
    string,
    string,
    string | undefined,
    string,
    string | undefined,
  ];
  if (time === undefined) return new Date(startOfDutchDay(date)).toISOString();
  if (zone !== undefined) return new Date(instant(date, time, seconds, zone)).toISOString();
  // Amsterdam is one or two hours ahead of UTC; in the hour that autumn repeats, the earlier one is taken.
  for (const ahead of ['+02:00', '+01:00']) {
    const at = instant(date, time, seconds, ahead);
    if (dutchHour.format(at) === hourAsWritten(date, time)) return new Date(at).toISOString();
  }
  // In the hour that spring skips, the clock has not been put forward yet.
  return new Date(instant(date, time, seconds, '+01:00')).toISOString();
}

const dutchHour = new Intl.DateTimeFormat('sv-SE', {
  timeZone: 'Europe/Amsterdam',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
});
const hourAsWritten = (date: string, time: string): string =>
  new Date(Date.parse(`${date}T${time}:00Z`)).toISOString().slice(0, 16).replace('T', ' ');

/** ECMAScript reads milliseconds only, and 24:00 as the standard does. */
const instant = (date: string, time: string, seconds: string, zone: string): number =>
  Date.parse(`${date}T${time}${seconds.slice(0, 7)}${zone}`);

function moment(text: string | undefined, path: string, say: Say): string {
  if (text === undefined) return '';
  if (isPlaceholder(text)) {
    say.note('date.placeholder', path);
    return '';
  }
  const found = momentOf(text);
  // A zone may carry the last day of the year 9999 over its edge.
  if (!/^\d{4}-/.test(found)) say.problem(path);
  return found;
}

function uint32(count: bigint | undefined, path: string, say: Say): number {
  if (count !== undefined && count > 0xffff_ffffn) say.problem(path);
  return Number(count ?? 0n);
}

/** A web address without a user name and password in it. */
function link(text: string | undefined, path: string, say: Say, least: 'http' | 'https'): string {
  if (text === undefined) return '';
  const url = URL.parse(text);
  if (
    url === null ||
    /\s/.test(text) ||
    (url.protocol !== 'https:' && url.protocol !== 'http:') ||
    url.username !== '' ||
    url.password !== ''
  ) {
    say.note('link.unusable', path);
    return '';
  }
  if (least === 'https' && url.protocol !== 'https:') {
    say.note('link.not_https', path);
    return '';
  }
  return text;
}
