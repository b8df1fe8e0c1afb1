import { setTimeout as rest } from 'node:timers/promises';
import { answered, connectionError, unwritten } from './codes.ts';
import { type DriverSettings, KafkaError, type Lane } from './port.ts';
import type { ClusterMetadata, Link, Wire } from './wire.ts';

/** A leader that changed is looked for at most this often. */
const LEAST_REFRESH_MS = 50;
/** Leaders are asked for anew after this long without trouble. */
const METADATA_AGE_MS = 60_000;
const UNKNOWN_TRIES = 3;
/** A broker that has not answered for so long is not waited for alone. */
const HEDGE_MS = 2000;

/** Rests between tries: 50 ms, doubled up to 2 s, give or take a fifth, so that clients do not come back in step. */
export const restMs = (tries: number): number =>
  Math.min(2000, 50 * 2 ** Math.min(tries, 10)) * (0.8 + Math.random() * 0.4);

const closed = () => new KafkaError('CLOSED', 'this client was closed', { retriable: false });

/** Connections to the brokers of a cluster, and who leads which lane. Ask nothing more of it after `close`. */
export class Cluster {
  readonly settings: Required<Pick<DriverSettings, 'connectTimeoutMs' | 'requestTimeoutMs'>> & DriverSettings;
  readonly #wire: Wire;
  readonly #links = new Map<string, Promise<Link>>();
  readonly #end = new AbortController();
  #brokers = new Map<number, { host: string; port: number }>();
  /** Leaders by topic, in order of partitions (-1 = none), and when they were read, monotonic milliseconds. */
  readonly #leaders = new Map<string, { leaders: number[]; code: number; readMs: number }>();
  #refreshing = new Map<string, Promise<void>>();
  #turn = 0;

  constructor(wire: Wire, settings: Cluster['settings']) {
    this.#wire = wire;
    this.settings = settings;
  }

