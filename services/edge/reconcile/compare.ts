/**
 * What stands here beside what a party says that it has, both in the order of keys, a page of each at a time: memory is two pages,
 * however many things there are. Pure but for who brings the pages.
 */
import type { ReconciledCounts, StatedDifference } from '#proto/eduk/delivery/v1/delivery';

/** Something with a name that both sides know, and what is said of it, word by word. */
export interface Thing {
  key: string;
  /** In the order of its kind; of what a party says, an empty word is not compared. */
  says: readonly string[];
}

export interface Ours extends Thing {
  /** What is over: a party need not name it. */
  mayLack: boolean;
  /** When it changed last, Unix milliseconds. */
  changedMs: number;
}

/** Everything of one side above a key, and up to `through`. */
export interface Page<T extends Thing> {
  /** Rising by key. */
  things: readonly T[];
  /** Above the key that was asked from, and not below that of the last thing; of the last page it says nothing. */
  through: string;
  isLast: boolean;
}

/** What stands here above a key. */
export type Expected = (after: string) => Promise<Page<Ours>>;

/** The port of whoever says what a party has: all of it above a key, a page at a time. Throws what came instead. */
export type Stated = (after: string) => Promise<StatedPage>;

export interface StatedPage extends Page<Thing> {
  /** When it was so, by the clock of who says it, Unix milliseconds. */
  asOfMs: number;
}

/** Keys above `after`, up to `through` or the end, compared. */
export interface Stretch {
  after: string;
  through: string;
  isLast: boolean;
  counts: Record<keyof ReconciledCounts, number>;
  differences: Omit<StatedDifference, 'sinceMs'>[];
}

/** What is equal as far as the party says anything. */
const isSame = (ours: Thing, theirs: Thing): boolean =>
  ours.says.every((word, i) => (theirs.says[i] ?? '') === '' || theirs.says[i] === word);

/**
 * Compares as far as both pages reach. What changed here after `settledMs` is no difference: word of it may be on its way.
 */
export function compareStretch(after: string, ours: Page<Ours>, theirs: Page<Thing>, settledMs: number): Stretch {
  const ends = [ours, theirs].flatMap(({ isLast, through }) => (isLast ? [] : [through]));
  const isLast = ends.length === 0;
  const through = isLast ? '' : ends.reduce((least, end) => (end < least ? end : least));
  const isIn = ({ key }: Thing): boolean => key > after && (isLast || key <= through);
  const counts = { ours: 0, theirs: 0, same: 0, moving: 0, missing: 0, surplus: 0, differs: 0 };
  const differences: Stretch['differences'] = [];
  const differ = (what: 'missing' | 'surplus' | 'differs', a: Ours | undefined, b: Thing | undefined): void => {
    if (a !== undefined && a.changedMs > settledMs) {
      counts.moving += 1;
      return;
    }
    counts[what] += 1;
    const key = (a ?? b)!.key;
    differences.push({ key, what, ours: [...(a?.says ?? [])], theirs: [...(b?.says ?? [])] });
  };
  const [here, there] = [ours.things.filter(isIn), theirs.things.filter(isIn)];
  let [i, j] = [0, 0];
  while (i < here.length || j < there.length) {
    const [a, b] = [here[i], there[j]];
    if (b === undefined || (a !== undefined && a.key < b.key)) {
      if (a!.mayLack) counts.same += 1;
      else differ('missing', a, undefined);
      i += 1;
    } else if (a === undefined || b.key < a.key) {
      differ('surplus', undefined, b);
      j += 1;
    } else {
      if (isSame(a, b)) counts.same += 1;
      else differ('differs', a, b);
      i += 1;
      j += 1;
    }
  }
  return { after, through, isLast, counts: { ...counts, ours: here.length, theirs: there.length }, differences };
}

/**
 * All of two sides, a stretch at a time. What is here is read after what is said, so that what changed in between says so by its
 * time. `settleMs`: how old a change must be, when a party said what it has, to be held against it.
 */
export async function* stretches(expected: Expected, stated: Stated, settleMs: number): AsyncGenerator<Stretch, void> {
  let after = '';
  let there: StatedPage | undefined;
  for (;;) {
    there ??= await stated(after);
    const stretch = compareStretch(after, await expected(after), there, there.asOfMs - settleMs);
    if (!stretch.isLast && stretch.through <= after) throw new Error('a page reaches no further than the one before');
    yield stretch;
    if (stretch.isLast) return;
    after = stretch.through;
    if (!there.isLast && there.through <= after) there = undefined;
  }
}
