/** What a school is asked about a mandate that was not used for a while, and what becomes of the question: pure. */
import { dutchDay, endOfDutchDay, isDay } from '#kernel';
import { type Mandate, MandateReview, MandateState } from '#proto/eduk/core/v1/party';
import type { MandateReviewSubmitted } from '#proto/eduk/events/v1/parties';
import { type PartyEvent, refused } from './party.ts';

/** State after each answer. */
const states: Readonly<Record<string, string>> = { keep: 'kept', narrow: 'narrowed', end: 'ended' };

const reviewed = (review: MandateReview, unchanged = false): PartyEvent => ({
  type: 'MandateReviewed',
  value: { review, unchanged },
});

/** A school is asked, or answers. `review`: the newest about this mandate. */
export function decideReview(
  review: MandateReview | undefined,
  mandate: Mandate | undefined,
  asked: MandateReviewSubmitted,
  nowMs: number,
): PartyEvent {
  const { mandateId: id, change, endsOn, lastUsedOn, byOin } = asked;
  if (!mandate) return refused(id, 'state.missing', 'This school has no mandate with this id.');
  const isEnded = mandate.state === MandateState.MANDATE_STATE_ENDED;
  const { schoolOin, partyOin, services } = mandate;
  const opened = MandateReview.fromPartial({
    mandateId: id,
    schoolOin,
    partyOin,
    services,
    lastUsedOn,
    openedMs: BigInt(nowMs),
    state: 'open',
    endsOn,
  });
  if (change === 'open') {
    if (review?.state === 'open') return reviewed(review, true); // Asking twice is asking once.
    if (isEnded) return refused(id, 'mandate.ended', 'Nobody is asked about a mandate that has ended.');
    if (endsOn !== '' && (!isDay(endsOn) || endsOn < dutchDay(nowMs)))
      return refused(id, 'wire.invalid', 'The last day to answer is not past.');
    return reviewed(opened);
  }
  const state = states[change];
  if (state === undefined) return refused(id, 'wire.invalid', 'An answer is keep, narrow or end.');
  if (change !== 'keep' && review?.state === state) return reviewed(review, true);
  // What follows from an answer is decided behind it, and is refused for the same: an answer stands where that comes about.
  if (isEnded) return refused(id, 'mandate.ended', 'An ended mandate does not change; give a new one.');
  if (change === 'end' && endsOn !== '') {
    if (!isDay(endsOn) || endsOn < dutchDay(nowMs))
      return refused(id, 'wire.invalid', 'A run-off needs a last day that is not past.');
    if (mandate.state === MandateState.MANDATE_STATE_UNCONFIRMED)
      return refused(id, 'state.conflict', 'A mandate that was never confirmed has nothing to run off.');
  }
  // A school may say so without being asked.
  return reviewed({ ...(review ?? { ...opened, endsOn: '' }), state, answeredMs: BigInt(nowMs), byOin });
}

/** When a question ends by itself, Unix milliseconds; undefined = never. */
export const lapseOf = ({ state, endsOn }: MandateReview): number | undefined =>
  state === 'open' && endsOn !== '' ? endOfDutchDay(endsOn) : undefined;

/** The last day to answer is over: the mandate is to end. Nothing, where there was an answer or the day is still to come. */
export const lapses = (review: MandateReview, nowMs: number): boolean => {
  const at = lapseOf(review);
  return at !== undefined && at <= nowMs;
};

/** The question about a mandate that has ended needs no answer. */
export const closedWith = (review: MandateReview, nowMs: number, state: 'lapsed' | 'closed'): PartyEvent =>
  reviewed({ ...review, state, answeredMs: BigInt(nowMs) });
