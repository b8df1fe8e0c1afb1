/**
 * What is refused as a personal number (PGN). About one number of eight or nine digits in eleven passes the eleven test by
 * chance, so a single passing number in a key, a reference or a product id is taken and counted; refused are numbers in
 * words that a school wrote, numbers after a word that announces one, and a column of keys of one school of which more
 * than half pass.
 */
import { GatewayError, type Where } from '#kernel';
import { eachString, Label } from './labels.ts';

/** The eleven test of BSN and onderwijsnummer: eight or nine digits. */
export function passesElevenTest(text: string): boolean {
  if (!/^\d{8,9}$/.test(text)) return false;
  const digits = text.padStart(9, '0');
  if (digits === '000000000') return false;
  let sum = 0;
  for (let i = 0; i < 9; i++) sum += (digits.charCodeAt(i) - 48) * (i === 8 ? -1 : 9 - i);
  return sum % 11 === 0;
}

const ANNOUNCED =
  /(?:\b|_)(?:bsn|pgn|sofi(?:nummer|nr)?|onderwijs(?:nummer|nr)|burgerservicenummer|persoonsgebonden[ _]nummer)(?![a-z])[^0-9]{0,12}(\d[\d .-]{6,12}\d)/i;
const NUMBERS = /(?<![\d-])\d(?:[ .]?\d){7,8}(?![\d-])/g;

const isDigit = (point: number): boolean => /\p{Nd}/u.test(String.fromCodePoint(point));

/** A digit of any script as 0 to 9: digits of a script stand in rows of ten. */
function digitOf(digit: string): string {
  const point = digit.codePointAt(0)!;
  let before = 0;
  while (isDigit(point - before - 1)) before++;
  return String(before % 10);
}

/** Words as they are read: digits of other scripts and widths are digits, and what cannot be seen separates nothing. */
const asRead = (words: string): string =>
  words
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .replace(/\p{Zs}/gu, ' ')
    .replace(/[^\P{Nd}0-9]/gu, digitOf);
const isPlain = (words: string): boolean => {
  for (let at = 0; at < words.length; at++) if (words.charCodeAt(at) > 126) return false;
  return true;
};

/** Digits of the shortest number of a person. */
const SHORTEST = 8;
/** Most words have fewer digits than any number of a person, and are looked at no further. */
function hasEnoughDigits(words: string): boolean {
  let count = 0;
  for (let at = 0; at < words.length; at++) {
    const code = words.charCodeAt(at);
    if (code >= 48 && code <= 57 && ++count === SHORTEST) return true;
  }
  return false;
}

/** Whether words hold something that must be taken for a personal number. */
export function holdsPgn(given: string, written: boolean): boolean {
  const words = isPlain(given) ? given : asRead(given);
  if (!hasEnoughDigits(words)) return false;
  const announced = ANNOUNCED.exec(words);
  if (announced && passesElevenTest(announced[1]!.replace(/\D/g, ''))) return true;
  if (!written) return false;
  for (const m of words.matchAll(NUMBERS)) if (passesElevenTest(m[0].replace(/\D/g, ''))) return true;
  return false;
}

/** A key without what people put between digits. */
const bareOf = (key: string): string =>
  key.length < SHORTEST || key.length > 24 ? '' : (isPlain(key) ? key : asRead(key)).replace(/[ .-]/g, '');

/** A column with fewer keys than this says nothing. */
const COLUMN_MIN = 8;

const told = (places: readonly Where[]): GatewayError =>
  new GatewayError(
    'wire.pgn',
    `The message holds what looks like a personal number in ${places.length} ${places.length === 1 ? 'place' : 'places'}; send it without (roster import --strip-pgn removes them).`,
    { where: places.slice(0, 100) },
  );

/** Counted, for operators: single passing numbers that were let through. */
export const letThrough = { keys: 0 };

/** Keys of one column and how many of them look like numbers of persons. */
interface Column {
  keys: number;
  passing: { of: number; path: string }[];
}

