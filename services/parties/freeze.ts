/** Freezes: set, and ended early. Pure. What one stops is told by `frozen` in the kernel. */
import { freezeEnd, isPartyOin, isSchoolOin, LONGEST_FREEZE_MS } from '#kernel';
import { Freeze } from '#proto/eduk/core/v1/party';
import type { FreezeSubmitted } from '#proto/eduk/events/v1/parties';
import { type PartyEvent, refused } from './party.ts';

/** Of what it is, for who reads the log: a school, else a party, else the whole. */
export const freezeKey = ({ schoolOin, partyOin }: Pick<Freeze, 'schoolOin' | 'partyOin'>): string =>
  schoolOin || partyOin || 'operator';

export const factOf = (freeze: Freeze) => ({
  ...freeze,
  fromMs: Number(freeze.fromMs),
  untilMs: Number(freeze.untilMs),
  endedMs: Number(freeze.endedMs),
});

const isOver = (freeze: Freeze, nowMs: number): boolean => freezeEnd(factOf(freeze)) <= nowMs;

/**
 * Decides about a freeze. `standing`: the one of that id; `others`: all. Answers the event, and the freeze as it stands now where that
 * changed. The same set twice is set once; one that is over is ended already.
 */
export function decideFreeze(
  standing: Freeze | undefined,
  others: readonly Freeze[],
  asked: FreezeSubmitted,
  nowMs: number,
): { event: PartyEvent; next?: Freeze } {
  const given = asked.freeze ?? Freeze.fromPartial({});
  if (asked.change === 'set') return standing ? told(standing, 'set') : set(given, others, asked, nowMs);
  if (asked.change !== 'end')
    return { event: refused(given.freezeId, 'wire.invalid', 'This change is not on the list.') };
  if (!standing) return { event: refused(given.freezeId, 'state.missing', 'No freeze has this id.') };
  if (isOver(standing, nowMs)) return told(standing, 'ended');
  return end(standing, asked, nowMs);
}

const told = (freeze: Freeze, change: string): { event: PartyEvent } => ({
  event: { type: 'FreezeChanged', value: { freeze, change, unchanged: true } },
});

const changed = (freeze: Freeze, change: string): { event: PartyEvent; next: Freeze } => ({
  event: { type: 'FreezeChanged', value: { freeze, change, unchanged: false } },
  next: freeze,
});

function set(
  given: Freeze,
  others: readonly Freeze[],
  { byOin, byPerson }: FreezeSubmitted,
  nowMs: number,
): { event: PartyEvent; next?: Freeze } {
  const { freezeId, schoolOin, partyOin, untilMs, reason } = given;
  const no = (why: string) => ({ event: refused(freezeId, 'wire.invalid', why) });
  if (schoolOin !== '' && !isSchoolOin(schoolOin)) return no('This is no school.');
  if (partyOin !== '' && !isPartyOin(partyOin)) return no('The OIN must have 20 characters.');
  if (reason === '') return no('A freeze needs a reason.');
  const fromMs = given.fromMs > BigInt(nowMs) ? given.fromMs : BigInt(nowMs);
  if (untilMs <= fromMs) return no('A freeze ends after it begins, and not in the past.');
  if (untilMs - fromMs > BigInt(LONGEST_FREEZE_MS)) return no('A freeze lasts 92 days at most.');
  const same = others.find(
    (one) =>
      one.schoolOin === schoolOin &&
      one.partyOin === partyOin &&
      one.reason === reason &&
      one.untilMs === untilMs &&
      one.fromMs <= fromMs &&
      !isOver(one, nowMs),
  );
  if (same) return told(same, 'set');
  const setMs = BigInt(nowMs);
  const freeze: Freeze = { ...given, fromMs, byOin, byPerson, setMs, endedMs: 0n, endAskedBy: '' };
  return changed(freeze, 'set');
}

/** What it held goes on by this, so that a second person may have to say so too. */
function end(
  freeze: Freeze,
  { byOin, byPerson, second, confirmed }: FreezeSubmitted,
  nowMs: number,
): { event: PartyEvent; next?: Freeze } {
  const asker = byPerson || byOin;
  if (second && freeze.endAskedBy === '') return changed({ ...freeze, endAskedBy: asker }, 'end_asked');
  const isSecond = byPerson === '' ? confirmed : asker !== freeze.endAskedBy;
  if (second && !isSecond)
    return {
      event: refused(freeze.freezeId, 'hold.pending', 'A second person ends it too: who asked for it does not.'),
    };
  return changed({ ...freeze, endedMs: BigInt(nowMs) }, 'ended');
}
