/**
 * Why a pupil has no material: ten planted causes, each asked by order, by product and by learner, of the school's own
 * door and the operator's. The answer names the last step, the code, the party that must act and the remedy; once that is
 * done, nothing blocks any more.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, type Fault as Code, dutchDay } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { Blocker, WhyBlockedRequest, WhyBlockedResponse } from '#proto/eduk/gateway/v1/flow';
import { edexml } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { expectTold, refusedCall } from './told.ts';

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let other: TestParty;
let school: TestParty;
let next = 0;

const forSeller: Service[] = [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS];
const forLas = [Service.SERVICE_ROSTER, Service.SERVICE_ORDER];

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  other = await at.party('Een ander', [Role.ROLE_PUBLISHER]);
});
afterAll(() => at?.stop());

/** One school, one product, one pupil, one order: of its own, so that no cause stands beside another. */
interface Case {
  school: TestParty;
  oin: string;
  productId: string;
  orderId: string;
  n: number;
  ref: { eckId: string };
}

async function aSchool(): Promise<Case> {
  const n = ++next;
  const oin = newSchool();
  school = await at.party(`Basisschool ${n}`, [Role.ROLE_SCHOOL], oin);
  await at.mandate(oin, las.oin, forLas);
  return { school, oin, productId: `978900000${1000 + n}`, orderId: `order-${n}`, n, ref: { eckId: eckId(9_000 + n) } };
}

const publish = (of: Case) =>
  sendAll(publisher.catalogue.publishProducts(), [
    { reference: `p-${of.n}`, product: { productId: of.productId, title: 'Rekenen', licence: { licensed: true } } },
  ]);
const place = (of: Case) =>
  las.orders.placeOrder({
    reference: of.orderId,
    orderId: of.orderId,
    schoolOin: of.oin,
    lines: [
      { terms: { lineId: '1', productId: of.productId, quantity: 1 }, learner: of.ref, sellerOin: publisher.oin },
    ],
    waitMs: 3_000n,
  });
const confirm = (of: Case) =>
  publisher.orders.confirmOrder({
    reference: `confirm-${of.n}`,
    orderId: of.orderId,
    outcomes: [{ lineId: '1', state: 2 }],
    waitMs: 5_000n,
  });
async function grant(of: Case, terms: object = {}, id = `ent-${of.n}`) {
  const acks = await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: id,
      schoolOin: of.oin,
      holder: { learner: of.ref },
      terms: { entitlementId: id, productId: of.productId, orderId: of.orderId, lineId: '1', ...terms },
    },
  ]);
  return acks.flatMap(({ refusals }) => refusals);
}
const mandate = (of: Case, services: Service[] = forSeller, confirmed = true) =>
  at.mandate(of.oin, publisher.oin, services, { confirm: confirmed });
const day = (offset: number): string => dutchDay(Date.now() + offset * 86_400_000);

/** By order, by product and by learner, as the school and as the operator. */
async function everyWay(of: Case): Promise<WhyBlockedResponse[]> {
  const asked: Partial<WhyBlockedRequest>[] = [
    { schoolOin: of.oin, orderId: of.orderId },
    { schoolOin: of.oin, productId: of.productId },
    { schoolOin: of.oin, learner: of.ref as never },
  ];
  return Promise.all(
    asked.flatMap((request) => [
      of.school.flows.whyBlocked(request as never),
      at.operator.whyBlocked(request as never),
    ]),
  );
}

async function until(what: () => Promise<void>, ms = 60_000): Promise<void> {
  for (const end = Date.now() + ms; ; await sleep(100)) {
    try {
      return await what();
    } catch (thrown) {
      if (Date.now() > end) throw thrown;
    }
  }
}

interface Expected {
  code: Code;
  lastStep: string;
  who: string;
  /** Name of the party that must act; empty where we must. */
  party: string;
  remedy: RegExp;
}

const ways = [
  'order, school',
  'order, operator',
  'product, school',
  'product, operator',
  'learner, school',
  'learner, operator',
];

async function blocks(of: Case, { code, lastStep, who, party, remedy }: Expected): Promise<void> {
  await until(async () => {
    for (const [i, answer] of (await everyWay(of)).entries()) {
      const found = answer.blockers.find((one: Blocker) => one.code === code && one.lastStep === lastStep);
      const seen = answer.blockers.map((one) => `${one.code} at ${one.lastStep}`).join(', ');
      expect(found, `asked by ${ways[i]}: ${code} at ${lastStep} among [${seen}]`).toBeDefined();
      expect({ who: found!.who, party: found!.partyName }, ways[i]).toEqual({ who, party });
      expect(found!.remedy).toMatch(remedy);
      expect(answer.blockers[0]!.code, `the first cause by ${ways[i]}: [${seen}]`).toBe(code);
      expect(answer.told).toContain(found!.remedy);
      expect(answer.told).toContain(party === '' ? 'We must act' : party);
    }
  });
}

