import { describe, expect, test } from 'vitest';
import { startOfDutchDay } from '#kernel';
import {
  ListAlertsResponse,
  ListFreezesResponse,
  ListParkedResponse,
  ListReplaysResponse,
  ListSchoolChangesResponse,
  ShowFlowResponse,
  ShowOverviewResponse,
  ShowReadinessResponse,
  StatusResponse,
} from '#proto/eduk/operator/v1/operator';
import type { Ask } from './door.ts';
import { flow, freezePreview, overview, readiness } from './reads.ts';

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

describe('before a freeze is set', () => {
  const NOW = startOfDutchDay('2027-05-03');
  const OTHER = '0000000700099YY00000';
  const freeze = (freezeId: string, of: object, from: string, until: string) => ({
    state: 'to_come',
    freeze: {
      freezeId,
      ...of,
      reason: freezeId,
      fromMs: BigInt(startOfDutchDay(from)),
      untilMs: BigInt(startOfDutchDay(until)),
    },
  });
  const answers: Readonly<Record<string, unknown>> = {
    listFreezes: ListFreezesResponse.fromPartial({
      freezes: [
        freeze('around', {}, '2027-05-20', '2027-06-10'),
        freeze('of-one-party-there', { schoolOin: SCHOOL, partyOin: RECEIVER }, '2027-05-20', '2027-07-01'),
        freeze('over-by-then', {}, '2027-05-03', '2027-05-10'),
        freeze('later', {}, '2027-06-20', '2027-06-21'),
      ],
    }),
    listReplays: ListReplaysResponse.fromPartial({
      replays: [
        { jobId: 'runs-of-it', state: 'running', selection: { schoolOin: SCHOOL, partyOin: RECEIVER } },
        { jobId: 'runs-of-many', state: 'running', selection: { partyOin: RECEIVER } },
        { jobId: 'is-counted', state: 'counted', selection: { schoolOin: SCHOOL, partyOin: RECEIVER } },
      ],
    }),
    listSchoolChanges: ListSchoolChangesResponse.fromPartial({
      changes: [
        { state: 'planned', schoolOin: OTHER, toSchoolOin: SCHOOL, onDay: '2027-05-15' },
        { state: 'planned', schoolOin: OTHER, toSchoolOin: SCHOOL, onDay: '2027-08-01' },
        { state: 'done', schoolOin: SCHOOL, toSchoolOin: OTHER, onDay: '2027-05-15' },
      ],
    }),
    listParties: { parties: [{ oin: SCHOOL, name: 'De Ster' }] },
  };
  const ask = (async (method: string) => answers[method]) as never;
  const seen = (query: Record<string, string>) => freezePreview(ask, new URLSearchParams(query), NOW);

  test('it is told what it would stop of what runs and is planned, and when that goes on', async () => {
    const told = await seen({ school: '99ZX', from: '2027-05-10', until: '2027-05-28T18:00' });
    expect(told).toMatchObject({
      school: { oin: SCHOOL, name: 'De Ster' },
      from: startOfDutchDay('2027-05-10'),
      until: startOfDutchDay('2027-05-28') + 18 * 3_600_000,
      // Not by the one of a single party: what others do there goes on before it ends.
      goesOn: startOfDutchDay('2027-06-10'),
    });
    expect(told.beside.map(({ id }) => id)).toEqual(['around', 'of-one-party-there']);
    expect(told.replays.map(({ id }) => id)).toEqual(['runs-of-it']);
    expect(told.changes.map(({ day }) => day)).toEqual(['2027-05-15']);
    const all = await seen({ all: 'yes', until: '2027-05-04' });
    expect([all.from, all.until, all.school, all.party]).toEqual([
      NOW,
      startOfDutchDay('2027-05-05'),
      undefined,
      undefined,
    ]);
    expect(all.replays.map(({ id }) => id)).toEqual(['runs-of-it', 'runs-of-many']);
    expect(all.changes).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ['of nobody', { until: '2027-05-28' }],
    ['of all and of one', { all: 'yes', school: '99ZX', until: '2027-05-28' }],
    ['without an end', { all: 'yes' }],
    ['that ends on no day', { all: 'yes', until: '2027-02-30' }],
    ['that is over', { all: 'yes', until: '2027-05-02' }],
    ['that ends before it begins', { all: 'yes', from: '2027-05-28', until: '2027-05-20' }],
    ['that lasts', { all: 'yes', until: '2027-09-01' }],
  ])('one %s is refused', async (_which, query) => {
    await expect(seen(query)).rejects.toMatchObject({ fault: 'wire.invalid' });
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
