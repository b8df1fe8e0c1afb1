/** PostgreSQL on loopback, durable as in earnest, with a database for the state and one for the vault. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { install } from './install.ts';
import { freePorts, isFree } from './ports.ts';
import { LocalProblem } from './problem.ts';
import { awaitEarlierRun, type Server, serverOf } from './process.ts';

const run = promisify(execFile);

/**
 * How PostgreSQL is to end. `smart`: when the last client has left, but after 6 s at once. `fast`: its transactions are
 * rolled back. `immediate`: it writes nothing more, and repairs itself at the next start. `kill`: all its processes by
 * SIGKILL, as when the machine dies.
 */
export type PostgresStop = 'smart' | 'fast' | 'immediate' | 'kill';

export interface LocalPostgres {
  /** Database of the state, with the password. Stays the same over stops and starts. */
  url: string;
  /** Database of the vault, with the password. */
  vaultUrl: string;
  /** Of the process that the others belong to; undefined = it is down. */
  readonly pid: number | undefined;
  /** Resolves when all its processes are gone. What it keeps stays. Default: `fast`. */
  stop(mode?: PostgresStop): Promise<void>;
  /** Starts it again on the same port and data; resolves when it serves. */
  start(): Promise<void>;
  /** Freezes all its processes (SIGSTOP). One that is begun before `resume` does not answer either: only they begin any. */
  pause(): void;
  resume(): void;
}

const SIGNALS: Readonly<Record<PostgresStop, NodeJS.Signals>> = {
  smart: 'SIGTERM',
  fast: 'SIGINT',
  immediate: 'SIGQUIT',
  kill: 'SIGKILL',
};
const DATABASES = ['eduk', 'eduk_vault'];

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // Statements here are short; compiling them takes longer than running them.
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Files of its own folder, so that a kill leaves nothing in the memory of the system.
  dynamic_shared_memory_type: 'mmap',
  log_line_prefix: '%m [%p] ',
  // A value of a statement has no place in a log.
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_min_error_statement: 'panic',
};

/** PostgreSQL refuses to run as root; then it runs as the user that owns nothing. */
async function unprivileged(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string) => Number((await run('id', [flag, 'nobody'])).stdout);
  return Promise.all([id('-u'), id('-g')]).then(
    ([uid, gid]) => ({ uid, gid }),
    () => ({ uid: 65_534, gid: 65_534 }),
  );
}

/**
 * Lets the user pass to the folder. Ours are opened for passing, not for reading; others are left as they are.
 * @throws {LocalProblem} naming the folder that cannot be passed
 */
function letPass(folder: string, from: string, uid: number): void {
  for (let at = realpathSync(folder); ; at = dirname(at)) {
    const { mode, uid: owner } = statSync(at);
    if (!(mode & 0o001) && owner !== uid) {
      if (!at.startsWith(from))
        throw new LocalProblem(
          `PostgreSQL does not run as root but as user ${uid}, which may not pass ${at}. Give a folder elsewhere, or let it: chmod o+x ${at}`,
        );
      chmodSync(at, mode | 0o001);
    }
    if (at === dirname(at)) return;
  }
}

/** Kept as `<folder>/postgres/server.json`. */
interface Settled {
  port: number;
  password: string;
}

/** Port and password of the folder; drawn when there are none, the port also when another has taken it. */
async function settle(top: string): Promise<Settled> {
  const file = join(top, 'server.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Settled) : undefined;
  if (before && (await isFree(before.port))) return before;
  const [port] = await freePorts(1);
  const settled = { port: port!, password: before?.password ?? randomBytes(18).toString('base64url') };
  writeFileSync(`${file}.new`, JSON.stringify(settled), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return settled;
}

/** Lays the data folder out under a name of its own; it takes its real name when it is whole. */
async function layOut(bin: string, data: string, password: string, user: { uid: number; gid: number } | undefined) {
  const making = `${data}.new`;
  const secret = `${data}.password`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { mode: 0o700 });
  writeFileSync(secret, password, { mode: 0o600 });
  if (user) for (const path of [making, secret]) chownSync(path, user.uid, user.gid);
  const args = ['-D', making, '-U', 'eduk', `--pwfile=${secret}`, '--auth=scram-sha-256', '-E', 'UTF8', '--locale=C'];
  try {
    await run(join(bin, 'initdb'), args, { cwd: making, ...user });
  } catch (error) {
    throw new LocalProblem(`PostgreSQL could not lay out ${making}: ${(error as Error).message}`);
  } finally {
    rmSync(secret, { force: true });
  }
  renameSync(making, data);
}

/**
 * Starts PostgreSQL on `<folder>/postgres`; resolves when it serves and has both databases. Started on the same folder
 * again it has its rows, its password, and its port when that is free.
 * @throws {LocalProblem} 3 = Maven is missing, 1 = it may not reach the folder, or did not start
 */
export async function startPostgres(options: { folder: string }): Promise<LocalPostgres> {
  const { postgresBin: bin } = await install();
  mkdirSync(options.folder, { recursive: true });
  const folder = realpathSync(resolve(options.folder));
  const top = join(folder, 'postgres');
  const data = join(top, 'data');
  const log = join(top, 'output.log');
  mkdirSync(top, { recursive: true });
  const user = await unprivileged();
  if (user) {
    letPass(top, folder, user.uid);
    letPass(bin, bin, user.uid);
  }
  await awaitEarlierRun(top, 'PostgreSQL');
  const { port, password } = await settle(top);
  if (!existsSync(data)) await layOut(bin, data, password, user);
  const settings = Object.entries({ ...SETTINGS, port: String(port) }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const pidFile = join(data, 'postmaster.pid');
  const server: Server = serverOf({
    name: 'PostgreSQL',
    command: join(bin, 'postgres'),
    args: () => ['-D', data, ...settings],
    folder: top,
    user,
    // The eighth line says how it is; the first, of which process.
    isReady: (pid) => {
      const lines = existsSync(pidFile) ? readFileSync(pidFile, 'utf8').split('\n') : [];
      return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
    },
    log,
    signals: { end: 'SIGINT', endNow: 'SIGQUIT' },
    startTimeoutMs: 120_000,
  });
  const url = (database: string) => `postgres://eduk:${password}@127.0.0.1:${port}/${database}`;
  await server.start();
  try {
    await createDatabases(url('postgres'));
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    url: url('eduk'),
    vaultUrl: url('eduk_vault'),
    get pid() {
      return server.pid;
    },
    start: () => server.start(),
    stop: (mode = 'fast') => server.stop(SIGNALS[mode]),
    pause: () => server.pause(),
    resume: () => server.resume(),
  };
}

async function createDatabases(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ datname: string }>('select datname from pg_database');
    const there = new Set(rows.map(({ datname }) => datname));
    for (const name of DATABASES) if (!there.has(name)) await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
}
