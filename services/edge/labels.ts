/** Walks a message by the labels of its fields: grammar of ids, personal numbers, and what may be copied into a digest. */
import { GatewayError, isDay, isSchoolYear, type Where } from '#kernel';
import { fieldsOf } from '#proto/labels';
import type { FieldInfo } from '../../proto/labels.ts';

export const Label = {
  ID: 1,
  TERM: 2,
  CATALOGUE: 3,
  TOKEN: 4,
  SEALED: 5,
  OPAQUE: 6,
  TIME: 7,
  TOLD: 8,
  SCHOOL_TEXT: 20,
  SECRET: 21,
  NUMBER: 30,
  NAME: 31,
  CONTACT: 32,
  PGN_EQUIVALENT: 33,
} as const;

/** Letters, digits and a few marks; no spaces; 64 at most. */
const ID = /^[A-Za-z0-9._:/@+#=|~*()&,'-]{1,64}$/;
const TERM = /^[\w.:/+-]{0,64}$/;

const longest: Record<number, number> = {
  // Cursors hold the place in a list, which may be two ids long, sealed.
  [Label.OPAQUE]: 4_000,
  [Label.CATALOGUE]: 20_000,
  [Label.SCHOOL_TEXT]: 256,
  [Label.SECRET]: 1 << 20,
  [Label.NUMBER]: 256,
  [Label.NAME]: 200,
  [Label.CONTACT]: 256,
  [Label.TOLD]: 2_000,
};

/** Fields of persons that hold one of a few values; what any of the standards writes there is brought to these. */
const closed: Readonly<Record<string, RegExp>> = {
  // EDEXML and UWLR, geslacht: unknown, boy, girl, unspecified.
  gender: /^[0129]$/,
};

type Visit = (value: string, field: FieldInfo, path: string) => void;

/** Compiled once per message type: which fields lead to strings. */
const leads = new Map<string, boolean>();
function leadsToStrings(type: string, seen = new Set<string>()): boolean {
  const known = leads.get(type);
  if (known !== undefined) return known;
  if (seen.has(type)) return false;
  seen.add(type);
  const found = (fieldsOf[type] ?? []).some(
    (field) => field.kind === 'string' || (field.of !== undefined && leadsToStrings(field.of, seen)),
  );
  leads.set(type, found);
  return found;
}

/** Calls `visit` for every string of `message` that is not empty, with its path in proto names. */
export function eachString(type: string, message: Record<string, unknown>, visit: Visit, path = ''): void {
  for (const field of fieldsOf[type] ?? []) {
    const value = message[field.name];
    if (value === undefined || value === '') continue;
    if (field.kind === 'string') {
      if (field.repeated)
        for (const [i, one] of (value as string[]).entries()) visit(one, field, `${path}${field.protoName}[${i}]`);
      else visit(value as string, field, path + field.protoName);
    } else if (field.of && leadsToStrings(field.of)) {
      if (field.repeated) {
        const list = value as Record<string, unknown>[];
        for (let i = 0; i < list.length; i++) eachString(field.of, list[i]!, visit, `${path}${field.protoName}[${i}].`);
      } else eachString(field.of, value as Record<string, unknown>, visit, `${path}${field.protoName}.`);
    }
  }
}

/** A moment by Dutch clocks. */
const CLOCK = /^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d$/;

/**
 * A field's name says which of the forms of time it holds: a school year, a day, a moment (a day will do), or, where only `from` or `until` is
 * said, a day or a moment by Dutch clocks.
 */
function isTime(name: string, value: string): boolean {
  if (name === 'school_year') return isSchoolYear(value);
  if (isDay(value)) return true;
  if (name === 'from' || name === 'until') return CLOCK.test(value) && isDay(value.slice(0, 10));
  if (!name.endsWith('_at')) return false;
  return value.length <= 40 && /^\d{4}-\d{2}-\d{2}T/.test(value) && !Number.isNaN(Date.parse(value));
}

/** Refuses what breaks the grammar of its label. Tells paths, never values. */
export function checkGrammar(type: string, message: Record<string, unknown>): void {
  let wrong: Where[] | undefined;
  eachString(type, message, (value, field, path) => {
    let ok = true;
    switch (field.label) {
      case Label.ID:
      case Label.TOKEN:
        ok = ID.test(value);
        break;
      case Label.TERM:
        ok = TERM.test(value);
        break;
      case Label.TIME:
        ok = isTime(field.protoName, value);
        break;
      case Label.NAME:
        ok = closed[field.protoName]?.test(value) ?? value.length <= longest[Label.NAME]!;
        break;
      default:
        ok = value.length <= (longest[field.label] ?? 64);
    }
    if (!ok) (wrong ??= []).push({ path });
  });
  if (wrong)
    throw new GatewayError(
      'wire.invalid',
      `These fields are not of the form their description in the contract asks: ${wrong
        .slice(0, 10)
        .map((w) => w.path)
        .join(', ')}.`,
      { where: wrong.slice(0, 100) },
    );
}
