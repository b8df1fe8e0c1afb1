/** Everything that rests or passes, looked at: files, topics, rows, words of processes, their arguments and environment. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { openDriver, streams } from '#bus/kafka';
import { PARTITIONS } from '#kernel';
import type { Subject } from './gateway.ts';
import type { Sowing } from './sowing.ts';

/** Written by us, or holding on purpose what was given out. */
const notOurs = (path: string): boolean => /\/(operator\.key|sent)$/.test(path);

/** `first`: only so many of the folders; those of servers are read when these have ended, and all is on the disk. */
export function lookAtFiles(sowing: Sowing, folders: Subject['folders'], first = folders.length): void {
  const others = (of: string) => (path: string) =>
    notOurs(path) || folders.some(({ path: one }) => one !== of && one.startsWith(of) && path === one);
  for (const { place, path } of folders.slice(0, first)) sowing.looking.folder(place, path, others(path));
}

export function lookAtWords(sowing: Sowing): void {
  for (const { name, bytes } of sowing.subject.said()) {
    sowing.looking.at('what processes wrote', bytes);
    if (/UnhandledPromiseRejection|uncaughtException/.test(bytes.toString('latin1')))
      sowing.problems.push(`${name} wrote of an exception that nobody caught`);
  }
}

/** Arguments, environment, names of open files; where the system shows them. */
export function lookAtProcesses(sowing: Sowing): void {
  if (!existsSync('/proc/self/environ')) return;
  for (const { pid } of sowing.subject.pids()) {
    for (const name of ['cmdline', 'environ', 'comm'])
      sowing.looking.at('arguments and environment of processes', readFileSync(`/proc/${pid}/${name}`));
    const tasks = `/proc/${pid}/task`;
    for (const task of readdirSync(tasks))
      sowing.looking.at('arguments and environment of processes', readFileSync(join(tasks, task, 'comm')));
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      try {
        sowing.looking.at('names of open files', readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        // Closed meanwhile.
      }
    }
  }
}

export function lookAtWires(sowing: Sowing): void {
  const { taps, toVault } = sowing.subject;
  for (const tap of taps) {
    let bytes = 0;
    for (const piece of tap.pieces()) {
      bytes += piece.length;
      sowing.looking.at(tap.name, piece, tap.name.includes('role') ? 'role' : 'nobody');
    }
    if (bytes === 0) sowing.problems.push(`${tap.name} carried nothing: the tap is not where it should be`);
  }
  if (toVault === undefined) return;
  // Identity goes to the vault, so here it must be seen: it shows that the taps and the search work.
  let found = 0;
  for (const piece of toVault.pieces()) found += sowing.looking.search.in(piece).length;
  if (found === 0) sowing.problems.push('no identity was seen on the way to the vault, where it must pass');
}

/** Records of every topic that the gateway has, read back. */
export async function lookAtTopics(sowing: Sowing, brokers: readonly string[]): Promise<void> {
  const driver = await openDriver('platformatic', { brokers: [...brokers], clientId: 'eduk canary' });
  let records = 0;
  try {
    const there = await driver.admin().describeTopics(streams.map((stream) => `eduk.${stream}.v1`));
    const lanes = there.flatMap(({ name }) =>
      Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: name, partition })),
    );
    const left = new Map(
      (await driver.admin().ranges(lanes))
        .filter(({ earliest, end }) => end > earliest)
        .map(({ topic, partition, end }) => [`${topic}/${partition}`, end]),
    );
    await new Promise<void>((resolve, reject) => {
      if (left.size === 0) return resolve();
      driver.reader({
        lanes: lanes.map((lane) => ({ ...lane, offset: 'earliest' as const })),
        onGap: ({ topic, partition }) => reject(new Error(`${topic}/${partition} has a gap`)),
        onRecords({ topic, partition }, some) {
          for (const { key, value, headers, offset } of some) {
            records += 1;
            for (const part of [key, value, ...headers.flat()])
              if (part) sowing.looking.at('records of Kafka', typeof part === 'string' ? part : Buffer.from(part));
            const lane = `${topic}/${partition}`;
            const end = left.get(lane);
            if (end !== undefined && offset + 1n >= end) left.delete(lane);
          }
          if (left.size === 0) resolve();
        },
      });
    });
  } finally {
    await driver.close();
  }
  if (records === 0) sowing.problems.push('Kafka holds no record');
}

/** Names of what the bits of a batch say; the codecs that nobody here can open. */
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Segments are looked at as files; what is compressed in them in a way that the search cannot open would be missed. */
export function lookAtSegments(sowing: Sowing, folder: string): void {
  let batches = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    if (!/\/eduk\.[^/]*\/\d{20}\.log$/.test(path) || statSync(path).size === 0) continue;
    const file = openSync(path, 'r');
    const head = Buffer.alloc(23);
    // A batch: offset (8), length (4), epoch (4), magic (1), checksum (4), attributes (2), of which three bits are the codec.
    for (let at = 0; readSync(file, head, 0, head.length, at) === head.length; at += 12 + head.readInt32BE(8)) {
      batches += 1;
      if (head[16] !== 2) break;
      const codec = CODECS[head.readInt16BE(21) & 7] ?? 'unknown';
      if (codec === 'snappy' || codec === 'lz4' || codec === 'unknown')
        sowing.problems.push(`records of Kafka are compressed with ${codec}, which the search of segments cannot open`);
    }
    closeSync(file);
  }
  if (batches === 0) sowing.problems.push('no segment of Kafka was found');
}

/** Every row of every schema, as bytes. */
export async function lookAtRows(sowing: Sowing, place: string, url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let rows = 0;
  try {
    const tables = await client.query<{ name: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg_t%' AND n.nspname <> 'information_schema'
         AND (n.nspname <> 'pg_catalog' OR c.relname IN ('pg_description', 'pg_statistic', 'pg_database', 'pg_class'))`,
    );
    for (const { name } of tables.rows) {
      const { rows: some } = await client.query<unknown[]>({ text: `SELECT * FROM ${name}`, rowMode: 'array' });
      rows += some.length;
      for (const row of some)
        for (const cell of row)
          if (cell !== null)
            sowing.looking.at(
              place,
              cell instanceof Uint8Array ? cell : typeof cell === 'string' ? cell : JSON.stringify(cell),
            );
    }
    // What the server itself remembers of statements under way.
    const { rows: asked } = await client.query<{ query: string }>('SELECT query FROM pg_stat_activity');
    for (const { query } of asked) sowing.looking.at(place, query ?? '');
  } finally {
    await client.end();
  }
  if (rows === 0) sowing.problems.push(`${place}: there is none`);
}
