import { connect, type Transport } from '#kernel';
import { AccessServiceDefinition } from '#proto/eduk/access/v1/access';
import { AuditServiceDefinition } from '#proto/eduk/audit/v1/audit';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { CatalogueServiceDefinition } from '#proto/eduk/catalogue/v1/catalogue';
import { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import { FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { OrdersServiceDefinition } from '#proto/eduk/orders/v1/orders';
import { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { ReadinessServiceDefinition } from '#proto/eduk/readiness/v1/readiness';
import { ResultsServiceDefinition } from '#proto/eduk/results/v1/results';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import type { Services } from './submission.ts';

/** The services behind the doors, each over its transport. */
export const connectServices = (state: Transport, vault: Transport): Services => ({
  log: connect(LogServiceDefinition, state),
  parties: connect(PartiesServiceDefinition, state),
  catalogue: connect(CatalogueServiceDefinition, state),
  rosters: connect(RostersServiceDefinition, state),
  orders: connect(OrdersServiceDefinition, state),
  entitlements: connect(EntitlementsServiceDefinition, state),
  access: connect(AccessServiceDefinition, state),
  results: connect(ResultsServiceDefinition, state),
  flows: connect(FlowsServiceDefinition, state),
  readiness: connect(ReadinessServiceDefinition, state),
  delivery: connect(DeliveryServiceDefinition, state),
  audit: connect(AuditServiceDefinition, state),
  vault: connect(VaultServiceDefinition, vault),
});
