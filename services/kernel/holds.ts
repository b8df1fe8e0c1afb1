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

/** One person's approval of a hold, or of a part of it, in words of ours. */
export interface Approval {
  /** Keyed digest of the person; empty = the operator's key, which is nobody in particular. */
  byPerson: string;
  part: string;
}

/** Whether another person approved the same before; `confirmed`: the operator's key stands in for a second person. */
export const isSeconded = (first: Approval | undefined, now: Approval & { confirmed: boolean }): boolean =>
  now.confirmed || (first?.part === now.part && now.byPerson !== '' && now.byPerson !== first.byPerson);

/** What is said to who approves while another person still has to. */
export const FIRST_OF_TWO = 'Approved by one person: another one approves the same too, and then it is carried out.';
