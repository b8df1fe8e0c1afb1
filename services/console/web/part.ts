/** Which part of a hold is meant by ticks. */
import type { Hold } from '../types.ts';
import type { Word } from './words.ts';

/** Kinds of a difference, their words, and whether they take something away. */
export const KINDS: readonly [keyof NonNullable<Hold['difference']>, Word, boolean][] = [
  ['left', 'left', true],
  ['joined', 'joined', false],
  ['moved', 'moved', false],
  ['renamed', 'renamed', true],
  ['groupsClosed', 'groups_closed', true],
  ['groupsOpened', 'groups_opened', false],
  ['groupsRenamed', 'groups_renamed', false],
  ['staffLeft', 'staff_left', true],
  ['staffJoined', 'staff_joined', false],
  ['staffRenamed', 'staff_renamed', true],
  ['leavingLater', 'leaving_later', true],
];

export type Chosen = { kinds: string[]; groups: string[]; products: string[] };
export const NOTHING: Chosen = { kinds: [], groups: [], products: [] };
export const turned = (words: string[], word: string): string[] =>
  words.includes(word) ? words.filter((one) => one !== word) : [...words, word];

/** Whether all that is ticked still waits: it may have been decided elsewhere while it was looked at. */
export const stands = ({ difference, groups, products }: Hold, chosen: Chosen): boolean =>
  chosen.kinds.every((kind) => KINDS.some(([one]) => one === kind && (difference?.[one] ?? 0) > 0)) &&
  chosen.groups.every((name) => groups.some(({ group }) => group === name)) &&
  chosen.products.every((name) => products.some(({ id }) => id === name));
