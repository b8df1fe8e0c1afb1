import {
  AuthorizationResponseError,
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  ClientSecretBasic,
  ClientSecretPost,
  type Configuration,
  calculatePKCECodeChallenge,
  clockTolerance,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import { DialError, type Dialler, GatewayError, log, shared } from '#kernel';
import { type ClaimRules, notTaken } from './claims.ts';

/** Where authorised persons of boards and schools sign in: a broker of eHerkenning, or another provider of OpenID Connect. */
export interface SchoolSignIn extends ClaimRules {
  /** As the provider writes itself. */
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** With `openid`. */
  scope: string;
  /** What else is sent along with a person, such as acr_values. */
  parameters: Readonly<Record<string, string>>;
}

/** What a browser keeps, sealed, while its person is at the provider. `state`: names this sign-in, once. */
export interface Begun {
  state: string;
}
export interface Pending extends Begun {
  nonce: string;
  verifier: string;
}

/** A provider by either protocol. */
export interface SignInProvider {
  /** Path at which a person begins, and the one to come back to. */
  readonly start: string;
  readonly back: string;
  /** Whether who comes back is sent by a form of the provider's page. */
  readonly crossSite: boolean;
  /** Where the browser is sent, and what it keeps meanwhile. `redirectUri`: the address of `back`. Faults: peer.unavailable. */
  begin(redirectUri: string): Promise<{ url: URL; pending: Begun }>;
}

/** How long what the provider says of itself is used, and how soon it is asked again after that failed, ms. */
const KEPT_MS = 3_600_000;
const REST_MS = 5_000;
/** Longest wait for each of its answers, seconds; how far its clock may be off. */
const WAIT_S = 5;
const SLACK_S = 30;

/** The authorization code flow with PKCE, over the gateway's one way out. */
export class Provider implements SignInProvider {
  readonly start = '/oidc/sign-in';
  readonly back = '/oidc/callback';
  readonly crossSite = false;
  readonly #given: SchoolSignIn;
  readonly #dialler: Dialler;
  #found: { configuration: Configuration; atMs: number } | undefined;
  readonly #finding = shared(() => this.#find());
  #restsUntil = 0;

  constructor(given: SchoolSignIn, dialler: Dialler) {
    this.#given = given;
    this.#dialler = dialler;
  }

  /** Where the browser is sent, and what it keeps meanwhile. Faults: peer.unavailable. */
  async begin(redirectUri: string): Promise<{ url: URL; pending: Pending }> {
    const configuration = await this.#configuration();
    const pending = { state: randomState(), nonce: randomNonce(), verifier: randomPKCECodeVerifier() };
    const url = buildAuthorizationUrl(configuration, {
      ...this.#given.parameters,
      redirect_uri: redirectUri,
      scope: this.#given.scope,
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: 'S256',
    });
    return { url, pending };
  }

  /**
   * What the provider says of whoever came back to `current`: claims of the ID token, and of userinfo where it has that. Faults:
   * party.unknown, party.forbidden (`where` = cancelled), peer.unavailable.
   */
  async finish(current: URL, { state, nonce, verifier }: Pending): Promise<Readonly<Record<string, unknown>>> {
    const configuration = await this.#configuration();
    try {
      const tokens = await authorizationCodeGrant(configuration, current, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      });
      const said = tokens.claims()!;
      // Asked also where the token says enough: what restricts a person may stand only there.
      if (configuration.serverMetadata().userinfo_endpoint === undefined) return said;
      return { ...(await fetchUserInfo(configuration, tokens.access_token, said.sub)), ...said };
    } catch (thrown) {
      throw faultOf(thrown);
    }
  }

  async #configuration(): Promise<Configuration> {
    if (this.#found && performance.now() - this.#found.atMs < KEPT_MS) return this.#found.configuration;
    try {
      return await this.#finding();
    } catch (thrown) {
      // What it said an hour ago is better than nothing.
      if (this.#found) return this.#found.configuration;
      throw thrown;
    }
  }

  async #find(): Promise<Configuration> {
    const { issuer, clientId, clientSecret } = this.#given;
    const away = () => new GatewayError('peer.unavailable', 'The provider of sign-in does not answer as it should.');
    if (performance.now() < this.#restsUntil) throw away();
    this.#restsUntil = performance.now() + REST_MS;
    try {
      const configuration = await discovery(
        new URL(issuer),
        clientId,
        { [clockTolerance]: SLACK_S },
        (as, client, body, headers) => {
          const methods = as.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
          const way = methods.includes('client_secret_basic') ? ClientSecretBasic : ClientSecretPost;
          return way(clientSecret)(as, client, body, headers);
        },
        {
          timeout: WAIT_S,
          // Where plain HTTP may be spoken, the dialler judges.
          execute: [enableNonRepudiationChecks, ...(issuer.startsWith('http://') ? [allowInsecureRequests] : [])],
          [customFetch]: (url, init) => this.#dialler.fetch(url, init as RequestInit),
        },
      );
      this.#found = { configuration, atMs: performance.now() };
      return configuration;
    } catch (thrown) {
      log('warn', 'sign_in_provider', { why: codeOf(thrown) });
      throw away();
    }
  }
}

const codeOf = (thrown: unknown): string => {
  for (let at = thrown as { code?: unknown; cause?: unknown } | undefined; at; at = at.cause as typeof at) {
    if (at instanceof DialError) return at.reason;
    if (typeof at.code === 'string' && /^[\w-]{1,64}$/.test(at.code)) return at.code;
  }
  return 'unknown';
};

const isAway = (thrown: unknown): boolean => {
  for (let at = thrown as { cause?: unknown } | undefined; at; at = at.cause as typeof at)
    if (at instanceof DialError || (at as { name?: string }).name === 'TimeoutError') return true;
  return false;
};

/** The library's errors hold what was said, so none of them goes on: only its code is logged. */
function faultOf(thrown: unknown): GatewayError {
  if (isAway(thrown)) return new GatewayError('peer.unavailable', 'The provider of sign-in does not answer.');
  if (thrown instanceof AuthorizationResponseError && thrown.error === 'access_denied')
    return notTaken('cancelled', 'You did not sign in.');
  log('warn', 'sign_in_refused', { why: codeOf(thrown) });
  return new GatewayError('party.unknown', 'This sign-in does not hold; begin anew.', { where: 'sign_in' });
}
