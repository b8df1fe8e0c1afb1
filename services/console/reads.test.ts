import { expect, test } from 'vitest';
import { ShowFlowResponse, ShowReadinessResponse } from '#proto/eduk/operator/v1/operator';
import type { Ask } from './door.ts';
import { flow, readiness } from './reads.ts';

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
