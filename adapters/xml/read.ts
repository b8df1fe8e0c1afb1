import { GatewayError, type Where } from '#kernel';
import { decode, type Encoding } from './decode.ts';
import {
  type Doc,
  type Finding,
  type Findings,
  lineOf,
  orderOf,
  parse,
  pathOf,
  remove,
  rootPath,
  validate,
  walk,
} from './libxml.ts';
import { type Compiled, compiledIn, type Schema } from './schema.ts';
import type { XmlElement } from './tree.ts';
import { elementToXml } from './write.ts';

export interface ReadOptions {
  /** Validate against this; without it the document need only be XML. */
  schema?: Schema;
  /** Elements with these local names are taken out before validation, wherever they stand, and returned apart. */
  drop?: readonly string[];
  /** What breaks the schema comes back as `invalid` instead of being thrown, for who has more rules to report with it. */
  collect?: boolean;
  /** Larger is `wire.too_large`. */
  maxBytes?: number;
  /** Deeper nesting is `wire.unreadable`. The parser itself stops at 256. */
  maxDepth?: number;
}

export interface XmlRead {
  root: XmlElement;
  /** What `drop` took out, in document order; an element within another dropped one comes before it. */
  dropped: XmlElement[];
  encoding: Encoding;
  /** With `collect`: what breaks the schema; absent where nothing does. */
  invalid?: Invalid;
}

/** What breaks a schema: the kind of the first, up to 100 places with the kind of each, and how many there are. Plain data. */
export interface Invalid {
  kind: string;
  where: Where[];
  kinds: string[];
  total: number;
}

/** As a fault. */
export function invalidError({ kind, where, total }: Omit<Invalid, 'kinds'>): GatewayError {
  const first = where[0]!;
  const more = total === 1 ? '' : ` Places in all: ${total}.`;
  return new GatewayError('wire.invalid', `${first.path}${first.line ? `, line ${first.line}` : ''}: ${kind}.${more}`, {
    where,
  });
}

export const MAX_BYTES = 32 * 1024 * 1024;
export const MAX_DEPTH = 100;

/**
 * Bytes as received → a tree, validated when a schema is given. Throws `wire.too_large`, `wire.unreadable` (encoding, not
 * XML, DOCTYPE, nested too deep) or `wire.invalid` with the path and line of up to 100 places. No error holds a value.
 */
export function readXml(bytes: Uint8Array, options: ReadOptions = {}): XmlRead {
  const maxBytes = options.maxBytes ?? MAX_BYTES;
  if (bytes.length > maxBytes)
    throw new GatewayError('wire.too_large', `The message is larger than ${maxBytes} bytes.`);
  const { utf8, encoding } = decode(bytes);
  refuseDoctype(utf8);
  refuseCrowd(utf8);
  refuseFlood(utf8);
  const { doc, findings } = parse(utf8);
  if (!doc) throw notXml(findings);
  try {
    if (doc.hasDtd) throw doctype();
    const { root, dropped, droppedAt, tooDeepAt } = walk(doc, options.maxDepth ?? MAX_DEPTH, options.drop);
    if (tooDeepAt !== undefined)
      throw new GatewayError('wire.unreadable', 'The message is nested too deep.', {
        where: [{ path: '', line: tooDeepAt }],
      });
    if (options.schema) {
      remove(droppedAt);
      const invalid = check(doc, compiledIn(options.schema));
      if (invalid && options.collect) return { root, dropped, encoding, invalid };
      if (invalid) throw invalidError(invalid);
    }
    return { root, dropped, encoding };
  } finally {
    doc.free();
  }
}

/**
 * Validates a tree that was read before and perhaps put right since. Errors show the lines of the tree, so of the
 * sender's file.
 */
export function validateElement(root: XmlElement, schema: Schema): void {
  const { doc, findings } = parse(Buffer.from(elementToXml(root), 'utf8'));
  if (!doc) throw notXml(findings);
  try {
    const invalid = check(doc, compiledIn(schema), () => {
      const order = orderOf(doc);
      const lines: number[] = [];
      const list = (it: XmlElement) => {
        lines.push(it.line);
        it.children.forEach(list);
      };
      list(root);
      return (finding) => lines[order.get(finding.node) ?? -1];
    });
    if (invalid) throw invalidError(invalid);
  } finally {
    doc.free();
  }
}

const doctype = () => new GatewayError('wire.unreadable', 'A document type (DOCTYPE) is not accepted.');

/**
 * A DOCTYPE can stand only between comments and instructions before the first element; elsewhere the parser refuses it.
 * Looking there first means that no entity is ever defined.
 */