const nothingBlocks = (of: Case): Promise<void> =>
  until(async () => {
    for (const [i, answer] of (await everyWay(of)).entries()) {
      expect({ blockers: answer.blockers, partial: answer.partial }, ways[i]).toEqual({ blockers: [], partial: false });
      const rest = 'Nothing blocks: what was ordered is granted, and the parties may have it.';
      if (!ways[i]!.startsWith('learner')) expect(answer.told, ways[i]).toBe(rest);
      else {
        expect(answer.has.length, ways[i]).toBeGreaterThan(0);
        expect(answer.told, ways[i]).toMatch(/^The learner has (1 active licence|\d+ active licences)/);
        expect(answer.told.endsWith(`can open ${answer.has.length === 1 ? 'it' : 'all of them'}. ${rest}`)).toBe(true);
      }
    }
  });

describe('ten causes', () => {
  test('a mandate that is not confirmed', async () => {
    const of = await aSchool();
    await publish(of);
    const { mandateId } = await mandate(of, forSeller, false);
    await place(of);
    await grant(of);
    await blocks(of, {
      code: 'mandate.unconfirmed',
      lastStep: 'release',
      who: 'school',
      party: `Basisschool ${of.n}`,
      remedy: /confirms the mandate/,
    });
    await at.operator.changeMandate({ mandateId, change: 'confirm' });
    await confirm(of);
    await grant(of, {}, `again-${of.n}`);
    await nothingBlocks(of);
  });

  test('a mandate that has ended', async () => {
    const of = await aSchool();
    await publish(of);
    const { mandateId } = await mandate(of);
    await place(of);
    await confirm(of);
    await grant(of);
    await nothingBlocks(of);
    await at.operator.changeMandate({ mandateId, change: 'stop' });
    await blocks(of, {
      code: 'mandate.ended',
      lastStep: 'release',
      who: 'school',
      party: `Basisschool ${of.n}`,
      remedy: /grants a new mandate/,
    });
    // What ended with it is no mandate that the party still has.
    for (const { blockers } of await everyWay(of))
      for (const { told } of blockers) expect(told).not.toContain('It has a mandate for');
    await mandate(of);
    await nothingBlocks(of);
  });

  test('a party that the operator stopped', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of);
    await place(of);
    await confirm(of);
    await grant(of);
    await nothingBlocks(of);
    await at.operator.stopParty({ oin: publisher.oin, reason: 'breach-1' });
    try {
      await blocks(of, {
        code: 'mandate.suspended',
        lastStep: 'release',
        who: 'us',
        party: '',
        remedy: /^The operator lets the party go on/,
      });
      for (const { blockers } of await everyWay(of))
        expect(blockers.some(({ code }) => code === 'mandate.ended')).toBe(false);
    } finally {
      const { apiKey, clientSecret } = await at.operator.resumeParty({ oin: publisher.oin });
      publisher = { ...publisher, apiKey, clientSecret, ...at.as(`Bearer ${apiKey}`) };
    }
    await nothingBlocks(of);
  });

  test('a mandate for another service', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
    await place(of);
    await confirm(of);
    expect(await grant(of)).toMatchObject([{ code: 'mandate.missing' }]);
    await blocks(of, {
      code: 'mandate.missing',
      lastStep: 'release',
      who: 'school',
      party: `Basisschool ${of.n}`,
      remedy: /grants a mandate for this service/,
    });
    const [answer] = await everyWay(of);
    expect(answer!.blockers[0]!.told).toMatch(
      /Uitgeverij Wilg may not have (entitlement|access).*has a mandate for [^.]*order/s,
    );
    await mandate(of, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS]);
    await grant(of, {}, `again-${of.n}`);
    await nothingBlocks(of);
  });

  test('a product that nobody published', async () => {
    const of = await aSchool();
    await mandate(of);
    await place(of);
    await blocks(of, {
      code: 'product.unknown',
      lastStep: 'OrderSubmitted',
      who: 'sender',
      party: 'De Leerlijst',
      remedy: /publishes the product/,
    });
    await publish(of);
    await confirm(of);
    await grant(of);
    await nothingBlocks(of);
  });

  test('a count that is used up', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of);
    await place(of);
    await confirm(of);
    const count = { orderId: '', lineId: '' };
    const counted = (id: string, licences: number) =>
      sendAll(publisher.entitlements.grantEntitlements(), [
        { reference: id, schoolOin: of.oin, terms: { entitlementId: id, productId: of.productId, count: licences } },
      ]);
    await counted(`count-${of.n}`, 1);
    await sendAll(publisher.entitlements.grantEntitlements(), [
      {
        reference: `first-${of.n}`,
        schoolOin: of.oin,
        holder: { learner: { eckId: eckId(9_500 + of.n) } },
        terms: {
          entitlementId: `first-${of.n}`,
          productId: of.productId,
          fromEntitlementId: `count-${of.n}`,
          ...count,
        },
      },
    ]);
    await grant(of, { fromEntitlementId: `count-${of.n}` });
    await blocks(of, {
      code: 'count.used_up',
      lastStep: 'GrantRefused',
      who: 'sender',
      party: 'Uitgeverij Wilg',
      remedy: /orders more licences/,
    });
    await counted(`more-${of.n}`, 5);
    await grant(of, { fromEntitlementId: `more-${of.n}` }, `again-${of.n}`);
    await nothingBlocks(of);
  });

  test('a roster that is held', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of);
    const pupils = Array.from({ length: 40 }, (_, i) => ({
      key: `L-${i}`,
      eckId: i === 0 ? of.ref.eckId : eckId(20_000 + of.n * 100 + i),
    }));
    const take = (asOf: string, count: number) =>
      at.operator.importRoster([
        { chunk: Buffer.from(edexml({ school: of.oin, asOf, pupils: pupils.slice(0, count) })) },
      ]);
    await take('2026-10-01', 40);
    await place(of);
    await confirm(of);
    await grant(of);
    await nothingBlocks(of);
    const { holdId } = await take('2026-10-02', 5);
    await blocks(of, {
      code: 'hold.pending',
      lastStep: 'RosterHeld',
      who: 'school',
      party: `Basisschool ${of.n}`,
      remedy: /approves or rejects/,
    });
    const [{ blockers } = { blockers: [] }] = await everyWay(of);
    expect(blockers.map(({ told }) => told)).toContain(
      'A roster of 2026-2027 of site 00 waits for approval: it seems cut off.',
    );
    await at.operator.decideHold({ holdId, approve: false });
    await nothingBlocks(of);
  });

  test('a key that is parked', async () => {
    const of = await aSchool();
    await mandate(of);
    await place(of);
    // A bit that fell over on the disk: what waits for its product cannot be read any more.
    const bytes = await tamper((state) => {
      const row = state.prepare("SELECT data FROM bus_waits WHERE consumer = 'orders' AND key = ?").get(of.oin) as {
        data: Uint8Array;
      };
      state
        .prepare("UPDATE bus_waits SET data = ? WHERE consumer = 'orders' AND key = ?")
        .run(Buffer.from('ffffffff', 'hex'), of.oin);
      return row.data;
    });
    await publish(of);
    await blocks(of, { code: 'gateway.bug', lastStep: 'orders on orders', who: 'us', party: '', remedy: /parked key/ });
    const { keys } = await at.operator.listParked({});
    expect(keys).toMatchObject([{ consumer: 'orders', key: of.oin }]);
    await tamper((state) => {
      state.prepare("UPDATE bus_parked_records SET data = ? WHERE consumer = 'orders' AND key = ?").run(bytes, of.oin);
    });
    await at.operator.retryParked({ consumer: 'orders', stream: 'orders', key: of.oin });
    await until(async () => {
      await confirm(of);
    });
    await grant(of);
    await nothingBlocks(of);
  });

  test('a grant that waits', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of);
    await place(of);
    await confirm(of);
    // Taken from a count that has not come yet.
    await grant(of, { fromEntitlementId: `pool-${of.n}` });
    await blocks(of, {
      code: 'state.missing',
      lastStep: 'GrantSubmitted',
      who: 'sender',
      party: 'Uitgeverij Wilg',
      remedy: /sender/,
    });
    await sendAll(publisher.entitlements.grantEntitlements(), [
      {
        reference: `pool-${of.n}`,
        schoolOin: of.oin,
        terms: { entitlementId: `pool-${of.n}`, productId: of.productId, count: 3 },
      },
    ]);
    await nothingBlocks(of);
  });

  test('an entitlement that has expired', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of);
    await place(of);
    await confirm(of);
    await grant(of, { startsOn: day(-30), endsOn: day(-2) });
    await blocks(of, {
      code: 'entitlement.expired',
      lastStep: 'EntitlementChanged',
      who: 'sender',
      party: 'Uitgeverij Wilg',
      remedy: /orders anew/,
    });
    await grant(of, {}, `again-${of.n}`);
    await nothingBlocks(of);
  });

  test('an entitlement that has not started', async () => {
    const of = await aSchool();
    await publish(of);
    await mandate(of);
    await place(of);
    await confirm(of);
    await grant(of, { startsOn: day(20), endsOn: day(200) });
    await blocks(of, {
      code: 'entitlement.not_started',
      lastStep: 'EntitlementGranted',
      who: 'sender',
      party: 'Uitgeverij Wilg',
      remedy: /first day|earlier start/,
    });
    const [answer] = await everyWay(of);
    expect(answer!.blockers[0]!.told).toContain(day(20));
    await grant(of, {}, `again-${of.n}`);
    await nothingBlocks(of);
  });
});

