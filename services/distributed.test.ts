import { once as event } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, Client as GrpcClient, Metadata } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { type Engine, engineOver, MemoryStore } from '#bus';
import { ConfigError, GatewayError, logTo, type MethodDefinition, readConfig } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { openVault, readMasterKey } from '#services/pseudonyms';
import { kafkaSecurity, onceThere, type Parts, type RunningRoles, startRoles } from './distributed.ts';
import { testAuthority } from './kernel/grpc/testing.ts';
import { missing, modulesOf, once, services } from './roles.ts';

logTo(() => undefined);

describe('a database that is not there yet', () => {
  const away = (code: string) =>
    new Error('store failed', {
      cause: new GatewayError('gateway.unavailable', undefined, {
        cause: Object.assign(new Error(`database: ${code}`), { name: 'DatabaseError', code }),
      }),
    });
  const opens = (...ends: unknown[]) => {
    let tries = 0;
    const open = async () => {
      const end = ends[Math.min(tries++, ends.length - 1)];
      if (end instanceof Error) throw end;
      return end;
    };
    return { open, tries: () => tries };
  };

  test('is waited for', async () => {
    const { open, tries } = opens(away('ECONNREFUSED'), away('57P03'), 'open');
    expect(await onceThere('EDUK_DATABASE_URL', open, undefined)).toBe('open');
    expect(tries()).toBe(3);
  });
  test('and when it does not come, the setting is named, not its value', async () => {
    const given = onceThere('EDUK_VAULT_DATABASE_URL', opens(away('ECONNREFUSED')).open, undefined, 0);
    await expect(given).rejects.toThrow(/does not answer at EDUK_VAULT_DATABASE_URL \(ECONNREFUSED\)/);
    await expect(given).rejects.toBeInstanceOf(ConfigError);
  });
  test('a user that it does not know, or an error of another kind, is told at once', async () => {
    const user = opens(away('28P01'));
    await expect(onceThere('EDUK_DATABASE_URL', user.open, undefined)).rejects.toThrow(
      /lets nobody in by EDUK_DATABASE_URL/,
    );
    const other = opens(new GatewayError('gateway.bug', 'a table of a newer release'));
    await expect(onceThere('EDUK_DATABASE_URL', other.open, undefined)).rejects.toMatchObject({ fault: 'gateway.bug' });
    expect([user.tries(), other.tries()]).toEqual([1, 1]);
  });
  test('a stop ends the waiting', async () => {
    const given = onceThere('EDUK_DATABASE_URL', opens(away('ECONNREFUSED')).open, AbortSignal.timeout(100));
    await expect(given).rejects.toMatchObject({ fault: 'gateway.stopping' });
  });
});

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'eduk-roles-'));
  closing.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await event(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await event(server, 'close');
  return port;
}

/** One gateway's roles, each started as a process would be, over one engine in memory that stands for Kafka and PostgreSQL. */
async function gatewayOf() {
  const parent = folder();
  const data = join(parent, 'data');
  const at = async () => `127.0.0.1:${await freePort()}`;
  const inner = await at();
  const env: Record<string, string> = {
    EDUK_ENGINE: 'kafka',
    EDUK_DATA: data,
    EDUK_GRPC: '127.0.0.1:0',
    EDUK_HTTP: '127.0.0.1:0',
    EDUK_KAFKA_BROKERS: '127.0.0.1:1',
    EDUK_DATABASE_URL: 'postgres://nobody:geheim@127.0.0.1:1/eduk',
    EDUK_VAULT_DATABASE_URL: 'postgres://nobody:geheim@127.0.0.1:1/vault',
    // One process runs what shares the engine here, so its roles are looked for at one address.
    EDUK_CORE: inner,
    EDUK_DELIVERY: inner,
    EDUK_WATCH: inner,
    EDUK_VAULT: await at(),
  };
  let engine: Engine | undefined;
  const away = new Set<string>();
  const reached = { missing: async () => [...away] };
  const parts: Parts = {
    async engine({ modules }) {
      engine = engineOver(new MemoryStore(), { modules });
      const { implementations, start, stop } = engine;
      return { implementations, start, stop, ...reached };
    },
    async log() {
      const implementation = engine!.implementations.find(({ definition }) =>
        definition.fullName.endsWith('LogService'),
      )!;
      return { implementation, stop: async () => undefined, ...reached };
    },
    vault: async ({ keyFile, devKey, clock }) =>
      openVault({ file: join(parent, 'vault.db'), masterKey: readMasterKey(keyFile), devKey, clock }),
  };
  const start = async (names: readonly string[], more: Record<string, string> = {}): Promise<RunningRoles> => {
    const running = await startRoles(readConfig({ ...env, ...more }), names, parts);
    closing.push(() => running.stop());
    return running;
  };
  const ask = (grpc: string, token: string, from = credentials.createInsecure()) => {
    const client = new GrpcClient(grpc, from);
    closing.push(() => client.close());
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    return (service: { fullName: string; methods: object }, key: string, request: unknown): Promise<any> => {
      const method = (service.methods as Record<string, MethodDefinition>)[key]!;
      const codec = method.requestType as unknown as { fromPartial(o: unknown): unknown };
      return new Promise((resolve, reject) =>
        client.makeUnaryRequest(
          `/${service.fullName}/${method.name}`,
          (message: unknown) => Buffer.from(method.requestType.encode(codec.fromPartial(message)).finish()),
          (bytes: Buffer) => method.responseType.decode(bytes),
          request,
          metadata,
          (error, answer) => (error ? reject(error) : resolve(answer)),
        ),
      );
    };
  };
  return { env, data, away, start, ask, operatorKey: () => readFileSync(join(data, 'operator.key'), 'utf8').trim() };
}

