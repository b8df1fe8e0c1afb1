/**
 * What is refused as a personal number (PGN). Nine digits that pass the eleven test are common: 18 % of random nine-digit
 * numbers do (with eight digits counted too). So a single passing number in a key, a reference or a product id is taken;
 * refused are numbers in words that a school wrote, numbers after a word that announces one, and a column of keys of one
 * school of which more than half pass.
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
  /(?:\b|_)(?:bsn|pgn|sofi(?:nummer|nr)?|onderwijs(?:nummer|nr)|burgerservicenummer|persoonsgebonden[ _]nummer)\b[^0-9]{0,12}(\d[\d .-]{6,12}\d)/i;
const NUMBERS = /(?<![\d-])\d(?:[ .]?\d){7,8}(?![\d-])/g;

/** Whether words hold something that must be taken for a personal number. */
export function holdsPgn(words: string, written: boolean): boolean {
  const announced = ANNOUNCED.exec(words);
  if (announced && passesElevenTest(announced[1]!.replace(/\D/g, ''))) return true;
  if (!written) return false;
  for (const m of words.matchAll(NUMBERS)) if (passesElevenTest(m[0].replace(/\D/g, ''))) return true;
  return false;
}

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

/** Refuses a message by the labels of its strings. */
export function refusePgn(type: string, message: Record<string, unknown>): void {
  let places: Where[] | undefined;
  let keys = 0;
  let passing: Where[] | undefined;
  eachString(type, message, (value, field, path) => {
    if (field.label === Label.PGN_EQUIVALENT) return;
    if (field.label === Label.NUMBER) {
      keys++;
      if (passesElevenTest(value)) (passing ??= []).push({ path });
      else if (value.length > 9 && holdsPgn(value, false)) (places ??= []).push({ path });
    } else if (value.length >= 8) {
      // Names and contact hold no numbers by nature: a passing one in them is one too many, like in a school's own words.
      const written = field.label === Label.SCHOOL_TEXT || field.label === Label.NAME;
      if (
        (written || field.label === Label.CATALOGUE || field.label === Label.CONTACT || field.label === Label.ID) &&
        holdsPgn(value, written)
      )
        (places ??= []).push({ path });
    }
  });
  if (passing) {
    if (keys >= COLUMN_MIN && passing.length * 2 > keys) places = [...(places ?? []), ...passing];
    else letThrough.keys += passing.length;
  }
  if (places) throw told(places);
}
