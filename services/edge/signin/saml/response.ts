/**
 * What an identity provider says of a person in a SAML 2.0 response, believed only where it was signed. Nothing is read from the
 * document itself but where its one assertion and its one signature stand: whatever counts is read from the bytes that were signed.
 */
import type { KeyObject } from 'node:crypto';
import { child, childrenOf, readXml, textOf, type XmlElement } from '#adapters/xml';
import { GatewayError } from '#kernel';
import { notTaken } from '../claims.ts';
import { type DomNode, type Library, library } from './library.ts';

export const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol';
export const ASSERTION = 'urn:oasis:names:tc:SAML:2.0:assertion';
export const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const SUCCESS = 'urn:oasis:names:tc:SAML:2.0:status:Success';
const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer';
/** Second words of a status by which a person turned back, or was sent back by the provider. */
const CANCELLED = /^urn:oasis:names:tc:SAML:2\.0:status:(AuthnFailed|RequestDenied|NoPassive|NoAuthnContext)$/;

/** The only ways of signing that are taken. SHA-1 and keys that both sides know are not among them. */
const CANONICAL = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const ENVELOPED = `${DSIG}enveloped-signature`;
const SIGNATURES: readonly string[] = [
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
  'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1',
];
const DIGESTS: readonly string[] = [
  'http://www.w3.org/2001/04/xmlenc#sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512',
];

/** Longest response, bytes of XML; how deep it may go; how far the provider's clock may be off. */
const LONGEST = 128 * 1024;
const DEEPEST = 40;
/**
 * Most elements of a response, and of the KeyInfo in it, which is not read: one of a real provider has a hundred or two. The library
 * looks for what it needs among all of them, in a time that grows faster than they do.
 */
const MOST_ELEMENTS = 600;
const MOST_OF_KEY = 30;
const SLACK_MS = 30_000;

/** What a response is held against. */
export interface Expected {
  /** entityID of the provider, and the keys that it signs with. */
  provider: string;
  keys: readonly KeyObject[];
  /** Our own entityID, and where responses are sent. */
  audience: string;
  recipient: string;
  /** ID of the request that this browser began with. */
  request: string;
  /** Unix milliseconds. */
  now: number;
}

/** What was said of whoever signed in. */
export interface Asserted {
  /** Of the assertion, unique at its provider. */
  id: string;
  /** By name of the attribute; `acr`: class of authentication; `nameid`: name of the subject. Of several values a list. */
  said: Readonly<Record<string, string | readonly string[]>>;
  /** Qualifier of the name that an attribute holds, by name of the attribute. */
  qualifiers: Readonly<Record<string, string>>;
}

/** Why a response is not believed: for the log, without a word of it. */
export class NotBelieved extends Error {
  readonly why: string;
  constructor(why: string) {
    super(`not believed: ${why}`);
    this.why = why;
  }
}
const no = (why: string): NotBelieved => new NotBelieved(why);

/**
 * Believes a response, as it was posted (base64), or throws: NotBelieved with why; GatewayError party.forbidden (`cancelled`) where
 * the provider says that nobody signed in.
 */
export async function believe(posted: string, expected: Expected): Promise<Asserted> {
  const text = textOfPosted(posted);
  const response = treeOf(text);
  const assertion = oneAssertion(response, expected);
  requireSignature(response, assertion);
  const signed = treeOf(signedBytes(text, assertion.attrs['ID']!, expected.keys, await library()));
  if (!isSaml(signed, 'Assertion') || signed.attrs['ID'] !== assertion.attrs['ID']) throw no('signs_something_else');
  return read(signed, expected);
}

function textOfPosted(posted: string): string {
  const packed = posted.replaceAll(/[\r\n\t ]/g, '');
  if (packed.length > (LONGEST / 3) * 4 + 4) throw no('too_large');
  if (packed === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) throw no('not_base64');
  const bytes = Buffer.from(packed, 'base64');
  if (bytes.length > LONGEST) throw no('too_large');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw no('not_utf8');
  }
  // No document type, so no entity; no comment or CDATA, which two readers may see two texts in; no instruction but the first.
  if (text.includes('<!') || text.lastIndexOf('<?') > 0) throw no('markup');
  return text;
}

