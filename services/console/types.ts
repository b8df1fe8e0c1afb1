/** What the pages are told, as JSON. Times are Unix milliseconds, 0 = never; codes are those of the table of faults. */

export type Duty = 'operator' | 'privacy' | 'read';
export type Lang = 'nl' | 'en';

export interface Me {
  /** Undefined = nobody is signed in. */
  session?: {
    duty: Duty;
    /** What every request carries that changes something. */
    token: string;
    /** By a link on the gateway's own machine, where one may stand in for a second person. */
    isLocal: boolean;
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
  /** `closed`, `open` or `half_open`. */
  breaker: string;
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

/** What an operator should know, of one kind: who must act, and of whom it is. */
export interface AlertView {
  code: string;
  /** `page` or `warn`. */
  grade: string;
  told: Record<Lang, string>;
  /** `operator`, `party`, `school` or `administration`. */
  who: string;
  /** The page that shows more; empty = the command does. */
  to: string;
  see: string;
  /** The first of them; `all` counts the others too. */
  of: { party: Named; school: Named; subject: string; count: number; since: number }[];
  all: number;
}

/** A time in which nothing of a school or a party is taken away or disturbed. */
export interface FreezeLine {
  id: string;
  /** Absent = all of them. */
  school?: Named;
  party?: Named;
  from: number;
  until: number;
  reason: string;
  holds: boolean;
}

/** A freeze, as its own page shows it. */
export interface FreezeView extends Omit<FreezeLine, 'holds'> {
  /** `holds`, `to_come`, `over` or `ended` (early). */
  state: string;
  /** Who set it. */
  by: Named;
  /** Which person, in eight characters that are nobody's name; empty = the operator's key. */
  person: string;
  set: number;
  /** When it was ended early; 0 = it was not. */
  ended: number;
  /** One person ended it; another one has to. */
  endAsked: boolean;
}

/** What a freeze would come to, and what stands now that it would stop. */
export interface FreezePreview {
  school?: Named;
  party?: Named;
  from: number;
  until: number;
  /** When what waits for it goes on: later than `until` where another freeze holds by then. */
  goesOn: number;
  /** Others that hold or come for the same, in that time. */
  beside: FreezeView[];
  /** Replays that run and would rest, changes of schools that are planned for that time and would begin after it. */
  works: FrozenView[];
}

/** Something that a freeze stops, or would. */
export interface FrozenView {
  /** `replay`, `school_change`, `roster` or `withdrawal`. */
  kind: string;
  id: string;
  school?: Named;
  /** Of a change of schools. */
  to?: Named;
  /** From which day on. */
  day: string;
  /** Who receives a replay; who sent a roster or withdrawals. */
  party?: Named;
  /** Messages, learners or entitlements. */
  count: number;
  /** Since when it waits; 0 = that is not known. */
  since: number;
  /** Another freeze keeps it waiting after this one. */
  waitsOn: boolean;
  /** Some of it may wait on. */
  about: boolean;
}

/** A rule that lets go what would wait for approval. */
export interface HoldRule {
  id: string;
  /** Absent = every school. */
  school?: Named;
  /** `leavers`, `groups`, `renames`, `withdrawals`. */
  kinds: string[];
  /** Of leavers; none = of any. */
  yearGroups: string[];
  from: number;
  until: number;
  /** Of a school, in all while it stands. */
  percent: number;
  /** 0 = any number within that share. */
  count: number;
  reason: string;
  /** `stands`, `to_come`, `asked` (a second person has not approved it), `over` or `ended` (early). */
  state: string;
  by: Named;
  /** Which person, in eight characters that are nobody's name; empty = the operator's key. */
  person: string;
  ended: number;
  /** Holds that it let go and that are still shown. */
  released: number;
  /** How much of it is used, the fullest first: by it, and by others that stood beside it; at most twenty. */
  used: { school: Named; kind: string; of: string; count: number; beside: number; most: number }[];
  /** At how many schools. */
  schools: number;
  endsSoon: boolean;
}

/** A hold beside a rule that is to be set. */
export interface RuledHold {
  id: string;
  school: Named;
  state: string;
  since: number;
  /** Why it is held, and how many of how many. */
  asks: { kind: string; of: string; count: number; base: number }[];
  /** Why the rule does not let it go; empty = it does. */
  why: string;
}

/** What a rule would let go of what waits, and would have let go of what was held in the last 30 days. */
export interface RulePreview {
  waiting: RuledHold[];
  decided: RuledHold[];
}

export interface Overview {
  at: number;
  /** Worst first. */
  alerts: AlertView[];
  /** Freezes that hold, or begin within a week. */
  freezes: FreezeLine[];
  version: string;
  devKey: boolean;
  events: number;
  freeDisk: number;
  /** What places for data hold and grow by in a day, bytes; absent = it is not known, or it does not grow. */
  disks: { place: string; used: number; since: number; at: number; grows?: number; full?: number }[];
  holds: number;
  /** How people get in today: of how many platforms and publishers enough is known to judge, and those that fall short. Absent = it cannot be asked. */
  launches?: {
    until: string;
    judged: number;
    short: { platform: Named; publisher: Named; state: string; percent: number; whose: string }[];
  };
  /** Keys that no service could handle, and messages that no receiver took. */
  dead: { keys: number; rows: number };
  /** Rosters that administrations were asked for and that did not come, and schools whose turn of the school year waits. */
  pulls: number;
  turns: number;
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
  /** Where the next page begins; empty = this is the last. */
  next: string;
  /** What is older was not looked at, and no further page has it. */
  isShort: boolean;
  /** Of a product, `orders` or `entitlements` of which not all were looked through; of an id, `deliveries`. */
  missing: string[];
  /** What went out under the id that was asked for. */
  deliveries: DeliveredLine[];
  /** Of these, so many are not kept any more. */
  gone: number;
}

/** One event, for one receiver. */
export interface DeliveredLine {
  id: string;
  flow: string;
  to: Named;
  kind: string;
  about: string;
  state: string;
  attempts: number;
  status: number;
  at: number;
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
  /** Of a withdrawal: entitlements that it names, and those that wait for approval. */
  changes: number;
  held: number;
  /** So many or more wait. */
  heldAtLeast: boolean;
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
    | 'staffLeft'
    | 'staffRenamed'
    | 'leavingLater',
    number
  >;
  /** Where it changes, without names. */
  groups: {
    group: string;
    yearGroup: string;
    joined: number;
    left: number;
    moved: number;
    renamed: number;
    /** Of withdrawals: which products, of how many learners, and how many licences of no learner. */
    loses: { product: string; learners: ToldCount; licences: number }[];
  }[];
  /** A part was decided: this is the rest. */
  part: boolean;
  /** One person approved it; another one has to. */
  approvedOnce: boolean;
  /** The rule that let it go. */
  rule?: string;
  /** The rule that comes near, and why it does not let it go. */
  near?: { rule: string; why: string };
  /** Of what withdrawals wait; `atLeast`: so many or more, after a part by class. */
  products: { id: string; title: string; entitlements: number; learners: number; atLeast: boolean }[];
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
  /** It is not sent again by itself: an operator stopped that. */
  stopped: boolean;
  /** When a school that was refused as a whole is asked for again; 0 = it is one key, and not by itself. */
  next: number;
  /** Of one key: the flow of its first message that waits; empty = it is more than one. */
  flow: string;
}

export interface Dead {
  keys: DeadKey[];
  rows: DeadRows[];
  endpoints: (Endpoint & { party: Named })[];
  dropped: { party: Named; school: Named; service: string; code: string; rows: number; from: number; until: number }[];
}

/** How a party and a school stood when they were last compared. */
export interface ReconciledLine {
  party: Named;
  school: Named;
  /** `under_way`, `unanswered`, `not_asked`, `not_said`, `equal` or `differs`. */
  state: string;
  code: string;
  title: Record<Lang, string>;
  /** `stated` or `asked`; empty = never. */
  source: string;
  at: number;
  same: number;
  missing: number;
  surplus: number;
  differs: number;
  canBeAsked: boolean;
  due: number;
}

export interface ReconciledView {
  lines: ReconciledLine[];
  /** Of all that fit. */
  all: number;
  /** Of one party and one school: what is not the same on both sides. */
  differences: { key: string; what: string; ours: string; theirs: string; since: number }[];
  more: boolean;
}

/** Mail of a party that was counted, or is sent again. */
export interface ReplayView {
  id: string;
  state: string;
  cause: string;
  party: Named;
  school: Named;
  service: string;
  about: string;
  key: string;
  flow: string;
  events: string[];
  from: number;
  until: number;
  again: boolean;
  outOfOrder: boolean;
  keptFrom: number;
  looked: number;
  toLook: number;
  /** Messages, as counted. */
  selected: number;
  fresh: number;
  had: number;
  late: number;
  pending: number;
  forbidden: { reason: string; messages: number }[];
  toSend: number;
  rate: number;
  mostErrors: number;
  errors: number;
  /** What became of them. */
  sent: number;
  untold: number;
  refused: number;
  withheld: number;
  gone: number;
  leftOut: number;
  underWay: number;
  setBack: number;
  /** At keys that are parked. */
  parked: number;
  made: number;
  began: number;
  ended: number;
}

export interface Done {
  flow: string;
  decided: boolean;
  keys: number;
  rows: number;
  /** A second person has to do it too. */
  waits?: boolean;
  /** The same stood already. */
  stood?: boolean;
  /** To a page, with its secret; told once. */
  link?: string;
}

/** The page of a link. */
export interface SharedPage {
  /** `/flow` … */
  page: string;
  query: { name: string; value: string }[];
  ends: number;
}

/** A link that is not over. */
export interface LinkView extends SharedPage {
  id: string;
  made: number;
  /** When it was last opened. */
  opened: number;
}

/** Who was given data of a school's people, by day. */
export interface AccessList {
  /** Empty = none was asked for. */
  school: Named;
  rows: {
    day: string;
    party: Named;
    purpose: string;
    attributes: string[];
    /** Answers and deliveries; and persons in them, each time counted. */
    times: number;
    people: number;
    /** The newest leaf of the log of what was done that says so. */
    leaf: number;
  }[];
}

/** What was done that fits a question, newest first. */
export interface AuditList {
  rows: {
    leaf: number;
    at: number;
    kind: string;
    party: Named;
    /** Who acted for it; no number = nobody else. */
    actedBy: Named;
    schools: Named[];
    methods: string[];
    code: string;
    title: Record<Lang, string>;
    purpose: string;
    attributes: string[];
    times: number;
    people: number;
    flow: string;
    /** A signed head holds it. */
    signed: boolean;
  }[];
  /** Leaves that were looked at, and when the first and last of them were done; absent = there were none to look at. */
  covered?: { first: number; last: number; from: number; to: number };
  /** Where to go on; absent = all that was asked for was looked at. */
  before?: number;
  /** When the oldest leaf was done that is kept; 0 = none is. */
  keptFrom: number;
  /** The newest signed head; absent = nothing was signed yet. Bytes in hexadecimal. */
  head?: { size: number; root: string; key: string; at: number };
}

export interface SettingView {
  name: string;
  about: { nl: string; en: string };
  /** Empty = it is not set and has no default. Of what may hold a secret only that it is set: `…`. */
  value: string;
  isDefault: boolean;
}

export interface PartyLine extends Named {
  roles: string[];
  /** When it was stopped; 0 = it goes on. */
  stopped: number;
}

export interface PartyList {
  parties: PartyLine[];
  /** Of all that fit. */
  all: number;
}

/** Times in milliseconds; absent = nothing was measured. */
export interface Score {
  accepted: number;
  refused: number;
  refusedAtDoor: number;
  schemaViolations: number;
  refusals: { code: string; title: Record<Lang, string>; times: number }[];
  requests: number;
  again: number;
  failed: number;
  failures: { code: string; times: number }[];
  delivered: number;
  answerP50?: number;
  answerP99?: number;
  deliveryP50?: number;
  deliveryP99?: number;
}

export interface EndingView {
  /** `certificate`, `secret`, `key`, `mandate`, `run_off` or `version`. */
  what: string;
  subject: string;
  day: string;
  count: number;
  schools: Named[];
}

export interface MandateView {
  id: string;
  school: Named;
  party: Named;
  services: string[];
  state: string;
  from: string;
  until: string;
  runOff: string;
  agreement: string;
}

export interface PartyView extends Named {
  roles: string[];
  board: Named;
  attributes: string[];
  stopped: number;
  from: string;
  until: string;
  score: Score;
  days: { day: string; score: Score }[];
  /** By standard, with how it is now; `host` is all that is shown of its address. */
  endpoints: (Endpoint & { host: string; score?: Score })[];
  endings: EndingView[];
  lastAccepted: number;
  lastDelivered: number;
  /** Messages that are parked for it. */
  waiting: number;
  /** The last day of the certificate that it showed, Unix milliseconds; 0 = it showed none here. */
  certificate: number;
  mandates: MandateView[];
  mandatesAll: number;
}

/** A count as the operator may know it. */
export interface ToldCount {
  count: number;
  kind: 'told' | 'under_ten' | 'hidden' | 'at_least';
}

export interface LaunchView {
  platform: Named;
  publisher: Named;
  /** `low`, `none`, `usual`, `few`. */
  state: string;
  percent: number;
  usual: number;
  usualKnown: boolean;
  /** `them`, `us`. */
  whose: string;
  code: string;
  title: Record<Lang, string>;
  party: Named;
  who: string;
  because: string;
  told: string;
  remedy: string;
  quarters: {
    at: string;
    asked: ToldCount;
    opened: ToldCount;
    unopened: ToldCount;
    refused: ToldCount;
    usual: number;
  }[];
}

export interface LaunchesView {
  day: string;
  /** HH:MM. */
  until: string;
  beside: string[];
  rows: LaunchView[];
}

export interface CauseView {
  code: string;
  title: Record<Lang, string>;
  state: string;
  count: ToldCount;
  who: string;
  party: Named;
  remedy: string;
}

export interface ReadinessView {
  year: string;
  daysLeft: number;
  rows: {
    school: Named;
    product: string;
    title: string;
    /** Key of the class, where it is told by class; empty = of no class that is known. */
    group: string;
    /** Wanted, confirmed, granted, provisioned, opened. */
    steps: ToldCount[];
    causes: CauseView[];
  }[];
  chase: CauseView[];
  days: { day: string; wanted: number; confirmed: number; granted: number; provisioned: number; opened: number }[];
  cursor: string;
}

export interface PreflightView {
  day: string;
  lookedAt: number;
  lines: {
    school: Named;
    order: string;
    line: string;
    product: string;
    title: string;
    code: string;
    fault: Record<Lang, string>;
    party: Named;
  }[];
  messages: { party: Named; subject: string; body: string }[];
  cursor: string;
}
