/**
 * The one file that touches the memory of libxml2. The classes of `libxml2-wasm` make one object and several calls per
 * node, which costs three times the parse; this walk reads the same structs straight from memory (see README.md for the
 * figures). The offsets are those that the library's own accessors use (its `lib/libxml2.mjs`), so its version is pinned
 * and `layout.test.ts` compares this walk with the library's classes.
 */
import { ParseOption, XmlBufferInputProvider, xmlCleanupInputProvider, xmlRegisterInputProvider } from 'libxml2-wasm';
import * as lib from 'libxml2-wasm/lib/libxml2.mjs';
import type { XmlElement } from './tree.ts';

type Pointer = number;

/** What libxml2 found wrong: its number for the kind, the line, the node. Its words quote values and are not read. */
export interface Finding {
  code: number;
  line: number;
  node: Pointer;
}

/** Findings kept of one document; the rest is counted. */
const KEPT = 100;

export class Findings {
  readonly kept: Finding[] = [];
  total = 0;

  add(code: number, line: number, node: Pointer): void {
    // A value that breaks a facet is reported twice, for the facet and for the type.
    const last = this.kept.at(-1);
    if (last !== undefined && node !== 0 && last.node === node) return;
    this.total++;
    if (this.kept.length < KEPT) this.kept.push({ code, line, node });
  }
}

// One thread runs one call at a time, so one collector is enough and nothing is looked up per finding.
let collecting = new Findings();
const WARNING = 1;
// The library exports this without declaring it.
const { addFunction } = lib as unknown as {
  addFunction(call: (context: number, error: Pointer) => void, signature: string): Pointer;
};
const collector = addFunction((_context, error) => {
  if (lib.XmlErrorStruct.level(error) <= WARNING) return;
  collecting.add(words()[(error + 4) >>> 2]!, lib.XmlErrorStruct.line(error), lib.XmlErrorStruct.node(error));
}, 'vii');

function collect<R>(use: () => R): { result: R; findings: Findings } {
  const findings = new Findings();
  collecting = findings;
  return { result: use(), findings };
}

/** The memory as it is now: growing replaces the buffer, so no view outlives one call. */
const memory = (): ArrayBufferLike => lib.XmlNodeSetStruct.nodeTable(0, 0).buffer;
const words = (): Uint32Array => new Uint32Array(memory());

let open = 0;
/** Documents not freed yet in this thread; a test asserts that it returns to zero. */
export const openDocuments = (): number => open;

/** A parsed document. Free it in `finally`. */
export interface Doc {
  pointer: Pointer;
  hasDtd: boolean;
  free(): void;
}

const options =
  ParseOption.XML_PARSE_NONET |
  ParseOption.XML_PARSE_NO_XXE |
  ParseOption.XML_PARSE_NO_SYS_CATALOG |
  ParseOption.XML_PARSE_NOCDATA |
  ParseOption.XML_PARSE_COMPACT |
  ParseOption.XML_PARSE_SKIP_IDS |
  ParseOption.XML_PARSE_BIG_LINES;

/** UTF-8 → document, or what is wrong with it. Nothing outside the bytes is read. */
export function parse(utf8: Uint8Array, url: string | null = null): { doc: Doc | undefined; findings: Findings } {
  const context = lib.xmlNewParserCtxt();
  try {
    lib.xmlCtxtSetErrorHandler(context, collector, 0);
    const { result: pointer, findings } = collect(() => lib.xmlReadMemory(context, utf8, url, 'UTF-8', options));
    if (findings.total > 0 || pointer === 0) {
      if (pointer !== 0) lib.xmlFreeDoc(pointer);
      return { doc: undefined, findings };
    }
    open++;
    const free = () => {
      open--;
      lib.xmlFreeDoc(pointer);
    };
    return { doc: { pointer, hasDtd: lib.xmlGetIntSubset(pointer) !== 0, free }, findings };
  } finally {
    lib.xmlFreeParserCtxt(context);
  }
}

/** A compiled schema of this thread. It lives as long as the thread, and so does its document, into which it points. */
export type CompiledSchema = Pointer;

/** Compiles `main`; what it includes or imports is found among `files` and nowhere else. */
export function compile(files: Readonly<Record<string, string>>, main: string): CompiledSchema {
  const bytes = Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text, 'utf8')]));
  // The only time that libxml2 may open something, and these names are all it can open.
  xmlRegisterInputProvider(new XmlBufferInputProvider(bytes));
  try {
    const { doc } = parse(bytes[main]!, main);
    if (!doc) throw new Error(`schema ${main} is not XML`);
    open--; // It stays with the schema.
    const context = lib.xmlSchemaNewDocParserCtxt(doc.pointer);
    lib.xmlSchemaSetParserStructuredErrors(context, collector, 0);
    const { result: schema, findings } = collect(() => lib.xmlSchemaParse(context));
    lib.xmlSchemaFreeParserCtxt(context);
    if (schema === 0)
      throw new Error(`schema ${main}: ${findings.kept.map((f) => `${f.code} at line ${f.line}`).join(', ')}`);
    return schema;
  } finally {
    xmlCleanupInputProvider();
  }
}

