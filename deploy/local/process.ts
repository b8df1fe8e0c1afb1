/**
 * One server process: started, waited for, stopped, killed, paused and started again on the same data. It never
 * outlives the process that started it, however that one ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalProblem } from './problem.ts';

export interface Program {
  /** In messages. */
  name: string;
  command: string;
  args: () => readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Its working folder, which its arguments name; `process.json` and `output.log` are kept there. */
  folder: string;
  /** Ids it runs under; without them, our own. */
  user?: { uid: number; gid: number } | undefined;
  /** Whether it serves; asked until it says so. */
  isReady: (pid: number) => boolean;
  /** Where a person looks when it did not start. */
  log: string;
  /** What asks it to end, what makes it end at once but in order, and how long each start may take. */
  signals: { end: NodeJS.Signals; endNow: NodeJS.Signals };
  startTimeoutMs: number;
}

/** A server of ours. Its address and its data stay the same over stops and starts. */
export interface Server {
  /** Of the process now; undefined = it is down. */
  readonly pid: number | undefined;
  /** Starts it again; resolves when it serves. Does nothing when it runs. Rejects with `LocalProblem`. */
  start(): Promise<void>;
  /**
   * Ends it with the signal, or as it likes best to be ended, and resolves when it and its children are gone. `SIGKILL`
   * takes them all at once, as when a machine dies. Whatever does not end within 6 s is killed.
   */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Freezes it and its children (SIGSTOP): connections stay open, nothing answers. */
  pause(): void;
  /** Lets it go on (SIGCONT). */
  resume(): void;
}

const PATIENCE_MS = 6_000;
const PID_FILE = 'process.json';

/**
 * Ends the server when our end of its standard input closes, that is when we are gone, also by `kill -9`: first in order,
 * after 5 s by force. A word after the pid means that the server has ended already. It runs as a shell so that nothing
 * of ours has to be alive. Signals of a terminal are for us alone.
 */
const WATCHER = `trap '' INT TERM HUP QUIT
read -r pid || exit 0
read -r word && exit 0
kill -CONT "$pid" 2>/dev/null
kill -"$1" "$pid" 2>/dev/null || exit 0
i=0
while kill -0 "$pid" 2>/dev/null; do
  i=$((i + 1)); [ $i -eq 50 ] && kill -KILL "$pid" 2>/dev/null; [ $i -gt 80 ] && exit 1
  sleep 0.1
done`;

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // One that has ended and waits to be collected by its parent counts as gone.
    return !existsSync('/proc/self/stat') || !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** Processes that this one started. Only PostgreSQL has any; systems without /proc show none, and there they end by themselves. */
function childrenOf(pid: number): number[] {
  if (!existsSync('/proc/self/stat')) return [];
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // The name of the program may hold spaces and brackets; what follows the last bracket is: state, parent.
      const parent = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) \S /s, '')
        .split(' ', 1)[0];
      return Number(parent) === pid ? [Number(name)] : [];
    } catch {
      return []; // It has ended since the list was read.
    }
  });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already, which is what a signal that ends it is for.
  }
}

/** Waits until none of them is left; false = some still are. */
async function gone(pids: readonly number[], withinMs: number): Promise<boolean> {
  for (const until = Date.now() + withinMs; pids.some(isAlive); await sleep(20)) if (Date.now() > until) return false;
  return true;
}

const tail = (file: string): string => {
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-12).join('\n');
};

/**
 * Waits for the server that an earlier run left in the folder: after a `kill -9` of that run it is being ended. To be asked
 * before anything of the folder is changed, which may be another run's at this moment.
 * @throws {LocalProblem} when it goes on
 */
export async function awaitEarlierRun(folder: string, name: string): Promise<void> {
  const file = join(folder, PID_FILE);
  if (!existsSync(file)) return;
  let pid: number;
  try {
    pid = (JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid;
  } catch {
    return; // Cut off while it was written: that run did not get far.
  }
  // The number may be another program's by now; ours names the folder in its command line.
  const line = `/proc/${pid}/cmdline`;
  if (existsSync('/proc/self/stat') && !(existsSync(line) && readFileSync(line, 'utf8').includes(folder))) return;
  if (!(await gone([pid], 8_000)))
    throw new LocalProblem(`${name} already runs on this folder, as process ${pid}. End that run first.`);
}

/** A server that does not run yet. */
export function serverOf(program: Program): Server {
  const { name, folder, signals } = program;
  const pidFile = join(folder, PID_FILE);
  const output = join(folder, 'output.log');
  let child: ChildProcess | undefined;
  let watcher: ChildProcess | undefined;
  let starting: Promise<void> | undefined;

  const everyone = (): number[] => (child?.pid === undefined ? [] : [child.pid, ...childrenOf(child.pid)]);

  async function launch(): Promise<void> {
    const out = openSync(output, 'a');
    watcher = spawn('/bin/sh', ['-c', WATCHER, 'watch', signals.endNow.replace('SIG', '')], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    });
    // It may be gone before it has read that it is no longer needed.
    watcher.stdin!.on('error', () => {});
    watcher.unref();
    const own = spawn(program.command, [...program.args()], {
      cwd: folder,
      env: program.env ?? process.env,
      stdio: ['ignore', out, out],
      detached: true,
      ...program.user,
    });
    closeSync(out);
    const { stdin } = watcher;
    let failure: Error | undefined;
    own.once('error', (error) => (failure = error));
    const isOver = () => failure !== undefined || own.exitCode !== null || own.signalCode !== null;
    own.once('exit', () => {
      if (child === own) child = undefined;
      stdin!.end('ended\n');
    });
    if (own.pid === undefined) {
      stdin!.end();
      await sleep(0);
      throw new LocalProblem(`${name} could not be started: ${failure?.message ?? program.command}`);
    }
    child = own;
    stdin!.write(`${own.pid}\n`);
    writeFileSync(pidFile, JSON.stringify({ pid: own.pid }), { mode: 0o600 });
    const began = Date.now();
    while (!program.isReady(own.pid)) {
      const late = Date.now() - began > program.startTimeoutMs;
      if (late || isOver()) {
        if (late) await end('SIGKILL');
        const why = late ? `did not serve within ${program.startTimeoutMs / 1000} s` : 'ended while it started';
        throw new LocalProblem(
          `${name} ${why}. ${program.log} and ${output} end so:\n${tail(program.log)}\n${tail(output)}`,
        );
      }
      await sleep(20);
    }
  }

  async function end(by: NodeJS.Signals): Promise<void> {
    const own = child;
    if (own?.pid === undefined) return;
    const all = everyone();
    if (by === 'SIGKILL') for (const pid of all) signal(pid, by);
    else {
      signal(own.pid, by);
      for (const pid of all) signal(pid, 'SIGCONT'); // What is frozen takes no other signal.
      if (!(await gone(all, PATIENCE_MS))) for (const pid of [...all, ...everyone()]) signal(pid, 'SIGKILL');
    }
    await gone(all, 5_000);
    // The system says that it is gone before Node does.
    while (child === own) await sleep(5);
    rmSync(pidFile, { force: true });
  }

  return {
    get pid() {
      return child?.pid;
    },
    start() {
      if (starting) return starting;
      if (child) return Promise.resolve();
      starting = launch().finally(() => (starting = undefined));
      return starting;
    },
    stop: (by = signals.end) => end(by),
    pause() {
      for (const pid of everyone()) signal(pid, 'SIGSTOP');
    },
    resume() {
      for (const pid of everyone()) signal(pid, 'SIGCONT');
    },
  };
}
