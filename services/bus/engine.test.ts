import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect, dispatcher } from '#kernel';
import { LogServiceDefinition, Taken } from '#proto/eduk/bus/v1/bus';
import { entry } from './contract.ts';
import { engineOver, openEngine, openStore } from './engine.ts';
import { type ServiceModule, table } from './port.ts';
import { SCHEMA_VERSION } from './sqlite.ts';
import { type Store, StoreFailure } from './store.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-engine-'));
  file = join(folder, 'state.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const shelf = table<{ id: string; title?: string | undefined }>({
  name: 'shelf',
  key: ['id'],
  columns: { id: 'text', title: 'text' },
  retention: 'RETENTION_PUBLIC',
});
const slow = (ms: number): ServiceModule => ({
  name: 'probe',
  tables: [shelf],
  consumers: [
    {
      name: 'probe',
      streams: ['probe'],
      types: ['Asked'],
      handle(record, unit) {
        const until = performance.now() + ms;
        while (performance.now() < until);
        unit.put(shelf, { id: record.key });
      },
    },
  ],
  serve: () => [],
});
/** Time that this thread had of a processor, milliseconds: what else the machine does is not counted. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

const logOf = (engine: { implementations: Parameters<typeof dispatcher>[0] }) =>
  connect(LogServiceDefinition, dispatcher(engine.implementations));

describe('a data file', () => {
  test('of a newer version is refused, and left as it is', async () => {
    await openEngine({ file, modules: [slow(0)] }).stop();
    const db = new DatabaseSync(file);
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    db.close();
    expect(() => openEngine({ file, modules: [slow(0)] })).toThrow(
      expect.objectContaining({ name: 'ConfigError', message: expect.stringContaining('newer version') }),
    );
    const after = new DatabaseSync(file);
    expect(Object.values(after.prepare('PRAGMA user_version').get()!)).toEqual([SCHEMA_VERSION + 1]);
    after.close();
  });

  test('of another program is refused', () => {
    const db = new DatabaseSync(file);
    db.exec('CREATE TABLE theirs (id)');
    db.close();
    expect(() => openEngine({ file, modules: [] })).toThrow(expect.objectContaining({ name: 'ConfigError' }));
    const other = join(folder, 'text.db');
    writeFileSync(other, 'no database, but long enough to be taken for the header of one'.repeat(10));
    expect(() => openEngine({ file: other, modules: [] })).toThrow(expect.objectContaining({ name: 'ConfigError' }));
  });

  test('in use is refused', async () => {
    const engine = openEngine({ file, modules: [] });
    expect(() => openEngine({ file, modules: [] })).toThrow(
      expect.objectContaining({ message: expect.stringContaining('in use') }),
    );
    // Also where other threads of its own may read it.
    engine.share();
    expect(() => openEngine({ file, modules: [] })).toThrow(
      expect.objectContaining({ message: expect.stringContaining('in use') }),
    );
    await engine.stop();
  });

  test('gets new columns and indexes and keeps its rows', async () => {
    const first = openEngine({ file, modules: [slow(0)] });
    first.view.note((unit) => unit.put(shelf, { id: 'a', title: 'A' }));
    await first.stop();
    const wider = table<{ id: string; title?: string | undefined; pages?: number | undefined }>({
      name: 'shelf',
      key: ['id'],
      columns: { id: 'text', pages: 'int', title: 'text' },
      indexes: { pages: ['pages'] },
      retention: 'RETENTION_PUBLIC',
    });
    const modules = [{ name: 'probe', tables: [wider], consumers: [], serve: () => [] }];
    const second = openEngine({ file, modules });
    expect(second.view.get(wider, 'a')).toEqual({ id: 'a', title: 'A', pages: undefined });
    second.view.note((unit) => unit.put(wider, { id: 'b', pages: 3 }));
    expect(second.view.list(wider, { index: 'pages', equals: [3] })).toEqual([{ id: 'b', title: undefined, pages: 3 }]);
    await second.stop();
    const otherKey = table<{ id: string; title: string }>({
      name: 'shelf',
      key: ['title'],
      columns: { id: 'text', title: 'text' },
      retention: 'RETENTION_PUBLIC',
    });
    expect(() =>
      openEngine({ file, modules: [{ name: 'probe', tables: [otherKey], consumers: [], serve: () => [] }] }),
    ).toThrow(/another key/);
  });

  test('is read by its owner only, and holds everything after a stop', async () => {
    const engine = openEngine({ file, modules: [slow(0)] });
    engine.start();
    await logOf(engine).accept({ entries: [entry('a', { seq: 1 })] });
    await engine.stop();
    const db = new DatabaseSync(file, { readOnly: true });
    expect(db.prepare('SELECT count(*) AS n FROM shelf').get()).toEqual({ n: 1 });
    db.close();
  });
});

/** A store whose disk is full while `full` says so: what reaches it is written, and fails at the commit. */
function filling(store: Store, full: () => boolean): Store {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'commit')
        return () => {
          if (full())
            throw new StoreFailure(
              Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 }),
            );
          target.commit();
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('a full disk refuses, takes nothing, and is lived through', async () => {
  let full = false;
  const engine = engineOver(
    filling(openStore(file, [slow(0)]), () => full),
    { modules: [slow(0)] },
  );
  engine.start();
  const log = logOf(engine);
  await log.accept({ entries: [entry('before', { seq: 1 }, 'before')] });
  full = true;
  const refused = entry('during', { seq: 1 }, 'during');
  await expect(log.accept({ entries: [refused] })).rejects.toMatchObject({ fault: 'gateway.disk_full' });
  await expect(log.accept({ entries: [refused] })).rejects.toMatchObject({ fault: 'gateway.disk_full' });
  full = false;
  const { outcomes } = await log.accept({ entries: [refused] });
  expect(outcomes[0]!.taken).toBe(Taken.TAKEN_ACCEPTED);
  await engine.runToIdle();
  expect(engine.view.list(shelf, { equals: [] }).map(({ id }) => id)).toEqual(['before', 'during']);
  await engine.stop();
});

