/**
 * How parties and schools compare, as the doors found it: one row for each party, school and kind, and one for each thing that differs.
 * A stretch of keys replaces what stood there, in one transaction: killed halfway, what is left is true of one comparison or the
 * other, and the next one goes over all of it.
 */
import type { EngineView } from '#bus';
import type * as said from '#proto/eduk/delivery/v1/delivery';
import { KEPT_MS, type Writer } from './mailbox.ts';
import {
  type BodyRow,
  type DifferenceRow,
  differences,
  type ReconciledCounts,
  type ReconciliationRow,
  reconciliations,
} from './tables.ts';

/** Differences of one party and school that are kept; of what comes more only the number is known. */
export const MOST_KEPT = 20_000;
/** With those that comparisons left which were not ended: each may have begun below the one before. */
const MOST_STAND = 2 * MOST_KEPT;
/** Rows that one look removes, or one answer names. */
const AT_ONCE = 1_000;
const SHOWN = 20_000;
const USUAL = 100;

type Writes = Pick<Writer, 'get' | 'list' | 'put' | 'remove' | 'now'>;

const none: Readonly<ReconciledCounts> = { ours: 0, theirs: 0, same: 0, moving: 0, missing: 0, surplus: 0, differs: 0 };
const NAMES = Object.keys(none) as (keyof ReconciledCounts)[];

const fresh = (party: string, school: string, kind: string): ReconciliationRow => ({
  party,
  school,
  kind,
  id: '',
  begunSource: '',
  at: '',
  untilMs: 0,
  begunMs: 0,
  counts: none,
  keeps: 0,
  doneId: '',
  source: '',
  lastMs: 0,
  lastCounts: none,
  kept: 0,
  code: '',
  failures: 0,
  failedMs: 0,
});

/** Whether it is begun. Who begins last goes on; a begin that was asked for twice is one. */
export function begin(unit: Writes, asked: said.BeginReconciliationRequest): boolean {
  const { partyOin: party, schoolOin: school, kind, id, source, leaseMs, unlessSinceMs } = asked;
  const row = unit.get(reconciliations, party, school, kind) ?? fresh(party, school, kind);
  if (row.id === id) return true;
  if (unlessSinceMs > 0n) {
    const isUnderWay = row.id !== '' && row.untilMs > unit.now;
    if (isUnderWay || Math.max(row.lastMs, row.failedMs) >= Number(unlessSinceMs)) return false;
  }
  const begun = { id, begunSource: source, at: '', untilMs: unit.now + Number(leaseMs), begunMs: unit.now };
  unit.put(reconciliations, { ...row, ...begun, counts: none, keeps: 0, stretches: 0 });
  return true;
}

/** All rows of a party, school and kind. */
function standing(unit: Writes, { party, school, kind }: Readonly<ReconciliationRow>): number {
  let count = 0;
  for (let after: string | undefined; ; ) {
    const rows = unit.list(differences, {
      equals: [party, school, kind],
      ...(after === undefined ? {} : { after: [after] }),
      limit: AT_ONCE,
    });
    count += rows.length;
    if (rows.length < AT_ONCE) return count;
    after = rows.at(-1)!.key;
  }
}

/** Takes away the first of what an earlier comparison found behind a key: this one is about to come there. */
function trim(
  unit: Writes,
  { party, school, kind }: Readonly<ReconciliationRow>,
  through: string,
  most: number,
): number {
  const rows = unit.list(differences, { equals: [party, school, kind], after: [through], limit: most });
  for (const { key } of rows) unit.remove(differences, party, school, kind, key);
  return rows.length;
}

