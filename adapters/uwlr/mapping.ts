/** What UWLR says, in core words, and back. Pure; no clock, no key, no lookup. Identity leaves in `Clear` only. */
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
import { ResultKind, type ResultPayload } from '#proto/eduk/core/v1/ordering';
import type { Result } from '#proto/eduk/core/v1/result';
import type {
  Leerkracht,
  Leerling,
  LeerlinggegevensAntwoord,
  LeerlinggegevensVerzoek,
  LeerresultatenVerzoek,
  Naam,
  Norm,
  Resultaat,
  Stamgroep,
  Taak,
  Toets,
} from './wire.ts';
import { JAARGROEPEN, ROLLEN, XSDVERSIE } from './wire.ts';

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
}

/** The standard allows any text of 64 characters; what is no name may be somebody's. */
const SET_NAME = /^[\w.:-]{1,64}$/;

/** UWLR 2.2 §3.2, `leerlinggegevens_verzoek`. */
export function rosterQuestion(wire: LeerlinggegevensVerzoek): RosterQuestion {
  const since = wire.laatstontvangengegevens;
  return {
    school: schoolRef(wire),
    schoolYear: wire.schooljaar ?? '',
    changedSince: since === undefined ? undefined : Date.parse(zoned(since)),
    setName: SET_NAME.test(wire.gegevenssetid ?? '') ? wire.gegevenssetid! : '',
  };
}

function schoolRef(wire: { brincode?: string; dependancecode?: string; schoolkey?: string }): SchoolRef {
  return {
    schoolOin: wire.brincode === undefined ? '' : schoolOin(wire.brincode),
    siteCode: wire.dependancecode ?? '',
    schoolKey: wire.schoolkey ?? '',
  };
}

