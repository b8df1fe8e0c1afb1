/** One chaos run: a gateway, traffic, faults one after the other, and in the end the ledger. One seed decides what happens. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { randomFrom } from '../parties/random.ts';
import { type Cluster, mayMount, startCluster } from './cluster.ts';
import { faults as allFaults, type Fault, type Kind, type Scene } from './faults.ts';
import { faultsOf, Ledger, quantile, type Verdict } from './ledger.ts';
import { type Draw, RUDE, startTraffic, type Traffic } from './traffic.ts';

export interface ChaosOptions {
  /** Of this run alone. */
  folder: string;
  seed: number;
  /** Faults go on for so long; each that was asked for comes once at least. */
  ms: number;
  nodes: 1 | 3;
  replicas: number;
  /** Grants a second. */
  rate: number;
  /** Names; all when there are none. */
  only: readonly string[];
  isLong: boolean;
  /** Longest wait to be well again before the next fault; two minutes without it. */
  patienceMs?: number;
  /** Longest wait, after the last fault, for everything to be answered and delivered; five minutes without it. */
  drainMs?: number;
  tell(line: string): void;
}

export interface Recovery {
  fault: string;
  kind: Kind;
  /** Until the age was under a second again, milliseconds; undefined = not before it was given up. */
  ms: number | undefined;
}

export interface Findings extends Verdict {
  seed: number;
  minutes: number;
  faults: Map<string, number>;
  skipped: string[];
  kills: number;
  grants: number;
  orders: number;
  recoveries: Recovery[];
  /** Age of the oldest, before the first fault: p50 and p99, milliseconds. */
  calmAge: { p50: number; p99: number };
  /** From offering until everybody who is well has it, before the first fault, milliseconds. */
  calmTook: { p50: number; p99: number };
  refused: ReadonlyMap<string, number>;
  /** What faults measured. */
  notes: string[];
  /** What else was wrong. */
  problems: string[];
}

/** Well is: nothing older than this, for so long. */
/** How long outcomes may take to be noted in the end. */
const NOTED_MS = 30_000;
const WELL_AGE_MS = 1_000;
/** How often a run says what it still waits for. */
const TOLD_MS = 5_000;
const WELL_FOR_MS = 1_000;
/** Longest that a run waits to be well again, and at the end for everything to arrive. */
const PATIENCE_MS = 120_000;
const DRAIN_MS = 300_000;
const CALM_MS = 8_000;

