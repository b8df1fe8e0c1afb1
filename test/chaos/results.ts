/** A run's findings as lines of Markdown, and where they are kept. */
import { appendFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Kind } from './faults.ts';
import { quantile } from './ledger.ts';
import { type ChaosOptions, type Findings, isClean } from './run.ts';

/** Well again within, milliseconds: what is promised at half load. */
const promised: Partial<Record<Kind, number>> = { service: 15_000, broker: 30_000, database: 10_000 };
const kinds: readonly Kind[] = ['service', 'broker', 'database', 'way', 'clock'];
const number = (n: number): string => n.toLocaleString('en-US');
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export function linesOf(findings: Findings, { nodes, replicas, rate }: ChaosOptions): string[] {
  const { seed, faults, recoveries, refused, skipped, notes, problems, examples } = findings;
  const total = [...faults.values()].reduce((sum, n) => sum + n, 0);
  const rows = kinds.flatMap((kind) => {
    const of = recoveries.filter((one) => one.kind === kind);
    if (of.length === 0) return [];
    const ms = of.flatMap((one) => (one.ms === undefined ? [] : [one.ms]));
    const never = of.length - ms.length;
    const limit = promised[kind];
    return [
      `| ${kind} | ${of.length} | ${ms.length === 0 ? '' : seconds(quantile(ms, 0.5))} | ${ms.length === 0 ? '' : seconds(Math.max(...ms))} | ${limit === undefined ? '' : seconds(limit)} | ${limit === undefined ? '' : ms.filter((one) => one > limit).length + never} | ${never} |`,
    ];
  });
  return [
    `## Seed ${seed}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC: ${isClean(findings) ? 'clean' : 'not clean'}`,
    '',
    `${findings.minutes.toFixed(1)} minutes, ${nodes} broker${nodes === 1 ? '' : 's'}, ${replicas} process${replicas === 1 ? '' : 'es'} of each role, ${rate} grants a second offered, ${cpus().length} cores shared by all of it. ${number(total)} faults, of which ${number(findings.kills)} processes killed.`,
    `Before any fault accepted → delivered took ${findings.calmTook.p50.toFixed(0)} ms (p50), ${findings.calmTook.p99.toFixed(0)} ms (p99), and the oldest message was ${findings.calmAge.p50.toFixed(0)} ms old (p50), ${findings.calmAge.p99.toFixed(0)} ms (p99).`,
    '',
    '| grants | orders | offered | accepted | first arrivals | lost | out of order | repeats | without reason | second effects | strange |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    `| ${[findings.grants, findings.orders, findings.offered, findings.accepted, findings.arrived, findings.lost, findings.outOfOrder, findings.repeats, findings.unexplained, findings.secondEffects, findings.strange].map(number).join(' | ')} |`,
    '',
    '| broken | times | well again p50 | max | promised | later | never |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    `Faults: ${[...faults].map(([name, n]) => `${name} ${n}`).join(', ')}.`,
    ...(refused.size === 0
      ? []
      : ['', `Sent again by senders: ${[...refused].map(([code, n]) => `${code} ${number(n)}`).join(', ')}.`]),
    ...[...new Set(notes)].flatMap((line) => ['', `${line[0]!.toUpperCase()}${line.slice(1)}.`]),
    ...skipped.flatMap((line) => ['', `Skipped: ${line}.`]),
    ...[...examples, ...problems].flatMap((line) => ['', `Wrong: ${line}`]),
  ];
}

/** Adds the findings to the file, where there is one; answers the lines. */
export function append(file: string | undefined, findings: Findings, options: ChaosOptions): string[] {
  const lines = linesOf(findings, options);
  if (file) appendFileSync(file, `\n${lines.join('\n')}\n`);
  return lines;
}
