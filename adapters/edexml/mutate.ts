/** Seeded mutations of a tree, for `conformity.test.ts`: what a program that writes EDEXML might get wrong, and right. */
import type { XmlElement } from '#adapters/xml';
import { random } from './examples/invent.ts';
import type { Version } from './losses.ts';

const names = [
  'groep',
  'samengestelde_groep',
  'naam',
  'jaargroep',
  'rol',
  'rolomschrijving',
  'roepnaam',
  'achternaam',
  'bsn',
  'key',
  'vestiging',
  'mutatiedatum',
  'onbekend',
];
const texts = [
  '', ' ', 'x', '0', '1', '2', '3', '9', '01', '+1', ' 1 ', '10', '11', '16', '17', 'B', 'C', 'E', 'H', 'S', 'b', '?', 'NL', 'nl', 'XX', 'YO', 'CS',
  'TAL', 'LRK', 'LRX', 'VAK', '00', '0,3', '0.25', '0.2', '1,2', '0,30', '1234', '12345', '123456', '1234567', '000000000', '12345678901', '1234AB',
  '1234ab', '12AB', '1ÀB', '12ÀB', '٣٤AB', '2010-02-29', '2012-02-29', '2012-02-29Z', '2012-02-29+14:00', '2012-13-01', '12-01-2010', '2014-01-01T00:00:00',
  '2014-01-01T24:00:00', '2014-01-01T25:00:00', '2014-01-01T10:00', '2014-01-01T10:00:00.5+01:00', '1990-1991', '1991-1992', '2019-2020', '2014-2016',
  '2024-2025', '2025-2026', '2030-2031', '2014-15', 'é'.repeat(6), 'x'.repeat(7), 'x'.repeat(10), 'x'.repeat(11), 'x'.repeat(32), 'x'.repeat(33), 'x'.repeat(64), 'x'.repeat(65),
  'x'.repeat(128), 'x'.repeat(129), 'x'.repeat(200), 'x'.repeat(201), 'x'.repeat(256), 'x'.repeat(257),
]; // biome-ignore format: a table of values

/** Values that fit an element, up to the edge of what may be there. */
const fitting: Record<string, string[]> = {
  schooljaar: ['1991-1992', '2001-2002', '2024-2025', '2025-2026', '2031-2032'],
  geslacht: ['0', '1', '2', '9', '01', ' +2 '],
  jaargroep: ['B', 'D', '0', '8', '11', '16', 'S', 'V', 'C', 'N', 'H'],
  rol: [
    'ADJ',
    'ADM',
    'CON',
    'DIR',
    'ICT',
    'IB',
    'KLA',
    'LRK',
    'LOS',
    'LOC',
    'OWA',
    'OUD',
    'RT',
    'SMW',
    'STA',
    'TAL',
    'VAK',
  ],
  land: ['?', 'NL', 'AX', 'CS', 'YO', 'ZW', 'GB', 'UK'],
  etniciteit: ['0', '1', '9'],
  gewicht: ['?', '0.00', '0.90'],
  gewicht_nieuw: ['?', '0', '0,3', '1,2'],
  brincode: ['00AA', '99ZZ', '٣٤ÀB'],
  voorvoegsel: ['x'.repeat(10)],
  achternaam: ['x'.repeat(200)],
  roepnaam: ['x'.repeat(64)],
  naam: ['x'.repeat(64), ' '],
  geboortedatum: ['2012-02-29', '2012-02-29+14:00', ' 2012-01-01 ', '-2012-01-01'],
  mutatiedatum: ['2014-01-01T24:00:00', '2014-01-01T10:00:00.5+01:00', '2014-01-01T10:00:00Z'],
};

/** Values just over the edge. */
const misfits: Record<string, string[]> = {
  schooljaar: ['1990-1991', '2014-2016', '2014'],
  geslacht: ['3', '', 'm'],
  jaargroep: ['9', '10', '17', 'E', 'b', ''],
  rol: ['LRX', '', 'lrk'],
  land: ['XX', 'nl', ''],
  brincode: ['9ZZ', '99zz', '99ZZ00'],
  voorvoegsel: ['x'.repeat(11), ''],
  achternaam: ['x'.repeat(201), ''],
  roepnaam: ['x'.repeat(65), ''],
  naam: ['x'.repeat(65), ''],
  geboortedatum: ['2010-02-29', '12-01-2010', ''],
  mutatiedatum: ['2014-01-01', '2014-01-01T25:00:00'],
};

