/**
 * An identity provider (SAML 2.0) of a test's own. It makes signatures with libxml2's canonical form and node's crypto, by nothing of
 * the library that verifies them, and signs whatever it is told to.
 */
import { createHash, createSign, createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';
import { XmlDocument } from 'libxml2-wasm';
import { readXml, textOf, type XmlElement } from '#adapters/xml';
import { issueCertificate, pemBlocks } from '#kernel';

export const IDP = 'https://idp.example/saml';
export const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const EXC = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';
const SHA256 = 'http://www.w3.org/2001/04/xmlenc#sha256';
const XML = { saml: 'urn:oasis:names:tc:SAML:2.0:assertion', samlp: 'urn:oasis:names:tc:SAML:2.0:protocol' };
const ENVELOPED = `${DSIG}enveloped-signature`;

export interface Signer {
  key: KeyObject;
  /** PEM. */
  certificate: string;
}

/** A key, and a certificate that holds it. */
export function newSigner(modulusLength = 2048): Signer {
  const { privateKey: key, publicKey } = generateKeyPairSync('rsa', { modulusLength });
  const by = {
    subject: { commonName: 'idp.example' },
    key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  };
  const [notBeforeMs, notAfterMs] = [Date.now() - 60_000, Date.now() + 86_400_000];
  return { key, certificate: issueCertificate({ subject: by.subject, publicKey, by, notBeforeMs, notAfterMs }) };
}

/** How a signature is made; what is left out is as it should be. */
export interface How {
  signer: Signer;
  method?: string;
  digest?: string;
  canonical?: string;
  transforms?: string[];
  /** The reference's URI. */
  uri?: string;
  /** Stands in KeyInfo instead of the signer's own certificate. */
  shows?: Signer;
  /** Put into the signature, behind it all. */
  inside?: string;
}

const HASHES: Record<string, string> = {
  [SHA256]: 'sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512': 'sha512',
  [`${DSIG}sha1`]: 'sha1',
};
const SIGNERS: Record<string, string> = {
  [RSA_SHA256]: 'sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512': 'sha512',
  [`${DSIG}rsa-sha1`]: 'sha1',
};

/** The canonical form (exclusive, without comments) of a whole document. */
export function canonical(xml: string): string {
  const document = XmlDocument.fromString(xml);
  try {
    return document.canonicalizeToString({ mode: 1 });
  } finally {
    document.dispose();
  }
}

/** The signature of a piece of XML by itself, to stand in it or elsewhere. */
export function signatureOf(piece: string, id: string, how: How): string {
  const { signer, method = RSA_SHA256, digest = SHA256, canonical: form = EXC, transforms = [ENVELOPED, EXC] } = how;
  const value = createHash(HASHES[digest] ?? 'sha256')
    .update(canonical(piece))
    .digest('base64');
  const info = `<ds:SignedInfo xmlns:ds="${DSIG}"><ds:CanonicalizationMethod Algorithm="${form}"/><ds:SignatureMethod Algorithm="${method}"/><ds:Reference URI="${how.uri ?? `#${id}`}"><ds:Transforms>${transforms
    .map((one) => `<ds:Transform Algorithm="${one}"/>`)
    .join(
      '',
    )}</ds:Transforms><ds:DigestMethod Algorithm="${digest}"/><ds:DigestValue>${value}</ds:DigestValue></ds:Reference></ds:SignedInfo>`;
  const signature = createSign(SIGNERS[method] ?? 'sha256')
    .update(canonical(info))
    .sign(signer.key, 'base64');
  const shown = pemBlocks((how.shows ?? signer).certificate, 'CERTIFICATE')[0]!.toString('base64');
  return `<ds:Signature xmlns:ds="${DSIG}">${info}<ds:SignatureValue>${signature}</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>${shown}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>${how.inside ?? ''}</ds:Signature>`;
}

/** What an assertion says. Times are in seconds from now. */
export interface Says {
  id?: string;
  issuer?: string;
  audience?: string;
  recipient?: string;
  inResponseTo?: string;
  notBefore?: number;
  until?: number;
  confirmedUntil?: number | undefined;
  level?: string;
  nameId?: string;
  attributes?: Record<string, string | string[]>;
  /** NameQualifier of a value that stands in a NameID, by attribute. */
  qualifiers?: Record<string, string>;
  method?: string;
}

/** The request as the provider reads it. */
export interface Asked {
  id: string;
  issuer: string;
  recipient: string;
  root: XmlElement;
}

let made = 0;
const moment = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Reads the request that a browser brings. Throws where it is not as it should be. `key`: by which it must be signed. */
export function readRequest(url: string, certificate?: string): Asked {
  const { searchParams, search } = new URL(url);
  const { root } = readXml(inflateRawSync(Buffer.from(searchParams.get('SAMLRequest')!, 'base64')));
  if (certificate !== undefined) {
    const [signed, signature] = search.slice(1).split('&Signature=') as [string, string];
    const at = signed.indexOf('SAMLRequest=');
    const holds = createVerify('sha256')
      .update(signed.slice(at))
      .verify(certificate, decodeURIComponent(signature), 'base64');
    if (!holds || searchParams.get('SigAlg') !== RSA_SHA256)
      throw new Error('the request is not signed as it should be');
  }
  const { ID, AssertionConsumerServiceURL } = root.attrs;
  if (root.name !== 'AuthnRequest' || root.ns !== XML.samlp || !ID) throw new Error('this is no request');
  return { id: ID, issuer: textOf(root, 'Issuer')!, recipient: AssertionConsumerServiceURL!, root };
}

/** An assertion without a signature; `signature` stands where one does. */
export function assertionOf(asked: Asked, says: Says, signature = ''): { id: string; xml: string } {
  const id = says.id ?? `_a${++made}`;
  const attributes = Object.entries(says.attributes ?? {}).map(([name, given]) => {
    const values = [given].flat().map((value) => {
      const qualifier = says.qualifiers?.[name];
      const held = qualifier
        ? `<saml:NameID NameQualifier="${qualifier}">${escaped(value)}</saml:NameID>`
        : escaped(value);
      return `<saml:AttributeValue>${held}</saml:AttributeValue>`;
    });
    return `<saml:Attribute Name="${name}">${values.join('')}</saml:Attribute>`;
  });
  const until = 'confirmedUntil' in says ? says.confirmedUntil : 300;
  const confirmation = [
    `InResponseTo="${says.inResponseTo ?? asked.id}"`,
    `Recipient="${says.recipient ?? asked.recipient}"`,
    until === undefined ? '' : `NotOnOrAfter="${moment(until)}"`,
  ].join(' ');
  const xml = `<saml:Assertion xmlns:saml="${XML.saml}" ID="${id}" Version="2.0" IssueInstant="${moment(0)}"><saml:Issuer>${says.issuer ?? IDP}</saml:Issuer>${signature}<saml:Subject><saml:NameID>${says.nameId ?? 'a-person-whom-nobody-may-keep'}</saml:NameID><saml:SubjectConfirmation Method="${says.method ?? 'urn:oasis:names:tc:SAML:2.0:cm:bearer'}"><saml:SubjectConfirmationData ${confirmation}/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${moment(says.notBefore ?? -5)}" NotOnOrAfter="${moment(says.until ?? 300)}"><saml:AudienceRestriction><saml:Audience>${says.audience ?? asked.issuer}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="${moment(0)}"><saml:AuthnContext><saml:AuthnContextClassRef>${says.level ?? ''}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>${attributes.join('')}</saml:AttributeStatement></saml:Assertion>`;
  return { id, xml };
}

