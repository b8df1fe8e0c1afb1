/**
 * What becomes of mandates: pure. A decision looks at all mandates of one pair (school, party), because the key belongs
 * to the pair and a school narrows what its board gave.
 *
 * Dates are for the doors: a mandate with `valid_from` in the future is active here, and each door judges it by the
 * clock. Only ends are decided here, by timers, so that an end is an event that everyone hears.
 */
import { dutchDay, endOfDutchDay, isDay, isPartyOin, isSiteCode } from '#kernel';
import { Mandate, MandateState, ProcessingPurpose, Service } from '#proto/eduk/core/v1/party';
import type { DefaultAttributes, MandateChangeSubmitted, MandateSubmitted } from '#proto/eduk/events/v1/parties';
import { type PartyEvent, refused } from './party.ts';

/** A mandate as it stands. */
export interface StandingMandate {
  mandate: Mandate;
  /** Who entered it. */
  byOin: string;
  /** As it was first taken in: of a board's, what a school may narrow. */
  given: Mandate;
}

/** All mandates of a school and a party, and the digest of the key they share; empty = no key yet. */
export interface Pair {
  mandates: readonly StandingMandate[];
  keyDigest: Uint8Array;
}

/** What a decider may ask besides the pair. */
export interface MandateWorld {
  /** Unix milliseconds. */
  now: number;
  /** Whether this OIN is a registered board. */
  isBoard(oin: string): boolean;
  /** Whether a party, registered by now, wants to accept each mandate for it. */
  requiresAcceptance(oin: string): boolean;
}

export const noPair: Pair = { mandates: [], keyDigest: new Uint8Array() };

/** Bytes of a SHA-256. */
const DIGEST_BYTES = 32;

const {
  MANDATE_STATE_UNCONFIRMED: UNCONFIRMED,
  MANDATE_STATE_ACTIVE: ACTIVE,
  MANDATE_STATE_RUN_OFF: RUN_OFF,
  MANDATE_STATE_ENDED: ENDED,
} = MandateState;

/** What both sides are told of a change; the words of WatchMandates. */
type Change = 'entered' | 'confirmed' | 'accepted' | 'narrowed' | 'run_off' | 'ended' | 'changed';

const changed = (mandate: Mandate, byOin: string, change: Change): PartyEvent => ({
  type: 'MandateChanged',
  value: { mandate, byOin, unchanged: false, change, reason: '' },
});
/** It stood so already. */
const same = (mandate: Mandate, byOin: string): PartyEvent => ({
  type: 'MandateChanged',
  value: { mandate, byOin, unchanged: true, change: '', reason: '' },
});

/** One that holds, of the same agreement, that gives the party all of this and maybe more. */
function coveredBy(
  pair: Pair,
  asked: Mandate,
  defaults: readonly DefaultAttributes[],
  today: string,
): Mandate | undefined {
  const isSameList = (a: readonly unknown[], b: readonly unknown[]): boolean => a.join('|') === b.join('|');
  return pair.mandates.find(({ mandate: has, ...rest }) => {
    if (has.state !== ACTIVE || has.mandateId === asked.mandateId) return false;
    if (has.agreement !== asked.agreement || has.agreementVersion !== asked.agreementVersion) return false;
    if (has.pairwise && !asked.pairwise) return false;
    // Days before those that it said yes to are more, too.
    if (has.validFrom > asked.validFrom && has.validFrom > today) return false;
    if (
      has.purposes.length > 0 &&
      !(asked.purposes.length > 0 && asked.purposes.every((p) => has.purposes.includes(p)))
    )
      return false;
    const left = within([{ ...rest, mandate: has, given: has }], asked, defaults);
    return (
      typeof left !== 'string' &&
      isSameList(left.services, asked.services) &&
      isSameList(left.siteCodes, asked.siteCodes) &&
      isSameList(left.attributes, asked.attributes) &&
      left.validUntil === asked.validUntil
    );
  })?.mandate;
}

/** Whether only the party's word is wanting: the school has confirmed it. */
const awaitsParty = ({ requiresAcceptance, acceptedBy }: Mandate): boolean => requiresAcceptance && acceptedBy === '';

/**
 * A mandate was entered. School and party need not be registered: that may come later. `idTaken`: another party's mandate
 * of this school has this id.
 */
