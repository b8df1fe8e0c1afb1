import { GatewayError, isDay, newId } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  GrantEntitlementsRequest,
  ReportUsageRequest,
  WithdrawEntitlementsRequest,
  WithdrawMode,
} from '#proto/eduk/gateway/v1/entitlement';
import type { Caller } from '../caller.ts';
import type { Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { atMostOne, hasRef, namedLearner } from './people.ts';

/** A publisher gives what is its own; only a distributor gives what others publish. */
const sellsOwnOnly = (caller: Caller): boolean => !caller.roles.has(Role.ROLE_DISTRIBUTOR);

const utf8 = new TextEncoder();

export const grantEntitlements: Intake<GrantEntitlementsRequest> = {
  method: 'EntitlementService/GrantEntitlements',
  type: 'eduk.gateway.v1.GrantEntitlementsRequest',
  codec: GrantEntitlementsRequest,
  roles: [Role.ROLE_DISTRIBUTOR, Role.ROLE_PUBLISHER],
  service: Service.SERVICE_ENTITLEMENT,
  fresh: true,
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    const { terms, holder } = request;
    if (!request.schoolOin)
      throw new GatewayError('wire.invalid', 'A grant names its school.', { where: 'school_oin' });
    if (!terms?.entitlementId)
      throw new GatewayError('wire.invalid', 'A grant needs an id.', { where: 'terms.entitlement_id' });
    if (!terms.productId)
      throw new GatewayError('wire.invalid', 'A grant names a product.', { where: 'terms.product_id' });
    if (terms.startsOn && terms.endsOn && terms.endsOn < terms.startsOn)
      throw new GatewayError('wire.invalid', 'It ends before it starts.', { where: 'terms.ends_on' });
    if (terms.count > 0 && hasRef(holder?.learner))
      throw new GatewayError('wire.invalid', 'A learner holds one licence; a count is for a group or school.', {
        where: 'terms.count',
      });
    if (terms.fromEntitlementId && !hasRef(holder?.learner))
      throw new GatewayError('wire.invalid', 'Only a learner takes from a count.', {
        where: 'terms.from_entitlement_id',
      });
    if (request.activationCode.length > 64)
      throw new GatewayError('wire.invalid', 'An activation code has at most 64 characters.', {
        where: 'activation_code',
      });
    if (holder) atMostOne(holder.learner, holder.groupKey, 'holder');
  },
  people: ({ holder }) => (hasRef(holder?.learner) ? [namedLearner(holder.learner, 'holder.learner', true)] : []),
  texts: ({ holder }) => (holder?.groupKey ? [holder.groupKey] : []),
  payloads: (request) =>
    request.activationCode
      ? [{ person: -1, data: utf8.encode(request.activationCode), context: 'activation_code' }]
      : [],
  events: (request, found, { caller }) => {
    const learner = hasRef(request.holder?.learner) ? found.tokens[0]! : '';
    const group = request.holder?.groupKey ? found.texts.get(request.holder.groupKey)! : '';
    // What takes from a count is decided where the count is: in the school's order.
    const key = learner && !request.terms!.fromEntitlementId ? learner : request.schoolOin;
    return [
      event(
        'GrantSubmitted',
        {
          terms: request.terms,
          schoolOin: request.schoolOin,
          holder: { learner, group },
          byOin: caller.oin,
          activationCode: found.sealed[0] ?? new Uint8Array(0),
          ownProducts: sellsOwnOnly(caller),
        },
        key,
      ),
    ];
  },
  about: ({ terms }) => ({
    orderId: terms?.orderId ?? '',
    productId: terms?.productId ?? '',
    entitlementId: terms?.entitlementId ?? '',
  }),
};

const modes: Record<number, string> = {
  [WithdrawMode.WITHDRAW_MODE_UNSPECIFIED]: 'withdraw',
  [WithdrawMode.WITHDRAW_MODE_WITHDRAW]: 'withdraw',
  [WithdrawMode.WITHDRAW_MODE_BLOCK]: 'block',
  [WithdrawMode.WITHDRAW_MODE_UNBLOCK]: 'unblock',
};

export const withdrawEntitlements: Intake<WithdrawEntitlementsRequest> = {
  method: 'EntitlementService/WithdrawEntitlements',
  type: 'eduk.gateway.v1.WithdrawEntitlementsRequest',
  codec: WithdrawEntitlementsRequest,
  roles: [Role.ROLE_DISTRIBUTOR, Role.ROLE_PUBLISHER],
  service: Service.SERVICE_ENTITLEMENT,
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (request.entitlementIds.length === 0 || request.entitlementIds.length > 1000)
      throw new GatewayError('wire.invalid', 'Name 1 to 1,000 entitlements.', { where: 'entitlement_ids' });
    if (modes[request.mode] === undefined)
      throw new GatewayError('wire.invalid', 'A mode is withdraw, block or unblock.', { where: 'mode' });
    if (request.swapToProductId && modes[request.mode] !== 'withdraw')
      throw new GatewayError('wire.invalid', 'Only a withdrawal swaps.', { where: 'swap_to_product_id' });
  },
  events: (request, _found, { caller }) =>
    request.entitlementIds.map((entitlementId) =>
      event(
        'WithdrawSubmitted',
        {
          schoolOin: request.schoolOin,
          entitlementId,
          mode: modes[request.mode]!,
          swapToProductId: request.swapToProductId,
          swapToEntitlementId: request.swapToProductId ? `swap-${newId()}` : '',
          reason: request.reason,
          ownProducts: sellsOwnOnly(caller),
          byOin: caller.oin,
          ofMessage: request.entitlementIds.length,
        },
        request.schoolOin,
      ),
    ),
  about: (request) => ({ entitlementId: request.entitlementIds[0] ?? '' }),
};

export const reportUsage: Intake<ReportUsageRequest> = {
  method: 'EntitlementService/ReportUsage',
  type: 'eduk.gateway.v1.ReportUsageRequest',
  codec: ReportUsageRequest,
  roles: [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER],
  service: Service.SERVICE_USAGE,
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (!request.entitlementId)
      throw new GatewayError('wire.invalid', 'Name the entitlement.', { where: 'entitlement_id' });
    if (!isDay(request.day)) throw new GatewayError('wire.invalid', 'A day is YYYY-MM-DD.', { where: 'day' });
  },
  events: (request, _found, { caller }) => [
    event(
      'UsageSubmitted',
      {
        schoolOin: request.schoolOin,
        entitlementId: request.entitlementId,
        day: request.day,
        times: request.times || 1,
        byOin: caller.oin,
      },
      request.schoolOin,
    ),
  ],
  about: (request) => ({ entitlementId: request.entitlementId }),
};
