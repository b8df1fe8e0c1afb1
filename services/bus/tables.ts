import { type LogRecord, type ParkedRow, type Reader, table, type WaitingRow } from './port.ts';

/**
 * The engine's own rows. They are tables like any other, so that a unit's timers, waits and positions are saved by the
 * same means and in the same transaction as the rows of services.
 */

/** How far a consumer has come in a lane. */
export interface PositionRow {
  consumer: string;
  stream: string;
  partition: number;
  /** Number of the last record taken. */
  number: number;
}
export const positions = table<PositionRow>({
  name: 'bus_positions',
  key: ['consumer', 'stream', 'partition'],
  columns: { consumer: 'text', stream: 'text', partition: 'int', number: 'int' },
  retention: 'RETENTION_ENGINE',
});

/** A record that rests outside the log, whole, so that cleaning the log cannot lose it. */
interface Resting {
  stream: string;
  partition: number;
  number: number;
  id: Uint8Array;
  key: string;
  type: string;
  flowId: string;
  school: string;
  traceparent: string;
  timeMs: number;
  data: Uint8Array;
}
const resting = {
  stream: 'text',
  partition: 'int',
  number: 'int',
  id: 'blob',
  key: 'text',
  type: 'text',
  flowId: 'text',
  school: 'text',
  traceparent: 'text',
  timeMs: 'int',
  data: 'blob',
} as const;

/** The record inside a resting row. */
export const recordOf = (row: Resting): LogRecord => ({
  stream: row.stream,
  partition: row.partition,
  number: row.number,
  id: row.id,
  key: row.key,
  type: row.type,
  flowId: row.flowId,
  school: row.school,
  traceparent: row.traceparent,
  timeMs: row.timeMs,
  data: row.data,
});

/** Deadline of a record that only stands behind a waiting one. */
export const NEVER = Number.MAX_SAFE_INTEGER;

/** Records that wait; the first of a scope says for what, the others stand behind it. */
export interface WaitRow extends Resting {
  consumer: string;
  scope: string;
  seq: number;
  /** What the first lacks; empty for those behind. */
  what: string;
  sinceMs: number;
  deadlineMs: number;
}
export const waits = table<WaitRow>({
  name: 'bus_waits',
  key: ['consumer', 'scope', 'seq'],
  columns: { consumer: 'text', scope: 'text', seq: 'int', what: 'text', sinceMs: 'int', deadlineMs: 'int', ...resting },
  indexes: { what: ['consumer', 'what', 'scope', 'seq'], late: ['consumer', 'deadlineMs'] },
  retention: 'RETENTION_ENGINE',
});

/** A scope in which something waits. */
export interface ScopeRow {
  consumer: string;
  scope: string;
  /** Seq of the first record. */
  firstSeq: number;
  /** Seq the next record gets; equal to `firstSeq` = empty. */
  nextSeq: number;
}
export const scopes = table<ScopeRow>({
  name: 'bus_scopes',
  key: ['consumer', 'scope'],
  columns: { consumer: 'text', scope: 'text', firstSeq: 'int', nextSeq: 'int' },
  retention: 'RETENTION_ENGINE',
});

/** Resting work that may go on: of all that wait for `name`, of a scope, or of a parked key. */
export interface WakeRow {
  consumer: string;
  kind: 'what' | 'scope' | 'parked';
  name: string;
  /** Waiting records up to here were taken up. */
  afterScope: string;
  afterSeq: number;
}
export const wakes = table<WakeRow>({
  name: 'bus_wakes',
  key: ['consumer', 'kind', 'name'],
  columns: { consumer: 'text', kind: 'text', name: 'text', afterScope: 'text', afterSeq: 'int' },
  retention: 'RETENTION_ENGINE',
});

/** A key that stopped because one of its records cannot be handled. */
export interface ParkedKeyRow {
  consumer: string;
  stream: string;
  key: string;
  code: string;
  sinceMs: number;
  flowId: string;
  firstSeq: number;
  nextSeq: number;
}
export const parkedKeys = table<ParkedKeyRow>({
  name: 'bus_parked_keys',
  key: ['consumer', 'stream', 'key'],
  columns: {
    consumer: 'text',
    stream: 'text',
    key: 'text',
    code: 'text',
    sinceMs: 'int',
    flowId: 'text',
    firstSeq: 'int',
    nextSeq: 'int',
  },
  retention: 'RETENTION_ENGINE',
});

/** The record that cannot be handled, and those behind it. `parkedIn` is the stream whose key is parked: a timer rests where its key does. */
export interface ParkedRecordRow extends Resting {
  consumer: string;
  parkedIn: string;
  key: string;
  seq: number;
}
export const parkedRecords = table<ParkedRecordRow>({
  name: 'bus_parked_records',
  key: ['consumer', 'parkedIn', 'key', 'seq'],
  columns: { consumer: 'text', parkedIn: 'text', seq: 'int', ...resting },
  retention: 'RETENTION_ENGINE',
});

/** A command for later. */
export interface TimerTableRow {
  consumer: string;
  id: string;
  atMs: number;
  key: string;
  payload: string;
  flowId: string;
  school: string;
}
export const timers = table<TimerTableRow>({
  name: 'bus_timers',
  key: ['consumer', 'id'],
  columns: { consumer: 'text', id: 'text', atMs: 'int', key: 'text', payload: 'text', flowId: 'text', school: 'text' },
  indexes: { due: ['consumer', 'atMs'] },
  retention: 'RETENTION_ENGINE',
});

/** All of them. */
export const engineTables = [positions, waits, scopes, wakes, parkedKeys, parkedRecords, timers] as const;

/** What waits of one consumer, or of all. `what` and `scope` are of one consumer. */
export function waitingIn(
  rows: Reader,
  { consumer, what, scope, limit = 100 }: { consumer?: string; what?: string; scope?: string; limit?: number },
): readonly WaitingRow[] {
  const within = scope === undefined ? [] : [scope];
  const listed =
    consumer === undefined
      ? rows.list(waits, { equals: [], limit })
      : what === undefined
        ? rows.list(waits, { equals: [consumer, ...within], limit })
        : rows.list(waits, { index: 'what', equals: [consumer, what, ...within], limit });
  return listed.map((row) => ({
    consumer: row.consumer,
    what: row.what,
    scope: row.scope,
    record: recordOf(row),
    sinceMs: row.sinceMs,
    deadlineMs: row.deadlineMs,
  }));
}

export const parkedIn = (rows: Reader, limit = 100): readonly ParkedRow[] =>
  rows
    .list(parkedKeys, { equals: [], limit })
    .map(({ consumer, stream, key, code, sinceMs, flowId, firstSeq, nextSeq }) => ({
      consumer,
      stream,
      key,
      code,
      sinceMs,
      events: nextSeq - firstSeq,
      flowId,
    }));
