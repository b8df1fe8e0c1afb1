/** Rows of the service. `version` grows with every change, over all rows: doors ask for what is newer. */
import { table } from '#bus';

export interface PartyTableRow {
  oin: string;
  /** Empty = none: recognised by client id, by UWLR klantcode. */
  clientId: string;
  klantcode: string;
  version: number;
  /** An eduk.parties.v1.PartyRow. */
  row: Uint8Array;
}

export const partiesTable = table<PartyTableRow>({
  name: 'parties_parties',
  key: ['oin'],
  columns: { oin: 'text', clientId: 'text', klantcode: 'text', version: 'int', row: 'blob' },
  indexes: { by_version: ['version'], by_client_id: ['clientId'], by_klantcode: ['klantcode'] },
  retention: 'RETENTION_PUBLIC',
});

export interface MandateTableRow {
  schoolOin: string;
  mandateId: string;
  partyOin: string;
  /** Who entered it. */
  byOin: string;
  version: number;
  /** eduk.core.v1.Mandate as it stands, and as it was first taken in. */
  mandate: Uint8Array;
  given: Uint8Array;
}

export const mandatesTable = table<MandateTableRow>({
  name: 'parties_mandates',
  key: ['schoolOin', 'mandateId'],
  columns: {
    schoolOin: 'text',
    mandateId: 'text',
    partyOin: 'text',
    byOin: 'text',
    version: 'int',
    mandate: 'blob',
    given: 'blob',
  },
  indexes: { by_version: ['version'], by_pair: ['schoolOin', 'partyOin'] },
  retention: 'RETENTION_AUDIT',
});

/** The digest of the key of a school and a party. */
export interface PairTableRow {
  schoolOin: string;
  partyOin: string;
  keyDigest: Uint8Array;
}

export const pairsTable = table<PairTableRow>({
  name: 'parties_pairs',
  key: ['schoolOin', 'partyOin'],
  columns: { schoolOin: 'text', partyOin: 'text', keyDigest: 'blob' },
  retention: 'RETENTION_AUDIT',
});

/** One row: the newest version given out. */
export interface VersionTableRow {
  id: string;
  version: number;
}

export const versionTable = table<VersionTableRow>({
  name: 'parties_version',
  key: ['id'],
  columns: { id: 'text', version: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** An assertion that a client proved itself by; it rests until its own times refuse it. */
export interface AssertionTableRow {
  partyOin: string;
  /** SHA-256 of its jti, hexadecimal. */
  digest: string;
  /** The call that took it, hexadecimal. */
  claim: string;
  expiresMs: number;
}

export const assertionsTable = table<AssertionTableRow>({
  name: 'parties_assertions',
  key: ['partyOin', 'digest'],
  columns: { partyOin: 'text', digest: 'text', claim: 'text', expiresMs: 'int' },
  indexes: { by_end: ['expiresMs'] },
  retention: 'RETENTION_ACCESS',
});

/** Comparisons of registers with what stands here: who does one now, and what came of the last. */
export interface RegisterTableRow {
  register: string;
  /** Who has the right, hexadecimal, and until when; empty = nobody. */
  claim: string;
  untilMs: number;
  /** When the last comparison was noted. */
  lastMs: number;
  /** An eduk.parties.v1.RegisterRun; empty = there was none. */
  run: Uint8Array;
}

export const registersTable = table<RegisterTableRow>({
  name: 'parties_registers',
  key: ['register'],
  columns: { register: 'text', claim: 'text', untilMs: 'int', lastMs: 'int', run: 'blob' },
  retention: 'RETENTION_PUBLIC',
});

/** What a school was asked about a mandate: the newest question. */
export interface ReviewTableRow {
  schoolOin: string;
  mandateId: string;
  /** eduk.core.v1.MandateReview. */
  review: Uint8Array;
}

export const reviewsTable = table<ReviewTableRow>({
  name: 'parties_reviews',
  key: ['schoolOin', 'mandateId'],
  columns: { schoolOin: 'text', mandateId: 'text', review: 'blob' },
  retention: 'RETENTION_AUDIT',
});

/** For which party persons sign in by a number of their organisation. */
export interface SignInTableRow {
  /** `kvk:12345678` … */
  number: string;
  oin: string;
}

export const signInTable = table<SignInTableRow>({
  name: 'parties_sign_in',
  key: ['number'],
  columns: { number: 'text', oin: 'text' },
  retention: 'RETENTION_PUBLIC',
});

/** A session of an authorised person, or of an operator at the console; of the person it holds nothing. */
export interface SessionTableRow {
  /** SHA-256 of its id, hexadecimal. */
  digest: string;
  partyOin: string;
  /** By which number of the organisation the person came. */
  number: string;
  /** Unix milliseconds: when it was last asked for, within a minute, and when it is over in any case. */
  seenMs: number;
  endsMs: number;
  /** Of the console: sealed under the id, which is nowhere but in the browser. Absent = it is no session of the console. */
  sealed?: Uint8Array | undefined;
}

export const sessionsTable = table<SessionTableRow>({
  name: 'parties_sessions',
  key: ['digest'],
  columns: { digest: 'text', partyOin: 'text', number: 'text', seenMs: 'int', endsMs: 'int', sealed: 'blob' },
  indexes: { by_seen: ['seenMs'] },
  retention: 'RETENTION_ACCESS',
});

/** A time in which nothing of a school or party is taken away or disturbed. */
export interface FreezeTableRow {
  freezeId: string;
  version: number;
  /** eduk.core.v1.Freeze. */
  freeze: Uint8Array;
}

export const freezesTable = table<FreezeTableRow>({
  name: 'parties_freezes',
  key: ['freezeId'],
  columns: { freezeId: 'text', version: 'int', freeze: 'blob' },
  indexes: { by_version: ['version'] },
  retention: 'RETENTION_AUDIT',
});

/** A rule that lets go what would wait for approval. */
export interface HoldRuleTableRow {
  ruleId: string;
  version: number;
  /** eduk.core.v1.HoldRule. */
  rule: Uint8Array;
}

export const holdRulesTable = table<HoldRuleTableRow>({
  name: 'parties_hold_rules',
  key: ['ruleId'],
  columns: { ruleId: 'text', version: 'int', rule: 'blob' },
  indexes: { by_version: ['version'] },
  retention: 'RETENTION_AUDIT',
});

/** A link to one page of the operators' console. */
export interface LinkTableRow {
  linkId: string;
  /** SHA-256 of its secret, hexadecimal; the secret is nowhere but in the link. */
  digest: string;
  /** Which page: only the doors open it. */
  sealed: Uint8Array;
  /** Unix milliseconds. */
  madeMs: number;
  endsMs: number;
  /** When it was last opened; 0 = never. */
  openedMs: number;
}

export const linksTable = table<LinkTableRow>({
  name: 'parties_links',
  key: ['linkId'],
  columns: { linkId: 'text', digest: 'text', sealed: 'blob', madeMs: 'int', endsMs: 'int', openedMs: 'int' },
  indexes: { by_end: ['endsMs'] },
  retention: 'RETENTION_ACCESS',
});

export const tables = [
  partiesTable,
  mandatesTable,
  pairsTable,
  versionTable,
  assertionsTable,
  registersTable,
  reviewsTable,
  signInTable,
  sessionsTable,
  freezesTable,
  holdRulesTable,
  linksTable,
];
