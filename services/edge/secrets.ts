import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { sha256 } from '#kernel';

/** Secrets of parties: made here, shown once, kept as digests only. */

const random = (bytes: number): string => randomBytes(bytes).toString('base64url');

export const newApiKey = (): string => `eduk_key_${random(32)}`;
export const newClientSecret = (): string => random(32);
/** Secrets here have 256 random bits, so a plain digest hides them; it is compared in constant time. */
export const digestOf = (secret: string): Uint8Array => Buffer.from(sha256(secret), 'latin1');
export const sameDigest = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.length > 0 && timingSafeEqual(a, b);

const TOKEN_LIFE_S = 600;

/** What a token is for. */
export interface TokenClaims {
  oin: string;
  /** Undefined = all that the party may. */
  scopes?: readonly string[] | undefined;
  /** OIN of the only school that it is for; undefined = each. */
  school?: string | undefined;
  /** Of the certificate whose holder alone may use it (RFC 8705). */
  thumbprint?: string | undefined;
  /** When it was issued, Unix milliseconds of a whole second; of what is to be issued it is not read. */
  issuedMs?: number;
}

/** Access tokens: ours to read only, so their form is our own: payload and HMAC-SHA-256. They live 10 minutes. */
export class AccessTokens {
  readonly #key: Uint8Array;
  readonly #audience: () => string;

  constructor(key: Uint8Array, audience: () => string) {
    this.#key = new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), 'eduk access token v1', 32));
    this.#audience = audience;
  }

  issue({ oin, scopes, school, thumbprint }: TokenClaims, nowMs: number): { token: string; expiresInS: number } {
    const payload = Buffer.from(
      JSON.stringify({
        sub: oin,
        aud: this.#audience(),
        exp: Math.floor(nowMs / 1000) + TOKEN_LIFE_S,
        ...(scopes ? { scope: scopes.join(' ') } : {}),
        ...(school ? { school } : {}),
        ...(thumbprint ? { cnf: { 'x5t#S256': thumbprint } } : {}),
      }),
    ).toString('base64url');
    return { token: `eduk_at_${payload}.${this.#sign(payload)}`, expiresInS: TOKEN_LIFE_S };
  }

  /** What it was issued for, or undefined when the token is not ours, for another audience, or has expired. */
  verify(token: string, nowMs: number): TokenClaims | undefined {
    const m = /^eduk_at_([\w-]+)\.([\w-]+)$/.exec(token);
    if (!m || !sameDigest(Buffer.from(this.#sign(m[1]!)), Buffer.from(m[2]!))) return undefined;
    const { sub, aud, exp, scope, school, cnf } = JSON.parse(Buffer.from(m[1]!, 'base64url').toString()) as {
      sub: string;
      aud: string;
      exp: number;
      scope?: string;
      school?: string;
      cnf?: { 'x5t#S256': string };
    };
    if (aud !== this.#audience() || exp * 1000 <= nowMs) return undefined;
    return {
      oin: sub,
      scopes: scope?.split(' '),
      school,
      thumbprint: cnf?.['x5t#S256'],
      issuedMs: (exp - TOKEN_LIFE_S) * 1000,
    };
  }

  #sign(payload: string): string {
    return createHmac('sha256', this.#key).update(payload).digest('base64url');
  }
}
