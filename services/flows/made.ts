/**
 * A flow made anew of all that the log says of it, and what of the row that stands is otherwise: pure. Lanes are read in no order of
 * each other, so that of several decisions any may have come first, and of a message in several parts any part may have named it: what
 * only that order decides is no difference.
 */
import { isLate } from './consume.ts';
import { type Fact, withFact } from './facts.ts';
import { begun, MOST_STEPS, stateOf } from './flow.ts';
import { type FlowTableRow, flowsTable, type LossCell, type StepCell } from './tables.ts';

export interface Made {
  row: FlowTableRow;
  /** All that it was made of, in the order of time. */
  facts: readonly Fact[];
}

/** Of the facts of one flow in the order of time, and within a lane in the lane's; undefined = they make no row. */
export function madeOf(flowId: string, facts: readonly Fact[]): Made | undefined {
  if (facts.every((fact) => isLate(flowId, fact))) return undefined;
  return { row: facts.reduce((row, fact) => withFact(row, fact), begun(flowId, facts[0]!.atMs)), facts };
}

export type Column = keyof FlowTableRow & string;

/** What the part of a message that came first gives the row. */
const NAMES = ['type', 'method', 'party', 'subject', 'school', 'key'] as const;
/** What the decision that came first gives it. */
const DECISION = ['outcome', 'says', 'code', 'told', 'decidedMs', 'steps'] as const;

/** Columns in which the row that stands is none that the facts can make, in whatever order they came. */
export function columnsThatDiffer(stands: Readonly<FlowTableRow>, { row, facts }: Made): Column[] {
  const differ: Column[] = (['asked', 'answered', 'refused'] as const).filter(
    (column) => stands[column] !== row[column],
  );
  if (lossesOf(stands) !== lossesOf(row)) differ.push('losses');
  differ.push(...namesThatDiffer(stands, row, facts));
  if (!isDecisionOf(stands, row, facts)) differ.push(...DECISION.filter((column) => !isSame(column, stands, row)));
  return differ;
}

/** The row as it is put in the place of the one that stands: what that one has rightly, by the order in which it came, stays. */
export function mended(stands: Readonly<FlowTableRow> | undefined, made: Made): FlowTableRow {
  const differ = stands === undefined ? undefined : new Set(columnsThatDiffer(stands, made));
  if (stands === undefined || differ === undefined) return made.row;
  const stays = (columns: readonly Column[]) =>
    columns.some((column) => differ.has(column)) ? {} : Object.fromEntries(columns.map((name) => [name, stands[name]]));
  return { ...made.row, ...stays([...NAMES, 'acceptedMs']), ...stays(DECISION) };
}

function namesThatDiffer(stands: Readonly<FlowTableRow>, row: FlowTableRow, facts: readonly Fact[]): Column[] {
  const isNamed =
    row.asked > 0
      ? facts.some(
          (fact) => fact.asks && stands.acceptedMs === fact.atMs && NAMES.every((name) => stands[name] === fact[name]),
        )
      : (['type', 'method', 'party', 'subject'] as const).every((name) => stands[name] === '') &&
        (['school', 'key'] as const).every((name) => facts.some((fact) => stands[name] === fact[name])) &&
        facts.some(({ atMs }) => stands.acceptedMs === atMs);
  if (isNamed) return [];
  const differ = ([...NAMES, 'acceptedMs'] as const).filter((name) => !isSame(name, stands, row));
  // Each by itself is that of some part, all together of none.
  return differ.length > 0 ? differ : ['subject'];
}

/** Whether what the row says was decided is what the facts say: each of it, as often, and together the same state. */
function isDecisionOf(stands: Readonly<FlowTableRow>, row: FlowTableRow, facts: readonly Fact[]): boolean {
  if (stands.outcome === '' && (stands.decidedMs !== 0 || stands.says !== '')) return false;
  const ours = decisionsOf(stands);
  const theirs = decisionsOf(row);
  if (ours.length !== theirs.length || !isStateOf(stateOf(stands), stateOf(row), facts)) return false;
  if ((stands.steps?.length ?? 0) >= MOST_STEPS) {
    const all = new Set(facts.flatMap((fact) => (fact.asks ? [] : [decisionOf(fact.type, fact.atMs, fact.says)])));
    if (!ours.every((one) => all.has(one))) return false;
  } else if (ours.join() !== theirs.join()) return false;
  if (isTold(row, stands)) return true;
  // Of several that say why, any may have been the first. What is held gives way with its reason, or comes after what was decided.
  const mayLack = row.type === '' || facts.some((fact) => !fact.asks && fact.says === 'held');
  return (
    (mayLack || (stands.code === '') === (row.code === '')) &&
    ((stands.code === '' && stands.told === '') || facts.some((fact) => !fact.asks && isTold(fact, stands)))
  );
}

/** Of several decisions, some of which others are told of, the first says which of both words it is. */
const isStateOf = (ours: string, theirs: string, facts: readonly Fact[]): boolean =>
  ours === theirs || [ours, theirs].every((state) => facts.some((fact) => !fact.asks && fact.says === state));

const isTold = (fact: Pick<FlowTableRow, 'code' | 'told'>, stands: Readonly<FlowTableRow>): boolean =>
  fact.code === stands.code && fact.told === stands.told;

const decisionOf = (step: string, atMs: number, says: string): string =>
  `${step} ${atMs} ${says === 'held' || says === 'refused' ? says : 'done'}`;

const decisionsOf = ({ outcome, decidedMs, says, steps = [] }: Readonly<FlowTableRow>): string[] =>
  [
    ...(outcome === '' ? [] : [decisionOf(outcome, decidedMs, says)]),
    ...steps.map(({ step, atMs, state }: StepCell) => decisionOf(step, atMs, state)),
  ].sort();

const lossesOf = ({ losses = [] }: Readonly<FlowTableRow>): string =>
  JSON.stringify(losses.map(({ element, reason, count }: LossCell) => [reason, element, count]).sort());

const isSame = (column: Column, a: Readonly<FlowTableRow>, b: Readonly<FlowTableRow>): boolean =>
  written(a[column]) === written(b[column]);

/** A value, however its fields are ordered. */
const written = (value: unknown): string =>
  JSON.stringify(value ?? null, (_name, part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

/** All of a row as text, the same wherever it was read. */
export const textOf = (row: Readonly<FlowTableRow>): string =>
  (Object.keys(flowsTable.columns) as Column[]).map((column) => written(row[column])).join();
