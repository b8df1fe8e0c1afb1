/**
 * A provider of OpenID Connect of a test's own, on loopback: it signs what it is told to, and keeps to the protocol itself, so that
 * a client that does not is found. What a test wants wrong, it says.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { exportJWK, type JWTPayload, SignJWT } from 'jose';

const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

/** How one sign-in is answered. */
export interface Answered {
  /** What the ID token says besides iss, aud, sub, nonce and times; it may say those otherwise too. */
  claims?: JWTPayload;
  /** What userinfo says besides sub; undefined = the provider has none. */
  userinfo?: Record<string, unknown>;
  /** Its access token; undefined = one that says nothing. */
  access?: string;
  /** Makes the token instead. */
  token?: (payload: JWTPayload) => Promise<string> | string;
}

export interface StandInProvider {
  issuer: string;
  publicKey: KeyObject;
  /** Signs with the provider's key, or another. */
  signed(payload: JWTPayload, key?: KeyObject, header?: Record<string, unknown>): Promise<string>;
  /** What a browser gets that was sent to `url`: the address to go back to. Throws where the request is not as it should be. */
  consent(url: string, answered: Answered): string;
  /** Requests of tokens that were made. */
  asked: { form: URLSearchParams; authorization: string }[];
  /** While true, it does not answer for tokens. */
  away: boolean;
  stop(): void;
}

const base64url = (bytes: Buffer): string => bytes.toString('base64url');

export async function startProvider(
  client: { id: string; secret: string } = { id: '', secret: '' },
): Promise<StandInProvider> {
  const own = pair();
  const codes = new Map<string, { query: URLSearchParams; answered: Answered; used: boolean }>();
  const infos = new Map<string, Record<string, unknown>>();
  const provider = { publicKey: own.publicKey, asked: [], away: false } as unknown as StandInProvider;
  const bodyOf = async (request: IncomingMessage): Promise<string> => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    return text;
  };
  const seconds = () => Math.floor(Date.now() / 1000);

  async function tokens(request: IncomingMessage): Promise<[number, unknown]> {
    const form = new URLSearchParams(await bodyOf(request));
    const authorization = request.headers.authorization ?? '';
    provider.asked.push({ form, authorization });
    if (provider.away) return [503, {}];
    // Form-encoded before they are joined (RFC 6749 §2.3.1).
    const [id, secret] = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
      .toString()
      .split(':')
      .map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
    if (id !== client.id || secret !== client.secret) return [401, { error: 'invalid_client' }];
    const given = codes.get(form.get('code') ?? '');
    const verifier = base64url(
      createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest(),
    );
    if (
      !given ||
      given.used ||
      form.get('redirect_uri') !== given.query.get('redirect_uri') ||
      verifier !== given.query.get('code_challenge')
    )
      return [400, { error: 'invalid_grant' }];
    given.used = true;
    const { answered, query } = given;
    const payload: JWTPayload = {
      iss: provider.issuer,
      aud: client.id,
      sub: 'a-person-whom-nobody-may-keep',
      nonce: query.get('nonce')!,
      iat: seconds(),
      exp: seconds() + 300,
      ...answered.claims,
    };
    const access = answered.access ?? base64url(randomBytes(16));
    if (answered.userinfo) infos.set(access, { sub: payload.sub, ...answered.userinfo });
    const id_token = await (answered.token ? answered.token(payload) : provider.signed(payload));
    return [200, { access_token: access, token_type: 'Bearer', expires_in: 300, id_token }];
  }

  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').split('?')[0];
    let [status, answer]: [number, unknown] = [404, {}];
    if (path === '/.well-known/openid-configuration')
      [status, answer] = [
        200,
        {
          issuer: provider.issuer,
          jwks_uri: `${provider.issuer}/keys`,
          authorization_endpoint: `${provider.issuer}/authorize`,
          token_endpoint: `${provider.issuer}/token`,
          userinfo_endpoint: `${provider.issuer}/userinfo`,
          response_types_supported: ['code'],
          id_token_signing_alg_values_supported: ['PS256'],
        },
      ];
    else if (path === '/keys')
      [status, answer] = [200, { keys: [{ ...(await exportJWK(own.publicKey)), kid: 'one', alg: 'PS256' }] }];
    else if (path === '/token') [status, answer] = await tokens(request);
    else if (path === '/userinfo') {
      const access = (request.headers.authorization ?? '').replace('Bearer ', '');
      [status, answer] = infos.has(access) ? [200, infos.get(access)] : [200, { sub: 'a-person-whom-nobody-may-keep' }];
    }
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(provider, {
    issuer: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    signed: (payload: JWTPayload, key: KeyObject = own.privateKey, header: Record<string, unknown> = { kid: 'one' }) =>
      new SignJWT(payload).setProtectedHeader({ alg: 'PS256', ...header }).sign(key),
    consent(url: string, answered: Answered) {
      const { origin, pathname, searchParams: query } = new URL(url);
      const right =
        origin === provider.issuer &&
        pathname === '/authorize' &&
        query.get('response_type') === 'code' &&
        query.get('client_id') === client.id &&
        query.get('code_challenge_method') === 'S256' &&
        (query.get('scope') ?? '').split(' ').includes('openid') &&
        ['state', 'nonce', 'code_challenge'].every((name) => (query.get(name) ?? '').length >= 43);
      if (!right) throw new Error('the request of authorisation is not as it should be');
      const code = base64url(randomBytes(16));
      codes.set(code, { query, answered, used: false });
      const back = new URL(query.get('redirect_uri')!);
      back.search = new URLSearchParams({ code, state: query.get('state')! }).toString();
      return back.href;
    },
    stop: () => server.close(),
  });
  return provider;
}
