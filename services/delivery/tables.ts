/** Mailboxes. Everything hot is found by its key alone: no row has a second index. */
import { table } from '#bus';
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
  /** Nothing more fits: news of mail does not matter before an attempt ends. 0 or 1. */
  full: number;
  /** When there is something to do; NEVER = nothing. */
  dueMs: number;
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
}

export const pushCursors = table<PushCursorRow>({
  name: 'delivery_push_cursors',
  key: ['party', 'standard', 'service'],
  columns: { party: 'text', standard: 'text', service: 'int', after: 'int' },
  retention: 'RETENTION_DELIVERY',
});

/** A row of mail in an attempt. */
export interface Member {
  key: string;
  first: number;
  number: number;
  flowId: string;
  eventId: string;
  /** When it took its number, Unix milliseconds. */
  atMs: number;
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
  },
  retention: 'RETENTION_DELIVERY',
});

/** A key of which mail was set aside: behind an attempt, for another one, or parked. */
export interface PushKeyRow {
  party: string;
  standard: string;
  service: number;
  school: string;
  key: string;
  /** Rows set aside. */
  rows: number;
  parked: number;
  /** Attempts that failed, since when; 0 = none. */
  failures: number;
  sinceMs: number;
  status: number;
  code: string;
  /** When to try; NEVER = parked, or behind an attempt. */
  dueMs: number;
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
    dueMs: 'int',
  },
  indexes: { by_due: ['party', 'standard', 'dueMs'] },
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
  },
  retention: 'RETENTION_DELIVERY',
});

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
  },
  retention: 'RETENTION_DELIVERY',
});

export const tables = [
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
  attempts,
  pushKeys,
  setAside,
  outcomes,
];
