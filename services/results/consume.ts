/** Records of `results`, and what `rosters` and `entitlements` say that matters to results → rows, events and timers. */
import {
  type Consumer,
  decoded,
  emit,
  type LogRecord,
  MergedLearners,
  SetAside,
  type TimerRow,
  terms,
  type Unit,
} from '#bus';
import {
  dutchDay,
  GatewayError,
  isDay,
  resultIdUnder,
  schoolYearOf,
  senderKeyOf,
  startOfDutchDay,
  uuidText,
} from '#kernel';
import type { ResultEntry } from '#proto/eduk/events/v1/results';
import { decide, evolve, type ResultState } from './result.ts';
import { aside, forgotten, merged, type ResultRow, readable, results, years } from './tables.ts';

/** A result of a year whose term is over already is kept this long, so that its receivers get it. */
const LEAST_KEPT_MS = 14 * 86_400_000;
/** A result whose day is still further ahead when a year ends was of no such day. */
const AHEAD_MS = 31 * 86_400_000;
/** Rows looked at in one firing of the timer. */
const PURGED_AT_ONCE = 1_000;

/** Mail that was forgotten lies no longer than this: thirty days in a mailbox, and the three of the forgetting. */
const MAIL_MS = 33 * 86_400_000;
const kept = new SetAside(aside);
export const same = new MergedLearners(merged);

export const consumer: Consumer = {
  name: 'results',
  streams: ['results', 'rosters', 'entitlements'],
  types: [
    'ResultSubmitted',
    'LearnerForgotten',
    'LearnerKept',
    'LearnersMerged',
    'LearnersMergeUndone',
    'EntitlementGranted',
  ],
  handle(record, unit) {
    switch (record.type) {
      case 'ResultSubmitted':
        return recordResult(record, unit);
      case 'LearnerForgotten':
        return forget(record, unit);
      case 'LearnerKept':
        return keep(record, unit);
      case 'LearnersMerged':
        return same.add(unit, decoded(record, 'LearnersMerged'));
      case 'LearnersMergeUndone':
        return same.remove(unit, decoded(record, 'LearnersMergeUndone'));
      case 'EntitlementGranted':
        return keepReadable(record, unit);
    }
  },
  onTimer(timer, unit) {
    if (!kept.onTimer(timer, unit) && !same.onTimer(timer, unit)) purge(timer, unit);
  },
};

function recordResult(record: LogRecord, unit: Unit): void {
  const { result: said } = decoded(record, 'ResultSubmitted');
  if (!said) throw new GatewayError('gateway.bug', 'A result was accepted without content.');
  const row = standing(said, unit);
  const result = row && row.resultId !== said.resultId ? { ...said, resultId: row.resultId } : said;
  const state: ResultState = {
    isForgotten: unit.get(forgotten, result.learner) !== undefined,
    ...(row ? { recorded: { ...resultEntry(row), learner: ownerOf(unit, row, result.learner) } } : {}),
  };
  const event = decide(state, { type: 'RecordResult', result });
  if (event.name === 'ResultRecorded' && !event.value.unchanged) {
    unit.put(results, resultRow(result, row?.id ?? uuidText(record.id)));
    keepYear(unit, result.schoolOin, yearOfDay(result.day));
    // A day in years to come is a slip, and would keep the result until then.
    if (result.day > dutchDay(unit.now)) keepYear(unit, result.schoolOin, schoolYearOf(unit.now));
  } else if (event.name === 'ResultRecorded' && row) {
    const statedMs = Number(evolve(state, event).recorded!.statedMs);
    if (statedMs !== (row.statedMs ?? 0)) unit.put(results, { ...row, statedMs });
  }
  emit(unit, event.name, event.value as never, result.learner);
}

/**
 * The row that a result is about: under its id; under the same with another token of its learner; or, where it repeats one that an
 * older release recorded under the sender's key alone, that one.
 */
function standing(said: ResultEntry, unit: Unit): Readonly<ResultRow> | undefined {
  const { schoolOin, byOin, resultId, learner } = said;
  const at = (id: string) => unit.get(results, schoolOin, byOin, id);
  const own = at(resultId);
  if (own || resultIdUnder(resultId, learner) !== resultId) return own;
  for (const token of same.tokensOf(unit, schoolOin, learner)) {
    const other = token === learner ? undefined : at(resultIdUnder(resultId, token)!);
    if (other) return other;
  }
  const older = at(senderKeyOf(resultId));
  return older?.learner === learner && older.digest === Buffer.from(said.digest).toString('hex') ? older : undefined;
}

/** Whose it is; where that is the same learner as the one who is named, under the token of that one. */
function ownerOf(unit: Unit, { school, learner }: ResultRow, named: string): string {
  const isSame = learner === named || same.winnerOf(unit, school, learner) === same.winnerOf(unit, school, named);
  return isSame ? named : learner;
}

/** The payloads can no longer be opened; the rows go too, and whatever comes later is refused. */
function forget(record: LogRecord, unit: Unit): void {
  const { learner, schoolOin, destroyAtMs } = decoded(record, 'LearnerForgotten');
  kept.open(unit, schoolOin, learner, Number(destroyAtMs));
  const year = schoolYearOf(unit.now);
  unit.put(forgotten, { learner, school: schoolOin, year });
  keepYear(unit, schoolOin, year);
  for (const row of unit.list(results, { index: 'byLearner', equals: [learner] })) {
    const held: Held = { ...row, payload: Buffer.from(row.payload).toString('base64') };
    kept.put(unit, schoolOin, learner, `${row.byOin} ${row.resultId}`, held);
    unit.remove(results, row.school, row.byOin, row.resultId);
  }
}

