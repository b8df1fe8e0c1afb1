/**
 * A gateway of the suite's own, as processes whose every word is kept: embedded in one, or distributed over roles, with
 * taps on all ways between them and to their servers.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { freePorts, startKafka, startPostgres } from '#deploy/local';
import { type StandInProvider, startProvider } from '../chain/provider.ts';
import { type Collector, startCollector } from './collector.ts';

export const cli = join(import.meta.dirname, '../../services/cli/eduk.js');
const ROLES = ['door', 'core', 'delivery', 'watch', 'vault'] as const;
const READY_MS = 120_000;
const END_MS = 12_000;

/** What passed a way, each direction of each connection as one. */
export interface Tapped {
  name: string;
  pieces(): Buffer[];
}

export interface Subject {
  engine: 'embedded' | 'distributed';
  /** `host:port` */
  grpc: string;
  /** `http://host:port` */
  http: string;
  operatorKey: string;
  /** Where persons of the operator sign in. */
  provider: StandInProvider;
  /** Where its traces and metrics are told. */
  collector: Collector;
  /** `host:port` of the operator's console. */
  console: string;
  /** Addresses of health and metrics. */
  internal: string[];
  /** Settings with which the command line finds it. */
  env: Record<string, string>;
  pids(): { name: string; pid: number }[];
  /** All that its processes wrote to standard output and error. */
  said(): { name: string; bytes: Buffer }[];
  /** Ways on which identity may not pass, and the one to the vault, on which it must. */
  taps: Tapped[];
  toVault?: Tapped;
  /** What rests: of the gateway, and of its servers. */
  folders: { place: string; path: string }[];
  servers?: { brokers: string[]; databases: { place: string; url: string }[]; kafkaData: string };
  /** Whether a process ended that nobody ended. */
  died(): string[];
  /** Ends the gateway's processes, as an operator does; the servers go on. */
  end(): Promise<void>;
  /** Ends all that is left, and removes what was kept. */
  stop(): Promise<void>;
}

/** A way through that keeps all that passes. */
class Tap implements Tapped {
  readonly name: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #heard: Buffer[][] = [];
  readonly #to: () => number;

  private constructor(name: string, server: Server, to: () => number) {
    this.name = name;
    this.#server = server;
    this.#to = to;
  }

