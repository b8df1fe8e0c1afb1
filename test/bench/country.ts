/**
 * The gateway as roles on a real Kafka and PostgreSQL, for measuring: started as `npm run start:distributed` does, with the
 * servers begun here, so that what each has used is known apart.
 */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { type LocalKafka, type LocalPostgres, startKafka, startPostgres } from '#deploy/local';
import { schoolOin } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { newOin, type WireClient, wire } from '../chain/gateway.ts';
import { cpuOf, nowMs } from './processes.ts';
import { end, lineOf, program } from './programs.ts';

export interface Servers {
  kafka: LocalKafka;
  postgres: LocalPostgres;
  /** A folder that goes when these are stopped. */
  folder: string;
  stop(): Promise<void>;
}

/** Kafka and PostgreSQL of the bench's own, one broker. */
export async function startServers(): Promise<Servers> {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-bench-'));
  // PostgreSQL does not run as root.
  chmodSync(folder, 0o711);
  const postgres = await startPostgres({ folder });
  const kafka = await startKafka({ folder, nodes: 1 });
  return {
    kafka,
    postgres,
    folder,
    async stop() {
      await Promise.all([kafka.stop(), postgres.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const kafkaPids = ({ kafka }: Servers): number[] => kafka.nodes.flatMap(({ pid }) => pid ?? []);

/** CPU-seconds so far. */
export interface Used {
  /** By name of the role. */
  roles: Record<string, number>;
  gateway: number;
  broker: number;
  database: number;
}

export const between = (from: Used, to: Used): Used => ({
  roles: Object.fromEntries(Object.entries(to.roles).map(([name, cpu]) => [name, cpu - (from.roles[name] ?? 0)])),
  gateway: to.gateway - from.gateway,
  broker: to.broker - from.broker,
  database: to.database - from.database,
});

interface RoleProcess {
  name: string;
  pid: number;
  internal: string;
}

export interface Country {
  grpc: string;
  operator: WireClient<typeof OperatorServiceDefinition>;
  /** Those that run now. */
  roles(): RoleProcess[];
  used(): Used;
  /** Greatest value of a metric at a role; 0 where it does not say it. */
  metric(name: string, role: string): Promise<number>;
  /** Resolves when nothing is unpublished and no consumer has anything unread older than a second. */
  settled(patienceMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** `profiles`: each role writes a profile of its CPU into this folder when it ends. */
export async function startCountry(
  servers: Servers,
  options: { profiles?: string | undefined } = {},
): Promise<Country> {
  const data = join(servers.folder, 'data');
  mkdirSync(data, { recursive: true, mode: 0o711 });
  const child = program({
    args: ['../../deploy/distributed.ts'],
    env: {
      EDUK_DATA: data,
      EDUK_GRPC: '127.0.0.1:0',
      EDUK_HTTP: '127.0.0.1:0',
      EDUK_LOG: 'warn',
      EDUK_KAFKA_BROKERS: servers.kafka.brokers.join(','),
      EDUK_DATABASE_URL: servers.postgres.url,
      EDUK_VAULT_DATABASE_URL: servers.postgres.vaultUrl,
      ...(options.profiles ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${options.profiles}` } : {}),
    },
  });
  const line = await lineOf(child, (line) => line.startsWith('ready '));
  const grpc = /grpc=(\S+)/.exec(line)![1]!;
  const channel = new Client(grpc, credentials.createInsecure());
  const key = readFileSync(join(data, 'operator.key'), 'utf8').trim();
  const operator = wire(OperatorServiceDefinition, channel, `Bearer ${key}`);
  const roles = (): RoleProcess[] => JSON.parse(readFileSync(join(data, 'processes.json'), 'utf8'));
  const metric = async (metric: string, role: string): Promise<number> => {
    const { internal } = roles().find(({ name }) => name === role)!;
    const page = await fetch(`http://${internal}/metrics`).then(
      (answer) => answer.text(),
      () => '', // It is being started again.
    );
    const lines = page.matchAll(new RegExp(`^${metric}(?:\\{.*\\})? (\\S+)$`, 'gm'));
    return Math.max(0, ...[...lines].map(([, value]) => Number(value)));
  };
  return {
    grpc,
    operator,
    roles,
    metric,
    used() {
      const each = Object.fromEntries(roles().map(({ name, pid }) => [name, cpuOf([pid])]));
      return {
        roles: each,
        gateway: Object.values(each).reduce((sum, cpu) => sum + cpu, 0),
        broker: cpuOf(kafkaPids(servers)),
        database: servers.postgres.pid === undefined ? 0 : cpuOf([servers.postgres.pid]),
      };
    },
    async settled(patienceMs = 600_000) {
      for (const until = nowMs() + patienceMs; ; await sleep(250)) {
        const { ages } = await operator.status({});
        if (
          ages.every(({ oldestUnreadMs }) => Number(oldestUnreadMs) < 1000) &&
          (await metric('eduk_unpublished_seconds', 'core')) < 1
        )
          return;
        if (nowMs() > until) throw new Error('a consumer does not come near the head');
      }
    },
    async stop() {
      channel.close();
      // Whoever starts them would give them too little time to write their profiles.
      if (options.profiles) await endThem(child, roles());
      await end(child);
    },
  };
}

/** Ends processes while the one that would start them again sleeps. */
async function endThem(parent: ChildProcess, roles: readonly RoleProcess[]): Promise<void> {
  parent.kill('SIGSTOP');
  for (const { pid } of roles) process.kill(pid, 'SIGTERM');
  const isThere = (pid: number): boolean => !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  for (let i = 0; i < 600 && roles.some(({ pid }) => isThere(pid)); i++) await sleep(100);
  // Told before it sees that they are gone.
  parent.kill('SIGTERM');
  parent.kill('SIGCONT');
}

export const PRODUCT = '9789000000019';

export interface Seller {
  schools: string[];
  authorization: string;
}

/** Invented; 60,840 different ones. */
function schoolOf(i: number): string {
  const letter = (n: number): string => String.fromCharCode(65 + (n % 26));
  return schoolOin(`${10 + (Math.floor(i / 676) % 90)}${letter(Math.floor(i / 26))}${letter(i)}`);
}

/**
 * Schools, a publisher that sells and grants, and who is told by webhook: `grants` the platform on which the product is
 * opened, `orders` the publisher itself. One receiver of a webhook, as peers have.
 */
export async function members(
  { grpc, operator }: Country,
  hook: { url: string; of: 'grants' | 'orders' | 'nothing' },
  count = 1,
): Promise<Seller> {
  const schools = Array.from({ length: count }, (_, i) => schoolOf(i));
  const services = [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT];
  const endpoints = [{ standard: 'webhook', url: hook.url }];
  const add = async (name: string, roles: Role[], isTold: boolean): Promise<{ oin: string; authorization: string }> => {
    const oin = newOin();
    const { apiKey } = await operator.addParty({ party: { oin, name, roles, endpoints: isTold ? endpoints : [] } });
    const left = [...schools];
    const grant = async (): Promise<void> => {
      for (let school = left.pop(); school !== undefined; school = left.pop())
        await operator.grantMandate({ mandate: { schoolOin: school, partyOin: oin, services }, confirm: true });
    };
    await Promise.all(Array.from({ length: 16 }, grant));
    return { oin, authorization: `Bearer ${apiKey}` };
  };
  const platform = await add('Meetplein', [Role.ROLE_PLATFORM], hook.of === 'grants');
  const seller = await add('Meetuitgever', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR], hook.of === 'orders');
  const buyer = await add('Meetkoper', [Role.ROLE_ADMINISTRATION], false);
  await publish(grpc, seller.authorization, platform.oin);
  return { schools, authorization: hook.of === 'orders' ? buyer.authorization : seller.authorization };
}

async function publish(grpc: string, authorization: string, platformOin: string): Promise<void> {
  const channel = new Client(grpc, credentials.createInsecure());
  const call = wire(CatalogueServiceDefinition, channel, authorization).publishProducts();
  call.write({
    reference: 'p',
    product: { productId: PRODUCT, title: 'Meten is weten', platformOin, licence: { licensed: true } },
  } as never);
  call.end();
  for await (const { refusals } of call as AsyncIterable<{ refusals: { code: string }[] }>)
    for (const { code } of refusals) throw new Error(`the product was refused: ${code}`);
  channel.close();
}

/** Profiles of CPU that roles wrote into a folder, by the name of the role. */
export function profilesIn(folder: string, roles: readonly RoleProcess[]): Record<string, string> {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  return Object.fromEntries(
    roles.flatMap(({ name, pid }) => {
      // CPU.<day>.<time>.<pid>.<thread>.<number>.cpuprofile; the main thread is 0.
      const file = files.find((one) => one.split('.')[3] === String(pid) && one.split('.')[4] === '0');
      return file ? [[name, join(folder, file)]] : [];
    }),
  );
}
