/**
 * `node test/recorded/record.ts NAME`: writes down a stream of this release, so that later ones show that they still read it.
 * Made once for each release, of invented schools; never made again for one that is out.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { testBench } from '#bus';
import { type Codec, uuidText } from '#kernel';
import { events } from '#proto/events';
import { randomFrom } from '../parties/random.ts';
import { entriesOf } from '../sim/entries.ts';
import { inventMessages } from '../sim/messages.ts';
import { services } from '../sim/watched.ts';
import { inventWorld } from '../sim/world.ts';
import { NOW, type Recorded } from './recording.ts';

const name = process.argv[2] ?? '';
if (!/^\d+\.\d+\.\d+$/.test(name)) throw new Error('name the release, such as 0.1.0');
const folder = join(import.meta.dirname, 'streams');
mkdirSync(folder, { recursive: true });
const file = join(folder, `${name}.jsonl.gz`);
if (existsSync(file)) throw new Error(`${file} is there already: what was recorded stays as it is`);

const lines: string[] = [];
const types = new Set<string>();
for (const seed of [3, 8, 34, 144]) {
  const random = randomFrom(seed);
  const entries = entriesOf(inventMessages(inventWorld(random), random, seed % 2 === 1), NOW).filter(
    ({ events: told }) => told.length > 0,
  );
  const bench = testBench(services, { now: NOW });
  for (const entry of entries) {
    bench.accept([entry]);
    bench.run();
  }
  bench.advance(40 * 86_400_000);
  const write = (line: Omit<Recorded, 'seed' | 'data' | 'json'>, data: Uint8Array): void => {
    const codec = events[line.type as keyof typeof events].codec as unknown as Codec<unknown> & {
      toJSON(value: unknown): unknown;
    };
    types.add(line.type);
    const recorded: Recorded = {
      seed,
      ...line,
      data: Buffer.from(data).toString('base64'),
      json: codec.toJSON(codec.decode(data)),
    };
    lines.push(JSON.stringify(recorded));
  };
  for (const { flowId, schoolOin: school, events: told } of entries)
    for (const { stream, type, key, data } of told)
      write({ stream, type, key, flowId: uuidText(flowId), school, submitted: true }, data);
  for (const { record } of bench.events()) {
    const { stream, type, key, flowId, school, data } = record;
    write({ stream, type, key, flowId, school, submitted: false }, data);
  }
}
writeFileSync(file, gzipSync(lines.join('\n'), { level: 9 }));
const missing = Object.keys(events).filter((type) => !types.has(type));
process.stdout.write(
  `${lines.length} events of ${types.size} types; not among them: ${missing.join(', ') || 'none'}\n`,
);
