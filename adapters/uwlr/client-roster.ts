/** What answers of an administration mean in core: one roster out of one answer, or out of several. Pure. */
import { Clear, GatewayError, isDay, type Where } from '#kernel';
import type { Person, Roster, RosterLearner } from '#proto/eduk/core/v1/learner';
import type { Question } from './client.ts';
import {
  type AntwoordLeerkracht,
  type AntwoordLeerling,
  type AntwoordSchool,
  answerLosses,
  type Gegevens,
} from './client-answer.ts';
import type { Loss } from './mapping.ts';

export interface PulledRoster {
  roster: Clear<Roster>;
  losses: Loss[];
}

/** The school that was asked for, as we know it. */
export interface OurSchool {
  schoolOin: string;
  /** Five digits, empty where the school has one administration. */
  administration: string;
}

/**
 * Refuses an answer about another school, site or year than was asked: it is somebody else's. Faults: wire.invalid, with the
 * places that differ.
 */
export function refuseOthers(school: AntwoordSchool, { school: asked, schooljaar }: Question): void {
  const wrong: Where[] = [];
  const at = (path: string) => wrong.push({ path: `school/${path}` });
  if (school.schooljaar !== schooljaar) at('schooljaar');
  if (asked.schoolkey !== '') {
    if (school.schoolkey !== asked.schoolkey) at('schoolkey');
  } else {
    if (school.brincode !== asked.brincode) at('brincode');
    // `00` is the main site, or means none where the school has no other (UWLR 2.2 §3.2).
    const site = (code: string): string => (code === '00' ? '' : code);
    if (site(school.dependancecode) !== site(asked.dependancecode)) at('dependancecode');
  }
  if (wrong.length > 0)
    throw new GatewayError('wire.invalid', 'The answer is about another school, site or year than was asked.', {
      where: wrong,
    });
}

/**
 * One roster out of the answers to one pull: the first says which school and when; a pupil or teacher whom several groups
 * have is one. Faults: wire.invalid (another school or moment among the parts, keys that mean two or nothing).
 */
export function pulledRoster(parts: readonly Gegevens[], question: Question, ours: OurSchool): PulledRoster {
  const [first] = parts;
  if (!first) throw new GatewayError('gateway.bug', 'a roster of no answers');
  for (const { school } of parts) refuseOthers(school, question);
  const left = new Map<string, number>();
  for (const part of parts) for (const [name, count] of part.left) left.set(name, (left.get(name) ?? 0) + count);
  const learners = once(
    parts.flatMap(({ leerlingen }) => leerlingen),
    'leerlingen',
    joinLearners,
  );
  const staff = once(
    parts.flatMap(({ leerkrachten }) => leerkrachten),
    'leerkrachten',
    joinStaff,
  );
  const groepen = first.groepen;
  refuseDangling(groepen, learners, staff);
  const yearOf = new Map(groepen.map(({ key, jaargroep }) => [key, jaargroep]));
  const roster: Roster = {
    schoolOin: ours.schoolOin,
    schoolYear: question.schooljaar,
    asOf: isDay(first.school.peildatum) ? first.school.peildatum : '',
    madeAt: momentOf(first.school.aanmaakdatum),
    siteCode: question.school.dependancecode,
    administration: ours.administration,
    sites: first.vestigingen.map(({ key, naam, omschrijving }) => ({ key, name: naam, description: omschrijving })),
    groups: groepen.map(({ key, naam, omschrijving, jaargroep, samengesteld }) => ({
      key,
      name: naam,
      description: omschrijving,
      yearGroup: samengesteld ? '' : jaargroep,
      composite: samengesteld,
    })),
    learners: learners.map((it) => learnerOf(it, yearOf)),
    staff: staff.map((it) => ({
      ref: { eckId: it.eckid, lasKey: it.key },
      person: personOf(it, '', ''),
      duties: it.rol,
      groups: it.groepen.map(({ key, rol }) => ({ key, duties: rol })),
    })),
  };
  return {
    roster: new Clear(roster),
    losses: [...left].map(([field, count]) => ({
      field,
      count,
      why: answerLosses[field as keyof typeof answerLosses],
    })),
  };
}

function once<P extends { key: string; eckid: string }>(
  people: readonly P[],
  path: string,
  join: (known: P, other: P) => P | undefined,
): P[] {
  const found = new Map<string, P>();
  const eckids = new Map<string, string>();
  people.forEach((one, i) => {
    const id = one.key === '' ? `#${one.eckid}` : one.key;
    const known = found.get(id);
    const joined = known === undefined ? one : join(known, one);
    const other = one.eckid === '' ? id : (eckids.get(one.eckid) ?? id);
    if (joined === undefined || other !== id)
      throw new GatewayError('wire.invalid', 'A key or ECK iD stands twice, for two who are not the same.', {
        where: `${path}[${i + 1}]/@key`,
      });
    if (one.eckid !== '') eckids.set(one.eckid, id);
    found.set(id, joined);
  });
  return [...found.values()];
}

