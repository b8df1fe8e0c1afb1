/** What a profile of CPU shows: the functions that took most themselves, within a span of time. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  /** Microseconds, by the clock of `process.hrtime`. */
  startTime: number;
  samples: number[];
  timeDeltas: number[];
}

/** Microseconds by the clock that profiles go by; alike in all processes. */
export const profileClock = (): number => Number(process.hrtime.bigint() / 1000n);

/** The costliest, with milliseconds and share of what was busy. */
export function costliest(file: string, span: { from: number; to: number }, count: number): string[] {
  const { nodes, startTime, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as Profile;
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const path = url.startsWith('file://')
        ? relative(process.cwd(), url.slice('file://'.length)).replace(/^.*node_modules\//, '')
        : url;
      return [id, `${functionName || '(anonymous)'}${path === '' ? '' : ` ${path}:${lineNumber + 1}`}`];
    }),
  );
  const took = new Map<string, number>();
  let at = startTime;
  for (const [i, id] of samples.entries()) {
    at += timeDeltas[i]!;
    const name = names.get(id)!;
    if (at < span.from || at > span.to || name === '(idle)' || name === '(root)') continue;
    took.set(name, (took.get(name) ?? 0) + timeDeltas[i]!);
  }
  const all = [...took.values()].reduce((sum, one) => sum + one, 0);
  return [...took]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(
      ([name, us]) =>
        `${String(Math.round(us / 1000)).padStart(7)} ms ${((us * 100) / all).toFixed(1).padStart(5)} %  ${name}`,
    );
}
