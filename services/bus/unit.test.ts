import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { MemoryStore } from './memory.ts';
import { type ListOptions, type MessageType, table, Waiting } from './port.ts';
import { SqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';
import { engineTables, timers, wakes } from './tables.ts';
import { RecordUnit, Rows } from './unit.ts';

interface Thing {
  school: string;
  id: number;
  title?: string | undefined;
  weight?: number | undefined;
  tags?: string[] | undefined;
  seal?: Uint8Array | undefined;
}
const things = table<Thing>({
  name: 'test_things',
  key: ['school', 'id'],
  columns: { school: 'text', id: 'int', title: 'text', weight: 'real', tags: 'json', seal: 'blob' },
  indexes: { id: ['id'] },
  retention: 'RETENTION_AUDIT',
});
const names = table<{ name: string; times: number }>({
  name: 'test_names',
  key: ['name'],
  columns: { name: 'text', times: 'int' },
  retention: 'RETENTION_AUDIT',
});
const tables = [...engineTables, things, names];
const text: MessageType<string> = { encode: (value) => ({ finish: () => Buffer.from(value) }) };
const record = { flowId: 'flow', school: 'school', traceparent: '' };

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
const stores: [string, () => Store][] = [
  ['memory', () => new MemoryStore()],
  [
    'SQLite',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'eduk-unit-'));
      folders.push(folder);
      return new SqliteStore(join(folder, 'state.db'), tables);
    },
  ],
];

/** What happens in one record; `ends` says how its handler ends. */
const schools = fc.constantFrom('a', 'b', 'é', '\u{1F600}', '￿');
const ids = fc.integer({ min: 1, max: 4 });
const action = fc.oneof(
  fc.record({
    do: fc.constant('put' as const),
    row: fc.record({
      school: schools,
      id: ids,
      title: fc.option(fc.string(), { nil: undefined }),
      weight: fc.option(
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
        { nil: undefined },
      ),
      tags: fc.option(fc.array(fc.string(), { maxLength: 3 }), { nil: undefined }),
      seal: fc.option(fc.uint8Array({ maxLength: 5 }), { nil: undefined }),
    }),
  }),
  fc.record({ do: fc.constant('remove' as const), school: schools, id: ids }),
  fc.record({ do: fc.constant('get' as const), school: schools, id: ids }),
  fc.record({
    do: fc.constant('list' as const),
    school: fc.option(schools, { nil: undefined }),
    after: fc.option(ids, { nil: undefined }),
    descending: fc.boolean(),
    limit: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
  }),
  fc.record({
    do: fc.constant('listById' as const),
    id: ids,
    after: fc.option(schools, { nil: undefined }),
    descending: fc.boolean(),
  }),
  fc.record({ do: fc.constant('append' as const), value: fc.string() }),
);
const story = fc.array(
  fc.record({
    actions: fc.array(action, { maxLength: 6 }),
    ends: fc.constantFrom('well', 'well', 'well', 'throws', 'waits'),
    next: fc.constantFrom('on', 'on', 'commit', 'rollback'),
  }),
  { maxLength: 20 },
);

/** The naive model: copies of a map, and sorting it all for each list. */
class Model {
  committed = new Map<string, Thing>();
  group = new Map<string, Thing>();
  record = new Map<string, Thing>();
  appended: string[] = [];
  static id = (school: string, id: number) => JSON.stringify([school, id]);

  list(
    rows: Map<string, Thing>,
    keep: (row: Thing) => boolean,
    order: (row: Thing) => (string | number)[],
    descending: boolean,
    limit = Infinity,
  ): Thing[] {
    const compare = (a: string | number, b: string | number) =>
      typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(b as string)) : a - (b as number);
    const sorted = [...rows.values()].filter(keep).sort((x, y) => {
      const [a, b] = [order(x), order(y)];
      for (let i = 0; i < a.length; i++) if (compare(a[i]!, b[i]!) !== 0) return compare(a[i]!, b[i]!);
      return 0;
    });
    return (descending ? sorted.reverse() : sorted).slice(0, limit);
  }
}
const textBytes = (a: string) => Buffer.from(a);

