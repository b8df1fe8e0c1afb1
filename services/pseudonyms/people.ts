import { GatewayError, NAMES_IN_MARK } from '#kernel';
import { LearnerRef, Person } from '#proto/eduk/core/v1/learner';
import type {
  FindLearnerRequest,
  FindLearnerResponse,
  Identified,
  IdentifyRequest,
  IdentifyResponse,
  Revealed,
  RevealRequest,
} from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { asUri, readPseudonym } from './pairwise.ts';
import { each, type Kind, type Part } from './rows.ts';
import { textOf } from './seal.ts';
import type { Learner, NumberColumn, School, Shelf } from './shelf.ts';

/** Identities → tokens, and tokens → what a receiver may have. */

const EMPTY = Buffer.alloc(0);
const DAY_MS = 86_400_000;
/** How long names that are not the newest stay after they were last asked for. */
export const OLD_NAMES_MS = 30 * DAY_MS;
/** The slot of the sector that a school has first, whatever its name; a second sector stands under its own. */
export const FIRST = '1';

/** Refuses what no door lets through, before anything is looked up; says where, never what. */
export function checkIdentify(request: IdentifyRequest): void {
  if (request.schoolOin === '')
    throw new GatewayError('gateway.bug', 'Identify needs a school.', { where: 'school_oin' });
  if (!/^[a-z]{0,8}$/.test(request.sector))
    throw new GatewayError('gateway.bug', 'A sector is a short word.', { where: 'sector' });
  if (request.saltFor.length !== 0 && request.saltFor.length !== request.identities.length)
    throw new GatewayError('gateway.bug', 'Flow ids are given for each identity or for none.', { where: 'salt_for' });
  for (const [i, { kind, eckId, lasKey }] of request.identities.entries()) {
    if (kind !== 'learner' && kind !== 'staff')
      throw new GatewayError('gateway.bug', 'A kind is learner or staff.', { where: `identities[${i}].kind` });
    if (eckId.length > 256) throw tooLong(`identities[${i}].eck_id`);
    if (lasKey.length > 256) throw tooLong(`identities[${i}].las_key`);
    // A stampseudoniem is a PGN by another name; should a door let one through, it ends here.
    if (STAMPSEUDONYM.test(eckId) || STAMPSEUDONYM.test(lasKey))
      throw new GatewayError('wire.pgn', undefined, { where: `identities[${i}]` });
  }
}
const STAMPSEUDONYM = /^https?:\/\/(ketenid\.nl|id\.school)\/sp/i;
const tooLong = (path: string) =>
  new GatewayError('wire.invalid', 'A number has 256 characters at most.', { where: path });

/** Which slot of the index a sector has. The first one that a school names is the one it had without a name. */
function slotOf(shelf: Shelf, school: School, sector: string, create: boolean): string {
  if (sector === '' || sector === school.firstSector) return FIRST;
  if (school.firstSector === undefined) {
    if (create) shelf.nameSector(school, sector);
    return FIRST;
  }
  if (create && !school.sectors.has(sector)) shelf.addSector(school, sector);
  return sector;
}

export function identify(shelf: Shelf, request: IdentifyRequest): IdentifyResponse {
  const { create } = request;
  const school = shelf.school(request.schoolOin, create);
  const slot = school && slotOf(shelf, school, request.sector, create);
  const identified = each(request.identities, ({ kind, eckId, lasKey, person, partyOin }, i) => {
    const answer: Identified = { token: '', nameMark: EMPTY, salt: EMPTY, code: '', created: false };
    if (!school || (eckId === '' && lasKey === '')) {
      answer.code = 'learner.unknown';
      return answer;
    }
    const find = (column: NumberColumn, number: string): Lookup | undefined =>
      number === '' || readPseudonym(number) ? undefined : lookup(shelf, school, kind as Kind, slot!, column, number);
    const [byEckId, byLasKey] = [find('eck_id', eckId), find('las_key', lasKey)];
    const own = [eckId, lasKey].filter((number) => readPseudonym(number));
    const named = own.map((pseudonym) => byPseudonym(shelf, school, kind as Kind, partyOin, pseudonym));
    if (contradicts(shelf, school, byEckId, byLasKey) || named.some((one) => one !== named[0])) {
      answer.code = 'state.conflict';
      return answer;
    }
    let learner = byEckId?.learner ?? byLasKey?.learner;
    if (own.length > 0) {
      // A pseudonym leads to somebody or to nobody: nobody is made for it, and no number is linked on its word.
      if (named[0] === undefined || (learner !== undefined && learner !== named[0])) {
        answer.code = named[0] === undefined ? 'learner.unknown' : 'state.conflict';
        return answer;
      }
      learner = named[0];
    }
    if (!learner) {
      if (!create) {
        answer.code = 'learner.unknown';
        return answer;
      }
      learner = shelf.addLearner(school, kind as Kind);
      answer.created = true;
    }
    if (create && own.length === 0) link(shelf, school, learner, byEckId, byLasKey, answer.created);
    answer.token = learner.token;
    const told = byEckId?.told ?? byLasKey?.told;
    if (told && told !== learner && own.length === 0) answer.merged = told.token;
    if (person && request.fleeting) answer.nameMark = fleetingMark(shelf, school, learner, person);
    else if (person)
      answer.nameMark = markOf(shelf, school, learner, keepPerson(shelf, school, learner, person, create));
    const flowId = request.saltFor[i];
    if (flowId) answer.salt = shelf.learnerMac(school, learner, 'salt', flowId);
    return answer;
  });
  return { identified };
}

