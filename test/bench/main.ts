/**
 * `npm run bench`: ratios within one run, ours against the bare library on the same machine at the same time. A started
 * gateway is driven over TCP from another process. Appends to RESULTS.md beside this file.
 *
 *   npm run bench                     everything but the million
 *   npm run bench -- --million        also 1,000,000 grants, with memory by tenth and fairness beside it
 *   npm run bench -- --only stream    one part: start, stream, accept, unary, fairness, edexml, edexml-10mb, uwlr, vault, pull, console, replay, trust,
 *                                     delivery, delivery-xml (results to an administration over UWLR), delivery-sick (47 endpoints beside three sick ones),
 *                                     delivery-many (10,000, of which 1 % are sick; only when named), search (ten million flows on disk, some 8 GB for a
 *                                     while; only when named)
 *   npm run bench -- trust            the same as --only trust: what identity, mandates, pseudonyms and the log of what was done cost intake;
 *                                     with --short a few calls, to see that it works, written nowhere
 *   npm run bench -- distributed      roles on Kafka and PostgreSQL: distributed.ts
 *   npm run bench -- peers            the same work by us and by others: peers/main.ts
 *   npm run bench -- connections      memory under 10,000 idle and 1,000 slow connections, or --idle N --slow N: idle.ts
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { newOin, newSchool, sendAll, type WireClient, wire } from '../chain/gateway.ts';
import { acceptAlone } from './accept.ts';
import { consoleFigures } from './console.ts';
import { deliveryFigures, FIFTY, type Kind, type Measured, oneInHundred, sickFigures } from './delivery.ts';
import { type Place, placesIn, xmlDeliveryFigures } from './delivery-xml.ts';
import { edexmlRatios, largeEdexml } from './edexml.ts';
import type { Filled, FillOptions } from './fill.ts';
import type { LoadOptions } from './load.ts';
import { Month } from './month.ts';
import { quantile } from './processes.ts';
import { profileClock } from './profile.ts';
import { endAll, lineOf, program, send } from './programs.ts';
import { pullFigures } from './pull.ts';
import { replayFigures } from './replay.ts';
import { searchFigures } from './search.ts';
import { intakeOf, trustParts } from './trust.ts';
import { Bringing, bringerFor, pupilKey, resultsDocument } from './uwlr.ts';
import { vaultRates } from './vault.ts';

const PRODUCT = '9789000000019';
const args = process.argv.slice(2);
const other = { distributed: './distributed.ts', peers: './peers/main.ts', connections: './idle.ts' }[args[0] ?? ''];
if (other !== undefined) {
  await import(other);
  process.exit();
}
if (args[0] === 'trust') args.splice(0, 1, '--only', 'trust');
const only = args.includes('--only') ? args[args.indexOf('--only') + 1] : undefined;
const isShort = args.includes('--short');
const unknown = args.filter((arg, i) => !['--million', '--only', '--short'].includes(arg) && args[i - 1] !== '--only');
if (unknown.length > 0) {
  process.stderr.write(`bench does not know ${unknown[0]}\n`);
  process.exit(2);
}
const children = new Set<ChildProcess>();
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const rows: { what: string; ours: string; against: string; ratio: string; wanted: string; met: boolean }[] = [];
const round = (n: number, digits = 0): string =>
  n.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (list: number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;

function child(script: string, argv: string[], env: Record<string, string> = {}): ChildProcess {
  const started = spawn(process.execPath, [join(import.meta.dirname, script), ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  children.add(started);
  started.once('exit', () => children.delete(started));
  return started;
}

const firstLine = (of: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    of.stdout!.on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve(text.split('\n')[0]!);
    });
    of.once('exit', (code) => reject(new Error(`a program of the bench ended with ${code}`)));
  });

async function load(
  options: LoadOptions,
  onLine?: (line: Record<string, number>) => void,
): Promise<Record<string, any>> {
  const run = child('load.ts', [JSON.stringify(options)]);
  let rest = '';
  let last: Record<string, any> = {};
  run.stdout!.on('data', (data) => {
    rest += data;
    const lines = rest.split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      last = JSON.parse(line);
      onLine?.(last);
    }
  });
  const code = await new Promise((resolve) => run.once('exit', resolve));
  if (code !== 0) throw new Error(`the load ended with ${code}`);
  return last;
}

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

interface Gateway {
  process: ChildProcess;
  grpc: string;
  http: string;
  console: string;
  operatorKey: string;
  readyMs: number;
  operator: WireClient<typeof OperatorServiceDefinition>;
  stop(): Promise<void>;
}

/** `env`: what its process has besides. With a data folder in it that one is used, and stays. */
async function startGateway(env: Record<string, string> = {}): Promise<Gateway> {
  const parent = env['EDUK_DATA'] === undefined ? mkdtempSync(join(tmpdir(), 'eduk-bench-')) : undefined;
  const data = env['EDUK_DATA'] ?? join(parent!, 'data');
  const started = performance.now();
  const run = child('../../services/cli/eduk.js', ['start'], {
    EDUK_DATA: data,
    EDUK_GRPC: '127.0.0.1:0',
    EDUK_HTTP: '127.0.0.1:0',
    EDUK_LOG: 'error',
    ...env,
  });
  const line = await firstLine(run);
  const readyMs = performance.now() - started;
  const { grpc, http, console } = JSON.parse(readFileSync(join(data, 'addresses.json'), 'utf8'));
  const operatorKey = readFileSync(join(data, 'operator.key'), 'utf8').trim();
  if (!line.startsWith('ready ')) throw new Error('the gateway did not say that it is ready');
  const channel = new Client(grpc, credentials.createInsecure());
  return {
    process: run,
    grpc,
    http: `http://${http}`,
    console,
    operatorKey,
    readyMs,
    operator: wire(OperatorServiceDefinition, channel, `Bearer ${operatorKey}`),
    async stop() {
      channel.close();
      run.kill('SIGTERM');
      await new Promise((resolve) => run.once('exit', resolve));
      if (parent !== undefined) rmSync(parent, { recursive: true, force: true });
    },
  };
}

