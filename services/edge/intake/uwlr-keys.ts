/**
 * Ids of results that come over UWLR. Their key is unique within its message (UWLR 2.2 §3.6), and says no more: many senders count
 * keys anew in each. So a result is known by its key, its learner and the work, unless it is known that the sender's keys last.
 * All cases: docs/decisions/0058-a-key-of-uwlr-holds-within-its-message.md.
 */
import { dutchDay, type HmacKey, MOST_OF_KEY, resultIdFor } from '#kernel';
import type { Result } from '#proto/eduk/core/v1/result';
import type { ResultKeys } from '../administrations/settings.ts';

/** An id as events hold them. */
const ID = /^[\w.:/+#=~@-]{1,64}$/;
/** A key that nobody counts: it holds a UUID, so it names one thing for good. */
const UUID = /[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}/i;

export interface KeyedBy {
  habit: ResultKeys;
  digestKey: HmacKey;
  partyOin: string;
}

/** Any text may be a key; one that is no id here is kept as its keyed digest, which is the same for a repeat. */
function nameOf(key: string, { digestKey, partyOin }: KeyedBy, most: number): string {
  if (ID.test(key) && key.length <= most) return key;
  return `k-${digestKey.digest(`uwlr result|${partyOin}|${key}`).toString('base64url').slice(0, 32)}`;
}

/**
 * What each result of a message is called before it is known whose it is; in its order. `fresh`: not by its key, but as the how
 * manieth of the same work of the same pupil it stands in the message.
 */
export function keysOfMessage(results: readonly Result[], by: KeyedBy): string[] {
  if (by.habit !== 'fresh')
    return results.map(({ resultId }) => nameOf(resultId, by, by.habit === 'lasting' ? 64 : MOST_OF_KEY));
  const times = new Map<string, number>();
  return results.map(({ learner, payload }) => {
    const one = JSON.stringify([learner?.eckId, learner?.lasKey, payload?.activityId, payload?.partId, dayOf(payload)]);
    const nth = (times.get(one) ?? 0) + 1;
    times.set(one, nth);
    return `n${nth}`;
  });
}

/** The id of a result once its learner is known; `key` as `keysOfMessage` says. */
export function uwlrResultId(key: string, { schoolOin, result }: Asked, learner: string, by: KeyedBy): string {
  if (by.habit === 'lasting') return key;
  if (by.habit === 'message' && UUID.test(key)) return resultIdFor(key, learner);
  const { activityId = '', partId = '' } = result?.payload ?? {};
  const work = JSON.stringify([by.partyOin, schoolOin, activityId, partId, dayOf(result?.payload)]);
  return resultIdFor(key, learner, by.digestKey.digest(`uwlr work|${work}`));
}

interface Asked {
  schoolOin: string;
  result?: Result | undefined;
}

/** The day of the work, however its moment was written. */
function dayOf(payload: Result['payload']): string {
  const at = payload?.takenAt ?? '';
  if (at.length <= 10) return at;
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? at : dutchDay(ms);
}
