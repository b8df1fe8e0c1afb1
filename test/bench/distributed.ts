/**
 * `npm run bench -- distributed`: the gateway as roles on a real Kafka and PostgreSQL of this machine. Ratios against the
 * bare library, CPU by role, broker and database, and how it grows.
 *
 *   --only PART     stream, unary, delivered or growth
 *   --messages N    of stream and delivered (default 5,000)
 *   --events N      of growth (default 20,000; a grant is two), --schools N (default 100)
 *   --profile       delivered: also the costliest functions of each role, which are slower for it
 *   --quiet         said in the results: the machine did nothing else
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client, credentials } from '@grpc/grpc-js';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import { wire } from '../chain/gateway.ts';
import { costOf } from './cost.ts';
import {
  between,
  type Country,
  members,
  PRODUCT,
  profilesIn,
  type Seller,
  type Servers,
  startCountry,
  startServers,
  type Used,
} from './country.ts';
import type { LoadOptions } from './load.ts';
import { nowMs, quantile, rssOf } from './processes.ts';
import { costliest, profileClock } from './profile.ts';
import { end, endAll, lineOf, program, type Sink, send, startSink } from './programs.ts';
import { machine, note, number } from './results.ts';
import type { SendOptions } from './send.ts';

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    only: { type: 'string' },
    messages: { type: 'string', default: '5000' },
    events: { type: 'string', default: '20000' },
    schools: { type: 'string', default: '100' },
    profile: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
  },
});
const messages = Number(values.messages);
const LEARNERS = 1_000;
const RUNS = 3;
const SAMPLE_MS = 200;
const rows: string[] = [];
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const row = (what: string, ours: string, against: string, wanted: string, met: boolean | undefined): void => {
  const said = met === undefined ? '' : met ? 'yes' : '**no**';
  rows.push(`| ${what} | ${ours} | ${against} | ${wanted} | ${said} |`);
  say(`${said.padEnd(7)}${what}: ${ours}${against && ` against ${against}`}${wanted && ` (wanted ${wanted})`}`);
};

interface Loaded {
  perSecond: number;
  p50: number;
  p99: number;
  failed: number;
  refused: number;
  first: string;
}

const load = async (options: Partial<LoadOptions>): Promise<Loaded> => {
  const common = {
    product: PRODUCT,
    learners: LEARNERS,
    waitMs: 0,
    forMs: 0,
    atOnce: 32,
    from: 0,
    authorization: '',
    school: '',
  };
  const child = program({ args: ['load.ts', JSON.stringify({ ...common, ...options })] });
  const told = JSON.parse(await lineOf(child, (line) => line.includes('perSecond'))) as Loaded;
  if (told.failed > 0 || told.refused > 0) throw new Error(`the load was refused: ${told.first}`);
  return told;
};

async function bare(): Promise<{ address: string; stop(): Promise<void> }> {
  const child = program({ args: ['bare.ts'] });
  const { port } = JSON.parse(await lineOf(child)) as { port: number };
  return { address: `127.0.0.1:${port}`, stop: () => end(child) };
}

/** Looks again and again at how old the oldest event is that is not on its topic; the answer ends it, and tells the most. */
function watchAge(country: Country): () => Promise<number> {
  let isOver = false;
  let most = 0;
  const looking = (async () => {
    while (!isOver) {
      most = Math.max(most, await country.metric('eduk_unpublished_seconds', 'core'));
      await sleep(SAMPLE_MS);
    }
  })();
  return async () => {
    isOver = true;
    await looking;
    return most;
  };
}

