/** What each party has beside what it should have. */

export interface Row {
  party: string;
  what: string;
  should: readonly string[];
  has: readonly string[];
}

export interface Compared {
  lacking: string[];
  tooMany: string[];
}

/** As lists in which an item may stand several times. */
export function compare({ should, has }: Row): Compared {
  const left = new Map<string, number>();
  for (const item of should) left.set(item, (left.get(item) ?? 0) + 1);
  const tooMany: string[] = [];
  for (const item of has) {
    const times = left.get(item) ?? 0;
    if (times === 0) tooMany.push(item);
    else left.set(item, times - 1);
  }
  return { lacking: [...left].flatMap(([item, times]) => Array<string>(times).fill(item)), tooMany };
}

export const agrees = (row: Row): boolean => {
  const { lacking, tooMany } = compare(row);
  return lacking.length === 0 && tooMany.length === 0;
};

const number = (n: number): string => n.toLocaleString('en-US');

/** One item in words is shown as it is; of more, the number. */
const shown = (items: readonly string[]): string =>
  items.length === 1 && /^\S+ ?\S*$/.test(items[0]!) && items[0]!.length <= 24 ? items[0]! : number(items.length);

/** Lines of text, 120 wide at most. Below it, for each row that does not agree, an example of what is wrong. */
export function tableOf(rows: readonly Row[], shorten: (item: string) => string): string[] {
  const head = ['party', 'what it should have', 'should', 'has', 'agrees'];
  const cells = rows.map((row) => [
    row.party,
    row.what,
    shown(row.should),
    row.has.length === 0 ? 'nothing' : shown(row.has),
    agrees(row) ? 'yes' : 'NO',
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
  const wrong = rows.flatMap((row) => {
    const { lacking, tooMany } = compare(row);
    return [
      ...(lacking.length > 0
        ? [`${row.party} lacks ${number(lacking.length)} of "${row.what}", such as: ${shorten(lacking[0]!)}`]
        : []),
      ...(tooMany.length > 0
        ? [`${row.party} has ${number(tooMany.length)} too many of "${row.what}", such as: ${shorten(tooMany[0]!)}`]
        : []),
    ];
  });
  return [
    line(head),
    line(widths.map((width) => '-'.repeat(width))),
    ...cells.map(line),
    ...(wrong.length > 0 ? ['', ...wrong] : []),
  ];
}