/** A dateTime without a zone is Dutch; one hour may be off around the two nights the clocks turn, towards sending more. */
function zoned(dateTime: string): string {
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

/** One row of the Smalle set: a text field of a person, its place in core, and the length the standard allows. */
interface Row {
  wire: 'achternaam' | 'voorvoegsel' | 'roepnaam';
  core: keyof Person;
  max: number;
}
const nameRows: readonly Row[] = [
  { wire: 'achternaam', core: 'familyName', max: 200 },
  { wire: 'voorvoegsel', core: 'familyNamePrefix', max: 10 },
  { wire: 'roepnaam', core: 'callName', max: 64 },
];

/**
 * Fields of the roster that the Smalle set (UWLR 2.2 §3.4) has no place for. They are not written, also when the receiver
 * may have them; a larger set comes with its own table.
 */
export const outsideSmalleSet = {
  learner: ['site_key', 'enters_on', 'leaves_on'],
  person: ['given_names', 'initials', 'gender', 'account_name', 'email (of a pupil)', 'birth_date (of staff)'],
  group: ['description'],
  staff: ['duties (of the person)'],
  roster: ['sites'],
} as const;

/** UWLR 2.2 §3.3 and §3.4, `leerlinggegevens_antwoord` in the Smalle set. */
export function rosterAnswer(core: RosterAnswer): LeerlinggegevensAntwoord {
  if (core.kind === 'unchanged') return { geenwijzigingen: true };
  if (core.kind === 'nothing') return { geengegevens: true };
  return core.roster.reveal((roster) => {
    if (roster.learners.length === 0) return { geengegevens: true }; // The schema demands at least one pupil.
    refuseBrokenKeys(roster);
    const made = roster.madeAt === '' ? Number.NaN : Date.parse(roster.madeAt);
    const brincode = brinOf(roster.schoolOin);
    const composite = new Set(roster.groups.filter((g) => g.composite).map((g) => g.key));
    return {
      leerlinggegevens: {
        school: {
          schooljaar: roster.schoolYear,
          peildatum: isDay(roster.asOf) ? roster.asOf : Number.isNaN(made) ? undefined : dutchDay(made),
          brincode,
          dependancecode: brincode === undefined ? undefined : given(roster.siteCode),
          schoolkey: brincode === undefined ? given(core.schoolKey ?? '') : undefined,
          aanmaakdatum: Number.isNaN(made) ? undefined : new Date(made).toISOString().replace('.000Z', 'Z'),
          xsdversie: XSDVERSIE,
        },
        groepen: {
          groep: roster.groups.filter((g) => !g.composite).map(stamgroep),
          samengestelde_groep: roster.groups.filter((g) => g.composite).map((g) => ({ key: g.key, naam: naamOf(g) })),
        },
        leerlingen: roster.learners.map(leerling),
        leerkrachten: roster.staff.map((s) => leerkracht(s, composite)),
      },
    };
  });
}

const given = (text: string): string | undefined => (text === '' ? undefined : text);

/** At most `max` characters, a pair of surrogates being one, and none that XML cannot carry. */
function cut(untidy: string, max: number): string {
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

function stamgroep(g: RosterGroup): Stamgroep {
  // `C`: the year is known per pupil. The standard demands a value; this one claims nothing.
  return { key: g.key, naam: naamOf(g), jaargroep: JAARGROEPEN.has(g.yearGroup) ? g.yearGroup : 'C' };
}

function naam(person: Person | undefined): Naam {
  const out: Naam = {};
  if (person)
    for (const { wire, core, max } of nameRows) {
      const text = cut(person[core], max);
      if (text !== '') out[wire] = text;
    }
  if (out.achternaam === undefined) {
    // A prefix alone is no name, and the standard has no place for it.
    delete out.voorvoegsel;
    out.roepnaam ??= NO_NAME;
  } else if (person && [...person.familyNamePrefix].length > 10) {
    // Longer than the field: kept before the family name rather than cut.
    delete out.voorvoegsel;
    out.achternaam = cut(`${person.familyNamePrefix} ${person.familyName}`, 200);
  }
  return out;
}

/** 2.2 demands a key. A receiver that may not have it gets the agreed stand-in that starts with `#`, made of the ECK iD. */
function keyOf(ref: LearnerRef | undefined): string {
  if (ref === undefined) return '';
  return ref.lasKey !== '' ? ref.lasKey : ref.eckId === '' ? '' : `#${ref.eckId.slice(-255)}`;
}

function leerling(l: RosterLearner): Leerling {
  const born = l.person?.birthDate ?? '';
  return {
    key: keyOf(l.ref),
    eckid: given(l.ref?.eckId ?? ''),
    ...naam(l.person),
    geboortedatum: isDay(born) ? born : undefined,
    jaargroep: JAARGROEPEN.has(l.yearGroup) ? l.yearGroup : undefined,
    groep: l.groupKey === '' ? undefined : { key: l.groupKey },
    samengestelde_groepen: l.compositeGroupKeys.map((key) => ({ key })),
  };
}

function leerkracht(s: RosterStaff, composite: ReadonlySet<string>): Leerkracht {
  return {
    key: keyOf(s.ref),
    eckid: given(s.ref?.eckId ?? ''),
    ...naam(s.person),
    emailadres: given(cut(s.person?.email ?? '', 256)),
    groepen: {
      groep: s.groups.filter(({ key }) => !composite.has(key)).map(taak),
      samengestelde_groep: s.groups.filter(({ key }) => composite.has(key)).map(taak),
    },
  };
}

/** A duty that 2.2 has no code for (`TAL` came later) is worded. */
const taak = ({ key, duties }: StaffGroup): Taak => ({
  key,
  rol: duties.filter((d) => ROLLEN.has(d)),
  rolomschrijving: duties.filter((d) => d !== '' && !ROLLEN.has(d)).map((d) => cut(d, 64)),
});

/**
 * The published schema means to check keys and references but selects nothing (UWLR 2.2 §3.3), so receivers meet what
 * slipped through. Nothing slips through here: a roster that breaks these rules was taken in by a mistake of ours.
 */
function refuseBrokenKeys(roster: Roster): void {
  const wrong: Where[] = [];
  const once = (seen: Set<string>, key: string, path: string): void => {
    if (key === '' || cut(key, 256) !== key || seen.has(key)) wrong.push({ path });
    seen.add(key);
  };
  if (!isSchoolYear(roster.schoolYear)) wrong.push({ path: 'school_year' });
  const base = new Set<string>();
  const composite = new Set<string>();
  const all = new Set<string>();
  roster.groups.forEach((g, i) => {
    once(all, g.key, `groups[${i}].key`);
    (g.composite ? composite : base).add(g.key);
  });
  const people = (list: readonly { ref: LearnerRef | undefined }[], name: string): void => {
    const keys = new Set<string>();
    const eckids = new Set<string>();
    list.forEach(({ ref }, i) => {
      once(keys, keyOf(ref), `${name}[${i}].ref`);
      if (ref && ref.eckId !== '') once(eckids, ref.eckId, `${name}[${i}].ref.eck_id`);
    });
  };
  people(roster.learners, 'learners');
  people(roster.staff, 'staff');
  roster.learners.forEach((l, i) => {
    if (l.groupKey !== '' && !base.has(l.groupKey)) wrong.push({ path: `learners[${i}].group_key` });
    l.compositeGroupKeys.forEach((key, j) => {
      if (!composite.has(key)) wrong.push({ path: `learners[${i}].composite_group_keys[${j}]` });
    });
  });
  roster.staff.forEach((s, i) => {
    s.groups.forEach(({ key }, j) => {
      if (!all.has(key)) wrong.push({ path: `staff[${i}].groups[${j}].key` });
    });
  });
  if (wrong.length > 0)
    throw new GatewayError(
      'gateway.bug',
      'A roster on its way out has no year, or a key twice, none, or one that names nothing.',
      {
        where: wrong.slice(0, 100),
      },
    );
}

// --- Results ------------------------------------------------------------------------------------------------------------

export interface ResultsDelivery {
  school: SchoolRef;
  /** Empty = the running school year. */
  schoolYear: string;
  /** When the sender made the message; empty when it did not say. */
  madeAt: string;
  results: Clear<Result[]>;
  /** What stood in the message and is not kept, with a reason. */
  losses: Loss[];
}

export interface ResultOptions {
  /** The product a test belongs to. UWLR names none; without this, a toetscode that is an EAN-13 names its product. */
  productOf?: (toetscode: string) => string;
}

/** Why something of a results message is not kept. One row per element that has no place in core. */
export const resultLosses = {
  infourl: 'A link per pupil is not kept.',
  resultaatverwerkerid: 'Who entered a result is not asked.',
  auteur: 'The sender is known from its authorisation.',
  commentaar: 'Free text is not taken in.',
  toetsonderdeelnaam: 'A part is known by its code.',
  leerjaar: 'Belongs to the test, which the catalogue describes.',
  vakgebied: 'Belongs to the test, which the catalogue describes.',
  toetshierarchie: 'Belongs to the test, which the catalogue describes.',
  normering: 'Of a scale, only the term that the score falls under is kept, as grade.',
  aantalgelezen: 'No place in core.',
  aantalfout: 'Counts only together with aantalgoed, as exercises done.',
  aantalgoed: 'Next to a vaardigheidsscore it counts only together with aantalfout, as exercises done.',
  codevaardigheidsschaal: 'No place in core.',
  betrouwbaarheidsinterval: 'No place in core.',
  referentiescore: 'Of the reference scores the first value is kept, as grade; its codes and the others are not.',
} as const;

/** UWLR 2.2 §3.6, `leerresultaten_verzoek`: one core result per `resultaat`. */
export function resultsDelivery(wire: LeerresultatenVerzoek, options: ResultOptions = {}): ResultsDelivery {
  const productOf = options.productOf ?? ((code: string) => (isEan13(code) ? code : ''));
  const lost = new Map<keyof typeof resultLosses, number>();
  const lose = (field: keyof typeof resultLosses, when: unknown, count = 1): void => {
    if (when !== undefined && when !== false) lost.set(field, (lost.get(field) ?? 0) + count);
  };
  const tests = new Map<string, Toets>();
  for (const t of wire.toetsen) {
    tests.set(t.toetscode, t);
    lose('leerjaar', t.leerjaar);
    lose('vakgebied', t.vakgebied);
    lose('toetshierarchie', t.toetshierarchie);
    lose('normering', t.toetsnormering);
    for (const part of t.toetsonderdelen) {
      lose('toetsonderdeelnaam', part.toetsonderdeelnaam);
      lose('normering', part.toetsonderdeelnormering);
    }
  }
  lose('auteur', wire.school.auteur);
  lose('commentaar', wire.school.commentaar);
  const results: Result[] = [];
  for (const afname of wire.toetsafnames) {
    lose('resultaatverwerkerid', afname.resultaatverwerkerid);
    for (const r of afname.resultaten) {
      lose('infourl', r.infourl);
      const toets = tests.get(r.toetscode);
      results.push({
        resultId: r.key,
        learner: { eckId: afname.eckid ?? '', lasKey: afname.leerlingid ?? '' },
        productId: productOf(r.toetscode),
        groupKey: '',
        // Without a part it is the result of the whole test, which is what a school reports on.
        kind: r.toetsonderdeelcode === undefined ? ResultKind.RESULT_KIND_FINAL : ResultKind.RESULT_KIND_INTERIM,
        payload: payload(r, toets, lose),
      });
    }
  }
  return {
    school: schoolRef(wire.school),
    schoolYear: wire.school.schooljaar ?? '',
    madeAt: wire.school.aanmaakdatum ?? '',
    results: new Clear(results),
    losses: [...lost].map(([field, count]) => ({ field, count, why: resultLosses[field] })),
  };
}

type Lose = (field: keyof typeof resultLosses, when: unknown, count?: number) => void;

function payload(r: Resultaat, toets: Toets | undefined, lose: Lose): ResultPayload {
  const versie = r.versie ?? toets?.versie;
  const out: ResultPayload = {
    activityId: r.toetscode,
    activityName: toets?.toetsnaam ?? '',
    partId: r.toetsonderdeelcode ?? '',
    donePercent: undefined,
    exercisesDone: undefined,
    exercisesTotal: undefined,
    secondsSpent: undefined,
    score: undefined,
    scoreMax: undefined,
    grade: '',
    takenAt: r.afnamedatum,
    definition: versie === undefined ? r.toetscode : `${r.toetscode}@${versie}`,
  };
  if (r.score !== undefined) {
    const number = scoreNumber(r.score);
    if (number === undefined) out.grade = r.score;
    else {
      out.score = number;
      const part = toets?.toetsonderdelen.find((p) => p.toetsonderdeelcode === r.toetsonderdeelcode);
      const norms = r.toetsonderdeelcode === undefined ? toets?.toetsnormering : part?.toetsonderdeelnormering;
      out.grade = norms?.find((n) => covers(n, number))?.term ?? '';
    }
  }
  const oso = r.osoresultaat;
  if (oso) {
    const t = oso.toetsscore;
    if (t) {
      out.exercisesTotal = t.aantalopgaven;
      if (t.aantalgoed !== undefined && t.aantalfout !== undefined) out.exercisesDone = t.aantalgoed + t.aantalfout;
      else {
        lose('aantalfout', t.aantalfout);
        if (t.vaardigheidsscore !== undefined) lose('aantalgoed', t.aantalgoed);
      }
      out.score = t.vaardigheidsscore ?? t.aantalgoed;
      if (t.vaardigheidsscore === undefined && t.aantalgoed !== undefined) out.scoreMax = t.aantalopgaven;
      if (t.tijd !== undefined) out.secondsSpent = BigInt(Math.round(t.tijd));
      lose('aantalgelezen', t.aantalgelezen);
      lose('codevaardigheidsschaal', t.codevaardigheidsschaal);
      lose('betrouwbaarheidsinterval', t.betrouwbaarheidsinterval);
    }
    const references = oso.referentiescore;
    if (references.length > 0) lose('referentiescore', true, references.length);
    out.grade = references[0]?.waarde ?? '';
  }
  return out;
}

const covers = (n: Norm, score: number): boolean =>
  n.beginnormwaarde !== undefined &&
  n.eindnormwaarde !== undefined &&
  n.beginnormwaarde <= score &&
  score <= n.eindnormwaarde;

/** A score as a number: whole, or with decimals as some clients write it; undefined when it is a word such as `X`. */
export function scoreNumber(text: string): number | undefined {
  return /^\+?\d{1,15}([.,]\d{1,15})?$/.test(text) ? Number(text.replace(',', '.')) : undefined;
}

/** Whether a code is an EAN-13 with the right check digit. */
export function isEan13(code: string): boolean {
  if (!/^\d{13}$/.test(code)) return false;
  let sum = 0;
  for (let i = 0; i < 13; i++) sum += Number(code[i]) * (i % 2 === 0 ? 1 : 3);
  return sum % 10 === 0;
}
