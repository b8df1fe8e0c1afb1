/** What a person reads: tables of at most 100 columns, Dutch local time, ages in words. */

export const WIDTH = 100;
const GAP = 2;
/** A column is never squeezed below this. */
const NARROWEST = 8;
/** Words of at most this length stay whole while another column can give way: an id or key that is cut cannot be copied. */
const WHOLE = 43;

/** Rows under headings. A cell may hold several lines; long ones wrap between words so that all fits `WIDTH`. */
export function table(head: readonly string[], rows: readonly (readonly (string | number | bigint)[])[]): string {
  const cells = rows.map((row) => row.map((cell) => plain(String(cell))));
  const natural = head.map((title, i) => Math.max(length(title), ...cells.map((row) => longest(row[i]!.split('\n')))));
  const whole = head.map((_, i) => Math.max(0, ...cells.map((row) => longest(unbroken(row[i]!)))));
  const widths = squeeze(natural, whole, WIDTH - GAP * (head.length - 1));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (i === texts.length - 1 ? text : text + ' '.repeat(widths[i]! - length(text) + GAP)))
      .join('')
      .trimEnd();
  const print = (row: readonly string[]): string[] => {
    const wrapped = row.map((text, i) => wrap(text, widths[i]!));
    const height = Math.max(...wrapped.map((lines) => lines.length));
    return Array.from({ length: height }, (_, n) => line(wrapped.map((lines) => lines[n] ?? '')));
  };
  return [head.map((title) => title.toUpperCase()), ...cells].flatMap(print).join('\n');
}

/** Names and what they are, one a line. */
export function list(pairs: readonly (readonly [name: string, value: string | number | bigint])[]): string {
  const shown = pairs.filter(([, value]) => value !== '');
  const wide = longest(shown.map(([name]) => name));
  return shown
    .flatMap(([name, value]) =>
      wrap(plain(String(value)), WIDTH - wide - GAP).map(
        (text, i) => (i === 0 ? name.padEnd(wide + GAP) : ' '.repeat(wide + GAP)) + text,
      ),
    )
    .join('\n');
}

/** A paragraph. */
export const paragraph = (text: string, indent = 0): string =>
  wrap(plain(text), WIDTH - indent)
    .map((line) => ' '.repeat(indent) + line)
    .join('\n');

const moment = new Intl.DateTimeFormat('sv-SE', {
  timeZone: 'Europe/Amsterdam',
  dateStyle: 'short',
  timeStyle: 'medium',
});
/** `2026-11-22 08:30:00`, in the Netherlands. Empty for zero, which stands for absent. */
export const dutchTime = (ms: number | bigint): string => (Number(ms) === 0 ? '' : moment.format(Number(ms)));

/** `45 s`, `3 min`, `2 h`, `5 d`. Zero stands for absent. */
export function age(sinceMs: number | bigint, now: number): string {
  if (Number(sinceMs) === 0) return '';
  return span(now - Number(sinceMs));
}

export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 1) return '< 1 s';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Time in JSON: RFC 3339 in UTC; null for absent. */
export const isoTime = (ms: number | bigint): string | null =>
  Number(ms) === 0 ? null : new Date(Number(ms)).toISOString();

export function bytes(count: number | bigint): string {
  let n = Number(count);
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (n < 1000) return `${n < 10 && unit !== 'B' ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1000;
  }
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} TB`;
}

export const counted = (n: number | bigint, one: string, many = `${one}s`): string =>
  `${n} ${Number(n) === 1 ? one : many}`;

/** Text of others may hold codes that a terminal would obey. Line ends stay. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
export const plain = (text: string): string => text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ');

const length = (text: string): number => [...text].length;
const longest = (lines: readonly string[]): number => Math.max(0, ...lines.map(length));

/** What should not be cut: words, and the parts of a path. */
const unbroken = (text: string): string[] => text.split(/[ \n]|(?<=\/)/).filter((word) => length(word) <= WHOLE);

/** Takes from the widest column until all fit: first from columns with room to spare beside their longest word. */
function squeeze(natural: readonly number[], whole: readonly number[], room: number): number[] {
  const widths = [...natural];
  let over = widths.reduce((sum, width) => sum + width, 0) - room;
  const kept = whole.map((word) => Math.max(word, NARROWEST));
  // What a row is called, in its first column, is cut last.
  for (const floors of [
    kept,
    kept.map((word, i) => (i === 0 ? Math.min(word, WHOLE) : NARROWEST)),
    kept.map(() => NARROWEST),
  ])
    while (over > 0) {
      const widest = Math.max(...widths.filter((width, i) => width > floors[i]!));
      if (widest < NARROWEST) break;
      widths[widths.findLastIndex((width, i) => width === widest && width > floors[i]!)]! -= 1;
      over -= 1;
    }
  return widths;
}

/** Breaks between words; a word longer than a line is cut, a path after a slash where it has one. */
export function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (let word of paragraph.split(' ')) {
      if (line !== '' && length(line) + 1 + length(word) <= width) {
        line += ` ${word}`;
        continue;
      }
      if (line !== '') lines.push(line);
      while (length(word) > width) {
        const cut = breakAt([...word].slice(0, width));
        lines.push([...word].slice(0, cut).join(''));
        word = [...word].slice(cut).join('');
      }
      line = word;
    }
    return [...lines, line];
  });
}

/** Where to cut a word of which only these characters fit. */
function breakAt(fits: readonly string[]): number {
  const slash = fits.lastIndexOf('/') + 1;
  return slash > fits.length / 2 ? slash : fits.length;
}
