import { createSign, type KeyObject, randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { elementToXml } from '#adapters/xml';
import { ConfigError, GatewayError, log, pemBlocks } from '#kernel';
import type { ClaimRules } from '../claims.ts';
import type { Begun, SignInProvider } from '../provider.ts';
import { type IdentityProvider, keysOf, MetadataProblem, ourMetadata, POST, providerIn } from './metadata.ts';
import { ASSERTION, believe, NotBelieved, PROTOCOL } from './response.ts';

/** Where authorised persons of boards and schools sign in by SAML 2.0, begun here (SP-initiated) and by no other way. */
export interface SamlSignIn extends ClaimRules {
  /** Its metadata, or what stands in it: certificates in PEM. */
  provider: { metadata: Uint8Array } | { entityId: string; url: string; certificates: Uint8Array };
  /** Our own entityID; undefined = the address of our metadata. */
  entityId: string | undefined;
  /** With which requests are signed, and its certificate (PEM); undefined = they are not. */
  key: { privateKey: KeyObject; certificate: string } | undefined;
  /** Class of authentication that is asked for at least; undefined = none is named. */
  context: string | undefined;
  /** AttributeConsumingServiceIndex; undefined = none. */
  index: number | undefined;
  /** Whether a person signs in anew, whoever the provider remembers. */
  force: boolean;
}

const SIGNED_BY = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';

/** Who the provider is. Throws `ConfigError`. Exported for its test. */
export function readProvider(given: SamlSignIn['provider'], now: number): IdentityProvider {
  try {
    if ('metadata' in given) return providerIn(given.metadata, now);
    const { entityId, url, certificates } = given;
    return { entityId, url, ...keysOf(pemBlocks(certificates, 'CERTIFICATE')) };
  } catch (thrown) {
    if (!(thrown instanceof MetadataProblem)) throw thrown;
    const name = 'metadata' in given ? 'EDUK_SAML_METADATA_FILE' : 'EDUK_SAML_CERTIFICATE_FILE';
    throw new ConfigError([`${name} ${thrown.message}`]);
  }
}

/** Requests by HTTP-Redirect, responses by HTTP-POST. */
export class SamlProvider implements SignInProvider {
  readonly start = '/saml/sign-in';
  readonly back = '/saml/acs';
  /** A response is posted by a page of the provider: only a cookie that goes along with that comes back. */
  readonly crossSite = true;
  readonly #given: SamlSignIn;
  readonly #provider: IdentityProvider;
  readonly #publicUrl: () => string;
  readonly #now: () => number;

  /** Throws `ConfigError` where the provider cannot be told from what is given. */
  constructor(given: SamlSignIn, publicUrl: () => string, now: () => number) {
    this.#given = given;
    this.#provider = readProvider(given.provider, now());
    this.#publicUrl = publicUrl;
    this.#now = now;
  }

  /** Who we are to the provider, and where its responses come. */
  #us(): { entityId: string; recipient: string } {
    const here = this.#publicUrl();
    return { entityId: this.#given.entityId ?? `${here}/saml/metadata`, recipient: `${here}${this.back}` };
  }

  metadata(): string {
    return ourMetadata(this.#us(), this.#given.key?.certificate);
  }

  async begin(): Promise<{ url: URL; pending: Begun }> {
    const { key, context, index, force } = this.#given;
    const provider = this.#provider;
    const { entityId, recipient } = this.#us();
    // The first character of an ID is no digit.
    const id = `_${randomBytes(24).toString('hex')}`;
    const element = (ns: string, name: string, attrs: Record<string, string>, text = '') => ({
      ...{ ns, name, attrs, text, line: 0 },
      children: [],
    });
    const request = elementToXml({
      ...element(PROTOCOL, 'AuthnRequest', {
        ID: id,
        Version: '2.0',
        IssueInstant: new Date(this.#now()).toISOString(),
        Destination: provider.url,
        AssertionConsumerServiceURL: recipient,
        ProtocolBinding: POST,
        ...(force ? { ForceAuthn: 'true' } : {}),
        ...(index === undefined ? {} : { AttributeConsumingServiceIndex: String(index) }),
      }),
      children: [
        element(ASSERTION, 'Issuer', {}, entityId),
        ...(context === undefined
          ? []
          : [
              {
                ...element(PROTOCOL, 'RequestedAuthnContext', { Comparison: 'minimum' }),
                children: [element(ASSERTION, 'AuthnContextClassRef', {}, context)],
              },
            ]),
      ],
    });
    const url = new URL(provider.url);
    const query = new URLSearchParams({ SAMLRequest: deflateRawSync(request).toString('base64') });
    if (key) {
      query.set('SigAlg', SIGNED_BY);
      query.set('Signature', createSign('sha256').update(query.toString()).sign(key.privateKey, 'base64'));
    }
    url.search = `${url.search === '' ? '' : `${url.search.slice(1)}&`}${query}`;
    return { url, pending: { state: id } };
  }

  /** What the provider says of whoever came back with this response, and by which assertion. Faults: party.unknown, party.forbidden. */
  async finish(posted: string, { state }: Begun): Promise<{ said: Readonly<Record<string, unknown>>; once: string }> {
    const { claims } = this.#given;
    const provider = this.#provider;
    const { entityId: audience, recipient } = this.#us();
    try {
      const { id, said, qualifiers } = await believe(posted, {
        provider: provider.entityId,
        keys: provider.keys,
        ...{ audience, recipient, request: state, now: this.#now() },
      });
      // What kind of number the subject is may stand beside the number itself.
      const kind = claims.kind !== undefined && claims.subject !== undefined ? qualifiers[claims.subject] : undefined;
      const besides = kind === undefined || Object.hasOwn(said, claims.kind!) ? {} : { [claims.kind!]: kind };
      return { said: { ...said, ...besides }, once: `${provider.entityId} ${id}` };
    } catch (thrown) {
      if (!(thrown instanceof NotBelieved)) throw thrown;
      log('warn', 'sign_in_refused', { why: thrown.why });
      throw new GatewayError('party.unknown', 'This sign-in does not hold; begin anew.', { where: 'sign_in' });
    }
  }
}