export function decideMandate(
  pair: Pair,
  submitted: MandateSubmitted,
  idTaken: boolean,
  world: MandateWorld,
): PartyEvent[] {
  const given = submitted.mandate ?? Mandate.fromPartial({});
  const id = given.mandateId;
  const told = whatIsWrong(given, dutchDay(world.now));
  if (told) return [refused(id, 'wire.invalid', told)];
  if (idTaken) return [refused(id, 'state.conflict', 'Another mandate has this id.')];
  const by = submitted.byOin;
  const asked: Mandate = {
    ...given,
    services: inOrder(given.services),
    attributes: [...new Set(given.attributes)].sort(),
    purposes: inOrder(given.purposes),
    siteCodes: [...new Set(given.siteCodes)].sort(),
    state: UNCONFIRMED,
    runOffUntil: '',
    requiresAcceptance: given.requiresAcceptance || world.requiresAcceptance(given.partyOin),
    confirmedBy: submitted.confirm ? by : '',
    acceptedBy: '',
    endedBy: '',
    boardOin: given.boardOin || (by !== given.schoolOin && world.isBoard(by) ? by : ''),
    narrowed: [],
    enteredBy: by,
  };
  const agreed = coveredBy(pair, asked, submitted.defaults, dutchDay(world.now));
  // Less than the party has already needs no other yes of it.
  if (agreed) {
    asked.requiresAcceptance = given.requiresAcceptance || agreed.requiresAcceptance;
    asked.acceptedBy = agreed.acceptedBy;
  }
  if (submitted.confirm && !awaitsParty(asked)) asked.state = ACTIVE;
  const mandate = beside(pair, asked, submitted.defaults);
  if (typeof mandate === 'string') return [refused(id, 'party.forbidden', mandate)];
  const before = pair.mandates.find((m) => m.mandate.mandateId === id);
  if (before) {
    // Entering the same mandate twice is entering it once.
    return sameGrant(before.given, mandate)
      ? [same(before.mandate, by)]
      : [refused(id, 'state.conflict', 'Another mandate has this id.')];
  }
  return [changed(mandate, by, 'entered'), ...(mandate.state === ACTIVE ? takeOver(pair, mandate, by) : [])];
}

/** A change of one mandate was asked: `confirm`, `accept`, `refuse`, `run_off`, `stop`, `key` or `register`. */
export function decideMandateChange(pair: Pair, asked: MandateChangeSubmitted, world: MandateWorld): PartyEvent[] {
  const { mandateId: id, byOin: by } = asked;
  const standing = pair.mandates.find((m) => m.mandate.mandateId === id);
  if (!standing) return [refused(id, 'state.missing', 'This school has no mandate with this id.')];
  const { mandate } = standing;
  if (mandate.state === ENDED)
    return [refused(id, 'mandate.ended', 'An ended mandate does not change; give a new one.')];
  switch (asked.change) {
    case 'confirm': {
      if (mandate.state === RUN_OFF)
        return [refused(id, 'state.conflict', 'A mandate that runs off cannot be confirmed; give a new one.')];
      // Confirming twice is confirming once.
      if (mandate.state === ACTIVE || mandate.confirmedBy !== '') return [same(mandate, by)];
      const confirmed = { ...mandate, confirmedBy: by };
      return awaitsParty(confirmed)
        ? [changed(confirmed, by, 'confirmed')]
        : activated(pair, confirmed, asked, 'confirmed');
    }
    case 'accept': {
      if (mandate.acceptedBy !== '' || mandate.state !== UNCONFIRMED) return [same(mandate, by)];
      const accepted = { ...mandate, acceptedBy: by };
      return mandate.confirmedBy === ''
        ? [changed(accepted, by, 'accepted')]
        : activated(pair, accepted, asked, 'accepted');
    }
    case 'refuse':
      // Only what it has itself: what the school gave beside it, the party refuses by its own id.
      return [changed({ ...mandate, state: ENDED, endedBy: by }, by, 'ended')];
    case 'run_off': {
      const until = asked.runOffUntil;
      if (!isDay(until) || until < dutchDay(world.now))
        return [refused(id, 'wire.invalid', 'A run-off needs a last day that is not past.')];
      if (mandate.state === UNCONFIRMED)
        return [refused(id, 'state.conflict', 'A mandate that was never confirmed has nothing to run off.')];
      // What the school lets end sooner by itself is not made longer by its board.
      return toldToEnd(pair, standing, asked, world).map((m) =>
        changed(
          { ...m, state: RUN_OFF, runOffUntil: m.mandateId === id ? until : sooner(m, until), endedBy: by },
          by,
          'run_off',
        ),
      );
    }
    case 'stop':
      return toldToEnd(pair, standing, asked, world).map((m) =>
        changed({ ...m, state: ENDED, endedBy: by }, by, 'ended'),
      );
    case 'register': {
      const told = asRegistered(pair, standing, asked, world);
      return [typeof told === 'string' ? refused(id, 'state.conflict', told) : told];
    }
    case 'key':
      if (asked.keyDigest.length !== DIGEST_BYTES) return [refused(id, 'wire.invalid', 'A new key needs its digest.')];
      return [changed(mandate, by, 'changed')];
    default:
      return [refused(id, 'wire.invalid', 'This change is not on the list.')];
  }
}