/** A school registered, a party added and mandated, over one door. */
const OIN = '00000099100000009000';
const SCHOOL = '0000000700099ZX00000';

async function registerAt(call: ReturnType<Awaited<ReturnType<typeof gatewayOf>>['ask']>) {
  const party = { oin: OIN, name: 'Leerplein', roles: [Role.ROLE_PLATFORM] };
  const added = await call(OperatorServiceDefinition, 'addParty', { party });
  const granted = await call(OperatorServiceDefinition, 'grantMandate', {
    mandate: { schoolOin: SCHOOL, partyOin: OIN, services: [Service.SERVICE_ROSTER] },
    confirm: true,
  });
  return { added, granted };
}

describe('roles as processes', () => {
  test('what one door takes in is decided in another process, and known at every door', async () => {
    const { start, ask, operatorKey } = await gatewayOf();
    // In any order: the doors wait for the others.
    const core = await start(['core', 'delivery', 'watch']);
    const starting = start(['door']);
    await sleep(300);
    const vault = await start(['vault']);
    const door = await starting;
    const second = await start(['door']);
    expect(core).toMatchObject({ roles: ['core', 'delivery', 'watch'], inner: expect.stringMatching(/^127/) });
    expect([core.addresses, vault.addresses]).toEqual([undefined, undefined]);
    expect(door.addresses?.grpc).not.toBe(second.addresses?.grpc);

    const { added, granted } = await registerAt(ask(door.addresses!.grpc, operatorKey()));
    expect(added.decision).toMatchObject({ code: '' });
    expect(granted.autorisatiesleutel).not.toBe('');
    const elsewhere = ask(second.addresses!.grpc, operatorKey());
    const { parties } = await elsewhere(OperatorServiceDefinition, 'listParties', {});
    expect(parties.map(({ oin }: { oin: string }) => oin)).toContain(OIN);
    // A flow is found from any door, and a party's own key opens every door.
    const { flow } = await elsewhere(OperatorServiceDefinition, 'showFlow', { flowId: granted.flowId });
    expect(flow.steps.length).toBeGreaterThan(1);
    const party = ask(second.addresses!.grpc, added.apiKey);
    await expect(party(OrderServiceDefinition, 'getOrder', { orderId: 'none' })).rejects.toMatchObject({
      details: expect.stringContaining('state.missing'),
    });
  });

  test('all roles in one process need no way to others', async () => {
    const { start, ask, operatorKey } = await gatewayOf();
    const all = await start([]);
    expect(all).toMatchObject({ roles: ['door', 'core', 'delivery', 'watch', 'vault'], devKey: true });
    expect(all.inner).toBeUndefined();
    const { granted } = await registerAt(ask(all.addresses!.grpc, operatorKey()));
    expect(granted.decision.code).toBe('');
  });

  test('doors on another address speak TLS only, and the operator has a way in on loopback', async () => {
    const { start, ask, operatorKey, data } = await gatewayOf();
    const { ca, cert, key } = testAuthority().issue('door');
    const place = folder();
    const file = (name: string, content: string | Buffer): string => {
      writeFileSync(join(place, name), content, { mode: 0o600 });
      return join(place, name);
    };
    const operator = `127.0.0.1:${await freePort()}`;
    const all = await start([], {
      EDUK_GRPC: '0.0.0.0:0',
      EDUK_HTTP: '0.0.0.0:0',
      EDUK_OPERATOR: operator,
      EDUK_PUBLIC_URL: 'https://localhost',
      EDUK_TLS_CERT: file('cert.pem', cert),
      EDUK_TLS_KEY: file('key.pem', key),
      EDUK_MASTER_KEY_FILE: file('master.key', 'ab'.repeat(32)),
    });
    expect([all.devKey, existsSync(`${data}.dev.key`)]).toEqual([false, false]);
    const port = (address: string) => Number(address.split(':').at(-1));
    const { added } = await registerAt(ask(operator, operatorKey()));
    // Whoever comes from outside needs a token, and gets it over TLS; neither key opens that door.
    const token = await new Promise<string>((resolve, reject) => {
      const asking = request(
        {
          host: '127.0.0.1',
          port: port(all.addresses!.http),
          path: '/oauth2/token',
          method: 'POST',
          ca,
          headers: {
            host: 'localhost',
            authorization: `Basic ${Buffer.from(`${added.clientId}:${added.clientSecret}`).toString('base64')}`,
          },
        },
        (answer) => answer.on('data', (body) => resolve(JSON.parse(String(body)).access_token)),
      );
      asking.on('error', reject).end('grant_type=client_credentials');
    });
    const outside = `localhost:${port(all.addresses!.grpc)}`;
    const getOrder = (secret: string, from = credentials.createSsl(ca)) =>
      ask(outside, secret, from)(OrderServiceDefinition, 'getOrder', { orderId: 'none' }).catch(
        ({ details }) => details,
      );
    expect(await getOrder(token)).toContain('state.missing');
    expect(await getOrder(added.apiKey)).toContain('party.unknown');
    expect(await getOrder(operatorKey())).toContain('party.unknown');
    expect(await getOrder(token, credentials.createInsecure())).not.toContain('state.missing');
  });

  test('single services in processes of their own', async () => {
    const { start, ask, operatorKey, env } = await gatewayOf();
    const rest = ['rosters', 'orders', 'entitlements', 'access', 'results'];
    const other = `127.0.0.1:${await freePort()}`;
    const core = { EDUK_CORE: `${env['EDUK_CORE']},${other}` };
    await start(['parties', 'catalogue', ...rest, 'delivery', 'flows', 'readiness', 'audit'], {
      EDUK_INNER: env['EDUK_CORE']!,
      ...core,
    });
    const door = await start(['edge', 'pseudonyms'], { ...core, EDUK_INNER: '127.0.0.1:0' });
    const { granted } = await registerAt(ask(door.addresses!.grpc, operatorKey()));
    expect(granted.decision.code).toBe('');
  });

  test('ready means ready: database, broker and the other roles answer, and nothing leaves', async () => {
    const { start, away } = await gatewayOf();
    const ports = { core: await freePort(), door: await freePort() };
    const core = await start(['core', 'delivery', 'watch'], { EDUK_INTERNAL: `127.0.0.1:${ports.core}` });
    await start(['vault']);
    const door = await start(['door'], { EDUK_INTERNAL: `127.0.0.1:${ports.door}` });
    const ready = async (port: number) => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      return { status: answer.status, body: await answer.json() };
    };
    for (const port of Object.values(ports)) {
      // Who sends waits for the vault, which came later.
      for (let i = 0; i < 600 && (await ready(port)).status !== 200; i++) await sleep(50);
      expect(await ready(port)).toEqual({ status: 200, body: { status: 'ready' } });
      expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).json()).toEqual({ status: 'up' });
      expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toContain('process_resident_memory_bytes');
      expect((await fetch(`http://127.0.0.1:${port}/oauth2/token`)).status).toBe(404);
    }
    expect((await fetch(`http://${door.addresses!.http}/readyz`)).status).toBe(404);
    away.add('broker');
    expect(await ready(ports.core)).toEqual({ status: 503, body: { status: 'waiting', missing: ['broker'] } });
    away.clear();
    await core.stop();
    expect(await ready(ports.door)).toEqual({
      status: 503,
      body: { status: 'waiting', missing: ['core', 'delivery', 'watch'] },
    });
  });

  test('a door that waits for roles that do not come gives up when told to', async () => {
    const { env } = await gatewayOf();
    const parts = {
      log: async () => ({
        implementation: { definition: { fullName: 'x', name: 'x', methods: {} }, handlers: {} },
        stop: async () => undefined,
      }),
    } as unknown as Parts;
    const told = new AbortController();
    const starting = startRoles(readConfig(env), ['door'], parts, told.signal);
    setTimeout(() => told.abort(), 100);
    await expect(starting).rejects.toMatchObject({ fault: 'gateway.stopping' });
  });
});

