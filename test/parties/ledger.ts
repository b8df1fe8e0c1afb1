/** What a party saw, in columns of its own. A repeat of what stands there already changes nothing. */
export interface Ledger {
  note(column: string, item: string): void;
  has(column: string, item: string): boolean;
  /** Column → items, in the order of their first coming. */
  read(): Record<string, string[]>;
  counts(): Record<string, number>;
}

export function openLedger(): Ledger {
  const columns = new Map<string, Set<string>>();
  const column = (name: string): Set<string> => {
    const found = columns.get(name) ?? new Set();
    columns.set(name, found);
    return found;
  };
  return {
    note: (name, item) => void column(name).add(item),
    has: (name, item) => column(name).has(item),
    counts: () => Object.fromEntries([...columns].map(([name, items]) => [name, items.size])),
    read: () => Object.fromEntries([...columns].map(([name, items]) => [name, [...items]])),
  };
}
