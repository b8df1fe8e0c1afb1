/** Mailboxes. Everything hot is found by its key alone: no row has a second index. */
import { type FreezeRow, freezesTable, type Table, table } from '#bus';
import type { Spread } from '#kernel';
import type { MandateState, Role, Service } from '#proto/eduk/core/v1/party';

/** `party` of the mailbox that all parties read. */
export const EVERYONE = '*';

/** An event, stored once for all its receivers. By flow, so that what became of a flow is one range. */
export interface BodyRow {
  flowId: string;
  /** 36 characters. */
  eventId: string;
  type: string;
  school: string;
  key: string;
  /** When it happened, Unix milliseconds. */
  timeMs: number;
  /** `party/service/number` at first arrival, one word for each receiver. */
  receivers: string;
  data: Uint8Array;
}

export const bodies = table<BodyRow>({
  name: 'delivery_bodies',
  key: ['flowId', 'eventId'],
  columns: {
    flowId: 'text',
    eventId: 'text',
    type: 'text',
    school: 'text',
    key: 'text',
    timeMs: 'int',
    receivers: 'text',
    data: 'blob',
  },
  retention: 'RETENTION_DELIVERY',
});

/** A mailbox: (party, service). */
export interface HeadRow {
  party: string;
  service: number;
  /** Last number given out. */
  number: number;
  /** Lowest number that retention has left. */
  first: number;
  /** Keys of which rows are parked. */
  parkedKeys: number;
  /** Counts releases, to know which keys were parked after one began. */
  round: number;
}

export const heads = table<HeadRow>({
  name: 'delivery_heads',
  key: ['party', 'service'],
  columns: { party: 'text', service: 'int', number: 'int', first: 'int', parkedKeys: 'int', round: 'int' },
  retention: 'RETENTION_DELIVERY',
});

/** Mail that may be read. */
export interface MailRow {
  party: string;
  service: number;
  number: number;
  /** Number at first arrival: rises within a key, and stays when the row comes again under a new number. */
  first: number;
  flowId: string;
  eventId: string;
  /** When it took its number, Unix milliseconds. */
  atMs: number;
}

