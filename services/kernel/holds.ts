/** What may happen to one of those in a roster: a part of a held one is named by these. */
export const rosterKinds = [
  'joined',
  'left',
  'moved',
  'renamed',
  'leavingLater',
  'changed',
  'groupsOpened',
  'groupsClosed',
  'groupsRenamed',
  'groupsChanged',
  'staffJoined',
  'staffLeft',
  'staffRenamed',
  'staffChanged',
] as const;
export type RosterKind = (typeof rosterKinds)[number];
export const isRosterKind = (word: string): word is RosterKind => (rosterKinds as readonly string[]).includes(word);

/** Those that take something away, or show another person. */
export const takingKinds: ReadonlySet<RosterKind> = new Set([
  'left',
  'renamed',
  'leavingLater',
  'groupsClosed',
  'groupsRenamed',
  'staffLeft',
  'staffRenamed',
]);
