import { execFileSync } from 'node:child_process';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { type Fault, faults } from '#kernel';
import { linkProblems, linksOf } from './pages.ts';
import { paths, read, root, sources } from './tree.ts';

const all = new Set(paths());
const pages = sources((path) => path.endsWith('.md'));
const readme = read('README.md');
/** Rows of the table of one order's way. */
const way = readme.slice(readme.indexOf('## One order’s way'.replace('’', "'")), readme.indexOf('## Call it'));

describe('links', () => {
  test('of every page lead to a file that is there, and to a name that it exports', () => {
    expect(pages.length).toBeGreaterThan(20);
    expect(linkProblems(pages, all, read)).toEqual([]);
  });
  test('that lead nowhere are found', () => {
    const planted = (text: string) => linkProblems([{ path: 'docs/planted.md', text }], all, read);
    expect(planted('[x](nowhere.md)')).toEqual(['docs/planted.md links to nowhere.md, which is not there']);
    expect(planted('[`accept`](../services/edge/stages/gone.ts)')).toHaveLength(1);
    expect(planted('[`acceptAll`](../services/edge/stages/accept.ts)')).toEqual([
      'docs/planted.md links to acceptAll in ../services/edge/stages/accept.ts, which does not export it',
    ]);
    expect(planted('[`entryOf`](../services/edge/stages/accept.ts)')).toHaveLength(1);
    expect(
      planted(
        '[`accept`](../services/edge/stages/accept.ts) [a page](README.md#pages) [a folder](../services) [out](https://x.example)',
      ),
    ).toEqual([]);
  });
});

describe('one order’s way in README.md', () => {
  test('names for each stage the file and the symbol that does it', () => {
    const links = linksOf(way).filter(({ to }) => to.endsWith('.ts'));
    expect(links.length).toBeGreaterThan(20);
    for (const { text, to } of links) expect([to, /^`\w+`$/.test(text)]).toEqual([to, true]);
  });
  test('has every stage of the pipeline, in its order', () => {
    const list = /export const stages = \{([^}]*)\}/.exec(read('services/edge/pipeline.ts'))![1]!;
    const stages = list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    expect(stages.length).toBeGreaterThan(5);
    expect(
      linksOf(way)
        .map(({ text }) => text.slice(1, -1))
        .filter((name) => stages.includes(name)),
    ).toEqual(stages);
  });
  test('names only faults that there are', () => {
    const named = [...way.matchAll(/`([a-z]+\.[a-z_]+)`/g)].map(([, code]) => code!);
    expect(named.length).toBeGreaterThan(30);
    for (const code of named) expect(Object.keys(faults)).toContain(code);
  });
  test('names for a stage of the door the faults that its own file names', () => {
    for (const line of way.split('\n')) {
      const [link] = linksOf(line).filter(({ to }) => to.startsWith('services/edge/stages/'));
      if (!link) continue;
      const said = /Faults: ([^/]*)\*\//s.exec(read(link.to))?.[1] ?? '';
      for (const [code] of said.matchAll(/\b(?:wire|party|mandate|state|learner|gateway)\.[a-z_]+/g))
        expect([link.to, line.includes(`\`${code}\``) || code]).toEqual([link.to, true]);
    }
  });
});

describe('commands in README.md', () => {
  test('of npm are scripts, and what these start is there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...readme.matchAll(/npm (?:run )?(start|test|demo|check|bench|generate)\b/g)].map(
      ([, name]) => name!,
    );
    expect(new Set(named).size).toBeGreaterThan(3);
    for (const name of named) {
      const file = /\bnode (\S+)/.exec(scripts[name] ?? '')?.[1];
      expect([name, file !== undefined && all.has(file)]).toEqual([name, true]);
    }
  });
  test('of eduk are in the list of the command line', () => {
    const list = read('services/cli/README.md');
    const named = [...readme.matchAll(/npx eduk ([a-z]+(?: [a-z]+)?)/g)].map(([, name]) => name!);
    expect(named.length).toBeGreaterThan(4);
    for (const name of named) expect([name, list.includes(`\`eduk ${name}`)]).toEqual([name, true]);
  });
});

