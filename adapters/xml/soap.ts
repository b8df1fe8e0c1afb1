import { GatewayError } from '#kernel';
import { type ReadOptions, readXml } from './read.ts';
import { child, type XmlElement } from './tree.ts';
import { writeXml, type XmlObject } from './write.ts';

export const SOAP11 = 'http://schemas.xmlsoap.org/soap/envelope/';

export interface Envelope {
  /** Children of the header, none when there is no header. */
  header: XmlElement[];
  /** The first element of the body: what a door dispatches on, by `ns` and `name`. */
  body: XmlElement;
}

/**
 * Reads a SOAP 1.1 envelope. The payload is not validated: a reader that is liberal puts it right first and then calls
 * `validateElement`. A header that must be understood is for the caller to judge.
 */
export function readEnvelope(bytes: Uint8Array, options: Omit<ReadOptions, 'schema'> = {}): Envelope {
  return envelopeOf(readXml(bytes, options).root);
}

/** The same for a document that was read already, such as in the worker. */
export function envelopeOf(root: XmlElement): Envelope {
  const invalid = (path: string, told: string) =>
    new GatewayError('wire.invalid', told, { where: [{ path, line: root.line }] });
  if (root.name !== 'Envelope') throw invalid('', 'This is not a SOAP envelope.');
  if (root.ns !== SOAP11)
    throw new GatewayError('wire.version', 'Only SOAP 1.1 is spoken here.', {
      where: [{ path: 'Envelope', line: root.line }],
    });
  const bodies = root.children.filter((it) => it.name === 'Body' && it.ns === SOAP11);
  if (bodies.length !== 1) throw invalid('Envelope', 'An envelope has exactly one body.');
  const [body, second] = bodies[0]!.children;
  if (!body) throw invalid('Envelope/Body', 'The body is empty.');
  // Who stands before us may have judged the other of two: what may be read in two ways is not read.
  if (second) throw invalid('Envelope/Body', 'A body has exactly one element.');
  const headers = root.children.filter((it) => it.name === 'Header' && it.ns === SOAP11);
  if (headers.length > 1 || (headers[0] && headers[0] !== root.children[0]))
    throw invalid('Envelope/Header', 'An envelope has at most one header, and it stands first.');
  return { header: headers[0]?.children ?? [], body };
}

/**
 * Writes an envelope the way WCF does: prefix `s` for SOAP and no prefix for the payload. Some receivers strip prefixes
 * by pattern and look for the bare names. Give payload elements their `@xmlns`.
 */
export function writeEnvelope(body: XmlObject, header?: XmlObject): string {
  return writeXml({ 's:Envelope': { '@xmlns:s': SOAP11, ...(header && { 's:Header': header }), 's:Body': body } });
}

export interface SoapFault {
  /** Such as `Client.OngeldigBericht`; a standard says which. */
  faultcode: string;
  faultstring: string;
  /** The element or elements within `detail`. */
  detail?: XmlObject;
}

/** Writes a SOAP 1.1 fault; its parts have no namespace (SOAP 1.1 §4.4). Send it with HTTP 500. */
export function writeFault({ faultcode, faultstring, detail }: SoapFault): string {
  return writeEnvelope({ 's:Fault': { faultcode, faultstring, ...(detail && { detail }) } });
}

export const FAULT_NS = 'urn:eduk:fault';

/** Our own code for `detail`, beside the standard's words: fault, what is told, who must act, whether a repeat helps, and where. */
export function faultDetail(error: GatewayError, more: { flowId?: string } = {}): XmlObject {
  return {
    fault: {
      '@xmlns': FAULT_NS,
      code: error.fault,
      told: carried(error.told),
      who: error.row.who,
      retry: error.row.retry,
      ...(more.flowId !== undefined && { flow_id: more.flowId }),
      where: error.where.map(({ path, line }) => ({ path: carried(path), ...(line !== undefined && { line }) })),
    },
  };
}

/** Words for a fault: what XML cannot carry is left out, because an answer that cannot be written tells nobody anything. */
const carried = (words: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to leave out.
  words.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '');

/** What a peer's fault says, when an answer is one. */
export function faultIn(
  body: XmlElement,
): { faultcode: string; faultstring: string; detail: XmlElement | undefined } | undefined {
  if (body.name !== 'Fault' || body.ns !== SOAP11) return undefined;
  const text = (name: string) => child(body, name)?.text.trim() ?? '';
  return { faultcode: text('faultcode'), faultstring: text('faultstring'), detail: child(body, 'detail') };
}
