/** A real Apache Kafka and a real PostgreSQL for one machine: for developing, tests and measuring. Not for production. */
import { dockerAnswers, kafkaInDocker, postgresInDocker } from './docker.ts';
import { startKafka } from './kafka.ts';
import { startPostgres } from './postgres.ts';
import { LocalProblem } from './problem.ts';

export { cacheFolder, missingHere } from './install.ts';
export {
  type KafkaNode,
  type KafkaOptions,
  kafkaTool,
  type LocalKafka,
  type SecureListener,
  startKafka,
} from './kafka.ts';
export { freePorts } from './ports.ts';
export { type LocalPostgres, type PostgresStop, startPostgres } from './postgres.ts';
export { LocalProblem } from './problem.ts';

/** Where a server comes from: an address that was given, Docker, or programs that Maven brought. */
export type Origin = 'given' | 'docker' | 'maven';

export interface Infrastructure {
  /** `host:port` of each broker. */
  brokers: string[];
  /** Database of the state, with the password. */
  databaseUrl: string;
  /** Database of the vault, with the password. */
  vaultUrl: string;
  origin: { kafka: Origin; postgres: Origin };
  /** Ends what was started here, within 7 s; what was given stays. What is kept in the folder stays too. */
  stop(): Promise<void>;
}

/** The database of the vault beside that of the state: the same address, and the name with `_vault` after it. */
function besideOf(databaseUrl: string): string {
  const url = URL.parse(databaseUrl);
  if (!url || url.pathname.length < 2)
    throw new LocalProblem('EDUK_DATABASE_URL must be postgres://user:password@host:port/database.', 2);
  url.pathname += '_vault';
  return url.href;
}

/**
 * Kafka and PostgreSQL, each by the first that there is: the addresses in `EDUK_KAFKA_BROKERS` and `EDUK_DATABASE_URL` (with
 * `EDUK_VAULT_DATABASE_URL`, or the database of that name with `_vault` after it), Docker, Maven. Resolves when both serve.
 * @throws {LocalProblem} 3 = something must be installed, 2 = wrong use, 1 = it did not start
 */
export async function localInfrastructure(options: {
  /** What the servers keep, but not those in Docker. */
  folder: string;
  /** Brokers to start. */
  nodes?: 1 | 3;
}): Promise<Infrastructure> {
  const { folder, nodes = 1 } = options;
  const { EDUK_KAFKA_BROKERS: brokers, EDUK_DATABASE_URL: url, EDUK_VAULT_DATABASE_URL: vault } = process.env;
  const given = { kafka: !!brokers, postgres: !!url };
  const docker = !(given.kafka && given.postgres) && (await dockerAnswers());
  const from = (isGiven: boolean): Origin => (isGiven ? 'given' : docker ? 'docker' : 'maven');
  const origin = { kafka: from(given.kafka), postgres: from(given.postgres) };
  const stop = async () => {};
  const kafka = () => {
    if (brokers) return { brokers: brokers.split(',').map((one) => one.trim()), stop };
    return docker ? kafkaInDocker(nodes) : startKafka({ folder, nodes });
  };
  const postgres = () => {
    if (url) return { url, vaultUrl: vault || besideOf(url), stop };
    return docker ? postgresInDocker() : startPostgres({ folder });
  };
  // One after the other: when the second does not start, the first is ended, and what is fetched is fetched once.
  const database = await postgres();
  try {
    const log = await kafka();
    return {
      brokers: log.brokers,
      databaseUrl: database.url,
      vaultUrl: database.vaultUrl,
      origin,
      stop: async () => {
        await Promise.all([log.stop(), database.stop()]);
      },
    };
  } catch (error) {
    await database.stop();
    throw error;
  }
}
