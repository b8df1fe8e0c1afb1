/**
 * UWLR 2.2 (= 2.2.1) and 2.3 as they stand on the wire: types with the standard's own names, and reading of what callers send.
 * Form only, no interpretation. Reading is liberal (any order, empty = absent, unknown elements ignored); writing, in answer.ts,
 * is strict. No error holds a value of the message, nor a name it made up.
 */
import { envelopeOf, readXml, writeEnvelope, type XmlElement, type XmlObject } from '#adapters/xml';
import { Clear, GatewayError, isDay, isSchoolYear, type Where } from '#kernel';
import { outdated, type Version, versionOf, versions } from './versions.ts';

/** Namespaces of all 2.x versions (UWLR 2.2 §2); `oso` is borrowed. */
export const NS = {
  autorisatie: 'http://www.edustandaard.nl/leerresultaten/2/autorisatie',
  leerlinggegevens: 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens',
  leerresultaten: 'http://www.edustandaard.nl/leerresultaten/2/leerresultaten',
  oso: 'http://www.edustandaard.nl/oso_gegevensset/1.2/dossier',
} as const;

// --- Types --------------------------------------------------------------------------------------------------------------

/** The header (§3.1). */
export interface Autorisatie {
  autorisatiesleutel: string;
  klantcode: string;
  klantnaam: string;
}

/** §3.2. */
export interface LeerlinggegevensVerzoek {
  schooljaar?: string;
  brincode?: string;
  dependancecode?: string;
  schoolkey?: string;
  xsdversie?: string;
  gegevenssetid?: string;
  laatstontvangengegevens?: string;
}

/** §3.2, of HaalLeerlingen and HaalLeerkrachten. */
export interface GroepenVerzoek extends LeerlinggegevensVerzoek {
  groepen: GroepVerwijzing[];
}
/** Without a key: who is in no group of that kind. */
export interface GroepVerwijzing {
  key?: string;
  samengesteld: boolean;
}

/** §3.3: the data, or why there are none. */
export type Antwoord<G> = G | { geenwijzigingen: true } | { geengegevens: true };
export type LeerlinggegevensAntwoord = Antwoord<{ leerlinggegevens: Leerlinggegevens }>;

/** What every answer begins with; the groups and sites are written where the operation has them. */
export interface Kop {
  school: AntwoordSchool;
  vestigingen: Vestiging[];
  groepen: { groep: Stamgroep[]; samengestelde_groep: SamengesteldeGroep[] };
}
export interface Leerlinggegevens extends Kop {
  leerlingen: Leerling[];
  leerkrachten: Leerkracht[];
}
export interface AntwoordSchool {
  schooljaar: string;
  peildatum?: string;
  brincode?: string;
  dependancecode?: string;
  schoolkey?: string;
  aanmaakdatum?: string;
  xsdversie: Version;
}
export interface Vestiging {
  key: string;
  naam: string;
  omschrijving?: string;
}
export interface SamengesteldeGroep {
  key: string;
  naam: string;
  omschrijving?: string;
}
export interface Stamgroep extends SamengesteldeGroep {
  jaargroep: string;
}
export interface Verwijzing {
  key: string;
}
export interface Naam {
  achternaam?: string;
  voorvoegsel?: string;
  voornamen?: string;
  'voorletters-1'?: string;
  roepnaam?: string;
}
export interface Leerling extends Naam {
  /** Absent in 2.3 only, of a pupil with an ECK iD. */
  key?: string;
  eckid?: string;
  geboortedatum?: string;
  geslacht?: string;
  jaargroep?: string;
  groep?: Verwijzing;
  samengestelde_groepen: Verwijzing[];
  vestiging?: Verwijzing;
  gebruikersnaam?: string;
  emailadres?: string;
  instroomdatum?: string;
  uitstroomdatum?: string;
}
/** Duties: those with a code, and others in words. */
export interface Rollen {
  rol: string[];
  rolomschrijving: string[];
}
export interface Taak extends Verwijzing, Rollen {}
export interface Leerkracht extends Naam, Rollen {
  key: string;
  eckid?: string;
  gebruikersnaam?: string;
  emailadres?: string;
  groepen: { groep: Taak[]; samengestelde_groep: Taak[] };
}

