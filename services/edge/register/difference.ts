/**
 * What OSR says beside what stands here: pure. Only mandates that were taken from OSR are changed or ended; those that a
 * school, board or operator gave are looked at, so that nothing is given twice and nobody's withdrawal is undone.
 */
import { createHash } from 'node:crypto';
import type { Mandated, SchoolEndpoint } from '#adapters/osr';
import { brinOf, type Fault } from '#kernel';
import { type Mandate, MandateState, RegisteredEndpoint, type Service } from '#proto/eduk/core/v1/party';
import { RegisterLine } from '#proto/eduk/operator/v1/operator';

/** Source of these mandates, and who says so. */
export const OSR = 'osr';

/** A question that was not answered. */
export interface Unanswered {
  fault: Fault;
  told: string;
}

/** What OSR said of one service of one school. */
export interface Said {
  school: string;
  /** Name that OSR gives the service. */
  namespace: string;
  /** Whether it knows the school; undefined = it was not asked, because it knows a mandate of it. */
  known: boolean | Unanswered | undefined;
  /** By OIN of the supplier. */
  suppliers: ReadonlyMap<string, Mandated | Unanswered>;
  endpoints: readonly SchoolEndpoint[] | Unanswered;
}

export interface Standing {
  /** Mandates of one school and party. */
  between(school: string, party: string): readonly Mandate[];
  /** What is wrong with an address; undefined = nothing. */
  problemWith(url: string): string | undefined;
  /** Reference day; a day after it on which a mandate has run off. */
  day: string;
  runOffUntil: string;
  services: ReadonlyMap<string, readonly Service[]>;
}

export interface Difference {
  lines: RegisterLine[];
  /** Mandates that stand as OSR has them. */
  unchanged: number;
  /** Mandates of OSR that stand here, of what was asked. */
  standing: number;
  /** Mandates that OSR knows. */
  positive: number;
}

const { MANDATE_STATE_ACTIVE: ACTIVE, MANDATE_STATE_RUN_OFF: RUN_OFF, MANDATE_STATE_ENDED: ENDED } = MandateState;

export const isUnanswered = (one: unknown): one is Unanswered =>
  typeof one === 'object' && one !== null && 'fault' in one;

/** Kinds of lines that change something; the others tell somebody something. */
export const changing: ReadonlySet<string> = new Set(['add', 'change', 'run_off', 'stop']);
export const ending: ReadonlySet<string> = new Set(['run_off', 'stop']);

export function compare(said: readonly Said[], at: Standing): Difference {
  const difference: Difference = { lines: [], unchanged: 0, standing: 0, positive: 0 };
  for (const one of said) ofService(one, at, difference);
  return difference;
}

function ofService(said: Said, at: Standing, to: Difference): void {
  const { school, namespace, suppliers } = said;
  const say = (kind: string, more: Partial<RegisterLine> = {}): void =>
    void to.lines.push(RegisterLine.fromPartial({ kind, schoolOin: school, sourceService: namespace, ...more }));
  const unanswered = (party: string, { fault, told }: Unanswered): void =>
    say('unanswered', { partyOin: party, code: fault, told: `${told} Nothing is changed.`, who: 'us' });
  const holders = [...suppliers].flatMap(([party, one]) => (!isUnanswered(one) && one.holds ? [party] : []));
  const lacking = [...suppliers.values()].some(isUnanswered);
  to.positive += holders.length;
  const endpoints = endpointsOf(said, holders, at, say);
  if (isUnanswered(said.endpoints)) unanswered('', said.endpoints);
  else if (holders.length === 0 && !lacking && said.endpoints.length > 0)
    say('unmatched_party', {
      told: 'OSR has an endpoint of this school, and none of the parties that are registered here is mandated: register its supplier, or ask the school.',
      who: 'us',
    });
  let isKnownTold = false;
  for (const [party, answer] of [...suppliers].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const pair = at.between(school, party);
    const own = pair.filter((m) => m.source === OSR && m.sourceService === namespace);
    const stands = own.find((m) => m.state === ACTIVE) ?? own.find((m) => m.state === RUN_OFF);
    if (stands?.state === ACTIVE) to.standing++;
    const about = { partyOin: party, services: stands?.services ?? [], mandateId: stands?.mandateId ?? '' };
    if (isUnanswered(answer)) {
      unanswered(party, answer);
      continue;
    }
    if (answer.holds) {
      if (stands) inForce(stands, answer, endpoints?.get(party), at, say, to);
      else newly(party, pair, answer, endpoints?.get(party) ?? [], said, at, say);
      continue;
    }
    if (stands?.state !== ACTIVE) continue;
    if (said.known === false) {
      if (!isKnownTold)
        say('unmatched_school', {
          ...about,
          told: 'OSR does not know this school any more: that alone ends nothing. End its mandates here, or have the school look at OSR.',
          who: 'us',
        });
      isKnownTold = true;
    } else if (said.known !== undefined && isUnanswered(said.known)) unanswered(party, said.known);
    else if (holders.length > 0)
      say('run_off', {
        ...about,
        runOffUntil: at.runOffUntil,
        told: 'OSR names another supplier now: no new orders or grants, and what runs goes on until that day.',
      });
    else if (lacking)
      // Who has it now is not known, so that neither is how this one ends.
      say('unanswered', {
        ...about,
        code: 'peer.unavailable',
        told: 'OSR ended this mandate, and did not answer who has it now. Nothing is changed.',
        who: 'us',
      });
    else say('stop', { ...about, told: 'OSR ended this mandate: its route is closed.' });
  }
  // A school that somebody asked about, or that is registered, without anything in OSR.
  if (said.known === false && !isKnownTold && holders.length === 0)
    say('unmatched_school', { told: 'OSR does not know this school.', who: 'us' });
}

