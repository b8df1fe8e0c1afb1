import type { ServiceDefinition } from '#kernel';
import { AccessServiceDefinition } from '#proto/eduk/gateway/v1/access';
import { AuditServiceDefinition } from '#proto/eduk/gateway/v1/audit';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import { DeliveryServiceDefinition } from '#proto/eduk/gateway/v1/delivery';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import { FlowServiceDefinition } from '#proto/eduk/gateway/v1/flow';
import { IdentityServiceDefinition } from '#proto/eduk/gateway/v1/identity';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import { PartyServiceDefinition } from '#proto/eduk/gateway/v1/party';
import { ResultServiceDefinition } from '#proto/eduk/gateway/v1/result';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';

/** The public surface: what parties call. */
export const publicServices = [
  PartyServiceDefinition,
  CatalogueServiceDefinition,
  RosterServiceDefinition,
  OrderServiceDefinition,
  EntitlementServiceDefinition,
  AccessServiceDefinition,
  ResultServiceDefinition,
  IdentityServiceDefinition,
  FlowServiceDefinition,
  DeliveryServiceDefinition,
  AuditServiceDefinition,
] as const satisfies readonly ServiceDefinition[];
