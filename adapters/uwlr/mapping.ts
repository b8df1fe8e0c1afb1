/** What UWLR says of rosters, in core words, and back; `results.ts` has the results. Pure; no clock, no key, no lookup. Identity leaves in `Clear` only. */
import { LossTally } from '#adapters/contract';
import { brinOf, Clear, dutchDay, GatewayError, isDay, isSchoolYear, schoolOin, type Where } from '#kernel';
import type {
  LearnerRef,
  Person,
  Roster,
  RosterGroup,
  RosterLearner,
  RosterStaff,
  StaffGroup,
} from '#proto/eduk/core/v1/learner';
import {
  type AnswerForm,
  type Field,
  has,
  JAARGROEPEN,
  UNNAMED,
  type Version,
  versionOf,
  versions,
} from './versions.ts';
import type {
  GroepenVerzoek,
  Kop,
  Leerkracht,
  Leerling,
  LeerlinggegevensAntwoord,
  LeerlinggegevensVerzoek,
  Naam,
  Rollen,
  SamengesteldeGroep,
  Stamgroep,
  Taak,
} from './wire.ts';

/** Something that stood on one side and has no place on the other. Counted, never quoted. */
export interface Loss {
  /** Element of the standard, or field of core. */
  field: string;
  count: number;
  why: string;
}

/** How a message names the school it is about (UWLR 2.2 §3.2): BRIN with site, or a key the administration handed out. */
export interface SchoolRef {
  /** OIN made of the brincode; empty when the message has only a schoolkey. */
  schoolOin: string;
  /** Dependancecode; empty = none given. `00` is the main site, or means none where the school has no other. */
  siteCode: string;
  /** Empty when absent. Where both are given the brincode decides. */
  schoolKey: string;
}

// --- The question for a roster ------------------------------------------------------------------------------------------

export interface RosterQuestion {
  school: SchoolRef;
  /** `2026-2027`; empty = the running school year (the caller left it out, as some do). */
  schoolYear: string;
  /** Milliseconds since 1970; undefined = whatever there is, changed or not. */
  changedSince: number | undefined;
  /** Name of the set of fields asked for (gegevenssetid); advice only, the school's agreement decides. Empty when absent, or when it is no name. */
  setName: string;
  /** The version the caller speaks, and is answered in. */
  version: Version;
  /** Of HaalLeerlingen and HaalLeerkrachten: whose members are asked for. Keys are a school's own words. */
  groups?: Clear<AskedGroup[]>;
}

/** A group by the key in the administration; without a key, who is in no group of that kind. */
export interface AskedGroup {
  key: string;
  composite: boolean;
}

/** The standard allows any text of 64 characters; what is no name may be somebody's. */
const SET_NAME = /^[\w.:-]{1,64}$/;

/** UWLR §3.2, `leerlinggegevens_verzoek` and the three questions of the staged way. */
export function rosterQuestion(wire: LeerlinggegevensVerzoek | GroepenVerzoek): RosterQuestion {
  const since = wire.laatstontvangengegevens;
  return {
    school: schoolRef(wire),
    schoolYear: wire.schooljaar ?? '',
    changedSince: since === undefined ? undefined : Date.parse(zoned(since)),
    setName: SET_NAME.test(wire.gegevenssetid ?? '') ? wire.gegevenssetid! : '',
    version: versionOf(wire.xsdversie) ?? UNNAMED,
    ...('groepen' in wire && {
      groups: new Clear(wire.groepen.map(({ key = '', samengesteld }) => ({ key, composite: samengesteld }))),
    }),
  };
}

export function schoolRef(wire: { brincode?: string; dependancecode?: string; schoolkey?: string }): SchoolRef {
  return {
    schoolOin: wire.brincode === undefined ? '' : schoolOin(wire.brincode),
    siteCode: wire.dependancecode ?? '',
    schoolKey: wire.schoolkey ?? '',
  };
}

/** A dateTime without a zone is Dutch; one hour may be off around the two nights the clocks turn, towards sending more. */
export function zoned(dateTime: string): string {
  if (/(Z|[+-]\d\d:\d\d)$/.test(dateTime)) return dateTime;
  return `${dateTime}+02:00`; // The earlier of the two Dutch zones: asks for no less than was meant.
}

// --- The answer ---------------------------------------------------------------------------------------------------------

