import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decoded, emit, flowBytes, type ServiceModule, testBench, type Unit } from '#bus';
import { newId, resultIdFor, uuidBytes } from '#kernel';
import { FindFlowsRequest, FlowsServiceDefinition, ReadNote, type RefusalNote } from '#proto/eduk/flows/v1/flows';
import { type EventName, events } from '#proto/events';
import { consumer } from './consume.ts';
import { meanings, passedOver } from './events.ts';
import { idBefore } from './find.ts';
import { begun, withAnswer, withAsked } from './flow.ts';
import { flows } from './index.ts';
import { listRefusals, noteRefusals } from './refusals.ts';
import { addScores, gathered, listScores, score } from './scores.ts';
import { type FlowTableRow, flowsTable, minutes, refusedTable, type ScoreRow } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const SELLER = '00000001000000000002';
const DAY = 86_400_000;

/** Grants what has a product, waits for it otherwise, and stumbles over `poison`. */
const grants: ServiceModule = {
  name: 'entitlements',
  tables: [],
  consumers: [
    {
      name: 'entitlements',
      streams: ['entitlements'],
      types: ['GrantSubmitted'],
      handle(record, unit) {
        const { terms } = decoded(record, 'GrantSubmitted');
        if (terms!.productId === 'poison') throw new Error('poison');
        if (terms!.productId === 'late') unit.wait('product:late', unit.now + DAY);
        emit(
          unit,
          'EntitlementGranted',
          { ...decoded(record, 'GrantSubmitted'), publisherOin: '', platformOin: '', unchanged: false },
          record.key,
        );
      },
    },
  ],
  serve: () => [],
};

const grant = (entitlementId: string, productId = 'p') => ({
  terms: { entitlementId, productId } as never,
  schoolOin: SCHOOL,
  byOin: SELLER,
});

/** Time that this thread had of a processor, milliseconds: what else the machine does is not counted. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

function setUp(...more: ServiceModule[]) {
  const bench = testBench([flows, ...more]);
  const client = bench.client(FlowsServiceDefinition);
  const get = async (flowId: string) =>
    (await client.getFlow({ flowId, partyOin: '', referenceKey: new Uint8Array(), method: '' })).flow;
  return { bench, client, get, school: { school: SCHOOL } };
}

let counted = 0;
/** As a door makes it at that moment. */
const idAt = (ms: number): string => idBefore(ms).slice(0, -12) + String(++counted).padStart(12, '0');

