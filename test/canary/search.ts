/**
 * Finds canaries in bytes, whatever they were written as: one pass over the bytes for all values and all their forms,
 * and one over what is compressed in them.
 */

import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { inflateRawSync, inflateSync, constants as zlib, zstdDecompressSync } from 'node:zlib';
import type { Canary, Part } from './identities.ts';

/** Every way of writing that is looked for; a test shows that each is found. */
export const forms = [
  'plain',
  'Latin-1',
  'UTF-16 LE',
  'UTF-16 BE',
  'hexadecimal',
  'base64',
  'base64url',
  'URL-encoded',
  'JSON-escaped',
  'XML references',
  'digest',
  'double',
  'gzip',
  'deflate',
  'zstd',
] as const;
export type Form = (typeof forms)[number];

export interface Hit {
  canary: Canary;
  form: Form;
  /** What it was compressed in, from the outside in. */
  inside: readonly Form[];
}

interface Needle {
  canary: Canary;
  form: Form;
  folded: Buffer;
  /** Where upper and lower case differ in meaning. */
  exact?: Buffer;
  apart: Part['apart'];
}

const FOLD = new Uint8Array(256).map((_, i) => (i >= 0x41 && i <= 0x5a ? i + 32 : i));
/** Bytes by which a needle is looked up. */
const ANCHOR = 4;
const BITS = 22;
/** Files are read in pieces that overlap by more than any needle is long. */
const PIECE = 64 * 1024 * 1024;
const OVERLAP = 4096;
const MOST_UNPACKED = 32 * 1024 * 1024;
const DEEPEST = 3;

const fold = (bytes: Uint8Array): Buffer => {
  const folded = Buffer.allocUnsafe(bytes.length);
  for (let i = 0; i < bytes.length; i++) folded[i] = FOLD[bytes[i]!]!;
  return folded;
};

const swapped = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16();
const percent = (bytes: Uint8Array, all: boolean): string =>
  [...bytes]
    .map((byte) =>
      all || byte > 0x7e || byte <= 0x20 ? `%${byte.toString(16).padStart(2, '0')}` : String.fromCharCode(byte),
    )
    .join('');
const perUnit = (text: string, write: (code: number) => string, all: boolean): string =>
  Array.from({ length: text.length }, (_, i) =>
    all || text.charCodeAt(i) > 0x7e ? write(text.charCodeAt(i)) : text[i]!,
  ).join('');

/** What base64 of a longer text holds of a part, wherever the part begins in it: without the letters shared with neighbours. */
function base64Cores(bytes: Buffer): string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return text.slice(before === 0 ? 0 : before + 1, (before + bytes.length) % 3 === 0 ? undefined : -1);
  });
}

/** All writings of one part. */
function writings({ text, apart }: Part): [Form, Buffer, exact?: boolean, apart?: Part['apart']][] {
  const utf8 = Buffer.from(text);
  const latin1 = Buffer.from(text, 'latin1');
  const utf16 = Buffer.from(text, 'utf16le');
  const list: [Form, Buffer, boolean?, Part['apart']?][] = [
    ['plain', utf8, false, apart],
    ['Latin-1', latin1, false, apart],
    ['UTF-16 LE', utf16],
    ['UTF-16 BE', swapped(utf16)],
    ['hexadecimal', Buffer.from(utf8.toString('hex'))],
    ['hexadecimal', Buffer.from(latin1.toString('hex'))],
    ['hexadecimal', Buffer.from(utf16.toString('hex'))],
    ['URL-encoded', Buffer.from(percent(utf8, false)), false, apart],
    ['URL-encoded', Buffer.from(percent(utf8, true))],
    ['URL-encoded', Buffer.from(percent(latin1, false)), false, apart],
  ];
  for (const all of [false, true]) {
    const json = perUnit(text, (code) => `\\u${code.toString(16).padStart(4, '0')}`, all);
    list.push(['JSON-escaped', Buffer.from(json), false, all ? undefined : apart]);
    for (const write of [(code: number) => `&#${code};`, (code: number) => `&#x${code.toString(16)};`])
      list.push(['XML references', Buffer.from(perUnit(text, write, all)), false, all ? undefined : apart]);
  }
  for (const core of base64Cores(utf8)) {
    list.push(['base64', Buffer.from(core), true]);
    list.push(['base64url', Buffer.from(core.replaceAll('+', '-').replaceAll('/', '_')), true]);
  }
  return list;
}

