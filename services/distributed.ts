/**
 * Roles of the distributed engine in this process: some of them, single services, or all. What runs here is called here;
 * the rest over gRPC, where the settings say that it answers.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine, ServiceModule } from '#bus';
import {
  type Clock,
  type Config,
  ConfigError,
  databaseUrl,
  describeError,
  dispatcher,
  GatewayError,
  type Health,
  type Implementation,
  isLoopback,
  log,
  logSeldom,
  operatorAddress,
  parseAddress,
  parseNetworks,
  processLines,
  readSettingFile,
  recordBugs,
  systemClock,
  type Transport,
  textOf,
} from '#kernel';
import { type GrpcServer, type GrpcTransport, grpcTransport, type InnerProof, serveGrpc } from '#kernel/grpc';
import type { Vault } from '#services/pseudonyms';
import {
  type Addresses,
  alertsOf,
  consoleOf,
  innerKey,
  makeFolder,
  operatorKey,
  packageVersion,
  processingOf,
  type Running,
  reconcileOf,
  registerOf,
  schoolSignInOf,
  signInOf,
  telemetryOf,
  tlsOfDoors,
  tlsOfRoles,
  versionEndsOf,
  writeAddresses,
} from './data.ts';
import { serveInternal } from './internal.ts';
import {
  answersOthers,
  innerAddress,
  mayCall,
  modulesOf,
  once,
  prepare,
  type RoleName,
  roles,
  rolesOf,
  type Service,
  services,
  servicesOf,
} from './roles.ts';

const LOG_SERVICE = 'eduk.bus.v1.LogService';

/** How to sign in to Kafka; what the driver takes. */
export interface KafkaSecurity {
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
  tls?: { ca?: Buffer; cert?: Buffer; key?: Buffer };
}

export interface EngineParts {
  databaseUrl: string;
  kafka: KafkaSecurity & { brokers: readonly string[]; clientId: string };
  kafkaClient: 'kafkajs' | 'platformatic' | undefined;
  modules: readonly ServiceModule[];
  /** Names of all services that this release has, wherever they run. */
  release: readonly string[];
  /** Unlike any other process. */
  replica: string;
  /** Where other processes call this one; empty = nowhere. */
  address: string;
  /** A way to a process at such an address: what writes runs where the service's owner is. */
  reach(address: string): Transport;
  clock: Clock;
  outboxMax: number;
}

/** A part says what it cannot reach: `database`, `broker`. */
interface Reached {
  missing?(): Promise<readonly string[]>;
  /** Lines for /metrics. */
  metrics?(): Promise<string[]>;
}

/** What an engine is here: it answers, and may be started and stopped. */
export type EnginePart = Pick<Engine, 'implementations' | 'start' | 'stop'> & Reached;

/** What a process is put together from; tests give other parts. */
export interface Parts {
  engine(options: EngineParts): Promise<EnginePart>;
  /** `eduk.bus.v1.LogService` for the doors. */
  log(options: {
    databaseUrl: string;
    outboxMax: number;
    replica: string;
    clock: Clock;
  }): Promise<{ implementation: Implementation; usedBytes?(): Promise<number>; stop(): Promise<void> } & Reached>;
  vault(options: {
    url: string;
    keyFile: string;
    devKey: boolean;
    clock: Clock;
    revealsPerHour: number;
    allowNetworks: readonly string[];
    onLoopback: boolean;
    leaseMs: number;
  }): Promise<Pick<Vault, 'implementations' | 'devKey' | 'start' | 'stop'> & Reached>;
}

export interface RunningRoles extends Running {
  roles: readonly RoleName[];
  /** Where it answers other roles, where it does. */
  inner?: string;
  /** Of the doors, where it has them. */
  addresses?: Addresses;
}

/**
 * How long a start waits for the database and the roles that it needs: they may be started in any order, and as long as one of them
 * is away nothing is gained by ending, since the one started next would wait for it too. The log says every ten seconds for what.
 */
const OTHERS_MS = 300_000;
/** Calls under way get so long to end once a process stops. */
const GRACE_MS = 3_000;
/** How long a call is repeated while nobody owns what it asks for: longer than the lease of an owner that died. */
const PERSIST_MS = 8_000;
/** Owners that a process keeps a way to. */
const MOST_OWNERS = 64;

/**
 * Starts the named roles or services; no names = all. Rejects with `ConfigError` (settings, files, roles that are not
 * there) or the error of a listener. `signal` gives a start up that still waits for other roles.
 */