/** §3.6. Elements that have no meaning for the gateway are kept as `true`: they were there. */
export interface LeerresultatenVerzoek {
  school: ResultatenSchool;
  toetsafnames: Toetsafname[];
  toetsen: Toets[];
}
export interface ResultatenSchool {
  schooljaar?: string;
  brincode?: string;
  dependancecode?: string;
  schoolkey?: string;
  aanmaakdatum?: string;
  auteur?: true;
  xsdversie?: string;
  commentaar?: true;
}
export interface Toetsafname {
  /** Key of the pupil in the administration; a caller that has only the ECK iD leaves it out. */
  leerlingid?: string;
  eckid?: string;
  resultaatverwerkerid?: true;
  resultaten: Resultaat[];
}
/** A word with the list it is from (§3.7): the list's identity and where it can be read. */
export interface Woord {
  tekst: string;
  vocabulaire?: string;
  vocabulairelocatie?: string;
}
export interface Resultaat {
  key: string;
  afnamedatum: string;
  toetscode: string;
  versie?: Woord;
  toetsonderdeelcode?: string;
  /** As written: whole, with decimals, or a word such as `X`. */
  score?: string;
  osoresultaat?: OsoResultaat;
  /** Private by design; of it we can say its kind and the one value that every kind has. Never written. */
  anderresultaat?: { soort?: string; andere_score: string; eigen?: true };
  infourl?: true;
}
export interface OsoResultaat {
  toetsscore?: {
    aantalopgaven?: number;
    aantalgoed?: number;
    aantalfout?: number;
    aantalgelezen?: number;
    tijd?: number;
    vaardigheidsscore?: number;
    codevaardigheidsschaal?: string;
    betrouwbaarheidsinterval?: { bivlaag?: number; bivhoog?: number };
  };
  referentiescore: Referentiescore[];
}
export interface Referentiescore {
  codereferentiescore?: string;
  codevergelijkingsgroep?: string;
  waarde: string;
  kwalificatie?: string;
}
export interface Toets {
  toetscode: Woord;
  versie?: Woord;
  toetsnaam?: string;
  leerjaar?: Woord;
  vakgebied?: Woord;
  toetsnormering?: Normering;
  toetshierarchie: { niveau: number; woord: Woord }[];
  toetsonderdelen: Toetsonderdeel[];
}
export interface Toetsonderdeel {
  /** From 1; undefined when it was no such number. */
  toetsonderdeelvolgnummer?: number;
  toetsonderdeelcode: Woord;
  toetsonderdeelnaam?: string;
  toetsonderdeelnormering?: Normering;
}
export interface Normering {
  toetscategorie?: Woord;
  toetsniveau?: Woord;
  wegingsfactor?: number;
  norm: Norm[];
  vocabulaire?: string;
  vocabulairelocatie?: string;
}
/** As far as it was filled in. */
export interface Norm {
  term: string;
  omschrijving?: string;
  beginnormwaarde?: number;
  eindnormwaarde?: number;
  normkleur?: { rood_code: number; groen_code: number; blauw_code: number; transparantie: number };
  schoolcijfer_vanaf?: number;
  schoolcijfer_totenmet?: number;
}

/** The operations that give a roster, with the names of question and answer and of what is in the answer (§3). */
export const rosterOperations = {
  HaalLeerlinggegevens: {
    verzoek: 'leerlinggegevens_verzoek',
    antwoord: 'leerlinggegevens_antwoord',
    gegevens: 'leerlinggegevens',
    has: ['groepen', 'leerlingen', 'leerkrachten'],
  },
  HaalStructuur: {
    verzoek: 'structuur_verzoek',
    antwoord: 'structuur_antwoord',
    gegevens: 'leerlinggegevens-structuur',
    has: ['groepen'],
  },
  HaalLeerlingen: {
    verzoek: 'leerlingen_verzoek',
    antwoord: 'leerlingen_antwoord',
    gegevens: 'leerlinggegevens-leerlingen',
    has: ['leerlingen'],
  },
  HaalLeerkrachten: {
    verzoek: 'leerkrachten_verzoek',
    antwoord: 'leerkrachten_antwoord',
    gegevens: 'leerlinggegevens-leerkrachten',
    has: ['leerkrachten'],
  },
} as const satisfies Record<
  string,
  { verzoek: string; antwoord: string; gegevens: string; has: readonly ('groepen' | 'leerlingen' | 'leerkrachten')[] }
>;
export type RosterOperation = keyof typeof rosterOperations;

/** A request as read. The header is a secret of the school and of the caller, so it refuses to be printed. */
export type Verzoek =
  | {
      operation: 'HaalLeerlinggegevens' | 'HaalStructuur';
      header: Clear<Autorisatie>;
      body: LeerlinggegevensVerzoek;
    }
  | { operation: 'HaalLeerlingen' | 'HaalLeerkrachten'; header: Clear<Autorisatie>; body: GroepenVerzoek }
  | { operation: 'BrengLeerresultaten'; header: Clear<Autorisatie>; body: LeerresultatenVerzoek };
export type Operation = Verzoek['operation'];

// --- Reading ------------------------------------------------------------------------------------------------------------

/**
 * Reads a request of either service (UWLR 2.2 §3). Throws `wire.unreadable`, `wire.too_large`, `wire.pgn`, `wire.version`,
 * `party.unknown` (no or incomplete header) or `wire.invalid`, with paths and lines.
 */
export const readRequest = (bytes: Uint8Array): Verzoek => requestOf(readXml(bytes).root);

