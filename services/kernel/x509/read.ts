import { createHash } from 'node:crypto';
import { isPartyOin } from '../ids.ts';
import { BMP, type Der, DerError, INTEGER, PRINTABLE, readDer, SEQUENCE, timeOf, UTF8, within } from './der.ts';

/** What the gateway reads in certificates that OpenSSL has verified, and in revocation lists. */

export interface CertificateFacts {
  /** Names as they are compared: types, case and spaces apart. */
  subject: string;
  issuer: string;
  /** Hexadecimal, without leading zeros. */
  serial: string;
  notBeforeMs: number;
  notAfterMs: number;
  /** Of `subject.serialNumber`, exactly as it must be written; undefined = it names no organisation. */
  oin: string | undefined;
  /** SHA-256 of the certificate in base64url: `x5t#S256` of RFC 8705. */
  thumbprint: string;
}

export interface RevocationList {
  issuer: string;
  thisUpdateMs: number;
  /** Undefined = it says no end. */
  nextUpdateMs: number | undefined;
  /** Serial numbers, as `CertificateFacts.serial`. */
  revoked: ReadonlySet<string>;
}

/** Reads a certificate. Throws `DerError`. */
export function readCertificate(bytes: Uint8Array): CertificateFacts {
  const [body] = parts(readDer(bytes), 3);
  const fields = within(body!);
  // Version is left out in certificates of 1988.
  if (fields[0]?.tag === 0xa0) fields.shift();
  const [serial, , issuer, validity, subject] = fields;
  if (!serial || !issuer || !validity || !subject) throw new DerError();
  const [notBefore, notAfter] = parts(validity, 2);
  return {
    subject: nameOf(subject),
    issuer: nameOf(issuer),
    serial: serialOf(serial),
    notBeforeMs: timeOf(notBefore!),
    notAfterMs: timeOf(notAfter!),
    oin: oinOf(subject),
    thumbprint: createHash('sha256').update(bytes).digest('base64url'),
  };
}

/** Reads a revocation list (RFC 5280 §5). Throws `DerError`. */
export function readRevocationList(bytes: Uint8Array): RevocationList {
  const [body] = parts(readDer(bytes), 3);
  const fields = within(body!);
  if (fields[0]?.tag === INTEGER) fields.shift();
  const [, issuer, thisUpdate, ...rest] = fields;
  if (!issuer || !thisUpdate) throw new DerError();
  const next = rest[0] && rest[0].tag !== SEQUENCE && rest[0].tag < 0xa0 ? rest.shift() : undefined;
  const entries = rest[0]?.tag === SEQUENCE ? within(rest[0]) : [];
  return {
    issuer: nameOf(issuer),
    thisUpdateMs: timeOf(thisUpdate),
    nextUpdateMs: next ? timeOf(next) : undefined,
    revoked: new Set(entries.map((entry) => serialOf(parts(entry, 2)[0]!))),
  };
}

function parts(of: Der, least: number): Der[] {
  const list = of.tag === SEQUENCE ? within(of) : [];
  if (list.length < least) throw new DerError();
  return list;
}

function serialOf({ tag, body }: Der): string {
  if (tag !== INTEGER || body.length === 0) throw new DerError();
  return body.toString('hex').replace(/^0+(?=.)/, '');
}

interface Attribute {
  /** Object identifier, hexadecimal. */
  type: string;
  tag: number;
  text: string;
}

/** Attributes of a name, in their order. */
function attributesOf(name: Der): Attribute[] {
  return within(name).flatMap((set) =>
    within(set).map((attribute) => {
      const [type, value] = parts(attribute, 2) as [Der, Der];
      const text =
        value.tag === BMP
          ? Buffer.from(value.body.subarray(0, value.body.length & ~1))
              .swap16()
              .toString('utf16le')
          : value.body.toString('utf8');
      return { type: type.body.toString('hex'), tag: value.tag, text };
    }),
  );
}

/** As RFC 5280 §7.1 compares names: case and doubled spaces do not count. */
const nameOf = (name: Der): string =>
  attributesOf(name)
    .map(({ type, text }) => JSON.stringify([type, text.trim().replace(/\s+/g, ' ').toLowerCase()]))
    .join();

/** 2.5.4.5 */
const SERIAL_NUMBER = '550405';

/**
 * Exactly one `serialNumber`, in one of the two types that it is written in, character for character an OIN. Two of them,
 * another case, a space, digits of another script or another type of text name nobody: who issued them is in doubt.
 */
function oinOf(subject: Der): string | undefined {
  const given = attributesOf(subject).filter(({ type }) => type === SERIAL_NUMBER);
  const [only] = given;
  if (given.length !== 1 || !only || (only.tag !== PRINTABLE && only.tag !== UTF8)) return undefined;
  return isPartyOin(only.text) ? only.text : undefined;
}
