/** What UWLR says of results and tests, in core words, and back. Pure; identity leaves in `Clear` only. */
import { brinOf, Clear, dutchDay, GatewayError, isDay, isSchoolYear } from '#kernel';
import { ResultKind, type ResultPayload } from '#proto/eduk/core/v1/ordering';
import type { Result } from '#proto/eduk/core/v1/result';
import {
  type ListedTerm,
  MonitorScore,
  type Norming,
  type Norm as ScaleNorm,
  TestDefinition,
  type TestPart,
} from '#proto/eduk/core/v1/test';
import { cut, type Loss, type SchoolRef, schoolRef, standInOf, zoned } from './mapping.ts';
import { UNNAMED, type Version } from './versions.ts';
import {
  type LeerresultatenVerzoek,
  type Norm,
  type Normering,
  type OsoResultaat,
  type Resultaat,
  scoreForm,
  type Toets,
  type Toetsafname,
  type Toetsonderdeel,
  type Woord,
} from './wire.ts';

// --- In -----------------------------------------------------------------------------------------------------------------

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
  anderresultaat: "What a sender's own kind of result holds beside its value, only that sender can explain.",
  toets: 'A test without a result in the message is not kept.',
  toetsonderdeel: 'A part is kept beside a result of it, or of the whole test.',
  toetsnormering: 'A description over 16 kB is kept without its scale and hierarchy.',
} as const;

/** The description of a test that one result carries is no longer than this, in bytes. */
const MOST_TEST = 16 * 1024;
const MOST_LISTED = 500;

/** UWLR 2.2 §3.6, `leerresultaten_verzoek`: one core result per `resultaat`. */
export function resultsDelivery(wire: LeerresultatenVerzoek, options: ResultOptions = {}): ResultsDelivery {
  const productOf = options.productOf ?? ((code: string) => (isEan13(code) ? code : ''));
  const lost = new Map<keyof typeof resultLosses, number>();
  const lose = (field: keyof typeof resultLosses, when: unknown, count = 1): void => {
    if (when !== undefined && when !== false) lost.set(field, (lost.get(field) ?? 0) + count);
  };
  const tests = new Map(wire.toetsen.map((toets) => [toets.toetscode.tekst, new Described(toets)]));
  lose('auteur', wire.school.auteur);
  lose('commentaar', wire.school.commentaar);
  const madeAt = wire.school.aanmaakdatum ?? '';
  const statedAt = madeAt === '' ? '' : zoned(madeAt);
  const results: Result[] = [];
  for (const afname of wire.toetsafnames) {
    lose('resultaatverwerkerid', afname.resultaatverwerkerid);
    for (const r of afname.resultaten) {
      lose('infourl', r.infourl);
      lose('anderresultaat', r.anderresultaat?.eigen);
      results.push({
        resultId: r.key,
        learner: { eckId: afname.eckid ?? '', lasKey: afname.leerlingid ?? '' },
        productId: productOf(r.toetscode),
        groupKey: '',
        // Without a part it is the result of the whole test, which is what a school reports on.
        kind: r.toetsonderdeelcode === undefined ? ResultKind.RESULT_KIND_FINAL : ResultKind.RESULT_KIND_INTERIM,
        payload: payload(r, tests.get(r.toetscode)),
        statedAt,
        withdrawn: false,
      });
    }
  }
  for (const test of tests.values()) {
    lose('toets', !test.isUsed);
    if (!test.isUsed) continue;
    lose('toetsonderdeel', test.partsLeft > 0, test.partsLeft);
    lose('toetsnormering', test.isBare);
  }
  return {
    school: schoolRef(wire.school),
    schoolYear: wire.school.schooljaar ?? '',
    madeAt,
    results: new Clear(results),
    losses: [...lost].map(([field, count]) => ({ field, count, why: resultLosses[field] })),
  };
}

