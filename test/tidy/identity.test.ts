import { describe, expect, test } from 'vitest';
import { read, sources } from './tree.ts';

/** Calls of `Clear.reveal`; the vault's own `reveal` takes a request, which is written as an object. */
const OPENS = /\.reveal\((?!\s*\{)|\bunveiled\(/;
const LISTED = /^\| `((?:services|adapters)\/[^`]+)`\s*\| ([^|]+) \|$/gm;

/** What a list and the code say differently of who opens a Clear. */
function revealProblems(page: string, code: ReturnType<typeof sources>): string[] {
  const listed = new Map([...page.matchAll(LISTED)].map(([, file, why]) => [file!, why!.trim()]));
  const opens = new Set(code.filter(({ text }) => OPENS.test(text)).map(({ path }) => path));
  return [
    ...[...opens].filter((file) => !listed.has(file)).map((file) => `${file} opens a Clear and is not listed`),
    ...[...listed.keys()].filter((file) => !opens.has(file)).map((file) => `${file} is listed and opens no Clear`),
    ...[...listed].filter(([, why]) => why.length < 15).map(([file]) => `${file} is listed without a reason`),
  ];
}

const page = read('services/edge/README.md');
const code = sources(
  (path) =>
    /^(services|adapters)\/.*\.ts$/.test(path) &&
    !/\.test\.ts$|\/testing\.ts$|^adapters\/contract\/(registry|suite)\.ts$/.test(path),
);

describe('who opens a Clear', () => {
  test('is listed in services/edge/README.md, each with why', () => {
    expect(revealProblems(page, code)).toEqual([]);
  });

  test('and who is not listed is found', () => {
    const planted = (text: string) =>
      revealProblems(page, [...code, { path: 'services/orders/order.ts.planted', text }]);
    for (const text of [
      'const name = person.reveal((it) => it.familyName);',
      'const name = person.reveal(familyName);',
      'await person.reveal(async (it) => send(it));',
      'person\n  .reveal(\n    (it) => it,\n  );',
      'unveiled(person)',
    ])
      expect(planted(text)).toEqual(['services/orders/order.ts.planted opens a Clear and is not listed']);
    expect(planted('await vault.reveal({ schoolOin });')).toEqual([]);
    expect(revealProblems(`${page}\n| \`services/edge/gone.ts\` | It is no longer there at all. |\n`, code)).toEqual([
      'services/edge/gone.ts is listed and opens no Clear',
    ]);
  });
});
