/** What each party has beside what it should have. */

export interface Row {
  party: string;
  what: string;
  /** A value in words, or items of which each counts. */
  should: string | readonly string[];
  has: string | readonly string[];
}

export interface Compared {
  lacking: string[];
  tooMany: string[];
}

/** As lists in which an item may stand several times. */
export function compare(row: Row): Compared {
  const left = new Map<string, number>();
  for (const item of [row.should].flat()) left.set(item, (left.get(item) ?? 0) + 1);
  const tooMany: string[] = [];
  for (const item of [row.has].flat()) {
    const times = left.get(item) ?? 0;
    if (times === 0) tooMany.push(item);
    else left.set(item, times - 1);
  }
  return { lacking: [...left].flatMap(([item, times]) => Array<string>(times).fill(item)), tooMany };
}

export function agrees(row: Row): boolean {
  const { lacking, tooMany } = compare(row);
  return lacking.length === 0 && tooMany.length === 0;
}

const number = (n: number): string => n.toLocaleString('en-US');

const shown = (value: string | readonly string[]): string =>
  typeof value === 'string' ? (/^\d+$/.test(value) ? number(Number(value)) : value) : number(value.length);

/** Lines of text, 120 wide at most. Below it, for each row that does not agree, an example of what is wrong. */
export function tableOf(rows: readonly Row[], shorten: (item: string) => string): string[] {
  const head = ['party', 'what', 'should have', 'has', 'agrees'];
  const cells = rows.map((row) => [row.party, row.what, shown(row.should), shown(row.has), agrees(row) ? 'yes' : 'NO']);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
  const wrong = rows.flatMap((row) => {
    // What is said in words shows by itself.
    if (typeof row.should === 'string') return [];
    const { lacking, tooMany } = compare(row);
    const tell = (verb: string, items: readonly string[]): string[] =>
      items.length === 0
        ? []
        : [`${row.party} ${verb} ${number(items.length)} of “${row.what}”, such as ${shorten(items[0]!)}`];
    return [...tell('lacks', lacking), ...tell('should not have', tooMany)];
  });
  const ruled = [line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)];
  return wrong.length === 0 ? ruled : [...ruled, '', ...wrong];
}
