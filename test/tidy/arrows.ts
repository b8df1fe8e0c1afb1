/**
 * Which folder may import which, as data and as a function from sources to what is wrong with them (style: a newcomer
 * reads one folder and its imports, and knows what it can touch).
 */
import { posix } from 'node:path';

export interface Source {
  /** From the top of the tree, with `/`. */
  path: string;
  text: string;
}

/** An import that no rule allows, and why it stands. */
export interface Exception {
  from: string;
  /** As the file writes it. */
  imports: string;
  why: string;
}

const CAPABILITIES = [
  'parties',
  'catalogue',
  'rosters',
  'orders',
  'entitlements',
  'access',
  'results',
  'flows',
  'readiness',
  'audit',
];
const DECIDER = ['services/kernel', 'services/bus', 'proto'];

/** Folder → folders it may import; `adapters` stands for every folder under it. Its own files are always allowed. */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  'services/kernel': ['proto'],
  'services/bus': ['services/kernel', 'proto'],
  'services/release': ['services/kernel', 'proto', 'adapters'],
  ...Object.fromEntries(CAPABILITIES.map((name) => [`services/${name}`, DECIDER])),
  'services/edge': ['services/kernel', 'services/release', 'proto', 'adapters'],
  'services/delivery': [...DECIDER, 'services/release', 'adapters'],
  'services/pseudonyms': [...DECIDER, 'adapters'],
  'services/cli': ['services/kernel', 'proto'],
  // It calls the operator's door as the command line does.
  'services/console': ['services/kernel', 'proto'],
  // main.ts and state.ts: they compose what the others are.
  services: ['services', 'proto'],
  'adapters/contract': ['services/kernel', 'proto', 'adapters'],
  'adapters/xml': ['services/kernel', 'proto'],
  adapters: ['services/kernel', 'proto', 'adapters/contract', 'adapters/xml'],
  proto: [],
  'test/parties': ['proto'],
  test: ['services', 'adapters', 'proto', 'test', 'docs', 'deploy'],
  docs: ['services', 'adapters', 'proto', 'test'],
  // Servers of others, started: it knows nothing of the gateway.
  'deploy/local': [],
  deploy: ['services', 'proto', 'deploy'],
};

/** Imported by their paths: the whole gateway, which has no index, and the list of methods that tests of the whole go through. */
const ENTRIES: ReadonlySet<string> = new Set(['services/main.ts', 'services/edge/grpc/services.ts']);
/** Folders under test/ and docs/ have no names in package.json. */
const NAMELESS = /^(test|docs)(\/|$)/;

/** Folder that a file belongs to, as `arrows` names it. */
export function folderOf(path: string): string {
  const [top, second, third] = path.split('/');
  if (top === 'proto' || top === 'docs') return top;
  return third === undefined ? top! : `${top}/${second}`;
}

const IMPORT =
  /^[ \t]*(?:import|export)\b(?:[^'";]*?\bfrom)?\s*'([^']+)'|\bimport\(\s*'([^']+)'|\bnew URL\(\s*'(\.[^']+\.[jt]s)',\s*import\.meta\.url/gm;

/** Specifiers of everything a source imports, workers it starts included. */
export const importsOf = (text: string): string[] =>
  [...text.matchAll(IMPORT)].map(([, from, dynamic, url]) => (from ?? dynamic ?? url)!);

/** Path that a specifier leads to; undefined = a package or a module of node. */
export function targetOf(
  from: string,
  specifier: string,
  aliases: Readonly<Record<string, string>>,
): string | undefined {
  if (specifier.startsWith('.')) return posix.normalize(posix.join(posix.dirname(from), specifier));
  if (!specifier.startsWith('#')) return undefined;
  for (const [alias, to] of Object.entries(aliases)) {
    const path = to.replace(/^\.\//, '');
    if (alias === specifier) return path;
    const [head] = alias.split('*');
    if (alias.endsWith('*') && specifier.startsWith(head!)) return path.replace('*', specifier.slice(head!.length));
  }
  return `no alias ${specifier}`;
}

const within = (folder: string, allowed: string): boolean => folder === allowed || folder.startsWith(`${allowed}/`);

/** A new adapter, or a new folder of tests, has the arrows of its kind; a new service has none until it is named here. */
const wider = (folder: string): readonly string[] | undefined =>
  folder.startsWith('services/') ? undefined : arrows[folder.split('/')[0]!];

/** What tests may import besides: those of the contracts compare them with services, those of services use the bus's bench and real servers. */
const testArrows = (folder: string): readonly string[] =>
  folder === 'proto' ? ['services'] : folder.startsWith('services/') ? ['services/bus', 'deploy/local'] : [];

/** What is wrong with one import; undefined = nothing. */
function importProblem(path: string, specifier: string, aliases: Readonly<Record<string, string>>): string | undefined {
  const target = targetOf(path, specifier, aliases);
  if (target === undefined) return undefined;
  if (target.startsWith('no alias')) return `${path} imports ${specifier}, which package.json does not name`;
  const from = folderOf(path);
  const to = folderOf(target);
  if (from === to) return undefined;
  const own = arrows[from] ?? wider(from);
  if (!own) return `${from} has no arrows in test/tidy/arrows.ts`;
  const allowed = path.endsWith('.test.ts') ? [...own, ...testArrows(from)] : own;
  if (!allowed.some((one) => within(to, one))) return `${path} imports ${specifier}: ${from} may not import ${to}`;
  if (specifier.startsWith('.') && !ENTRIES.has(target) && !NAMELESS.test(to))
    return `${path} imports ${specifier}: across folders only by a name of package.json`;
  return undefined;
}

/** Everything wrong with the imports of a tree, exceptions that are no longer needed included. */
export function arrowProblems(
  sources: readonly Source[],
  aliases: Readonly<Record<string, string>>,
  exceptions: readonly Exception[],
): string[] {
  const problems: string[] = [];
  const used = new Set<Exception>();
  for (const { path, text } of sources)
    for (const specifier of importsOf(text)) {
      const problem = importProblem(path, specifier, aliases);
      if (problem === undefined) continue;
      const exception = exceptions.find((one) => one.from === path && one.imports === specifier);
      if (exception) used.add(exception);
      else problems.push(problem);
    }
  for (const exception of exceptions)
    if (!used.has(exception))
      problems.push(`the exception of ${exception.from} for ${exception.imports} is no longer needed`);
  return problems;
}
