/**
 * Does something for each of many, also when it fails for some: then it throws the first failure after the last. An engine
 * that has to load what is asked for lets a question fail, loads, and asks the whole again: so all of them are loaded in one go.
 */
export function together<T>(items: Iterable<T>, work: (item: T) => void): void {
  let failed: { thrown: unknown } | undefined;
  for (const item of items)
    try {
      work(item);
    } catch (thrown) {
      failed ??= { thrown };
    }
  if (failed !== undefined) throw failed.thrown;
}

/** The same, with what comes of each. */
export function allOf<T, R>(items: Iterable<T>, of: (item: T) => R): R[] {
  const found: R[] = [];
  together(items, (item) => void found.push(of(item)));
  return found;
}
