/** What withheld mail would go at once if a mandate changed, or a stopped party went on: as it stands now, and nothing is changed. */
import { GatewayError } from '#kernel';
import { type Mandate, MandateState } from '#proto/eduk/core/v1/party';
import type { GoingMail } from '#proto/eduk/delivery/v1/delivery';
import type { PreviewWithheldRequest } from '#proto/eduk/operator/v1/operator';
import type { Door } from '../submission.ts';

/** A mandate as it would be after the word of the school or of the party, which may still want that of the other. */
export function afterWord(mandate: Mandate, change: string): Mandate {
  if (mandate.state !== MandateState.MANDATE_STATE_UNCONFIRMED) return mandate;
  const isConfirmed = change === 'confirm' || mandate.confirmedBy !== '';
  const isAccepted = change === 'accept' || !mandate.requiresAcceptance || mandate.acceptedBy !== '';
  return isConfirmed && isAccepted ? { ...mandate, state: MandateState.MANDATE_STATE_ACTIVE } : mandate;
}

/** What would go, by service; `unconfirmed`: the other has to give its word too. */
export async function goingBy(
  { services }: Pick<Door, 'services'>,
  mandates: readonly Mandate[],
  change: string,
): Promise<{ going: GoingMail[]; unconfirmed: boolean }> {
  const after = mandates.map((mandate) => afterWord(mandate, change));
  const would = after.filter((mandate, i) => mandate !== mandates[i]);
  const unconfirmed = after.some(({ state }) => state === MandateState.MANDATE_STATE_UNCONFIRMED);
  if (would.length === 0) return { going: [], unconfirmed };
  const { going } = await services.delivery.listWithheld({
    ...{ partyOin: would[0]!.partyOin, resumed: false, mandates: would },
  });
  return { going, unconfirmed };
}

/** What would go if a stopped party went on; nothing of one that is not. */
export const goingTo = async (
  { chain, services }: Pick<Door, 'chain' | 'services'>,
  partyOin: string,
): Promise<GoingMail[]> =>
  chain.isStopped(partyOin)
    ? (await services.delivery.listWithheld({ partyOin, resumed: true, mandates: [] })).going
    : [];

/** Faults: wire.invalid, state.missing. */
export async function previewWithheld(
  door: Pick<Door, 'chain' | 'services'>,
  { mandateId, change, oin }: PreviewWithheldRequest,
): Promise<{ going: GoingMail[]; unconfirmed: boolean }> {
  const { chain } = door;
  if ((mandateId === '') === (oin === ''))
    throw new GatewayError('wire.invalid', 'Name a mandate, or a party.', { where: 'mandate_id' });
  if (oin !== '') {
    if (!chain.party(oin)) throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'oin' });
    return { going: await goingTo(door, oin), unconfirmed: false };
  }
  if (change !== 'confirm' && change !== 'accept')
    throw new GatewayError('wire.invalid', 'A mandate lets go when it is confirmed or accepted.', { where: 'change' });
  const mandates = mandatesNamed(chain, mandateId);
  if (mandates.length === 0) throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
  return goingBy(door, mandates, change);
}

/** The one, or of a board's grant that of each school. */
export function mandatesNamed(
  chain: Pick<Door['chain'], 'mandate' | 'partsOf'>,
  mandateId: string,
): readonly Mandate[] {
  const parts = chain.partsOf(mandateId);
  const one = chain.mandate(mandateId);
  return parts.length > 0 ? parts : one ? [one] : [];
}