/** Both sides have said yes: from now on it holds beside what stands. */
function activated(pair: Pair, mandate: Mandate, asked: MandateChangeSubmitted, change: Change): PartyEvent[] {
  const { mandateId, byOin } = asked;
  const full = { ...mandate, services: offered(mandate), narrowed: [], state: ACTIVE };
  const active = beside(pair, full, asked.defaults);
  if (typeof active === 'string') return [refused(mandateId, 'party.forbidden', active)];
  return [changed(active, byOin, change), ...takeOver(pair, active, byOin)];
}

/**
 * The register that a mandate was taken from says otherwise of its days or endpoints. What it let run off and names again
 * goes on; what anybody else let run off stays so. The words that refuse it, where it is no mandate of that register.
 */
function asRegistered(
  pair: Pair,
  { mandate, given }: StandingMandate,
  asked: MandateChangeSubmitted,
  world: MandateWorld,
): PartyEvent | string {
  const { registered, byOin: by } = asked;
  if (!registered || mandate.source === '' || registered.source !== mandate.source)
    return 'Only the register that a mandate was taken from changes it.';
  const { validFrom, validUntil, endpoints } = registered;
  const goesOn = mandate.state === RUN_OFF && mandate.endedBy === mandate.source;
  const full: Mandate = {
    ...mandate,
    services: given.services,
    validFrom,
    validUntil,
    endpoints,
    ...(goesOn ? { state: ACTIVE, runOffUntil: '', endedBy: '' } : {}),
  };
  const wrong = whatIsWrong(full, dutchDay(world.now));
  if (wrong) return wrong;
  const next = within(boardMandates(pair), full, asked.defaults);
  if (typeof next === 'string') return next;
  return isSame(next, mandate) ? same(mandate, by) : changed(next, by, 'changed');
}

/** A day on which a mandate might end is over. Nothing, where it was moved or ended before. */
export function decideEnd(pair: Pair, mandateId: string, world: MandateWorld): PartyEvent[] {
  const standing = pair.mandates.find((m) => m.mandate.mandateId === mandateId);
  if (!standing || standing.mandate.state === ENDED) return [];
  const endsAt = endOf(standing.mandate);
  if (endsAt === undefined || endsAt > world.now) return [];
  return [changed({ ...standing.mandate, state: ENDED }, '', 'ended')];
}

/** When a mandate ends by itself, Unix milliseconds: after the last Dutch day of validity or run-off, whichever is first. */
export function endOf(mandate: Mandate): number | undefined {
  if (mandate.state === ENDED) return undefined;
  const days = [mandate.validUntil, mandate.state === RUN_OFF ? mandate.runOffUntil : ''].filter((day) => day !== '');
  return days.length === 0 ? undefined : Math.min(...days.map(endOfDutchDay));
}

/** The digest of the pair's key after a record: the first one stays, and only the change `key` replaces it. */
export function keyAfter(pair: Pair, given: Uint8Array, renew: boolean): Uint8Array {
  return given.length === DIGEST_BYTES && (renew || pair.keyDigest.length === 0) ? given : pair.keyDigest;
}

/** The pair after an event about one of its mandates. */
export function evolve(pair: Pair, event: PartyEvent): Pair {
  if (event.type !== 'MandateChanged' || !event.value.mandate) return pair;
  const { mandate, byOin } = event.value;
  const known = pair.mandates.some((m) => m.mandate.mandateId === mandate.mandateId);
  const mandates = known
    ? pair.mandates.map((m) => (m.mandate.mandateId === mandate.mandateId ? { ...m, mandate } : m))
    : [...pair.mandates, { mandate, byOin, given: mandate }];
  return { ...pair, mandates };
}