function treeOf(text: string): XmlElement {
  try {
    const { root, encoding } = readXml(Buffer.from(text), { maxBytes: LONGEST, maxDepth: DEEPEST });
    if (encoding !== 'UTF-8') throw no('not_utf8');
    return root;
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw no('not_xml');
    throw thrown;
  }
}

const isNamed = ({ name, ns }: XmlElement, namespace: string, local: string): boolean =>
  name === local && ns === namespace;
const isSaml = (element: XmlElement, local: string): boolean => isNamed(element, ASSERTION, local);

function* all(element: XmlElement): Generator<XmlElement> {
  yield element;
  for (const one of element.children) yield* all(one);
}

/** What the response itself must be, though nobody signed it: there is one assertion, directly in it. */
function oneAssertion(response: XmlElement, { provider, recipient, request }: Expected): XmlElement {
  if (!isNamed(response, PROTOCOL, 'Response') || response.attrs['Version'] !== '2.0') throw no('no_response');
  const status = child(response, 'Status');
  const [code, ...codes] = status ? childrenOf(status, 'StatusCode') : [];
  if (!code || codes.length > 0) throw no('no_status');
  if (code.attrs['Value'] !== SUCCESS) {
    if (CANCELLED.test(child(code, 'StatusCode')?.attrs['Value'] ?? ''))
      throw notTaken('cancelled', 'You did not sign in.');
    throw no('status');
  }
  for (const [name, right] of [
    ['Destination', recipient],
    ['InResponseTo', request],
  ] as const)
    if (response.attrs[name] !== undefined && response.attrs[name] !== right) throw no(name.toLowerCase());
  const issuer = child(response, 'Issuer');
  if (issuer && issuer.text !== provider) throw no('issuer');
  const elements = [...all(response)];
  if (elements.length > MOST_ELEMENTS) throw no('too_large');
  // By local name alone, so that none hides in a namespace that another reader does not mind.
  const assertions = elements.filter(({ name }) => /assertion$/i.test(name));
  const [assertion] = assertions;
  if (assertions.some(({ name }) => name === 'EncryptedAssertion')) throw no('encrypted');
  if (!assertion || assertions.length > 1) throw no('not_one_assertion');
  if (!isSaml(assertion, 'Assertion') || !response.children.includes(assertion)) throw no('assertion_elsewhere');
  const ids = elements.flatMap(({ attrs }) =>
    Object.entries(attrs).flatMap(([name, value]) => (/^(\{.*\})?id$/i.test(name) ? [value] : [])),
  );
  if (new Set(ids).size < ids.length) throw no('ids');
  if (!/^[A-Za-z_][\w.-]{0,255}$/.test(assertion.attrs['ID'] ?? '')) throw no('id');
  return assertion;
}

/** Names that stand once in a signature: who looks for one anywhere finds that. */
const ONCE = [
  'SignedInfo',
  'CanonicalizationMethod',
  'SignatureMethod',
  'Reference',
  'Transforms',
  'DigestMethod',
  'DigestValue',
  'SignatureValue',
];

