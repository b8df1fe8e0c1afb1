/** What was done → leaves of the tree; a timer signs its heads, another removes what has had its time. */
import type { KeyObject } from 'node:crypto';
import { type Consumer, decoded, type LogRecord, terms, type Unit } from '#bus';
import {
  decodedWith,
  dutchDay,
  HmacKey,
  headDigest,
  keyIdOf,
  mergedSketch,
  Peaks,
  publicKeyBytes,
  receiptsIn,
  recordLeaf,
  sha256,
  signHead,
} from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import type { AuditItem } from '#proto/eduk/events/v1/audit';
import { marksOf } from './marks.ts';
import {
  accessOf,
  freezeRecord,
  mandateRecord,
  releasedRecord,
  reviewRecord,
  ruleRecord,
  standingRecord,
  usesOf,
} from './record.ts';
import {
  accessTable,
  daysTable,
  headsTable,
  keysTable,
  type LogRow,
  leavesTable,
  logTable,
  marksTable,
  nodesTable,
  reachTable,
  receiptsTable,
  useTable,
} from './tables.ts';
import { TILE, TILE_LEVELS } from './tree.ts';

/** From the first leaf that no head holds until one is signed, milliseconds: a receipt promises 60 s. */
export const HEAD_MS = 5_000;
const HEAD = 'head';
const SWEEP = 'sweep';
const DAY_MS = 86_400_000;
/** Tiles, heads or rows that one unit of a sweep removes, and the rest between two, milliseconds. */
const SWEPT_TILES = 4;
const SWEPT_ROWS = 1000;
const SWEEP_REST_MS = 200;
const NONE = new Uint8Array(0);
const DIGEST = 32;
const LOG = 'log';

const empty: LogRow = {
  name: LOG,
  size: 0,
  peaks: NONE,
  firstKept: 0,
  headSize: 0,
  logId: NONE,
  previous: NONE,
  headDueMs: 0,
};

export const logOf = (reader: Pick<Unit, 'get'>): Readonly<LogRow> => reader.get(logTable, LOG) ?? empty;

/** What the log signs with. Without a key it grows, and no head is signed. */
export interface Signer {
  key: KeyObject;
  publicKey: Uint8Array;
  keyId: Uint8Array;
}

export const signerOf = (key: KeyObject): Signer => {
  const publicKey = publicKeyBytes(key);
  return { key, publicKey, keyId: keyIdOf(publicKey) };
};

/** `changed` is told when a head is signed, before the commit. */
export function consumer(signer: (() => Signer) | undefined, changed: () => void): Consumer {
  return {
    name: 'audit',
    streams: ['audit', 'parties'],
    types: [
      'AuditSubmitted',
      'MandateChanged',
      'PartyStandingChanged',
      'MandateReviewed',
      'FreezeChanged',
      'HoldRuleChanged',
      'RosterReleased',
      'EntitlementsReleased',
    ],
    handle(record, unit) {
      if (record.type === 'AuditSubmitted') {
        append(unit, decoded(record, 'AuditSubmitted').items, signer !== undefined);
        return;
      }
      // Its salt need not be secret from the two who know the mandate; others do not know the event's id.
      const salts = new HmacKey(record.id);
      const at = { atMs: record.timeMs, flowId: record.flowId };
      const digest = (bytes: Uint8Array): Uint8Array => salts.digest('mandate', bytes);
      const made = madeOf(record, at, digest);
      const salt = salts.digest('salt').subarray(0, 16);
      if (made) append(unit, [{ salt, record: made }], signer !== undefined);
    },
    onTimer(timer, unit) {
      if (timer.id === HEAD) {
        if (signer) sign(unit, signer());
        changed();
      } else sweep(unit);
    },
  };
}

/** What stands on the stream of parties and is kept; undefined = nothing of it is. */
function madeOf(
  record: LogRecord,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  switch (record.type) {
    case 'MandateChanged':
      return mandateRecord(decoded(record, 'MandateChanged'), at, digest);
    case 'PartyStandingChanged':
      return standingRecord(decoded(record, 'PartyStandingChanged'), at, digest);
    case 'FreezeChanged':
      return freezeRecord(decoded(record, 'FreezeChanged'), at, digest);
    case 'HoldRuleChanged':
      return ruleRecord(decoded(record, 'HoldRuleChanged'), at, digest);
    case 'RosterReleased':
      return releasedRecord('RosterReleased', decoded(record, 'RosterReleased'), at, digest);
    case 'EntitlementsReleased':
      return releasedRecord('EntitlementsReleased', decoded(record, 'EntitlementsReleased'), at, digest);
    default:
      return reviewRecord(decoded(record, 'MandateReviewed'), at, digest);
  }
}

