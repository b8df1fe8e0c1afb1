/**
 * What each party sent and what of it was refused, by day: counted with the flow that changes, so that whatever order the lanes are
 * read in gives the same sum. Days older than two months become months, months three years old go.
 */
import type { Unit } from '#bus';
import { dutchDay, intoMonths, isOfDays } from '#kernel';
import type { ListScoresRequest, SenderScoreRow } from '#proto/eduk/flows/v1/flows';
import { stateOf } from './flow.ts';
import { type FlowTableRow, type ScoreRow, scores } from './tables.ts';

/** Lane of what doors refused. */
const DOOR = 'door';
/** Rows of one party and lane: days and months, with room for those that came late. */
const MOST_ROWS = 500;
/** Rows of one party: so many lanes are there, each with its days and months. */
const MOST_OF_PARTY = 50_000;

type Writer = Pick<Unit, 'get' | 'list' | 'put' | 'remove'>;
type Counts = Readonly<Record<string, number>>;

/** A flow changed, as a record of this lane said. */
export function score(unit: Writer, lane: string, before: FlowTableRow | undefined, after: FlowTableRow): void {
  const { party, acceptedMs } = after;
  // The question is not known yet: it is counted with it.
  if (party === '') return;
  const was = before?.party ? refusalOf(before) : undefined;
  const is = refusalOf(after);
  const isNew = !before?.party;
  if (!isNew && was === is) return;
  add(unit, party, lane, dutchDay(acceptedMs), {
    accepted: isNew ? 1 : 0,
    refused: merged(is === undefined ? {} : { [is]: 1 }, was === undefined ? {} : { [was]: -1 }),
    lastMs: isNew ? acceptedMs : 0,
  });
}

const refusalOf = (flow: FlowTableRow): string | undefined =>
  stateOf(flow) === 'refused' ? flow.code || 'gateway.bug' : undefined;

/** Refused at a door: `times` messages of a party. */
export function scoreAtDoor(unit: Writer, party: string, code: string, atMs: number, times: number): void {
  if (party === '') return;
  add(unit, party, DOOR, dutchDay(atMs), { accepted: 0, refused: { [code]: times }, lastMs: 0 });
}

function add(
  unit: Writer,
  party: string,
  lane: string,
  day: string,
  more: Pick<ScoreRow, 'accepted' | 'refused' | 'lastMs'>,
): void {
  const before = unit.get(scores, party, lane, day);
  if (before === undefined) fold(unit, party, lane, day);
  const row = before ?? { party, lane, day, accepted: 0, refused: {}, lastMs: 0 };
  unit.put(scores, sum(row, more));
}

const sum = (row: Readonly<ScoreRow>, more: Pick<ScoreRow, 'accepted' | 'refused' | 'lastMs'>): ScoreRow => ({
  ...row,
  accepted: row.accepted + more.accepted,
  refused: merged(row.refused, more.refused),
  lastMs: Math.max(row.lastMs, more.lastMs),
});

/** Counts put together, in the order of their names, without those that came to nothing. */
function merged(...all: readonly Counts[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const counts of all) for (const [name, n] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + n;
  return Object.fromEntries(
    Object.entries(sums)
      .filter(([, n]) => n !== 0)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** With the first message of a new day, what is old of the same lane is put together by month. */
function fold(unit: Writer, party: string, lane: string, today: string): void {
  const rows = unit.list(scores, { equals: [party, lane], limit: MOST_ROWS });
  const { gone, months } = intoMonths(rows, today, sum);
  for (const { day } of gone) unit.remove(scores, party, lane, day);
  for (const row of months) unit.put(scores, row);
}

/** What a party sent from a day until a day: months where days are not kept any more, each where any day of it is asked for. */
export function listScores(
  reader: Pick<Unit, 'list'>,
  { partyOin, fromDay, untilDay }: ListScoresRequest,
): SenderScoreRow[] {
  const days = new Map<string, { accepted: number; refused: Counts; atDoor: Counts; lastMs: number }>();
  for (const { lane, day, accepted, refused, lastMs } of reader.list(scores, {
    equals: [partyOin],
    limit: MOST_OF_PARTY,
  })) {
    if (!isOfDays(day, fromDay, untilDay)) continue;
    const known = days.get(day) ?? { accepted: 0, refused: {}, atDoor: {}, lastMs: 0 };
    days.set(day, {
      accepted: known.accepted + accepted,
      refused: lane === DOOR ? known.refused : merged(known.refused, refused),
      atDoor: lane === DOOR ? merged(known.atDoor, refused) : known.atDoor,
      lastMs: Math.max(known.lastMs, lastMs),
    });
  }
  const counts = (of: Counts) => Object.entries(of).map(([code, n]) => ({ code, times: BigInt(Math.max(0, n)) }));
  return [...days]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([day, { accepted, refused, atDoor, lastMs }]) => ({
      day,
      accepted: BigInt(accepted),
      refused: counts(refused),
      refusedAtDoor: counts(atDoor),
      lastMs: BigInt(lastMs),
    }));
}
