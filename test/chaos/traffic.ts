/**
 * Senders and receivers of a chaos run, as parties would write them: a sender repeats under the same reference until it is
 * answered, at whichever door answers; a receiver goes on at its cursor, or honours delivery ids. Each tells the ledger.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientReadableStream, credentials, Client as GrpcClient, status } from '@grpc/grpc-js';
import { Webhook } from 'standardwebhooks';
import { schoolOin } from '#kernel';
import { LineState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import {
  EntitlementServiceDefinition,
  type GrantEntitlementsRequest,
  type GrantEntitlementsResponse,
  type WatchEntitlementsResponse,
} from '#proto/eduk/gateway/v1/entitlement';
import { OrderServiceDefinition, type WatchOrdersResponse } from '#proto/eduk/gateway/v1/order';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { Fault, type WireClient, wire } from '../chain/gateway.ts';
import type { Ledger } from './ledger.ts';

/** Numbers from 0 up to 1, from the run's seed. */
export type Draw = () => number;

/** The receiver that is ill by itself. */
export const RUDE = 'rude hook';

const SCHOOL = schoolOin('99ZC');
const OINS = {
  seller: '00000099200000001000',
  calm: '00000099200000002000',
  rude: '00000099200000003000',
  buyer: '00000099200000004000',
};
/** The first is opened on the calm platform, the second on the rude one. */
const BOOKS = ['9789000000019', '9789000000026'] as const;
const LEARNERS = 60;
const ORDERERS = 4;
/** Items of a stream that are written and not answered. */
const WINDOW = 1_000;
/** No answer for so long, and the sender tries another door. */
const PATIENCE_MS = 15_000;
const AGAIN_MS = 200;

const eckId = (n: number): string => `https://ketenid.nl/pilot/${n.toString(16).padStart(128, '0')}`;
const digestOf = (told: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(told, (_, value) => (typeof value === 'bigint' ? String(value) : value)))
    .digest('base64url')
    .slice(0, 12);

/** What a sender or receiver was told that none should be; and how often it had to try again, by code. */
export class Complaints {
  readonly problems: string[] = [];
  /** Code → how often an accept was not answered well. */
  readonly refused = new Map<string, number>();
  /** Most tries that one message needed since `mostTries` was last set to zero. */
  mostTries = 0;

  refuse(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }

  get refusals(): number {
    return [...this.refused.values()].reduce((sum, n) => sum + n, 0);
  }

  problem(what: string): void {
    if (this.problems.length < 20) this.problems.push(what);
  }
}

/** Codes under which a message may be sent again as it is. */
const mayRepeat = (code: string): boolean =>
  code === '' || (code.startsWith('gateway.') && code !== 'gateway.bug') || code.startsWith('peer.');

export interface TrafficOptions {
  doors: readonly string[];
  operatorKey: string;
  ledger: Ledger;
  draw: Draw;
  /** Grants a second; orders are a tenth of it. */
  rate: number;
}

export interface Traffic {
  complaints: Complaints;
  grants: () => number;
  orders: () => number;
  /** Another pace. */
  pace(rate: number): void;
  /** No new messages; resolves when all that were begun are answered, or after `ms`. */
  finish(ms: number): Promise<void>;
  /** The platform whose endpoint only ever says yes or "not now": by its answers no attempt is split. */
  calm: { receiver: string; oin: string };
  stop(): Promise<void>;
}

/** Channels to the doors, in turn. One that failed is left for the next. */
class Doors {
  readonly #channels: GrpcClient[];
  #at = 0;

  constructor(addresses: readonly string[]) {
    this.#channels = addresses.map(
      (address) =>
        new GrpcClient(address, credentials.createInsecure(), {
          'grpc.use_local_subchannel_pool': 1,
          'grpc.initial_reconnect_backoff_ms': 100,
          'grpc.max_reconnect_backoff_ms': 1_000,
          'grpc.keepalive_time_ms': 5_000,
          'grpc.keepalive_timeout_ms': 5_000,
        }),
    );
  }

  get one(): GrpcClient {
    return this.#channels[this.#at % this.#channels.length]!;
  }

  /** The next one, unless somebody has left this one already. */
  leave(channel: GrpcClient): void {
    if (channel === this.one) this.#at += 1;
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }
}