/** The same for a document that was read already, such as in a worker (`readXmlApart`). */
export function requestOf(root: XmlElement): Verzoek {
  const { header, body } = envelopeOf(root);
  refusePersonalNumbers(root);
  const at = `Envelope/Body/${known(body.name)}`;
  if (/^http:\/\/www\.edustandaard\.nl\/leerresultaten\/(?!2\/)/.test(body.ns)) {
    const told = notSpoken(/\/1\//.test(body.ns) ? '1.0' : undefined);
    throw new GatewayError('wire.version', told, { where: [{ path: at, line: body.line }] });
  }
  if (body.ns === NS.leerlinggegevens)
    switch (body.name) {
      case rosterOperations.HaalLeerlinggegevens.verzoek:
        return { operation: 'HaalLeerlinggegevens', header: autorisatie(header), body: leerlinggegevensVerzoek(body) };
      case rosterOperations.HaalStructuur.verzoek:
        return { operation: 'HaalStructuur', header: autorisatie(header), body: leerlinggegevensVerzoek(body) };
      case rosterOperations.HaalLeerlingen.verzoek:
        return { operation: 'HaalLeerlingen', header: autorisatie(header), body: groepenVerzoek(body) };
      case rosterOperations.HaalLeerkrachten.verzoek:
        return { operation: 'HaalLeerkrachten', header: autorisatie(header), body: groepenVerzoek(body) };
    }
  if (body.ns === NS.leerresultaten && body.name === 'leerresultaten_verzoek')
    return { operation: 'BrengLeerresultaten', header: autorisatie(header), body: leerresultatenVerzoek(body) };
  throw new GatewayError('wire.invalid', 'The body holds no request that this service knows.', {
    where: [{ path: at, line: body.line }],
  });
}

/** What a caller of a version that is not spoken is told: which it is, where we know it, and which are. */
const notSpoken = (version: string | undefined): string =>
  version === undefined
    ? `Only UWLR ${Object.keys(versions).join(' and ')} are spoken here.`
    : `This is UWLR ${version}, which is recognised but no longer spoken here: UWLR ${Object.keys(versions).join(' and ')} are.`;

/** §3.1: one header block with three filled values. Its children often come without a namespace. */
function autorisatie(blocks: readonly XmlElement[]): Clear<Autorisatie> {
  const at = 'Envelope/Header/autorisatie';
  const missing = (path: string, line?: number) =>
    new GatewayError('party.unknown', 'The header autorisatie is missing or incomplete.', { where: [{ path, line }] });
  const [block, second] = blocks.filter(
    (it) => it.name === 'autorisatie' && (it.ns === NS.autorisatie || it.ns === ''),
  );
  if (!block || second) throw missing(at);
  const value = (name: keyof Autorisatie): string => {
    const found = block.children.filter((it) => it.name === name && (it.ns === NS.autorisatie || it.ns === ''));
    const text = found[0]?.text.trim() ?? '';
    if (found.length !== 1 || text === '' || text.length > 256) throw missing(`${at}/${name}`, block.line);
    return text;
  };
  return new Clear({
    autorisatiesleutel: value('autorisatiesleutel'),
    klantcode: value('klantcode'),
    klantnaam: value('klantnaam'),
  });
}

/** Most places an error names; a message with more wrong says no more. */
const PLACES = 100;

/** Collects what is wrong with the form of a message while it is read, so that a caller hears all of it at once. */
class Form {
  readonly wrong: Where[] = [];
  readonly namespaces: readonly string[];

  constructor(...namespaces: string[]) {
    this.namespaces = ['', ...namespaces];
  }

  /** Children of a name: in a namespace of the standard, or in none. */
  all(element: XmlElement, name: string): XmlElement[] {
    return element.children.filter((it) => it.name === name && this.namespaces.includes(it.ns));
  }

  refuse(path: string, element: XmlElement): undefined {
    if (this.wrong.length < PLACES) this.wrong.push({ path, line: element.line });
    return undefined;
  }

  /** The child of a name; a second one is refused, since which of the two was meant cannot be known. */
  one(element: XmlElement, at: string, name: string): XmlElement | undefined {
    const [first, second] = this.all(element, name);
    if (second) this.refuse(`${at}/${name}[2]`, second);
    return first;
  }

  /** The text of the child of a name; empty is absent, and so are the two quotes that one client writes for empty. */
  text(element: XmlElement, at: string, name: string, max: number, ok?: (text: string) => boolean): string | undefined {
    const it = this.one(element, at, name);
    const text = it?.text.trim() ?? '';
    if (!it || text === '' || text === '""') return undefined;
    if (text.length > max || (ok && !ok(text))) return this.refuse(`${at}/${name}`, it);
    return text;
  }

  /** The same where the standard demands it. */
  must(element: XmlElement, at: string, name: string, max: number, ok?: (text: string) => boolean): string {
    const before = this.wrong.length;
    const text = this.text(element, at, name, max, ok);
    if (text === undefined && this.wrong.length === before) this.refuse(`${at}/${name}`, element);
    return text ?? '';
  }

  /** Whether the child of a name is there and filled. */
  there(element: XmlElement, name: string): true | undefined {
    return this.all(element, name).some((it) => it.text.trim() !== '' || it.children.length > 0) ? true : undefined;
  }

  /** Repeated children with their paths, out of the container of a name. */
  list(element: XmlElement, at: string, container: string, name: string): { it: XmlElement; at: string }[] {
    const within = this.one(element, at, container);
    if (!within) return [];
    const found = this.all(within, name);
    return found.map((it, i) => ({ it, at: `${at}/${container}/${name}${found.length > 1 ? `[${i + 1}]` : ''}` }));
  }

  done(): void {
    if (this.wrong.length > 0)
      throw new GatewayError('wire.invalid', `The message breaks its form at ${this.wrong[0]!.path}.`, {
        where: this.wrong,
      });
  }
}

const brin = (text: string): boolean => /^[0-9]{2}[A-Z]{2}$/.test(text);
const site = (text: string): boolean => /^[0-9]{2}$/.test(text);
function isDateTime(text: string): boolean {
  const m = /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)?$/.exec(text);
  return m !== null && isDay(m[1]!) && Number(m[2]) < 24 && Number(m[3]) < 60 && Number(m[4]) < 60;
}

