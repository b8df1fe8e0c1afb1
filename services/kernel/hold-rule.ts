/**
 * A rule that lets go what would wait for approval, for a while and up to so much: such as who leaves at the end of a school year. Facts of
 * `parties`; the owners of holds keep a copy, and ask here where they decide. Pure.
 */

/** What a rule may let go. What looks like a slip (empty, cut off), is said again after a no, or stands under a freeze is none of these. */
export const holdRuleKinds = ['leavers', 'groups', 'renames', 'withdrawals'] as const;
export type HoldRuleKind = (typeof holdRuleKinds)[number];
const isRuleKind = (kind: string): boolean => (holdRuleKinds as readonly string[]).includes(kind);

/** What stands longer is a way of working: the threshold is for that. With an hour more, for the day on which clocks are set back. */
export const LONGEST_RULE_MS = 60 * 86_400_000 + 3_600_000;
/** Most that a rule lets go of a school, in percent. All of it may get another name; no more than a half is taken away without a look. */
export const mostOf = (kinds: readonly string[]): number => (kinds.every((kind) => kind === 'renames') ? 100 : 50);

/** Times are Unix milliseconds; `untilMs` and `endedMs` are the first moment at which it no longer stands. */
export interface HoldRuleFact {
  ruleId: string;
  /** Empty = every school. */
  schoolOin: string;
  kinds: readonly string[];
  /** Of leavers: they are of these year groups, and of no other; empty = of any. */
  yearGroups: readonly string[];
  fromMs: number;
  untilMs: number;
  /** When it was ended early; 0 = it was not. */
  endedMs: number;
  /** From when on nobody else has to say so too; 0 = a second person has not. */
  approvedMs: number;
  /** In all while it stands, at one school, with what rules beside it let go: of what was there when it was first used, in percent. */
  mostPercent: number;
  /** And so many; 0 = any number within that share. */
  mostCount: number;
}

/** Something that keeps a hold waiting, as numbers. */
export interface RuleAsk {
  /** One of `holdRuleKinds`; another word = no rule lets it go. */
  kind: string;
  /** What is counted: `learners`, `groups`, `entitlements`. */
  of: string;
  count: number;
  /** Of how many. */
  base: number;
  /** Of leavers: their year groups; the empty one is that of who has none. */
  yearGroups: readonly string[];
}

/** What a rule let go at one school so far, by kind and what is counted. */
export interface Spent {
  kind: string;
  of: string;
  base: number;
  count: number;
  /** When what it let go last came, Unix milliseconds. Absent in rows of before this was kept. */
  lastMs?: number;
}

/** Why a rule does not let it go; the first is the nearest miss. */
export const notFitting = [
  'beyond_count',
  'beyond_share',
  'other_year_groups',
  'not_approved',
  'not_begun',
  'over',
  'ended',
  'other_kind',
] as const;
export type NotFitting = (typeof notFitting)[number];

/** A rule as it is told of, with times as they stand on the wire. */
type OnWire = Omit<HoldRuleFact, Times> & Readonly<Record<Times, bigint>>;
type Times = 'fromMs' | 'untilMs' | 'endedMs' | 'approvedMs';

export const ruleFact = (rule: OnWire): HoldRuleFact => ({
  ...rule,
  fromMs: Number(rule.fromMs),
  untilMs: Number(rule.untilMs),
  endedMs: Number(rule.endedMs),
  approvedMs: Number(rule.approvedMs),
});

/** When it is over, Unix milliseconds. */
export const ruleEnd = ({ untilMs, endedMs }: Pick<HoldRuleFact, 'untilMs' | 'endedMs'>): number =>
  endedMs > 0 ? Math.min(untilMs, endedMs) : untilMs;

/** Whether what asks is of kinds that the rule names, all of it. */
const isOfKinds = ({ kinds }: HoldRuleFact, asks: readonly RuleAsk[]): boolean =>
  asks.length > 0 && asks.every(({ kind }) => isRuleKind(kind) && kinds.includes(kind));