describe('what roles need of the settings', () => {
  const kafka = { EDUK_ENGINE: 'kafka' };
  const problems = (env: Record<string, string>, names: string[]): readonly string[] => {
    try {
      readConfig(env, undefined, (config) => missing(config, names));
      return [];
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown;
      return thrown.problems;
    }
  };

  test('is told all at once, for the named roles only', () => {
    expect(problems({}, [])).toEqual([]);
    expect(problems({}, ['core'])).toEqual([expect.stringMatching(/one file and one process.*EDUK_ENGINE=kafka/)]);
    expect(problems(kafka, [])).toEqual([
      expect.stringMatching(/^EDUK_DATABASE_URL/),
      expect.stringMatching(/^EDUK_KAFKA_BROKERS/),
      expect.stringMatching(/^EDUK_VAULT_DATABASE_URL/),
    ]);
    expect(problems(kafka, ['door'])).toEqual([expect.stringMatching(/^EDUK_DATABASE_URL/)]);
    expect(problems(kafka, ['vault'])).toEqual([expect.stringMatching(/^EDUK_VAULT_DATABASE_URL/)]);
    expect(() => problems(kafka, ['kern'])).not.toThrow(TypeError);
    expect(problems(kafka, ['kern'])).toEqual([expect.stringMatching(/kern: no such role or service/)]);
    const several = { ...kafka, EDUK_VAULT_DATABASE_URL: 'postgres://h/v', EDUK_VAULT: 'a:1,b:2' };
    expect(problems(several, ['vault'])).toEqual([expect.stringMatching(/^EDUK_INNER is needed/)]);
  });

  test('signing in to Kafka: words from the settings, secrets from files', () => {
    const place = folder();
    const at = (name: string, text: string): string => {
      writeFileSync(join(place, name), text);
      return join(place, name);
    };
    const config = readConfig({
      ...kafka,
      EDUK_KAFKA_SASL: 'scram-sha-512',
      EDUK_KAFKA_SASL_USERNAME: 'gateway',
      EDUK_KAFKA_SASL_PASSWORD_FILE: at('password', 'geheim\n'),
      EDUK_KAFKA_TLS_CA: at('ca.pem', 'CA'),
    });
    expect(kafkaSecurity(config)).toEqual({
      sasl: { mechanism: 'scram-sha-512', username: 'gateway', password: 'geheim' },
      tls: { ca: Buffer.from('CA') },
    });
    expect(kafkaSecurity(readConfig(kafka))).toEqual({});
  });
});

