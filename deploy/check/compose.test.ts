import { describe, expect, test } from 'vitest';
import { type Compose, composeProblems, readCompose } from './compose.ts';
import { BUILD_MS, missingHere } from './tools.ts';

const missing = await missingHere();
if (missing) process.stderr.write(`compose.yaml is not checked: ${missing}\n`);

describe.skipIf(missing !== undefined)('compose.yaml', () => {
  test('fits the specification, and is what we promise', { timeout: BUILD_MS }, async () => {
    const compose = await readCompose();
    expect(Object.keys(compose.services)).toHaveLength(9);
    expect(composeProblems(compose)).toEqual([]);
  });

  test('does not start without an address that parties know', async () => {
    await expect(readCompose(undefined, { EDUK_PUBLIC_URL: '' })).rejects.toThrow(/EDUK_PUBLIC_URL is missing a value/);
  });

  test.each<[string, (compose: Compose) => void, string]>([
    [
      'a database that is published',
      ({ services: { postgres } }) => void (postgres!.ports = [{ target: 5432, published: '5432' }]),
      'postgres is published',
    ],
    [
      'a watch that reaches the vault',
      ({ services: { watch } }) => void (watch!.networks['vault'] = null),
      'vault holds delivery desk door vault watch',
    ],
    ['a zone with a way out', ({ networks }) => void (networks['identity'] = {}), 'identity is not closed'],
    [
      'a password in the open',
      ({ services: { vault } }) => void (vault!.environment['EDUK_MASTER_KEY_FILE'] = 'x'),
      'EDUK_MASTER_KEY_FILE is not a file',
    ],
    [
      'the master key at a door',
      ({ services: { door } }) => void door!.secrets!.push({ source: 'master-key', target: 'master-key' }),
      'door is given master-key',
    ],
    [
      'a setting that is none',
      ({ services: { core } }) => void (core!.environment['EDUK_MOTOR'] = 'x'),
      'EDUK_MOTOR is not a setting',
    ],
    [
      'a role without its broker',
      ({ services: { core } }) => void delete core!.environment['EDUK_KAFKA_BROKERS'],
      'EDUK_KAFKA_BROKERS is needed',
    ],
    [
      'delivery that knows no administration',
      ({ services: { delivery } }) => void delete delivery!.environment['EDUK_ADMINISTRATIONS'],
      'delivery is given administrations, which no setting names',
    ],
    [
      'a door without the folder that it is told of',
      ({ services: { desk } }) => void delete desk!.volumes,
      'EDUK_ADMINISTRATIONS names a file that is not there',
    ],
    [
      'an image of whatever version',
      ({ services: { kafka } }) => void (kafka!.image = 'apache/kafka:latest'),
      'no version',
    ],
    ['a role that may write', ({ services: { core } }) => void (core!.read_only = false), 'core may write'],
    [
      'a port that nobody answers at',
      ({ services: { door } }) => void (door!.environment['EDUK_VAULT'] = 'vault:1'),
      'EDUK_VAULT is not where vault answers',
    ],
  ])('%s is found', async (_, plant, problem) => {
    const compose = await readCompose();
    plant(compose);
    expect(composeProblems(compose).join('\n')).toContain(problem);
  });
});
