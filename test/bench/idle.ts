/**
 * `npm run bench -- connections`: 10,000 idle and 1,000 slow connections to one gateway, and what its memory says of them. `--idle N`,
 * `--slow N`: others, to see that it works; written into RESULTS.md are only the whole numbers.
 */
import { parseArgs } from 'node:util';
import { connectionFigures } from './connections.ts';
import { machine, note, number } from './results.ts';

const IDLE = 10_000;
const SLOW = 1_000;
const { values } = parseArgs({
  args: process.argv.slice(3),
  options: { idle: { type: 'string', default: String(IDLE) }, slow: { type: 'string', default: String(SLOW) } },
});
const [idle, slow] = [Number(values.idle), Number(values.slow)];
if (![idle, slow].every((count) => Number.isSafeInteger(count) && count >= 0)) {
  process.stderr.write('--idle and --slow are whole numbers\n');
  process.exit(2);
}
const seen = await connectionFigures(idle, slow);
const lines = [
  machine(),
  '',
  '| what | seen |',
  '| --- | --- |',
  `| memory of the gateway before | ${number(seen.beforeMb)} MB |`,
  `| with ${number(idle)} idle connections | ${number(seen.idleMb)} MB, ${number(((seen.idleMb - seen.beforeMb) * 1024) / Math.max(1, idle), 1)} kB each |`,
  `| at most with ${number(slow)} slow ones beside them | ${number(seen.slowMb)} MB |`,
  `| after all are gone | ${number(seen.afterMb)} MB |`,
  `| idle ones that still stood; slow ones that were cut off | ${number(seen.idle)}; ${number(seen.cut)} |`,
  `| slowest of 50 answers before; beside them | ${number(seen.aloneMs)} ms; ${number(seen.slowestMs)} ms |`,
];
if (idle === IDLE && slow === SLOW) note('Connections', lines);
else process.stdout.write(`${lines.join('\n')}\n`);
