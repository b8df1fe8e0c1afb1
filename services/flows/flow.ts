/** A flow as its events make it: pure. */
import type { EventName } from '#proto/events';
import type { FlowTableRow, LossCell, StepCell } from './tables.ts';

/** Steps a row keeps; the last place goes to the newest. */
export const MOST_STEPS = 20;

export interface AskedFact {
  type: EventName;
  method: string;
  party: string;
  subject: string;
  school: string;
  key: string;
  atMs: number;
  losses?: readonly LossCell[];
}

export interface AnswerFact {
  type: EventName;
  to: readonly EventName[];
  says: 'decided' | 'done' | 'held' | 'refused';
  partial: boolean;
  code: string;
  told: string;
  school: string;
  key: string;
  atMs: number;
}

export const begun = (flowId: string, atMs: number): FlowTableRow => ({
  flowId,
  type: '',
  method: '',
  party: '',
  school: '',
  key: '',
  subject: '',
  asked: 0,
  answered: 0,
  refused: 0,
  outcome: '',
  says: '',
  code: '',
  told: '',
  acceptedMs: atMs,
  decidedMs: 0,
});

/**
 * The first event of a message names the flow; further ones of the same message count. What came before it, over another
 * lane, and is no answer to it (`answers`), was a step that followed.
 */
export function withAsked(flow: FlowTableRow, fact: AskedFact, answers: (outcome: string) => boolean): FlowTableRow {
  if (flow.asked > 0) return { ...withLosses(flow, fact.losses), asked: flow.asked + 1 };
  const { type, method, party, subject, school, key, atMs } = fact;
  const named = {
    ...withLosses(flow, fact.losses),
    type,
    method,
    party,
    subject,
    school,
    key,
    acceptedMs: atMs,
    asked: 1,
  };
  if (flow.outcome === '') return named;
  const { outcome, says, code, told, decidedMs } = flow;
  const early: StepCell[] = [
    stepOf({ type: outcome as EventName, says: says as AnswerFact['says'], code, told, atMs: decidedMs }),
    ...(flow.steps ?? []),
  ];
  const real = early.filter(({ step }) => answers(step));
  const first = real[0];
  // A refusal among several decisions names the code.
  const why = first?.code ? first : (real.find(({ state }) => state === 'refused') ?? first);
  const steps = early.filter((step) => step !== first).map(({ more, ...step }) => step);
  return {
    ...named,
    outcome: first?.step ?? '',
    says:
      first === early[0]
        ? says
        : first === undefined
          ? ''
          : first.state !== 'done'
            ? first.state
            : first.more
              ? 'decided'
              : 'done',
    code: why?.code ?? '',
    told: why?.told ?? '',
    decidedMs: first?.atMs ?? 0,
    answered: real.filter((step) => step.state !== 'held').length,
    refused: real.filter((step) => step.state === 'refused').length,
    steps: steps.length === 0 ? undefined : steps,
  };
}

/** Losses of all messages of a flow, added up; a row without any stays as it is. */
function withLosses(flow: FlowTableRow, more: readonly LossCell[] = []): FlowTableRow {
  if (more.length === 0) return flow;
  const sums = new Map<string, LossCell>();
  for (const { element, reason, count } of [...(flow.losses ?? []), ...more]) {
    const key = `${reason} ${element}`;
    sums.set(key, { element, reason, count: count + (sums.get(key)?.count ?? 0) });
  }
  return { ...flow, losses: [...sums.values()] };
}

/**
 * A decision. The first one stays, except that what only said "held" or "part taken" gives way, that what is held shows as long as it
 * is, and that a refusal among several decisions names the code. What answers another kind of message is a step that followed.
 */
