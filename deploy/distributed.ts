/**
 * `npm run start:distributed`: the whole gateway on Kafka and PostgreSQL on this machine, in the foreground. Starts both
 * (or takes those that the settings name), then one process for each role, and starts again whichever dies. For
 * developing, tests and trying out; in earnest an orchestrator does this.
 *
 * `--brokers 3`: three brokers instead of one. `--replicas core=2,door=2`: more than one process of a role.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePorts, LocalProblem, localInfrastructure } from '#deploy/local';

/** In the order in which they are ended: doors first, because what they owe still needs the others. */
const ROLES = ['door', 'core', 'delivery', 'watch', 'vault'] as const;
type Role = (typeof ROLES)[number];

/** Between the end of a process and its next start, milliseconds: first, and at most. */
const BACKOFF_MS = [200, 10_000] as const;
/** Who ran so long before it ended starts again at once. */
const WELL_MS = 30_000;
/** Times that a process may end before it ever was ready. */
const STARTS = 3;
/** How long doors, then the others, get to end by themselves. */
const END_MS = { door: 3_000, others: 2_500 };

const data = process.env['EDUK_DATA'] || '.eduk-distributed';
const cli = join(import.meta.dirname, '../services/cli/eduk.js');
let stopping = false;

/** One process of a role, and its successors. */
class Runner {
  readonly name: string;
  readonly role: Role;
  readonly env: Record<string, string>;
  /** Resolves with what the first of them printed when it was ready; rejects when none gets there. */
  readonly ready: Promise<string>;
  #child: ChildProcess | undefined;
  #said: (line: string) => void = () => undefined;
  #gaveUp: (problem: LocalProblem) => void = () => undefined;
  #isReady = false;
  #failures = 0;
  #backoffMs: number = BACKOFF_MS[0];
  #ended: Promise<unknown> = Promise.resolve();
  readonly #changed: () => void;

  constructor(name: string, role: Role, env: Record<string, string>, changed: () => void) {
    this.name = name;
    this.role = role;
    this.env = env;
    this.#changed = changed;
    this.ready = new Promise((resolve, reject) => {
      this.#said = resolve;
      this.#gaveUp = reject;
    });
    // Whoever waits for another is told of it by that one.
    this.ready.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    if (stopping) return;
    const began = performance.now();
    // A group of its own: what the terminal sends comes to us alone. The channel tells it when we are gone.
    const child = spawn(process.execPath, [cli, 'start', this.role], {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    this.#child = child;
    this.#changed();
    createInterface(child.stdout!).on('line', (line) => {
      if (!line.startsWith('ready ')) return;
      this.#isReady = true;
      this.#said(line);
    });
    createInterface(child.stderr!).on('line', (line) => process.stderr.write(`${this.name}: ${line}\n`));
    this.#ended = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        resolve();
        if (stopping) return;
        if (performance.now() - began > WELL_MS) this.#backoffMs = BACKOFF_MS[0];
        // What never ran does not begin to: a port that is taken, a setting that is wrong.
        if (!this.#isReady && code !== 0 && ++this.#failures >= STARTS) {
          this.#gaveUp(new LocalProblem(`${this.name} does not start; what it said stands above.`, 1));
          return;
        }
        const wait = this.#backoffMs;
        this.#backoffMs = Math.min(BACKOFF_MS[1], wait * 2);
        process.stderr.write(
          `${this.name} ended (${signal ?? `status ${code}`}); it is started again in ${(wait / 1000).toFixed(1)} s\n`,
        );
        setTimeout(() => this.start(), wait);
      });
    });
  }

  /** Ends it within `ms`. */
  async end(ms: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), ms);
    await this.#ended;
    clearTimeout(late);
  }
}