describe.each(stores)('units over %s', (_, make) => {
  test('see and leave what a naive model sees and leaves', () => {
    fc.assert(
      fc.property(story, (steps) => {
        const store = make();
        const rows = new Rows(store, tables);
        const unit = new RecordUnit(rows, (_consumer, what) => what !== 'nobody waits for it');
        const model = new Model();
        store.begin();
        for (const { actions, ends, next } of steps) {
          unit.begin('test', 1, record);
          model.record = new Map(model.group);
          const said: string[] = [];
          try {
            for (const step of actions) {
              if (step.do === 'put') {
                unit.put(things, step.row);
                model.record.set(Model.id(step.row.school, step.row.id), step.row);
              } else if (step.do === 'remove') {
                unit.remove(things, step.school, step.id);
                model.record.delete(Model.id(step.school, step.id));
              } else if (step.do === 'get')
                expect(unit.get(things, step.school, step.id)).toEqual(
                  model.record.get(Model.id(step.school, step.id)),
                );
              else if (step.do === 'append') {
                unit.append('things', 'Said', text, step.value, 'key');
                said.push(step.value);
              } else if (step.do === 'list') {
                const { school, descending, limit } = step;
                const after = school === undefined ? undefined : step.after;
                const options: ListOptions = {
                  equals: school === undefined ? [] : [school],
                  descending,
                  ...(after === undefined ? {} : { after: [after] }),
                  ...(limit === undefined ? {} : { limit }),
                };
                const keep = (row: Thing) =>
                  (school === undefined || row.school === school) &&
                  (after === undefined || (descending ? row.id < after : row.id > after));
                // A list shows rows as they were before this record.
                expect(unit.list(things, options)).toEqual(
                  model.list(model.group, keep, (row) => [row.school, row.id], descending, limit),
                );
              } else {
                const { id, after, descending } = step;
                const options: ListOptions = {
                  index: 'id',
                  equals: [id],
                  descending,
                  ...(after === undefined ? {} : { after: [after] }),
                };
                const way = (row: Thing) =>
                  Buffer.compare(textBytes(row.school), textBytes(after!)) * (descending ? -1 : 1) > 0;
                expect(unit.list(things, options)).toEqual(
                  model.list(
                    model.group,
                    (row) => row.id === id && (after === undefined || way(row)),
                    (row) => [row.school],
                    descending,
                  ),
                );
              }
            }
            if (ends === 'throws') throw new Error('poison');
            if (ends === 'waits') unit.wait('x', 1);
            model.appended.push(...said);
            expect(unit.keep().map(({ data }) => Buffer.from(data).toString())).toEqual(said);
            model.group = model.record;
          } catch (thrown) {
            if (ends === 'well') throw thrown;
            unit.drop();
          }
          if (next === 'commit') {
            rows.flush();
            store.commit();
            rows.settled();
            model.committed = new Map(model.group);
            store.begin();
          } else if (next === 'rollback') {
            store.rollback();
            rows.forget();
            model.group = new Map(model.committed);
            store.begin();
          }
        }
        rows.flush();
        store.commit();
        // What another reader of the store finds.
        expect(new Rows(store, tables).list(things, { equals: [] })).toEqual(
          model.list(
            model.group,
            () => true,
            (row) => [row.school, row.id],
            false,
          ),
        );
        store.close();
      }),
      { numRuns: 100 },
    );
  });
});

describe('a unit', () => {
  const fresh = () => {
    const store = new MemoryStore();
    const rows = new Rows(store, tables);
    const unit = new RecordUnit(rows, (_consumer, what) => what !== 'nobody waits for it');
    unit.begin('test', 5, record);
    return { rows, unit };
  };

  test('refuses in the handler what no row could hold', () => {
    const { unit } = fresh();
    const bad: [Partial<Record<keyof Thing | 'extra', unknown>>, RegExp][] = [
      [{ school: 7 }, /school must be text/],
      [{ id: undefined }, /id must be given/],
      [{ id: 1.5 }, /id must be a whole number/],
      [{ school: 'a\0b' }, /free of NUL/],
      [{ weight: Number.NaN }, /weight must be a finite number/],
      [{ title: 1 }, /title must be text/],
      [{ seal: 'bytes' }, /seal must be bytes/],
      [{ extra: 1 }, /no column extra/],
    ];
    for (const [part, says] of bad)
      expect(() => unit.put(things, { school: 'a', id: 1, ...part } as Thing)).toThrow(says);
    expect(() => unit.get(things, 'a')).toThrow(/has 2 columns/);
    expect(() =>
      unit.put(table({ name: 'other', key: ['id'], columns: { id: 'text' }, retention: 'RETENTION_AUDIT' }), {
        id: 'a',
      }),
    ).toThrow(/belongs to no module/);
    expect(() => unit.append('things', 'Said', text, 'x', '')).toThrow(GatewayError);
  });

  test('gives copies: what is done to a row read or put changes nothing', () => {
    const { unit } = fresh();
    const row: Thing = { school: 'a', id: 1, tags: ['x'] };
    unit.put(things, row);
    row.tags!.push('y');
    (unit.get(things, 'a', 1) as Thing).tags!.push('z');
    expect(unit.get(things, 'a', 1)?.tags).toEqual(['x']);
  });

  test('takes flow and school of the record unless told otherwise', () => {
    const { unit } = fresh();
    unit.append('things', 'Said', text, 'x', 'key');
    unit.append('things', 'Said', text, 'x', 'key', { flowId: 'other', school: 'elsewhere' });
    expect(unit.keep()).toMatchObject([
      { flowId: 'flow', school: 'school', timeMs: 5 },
      { flowId: 'other', school: 'elsewhere' },
    ]);
  });

  test('keeps timers and wakes with its rows', () => {
    const { rows, unit } = fresh();
    unit.setTimer({ id: 't', atMs: 9, key: 'k', payload: 'p' });
    unit.wake('x');
    expect(() => unit.wait('y', 9)).toThrow(Waiting);
    unit.drop();
    expect(rows.list(timers, { equals: [] })).toEqual([]);
    unit.begin('test', 5, record);
    unit.setTimer({ id: 't', atMs: 9, key: 'k', payload: 'p' });
    unit.wake('x');
    unit.keep();
    unit.begin('test', 5, record);
    unit.wake('nobody waits for it');
    unit.keep();
    expect(rows.get(timers, 'test', 't')).toEqual({
      consumer: 'test',
      id: 't',
      atMs: 9,
      key: 'k',
      payload: 'p',
      flowId: 'flow',
      school: 'school',
    });
    expect(rows.list(wakes, { equals: ['test'] })).toHaveLength(1);
    unit.begin('test', 5, record);
    unit.cancelTimer('t');
    unit.keep();
    expect(rows.get(timers, 'test', 't')).toBeUndefined();
  });
});