/** A seller of one product at a school of its own. */
async function seller(at: Gateway, name: string): Promise<{ school: string; apiKey: string }> {
  const oin = newOin();
  const school = newSchool();
  const { apiKey } = await at.operator.addParty({
    party: { oin, name, roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM, Role.ROLE_DISTRIBUTOR] },
  });
  await at.operator.grantMandate({
    mandate: { schoolOin: school, partyOin: oin, services: [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT] },
    confirm: true,
  });
  return { school, apiKey };
}

async function publish(at: Gateway): Promise<void> {
  const oin = newOin();
  const { apiKey } = await at.operator.addParty({
    party: { oin, name: 'Uitgeverij Meting', roles: [Role.ROLE_PUBLISHER] },
  });
  const channel = new Client(at.grpc, credentials.createInsecure());
  await sendAll(wire(CatalogueServiceDefinition, channel, `Bearer ${apiKey}`).publishProducts(), [
    { reference: 'p', product: { productId: PRODUCT, title: 'Meten is weten', licence: { licensed: true } } },
  ]);
  channel.close();
  await atHead(at);
}

/** Waits until every consumer is within a second of the head; gives the ages then. */
async function atHead(at: Gateway, patienceMs = 300_000) {
  const until = Date.now() + patienceMs;
  for (;;) {
    const { ages } = await at.operator.status({});
    if (ages.every(({ oldestUnreadMs }) => Number(oldestUnreadMs) < 1000)) return ages;
    if (Date.now() > until) throw new Error('a consumer does not come near the head');
    await sleep(20);
  }
}

/** Asks again and again how far the flows are behind the head, as many milliseconds as their oldest unread record has waited; the answer ends it. */
function flowsBehind(at: Gateway): () => Promise<number[]> {
  const seen: number[] = [];
  let ended = false;
  const asking = (async () => {
    while (!ended) {
      const { ages } = await at.operator.status({});
      const flows = ages.filter(({ consumer }) => consumer === 'flows');
      if (flows.length === 0) throw new Error('no consumer is called flows');
      seen.push(Math.max(...flows.map(({ oldestUnreadMs }) => Number(oldestUnreadMs))));
      await sleep(100);
    }
  })();
  return async () => {
    ended = true;
    await asking;
    return seen;
  };
}

const grantPath = '/eduk.gateway.v1.EntitlementService/GrantEntitlements';
const orderPath = '/eduk.gateway.v1.OrderService/PlaceOrder';
const common = { product: PRODUCT, learners: 1200, waitMs: 0, forMs: 0, atOnce: 32, from: 0 };

async function bare(): Promise<{ address: string; stop(): void }> {
  const run = child('bare.ts', []);
  const { port } = JSON.parse(await firstLine(run)) as { port: number };
  return { address: `127.0.0.1:${port}`, stop: () => void run.kill() };
}

function row(
  what: string,
  ours: string,
  against: string,
  ratio: number,
  wanted: string,
  met: boolean,
  digits = 2,
): void {
  rows.push({ what, ours, against, ratio: round(ratio, digits), wanted, met });
  say(
    `${met ? 'met   ' : 'MISSED'} ${what}: ${ours}${against ? ` against ${against}` : ''}, ${round(ratio, digits)} (wanted ${wanted})`,
  );
}

async function benchStart(): Promise<void> {
  const times: number[] = [];
  let idle = 0;
  for (let i = 0; i < 5; i++) {
    const at = await startGateway();
    times.push(at.readyMs);
    if (i === 4) {
      await sleep(3000);
      idle = rssOf(at.process.pid!);
    }
    await at.stop();
  }
  row(
    'start until ready, median of 5',
    `${round(median(times))} ms`,
    '',
    median(times) / 1000,
    '< 2 s',
    median(times) < 2000,
  );
  row('memory when idle', `${round(idle)} MB`, '', idle, '< 200 MB', idle < 200, 0);
}

