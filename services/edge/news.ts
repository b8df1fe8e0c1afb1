/** What both sides of a mandate are told of a change besides the mandate itself: why, and what becomes of its routes. */
import { type Mandate, MandateState, type Service } from '#proto/eduk/core/v1/party';
import type { MandateChanged } from '#proto/eduk/events/v1/parties';
import type { MandateRoute } from '#proto/eduk/gateway/v1/party';
import type { Chain } from './chain.ts';

/** A word of WatchMandatesResponse.reason, by what changed and whose word it was. */
export function reasonOf({ mandate, byOin, change, reason }: MandateChanged): string {
  if (reason !== '') return reason;
  const { schoolOin, partyOin, source } = mandate!;
  if (source !== '' && byOin === source) return 'register';
  switch (change) {
    case 'entered':
      return byOin === 'operator' ? 'operator' : 'given';
    case 'confirmed':
    case 'accepted':
      return 'agreed';
    case 'narrowed':
      return 'own_instead';
    case 'run_off':
    case 'ended':
      if (byOin === '') return 'days_over';
      if (byOin === partyOin) return 'refused';
      if (byOin === 'operator') return 'operator';
      return byOin === schoolOin ? 'withdrawn' : 'withdrawn_by_board';
    default:
      return 'key_renewed';
  }
}

/** How each service that it names stands between the two now, by all mandates of both: another may keep open what this one ends. */
export function routesOf(chain: Chain, { schoolOin, partyOin, services, narrowed }: Mandate): MandateRoute[] {
  return [...new Set([...services, ...narrowed])]
    .sort((a, b) => a - b)
    .map((service) => routeOf(chain, schoolOin, partyOin, service));
}

function routeOf(chain: Chain, school: string, party: string, service: Service): MandateRoute {
  const { mandates, fault } = chain.judge(school, party, service);
  const route = (state: string, day: string): MandateRoute => ({ service, state, day, code: fault ?? '' });
  if (fault === undefined) {
    const active = mandates.filter(({ state }) => state === MandateState.MANDATE_STATE_ACTIVE);
    if (active.length > 0) return route('open', latest(active.map(({ validUntil }) => validUntil)));
    return route('runs_off', latest(mandates.map(lastOfRunOff)));
  }
  if (fault === 'mandate.unaccepted') return route('waits', '');
  if (fault !== 'mandate.unconfirmed') return route('closed', '');
  const later = mandates.filter(({ state }) => state === MandateState.MANDATE_STATE_ACTIVE);
  return later.length > 0 ? route('opens', later.map(({ validFrom }) => validFrom).sort()[0]!) : route('waits', '');
}

const lastOfRunOff = ({ runOffUntil, validUntil }: Mandate): string =>
  validUntil !== '' && validUntil < runOffUntil ? validUntil : runOffUntil;

/** No day is later than each. */
const latest = (days: readonly string[]): string => (days.includes('') ? '' : [...days].sort().at(-1)!);
