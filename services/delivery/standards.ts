/** By which standard a mailbox is sent: what its party named, and where what was taken over before is. */
import { MANDATES_WEBHOOK, NOT_SENT, SENT_BY, UWLR, WEBHOOK, webhookOf } from '#kernel';
import { type Role, Service } from '#proto/eduk/core/v1/party';
import type { Writer } from './mailbox.ts';
import { hasResults, routes } from './routes.ts';
import {
  type EndpointRow,
  endpoints,
  type OutcomeRow,
  outcomes,
  partyCopies,
  pushCursors,
  pushMoves,
} from './tables.ts';

type Get = Pick<Writer, 'get'>;

export const STANDARDS: readonly string[] = SENT_BY;

/** Services that have a mailbox of a party; 0 = that of its own mandates. */
export const MAILBOXES: readonly Service[] = [
  ...new Set(
    Object.values(routes)
      .filter(({ service, mailbox }) => service !== Service.SERVICE_UNSPECIFIED || mailbox !== undefined)
      .map(({ service }) => service),
  ),
].sort((a, b) => a - b);

const word = (service: Service): string =>
  Object.entries(Service)
    .find(([, value]) => value === service)![0]
    .slice('SERVICE_'.length)
    .toLowerCase();

const bySource = new Map<number, readonly string[]>(
  MAILBOXES.map((service) => {
    if (service === Service.SERVICE_UNSPECIFIED) return [service, [MANDATES_WEBHOOK]];
    const own = [webhookOf(word(service)), WEBHOOK];
    // Results only, where they come to the party at all.
    return [service, service === Service.SERVICE_RESULT ? [UWLR, ...own] : own];
  }),
);

/** Standards that may take a mailbox: the first that its party named does. */
export const standardsOf = (service: number): readonly string[] => bySource.get(service) ?? [WEBHOOK];

/** By which of the standards that a party named a mailbox goes; `named`: an address, `none`, or empty. */
export const takerOf = (
  service: number,
  named: (standard: string) => string,
  roles: () => readonly Role[],
): string | undefined =>
  standardsOf(service).find((standard) => named(standard) !== '' && (standard !== UWLR || hasResults(roles())));

/** What a party named: an address, `none`, or nothing any more. */
const namedIn = (row: Readonly<EndpointRow> | undefined): string => row?.url || (row?.none ? NOT_SENT : '');

/**
 * By which standard mail of one mailbox is sent to its party. Where it named none any more, the one that has what was taken over: it
 * waits there. Undefined = it never had an endpoint for it.
 */
export function standardFor(reader: Get, party: string, service: number): string | undefined {
  const roles = (): readonly Role[] => reader.get(partyCopies, party)?.roles ?? [];
  const taker = takerOf(service, (standard) => namedIn(reader.get(endpoints, party, standard)), roles);
  if (taker !== undefined) return taker;
  const known = standardsOf(service).filter((standard) => reader.get(endpoints, party, standard) !== undefined);
  return known.find((standard) => reader.get(pushCursors, party, standard, service) !== undefined) ?? known[0];
}

/** Whether a mailbox is sent now: to an address, whatever that answers. */
export const isSent = (reader: Get, party: string, service: number): boolean => {
  const standard = standardFor(reader, party, service);
  return standard !== undefined && (reader.get(endpoints, party, standard)?.url ?? '') !== '';
};

/** What first arrived under a number up to this one is not sent by itself. */
export const beginOf = (reader: Get, party: string, standard: string, service: number): number =>
  reader.get(pushMoves, party, service)?.begin ?? reader.get(pushCursors, party, standard, service)?.begin ?? 0;

/** How far the mail of a mailbox was taken over, by whichever standard; undefined = not at all. */
export const takenOver = (reader: Get, party: string, standard: string, service: number): number | undefined => {
  const move = reader.get(pushMoves, party, service);
  if (move !== undefined && move.after >= 0) return move.after;
  return reader.get(pushCursors, party, standard, service)?.after;
};

/** How a delivery ended, by whichever standard it was sent; that it was delivered before how else. */
export function endOf(
  reader: Get,
  party: string,
  service: number,
  { flowId, eventId }: { flowId: string; eventId: string },
): Readonly<OutcomeRow> | undefined {
  const ends = standardsOf(service).flatMap((standard) => reader.get(outcomes, flowId, eventId, party, standard) ?? []);
  return ends.find(({ state }) => state === 'delivered') ?? ends[0];
}
