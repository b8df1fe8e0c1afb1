/**
 * How an endpoint is treated by what it answered: pure decisions over its row. It rests when it fails, longer each time,
 * and is then tried with one request. A message fails by itself only where the endpoint takes others. How many requests it
 * has at once is found out: more while it takes all of them, fewer when it says that they are too many.
 */
import { hash } from 'node:crypto';
import { UWLR } from '#kernel';
import { type EndpointRow, NEVER } from './tables.ts';

/** Requests under way at once to an endpoint of which nothing is known yet, and at most, where its party says nothing. */
export const FIRST_WIDTH = 4;
export const MOST_WIDTH = 64;
/** At most to an endpoint of UWLR: administrations work a message through before they answer. */
export const MOST_WIDTH_UWLR = 8;
/** After so many requests were taken at full width since the last that were too many, one more is tried: under 1 % of all. */
export const STEADY = 110;
/** How much wider for each request that was taken, as long as none were too many: half as much again each round. */
const WIDENS = 0.5;
/** How many of the requests under way may be repeats of keys that failed. */
export const MOST_REPEATS = 2;
/** Requests that may go at once where a pace is set: what falls into so long. */
const PACE_BURST_MS = 100;
/** A pace that is used up for longer was noted by another clock. */
const LONGEST_PACE_MS = 2_000;
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
/** A school that was refused is tried again after so long. */
export const SCHOOL_WAIT_MS = 3_600_000;
/** What a receiver may ask for in Retry-After. */
const LONGEST_ASKED_MS = 3_600_000;

/** Repeats: so many at once, so many a second, and so many for each request that went well. */
const MOST_TOKENS = 20;
const TOKENS_A_SECOND = 2;
const TOKENS_A_SUCCESS = 0.2;

/** What a party says of its endpoint: requests under way at once, and a second; 0 = it says nothing. */
export type Limits = Pick<EndpointRow, 'mostAtOnce' | 'perSecond'>;
export const NO_LIMITS: Limits = { mostAtOnce: 0, perSecond: 0 };

export const newEndpoint = (party: string, standard: string, url: string, limits = NO_LIMITS): EndpointRow => ({
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
  ...limits,
  width: FIRST_WIDTH,
  narrowed: 0,
  steady: 0,
  paceMs: 0,
  replay: '',
});

/** How wide an endpoint may become. */
export const mostOf = ({ standard, mostAtOnce }: Pick<EndpointRow, 'standard' | 'mostAtOnce'>): number =>
  mostAtOnce || (standard === UWLR ? MOST_WIDTH_UWLR : MOST_WIDTH);

/** Requests that may be under way to it at once, while it is well. A row of an earlier release has none noted. */
export const widthOf = (row: EndpointRow): number =>
  Math.max(1, Math.min(mostOf(row), Math.floor(row.width || FIRST_WIDTH)));

/** What an answer, or none, says. */
export type Verdict =
  /** Taken. */
  | 'taken'
  /** The endpoint takes nothing now, whatever it is: the same request is made again later. */
  | 'endpoint'
  /** These are too many at once: the same request is made again as soon as others are answered. */
  | 'busy'
  /** The endpoint or one of the messages; the messages are tried by themselves. */
  | 'doubt'
  /** It is the message: no repeat helps. */
  | 'message'
  /** It is the school: its mail is not taken, that of others is. */
  | 'school'
  /** The endpoint will not come back. */
  | 'gone';

/** Statuses below 500 that speak of the endpoint: who we are, where it is, whether it has time. */
const OF_ENDPOINT = new Set([401, 403, 404, 407, 408, 421, 425, 502, 503, 504]);
export const TOO_MANY = 429;

/** What the standard of an endpoint may say by itself of how far an answer reaches. */
const REACHES: ReadonlySet<string> = new Set<Verdict>(['endpoint', 'doubt', 'message', 'school']);
export const isReach = (reach: string): reach is Verdict => REACHES.has(reach);

/** `status` 0 = no answer, and `cause` says why. */
export function verdictOf(status: number, cause: string): Verdict {
  // Bytes may have reached it: what happened there nobody knows.
  if (status === 0) return cause === 'timeout' || cause === 'reset' ? 'doubt' : 'endpoint';
  if (status >= 200 && status < 300) return 'taken';
  if (status === 410) return 'gone';
  if (status === TOO_MANY) return 'busy';
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
  /** It had as many requests as it may have. */
  isFull: boolean;
  /** Other requests that it had meanwhile, without those that were too many as well. */
  others: number;
  /** For the jitter: another for each attempt. */
  seed: string;
}

