/**
 * A gateway as it runs in earnest, on this machine: brokers, a database, and processes of every role, with ways between
 * them that can be made bad. Who dies is started again, as an orchestrator does.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  createWriteStream,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  type WriteStream,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts, type LocalKafka, type LocalPostgres, startKafka, startPostgres } from '#deploy/local';
import { Way } from './way.ts';

const cli = join(import.meta.dirname, '../../services/cli/eduk.js');

export const ROLES = ['door', 'core', 'delivery', 'watch', 'vault'] as const;
export type Role = (typeof ROLES)[number];

export interface ClusterOptions {
  /** Of the cluster alone; made when it is not there. */
  folder: string;
  nodes: 1 | 3;
  /** Processes of each role. */
  replicas: number;
  /** Servers on file systems of their own that can be filled. Only root may make them. */
  small: boolean;
}

/** Between the end of a process and its next start. */
const AGAIN_MS = 200;
const READY_MS = 120_000;
/** How much a server may keep where its disk can be filled. */
const SMALL = '3g';

/** One process of a role, and its successors at the same addresses. */
export class Replica {
  readonly name: string;
  readonly role: Role;
  readonly env: Readonly<Record<string, string>>;
  readonly clockFile: string;
  #child: ChildProcess | undefined;
  #isWanted = false;
  starts = 0;
  /** The last that it said on standard error. */
  words: string[] = [];
  /** Ended without having been told to by the run. */
  surprises = 0;
  #killed = new WeakSet<ChildProcess>();
  /** All that it said, beside its clock: for whoever looks why a run was not clean. */
  readonly #log: WriteStream;

  constructor(name: string, role: Role, env: Record<string, string>, clockFile: string) {
    this.name = name;
    this.role = role;
    this.env = env;
    this.clockFile = clockFile;
    this.#log = createWriteStream(join(dirname(clockFile), `${name}.log`), { flags: 'a' });
    // It goes with its folder.
    this.#log.on('error', () => undefined);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    this.#isWanted = true;
    this.starts += 1;
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
    const child = spawn(
      process.execPath,
      ['--import', join(import.meta.dirname, 'clock.js'), cli, 'start', this.role],
      {
        env: { ...own, ...this.env, CHAOS_CLOCK: this.clockFile },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        detached: true,
      },
    );
    this.#child = child;
    child.stdout!.resume();
    createInterface({ input: child.stderr! }).on('line', (line) => {
      this.#log.write(`${line}\n`);
      this.words.push(line);
      if (this.words.length > 2000) this.words.splice(0, 1000);
    });
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.#child = undefined;
      if (!this.#isWanted) return;
      if (!this.#killed.has(child)) {
        this.surprises += 1;
        this.words.push(`(ended by itself: ${signal ?? `status ${code}`})`);
      }
      setTimeout(() => this.#isWanted && this.#child === undefined && this.start(), AGAIN_MS);
    });
  }

  signal(signal: NodeJS.Signals): void {
    const child = this.#child;
    if (child === undefined) return;
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#killed.add(child);
    child.kill(signal);
  }

  /** Its time of day is wrong by so many milliseconds, until it is started again. */
  jump(ms: number): void {
    writeFileSync(this.clockFile, String(ms));
    this.signal('SIGUSR2');
  }

  /** Whether it says that it is ready. */
  async isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://${this.env['EDUK_INTERNAL']}/readyz`, { signal: AbortSignal.timeout(2_000) });
      await answer.arrayBuffer();
      return answer.status === 200;
    } catch {
      return false; // Not there yet, or not any more.
    }
  }

  async end(): Promise<void> {
    this.#isWanted = false;
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(late);
  }
}

export interface Cluster {
  kafka: LocalKafka;
  postgres: LocalPostgres;
  /** In front of each broker, and in front of the database. */
  toBrokers: Way[];
  toDatabase: Way;
  replicas: Replica[];
  /** `host:port` of gRPC, one for each door. */
  doors: string[];
  operatorKey(): string;
  /** Where the disk of a server can be filled; absent where it cannot. */
  disks?: { broker: string; database: string };
  /** Resolves when all replicas say that they are ready; false after `ms`. */
  ready(ms: number): Promise<boolean>;
  stop(): Promise<void>;
}

const portOf = (address: string): number => Number(/:(\d+)$/.exec(address)![1]);

