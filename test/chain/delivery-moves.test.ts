/**
 * Delivery on the distributed engine, in processes of their own, moves from replica to replica: one is killed with SIGKILL while it sends,
 * one joins and is given the service, one is stopped. What was known of endpoints, keys and replays before is known after; nothing is
 * lost, nothing of a key overtakes, and only what was under way when its sender was killed comes again, under the same id.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { freePorts, type Infrastructure, localInfrastructure, missingHere } from '#deploy/local';
import { dutchDay, logTo, readConfig } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { start } from '../../services/main.ts';
import { clientsOf, eckId, newOin, newSchool, sendAll, type WireClient, wire } from './gateway.ts';
import { Receiver, type Request } from './receiver.ts';

logTo(() => undefined);
const missing = await missingHere();
if (missing !== undefined) console.log(`skipped: servers cannot run here: ${missing}`);

const SOON = { timeout: 60_000, interval: 50 };
/** As the owners of leases draw them: the first is to own delivery wherever it is. */
const [FIRST, SECOND, THIRD] = Array.from({ length: 6 }, (_, i) => `replica-${i}`).sort((a, b) =>
  hash('sha256', `delivery\0${a}`) < hash('sha256', `delivery\0${b}`) ? 1 : -1,
) as [string, string, string];

let home: string;
let servers: Infrastructure;
let gateway: Awaited<ReturnType<typeof start>>;
let channel: GrpcClient;
let operator: WireClient<typeof OperatorServiceDefinition>;
let publisher: ReturnType<typeof clientsOf>;
let database: pg.Client;
let ports: number[];
let env: Record<string, string>;
const school = newSchool();
const replicas = new Map<string, ChildProcess>();

/** A platform, where its mail is sent, and what it was granted in order. */
interface Platform {
  oin: string;
  receiver: Receiver;
  product: string;
  /** Ids of all that it was granted. */
  granted: string[];
  /** Requests that it has in hand, and the most that it had since this was last set. */
  open: number;
  most: number;
}
const platforms: Platform[] = [];
/** Requests that a stopped replay came to. */
let askedAgain = 0;
let [well, narrow, down, sick, picky, hangs, again, frozen]: Platform[] = [];

async function startReplica(name: string): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'delivery-replica.ts'), name], {
    env: { ...env, EDUK_INNER: `127.0.0.1:${ports.pop()}` },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  replicas.set(name, child);
  await once(child, 'message');
}

async function end(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const child = replicas.get(name)!;
  replicas.delete(name);
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

const rowsOf = async (table: string, party?: Platform): Promise<Record<string, unknown>[]> =>
  (
    await database.query(
      `SELECT * FROM "delivery"."delivery_${table}" AS row WHERE $1::text IS NULL OR party = $1 ORDER BY row::text`,
      [party?.oin ?? null],
    )
  ).rows;
const rowOf = async (table: string, party: Platform) => (await rowsOf(table, party))[0]!;
const ownerOf = async (): Promise<string> =>
  (await database.query("SELECT owner FROM bus.owners WHERE name = 'delivery' AND until > now()")).rows[0]?.owner ?? '';
const owns = (name: string) => expect.poll(ownerOf, SOON).toBe(name);

const partyOf = ({ oin, product: name, receiver: { url } }: Platform) => ({
  oin,
  name,
  roles: [Role.ROLE_PLATFORM],
  endpoints: [{ standard: 'webhook', url }],
});

async function addPlatform(name: string): Promise<Platform> {
  const receiver = await Receiver.open();
  const [oin, product] = [newOin(), name];
  const platform: Platform = { oin, receiver, product, granted: [], open: 0, most: 0 };
  platforms.push(platform);
  const { webhookSecret } = await operator.addParty({ party: partyOf(platform) });
  receiver.secret = webhookSecret;
  await operator.grantMandate({
    mandate: { schoolOin: school, partyOin: oin, services: [Service.SERVICE_ENTITLEMENT], attributes: [] },
    confirm: true,
  });
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: product, product: { productId: product, title: name, platformOin: oin, licence: { licensed: true } } },
  ]);
  return platform;
}

/** Grants of these learners, in one stream. */
async function grant(to: Platform, learners: readonly number[]): Promise<void> {
  const ids = learners.map((_, i) => `${to.product}-${to.granted.length + i}`);
  to.granted.push(...ids);
  const answers = await sendAll(
    publisher.entitlements.grantEntitlements(),
    ids.map((id, i) => ({
      reference: id,
      schoolOin: school,
      holder: { learner: { eckId: eckId(learners[i]!) } },
      terms: { entitlementId: id, productId: to.product },
    })),
  );
  expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
}
const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);
const idOf = ({ data }: { data: any }): string => data.entitlement.terms.entitlementId;
const isAbout = ({ events }: Request, learner: number): boolean =>
  events.some(({ data }) => data.entitlement.holder.learner.eckId === eckId(learner));