function whatIsWrong(mandate: Mandate, today: string): string | undefined {
  if (mandate.mandateId === '') return 'A mandate needs an id.';
  if (!isPartyOin(mandate.schoolOin)) return 'The OIN of the school must have 20 characters.';
  if (!isPartyOin(mandate.partyOin)) return 'The OIN of the party must have 20 characters.';
  if (mandate.services.length === 0) return 'A mandate names at least one service.';
  if (
    mandate.services.some(
      (s) => s === Service.SERVICE_UNSPECIFIED || s === Service.UNRECOGNIZED || !Object.values(Service).includes(s),
    )
  )
    return 'A service is not on the list.';
  if (mandate.services.every((service) => service === Service.SERVICE_ACT))
    return 'To act for the school is for the other services that the mandate names: name one.';
  if (mandate.purposes.some((purpose) => !purposesKnown.has(purpose))) return 'A purpose is not on the list.';
  if (mandate.siteCodes.some((code) => code === '' || !isSiteCode(code))) return 'The code of a site is two digits.';
  for (const day of [mandate.validFrom, mandate.validUntil])
    if (day !== '' && !isDay(day)) return 'A date must be a day that exists, YYYY-MM-DD.';
  if (mandate.validUntil !== '' && mandate.validUntil < today) return 'The last day is past.';
  if (mandate.validFrom !== '' && mandate.validUntil !== '' && mandate.validUntil < mandate.validFrom)
    return 'The last day is before the first.';
  return undefined;
}

const purposesKnown: ReadonlySet<ProcessingPurpose> = new Set(
  Object.values(ProcessingPurpose).filter((purpose) => purpose > ProcessingPurpose.PROCESSING_PURPOSE_UNSPECIFIED),
);

const inOrder = <T extends number>(some: Iterable<T>): T[] => [...new Set(some)].sort((a, b) => a - b);

/** What a board gave: what holds of it, and what the school decides itself. */
const offered = (mandate: Mandate): Service[] => inOrder([...mandate.services, ...mandate.narrowed]);

/** What the board gave this party for this school and has not ended. */
const boardMandates = (pair: Pair): StandingMandate[] =>
  pair.mandates.filter(({ mandate }) => isOfBoard(mandate) && mandate.state !== ENDED && mandate.state !== UNCONFIRMED);

/** The others are the school's own: an operator who enters one for a school stands in for it. */
const isOfBoard = (mandate: Mandate): boolean => mandate.boardOin !== '';

/**
 * Services about which the school itself decided: it gave them, or withdrew what its board gave. From then on they are
 * the school's to give, so that no later grant of the board widens what it narrowed.
 */
function decidedBySchool(pair: Pair): Service[] {
  return pair.mandates.flatMap(({ mandate }) =>
    isOfBoard(mandate) ? mandate.narrowed : mandate.state === UNCONFIRMED ? [] : mandate.services,
  );
}

/**
 * A mandate beside those that stand. A board's holds for what the school did not decide itself. A school's own holds no
 * more than its board gave, and without a mandate of the board what was asked; nothing left = the words that refuse it.
 */
function beside(pair: Pair, asked: Mandate, defaults: readonly DefaultAttributes[]): Mandate | string {
  if (!isOfBoard(asked)) return within(boardMandates(pair), asked, defaults);
  const decided = new Set(decidedBySchool(pair));
  return {
    ...asked,
    services: asked.services.filter((service) => !decided.has(service)),
    narrowed: asked.services.filter((service) => decided.has(service)),
  };
}

function within(
  boards: readonly StandingMandate[],
  asked: Mandate,
  defaults: readonly DefaultAttributes[],
): Mandate | string {
  if (boards.length === 0) return asked;
  const services = asked.services.filter((s) => boards.some((b) => offered(b.given).includes(s)));
  if (services.length === 0) return 'The board did not give this party these services.';
  const sharing = boards.filter((b) => offered(b.given).some((s) => services.includes(s)));
  const siteCodes = sitesWithin(sharing, asked.siteCodes);
  if (!siteCodes) return 'The board did not give this party these sites.';
  const attributes = attributesWithin(sharing, { ...asked, services }, defaults);
  if (!attributes) return 'The board did not give this party these attributes for these services.';
  // Empty means no end, so one board mandate without an end sets none.
  const ends = sharing.map((b) => b.given.validUntil);
  const last = ends.includes('') ? '' : ends.sort().at(-1)!;
  const validUntil = last !== '' && (asked.validUntil === '' || asked.validUntil > last) ? last : asked.validUntil;
  return { ...asked, services, siteCodes, validUntil, attributes };
}

