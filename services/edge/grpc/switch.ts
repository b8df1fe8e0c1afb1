import { GatewayError } from '#kernel';
import { Mandate, MandateState } from '#proto/eduk/core/v1/party';
import type * as op from '#proto/eduk/operator/v1/operator';
import { operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { mandateIdOf, operatorChange, operatorGrant, sleutelTold } from '../intake/parties.ts';
import { type Change, changeOf, mandatesOf, previewSwitch } from '../reads/switch.ts';
import { decisionOf } from './decision.ts';
import { take } from './writes.ts';

/** A change of supplier, as the operator's command asks for it. */

const DECIDE_MS = 10_000;

const namesOf = ({ door }: Gate, { school, from, to }: Change): op.PartyName[] =>
  [school, from, to].flatMap((oin) => {
    const name = door.chain.party(oin)?.name;
    return name ? [{ oin, name }] : [];
  });

export async function previewSwitchAnswer(
  request: op.PreviewSwitchRequest,
  gate: Gate,
): Promise<op.PreviewSwitchResponse> {
  const { change, lines } = await previewSwitch(gate.door, request);
  return { lines, services: change.services, names: namesOf(gate, change), runOffUntil: change.runOffUntil };
}

/**
 * Gives the new party what the old one has, from the day on, then lets the old mandates run off. Each grant is named after
 * the change and the mandate that it takes the place of, so that the same change again finds what it made.
 * Faults: those of a change, of a grant, and state.conflict where a mandate of the old party also holds what is to stay.
 */
export async function applySwitchAnswer(request: op.ApplySwitchRequest, gate: Gate): Promise<op.ApplySwitchResponse> {
  if (!request.change) throw new GatewayError('wire.invalid', undefined, { where: 'change' });
  const { chain } = gate.door;
  const change = changeOf(gate.door, request.change);
  const { school, from, to, services, day, runOffUntil } = change;
  const old = mandatesOf(chain.between(school, from), services, runOffUntil).sort((a, b) =>
    a.mandateId < b.mandateId ? -1 : 1,
  );
  if (old.length === 0)
    throw new GatewayError('state.missing', 'The old party has no mandate for these services that holds.', {
      where: 'change.services',
    });
  const more = old.find((one) => one.services.some((service) => !services.includes(service)));
  if (more)
    throw new GatewayError(
      'state.conflict',
      'A mandate of the old party also holds services that are to stay, the preview says which: give those by a mandate of their own and end that one, or change all of them.',
      { where: 'change.services' },
    );
  const steps: op.SwitchStep[] = [];
  let autorisatiesleutel = '';
  for (const one of old) {
    const reference = `switch-${[school, from, to, day, one.mandateId].join('-')}`;
    const mandateId = mandateIdOf(operator.oin, reference);
    const before = chain.mandate(mandateId);
    let flowId = '';
    if (!before) {
      const mandate = Mandate.fromPartial({
        schoolOin: school,
        partyOin: to,
        services: one.services,
        attributes: one.attributes,
        pairwise: one.pairwise,
        siteCodes: one.siteCodes,
        purposes: one.purposes,
        validFrom: day,
      });
      ({ flowId } = await take(
        operatorGrant(mandate, request.confirm, reference),
        { mandate, confirm: request.confirm },
        operator,
        gate,
      ));
    } else if (before.state === MandateState.MANDATE_STATE_UNCONFIRMED && request.confirm)
      ({ flowId } = await take(
        operatorChange([before], ''),
        { mandateId, change: 'confirm', runOffUntil: '' },
        operator,
        gate,
      ));
    const step = await stepOf(gate, 'grant', mandateId, flowId);
    steps.push(step);
    // Nothing of the old party ends where the new one was refused.
    if (step.decision?.code) return { steps, autorisatiesleutel, names: namesOf(gate, change) };
    if (step.mandate && flowId && !autorisatiesleutel)
      autorisatiesleutel = sleutelTold(gate.door, flowId, step.mandate, false);
  }
  for (const one of old) {
    const isDone = one.state === MandateState.MANDATE_STATE_RUN_OFF && one.runOffUntil === runOffUntil;
    const { flowId } = isDone
      ? { flowId: '' }
      : await take(
          operatorChange([one], ''),
          { mandateId: one.mandateId, change: 'run_off', runOffUntil },
          operator,
          gate,
        );
    steps.push(await stepOf(gate, 'run_off', one.mandateId, flowId));
  }
  return { steps, autorisatiesleutel, names: namesOf(gate, change) };
}

/** What became of a step; `flowId` empty = it was made before. */
async function stepOf(gate: Gate, step: string, mandateId: string, flowId: string): Promise<op.SwitchStep> {
  const decision = flowId
    ? await decisionOf(gate, flowId, DECIDE_MS)
    : { outcome: 'MandateChanged', code: '', told: '' };
  await gate.door.chain.refresh();
  return { step, mandate: gate.door.chain.mandate(mandateId), flowId, decision };
}
