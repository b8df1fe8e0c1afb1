import type { Cluster } from './cluster.ts';
import { answered, LEADER_NOT_AVAILABLE, TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC_OR_PARTITION } from './codes.ts';
import {
  type ClusterDescription,
  type KafkaAdmin,
  KafkaError,
  type Lane,
  type LaneOffset,
  type LaneRange,
  type TopicDescription,
  type TopicSpec,
} from './port.ts';
import type { Link } from './wire.ts';

export class Admin implements KafkaAdmin {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  brokers(): Promise<ClusterDescription> {
    return this.#cluster.insist(async () => {
      const { clusterId, controller, brokers } = await this.#cluster.metadata([]);
      return { clusterId, controller, brokers: brokers.sort((a, b) => a.id - b.id) };
    });
  }

  describeTopics(names: readonly string[]): Promise<TopicDescription[]> {
    return this.#cluster.insist(async () => {
      if (names.length === 0) return [];
      const { topics } = await this.#cluster.metadata(names);
      const bad = topics.find(({ code }) => ![0, UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE].includes(code));
      if (bad) throw answered(bad.code, `topic ${bad.name}`);
      const found = topics.filter(({ code }) => code !== UNKNOWN_TOPIC_OR_PARTITION);
      if (found.length === 0) return [];
      const configs = await this.#cluster.askAny((link) => link.configs(found.map(({ name }) => name)));
      return names.flatMap((name) => {
        const topic = found.find((found) => found.name === name);
        if (topic === undefined) return [];
        const config = configs.find((config) => config.name === name);
        if (config === undefined || config.code !== 0) throw answered(config?.code ?? -1, `settings of topic ${name}`);
        return [
          { name, partitions: topic.partitions.sort((a, b) => a.partition - b.partition), configs: config.configs },
        ];
      });
    });
  }

  createTopics(specs: readonly TopicSpec[]): Promise<string[]> {
    const created = new Set<string>();
    return this.#cluster.insist(async () => {
      const missing = specs.filter(({ name }) => !created.has(name));
      if (missing.length > 0) {
        const timeoutMs = Math.ceil(this.#cluster.settings.requestTimeoutMs * 0.8);
        for (const { name, code, words } of await this.#cluster.askAny((link) =>
          link.createTopics(missing, timeoutMs),
        )) {
          if (code === 0) created.add(name);
          else if (code !== TOPIC_ALREADY_EXISTS) throw answered(code, `topic ${name}: ${words}`);
        }
      }
      // Brokers hear of a new topic one after the other; who writes next should not be told that it is unknown.
      const { topics } = await this.#cluster.metadata(specs.map(({ name }) => name));
      for (const { name, code, partitions } of topics) {
        if (code !== 0)
          throw answered(code === UNKNOWN_TOPIC_OR_PARTITION ? LEADER_NOT_AVAILABLE : code, `topic ${name}`);
        if (partitions.some(({ leader }) => leader < 0)) throw answered(LEADER_NOT_AVAILABLE, `topic ${name}`);
        if (created.has(name))
          await ranges(
            this.#cluster,
            partitions.map(({ partition }) => ({ topic: name, partition })),
          ).catch(heardLater);
      }
      return [...created];
    });
  }

  ranges(lanes: readonly Lane[]): Promise<LaneRange[]> {
    return this.#cluster.insist(() => ranges(this.#cluster, lanes));
  }

  async commitOffsets(group: string, offsets: readonly LaneOffset[]): Promise<void> {
    if (offsets.length === 0) return;
    await this.#cluster.insist(async () => {
      const link = await this.#coordinator(group);
      const said = await this.#cluster.ask(link, link.commit(group, sorted(offsets)));
      const bad = said.find(({ code }) => code !== 0);
      if (bad) throw answered(bad.code, `offsets of group ${group}`);
    });
  }

  committedOffsets(group: string, lanes: readonly Lane[]): Promise<LaneOffset[]> {
    return this.#cluster.insist(async () => {
      const link = await this.#coordinator(group);
      const said = await this.#cluster.ask(link, link.committed(group, sorted(lanes)));
      const bad = said.find(({ code }) => code !== 0);
      if (bad) throw answered(bad.code, `offsets of group ${group}`);
      return said
        .filter(({ offset }) => offset >= 0n)
        .map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    });
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  async #coordinator(group: string): Promise<Link> {
    const { code, id } = await this.#cluster.askAny((link) => link.coordinator(group));
    if (code !== 0) throw answered(code, `coordinator of group ${group}`);
    await this.#cluster.metadata([]);
    return this.#cluster.link(id);
  }
}

const sorted = <T extends Lane>(lanes: readonly T[]): T[] =>
  lanes.toSorted((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition));

/** First kept and next offset of lanes, each asked of its leader; one try. */
export async function ranges(cluster: Cluster, lanes: readonly Lane[]): Promise<LaneRange[]> {
  const byLeader = new Map<number, Lane[]>();
  for (const lane of sorted(lanes)) {
    const leader = await cluster.leader(lane);
    if (leader < 0) throw stale(cluster, lane, LEADER_NOT_AVAILABLE);
    const led = byLeader.get(leader);
    if (led) led.push(lane);
    else byLeader.set(leader, [lane]);
  }
  const earliest = new Map<string, bigint>();
  const end = new Map<string, bigint>();
  await Promise.all(
    [...byLeader].map(async ([leader, led]) => {
      const link = await cluster.link(leader);
      for (const which of ['earliest', 'end'] as const) {
        for (const { topic, partition, code, offset } of await cluster.ask(link, link.offsets(led, which))) {
          if (code !== 0) throw stale(cluster, { topic, partition }, code);
          (which === 'end' ? end : earliest).set(`${topic}/${partition}`, offset);
        }
      }
    }),
  );
  return lanes.map(({ topic, partition }) => {
    const key = `${topic}/${partition}`;
    if (!earliest.has(key) || !end.has(key))
      throw new KafkaError('DRIVER', `the answer lacks ${key}`, { retriable: true });
    return { topic, partition, earliest: earliest.get(key)!, end: end.get(key)! };
  });
}

/** What we made does exist: a leader that does not know it has not heard of it yet, however long that takes. */
function heardLater(error: KafkaError): never {
  throw error.code === 'UNKNOWN_TOPIC_OR_PARTITION' ? answered(LEADER_NOT_AVAILABLE, error.message) : error;
}

function stale(cluster: Cluster, { topic, partition }: Lane, code: number): KafkaError {
  cluster.stale([topic]);
  return answered(code, `${topic}/${partition}`);
}
