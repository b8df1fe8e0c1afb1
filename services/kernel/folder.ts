import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and those above it, where they are not there yet. Node's own way (`mkdirSync` with `recursive`) never ends in a place
 * that makes nothing and says ENOENT, such as /proc. Throws the system's error.
 */
export function makeFolders(folder: string, mode?: number): void {
  const leaf = resolve(folder);
  const missing: string[] = [];
  for (let at = leaf; !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.unshift(at);
  for (const one of missing)
    try {
      mkdirSync(one, { mode });
    } catch (thrown) {
      // Another process may have made it meanwhile.
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    }
  if (!statSync(leaf).isDirectory()) mkdirSync(leaf, { mode });
}
