/**
 * What becomes of mandates: pure. A decision looks at all mandates of one pair (school, party), because the key belongs
 * to the pair and a school narrows what its board gave.
 *
 * Dates are for the doors: a mandate with `valid_from` in the future is active here, and each door judges it by the
 * clock. Only ends are decided here, by timers, so that an end is an event that everyone hears.
 */
import { dutchDay, endOfDutchDay, isDay, isPartyOin } from '#kernel';
import { Mandate, MandateState, Service } from '#proto/eduk/core/v1/party';
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

const changed = (mandate: Mandate, byOin: string, unchanged = false): PartyEvent => ({
  type: 'MandateChanged',
  value: { mandate, byOin, unchanged },
});

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
    state: submitted.confirm ? ACTIVE : UNCONFIRMED,
    runOffUntil: '',
    boardOin: given.boardOin || (by !== given.schoolOin && world.isBoard(by) ? by : ''),
    narrowed: [],
    enteredBy: by,
  };
  const mandate = beside(pair, asked, submitted.defaults);
  if (typeof mandate === 'string') return [refused(id, 'party.forbidden', mandate)];
  const before = pair.mandates.find((m) => m.mandate.mandateId === id);
  if (before) {
    // Entering the same mandate twice is entering it once.
    return sameGrant(before.given, mandate)
      ? [changed(before.mandate, by, true)]
      : [refused(id, 'state.conflict', 'Another mandate has this id.')];
  }
  return [changed(mandate, by), ...(mandate.state === ACTIVE ? takeOver(pair, mandate, by) : [])];
}

/** A change of one mandate was asked: `confirm`, `run_off`, `stop` or `key`. */
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
      if (mandate.state === ACTIVE) return [changed(mandate, by, true)]; // Confirming twice is confirming once.
      const full = { ...mandate, services: offered(mandate), narrowed: [], state: ACTIVE };
      const active = beside(pair, full, asked.defaults);
      if (typeof active === 'string') return [refused(id, 'party.forbidden', active)];
      return [changed(active, by), ...takeOver(pair, active, by)];
    }
    case 'run_off': {
      const until = asked.runOffUntil;
      if (!isDay(until) || until < dutchDay(world.now))
        return [refused(id, 'wire.invalid', 'A run-off needs a last day that is not past.')];
      if (mandate.state === UNCONFIRMED)
        return [refused(id, 'state.conflict', 'A mandate that was never confirmed has nothing to run off.')];
      // What the school lets end sooner by itself is not made longer by its board.
      return toldToEnd(pair, standing, asked, world).map((m) =>
        changed({ ...m, state: RUN_OFF, runOffUntil: m.mandateId === id ? until : sooner(m, until) }, by),
      );
    }
    case 'stop':
      return toldToEnd(pair, standing, asked, world).map((m) => changed({ ...m, state: ENDED }, by));
    case 'key':
      if (asked.keyDigest.length !== DIGEST_BYTES) return [refused(id, 'wire.invalid', 'A new key needs its digest.')];
      return [changed(mandate, by)];
    default:
      return [refused(id, 'wire.invalid', 'This change is not on the list.')];
  }
}

/** A day on which a mandate might end is over. Nothing, where it was moved or ended before. */
export function decideEnd(pair: Pair, mandateId: string, world: MandateWorld): PartyEvent[] {
  const standing = pair.mandates.find((m) => m.mandate.mandateId === mandateId);
  if (!standing || standing.mandate.state === ENDED) return [];
  const endsAt = endOf(standing.mandate);
  if (endsAt === undefined || endsAt > world.now) return [];
  return [changed({ ...standing.mandate, state: ENDED }, '')];
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
  for (const day of [mandate.validFrom, mandate.validUntil])
    if (day !== '' && !isDay(day)) return 'A date must be a day that exists, YYYY-MM-DD.';
  if (mandate.validUntil !== '' && mandate.validUntil < today) return 'The last day is past.';
  if (mandate.validFrom !== '' && mandate.validUntil !== '' && mandate.validUntil < mandate.validFrom)
    return 'The last day is before the first.';
  return undefined;
}

const inOrder = (services: Iterable<Service>): Service[] => [...new Set(services)].sort((a, b) => a - b);

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
  const attributes = attributesWithin(sharing, { ...asked, services }, defaults);
  if (!attributes) return 'The board did not give this party these attributes for these services.';
  // Empty means no end, so one board mandate without an end sets none.
  const ends = sharing.map((b) => b.given.validUntil);
  const last = ends.includes('') ? '' : ends.sort().at(-1)!;
  const validUntil = last !== '' && (asked.validUntil === '' || asked.validUntil > last) ? last : asked.validUntil;
  return { ...asked, services, validUntil, attributes };
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

/** Whether two grants say the same; the state, and what the school decides itself, is what became of them. */
const sameGrant = (a: Mandate, b: Mandate): boolean => {
  const bytes = (m: Mandate) =>
    Mandate.encode({
      ...m,
      services: offered(m),
      narrowed: [],
      state: MandateState.MANDATE_STATE_UNSPECIFIED,
    }).finish();
  return Buffer.compare(bytes(a), bytes(b)) === 0;
};