export const mail = table<MailRow>({
  name: 'delivery_mail',
  key: ['party', 'service', 'number'],
  columns: {
    party: 'text',
    service: 'int',
    number: 'int',
    first: 'int',
    flowId: 'text',
    eventId: 'text',
    atMs: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** A key of a mailbox of which nothing is read, from the row on that first arrived as number `fromFirst`. */
export interface ParkedKeyRow {
  party: string;
  service: number;
  school: string;
  key: string;
  fromFirst: number;
  code: string;
  sinceMs: number;
  /** Of the mailbox, when this was made. */
  round: number;
  /** Rows that are out of the mailbox; others of the key follow when a reader comes by them. */
  rows: number;
}

export const parkedKeys = table<ParkedKeyRow>({
  name: 'delivery_parked_keys',
  key: ['party', 'service', 'school', 'key'],
  columns: {
    party: 'text',
    service: 'int',
    school: 'text',
    key: 'text',
    fromFirst: 'int',
    code: 'text',
    sinceMs: 'int',
    round: 'int',
    rows: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** Mail that may not be sent now, in the order of its arrival. */
export interface ParkedMailRow {
  party: string;
  service: number;
  school: string;
  key: string;
  first: number;
  flowId: string;
  eventId: string;
  /** When it arrived, Unix milliseconds. */
  atMs: number;
}

export const parkedMail = table<ParkedMailRow>({
  name: 'delivery_parked_mail',
  key: ['party', 'service', 'school', 'key', 'first'],
  columns: {
    party: 'text',
    service: 'int',
    school: 'text',
    key: 'text',
    first: 'int',
    flowId: 'text',
    eventId: 'text',
    atMs: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** Mail that was parked for thirty days and is gone: how much, by whose and why. */
export interface DroppedRow {
  party: string;
  service: number;
  school: string;
  /** Why it was parked. */
  code: string;
  rows: number;
  /** First and last, Unix milliseconds. */
  fromMs: number;
  untilMs: number;
}

export const dropped = table<DroppedRow>({
  name: 'delivery_dropped',
  key: ['party', 'service', 'school', 'code'],
  columns: {
    party: 'text',
    service: 'int',
    school: 'text',
    code: 'text',
    rows: 'int',
    fromMs: 'int',
    untilMs: 'int',
  },
  retention: 'RETENTION_AUDIT',
});

/** Learners of whom nothing older is delivered. */
export interface ForgottenRow {
  learner: string;
  atMs: number;
}

export const forgotten = table<ForgottenRow>({
  name: 'delivery_forgotten',
  key: ['learner'],
  columns: { learner: 'text', atMs: 'int' },
  indexes: { by_time: ['atMs'] },
  retention: 'RETENTION_DELIVERY',
});

/** Copy of what fan-out needs of a party. */
export interface PartyCopyRow {
  oin: string;
  roles: Role[];
  boardOin: string;
}

export const partyCopies = table<PartyCopyRow>({
  name: 'delivery_parties',
  key: ['oin'],
  columns: { oin: 'text', roles: 'json', boardOin: 'text' },
  indexes: { by_board: ['boardOin'] },
  retention: 'RETENTION_PUBLIC',
});

/** A party that is stopped everywhere: whatever its mandates say, it may have nothing. */
export interface StoppedRow {
  party: string;
  /** Unix milliseconds. */
  sinceMs: number;
}

export const stoppedParties = table<StoppedRow>({
  name: 'delivery_stopped',
  key: ['party'],
  columns: { party: 'text', sinceMs: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** A school that is closed because it is forgotten. */
export interface ClosedRow {
  school: string;
  /** Unix milliseconds; 0 = as long as it waits for its hour. */
  untilMs: number;
}

export const closedSchools = table<ClosedRow>({
  name: 'delivery_closed',
  key: ['school'],
  columns: { school: 'text', untilMs: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** Copy of a mandate. */
export interface MandateCopyRow {
  school: string;
  party: string;
  mandateId: string;
  services: Service[];
  state: MandateState;
  validFrom: string;
  validUntil: string;
  runOffUntil: string;
}

export const mandateCopies = table<MandateCopyRow>({
  name: 'delivery_mandates',
  key: ['school', 'party', 'mandateId'],
  columns: {
    school: 'text',
    party: 'text',
    mandateId: 'text',
    services: 'json',
    state: 'int',
    validFrom: 'text',
    validUntil: 'text',
    runOffUntil: 'text',
  },
  retention: 'RETENTION_AUDIT',
});

/** Parties with a mandate of a school or board for a service that has not ended: what fan-out reads. */
export interface HoldersRow {
  school: string;
  service: number;
  parties: string[];
}

export const holders = table<HoldersRow>({
  name: 'delivery_holders',
  key: ['school', 'service'],
  columns: { school: 'text', service: 'int', parties: 'json' },
  retention: 'RETENTION_AUDIT',
});

/** `dueMs` of what nothing has to be done about by itself. */
export const NEVER = Number.MAX_SAFE_INTEGER;

/** Where a party has its mail sent to, and how it answers there. */
export interface EndpointRow {
  party: string;
  standard: string;
  url: string;
  /** It said that it is gone: 0 or 1. */
  gone: number;
  /** Failures that may have been a message's fault, one after the other. */
  doubts: number;
  /** Rests one after the other; 0 = it is well. */
  rests: number;
  restUntilMs: number;
  /** When the last counted failure was, and the last success; 0 = never. */
  failedMs: number;
  succeededMs: number;
  /** HTTP status of that failure (0 = no answer), and why there was none. */
  status: number;
  cause: string;
  /** What is left of the budget for repeats, and of when that is. */
  tokens: number;
  tokensMs: number;
  /** Keys set aside for want of a place: about how many. */
  ahead: number;
  /** Not 0 = nothing more fits: news of mail does not matter before an attempt ends. FILLED = it has all it may have. */
  full: number;
  /** When there is something to do; NEVER = nothing. */
  dueMs: number;
  /** What its party says: requests under way at once, and a second. Absent or 0 = nothing. */
  mostAtOnce: number;
  perSecond: number;
  /** Requests that may be under way at once, found out by what it answers; absent = it was never asked. */
  width: number;
  /** How wide it was when the last were too many; absent or 0 = none were. Requests taken at full width since. */
  narrowed: number;
  steady: number;
  /** Until when its pace is used up, Unix milliseconds. */
  paceMs: number;
  /** The replay of its party that is not over; empty or absent = there is none. */
  replay?: string | undefined;
  /** 1 = its party said that nothing of this mailbox is sent; absent or 0 = it has an address, or was taken away. */
  none?: number | undefined;
}

export const endpoints = table<EndpointRow>({
  name: 'delivery_endpoints',
  key: ['party', 'standard'],
  columns: {
    party: 'text',
    standard: 'text',
    url: 'text',
    gone: 'int',
    doubts: 'int',
    rests: 'int',
    restUntilMs: 'int',
    failedMs: 'int',
    succeededMs: 'int',
    status: 'int',
    cause: 'text',
    tokens: 'real',
    tokensMs: 'int',
    ahead: 'int',
    full: 'int',
    dueMs: 'int',
    mostAtOnce: 'int',
    perSecond: 'int',
    width: 'real',
    narrowed: 'int',
    steady: 'int',
    paceMs: 'real',
    replay: 'text',
    none: 'int',
  },
  indexes: { by_due: ['dueMs'] },
  retention: 'RETENTION_PUBLIC',
});

/** How far an endpoint has taken its mail over: each row up to there is delivered, under way, or set aside. */
export interface PushCursorRow {
  party: string;
  standard: string;
  service: number;
  after: number;
  /** What first arrived under a number up to this one is not sent by itself; absent or 0 = nothing. */
  begin?: number | undefined;
}

export const pushCursors = table<PushCursorRow>({
  name: 'delivery_push_cursors',
  key: ['party', 'standard', 'service'],
  columns: { party: 'text', standard: 'text', service: 'int', after: 'int', begin: 'int' },
  retention: 'RETENTION_DELIVERY',
});

/** A mailbox that changes its endpoint, or begins at another place. Nothing of it is begun as long as this stands. */
export interface PushMoveRow {
  party: string;
  service: number;
  /** Standards that may still have something of what was taken over. */
  sources: string[];
  /** How far its mail was taken over; -1 = not at all. */
  after: number;
  /** As `begin` of its cursor, and that of this time: what waits of before goes. */
  begin: number;
  leaves: number;
  /** Behind which key of the standard that stays; none = at its beginning. */
  at: string[];
}

export const pushMoves = table<PushMoveRow>({
  name: 'delivery_push_moves',
  key: ['party', 'service'],
  columns: {
    party: 'text',
    service: 'int',
    sources: 'json',
    after: 'int',
    begin: 'int',
    leaves: 'int',
    at: 'json',
  },
  retention: 'RETENTION_DELIVERY',
});

/** A row of mail in an attempt. */
export interface Member {
  key: string;
  first: number;
  number: number;
  flowId: string;
  eventId: string;
  /** When it took its number, Unix milliseconds; of a replay, when that set it aside. */
  atMs: number;
  /** The replay that sends it again; absent = it is live mail. */
  job?: string | undefined;
  /** How often it left before, or may have, where nothing else counts that any more: not its attempt, and of a key not `failures`. Absent = 0. */
  before?: number | undefined;
}

/** Rows that are sent in one request. As long as it stands, its keys are nobody else's. */
export interface AttemptRow {
  party: string;
  standard: string;
  attemptId: string;
  service: number;
  school: string;
  owner: string;
  /** 1 = under way, until `leaseMs` at the latest; 0 = it waits to be sent again, from `leaseMs` on. */
  started: number;
  leaseMs: number;
  startedMs: number;
  /** How often it was started. */
  number: number;
  /** Of these, how often nothing of it left: not allowed yet by an older copy of the mandates, or not prepared. Absent = 0. */
  unsent: number;
  /** Attempts of its key that failed before, since when; 0 = the first. */
  failures: number;
  sinceMs: number;
  members: Member[];
  /** Keys of it that are not sent again, whatever becomes of this time: an operator said so. Absent = none. */
  stopped?: string[] | undefined;
  /** Of these, those that its party had stopped. Absent = none. */
  held?: string[] | undefined;
}

export const attempts = table<AttemptRow>({
  name: 'delivery_attempts',
  key: ['party', 'standard', 'attemptId'],
  columns: {
    party: 'text',
    standard: 'text',
    attemptId: 'text',
    service: 'int',
    school: 'text',
    owner: 'text',
    started: 'int',
    leaseMs: 'int',
    startedMs: 'int',
    number: 'int',
    unsent: 'int',
    failures: 'int',
    sinceMs: 'int',
    members: 'json',
    stopped: 'json',
    held: 'json',
  },
  retention: 'RETENTION_DELIVERY',
});

/**
 * What went out together under an id of its own: of one event alone the id is its own, and there is no row. One row a request, and few bytes: who
 * calls about a delivery has nothing else.
 */
export interface SetRow {
  party: string;
  setId: string;
  service: number;
  /** Numbers at first arrival of its rows, as `packed` writes them. */
  firsts: string;
}

export const sets = table<SetRow>({
  name: 'delivery_sets',
  key: ['party', 'setId'],
  columns: { party: 'text', setId: 'text', service: 'int', firsts: 'text' },
  retention: 'RETENTION_DELIVERY',
});

/** Under which number mail lies that was parked and came back: by its first one it is not found any more. */
export interface MovedRow {
  party: string;
  service: number;
  first: number;
  number: number;
}

export const moved = table<MovedRow>({
  name: 'delivery_moved',
  key: ['party', 'service', 'first'],
  columns: { party: 'text', service: 'int', first: 'int', number: 'int' },
  retention: 'RETENTION_DELIVERY',
});

/** `parked` of a key whose repeats an operator stopped, or its party: that lets go only what it held itself. */
export const STOPPED = 2;
export const HELD = 3;

/** A key of which mail was set aside: behind an attempt, for another one, or parked. */
export interface PushKeyRow {
  party: string;
  standard: string;
  service: number;
  school: string;
  key: string;
  /** Rows set aside. */
  rows: number;
  /** Not 0 = nothing of it is sent before somebody says so. STOPPED = it is an operator who had it stopped; HELD = its party. */
  parked: number;
  /** Attempts that failed, since when; 0 = none. */
  failures: number;
  sinceMs: number;
  status: number;
  code: string;
  /** Why, in a word of the standard; absent = it has none. */
  cause: string;
  /** When to try; NEVER = parked, or behind an attempt. */
  dueMs: number;
  /**
   * Of what is set aside, rows up to this one by their first number left before and were not taken, whatever the row says otherwise: sending
   * them is a repeat. Absent or 0 = none did.
   */
  tried?: number | undefined;
}

export const pushKeys = table<PushKeyRow>({
  name: 'delivery_push_keys',
  key: ['party', 'standard', 'service', 'school', 'key'],
  columns: {
    party: 'text',
    standard: 'text',
    service: 'int',
    school: 'text',
    key: 'text',
    rows: 'int',
    parked: 'int',
    failures: 'int',
    sinceMs: 'int',
    status: 'int',
    code: 'text',
    cause: 'text',
    dueMs: 'int',
    tried: 'int',
  },
  indexes: { by_due: ['party', 'standard', 'dueMs'] },
  retention: 'RETENTION_DELIVERY',
});

/** A school of which an endpoint takes nothing, while it takes what is of others. */
export interface PushSchoolRow {
  party: string;
  standard: string;
  school: string;
  /** Nothing of it is sent before. */
  untilMs: number;
  /** Since when it is refused. */
  sinceMs: number;
  status: number;
  code: string;
  cause: string;
}

export const pushSchools = table<PushSchoolRow>({
  name: 'delivery_push_schools',
  key: ['party', 'standard', 'school'],
  columns: {
    party: 'text',
    standard: 'text',
    school: 'text',
    untilMs: 'int',
    sinceMs: 'int',
    status: 'int',
    code: 'text',
    cause: 'text',
  },
  retention: 'RETENTION_DELIVERY',
});

/** Mail that was set aside, in the order of its arrival. */
export interface SetAsideRow extends Member {
  party: string;
  standard: string;
  service: number;
  school: string;
}

export const setAside = table<SetAsideRow>({
  name: 'delivery_set_aside',
  key: ['party', 'standard', 'service', 'school', 'key', 'first'],
  columns: {
    party: 'text',
    standard: 'text',
    service: 'int',
    school: 'text',
    key: 'text',
    first: 'int',
    number: 'int',
    flowId: 'text',
    eventId: 'text',
    atMs: 'int',
    job: 'text',
    before: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** What of a delivery had no place in the standard of the endpoint: a row of its table of losses, and how often. */
export interface LossCell {
  element: string;
  reason: string;
  count: number;
}

/** How a delivery to an endpoint ended. */
export interface OutcomeRow {
  flowId: string;
  eventId: string;
  party: string;
  standard: string;
  /** `delivered`, `untold` (there was nothing for this receiver), `dropped` (by an operator). */
  state: string;
  attempts: number;
  status: number;
  atMs: number;
  /** Absent = none. */
  losses?: LossCell[] | undefined;
}

export const outcomes = table<OutcomeRow>({
  name: 'delivery_outcomes',
  key: ['flowId', 'eventId', 'party', 'standard'],
  columns: {
    flowId: 'text',
    eventId: 'text',
    party: 'text',
    standard: 'text',
    state: 'text',
    attempts: 'int',
    status: 'int',
    atMs: 'int',
    losses: 'json',
  },
  retention: 'RETENTION_DELIVERY',
});

/** Something that somebody should know, as long as it stands and until its end was told. */
export interface AlertRow {
  code: string;
  party: string;
  school: string;
  subject: string;
  grade: string;
  count: number;
  sinceMs: number;
  patienceMs: number;
  openedMs: number;
  /** When a door saw it last, Unix milliseconds. */
  seenMs: number;
  /** What was told last, and when; 0 = nothing was. */
  toldMs: number;
  toldGrade: string;
  toldCount: number;
  /** Who tells it now, what, and until when nobody else does. */
  teller: string;
  telling: string;
  tellingMs: number;
  failures: number;
}

export const alerts = table<AlertRow>({
  name: 'delivery_alerts',
  key: ['code', 'party', 'school', 'subject'],
  columns: {
    code: 'text',
    party: 'text',
    school: 'text',
    subject: 'text',
    grade: 'text',
    count: 'int',
    sinceMs: 'int',
    patienceMs: 'int',
    openedMs: 'int',
    seenMs: 'int',
    toldMs: 'int',
    toldGrade: 'text',
    toldCount: 'int',
    teller: 'text',
    telling: 'text',
    tellingMs: 'int',
    failures: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** What a party sends in one hour of the week, usually. */
export interface UsualRow {
  /** Hours since Monday, 0:00 UTC: 0 … 167. */
  slot: number;
  party: string;
  method: string;
  /** Messages; recent weeks count more. */
  usual: number;
  /** That, before the hour that was counted last. */
  before: number;
  /** Weeks that it was counted in. */
  weeks: number;
  /** Which hour was counted last: hours since 1970. */
  hour: number;
}

export const usualTraffic = table<UsualRow>({
  name: 'delivery_usual',
  key: ['slot', 'party', 'method'],
  columns: { slot: 'int', party: 'text', method: 'text', usual: 'real', before: 'real', weeks: 'int', hour: 'int' },
  retention: 'RETENTION_DELIVERY',
});

/** What a place for data held at some moment of a half hour. */
export interface DiskRow {
  place: string;
  /** Half hours since 1970. */
  slot: number;
  /** Places of one disk have the same. */
  disk: string;
  /** Unix milliseconds. */
  atMs: number;
  /** Bytes; 0 free = it is not known. */
  used: number;
  free: number;
}

export const diskUse = table<DiskRow>({
  name: 'delivery_disk',
  key: ['place', 'slot'],
  columns: { place: 'text', slot: 'int', disk: 'text', atMs: 'int', used: 'int', free: 'int' },
  retention: 'RETENTION_DELIVERY',
});

/** How it went with one endpoint on one day, or in one month. */
export interface ScoreRow {
  party: string;
  standard: string;
  /** Dutch day, `YYYY-MM-DD`; of what is older than two months the month, `YYYY-MM`. */
  day: string;
  /** Requests, those of them that brought again what had been sent before, and those that were not taken. */
  requests: number;
  again: number;
  failed: number;
  /** Messages that were taken. */
  delivered: number;
  /** Why they were not taken: `503`, `timeout`, a word of the standard; how often. */
  failures: Record<string, number>;
  /** How long the endpoint took to answer, whatever it said, and how old messages were when they were taken. */
  answers: Spread;
  ages: Spread;
  /** When a message was taken last; 0 = none was. */
  lastMs: number;
}

export const scores = table<ScoreRow>({
  name: 'delivery_scores',
  key: ['party', 'standard', 'day'],
  columns: {
    party: 'text',
    standard: 'text',
    day: 'text',
    requests: 'int',
    again: 'int',
    failed: 'int',
    delivered: 'int',
    failures: 'json',
    answers: 'json',
    ages: 'json',
    lastMs: 'int',
  },
  retention: 'RETENTION_PUBLIC',
});

/** What of the mail of a party is sent again; empty and 0 = any. */
export interface ReplaySelection {
  service: number;
  school: string;
  key: string;
  about: string;
  flowId: string;
  types: string[];
  fromMs: number;
  untilMs: number;
  again: boolean;
  outOfOrder: boolean;
  /** Only what a reconciliation of this kind found missing or different; absent and empty = whatever else is selected. */
  reconciled?: string | undefined;
}

/** Messages, by what they are for a replay, and by what became of them. */
export interface ReplayCounts {
  selected: number;
  fresh: number;
  had: number;
  outOfOrder: number;
  pending: number;
  /** Given to the sender. */
  released: number;
  sent: number;
  untold: number;
  refused: number;
  withheld: number;
  gone: number;
  /** Passed over while it ran. */
  leftOut: number;
  /** Requests that failed. */
  errors: number;
}

export const noCounts: Readonly<ReplayCounts> = {
  selected: 0,
  fresh: 0,
  had: 0,
  outOfOrder: 0,
  pending: 0,
  released: 0,
  sent: 0,
  untold: 0,
  refused: 0,
  withheld: 0,
  gone: 0,
  leftOut: 0,
  errors: 0,
};

/** Mail of a party that is counted, and then sent again. Of a party one is not over, and it is the newest. */
export interface ReplayRow {
  party: string;
  jobId: string;
  state: string;
  cause: string;
  selection: ReplaySelection;
  /** Mailboxes that it goes through: the numbers behind the first and up to the last. */
  bounds: { service: number; from: number; through: number }[];
  /** Where it is: in which of them, behind which number; while it counts, then in what is parked of each, behind which row. */
  at: number;
  after: number;
  parkedAfter: (string | number)[];
  /** Rows that were looked at in this step. */
  looked: number;
  counts: ReplayCounts;
  /** Messages that may not be sent now, by reason. */
  forbidden: Record<string, number>;
  /** Messages a second, and requests that may fail. */
  rate: number;
  mostErrors: number;
  /** Who asked for it where a second person begins it: in hexadecimal; empty = the operator's key. */
  asked?: string | undefined;
  /** Messages that its pace allows, and of when that is. */
  owed: number;
  pacedMs: number;
  keptFromMs: number;
  madeMs: number;
  countedMs: number;
  startedMs: number;
  endedMs: number;
  /** The state that the log told of. */
  told: string;
  /** What was remembered of its keys is gone: 0 or 1. */
  isClear: number;
  /** 1 = the party asked for it itself; absent or 0 = an operator. */
  byParty?: number | undefined;
}

/** Copies of freezes: what they guard is not sent again. */
export const freezes: Table<FreezeRow> = freezesTable('delivery_freezes');

export const replays = table<ReplayRow>({
  name: 'delivery_replays',
  key: ['party', 'jobId'],
  columns: {
    party: 'text',
    jobId: 'text',
    state: 'text',
    cause: 'text',
    selection: 'json',
    bounds: 'json',
    at: 'int',
    after: 'int',
    parkedAfter: 'json',
    looked: 'int',
    counts: 'json',
    forbidden: 'json',
    rate: 'int',
    mostErrors: 'int',
    asked: 'text',
    owed: 'real',
    pacedMs: 'int',
    keptFromMs: 'int',
    madeMs: 'int',
    countedMs: 'int',
    startedMs: 'int',
    endedMs: 'int',
    told: 'text',
    isClear: 'int',
    byParty: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** A key of which a replay sends something, or of which live mail went out while it was counted. */
export interface ReplayKeyRow {
  party: string;
  jobId: string;
  service: number;
  school: string;
  key: string;
  /** Messages that the receiver does not have, and that it has, in order. */
  fresh: number;
  had: number;
  /** What has a lower number would come after mail that the receiver has; 0 = nothing. */
  late: number;
}

export const replayKeys = table<ReplayKeyRow>({
  name: 'delivery_replay_keys',
  key: ['party', 'jobId', 'service', 'school', 'key'],
  columns: {
    party: 'text',
    jobId: 'text',
    service: 'int',
    school: 'text',
    key: 'text',
    fresh: 'int',
    had: 'int',
    late: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** What two sides came to: numbers of things. */
export interface ReconciledCounts {
  ours: number;
  theirs: number;
  same: number;
  /** Changed so short before that word of it may be on its way. */
  moving: number;
  missing: number;
  surplus: number;
  differs: number;
}

/** What a party says that it has of a school, beside what stands here. */
export interface ReconciliationRow {
  party: string;
  school: string;
  kind: string;
  /** Of the one under way; empty = none is. */
  id: string;
  begunSource: string;
  /** Up to which key it is. */
  at: string;
  untilMs: number;
  begunMs: number;
  counts: ReconciledCounts;
  /** Differences that it kept. */
  keeps: number;
  /** Stretches that it noted; absent = none, or not known. */
  stretches?: number | undefined;
  /** Rows of differences there are, of it and of those before it; absent = not known, and counted anew. */
  stands?: number | undefined;
  /** The last that was through. */
  doneId: string;
  source: string;
  lastMs: number;
  lastCounts: ReconciledCounts;
  kept: number;
  /** Why the last attempt failed; empty = it did not. */
  code: string;
  failures: number;
  failedMs: number;
}

export const reconciliations = table<ReconciliationRow>({
  name: 'delivery_reconciliations',
  key: ['party', 'school', 'kind'],
  columns: {
    party: 'text',
    school: 'text',
    kind: 'text',
    id: 'text',
    begunSource: 'text',
    at: 'text',
    untilMs: 'int',
    begunMs: 'int',
    counts: 'json',
    keeps: 'int',
    stretches: 'int',
    stands: 'int',
    doneId: 'text',
    source: 'text',
    lastMs: 'int',
    lastCounts: 'json',
    kept: 'int',
    code: 'text',
    failures: 'int',
    failedMs: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

/** A thing that is not the same on both sides. */
export interface DifferenceRow {
  party: string;
  school: string;
  kind: string;
  key: string;
  what: string;
  /** Words of its kind; none = that side does not have it. */
  ours: string[];
  theirs: string[];
  sinceMs: number;
}

export const differences = table<DifferenceRow>({
  name: 'delivery_differences',
  key: ['party', 'school', 'kind', 'key'],
  columns: {
    party: 'text',
    school: 'text',
    kind: 'text',
    key: 'text',
    what: 'text',
    ours: 'json',
    theirs: 'json',
    sinceMs: 'int',
  },
  retention: 'RETENTION_DELIVERY',
});

export const tables = [
  reconciliations,
  differences,
  scores,
  alerts,
  usualTraffic,
  diskUse,
  bodies,
  heads,
  mail,
  parkedKeys,
  parkedMail,
  dropped,
  forgotten,
  partyCopies,
  stoppedParties,
  closedSchools,
  mandateCopies,
  holders,
  endpoints,
  pushCursors,
  pushMoves,
  attempts,
  sets,
  moved,
  pushKeys,
  pushSchools,
  setAside,
  outcomes,
  replays,
  replayKeys,
  freezes,
];
