/** What an event in a mailbox is about: ids of things, as their senders chose them. Never a learner. */
import { decodedWith } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import { type EventName, events } from '#proto/events';
import type { BodyRow } from './tables.ts';

const IDS = ['orderId', 'entitlementId', 'resultId', 'productId', 'mandateId'];
const PARTS = ['terms', 'result', 'mandate', 'product', 'order'];
/** By which of them an event of a service is known. */
const OWN: Readonly<Record<number, string>> = {
  [Service.SERVICE_UNSPECIFIED]: 'mandateId',
  [Service.SERVICE_ORDER]: 'orderId',
  [Service.SERVICE_ENTITLEMENT]: 'entitlementId',
  [Service.SERVICE_RESULT]: 'resultId',
};

type Event = Record<string, unknown>;

export const eventOf = ({ type, data }: Pick<BodyRow, 'type' | 'data'>): Event =>
  decodedWith(events[type as EventName].codec as never, data) as Event;

/** The event, and the things in it. */
function thingsIn(body: Pick<BodyRow, 'type' | 'data'>): (Event | undefined)[] {
  const event = eventOf(body);
  return [event, ...PARTS.map((part) => event[part] as Event | undefined)];
}

/** Ids that an event is about, its own and those of the thing in it. */
export const idsOf = (body: Pick<BodyRow, 'type' | 'data'>): Set<unknown> =>
  new Set(thingsIn(body).flatMap((thing) => IDS.map((id) => thing?.[id]).filter((value) => value && value !== '')));

/** The id by which an event of a mailbox is known; empty = it has none. */
export function subjectOf(service: number, body: Pick<BodyRow, 'type' | 'data'>): string {
  const id = OWN[service];
  const found = id === undefined ? undefined : thingsIn(body).find((thing) => thing?.[id])?.[id];
  return typeof found === 'string' ? found : '';
}
