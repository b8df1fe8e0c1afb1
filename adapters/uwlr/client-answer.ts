/**
 * What an administration answers (UWLR 2.2 §3.3), read liberally: any order, with or without prefixes and namespaces, unknown
 * elements passed over. Only what may be taken in has a place here; what is left is counted. No error holds a value.
 */
import { envelopeOf, readXml, type XmlElement } from '#adapters/xml';
import { GatewayError, isSchoolYear, type Where } from '#kernel';
import { type Asking, operations } from './client.ts';
import { refuseFault } from './client-faults.ts';
import { JAARGROEPEN, versions } from './versions.ts';
import { NS, refusePersonalNumbers } from './wire.ts';

export interface AntwoordSchool {
  schooljaar: string;
  peildatum: string;
  brincode: string;
  dependancecode: string;
  schoolkey: string;
  aanmaakdatum: string;
}

export interface AntwoordGroep {
  key: string;
  naam: string;
  omschrijving: string;
  jaargroep: string;
  samengesteld: boolean;
}

interface AntwoordPersoon {
  key: string;
  eckid: string;
  achternaam: string;
  voorvoegsel: string;
  voornamen: string;
  'voorletters-1': string;
  roepnaam: string;
  gebruikersnaam: string;
  emailadres: string;
}

export interface AntwoordLeerling extends AntwoordPersoon {
  geboortedatum: string;
  geslacht: string;
  jaargroep: string;
  groep: string;
  samengestelde_groepen: string[];
  vestiging: string;
  instroomdatum: string;
  uitstroomdatum: string;
}

export interface AntwoordLeerkracht extends AntwoordPersoon {
  rol: string[];
  groepen: { key: string; samengesteld: boolean; rol: string[] }[];
}

/** A whole roster, or the part of it that was asked for. */
export interface Gegevens {
  kind: 'gegevens';
  school: AntwoordSchool;
  vestigingen: { key: string; naam: string; omschrijving: string }[];
  groepen: AntwoordGroep[];
  leerlingen: AntwoordLeerling[];
  leerkrachten: AntwoordLeerkracht[];
  /** How often something stood there that is not taken in, by its name in the standard. */
  left: Map<string, number>;
}

/** The answer to BrengLeerresultaten (UWLR 2.2 §3.6): nothing, or a fault. Throws `PeerFault`, and wire.* for what is neither. */
export function readConfirmation(bytes: Uint8Array): void {
  const { body } = envelopeOf(readXml(bytes).root);
  refuseFault(body);
  if (body.name !== 'leerresultaten_bevestiging')
    throw new GatewayError('wire.invalid', 'The answer does not confirm the results.', { where: 'Envelope/Body' });
}

export type Antwoord = Gegevens | { kind: 'geenwijzigingen' } | { kind: 'geengegevens' };

/** Why what stands in an answer is not taken in. */
export const answerLosses = {
  'bsn_ondwnr-4': 'Any part of a personal number is never taken in.',
  fotourl: 'Never taken in, whatever the mandate.',
  etniciteit: 'Never taken in, whatever the mandate.',
  land: 'Never taken in, whatever the mandate.',
  gewicht: 'Never taken in, whatever the mandate.',
  postcode: 'Never taken in, whatever the mandate.',
  toevoegingen: 'Only its sender can explain a private block.',
  rolomschrijving: 'A word of the school itself; only codes of duties are kept.',
  start_ondw_jgr3: 'No place in core.',
  jaargroep: 'A code that the standard does not have.',
  rol: 'A code that the standard does not have.',
  geslacht: 'A code that the standard does not have.',
} as const;

const dropped: Readonly<Record<string, keyof typeof answerLosses>> = {
  fotourl: 'fotourl',
  etniciteit: 'etniciteit',
  land: 'land',
  land_vader: 'land',
  land_moeder: 'land',
  gewicht: 'gewicht',
  gewicht_nieuw: 'gewicht',
  postcodenl: 'postcode',
  postnummerbe: 'postcode',
  postcodeoverig: 'postcode',
  toevoegingen: 'toevoegingen',
  rolomschrijving: 'rolomschrijving',
  start_ondw_jgr3: 'start_ondw_jgr3',
};

const GENDERS: ReadonlySet<string> = new Set(['0', '1', '2', '9']);
/** Most places that an error names. */
const PLACES = 100;

/** Reads an answer to one of our questions. Faults: PeerFault, wire.* (what came is no answer, or holds a personal number). */
export const readAnswer = (bytes: Uint8Array, operation: Asking): Antwoord => answerOf(readXml(bytes).root, operation);

