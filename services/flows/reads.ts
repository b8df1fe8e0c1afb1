/**
 * Rosters that were read, and what of them had no place in the answers: no message comes in, so the doors tell it. What one party
 * reads of one school by one method in one form is one row a day, and a flow like others to who looks for it.
 */
import type { EngineView, ListOptions } from '#bus';
import type { FindFlowsRequest, FlowRow, ReadNote, Step } from '#proto/eduk/flows/v1/flows';
import { counts, type ReadRow, reads } from './tables.ts';

/** State of such a flow: nothing was accepted, and nobody decides. */
export const READ = 'read';

/** Rows kept at most, the newest: so many parties, schools and days. */
export const MOST_READS = 100_000;
const KEPT_MS = 35 * 86_400_000;
/** Old ones removed with each note, beyond those that make room. */
const REMOVED_AT_ONCE = 500;
/** Rows looked at for one list that filters. */
const LOOKED_AT = 5_000;

/** `most`: rows kept; smaller in tests. */
export function noteReads(engine: EngineView, notes: readonly ReadNote[], most = MOST_READS): void {
  if (notes.length === 0) return;
  engine.note((unit) => {
    let count = unit.get(counts, 'reads')?.count ?? 0;
    // A row is read as it was before the note, so what is twice in one note is added up first.
    const rows = new Map<string, ReadRow>();
    for (const note of notes) {
      const before = rows.get(note.flowId) ?? unit.get(reads, note.flowId);
      if (before === undefined) count += 1;
      rows.set(note.flowId, withNote(before, note));
    }
    for (const row of rows.values()) unit.put(reads, row);
    unit.put(counts, { name: 'reads', count });
  });
  // Apart, because a list does not see what its own note has written.
  engine.note((unit) => {
    let count = unit.get(counts, 'reads')?.count ?? 0;
    const tooMany = Math.max(0, count - most);
    const oldest = unit.list(reads, { index: 'by_last', equals: [], limit: tooMany + REMOVED_AT_ONCE });
    for (const [i, row] of oldest.entries()) {
      if (i >= tooMany && row.lastMs > unit.now - KEPT_MS) break;
      unit.remove(reads, row.flowId);
      count -= 1;
    }
    unit.put(counts, { name: 'reads', count });
  });
}

/** What was got is that of the newest answer, whichever door tells first. */
export function withNote(before: Readonly<ReadRow> | undefined, note: ReadNote): ReadRow {
  const { flowId, partyOin, method, schoolOin, subject, form } = note;
  const gotMs = Number(note.gotMs);
  const isNewest = before === undefined || gotMs > before.gotMs;
  const got = isNewest
    ? {
        gotMs,
        learners: note.learners,
        groups: note.groups,
        staff: note.staff,
        losses: note.losses.length === 0 ? undefined : note.losses.map((one) => ({ ...one })),
      }
    : {
        gotMs: before.gotMs,
        learners: before.learners,
        groups: before.groups,
        staff: before.staff,
        losses: before.losses,
      };
  return {
    ...{ flowId, party: partyOin, method, school: schoolOin, subject, form },
    answered: note.answered + (before?.answered ?? 0),
    unchanged: note.unchanged + (before?.unchanged ?? 0),
    nothing: note.nothing + (before?.nothing ?? 0),
    firstMs: Math.min(Number(note.firstMs), before?.firstMs ?? Number.POSITIVE_INFINITY),
    lastMs: Math.max(Number(note.lastMs), before?.lastMs ?? 0),
    ...got,
  };
}

/** How far was looked: all places down to this one, and when what stands there was accepted. */
export interface Stop {
  place: string;
  ms: number;
}