/** What a message shows: places that are refused by themselves, and its keys, which are judged as columns. */
function lookAt(type: string, message: Record<string, unknown>, of: number, columns: Map<string, Column>): Where[] {
  const places: Where[] = [];
  eachString(type, message, (value, field, path) => {
    if (field.label === Label.NUMBER) {
      const name = path.includes('[') ? path.replace(/\[\d+\]/g, '[]') : path;
      const column = columns.get(name) ?? { keys: 0, passing: [] };
      columns.set(name, column);
      column.keys++;
      if (passesElevenTest(bareOf(value))) column.passing.push({ of, path });
      else if (value.length > 9 && holdsPgn(value, false)) places.push({ path });
      return;
    }
    if (value.length < 8 || !read.has(field.label)) return;
    if (holdsPgn(value, written.has(field.label))) places.push({ path });
  });
  return places;
}

/** Words of a person or school: one number in them is one too many. */
const written: ReadonlySet<number> = new Set([Label.SCHOOL_TEXT, Label.NAME]);
/** Labels that are looked at; a secret, a digest or a pseudonym of ours says nothing. */
const read: ReadonlySet<number> = new Set([Label.SCHOOL_TEXT, Label.NAME, Label.CATALOGUE, Label.CONTACT, Label.ID]);

/** Keys that count for a column: the latest few hundred, older ones less. */
const REMEMBERED = 400;
/** Columns remembered at once; the longest unused is dropped first. */
const COLUMNS = 5_000;

/** How many keys of a column came before, and how many of them passed: counts only, never a key. */
export class ColumnMemory {
  readonly #seen = new Map<string, { keys: number; passing: number }>();

  of(name: string): { keys: number; passing: number } {
    return this.#seen.get(name) ?? { keys: 0, passing: 0 };
  }

  add(name: string, keys: number, passing: number): void {
    const before = this.of(name);
    this.#seen.delete(name);
    const sum = { keys: before.keys + keys, passing: before.passing + passing };
    const share = sum.keys > REMEMBERED ? REMEMBERED / 2 / sum.keys : 1;
    this.#seen.set(name, { keys: sum.keys * share, passing: sum.passing * share });
    if (this.#seen.size > COLUMNS) for (const oldest of this.#seen.keys()) return void this.#seen.delete(oldest);
  }
}

/** A message to look at, and whose: keys of one sender and school are one column. */
export interface Looked {
  type: string;
  message: Record<string, unknown>;
  sender: string;
  school: string;
}

/**
 * The refusal of each message of a batch, or undefined. Keys of one sender and school are judged together, over the
 * messages of a batch and those before it, so that a column is seen also where each message holds one key.
 */
export function findPgn(batch: readonly Looked[], memory = new ColumnMemory()): (GatewayError | undefined)[] {
  const bySchool = new Map<string, Map<string, Column>>();
  let before: Looked | undefined;
  let columns = new Map<string, Column>();
  const places = batch.map((looked, i) => {
    const { type, message, sender, school } = looked;
    // Mostly all of a batch is of one sender and school.
    if (before === undefined || before.school !== school || before.sender !== sender || before.type !== type) {
      const of = `${sender}|${type}|${school}`;
      columns = bySchool.get(of) ?? new Map<string, Column>();
      bySchool.set(of, columns);
    }
    before = looked;
    return lookAt(type, message, i, columns);
  });
  for (const [of, columns] of bySchool)
    for (const [name, { keys, passing }] of columns) {
      const before = memory.of(`${of}|${name}`);
      const all = before.keys + keys;
      if (all >= COLUMN_MIN && (before.passing + passing.length) * 2 > all) {
        for (const { of, path } of passing) places[of]!.push({ path });
        // What is refused did not come in, so it does not weigh on the keys that come after it.
        memory.add(`${of}|${name}`, keys - passing.length, 0);
      } else {
        letThrough.keys += passing.length;
        memory.add(`${of}|${name}`, keys, passing.length);
      }
    }
  return places.map((found) => (found.length > 0 ? told(found) : undefined));
}
