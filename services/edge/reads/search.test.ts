import { expect, test } from 'vitest';
import { HmacKey, newId } from '#kernel';
import {
  type FindFlowsRequest,
  type FindReferencesRequest,
  FlowRow,
  type GetFlowRequest,
} from '#proto/eduk/flows/v1/flows';
import { SearchFlowsRequest } from '#proto/eduk/gateway/v1/flow';
import { ListFlowsRequest } from '#proto/eduk/operator/v1/operator';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { searchFlows, searchOwnFlows } from './search.ts';

const SENDER = '00000001000000000002';

/** A gateway where these are flows, and one of them stands under each reference; it says what it was asked. */
function setUp(flows: readonly FlowRow[], method = '') {
  const asked = {
    delivered: [] as string[],
    get: [] as GetFlowRequest[],
    references: [] as FindReferencesRequest[],
    find: [] as FindFlowsRequest[],
  };
  const gate = {
    door: {
      digestKey: new HmacKey(new Uint8Array(32)),
      chain: { party: () => undefined },
      asked: {
        delivery: {
          async findDelivered({ id }: { id: string }) {
            asked.delivered.push(id);
            return { rows: [], gone: 0, partial: false };
          },
        },
        flows: {
          async getFlow(request: GetFlowRequest) {
            asked.get.push(request);
            return { flow: flows.find(({ flowId }) => request.flowId === flowId) };
          },
          async findReferences(request: FindReferencesRequest) {
            asked.references.push(request);
            return { flows: request.references.some((one) => one.method === method) ? flows.slice(0, 1) : [] };
          },
          async findFlows(request: FindFlowsRequest) {
            asked.find.push(request);
            return {
              flows: flows.filter(({ subject }) => subject === request.subject),
              coveredFromMs: 0n,
              more: false,
            };
          },
        },
      },
    },
  } as unknown as Gate;
  const search = async (request: Partial<ListFlowsRequest>) =>
    (await searchFlows(ListFlowsRequest.fromPartial(request), gate)).flows.map(({ flowId }) => flowId);
  return { asked, search };
}
const flow = (subject: string): FlowRow => FlowRow.fromPartial({ flowId: newId(), partyOin: SENDER, subject });

test('what is no reference of the sender is looked for once, and nothing is waited for', async () => {
  const order = flow('order-1');
  const { asked, search } = setUp([order]);
  expect(await search({ text: 'order-1', partyOin: SENDER })).toEqual([order.flowId]);
  expect(asked.references.length).toBe(1);
  const methods = asked.references[0]!.references.map(({ method }) => method);
  expect(methods.length).toBeGreaterThan(1);
  expect(new Set(methods).size).toBe(methods.length);
  expect(asked.find).toEqual([expect.objectContaining({ subject: 'order-1', partyOin: SENDER })]);
});

test('an id that nobody has is looked for once', async () => {
  const { asked, search } = setUp([]);
  expect(await search({ text: newId() })).toEqual([]);
  expect([asked.get.length, asked.delivered.length, asked.find.length]).toEqual([1, 1, 0]);
});

test('a reference is found under whatever method it was sent, and stands first', async () => {
  const [one, other] = [flow('order-1'), flow('bericht-1')];
  const { search } = setUp([one, other], 'ResultService/ReturnResults');
  expect(await search({ text: 'bericht-1', partyOin: SENDER })).toEqual([one.flowId, other.flowId]);
});

test('what was accepted after a page is not on the next one, also where a reference finds it', async () => {
  const one = FlowRow.fromPartial({ ...flow('order-1'), acceptedMs: 2_000n });
  const { search } = setUp([one], 'ResultService/ReturnResults');
  expect(await search({ text: 'bericht-1', partyOin: SENDER, beforeMs: 2_001n })).toEqual([one.flowId]);
  expect(await search({ text: 'bericht-1', partyOin: SENDER, beforeMs: 2_000n })).toEqual([]);
});

