import { describe, expect, test } from 'vitest';
import {
  ListAlertsResponse,
  ListFreezesResponse,
  ListParkedResponse,
  PreviewFreezeResponse,
  ShowFlowResponse,
  ShowOverviewResponse,
  ShowReadinessResponse,
  StatusResponse,
} from '#proto/eduk/operator/v1/operator';
import type { Ask } from './door.ts';
import { flow, freezeEndPreview, freezePreview, overview, readiness } from './reads.ts';

const [SENDER, RECEIVER, SCHOOL] = ['00000001000000000001', '00000001000000000002', '0000000700099ZX00000'];

/** A gateway that knows one message, which stopped at its receiver for this. */
const ask = (code: string): Ask =>
  (async (method: string) =>
    method === 'showFlow'
      ? ShowFlowResponse.fromPartial({
          flow: {
            schoolOin: SCHOOL,
            method: 'EntitlementService/GrantEntitlements',
            steps: [{ step: 'webhook', state: 'parked', code, receiverOin: RECEIVER }],
          },
          partyOin: SENDER,
        })
      : { parties: [] }) as never;

test.each([
  ['mandate.ended', SCHOOL],
  ['wire.invalid', SENDER],
  ['peer.refused', RECEIVER],
  ['gateway.bug', ''],
])('where %s stopped a message, the page names who must act', async (code, oin) => {
  const { stopped } = await flow(ask(code), new URLSearchParams({ id: 'f' }));
  expect(stopped!.party.oin).toBe(oin);
  // In Dutch by its code, in English as it stands here.
  expect(stopped!.remedy).toMatch(/\.$/);
});

test('a message that is held stopped there, also where a part of it is parked at a receiver', async () => {
  const of = async (state: string) => {
    const steps = [
      { step: 'WithdrawSubmitted', state: 'done' },
      { step: 'EntitlementChangeHeld', state: 'held', code: 'hold.pending', told: 'It waits.' },
      { step: 'EntitlementWithdrawn', state: 'done' },
      { step: 'webhook', state: 'parked', code: 'mandate.missing', receiverOin: RECEIVER },
    ];
    const shown = { flow: { schoolOin: SCHOOL, state, steps }, partyOin: SENDER };
    const gateway = (async (method: string) =>
      method === 'showFlow' ? ShowFlowResponse.fromPartial(shown) : { parties: [] }) as never;
    return (await flow(gateway, new URLSearchParams({ id: 'f' }))).stopped;
  };
  expect(await of('held')).toMatchObject({
    code: 'hold.pending',
    lastStep: 'EntitlementChangeHeld',
    told: 'It waits.',
  });
  expect(await of('parked')).toMatchObject({ code: 'mandate.missing', lastStep: 'webhook' });
  expect(await of('done')).toMatchObject({ code: 'mandate.missing' });
});

test('what an operator was refused is told, and no party has it on its count', async () => {
  const code = 'state.missing';
  const answers: Readonly<Record<string, unknown>> = {
    status: StatusResponse.fromPartial({}),
    showOverview: ShowOverviewResponse.fromPartial({
      refusals: [
        { partyOin: 'operator', method: 'OperatorService/DecideHold', code, times: 3 },
        { partyOin: SENDER, method: 'OrderService/PlaceOrder', code, times: 2 },
      ],
    }),
    listParked: ListParkedResponse.fromPartial({}),
    listAlerts: ListAlertsResponse.fromPartial({}),
    listFreezes: ListFreezesResponse.fromPartial({}),
    showLaunches: {},
  };
  const seen = await overview((async (method: string) => answers[method]) as never, new URLSearchParams(), 0);
  expect(seen.parties.map(({ oin, refused }) => [oin, refused])).toEqual([[SENDER, 2]]);
  expect(seen.refusals.map(({ party, times }) => [party.oin, times])).toEqual([
    ['operator', 3],
    [SENDER, 2],
  ]);
});

describe('what a freeze stops or lets go', () => {
  const OTHER = '0000000700099YY00000';
  const names = [
    { oin: SCHOOL, name: 'De Ster' },
    { oin: RECEIVER, name: 'Leerplein' },
  ];
  const asked: unknown[] = [];
  const ask = (async (_method: string, one: object) => {
    asked.push(one);
    return PreviewFreezeResponse.fromPartial({
      freeze: { schoolOin: SCHOOL, fromMs: 5n, untilMs: 9n },
      goesOnMs: 12n,
      beside: [{ freeze: { freezeId: 'around', reason: 'first-week' }, state: 'holds' }],
      works: [
        { kind: 'replay', id: 'r-1', partyOin: RECEIVER, count: 40n },
        { kind: 'school_change', id: 'c-1', schoolOin: OTHER, toSchoolOin: SCHOOL, onDay: '2027-05-15', waitsOn: true },
      ],
      names,
    });
  }) as never;

  test('is asked of the gateway and shown with names', async () => {
    const told = await freezePreview(ask, new URLSearchParams({ school: '99ZX', until: '2027-05-28T18:00' }));
    expect(asked).toEqual([
      { asked: { schoolOin: SCHOOL, partyOin: '', all: false, from: '', until: '2027-05-28T18:00', reason: '' } },
    ]);
    expect(told).toMatchObject({ school: { oin: SCHOOL, name: 'De Ster' }, from: 5, until: 9, goesOn: 12 });
    expect(told.beside.map(({ id }) => id)).toEqual(['around']);
    const works = await freezeEndPreview(ask, new URLSearchParams({ freeze: 'f-1' }));
    expect(asked[1]).toEqual({ freezeId: 'f-1' });
    expect(works).toEqual(told.works);
    expect(works).toMatchObject([
      { kind: 'replay', party: { name: 'Leerplein' }, count: 40, waitsOn: false },
      { kind: 'school_change', school: { oin: OTHER }, to: { name: 'De Ster' }, day: '2027-05-15', waitsOn: true },
    ]);
  });
});

test('readiness by class is asked of one product of one school, and tells no more than the gateway does', async () => {
  const asked: unknown[] = [];
  const byClass: Ask = (async (_method: string, one: object) => {
    asked.push(one);
    return ShowReadinessResponse.fromPartial({
      readiness: {
        rows: [
          { schoolOin: SCHOOL, productId: 'p', groupKey: 'g7', wanted: { count: 24 }, causes: [{ partyOin: SENDER }] },
          { schoolOin: SCHOOL, productId: 'p', groupKey: 'g8', wanted: { underTen: true }, opened: { hidden: true } },
        ],
        chase: [{ code: 'count.used_up', partyOin: SENDER, partyName: 'Uitgeverij Wilg' }],
      },
    });
  }) as never;
  const { rows, chase } = await readiness(byClass, new URLSearchParams({ school: SCHOOL, product: 'p', by: 'class' }));
  expect(asked).toMatchObject([{ asked: { schoolOin: SCHOOL, productId: 'p', byGroup: true } }]);
  expect(rows.map(({ group, steps }) => [group, steps[0], steps[4]])).toEqual([
    ['g7', { kind: 'told', count: 24 }, { kind: 'told', count: 0 }],
    ['g8', { kind: 'under_ten', count: 0 }, { kind: 'hidden', count: 0 }],
  ]);
  expect(chase).toMatchObject([{ party: { name: 'Uitgeverij Wilg' } }]);
  await readiness(byClass, new URLSearchParams({ school: SCHOOL }));
  expect(asked[1]).toMatchObject({ asked: { byGroup: false, productId: '' } });
  await expect(readiness(byClass, new URLSearchParams({ school: SCHOOL, by: 'learner' }))).rejects.toThrow(/by class/);
});
