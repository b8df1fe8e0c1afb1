/**
 * UWLR 2.2 (= 2.2.1) and 2.3 as they stand on the wire: types with the standard's own names, and reading of what callers send.
 * Form only, no interpretation. Reading is liberal (any order, empty = absent, unknown elements ignored); writing, in answer.ts,
 * is strict. No error holds a value of the message, nor a name it made up.
 */
import { envelopeOf, readXml, writeEnvelope, type XmlElement } from '#adapters/xml';
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
export interface Resultaat {
  key: string;
  afnamedatum: string;
  toetscode: string;
  versie?: string;
  toetsonderdeelcode?: string;
  /** As written: whole, with decimals, or a word such as `X`. */
  score?: string;
  osoresultaat?: OsoResultaat;
  infourl?: true;
}
export interface OsoResultaat {
  toetsscore?: {
    aantalopgaven?: number;
    aantalgoed?: number;
    aantalfout?: number;
    aantalgelezen?: true;
    tijd?: number;
    vaardigheidsscore?: number;
    codevaardigheidsschaal?: true;
    betrouwbaarheidsinterval?: true;
  };
  referentiescore: { waarde: string }[];
}
export interface Toets {
  toetscode: string;
  versie?: string;
  toetsnaam?: string;
  leerjaar?: true;
  vakgebied?: true;
  toetsnormering?: Norm[];
  toetshierarchie?: true;
  toetsonderdelen: Toetsonderdeel[];
}
export interface Toetsonderdeel {
  toetsonderdeelcode: string;
  toetsonderdeelnaam?: true;
  toetsonderdeelnormering?: Norm[];
}
export interface Norm {
  term: string;
  beginnormwaarde?: number;
  eindnormwaarde?: number;
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
  if (/^http:\/\/www\.edustandaard\.nl\/leerresultaten\/(?!2\/)/.test(body.ns))
    throw new GatewayError('wire.version', notSpoken(/\/1\//.test(body.ns) ? '1.0' : undefined), {
      where: [{ path: at, line: body.line }],
    });
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
  if (isNamed && versionOf(spoken) === undefined)
    throw new GatewayError('wire.version', notSpoken(outdated.find((known) => known === spoken)), {
      where: [{ path: `${at}/xsdversie`, line: version.line }],
    });
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
      toetscode: form.must(it, at, 'toetscode', 256),
      versie: form.text(it, at, 'versie', 256),
      toetsnaam: form.text(it, at, 'toetsnaam', 128),
      leerjaar: form.there(it, 'leerjaar'),
      vakgebied: form.there(it, 'vakgebied'),
      toetsnormering: norms(form, it, at, 'toetsnormering'),
      toetshierarchie: form.there(it, 'toetshierarchie'),
      toetsonderdelen: form.list(it, at, 'toetsonderdelen', 'toetsonderdeel').map(({ it: part, at: partAt }) => ({
        toetsonderdeelcode: form.must(part, partAt, 'toetsonderdeelcode', 256),
        toetsonderdeelnaam: form.there(part, 'toetsonderdeelnaam'),
        toetsonderdeelnormering: norms(form, part, partAt, 'toetsonderdeelnormering'),
      })),
    };
    if (toets.toetscode !== '' && partsOf.has(toets.toetscode)) form.refuse(`${at}/toetscode`, it);
    else partsOf.set(toets.toetscode, new Set(toets.toetsonderdelen.map((p) => p.toetsonderdeelcode)));
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
const isScore = (text: string): boolean =>
  /^\+?\d{1,15}([.,]\d{1,15})?$/.test(text) || (text.length <= SCORE_WORD && !/^[+-]?[\d.,]+$/.test(text));

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
  // Private by design: without the sender's own schema nobody can say what it means, and a confirmation would lose it.
  const other = form.one(element, at, 'anderresultaat');
  if (other) form.refuse(`${at}/anderresultaat`, other);
  else if (oso && score !== undefined) form.refuse(at, element);
  else if (!oso && score === undefined && !form.wrong.some((w) => w.path.startsWith(`${at}/score`)))
    form.refuse(`${at}/score`, element);
  return {
    key,
    afnamedatum: form.must(element, at, 'afnamedatum', 40, isDate).slice(0, 10),
    toetscode,
    versie: form.text(element, at, 'versie', 256),
    toetsonderdeelcode: part,
    score,
    osoresultaat: oso && osoresultaat(form, oso, `${at}/osoresultaat`),
    infourl: form.there(element, 'infourl'),
  };
}

/** A day; a zone or a time behind it, which some clients add, says nothing more. */
const isDate = (text: string): boolean =>
  isDay(text.slice(0, 10)) && (/^(Z|[+-]\d\d:\d\d)?$/.test(text.slice(10)) || isDateTime(text));

function osoresultaat(form: Form, element: XmlElement, at: string): OsoResultaat {
  const number = (within: XmlElement, name: string, ok: RegExp): number | undefined => {
    const text = form.text(within, `${at}/toetsscore`, name, 32, (t) => ok.test(t));
    return text === undefined ? undefined : Number(text.replace(',', '.'));
  };
  const count = /^\+?\d{1,9}$/;
  const score = form.one(element, at, 'toetsscore');
  const references = form.all(element, 'referentiescore');
  return {
    toetsscore: score && {
      aantalopgaven: number(score, 'aantalopgaven', count),
      aantalgoed: number(score, 'aantalgoed', count),
      aantalfout: number(score, 'aantalfout', count),
      aantalgelezen: form.there(score, 'aantalgelezen'),
      tijd: number(score, 'tijd', /^\+?\d{1,9}([.,]\d{1,9})?$/),
      vaardigheidsscore: number(score, 'vaardigheidsscore', /^[+-]?\d{1,9}([.,]\d{1,9})?$/),
      codevaardigheidsschaal: form.there(score, 'codevaardigheidsschaal'),
      betrouwbaarheidsinterval: form.there(score, 'betrouwbaarheidsinterval'),
    },
    referentiescore: references.map((it, i) => ({
      waarde: form.must(it, `${at}/referentiescore${references.length > 1 ? `[${i + 1}]` : ''}`, 'waarde', 64),
    })),
  };
}

/** The scale of a test. It only words a score that stands by itself, so what is incomplete in it is passed over. */
function norms(form: Form, element: XmlElement, at: string, name: string): Norm[] | undefined {
  const scale = form.one(element, at, name);
  if (!scale) return undefined;
  const bound = (norm: XmlElement, which: string): number | undefined => {
    const text = form.all(norm, which)[0]?.text.trim() ?? '';
    return /^\+?\d{1,15}([.,]\d{1,15})?$/.test(text) ? Number(text.replace(',', '.')) : undefined;
  };
  return form.all(scale, 'norm').map((it) => ({
    term: (form.all(it, 'term')[0]?.text.trim() ?? '').slice(0, 64),
    beginnormwaarde: bound(it, 'beginnormwaarde'),
    eindnormwaarde: bound(it, 'eindnormwaarde'),
  }));
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
function refusePersonalNumbers(root: XmlElement): void {
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
