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

export const tables = [bodies, heads, mail, parkedKeys, parkedMail, forgotten, partyCopies, mandateCopies, holders];
