/** For tests: a certificate authority of the test's own, and certificates of it. No key is ever written to the tree. */
import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';

// DER (X.690), as much of it as a certificate needs.
const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const length =
    body.length < 128
      ? Buffer.of(body.length)
      : body.length < 256
        ? Buffer.of(0x81, body.length)
        : Buffer.of(0x82, body.length >> 8, body.length & 255);
  return Buffer.concat([Buffer.of(tag), length, body]);
};
const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const text = (value: string) => der(0x0c, Buffer.from(value));
const time = (ms: number) =>
  der(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`));
/** Common name. */
const named = (name: string) => sequence(der(0x31, sequence(oid('550403'), text(name))));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const extension = (id: string, critical: boolean, value: Uint8Array) =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value));

const pem = (label: string, bytes: Uint8Array): Buffer =>
  Buffer.from(
    `-----BEGIN ${label}-----\n${Buffer.from(bytes)
      .toString('base64')
      .replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`,
  );

export interface TestAuthority {
  /** PEM. */
  ca: Buffer;
  /** A certificate and its key for `localhost` and 127.0.0.1, good for client and server. */
  issue(name: string): { ca: Buffer; cert: Buffer; key: Buffer };
}

export function testAuthority(name = 'Test CA'): TestAuthority {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = (subject: string, key: KeyObject, isCa: boolean): Buffer => {
    const now = Date.now();
    const extensions = isCa
      ? [extension('551d13', true, sequence(der(0x01, Buffer.of(0xff))))] // Basic constraints: a CA.
      : [
          // Alternative names: DNS localhost, IP 127.0.0.1.
          extension('551d11', false, sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.of(127, 0, 0, 1)))),
        ];
    const body = sequence(
      der(0xa0, der(0x02, Buffer.of(2))), // Version 3.
      der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
      ECDSA_SHA256,
      named(name),
      sequence(time(now - 3_600_000), time(now + 86_400_000)),
      named(subject),
      key.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    );
    const signature = createSign('sha256').update(body).sign(authority.privateKey);
    return pem('CERTIFICATE', sequence(body, ECDSA_SHA256, der(0x03, Buffer.of(0), signature)));
  };
  const ca = certificate(name, authority.publicKey, true);
  return {
    ca,
    issue(subject) {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return {
        ca,
        cert: certificate(subject, publicKey, false),
        key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string),
      };
    },
  };
}
