/** Operators sign in at their own provider (OpenID Connect): the console gets an access token for the doors, which judge it. */
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
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import { DialError, type Dialler, GatewayError, log, type Seals } from '#kernel';
import type { SessionRows } from './sessions.ts';

export interface ConsoleSignIn {
  /** As the provider writes itself. */
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** With `openid`. */
  scope: string;
}

/** What the browser keeps meanwhile, sealed: only that browser may come back, and to whichever door. */
interface Pending {
  state: string;
  nonce: string;
  verifier: string;
  /** The page that was asked for: where it leads. */
  to: string;
  untilMs: number;
}

/** How long a person may be at the provider, and how long what the provider says of itself is used. Milliseconds. */
export const PENDING_MS = 10 * 60_000;
const KEPT_MS = 3_600_000;
/** Longest wait for each of its answers, seconds; how far its clock may be off. */
const WAIT_S = 5;
const SLACK_S = 30;

/** The authorization code flow with PKCE, over the gateway's one way out. */
export class OperatorProvider {
  readonly #given: ConsoleSignIn;
  readonly #dialler: Dialler;
  readonly #now: () => number;
  #found: { configuration: Configuration; atMs: number } | undefined;
  readonly #seals: Seals;
  readonly #rows: Pick<SessionRows, 'once'>;

  constructor(
    given: ConsoleSignIn,
    dialler: Dialler,
    now: () => number,
    seals: Seals,
    rows: Pick<SessionRows, 'once'>,
  ) {
    this.#seals = seals;
    this.#rows = rows;
    this.#given = given;
    this.#dialler = dialler;
    this.#now = now;
  }

  /** Where the browser is sent, and what it keeps meanwhile, with the page that was asked for. Faults: peer.unavailable. */
  async begin(redirectUri: string, to: string): Promise<{ url: URL; browser: string }> {
    const configuration = await this.#configuration();
    const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
    const pending: Pending = { state, nonce, verifier, to, untilMs: this.#now() + PENDING_MS };
    const browser = Buffer.from(this.#seals.seal('sign-in', '', pending)).toString('base64url');
    const url = buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.#given.scope,
      state,
      nonce,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return { url, browser };
  }

  /** What the door is called with, and until when, Unix ms. Faults: party.unknown, peer.unavailable. */
  async finish(current: URL, browser: string | undefined): Promise<{ bearer: string; untilMs: number }> {
    const again = () => new GatewayError('party.unknown', 'This sign-in was not begun here, or was used before.');
    const state = current.searchParams.get('state') ?? '';
    const pending = this.#pending(browser);
    if (!pending || pending.untilMs <= this.#now() || pending.state !== state) throw again();
    // Whatever comes of it, it is not taken twice, at any door.
    if (!(await this.#rows.once(state, pending.untilMs))) throw again();
    const configuration = await this.#configuration();
    try {
      const tokens = await authorizationCodeGrant(configuration, current, {
        expectedState: state,
        expectedNonce: pending.nonce,
        pkceCodeVerifier: pending.verifier,
        idTokenExpected: true,
      });
      return { bearer: tokens.access_token, untilMs: this.#now() + (tokens.expiresIn() ?? 300) * 1000 };
    } catch (thrown) {
      throw faultOf(thrown);
    }
  }

  /** The page for which a sign-in was begun that this browser keeps; undefined = it keeps none of ours. */
  asked(browser: string | undefined): string | undefined {
    return this.#pending(browser)?.to;
  }

  #pending(browser: string | undefined): Pending | undefined {
    return this.#seals.open('sign-in', '', Buffer.from(browser ?? '', 'base64url')) as Pending | undefined;
  }

  async #configuration(): Promise<Configuration> {
    if (this.#found && performance.now() - this.#found.atMs < KEPT_MS) return this.#found.configuration;
    const { issuer, clientId, clientSecret } = this.#given;
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
    } catch {
      log('warn', 'console_provider_away');
      // What it said an hour ago is better than nothing.
      if (this.#found) return this.#found.configuration;
      throw new GatewayError('peer.unavailable', 'The operators’ provider does not answer as it should.');
    }
  }
}

/** The library's errors hold what was said, so none of them goes on. */
function faultOf(thrown: unknown): GatewayError {
  for (let at = thrown as { cause?: unknown; name?: string } | undefined; at; at = at.cause as typeof at)
    if (at instanceof DialError || at.name === 'TimeoutError')
      return new GatewayError('peer.unavailable', 'The operators’ provider does not answer.');
  if (thrown instanceof AuthorizationResponseError)
    return new GatewayError('party.unknown', 'The provider did not let you in, or you turned back.');
  return new GatewayError('party.unknown', 'This sign-in does not hold; begin anew.');
}