/** Where in the message each of its results stands, in the order of `results`: the pupil's place, and its own. */
export const resultPlaces = ({ toetsafnames }: LeerresultatenVerzoek): { pupil: string; result: string }[] =>
  toetsafnames.flatMap(({ resultaten }, i) => {
    const at = `leerresultaten_verzoek/toetsafnames/toetsafname[${i + 1}]`;
    return resultaten.map((_, j) => ({ pupil: `${at}/leerlingid`, result: `${at}/resultaten/resultaat[${j + 1}]` }));
  });

/** A test of a message, and what of it the results that were made carry. */
class Described {
  readonly wire: Toets;
  isUsed = false;
  /** The description was too long for its scale. */
  isBare = false;
  readonly #kept = new Set<string>();
  readonly #made = new Map<string | undefined, TestDefinition | undefined>();

  constructor(wire: Toets) {
    this.wire = wire;
  }

  get partsLeft(): number {
    return this.wire.toetsonderdelen.filter(({ toetsonderdeelcode }) => !this.#kept.has(toetsonderdeelcode.tekst))
      .length;
  }

  part(code: string): Toetsonderdeel | undefined {
    return this.wire.toetsonderdelen.find((it) => it.toetsonderdeelcode.tekst === code);
  }

  /** For a result of a part, or of the whole; undefined where there is nothing to say but the code. */
  for(part: string | undefined): TestDefinition | undefined {
    this.isUsed = true;
    if (!this.#made.has(part)) this.#made.set(part, this.#make(part));
    return this.#made.get(part);
  }

  #make(part: string | undefined): TestDefinition | undefined {
    const { wire } = this;
    const own = part === undefined ? undefined : this.part(part);
    const one = {
      code: term(wire.toetscode),
      version: term(wire.versie),
      year: term(wire.leerjaar),
      norming: norming(wire.toetsnormering),
      hierarchy: wire.toetshierarchie.map(({ niveau, woord }) => ({ level: niveau, term: term(woord) })),
      parts: (part === undefined ? wire.toetsonderdelen : own ? [own] : []).map(testPart),
    };
    const scales = () => [one.norming, ...one.parts.map((it) => it.norming)];
    const isLong = (): boolean =>
      Math.max(one.hierarchy.length, one.parts.length, ...scales().map((it) => it?.norms.length ?? 0)) > MOST_LISTED ||
      TestDefinition.encode(one).finish().length > MOST_TEST;
    if (isLong() && part === undefined) one.parts = [];
    if (isLong()) {
      one.norming = undefined;
      one.hierarchy = [];
      for (const it of one.parts) it.norming = undefined;
      this.isBare = true;
    }
    for (const { code } of one.parts) this.#kept.add(code!.value);
    const saysMore =
      one.code!.vocabulary !== '' ||
      one.code!.vocabularyLocation !== '' ||
      one.version !== undefined ||
      one.year !== undefined ||
      one.norming !== undefined ||
      one.hierarchy.length + one.parts.length > 0;
    return saysMore ? one : undefined;
  }
}

const term = (woord: Woord | undefined): ListedTerm | undefined =>
  woord && {
    value: woord.tekst,
    vocabulary: woord.vocabulaire ?? '',
    vocabularyLocation: woord.vocabulairelocatie ?? '',
  };

const testPart = (part: Toetsonderdeel): TestPart => ({
  number: part.toetsonderdeelvolgnummer ?? 0,
  code: term(part.toetsonderdeelcode),
  name: part.toetsonderdeelnaam ?? '',
  norming: norming(part.toetsonderdeelnormering),
});

const norming = (wire: Normering | undefined): Norming | undefined =>
  wire && {
    category: term(wire.toetscategorie),
    level: term(wire.toetsniveau),
    weight: wire.wegingsfactor,
    norms: wire.norm.map(
      (it): ScaleNorm => ({
        term: it.term,
        description: it.omschrijving ?? '',
        from: it.beginnormwaarde,
        to: it.eindnormwaarde,
        colour: it.normkleur && {
          red: it.normkleur.rood_code,
          green: it.normkleur.groen_code,
          blue: it.normkleur.blauw_code,
          opacity: it.normkleur.transparantie,
        },
        markFrom: it.schoolcijfer_vanaf,
        markTo: it.schoolcijfer_totenmet,
      }),
    ),
    vocabulary: wire.vocabulaire ?? '',
    vocabularyLocation: wire.vocabulairelocatie ?? '',
  };

function payload(r: Resultaat, test: Described | undefined): ResultPayload {
  const versie = (r.versie ?? test?.wire.versie)?.tekst;
  const out: ResultPayload = {
    activityId: r.toetscode,
    activityName: test?.wire.toetsnaam ?? '',
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
    subject: term(test?.wire.vakgebied),
    goals: [],
    test: test?.for(r.toetsonderdeelcode),
    version: term(r.versie),
    monitor: undefined,
    ownKind: '',
  };
  if (r.score !== undefined) {
    const number = scoreNumber(r.score);
    if (number === undefined) out.grade = r.score;
    else {
      out.score = number;
      const part = r.toetsonderdeelcode === undefined ? undefined : test?.part(r.toetsonderdeelcode);
      const scale = r.toetsonderdeelcode === undefined ? test?.wire.toetsnormering : part?.toetsonderdeelnormering;
      out.grade = scale?.norm.find((n) => covers(n, number))?.term ?? '';
    }
  }
  if (r.anderresultaat) {
    out.grade = r.anderresultaat.andere_score;
    out.ownKind = r.anderresultaat.soort ?? 'anderresultaat';
  }
  if (r.osoresultaat) monitored(out, r.osoresultaat);
  return out;
}

/** What a test of a monitoring system yielded stands as it was said, and as work and score where others look for them. */
function monitored(out: ResultPayload, { toetsscore: t, referentiescore }: OsoResultaat): void {
  out.monitor = MonitorScore.fromPartial({
    items: t?.aantalopgaven,
    correct: t?.aantalgoed,
    wrong: t?.aantalfout,
    read: t?.aantalgelezen,
    time: t?.tijd,
    ability: t?.vaardigheidsscore,
    abilityScale: t?.codevaardigheidsschaal ?? '',
    abilityLow: t?.betrouwbaarheidsinterval?.bivlaag,
    abilityHigh: t?.betrouwbaarheidsinterval?.bivhoog,
    references: referentiescore.map((it) => ({
      code: it.codereferentiescore ?? '',
      comparisonGroup: it.codevergelijkingsgroep ?? '',
      value: it.waarde,
      qualification: it.kwalificatie ?? '',
    })),
  });
  out.grade = referentiescore[0]?.waarde ?? '';
  if (!t) return;
  out.exercisesTotal = t.aantalopgaven;
  if (t.aantalgoed !== undefined && t.aantalfout !== undefined) out.exercisesDone = t.aantalgoed + t.aantalfout;
  out.score = t.vaardigheidsscore ?? t.aantalgoed;
  if (t.vaardigheidsscore === undefined && t.aantalgoed !== undefined) out.scoreMax = t.aantalopgaven;
  // In the unit of the test: more than a year is no seconds.
  if (t.tijd !== undefined && t.tijd <= 366 * 86_400) out.secondsSpent = BigInt(Math.round(t.tijd));
}

const covers = (n: Norm, score: number): boolean =>
  n.beginnormwaarde !== undefined &&
  n.eindnormwaarde !== undefined &&
  n.beginnormwaarde <= score &&
  score <= n.eindnormwaarde;

/** A score as a number: whole, or with decimals as some clients write it; undefined when it is a word such as `X`. */
export function scoreNumber(text: string): number | undefined {
  return scoreForm.test(text) ? Number(text.replace(',', '.')) : undefined;
}

/** Whether a code is an EAN-13 with the right check digit. */
export function isEan13(code: string): boolean {
  if (!/^\d{13}$/.test(code)) return false;
  let sum = 0;
  for (let i = 0; i < 13; i++) sum += Number(code[i]) * (i % 2 === 0 ? 1 : 3);
  return sum % 10 === 0;
}

// --- Out ----------------------------------------------------------------------------------------------------------------

/** A result on its way to an administration or a dashboard. */
export interface SentResult {
  /** OIN of the supplier that it is from. */
  fromOin: string;
  result: Result;
  /** YYYY-MM-DD on which it was recorded as done; for a payload that does not say when. */
  day: string;
}

export interface ResultsToSend {
  school: SchoolRef;
  /** `2026-2027`. */
  schoolYear: string;
  /** RFC 3339. */
  madeAt: string;
  /** Of that school, as the receiver may see them, in the order of coming. */
  results: Clear<readonly SentResult[]>;
  /** Results in one message, at most; 1,000 when left out. */
  atMost?: number;
  /** Of the standard, as the receiver speaks it; 2.2 when left out. */
  version?: Version;
}

/** One message to send. */
export interface ResultsMessage {
  wire: Clear<LeerresultatenVerzoek>;
  /** Places in `results` that it tells of. */
  of: number[];
}

export interface ResultsMessages {
  /** In this order: a later one may correct what an earlier one says. */
  messages: ResultsMessage[];
  /** Results that UWLR has no words for, and why: a field of `resultsUnsaid`. */
  left: { of: number; field: keyof typeof resultsUnsaid }[];
  /** What of each result that is told has no place, by its place in `results`. */
  dropped: { of: number; losses: Loss[] }[];
  /** The same of all together. */
  losses: Loss[];
}

/** Why a result is not told over UWLR at all. */
export const resultsUnsaid = {
  withdrawn: 'UWLR cannot take back a result; the receiver is asked to remove it by other means.',
  learner: 'UWLR names a pupil by a key or ECK iD, and the receiver may have none.',
  activity_id: 'UWLR names a test by a code of at most 256 characters.',
  part_id: 'UWLR names a part of a test by a code of at most 256 characters.',
  own_kind: "A sender's own kind of result needs its own description.",
  score: 'UWLR has a place for points that are whole numbers, and none for words, decimals or numbers below zero.',
} as const;

/** What of a result that is told has no place in UWLR. */
export const resultsDropped = {
  product_id: 'UWLR names no product.',
  group_key: 'UWLR names no group beside a result.',
  kind: 'UWLR knows results of a whole test or of a part of it.',
  goals: 'UWLR names no goals of learning.',
  done_percent: 'UWLR has no place for a share of the work.',
  exercises: 'UWLR has no place for exercises beside points.',
  seconds_spent: 'UWLR has no place for time beside points.',
  score_max: 'The norms of the test say what can be scored, where it has any.',
  grade: 'UWLR words a score by the norms of the test.',
  vocabulary: 'What names a list is a URI.',
  norm: 'A norm has a term and two bounds that are whole numbers.',
  references: 'A reference score names its scale and its group.',
  measure: 'An ability, its bounds and a time have at most 15 digits before the point.',
  text: 'A word or name is as long as its field allows.',
} as const;

type Dropped = keyof typeof resultsDropped;
type Drop = (field: Dropped, count?: number) => void;

/** A description cut in two: what must be the same for two results to stand beside one test, and its parts by code. */
interface Head {
  /** As JSON, to compare. */
  text: string;
  toets: Toets;
}
interface Bin {
  of: number[];
  keys: Set<string>;
  heads: Map<string, Head>;
  parts: Map<string, Map<string, { text: string; part: Toetsonderdeel }>>;
  takes: Map<string, Toetsafname>;
}

/**
 * UWLR 2.2 §3.6 as we say it to an administration or a dashboard. Two versions of a test, and two results under one key, stand
 * in messages of their own, because one message has no room for both. A result's key is `SUPPLIER.ID`: the sender's own stays
 * recognisable, two suppliers never meet in one, and a repeat is the same.
 *
 * @throws GatewayError `gateway.bug` without a school year, moment or school.
 */
export function resultsMessages(core: ResultsToSend): ResultsMessages {
  const made = Date.parse(core.madeAt);
  const brincode = brinOf(core.school.schoolOin);
  if (!isSchoolYear(core.schoolYear) || Number.isNaN(made) || (brincode === undefined && core.school.schoolKey === ''))
    throw new GatewayError('gateway.bug', 'Results on their way out lack a school, its year or a moment.');
  const lost = new Map<Dropped, number>();
  const drop: Drop = (field, count = 1) => {
    if (count > 0) lost.set(field, (lost.get(field) ?? 0) + count);
  };
  const left: ResultsMessages['left'] = [];
  const dropped: ResultsMessages['dropped'] = [];
  const bins: Bin[] = [];
  /** The message that a key stood in last: what comes later under it stands in a later one. */
  const lastOf = new Map<string, number>();
  const atMost = Math.max(1, core.atMost ?? 1_000);
  core.results.reveal((results) => {
    for (const [of, sent] of results.entries()) {
      const said = say(sent, core.madeAt);
      if (typeof said === 'string') {
        left.push({ of, field: said });
        continue;
      }
      for (const field of said.dropped) drop(field);
      if (said.dropped.length > 0) dropped.push({ of, losses: counted(said.dropped) });
      const { key } = said.resultaat;
      let at = (lastOf.get(key) ?? -1) + 1;
      while (bins[at] !== undefined && !fits(bins[at]!, said, atMost)) at++;
      bins[at] ??= { of: [], keys: new Set(), heads: new Map(), parts: new Map(), takes: new Map() };
      put(bins[at]!, said, of);
      lastOf.set(key, at);
    }
  });
  const school = {
    schooljaar: core.schoolYear,
    brincode,
    dependancecode: /^\d\d$/.test(core.school.siteCode) ? core.school.siteCode : undefined,
    schoolkey: brincode === undefined ? cut(core.school.schoolKey, 256) : undefined,
    aanmaakdatum: new Date(made).toISOString().replace('.000Z', 'Z'),
    xsdversie: core.version ?? UNNAMED,
  };
  return {
    messages: bins.map((bin) => ({ wire: new Clear(wireOf(bin, school)), of: bin.of })),
    left,
    dropped,
    losses: [...lost].map(([field, count]) => ({ field, count, why: resultsDropped[field] })),
  };
}

const counted = (fields: readonly Dropped[]): Loss[] =>
  [...new Set(fields)].map((field) => ({
    field,
    count: fields.filter((one) => one === field).length,
    why: resultsDropped[field],
  }));

/** One result in the words of the standard. */
interface Said {
  resultaat: Resultaat;
  leerlingid: string;
  eckid: string | undefined;
  head: Head;
  parts: { text: string; part: Toetsonderdeel }[];
  dropped: Dropped[];
}

function fits(bin: Bin, said: Said, atMost: number): boolean {
  if (bin.of.length >= atMost || bin.keys.has(said.resultaat.key)) return false;
  const code = said.resultaat.toetscode;
  const head = bin.heads.get(code);
  if (!head) return true;
  if (head.text !== said.head.text) return false;
  const known = bin.parts.get(code)!;
  return said.parts.every(({ text, part }) => (known.get(part.toetsonderdeelcode.tekst)?.text ?? text) === text);
}

function put(bin: Bin, said: Said, of: number): void {
  const code = said.resultaat.toetscode;
  bin.of.push(of);
  bin.keys.add(said.resultaat.key);
  if (!bin.heads.has(code)) {
    bin.heads.set(code, said.head);
    bin.parts.set(code, new Map());
  }
  const known = bin.parts.get(code)!;
  for (const one of said.parts) known.set(one.part.toetsonderdeelcode.tekst, one);
  const name = `${said.leerlingid}\n${said.eckid ?? ''}`;
  const take = bin.takes.get(name) ?? { leerlingid: said.leerlingid, eckid: said.eckid, resultaten: [] };
  take.resultaten.push(said.resultaat);
  bin.takes.set(name, take);
}

const wireOf = (bin: Bin, school: LeerresultatenVerzoek['school']): LeerresultatenVerzoek => ({
  school,
  toetsafnames: [...bin.takes.values()],
  toetsen: [...bin.heads].map(([code, { toets }]) => ({
    ...toets,
    toetsonderdelen: numbered([...bin.parts.get(code)!.values()].map(({ part }) => part)),
  })),
});

/** The schema demands a number of each part, no two the same. */
function numbered(parts: readonly Toetsonderdeel[]): Toetsonderdeel[] {
  const taken = new Set<number>();
  const kept = parts.map((part) => {
    const own = part.toetsonderdeelvolgnummer;
    if (own === undefined || taken.has(own)) return { ...part, toetsonderdeelvolgnummer: undefined };
    taken.add(own);
    return part;
  });
  let next = 1;
  return kept.map((part) => {
    if (part.toetsonderdeelvolgnummer !== undefined) return part;
    while (taken.has(next)) next++;
    taken.add(next);
    return { ...part, toetsonderdeelvolgnummer: next };
  });
}

function say({ fromOin, result, day }: SentResult, madeAt: string): Said | keyof typeof resultsUnsaid {
  const { payload, learner, resultId, kind, groupKey, productId, withdrawn } = result;
  if (withdrawn) return 'withdrawn';
  const leerlingid = cut(standInOf(learner), 256).trim();
  if (leerlingid === '') return 'learner';
  if (!payload) return 'score';
  const code = codeOf(payload.activityId);
  if (code === undefined) return 'activity_id';
  const partCode = payload.partId === '' ? undefined : codeOf(payload.partId);
  if (payload.partId !== '' && partCode === undefined) return 'part_id';
  if (payload.ownKind !== '') return 'own_kind';
  const dropped: Dropped[] = [];
  const drop: Drop = (field, count = 1) => {
    for (let i = 0; i < count; i++) dropped.push(field);
  };
  const outcome = outcomeOf(payload, partCode, drop);
  if (outcome === undefined) return 'score';
  if (productId !== '' && productId !== code) drop('product_id');
  if (groupKey !== '') drop('group_key');
  if (kind !== (partCode === undefined ? ResultKind.RESULT_KIND_FINAL : ResultKind.RESULT_KIND_INTERIM)) drop('kind');
  if (payload.goals.length > 0) drop('goals');
  if (payload.donePercent !== undefined) drop('done_percent');
  const { toets, parts } = described(payload, code, partCode, drop);
  return {
    resultaat: {
      key: `${fromOin}.${cut(resultId, 200)}`,
      afnamedatum: dayOf(payload.takenAt) ?? dayOf(day) ?? dayOf(result.statedAt) ?? dutchDay(Date.parse(madeAt)),
      toetscode: code,
      versie: woord(payload.version ?? versionIn(payload), drop),
      toetsonderdeelcode: partCode,
      ...outcome,
    },
    leerlingid,
    eckid: cut(learner?.eckId ?? '', 256).trim() || undefined,
    head: { text: JSON.stringify(toets), toets },
    parts: parts.map((part) => ({ text: JSON.stringify(part), part })),
    dropped,
  };
}

/** A code as it is: one that is changed is another. */
function codeOf(text: string): string | undefined {
  return text !== '' && text === cut(text, 256).trim() && text !== '""' ? text : undefined;
}

function dayOf(text: string): string | undefined {
  if (isDay(text)) return text;
  const at = text === '' ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) ? undefined : dutchDay(at);
}