/** How a request names school, year and version (§3.2, §3.6): any order, a schoolkey next to the brincode, a missing year. */
function school(form: Form, element: XmlElement, at: string) {
  const version = form.one(element, at, 'xsdversie');
  const spoken = version?.text.trim() ?? '';
  const isNamed = version !== undefined && spoken !== '' && spoken !== '""';
  if (isNamed && versionOf(spoken) === undefined) {
    const told = notSpoken(outdated.find((known) => known === spoken));
    throw new GatewayError('wire.version', told, { where: [{ path: `${at}/xsdversie`, line: version.line }] });
  }
  const before = form.wrong.length;
  const out = {
    schooljaar: form.text(element, at, 'schooljaar', 9, isSchoolYear),
    brincode: form.text(element, at, 'brincode', 4, brin),
    dependancecode: form.text(element, at, 'dependancecode', 2, site),
    schoolkey: form.text(element, at, 'schoolkey', 256),
    xsdversie: isNamed ? spoken : undefined,
  };
  if (out.brincode === undefined && out.schoolkey === undefined && form.wrong.length === before)
    form.refuse(`${at}/brincode`, element);
  return out;
}

function leerlinggegevensVerzoek(element: XmlElement): LeerlinggegevensVerzoek {
  const form = new Form(NS.leerlinggegevens);
  const out = question(form, element);
  form.done();
  return out;
}

function question(form: Form, element: XmlElement): LeerlinggegevensVerzoek {
  const at = element.name;
  return {
    ...school(form, element, at),
    gegevenssetid: form.text(element, at, 'gegevenssetid', 64),
    laatstontvangengegevens: form.text(element, at, 'laatstontvangengegevens', 64, isDateTime),
  };
}

/** A group is named by its key; one without asks for who is in none. No groups at all ask for nobody, so that is refused. */
function groepenVerzoek(element: XmlElement): GroepenVerzoek {
  const form = new Form(NS.leerlinggegevens);
  const out = question(form, element);
  const at = `${element.name}/groepen`;
  const within = form.one(element, element.name, 'groepen');
  const groepen = [false, true].flatMap((samengesteld) => {
    const name = samengesteld ? 'samengestelde_groep' : 'groep';
    return (within ? form.all(within, name) : []).map((it): GroepVerwijzing => {
      const key = it.attrs['key']?.trim() ?? '';
      if (key.length > 256) form.refuse(`${at}/${name}/@key`, it);
      return key === '' ? { samengesteld } : { key, samengesteld };
    });
  });
  if (groepen.length === 0) form.refuse(at, within ?? element);
  form.done();
  return { ...out, groepen };
}

function leerresultatenVerzoek(element: XmlElement): LeerresultatenVerzoek {
  const form = new Form(NS.leerresultaten, NS.oso);
  const top = element.name;
  const schoolAt = `${top}/school`;
  const schoolElement = form.one(element, top, 'school');
  if (!schoolElement) form.refuse(schoolAt, element);

  const toetsen: Toets[] = [];
  const partsOf = new Map<string, Set<string>>();
  for (const { it, at } of form.list(element, top, 'toetsen', 'toets')) {
    const toets: Toets = {
      toetscode: mustWoord(form, it, at, 'toetscode'),
      versie: woord(form, it, at, 'versie'),
      toetsnaam: form.text(it, at, 'toetsnaam', 128),
      leerjaar: woord(form, it, at, 'leerjaar'),
      vakgebied: woord(form, it, at, 'vakgebied'),
      toetsnormering: normering(form, it, at, 'toetsnormering'),
      toetshierarchie: form.list(it, at, 'toetshierarchie', 'ingang').flatMap(({ it: step, at: stepAt }, i) => {
        const found = woordIn(form, step, stepAt);
        const niveau = (step.attrs['niveau'] ?? '').trim();
        return found ? [{ niveau: /^[+-]?\d{1,9}$/.test(niveau) ? Number(niveau) : i + 1, woord: found }] : [];
      }),
      toetsonderdelen: form.list(it, at, 'toetsonderdelen', 'toetsonderdeel').map(({ it: part, at: partAt }) => ({
        toetsonderdeelvolgnummer: loose(part, 'toetsonderdeelvolgnummer', form, /^\+?0*[1-9]\d{0,8}$/),
        toetsonderdeelcode: mustWoord(form, part, partAt, 'toetsonderdeelcode'),
        toetsonderdeelnaam: form.text(part, partAt, 'toetsonderdeelnaam', 128),
        toetsonderdeelnormering: normering(form, part, partAt, 'toetsonderdeelnormering'),
      })),
    };
    const code = toets.toetscode.tekst;
    if (code !== '' && partsOf.has(code)) form.refuse(`${at}/toetscode`, it);
    else partsOf.set(code, new Set(toets.toetsonderdelen.map((p) => p.toetsonderdeelcode.tekst)));
    toetsen.push(toets);
  }

  const keys = new Set<string>();
  const toetsafnames: Toetsafname[] = [];
  const afnames = form.list(element, top, 'toetsafnames', 'toetsafname');
  if (afnames.length === 0) form.refuse(`${top}/toetsafnames/toetsafname`, element);
  for (const { it, at } of afnames) {
    const before = form.wrong.length;
    const leerlingid = form.text(it, at, 'leerlingid', 256);
    const eckid = form.text(it, at, 'eckid', 256);
    if (leerlingid === undefined && eckid === undefined && form.wrong.length === before)
      form.refuse(`${at}/leerlingid`, it);
    const resultaten = form.list(it, at, 'resultaten', 'resultaat');
    if (resultaten.length === 0) form.refuse(`${at}/resultaten/resultaat`, it);
    toetsafnames.push({
      leerlingid,
      eckid,
      resultaatverwerkerid: form.there(it, 'resultaatverwerkerid'),
      resultaten: resultaten.map(({ it: one, at: oneAt }) => resultaat(form, one, oneAt, keys, partsOf)),
    });
  }
  const out: LeerresultatenVerzoek = {
    school: schoolElement
      ? {
          ...school(form, schoolElement, schoolAt),
          aanmaakdatum: form.text(schoolElement, schoolAt, 'aanmaakdatum', 64, isDateTime),
          auteur: form.there(schoolElement, 'auteur'),
          commentaar: form.there(schoolElement, 'commentaar'),
        }
      : {},
    toetsafnames,
    toetsen,
  };
  form.done();
  return out;
}