test('of a learner the answer goes as far back as each owner and the flows do', async () => {
  const [order, launch] = [flow('order-1'), flow('launch-1')];
  const asked: FindFlowsRequest[] = [];
  const owner = (subject: string, coveredFromMs = 0n) => ({
    listSubjects: async () => ({
      subjects: [{ subject, partyOins: [], services: [] }],
      coveredFromMs,
      learners: ['lt_a'],
    }),
  });
  const answer = async (flowsFromMs: bigint) => {
    const gate = {
      door: {
        chain: { party: () => undefined },
        services: {
          vault: { identify: async () => ({ identified: [{ token: 'lt_a' }] }) },
        },
        asked: {
          orders: owner('order-1'),
          entitlements: owner('licence-1'),
          access: owner('launch-1', 2_000n),
          results: owner('result-1', 1_000n),
          flows: {
            async findFlows(request: FindFlowsRequest) {
              asked.push(request);
              return { flows: [order, launch], coveredFromMs: flowsFromMs, more: false };
            },
          },
        },
      },
    } as unknown as Gate;
    return searchFlows(
      ListFlowsRequest.fromPartial({ schoolOin: '0000000700012AB00000', learner: { lasKey: '1' } }),
      gate,
    );
  };
  expect(await answer(0n)).toMatchObject({ flows: [{ flowId: order.flowId }, {}], coveredFromMs: 2_000n });
  expect((await answer(3_000n)).coveredFromMs).toBe(3_000n);
  expect(asked[0]).toMatchObject({ learners: ['lt_a'], schoolOin: '0000000700012AB00000', subject: '' });
  // Ids of one owner are not looked for among messages of another.
  expect(asked[0]!.subjects.map(({ subject, services }) => [subject, services])).toEqual([
    ['order-1', ['orders']],
    ['licence-1', ['entitlements', 'access']],
    ['launch-1', ['access']],
    ['result-1', ['results']],
  ]);
});

test('of a learner with more than flows look for, the answer says that it does not go back', async () => {
  const asked: FindFlowsRequest[] = [];
  const owner = (name: string, most: number) => ({
    listSubjects: async () => ({
      subjects: Array.from({ length: most }, (_, i) => ({ subject: `${name}-${i}`, partyOins: [], services: [] })),
      coveredFromMs: 0n,
      learners: ['lt_a'],
    }),
  });
  const gate = {
    door: {
      clock: { now: () => 5_000 },
      chain: { party: () => undefined },
      services: { vault: { identify: async () => ({ identified: [{ token: 'lt_a' }] }) } },
      asked: {
        orders: owner('order', 2_001),
        entitlements: owner('licence', 1_000),
        access: owner('launch', 1_000),
        results: owner('result', 1_000),
        flows: {
          async findFlows(request: FindFlowsRequest) {
            asked.push(request);
            return { flows: [], coveredFromMs: 0n, more: false };
          },
        },
      },
    },
  } as unknown as Gate;
  const request = { schoolOin: '0000000700012AB00000', learner: { lasKey: '1' } };
  expect(await searchFlows(ListFlowsRequest.fromPartial(request), gate)).toMatchObject({ coveredFromMs: 5_000n });
  expect(asked[0]!.subjects.length).toBe(5_000);
});