/** Who describes no test may still say its version beside its code. */
function versionIn({ definition, activityId, test }: ResultPayload): ListedTerm | undefined {
  if (test !== undefined || !definition.startsWith(`${activityId}@`)) return undefined;
  return { value: definition.slice(activityId.length + 1), vocabulary: '', vocabularyLocation: '' };
}

/** What came of it: points, or what a monitoring system says; undefined where the standard has no words for it. */
function outcomeOf(
  payload: ResultPayload,
  partCode: string | undefined,
  drop: Drop,
): Pick<Resultaat, 'score' | 'osoresultaat'> | undefined {
  const { monitor, score, scoreMax, grade, exercisesDone, exercisesTotal, secondsSpent } = payload;
  if (monitor) return { osoresultaat: osoOf(monitor, drop) };
  const hasWork = exercisesDone !== undefined || exercisesTotal !== undefined;
  if (score !== undefined) {
    if (!Number.isSafeInteger(score) || score < 0 || Object.is(score, -0)) return undefined;
    if (scoreMax !== undefined) drop('score_max');
    if (hasWork) drop('exercises');
    if (secondsSpent !== undefined) drop('seconds_spent');
    if (grade !== '' && grade !== termFor(payload, partCode, score)) drop('grade');
    return { score: String(score) };
  }
  // Work without a score is told as far as a monitoring system would.
  if (grade !== '' || (exercisesTotal === undefined && secondsSpent === undefined)) return undefined;
  if (exercisesDone !== undefined) drop('exercises');
  return {
    osoresultaat: {
      toetsscore: {
        aantalopgaven: exercisesTotal,
        tijd: secondsSpent === undefined ? undefined : Number(secondsSpent),
      },
      referentiescore: [],
    },
  };
}