test('below a stated free space nothing is accepted, and deciding goes on', async () => {
  const engine = openEngine({ file, modules: [slow(0)] });
  await logOf(engine).accept({ entries: [entry('a', { seq: 1 })] });
  await engine.stop();
  const tight = openEngine({ file, modules: [slow(0)], freeBytesMin: Number.MAX_SAFE_INTEGER });
  tight.start();
  await expect(logOf(tight).accept({ entries: [entry('b', { seq: 1 })] })).rejects.toMatchObject({
    fault: 'gateway.disk_full',
  });
  await tight.runToIdle();
  expect(tight.view.get(shelf, 'a')).toBeDefined();
  await tight.stop();
});

test('a message of one party is accepted at once while a stream of another is decided', async () => {
  const engine = openEngine({ file, modules: [slow(0.3)] });
  engine.start();
  const log = logOf(engine);
  const stream = Promise.all(
    Array.from({ length: 6 }, (_, i) =>
      log.accept({
        entries: Array.from({ length: 400 }, (_, j) =>
          entry(`bulk ${i} ${j}`, { seq: 1 }, undefined, { party: 'bulk', bulk: true }),
        ),
      }),
    ),
  );
  let longestBeat = 0;
  let beat = cpuMs();
  const heart = setInterval(() => {
    longestBeat = Math.max(longestBeat, cpuMs() - beat);
    beat = cpuMs();
  }, 1);
  const waits: number[] = [];
  for (let i = 0; i < 20; i++) {
    const started = cpuMs();
    await log.accept({ entries: [entry(`quick ${i}`, { seq: 1 }, undefined, { party: 'quick' })] });
    waits.push(cpuMs() - started);
  }
  clearInterval(heart);
  expect((await log.ages({})).ages[0]!.unread).toBeGreaterThan(0n);
  // Far below the 800 ms that deciding everything takes; the margins are for a busy machine.
  expect(waits.sort((a, b) => a - b)[10]).toBeLessThan(100);
  expect(longestBeat).toBeLessThan(300);
  await stream;
  await engine.runToIdle();
  expect(engine.view.list(shelf, { equals: [] })).toHaveLength(2420);
  await engine.stop();
});

test('a stopping engine answers so, and finishes what it took', async () => {
  const engine = openEngine({ file, modules: [slow(0)] });
  engine.start();
  const taken = logOf(engine).accept({ entries: [entry('a', { seq: 1 })] });
  const stopped = engine.stop();
  await expect(logOf(engine).accept({ entries: [entry('b', { seq: 1 })] })).rejects.toMatchObject({
    fault: 'gateway.stopping',
  });
  expect((await taken).outcomes[0]!.taken).toBe(Taken.TAKEN_ACCEPTED);
  await stopped;
});
