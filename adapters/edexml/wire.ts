import { readFileSync } from 'node:fs';
import { type LossCount, LossTally } from '#adapters/contract';
import {
  child,
  childrenOf,
  compileSchema,
  makeApart,
  type ReadOptions,
  readXml,
  type Schema,
  type Step,
  textOf,
  type XmlElement,
  type XmlRead,
} from '#adapters/xml';
import { GatewayError, isSchoolYear, schoolYearOf } from '#kernel';
import { lostOnReading, type Version, versions } from './losses.ts';
import { type Given, type Lines, linesOf, refuse, type Warning, warningsOf } from './rules.ts';

/**
 * An EDEXML file (2.1; 1.03 and 2.0 read the same) with the names of the standard. Only what may be taken in has a place:
 * `fotourl`, `etniciteit`, `land*`, `gewicht*`, postcodes, `toevoegingen` and every number of a person are left in the file,
 * and so are `auteur`, `commentaar`, `start_ondw_jgr3` and each `mutatiedatum`, which nothing here uses.
 */
export interface EDEX {
  school: School;
  vestigingen: Vestiging[];
  groepen: Groep[];
  leerlingen: Leerling[];
  leerkrachten: Leerkracht[];
}

export interface School {
  schooljaar: string;
  peildatum?: string;
  brincode?: string;
  dependancecode?: string;
  instellingsnummer?: string;
  schoolkey?: string;
  aanmaakdatum?: string;
  xsdversie?: string;
}

export interface Vestiging {
  key: string;
  naam: string;
  omschrijving?: string;
}

/** A `groep` when it has a `jaargroep`, else a `samengestelde_groep`. */
export interface Groep extends Vestiging {
  jaargroep?: string;
}

interface Persoon {
  key: string;
  eckid?: string;
  achternaam?: string;
  voorvoegsel?: string;
  voornamen?: string;
  'voorletters-1'?: string;
  roepnaam?: string;
  gebruikersnaam?: string;
  emailadres?: string;
}

export interface Leerling extends Persoon {
  geboortedatum?: string;
  geslacht?: string;
  jaargroep?: string;
  groep?: string;
  samengestelde_groepen: string[];
  vestiging?: string;
  instroomdatum?: string;
  uitstroomdatum?: string;
}

export interface Leerkracht extends Persoon {
  rol: string[];
  groepen: { key: string; rol: string[] }[];
}

/** Our schemas, by version. Files are written by that of their version; all are read by the last, which takes the others too. */
export const schemas = Object.fromEntries(
  versions.map((version) => {
    const main = `edexml-${version}.xsd`;
    return [
      version,
      compileSchema({ [main]: readFileSync(new URL(`./schemas/${main}`, import.meta.url), 'utf8') }, main),
    ];
  }),
) as Record<Version, Schema>;
export const schema = schemas['2.1'];
/** For a file without a header, of which the sender says which school and year it is of. */
const headless = compileSchema(
  {
    [schema.main]: schema.files[schema.main]!.replace(
      '<xs:element name="school" type="School"/>',
      '<xs:element name="school" type="School" minOccurs="0"/>',
    ),
  },
  schema.main,
);

const options = (given: Given): ReadOptions => ({
  schema: given.schoolOin && given.schoolYear ? headless : schema,
  drop: ['toevoegingen'],
});

/** First step: is it an EDEXML file? What comes out may still hold numbers of persons. A test gives another schema. */
export const accept = (bytes: Uint8Array, against: Schema = schema): XmlRead =>
  rightYear(readXml(bytes, { ...options({}), schema: against }));

/** A file that was taken: what it says, and what is to be said of it. */
export interface Taken {
  wire: EDEX;
  /** Soft rules that it does not keep. */
  warnings: Warning[];
  /** What is left in it. */
  losses: LossCount[];
  /** Where its people, groups and sites stand. */
  lines: Lines;
}

/** Bytes → wire: all faults at once, numbers of persons among them, and then what we take in. */
export const read = (bytes: Uint8Array, given: Given = {}): EDEX => take(bytes, given).wire;

export const take = (bytes: Uint8Array, given: Given = {}): Taken =>
  taken(readXml(bytes, { ...options(given), collect: true }), given);

/** Tree → what we take in of it. */
export const taking: Step<Given, Taken> = { module: import.meta.url, name: 'taking', make: taken };

/** `take` without holding up the thread: a large file is parsed, validated and taken apart in a worker. */
export const takeApart = (bytes: Uint8Array, given: Given = {}): Promise<Taken> =>
  makeApart(bytes, { ...options(given), collect: true }, taking, given);

/** `read` in the same way. */
export const readApart = async (bytes: Uint8Array): Promise<EDEX> => (await takeApart(bytes)).wire;

