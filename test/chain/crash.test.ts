import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { afterAll, expect, test } from 'vitest';
import { LineState, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { randomFrom } from '../parties/random.ts';
import { type Clients, clientsOf, eckId, Fault, newOin, newSchool } from './gateway.ts';
import { KilledGateway } from './killed.ts';

const SEED = Number(process.env['EDUK_CRASH_SEED'] ?? Date.now() % 1e6);
const ROUNDS = Number(process.env['EDUK_CRASH_ROUNDS'] ?? 16);
/** Sent in one round by each party, in streams of its own. */
const PER_ROUND = 150;
const LEARNERS = 20;
const BOOK = '9789000000019';
const school = newSchool();

const { next } = randomFrom(SEED);

const gateway = new KilledGateway('crash');

afterAll(async () => {
  await gateway.close();
});

/** What a sender knows: what it sent in order, and how far it was acknowledged. */
class Ledger<Q> {
  readonly sent: Q[] = [];
  acknowledged = 0;
  /** Why the last stream ended before all was acknowledged. */
  broken = '';
  /** Sends what is not acknowledged yet, until all is or the gateway goes. Gives whether all is. */
  async stream(open: () => ClientDuplexStream<Q, unknown>): Promise<boolean> {
    const from = this.acknowledged;
    const call = open();
    return new Promise((resolve) => {
      call.on('data', (answer: { through: bigint; refusals: { code: string; index: bigint }[] }) => {
        expect(answer.refusals).toEqual([]);
        this.acknowledged = from + Number(answer.through) + 1;
      });
      call.on('error', (error) => {
        this.broken = new Fault(error as ServiceError).code;
        resolve(false);
      });
      call.on('end', () => resolve(this.acknowledged === this.sent.length));
      for (const item of this.sent.slice(from)) call.write(item);
      call.end();
    });
  }
}

/** A reader that keeps its cursor, as a receiver does in its own store, with what it was told. */
class Watcher<A extends { cursor: string }> {
  cursor = '';
  readonly told: A[] = [];
  call: ClientReadableStream<A> | undefined;
  open(watch: (request: { cursor: string }) => ClientReadableStream<A>): void {
    this.call = watch({ cursor: this.cursor });
    this.call.on('error', () => undefined);
    this.call.on('data', (message: A) => {
      this.told.push(message);
      this.cursor = message.cursor;
    });
  }
}

const keys: Record<string, string> = {};
const as = (name: string): Clients => clientsOf(gateway.channel, `Bearer ${keys[name]}`);
const roster = (reference: string, learners: number) => ({
  reference,
  rosterId: reference,
  last: true,
  roster: {
    schoolOin: school,
    schoolYear: '2026-2027',
    groups: [{ key: '7a', name: 'Zeven', yearGroup: '7' }],
    learners: Array.from({ length: learners }, (_, i) => ({
      ref: { eckId: eckId(i + 1), lasKey: `key-${i + 1}` },
      groupKey: '7a',
      yearGroup: '7',
    })),
  },
});

async function settled(): Promise<void> {
  const { operator } = gateway;
  for (const until = Date.now() + 60_000; ; await sleep(50)) {
    const { ages } = await operator.status({});
    expect(ages.filter(({ gap, parkedKeys }) => gap || parkedKeys > 0)).toEqual([]);
    if (ages.every(({ unread }) => Number(unread) === 0)) return;
    if (Date.now() > until)
      throw new Error(
        `unread: ${ages
          .filter(({ unread }) => Number(unread) > 0)
          .map(({ consumer, stream, unread }) => `${consumer} ${stream} ${unread}`)
          .join(', ')}`,
      );
  }
}

test(`killed ${ROUNDS} times: nothing acknowledged is lost, nothing is doubled, order holds`, async () => {
  console.log(`crash seed ${SEED}`);
  await gateway.start();
  const { operator } = gateway;
  const services = [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_RESULT];
  const oins: Record<string, string> = {};
  for (const [name, role] of [
    ['las', Role.ROLE_ADMINISTRATION],
    ['publisher', Role.ROLE_PUBLISHER],
    ['platform', Role.ROLE_PLATFORM],
  ] as const) {
    oins[name] = newOin();
    keys[name] = (await operator.addParty({ party: { oin: oins[name], name, roles: [role] } })).apiKey;
    await operator.grantMandate({ mandate: { schoolOin: school, partyOin: oins[name], services }, confirm: true });
  }
  const products = new Ledger<object>();
  products.sent.push({ reference: 'p', product: { productId: BOOK, title: 'Wilg', platformOin: oins['platform'] } });
  expect(await products.stream(() => as('publisher').catalogue.publishProducts() as never)).toBe(true);

  const rosters = new Ledger<object>();
  const grants = new Ledger<object>();
  const results = new Ledger<object>();
  rosters.sent.push(roster('roster-0', LEARNERS));
  expect(await rosters.stream(() => as('las').rosters.pushRoster() as never)).toBe(true);
  const orders: { orderId: string; flowId?: string }[] = [];
  const watchers = {
    entitlements: new Watcher(),
    placed: new Watcher(),
    results: new Watcher(),
    joined: new Watcher(),
  } as Record<string, Watcher<any>>;
  const open = () => {
    watchers['entitlements']!.open((request) => as('platform').entitlements.watchEntitlements(request) as never);
    watchers['placed']!.open((request) => as('publisher').orders.watchOrders(request) as never);
    watchers['results']!.open((request) => as('las').results.watchResults(request) as never);
    watchers['joined']!.open((request) => as('platform').rosters.watchRosters(request) as never);
  };
  const close = () => {
    for (const { call } of Object.values(watchers)) call?.cancel();
  };

  let unacknowledged = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    // New work, behind what the last kill left unacknowledged, under the same references.
    if (round < ROUNDS) {
      for (let i = 0; i < PER_ROUND; i++) {
        const n = grants.sent.length;
        grants.sent.push({
          reference: `g-${n}`,
          schoolOin: school,
          holder: { learner: { eckId: eckId(1 + (n % LEARNERS)) } },
          terms: { entitlementId: `e-${n}`, productId: BOOK, startsOn: '2026-08-01', endsOn: '2027-07-31' },
        });
        results.sent.push({
          reference: `r-${n}`,
          schoolOin: school,
          result: {
            resultId: `r-${n}`,
            learner: { eckId: eckId(1 + (n % LEARNERS)) },
            productId: BOOK,
            kind: ResultKind.RESULT_KIND_INTERIM,
            payload: { activityId: `a-${n}`, score: n, scoreMax: 1e6, takenAt: '2026-11-20' },
          },
        });
      }
      rosters.sent.push(roster(`roster-${round + 1}`, LEARNERS + round + 1));
      for (let i = 0; i < 10; i++) orders.push({ orderId: `o-${orders.length}` });
    }
    open();
    const place = async (order: (typeof orders)[number]) => {
      const { flowId } = await as('las').orders.placeOrder({
        reference: `ref-${order.orderId}`,
        orderId: order.orderId,
        schoolOin: school,
        lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 } }],
      });
      if (order.flowId) expect(flowId).toBe(order.flowId);
      order.flowId = flowId;
    };
    const streams = [
      () => grants.stream(() => as('publisher').entitlements.grantEntitlements() as never),
      () => results.stream(() => as('platform').results.returnResults() as never),
      () => rosters.stream(() => as('las').rosters.pushRoster() as never),
    ];
    const work = Promise.all([
      ...streams.map((stream) => stream()),
      (async () => {
        // Also what was answered before is sent once more: its answer must be the same.
        for (const order of orders.slice(-15)) await place(order).catch(() => undefined);
      })(),
    ]);
    if (round < ROUNDS) {
      await Promise.race([work, sleep(20 + next() * 1_200)]);
      await gateway.kill();
      await work;
      close();
      unacknowledged += grants.sent.length - grants.acknowledged;
      await gateway.start();
    } else {
      const whole = (await work).slice(0, 3) as boolean[];
      // As senders do: who is told that there is too much to do goes on a moment later.
      for (const [i, stream] of streams.entries())
        for (let tries = 0; !whole[i] && tries < 20; tries++) {
          expect([grants, results, rosters][i]!.broken).toMatch(/^gateway\.(overloaded|unavailable)$/);
          await sleep(1_000);
          whole[i] = await stream();
        }
      expect(whole).toEqual([true, true, true]);
    }
  }
  for (const order of orders.filter(({ flowId }) => !flowId)) {
    const { flowId } = await as('las').orders.placeOrder({
      reference: `ref-${order.orderId}`,
      orderId: order.orderId,
      schoolOin: school,
      lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 } }],
    });
    order.flowId = flowId;
  }
  await settled();
  console.log(
    `${grants.sent.length} grants, ${results.sent.length} results, ${orders.length} orders, ${rosters.sent.length} rosters; ${unacknowledged} grants were unacknowledged at a kill`,
  );

  // Every acknowledged message has its decision, once.
  const listed: string[] = [];
  for (let cursor = ''; ; ) {
    const page = await as('publisher').entitlements.listEntitlements({ schoolOin: school, limit: 1000, cursor });
    listed.push(...page.entitlements.map(({ terms, decision }) => `${terms!.entitlementId} ${decision!.outcome}`));
    cursor = page.cursor;
    if (cursor === '') break;
  }
  expect(listed.sort()).toEqual(grants.sent.map((_, n) => `e-${n} EntitlementGranted`).sort());
  for (const { orderId, flowId } of orders) {
    const { order } = await as('las').orders.getOrder({ orderId });
    expect([order!.decision!.outcome, order!.flowId, order!.lines[0]!.state]).toEqual([
      'OrderPlaced',
      flowId,
      LineState.LINE_STATE_PLACED,
    ]);
  }
  const kept: string[] = [];
  for (let cursor = ''; ; ) {
    const page = await as('platform').results.listResults({ schoolOin: school, limit: 1000, cursor });
    kept.push(...page.results.map(({ result }) => `${result!.resultId} ${result!.payload!.score}`));
    cursor = page.cursor;
    if (cursor === '') break;
  }
  expect(kept.sort()).toEqual(results.sent.map((_, n) => `r-${n} ${n}`).sort());

  // Who watched has heard everything, once, and of each learner in order.
  const heard = async (name: string, wanted: number) => {
    const { told } = watchers[name]!;
    for (const until = Date.now() + 60_000; told.length < wanted && Date.now() < until; ) await sleep(20);
    await sleep(100);
    return told;
  };
  const perLearner = (list: { learner: string; n: number }[], what: string) => {
    const all = list.map(({ n }) => n);
    expect(
      [...all].sort((a, b) => a - b),
      what,
    ).toEqual(Array.from({ length: all.length }, (_, n) => n));
    const last = new Map<string, number>();
    for (const { learner, n } of list) {
      expect(last.get(learner) ?? -1, `${what} of one learner`).toBeLessThan(n);
      last.set(learner, n);
    }
  };
  const number = (id: string): number => Number(id.split('-')[1]);
  const granted = await heard('entitlements', grants.sent.length);
  expect(granted.length).toBe(grants.sent.length);
  perLearner(
    granted.map(({ entitlement }) => ({
      learner: entitlement.holder.learner.eckId,
      n: number(entitlement.terms.entitlementId),
    })),
    'entitlements',
  );
  const returned = await heard('results', results.sent.length);
  expect(returned.length).toBe(results.sent.length);
  perLearner(
    returned.map(({ record }) => ({ learner: record.result.learner.eckId, n: number(record.result.resultId) })),
    'results',
  );
  const placed = await heard('placed', orders.length);
  expect(placed.map(({ order }) => order.orderId).sort()).toEqual(orders.map(({ orderId }) => orderId).sort());
  const joined = (await heard('joined', LEARNERS + ROUNDS)).filter(({ change }) => change === 'learner_joined');
  expect(joined.map(({ learner }) => learner.ref.eckId)).toHaveLength(LEARNERS + ROUNDS);
  expect(new Set(joined.map(({ learner }) => learner.ref.eckId)).size).toBe(LEARNERS + ROUNDS);
  close();
});
