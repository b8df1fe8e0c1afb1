/**
 * What does not come across between a standard and the core, and why: as data beside each mapping. `docs/losses.md` prints
 * the tables, a message carries the counts, and `eduk flow show` shows them. Counts and names of elements only, no values.
 */

export const lossReasons = {
  no_place: 'The other side has no place for it.',
  minimised: 'Data minimisation: it is not taken in, or not given, whatever a mandate says.',
  unfit:
    'It does not fit the form that the other side demands. It is left out whole, unless its row says that it is cut.',
  stand_in: 'The other side demands something here, and a stand-in is written.',
} as const;
export type LossReason = keyof typeof lossReasons;

export interface LossRow {
  /** Element of the standard, as it stands there or would have; of an object's attribute without `@`. */
  element: string;
  reason: LossReason;
  /** In a sentence. */
  why: string;
}

/** One direction of one version: everything that may be lost on it. */
export interface LossTable {
  from: string;
  to: string;
  rows: readonly LossRow[];
}

/** How often something of a row was lost in one message. */
export interface LossCount {
  element: string;
  reason: LossReason;
  count: number;
}

/** Counts by element and reason, in the order in which they first came up. */
export class LossTally {
  readonly #counts = new Map<string, LossCount>();

  add(element: string, reason: LossReason, count = 1): void {
    const key = `${reason} ${element}`;
    const known = this.#counts.get(key);
    if (known) known.count += count;
    else if (count > 0) this.#counts.set(key, { element, reason, count });
  }

  list(): LossCount[] {
    return [...this.#counts.values()];
  }
}