/** The row that says since when uses are counted. */
export const COUNTED = { school: '', party: '', what: '' };

function countUse(unit: Unit, use: ReturnType<typeof usesOf>[number]): void {
  const { school, party, what, lastDay } = use;
  if (party === '' || what === '') return;
  const known = unit.get(useTable, school, party, what);
  // Written once a day; what comes late does not make it older.
  if (known && known.lastDay >= lastDay) return;
  unit.put(useTable, { ...use, firstDay: known?.firstDay ?? lastDay, days: (known?.days ?? 0) + 1 });
}

/** Adds to what one party was given of a school on a day by whom it was about. */
function countReach(
  unit: Unit,
  { party, school, day }: { party: string; school: string; day: string },
  { learners = NONE, staff = NONE }: Pick<AuditItem, 'learners' | 'staff'>,
): void {
  if (learners.length + staff.length === 0) return;
  const known = unit.get(reachTable, party, school, day);
  unit.put(reachTable, {
    party,
    school,
    day,
    learners: mergedSketch(known?.learners ?? NONE, learners),
    staff: mergedSketch(known?.staff ?? NONE, staff),
  });
}

function append(unit: Unit, items: readonly AuditItem[], signs: boolean): void {
  if (items.length === 0) return;
  const log = logOf(unit);
  const peaks = new Peaks(log.size, log.peaks);
  const today = dutchDay(unit.now);
  const days = new Map<string, { first: number; last: number }>();
  const taken: AuditRecord[] = [];
  if (unit.get(useTable, '', '', '') === undefined)
    unit.put(useTable, { ...COUNTED, firstDay: today, lastDay: today, days: 0 });
  for (const item of items) {
    const { salt, record } = item;
    const n = peaks.size;
    const said = decodedWith(AuditRecord, record);
    const day = dutchDay(Number(said.atMs));
    const span = days.get(day);
    if (span) span.last = n;
    else days.set(day, { first: n, last: n });
    unit.put(leavesTable, { n, atMs: Number(said.atMs), salt, record });
    taken.push(said);
    if ((n + 1) % TILE === 0) {
      const first = n + 1 - TILE;
      // A list has what was there before this event, and no more.
      const before = first < log.size ? unit.list(leavesTable, { equals: [], after: [first - 1], limit: TILE }) : [];
      const records = [...before.map((leaf) => decodedWith(AuditRecord, leaf.record)), ...taken.slice(-TILE)];
      unit.put(marksTable, { n: first / TILE, marks: marksOf(records) });
    }
    for (const { receiptId } of receiptsIn(said)) unit.put(receiptsTable, { receiptId, n });
    peaks.add(recordLeaf(salt, record), (level, index, hash) => {
      if (level > 0 && level % TILE_LEVELS === 0) unit.put(nodesTable, { level, n: index, hash });
    });
    let before: ReturnType<typeof usesOf>[number] | undefined;
    for (const use of usesOf(said)) {
      // Messages that came together are mostly of one kind.
      if (before?.school !== use.school || before.what !== use.what) countUse(unit, use);
      before = use;
    }
    const access = accessOf(said, n);
    if (access) {
      countReach(unit, access, item);
      const { school, day, party, purpose, attributes } = access;
      const known = unit.get(accessTable, school, day, party, purpose, attributes);
      unit.put(accessTable, {
        ...access,
        times: (known?.times ?? 0) + access.times,
        people: (known?.people ?? 0) + access.people,
      });
    }
  }
  for (const [day, { first, last }] of days) {
    const known = unit.get(daysTable, day);
    unit.put(daysTable, { day, first: Math.min(known?.first ?? first, first), last });
  }
  let { headDueMs } = log;
  if (signs && headDueMs === 0) {
    headDueMs = unit.now + HEAD_MS;
    unit.setTimer({ id: HEAD, atMs: headDueMs, key: HEAD, payload: '' });
  }
  if (log.size === 0) unit.setTimer({ id: SWEEP, atMs: unit.now + DAY_MS, key: SWEEP, payload: '' });
  unit.put(logTable, { ...log, size: peaks.size, peaks: peaks.bytes(), headDueMs });
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function sign(unit: Unit, { key, publicKey, keyId }: Signer): void {
  const log = logOf(unit);
  if (log.size === log.headSize) {
    unit.put(logTable, { ...log, headDueMs: 0 });
    return;
  }
  const name = hexOf(keyId);
  const known = unit.get(keysTable, name);
  if (known === undefined || known.untilMs > 0) {
    for (const other of unit.list(keysTable, { equals: [] }))
      if (other.keyId !== name && other.untilMs === 0) unit.put(keysTable, { ...other, untilMs: unit.now });
    unit.put(keysTable, { keyId: name, publicKey, fromMs: known?.fromMs ?? unit.now, untilMs: 0 });
  }
  // The name of the log: of the key and the moment of its first head, so that no two are called alike.
  const logId =
    log.logId.length > 0
      ? log.logId
      : Buffer.from(sha256(`eduk log ${name} ${unit.now} ${hexOf(log.peaks)}`), 'latin1');
  const previous = log.previous.length > 0 ? log.previous : new Uint8Array(DIGEST);
  const root = new Peaks(log.size, log.peaks).root();
  const head = signHead({ logId, size: BigInt(log.size), root, timeMs: BigInt(unit.now), previous, keyId }, key);
  unit.put(headsTable, {
    size: log.size,
    timeMs: unit.now,
    root,
    previous,
    keyId: name,
    signature: head.signature,
  });
  unit.put(logTable, { ...log, headSize: log.size, logId, previous: headDigest(head), headDueMs: 0 });
}

/** Removes tiles of leaves, heads and counts that are older than their class says, a little at a time. The newest head stays. */
function sweep(unit: Unit): void {
  const isOld = (ms: number): boolean => terms['RETENTION_AUDIT']!.end(ms) <= unit.now;
  let log = logOf(unit);
  let removed = 0;
  for (let tile = 0; tile < SWEPT_TILES && log.firstKept + TILE <= log.headSize; tile++) {
    const last = log.firstKept + TILE - 1;
    if (!isOld(unit.get(leavesTable, last)?.atMs ?? Infinity)) break;
    for (let n = log.firstKept; n <= last; n++) {
      // What stands in a later leaf too is found there.
      for (const { receiptId } of receiptsIn(decodedWith(AuditRecord, unit.get(leavesTable, n)!.record)))
        if (unit.get(receiptsTable, receiptId)?.n === n) unit.remove(receiptsTable, receiptId);
      unit.remove(leavesTable, n);
    }
    if (unit.get(marksTable, log.firstKept / TILE)) unit.remove(marksTable, log.firstKept / TILE);
    log = { ...log, firstKept: log.firstKept + TILE };
    removed += 1;
  }
  if (removed > 0) unit.put(logTable, log);
  for (const { day, last } of unit.list(daysTable, { equals: [], limit: SWEPT_ROWS }))
    if (last < log.firstKept) {
      unit.remove(daysTable, day);
      removed += 1;
    }
  for (const { size, timeMs } of unit.list(headsTable, { equals: [], limit: SWEPT_ROWS })) {
    if (!isOld(timeMs) || size >= log.headSize) break;
    unit.remove(headsTable, size);
    removed += 1;
  }
  for (const { school, day, party, purpose, attributes } of unit.list(accessTable, {
    index: 'by_day',
    equals: [],
    limit: SWEPT_ROWS,
  })) {
    if (dutchDay(unit.now) <= day || !isOld(Date.parse(day))) break;
    unit.remove(accessTable, school, day, party, purpose, attributes);
    removed += 1;
  }
  for (const { party, school, day } of unit.list(reachTable, { index: 'by_day', equals: [], limit: SWEPT_ROWS })) {
    if (dutchDay(unit.now) <= day || !isOld(Date.parse(day))) break;
    unit.remove(reachTable, party, school, day);
    removed += 1;
  }
  for (const { school, party, what, lastDay } of unit.list(useTable, {
    index: 'by_last_day',
    equals: [],
    limit: SWEPT_ROWS,
  })) {
    if (dutchDay(unit.now) <= lastDay || !isOld(Date.parse(lastDay))) break;
    // Since when uses are counted stays true.
    if (what === '') continue;
    unit.remove(useTable, school, party, what);
    removed += 1;
  }
  unit.setTimer({ id: SWEEP, atMs: unit.now + (removed > 0 ? SWEEP_REST_MS : DAY_MS), key: SWEEP, payload: '' });
}