/** Answers as `behaviour` says, and knows how many requests it has in hand. */
function answering(platform: Platform, behaviour: Receiver['behaviour']): void {
  platform.receiver.behaviour = async (...given) => {
    platform.open += 1;
    platform.most = Math.max(platform.most, platform.open);
    try {
      return await behaviour(...given);
    } finally {
      platform.open -= 1;
    }
  };
}

/** All that it was granted was taken, of each learner in order. */
async function hasAll(platform: Platform): Promise<void> {
  const { receiver, granted } = platform;
  await receiver.until(granted.length);
  expect(receiver.first.map(idOf).sort()).toEqual([...granted].sort());
  expect(receiver.problems).toEqual([]);
}

async function replayOf(platform: Platform): Promise<ReplayJob> {
  const { replays } = await operator.listReplays({ partyOin: platform.oin });
  return replays[0]!;
}
async function startReplay(platform: Platform, rate: number): Promise<void> {
  const { jobId } = await operator.previewReplay({ selection: { partyOin: platform.oin, again: true } as never });
  await expect.poll(async () => (await replayOf(platform)).state, SOON).toBe('counted');
  const { decision } = await operator.runReplay({ jobId, rate });
  expect(decision!.code).toBe('');
}

beforeAll(async () => {
  if (missing !== undefined) return;
  home = mkdtempSync(join(tmpdir(), 'eduk-moves-'));
  servers = await localInfrastructure({ folder: home });
  ports = await freePorts(4);
  const rest = `127.0.0.1:${ports.pop()}`;
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
  const settings = {
    EDUK_ENGINE: 'kafka',
    EDUK_DATA: join(home, 'data'),
    EDUK_GRPC: '127.0.0.1:0',
    EDUK_HTTP: '127.0.0.1:0',
    EDUK_CONSOLE: '127.0.0.1:0',
    EDUK_LOG: 'error',
    EDUK_KAFKA_BROKERS: servers.brokers.join(','),
    EDUK_DATABASE_URL: servers.databaseUrl,
    EDUK_VAULT_DATABASE_URL: servers.vaultUrl,
    EDUK_CORE: rest,
    EDUK_WATCH: rest,
    EDUK_VAULT: rest,
    EDUK_DELIVERY: ports.map((port) => `127.0.0.1:${port}`).join(','),
  };
  env = { ...own, ...settings } as Record<string, string>;
  const others = start(readConfig(settings), ['core', 'watch', 'vault', 'door']);
  await Promise.all([startReplica(SECOND), startReplica(THIRD)]);
  gateway = await others;
  channel = new GrpcClient(gateway.addresses!.grpc, credentials.createInsecure());
  const key = readFileSync(join(home, 'data', 'operator.key'), 'utf8').trim();
  operator = wire(OperatorServiceDefinition, channel, `Bearer ${key}`);
  database = new pg.Client({ connectionString: servers.databaseUrl });
  await database.connect();
  // Who asks while services are being taken over may be told to come back.
  await vi.waitFor(async () => {
    const { rows } = await database.query('SELECT name FROM bus.owners WHERE until < now()');
    expect(rows).toEqual([]);
    await operator.listParties({});
  }, SOON);
  const { apiKey } = await operator.addParty({
    party: { oin: newOin(), name: 'Wilg', roles: [Role.ROLE_PUBLISHER] },
  });
  publisher = clientsOf(channel, `Bearer ${apiKey}`);
  const { parties } = await operator.listParties({});
  await operator.grantMandate({
    mandate: { schoolOin: school, partyOin: parties[0]!.oin, services: [Service.SERVICE_ENTITLEMENT], attributes: [] },
    confirm: true,
  });
  for (const name of ['well', 'narrow', 'down', 'sick', 'picky', 'hangs', 'again', 'frozen']) await addPlatform(name);
  [well, narrow, down, sick, picky, hangs, again, frozen] = platforms;
});
afterAll(async () => {
  for (const name of [...replicas.keys()]) await end(name, 'SIGKILL');
  for (const { receiver } of platforms) await receiver.close();
  channel?.close();
  await database?.end();
  await gateway?.stop();
  await servers?.stop();
  if (home) rmSync(home, { recursive: true, force: true });
});

