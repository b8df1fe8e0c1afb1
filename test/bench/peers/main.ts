/**
 * `npm run bench -- peers`: the same work by us and by others, on one broker, to one sink: a message of a kilobyte comes in
 * by HTTP (to us: gRPC), is checked, goes through Kafka, and is posted to a receiver.
 *
 *   --messages N   of each (default 5,000; the figures of the page are of 100,000)
 *   --pace N       messages a second where latency is measured (default 100)
 *   --seconds N    for how long (default 10)
 *   --only NAME    one of nest, camel, watermill, bulk, unary
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { freePorts } from '#deploy/local';
import { type Country, kafkaPids, members, PRODUCT, type Servers, startCountry, startServers } from '../country.ts';
import { cpuOf, quantile, rssOf } from '../processes.ts';
import { end, endAll, program, type Sink, send, startSink } from '../programs.ts';
import { machine, note, number } from '../results.ts';
import type { SendOptions, Sent } from '../send.ts';
import { installed, linesOf, type Peer, peers } from './install.ts';

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    messages: { type: 'string', default: '5000' },
    pace: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '10' },
    only: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});
const messages = Number(values.messages);
const pace = Number(values.pace);
const seconds = Number(values.seconds);
/** Of all three: what they were not asked to do, and the gateway does in the figures beside theirs. */
const LACKS =
  'What peers do not do: know a message that comes twice; replace learners by pseudonyms, and reveal to each receiver only what its mandate allows; check that sender and receiver may do this for the school; decide on anything (product, licence, state) and keep what was decided; sign what is sent, and give each delivery an id by which a repeat is known; keep attempts in a ledger, park one key and go on with the others; tell where a message is. They answer once Kafka has the message, keep order by its key, and need no database. Our messages are of about 0.7 kB when they come in and 0.85 kB when they are posted, up to 100 in a request: the contract has no room for a longer note.';
/** To come to speed: code is compiled, connections are made. Not measured. */
const WARM = Math.max(1_000, Math.round(messages / 10));
/** Until it is killed, and in the whole run with a kill. */
const KILLED = { before: 1_000, all: 3_000 };
/** Nothing came for so long after a kill: Kafka keeps the lanes of a consumer that died for 45 s, where nobody set it shorter. */
const REJOIN_MS = 75_000;
const LEARNERS = 1_000;
const PARTITIONS = 8;
const SCHOOL = '0000000700099ZX00000';
const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Row {
  who: string;
  perSecond: number;
  /** Milliseconds of CPU a message. */
  service: number;
  broker: number;
  database: number;
  /** Sent → delivered, milliseconds. */
  p50: number;
  p99: number;
  memory: number;
  lines: string;
  disorder: number;
  /** What a message that was sent twice did. */
  twice: string;
  /** After a kill: accepted and never delivered, and delivered again. */
  lost: number;
  repeats: number;
}

/** What a service must offer to be measured. */
interface Measured {
  who: string;
  lines: string;
  options: Omit<
    SendOptions,
    'count' | 'from' | 'perSecond' | 'atOnce' | 'isStubborn' | 'isSmall' | 'isSilent' | 'learners'
  >;
  /** CPU-seconds so far. */
  used(): { service: number; broker: number; database: number };
  memory(): number;
  /** `kill -9`, and started again. */
  kill(): Promise<void>;
}

async function measure(sink: Sink, one: Measured): Promise<Row> {
  const { options } = one;
  let from = 0;
  const begin = (count: number, more: Partial<SendOptions> = {}): Promise<Sent> => {
    const sent = send({
      ...options,
      learners: LEARNERS,
      perSecond: 0,
      atOnce: 32,
      isStubborn: false,
      isSmall: false,
      isSilent: false,
      count,
      from,
      ...more,
    });
    from += count;
    return sent;
  };
  const taken = ({ answered }: Sent): number => answered.filter((at) => at !== null).length;
  const whole = async (count: number, more?: Partial<SendOptions>): Promise<Sent> => {
    const sent = await begin(count, more);
    if (sent.failed > 0) throw new Error(`${one.who} refused ${sent.failed}: ${sent.words}`);
    const { distinct } = await sink.until(from);
    if (distinct < from) throw new Error(`${one.who} delivered ${distinct} of ${from}`);
    return sent;
  };

  await sink.forget(LEARNERS);
  await whole(WARM);
  // Everything is sent as fast as it is taken; from the first byte to the last arrival.
  const before = one.used();
  const start = from;
  const sent = await whole(messages);
  const after = one.used();
  const arrivals = (await sink.times()).slice(start);
  const perSecond = (messages * 1000) / (Math.max(...(arrivals as number[])) - sent.due[0]!);
  const memory = one.memory();
  const ms = (cpu: number): number => (cpu * 1000) / messages;
  const { disorder } = await sink.seen();

  const at = from;
  const paced = await whole(pace * seconds, { perSecond: pace });
  const delivered = (await sink.times()).slice(at);
  // The first second is of who comes from rest.
  const waits = paced.due.map((due, i) => delivered[i]! - due).slice(pace);

  const twice = await sentTwice(sink, begin);

  from = 0;
  await sink.forget(LEARNERS);
  from = 50_000_000;
  // Numbers of this part begin high, so that an id of ours is not one that it has seen.
  const killed = begin(KILLED.all, { isStubborn: true });
  await sink.until(KILLED.before);
  await one.kill();
  const through = await killed;
  const last = await sink.until(taken(through), REJOIN_MS);
  // Repeats may come late.
  await sleep(3_000);
  const settled = await sink.seen();
  const row: Row = {
    who: one.who,
    perSecond,
    service: ms(after.service - before.service),
    broker: ms(after.broker - before.broker),
    database: ms(after.database - before.database),
    p50: quantile(waits, 0.5),
    p99: quantile(waits, 0.99),
    memory,
    lines: one.lines,
    disorder,
    twice,
    lost: taken(through) - last.distinct,
    repeats: settled.arrivals - settled.distinct,
  };
  say(JSON.stringify(row));
  return row;
}

