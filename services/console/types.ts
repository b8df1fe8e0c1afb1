/** What the pages are told, as JSON. Times are Unix milliseconds, 0 = never; codes are those of the table of faults. */

export type Duty = 'operator' | 'privacy' | 'read';
export type Lang = 'nl' | 'en';

export interface Me {
  /** Undefined = nobody is signed in. */
  session?: {
    duty: Duty;
    /** What every request carries that changes something. */
    token: string;
  };
  /** How somebody signs in here. */
  ways: { link: boolean; provider: boolean };
}

/** A fault, in both languages, and what the gateway said of this one, in English. */
export interface ProblemJson {
  code: string;
  who: string;
  retry: string;
  title: Record<Lang, string>;
  told: string;
  retryAfterS?: number;
}

export interface Named {
  oin: string;
  /** Empty = it is not registered. */
  name: string;
}

export interface Endpoint {
  standard: string;
  /** `up`, `resting` or `gone`. */
  state: string;
  status: number;
  cause: string;
  restUntil: number;
  oldest: number;
  parkedKeys: number;
}

export interface PartyHealth extends Named {
  accepted: number;
  last: number;
  refused: number;
  /** Messages that are parked for it. */
  waiting: number;
  endpoints: Endpoint[];
}

export interface Refused {
  party: Named;
  school: Named;
  method: string;
  code: string;
  title: Record<Lang, string>;
  times: number;
  at: number;
  order: string;
  product: string;
  entitlement: string;
}

export interface Overview {
  at: number;
  version: string;
  devKey: boolean;
  events: number;
  freeDisk: number;
  holds: number;
  /** Keys that no service could handle, and messages that no receiver took. */
  dead: { keys: number; rows: number };
  minutes: { at: number; accepted: number }[];
  coveredFrom: number;
  methods: { method: string; accepted: number; refused: number; last: number }[];
  standards: { standard: string; up: number; resting: number; gone: number; oldest: number }[];
  parties: PartyHealth[];
  services: { name: string; unread: number; oldest: number; parkedKeys: number; gap: boolean }[];
  refusals: Refused[];
  certificates: { party: Named; until: number }[];
  bulk: { party: Named; at: number; learners: number }[];
}

export interface FlowLine {
  id: string;
  method: string;
  party: Named;
  school: Named;
  subject: string;
  state: string;
  code: string;
  at: number;
}

export interface FlowList {
  flows: FlowLine[];
  coveredFrom: number;
  more: boolean;
}

export interface StepView {
  step: string;
  service: string;
  at: number;
  state: string;
  code: string;
  told: string;
  /** Empty = a service of the gateway. */
  receiver: Named;
}

export interface Blocker {
  code: string;
  lastStep: string;
  who: string;
  party: Named;
  title: Record<Lang, string>;
  told: string;
  remedy: string;
  order: string;
  product: string;
  entitlement: string;
  flow: string;
  since: number;
  learners: number;
}

export interface FlowView {
  id: string;
  reference: string;
  method: string;
  party: Named;
  school: Named;
  subject: string;
  state: string;
  ended: boolean;
  steps: StepView[];
  /** Where it stopped, who must act and how; undefined = it did not stop. */
  stopped?: Blocker;
}

export interface Why {
  told: string;
  blockers: Blocker[];
  earlier: Blocker[];
  has: {
    entitlement: string;
    product: string;
    title: string;
    holder: string;
    endsOn: string;
    platform: Named;
    code: string;
  }[];
  partial: boolean;
}

export interface Hold {
  id: string;
  school: Named;
  schoolYear: string;
  site: string;
  administration: string;
  reason: string;
  state: string;
  since: number;
  by: Named;
  flow: string;
  /** What changes: before and after, and how many of each kind. */
  difference?: Record<
    | 'before'
    | 'after'
    | 'joined'
    | 'left'
    | 'moved'
    | 'renamed'
    | 'groupsOpened'
    | 'groupsClosed'
    | 'groupsRenamed'
    | 'staffJoined'
    | 'staffLeft',
    number
  >;
  forgets: number;
}

export interface DeadKey {
  consumer: string;
  stream: string;
  key: string;
  code: string;
  title: Record<Lang, string>;
  since: number;
  events: number;
  flow: string;
}

export interface DeadRows {
  party: Named;
  school: Named;
  service: string;
  code: string;
  title: Record<Lang, string>;
  rows: number;
  since: number;
  standard: string;
  key: string;
  attempts: number;
  status: number;
}

export interface Dead {
  keys: DeadKey[];
  rows: DeadRows[];
  endpoints: (Endpoint & { party: Named })[];
  dropped: { party: Named; school: Named; service: string; code: string; rows: number; from: number; until: number }[];
}

export interface Done {
  flow: string;
  decided: boolean;
  keys: number;
  rows: number;
}
