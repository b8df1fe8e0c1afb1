/**
 * Two tokens of one learner. One person asks, another approves. From then on the loser is in no roster; where the winner was in none of a
 * year, it takes the loser's place. What the loser's rows were is kept, so that it can be undone.
 */
import { decoded, emit, type LogRecord, type Reader, type Unit } from '#bus';
import { dutchDay, type Fault, schoolYearOf, uuidText } from '#kernel';
import { type LearnerEntry, RosterDifference } from '#proto/eduk/events/v1/rosters';
import { forgotten, type HoldRow, holds, type LearnerRow, learners, type MergeRow, merges, years } from './tables.ts';

/** Why a hold is no roster's. */
export const MERGE = 'merge';
/** How long it can be undone. */
export const UNDO_MS = 30 * 86_400_000;
const KEPT_MS = 7 * 366 * 86_400_000;

interface Two {
  school: string;
  winner: string;
  loser: string;
}

/** What the caller does with rows of learners. */
export interface LearnerRows {
  put(unit: Unit, row: LearnerRow): void;
  remove(unit: Unit, row: LearnerRow): void;
  /** The row stays, but who it is may be shown by other numbers. */
  seenAnew(unit: Unit, row: LearnerRow): void;
  entry(row: LearnerRow): LearnerEntry;
  /** Groups that closed meanwhile are left out. */
  inOpenGroups(unit: Unit, row: LearnerRow): LearnerRow;
}

const standing = (unit: Reader, school: string, loser: string): Readonly<MergeRow> | undefined => {
  const row = unit.get(merges, school, loser);
  return row && !row.undone ? row : undefined;
};

/** Whose token it is; itself where it was not merged. */
export const winnerOf = (unit: Reader, school: string, learner: string): string =>
  standing(unit, school, learner)?.winner ?? learner;

/** Other tokens of a learner. */
export const losersOf = (unit: Reader, school: string, winner: string): string[] =>
  unit.list(merges, { index: 'winner', equals: [school, winner] }).flatMap((row) => (row.undone ? [] : [row.loser]));

/**
 * Entries by who they are: each learner of several tokens once, for an administration may go on naming both. The first that names the
 * token that stays counts, else the first.
 */
export function asMerged(unit: Reader, school: string, entries: readonly LearnerEntry[]): readonly LearnerEntry[] {
  const standing = unit.list(merges, { equals: [school] }).filter(({ undone }) => !undone);
  if (standing.length === 0) return entries;
  const winners = new Map(standing.map(({ loser, winner }) => [loser, winner]));
  const several = new Set(winners.values());
  const own = new Set(entries.map(({ learner }) => learner));
  const seen = new Set<string>();
  return entries.flatMap((entry) => {
    const learner = winners.get(entry.learner) ?? entry.learner;
    if (!several.has(learner)) return [entry];
    if (seen.has(learner) || (learner !== entry.learner && own.has(learner))) return [];
    seen.add(learner);
    // A mark of names is of the token that it was made for.
    return [learner === entry.learner ? entry : { ...entry, learner, nameMark: new Uint8Array(0) }];
  });
}

/** What rosters said of a second token goes when its learner is destroyed. */
export function forgetHeld(unit: Unit, school: string, loser: string, destroyAtMs: number): void {
  if (!unit.get(merges, school, loser)?.held.length) return;
  unit.setTimer({ id: heldTimer(school, loser), atMs: destroyAtMs, key: school, payload: `${MERGE} ${loser}` });
}

export const keepHeld = (unit: Unit, school: string, loser: string): void => unit.cancelTimer(heldTimer(school, loser));

export function dropHeld(unit: Unit, school: string, loser: string): void {
  const row = unit.get(merges, school, loser);
  if (row) unit.put(merges, { ...row, held: [], moved: [] });
}

const heldTimer = (school: string, loser: string): string => `${school} ${MERGE} ${loser}`;

type Why = [code: Fault, told: string] | undefined;

function whyNot(unit: Unit, { school, winner, loser }: Two): Why {
  const isGone = (learner: string) => {
    const mark = unit.get(forgotten, school, learner);
    return mark !== undefined && !mark.keptMs;
  };
  if (isGone(winner) || isGone(loser)) return ['learner.unknown', 'One of them is forgotten.'];
  if (winner === loser || standing(unit, school, loser)?.winner === winner)
    return ['state.conflict', 'They are one learner already.'];
  if (standing(unit, school, loser) || standing(unit, school, winner) || losersOf(unit, school, loser).length > 0)
    return ['state.conflict', 'One of them is merged with another: name the one that stayed, and first.'];
  return undefined;
}

// All that is said of two goes under the loser, so that it is read in the order in which it was said.
function refuse(unit: Unit, { school: schoolOin, winner, loser }: Two, why: NonNullable<Why>, flowId?: string): void {
  const [code, told] = why;
  const options = flowId === undefined ? undefined : { flowId, school: schoolOin };
  emit(unit, 'LearnersMergeRefused', { schoolOin, winner, loser, code, told }, loser, options);
}

/** Waits, always. */
export function askMerge(record: LogRecord, unit: Unit): void {
  const { schoolOin: school, winner, loser, byOin, byPerson } = decoded(record, 'LearnersMergeSubmitted');
  const two = { school, winner, loser };
  const why = whyNot(unit, two);
  if (why) {
    refuse(unit, two, why);
    return;
  }
  const before = unit
    .list(holds, { index: 'waiting', equals: ['waiting', school] })
    .find(({ merge }) => merge?.winner === winner && merge.loser === loser);
  const holdId = before?.holdId ?? uuidText(record.id);
  if (!before)
    unit.put(holds, {
      school,
      holdId,
      year: schoolYearOf(record.timeMs),
      rosterId: '',
      byOin,
      flowId: record.flowId,
      reason: MERGE,
      state: 'waiting',
      sinceMs: unit.now,
      madeMs: 0,
      partial: 0,
      difference: RosterDifference.fromPartial({}),
      learnersLeaving: [],
      groupsClosing: [],
      merge: { winner, loser, byPerson },
    });
  emit(unit, 'LearnersMergeHeld', { schoolOin: school, winner, loser, holdId }, loser);
}

