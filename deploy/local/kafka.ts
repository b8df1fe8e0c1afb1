/** Apache Kafka on loopback: one node, or three that keep every record three times, each broker and controller in one (KRaft). */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type Installed, install, javaCommand, javaVersion } from './install.ts';
import { freePorts, isFree } from './ports.ts';
import { LocalProblem } from './problem.ts';
import { awaitEarlierRun, type Server, serverOf } from './process.ts';

const run = promisify(execFile);

export interface KafkaOptions {
  /** Everything it keeps: `<folder>/kafka`. Started on the same folder again, it has its records, and its ports when they are free. */
  folder: string;
  /** 1: everything once. 3: everything three times, acknowledged by two. A folder keeps the number that it began with. */
  nodes?: 1 | 3;
  /** Also listens with TLS and a password (SASL/PLAIN), for tests of such settings. */
  security?: boolean;
  /** Ports on loopback, one for each node, that clients and other nodes are told instead of its own: of proxies before them. */
  advertised?: readonly number[];
}

/** The listener with TLS; its certificate is made for this folder, for 127.0.0.1 and localhost. */
export interface SecureListener {
  /** `host:port` of each node. */
  brokers: string[];
  /** What a client must trust; PEM. */
  ca: string;
  username: string;
  password: string;
}

/** One node; its folder holds `server.properties`, `server.log` and `data`. */
export interface KafkaNode extends Server {
  readonly id: number;
  /** `host:port`. */
  readonly broker: string;
  readonly folder: string;
}

export interface LocalKafka {
  /** `host:port` of each node, without TLS. */
  brokers: string[];
  nodes: KafkaNode[];
  /** When asked for. */
  secure?: SecureListener;
  /** Ends all nodes, within 7 s. What they keep stays. */
  stop(): Promise<void>;
}

interface Ports {
  broker: number;
  controller: number;
  secure: number;
}
/** Kept as `<folder>/kafka/cluster.json`. */
interface Cluster {
  clusterId: string;
  nodes: Ports[];
  password: string;
}

/** The compiler that gives the best code is left out: it costs start time and memory, and a broker on loopback does not need it. */
const JVM = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xms64m', '-Xmx512m', '-Djava.awt.headless=true'];
const LOG4J = join(import.meta.dirname, 'log4j2.properties');
const MAIN = 'kafka.Kafka';

/** What is asked of the JVM for one node. */
const nodeArgs = (installed: Installed, folder: string, classes: readonly string[]): string[] => [
  ...JVM,
  ...classes,
  `-Dlog4j2.configurationFile=${LOG4J}`,
  `-Deduk.node.folder=${folder}`,
  '-cp',
  installed.classpath,
  MAIN,
  join(folder, 'server.properties'),
];

