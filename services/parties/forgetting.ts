/**
 * Whether a whole school is forgotten: pure. Like a stop it is one fact beside its mandates, which every door has in its copy, so
 * that all that is of the school closes at once and opens at once.
 */
import { brinOf, isSchoolOin } from '#kernel';
import { type ForgetReceiver, Party, Role, type SchoolForgetting } from '#proto/eduk/core/v1/party';
import { PartyStanding, type PartyStandingSubmitted } from '#proto/eduk/events/v1/parties';
import { PartyRow } from '#proto/eduk/parties/v1/parties';
import { type PartyEvent, refused } from './party.ts';

/** A school that is destroyed within this time cannot be kept any more: the vault may be at it. */
const TOO_LATE_MS = 5 * 60_000;
/** At the soonest: what a restore takes in again may be taken back by what it takes in after it. */
const LEAST_MS = 60_000;

/** Changes that are about a school's data, and not about a party. */
export const isOfForgetting = (change: string): boolean =>
  change === 'forget' || change === 'keep' || change === 'confirm';

const statedAs = (
  row: PartyRow,
  forgetting: SchoolForgetting,
  { change = forgetting.state, unchanged = false } = {},
): { event: PartyEvent; next?: PartyRow } => {
  const standing = { ...(row.standing ?? PartyStanding.fromPartial({})), forgetting };
  const { oin } = row.party!;
  const event: PartyEvent = { type: 'PartyStandingChanged', value: { oin, standing, unchanged, change } };
  return unchanged ? { event } : { event, next: { ...row, standing } };
};

/**
 * Decides about the forgetting of a school. `askedMs`: when it was asked for, Unix milliseconds; a restore takes it in again
 * later. Answers the event, and the school's row where it changed. Asked twice, it is no later, and nobody is left out.
 */
export function decideForgetting(
  row: PartyRow | undefined,
  { oin, change, destroyAtMs, receivers, partyOin }: PartyStandingSubmitted,
  { askedMs, nowMs }: { askedMs: number; nowMs: number },
): { event: PartyEvent; next?: PartyRow } {
  const before = row?.standing?.forgetting;
  const waits = before?.state === 'waits' ? before : undefined;
  if (change === 'forget') {
    if (!isSchoolOin(oin)) return { event: refused(oin, 'wire.invalid', 'This is no school.') };
    const asked = BigInt(Math.max(Number(destroyAtMs), nowMs + LEAST_MS));
    const forgetting: SchoolForgetting = {
      schoolOin: oin,
      state: 'waits',
      askedMs: waits?.askedMs ?? BigInt(askedMs),
      destroyAtMs: waits && waits.destroyAtMs < asked ? waits.destroyAtMs : asked,
      receivers: joined(waits?.receivers ?? [], receivers),
    };
    const isSame =
      waits !== undefined &&
      forgetting.destroyAtMs === waits.destroyAtMs &&
      forgetting.receivers.length === waits.receivers.length;
    return statedAs(row?.party ? row : schoolNobodyNamed(oin), forgetting, { unchanged: isSame });
  }
  if (!row?.party || !before) return { event: refused(oin, 'state.missing', 'Nobody asked to forget this school.') };
  if (change === 'keep') {
    if (!waits) return { event: refused(oin, 'state.missing', 'This school does not wait to be forgotten.') };
    if (Number(waits.destroyAtMs) < askedMs + TOO_LATE_MS)
      return { event: refused(oin, 'state.conflict', 'This school is destroyed, or will be within five minutes.') };
    return statedAs(row, { ...waits, state: 'kept' });
  }
  const named = before.receivers.find((one) => one.partyOin === partyOin);
  if (before.state === 'kept' || !named)
    return { event: refused(oin, 'state.missing', 'This party has nothing to confirm of this school.') };
  if (named.confirmedMs > 0n) return statedAs(row, before, { change: 'confirmed', unchanged: true });
  const confirmed = { ...named, confirmedMs: BigInt(askedMs) };
  const told = before.receivers.map((one) => (one === named ? confirmed : one));
  return statedAs(row, { ...before, receivers: told }, { change: 'confirmed' });
}

/** The hour is there, unless it was taken back or brought forward meanwhile. */
export function decideHour(
  row: PartyRow | undefined,
  nowMs: number,
): { event: PartyEvent; next?: PartyRow } | undefined {
  const forgetting = row?.standing?.forgetting;
  if (!row?.party || forgetting?.state !== 'waits' || Number(forgetting.destroyAtMs) > nowMs) return undefined;
  return statedAs(row, { ...forgetting, state: 'destroyed' });
}

/** By OIN. Who was to confirm once is to confirm. */
function joined(before: readonly ForgetReceiver[], given: readonly ForgetReceiver[]): ForgetReceiver[] {
  const all = new Map<string, ForgetReceiver>();
  for (const one of [...given, ...before]) {
    const known = all.get(one.partyOin);
    all.set(one.partyOin, { ...one, mustConfirm: one.mustConfirm || known?.mustConfirm === true });
  }
  return [...all.values()].sort((a, b) => (a.partyOin < b.partyOin ? -1 : 1));
}

/** A school that only mandates and rosters named. */
export const schoolNobodyNamed = (oin: string): PartyRow =>
  PartyRow.fromPartial({
    party: Party.fromPartial({ oin, name: `School ${brinOf(oin)}`, roles: [Role.ROLE_SCHOOL] }),
  });
