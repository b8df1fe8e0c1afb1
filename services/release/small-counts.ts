/**
 * Counts as somebody outside the school may know them: none under ten, and none from which one would follow. Pure.
 *
 * A row's cells add up to its total, which is told from ten on. Nothing is told across rows but sums of what the rows tell.
 */
import { FEWEST_LEARNERS, suppressed } from './progress.ts';

/** A count as it is told. `count` is 0 where one of the two others is true. */
export interface TellableCount {
  count: number;
  /** From 1 to 9. */
  underTen: boolean;
  /** Another would follow from it. */
  hidden: boolean;
}

const told = (count: number): TellableCount => ({ count, underTen: false, hidden: false });
const withheld = (count: number): TellableCount => {
  const underTen = count < FEWEST_LEARNERS;
  return { count: 0, underTen, hidden: !underTen };
};

export interface TellableRow {
  total: TellableCount;
  /** By name of the cell; zeros are told. */
  cells: ReadonlyMap<string, TellableCount>;
  /** The sum of some cells; told where it follows from what is told, or tells nothing of one. */
  sum(names: ReadonlySet<string>): TellableCount;
}

/** A row of counts by name. `exact`: to the school itself. */
export function tellRow(counts: ReadonlyMap<string, number>, exact: boolean): TellableRow {
  const total = [...counts.values()].reduce((sum, n) => sum + n, 0);
  const hidden = exact
    ? new Set<string>()
    : total < FEWEST_LEARNERS
      ? new Set([...counts].flatMap(([name, n]) => (n > 0 ? [name] : [])))
      : suppressed(
          [...counts].map(([name, count]) => ({ name, count })),
          FEWEST_LEARNERS,
        );
  const isAllTold = !exact && total > 0 && total < FEWEST_LEARNERS ? withheld(total) : told(total);
  return {
    total: isAllTold,
    cells: new Map([...counts].map(([name, n]) => [name, hidden.has(name) ? withheld(n) : told(n)])),
    sum(names) {
      let within = 0;
      let inside = 0;
      for (const [name, n] of counts) if (names.has(name)) within += n;
      for (const name of hidden) if (names.has(name)) inside += 1;
      if (inside === 0) return told(within);
      // All that is hidden is inside: the rest is told, and so is the total where it is.
      if (inside === hidden.size && !isAllTold.underTen) return told(within);
      return withheld(within);
    },
  };
}

/**
 * What is left of a row of which some cells went, and whose total was known before: `told` is the sum of the cells that are told. Besides
 * those under ten the smallest other one is not: it may have been hidden beside one that went, and would tell that one now.
 */
export function tellRest(counts: ReadonlyMap<string, number>): {
  told: number;
  cells: ReadonlyMap<string, TellableCount>;
} {
  const [smallest] = [...counts]
    .filter(([, n]) => n >= FEWEST_LEARNERS)
    .sort(([a, n], [b, m]) => n - m || (a < b ? -1 : 1));
  const isHidden = (name: string, n: number): boolean => (n > 0 && n < FEWEST_LEARNERS) || name === smallest?.[0];
  const cells = new Map([...counts].map(([name, n]) => [name, isHidden(name, n) ? withheld(n) : told(n)]));
  return { told: [...cells.values()].reduce((sum, { count }) => sum + count, 0), cells };
}

/**
 * Which of some rows with the same cells may be told whole, where the sums of each cell over all of them may be known: those without
 * a small cell, less as many of the smallest as it takes for what the others hold together not to be small in any cell.
 */
export function rowsToTell<Name>(rows: ReadonlyMap<Name, ReadonlyMap<string, number>>): ReadonlySet<Name> {
  const isSmall = (n: number): boolean => n > 0 && n < FEWEST_LEARNERS;
  const size = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, n) => sum + n, 0);
  const tell: Name[] = [];
  const kept = new Map<string, number>();
  const keep = (counts: ReadonlyMap<string, number>): void => {
    for (const [name, n] of counts) kept.set(name, (kept.get(name) ?? 0) + n);
  };
  for (const [name, counts] of rows) {
    if ([...counts.values()].some(isSmall)) keep(counts);
    else tell.push(name);
  }
  // The largest first, so that the smallest is at hand.
  tell.sort((a, b) => size(rows.get(b)!) - size(rows.get(a)!));
  while (tell.length > 0 && [...kept.values()].some(isSmall)) keep(rows.get(tell.pop()!)!);
  return new Set(tell);
}
