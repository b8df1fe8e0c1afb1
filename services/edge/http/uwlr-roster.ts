/**
 * A roster for a learning application (UWLR): what it asked for, as far as it may have it, written page by page. Who is at school
 * is read first, as tokens; people are revealed a page at a time, written, and let go of, so that no school is in memory as
 * names, nor as a document.
 */
import {
  type AnswerForm,
  type AskedGroup,
  type FieldSet,
  fieldSetOf,
  type RosterOperation,
  type RosterQuestion,
  RosterWriter,
  rosterOperations,
  writeEmpty,
} from '#adapters/uwlr';
import { Clear, GatewayError } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';
import { Service } from '#proto/eduk/core/v1/party';
import type { GetRosterResponse } from '#proto/eduk/rosters/v1/rosters';
import { attributeSets, type Purpose, type RosterEntries, revealRoster, revealTexts } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { purposeFor, requireSite } from '../purpose.ts';
import type { ReadOutcome, RosterRead } from '../roster-reads.ts';

/** Learners revealed and written at once. */
const PAGE = 250;
/** Learners read at once, as tokens. */
const READ = 1_000;
/** A roster that changes while it is read is read again; one that changes all the time is not. */
const ATTEMPTS = 3;

export interface RosterAsked {
  operation: RosterOperation;
  school: string;
  question: RosterQuestion;
}

/** The sets as their agreement calls them. */
const setNames: Readonly<Record<FieldSet, string>> = { smalle: 'Smalle set', lvs: 'LVS-set', whole: 'all fields' };

/** An answer: what it begins with, which is all of it where there are no more pages. */
export interface RosterAnswered {
  first: string;
  rest?: AsyncGenerator<string>;
  /** What was read, and what came of it: once all of it is written. */
  read(): { read: RosterRead; outcome: ReadOutcome };
}

