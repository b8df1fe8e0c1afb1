/**
 * Writes everything that is derived: from the protos TypeScript, the image for reflection, the table of labels and
 * docs/streams.md; from the code the tables in docs/. `--check` writes nothing and exits 1 when a committed file differs.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventsModule, labelsModule, readImage, streamsPage } from './labels.ts';
import { grafanaDashboard, prometheusRules } from './observe.ts';
import {
  alertsPage,
  attributesPage,
  configurationPage,
  conformancePage,
  faultsPage,
  limitsPage,
  lossesPage,
  rolesPage,
} from './pages.ts';

const root = join(import.meta.dirname, '..');
const bin = (name: string) => join(root, 'node_modules', '.bin', name);
const run = (args: string[]) =>
  execFileSync(bin('buf'), args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env['PATH']}` },
  });

const out = mkdtempSync(join(tmpdir(), 'eduk-gen-'));
try {
  run(['generate', '--output', out]);
  const gen = join(out, 'proto', 'gen');
  run(['build', '--exclude-source-info', '-o', join(gen, 'image.binpb')]);
  const image = readImage(readFileSync(join(gen, 'image.binpb')));
  writeFileSync(join(gen, 'labels.ts'), labelsModule(image));
  writeFileSync(join(gen, 'events.ts'), eventsModule(image));
  for (const folder of ['docs', 'deploy/observe']) mkdirSync(join(out, folder), { recursive: true });
  const pages: Record<string, string> = {
    'docs/streams.md': streamsPage(image),
    'docs/faults.md': faultsPage(),
    'docs/configuration.md': configurationPage(),
    'docs/limits.md': limitsPage(),
    'docs/alerts.md': alertsPage(readFileSync(join(root, 'docs/alerts.md'), 'utf8')),
    'docs/attributes.md': attributesPage(),
    'docs/roles.md': rolesPage(),
    'docs/losses.md': lossesPage(),
    'deploy/observe/rules.yaml': prometheusRules(),
    'deploy/observe/dashboard.json': grafanaDashboard(),
    'docs/conformance.md': conformancePage(),
  };
  for (const [file, text] of Object.entries(pages)) writeFileSync(join(out, file), text);
  const made = [...walk(gen, 'proto/gen'), ...Object.keys(pages)];
  if (process.argv.includes('--check')) {
    const stale = made.filter(
      (file) => !existsSync(join(root, file)) || !readFileSync(join(root, file)).equals(readFileSync(join(out, file))),
    );
    for (const file of stale) process.stderr.write(`${file} is not what the sources give; run npm run generate\n`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    // Only what differs is written, so that a running process or another run never sees the folder empty.
    for (const file of made)
      if (!existsSync(join(root, file)) || !readFileSync(join(root, file)).equals(readFileSync(join(out, file))))
        cpSync(join(out, file), join(root, file));
    for (const file of walk(join(root, 'proto', 'gen'), 'proto/gen'))
      if (!made.includes(file)) rmSync(join(root, file));
  }
} finally {
  rmSync(out, { recursive: true, force: true });
}

function* walk(dir: string, as: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* walk(join(dir, entry.name), `${as}/${entry.name}`);
    else yield `${as}/${entry.name}`;
  }
}