/** The row after an answer. Of requests that were under way together when it failed, one counts. */
export function afterAnswer(row: EndpointRow, answer: Answered, now: number): EndpointRow {
  const { verdict, status, cause } = answer;
  if (verdict === 'taken')
    return {
      ...row,
      ...(answer.isFull ? widened(row) : {}),
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
  // What the message or its school is to blame for says that the endpoint is there.
  if (verdict === 'message' || verdict === 'school') return { ...row, doubts: 0, rests: 0 };
  // It takes the others: these were too many by one. Who has none and says so takes nothing now.
  if (verdict === 'busy' && answer.others > 0)
    return asked({ ...failed, ...narrowed(row, answer.others) }, answer, now);
  if (answer.startedMs < row.failedMs) return asked(failed, answer, now);
  // A key that keeps failing says nothing new of its endpoint.
  if (verdict === 'doubt' && !answer.first && row.rests === 0) return asked(row, answer, now);
  const doubts = verdict === 'doubt' ? row.doubts + 1 : row.doubts;
  if (verdict === 'doubt' && doubts < MOST_DOUBTS && row.rests === 0)
    return asked({ ...failed, doubts, failedMs: now }, answer, now);
  const rests = row.rests + 1;
  const until = now + restMs(rests, answer.seed);
  const rested = { ...failed, ...afterRest(row, answer), doubts, rests, failedMs: now };
  return asked({ ...rested, restUntilMs: Math.max(row.restUntilMs, until) }, answer, now);
}

type Width = Pick<EndpointRow, 'width' | 'narrowed' | 'steady'>;

/** One more was taken at full width. */
function widened(row: EndpointRow): Partial<Width> {
  // Once in doubt it is no time for more.
  if (row.rests > 0) return {};
  const width = row.width || FIRST_WIDTH;
  const before = row.narrowed || 0;
  const most = mostOf(row);
  // Fast up to where it was too much, and then one at a time, seldom enough that few are refused.
  if (before === 0 || width < before) return { width: Math.min(most, before || most, width + WIDENS) };
  const steady = (row.steady || 0) + 1;
  return steady < STEADY ? { steady } : { width: Math.min(most, Math.floor(width) + 1), steady: 0 };
}

/** So many are taken and no more. */
function narrowed(row: EndpointRow, others: number): Width {
  const width = Math.max(1, Math.min(widthOf(row), others));
  return { width, narrowed: width, steady: 0 };
}

/**
 * Whoever comes back from a rest has much waiting for it: it begins with one request, and has as many as before once it took
 * them; half as many where it gave no answer in time, which may have been too much for it.
 */
function afterRest(row: EndpointRow, { verdict, status, cause }: Answered): Partial<Width> {
  if (row.rests > 0) return { width: 1, steady: 0 };
  if (verdict === 'busy') return { width: 1, narrowed: 1, steady: 0 };
  const width = widthOf(row);
  const isSlow = status === 0 && cause === 'timeout';
  return { width: 1, narrowed: isSlow ? Math.max(1, width >> 1) : Math.max(row.narrowed || 0, width), steady: 0 };
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
  return Math.max(0, Math.min((row.rests > 0 ? 1 : widthOf(row)) - underWay, paceOf(row, now)));
}

/** Until when its pace is used up. */
const pacedMs = ({ paceMs }: EndpointRow, now: number): number =>
  !paceMs || paceMs > now + LONGEST_PACE_MS ? now : Math.max(paceMs, now);

/** How many requests the pace that its party set leaves now. */
function paceOf(row: EndpointRow, now: number): number {
  if (!row.perSecond) return Number.POSITIVE_INFINITY;
  const eachMs = 1000 / row.perSecond;
  return Math.floor((now + Math.max(eachMs, PACE_BURST_MS) - pacedMs(row, now)) / eachMs + 1e-6);
}

/** The row once so many requests were started, and when its pace leaves the next one; undefined = whenever it likes. */
export function pace(
  row: EndpointRow,
  requests: number,
  now: number,
): { row: EndpointRow; nextMs: number | undefined } {
  if (!row.perSecond) return { row, nextMs: undefined };
  const eachMs = 1000 / row.perSecond;
  const next = requests === 0 ? row : { ...row, paceMs: pacedMs(row, now) + requests * eachMs };
  if (paceOf(next, now) > 0) return { row: next, nextMs: undefined };
  return { row: next, nextMs: Math.ceil(pacedMs(next, now) + eachMs - Math.max(eachMs, PACE_BURST_MS)) };
}

/** The breaker, as its row has it: `half_open` = it is tried with one request. */
export const breakerOf = ({ gone, rests, restUntilMs }: EndpointRow, now: number): 'closed' | 'open' | 'half_open' =>
  gone || restUntilMs > now ? 'open' : rests > 0 ? 'half_open' : 'closed';

/** Takes one repeat from the budget: the row after it, or when there is one again. */
export function spend(row: EndpointRow, now: number): { row: EndpointRow } | { atMs: number } {
  // A clock that went back gives nothing.
  const since = row.tokensMs === 0 ? 0 : Math.max(0, now - row.tokensMs);
  const tokens = Math.min(MOST_TOKENS, row.tokens + (since / 1000) * TOKENS_A_SECOND);
  if (tokens < 1) return { atMs: now + Math.ceil(((1 - tokens) / TOKENS_A_SECOND) * 1000) };
  return { row: { ...row, tokens: tokens - 1, tokensMs: now } };
}