async function benchStream(): Promise<void> {
  const at = await startGateway();
  const plain = await bare();
  await publish(at);
  const { school, apiKey } = await seller(at, 'Meetverkoper');
  const base = { ...common, authorization: `Bearer ${apiKey}`, school };
  const stream = (count: number, from: number) =>
    load({ ...base, address: at.grpc, path: grantPath, kind: 'stream', count, from });
  await stream(2_000, 10_000_000); // Warm.
  const ratios: number[] = [];
  let ours = { perSecond: 0, cpu: 0 };
  let reference = 0;
  const behind: number[] = [];
  for (let i = 0; i < 3; i++) {
    const b = await load({ ...base, address: plain.address, path: '/bare/stream', kind: 'stream', count: 100_000 });
    await fetch(`${at.http}/metrics`);
    const looked = flowsBehind(at);
    const cpu = cpuOf(at.process.pid!);
    const started = performance.now();
    const count = 40_000;
    const o = await stream(count, i * count);
    const ages = await atHead(at);
    behind.push(...(await looked()));
    const seconds = (performance.now() - started) / 1000;
    const page = await (await fetch(`${at.http}/metrics`)).text();
    if (o['refused'] > 0) throw new Error(`the stream was refused: ${o['first']}`);
    ratios.push(count / seconds / b['perSecond']);
    ours = { perSecond: count / seconds, cpu: ((cpuOf(at.process.pid!) - cpu) / count) * 1000 };
    reference = b['perSecond'];
    say(
      `  run ${i + 1}: ours ${round(ours.perSecond)}/s (acknowledged ${round(o['perSecond'])}/s), bare ${round(reference)}/s, CPU ${round(ours.cpu, 3)} s per 1,000; oldest unread ${
        ages
          .map(({ consumer, stream, oldestUnreadMs }) =>
            Number(oldestUnreadMs) > 0 ? `${consumer}/${stream} ${oldestUnreadMs} ms` : '',
          )
          .filter(Boolean)
          .join(', ') || 'nothing'
      }`,
    );
    const p99 = Number(/event_loop_delay_seconds\{quantile="0.99"\} ([\d.e-]+)/.exec(page)![1]) * 1000;
    if (i === 2)
      row('event-loop delay of the doors at full intake, p99', `${round(p99, 1)} ms`, '', p99, '< 20 ms', p99 < 20, 1);
  }
  row(
    'bulk grants, whole pipeline, every consumer within 1 s of the head',
    `${round(ours.perSecond)}/s`,
    `${round(reference)}/s bare stream`,
    median(ratios),
    '≥ 0.15',
    median(ratios) >= 0.15,
    3,
  );
  row('CPU of the gateway per 1,000 grants', `${round(ours.cpu, 3)} s`, '', ours.cpu, 'written down', true, 3);
  const [far, farthest] = [quantile(behind, 0.99) / 1000, Math.max(...behind) / 1000];
  row(
    `flows behind the head at full intake, p99 of ${behind.length} looks`,
    `${round(far, 2)} s, ${round(farthest, 2)} s at most`,
    '',
    far,
    '≤ 1 s',
    far <= 1,
  );
  plain.stop();
  await at.stop();
}

async function benchAccept(): Promise<void> {
  const plain = await bare();
  const b = await load({
    ...common,
    authorization: '',
    school: '',
    address: plain.address,
    path: '/bare/stream',
    kind: 'stream',
    count: 100_000,
  });
  const perSecond = await acceptAlone(60_000);
  plain.stop();
  row(
    'accept alone, durable, groups of 200',
    `${round(perSecond)}/s`,
    `${round(b['perSecond'])}/s bare stream`,
    perSecond / b['perSecond'],
    '≥ 0.30',
    perSecond / b['perSecond'] >= 0.3,
    3,
  );
}

async function benchUnary(): Promise<void> {
  const at = await startGateway();
  const plain = await bare();
  await publish(at);
  const { school, apiKey } = await seller(at, 'Meetkoper');
  const base = { ...common, kind: 'unary' as const, authorization: `Bearer ${apiKey}`, school };
  await load({ ...base, address: at.grpc, path: orderPath, count: 500, from: 9_000_000 });
  const ratios: number[] = [];
  const tails: number[] = [];
  let ours = { perSecond: 0, p99: 0 };
  let theirs = { perSecond: 0, p99: 0 };
  for (let i = 0; i < 3; i++) {
    theirs = (await load({ ...base, address: plain.address, path: '/bare/echo', count: 8_000 })) as typeof theirs;
    const o = await load({ ...base, address: at.grpc, path: orderPath, count: 5_000, from: i * 5_000 });
    if (o['failed'] > 0) throw new Error(`an order was refused: ${o['first']}`);
    ours = o as never;
    await atHead(at);
    ratios.push(ours.perSecond / theirs.perSecond);
    tails.push(ours.p99 / theirs.p99);
  }
  row(
    'unary PlaceOrder, 32 at once',
    `${round(ours.perSecond)}/s`,
    `${round(theirs.perSecond)}/s bare echo`,
    median(ratios),
    '≥ 0.50',
    median(ratios) >= 0.5,
    3,
  );
  row(
    'p99 of the same',
    `${round(ours.p99, 1)} ms`,
    `${round(theirs.p99, 1)} ms bare echo`,
    median(tails),
    '≤ 3',
    median(tails) <= 3,
  );
  plain.stop();
  await at.stop();
}

