import { XMLBuilder } from 'fast-xml-parser';
import { GatewayError } from '#kernel';
import type { XmlElement } from './tree.ts';

/**
 * What to write, in the order of its keys: `@name` is an attribute, `#text` the text beside attributes, an array repeats
 * the element, `undefined` is left out, '' or {} is an empty element.
 */
export type XmlValue = string | number | boolean | undefined | XmlObject | readonly (string | number | XmlObject)[];
export interface XmlObject {
  [name: string]: XmlValue;
}

// Everything XML 1.0 has no place for, not even escaped.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
const impossible = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
  '\n': '&#10;',
  '\t': '&#9;',
};

function possible(value: string): string {
  if (impossible.test(value) || !value.isWellFormed())
    throw new GatewayError('wire.invalid', 'A value holds a character that XML cannot carry.');
  return value;
}
const escapeText = (value: string): string => possible(value).replace(/[&<>\r]/g, (c) => escapes[c]!);
const escapeAttribute = (value: string): string => possible(value).replace(/[&<>"\r\n\t]/g, (c) => escapes[c]!);

const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  textNodeName: '#text',
  suppressEmptyNode: true,
  suppressBooleanAttributes: false,
  // The builder's own escaping forgets line ends, which a reader then turns into spaces.
  processEntities: false,
  tagValueProcessor: (_name, value) => escapeText(String(value)),
  attributeValueProcessor: (_name, value) => escapeAttribute(String(value)),
});

const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** A document, as UTF-8 text with its declaration. `root` is the one element. */
export const writeXml = (root: XmlObject): string => declaration + builder.build(root);

/** The same without a declaration, to stand in another document. */
export const writeFragment = (root: XmlObject): string => builder.build(root);

/** A tree as it was read → XML, with default namespaces and no declaration. */
export function elementToXml(element: XmlElement, outerNs = ''): string {
  let tag = element.name;
  if (element.ns !== outerNs) tag += ` xmlns="${escapeAttribute(element.ns)}"`;
  let prefixes = 0;
  for (const [key, value] of Object.entries(element.attrs)) {
    const [, ns, local] = /^\{(.*)\}(.*)$/.exec(key) ?? [];
    if (ns === undefined) tag += ` ${key}="${escapeAttribute(value)}"`;
    else if (ns === 'http://www.w3.org/XML/1998/namespace') tag += ` xml:${local}="${escapeAttribute(value)}"`;
    else tag += ` xmlns:n${++prefixes}="${escapeAttribute(ns)}" n${prefixes}:${local}="${escapeAttribute(value)}"`;
  }
  const inner = escapeText(element.text) + element.children.map((it) => elementToXml(it, element.ns)).join('');
  return inner === '' ? `<${tag}/>` : `<${tag}>${inner}</${element.name}>`;
}
