/** The tree as the checks read it: everything that is ours, nothing that was installed, generated or made by running. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Source } from './arrows.ts';

export const root = join(import.meta.dirname, '../..');

/** Paths from the top, with `/`. What is hidden is left out, but for `.ci`. */
export function paths(folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      const hidden = entry.name.startsWith('.') && entry.name !== '.ci';
      return hidden || entry.name === 'node_modules' || path === 'proto/gen' ? [] : paths(path);
    }
    return entry.name.startsWith('.') || entry.name.includes('.tmp.') ? [] : [path];
  });
}

export const read = (path: string): string => readFileSync(join(root, path), 'utf8');
export const sources = (match: (path: string) => boolean): Source[] =>
  paths()
    .filter(match)
    .map((path) => ({ path, text: read(path) }));
