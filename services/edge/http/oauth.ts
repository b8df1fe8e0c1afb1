import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError, isSchoolOin } from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import { ALGORITHMS, claimedClient, verifyAssertion } from '../assertions.ts';
import type { Peer } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { scopes as known } from '../scopes.ts';
import { admitted, clientOf, isItsOwn } from '../stages/authenticate.ts';
import { bodyOf, sendJson } from './exchange.ts';

const PATH = '/oauth2/token';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** An answer of RFC 6749 §5.2. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;
  constructor(status: number, code: string, told: string, headers: Record<string, string> = {}) {
    super(told);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** How a client proves itself; exactly one way. */
type Proof =
  | { way: 'secret'; client: string; secret: string }
  | { way: 'assertion'; client: string; assertion: string }
  | { way: 'certificate'; client: string };

/**
 * OAuth 2.0 token endpoint (RFC 6749 §4.4), client credentials: by secret in the Authorization header, by a signed assertion
 * (RFC 7523 §2.2), or by the certificate of the connection (RFC 8705 §2.1). `scope` and `school` narrow the token.
 */
export async function serveToken(
  request: IncomingMessage,
  response: ServerResponse,
  gate: Gate,
  peer: Peer,
): Promise<void> {
  try {
    if (request.method !== 'POST') throw new Refusal(405, 'invalid_request', 'Use POST.');
    const form = new URLSearchParams(Buffer.from(await bodyOf(request, gate.unfinished)).toString('utf8'));
    const proof = proofOf(request, form, peer);
    const { grant_type, scope, school } = Object.fromEntries(form) as Record<string, string | undefined>;
    if (grant_type !== 'client_credentials')
      throw new Refusal(400, 'unsupported_grant_type', 'Use grant_type=client_credentials.');
    const scopes = scope?.split(' ').filter((one) => one !== '');
    if (scopes?.some((one) => !known.includes(one)) || scopes?.length === 0)
      throw new Refusal(400, 'invalid_scope', `A scope is one of: ${known.join(', ')}.`);
    if (school !== undefined && !isSchoolOin(school))
      throw new Refusal(400, 'invalid_request', 'school is the OIN of a school.');
    const oin = await slowly(proof, peer, gate);
    const { token, expiresInS } = gate.proofs.tokens.issue(
      { oin, scopes, school, thumbprint: peer.certificate?.thumbprint },
      gate.proofs.now(),
    );
    sendJson(
      response,
      200,
      {
        access_token: token,
        token_type: 'Bearer',
        expires_in: expiresInS,
        ...(scopes ? { scope: scopes.join(' ') } : {}),
      },
      { pragma: 'no-cache' },
    );
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { status, code, message, headers } = thrown;
    const challenge: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="eduk"' } : {};
    sendJson(
      response,
      status,
      { error: code, error_description: message },
      { ...challenge, pragma: 'no-cache', ...headers },
    );
  }
}

/** What the endpoint takes (RFC 8414). */
export const tokenMetadata = (publicUrl: string): object => ({
  issuer: publicUrl,
  token_endpoint: `${publicUrl}${PATH}`,
  grant_types_supported: ['client_credentials'],
  response_types_supported: [],
  scopes_supported: known,
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'private_key_jwt', 'tls_client_auth'],
  token_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
  tls_client_certificate_bound_access_tokens: true,
});

