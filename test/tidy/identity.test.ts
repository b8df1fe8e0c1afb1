import { describe, expect, test } from 'vitest';
import { read, sources } from './tree.ts';

/** Calls of `Clear.reveal`; the vault's own `reveal` takes a request, which is written as an object. */
const OPENS = /\.reveal(?:<[^()]*>)?\((?!\s*\{)|\bunveiled\(/;
const LISTED = /^\| `((?:services|adapters)\/[^`]+)`\s*\| ([^|]+) \|$/gm;

/** Ways around the list: the method taken by another name, which no search for its call would see. */
const AROUND =
  /\[\s*['"`]reveal['"`]\s*\]|\{[^{}]*\breveal\b(?:\s*:\s*\w+)?\s*(?:,[^{}]*)?\}\s*=[^=>]|\.reveal\b(?!\s*[(<`])|\bClear\.prototype/;
/** Folders that may see identity: the doors, release, the vault, and adapters, which are functions of theirs. */
const MAY = /^(services\/(edge|release|pseudonyms)|adapters)\//;

/** What a list and the code say differently of who opens a Clear. */
function revealProblems(page: string, code: ReturnType<typeof sources>): string[] {
  const listed = new Map([...page.matchAll(LISTED)].map(([, file, why]) => [file!, why!.trim()]));
  const opens = new Set(code.filter(({ text }) => OPENS.test(text)).map(({ path }) => path));
  return [
    ...[...opens].filter((file) => !listed.has(file)).map((file) => `${file} opens a Clear and is not listed`),
    ...[...listed.keys()].filter((file) => !opens.has(file)).map((file) => `${file} is listed and opens no Clear`),
    ...[...listed].filter(([, why]) => why.length < 15).map(([file]) => `${file} is listed without a reason`),
    ...[...new Set([...listed.keys(), ...opens])]
      .filter((file) => !MAY.test(file))
      .map((file) => `${file} opens a Clear outside of the doors, release, the vault and the adapters`),
    ...code
      .filter(({ text }) => AROUND.test(text))
      .map(({ path }) => `${path} takes reveal by another way than calling it`),
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
    const planted = (text: string) => revealProblems(page, [...code, { path: 'services/edge/planted.ts', text }]);
    for (const text of [
      'const name = person.reveal((it) => it.familyName);',
      'const name = person.reveal(familyName);',
      'await person.reveal(async (it) => send(it));',
      'person\n  .reveal(\n    (it) => it,\n  );',
      'unveiled(person)',
      'person.reveal<string>((it) => it.familyName)',
      'person?.reveal((it) => it.familyName)',
    ])
      expect(planted(text)).toEqual(['services/edge/planted.ts opens a Clear and is not listed']);
    expect(planted('await vault.reveal({ schoolOin });')).toEqual([]);
    expect(revealProblems(`${page}\n| \`services/edge/gone.ts\` | It is no longer there at all. |\n`, code)).toEqual([
      'services/edge/gone.ts is listed and opens no Clear',
    ]);
  });

  test('a list that names a service is found, and so is who goes around the list', () => {
    const listed = `${page}\n| \`services/orders/order.ts\` | It would like to see whom an order is for. |\n`;
    const text = 'const name = person.reveal((it) => it.familyName);';
    expect(revealProblems(listed, [...code, { path: 'services/orders/order.ts', text }])).toEqual([
      'services/orders/order.ts opens a Clear outside of the doors, release, the vault and the adapters',
    ]);
    for (const way of [
      "const name = person['reveal']((it) => it);",
      'const { reveal } = person;',
      'const { reveal: open } = person;',
      'const open = person.reveal;',
      'const name = person.reveal.call(person, (it) => it);',
      'Clear.prototype',
    ])
      expect([way, revealProblems(page, [...code, { path: 'services/edge/planted.ts', text: way }])]).toEqual([
        way,
        ['services/edge/planted.ts takes reveal by another way than calling it'],
      ]);
  });
});
