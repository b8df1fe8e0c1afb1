/**
 * What a roster remembers of a person's particulars: a keyed mark that the vault makes. Its first bytes are of the names alone, so that
 * a rename is known by them; what comes after is of everything else that can be shown.
 */

/** Bytes of a mark that are of the names; as many after them are of the rest. */
export const NAMES_IN_MARK = 16;

const namesIn = (mark: Uint8Array): Uint8Array => mark.subarray(0, NAMES_IN_MARK);
const isGiven = (names: Uint8Array): boolean => names.some((byte) => byte !== 0);

/** Whether two marks are of other names. A name that was absent and is now given is no rename; nor is one that is no longer given. */
export function isOtherMark(before: Uint8Array, after: Uint8Array): boolean {
  const [was, is] = [namesIn(before), namesIn(after)];
  return isGiven(was) && isGiven(is) && Buffer.compare(was, is) !== 0;
}
