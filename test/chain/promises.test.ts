/** What is promised beside single methods: mandates and their ends, references, waiting, bulk streams, attributes, forgetting. */
import { createHash, createHmac } from 'node:crypto';
import { type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RosterLearner } from '#proto/eduk/core/v1/learner';
import { EntitlementState, LineState, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { GrantEntitlementsRequest, GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import { PlaceOrderRequest } from '#proto/eduk/gateway/v1/order';
import {
  type Clients,
  eckId,
  Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const BOOK = '9789000000019';
const YEAR = '2026-2027';
const WAIT = 5000n;
let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let platform: TestParty;
const school = newSchool();

let sequence = 0;
const fresh = (name: string): string => `${name}-${++sequence}`;

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    return ((await answer) as { decision?: { code: string } })?.decision?.code ?? '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
async function eventually<T>(ask: () => Promise<T>, right: (value: T) => boolean, ms = 60_000): Promise<T> {
  for (const until = Date.now() + ms; ; ) {
    const value = await ask();
    if (right(value) || Date.now() > until) {
      expect(right(value), `within ${ms} ms`).toBe(true);
      return value;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
interface Ack {
  through: bigint;
  receipt?: { leaf: Uint8Array; acceptedMs: bigint; rememberedUntilMs: bigint } | undefined;
  refusals: { index: bigint; code: string; where: string }[];
}
const bulk = async <Q>(call: ClientDuplexStream<Q, unknown>, ...items: Q[]): Promise<Ack[]> =>
  (await sendAll(call, items)) as Ack[];
const refusals = (answers: Ack[]) => answers.flatMap((answer) => answer.refusals);

const grant = (entitlementId: string, n: number, more: object = {}) => ({
  reference: fresh('grant'),
  schoolOin: school,
  holder: { learner: { eckId: eckId(n) } },
  terms: { entitlementId, productId: BOOK, startsOn: '2026-08-01', endsOn: '2036-07-31' },
  ...more,
});
const order = (orderId: string, more: object = {}) => ({
  reference: fresh('order'),
  orderId,
  schoolOin: school,
  lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: { eckId: eckId(1) } }],
  waitMs: WAIT,
  ...more,
});
const result = (resultId: string, n: number, more: object = {}) => ({
  reference: fresh('result'),
  schoolOin: school,
  result: {
    resultId,
    learner: { eckId: eckId(n) },
    productId: BOOK,
    kind: ResultKind.RESULT_KIND_FINAL,
    payload: { activityId: 'toets-1', score: 8, scoreMax: 10, takenAt: '2026-11-20' },
  },
  ...more,
});
const pupil = (n: number) => ({
  ref: { eckId: eckId(n), lasKey: `key-${n}` },
  person: {
    callName: `Noor${n}`,
    familyName: 'Beuk',
    givenNames: 'Eleonora Maria',
    initials: 'E.M.',
    birthDate: '2015-02-11',
    gender: '2',
    email: `noor${n}@school.example`,
    accountName: `noor${n}`,
  },
  yearGroup: '7',
  groupKey: '7a',
  siteKey: 'site-1',
  entersOn: '2026-08-01',
});
const learners = [1, 2, 3, 4].map(pupil);
const roster = () => ({
  reference: fresh('roster'),
  rosterId: fresh('roster-id'),
  last: true,
  roster: {
    schoolOin: school,
    schoolYear: YEAR,
    sites: [{ key: 'site-1', name: 'De Wilg, Dorpsstraat' }],
    groups: [{ key: '7a', name: 'Groep 7A van juf Wil', yearGroup: '7' }],
    learners,
    staff: [{ ref: { lasKey: 'm1' }, person: { callName: 'Wil', familyName: 'Wilg' }, groups: [{ key: '7a' }] }],
  },
});
const entitlement = async (as: Clients, entitlementId: string) =>
  (await as.entitlements.getEntitlement({ schoolOin: school, entitlementId })).entitlement!;
const granted = async (entitlementId: string, n: number, more: object = {}) => {
  expect(refusals(await bulk(publisher.entitlements.grantEntitlements(), grant(entitlementId, n, more)))).toEqual([]);
  return eventually(
    () => entitlement(publisher, entitlementId),
    ({ decision }) => decision!.outcome !== '',
  );
};

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_RESULT]);
  await at.mandate(school, publisher.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
  await at.mandate(school, platform.oin, [
    Service.SERVICE_ROSTER,
    Service.SERVICE_ENTITLEMENT,
    Service.SERVICE_ACCESS,
    Service.SERVICE_RESULT,
    Service.SERVICE_USAGE,
  ]);
  await bulk(publisher.catalogue.publishProducts(), {
    reference: fresh('product'),
    product: {
      productId: BOOK,
      title: 'Rekenen voor reuzen',
      accessUrl: 'https://wilg.example/reuzen',
      licence: { licensed: true },
      platformOin: platform.oin,
    },
  });
  await bulk(las.rosters.pushRoster(), roster());
  await eventually(
    () => codeOf(las.rosters.getRoster({ schoolOin: school, schoolYear: YEAR })),
    (code) => code === '',
  );
});
afterAll(() => at?.stop());

describe('mandates', () => {
  test('unconfirmed, for another service, for another school: nothing passes, and each says why', async () => {
    const party = await at.party('Wachtende', [Role.ROLE_PLATFORM, Role.ROLE_ADMINISTRATION]);
    const read = () => codeOf(party.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }));
    const write = () => codeOf(party.orders.placeOrder(order(fresh('o'))));
    expect([await read(), await write()]).toEqual(['mandate.missing', 'mandate.missing']);
    const { mandateId } = await at.mandate(school, party.oin, [Service.SERVICE_ROSTER], { confirm: false });
    expect([await read(), await write()]).toEqual(['mandate.unconfirmed', 'mandate.missing']);
    await at.operator.changeMandate({ mandateId, change: 'confirm' });
    expect([await read(), await write()]).toEqual(['', 'mandate.missing']);
    expect(await codeOf(party.orders.placeOrder(order(fresh('o'), { schoolOin: newSchool() })))).toBe('state.missing');
  });

  test('ended: within 5 s senders, reads and an open watch stop; after a new mandate the rows come, in order', async () => {
    const party = await at.party('Overstapper', [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER]);
    const seller = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
    await at.mandate(school, seller.oin, [Service.SERVICE_ENTITLEMENT]);
    const services = [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ROSTER, Service.SERVICE_RESULT];
    const { mandateId } = await at.mandate(school, party.oin, services);
    const book = fresh('boek');
    await bulk(party.catalogue.publishProducts(), {
      reference: fresh('product'),
      product: { productId: book, title: 'Overstappen', licence: { licensed: true } },
    });
    const terms = (entitlementId: string) => ({ terms: { entitlementId, productId: book } });
    const ids = [fresh('e'), fresh('e'), fresh('e'), fresh('e')] as const;
    const seen: string[] = [];
    const watch = party.entitlements.watchEntitlements({});
    watch.on('data', ({ entitlement }: { entitlement: { terms: { entitlementId: string } } }) =>
      seen.push(entitlement.terms.entitlementId),
    );
    watch.on('error', () => undefined); // Cancelled below.
    await bulk(seller.entitlements.grantEntitlements(), grant('', 2, terms(ids[0])));
    await eventually(
      async () => seen,
      (all) => all.includes(ids[0]),
    );
    const stopped = Date.now();
    await at.operator.changeMandate({ mandateId, change: 'stop' });
    await eventually(
      () => codeOf(party.rosters.getRoster({ schoolOin: school, schoolYear: YEAR })),
      (code) => code === 'mandate.ended',
    );
    expect(refusals(await bulk(party.results.returnResults(), result(fresh('r'), 1)))).toMatchObject([
      { index: 0n, code: 'mandate.ended' },
    ]);
    expect(Date.now() - stopped).toBeLessThan(5000);
    for (const id of ids.slice(1, 3)) await bulk(seller.entitlements.grantEntitlements(), grant('', 2, terms(id)));
    await eventually(
      () => entitlement(seller, ids[2]),
      ({ decision }) => decision!.outcome === 'EntitlementGranted',
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(seen).toEqual([ids[0]]);
    await at.mandate(school, party.oin, services);
    await bulk(seller.entitlements.grantEntitlements(), grant('', 2, terms(ids[3])));
    await eventually(
      async () => seen,
      (all) => all.length >= 4,
    );
    expect(seen).toEqual([...ids]);
    watch.cancel();
  });

  test('run-off: no fresh orders or grants; results, usage and withdrawals go on until its last day', async () => {
    const party = await at.party('Uitloper', [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER, Role.ROLE_ADMINISTRATION]);
    const { mandateId } = await at.mandate(school, party.oin, [
      Service.SERVICE_ORDER,
      Service.SERVICE_ENTITLEMENT,
      Service.SERVICE_RESULT,
      Service.SERVICE_USAGE,
    ]);
    const book = fresh('boek');
    await bulk(party.catalogue.publishProducts(), {
      reference: fresh('product'),
      product: { productId: book, title: 'Uitlopen', licence: { licensed: true } },
    });
    const terms = { productId: book, startsOn: '2026-08-01', endsOn: '2036-07-31' };
    const grants = [fresh('e'), fresh('e')].map((entitlementId) =>
      grant('', 3, { terms: { ...terms, entitlementId } }),
    );
    await bulk(party.entitlements.grantEntitlements(), ...grants);
    await eventually(
      () => entitlement(party, grants[1]!.terms.entitlementId),
      ({ decision }) => decision!.outcome === 'EntitlementGranted',
    );
    const until = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
    await at.operator.changeMandate({ mandateId, change: 'run_off', runOffUntil: until });
    expect(await codeOf(party.orders.placeOrder(order(fresh('o'))))).toBe('mandate.ended');
    expect(refusals(await bulk(party.entitlements.grantEntitlements(), grant(fresh('e'), 3)))).toMatchObject([
      { code: 'mandate.ended' },
    ]);
    expect(refusals(await bulk(party.results.returnResults(), result(fresh('r'), 3)))).toEqual([]);
    const about = { schoolOin: school, waitMs: WAIT };
    expect(
      await codeOf(
        party.entitlements.reportUsage({
          reference: fresh('use'),
          entitlementId: grants[0]!.terms.entitlementId,
          day: '2026-11-20',
          ...about,
        }),
      ),
    ).toBe('');
    expect(
      await codeOf(
        party.entitlements.withdrawEntitlements({
          reference: fresh('back'),
          entitlementIds: [grants[1]!.terms.entitlementId],
          ...about,
        }),
      ),
    ).toBe('');
  });

  test("a board grants for its schools; a school's mandate id follows from giver and reference", async () => {
    const board = await at.party('Stichting Bos', [Role.ROLE_BOARD]);
    const ownSchool = newSchool();
    await at.operator.addParty({
      party: { oin: ownSchool, name: 'De Es', roles: [Role.ROLE_SCHOOL], boardOin: board.oin },
    });
    const party = await at.party('Meelezer', [Role.ROLE_PLATFORM]);
    const asked = {
      reference: fresh('mandate'),
      schoolOin: ownSchool,
      partyOin: party.oin,
      services: [Service.SERVICE_ROSTER],
    };
    const given = await board.parties.grantMandate(asked);
    const digest = createHash('sha256').update(`${board.oin}|${asked.reference}`).digest('hex');
    expect(given.mandateId).toBe(`m-${digest.slice(0, 24)}`);
    expect(await codeOf(party.rosters.getRoster({ schoolOin: ownSchool }))).toBe('state.missing'); // No roster yet.
    expect(await board.parties.grantMandate(asked)).toEqual(given);
    expect(await codeOf(board.parties.grantMandate({ ...asked, schoolOin: school }))).toBe('state.missing');
    await board.parties.withdrawMandate({
      reference: fresh('withdraw'),
      schoolOin: ownSchool,
      mandateId: given.mandateId,
    });
    expect(await codeOf(party.rosters.getRoster({ schoolOin: ownSchool }))).toBe('mandate.ended');
  });
});