describe('a flow', () => {
  test('knows sender, method and subject, and its first decision', async () => {
    const { bench, get, school } = setUp(grants);
    const flowId = bench.submit('GrantSubmitted', grant('e1'), 'learner-1', school);
    expect(await get(flowId)).toMatchObject({
      partyOin: SELLER,
      method: 'EntitlementService/GrantEntitlements',
      schoolOin: SCHOOL,
      key: 'learner-1',
      subject: 'e1',
      state: 'decided',
      outcome: 'EntitlementGranted',
      code: '',
      steps: [
        { step: 'GrantSubmitted', service: 'door', state: 'done' },
        { step: 'EntitlementGranted', service: 'entitlements', state: 'done' },
      ],
    });
    expect(bench.list(flowsTable, { equals: [] })[0]!.steps).toBeUndefined();
  });

  test('a refusal has its code and our words', async () => {
    const { bench, get, school } = setUp();
    const flowId = bench.submit('OrderSubmitted', { orderId: 'o', buyerOin: SELLER }, SCHOOL, school);
    expect((await get(flowId))?.state).toBe('accepted');
    bench.submit('OrderRefused', { orderId: 'o', code: 'state.conflict', told: 'Twice.' }, SCHOOL, { flowId });
    expect(await get(flowId)).toMatchObject({
      state: 'refused',
      code: 'state.conflict',
      told: 'Twice.',
      outcome: 'OrderRefused',
      steps: [{}, { state: 'refused', code: 'state.conflict' }],
    });
  });

  test('what changed nothing is done: nobody else is told', async () => {
    const { bench, get } = setUp();
    const flowId = bench.submit('UsageSubmitted', { entitlementId: 'e' }, SCHOOL);
    bench.submit('EntitlementChanged', { unchanged: true, cause: 'used' }, 'l', { flowId });
    expect((await get(flowId))?.state).toBe('done');
  });

  test('a held roster is held until it is released; then the release is its outcome', async () => {
    const { bench, client, get } = setUp();
    const flowId = bench.submit('RosterSubmitted', { rosterId: 'r', byOin: SELLER, last: true }, SCHOOL);
    bench.submit('RosterHeld', { rosterId: 'r', holdId: 'h' }, SCHOOL, { flowId });
    expect((await client.awaitDecision({ flowId, waitMs: 0n })).flow).toMatchObject({
      state: 'held',
      code: 'hold.pending',
      outcome: 'RosterHeld',
    });
    bench.submit('RosterApplied', { rosterId: 'r' }, SCHOOL, { flowId });
    const flow = await get(flowId);
    expect(flow).toMatchObject({ state: 'decided', outcome: 'RosterApplied', code: '' });
    expect(flow?.steps.map(({ step, state }) => `${step} ${state}`)).toEqual([
      'RosterSubmitted done',
      'RosterHeld held',
      'RosterApplied done',
    ]);
  });

  test('parts of a message in one flow: decided by the last one', async () => {
    const { bench, client, get } = setUp();
    const flowId = newId();
    for (const last of [false, true]) bench.submit('RosterSubmitted', { rosterId: 'r', last }, SCHOOL, { flowId });
    bench.submit('RosterPartTaken', { rosterId: 'r' }, SCHOOL, { flowId });
    expect((await get(flowId))?.state).toBe('accepted');
    const waited = client.awaitDecision({ flowId, waitMs: 5000n });
    await Promise.resolve();
    bench.submit('RosterApplied', { rosterId: 'r' }, SCHOOL, { flowId });
    expect((await waited).flow).toMatchObject({ state: 'decided', outcome: 'RosterApplied' });
  });

  test('a message with many decisions is decided by the last, and refused only if all are', async () => {
    const { bench, get } = setUp();
    const flowId = newId();
    for (const entitlementId of ['a', 'b', 'c'])
      bench.submit('WithdrawSubmitted', { entitlementId, byOin: SELLER }, SCHOOL, { flowId });
    bench.submit('EntitlementChanged', { entitlementId: 'a' }, 'l1', { flowId });
    bench.submit('EntitlementChangeRefused', { entitlementId: 'b', code: 'state.missing' }, SCHOOL, { flowId });
    expect(await get(flowId)).toMatchObject({ state: 'accepted', outcome: 'EntitlementChanged' });
    bench.submit('EntitlementChanged', { entitlementId: 'c' }, 'l2', { flowId });
    expect(await get(flowId)).toMatchObject({ state: 'decided', code: 'state.missing' });
  });

  test('of a message that waits in part it says how many wait, of how many, until the last is decided', async () => {
    const { bench, get } = setUp();
    const flowId = newId();
    for (const entitlementId of ['a', 'b', 'c'])
      bench.submit('WithdrawSubmitted', { entitlementId, byOin: SELLER }, SCHOOL, { flowId });
    bench.submit('EntitlementChanged', { entitlementId: 'a' }, 'l1', { flowId });
    expect(await get(flowId)).toMatchObject({ state: 'accepted', changes: 3, held: 0 });
    for (const entitlementId of ['b', 'c'])
      bench.submit('EntitlementChangeHeld', { entitlementId, holdId: 'change-h' }, 'l2', { flowId });
    expect(await get(flowId)).toMatchObject({ state: 'held', changes: 3, held: 2 });
    bench.submit('EntitlementChanged', { entitlementId: 'b' }, 'l2', { flowId });
    expect(await get(flowId)).toMatchObject({ state: 'held', changes: 3, held: 1 });
    bench.submit('EntitlementChangeRefused', { entitlementId: 'c', code: 'hold.pending' }, SCHOOL, { flowId });
    expect(await get(flowId)).toMatchObject({ state: 'decided', changes: 3, held: 0 });
  });

  test('what follows is a step, at most twenty, and no decision', async () => {
    const { bench, get } = setUp(grants);
    const flowId = bench.submit('GrantSubmitted', grant('e1'), 'learner-1');
    for (let i = 0; i < 30; i++) bench.submit('EntitlementChanged', { cause: 'blocked' }, 'learner-1', { flowId });
    const flow = await get(flowId);
    expect(flow).toMatchObject({ state: 'decided', outcome: 'EntitlementGranted' });
    expect(flow!.steps).toHaveLength(22);
  });

  test('a roster of a school touches the row of its flow twice, however many learners it has', async () => {
    const { bench, get } = setUp();
    const flowId = bench.submit('RosterSubmitted', { rosterId: 'r', last: true }, SCHOOL);
    for (let i = 0; i < 50; i++) bench.submit('LearnerJoined', {}, `l${i}`, { flowId });
    expect((await get(flowId))?.steps).toHaveLength(1);
  });

  test('its events may come in any order over lanes', () => {
    const script: { name: EventName; key: string; value: object }[] = [
      { name: 'ProvisionSubmitted', key: SCHOOL, value: { entitlementId: 'e', byOin: SELLER } },
      { name: 'AccessProvisioned', key: 'learner-1', value: {} },
      { name: 'EntitlementChanged', key: 'learner-1', value: { cause: 'provisioned' } },
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(script, { minLength: 3 }), (order) => {
        const { bench } = setUp();
        const flowId = newId();
        for (const { name, key, value } of order) bench.submit(name, value, key, { flowId });
        expect(bench.get(flowsTable, flowId)).toMatchObject({
          type: 'ProvisionSubmitted',
          subject: 'e',
          outcome: 'AccessProvisioned',
          asked: 1,
          answered: 1,
        });
      }),
    );
  });

  test('an event of a timer brings no old flow back', async () => {
    const { bench, get } = setUp();
    const flowId = newId();
    bench.advance(400 * DAY);
    bench.submit('EntitlementChanged', { cause: 'expired' }, 'l', { flowId });
    expect(await get(flowId)).toBeUndefined();
  });

  test('leaves when its reference is forgotten: 35 days for a roster, 400 for an order', async () => {
    const { bench } = setUp();
    bench.submit('PartyRegistered', {}, SELLER);
    const now = bench.now();
    const idAt = (ms: number) => {
      const id = uuidBytes(newId())!;
      const view = new DataView(id.buffer);
      view.setUint32(0, Math.floor(ms / 2 ** 16));
      view.setUint16(4, ms % 2 ** 16);
      return Buffer.from(id)
        .toString('hex')
        .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    };
    const roster = bench.submit('RosterSubmitted', {}, SCHOOL, { flowId: idAt(now) });
    const order = bench.submit('OrderSubmitted', {}, SCHOOL, { flowId: idAt(now + 1) });
    bench.advance(34 * DAY);
    expect(bench.get(flowsTable, roster)).toBeDefined();
    bench.advance(3 * DAY);
    expect(bench.get(flowsTable, roster)).toBeUndefined();
    bench.advance(300 * DAY);
    expect(bench.get(flowsTable, order)).toBeDefined();
    bench.advance(70 * DAY);
    expect(bench.get(flowsTable, order)).toBeUndefined();
  });
});