/** Digests that need no key: of something enumerable they are the thing itself. */
function digests(value: string): Buffer[] {
  return ['md5', 'sha1', 'sha256', 'sha512'].flatMap((algorithm) => {
    const raw = createHash(algorithm).update(value).digest();
    return [raw, Buffer.from(raw.toString('hex')), Buffer.from(raw.toString('base64').slice(0, 20))];
  });
}

function doubles(value: string): Buffer[] {
  const little = Buffer.alloc(8);
  little.writeDoubleLE(Number(value));
  return [little, Buffer.from(little).reverse()];
}

export class Search {
  /** Bytes that were looked through, those inside of compressed ones included. */
  bytes = 0;
  /** Compressed streams that were opened. */
  unpacked = 0;
  /** Into which files are read: thousands of small ones, now and then a large one. */
  #piece = Buffer.allocUnsafe(1 << 20);
  readonly #byAnchor = new Map<number, Needle[]>();
  readonly #maybe = new Uint8Array(1 << (BITS - 3));

  add(canary: Canary): void {
    const seen = new Set<string>();
    const needle = (form: Form, bytes: Buffer, isExact = false, apart?: Part['apart']): void => {
      const folded = fold(bytes);
      const name = folded.toString('latin1');
      if (bytes.length < 8 || seen.has(name)) return;
      seen.add(name);
      const anchor = folded.readUInt32BE(0);
      const list = this.#byAnchor.get(anchor);
      const made: Needle = { canary, form, folded, apart, ...(isExact ? { exact: bytes } : {}) };
      if (list) list.push(made);
      else this.#byAnchor.set(anchor, [made]);
      const bit = Math.imul(anchor, 0x9e3779b1) >>> (32 - BITS);
      this.#maybe[bit >> 3]! |= 1 << (bit & 7);
    };
    for (const { text, apart } of canary.parts)
      for (const cased of new Set([text, text[0]!.toUpperCase() + text.slice(1), text.toUpperCase()]))
        for (const [form, bytes, isExact, beside] of writings({ text: cased, apart }))
          needle(form, bytes, isExact, beside);
    if (canary.kind === 'score') for (const bytes of doubles(canary.value)) needle('double', bytes, true);
    // What is as random as a key is not told by its digest.
    if (canary.kind !== 'secret of a party') for (const bytes of digests(canary.value)) needle('digest', bytes, true);
  }

  /** What stands in these bytes; each canary once for each form. */
  in(bytes: Uint8Array | string, inside: readonly Form[] = []): Hit[] {
    const text =
      typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.bytes += text.length;
    const hits = new Map<string, Hit>();
    this.#look(text, inside, hits);
    if (inside.length < DEEPEST)
      for (const [form, inner] of this.#unpack(text))
        for (const hit of this.in(inner, [...inside, form])) hits.set(`${hit.form} ${hit.canary.value}`, hit);
    return [...hits.values()];
  }

  /** The same for a file of any size. */
  inFile(path: string): Hit[] {
    const file = openSync(path, 'r');
    try {
      const hits = new Map<string, Hit>();
      let kept = 0;
      let piece = this.#piece;
      for (;;) {
        const read = readSync(file, piece, kept, piece.length - kept, null);
        const size = kept + read;
        // Small files in one piece, large ones in larger and larger pieces.
        if (read > 0 && size === piece.length && piece.length < PIECE) {
          const larger = Buffer.allocUnsafe(piece.length * 4);
          piece.copy(larger);
          piece = this.#piece = larger;
          kept = size;
          continue;
        }
        if (read > 0 && size < piece.length) {
          kept = size;
          continue;
        }
        for (const hit of this.in(withoutZeros(piece.subarray(0, size))))
          hits.set(`${hit.form} ${hit.canary.value}`, hit);
        if (read === 0) return [...hits.values()];
        piece.copy(piece, 0, size - OVERLAP, size);
        kept = OVERLAP;
      }
    } finally {
      closeSync(file);
    }
  }

  #look(text: Buffer, inside: readonly Form[], hits: Map<string, Hit>): void {
    const maybe = this.#maybe;
    let word = 0;
    for (let i = 0; i < text.length; i++) {
      word = (word << 8) | FOLD[text[i]!]!;
      const bit = Math.imul(word, 0x9e3779b1) >>> (32 - BITS);
      if ((maybe[bit >> 3]! & (1 << (bit & 7))) === 0 || i < ANCHOR - 1) continue;
      const list = this.#byAnchor.get(word >>> 0);
      if (list === undefined) continue;
      const at = i - ANCHOR + 1;
      for (const needle of list)
        if (stands(text, at, needle))
          hits.set(`${needle.form} ${needle.canary.value}`, { canary: needle.canary, form: needle.form, inside });
    }
  }

