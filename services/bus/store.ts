import { runningCall } from './calls.ts';
import type { Cell, Cells, Layout } from './cells.ts';
import type { ListOptions, LogRecord } from './port.ts';

/** One change of a row. `cells` null removes. */
export interface Change {
  readonly key: readonly Cell[];
  cells: Cells | null;
}

/** What a repeat of a reference is compared with and answered with. */
export interface Reference {
  /** 16 bytes over (party, method, reference). */
  claim: Uint8Array;
  digest: Uint8Array;
  digestVersion: number;
  answer: Uint8Array;
  /** 16 bytes. */
  flowId: Uint8Array;
  /** Unix milliseconds. */
  rememberUntilMs: number;
}

/** An event with its number, and the claim it came in with, so that the references can be rebuilt from the log. */
export interface AppendedRecord extends LogRecord {
  origin: { claim: Uint8Array; digest: Uint8Array; digestVersion: number } | null;
}

/** A lane as the store knows it. */
export interface LaneRow {
  stream: string;
  partition: number;
  /** Number of the newest record; 0 = none yet. */
  head: number;
  /** Number of the oldest record that is kept; head + 1 = none. */
  first: number;
}

/**
 * Where an engine keeps log, references and rows. It knows nothing of consumers: it reads, and it writes inside one
 * transaction at a time. Everything between `begin` and `commit` is seen by later reads of this store, is durable when
 * `commit` returns, and is gone after `rollback`. Only one caller, one thread.
 */
export interface Store {
  /** The lanes there are; read once, when the engine opens. */
  lanes(): readonly LaneRow[];
  /** Row by key. */
  get(layout: Layout, key: readonly Cell[]): Cells | undefined;
  /** Rows in the order of the key or index. */
  list(layout: Layout, options: ListOptions): readonly Cells[];
  /** What stands under a claim, however old. */
  reference(claim: Uint8Array): Reference | undefined;
  /** Records of a lane with a number above `after`, in order, at most `limit`. */
  read(stream: string, partition: number, after: number, limit: number): readonly LogRecord[];

  begin(): void;
  /** Takes the reference, or answers with the one that stands and is remembered beyond `nowMs`. */
  claim(reference: Reference, nowMs: number): Reference | undefined;
  /** Inserts, replaces and removes rows. */
  write(layout: Layout, changes: readonly Change[]): void;
  /** Adds records that carry the next numbers of their lanes, and moves the lanes' heads. */
  append(records: readonly AppendedRecord[], lanes: readonly LaneRow[]): void;
  commit(): void;
  rollback(): void;

  /** Removes records of a lane up to `through` that are older than `beforeMs`, at most `limit`; a transaction of its own. Answers how many. */
  cleanLane(lane: LaneRow, through: number, beforeMs: number, limit: number): number;
  /** Removes references that are remembered no longer than `nowMs`, at most `limit`; a transaction of its own. */
  cleanReferences(nowMs: number, limit: number): number;
  /** Called between transactions; moves the journal into the file where that is due. */
  settle(): void;
  /** Bytes free where the store lies. */
  freeBytes(): number;
  /** Writes out everything and closes. */
  close(): void;
}

/** The store itself failed: nothing that was being decided is to blame. */
export class StoreFailure extends Error {
  constructor(cause: unknown) {
    super('store failed', { cause });
    this.name = 'StoreFailure';
  }
}

/**
 * The store has not loaded what it was asked for. It remembers what that was: whoever runs the group loads it and runs the
 * group again. Nothing else may catch this. Thrown thousands of times a second, so it is one object and knows no place.
 */
export class Missing extends StoreFailure {
  private constructor() {
    super(undefined);
    this.name = 'Missing';
    delete (this as { stack?: string }).stack;
  }
  static readonly one = new Missing();

  /** Loads what the call that is being answered lacks, for whoever waits within it; undefined = a group does that. */
  fetch(): Promise<void> | undefined {
    return runningCall.getStore()?.fetch?.();
  }
}
