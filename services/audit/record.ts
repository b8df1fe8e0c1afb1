/** What each thing that was done adds to the log: pure functions from an event to records, and from a record to rows. */
import { dutchDay, encoded } from '#kernel';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { Mandate, MandateState, type ProcessingPurpose, processingPurposeToJSON } from '#proto/eduk/core/v1/party';
import type { MandateChanged } from '#proto/eduk/events/v1/parties';
import type { AccessRow } from './tables.ts';

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
