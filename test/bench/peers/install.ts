/**
 * Brings what peers need into the cache of this machine, once, by their own tools: npm, Maven, Go. Nothing of it is a
 * dependency of the gateway.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '#deploy/local';

const run = promisify(execFile);

export interface Peer {
  name: string;
  /** Under this folder, and how a person calls it. */
  folder: string;
  /** Programs that build it, one after the other, in a copy of its folder. */
  build: readonly (readonly [command: string, ...args: string[]])[];
  /** How it is started there. */
  start: { command: string; args: readonly string[] };
  /** Does not count as code of a user. */
  isCode: (path: string) => boolean;
  /** What it does where a receiver fails. */
  lacks: string;
}

export const peers: readonly Peer[] = [
  {
    name: 'NestJS 12 + kafkajs',
    folder: 'nest',
    build: [
      ['npm', 'ci', '--no-audit', '--no-fund'],
      ['npm', 'run', 'build'],
    ],
    start: { command: process.execPath, args: ['dist/main.js'] },
    isCode: (path) => path.endsWith('.ts'),
    lacks:
      'a message that the receiver refuses holds up its partition and is tried again from memory; after five tries the consumer begins anew',
  },
  {
    name: 'Apache Camel 4.22',
    folder: 'camel',
    build: [
      ['mvn', '-B', '-q', '--strict-checksums', 'compile', 'dependency:copy-dependencies', '-DincludeScope=runtime'],
    ],
    start: { command: 'java', args: ['-Xmx512m', '-cp', 'target/classes:target/dependency/*', 'peer.Gateway'] },
    isCode: (path) => path.endsWith('.java') || path.endsWith('application.properties'),
    lacks:
      'a message that the receiver refuses holds up its partition and is tried again from memory, without end; how often is not kept',
  },
  {
    name: 'Watermill 1.5 (Go)',
    folder: 'watermill',
    build: [['go', 'build', '-o', 'gateway', '.']],
    start: { command: './gateway', args: [] },
    isCode: (path) => path.endsWith('.go'),
    lacks:
      'a message that the receiver refuses holds up its partition and is tried again at once and without end, unless middleware is added; how often is not kept',
  },
];

/** Files of a peer as the project has them, from its folder. */
function filesOf(folder: string): string[] {
  const at = join(import.meta.dirname, folder);
  return (readdirSync(at, { recursive: true }) as string[])
    .filter((path) => !/(^|\/)(node_modules|dist|target)(\/|$)/.test(path) && statSync(join(at, path)).isFile())
    .sort();
}

/** Lines that somebody wrote: without those that are empty or only a comment. */
export function linesOf({ folder, isCode }: Peer): number {
  return filesOf(folder)
    .filter(isCode)
    .flatMap((path) => readFileSync(join(import.meta.dirname, folder, path), 'utf8').split('\n'))
    .filter((line) => line.trim() !== '' && !/^\s*(\/\/|#|\/?\*)/.test(line)).length;
}

/** The folder in which it can be started; built when it is not there. Rejects with what the tool said. */
export async function installed({ name, folder, build }: Peer): Promise<string> {
  const digest = createHash('sha256').update(process.version);
  for (const path of filesOf(folder)) digest.update(path).update(readFileSync(join(import.meta.dirname, folder, path)));
  const at = join(cacheFolder(), 'peers', `${folder}-${digest.digest('hex').slice(0, 12)}`);
  if (existsSync(join(at, 'complete'))) return at;
  rmSync(at, { recursive: true, force: true });
  mkdirSync(at, { recursive: true });
  for (const path of filesOf(folder))
    cpSync(join(import.meta.dirname, folder, path), join(at, path), { recursive: true });
  for (const [command, ...args] of build)
    await run(command, args, { cwd: at, maxBuffer: 64 << 20 }).catch((thrown) => {
      const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
      throw new Error(`${name} could not be built with ${command}:\n${`${stdout}${stderr}` || String(thrown)}`);
    });
  writeFileSync(join(at, 'complete'), '');
  return at;
}
