import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readAssets } from './assets.ts';
import { buildPages } from './build.ts';
import { remediesNl } from './remedies.ts';
import { words } from './web/words.ts';

/** Every file of a folder, by its path. */
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name))
      .sort()
      .map((path) => [path.slice(folder.length), readFileSync(path, 'utf8')]),
  );

test('what is in built/ is what web/ builds today: node services/console/build.ts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-console-'));
  try {
    await buildPages(folder);
    const [there, made] = [filesOf(join(import.meta.dirname, 'built')), filesOf(folder)];
    expect(Object.keys(there)).toEqual(Object.keys(made));
    // Not compared as texts, which would be printed whole.
    expect(Object.keys(made).filter((name) => there[name] !== made[name])).toEqual([]);
    for (const text of Object.values(made)) expect(text.includes(import.meta.dirname)).toBe(false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the pages are small, and name no other place', () => {
  const { page, files } = readAssets();
  const texts = [page, ...[...files.values()].map(({ body }) => body)].map(String);
  expect(texts.join('').length).toBeLessThan(200_000);
  for (const text of texts)
    expect(text.replaceAll(/http:\/\/www\.w3\.org\/[\w/]+/g, '').match(/https?:\/\/[\w.]+/g)).toBeNull();
});

test('every word is there in Dutch and in English', () => {
  for (const [word, [nl, en]] of Object.entries(words))
    expect([word, nl.trim() !== '', en.trim() !== '']).toEqual([word, true, true]);
  // A remedy in Dutch does not send people to a command that is not there.
  for (const remedy of Object.values(remediesNl)) expect(remedy).toMatch(/\.$|list\.$/);
});