/** One pupil in two answers of a staged pull: the same but for the groups. Others with one key are two. */
function joinLearners(known: AntwoordLeerling, other: AntwoordLeerling): AntwoordLeerling | undefined {
  if (!isSame(known, other)) return undefined;
  if (known.groep !== '' && other.groep !== '' && known.groep !== other.groep) return undefined;
  return {
    ...known,
    groep: known.groep || other.groep,
    samengestelde_groepen: [...new Set([...known.samengestelde_groepen, ...other.samengestelde_groepen])],
  };
}

function joinStaff(known: AntwoordLeerkracht, other: AntwoordLeerkracht): AntwoordLeerkracht | undefined {
  if (!isSame(known, other)) return undefined;
  const groepen = new Map(known.groepen.map((it) => [it.key, it]));
  for (const it of other.groepen) {
    const before = groepen.get(it.key);
    groepen.set(it.key, before ? { ...before, rol: [...new Set([...before.rol, ...it.rol])] } : it);
  }
  return { ...known, rol: [...new Set([...known.rol, ...other.rol])], groepen: [...groepen.values()] };
}

const isSame = (a: AntwoordLeerling | AntwoordLeerkracht, b: AntwoordLeerling | AntwoordLeerkracht): boolean =>
  a.eckid === b.eckid && a.achternaam === b.achternaam && a.roepnaam === b.roepnaam && a.voornamen === b.voornamen;

/** A group that is named and not there: the answer was cut off, or is not whole. */
function refuseDangling(
  groepen: Gegevens['groepen'],
  learners: readonly AntwoordLeerling[],
  staff: readonly AntwoordLeerkracht[],
): void {
  const wrong: Where[] = [];
  const base = new Set(groepen.filter(({ samengesteld }) => !samengesteld).map(({ key }) => key));
  const composite = new Set(groepen.filter(({ samengesteld }) => samengesteld).map(({ key }) => key));
  if (base.size + composite.size < groepen.length) wrong.push({ path: 'groepen/*/@key' });
  learners.forEach((it, i) => {
    if (it.groep !== '' && !base.has(it.groep)) wrong.push({ path: `leerlingen/leerling[${i + 1}]/groep/@key` });
    if (it.samengestelde_groepen.some((key) => !composite.has(key)))
      wrong.push({ path: `leerlingen/leerling[${i + 1}]/samengestelde_groepen` });
  });
  staff.forEach((it, i) => {
    if (it.groepen.some(({ key }) => !base.has(key) && !composite.has(key)))
      wrong.push({ path: `leerkrachten/leerkracht[${i + 1}]/groepen` });
  });
  if (wrong.length > 0)
    throw new GatewayError('wire.invalid', 'The answer names groups that it does not have, or one of them twice.', {
      where: wrong.slice(0, 100),
    });
}

function learnerOf(it: AntwoordLeerling, yearOf: ReadonlyMap<string, string>): RosterLearner {
  const yearOfGroup = yearOf.get(it.groep) ?? '';
  return {
    ref: { eckId: it.eckid, lasKey: it.key },
    person: personOf(it, isDay(it.geboortedatum) ? it.geboortedatum : '', it.geslacht),
    // `C` is a group of several years and says nothing of a pupil.
    yearGroup: it.jaargroep || (yearOfGroup === 'C' ? '' : yearOfGroup),
    groupKey: it.groep,
    compositeGroupKeys: it.samengestelde_groepen,
    siteKey: it.vestiging,
    entersOn: isDay(it.instroomdatum) ? it.instroomdatum : '',
    leavesOn: isDay(it.uitstroomdatum) ? it.uitstroomdatum : '',
    siteCodes: [],
  };
}

const personOf = (it: AntwoordLeerling | AntwoordLeerkracht, birthDate: string, gender: string): Person => ({
  familyName: it.achternaam,
  familyNamePrefix: it.voorvoegsel,
  givenNames: it.voornamen,
  initials: it['voorletters-1'],
  callName: it.roepnaam,
  birthDate,
  gender,
  email: it.emailadres,
  accountName: it.gebruikersnaam,
});

/** An `xs:dateTime` as RFC 3339 in UTC, to the second; without a zone it is read as the earlier of the two Dutch ones. */
export function momentOf(text: string): string {
  const m = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?$/.exec(text);
  const at = m ? Date.parse(`${m[1]}${m[2] ?? '+02:00'}`) : Number.NaN;
  return Number.isNaN(at) ? '' : new Date(at).toISOString().replace('.000Z', 'Z');
}