const clone = (it: XmlElement): XmlElement => ({ ...it, attrs: { ...it.attrs }, children: it.children.map(clone) });

function all(root: XmlElement): { element: XmlElement; parent: XmlElement | undefined }[] {
  const found: { element: XmlElement; parent: XmlElement | undefined }[] = [];
  const visit = (element: XmlElement, parent: XmlElement | undefined) => {
    found.push({ element, parent });
    for (const it of element.children) visit(it, element);
  };
  visit(root, undefined);
  return found;
}

/** One or two changes of a copy of `root`; the same seed makes the same changes. */
export function mutated(root: XmlElement, seed: number): XmlElement {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const copy = clone(root);
  for (let left = 1 + below(2); left > 0; left--) {
    const everything = all(copy);
    const { element, parent } = pick(everything);
    const siblings = parent?.children ?? [];
    const at = siblings.indexOf(element);
    const leaves = everything.filter((it) => it.element.children.length === 0);
    switch (below(20)) {
      case 0:
        if (parent) siblings.splice(at, 1);
        break;
      case 1:
        if (parent) siblings.splice(at, 0, clone(element));
        break;
      case 2:
        if (parent) siblings.push(...siblings.splice(at, 1));
        break;
      case 3:
        element.name = pick(names);
        break;
      case 4:
        element.children.splice(below(element.children.length + 1), 0, {
          name: pick(names),
          ns: '',
          attrs: {},
          text: pick(texts),
          children: [],
          line: 0,
        });
        break;
      case 5:
        element.attrs[pick(['key', 'eckid', 'extra'])] = pick(texts);
        break;
      case 6:
        delete pick(everything.filter((it) => 'key' in it.element.attrs)).element.attrs['key'];
        break;
      // A key or eckid of another object: given twice, or a reference of the wrong kind.
      case 7:
      case 8: {
        const name = pick(['key', 'key', 'eckid']);
        const with_ = everything.filter((it) => name in it.element.attrs);
        if (with_.length > 0) pick(with_).element.attrs[name] = pick(with_).element.attrs[name]!;
        break;
      }
      case 9: {
        // A whole object of another place.
        const from = pick(everything).element;
        if (from !== copy) pick(everything).element.children.push(clone(from));
        break;
      }
      case 10:
        element.children = [];
        break;
      // A key of a sibling: of the same kind or, among groups, of the other.
      case 11: {
        // Among the groups half the time, since they are few and have two kinds.
        const among = below(2) === 0 ? 'groepen' : undefined;
        const keyed = everything.filter(
          (it) =>
            'key' in it.element.attrs && (it.parent?.children.length ?? 0) > 1 && (!among || it.parent?.name === among),
        );
        const it = keyed.length > 0 ? pick(keyed) : undefined;
        if (it) it.element.attrs['key'] = pick(it.parent!.children).attrs['key'] ?? 'x';
        break;
      }
      case 13:
      case 14: {
        const near = leaves.filter((it) => it.element.name in misfits);
        if (near.length === 0) break;
        const leaf = pick(near).element;
        leaf.text = pick(misfits[leaf.name]!);
        break;
      }
      case 12:
        pick(leaves).element.text = pick(texts);
        break;
      default: {
        const near = leaves.filter((it) => it.element.name in fitting);
        if (near.length === 0) break;
        const leaf = pick(near).element;
        leaf.text = pick(fitting[leaf.name]!);
      }
    }
  }
  return copy;
}