export async function startRoles(
  config: Config,
  names: readonly string[],
  parts: Parts,
  signal?: AbortSignal,
): Promise<RunningRoles> {
  const mine = servicesOf(names);
  const has = (role: RoleName) => mine.some((service) => service.role === role);
  makeFolder(config.EDUK_DATA);
  const opened: (() => unknown)[] = [];
  try {
    return await compose();
  } catch (thrown) {
    for (const close of opened.reverse()) await close();
    throw thrown;
  }

  async function compose(): Promise<RunningRoles> {
    recordBugs((error, service, method) => log('error', 'role_bug', { service, method, ...describeError(error) }));
    const replica = `${names.join('+') || 'all'}-${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
    const proof = proofOf(config);
    // The address is taken first, because the engine tells others where its owner answers; it is opened last.
    const inner =
      answersOthers(mine, names) || config.EDUK_INNER !== undefined ? await listen(config, mine, proof) : undefined;
    if (inner) opened.push(() => inner.server.stop(0));

    const owners = waysByAddress(proof, namesOf(config, mine));
    opened.push(() => owners.close());
    const openEngine = (given: EngineParts) => onceThere('EDUK_DATABASE_URL', () => parts.engine(given), signal);
    const engine = mine.some(({ module }) => module)
      ? await openEngine({
          databaseUrl: databaseUrl(config, 'EDUK_DATABASE'),
          kafka: {
            brokers: config.EDUK_KAFKA_BROKERS!.split(',').map((broker) => broker.trim()),
            clientId: `eduk ${names.join('+') || 'all'}`,
            ...kafkaSecurity(config),
          },
          kafkaClient: config.EDUK_KAFKA_CLIENT as EngineParts['kafkaClient'],
          modules: await modulesOf(mine, config),
          release: services.map(({ name }) => name),
          replica,
          address: inner?.address ?? '',
          reach: owners.to,
          clock: systemClock,
          outboxMax: Number(config.EDUK_OUTBOX_MAX),
        })
      : undefined;
    if (engine) opened.push(() => engine.stop());
    await prepare(mine, config);
    const vault = has('vault')
      ? await onceThere('EDUK_VAULT_DATABASE_URL', () => openVault(config, parts), signal)
      : undefined;
    if (vault) opened.push(() => vault.stop());
    const doorLog = has('door')
      ? await onceThere(
          'EDUK_DATABASE_URL',
          () =>
            parts.log({
              databaseUrl: databaseUrl(config, 'EDUK_DATABASE'),
              outboxMax: Number(config.EDUK_OUTBOX_MAX),
              replica,
              clock: systemClock,
            }),
          signal,
        )
      : undefined;
    if (doorLog) opened.push(() => doorLog.stop());
    // Who sends says what was released on the log of its own engine.
    const engineLog = engine?.implementations.find(({ definition }) => definition.fullName === LOG_SERVICE);

    const own = [...(engine?.implementations ?? []), ...(vault?.implementations ?? [])].filter(
      // The doors' own log is the one way in.
      ({ definition }) => definition.fullName !== LOG_SERVICE,
    );
    const here = dispatcher(own);
    const ways = waysTo(config, mine, proof);
    opened.push(() => {
      for (const { transport } of ways) transport.close();
    });
    let stopping = false;
    const missing = async (): Promise<readonly string[]> => [
      ...(await unreached(engine, doorLog, vault)),
      ...ways.filter(({ reached }) => !reached()).map(({ role }) => role),
    ];
    engine?.start();
    vault?.start();
    if (inner) {
      inner.server.open(
        here,
        own.map(({ definition }) => definition.fullName),
      );
      inner.server.health(true);
    }

    const disk = async () => {
      const used = await doorLog?.usedBytes?.();
      return used === undefined
        ? []
        : [{ place: 'postgresql', disk: 'postgresql', usedBytes: BigInt(used), freeBytes: 0n }];
    };
    const doors = doorLog
      ? await startDoors(config, route(mine, here, ways, doorLog.implementation), missing, disk)
      : undefined;
    if (doors) opened.push(() => doors.stop(0));
    const console = doors && (await (await import('#services/console')).startConsole(consoleOf(config, doors)));
    if (console) opened.push(() => console.stop(0));
    const outbound = has('delivery')
      ? sendOnce(() => missing(), config, route(mine, here, ways, doorLog?.implementation ?? engineLog))
      : undefined;
    if (outbound) opened.push(() => outbound.stop(0));
    const health: Health = doors?.health ?? {
      async ready() {
        if (stopping) return { status: 'stopping', missing: [] };
        const lacking = await missing();
        return { status: lacking.length === 0 ? 'ready' : 'waiting', missing: lacking };
      },
      async metrics() {
        return [...((await engine?.metrics?.()) ?? []), ...processLines(), ''].join('\n');
      },
    };
    const internal = await serveInternal(config, health);
    const addresses = doors && { grpc: doors.grpc, http: doors.http, console: console!.address };
    const forget = addresses ? writeAddresses(config.EDUK_DATA, addresses) : () => undefined;

    let ended: Promise<void> | undefined;
    return {
      roles: rolesOf(mine),
      ...(inner ? { inner: inner.address } : {}),
      ...(addresses ? { addresses } : {}),
      devKey: vault?.devKey ?? false,
      stop() {
        stopping = true;
        ended ??= (async () => {
          forget();
          // Callers first: what they are owed still needs what stands behind them.
          await Promise.all([
            console?.stop(1_000),
            doors?.stop(GRACE_MS),
            outbound?.stop(GRACE_MS),
            inner?.server.stop(GRACE_MS),
          ]);
          await Promise.all([engine?.stop(), doorLog?.stop(), vault?.stop()]);
          for (const { transport } of ways) transport.close();
          owners.close();
          await internal?.stop();
        })();
        return ended;
      },
      // Nothing here is lost without the process: what is away comes back, and is waited for.
      onLost: () => undefined,
    };
  }

  async function startDoors(
    configured: Config,
    router: Transport,
    missing: () => Promise<readonly string[]>,
    disk: NonNullable<Parameters<typeof import('#services/edge').startDoors>[0]['disk']>,
  ) {
    await othersAreThere(configured, missing, signal);
    const edge = await import('#services/edge');
    return edge.startDoors({
      grpc: parseAddress(configured.EDUK_GRPC)!,
      http: parseAddress(configured.EDUK_HTTP)!,
      tls: tlsOfDoors(configured),
      operator: operatorAddress(configured),
      servesHealth: configured.EDUK_INTERNAL === undefined,
      missing,
      disk,
      publicUrl: configured.EDUK_PUBLIC_URL?.replace(/\/+$/, ''),
      state: router,
      vault: router,
      clock: systemClock,
      operatorKey: operatorKey(configured),
      signIn: signInOf(configured),
      register: registerOf(configured),
      administrations: configured.EDUK_ADMINISTRATIONS,
      namesHeldMs: Number(configured.EDUK_NAMES_HELD_S) * 1000,
      alerts: alertsOf(configured),
      telemetry: telemetryOf(configured),
      replaySecondAbove: Number(configured.EDUK_REPLAY_SECOND_ABOVE),
      holdSecond: configured.EDUK_HOLD_SECOND_PERSON === 'yes',
      freezeSecond: configured.EDUK_FREEZE_SECOND === 'yes',
      reconcile: reconcileOf(configured),
      schools: schoolSignInOf(configured),
      version: packageVersion,
      processing: processingOf(configured),
      versionEnds: versionEndsOf(configured),
      allowNetworks: parseNetworks(configured.EDUK_ALLOW_NETWORKS ?? '') ?? [],
      pace: { calls: Number(configured.EDUK_PARTY_CALLS), items: Number(configured.EDUK_PARTY_ITEMS) },
      trustedProxies: parseNetworks(configured.EDUK_TRUSTED_PROXY ?? '') ?? [],
    });
  }
}

/** How often it is looked whether what sending needs is there. */
const LOOK_MS = 500;

/** Sends as soon as what it needs is there, which may be long after this role has started. */
function sendOnce(
  missing: () => Promise<readonly string[]>,
  config: Config,
  router: Transport,
): { stop(graceMs: number): Promise<void> } {
  const stopping = new AbortController();
  let sender: { stop(graceMs: number): Promise<void> } | undefined;
  const starting = (async () => {
    while (!stopping.signal.aborted) {
      if ((await missing()).length > 0) {
        await sleep(LOOK_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
        continue;
      }
      const edge = await import('#services/edge');
      try {
        sender = await edge.startOutbound({
          state: router,
          vault: router,
          clock: systemClock,
          allowNetworks: parseNetworks(config.EDUK_ALLOW_NETWORKS ?? '') ?? [],
          // A role without doors has their addresses by default only; where it is called itself says where it is.
          onLoopback: [config.EDUK_HTTP, config.EDUK_GRPC, config.EDUK_INNER ?? config.EDUK_HTTP].every((address) =>
            isLoopback(parseAddress(address)!.host),
          ),
          alone: false,
          administrations: config.EDUK_ADMINISTRATIONS,
          telemetry: telemetryOf(config),
          namesHeldMs: Number(config.EDUK_NAMES_HELD_S) * 1000,
          version: packageVersion,
        });
        return;
      } catch (thrown) {
        // It was there a moment ago: a role that is away comes back.
        log('warn', 'sender_not_started', describeError(thrown));
        await sleep(LOOK_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  })();
  return {
    async stop(graceMs) {
      stopping.abort();
      await starting;
      await sender?.stop(graceMs);
    },
  };
}

/** What proves to other roles that this is one: TLS where there is a certificate, else a key of this machine. */
function proofOf(config: Config): InnerProof {
  const tls = tlsOfRoles(config);
  return tls ? { tls } : { key: innerKey(config) };
}

async function listen(
  config: Config,
  mine: readonly Service[],
  proof: InnerProof,
): Promise<{ server: GrpcServer; address: string }> {
  const address = parseAddress(innerAddress(config, mine)!)!;
  const called = [...new Set(mine.map(({ role }) => role))];
  const server = await serveGrpc({ address, ...proof, mayCall: (names) => mayCall(called, names) });
  // What listens on all addresses of a machine is called by the machine's name.
  const host = /^(0\.0\.0\.0|::)$/.test(address.host) ? hostname() : address.host;
  return { server, address: textOf({ host, port: server.port }) };
}

const repeats = (service: string, method: string): boolean => !once.has(`${service}/${method}`);

interface Way {
  role: RoleName;
  transport: GrpcTransport;
  reached(): boolean;
}

/** Ways to the roles that this process needs and does not run whole. */
function waysTo(config: Config, mine: readonly Service[], proof: InnerProof): Way[] {
  const ways: Way[] = [];
  for (const role of new Set(mine.flatMap((service) => roles[service.role].needs))) {
    const elsewhere = servicesOf([]).filter((service) => service.role === role && !mine.includes(service));
    const { at } = (roles as Record<string, { at?: keyof Config }>)[role] ?? {};
    if (elsewhere.length === 0 || at === undefined) continue;
    const transport = grpcTransport({
      addresses: config[at]!.split(',').map((address) => address.trim()),
      repeats,
      persistMs: PERSIST_MS,
      ...proof,
    });
    ways.push({
      role: role as RoleName,
      transport,
      reached: () => elsewhere.every(({ answers }) => transport.reaches(answers!)),
    });
  }
  return ways;
}

/** Names that others of the same roles are looked for by, which their certificates are for. */
function namesOf(config: Config, mine: readonly Service[]): string[] {
  const hosts = rolesOf(mine).flatMap((role) => {
    const { at } = roles[role];
    return at === undefined ? [] : config[at]!.split(',').map((address) => parseAddress(address.trim())!.host);
  });
  return [...new Set(hosts)].filter((host) => isIP(host) === 0);
}

/** Ways to processes by their own address, made when they are first needed. */
function waysByAddress(proof: InnerProof, names: readonly string[]): { to(address: string): Transport; close(): void } {
  const known = new Map<string, GrpcTransport>();
  return {
    to(address) {
      let way = known.get(address);
      if (way === undefined) {
        // Owners change; those that have not owned anything for long are let go of when many have come and gone.
        if (known.size >= MOST_OWNERS) {
          const [oldest] = known.keys();
          known.get(oldest!)?.close();
          known.delete(oldest!);
        }
        way = grpcTransport({ addresses: [address], names, repeats, patienceMs: 1_000, ...proof });
        known.set(address, way);
      }
      return way;
    },
    close() {
      for (const way of known.values()) way.close();
      known.clear();
    },
  };
}

/** Each service is asked where it runs. */
function route(
  mine: readonly Service[],
  here: Transport,
  ways: readonly Way[],
  doorLog: Implementation | undefined,
): Transport {
  const table = new Map<string, Transport>();
  if (doorLog) table.set(LOG_SERVICE, dispatcher([doorLog]));
  for (const service of servicesOf([])) {
    if (service.answers === undefined) continue;
    const way = mine.includes(service) ? here : ways.find(({ role }) => role === service.role)?.transport;
    if (way) table.set(service.answers, way);
  }
  return {
    call(service, method, request) {
      const way = table.get(service);
      if (!way) return Promise.reject(new GatewayError('gateway.bug', `No role answers ${service}.`));
      return way.call(service, method, request);
    },
  };
}

/** Names of what the parts in this process cannot reach. A part that cannot even be asked reaches nothing. */
async function unreached(...parts: readonly (Reached | undefined)[]): Promise<readonly string[]> {
  const found = await Promise.all(parts.map((part) => part?.missing?.().catch(() => ['database']) ?? []));
  return [...new Set(found.flat())];
}

/** Doors open once all that they need is there: a call that they take must be answered. */
async function othersAreThere(
  config: Config,
  missing: () => Promise<readonly string[]>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const until = performance.now() + OTHERS_MS;
  for (let told = performance.now() + 3_000; ; ) {
    const lacking = await missing();
    if (lacking.length === 0) return;
    if (signal?.aborted) throw new GatewayError('gateway.stopping');
    const now = performance.now();
    if (now > until)
      throw new ConfigError(
        lacking.map((name) => {
          const at = (roles as Record<string, { at?: keyof Config }>)[name]?.at;
          return at
            ? `${name} does not answer at ${at} (${config[at]}): start it with eduk start ${name}, or correct ${at}`
            : `the ${name} does not answer`;
        }),
      );
    if (now > told) {
      told = now + 10_000;
      log('info', 'waiting_for', { missing: lacking.join(' ') });
    }
    await sleep(50);
  }
}

/**
 * What a database holds, once it answers: it may be started later than this, or again right now. Rejects with `ConfigError`
 * when it does not come, or lets nobody in.
 */
export async function onceThere<T>(
  setting: 'EDUK_DATABASE_URL' | 'EDUK_VAULT_DATABASE_URL',
  open: () => Promise<T>,
  signal: AbortSignal | undefined,
  waitMs = OTHERS_MS,
): Promise<T> {
  const until = performance.now() + waitMs;
  const tell = logSeldom(10_000);
  for (;;)
    try {
      return await open();
    } catch (thrown) {
      const code = codeOfAway(thrown);
      if (code === undefined) throw thrown;
      if (signal?.aborted) throw new GatewayError('gateway.stopping');
      // 28: its user, or the password.
      if (code.startsWith('28')) throw new ConfigError([`the database lets nobody in by ${setting} (${code})`]);
      if (performance.now() > until)
        throw new ConfigError([
          `the database does not answer at ${setting} (${code}): start it, or correct ${setting}`,
        ]);
      tell('info', 'waiting_for', { missing: 'database', code });
      await sleep(500);
    }
}

/** What the network or the database said, where a database is away; undefined = something else is wrong. */
function codeOfAway(thrown: unknown): string | undefined {
  let isAway = false;
  for (let at = thrown; at instanceof Error; at = at.cause) {
    if (at instanceof GatewayError) isAway = at.fault === 'gateway.unavailable';
    if (at.name === 'DatabaseError' || at.name === 'DatabaseFailure')
      return isAway ? String((at as { code?: unknown }).code) : undefined;
  }
  return undefined;
}

async function openVault(config: Config, parts: Parts) {
  const { findMasterKey } = await import('#services/pseudonyms');
  const exposed = [config.EDUK_GRPC, config.EDUK_HTTP, config.EDUK_INNER]
    .map((address) => (address === undefined ? undefined : parseAddress(address)))
    .some((address) => address && !isLoopback(address.host));
  const key = findMasterKey({
    data: config.EDUK_DATA,
    keyFile: config.EDUK_MASTER_KEY_FILE,
    loopback: !exposed,
    // There is no file to look for: the vault itself finds out that a key which was made just now is not its own.
    vaultFile: '',
  });
  return parts.vault({
    url: databaseUrl(config, 'EDUK_VAULT_DATABASE'),
    keyFile: key.file,
    devKey: key.devKey,
    clock: systemClock,
    revealsPerHour: Number(config.EDUK_REVEALS_PER_HOUR),
    allowNetworks: parseNetworks(config.EDUK_ALLOW_NETWORKS ?? '') ?? [],
    onLoopback: !exposed,
    leaseMs: Number(config.EDUK_KEY_LEASE_S) * 1000,
  });
}

/** What the settings say of signing in to Kafka. Throws `ConfigError` when a file cannot be read. */
export function kafkaSecurity(config: Config): KafkaSecurity {
  const file = (name: Parameters<typeof readSettingFile>[1]) =>
    config[name] === undefined ? {} : { [name.replace(/^.*_/, '').toLowerCase()]: readSettingFile(config, name) };
  return {
    ...(config.EDUK_KAFKA_SASL === undefined
      ? {}
      : {
          sasl: {
            mechanism: config.EDUK_KAFKA_SASL as NonNullable<KafkaSecurity['sasl']>['mechanism'],
            username: config.EDUK_KAFKA_SASL_USERNAME!,
            password: readSettingFile(config, 'EDUK_KAFKA_SASL_PASSWORD_FILE').toString('utf8').trim(),
          },
        }),
    ...(config.EDUK_KAFKA_TLS_CA === undefined
      ? {}
      : { tls: { ...file('EDUK_KAFKA_TLS_CA'), ...file('EDUK_KAFKA_TLS_CERT'), ...file('EDUK_KAFKA_TLS_KEY') } }),
  };
}