export async function startTraffic({
  doors: addresses,
  operatorKey,
  ledger,
  draw,
  rate,
}: TrafficOptions): Promise<Traffic> {
  const complaints = new Complaints();
  const doors = new Doors(addresses);
  const stopping = new AbortController();
  let isFinishing = false;

  const operator = wire(OperatorServiceDefinition, doors.one, `Bearer ${operatorKey}`);
  const hooks = await Promise.all([
    openHook('calm hook', ledger, complaints, calmly(draw)),
    openHook(RUDE, ledger, complaints, rudely(draw)),
  ]);
  const added = await addParties(operator, hooks);
  for (const [i, hook] of hooks.entries()) hook.trust(added.secrets[i]!);
  await publish(doors.one, added.keys.seller);

  // ---- bulk grants
  let perSecond = rate;
  let wanted = 0;
  let answered = 0;
  const grantOf = (i: number): { request: DeepPartialGrant; learner: number; seq: number; hook: string } => {
    const learner = i % LEARNERS;
    return {
      learner,
      seq: Math.floor(i / LEARNERS) + 1,
      hook: hooks[learner % 2]!.receiver,
      request: {
        reference: `g${i}`,
        schoolOin: SCHOOL,
        holder: { learner: { eckId: eckId(learner), lasKey: '' }, groupKey: '' },
        terms: { entitlementId: `g${i}`, productId: BOOKS[learner % 2]! },
      },
    };
  };
  const pacing = setInterval(() => {
    if (isFinishing || wanted - answered > WINDOW) return;
    for (const until = wanted + Math.round(perSecond / 20); wanted < until; wanted++) {
      const { learner, seq, hook } = grantOf(wanted);
      ledger.offered({ id: `g${wanted}`, key: `grants of ${learner}`, seq, receivers: ['seller watch', hook] });
    }
  }, 50);

  /** One stream, from the first that has no answer; resolves when it ended, however. */
  const stream = (): Promise<string> =>
    new Promise((resolve) => {
      const first = answered;
      let written = answered;
      let heard = performance.now();
      const channel = doors.one;
      const call = wire(EntitlementServiceDefinition, channel, `Bearer ${added.keys.seller}`).grantEntitlements();
      const writing = setInterval(() => {
        if (wanted === answered) heard = performance.now();
        else if (performance.now() - heard > PATIENCE_MS) return end('no answer');
        while (written < wanted && written - answered < WINDOW) {
          call.write(grantOf(written).request as GrantEntitlementsRequest);
          written += 1;
        }
        if (isFinishing && answered === wanted) end('');
      }, 20);
      let isOver = false;
      const end = (code: string): void => {
        if (isOver) return;
        isOver = true;
        clearInterval(writing);
        stopping.signal.removeEventListener('abort', stop);
        call.cancel();
        if (code !== '') doors.leave(channel);
        resolve(code);
      };
      const stop = (): void => end('');
      stopping.signal.addEventListener('abort', stop);
      call.on('data', ({ through, refusals }: GrantEntitlementsResponse) => {
        heard = performance.now();
        for (const { index, code } of refusals)
          if (mayRepeat(code)) return end(code);
          else complaints.problem(`grant g${first + Number(index)} was refused: ${code}`);
        for (const to = first + Number(through) + 1; answered < to; answered++) ledger.accepted(`g${answered}`);
      });
      call.on('error', (thrown) =>
        end(new Fault(thrown as never).code || status[(thrown as unknown as { code: number }).code] || 'unknown'),
      );
      call.on('end', () => end('ended'));
    });
  const granting = (async () => {
    while (!stopping.signal.aborted && !(isFinishing && answered === wanted)) {
      const code = await stream();
      if (code === '') continue;
      complaints.refuse(code);
      await sleep(AGAIN_MS);
    }
  })();

  // ---- unary: orders, and their confirmations
  /** Until it is answered, at one door after the other. */
  async function untilAnswered(what: string, call: (channel: GrpcClient) => Promise<unknown>): Promise<boolean> {
    for (let tries = 1; !stopping.signal.aborted; tries++) {
      const channel = doors.one;
      try {
        const answer = await Promise.race([
          call(channel),
          sleep(PATIENCE_MS, undefined, { signal: stopping.signal }).then(() => Promise.reject(new Error('no answer'))),
        ]);
        const code = (answer as { decision?: { code?: string } }).decision?.code ?? '';
        if (code !== '') complaints.problem(`${what} was decided ${code}`);
        return true;
      } catch (thrown) {
        if (stopping.signal.aborted) break;
        const code = thrown instanceof Fault ? thrown.code || status[thrown.grpcCode]! : 'no answer';
        complaints.refuse(code);
        complaints.mostTries = Math.max(complaints.mostTries, tries);
        if (thrown instanceof Fault && !mayRepeat(thrown.code)) {
          complaints.problem(`${what} was refused: ${code}`);
          return false;
        }
        doors.leave(channel);
        await sleep(AGAIN_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
    return false;
  }
  let orders = 0;
  const ordering = Array.from({ length: ORDERERS }, async (_, worker) => {
    for (let n = 1; !isFinishing && !stopping.signal.aborted; n++) {
      const id = `o${worker}-${n}`;
      // Learners of this worker alone, so that the order in which it sends is the order of each of them.
      const learner = 1000 + worker;
      ledger.offered({ id, key: `orders of ${learner}`, seq: n, receivers: ['seller watch', 'buyer watch'] });
      ledger.offered({ id: `c${id}`, key: `confirmation of ${id}`, seq: 1, receivers: ['buyer watch'] });
      const isTaken = await untilAnswered(`order ${id}`, (channel) =>
        wire(OrderServiceDefinition, channel, `Bearer ${added.keys.buyer}`).placeOrder({
          reference: id,
          orderId: id,
          schoolOin: SCHOOL,
          lines: [{ terms: { lineId: '1', productId: BOOKS[0], quantity: 1 }, learner: { eckId: eckId(learner) } }],
        }),
      );
      if (isTaken) {
        ledger.accepted(id);
        orders += 1;
      }
      await sleep((1_000 * ORDERERS) / (perSecond / 10), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  });
  const confirming = new Set<Promise<void>>();
  const confirm = (orderId: string): void => {
    const one = untilAnswered(`confirmation of ${orderId}`, (channel) =>
      wire(OrderServiceDefinition, channel, `Bearer ${added.keys.seller}`).confirmOrder({
        reference: `c${orderId}`,
        orderId,
        outcomes: [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }],
      }),
    ).then((isTaken) => {
      confirming.delete(one);
      if (isTaken) ledger.accepted(`c${orderId}`);
    });
    confirming.add(one);
  };

  // ---- watches
  const follow = <A extends { cursor: string }>(
    what: string,
    begin: (channel: GrpcClient, cursor: string) => ClientReadableStream<A>,
    told: (answer: A, request: string) => void,
  ): void => {
    let cursor = '';
    let connections = 0;
    const again = (): void => {
      if (stopping.signal.aborted) return;
      const channel = doors.one;
      const call = begin(channel, cursor);
      const request = `${++connections}`;
      const stop = (): void => call.cancel();
      stopping.signal.addEventListener('abort', stop);
      const over = (): void => {
        stopping.signal.removeEventListener('abort', stop);
        if (stopping.signal.aborted) return;
        doors.leave(channel);
        setTimeout(again, AGAIN_MS);
      };
      call.on('data', (answer: A) => {
        told(answer, request);
        cursor = answer.cursor;
      });
      let isOver = false;
      const once = (): void => {
        if (!isOver) over();
        isOver = true;
      };
      call.on('error', (thrown) => {
        const { code } = new Fault(thrown as never);
        if (code !== '' && !mayRepeat(code)) complaints.problem(`${what} ended: ${code}`);
        once();
      });
      call.on('end', once);
    };
    again();
  };
  const seen = (receiver: string, item: string, request: string, told: unknown): boolean => {
    const isFirst = ledger.arrived({ receiver, item, delivery: '', request, digest: digestOf(told) });
    // What stands before a cursor is answered for: it does not come again.
    ledger.answered(receiver, item, request);
    return isFirst;
  };
  follow<WatchEntitlementsResponse>(
    'the seller’s watch of entitlements',
    (channel, cursor) =>
      wire(EntitlementServiceDefinition, channel, `Bearer ${added.keys.seller}`).watchEntitlements({ cursor }),
    ({ change, entitlement }, request) => {
      if (change !== 'granted') return complaints.problem(`${entitlement?.terms?.entitlementId} was told as ${change}`);
      seen('seller watch', entitlement!.terms!.entitlementId, request, entitlement);
    },
  );
  for (const [who, key] of [
    ['seller', added.keys.seller],
    ['buyer', added.keys.buyer],
  ] as const)
    follow<WatchOrdersResponse>(
      `the ${who}’s watch of orders`,
      (channel, cursor) => wire(OrderServiceDefinition, channel, `Bearer ${key}`).watchOrders({ cursor }),
      ({ change, order, outcomes }, request) => {
        const id = order!.orderId;
        if (change === 'placed') {
          if (seen(`${who} watch`, id, request, order) && who === 'seller') confirm(id);
        } else if (change === 'lines_changed' && who === 'buyer') seen('buyer watch', `c${id}`, request, outcomes);
        else if (change === 'refused') complaints.problem(`order ${id} was refused`);
      },
    );

  return {
    complaints,
    grants: () => answered,
    orders: () => orders,
    pace(rate) {
      perSecond = rate;
    },
    async finish(ms) {
      isFinishing = true;
      for (const hook of hooks) hook.behave();
      const all = Promise.all([granting, ...ordering]);
      await Promise.race([all, sleep(ms, undefined, { ref: false })]);
    },
    calm: { receiver: hooks[0]!.receiver, oin: OINS.calm },
    async stop() {
      stopping.abort();
      clearInterval(pacing);
      await Promise.allSettled([granting, ...ordering, ...confirming]);
      doors.close();
      await Promise.all(hooks.map((hook) => hook.close()));
    },
  };
}

interface DeepPartialGrant {
  reference: string;
  schoolOin: string;
  holder: { learner: { eckId: string; lasKey: string }; groupKey: string };
  terms: { entitlementId: string; productId: string };
}

/** Parties and mandates; the operator's calls are made again as long as roles find each other. */
async function addParties(operator: WireClient<typeof OperatorServiceDefinition>, hooks: readonly Hook[]) {
  const secrets: string[] = [];
  const keys: Record<string, string> = {};
  const members = [
    {
      name: 'seller',
      roles: [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR],
      services: [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT],
    },
    { name: 'calm', roles: [Role.ROLE_PLATFORM], services: [Service.SERVICE_ENTITLEMENT] },
    { name: 'rude', roles: [Role.ROLE_PLATFORM], services: [Service.SERVICE_ENTITLEMENT] },
    { name: 'buyer', roles: [Role.ROLE_ADMINISTRATION], services: [Service.SERVICE_ORDER] },
  ] as const;
  for (const { name, roles, services } of members) {
    const oin = OINS[name];
    const hook = { calm: hooks[0], rude: hooks[1] }[name as string];
    const { apiKey, webhookSecret } = await operator.addParty({
      party: { oin, name, roles: [...roles], endpoints: hook ? [{ standard: 'webhook', url: hook.url }] : [] },
    });
    keys[name] = apiKey;
    if (hook) secrets.push(webhookSecret);
    await operator.grantMandate({
      mandate: { schoolOin: SCHOOL, partyOin: oin, services: [...services], attributes: [] },
      confirm: true,
    });
  }
  return { secrets, keys: keys as Record<'seller' | 'buyer', string> };
}

async function publish(channel: GrpcClient, apiKey: string): Promise<void> {
  const call = wire(CatalogueServiceDefinition, channel, `Bearer ${apiKey}`).publishProducts();
  for (const [i, productId] of BOOKS.entries())
    call.write({
      reference: productId,
      product: { productId, title: 'Taal', platformOin: [OINS.calm, OINS.rude][i]!, licence: { licensed: true } },
    } as never);
  call.end();
  for await (const answer of call)
    for (const { code } of (answer as { refusals: { code: string }[] }).refusals)
      throw new Error(`a title was refused: ${code}`);
}

// ---- webhooks

interface Told {
  id: string;
  partitionkey: string;
  sequence: string;
  data: { change: string; entitlement: { terms: { entitlementId: string } } };
}

/** What to answer; 'taken' and then no answer, or 'cut' before anything is taken. */
type Answer = number | 'taken, cut' | 'cut';
type Manners = () => Answer | Promise<Answer>;

/** It takes what comes, or says "not now". */
const calmly =
  (draw: Draw): Manners =>
  async () => {
    await sleep(draw() * 20);
    // It rests after each, and what waits for it then is older than when all are well.
    return draw() < 0.001 ? 503 : 204;
  };
/** It fails, is slow, or goes away, before it has taken the events or after. */
const rudely =
  (draw: Draw): Manners =>
  async () => {
    const how = draw();
    if (how < 0.01) return 500;
    if (how < 0.02) return 503;
    if (how < 0.03) return 'cut';
    if (how < 0.05) return 'taken, cut';
    await sleep(how > 0.995 ? 7_000 : draw() * 30);
    return 204;
  };

interface Hook {
  receiver: string;
  url: string;
  trust(secret: string): void;
  /** From now on it only says yes. */
  behave(): void;
  close(): Promise<void>;
}

async function openHook(receiver: string, ledger: Ledger, complaints: Complaints, manners: Manners): Promise<Hook> {
  let webhook: Webhook | undefined;
  let answer = manners;
  const last = new Map<string, string>();
  const known = new Set<string>();
  const take = (request: string, events: readonly Told[]): void => {
    for (const { id, partitionkey, sequence, data } of events) {
      const isFirst = !known.has(id);
      known.add(id);
      const { entitlementId } = data.entitlement.terms;
      if (data.change !== 'granted') complaints.problem(`${entitlementId} was told as ${data.change}`);
      ledger.arrived({ receiver, item: entitlementId, delivery: id, request, digest: digestOf(data) });
      if (!isFirst) continue;
      // The order that the page about webhooks promises, by its own numbers.
      if ((last.get(partitionkey) ?? '') >= sequence)
        complaints.problem(`${receiver}: ${sequence} after ${last.get(partitionkey)}`);
      last.set(partitionkey, sequence);
    }
  };
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks).toString('utf8');
      let events: Told[];
      try {
        events = webhook!.verify(body, request.headers as Record<string, string>) as Told[];
      } catch {
        complaints.problem(`${receiver}: a signature that does not fit`);
        response.writeHead(401).end();
        return;
      }
      const id = String(request.headers['webhook-id']);
      for (const event of events) ledger.asked(receiver, event.id, id);
      const how = await answer();
      if (how === 'cut') return void request.socket.destroy();
      if (how === 'taken, cut') {
        take(id, events);
        return void request.socket.destroy();
      }
      if (how < 300) {
        take(id, events);
        // Handed to the system for sending: from here on only a fault of the gateway's can lose it.
        response.once('finish', () => {
          if (!request.socket.destroyed) for (const event of events) ledger.answered(receiver, event.id, id);
        });
      }
      response.writeHead(how).end();
    } catch {
      // The sender went away in the middle of its request: it has sent nothing.
      request.socket.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    receiver,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/eduk`,
    trust(secret) {
      webhook = new Webhook(secret);
    },
    behave() {
      answer = () => 204;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
