import { describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { decoded, emit, type ServiceModule, table } from './index.ts';
import { MemoryStore, testBench } from './memory.ts';
import { StoreFailure } from './store.ts';

interface Row {
  productId: string;
  title: string;
  times: number;
}
const seen = table<Row>({
  name: 'shelf_seen',
  key: ['productId'],
  columns: { productId: 'text', title: 'text', times: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** Publishes what is submitted; a second look counts; knows no product `none` before `some`. */
const shelf: ServiceModule = {
  name: 'shelf',
  tables: [seen],
  consumers: [
    {
      name: 'shelf',
      streams: ['catalogue'],
      types: ['ProductSubmitted'],
      handle(record, unit) {
        const { product, byOin } = decoded(record, 'ProductSubmitted');
        const productId = product!.productId;
        if (productId === 'poison') throw new Error('poison');
        if (productId === 'late' && !unit.get(seen, 'early')) unit.wait('product early', unit.now + 86_400_000);
        const row = unit.get(seen, productId);
        unit.put(seen, { productId, title: product!.title, times: (row?.times ?? 0) + 1 });
        emit(unit, 'ProductPublished', { product, byOin } as never, record.key);
        unit.wake(`product ${productId}`);
        if (productId === 'timed')
          unit.setTimer({ id: 'again', atMs: unit.now + 1000, key: record.key, payload: 'timed' });
      },
      onTimer(timer, unit) {
        const row = unit.get(seen, timer.payload)!;
        unit.put(seen, { ...row, times: row.times + 100 });
      },
      onDeadline(record, what, unit) {
        emit(unit, 'ProductRefused', { code: 'product.unknown', told: what } as never, record.key);
      },
    },
  ],
  serve: () => [],
};
const submit = (bench: ReturnType<typeof testBench>, productId: string) =>
  bench.submit('ProductSubmitted', { product: { productId, title: productId } as never }, productId);

describe('a bench', () => {
  test('decides what is submitted, and shows events and rows', () => {
    const bench = testBench(shelf);
    const flowId = submit(bench, 'a');
    submit(bench, 'a');
    expect(bench.get(seen, 'a')).toEqual({ productId: 'a', title: 'a', times: 2 });
    expect(bench.events('ProductPublished').map(({ key, flowId }) => ({ key, flowId }))[0]).toEqual({
      key: 'a',
      flowId,
    });
    expect(bench.events()).toHaveLength(2);
  });

  test('lets a record wait, and wakes it', () => {
    const bench = testBench(shelf);
    submit(bench, 'late');
    submit(bench, 'late');
    expect(bench.waiting().map(({ what }) => what)).toEqual(['product early', '']);
    submit(bench, 'early');
    expect(bench.waiting()).toEqual([]);
    expect(bench.get(seen, 'late')?.times).toBe(2);
  });

  test('fires timers and deadlines as time goes on', () => {
    const bench = testBench(shelf);
    submit(bench, 'timed');
    submit(bench, 'late');
    bench.advance(999);
    expect(bench.get(seen, 'timed')?.times).toBe(1);
    bench.advance(1);
    expect(bench.get(seen, 'timed')?.times).toBe(101);
    bench.advance(86_400_000);
    expect(bench.events('ProductRefused').map(({ value }) => value.told)).toEqual(['product early']);
    expect(bench.waiting()).toEqual([]);
  });

  test('parks a key whose record cannot be handled, and only that key', () => {
    const bench = testBench(shelf);
    submit(bench, 'poison');
    submit(bench, 'poison');
    submit(bench, 'a');
    expect(bench.parked()).toMatchObject([{ consumer: 'shelf', key: 'poison', code: 'gateway.bug', events: 2 }]);
    expect(bench.get(seen, 'a')?.times).toBe(1);
  });

  test('lets a stopped stream go on by a retry that was committed, not by one that failed', () => {
    let isFull = false;
    const store = new (class extends MemoryStore {
      override commit(): void {
        if (isFull) throw new StoreFailure(new GatewayError('gateway.disk_full'));
        super.commit();
      }
    })();
    const ill: ServiceModule = {
      ...shelf,
      consumers: shelf.consumers.map((consumer) => ({
        ...consumer,
        handle(record, unit) {
          if (record.key.startsWith('ill')) throw new Error('poison');
          consumer.handle(record, unit);
        },
      })),
    };
    const bench = testBench(ill, { store });
    for (let n = 1; n <= 5; n++) submit(bench, `ill ${n}`);
    const stopped = () => bench.ages().find(({ stream }) => stream === 'catalogue')?.stopped;
    expect(stopped()).toBe(true);
    isFull = true;
    expect(() => bench.retryParked('shelf', 'catalogue', 'ill 1')).toThrow(
      expect.objectContaining({ fault: 'gateway.disk_full' }),
    );
    isFull = false;
    expect(stopped()).toBe(true);
    submit(bench, 'a');
    expect(bench.get(seen, 'a')).toBeUndefined();
    expect(bench.retryParked('shelf', 'catalogue', 'ill 1')).toBe(true);
    expect(stopped()).toBe(false);
    expect(bench.get(seen, 'a')?.times).toBe(1);
  });

  test('what was gathered in a group that is undone counts once, with the group that replaces it', () => {
    const adder: ServiceModule = {
      name: 'adder',
      tables: [seen],
      consumers: [
        {
          name: 'adder',
          streams: ['catalogue'],
          types: ['ProductSubmitted'],
          handle(record, unit) {
            unit.gather('all', 1);
            unit.get(seen, record.key);
          },
          settle(sums, unit) {
            const times = (unit.get(seen, 'all')?.times ?? 0) + sums.get('all')!;
            unit.put(seen, { productId: 'all', title: '', times });
          },
        },
      ],
      serve: () => [],
    };
    let reads = Infinity;
    const store = new Proxy(new MemoryStore(), {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const [layout] = args as [{ name: string }];
          if (name === 'get' && layout.name === seen.name && reads-- === 0) throw new StoreFailure(new Error('unread'));
          return value.apply(target, args);
        };
      },
    });
    const bench = testBench(adder, { store });
    for (let n = 1; n <= 9; n++) bench.append('ProductSubmitted', {}, `p${n}`);
    reads = 4;
    expect(() => bench.run()).toThrow(expect.objectContaining({ fault: 'gateway.bug' }));
    bench.run();
    expect(bench.get(seen, 'all')?.times).toBe(9);
  });

  test('goes on after a restart', () => {
    const bench = testBench(shelf);
    submit(bench, 'a');
    const again = bench.restart();
    submit(again, 'a');
    expect(again.get(seen, 'a')?.times).toBe(2);
  });
});