/** Takes a stretch in. Undefined = another began meanwhile, or this is not where it was; `too_large`: see `NoteReconciledResponse`. */
export function note(
  unit: Writes,
  asked: said.NoteReconciledRequest,
): Readonly<ReconciliationRow> | 'too_large' | undefined {
  const { partyOin: party, schoolOin: school, kind, id, after, through, isLast } = asked;
  const row = unit.get(reconciliations, party, school, kind);
  if (row === undefined) return undefined;
  // Told twice.
  if (isLast ? row.doneId === id : row.id === id && row.at === through && through !== '') return row;
  if (row.id !== id || row.at !== after) return undefined;
  const stretches = (row.stretches ?? 0) + 1;
  const theirs = row.counts.theirs + Number(asked.counts?.theirs ?? 0n);
  const { mostTheirs, mostStretches } = asked;
  if ((mostTheirs > 0 && theirs > mostTheirs) || (mostStretches > 0 && stretches > mostStretches)) {
    fail(unit, { ...asked, code: 'wire.too_large' });
    return 'too_large';
  }
  const before = new Map<string, Readonly<DifferenceRow>>();
  for (let from = after; ; ) {
    const rows = unit.list(differences, { equals: [party, school, kind], after: [from], limit: AT_ONCE });
    const within = isLast ? rows : rows.filter(({ key }) => key <= through);
    for (const one of within) before.set(one.key, one);
    if (within.length < AT_ONCE) break;
    from = rows.at(-1)!.key;
  }
  let { keeps } = row;
  let stands = (row.stands ?? standing(unit, row)) - before.size;
  for (const { key, what, ours, theirs } of asked.differences) {
    if (keeps >= MOST_KEPT) break;
    keeps += 1;
    stands += 1;
    const known = before.get(key);
    before.delete(key);
    const sinceMs = known?.what === what ? known.sinceMs : unit.now;
    unit.put(differences, { party, school, kind, key, what, ours: [...ours], theirs: [...theirs], sinceMs });
  }
  for (const key of before.keys()) unit.remove(differences, party, school, kind, key);
  if (stands > MOST_STAND) stands -= trim(unit, row, through, stands - MOST_STAND);
  const counts = { ...row.counts };
  for (const name of NAMES) counts[name] += Number(asked.counts?.[name] ?? 0n);
  const next: ReconciliationRow = isLast
    ? {
        ...row,
        ...{ id: '', at: '', untilMs: 0, counts, keeps, stretches, stands },
        ...{ doneId: id, source: row.begunSource, lastMs: unit.now, lastCounts: counts, kept: keeps },
        ...{ code: '', failures: 0, failedMs: 0 },
      }
    : { ...row, at: through, untilMs: unit.now + Number(asked.leaseMs), counts, keeps, stretches, stands };
  unit.put(reconciliations, next);
  return next;
}

/** It could not go on: what was found before stands. */
export function fail(unit: Writes, asked: said.FailReconciliationRequest): void {
  const row = unit.get(reconciliations, asked.partyOin, asked.schoolOin, asked.kind);
  if (row === undefined || row.id !== asked.id) return;
  const ended = { id: '', at: '', untilMs: 0, code: asked.code, failures: row.failures + 1, failedMs: unit.now };
  unit.put(reconciliations, { ...row, ...ended });
}

/** Removes what nobody compared for as long as mail is kept, a chunk of it. Whether there may be more. */
export function cleanReconciled(unit: Writes, party: string): boolean {
  for (const row of unit.list(reconciliations, { equals: [party], limit: AT_ONCE })) {
    if (Math.max(row.lastMs, row.begunMs, row.failedMs) > unit.now - KEPT_MS) continue;
    const { school, kind } = row;
    const rows = unit.list(differences, { equals: [party, school, kind], limit: AT_ONCE });
    for (const { key } of rows) unit.remove(differences, party, school, kind, key);
    if (rows.length < AT_ONCE) unit.remove(reconciliations, party, school, kind);
    else if (row.stands !== undefined) unit.put(reconciliations, { ...row, stands: undefined });
    return true;
  }
  return false;
}

