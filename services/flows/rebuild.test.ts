import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EngineView, testBench } from '#bus';
import { newId } from '#kernel';
import { type FlowRebuild, FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { type EventName, events } from '#proto/events';
import { flows } from './index.ts';
import { Shadow } from './shadow.ts';
import { flowsTable, refusedTable, scores } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const SELLER = '00000001000000000002';
const DAY = 86_400_000;

function setUp() {
  const bench = testBench([flows]);
  const client = bench.client(FlowsServiceDefinition);
  /** As a door drives it. `between` is called before each step but the first. */
  const rebuild = async (mend = false, between: (told: FlowRebuild) => void = () => undefined) => {
    const runId = newId();
    for (let begun = false; ; begun = true) {
      const { rebuild: told, mends } = await client.stepRebuild({ runId, mend, begun, stop: false });
      if (mends.length > 0) await client.mendFlows({ mends });
      if (told!.state === 'done') return told!;
      between(told!);
    }
  };
  let count = 0;
  /** A flow of some kind; answers its id. */
  const order = (refused = false): string => {
    const orderId = `o${++count}`;
    const flowId = bench.submit('OrderSubmitted', { orderId, buyerOin: SELLER }, SCHOOL, { school: SCHOOL });
    if (refused) bench.submit('OrderRefused', { orderId, code: 'state.conflict', told: 'Twice.' }, SCHOOL, { flowId });
    else bench.submit('OrderPlaced', { orderId }, SCHOOL, { flowId });
    return flowId;
  };
  const row = (flowId: string) => bench.get(flowsTable, flowId);
  const note: EngineView['note'] = (write) => bench.view.note(write);
  return { bench, client, rebuild, order, row, note };
}
const nothing = { missing: 0n, surplus: 0n, differs: 0n, left: 0n, unreadable: 0n, differences: [] };

describe('flows made anew', () => {
  test('are those that stand, and no row is changed', async () => {
    const { rebuild, order, bench } = setUp();
    for (let i = 0; i < 700; i++) order(i % 5 === 0);
    const before = bench.list(flowsTable, { equals: [] });
    expect(await rebuild()).toMatchObject({ ...nothing, state: 'done', records: 1400n, flows: 700n, older: 0n });
    expect(bench.list(flowsTable, { equals: [] })).toEqual(before);
  });

  test('show a row that is gone, one that nothing made, and what was changed in one; a check changes none of it', async () => {
    const { rebuild, order, row, note } = setUp();
    const [gone, changed, right] = [order(), order(true), order()];
    const surplus = newId();
    const before = [gone, changed, right].map(row);
    note((unit) => {
      unit.remove(flowsTable, gone);
      unit.put(flowsTable, { ...row(changed)!, refused: 0, says: 'done' });
      unit.put(flowsTable, { ...row(right)!, flowId: surplus });
    });
    const told = await rebuild();
    expect(told).toMatchObject({ missing: 1n, surplus: 1n, differs: 1n, mended: 0n, left: 0n });
    expect(
      Object.fromEntries(told.differences.map(({ flowId, what, columns }) => [flowId, [what, ...columns]])),
    ).toEqual({
      [gone]: ['missing'],
      [surplus]: ['surplus'],
      [changed]: ['differs', 'refused', 'says'],
    });
    expect(row(gone)).toBeUndefined();
    expect(row(surplus)).toBeDefined();

    expect(await rebuild(true)).toMatchObject({ missing: 1n, surplus: 1n, differs: 1n, mended: 3n, left: 0n });
    expect([gone, changed, right].map(row)).toEqual(before);
    expect(row(surplus)).toBeUndefined();
    expect(await rebuild()).toMatchObject(nothing);
  });

  test('have their mark of a learner again, and totals stay as they were counted', async () => {
    const { rebuild, note, bench } = setUp();
    const flowId = bench.submit('GrantSubmitted', { schoolOin: SCHOOL, byOin: SELLER }, 'lt_a', { school: SCHOOL });
    bench.submit('GrantRefused', { code: 'product.unknown', told: 'No.' }, 'lt_a', { flowId });
    const counted = bench.list(scores, { equals: [] });
    expect(counted).not.toEqual([]);
    note((unit) => unit.remove(refusedTable, 'lt_a', flowId));
    expect((await rebuild(true)).columns).toEqual([{ column: 'flows_refused', flows: 1n }]);
    expect(bench.get(refusedTable, 'lt_a', flowId)).toBeDefined();
    note((unit) => {
      unit.remove(flowsTable, flowId);
      unit.remove(refusedTable, 'lt_a', flowId);
    });
    expect(await rebuild(true)).toMatchObject({ missing: 1n, mended: 1n });
    expect(bench.get(refusedTable, 'lt_a', flowId)).toBeDefined();
    expect(bench.list(scores, { equals: [] })).toEqual(counted);
  });

  test('go by the order of a lane, also within one millisecond', async () => {
    const { rebuild, bench, row } = setUp();
    const flowId = bench.submit('RosterSubmitted', { rosterId: 'r', byOin: SELLER }, SCHOOL, { school: SCHOOL });
    for (const name of ['RosterHeld', 'RosterApplied', 'RosterHeld'] as const)
      bench.submit(name, {}, SCHOOL, { flowId });
    expect(row(flowId)).toMatchObject({ outcome: 'RosterHeld', says: 'held', answered: 0 });
    expect(await rebuild()).toMatchObject(nothing);
    bench.submit('RosterApplied', {}, SCHOOL, { flowId });
    expect(row(flowId)).toMatchObject({ outcome: 'RosterApplied', answered: 1 });
    expect(await rebuild()).toMatchObject(nothing);
  });

  test('leave what is older than the log alone, and say how much that is', async () => {
    const { rebuild, order, bench, row, note } = setUp();
    const old = order();
    bench.advance(4 * DAY);
    (bench.view as unknown as { clean(beforeMs: number, limit: number): number }).clean(bench.now() - 2 * DAY, 1000);
    // A door names a flow by when it began.
    const id = (ms: number) =>
      ms
        .toString(16)
        .padStart(12, '0')
        .replace(/^(.{8})/, '$1-') + newId().slice(13);
    const oldId = id(bench.now() - 4 * DAY);
    const youngId = id(bench.now() - 1);
    note((unit) => {
      unit.put(flowsTable, { ...row(old)!, flowId: oldId });
      unit.remove(flowsTable, old);
    });
    bench.submit('OrderSubmitted', { orderId: 'o', buyerOin: SELLER }, SCHOOL, { flowId: youngId });
    note((unit) => unit.remove(flowsTable, youngId));
    expect(await rebuild(true)).toMatchObject({ flows: 1n, older: 1n, missing: 1n, mended: 1n, surplus: 0n });
    expect(row(oldId)).toBeDefined();
    expect(row(youngId)).toBeDefined();
  });

  test('lose nothing of what comes meanwhile, to what is mended and beside it', async () => {
    const { rebuild, order, row, note, bench } = setUp();
    const spoilt = Array.from({ length: 300 }, () => order());
    note((unit) => {
      for (const flowId of spoilt) unit.put(flowsTable, { ...row(flowId)!, answered: 9 });
    });
    let comes = 0;
    const told = await rebuild(true, () => {
      for (let i = 0; i < 20; i++) order();
      // One more step of a flow that is being looked at.
      bench.submit('EntitlementChanged', { cause: 'expired' }, 'l', { flowId: spoilt[comes++ % spoilt.length]! });
    });
    expect(told).toMatchObject({ missing: 0n, surplus: 0n, left: 0n, differs: told.mended });
    expect(await rebuild()).toMatchObject(nothing);
    expect(row(spoilt[0]!)).toMatchObject({ asked: 1, answered: 1, steps: [{ step: 'EntitlementChanged' }] });
  });

  test('are put in no row’s place that changed after it was compared', async () => {
    const { client, order, row, note, bench } = setUp();
    const flowId = order();
    note((unit) => unit.put(flowsTable, { ...row(flowId)!, answered: 9 }));
    const runId = newId();
    const step = (begun = true) => client.stepRebuild({ runId, mend: true, begun, stop: false });
    let answer = await step(false);
    while (answer.mends.length === 0) answer = await step();
    bench.submit('EntitlementChanged', { cause: 'expired' }, 'l', { flowId });
    expect(await client.mendFlows({ mends: answer.mends })).toEqual({ mended: 0 });
    expect(row(flowId)!.steps).toHaveLength(1);
    ({ mends: answer.mends } = await step());
    expect(await client.mendFlows({ mends: answer.mends })).toEqual({ mended: 1 });
    expect(row(flowId)).toMatchObject({ answered: 1, steps: [{ step: 'EntitlementChanged' }] });
    expect((await step()).rebuild).toMatchObject({ state: 'done', differs: 1n, mended: 1n, left: 0n });
  });

  test('one at a time; who stopped makes room, and what was not begun here is not gone on with', async () => {
    const { client, order } = setUp();
    for (let i = 0; i < 300; i++) order();
    const step = (runId: string, more = {}) =>
      client.stepRebuild({ runId, mend: false, begun: false, stop: false, ...more });
    await step('one');
    await expect(step('two')).rejects.toMatchObject({ fault: 'state.conflict' });
    await step('one', { begun: true, stop: true });
    await step('two');
    await expect(step('three', { begun: true })).rejects.toMatchObject({ fault: 'state.conflict' });
    await step('two', { begun: true, stop: true });
    await expect(step('three', { begun: true })).rejects.toMatchObject({ fault: 'state.missing' });
  });

  test('a process that ends in the middle leaves everything as it stands, and the next one begins anew', async () => {
    const { client, order, bench, note, row } = setUp();
    const gone = order();
    for (let i = 0; i < 300; i++) order();
    note((unit) => unit.remove(flowsTable, gone));
    const before = bench.list(flowsTable, { equals: [] });
    await client.stepRebuild({ runId: 'one', mend: true, begun: false, stop: false });
    const next = bench.restart();
    expect(next.list(flowsTable, { equals: [] })).toEqual(before);
    const later = next.client(FlowsServiceDefinition);
    await expect(later.stepRebuild({ runId: 'one', mend: true, begun: true, stop: false })).rejects.toMatchObject({
      fault: 'state.missing',
    });
    for (let begun = false; ; begun = true) {
      const { rebuild, mends } = await later.stepRebuild({ runId: 'two', mend: true, begun, stop: false });
      if (mends.length > 0) await later.mendFlows({ mends });
      if (rebuild!.state === 'done') break;
    }
    expect(next.get(flowsTable, gone)).toBeDefined();
    expect(row(gone)).toBeDefined();
  });

  test('end where temporary files have no room, and say so', () => {
    const data = events.OrderPlaced.codec.encode(events.OrderPlaced.codec.fromPartial({ orderId: 'o' })).finish();
    const record = (number: number) => ({
      ...{ stream: 'orders', partition: 0, number, id: new Uint8Array(16), key: SCHOOL, type: 'OrderPlaced' },
      ...{ flowId: newId(), school: SCHOOL, traceparent: '', timeMs: 1, data },
    });
    const shadow = new Shadow(8);
    expect(() => shadow.add(Array.from({ length: 500 }, (_, i) => record(i + 1)))).toThrow(
      expect.objectContaining({ fault: 'gateway.disk_full' }),
    );
    shadow.close();
  });

  test('any events in any order: made anew is what stands', async () => {
    const of: readonly [EventName, string, object][] = [
      ['ProvisionSubmitted', SCHOOL, { entitlementId: 'e', byOin: SELLER }],
      ['ProvisionSubmitted', 'lt_b', { entitlementId: 'f', byOin: SELLER }],
      ['AccessProvisioned', 'lt_a', {}],
      ['AccessRefused', 'lt_b', { code: 'mandate.missing', told: 'No.' }],
      ['EntitlementChanged', 'lt_a', { cause: 'provisioned' }],
      ['EntitlementChanged', 'lt_b', { unchanged: true }],
      [
        'ResultSubmitted',
        'lt_a',
        { result: { byOin: SELLER, resultId: 'r' }, losses: [{ element: 'a', reason: 'x', count: 2 }] },
      ],
      ['ResultRecorded', 'lt_a', {}],
      ['ResultRefused', 'lt_b', { code: 'state.missing', told: 'No.' }],
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...of), fc.nat(5), fc.nat(3)), { minLength: 1, maxLength: 40 }),
        async (came) => {
          const { bench, rebuild } = setUp();
          const ids = Array.from({ length: 6 }, newId);
          for (const [[name, key, value], flow, after] of came) {
            // A flow is one message: of several parts perhaps, all of one kind.
            if (name === (flow % 2 === 0 ? 'ResultSubmitted' : 'ProvisionSubmitted')) continue;
            bench.append(name, value, key, { flowId: ids[flow]! });
            // Several lanes may have news at once.
            if (after === 0) bench.advance(1);
          }
          bench.run();
          expect(await rebuild()).toMatchObject(nothing);
        },
      ),
      { numRuns: 60 },
    );
  });
});
