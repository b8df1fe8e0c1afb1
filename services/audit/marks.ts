/** Which leaves fit a question, and by which marks whole tiles of leaves are passed over. Pure. */
import { hash } from 'node:crypto';
import { dutchDay } from '#kernel';
import type { SearchLogRequest } from '#proto/eduk/audit/v1/audit';
import { AuditKind, type AuditRecord } from '#proto/eduk/core/v1/audit';

/** What is looked for, without a place. */
export type Wanted = Pick<SearchLogRequest, 'fromDay' | 'toDay' | 'partyOin' | 'schoolOin' | 'kind' | 'method'>;

/** Bytes of the marks of a tile, and bits of each word in them: of tiles of 256 parties and schools that all differ one in sixty is read in vain. */
const BYTES = 1024;
const BITS = 3;

const differing = (all: readonly string[]): string[] => [...new Set(all)].filter((one) => one !== '');
export const schoolsOf = ({ schoolOin, messages }: AuditRecord): string[] =>
  differing([schoolOin, ...messages.map((one) => one.schoolOin)]);
export const methodsOf = ({ method, messages }: AuditRecord): string[] =>
  differing([method, ...messages.map((one) => one.method)]);
const partiesOf = ({ partyOin, actedBy }: AuditRecord): string[] => differing([partyOin, actedBy]);

export function fits(record: AuditRecord, wanted: Wanted): boolean {
  const { fromDay, toDay, partyOin, schoolOin, kind, method } = wanted;
  if (kind !== AuditKind.AUDIT_KIND_UNSPECIFIED && record.kind !== kind) return false;
  if (partyOin !== '' && !partiesOf(record).includes(partyOin)) return false;
  if (schoolOin !== '' && !schoolsOf(record).includes(schoolOin)) return false;
  if (method !== '' && !methodsOf(record).includes(method)) return false;
  if (fromDay === '' && toDay === '') return true;
  const day = dutchDay(Number(record.atMs));
  return (fromDay === '' || day >= fromDay) && (toDay === '' || day <= toDay);
}

/** `bytes`: of the marks, as they were made. */
const bitsOf = (word: string, bytes: number): number[] => {
  const digest = hash('sha256', word, 'buffer');
  return Array.from({ length: BITS }, (_, i) => digest.readUInt16BE(2 * i) % (bytes * 8));
};

/** Words come again in tile after tile, the same parties, schools and methods: so many are known by heart, of marks as they are made now. */
const MOST_WORDS = 5_000;
const bitsOfWords = new Map<string, readonly number[]>();

function knownBits(word: string): readonly number[] {
  let bits = bitsOfWords.get(word);
  if (bits === undefined) {
    if (bitsOfWords.size >= MOST_WORDS) bitsOfWords.clear();
    bitsOfWords.set(word, (bits = bitsOf(word, BYTES)));
  }
  return bits;
}

/** Words of what is looked for; a leaf that fits has them all. */
const wordsOf = (parties: string[], schools: string[], kind: AuditKind, methods: string[]): string[] => [
  ...parties.map((one) => `party ${one}`),
  ...schools.map((one) => `school ${one}`),
  ...parties.flatMap((party) => schools.map((school) => `both ${party} ${school}`)),
  ...(kind === AuditKind.AUDIT_KIND_UNSPECIFIED ? [] : [`kind ${kind}`]),
  ...methods.map((one) => `method ${one}`),
];

/** Marks of a tile: of whatever stands in it, and by chance of a little that does not. */
export function marksOf(records: Iterable<AuditRecord>): Uint8Array {
  const marks = new Uint8Array(BYTES);
  for (const one of records)
    for (const word of wordsOf(partiesOf(one), schoolsOf(one), one.kind, methodsOf(one)))
      for (const bit of knownBits(word)) marks[bit >> 3]! |= 1 << (bit & 7);
  return marks;
}

/** Whether something that fits may stand in a tile of these marks. */
export function mayHold({ partyOin, schoolOin, kind, method }: Wanted): (marks: Uint8Array) => boolean {
  const words = wordsOf(differing([partyOin]), differing([schoolOin]), kind, differing([method]));
  const known = new Map<number, number[]>();
  return (marks) => {
    const bytes = marks.length;
    let bits = known.get(bytes);
    if (!bits) known.set(bytes, (bits = words.flatMap((word) => bitsOf(word, bytes))));
    return bits.every((bit) => (marks[bit >> 3]! & (1 << (bit & 7))) !== 0);
  };
}
