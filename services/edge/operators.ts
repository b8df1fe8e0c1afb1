import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type Dialler, GatewayError, shared } from '#kernel';
import { type Mandate, MandateState } from '#proto/eduk/core/v1/party';
import { ALGORITHMS, isOfKeys, type KeySets } from './assertions.ts';
import { type Caller, type Duty, operator } from './caller.ts';

/** Operators who sign in at a provider of their own (OpenID Connect), and what each may do. */

export interface OperatorSignIn {
  /** As the provider writes itself in its tokens. */
  issuer: string;
  /** For whom its tokens must be. */
  audience: string;
  /** Where its keys are; undefined = where its discovery document says. */
  jwksUrl: string | undefined;
  /** Claim that holds roles; a dot leads into an object. */
  roleClaim: string;
  /** Role of the provider → duty here. */
  duties: ReadonlyMap<string, Duty>;
}

/**
 * What of eduk.operator.v1 a duty may call besides the operator, who may call all: a method that is new is the operator's
 * until it is named here.
 */
const reads: ReadonlySet<string> = new Set([
  'listParties',
  'listMandates',
  'showFlow',
  'listFlows',
  'showOverview',
  'whyBlocked',
  'showReadiness',
  'showPreflight',
  'showLaunches',
  'listHolds',
  'listSites',
  'status',
  'listAlerts',
  'listParked',
  'previewRelease',
  'previewSwitch',
  'previewTurn',
  'readAuditLog',
  'searchAuditLog',
  'showReceipt',
  'listAccess',
  'showKeys',
  'previewStop',
  'previewEndpoints',
  'previewWithheld',
  'listReach',
  'showProcessing',
  'listReviews',
  'previewSchoolForget',
  'listSchoolForgets',
  'listPulls',
  'showScorecard',
  'listReplays',
  'listReconciliations',
  'listDifferences',
  'watchReplay',
  'listSchoolChanges',
  'listFreezes',
  'previewFreeze',
  'listHoldRules',
  'previewHoldRule',
  'listLinks',
]);
/** Whether a method of eduk.operator.v1, by its name in the proto, changes nothing. */
export const isRead = (method: string): boolean => reads.has(`${method[0]!.toLowerCase()}${method.slice(1)}`);
/** A privacy officer forgets, or keeps after all, ends what was agreed, stops who leaks, and asks schools; who goes on is for an operator. */
const isForPrivacy = (key: string, request: { change?: string; identity?: string }): boolean =>
  (key === 'setIdentity' && request.identity === 'on-demand') ||
  key === 'forgetLearner' ||
  key === 'keepLearner' ||
  key === 'forgetSchool' ||
  key === 'keepSchool' ||
  key === 'confirmSchoolForget' ||
  key === 'stopParty' ||
  key === 'openReviews' ||
  key === 'askReveal' ||
  key === 'listReveals' ||
  key === 'decideReveal' ||
  key === 'fetchReveal' ||
  (key === 'changeMandate' && (request.change === 'stop' || request.change === 'run_off'));

/** What takes people out of the gateway is not for who signs in to run it. The key of the gateway's own machine stands for every duty. */
const onlyForPrivacy: ReadonlySet<string> = new Set(['exportSchool', 'exportRoster']);

/** Faults: party.forbidden. */
export function requireDuty(caller: Caller, key: string, request: object = {}): void {
  const { duty = 'operator', link } = caller;
  if (link !== undefined && !link.asks.has(key))
    throw new GatewayError('party.forbidden', 'This link is for another page.');
  if (onlyForPrivacy.has(key)) {
    if (caller.duty === undefined || duty === 'privacy') return;
    throw new GatewayError('party.forbidden', 'This is for who guards privacy.');
  }
  if (duty === 'operator' || reads.has(key) || (duty === 'privacy' && isForPrivacy(key, request))) return;
  throw new GatewayError('party.forbidden', 'This is for an operator with another role.');
}

/**
 * Which person it is who asks to be told who learners are, or decides about it. A privacy officer asks, whatever else they are; who decides
 * is a privacy officer too, or an operator. Faults: party.forbidden.
 */
export function requirePerson({ person }: Caller, what: 'asks' | 'decides'): Uint8Array {
  if (person === undefined)
    throw new GatewayError(
      'party.forbidden',
      'This takes two persons, whom the operator’s key cannot tell apart: have operators sign in (EDUK_OIDC_ISSUER, EDUK_OIDC_AUDIENCE, and privacy=ROLE in EDUK_OIDC_ROLES), and send their token.',
    );
  const { duties, id } = person;
  if (!duties.has('privacy') && !(what === 'decides' && duties.has('operator')))
    throw new GatewayError('party.forbidden', 'This is for a privacy officer.');
  return id;
}

/**
 * Refuses a privacy officer a run-off that is longer than the one that a mandate has: that would give, not end.
 * `mandates`: those that are named. Faults: party.forbidden.
 */
export function requireEnding(
  { duty }: Caller,
  key: string,
  request: { runOffUntil?: string },
  mandates: () => readonly Mandate[],
): void {
  if (duty !== 'privacy' || key !== 'changeMandate' || !request.runOffUntil) return;
  const { runOffUntil } = request;
  if (mandates().some((one) => one.state === MandateState.MANDATE_STATE_RUN_OFF && one.runOffUntil < runOffUntil))
    throw new GatewayError('party.forbidden', 'A run-off is made longer by an operator with another role.', {
      where: 'run_off_until',
    });
}

