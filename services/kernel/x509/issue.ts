import { createHash, createSign, type KeyObject, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { bits, der, oid, PRINTABLE, pem, readDer, SET, sequence, time, UTF8, unsigned, within } from './der.ts';

/** Certificates of an authority of one's own: for trying out on one machine, and for tests. ECDSA on P-256, SHA-256. */

export interface Subject {
  commonName: string;
  organisation?: string | undefined;
  /** Where the OIN stands. */
  serialNumber?: string | undefined;
  /** Type of `serialNumber`, for tests; default PrintableString. */
  serialNumberTag?: number;
}

export interface Authority {
  subject: Subject;
  key: KeyObject;
}

export interface CertificateOptions {
  subject: Subject;
  publicKey: KeyObject;
  /** Who signs; for its own certificate, itself. */
  by: Authority;
  notBeforeMs: number;
  notAfterMs: number;
  /** An authority may sign others; `only`: for no other names and addresses than these. */
  authority?: { only?: { names: readonly string[]; networks: readonly (readonly [string, string])[] } } | undefined;
  /** What it may be shown for. */
  uses?: readonly ('client' | 'server')[];
  /** Names and addresses that it is for. */
  names?: readonly string[];
  serial?: Uint8Array;
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const TRUE = der(0x01, Buffer.of(0xff));

function name({ commonName, organisation, serialNumber, serialNumberTag = PRINTABLE }: Subject): Buffer {
  const attribute = (type: string, tag: number, text: string) =>
    der(SET, sequence(oid(type), der(tag, Buffer.from(text))));
  return sequence(
    ...(organisation ? [attribute('2.5.4.10', UTF8, organisation)] : []),
    ...(serialNumber ? [attribute('2.5.4.5', serialNumberTag, serialNumber)] : []),
    attribute('2.5.4.3', UTF8, commonName),
  );
}

const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [TRUE] : []), der(0x04, value));

/** An address as bytes; IPv6 only as `::1`, which is all that is needed of it. */
function addressOf(text: string): Buffer {
  if (isIP(text) === 4) return Buffer.from(text.split('.').map(Number));
  if (text === '::1') return Buffer.concat([Buffer.alloc(15), Buffer.of(1)]);
  return Buffer.alloc(16, 0xff); // The mask of one address.
}

const generalName = (text: string): Buffer =>
  isIP(text) === 0 ? der(0x82, Buffer.from(text)) : der(0x87, addressOf(text));

/** SHA-1 of the key, as RFC 5280 §4.2.1.2 names keys; nothing rests on it. */
const keyId = (key: KeyObject): Buffer => {
  const [, point] = within(readDer(key.export({ type: 'spki', format: 'der' })));
  return createHash('sha1').update(point!.body.subarray(1)).digest();
};

const signed = (body: Buffer, key: KeyObject): Buffer =>
  sequence(body, ECDSA_SHA256, bits(createSign('sha256').update(body).sign(key)));

/** A certificate, PEM. */
export function issueCertificate(options: CertificateOptions): string {
  const { subject, publicKey, by, notBeforeMs, notAfterMs, authority, uses = [], names = [] } = options;
  const { only } = authority ?? {};
  const extensions = [
    extension('2.5.29.19', true, authority ? sequence(TRUE) : sequence()),
    // An authority signs certificates and lists; others sign handshakes.
    extension('2.5.29.15', true, authority ? der(0x03, Buffer.of(1, 0x06)) : der(0x03, Buffer.of(7, 0x80))),
    extension('2.5.29.14', false, der(0x04, keyId(publicKey))),
    ...(uses.length > 0
      ? [
          extension(
            '2.5.29.37',
            false,
            sequence(...uses.map((use) => oid(use === 'client' ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.1'))),
          ),
        ]
      : []),
    ...(names.length > 0 ? [extension('2.5.29.17', false, sequence(...names.map(generalName)))] : []),
    ...(only
      ? [
          extension(
            '2.5.29.30',
            true,
            sequence(
              der(
                0xa0,
                ...only.names.map((one) => sequence(der(0x82, Buffer.from(one)))),
                ...only.networks.map(([address, mask]) => sequence(der(0x87, addressOf(address), addressOf(mask)))),
              ),
            ),
          ),
        ]
      : []),
  ];
  const body = sequence(
    der(0xa0, unsigned(Buffer.of(2))), // Version 3.
    unsigned(options.serial ?? Buffer.concat([Buffer.of(0x40), randomBytes(15)])),
    ECDSA_SHA256,
    name(by.subject),
    sequence(time(notBeforeMs), time(notAfterMs)),
    name(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  return pem('CERTIFICATE', signed(body, by.key));
}

/** A revocation list, PEM. Serials as `CertificateFacts.serial`. */
export function issueRevocationList({
  by,
  thisUpdateMs,
  nextUpdateMs,
  revoked,
}: {
  by: Authority;
  thisUpdateMs: number;
  nextUpdateMs: number;
  revoked: readonly string[];
}): string {
  const entries = revoked.map((serial) =>
    sequence(
      unsigned(Buffer.from(serial.length % 2 === 0 ? serial : `0${serial}`, 'hex')),
      time(Math.min(thisUpdateMs, nextUpdateMs)),
    ),
  );
  const body = sequence(
    unsigned(Buffer.of(1)), // Version 2.
    ECDSA_SHA256,
    name(by.subject),
    time(thisUpdateMs),
    time(nextUpdateMs),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
  );
  return pem('X509 CRL', signed(body, by.key));
}
