import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alterUserScramCredentialsV0, Connection, deleteRecordsV2, ScramMechanisms } from '@platformatic/kafka';
import { afterAll, beforeAll, describe } from 'vitest';
import { type LocalKafka, missingHere, startKafka } from '#deploy/local';
import { driverContract } from './contract.ts';

const missing = await missingHere();
const folder = mkdtempSync(join(tmpdir(), 'eduk-drivers-'));
let kafka: LocalKafka;
let raw: Connection;

describe.skipIf(missing !== undefined)('a broker', () => {
  beforeAll(async () => {
    kafka = await startKafka({ folder, security: true });
    const [host, port] = kafka.brokers[0]!.split(':') as [string, string];
    raw = new Connection('contract', {});
    await raw.connect(host, Number(port));
    const { username, password } = kafka.secure!;
    for (const [mechanism, digest, bytes] of [
      [ScramMechanisms.SCRAM_SHA_256, 'sha256', 32],
      [ScramMechanisms.SCRAM_SHA_512, 'sha512', 64],
    ] as const) {
      const salt = randomBytes(16);
      const saltedPassword = pbkdf2Sync(password, salt, 4096, bytes, digest);
      await alterUserScramCredentialsV0.api.async(
        raw,
        [],
        [{ name: username, mechanism, iterations: 4096, salt, saltedPassword }],
      );
    }
  });
  afterAll(async () => {
    await raw?.close();
    await kafka?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const broker = () => ({
    brokers: kafka.brokers,
    secure: kafka.secure!,
    async truncate({ topic, partition }: { topic: string; partition: number }, offset: bigint) {
      await deleteRecordsV2.api.async(
        raw,
        [{ name: topic, partitions: [{ partitionIndex: partition, offset }] }],
        5000,
      );
    },
  });
  driverContract('platformatic', broker);
  driverContract('kafkajs', broker);
});