/** The assertion has one signature, of itself as a whole, in a form that leaves nothing to choose. */
function requireSignature(response: XmlElement, assertion: XmlElement): void {
  const signatures = [...all(response)].filter(({ name }) => name === 'Signature');
  const own = assertion.children.filter((one) => isNamed(one, DSIG, 'Signature'));
  const [signature] = own;
  if (!signature || own.length > 1) throw no('unsigned');
  // One more may sign the response, of which nothing is believed.
  const others = signatures.filter((one) => one !== signature);
  if (others.length > 1 || others.some((one) => !response.children.includes(one))) throw no('signature_elsewhere');
  const inside = [...all(signature)];
  for (const name of ONCE) if (inside.filter((one) => one.name === name).length !== 1) throw no('signature_form');
  const [info, value, key, ...more] = signature.children;
  if (info?.name !== 'SignedInfo' || value?.name !== 'SignatureValue' || more.length > 0) throw no('signature_form');
  if (key && key.name !== 'KeyInfo') throw no('signature_form');
  // What KeyInfo brings is not read, whatever it is.
  const keyInfo = new Set(key ? all(key) : []);
  if (keyInfo.size > MOST_OF_KEY) throw no('too_large');
  if (inside.some((one) => one.ns !== DSIG && one.name !== 'InclusiveNamespaces' && !keyInfo.has(one)))
    throw no('signature_form');
  const [canonical, method, reference, ...besides] = info.children;
  if (
    canonical?.name !== 'CanonicalizationMethod' ||
    method?.name !== 'SignatureMethod' ||
    reference?.name !== 'Reference' ||
    besides.length > 0
  )
    throw no('signature_form');
  const [transforms, digest, digestValue, ...rest] = reference.children;
  if (
    transforms?.name !== 'Transforms' ||
    digest?.name !== 'DigestMethod' ||
    digestValue?.name !== 'DigestValue' ||
    rest.length > 0
  )
    throw no('signature_form');
  if (reference.attrs['URI'] !== `#${assertion.attrs['ID']}`) throw no('signs_something_else');
  const ways = transforms.children.map(({ name, attrs }) => (name === 'Transform' ? attrs['Algorithm'] : ''));
  if (ways.join(' ') !== `${ENVELOPED} ${CANONICAL}`) throw no('transforms');
  if (canonical.attrs['Algorithm'] !== CANONICAL) throw no('algorithm');
  if (!SIGNATURES.includes(method.attrs['Algorithm'] ?? '')) throw no('algorithm');
  if (!DIGESTS.includes(digest.attrs['Algorithm'] ?? '')) throw no('algorithm');
}

/** What was signed, in its canonical form: verified by one of the provider's own keys, whatever key the document brings. */
function signedBytes(text: string, id: string, keys: readonly KeyObject[], { SignedXml, DOMParser }: Library): string {
  for (const key of keys) {
    try {
      // Anew for each key: to verify takes the signature out of the document.
      const signature = signatureIn(text, id, DOMParser);
      const signed = new SignedXml({ publicCert: key.export({ type: 'spki', format: 'pem' }) as string });
      signed.idAttributes = ['ID'];
      signed.CanonicalizationAlgorithms = pick(signed.CanonicalizationAlgorithms, [CANONICAL, ENVELOPED]);
      signed.SignatureAlgorithms = pick(signed.SignatureAlgorithms, SIGNATURES);
      signed.HashAlgorithms = pick(signed.HashAlgorithms, DIGESTS);
      signed.loadSignature(signature);
      if (!signed.checkSignature(text)) continue;
      const [bytes, ...more] = signed.getSignedReferences();
      if (bytes !== undefined && more.length === 0) return bytes;
    } catch (thrown) {
      if (thrown instanceof NotBelieved) throw thrown;
      // Another key may fit. What the library says holds parts of the document.
    }
  }
  throw no('signature');
}

const pick = (known: Record<string, unknown>, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(names.flatMap((name) => (known[name] === undefined ? [] : [[name, known[name]]])));

function signatureIn(text: string, id: string, DOMParser: Library['DOMParser']): DomNode {
  const fail = (): never => {
    throw no('not_xml');
  };
  const quiet = () => undefined;
  const document = new DOMParser({
    errorHandler: { warning: quiet, error: fail, fatalError: fail },
  }).parseFromString(text, 'text/xml');
  const within = (parent: DomNode, ns: string, name: string): DomNode[] =>
    Array.from({ length: parent.childNodes.length }, (_, i) => parent.childNodes[i]!).filter(
      (node) => node.nodeType === 1 && node.localName === name && node.namespaceURI === ns,
    );
  const [assertion, ...others] = within(document.documentElement, ASSERTION, 'Assertion');
  const [signature, ...more] = assertion ? within(assertion, DSIG, 'Signature') : [];
  if (!signature || others.length > 0 || more.length > 0 || assertion!.getAttribute('ID') !== id)
    throw no('read_otherwise');
  return signature;
}

/** One child with this name; none or several are refused. */
function one(parent: XmlElement, name: string): XmlElement {
  const [found, ...more] = parent.children.filter((element) => isSaml(element, name));
  if (!found || more.length > 0) throw no(name.toLowerCase());
  return found;
}

function momentIn(text: string | undefined): number {
  // As XML Schema writes it, in UTC, which SAML demands.
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text ?? '')) throw no('times');
  const at = Date.parse(text!);
  if (!Number.isFinite(at)) throw no('times');
  return at;
}