const PLACE =
  /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-(?:[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** Stands where an id has its version, above each: reads are before the messages of their millisecond. */
const OF_READ = 'ffff';

/** Place of a read among messages, whose places are their ids. */
export function readPlace(lastMs: number, flowId: string): string {
  const hex = Math.max(0, lastMs).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-${OF_READ}-${flowId}`;
}

export const isPlace = (text: string): boolean => PLACE.test(text);

/** Where reads below a place begin in an index of times. */
function belowPlace(place: string): readonly [ms: number, ...flowId: string[]] {
  const [, high, low, kind] = PLACE.exec(place)!;
  const ms = Number.parseInt(`${high}${low}`, 16);
  return kind === OF_READ ? [ms, place.slice(19)] : [ms];
}

/** Newest first by when each was read last, at most `most` and one more; `stop`: how far was looked, undefined = these are all. */
export function findReads(
  engine: EngineView,
  asked: FindFlowsRequest,
  most: number,
): { flows: FlowRow[]; stop: Stop | undefined } {
  const { schoolOin, partyOin, subject, key, state, fromMs, beforeMs, after, learners, subjects } = asked;
  if (key !== '' || learners.length > 0 || subjects.length > 0 || (state !== '' && state !== READ))
    return { flows: [], stop: undefined };
  const where: Pick<ListOptions, 'index' | 'equals'> =
    schoolOin !== ''
      ? { index: 'by_school', equals: [schoolOin] }
      : partyOin !== ''
        ? { index: 'by_party', equals: [partyOin] }
        : { index: 'by_last', equals: [] };
  const filters = subject !== '' || (schoolOin !== '' && partyOin !== '');
  const below = after === '' ? undefined : belowPlace(after);
  const beyond = beforeMs > 0n && (below === undefined || below[0] >= beforeMs) ? [Number(beforeMs)] : below;
  const limit = filters ? LOOKED_AT : most + 1;
  const page = engine.list(reads, { ...where, ...(beyond && { after: beyond }), descending: true, limit });
  const found = page
    .filter(
      (row) =>
        row.lastMs >= fromMs &&
        (schoolOin === '' || row.school === schoolOin) &&
        (partyOin === '' || row.party === partyOin) &&
        (subject === '' || row.subject === subject),
    )
    .slice(0, most + 1);
  const isAll = found.length <= most && (page.length < limit || page.at(-1)!.lastMs < fromMs);
  const end = found.length > most ? found.at(-1)! : page.at(-1);
  return {
    flows: found.map(readFlow),
    stop: isAll || end === undefined ? undefined : { place: readPlace(end.lastMs, end.flowId), ms: end.lastMs },
  };
}

/** As a flow: when it was read last stands in the place of when it was accepted. */
export function readFlow(row: Readonly<ReadRow>): FlowRow {
  const { flowId, party, method, school, subject, form, firstMs, lastMs, gotMs } = row;
  const step = (name: string, atMs: number, told: string): Step => ({
    step: name,
    service: 'door',
    atMs: BigInt(atMs),
    code: '',
    told,
    state: 'done',
  });
  const first = `since ${new Date(firstMs).toISOString().slice(11, 16)} UTC`;
  const steps: Step[] = [];
  if (row.answered > 0)
    steps.push(
      step(
        'RosterRead',
        gotMs,
        `${form}: ${times(row.answered)} ${first}; the last had ${row.learners} learners, ${row.groups} groups and ${row.staff} staff`,
      ),
    );
  if (row.unchanged > 0)
    steps.push(step('RosterUnchanged', lastMs, `${form}: ${times(row.unchanged)} ${first}, nothing had changed`));
  if (row.nothing > 0)
    steps.push(step('RosterEmpty', lastMs, `${form}: ${times(row.nothing)} ${first}, there was nothing to tell`));
  return {
    flowId,
    partyOin: party,
    method,
    schoolOin: school,
    key: '',
    subject,
    state: READ,
    code: '',
    told: '',
    outcome: steps.at(-1)?.step ?? '',
    acceptedMs: BigInt(lastMs),
    decidedMs: BigInt(gotMs || lastMs),
    steps,
    losses: row.losses ?? [],
    changes: 0,
    held: 0,
  };
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);
