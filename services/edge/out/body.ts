import { uuidText } from '#kernel';
import type { Attempt, MailboxRow } from '#proto/eduk/delivery/v1/delivery';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import { PartyServiceDefinition } from '#proto/eduk/gateway/v1/party';
import { ResultServiceDefinition } from '#proto/eduk/gateway/v1/result';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { type EventName, events } from '#proto/events';
import type { Purpose } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { watches } from '../grpc/watch.ts';

export const CONTENT_TYPE = 'application/cloudevents-batch+json; charset=utf-8';
const SOURCE = 'urn:eduk:gateway';

/** An answer of a watch, as JSON. */
interface JsonType {
  fromPartial(object: unknown): unknown;
  toJSON(message: any): unknown;
}

const answers: Record<string, JsonType> = {
  watchMandates: PartyServiceDefinition.methods.watchMandates.responseType as unknown as JsonType,
  watchRosters: RosterServiceDefinition.methods.watchRosters.responseType as unknown as JsonType,
  watchOrders: OrderServiceDefinition.methods.watchOrders.responseType as unknown as JsonType,
  watchEntitlements: EntitlementServiceDefinition.methods.watchEntitlements.responseType as unknown as JsonType,
  watchResults: ResultServiceDefinition.methods.watchResults.responseType as unknown as JsonType,
};

/** Watches by service: a push says what the watch of the same mailbox would say. */
const byService = new Map(
  watches.flatMap(({ methods }) =>
    Object.entries(methods)
      .filter(([name, { catalogue }]) => !catalogue && name in answers)
      .map(([name, { service, show }]) => [service, { show, type: answers[name]! }] as const),
  ),
);

export interface Body {
  /** CloudEvents in JSON batch format; undefined = there is nothing to tell. */
  bytes: Uint8Array | undefined;
  /** Numbers of rows of which there is nothing to tell this receiver. */
  untold: bigint[];
}

/**
 * What one receiver is told in one request: each row as its watch would show it, released at this moment. Throws mandate.*
 * where the mandate ended meanwhile, and what the owners and the vault throw.
 */
export async function bodyOf(
  attempt: Attempt,
  purpose: Purpose,
  caller: Caller,
  gate: Pick<Gate, 'door'>,
): Promise<Body> {
  const watch = byService.get(attempt.service);
  if (watch === undefined) return { bytes: undefined, untold: attempt.rows.map(({ number }) => number) };
  const shown = await watch.show(attempt.rows, purpose, caller, gate, '');
  const told: unknown[] = [];
  const untold: bigint[] = [];
  for (const [i, row] of attempt.rows.entries()) {
    const message = shown[i];
    if (message === undefined) untold.push(row.number);
    else told.push(cloudEvent(row, attempt, watch.type.toJSON(watch.type.fromPartial(message)), gate));
  }
  return { bytes: told.length === 0 ? undefined : Buffer.from(JSON.stringify(told)), untold };
}

function cloudEvent(row: MailboxRow, { partyOin, service }: Attempt, data: unknown, { door }: Pick<Gate, 'door'>) {
  return {
    specversion: '1.0',
    // The delivery id: of an event and this receiver there is one, however often it is sent.
    id: uuidText(row.eventId),
    source: SOURCE,
    type: `eduk.${events[row.type as EventName].stream}.v1.${row.type}`,
    time: new Date(Number(row.atMs)).toISOString(),
    school: row.schoolOin,
    // Documented extensions of CloudEvents. The key is this receiver's own: two receivers cannot compare theirs.
    partitionkey: door.derive('webhook key', `${partyOin}|${service}|${row.schoolOin}|${row.key}`).slice(0, 22),
    sequence: String(row.keyNumber).padStart(16, '0'),
    datacontenttype: 'application/json',
    data,
  };
}