/** Whether this process may mount what `small` needs. */
export function mayMount(folder: string): boolean {
  const at = join(folder, 'mount');
  mkdirSync(at, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', at], { stdio: 'ignore' });
    execFileSync('umount', [at], { stdio: 'ignore' });
    return true;
  } catch {
    return false; // Not root, or a machine that lets nobody mount.
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}

export async function startCluster({ folder, nodes, replicas: count, small }: ClusterOptions): Promise<Cluster> {
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  chmodSync(folder, 0o711);
  const opened: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const one of opened.splice(0).reverse()) await one();
  };
  try {
    return await compose();
  } catch (thrown) {
    await close();
    throw thrown;
  }

  async function compose(): Promise<Cluster> {
    const disks = { broker: join(folder, 'kafka'), database: join(folder, 'postgres') };
    if (small)
      for (const at of Object.values(disks)) {
        mkdirSync(at, { recursive: true });
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL},mode=755`, 'none', at]);
        opened.push(() => execFileSync('umount', ['-l', at]));
      }
    // Clients are told the proxies' addresses by the brokers, so these are opened first, and learn where to lead after.
    const toBrokers = await Promise.all(Array.from({ length: nodes }, () => Way.open(0)));
    opened.push(() => Promise.all(toBrokers.map((way) => way.close())));
    const postgres = await startPostgres({ folder });
    opened.push(() => postgres.stop());
    const kafka = await startKafka({ folder, nodes, advertised: toBrokers.map(({ port }) => port) });
    opened.push(() => kafka.stop());
    for (const [i, { broker }] of kafka.nodes.entries()) toBrokers[i]!.leadTo(portOf(broker));
    const toDatabase = await Way.open(Number(new URL(postgres.url).port));
    opened.push(() => toDatabase.close());
    const through = (url: string): string => {
      const changed = new URL(url);
      changed.port = String(toDatabase.port);
      return changed.href;
    };

    const data = join(folder, 'data');
    mkdirSync(data, { recursive: true, mode: 0o700 });
    const ports = await freePorts(ROLES.length * count + 2 * count + ROLES.length * count);
    const next = (): string => `127.0.0.1:${ports.pop()!}`;
    const places = Object.fromEntries(ROLES.map((role) => [role, Array.from({ length: count }, next)])) as Record<
      Role,
      string[]
    >;
    const doors = Array.from({ length: count }, () => ({ grpc: next(), http: next() }));
    const shared = {
      EDUK_ENGINE: 'kafka',
      EDUK_DATA: data,
      EDUK_HTTP: doors[0]!.http,
      EDUK_GRPC: doors[0]!.grpc,
      EDUK_CONSOLE: '127.0.0.1:0',
      EDUK_PUBLIC_URL: `http://${doors[0]!.http}`,
      EDUK_CORE: places.core.join(','),
      EDUK_DELIVERY: places.delivery.join(','),
      EDUK_WATCH: places.watch.join(','),
      EDUK_VAULT: places.vault.join(','),
    };
    const state = { EDUK_DATABASE_URL: through(postgres.url) };
    const engine = { ...state, EDUK_KAFKA_BROKERS: toBrokers.map(({ port }) => `127.0.0.1:${port}`).join(',') };
    const needs: Record<Role, Record<string, string>> = {
      door: state,
      core: engine,
      delivery: engine,
      watch: engine,
      vault: { EDUK_VAULT_DATABASE_URL: through(postgres.vaultUrl) },
    };
    const replicas = ROLES.flatMap((role) =>
      Array.from({ length: count }, (_, i) => {
        const own: Record<string, string> = { EDUK_INTERNAL: next() };
        if (role !== 'door') own['EDUK_INNER'] = places[role][i]!;
        else if (i > 0)
          Object.assign(own, {
            EDUK_GRPC: doors[i]!.grpc,
            EDUK_HTTP: doors[i]!.http,
            EDUK_DATA: join(data, `door-${i + 1}`),
            EDUK_OPERATOR_KEY_FILE: join(data, 'operator.key'),
            EDUK_INNER_KEY_FILE: join(data, 'inner.key'),
          });
        const name = `${role}-${i + 1}`;
        return new Replica(name, role, { ...shared, ...needs[role], ...own }, join(folder, `${name}.clock`));
      }),
    );
    opened.push(() => Promise.all(replicas.map((replica) => replica.end())));
    const ready = async (ms: number): Promise<boolean> => {
      for (const until = performance.now() + ms; performance.now() < until; await sleep(100))
        if ((await Promise.all(replicas.map((replica) => replica.isReady()))).every(Boolean)) return true;
      return false;
    };
    // The first door makes the keys that all share.
    for (const replica of replicas) if (replica.role !== 'door' || replica.name === 'door-1') replica.start();
    const [first, ...others] = replicas.filter(({ role }) => role === 'door');
    for (const until = performance.now() + READY_MS; !(await first!.isReady()); await sleep(100))
      if (performance.now() > until)
        throw new Error(
          `the gateway was not ready: ${replicas.flatMap(({ name, words }) => words.slice(-3).map((line) => `${name}: ${line}`)).join('\n')}`,
        );
    for (const door of others) door.start();
    if (!(await ready(READY_MS))) throw new Error('not all roles were ready');

    return {
      kafka,
      postgres,
      toBrokers,
      toDatabase,
      replicas,
      doors: doors.map(({ grpc }) => grpc),
      operatorKey: () => readFileSync(join(data, 'operator.key'), 'utf8').trim(),
      ...(small ? { disks } : {}),
      ready,
      stop: close,
    };
  }
}

/** Takes all the room that there is; the answer gives it back. */
export function fill(disk: string): () => void {
  const file = join(disk, 'full');
  const room = openSync(file, 'w');
  // Large pieces first, then small ones, so that nothing is left.
  for (const size of [1 << 24, 1 << 16, 1 << 12, 1]) {
    const piece = Buffer.alloc(size);
    try {
      while (writeSync(room, piece) === size);
    } catch {
      // Full, which was the aim.
    }
  }
  closeSync(room);
  return () => rmSync(file, { force: true });
}