describe('references', () => {
  const sent = order('o-ref');
  let first: Awaited<ReturnType<Clients['orders']['placeOrder']>>;

  test('the same content has the same answer, other content conflicts, and wait_ms is no content', async () => {
    first = await las.orders.placeOrder(sent);
    expect(await las.orders.placeOrder(sent)).toEqual(first);
    expect(await las.orders.placeOrder({ ...sent, waitMs: 0n })).toMatchObject({
      flowId: first.flowId,
      receipt: first.receipt,
    });
    expect(await codeOf(las.orders.placeOrder({ ...sent, expected: true }))).toBe('state.conflict');
    // Unique per party and method: another method may use it, and so may another party.
    expect(await codeOf(las.orders.cancelOrder({ reference: sent.reference, orderId: 'o-ref', waitMs: WAIT }))).toBe(
      '',
    );
    expect(
      (await publisher.orders.listOrders({ limit: 1000 })).orders.filter(({ orderId }) => orderId === 'o-ref'),
    ).toHaveLength(1);
  });

  test('a refusal is not remembered', async () => {
    const party = await at.party('Herkanser', [Role.ROLE_ADMINISTRATION]);
    const asked = order(fresh('o'));
    expect(await codeOf(party.orders.placeOrder(asked))).toBe('mandate.missing');
    await at.mandate(school, party.oin, [Service.SERVICE_ORDER]);
    expect(await codeOf(party.orders.placeOrder(asked))).toBe('');
  });

  test('a receipt can be checked by who holds the message', async () => {
    const bytes = PlaceOrderRequest.encode(PlaceOrderRequest.fromPartial({ ...sent, waitMs: 0n })).finish();
    const { leaf, salt } = first.receipt!;
    expect(Buffer.from(leaf)).toEqual(createHmac('sha256', salt).update(bytes).digest());
  });

  test('over a restart: the same answers, and watches go on where they were', async () => {
    const bulkSent = [grant(fresh('e'), 1), grant(fresh('e'), 2)];
    const answered: Ack[] = [];
    for (const item of bulkSent) answered.push(...(await bulk(publisher.entitlements.grantEntitlements(), item)));
    const second = order(fresh('o'));
    await las.orders.placeOrder(second);
    const before = await readUntil(
      publisher.orders.watchOrders({}),
      (all) => all.at(-1)!.order!.orderId === second.orderId,
    );
    await at.restart();
    const again = (party: TestParty) => Object.assign(party, at.as(`Bearer ${party.apiKey}`));
    for (const party of [las, publisher, platform]) again(party);
    expect(await las.orders.placeOrder(sent)).toEqual(first);
    expect(await codeOf(las.orders.placeOrder({ ...sent, expected: true }))).toBe('state.conflict');
    for (const [i, item] of bulkSent.entries())
      expect(await bulk(publisher.entitlements.grantEntitlements(), item)).toEqual([answered[i]]);
    const third = order(fresh('o'));
    await las.orders.placeOrder(third);
    for (const [from, expected] of [
      [0, [...before.slice(1).map((m) => m.order!.orderId), third.orderId]],
      [before.length - 1, [third.orderId]],
    ] as const) {
      const seen = await readUntil(
        publisher.orders.watchOrders({ cursor: before[from]!.cursor }),
        (all) => all.at(-1)!.order!.orderId === third.orderId,
      );
      expect(seen.map((m) => m.order!.orderId)).toEqual(expected);
    }
  });
});

