import { expect, test } from 'vitest';
import { connectionFigures } from '../bench/connections.ts';

test('idle and slow connections cost little, and others are answered', async () => {
  const { beforeMb, idleMb, slowMb, aloneMs, slowestMs } = await connectionFigures(400, 60);
  const [idle, slow] = [idleMb - beforeMb, slowMb - idleMb];
  console.log(
    `400 idle: ${Math.round(idle)} MB, 60 slow: ${Math.round(slow)} MB, slowest answer ${Math.round(slowestMs)} ms`,
  );
  // About 45 kB each, and a heap that grows before it is swept.
  expect(idle).toBeLessThan(80);
  // What they brought, twice.
  expect(slow).toBeLessThan(120);
  // What else runs on the machine slows both.
  expect(slowestMs).toBeLessThan(Math.max(5_000, 20 * aloneMs));
});