/** The same for a document that was read already, such as in a worker. */
export function answerOf(root: XmlElement, operation: Asking): Antwoord {
  const { body } = envelopeOf(root);
  refuseFault(body);
  const { element } = operations[operation];
  const name = `${element}_antwoord`;
  if (body.name !== name || (body.ns !== NS.leerlinggegevens && body.ns !== ''))
    throw new GatewayError(
      /^http:\/\/www\.edustandaard\.nl\/leerresultaten\/(?!2\/)/.test(body.ns) ? 'wire.version' : 'wire.invalid',
      'The body holds no answer to what was asked.',
      { where: [{ path: 'Envelope/Body', line: body.line }] },
    );
  const has = (child: string): XmlElement | undefined => body.children.find((it) => it.name === child);
  if (has('geenwijzigingen')) return { kind: 'geenwijzigingen' };
  if (has('geengegevens')) return { kind: 'geengegevens' };
  const within = operation === 'HaalLeerlinggegevens' ? 'leerlinggegevens' : `leerlinggegevens-${element}`;
  const given = has(within);
  if (!given)
    throw new GatewayError('wire.invalid', 'An answer has data, or says that there is none.', {
      where: [{ path: `Envelope/Body/${name}`, line: body.line }],
    });
  const left = new Map<string, number>();
  takeOutParts(given, left);
  refusePersonalNumbers(root);
  const at = `${name}/${within}`;
  const form = new Reading(left);
  const school = form.one(given, at, 'school');
  if (!school) form.refuse(`${at}/school`, given);
  const out: Gegevens = {
    kind: 'gegevens',
    school: school ? schoolOf(form, school, `${at}/school`) : schoolOf(form, given, at),
    vestigingen: form.list(given, at, 'vestigingen').map(({ it, at: place }) => ({
      key: form.key(it, place),
      naam: form.text(it, 'naam'),
      omschrijving: form.text(it, 'omschrijving'),
    })),
    groepen: form.list(given, at, 'groepen').map(({ it, at: place }) => groepOf(form, it, place)),
    leerlingen: form.list(given, at, 'leerlingen').map(({ it, at: place }) => leerlingOf(form, it, place)),
    leerkrachten: form.list(given, at, 'leerkrachten').map(({ it, at: place }) => leerkrachtOf(form, it, place)),
    left,
  };
  form.done();
  return out;
}

/** The last four digits of a number, which one set of fields has, leave before anything looks at numbers. */
function takeOutParts(element: XmlElement, left: Map<string, number>): void {
  const kept = element.children.filter((it) => it.name !== 'bsn_ondwnr-4');
  const gone = element.children.length - kept.length;
  if (gone > 0) {
    left.set('bsn_ondwnr-4', (left.get('bsn_ondwnr-4') ?? 0) + gone);
    element.children = kept;
  }
  for (const it of kept) takeOutParts(it, left);
}

/** Reads and remembers what is wrong, so that an operator hears all of it at once. */
class Reading {
  readonly #wrong: Where[] = [];
  readonly #left: Map<string, number>;
  constructor(left: Map<string, number>) {
    this.#left = left;
  }

