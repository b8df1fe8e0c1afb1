/**
 * One way out: what may open a connection, as data and as a function from sources to what is wrong with them. Requests to
 * addresses that others gave go through `services/kernel/dial.ts`; the rest are the gateway's own parts and stores.
 */
import type { Source } from './arrows.ts';

/** A file that opens connections itself, and to whom. A test fails when one of them no longer does. */
export interface Inner {
  path: string;
  /** The module or global by which it does. */
  by: string;
  why: string;
}

export const inner: readonly Inner[] = [
  { path: 'services/kernel/dial.ts', by: 'node:http', why: 'The dialler itself.' },
  { path: 'services/kernel/dial.ts', by: 'node:https', why: 'The dialler itself.' },
  { path: 'services/kernel/dial.ts', by: 'node:net', why: 'The dialler itself, for mail: judged by the same rules.' },
  {
    path: 'services/kernel/networks.ts',
    by: 'node:dns',
    why: 'Resolves for the dialler, and keeps what may be reached.',
  },
  {
    path: 'services/kernel/grpc/client.ts',
    by: '@grpc/grpc-js',
    why: 'Roles call each other, at addresses of the settings.',
  },
  { path: 'services/kernel/grpc/client.ts', by: 'node:dns/promises', why: 'Finds the replicas of a role.' },
  { path: 'services/kernel/grpc/security.ts', by: '@grpc/grpc-js', why: 'What roles show each other.' },
  { path: 'services/kernel/grpc/bench.ts', by: '@grpc/grpc-js', why: 'A measurement, against itself.' },
  { path: 'services/bus/kafka/kafkajs.ts', by: 'node:net', why: 'Brokers, at addresses of the settings.' },
  { path: 'services/bus/kafka/kafkajs.ts', by: 'node:tls', why: 'Brokers, at addresses of the settings.' },
  { path: 'services/bus/kafka/kafkajs.ts', by: 'node:module', why: 'Loads kafkajs, which has no modules.' },
  {
    path: 'services/bus/kafka/platformatic.ts',
    by: '@platformatic/kafka',
    why: 'Brokers, at addresses of the settings.',
  },
  { path: 'services/bus/postgres/connection.ts', by: 'pg', why: 'The database of the settings.' },
  { path: 'services/bus/postgres/places.ts', by: 'pg', why: 'Databases of tests.' },
  { path: 'services/bus/copy/postgres.ts', by: 'pg', why: 'The database of the settings, for moves and backups.' },
  { path: 'services/pseudonyms/postgres/connection.ts', by: 'pg', why: 'The database of the vault.' },
  { path: 'services/pseudonyms/measure.ts', by: 'pg', why: 'A measurement of the database of the vault.' },
  { path: 'services/console/door.ts', by: '@grpc/grpc-js', why: 'The console calls the door of its own process.' },
  { path: 'services/cli/client.ts', by: '@grpc/grpc-js', why: 'The operator’s command calls its own gateway.' },
  {
    path: 'services/cli/eduk.js',
    by: 'node:module',
    why: 'Finds the Node that npm brought, before anything else runs.',
  },
];

/** Module → names in it by which a connection is made; `*` = any, also the module as a whole. */
const OPENS: Readonly<Record<string, readonly string[]>> = {
  http: ['request', 'get', 'Agent', 'globalAgent', 'ClientRequest'],
  https: ['request', 'get', 'Agent', 'globalAgent'],
  net: ['connect', 'createConnection', 'Socket', 'Stream'],
  tls: ['connect', 'createConnection', 'TLSSocket'],
  http2: ['connect'],
  dgram: ['*'],
  dns: ['*'],
  'dns/promises': ['*'],
  // By it any other is had.
  module: ['createRequire'],
  undici: ['*'],
  ws: ['*'],
  axios: ['*'],
  got: ['*'],
  'node-fetch': ['*'],
  pg: ['*'],
  kafkajs: ['*'],
  '@platformatic/kafka': ['*'],
  '@grpc/grpc-js': [
    'Client',
    'Channel',
    'credentials',
    'ChannelCredentials',
    'makeClientConstructor',
    'makeGenericClientConstructor',
    'loadPackageDefinition',
  ],
};

const IMPORT = /^[ \t]*(?:import|export)\s+(type\s+)?([^'";]*?)\bfrom\s*'([^']+)'/gm;
const LOADS = /\b(?:import|require|getBuiltinModule|createRequire)\(\s*['"`]([^'"`]+)['"`]/g;
/** Globals that connect. A method of that name, called of something or declared with its types, is another thing. */
const GLOBALS =
  /(?<![.\w#]|async )(fetch)\((?!\w+\??:|\{|\)\s*[:{])|\b(?:globalThis|global)\.(fetch)\b|\[\s*'(fetch)'\s*\]|new\s+(WebSocket|EventSource|XMLHttpRequest)\b/g;

/** Module or package of a specifier. */
const opensOf = (specifier: string): readonly string[] | undefined => {
  const name = specifier.replace(/^node:/, '');
  return OPENS[name] ?? OPENS[name.split('/')[0]!];
};

/** Modules and globals by which a source may connect. */
export function connectsBy(text: string): string[] {
  const found = new Set<string>();
  for (const [, type, clause, specifier] of text.matchAll(IMPORT)) {
    const opens = opensOf(specifier!);
    if (type || !opens) continue;
    const braces = /\{([^}]*)\}/.exec(clause!);
    const names = (braces?.[1] ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '' && !one.startsWith('type '))
      .map((one) => one.split(/\s+as\s+/)[0]!);
    // What stands outside the braces is the module as a whole.
    if (clause!.replace(/\{[^}]*\}/, '').replace(/[\s,]/g, '') !== '') names.push('default');
    if (names.some((name) => opens.includes('*') || opens.includes(name) || name === 'default')) found.add(specifier!);
  }
  for (const [, specifier] of text.matchAll(LOADS)) if (opensOf(specifier!)) found.add(specifier!);
  for (const [, ...names] of withoutComments(text).matchAll(GLOBALS))
    found.add(names.find((name) => name !== undefined)!);
  return [...found];
}

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');

/** Every file that connects and is not an inner one, and every inner one that does not connect. */
export function outboundProblems(sources: readonly Source[], list: readonly Inner[]): string[] {
  const used = new Set<Inner>();
  const problems: string[] = [];
  for (const { path, text } of sources)
    for (const by of connectsBy(text)) {
      const known = list.find((one) => one.path === path && one.by === by);
      if (known) used.add(known);
      else problems.push(`${path} connects by ${by}: requests go through services/kernel/dial.ts`);
    }
  for (const one of list) if (!used.has(one)) problems.push(`${one.path} no longer connects by ${one.by}`);
  return problems;
}
