/** The log of what was done: its leaves, what is needed to prove them, its signed heads, and who was given what. */
import { table } from '#bus';

/** The log as a whole, one row. */
export interface LogRow {
  name: string;
  /** Leaves. */
  size: number;
  /** Hashes of its largest perfect subtrees, one after the other (`Peaks`). */
  peaks: Uint8Array;
  /** First leaf that is still kept; a multiple of `TILE`. */
  firstKept: number;
  /** Of the newest head; 0 = none was signed. */
  headSize: number;
  /** Made with the first head. */
  logId: Uint8Array;
  /** Digest of what was signed of the newest head. */
  previous: Uint8Array;
  /** When the next head is signed; 0 = nothing is to be signed. */
  headDueMs: number;
}

export const logTable = table<LogRow>({
  name: 'audit_log',
  key: ['name'],
  columns: {
    name: 'text',
    size: 'int',
    peaks: 'blob',
    firstKept: 'int',
    headSize: 'int',
    logId: 'blob',
    previous: 'blob',
    headDueMs: 'int',
  },
  retention: 'RETENTION_PUBLIC',
});

/** One thing that was done. */
export interface LeafRow {
  /** From 0. */
  n: number;
  atMs: number;
  salt: Uint8Array;
  /** Encoded eduk.core.v1.AuditRecord. */
  record: Uint8Array;
}

export const leavesTable = table<LeafRow>({
  name: 'audit_leaves',
  key: ['n'],
  columns: { n: 'int', atMs: 'int', salt: 'blob', record: 'blob' },
  retention: 'RETENTION_AUDIT',
});

/** In which leaf something stands that has a receipt. Ids rise with time, so that it grows at its right edge. */
export interface ReceiptRow {
  receiptId: string;
  n: number;
}

export const receiptsTable = table<ReceiptRow>({
  name: 'audit_receipts',
  key: ['receiptId'],
  columns: { receiptId: 'text', n: 'int' },
  retention: 'RETENTION_AUDIT',
});

/** Between which leaves all of one Dutch day are: leaves stand as they were taken, which late at night is not as they were done. */
export interface DayRow {
  day: string;
  first: number;
  last: number;
}

export const daysTable = table<DayRow>({
  name: 'audit_days',
  key: ['day'],
  columns: { day: 'text', first: 'int', last: 'int' },
  retention: 'RETENTION_AUDIT',
});

/** What may stand in one whole tile of leaves, so that a search passes over those in which it cannot (`marks.ts`). */
export interface MarksRow {
  /** Number of the tile. */
  n: number;
  marks: Uint8Array;
}

export const marksTable = table<MarksRow>({
  name: 'audit_marks',
  key: ['n'],
  columns: { n: 'int', marks: 'blob' },
  retention: 'RETENTION_AUDIT',
});

/** Hash of a perfect subtree of 256, 65,536 … leaves: says nothing of any of them, and is kept when they go. */
export interface NodeRow {
  level: number;
  n: number;
  hash: Uint8Array;
}

export const nodesTable = table<NodeRow>({
  name: 'audit_nodes',
  key: ['level', 'n'],
  columns: { level: 'int', n: 'int', hash: 'blob' },
  retention: 'RETENTION_PUBLIC',
});

export interface HeadRow {
  size: number;
  timeMs: number;
  root: Uint8Array;
  previous: Uint8Array;
  keyId: string;
  signature: Uint8Array;
}

export const headsTable = table<HeadRow>({
  name: 'audit_heads',
  key: ['size'],
  columns: { size: 'int', timeMs: 'int', root: 'blob', previous: 'blob', keyId: 'text', signature: 'blob' },
  retention: 'RETENTION_AUDIT',
});

/** A key that signed heads. */
export interface KeyRow {
  /** Hexadecimal. */
  keyId: string;
  publicKey: Uint8Array;
  fromMs: number;
  /** 0 = it signs now. */
  untilMs: number;
}

export const keysTable = table<KeyRow>({
  name: 'audit_keys',
  key: ['keyId'],
  columns: { keyId: 'text', publicKey: 'blob', fromMs: 'int', untilMs: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** What one party was given of a school's persons on one Dutch day. */
export interface AccessRow {
  school: string;
  day: string;
  party: string;
  purpose: string;
  /** Names, comma-separated. */
  attributes: string;
  times: number;
  people: number;
  lastLeaf: number;
}

export const accessTable = table<AccessRow>({
  name: 'audit_access',
  key: ['school', 'day', 'party', 'purpose', 'attributes'],
  columns: {
    school: 'text',
    day: 'text',
    party: 'text',
    purpose: 'text',
    attributes: 'text',
    times: 'int',
    people: 'int',
    lastLeaf: 'int',
  },
  indexes: { by_day: ['day'], by_party: ['party', 'school', 'day', 'purpose', 'attributes'] },
  retention: 'RETENTION_AUDIT',
});

/**
 * By which it can be counted how many different people of a school one party was given data of, over any days: sketches, which name
 * nobody.
 */
export interface ReachRow {
  party: string;
  school: string;
  day: string;
  learners: Uint8Array;
  staff: Uint8Array;
}

export const reachTable = table<ReachRow>({
  name: 'audit_reach',
  key: ['party', 'school', 'day'],
  columns: { party: 'text', school: 'text', day: 'text', learners: 'blob', staff: 'blob' },
  indexes: { by_day: ['day'] },
  retention: 'RETENTION_AUDIT',
});

/** What of a school and a party was used when. */
export interface UseRow {
  /** Empty = in messages about several schools. */
  school: string;
  party: string;
  /** A service by which the party was given something, a method by which it sent something, or `mandate`. */
  what: string;
  firstDay: string;
  lastDay: string;
  /** On how many. */
  days: number;
}

export const useTable = table<UseRow>({
  name: 'audit_use',
  key: ['school', 'party', 'what'],
  columns: { school: 'text', party: 'text', what: 'text', firstDay: 'text', lastDay: 'text', days: 'int' },
  indexes: { by_last_day: ['lastDay'] },
  retention: 'RETENTION_AUDIT',
});

export const tables = [
  logTable,
  leavesTable,
  receiptsTable,
  daysTable,
  marksTable,
  nodesTable,
  headsTable,
  keysTable,
  accessTable,
  reachTable,
  useTable,
];
