/** An authority of a test's own, and what it issues: certificates of parties and doors, and revocation lists. */
import { generateKeyPairSync } from 'node:crypto';
import {
  type Authority,
  issueCertificate,
  issueRevocationList,
  pemBlocks,
  readCertificate,
  type Subject,
} from '#kernel';

const DAY = 86_400_000;

export interface Issued {
  cert: string;
  key: string;
  /** As a revocation list names it. */
  serial: string;
  /** `x5t#S256`. */
  thumbprint: string;
}

export interface TestAuthority {
  /** PEM. */
  ca: string;
  issue(subject: Partial<Subject>, more?: { notBeforeMs?: number; notAfterMs?: number; names?: string[] }): Issued;
  /** PEM. */
  revokes(serials: readonly string[], nextUpdateMs?: number): string;
  /** An authority that this one signed: its `ca` is what those whom it signs show along. */
  under(commonName: string): TestAuthority;
}

export function testAuthority(commonName = 'Test CA', above?: Authority): TestAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const by: Authority = { subject: { commonName }, key: privateKey };
  const now = Date.now();
  const validity = { notBeforeMs: now - DAY, notAfterMs: now + DAY };
  return {
    ca: issueCertificate({ subject: by.subject, publicKey, by: above ?? by, authority: {}, ...validity }),
    issue(subject, { names = [], ...more } = {}) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const cert = issueCertificate({
        subject: { commonName: 'one of a test', ...subject },
        publicKey: own.publicKey,
        by,
        uses: ['client', 'server'],
        names,
        ...validity,
        ...more,
      });
      const { serial, thumbprint } = readCertificate(pemBlocks(cert, 'CERTIFICATE')[0]!);
      return { cert, key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, serial, thumbprint };
    },
    under: (name) => testAuthority(name, by),
    revokes: (serials, nextUpdateMs = now + DAY) =>
      issueRevocationList({ by, thisUpdateMs: now - DAY, nextUpdateMs, revoked: serials }),
  };
}
