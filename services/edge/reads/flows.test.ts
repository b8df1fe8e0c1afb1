import { expect, test } from 'vitest';
import { FlowRow, Step } from '#proto/eduk/flows/v1/flows';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { present } from './flows.ts';

const DAY_MS = 86_400_000;
const AT_MS = Date.UTC(2026, 8, 1);
const SENDER = '00000001800000000000';

/** A message of eight withdrawals, of which a class of three was decided a day before the others. */
const row = FlowRow.fromPartial({
  ...{ flowId: 'flow', partyOin: SENDER, state: 'decided', acceptedMs: BigInt(AT_MS), changes: 8 },
  steps: [1, 1, 1, 2, 2, 2, 2, 2].map((day) =>
    Step.fromPartial({ step: 'EntitlementChanged', state: 'done', atMs: BigInt(AT_MS + day * DAY_MS) }),
  ),
});
const seen = async (kind: string, afterMs: number, holds: readonly { byClass: boolean; byOin: string }[]) => {
  const delivery = { flowRows: async () => ({ deliveries: [] }) };
  const services = { delivery, entitlements: { listChangeHolds: async () => ({ holds }) } };
  const door = { clock: { now: () => AT_MS + afterMs }, services, asked: services };
  const flow = await present({ door } as unknown as Gate, { kind } as Caller, row, '');
  return { steps: flow.steps.length, heldAtLeast: flow.heldAtLeast };
};

test('how many changes were decided together tells an operator of no class, also when its hold is shown no more', async () => {
  const byClass = [{ byClass: true, byOin: SENDER }];
  expect(await seen('operator', 3 * DAY_MS, byClass)).toEqual({ steps: 1, heldAtLeast: true });
  expect(await seen('operator', 40 * DAY_MS, [])).toEqual({ steps: 1, heldAtLeast: true });
  expect(await seen('operator', 3 * DAY_MS, [])).toEqual({ steps: 8, heldAtLeast: false });
  expect(await seen('party', 40 * DAY_MS, [])).toEqual({ steps: 8, heldAtLeast: false });
});
