/**
 * What each party sent and what of it was refused, by day: counted with the flow that changes, so that whatever order the lanes are
 * read in gives the same sum. Days older than two months become months, months three years old go.
 */
import { together, type Unit } from '#bus';
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

/** What an operator asked for and was refused is between the operator and us: no party is the worse for it. */
const hasScore = (party: string): boolean => party !== '' && party !== 'operator';

type Writer = Pick<Unit, 'get' | 'list' | 'put' | 'remove'>;
type Counts = Readonly<Record<string, number>>;

/** So many flows of a sender that were accepted at one moment, and that a lane told of. */
export interface Accepted {
  acceptedMs: number;
  party: string;
  method: string;
  lane: string;
  times: number;
}

/** So many flows of a sender, accepted on one day, that a lane said are refused; below 0 = no longer. */
export interface Refused {
  day: string;
  party: string;
  lane: string;
  code: string;
  times: number;
}

/** Stands between the parts of what is gathered; no text of a row has it. */
const BETWEEN = '\0';

/** A flow changed, as a record of this lane said: that is gathered, and counted once a group. */
export function score(
  unit: Pick<Unit, 'gather'>,
  lane: string,
  before: FlowTableRow | undefined,
  after: FlowTableRow,
): void {
  const { acceptedMs, party, method, asked } = after;
  // The question is not known yet: it is counted with it.
  if (asked === 0) return;
  const isNew = !before?.asked;
  if (isNew) unit.gather(['accepted', acceptedMs, party, lane, method].join(BETWEEN), 1);
  const was = isNew ? undefined : refusalOf(before);
  const is = refusalOf(after);
  if (was === is || !hasScore(party)) return;
  const of = ['refused', dutchDay(acceptedMs), party, lane, ''].join(BETWEEN);
  if (is !== undefined) unit.gather(of + is, 1);
  if (was !== undefined) unit.gather(of + was, -1);
}

/** What `score` gathered. */
export function gathered(sums: ReadonlyMap<string, number>): { accepted: Accepted[]; refused: Refused[] } {
  const accepted: Accepted[] = [];
  const refused: Refused[] = [];
  for (const [name, times] of sums) {
    const [kind, when = '', party = '', lane = '', what = ''] = name.split(BETWEEN);
    if (kind === 'accepted') accepted.push({ acceptedMs: Number(when), party, lane, method: what, times });
    else refused.push({ day: when, party, lane, code: what, times });
  }
  return { accepted, refused };
}

/** Within a group, after its records. */
export function addScores(unit: Writer, accepted: readonly Accepted[], refused: readonly Refused[]): void {
  const rows = new Map<string, ScoreRow>();
  const note = (party: string, lane: string, day: string, more: Parameters<typeof sum>[1]): void => {
    const name = [party, lane, day].join(BETWEEN);
    rows.set(name, sum(rows.get(name) ?? { party, lane, day, accepted: 0, refused: {}, lastMs: 0 }, more));
  };
  for (const { party, lane, acceptedMs, times } of accepted)
    if (hasScore(party)) note(party, lane, dutchDay(acceptedMs), { accepted: times, refused: {}, lastMs: acceptedMs });
  for (const { party, lane, day, code, times } of refused)
    note(party, lane, day, { accepted: 0, refused: { [code]: times }, lastMs: 0 });
  together(rows.values(), ({ party, lane, day, ...more }) => add(unit, party, lane, day, more));
}

const refusalOf = (flow: FlowTableRow): string | undefined =>
  stateOf(flow) === 'refused' ? flow.code || 'gateway.bug' : undefined;

/** Refused at a door: `times` messages of a party. */
export function scoreAtDoor(unit: Writer, party: string, code: string, atMs: number, times: number): void {
  if (!hasScore(party)) return;
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