function properties(
  cluster: Cluster,
  id: number,
  folder: string,
  { security = false, advertised }: Pick<KafkaOptions, 'security' | 'advertised'>,
): string {
  const own = cluster.nodes[id - 1]!;
  const copies = cluster.nodes.length;
  const enough = copies === 3 ? 2 : 1;
  const listeners = { BROKER: own.broker, CONTROLLER: own.controller, ...(security ? { SECURE: own.secure } : {}) };
  const listed = Object.entries(listeners).map(([name, port]) => `${name}://127.0.0.1:${port}`);
  const settings: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': cluster.nodes.map(({ controller }, i) => `${i + 1}@127.0.0.1:${controller}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'BROKER',
    listeners: listed.join(','),
    'advertised.listeners': listed
      .filter((one) => !one.startsWith('CONTROLLER'))
      .map((one) => (advertised && one.startsWith('BROKER') ? `BROKER://127.0.0.1:${advertised[id - 1]}` : one))
      .join(','),
    'listener.security.protocol.map': 'BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
    'log.dirs': join(folder, 'data'),
    'default.replication.factor': copies,
    'min.insync.replicas': enough,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 10,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': enough,
    'transaction.state.log.num.partitions': 10,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': enough,
    'share.coordinator.state.topic.num.partitions': 10,
    'unclean.leader.election.enable': false,
    // A name that is written wrong is an error, not a new topic.
    'auto.create.topics.enable': false,
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 2,
    'num.io.threads': 4,
    // 128 MB of heap otherwise, for compacting logs of a size that a local broker does not have.
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
  };
  if (security)
    Object.assign(settings, {
      'ssl.keystore.type': 'PKCS12',
      'ssl.keystore.location': join(folder, '..', 'tls', 'broker.p12'),
      'ssl.keystore.password': cluster.password,
      'ssl.key.password': cluster.password,
      'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      // Users of these are of the cluster, not of its settings; there are none until somebody makes one.
      ...Object.fromEntries(
        ['scram-sha-256', 'scram-sha-512'].map((mechanism) => [
          `listener.name.secure.${mechanism}.sasl.jaas.config`,
          'org.apache.kafka.common.security.scram.ScramLoginModule required;',
        ]),
      ),
      'listener.name.secure.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_eduk="${cluster.password}";`,
    });
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** The cluster of the folder, begun when there is none. Ports that others have taken meanwhile are drawn anew. */
async function clusterOf(folder: string, count: 1 | 3): Promise<Cluster> {
  const file = join(folder, 'cluster.json');
  let cluster: Cluster | undefined;
  if (existsSync(file)) cluster = JSON.parse(readFileSync(file, 'utf8')) as Cluster;
  if (cluster && cluster.nodes.length !== count)
    throw new LocalProblem(
      `${folder} is of a cluster of ${cluster.nodes.length}, not of ${count}. Give another folder.`,
      2,
    );
  const ports = cluster?.nodes.flatMap(({ broker, controller, secure }) => [broker, controller, secure]) ?? [];
  if (cluster && (await Promise.all(ports.map(isFree))).every(Boolean)) return cluster;
  const drawn = await freePorts(3 * count);
  const nodes = Array.from({ length: count }, (_, i) => {
    const [broker, controller, secure] = drawn.slice(3 * i);
    return { broker: broker!, controller: controller!, secure: secure! };
  });
  // Its command line takes what begins with a hyphen for an option.
  const clusterId = cluster?.clusterId ?? randomBytes(16).toString('base64url').replace(/^-/, '0');
  const begun = { clusterId, nodes, password: cluster?.password ?? randomBytes(18).toString('base64url') };
  writeFileSync(`${file}.new`, JSON.stringify(begun), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return begun;
}

/**
 * Makes the key of the brokers with Java's own tool, so that nothing else must be installed, and returns its certificate
 * as PEM. It signs itself: a client trusts this one certificate and nothing more.
 */
async function certificate(folder: string, password: string): Promise<string> {
  const pem = join(folder, 'ca.pem');
  if (existsSync(pem)) return readFileSync(pem, 'utf8');
  const store = join(folder, 'broker.p12');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const common = [
    '-keystore',
    store,
    '-storetype',
    'PKCS12',
    '-alias',
    'broker',
    '-storepass:env',
    'EDUK_STORE_PASSWORD',
  ];
  const env = { ...process.env, EDUK_STORE_PASSWORD: password };
  const make = ['-genkeypair', '-keyalg', 'RSA', '-keysize', '2048', '-validity', '3650', '-dname', 'CN=127.0.0.1'];
  await run(javaCommand('keytool'), [...make, '-ext', 'SAN=ip:127.0.0.1,dns:localhost', ...common], { env });
  await run(javaCommand('keytool'), ['-exportcert', '-rfc', '-file', pem, ...common], { env });
  return readFileSync(pem, 'utf8');
}

/** Writes what a new node begins with. A folder that was only half done is done again. */
async function format(
  installed: Installed,
  clusterId: string,
  folder: string,
  classes: readonly string[],
): Promise<void> {
  const done = join(folder, 'formatted');
  if (existsSync(done)) return;
  const config = join(folder, 'server.properties');
  const args = ['format', '--cluster-id', clusterId, '--config', config, '--ignore-formatted'];
  const jvm = [...JVM, ...classes, '-cp', installed.classpath];
  await run(javaCommand(), [...jvm, 'kafka.tools.StorageTool', ...args], { cwd: folder }).catch((error: Error) => {
    throw new LocalProblem(`Kafka could not write to ${folder}: ${error.message}`);
  });
  writeFileSync(done, '');
}

function nodeOf(
  installed: Installed,
  id: number,
  broker: string,
  folder: string,
  classes: readonly string[],
): KafkaNode {
  const ready = join(folder, 'ready.log');
  const server = serverOf({
    name: `Kafka node ${id}`,
    command: javaCommand(),
    args: () => {
      rmSync(ready, { force: true });
      return nodeArgs(installed, folder, classes);
    },
    folder,
    isReady: () => existsSync(ready) && readFileSync(ready, 'utf8').includes('Kafka Server started'),
    log: join(folder, 'server.log'),
    signals: { end: 'SIGTERM', endNow: 'SIGTERM' },
    startTimeoutMs: 120_000,
  });
  return Object.defineProperties(server as KafkaNode, {
    id: { value: id, enumerable: true },
    broker: { value: broker, enumerable: true },
    folder: { value: folder, enumerable: true },
  });
}

/**
 * Flags that let a JVM take Kafka's classes from an archive, made when this Java has none yet by running a node for a
 * moment. A start takes little more than half of the processor's time with it.
 */
async function archivedClasses(installed: Installed): Promise<string[]> {
  const java = createHash('sha256')
    .update(await javaVersion())
    .digest('hex')
    .slice(0, 12);
  const archive = join(installed.folder, `classes-${java}.jsa`);
  if (existsSync(archive))
    return [`-XX:SharedArchiveFile=${archive}`, '-Xshare:auto', '-Xlog:cds=off', '-Xlog:cds+dynamic=off'];
  process.stderr.write('Making an archive of Kafka’s classes for this Java, once.\n');
  const making = join(installed.folder, `making-${process.pid}-${randomBytes(4).toString('hex')}`);
  const made = join(making, 'classes.jsa');
  try {
    const [node] = await prepare(installed, making, 1, {}, [`-XX:ArchiveClassesAtExit=${made}`]);
    await node!.start();
    await node!.stop();
    renameSync(made, archive);
  } catch (error) {
    // A Java that cannot do it still runs Kafka, only slower.
    process.stderr.write(`There is no archive of classes, so Kafka starts slower: ${(error as Error).message}\n`);
    return [];
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return archivedClasses(installed);
}

/** Nodes that are ready to be started: settings written, storage formatted. */
async function prepare(
  installed: Installed,
  top: string,
  count: 1 | 3,
  options: Pick<KafkaOptions, 'security' | 'advertised'>,
  classes: readonly string[],
): Promise<KafkaNode[]> {
  mkdirSync(top, { recursive: true });
  const cluster = await clusterOf(top, count);
  // Formatting with a flag that archives would only archive the formatter.
  const formatting = classes.filter((flag) => !flag.startsWith('-XX:ArchiveClassesAtExit'));
  return Promise.all(
    cluster.nodes.map(async ({ broker }, i) => {
      const folder = join(top, `node-${i + 1}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'server.properties'), properties(cluster, i + 1, folder, options), { mode: 0o600 });
      await format(installed, cluster.clusterId, folder, formatting);
      return nodeOf(installed, i + 1, `127.0.0.1:${broker}`, folder, classes);
    }),
  );
}

/**
 * Starts Kafka; resolves when every node serves.
 * @throws {LocalProblem} 3 = Java or Maven is missing, 2 = the folder is of another number of nodes, 1 = it did not start
 */
export async function startKafka(options: KafkaOptions): Promise<LocalKafka> {
  const { nodes: count = 1, security = false } = options;
  const top = join(resolve(options.folder), 'kafka');
  const classes = await archivedClasses(await installedWithJava());
  const installed = await install();
  mkdirSync(top, { recursive: true });
  for (let id = 1; id <= count; id++) await awaitEarlierRun(join(top, `node-${id}`), `Kafka node ${id}`);
  const { nodes: ports, password } = await clusterOf(top, count);
  const ca = security ? await certificate(join(top, 'tls'), password) : '';
  const nodes = await prepare(installed, top, count, options, classes);
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  const started = await Promise.allSettled(nodes.map((node) => node.start()));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const brokers = nodes.map(({ broker }) => broker);
  if (!security) return { brokers, nodes, stop };
  const secure = { brokers: ports.map((one) => `127.0.0.1:${one.secure}`), ca, username: 'eduk', password };
  return { brokers, nodes, secure, stop };
}

/** Java is looked for before anything is fetched: without it the rest is of no use. */
async function installedWithJava(): Promise<Installed> {
  await javaVersion();
  return install();
}

/** Tools that come with Kafka, by the names of its scripts. */
const TOOLS: Readonly<Record<string, string>> = {
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'kafka-console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-dump-log': 'org.apache.kafka.tools.DumpLogSegments',
  'kafka-metadata-quorum': 'org.apache.kafka.tools.MetadataQuorumCommand',
};

/**
 * Command that runs one of Kafka's own tools.
 * @throws {LocalProblem} (2) for a name that is not one of them
 */
export async function kafkaTool(name: string, args: readonly string[]): Promise<{ command: string; args: string[] }> {
  const main = TOOLS[name];
  if (!main) throw new LocalProblem(`There is no ${name}; there are ${Object.keys(TOOLS).join(', ')}.`, 2);
  const { classpath } = await installedWithJava();
  return { command: javaCommand(), args: [...JVM.slice(0, 1), '-cp', classpath, main, ...args] };
}
