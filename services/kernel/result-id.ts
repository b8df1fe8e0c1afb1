/**
 * Ids of results that came under a key of their sender's which need not name one result for good: the key, which stays to be read,
 * then `~`, whose result it is, and which work it is about. The parts are short digests, different for each key, so that nobody
 * who sees two ids learns that they are of one learner.
 */
import { createHash } from 'node:crypto';

/** Characters of 6 bits each. */
const OF_LEARNER = 10;
const OF_WORK = 14;
/** A key up to here stands in the id as it is, since an id has 64 characters. */
export const MOST_OF_KEY = 64 - 1 - OF_LEARNER - OF_WORK;
const FORM = new RegExp(`^(.+)~([\\w-]{${OF_LEARNER}})([\\w-]{${OF_WORK}})?$`);

/** `work`: a keyed digest of what was done; empty = the key stands for one piece of work of each learner. */
export function resultIdFor(key: string, learner: string, work: Uint8Array = new Uint8Array(0)): string {
  return withLearner(key, learner, Buffer.from(work).toString('base64url').slice(0, OF_WORK));
}

const withLearner = (key: string, learner: string, work: string): string =>
  `${key}~${createHash('sha256').update(`${key}~${work}~${learner}`).digest('base64url').slice(0, OF_LEARNER)}${work}`;

/** The same result under another token of its learner; undefined for an id that says of no learner. */
export function resultIdUnder(resultId: string, learner: string): string | undefined {
  const [, key, , work = ''] = FORM.exec(resultId) ?? [];
  return key === undefined ? undefined : withLearner(key, learner, work);
}

/** The key that the sender gave; the id itself where it is no more than that. */
export const senderKeyOf = (resultId: string): string => FORM.exec(resultId)?.[1] ?? resultId;
