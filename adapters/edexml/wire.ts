import { readFileSync } from 'node:fs';
import {
  child,
  childrenOf,
  compileSchema,
  type ReadOptions,
  readXml,
  readXmlApart,
  type Schema,
  textOf,
  type XmlElement,
  type XmlRead,
} from '#adapters/xml';
import { GatewayError, isSchoolYear } from '#kernel';
import { refusePgn } from './pgn.ts';

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

const MAIN = 'edexml-2.1.xsd';
export const schema = compileSchema(
  { [MAIN]: readFileSync(new URL(`./schemas/${MAIN}`, import.meta.url), 'utf8') },
  MAIN,
);

const options: ReadOptions = { schema, drop: ['toevoegingen'] };

/** First step: is it an EDEXML file? What comes out may still hold numbers of persons. A test gives another schema. */
export const accept = (bytes: Uint8Array, against: Schema = schema): XmlRead =>
  rightYear(readXml(bytes, { ...options, schema: against }));

/** Bytes → wire: `accept`, then the refusal of personal numbers, then what we take in. */
export const read = (bytes: Uint8Array): EDEX => taken(accept(bytes));

/** `read` without holding up the thread: a large file is parsed and validated in a worker. */
export const readApart = async (bytes: Uint8Array): Promise<EDEX> =>
  taken(rightYear(await readXmlApart(bytes, options)));

/** A pattern cannot say that the second year follows the first. The standard's own list starts in 1991. */
function rightYear(file: XmlRead): XmlRead {
  const year = child(child(file.root, 'school')!, 'schooljaar')!;
  if (isSchoolYear(year.text) && year.text >= '1991') return file;
  throw new GatewayError('wire.invalid', `EDEX/school/schooljaar, line ${year.line}: this is no school year.`, {
    where: [{ path: 'EDEX/school/schooljaar', line: year.line }],
  });
}

function taken(file: XmlRead): EDEX {
  refusePgn(file);
  const part = (name: string) => child(file.root, name)?.children ?? [];
  return {
    school: schoolOf(child(file.root, 'school')!),
    vestigingen: part('vestigingen').map(vestigingOf),
    groepen: part('groepen').map(groepOf),
    leerlingen: part('leerlingen').map(leerlingOf),
    leerkrachten: part('leerkrachten').map(leerkrachtOf),
  };
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