export function withAnswer(flow: FlowTableRow, fact: AnswerFact): FlowTableRow {
  const { type, says, code, told, atMs } = fact;
  if (flow.type !== '' && !fact.to.includes(flow.type as EventName)) return withStep(flow, stepOf(fact));
  const first = flow.outcome === '';
  const isHeld = says === 'held';
  const givesWay = isHeld || flow.says === 'held' || (flow.outcome === 'RosterPartTaken' && !fact.partial);
  // A part of a held roster counts and the rest waits on: then what was answered is not all.
  const isOfRest = isHeld && flow.outcome === 'RosterApplied';
  const next: FlowTableRow = {
    ...flow,
    school: flow.school || fact.school,
    key: flow.key || fact.key,
    answered: flow.answered + (isOfRest ? -1 : isHeld ? 0 : 1),
    refused: flow.refused + (says === 'refused' ? 1 : 0),
  };
  // Over another lane it may come after what was decided about it.
  if (isHeld && !isOfRest && flow.asked > 0 && flow.answered >= flow.asked) return withStep(flow, stepOf(fact));
  if (first) return { ...next, outcome: type, says, code, told, decidedMs: atMs };
  if (givesWay)
    return {
      ...withStep(next, {
        step: flow.outcome,
        atMs: flow.decidedMs,
        code: flow.code,
        told: flow.told,
        state: flow.says === 'held' || flow.says === 'refused' ? flow.says : 'done',
      }),
      outcome: type,
      says,
      code,
      told,
      decidedMs: atMs,
    };
  // Before the question is known it may be of something else that followed.
  const named = says === 'refused' && flow.code === '' && flow.type !== '' ? { ...next, code, told } : next;
  return withStep(named, stepOf(fact));
}

const stepOf = ({
  type,
  says,
  code,
  told,
  atMs,
}: Pick<AnswerFact, 'type' | 'says' | 'code' | 'told' | 'atMs'>): StepCell => ({
  step: type,
  atMs,
  ...(code === '' && told === '' ? {} : { code, told }),
  state: says === 'refused' || says === 'held' ? says : 'done',
  ...(says === 'decided' ? { more: 1 } : {}),
});

function withStep(flow: FlowTableRow, step: StepCell): FlowTableRow {
  const steps = flow.steps ?? [];
  const { code, told, more, ...kept } = step;
  // What answered is told apart from what followed once the question is known.
  const bare = more !== undefined && flow.type === '' ? { ...kept, more } : kept;
  const cell: StepCell = code || told ? { ...bare, code: code ?? '', told: told ?? '' } : bare;
  return { ...flow, steps: [...steps.slice(0, MOST_STEPS - 1), cell] };
}

/** `accepted` until everything asked is decided, then what the decision says. */
export function stateOf(flow: FlowTableRow): 'accepted' | 'decided' | 'done' | 'held' | 'refused' {
  if (flow.outcome === '') return 'accepted';
  if (flow.says === 'held') return 'held';
  // Of several that were held some were decided.
  if (flow.answered < flow.asked) return flow.steps?.some(({ state }) => state === 'held') ? 'held' : 'accepted';
  if (flow.refused > 0) return flow.refused >= flow.answered ? 'refused' : 'decided';
  return flow.says === 'done' ? 'done' : 'decided';
}

/** What was asked about one learner, or a part of it, was refused. */
export const isRefusedOfLearner = (flow: FlowTableRow): boolean =>
  flow.asked > 0 && flow.refused > 0 && flow.key.startsWith('lt_');

/** How many changes of entitlements a message names, and how many of them wait while it is held: a part may. */
export function heldOf(flow: FlowTableRow): { changes: number; held: number } {
  if (flow.type !== 'WithdrawSubmitted') return { changes: 0, held: 0 };
  return { changes: flow.asked, held: stateOf(flow) === 'held' ? Math.max(0, flow.asked - flow.answered) : 0 };
}

/** Whether a caller that waits for the first decision has it: parts that were taken are not yet one. */
export const isDecided = (flow: FlowTableRow): boolean =>
  flow.outcome !== '' && (flow.outcome !== 'RosterPartTaken' || flow.answered >= flow.asked);