export function validate(schema: CompiledSchema, doc: Doc): Findings {
  const context = lib.xmlSchemaNewValidCtxt(schema);
  try {
    lib.xmlSchemaSetValidStructuredErrors(context, collector, 0);
    const { result, findings } = collect(() => lib.xmlSchemaValidateDoc(context, doc.pointer));
    if (result < 0) throw new Error('libxml2 could not validate');
    if (result > 0 && findings.total === 0) findings.add(0, 0, 0);
    return findings;
  } finally {
    lib.xmlSchemaFreeValidCtxt(context);
  }
}

/** Takes elements out of a document. */
export function remove(elements: readonly Pointer[]): void {
  for (const element of elements) {
    lib.xmlUnlinkNode(element);
    lib.xmlFreeNode(element);
  }
}

const ELEMENT = 1;
const ATTRIBUTE = 2;
const TEXT = 3;
const CDATA = 4;
const NEVER: string[] = [];

/** What `toString` calls, undeclared; calling it at once saves a tenth of the walk. */
type SlicingBuffer = Buffer<ArrayBuffer> & Record<'latin1Slice' | 'utf8Slice', (from: number, to: number) => string>;

export interface Walked {
  root: XmlElement;
  dropped: XmlElement[];
  /** Where the dropped elements stand in the document. */
  droppedAt: Pointer[];
  /** Line of the first element that is too deep; the tree is then incomplete. */
  tooDeepAt: number | undefined;
}

/** Document → plain tree, in one pass. Stops below `maxDepth`. */
export function walk(doc: Doc, maxDepth: number, drop: readonly string[] = NEVER): Walked {
  const heap = Buffer.from(memory() as ArrayBuffer) as SlicingBuffer;
  const word = new Uint32Array(heap.buffer);
  const half = new Uint16Array(heap.buffer);
  // Names and namespaces are stored once per document, so their address identifies them.
  const names = new Map<Pointer, string>();
  const namespaces = new Map<Pointer, string>([[0, '']]);
  const unwanted = drop.length > 0 ? new Set(drop) : undefined;
  const dropped: XmlElement[] = [];
  const droppedAt: Pointer[] = [];
  let tooDeepAt: number | undefined;

  const text = (at: Pointer): string => {
    if (at === 0) return '';
    let end = at;
    let bits = 0;
    for (let byte = heap[end]!; byte !== 0; byte = heap[++end]!) bits |= byte;
    if (end === at) return '';
    return bits < 0x80 ? heap.latin1Slice(at, end) : heap.utf8Slice(at, end);
  };
  const blank = (at: Pointer): boolean => {
    let byte = heap[at]!;
    while (byte === 32 || byte === 10 || byte === 9 || byte === 13) byte = heap[++at]!;
    return byte === 0;
  };
  const name = (at: Pointer): string => {
    let known = names.get(at);
    if (known === undefined) {
      known = text(at);
      names.set(at, known);
    }
    return known;
  };
  const namespace = (at: Pointer): string => {
    let known = namespaces.get(at);
    if (known === undefined) {
      known = text(word[(at + 8) >>> 2]!);
      namespaces.set(at, known);
    }
    return known;
  };
  const attributesOf = (node: Pointer): Record<string, string> => {
    const all: Record<string, string> = Object.create(null);
    for (let attribute = word[(node + 44) >>> 2]!; attribute !== 0; attribute = word[(attribute + 24) >>> 2]!) {
      const ns = namespace(word[(attribute + 36) >>> 2]!);
      const local = name(word[(attribute + 8) >>> 2]!);
      let value = '';
      for (let part = word[(attribute + 12) >>> 2]!; part !== 0; part = word[(part + 24) >>> 2]!)
        value += text(word[(part + 40) >>> 2]!);
      all[ns === '' ? local : `{${ns}}${local}`] = value;
    }
    return all;
  };

  const element = (node: Pointer, depth: number): XmlElement => {
    if (depth > maxDepth) tooDeepAt ??= lineAt(node, half, word, heap);
    const children: XmlElement[] = [];
    let content = '';
    for (let child = word[(node + 12) >>> 2]!; child !== 0; child = word[(child + 24) >>> 2]!) {
      const type = word[(child + 4) >>> 2]!;
      if (type === ELEMENT) {
        if (tooDeepAt !== undefined) break;
        const made = element(child, depth + 1);
        if (unwanted?.has(made.name)) {
          dropped.push(made);
          droppedAt.push(child);
          continue;
        }
        children.push(made);
      } else if (type === TEXT || type === CDATA) {
        const at = word[(child + 40) >>> 2]!;
        const alone = word[(child + 24) >>> 2] === 0 && word[(child + 28) >>> 2] === 0;
        if (alone || !blank(at)) content += text(at);
      }
    }
    return {
      name: name(word[(node + 8) >>> 2]!),
      ns: namespace(word[(node + 36) >>> 2]!),
      attrs: attributesOf(node),
      text: content,
      children,
      line: lineAt(node, half, word, heap),
    };
  };

  const root = element(lib.xmlDocGetRootElement(doc.pointer), 1);
  // A dropped element inside a dropped one goes with it.
  const inside = new Set(droppedAt);
  const outermost = droppedAt.filter((node) => {
    for (let up = word[(node + 20) >>> 2]!; up !== 0 && up !== doc.pointer; up = word[(up + 20) >>> 2]!)
      if (inside.has(up)) return false;
    return true;
  });
  return { root, dropped, droppedAt: outermost, tooDeepAt };
}