describe('accepted, not yet decided', () => {
  test('an order for an unknown product is shown without a decision, says what it waits for, and is woken', async () => {
    const book = fresh('boek');
    const asked = order(fresh('o'), {
      waitMs: 300n,
      lines: [{ terms: { lineId: '1', productId: book, quantity: 1 }, learner: { eckId: eckId(1) } }],
    });
    const began = Date.now();
    const answer = await las.orders.placeOrder(asked);
    expect(answer.decision).toMatchObject({ outcome: '' });
    expect(Date.now() - began).toBeGreaterThanOrEqual(290);
    for (const named of [{ orderId: asked.orderId }, { reference: asked.reference }])
      expect((await las.orders.getOrder(named)).order).toMatchObject({
        orderId: asked.orderId,
        flowId: answer.flowId,
        decision: { outcome: '' },
      });
    expect((await las.flows.getFlow({ reference: asked.reference })).flow).toMatchObject({
      state: 'waiting',
      ended: false,
    });
    const why = await las.flows.whyBlocked({ schoolOin: school, orderId: asked.orderId });
    expect(why.blockers[0]).toMatchObject({ code: 'product.unknown', productId: book });
    const waiting = las.flows.getFlow({ reference: asked.reference, waitMs: 10_000n });
    await bulk(publisher.catalogue.publishProducts(), {
      reference: fresh('product'),
      product: { productId: book, title: 'Eindelijk', licence: { licensed: true } },
    });
    expect((await waiting).flow).toMatchObject({ state: 'decided' });
    expect((await las.orders.getOrder({ orderId: asked.orderId })).order).toMatchObject({
      decision: { outcome: 'OrderPlaced' },
      lines: [{ state: LineState.LINE_STATE_PLACED }],
    });
  });

  test('a grant for an unknown product, by its reference', async () => {
    const book = fresh('boek');
    const asked = grant('', 1, { terms: { entitlementId: fresh('e'), productId: book } });
    await bulk(publisher.entitlements.grantEntitlements(), asked);
    const get = () => publisher.entitlements.getEntitlement({ schoolOin: school, reference: asked.reference });
    expect((await get()).entitlement!.decision!.outcome).toBe('');
    await bulk(publisher.catalogue.publishProducts(), {
      reference: fresh('product'),
      product: { productId: book, title: 'Eindelijk', licence: { licensed: true } },
    });
    await eventually(get, ({ entitlement }) => entitlement!.decision!.outcome === 'EntitlementGranted');
  });

  test('wait_ms outside its bounds is refused', async () => {
    for (const waitMs of [-1n, 30_001n]) {
      expect(await codeOf(las.orders.placeOrder(order(fresh('o'), { waitMs })))).toBe('wire.invalid');
      expect(await codeOf(las.flows.getFlow({ reference: 'o-ref', waitMs }))).toBe('wire.invalid');
    }
  });
});

