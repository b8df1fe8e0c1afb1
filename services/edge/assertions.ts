import { generateKeyPairSync } from 'node:crypto';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { DialError, type Dialler, GatewayError, sha256 } from '#kernel';

/** Who proves itself by a signature (`private_key_jwt`, RFC 7523), and the keys that are looked up for it. */

/** With keys of two halves only: no `none`, and nothing that the gateway could have signed itself. */
export const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
  'EdDSA',
  'Ed25519',
];

/** Longest that an assertion may hold, seconds, and how far clocks may differ. */
const LONGEST_S = 300;
const SLACK_S = 30;
/** How long keys behind an address are used before they are asked for again, and how soon an unknown key asks again, ms. */
const KEPT_MS = 600_000;
const AGAIN_MS = 30_000;
/** Longest wait for them, ms, and how soon they are asked for again after that failed. */
const WAIT_MS = 5_000;
const REST_MS = 5_000;
/** Sets that are kept; the longest unused is forgotten. */
const MOST_SETS = 1_000;
const MOST_KEYS = 20;

/** Sets of keys by their address or text, fetched over the gateway's one way out. */
export class KeySets {
  readonly #dialler: Dialler;
  readonly #sets = new Map<string, JWTVerifyGetKey>();
  readonly #nobodys = Buffer.from(
    JSON.stringify({ keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] }),
  );

  constructor(dialler: Dialler) {
    this.#dialler = dialler;
  }

  /** Of a client; of one that is unknown, or has none, keys that nobody has: it takes as long to find out. */
  ofClient(client: { jwksUrl: string; jwks: Uint8Array } | undefined): JWTVerifyGetKey {
    if (client && client.jwksUrl !== '') return this.at(client.jwksUrl);
    return this.of(client && client.jwks.length > 0 ? client.jwks : this.#nobodys);
  }

  /** At an address; asked again after ten minutes, or when a signature names a key that is not in it. */
  at(url: string): JWTVerifyGetKey {
    return this.#kept(url, () => {
      let restsUntil = 0;
      return createRemoteJWKSet(new URL(url), {
        cacheMaxAge: KEPT_MS,
        cooldownDuration: AGAIN_MS,
        timeoutDuration: WAIT_MS,
        // Whoever sends tokens must not be able to make us ask without end at an address that does not answer.
        [customFetch]: async (address, init) => {
          if (performance.now() < restsUntil) throw new DialError('refused');
          restsUntil = performance.now() + REST_MS;
          return this.#dialler.fetch(address, init as RequestInit);
        },
      });
    });
  }

  /** As registered. Throws where it is no set. */
  of(jwks: Uint8Array): JWTVerifyGetKey {
    const text = Buffer.from(jwks).toString('utf8');
    return this.#kept(text, () => createLocalJWKSet(JSON.parse(text) as JSONWebKeySet));
  }

  #kept(name: string, make: () => JWTVerifyGetKey): JWTVerifyGetKey {
    const set = this.#sets.get(name) ?? make();
    this.#sets.delete(name);
    this.#sets.set(name, set);
    if (this.#sets.size > MOST_SETS) this.#sets.delete(this.#sets.keys().next().value!);
    return set;
  }
}

/** What is wrong with a set of keys that is to be registered; undefined = nothing. It quotes nothing of it. */
export function problemWithKeys(jwks: Uint8Array): string | undefined {
  let set: unknown;
  try {
    set = JSON.parse(Buffer.from(jwks).toString('utf8'));
  } catch {
    return 'is no JSON';
  }
  const { keys, kty } = (set ?? {}) as { keys?: unknown; kty?: unknown };
  if (keys === undefined && kty !== undefined) return 'is a single key: write {"keys": [KEY]}';
  if (!Array.isArray(keys) || keys.length === 0) return 'holds no keys';
  if (keys.length > MOST_KEYS) return `holds more than ${MOST_KEYS} keys`;
  for (const key of keys as Record<string, unknown>[]) {
    if (typeof key !== 'object' || key === null || !['RSA', 'EC', 'OKP'].includes(String(key['kty'])))
      return 'holds a key that is not RSA, EC or OKP';
    // A private key has no business here; who sent it should make another.
    if (['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'].some((name) => name in key))
      return 'holds a private key: make a new one, and register its public half';
  }
  return undefined;
}

const words = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 128) : '');

/** What a registered set says of its keys: no key, and nothing that could be one. */
export function keysIn(jwks: Uint8Array): { kid: string; alg: string; kty: string; untilMs: bigint }[] {
  if (jwks.length === 0) return [];
  const { keys } = JSON.parse(Buffer.from(jwks).toString('utf8')) as { keys: Record<string, unknown>[] };
  return keys.map(({ kid, alg, kty, exp }) => ({
    kid: words(kid),
    alg: words(alg),
    kty: words(kty),
    untilMs: typeof exp === 'number' && exp > 0 && exp < 1e11 ? BigInt(Math.floor(exp * 1000)) : 0n,
  }));
}

/** Whether an error is of the address of keys, not of what was signed by them. */
export const isOfKeys = (thrown: unknown): boolean =>
  thrown instanceof errors.JWKSTimeout ||
  thrown instanceof errors.JWKSInvalid ||
  (thrown as { code?: string }).code === 'ERR_JOSE_GENERIC';

/** What an assertion says before anything of it is believed. */
export function claimedClient(assertion: string): string | undefined {
  try {
    const { iss, sub } = decodeJwt(assertion);
    // It is any JSON so far, whatever the type says.
    return typeof iss === 'string' && iss === sub ? iss : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Verifies an assertion of a client with its keys: signature, issuer and subject, audience, times. Gives what it is known
 * by, so that it is taken once. Faults: party.unknown; peer.unavailable (its keys cannot be fetched).
 */
export async function verifyAssertion(
  assertion: string,
  keys: JWTVerifyGetKey,
  { clientId, audience, nowMs }: { clientId: string; audience: readonly string[]; nowMs: number },
): Promise<{ digest: Uint8Array; expiresMs: number }> {
  const wrong = (told: string, cause?: unknown): GatewayError => new GatewayError('party.unknown', told, { cause });
  try {
    const { payload } = await jwtVerify(assertion, keys, {
      algorithms: ALGORITHMS,
      issuer: clientId,
      subject: clientId,
      audience: [...audience],
      clockTolerance: SLACK_S,
      currentDate: new Date(nowMs),
      requiredClaims: ['exp', 'jti'],
    });
    const { exp, jti, aud } = payload;
    // One that is for others too could have been shown to them first, and they could show it here.
    if ([aud!].flat().some((one) => !audience.includes(one))) throw wrong('An assertion is for this gateway alone.');
    if (typeof jti !== 'string' || jti === '' || jti.length > 256) throw wrong('An assertion needs a jti.');
    if (exp! * 1000 > nowMs + (LONGEST_S + SLACK_S) * 1000) throw wrong('An assertion may hold five minutes.');
    // A date may have parts of a second (RFC 7519 §2).
    return { digest: Buffer.from(sha256(jti), 'latin1'), expiresMs: Math.ceil((exp! + SLACK_S) * 1000) };
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown;
    if (isOfKeys(thrown)) throw new GatewayError('peer.unavailable', 'The keys of this client cannot be fetched.');
    // Its words could hold what was sent.
    throw wrong('This assertion is not one of the client’s that holds now.', thrown);
  }
}
