/**
 * `node services/console/build.ts` builds the pages into `built/`, which is in the repository so that neither a start nor an image needs
 * the tools. A test builds them anew and compares. It takes a second.
 */
import { join } from 'node:path';
import { build } from 'vite';

const here = import.meta.dirname;

/** Builds into a folder, which is emptied. */
export async function buildPages(outDir = join(here, 'built')): Promise<void> {
  await build({
    configFile: false,
    root: join(here, 'web'),
    base: '/',
    logLevel: 'warn',
    // Nothing of the machine's environment gets into the pages.
    envPrefix: 'EDUK_NOTHING_',
    // Whatever NODE_ENV is: built for development, pages would hold paths of the machine that builds them.
    mode: 'production',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact', development: false } },
    build: {
      outDir,
      emptyOutDir: true,
      // What is inlined the policy would refuse, or need an exception for.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      target: 'es2022',
      sourcemap: false,
      reportCompressedSize: false,
    },
  });
}

if (process.argv[1] === import.meta.filename) await buildPages();
