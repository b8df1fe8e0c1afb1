/** What is done to a running gateway, as data: each fault knows what it needs, breaks something, and mends what must be mended. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Cluster, fill, type Replica, ROLES, type Role } from './cluster.ts';
import { type Ledger, quantile } from './ledger.ts';
import type { Complaints, Draw } from './traffic.ts';

/** What is broken, by which the time to be well again is counted and judged. */
export type Kind = 'service' | 'broker' | 'database' | 'way' | 'clock';

export interface Scene {
  cluster: Cluster;
  ledger: Ledger;
  complaints: Complaints;
  draw: Draw;
  /** Long runs take the times that the promises name; short ones less. */
  isLong: boolean;
  /** A run's own connection to the database, past every way that is made bad. */
  database: pg.Pool;
  /** So many processes were ended by SIGKILL. */
  killed(count: number): void;
  tell(line: string): void;
  /** A line that stands in the results too. */
  note(line: string): void;
}

export interface Fault {
  name: string;
  kind: Kind;
  /** Why it cannot be done here; undefined = it can. */
  missing?(cluster: Cluster): string | undefined;
  /**
   * Breaks and mends; resolves at the moment from which the gateway has what it needs to get well: at once after a kill,
   * when a server serves again.
   */
  run(scene: Scene): Promise<void>;
}

const pick = <T>(draw: Draw, from: readonly T[]): T => from[Math.floor(draw() * from.length)]!;
const between = (draw: Draw, low: number, high: number): number => Math.round(low + draw() * (high - low));
const of = (cluster: Cluster, role: Role): Replica[] => cluster.replicas.filter((replica) => replica.role === role);

async function untilReady(replica: Replica, ms = 60_000): Promise<boolean> {
  for (const until = performance.now() + ms; performance.now() < until; await sleep(100))
    if (await replica.isReady()) return true;
  return false;
}

const killOf = (role: Role): Fault => ({
  name: `kill ${role}`,
  kind: 'service',
  async run({ cluster, draw, killed }) {
    pick(draw, of(cluster, role)).signal('SIGKILL');
    killed(1);
  },
});

/** Half of them as long as the promise names, past every lease; the others end before, at or after any of them. */
const asleepMs = (draw: Draw): number => (draw() < 0.5 ? 60_000 : between(draw, 2_000, 60_000));

const frozenOf = (role: Role): Fault => ({
  name: `freeze ${role}`,
  kind: 'service',
  async run({ cluster, draw, isLong, ledger, tell }) {
    const replica = pick(draw, of(cluster, role));
    const forMs = isLong ? asleepMs(draw) : 8_000;
    tell(`${replica.name} sleeps for ${(forMs / 1000).toFixed(0)} s`);
    const isOver = ledger.excuse();
    replica.signal('SIGSTOP');
    await sleep(forMs);
    replica.signal('SIGCONT');
    isOver();
  },
});

/** What a rolling restart promises, of the messages offered while it goes on. */
const ROLLING_P99_MS = 3_000;
/** What was offered during it has arrived by then, or the ledger of the run says that it is lost. */
const ROLLED_MS = 20_000;

/** Ends replicas one after the other as an upgrade does, each when the one before is ready again. */
const rolling: Fault = {
  name: 'rolling restart',
  kind: 'service',
  async run({ cluster, complaints, ledger, note }) {
    complaints.mostTries = 0;
    const timing = ledger.time();
    for (const replica of cluster.replicas) {
      replica.signal('SIGTERM');
      await sleep(300);
      if (!(await untilReady(replica))) complaints.problem(`${replica.name} did not come back`);
    }
    timing.end();
    for (const until = performance.now() + ROLLED_MS; timing.isOpen && performance.now() < until; ) await sleep(50);
    const p99 = quantile(timing.tookMs, 0.99);
    const late = [...timing.lastOf(ROLLING_P99_MS)].map(([what, n]) => `${what} ${n}`);
    note(
      `rolling restart of ${cluster.replicas.length} processes: ${timing.tookMs.length} messages, accepted → delivered p50 ${quantile(timing.tookMs, 0.5).toFixed(0)} ms, ` +
        `p99 ${p99.toFixed(0)} ms (promised ${ROLLING_P99_MS}${p99 > ROLLING_P99_MS ? ', missed' : ''}); the most that one message was sent again: ${complaints.mostTries} times` +
        (late.length > 0 ? `; later than promised, and for what was waited last: ${late.join(', ')}` : ''),
    );
  },
};

