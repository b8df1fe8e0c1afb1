/** What a profile of CPU shows: the functions that took most themselves, within a span of time. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

interface Profile {
  nodes: { id: number; children?: number[]; callFrame: { functionName: string; url: string; lineNumber: number } }[];
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

/**
 * Milliseconds of what was busy, by part: of each sample the innermost frame that `partOf` knows says which it belongs to. What no frame of
 * it is known of, collecting garbage and the runtime included, is `''`.
 */
export function partsOf(
  file: string,
  span: { from: number; to: number },
  partOf: (url: string, functionName: string) => string | undefined,
): Map<string, number> {
  const { nodes, startTime, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const known = new Map<number, string>();
  const partAt = (id: number): string => {
    const before = known.get(id);
    if (before !== undefined) return before;
    const { callFrame } = byId.get(id)!;
    const above = parents.get(id);
    const part = partOf(callFrame.url, callFrame.functionName) ?? (above === undefined ? '' : partAt(above));
    known.set(id, part);
    return part;
  };
  const took = new Map<string, number>();
  let at = startTime;
  for (const [i, id] of samples.entries()) {
    at += timeDeltas[i]!;
    const { functionName } = byId.get(id)!.callFrame;
    if (at < span.from || at > span.to || functionName === '(idle)' || functionName === '(root)') continue;
    const part = partAt(id);
    took.set(part, (took.get(part) ?? 0) + timeDeltas[i]! / 1000);
  }
  return took;
}
