import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { fullAt, growthOf } from './disk.ts';
import { delivery } from './index.ts';
import { diskUse } from './tables.ts';

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const GB = 1_000_000_000;

function gateway() {
  const bench = testBench(delivery);
  const client = bench.client(DeliveryServiceDefinition);
  const note = async (used: number, more: { place?: string; disk?: string; free?: number } = {}) => {
    const { place = 'state', disk = 'data', free = 100 * GB } = more;
    const uses = [{ place, disk, usedBytes: BigInt(used), freeBytes: BigInt(free) }];
    return (await client.noteDisks({ uses })).disks;
  };
  return { bench, client, note };
}

describe('how a place for data grows', () => {
  test('is told from an hour on, with when its disk is full, also after a restart', async () => {
    const { bench, client, note } = gateway();
    const began = bench.now();
    let used = 10 * GB;
    for (const end = began + HOUR - 5 * MIN; bench.now() < end; bench.advance(5 * MIN)) {
      const [state] = await note(used);
      expect([state!.growsBytes, state!.fullMs]).toEqual([undefined, undefined]);
      used += GB / 2;
    }
    bench.advance(10 * MIN);
    const [state] = await note(20 * GB);
    // Ten gigabytes in an hour and five minutes, and a hundred free.
    expect(Number(state!.growsBytes) / GB).toBeCloseTo((10 * 24 * 60) / 65, 1);
    expect((Number(state!.fullMs) - bench.now()) / MIN).toBeCloseTo(650, 0);
    expect([Number(state!.sinceMs), Number(state!.atMs)]).toEqual([began, bench.now()]);
    expect((await client.listDisks({})).disks).toEqual([state]);
    expect((await bench.restart().client(DeliveryServiceDefinition).listDisks({})).disks).toEqual([state]);
  });

  test('is told with what it holds now, in the first half hour too', async () => {
    const { bench, client, note } = gateway();
    const began = bench.now();
    await note(4_100);
    bench.advance(6 * MIN);
    const [state] = await note(GB);
    expect([Number(state!.use!.usedBytes), Number(state!.sinceMs), Number(state!.atMs)]).toEqual([
      GB,
      began,
      bench.now(),
    ]);
    expect((await client.listDisks({})).disks).toEqual([state]);
    // What it grew since the very first still counts.
    bench.advance(HOUR);
    const [later] = await note(2 * GB);
    expect(Number(later!.growsBytes) / GB).toBeCloseTo((2 * 24 * 60) / 66, 1);
  });

  test('is of all places of a disk together, and of a disk that cannot be asked only how it grows', async () => {
    const { bench, note } = gateway();
    const all = async (used: number) => {
      await note(used);
      await note(used, { place: 'vault' });
      return note(used, { place: 'postgresql', disk: 'postgresql', free: 0 });
    };
    await all(0);
    bench.advance(DAY);
    const [postgresql, state, vault] = (await all(10 * GB)).toSorted((a, b) => (a.use!.place < b.use!.place ? -1 : 1));
    // Two places of ten gigabytes a day fill a hundred in five days.
    expect([state, vault].map((one) => (Number(one!.fullMs) - bench.now()) / DAY)).toEqual([5, 5]);
    expect([postgresql!.growsBytes, postgresql!.fullMs]).toEqual([BigInt(10 * GB), undefined]);
  });

  test('is remembered for a week, one row for each half hour; a clock that was set back begins anew', async () => {
    const { bench, note } = gateway();
    const rows = () => bench.list(diskUse, { equals: [] }).length;
    const began = bench.now();
    for (let i = 0; i < 9 * 24; i++, bench.advance(HOUR)) for (let j = 0; j < 2; j++) await note(i * GB);
    expect(rows()).toBeLessThanOrEqual(7 * 24 + 1);
    bench.advance(began - bench.now());
    const [state] = await note(GB);
    expect([rows(), state!.growsBytes]).toEqual([1, undefined]);
    bench.advance(8 * DAY);
    await note(2 * GB, { place: 'vault' });
    expect(rows()).toBe(1);
  });
});

test('a steady growth is found whatever the measurements, and neither a sudden nor a slow one hides', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 7 * 24 * 60 }), { minLength: 1, maxLength: 50 }),
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.integer({ min: 0, max: GB }),
      (minutes, perMinute, start) => {
        const measured = [...new Set(minutes)]
          .sort((a, b) => a - b)
          .map((minute) => ({ atMs: minute * MIN, used: start + minute * perMinute }));
        const grows = growthOf(measured);
        const span = measured.at(-1)!.atMs - measured[0]!.atMs;
        if (span < HOUR) expect(grows).toBeUndefined();
        else expect(grows! / Math.max(1, perMinute * 24 * 60)).toBeCloseTo(perMinute === 0 ? 0 : 1, 6);
      },
    ),
  );
  const steps = (days: readonly number[]) => days.map((used, day) => ({ atMs: day * DAY, used }));
  expect(growthOf(steps([0, 0, 0, 0, 0, 0, 10]))).toBe(10);
  expect(growthOf(steps([0, 10, 20, 30, 40, 50, 50]))).toBeCloseTo(50 / 6);
  expect(growthOf(steps([50, 40, 30]))).toBe(-10);
});

test('a disk is full no sooner than now, sooner the faster it grows, and never where it does not', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: GB }), fc.integer({ min: -GB, max: GB }), (at, free, grows) => {
      const full = fullAt(at, free, grows);
      if (grows <= 0) expect(full).toBeUndefined();
      if (full !== undefined) {
        expect(full).toBeGreaterThanOrEqual(at);
        expect(fullAt(at, free, grows * 2)!).toBeLessThanOrEqual(full);
      }
    }),
  );
});
