/** Who the identity provider is, from its metadata, and what we tell it of ourselves. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { childrenOf, elementToXml, readXml, type XmlElement } from '#adapters/xml';
import { pemBlocks } from '#kernel';
import { DSIG, PROTOCOL } from './response.ts';

const METADATA = 'urn:oasis:names:tc:SAML:2.0:metadata';
const REDIRECT = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect';
export const POST = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST';

export interface IdentityProvider {
  entityId: string;
  /** Where a person is sent (HTTP-Redirect). */
  url: string;
  /** Of certificates that it signs with. */
  keys: readonly KeyObject[];
}

/** What is wrong with metadata or certificates, as the end of a sentence. */
export class MetadataProblem extends Error {}

/** Bytes of the RSA modulus, bits. */
const LEAST_BITS = 2048;

/** Keys of certificates. Throws MetadataProblem. */
export function keysOf(certificates: readonly (string | Uint8Array)[]): Pick<IdentityProvider, 'keys'> {
  if (certificates.length === 0) throw new MetadataProblem('has no certificate to verify signatures by');
  const keys: KeyObject[] = [];
  for (const certificate of certificates) {
    let read: X509Certificate;
    try {
      read = new X509Certificate(certificate);
    } catch {
      throw new MetadataProblem('has a certificate that cannot be read');
    }
    const { asymmetricKeyType, asymmetricKeyDetails } = read.publicKey;
    if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_BITS)
      throw new MetadataProblem(`has a certificate whose key is not RSA of at least ${LEAST_BITS} bits`);
    keys.push(read.publicKey);
  }
  return { keys };
}

/** The provider that a metadata file describes: one entity, that signs and takes requests by HTTP-Redirect. Throws MetadataProblem. */
export function providerIn(bytes: Uint8Array, now: number): IdentityProvider {
  let root: XmlElement;
  try {
    ({ root } = readXml(bytes, { maxBytes: 1024 * 1024, maxDepth: 40 }));
  } catch {
    throw new MetadataProblem('is not XML, or has a document type');
  }
  const named = (parent: XmlElement, name: string, ns = METADATA) =>
    parent.children.filter((one) => one.name === name && one.ns === ns);
  if (root.name !== 'EntityDescriptor' || root.ns !== METADATA)
    throw new MetadataProblem('must be the metadata of one entity (EntityDescriptor)');
  const entityId = root.attrs['entityID'] ?? '';
  if (entityId === '' || entityId.length > 1024) throw new MetadataProblem('names no entityID');
  const [descriptor, ...more] = named(root, 'IDPSSODescriptor');
  if (!descriptor || more.length > 0) throw new MetadataProblem('must have one IDPSSODescriptor');
  for (const { attrs } of [root, descriptor])
    if (attrs['validUntil'] !== undefined && !(Date.parse(attrs['validUntil']) > now))
      throw new MetadataProblem('is past its validUntil');
  const certificates = named(descriptor, 'KeyDescriptor')
    .filter(({ attrs }) => (attrs['use'] ?? 'signing') === 'signing')
    .flatMap((key) => named(key, 'KeyInfo', DSIG))
    .flatMap((info) => childrenOf(info, 'X509Data'))
    .flatMap((data) => childrenOf(data, 'X509Certificate'))
    .map(({ text }) => Buffer.from(text, 'base64'));
  const [url] = named(descriptor, 'SingleSignOnService').flatMap(({ attrs }) =>
    attrs['Binding'] === REDIRECT && attrs['Location'] ? [attrs['Location']] : [],
  );
  if (url === undefined || !URL.canParse(url))
    throw new MetadataProblem('has no SingleSignOnService for HTTP-Redirect');
  return { entityId, url, ...keysOf(certificates) };
}

/** What we are, for who registers us at a provider. `certificate`: PEM of the key that requests are signed with. */
export function ourMetadata(
  { entityId, recipient }: { entityId: string; recipient: string },
  certificate: string | undefined,
): string {
  const [der] = certificate === undefined ? [] : pemBlocks(certificate, 'CERTIFICATE');
  const element = (
    ns: string,
    name: string,
    attrs: Record<string, string>,
    children: XmlElement[] = [],
    text = '',
  ) => ({
    name,
    ns,
    attrs,
    text,
    children,
    line: 0,
  });
  const key =
    der === undefined
      ? []
      : [
          element(METADATA, 'KeyDescriptor', { use: 'signing' }, [
            element(DSIG, 'KeyInfo', {}, [
              element(DSIG, 'X509Data', {}, [
                element(DSIG, 'X509Certificate', {}, [], Buffer.from(der).toString('base64')),
              ]),
            ]),
          ]),
        ];
  return elementToXml(
    element(METADATA, 'EntityDescriptor', { entityID: entityId }, [
      element(
        METADATA,
        'SPSSODescriptor',
        {
          protocolSupportEnumeration: PROTOCOL,
          AuthnRequestsSigned: String(der !== undefined),
          WantAssertionsSigned: 'true',
        },
        [
          ...key,
          element(METADATA, 'AssertionConsumerService', {
            Binding: POST,
            Location: recipient,
            index: '0',
            isDefault: 'true',
          }),
        ],
      ),
    ]),
  );
}
