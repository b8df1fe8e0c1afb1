/**
 * What drivers must stand, with real brokers that are frozen, killed and cut off. The times here are short;
 * `EDUK_FAULT_SECONDS=60` makes pauses as long as an operator meets them.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalKafka, missingHere, startKafka } from '#deploy/local';
import { openDriver } from './driver.ts';
import { fromEarliest, Ledger, lanesOf, until, type WriterReport, write } from './ledger.ts';
import type { DriverName, DriverSettings, KafkaDriver, ReaderTrouble } from './port.ts';

const missing = await missingHere();
const PAUSE_MS = Number(process.env['EDUK_FAULT_SECONDS'] ?? 8) * 1000;
/** Shorter than the pause, so that requests have unknown outcomes. */
const REQUEST_TIMEOUT_MS = 3000;
/** What goes on, does so within seconds: the output says how many. On a machine that others use too, brokers need longer to agree who leads. */
const WELL_MS = 90_000;
const LIMIT_MS = PAUSE_MS + 360_000;
const drivers: DriverName[] = ['platformatic', 'kafkajs'];
let made = 0;

interface Load {
  driver: KafkaDriver;
  ledger: Ledger;
  troubles: ReaderTrouble[];
  /** Requests without a good outcome until now, by code. */
  failures(): string;
  /** Waits until nothing has failed for half a second. */
  calm(): Promise<void>;
  /** Ends the writing, waits until all that was acknowledged has come, and says how it went. */
  settle(): Promise<WriterReport>;
}

async function load(
  name: DriverName,
  kafka: LocalKafka,
  replication: number,
  configs: Record<string, string> = {},
  shape: { bytes?: number } = {},
): Promise<Load> {
  const settings: DriverSettings = {
    brokers: kafka.brokers,
    clientId: 'faults',
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    connectTimeoutMs: 2000,
  };
  const driver = await openDriver(name, settings);
  const topic = `faults.${name}.${++made}`;
  // Three brokers that have just started take longer than a request may here.
  const patient = await openDriver(name, { ...settings, requestTimeoutMs: 30_000 });
  await patient.admin().createTopics([{ name: topic, partitions: 4, replication, configs }]);
  await patient.close();
  const lanes = lanesOf(topic, 4);
  const ledger = new Ledger();
  const troubles: ReaderTrouble[] = [];
  const gaps: unknown[] = [];
  driver.reader({
    lanes: fromEarliest(lanes),
    onRecords: ledger.onRecords,
    onGap: (gap) => gaps.push(gap),
    onTrouble: (trouble) => troubles.push(trouble),
  });
  const writing = write(driver.producer(), lanes, ledger, shape);
  await until('it runs', () => ledger.total > 500 && ledger.marks().size === 2 * lanes.length, 60_000);
  return {
    driver,
    ledger,
    troubles,
    failures: () => [...writing.report.failures].map(([code, count]) => `${count} ${code}`).join(', '),
    async calm() {
      const failed = () => [...writing.report.failures.values()].reduce((sum, count) => sum + count, 0);
      let [before, since] = [failed(), performance.now()];
      const isCalm = () => {
        if (failed() !== before) [before, since] = [failed(), performance.now()];
        return performance.now() - since > 500;
      };
      await until('nothing fails', isCalm, WELL_MS);
    },
    async settle() {
      const report = await writing.stop();
      await until('all that was acknowledged has come', () => ledger.missing().length === 0, WELL_MS).catch(() => {
        throw new Error(`lost: ${ledger.missing().join(', ')}`);
      });
      expect(ledger.wrong).toEqual([]);
      expect(gaps).toEqual([]);
      await driver.close();
      return report;
    },
  };
}

/** Both drivers at once, so that one fault tries both. */
const loads = (kafka: LocalKafka, replication: number, configs: Record<string, string> = {}): Promise<Load[]> =>
  Promise.all(drivers.map((name) => load(name, kafka, replication, configs)));

