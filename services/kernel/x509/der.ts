/** DER (X.690), as much of it as certificates and revocation lists need. What verifies them is OpenSSL, never this. */

/** One element. */
export interface Der {
  tag: number;
  /** With tag and length. */
  raw: Buffer;
  body: Buffer;
}

/** Not DER, or more of it than we read. It says nothing of what stood there. */
export class DerError extends Error {
  constructor() {
    super('not DER');
    this.name = 'DerError';
  }
}

/** The element at the start of some bytes. Throws `DerError`. */
function first(bytes: Buffer): Der {
  const tag = bytes[0];
  let length = bytes[1];
  if (tag === undefined || length === undefined || (tag & 0x1f) === 0x1f) throw new DerError();
  let at = 2;
  if (length >= 0x80) {
    const size = length & 0x7f;
    if (size === 0 || size > 4 || bytes.length < 2 + size) throw new DerError();
    length = bytes.readUIntBE(2, size);
    at += size;
  }
  if (bytes.length < at + length) throw new DerError();
  return { tag, raw: bytes.subarray(0, at + length), body: bytes.subarray(at, at + length) };
}

/** One element that is all of the bytes. Throws `DerError`. */
export function readDer(bytes: Uint8Array): Der {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const one = first(buffer);
  if (one.raw.length !== buffer.length) throw new DerError();
  return one;
}

/** The elements within one. Throws `DerError`. */
export function within({ body }: Der): Der[] {
  const elements: Der[] = [];
  for (let rest = body; rest.length > 0; ) {
    const one = first(rest);
    elements.push(one);
    rest = rest.subarray(one.raw.length);
  }
  return elements;
}

export const SEQUENCE = 0x30;
export const SET = 0x31;
export const INTEGER = 0x02;
export const UTF8 = 0x0c;
export const PRINTABLE = 0x13;
export const BMP = 0x1e;
export const UTC_TIME = 0x17;
export const GENERALIZED_TIME = 0x18;

/** An element of its parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 128) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length, ...length), body]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(SEQUENCE, ...parts);

/** An object identifier, such as 2.5.4.3. */
export function oid(dotted: string): Buffer {
  const [a, b, ...rest] = dotted.split('.').map(Number) as [number, number, ...number[]];
  const bytes = [a * 40 + b];
  for (const arc of rest) {
    const septets = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) septets.unshift((left & 0x7f) | 0x80);
    bytes.push(...septets);
  }
  return der(0x06, Buffer.from(bytes));
}

/** A number without a sign, from its bytes. */
export function unsigned(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const plain = bytes.subarray(start);
  return der(INTEGER, ...((plain[0] ?? 0) & 0x80 ? [Buffer.of(0)] : []), plain);
}

/** A moment, to the second: UTCTime until 2049, as RFC 5280 asks. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return Number(digits.slice(0, 4)) < 2050
    ? der(UTC_TIME, Buffer.from(`${digits.slice(2)}Z`))
    : der(GENERALIZED_TIME, Buffer.from(`${digits}Z`));
}

/** A moment that was read, Unix milliseconds. Throws `DerError`. */
export function timeOf({ tag, body }: Der): number {
  const text = body.toString('latin1');
  const m = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (!m || m[1]!.length !== (tag === UTC_TIME ? 2 : 4)) throw new DerError();
  const year = tag === UTC_TIME ? Number(m[1]) + (Number(m[1]) < 50 ? 2000 : 1900) : Number(m[1]);
  return Date.UTC(year, Number(m[2]) - 1, Number(m[3]), Number(m[4]), Number(m[5]), Number(m[6]));
}

export const bits = (...bytes: readonly Uint8Array[]): Buffer => der(0x03, Buffer.of(0), ...bytes);

export const pem = (label: string, bytes: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(bytes)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n')}\n-----END ${label}-----\n`;

/** What stands between the lines of a label in a PEM file, one element each. */
export function pemBlocks(text: string | Uint8Array, label: string): Buffer[] {
  const from = typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
  const blocks = from.matchAll(new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g'));
  return [...blocks].map(([, body]) => Buffer.from(body!.replace(/\s/g, ''), 'base64'));
}