/** The asked sites that the board gave; no codes are the whole school. Undefined = none is left. */
function sitesWithin(boards: readonly StandingMandate[], asked: readonly string[]): string[] | undefined {
  if (boards.some((b) => b.given.siteCodes.length === 0)) return [...asked];
  const given = new Set(boards.flatMap((b) => b.given.siteCodes));
  const left = asked.length === 0 ? [...given].sort() : asked.filter((code) => given.has(code));
  return left.length === 0 ? undefined : left;
}

/**
 * The asked attributes that the board gave for every service asked. An empty list means what each service releases by
 * default, so it is compared as that, and is never what is left of a list: then there is nothing to give.
 */
function attributesWithin(
  boards: readonly StandingMandate[],
  asked: Mandate,
  defaults: readonly DefaultAttributes[],
): string[] | undefined {
  const released = (attributes: readonly string[], service: Service): readonly string[] =>
    attributes.length > 0 ? attributes : (defaults.find((one) => one.service === service)?.attributes ?? []);
  const most = (service: Service): Set<string> =>
    new Set(
      boards.filter((b) => offered(b.given).includes(service)).flatMap((b) => released(b.given.attributes, service)),
    );
  const fits = asked.services.every((service) => {
    const given = most(service);
    return released(asked.attributes, service).every((attribute) => given.has(attribute));
  });
  if (fits) return asked.attributes;
  const left = asked.services
    .map((service) => released(asked.attributes, service).filter((attribute) => most(service).has(attribute)))
    .reduce((both, one) => both.filter((attribute) => one.includes(attribute)));
  return left.length === 0 ? undefined : [...left].sort();
}

/**
 * A school's own mandate stands instead of the board's for the services it names: the board's keeps the others, so that
 * a door may simply add up what stands.
 */
function takeOver(pair: Pair, own: Mandate, byOin: string): PartyEvent[] {
  if (isOfBoard(own)) return [];
  return boardMandates(pair)
    .filter((b) => b.mandate.services.some((s) => own.services.includes(s)))
    .map(({ mandate }) =>
      changed(
        {
          ...mandate,
          services: mandate.services.filter((s) => !own.services.includes(s)),
          narrowed: inOrder([...mandate.narrowed, ...mandate.services.filter((s) => own.services.includes(s))]),
        },
        byOin,
        'narrowed',
      ),
    );
}

/**
 * The mandates that an end is about. A board's takes along what the school narrowed from it, unless the school itself
 * speaks: then only that one ends, and what it gave is remembered as the school's to give.
 */
function toldToEnd(
  pair: Pair,
  standing: StandingMandate,
  asked: MandateChangeSubmitted,
  world: MandateWorld,
): Mandate[] {
  const { mandate } = standing;
  if (!isOfBoard(mandate)) return [mandate];
  const bySchool = asked.byOin === mandate.schoolOin;
  const byBoard = asked.boardOin !== '' || (!bySchool && world.isBoard(asked.byOin));
  const told = byBoard ? mandate : { ...mandate, narrowed: offered(mandate) };
  if (bySchool && !byBoard) return [told];
  const below = pair.mandates
    .map((m) => m.mandate)
    .filter(
      (own) =>
        !isOfBoard(own) &&
        own.state !== ENDED &&
        own.state !== UNCONFIRMED &&
        own.services.some((s) => offered(standing.given).includes(s)),
    );
  return [told, ...below];
}

const sooner = ({ state, runOffUntil }: Mandate, until: string): string =>
  state === RUN_OFF && runOffUntil < until ? runOffUntil : until;

const isSame = (a: Mandate, b: Mandate): boolean =>
  Buffer.compare(Mandate.encode(a).finish(), Mandate.encode(b).finish()) === 0;

/** Whether two grants say the same; the state, and what the school decides itself, is what became of them. */
const sameGrant = (a: Mandate, b: Mandate): boolean => {
  const bytes = (m: Mandate) =>
    Mandate.encode({
      ...m,
      services: offered(m),
      narrowed: [],
      state: MandateState.MANDATE_STATE_UNSPECIFIED,
      confirmedBy: '',
      acceptedBy: '',
      // The party may have changed its mind about all its mandates since.
      requiresAcceptance: false,
    }).finish();
  return Buffer.compare(bytes(a), bytes(b)) === 0;
};