/** Until writing and reading have gone on in every lane since now; how long that took, in milliseconds. */
const wellAgain = (all: readonly Load[], withinMs: number): Promise<number[]> =>
  Promise.all(
    all.map(async ({ driver, ledger, troubles, failures }) => {
      const from = Date.now();
      const since = ledger.marks();
      await until('every lane goes on', () => ledger.behind(since).length === 0, withinMs).catch((error: Error) => {
        const told = troubles.slice(-4).map(({ error: { code, message } }) => `${code} ${message}`);
        throw new Error(
          `${error.message}; ${driver.name}: ${ledger.behind(since).join(', ')}; ${failures()}; ${told.join(', ')}`,
        );
      });
      return Date.now() - from;
    }),
  );

/** Waits until all are well, ends them, checks their ledgers and tells how it went. */
async function settled(
  what: string,
  all: readonly Load[],
  withinMs: number,
  before?: readonly number[],
): Promise<WriterReport[]> {
  const then = await wellAgain(all, withinMs);
  const wellMs = before ?? then;
  return Promise.all(
    all.map(async ({ driver, ledger, troubles, failures, settle }, at) => {
      const report = await settle();
      process.stdout.write(
        `${what}, ${driver.name}: ${ledger.total} acknowledged, ${ledger.repeats} repeats, well after ${wellMs[at]} ms, ${troubles.length} troubles, ${failures()}\n`,
      );
      return report;
    }),
  );
}

describe.skipIf(missing !== undefined)('one broker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-faults-'));
  let kafka: LocalKafka;
  beforeAll(async () => {
    kafka = await startKafka({ folder });
  });
  afterAll(async () => {
    await kafka?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test(
    'stands still for a while: outcomes are unknown, repeats are known by number, nothing is lost or overtaken',
    async () => {
      const all = await loads(kafka, 1);
      // A topic that is new is looked for again at first; a broker that stands still meanwhile finds nothing under way.
      await Promise.all(all.map((load) => load.calm()));
      kafka.nodes[0]!.pause();
      const from = Date.now();
      await until('all noticed', () => all.every(({ troubles }) => troubles.length > 0), WELL_MS);
      for (const { troubles } of all) expect(['TIMEOUT', 'CONNECTION']).toContain(troubles[0]!.error.code);
      await rest(Math.max(0, PAUSE_MS - (Date.now() - from)));
      kafka.nodes[0]!.resume();
      for (const report of await settled(`SIGSTOP ${PAUSE_MS / 1000} s`, all, WELL_MS))
        expect([...report.failures.keys()]).toContainEqual(expect.stringMatching(/ unknown$/));
    },
    LIMIT_MS,
  );

  test(
    'is killed while it is written to, and comes back',
    async () => {
      const all = await loads(kafka, 1);
      await kafka.nodes[0]!.stop('SIGKILL');
      await rest(1500);
      await kafka.nodes[0]!.start();
      // What was under way is not known; what could not be sent is.
      for (const report of await settled('SIGKILL', all, WELL_MS))
        expect([...report.failures.keys()]).toContainEqual(expect.stringMatching(/ none$/));
    },
    LIMIT_MS,
  );

  test(
    'is away for a while, and nobody asks more often than agreed',
    async () => {
      const all = await loads(kafka, 1);
      await kafka.nodes[0]!.stop();
      const before = all.map(({ troubles }) => troubles.length);
      await rest(5000);
      // Rests grow to 2 s: four lanes, five seconds.
      for (const [at, { troubles }] of all.entries()) {
        expect(troubles.length - before[at]!).toBeLessThan(60);
        expect(troubles.length).toBeGreaterThan(0);
      }
      await kafka.nodes[0]!.start();
      await settled('away 5 s', all, WELL_MS);
    },
    LIMIT_MS,
  );

  test(
    'we are frozen ourselves, and wake',
    async () => {
      await Promise.all(drivers.map((name) => frozen(name, kafka)));
    },
    LIMIT_MS,
  );
});

