import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { DerError, der, pemBlocks, sequence } from './der.ts';
import { type CertificateOptions, issueCertificate, issueRevocationList, type Subject } from './issue.ts';
import { readCertificate, readRevocationList } from './read.ts';

const DAY = 86_400_000;
const now = Math.floor(Date.now() / 1000) * 1000;
const keys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const root = keys();
const by = { subject: { commonName: 'Test CA' }, key: root.privateKey };
const made = (subject: Subject, more: Partial<CertificateOptions> = {}): Buffer =>
  pemBlocks(
    issueCertificate({
      subject,
      publicKey: keys().publicKey,
      by,
      notBeforeMs: now - DAY,
      notAfterMs: now + DAY,
      ...more,
    }),
    'CERTIFICATE',
  )[0]!;
const OIN = '00000099000000001000';

test('facts of a certificate are those that OpenSSL reads', () => {
  const bytes = made({ commonName: 'De Leerlijst', organisation: 'Één B.V.', serialNumber: OIN });
  const facts = readCertificate(bytes);
  const known = new X509Certificate(bytes);
  expect(facts).toMatchObject({ oin: OIN, notBeforeMs: now - DAY, notAfterMs: now + DAY });
  expect(facts.serial).toBe(known.serialNumber.toLowerCase().replace(/^0+/, ''));
  expect(facts.thumbprint).toBe(Buffer.from(known.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url'));
  expect(known.verify(root.publicKey)).toBe(true);
  expect(facts.issuer).toBe(readCertificate(made(by.subject)).subject);
});

test.each([
  ['a letter of another case', '00000007000' + '99aa' + '00000'],
  ['a space before', ` ${OIN}`],
  ['a space after', `${OIN} `],
  ['a space within', '0000009900000 001000'],
  ['a line end', `${OIN}\n`],
  ['nothing after a zero byte', `${OIN}\0`],
  ['digits of another script', OIN.replaceAll('9', '٩')],
  ['wide digits', OIN.replaceAll('9', '９')],
  ['one digit less', OIN.slice(1)],
  ['one digit more', `${OIN}0`],
  ['a sign', `+${OIN.slice(1)}`],
])('an OIN with %s names nobody', (_what, serialNumber) => {
  expect(readCertificate(made({ commonName: 'x', serialNumber, serialNumberTag: 0x0c })).oin).toBeUndefined();
});

test('an OIN in an odd type of text, or none, names nobody; that of a school does', () => {
  expect(readCertificate(made({ commonName: 'x', serialNumber: OIN, serialNumberTag: 0x0c })).oin).toBe(OIN);
  for (const tag of [0x14, 0x16, 0x1e])
    expect(readCertificate(made({ commonName: 'x', serialNumber: OIN, serialNumberTag: tag })).oin).toBeUndefined();
  expect(readCertificate(made({ commonName: OIN })).oin).toBeUndefined();
  expect(readCertificate(made({ commonName: 'x', serialNumber: '0000000700099AA00000' })).oin).toBe(
    '0000000700099AA00000',
  );
});

test('a revocation list says what was revoked, and until when it holds', () => {
  const one = readCertificate(made({ commonName: 'x' }));
  const list = (revoked: string[]) =>
    readRevocationList(
      pemBlocks(issueRevocationList({ by, thisUpdateMs: now, nextUpdateMs: now + DAY, revoked }), 'X509 CRL')[0]!,
    );
  expect(list([])).toMatchObject({ issuer: one.issuer, thisUpdateMs: now, nextUpdateMs: now + DAY });
  expect(list([]).revoked.size).toBe(0);
  expect([...list([one.serial, '0a'.repeat(8)]).revoked]).toEqual([one.serial, 'a' + '0a'.repeat(7)]);
});

test('what is cut short or no DER is refused, never read beyond its end', () => {
  const bytes = made({ commonName: 'x', serialNumber: OIN });
  for (let length = 0; length < bytes.length; length += 7)
    expect(() => readCertificate(bytes.subarray(0, length))).toThrow(DerError);
  for (const odd of [Buffer.of(0x30, 0x80, 0, 0), Buffer.of(0x3f, 1, 0), sequence(), der(0x30, der(2), der(2), der(2))])
    for (const read of [readCertificate, readRevocationList]) expect(() => read(odd)).toThrow(DerError);
});

test('an authority that is for some names only cannot speak for others', async () => {
  const only = {
    names: ['localhost'],
    networks: [
      ['127.0.0.0', '255.0.0.0'],
      ['::1', 'one'],
    ],
  } as const;
  const validity = { notBeforeMs: now - DAY, notAfterMs: now + DAY };
  const ca = issueCertificate({
    subject: by.subject,
    publicKey: root.publicKey,
    by,
    authority: { only },
    ...validity,
  });
  const shown = async (names: string[]): Promise<string> => {
    const { publicKey, privateKey } = keys();
    const cert = issueCertificate({
      subject: { commonName: 'door' },
      publicKey,
      by,
      uses: ['server'],
      names,
      ...validity,
    });
    const server = createServer({ cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await new Promise((resolve) => {
        const { port } = server.address() as { port: number };
        const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca, servername: names[0]! }, () => {
          resolve('');
          socket.destroy();
        });
        socket.on('error', (error) => resolve(error.message));
      });
    } finally {
      server.close();
    }
  };
  expect(await shown(['localhost', '127.0.0.1', '::1'])).toBe('');
  expect(await shown(['bank.example'])).toMatch(/permitted subtree violation/);
  expect(await shown(['localhost', '192.0.2.1'])).toMatch(/permitted subtree violation/);
});