function termFor({ test }: ResultPayload, partCode: string | undefined, score: number): string {
  const scale =
    partCode === undefined ? test?.norming : test?.parts.find(({ code }) => code?.value === partCode)?.norming;
  return (
    scale?.norms.find(({ from, to }) => from !== undefined && to !== undefined && from <= score && score <= to)?.term ??
    ''
  );
}

/** The largest number that a counting field of OSO holds. */
const MOST_COUNTED = 999_999_999;
/** From here on a number here is not one that was written. */
const MOST_MEASURED = 1e15;

function osoOf(monitor: MonitorScore, drop: Drop): OsoResultaat {
  const count = (value: number | undefined): number | undefined => {
    if (value === undefined || value <= MOST_COUNTED) return value;
    drop('exercises');
    return undefined;
  };
  const finite = (value: number | undefined): number | undefined => {
    if (value === undefined || Math.abs(value) < MOST_MEASURED) return value;
    drop('measure');
    return undefined;
  };
  const [low, high] = [finite(monitor.abilityLow), finite(monitor.abilityHigh)];
  const toetsscore = {
    aantalopgaven: count(monitor.items),
    aantalgoed: count(monitor.correct),
    aantalfout: count(monitor.wrong),
    aantalgelezen: count(monitor.read),
    tijd: monitor.time !== undefined && monitor.time >= 0 ? finite(monitor.time) : undefined,
    vaardigheidsscore: finite(monitor.ability),
    codevaardigheidsschaal: name(monitor.abilityScale, 64, drop),
    betrouwbaarheidsinterval: low === undefined || high === undefined ? undefined : { bivlaag: low, bivhoog: high },
  };
  const said = monitor.references.map((it) => ({
    codereferentiescore: name(it.code, 64, drop),
    codevergelijkingsgroep: name(it.comparisonGroup, 64, drop),
    waarde: name(it.value, 64, drop) ?? '',
    kwalificatie: name(it.qualification, 64, drop),
  }));
  const whole = said.filter(
    (it) => it.codereferentiescore !== undefined && it.codevergelijkingsgroep !== undefined && it.waarde !== '',
  );
  drop('references', said.length - whole.length);
  const isEmpty = Object.values(toetsscore).every((value) => value === undefined);
  return { toetsscore: isEmpty ? undefined : toetsscore, referentiescore: whole };
}

