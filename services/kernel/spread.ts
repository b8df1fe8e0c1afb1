/**
 * How long things took, as counts by class: four classes to a doubling, so that what is read from it is off by 9 % at most. It is
 * small, and two put together are what one of both would be.
 */
export type Spread = Readonly<Record<string, number>>;

const CLASSES_A_DOUBLING = 4;
/** All that took longer than about twelve days are one class. */
const MOST_CLASS = 121;

function classOf(ms: number): number {
  if (!(ms >= 1)) return 0;
  return Math.min(MOST_CLASS, 1 + Math.floor(Math.log2(ms) * CLASSES_A_DOUBLING));
}

/** With `times` more that took `ms` milliseconds. */
export function withTime(spread: Spread, ms: number, times = 1): Spread {
  const name = classOf(ms);
  return { ...spread, [name]: (spread[name] ?? 0) + times };
}

export function mergedSpread(...spreads: readonly Spread[]): Spread {
  const sum: Record<string, number> = {};
  for (const spread of spreads) for (const [name, n] of Object.entries(spread)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
}

/** Within which a share `q` (0 … 1) of them stayed, milliseconds; undefined = there are none. */
export function quantileOf(spread: Spread, q: number): number | undefined {
  const classes = Object.entries(spread)
    .map(([name, n]) => ({ at: Number(name), n }))
    .sort((a, b) => a.at - b.at);
  let left = Math.max(1, Math.ceil(q * classes.reduce((sum, { n }) => sum + n, 0)));
  for (const { at, n } of classes) {
    left -= n;
    // The middle of its class.
    if (left <= 0) return at === 0 ? 0 : Math.round(2 ** ((at - 0.5) / CLASSES_A_DOUBLING));
  }
  return undefined;
}
