/** Records of `results`, and what `rosters` and `entitlements` say that matters to results → rows, events and timers. */
import { type Consumer, decoded, emit, type LogRecord, SetAside, type TimerRow, terms, type Unit } from '#bus';
import { dutchDay, GatewayError, isDay, schoolYearOf, startOfDutchDay, uuidText } from '#kernel';
import type { ResultEntry } from '#proto/eduk/events/v1/results';
import { decide, type ResultState } from './result.ts';
import { aside, forgotten, type ResultRow, readable, results, years } from './tables.ts';

/** A result of a year whose term is over already is kept this long, so that its receivers get it. */
const LEAST_KEPT_MS = 14 * 86_400_000;
/** Rows looked at in one firing of the timer. */
const PURGED_AT_ONCE = 1_000;

/** Mail that was forgotten lies no longer than this: thirty days in a mailbox, and the three of the forgetting. */
const MAIL_MS = 33 * 86_400_000;
const kept = new SetAside(aside);

export const consumer: Consumer = {
  name: 'results',
  streams: ['results', 'rosters', 'entitlements'],
  types: ['ResultSubmitted', 'LearnerForgotten', 'LearnerKept', 'EntitlementGranted'],
  handle(record, unit) {
    switch (record.type) {
      case 'ResultSubmitted':
        return recordResult(record, unit);
      case 'LearnerForgotten':
        return forget(record, unit);
      case 'LearnerKept':
        return keep(record, unit);
      case 'EntitlementGranted':
        return keepReadable(record, unit);
    }
  },
  onTimer(timer, unit) {
    if (!kept.onTimer(timer, unit)) purge(timer, unit);
  },
};

function recordResult(record: LogRecord, unit: Unit): void {
  const { result } = decoded(record, 'ResultSubmitted');
  if (!result) throw new GatewayError('gateway.bug', 'A result was accepted without content.');
  const row = unit.get(results, result.schoolOin, result.byOin, result.resultId);
  const state: ResultState = {
    isForgotten: unit.get(forgotten, result.learner) !== undefined,
    ...(row ? { recorded: resultEntry(row) } : {}),
  };
  const event = decide(state, { type: 'RecordResult', result });
  if (event.name === 'ResultRecorded' && !event.value.unchanged) {
    unit.put(results, resultRow(result, row?.id ?? uuidText(record.id)));
    keepYear(unit, result.schoolOin, yearOfDay(result.day));
  }
  emit(unit, event.name, event.value as never, result.learner);
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
    for (const row of rows) if (yearOfDay(row.day) <= year) unit.remove(results, school, row.byOin, row.resultId);
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
