/** Rules that let go what would wait for approval: previewed, set, listed, approved by a second person, ended. */
import {
  endsSoon,
  GatewayError,
  type HoldRuleFact,
  holdRuleKinds,
  isSchoolOin,
  LONGEST_RULE_MS,
  mostOf,
  newId,
  ruleFact,
  type Spent,
  spend,
  whyNot,
  yearGroupCodes,
} from '#kernel';
import { HoldRule, type HoldRuling } from '#proto/eduk/core/v1/party';
import type * as op from '#proto/eduk/operator/v1/operator';
import { type Caller, operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { approveHoldRule, endHoldRule, setHoldRule } from '../intake/hold-rules.ts';
import { requireNamed } from '../reads/known.ts';
import { usedOf } from '../reads/rule-uses.ts';
import { SCHOOL_UNKNOWN } from '../stages/authorise.ts';
import type { Door } from '../submission.ts';
import { decisionOf } from './decision.ts';
import { momentOf } from './freezes.ts';
import { personOf } from './merges.ts';
import { take } from './writes.ts';

const WAIT_MS = 10_000;
/** Holds that were decided and are looked at by a preview: of so many days. */
const LOOKED_BACK_MS = 30 * 86_400_000;

/** Of one rule that are shown. */
const MOST_USES = 20;

const wrong = (told: string, where: string): GatewayError => new GatewayError('wire.invalid', told, { where });

/** Faults: wire.invalid, state.missing (who is not known here has no holds). */
async function ruleOf(request: op.SetHoldRuleRequest, { chain, clock }: Door): Promise<HoldRule> {
  const { schoolOin, all, kinds, yearGroups, mostPercent, mostCount, reason, waiting } = request;
  if (all === (schoolOin !== '')) throw wrong('A rule is of a school, or of all.', 'all');
  if (schoolOin !== '' && !isSchoolOin(schoolOin)) throw wrong('This is no school.', 'school_oin');
  if (kinds.length === 0 || kinds.some((kind) => !(holdRuleKinds as readonly string[]).includes(kind)))
    throw wrong(`Say what it lets go: ${holdRuleKinds.join(', ')}.`, 'kinds');
  if (yearGroups.length > 0 && !kinds.includes('leavers')) throw wrong('Year groups are of leavers.', 'year_groups');
  if (yearGroups.some((code) => !yearGroupCodes.has(code)))
    throw wrong(`No year group has this code. There are ${[...yearGroupCodes].join(', ')}.`, 'year_groups');
  const most = mostOf(kinds);
  if (mostPercent < 1 || mostPercent > most)
    throw wrong(`A rule lets go 1 to ${most} percent of a school.`, 'most_percent');
  if (reason === '') throw wrong('Name it, such as year-end-2027: no spaces, 64 characters.', 'reason');
  const now = clock.now();
  const fromMs = momentOf(request.from, 'from', now);
  const untilMs = momentOf(request.until, 'until', now);
  if (untilMs <= Math.max(fromMs, now)) throw wrong('A rule ends after it begins, and not in the past.', 'until');
  if (untilMs - Math.max(fromMs, now) > LONGEST_RULE_MS) throw wrong('A rule stands 60 days at most.', 'until');
  const isKnown = () => schoolOin === '' || chain.knowsSchool(schoolOin);
  if (!isKnown()) await chain.refresh();
  if (!isKnown()) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  return HoldRule.fromPartial({
    ...{ ruleId: newId(), schoolOin, mostPercent, mostCount, reason, waiting },
    ...{ kinds: [...new Set(kinds)].sort(), yearGroups: [...new Set(yearGroups)].sort() },
    ...{ fromMs: BigInt(fromMs), untilMs: BigInt(untilMs) },
  });
}

/** How a rule stands at a moment. */
export function stateOfRule(rule: HoldRule, now: number): string {
  const { fromMs, untilMs, endedMs, approvedMs } = ruleFact(rule);
  if (endedMs > 0 && endedMs <= untilMs) return 'ended';
  if (untilMs <= now) return 'over';
  if (approvedMs === 0) return 'asked';
  return fromMs <= now ? 'stands' : 'to_come';
}

/** No rule is asked about the rest of what was decided in part. */
const PART = 'part_decided';

interface Held {
  /** A part was decided by class. */
  byClass?: boolean;
  part: boolean;
  holdId: string;
  schoolOin: string;
  reason: string;
  state: string;
  sinceMs: bigint;
  ruling?: HoldRuling | undefined;
}

/** All holds that rules can be asked about, by when they came. */
async function heldFor(schoolOin: string, { services }: Door): Promise<Held[]> {
  const asked = { schoolOin, decided: true };
  const [rosters, changes] = await Promise.all([
    services.rosters.listHolds(asked),
    services.entitlements.listChangeHolds(asked),
  ]);
  const all: Held[] = [...rosters.holds, ...changes.holds];
  return all.sort((a, b) => Number(a.sinceMs - b.sinceMs));
}

/**
 * What a rule would let go, in the order in which it came: what it lets go counts for what comes after it. `beside`: what others let go, at
 * a school.
 */
function judged(
  rule: HoldRuleFact,
  holds: readonly Held[],
  { chain }: Pick<Door, 'chain'>,
  beside: (school: string) => Spent[] = () => [],
): op.RuledHold[] {
  const spent = new Map<string, Spent[]>();
  return holds.flatMap(({ holdId, schoolOin, reason, state, sinceMs, ruling, byClass, part }) => {
    const all = ruling?.asks ?? [];
    // How much is left after a part by class is not told.
    const asks = byClass ? [] : all;
    const isRest = part && state === 'waiting';
    if (all.length === 0 || (asks.length === 0 && !isRest)) return [];
    const before = spent.get(schoolOin) ?? [];
    const why = isRest ? PART : whyNot(rule, { asks, atMs: rule.fromMs }, before, beside(schoolOin));
    if (why === undefined) spent.set(schoolOin, spend(before, asks));
    const schoolName = chain.party(schoolOin)?.name ?? '';
    return [{ holdId, schoolOin, schoolName, reason, state, sinceMs, asks, whyNot: why ?? '' }];
  });
}

async function decided(gate: Gate, flowId: string) {
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  await gate.door.chain.refresh();
  return decision;
}

async function ruleNamed(ruleId: string, { chain }: Door): Promise<HoldRule> {
  if (!chain.holdRule(ruleId)) await chain.refresh();
  const rule = chain.holdRule(ruleId);
  if (!rule) throw new GatewayError('state.missing', 'No rule has this id.', { where: 'rule_id' });
  return rule;
}

/** As `parties` compares them: what was asked for stood already. */
const isWordedAs = (one: HoldRule, rule: HoldRule): boolean =>
  (['schoolOin', 'reason', 'untilMs', 'mostPercent', 'mostCount', 'waiting'] as const).every(
    (name) => one[name] === rule[name],
  ) && (['kinds', 'yearGroups'] as const).every((name) => one[name].join(' ') === rule[name].join(' '));

export const holdRuleUnary = {
  setHoldRule: async (request: op.SetHoldRuleRequest, gate: Gate, caller: Caller): Promise<op.SetHoldRuleResponse> => {
    const { chain } = gate.door;
    const rule = await ruleOf(request, gate.door);
    const order = { byPerson: personOf(caller), second: gate.holdSecond, confirmed: false };
    const { flowId } = await take(setHoldRule({ rule, change: 'set', ...order }), request, operator, gate);
    const decision = await decided(gate, flowId);
    const set = chain.holdRule(rule.ruleId);
    if (set || decision?.outcome !== 'HoldRuleChanged') return { flowId, decision, rule: set, unchanged: false };
    const same = chain.holdRules().find((one) => isWordedAs(one, rule) && one.endedMs === 0n);
    return { flowId, decision, rule: same, unchanged: true };
  },
  previewHoldRule: async (
    { asked }: op.PreviewHoldRuleRequest,
    { door }: Gate,
  ): Promise<op.PreviewHoldRuleResponse> => {
    if (!asked) throw wrong('Say the rule.', 'asked');
    // As if nobody else had to say so, and as if it stood when each came.
    const rule = { ...(await ruleOf(asked, door)), approvedMs: 1n };
    const stands = ruleFact(rule);
    const used = Map.groupBy((await usedOf(door, [rule], asked.schoolOin)).get(rule.ruleId)!, (one) => one.schoolOin);
    const beside = (school: string): Spent[] =>
      (used.get(school) ?? []).map(({ kind, of, base, beside: count }) => ({ kind, of, base, count }));
    const holds = await heldFor(asked.schoolOin, door);
    const since = door.clock.now() - LOOKED_BACK_MS;
    const waits = ({ state }: Held): boolean => state === 'waiting';
    return {
      waiting: judged(stands, holds.filter(waits), door, beside),
      decided: judged(
        stands,
        holds.filter((hold) => !waits(hold) && Number(hold.sinceMs) >= since),
        door,
      ),
    };
  },
  listHoldRules: async (request: op.ListHoldRulesRequest, { door }: Gate): Promise<op.ListHoldRulesResponse> => {
    const { chain, clock } = door;
    const isOf = ({ schoolOin }: HoldRule): boolean =>
      request.schoolOin === '' || schoolOin === '' || schoolOin === request.schoolOin;
    const shown = chain
      .holdRules()
      .map((rule) => ({ rule, state: stateOfRule(rule, clock.now()) }))
      .filter(({ rule, state }) => isOf(rule) && (request.past || (state !== 'over' && state !== 'ended')));
    const of = new Set(shown.map(({ rule }) => rule.schoolOin));
    await requireNamed({ door }, { partyOin: '', schoolOin: request.schoolOin }, of);
    const released = new Map<string, number>();
    if (shown.length > 0)
      for (const { ruling } of await heldFor(request.schoolOin, door))
        if (ruling?.ruleId) released.set(ruling.ruleId, (released.get(ruling.ruleId) ?? 0) + 1);
    const used = await usedOf(
      door,
      shown.map(({ rule }) => rule),
      request.schoolOin,
    );
    const rules = shown.map(({ rule, state }) => {
      const all = used.get(rule.ruleId)!;
      return {
        ...{ rule, state, released: released.get(rule.ruleId) ?? 0, used: all.slice(0, MOST_USES) },
        schools: new Set(all.map(({ schoolOin }) => schoolOin)).size,
        endsSoon: endsSoon(ruleFact(rule), clock.now()),
      };
    });
    const named = new Set(rules.flatMap(({ rule, used }) => [rule.schoolOin, ...used.map((one) => one.schoolOin)]));
    return {
      rules,
      names: [...named].flatMap((oin) => {
        const name = chain.party(oin)?.name;
        return name ? [{ oin, name }] : [];
      }),
    };
  },
  approveHoldRule: async (
    { ruleId, confirm }: op.ApproveHoldRuleRequest,
    gate: Gate,
    caller: Caller,
  ): Promise<op.ApproveHoldRuleResponse> => {
    const rule = await ruleNamed(ruleId, gate.door);
    const byPerson = personOf(caller);
    const order = { byPerson, second: true, confirmed: byPerson === '' && confirm };
    const asked = approveHoldRule({ rule, change: 'approve', ...order });
    const { flowId } = await take(asked, { ruleId, confirm }, operator, gate);
    const decision = await decided(gate, flowId);
    return { flowId, decision, rule: gate.door.chain.holdRule(ruleId) };
  },
  endHoldRule: async (
    { ruleId }: op.EndHoldRuleRequest,
    gate: Gate,
    caller: Caller,
  ): Promise<op.EndHoldRuleResponse> => {
    const rule = await ruleNamed(ruleId, gate.door);
    const order = { byPerson: personOf(caller), second: false, confirmed: false };
    const { flowId } = await take(endHoldRule({ rule, change: 'end', ...order }), { ruleId }, operator, gate);
    const decision = await decided(gate, flowId);
    return { flowId, decision, rule: gate.door.chain.holdRule(ruleId) };
  },
};
