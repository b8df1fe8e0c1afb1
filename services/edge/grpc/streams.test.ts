import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import type { Caller } from '../caller.ts';
import { Streams } from './streams.ts';

const caller: Caller = { kind: 'party', oin: '00000099000000001000', roles: new Set() };
const known = async () => caller;
const made: Streams[] = [];
afterEach(() => {
  for (const one of made.splice(0)) one.stop();
});
const streams = (everyMs = 5, most?: number): Streams => {
  const one = new Streams(everyMs, most);
  made.push(one);
  return one;
};
const newCall = () => Object.assign(new EventEmitter(), { cancelled: false }) as EventEmitter & { cancelled: boolean };
const reasonOf = async (signal: AbortSignal): Promise<string> => {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  return (signal.reason as GatewayError).fault;
};

describe('an open stream ends', () => {
  test('when its credential does not stand any more', async () => {
    let isKnown = true;
    const again = async () => {
      if (!isKnown) throw new GatewayError('party.unknown');
      return caller;
    };
    const over = streams().add(newCall(), caller, again, []);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(over.aborted).toBe(false);
    isKnown = false;
    expect(await reasonOf(over)).toBe('party.unknown');
  });

  test('when its credential is somebody else’s now', async () => {
    const other = async (): Promise<Caller> => ({ ...caller, oin: '00000099000000002000' });
    expect(await reasonOf(streams().add(newCall(), caller, other, []))).toBe('party.unknown');
  });

  test('when its party may other things now: what it sends is judged by what that was at its beginning', async () => {
    let roles: Caller['roles'] = new Set([Role.ROLE_PUBLISHER]);
    const again = async (): Promise<Caller> => ({ ...caller, roles });
    const over = streams().add(newCall(), { ...caller, roles }, again, []);
    roles = new Set([Role.ROLE_PUBLISHER]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(over.aborted).toBe(false);
    roles = new Set([Role.ROLE_PLATFORM]);
    expect(await reasonOf(over)).toBe('gateway.unavailable');
  });

  test('when the gateway stops or the connection is old, also when that was so before', async () => {
    for (const [which, fault] of [
      [0, 'gateway.stopping'],
      [1, 'gateway.unavailable'],
    ] as const) {
      const before = new AbortController();
      const ends = which === 0 ? [before.signal, undefined] : [undefined, before.signal];
      const over = streams().add(newCall(), caller, known, ends);
      before.abort();
      expect(await reasonOf(over)).toBe(fault);
      expect((over.reason as GatewayError).retryAfterS).toBeGreaterThan(0);
      expect(await reasonOf(streams().add(newCall(), caller, known, ends))).toBe(fault);
    }
  });
});

test('that nobody can say who calls ends no stream: what it carries is judged by itself', async () => {
  const over = streams().add(newCall(), caller, () => Promise.reject(new GatewayError('gateway.overloaded')), []);
  await new Promise((resolve) => setTimeout(resolve, 40));
  expect(over.aborted).toBe(false);
});

test('a party has so many open and no more, until one of them ends', () => {
  const of = streams(1_000, 3);
  const calls = [newCall(), newCall(), newCall()];
  for (const call of calls) of.add(call, caller, known, []);
  expect(() => of.add(newCall(), caller, known, [])).toThrow('gateway.overloaded');
  of.add(newCall(), { ...caller, oin: 'another' }, known, []);
  calls[0]!.emit('finish');
  calls[0]!.emit('close');
  of.add(newCall(), caller, known, []);
  expect(of.count).toBe(4);
});
