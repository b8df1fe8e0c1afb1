import type { EntryOutcome, NewEntry } from './core.ts';

/** Entries of one caller, party and class: taken by one group, whole and in their order. */
export interface Part {
  party: string;
  isBulk: boolean;
  entries: readonly NewEntry[];
  done(outcomes: readonly EntryOutcome[]): void;
  failed(error: unknown): void;
}

/**
 * What waits to be accepted, by class and party. A group is filled with one part of each party in turn, interactive
 * before bulk, so that nobody's stream stands before another's message.
 */
export class AcceptQueue {
  /** Parties in the order of their turn. A map keeps that order: who was served is put at its end. */
  readonly #interactive = new Map<string, Part[]>();
  readonly #bulk = new Map<string, Part[]>();
  #entries = 0;

  /** Entries that wait. */
  get size(): number {
    return this.#entries;
  }

  get hasInteractive(): boolean {
    return this.#interactive.size > 0;
  }

  add(part: Part): void {
    const of = part.isBulk ? this.#bulk : this.#interactive;
    const parts = of.get(part.party);
    if (parts === undefined) of.set(part.party, [part]);
    else parts.push(part);
    this.#entries += part.entries.length;
  }

  /** Parts for one group: about `limit` entries, of which about `bulkLimit` of bulk streams (0 = none). */
  take(limit: number, bulkLimit: number): Part[] {
    const taken: Part[] = [];
    const left = fill(this.#interactive, limit, taken);
    fill(this.#bulk, Math.min(left, bulkLimit), taken);
    for (const { entries } of taken) this.#entries -= entries.length;
    return taken;
  }
}

function fill(of: Map<string, Part[]>, limit: number, taken: Part[]): number {
  let left = limit;
  while (left > 0) {
    const next = of.entries().next();
    if (next.done) break;
    const [party, parts] = next.value;
    const part = parts.shift()!;
    of.delete(party);
    if (parts.length > 0) of.set(party, parts);
    taken.push(part);
    left -= part.entries.length;
  }
  return left;
}
