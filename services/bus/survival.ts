/** Which failures a set-up of databases and brokers survives, by what they say of themselves: for `eduk doctor`. */
import type pg from 'pg';
import { connectForCopy } from './copy/postgres.ts';
import { DEFAULT_DRIVER, openDriver } from './kafka/driver.ts';
import { type DriverName, type DriverSettings, KafkaError } from './kafka/port.ts';
import { checkTopics, replicationOf, topicSpecs } from './kafka/topics.ts';

export interface Finding {
  name: string;
  state: 'ok' | 'warn' | 'fail';
  says: string;
}

/** `process`: any of ours; `broker`: one of them, without a stop; `machine`: that of a database. */
export type Loss = 'process' | 'broker' | 'machine';

export interface Survival {
  findings: Finding[];
  survives: Loss[];
}

interface Durability {
  finding: Finding;
  /** What was committed is on disk. */
  isDurable: boolean;
  /** It is on another machine's as well. */
  hasStandby: boolean;
}

export interface SetUp {
  databaseUrl: string;
  /** Undefined where this process may not know it. */
  vaultUrl?: string | undefined;
  kafka: DriverSettings;
  kafkaClient?: DriverName | undefined;
  topicPrefix?: string;
}

/** Asks all of them; what does not answer is a finding. */
export async function survivalOf({ databaseUrl, vaultUrl, ...brokers }: SetUp): Promise<Survival> {
  const [state, vault, kafka] = await Promise.all([
    durabilityOf('database', databaseUrl, 'EDUK_DATABASE_URL'),
    vaultUrl === undefined ? undefined : durabilityOf('vault database', vaultUrl, 'EDUK_VAULT_DATABASE_URL'),
    brokersOf(brokers),
  ]);
  const databases = [state, ...(vault ? [vault] : [])];
  return {
    findings: [...databases.map(({ finding }) => finding), ...kafka.findings],
    survives: [
      ...(databases.every(({ isDurable }) => isDurable) ? (['process'] as const) : []),
      ...(kafka.survivesOne ? (['broker'] as const) : []),
      ...(databases.every(({ isDurable, hasStandby }) => isDurable && hasStandby) ? (['machine'] as const) : []),
    ],
  };
}

/** As PostgreSQL tells of itself. */
export interface DatabaseSettings {
  version: string;
  fsync: string;
  pages: string;
  names: string;
  standbys: number;
}

/** What settings of a database are worth. */
export function durability(name: string, { version, fsync, pages, names, standbys }: DatabaseSettings): Durability {
  const isDurable = fsync === 'on' && pages === 'on';
  const hasStandby = names !== '' && standbys > 0;
  const says = [
    `PostgreSQL ${version}`,
    isDurable ? 'a commit is on disk' : `fsync=${fsync}, full_page_writes=${pages}: what is committed may be lost`,
    hasStandby
      ? `and on ${standbys} synchronous standby${standbys > 1 ? 's' : ''}`
      : names !== ''
        ? `synchronous_standby_names is set, and no synchronous standby is connected (or this role may not see it)`
        : 'no synchronous standby',
  ].join(', ');
  return { finding: { name, state: !isDurable ? 'fail' : hasStandby ? 'ok' : 'warn', says }, isDurable, hasStandby };
}

async function durabilityOf(name: string, url: string, setting: string): Promise<Durability> {
  let client: pg.Client;
  try {
    client = await connectForCopy(url, setting);
  } catch (thrown) {
    const says =
      thrown instanceof Error && thrown.name === 'ConfigError' ? thrown.message : `${setting} does not answer`;
    return { finding: { name, state: 'fail', says }, isDurable: false, hasStandby: false };
  }
  try {
    // Each session of ours asks for synchronous_commit itself; what it waits for is the server's.
    const { rows } = await client.query(
      `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
         current_setting('synchronous_standby_names') AS names,
         (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))::int AS standbys`,
    );
    return durability(name, rows[0] as DatabaseSettings);
  } catch {
    return {
      finding: { name, state: 'fail', says: `${setting} does not say how it is set` },
      isDurable: false,
      hasStandby: false,
    };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function brokersOf({
  kafka,
  kafkaClient = DEFAULT_DRIVER,
  topicPrefix = 'eduk',
}: Omit<SetUp, 'databaseUrl' | 'vaultUrl'>): Promise<{ findings: Finding[]; survivesOne: boolean }> {
  const findings: Finding[] = [];
  const driver = await openDriver(kafkaClient, { ...kafka, requestTimeoutMs: 5_000 });
  try {
    const admin = driver.admin();
    const count = (await admin.brokers()).brokers.length;
    const replication = replicationOf(count);
    const specs = topicSpecs({ prefix: topicPrefix, replication });
    const topics = await admin.describeTopics(specs.map(({ name }) => name));
    const survivesOne =
      topics.length > 0 &&
      topics.every(({ partitions, configs }) => {
        const needed = Number(configs['min.insync.replicas'] ?? 1);
        return (
          configs['unclean.leader.election.enable'] === 'false' &&
          needed >= 2 &&
          partitions.every(({ inSync }) => inSync.length > needed)
        );
      });
    findings.push({
      name: 'brokers',
      state: survivesOne ? 'ok' : 'warn',
      says: survivesOne
        ? `${count}, and any one may be lost without a stop`
        : topics.length === 0
          ? `${count}; no topics yet: the first start makes them`
          : `${count}; while one that has no copy in step is away, nothing is decided (nothing is lost: the database has the log)`,
    });
    // Topics that are all missing belong to a gateway that was never started.
    const faults = topics.length === 0 ? [] : checkTopics(specs, topics);
    const words = [
      ...new Set(faults.map(({ setting, wanted, found }) => `${setting}: ${found || 'unset'} instead of ${wanted}`)),
    ];
    findings.push(
      faults.length === 0
        ? { name: 'topics', state: 'ok', says: topics.length === 0 ? 'none yet' : `${topics.length}, as declared` }
        : {
            name: 'topics',
            state: faults.some(({ grave }) => grave) ? 'fail' : 'warn',
            says: `${new Set(faults.map(({ topic }) => topic)).size} not as declared. ${words.join('; ')}`,
          },
    );
    return { findings, survivesOne };
  } catch (thrown) {
    const why = thrown instanceof KafkaError ? thrown.code : 'no answer';
    return {
      findings: [{ name: 'brokers', state: 'fail', says: `EDUK_KAFKA_BROKERS do not answer (${why})` }],
      survivesOne: false,
    };
  } finally {
    await driver.close();
  }
}
