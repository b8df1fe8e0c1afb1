/** Between OSR's names and ours. */
import { RegisteredEndpoint } from '#proto/eduk/core/v1/party';
import type { Endpoint, Mandate, School } from './wire.ts';

/** What OSR says of a supplier on a day. */
export interface Mandated {
  holds: boolean;
  /** First and last day; empty = not said. */
  validFrom: string;
  validUntil: string;
}

/** A school that OSR knows. */
export interface KnownSchool {
  oin: string;
  name: string;
}

/** An endpoint, and whose it is where OSR says so. */
export interface SchoolEndpoint {
  endpoint: RegisteredEndpoint;
  supplierOin: string;
}

export const mandateToCore = ({ ok, start_date, end_date }: Mandate): Mandated => ({
  holds: ok,
  validFrom: start_date,
  validUntil: end_date,
});

export const schoolsToCore = (schools: readonly School[]): KnownSchool[] =>
  schools.map(({ oin, name }) => ({ oin, name }));

export const endpointsToCore = (endpoints: readonly Endpoint[]): SchoolEndpoint[] =>
  endpoints.map(({ routing_id, url, attributes, start_date, end_date, supplier_oin }) => ({
    endpoint: RegisteredEndpoint.fromPartial({
      routingId: routing_id,
      url,
      kind: attributes,
      validFrom: start_date,
      validUntil: end_date,
    }),
    supplierOin: supplier_oin,
  }));