function asked(): { brokers: 1 | 3; replicas: Record<Role, number> } {
  const replicas = Object.fromEntries(ROLES.map((role) => [role, 1])) as Record<Role, number>;
  try {
    const { values } = parseArgs({
      options: { brokers: { type: 'string', default: '1' }, replicas: { type: 'string', default: '' } },
    });
    for (const one of values.replicas === '' ? [] : values.replicas.split(',')) {
      const [, role, count] = /^([a-z]+)=([1-9]\d?)$/.exec(one) ?? [];
      if (!(ROLES as readonly string[]).includes(role ?? '')) throw new Error();
      replicas[role as Role] = Number(count);
    }
    if (values.brokers === '1' || values.brokers === '3') return { brokers: values.brokers === '3' ? 3 : 1, replicas };
  } catch {
    // An option that there is not: the same answer.
  }
  throw new LocalProblem('Use: npm run start:distributed [-- --brokers 1|3] [--replicas ROLE=N,…]', 2);
}

/** The port 0 of a setting becomes a free one, because other processes must know it. */
async function addressOf(setting: string, standard: string): Promise<string> {
  const address = process.env[setting] || standard;
  return address.endsWith(':0') ? `127.0.0.1:${(await freePorts(1))[0]}` : address;
}

async function main(): Promise<void> {
  const { brokers: nodes, replicas } = asked();
  const told = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
      process.on(signal, () => {
        stopping = true;
        resolve();
      });
  });
  mkdirSync(data, { recursive: true, mode: 0o700 });
  // PostgreSQL does not run as root: whom it runs as must pass through, and no more.
  if (process.getuid?.() === 0) chmodSync(data, 0o711);
  const { brokers, databaseUrl, vaultUrl, origin, stop } = await localInfrastructure({
    folder: join(data, 'servers'),
    nodes,
  });
  const runners: Runner[] = [];
  const servers = join(data, 'servers.json');
  const settings = join(data, 'settings.sh');
  // Made anew, so that their mode is what we say.
  for (const file of [servers, settings]) rmSync(file, { force: true });
  try {
    if (stopping) return;
    // There is a password in it. For whoever looks into what the gateway keeps, as the demo does.
    writeFileSync(servers, `${JSON.stringify({ brokers, databaseUrl })}\n`, { mode: 0o600 });
    process.stderr.write(`Kafka at ${brokers.join(', ')} (${origin.kafka}), PostgreSQL (${origin.postgres})\n`);
    const places = Object.fromEntries(
      await Promise.all(
        ROLES.map(async (role) => [
          role,
          // Doors have two. Fixed for the whole run: who is started again is found where it was.
          (await freePorts(replicas[role] * (role === 'door' ? 2 : 1))).map((port) => `127.0.0.1:${port}`),
        ]),
      ),
    ) as Record<Role, string[]>;
    const internal = await freePorts(ROLES.reduce((sum, role) => sum + replicas[role], 0));
    const http = await addressOf('EDUK_HTTP', '127.0.0.1:8080');
    const shared = {
      EDUK_ENGINE: 'kafka',
      EDUK_DATA: data,
      EDUK_HTTP: http,
      EDUK_GRPC: await addressOf('EDUK_GRPC', '127.0.0.1:50051'),
      EDUK_CONSOLE: process.env['EDUK_CONSOLE'] || (http === '127.0.0.1:8080' ? '127.0.0.1:8081' : '127.0.0.1:0'),
      EDUK_PUBLIC_URL: process.env['EDUK_PUBLIC_URL'] || `http://${http}`,
      EDUK_CORE: places.core.join(','),
      EDUK_DELIVERY: places.delivery.join(','),
      EDUK_WATCH: places.watch.join(','),
      EDUK_VAULT: places.vault.join(','),
      EDUK_ADMINISTRATIONS: process.env['EDUK_ADMINISTRATIONS'] || resolve(data, 'administrations'),
    };
    if (!process.env['EDUK_ADMINISTRATIONS']) mkdirSync(shared.EDUK_ADMINISTRATIONS, { recursive: true, mode: 0o700 });
    const database = { EDUK_DATABASE_URL: databaseUrl, EDUK_VAULT_DATABASE_URL: '' };
    const needs: Record<Role, Record<string, string>> = {
      door: { ...database, EDUK_KAFKA_BROKERS: '' },
      core: { ...database, EDUK_KAFKA_BROKERS: brokers.join(',') },
      delivery: { ...database, EDUK_KAFKA_BROKERS: brokers.join(',') },
      watch: { ...database, EDUK_KAFKA_BROKERS: brokers.join(',') },
      vault: { EDUK_VAULT_DATABASE_URL: vaultUrl, EDUK_DATABASE_URL: '', EDUK_KAFKA_BROKERS: '' },
    };
    // For the shell of whoever looks after it: `. settings.sh` and then any command knows where everything is.
    const all = {
      ...shared,
      EDUK_DATA: resolve(data),
      EDUK_DATABASE_URL: databaseUrl,
      EDUK_VAULT_DATABASE_URL: vaultUrl,
      EDUK_KAFKA_BROKERS: brokers.join(','),
    };
    const lines = Object.entries(all).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`);
    writeFileSync(settings, lines.join(''), { mode: 0o600 });
    const file = join(data, 'processes.json');
    const write = () => {
      writeFileSync(
        `${file}.new`,
        `${JSON.stringify(
          runners.map(({ name, role, pid, env }) => ({
            name,
            role,
            pid: pid ?? null,
            inner: env['EDUK_INNER'] ?? null,
            internal: env['EDUK_INTERNAL'],
          })),
        )}\n`,
      );
      renameSync(`${file}.new`, file);
    };
    for (const role of ROLES)
      for (let i = 0; i < replicas[role]; i++) {
        const own: Record<string, string> = { EDUK_INTERNAL: `127.0.0.1:${internal.pop()!}` };
        if (role !== 'door') own['EDUK_INNER'] = places[role][i]!;
        // Further doors have addresses and a folder of their own, and the keys of the first.
        else if (i > 0)
          Object.assign(own, {
            EDUK_GRPC: places.door[2 * i]!,
            EDUK_HTTP: places.door[2 * i + 1]!,
            EDUK_CONSOLE: '127.0.0.1:0',
            EDUK_DATA: join(data, `door-${i + 1}`),
            EDUK_OPERATOR_KEY_FILE: join(data, 'operator.key'),
            EDUK_INNER_KEY_FILE: join(data, 'inner.key'),
          });
        const name = replicas[role] > 1 ? `${role}-${i + 1}` : role;
        runners.push(new Runner(name, role, { ...shared, ...needs[role], ...own }, write));
      }
    // The roles behind first, and of the doors the first before the others: it makes the keys that they share.
    for (const runner of runners) if (runner.role !== 'door') runner.start();
    const [first, ...others] = runners.filter(({ role }) => role === 'door');
    first!.start();
    const line = await Promise.race([first!.ready, told]);
    for (const door of others) door.start();
    await Promise.race([Promise.all(runners.map(({ ready }) => ready)), told]);
    if (line && !stopping) process.stdout.write(`${line}\n`);
    await told;
  } finally {
    stopping = true;
    const end = (those: readonly Runner[], ms: number) => Promise.all(those.map((runner) => runner.end(ms)));
    await end(
      runners.filter(({ role }) => role === 'door'),
      END_MS.door,
    );
    await end(
      runners.filter(({ role }) => role !== 'door'),
      END_MS.others,
    );
    await stop();
    rmSync(join(data, 'processes.json'), { force: true });
    rmSync(join(data, 'addresses.json'), { force: true });
    for (const file of [servers, settings]) rmSync(file, { force: true });
  }
}

try {
  await main();
  // What a start that was given up left waiting must not keep the process.
  await sleep(0);
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof LocalProblem ? error.message : String((error as Error).stack)}\n`);
  process.exit(error instanceof LocalProblem ? error.exitCode : 1);
}
