/**
 * A freeze: a time in which nothing of a school or a party is taken away or disturbed, such as exam days or the first school week. Facts of
 * `parties`; every service that must ask keeps a copy, and asks here.
 */

/** What may be done to a school or a party, and whether a freeze stops it. */
export const freezeStops = {
  /** A right is withdrawn or swapped. */
  withdraw: true,
  /** A right is blocked. */
  deactivate: true,
  /** A roster takes away or renames pupils, groups or staff. */
  rename: true,
  /** Mail is sent again. */
  replay: true,
  /** Learners go on at another school, or a school goes to another board. */
  move: true,
  /** Keys of the vault are renewed. */
  key_rotation: true,
  sign_in: false,
  launch: false,
  grant: false,
  result: false,
} as const;
export type FreezeKind = keyof typeof freezeStops;

/** What is called a freeze and lasts longer is a way of working. With an hour more, for the day on which clocks are set back. */
export const LONGEST_FREEZE_MS = 92 * 86_400_000 + 3_600_000;

/** Times are Unix milliseconds; `untilMs` and `endedMs` are the first moment at which it no longer holds. */
export interface FreezeFact {
  freezeId: string;
  /** Empty = every school. */
  schoolOin: string;
  /** Empty = every party. Both empty = all of the gateway. */
  partyOin: string;
  fromMs: number;
  untilMs: number;
  /** When it was ended early; 0 = it was not. */
  endedMs: number;
  /** What it is called, such as exams-2027. */
  reason: string;
}

/** What is about to be done. */
export interface FreezeAct {
  kind: FreezeKind;
  /** Schools that it is about, and parties that do it or feel it; `*` = all of them. */
  schools: readonly string[];
  parties: readonly string[];
  atMs: number;
}

export interface Frozen<F extends FreezeFact = FreezeFact> {
  /** The one of those that hold now that holds longest. */
  freeze: F;
  /** When no freeze holds it any more: where one ends within another, or as another begins, the end of the last. */
  untilMs: number;
}

/** When it is over, Unix milliseconds. */
export const freezeEnd = ({ untilMs, endedMs }: Pick<FreezeFact, 'untilMs' | 'endedMs'>): number =>
  endedMs > 0 ? Math.min(untilMs, endedMs) : untilMs;

const covers = (scope: string, named: readonly string[]): boolean =>
  scope === '' || named.includes('*') || named.includes(scope);

const longest = <F extends FreezeFact>(facts: readonly F[], atMs: number): F | undefined => {
  let found: F | undefined;
  for (const fact of facts) {
    if (fact.fromMs > atMs || freezeEnd(fact) <= atMs) continue;
    const [mine, best] = [freezeEnd(fact), found ? freezeEnd(found) : 0];
    if (!found || mine > best || (mine === best && fact.freezeId < found.freezeId)) found = fact;
  }
  return found;
};

/** Whether a freeze stands in the way of an act; undefined = it goes on. Freezes add up: none makes another shorter. */
export function frozen<F extends FreezeFact>(
  facts: readonly F[],
  { kind, schools, parties, atMs }: FreezeAct,
): Frozen<F> | undefined {
  if (!freezeStops[kind]) return undefined;
  const about = facts.filter(({ schoolOin, partyOin }) => covers(schoolOin, schools) && covers(partyOin, parties));
  const freeze = longest(about, atMs);
  if (!freeze) return undefined;
  let untilMs = freezeEnd(freeze);
  for (let next = longest(about, untilMs); next; next = longest(about, untilMs)) untilMs = freezeEnd(next);
  return { freeze, untilMs };
}