type Say = (kind: string, more?: Partial<RegisterLine>) => void;

/** A mandate of OSR that OSR still has. */
function inForce(
  stands: Mandate,
  answer: Mandated,
  endpoints: readonly RegisteredEndpoint[] | undefined,
  at: Standing,
  say: Say,
  to: Difference,
): void {
  const { partyOin, services, mandateId } = stands;
  if (stands.state === RUN_OFF && stands.endedBy !== OSR) {
    say('ended_here', { partyOin, services, mandateId, told: ENDED_HERE, who: 'school' });
    return;
  }
  // Where OSR says OK and no days, those that stand are as good as any.
  const hasDays = answer.validFrom !== '';
  const days = {
    validFrom: hasDays ? answer.validFrom : stands.validFrom,
    validUntil: hasDays ? answer.validUntil : stands.validUntil,
  };
  const next = endpoints ?? stands.endpoints;
  const isSame =
    stands.state === ACTIVE &&
    days.validFrom === stands.validFrom &&
    // A board may have given it for a shorter time.
    (days.validUntil === stands.validUntil ||
      (stands.validUntil !== '' && isWithinBoards(stands, days.validUntil, at))) &&
    textOf(next) === textOf(stands.endpoints);
  if (isSame) to.unchanged++;
  else
    say('change', {
      partyOin,
      services,
      mandateId,
      ...days,
      endpoints: [...next],
      told: differs(stands, days, next),
    });
}

/** Whether a board's mandate is what keeps a mandate shorter than OSR has it. */
const isWithinBoards = ({ schoolOin, partyOin, validUntil }: Mandate, asked: string, at: Standing): boolean =>
  (asked === '' || asked > validUntil) &&
  at.between(schoolOin, partyOin).some((one) => one.boardOin !== '' && one.validUntil === validUntil);

function differs(
  stands: Mandate,
  days: { validFrom: string; validUntil: string },
  next: readonly RegisteredEndpoint[],
): string {
  const parts: string[] = [];
  if (stands.state === RUN_OFF) parts.push('it goes on');
  if (days.validFrom !== stands.validFrom) parts.push(`its first day was ${stands.validFrom || 'not set'}`);
  if (days.validUntil !== stands.validUntil) parts.push(`its last day was ${stands.validUntil || 'not set'}`);
  const before = new Map(stands.endpoints.map((one) => [nameOf(one), one]));
  for (const one of next) {
    const old = before.get(nameOf(one));
    if (!old) parts.push(`a new endpoint for ${one.routingId}`);
    else if (textOf([old]) !== textOf([one])) parts.push(`another endpoint for ${one.routingId}`);
    before.delete(nameOf(one));
  }
  for (const { routingId: gone } of before.values()) parts.push(`no endpoint any more for ${gone}`);
  return `${parts.join('; ')}.`;
}

/** Of one administration there may be several, one after the other. */
const nameOf = ({ routingId, validFrom }: RegisteredEndpoint): string => `${routingId} ${validFrom}`;

const ENDED_HERE =
  'It was ended here and not in OSR; it stays ended. The school ends it in OSR, or gives it here anew.';

