/** What a call about mandates answers beyond its decision: a board's grant is decided in each of its schools. */
import { type Mandate, MandateState, type SchoolMandate } from '#proto/eduk/core/v1/party';
import type { Decision } from '#proto/eduk/core/v1/receipt';
import type { Gate } from '../gate.ts';
import { sleutelTold } from '../intake/parties.ts';
import { settle } from '../settle.ts';
import { decisionOf } from './decision.ts';

/** Whether a mandate is as a change asked. Of a key it says nothing. */
export const isAs = ({ state, confirmedBy, acceptedBy }: Mandate, change: string): boolean =>
  state === MandateState.MANDATE_STATE_ENDED ||
  (change === 'run_off' && state === MandateState.MANDATE_STATE_RUN_OFF) ||
  (change === 'confirm' && (state !== MandateState.MANDATE_STATE_UNCONFIRMED || confirmedBy !== '')) ||
  (change === 'accept' && (state !== MandateState.MANDATE_STATE_UNCONFIRMED || acceptedBy !== ''));

/**
 * The parts of a board's grant, waited for a bit more than a second until `expected` are there and all are as asked; and
 * the decision with what was refused in any of them.
 */
async function partsOf(
  gate: Gate,
  flowId: string,
  boardMandateId: string,
  expected: number,
  done: (mandate: Mandate) => boolean,
): Promise<{ parts: Mandate[]; decision: Decision }> {
  const { chain } = gate.door;
  await settle(gate.door, async () => {
    await chain.refresh();
    const parts = chain.partsOf(boardMandateId);
    return parts.length >= expected && parts.every(done) ? parts : undefined;
  });
  return { parts: chain.partsOf(boardMandateId), decision: await decisionOf(gate, flowId, 1) };
}

/** The mandates that a board's grant made, each with the key that it made. */
export async function grantedParts(
  gate: Gate,
  flowId: string,
  boardMandateId: string,
  expected: number,
): Promise<{ schools: SchoolMandate[]; decision: Decision }> {
  const { parts, decision } = await partsOf(gate, flowId, boardMandateId, expected, () => true);
  const schools = parts.map((mandate) => ({
    mandate,
    autorisatiesleutel: sleutelTold(gate.door, flowId, mandate, true),
  }));
  return { schools, decision };
}

/** The mandates of a board's grant after a change of all of them. */
export async function changedParts(
  gate: Gate,
  flowId: string,
  boardMandateId: string,
  change: string,
): Promise<{ schools: Mandate[]; decision: Decision }> {
  const { parts: schools, decision } = await partsOf(gate, flowId, boardMandateId, 1, (one) => isAs(one, change));
  return { schools, decision };
}

/** One state for all: the first on this list that any of them has. */
export function stateOf(mandates: readonly Mandate[]): MandateState {
  const { MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ACTIVE, MANDATE_STATE_RUN_OFF, MANDATE_STATE_ENDED } = MandateState;
  return (
    [MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ACTIVE, MANDATE_STATE_RUN_OFF, MANDATE_STATE_ENDED].find((state) =>
      mandates.some((mandate) => mandate.state === state),
    ) ?? MandateState.MANDATE_STATE_UNSPECIFIED
  );
}