describe('waiting for a decision', () => {
  test('answers as soon as it is there', async () => {
    const { bench, client } = setUp();
    const flowId = bench.submit('OrderSubmitted', { orderId: 'o' }, SCHOOL);
    const waited = client.awaitDecision({ flowId, waitMs: 10_000n });
    await Promise.resolve();
    bench.submit('OrderPlaced', { orderId: 'o' }, SCHOOL, { flowId });
    expect((await waited).flow).toMatchObject({ state: 'decided', outcome: 'OrderPlaced' });
  });

  test('says what is known when the time is over', async () => {
    const { bench, client } = setUp();
    const flowId = bench.submit('OrderSubmitted', { orderId: 'o' }, SCHOOL);
    expect((await client.awaitDecision({ flowId, waitMs: 20n })).flow).toMatchObject({
      state: 'accepted',
      outcome: '',
    });
    expect((await client.awaitDecision({ flowId: newId(), waitMs: 20n })).flow).toBeUndefined();
  });

  test('sees what waits for a product, and what is parked', async () => {
    const { bench, client, get } = setUp(grants);
    const waiting = bench.submit('GrantSubmitted', grant('e1', 'late'), 'learner-1');
    const behind = bench.submit('GrantSubmitted', grant('e2'), 'learner-1');
    const poison = bench.submit('GrantSubmitted', grant('e3', 'poison'), 'learner-2');
    const stuck = bench.submit('GrantSubmitted', grant('e4'), 'learner-2');
    for (const flowId of [waiting, behind])
      expect((await client.awaitDecision({ flowId, waitMs: 0n })).flow).toMatchObject({
        state: 'waiting',
        code: 'product.unknown',
      });
    for (const flowId of [poison, stuck])
      expect(await get(flowId)).toMatchObject({ state: 'parked', code: 'gateway.bug' });
    expect((await get(waiting))?.steps.at(-1)).toMatchObject({ state: 'waiting', service: 'entitlements' });
  });

  test('ten thousand wait, and a commit costs only those it concerns', async () => {
    const { bench, client } = setUp();
    const ids = Array.from({ length: 10_000 }, newId);
    // The one that is told may be told late.
    const waits = ids.map((flowId, i) => client.awaitDecision({ flowId, waitMs: i === 7 ? 60_000n : 2_000n }));
    await Promise.resolve();
    bench.submit('OrderSubmitted', {}, SCHOOL); // Everyone who is new looks once.
    const began = cpuMs();
    for (let i = 0; i < 50; i++) bench.submit('OrderPlaced', {}, SCHOOL);
    expect(cpuMs() - began).toBeLessThan(1000);
    bench.submit('OrderPlaced', {}, SCHOOL, { flowId: ids[7]! });
    expect((await waits[7])!.flow).toMatchObject({ outcome: 'OrderPlaced' });
    expect((await Promise.all(waits)).filter(({ flow }) => flow)).toHaveLength(1);
  });
});

