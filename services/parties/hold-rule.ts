/** Rules that let go what would wait for approval: set, approved by a second person, ended. Pure. What one lets go is told by `ruled` in the kernel. */
import { holdRuleKinds, isSchoolOin, isSeconded, LONGEST_RULE_MS, mostOf, ruleEnd } from '#kernel';
import { HoldRule } from '#proto/eduk/core/v1/party';
import type { HoldRuleSubmitted } from '#proto/eduk/events/v1/parties';
import { type PartyEvent, refused } from './party.ts';

interface Ruling {
  event: PartyEvent;
  /** The rule as it stands now; absent = nothing changed. */
  next?: HoldRule;
}

/** When it is over, Unix milliseconds. */
export const endOfRule = ({ untilMs, endedMs }: HoldRule): number =>
  ruleEnd({ untilMs: Number(untilMs), endedMs: Number(endedMs) });

/**
 * Decides about a rule. `standing`: the one of that id; `others`: all. The same set twice is set once; one that is over is ended already.
 */
export function decideHoldRule(
  standing: HoldRule | undefined,
  others: readonly HoldRule[],
  asked: HoldRuleSubmitted,
  nowMs: number,
): Ruling {
  const given = asked.rule ?? HoldRule.fromPartial({});
  if (asked.change === 'set') return standing ? told(standing, 'set') : set(given, others, asked, nowMs);
  if (asked.change !== 'end' && asked.change !== 'approve')
    return { event: refused(given.ruleId, 'wire.invalid', 'This change is not on the list.') };
  if (!standing) return { event: refused(given.ruleId, 'state.missing', 'No rule has this id.') };
  const isOver = endOfRule(standing) <= nowMs;
  if (asked.change === 'approve') return approve(standing, asked, isOver, nowMs);
  return isOver ? told(standing, 'ended') : changed({ ...standing, endedMs: BigInt(nowMs) }, 'ended');
}

const told = (rule: HoldRule, change: string): Ruling => ({
  event: { type: 'HoldRuleChanged', value: { rule, change, unchanged: true } },
});

const changed = (rule: HoldRule, change: string): Ruling => ({
  event: { type: 'HoldRuleChanged', value: { rule, change, unchanged: false } },
  next: rule,
});

/** What is wrong with it; undefined = nothing. */
function whatIsWrong({ schoolOin, kinds, yearGroups, mostPercent, reason }: HoldRule): string | undefined {
  if (schoolOin !== '' && !isSchoolOin(schoolOin)) return 'This is no school.';
  if (kinds.length === 0 || kinds.some((kind) => !(holdRuleKinds as readonly string[]).includes(kind)))
    return 'A rule says which kinds it lets go: leavers, groups, renames, withdrawals.';
  if (yearGroups.length > 0 && !kinds.includes('leavers')) return 'Year groups are of leavers.';
  if (mostPercent < 1 || mostPercent > mostOf(kinds))
    return 'A rule lets go 1 to 50 percent of a school; of renames alone 1 to 100.';
  return reason === '' ? 'A rule needs a reason.' : undefined;
}

const sameWords = (a: readonly string[], b: readonly string[]): boolean =>
  [...a].sort().join(' ') === [...b].sort().join(' ');

const isSame = (a: HoldRule, b: HoldRule): boolean =>
  a.schoolOin === b.schoolOin &&
  a.reason === b.reason &&
  a.untilMs === b.untilMs &&
  a.mostPercent === b.mostPercent &&
  a.mostCount === b.mostCount &&
  a.waiting === b.waiting &&
  sameWords(a.kinds, b.kinds) &&
  sameWords(a.yearGroups, b.yearGroups);

function set(
  given: HoldRule,
  others: readonly HoldRule[],
  { byOin, byPerson, second, confirmed }: HoldRuleSubmitted,
  nowMs: number,
): Ruling {
  const no = (why: string): Ruling => ({ event: refused(given.ruleId, 'wire.invalid', why) });
  const wrong = whatIsWrong(given);
  if (wrong !== undefined) return no(wrong);
  const { untilMs } = given;
  const fromMs = given.fromMs > BigInt(nowMs) ? given.fromMs : BigInt(nowMs);
  if (untilMs <= fromMs) return no('A rule ends after it begins, and not in the past.');
  if (untilMs - fromMs > BigInt(LONGEST_RULE_MS)) return no('A rule stands 60 days at most.');
  const same = others.find((one) => isSame(one, given) && one.fromMs <= fromMs && endOfRule(one) > nowMs);
  if (same) return told(same, 'set');
  const setMs = BigInt(nowMs);
  const stands = !second || confirmed;
  const rule: HoldRule = {
    ...given,
    ...{ fromMs, byOin, byPerson, setMs, approvedBy: '', endedMs: 0n },
    approvedMs: stands ? setMs : 0n,
  };
  return changed(rule, stands ? 'set' : 'asked');
}

function approve(rule: HoldRule, { byPerson, confirmed }: HoldRuleSubmitted, isOver: boolean, nowMs: number): Ruling {
  if (rule.approvedMs > 0n) return told(rule, 'approved');
  if (isOver) return { event: refused(rule.ruleId, 'state.conflict', 'This rule is over.') };
  if (!isSeconded({ byPerson: rule.byPerson, part: '' }, { byPerson, part: '', confirmed }))
    return { event: refused(rule.ruleId, 'hold.pending', 'A second person approves it: who set it does not.') };
  return changed({ ...rule, approvedMs: BigInt(nowMs), approvedBy: byPerson }, 'approved');
}