/** Faults: mandate.*, state.missing, wire.invalid, gateway.overloaded (it changes all the time), gateway.bug. */
export async function answerRoster(gate: Gate, caller: Caller, asked: RosterAsked): Promise<RosterAnswered> {
  const { door } = gate;
  const { operation, school, question } = asked;
  const purpose = purposeFor(door, caller, school, Service.SERVICE_ROSTER);
  const site = question.school.siteCode;
  requireSite(purpose, site);
  const whole = await readWhole(gate, { school, asked: question.schoolYear, site });
  const { schoolYear } = whole;
  const form: AnswerForm = { version: question.version, fields: fieldSetOf(question.setName) ?? smallestFor(purpose) };
  const read: RosterRead = {
    ...{ partyOin: caller.oin, method: `uwlr/${operation}`, schoolOin: school, schoolYear, siteCode: site },
    form: `UWLR ${form.version} ${setNames[form.fields]}`,
  };
  const nothing = {
    first: writeEmpty(operation, 'geengegevens'),
    read: () => ({ read, outcome: { kind: 'nothing' } as const }),
  };
  if (!whole.known || (whole.learners.length === 0 && !(operation === 'HaalStructuur' && whole.groups.length > 0)))
    return nothing;
  const chosen = await groupsChosen(gate, purpose, whole, question.groups);
  if (question.changedSince !== undefined) {
    const { changedMs } = await door.services.rosters.getLastChange({
      schoolOin: school,
      schoolYear: question.schoolYear,
      siteCode: site,
      kinds: kindsOf(operation),
      groups: chosen ? [...chosen.tokens] : [],
      noBase: chosen?.noBase ?? false,
      noComposite: chosen?.noComposite ?? false,
    });
    // Nobody has received anything in days to come: who says so does not know since when, and gets all of it.
    const isKnown = question.changedSince <= Math.max(door.clock.now(), Number(whole.changedMs));
    if (isKnown && Number(changedMs) <= question.changedSince)
      return {
        first: writeEmpty(operation, 'geenwijzigingen'),
        read: () => ({ read, outcome: { kind: 'unchanged' } }),
      };
  }
  const entries = inToldGroups(entriesFor(operation, whole, chosen), whole, purpose);
  const about = {
    schoolYear,
    asOf: whole.asOf,
    madeAt: new Date(Number(whole.changedMs)).toISOString(),
    siteCode: site,
  };
  const reveal = (some: Partial<RosterEntries>, under: Purpose): Promise<Clear<Roster>> =>
    revealRoster(door.services.vault, under, about, { sites: [], groups: [], learners: [], staff: [], ...some });

  const writer = new RosterWriter(operation, form, question.school.schoolKey);
  const told = { learners: 0, staff: 0 };

  async function* pieces(): AsyncGenerator<string> {
    let opening = writer.open(await reveal({ sites: whole.sites, groups: whole.groups }, purpose));
    const counted = (page: Clear<Roster>): Clear<Roster> =>
      new Clear(
        page.reveal((it) => {
          const named = { ...it, learners: it.learners.filter(isNamed), staff: it.staff.filter(isNamed) };
          told.learners += named.learners.length;
          told.staff += named.staff.length;
          writer.losses.add('leerling', 'minimised', it.learners.length - named.learners.length);
          writer.losses.add('leerkracht', 'minimised', it.staff.length - named.staff.length);
          return named;
        }),
      );
    const isEmpty = () => told.learners + told.staff === 0;
    for (let from = 0; from < entries.learners.length; from += PAGE) {
      // The mandate may have ended while a slow reader took its time.
      const under = from === 0 ? purpose : stillFor(gate, caller, purpose);
      const page = await reveal({ learners: entries.learners.slice(from, from + PAGE) }, under);
      const piece = writer.learners(counted(page));
      if (piece === '') continue;
      yield opening + piece;
      opening = '';
    }
    // Of a school whose pupils nobody may know, there is nothing; the schema has no place for a roster without any.
    if (isEmpty() && rosterOperations[operation].has.includes('leerlingen' as never)) {
      yield nothing.first;
      return;
    }
    // Also after the last page: staff are people too.
    const under = entries.learners.length > 0 ? stillFor(gate, caller, purpose) : purpose;
    const staff = counted(await reveal({ staff: entries.staff }, under));
    if (isEmpty() && operation === 'HaalLeerkrachten') yield nothing.first;
    else yield opening + writer.close(staff);
  }

  // The first piece is made before anything is sent: what goes wrong there is answered by a fault.
  const rest = pieces();
  const { value: first = '' } = await rest.next();
  const hasStructure = rosterOperations[operation].has.includes('groepen' as never);
  const outcome = (): ReadOutcome =>
    told.learners + told.staff === 0 && operation !== 'HaalStructuur'
      ? { kind: 'nothing' }
      : { kind: 'roster', ...told, groups: hasStructure ? whole.groups.length : 0, losses: writer.losses.list() };
  const answered = { read: () => ({ read, outcome: outcome() }) };
  if (entries.learners.length > PAGE) return { first, rest, ...answered };
  let all: string = first;
  for await (const piece of rest) all += piece;
  return { first: all, ...answered };
}

/** A receiver that may have none of the names that somebody goes by is not told of them: it could not tell who it is. */
const isNamed = ({ ref }: { ref: { lasKey: string; eckId: string } | undefined }): boolean =>
  ref !== undefined && (ref.lasKey !== '' || ref.eckId !== '');

/** Throws when the mandate ended, or gives something else, since the answer began. */
function stillFor({ door }: Gate, caller: Caller, before: Purpose): Purpose {
  const now = purposeFor(door, caller, before.school, before.service);
  const isSame =
    now.pairwise === before.pairwise &&
    now.released.size === before.released.size &&
    [...now.released].every((name) => before.released.has(name));
  if (!isSame) throw new GatewayError('mandate.ended', 'The mandate changed while the answer was on its way.');
  return now;
}

/** The smallest set of fields that has everything released. */
function smallestFor({ released }: Purpose): FieldSet {
  const within = (set: readonly string[]) => [...released].every((name) => set.includes(name));
  if (within(attributeSets['smalle-set'])) return 'smalle';
  return within(attributeSets['lvs-set']) ? 'lvs' : 'whole';
}