describe('the list of roles and services', () => {
  const config = readConfig({});

  test('says of each service what it answers', async () => {
    const modules = await modulesOf(services, config);
    const engine = engineOver(new MemoryStore(), { modules });
    const served = engine.implementations.map(({ definition }) => definition.fullName);
    const listed = services.flatMap(({ answers, module }) => (module ? [answers!] : []));
    expect([...served].sort()).toEqual([...listed, 'eduk.bus.v1.LogService'].sort());
    expect(VaultServiceDefinition.fullName).toBe(services.find(({ role }) => role === 'vault')!.answers);
    await engine.stop();
  });

  test('says of each method whether a repeat has a second effect', async () => {
    const modules = await modulesOf(services, config);
    const engine = engineOver(new MemoryStore(), { modules });
    const definitions = [...engine.implementations.map(({ definition }) => definition), VaultServiceDefinition];
    const methods = definitions
      .filter(({ fullName }) => fullName !== 'eduk.bus.v1.LogService')
      .flatMap(({ fullName, methods }) => Object.keys(methods).map((method) => `${fullName}/${method}`));
    // A new method stands here or in `once`, with a thought about what a second call does.
    expect(methods.filter((method) => !once.has(method)).sort()).toEqual(harmless.sort());
    for (const method of once) expect(methods).toContain(method);
    await engine.stop();
  });
});

