import { GatewayError } from '#kernel';
import type { LaunchRow } from '#proto/eduk/access/v1/access';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  CreateLaunchRequest,
  ProvisionAccessRequest,
  RedeemLaunchRequest,
  RevokeAccessRequest,
} from '#proto/eduk/gateway/v1/access';
import { digestOf } from '../secrets.ts';
import { settle } from '../settle.ts';
import type { Door, Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { hasRef, namedLearner } from './people.ts';

const provision = (revoke: boolean) => ({
  roles: [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER],
  service: Service.SERVICE_ACCESS,
  remember: 400 as const,
  reference: (request: ProvisionAccessRequest) => request.reference,
  school: (request: ProvisionAccessRequest) => request.schoolOin,
  check: (request: ProvisionAccessRequest) => {
    if (!request.schoolOin) throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
    if (!request.entitlementId)
      throw new GatewayError('wire.invalid', 'Name the entitlement.', { where: 'entitlement_id' });
  },
  events: (request: ProvisionAccessRequest, _found: unknown, { caller }: { caller: { oin: string } }) => [
    event(
      'ProvisionSubmitted',
      { schoolOin: request.schoolOin, entitlementId: request.entitlementId, revoke, byOin: caller.oin },
      request.schoolOin,
    ),
  ],
  about: (request: ProvisionAccessRequest) => ({ entitlementId: request.entitlementId }),
});

export const provisionAccess: Intake<ProvisionAccessRequest> = {
  method: 'AccessService/ProvisionAccess',
  type: 'eduk.gateway.v1.ProvisionAccessRequest',
  codec: ProvisionAccessRequest,
  ...provision(false),
};
export const revokeAccess: Intake<RevokeAccessRequest> = {
  method: 'AccessService/RevokeAccess',
  type: 'eduk.gateway.v1.RevokeAccessRequest',
  codec: RevokeAccessRequest,
  ...provision(true),
};

/** A launch is named after the flow that asked it, so a repeat means the same one. */
export const launchIdOf = (flowId: string): string => flowId;

/** The launch's id, a dot, and a secret. */
export const ticketOf = (door: Pick<Door, 'derive'>, launchId: string): string =>
  `${launchId}.${door.derive('ticket', launchId)}`;

export const createLaunch: Intake<CreateLaunchRequest> = {
  method: 'AccessService/CreateLaunch',
  type: 'eduk.gateway.v1.CreateLaunchRequest',
  codec: CreateLaunchRequest,
  roles: [
    Role.ROLE_SCHOOL,
    Role.ROLE_ADMINISTRATION,
    Role.ROLE_DISTRIBUTOR,
    Role.ROLE_PLATFORM,
    Role.ROLE_FEDERATION,
    Role.ROLE_DASHBOARD,
  ],
  service: Service.SERVICE_ACCESS,
  remember: 35,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (!request.schoolOin) throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
    if (!hasRef(request.learner))
      throw new GatewayError('wire.invalid', 'Name the learner by ECK iD or key.', { where: 'learner' });
    if (!request.entitlementId === !request.productId)
      throw new GatewayError('wire.invalid', 'Name an entitlement or a product.', { where: 'entitlement_id' });
  },
  people: (request) => [namedLearner(request.learner!, 'learner', false)],
  events: (request, found, { caller, flowId, door }) => {
    const launchId = launchIdOf(flowId);
    return [
      event(
        'LaunchSubmitted',
        {
          launchId,
          schoolOin: request.schoolOin,
          learner: found.tokens[0]!,
          entitlementId: request.entitlementId,
          productId: request.productId,
          ticketDigest: digestOf(ticketOf(door, launchId)),
          byOin: caller.oin,
        },
        found.tokens[0]!,
      ),
    ];
  },
  about: (request) => ({ productId: request.productId, entitlementId: request.entitlementId }),
};

const launchOf = (ticket: string): string => ticket.split('.')[0] ?? '';

export const redeemLaunch: Intake<RedeemLaunchRequest> = {
  method: 'AccessService/RedeemLaunch',
  type: 'eduk.gateway.v1.RedeemLaunchRequest',
  codec: RedeemLaunchRequest,
  roles: [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER],
  service: Service.SERVICE_ACCESS,
  remember: 35,
  reference: (request) => request.reference,
  school: (_request, located) => (located as LaunchRow).schoolOin,
  locate: async (request, door, caller) => {
    // Who has nothing to do with the school is not told that there is such a launch, not by the time it takes either.
    const launch = await settle(door, async () => {
      const { launch } = await door.services.access.getLaunch({ launchId: launchOf(request.ticket) });
      return launch && door.chain.between(launch.schoolOin, caller.oin).length > 0 ? launch : undefined;
    });
    if (!launch) throw new GatewayError('state.missing', 'No launch has this ticket.', { where: 'ticket' });
    return launch;
  },
  check: (request) => {
    if (!/^[0-9a-f-]{36}\.[\w-]{20,}$/.test(request.ticket))
      throw new GatewayError('wire.invalid', 'This is not the form of a ticket.', { where: 'ticket' });
  },
  // Keyed by the learner, behind the launch itself.
  events: (request, _found, { caller, located }) => {
    const launch = located as LaunchRow;
    return [
      event(
        'RedeemSubmitted',
        { launchId: launchOf(request.ticket), ticketDigest: digestOf(request.ticket), byOin: caller.oin },
        launch.learner || launch.schoolOin,
      ),
    ];
  },
};
