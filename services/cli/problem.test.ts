import { expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { asProblem } from './problem.ts';

test('a store that fails is told by its cause, and what is unknown by its class only', () => {
  const lost = Object.assign(new Error('store failed', { cause: new GatewayError('gateway.unavailable') }), {
    name: 'StoreFailure',
  });
  expect(asProblem(lost)).toMatchObject({ code: 'gateway.unavailable' });
  const unknown = asProblem(new RangeError('a secret'));
  expect(unknown).toMatchObject({ code: 'gateway.bug' });
  expect(unknown.message).not.toContain('secret');
});
