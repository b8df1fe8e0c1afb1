/** Ways around a promise that somebody tried: each stays shut. */
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Audience, EntitlementState, LineState, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  eckId,
  Fault,
  newOin,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const BOOK = '9789000000019';
const WAIT = 5000n;
const YEAR = '2026-2027';
const school = newSchool();
const other = newSchool();
let at: TestGateway;
let las: TestParty;
let otherLas: TestParty;
let publisher: TestParty;
let rival: TestParty;
let platform: TestParty;
let stranger: TestParty;

let sequence = 0;
const fresh = (name = 'r'): string => `${name}-${++sequence}`;
const ALL = [1, 2, 3, 4, 5, 6, 7, 8] as Service[];

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    return ((await answer) as { decision?: { code: string } })?.decision?.code ?? '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
const items = async (answers: Promise<unknown[]>) =>
  ((await answers) as { refusals: { code: string; where: string }[] }[]).flatMap(({ refusals }) => refusals);
const roster = (of: string, n: number, more: object = {}) => ({
  reference: fresh(),
  rosterId: fresh(),
  last: true,
  roster: {
    schoolOin: of,
    schoolYear: YEAR,
    groups: [{ key: '7a', name: 'Zeven', yearGroup: '7' }],
    learners: Array.from({ length: n }, (_, i) => ({
      ref: { eckId: eckId(i + 1), lasKey: `key-${of}-${i + 1}` },
      person: { callName: 'Noor', familyName: 'Beuk' },
      groupKey: '7a',
      yearGroup: '7',
    })),
  },
  ...more,
});
const grant = (entitlementId: string, n: number, more: object = {}) => ({
  reference: fresh(),
  schoolOin: school,
  holder: { learner: { eckId: eckId(n) } },
  terms: { entitlementId, productId: BOOK },
  ...more,
});
const decided = async (as: TestParty, entitlementId: string, schoolOin = school) => {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    const { entitlement } = await as.entitlements.getEntitlement({ schoolOin, entitlementId });
    if (entitlement!.decision!.outcome) return entitlement!;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('never decided');
};

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  otherLas = await at.party('De Andere Lijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  rival = await at.party('Uitgeverij Es', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  stranger = await at.party('Niemand', [
    Role.ROLE_ADMINISTRATION,
    Role.ROLE_PUBLISHER,
    Role.ROLE_DISTRIBUTOR,
    Role.ROLE_PLATFORM,
    Role.ROLE_DASHBOARD,
  ]);
  for (const party of [las, publisher, rival, platform]) await at.mandate(school, party.oin, ALL);
  for (const party of [otherLas, rival, platform]) await at.mandate(other, party.oin, ALL);
  await at.mandate(school, stranger.oin, ALL, { confirm: false });
  expect(
    await items(
      sendAll(publisher.catalogue.publishProducts(), [
        { reference: fresh(), product: { productId: BOOK, title: 'Wilg', platformOin: platform.oin } },
      ]),
    ),
  ).toEqual([]);
  expect(
    await items(
      sendAll(rival.catalogue.publishProducts(), [
        { reference: fresh(), product: { productId: 'rival-1', title: 'Es' } },
      ]),
    ),
  ).toEqual([]);
  expect(await items(sendAll(las.rosters.pushRoster(), [roster(school, 3)]))).toEqual([]);
  expect(await items(sendAll(otherLas.rosters.pushRoster(), [roster(other, 3)]))).toEqual([]);
  expect(await items(sendAll(publisher.entitlements.grantEntitlements(), [grant('e-1', 1)]))).toEqual([]);
  await decided(publisher, 'e-1');
});
afterAll(() => at?.stop());

describe('a write that names no school', () => {
  // Without one there is no mandate to look for, which is not the same as needing none.
  test('is refused, whoever sends it', async () => {
    const { identity, entitlements } = stranger;
    const reference = fresh();
    expect(
      await codeOf(identity.registerLearners({ reference, learners: [{ ref: { eckId: eckId(77) } }], waitMs: WAIT })),
    ).toBe('wire.invalid');
    expect(await codeOf(identity.forgetLearner({ reference, learner: { eckId: eckId(1) } }))).toBe('wire.invalid');
    expect(await codeOf(entitlements.withdrawEntitlements({ reference, entitlementIds: ['e-1'], waitMs: WAIT }))).toBe(
      'wire.invalid',
    );
    expect(
      await codeOf(entitlements.reportUsage({ reference, entitlementId: 'e-1', day: '2026-11-20', waitMs: WAIT })),
    ).toBe('wire.invalid');
  });
});