/** Whom a pseudonym of this party's own stands for. */
function byPseudonym(shelf: Shelf, school: School, kind: Kind, party: string, pseudonym: string): Learner | undefined {
  const { version, renewed, characters } = readPseudonym(pseudonym)!;
  const token = party && shelf.pseudonyms(school, party, kind, renewed, version)?.tokenOf(characters);
  const learner = token ? shelf.byToken(school, token) : undefined;
  return learner?.kind === kind ? shelf.whole(school, learner) : undefined;
}

export interface Lookup {
  column: NumberColumn;
  number: string;
  hash: string;
  learner: Learner | undefined;
  /** Under whom it stands. */
  told: Learner | undefined;
}

export function lookup(
  shelf: Shelf,
  school: School,
  kind: Kind,
  slot: string,
  column: NumberColumn,
  number: string,
): Lookup {
  const hash = shelf.hash(school, kind, slot, column, number);
  let learner = shelf.byHash(school, hash);
  // While the key of the index is renewed, some still stand under the one before.
  if (!learner)
    for (const version of shelf.olderVersions(school, 'index'))
      learner ??= shelf.byHash(school, shelf.hash(school, kind, slot, column, number, version));
  return { column, number, hash, learner: learner && shelf.whole(school, learner), told: learner };
}

/**
 * Two numbers that name two people; or a key of someone whose ECK iD is another one than the one given, unknown so far:
 * an administration that gives a key to the next pupil. Nobody is linked on such evidence.
 */
const contradicts = (
  shelf: Shelf,
  school: School,
  byEckId: Lookup | undefined,
  byLasKey: Lookup | undefined,
): boolean =>
  byEckId !== undefined &&
  byLasKey?.learner !== undefined &&
  (byEckId.learner
    ? byEckId.learner !== byLasKey.learner
    : shelf.parts(school, byLasKey.learner).some(({ hasEckId }) => hasEckId));

/** Those of the two numbers that are new lead to this person from now on. */
function link(
  shelf: Shelf,
  school: School,
  learner: Learner,
  byEckId: Lookup | undefined,
  byLasKey: Lookup | undefined,
  fresh: boolean,
): void {
  const eckId = byEckId && !byEckId.learner ? byEckId : undefined;
  const lasKey = byLasKey && !byLasKey.learner ? byLasKey : undefined;
  if (!eckId && !lasKey) return;
  const { version } = shelf.key(school, 'index');
  for (const one of [eckId, lasKey]) if (one) shelf.addLookup(school, one.hash, learner, version);
  const ordinal = fresh ? 0 : shelf.rows.numbers(school.id, learner.id).length;
  const ref = LearnerRef.encode({ eckId: eckId?.number ?? '', lasKey: lasKey?.number ?? '' }).finish();
  shelf.rows.write.putNumbers(school.id, learner.id, {
    ordinal,
    eckId: eckId?.hash,
    lasKey: lasKey?.hash,
    sealed: shelf.sealFor(school, learner, 'numbers', ['ref', ordinal], ref),
  });
  if (eckId && !learner.hasEckId) shelf.change(learner, { hasEckId: true });
}

/** What normalising would leave as it is; most names. */
const PLAIN = /^(?:[!-~]+(?: [!-~]+)*)?$/;

/** Names of a person, in the form that decides whether they are other names: spacing and Unicode form do not. */
function canonicalNames(person: Person): string | undefined {
  const names = [person.familyName, person.familyNamePrefix, person.givenNames, person.initials, person.callName].map(
    (name) => (PLAIN.test(name) ? name : name.normalize('NFC').trim().replace(/\s+/g, ' ')),
  );
  return names.every((name) => name === '') ? undefined : JSON.stringify(names);
}

/**
 * Keeps what differs from what is held. Names stand beside earlier names, each under its mark; birth date, gender and
 * contact replace, field by field, and an empty field leaves what there is (a sender may simply not be given it).
 */
