import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { diallerFor, networksOf, systemClock } from '#kernel';
import { Attempt, type ClaimAttemptsRequest, type ClaimAttemptsResponse } from '#proto/eduk/delivery/v1/delivery';
import type { Gate } from '../gate.ts';
import { startSender } from './sender.ts';

test('it goes on asking for work when outcomes were told with all that was free, and there was none', async () => {
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
          new Promise<ClaimAttemptsResponse>((resolve) => {
            const answer = (of: string[] = []): void =>
              resolve({
                attempts: of.map((partyOin) => Attempt.fromPartial({ attemptId: partyOin, partyOin })),
                leaseMs: 12_000n,
              });
            calls.push({ request, answer });
          }),
      },
    },
  };
  const until = async (count: number): Promise<void> => {
    for (let i = 0; calls.length < count && i < 200; i++) await sleep(5);
    expect(calls.length).toBe(count);
  };
  const sender = startSender({ door } as unknown as Pick<Gate, 'door'>, '0', {
    dialler: diallerFor(networksOf([], true)),
    alone: true,
  });
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
