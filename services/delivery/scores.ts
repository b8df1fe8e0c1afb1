/**
 * How it goes with each endpoint, by day: counted with the outcome of each request, in its transaction. Days older than two months
 * become months, months three years old go.
 */
import { dutchDay, intoMonths, isOfDays, mergedSpread, type Spread, withTime } from '#kernel';
import type { EndpointScoreRow, ListScoresRequest } from '#proto/eduk/delivery/v1/delivery';
import type { Writer } from './mailbox.ts';
import { type ScoreRow, scores } from './tables.ts';

/** Rows of one endpoint: days and months. */
const MOST_ROWS = 500;
/** Ways to fail that one row tells apart: a receiver chooses its statuses. */
const MOST_CAUSES = 40;
const OTHER = 'other';

/** One request, as it ended. */
export interface Request {
  party: string;
  standard: string;
  /** Empty = it was taken. */
  failure: string;
  /** Its rows were sent before, or may have been. */
  isAgain: boolean;
  /** 0 = it was not measured. */
  tookMs: number;
  /** How old each message is that was taken. */
  ages: readonly number[];
}

export function score(unit: Writer, { party, standard, failure, isAgain, tookMs, ages }: Request): void {
  const day = dutchDay(unit.now);
  const before = unit.get(scores, party, standard, day);
  if (before === undefined) fold(unit, party, standard, day);
  const row = before ?? emptyRow(party, standard, day);
  unit.put(
    scores,
    sum(row, {
      requests: 1,
      again: isAgain ? 1 : 0,
      failed: failure === '' ? 0 : 1,
      delivered: ages.length,
      failures: failure === '' ? {} : { [failure]: 1 },
      answers: tookMs > 0 ? withTime({}, tookMs) : {},
      ages: ages.reduce<Spread>((spread, age) => withTime(spread, age), {}),
      lastMs: ages.length > 0 ? unit.now : 0,
    }),
  );
}

const emptyRow = (party: string, standard: string, day: string): ScoreRow => ({
  party,
  standard,
  day,
  requests: 0,
  again: 0,
  failed: 0,
  delivered: 0,
  failures: {},
  answers: {},
  ages: {},
  lastMs: 0,
});

type Counted = Omit<ScoreRow, 'party' | 'standard' | 'day'>;

const sum = (row: Readonly<ScoreRow>, more: Counted): ScoreRow => ({
  ...row,
  requests: row.requests + more.requests,
  again: row.again + more.again,
  failed: row.failed + more.failed,
  delivered: row.delivered + more.delivered,
  failures: boundedCauses(row.failures, more.failures),
  answers: mergedSpread(row.answers, more.answers),
  ages: mergedSpread(row.ages, more.ages),
  lastMs: Math.max(row.lastMs, more.lastMs),
});

function boundedCauses(
  known: Readonly<Record<string, number>>,
  more: Readonly<Record<string, number>>,
): Record<string, number> {
  const sums = { ...known };
  for (const [cause, n] of Object.entries(more)) {
    const name = Object.hasOwn(sums, cause) || Object.keys(sums).length < MOST_CAUSES ? cause : OTHER;
    sums[name] = (sums[name] ?? 0) + n;
  }
  return sums;
}

/** With the first request of a new day, what is old of the same endpoint is put together by month. */
function fold(unit: Writer, party: string, standard: string, today: string): void {
  const rows = unit.list(scores, { equals: [party, standard], limit: MOST_ROWS });
  const { gone, months } = intoMonths(rows, today, sum);
  for (const { day } of gone) unit.remove(scores, party, standard, day);
  for (const row of months) unit.put(scores, row);
}

/** Rows of a party from a day until a day: months where days are not kept any more, each where any day of it is asked for. */
export function listScores(
  reader: Pick<Writer, 'list'>,
  { partyOin, fromDay, untilDay }: ListScoresRequest,
): EndpointScoreRow[] {
  return reader
    .list(scores, { equals: [partyOin], limit: 10 * MOST_ROWS })
    .filter(({ day }) => isOfDays(day, fromDay, untilDay))
    .map((row) => ({
      standard: row.standard,
      day: row.day,
      requests: BigInt(row.requests),
      again: BigInt(row.again),
      failed: BigInt(row.failed),
      delivered: BigInt(row.delivered),
      failures: Object.entries(row.failures).map(([cause, n]) => ({ cause, times: BigInt(n) })),
      answers: classesOf(row.answers),
      ages: classesOf(row.ages),
      lastMs: BigInt(row.lastMs),
    }));
}

const classesOf = (spread: Spread) =>
  Object.entries(spread).map(([at, n]) => ({ class: Number(at), times: BigInt(n) }));
