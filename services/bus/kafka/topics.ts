/** The topics of the log, as data: `eduk doctor` creates what is missing and tells what differs. */
import { PARTITIONS } from '#kernel';
import { events } from '#proto/events';
import { TOPIC_RETENTION_MS } from '../retention.ts';
import { topicOf } from './cloudevents.ts';
import type { TopicDescription, TopicSpec } from './port.ts';

/** Streams that the contract knows, in the order of their names. */
export const streams: readonly string[] = [...new Set(Object.values(events).map(({ stream }) => stream))].sort();

/** Most bytes that one lane's records of one `send` may have, by `recordBytes`; a topic takes no larger batch. */
export const MAX_BATCH_BYTES = 16 * 1024 * 1024;

/** Copies that a set-up of so many brokers can keep: three where there are three, else one for each broker. */
export const replicationOf = (brokers: number): number => Math.max(1, Math.min(3, brokers));

/**
 * One topic a stream. With three copies two must have a record before it counts as written, so that one broker may be lost
 * at any time; with fewer there is no such promise, and `eduk doctor` says so.
 */
export function topicSpecs({ prefix, replication }: { prefix: string; replication: number }): TopicSpec[] {
  return streams.map((stream) => ({
    name: topicOf(prefix, stream),
    partitions: PARTITIONS,
    replication,
    configs: {
      // Numbers have no gaps, so nothing may be taken out of the middle.
      'cleanup.policy': 'delete',
      'retention.ms': String(TOPIC_RETENTION_MS),
      'retention.bytes': '-1',
      // Only closed segments are dropped.
      'segment.ms': String(86_400_000),
      'segment.bytes': String(256 * 1024 * 1024),
      'min.insync.replicas': replication >= 3 ? '2' : '1',
      'unclean.leader.election.enable': 'false',
      'max.message.bytes': String(MAX_BATCH_BYTES),
      'message.timestamp.type': 'LogAppendTime',
      'compression.type': 'producer',
    },
  }));
}

/** What is not as it should be; `setting` is Kafka's own name, or `partitions`, `replication`, `missing`, `leader`, `in-sync`. */
export interface TopicFault {
  topic: string;
  setting: string;
  wanted: string;
  found: string;
  /** It loses records or order, or stops writes; else it is only another choice than ours. */
  grave: boolean;
}

/** Settings with which promises fall; the others are ours to prefer. */
const grave = new Set([
  'cleanup.policy',
  'min.insync.replicas',
  'unclean.leader.election.enable',
  'max.message.bytes',
  // By the time of the event itself what is old when it is written, as after a move, would be dropped at once.
  'message.timestamp.type',
]);

/** Compares topics with what was declared. More retention, more copies and larger messages than declared are no fault. */
export function checkTopics(specs: readonly TopicSpec[], found: readonly TopicDescription[]): TopicFault[] {
  const faults: TopicFault[] = [];
  for (const { name: topic, partitions, replication, configs } of specs) {
    const is = found.find(({ name }) => name === topic);
    const fault = (setting: string, wanted: string | number, found: string | number, grave: boolean) =>
      faults.push({ topic, setting, wanted: String(wanted), found: String(found), grave });
    if (is === undefined) {
      fault('missing', 'a topic', 'none', true);
      continue;
    }
    if (is.partitions.length !== partitions) fault('partitions', partitions, is.partitions.length, true);
    const copies = Math.min(...is.partitions.map(({ replicas }) => replicas.length));
    if (copies < replication) fault('replication', replication, copies, true);
    const leaderless = is.partitions.filter(({ leader }) => leader < 0).length;
    if (leaderless > 0) fault('leader', 'one for each partition', `${leaderless} without`, true);
    const wantedInSync = Number(is.configs['min.insync.replicas'] ?? 1);
    const short = is.partitions.filter(({ inSync }) => inSync.length < wantedInSync).length;
    if (short > 0) fault('in-sync', `${wantedInSync} for each partition`, `${short} with fewer: no writes`, true);
    const behind = is.partitions.filter(({ inSync, replicas }) => inSync.length < replicas.length).length;
    if (behind > short) fault('in-sync', 'every copy', `${behind} with copies behind`, false);
    for (const [setting, wanted] of Object.entries(configs)) {
      const value = is.configs[setting] ?? '';
      if (value === wanted || atLeast(setting, value, wanted)) continue;
      fault(setting, wanted, value, grave.has(setting) || (setting === 'retention.ms' && Number(value) >= 0));
    }
  }
  return faults;
}

/** `-1` keeps for ever. */
function atLeast(setting: string, value: string, wanted: string): boolean {
  if (setting === 'retention.ms') return value === '-1' || Number(value) >= Number(wanted);
  if (setting === 'max.message.bytes' || setting === 'min.insync.replicas') return Number(value) >= Number(wanted);
  return false;
}