async function benchStream(country: Country, sink: Sink, servers: Servers): Promise<void> {
  const { schools, authorization } = await members(country, { url: sink.url, of: 'nothing' });
  const path = '/eduk.gateway.v1.EntitlementService/GrantEntitlements';
  const stream = (count: number, from: number) =>
    load({ kind: 'stream', address: country.grpc, path, authorization, school: schools[0]!, count, from });
  await stream(2_000, 10_000_000);
  await country.settled();
  const cost = await costOf(country, servers);
  const plain = await bare();
  const ratios: number[] = [];
  let most = 0;
  let ours = 0;
  let theirs = 0;
  for (let i = 0; i < RUNS; i++) {
    theirs = (await load({ kind: 'stream', address: plain.address, path: '/bare/stream', count: messages * 4 }))
      .perSecond;
    const age = watchAge(country);
    let acknowledged = 0;
    const costs = await cost.of(messages, async () => {
      const started = nowMs();
      ({ perSecond: acknowledged } = await stream(messages, i * messages));
      await country.settled();
      ours = (messages * 1000) / (nowMs() - started);
    });
    most = Math.max(most, await age());
    ratios.push(ours / theirs);
    say(
      `  run ${i + 1}: ${number(ours)}/s through all services, ${number(acknowledged)}/s acknowledged, bare ${number(theirs)}/s`,
    );
    say(`  ${costs}`);
  }
  await cost.end();
  await plain.stop();
  const ratio = quantile(ratios, 0.5);
  row(
    'bulk grants, through all services',
    `${number(ours)}/s`,
    `${number(theirs)}/s bare stream: ${number(ratio, 3)}`,
    '≥ 0.15',
    ratio >= 0.15,
  );
  row('oldest accepted event that is not on its topic', `${number(most, 2)} s`, '', '≤ 1 s', most <= 1);
}

async function benchUnary(country: Country, sink: Sink, servers: Servers): Promise<void> {
  const { schools, authorization } = await members(country, { url: sink.url, of: 'orders' });
  const path = '/eduk.gateway.v1.OrderService/PlaceOrder';
  const place = (count: number, from: number) =>
    load({ kind: 'unary', address: country.grpc, path, authorization, school: schools[0]!, count, from });
  const count = Math.min(messages, 5_000);
  await place(500, 9_000_000);
  await country.settled();
  const cost = await costOf(country, servers);
  const plain = await bare();
  const ratios: number[] = [];
  let ours = { perSecond: 0, p99: 0 };
  let theirs = { perSecond: 0, p99: 0 };
  for (let i = 0; i < RUNS; i++) {
    theirs = await load({ kind: 'unary', address: plain.address, path: '/bare/echo', count: count * 2 });
    const costs = await cost.of(count, async () => {
      ours = await place(count, i * count);
      await country.settled();
    });
    say(`  run ${i + 1}: ${number(ours.perSecond)}/s; ${costs}`);
    ratios.push(ours.perSecond / theirs.perSecond);
  }
  await cost.end();
  await plain.stop();
  const ratio = quantile(ratios, 0.5);
  row(
    'unary PlaceOrder, 32 at once',
    `${number(ours.perSecond)}/s, p99 ${number(ours.p99)} ms`,
    `${number(theirs.perSecond)}/s bare echo, p99 ${number(theirs.p99)} ms: ${number(ratio, 3)}`,
    '≥ 0.40',
    ratio >= 0.4,
  );
}

const sending = (country: Country, seller: Seller): Omit<SendOptions, 'count' | 'from'> => ({
  kind: 'stream',
  address: country.grpc,
  learners: LEARNERS,
  perSecond: 0,
  atOnce: 1,
  isStubborn: false,
  isSmall: true,
  isSilent: false,
  product: PRODUCT,
  ...seller,
});

/** When what is measured ran, for profiles. */
const span = { from: 0, to: Number.POSITIVE_INFINITY };

