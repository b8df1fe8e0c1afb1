/** Rows of this service. */
import {
  asideTable,
  forgottenTable,
  freezesTable,
  holdRulesTable,
  mergedTable,
  type RuledWord,
  ruleSpentTable,
  table,
} from '#bus';
import type { Approval } from '#kernel';
import type { EntitlementState } from '#proto/eduk/core/v1/ordering';
import type { Window } from './hold.ts';

/** What most entitlements do not have; absent = none, so that a plain row stays small. */
export interface Details {
  order?: string;
  line?: string;
  /** Results stay readable until; absent = the end. */
  readable?: string;
  /** Of a pool: how many learners may take one. */
  count?: number;
  /** Of a pool: how many have. */
  taken?: number;
  /** The pool this one is taken from. */
  from?: string;
  /** What the sender left open and this service filled in: bit 1 the start, bit 2 the end. */
  filled?: number;
  /** Activation code, sealed by the vault, base64. */
  sealed?: string;
  /** Day of first use. */
  used?: string;
  /** Times of use told so far. */
  uses?: number;
  /** School where its learner went on, of which who gave it was told. */
  movedTo?: string;
  /** Parties that are ready for the holder. */
  ready?: string[];
  /** State to return to after a block. */
  before?: EntitlementState;
  /** Why it was taken back. */
  cause?: 'withdrawn' | 'swapped' | 'left' | 'forgotten';
  /** The hold under which a change of it waits. */
  held?: string;
  /** A change of it waited and was rejected: the next one waits too. */
  spared?: 1;
  /** The entitlement that took its place. */
  swappedTo?: string;
  /** Of a refused grant. */
  code?: string;
  told?: string;
}

/** One entitlement, or the refusal of a grant that nothing stands under (state 0). */
export interface Entitlement {
  school: string;
  id: string;
  /** `l:` and a learner's token, `g:` and a group's token, empty = the whole school, `x` = a learner no longer named. */
  holder: string;
  product: string;
  state: EntitlementState;
  /** First and last day of use. */
  starts: string;
  ends: string;
  /** Who granted it, who publishes the product, on whose platform it is opened. */
  granter: string;
  publisher: string;
  platform: string;
  /** Flow of the grant. */
  flow: string;
  changed: number;
  more: Details;
}

/** One index only: this table is written once for each grant. */
export const entitlements = table<Entitlement>({
  name: 'entitlements_entitlements',
  key: ['school', 'id'],
  columns: {
    school: 'text',
    id: 'text',
    holder: 'text',
    product: 'text',
    state: 'int',
    starts: 'text',
    ends: 'text',
    granter: 'text',
    publisher: 'text',
    platform: 'text',
    flow: 'text',
    changed: 'int',
    more: 'json',
  },
  indexes: { holder: ['school', 'holder'] },
  retention: 'RETENTION_ORDER',
});

/** Which entitlements fulfil an order; a table rather than an index, because plain grants have no order. */
export interface Fulfilment {
  order_id: string;
  school: string;
  id: string;
}

export const fulfilments = table<Fulfilment>({
  name: 'entitlements_fulfilments',
  key: ['order_id', 'school', 'id'],
  columns: { order_id: 'text', school: 'text', id: 'text' },
  retention: 'RETENTION_ORDER',
});

/** What a grant needs of the catalogue. */
export interface ProductCopy {
  product: string;
  publisher: string;
  platform: string;
}

export const products = table<ProductCopy>({
  name: 'entitlements_products',
  key: ['product'],
  columns: { product: 'text', publisher: 'text', platform: 'text' },
  retention: 'RETENTION_PUBLIC',
});

/** Last days of use for which a school has a timer, so that a grant costs a look and not a timer of its own. */
export interface LastDay {
  school: string;
  day: string;
}

export const lastDays = table<LastDay>({
  name: 'entitlements_last_days',
  key: ['school', 'day'],
  columns: { school: 'text', day: 'text' },
  retention: 'RETENTION_ORDER',
});

/**
 * At which schools there are entitlements to a product, by their last day: written once for all that have these in common, so that a grant costs a
 * look; it leaves with them. The row without product and school says since when that is kept.
 */
export interface ProductSchool {
  product: string;
  school: string;
  ends: string;
  /** Of that one row: Unix milliseconds, 0 = there was no entitlement before. Else 0. */
  sinceMs: number;
}