describe('whether a learner is at a school', () => {
  test('is not told to a party whose mandate is not confirmed or has ended', async () => {
    const answer = async (n: number) => {
      const told = await stranger.flows.whyBlocked({ schoolOin: school, learner: { eckId: eckId(n) } }).catch((e) => e);
      // Of two answers in two seconds the time differs.
      told.metadata.remove('date');
      return told;
    };
    expect(await answer(999)).toEqual(await answer(1));
  });
});

describe("another party's ids", () => {
  const took = async (call: () => Promise<unknown>): Promise<number> => {
    const from = performance.now();
    await call().catch(() => undefined);
    return performance.now() - from;
  };
  test('answer as late as those that nobody has', async () => {
    // rival has a mandate here, so that only whose it is decides.
    const { flowId } = await las.orders.placeOrder({
      reference: fresh(),
      orderId: 'o-1',
      schoolOin: school,
      lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 } }],
      waitMs: WAIT,
    });
    const pairs: [string, (id: string) => Promise<unknown>, string, string][] = [
      [
        'entitlement',
        (entitlementId) => rival.entitlements.getEntitlement({ schoolOin: school, entitlementId }),
        'e-1',
        'e-no',
      ],
      ['flow', (id) => rival.flows.getFlow({ flowId: id }), flowId, '0197a000-0000-7000-8000-000000000000'],
      ['order', (orderId) => rival.orders.getOrder({ orderId }), 'o-1', 'o-no'],
    ];
    await Promise.all(
      pairs.map(async ([what, ask, theirs, nobodys]) => {
        for (let more = 4; ; more--) {
          const [a, b] = await Promise.all([took(() => ask(theirs)), took(() => ask(nobodys))]);
          const apart = Math.abs(a - b);
          // Other work on the machine sets them apart now and then; whose it is, each time.
          if (apart > 600 && more > 0) continue;
          expect(apart, `${what}: ${Math.round(a)} and ${Math.round(b)} ms`).toBeLessThan(600);
          return;
        }
      }),
    );
  });
  test('cannot be changed', async () => {
    const entitlementId = 'e-1';
    const base = { schoolOin: school, entitlementId, waitMs: WAIT };
    expect(await codeOf(rival.entitlements.reportUsage({ ...base, reference: fresh(), day: '2026-11-20' }))).toBe(
      'state.missing',
    );
    expect(await codeOf(rival.access.provisionAccess({ ...base, reference: fresh() }))).toBe('state.missing');
    expect(await codeOf(rival.access.revokeAccess({ ...base, reference: fresh() }))).toBe('state.missing');
    expect(
      await codeOf(
        rival.entitlements.withdrawEntitlements({
          reference: fresh(),
          schoolOin: school,
          entitlementIds: ['e-1'],
          waitMs: WAIT,
        }),
      ),
    ).toBe('state.missing');
    expect(
      await codeOf(
        rival.orders.confirmOrder({
          reference: fresh(),
          orderId: 'o-1',
          buyerOin: las.oin,
          outcomes: [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }],
          waitMs: WAIT,
        }),
      ),
    ).toBe('state.missing');
    expect(await codeOf(rival.orders.cancelOrder({ reference: fresh(), orderId: 'o-1', waitMs: WAIT }))).toBe(
      'state.missing',
    );
    // A product of another publisher.
    await sendAll(rival.catalogue.publishProducts(), [
      { reference: fresh(), product: { productId: BOOK, title: 'Gekaapt' } },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await las.catalogue.getProduct({ productId: BOOK })).product).toMatchObject({
      title: 'Wilg',
      publisherOin: publisher.oin,
    });
    expect((await decided(publisher, 'e-1')).state).toBe(EntitlementState.ENTITLEMENT_STATE_GRANTED);
  });
  test('a ticket of a launch is worth nothing to another platform', async () => {
    const { ticket } = await las.access
      .createLaunch({ reference: fresh(), schoolOin: school, learner: { eckId: eckId(1) }, productId: BOOK })
      .catch(() => ({ ticket: '' }));
    expect(ticket).not.toBe('');
    expect(await codeOf(rival.access.redeemLaunch({ reference: fresh(), ticket }))).toBe('state.missing');
    const redeemed = await platform.access.redeemLaunch({ reference: fresh(), ticket });
    expect(redeemed.learner?.eckId).toBe(eckId(1));
  });
});

