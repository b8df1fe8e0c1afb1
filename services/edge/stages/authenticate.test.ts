import { expect, test, vi } from 'vitest';
import type { Chain } from '../chain.ts';
import { digestOf } from '../secrets.ts';
import { authenticate, clientOf } from './authenticate.ts';

const compared = vi.hoisted(() => [] as [number, number][]);
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  return {
    ...real,
    timingSafeEqual(a: Uint8Array, b: Uint8Array) {
      compared.push([a.length, b.length]);
      return real.timingSafeEqual(a, b);
    },
  };
});

const none = new Uint8Array(0);
const known = {
  clientSecret: digestOf('right'),
  clientSecretBefore: none,
  beforeUntilMs: 0n,
};
const chain = {
  byClientId: (id: string) => (id === 'known' ? 'oin' : undefined),
  credentials: () => known,
} as unknown as Chain;

test('a client is looked up in the same time whether it is known or not, and whatever its secret', () => {
  const work = (id: string, secret: string) => {
    compared.length = 0;
    let oin = '';
    try {
      oin = clientOf(chain, id, secret, 0);
    } catch {
      // Refused, as most of these are.
    }
    return { oin, compared: [...compared] };
  };
  const right = work('known', 'right');
  expect(right.oin).toBe('oin');
  // Digests of equal length, compared in constant time, the renewed secret and the one before.
  expect(right.compared).toEqual([
    [32, 32],
    [32, 32],
  ]);
  for (const [id, secret] of [
    ['known', 'wrong'],
    ['known', ''],
    ['known', 'right and more'],
    ['unknown', 'right'],
  ] as const)
    expect(work(id, secret)).toEqual({ oin: '', compared: right.compared });
});

test('a key is looked up by its digest only, so that no part of a right one is told from a wrong one', () => {
  const asked: string[] = [];
  const looking = {
    byApiKey(digest: Uint8Array) {
      asked.push(Buffer.from(digest).toString('hex'));
      return undefined;
    },
  } as unknown as Chain;
  const peer = { address: '127.0.0.1', listenerOnLoopback: true, proxied: false, certificate: undefined };
  const proofs = { chain: looking } as Parameters<typeof authenticate>[2];
  const keys = ['eduk_key_right', 'eduk_key_righ', 'eduk_key_rightt', 'eduk_key_'];
  for (const key of keys) expect(() => authenticate(`Bearer ${key}`, peer, proofs)).toThrow(/not known|unknown/i);
  expect(asked).toEqual(keys.map((key) => Buffer.from(digestOf(key)).toString('hex')));
});
