import {
  flemishSchoolOin,
  isBrin,
  isDay,
  isPartyOin,
  isSchoolYear,
  isSiteCode,
  isWebhook,
  NOT_SENT,
  SERVICE_WEBHOOKS,
  schoolOin,
  WEBHOOK,
  WEBHOOKS,
} from '#kernel';
import type { Flag } from './command.ts';

/** Forms of values on the command line. Each says what is wrong, without the value. */
export const oin = (value: string): string | undefined =>
  isPartyOin(value) ? undefined : 'must be an OIN: 20 digits, or for a school 00000007000, its BRIN and five digits';

/** A school by its BRIN or its OIN. */
export const school = (value: string): string | undefined =>
  isBrin(value.toUpperCase()) || FLEMISH.test(value) ? undefined : oin(value)?.replace('an OIN', 'a BRIN or an OIN');
/** A school in Flanders. */
const FLEMISH = /^instellingsnummer:(\d{2,6})$/;

/** The OIN of a school that was named in either way. */
export const schoolNamed = (value: string): string =>
  isBrin(value.toUpperCase())
    ? schoolOin(value.toUpperCase())
    : FLEMISH.test(value)
      ? flemishSchoolOin(FLEMISH.exec(value)![1]!)
      : value;

/** A flag that names a school by either; the command gets its OIN. */
export const schoolFlag = (about: string): Flag => ({ about, value: 'BRIN|OIN', check: school, as: schoolNamed });

export const day = (value: string): string | undefined => (isDay(value) ? undefined : 'must be a day, YYYY-MM-DD');

export const schoolYear = (value: string): string | undefined =>
  isSchoolYear(value) ? undefined : 'must be a school year such as 2026-2027';

export const siteCode = (value: string): string | undefined =>
  value !== '' && isSiteCode(value) ? undefined : 'must be the two digits of a site (dependancecode)';

/** `STANDARD=URL`. */
export function endpoint(value: string): string | undefined {
  const [standard = '', url] = splitEndpoint(value) ?? [];
  if (standard.startsWith(`${WEBHOOK}-`) && !isWebhook(standard))
    return `must be of a standard that there is: webhooks are ${WEBHOOKS.join(', ')}`;
  if (url === NOT_SENT)
    return SERVICE_WEBHOOKS.includes(standard)
      ? undefined
      : `can be ${NOT_SENT} of ${SERVICE_WEBHOOKS.join(', ')} only; eduk party endpoint remove takes away any`;
  return url !== undefined && URL.canParse(url) ? undefined : 'must be STANDARD=URL, such as uwlr=https://…';
}

/** `STANDARD=AT_ONCE/PER_SECOND`, of which one may be absent or 0: no limit. */
export function endpointLimit(value: string): string | undefined {
  return splitLimit(value)
    ? undefined
    : 'must be STANDARD=AT_ONCE or STANDARD=AT_ONCE/PER_SECOND, such as webhook=4/20';
}

export function splitLimit(value: string): { standard: string; maxInFlight: number; maxPerSecond: number } | undefined {
  const m = /^([A-Za-z][\w.-]*)=(\d{0,4})(?:\/(\d{1,5}))?$/.exec(value);
  return m ? { standard: m[1]!, maxInFlight: Number(m[2]), maxPerSecond: Number(m[3] ?? 0) } : undefined;
}

export function splitEndpoint(value: string): [standard: string, url: string] | undefined {
  const m = /^([A-Za-z][\w.-]*)=(.+)$/.exec(value);
  return m ? [m[1]!, m[2]!] : undefined;
}