describe('finding a flow', () => {
  const entry = (flowId: string, reference: string) => {
    const value = events.OrderSubmitted.codec
      .encode(events.OrderSubmitted.codec.fromPartial({ orderId: 'o', buyerOin: SELLER }))
      .finish();
    return {
      flowId: flowBytes(flowId),
      partyOin: SELLER,
      method: 'OrderService/PlaceOrder',
      referenceKey: Buffer.from(reference.padEnd(16)),
      digest: new Uint8Array(16),
      digestVersion: 1,
      rememberDays: 400,
      events: [{ stream: 'orders', type: 'OrderSubmitted', key: SCHOOL, data: value }],
      answer: new Uint8Array(1),
      schoolOin: SCHOOL,
      traceparent: '',
    };
  };

  test('by reference, from the moment it is accepted', async () => {
    const { bench, client } = setUp();
    const flowId = newId();
    bench.accept([entry(flowId, 'ref-1')]);
    const ask = (method = 'OrderService/PlaceOrder', partyOin = SELLER) =>
      client.getFlow({ flowId: '', partyOin, referenceKey: Buffer.from('ref-1'.padEnd(16)), method });
    expect((await ask()).flow).toMatchObject({
      flowId,
      state: 'accepted',
      partyOin: SELLER,
      method: 'OrderService/PlaceOrder',
      steps: [],
    });
    bench.run();
    expect((await ask()).flow).toMatchObject({
      flowId,
      state: 'accepted',
      subject: 'o',
      steps: [{ step: 'OrderSubmitted' }],
    });
    expect((await ask('OrderService/CancelOrder')).flow).toBeUndefined();
    expect((await ask('OrderService/PlaceOrder', SCHOOL)).flow).toBeUndefined();
  });

  test('by id, also before this service has read it', async () => {
    const { bench, client, get } = setUp();
    const flowId = newId();
    bench.accept([entry(flowId, 'ref-1')]);
    const found = client.getFlow({ flowId, partyOin: '', referenceKey: new Uint8Array(), method: '' });
    await Promise.resolve();
    bench.run();
    expect((await found).flow).toMatchObject({ flowId, state: 'accepted' });
    expect(await get(newId())).toBeUndefined();
  });

  test('by what it is about, newest first', async () => {
    const { bench, client, school } = setUp(grants);
    for (const [id, learner] of [
      ['e1', 'l1'],
      ['e2', 'l2'],
      ['e1', 'l1'],
    ] as const)
      bench.submit('GrantSubmitted', grant(id), learner, { ...school, flowId: idAt(bench.now()) });
    const search = (asked: object) => client.findFlows(FindFlowsRequest.fromPartial(asked));
    const find = async (asked: object) => (await search(asked)).flows.map(({ subject }) => subject);
    expect(await find({ subject: 'e1' })).toEqual(['e1', 'e1']);
    expect(await find({ key: 'l2' })).toEqual(['e2']);
    expect(await find({ schoolOin: SCHOOL })).toEqual(['e1', 'e2', 'e1']);
    expect(await find({ schoolOin: SCHOOL, limit: 1 })).toEqual(['e1']);
    expect(await find({ partyOin: SELLER, state: 'decided' })).toEqual(['e1', 'e2', 'e1']);
    expect(await find({ partyOin: SCHOOL })).toEqual([]);
    expect(await find({ state: 'refused' })).toEqual([]);
    // What is there was looked at wholly, unless there is more of it than was asked for.
    expect(await search({ subject: 'e2' })).toMatchObject({ coveredFromMs: 0n, more: false });
    expect(await search({ limit: 1 })).toMatchObject({ coveredFromMs: BigInt(bench.now()), more: true });
    expect(await find({ beforeMs: BigInt(bench.now()) })).toEqual([]);
    expect(await find({ beforeMs: BigInt(bench.now() + 1) })).toEqual(['e1', 'e2', 'e1']);
    // About any of several things, of which one is a sender's key.
    const work = resultIdFor('87', 'l1');
    bench.submit('ResultSubmitted', { result: { resultId: work } } as never, 'l1', { flowId: idAt(bench.now() - 1) });
    const both = { subject: '87', subjects: [{ subject: 'e2', services: ['entitlements'] }] };
    expect((await search(both)).flows.map(({ subject }) => subject)).toEqual(['e2', work]);
  });

  test('however much came since', async () => {
    const { bench, client } = setUp();
    const at = bench.now();
    const put = (n: number, of: Partial<FlowTableRow>): FlowTableRow => ({
      ...begun(idAt(at + n), at + n),
      ...{ party: SELLER, school: SCHOOL, subject: `e${n}`, key: 'l1' },
      ...of,
    });
    const own = { school: '0000000700034CD00000', party: '00000001000000000003' };
    const work = resultIdFor('toets-1', 'l1');
    bench.view.note((unit) => {
      for (const row of [put(1, own), put(2, { subject: work }), put(3, { subject: 'toets-1' })])
        unit.put(flowsTable, row);
      for (let n = 4; n < 25_000; n++) unit.put(flowsTable, put(n, {}));
    });
    const find = async (asked: object) => {
      const { flows, coveredFromMs, more } = await client.findFlows(FindFlowsRequest.fromPartial(asked));
      return { found: flows.map(({ acceptedMs }) => Number(acceptedMs) - at), coveredFromMs, more };
    };
    const whole = (...found: number[]) => ({ found, coveredFromMs: 0n, more: false });
    expect(await find({ subject: 'e1' })).toEqual(whole(1));
    expect(await find({ subject: 'e5', state: 'accepted', key: 'l1' })).toEqual(whole(5));
    expect(await find({ schoolOin: own.school })).toEqual(whole(1));
    expect(await find({ partyOin: own.party, state: 'accepted' })).toEqual(whole(1));
    expect(await find({ schoolOin: own.school, partyOin: SELLER })).toEqual(whole());
    expect(await find({ schoolOin: own.school, beforeMs: BigInt(at + 1) })).toEqual(whole());
    // By the key of its sender, and by its id.
    expect(await find({ subject: 'toets-1' })).toEqual(whole(3, 2));
    expect(await find({ subject: 'toets-1', beforeMs: BigInt(at + 3) })).toEqual(whole(2));
    expect(await find({ subject: 'toets-1', limit: 1 })).toEqual({
      ...whole(3),
      coveredFromMs: BigInt(at + 2),
      more: true,
    });
    expect(await find({ subject: work })).toEqual(whole(2));
    // What one school sent is looked through as far as an answer may take, and the answer says so.
    expect(await find({ schoolOin: SCHOOL, state: 'refused' })).toMatchObject({ found: [], more: false });
    expect(Number((await find({ schoolOin: SCHOOL, state: 'refused' })).coveredFromMs)).toBeGreaterThan(at);
    expect(await find({ limit: 2 })).toEqual({
      found: [24_999, 24_998],
      coveredFromMs: BigInt(at + 24_997),
      more: true,
    });
  });

  test('by the key of a sender that stands for more than can be put in order: from the newest', async () => {
    const { bench, client } = setUp();
    const at = bench.now();
    bench.view.note((unit) => {
      for (let n = 0; n < 1_200; n++)
        unit.put(flowsTable, {
          ...begun(idAt(at + n), at + n),
          ...{ party: SELLER, school: SCHOOL, subject: resultIdFor('toets-1', `l${n}`) },
        });
    });
    const asked = FindFlowsRequest.fromPartial({ subject: 'toets-1', limit: 3 });
    const { flows, more } = await client.findFlows(asked);
    expect([flows.map(({ acceptedMs }) => Number(acceptedMs) - at), more]).toEqual([[1_199, 1_198, 1_197], true]);
  });

  test('what is of one learner, as a look at every row says, in pages of any size', async () => {
    const [things, senders] = [
      ['a', 'b', 'c', 'd'],
      [SELLER, '00000001000000000003'],
    ];
    const types = ['GrantSubmitted', 'OrderSubmitted', 'LaunchSubmitted'] as const;
    const row = fc.record({
      type: fc.constantFrom(...types),
      party: fc.constantFrom(...senders),
      school: fc.constantFrom(SCHOOL, SCHOOL, '0000000700099ZZ00000'),
      subject: fc.constantFrom(...things, 'e'),
      key: fc.constantFrom('lt_a', 'lt_b', SCHOOL),
      refused: fc.boolean(),
    });
    const subject = fc.record({
      subject: fc.constantFrom(...things, 'none'),
      partyOins: fc.subarray(senders),
      services: fc.subarray(['entitlements', 'orders']),
    });
    const asked = fc.record({
      subjects: fc.array(subject, { maxLength: 6 }),
      learners: fc.subarray(['lt_a', 'lt_c'], { minLength: 1 }),
      partyOin: fc.constantFrom('', SELLER),
      limit: fc.integer({ min: 1, max: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 40 }), asked, async (rows, of) => {
        const { bench, client } = setUp();
        const at = bench.now();
        const sent = rows.map(({ type, party, school, subject, key, refused }, n) => {
          const value = {
            GrantSubmitted: { terms: { entitlementId: subject }, byOin: party },
            OrderSubmitted: { orderId: subject, buyerOin: party },
            LaunchSubmitted: { launchId: subject, byOin: party },
          }[type];
          const flowId = bench.submit(type, value as never, key, { school, flowId: idAt(at + n) });
          if (refused) {
            const answer = { GrantSubmitted: 'Grant', OrderSubmitted: 'Order', LaunchSubmitted: 'Access' }[type];
            bench.submit(`${answer}Refused` as EventName, { code: 'state.missing' } as never, key, { flowId });
          }
          return flowId;
        });
        const wanted = sent.filter((_, n) => {
          const { type, party, school, subject, key, refused } = rows[n]!;
          const isAbout = of.subjects.some(
            (one) =>
              one.subject === subject &&
              (one.partyOins.length === 0 || one.partyOins.includes(party)) &&
              (one.services.length === 0 || one.services.includes(events[type].stream)),
          );
          const isOfLearner = isAbout || (refused && of.learners.includes(key));
          return isOfLearner && school === SCHOOL && ['', party].includes(of.partyOin);
        });
        const {
          flows: found,
          coveredFromMs,
          more,
        } = await client.findFlows(FindFlowsRequest.fromPartial({ ...of, schoolOin: SCHOOL }));
        expect(found.map(({ flowId }) => flowId)).toEqual(wanted.reverse().slice(0, of.limit));
        expect(more).toBe(wanted.length > of.limit);
        if (!more) expect(coveredFromMs).toBe(0n);
      }),
      { numRuns: 60 },
    );
  });

  test('page after page gives each once, also of one millisecond, and by the time at which it was accepted', async () => {
    const other = '0000000700099ZZ00000';
    // Each began at a moment, and was accepted, or read last, some later.
    const one = fc.record({
      isRead: fc.boolean(),
      began: fc.nat(3),
      took: fc.constantFrom(0, 0, 1, 2, 20_000),
      school: fc.constantFrom(SCHOOL, SCHOOL, other),
      subject: fc.constantFrom('a', 'b', resultIdFor('a', 'l1')),
    });
    const asked = fc.record({
      schoolOin: fc.constantFrom('', SCHOOL),
      subject: fc.constantFrom('', '', 'a'),
      fromMs: fc.constantFrom(0, 0, 2, 20_002),
      beforeMs: fc.constantFrom(0, 0, 3, 20_003),
      learners: fc.constantFrom<string[][]>([], [], ['lt_a']),
      limit: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(one, { minLength: 10, maxLength: 25 }),
        asked,
        async (all, { fromMs, beforeMs, limit, ...of }) => {
          const { bench, client } = setUp();
          const at = bench.now();
          const within = (ms: number): boolean => ms >= fromMs && (beforeMs === 0 || ms < beforeMs);
          const ofLearner = of.learners.length > 0;
          if (ofLearner) of.subject = '';
          const sent = all.map(({ began, ...more }) => ({ ...more, began, flowId: idAt(at + began) }));
          bench.view.note((unit) => {
            for (const { isRead, flowId, began, took, school, subject } of sent)
              if (!isRead)
                unit.put(flowsTable, {
                  ...begun(flowId, at + began + took),
                  ...{ party: SELLER, school, subject, type: 'GrantSubmitted' },
                });
          });
          const notes = sent
            .filter(({ isRead }) => isRead)
            .map(({ flowId, began, took, school, subject }) =>
              ReadNote.fromPartial({ flowId, schoolOin: school, subject, lastMs: BigInt(at + began + took) }),
            );
          await client.noteReads({ notes });
          const wanted = sent
            .filter(({ isRead, began, took, school, subject }) =>
              [
                within(began + took),
                of.schoolOin === '' || school === of.schoolOin,
                !ofLearner || (!isRead && subject === 'a'),
                of.subject === '' || subject === 'a' || (!isRead && subject.startsWith('a~')),
              ].every(Boolean),
            )
            .map(({ flowId }) => flowId);
          const request = FindFlowsRequest.fromPartial({
            ...of,
            subjects: ofLearner ? [{ subject: 'a' }] : [],
            fromMs: fromMs === 0 ? 0n : BigInt(at + fromMs),
            beforeMs: beforeMs === 0 ? 0n : BigInt(at + beforeMs),
            limit,
          });
          const found: string[] = [];
          for (let after = '', pages = 0; ; ) {
            const page = await client.findFlows({ ...request, after });
            expect(page.flows.length).toBeLessThanOrEqual(limit);
            found.push(...page.flows.map(({ flowId }) => flowId));
            expect(page.more).toBe(found.length < wanted.length);
            if (page.next === '') {
              expect(page.coveredFromMs).toBe(request.fromMs);
              break;
            }
            after = page.next;
            expect(++pages).toBeLessThanOrEqual(all.length);
          }
          expect(found.toSorted()).toEqual(wanted.toSorted());
        },
      ),
      { numRuns: 150 },
    );
  });

  test('a page goes on where looking stopped, so that what is rare is found however far down it is', async () => {
    const { bench, client } = setUp();
    const at = bench.now();
    bench.view.note((unit) => {
      for (let n = 0; n < 45_000; n++)
        unit.put(flowsTable, {
          ...begun(idAt(at + n), at + n),
          ...{ party: n === 1 ? SCHOOL : SELLER, school: SCHOOL, key: n % 2 === 0 ? 'lt_a' : 'lt_b' },
        });
    });
    const asked = FindFlowsRequest.fromPartial({ schoolOin: SCHOOL, partyOin: SCHOOL });
    const pages: number[][] = [];
    for (let after = ''; pages.length < 9; ) {
      const { flows, more, next, coveredFromMs } = await client.findFlows({ ...asked, after });
      expect(more).toBe(false);
      if (next !== '') expect(coveredFromMs).toBeGreaterThan(BigInt(at));
      pages.push(flows.map(({ acceptedMs }) => Number(acceptedMs) - at));
      if (next === '') break;
      after = next;
    }
    expect(pages).toEqual([[], [], [1]]);
    await expect(client.findFlows({ ...asked, after: 'elsewhere' })).rejects.toThrow('place');
  });

  test('what was refused of a learner, whichever came first; it goes with the flow', async () => {
    const { bench, client, school } = setUp();
    const of = async (learner: string) =>
      (await client.findFlows(FindFlowsRequest.fromPartial({ learners: [learner] }))).flows.map(({ state }) => state);
    bench.submit('PartyRegistered', {}, SELLER);
    // The answer comes first, over another lane, and under another key than the question has.
    const flowId = idAt(bench.now());
    bench.submit('AccessRefused', { code: 'state.missing' }, 'lt_b', { flowId });
    bench.submit('LaunchSubmitted', { launchId: 'l' }, 'lt_a', { ...school, flowId });
    // A roster that was read is about many.
    const read = { flowId: idAt(bench.now()), schoolOin: SCHOOL, lastMs: BigInt(bench.now()) };
    await client.noteReads({ notes: [ReadNote.fromPartial(read)] });
    expect([await of('lt_a'), await of('lt_b')]).toEqual([['refused'], []]);
    expect(bench.list(refusedTable, { equals: [] })).toHaveLength(1);
    bench.advance(37 * DAY);
    expect(bench.list(refusedTable, { equals: [] })).toEqual([]);
  });
});