  *#unpack(text: Buffer): Generator<[Form, Buffer]> {
    const options = { finishFlush: zlib.Z_SYNC_FLUSH, maxOutputLength: MOST_UNPACKED };
    for (const [form, magics, open] of [
      ['gzip', ['1f8b08'], (bytes: Buffer) => inflateRawSync(bytes.subarray(gzipHead(bytes)), options)],
      ['deflate', ['7801', '785e', '789c', '78da'], (bytes: Buffer) => inflateSync(bytes, options)],
      ['zstd', ['28b52ffd'], (bytes: Buffer) => zstdDecompressSync(bytes, { maxOutputLength: MOST_UNPACKED })],
    ] as const)
      for (const magic of magics)
        for (let at = text.indexOf(magic, 0, 'hex'); at >= 0; at = text.indexOf(magic, at + 1, 'hex')) {
          try {
            const inner = open(text.subarray(at, at + MOST_UNPACKED));
            if (inner.length < 8) continue;
            this.unpacked += 1;
            yield [form, inner];
          } catch {
            // Bytes that only looked like it.
          }
        }
  }
}

/** Length of the header of a gzip stream (RFC 1952 §2.3). What stands behind its end would make Node refuse the whole. */
function gzipHead(bytes: Buffer): number {
  const [TEXT_CRC, EXTRA, NAME, COMMENT] = [2, 4, 8, 16];
  const flags = bytes[3]!;
  let at = 10;
  if (flags & EXTRA) at += 2 + bytes.readUInt16LE(at);
  for (const flag of [NAME, COMMENT]) if (flags & flag) at = bytes.indexOf(0, at) + 1;
  return flags & TEXT_CRC ? at + 2 : at;
}

const ZEROS = Buffer.alloc(16 * 1024);

/** Without the long empty stretches of files that are laid out before they are filled; one stays between what they part. */
function withoutZeros(bytes: Buffer): Buffer {
  const kept: Buffer[] = [];
  let isZero = false;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    const wasZero = isZero;
    isZero = part.length === ZEROS.length && part.equals(ZEROS);
    if (!isZero || !wasZero) kept.push(part);
  }
  return kept.length * ZEROS.length >= bytes.length ? bytes : Buffer.concat(kept);
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;
const isAlphanumeric = (byte: number | undefined): boolean =>
  byte !== undefined && (isDigit(byte) || (FOLD[byte]! >= 0x61 && FOLD[byte]! <= 0x7a));

function stands(text: Buffer, at: number, { folded, exact, apart }: Needle): boolean {
  if (at + folded.length > text.length) return false;
  for (let i = ANCHOR; i < folded.length; i++) if (FOLD[text[at + i]!] !== folded[i]) return false;
  if (exact && text.compare(exact, 0, exact.length, at, at + exact.length) !== 0) return false;
  if (apart === undefined) return true;
  const beside = apart === 'digits' ? isDigit : isAlphanumeric;
  return !beside(at === 0 ? undefined : text[at - 1]) && !beside(text[at + folded.length]);
}