/** A pattern cannot say that the second year follows the first. The standard's own list starts in 1991. */
function rightYear(file: XmlRead): XmlRead {
  const year = child(child(file.root, 'school')!, 'schooljaar')!;
  if (isSchoolYear(year.text) && year.text >= '1991') return file;
  throw new GatewayError('wire.invalid', `EDEX/school/schooljaar, line ${year.line}: this is no school year.`, {
    where: [{ path: 'EDEX/school/schooljaar', line: year.line }],
  });
}

function taken(file: XmlRead, given: Given): Taken {
  refuse(file, given);
  const part = (name: string) => child(file.root, name)?.children ?? [];
  const school = child(file.root, 'school');
  return {
    wire: {
      school: school ? schoolOf(school) : { schooljaar: given.schoolYear! },
      vestigingen: part('vestigingen').map(vestigingOf),
      groepen: part('groepen').map(groepOf),
      leerlingen: part('leerlingen').map(leerlingOf),
      leerkrachten: part('leerkrachten').map(leerkrachtOf),
    },
    warnings: warningsOf(file, given.nowMs === undefined ? '' : schoolYearOf(given.nowMs), given.schoolOin),
    losses: lossesOf(file, school !== undefined && child(school, 'schoolkey') !== undefined, given),
    lines: linesOf(file),
  };
}

/** Counts what is left in the file. A schoolkey is needed only where nothing else says which school it is. */
function lossesOf({ root, dropped }: XmlRead, hasKey: boolean, given: Given): LossCount[] {
  const tally = new LossTally();
  const visit = (element: XmlElement): void => {
    const reason = element.name === 'schoolkey' ? undefined : lostOnReading(element.name);
    if (reason) tally.add(element.name, reason);
    for (const it of element.children) visit(it);
  };
  visit(root);
  const school = child(root, 'school');
  if (hasKey && school && (given.schoolOin || child(school, 'brincode') || child(school, 'instellingsnummer')))
    tally.add('schoolkey', lostOnReading('schoolkey')!);
  tally.add('toevoegingen', 'minimised', dropped.length);
  return tally.list();
}

const keyOf = (element: XmlElement): string => element.attrs['key']!;
const roles = (element: XmlElement): string[] => childrenOf(element, 'rol').map((it) => it.text);

function schoolOf(element: XmlElement): School {
  const school: School = { schooljaar: textOf(element, 'schooljaar')! };
  for (const { name, text } of element.children)
    switch (name) {
      case 'peildatum':
      case 'brincode':
      case 'dependancecode':
      case 'instellingsnummer':
      case 'schoolkey':
      case 'aanmaakdatum':
      case 'xsdversie':
        school[name] = text;
    }
  return school;
}

function vestigingOf(element: XmlElement): Vestiging {
  const vestiging: Vestiging = { key: keyOf(element), naam: textOf(element, 'naam')! };
  const omschrijving = textOf(element, 'omschrijving');
  return omschrijving === undefined ? vestiging : { ...vestiging, omschrijving };
}

function groepOf(element: XmlElement): Groep {
  const groep: Groep = vestigingOf(element);
  const jaargroep = textOf(element, 'jaargroep');
  return jaargroep === undefined ? groep : { ...groep, jaargroep };
}

/** One pass over the children: a roster has thousands of these. */
function leerlingOf(element: XmlElement): Leerling {
  const leerling: Leerling = { key: keyOf(element), samengestelde_groepen: [] };
  if (element.attrs['eckid'] !== undefined) leerling.eckid = element.attrs['eckid'];
  for (const it of element.children)
    switch (it.name) {
      case 'achternaam':
      case 'voorvoegsel':
      case 'voornamen':
      case 'voorletters-1':
      case 'roepnaam':
      case 'gebruikersnaam':
      case 'emailadres':
      case 'geboortedatum':
      case 'geslacht':
      case 'jaargroep':
      case 'instroomdatum':
      case 'uitstroomdatum':
        leerling[it.name] = it.text;
        break;
      case 'groep':
      case 'vestiging':
        leerling[it.name] = keyOf(it);
        break;
      case 'samengestelde_groepen':
        leerling.samengestelde_groepen = it.children.map(keyOf);
    }
  return leerling;
}

function leerkrachtOf(element: XmlElement): Leerkracht {
  const leerkracht: Leerkracht = { key: keyOf(element), rol: roles(element), groepen: [] };
  if (element.attrs['eckid'] !== undefined) leerkracht.eckid = element.attrs['eckid'];
  for (const it of element.children)
    switch (it.name) {
      case 'achternaam':
      case 'voorvoegsel':
      case 'voornamen':
      case 'voorletters-1':
      case 'roepnaam':
      case 'gebruikersnaam':
      case 'emailadres':
        leerkracht[it.name] = it.text;
        break;
      case 'groepen':
        leerkracht.groepen = it.children.map((groep) => ({ key: keyOf(groep), rol: roles(groep) }));
    }
  return leerkracht;
}
