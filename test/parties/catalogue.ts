/** The lists of two invented publishers, and one of them as an answer of a catalogue search (ECKCS records in SRU 1.2). */
import { randomFrom } from './random.ts';
import { element as el, text } from './xml.ts';

export interface Title {
  /** EAN with a right check digit. */
  ean: string;
  title: string;
  author: string;
  subject: string;
  /** `1` to `8`. */
  yearGroup: string;
  /** Cents without VAT. */
  amountCents: number;
}

export interface List {
  name: string;
  titles: readonly Title[];
}

const PER_PUBLISHER = 40;
const kinds = ['oefenen', 'werkboek', 'toetsen', 'herhalen', 'verrijken'];

const authors = ['A. Bronkamp', 'S. el Lindeveld', 'J. Rietink', 'M. de Tolhof'];

/** Five titles for each year group. The first eight are the method itself, one a year group, in order. */
function inventList(name: string, prefix: string, method: string, subject: string, seed: number): List {
  const random = randomFrom(seed);
  const titles = Array.from({ length: PER_PUBLISHER }, (_, i): Title => {
    const yearGroup = String((i % 8) + 1);
    return {
      ean: ean(`${prefix}${String(i + 1).padStart(4, '0')}`),
      title: `${method} groep ${yearGroup}, ${kinds[Math.floor(i / 8)]}`,
      author: random.pick(authors),
      subject,
      yearGroup,
      amountCents: random.between(495, 3295),
    };
  });
  return { name, titles };
}

/** Titles of another run, 0 to 4,500, have other numbers: a number belongs to who published it first. */
const prefixOf = (run: number, publisher: 0 | 1): string => `9789${String(991 + 2 * run + publisher).padStart(4, '0')}`;

/** Sells licences per pupil, opened on the learning platform. */
export const inventRekenlist = (seed: number, run = 0): List =>
  inventList('Uitgeverij Wilgenblad', prefixOf(run, 0), 'Getallenrijk', 'Rekenen en wiskunde', seed + 1);
/** Sells licences per group and per school, opened on its own site. */
export const inventTaallist = (seed: number, run = 0): List =>
  inventList('Uitgeverij Zilvermeeuw', prefixOf(run, 1), 'Woordenzee', 'Nederlandse taal', seed + 2);

/** The method's title for a year group. */
export const titleFor = (list: List, yearGroup: string): Title =>
  list.titles.find((title) => title.yearGroup === yearGroup)!;

/** Twelve digits and the check digit of EAN-13. */
function ean(twelve: string): string {
  let sum = 0;
  for (let i = 0; i < 12; i++) sum += Number(twelve[i]) * (i % 2 === 0 ? 1 : 3);
  return `${twelve}${(10 - (sum % 10)) % 10}`;
}

const SRW = 'http://www.loc.gov/zing/srw/';
const ENTRY = 'http://dt2.eck.nl/schema/catalogservice/v2.5.2';

/** ECK DT 2.5.2 records, as Edurep's catalogue search answers them. `changedAt` is RFC 3339. */
export const writeSru = (list: List, changedAt: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n${el('srw:searchRetrieveResponse', { 'xmlns:srw': SRW }, [
    el('srw:version', {}, text('1.2')),
    el('srw:numberOfRecords', {}, text(String(list.titles.length))),
    el(
      'srw:records',
      {},
      list.titles.map((title) =>
        el('srw:record', {}, [
          el('srw:recordSchema', {}, text('eckcs2.5.2')),
          el('srw:recordPacking', {}, text('xml')),
          el('srw:recordIdentifier', {}, text(`zilvermeeuw:${title.ean}`)),
          el('srw:recordData', {}, [entry(list, title, changedAt)]),
        ]),
      ),
    ),
  ])}\n`;

function entry(list: List, title: Title, changedAt: string): string {
  const year = `Groep ${title.yearGroup}`;
  return el('Entry', { xmlns: ENTRY }, [
    el('ProductId', {}, text(title.ean)),
    el('Publisher', {}, text(list.name)),
    el('PublisherThumbnailLocation', {}, text('https://zilvermeeuw.example/merk.svg')),
    el('Title', {}, text(title.title)),
    el('Authors', {}, [el('Author', {}, text(title.author))]),
    el('Description', {}, text(`${title.subject} voor ${year.toLowerCase()}.`)),
    el('InformationLocation', {}, text(`https://zilvermeeuw.example/boek/${title.ean}`)),
    el('AccessLocation', {}, text(`https://open.zilvermeeuw.example/${title.ean}`)),
    el('ProductState', {}, text('Leverbaar')),
    el('IntendedEndUserRole', {}, text('Onderwijsvolger')),
    el('Medium', {}, text('Web browser')),
    el('IsConsumptionProduct', {}, text('true')),
    el('ProductUsages', {}, [el('ProductUsage', {}, text('Oefenmateriaal'))]),
    el('DEPSectors', {}, [el('DEPSector', {}, text('PO'))]),
    el('DEPCourses', {}, [el('DEPCourse', {}, text(title.subject))]),
    el('DEPYears', {}, [el('DEPYear', {}, text(year))]),
    el('CurriculumInfo', {}, [
      el('Sector', {}, text('PO')),
      el('Courses', {}, [el('Course', {}, text(title.subject))]),
      el('Years', {}, [el('Year', {}, text(year))]),
    ]),
    el('SaleUnitSize', {}, text('1')),
    el('Prices', {}, [
      el('Currency', {}, text('EUR')),
      el('Price', {}, [el('Amount', {}, text(String(title.amountCents))), el('VAT', {}, text('9.0'))]),
    ]),
    el('PriceIsIndicative', {}, text('false')),
    el('IsLicensed', {}, text('true')),
    el('LicenseDuration', {}, text('P1Y')),
    el('LicenseCount', {}, text('1')),
    el('IsCatalogItem', {}, text('true')),
    el('LastModifiedDate', {}, text(changedAt)),
  ]);
}
