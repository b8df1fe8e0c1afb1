import { expect, test } from 'vitest';
import { testBench } from '#bus';
import { Pull, RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { rosters } from './index.ts';

test('who asks has the right to for as long as it says so, and nobody has it twice', async () => {
  const b = testBench(rosters, { now: '2026-11-22T10:00:00Z' });
  const pull = Pull.fromPartial({ partyOin: '1', schoolOin: '2', schoolYear: '2026-2027' });
  const [one, other] = [Uint8Array.of(1), Uint8Array.of(2)];
  const claim = async (by: Uint8Array, now = true) =>
    (await b.client(RostersServiceDefinition).claimPull({ pull, claim: by, leaseMs: 90_000n, now })).taken;
  expect([await claim(one), await claim(other)]).toEqual([true, false]);
  for (let i = 0; i < 5; i++) {
    b.advance(60_000);
    expect([await claim(one, false), await claim(other)]).toEqual([true, false]);
  }
  b.advance(90_000);
  expect([await claim(other), await claim(one, false)]).toEqual([true, false]);
  const noted = Pull.fromPartial({ ...pull, outcome: 'applied', dueMs: BigInt(b.now() + 60_000) });
  await b.client(RostersServiceDefinition).notePull({ pull: noted, claim: other });
  // What was noted is not taken up again by a word that comes late.
  expect([await claim(other, false), await claim(one)]).toEqual([false, true]);
});