/** Whoever asked does not approve it too; the operator's key is nobody in particular, and must say that it stands in. */
export function decideMerge(record: LogRecord, unit: Unit, row: HoldRow, rows: LearnerRows): void {
  const { approve, byPerson, confirmed } = decoded(record, 'HoldDecisionSubmitted');
  const { school, holdId, flowId } = row;
  const { winner, loser, byPerson: asked } = row.merge!;
  const two = { school, winner, loser };
  const isSecond = byPerson === '' ? confirmed : byPerson !== asked;
  if (approve && !isSecond) {
    refuse(unit, two, ['party.forbidden', 'Who asked for it does not approve it: another person does.']);
    return;
  }
  const why = approve ? whyNot(unit, two) : undefined;
  unit.put(holds, { ...row, state: approve && !why ? 'approved' : 'rejected' });
  emit(
    unit,
    'HoldDecided',
    { holdId, rosterId: '', schoolOin: school, approved: approve && !why, part: false },
    school,
  );
  if (!approve) refuse(unit, two, ['hold.pending', 'It waited for approval and was rejected.'], flowId);
  else if (why) refuse(unit, two, why, flowId);
  else merge(unit, two, flowId, rows);
}

function merge(unit: Unit, { school, winner, loser }: Two, flowId: string, rows: LearnerRows): void {
  const untilMs = unit.now + UNDO_MS;
  const held: LearnerRow[] = [];
  const moved: string[] = [];
  const of = { schoolOin: school, winner, loser };
  emit(unit, 'LearnersMerged', { ...of, undoUntilMs: BigInt(untilMs) }, loser, { flowId, school });
  for (const { year } of unit.list(years, { equals: [school] })) {
    const row = unit.get(learners, school, year, loser);
    const there = unit.get(learners, school, year, winner);
    if (there) rows.seenAnew(unit, there);
    if (!row) continue;
    held.push(row);
    leave(unit, row, winner, rows);
    if (there) continue;
    moved.push(year);
    join(unit, asOther(row, winner), rows);
  }
  unit.put(merges, { school, loser, winner, atMs: unit.now, untilMs, undone: 0, held, moved });
}

/** Each is where the rosters had it; those to come say where it is now. */
export function undoMerge(record: LogRecord, unit: Unit, rows: LearnerRows): void {
  const { schoolOin: school, winner, loser } = decoded(record, 'LearnersMergeUndoSubmitted');
  const row = standing(unit, school, loser);
  const two = { school, winner, loser };
  if (!row || row.winner !== winner) {
    refuse(unit, two, ['state.missing', 'They are two learners.']);
    return;
  }
  if (record.timeMs > row.untilMs) {
    refuse(unit, two, ['state.conflict', 'It can be undone for 30 days.']);
    return;
  }
  unit.put(merges, { ...row, atMs: unit.now, undone: 1, held: [], moved: [] });
  keepHeld(unit, school, loser);
  emit(unit, 'LearnersMergeUndone', { schoolOin: school, winner, loser }, loser);
  for (const { year } of unit.list(years, { equals: [school] })) {
    const there = unit.get(learners, school, year, winner);
    if (there) rows.seenAnew(unit, there);
  }
  for (const before of row.held) {
    const there = unit.get(learners, school, before.year, winner);
    // The year ended meanwhile, or a roster says that whoever it is has left.
    if (!unit.get(years, school, before.year) || !there) continue;
    if (row.moved.includes(before.year)) leave(unit, there, loser, rows);
    join(unit, rows.inOpenGroups(unit, before), rows);
  }
}

/** Rows of a year that is no more are not put back; whose token it is stays known as long as anything may name it. */
export function purgeMerges(unit: Unit, school: string, year: string): void {
  for (const row of unit.list(merges, { equals: [school] })) {
    const held = row.held.filter((one) => one.year !== year);
    if (row.atMs < unit.now - KEPT_MS) unit.remove(merges, school, row.loser);
    else if (held.length < row.held.length) unit.put(merges, { ...row, held });
  }
}

function leave(unit: Unit, row: LearnerRow, mergedInto: string, rows: LearnerRows): void {
  const { school: schoolOin, year: schoolYear, learner, baseGroup: group } = row;
  rows.remove(unit, row);
  const { siteCodes } = rows.entry(row);
  const leftOn = dutchDay(unit.now);
  emit(
    unit,
    'LearnerLeft',
    { schoolOin, schoolYear, learner, leftOn, group, siteCodes, mergedInto, movedToSchoolOin: '' },
    learner,
  );
}

function join(unit: Unit, row: LearnerRow, rows: LearnerRows): void {
  const { school: schoolOin, year: schoolYear, learner } = row;
  rows.put(unit, row);
  emit(unit, 'LearnerJoined', { schoolOin, schoolYear, learner: rows.entry(row) }, learner);
}

const asOther = (row: LearnerRow, learner: string): LearnerRow => ({
  ...row,
  learner,
  nameMark: '',
  claims: row.claims?.map(({ scope, entry }) => ({ scope, entry: { ...entry, learner, nameMark: '' } })),
});