/** Changes the file while the gateway is stopped. The parties' clients are made anew. */
async function tamper<T>(change: (state: DatabaseSync) => T): Promise<T> {
  let changed: T;
  await at.restart(() => {
    const state = new DatabaseSync(join(at.folder, 'state.db'));
    changed = change(state);
    state.close();
  });
  for (const party of [las, publisher, other, school]) Object.assign(party, at.as(`Bearer ${party.apiKey}`));
  return changed!;
}

test('nothing known and nothing wrong: empty, in a sentence', async () => {
  const of = await aSchool();
  await publish(of);
  await mandate(of);
  const request = { schoolOin: of.oin, productId: of.productId };
  expect(await of.school.flows.whyBlocked(request)).toEqual({
    blockers: [],
    told: 'Nothing was ordered or granted under this.',
    has: [],
    earlier: [],
    partial: false,
  });
  // Of an order that nobody placed there is not nothing to say: it is not there.
  await expect(of.school.flows.whyBlocked({ schoolOin: of.oin, orderId: 'never' })).rejects.toMatchObject({
    code: 'state.missing',
  });
  await expect(at.operator.whyBlocked({ orderId: 'never' })).rejects.toMatchObject({ code: 'state.missing' });
  await place(of);
  await confirm(of);
  await grant(of);
  await nothingBlocks(of);
  expect(await publisher.flows.whyBlocked({ orderId: of.orderId })).toMatchObject({ blockers: [] });
});