/** A stream of many items must not lift another party's accepted → decided above 3 s at p99. */
async function benchFairness(count: number): Promise<void> {
  const at = await startGateway();
  await publish(at);
  const big = await seller(at, 'Grootverkoper');
  const small = await seller(at, 'Kleine koper');
  const memory: number[] = [];
  const streaming = load(
    {
      ...common,
      authorization: `Bearer ${big.apiKey}`,
      school: big.school,
      address: at.grpc,
      path: grantPath,
      kind: 'stream',
      count,
      learners: Math.min(count, 100_000),
    },
    (line) => {
      if (line['tenth']) {
        memory.push(rssOf(at.process.pid!));
        say(`  ${line['tenth']} tenths after ${round(line['ms']! / 1000)} s, ${round(memory.at(-1)!)} MB`);
      }
    },
  );
  await sleep(1000);
  let over = false;
  void streaming.then(() => {
    over = true;
  });
  const p99s: number[] = [];
  for (let from = 0; !over; from += 1_000_000) {
    const o = await load({
      ...common,
      authorization: `Bearer ${small.apiKey}`,
      school: small.school,
      address: at.grpc,
      path: orderPath,
      kind: 'unary',
      count: 0,
      atOnce: 1,
      waitMs: 30_000,
      forMs: 4_000,
      from,
    });
    if (o['failed'] > 0 || o['undecided'] > 0)
      throw new Error(
        `the small party was not served: ${o['failed']} failed, ${o['undecided']} undecided ${o['first']}`,
      );
    p99s.push(o['p99']);
  }
  const result = await streaming;
  const started = performance.now();
  const ages = await atHead(at);
  const worst = Math.max(...p99s);
  row(
    `accepted → decided of another party beside a stream of ${round(count)}, worst p99 of 4 s windows`,
    `${round(worst)} ms`,
    '',
    worst / 1000,
    '≤ 3 s',
    worst <= 3000,
  );
  say(
    `  the stream: ${round(result['perSecond'])}/s; every consumer near the head ${round((performance.now() - started) / 1000, 1)} s after its end; ${ages.length} consumer streams`,
  );
  if (memory.length >= 10) {
    row(
      `memory after ${round(count)} grants`,
      `${round(memory[9]!)} MB`,
      '',
      memory[9]!,
      '< 300 MB',
      memory[9]! < 300,
      0,
    );
    row(
      'memory, last tenth against first',
      `${round(memory[9]!)} MB`,
      `${round(memory[0]!)} MB`,
      memory[9]! / memory[0]!,
      '≤ 1.15',
      memory[9]! / memory[0]! <= 1.15,
    );
  }
  await at.stop();
}

async function benchEdexml(): Promise<void> {
  const { kb, first, known } = await edexmlRatios();
  row(
    `EDEXML file of ${round(kb)} kB, read to identified, pupils known`,
    `${round(known.ours, 1)} ms`,
    `${round(known.bare, 1)} ms parse with XSD`,
    known.ratio,
    '≤ 4',
    known.ratio <= 4,
  );
  row(
    'the same at first sight',
    `${round(first.ours, 1)} ms`,
    `${round(first.bare, 1)} ms parse with XSD`,
    first.ratio,
    '≤ 7',
    first.ratio <= 7,
  );
}

async function benchLargeEdexml(): Promise<void> {
  const { mb, first } = await largeEdexml();
  row(
    `EDEXML file of ${round(mb)} MB, read to identified, at first sight`,
    `${round(first.ours)} ms`,
    `${round(first.bare)} ms parse with XSD`,
    first.ratio,
    '≤ 4',
    first.ratio <= 4,
  );
}

/** A whole school over UWLR: when the answer starts, and what it takes in memory beside what is always there. */
async function benchPull(): Promise<void> {
  const at = await startGateway();
  const pupils = isShort ? 600 : 2_500;
  const pid = at.process.pid!;
  const { startedMs, endedMs, mb, inPieces, before } = await pullFigures(at, pupils, isShort ? 3 : 20, () =>
    rssOf(pid),
  );
  row(
    `UWLR pull of ${round(pupils)} pupils (${round(mb, 1)} MB): first byte`,
    `${round(startedMs, 1)} ms`,
    `${round(endedMs, 1)} ms to the last`,
    startedMs / endedMs,
    '≤ 150 ms',
    startedMs <= 150 && inPieces,
  );
  say(`       UWLR pull: ${round(rssOf(pid) - before, 1)} MB more resident after all of them`);
  await at.stop();
}

