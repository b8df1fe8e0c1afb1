import { expect, test } from 'vitest';
import { startTestGateway } from '../chain/gateway.ts';
import { pullFigures } from './pull.ts';

test('a school is pulled whole and in pieces; how fast is for the bench', async () => {
  const at = await startTestGateway();
  const { inPieces, mb } = await pullFigures(at, 300, 1);
  expect(inPieces).toBe(true);
  expect(mb).toBeGreaterThan(0.1);
  await at.stop();
});
