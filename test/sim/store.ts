/** A store that breaks when it is told to, and the plants: stores that are wrong, to see that the checks find them. */
import { type AppendedRecord, type Change, type LaneRow, MemoryStore, type Store, StoreFailure } from '#bus';
import { GatewayError } from '#kernel';
import type { Fault } from './plan.ts';

type Layout = Parameters<Store['get']>[0];

/** The process is gone: whatever it was doing, it does no more. */
class Gone extends Error {}

const failure = (): StoreFailure => new StoreFailure(new GatewayError('gateway.disk_full'));

/** One process's hold of a store. After a crash it is dead; the next process takes another. */
export class FaultyStore implements Store {
  readonly #inner: Store;
  #fault: Fault | undefined;
  #calls = 0;
  /** The process crashed. */
  dead = false;
  /** The last transaction is durable. */
  committed = false;
  /** The disk is full: nothing can be written. */
  full = false;
  /** What the open transaction appends. */
  appended: readonly AppendedRecord[] = [];
  /** Called with each commit, and with each transaction that is undone. */
  onEnd: (committed: boolean) => void = () => undefined;

  constructor(inner: Store) {
    this.#inner = inner;
  }

  /** What goes wrong from here on, once. */
  arm(fault: Fault | undefined): void {
    this.#fault = fault;
    this.#calls = 0;
    this.committed = false;
  }

  #call(): void {
    if (this.dead) throw new StoreFailure(new Gone('dead'));
    const fault = this.#fault;
    if (fault === undefined || (fault.kind !== 'crash' && fault.kind !== 'fails') || this.#calls++ < fault.after)
      return;
    this.#fault = undefined;
    if (fault.kind === 'fails') throw failure();
    this.dead = true;
    throw new StoreFailure(new Gone('dead'));
  }

  #write(): void {
    this.#call();
    if (this.full) throw failure();
  }

  lanes() {
    this.#call();
    return this.#inner.lanes();
  }
  get(layout: Layout, key: Parameters<Store['get']>[1]) {
    this.#call();
    return this.#inner.get(layout, key);
  }
  list(layout: Layout, options: Parameters<Store['list']>[1]) {
    this.#call();
    return this.#inner.list(layout, options);
  }
  reference(claim: Uint8Array) {
    this.#call();
    return this.#inner.reference(claim);
  }
  read(stream: string, partition: number, after: number, limit: number) {
    this.#call();
    return this.#inner.read(stream, partition, after, limit);
  }
  begin() {
    this.#call();
    this.appended = [];
    this.#inner.begin();
  }
  claim(reference: Parameters<Store['claim']>[0], nowMs: number) {
    this.#write();
    return this.#inner.claim(reference, nowMs);
  }
  write(layout: Layout, changes: readonly Change[]) {
    this.#write();
    this.#inner.write(layout, changes);
  }
  append(records: readonly AppendedRecord[], lanes: readonly LaneRow[]) {
    this.#write();
    this.appended = records;
    this.#inner.append(records, lanes);
  }
  commit() {
    this.#write();
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault?.kind === 'commitFails') throw failure();
    this.#inner.commit();
    this.committed = true;
    this.onEnd(true);
    if (fault?.kind !== 'crashCommitted') return;
    this.dead = true;
    throw new StoreFailure(new Gone('dead'));
  }
  rollback() {
    // A process that is gone rolls nothing back; its transaction ends with its connection, see `end`.
    if (this.dead) return;
    this.#inner.rollback();
    this.onEnd(false);
  }
  cleanLane(lane: LaneRow, through: number, beforeMs: number, limit: number) {
    this.#call();
    return this.#inner.cleanLane(lane, through, beforeMs, limit);
  }
  cleanReferences(nowMs: number, limit: number) {
    this.#call();
    return this.#inner.cleanReferences(nowMs, limit);
  }
  settle() {
    this.#inner.settle();
  }
  freeBytes() {
    return this.full ? 0 : this.#inner.freeBytes();
  }
  close() {
    this.#inner.close();
  }

  /** The process is over: what it had not committed is gone. */
  end(): void {
    this.dead = true;
    this.#inner.rollback();
  }
}