/** Whether a message that a sender repeats, because it had no answer, is delivered twice. */
async function sentTwice(
  sink: Sink,
  begin: (count: number, more: Partial<SendOptions>) => Promise<Sent>,
): Promise<string> {
  const { arrivals } = await sink.seen();
  const from = 40_000_000;
  for (let i = 0; i < 2; i++) await begin(1, { from });
  for (let i = 0; i < 100 && (await sink.seen()).arrivals < arrivals + 2; i++) await sleep(50);
  return (await sink.seen()).arrivals === arrivals + 1 ? 'once' : 'twice';
}

async function peerOf(servers: Servers, sink: Sink, peer: Peer): Promise<Row> {
  const cwd = await installed(peer);
  const topic = `peer-${peer.folder}`;
  const admin = new Kafka({ brokers: servers.kafka.brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: PARTITIONS }] });
  const [port] = await freePorts(1);
  const address = `http://127.0.0.1:${port}/messages`;
  let child: ChildProcess;
  /** Resolves when it takes messages and its consumer has its partitions. */
  const start = async (): Promise<void> => {
    child = program({
      ...peer.start,
      cwd,
      env: { PORT: String(port), BROKERS: servers.kafka.brokers.join(','), TOPIC: topic, SINK: sink.url },
    });
    child.stdout!.resume();
    for (let i = 0; ; i++) {
      const status = await fetch(address, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      })
        .then(async (answer) => {
          await answer.arrayBuffer();
          return answer.status;
        })
        .catch(() => 0);
      if (status === 400) return;
      if (i > 600 || child.exitCode !== null) throw new Error(`${peer.name} did not start; it answered ${status}`);
      await sleep(100);
    }
  };
  await start();
  try {
    return await measure(sink, {
      who: peer.name,
      lines: String(linesOf(peer)),
      options: { kind: 'http', address, authorization: '', schools: [SCHOOL], product: PRODUCT },
      used: () => ({ service: cpuOf([child.pid!]), broker: cpuOf(kafkaPids(servers)), database: 0 }),
      memory: () => rssOf([child.pid!]),
      async kill() {
        await end(child, 'SIGKILL');
        await start();
      },
    });
  } finally {
    await end(child!);
    await admin.disconnect();
  }
}

async function ourselves(country: Country, sink: Sink, kind: 'stream' | 'unary'): Promise<Row> {
  const seller = await members(country, { url: sink.url, of: kind === 'stream' ? 'grants' : 'orders' });
  return measure(sink, {
    who: kind === 'stream' ? 'this gateway, bulk grants' : 'this gateway, orders one by one',
    lines: '0',
    options: { kind, address: country.grpc, product: PRODUCT, ...seller },
    used() {
      const { gateway, broker, database } = country.used();
      return { service: gateway, broker, database };
    },
    memory: () => rssOf(country.roles().map(({ pid }) => pid)),
    async kill() {
      for (const { pid } of country.roles()) process.kill(pid, 'SIGKILL');
    },
  });
}

const only = values.only;
const sink = await startSink();
const rows: Row[] = [];
/** On servers of its own: what one left there, such as the product of another seller, is not the next one's. */
async function onServers(run: (servers: Servers) => Promise<Row>): Promise<void> {
  const servers = await startServers();
  try {
    rows.push(await run(servers));
  } finally {
    await servers.stop();
  }
}
try {
  for (const peer of peers)
    if (!only || only === peer.folder) await onServers((servers) => peerOf(servers, sink, peer));
  const kinds = (
    [
      ['bulk', 'stream'],
      ['unary', 'unary'],
    ] as const
  ).filter(([name]) => !only || only === name);
  for (const [, kind] of kinds)
    await onServers(async (servers) => {
      const country = await startCountry(servers);
      try {
        return await ourselves(country, sink, kind);
      } finally {
        await country.stop();
      }
    });
} finally {
  await endAll();
}

note('Peers', [
  `${machine()}${values.quiet ? '' : ' Measured on a busy machine: CPU holds, time does not.'} ${number(messages)} messages of 1 kB each, 32 at once; latency at ${pace} a second for ${seconds} s.`,
  '',
  '| who | messages/s | CPU of the service per 1,000 | with broker and database | sent → delivered p50 | p99 | memory | lines of user code | out of order | sent twice, delivered | `kill -9`: lost, repeated |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
  ...rows.map(
    (row) =>
      `| ${[
        row.who,
        number(row.perSecond),
        `${number(row.service, 2)} s`,
        `${number(row.service + row.broker + row.database, 2)} s`,
        `${number(row.p50)} ms`,
        `${number(row.p99)} ms`,
        `${number(row.memory)} MB`,
        row.lines,
        number(row.disorder),
        row.twice,
        `${row.lost}, ${row.repeats}`,
      ].join(' | ')} |`,
  ),
  '',
  LACKS,
  '',
  ...peers.map(({ name, lacks }) => `- ${name}: ${lacks}.`),
]);
