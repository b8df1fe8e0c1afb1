import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolders } from './folder.ts';

const place = mkdtempSync(join(tmpdir(), 'eduk-folder-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const codeOf = (folder: string): unknown => {
  try {
    makeFolders(folder);
    return 'made';
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code;
  }
};

test('folders are made with those above them, and again that is nothing', () => {
  const folder = join(place, 'one', 'two', '..', 'three');
  makeFolders(folder, 0o700);
  makeFolders(folder, 0o700);
  expect(statSync(join(place, 'one', 'three')).isDirectory()).toBe(true);
  expect(statSync(join(place, 'one')).mode & 0o077).toBe(0);
  expect(existsSync(join(place, 'one', 'two'))).toBe(false);
});

test('what cannot be made is told at once', () => {
  writeFileSync(join(place, 'file'), '');
  symlinkSync(join(place, 'gone'), join(place, 'dangling'));
  expect(codeOf(join(place, 'file'))).toBe('EEXIST');
  expect(codeOf(join(place, 'file', 'in'))).toBe('ENOTDIR');
  expect(codeOf(join(place, 'dangling'))).toBe('ENOENT');
  if (process.platform === 'linux') expect(codeOf('/proc/eduk/data')).toBe('ENOENT');
});