const killSeveral: Fault = {
  name: 'kill several',
  kind: 'service',
  async run({ cluster, draw, killed }) {
    const left = [...cluster.replicas];
    const count = between(draw, 2, 4);
    for (let n = 0; n < count; n++) left.splice(Math.floor(draw() * left.length), 1)[0]!.signal('SIGKILL');
    killed(count);
  },
};

/** Does it, and holds that doors refused nothing meanwhile for want of the broker. */
async function refusingNothing({ complaints }: Scene, what: string, work: () => Promise<void>): Promise<void> {
  const before = complaints.refusals;
  await work();
  if (complaints.refusals > before)
    complaints.problem(`while ${what}, ${complaints.refusals - before} accepts were refused`);
}

const brokers: readonly Fault[] = [
  {
    name: 'kill broker',
    kind: 'broker',
    async run(scene) {
      const node = pick(scene.draw, scene.cluster.kafka.nodes);
      await refusingNothing(scene, 'a broker was dead', async () => {
        await node.stop('SIGKILL');
        await sleep(between(scene.draw, 0, 2_000));
        await node.start();
      });
      scene.killed(1);
    },
  },
  {
    name: 'one broker of three gone',
    kind: 'broker',
    missing: ({ kafka }) => (kafka.nodes.length === 3 ? undefined : 'there is one broker; --nodes 3 starts three'),
    async run(scene) {
      const node = pick(scene.draw, scene.cluster.kafka.nodes);
      await refusingNothing(scene, 'one broker of three was gone', async () => {
        await node.stop('SIGKILL');
        await sleep(scene.isLong ? 60_000 : 15_000);
        await node.start();
      });
      scene.killed(1);
    },
  },
  {
    name: 'brokers away',
    kind: 'broker',
    async run(scene) {
      const { nodes } = scene.cluster.kafka;
      await refusingNothing(scene, 'brokers were away', async () => {
        await Promise.all(nodes.map((node) => node.stop()));
        await sleep(scene.isLong ? 300_000 : 20_000);
        await Promise.all(nodes.map((node) => node.start()));
      });
    },
  },
  {
    name: 'freeze broker',
    kind: 'broker',
    async run({ cluster, draw, isLong }) {
      const node = pick(draw, cluster.kafka.nodes);
      node.pause();
      await sleep(isLong ? asleepMs(draw) : 8_000);
      node.resume();
    },
  },
  {
    name: 'broker’s disk full',
    kind: 'broker',
    missing: ({ disks }) => (disks ? undefined : 'only root may mount a disk that can be filled'),
    async run({ cluster, tell }) {
      const room = fill(cluster.disks!.broker);
      await sleep(10_000);
      room();
      // A broker that cannot write ends itself, and whoever gave it room starts it again.
      const ended = cluster.kafka.nodes.filter(({ pid }) => pid === undefined);
      if (ended.length > 0) tell(`${ended.length} of ${cluster.kafka.nodes.length} brokers ended by it`);
      await Promise.all(ended.map((node) => node.start()));
    },
  },
];

const databases: readonly Fault[] = [
  ...(['kill', 'immediate', 'fast'] as const).map(
    (mode): Fault => ({
      name: { kill: 'kill database', immediate: 'database ends at once', fast: 'restart database' }[mode],
      kind: 'database',
      async run({ cluster: { postgres }, draw, killed }) {
        await postgres.stop(mode);
        await sleep(between(draw, 0, 2_000));
        await postgres.start();
        if (mode === 'kill') killed(1);
      },
    }),
  ),
  {
    name: 'freeze database',
    kind: 'database',
    async run({ cluster: { postgres }, draw, isLong, ledger }) {
      const isOver = ledger.excuse();
      postgres.pause();
      await sleep(isLong ? asleepMs(draw) : 6_000);
      postgres.resume();
      isOver();
    },
  },
  {
    name: 'no connections left',
    kind: 'database',
    async run({ cluster: { postgres, toDatabase }, tell }) {
      // Whoever has one loses it, and finds all taken.
      const taken: pg.Client[] = [];
      const take = async (): Promise<boolean> => {
        const client = new pg.Client({ connectionString: postgres.url, connectionTimeoutMillis: 5_000 });
        client.on('error', () => undefined);
        try {
          await client.connect();
          taken.push(client);
          return true;
        } catch {
          return false; // There are no more.
        }
      };
      while (await take());
      toDatabase.cut();
      for (const until = performance.now() + 8_000; performance.now() < until; await sleep(50)) await take();
      tell(`${taken.length} connections were held`);
      await Promise.all(taken.map((client) => client.end().catch(() => undefined)));
    },
  },
  {
    name: 'database’s disk full',
    kind: 'database',
    missing: ({ disks }) => (disks ? undefined : 'only root may mount a disk that can be filled'),
    async run({ cluster: { disks, postgres }, tell }) {
      const room = fill(disks!.database);
      await sleep(10_000);
      room();
      if (postgres.pid === undefined) tell('PostgreSQL ended by it');
      await postgres.start();
    },
  },
];