/** Everyone as of one moment: read again where it changed between two pages. `asked`: empty = the year that the school is in. */
async function readWhole(
  { door }: Gate,
  { school, asked, site }: { school: string; asked: string; site: string },
): Promise<GetRosterResponse> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const page = (schoolYear: string, after: string) =>
      door.services.rosters.getRoster({ schoolOin: school, schoolYear, limit: READ, after, siteCode: site });
    const whole = await page(asked, '');
    let isOne = true;
    for (let next = whole.next; isOne && next !== ''; ) {
      const more = await page(whole.schoolYear, next);
      // The first may be as new as the turn of the year.
      isOne = more.changedMs <= whole.changedMs;
      whole.learners.push(...more.learners);
      next = more.next;
    }
    if (isOne) return whole;
  }
  throw new GatewayError('gateway.overloaded', 'The roster changed while it was read.', { retryAfterS: 5 });
}

const kindsOf = (operation: RosterOperation): string[] =>
  operation === 'HaalStructuur'
    ? ['structure']
    : operation === 'HaalLeerlingen'
      ? ['learner']
      : operation === 'HaalLeerkrachten'
        ? ['staff']
        : [];

/** Groups that were asked for, as tokens; `noBase`, `noComposite`: also who is in none of that kind. */
interface Chosen {
  tokens: ReadonlySet<string>;
  noBase: boolean;
  noComposite: boolean;
  isComposite: (token: string) => boolean;
}

/** Undefined = everyone. A receiver that may know of no groups sees everyone as being in none. */
async function groupsChosen(
  { door }: Gate,
  purpose: Purpose,
  { groups }: GetRosterResponse,
  asked: Clear<AskedGroup[]> | undefined,
): Promise<Chosen | undefined> {
  if (!asked) return undefined;
  const none = (composite: boolean) =>
    asked.reveal((list) => list.some((g) => g.key === '' && g.composite === composite));
  const [noBase, noComposite] = [none(false), none(true)];
  if (!purpose.released.has('groups') && (noBase || noComposite)) return undefined;
  const composite = new Set(groups.flatMap((group) => (group.composite ? [group.group] : [])));
  const texts = await revealTexts(door.services.vault, purpose, { keys: groups.map(({ group }) => group) });
  const tokens = texts.reveal(({ keys }) =>
    asked.reveal((list) => {
      const wanted = new Set(list.map(({ key }) => key).filter((key) => key !== ''));
      return new Set([...keys].flatMap(([token, key]) => (wanted.has(key) ? [token] : [])));
    }),
  );
  return { tokens, noBase, noComposite, isComposite: (token) => composite.has(token) };
}

/** Of a mandate for some sites, groups of other sites are not told of, also not as where somebody is. */
function inToldGroups(
  entries: Pick<RosterEntries, 'learners' | 'staff'>,
  { groups }: GetRosterResponse,
  { sites }: Purpose,
): Pick<RosterEntries, 'learners' | 'staff'> {
  if (!sites) return entries;
  const told = new Set(
    groups.flatMap(({ group, siteCodes }) => (siteCodes.some((code) => sites.has(code)) ? [group] : [])),
  );
  return {
    learners: entries.learners.map((one) => ({
      ...one,
      group: told.has(one.group) ? one.group : '',
      compositeGroups: one.compositeGroups.filter((group) => told.has(group)),
    })),
    staff: entries.staff.map((one) => ({ ...one, groups: one.groups.filter(({ group }) => told.has(group)) })),
  };
}

/** Who is told of by an operation: nobody else is revealed. */
function entriesFor(
  operation: RosterOperation,
  { learners, staff }: GetRosterResponse,
  chosen: Chosen | undefined,
): Pick<RosterEntries, 'learners' | 'staff'> {
  const has: readonly string[] = rosterOperations[operation].has;
  const isIn = (groups: readonly string[]): boolean =>
    !chosen ||
    groups.some((group) => chosen.tokens.has(group)) ||
    (chosen.noBase && groups.every(chosen.isComposite)) ||
    (chosen.noComposite && !groups.some(chosen.isComposite));
  return {
    learners: has.includes('leerlingen')
      ? learners.filter(({ group, compositeGroups }) =>
          isIn(group === '' ? compositeGroups : [group, ...compositeGroups]),
        )
      : [],
    staff: has.includes('leerkrachten') ? staff.filter(({ groups }) => isIn(groups.map(({ group }) => group))) : [],
  };
}
