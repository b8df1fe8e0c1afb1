/** What each thing that was done adds to the log: pure functions from an event to records, and from a record to rows. */
import { dutchDay, encoded } from '#kernel';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import {
  Freeze,
  HoldAsk,
  HoldRule,
  Mandate,
  MandateReview,
  MandateState,
  type ProcessingPurpose,
  processingPurposeToJSON,
} from '#proto/eduk/core/v1/party';
import {
  type FreezeChanged,
  type HoldRuleChanged,
  type MandateChanged,
  type MandateReviewed,
  PartyStanding,
  type PartyStandingChanged,
  type RosterReleased,
} from '#proto/eduk/events/v1/parties';
import type { AccessRow, UseRow } from './tables.ts';

const states: Readonly<Record<number, string>> = {
  [MandateState.MANDATE_STATE_UNCONFIRMED]: 'unconfirmed',
  [MandateState.MANDATE_STATE_ACTIVE]: 'active',
  [MandateState.MANDATE_STATE_RUN_OFF]: 'run_off',
  [MandateState.MANDATE_STATE_ENDED]: 'ended',
};

/** A mandate in a new state. `digest` commits to all of it. */
export function mandateRecord(
  { mandate, byOin }: MandateChanged,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  if (mandate === undefined) return undefined;
  return encoded(
    AuditRecord,
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      atMs: BigInt(at.atMs),
      partyOin: mandate.partyOin,
      schoolOin: mandate.schoolOin,
      method: 'MandateChanged',
      receiptId: at.flowId,
      content: digest(encoded(Mandate, mandate)),
      times: 1n,
      code: states[mandate.state] ?? '',
      purpose: mandate.purposes.map(purposeName).join(','),
      attributes: mandate.attributes,
      actedBy: byOin,
    }),
  );
}

/** `PROCESSING_PURPOSE_TEACHING` → `teaching`. */
const purposeName = (purpose: ProcessingPurpose): string =>
  processingPurposeToJSON(purpose).replace('PROCESSING_PURPOSE_', '').toLowerCase();

/** A party that was stopped everywhere, or goes on: of all its schools at once. Or a school that is forgotten, or kept. */
export function standingRecord(
  { oin, standing, unchanged, change }: PartyStandingChanged,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  if (unchanged || standing === undefined) return undefined;
  return encoded(
    AuditRecord,
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      atMs: BigInt(at.atMs),
      partyOin: oin,
      ...(change === '' ? {} : { schoolOin: oin }),
      method: 'PartyStandingChanged',
      receiptId: at.flowId,
      content: digest(encoded(PartyStanding, standing)),
      times: 1n,
      code:
        change === ''
          ? standing.stoppedMs > 0n
            ? 'stopped'
            : 'resumed'
          : change.startsWith('names_')
            ? change
            : `school_${change}`,
    }),
  );
}

/** A school that was asked about a mandate, or answered. */
export function reviewRecord(
  { review, unchanged }: MandateReviewed,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  if (unchanged || review === undefined) return undefined;
  return encoded(
    AuditRecord,
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      atMs: BigInt(at.atMs),
      partyOin: review.partyOin,
      schoolOin: review.schoolOin,
      method: 'MandateReviewed',
      receiptId: at.flowId,
      content: digest(encoded(MandateReview, review)),
      times: 1n,
      code: review.state,
    }),
  );
}

/** A freeze that was set, or ended early. */
export function freezeRecord(
  { freeze, change, unchanged }: FreezeChanged,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  if (unchanged || freeze === undefined) return undefined;
  return encoded(
    AuditRecord,
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      atMs: BigInt(at.atMs),
      partyOin: freeze.partyOin,
      schoolOin: freeze.schoolOin,
      method: 'FreezeChanged',
      receiptId: at.flowId,
      content: digest(encoded(Freeze, freeze)),
      times: 1n,
      code: change,
      actedBy: freeze.byOin,
    }),
  );
}

/** A rule that lets go what would wait: set, approved by a second person, or ended. */
export function ruleRecord(
  { rule, change, unchanged }: HoldRuleChanged,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  if (unchanged || rule === undefined) return undefined;
  return encoded(
    AuditRecord,
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      atMs: BigInt(at.atMs),
      schoolOin: rule.schoolOin,
      method: 'HoldRuleChanged',
      receiptId: at.flowId,
      content: digest(encoded(HoldRule, rule)),
      times: 1n,
      code: change,
      actedBy: rule.byOin,
    }),
  );
}

/** What a rule let go without a look: whose, in which flow, by a rule of whom. */
export function releasedRecord(
  method: 'RosterReleased' | 'EntitlementsReleased',
  { schoolOin, byOin, rule, asks }: Pick<RosterReleased, 'schoolOin' | 'byOin' | 'rule' | 'asks'>,
  at: { atMs: number; flowId: string },
  digest: (bytes: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  if (rule === undefined) return undefined;
  const what = Buffer.concat([encoded(HoldRule, rule), ...asks.map((ask) => encoded(HoldAsk, ask))]);
  return encoded(
    AuditRecord,
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      atMs: BigInt(at.atMs),
      partyOin: byOin,
      schoolOin,
      method,
      receiptId: at.flowId,
      content: digest(what),
      times: 1n,
      code: 'released',
      actedBy: rule.byOin,
    }),
  );
}

/** Uses of mandates that a record tells of. What is about several schools at once is of none in particular. */
export function usesOf(record: AuditRecord): Pick<UseRow, 'school' | 'party' | 'what' | 'lastDay'>[] {
  const { kind, schoolOin: school, partyOin: party, purpose, method, atMs, messages } = record;
  const lastDay = dutchDay(Number(atMs));
  const base = { party, lastDay };
  switch (kind) {
    case AuditKind.AUDIT_KIND_RELEASED:
      return [{ ...base, school, what: purpose }];
    case AuditKind.AUDIT_KIND_ACCEPTED:
      if (messages.length === 0) return [{ ...base, school, what: method }];
      return messages.map((one) => ({ ...base, school: school || one.schoolOin, what: method || one.method }));
    case AuditKind.AUDIT_KIND_MANDATE:
      // A mandate that is given or changed is no older than that.
      return method === 'MandateChanged' ? [{ ...base, school, what: 'mandate' }] : [];
    default:
      return [];
  }
}

/** Where a record is counted for the school whose persons it is about; undefined = it gave nobody anything. */
export function accessOf(
  { kind, schoolOin, partyOin, purpose, attributes, atMs, times, people }: AuditRecord,
  n: number,
): AccessRow | undefined {
  if (kind !== AuditKind.AUDIT_KIND_RELEASED && kind !== AuditKind.AUDIT_KIND_REVEALED) return undefined;
  return {
    school: schoolOin,
    day: dutchDay(Number(atMs)),
    party: partyOin,
    purpose,
    attributes: [...attributes].sort().join(','),
    times: Number(times),
    people: Number(people),
    lastLeaf: n,
  };
}
