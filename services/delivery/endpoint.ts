/**
 * How an endpoint is treated by what it answered: pure decisions over its row. It rests when it fails, longer each time,
 * and is then tried with one request. A message fails by itself only where the endpoint takes others.
 */
import { hash } from 'node:crypto';
import { type EndpointRow, NEVER } from './tables.ts';

/** Requests under way to one endpoint at once, and how many of them may be repeats of keys that failed. */
export const MOST_REQUESTS = 8;
export const MOST_REPEATS = 2;
/** After so many doubtful failures without a success the endpoint rests. */
export const MOST_DOUBTS = 3;
/** A key parks after so many failed attempts, if the endpoint took something else meanwhile; in any case after the time. */
export const MOST_FAILURES = 8;
export const LONGEST_TRY_MS = 3 * 86_400_000;

const LEAST_WAIT_MS = 100;
const REST_MS = 500;
const LONGEST_REST_MS = 60_000;
const KEY_WAIT_MS = 1_000;
const LONGEST_KEY_WAIT_MS = 600_000;
/** What a receiver may ask for in Retry-After. */
const LONGEST_ASKED_MS = 3_600_000;

/** Repeats: so many at once, so many a second, and so many for each request that went well. */
const MOST_TOKENS = 20;
const TOKENS_A_SECOND = 2;
const TOKENS_A_SUCCESS = 0.2;

export const newEndpoint = (party: string, standard: string, url: string): EndpointRow => ({
  party,
  standard,
  url,
  gone: 0,
  doubts: 0,
  rests: 0,
  restUntilMs: 0,
  failedMs: 0,
  succeededMs: 0,
  status: 0,
  cause: '',
  tokens: MOST_TOKENS,
  tokensMs: 0,
  ahead: 0,
  full: 0,
  dueMs: NEVER,
});

/** What an answer, or none, says. */
export type Verdict =
  /** Taken. */
  | 'taken'
  /** The endpoint takes nothing now, whatever it is: the same request is made again later. */
  | 'endpoint'
  /** The endpoint or one of the messages; the messages are tried by themselves. */
  | 'doubt'
  /** It is the message: no repeat helps. */
  | 'message'
  /** The endpoint will not come back. */
  | 'gone';

/** Statuses below 500 that speak of the endpoint: who we are, where it is, whether it has time. */
const OF_ENDPOINT = new Set([401, 403, 404, 407, 408, 421, 425, 429, 502, 503, 504]);

/** `status` 0 = no answer, and `cause` says why. */
export function verdictOf(status: number, cause: string): Verdict {
  // Bytes may have reached it: what happened there nobody knows.
  if (status === 0) return cause === 'timeout' || cause === 'reset' ? 'doubt' : 'endpoint';
  if (status >= 200 && status < 300) return 'taken';
  if (status === 410) return 'gone';
  // A redirect is never followed: it could lead the messages anywhere.
  if (status < 400 || OF_ENDPOINT.has(status)) return 'endpoint';
  return status < 500 ? 'message' : 'doubt';
}

/** 0 ≤ x < 1, the same for the same seed: a decider draws no lots. */
export const drawn = (seed: string): number => hash('sha256', seed, 'buffer').readUInt32BE(0) / 2 ** 32;

/** Exponential with full jitter, so that those who failed together do not come back together. */
const wait = (baseMs: number, factor: number, mostMs: number, times: number, seed: string): number =>
  Math.max(LEAST_WAIT_MS, Math.round(drawn(seed) * Math.min(mostMs, baseMs * factor ** Math.min(times - 1, 30))));

/** How long a key waits after its `failures`th failure. */
export const keyWaitMs = (failures: number, seed: string): number =>
  wait(KEY_WAIT_MS, 3, LONGEST_KEY_WAIT_MS, failures, seed);

/** How long an endpoint rests the `rests`th time. */
export const restMs = (rests: number, seed: string): number => wait(REST_MS, 2, LONGEST_REST_MS, rests, seed);

/** Whether a key that failed is tried no more by itself. */
export function parksKey(failures: number, sinceMs: number, endpoint: Pick<EndpointRow, 'succeededMs'>, now: number) {
  // While the endpoint takes nothing at all, no message is to blame.
  return (failures >= MOST_FAILURES && endpoint.succeededMs > sinceMs) || now - sinceMs > LONGEST_TRY_MS;
}

/** An attempt as an endpoint's row needs it. */
export interface Answered {
  verdict: Verdict;
  status: number;
  cause: string;
  retryAfterS: number;
  startedMs: number;
  /** No attempt of its key failed before. */
  first: boolean;
  /** For the jitter: another for each attempt. */
  seed: string;
}

/** The row after an answer. Of requests that were under way together when it failed, one counts. */
export function afterAnswer(row: EndpointRow, answer: Answered, now: number): EndpointRow {
  const { verdict, status, cause } = answer;
  if (verdict === 'taken')
    return {
      ...row,
      doubts: 0,
      rests: 0,
      restUntilMs: 0,
      status: 0,
      cause: '',
      succeededMs: now,
      tokens: Math.min(MOST_TOKENS, row.tokens + TOKENS_A_SUCCESS),
    };
  const failed = { ...row, status, cause };
  if (verdict === 'gone') return { ...failed, gone: 1, failedMs: now };
  // What the message is to blame for says that the endpoint is there.
  if (verdict === 'message') return { ...row, doubts: 0, rests: 0 };
  if (answer.startedMs < row.failedMs) return asked(failed, answer, now);
  // A key that keeps failing says nothing new of its endpoint.
  if (verdict === 'doubt' && !answer.first && row.rests === 0) return asked(row, answer, now);
  const doubts = verdict === 'doubt' ? row.doubts + 1 : row.doubts;
  if (verdict === 'doubt' && doubts < MOST_DOUBTS && row.rests === 0)
    return asked({ ...failed, doubts, failedMs: now }, answer, now);
  const rests = row.rests + 1;
  const until = now + restMs(rests, answer.seed);
  return asked({ ...failed, doubts, rests, failedMs: now, restUntilMs: Math.max(row.restUntilMs, until) }, answer, now);
}

/** With what the receiver asked for, and a bit more, so that not all come at the same moment. */
function asked(row: EndpointRow, { retryAfterS, seed }: Answered, now: number): EndpointRow {
  if (retryAfterS <= 0) return row;
  const ms = Math.min(retryAfterS * 1000, LONGEST_ASKED_MS);
  const until = now + Math.round(ms * (1 + drawn(seed) / 10));
  return { ...row, rests: Math.max(1, row.rests), restUntilMs: Math.max(row.restUntilMs, until) };
}

/** How many more requests it may have now. */
export function roomOf(row: EndpointRow, underWay: number, now: number): number {
  if (row.gone || row.restUntilMs > now) return 0;
  return Math.max(0, (row.rests > 0 ? 1 : MOST_REQUESTS) - underWay);
}

/** Takes one repeat from the budget: the row after it, or when there is one again. */
export function spend(row: EndpointRow, now: number): { row: EndpointRow } | { atMs: number } {
  // A clock that went back gives nothing.
  const since = row.tokensMs === 0 ? 0 : Math.max(0, now - row.tokensMs);
  const tokens = Math.min(MOST_TOKENS, row.tokens + (since / 1000) * TOKENS_A_SECOND);
  if (tokens < 1) return { atMs: now + Math.ceil(((1 - tokens) / TOKENS_A_SECOND) * 1000) };
  return { row: { ...row, tokens: tokens - 1, tokensMs: now } };
}