/** A mandate that OSR has, and that was not taken from it yet. */
function newly(
  partyOin: string,
  pair: readonly Mandate[],
  { validFrom, validUntil }: Mandated,
  endpoints: readonly RegisteredEndpoint[],
  { namespace }: Said,
  at: Standing,
  say: Say,
): void {
  const asked = at.services.get(namespace) ?? [];
  const ended = asked.filter((service) => wasEndedHere(pair, service, validFrom));
  const covered = asked.filter(
    (service) => !ended.includes(service) && pair.some((m) => m.source === '' && holds(m, service, at.day)),
  );
  const services = asked.filter((service) => !ended.includes(service) && !covered.includes(service));
  if (ended.length > 0) say('ended_here', { partyOin, services: ended, told: ENDED_HERE, who: 'school' });
  if (covered.length > 0)
    say('covered', {
      partyOin,
      services: covered,
      told: 'A mandate that was given here holds; OSR adds nothing to what that one lists.',
    });
  if (services.length > 0) say('add', { partyOin, services, validFrom, validUntil, endpoints: [...endpoints] });
}

/** Whether a mandate lets its party have a service on a day. */
const holds = (mandate: Mandate, service: Service, day: string): boolean =>
  mandate.state === ACTIVE &&
  mandate.services.includes(service) &&
  (mandate.validFrom === '' || mandate.validFrom <= day) &&
  (mandate.validUntil === '' || mandate.validUntil >= day);

/**
 * Whether somebody here ended a mandate of this service, or let it run off: that is not undone by a register that was not
 * told. One that began in OSR after the other had begun is a new one.
 */
const wasEndedHere = (pair: readonly Mandate[], service: Service, began: string): boolean =>
  pair.some(
    (m) =>
      (m.state === ENDED || m.state === RUN_OFF) &&
      m.endedBy !== '' &&
      m.endedBy !== OSR &&
      m.services.includes(service) &&
      !(m.validFrom !== '' && began > m.validFrom),
  );

const textOf = (endpoints: readonly RegisteredEndpoint[]): string =>
  JSON.stringify(
    endpoints.map((one) => RegisteredEndpoint.toJSON(one)).map((one) => Object.entries(one as object).sort()),
  );

/** Endpoints by party, those of later days too, in the order of routing ids and days; undefined = it is not known which there are. */
function endpointsOf(
  { school, endpoints }: Said,
  holders: readonly string[],
  at: Standing,
  say: Say,
): Map<string, RegisteredEndpoint[]> | undefined {
  if (isUnanswered(endpoints)) return undefined;
  const found = new Map<string, RegisteredEndpoint[]>();
  for (const { endpoint, supplierOin } of endpoints) {
    const { routingId, url, validUntil } = endpoint;
    if (validUntil !== '' && validUntil < at.day) continue;
    const owner = supplierOin || (holders.length === 1 ? holders[0]! : '');
    if (brinOf(routingId) !== brinOf(school))
      say('endpoint', {
        partyOin: owner,
        told: 'An endpoint of another school was answered; it is left out.',
        who: 'us',
      });
    else if (owner === '' && holders.length > 1)
      say('endpoint', {
        told: `Of the endpoint of ${routingId} OSR does not say which of ${holders.length} suppliers answers there; it is left out.`,
        who: 'school',
      });
    else if (holders.includes(owner)) {
      const problem = at.problemWith(url);
      if (problem)
        say('endpoint', {
          partyOin: owner,
          code: 'wire.invalid',
          told: `The endpoint of ${routingId} ${problem}; it is left out.`,
          who: 'peer',
        });
      else found.set(owner, [...(found.get(owner) ?? []), endpoint]);
    }
  }
  for (const list of found.values()) list.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return new Map(holders.map((party) => [party, found.get(party) ?? []]));
}

/** So many may be added whatever stands: a few schools begin. */
const FEW_ADDED = 25;

/**
 * Why a difference must be approved; undefined = it need not. One mandate may always end; all of them, or more than a
 * share, wait: a source that is empty or half read never ends everybody. As many as would be that share wait where they are added, for a
 * source that says yes to everything would open every school to everybody; the first comparison of many schools is one of these.
 */
export function heldBecause(
  { lines, standing, positive }: Pick<Difference, 'lines' | 'standing' | 'positive'>,
  percent: number,
): 'empty' | 'ends_many' | 'adds_many' | undefined {
  const share = Math.floor((standing * percent) / 100);
  const ends = lines.filter(({ kind }) => ending.has(kind)).length;
  if (ends > 0 && positive === 0) return 'empty';
  if (ends > Math.max(1, share)) return 'ends_many';
  const added = lines.filter(({ kind }) => kind === 'add').length;
  return added > Math.max(FEW_ADDED, share) ? 'adds_many' : undefined;
}

/** Names what a difference would change: the same changes have the same name, on the next day too. */
export function holdIdOf({ lines }: Difference): string {
  const changes = lines
    .filter(({ kind }) => changing.has(kind))
    .map((line) => JSON.stringify(RegisterLine.toJSON({ ...line, runOffUntil: '', told: '' })))
    .sort();
  return `osr-${createHash('sha256').update(changes.join('\n')).digest('hex').slice(0, 16)}`;
}