describe('bulk streams', () => {
  const H = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
  const root = (hashes: readonly Uint8Array[]): Uint8Array => {
    if (hashes.length === 1) return hashes[0]!;
    const split = 2 ** Math.floor(Math.log2(hashes.length - 1));
    return H(Uint8Array.of(1), root(hashes.slice(0, split)), root(hashes.slice(split)));
  };

  test("a refused item in the middle ends nothing; a group's receipt is the tree over its items", async () => {
    const items = Array.from({ length: 450 }, (_, i) =>
      grant(fresh('e'), 1 + (i % 4), i === 7 || i === 333 ? { terms: { productId: BOOK } } : {}),
    );
    const answers = await bulk(publisher.entitlements.grantEntitlements(), ...items);
    expect(answers.at(-1)!.through).toBe(449n);
    expect(refusals(answers)).toMatchObject([
      { index: 7n, code: 'wire.invalid', where: 'terms.entitlement_id' },
      { index: 333n, code: 'wire.invalid', where: 'terms.entitlement_id' },
    ]);
    // A group of one item tells the hash of its leaf, so a repeat one by one gives the leaves of all trees.
    let from = 0;
    for (const { through, receipt } of answers.slice(0, 2)) {
      const hashes: Uint8Array[] = [];
      for (let i = from; i <= Number(through); i++)
        if (i !== 7 && i !== 333)
          hashes.push((await bulk(publisher.entitlements.grantEntitlements(), items[i]!))[0]!.receipt!.leaf);
      expect(Buffer.from(receipt!.leaf)).toEqual(Buffer.from(root(hashes)));
      from = Number(through) + 1;
    }
    const conflicting = { ...items[0]!, terms: { ...items[0]!.terms, endsOn: '2030-07-31' } };
    expect(
      refusals(await bulk(publisher.entitlements.grantEntitlements(), items[1]!, conflicting, items[2]!)),
    ).toMatchObject([{ index: 1n, code: 'state.conflict', where: 'reference' }]);
  });

  test('bytes that are no message are one refusal', async () => {
    const answers: { through: bigint; refusals: { index: bigint; code: string }[] }[] = await new Promise(
      (resolve, reject) => {
        const raw = at.channel.makeBidiStreamRequest(
          '/eduk.gateway.v1.EntitlementService/GrantEntitlements',
          (bytes: Uint8Array) => Buffer.from(bytes),
          (bytes: Buffer) => GrantEntitlementsResponse.decode(bytes),
          metadataOf(publisher),
        );
        const seen: GrantEntitlementsResponse[] = [];
        raw.on('data', (message: GrantEntitlementsResponse) => seen.push(message));
        raw.on('error', reject);
        raw.on('end', () => resolve(seen));
        const good = () => GrantEntitlementsRequest.encode(GrantEntitlementsRequest.fromPartial(grant(fresh('e'), 1)));
        raw.write(good().finish());
        raw.write(Uint8Array.of(0xff, 0xff, 0xff));
        raw.write(good().finish());
        raw.end();
      },
    );
    expect(answers.at(-1)!.through).toBe(2n);
    expect(answers.flatMap((answer) => answer.refusals)).toMatchObject([{ index: 1n, code: 'wire.unreadable' }]);
  });

  test('unary bytes that are no message: wire.unreadable', async () => {
    const code = await new Promise((resolve) =>
      at.channel.makeUnaryRequest(
        '/eduk.gateway.v1.OrderService/PlaceOrder',
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes: Buffer) => bytes,
        Uint8Array.of(0xff, 0xff, 0xff),
        metadataOf(las),
        (error) => resolve(error?.metadata.get('eduk-fault')[0]),
      ),
    );
    expect(code).toBe('wire.unreadable');
  });
});