type Held = Omit<ResultRow, 'payload'> & { payload: string };

/**
 * The forgetting was taken back: rows are as they were. What mailboxes can still hold is told again, because it was passed over
 * meanwhile; who had it already knows it by its id.
 */
function keep(record: LogRecord, unit: Unit): void {
  const { learner, schoolOin } = decoded(record, 'LearnerKept');
  unit.remove(forgotten, learner);
  for (const { held } of kept.take<Held>(unit, schoolOin, learner)) {
    if (unit.get(results, held.school, held.byOin, held.resultId)) continue;
    const row: ResultRow = { ...held, payload: new Uint8Array(Buffer.from(held.payload, 'base64')) };
    unit.put(results, row);
    if (cameMs(row.id) < unit.now - MAIL_MS) continue;
    const value = { result: resultEntry(row), replaces: true, unchanged: false };
    emit(unit, 'ResultRecorded', value, learner);
  }
}

/** When a result first came: its id is a UUID of version 7. */
const cameMs = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16) || 0;

/** Withdrawing, blocking or expiring takes nothing of what was promised here: only the latest promise counts. */
function keepReadable(record: LogRecord, unit: Unit): void {
  const { terms, schoolOin, holder, unchanged } = decoded(record, 'EntitlementGranted');
  if (unchanged) return;
  if (!terms) throw new GatewayError('gateway.bug', 'An entitlement was granted without terms.');
  const lastDay = `${schoolYearOf(unit.now).slice(5)}-07-31`;
  const until = [terms.resultsReadableUntil, terms.endsOn].find(isDay) ?? lastDay;
  const learner = holder?.learner ?? '';
  const before = unit.get(readable, schoolOin, terms.productId, learner);
  if (before && before.until >= until) return;
  unit.put(readable, { school: schoolOin, productId: terms.productId, learner, until });
  keepYear(unit, schoolOin, yearOfDay(until));
}

/** The school year a day falls in. */
function yearOfDay(day: string): string {
  const first = Number(day.slice(0, 4)) - (day.slice(5, 7) < '08' ? 1 : 0);
  return `${first}-${first + 1}`;
}

/** Sets the timer of a year's retention once: 1 October after it. */
function keepYear(unit: Unit, school: string, year: string): void {
  if (unit.get(years, school, year)) return;
  unit.put(years, { school, year });
  const atMs = Math.max(
    terms['RETENTION_RESULT']!.end(startOfDutchDay(`${year.slice(0, 4)}-08-01`)),
    unit.now + LEAST_KEPT_MS,
  );
  unit.setTimer({ id: `${school} purge ${year}`, atMs, key: school, payload: `results ${year}` });
}

/**
 * Retention, a page at a time: first results, then what was readable, then marks. A result is of the year in which it
 * was done, so that rows of later years, which stand between them, are passed over.
 */
function purge(timer: TimerRow, unit: Unit): void {
  const [stage, year = '', ...after] = timer.payload.split(' ');
  const school = timer.key;
  const page = { equals: [school], limit: PURGED_AT_ONCE, ...(after.length > 0 ? { after } : {}) };
  const goOn = (payload: string) => unit.setTimer({ id: timer.id, atMs: unit.now, key: school, payload });
  if (stage === 'results') {
    const rows = unit.list(results, { ...page, index: 'bySchool' });
    const latest = dutchDay(unit.now + AHEAD_MS);
    for (const row of rows)
      if (yearOfDay(row.day) <= year || row.day > latest) unit.remove(results, school, row.byOin, row.resultId);
    const { id } = rows.at(-1) ?? {};
    goOn(rows.length === PURGED_AT_ONCE ? `results ${year} ${id}` : `readable ${year}`);
    return;
  }
  const today = dutchDay(unit.now);
  const rows = unit.list(readable, page);
  for (const row of rows)
    if (row.until < today && yearOfDay(row.until) <= year) unit.remove(readable, school, row.productId, row.learner);
  const last = rows.at(-1);
  if (last && rows.length === PURGED_AT_ONCE) {
    goOn(`readable ${year} ${last.productId} ${last.learner}`);
    return;
  }
  for (const mark of unit.list(forgotten, { index: 'ofYear', equals: [school, year] }))
    unit.remove(forgotten, mark.learner);
  unit.remove(years, school, year);
}

const resultRow = (result: ResultEntry, id: string): ResultRow => ({
  school: result.schoolOin,
  byOin: result.byOin,
  resultId: result.resultId,
  id,
  learner: result.learner,
  productId: result.productId,
  groupToken: result.group,
  day: result.day,
  kind: result.kind,
  payload: result.payload,
  digest: Buffer.from(result.digest).toString('hex'),
  withdrawn: result.withdrawn ? 1 : 0,
  statedMs: Number(result.statedMs),
});

export const resultEntry = (row: ResultRow): ResultEntry => ({
  resultId: row.resultId,
  schoolOin: row.school,
  learner: row.learner,
  productId: row.productId,
  group: row.groupToken,
  day: row.day,
  kind: row.kind as ResultEntry['kind'],
  payload: row.payload,
  byOin: row.byOin,
  digest: Buffer.from(row.digest, 'hex'),
  // A row that an older release wrote has neither.
  withdrawn: (row.withdrawn ?? 0) === 1,
  statedMs: BigInt(row.statedMs ?? 0),
});