/** A document in which every element of a pupil and a teacher stands once, so that mutations reach all of them. */
const everyField = `<EDEX>
<school><schooljaar>2014-2015</schooljaar><peildatum>2014-10-01</peildatum><brincode>99ZU</brincode><dependancecode>01</dependancecode>
<schoolkey>k</schoolkey><aanmaakdatum>2014-10-01T10:00:00</aanmaakdatum><auteur>a</auteur><xsdversie>2.1</xsdversie><commentaar>c</commentaar></school>
<vestigingen><vestiging key="v"><naam>v</naam><omschrijving>o</omschrijving><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></vestiging></vestigingen>
<groepen><groep key="g"><naam>n</naam><jaargroep>4</jaargroep><omschrijving>o</omschrijving><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></groep>
<samengestelde_groep key="s"><naam>n</naam><omschrijving>o</omschrijving><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></samengestelde_groep>
<groep key="h"><naam>n</naam><jaargroep>5</jaargroep></groep><samengestelde_groep key="i"><naam>n</naam></samengestelde_groep></groepen>
<leerlingen><leerling key="l" eckid="e"><achternaam>a</achternaam><voorvoegsel>v</voorvoegsel><voornamen>v</voornamen><voorletters-1>v</voorletters-1>
<roepnaam>r</roepnaam><geboortedatum>2006-01-01</geboortedatum><geslacht>1</geslacht><start_ondw_jgr3>2012-08-20</start_ondw_jgr3><jaargroep>4</jaargroep>
<groep key="g"/><samengestelde_groepen><samengestelde_groep key="s"/></samengestelde_groepen><vestiging key="v"/><gebruikersnaam>g</gebruikersnaam>
<emailadres>e</emailadres><fotourl>f</fotourl><etniciteit>0</etniciteit><land>NL</land><land_vader>BE</land_vader><land_moeder>?</land_moeder>
<bsn_ondwnr-4>1234</bsn_ondwnr-4><gewicht_nieuw>0</gewicht_nieuw><gewicht>0.25</gewicht><postcodenl>1234AB</postcodenl>
<instroomdatum>2010-08-20</instroomdatum><uitstroomdatum>2015-07-01</uitstroomdatum><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></leerling>
<leerling key="m" eckid="f"><roepnaam>m</roepnaam><onderwijsnummer>123456780</onderwijsnummer><postnummerbe>1234</postnummerbe></leerling>
<leerling key="n"><roepnaam>m</roepnaam><rijksregisternummer>12345678901</rijksregisternummer><postcodeoverig>1234</postcodeoverig></leerling></leerlingen>
<leerkrachten><leerkracht key="t" eckid="u"><roepnaam>r</roepnaam><gebruikersnaam>g</gebruikersnaam><emailadres>e</emailadres><rol>LRK</rol>
<rolomschrijving>r</rolomschrijving><rol>VAK</rol><groepen><groep key="g"><rol>RT</rol><rolomschrijving>r</rolomschrijving></groep>
<samengestelde_groep key="s"/></groepen><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></leerkracht>
<leerkracht key="w" eckid="x"><roepnaam>r</roepnaam></leerkracht></leerkrachten></EDEX>`;

/** The same in 1.03, which has fewer. */
const everyField103 = `<EDEX>
<school><schooljaar>2014-2015</schooljaar><brincode>99ZU</brincode><dependancecode>01</dependancecode>
<schoolkey>k</schoolkey><aanmaakdatum>2014-10-01T10:00:00</aanmaakdatum><auteur>a</auteur><xsdversie>1.03</xsdversie><commentaar>c</commentaar></school>
<groepen><groep key="g"><naam>n</naam><jaargroep>4</jaargroep><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></groep>
<groep key="h"><naam>n</naam><jaargroep>5</jaargroep></groep></groepen>
<leerlingen><leerling key="l"><achternaam>a</achternaam><voorvoegsel>v</voorvoegsel><voorletters-1>v</voorletters-1>
<roepnaam>r</roepnaam><geboortedatum>2006-01-01</geboortedatum><geslacht>1</geslacht><groep key="g"/>
<etniciteit>0</etniciteit><land>NL</land><land_vader>BE</land_vader><land_moeder>?</land_moeder>
<sofinummer>123456780</sofinummer><gewicht_nieuw>0</gewicht_nieuw><gewicht>0.25</gewicht><postcodenl>1234AB</postcodenl>
<instroomdatum>2010-08-20</instroomdatum><uitstroomdatum>2015-07-01</uitstroomdatum><mutatiedatum>2014-10-01T10:00:00</mutatiedatum></leerling>
<leerling key="m"><roepnaam>m</roepnaam><jaargroep>4</jaargroep><onderwijsnummer>123456780</onderwijsnummer><postcodeoverig>1234</postcodeoverig></leerling></leerlingen>
<leerkrachten><leerkracht key="t"><roepnaam>r</roepnaam><groepen><groep key="g"/><groep key="h"/></groepen>
<mutatiedatum>2014-10-01T10:00:00</mutatiedatum></leerkracht>
<leerkracht key="w"><roepnaam>r</roepnaam></leerkracht></leerkrachten></EDEX>`;

export const everyFieldOf = (version: Version): string =>
  version === '2.1' ? everyField : version === '2.0' ? everyField.replaceAll(/ eckid="\w"/g, '') : everyField103;