describe('watches', () => {
  test('a reader that lags for a while misses nothing and sees nothing twice', async () => {
    const items = Array.from({ length: 600 }, (_, i) => ({
      reference: fresh('product'),
      product: { productId: `lang-${i}`, title: `Lang ${i}`, description: 'x'.repeat(4000) },
    }));
    expect(refusals(await bulk(publisher.catalogue.publishProducts(), ...items))).toEqual([]);
    await eventually(
      () => codeOf(las.catalogue.getProduct({ productId: 'lang-599' })),
      (code) => code === '',
    );
    const call = las.catalogue.watchProducts({});
    const seen: string[] = [];
    call.on('error', () => undefined); // Cancelled below.
    call.on('data', ({ product }: { product: { productId: string } }) => {
      seen.push(product.productId);
      if (seen.length % 150 !== 0) return;
      call.pause();
      setTimeout(() => call.resume(), 400);
    });
    await eventually(
      async () => seen,
      (all) => all.filter((id) => id.startsWith('lang-')).length >= 600,
    );
    call.cancel();
    expect(seen.filter((id) => id.startsWith('lang-')).sort()).toEqual(
      items.map(({ product }) => product.productId).sort(),
    );
  });

  test('a gateway that stops says so to who watches, and does not wait for them', async () => {
    const other = await startTestGateway();
    const party = await other.party('Kijker', [Role.ROLE_PLATFORM]);
    for (let more = 2; ; more--) {
      const call = other.as(`Bearer ${party.apiKey}`).catalogue.watchProducts({});
      const ended = new Promise<Fault>((resolve) => call.on('error', (error) => resolve(new Fault(error as never))));
      call.resume();
      await new Promise((resolve) => setTimeout(resolve, 200));
      const began = Date.now();
      await other.gateway.stop();
      expect((await ended).code).toBe('gateway.stopping');
      const took = Date.now() - began;
      // It would wait for 3 s each time, and other programs have the machine for so long only now and then.
      if (took > 2_500 && more > 0) {
        await other.restart();
        continue;
      }
      expect(took).toBeLessThan(2_500);
      break;
    }
    await other.stop();
  });
});

