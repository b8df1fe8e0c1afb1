/**
 * Answers to questions beside the engine: over its file, by a connection of their own, in a thread of their own, so that who asks
 * waits for nothing that is decided meanwhile, and nothing that is decided waits for who asks. An answer is of one moment, the
 * last commit before it began. What needs the engine itself (a note, waiting for news, how far consumers are) goes on to it.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type Clock, dispatcher, GatewayError, type Implementation, systemClock, type Transport } from '#kernel';
import { decodeRow, encodeKey, type Layout, layoutOf } from './cells.ts';
import { claimOf, flowUnder } from './core.ts';
import type {
  Consumer,
  EngineView,
  KeyValue,
  LaneTaken,
  ListOptions,
  LogRecord,
  ServiceModule,
  Stretch,
  Table,
} from './port.ts';
import { LOG_COLUMNS, laneName, recordIn } from './sqlite.ts';
import { arrays, SqliteRows } from './sqlite-rows.ts';
import { StoreFailure } from './store.ts';
import { stretchesOf } from './stretches.ts';
import { engineTables, parkedIn, positions, waitingIn } from './tables.ts';

/** Memory for pages of the file, KiB: most of what is asked for stands in the system's. */
const CACHE_KIB = 8_192;

/** Only the engine can answer this. */
export class Elsewhere extends Error {}

export class BesideView implements EngineView {
  readonly #db: DatabaseSync;
  readonly #rows: SqliteRows;
  readonly #clock: Clock;
  readonly #layouts: ReadonlyMap<string, Layout>;
  readonly #version;
  readonly #consumers: readonly Consumer[];
  readonly #statements = new Map<string, StatementSync>();
  readonly #listeners: Parameters<EngineView['onCommit']>[0][] = [];
  #seen: unknown;

  constructor(db: DatabaseSync, modules: readonly ServiceModule[], clock: Clock) {
    const tables = [...engineTables, ...modules.flatMap((module) => module.tables)];
    this.#consumers = modules.flatMap(({ consumers }) => consumers);
    this.#db = db;
    this.#rows = new SqliteRows(db);
    this.#clock = clock;
    this.#layouts = new Map(tables.map((table) => [table.name, layoutOf(table)]));
    this.#version = db.prepare('PRAGMA data_version');
  }

  /** All that `question` reads before it waits is of one moment. */
  asOneMoment<T>(question: () => T): T {
    let version: unknown;
    try {
      this.#db.exec('BEGIN');
      // The first that is read of the file: where it is locked, this says so.
      version = this.#version.get()!['data_version'];
    } catch (thrown) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw new StoreFailure(thrown);
    }
    try {
      if (version !== this.#seen) {
        this.#seen = version;
        for (const listener of this.#listeners) listener(new Set(), true);
      }
      return question();
    } finally {
      this.#db.exec('COMMIT');
    }
  }

  get<Row extends object>(table: Table<Row>, ...key: KeyValue[]): Readonly<Row> | undefined {
    const layout = this.#layout(table);
    const cells = this.#rows.get(layout, encodeKey(layout, key));
    return cells && decodeRow<Row>(layout, cells);
  }

  list<Row extends object>(table: Table<Row>, options: ListOptions): readonly Readonly<Row>[] {
    const layout = this.#layout(table);
    return this.#rows.list(layout, options).map((cells) => decodeRow<Row>(layout, cells));
  }

  #layout({ name }: Table): Layout {
    const layout = this.#layouts.get(name);
    if (layout === undefined) throw new GatewayError('gateway.bug', `table ${name} belongs to no module here`);
    return layout;
  }

  onCommit(listener: Parameters<EngineView['onCommit']>[0]): void {
    this.#listeners.push(listener);
  }

  waiting(filter: Parameters<EngineView['waiting']>[0]) {
    if (filter.consumer === undefined && (filter.what ?? filter.scope) !== undefined) throw new Elsewhere();
    return waitingIn(this, filter);
  }

  parked(limit?: number) {
    return parkedIn(this, limit);
  }

  now(): number {
    return this.#clock.now();
  }

  flowOf({ partyOin, method, referenceKey }: Parameters<EngineView['flowOf']>[0]): string | undefined {
    return flowUnder(this.#rows, claimOf(partyOin, method, referenceKey), this.now());
  }

  lanes(consumer: string): readonly LaneTaken[] {
    const streams = new Set(this.#consumers.find(({ name }) => name === consumer)?.streams);
    return this.#read('SELECT stream, partition, first FROM bus_lanes')
      .filter(([stream]) => streams.has(stream as string))
      .map(([stream, partition, first]) => ({
        stream: stream as string,
        partition: partition as number,
        first: first as number,
        taken: this.get(positions, consumer, stream as string, partition as number)?.number ?? (first as number) - 1,
      }));
  }

  log(of: readonly Stretch[], atMost: { most: number; bytes: number }): readonly LogRecord[] {
    return stretchesOf(of, atMost, (stream, partition, after, limit) =>
      this.#read(
        `SELECT ${LOG_COLUMNS} FROM ${laneName(stream, partition)} WHERE number > ? ORDER BY number LIMIT ?`,
        after,
        limit,
      ).map((row) => recordIn(stream, partition, row)),
    );
  }

  #read(sql: string, ...values: number[]): (string | number | Uint8Array | null)[][] {
    try {
      let statement = this.#statements.get(sql);
      if (statement === undefined) {
        statement = arrays(this.#db, sql);
        this.#statements.set(sql, statement);
      }
      return statement.all(...values) as unknown as (string | number | Uint8Array | null)[][];
    } catch (thrown) {
      throw new StoreFailure(thrown);
    }
  }

  mayWait(): void {
    throw new Elsewhere();
  }

  ages(): never {
    throw new Elsewhere();
  }

  note(): never {
    throw new Elsewhere();
  }
}

/** Answers to what the modules serve; `close` lets go of the file. */
export interface Beside extends Transport {
  close(): void;
}

/** Opens the file of an engine that shares it; calls that need the engine, or cannot be read here now, go to `engine`. */
export function openBeside(options: {
  file: string;
  modules: readonly ServiceModule[];
  engine: Transport;
  /** Default: the system's. */
  clock?: Clock;
}): Beside {
  const { file, modules, engine } = options;
  const db = new DatabaseSync(file, { readOnly: true, timeout: 500 });
  try {
    db.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY`);
    const view = new BesideView(db, modules, options.clock ?? systemClock);
    const served = modules.flatMap((module) => module.serve(view));
    const local = dispatcher(served.map((implementation) => ofOneMoment(implementation, view)));
    return {
      async call(service, method, request) {
        try {
          return await local.call(service, method, request);
        } catch (thrown) {
          if (!(thrown instanceof Elsewhere) && !(thrown instanceof StoreFailure)) throw thrown;
          return await engine.call(service, method, request);
        }
      },
      close: () => db.close(),
    };
  } catch (thrown) {
    db.close();
    throw thrown;
  }
}

const ofOneMoment = ({ definition, handlers }: Implementation, view: BesideView): Implementation => ({
  definition,
  handlers: Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      (request: unknown) => view.asOneMoment(() => handler(request)),
    ]),
  ),
});