export async function chaos(options: ChaosOptions): Promise<Findings> {
  const {
    folder,
    seed,
    nodes,
    replicas,
    rate,
    only,
    isLong,
    patienceMs = PATIENCE_MS,
    drainMs = DRAIN_MS,
    tell,
  } = options;
  const unknown = only.filter((name) => !allFaults.some((fault) => fault.name === name));
  if (unknown.length > 0) throw new Error(`There is no fault called ${unknown.join(', ')}.`);
  const wanted = allFaults.filter(({ name }) => only.length === 0 || only.includes(name));
  const small = wanted.some(({ name }) => name.endsWith('disk full')) && mayMount(folder);
  const began = performance.now();
  const say = (line: string): void => tell(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  const cluster = await startCluster({ folder, nodes, replicas, small });
  const database = new pg.Pool({ connectionString: cluster.postgres.url, max: 2, connectionTimeoutMillis: 5_000 });
  database.on('error', () => undefined);
  let traffic: Traffic | undefined;
  try {
    say(
      `${cluster.replicas.length} processes of roles, ${nodes} broker${nodes === 1 ? '' : 's'} and PostgreSQL are ready`,
    );
    // What faults draw must not depend on how many messages there were meanwhile.
    const ledger = new Ledger([RUDE]);
    traffic = await startTraffic({
      doors: cluster.doors,
      operatorKey: cluster.operatorKey(),
      ledger,
      draw: randomFrom(seed ^ 0x5eed).next,
      rate,
    });
    const calm: number[] = [];
    const timing = ledger.time();
    for (const until = performance.now() + CALM_MS; performance.now() < until; await sleep(100))
      calm.push(ledger.age());
    timing.end();
    const calmAge = { p50: quantile(calm, 0.5), p99: quantile(calm, 0.99) };
    const calmTook = { p50: quantile(timing.tookMs, 0.5), p99: quantile(timing.tookMs, 0.99) };
    say(
      `before any fault: accepted → delivered ${calmTook.p50.toFixed(0)} ms (p50), ${calmTook.p99.toFixed(0)} ms (p99); ` +
        `the oldest message was ${calmAge.p50.toFixed(0)} ms old (p50), ${calmAge.p99.toFixed(0)} ms (p99)`,
    );

    const draw: Draw = randomFrom(seed).next;
    let kills = 0;
    const notes: string[] = [];
    const scene: Scene = {
      cluster,
      ledger,
      complaints: traffic.complaints,
      draw,
      isLong,
      database,
      killed: (count) => {
        kills += count;
      },
      tell: (line) => say(`  ${line}`),
      note: (line) => {
        notes.push(line);
        say(`  ${line}`);
      },
    };
    const skipped = wanted.flatMap((fault) => {
      const why = fault.missing?.(cluster);
      return why === undefined ? [] : [`${fault.name}: ${why}`];
    });
    for (const line of skipped) say(`skipped: ${line}`);
    const possible = wanted.filter((fault) => fault.missing?.(cluster) === undefined);
    const counted = new Map<string, number>();
    const recoveries: Recovery[] = [];
    const end = performance.now() + options.ms;
    const turn: Fault[] = shuffled(possible, draw);
    for (let n = 0; n < possible.length || performance.now() < end; n++) {
      // Each once, in an order of the seed; then at random.
      const fault = turn.shift() ?? possible[Math.floor(draw() * possible.length)]!;
      say(`${fault.name}`);
      await fault.run(scene);
      counted.set(fault.name, (counted.get(fault.name) ?? 0) + 1);
      const ms = await wellAgain(ledger, patienceMs, (line) => say(`  ${line}`));
      recoveries.push({ fault: fault.name, kind: fault.kind, ms });
      say(
        ms === undefined
          ? `  not well after ${patienceMs / 1000} s: ${ledger.open} open, the oldest ${ledger.oldest()}`
          : `  well again after ${(ms / 1000).toFixed(1)} s`,
      );
      await sleep(200 + draw() * 800);
    }

    say('no more faults: what is under way is answered and delivered');
    const drained = performance.now() + drainMs;
    await traffic.finish(drainMs);
    while (ledger.open > 0 && performance.now() < drained) await sleep(100);
    // What comes once more comes now.
    await sleep(1_000);
    if (ledger.open > 0)
      traffic.complaints.problem(`${ledger.open} were still open in the end, the oldest ${ledger.oldest()}`);
    await untilNoted(database, traffic.calm.oin);
    ledger.started(
      traffic.calm.receiver,
      await startsOf(database, traffic.calm.oin, [...ledger.repeated(traffic.calm.receiver).keys()]),
    );
    const verdict = ledger.verdict();
    const problems = [...traffic.complaints.problems, ...(await problemsInside(database, cluster))];
    return {
      ...verdict,
      seed,
      minutes: (performance.now() - began) / 60_000,
      faults: counted,
      skipped,
      kills,
      grants: traffic.grants(),
      orders: traffic.orders(),
      recoveries,
      calmAge,
      calmTook,
      refused: traffic.complaints.refused,
      notes,
      problems,
    };
  } catch (thrown) {
    for (const { name, words } of cluster.replicas) for (const line of words.slice(-5)) tell(`${name}: ${line}`);
    throw thrown;
  } finally {
    await traffic?.stop();
    await database.end().catch(() => undefined);
    await cluster.stop();
  }
}

export const isClean = (findings: Findings): boolean => faultsOf(findings) === 0 && findings.problems.length === 0;

function shuffled<T>(from: readonly T[], draw: Draw): T[] {
  const left = [...from];
  return from.map(() => left.splice(Math.floor(draw() * left.length), 1)[0]!);
}

/** From now until nothing is old any more; undefined = given up. */
async function wellAgain(
  ledger: Ledger,
  patienceMs: number,
  tell: (line: string) => void,
): Promise<number | undefined> {
  const from = performance.now();
  let since = from;
  let told = from;
  for (;;) {
    const now = performance.now();
    if (now - told >= TOLD_MS) {
      told = now;
      tell(`after ${((now - from) / 1000).toFixed(0)} s: ${ledger.open} open, the oldest ${ledger.oldest()}`);
    }
    if (ledger.age(now) >= WELL_AGE_MS) since = now;
    // Nothing was old since then.
    else if (now - since >= WELL_FOR_MS) return since - from;
    if (now - from > patienceMs) return undefined;
    await sleep(50);
  }
}

/** Until no attempt of this party is open any more: what came of it is in the rows then. A lease lasts 9 s. */
async function untilNoted(database: pg.Pool, party: string): Promise<void> {
  const until = performance.now() + NOTED_MS;
  for (;;) {
    const { rows } = await database.query<{ n: string }>(
      'SELECT count(*) AS n FROM delivery.delivery_attempts WHERE party = $1',
      [party],
    );
    if (Number(rows[0]!.n) === 0 || performance.now() > until) return;
    await sleep(200);
  }
}

/** How often the gateway began to send these deliveries, as its rows say. */
async function startsOf(database: pg.Pool, party: string, deliveries: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await database.query<{ id: string; attempts: string }>(
    `SELECT "eventId" AS id, sum(attempts) AS attempts FROM delivery.delivery_outcomes WHERE party = $1 GROUP BY 1`,
    [party],
  );
  const wanted = new Set(deliveries);
  return new Map(rows.map(({ id, attempts }) => [id, Number(attempts)] as const).filter(([id]) => wanted.has(id)));
}

/** What the database says of itself when all is done. */
async function problemsInside(database: pg.Pool, cluster: Cluster): Promise<string[]> {
  const count = async (what: string, sql: string): Promise<string[]> => {
    const { rows } = await database.query<{ n: string }>(sql);
    return Number(rows[0]!.n) === 0 ? [] : [`${rows[0]!.n} ${what}`];
  };
  return [
    ...(await count(
      'lanes with a gap or a number twice',
      `SELECT count(*) AS n FROM (SELECT 1 FROM bus.outbox GROUP BY stream, partition HAVING count(*) <> max(number) - min(number) + 1) x`,
    )),
    ...(await count('troubles of lanes', 'SELECT count(*) AS n FROM bus.troubles')),
    ...(await count('parked keys', 'SELECT count(*) AS n FROM bus.bus_parked_keys')),
    ...(await count('parked deliveries', 'SELECT count(*) AS n FROM delivery.delivery_parked_mail')),
    ...cluster.replicas.flatMap(({ name, surprises, words }) =>
      surprises === 0
        ? []
        : [
            `${name} ended ${surprises} times by itself: ${words
              .filter((line) => !line.startsWith('{'))
              .slice(-3)
              .join(' | ')}`,
          ],
    ),
  ];
}