describe('amounts', () => {
  test('as large as the wire can carry do not break progress of a school', async () => {
    const result = (n: number, payload: object) => ({
      reference: fresh(),
      schoolOin: school,
      result: {
        resultId: fresh('res'),
        learner: { eckId: eckId(n) },
        productId: BOOK,
        kind: ResultKind.RESULT_KIND_FINAL,
        payload: { activityId: fresh('act'), takenAt: '2026-11-20', ...payload },
      },
    });
    const most = 2n ** 64n - 1n;
    const many = 2 ** 32 - 1;
    const refused = await items(
      sendAll(platform.results.returnResults(), [
        result(1, { exercisesDone: many, exercisesTotal: many }),
        result(1, { secondsSpent: most }),
        result(1, { score: 1, scoreMax: Number.NaN }),
        result(1, { score: 1, scoreMax: Number.POSITIVE_INFINITY }),
        result(1, { secondsSpent: most }),
        result(1, { exercisesDone: many }),
        result(1, { exercisesDone: many }),
        result(1, { score: -1e308, scoreMax: 1e308 }),
        result(2, { score: 5, scoreMax: 10, secondsSpent: 60n }),
      ]),
    );
    expect(refused.map(({ code }) => code)).toEqual(refused.map(() => 'wire.invalid'));
    expect(refused.length).toBeGreaterThan(3);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const dashboard = await at.party('Zicht', [Role.ROLE_DASHBOARD]);
    await at.mandate(school, dashboard.oin, [Service.SERVICE_PROGRESS]);
    for (const audience of [Audience.AUDIENCE_SCHOOL, Audience.AUDIENCE_LEARNER])
      await dashboard.results.getProgress({ schoolOin: school, audience, learner: { eckId: eckId(1) } });
  });
});

describe('a bulk stream', () => {
  test('refuses an item over 256 kB by its own size, whatever is left of it when read; the stream goes on', async () => {
    // 2,000,000 empty learners, and a field that no contract knows.
    const big = Buffer.alloc(300 * 1024, 0);
    const { PushRosterRequest } = await import('#proto/eduk/gateway/v1/roster');
    const call = at.channel.makeBidiStreamRequest(
      '/eduk.gateway.v1.RosterService/PushRoster',
      (message: Buffer) => message,
      (bytes: Buffer) => bytes,
      (await import('@grpc/grpc-js')).Metadata.fromHttp2Headers({ authorization: `Bearer ${las.apiKey}` }),
    );
    const unknownField = Buffer.concat([Buffer.from([0xa2, 0x06, ...varint(big.length)]), big]);
    const { PushRosterResponse } = await import('#proto/eduk/gateway/v1/roster');
    const answers: unknown[] = [];
    const done = new Promise<void>((resolve, reject) => {
      call.on('data', (bytes: Buffer) => answers.push(PushRosterResponse.decode(bytes)));
      call.on('end', resolve).on('error', (error) => reject(new Fault(error as ServiceError)));
    });
    call.write(
      Buffer.concat([
        Buffer.from(PushRosterRequest.encode(PushRosterRequest.fromPartial(roster(school, 3))).finish()),
        unknownField,
      ]),
    );
    call.write(Buffer.from(PushRosterRequest.encode(PushRosterRequest.fromPartial(roster(school, 3))).finish()));
    call.end();
    await done;
    const refused = (answers as { refusals: { index: bigint; code: string }[] }[]).flatMap(({ refusals }) => refusals);
    expect(refused.map(({ index, code }) => [index, code])).toEqual([[0n, 'wire.too_large']]);
  });
});
const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);

