/** What a run tried, searched and found, as something that can be kept and shown: signed, and the same as a readable page. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface Tried {
  /** A method, an exchange of an adapter, an address, a command. */
  operation: string;
  calls: number;
  /** How many were refused; the others were taken, or answered with what was asked. */
  refused: number;
  /** Identities that were put into it. */
  planted: number;
}

export interface Searched {
  place: string;
  /** Files, rows, records, answers. */
  pieces: number;
  bytes: number;
  found: number;
}

export interface Finding {
  /** Where it was found. */
  place: string;
  kind: string;
  /** Where it had been put. */
  put: string;
  form: string;
  times: number;
}

export interface EngineReport {
  engine: 'embedded' | 'distributed';
  seconds: number;
  identities: Record<string, number>;
  tried: Tried[];
  searched: Searched[];
  /** Who may have it, and got it. */
  entitled: { receiver: string; identities: number; got: number }[];
  findings: Finding[];
  /** Why the run proves less than it should; each makes it fail. */
  problems: string[];
}

export interface Report {
  format: 'eduk canary report 1';
  version: string;
  commit: string;
  node: string;
  system: string;
  seed: number;
  startedAt: string;
  endedAt: string;
  engines: EngineReport[];
  forms: readonly string[];
  /** What was not looked at, and why; stated by the suite itself. */
  limits: readonly string[];
  verdict: 'clean' | 'leaks' | 'unproven';
}

export interface Signed {
  report: Report;
  signature: {
    algorithm: 'Ed25519';
    /** SubjectPublicKeyInfo in DER, base64. */
    publicKey: string;
    /** First 16 hexadecimal digits of the SHA-256 of the public key. */
    keyId: string;
    /** A key of the run says that nothing was changed since; whose run it was says only a key that was given. */
    key: 'made for this run' | 'given';
    /** Of the report as `canonical` writes it, base64. */
    value: string;
  };
}

/** JSON with sorted names and no blanks, so that the same report has the same bytes wherever it is read. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`)
    .join(',')}}`;
}

export const verdictOf = (engines: readonly EngineReport[]): Report['verdict'] =>
  engines.some(({ findings }) => findings.length > 0)
    ? 'leaks'
    : engines.length === 0 || engines.some(({ problems }) => problems.length > 0)
      ? 'unproven'
      : 'clean';

const derOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const idOf = (der: Uint8Array): string => createHash('sha256').update(der).digest('hex').slice(0, 16);

/** Signs with the key in `keyFile` (PKCS#8, PEM), else with one that is made for it and forgotten. */
export function signReport(report: Report, keyFile?: string): Signed {
  const key =
    keyFile === undefined ? generateKeyPairSync('ed25519').privateKey : createPrivateKey(readFileSync(keyFile));
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('the key must be an Ed25519 key');
  const publicKey = derOf(createPublicKey(key));
  return {
    report,
    signature: {
      algorithm: 'Ed25519',
      publicKey: publicKey.toString('base64'),
      keyId: idOf(publicKey),
      key: keyFile === undefined ? 'made for this run' : 'given',
      value: sign(null, Buffer.from(canonical(report)), key).toString('base64'),
    },
  };
}

/** What is wrong with a signed report; empty = the signature fits. `expected` is a public key (SPKI, PEM) that it must be of. */
export function signatureProblems(signed: unknown, expected?: string): string[] {
  const { report, signature } = (signed ?? {}) as Partial<Signed>;
  if (report?.format !== 'eduk canary report 1' || signature?.algorithm !== 'Ed25519')
    return ['This is no report of the canary suite.'];
  try {
    const der = Buffer.from(signature.publicKey, 'base64');
    const problems: string[] = [];
    if (idOf(der) !== signature.keyId) problems.push('The key has another id than is stated.');
    if (expected !== undefined && !derOf(createPublicKey(expected)).equals(der))
      problems.push('It was signed with another key than the one that was given.');
    const key = createPublicKey({ key: der, type: 'spki', format: 'der' });
    if (!verify(null, Buffer.from(canonical(report)), key, Buffer.from(signature.value, 'base64')))
      problems.push('The signature does not fit: the report was changed after it was signed.');
    return problems;
  } catch {
    return ['The key or the signature is not of the form that it should have.'];
  }
}

const number = (value: number): string => value.toLocaleString('en-US');
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] => [
  `| ${head.join(' | ')} |`,
  `|${head.map(() => ' --- ').join('|')}|`,
  ...rows.map((row) => `| ${row.map((one) => cell(typeof one === 'number' ? number(one) : one)).join(' | ')} |`),
  '',
];

const words = {
  clean: 'Clean: no planted identity was found outside the vault and the receivers that are entitled to it.',
  leaks: 'It leaks: planted identities were found where they may not be.',
  unproven: 'Nothing was found, but the run did not do all that it should; so it proves nothing.',
} as const;

/** The page for a person. */
export function pageOf({ report, signature }: Signed): string {
  const lines = [
    '# Canary report',
    '',
    `**${words[report.verdict]}**`,
    '',
    `Version ${report.version} (${report.commit}), ${report.startedAt} to ${report.endedAt}, ${report.node} on ${report.system}, seed ${report.seed}.`,
    `Signed with Ed25519 key \`${signature.keyId}\` (${signature.key}). To check it: \`npm run canary -- --verify FILE\`.`,
    '',
  ];
  for (const { engine, seconds, identities, tried, searched, entitled, findings, problems } of report.engines) {
    const sum = (list: readonly Searched[]) => list.reduce((all, { bytes }) => all + bytes, 0);
    const planted = Object.values(identities).reduce((all, one) => all + one, 0);
    lines.push(
      `## The ${engine} engine`,
      '',
      `${number(planted)} invented identities in ${number(tried.reduce((all, { calls }) => all + calls, 0))} calls of ${number(tried.length)} operations; ${number(Math.round(sum(searched) / 1e6))} MB searched in ${seconds} s.`,
      '',
      '### Found where it may not be',
      '',
    );
    if (findings.length === 0) lines.push('Nothing.', '');
    else
      lines.push(
        ...table(
          ['what', 'had been put', 'was found', 'written', 'times'],
          findings.map((one) => [one.kind, one.put, one.place, one.form, one.times]),
        ),
      );
    if (problems.length > 0) lines.push('### What the run did not prove', '', ...problems.map((one) => `- ${one}`), '');
    lines.push(
      '### Who may have it, and got it',
      '',
      ...table(
        ['receiver', 'identities', 'got'],
        entitled.map((one) => [one.receiver, one.identities, one.got]),
      ),
      '### Searched',
      '',
      ...table(
        ['place', 'pieces', 'bytes', 'found'],
        searched.map((one) => [one.place, one.pieces, one.bytes, one.found]),
      ),
      '### Tried',
      '',
      ...table(
        ['operation', 'calls', 'refused', 'identities put in'],
        tried.map((one) => [one.operation, one.calls, one.refused, one.planted]),
      ),
      '### Identities',
      '',
      ...table(['kind', 'how many'], Object.entries(identities)),
    );
  }
  lines.push(
    '## Written as',
    '',
    `Looked for as: ${report.forms.join(', ')}.`,
    '',
    '## Limits',
    '',
    ...report.limits.map((one) => `- ${one}`),
    '',
  );
  return lines.join('\n');
}
