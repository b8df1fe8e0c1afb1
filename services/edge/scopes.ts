import { GatewayError } from '#kernel';
import type { Caller } from './caller.ts';
import { publicServices } from './grpc/services.ts';
import { requireOwnSchool } from './stages/authorise.ts';

/** What a token may be narrowed to: services, and one school. Of neither is anything allowed that is not named here. */

/** `eduk.gateway.v1.OrderService` → `order`. */
export const scopeOf = (fullName: string): string => /(\w+?)(Service)?$/.exec(fullName)![1]!.toLowerCase();

/** Scopes that a token may be asked for: one for each service. */
export const scopes: readonly string[] = publicServices.map(({ fullName }) => scopeOf(fullName)).sort();

/** Refuses what the caller's token is not for. Faults: party.forbidden. */
export function requireScope(caller: Caller, scope: string): void {
  if (caller.scopes !== undefined && !caller.scopes.has(scope))
    throw new GatewayError('party.forbidden', 'This token has not the scope of this service.');
}

/** Reads that name no school: of nobody's in particular, or judged by the school of what is found. */
const schoolFound: ReadonlySet<string> = new Set([
  'catalogue/getProduct',
  'catalogue/searchProducts',
  'party/getParty',
  'order/getOrder',
  'flow/getFlow',
  'delivery/listDeadLetters',
]);

/**
 * The request of a read as a token for one school may ask it: what may name a school, and does not, names this one.
 * Faults: party.forbidden (another school, or a read of all).
 */
export function withinSchool<Request extends object>(
  request: Request,
  caller: Caller,
  scope: string,
  key: string,
): Request {
  if (caller.school === undefined) return request;
  const { schoolOin } = request as { schoolOin?: string };
  if (schoolOin === undefined) {
    if (schoolFound.has(`${scope}/${key}`)) return request;
    throw new GatewayError('party.forbidden', 'This token is for one school, and this method for all.');
  }
  if (schoolOin !== '') requireOwnSchool(caller, schoolOin);
  return { ...request, schoolOin: caller.school };
}