test('32 streams at once draw no more from a count than it has', async () => {
  const COUNT = 100;
  await sendAll(publisher.entitlements.grantEntitlements(), [
    { reference: fresh(), schoolOin: school, terms: { entitlementId: 'pool', productId: BOOK, count: COUNT } },
  ]);
  const draws = Array.from({ length: 32 }, (_, stream) =>
    Array.from({ length: 10 }, (_, i) => ({
      reference: fresh(),
      schoolOin: school,
      holder: { learner: { eckId: eckId(10_000 + stream * 10 + i) } },
      terms: { entitlementId: `draw-${stream}-${i}`, productId: BOOK, fromEntitlementId: 'pool' },
    })),
  );
  await Promise.all(draws.map((list) => sendAll(publisher.entitlements.grantEntitlements(), list)));
  const outcomes = await Promise.all(
    draws.flat().map(async ({ terms }) => (await decided(publisher, terms.entitlementId)).decision!),
  );
  expect(outcomes.filter(({ outcome }) => outcome === 'EntitlementGranted')).toHaveLength(COUNT);
  expect(outcomes.filter(({ code }) => code === 'count.used_up')).toHaveLength(320 - COUNT);
  expect((await decided(publisher, 'pool')).taken).toBe(COUNT);
});

test('one reference sent 50 times at once is one order and one answer', async () => {
  const order = {
    reference: fresh(),
    orderId: 'fifty',
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: { eckId: eckId(1) } }],
  };
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => las.orders.placeOrder({ ...order, waitMs: i % 2 === 0 ? WAIT : 0n })),
  );
  expect(new Set(answers.map(({ flowId }) => flowId)).size).toBe(1);
  expect(new Set(answers.map(({ receipt }) => Buffer.from(receipt!.leaf).toString('hex'))).size).toBe(1);
  expect(new Set(answers.map(({ receipt }) => receipt!.acceptedMs)).size).toBe(1);
  const { flow } = await las.flows.getFlow({ flowId: answers[0]!.flowId, waitMs: WAIT });
  expect(flow!.steps.filter(({ step, service }) => step === 'OrderPlaced' && service === 'orders')).toHaveLength(1);
  const { orders } = await las.orders.listOrders({ schoolOin: school });
  expect(orders.filter(({ orderId }) => orderId === 'fifty')).toHaveLength(1);
  // The same id under another reference: nothing where it says the same, a conflict where it does not. A reference of one
  // method is none of another.
  const again = await las.orders.placeOrder({ ...order, reference: fresh(), waitMs: WAIT });
  expect(again.decision).toMatchObject({ outcome: 'OrderLinesChanged', code: '' });
  const other = { ...order, reference: fresh(), lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 2 } }] };
  expect(await codeOf(las.orders.placeOrder({ ...other, waitMs: WAIT }))).toBe('state.conflict');
  const { reference } = order;
  expect(await codeOf(las.orders.cancelOrder({ reference, orderId: 'fifty', waitMs: WAIT }))).toBe('');
});

test('what one stream sends is decided in its order, however much work each item is', async () => {
  // The vault keeps new names and seals codes, in a step of its own each: these items are slower than those behind them.
  const sent = Array.from({ length: 1_000 }, (_, i) =>
    grant(
      `in-order-${i}`,
      1,
      Math.floor(i / 200) % 2 === 0
        ? { activationCode: `CODE-${i}`, holder: { groupKey: `klas-${i}` } }
        : { holder: { groupKey: '7a' } },
    ),
  );
  expect(await items(sendAll(publisher.entitlements.grantEntitlements(), sent))).toEqual([]);
  const told = await readUntil(
    publisher.entitlements.watchEntitlements({}),
    (seen) =>
      seen.some(({ entitlement }) => entitlement?.terms?.entitlementId === 'in-order-999') && seen.length >= 1_000,
  );
  const ids = told
    .map(({ entitlement }) => entitlement!.terms!.entitlementId)
    .filter((id) => id.startsWith('in-order-'));
  expect(ids).toEqual(sent.map(({ terms }) => terms.entitlementId));
});

test('a watch of one school hears nothing of another', async () => {
  const both = await readUntil(
    platform.rosters.watchRosters({}),
    (seen) => seen.filter(({ change }) => change === 'learner_joined').length >= 6,
  );
  expect(new Set(both.map(({ schoolOin }) => schoolOin))).toEqual(new Set([school, other]));
  const one = await readUntil(
    platform.rosters.watchRosters({ schoolOin: school }),
    (seen) => seen.filter(({ change }) => change === 'learner_joined').length >= 3,
  );
  expect(new Set(one.map(({ schoolOin }) => schoolOin))).toEqual(new Set([school]));
  await expect(
    readUntil(platform.orders.watchOrders({ cursor: both[0]!.cursor }), () => false, 2000),
  ).rejects.toMatchObject({ code: 'wire.invalid' });
  void newOin;
});