describe('attributes', () => {
  const seenBy = async (attributes: string[]) => {
    const party = await at.party('Kijker', [Role.ROLE_PLATFORM]);
    await at.mandate(school, party.oin, [Service.SERVICE_ROSTER], { attributes });
    const { roster } = await party.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
    const joins = pupil(100 + sequence);
    const watching = readUntil(party.rosters.watchRosters({}), (all) => all.at(-1)!.change === 'learner_joined');
    await las.identity.registerLearners({
      reference: fresh('learners'),
      schoolOin: school,
      schoolYear: YEAR,
      learners: [joins],
      waitMs: WAIT,
    });
    // A watch shows what an answer shows.
    expect(filled((await watching).at(-1)!.learner!)).toEqual(filled(roster!.learners[0]!));
    return { roster: roster! };
  };
  /** Names of the fields that hold something. */
  const filled = ({ ref, person, ...rest }: RosterLearner) =>
    Object.entries({ ...ref, ...person, ...rest })
      .filter(([, value]) => (Array.isArray(value) ? value.length > 0 : value))
      .map(([name]) => name)
      .sort();

  test('only eck_id: nothing else', async () => {
    const { roster } = await seenBy(['eck_id']);
    expect(roster.learners.length).toBeGreaterThanOrEqual(learners.length);
    for (const one of roster.learners) expect(filled(one)).toEqual(['eckId']);
    expect([roster.groups, roster.staff, roster.sites]).toEqual([[], [], []]);
  });

  test('without a list: the Smalle set', async () => {
    const { roster } = await seenBy([]);
    expect(filled(roster.learners[0]!)).toEqual(
      ['birthDate', 'callName', 'eckId', 'familyName', 'groupKey', 'lasKey', 'yearGroup'].sort(),
    );
    expect(roster.groups).toMatchObject([{ key: '7a', name: 'Groep 7A van juf Wil' }]);
    expect(roster.staff).toMatchObject([{ person: { callName: 'Wil', familyName: 'Wilg' }, groups: [{ key: '7a' }] }]);
    expect(roster.sites).toEqual([]);
  });

  test('with eck_id and year_group: no group keys or names', async () => {
    const { roster } = await seenBy(['eck_id', 'year_group']);
    expect(JSON.stringify(roster)).not.toMatch(/7a|7A|Wilg|key-/);
    expect(filled(roster.learners[0]!)).toEqual(['eckId', 'yearGroup']);
  });

  test('an order shows its seller what the mandate for orders names, and no more', async () => {
    const id = fresh('o');
    await las.orders.placeOrder(order(id));
    const { order: shown } = await publisher.orders.getOrder({ orderId: id });
    expect(shown!.lines[0]!.line!.learner).toEqual({ eckId: eckId(1), lasKey: '' });
  });
});

