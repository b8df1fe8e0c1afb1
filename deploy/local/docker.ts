/** The same from Docker, through testcontainers, where Docker runs. Its containers are removed when the process ends. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { freePorts } from './ports.ts';
import { LocalProblem } from './problem.ts';

const KAFKA = 'apache/kafka:4.3.1';
const POSTGRES = 'postgres:18-alpine';

/** Whether Docker answers; a client without its daemon does not count. */
export const dockerAnswers = (): Promise<boolean> =>
  promisify(execFile)('docker', ['info', '--format', '{{.ServerVersion}}'], { timeout: 5_000 }).then(
    // Some versions of the client end well without a daemon, and say nothing.
    ({ stdout }) => stdout.trim() !== '',
    () => false,
  );

/** Only a developer's installation has it, so that a gateway in earnest does not carry it. */
const testcontainers = () =>
  import('testcontainers').catch(() => {
    throw new LocalProblem('Docker is used through testcontainers, which is not installed: npm ci', 3);
  });

/** One broker or three in containers, each on a port of 127.0.0.1. What they keep ends with them. */
export async function kafkaInDocker(count: 1 | 3): Promise<{ brokers: string[]; stop(): Promise<void> }> {
  const { GenericContainer, Network, Wait } = await testcontainers();
  const ports = await freePorts(count);
  const network = await new Network().start();
  const copies = String(count);
  const enough = count === 3 ? '2' : '1';
  const starting = ports.map((port, i) =>
    new GenericContainer(KAFKA)
      .withNetwork(network)
      .withNetworkAliases(`kafka-${i + 1}`)
      .withExposedPorts({ container: 9092, host: port })
      .withEnvironment({
        CLUSTER_ID: 'ZWR1ay1sb2NhbC1kb2NrZQ',
        KAFKA_NODE_ID: String(i + 1),
        KAFKA_PROCESS_ROLES: 'broker,controller',
        KAFKA_CONTROLLER_QUORUM_VOTERS: ports.map((_, j) => `${j + 1}@kafka-${j + 1}:9094`).join(','),
        KAFKA_LISTENERS: 'OUTSIDE://:9092,INSIDE://:9093,CONTROLLER://:9094',
        KAFKA_ADVERTISED_LISTENERS: `OUTSIDE://127.0.0.1:${port},INSIDE://kafka-${i + 1}:9093`,
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT',
        KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
        KAFKA_INTER_BROKER_LISTENER_NAME: 'INSIDE',
        KAFKA_DEFAULT_REPLICATION_FACTOR: copies,
        KAFKA_MIN_INSYNC_REPLICAS: enough,
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: copies,
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: copies,
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: enough,
        KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE: 'false',
        KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
        KAFKA_HEAP_OPTS: '-Xms64m -Xmx512m',
      })
      .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
      .start(),
  );
  const settled = await Promise.allSettled(starting);
  const containers = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async () => {
    await Promise.all(containers.map((container) => container.stop({ timeout: 5_000 })));
    await network.stop();
  };
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return { brokers: ports.map((port) => `127.0.0.1:${port}`), stop };
}

/** PostgreSQL in a container on a port of this machine, with both databases. What it keeps ends with it. */
export async function postgresInDocker(): Promise<{ url: string; vaultUrl: string; stop(): Promise<void> }> {
  const { GenericContainer, Wait } = await testcontainers();
  const password = randomBytes(18).toString('base64url');
  const container = await new GenericContainer(POSTGRES)
    .withExposedPorts(5432)
    .withEnvironment({ POSTGRES_USER: 'eduk', POSTGRES_DB: 'eduk', POSTGRES_PASSWORD: password })
    .withCommand(['-c', 'max_connections=200'])
    // It starts twice: the first time without a port, to lay itself out.
    .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
    .start();
  const stop = async () => {
    await container.stop({ timeout: 5_000 });
  };
  const { exitCode, output } = await container.exec(['createdb', '-U', 'eduk', 'eduk_vault']);
  if (exitCode !== 0) {
    await stop();
    throw new LocalProblem(`The database of the vault could not be made: ${output}`);
  }
  const url = (database: string) =>
    `postgres://eduk:${password}@${container.getHost()}:${container.getMappedPort(5432)}/${database}`;
  return { url: url('eduk'), vaultUrl: url('eduk_vault'), stop };
}