/** What a school has for the one who asked; the roster holds no more than the receiver may have. */
export type RosterAnswer =
  | { kind: 'roster'; roster: Clear<Roster>; schoolKey?: string }
  /** Nothing changed since the moment the caller named. */
  | { kind: 'unchanged' }
  /** There is nothing. */
  | { kind: 'nothing' };

/** A name that 2.2 demands where the receiver may have none. */
export const NO_NAME = '-';

/** A text field of a person, its place in core, and the length the standard allows. */
interface Row {
  wire: keyof Naam;
  core: keyof Person;
  max: number;
}
const nameRows: readonly Row[] = [
  { wire: 'achternaam', core: 'familyName', max: 200 },
  { wire: 'voorvoegsel', core: 'familyNamePrefix', max: 10 },
  { wire: 'voornamen', core: 'givenNames', max: 200 },
  { wire: 'voorletters-1', core: 'initials', max: 6 },
  { wire: 'roepnaam', core: 'callName', max: 64 },
];

/** What a caller gets that says nothing of it: what the first version served here gave. */
export const PLAIN_FORM: AnswerForm = { version: UNNAMED, fields: 'smalle' };

/**
 * UWLR §3.3: what is answered, whatever the operation; of it, each writes what it has. Fields are those of the set of `form`
 * that the receiver may have.
 */
export function rosterAnswer(core: RosterAnswer, form: AnswerForm = PLAIN_FORM): LeerlinggegevensAntwoord {
  if (core.kind === 'unchanged') return { geenwijzigingen: true };
  if (core.kind === 'nothing') return { geengegevens: true };
  return core.roster.reveal((roster) => {
    if (roster.learners.length === 0) return { geengegevens: true }; // The schema demands at least one pupil.
    const parts = new RosterParts(form, core.schoolKey);
    return {
      leerlinggegevens: {
        ...parts.head(roster),
        leerlingen: parts.learners(roster.learners),
        leerkrachten: parts.staff(roster.staff),
      },
    };
  });
}

/**
 * A roster on its way out, part by part: first what it is and its groups, then pupils, page by page, then staff. It remembers
 * the keys it has written, because the published schema means to check them but selects nothing (UWLR §3.3), so receivers meet
 * what slipped through. Nothing slips through here: a part that breaks these rules was taken in by a mistake of ours
 * (gateway.bug, with places).
 */
export class RosterParts {
  readonly #form: AnswerForm;
  readonly #schoolKey: string;
  readonly #base = new Set<string>();
  readonly #composite = new Set<string>();
  readonly #sites = new Set<string>();
  readonly #learners = new Once('learners');
  readonly #staff = new Once('staff');
  /** What of the parts so far has no place in the answer. */
  readonly losses = new LossTally();

  constructor(form: AnswerForm, schoolKey = '') {
    this.#form = form;
    this.#schoolKey = schoolKey;
  }