/** Words a score may be instead of a number, such as `X`; longer text is a remark and no score. */
const SCORE_WORD = 32;
export const scoreForm = /^\+?\d{1,15}(?:[.,]\d{1,30})?$/;
const isScore = (text: string): boolean =>
  scoreForm.test(text) || (text.length <= SCORE_WORD && !/^[+-]?[\d.,]+$/.test(text));

function resultaat(
  form: Form,
  element: XmlElement,
  at: string,
  keys: Set<string>,
  partsOf: ReadonlyMap<string, ReadonlySet<string>>,
): Resultaat {
  const key = (element.attrs['key'] ?? '').trim();
  if (key === '' || key.length > 256 || keys.has(key)) form.refuse(`${at}/@key`, element);
  keys.add(key);
  const toetscode = form.must(element, at, 'toetscode', 256);
  const part = form.text(element, at, 'toetsonderdeelcode', 256);
  // A result names a test that the message describes (§3.6), and a part of that test.
  const parts = partsOf.get(toetscode);
  if (toetscode !== '' && !parts) form.refuse(`${at}/toetscode`, element);
  if (parts && part !== undefined && !parts.has(part)) form.refuse(`${at}/toetsonderdeelcode`, element);
  const score = form.text(element, at, 'score', 64, isScore);
  const oso = form.one(element, at, 'osoresultaat');
  const other = form.one(element, at, 'anderresultaat');
  const ander = other && anderresultaat(form, other, `${at}/anderresultaat`);
  if (other) {
    if (oso || score !== undefined) form.refuse(at, element);
  } else if (oso && score !== undefined) form.refuse(at, element);
  else if (!oso && score === undefined && !form.wrong.some((w) => w.path.startsWith(`${at}/score`)))
    form.refuse(`${at}/score`, element);
  return {
    key,
    afnamedatum: form.must(element, at, 'afnamedatum', 40, isDate).slice(0, 10),
    toetscode,
    versie: woord(form, element, at, 'versie'),
    toetsonderdeelcode: part,
    score,
    osoresultaat: oso && osoresultaat(form, oso, `${at}/osoresultaat`),
    anderresultaat: ander,
    infourl: form.there(element, 'infourl'),
  };
}

/** A day; a zone or a time behind it, which some clients add, says nothing more. */
const isDate = (text: string): boolean =>
  isDay(text.slice(0, 10)) && (/^(Z|[+-]\d\d:\d\d)?$/.test(text.slice(10)) || isDateTime(text));

const XSI = 'http://www.w3.org/2001/XMLSchema-instance';

/**
 * A kind of result of the sender's own. Without its schema nobody can say what it means; what every kind may have is a value,
 * which is kept. One without is refused, since a confirmation would claim that we kept it.
 */
function anderresultaat(form: Form, element: XmlElement, at: string): Resultaat['anderresultaat'] {
  const value = form.text(element, at, 'andere_score', SCORE_WORD);
  if (value === undefined) return form.refuse(at, element);
  // The prefix says nothing without its declaration.
  const soort = (element.attrs[`{${XSI}}type`] ?? '').trim().replace(/^.*:/, '');
  return {
    ...(/^[\w.-]{1,64}$/.test(soort) ? { soort } : {}),
    andere_score: value,
    eigen: element.children.some((it) => it.name !== 'andere_score') ? true : undefined,
  };
}

// An xs:decimal has any number of digits. Fifteen before the point are what a number here holds exactly; behind it toolkits write all
// that theirs holds, such as 0.30000000000000004.
const decimalForm = /^[+-]?(?:\d{1,15}(?:[.,]\d{0,30})?|[.,]\d{1,30})$/;
const wholeForm = /^\+?\d{1,9}$/;
const numberOf = (text: string): number => Number(text.replace(',', '.'));