export const productSchools = table<ProductSchool>({
  name: 'entitlements_product_schools',
  key: ['product', 'school', 'ends'],
  columns: { product: 'text', school: 'text', ends: 'text', sinceMs: 'int' },
  retention: 'RETENTION_ORDER',
});

/** So that a grant which waited meanwhile is not given to who was forgotten after all. */
export const forgotten = forgottenTable('entitlements_forgotten', 'RETENTION_ORDER');

/** What a learner held who waits to be forgotten, by id: an `Entitlement` as it was. */
export const aside = asideTable('entitlements_aside', 'RETENTION_ORDER');

/** Copies of freezes: what they guard is not withdrawn or blocked. */
export const freezes = freezesTable('entitlements_freezes');

/** Copies of rules that let withdrawals go which would wait, and what each let go at a school. */
export const holdRules = holdRulesTable('entitlements_hold_rules');
export const ruleSpent = ruleSpentTable('entitlements_rule_spent');

/** What the one token holds, the other does too. */
export const merged = mergedTable('entitlements_merged');

/** What one sender took away at one school within the last day. */
export interface TakenRow extends Window {
  school: string;
  by: string;
}

export const taken = table<TakenRow>({
  name: 'entitlements_taken',
  key: ['school', 'by'],
  columns: { school: 'text', by: 'text', hours: 'json', flow: 'text', ofFlow: 'int', standing: 'int', counted: 'int' },
  retention: 'RETENTION_ORDER',
});

/** What of one product waits. */
export interface HeldOfProduct {
  product: string;
  /** Withdrawals and blocks, and those of one learner each. */
  entitlements: number;
  learners: number;
  /** With what came after them. */
  messages: number;
}

/** Changes of one sender at one school that wait for approval. */
export interface HoldRow {
  school: string;
  holdId: string;
  by: string;
  reason: string;
  /** `waiting`, `approved`, `rejected`, or `ended`: what it was about ended by itself. */
  state: string;
  sinceMs: number;
  flow: string;
  /** Of the last message put under it. */
  lastNth: number;
  products: HeldOfProduct[];
  /** 0; 1: a part was decided; 2: and one of them by class. */
  part: number;
  /** One person approved it, or a part, where two must. Absent = nobody did. */
  approval?: Approval | undefined;
  /** How many stood there of the sender, when it was counted; absent = it was not. */
  standing?: number | undefined;
  /** Of what a rule let go: how many its message names, and the rule. */
  ofMessage?: number | undefined;
  ruled?: RuledWord | undefined;
}

export const holds = table<HoldRow>({
  name: 'entitlements_holds',
  key: ['school', 'holdId'],
  columns: {
    school: 'text',
    holdId: 'text',
    by: 'text',
    reason: 'text',
    state: 'text',
    sinceMs: 'int',
    flow: 'text',
    lastNth: 'int',
    products: 'json',
    part: 'int',
    approval: 'json',
    standing: 'int',
    ofMessage: 'int',
    ruled: 'json',
  },
  indexes: { waiting: ['state', 'school', 'by', 'reason'] },
  retention: 'RETENTION_ORDER',
});

/** A message that waits under a hold, in the order in which it came. */
export interface HeldRow {
  school: string;
  holdId: string;
  nth: number;
  entitlement: string;
  product: string;
  /** 0 or 1: it takes something away, and is not only behind one that does. */
  takes: number;
  ofLearner: number;
  /** Of the record: its type, id in hexadecimal, flow, time and message. */
  type: string;
  record: string;
  flow: string;
  timeMs: number;
  body: Uint8Array;
  /** Holds under which it waited before this one; absent = none. */
  waited?: number | undefined;
}

export const held = table<HeldRow>({
  name: 'entitlements_held',
  key: ['school', 'holdId', 'nth'],
  columns: {
    school: 'text',
    holdId: 'text',
    nth: 'int',
    entitlement: 'text',
    product: 'text',
    takes: 'int',
    ofLearner: 'int',
    type: 'text',
    record: 'text',
    flow: 'text',
    timeMs: 'int',
    body: 'blob',
    waited: 'int',
  },
  indexes: { of: ['school', 'entitlement'] },
  retention: 'RETENTION_ORDER',
});
