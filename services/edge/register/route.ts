/** Where a party answers for one school, as a register says: pure. */
import { GatewayError } from '#kernel';
import { type Mandate, MandateState } from '#proto/eduk/core/v1/party';

/** Before the name that OSR gives a service, where an address would stand. */
export const BY_OSR = 'osr:';

export interface Route {
  /** Name that the register gives the service. */
  namespace: string;
  school: string;
  /** Five digits; empty = the school runs one. */
  administration: string;
  /** Dutch day. */
  today: string;
}

/** Whether the mandate holds on a day, as the register has it. */
const holdsOn = ({ state, validFrom, validUntil, runOffUntil }: Mandate, day: string): boolean =>
  isWithin({ validFrom, validUntil }, day) &&
  (state === MandateState.MANDATE_STATE_ACTIVE || (state === MandateState.MANDATE_STATE_RUN_OFF && day <= runOffUntil));

const isWithin = ({ validFrom, validUntil }: { validFrom: string; validUntil: string }, day: string): boolean =>
  (validFrom === '' || validFrom <= day) && (validUntil === '' || day <= validUntil);

/**
 * The one address for a school's administration on a day, of all that its supplier registered: by the routing id, which is the school's
 * number with five digits of the administration. Where two periods overlap, that which began last. `mandates`: of the two. Throws
 * gateway.unavailable where there is none, or nobody can say which.
 */
export function registeredAddress(mandates: readonly Mandate[], route: Route): string {
  const { namespace, school, administration, today } = route;
  const prefix = school.slice(0, -5);
  const standing = mandates
    .filter((one) => one.source !== '' && one.sourceService === namespace && holdsOn(one, today))
    .flatMap(({ endpoints }) => endpoints)
    .filter((one) => one.routingId.startsWith(prefix) && isWithin(one, today))
    .sort((a, b) => (a.validFrom < b.validFrom ? 1 : -1));
  const found = standing.find(({ routingId }) => routingId === `${prefix}${administration || '00000'}`);
  if (found) return found.url;
  const ids = new Set(standing.map(({ routingId }) => routingId));
  if (administration === '' && ids.size === 1) return standing[0]!.url;
  throw new GatewayError(
    'gateway.unavailable',
    administration === '' && ids.size > 1
      ? `OSR has addresses of ${ids.size} administrations of this school: say in the settings which is meant (administration).`
      : 'OSR has no address of this administration for this school today: its supplier registers one there, or its address is written in the settings.',
  );
}