function osoresultaat(form: Form, element: XmlElement, at: string): OsoResultaat {
  const number = (within: XmlElement, name: string, ok: RegExp, path = 'toetsscore'): number | undefined => {
    const text = form.text(within, `${at}/${path}`, name, 64, (t) => ok.test(t));
    return text === undefined ? undefined : numberOf(text);
  };
  const score = form.one(element, at, 'toetsscore');
  const interval = score && form.one(score, `${at}/toetsscore`, 'betrouwbaarheidsinterval');
  const [low, high] = ['bivlaag', 'bivhoog'].map((name) =>
    interval ? number(interval, name, decimalForm, 'toetsscore/betrouwbaarheidsinterval') : undefined,
  );
  const references = form.all(element, 'referentiescore');
  return {
    toetsscore: score && {
      aantalopgaven: number(score, 'aantalopgaven', wholeForm),
      aantalgoed: number(score, 'aantalgoed', wholeForm),
      aantalfout: number(score, 'aantalfout', wholeForm),
      aantalgelezen: number(score, 'aantalgelezen', wholeForm),
      tijd: number(score, 'tijd', /^\+?(?:\d{1,15}(?:[.,]\d{0,30})?|[.,]\d{1,30})$/),
      vaardigheidsscore: number(score, 'vaardigheidsscore', decimalForm),
      codevaardigheidsschaal: form.text(score, `${at}/toetsscore`, 'codevaardigheidsschaal', 64),
      betrouwbaarheidsinterval: interval && { bivlaag: low, bivhoog: high },
    },
    referentiescore: references.map((it, i) => {
      const place = `${at}/referentiescore${references.length > 1 ? `[${i + 1}]` : ''}`;
      return {
        codereferentiescore: form.text(it, place, 'codereferentiescore', 64),
        codevergelijkingsgroep: form.text(it, place, 'codevergelijkingsgroep', 64),
        waarde: form.must(it, place, 'waarde', 64),
        kwalificatie: form.text(it, place, 'kwalificatie', 64),
      };
    }),
  };
}

// A list is named by a URI, which has a length that the standard does not bound.
const URI_LENGTH = 1_000;

/** The list that a word, or the norms of a scale, come from. */
function binding(form: Form, element: XmlElement, at: string): { vocabulaire?: string; vocabulairelocatie?: string } {
  const found: { vocabulaire?: string; vocabulairelocatie?: string } = {};
  for (const name of ['vocabulaire', 'vocabulairelocatie'] as const) {
    const uri = (element.attrs[name] ?? '').trim();
    if (uri.length > URI_LENGTH) form.refuse(`${at}/@${name}`, element);
    else if (uri !== '') found[name] = uri;
  }
  return found;
}

function woordIn(form: Form, element: XmlElement, at: string): Woord | undefined {
  const tekst = element.text.trim();
  if (tekst === '' || tekst === '""') return undefined;
  if (tekst.length > 256) return form.refuse(at, element);
  return { tekst, ...binding(form, element, at) };
}

function woord(form: Form, element: XmlElement, at: string, name: string): Woord | undefined {
  const it = form.one(element, at, name);
  return it && woordIn(form, it, `${at}/${name}`);
}

function mustWoord(form: Form, element: XmlElement, at: string, name: string): Woord {
  const before = form.wrong.length;
  const found = woord(form, element, at, name);
  if (found === undefined && form.wrong.length === before) form.refuse(`${at}/${name}`, element);
  return found ?? { tekst: '' };
}

/** A number that is passed over where it is none. */
function loose(
  element: XmlElement,
  name: string,
  form: Form,
  ok: RegExp,
  fits: (value: number) => boolean = () => true,
): number | undefined {
  const text = form.all(element, name)[0]?.text.trim() ?? '';
  return ok.test(text) && fits(numberOf(text)) ? numberOf(text) : undefined;
}

/** The scale of a test. It only words a score that stands by itself, so what is incomplete in it is passed over. */
function normering(form: Form, element: XmlElement, at: string, name: string): Normering | undefined {
  const scale = form.one(element, at, name);
  if (!scale) return undefined;
  const place = `${at}/${name}`;
  const text = (it: XmlElement, which: string, max: number): string =>
    (form.all(it, which)[0]?.text.trim() ?? '').slice(0, max);
  const bound = /^\+?\d{1,15}([.,]\d{1,15})?$/;
  const colour = (it: XmlElement): Norm['normkleur'] => {
    const found = form.all(it, 'normkleur')[0];
    if (!found) return undefined;
    const [rood_code, groen_code, blauw_code] = ['rood_code', 'groen_code', 'blauw_code'].map((which) =>
      loose(found, which, form, wholeForm, (value) => value <= 255),
    );
    const transparantie = loose(found, 'transparantie', form, decimalForm, (value) => value >= 0 && value <= 1);
    if (rood_code === undefined || groen_code === undefined || blauw_code === undefined) return undefined;
    return transparantie === undefined ? undefined : { rood_code, groen_code, blauw_code, transparantie };
  };
  const mark = (it: XmlElement, which: string) =>
    loose(it, which, form, decimalForm, (value) => value >= 1 && value <= 10);
  return {
    toetscategorie: woord(form, scale, place, 'toetscategorie'),
    toetsniveau: woord(form, scale, place, 'toetsniveau'),
    wegingsfactor: loose(scale, 'wegingsfactor', form, decimalForm, (value) => Math.abs(value) <= 1e9),
    norm: form.all(scale, 'norm').map((it) => ({
      term: text(it, 'term', 64),
      omschrijving: text(it, 'omschrijving', 128) || undefined,
      beginnormwaarde: loose(it, 'beginnormwaarde', form, bound),
      eindnormwaarde: loose(it, 'eindnormwaarde', form, bound),
      normkleur: colour(it),
      schoolcijfer_vanaf: mark(it, 'schoolcijfer_vanaf'),
      schoolcijfer_totenmet: mark(it, 'schoolcijfer_totenmet'),
    })),
    ...binding(form, scale, place),
  };
}

