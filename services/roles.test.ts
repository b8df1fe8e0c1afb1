import { expect, test } from 'vitest';
import { AccessServiceDefinition } from '#proto/eduk/access/v1/access';
import { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import { FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { OrdersServiceDefinition } from '#proto/eduk/orders/v1/orders';
import { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import { ReadinessServiceDefinition } from '#proto/eduk/readiness/v1/readiness';
import { ResultsServiceDefinition } from '#proto/eduk/results/v1/results';
import { alongside, mayCall, once, questions, type RoleName } from './roles.ts';

test.each<[called: RoleName, names: string[], may: boolean]>([
  ['vault', ['door'], true],
  ['vault', ['desk'], true],
  ['vault', ['delivery'], true],
  ['vault', ['edge'], true],
  ['vault', ['door', 'eduk-gateway-door.chain.svc'], true],
  ['vault', ['Some name', 'eduk-gateway-delivery.chain.svc'], true],
  ['vault', ['core'], false],
  ['vault', ['watch'], false],
  ['vault', ['vault'], false],
  ['vault', ['eduk-gateway-core.door.svc'], false],
  ['vault', ['doorstep'], false],
  ['vault', ['localhost'], false],
  ['vault', [], false],
  ['core', ['delivery'], true],
  ['core', ['door'], true],
  ['core', ['watch'], false],
  ['delivery', ['door'], true],
  ['delivery', ['core'], false],
  ['watch', ['door'], true],
])('%s is called by %j: %s', (called, names, may) => {
  expect(mayCall([called], names)).toBe(may);
});

test('a process of several roles is called by those of each', () => {
  expect(mayCall(['vault', 'watch'], ['delivery'])).toBe(true);
  expect(mayCall(['vault', 'watch'], ['core'])).toBe(false);
});

test('a question is a method that there is, and asking it twice changes nothing', () => {
  const all = [
    AccessServiceDefinition,
    DeliveryServiceDefinition,
    EntitlementsServiceDefinition,
    FlowsServiceDefinition,
  ];
  const others = [
    OrdersServiceDefinition,
    PartiesServiceDefinition,
    ReadinessServiceDefinition,
    ResultsServiceDefinition,
  ];
  const there = [...all, ...others].flatMap((of) =>
    Object.keys(of.methods).map((method) => `${of.fullName}/${method}`),
  );
  expect([...questions, ...alongside].filter((one) => !there.includes(one) || once.has(one))).toEqual([]);
});
