/**
 * Looks for texts in all that Kafka and a database keep, as bytes: `node test/demo/look-inside.ts`. Standard input: one line
 * of JSON with the addresses, `{brokers, databaseUrl}`, then the texts, one a line. Prints one JSON value: how many records
 * and rows there were, and by their numbers the texts that were found in Kafka and in the database.
 */
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { openDriver, streams } from '#bus/kafka';
import { PARTITIONS } from '#kernel';

const [addresses, ...texts] = (await text(process.stdin)).split('\n').filter((line) => line !== '');
const { brokers, databaseUrl } = JSON.parse(addresses!) as { brokers: string[]; databaseUrl: string };
const wanted = texts.map((one) => Buffer.from(one));

/** Gathers bytes and looks through much at once: many texts in many small pieces would take long. */
function search() {
  const found = new Set<number>();
  let pieces: Uint8Array[] = [];
  let size = 0;
  const look = (): void => {
    const bytes = Buffer.concat(pieces);
    for (const [i, one] of wanted.entries()) if (!found.has(i) && bytes.includes(one)) found.add(i);
    [pieces, size] = [[], 0];
  };
  return {
    add(piece: Uint8Array): void {
      // Between two pieces stands what is in no text, so that none is found that is not there.
      pieces.push(piece, Buffer.of(0));
      size += piece.length;
      if (size > 8 * 1024 * 1024) look();
    },
    found(): number[] {
      look();
      return [...found];
    },
  };
}

async function ofKafka(): Promise<{ records: number; found: number[] }> {
  const driver = await openDriver('platformatic', { brokers, clientId: 'eduk demo' });
  const inKafka = search();
  let records = 0;
  try {
    const topics = streams.map((stream) => `eduk.${stream}.v1`);
    const there = await driver.admin().describeTopics(topics);
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
            for (const part of [key, value, ...headers.map(([, one]) => one)]) if (part) inKafka.add(part);
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
  return { records, found: inKafka.found() };
}

async function ofDatabase(): Promise<{ rows: number; found: number[] }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  const inDatabase = search();
  let rows = 0;
  await client.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const tables = await client.query<{ name: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'`,
    );
    for (const { name } of tables.rows) {
      await client.query(`DECLARE looks NO SCROLL CURSOR FOR SELECT * FROM ${name}`);
      for (;;) {
        const some = await client.query({ text: 'FETCH 2000 FROM looks', rowMode: 'array' });
        if (some.rows.length === 0) break;
        rows += some.rows.length;
        for (const row of some.rows as unknown[][])
          for (const cell of row) {
            // Columns of bytes come as bytes; all others hold what they hold as text.
            if (cell instanceof Uint8Array) inDatabase.add(cell);
            else if (typeof cell === 'string') inDatabase.add(Buffer.from(cell));
            else if (cell !== null) inDatabase.add(Buffer.from(JSON.stringify(cell)));
          }
      }
      await client.query('CLOSE looks');
    }
  } finally {
    await client.end();
  }
  return { rows, found: inDatabase.found() };
}

const kafka = await ofKafka();
const database = await ofDatabase();
process.stdout.write(
  `${JSON.stringify({ records: kafka.records, rows: database.rows, kafka: kafka.found, database: database.found })}\n`,
);