function keepPerson(shelf: Shelf, school: School, learner: Learner, person: Person, keep: boolean): Buffer {
  const names = canonicalNames(person);
  let mark: Buffer = EMPTY;
  if (names !== undefined) {
    mark = shelf.learnerMac(school, learner, 'names', names);
    if (keep) keepNames(shelf, school, learner, person, mark);
  }
  if (!keep) return mark;
  const { birthDate, gender, email, accountName } = person;
  if (birthDate !== '' || gender !== '') keepParticulars(shelf, school, learner, 'birth', { birthDate, gender });
  if (email !== '' || accountName !== '') keepParticulars(shelf, school, learner, 'contact', { email, accountName });
  return mark;
}

/** What a roster remembers of a person of whom nothing is kept: the mark that would stand if all of this were held. */
function fleetingMark(shelf: Shelf, school: School, learner: Learner, person: Person): Uint8Array {
  const { birthDate, gender, email, accountName } = person;
  const names = keepPerson(shelf, school, learner, person, false);
  return markOf(shelf, school, learner, names, {
    birth: contentOf(shelf, school, learner, 'birth', { birthDate, gender }),
    contact: contentOf(shelf, school, learner, 'contact', { email, accountName }),
  });
}

/** Keyed mark of particulars; empty = there are none. */
const contentOf = (shelf: Shelf, school: School, learner: Learner, part: Part, of: Particulars): string =>
  Object.values(of).every((value) => value === '')
    ? ''
    : textOf(shelf.learnerMac(school, learner, part, JSON.stringify(Object.values(of))));

const NAMES = NAMES_IN_MARK;
const NO_NAMES = Buffer.alloc(NAMES);

/**
 * What a roster remembers of a person: a mark of the names that it gave, and one of birth date, gender, contact and whether there is
 * an ECK iD, as they are held now. Another mark is something else to show; only other names are a rename. Empty = nothing of it.
 */
function markOf(
  shelf: Shelf,
  school: School,
  learner: Learner,
  names: Uint8Array,
  { birth, contact }: Pick<Learner, 'birth' | 'contact'> = learner,
): Uint8Array {
  const { hasEckId } = learner;
  if (names.length === 0 && birth === '' && contact === '' && !hasEckId) return EMPTY;
  const rest = shelf.learnerMac(school, learner, 'particulars', JSON.stringify([birth, contact, hasEckId]));
  return Buffer.concat([names.length === 0 ? NO_NAMES : names, rest]);
}

/** The part of such a mark that names stand under; empty = none were given. */
const namesIn = (mark: Uint8Array): string =>
  mark.length > NAMES && mark.subarray(0, NAMES).every((byte) => byte === 0) ? '' : textOf(mark.subarray(0, NAMES));

function keepNames(shelf: Shelf, school: School, learner: Learner, person: Person, mark: Buffer): void {
  const text = textOf(mark);
  if (text === learner.mark) return;
  const { rows } = shelf;
  const now = shelf.clock.now();
  const held = learner.mark === '' ? [] : rows.names(school.id, learner.id);
  // From now on the time of the former newest counts.
  const former = held.find((one) => one.mark === learner.mark);
  if (former) rows.write.putNames(school.id, learner.id, { ...former, touchedMs: now });
  const rank = held.reduce((most, one) => Math.max(most, one.rank), 0) + 1;
  const earlier = held.find((one) => one.mark === text);
  if (earlier) rows.write.putNames(school.id, learner.id, { ...earlier, rank, touchedMs: now });
  else {
    const plain = Person.encode({ ...person, birthDate: '', gender: '', email: '', accountName: '' }).finish();
    const sealed = shelf.sealFor(school, learner, 'names', ['name', text], plain);
    rows.write.putNames(school.id, learner.id, { mark: text, rank, touchedMs: now, sealed });
  }
  shelf.change(learner, { mark: text });
}

type Particulars = Partial<Pick<Person, 'birthDate' | 'gender' | 'email' | 'accountName'>>;

/** `births` rests under the key of names, being as identifying as they are. */
function keepParticulars(shelf: Shelf, school: School, learner: Learner, part: Part, given: Particulars): void {
  let whole = given;
  let content = contentOf(shelf, school, learner, part, whole);
  if (content === learner[part]) return;
  if (learner[part] !== '') {
    const held = particularsOf(shelf, school, learner, part);
    whole = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value === '' ? held[name as keyof Person] : value]),
    );
    content = contentOf(shelf, school, learner, part, whole);
    if (content === learner[part]) return;
  }
  const plain = Person.encode(Person.fromPartial(whole)).finish();
  const table = part === 'birth' ? 'names' : 'contact';
  const sealed = shelf.sealFor(school, learner, table, [part], plain);
  shelf.rows.write.putParticulars(part, school.id, learner.id, content, sealed, shelf.clock.now());
  shelf.change(learner, { [part]: content });
}

