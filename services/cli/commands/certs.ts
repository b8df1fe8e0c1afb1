import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Authority,
  issueCertificate,
  issueRevocationList,
  makeFolders,
  pemBlocks,
  readCertificate,
} from '#kernel';
import { oin } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { list } from '../print.ts';
import { Problem } from '../problem.ts';

/**
 * Certificates for trying out mutual TLS on one machine. Their authority may only speak for this machine: who was made to trust it
 * elsewhere has lost nothing.
 */

const DAY_MS = 86_400_000;
const CA_DAYS = 365;
const DAYS = 90;
const authoritySubject = { commonName: 'Edu-K development, this machine only' };
const HERE = {
  names: ['localhost'],
  networks: [
    ['127.0.0.0', '255.0.0.0'],
    ['::1', 'all of it'],
  ],
} as const;

export const certsDev: Command = {
  name: 'certs dev',
  about: 'Make certificates for trying out mutual TLS on this machine, and a revocation list.',
  flags: {
    folder: { about: 'Where they are put; default: beside EDUK_DATA, with .certs after its name.', value: 'FOLDER' },
    oin: { about: 'A party to make a certificate for.', value: 'OIN', many: true, check: oin },
    revoke: { about: 'A party whose certificate is put on the revocation list.', value: 'OIN', many: true, check: oin },
  },
  notes: [
    'What is there already is kept, until it has thirty days left; a running gateway takes in what is new within a second.',
    'The authority can only sign for localhost, and its key stays in the folder: for trying out, never for parties elsewhere.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const folder = call.one('folder') ?? `${call.config().EDUK_DATA.replace(/[/\\]+$/, '')}.certs`;
    const now = call.streams.now();
    try {
      makeFolders(folder, 0o700);
      const files = make(folder, now, call.all('oin'), call.all('revoke'));
      return {
        json: { folder, ...files },
        // To be pasted before a command, or into a file of settings.
        text: [
          `EDUK_TLS_CERT=${quoted(files.door.certificate)}`,
          `EDUK_TLS_KEY=${quoted(files.door.privateKey)}`,
          `EDUK_TLS_CLIENT_CA=${quoted(files.authority)}`,
          `EDUK_TLS_CLIENT_CRL=${quoted(files.revocationList)}`,
          ...(files.parties.length > 0
            ? [
                '',
                list(
                  files.parties.flatMap(({ oin, certificate, privateKey }): [string, string][] => [
                    [oin, certificate],
                    ['', privateKey],
                  ]),
                ),
              ]
            : []),
        ].join('\n'),
        said:
          call.all('revoke').length > 0
            ? `On the list: ${call.all('revoke').join(', ')}. A running gateway ends their connections within five seconds.`
            : undefined,
      };
    } catch (thrown) {
      if (thrown instanceof Problem) throw thrown;
      const { code } = thrown as NodeJS.ErrnoException;
      throw new Problem(
        'state.conflict',
        `${folder} cannot be used for certificates (${code ?? 'what is in it is not ours'}).`,
        {
          who: 'us',
        },
      );
    }
  },
};

/** As a shell takes it. */
const quoted = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

interface Pair {
  certificate: string;
  privateKey: string;
}

function make(folder: string, now: number, parties: readonly string[], revoked: readonly string[]) {
  const at = (name: string) => join(folder, name);
  const put = (name: string, text: string): string => {
    writeFileSync(at(name), text, { mode: 0o600 });
    chmodSync(at(name), 0o600);
    return at(name);
  };
  const factsOf = (name: string) => readCertificate(pemBlocks(readFileSync(at(name)), 'CERTIFICATE')[0]!);
  const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pemOf = (key: ReturnType<typeof newKey>['privateKey']) =>
    key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const starts = now - 3_600_000;
  /** Whether a certificate is there that lasts, and is of the authority. */
  const lasts = (name: string): boolean =>
    existsSync(at(`${name}.pem`)) &&
    existsSync(at(`${name}.key`)) &&
    factsOf(`${name}.pem`).notAfterMs > now + 30 * DAY_MS;

  if (!lasts('authority')) {
    const { publicKey, privateKey } = newKey();
    const by = { subject: authoritySubject, key: privateKey };
    const times = { notBeforeMs: starts, notAfterMs: now + CA_DAYS * DAY_MS };
    put('authority.key', pemOf(privateKey));
    put('authority.pem', issueCertificate({ subject: by.subject, publicKey, by, authority: { only: HERE }, ...times }));
  }
  const by: Authority = { subject: authoritySubject, key: createPrivateKey(readFileSync(at('authority.key'))) };
  const authority = new X509Certificate(readFileSync(at('authority.pem')));

  // Copies of those that were revoked stay, so that the list has them as long as it is made here.
  for (const party of revoked) {
    const name = `party-${party}.pem`;
    if (!existsSync(at(name)))
      throw new Problem('state.missing', `There is no certificate of ${party} in ${folder}.`, { who: 'us' });
    put(`revoked-${factsOf(name).serial}.pem`, readFileSync(at(name), 'utf8'));
  }
  const serials = readdirSync(folder).flatMap((name) => /^revoked-([0-9a-f]+)\.pem$/.exec(name)?.[1] ?? []);

  const pair = (name: string, subject: Parameters<typeof issueCertificate>[0]['subject'], forDoor: boolean): Pair => {
    const isGood = () =>
      new X509Certificate(readFileSync(at(`${name}.pem`))).verify(authority.publicKey) &&
      !serials.includes(factsOf(`${name}.pem`).serial);
    if (!lasts(name) || !isGood()) {
      const { publicKey, privateKey } = newKey();
      const times = { notBeforeMs: starts, notAfterMs: now + DAYS * DAY_MS };
      const uses = forDoor ? (['server'] as const) : (['client'] as const);
      const names = forDoor ? { names: ['localhost', '127.0.0.1', '::1'] } : {};
      put(`${name}.key`, pemOf(privateKey));
      put(`${name}.pem`, issueCertificate({ subject, publicKey, by, uses, ...names, ...times }));
    }
    return { certificate: at(`${name}.pem`), privateKey: at(`${name}.key`) };
  };
  const door = pair('door', { commonName: 'localhost' }, true);
  const made = parties.map((party) => ({
    oin: party,
    ...pair(`party-${party}`, { commonName: `Party ${party}`, serialNumber: party }, false),
  }));

  const lists = { thisUpdateMs: starts, nextUpdateMs: now + CA_DAYS * DAY_MS, revoked: serials };
  const revocationList = put('revoked.crl', issueRevocationList({ by, ...lists }));
  return { authority: at('authority.pem'), revocationList, door, parties: made };
}
