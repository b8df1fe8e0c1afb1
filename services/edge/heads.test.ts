import { expect, test } from 'vitest';
import { LogHead } from '#proto/eduk/core/v1/audit';
import { Heads } from './heads.ts';

const headOf = (size: number, root: number, timeMs = 1): LogHead =>
  LogHead.fromPartial({
    logId: Buffer.alloc(32, 1),
    size: BigInt(size),
    root: Buffer.alloc(32, root),
    timeMs: BigInt(timeMs),
  });

test('each party is given each head once, and after a restore one of the same size too', async () => {
  let head = headOf(5, 1);
  // As it comes over a port: another object each time.
  const heads = new Heads({ getHead: async () => ({ head: LogHead.fromPartial(head), keys: [] }) });
  await heads.look();
  const root = (party: string): number | undefined => {
    const bytes = heads.newFor(party);
    return bytes && LogHead.decode(bytes).root[0];
  };
  expect([root('a'), root('a'), root('b')]).toEqual([1, undefined, 1]);
  await heads.look();
  expect([root('a'), root('b')]).toEqual([undefined, undefined]);
  head = headOf(5, 2, 2);
  await heads.look();
  expect(heads.newest?.root[0]).toBe(2);
  expect([root('a'), root('a'), root('c')]).toEqual([2, undefined, 2]);
  head = headOf(3, 3, 3);
  await heads.look();
  expect([root('a'), root('b')]).toEqual([3, 3]);
});
