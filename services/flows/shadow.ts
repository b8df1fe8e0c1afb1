/**
 * What the log says of flows, beside the rows that stand: in a file of its own that has no name and goes with the process, so that half a
 * rebuild leaves nothing. It holds facts by flow, in the order of time and within a lane in the lane's.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { LaneTaken, LogRecord, Stretch } from '#bus';
import { GatewayError } from '#kernel';
import { type Fact, factOf } from './facts.ts';

/** Memory for it; the rest is on disk, KiB. */
const CACHE_KIB = 16_384;

/** 1 GiB: some three million events, of 290 to 370 bytes as measured. deploy/helm gives temporary files of this role more, because a pod that takes more than it has is ended. */
const MOST_PAGES = 2 ** 18;
/** What SQLite says where the disk is full. */
const FULL = 13;

/** A lane as far as it was read here. */
interface Lane {
  id: number;
  number: number;
  /** Of the newest record, never below that of one before it. */
  atMs: number;
}

export class Shadow {
  readonly #db = new DatabaseSync('');
  readonly #lanes = new Map<string, Lane>();
  readonly #add: StatementSync;
  readonly #of: StatementSync;
  readonly #flows: StatementSync;
  readonly #find: StatementSync;
  readonly #lose: StatementSync;
  readonly #found: StatementSync;
  /** Records that were read. */
  records = 0;

  /** `mostPages`: it may take so many of 4 KiB; fewer in tests. */
  constructor(mostPages = MOST_PAGES) {
    this.#db.exec(`PRAGMA page_size = 4096; PRAGMA max_page_count = ${mostPages}`);
    this.#db.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIB};
      CREATE TABLE facts (flow TEXT, at INTEGER, lane INTEGER, number INTEGER, fact TEXT, PRIMARY KEY (flow, at, lane, number)) WITHOUT ROWID;
      CREATE TABLE found (flow TEXT PRIMARY KEY) WITHOUT ROWID`);
    this.#add = this.#db.prepare('INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?, ?)');
    this.#of = this.#db.prepare('SELECT fact FROM facts WHERE flow = ? ORDER BY at, lane, number');
    this.#flows = this.#db.prepare('SELECT DISTINCT flow FROM facts WHERE flow > ? ORDER BY flow LIMIT ?');
    this.#find = this.#db.prepare('INSERT OR IGNORE INTO found VALUES (?)');
    this.#lose = this.#db.prepare('DELETE FROM found WHERE flow = ?');
    this.#found = this.#db.prepare('SELECT flow FROM found WHERE flow > ? ORDER BY flow LIMIT ?');
  }

  /** What of the lanes was taken and is not here yet. What is not kept any more is passed over. */
  behind(lanes: readonly LaneTaken[]): Stretch[] {
    return lanes.flatMap(({ stream, partition, first, taken }) => {
      const lane = this.#lane(stream, partition);
      lane.number = Math.max(lane.number, first - 1);
      return lane.number < taken ? [{ stream, partition, after: lane.number, through: taken }] : [];
    });
  }

  #lane(stream: string, partition: number): Lane {
    const name = `${stream}/${partition}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { id: this.#lanes.size, number: 0, atMs: 0 };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** Each lane's in order, none left out. What cannot be read stands as a flow that cannot be told. Faults: gateway.disk_full, and then it is over. */
  add(records: readonly LogRecord[]): void {
    try {
      this.#addAll(records);
    } catch (thrown) {
      if ((thrown as { errcode?: number }).errcode !== FULL) throw thrown;
      throw new GatewayError(
        'gateway.disk_full',
        'There is no room for flows that are made anew: they take 1 GiB at most, in the folder for temporary files.',
      );
    }
  }

  #addAll(records: readonly LogRecord[]): void {
    this.#db.exec('BEGIN');
    for (const record of records) {
      const lane = this.#lane(record.stream, record.partition);
      lane.number = record.number;
      lane.atMs = Math.max(lane.atMs, record.timeMs);
      this.records += 1;
      const fact = factIn(record);
      if (fact !== undefined) this.#add.run(record.flowId, lane.atMs, lane.id, record.number, JSON.stringify(fact));
    }
    this.#db.exec('COMMIT');
  }

  /** All that is known of a flow, in order; `unreadable`: something of it was not understood. */
  factsOf(flowId: string): Fact[] | 'unreadable' {
    const facts = this.#of.all(flowId).map(({ fact }) => JSON.parse(fact as string) as Fact | null);
    return facts.includes(null) ? 'unreadable' : (facts as Fact[]);
  }

  /** Ids above `after`, in order. */
  flows(after: string, limit: number): string[] {
    return this.#flows.all(after, limit).map(({ flow }) => flow as string);
  }

  /** To be looked at again. */
  find(flowId: string): void {
    this.#find.run(flowId);
  }

  lose(flowId: string): void {
    this.#lose.run(flowId);
  }

  /** Those that were found, above `after`, in order. */
  found(after: string, limit: number): string[] {
    return this.#found.all(after, limit).map(({ flow }) => flow as string);
  }

  close(): void {
    this.#db.close();
  }
}

function factIn(record: LogRecord): Fact | null | undefined {
  try {
    return factOf(record);
  } catch {
    return null;
  }
}