describe('alerts', () => {
  const kinds = [...read('services/edge/alerts/words.ts').matchAll(/^ {2}'([a-z.]+)': \{[\s\S]*?see: '([^']+)'/gm)].map(
    ([, code, see]) => [code!, see!] as const,
  );
  const commands = [...read('services/cli/README.md').matchAll(/^\| `eduk ((?:[a-z]+ ?)+)/gm)].map(([, name]) =>
    name!.trim(),
  );
  const isThere = (see: string): boolean => commands.includes(see.replace(/^eduk /, '').replace(/ --.*/, ''));
  test('each stand in the page', () => {
    expect(kinds.length).toBeGreaterThan(10);
    const page = read('docs/alerts.md');
    for (const [code] of kinds) expect(page).toContain(`| \`${code}\` |`);
  });
  test('each name a command that there is', () => {
    for (const [code, see] of kinds) expect([code, see, isThere(see)]).toEqual([code, see, true]);
    expect(isThere('eduk flow silence')).toBe(false);
  });
});

describe('faults', () => {
  const used = new Set(
    sources((path) => /^(services|adapters)\/.*\.ts$/.test(path) && !path.endsWith('.test.ts')).flatMap(({ text }) =>
      [...text.matchAll(/new GatewayError\(\s*'([^']+)'/g)].map(([, code]) => code!),
    ),
  );
  test('each has a status of gRPC, of HTTP, and words in two languages', () => {
    for (const [code, row] of Object.entries(faults)) {
      expect([code, typeof status[row.grpc]]).toEqual([code, 'number']);
      expect(row.http).toBeGreaterThanOrEqual(400);
      expect(row.en).not.toBe(row.nl);
      expect(`${row.en} ${row.nl}`).not.toMatch(/[{}$]/);
    }
  });
  test('all that code raises are in the table, and the page has them all', () => {
    expect(used.size).toBeGreaterThan(10);
    for (const code of used) expect(Object.keys(faults) as Fault[]).toContain(code);
    const page = read('docs/faults.md');
    for (const code of Object.keys(faults)) expect(page).toContain(`| \`${code}\` |`);
  });
});

test('what is generated is what the sources give', () => {
  const run = () =>
    execFileSync(process.execPath, ['proto/generate.ts', '--check'], { cwd: root, encoding: 'utf8', stdio: 'pipe' });
  expect(run).not.toThrow();
});

describe('pages', () => {
  test('every service and adapter has one, and docs/README.md names them all', () => {
    const folders = new Set(
      paths()
        .filter((path) => /^(services|adapters)\/[^/]+\/index\.ts$/.test(path))
        .map((path) => path.replace('/index.ts', '')),
    );
    folders.delete('services/kernel');
    folders.delete('adapters/contract');
    const index = new Set(linksOf(read('docs/README.md')).map(({ to }) => to));
    for (const folder of folders)
      expect([folder, all.has(`${folder}/README.md`), index.has(`../${folder}/README.md`)]).toEqual([
        folder,
        true,
        true,
      ]);
    for (const { path } of pages)
      if (/^docs\/[^/]+\.md$/.test(path) && path !== 'docs/README.md')
        expect(index).toContain(path.replace('docs/', ''));
  });
  test('decisions have numbers of their own, a context, a choice, and what would change our mind; the index has all', () => {
    const decisions = paths().filter((path) => /^docs\/decisions\/\d/.test(path));
    const numbers = decisions.map((path) => Number(/(\d{4})-/.exec(path)![1]));
    expect(numbers).toEqual(numbers.map((_, i) => i + 1));
    const index = read('docs/decisions/README.md');
    for (const path of decisions) {
      const text = read(path);
      for (const part of ['Context', 'Choice', 'What would change our mind'])
        expect([path, text.includes(part)]).toEqual([path, true]);
      expect(index).toContain(`(${path.replace('docs/decisions/', '')})`);
    }
  });
});
