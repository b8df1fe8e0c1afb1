import { expect, test } from 'vitest';
import { ShowFlowResponse } from '#proto/eduk/operator/v1/operator';
import type { Ask } from './door.ts';
import { flow } from './reads.ts';

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
