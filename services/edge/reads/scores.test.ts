import { expect, test } from 'vitest';
import { Mandate, MandateState } from '#proto/eduk/core/v1/party';
import { SenderScoreRow } from '#proto/eduk/flows/v1/flows';
import type { Gate } from '../gate.ts';
import { scorecard } from './scores.ts';

const [PARTY, OTHER] = ['00000001000000000002', '00000001000000000003'];
const DAY = 86_400_000;
const now = Date.parse('2026-11-23T09:00:00Z');
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_ENDED, MANDATE_STATE_RUN_OFF } = MandateState;

/** A gate that has these mandates, and saw certificates end after so many days. */
function gateOf(
  mandates: Partial<Mandate>[],
  rows: Partial<SenderScoreRow>[] = [],
  certificates: [string, number][] = [],
): Gate {
  const services = {
    flows: { listScores: async () => ({ rows: rows.map((row) => SenderScoreRow.fromPartial(row)) }) },
    delivery: { listScores: async () => ({ rows: [] }) },
  };
  const chain = {
    credentials: () => undefined,
    party: () => undefined,
    mandates: () =>
      mandates.map((one) => Mandate.fromPartial({ partyOin: PARTY, state: MANDATE_STATE_ACTIVE, ...one })),
  };
  const seen = new Map(certificates.map(([oin, days]) => [oin, now + days * DAY]));
  const gate = { door: { clock: { now: () => now }, asked: services, chain }, certificates: { seen: () => seen } };
  return gate as unknown as Gate;
}
const card = (gate: Gate) => scorecard({ fromDay: '', untilDay: '' }, PARTY, gate);

test('what ends within 90 days is told, that of one agreement together, and nothing of others', async () => {
  const agreement = { agreement: 'MVO', agreementVersion: '4' };
  const gate = gateOf(
    [
      { schoolOin: '1', validUntil: '2027-02-21', ...agreement },
      { schoolOin: '2', validUntil: '2027-02-21', ...agreement },
      { schoolOin: '3', validUntil: '2027-02-22' },
      { schoolOin: '4', validUntil: '2026-10-24' },
      { schoolOin: '5', validUntil: '2026-10-23' },
      { schoolOin: '6', validUntil: '2027-01-01', state: MANDATE_STATE_ENDED },
      { schoolOin: '7', validUntil: '2027-01-01', runOffUntil: '2026-12-01', state: MANDATE_STATE_RUN_OFF },
      { schoolOin: '8', validUntil: '2027-01-01', partyOin: OTHER },
      { schoolOin: '9' },
    ],
    [],
    [
      [PARTY, 20],
      [OTHER, 10],
    ],
  );
  expect(
    (await card(gate)).endings.map(({ what, subject, day, schoolOins }) => [what, subject, day, ...schoolOins]),
  ).toEqual([
    ['mandate', '', '2026-10-24', '4'],
    ['run_off', '', '2026-12-01', '7'],
    ['certificate', '', '2026-12-13'],
    ['mandate', 'MVO 4', '2027-02-21', '1', '2'],
  ]);
});

test('what doors refused is told apart from what was refused later, and both are faults of form where they are', async () => {
  const times = (code: string, n: bigint) => ({ code, times: n });
  const gate = gateOf(
    [],
    [
      { day: '2026-11-22', accepted: 5n, refused: [times('product.unknown', 2n), times('wire.invalid', 1n)] },
      { day: '2026-11-23', accepted: 3n, refusedAtDoor: [times('wire.invalid', 4n), times('party.forbidden', 0n)] },
    ],
  );
  const { total, days } = await card(gate);
  expect(total).toMatchObject({ accepted: 8n, refused: 3n, refusedAtDoor: 4n, schemaViolations: 5n });
  expect(total!.refusals).toEqual([times('wire.invalid', 5n), times('product.unknown', 2n)]);
  expect(days.map(({ day, score }) => [day, score!.accepted, score!.refused])).toEqual([
    ['2026-11-22', 5n, 3n],
    ['2026-11-23', 3n, 0n],
  ]);
});
