/**
 * Arrays as PostgreSQL takes them in binary: nothing is escaped here, and nothing is parsed there. The library writes them as
 * text, and bytes as hexadecimal digits in it, which is much of what a group costs.
 */

/** Element types, with their ids in PostgreSQL. */
const ELEMENTS = { text: 25, bigint: 20, int: 23, float8: 701, bytea: 17 } as const;
export type Element = keyof typeof ELEMENTS;

/** Dimensions, whether there are nulls, type; number of elements and index of the first. */
const HEAD = 12;
const DIMENSION = 8;
/** Where arrays are written; it grows with the largest. */
let desk = Buffer.alloc(64 << 10);
const KEPT = 4 << 20;

type Value<E extends Element> = E extends 'text' ? string : E extends 'bytea' ? Uint8Array : number;

/** A parameter for a statement in which it is cast to `of[]`. Whole numbers are below 2^53. Throws `TypeError` for another kind of value. */
export function arrayOf<E extends Element>(of: E, values: readonly (Value<E> | null)[]): Buffer {
  const { length } = values;
  const wanted = of === 'text' ? 'string' : of === 'bytea' ? 'object' : 'number';
  let hasNull = 0;
  let at = HEAD + DIMENSION;
  for (let i = 0; i < length; i++) {
    const value = values[i] as string | number | Uint8Array | null;
    // Rows are checked when they are made; bytes of one kind read as another would be another value.
    if (value !== null && typeof value !== wanted) throw new TypeError(`an element of ${of}[] is a ${typeof value}`);
    // A character of a string takes three bytes at most.
    if (typeof value === 'string') room(at, 4 + value.length * 3);
    else room(at, typeof value === 'object' && value !== null ? 4 + value.length : 12);
    if (value === null) {
      hasNull = 1;
      at = desk.writeInt32BE(-1, at);
    } else if (of === 'text') {
      const size = desk.write(value as string, at + 4);
      desk.writeInt32BE(size, at);
      at += 4 + size;
    } else if (typeof value === 'number') {
      at = desk.writeInt32BE(of === 'int' ? 4 : 8, at);
      if (of === 'int') at = desk.writeInt32BE(value, at);
      else if (of === 'float8') at = desk.writeDoubleBE(value, at);
      else {
        // Larger than 32 bits by hand: BigInt takes ten times as long.
        at = desk.writeInt32BE(Math.floor(value / 2 ** 32), at);
        at = desk.writeUInt32BE(value >>> 0, at);
      }
    } else {
      const bytes = value as Uint8Array;
      at = desk.writeInt32BE(bytes.length, at);
      desk.set(bytes, at);
      at += bytes.length;
    }
  }
  desk.writeInt32BE(length > 0 ? 1 : 0, 0);
  desk.writeInt32BE(hasNull, 4);
  desk.writeInt32BE(ELEMENTS[of], 8);
  desk.writeInt32BE(length, HEAD);
  desk.writeInt32BE(1, HEAD + 4);
  const made = Buffer.from(desk.subarray(0, length > 0 ? at : HEAD));
  if (desk.length > KEPT) desk = Buffer.alloc(64 << 10);
  return made;
}

function room(at: number, size: number): void {
  if (at + size <= desk.length) return;
  const larger = Buffer.alloc(Math.max(at + size, desk.length * 2));
  desk.copy(larger, 0, 0, at);
  desk = larger;
}