function proofOf(request: IncomingMessage, form: URLSearchParams, peer: Peer): Proof {
  const basic = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const assertion = form.get('client_assertion') ?? undefined;
  const named = form.get('client_id') ?? undefined;
  if (basic !== undefined && assertion !== undefined)
    throw new Refusal(400, 'invalid_request', 'Prove yourself in one way.');
  if (basic !== undefined) {
    const [id, secret] = splitOnce(Buffer.from(basic, 'base64').toString('utf8'));
    try {
      return { way: 'secret', client: decodeURIComponent(id), secret: decodeURIComponent(secret) };
    } catch {
      throw wrong('secret');
    }
  }
  if (assertion !== undefined) {
    if (form.get('client_assertion_type') !== ASSERTION)
      throw new Refusal(400, 'invalid_request', `client_assertion_type is ${ASSERTION}.`);
    const client = assertion.length > 16_384 ? undefined : claimedClient(assertion);
    if (client === undefined || (named !== undefined && named !== client)) throw wrong('assertion');
    return { way: 'assertion', client, assertion };
  }
  if (named !== undefined && peer.certificate?.oin !== undefined) return { way: 'certificate', client: named };
  throw new Refusal(
    401,
    'invalid_client',
    'Send client id and secret with HTTP Basic, or client_assertion, or client_id over a connection with your certificate.',
  );
}

/** For each way of proof the same words, whoever it was and whatever was wrong: what its sender can look at by itself. */
const wrongWords: Record<Proof['way'], string> = {
  secret: 'Client id or secret is wrong.',
  assertion:
    'This assertion is not taken. Look at iss and sub (both the client id), aud, exp (at most five minutes ahead), jti (new each time), and whether the key that kid names is registered.',
  certificate: 'Client id is wrong, or is not that of this certificate.',
};

const wrong = (way: Proof['way']): Refusal => new Refusal(401, 'invalid_client', wrongWords[way]);

/** OIN of the client. Who failed often waits, and what it sends meanwhile is not looked at. */
async function slowly(proof: Proof, peer: Peer, gate: Gate): Promise<string> {
  const { attempts } = gate;
  const attempt = await attempts.begin(proof.client, peer.address);
  if (typeof attempt === 'number')
    throw new Refusal(429, 'temporarily_unavailable', 'Too many attempts failed; wait.', {
      'retry-after': String(Math.ceil(attempt / 1000)),
    });
  try {
    const oin = await gate.door.chain.afresh(() => provenBy(proof, peer, gate));
    attempt.succeeded();
    return oin;
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown;
    if (thrown.fault === 'party.unknown') {
      attempt.failed();
      // Nobody we know: which id was tried is not said, it may be anything.
      gate.door.audit.note({
        kind: AuditKind.AUDIT_KIND_REFUSED,
        partyOin: '',
        method: 'oauth2/token',
        code: 'party.unknown',
      });
      throw wrong(proof.way);
    }
    if (thrown.fault === 'peer.unavailable') {
      // Counted too, or anybody could have us ask for keys that do not come.
      attempt.failed();
      throw new Refusal(503, 'temporarily_unavailable', 'The keys of this client cannot be fetched.', {
        'retry-after': '30',
      });
    }
    throw thrown;
  } finally {
    attempt.ended();
  }
}

async function provenBy(proof: Proof, peer: Peer, gate: Gate): Promise<string> {
  const { chain } = gate.door;
  const nowMs = gate.proofs.now();
  if (proof.way === 'secret')
    return isItsOwn(peer, admitted(chain, clientOf(chain, proof.client, proof.secret, nowMs)));
  const oin = admitted(chain, chain.byClientId(proof.client));
  const unknown = new GatewayError('party.unknown', 'No such client, or it proves itself otherwise.');
  if (proof.way === 'certificate') {
    if (oin === undefined) throw unknown;
    return isItsOwn(peer, oin);
  }
  const publicUrl = gate.door.publicUrl();
  const { digest, expiresMs } = await verifyAssertion(
    proof.assertion,
    gate.keys.ofClient(oin === undefined ? undefined : chain.credentials(oin)),
    { clientId: proof.client, audience: [publicUrl, `${publicUrl}${PATH}`], nowMs },
  );
  if (oin === undefined) throw unknown;
  isItsOwn(peer, oin);
  const { taken } = await gate.door.services.parties.claimAssertion({
    partyOin: oin,
    digest,
    expiresMs: BigInt(expiresMs),
    claim: randomBytes(16),
  });
  if (!taken) throw new GatewayError('party.unknown', 'This assertion was used before.');
  return oin;
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(':');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