/** The test as this result carries it, without its parts, and these by themselves. */
function described(
  payload: ResultPayload,
  code: string,
  partCode: string | undefined,
  drop: Drop,
): { toets: Toets; parts: Toetsonderdeel[] } {
  const { test } = payload;
  const toets: Toets = {
    toetscode: (test?.code?.value === code ? woord(test.code, drop) : undefined) ?? { tekst: code },
    versie: woord(test?.version, drop),
    toetsnaam: name(payload.activityName, 128, drop),
    leerjaar: woord(test?.year, drop),
    vakgebied: woord(payload.subject, drop),
    toetsnormering: normering(test?.norming, drop),
    toetshierarchie: (test?.hierarchy ?? []).flatMap(({ level, term }) => {
      const found = woord(term, drop);
      return found ? [{ niveau: level, woord: found }] : [];
    }),
    toetsonderdelen: [],
  };
  const parts = new Map<string, Toetsonderdeel>();
  for (const part of test?.parts ?? []) {
    const own = codeOf(part.code?.value ?? '');
    if (own === undefined || parts.has(own)) drop('text');
    else
      parts.set(own, {
        toetsonderdeelvolgnummer: part.number > 0 && part.number <= MOST_COUNTED ? part.number : undefined,
        toetsonderdeelcode: woord(part.code, drop)!,
        toetsonderdeelnaam: name(part.name, 128, drop),
        toetsonderdeelnormering: normering(part.norming, drop),
      });
  }
  if (partCode !== undefined && !parts.has(partCode)) parts.set(partCode, { toetsonderdeelcode: { tekst: partCode } });
  return { toets, parts: [...parts.values()] };
}

