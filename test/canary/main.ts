/**
 * `npm run canary`: plants invented identities into a gateway of its own, through every door and in every wrong place, and
 * searches everything that the gateway keeps, writes and tells. Ends with a signed report and a page of it.
 */
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { arch, platform, release } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { missingHere } from '#deploy/local';
import { plants } from './plants.ts';
import {
  type EngineReport,
  pageOf,
  type Report,
  type Signed,
  signatureProblems,
  signReport,
  verdictOf,
} from './report.ts';
import { runSuite } from './run.ts';
import { forms } from './search.ts';
import { type Size, sizes } from './sowing.ts';

const root = join(import.meta.dirname, '../..');

const usage = `npm run canary [-- OPTION…]

  --engine E      embedded, distributed, or both; without it both, where Java and Maven or what they brought is there
  --size S        whole (the default): every kind of identity in every place; quick: each place with some kinds;
                  brief: fewer calls
  --seed N        invents the same identities again; another number each time without it
  --plant LEAK    puts a leak into the gateway, to see that it is found: ${Object.keys(plants).join(', ')}
  --key FILE      signs with this Ed25519 key (PKCS#8, PEM); without it with one made for this run
  --out FOLDER    where canary-report.json and canary-report.md are written; here without it
  --verify FILE   checks the signature of a report instead; --public FILE names the key that it must be of (PEM)

Exit status: 0 clean, or a signature that fits; 1 a leak, a run that proves nothing, or a signature that does not fit; 2 wrong use.`;

/** What the suite does not see, told in each report. */
export const limits = [
  'A value that has the form of an id (letters, digits and marks, no spaces, at most 64) in a field for an id is an id to the gateway, and rests as one. So identities are planted there in forms that are no id: with spaces, or longer.',
  'Titles and names of organisations are public by their label; what a sender writes there is published. Identities are not planted there, except in questions.',
  'Numbers and days are not looked for in binary form (a BSN as four bytes); scores are.',
  'Raw deflate without a header, encryption, and forms within forms (base64 of UTF-16) are not opened. The log of this version compresses nothing; a run fails when a segment is compressed in a way that it cannot open.',
  'Memory of processes, swap and core dumps are not searched. Between threads of the embedded engine nothing is tapped.',
  'There are no console pages and no exporter of traces in this version; the address of the console is asked.',
] as const;

export const packageVersion = (): string =>
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version?: string }).version ?? 'unknown';

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return `${git('rev-parse', '--short=12', 'HEAD')}${git('status', '--porcelain', '--', 'services', 'adapters', 'proto') === '' ? '' : ' with changes'}`;
  } catch {
    return 'not from a repository'; // As in an image.
  }
}

/** The report of these runs; `verdict` follows from them. */
export const reportOf = (engines: EngineReport[], seed: number, startedAt: Date): Report => ({
  format: 'eduk canary report 1',
  version: packageVersion(),
  commit: commit(),
  node: `Node ${process.version}`,
  system: `${platform()} ${release()} ${arch()}`,
  seed,
  startedAt: startedAt.toISOString(),
  endedAt: new Date().toISOString(),
  engines,
  forms: [...forms],
  limits,
  verdict: verdictOf(engines),
});

function misuse(why: string): never {
  process.stderr.write(`${why}\n\n${usage}\n`);
  process.exit(2);
}

function given() {
  try {
    return parseArgs({
      options: {
        engine: { type: 'string' },
        size: { type: 'string', default: 'whole' },
        seed: { type: 'string' },
        plant: { type: 'string' },
        key: { type: 'string' },
        out: { type: 'string', default: '.' },
        verify: { type: 'string' },
        public: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (thrown) {
    return misuse((thrown as Error).message.split('. ')[0]!.replace(/\.?$/, '.'));
  }
}

function fileOf(name: string): string {
  try {
    return readFileSync(name, 'utf8');
  } catch (thrown) {
    return misuse(`${name} cannot be read (${(thrown as { code?: string }).code}).`);
  }
}

function verify(file: string, key: string | undefined): never {
  let signed: unknown;
  try {
    signed = JSON.parse(fileOf(file));
  } catch {
    signed = undefined;
  }
  const problems = signatureProblems(signed, key === undefined ? undefined : fileOf(key));
  if (problems.length > 0) {
    process.stdout.write(`${problems.join('\n')}\n`);
    process.exit(1);
  }
  const { report, signature } = signed as Signed;
  const whose =
    key !== undefined
      ? 'the key that was given'
      : signature.key === 'given'
        ? 'a key that the one who ran it gave; compare its id, or give it with --public'
        : 'a key made for that run, which says that nothing was changed since, not whose run it was';
  process.stdout.write(
    `The signature fits, by key ${signature.keyId}: ${whose}.\nThe verdict of the report: ${report.verdict}, version ${report.version} (${report.commit}), ${report.endedAt}.\n`,
  );
  process.exit(0);
}

async function main(): Promise<void> {
  const { engine, size, seed: seedText, plant, key, out, verify: file, public: publicKey, help } = given();
  if (help) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  if (file !== undefined) verify(file, publicKey);
  if (!(sizes as readonly string[]).includes(size)) misuse(`--size is one of ${sizes.join(', ')}.`);
  if (engine !== undefined && !['embedded', 'distributed', 'both'].includes(engine))
    misuse('--engine is embedded, distributed or both.');
  if (seedText !== undefined && !/^\d{1,9}$/.test(seedText)) misuse('--seed is a whole number of at most nine digits.');
  if (plant?.split(',').some((name) => !(name in plants)))
    misuse(`--plant is one of ${Object.keys(plants).join(', ')}.`);
  if (key !== undefined) fileOf(key);
  const missing = engine === 'embedded' ? undefined : await missingHere();
  if (missing !== undefined && engine !== undefined) misuse(missing);
  const seed = seedText === undefined ? randomInt(1_000_000_000) : Number(seedText);
  const say = (line: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
  say(`seed ${seed}`);
  const startedAt = new Date();
  const reports: EngineReport[] = [];
  for (const one of ['embedded', 'distributed'] as const) {
    if (engine !== undefined && engine !== 'both' && engine !== one) continue;
    if (one === 'distributed' && missing !== undefined) {
      say(`the distributed engine is left out: ${missing}`);
      continue;
    }
    reports.push(
      await runSuite({
        engine: one,
        seed,
        size: size as Size,
        ...(plant === undefined ? {} : { plant }),
        say: (line) => say(`${one}: ${line}`),
      }),
    );
  }
  const signed = signReport(reportOf(reports, seed, startedAt), key);
  const folder = resolve(out);
  writeFileSync(join(folder, 'canary-report.json'), `${JSON.stringify(signed, null, 2)}\n`);
  writeFileSync(join(folder, 'canary-report.md'), pageOf(signed));
  for (const { engine: of, findings, problems, seconds } of reports) {
    process.stdout.write(
      `${of}: ${findings.length === 0 ? 'nothing found' : `${findings.length} leaks`}, ${seconds} s\n`,
    );
    for (const { kind, put, place, form } of findings.slice(0, 20))
      process.stdout.write(`  ${kind} (${put}) in ${place}, ${form}\n`);
    for (const problem of problems) process.stdout.write(`  not proven: ${problem}\n`);
  }
  process.stdout.write(
    `${signed.report.verdict}: ${join(folder, 'canary-report.md')}, signed by key ${signed.signature.keyId} (${signed.signature.key})\n`,
  );
  process.exitCode = signed.report.verdict === 'clean' ? 0 : 1;
}

if (import.meta.main) await main();