function read(assertion: XmlElement, expected: Expected): Asserted {
  const { provider, audience, now } = expected;
  if (assertion.attrs['Version'] !== '2.0') throw no('version');
  if (one(assertion, 'Issuer').text !== provider) throw no('issuer');
  const conditions = one(assertion, 'Conditions');
  const { NotBefore: from, NotOnOrAfter: until } = conditions.attrs;
  if (from !== undefined && now + SLACK_MS < momentIn(from)) throw no('too_early');
  if (until !== undefined && now - SLACK_MS >= momentIn(until)) throw no('too_late');
  const restrictions = childrenOf(conditions, 'AudienceRestriction');
  if (restrictions.length === 0) throw no('audience');
  for (const restriction of restrictions)
    if (!childrenOf(restriction, 'Audience').some(({ text }) => text === audience)) throw no('audience');
  const subject = one(assertion, 'Subject');
  const reasons = childrenOf(subject, 'SubjectConfirmation').map((confirmation) => unconfirmed(confirmation, expected));
  if (!reasons.includes('')) throw no(reasons[0] ?? 'subject');
  const authenticated = childrenOf(assertion, 'AuthnStatement');
  if (authenticated.length === 0) throw no('authnstatement');
  for (const { attrs } of authenticated)
    if (attrs['SessionNotOnOrAfter'] !== undefined && now - SLACK_MS >= momentIn(attrs['SessionNotOnOrAfter']))
      throw no('too_late');

  const said = new Map<string, string[]>();
  const qualifiers = new Map<string, string>();
  for (const statement of childrenOf(assertion, 'AttributeStatement'))
    for (const attribute of childrenOf(statement, 'Attribute')) {
      const name = attribute.attrs['Name'] ?? '';
      for (const value of childrenOf(attribute, 'AttributeValue')) {
        const [named, ...more] = value.children;
        // A name within the value says what kind of number it is; whatever else stands there is no text.
        if (named && (!isSaml(named, 'NameID') || more.length > 0 || named.children.length > 0)) continue;
        said.set(name, [...(said.get(name) ?? []), named ? named.text : value.text]);
        const qualifier = named?.attrs['NameQualifier'];
        if (qualifier !== undefined) qualifiers.set(name, qualifier);
      }
    }
  const classes = authenticated.flatMap((statement) =>
    childrenOf(statement, 'AuthnContext').flatMap((context) => textOf(context, 'AuthnContextClassRef') ?? []),
  );
  said.set('acr', classes);
  said.set(
    'nameid',
    childrenOf(subject, 'NameID').map(({ text }) => text),
  );
  return {
    id: assertion.attrs['ID']!,
    said: Object.fromEntries([...said].flatMap(([name, values]) => (values.length > 0 ? [[name, values]] : []))),
    qualifiers: Object.fromEntries(qualifiers),
  };
}

/** Why a confirmation of the subject does not hold; empty = it does. */
function unconfirmed(confirmation: XmlElement, { recipient, request, now }: Expected): string {
  if (confirmation.attrs['Method'] !== BEARER) return 'method';
  const data = child(confirmation, 'SubjectConfirmationData');
  const { Recipient, InResponseTo, NotOnOrAfter, NotBefore } = data?.attrs ?? {};
  if (Recipient !== recipient) return 'recipient';
  // In what was signed: what the response says of it anybody can write.
  if (InResponseTo !== request) return 'inresponseto';
  if (NotOnOrAfter === undefined || NotBefore !== undefined) return 'times';
  return now - SLACK_MS >= momentIn(NotOnOrAfter) ? 'too_late' : '';
}