  static async open(name: string, to: () => number): Promise<Tap> {
    const server = createServer();
    const tap = new Tap(name, server, to);
    server.on('connection', (socket) => tap.#join(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return tap;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  pieces(): Buffer[] {
    return this.#heard.map((parts) => Buffer.concat(parts));
  }

  #join(client: Socket): void {
    const server = new Socket();
    server.connect(this.#to(), '127.0.0.1');
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const heard: Buffer[] = [];
      this.#heard.push(heard);
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => heard.push(bytes));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** One process of the gateway. */
class Program {
  readonly name: string;
  readonly env: Record<string, string>;
  readonly child: ChildProcess;
  readonly words: Buffer[] = [];
  /** The line that says where it is. */
  readonly ready: Promise<string>;
  #isEnding = false;

  constructor(name: string, args: readonly string[], env: Record<string, string>, folder: string) {
    this.name = name;
    this.env = env;
    const own = Object.fromEntries(
      Object.entries(process.env).filter(([one]) => !/^EDUK_|^NODE_OPTIONS$|^VITEST/.test(one)),
    );
    this.child = spawn(process.execPath, [cli, 'start', ...args], {
      // Files that a program leaves where it runs, or among temporary ones, are looked at too.
      cwd: folder,
      env: { ...own, EDUK_LOG: 'debug', GRPC_VERBOSITY: 'DEBUG', TMPDIR: join(folder, 'tmp'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stderr!.on('data', (bytes: Buffer) => this.words.push(bytes));
    let said = '';
    this.ready = new Promise((resolve, reject) => {
      this.child.stdout!.on('data', (bytes: Buffer) => {
        this.words.push(bytes);
        said += bytes.toString();
        const line = /^ready .*$/m.exec(said);
        if (line) resolve(line[0]);
      });
      this.child.once('exit', () =>
        reject(new Error(`${name} ended: ${Buffer.concat(this.words).toString().slice(-2000)}`)),
      );
    });
    this.ready.catch(() => undefined);
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  get died(): boolean {
    return !this.#isEnding && !this.isRunning;
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    if (!this.isRunning) return;
    const gone = once(this.child, 'close');
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), END_MS);
    await gone;
    clearTimeout(late);
  }
}

export interface Setup {
  /** A leak of plants.ts, put into the processes as they load. */
  plant?: string | undefined;
  /** A folder in which processes of several runs keep what they compiled, so that each later one starts with half the work. */
  compiled?: string | undefined;
}

const nodeOf = ({ plant, compiled }: Setup): Record<string, string> => ({
  ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }),
  ...(plant === undefined
    ? {}
    : {
        NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, 'plants.ts')).href}`,
        CANARY_PLANT: plant,
      }),
});
/** The command line has no leak of its own. */
const commandsOf = ({ compiled }: Setup): Record<string, string> => nodeOf({ compiled });

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-canary-'));
  mkdirSync(join(folder, 'tmp'));
  mkdirSync(join(folder, 'backups'), { mode: 0o700 });
  // Whom PostgreSQL runs as, where root starts it, must pass through.
  chmodSync(folder, 0o711);
  return folder;
}

const subjectOf = (programs: readonly Program[]): Pick<Subject, 'pids' | 'said' | 'died'> => ({
  pids: () =>
    programs.flatMap(({ name, child, isRunning }) => (isRunning && child.pid ? [{ name, pid: child.pid }] : [])),
  said: () => programs.map(({ name, words }) => ({ name, bytes: Buffer.concat(words) })),
  died: () => programs.filter(({ died }) => died).map(({ name }) => name),
});

const operatorKeyIn = (data: string): string => readFileSync(join(data, 'operator.key'), 'utf8').trim();

/** Administrations that are asked for rosters; the suite puts one there. */
const administrations = (folder: string): Record<string, string> => ({
  EDUK_ADMINISTRATIONS: join(folder, 'administrations'),
});

/** Pages for persons of schools, whose provider nobody answers for: what is sent to their addresses must not stay anywhere either. */
function signIn(folder: string): Record<string, string> {
  const secret = join(folder, 'sign-in.secret');
  writeFileSync(secret, 'of nobody', { mode: 0o600 });
  return {
    EDUK_SIGNIN_ISSUER: 'http://127.0.0.1:9',
    EDUK_SIGNIN_CLIENT_ID: 'eduk',
    EDUK_SIGNIN_CLIENT_SECRET_FILE: secret,
  };
}

/** Persons of the operator, by their roles. */
const operators = ({ issuer }: StandInProvider): Record<string, string> => ({
  EDUK_OIDC_ISSUER: issuer,
  EDUK_OIDC_AUDIENCE: 'eduk',
  EDUK_OIDC_ROLES: 'operator=admins,privacy=officers,read=helpdesk',
});

export async function startEmbedded(setup: Setup = {}): Promise<Subject> {
  const folder = newFolder();
  const data = join(folder, 'data');
  const env = { EDUK_DATA: data, EDUK_BACKUPS: join(folder, 'backups') };
  const [console] = await freePorts(1);
  const provider = await startProvider();
  const collector = await startCollector();
  const program = new Program(
    'gateway',
    [],
    {
      ...env,
      EDUK_GRPC: '127.0.0.1:0',
      EDUK_HTTP: '127.0.0.1:0',
      EDUK_CONSOLE: `127.0.0.1:${console}`,
      ...signIn(folder),
      ...operators(provider),
      ...administrations(folder),
      ...collector.env,
      ...nodeOf(setup),
    },
    folder,
  );
  const stop = async (): Promise<void> => {
    await program.end();
    provider.stop();
    collector.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const [, grpc, http] = /^ready grpc=(\S+) http=(\S+)/.exec(await program.ready)!;
    return {
      engine: 'embedded',
      grpc: grpc!,
      http: `http://${http}`,
      operatorKey: operatorKeyIn(data),
      provider,
      collector,
      console: `127.0.0.1:${console}`,
      internal: [`http://${http}`, `http://127.0.0.1:${console}`],
      env: { ...env, ...commandsOf(setup) },
      ...subjectOf([program]),
      taps: [],
      folders: [
        { place: 'files of the gateway', path: folder },
        { place: 'backups', path: join(folder, 'backups') },
      ],
      end: () => program.end(),
      stop,
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

const portOf = (address: string): number => Number(/:(\d+)$/.exec(address)![1]);

/** Needs Java and Maven, or what they brought before. */
export async function startDistributed(setup: Setup = {}): Promise<Subject> {
  const folder = newFolder();
  const opened: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    const servers = join(folder, 'servers');
    mkdirSync(servers, { mode: 0o711 });
    let brokerPort = 0;
    const tap = async (name: string, to: () => number): Promise<Tap> => {
      const made = await Tap.open(name, to);
      opened.push(() => made.close());
      return made;
    };
    const toBroker = await tap('the wire to Kafka', () => brokerPort);
    const provider = await startProvider();
    opened.push(() => provider.stop());
    const collector = await startCollector();
    opened.push(() => collector.stop());
    const postgres = await startPostgres({ folder: servers });
    opened.push(() => postgres.stop());
    const kafka = await startKafka({ folder: servers, advertised: [toBroker.port] });
    opened.push(() => kafka.stop());
    brokerPort = portOf(kafka.nodes[0]!.broker);
    const databasePort = Number(new URL(postgres.url).port);
    const toState = await tap('the wire to the database of the state', () => databasePort);
    const toVaultRows = await tap('the wire to the database of the vault', () => databasePort);
    const through = (url: string, { port }: Tap): string => {
      const changed = new URL(url);
      changed.port = String(port);
      return changed.href;
    };
    const ports = await freePorts(4 + ROLES.length + 3);
    const next = (): string => `127.0.0.1:${ports.pop()!}`;
    const inner = { core: next(), delivery: next(), watch: next(), vault: next() };
    const wires = Object.fromEntries(
      await Promise.all(
        Object.entries(inner).map(async ([role, address]) => [
          role,
          await tap(`the wire to the role ${role}`, () => portOf(address)),
        ]),
      ),
    ) as Record<keyof typeof inner, Tap>;
    const [grpc, http, console] = [next(), next(), next()];
    const data = join(folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    const state = { EDUK_DATABASE_URL: through(postgres.url, toState) };
    const engine = { ...state, EDUK_KAFKA_BROKERS: toBroker.address };
    const vault = { EDUK_VAULT_DATABASE_URL: through(postgres.vaultUrl, toVaultRows) };
    const needs = {
      door: { ...state, ...signIn(folder), ...operators(provider), ...administrations(folder), ...collector.env },
      core: engine,
      delivery: { ...engine, ...administrations(folder), ...collector.env },
      watch: engine,
      vault,
    };
    const shared = {
      EDUK_ENGINE: 'kafka',
      EDUK_DATA: data,
      EDUK_GRPC: grpc,
      EDUK_HTTP: http,
      EDUK_CONSOLE: console,
      EDUK_PUBLIC_URL: `http://${http}`,
      EDUK_CORE: wires.core.address,
      EDUK_DELIVERY: wires.delivery.address,
      EDUK_WATCH: wires.watch.address,
      EDUK_VAULT: wires.vault.address,
    };
    const programs = ROLES.map((role) => {
      const own = { EDUK_INTERNAL: next(), ...(role === 'door' ? {} : { EDUK_INNER: inner[role] }) };
      const program = new Program(role, [role], { ...shared, ...needs[role], ...own, ...nodeOf(setup) }, folder);
      opened.push(() => program.end());
      return program;
    });
    const late = sleep(READY_MS, undefined, { ref: false }).then(() => {
      throw new Error('the roles were not ready in time');
    });
    await Promise.race([Promise.all(programs.map(({ ready }) => ready)), late]);
    return {
      engine: 'distributed',
      grpc,
      http: `http://${http}`,
      operatorKey: operatorKeyIn(data),
      provider,
      collector,
      console,
      internal: programs.map(({ env }) => `http://${env['EDUK_INTERNAL']}`),
      env: {
        EDUK_ENGINE: 'kafka',
        EDUK_DATA: data,
        EDUK_BACKUPS: join(folder, 'backups'),
        EDUK_DATABASE_URL: postgres.url,
        EDUK_VAULT_DATABASE_URL: postgres.vaultUrl,
        EDUK_KAFKA_BROKERS: kafka.brokers.join(','),
        ...commandsOf(setup),
      },
      ...subjectOf(programs),
      pids: () => [
        ...subjectOf(programs).pids(),
        ...kafka.nodes.flatMap(({ pid }) => (pid ? [{ name: 'Kafka', pid }] : [])),
        ...(postgres.pid ? [{ name: 'PostgreSQL', pid: postgres.pid }] : []),
      ],
      taps: [toBroker, toState, toVaultRows, wires.core, wires.delivery, wires.watch],
      toVault: wires.vault,
      folders: [
        { place: 'files of the gateway', path: folder },
        { place: 'backups', path: join(folder, 'backups') },
        { place: 'files of Kafka and PostgreSQL', path: servers },
      ],
      servers: {
        brokers: kafka.brokers,
        databases: [
          { place: 'rows of the state', url: postgres.url },
          { place: 'rows of the vault', url: postgres.vaultUrl },
        ],
        kafkaData: join(servers, 'kafka'),
      },
      async end() {
        // Doors first: what they owe still needs the others.
        await programs[0]!.end();
        await Promise.all(programs.slice(1).map((program) => program.end()));
      },
      stop,
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}