/** A signed assertion. */
export function signedAssertion(asked: Asked, says: Says, how: How): { id: string; xml: string; signature: string } {
  const { id, xml } = assertionOf(asked, says);
  const signature = signatureOf(xml, id, how);
  return { id, signature, xml: xml.replace('</saml:Issuer>', `</saml:Issuer>${signature}`) };
}

/** A response around whatever is given. */
export const responseOf = (
  asked: Asked,
  inside: string,
  { id = `_r${++made}`, status = 'Success', second = '', attributes = '' } = {},
): string =>
  `<samlp:Response xmlns:samlp="${XML.samlp}" ID="${id}" Version="2.0" IssueInstant="${moment(0)}" Destination="${asked.recipient}" InResponseTo="${asked.id}"${attributes}><saml:Issuer xmlns:saml="${XML.saml}">${IDP}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:${status}">${second && `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:${second}"/>`}</samlp:StatusCode></samlp:Status>${inside}</samlp:Response>`;

/** The metadata of the provider. */
export const metadataOf = (signers: readonly Signer[], more = ''): string =>
  `<?xml version="1.0"?><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${IDP}"${more}><md:IDPSSODescriptor protocolSupportEnumeration="${XML.samlp}">${signers
    .map(
      ({ certificate }) =>
        `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="${DSIG}"><ds:X509Data><ds:X509Certificate>${pemBlocks(certificate, 'CERTIFICATE')[0]!.toString('base64')}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`,
    )
    .join(
      '',
    )}<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/post"/><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso?tenant=1"/></md:IDPSSODescriptor></md:EntityDescriptor>`;
