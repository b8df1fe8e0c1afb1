import { tooLate } from '#kernel';
import type { EntryOutcome, NewEntry } from './core.ts';

/** Entries of one caller, party and class: taken by one group, whole and in their order. */
export interface Part {
  party: string;
  isBulk: boolean;
  entries: readonly NewEntry[];
  done(outcomes: readonly EntryOutcome[]): void;
  failed(error: unknown): void;
  /** Whether nobody waits for the answer any more: then it is not taken at all. */
  isLate?: (() => boolean) | undefined;
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

  /**
   * Parts for one group: about `limit` entries, of which about `bulkLimit` of bulk streams (0 = none). Senders (`senderOf`)
   * that are `busy` keep theirs.
   */
  take(limit: number, bulkLimit: number, busy?: ReadonlySet<string>): Part[] {
    for (;;) {
      const taken: Part[] = [];
      const left = fill(this.#interactive, limit, taken, busy);
      fill(this.#bulk, Math.min(left, bulkLimit), taken, busy);
      for (const { entries } of taken) this.#entries -= entries.length;
      const wanted = taken.some(({ isLate }) => isLate?.()) ? taken.filter(stillWanted) : taken;
      // Nobody waited for any of these: others may wait behind them.
      if (wanted.length > 0 || taken.length === 0) return wanted;
    }
  }
}

function stillWanted(part: Part): boolean {
  if (!part.isLate?.()) return true;
  part.failed(tooLate());
  return false;
}

/** A party and class: what it sends is taken in the order in which it came. */
export const senderOf = ({ party, isBulk }: Pick<Part, 'party' | 'isBulk'>): string => `${isBulk ? 'b' : 'i'}${party}`;

function fill(of: Map<string, Part[]>, limit: number, taken: Part[], busy?: ReadonlySet<string>): number {
  let left = limit;
  // Who is served and has more comes again at the end of the same walk.
  for (const [party, parts] of of) {
    if (left <= 0) break;
    const part = parts[0]!;
    if (busy?.has(senderOf(part))) continue;
    parts.shift();
    of.delete(party);
    if (parts.length > 0) of.set(party, parts);
    taken.push(part);
    left -= part.entries.length;
  }
  return left;
}