  get closed(): boolean {
    return this.#end.signal.aborted;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Ends all connections at once; open calls reject. */
  async close(): Promise<void> {
    this.#end.abort();
    const links = await Promise.allSettled(this.#links.values());
    await Promise.all(links.map((link) => (link.status === 'fulfilled' ? link.value.ended : undefined)));
  }

  /** A connection to this broker of the metadata, made where there is none. */
  link(brokerId: number): Promise<Link> {
    const broker = this.#brokers.get(brokerId);
    if (broker === undefined) {
      return Promise.reject(
        new KafkaError('BROKER_NOT_AVAILABLE', `no broker ${brokerId} in the cluster`, { retriable: true }),
      );
    }
    return this.#connect(broker.host, broker.port);
  }

  /**
   * Asks one broker after another, beginning with another each time: the next when one fails, or has not answered after two
   * seconds (a broker that stands still takes connections, and answers none of them). The first answer counts.
   */
  async askAny<T>(what: (link: Link) => Promise<T>): Promise<T> {
    const places = new Map<string, { host: string; port: number }>();
    for (const at of [...this.#brokers.values(), ...this.settings.brokers.map(place)])
      places.set(`${at.host}:${at.port}`, at);
    const known = [...places.values()];
    const turn = this.#turn++ % known.length;
    const order = [...known.slice(turn), ...known.slice(0, turn)];
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let open = 0;
    let hedge: NodeJS.Timeout | undefined;
    const next = (): void => {
      clearTimeout(hedge);
      const at = order.shift();
      if (at === undefined) return;
      open++;
      if (order.length > 0) hedge = setTimeout(next, HEDGE_MS);
      this.#connect(at.host, at.port)
        .then((link) => this.ask(link, what(link)))
        .then(resolve, (error: unknown) => {
          open--;
          // Another broker answers no other way to a wrong password, and each try may lock the user out.
          if (this.closed || (error instanceof KafkaError && error.code.includes('SASL'))) reject(error);
          else if (order.length > 0) next();
          else if (open === 0) reject(error);
        });
    };
    next();
    try {
      return await promise;
    } finally {
      clearTimeout(hedge);
      order.length = 0;
    }
  }

  /**
   * Leaders of a topic's partitions. Rejects where it is unknown (`UNKNOWN_TOPIC_OR_PARTITION`) or nobody can be asked.
   */
  async leaders(topic: string): Promise<readonly number[]> {
    const known = this.#leaders.get(topic);
    if (known === undefined || known.code !== 0 || performance.now() - known.readMs > METADATA_AGE_MS)
      await this.refresh([topic]);
    const { leaders, code } = this.#leaders.get(topic)!;
    if (code !== 0) throw unwritten(answeredTopic(code, topic));
    return leaders;
  }

  /** Leader of one lane now; -1 = none. */
  async leader({ topic, partition }: Lane): Promise<number> {
    const leaders = await this.leaders(topic);
    const leader = leaders[partition];
    if (leader === undefined) throw unwritten(answeredTopic(3, `${topic}/${partition}`));
    return leader;
  }

  /** What is known of these leaders no longer holds. */
  stale(topics: Iterable<string>): void {
    for (const topic of topics) {
      const known = this.#leaders.get(topic);
      if (known && performance.now() - known.readMs > LEAST_REFRESH_MS) this.#leaders.delete(topic);
    }
  }

  async refresh(topics: readonly string[]): Promise<void> {
    const key = [...topics].sort().join();
    let refreshing = this.#refreshing.get(key);
    if (refreshing === undefined) {
      refreshing = this.metadata(topics)
        .then(() => {})
        .finally(() => this.#refreshing.delete(key));
      this.#refreshing.set(key, refreshing);
    }
    await refreshing;
  }

  async metadata(topics: readonly string[]): Promise<ClusterMetadata> {
    const metadata = await this.askAny((link) => link.metadata(topics));
    const readMs = performance.now();
    if (metadata.brokers.length > 0)
      this.#brokers = new Map(metadata.brokers.map(({ id, host, port }) => [id, { host, port }]));
    for (const { name, code, partitions } of metadata.topics) {
      const leaders: number[] = [];
      for (const { partition, leader } of partitions) leaders[partition] = leader;
      // A topic that is being made has no leaders yet.
      this.#leaders.set(name, {
        leaders,
        code: code === 5 ? 0 : code,
        readMs: leaders.includes(-1) ? Number.NEGATIVE_INFINITY : readMs,
      });
    }
    return metadata;
  }

  /** An answer, or the reason why there is none in our words. */
  async ask<T>(link: Link, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (this.closed) throw closed();
      throw connectionError(link.address, error);
    }
  }

  /** Tries `what` until it succeeds, cannot, or `requestTimeoutMs` has passed. */
  async insist<T>(what: () => Promise<T>): Promise<T> {
    const until = performance.now() + this.settings.requestTimeoutMs;
    for (let tries = 0; ; tries++) {
      try {
        if (this.closed) throw closed();
        return await what();
      } catch (error) {
        const told = connectionError('', error);
        const restFor = restMs(tries);
        // What was made a moment ago may not be known everywhere; what is unknown for longer does not exist.
        const unknown = told.code === 'UNKNOWN_TOPIC_OR_PARTITION' && tries >= UNKNOWN_TRIES;
        if (!told.retriable || unknown || performance.now() + restFor > until) throw told;
        await rest(restFor, undefined, { signal: this.signal }).catch(() => {
          throw closed();
        });
      }
    }
  }

  #connect(host: string, port: number): Promise<Link> {
    const key = `${host}:${port}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      if (this.closed) return Promise.reject(closed());
      link = this.#wire.connect(host, port, this.signal).catch((error: unknown) => {
        throw this.closed ? closed() : unwritten(connectionError(key, error));
      });
      this.#links.set(key, link);
      const drop = () => {
        if (this.#links.get(key) === link) this.#links.delete(key);
      };
      link.then(({ ended }) => ended.then(drop), drop);
    }
    return link;
  }
}

const answeredTopic = (code: number, topic: string): KafkaError => answered(code, `topic ${topic}`);

/** `host:port`, or `[::1]:9092`. */
export function place(broker: string): { host: string; port: number } {
  const at = broker.lastIndexOf(':');
  const port = Number(broker.slice(at + 1));
  if (at < 1 || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new KafkaError('DRIVER', 'a broker is named as host:port', { retriable: false });
  }
  return { host: broker.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port };
}
