/**
 * What is used of `xml-crypto` and of its reader. Their own types bring in those of a browser, for the whole project; these few lines
 * say what we call, and no more.
 */

/** By a name that is a variable: then the compiler does not read its types. */
const load = async (name: string): Promise<object> => ((await import(name)) as { default: object }).default;

/** A node of the reader's tree. */
export interface DomNode {
  nodeType: number;
  localName: string | null;
  namespaceURI: string | null;
  childNodes: { length: number; [at: number]: DomNode };
  getAttribute(name: string): string;
}

type Handler = (message: string) => void;
/** Algorithms by their address. */
type Algorithms = Record<string, unknown>;

export interface Library {
  DOMParser: new (options: {
    errorHandler: Record<'warning' | 'error' | 'fatalError', Handler>;
  }) => {
    parseFromString(text: string, type: string): { documentElement: DomNode };
  };
  SignedXml: new (options: {
    publicCert: string;
  }) => {
    idAttributes: string[];
    CanonicalizationAlgorithms: Algorithms;
    SignatureAlgorithms: Algorithms;
    HashAlgorithms: Algorithms;
    loadSignature(signature: DomNode): void;
    /** Whether it holds; throws where it does not, too. */
    checkSignature(text: string): boolean;
    /** What was signed, in canonical form, once it was found to hold. */
    getSignedReferences(): string[];
  };
}

let loaded: Promise<Library> | undefined;
/** Loaded where it is used: most gateways have no provider of SAML. */
export function library(): Promise<Library> {
  loaded ??= Promise.all([load('@xmldom/xmldom'), load('xml-crypto')]).then(
    ([reader, signatures]) => ({ ...reader, ...signatures }) as Library,
  );
  return loaded;
}
