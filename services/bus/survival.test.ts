import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Infrastructure, localInfrastructure } from '#deploy/local';
import { openDriver, topicSpecs } from './kafka/index.ts';
import { durability, survivalOf } from './survival.ts';

let folder: string;
let servers: Infrastructure;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-survival-'));
  servers = await localInfrastructure({ folder });
});
afterAll(async () => {
  await servers?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const asked = (more: object = {}) =>
  survivalOf({
    databaseUrl: servers.databaseUrl,
    vaultUrl: servers.vaultUrl,
    kafka: { brokers: servers.brokers, clientId: 'doctor' },
    topicPrefix: 'one',
    ...more,
  });
const found = ({ findings }: Awaited<ReturnType<typeof survivalOf>>, name: string) =>
  findings.find((finding) => finding.name === name)!;

test('one broker and databases without standby survive the loss of a process, and no more', async () => {
  const survival = await asked();
  expect(survival.survives).toEqual(['process']);
  expect(found(survival, 'database')).toMatchObject({
    state: 'warn',
    says: expect.stringContaining('a commit is on disk, no synchronous standby'),
  });
  expect(found(survival, 'topics')).toMatchObject({ state: 'ok', says: 'none yet' });
});

test('topics that lose records or order, and databases that lose commits, are failures', async () => {
  const driver = await openDriver('platformatic', { brokers: servers.brokers, clientId: 'test' });
  const specs = topicSpecs({ prefix: 'one', replication: 1 });
  await driver
    .admin()
    .createTopics(
      specs.map((spec, i) => (i === 0 ? { ...spec, configs: { ...spec.configs, 'cleanup.policy': 'compact' } } : spec)),
    );
  await driver.close();
  expect(found(await asked(), 'topics')).toMatchObject({
    state: 'fail',
    says: '1 not as declared. cleanup.policy: compact instead of delete',
  });
  const set = { version: '18', fsync: 'on', pages: 'on', names: '', standbys: 0 };
  expect(durability('d', { ...set, fsync: 'off' })).toMatchObject({ isDurable: false, finding: { state: 'fail' } });
  expect(durability('d', { ...set, pages: 'off' })).toMatchObject({ isDurable: false });
  // Named, and not there: no commit would be answered, or this role may not see it.
  expect(durability('d', { ...set, names: 'b' })).toMatchObject({ hasStandby: false, finding: { state: 'warn' } });
  expect(durability('d', { ...set, names: 'b', standbys: 1 })).toMatchObject({
    isDurable: true,
    hasStandby: true,
    finding: { state: 'ok' },
  });
});

test('what does not answer is told, without its password', async () => {
  const away = await asked({
    databaseUrl: 'postgres://nobody:geheim@127.0.0.1:1/eduk',
    kafka: { brokers: ['127.0.0.1:1'], clientId: 'x' },
  });
  expect(away.survives).toEqual([]);
  expect(away.findings.filter(({ state }) => state === 'fail').map(({ name }) => name)).toEqual([
    'database',
    'brokers',
  ]);
  expect(JSON.stringify(away)).not.toContain('geheim');
});
