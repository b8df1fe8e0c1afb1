/** Looks for leaves, newest first: a bounded part of the log at a time, and says which. */
import type { EngineView } from '#bus';
import { decodedWith, GatewayError, isDay } from '#kernel';
import type { LogRow, SearchLogRequest, SearchLogResponse } from '#proto/eduk/audit/v1/audit';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { logOf } from './consume.ts';
import { fits, mayHold, methodsOf, schoolsOf } from './marks.ts';
import { daysTable, type LeafRow, leavesTable, marksTable } from './tables.ts';
import { TILE } from './tree.ts';

const ROWS = 50;
const MOST_ROWS = 200;
/** Leaves that one question reads, and tiles that it passes over by their marks. */
export const MOST_READ = 16 * TILE;
export const MOST_PASSED = 1024;
const MOST_NAMED = 10;

/** Leaves from the first up to, not with, the second. */
type Span = readonly [from: number, to: number];

/**
 * Where leaves of these days are, newest first. Leaves of before days were noted stand under no day: they are looked at, whatever the day.
 */
function spansOf(engine: EngineView, { fromDay, toDay }: Pick<SearchLogRequest, 'fromDay' | 'toDay'>): Span[] {
  const { size, firstKept } = logOf(engine);
  if (fromDay === '' && toDay === '') return [[firstKept, size]];
  const days = engine.list(daysTable, { equals: [] });
  const notedFrom = days.reduce((least, { first }) => Math.min(least, first), size);
  const asked = days.filter(({ day }) => (fromDay === '' || day >= fromDay) && (toDay === '' || day <= toDay));
  const spans: Span[] = [];
  if (asked.length > 0)
    spans.push([
      Math.max(firstKept, Math.min(...asked.map(({ first }) => first))),
      Math.max(...asked.map(({ last }) => last + 1)),
    ]);
  if (notedFrom > firstKept) spans.push([firstKept, notedFrom]);
  return spans.filter(([from, to]) => from < to);
}

const rowOf = ({ n }: Readonly<LeafRow>, record: AuditRecord): LogRow => ({
  index: BigInt(n),
  atMs: record.atMs,
  kind: record.kind,
  partyOin: record.partyOin,
  actedBy: record.actedBy,
  schoolOins: schoolsOf(record).slice(0, MOST_NAMED),
  methods: methodsOf(record).slice(0, MOST_NAMED),
  code: record.code,
  purpose: record.purpose,
  attributes: record.attributes,
  times: record.times,
  people: record.people,
  receiptId: record.receiptId || (record.messages.length === 1 ? record.messages[0]!.receiptId : ''),
});

/** Faults: wire.invalid. */
export function searchLog(engine: EngineView, asked: SearchLogRequest): Omit<SearchLogResponse, 'head'> {
  for (const [where, day] of [
    ['from_day', asked.fromDay],
    ['to_day', asked.toDay],
  ] as const)
    if (day !== '' && !isDay(day)) throw new GatewayError('wire.invalid', 'This is no day.', { where });
  if (asked.fromDay !== '' && asked.toDay !== '' && asked.fromDay > asked.toDay)
    throw new GatewayError('wire.invalid', 'The first day is later than the last.', { where: 'from_day' });
  const { size, firstKept } = logOf(engine);
  const most = Math.min(asked.limit || ROWS, MOST_ROWS);
  const before = asked.before === undefined ? size : Number(asked.before);
  const spans = spansOf(engine, asked)
    .map(([from, to]): Span => [from, Math.min(to, before)])
    .filter(([from, to]) => from < to);
  const isMarked = mayHold(asked);
  const rows: LogRow[] = [];
  let [read, passed] = [0, 0];
  /** All from here on has been looked at. */
  let at = spans[0]?.[1] ?? 0;
  const isFull = (): boolean => rows.length >= most || read >= MOST_READ || passed >= MOST_PASSED;
  for (const [from, to] of spans) {
    if (isFull()) break;
    at = to;
    while (at > from && !isFull()) {
      const tile = Math.floor((at - 1) / TILE);
      const first = Math.max(from, tile * TILE);
      const marks = engine.get(marksTable, tile)?.marks;
      if (marks && !isMarked(marks)) {
        passed += 1;
        at = first;
        continue;
      }
      const leaves = engine.list(leavesTable, { equals: [], after: [first - 1], limit: at - first });
      read += leaves.length;
      at = first;
      for (const leaf of leaves.toReversed()) {
        const record = decodedWith(AuditRecord, leaf.record);
        if (!fits(record, asked)) continue;
        rows.push(rowOf(leaf, record));
        if (rows.length < most) continue;
        at = leaf.n;
        break;
      }
    }
  }
  const end = spans[0]?.[1] ?? 0;
  const msOf = (n: number): bigint => BigInt(engine.get(leavesTable, n)?.atMs ?? 0);
  return {
    rows,
    coveredFrom: BigInt(at),
    coveredTo: BigInt(end),
    coveredFromMs: end > at ? msOf(at) : 0n,
    coveredToMs: end > at ? msOf(end - 1) : 0n,
    before: spans.some(([from]) => from < at) ? BigInt(at) : undefined,
    keptFromMs: size > firstKept ? msOf(firstKept) : 0n,
    size: BigInt(size),
  };
}
