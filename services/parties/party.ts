/** What becomes of a party that an operator names: pure, so that every rule is one test. */
import { type Fault, isPartyOin, NOT_SENT, SERVICE_WEBHOOKS } from '#kernel';
import { type Endpoint, Party, Role } from '#proto/eduk/core/v1/party';
import { CredentialDigests, type PartySubmitted } from '#proto/eduk/events/v1/parties';
import type { EventOf } from '#proto/events';

/** What may be said of an endpoint: requests at once, and a second. */
const MOST_IN_FLIGHT = 256;
const MOST_PER_SECOND = 10_000;

/** A party as it stands, with the digests that recognise it. */
export interface StandingParty {
  party: Party;
  credentials: CredentialDigests;
}

type PartyEventName =
  | 'PartyRegistered'
  | 'PartyChangeRefused'
  | 'MandateChanged'
  | 'PartyStandingChanged'
  | 'MandateReviewed'
  | 'FreezeChanged'
  | 'HoldRuleChanged';
/** What this service says on the log. */
export type PartyEvent = { [N in PartyEventName]: { type: N; value: EventOf<N> } }[PartyEventName];

/** What was asked cannot be done. `told` is our own words and quotes nothing. */
export const refused = (subject: string, code: Fault, told: string): PartyEvent => ({
  type: 'PartyChangeRefused',
  value: { subject, code, told },
});

/**
 * Decides about a named party. `inUse` says whether a client id, klantcode or number to sign in by recognises another party already. Answers
 * the events and, where the party is registered, how it stands now.
 */
export function decideParty(
  standing: StandingParty | undefined,
  submitted: PartySubmitted,
  inUse: (credential: 'clientId' | 'klantcode' | 'signIn', value: string) => boolean,
): { event: PartyEvent; standing?: StandingParty } {
  const given = submitted.party ?? Party.fromPartial({});
  const no = (code: Fault, told: string) => ({ event: refused(given.oin, code, told) });
  if (!isPartyOin(given.oin)) return no('wire.invalid', 'The OIN must have 20 characters.');
  if (!standing && given.name === '') return no('wire.invalid', 'A new party needs a name.');
  if (!standing && given.roles.length === 0) return no('wire.invalid', 'A new party needs a role.');
  if (
    given.roles.some(
      (role) => role === Role.ROLE_UNSPECIFIED || !Object.values(Role).includes(role) || role === Role.UNRECOGNIZED,
    )
  )
    return no('wire.invalid', 'A role is not on the list.');
  if (given.boardOin !== '' && !isPartyOin(given.boardOin))
    return no('wire.invalid', 'The OIN of the board must have 20 characters.');
  for (const endpoint of given.endpoints) {
    if (!isEndpoint(endpoint)) return no('wire.invalid', 'An endpoint needs a standard and an http or https address.');
    if ((endpoint.maxInFlight ?? 0) > MOST_IN_FLIGHT || (endpoint.maxPerSecond ?? 0) > MOST_PER_SECOND)
      return no(
        'wire.invalid',
        `An endpoint has ${MOST_IN_FLIGHT} requests at once at most, and ${MOST_PER_SECOND} a second.`,
      );
  }
  const fresh = submitted.credentials ?? CredentialDigests.fromPartial({});
  for (const credential of ['clientId', 'klantcode'] as const)
    if (fresh[credential] !== '' && inUse(credential, fresh[credential]))
      return no('state.conflict', 'These credentials belong to another party.');
  const { signIn } = fresh;
  if (signIn && signIn.numbers.length > 0) {
    if (
      ![...given.roles, ...(standing?.party.roles ?? [])].some(
        (role) => role === Role.ROLE_BOARD || role === Role.ROLE_SCHOOL,
      )
    )
      return no('wire.invalid', 'Persons sign in for a board or a school: this party has neither role.');
    if (signIn.numbers.length > MOST_NUMBERS || signIn.numbers.some((number) => !SIGN_IN_NUMBER.test(number)))
      return no('wire.invalid', `A number to sign in by is ${SIGN_IN_FORMS}; ${MOST_NUMBERS} at most.`);
    if (signIn.numbers.some((number) => inUse('signIn', number)))
      return no('state.conflict', 'Persons of another party sign in by one of these numbers.');
  }
  const next = {
    party: mergeParty(standing?.party, given, new Set(submitted.withoutEndpoints)),
    credentials: mergeCredentials(standing?.credentials, fresh),
  };
  return { event: { type: 'PartyRegistered', value: { party: next.party } }, standing: next };
}

/** Numbers of one organisation by which persons sign in: more is a mistake. */
const MOST_NUMBERS = 20;
const SIGN_IN_NUMBER = /^(kvk:\d{8}(\/\d{12})?|rsin:\d{9}|oin:[0-9A-Z]{20}|brin:\d{2}[A-Z]{2}(\d{2})?)$/;
const SIGN_IN_FORMS =
  'kvk: and eight digits (and / and the twelve of a branch), rsin: and nine, oin: and twenty, or brin:';

