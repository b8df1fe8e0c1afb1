/**
 * Whether a party is stopped everywhere: pure. A stop is one fact about the party beside its mandates, which stay as they are, so
 * that it holds for all of them at once and leaves them as they were.
 */
import { isPartyOin, isSchoolOin } from '#kernel';
import { CredentialDigests, PartyStanding, type PartyStandingSubmitted } from '#proto/eduk/events/v1/parties';
import type { PartyRow } from '#proto/eduk/parties/v1/parties';
import { schoolNobodyNamed } from './forgetting.ts';
import { type PartyEvent, refused } from './party.ts';

/**
 * Decides about a stop or its end. Answers the event, and the party as it stands now where that changed. Stopping twice is
 * stopping once; who was not stopped goes on with the secrets it has.
 */
export function decideStanding(
  standing: PartyRow | undefined,
  { oin, change, reason, credentials }: PartyStandingSubmitted,
  nowMs: number,
): { event: PartyEvent; next?: PartyRow } {
  const no = (told: string) => ({ event: refused(oin, 'wire.invalid', told) });
  if (!isPartyOin(oin)) return no('The OIN must have 20 characters.');
  if (!standing?.party) return { event: refused(oin, 'state.missing', 'No party has this OIN.') };
  const before = standing.standing ?? PartyStanding.fromPartial({});
  const isStopped = before.stoppedMs > 0n;
  const changed = (now: PartyStanding, unchanged: boolean): PartyEvent => ({
    type: 'PartyStandingChanged',
    value: { oin, standing: now, unchanged, change: '' },
  });
  switch (change) {
    case 'stop': {
      if (reason === '') return no('A stop needs a reason.');
      if (isStopped) return { event: changed(before, true) };
      // What it was told until now is linked with nothing that it is told afterwards.
      const now = { ...before, stoppedMs: BigInt(nowMs), reason, pseudonyms: before.pseudonyms + 1 };
      return { event: changed(now, false), next: { ...standing, standing: now } };
    }
    case 'resume': {
      if (!isStopped) return { event: changed(before, true) };
      const now = { ...before, stoppedMs: 0n, reason: '', tokensFromMs: BigInt(nowMs) };
      return {
        event: changed(now, false),
        next: { ...standing, standing: now, credentials: renewed(standing.credentials, credentials) },
      };
    }
    default:
      return no('This change is not on the list.');
  }
}

/** The secrets that it had hold no longer, not for a moment. */
function renewed(before: CredentialDigests | undefined, given: CredentialDigests | undefined): CredentialDigests {
  const none = new Uint8Array(0);
  return {
    ...(before ?? CredentialDigests.fromPartial({})),
    clientSecret: given?.clientSecret ?? none,
    apiKey: given?.apiKey ?? none,
    clientSecretBefore: none,
    apiKeyBefore: none,
    beforeUntilMs: 0n,
  };
}

/** Changes of where the names of a school's people are. */
const PLACES: Readonly<Record<string, string | undefined>> = { names_on_demand: 'on-demand', names_kept: undefined };
export const isOfNames = (change: string): boolean => Object.hasOwn(PLACES, change);

/**
 * Decides whether names of a school's people are kept or asked when they are needed. Answers the event, and the school's row where that
 * changed; a school that only mandates and rosters named becomes a party by it. Said twice is said once.
 */
export function decideNames(
  row: PartyRow | undefined,
  { oin, change }: PartyStandingSubmitted,
  nowMs: number,
): { event: PartyEvent; next?: PartyRow } {
  if (!isSchoolOin(oin)) return { event: refused(oin, 'wire.invalid', 'This is no school.') };
  const school = row?.party ? row : schoolNobodyNamed(oin);
  const before = school.standing ?? PartyStanding.fromPartial({});
  const { identity: _, ...rest } = before;
  const identity = PLACES[change];
  const unchanged = before.identity === identity;
  const standing: PartyStanding = unchanged
    ? before
    : { ...rest, ...(identity === undefined ? {} : { identity }), identityMs: BigInt(nowMs) };
  const event: PartyEvent = { type: 'PartyStandingChanged', value: { oin, standing, unchanged, change } };
  return unchanged ? { event } : { event, next: { ...school, standing } };
}
