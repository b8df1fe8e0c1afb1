import { expect, test } from 'vitest';
import { coveredIn, threatProblems } from './threats.ts';
import { paths, read } from './tree.ts';

const page = read('docs/threat-model.md');
const all = new Set(paths());
const readTest = (path: string): string | undefined => (all.has(path) ? read(path) : undefined);

test('each attack of the threat model is named, and each test that covers one is there', () => {
  expect(coveredIn(page).length).toBeGreaterThan(30);
  expect(threatProblems(page, readTest)).toEqual([]);
});

test('what is missing is found', () => {
  const planted = (from: string | RegExp, to: string) => threatProblems(page.replace(from, to), readTest);
  expect(planted(/entity bombs/g, 'bombs')).toEqual(['entity bombs is not named']);
  expect(planted('“an entity bomb”', '“an entity balm”')).toEqual([
    'entity bombs: adapters/xml/xml.test.ts has no test “an entity balm”',
  ]);
  expect(planted('(../test/chain/attacks.test.ts): “XXE', '(../test/chain/gone.test.ts): “XXE')).toHaveLength(1);
  expect(planted('): “an entity bomb” |', ') |')).toHaveLength(1);
});