async function frozen(name: DriverName, kafka: LocalKafka): Promise<void> {
  const topic = `frozen.${name}`;
  const driver = await openDriver(name, { brokers: kafka.brokers, clientId: 'faults' });
  await driver.admin().createTopics([{ name: topic, partitions: 4, replication: 1, configs: {} }]);
  const script = join(import.meta.dirname, 'frozen.test-process.ts');
  const child: ChildProcess = spawn(
    process.execPath,
    [script, name, kafka.brokers[0]!, topic, String(REQUEST_TIMEOUT_MS)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const lines: { acknowledged: number; arrived: number; missing: string[]; wrong: string[] }[] = [];
  let begun = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const parts = (begun + text).split('\n');
    begun = parts.pop()!;
    lines.push(...parts.map((part) => JSON.parse(part)));
  });
  try {
    await until('it runs', () => (lines.at(-1)?.acknowledged ?? 0) > 500, 60_000);
    child.kill('SIGSTOP');
    await rest(PAUSE_MS);
    const then = lines.at(-1)!.acknowledged;
    child.kill('SIGCONT');
    await until(
      'it goes on',
      () => lines.at(-1)!.acknowledged > then + 500 && lines.at(-1)!.arrived > then + 400,
      60_000,
    );
    child.kill('SIGTERM');
    await until('it ended', () => child.exitCode !== null, WELL_MS);
    expect(lines.at(-1)).toMatchObject({ missing: [], wrong: [] });
    expect(child.exitCode).toBe(0);
  } finally {
    child.kill('SIGKILL');
    await driver.close();
  }
}

describe.skipIf(missing !== undefined)('one of three brokers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-faults-'));
  let kafka: LocalKafka;
  beforeAll(async () => {
    kafka = await startKafka({ folder, nodes: 3 });
  });
  afterAll(async () => {
    await kafka?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test(
    'is killed, and comes back: the others go on',
    async () => {
      const all = await loads(kafka, 3, { 'min.insync.replicas': '2' });
      await kafka.nodes[1]!.stop('SIGKILL');
      // A broker that is killed is missed after its session, 9 s by default.
      const wellMs = await wellAgain(all, WELL_MS);
      await kafka.nodes[1]!.start();
      await settled('one of three SIGKILL', all, WELL_MS, wellMs);
    },
    LIMIT_MS,
  );

  test(
    'stands still: its lanes go to others',
    async () => {
      const all = await loads(kafka, 3, { 'min.insync.replicas': '2' });
      kafka.nodes[2]!.pause();
      const wellMs = await wellAgain(all, WELL_MS).finally(() => kafka.nodes[2]!.resume());
      await settled('one of three SIGSTOP', all, WELL_MS, wellMs);
    },
    LIMIT_MS,
  );
});

/** A disk of a few megabytes; undefined where we may not make one. */
function smallDisk(megabytes: number): { folder: string; grow(megabytes: number): void; remove(): void } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-disk-'));
  const mount = (...args: string[]) => execFileSync('mount', args, { stdio: 'ignore' });
  try {
    mount('-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder);
  } catch {
    rmdirSync(folder);
    return undefined;
  }
  return {
    folder,
    grow: (megabytes) => mount('-o', `remount,size=${megabytes}m`, folder),
    remove() {
      execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
      rmdirSync(folder);
    },
  };
}

const trial = missing === undefined ? smallDisk(1) : undefined;
trial?.remove();
if (trial === undefined)
  process.stderr.write('Left out: a broker with a full disk. It needs the right to mount one.\n');
else {
  describe('a broker with a full disk', () => {
    let disk: ReturnType<typeof smallDisk>;
    let kafka: LocalKafka;
    beforeAll(async () => {
      disk = smallDisk(48);
      kafka = await startKafka({ folder: disk!.folder });
    });
    afterAll(async () => {
      await kafka?.stop();
      disk?.remove();
    });

    test(
      'writes nothing more and says so; with room again nothing that was acknowledged is lost',
      async () => {
        const all = await Promise.all(
          drivers.map((name) => load(name, kafka, 1, { 'segment.index.bytes': '65536' }, { bytes: 20_000 })),
        );
        const gone = () => all.every(({ troubles }) => troubles.length > 5);
        await until('the broker has given up', gone, 60_000);
        const [node] = kafka.nodes;
        await node!.stop('SIGKILL');
        disk!.grow(600);
        await node!.start();
        await settled('disk full', all, WELL_MS);
      },
      LIMIT_MS,
    );
  });
}
