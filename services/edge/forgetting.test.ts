import { expect, test } from 'vitest';
import { testBench } from '#bus';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
// The owner of the answer, so that the page and its order are the real ones.
import { rosters } from '#services/rosters';
import { ForgetWatch } from './forgetting.ts';

const now = Date.parse('2026-11-22T09:00:00Z');

test('what the log decided reaches the vault after a restart, in pages, and an old word is not repeated', async () => {
  const bench = testBench(rosters, { now });
  for (let i = 0; i < 1500; i++)
    bench.submit(
      'LearnerForgetSubmitted',
      { schoolOin: 's', learner: `lt_${i}`, destroyAtMs: BigInt(now + i), byOin: 'x' },
      `lt_${i}`,
      { school: 's' },
    );
  bench.submit(
    'LearnerForgetSubmitted',
    { schoolOin: 's', learner: 'lt_old', destroyAtMs: BigInt(now - 30 * 86_400_000), byOin: 'x' },
    'lt_old',
    { school: 's' },
  );
  const told = new Map<string, bigint>();
  const vault = {
    forget: async ({ token, atMs }: { token: string; atMs: bigint }) => {
      told.set(token, atMs);
      return { known: true, destroyed: false };
    },
  };
  const watch = new ForgetWatch({ rosters: bench.client(RostersServiceDefinition), vault } as never, () => now);
  await watch.start();
  watch.stop();
  expect(told.size).toBe(1500);
  expect(told.get('lt_7')).toBe(BigInt(now + 7));
  expect(told.has('lt_old')).toBe(false);
});
