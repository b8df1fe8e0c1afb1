/** The built pages, read once: `build.ts` made them, and they are in the repository. */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const FOLDER = join(import.meta.dirname, 'built');

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface Asset {
  type: string;
  body: Buffer;
}

export interface Assets {
  page: Buffer;
  /** By path; each is named by what is in it. */
  files: ReadonlyMap<string, Asset>;
}

export function readAssets(folder = FOLDER): Assets {
  const files = new Map<string, Asset>();
  for (const name of readdirSync(join(folder, 'assets')))
    files.set(`/assets/${name}`, {
      type: TYPES[extname(name)] ?? 'application/octet-stream',
      body: readFileSync(join(folder, 'assets', name)),
    });
  return { page: readFileSync(join(folder, 'index.html')), files };
}