// --- Personal numbers ---------------------------------------------------------------------------------------------------

/** Names a personal number goes by, as written in a message but for case and signs; the value is the name we print. */
const personalNumbers: ReadonlyMap<string, string> = new Map(
  [
    'bsn',
    'sofinummer',
    'onderwijsnummer',
    'rijksregisternummer',
    'bsn_ondwnr-4',
    'bsn-4',
    'pgn',
    'burgerservicenummer',
    'persoonsgebondennummer',
  ].map((name) => [plain(name), name]),
);
function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
/** A number of nine or eleven digits right behind such a name, in running text. */
const namedInText =
  /\b(bsn|pgn|sofi-?nummer|sofinr|onderwijs-?nummer|onderwijsnr|burgerservice-?nummer|rijksregister-?nummer)\b[^\p{L}\p{N}]{0,5}(?:(is|nr|nummer)[^\p{L}\p{N}]{0,5})?(\d[ .-]?){8,10}\d(?!\d)/iu;

/**
 * No message may hold a personal number, under whatever element or attribute it stands, header included. The error names
 * the places and no values. A number that merely looks like one is judged where a whole column of keys is seen.
 */
export function refusePersonalNumbers(root: XmlElement): void {
  const found: Where[] = [];
  const look = (it: XmlElement, at: string): void => {
    const name = personalNumbers.get(plain(it.name));
    if ((name !== undefined && (it.text.trim() !== '' || it.children.length > 0)) || namedInText.test(it.text))
      found.push({ path: at, line: it.line });
    for (const key in it.attrs) {
      const attribute = personalNumbers.get(plain(key.replace(/^\{.*\}/, '')));
      if ((attribute !== undefined && it.attrs[key]!.trim() !== '') || namedInText.test(it.attrs[key]!))
        found.push({ path: `${at}/@${attribute ?? known(key)}`, line: it.line });
    }
    if (it.children.length === 0) return;
    const total = new Map<string, number>();
    for (const { name } of it.children) total.set(name, (total.get(name) ?? 0) + 1);
    const nth = new Map<string, number>();
    for (const part of it.children) {
      const n = (nth.get(part.name) ?? 0) + 1;
      nth.set(part.name, n);
      look(part, `${at}/${known(part.name)}${total.get(part.name)! > 1 ? `[${n}]` : ''}`);
    }
  };
  look(root, known(root.name));
  if (found.length > 0) throw new GatewayError('wire.pgn', undefined, { where: found.slice(0, PLACES) });
}

/** Names that may stand in an error. A name the sender made up may itself say who someone is; it shows as `*`. */
const names: ReadonlySet<string> = new Set(
  `Envelope Header Body autorisatie autorisatiesleutel klantcode klantnaam leerlinggegevens_verzoek leerresultaten_verzoek
  structuur_verzoek leerlingen_verzoek leerkrachten_verzoek leerlinggegevensverzoek leerlinggegevens_antwoord leerlinggegevens school schooljaar
  brincode dependancecode schoolkey xsdversie gegevenssetid laatstontvangengegevens aanmaakdatum auteur commentaar groepen
  groep samengestelde_groep leerlingen leerling leerkrachten leerkracht toetsafnames toetsafname leerlingid eckid
  resultaatverwerkerid resultaten resultaat key afnamedatum toetscode versie toetsonderdeelcode score osoresultaat
  anderresultaat andere_score infourl toetsscore aantalopgaven aantalgoed aantalfout aantalgelezen tijd vaardigheidsscore
  codevaardigheidsschaal betrouwbaarheidsinterval bivlaag bivhoog referentiescore codereferentiescore
  codevergelijkingsgroep waarde kwalificatie toetsen toets toetsnaam leerjaar vakgebied toetsnormering toetshierarchie
  ingang niveau toetsonderdelen toetsonderdeel toetsonderdeelvolgnummer toetsonderdeelnaam toetsonderdeelnormering
  toetscategorie toetsniveau wegingsfactor norm term omschrijving beginnormwaarde eindnormwaarde normkleur rood_code
  groen_code blauw_code transparantie schoolcijfer_vanaf schoolcijfer_totenmet vocabulaire vocabulairelocatie`.split(
    /\s+/,
  ),
);
const known = (name: string): string => (names.has(name) ? name : (personalNumbers.get(plain(name)) ?? '*'));

// --- Writing ------------------------------------------------------------------------------------------------------------

/** The confirmation of BrengLeerresultaten (UWLR 2.2 §3.6): empty, for the whole message. */
export const writeBevestiging = (): string =>
  writeEnvelope({ leerresultaten_bevestiging: { '@xmlns': NS.leerresultaten } });

/**
 * The body of BrengLeerresultaten as we send it (UWLR 2.2 §3.6), in the order of the schema: the element by its name, for an
 * envelope with the header of whom it goes to.
 */
