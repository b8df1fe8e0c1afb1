/** The threat model as the checks read it: which attack it names, and which test it says covers that. */
import { posix } from 'node:path';

export interface Covered {
  attack: string;
  path: string;
  title: string;
}

/** What no threat model of this gateway may leave out, as it is named there. */
export const ATTACKS: readonly string[] = [
  'XXE',
  'entity bombs',
  'attribute floods',
  'XML signature wrapping',
  'SOAP header smuggling',
  'JWT `none`',
  'wrong audience',
  'replayed assertion (`jti`)',
  'expired and not-yet-valid certificates',
  'certificate of another CA',
  'OIN confusion',
  "school A's token for school B",
  'path traversal in file import',
  'SSRF through callback and endpoint addresses',
  'DNS rebinding',
  'SSRF through `jwks_uri`',
  'HTTP request smuggling',
  'header bombs',
  'HTTP/2 rapid reset',
  'gRPC message of 1 GB',
  'decompression bombs',
  'prototype pollution in JSON',
  'log injection',
  'timing of key lookup',
  'XSS',
  'CSRF',
  'clickjacking',
  'session fixation',
];

const ROW = /^\| ([^|]+) \| [^|]+ \| \[`([^`]+)`\]\(([^)]+)\): “([^”]+)” \|$/;

/** Rows that name a test; `at` is the page's path. */
export const coveredIn = (page: string, at = 'docs/threat-model.md'): Covered[] =>
  page.split('\n').flatMap((line) => {
    const [, attack, , to, title] = ROW.exec(line) ?? [];
    return attack ? [{ attack, path: posix.normalize(posix.join(posix.dirname(at), to!)), title: title! }] : [];
  });

/** Attacks that are not named, rows whose form is another, and tests that are not there under the name that the page gives them. */
export function threatProblems(page: string, read: (path: string) => string | undefined): string[] {
  const words = page.replaceAll(/\s+/g, ' ');
  const missing = ATTACKS.filter((attack) => !words.includes(attack)).map((attack) => `${attack} is not named`);
  const unread = page
    .split('\n')
    .filter((line) => line.startsWith('| ') && line.includes('.test.ts') && !ROW.test(line))
    .map((line) => `no test can be read from: ${line.slice(0, 60)}`);
  const gone = coveredIn(page).flatMap(({ attack, path, title }) => {
    const text = read(path);
    if (text === undefined) return [`${attack}: ${path} is not there`];
    const isThere = ["'", '"', '`'].some((quote) => text.includes(`${quote}${title}${quote}`));
    return isThere ? [] : [`${attack}: ${path} has no test “${title}”`];
  });
  return [...missing, ...unread, ...gone];
}