/**
 * The line of an element. The struct holds 16 bits; beyond them a text node keeps the line at which it ends, so the
 * element's line is that of the text after its start tag, less the line ends in that text.
 */
function lineAt(node: Pointer, half: Uint16Array, word: Uint32Array, heap: Buffer): number {
  const line = half[(node + 56) >>> 1]!;
  if (line !== 0xffff) return line;
  const first = word[(node + 12) >>> 2]!;
  let after = first !== 0 ? first : word[(node + 24) >>> 2]!;
  for (; after !== 0; after = word[(first !== 0 ? after + 12 : after + 24) >>> 2]!) {
    if (word[(after + 4) >>> 2] !== TEXT) continue;
    let far = word[(after + 52) >>> 2]!;
    if (far === 0) return line;
    for (let at = word[(after + 40) >>> 2]!; heap[at] !== 0; at++) if (heap[at] === 10) far--;
    return far;
  }
  return line;
}

/** Line of the element (or of the element of the attribute) at which something was found. */
export function lineOf(node: Pointer): number {
  const heap = Buffer.from(memory() as ArrayBuffer);
  const word = new Uint32Array(heap.buffer);
  const element = word[(node + 4) >>> 2] === ATTRIBUTE ? word[(node + 20) >>> 2]! : node;
  return lineAt(element, new Uint16Array(heap.buffer), word, heap);
}

/** The root's name alone: where the parser knows no node. */
export const rootPath = (doc: Doc, known: ReadonlySet<string>): string =>
  pathOf(lib.xmlDocGetRootElement(doc.pointer), known);

/** `a/b[3]/c` or `a/b[3]/@d`; names that `known` lacks are the sender's own words and show as `?`. */
export function pathOf(node: Pointer, known: ReadonlySet<string>): string {
  const word = words();
  const steps: string[] = [];
  const typeOf = (at: Pointer) => word[(at + 4) >>> 2]!;
  const nameOf = (at: Pointer) => lib.XmlNodeStruct.name_(at);
  const shown = (name: string) => (known.has(name) ? name : '?');
  let at = node;
  if (at !== 0 && typeOf(at) === ATTRIBUTE) {
    steps.push(`@${shown(nameOf(at))}`);
    at = word[(at + 20) >>> 2]!;
  }
  for (; at !== 0 && typeOf(at) === ELEMENT; at = word[(at + 20) >>> 2]!) {
    // Names are stored once per document: same address, same name.
    const name = word[(at + 8) >>> 2]!;
    const same = (other: Pointer) => typeOf(other) === ELEMENT && word[(other + 8) >>> 2] === name;
    let before = 0;
    let after = 0;
    for (let other = word[(at + 28) >>> 2]!; other !== 0; other = word[(other + 28) >>> 2]!) if (same(other)) before++;
    if (before === 0)
      for (let other = word[(at + 24) >>> 2]!; other !== 0 && after === 0; other = word[(other + 24) >>> 2]!)
        if (same(other)) after++;
    steps.push(before + after > 0 ? `${shown(nameOf(at))}[${before + 1}]` : shown(nameOf(at)));
  }
  return steps.reverse().join('/');
}

/** Place of each element in document order, to find the element of another tree of the same shape. */
export function orderOf(doc: Doc): Map<Pointer, number> {
  const word = words();
  const order = new Map<Pointer, number>();
  const visit = (node: Pointer) => {
    order.set(node, order.size);
    for (let child = word[(node + 12) >>> 2]!; child !== 0; child = word[(child + 24) >>> 2]!)
      if (word[(child + 4) >>> 2] === ELEMENT) visit(child);
  };
  visit(lib.xmlDocGetRootElement(doc.pointer));
  return order;
}
