/** Which part of a hold is meant by ticks. */
import type { Hold, ToldCount } from '../types.ts';
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

/** How many entitlements a part of withdrawals takes away, as far as that is told. */
export function lostBy({ products, groups }: Hold, chosen: Chosen): ToldCount {
  const isMeant = (id: string): boolean => chosen.products.length === 0 || chosen.products.includes(id);
  if (chosen.groups.length === 0) {
    const meant = products.filter(({ id }) => isMeant(id));
    const count = meant.reduce((sum, one) => sum + one.entitlements, 0);
    return { count, kind: meant.some(({ atLeast }) => atLeast) ? 'at_least' : 'told' };
  }
  const lost = groups
    .filter(({ group }) => chosen.groups.includes(group))
    .flatMap(({ loses }) => loses.filter(({ product }) => isMeant(product)));
  return {
    count: lost.reduce((sum, { learners, licences }) => sum + learners.count + licences, 0),
    kind: lost.every(({ learners }) => learners.kind === 'told') ? 'told' : 'at_least',
  };
}
