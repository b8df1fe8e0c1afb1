import { readFileSync } from 'node:fs';
import { type Config, pemBlocks, readCertificate, readRevocationList, type SettingName } from '#kernel';
import type { PartyCertificate } from '#proto/eduk/operator/v1/operator';
import { dutchTime, span } from './print.ts';

/** What ends soon: certificates and lists that settings name, and those of parties. */

/** How long before an end it is told, ms. */
export const WARN_MS = 30 * 86_400_000;

export interface Ending {
  /** Of a setting, or a party. */
  name: string;
  state: 'ok' | 'warn' | 'fail';
  says: string;
}

const files: readonly SettingName[] = [
  'EDUK_TLS_CERT',
  'EDUK_TLS_CLIENT_CA',
  'EDUK_TLS_CLIENT_CRL',
  'EDUK_INNER_TLS_CERT',
  'EDUK_INNER_TLS_CA',
  'EDUK_KAFKA_TLS_CERT',
  'EDUK_KAFKA_TLS_CA',
  'EDUK_SAML_CERTIFICATE_FILE',
  'EDUK_SAML_KEY_CERTIFICATE_FILE',
];

/** Of each file that is set: its first end. */
export function endsOfFiles(config: Config, now: number): Ending[] {
  return files.flatMap((name) => {
    const file = config[name];
    if (file === undefined) return [];
    try {
      const pem = readFileSync(file);
      const ends = [
        ...pemBlocks(pem, 'CERTIFICATE').map((der) => readCertificate(der).notAfterMs),
        ...pemBlocks(pem, 'X509 CRL').flatMap((der) => readRevocationList(der).nextUpdateMs ?? []),
      ];
      if (ends.length === 0) return [{ name, state: 'fail', says: 'holds no certificate or list (PEM)' }];
      return [{ name, ...end(Math.min(...ends), now) }];
    } catch (thrown) {
      const { code } = thrown as { code?: string };
      return [{ name, state: 'fail', says: code ? `cannot be read (${code})` : 'holds what cannot be read' }];
    }
  });
}

/** Of the parties whose certificate ends soon; one line where there is none. */
export function endsOfParties(certificates: readonly PartyCertificate[], now: number): Ending[] {
  if (certificates.length === 0) return [];
  const soon = certificates
    .filter(({ notAfterMs }) => Number(notAfterMs) - now < WARN_MS)
    .sort((a, b) => Number(a.notAfterMs - b.notAfterMs));
  if (soon.length === 0)
    return [{ name: 'party certificates', state: 'ok', says: `none of ${certificates.length} ends within 30 days` }];
  return soon.map(({ partyOin, partyName, notAfterMs }) => {
    const { says } = end(Number(notAfterMs), now);
    // Theirs to mend: the gateway itself can run.
    return { name: 'party certificate', state: 'warn', says: `${partyName} (${partyOin}): ${says}` };
  });
}

function end(atMs: number, now: number): Pick<Ending, 'state' | 'says'> {
  if (atMs <= now) return { state: 'fail', says: `is over since ${dutchTime(atMs)}` };
  const left = atMs - now;
  if (left < WARN_MS) return { state: 'warn', says: `ends ${dutchTime(atMs)}, in ${span(left)}: renew it` };
  return { state: 'ok', says: `holds until ${dutchTime(atMs)}` };
}
