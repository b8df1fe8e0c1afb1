/**
 * `npm run demo`: a whole school start through a gateway of its own, or through one that runs on Kafka and PostgreSQL,
 * printed step by step. Exit 0 only when every party has exactly what it should have, by the figures of the school; 1 when
 * not, and the folder is kept; 2 for wrong use.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openChildren } from './children.ts';
import { plants, play } from './scenario.ts';
import { agrees, type Row, tableOf } from './table.ts';

const usage = `npm run demo [-- --pupils N] [--seed S]

  --pupils N    how many pupils the invented school has, 16 to 5,000; 1,200 without it
  --seed S      another number invents another school; 2026 without it
  --engine E    kafka: through the gateway that npm run start:distributed has started (EDUK_DATA names its data folder,
                .eduk-distributed without it), as often as you like; embedded, without it: through one of its own
  --plant FAULT lets one program do something wrong, to see that the table shows it: ${Object.keys(plants).join(', ')}`;

function misuse(why: string): never {
  process.stderr.write(`${why}\n\n${usage}\n`);
  process.exit(2);
}

function settings() {
  try {
    const { values } = parseArgs({
      options: {
        pupils: { type: 'string', default: '1200' },
        seed: { type: 'string', default: '2026' },
        engine: { type: 'string', default: 'embedded' },
        plant: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (thrown) {
    return misuse((thrown as Error).message.split('. ')[0]!.replace(/\.?$/, '.'));
  }
}

const { pupils: pupilsText, seed: seedText, engine, plant, help } = settings();
if (help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const pupils = Number(pupilsText);
const seed = Number(seedText);
if (!/^\d+$/.test(pupilsText) || pupils < 16 || pupils > 5_000) misuse('--pupils is a whole number from 16 to 5,000.');
if (!/^\d{1,9}$/.test(seedText)) misuse('--seed is a whole number of at most nine digits.');
if (!['embedded', 'kafka'].includes(engine)) misuse('--engine is embedded or kafka.');
if (plant !== undefined && !(plant in plants)) misuse(`--plant is one of ${Object.keys(plants).join(', ')}.`);

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const folder = mkdtempSync(join(tmpdir(), 'eduk-demo-'));
const data = engine === 'kafka' ? resolve(process.env['EDUK_DATA'] || '.eduk-distributed') : join(folder, 'data');
const children = openChildren(data);
const started = performance.now();

let interrupted = false;
/** Ends every program, within 10 s. Repeats change nothing. */
function interrupt(): void {
  if (interrupted) return;
  interrupted = true;
  say('\nInterrupted: ending every program.');
  void children.endAll().then(() => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(130);
  });
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
// Nobody reads any more, as with `| head`.
process.stdout.on('error', interrupt);

for (const fault of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(fault, (thrown) => {
    process.stderr.write(`The demo itself failed: ${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
    void children.endAll().then(() => process.exit(1));
  });

/** Today as the Dutch calendar has it. */
const today = new Intl.DateTimeFormat('en-CA', { timeZone: 'Europe/Amsterdam' }).format(new Date());

const running = engine === 'kafka' ? await children.findGateway() : undefined;
if (engine === 'kafka' && running === undefined && !interrupted) {
  rmSync(folder, { recursive: true, force: true });
  process.stderr.write(`No gateway is running with its data in ${data}. Start one with: npm run start:distributed\n`);
  process.exit(1);
}

say(`A school start, played by a gateway and six other programs that talk to it over the wire.`);
say(
  `An invented school of ${pupils.toLocaleString('en-US')} pupils (seed ${seed}); what happens is kept in ${folder} until the end.`,
);
if (plant !== undefined) say(`Planted: ${plant}. One thing will be missing.`);

const rows: Row[] = [];
let failed: string | undefined;
try {
  await play({ pupils, seed, plant, folder, data, running, today }, children, rows, say);
} catch (thrown) {
  failed = thrown instanceof Error ? thrown.message : String(thrown);
}
if (!interrupted) {
  await children.endAll();
  if (rows.length > 0) {
    say('');
    // An ECK iD is long; its end tells one from another.
    for (const line of tableOf(rows, (item) => item.replace(/https:\S*(\S{8})(?=\s|$)/g, 'pupil …$1'))) say(line);
    say('');
  }
  const wrong = rows.filter((row) => !agrees(row)).length;
  const why = [
    ...(failed === undefined ? [] : [failed]),
    ...(wrong > 0 ? [`${wrong} of ${rows.length} rows do not agree.`] : []),
  ];
  const took = `${((performance.now() - started) / 1000).toFixed(0)} s`;
  if (why.length === 0) {
    rmSync(folder, { recursive: true, force: true });
    say(`All ${rows.length} rows agree. The whole school start took ${took}.`);
  } else {
    say(`It failed after ${took}: ${why.join(' ')}`);
    say(`${running ? 'The' : 'The gateway’s data and the'} files of the school are kept in ${folder}.`);
  }
  process.exit(why.length === 0 ? 0 : 1);
}
