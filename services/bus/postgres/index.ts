/**
 * The distributed engine: PostgreSQL holds rows, references and the log until it is copied; Kafka carries the log to those
 * who read it. `openDistributedEngine` is for processes that run services, `openDistributedLog` for doors.
 */
import {
  type Clock,
  connect,
  GatewayError,
  type Implementation,
  implement,
  log,
  systemClock,
  type Transport,
} from '#kernel';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { events } from '#proto/events';
import type { Engine } from '../engine.ts';
import { DEFAULT_DRIVER, type DriverName, type DriverSettings, type KafkaDriver, openDriver } from '../kafka/index.ts';
import type { Wants } from '../ledger.ts';
import type { EngineView, ServiceModule } from '../port.ts';
import { unclassed } from '../retention.ts';
import { Acceptor } from './accept.ts';
import { ages, backlog, unpublished } from './ages.ts';
import { Ground } from './append.ts';
import { cleanLog, cleanReferences } from './clean.ts';
import { Database } from './connection.ts';
import { type Holder, Owners } from './owners.ts';
import { RELAY, Relay } from './relay.ts';
import { migrate } from './schema.ts';
import { Service } from './service.ts';
import { Signal } from './signal.ts';
import { Topics } from './topics.ts';
import { overDatabase, View, WantsOwner } from './view.ts';

export interface DistributedSettings {
  /** `postgres://…`; never printed. */
  databaseUrl: string;
  clock?: Clock;
  /** Unread events above which `Accept` answers `gateway.overloaded`. Default 500,000. */
  outboxMax?: number;
  /** Records that a restore must not lose: they also stand in a list outside backups. */
  remembers?: Wants | undefined;
}

export interface DistributedLogSettings extends DistributedSettings {
  /** A name of this process. */
  replica: string;
}

export interface DistributedEngineSettings extends DistributedSettings {
  modules: readonly ServiceModule[];
  /** Names of all services that this release has, wherever they run; others that nobody runs are not waited for any more. */
  release?: readonly string[];
  kafka: DriverSettings;
  /** Default: `DEFAULT_DRIVER`. */
  kafkaClient?: DriverName | undefined;
  /** Copies of each topic; absent = as many as the cluster has brokers, at most 3. */
  replication?: number;
  /** What stands before the streams in names of topics. Default `eduk`. */
  topicPrefix?: string;
  /** A name of this process that no other has had. */
  replica: string;
  /** Where other processes may call this one; empty = nowhere. */
  address?: string;
  /** A way to a process at such an address. */
  reach?: (address: string) => Transport;
  /** Whether this process takes part in copying the log to Kafka. Default true. */
  relays?: boolean;
}

/** How far a process of the distributed engine is, for readiness and metrics. */
export interface Health {
  database: boolean;
  broker: boolean;
  /** Services that this process owns at the moment. */
  owned: string[];
  /** Events in the log that are not on Kafka yet, and the age of the oldest, milliseconds. */
  unpublished: { events: number; oldestMs: number };
}

export interface DistributedEngine extends Engine {
  health(): Promise<Health>;
}

const CLEAN_EVERY_MS = 60_000;
/** How long a start waits for brokers that are there but not ready. */
const START_PATIENCE_MS = 60_000;
const groundOf = (database: Database): Ground =>
  new Ground(database, new Set(Object.values(events).map(({ stream }) => stream)));

/** Makes or widens the tables and topics that these modules need, and opens the engine on them. Throws `ConfigError`, `GatewayError`, `KafkaError`. */
export async function openDistributedEngine(settings: DistributedEngineSettings): Promise<DistributedEngine> {
  const { modules, replica, topicPrefix = 'eduk', clock = systemClock, address = '' } = settings;
  const unknown = unclassed(modules.flatMap((module) => module.tables));
  if (unknown.length > 0)
    throw new GatewayError('gateway.bug', `these tables name no class of retention: ${unknown.join(', ')}`);
  const database = new Database({
    url: settings.databaseUrl,
    application: `eduk ${replica}`,
    most: 4 + 2 * modules.length,
  });
  let driver: KafkaDriver | undefined;
  try {
    await migrate(database, modules, { release: settings.release });
    driver = await openDriver(settings.kafkaClient ?? DEFAULT_DRIVER, settings.kafka);
    const topics = new Topics(driver, topicPrefix, settings.replication);
    await topics.have(
      modules.flatMap(({ consumers }) => consumers.flatMap(({ streams }) => streams)),
      START_PATIENCE_MS,
    );
    const engine = new Distributed(settings, database, driver, topics, clock, address);
    await engine.open();
    return engine;
  } catch (thrown) {
    await Promise.all([database.close(), driver?.close()]);
    throw thrown;
  }
}