  /** `losses`: where what has no place in it is counted. */
  head(roster: Roster, losses = this.losses): Kop {
    const wrong: Where[] = isSchoolYear(roster.schoolYear) ? [] : [{ path: 'school_year' }];
    const all = new Set<string>();
    for (const [i, { key, composite }] of roster.groups.entries()) {
      if (!isKey(key) || all.has(key)) wrong.push({ path: `groups[${i}].key` });
      all.add(key);
      (composite ? this.#composite : this.#base).add(key);
    }
    const form = this.#form;
    const sites = has(form, 'vestigingen/vestiging') ? roster.sites : [];
    for (const [i, { key }] of sites.entries()) {
      if (!isKey(key) || this.#sites.has(key)) wrong.push({ path: `sites[${i}].key` });
      this.#sites.add(key);
    }
    refuse(wrong);
    lostOfHead(roster, form, losses);
    const made = roster.madeAt === '' ? Number.NaN : Date.parse(roster.madeAt);
    const brincode = brinOf(roster.schoolOin);
    return {
      school: {
        schooljaar: roster.schoolYear,
        peildatum: isDay(roster.asOf) ? roster.asOf : Number.isNaN(made) ? undefined : dutchDay(made),
        brincode,
        dependancecode: brincode === undefined ? undefined : given(roster.siteCode),
        schoolkey: brincode === undefined ? given(this.#schoolKey) : undefined,
        aanmaakdatum: Number.isNaN(made) ? undefined : new Date(made).toISOString().replace('.000Z', 'Z'),
        xsdversie: form.version,
      },
      vestigingen: sites.map((site) => ({
        key: site.key,
        naam: cut(site.name, 64) || cut(site.key, 64),
        omschrijving: given(cut(site.description, 256)),
      })),
      groepen: {
        groep: roster.groups.filter((g) => !g.composite).map((g) => stamgroep(g, form)),
        samengestelde_groep: roster.groups.filter((g) => g.composite).map((g) => groep(g, form)),
      },
    };
  }

  learners(list: readonly RosterLearner[]): Leerling[] {
    const from = this.#learners.count;
    const wrong = this.#learners.wrong(list, (ref) => keyOf(ref, this.#form.version) ?? ref?.eckId ?? '');
    list.forEach((l, i) => {
      if (l.groupKey !== '' && !this.#base.has(l.groupKey)) wrong.push({ path: `learners[${from + i}].group_key` });
      l.compositeGroupKeys.forEach((key, j) => {
        if (!this.#composite.has(key)) wrong.push({ path: `learners[${from + i}].composite_group_keys[${j}]` });
      });
    });
    refuse(wrong);
    for (const l of list) lostOfLearner(l, this.#form, this.#sites, this.losses);
    return list.map((l) => leerling(l, this.#form, this.#sites));
  }

  staff(list: readonly RosterStaff[]): Leerkracht[] {
    const wrong = this.#staff.wrong(list, standInOf);
    list.forEach((s, i) => {
      s.groups.forEach(({ key }, j) => {
        if (!this.#base.has(key) && !this.#composite.has(key)) wrong.push({ path: `staff[${i}].groups[${j}].key` });
      });
    });
    refuse(wrong);
    for (const s of list) lostOfStaff(s, this.#form, this.losses);
    return list.map((s) => leerkracht(s, this.#form, this.#composite));
  }
}

const isKey = (key: string): boolean => key !== '' && cut(key, 256) === key;

/** Keys and ECK iDs that were written already, of pupils or of staff. */
class Once {
  readonly #name: string;
  readonly #keys = new Set<string>();
  readonly #eckids = new Set<string>();
  count = 0;

  constructor(name: string) {
    this.#name = name;
  }

  wrong(list: readonly { ref: LearnerRef | undefined }[], keyOf: (ref: LearnerRef | undefined) => string): Where[] {
    const wrong: Where[] = [];
    for (const { ref } of list) {
      const at = `${this.#name}[${this.count++}].ref`;
      const key = keyOf(ref);
      if (!isKey(key) || this.#keys.has(key)) wrong.push({ path: at });
      this.#keys.add(key);
      const eckId = ref?.eckId ?? '';
      if (eckId === '') continue;
      if (!isKey(eckId) || this.#eckids.has(eckId)) wrong.push({ path: `${at}.eck_id` });
      this.#eckids.add(eckId);
    }
    return wrong;
  }
}

function refuse(wrong: readonly Where[]): void {
  if (wrong.length > 0)
    throw new GatewayError(
      'gateway.bug',
      'A roster on its way out has no year, or a key twice, none, or one that names nothing.',
      {
        where: wrong.slice(0, 100),
      },
    );
}

const given = (text: string): string | undefined => (text === '' ? undefined : text);

/** At most `max` characters, a pair of surrogates being one, and none that XML cannot carry. */
export function cut(untidy: string, max: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
  const text = untidy.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '');
  if (text.length <= max) return text;
  let end = 0;
  let n = 0;
  for (const c of text) {
    if (++n > max) break;
    end += c.length;
  }
  return text.slice(0, end);
}

/** A group without a name is known by its key. */
const naamOf = (g: RosterGroup): string => cut(g.name, 64) || cut(g.key, 64);

function groep(g: RosterGroup, form: AnswerForm): SamengesteldeGroep {
  const omschrijving = has(form, 'groep/omschrijving') ? given(cut(g.description, 256)) : undefined;
  return { key: g.key, naam: naamOf(g), omschrijving };
}

function stamgroep(g: RosterGroup, form: AnswerForm): Stamgroep {
  // `C`: the year is known per pupil. The standard demands a value; this one claims nothing.
  return { ...groep(g, form), jaargroep: JAARGROEPEN.has(g.yearGroup) ? g.yearGroup : 'C' };
}

function naam(person: Person | undefined, form: AnswerForm, of: 'leerling' | 'leerkracht'): Naam {
  const out: Naam = {};
  if (person)
    for (const { wire, core, max } of nameRows) {
      if ((wire === 'voornamen' || wire === 'voorletters-1') && !has(form, `${of}/${wire}`)) continue;
      const text = cut(wire === 'voorletters-1' ? initials(person.initials) : person[core], max);
      if (text !== '') out[wire] = text;
    }
  if (out.achternaam === undefined) {
    // Prefix, first names and initials alone are no name, and the standard has no place for them.
    const { roepnaam } = out;
    return { roepnaam: roepnaam ?? NO_NAME };
  }
  if (person && [...person.familyNamePrefix].length > 10) {
    // Longer than the field: kept before the family name rather than cut.
    delete out.voorvoegsel;
    out.achternaam = cut(`${person.familyNamePrefix} ${person.familyName}`, 200);
  }
  return out;
}

/** Where the field is too short for all, without dots more of them fit. */
const initials = (text: string): string => ([...text].length > 6 ? text.replace(/[. ]/g, '') : text);

/** 2.2 demands a key. A receiver that may not have it gets the agreed stand-in that starts with `#`, made of the ECK iD. */
export const standInOf = (ref: LearnerRef | undefined): string => {
  if (ref === undefined) return '';
  return ref.lasKey !== '' ? ref.lasKey : ref.eckId === '' ? '' : `#${ref.eckId.slice(-255)}`;
};

/** The `@key` of a pupil; undefined where the version lets the ECK iD stand alone. */
function keyOf(ref: LearnerRef | undefined, version: Version): string | undefined {
  if (versions[version].pupilKey === 'optional' && ref?.lasKey === '' && ref.eckId !== '') return undefined;
  return standInOf(ref);
}

/** A field that only some sets have, when this one does and it is filled. */
const field = (form: AnswerForm, name: Parameters<typeof has>[1], text: string | undefined): string | undefined =>
  has(form, name) ? given(text ?? '') : undefined;

const day = (text: string | undefined): string => (text !== undefined && isDay(text) ? text : '');
const GESLACHTEN: ReadonlySet<string> = new Set(['0', '1', '2', '9']);

function leerling(l: RosterLearner, form: AnswerForm, sites: ReadonlySet<string>): Leerling {
  const { person } = l;
  const gender = person?.gender ?? '';
  return {
    key: keyOf(l.ref, form.version),
    eckid: given(l.ref?.eckId ?? ''),
    ...naam(person, form, 'leerling'),
    geboortedatum: field(form, 'leerling/geboortedatum', day(person?.birthDate)),
    geslacht: field(form, 'leerling/geslacht', GESLACHTEN.has(gender) ? gender : ''),
    jaargroep: JAARGROEPEN.has(l.yearGroup) ? l.yearGroup : undefined,
    groep: l.groupKey === '' ? undefined : { key: l.groupKey },
    samengestelde_groepen: l.compositeGroupKeys.map((key) => ({ key })),
    // A list of sites is of the whole school, and not told to everyone who may know of one.
    vestiging: has(form, 'leerling/vestiging') && sites.has(l.siteKey) ? { key: l.siteKey } : undefined,
    gebruikersnaam: field(form, 'leerling/gebruikersnaam', cut(person?.accountName ?? '', 64)),
    emailadres: field(form, 'leerling/emailadres', cut(person?.email ?? '', 256)),
    instroomdatum: field(form, 'leerling/instroomdatum', day(l.entersOn)),
    uitstroomdatum: field(form, 'leerling/uitstroomdatum', day(l.leavesOn)),
  };
}

function leerkracht(s: RosterStaff, form: AnswerForm, composite: ReadonlySet<string>): Leerkracht {
  const { person } = s;
  const taak = ({ key, duties }: StaffGroup): Taak => ({ key, ...rollen(duties, form) });
  return {
    key: standInOf(s.ref),
    eckid: given(s.ref?.eckId ?? ''),
    ...naam(person, form, 'leerkracht'),
    gebruikersnaam: field(form, 'leerkracht/gebruikersnaam', cut(person?.accountName ?? '', 64)),
    emailadres: field(form, 'leerkracht/emailadres', cut(person?.email ?? '', 256)),
    ...rollen(has(form, 'leerkracht/rol') ? s.duties : [], form),
    groepen: {
      groep: s.groups.filter(({ key }) => !composite.has(key)).map(taak),
      samengestelde_groep: s.groups.filter(({ key }) => composite.has(key)).map(taak),
    },
  };
}

/** A duty that the version has no code for (`TAL` came in 2.3) is worded. */
function rollen(duties: readonly string[], { version }: AnswerForm): Rollen {
  const codes = versions[version].rollen;
  return {
    rol: duties.filter((d) => codes.has(d)),
    rolomschrijving: duties
      .filter((d) => !codes.has(d))
      .map((d) => cut(d, 64))
      .filter((d) => d !== ''),
  };
}

// --- What has no place in an answer -------------------------------------------------------------------------------------

/** Why something of a roster is not in an answer, whatever its set: beside the fields that a set has not (`fields`). */
export const rosterLosses = {
  no_place: {
    administratie: 'An answer cannot name the administration of a school.',
    dependancecode: 'A site stands beside a BRIN only.',
    voorvoegsel: 'Without achternaam only roepnaam stands.',
    voornamen: 'Without achternaam only roepnaam stands.',
    'voorletters-1': 'Without achternaam only roepnaam stands.',
    geboortedatum: 'Of a teacher the standard has none.',
    geslacht: 'Of a teacher the standard has none.',
  },
  minimised: {
    leerling: 'The receiver may have neither key nor ECK iD, and could not tell who it is.',
    leerkracht: 'The receiver may have neither key nor ECK iD, and could not tell who it is.',
  },
  unfit: {
    naam: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    omschrijving: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    achternaam: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    voorvoegsel: 'Longer than the standard allows: it stands in achternaam; or with a character that XML cannot carry.',
    voornamen: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    'voorletters-1': 'Longer than the standard allows: written without dots, and cut.',
    roepnaam: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    gebruikersnaam: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    emailadres: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    rolomschrijving: 'Longer than the standard allows, and cut; or with a character that XML cannot carry.',
    geboortedatum: 'Not a day.',
    instroomdatum: 'Not a day.',
    uitstroomdatum: 'Not a day.',
    peildatum: 'Not a day: that on which the roster was made stands there.',
    geslacht: 'Not on the list of the standard.',
    jaargroep: 'Not on the list of the standard.',
    vestiging: 'It names a site that the receiver is not told of.',
  },
  stand_in: {
    key: 'The receiver may not have it: a stand-in that begins with #, of the ECK iD.',
    roepnaam: 'There is no name, or none that may be given.',
    naam: 'There is no name: the key.',
    jaargroep: 'A group must have a jaargroep; C says that it is known of each pupil.',
  },
} as const satisfies Record<string, Record<string, string>>;

type Unfit = keyof (typeof rosterLosses)['unfit'];

/** A field that the set of an answer has not, and that is filled. */
const leftBySet = (losses: LossTally, form: AnswerForm, name: Field, filled: boolean): void => {
  if (filled && !has(form, name)) losses.add(name, 'minimised');
};

const lostText = (losses: LossTally, name: Unfit, text: string, max: number): void => {
  if (text !== '' && cut(text, max) !== text) losses.add(name, 'unfit');
};

const lostDay = (losses: LossTally, name: Unfit, text: string): void => {
  if (text !== '' && !isDay(text)) losses.add(name, 'unfit');
};

function lostOfHead(roster: Roster, form: AnswerForm, losses: LossTally): void {
  const { sites, groups, administration, siteCode } = roster;
  if (administration !== '') losses.add('administratie', 'no_place');
  if (siteCode !== '' && brinOf(roster.schoolOin) === undefined) losses.add('dependancecode', 'no_place');
  lostDay(losses, 'peildatum', roster.asOf);
  for (const { name, description } of sites)
    if (!has(form, 'vestigingen/vestiging')) losses.add('vestigingen/vestiging', 'minimised');
    else {
      if (cut(name, 64) === '') losses.add('naam', 'stand_in');
      lostText(losses, 'naam', name, 64);
      lostText(losses, 'omschrijving', description, 256);
    }
  for (const { name, description, yearGroup, composite } of groups) {
    if (cut(name, 64) === '') losses.add('naam', 'stand_in');
    lostText(losses, 'naam', name, 64);
    if (has(form, 'groep/omschrijving')) lostText(losses, 'omschrijving', description, 256);
    leftBySet(losses, form, 'groep/omschrijving', description !== '');
    if (composite || JAARGROEPEN.has(yearGroup)) continue;
    if (yearGroup !== '' && yearGroup !== 'C') losses.add('jaargroep', 'unfit');
    if (yearGroup !== 'C') losses.add('jaargroep', 'stand_in');
  }
}

function lostOfName(
  person: Person | undefined,
  form: AnswerForm,
  of: 'leerling' | 'leerkracht',
  losses: LossTally,
): void {
  const has1 = (name: 'voornamen' | 'voorletters-1') => has(form, `${of}/${name}`);
  if (person) {
    leftBySet(losses, form, `${of}/voornamen`, person.givenNames !== '');
    leftBySet(losses, form, `${of}/voorletters-1`, person.initials !== '');
    lostText(losses, 'roepnaam', person.callName, 64);
  }
  if (cut(person?.familyName ?? '', 200) !== '') {
    const { familyName, familyNamePrefix } = person!;
    const isMoved = [...familyNamePrefix].length > 10;
    lostText(losses, 'achternaam', isMoved ? `${familyNamePrefix} ${familyName}` : familyName, 200);
    lostText(losses, 'voorvoegsel', person!.familyNamePrefix, 10);
    if (has1('voornamen')) lostText(losses, 'voornamen', person!.givenNames, 200);
    if (has1('voorletters-1') && cut(person!.initials, 6) !== person!.initials) losses.add('voorletters-1', 'unfit');
    return;
  }
  if (cut(person?.callName ?? '', 64) === '') losses.add('roepnaam', 'stand_in');
  if (!person) return;
  if (person.familyName !== '') losses.add('achternaam', 'unfit');
  if (person.familyNamePrefix !== '') losses.add('voorvoegsel', 'no_place');
  if (has1('voornamen') && person.givenNames !== '') losses.add('voornamen', 'no_place');
  if (has1('voorletters-1') && person.initials !== '') losses.add('voorletters-1', 'no_place');
}

function lostOfContact(
  person: Person | undefined,
  form: AnswerForm,
  of: 'leerling' | 'leerkracht',
  losses: LossTally,
): void {
  for (const [name, text, max] of [
    ['gebruikersnaam', person?.accountName ?? '', 64],
    ['emailadres', person?.email ?? '', 256],
  ] as const) {
    leftBySet(losses, form, `${of}/${name}`, text !== '');
    if (has(form, `${of}/${name}`)) lostText(losses, name, text, max);
  }
}

function lostOfLearner(l: RosterLearner, form: AnswerForm, sites: ReadonlySet<string>, losses: LossTally): void {
  const { person } = l;
  if (keyOf(l.ref, form.version) !== undefined && l.ref?.lasKey === '') losses.add('key', 'stand_in');
  lostOfName(person, form, 'leerling', losses);
  lostOfContact(person, form, 'leerling', losses);
  for (const [name, text] of [
    ['geboortedatum', person?.birthDate ?? ''],
    ['instroomdatum', l.entersOn],
    ['uitstroomdatum', l.leavesOn],
  ] as const) {
    leftBySet(losses, form, `leerling/${name}`, text !== '');
    if (has(form, `leerling/${name}`)) lostDay(losses, name, text);
  }
  const gender = person?.gender ?? '';
  leftBySet(losses, form, 'leerling/geslacht', gender !== '');
  if (has(form, 'leerling/geslacht') && gender !== '' && !GESLACHTEN.has(gender)) losses.add('geslacht', 'unfit');
  if (l.yearGroup !== '' && !JAARGROEPEN.has(l.yearGroup)) losses.add('jaargroep', 'unfit');
  leftBySet(losses, form, 'leerling/vestiging', l.siteKey !== '');
  if (has(form, 'leerling/vestiging') && l.siteKey !== '' && !sites.has(l.siteKey)) losses.add('vestiging', 'unfit');
}

function lostOfStaff(s: RosterStaff, form: AnswerForm, losses: LossTally): void {
  const { person, duties } = s;
  if (s.ref?.lasKey === '') losses.add('key', 'stand_in');
  lostOfName(person, form, 'leerkracht', losses);
  lostOfContact(person, form, 'leerkracht', losses);
  leftBySet(losses, form, 'leerkracht/rol', duties.length > 0);
  const said = [...(has(form, 'leerkracht/rol') ? duties : []), ...s.groups.flatMap((group) => group.duties)];
  for (const duty of said) if (!versions[form.version].rollen.has(duty)) lostText(losses, 'rolomschrijving', duty, 64);
  if ((person?.birthDate ?? '') !== '') losses.add('geboortedatum', 'no_place');
  if ((person?.gender ?? '') !== '') losses.add('geslacht', 'no_place');
}
