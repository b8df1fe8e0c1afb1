/** Where our schemas and the published ones of UWLR 2.2 disagree on purpose. Data: the test and the read-me use it. */
export interface Difference {
  name: string;
  /** Who refuses what the other accepts. */
  refusedBy: 'ours' | 'published';
  /** A pattern in the words of the validator that refuses. */
  says: RegExp;
  why: string;
}

export const differences: readonly Difference[] = [
  {
    name: 'school year of an answer after 2024-2025 or before 1991-1992',
    refusedBy: 'published',
    says: /\}schooljaar': .*(facet 'enumeration'|not a valid value|not an element of the set)/,
    why: 'The published list has run out; ours is a pattern.',
  },
  {
    name: 'key or ECK iD twice',
    refusedBy: 'ours',
    says: /Duplicate key-sequence/,
    why: 'The published rule selects nothing; ours does.',
  },
  {
    name: 'reference to a group or site that is not there',
    refusedBy: 'ours',
    says: /No match found for key-sequence/,
    why: 'The published rule selects nothing; ours does.',
  },
  {
    name: 'personal numbers',
    refusedBy: 'ours',
    says: /\}(bsn|sofinummer|onderwijsnummer|rijksregisternummer|bsn_ondwnr-4)': This element is not expected/,
    why: 'There is no place for them here.',
  },
  {
    name: 'photo, ethnicity, countries, weights, postcode',
    refusedBy: 'ours',
    says: /\}(fotourl|etniciteit|land|land_vader|land_moeder|gewicht|gewicht_nieuw|postcodenl|postnummerbe|postcodeoverig)': This element is not expected/,
    why: 'Never taken in, whatever the mandate.',
  },
  {
    name: 'digits and capitals of other scripts in codes',
    refusedBy: 'ours',
    says: /facet 'pattern'/,
    why: 'The published patterns take digits and capitals of any script; codes are written in plain ones.',
  },
];
