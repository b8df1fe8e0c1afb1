/** Programs of the bench: started, asked, and ended by their own ids, whatever happens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './processes.ts';
import type { SendOptions, Sent } from './send.ts';

const running = new Set<ChildProcess>();

export interface Place {
  command?: string;
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Its standard input. A list of thousands of schools is longer than an argument may be. */
  input?: string;
}

/** Without `command`: a program of this folder. Settings of whoever started the bench are not its own. */
export function program({ command, args, env, cwd, input }: Place): ChildProcess {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
  const [file = '', ...rest] = args;
  const child = spawn(
    command ?? process.execPath,
    command === undefined ? [join(import.meta.dirname, file), ...rest] : [...args],
    {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'inherit'],
      env: { ...own, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    },
  );
  child.stdin?.end(input);
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** Asks it to end, and waits; after 20 s it is killed. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await gone;
  clearTimeout(late);
}

export const endAll = async (): Promise<void> => void (await Promise.all([...running].map((child) => end(child))));

/** The first line that it prints and that `fits`; rejects when it ends before. What comes after is thrown away. */
export const lineOf = (child: ChildProcess, fits: (line: string) => boolean = () => true): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (data: string) => {
      text += data;
      const lines = text.split('\n');
      text = lines.pop()!;
      const found = lines.find(fits);
      if (found !== undefined) resolve(found);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`a program of the bench ended with ${signal ?? code}`)));
  });

export interface Seen {
  arrivals: number;
  distinct: number;
  requests: number;
  bytes: number;
  /** First arrivals behind a later one of the same learner. */
  disorder: number;
}

export interface Sink {
  url: string;
  seen(): Promise<Seen>;
  /** Of first arrivals, by the number of the message. */
  times(): Promise<(number | null)[]>;
  forget(learners: number): Promise<void>;
  /** Resolves when so many different ones were seen, or when nothing new came for `quietMs`. */
  until(distinct: number, quietMs?: number): Promise<Seen>;
  stop(): Promise<void>;
}

export async function startSink(): Promise<Sink> {
  const child = program({ args: ['sink.ts'] });
  const { port } = JSON.parse(await lineOf(child)) as { port: number };
  const at = `http://127.0.0.1:${port}`;
  const ask = async (path: string) => (await fetch(`${at}${path}`, { method: 'POST' })).json();
  const seen = () => ask('/seen') as Promise<Seen>;
  return {
    url: `${at}/in`,
    seen,
    times: () => ask('/times') as Promise<(number | null)[]>,
    async forget(learners) {
      await ask(`/forget?learners=${learners}`);
    },
    async until(distinct, quietMs = 60_000) {
      let last = await seen();
      for (let heard = nowMs(); last.distinct < distinct && nowMs() - heard < quietMs; await sleep(50)) {
        const now = await seen();
        if (now.distinct > last.distinct) heard = nowMs();
        last = now;
      }
      return last;
    },
    stop: () => end(child),
  };
}

/** A sender; resolves when all were answered. */
export async function send(options: SendOptions): Promise<Sent> {
  return JSON.parse(await lineOf(program({ args: ['send.ts'], input: JSON.stringify(options) }))) as Sent;
}