/** Text as a field of this length holds it; undefined when nothing is left. */
function name(text: string, max: number, drop: Drop): string | undefined {
  if (text === '') return undefined;
  const kept = cut(text, max).trim();
  if (kept !== text) drop('text');
  return kept === '' || kept === '""' ? undefined : kept;
}

function woord(term: ListedTerm | undefined, drop: Drop): Woord | undefined {
  const tekst = term && name(term.value, 256, drop);
  if (!term || tekst === undefined) return undefined;
  return { tekst, ...list(term, drop) };
}

/** A URI as every reader takes it: absolute, or the bare name of a list. */
const URI =
  /^([A-Za-z][A-Za-z0-9+.-]*:(\/\/[\w.-]+(:\d{1,5})?(?=[/?#]|$))?)?[\w./~!$&'()*+,;=@-][\w./~!$&'()*+,;=@:-]*(\?[\w./~!$&'()*+,;=@:-]*)?(#[\w./~!$&'()*+,;=@:-]*)?$/;

function list(
  { vocabulary, vocabularyLocation }: Pick<ListedTerm, 'vocabulary' | 'vocabularyLocation'>,
  drop: Drop,
): Pick<Woord, 'vocabulaire' | 'vocabulairelocatie'> {
  const uri = (text: string): string | undefined => {
    if (text === '') return undefined;
    if (text.length <= 1_000 && URI.test(text)) return text;
    drop('vocabulary');
    return undefined;
  };
  const [vocabulaire, vocabulairelocatie] = [uri(vocabulary), uri(vocabularyLocation)];
  return {
    ...(vocabulaire === undefined ? {} : { vocabulaire }),
    ...(vocabulairelocatie === undefined ? {} : { vocabulairelocatie }),
  };
}

function normering(norming: Norming | undefined, drop: Drop): Normering | undefined {
  if (!norming) return undefined;
  const norm = norming.norms.flatMap((it): Norm[] => {
    const term = name(it.term, 64, drop);
    if (term === undefined || !isPoints(it.from) || !isPoints(it.to)) {
      drop('norm');
      return [];
    }
    const { colour } = it;
    const isColour =
      colour && Math.max(colour.red, colour.green, colour.blue) <= 255 && colour.opacity >= 0 && colour.opacity <= 1;
    return [
      {
        term,
        omschrijving: name(it.description, 128, drop),
        beginnormwaarde: it.from,
        eindnormwaarde: it.to,
        normkleur: isColour
          ? {
              rood_code: colour.red,
              groen_code: colour.green,
              blauw_code: colour.blue,
              transparantie: colour.opacity,
            }
          : undefined,
        schoolcijfer_vanaf: mark(it.markFrom),
        schoolcijfer_totenmet: mark(it.markTo),
      },
    ];
  });
  if (norm.length === 0) return undefined;
  const { weight } = norming;
  return {
    toetscategorie: woord(norming.category, drop),
    toetsniveau: woord(norming.level, drop),
    wegingsfactor: weight !== undefined && Math.abs(weight) <= MOST_COUNTED ? weight : undefined,
    norm,
    ...list(norming, drop),
  };
}

const isPoints = (value: number | undefined): value is number =>
  value !== undefined && Number.isSafeInteger(value) && value >= 0 && value < 1e15;
const mark = (value: number | undefined): number | undefined =>
  value !== undefined && value >= 1 && value <= 10 ? value : undefined;
