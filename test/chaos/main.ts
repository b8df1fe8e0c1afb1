/**
 * `npm run chaos`: real processes, real servers, real faults, and a ledger. Exit 0 when the ledger is clean; 1 when not, and
 * what the servers kept stays; 2 for wrong use; 3 where servers cannot run. The result is added to RESULTS.md.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missingHere } from '#deploy/local';
import { faults } from './faults.ts';
import { append } from './results.ts';
import { type ChaosOptions, chaos, isClean } from './run.ts';

const usage = `npm run chaos [-- --minutes M] [--seed N] [--nodes 1|3] [--replicas R] [--rate G] [--faults a,b]

  --minutes M   how long faults go on; 10 without it. Each fault comes once at least
  --seed N      decides the faults; drawn without it, and printed first
  --nodes N     brokers, 1 or 3; 1 without it
  --replicas R  processes of each role, 1 to 5; 2 without it
  --rate G      grants a second, and a tenth of it orders; 100 without it
  --faults a,b  only these, of: ${faults.map(({ name }) => name).join(', ')}
  --short       shorter times away and asleep
  --no-results  adds nothing to RESULTS.md`;

function misuse(why: string): never {
  process.stderr.write(`${why}\n\n${usage}\n`);
  process.exit(2);
}

function settings() {
  try {
    return parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        nodes: { type: 'string', default: '1' },
        replicas: { type: 'string', default: '2' },
        rate: { type: 'string', default: '100' },
        faults: { type: 'string', default: '' },
        short: { type: 'boolean', default: false },
        'no-results': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (thrown) {
    return misuse((thrown as Error).message);
  }
}

const given = settings();
if (given.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const only = given.faults
  .split(',')
  .map((name) => name.trim())
  .filter((name) => name !== '');
const strange = only.filter((name) => !faults.some((fault) => fault.name === name));
if (!/^\d{1,4}(\.\d+)?$/.test(given.minutes)) misuse('--minutes is a number.');
if (!/^\d{1,9}$/.test(given.seed)) misuse('--seed is a whole number of at most nine digits.');
if (!/^[13]$/.test(given.nodes)) misuse('--nodes is 1 or 3.');
if (!/^[1-5]$/.test(given.replicas)) misuse('--replicas is 1 to 5.');
if (!/^[1-9]\d{1,3}$/.test(given.rate)) misuse('--rate is a whole number from 10 to 9,999.');
if (strange.length > 0) misuse(`There is no fault called ${strange.join(', ')}.`);
const missing = await missingHere();
if (missing !== undefined) {
  process.stderr.write(`Servers cannot run here: ${missing}\n`);
  process.exit(3);
}

const folder = mkdtempSync(join(tmpdir(), 'eduk-chaos-'));
const options: ChaosOptions = {
  folder,
  seed: Number(given.seed),
  ms: Number(given.minutes) * 60_000,
  nodes: given.nodes === '3' ? 3 : 1,
  replicas: Number(given.replicas),
  rate: Number(given.rate),
  only,
  isLong: !given.short,
  tell: (line) => void process.stdout.write(`${line}\n`),
};
options.tell(`Seed ${options.seed}; what the servers keep is in ${folder}.`);
const findings = await chaos(options);
const lines = append(given['no-results'] ? undefined : join(import.meta.dirname, 'RESULTS.md'), findings, options);
for (const line of lines) options.tell(line);
if (isClean(findings)) rmSync(folder, { recursive: true, force: true });
else options.tell(`Not clean. What the servers keep stays in ${folder}.`);
process.exit(isClean(findings) ? 0 : 1);
