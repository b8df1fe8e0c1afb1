import { expect, test } from 'vitest';
import type { TopicDescription } from './port.ts';
import { checkTopics, replicationOf, streams, topicSpecs } from './topics.ts';

const specs = topicSpecs({ prefix: 'eduk', replication: 3 });
const [spec] = specs;
const as = (changes: Partial<TopicDescription> = {}, configs: Record<string, string> = {}): TopicDescription => ({
  name: spec!.name,
  partitions: Array.from({ length: 16 }, (_, partition) => ({
    partition,
    leader: 1,
    replicas: [1, 2, 3],
    inSync: [1, 2, 3],
  })),
  configs: { ...spec!.configs, 'flush.ms': '1', ...configs },
  ...changes,
});
const told = (found: TopicDescription[]) =>
  checkTopics([spec!], found).map(
    ({ setting, wanted, found, grave }) => `${setting} ${wanted} ${found}${grave ? ' !' : ''}`,
  );

test('every stream of the contract has its topic, with sixteen partitions', () => {
  expect(streams).toEqual([
    'access',
    'audit',
    'catalogue',
    'deliveries',
    'entitlements',
    'orders',
    'parties',
    'results',
    'rosters',
  ]);
  expect(specs.map(({ name }) => name)).toEqual(streams.map((stream) => `eduk.${stream}.v1`));
  expect(new Set(specs.map(({ partitions }) => partitions))).toEqual(new Set([16]));
});

test('one broker may be lost where there are three', () => {
  expect(replicationOf(0)).toBe(1);
  expect(replicationOf(2)).toBe(2);
  expect(replicationOf(5)).toBe(3);
  expect(spec!.configs['min.insync.replicas']).toBe('2');
  expect(topicSpecs({ prefix: 'eduk', replication: 1 })[0]!.configs['min.insync.replicas']).toBe('1');
});

test('what is as declared, or keeps more, is no fault', () => {
  expect(told([as()])).toEqual([]);
  expect(told([as({}, { 'retention.ms': '-1', 'max.message.bytes': '99999999', 'min.insync.replicas': '3' })])).toEqual(
    [],
  );
});

test('what breaks a promise is told as grave', () => {
  expect(told([])).toEqual(['missing a topic none !']);
  expect(told([as({ partitions: as().partitions.slice(0, 3) })])).toEqual(['partitions 16 3 !']);
  expect(told([as({}, { 'cleanup.policy': 'compact' })])).toEqual(['cleanup.policy delete compact !']);
  expect(told([as({}, { 'min.insync.replicas': '1' })])).toEqual(['min.insync.replicas 2 1 !']);
  expect(told([as({}, { 'unclean.leader.election.enable': 'true' })])).toEqual([
    'unclean.leader.election.enable false true !',
  ]);
  expect(told([as({}, { 'retention.ms': '3600000' })])).toEqual(['retention.ms 604800000 3600000 !']);
  expect(told([as({}, { 'message.timestamp.type': 'CreateTime' })])).toEqual([
    'message.timestamp.type LogAppendTime CreateTime !',
  ]);
});

test('copies that are behind are told, and stop writes when too few are left', () => {
  const lanes = as().partitions;
  expect(told([as({ partitions: lanes.map((lane) => ({ ...lane, inSync: [1, 2] })) })])).toEqual([
    'in-sync every copy 16 with copies behind',
  ]);
  expect(told([as({ partitions: lanes.map((lane) => ({ ...lane, inSync: [1] })) })])).toEqual([
    'in-sync 2 for each partition 16 with fewer: no writes !',
  ]);
  expect(told([as({ partitions: lanes.map((lane) => ({ ...lane, replicas: [1], inSync: [1] })) }, {})])).toContain(
    'replication 3 1 !',
  );
  expect(told([as({ partitions: lanes.map((lane, at) => (at === 0 ? { ...lane, leader: -1 } : lane)) })])).toEqual([
    'leader one for each partition 1 without !',
  ]);
});
