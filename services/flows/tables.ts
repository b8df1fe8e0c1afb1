/** Where every message is. A flow is one small row, found by its id; the bus knows which reference stands for which flow. */
import { table } from '#bus';

/** One step after the first decision, or before one that replaced it. */
export interface StepCell {
  step: string;
  atMs: number;
  code?: string;
  told?: string;
  state: 'done' | 'held' | 'refused';
  /** 1: it said that more is to come; kept only until the question is known. */
  more?: number;
}

/** What of a message had no place here. */
export interface LossCell {
  element: string;
  reason: string;
  count: number;
}

export interface FlowTableRow {
  flowId: string;
  /** Name of the event it began with; empty = not seen yet. */
  type: string;
  method: string;
  party: string;
  school: string;
  key: string;
  subject: string;
  /** Events that asked for a decision, and decisions that came. */
  asked: number;
  answered: number;
  refused: number;
  /** Name of the deciding event; empty = undecided. */
  outcome: string;
  /** `done`, `decided`, `held` or `refused`, as the outcome says; empty = undecided. */
  says: string;
  code: string;
  told: string;
  acceptedMs: number;
  decidedMs: number;
  /** Steps that the columns above do not say; most flows have none. */
  steps?: StepCell[] | undefined;
  /** Most messages lose nothing. */
  losses?: LossCell[] | undefined;
}

export const flowsTable = table<FlowTableRow>({
  name: 'flows_flows',
  key: ['flowId'],
  columns: {
    flowId: 'text',
    type: 'text',
    method: 'text',
    party: 'text',
    school: 'text',
    key: 'text',
    subject: 'text',
    asked: 'int',
    answered: 'int',
    refused: 'int',
    outcome: 'text',
    says: 'text',
    code: 'text',
    told: 'text',
    acceptedMs: 'int',
    decidedMs: 'int',
    steps: 'json',
    losses: 'json',
  },
  indexes: { by_subject: ['subject'], by_school: ['school'], by_party: ['party'] },
  retention: 'RETENTION_FLOW',
});

/** Refusals at a door of one kind, counted. */
export interface RefusalRow {
  school: string;
  party: string;
  method: string;
  code: string;
  orderId: string;
  productId: string;
  entitlementId: string;
  times: number;
  lastMs: number;
}

export const refusals = table<RefusalRow>({
  name: 'flows_refusals',
  key: ['school', 'party', 'method', 'code', 'orderId', 'productId', 'entitlementId'],
  columns: {
    school: 'text',
    party: 'text',
    method: 'text',
    code: 'text',
    orderId: 'text',
    productId: 'text',
    entitlementId: 'text',
    times: 'int',
    lastMs: 'int',
  },
  indexes: {
    by_last: ['lastMs'],
    by_school: ['school', 'lastMs'],
    by_order: ['orderId', 'lastMs'],
    by_product: ['productId', 'lastMs'],
  },
  retention: 'RETENTION_ACCESS',
});

/** What one party read of one roster on one day, by one method in one form. */
export interface ReadRow {
  flowId: string;
  party: string;
  method: string;
  school: string;
  subject: string;
  form: string;
  answered: number;
  unchanged: number;
  nothing: number;
  firstMs: number;
  lastMs: number;
  /** Of the newest answer that had a roster; 0 = none had. What follows is of that one. */
  gotMs: number;
  learners: number;
  groups: number;
  staff: number;
  losses?: LossCell[] | undefined;
}

export const reads = table<ReadRow>({
  name: 'flows_reads',
  key: ['flowId'],
  columns: {
    flowId: 'text',
    party: 'text',
    method: 'text',
    school: 'text',
    subject: 'text',
    form: 'text',
    answered: 'int',
    unchanged: 'int',
    nothing: 'int',
    firstMs: 'int',
    lastMs: 'int',
    gotMs: 'int',
    learners: 'int',
    groups: 'int',
    staff: 'int',
    losses: 'json',
  },
  indexes: {
    by_last: ['lastMs'],
    by_school: ['school', 'lastMs'],
    by_party: ['party', 'lastMs'],
  },
  retention: 'RETENTION_FLOW',
});

/**
 * What of one learner was refused: its owner has no row of it, and most messages are not refused, so that this is cheaper than an index of
 * all. It goes with its flow.
 */
export interface RefusedRow {
  learner: string;
  flowId: string;
}

export const refusedTable = table<RefusedRow>({
  name: 'flows_refused',
  key: ['learner', 'flowId'],
  columns: { learner: 'text', flowId: 'text' },
  retention: 'RETENTION_FLOW',
});

/** How many rows `refusals` and `reads` have. */
export interface CountRow {
  name: string;
  count: number;
}

export const counts = table<CountRow>({
  name: 'flows_counts',
  key: ['name'],
  columns: { name: 'text', count: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** What one party sent on one day or in one month, as one lane of the log says it: lanes are counted apart, so that none waits for another. */
export interface ScoreRow {
  party: string;
  /** `stream/partition`, or `door` for what never came in. */
  lane: string;
  /** Dutch day on which it was accepted, `YYYY-MM-DD`; of what is older than two months the month, `YYYY-MM`. */
  day: string;
  accepted: number;
  /** Of those, refused when they were decided, by fault; of `door`, refused there. What another lane counted may be taken off here. */
  refused: Record<string, number>;
  /** When the newest of them was accepted; 0 = `door`. */
  lastMs: number;
}

export const scores = table<ScoreRow>({
  name: 'flows_scores',
  key: ['party', 'lane', 'day'],
  columns: { party: 'text', lane: 'text', day: 'text', accepted: 'int', refused: 'json', lastMs: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/**
 * What was accepted of one sender in one minute, by method; those of the last hour. The row of minute 0 says since when they are counted: 0 = from the
 * first message on.
 */
export interface MinuteRow {
  /** Unix milliseconds at which it begins. */
  minute: number;
  party: string;
  method: string;
  accepted: number;
  lastMs: number;
}

export const minutes = table<MinuteRow>({
  name: 'flows_minutes',
  key: ['minute', 'party', 'method'],
  columns: { minute: 'int', party: 'text', method: 'text', accepted: 'int', lastMs: 'int' },
  retention: 'RETENTION_PUBLIC',
});

export const tables = [flowsTable, refusedTable, refusals, reads, counts, scores, minutes];
