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

/** How many rows `refusals` has. */
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

export const tables = [flowsTable, refusals, counts];