/** What is known of an endpoint, without when it is looked at again. */
const known = ({ dueMs: _, full: __, ahead: ___, ...row }: Record<string, unknown>) => row;

test.skipIf(missing !== undefined)('killed while it sends, another goes on where it was', async () => {
  await owns(SECOND);
  // Takes two at once, and answers them once it is known that a third is too many.
  let tellNow = () => {};
  const isKnown = new Promise<void>((resolve) => {
    tellNow = resolve;
  });
  answering(narrow!, async () => {
    if (narrow!.open > 2) return 429;
    await isKnown;
    return 204;
  });
  for (const learner of upTo(3)) {
    await grant(narrow!, [learner]);
    await expect.poll(() => narrow!.most, { ...SOON, interval: 10 }).toBeGreaterThan(learner);
  }
  await expect.poll(async () => Number((await rowOf('endpoints', narrow!))['narrowed']), SOON).toBe(2);
  tellNow();
  await hasAll(narrow!);
  await expect.poll(() => rowsOf('attempts', narrow!), SOON).toEqual([]);

  answering(down!, (_request, response) => {
    response.writeHead(503, { 'retry-after': '3600' }).end();
    return 'handled';
  });
  await grant(down!, upTo(5));

  // One message is refused, one fails, of one that fails the repeats are stopped.
  answering(picky!, (request) => (isAbout(request, 7) ? 422 : isAbout(request, 8) || isAbout(request, 9) ? 500 : 204));
  await grant(picky!, [1]);
  await picky!.receiver.until(1);
  const keyed = async (code: string) => (await rowsOf('push_keys', picky!)).filter((row) => row['code'] === code);
  await grant(picky!, [9]);
  await expect.poll(() => keyed('peer.unavailable'), SOON).toHaveLength(1);
  await operator.resolveDeliveries({ partyOin: picky!.oin, action: 'stop' });
  await expect.poll(async () => (await keyed('peer.unavailable'))[0]?.['parked'], SOON).toBe('2');
  await grant(picky!, [2]);
  await picky!.receiver.until(2);
  await grant(picky!, [7]);
  await grant(picky!, [7]);
  await expect.poll(() => keyed('peer.refused'), SOON).toMatchObject([{ parked: '1' }]);
  await grant(picky!, [8]);
  const tries = () => picky!.receiver.requests.filter((request) => isAbout(request, 8)).length;
  const waiting = async () => (await rowsOf('push_keys', picky!)).find(({ parked }) => parked === '0');
  /** Its keys while none of them is under way: two that stand still, and one that waits. */
  const pickyNow = () =>
    vi.waitFor(async () => {
      const [keys, asides] = [await rowsOf('push_keys', picky!), await rowsOf('set_aside', picky!)];
      expect([keys.length, asides.length]).toEqual([3, 4]);
      return {
        parked: keys.filter(({ parked }) => parked !== '0'),
        waiting: keys.find(({ parked }) => parked === '0')!,
        firsts: asides.map(({ first }) => first),
      };
    }, SOON);
  await expect.poll(async () => Number((await waiting())?.['failures']), SOON).toBeGreaterThan(1);

  for (const [one, many] of [
    [again!, 300],
    [frozen!, 100],
  ] as const) {
    await grant(
      one,
      upTo(many).map((i) => i % 10),
    );
    await hasAll(one);
  }
  await startReplay(frozen!, 25);
  await expect.poll(async () => Number((await replayOf(frozen!)).sent), SOON).toBeGreaterThan(5);
  const until = dutchDay(Date.now() + 2 * 86_400_000);
  const { freeze } = await operator.setFreeze({ partyOin: frozen!.oin, until, reason: 'exams' });
  await expect.poll(() => replayOf(frozen!), SOON).toMatchObject({ state: 'running', cause: 'freeze', underWay: 0n });
  const stood = await replayOf(frozen!);
  expect(stood.sent).toBeLessThan(100n);
  await startReplay(again!, 5);

  answering(sick!, () => 503);
  await grant(sick!, upTo(20));
  await expect.poll(async () => Number((await rowOf('endpoints', sick!))['rests']), SOON).toBeGreaterThan(1);
  await expect.poll(async () => (await replayOf(again!)).sent, SOON).toBeGreaterThan(0n);

  // Given to whoever lives: the other sender stands still, so that one is under way where it is killed. It is of several messages:
  // its id is its own, and not that of the only event in it.
  answering(hangs!, ({ events }) => (events.length > 1 ? 'handled' : 204));
  replicas.get(THIRD)!.kill('SIGSTOP');
  const hanging = () => hangs!.receiver.requests.filter(({ events }) => events.length > 1);
  await expect
    .poll(async () => {
      await grant(hangs!, upTo(10, hangs!.granted.length));
      return hanging().length;
    }, SOON)
    .toBeGreaterThan(0);

  const before = {
    narrow: known(await rowOf('endpoints', narrow!)),
    down: known(await rowOf('endpoints', down!)),
    downs: await rowsOf('attempts', down!),
    sick: await rowOf('endpoints', sick!),
    picky: await pickyNow(),
    freezes: (await database.query('SELECT * FROM "delivery"."delivery_freezes"')).rows,
    again: await replayOf(again!),
  };
  expect([before.down['rests'], before.down['status']]).toEqual(['1', '503']);
  expect(Number(before.sick['rests'])).toBeGreaterThan(0);
  expect(before.picky.parked.map(({ parked }) => parked).sort()).toEqual(['1', '2']);
  sick!.most = 0;
  narrow!.most = 0;
  await end(SECOND, 'SIGKILL');
  // As it was left: nobody sends now.
  const left = (await rowsOf('attempts', hangs!)).map(({ members, leaseMs, started }) => ({
    events: (JSON.parse(members as string) as { eventId: string }[]).map(({ eventId }) => eventId),
    leaseMs: started === '1' ? Number(leaseMs) : undefined,
  }));
  const asked = hangs!.receiver.requests.length;
  const unanswered = hanging();
  replicas.get(THIRD)!.kill('SIGCONT');
  /** When each event came again, by the clock that leases go by. */
  const againMs = new Map<string, number>();
  answering(hangs!, ({ events }) => {
    for (const { id } of events) againMs.set(id, againMs.get(id) ?? Date.now());
    return 204;
  });
  // While nobody has it, and after: who is well has its mail, whoever is sick.
  await grant(well!, upTo(50));
  await grant(sick!, upTo(10, 50));
  await owns(THIRD);
  await hasAll(well!);
  expect(known(await rowOf('endpoints', down!))).toEqual(before.down);
  expect(await rowsOf('attempts', down!)).toEqual(before.downs);
  expect(known(await rowOf('endpoints', narrow!))).toEqual(before.narrow);
  const { parked, waiting: waits, firsts } = await pickyNow();
  expect([parked, firsts]).toEqual([before.picky.parked, before.picky.firsts]);
  expect(waits).toMatchObject({ sinceMs: before.picky.waiting['sinceMs'], key: before.picky.waiting['key'] });
  expect(Number(waits['failures'])).toBeGreaterThanOrEqual(Number(before.picky.waiting['failures']));
  expect((await database.query('SELECT * FROM "delivery"."delivery_freezes"')).rows).toEqual(before.freezes);
  // It was looked at by the new one as well.
  const ownedMs = Date.now();
  await expect.poll(async () => Number((await rowOf('replays', frozen!))['pacedMs']), SOON).toBeGreaterThan(ownedMs);
  expect(await replayOf(frozen!)).toMatchObject({ state: 'running', cause: 'freeze', sent: stood.sent });
  const moved = await replayOf(again!);
  expect(moved).toMatchObject({ state: 'running', selected: 300n, toSend: 300n });
  expect(moved.sent).toBeGreaterThanOrEqual(before.again.sent);
  expect(Number((await rowOf('endpoints', sick!))['rests'])).toBeGreaterThanOrEqual(Number(before.sick['rests']));
  expect([sick!.receiver.first, sick!.most]).toEqual([[], 1]);
  answering(sick!, () => 204);
  await operator.endFreeze({ freezeId: freeze!.freezeId });

  // Each failure of the key was a request, before and after.
  await expect.poll(async () => Number((await waiting())?.['failures']) - tries(), SOON).toBe(0);

  // What was under way comes again under its own id, once its lease is over; nothing else that was answered does.
  await hasAll(hangs!);
  const since = new Set(hangs!.receiver.requests.slice(asked).map(({ webhookId }) => webhookId));
  const leases = new Map(left.flatMap(({ events, leaseMs }) => events.map((id) => [id, leaseMs])));
  // On a slow machine the time for an answer may be over before the kill: what was no longer under way is none of these.
  const lost = unanswered.filter(({ events }) => events.every(({ id }) => leases.get(id) !== undefined));
  for (const { webhookId, events } of lost) {
    expect(since).toContain(webhookId);
    for (const { id } of events) expect(againMs.get(id)).toBeGreaterThanOrEqual(leases.get(id)!);
  }
  for (const [id, times] of hangs!.receiver.times) if (!leases.has(id)) expect(times).toBe(1);

  // Who takes two at once is asked for no more.
  answering(narrow!, async () => {
    if (narrow!.open > 2) return 429;
    await sleep(30);
    return 204;
  });
  await Promise.all(upTo(12, 10).map((one) => grant(narrow!, [one])));
  await hasAll(narrow!);
  expect(narrow!.most).toBeLessThanOrEqual(2);
  await hasAll(sick!);

  // Stopped after half of it: what was not sent is set back, and all else was sent once.
  await expect.poll(async () => (await replayOf(again!)).sent > before.again.sent, SOON).toBe(true);
  await operator.stopReplay({ jobId: moved.jobId });
  await expect.poll(() => replayOf(again!), SOON).toMatchObject({ state: 'stopped', underWay: 0n });
  const stopped = await replayOf(again!);
  expect(stopped.sent + stopped.setBack).toBe(stopped.released);
  await expect.poll(() => replayOf(frozen!), SOON).toMatchObject({ state: 'done', sent: 100n, released: 100n });
  expect(frozen!.receiver.repeats).toBe(100);
  askedAgain = again!.receiver.requests.length;
  for (const one of [well!, narrow!, down!, sick!, picky!]) expect(one.receiver.repeatsAfterAnswer).toBe(0);
});

