import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { callerGone, diallerFor, networksOf, systemClock, tooLate } from '#kernel';
import { Attempt, type ClaimAttemptsRequest, type ClaimAttemptsResponse } from '#proto/eduk/delivery/v1/delivery';
import type { Gate } from '../gate.ts';
import { startSender } from './sender.ts';

/** A sender whose questions for work the test answers. Attempts to `unknown` fail at once, those to `known` hang until `refreshed`. */
function started() {
  const calls: { request: ClaimAttemptsRequest; answer(attempts?: string[]): void }[] = [];
  let refreshed = (): void => {};
  const refresh = new Promise<void>((resolve) => {
    refreshed = resolve;
  });
  const door = {
    clock: systemClock,
    chain: {
      // Who is unknown fails at once; of the other the mandate is looked for once more.
      party: (oin: string) => (oin === 'known' ? { oin, roles: [] } : undefined),
      knowsSchool: () => false,
      isStopped: () => false,
      isClosed: () => false,
      boardOf: () => undefined,
      refresh: () => refresh,
    },
    services: {
      delivery: {
        claimAttempts: (request: ClaimAttemptsRequest) =>
          new Promise<ClaimAttemptsResponse>((resolve, reject) => {
            callerGone()?.onGone(() => reject(tooLate()));
            const answer = (of: string[] = []): void =>
              resolve({
                attempts: of.map((partyOin) => Attempt.fromPartial({ attemptId: partyOin, partyOin, service: 3 })),
                leaseMs: 12_000n,
              });
            calls.push({ request, answer });
          }),
      },
    },
  };
  const sender = startSender({ door } as unknown as Pick<Gate, 'door'>, '0', {
    dialler: diallerFor(networksOf([], true)),
    alone: true,
  });
  return { calls, sender, refreshed: () => refreshed() };
}

test('it goes on asking for work when outcomes were told with all that was free, and there was none', async () => {
  const { calls, sender, refreshed } = started();
  const until = async (count: number): Promise<void> => {
    for (let i = 0; calls.length < count && i < 6_000; i++) await sleep(5);
    expect(calls.length).toBe(count);
  };
  calls[0]!.answer(['unknown', 'known']);
  // It asks again, and tells what became of the first; the second ends while both wait for their answers.
  await until(3);
  // What an outcome frees can be started with the commit that takes it in: who polls has not asked for all that is free.
  expect(calls.slice(0, 3).map(({ request }) => request.attempts)).toEqual([128, 127, 128]);
  refreshed();
  await turn();
  calls[2]!.answer();
  calls[1]!.answer();
  await until(4);
  expect(calls[3]!.request).toMatchObject({ attempts: 256, outcomes: [{ attemptId: 'known' }] });
  calls[3]!.answer();
  await until(5);
  expect(calls[4]!.request.outcomes).toEqual([]);
  const stopping = sender.stop(100);
  calls[4]!.answer();
  await stopping;
});

test('attempts that hang take no places of others for long', async () => {
  const { calls, sender, refreshed } = started();
  calls[0]!.answer(Array.from({ length: 128 }, () => 'known'));
  const until = performance.now() + 60_000;
  const asks: number[] = [];
  for (let i = 1; asks.at(-1) !== 128 && performance.now() < until; i++) {
    while (calls.length <= i && performance.now() < until) await sleep(5);
    asks.push(calls[i]!.request.attempts);
    if (asks.at(-1) !== 128) {
      await sleep(50);
      calls[i]!.answer();
    }
  }
  // At first they count: half of what is left. Then all is free again.
  expect([asks[0], asks.at(-1)]).toEqual([64, 128]);
  refreshed();
  const stopping = sender.stop(1_000);
  for (const { answer } of calls) answer();
  const answering = setInterval(() => {
    for (const { answer } of calls) answer();
  }, 5);
  await stopping;
  clearInterval(answering);
});

test('a stop waits for no work that may still come', async () => {
  const { calls, sender } = started();
  expect(calls.map(({ request }) => request.waitMs)).toEqual([1_000n]);
  // Nobody answers; it would take until the end of the test.
  await sender.stop(600_000);
  expect(calls).toHaveLength(1);
});