function isEndpoint(endpoint: Endpoint): boolean {
  if (endpoint.url === NOT_SENT) return SERVICE_WEBHOOKS.includes(endpoint.standard);
  if (endpoint.standard === '' || !URL.canParse(endpoint.url)) return false;
  const { protocol, username, password } = new URL(endpoint.url);
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === '';
}

/**
 * Roles and sectors add up; an endpoint replaces the one of its standard; attributes replace those declared before, so that
 * a party may come to need less; what is not given stays.
 */
function mergeParty(before: Party | undefined, given: Party, without: ReadonlySet<string>): Party {
  if (!before)
    return {
      ...given,
      roles: sorted(new Set(given.roles)),
      endpoints: byStandard([], given.endpoints),
      attributes: [...new Set(given.attributes)].sort(),
    };
  return {
    oin: given.oin,
    name: given.name || before.name,
    roles: sorted(new Set([...before.roles, ...given.roles])),
    endpoints:
      without.size > 0
        ? withoutThese(before.endpoints, without, given.endpoints)
        : byStandard(before.endpoints, given.endpoints),
    boardOin: given.boardOin || before.boardOin,
    sectors: [...new Set([...before.sectors, ...given.sectors])].sort(),
    attributes: given.attributes.length > 0 ? [...new Set(given.attributes)].sort() : before.attributes,
    // Once asked it stays: a party that is named again, for another endpoint, has not changed its mind.
    requiresAcceptance: given.requiresAcceptance || before.requiresAcceptance,
  };
}

/** Where one is taken away, of the others is said from when mail is sent, and nothing else: another may have been taken away, or changed, meanwhile. */
const withoutThese = (
  before: readonly Endpoint[],
  without: ReadonlySet<string>,
  given: readonly Endpoint[],
): Endpoint[] =>
  before
    .filter(({ standard }) => !without.has(standard))
    .map((one) => {
      const said = given.find(({ standard }) => standard === one.standard);
      return said === undefined ? one : { ...one, fromMs: said.fromMs };
    });

const sorted = (roles: Set<Role>): Role[] => [...roles].sort((a, b) => a - b);

function byStandard(before: readonly Endpoint[], given: readonly Endpoint[]): Endpoint[] {
  const endpoints = new Map([...before, ...given].map((endpoint) => [endpoint.standard, endpoint]));
  return [...endpoints.values()].sort((a, b) => (a.standard < b.standard ? -1 : 1));
}

function mergeCredentials(before: CredentialDigests | undefined, given: CredentialDigests): CredentialDigests {
  if (!before) return given;
  return {
    clientId: given.clientId || before.clientId,
    clientSecret: given.clientSecret.length > 0 ? given.clientSecret : before.clientSecret,
    apiKey: given.apiKey.length > 0 ? given.apiKey : before.apiKey,
    klantcode: given.klantcode || before.klantcode,
    klantnaam: given.klantnaam || before.klantnaam,
    ...whatHeldBefore(before, given),
    ...webhooksAfter(before, given),
    // One set of keys at a time: a new one replaces whichever there was.
    ...(given.jwksUrl !== '' || given.jwks.length > 0
      ? { jwksUrl: given.jwksUrl, jwks: given.jwks }
      : { jwksUrl: before.jwksUrl, jwks: before.jwks }),
    signIn: given.signIn ? { numbers: [...new Set(given.signIn.numbers)].sort() } : before.signIn,
  };
}

/** The secrets of its webhooks are renewed by themselves: those of before sign too until the moment that is named. */
function webhooksAfter(before: CredentialDigests, given: CredentialDigests) {
  const of = given.webhookSalt === undefined ? before : given;
  const isBoth = of === given && (given.webhookBeforeUntilMs ?? 0n) > 0n;
  return {
    webhookSalt: of.webhookSalt,
    webhookSaltBefore: isBoth ? (before.webhookSalt ?? '') : of === before ? before.webhookSaltBefore : undefined,
    webhookBeforeUntilMs: of === before || isBoth ? of.webhookBeforeUntilMs : undefined,
  };
}

/** Who renews says until when the old ones hold; those before them do not any more. */
function whatHeldBefore(before: CredentialDigests, given: CredentialDigests) {
  if (given.clientSecret.length === 0 && given.apiKey.length === 0) {
    const { clientSecretBefore, apiKeyBefore, beforeUntilMs } = before;
    return { clientSecretBefore, apiKeyBefore, beforeUntilMs };
  }
  const none = new Uint8Array(0);
  const holds = given.beforeUntilMs > 0n;
  return {
    clientSecretBefore: holds && given.clientSecret.length > 0 ? before.clientSecret : none,
    apiKeyBefore: holds && given.apiKey.length > 0 ? before.apiKey : none,
    beforeUntilMs: given.beforeUntilMs,
  };
}