/** Of each kind, by what the events about its things name them. */
const idIn: Readonly<Record<string, string>> = { entitlement: 'entitlementId' };
export const isKind = (kind: string): boolean => Object.hasOwn(idIn, kind);

/** Whether an event is about something that a party lacks, or has otherwise. What it has in surplus no mail of ours mends. */
export function isAboutDifference(
  unit: Pick<Writer, 'get'>,
  party: string,
  kind: string,
  body: Pick<BodyRow, 'school'>,
  event: Readonly<Record<string, unknown>>,
): boolean {
  const name = idIn[kind]!;
  const id = event[name] ?? (event['terms'] as Record<string, unknown> | undefined)?.[name];
  if (typeof id !== 'string' || id === '') return false;
  const found = unit.get(differences, party, body.school, kind, id);
  return found !== undefined && found.what !== 'surplus';
}

const told = (row: Readonly<ReconciliationRow>, now: number): said.Reconciliation => ({
  partyOin: row.party,
  schoolOin: row.school,
  kind: row.kind,
  source: row.source,
  lastMs: BigInt(row.lastMs),
  counts: countsOf(row.lastCounts),
  kept: BigInt(row.kept),
  begunMs: row.id !== '' && row.untilMs > now ? BigInt(row.begunMs) : 0n,
  code: row.code,
  failures: row.failures,
  failedMs: BigInt(row.failedMs),
});

const countsOf = (counts: Readonly<ReconciledCounts>): said.ReconciledCounts =>
  Object.fromEntries(NAMES.map((name) => [name, BigInt(counts[name])])) as unknown as said.ReconciledCounts;

const differs = ({ lastCounts: { missing, surplus, differs }, failures }: Readonly<ReconciliationRow>): boolean =>
  missing + surplus + differs > 0 || failures > 0;

export const reconciledServed = (engine: EngineView) => ({
  beginReconciliation(asked: said.BeginReconciliationRequest): said.BeginReconciliationResponse {
    let taken = false;
    engine.note((unit) => {
      taken = begin(unit, asked);
    });
    return { taken };
  },
  noteReconciled(asked: said.NoteReconciledRequest): said.NoteReconciledResponse {
    let row: ReturnType<typeof note>;
    engine.note((unit) => {
      row = note(unit, asked);
    });
    if (row === undefined || row === 'too_large')
      return { taken: false, reconciliation: undefined, counts: undefined, tooLarge: row === 'too_large' };
    return { taken: true, reconciliation: told(row, engine.now()), counts: countsOf(row.counts), tooLarge: false };
  },
  failReconciliation(asked: said.FailReconciliationRequest): said.FailReconciliationResponse {
    engine.note((unit) => fail(unit, asked));
    return {};
  },
  listReconciliations(asked: said.ListReconciliationsRequest): said.ListReconciliationsResponse {
    const { partyOin, schoolOin, differing } = asked;
    const equals = partyOin === '' ? [] : schoolOin === '' ? [partyOin] : [partyOin, schoolOin];
    const now = engine.now();
    const rows = engine
      .list(reconciliations, { equals, limit: SHOWN })
      .filter((row) => (schoolOin === '' || row.school === schoolOin) && (!differing || differs(row)));
    return { reconciliations: rows.map((row) => told(row, now)) };
  },
  listDifferences(asked: said.ListDifferencesRequest): said.ListDifferencesResponse {
    const { partyOin, schoolOin, kind, after, limit } = asked;
    const most = Math.min(limit || USUAL, AT_ONCE);
    const rows = engine.list(differences, {
      equals: [partyOin, schoolOin, kind],
      ...(after === '' ? {} : { after: [after] }),
      limit: most + 1,
    });
    return {
      differences: rows.slice(0, most).map(({ key, what, ours, theirs, sinceMs }) => ({
        key,
        what,
        ours: [...ours],
        theirs: [...theirs],
        sinceMs: BigInt(sinceMs),
      })),
      more: rows.length > most,
    };
  },
});
