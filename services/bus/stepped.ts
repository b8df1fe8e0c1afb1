import type { Clock } from '#kernel';
import { Core, type EntryOutcome, type NewEntry } from './core.ts';
import type { EngineView, LogRecord, ServiceModule, Table } from './port.ts';
import type { Store } from './store.ts';
import { engineTables } from './tables.ts';

export type { EntryOutcome, NewEntry } from './core.ts';
export { type AppendedRecord, type Change, type LaneRow, StoreFailure } from './store.ts';

/** One group of work, as a simulation orders it. */
export interface GroupPlan {
  /** Messages to accept, as a door makes them. */
  entries: readonly NewEntry[];
  /** Keys to take up again: consumer, stream, key. */
  retries?: readonly (readonly [string, string, string])[];
  /** How often deciding may go on: asked before each lane, and every eight records. Undefined = nothing is decided. */
  budget: number | undefined;
}

/**
 * The engine without a will of its own, for simulations: it does a group when it is told to, and nothing between. The same
 * groups over the same rows, begun at the same `turn`, do the same.
 */
export class SteppedEngine {
  readonly #core: Core;
  readonly #store: Store;
  readonly #modules: readonly ServiceModule[];
  #turn = 0;

  constructor(options: { store: Store; modules: readonly ServiceModule[]; clock: Clock }) {
    this.#store = options.store;
    this.#modules = options.modules;
    this.#core = new Core(options);
  }

  /** Reads, notes, and what operators ask. */
  get view(): EngineView {
    return this.#core;
  }

  /** Counts what decides which lane is first; 0 in a fresh engine. */
  get turn(): number {
    return this.#turn;
  }

  /** One transaction. Throws what failed, and then nothing of it happened. */
  group({ entries, retries = [], budget }: GroupPlan): EntryOutcome[] {
    return this.#core.group(() => {
      const outcomes = this.#core.accept(entries);
      for (const [consumer, stream, key] of retries) this.#core.retryParked(consumer, stream, key);
      if (budget !== undefined) this.#run(budget);
      return outcomes;
    });
  }

  #run(budget: number): void {
    let asked = 0;
    this.#core.run(() => {
      // It is asked first when the first lane is chosen.
      if (asked === 0) this.#turn += 1;
      asked += 1;
      return asked <= budget;
    });
  }

  /** The next group begins as after so many. */
  turnTo(turn: number): void {
    this.#turn = turn;
    this.#core.turnTo(turn);
  }

  hasWork(): boolean {
    return this.#core.hasWork();
  }

  /** Unix milliseconds; Infinity = nothing is due. */
  nextDueMs(): number {
    return this.#core.nextDueMs();
  }

  /** Removes records that everybody took and that are older, and references that are no longer remembered. */
  clean(beforeMs: number, nowMs: number): number {
    return this.#core.clean(beforeMs, Infinity) + this.#store.cleanReferences(nowMs, Infinity);
  }

  /** Tables of the modules and of the engine itself. */
  tables(): readonly Table[] {
    return [...engineTables, ...this.#modules.flatMap((module) => module.tables)];
  }

  /** Every row of a table, in the order of its key. Throws when there is no such table. */
  rows(name: string): readonly object[] {
    const table = this.tables().find((one) => one.name === name);
    if (table === undefined) throw new Error(`no table is called ${name}`);
    return this.#core.list(table as Table<object>, { equals: [] });
  }

  /** Everything on the log that is still kept, lane by lane. */
  records(): LogRecord[] {
    return this.#store
      .lanes()
      .flatMap(({ stream, partition }) => this.#store.read(stream, partition, 0, Number.MAX_SAFE_INTEGER));
  }
}
