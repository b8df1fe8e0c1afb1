import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeRow, keyText, layoutOf } from '../cells.ts';
import { MemoryStore } from '../memory.ts';
import { type ListOptions, table } from '../port.ts';
import { Missing } from '../store.ts';
import { Snapshot } from './snapshot.ts';

const things = table<{ id: string; place: number; colour?: string | undefined; size: number }>({
  name: 'things',
  key: ['id', 'place'],
  columns: { id: 'text', place: 'int', colour: 'text', size: 'int' },
  indexes: { colour: ['colour'], size: ['size', 'id'] },
  retention: 'RETENTION_AUDIT',
});
const layout = layoutOf(things);

/** What `look` finds once all it asks for was taken from the database; counts the looks. */
function asked<T>(snapshot: Snapshot, database: MemoryStore, look: () => T): T {
  for (let looks = 0; looks < 50; looks++)
    try {
      return look();
    } catch (thrown) {
      if (!(thrown instanceof Missing)) throw thrown;
      for (const { keys, lists } of snapshot.takeWanted()) {
        for (const [text, key] of keys) snapshot.know(layout, text, database.get(layout, key) ?? null);
        for (const list of lists.values())
          snapshot.knowList(layout, list, database.list(layout, { ...list.options, limit: list.limit }));
      }
    }
  throw new Error('never stops asking');
}

const id = fc.constantFrom('a', 'b', 'c', '\u{1f600}', '');
const place = fc.integer({ min: 0, max: 2 });
const row = fc.record({
  id,
  place,
  colour: fc.option(fc.constantFrom('red', 'blue'), { nil: undefined }),
  size: fc.integer({ min: 0, max: 3 }),
});
const limit = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
const lists: fc.Arbitrary<ListOptions> = fc.oneof(
  fc.record({
    equals: fc.oneof(
      fc.constant([]),
      id.map((one) => [one]),
    ),
    limit,
    descending: fc.boolean(),
  }),
  fc.record({
    index: fc.constant('colour'),
    equals: fc.constantFrom<string[]>([], ['red']),
    limit,
    descending: fc.boolean(),
  }),
  fc.record({
    index: fc.constant('size'),
    equals: fc.constant([]),
    after: fc.tuple(fc.integer({ min: 0, max: 3 }), id),
    limit,
    descending: fc.boolean(),
  }),
  fc.record({ equals: id.map((one) => [one]), after: place.map((one) => [one]), limit, descending: fc.boolean() }),
);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ put: row }) },
  { weight: 2, arbitrary: fc.record({ remove: fc.tuple(id, place) }) },
  { weight: 5, arbitrary: fc.record({ list: lists }) },
  { weight: 3, arbitrary: fc.record({ get: fc.tuple(id, place) }) },
  { weight: 1, arbitrary: fc.constant({ commit: true }) },
  { weight: 1, arbitrary: fc.constant({ rollback: true }) },
);

test('reads as one would from the database with what was written over it', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 12 }), fc.array(step, { maxLength: 40 }), (before, steps) => {
      const database = new MemoryStore();
      const naive = new MemoryStore();
      const change = (cells: ReturnType<typeof encodeRow> | null, key: readonly (string | number)[]) => [
        { key: [...key], cells },
      ];
      database.begin();
      for (const one of before) {
        const cells = encodeRow(layout, one);
        database.write(layout, change(cells, [one.id, one.place]));
        naive.write(layout, change(cells, [one.id, one.place]));
      }
      database.commit();
      naive.commit();
      naive.begin();
      const snapshot = new Snapshot();
      for (const act of steps) {
        if ('put' in act) {
          const changes = change(encodeRow(layout, act.put), [act.put.id, act.put.place]);
          snapshot.write(layout, changes);
          naive.write(layout, changes);
        } else if ('remove' in act) {
          snapshot.write(layout, change(null, act.remove));
          naive.write(layout, change(null, act.remove));
        } else if ('get' in act)
          expect(asked(snapshot, database, () => snapshot.get(layout, act.get))).toEqual(naive.get(layout, act.get));
        else if ('list' in act)
          expect(asked(snapshot, database, () => snapshot.list(layout, act.list))).toEqual(
            naive.list(layout, act.list),
          );
        else if ('commit' in act) {
          database.begin();
          for (const { changes } of snapshot.changes()) database.write(layout, changes);
          database.commit();
          snapshot.commit();
          naive.commit();
          naive.begin();
        } else {
          snapshot.rollback();
          naive.rollback();
          naive.begin();
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('asks once for all that a look lacks, and not again for what it knows', () => {
  const snapshot = new Snapshot();
  const wants = () => snapshot.takeWanted().flatMap(({ keys }) => [...keys.keys()]);
  expect(() => snapshot.get(layout, ['a', 1])).toThrow(Missing);
  expect(() => snapshot.get(layout, ['b', 1])).toThrow(Missing);
  expect(wants()).toEqual([keyText(layout, ['a', 1]), keyText(layout, ['b', 1])]);
  snapshot.know(layout, keyText(layout, ['a', 1]), null);
  expect(snapshot.get(layout, ['a', 1])).toBeUndefined();
  expect(wants()).toEqual([]);
});

test('a short list that is asked for after each group is loaded once, and has what they wrote', () => {
  const snapshot = new Snapshot();
  const database = new MemoryStore();
  let loads = 0;
  const listed = () => {
    for (;;)
      try {
        return snapshot.list(layout, { index: 'size', equals: [] }).map((cells) => cells[0]);
      } catch (thrown) {
        if (!(thrown instanceof Missing)) throw thrown;
        loads += 1;
        for (const { lists } of snapshot.takeWanted())
          for (const list of lists.values())
            snapshot.knowList(layout, list, database.list(layout, { ...list.options, limit: list.limit }));
      }
  };
  for (let i = 0; i < 40; i++) {
    expect(listed()).toEqual(Array.from({ length: i }, (_, at) => `k${100 - i + at}`));
    const cells = encodeRow(layout, { id: `k${99 - i}`, place: 0, size: 100 - i });
    snapshot.write(layout, [{ key: [`k${99 - i}`, 0], cells }]);
    snapshot.commit();
  }
  expect(loads).toBe(1);
});

test('finds all of what one group needs, however much that is', () => {
  const snapshot = new Snapshot();
  const database = new MemoryStore();
  database.begin();
  const stored = encodeRow(layout, { id: 'a', place: 0, colour: 'red', size: 1 });
  database.write(layout, [{ key: ['a', 0], cells: stored }]);
  database.commit();
  const missing = (look: () => unknown): number => {
    try {
      look();
      return 0;
    } catch (thrown) {
      if (!(thrown instanceof Missing)) throw thrown;
      return 1;
    }
  };
  const all = () => {
    let missed = 0;
    for (let i = 0; i < 7000; i++) missed += missing(() => snapshot.list(layout, { equals: [String(i)], limit: 1 }));
    for (let i = 0; i < 90_000; i++) missed += missing(() => snapshot.get(layout, ['a', i]));
    if (missed > 0) throw Missing.one;
    return snapshot.get(layout, ['a', 0]);
  };
  expect(asked(snapshot, database, all)).toEqual(stored);
  // Between groups it lets go of them.
  snapshot.commit();
  snapshot.commit();
  expect(missing(all)).toBe(1);
});