const ways: readonly Fault[] = (
  [
    ['database', (cluster: Cluster) => [cluster.toDatabase]],
    ['brokers', (cluster: Cluster) => cluster.toBrokers],
  ] as const
).flatMap(([to, waysOf]): Fault[] => [
  {
    name: `slow way to ${to}`,
    kind: 'way',
    async run({ cluster, draw, isLong, tell }) {
      const delayMs = between(draw, 20, 150);
      tell(`${delayMs} ms each way`);
      for (const way of waysOf(cluster)) way.slow(delayMs);
      await sleep(isLong ? 20_000 : 6_000);
      for (const way of waysOf(cluster)) way.slow(0);
    },
  },
  {
    name: `cut way to ${to}`,
    kind: 'way',
    async run({ cluster, draw }) {
      for (let n = 0; n < 5; n++) {
        for (const way of waysOf(cluster)) way.cut();
        await sleep(between(draw, 50, 800));
      }
      for (const way of waysOf(cluster)) way.shut(true);
      await sleep(2_000);
      for (const way of waysOf(cluster)) way.shut(false);
    },
  },
  {
    name: `dead way to ${to}`,
    kind: 'way',
    async run({ cluster, isLong, ledger }) {
      const isOver = ledger.excuse();
      for (const way of waysOf(cluster)) way.dead(true);
      await sleep(isLong ? 30_000 : 6_000);
      for (const way of waysOf(cluster)) way.dead(false);
      isOver();
    },
  },
]);

const others: readonly Fault[] = [
  {
    name: 'clock jumps',
    kind: 'clock',
    async run({ cluster, draw, isLong, tell }) {
      // Less than the five minutes that a receiver lets a signature be wrong.
      const ms = pick(draw, [-240_000, 240_000]);
      const wrong = draw() < 0.5 ? cluster.replicas : [pick(draw, cluster.replicas)];
      tell(`${wrong.length === 1 ? wrong[0]!.name : 'every role'} by ${ms / 1000} s`);
      for (const replica of wrong) replica.jump(ms);
      await sleep(isLong ? 15_000 : 5_000);
      for (const replica of wrong) replica.jump(0);
    },
  },
  {
    name: 'two relays own the lanes',
    kind: 'service',
    async run({ cluster, database, draw, tell }) {
      // The owner's lease is over and it does not know: it goes on until it looks, beside the one that takes over.
      for (let n = 0; n < 3; n++) {
        await database.query(
          `UPDATE bus.owners SET until = '-infinity', epoch = epoch + 1, owner = '' WHERE name = 'relay'`,
        );
        // And what was sent is sent again, as by one that slept through the note of it.
        await database.query('UPDATE bus.published SET number = greatest(0, number - $1)', [between(draw, 5, 60)]);
        await sleep(between(draw, 300, 1_500));
      }
      tell(`${of(cluster, 'core').length} processes of core`);
    },
  },
  {
    name: 'every lease is taken away',
    kind: 'service',
    async run({ database }) {
      await database.query(`UPDATE bus.owners SET until = '-infinity', epoch = epoch + 1, owner = ''`);
    },
  },
];

export const faults: readonly Fault[] = [
  ...ROLES.map(killOf),
  killSeveral,
  rolling,
  ...ROLES.map(frozenOf),
  ...brokers,
  ...databases,
  ...ways,
  ...others,
];