/** Pages in a browser on the same two cores, while 1,000 events a second come in. */
async function benchConsole(): Promise<void> {
  const at = await startGateway();
  await publish(at);
  const by = await seller(at, 'Meetkoper');
  const figures = await consoleFigures(
    at,
    { ...by, product: PRODUCT },
    { loads: isShort ? 2 : 20, changes: isShort ? 2 : 40, events: 1_000 },
  );
  await at.stop();
  if (figures === undefined) return say('no Chromium: the console is not measured');
  const { paints, updates, perSecond } = figures;
  const last = (list: number[]): number => Math.max(...list);
  const meanwhile = `${round(perSecond)} events/s meanwhile`;
  row(
    'console: first paint',
    `median ${round(median(paints))} ms`,
    meanwhile,
    last(paints),
    '≤ 1,000 ms',
    last(paints) <= 1_000,
    0,
  );
  row(
    'console: an event stands on an open page',
    `median ${round(median(updates))} ms`,
    meanwhile,
    last(updates),
    '≤ 1,000 ms',
    last(updates) <= 1_000,
    0,
  );
}

/** A learning application and an administration at a school of 2,500 pupils. */
async function benchUwlr(): Promise<void> {
  const at = await startGateway();
  const pupils = 2_500;
  const of = await bringerFor(measured(at), {
    school: newSchool(),
    las: newOin(),
    refs: Array.from({ length: pupils }, (_, i) => ({ lasKey: pupilKey(i) })),
  });
  const bringing = new Bringing(at.http, 8);
  let from = 0;
  const next = (count: number): Buffer => {
    from += count;
    return resultsDocument(of, from - count, count, pupils);
  };
  for (let i = 0; i < 20; i++) await bringing.bring(next(25)); // Warm.
  const large: number[] = [];
  for (let i = 0; i < (isShort ? 1 : 5); i++) {
    large.push(await bringing.bring(next(isShort ? 100 : 5_000)));
    await atHead(at);
  }
  row(
    'BrengLeerresultaten with 5,000 results until it is confirmed, median of 5',
    `${round(median(large))} ms`,
    '',
    median(large) / 1000,
    '< 1.5 s',
    median(large) < 1500,
  );
  const seconds = isShort ? 1 : 20;
  const cpu = cpuOf(at.process.pid!);
  let oldest = 0;
  const watching = setInterval(() => {
    void at.operator.status({}).then(({ ages }) => {
      oldest = Math.max(oldest, ...ages.map(({ oldestUnreadMs }) => Number(oldestUnreadMs)));
    });
  }, 500);
  const paced = await bringing.pace(() => next(25), { size: 25, perSecond: 1_200, seconds });
  clearInterval(watching);
  await atHead(at);
  const cores = (cpuOf(at.process.pid!) - cpu) / seconds;
  row(
    '1,200 results/s as messages of 25: processor time of the gateway, all its threads',
    `${round(cores, 2)} cores; slowest confirmation ${round(paced.slowestMs)} ms`,
    '',
    cores,
    '≤ 1 core, confirmed as they come',
    cores <= 1 && paced.lateMs < 1000,
  );
  row('the same: oldest unread of any consumer', `${round(oldest)} ms`, '', oldest, '< 1,000 ms', oldest < 1000, 0);
  bringing.close();
  await at.stop();
}

/** 100,000 messages sent again, at a pace. */
async function benchReplay(): Promise<void> {
  const at = await startGateway();
  await publish(at);
  const sink = child('sink.ts', []);
  const { port } = JSON.parse(await firstLine(sink)) as { port: number };
  const asked = isShort ? 200 : 1_000;
  const count = isShort ? 600 : 100_000;
  const { countedMs, rate, arrived, disorder } = await replayFigures(at, {
    sink: `http://127.0.0.1:${port}`,
    product: PRODUCT,
    count,
    learners: 1200,
    rate: asked,
  });
  row(
    `${round(count)} messages sent again at ${round(asked)}/s, as the receiver sees it`,
    `${round(rate, 1)}/s; counted before in ${round(countedMs / 1000, 1)} s; ${arrived === count ? 'all' : round(arrived)} arrived, ${round(disorder)} out of order`,
    `${round(asked)}/s asked`,
    rate / asked,
    'within 5 %',
    Math.abs(rate / asked - 1) <= 0.05 && arrived === count && disorder === 0,
  );
  sink.kill('SIGTERM');
  await at.stop();
}

async function benchVault(): Promise<void> {
  const { hmac, ...rates } = await vaultRates();
  for (const [what, rate, wanted] of [
    ['vault: ECK iD to token, in memory, a second and core', rates.cached, 200_000],
    ['vault: ECK iD to token, stored, in batches, a second and core', rates.stored, 20_000],
    ['vault: pairwise pseudonyms, a second and core', rates.pairwise, 100_000],
  ] as const)
    row(what, round(rate), `${round(hmac)} bare HMACs`, rate / hmac, `≥ ${round(wanted)}/s`, rate >= wanted);
  say(`       vault: learners whose keys are renewed, a second and core: ${round(rates.renewed)}`);
}

