/** A copy of the rules of `parties` that let go what would wait for approval, for a service that owns holds; and what each let go there. */
import {
  type HoldRuleFact,
  LONGEST_RULE_MS,
  type RuleAsk,
  type Ruled,
  ruled,
  ruleEnd,
  ruleFact,
  type Spent,
  spend,
} from '#kernel';
import { HoldRule, type HoldRuleSpent, type HoldRuling } from '#proto/eduk/core/v1/party';
import type { HoldRuleChanged } from '#proto/eduk/events/v1/parties';
import { type Reader, type Table, table, type Unit } from './port.ts';

export interface HoldRuleRow {
  ruleId: string;
  /** First moment at which it is over, Unix milliseconds. */
  endMs: number;
  /** eduk.core.v1.HoldRule. */
  rule: Uint8Array;
}

/** What one rule let go at one school. */
export interface RuleSpentRow {
  school: string;
  ruleId: string;
  endMs: number;
  spent: Spent[];
}

export const holdRulesTable = (name: string): Table<HoldRuleRow> =>
  table<HoldRuleRow>({
    name,
    key: ['ruleId'],
    columns: { ruleId: 'text', endMs: 'int', rule: 'blob' },
    retention: 'RETENTION_AUDIT',
  });

export const ruleSpentTable = (name: string): Table<RuleSpentRow> =>
  table<RuleSpentRow>({
    name,
    key: ['school', 'ruleId'],
    columns: { school: 'text', ruleId: 'text', endMs: 'int', spent: 'json' },
    retention: 'RETENTION_AUDIT',
  });

/** What is over so long explains no hold any more, nor counts for a rule that stood beside it; `parties` keeps it. */
const KEPT_MS = LONGEST_RULE_MS + 30 * 86_400_000;

type Fact = HoldRuleFact & { rule: HoldRule };

/** What is asked of rules. */
export interface RuleHold {
  school: string;
  asks: readonly RuleAsk[];
  atMs: number;
}

/** How a rule stood to a hold when that was decided; kept with it. */
export interface RuledWord {
  /** The rule that let it go. */
  ruleId: string;
}

export class HoldRules {
  readonly #rules: Table<HoldRuleRow>;
  readonly #spent: Table<RuleSpentRow>;

  constructor(rules: Table<HoldRuleRow>, spent: Table<RuleSpentRow>) {
    this.#rules = rules;
    this.#spent = spent;
  }

  /** Takes one over as it stands now; those that are over leave as others come. */
  take(unit: Pick<Unit, 'now' | 'list' | 'put' | 'remove'>, { rule }: HoldRuleChanged): void {
    for (const old of unit.list(this.#rules, { equals: [] }))
      if (old.endMs + KEPT_MS <= unit.now) unit.remove(this.#rules, old.ruleId);
    if (!rule) return;
    const { untilMs, endedMs } = ruleFact(rule);
    unit.put(this.#rules, {
      ruleId: rule.ruleId,
      endMs: ruleEnd({ untilMs, endedMs }),
      rule: HoldRule.encode(rule).finish(),
    });
  }

  /** How rules stand to what would wait; asks nothing where there are none. `only`: no other rule than this one. */
  of(reader: Reader, hold: RuleHold, only?: string): Ruled<Fact> {
    const rows = reader.list(this.#rules, { equals: [] });
    if (rows.length === 0) return {};
    const facts = rows.map((row) => {
      const rule = HoldRule.decode(row.rule);
      return { ...ruleFact(rule), rule };
    });
    return ruled(facts, hold, ({ ruleId }) => reader.get(this.#spent, hold.school, ruleId)?.spent ?? [], only);
  }

  /** What some rules let go, at one school or (empty) at any. */
  spent(
    reader: Reader,
    { schoolOin, ruleIds }: { schoolOin: string; ruleIds: readonly string[] },
  ): { spent: HoldRuleSpent[] } {
    const asked = new Set(ruleIds);
    const rows = reader
      .list(this.#spent, { equals: schoolOin === '' ? [] : [schoolOin] })
      .filter(({ ruleId }) => asked.has(ruleId));
    const toldOf = ({ school, ruleId, spent }: RuleSpentRow) =>
      spent.map(({ lastMs = 0, ...one }) => ({ ...one, ruleId, schoolOin: school, lastMs: BigInt(lastMs) }));
    return { spent: rows.flatMap(toldOf) };
  }

  /** Lets something go where a rule does, and counts it; undefined = none does. */
  release(unit: Reader & Pick<Unit, 'now' | 'put' | 'remove'>, hold: RuleHold, only?: string): HoldRule | undefined {
    const { rule: fact } = this.of(unit, hold, only);
    if (!fact) return undefined;
    const { ruleId } = fact;
    for (const old of unit.list(this.#spent, { equals: [hold.school] }))
      if (old.endMs + KEPT_MS <= unit.now) unit.remove(this.#spent, old.school, old.ruleId);
    const spent = unit.get(this.#spent, hold.school, ruleId)?.spent ?? [];
    unit.put(this.#spent, {
      school: hold.school,
      ruleId,
      endMs: fact.untilMs,
      spent: spend(spent, hold.asks, hold.atMs),
    });
    return fact.rule;
  }
}

/** A hold, as far as telling how rules stand to it needs it. `asks` are absent in rows of before there were rules. */
interface Told {
  school: string;
  state: string;
  asks?: readonly RuleAsk[] | undefined;
  ruled?: RuledWord | undefined;
  /** Not 0 = a part was decided. */
  part?: number | undefined;
}

/** How rules and a hold stand to each other: of one that waits, as it is now. A rule that came later and would let it go is near too. */
export function rulingOf(
  reader: Reader & { now(): number },
  rules: HoldRules,
  { school, state, asks, ruled: word, part }: Told,
): HoldRuling | undefined {
  if (asks === undefined) return undefined;
  const ruling = {
    ruleId: word?.ruleId ?? '',
    nearRuleId: '',
    nearWhy: '',
    asks: asks.map((ask) => ({ ...ask, yearGroups: [...ask.yearGroups] })),
  };
  if (state !== 'waiting') return ruling;
  const { rule, near } = rules.of(reader, { school, asks, atMs: reader.now() });
  if (rule) return { ...ruling, nearRuleId: rule.ruleId, nearWhy: part ? 'part_decided' : 'came_before' };
  return near ? { ...ruling, nearRuleId: near.rule.ruleId, nearWhy: near.why } : ruling;
}