describe('how much is accepted', () => {
  const ask = async ({ client }: ReturnType<typeof setUp>) => {
    const { minutes, counts } = await client.countFlows({});
    return {
      bars: minutes.filter(({ accepted }) => accepted > 0).map(({ accepted }) => accepted),
      all: minutes.length,
      counts: counts.map(({ partyOin, method, accepted }) => [partyOin, method, accepted]),
    };
  };
  const METHOD = 'EntitlementService/GrantEntitlements';

  test('is counted by minute, sender and method, each message once however often it is asked', async () => {
    const at = setUp(grants);
    const { bench, school } = at;
    expect(await ask(at)).toEqual({ bars: [], all: 60, counts: [] });
    const one = (n: number) =>
      bench.submit('GrantSubmitted', grant(`e${n}`), `l${n}`, { ...school, flowId: idAt(bench.now()) });
    one(1);
    bench.advance(1_000);
    expect((await ask(at)).bars).toEqual([1]);
    one(2);
    for (let i = 0; i < 5; i++) {
      bench.advance(1_000);
      expect(await ask(at)).toMatchObject({ bars: [2], counts: [[SELLER, METHOD, 2]] });
    }
    bench.advance(120_000);
    one(3);
    bench.advance(1_000);
    expect(await ask(at)).toMatchObject({ bars: [2, 1], counts: [[SELLER, METHOD, 3]] });
  });

  test('is of the last hour only', async () => {
    const at = setUp(grants);
    at.bench.submit('GrantSubmitted', grant('e1'), 'l1', { ...at.school, flowId: idAt(at.bench.now()) });
    at.bench.advance(30 * 60_000);
    expect((await ask(at)).bars).toEqual([1]);
    at.bench.submit('GrantSubmitted', grant('e2'), 'l1', { ...at.school, flowId: idAt(at.bench.now()) });
    at.bench.advance(31 * 60_000);
    expect((await ask(at)).bars).toEqual([1]);
    at.bench.advance(31 * 60_000);
    expect((await ask(at)).bars).toEqual([]);
    const flowId = idAt(at.bench.now());
    // Two parts of one message are one; and what is older than an hour leaves.
    for (const id of ['e3', 'e4']) at.bench.submit('GrantSubmitted', grant(id), 'l1', { ...at.school, flowId });
    at.bench.advance(1_000);
    expect((await ask(at)).bars).toEqual([1]);
    const rows = at.bench.list(minutes, { equals: [] });
    expect(rows.map(({ minute, accepted }) => [minute > 0, accepted])).toEqual([
      [false, 0],
      [true, 1],
    ]);
  });

  test('is counted of a bulk too, and says since when where flows were there before', async () => {
    const at = setUp(grants);
    const { bench, client, school } = at;
    const first = bench.now();
    for (let n = 0; n < 40; n++)
      bench.append('GrantSubmitted', grant(`e${n}`), `l${n}`, { ...school, flowId: idAt(first) });
    bench.run();
    expect((await ask(at)).counts).toEqual([[SELLER, METHOD, 40]]);
    expect(Number((await client.countFlows({})).coveredFromMs)).toBeLessThan(first - 58 * 60_000);
    // As the release before left it.
    bench.view.note((unit) => {
      for (const { minute, party, method } of unit.list(minutes, { equals: [] }))
        unit.remove(minutes, minute, party, method);
    });
    bench.advance(5_000);
    bench.submit('GrantSubmitted', grant('later'), 'l1', { ...school, flowId: idAt(bench.now()) });
    expect(Number((await client.countFlows({})).coveredFromMs)).toBe(first + 5_000);
    expect((await ask(at)).counts).toEqual([[SELLER, METHOD, 1]]);
  });
});

