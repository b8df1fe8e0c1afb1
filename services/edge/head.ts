import { Service } from '#proto/eduk/core/v1/party';
import type { Caller } from './caller.ts';
import type { Cursors } from './cursor.ts';
import type { Door } from './submission.ts';

/** Past every number that a mailbox will give. */
const END = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * What a cursor of a watch is sealed for. A watch of one school, or one site, passes over the others' rows, so its cursor is
 * none for a watch of all; nor is that of a watch with a token for one school, whether or not it names that.
 */
export const watchOf = (service: Service | 'catalogue', school = '', site = ''): string =>
  service === 'catalogue' ? 'watch|catalogue' : `watch|${service}|${school}${site && `|${site}`}`;

/**
 * Where a mailbox ends now, as a cursor. Taken before a list is read, so that list and watch together miss nothing; what
 * changes in between is told twice.
 */
export async function headCursor(
  door: Door,
  cursors: Cursors,
  caller: Caller,
  service: Service | 'catalogue',
  school = '',
  site = '',
): Promise<string> {
  const catalogue = service === 'catalogue';
  const { head } = await door.services.delivery.readMailbox({
    partyOin: caller.oin,
    service: catalogue ? Service.SERVICE_UNSPECIFIED : service,
    catalogue,
    after: END,
    limit: 1,
    waitMs: 0n,
  });
  return cursors.seal(caller.oin, watchOf(service, school || caller.school, site), String(head));
}
