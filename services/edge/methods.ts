/** Which service of a mandate a method is of, from the methods themselves. */
import type { Service } from '#proto/eduk/core/v1/party';
import { bulks, writes } from './grpc/writes.ts';

const services: ReadonlyMap<string, Service | null> = new Map([
  ...writes.flatMap(({ methods }) =>
    Object.values(methods).map(({ intake }): [string, Service | null] => [intake.method, intake.service ?? null]),
  ),
  ...bulks.flatMap(({ methods }) =>
    Object.values(methods).map((intake): [string, Service | null] => [intake.method, intake.service ?? null]),
  ),
]);

/** The service of the mandate that a method needs; null = it needs none; undefined = it is none of ours, as those of adapters. */
export const serviceOf = (method: string): Service | null | undefined => services.get(method);
