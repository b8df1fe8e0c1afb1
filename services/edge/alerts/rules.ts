/** Which rules of holds somebody should look after: they end, or are nearly used up, while something still comes that they let go. */
import { endsSoon, goesOn, isWithin, ruleEnd, ruleFact, standsAt } from '#kernel';
import type { HoldRule, HoldRuling } from '#proto/eduk/core/v1/party';
import { type UsedAt, usedOf } from '../reads/rule-uses.ts';
import type { Door } from '../submission.ts';

const DAY_MS = 86_400_000;
/** What it let go last came within so many days: more will come. */
const STILL_DAYS = 7;
const FULL_PERCENT = 80;
/** What is used is asked for no more often: of a whole country it may be ten thousand rows. */
const LOOK_MS = 60_000;

interface Waits {
  schoolOin: string;
  ruling?: HoldRuling | undefined;
}

export interface RuleToWatch {
  ruleId: string;
  /** Empty = it is of every school. */
  schoolOin: string;
  /** In so many days it ends; absent = not soon, or another rule goes on with it. */
  endsInDays?: number;
  /** Schools at which it is nearly used up. */
  fullAt: number;
}

const isFull = ({ count, beside, most }: UsedAt): boolean => (count + beside) * 100 >= most * FULL_PERCENT;

/** Pure. `waiting`: holds that wait, with the rule that comes near. */
export function rulesToWatch(
  rules: readonly HoldRule[],
  used: ReadonlyMap<string, readonly UsedAt[]>,
  waiting: readonly Waits[],
  nowMs: number,
): RuleToWatch[] {
  const facts = rules.map(ruleFact);
  return facts.flatMap((rule) => {
    const { ruleId, schoolOin } = rule;
    const uses = used.get(ruleId) ?? [];
    const near = waiting.filter(({ ruling }) => ruling?.nearRuleId === ruleId);
    const isRecent = ({ lastMs }: UsedAt): boolean => lastMs > nowMs - STILL_DAYS * DAY_MS;
    const isBeyond = (school: string): boolean =>
      near.some(({ schoolOin: of, ruling }) => of === school && ruling!.nearWhy.startsWith('beyond_'));
    // Another rule, of as much or more, has room there.
    const isRelieved = ({ schoolOin: school, kind }: UsedAt): boolean =>
      facts.some(
        (other) =>
          isWithin(rule, other) &&
          standsAt(other, nowMs) &&
          !used.get(other.ruleId)?.some((one) => one.schoolOin === school && one.kind === kind && isFull(one)),
      );
    const full = uses.filter((use) => isFull(use) && (isRecent(use) || isBeyond(use.schoolOin)) && !isRelieved(use));
    const ends =
      endsSoon(rule, nowMs) && (uses.some(isRecent) || near.length > 0) && !facts.some((other) => goesOn(rule, other));
    if (!ends && full.length === 0) return [];
    const fullAt = new Set(full.map((use) => use.schoolOin)).size;
    return [
      { ruleId, schoolOin, fullAt, ...(ends ? { endsInDays: Math.ceil((ruleEnd(rule) - nowMs) / DAY_MS) } : {}) },
    ];
  });
}

/** Looks at rules that stand. Where none does, nobody is asked anything. */
export class RuleWatch {
  #looked: { atMs: number; used: ReadonlyMap<string, UsedAt[]> } | undefined;

  async look(door: Pick<Door, 'services' | 'chain' | 'clock'>, waiting: readonly Waits[]): Promise<RuleToWatch[]> {
    const now = door.clock.now();
    const isOpen = (rule: HoldRule): boolean => {
      const fact = ruleFact(rule);
      return fact.approvedMs > 0 && ruleEnd(fact) > now;
    };
    const rules = door.chain.holdRules().filter(isOpen);
    if (rules.length === 0) return [];
    if (!this.#looked || Math.abs(now - this.#looked.atMs) >= LOOK_MS)
      this.#looked = { atMs: now, used: await usedOf(door, rules, '') };
    return rulesToWatch(rules, this.#looked.used, waiting, now);
  }
}