export function particularsOf(shelf: Shelf, school: School, learner: Learner, part: Part): Person {
  const sealed = shelf.rows.particulars(part, school.id, learner.id);
  if (!sealed) return Person.fromPartial({});
  return Person.decode(shelf.openFor(school, learner, part === 'birth' ? 'names' : 'contact', [part], sealed));
}

export function findLearner(shelf: Shelf, { eckId, schoolOins }: FindLearnerRequest): FindLearnerResponse {
  if (eckId === '') return { found: [] };
  const found = each(schoolOins, (schoolOin) => {
    const school = shelf.school(schoolOin, false);
    if (!school) return [];
    // A school of two sectors may know the number in both; each is a hit of its own.
    return [FIRST, ...school.sectors].flatMap((slot) => {
      const { learner } = lookup(shelf, school, 'learner', slot, 'eck_id', eckId);
      return learner ? [{ schoolOin, token: learner.token }] : [];
    });
  });
  return { found: found.flat() };
}

/** Names that were asked for by their mark though newer ones exist: they are in use, so they stay. */
export type Touched = Map<string, { school: number; learner: number; mark: string; atMs: number }>;

export function reveal(shelf: Shelf, request: RevealRequest, touched: Touched): Revealed[] {
  const school = shelf.school(request.schoolOin, false);
  if (request.pairwise && request.partyOin === '')
    throw new GatewayError('gateway.bug', 'Pseudonyms are of a party.', { where: 'party_oin' });
  const pairwise = request.pairwise
    ? ({ kind, token }: Learner) => shelf.pseudonyms(school!, request.partyOin, kind, request.pseudonyms ?? 0).of(token)
    : undefined;
  return each(request.wanted, ({ token, nameMark }) => {
    const told = school && shelf.byToken(school, token);
    if (!told) return { known: false, ref: undefined, person: undefined, forgetting: false };
    const learner = request.formerly ? told : shelf.whole(school, told);
    // What the learner itself lacks is known of it under another token.
    const having = (fact: 'mark' | 'birth' | 'contact') =>
      learner[fact] !== '' || request.formerly
        ? learner
        : (shelf.parts(school, learner).find((one) => one[fact] !== '') ?? learner);
    const person = request.names || request.contact ? Person.fromPartial({}) : undefined;
    if (request.names) {
      const named = having('mark');
      // A mark is of the token that it was made for.
      const mark = named === told ? namesIn(nameMark) || named.mark : named.mark;
      Object.assign(person!, namesOf(shelf, school, named, mark, touched));
      const { birthDate, gender } = particularsOf(shelf, school, having('birth'), 'birth');
      Object.assign(person!, { birthDate, gender });
    }
    if (request.contact) {
      const { email, accountName } = particularsOf(shelf, school, having('contact'), 'contact');
      Object.assign(person!, { email, accountName: accountName && pairwise ? pairwise(learner) : accountName });
    }
    const ref = !request.numbers
      ? undefined
      : pairwise
        ? { eckId: asUri(pairwise(learner)), lasKey: pairwise(learner) }
        : numbersOf(shelf, school, request.formerly ? [learner] : shelf.parts(school, learner));
    return { known: true, ref, person, forgetting: learner.waitsMs !== undefined };
  });
}

/** Names under a mark. With `touched`, those that are not the newest are noted as asked for. */
export function namesOf(
  shelf: Shelf,
  school: School,
  learner: Learner,
  mark: string,
  touched?: Touched,
): Partial<Person> {
  const row = shelf.rows.names(school.id, learner.id).find((one) => one.mark === mark);
  if (!row) return {};
  const now = shelf.clock.now();
  if (mark !== learner.mark && now - row.touchedMs > DAY_MS)
    touched?.set(`${learner.id} ${mark}`, { school: school.id, learner: learner.id, mark, atMs: now });
  const { familyName, familyNamePrefix, givenNames, initials, callName } = Person.decode(
    shelf.openFor(school, learner, 'names', ['name', mark], row.sealed),
  );
  return { familyName, familyNamePrefix, givenNames, initials, callName };
}

/** The first ECK iD and the first key: what was shown outward once stays so, also when the school changes its LAS. */
function numbersOf(shelf: Shelf, school: School, parts: readonly Learner[]): LearnerRef {
  const ref: LearnerRef = { eckId: '', lasKey: '' };
  for (const learner of parts) {
    if (ref.eckId !== '' && ref.lasKey !== '') break;
    for (const { ordinal, sealed } of shelf.rows.numbers(school.id, learner.id)) {
      const linked = LearnerRef.decode(shelf.openFor(school, learner, 'numbers', ['ref', ordinal], sealed));
      ref.eckId ||= linked.eckId;
      ref.lasKey ||= linked.lasKey;
    }
  }
  return ref;
}
