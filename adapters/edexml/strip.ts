import { decode, readXml, withPaths } from '#adapters/xml';
import { GatewayError } from '#kernel';
import { wholeNumbers } from './pgn.ts';

/** What is removed: the whole numbers, and the last four digits too. */
const removed: ReadonlySet<string> = new Set([...wholeNumbers, 'bsn_ondwnr-4', 'pgn', 'burgerservicenummer']);
const named = new RegExp([...removed].join('|'), 'i');
/** What has as many digits as a number of a person. */
const digits = /(?<!\d)\d(?:[ .]?\d){7,8}(?!\d)/;
/** Remarks of whoever made the file mean nothing here, so that one that may hold a number goes. */
const isSuspect = (remark: string): boolean => named.test(remark) || digits.test(remark);
/** An attribute, with the space before it; its value is passed over whole. */
const attribute = /\s+([^\s=/>"']+)\s*=\s*(?:"[^"]*"|'[^']*')/g;
const isRemoved = (name: string): boolean => removed.has(name.slice(name.lastIndexOf(':') + 1).toLowerCase());

/**
 * The same file without the elements and attributes that hold a personal number or part of one, for the sender's own machine: what is
 * removed never reaches the gateway. Comments and instructions that name one, or have as many digits, go too. Every other byte stays,
 * line ends included. Throws `wire.unreadable` when the file is not XML, since then nothing can be promised.
 */
export function stripPgn(bytes: Uint8Array): Uint8Array {
  const { encoding } = decode(bytes);
  // One character a byte (or a UTF-16 unit), so that places in the text are places in the file. What marks an element is ASCII.
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const big = encoding === 'UTF-16' && buffer[0] === 0xfe;
  const text =
    encoding !== 'UTF-16'
      ? buffer.toString('latin1')
      : (big ? Buffer.from(buffer).swap16() : buffer).toString('utf16le');
  const kept = without(text);
  const stripped = Buffer.from(kept, encoding !== 'UTF-16' ? 'latin1' : 'utf16le');
  if (big) stripped.swap16();

  for (const { element } of withPaths(readXml(stripped).root))
    if (isRemoved(element.name) || Object.keys(element.attrs).some(isRemoved))
      throw new GatewayError('wire.unreadable', 'The numbers could not be taken out.');
  return stripped;
}

/** Copies the text and leaves out the unwanted elements, stepping from `<` to `<`. */
function without(text: string): string {
  let kept = '';
  let from = 0; // Where the part that is kept begins.
  let depth = 0; // Unwanted elements that are open.
  for (let at = text.indexOf('<'); at >= 0; ) {
    let end: number;
    const isComment = text.startsWith('<!--', at);
    if (isComment || text.startsWith('<?', at)) {
      end = isComment ? after(text, '-->', at + 4) : after(text, '?>', at + 2);
      // The first instruction is the declaration, which says how the file is to be read.
      if (depth === 0 && !/^<\?xml\s/.test(text.slice(at, at + 6)) && isSuspect(text.slice(at, end))) {
        kept += text.slice(from, at);
        from = end;
      }
    } else if (text.startsWith('<![CDATA[', at)) end = after(text, ']]>', at + 9);
    else {
      end = afterTag(text, at);
      const tag = text.slice(at, end);
      const [, closing, name] = /^<(\/?)(?:[^\s/>:]*:)?([^\s/>]*)/.exec(tag.slice(0, 200)) ?? [];
      if (depth === 0 && named.test(tag) && !isRemoved(name ?? '')) {
        const bare = tag.replace(attribute, (whole, attr: string) => (isRemoved(attr) ? '' : whole));
        if (bare !== tag) {
          kept += text.slice(from, at) + bare;
          from = end;
        }
      }
      if (name !== undefined && isRemoved(name)) {
        const empty = text[end - 2] === '/';
        if (closing === '/') depth = Math.max(0, depth - 1);
        else if (depth === 0) kept += text.slice(from, at);
        if (closing !== '/' && !empty) depth++;
        if (depth === 0) from = end;
      }
    }
    at = text.indexOf('<', end);
  }
  return depth > 0 ? kept : kept + text.slice(from);
}

function after(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from);
  return at < 0 ? text.length : at + mark.length;
}

/** End of a tag; `>` may stand in an attribute's value. */
function afterTag(text: string, at: number): number {
  let quote = '';
  for (let i = at + 1; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== '') {
      if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if (c === '>') return i + 1;
  }
  return text.length;
}
