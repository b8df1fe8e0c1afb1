/** Which part of intake a frame of a profile belongs to: what proves, allows, hides and records, and the rest. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { partsOf } from './profile.ts';

export const trustParts = ['authenticate', 'mandate', 'identify', 'audit'] as const;
type Part = (typeof trustParts)[number];

/** Files of each part, as the end of their path or a folder in it. */
const files: Record<Part, readonly string[]> = {
  authenticate: [
    'services/edge/stages/authenticate.ts',
    'services/edge/secrets.ts',
    'services/edge/certificates.ts',
    'services/edge/proxy.ts',
    'services/edge/operators.ts',
    'services/edge/assertions.ts',
  ],
  mandate: [
    'services/edge/stages/authorise.ts',
    'services/edge/purpose.ts',
    'services/edge/chain.ts',
    'services/edge/scopes.ts',
  ],
  identify: ['services/edge/stages/identify.ts', 'services/pseudonyms/'],
  audit: [
    'services/edge/audit.ts',
    'services/edge/heads.ts',
    'services/audit/',
    'services/kernel/merkle.ts',
    'services/kernel/loghead.ts',
  ],
};
/** Where the thread of the log takes messages in; what else it does is deciding, which is behind intake. */
const accepting = ['services/bus/queue.ts', 'services/bus/calls.ts'];
const acceptingFunctions = new Set(['accept', '#accept', '#acceptOne', 'claim']);
const deciding = /\/services\/(bus|access|catalogue|delivery|entitlements|flows|orders|parties|results|rosters)\//;

function partOf(url: string, functionName: string): string | undefined {
  if (!url.includes('/services/')) return undefined;
  for (const part of trustParts) if (files[part].some((file) => url.includes(`/${file}`))) return part;
  if (
    accepting.some((file) => url.endsWith(`/${file}`)) ||
    (url.includes('/services/bus/') && acceptingFunctions.has(functionName))
  )
    return 'accept';
  if (url.includes('/services/edge/')) return 'door';
  return deciding.test(url) ? 'behind' : undefined;
}

/**
 * Milliseconds of processor time of intake, by part, from the profiles of one gateway's threads: all that the thread of the doors and that
 * of the vault did, and of the thread of the log what it did to take messages in, and for the log of what was done. Samples are of time that
 * passed: on a machine that has other work they say little.
 */
export function intakeOf(folder: string, pid: number, span: { from: number; to: number }): Record<string, number> {
  const sum: Record<string, number> = { authenticate: 0, mandate: 0, identify: 0, audit: 0, rest: 0 };
  // CPU.<day>.<time>.<pid>.<thread>.<number>.cpuprofile
  const mine = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile') && name.split('.')[3] === String(pid));
  if (mine.length < 3) throw new Error(`a gateway has three threads, and ${mine.length} left a profile`);
  for (const name of mine) {
    const took = partsOf(join(folder, name), span, partOf);
    const of = (part: string): number => took.get(part) ?? 0;
    const all = [...took.values()].reduce((total, ms) => total + ms, 0);
    // Which thread it is shows over its whole life: within the span it may have done little.
    const life = partsOf(join(folder, name), { from: 0, to: Infinity }, partOf);
    const did = (part: string): number => life.get(part) ?? 0;
    const isLog = did('behind') > did('door') && did('behind') > did('identify');
    const isVault = !isLog && did('identify') > did('door');
    for (const part of trustParts) sum[part]! += of(part);
    if (isVault) sum['identify']! += all - of('identify');
    else if (isLog) sum['rest']! += of('accept');
    else sum['rest']! += all - trustParts.reduce((total, part) => total + of(part), 0);
  }
  return sum;
}
