import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kafkaTool, type LocalKafka, startKafka } from './index.ts';
import { left, missing } from './left.ts';

/** What one of Kafka's own tools says. */
async function tool(name: string, args: readonly string[], input = ''): Promise<string> {
  const { command, args: all } = await kafkaTool(name, args);
  const running = promisify(execFile)(command, all, { timeout: 60_000 });
  running.child.stdin!.end(input);
  return running.then(
    ({ stdout }) => stdout,
    // The tools tell their errors on standard output too.
    ({ stdout, stderr }: { stdout: string; stderr: string }) => Promise.reject(new Error(stdout + stderr)),
  );
}
const topic = 'kept';
const create = (brokers: string[], ...args: string[]) =>
  tool('kafka-topics', ['--bootstrap-server', brokers.join(','), '--create', '--topic', topic, ...args]);
const produce = (brokers: string[], record: string, ...args: string[]) =>
  tool(
    'kafka-console-producer',
    ['--bootstrap-server', brokers.join(','), '--topic', topic, '--command-property', 'acks=all', ...args],
    `${record}\n`,
  );
const consume = async (brokers: string[], count: number) => {
  const from = ['--bootstrap-server', brokers.join(','), '--topic', topic, '--from-beginning'];
  const said = await tool('kafka-console-consumer', [
    ...from,
    '--max-messages',
    String(count),
    '--timeout-ms',
    '30000',
  ]);
  return said.trim().split('\n');
};

describe.skipIf(missing)('Kafka, one node', () => {
  let folder: string;
  let kafka: LocalKafka;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eduk-kafka-'));
    kafka = await startKafka({ folder });
  }, 240_000);
  afterAll(async () => {
    await kafka?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('keeps a record over kill -9, on the same address', async () => {
    const [node] = kafka.nodes;
    await create(kafka.brokers);
    await produce(kafka.brokers, 'before the kill');
    const before = node!.pid!;
    await node!.stop('SIGKILL');
    expect(node!.pid).toBeUndefined();
    expect(left(folder)).toEqual([]);
    await node!.start();
    expect(node!.pid).not.toBe(before);
    expect(await consume(kafka.brokers, 1)).toEqual(['before the kill']);
  });

  test('makes no topic by itself', async () => {
    const absent = ['--bootstrap-server', kafka.brokers[0]!, '--describe', '--topic', 'absent'];
    await expect(tool('kafka-topics', absent)).rejects.toThrow(/does not exist/);
  });

  test('answers nothing while it is paused, and goes on', async () => {
    const [node] = kafka.nodes;
    node!.pause();
    let answered = false;
    const answer = produce(kafka.brokers, 'after the pause').then(() => (answered = true));
    await sleep(4_000);
    expect(answered).toBe(false);
    node!.resume();
    await answer;
    expect(await consume(kafka.brokers, 2)).toEqual(['before the kill', 'after the pause']);
  });

  test('ends in order also while it is paused, and starts again in another run with its records and its address', async () => {
    const { brokers, nodes } = kafka;
    nodes[0]!.pause();
    await kafka.stop();
    expect(left(folder)).toEqual([]);
    await expect(startKafka({ folder, nodes: 3 })).rejects.toThrow('is of a cluster of 1');
    kafka = await startKafka({ folder });
    expect(kafka.brokers).toEqual(brokers);
    expect(await consume(kafka.brokers, 2)).toHaveLength(2);
  });

  test('says why it did not start, and that another run has the folder', async () => {
    const [node] = kafka.nodes;
    await expect(startKafka({ folder })).rejects.toThrow(`already runs on this folder, as process ${node!.pid}`);
    // The other run has changed nothing of this one.
    await node!.stop();
    await node!.start();
    expect(await consume(kafka.brokers, 2)).toHaveLength(2);
    await kafka.stop();
    const settings = join(node!.folder, 'server.properties');
    const right = readFileSync(settings, 'utf8');
    writeFileSync(settings, right.replace('node.id=1', 'node.id=none'));
    await expect(node!.start()).rejects.toThrow(/ended while it started[\s\S]*Invalid value none/);
    writeFileSync(settings, right);
    await node!.start();
  });
});

describe.skipIf(missing)('Kafka, three nodes with TLS', () => {
  let folder: string;
  let kafka: LocalKafka;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eduk-kafka-'));
    kafka = await startKafka({ folder, nodes: 3, security: true });
  }, 240_000);
  afterAll(async () => {
    await kafka?.stop();
    expect(left(folder)).toEqual([]);
    rmSync(folder, { recursive: true, force: true });
  });

  test('keeps everything three times, and takes records while one node is gone', async () => {
    await create(kafka.brokers);
    const described = await tool('kafka-topics', ['--bootstrap-server', kafka.brokers.join(','), '--describe']);
    expect(described).toContain('ReplicationFactor: 3');
    expect(described).toContain('min.insync.replicas=2');
    await produce(kafka.brokers, 'by three');
    await kafka.nodes[0]!.stop('SIGKILL');
    await produce(kafka.brokers, 'by two');
    await kafka.nodes[0]!.start();
    expect(await consume(kafka.brokers, 2)).toEqual(['by three', 'by two']);
  });

  test('takes the password over TLS, and no other', async () => {
    const { brokers, ca, username, password } = kafka.secure!;
    expect(statSync(join(kafka.nodes[0]!.folder, 'server.properties')).mode & 0o077).toBe(0);
    const trust = join(folder, 'ca.pem');
    writeFileSync(trust, ca);
    const client = (secret: string) => {
      const file = join(folder, 'client.properties');
      const login = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${username}" password="${secret}";`;
      writeFileSync(
        file,
        `security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=${login}\nssl.truststore.type=PEM\nssl.truststore.location=${trust}\n`,
      );
      return ['--bootstrap-server', brokers.join(','), '--command-config', file, '--list'];
    };
    expect(await tool('kafka-topics', client(password))).toContain(topic);
    await expect(tool('kafka-topics', client('guessed'))).rejects.toThrow('Authentication failed');
  });
});