describe('forgetting', () => {
  test('within 72 hours: routes are closed, and what comes for the learner is refused or waits', async () => {
    const id = fresh('e');
    await granted(id, 3);
    await las.identity.forgetLearner({
      reference: fresh('forget'),
      schoolOin: school,
      learner: { eckId: eckId(3) },
      waitMs: WAIT,
    });
    await eventually(
      () => entitlement(publisher, id),
      ({ state }) => state === EntitlementState.ENTITLEMENT_STATE_WITHDRAWN,
    );
    expect((await entitlement(publisher, id)).holder?.learner?.eckId ?? '').toBe('');
    const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
    expect(roster!.learners.map(({ ref }) => ref!.eckId)).not.toContain(eckId(3));
    const later = grant(fresh('e'), 3);
    expect(refusals(await bulk(publisher.entitlements.grantEntitlements(), later))).toEqual([]);
    expect((await publisher.flows.getFlow({ reference: later.reference, waitMs: WAIT })).flow).toMatchObject({
      state: 'refused',
      steps: expect.arrayContaining([expect.objectContaining({ step: 'GrantRefused', code: 'learner.unknown' })]),
    });
    const work = result(fresh('r'), 3);
    expect(refusals(await bulk(platform.results.returnResults(), work))).toEqual([]);
    expect((await platform.flows.getFlow({ reference: work.reference, waitMs: WAIT })).flow!.state).toBe('refused');
    const { results } = await las.results.listResults({ schoolOin: school, limit: 1000 });
    expect(results.map((one) => one.result!.learner!.eckId)).not.toContain(eckId(3));
  });

  test('taken back: nothing was lost, and what comes next works; who receives is told of both', async () => {
    const [held, ordered, did] = [fresh('e'), fresh('o'), fresh('r')];
    const learner = { eckId: eckId(5) };
    const register = {
      reference: fresh('five'),
      schoolOin: school,
      schoolYear: YEAR,
      learners: [pupil(5)],
      waitMs: WAIT,
    };
    expect((await las.identity.registerLearners(register)).refusals).toEqual([]);
    await granted(held, 5);
    const line = { terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner };
    await las.orders.placeOrder(order(ordered, { lines: [line] }));
    await bulk(platform.results.returnResults(), result(did, 5));
    const resultIds = async () =>
      (await las.results.listResults({ schoolOin: school, limit: 1000 })).results.map((one) => one.result!.resultId);
    await eventually(resultIds, (ids) => ids.includes(did));
    await las.identity.forgetLearner({ reference: fresh('forget'), schoolOin: school, learner, waitMs: WAIT });
    await eventually(resultIds, (ids) => !ids.includes(did));
    const { decision } = await at.operator.keepLearner({ schoolOin: school, learner });
    expect(decision).toMatchObject({ outcome: 'LearnerKept', code: '' });
    await eventually(
      () => entitlement(publisher, held),
      ({ state, holder }) =>
        state === EntitlementState.ENTITLEMENT_STATE_GRANTED && holder?.learner?.eckId === learner.eckId,
    );
    await eventually(resultIds, (ids) => ids.includes(did));
    const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
    expect(roster!.learners.map(({ ref }) => ref!.eckId)).toContain(learner.eckId);
    await eventually(
      () => publisher.orders.getOrder({ orderId: ordered }),
      (found) => found.order!.lines[0]!.line!.learner?.eckId === learner.eckId,
    );
    // What comes next is taken, and delivered.
    const [next, later] = [fresh('e'), fresh('r')];
    await granted(next, 5);
    expect(refusals(await bulk(platform.results.returnResults(), result(later, 5)))).toEqual([]);
    await eventually(resultIds, (ids) => ids.includes(later));
    const launch = { reference: fresh('launch'), schoolOin: school, learner, productId: BOOK };
    expect(await codeOf(platform.access.createLaunch(launch))).toBe('');
    const told = await readUntil(publisher.entitlements.watchEntitlements({}), (rows) =>
      rows.some((row: any) => row.entitlement?.terms?.entitlementId === next),
    );
    expect(
      told
        .filter((row: any) => row.entitlement?.terms?.entitlementId === held)
        .map((row: any) => [row.change, row.cause])
        .slice(-2),
    ).toEqual([
      ['changed', 'forgotten'],
      ['granted', ''],
    ]);
    // Whom to close, and perhaps to forget, is named to those who know it by its number; then it is there again.
    const ofHer = (rows: any[]) => rows.filter(({ learner: one }) => one?.ref?.eckId === learner.eckId);
    const seen = await readUntil(platform.rosters.watchRosters({}), (rows) => {
      const last = ofHer(rows).slice(-2);
      return last[0]?.change === 'learner_forgotten' && last[1]?.change === 'learner_joined';
    });
    expect(ofHer(seen).at(-2)!.learner.person).toBeUndefined();
    // A second time there is nothing to take back.
    expect((await at.operator.keepLearner({ schoolOin: school, learner })).decision!.code).toBe('state.missing');
  });

  test('now: afterwards the same ECK iD is a new learner', async () => {
    const id = fresh('e');
    await granted(id, 4);
    await bulk(platform.results.returnResults(), result('r-forgotten', 4));
    await eventually(
      () => las.results.listResults({ schoolOin: school, limit: 1000 }),
      ({ results }) => results.some((one) => one.result!.resultId === 'r-forgotten'),
    );
    await at.operator.forgetLearner({ schoolOin: school, learner: { eckId: eckId(4) }, now: true });
    const list = () => publisher.entitlements.listEntitlements({ schoolOin: school, learner: { eckId: eckId(4) } });
    expect(await codeOf(list())).toBe('learner.unknown');
    const { results } = await las.results.listResults({ schoolOin: school, limit: 1000 });
    expect(results.map((one) => one.result!.resultId)).not.toContain('r-forgotten');
    const anew = fresh('e');
    await granted(anew, 4);
    expect((await list()).entitlements.map(({ terms }) => terms!.entitlementId)).toEqual([anew]);
    expect(
      await codeOf(at.operator.forgetLearner({ schoolOin: school, learner: { eckId: eckId(99) }, now: true })),
    ).toBe('learner.unknown');
  });
});

function metadataOf(party: TestParty): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${party.apiKey}`);
  return metadata;
}
