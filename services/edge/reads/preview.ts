import { GatewayError, isPartyOin } from '#kernel';
import { MandateState, Service } from '#proto/eduk/core/v1/party';
import type { PreviewedService, PreviewReleaseRequest } from '#proto/eduk/operator/v1/operator';
import {
  attributes,
  judgeAttributes,
  type Lang,
  langs,
  linkableBy,
  pseudonymous,
  tellLinks,
  tellReasons,
  tellRight,
} from '#release';
import type { Caller } from '../caller.ts';
import { agreementOf, receiverOf } from '../purpose.ts';
import { actsForSchool } from '../stages/authorise.ts';
import type { Door } from '../submission.ts';

/**
 * What a party would receive of a school now, by service, and why: the verdicts by which it would be released. Nothing of a
 * person is looked up for it. Faults: wire.invalid, state.missing (a party or school that nobody knows).
 */
export function previewRelease(door: Pick<Door, 'chain'>, request: PreviewReleaseRequest): PreviewedService[] {
  const { chain } = door;
  const { partyOin, schoolOin, service: asked } = request;
  for (const [where, oin] of [
    ['party_oin', partyOin],
    ['school_oin', schoolOin],
  ] as const)
    if (!isPartyOin(oin)) throw new GatewayError('wire.invalid', 'This is not an OIN.', { where });
  const lang = (request.lang || 'en') as Lang;
  if (!langs.includes(lang))
    throw new GatewayError('wire.invalid', 'A preview is told in nl or en.', { where: 'lang' });
  const party = chain.party(partyOin);
  const between = chain.between(schoolOin, partyOin);
  if (!party && between.length === 0)
    throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'party_oin' });
  const caller: Caller = { kind: 'party', oin: partyOin, roles: new Set(party?.roles ?? []) };
  const receiver = receiverOf(door, caller);
  const named = actsForSchool(door, caller, schoolOin)
    ? all
    : new Set(between.flatMap(({ services, narrowed }) => [...services, ...narrowed]));
  const pairwise = !actsForSchool(door, caller, schoolOin) && chain.isPairwise(schoolOin, partyOin);
  // Whether it was ever sent anything by them nobody knows any more.
  const earlier = between.some(
    (mandate) => !mandate.pairwise && mandate.state !== MandateState.MANDATE_STATE_UNCONFIRMED,
  );
  const services = asked === Service.SERVICE_UNSPECIFIED ? [...named].sort((a, b) => a - b) : [asked];
  // Also where there is no service to tell of: a school that nobody knows is a mistake in its OIN.
  agreementOf(door, caller, schoolOin, asked);
  return services.map((service) => {
    const agreement = agreementOf(door, caller, schoolOin, service);
    const verdicts = judgeAttributes(receiver, agreement, service);
    const linkable = pairwise ? linkableBy(verdicts, service, earlier) : [];
    return {
      service,
      code: agreement.fault ?? '',
      told: tellRight(agreement, lang),
      mandateIds: agreement.mandates.map(({ mandateId }) => mandateId),
      attributes: verdicts.map(({ name, given, reasons }) => ({
        name,
        about: lang === 'nl' ? attributes[name].nl : attributes[name].about,
        given,
        reasons: [...reasons],
        told: tellReasons(reasons, lang),
        pairwise: pairwise && given && pseudonymous.has(name),
      })),
      pairwise,
      linkableBy: linkable,
      linkableTold: tellLinks(linkable, pairwise, lang),
    };
  });
}

const all: ReadonlySet<Service> = new Set(Object.values(Service).filter((service) => service > 0));
