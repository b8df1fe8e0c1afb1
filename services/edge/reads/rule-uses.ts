/** How much of rules of holds is used, school by school: their owners count it, this puts it beside what each rule may. */
import { type HoldRuleFact, type RuleUse, ruleFact, type Spent, spentBeside, standBeside, usesOf } from '#kernel';
import type { HoldRule } from '#proto/eduk/core/v1/party';
import type { Door } from '../submission.ts';

export interface UsedAt extends RuleUse {
  schoolOin: string;
  /** When what a rule let go of it last came, Unix milliseconds; 0 = the rule itself let nothing go. */
  lastMs: number;
}

const fullness = ({ count, beside, most }: RuleUse): number => (count + beside) / Math.max(1, most);

/** Of each of some rules, by id: the fullest first. `schoolOin`: empty = at every school. */
export async function usedOf(
  { services, chain }: Pick<Door, 'services' | 'chain'>,
  rules: readonly HoldRule[],
  schoolOin: string,
): Promise<ReadonlyMap<string, UsedAt[]>> {
  if (rules.length === 0) return new Map();
  const facts = rules.map(ruleFact);
  // What is over counts where it stood beside one of these.
  const known = chain
    .holdRules()
    .map(ruleFact)
    .filter((one) => facts.some(({ ruleId }) => ruleId === one.ruleId) || facts.some((fact) => standBeside(fact, one)));
  const asked = { schoolOin, ruleIds: known.map(({ ruleId }) => ruleId) };
  const [rosters, entitlements] = await Promise.all([
    services.rosters.listRuleSpent(asked),
    services.entitlements.listRuleSpent(asked),
  ]);
  const used = new Map<string, UsedAt[]>(facts.map(({ ruleId }) => [ruleId, []]));
  for (const [school, all] of Map.groupBy([...rosters.spent, ...entitlements.spent], (one) => one.schoolOin)) {
    const own = Map.groupBy(all, ({ ruleId }) => ruleId);
    const spentBy = ({ ruleId }: HoldRuleFact): Spent[] =>
      (own.get(ruleId) ?? []).map(({ kind, of, base, count, lastMs }) => ({
        ...{ kind, of, base, count, lastMs: Number(lastMs) },
      }));
    for (const fact of facts) {
      if (fact.schoolOin !== '' && fact.schoolOin !== school) continue;
      const spent = spentBy(fact);
      for (const use of usesOf(fact, spent, spentBeside(fact, known, spentBy))) {
        const last = spent.find(({ kind, of }) => kind === use.kind && of === use.of)?.lastMs ?? 0;
        used.get(fact.ruleId)!.push({ ...use, schoolOin: school, lastMs: last });
      }
    }
  }
  for (const all of used.values())
    all.sort((a, b) => fullness(b) - fullness(a) || (a.schoolOin < b.schoolOin ? -1 : 1));
  return used;
}