describe('refusals', () => {
  const note = (more: Partial<RefusalNote> = {}): RefusalNote => ({
    partyOin: SELLER,
    method: 'OrderService/PlaceOrder',
    schoolOin: SCHOOL,
    code: 'mandate.missing',
    orderId: 'o',
    productId: '',
    entitlementId: '',
    times: 1,
    atMs: BigInt(Date.parse('2026-08-17T08:00:00Z')),
    ...more,
  });
  const all = { schoolOin: '', orderId: '', productId: '', limit: 0 };

  test('are counted by kind, and found by school, order and product', async () => {
    const { client } = setUp();
    const at = note().atMs;
    await client.noteRefusals({
      notes: [note(), note({ orderId: 'o2', productId: 'p', atMs: at + 5n }), note({ times: 3, atMs: at + 9n })],
    });
    const list = async (asked: object) =>
      (await client.listRefusals({ ...all, ...asked })).notes.map(({ orderId, times }) => `${orderId} ${times}`);
    expect(await list({ schoolOin: SCHOOL })).toEqual(['o 4', 'o2 1']);
    expect(await list({ orderId: 'o' })).toEqual(['o 4']);
    expect(await list({ productId: 'p' })).toEqual(['o2 1']);
    expect(await list({ schoolOin: 'another' })).toEqual([]);
    expect(await list({})).toEqual(['o 4', 'o2 1']);
  });

  test('are kept up to a number, the newest, and for thirty days', async () => {
    const { bench, client } = setUp();
    const at = note().atMs;
    for (let i = 0; i < 30; i++) noteRefusals(bench.view, [note({ orderId: `o${i}`, atMs: at + BigInt(i) })], 10);
    expect(listRefusals(bench.view, all).map(({ orderId }) => orderId)).toEqual(
      Array.from({ length: 10 }, (_, i) => `o${29 - i}`),
    );
    bench.advance(31 * DAY);
    expect((await client.listRefusals(all)).notes).toEqual([]);
  });
});

