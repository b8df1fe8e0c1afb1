/** The programs of the demo: a gateway, parties, and commands. Each is ended by its own id, whatever happens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { Settings } from '../parties/program.ts';

const root = join(import.meta.dirname, '../..');
const eduk = join(root, 'services/cli/eduk.js');

/** What a party answers when it, or the gateway it asked, says no. */
export class PartyRefused extends Error {
  readonly code: string;
  constructor(code: string, told: string) {
    super(told);
    this.code = code;
  }
}

export interface Party {
  /** Answers what the command answers; rejects with `PartyRefused`. */
  tell(command: string, given?: unknown): Promise<any>;
}

export interface Said {
  exit: number;
  /** What stood on standard output, when it is JSON. */
  json: any;
  /** Standard error: words for people. */
  words: string;
}

export interface Children {
  /** `eduk start` on free ports; resolves when it is ready. `administrations`: the folder of EDUK_ADMINISTRATIONS. */
  startGateway(administrations: string): Promise<{ grpc: string; http: string }>;
  /** Where the gateway of the data folder that runs already answers; undefined = there is none. It is never ended here. */
  findGateway(): Promise<{ grpc: string; http: string } | undefined>;
  /** SIGTERM; answers the exit code. */
  stopGateway(): Promise<number>;
  /** `eduk … --json`. `input` goes to standard input. */
  eduk(args: readonly string[], input?: string): Promise<Said>;
  startParty(role: string, settings: Settings): Promise<Party>;
  /** Any other program of this project. */
  run(file: string, args: readonly string[], input?: string): Promise<Said>;
  /** Ends all that still run: SIGTERM, and SIGKILL to what is there 10 s later. */
  endAll(): Promise<void>;
}

/** Longest that a command may take, milliseconds. */
const COMMAND_MS = 120_000;
const READY_MS = 120_000;
const END_MS = 10_000;

/** `data` is the gateway's data folder. */
export function openChildren(data: string): Children {
  const running = new Set<ChildProcess>();
  // Settings of whoever started the demo are not the demo's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
  const own = { ...env, EDUK_DATA: data };
  let gateway: ChildProcess | undefined;

  function start(file: string, args: readonly string[], more: Record<string, string> = {}): ChildProcess {
    const child = spawn(process.execPath, [file, ...args], { cwd: root, env: { ...own, ...more }, stdio: 'pipe' });
    running.add(child);
    child.once('exit', () => running.delete(child));
    // A child that ended early is seen by its exit, not by a broken pipe.
    child.stdin!.on('error', () => undefined);
    return child;
  }

  async function run(file: string, args: readonly string[], input = ''): Promise<Said> {
    const child = start(file, args);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout!.on('data', (part) => out.push(part));
    child.stderr!.on('data', (part) => err.push(part));
    child.stdin!.end(input);
    const late = setTimeout(() => child.kill('SIGKILL'), COMMAND_MS);
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(late);
    const text = Buffer.concat(out).toString();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined; // Not every program answers in JSON; who needs it looks.
    }
    return { exit: code ?? -1, json, words: Buffer.concat(err).toString().trim() };
  }

  return {
    run,
    eduk: (args, input) => run(eduk, [...args, '--json'], input),

    async startGateway(administrations) {
      const child = start(eduk, ['start'], {
        EDUK_GRPC: '127.0.0.1:0',
        EDUK_HTTP: '127.0.0.1:0',
        EDUK_CONSOLE: '127.0.0.1:0',
        EDUK_ADMINISTRATIONS: administrations,
      });
      gateway = child;
      let words = '';
      child.stderr!.on('data', (part) => {
        words = (words + part).slice(-4000);
      });
      const ended = once(child, 'exit').then(() => {
        throw new Error(`The gateway ended before it was ready.\n${words}`);
      });
      const late = wait(READY_MS, undefined, { ref: false }).then(() => {
        throw new Error(`The gateway was not ready within ${READY_MS / 1000} s.\n${words}`);
      });
      const ready = new Promise<{ grpc: string; http: string }>((resolve) => {
        createInterface({ input: child.stdout! }).on('line', (line) => {
          const found = /^ready grpc=(\S+) http=(\S+)/.exec(line);
          if (found) resolve({ grpc: found[1]!, http: found[2]! });
        });
      });
      // Whichever loses the race may still fail later, when nobody listens.
      ended.catch(() => undefined);
      late.catch(() => undefined);
      return Promise.race([ready, ended, late]);
    },

    async findGateway() {
      let addresses: { grpc: string; http: string };
      try {
        addresses = JSON.parse(readFileSync(join(data, 'addresses.json'), 'utf8'));
      } catch {
        return undefined; // It writes this when it is ready, and takes it away when it ends.
      }
      // The file of one that was killed may still be there.
      return (await run(eduk, ['party', 'list', '--json'])).exit === 0 ? addresses : undefined;
    },

    async stopGateway() {
      if (!gateway || gateway.exitCode !== null) return gateway?.exitCode ?? -1;
      const exited = once(gateway, 'exit') as Promise<[number | null]>;
      gateway.kill('SIGTERM');
      const [code] = await exited;
      return code ?? -1;
    },

    async startParty(role, settings) {
      const child = start(join(import.meta.dirname, `../parties/${role}.ts`), []);
      let words = '';
      child.stderr!.on('data', (part) => {
        words = (words + part).slice(-4000);
      });
      let next = 0;
      const asked = new Map<number, { resolve: (did: unknown) => void; reject: (error: Error) => void }>();
      let isReady = (): void => {};
      const ready = new Promise<void>((resolve) => {
        isReady = resolve;
      });
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const { id, did, refused, ready } = JSON.parse(line);
        if (ready) return isReady();
        const { resolve, reject } = asked.get(id)!;
        asked.delete(id);
        if (refused) reject(new PartyRefused(refused.code, refused.told));
        else resolve(did);
      });
      child.once('exit', () => {
        for (const { reject } of asked.values()) reject(new Error(`The ${role} program ended.\n${words}`));
        asked.clear();
      });
      child.stdin!.write(`${JSON.stringify(settings)}\n`);
      const ended = once(child, 'exit').then(() => {
        throw new Error(`The ${role} program did not start.\n${words}`);
      });
      ended.catch(() => undefined);
      await Promise.race([ready, ended]);
      return {
        tell: (command, given = {}) =>
          new Promise((resolve, reject) => {
            if (child.exitCode !== null || child.signalCode !== null)
              return reject(new Error(`The ${role} program has ended.\n${words}`));
            const id = next++;
            asked.set(id, { resolve, reject });
            child.stdin!.write(`${JSON.stringify({ id, do: command, with: given })}\n`);
          }),
      };
    },

    async endAll() {
      const left = [...running];
      for (const child of left) child.kill('SIGTERM');
      const gone = Promise.all(
        left.map((child) => (child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined)),
      );
      await Promise.race([gone, wait(END_MS, undefined, { ref: false })]);
      for (const child of running) child.kill('SIGKILL');
    },
  };
}
