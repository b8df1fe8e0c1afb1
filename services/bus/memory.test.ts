import { describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { events } from '#proto/events';
import type { Core } from './core.ts';
import { decoded, emit, type ServiceModule, table } from './index.ts';
import { flowBytes, MemoryStore, testBench } from './memory.ts';
import { SteppedEngine } from './stepped.ts';
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

const told = table<{ flowId: string; said: string }>({
  name: 'shelf_told',
  key: ['flowId'],
  columns: { flowId: 'text', said: 'text' },
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
/** Keeps a row for each flow, of what was asked and answered in it. */
const listener: ServiceModule = {
  name: 'listener',
  tables: [told],
  consumers: [
    {
      name: 'listener',
      streams: ['catalogue'],
      types: ['ProductSubmitted', 'ProductPublished'],
      handle({ flowId, type }, unit) {
        unit.put(told, { flowId, said: `${unit.get(told, flowId)?.said ?? ''}${type} ` });
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

  test('reads what a group decides within it, so that question and answer leave one row once', () => {
    let commits = 0;
    let rows = 0;
    const store = new (class extends MemoryStore {
      override write(...[layout, changes]: Parameters<MemoryStore['write']>): void {
        if (layout.name === told.name) rows += changes.length;
        super.write(layout, changes);
      }
      override commit(): void {
        commits += 1;
        super.commit();
      }
    })();
    const bench = testBench([listener, shelf], { store });
    const flows = ['a', 'b', 'c'].map((id) =>
      bench.append('ProductSubmitted', { product: { productId: id } as never }, id),
    );
    commits = 0;
    bench.run();
    expect({ commits, rows }).toEqual({ commits: 1, rows: 3 });
    for (const flowId of flows) expect(bench.get(told, flowId)?.said).toBe('ProductSubmitted ProductPublished ');
  });

  test.each(['in memory', 'after a restart'])('takes back the numbers of a group that is undone, %s', (where) => {
    let fails = false;
    const store = new (class extends MemoryStore {
      override commit(): void {
        if (fails) throw new StoreFailure(new GatewayError('gateway.disk_full'));
        super.commit();
      }
    })();
    const first = testBench([listener, shelf], { store });
    for (const id of ['a', 'b']) first.append('ProductSubmitted', { product: { productId: id } as never }, 'key');
    const bench = where === 'in memory' ? first : first.restart();
    const inMemory = (bench.view as Core).backlog();
    fails = true;
    for (let n = 0; n < 3; n++)
      expect(() => bench.run()).toThrow(expect.objectContaining({ fault: 'gateway.disk_full' }));
    expect((bench.view as Core).backlog()).toEqual(inMemory);
    fails = false;
    bench.append('ProductSubmitted', { product: { productId: 'c' } as never }, 'key');
    bench.run();
    const [lane] = store.lanes().filter(({ head }) => head > 0);
    expect(store.read('catalogue', lane!.partition, 0, Infinity).map(({ number, type }) => [number, type])).toEqual([
      [1, 'ProductSubmitted'],
      [2, 'ProductSubmitted'],
      [3, 'ProductSubmitted'],
      [4, 'ProductPublished'],
      [5, 'ProductPublished'],
      [6, 'ProductPublished'],
    ]);
    expect(bench.ages().filter(({ gap, unread }) => gap || unread > 0)).toEqual([]);
    expect(bench.list(told, { equals: [] }).map(({ said }) => said)).toEqual(
      Array(3).fill('ProductSubmitted ProductPublished '),
    );
  });

  test('reads from the store what is too much to be kept in memory, and from there what the group adds', () => {
    const bench = testBench([listener, shelf]);
    for (let n = 0; n < 20_200; n++)
      bench.append('ProductSubmitted', { product: { productId: `p${n % 7}` } as never }, `k${n % 3}`);
    const { records } = (bench.view as Core).backlog();
    expect(records).toBeGreaterThan(1000);
    expect(records).toBeLessThan(20_000);
    bench.run();
    expect([0, 1, 2, 3, 4, 5, 6].reduce((sum, n) => sum + bench.get(seen, `p${n}`)!.times, 0)).toBe(20_200);
    expect(
      bench.list(told, { equals: [] }).filter(({ said }) => said === 'ProductSubmitted ProductPublished '),
    ).toHaveLength(20_200);
    expect(bench.ages().filter(({ gap, unread }) => gap || unread > 0)).toEqual([]);
  });

  describe('what is parked is older than what waits:', () => {
    let isIll = false;
    let taken: string[] = [];
    /** Notes what it took, in order; `t` is a scope of its own, and sick by itself. */
    const queue: ServiceModule = {
      name: 'queue',
      tables: [seen],
      consumers: [
        {
          name: 'queue',
          streams: ['catalogue'],
          types: ['ProductSubmitted'],
          scope: (record) => decoded(record, 'ProductSubmitted').product!.productId,
          handle(record, unit) {
            const { productId, title } = decoded(record, 'ProductSubmitted').product!;
            if (isIll && record.key === 'k') throw new Error('poison');
            if (productId === 't' && !unit.get(seen, 'mended')) throw new Error('poison');
            if (productId === 'x' && !unit.get(seen, 'mended')) unit.wait('', unit.now + 86_400_000);
            if (productId === 's' && !unit.get(seen, 'early')) unit.wait('early', unit.now + 86_400_000);
            unit.put(seen, { productId, title, times: 1 });
            unit.wake(productId);
            if (productId === 's') taken.push(title);
          },
        },
      ],
      serve: () => [],
    };
    const begun = () => {
      isIll = false;
      taken = [];
      const store = new MemoryStore();
      return { store, bench: testBench(queue, { store }) };
    };
    const product = (productId: string, n = 0) => ({ product: { productId, title: `${n}` } as never });
    const many = Array.from({ length: 150 }, (_, n) => `${n}`);
    const early = {
      ...{ flowId: flowBytes('01a81aab-cc00-7431-8359-07c7b2405ced'), partyOin: 'p', method: 'm', schoolOin: '' },
      ...{ referenceKey: Buffer.alloc(0), digest: Buffer.alloc(32), digestVersion: 1, rememberDays: 35 },
      ...{ answer: Buffer.alloc(0), traceparent: '' },
      events: [
        {
          ...{ stream: 'catalogue', type: 'ProductSubmitted', key: 'e' },
          data: events.ProductSubmitted.codec
            .encode(events.ProductSubmitted.codec.fromPartial(product('early')))
            .finish(),
        },
      ],
    };
    const stepped = (store: MemoryStore) => {
      const engine = new SteppedEngine({ store, modules: [queue], clock: { now: () => Date.UTC(2026, 7, 18) } });
      const step = (more: Partial<Parameters<typeof engine.group>[0]> = {}) =>
        engine.group({ entries: [], budget: 1000, ...more });
      const end = () => {
        for (let n = 0; n < 50 && engine.hasWork(); n++) step();
        expect(engine.hasWork()).toBe(false);
      };
      return { engine, step, end };
    };

    test('a key that is taken up again and waits has all that comes behind it', () => {
      const { bench } = begun();
      isIll = true;
      for (const n of many) bench.append('ProductSubmitted', product('s', Number(n)), 'k');
      bench.run();
      isIll = false;
      bench.append('ProductSubmitted', product('s', many.length), 'k');
      bench.retryParked('queue', 'catalogue', 'k');
      bench.submit('ProductSubmitted', product('early'), 'e');
      expect(taken).toEqual([...many, `${many.length}`]);
    });

    test('what it waits for may come while it is taken up again', () => {
      const { store, bench } = begun();
      isIll = true;
      for (const n of many) bench.append('ProductSubmitted', product('s', Number(n)), 'k');
      bench.run();
      isIll = false;
      const { engine, step, end } = stepped(store);
      step({ entries: [early], retries: [['queue', 'catalogue', 'k']] });
      end();
      expect(taken).toEqual(many);
      expect([...engine.view.parked(), ...engine.view.waiting({})]).toEqual([]);
    });

    test('what waited and parks may be taken up again before all of it has', () => {
      const { store, bench } = begun();
      for (const n of many) bench.append('ProductSubmitted', product('s', Number(n)), 'k');
      bench.run();
      isIll = true;
      const { engine, step, end } = stepped(store);
      step({ entries: [early] });
      step();
      expect(engine.view.parked()).toMatchObject([{ key: 'k' }]);
      isIll = false;
      step({ retries: [['queue', 'catalogue', 'k']] });
      end();
      expect(taken).toEqual(many);
    });

    test('of several scopes of a key one waits while another fails again', () => {
      const { bench } = begun();
      isIll = true;
      for (const [n, id] of ['s', 't', 's', 'u'].entries()) bench.append('ProductSubmitted', product(id, n), 'k');
      bench.run();
      isIll = false;
      bench.retryParked('queue', 'catalogue', 'k');
      expect(bench.parked()).toMatchObject([{ key: 'k', events: 2 }]);
      bench.submit('ProductSubmitted', product('s', 4), 'k');
      bench.submit('ProductSubmitted', product('early'), 'e');
      bench.submit('ProductSubmitted', product('mended'), 'e');
      bench.retryParked('queue', 'catalogue', 'k');
      expect(taken).toEqual(['0', '2', '4']);
      expect(bench.get(seen, 'u')?.title).toBe('3');
      expect([...bench.parked(), ...bench.waiting()]).toEqual([]);
    });

    test('what nobody knows comes after what waits before it', () => {
      const { bench } = begun();
      bench.submit('ProductSubmitted', product('s'), 'k');
      const core = bench.view as Core;
      const { record } = bench.waiting()[0]!;
      core.group(() => core.push({ ...record, type: 'ProductRenamed', id: Buffer.alloc(16) }));
      bench.submit('ProductSubmitted', product('s', 1), 'k');
      bench.submit('ProductSubmitted', product('early'), 'e');
      expect(taken).toEqual(['0']);
      expect(bench.parked()).toMatchObject([{ key: 'k', code: 'wire.version', events: 2 }]);
    });

    test('what waits for nothing that has a name fails again, and stays where it is', () => {
      const { bench } = begun();
      for (const [n, id] of ['x', 'early', 's'].entries()) bench.append('ProductSubmitted', product(id, n), 'k');
      bench.run();
      for (let n = 0; n < 3; n++) bench.retryParked('queue', 'catalogue', 'k');
      expect(bench.parked()).toMatchObject([{ key: 'k', code: 'gateway.bug', events: 3 }]);
      bench.submit('ProductSubmitted', product('mended'), 'e');
      bench.retryParked('queue', 'catalogue', 'k');
      expect(taken).toEqual(['2']);
      expect(bench.get(seen, 'x')?.title).toBe('0');
      expect(bench.parked()).toEqual([]);
    });
  });

  test('goes on after a restart', () => {
    const bench = testBench(shelf);
    submit(bench, 'a');
    const again = bench.restart();
    submit(again, 'a');
    expect(again.get(seen, 'a')?.times).toBe(2);
  });
});