  refuse(path: string, { line }: XmlElement): void {
    if (this.#wrong.length < PLACES) this.#wrong.push({ path, line });
  }

  leave(name: keyof typeof answerLosses): void {
    this.#left.set(name, (this.#left.get(name) ?? 0) + 1);
  }

  /** The child of a name; of two nobody knows which was meant. */
  one(element: XmlElement, at: string, name: string): XmlElement | undefined {
    const found = element.children.filter((it) => it.name === name);
    if (found.length > 1) this.refuse(`${at}/${name}[2]`, found[1]!);
    return found[0];
  }

  /** Everything in the container of a name, with its place. */
  list(element: XmlElement, at: string, container: string): { it: XmlElement; at: string }[] {
    const within = this.one(element, at, container);
    const single = singular[container];
    return (within?.children ?? [])
      .filter(({ name }) => single?.includes(name))
      .map((it, i) => ({ it, at: `${at}/${container}/${it.name}[${i + 1}]` }));
  }

  text(element: XmlElement, name: string): string {
    return element.children.find((it) => it.name === name)?.text.trim() ?? '';
  }

  /** White space at the ends of a key means nothing. */
  key(element: XmlElement, at: string): string {
    const key = (element.attrs['key'] ?? '').trim();
    if (key === '' || key.length > 256) this.refuse(`${at}/@key`, element);
    return key;
  }

  day(element: XmlElement, name: string): string {
    return /^(\d{4}-\d{2}-\d{2})/.exec(this.text(element, name))?.[1] ?? '';
  }

  code(element: XmlElement, name: 'jaargroep' | 'geslacht', codes: ReadonlySet<string>): string {
    const text = this.text(element, name);
    if (text === '' || codes.has(text)) return text;
    this.leave(name);
    return '';
  }

  done(): void {
    if (this.#wrong.length > 0)
      throw new GatewayError('wire.invalid', `The answer breaks its form at ${this.#wrong[0]!.path}.`, {
        where: this.#wrong,
      });
  }
}

const singular: Readonly<Record<string, readonly string[]>> = {
  vestigingen: ['vestiging'],
  groepen: ['groep', 'samengestelde_groep'],
  leerlingen: ['leerling'],
  leerkrachten: ['leerkracht'],
  samengestelde_groepen: ['samengestelde_groep'],
};

function schoolOf(form: Reading, element: XmlElement, at: string): AntwoordSchool {
  const schooljaar = form.text(element, 'schooljaar');
  if (!isSchoolYear(schooljaar)) form.refuse(`${at}/schooljaar`, element);
  return {
    schooljaar,
    peildatum: form.day(element, 'peildatum'),
    brincode: form.text(element, 'brincode').toUpperCase(),
    dependancecode: form.text(element, 'dependancecode'),
    schoolkey: form.text(element, 'schoolkey'),
    aanmaakdatum: form.text(element, 'aanmaakdatum'),
  };
}

function groepOf(form: Reading, element: XmlElement, at: string): AntwoordGroep {
  look(form, element);
  return {
    key: form.key(element, at),
    naam: form.text(element, 'naam'),
    omschrijving: form.text(element, 'omschrijving'),
    jaargroep: form.code(element, 'jaargroep', JAARGROEPEN),
    samengesteld: element.name === 'samengestelde_groep',
  };
}

/** Counts what is not taken in. */
function look(form: Reading, element: XmlElement): void {
  for (const { name, text, children } of element.children) {
    const loss = dropped[name];
    if (loss !== undefined && (text.trim() !== '' || children.length > 0)) form.leave(loss);
  }
}

function persoonOf(form: Reading, element: XmlElement, at: string): AntwoordPersoon {
  look(form, element);
  const key = (element.attrs['key'] ?? '').trim();
  const eckid = (element.attrs['eckid'] ?? '').trim();
  // Since 2.3 an ECK iD alone is enough; a key that starts with `#` stands for one that is not there.
  if ((key === '' && eckid === '') || key.length > 256 || eckid.length > 256) form.refuse(`${at}/@key`, element);
  return {
    key: key.startsWith('#') && eckid !== '' ? '' : key,
    eckid,
    achternaam: form.text(element, 'achternaam'),
    voorvoegsel: form.text(element, 'voorvoegsel'),
    voornamen: form.text(element, 'voornamen'),
    'voorletters-1': form.text(element, 'voorletters-1'),
    roepnaam: form.text(element, 'roepnaam'),
    gebruikersnaam: form.text(element, 'gebruikersnaam'),
    emailadres: form.text(element, 'emailadres'),
  };
}

function leerlingOf(form: Reading, element: XmlElement, at: string): AntwoordLeerling {
  const ref = (name: string): string => {
    const it = form.one(element, at, name);
    return it === undefined ? '' : form.key(it, `${at}/${name}`);
  };
  return {
    ...persoonOf(form, element, at),
    geboortedatum: form.day(element, 'geboortedatum'),
    geslacht: form.code(element, 'geslacht', GENDERS),
    jaargroep: form.code(element, 'jaargroep', JAARGROEPEN),
    groep: ref('groep'),
    samengestelde_groepen: form
      .list(element, at, 'samengestelde_groepen')
      .map(({ it, at: place }) => form.key(it, place)),
    vestiging: ref('vestiging'),
    instroomdatum: form.day(element, 'instroomdatum'),
    uitstroomdatum: form.day(element, 'uitstroomdatum'),
  };
}

/** TAL came with EDEXML 2.1 and was forgotten in the schema of 2.2; administrations know it. */
const DUTIES: ReadonlySet<string> = versions['2.3'].rollen;

function leerkrachtOf(form: Reading, element: XmlElement, at: string): AntwoordLeerkracht {
  const roles = (of: XmlElement): string[] => {
    const codes = of.children.filter(({ name }) => name === 'rol').map(({ text }) => text.trim());
    for (const code of codes) if (!DUTIES.has(code)) form.leave('rol');
    return codes.filter((code) => DUTIES.has(code));
  };
  return {
    ...persoonOf(form, element, at),
    rol: roles(element),
    groepen: form.list(element, at, 'groepen').map(({ it, at: place }) => {
      look(form, it);
      return { key: form.key(it, place), samengesteld: it.name === 'samengestelde_groep', rol: roles(it) };
    }),
  };
}
