/**
 * Brings Apache Kafka and PostgreSQL from Maven's repository into a cache of this machine, once. Where Maven fetches from
 * is its own settings' matter.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LocalProblem } from './problem.ts';

const run = promisify(execFile);
const pom = join(import.meta.dirname, 'pom.xml');

/** What is on this machine for a run. */
export interface Installed {
  /** Of this version of pom.xml; what is made from the jars is kept here too. */
  folder: string;
  /** For `java -cp`; always the same order, which an archive of classes depends on. */
  classpath: string;
  /** Holds initdb, pg_ctl and postgres. */
  postgresBin: string;
}

const isRoot = (): boolean => process.getuid?.() === 0;

/**
 * Where programs are kept between runs: `EDUK_DEPLOY_CACHE`, else the cache of the system. As root it is one that other
 * users can pass, because PostgreSQL does not run as root.
 */
export const cacheFolder = (): string =>
  process.env['EDUK_DEPLOY_CACHE'] ??
  join(isRoot() ? '/var/cache' : (process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')), 'eduk-deploy');

/** Name of this machine's kind in Maven's repository. */
function platform(): string {
  const system = { linux: 'linux', darwin: 'darwin' }[process.platform as string];
  const processor = { x64: 'amd64', arm64: 'arm64v8' }[process.arch as string];
  if (!system || !processor)
    throw new LocalProblem(
      `PostgreSQL is not brought for ${process.platform} on ${process.arch}. Install Docker, or give EDUK_KAFKA_BROKERS and EDUK_DATABASE_URL.`,
      3,
    );
  return `${system}-${processor}`;
}

/** The command of `JAVA_HOME`, else the one on the path. */
export const javaCommand = (name = 'java'): string => {
  const home = process.env['JAVA_HOME'];
  return home ? join(home, 'bin', name) : name;
};

/**
 * What Java says of itself; a Java of 17 or newer.
 * @throws {LocalProblem} (3) when there is none
 */
export async function javaVersion(): Promise<string> {
  const install = 'Install one (Debian: apt-get install openjdk-17-jre-headless), or give EDUK_KAFKA_BROKERS.';
  const said = await run(javaCommand(), ['-version']).then(
    ({ stdout, stderr }) => stdout + stderr,
    () => {
      throw new LocalProblem(`Kafka needs Java 17 or newer, and there is no java. ${install}`, 3);
    },
  );
  const major = Number(/version "(\d+)/.exec(said)?.[1]);
  if (!(major >= 17)) throw new LocalProblem(`Kafka needs Java 17 or newer; this one is ${major}. ${install}`, 3);
  return said;
}

/** What keeps Kafka or PostgreSQL from being run here, for a test that is then left out; undefined = nothing. */
export async function missingHere(): Promise<string | undefined> {
  try {
    await javaVersion();
    if (!existsSync(join(installFolder(), 'complete'))) await run('mvn', ['--version']);
    return undefined;
  } catch (error) {
    return error instanceof LocalProblem ? error.message : 'Maven is missing: apt-get install maven';
  }
}

/** Runs a program of the system; what to install when there is none, and its last words when it fails, are in the message. */
async function system(command: string, args: readonly string[], install: string, doing: string): Promise<void> {
  try {
    await run(command, [...args], { maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string };
    // tar says in its own words that it has no xz.
    if (code === 'ENOENT' || /Cannot exec|command not found/.test(stderr))
      throw new LocalProblem(`${doing} needs ${command}, and there is none or not all of it. ${install}`, 3);
    const words = `${stdout}${stderr}`.trim().split('\n').slice(-8).join('\n');
    throw new LocalProblem(`${doing} failed (${command} ended with ${String(code)}):\n${words}`);
  }
}

/** Named after the content of pom.xml, so that other versions never mix. */
function installFolder(): string {
  const kind = platform();
  const digest = createHash('sha256').update(readFileSync(pom)).update(kind).digest('hex').slice(0, 12);
  return join(cacheFolder(), `${kind}-${digest}`);
}

/**
 * Everything in the cache, fetched when it is not there. A folder takes its name only when it is whole, so a fetch that
 * was cut off is begun anew; two at once do no harm.
 * @throws {LocalProblem} when Maven, tar or xz is missing (3), or when Maven could not fetch (1)
 */
export async function install(): Promise<Installed> {
  const kind = platform();
  const cache = cacheFolder();
  const folder = installFolder();
  const complete = join(folder, 'complete');
  if (!existsSync(complete)) {
    mkdirSync(cache, { recursive: true, mode: 0o755 });
    const making = mkdtempSync(join(cache, 'making-'));
    try {
      await fetchInto(making, kind);
      place(making, folder);
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
  }
  const jars = readdirSync(join(folder, 'jars')).sort();
  return {
    folder,
    classpath: jars.map((jar) => join(folder, 'jars', jar)).join(':'),
    postgresBin: join(folder, 'postgres', 'bin'),
  };
}

/** Gives a whole folder its name. One that stands there without the mark was spoilt by hand, and makes room. */
function place(made: string, folder: string): void {
  try {
    renameSync(made, folder);
  } catch (error) {
    if (existsSync(join(folder, 'complete'))) return; // Another run was faster.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    rmSync(folder, { recursive: true });
    renameSync(made, folder);
  }
}

async function fetchInto(folder: string, kind: string): Promise<void> {
  const jars = join(folder, 'jars');
  const postgres = join(folder, 'postgres');
  mkdirSync(postgres);
  process.stderr.write('Fetching Apache Kafka and PostgreSQL with Maven, once (60 MB).\n');
  // A copy, because Maven writes beside the file that it is given.
  const own = join(folder, 'pom.xml');
  copyFileSync(pom, own);
  const maven = [
    '--batch-mode',
    '--quiet',
    '--strict-checksums',
    '--file',
    own,
    `-Dpostgres.platform=${kind}`,
    `-DoutputDirectory=${jars}`,
  ];
  const help =
    'Install Maven (Debian: apt-get install maven), or Docker, or give EDUK_KAFKA_BROKERS and EDUK_DATABASE_URL.';
  await system('mvn', [...maven, 'dependency:copy-dependencies'], help, 'Fetching Kafka and PostgreSQL');
  const unpack = [
    ...maven.slice(0, -1),
    `-DoutputDirectory=${postgres}`,
    '-DincludeGroupIds=io.zonky.test.postgres',
    '-Dmdep.unpack.includes=*.txz',
  ];
  await system('mvn', [...unpack, 'dependency:unpack-dependencies'], help, 'Unpacking PostgreSQL');
  const [archive] = readdirSync(postgres).filter((name) => name.endsWith('.txz'));
  if (!archive) throw new LocalProblem('What Maven brought holds no archive of PostgreSQL.');
  const tools = 'Install them (Debian: apt-get install tar xz-utils).';
  await system('tar', ['-xJf', join(postgres, archive), '-C', postgres], tools, 'Unpacking PostgreSQL with tar and xz');
  rmSync(join(postgres, archive));
  rmSync(join(folder, 'target'), { recursive: true, force: true });
  for (const jar of readdirSync(jars)) if (jar.startsWith('embedded-postgres')) rmSync(join(jars, jar));
  // PostgreSQL runs under another id than ours when we are root; whatever our umask is, it must be able to read itself.
  await system('chmod', ['-R', 'a+rX', folder], '', 'Opening the folder');
  writeFileSync(join(folder, 'complete'), `${new Date().toISOString()}\n`);
}