/** Grants to who is well, one after the other, until `done`. */
async function keepsGranting(during: () => Promise<unknown>): Promise<void> {
  let isOver = false;
  const granting = (async () => {
    for (let i = 0; !isOver; i++) await grant(well!, [i % 7, (i + 3) % 7, i % 7]);
  })();
  await during().finally(() => {
    isOver = true;
  });
  await granting;
  await hasAll(well!);
}

/** Takes its time for each request. */
function takesLong(platform: Platform): void {
  let requests = 0;
  answering(platform, async () => {
    await sleep(300 + 100 * (requests++ % 3));
    return 204;
  });
}

/** All that was sent is known to be over, and nothing of it came twice. */
async function cameOnce(platform: Platform): Promise<void> {
  await expect.poll(() => rowsOf('attempts', platform), SOON).toEqual([]);
  await hasAll(platform);
  expect(platform.receiver.repeats).toBe(0);
}

test.skipIf(missing !== undefined)('one that joins is given it, and nothing comes twice', async () => {
  const before = known(await rowOf('endpoints', down!));
  takesLong(well!);
  const asked = down!.receiver.requests.length;
  await keepsGranting(async () => {
    await startReplica(FIRST);
    await owns(FIRST);
  });
  expect(known(await rowOf('endpoints', down!))).toEqual(before);
  expect(down!.receiver.requests).toHaveLength(asked);
  await cameOnce(well!);
});