/** Wrong stores, by what is wrong with them. Each goes wrong now and then only. */
export const plants = {
  none: () => new MemoryStore(),

  /** A position is saved one too far. */
  skippedPosition: () =>
    new (class extends MemoryStore {
      #writes = 0;
      override write(layout: Layout, changes: readonly Change[]): void {
        const at = layout.columns.indexOf('number');
        super.write(
          layout,
          layout.name !== 'bus_positions'
            ? changes
            : changes.map(({ key, cells }) => ({
                key,
                cells:
                  cells?.map((cell, i) => (i === at && ++this.#writes % 40 === 0 ? Number(cell) + 1 : cell)) ?? null,
              })),
        );
      }
    })(),

  /** A position is not saved with the rows. */
  effectTwice: () =>
    new (class extends MemoryStore {
      #writes = 0;
      override write(layout: Layout, changes: readonly Change[]): void {
        super.write(
          layout,
          layout.name === 'bus_positions' ? changes.filter(() => ++this.#writes % 40 !== 0) : changes,
        );
      }
    })(),

  /** The head of a lane is kept one too low, so that a process that starts gives its number again. */
  reusedNumber: () =>
    new (class extends MemoryStore {
      override lanes(): readonly LaneRow[] {
        return super.lanes().map((lane, i) => (i % 7 === 0 && lane.head > 1 ? { ...lane, head: lane.head - 1 } : lane));
      }
    })(),

  /** A record that was appended is not on the log. */
  lostRecord: () =>
    new (class extends MemoryStore {
      #appends = 0;
      override append(records: readonly AppendedRecord[], lanes: readonly LaneRow[]): void {
        super.append(
          records.filter(() => ++this.#appends % 60 !== 0),
          lanes,
        );
      }
    })(),

  /** What may go on is not told. */
  lostWake: () =>
    new (class extends MemoryStore {
      override write(layout: Layout, changes: readonly Change[]): void {
        super.write(layout, layout.name === 'bus_wakes' ? changes.filter(({ cells }) => cells === null) : changes);
      }
    })(),

  /** Whoever asks is answered before the commit: that comes with the next transaction, if there is one. */
  answeredBeforeCommit: () =>
    new (class extends MemoryStore {
      override commit(): void {
        // What is undone by `rollback` is forgotten when the next transaction begins.
      }
    })(),

  /** A reference that stands is given out again. */
  forgottenReference: () =>
    new (class extends MemoryStore {
      #claims = 0;
      override claim(reference: Parameters<Store['claim']>[0], nowMs: number) {
        if (++this.#claims % 5 === 0 && super.reference(reference.claim)) {
          super.claim(reference, Number.MAX_SAFE_INTEGER);
          return undefined;
        }
        return super.claim(reference, nowMs);
      }
    })(),

  /** A right keeps the state that it was first given: what a service knows is old. */
  staleRight: () =>
    new (class extends MemoryStore {
      override write(layout: Layout, changes: readonly Change[]): void {
        const isNew = ({ key }: Change) => super.get(layout, key) === undefined;
        super.write(layout, layout.name === 'access_rights' ? changes.filter(isNew) : changes);
      }
    })(),

  /** Of counted entitlements it is not kept how many are taken. */
  staleCount: () =>
    new (class extends MemoryStore {
      override write(layout: Layout, changes: readonly Change[]): void {
        const isCount = ({ cells }: Change) =>
          cells?.some((cell) => typeof cell === 'string' && cell.includes('"taken":'));
        super.write(
          layout,
          layout.name === 'entitlements_entitlements' ? changes.filter((change) => !isCount(change)) : changes,
        );
      }
    })(),

  /** Results of a learner who is forgotten stay. */
  keptResult: () =>
    new (class extends MemoryStore {
      override write(layout: Layout, changes: readonly Change[]): void {
        super.write(
          layout,
          layout.name === 'results_results' ? changes.filter(({ cells }) => cells !== null) : changes,
        );
      }
    })(),
};

export type Plant = keyof typeof plants;