async function benchDelivered(country: Country, sink: Sink): Promise<void> {
  const seller = await members(country, { url: sink.url, of: 'grants' });
  const base = sending(country, seller);
  await sink.forget(LEARNERS);
  let from = 0;
  const whole = async (count: number, perSecond = 0) => {
    const sent = await send({ ...base, count, from, perSecond });
    if (sent.failed > 0) throw new Error(`refused: ${sent.words}`);
    from += count;
    const seen = await sink.until(from);
    if (seen.distinct < from) {
      const { ages } = await country.operator.status({});
      const behind = ages.filter(({ unread, parkedKeys, gap }) => unread > 0 || parkedKeys > 0 || gap);
      const words = JSON.stringify({ seen, behind }, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
      throw new Error(`of ${from} not all were delivered: ${words}`);
    }
    // Who keeps the state of messages may be behind who delivers them; its CPU counts.
    await country.settled();
    return sent;
  };
  // A profile leaves the start away by itself.
  if (!values.profile) await whole(Math.max(2_000, messages / 5));
  const start = from;
  span.from = profileClock();
  const before = country.used();
  const sent = await whole(messages);
  const used = between(before, country.used());
  span.to = profileClock();
  const arrivals = (await sink.times()).slice(start) as number[];
  const perSecond = (messages * 1000) / (Math.max(...arrivals) - sent.due[0]!);
  const ms = (cpu: number): string => `${number((cpu * 1000) / messages, 2)} ms`;
  const all = used.gateway + used.broker + used.database;
  say(`  CPU a message: ${words(used, ms)}`);
  row('accepted → decided → delivered, as fast as it goes', `${number(perSecond)}/s`, '', '', undefined);
  row(
    'the same, by CPU of gateway processes',
    `${number(messages / used.gateway)}/s per core`,
    words(used, ms),
    '≥ 2,000/s',
    messages / used.gateway >= 2_000,
  );
  row(
    'the same, with broker and database',
    `${ms(all)} a message`,
    `broker ${ms(used.broker)}, database ${ms(used.database)}`,
    '≤ 1 ms',
    (all * 1000) / messages <= 1,
  );
  const half = perSecond / 2;
  const at = from;
  const paced = await whole(Math.round(Math.min(messages, half * 30)), half);
  const delivered = (await sink.times()).slice(at) as number[];
  const waits = paced.answered.map((answered, i) => Math.max(0, delivered[i]! - answered!)).slice(Math.round(half));
  const sentWaits = paced.due.map((due, i) => delivered[i]! - due).slice(Math.round(half));
  row(
    `accepted → delivered at ${number(half)}/s, half of that`,
    `p50 ${number(quantile(waits, 0.5))} ms, p99 ${number(quantile(waits, 0.99))} ms`,
    `from sending: p50 ${number(quantile(sentWaits, 0.5))} ms, p99 ${number(quantile(sentWaits, 0.99))} ms`,
    '',
    undefined,
  );
  const { disorder, arrivals: came, distinct } = await sink.seen();
  row(
    'delivered out of order per learner; delivered again',
    `${disorder}; ${came - distinct}`,
    '',
    '0; 0',
    disorder + came - distinct === 0,
  );
}

const words = ({ roles, broker, database }: Used, ms: (cpu: number) => string): string =>
  [...Object.entries(roles), ['broker', broker] as const, ['database', database] as const]
    .map(([name, cpu]) => `${name} ${ms(cpu)}`)
    .join(', ');

/** Ten parts of equal size; what each took, and how quickly one row is found at the end. */
async function benchGrowth(country: Country, sink: Sink): Promise<void> {
  const schools = Number(values.schools);
  const events = Number(values.events);
  const part = Math.ceil(events / 2 / 10);
  const seller = await members(country, { url: sink.url, of: 'nothing' }, schools);
  await country.settled();
  const base = { ...sending(country, seller), learners: schools * 300, isSilent: true };
  const speeds: number[] = [];
  const memory: number[] = [];
  const cpu: number[] = [];
  for (let i = 0; i < 10; i++) {
    const started = nowMs();
    const before = country.used();
    const { failed, words } = await send({ ...base, count: part, from: i * part });
    if (failed > 0) throw new Error(`refused: ${words}`);
    await country.settled();
    const used = between(before, country.used());
    speeds.push((part * 1000) / (nowMs() - started));
    memory.push(rssOf(country.roles().map(({ pid }) => pid)));
    cpu.push(((used.gateway + used.broker + used.database) * 1000) / part);
    say(
      `  ${i + 1} tenths: ${number(speeds[i]!)}/s, ${number(cpu[i]!, 2)} ms of CPU a grant, ${number(memory[i]!)} MB`,
    );
  }
  const channel = new Client(country.grpc, credentials.createInsecure());
  const ask = wire(EntitlementServiceDefinition, channel, seller.authorization);
  const waits: number[] = [];
  for (let i = 0; i < 2_000; i++) {
    const n = Math.floor(Math.random() * part * 10);
    const started = nowMs();
    const { entitlement } = await ask.getEntitlement({
      schoolOin: seller.schools[n % schools]!,
      entitlementId: `m-${String(n).padStart(8, '0')}`,
    });
    if (!entitlement) throw new Error('one that was granted is not found');
    waits.push(nowMs() - started);
  }
  channel.close();
  const what = `${number(part * 20)} events, ${number(schools)} schools`;
  // The first tenth is also of who comes to speed.
  const ratio = speeds[9]! / speeds[1]!;
  const cpuRatio = cpu[9]! / cpu[1]!;
  row(
    `${what}: last tenth against the second`,
    `${number(speeds[9]!)}/s`,
    `${number(speeds[1]!)}/s: ${number(ratio, 2)}`,
    '≥ 0.75',
    ratio >= 0.75,
  );
  row(
    `${what}: CPU of all, the same`,
    `${number(cpu[9]!, 2)} ms`,
    `${number(cpu[1]!, 2)} ms: ${number(cpuRatio, 2)}`,
    '≤ 1.33',
    cpuRatio <= 1.33,
  );
  const grown = memory[9]! / memory[1]!;
  row(
    `${what}: memory of all roles, the same`,
    `${number(memory[9]!)} MB`,
    `${number(memory[1]!)} MB: ${number(grown, 2)}`,
    '≤ 1.15',
    grown <= 1.15,
  );
  const p99 = quantile(waits, 0.99);
  row(
    `${what}: GetEntitlement by its key`,
    `p50 ${number(quantile(waits, 0.5), 1)} ms, p99 ${number(p99, 1)} ms`,
    '',
    'p99 < 20 ms',
    p99 < 20,
  );
}

const parts: Record<string, (country: Country, sink: Sink, servers: Servers) => Promise<void>> = {
  stream: benchStream,
  unary: benchUnary,
  delivered: benchDelivered,
  growth: benchGrowth,
};
if (values.only && !parts[values.only]) {
  process.stderr.write(`the parts are ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}
const profiles = values.profile ? mkdtempSync(join(tmpdir(), 'eduk-profiles-')) : undefined;
const sink = await startSink();
try {
  for (const [name, run] of Object.entries(parts)) {
    if (values.only && values.only !== name) continue;
    say(`# ${name}`);
    // Each on servers of its own, so that none has the rows of the one before.
    const servers = await startServers();
    try {
      const country = await startCountry(servers, { profiles });
      const roles = country.roles();
      try {
        await run(country, sink, servers);
      } finally {
        await country.stop();
        // Also of a run that failed later.
        if (name === 'delivered' && profiles)
          for (const [role, file] of Object.entries(profilesIn(profiles, roles)))
            say([`## ${role}`, ...costliest(file, span, 25)].join('\n'));
      }
    } finally {
      await servers.stop();
    }
  }
} finally {
  await endAll();
  if (profiles) rmSync(profiles, { recursive: true, force: true });
}

if (!values.profile)
  note('Distributed', [
    `${machine()}${values.quiet ? '' : ' Measured on a busy machine: CPU and ratios hold, time does not.'} ${number(messages)} messages a run, one broker, one process a role.`,
    '',
    '| what | ours | against, or of what | wanted | met |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ]);