const measured = (at: Gateway): Measured => ({
  operator: at.operator,
  grpc: at.grpc,
  pid: at.process.pid!,
  atHead: () => atHead(at),
});

async function benchDelivery(): Promise<void> {
  const at = await startGateway();
  const of = measured(at);
  await deliveryFigures(of, isShort ? 300 : 5_000); // Warm.
  const runs = [];
  for (let i = 0; i < (isShort ? 1 : 3); i++) runs.push(await deliveryFigures(of, isShort ? 300 : 30_000));
  const ratio = median(runs.map((one) => one.perSecond / one.barePerSecond));
  const cpu = median(runs.map(({ cpuMicros }) => cpuMicros));
  const last = runs.at(-1)!;
  row(
    'deliveries to one webhook with mail waiting, in batches, median of 3',
    `${round(last.perSecond)}/s in ${round(last.requests)} requests/s`,
    `${round(last.barePerSecond)}/s bare signed POSTs of one`,
    ratio,
    '≥ 0.40',
    ratio >= 0.4,
  );
  row(
    'the same in requests, against POSTs of as many bytes',
    `${round(last.requests)}/s`,
    `${round(last.bareOfBatches)}/s`,
    median(runs.map((one) => one.requests / one.bareOfBatches)),
    'written down',
    true,
    3,
  );
  row('CPU of the gateway for each delivery', `${round(cpu)} µs`, '', cpu, '≤ 400 µs', cpu <= 400, 0);
  await at.stop();
}