test('a school is named by its BRIN too, and one that nobody knows is what is said to be unknown', async () => {
  const of = await aSchool();
  await publish(of);
  await mandate(of);
  const brin = brinOf(of.oin)!;
  const byBrin = { schoolOin: brin, productId: of.productId };
  for (const by of [of.school.flows, publisher.flows, at.operator])
    expect((await by.whyBlocked(byBrin)).told).toBe('Nothing was ordered or granted under this.');
  for (const asked of [{ productId: of.productId }, { productId: '9789000099999' }, { learner: of.ref }]) {
    const refused = await refusedCall(at.operator.whyBlocked({ schoolOin: newSchool(), ...asked }));
    expect(refused.all).toContain('school is not known here');
    expectTold(refused, 'state.missing', [], 'school_oin');
  }
});

test('a party learns of its own only', async () => {
  const of = await aSchool();
  await publish(of);
  const { mandateId } = await mandate(of);
  await place(of);
  // Not the order, not the school, not the learner.
  expectTold(await refusedCall(other.flows.whyBlocked({ orderId: of.orderId })), 'state.missing', [of.orderId, of.oin]);
  expectTold(
    await refusedCall(other.flows.whyBlocked({ schoolOin: of.oin, productId: of.productId })),
    'state.missing',
    [of.oin, of.productId],
  );
  expectTold(await refusedCall(other.flows.whyBlocked({ schoolOin: of.oin, learner: of.ref })), 'state.missing', [
    of.ref.eckId,
  ]);
  // A party with a mandate sees its own refusals and mandates, not those of others.
  await at.mandate(of.oin, other.oin, forSeller);
  await at.operator.changeMandate({ mandateId, change: 'stop' });
  await grant(of);
  await until(async () => {
    const mine = await publisher.flows.whyBlocked({ schoolOin: of.oin, productId: of.productId });
    expect(mine.blockers.some(({ code }) => code === 'mandate.ended')).toBe(true);
  });
  const theirs = await other.flows.whyBlocked({ schoolOin: of.oin, productId: of.productId });
  expect(theirs.blockers).toEqual([]);
  expect(JSON.stringify(theirs, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))).not.toContain(
    of.orderId,
  );
});