describe('the table of meanings', () => {
  test('names every event there is, or says that it is passed over', () => {
    expect([...Object.keys(meanings), ...passedOver].sort()).toEqual(Object.keys(events).sort());
    const { streams } = consumer(() => {});
    const read = Object.values(events).flatMap(({ stream }) => (stream === 'audit' ? [] : [stream]));
    expect(new Set(read)).toEqual(new Set(streams));
    for (const name of Object.keys(meanings) as EventName[]) expect(streams).toContain(events[name].stream);
  });

  test('answers stand on the lane of what they answer, written by its service', () => {
    const page = readFileSync(new URL('../../docs/streams.md', import.meta.url), 'utf8');
    const writer = new Map([...page.matchAll(/^\| `(\w+)` \| \w+ \| (\w+) \|/gm)].map(([, name, by]) => [name, by]));
    for (const [name, meaning] of Object.entries(meanings)) {
      expect(writer.get(name) === 'door').toBe(meaning.kind === 'asked');
      if (meaning.kind === 'answer')
        for (const to of meaning.to) expect(events[to].stream).toBe(events[name as EventName].stream);
    }
  });
});

describe('the score of a sender', () => {
  const AT = Date.parse('2026-10-05T10:00:00Z');
  const all = { partyOin: SELLER, fromDay: '2000-01-01', untilDay: '2100-01-01' };

  test('counts what was accepted and refused, whatever order the lanes are read in', () => {
    const flowOf = (n: number, code: string) => {
      const flowId = `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
      const asked = withAsked(begun(flowId, 0), { ...fact, atMs: AT + n }, () => true);
      const answer = { type: 'GrantRefused', to: ['GrantSubmitted'], partial: false, told: '' } as const;
      const said = { ...answer, says: code === '' ? ('done' as const) : ('refused' as const), code };
      return { asked, said: { ...said, school: SCHOOL, key: 'k', atMs: AT + 1_000 + n } };
    };
    const fact = {
      type: 'GrantSubmitted' as const,
      method: 'm',
      party: SELLER,
      subject: '',
      school: SCHOOL,
      key: 'k',
      atMs: 0,
    };
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            code: fc.constantFrom('', 'product.unknown', 'wire.invalid'),
            early: fc.boolean(),
            ends: fc.boolean(),
            goesOn: fc.boolean(),
          }),
          { maxLength: 12 },
        ),
        (given) => {
          const rows = new Map<string, ScoreRow>();
          const name = (...key: unknown[]) => key.join('|');
          const unit = {
            get: (_: unknown, ...key: unknown[]) => rows.get(name(...key)),
            list: () => [],
            put: (_: unknown, row: ScoreRow) => void rows.set(name(row.party, row.lane, row.day), row),
            remove: (_: unknown, ...key: unknown[]) => void rows.delete(name(...key)),
            gather: (of: string, n: number) => void sums.set(of, (sums.get(of) ?? 0) + n),
          } as unknown as Unit;
          const sums = new Map<string, number>();
          const settle = (): void => {
            const { accepted, refused } = gathered(sums);
            addScores(unit, accepted, refused);
            sums.clear();
          };
          for (const [n, { code, early, ends, goesOn }] of given.entries()) {
            const { asked, said } = flowOf(n, code);
            const empty = begun(asked.flowId, 0);
            if (early) {
              // The answer's lane is read before the question's.
              const answered = withAnswer(empty, said);
              score(unit, 'entitlements/1', undefined, answered);
              const known = withAsked(answered, { ...fact, atMs: AT + n }, () => true);
              score(unit, 'orders/0', answered, known);
            } else {
              score(unit, 'orders/0', undefined, asked);
              score(unit, 'entitlements/1', asked, withAnswer(asked, said));
            }
            // Whatever records make a group.
            if (ends) settle();
            if (!goesOn) continue;
            // A second part of the same message, which is taken: then it was not refused.
            const first = withAnswer(asked, said);
            const second = withAsked(first, { ...fact, atMs: AT + n }, () => true);
            score(unit, 'orders/0', first, second);
            score(unit, 'entitlements/1', second, withAnswer(second, { ...said, says: 'done', code: '' }));
          }
          settle();
          const listed = listScores({ list: () => [...rows.values()] as never }, all);
          const refused = given.filter(({ code, goesOn }) => code !== '' && !goesOn);
          expect(listed.reduce((sum, row) => sum + row.accepted, 0n)).toBe(BigInt(given.length));
          const codes = listed.flatMap((row) => row.refused);
          expect(codes.reduce((sum, { times }) => sum + times, 0n)).toBe(BigInt(refused.length));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('of a flow that was refused and then is not, nothing stays counted as refused', () => {
    let row: ScoreRow | undefined;
    const unit = {
      get: () => row,
      list: () => [],
      put: (_: unknown, put: ScoreRow) => {
        row = put;
      },
    } as unknown as Parameters<typeof addScores>[0];
    const flow = (says: string, code: string) =>
      ({
        ...begun('00000000-0000-7000-8000-000000000001', AT),
        ...{ party: SELLER, acceptedMs: AT, outcome: 'x', says, code, asked: 1, answered: 1 },
        refused: says === 'refused' ? 1 : 0,
      }) as FlowTableRow;
    // Each in a group of its own.
    const said = (before: FlowTableRow | undefined, after: FlowTableRow) => {
      const sums = new Map<string, number>();
      score({ gather: (name, n) => void sums.set(name, (sums.get(name) ?? 0) + n) }, 'l', before, after);
      const { accepted, refused } = gathered(sums);
      addScores(unit, accepted, refused);
    };
    said(undefined, flow('refused', 'wire.invalid'));
    expect(row).toMatchObject({ accepted: 1, refused: { 'wire.invalid': 1 } });
    said(flow('refused', 'wire.invalid'), flow('refused', 'product.unknown'));
    said(flow('refused', 'product.unknown'), flow('done', ''));
    expect([row!.accepted, row!.refused]).toEqual([1, {}]);
  });

  test('is of parties: what an operator decides and is refused counts for nobody', async () => {
    const { bench, client } = setUp();
    const times = { orderId: '', productId: '', entitlementId: '', times: 1, atMs: BigInt(bench.now()) };
    const note = { method: 'OperatorService/DecideHold', schoolOin: SCHOOL, code: 'state.missing', ...times };
    await client.noteRefusals({
      notes: [
        { ...note, partyOin: 'operator' },
        { ...note, partyOin: SELLER },
      ],
    });
    const decision = { holdId: 'h', schoolOin: SCHOOL, approve: true };
    for (const byOin of ['operator', SELLER]) {
      const flowId = bench.submit('HoldDecisionSubmitted', { ...decision, byOin } as never, SCHOOL);
      const told = { rosterId: 'r', holdId: '', schoolOin: SCHOOL, code: 'hold.pending', told: '' };
      bench.submit('RosterRefused', { ...told, siteCode: '', administration: '' } as never, SCHOOL, { flowId });
    }
    const days = { fromDay: '2000-01-01', untilDay: '2100-01-01' };
    const scored = async (partyOin: string) =>
      (await client.listScores({ partyOin, ...days })).rows.flatMap(({ refused, refusedAtDoor }) =>
        [...refused, ...refusedAtDoor].map(({ code }) => code),
      );
    expect(await scored(SELLER)).toEqual(['hold.pending', 'state.missing']);
    expect(await scored('operator')).toEqual([]);
    // It is still found among what doors refused.
    expect(
      (await client.listRefusals({ ...{ schoolOin: SCHOOL, orderId: '', productId: '' }, limit: 10 })).notes,
    ).toHaveLength(2);
  });

  test('counts what doors refused, and puts days older than two months together', async () => {
    const { bench, client } = setUp();
    const note = (code: string, times: number): RefusalNote => ({
      partyOin: SELLER,
      method: 'OrderService/PlaceOrder',
      schoolOin: SCHOOL,
      code,
      orderId: '',
      productId: '',
      entitlementId: '',
      times,
      atMs: BigInt(bench.now()),
    });
    for (let day = 0; day < 100; day++) {
      bench.advance(DAY);
      await client.noteRefusals({ notes: [note('wire.invalid', 2), note('mandate.missing', 1)] });
    }
    const { rows } = await client.listScores(all);
    const sum = rows.flatMap((row) => row.refusedAtDoor).reduce((n, { times }) => n + times, 0n);
    expect(sum).toBe(300n);
    expect(rows.length).toBeLessThan(70);
    expect(rows[0]!.day).toMatch(/^\d{4}-\d\d$/);
    expect(rows.at(-1)!.refusedAtDoor).toEqual([
      { code: 'mandate.missing', times: 1n },
      { code: 'wire.invalid', times: 2n },
    ]);
  });
});