const spentOf = (spent: readonly Spent[], { kind, of }: Pick<Spent, 'kind' | 'of'>): Spent | undefined =>
  spent.find((one) => one.kind === kind && one.of === of);

/** What a rule has let go once it lets this go too, which came at `atMs`. */
export function spend(spent: readonly Spent[], asks: readonly RuleAsk[], atMs = 0): Spent[] {
  let next = [...spent];
  for (const { kind, of, count, base } of asks) {
    const before = spentOf(next, { kind, of }) ?? { kind, of, base, count: 0 };
    const lastMs = Math.max(before.lastMs ?? 0, atMs);
    const after = { ...before, count: before.count + count, ...(lastMs > 0 ? { lastMs } : {}) };
    next = [...next.filter((one) => one.kind !== kind || one.of !== of), after];
  }
  return next;
}

/** In percent: a rule that takes away lets no more than a half go, whatever it says. */
const shareOf = ({ mostPercent, kinds }: HoldRuleFact): number => Math.min(mostPercent, mostOf(kinds));

/** From when on a rule lets go. */
const ruleStart = ({ fromMs, approvedMs }: HoldRuleFact): number => Math.max(fromMs, approvedMs);

/** Whether two rules stand at one moment, at one school. What one of them lets go there counts for the other too. */
export const standBeside = (one: HoldRuleFact, other: HoldRuleFact): boolean =>
  one.ruleId !== other.ruleId &&
  (one.schoolOin === '' || other.schoolOin === '' || one.schoolOin === other.schoolOin) &&
  ruleStart(one) < ruleEnd(other) &&
  ruleStart(other) < ruleEnd(one);

/** What rules beside this one let go at a school: `base` is the largest of theirs. */
export function spentBeside<R extends HoldRuleFact>(
  rule: HoldRuleFact,
  rules: readonly R[],
  spentBy: (rule: R) => readonly Spent[],
): Spent[] {
  let sum: Spent[] = [];
  for (const other of rules)
    if (standBeside(rule, other))
      for (const one of spentBy(other)) {
        const before = spentOf(sum, one);
        sum = [
          ...sum.filter((known) => known !== before),
          { ...one, base: Math.max(one.base, before?.base ?? 0), count: one.count + (before?.count ?? 0) },
        ];
      }
  return sum;
}

/** How much of a rule is used at one school, of one kind. */
export interface RuleUse {
  kind: string;
  of: string;
  /** What it let go itself, and what rules beside it did: both count. */
  count: number;
  beside: number;
  /** The most of both. */
  most: number;
  base: number;
}

export function usesOf(rule: HoldRuleFact, spent: readonly Spent[], beside: readonly Spent[]): RuleUse[] {
  const others = beside.filter((one) => rule.kinds.includes(one.kind) && !spentOf(spent, one));
  return [...spent, ...others.map((one) => ({ ...one, count: 0 }))].map(({ kind, of, base, count }) => {
    const by = spentOf(beside, { kind, of });
    const before = Math.max(base, by?.base ?? 0);
    const share = Math.floor((before * shareOf(rule)) / 100);
    return {
      ...{ kind, of, base: before, count, beside: by?.count ?? 0 },
      most: rule.mostCount > 0 ? Math.min(share, rule.mostCount) : share,
    };
  });
}

const SOON_MS = 7 * 86_400_000;

/** Whether a rule lets go at a moment what comes at it. */
export const standsAt = (rule: HoldRuleFact, atMs: number): boolean =>
  rule.approvedMs > 0 && ruleStart(rule) <= atMs && atMs < ruleEnd(rule);

/** Whether a rule that stands is in its last week, or the last quarter of its time where that is less. */
export function endsSoon(rule: HoldRuleFact, atMs: number): boolean {
  const [start, end] = [ruleStart(rule), ruleEnd(rule)];
  return standsAt(rule, atMs) && end - atMs <= Math.min(SOON_MS, (end - start) / 4);
}

