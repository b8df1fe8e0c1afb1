/** Schools that do not exist, for tests and measurements. The same seed gives the same file. */

export interface Invention {
  pupils: number;
  seed?: number;
  schooljaar?: string;
  /** Gives every third pupil a number that is no one's: it does not pass the eleven-test. */
  numbers?: boolean;
  toevoegingen?: boolean;
}

/** Numbers from 0 up to 1 that depend on the seed alone (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const starts = [
  'Bor',
  'Dal',
  'Fen',
  'Gru',
  'Hal',
  'Jor',
  'Kwi',
  'Lom',
  'Mar',
  'Nie',
  'Plo',
  'Rin',
  'Sté',
  'Tru',
  'Vos',
  'Wië',
];
const ends = ['dema', 'kens', 'laar', 'man', 'nes', 'paard', 'sma', 'stra', 'veen', 'wold'];
const prefixes = ['', '', '', 'van', 'de', 'van der', "van 't"];
const calls = [
  'Aagje',
  'Bram',
  'Cato',
  'Daan',
  'Eef',
  'Fenna',
  'Gijs',
  'Hidde',
  'Iris',
  'Jop',
  'Kee',
  'Loek',
  'Zoë',
  'Noor',
];

/** An EDEXML 2.1 file of a primary school. About 680 bytes a pupil. */
export function inventSchool({
  pupils,
  seed = 1,
  schooljaar = '2024-2025',
  numbers = false,
  toevoegingen = false,
}: Invention): string {
  const next = random(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const digits = (n: number) => Array.from({ length: n }, () => Math.floor(next() * 10)).join('');
  const hex = (n: number) => Array.from({ length: n }, () => Math.floor(next() * 16).toString(16)).join('');
  const year = Number(schooljaar.slice(0, 4));
  const groups = Math.max(2, Math.ceil(pupils / 25));
  const composite = Math.max(1, Math.floor(groups / 4));
  const out: string[] = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<EDEX xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="EDEXML.structuur.xsd">',
    '\t<school>',
    `\t\t<schooljaar>${schooljaar}</schooljaar>`,
    `\t\t<peildatum>${year}-10-01</peildatum>`,
    '\t\t<brincode>99ZY</brincode>',
    '\t\t<dependancecode>00</dependancecode>',
    `\t\t<aanmaakdatum>${year}-10-02T08:15:00</aanmaakdatum>`,
    '\t\t<xsdversie>2.1</xsdversie>',
    '\t</school>',
    '\t<vestigingen>',
    '\t\t<vestiging key="v1"><naam>Hoofdgebouw</naam></vestiging>',
    '\t\t<vestiging key="v2"><naam>Bijgebouw</naam><omschrijving>Kleuters</omschrijving></vestiging>',
    '\t</vestigingen>',
    '\t<groepen>',
  ];
  for (let i = 0; i < groups; i++) {
    const block = toevoegingen
      ? '<toevoegingen><blok xsi:type="OpmerkingGegevensType"><code>x</code><opmerking/></blok></toevoegingen>'
      : '';
    out.push(`\t\t<groep key="g${i}"><naam>Groep ${i}</naam><jaargroep>${1 + (i % 8)}</jaargroep>${block}</groep>`);
  }
  for (let i = 0; i < composite; i++)
    out.push(`\t\t<samengestelde_groep key="s${i}"><naam>Plusklas ${i}</naam></samengestelde_groep>`);
  out.push('\t</groepen>', '\t<leerlingen>');
  for (let i = 0; i < pupils; i++) {
    const group = i % groups;
    const prefix = pick(prefixes);
    out.push(
      `\t\t<leerling key="${100_000 + i}" eckid="https://ketenid.nl/pilot/${hex(128)}">`,
      `\t\t\t<achternaam>${pick(starts)}${pick(ends)}</achternaam>`,
      ...(prefix ? [`\t\t\t<voorvoegsel>${prefix}</voorvoegsel>`] : []),
      `\t\t\t<voorletters-1>${pick(['A', 'BC', 'J', 'KLM'])}</voorletters-1>`,
      `\t\t\t<roepnaam>${pick(calls)}</roepnaam>`,
      `\t\t\t<geboortedatum>${year - 5 - (group % 8)}-0${1 + Math.floor(next() * 9)}-1${Math.floor(next() * 10)}</geboortedatum>`,
      `\t\t\t<geslacht>${pick(['1', '2', '9'])}</geslacht>`,
      `\t\t\t<jaargroep>${1 + (group % 8)}</jaargroep>`,
      `\t\t\t<groep key="g${group}"/>`,
      ...(i % 5 === 0
        ? [`\t\t\t<samengestelde_groepen><samengestelde_groep key="s${i % composite}"/></samengestelde_groepen>`]
        : []),
      `\t\t\t<vestiging key="${pick(['v1', 'v2'])}"/>`,
      `\t\t\t<gebruikersnaam>leerling${i}</gebruikersnaam>`,
      ...(numbers && i % 3 === 0 ? [`\t\t\t<bsn>99${digits(7)}</bsn>`] : []),
      `\t\t\t<instroomdatum>${year - 1}-08-20</instroomdatum>`,
      `\t\t\t<mutatiedatum>${year}-09-0${1 + (i % 9)}T10:00:00</mutatiedatum>`,
      '\t\t</leerling>',
    );
  }
  out.push('\t</leerlingen>', '\t<leerkrachten>');
  for (let i = 0; i < groups; i++)
    out.push(
      `\t\t<leerkracht key="k${i}" eckid="https://ketenid.nl/pilot/${hex(128)}">`,
      `\t\t\t<achternaam>${pick(starts)}${pick(ends)}</achternaam>`,
      `\t\t\t<emailadres>k${i}@school.example</emailadres>`,
      '\t\t\t<rol>LRK</rol>',
      `\t\t\t<groepen><groep key="g${i}"><rol>LRK</rol></groep><samengestelde_groep key="s${i % composite}"/></groepen>`,
      '\t\t</leerkracht>',
    );
  out.push('\t</leerkrachten>', '</EDEX>', '');
  return out.join('\n');
}
