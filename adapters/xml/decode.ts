import { isUtf8 } from 'node:buffer';
import { GatewayError } from '#kernel';

/** Encodings that a document may have. The declaration may write them in any case. */
export type Encoding = 'UTF-8' | 'UTF-16' | 'ISO-8859-1' | 'windows-1252';

/** A document as UTF-8, ready for the parser, and what it was before. */
export interface Decoded {
  utf8: Uint8Array;
  encoding: Encoding;
}

const named: Record<string, Encoding> = {
  'utf-8': 'UTF-8',
  'utf-16': 'UTF-16',
  'utf-16le': 'UTF-16',
  'utf-16be': 'UTF-16',
  'iso-8859-1': 'ISO-8859-1',
  'windows-1252': 'windows-1252',
};

const unreadable = (told: string) => new GatewayError('wire.unreadable', told);

/**
 * Bytes as received → UTF-8. The bytes decide, and the declaration must agree with them: what says UTF-8 and is not, what
 * begins with a byte order mark of another encoding than it declares, and every other encoding is `wire.unreadable`.
 */
export function decode(bytes: Uint8Array): Decoded {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [b0, b1, b2, b3] = buffer;
  if (b0 === undefined) throw unreadable('The message is empty.');

  const littleEndian = b0 === 0xff && b1 === 0xfe;
  if (littleEndian || (b0 === 0xfe && b1 === 0xff)) {
    if (littleEndian && b2 === 0 && b3 === 0) throw unreadable('UTF-32 is not read; send UTF-8.');
    return fromUtf16(buffer.subarray(2), littleEndian);
  }

  const marked = b0 === 0xef && b1 === 0xbb && b2 === 0xbf;
  const content = marked ? buffer.subarray(3) : buffer;
  if (content[0] === 0 || content[1] === 0)
    throw unreadable('UTF-16 without a byte order mark is not read; send UTF-8.');

  const declared = declaredIn(content.toString('latin1', 0, 400)) ?? 'UTF-8';
  if (declared === 'UTF-16') throw unreadable('The declaration says UTF-16; the bytes say otherwise.');
  if (marked && declared !== 'UTF-8')
    throw unreadable('The byte order mark says UTF-8; the declaration says otherwise.');
  if (declared === 'UTF-8') {
    if (!isUtf8(content)) throw unreadable('The message is not UTF-8, though it says so or says nothing.');
    return { utf8: content, encoding: declared };
  }
  return { utf8: Buffer.from(fromSingleBytes(content, declared), 'utf8'), encoding: declared };
}

/** The encoding named in the XML declaration, if there is one; throws on one that we do not read. */
function declaredIn(start: string): Encoding | undefined {
  const declaration = /^<\?xml\s[^>]*?\?>/.exec(start)?.[0];
  const name = declaration && /\sencoding\s*=\s*["']([A-Za-z0-9._-]*)["']/.exec(declaration)?.[1];
  if (name === undefined) return undefined;
  const lower = name.toLowerCase();
  if (!Object.hasOwn(named, lower)) throw unreadable('The declared encoding is not read; send UTF-8.');
  return named[lower];
}

function fromUtf16(content: Buffer, littleEndian: boolean): Decoded {
  if (content.length % 2 !== 0) throw unreadable('The message ends halfway a UTF-16 character.');
  const text = (littleEndian ? content : Buffer.from(content).swap16()).toString('utf16le');
  if (!text.isWellFormed()) throw unreadable('The message is not UTF-16, though its byte order mark says so.');
  const declared = declaredIn(text.slice(0, 400));
  if (declared !== undefined && declared !== 'UTF-16')
    throw unreadable('The byte order mark says UTF-16; the declaration says otherwise.');
  return { utf8: Buffer.from(text, 'utf8'), encoding: 'UTF-16' };
}

/**
 * What windows-1252 has at 0x80 … 0x9F, where ISO-8859-1 has control characters; a space marks the five unused places.
 * Our own table, because runtimes disagree on these (some read them as ISO-8859-1, all let the unused ones pass).
 */
const upper1252 = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

function fromSingleBytes(content: Buffer, encoding: 'ISO-8859-1' | 'windows-1252'): string {
  const text = content.toString('latin1');
  if (encoding === 'ISO-8859-1') {
    // These control characters are allowed in XML and never meant: it is windows-1252 under the wrong name.
    if (/[\u0080-\u0084\u0086-\u009f]/.test(text))
      throw unreadable('The message is not ISO-8859-1, though it says so.');
    return text;
  }
  return text.replace(/[\u0080-\u009f]/g, (c) => {
    const letter = upper1252[c.charCodeAt(0) - 0x80]!;
    if (letter === ' ') throw unreadable('The message is not windows-1252, though it says so.');
    return letter;
  });
}