class Distributed implements DistributedEngine {
  readonly implementations: readonly Implementation[];
  readonly view: EngineView;
  readonly #database: Database;
  readonly #driver: KafkaDriver;
  readonly #owners: Owners;
  readonly #services = new Map<string, Service>();
  readonly #relay: Relay | undefined;
  readonly #log: DistributedLog;
  readonly #clock: Clock;
  #started: Promise<void> | undefined;
  #cleaner: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    settings: DistributedEngineSettings,
    database: Database,
    driver: KafkaDriver,
    topics: Topics,
    clock: Clock,
    address: string,
  ) {
    const { modules, replica, reach } = settings;
    this.#database = database;
    this.#driver = driver;
    this.#clock = clock;
    const appended = new Signal();
    const ground = groundOf(database);
    const holders = new Map<string, Holder>();
    const views = new Map<string, View>();
    const implementations: Implementation[] = [];
    for (const module of modules) {
      const view = new View({
        database,
        service: module.name,
        tables: module.tables,
        clock,
        isOwner: () => this.#services.get(module.name)!.isHeld,
      });
      const service = new Service({
        database,
        driver,
        module,
        clock,
        topicPrefix: topics.prefix,
        ground,
        appended,
        changed: (touched, lost) => view.changed(touched, lost),
      });
      views.set(module.name, view);
      this.#services.set(module.name, service);
      if (module.consumers.length > 0 || module.tables.length > 0) holders.set(module.name, service);
      for (const implementation of module.serve(view))
        implementations.push(
          overDatabase(view, module.name, implementation, {
            here: (name, handler, began) =>
              this.#services.get(name)!.turn((core) => view.runWithin(core, handler, began)),
            elsewhere: (name, definition, method, request) => {
              const at = this.#owners.addressOf(name);
              if (at === '' || at === address || reach === undefined)
                throw new GatewayError('gateway.unavailable', undefined, { retryAfterS: 1 });
              return (connect(definition, reach(at)) as Record<string, (asked: unknown) => Promise<unknown>>)[method]!(
                request,
              );
            },
          }),
        );
    }
    if (settings.relays !== false) {
      this.#relay = new Relay({ database, producer: driver.producer(), topics, appended, clock });
      holders.set(RELAY, this.#relay);
    }
    this.#owners = new Owners({
      database,
      replica,
      address,
      holders,
      onVersion: (name) => views.get(name)?.changed(new Set(), true),
    });
    this.#log = new DistributedLog({ ...settings, clock }, database, ground, appended);
    this.implementations = [this.#log.implementation, ...implementations];
    this.view =
      views.values().next().value ?? new View({ database, service: '', tables: [], clock, isOwner: () => true });
  }

  /** From here on messages are accepted. */
  async open(): Promise<void> {
    await this.#log.start();
  }

  start(): void {
    void this.#start().catch((thrown: unknown) =>
      log('error', 'engine_not_started', { cause: thrown instanceof Error ? thrown.name : typeof thrown }),
    );
  }

  #start(): Promise<void> {
    this.#started ??= (async () => {
      await this.#owners.start();
      this.#cleaner = setInterval(() => void this.clean().catch(() => undefined), CLEAN_EVERY_MS);
      this.#cleaner.unref();
    })();
    return this.#started;
  }

  async ask<T>(read: () => T): Promise<T> {
    const view = this.view as View;
    try {
      return await view.run(read);
    } catch (thrown) {
      if (!(thrown instanceof WantsOwner)) throw thrown;
    }
    await this.#start();
    for (;;) {
      const answer = this.#services.get(view.service)?.turn((core) => view.runWithin(core, read));
      if (answer !== undefined) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async health(): Promise<Health> {
    const owned = [...this.#services].filter(([, service]) => service.isHeld).map(([name]) => name);
    const waiting = await unpublished(this.#database, this.#clock.now()).catch(() => undefined);
    return {
      database: waiting !== undefined,
      broker: (this.#relay?.troubledSinceMs ?? 0) === 0,
      owned,
      unpublished: waiting ?? { events: 0, oldestMs: 0 },
    };
  }

  async clean(): Promise<number> {
    const now = this.#clock.now();
    return (await cleanLog(this.#database, now)) + (await cleanReferences(this.#database, now));
  }

  async runToIdle(): Promise<void> {
    await this.#start();
    for (;;) {
      for (const service of this.#services.values()) service.kick();
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (await this.#isIdle()) return;
    }
  }

  async #isIdle(): Promise<boolean> {
    if ((await unpublished(this.#database, this.#clock.now())).events > 0) return false;
    for (const service of this.#services.values()) {
      if (!service.isHeld) return false;
      await Promise.race([service.untilIdle(), new Promise((resolve) => setTimeout(resolve, 2000).unref())]);
    }
    await this.#log.look();
    const open = await ages(this.#database, this.#clock.now());
    return open.every(({ unread, gap, stopped }) => unread === 0 || gap || stopped === true);
  }

  async stop(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#cleaner);
    await this.#started?.catch(() => undefined);
    await this.#log.drain();
    await this.#owners.stop();
    await this.#driver.close();
    await this.#database.close();
  }
}

/** The log of the distributed engine for a door: it needs the database only. */
export async function openDistributedLog(settings: DistributedLogSettings): Promise<DistributedLog> {
  const clock = settings.clock ?? systemClock;
  const database = new Database({ url: settings.databaseUrl, application: `eduk ${settings.replica}`, most: 6 });
  try {
    await migrate(database, []);
    const opened = new DistributedLog({ ...settings, clock }, database, groundOf(database), new Signal(), true);
    await opened.start();
    return opened;
  } catch (thrown) {
    await database.close();
    throw thrown;
  }
}

export class DistributedLog {
  /** `eduk.bus.v1.LogService`. */
  readonly implementation: Implementation;
  readonly #database: Database;
  readonly #acceptor: Acceptor;
  readonly #ownsDatabase: boolean;
  readonly #clock: Clock;

  constructor(
    settings: DistributedSettings & { clock: Clock },
    database: Database,
    ground: Ground,
    appended: Signal,
    ownsDatabase = false,
  ) {
    const { clock } = settings;
    this.#database = database;
    this.#clock = clock;
    this.#ownsDatabase = ownsDatabase;
    this.#acceptor = new Acceptor({
      database,
      ground,
      clock,
      outboxMax: settings.outboxMax ?? 500_000,
      backlog: () => backlog(database, clock.now()),
      accepted: () => appended.raise(),
      remembers: settings.remembers,
    });
    this.implementation = implement(LogServiceDefinition, {
      accept: (request) => this.#acceptor.accept(request),
      ages: async () => ({
        ages: (await ages(database, clock.now())).map(
          ({ consumer, stream, unread, oldestUnreadMs, parkedKeys, gap }) => ({
            consumer,
            stream,
            unread: BigInt(unread),
            oldestUnreadMs: BigInt(Math.round(oldestUnreadMs)),
            parkedKeys,
            gap,
          }),
        ),
        head: BigInt(await headOf(database)),
        // The database's disk is the database's to watch.
        freeDiskBytes: 0n,
      }),
      listParked: async ({ limit }) => ({ parked: await listParked(database, limit || 100) }),
      retryParked: async ({ consumer, stream, key }) => ({ found: await askRetry(database, consumer, stream, key) }),
    });
  }

  async start(): Promise<void> {
    await this.#acceptor.start();
  }

  /** Of the database, with its indexes; how much room there is it does not tell. */
  async usedBytes(): Promise<number> {
    const [row] = await this.#database.query<{ used: number }>('SELECT pg_database_size(current_database()) AS used');
    return Number(row?.used ?? 0);
  }

  /** Looks now how far the readers are behind. */
  look(): Promise<void> {
    return this.#acceptor.look();
  }

  /** How much is not on Kafka yet; rejects when the database does not answer. */
  unpublished(): Promise<{ events: number; oldestMs: number }> {
    return unpublished(this.#database, this.#clock.now());
  }

  /** No more is taken in; what waits is answered. */
  async drain(): Promise<void> {
    await this.#acceptor.stop();
  }

  async stop(): Promise<void> {
    await this.drain();
    if (this.#ownsDatabase) await this.#database.close();
  }
}

async function headOf(database: Database): Promise<number> {
  const [row] = await database.query<{ head: number }>('SELECT coalesce(sum(head), 0)::bigint AS head FROM bus.lanes');
  return row?.head ?? 0;
}

async function listParked(database: Database, limit: number) {
  const rows = await database.query<{
    consumer: string;
    stream: string;
    key: string;
    code: string;
    sinceMs: number;
    flowId: string;
    firstSeq: number;
    nextSeq: number;
  }>('SELECT * FROM bus.bus_parked_keys ORDER BY consumer, stream, key LIMIT $1', [limit]);
  return rows.map(({ consumer, stream, key, code, sinceMs, flowId, firstSeq, nextSeq }) => ({
    consumer,
    stream,
    key,
    code,
    sinceMs: BigInt(sinceMs),
    events: nextSeq - firstSeq,
    flowId,
  }));
}

/** Left for the owner, who looks once a second. */
async function askRetry(database: Database, consumer: string, stream: string, key: string): Promise<boolean> {
  const asked = await database.query(
    `INSERT INTO bus.retries (consumer, stream, key)
     SELECT consumer, stream, key FROM bus.bus_parked_keys WHERE consumer = $1 AND stream = $2 AND key = $3
     ON CONFLICT (consumer, stream, key) DO UPDATE SET key = excluded.key RETURNING key`,
    [consumer, stream, key],
  );
  return asked.length > 0;
}