test('by an EAN what is about its orders is found, of a school its licences too, and what was not looked through is said', async () => {
  const asked: FindFlowsRequest[] = [];
  const looked: object[] = [];
  const order = { orderId: 'order-1', buyerOin: SENDER, lines: [{ line: { sellerOin: 'seller' } }] };
  let [schools, more] = [[] as string[], false];
  const search = async (request: Partial<ListFlowsRequest>, pages = 1, next = '') => {
    let page = 0;
    const owner = (answer: () => object) => async (request: object) => {
      looked.push(request);
      return answer();
    };
    const services = {
      orders: { listOrders: owner(() => ({ orders: [order], next })) },
      entitlements: {
        listProductSchools: async () => ({ schoolOins: schools, more, sinceMs: 7_000n }),
        listEntitlements: owner(() => {
          page += 1;
          return { entitlements: [{ terms: { entitlementId: `e${page}` } }], next: page < pages ? `${page}` : '' };
        }),
      },
      flows: {
        async findFlows(request: FindFlowsRequest) {
          asked.push(request);
          return { flows: [flow('order-1')], coveredFromMs: 0n, more: false, next: '' };
        },
      },
    };
    const gate = { door: { chain: { party: () => undefined }, asked: services } } as unknown as Gate;
    const { missing, coveredFromMs } = await searchFlows(ListFlowsRequest.fromPartial(request), gate);
    expect(coveredFromMs).toBe(request.schoolOin ? 0n : 7_000n);
    return missing;
  };
  const subjects = () => asked.at(-1)!.subjects.map(({ subject }) => subject);
  expect(await search({ text: '978-90-0000001-9' })).toEqual([]);
  expect(subjects()).toEqual(['9789000000019', 'order-1']);
  expect(asked.at(-1)!.subject).toBe('978-90-0000001-9');
  expect(asked.at(-1)!.subjects[1]).toMatchObject({ partyOins: [SENDER, 'seller'], services: ['orders'] });
  expect(looked).toMatchObject([{ productId: '9789000000019', waiting: true }]);
  const schoolOin = '0000000700012AB00000';
  expect(await search({ text: '9789000000019', schoolOin }, 3)).toEqual([]);
  expect(subjects().slice(1)).toEqual(['order-1', 'e1', 'e2', 'e3']);
  expect(await search({ text: '9789000000019', schoolOin }, 9, 'more')).toEqual(['entitlements', 'orders']);
  // Without a school, of each that has any; those that are too many are said to be.
  schools = [schoolOin, '0000000700034CD00000'];
  looked.length = 0;
  expect(await search({ text: '9789000000019' })).toEqual([]);
  expect(subjects().slice(1)).toEqual(['order-1', 'e1', 'e2']);
  expect(looked.flatMap((one) => ('groups' in one ? (one as unknown as { schoolOin: string }).schoolOin : []))).toEqual(
    schools,
  );
  more = true;
  expect(await search({ text: '9789000000019' })).toEqual(['entitlements']);
  [schools, more] = [Array.from({ length: 9 }, () => schoolOin), false];
  expect(await search({ text: '9789000000019' })).toEqual(['entitlements']);
});

test('a token for one school finds by its BRIN, as school or as text, and nothing by that of another', async () => {
  const [school, own] = ['0000000700012AB00000', flow('')];
  const asked: FindFlowsRequest[] = [];
  const findFlows = async (request: FindFlowsRequest) => {
    asked.push(request);
    return { flows: [own], coveredFromMs: 0n, more: false, next: '' };
  };
  const gate = { door: { chain: { party: () => undefined }, asked: { flows: { findFlows } } } } as unknown as Gate;
  const caller = { kind: 'party', oin: SENDER, school } as unknown as Caller;
  const found = async (request: Partial<SearchFlowsRequest>) =>
    (await searchOwnFlows(SearchFlowsRequest.fromPartial(request), caller, gate)).flows.map(({ flowId }) => flowId);
  for (const request of [{ schoolOin: '12AB' }, { schoolOin: '12ab' }, { text: '12AB' }, { schoolOin: school }])
    expect(await found(request), JSON.stringify(request)).toEqual([own.flowId]);
  expect(asked.map(({ schoolOin, partyOin }) => [schoolOin, partyOin])).toEqual(asked.map(() => [school, SENDER]));
  for (const request of [{ schoolOin: '34CD' }, { text: '34CD' }]) expect(await found(request)).toEqual([]);
});

test('a state that no message is in is refused, not searched', async () => {
  const { asked, search } = setUp([]);
  for (const state of ['wacht', 'WAITING', 'refusd'])
    await expect(search({ state }), state).rejects.toMatchObject({ fault: 'wire.invalid', where: [{ path: 'state' }] });
  expect(asked.find).toEqual([]);
  expect(await search({ state: 'refused' })).toEqual([]);
});
