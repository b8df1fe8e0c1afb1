/** Engines that can be simulated: what a simulation needs of one, and the embedded one. */
import {
  type EngineView,
  type EntryOutcome,
  type GroupPlan,
  type LogRecord,
  type ServiceModule,
  SteppedElsewhere,
  SteppedEngine,
  SteppedLog,
  type Store,
  type Table,
} from '#bus';
import type { Clock } from '#kernel';

/** A process of an engine. It is thrown away where it crashes; all that outlives it is in its store. */
export interface SimEngine {
  readonly view: EngineView;
  /** One transaction of the doors, and work of about so many steps. Throws where it failed: then nothing of it happened. */
  group(plan: GroupPlan): EntryOutcome[];
  hasWork(): boolean;
  /** Unix milliseconds; Infinity = nothing is due. */
  nextDueMs(): number;
  /** Cleans the log and the references as retention says. */
  clean(beforeMs: number, nowMs: number): unknown;
  tables(): readonly Table[];
  /** Every row of a table, by its name. */
  rows(table: string): readonly object[];
  records(): LogRecord[];
  /** Says what decides the order of work, and sets it: only where the same groups can be done again exactly. */
  readonly turn: number;
  turnTo(turn: number): void;
}

export interface EngineKind {
  name: string;
  /** Something that outlives processes beside the store; made once for each simulation. */
  beside(): unknown;
  open(options: { store: Store; beside: unknown; modules: readonly ServiceModule[]; clock: Clock }): SimEngine;
  /** Whether the groups of a run can be repeated, in their order, without what broke between them. */
  repeats: boolean;
}

/** Everything in one process, the log a table of its store. */
export const embedded: EngineKind = {
  name: 'embedded',
  beside: () => undefined,
  open: (options) => new SteppedEngine(options),
  repeats: true,
};

/** The log is another system's: doors and services write a store, relays publish, services read at least once. */
export const elsewhere: EngineKind = {
  name: 'elsewhere',
  beside: () => new SteppedLog(),
  open: ({ beside, ...options }) => new SteppedElsewhere({ ...options, log: beside as SteppedLog }),
  repeats: false,
};

export const kinds: readonly EngineKind[] = [embedded, elsewhere];