/** Whether another rule is of all that this one is of, however much. */
export const isWithin = (rule: HoldRuleFact, other: HoldRuleFact): boolean =>
  other.ruleId !== rule.ruleId &&
  other.approvedMs > 0 &&
  (other.schoolOin === '' || other.schoolOin === rule.schoolOin) &&
  rule.kinds.every((kind) => other.kinds.includes(kind)) &&
  (other.yearGroups.length === 0 ||
    (rule.yearGroups.length > 0 && rule.yearGroups.every((one) => other.yearGroups.includes(one))));

/** Whether another rule goes on, without a gap, with all that this one lets go. */
export const goesOn = (rule: HoldRuleFact, other: HoldRuleFact): boolean =>
  isWithin(rule, other) && ruleStart(other) <= ruleEnd(rule) && ruleEnd(rule) < ruleEnd(other);

/**
 * Why a rule of this school does not let it go at a moment; undefined = it does. `spent`: what it has let go there before; `beside`: what
 * rules beside it have.
 */
export function whyNot(
  rule: HoldRuleFact,
  { asks, atMs }: { asks: readonly RuleAsk[]; atMs: number },
  spent: readonly Spent[],
  beside: readonly Spent[] = [],
): NotFitting | undefined {
  if (!isOfKinds(rule, asks)) return 'other_kind';
  if (rule.endedMs > 0 && rule.endedMs <= atMs) return 'ended';
  if (rule.untilMs <= atMs) return 'over';
  if (rule.approvedMs === 0) return 'not_approved';
  if (ruleStart(rule) > atMs) return 'not_begun';
  const isOther = ({ kind, yearGroups }: RuleAsk): boolean =>
    kind === 'leavers' &&
    rule.yearGroups.length > 0 &&
    !yearGroups.every((one) => one !== '' && rule.yearGroups.includes(one));
  if (asks.some(isOther)) return 'other_year_groups';
  const own = spend(spent, asks).filter((one) => spentOf(asks as unknown as Spent[], one) !== undefined);
  // What went by others is a part of what stood before them.
  const after = own.map((one) => {
    const { count = 0, base = 0 } = spentOf(beside, one) ?? {};
    return { ...one, count: one.count + count, base: Math.max(one.base, base) };
  });
  const share = shareOf(rule);
  // What is asked may be of less than what the rule was first used for: another sender's, or another site's.
  if ([...own, ...after, ...asks].some(({ count, base }) => count * 100 > base * share)) return 'beyond_share';
  if (rule.mostCount > 0 && after.some(({ count }) => count > rule.mostCount)) return 'beyond_count';
  return undefined;
}

export interface Ruled<R extends HoldRuleFact = HoldRuleFact> {
  /** The rule that lets it go; absent = none does. */
  rule?: R;
  /** The one that nearly does, and why it does not. */
  near?: { rule: R; why: NotFitting };
}

/** Which rule lets something of a school go at a moment: of those that do, the one that ends first. `only`: no other than this one. */
export function ruled<R extends HoldRuleFact>(
  rules: readonly R[],
  hold: { school: string; asks: readonly RuleAsk[]; atMs: number },
  spentBy: (rule: R) => readonly Spent[],
  only?: string,
): Ruled<R> {
  const own = rules
    .filter(({ schoolOin }) => schoolOin === '' || schoolOin === hold.school)
    .sort((a, b) => ruleEnd(a) - ruleEnd(b) || (a.ruleId < b.ruleId ? -1 : 1));
  let near: Ruled<R>['near'];
  for (const rule of own) {
    if (only !== undefined && rule.ruleId !== only) continue;
    const why = whyNot(rule, hold, spentBy(rule), spentBeside(rule, own, spentBy));
    if (why === undefined) return { rule };
    // A rule of other things has nothing to do with it.
    if (why === 'other_kind' && !hold.asks.some(({ kind }) => rule.kinds.includes(kind))) continue;
    if (!near || notFitting.indexOf(why) < notFitting.indexOf(near.why)) near = { rule, why };
  }
  return near ? { near } : {};
}
