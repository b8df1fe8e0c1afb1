import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { GatewayError, HmacKey } from '#kernel';
import { PublishProductsRequest } from '#proto/eduk/gateway/v1/catalogue';
import { publishProducts } from '../intake/catalogue.ts';
import { paceOf, Turns } from '../turns.ts';
import { serveBulk } from './bulk.ts';

const caller = { kind: 'party' as const, oin: '00000099000000001000', roles: new Set([3]) };

/** A stream of so many products at a door whose vault and log do what the test says. */
async function sendAll(
  count: number,
  services: {
    salts?: (asked: number) => Promise<void> | void;
    accept?: (keys: number[], asked: number) => Promise<void> | void;
  },
  leaving: AbortSignal = new AbortController().signal,
  itemsPerS = 100_000,
) {
  const taken: number[] = [];
  let salted = 0;
  let accepted = 0;
  const door = {
    digestKey: new HmacKey(new Uint8Array(32)),
    clock: { now: () => 1_800_000_000_000 },
    open: () => true,
    services: {
      vault: {
        salts: async ({ flowIds }: { flowIds: Uint8Array[] }) => {
          await services.salts?.(salted++);
          return { salts: flowIds.map(() => new Uint8Array(16)) };
        },
      },
      log: {
        accept: async ({ entries }: { entries: { events: { type: string; key: string }[] }[] }) => {
          const messages = entries.filter(({ events }) => events[0]!.type !== 'AuditSubmitted');
          const keys = messages.map(({ events }) => Number(events[0]!.key));
          await services.accept?.(keys, accepted++);
          taken.push(...keys);
          return { outcomes: entries.map(() => ({ taken: 1, answer: new Uint8Array(0), flowId: new Uint8Array(16) })) };
        },
      },
    },
  };
  const acks: number[] = [];
  const call = new Duplex({
    objectMode: true,
    read() {},
    write(ack: { through: bigint }, _encoding, done) {
      acks.push(Number(ack.through));
      done();
    },
  });
  const ended = new Promise<{ code?: number } | undefined>((resolve) => {
    call.on('finish', () => resolve(undefined));
    call.on('error', (thrown) => resolve(thrown as { code?: number }));
  });
  const intake = { ...publishProducts, roles: [] };
  const gate = { door, notes: { note: () => undefined }, turns: new Turns(paceOf(100_000, itemsPerS)) };
  serveBulk(call as never, intake, caller as never, gate as never, leaving);
  for (let i = 0; i < count; i++)
    call.push(
      Buffer.from(
        PublishProductsRequest.encode(
          PublishProductsRequest.fromPartial({ reference: `r${i}`, product: { productId: String(i), title: 'Wilg' } }),
        ).finish(),
      ),
    );
  call.push(null);
  const error = await ended;
  // What was handed to the stages before it ended.
  await sleep(100);
  return { taken, acks, error };
}
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test('a group that was quicker than the one before it is not handed to the log before it', async () => {
  // The first group is slow, as one of unknown pupils is.
  const { taken, acks } = await sendAll(600, { salts: (asked) => (asked === 0 ? sleep(50) : undefined) });
  expect(taken).toEqual(upTo(600));
  expect(acks).toEqual([...acks].sort((a, b) => a - b));
  expect(acks.at(-1)).toBe(599);
});

test.each([
  ['the vault did not answer', { salts: (asked: number) => failAt(asked, 1) }],
  ['the log did not take', { accept: (_: number[], asked: number) => failAt(asked, 1) }],
])(
  'nothing is taken of what stands behind a group that %s: its sender repeats from there, in order',
  async (_, services) => {
    const { taken, acks, error } = await sendAll(600, services);
    expect(taken).toEqual(upTo(taken.length));
    expect(taken.length).toBeLessThan(600);
    expect(acks.at(-1)).toBe(taken.length - 1);
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
  },
);

/** Answers the question of this number later, with a failure. */
async function failAt(asked: number, at: number): Promise<void> {
  if (asked !== at) return;
  await sleep(20);
  throw new GatewayError('gateway.unavailable');
}

test('a stream that must leave answers what is under way, reads no more and says why', async () => {
  const leaving = new AbortController();
  const why = new GatewayError('gateway.unavailable', undefined, { retryAfterS: 1 });
  const { taken, acks, error } = await sendAll(
    2_000,
    {
      accept: async (_keys, asked) => {
        if (asked === 0) leaving.abort(why);
        await sleep(20);
      },
    },
    leaving.signal,
  );
  expect(error).toMatchObject({ code: status.UNAVAILABLE });
  // All that was taken is answered, and nothing else.
  expect(taken.length).toBeGreaterThanOrEqual(200);
  expect(taken.length).toBeLessThanOrEqual(600);
  expect(acks.at(-1)).toBe(taken.length - 1);
});

test('of a sender whom nobody knows any more nothing is taken that was not on its way to the log', async () => {
  const leaving = new AbortController();
  const { taken, error } = await sendAll(
    2_000,
    {
      accept: async (_keys, asked) => {
        if (asked === 0) leaving.abort(new GatewayError('party.unknown'));
        await sleep(20);
      },
    },
    leaving.signal,
  );
  expect(error).toMatchObject({ code: status.UNAUTHENTICATED });
  expect(taken).toEqual(upTo(200));
});

test('a party that sends faster than it may is read no faster', async () => {
  const began = performance.now();
  // Two seconds' worth at once, then 1,000 a second.
  const { taken } = await sendAll(2_400, {}, undefined, 1_000);
  expect(taken).toEqual(upTo(2_400));
  expect(performance.now() - began).toBeGreaterThan(250);
});