test.skipIf(missing !== undefined)('one that is stopped hands it over, and nothing comes twice', async () => {
  const before = known(await rowOf('endpoints', down!));
  takesLong(well!);
  // The other sender stands still, so that what is under way is of the one that is stopped.
  replicas.get(THIRD)!.kill('SIGSTOP');
  await expect
    .poll(async () => {
      await grant(well!, upTo(3, 100 + well!.granted.length));
      return well!.open;
    }, SOON)
    .toBeGreaterThan(0);
  const stopped = end(FIRST, 'SIGTERM');
  replicas.get(THIRD)!.kill('SIGCONT');
  await keepsGranting(async () => {
    await stopped;
    await owns(THIRD);
  });
  expect(known(await rowOf('endpoints', down!))).toEqual(before);
  await cameOnce(well!);
});

test.skipIf(missing !== undefined)(
  'in the end an operator takes up what stood still, and all of it came, once each and in order',
  async () => {
    await expect
      .poll(async () => (await rowsOf('push_keys', picky!)).map((row) => row['parked']).sort(), SOON)
      .toEqual(['0', '1', '2']);
    for (const one of [down!, picky!]) answering(one, () => 204);
    await operator.resolveDeliveries({ action: 'retry' });
    for (const one of platforms) await hasAll(one);
    for (const one of [well!, narrow!, down!, sick!, picky!]) expect(one.receiver.repeatsAfterAnswer).toBe(0);
    expect(again!.receiver.requests).toHaveLength(askedAgain);
    await expect.poll(() => rowsOf('push_keys'), SOON).toEqual([]);
    await expect.poll(() => rowsOf('attempts'), SOON).toEqual([]);
  },
);
