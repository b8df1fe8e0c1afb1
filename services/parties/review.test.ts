import { expect, test } from 'vitest';
import { dutchDay } from '#kernel';
import { Mandate, type MandateReview, MandateState, Service } from '#proto/eduk/core/v1/party';
import { type MandateReviewed, MandateReviewSubmitted } from '#proto/eduk/events/v1/parties';
import { decideReview, lapseOf, lapses } from './review.ts';

const SCHOOL = '0000000700099ZZ00000';
const PARTY = '00000003123456780000';
const NOW = Date.UTC(2026, 10, 22, 12);
const DAY_MS = 86_400_000;
const mandate = Mandate.fromPartial({
  mandateId: 'm-1',
  schoolOin: SCHOOL,
  partyOin: PARTY,
  services: [Service.SERVICE_ROSTER],
  state: MandateState.MANDATE_STATE_ACTIVE,
});
const ask = (change: string, more: Partial<MandateReviewSubmitted> = {}) =>
  MandateReviewSubmitted.fromPartial({ schoolOin: SCHOOL, mandateId: 'm-1', change, byOin: SCHOOL, ...more });
const reviewOf = (event: ReturnType<typeof decideReview>): MandateReview => (event.value as MandateReviewed).review!;
const opened = (more: Partial<MandateReviewSubmitted> = {}): MandateReview =>
  reviewOf(decideReview(undefined, mandate, ask('open', { lastUsedOn: '2026-06-01', ...more }), NOW));

test('a question names the mandate as it is and when it was used last', () => {
  expect(opened()).toEqual({
    mandateId: 'm-1',
    schoolOin: SCHOOL,
    partyOin: PARTY,
    services: [Service.SERVICE_ROSTER],
    lastUsedOn: '2026-06-01',
    openedMs: BigInt(NOW),
    state: 'open',
    answeredMs: 0n,
    byOin: '',
    endsOn: '',
  });
  expect(decideReview(opened(), mandate, ask('open'), NOW + 5)).toEqual({
    type: 'MandateReviewed',
    value: { review: opened(), unchanged: true },
  });
});

const ended = { ...mandate, state: MandateState.MANDATE_STATE_ENDED };
const unconfirmed = { ...mandate, state: MandateState.MANDATE_STATE_UNCONFIRMED };

test.each([
  ['keep', 'kept', ''],
  ['narrow', 'narrowed', ''],
  ['end', 'ended', ''],
  ['end', 'ended', '2026-12-31'],
])('the answer %s stands as %s, with who gave it, asked or not', (answer, state, endsOn) => {
  for (const review of [opened(), undefined]) {
    const answered = reviewOf(decideReview(review, mandate, ask(answer, { endsOn }), NOW + 9));
    expect(answered).toMatchObject({ state, byOin: SCHOOL, answeredMs: BigInt(NOW + 9), endsOn: '' });
    if (answer !== 'keep')
      expect(decideReview(answered, ended, ask(answer), NOW + 10).value).toMatchObject({ unchanged: true });
  }
});

test('a year later the question is a new one', () => {
  const kept = reviewOf(decideReview(opened(), mandate, ask('keep'), NOW + 9));
  const later = NOW + 365 * DAY_MS;
  expect(reviewOf(decideReview(kept, mandate, ask('open'), later))).toMatchObject({
    state: 'open',
    openedMs: BigInt(later),
    byOin: '',
    answeredMs: 0n,
  });
});

test.each([
  ['a mandate that is not there', undefined, ask('open'), 'state.missing'],
  ['asking about a mandate that has ended', ended, ask('open'), 'mandate.ended'],
  ['a last day that is past', mandate, ask('open', { endsOn: '2026-11-21' }), 'wire.invalid'],
  ['keeping what has ended', ended, ask('keep'), 'mandate.ended'],
  ['ending what has ended', ended, ask('end'), 'mandate.ended'],
  ['a run-off that is past', mandate, ask('end', { endsOn: '2026-11-21' }), 'wire.invalid'],
  ['a run-off of what never ran', unconfirmed, ask('end', { endsOn: '2026-12-31' }), 'state.conflict'],
  ['another answer', mandate, ask('maybe'), 'wire.invalid'],
])('%s is refused', (_name, now, submitted, code) => {
  const event = decideReview(undefined, now, submitted, NOW);
  expect(event).toMatchObject({ type: 'PartyChangeRefused', value: { subject: 'm-1', code } });
});

test('nothing ends by itself, unless a last day was set and is over', () => {
  expect(lapseOf(opened())).toBeUndefined();
  const review = opened({ endsOn: '2026-12-31' });
  const at = lapseOf(review)!;
  expect(dutchDay(at - 1)).toBe('2026-12-31');
  expect([lapses(review, at - 1), lapses(review, at)]).toEqual([false, true]);
  expect(lapses({ ...review, state: 'kept' }, at)).toBe(false);
});