function refuseDoctype(utf8: Uint8Array): void {
  const text = Buffer.from(utf8.buffer, utf8.byteOffset, utf8.byteLength);
  let at = 0;
  while (at < text.length) {
    const byte = text[at]!;
    if (byte === 32 || byte === 9 || byte === 10 || byte === 13) {
      at++;
      continue;
    }
    if (byte !== 60) return; // Not `<`: not XML, which the parser will say.
    const start = text.toString('latin1', at, at + 9);
    const close = start.startsWith('<?') ? '?>' : start.startsWith('<!--') ? '-->' : undefined;
    if (close === undefined) {
      if (start.toUpperCase() === '<!DOCTYPE') throw doctype();
      return;
    }
    const end = text.indexOf(close, at + (close === '?>' ? 2 : 4));
    if (end < 0) return;
    at = end + close.length;
  }
}

/** A document within the size limit can still be all tags: 32 MiB of `<a/>` takes 4 GB as a tree. Real ones have 16 bytes a tag. */
const MAX_TAGS = 2_500_000;

/** Of one element; a standard's has a handful. In less than so many bytes there is no room for a flood. */
export const MAX_ATTRIBUTES = 1_000;
const NO_FLOOD = 64 * 1024;
const [LESS, MORE, EQUALS, QUOTE, APOSTROPHE, BANG, QUERY] = [60, 62, 61, 34, 39, 33, 63];

/** Counts before anything is made of them: the parser makes a node of each, and looks each up among the others. */
function refuseFlood(utf8: Uint8Array): void {
  if (utf8.length <= NO_FLOOD) return;
  let isTag = false;
  let quote = 0;
  let attributes = 0;
  for (let at = 0; at < utf8.length; at++) {
    const byte = utf8[at]!;
    if (quote !== 0) {
      if (byte === quote) quote = 0;
    } else if (byte === LESS) {
      const next = utf8[at + 1];
      isTag = next !== BANG && next !== QUERY;
      attributes = 0;
    } else if (!isTag) continue;
    else if (byte === MORE) isTag = false;
    else if (byte === QUOTE || byte === APOSTROPHE) quote = byte;
    else if (byte === EQUALS && ++attributes > MAX_ATTRIBUTES)
      throw new GatewayError('wire.too_large', `An element has more than ${MAX_ATTRIBUTES} attributes.`);
  }
}

function refuseCrowd(utf8: Uint8Array): void {
  if (utf8.length <= MAX_TAGS) return;
  let tags = 0;
  for (let at = 0; at < utf8.length; at++) if (utf8[at] === 60) tags++;
  if (tags > MAX_TAGS) throw new GatewayError('wire.too_large', `The message has more than ${MAX_TAGS} tags.`);
}

function notXml(findings: Findings): GatewayError {
  const first = findings.kept[0];
  const where = first && first.line > 0 ? [{ path: '', line: first.line }] : [];
  const told =
    first?.code === RESOURCE_LIMIT
      ? 'The message is nested too deep or holds a text that is too long.'
      : first?.code === CUT_OFF
        ? 'The message is cut off: it ends before its last element does.'
        : 'The message is not XML.';
  return new GatewayError('wire.unreadable', where[0] ? `${told} (line ${where[0].line})` : told, { where });
}

/** libxml2's own limits (XML_ERR_RESOURCE_LIMIT). */
const RESOURCE_LIMIT = 114;
/** XML_ERR_TAG_NOT_FINISHED. */
const CUT_OFF = 77;

/** libxml2's numbers (`xmlerror.h`, XML_SCHEMAV_…) in our words: the kind of what is wrong, never what was written. */
const kinds: Record<number, string> = {
  1824: 'the value is not of its type',
  1829: 'an element stands where none may',
  1830: 'the value has the wrong length',
  1831: 'the value is too short or empty',
  1832: 'the value is too long',
  1833: 'the value is too small',
  1834: 'the value is too large',
  1839: 'the value has the wrong form',
  1840: 'the value is not in its list',
  1841: 'it must be empty',
  1842: 'it must hold text only',
  1843: 'text stands where none may',
  1845: 'this is not the start of a message we know',
  1866: 'an attribute stands where none may',
  1868: 'an attribute is missing',
  1871: 'an element is missing, unknown or out of order',
  1877: 'a key is missing, given twice or refers to nothing',
};

function check(
  doc: Doc,
  { schema, names }: Compiled,
  lines?: () => (finding: Finding) => number | undefined,
): Invalid | undefined {
  const findings = validate(schema, doc);
  if (findings.total === 0) return undefined;
  const lineFor = lines?.() ?? ((finding: Finding) => (finding.node === 0 ? finding.line : lineOf(finding.node)));
  const where: Where[] = findings.kept.map((finding) => {
    const line = lineFor(finding);
    // Of a reference to nothing the parser tells the line only: then the place is the document.
    const path = pathOf(finding.node, names) || rootPath(doc, names);
    return line !== undefined && line > 0 ? { path, line } : { path };
  });
  const kindOf = findings.kept.map(({ code }) => kinds[code] ?? 'it breaks the schema');
  return { kind: kindOf[0]!, where, kinds: kindOf, total: findings.total };
}