async function benchXmlDelivery(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-bench-administrations-'));
  const times = isShort ? 1 : 3;
  const [warm, ...places] = placesIn(folder, times + 1) as [Place, ...Place[]];
  const at = await startGateway({ EDUK_ADMINISTRATIONS: folder });
  const of = { ...measured(at), http: at.http };
  await xmlDeliveryFigures(of, warm, isShort ? 300 : 2_000); // Warm.
  const runs = [];
  for (const [i, place] of places.entries()) {
    const one = await xmlDeliveryFigures(of, place, isShort ? 300 : 20_000);
    runs.push(one);
    say(
      `  run ${i + 1}: ${round(one.perSecond)}/s in messages of ${round(one.size)}, bare ${round(one.barePerSecond)}/s, CPU ${round(one.cpuMicros)} µs`,
    );
  }
  const ratio = median(runs.map((one) => one.perSecond / one.barePerSecond));
  const cpu = median(runs.map(({ cpuMicros }) => cpuMicros));
  const last = runs.at(-1)!;
  row(
    `results to one administration over UWLR with mail waiting, each pupil revealed, in messages, median of ${times}`,
    `${round(last.perSecond)}/s in ${round(last.messages, 1)} messages/s of ${round(last.size)} results and ${round(last.bytes / 1000)} kB`,
    `${round(last.barePerSecond)}/s bare signed POSTs with the bytes of one result`,
    ratio,
    '≥ 0.40',
    ratio >= 0.4,
  );
  row(
    'the same in messages, against bare signed POSTs of as many bytes',
    `${round(last.messages, 1)}/s`,
    `${round(last.bareOfMessages)}/s`,
    median(runs.map((one) => one.messages / one.bareOfMessages)),
    'written down',
    true,
    3,
  );
  row(
    'CPU of the gateway for each result over UWLR, each pupil revealed',
    `${round(cpu)} µs`,
    '',
    cpu,
    '≤ 800 µs',
    cpu <= 800,
    0,
  );
  await at.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function benchSick(kinds: readonly Kind[]): Promise<void> {
  const at = await startGateway();
  const of = measured(at);
  const { perSecond, without, beside } = await sickFigures(
    of,
    kinds,
    { rounds: isShort ? 1 : 5, seconds: isShort ? 2 : 20 },
    say,
  );
  const ratio = median(beside.map((ms, i) => ms / without[i]!));
  const sick = kinds.filter((kind) => kind !== 'well').length;
  row(
    `p99 of deliveries to ${round(kinds.length - sick)} endpoints beside ${round(sick)} sick ones, ${round(perSecond)}/s, median of ${beside.length}`,
    `${round(median(beside))} ms`,
    `${round(median(without))} ms with nobody sick`,
    ratio,
    '≤ 1.25',
    ratio <= 1.25,
  );
  await at.stop();
}

/** An operator looks for flows of a month that was filled in, while grants come in at half of what can be done. */
async function benchSearch(): Promise<void> {
  const count = isShort ? 100_000 : 10_000_000;
  const parent = mkdtempSync(join(tmpdir(), 'eduk-bench-search-'));
  try {
    const data = join(parent, 'data');
    // It makes the keys that references are found by.
    const before = await startGateway({ EDUK_DATA: data });
    await publish(before);
    const { school, apiKey } = await seller(before, 'Meetverkoper');
    await atHead(before);
    await before.stop();
    const of = { count, days: 30, untilMs: Math.floor(Date.now() / 86_400_000) * 86_400_000 };
    const fill: FillOptions = { data, ...of };
    const filled = JSON.parse(await lineOf(program({ args: ['fill.ts', JSON.stringify(fill)] }))) as Filled;
    const { rows: inRows, indexes, references, seconds } = filled;
    say(`  ${round(count)} flows filled in, not taken in, in ${round(seconds)} s`);
    const each = (inRows + indexes + references) / count;
    row(
      `bytes on disk of a flow, of ${round(count)} that were filled in`,
      `${round(inRows / count)} of its row, ${round(indexes / count)} of indexes, ${round(references / count)} by which its reference is found`,
      '',
      each,
      '≤ 1,000',
      each <= 1_000,
      0,
    );
    const at = await startGateway({ EDUK_DATA: data });
    const coming = await comesIn(at, { school, apiKey });
    let perSecond = 0;
    const groups = await searchFigures(at.operator, new Month(of), isShort ? 20 : 300).finally(async () => {
      perSecond = await coming();
    });
    for (const { name, isExact, ms, found, covered } of groups) {
      const [middle, far] = [quantile(ms, 0.5), quantile(ms, 0.99)];
      const most = isExact ? 20 : 100;
      if (found < ms.length) process.exitCode = 1;
      row(
        `flows by ${name}, p99 of ${ms.length}, among ${round(count)} that were filled in`,
        `${round(middle, 1)} ms median, ${round(far, 1)} ms; ${found === ms.length ? 'all' : found} found, ${covered === ms.length ? 'all' : covered} said that all was looked at`,
        `${round(perSecond)} grants/s meanwhile`,
        far,
        `< ${most} ms, all found`,
        far < most && found === ms.length && covered === ms.length,
        1,
      );
    }
    await at.stop();
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** Grants come in until the answer is called, which tells how many a second it were, and throws where one was refused. */
async function comesIn(
  at: Gateway,
  { school, apiKey }: { school: string; apiKey: string },
): Promise<() => Promise<number>> {
  let from = 0;
  const grants = async (count: number, perSecond: number): Promise<void> => {
    const sent = await send({
      ...{ kind: 'stream', address: at.grpc, authorization: `Bearer ${apiKey}`, schools: [school] },
      ...{ count, from, perSecond, learners: 1_200, atOnce: 1, product: PRODUCT },
      ...{ isStubborn: false, isSmall: true, isSilent: true },
    });
    if (sent.failed > 0) throw new Error(`a grant was refused: ${sent.words}`);
    from += count;
  };
  const warm = isShort ? 1_000 : 5_000;
  await grants(warm, 0);
  await atHead(at);
  const since = performance.now();
  await grants(warm * 4, 0);
  await atHead(at);
  const perSecond = Math.max(1, Math.round((warm * 4 * 500) / (performance.now() - since)));
  const [first, began] = [from, performance.now()];
  let ended = false;
  const sending = (async () => {
    while (!ended) await grants(perSecond * (isShort ? 2 : 20), perSecond);
    return ((from - first) * 1000) / (performance.now() - began);
  })();
  sending.catch(() => undefined);
  return () => {
    ended = true;
    return sending;
  };
}

/** What a gateway that was loaded with orders and grants took: a second, and seconds of processor time for a thousand. */
async function loaded(at: Gateway, of: Awaited<ReturnType<typeof seller>>, kind: 'unary' | 'stream', from: number) {
  const count = isShort ? 200 : kind === 'unary' ? 3_000 : 20_000;
  const cpu = cpuOf(at.process.pid!);
  const path = kind === 'unary' ? orderPath : grantPath;
  const went = await load({
    ...common,
    ...{ authorization: `Bearer ${of.apiKey}`, school: of.school, address: at.grpc },
    ...{ kind, path, count, from },
  });
  if (went['failed'] > 0 || went['refused'] > 0) throw new Error(`the load was refused: ${went['first']}`);
  // With all that follows, records of what was done included.
  await atHead(at);
  return { perSecond: went['perSecond'] as number, cpu: ((cpuOf(at.process.pid!) - cpu) / count) * 1000 };
}

/** By turns with and without records of what is accepted; then with a profile of each thread. */
async function benchTrust(): Promise<void> {
  const without = pathToFileURL(join(import.meta.dirname, 'without-audit.ts')).href;
  const gateways = [
    await startGateway(),
    await startGateway({ NODE_OPTIONS: `--import=${without}`, BENCH_WITHOUT_AUDIT: 'yes' }),
  ] as const;
  const sellers = [];
  for (const at of gateways) {
    await publish(at);
    sellers.push(await seller(at, 'Meetvertrouwen'));
  }
  let from = 0;
  const next = (): number => {
    from += 1_000_000;
    return from;
  };
  for (const [i, at] of gateways.entries()) await loaded(at, sellers[i]!, 'unary', next());
  for (const kind of ['unary', 'stream'] as const) {
    const slower: number[] = [];
    const dearer: number[] = [];
    const seen: { perSecond: number; cpu: number }[][] = [[], []];
    for (let round = 0; round < (isShort ? 1 : 7); round++) {
      // Who begins changes each time: what the machine does meanwhile is nobody's.
      for (const i of round % 2 === 0 ? [0, 1] : [1, 0])
        seen[i]!.push(await loaded(gateways[i]!, sellers[i]!, kind, next()));
      const [ours, bare] = [seen[0]!.at(-1)!, seen[1]!.at(-1)!];
      slower.push(1 - ours.perSecond / bare.perSecond);
      dearer.push(ours.cpu / bare.cpu - 1);
    }
    const of = (i: 0 | 1, what: 'perSecond' | 'cpu') => median(seen[i]!.map((one) => one[what]));
    const what = kind === 'unary' ? 'orders, 32 at once' : 'a stream of grants';
    row(
      `audit lowers intake of ${what}, median of ${slower.length}`,
      `${round(of(0, 'perSecond'))}/s`,
      `${round(of(1, 'perSecond'))}/s without it`,
      median(slower),
      '≤ 0.10',
      median(slower) <= 0.1,
      3,
    );
    row(
      `the same in processor time of the whole gateway, for 1,000`,
      `${round(of(0, 'cpu'), 3)} s`,
      `${round(of(1, 'cpu'), 3)} s without it`,
      median(dearer),
      'written down',
      true,
      3,
    );
  }
  for (const at of gateways) await at.stop();

  const folder = mkdtempSync(join(tmpdir(), 'eduk-bench-trust-'));
  for (const kind of ['unary', 'stream'] as const) {
    const at = await startGateway({ NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}` });
    await publish(at);
    const by = await seller(at, 'Meetvertrouwen');
    await loaded(at, by, kind, next());
    const span = { from: profileClock(), to: 0 };
    for (let round = 0; round < (isShort ? 1 : 3); round++) await loaded(at, by, kind, next());
    span.to = profileClock();
    const pid = at.process.pid!;
    await at.stop();
    const took = intakeOf(folder, pid, span);
    const all = Object.values(took).reduce((sum, ms) => sum + ms, 0);
    const share = trustParts.reduce((sum, part) => sum + took[part]!, 0) / all;
    row(
      `trust part of intake's processor time, ${kind === 'unary' ? 'orders, 32 at once' : 'a stream of grants'}`,
      trustParts.map((part) => `${part} ${round((took[part]! / all) * 100, 1)} %`).join(', '),
      `${round(all)} ms`,
      share,
      '≤ 0.35',
      share <= 0.35,
      3,
    );
  }
  rmSync(folder, { recursive: true, force: true });
}

const parts: Record<string, () => Promise<void>> = {
  start: benchStart,
  edexml: benchEdexml,
  'edexml-10mb': benchLargeEdexml,
  uwlr: benchUwlr,
  vault: benchVault,
  pull: benchPull,
  console: benchConsole,
  replay: benchReplay,
  accept: benchAccept,
  unary: benchUnary,
  stream: benchStream,
  trust: benchTrust,
  delivery: benchDelivery,
  'delivery-xml': benchXmlDelivery,
  'delivery-sick': () => benchSick(FIFTY),
  'delivery-many': () => benchSick(oneInHundred(isShort ? 200 : 10_000)),
  search: benchSearch,
  fairness: () => benchFairness(args.includes('--million') ? 1_000_000 : 100_000),
};
if (only && !parts[only]) {
  process.stderr.write(`the parts are ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}
const end = (): void => {
  for (const one of children) one.kill('SIGTERM');
  void endAll();
};
process.on('SIGTERM', () => {
  end();
  process.exit(143);
});
try {
  for (const [name, run] of Object.entries(parts)) {
    if (only ? only !== name : name === 'delivery-many' || name === 'search') continue;
    say(`# ${name}`);
    await run();
  }
} finally {
  end();
}

if (isShort) {
  say(`${rows.length} figures, too short to mean anything: written nowhere`);
  process.exit();
}
const results = join(import.meta.dirname, 'RESULTS.md');
if (!existsSync(results))
  writeFileSync(
    results,
    '# Results of npm run bench\n\nRatios within one run; absolute figures move with the machine. Newest last.\n',
  );
const commit = (() => {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .toString()
      .trim();
  } catch {
    return 'no repository';
  }
})();
appendFileSync(
  results,
  [
    '',
    `## ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, ${commit}`,
    '',
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}${only ? `, only ${only}` : ''}.`,
    '',
    '| what | ours | against | ratio | wanted | met |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map(
      ({ what, ours, against, ratio, wanted, met }) =>
        `| ${what} | ${ours} | ${against} | ${ratio} | ${wanted} | ${met ? 'yes' : '**no**'} |`,
    ),
    '',
  ].join('\n'),
);
say(`${rows.filter(({ met }) => met).length} of ${rows.length} met; written to test/bench/RESULTS.md`);
