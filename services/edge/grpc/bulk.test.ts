import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { HmacKey } from '#kernel';
import { PublishProductsRequest } from '#proto/eduk/gateway/v1/catalogue';
import { publishProducts } from '../intake/catalogue.ts';
import { serveBulk } from './bulk.ts';

const caller = { kind: 'party' as const, oin: '00000099000000001000', roles: new Set([3]) };

test('a group that was quicker than the one before it is not handed to the log before it', async () => {
  const taken: number[] = [];
  let asked = 0;
  const door = {
    digestKey: new HmacKey(new Uint8Array(32)),
    clock: { now: () => 1_800_000_000_000 },
    open: () => true,
    services: {
      vault: {
        // The first group is slow, as one of unknown pupils is.
        salts: async ({ flowIds }: { flowIds: Uint8Array[] }) => {
          if (asked++ === 0) await sleep(50);
          return { salts: flowIds.map(() => new Uint8Array(16)) };
        },
      },
      log: {
        accept: async ({ entries }: { entries: { events: { key: string }[] }[] }) => {
          taken.push(...entries.map(({ events }) => Number(events[0]!.key)));
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
  const ended = new Promise((resolve) => call.on('finish', resolve));
  const intake = { ...publishProducts, roles: [] };
  serveBulk(call as never, intake, caller as never, door as never, { note: () => undefined } as never);
  for (let i = 0; i < 600; i++)
    call.push(
      Buffer.from(
        PublishProductsRequest.encode(
          PublishProductsRequest.fromPartial({ reference: `r${i}`, product: { productId: String(i), title: 'Wilg' } }),
        ).finish(),
      ),
    );
  call.push(null);
  await ended;
  expect(taken).toEqual(Array.from({ length: 600 }, (_, i) => i));
  expect(acks).toEqual([...acks].sort((a, b) => a - b));
  expect(acks.at(-1)).toBe(599);
});
