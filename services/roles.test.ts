import { expect, test } from 'vitest';
import { mayCall, type RoleName } from './roles.ts';

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
