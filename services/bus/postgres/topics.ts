/** Topics of streams, made before they are first read or written. */
import { topicOf } from '../kafka/cloudevents.ts';
import { type KafkaDriver, KafkaError } from '../kafka/port.ts';
import { replicationOf, topicSpecs } from '../kafka/topics.ts';

const REST_MS = 500;

export class Topics {
  readonly prefix: string;
  readonly #driver: KafkaDriver;
  readonly #replication: number | undefined;
  readonly #known = new Set<string>();

  /** `replication`: copies of each; absent = as many as the cluster can keep, at most 3. */
  constructor(driver: KafkaDriver, prefix: string, replication: number | undefined) {
    this.#driver = driver;
    this.prefix = prefix;
    this.#replication = replication;
  }

  of(stream: string): string {
    return topicOf(this.prefix, stream);
  }

  /** Makes those that are missing. Throws `KafkaError`. `patienceMs`: for so long it is tried again where that may help. */
  async have(streams: Iterable<string>, patienceMs = 0): Promise<void> {
    const missing = [...new Set(streams)].filter((stream) => !this.#known.has(stream));
    if (missing.length === 0) return;
    const until = performance.now() + patienceMs;
    for (;;)
      try {
        await this.#make(missing);
        return;
      } catch (thrown) {
        // Others may be making the same topics at this moment, and a broker that starts has no leaders yet.
        if (!(thrown instanceof KafkaError) || !thrown.retriable || performance.now() > until) throw thrown;
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
      }
  }

  async #make(missing: readonly string[]): Promise<void> {
    const admin = this.#driver.admin();
    try {
      const replication = this.#replication ?? replicationOf((await admin.brokers()).brokers.length);
      const specs = topicSpecs({ prefix: this.prefix, replication });
      // A stream that the contract does not know is one of a test; it is kept like the others.
      const specOf = (name: string) => specs.find((spec) => spec.name === name) ?? { ...specs[0]!, name };
      await admin.createTopics(missing.map((stream) => specOf(this.of(stream))));
      for (const stream of missing) this.#known.add(stream);
    } finally {
      await admin.close();
    }
  }
}