/** Changes of a mandate that are the word of the school or of the party. */
const words: ReadonlySet<string | undefined> = new Set(['confirm', 'accept', 'refuse']);

/**
 * An operator stands in for school and party on loopback only, to try things out; elsewhere each says it itself.
 * Faults: party.forbidden.
 */
export function requireLoopback(
  key: string,
  request: { confirm?: boolean; change?: string },
  listenerOnLoopback: boolean,
): void {
  if (listenerOnLoopback) return;
  if (
    (key === 'decideHold' || key === 'runReplay' || key === 'endFreeze' || key === 'approveHoldRule') &&
    request.confirm
  )
    throw new GatewayError(
      'party.forbidden',
      'The operator’s key stands in for a second person on loopback only: have operators sign in, and let another approve it.',
      { where: 'confirm' },
    );
  if ((key === 'grantMandate' && request.confirm) || (key === 'changeMandate' && words.has(request.change)))
    throw new GatewayError(
      'party.forbidden',
      'An operator stands in for school and party on loopback only: here they say it themselves, by PartyService.',
    );
}

/** From the least to the greatest. */
const RANK: readonly Duty[] = ['read', 'privacy', 'operator'];

/** Longest wait for what the provider says of itself, and how soon it is asked again after that failed, ms. */
const WAIT_MS = 5_000;
const REST_MS = 5_000;
const SLACK_S = 30;
/** Longest that a token of a provider may have to run, seconds: who is dismissed must not go on for days. */
const LONGEST_S = 12 * 3600;

/** Verifies what a provider issued. */
export class Operators {
  readonly #given: OperatorSignIn;
  readonly #keySets: KeySets;
  readonly #dialler: Dialler;
  readonly #now: () => number;
  readonly #personOf: (issuer: string, subject: string) => Uint8Array;
  /** Where the keys are, once that is known. */
  #at: string | undefined;
  readonly #finding = shared(() => this.#find());
  #restsUntil = 0;

  /** `personOf`: keyed digest of who a person is at a provider. */
  constructor(
    given: OperatorSignIn,
    keySets: KeySets,
    dialler: Dialler,
    now: () => number,
    personOf: (issuer: string, subject: string) => Uint8Array,
  ) {
    this.#personOf = personOf;
    this.#given = given;
    this.#keySets = keySets;
    this.#at = given.jwksUrl;
    this.#dialler = dialler;
    this.#now = now;
  }

  /** Faults: party.unknown (no token that holds), party.forbidden (none of the roles), peer.unavailable (no keys). */
  async verify(token: string): Promise<Caller> {
    const { issuer, audience, roleClaim, duties } = this.#given;
    const keys = await this.#keys();
    let payload: Record<string, unknown>;
    try {
      ({ payload } = await jwtVerify(token, keys, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        clockTolerance: SLACK_S,
        currentDate: new Date(this.#now()),
        requiredClaims: ['exp', 'sub'],
      }));
    } catch (thrown) {
      if (thrown instanceof GatewayError) throw thrown;
      if (isOfKeys(thrown)) throw new GatewayError('peer.unavailable', 'The operators’ provider gives no keys.');
      throw new GatewayError('party.unknown', 'This is no token of the operators’ provider that holds now.', {
        cause: thrown,
      });
    }
    if (Number(payload['exp']) * 1000 > this.#now() + LONGEST_S * 1000)
      throw new GatewayError('party.unknown', 'A token of an operator may hold twelve hours.');
    const held = rolesIn(payload, roleClaim);
    const given = new Set(held.flatMap((role) => duties.get(role) ?? []));
    const duty = [...RANK].reverse().find((one) => given.has(one));
    if (!duty) throw new GatewayError('party.forbidden', 'The provider gives you no role here.');
    const subject = payload['sub'];
    if (typeof subject !== 'string' || subject === '')
      throw new GatewayError('party.unknown', 'This token of the operators’ provider names nobody.');
    return { ...operator, duty, person: { id: this.#personOf(issuer, subject), duties: given } };
  }

  /** Where they are is looked for once, and again some time after that failed. */
  async #keys(): Promise<JWTVerifyGetKey> {
    if (this.#at === undefined) {
      this.#at = await this.#finding();
    }
    return this.#keySets.at(this.#at);
  }

  async #find(): Promise<string> {
    const { issuer } = this.#given;
    if (performance.now() < this.#restsUntil)
      throw new GatewayError('peer.unavailable', 'The operators’ provider does not answer.');
    this.#restsUntil = performance.now() + REST_MS;
    const found = (await this.#dialler.fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
      timeoutMs: WAIT_MS,
    })) as { issuer?: unknown; jwks_uri?: unknown } | null;
    if (found?.issuer !== issuer || typeof found.jwks_uri !== 'string' || !URL.canParse(found.jwks_uri))
      throw new GatewayError('peer.unavailable', 'The operators’ provider describes itself as another.');
    return found.jwks_uri;
  }
}

/** Roles in a claim: texts of a list, or one text with spaces. */
function rolesIn(payload: Record<string, unknown>, claim: string): readonly string[] {
  let value: unknown = Object.hasOwn(payload, claim) ? payload[claim] : undefined;
  if (value === undefined) {
    value = payload;
    for (const step of claim.split('.'))
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, step)
          ? (value as Record<string, unknown>)[step]
          : undefined;
  }
  if (typeof value === 'string') return value.split(' ');
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