/** Methods of which a second call reads again, or finds done what it would do. */
const harmless = [
  'eduk.access.v1.AccessService/getLaunch',
  'eduk.access.v1.AccessService/listLaunches',
  'eduk.access.v1.AccessService/listSubjects',
  'eduk.access.v1.AccessService/countLaunches',
  'eduk.audit.v1.AuditService/getConsistency',
  'eduk.audit.v1.AuditService/getHead',
  'eduk.audit.v1.AuditService/getProof',
  'eduk.audit.v1.AuditService/listAccess',
  'eduk.audit.v1.AuditService/listHeads',
  'eduk.audit.v1.AuditService/listLeaves',
  'eduk.audit.v1.AuditService/listReach',
  'eduk.audit.v1.AuditService/listUse',
  'eduk.audit.v1.AuditService/searchLog',
  'eduk.catalogue.v1.CatalogueService/getProducts',
  'eduk.entitlements.v1.EntitlementsService/listChangeHolds',
  'eduk.entitlements.v1.EntitlementsService/listHeldChanges',
  'eduk.catalogue.v1.CatalogueService/searchProducts',
  // By the id of the reconciliation; a stretch that is told twice counts once.
  'eduk.delivery.v1.DeliveryService/beginReconciliation',
  'eduk.delivery.v1.DeliveryService/failReconciliation',
  'eduk.delivery.v1.DeliveryService/noteReconciled',
  'eduk.delivery.v1.DeliveryService/listDifferences',
  'eduk.delivery.v1.DeliveryService/listReconciliations',
  'eduk.delivery.v1.DeliveryService/flowRows',
  'eduk.delivery.v1.DeliveryService/listAlerts',
  'eduk.delivery.v1.DeliveryService/findDelivered',
  'eduk.delivery.v1.DeliveryService/listDeadLetters',
  'eduk.delivery.v1.DeliveryService/listDisks',
  'eduk.delivery.v1.DeliveryService/listEndpoints',
  'eduk.delivery.v1.DeliveryService/listParkedRows',
  'eduk.delivery.v1.DeliveryService/listReplays',
  // What is parked once is not in the mailbox any more.
  // What was told is told; counts of an hour, and measurements of half an hour, are kept once.
  'eduk.delivery.v1.DeliveryService/noteDisks',
  'eduk.delivery.v1.DeliveryService/noteTold',
  'eduk.delivery.v1.DeliveryService/noteTraffic',
  'eduk.delivery.v1.DeliveryService/parkRows',
  'eduk.delivery.v1.DeliveryService/readMailbox',
  // By delivery id; what is told twice is known.
  'eduk.delivery.v1.DeliveryService/reportOutcomes',
  'eduk.delivery.v1.DeliveryService/resolveKeys',
  // What the first call was given comes again when its lease is over.
  'eduk.delivery.v1.DeliveryService/weighAlerts',
  'eduk.entitlements.v1.EntitlementsService/getEntitlement',
  'eduk.entitlements.v1.EntitlementsService/listEntitlements',
  'eduk.entitlements.v1.EntitlementsService/listProductSchools',
  'eduk.entitlements.v1.EntitlementsService/listRuleSpent',
  'eduk.entitlements.v1.EntitlementsService/listSubjects',
  // A step of a rebuild that is done again reads on; a mend holds where the row is as it was compared.
  'eduk.flows.v1.FlowsService/mendFlows',
  'eduk.flows.v1.FlowsService/stepRebuild',
  'eduk.flows.v1.FlowsService/awaitDecision',
  'eduk.flows.v1.FlowsService/countFlows',
  'eduk.flows.v1.FlowsService/findFlows',
  'eduk.flows.v1.FlowsService/findReferences',
  'eduk.flows.v1.FlowsService/getFlow',
  'eduk.flows.v1.FlowsService/listRefusals',
  'eduk.orders.v1.OrdersService/getOrder',
  'eduk.orders.v1.OrdersService/listOrders',
  'eduk.orders.v1.OrdersService/listSubjects',
  // By the claim of the call.
  'eduk.parties.v1.PartiesService/claimAssertion',
  'eduk.parties.v1.PartiesService/claimRegister',
  // A session that is over stays so; one that is found or opened again lives as long as from its last call.
  'eduk.parties.v1.PartiesService/endSession',
  // A link that is over stays so; one that is opened twice is opened once more, a moment later.
  'eduk.parties.v1.PartiesService/endLink',
  'eduk.parties.v1.PartiesService/findLink',
  'eduk.parties.v1.PartiesService/findSession',
  // By the id that its door gave it.
  'eduk.parties.v1.PartiesService/keepLink',
  'eduk.parties.v1.PartiesService/listLinks',
  'eduk.parties.v1.PartiesService/listRegisters',
  'eduk.parties.v1.PartiesService/listReviews',
  'eduk.parties.v1.PartiesService/noteRegister',
  'eduk.parties.v1.PartiesService/openSession',
  'eduk.parties.v1.PartiesService/snapshot',
  'eduk.pseudonyms.v1.VaultService/countHeld',
  // Decided once; a repeat is told how it stands, or that it was decided.
  'eduk.pseudonyms.v1.VaultService/decideReveal',
  'eduk.pseudonyms.v1.VaultService/doorKeys',
  // What has gone is not there.
  'eduk.pseudonyms.v1.VaultService/endNames',
  // Found by ECK iD where the first call made them.
  'eduk.pseudonyms.v1.VaultService/enrolAt',
  'eduk.pseudonyms.v1.VaultService/findLearner',
  // The same learner, at the same time or before.
  'eduk.pseudonyms.v1.VaultService/forget',
  // The same identity has the same token.
  // A lot of what is left.
  'eduk.pseudonyms.v1.VaultService/forgetSchool',
  'eduk.pseudonyms.v1.VaultService/identify',
  // The same keys beside the same numbers.
  'eduk.pseudonyms.v1.VaultService/listAskedReveals',
  'eduk.pseudonyms.v1.VaultService/lackEckId',
  'eduk.pseudonyms.v1.VaultService/mapKeys',
  // The same two tokens are one, or two.
  'eduk.pseudonyms.v1.VaultService/mergeTokens',
  'eduk.pseudonyms.v1.VaultService/openPayloads',
  'eduk.pseudonyms.v1.VaultService/openTexts',
  // The same number in the same place; only the answer says that it was so.
  'eduk.pseudonyms.v1.VaultService/replace',
  // Counts what is shown; what was lost on its way was shown to nobody.
  'eduk.pseudonyms.v1.VaultService/reveal',
  'eduk.pseudonyms.v1.VaultService/salts',
  'eduk.pseudonyms.v1.VaultService/sealPayloads',
  'eduk.pseudonyms.v1.VaultService/sealTexts',
  'eduk.pseudonyms.v1.VaultService/showKeys',
  'eduk.pseudonyms.v1.VaultService/showPeople',
  'eduk.pseudonyms.v1.VaultService/showReveals',
  'eduk.pseudonyms.v1.VaultService/showTexts',
  'eduk.readiness.v1.ReadinessService/listNeeds',
  'eduk.results.v1.ResultsService/listResults',
  'eduk.results.v1.ResultsService/listSubjects',
  // By the claim of the call.
  'eduk.rosters.v1.RostersService/claimPull',
  'eduk.rosters.v1.RostersService/countOverdue',
  'eduk.rosters.v1.RostersService/getLastChange',
  'eduk.rosters.v1.RostersService/getLearners',
  'eduk.rosters.v1.RostersService/getRoster',
  'eduk.rosters.v1.RostersService/listLeft',
  'eduk.rosters.v1.RostersService/listForgetting',
  'eduk.rosters.v1.RostersService/listGoing',
  'eduk.rosters.v1.RostersService/listHolds',
  'eduk.rosters.v1.RostersService/listMerges',
  'eduk.rosters.v1.RostersService/listNamesEnded',
  'eduk.rosters.v1.RostersService/listPulls',
  'eduk.rosters.v1.RostersService/listRuleSpent',
  'eduk.rosters.v1.RostersService/listSchoolChanges',
  'eduk.rosters.v1.RostersService/listTurns',
  'eduk.rosters.v1.RostersService/previewTurn',
  'eduk.rosters.v1.RostersService/listSchools',
  'eduk.rosters.v1.RostersService/notePull',
  'eduk.delivery.v1.DeliveryService/listKept',
  'eduk.delivery.v1.DeliveryService/listWithheld',
  'eduk.delivery.v1.DeliveryService/listScores',
  'eduk.rosters.v1.RostersService/selectGoing',
  'eduk.delivery.v1.DeliveryService/releaseRows',
  'eduk.flows.v1.FlowsService/listScores',
  'eduk.pseudonyms.v1.VaultService/showHolds',
];
