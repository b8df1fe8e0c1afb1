/** Which mandates end soon. */
import { setImmediate as turn } from 'node:timers/promises';
import { dutchDay } from '#kernel';
import { type Mandate, MandateState } from '#proto/eduk/core/v1/party';

const DAY_MS = 86_400_000;
/** Of a country there are hundreds of thousands: so many are looked at before others have their turn. */
const AT_ONCE = 5_000;
const MANDATE_DAYS = 14;

/** By party: pairs of school and party of which the last mandate ends soon. What another mandate goes on from is no end. */
export async function endingMandates(mandates: readonly Mandate[], nowMs: number): Promise<Map<string, bigint>> {
  const [today, until] = [dutchDay(nowMs), dutchDay(nowMs + MANDATE_DAYS * DAY_MS)];
  const lasts = new Map<string, { party: string; end: string }>();
  for (const [i, { schoolOin, partyOin, state, validUntil, runOffUntil }] of mandates.entries()) {
    if (i % AT_ONCE === AT_ONCE - 1) await turn();
    const end =
      state === MandateState.MANDATE_STATE_RUN_OFF
        ? runOffUntil
        : state === MandateState.MANDATE_STATE_ACTIVE
          ? validUntil || '9999-12-31'
          : '';
    if (end === '' || end < today) continue;
    const pair = `${schoolOin}|${partyOin}`;
    const known = lasts.get(pair);
    if (!known || known.end < end) lasts.set(pair, { party: partyOin, end });
  }
  const ending = new Map<string, bigint>();
  for (const { party, end } of lasts.values()) if (end <= until) ending.set(party, (ending.get(party) ?? 0n) + 1n);
  return ending;
}
