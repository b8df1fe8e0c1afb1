import { Admin } from './admin.ts';
import { Cluster, place } from './cluster.ts';
import {
  type DriverName,
  type DriverSettings,
  type KafkaAdmin,
  type KafkaDriver,
  KafkaError,
  type KafkaProducer,
  type KafkaReader,
  type ProducerOptions,
  type ReaderOptions,
} from './port.ts';
import { Producer } from './producer.ts';
import { Reader } from './reader.ts';
import type { Wire, WireOf } from './wire.ts';

const CONNECT_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 15_000;

/** docs/decisions/0016 */
export const DEFAULT_DRIVER: DriverName = 'platformatic';

/** Only the library that is asked for is loaded. */
const wires: Readonly<Record<DriverName, () => Promise<WireOf>>> = {
  platformatic: async () => (await import('./platformatic.ts')).platformatic,
  kafkajs: async () => (await import('./kafkajs.ts')).kafkajs,
};

/** Loads a driver. Connects to nothing yet: the first call does, and says what is wrong. */
export async function openDriver(name: DriverName, settings: DriverSettings): Promise<KafkaDriver> {
  settings.brokers.forEach(place);
  if (settings.brokers.length === 0) throw new KafkaError('DRIVER', 'no broker is named', { retriable: false });
  return new Driver(await openWire(name, settings), timed(settings));
}

/** Connections of a library by themselves, without leaders, tries and loops. */
export const openWire = async (name: DriverName, settings: DriverSettings): Promise<Wire> =>
  (await wires[name]())(timed(settings));

const timed = (settings: DriverSettings): Cluster['settings'] => ({
  connectTimeoutMs: CONNECT_TIMEOUT_MS,
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  ...settings,
});

class Driver implements KafkaDriver {
  readonly #wire: Wire;
  readonly #settings: Cluster['settings'];
  readonly #open = new Set<{ close(): Promise<void> }>();
  #closed = false;

  constructor(wire: Wire, settings: Cluster['settings']) {
    this.#wire = wire;
    this.#settings = settings;
  }

  get name(): DriverName {
    return this.#wire.name;
  }

  get library(): string {
    return this.#wire.library;
  }

  admin(): KafkaAdmin {
    return this.#opened(new Admin(this.#cluster()));
  }

  producer(options?: ProducerOptions): KafkaProducer {
    return this.#opened(new Producer(this.#cluster(), options));
  }

  reader(options: ReaderOptions): KafkaReader {
    return this.#opened(new Reader(this.#cluster(), options));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#open].map((one) => one.close()));
  }

  /** Connections of its own each: a fetch that waits would hold up whoever shares it. */
  #cluster(): Cluster {
    if (this.#closed) throw new KafkaError('CLOSED', 'this driver was closed', { retriable: false });
    return new Cluster(this.#wire, this.#settings);
  }

  #opened<T extends { close(): Promise<void> }>(one: T): T {
    this.#open.add(one);
    const close = one.close.bind(one);
    one.close = () => {
      this.#open.delete(one);
      return close();
    };
    return one;
  }
}