test('a party: its endpoint, what waits for it, whose yes is missing, and what it sent that was refused', async () => {
  const platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  const nothing = 'Nothing of this party waits, and nothing waits for it.';
  const asked = { partyOin: platform.oin };
  expect(await at.operator.whyBlocked(asked as never)).toMatchObject({ blockers: [], told: nothing });
  // Nobody listens there.
  const endpoints = [{ standard: 'webhook', url: 'http://127.0.0.1:9/hook', maxInFlight: 0, maxPerSecond: 0 }];
  await at.operator.addParty({
    party: { oin: platform.oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM], endpoints },
  });
  const [of, later] = [await aSchool(), await aSchool()];
  await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: `p-${of.n}`,
      product: { productId: of.productId, title: 'Taal', platformOin: platform.oin, licence: { licensed: true } },
    },
  ]);
  await mandate(of);
  await at.mandate(of.oin, platform.oin, forSeller);
  await at.mandate(later.oin, platform.oin, [Service.SERVICE_ENTITLEMENT], { confirm: false });
  expect(await grant(of, { orderId: '', lineId: '' })).toEqual([]);
  const seen = async (more: Partial<WhyBlockedRequest> = {}) => {
    const request = { ...asked, ...more } as never;
    return [await at.operator.whyBlocked(request), await platform.flows.whyBlocked(request)];
  };
  const unconfirmed = {
    code: 'mandate.unconfirmed',
    who: 'school',
    partyOin: later.oin,
    remedy: expect.stringContaining('The school confirms'),
  };
  const refused = { code: 'peer.unavailable', partyOin: platform.oin, lastStep: 'webhook of delivery' };
  await until(async () => {
    for (const { blockers, told } of await seen()) {
      expect(blockers).toMatchObject([unconfirmed, { ...refused, told: expect.stringContaining('gave no answer') }]);
      expect(told).toContain('There is one more cause.');
    }
  });
  for (const { blockers } of await seen({ schoolOin: of.oin })) expect(blockers).toMatchObject([refused]);

  // What waits for a mandate that ended is that school's to decide; who is stopped waits for us.
  const { mandateId } = await at.mandate(of.oin, platform.oin, [Service.SERVICE_ROSTER]);
  await at.operator.changeMandate({ mandateId, change: 'stop' });
  await at.operator.stopParty({ oin: platform.oin, reason: 'breach-2' });
  await until(async () => {
    const { blockers } = await at.operator.whyBlocked(asked as never);
    expect(blockers.map(({ code, who }) => [code, who])).toContainEqual(['mandate.suspended', 'us']);
  });

  // What it sent and nobody took.
  const lone = await at.party('Zonder mandaat', [Role.ROLE_PUBLISHER]);
  const [ack] = await sendAll(lone.entitlements.grantEntitlements(), [
    { reference: 'lone-1', schoolOin: of.oin, terms: { entitlementId: 'lone-1', productId: of.productId } },
  ]);
  expect(ack!.refusals).toHaveLength(1);
  await until(async () => {
    const { blockers } = await lone.flows.whyBlocked({ partyOin: lone.oin } as never);
    expect(blockers).toMatchObject([{ code: ack!.refusals[0]!.code, lastStep: 'door' }]);
    expect(blockers[0]!.told).toContain('was refused 1 time in a day');
  });
  // Of another party nobody is told whether it is there.
  expectTold(await refusedCall(lone.flows.whyBlocked(asked as never)), 'state.missing', [platform.oin], 'party_oin');
  expectTold(
    await refusedCall(at.operator.whyBlocked({ partyOin: '00000099999999999000' } as never)),
    'state.missing',
    [],
    'party_oin',
  );
  expectTold(await refusedCall(at.operator.whyBlocked({ ...asked, orderId: 'order-9' } as never)), 'wire.invalid', [
    'order-9',
  ]);
});

test('what cannot be answered is told', async () => {
  const of = await aSchool();
  expectTold(
    await refusedCall(of.school.flows.whyBlocked({ schoolOin: of.oin })),
    'wire.invalid',
    [of.oin],
    'order_id',
  );
  expectTold(await refusedCall(of.school.flows.whyBlocked({ productId: 'x' })), 'wire.invalid', [], 'school_oin');
  expectTold(
    await refusedCall(of.school.flows.whyBlocked({ schoolOin: of.oin, productId: 'x', orderId: 'y' })),
    'wire.invalid',
    [of.oin],
  );
  const stranger = await of.school.flows.whyBlocked({ schoolOin: of.oin, learner: { eckId: eckId(77_777) } });
  expect(stranger.blockers).toMatchObject([{ code: 'learner.unknown' }]);
});