export const leerresultatenBody = ({ school: s, toetsafnames, toetsen }: LeerresultatenVerzoek): XmlObject => ({
  leerresultaten_verzoek: {
    '@xmlns': NS.leerresultaten,
    '@xmlns:oso': NS.oso,
    school: {
      schooljaar: s.schooljaar,
      brincode: s.brincode,
      dependancecode: s.brincode === undefined ? undefined : s.dependancecode,
      schoolkey: s.brincode === undefined ? s.schoolkey : undefined,
      aanmaakdatum: s.aanmaakdatum,
      xsdversie: s.xsdversie,
    },
    toetsafnames: {
      toetsafname: toetsafnames.map(({ leerlingid, eckid, resultaten }) => ({
        leerlingid,
        eckid,
        resultaten: { resultaat: resultaten.map(writtenResultaat) },
      })),
    },
    toetsen: { toets: toetsen.map(writtenToets) },
  },
});

/** The whole message; the header names us at the one it goes to. */
export const writeLeerresultaten = (header: Autorisatie, wire: LeerresultatenVerzoek): string =>
  writeEnvelope(leerresultatenBody(wire), {
    autorisatie: {
      '@xmlns': NS.autorisatie,
      autorisatiesleutel: header.autorisatiesleutel,
      klantcode: header.klantcode,
      klantnaam: header.klantnaam,
    },
  });

const writtenResultaat = (r: Resultaat): XmlObject => ({
  '@key': r.key,
  afnamedatum: r.afnamedatum,
  toetscode: r.toetscode,
  versie: writtenWoord(r.versie),
  toetsonderdeelcode: r.toetsonderdeelcode,
  score: r.score,
  osoresultaat: r.osoresultaat && writtenOso(r.osoresultaat),
});

function writtenOso({ toetsscore: t, referentiescore }: OsoResultaat): XmlObject {
  const interval = t?.betrouwbaarheidsinterval;
  return {
    'oso:toetsscore': t && {
      'oso:aantalopgaven': t.aantalopgaven,
      'oso:aantalgoed': t.aantalgoed,
      'oso:aantalfout': t.aantalfout,
      'oso:aantalgelezen': t.aantalgelezen,
      'oso:tijd': decimal(t.tijd),
      'oso:vaardigheidsscore': decimal(t.vaardigheidsscore),
      'oso:codevaardigheidsschaal': t.codevaardigheidsschaal,
      'oso:betrouwbaarheidsinterval': interval && {
        'oso:bivlaag': decimal(interval.bivlaag),
        'oso:bivhoog': decimal(interval.bivhoog),
      },
    },
    'oso:referentiescore': filled(
      referentiescore.map((it) => ({
        'oso:codereferentiescore': it.codereferentiescore,
        'oso:codevergelijkingsgroep': it.codevergelijkingsgroep,
        'oso:waarde': it.waarde,
        'oso:kwalificatie': it.kwalificatie,
      })),
    ),
  };
}

const writtenToets = (t: Toets): XmlObject => ({
  toetscode: writtenWoord(t.toetscode),
  versie: writtenWoord(t.versie),
  toetsnaam: t.toetsnaam,
  leerjaar: writtenWoord(t.leerjaar),
  vakgebied: writtenWoord(t.vakgebied),
  toetsnormering: writtenNormering(t.toetsnormering),
  toetshierarchie:
    t.toetshierarchie.length === 0
      ? undefined
      : { ingang: t.toetshierarchie.map(({ niveau, woord }) => ({ '@niveau': niveau, ...writtenWoord(woord) })) },
  toetsonderdelen:
    t.toetsonderdelen.length === 0
      ? undefined
      : {
          toetsonderdeel: t.toetsonderdelen.map((part) => ({
            toetsonderdeelvolgnummer: part.toetsonderdeelvolgnummer,
            toetsonderdeelcode: writtenWoord(part.toetsonderdeelcode),
            toetsonderdeelnaam: part.toetsonderdeelnaam,
            toetsonderdeelnormering: writtenNormering(part.toetsonderdeelnormering),
          })),
        },
});

const writtenNormering = (n: Normering | undefined): XmlObject | undefined =>
  n && {
    '@vocabulaire': n.vocabulaire,
    '@vocabulairelocatie': n.vocabulairelocatie,
    toetscategorie: writtenWoord(n.toetscategorie),
    toetsniveau: writtenWoord(n.toetsniveau),
    wegingsfactor: decimal(n.wegingsfactor),
    norm: n.norm.map((it) => ({
      term: it.term,
      omschrijving: it.omschrijving,
      beginnormwaarde: decimal(it.beginnormwaarde),
      eindnormwaarde: decimal(it.eindnormwaarde),
      normkleur: it.normkleur && { ...it.normkleur, transparantie: decimal(it.normkleur.transparantie) },
      schoolcijfer_vanaf: decimal(it.schoolcijfer_vanaf),
      schoolcijfer_totenmet: decimal(it.schoolcijfer_totenmet),
    })),
  };

function writtenWoord(w: Woord): XmlObject;
function writtenWoord(w: Woord | undefined): XmlObject | undefined;
function writtenWoord(w: Woord | undefined): XmlObject | undefined {
  return w && { '@vocabulaire': w.vocabulaire, '@vocabulairelocatie': w.vocabulairelocatie, '#text': w.tekst };
}

/** A number without an exponent, which a decimal of XML has none of, and with no more decimals than readers take. */
function decimal(value: number | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = String(value);
  // What is very small is written with an exponent, which an xs:decimal does not have.
  return text.includes('e')
    ? value
        .toFixed(20)
        .replace(/\.?0+$/, '')
        .replace(/^-0$/, '0')
    : text;
}

const filled = <T>(list: readonly T[]): readonly T[] | undefined => (list.length === 0 ? undefined : list);
