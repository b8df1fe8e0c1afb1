/** What processes have used: CPU of a process with all that it started, and memory. Only where there is /proc. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const ticks = Number(execFileSync('getconf', ['CLK_TCK']));

/** The numbers of /proc/<pid>/stat behind the name, which may hold anything; undefined = it has ended. */
function statOf(pid: number | string): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch {
    return undefined;
  }
}

function withChildren(pids: readonly number[]): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(statOf(name)?.[1])] as const);
  const found = new Set(pids);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

/** CPU-seconds so far of some processes and their children, those included that have ended and were waited for. */
export function cpuOf(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of withChildren(pids)) {
    const stat = statOf(pid);
    // utime, stime, and the same of children that have ended.
    if (stat) for (const at of [11, 12, 13, 14]) sum += Number(stat[at]);
  }
  return sum / ticks;
}

/** Resident memory, MB. What processes share counts for each. */
export const rssOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    try {
      return sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
    } catch {
      return sum;
    }
  }, 0);

/** Milliseconds since 1970, finer than a clock of whole ones; alike in all processes of this machine. */
export const nowMs = (): number => performance.timeOrigin + performance.now();

/** What lies at a share of a list; NaN of an empty one. */
export function quantile(list: readonly number[], share: number): number {
  const sorted = list.filter((one) => !Number.isNaN(one)).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
