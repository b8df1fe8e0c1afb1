/** Reads while others write: what the view owes them whatever the pace of the owner. */
import { describe, expect, test } from 'vitest';
import { GatewayError, systemClock, Waiters } from '#kernel';
import { table } from '../port.ts';
import { StoreFailure } from '../store.ts';
import type { Database } from './connection.ts';
import { textsOf } from './testing.ts';
import { View } from './view.ts';

const rows = table<{ key: string; next: string }>({
  name: 'probe_rows',
  key: ['key'],
  columns: { key: 'text', next: 'text' },
  retention: 'RETENTION_AUDIT',
});

/** A database of one table in which `key` says which is `next`; something is committed during each statement. */
function busyDatabase() {
  const stored = new Map<string, string>();
  const counts = { statements: 0, pinned: 0, open: 0 };
  const select = async (keys: readonly string[], from: ReadonlyMap<string, string>): Promise<unknown[][]> => {
    counts.statements += 1;
    await new Promise((resolve) => setTimeout(resolve, 1));
    const found = keys.flatMap((key) => (from.has(key) ? [[key, from.get(key)!]] : []));
    onStatement();
    return found;
  };
  let onStatement = () => {};
  const database = {
    cells: (_: string, [keys]: [Buffer]) => select(textsOf(keys), stored),
    async pinned() {
      counts.pinned += 1;
      counts.open += 1;
      const then = new Map(stored);
      return {
        cells: (_: string, [keys]: [Buffer]) => select(textsOf(keys), then),
        end: () => {
          counts.open -= 1;
        },
      };
    },
  } as unknown as Database;
  const view = new View({ database, service: 'probe', tables: [rows], clock: systemClock, isOwner: () => true });
  const commit = () => view.changed(new Set(['probe_rows']), false);
  return {
    stored,
    counts,
    view,
    commit,
    during: (what: () => void) => {
      onStatement = what;
    },
  };
}

describe('a question that needs several looks', () => {
  test('is answered although something is committed all the time, by rows of one moment', async () => {
    const { stored, view, commit, counts, during } = busyDatabase();
    let generation = 0;
    // Each row says of which moment it is: a commit changes all of them.
    const write = () => {
      generation += 1;
      for (const [key, next] of [
        ['a', 'b'],
        ['b', 'c'],
        ['c', ''],
      ])
        stored.set(key!, `${next} ${generation}`);
      commit();
    };
    write();
    during(write);
    const seen = await view.run(() => {
      const moments: string[] = [];
      for (let key = 'a'; key !== ''; ) {
        const [next, moment] = view.get(rows, key)!.next.split(' ');
        moments.push(moment!);
        key = next!;
      }
      return moments;
    });
    expect(seen).toHaveLength(3);
    expect(new Set(seen).size).toBe(1);
    expect(counts.statements).toBeLessThan(10);
    expect(counts.open).toBe(0);
  });

  test('holds nothing open when it fails', async () => {
    const { stored, view, commit, counts, during } = busyDatabase();
    stored.set('a', '');
    during(commit);
    await expect(
      view.run(() => {
        view.get(rows, 'a');
        view.get(rows, 'b');
        view.get(rows, 'c');
        throw new Error('as it must');
      }),
    ).rejects.toThrow('as it must');
    expect(counts.open).toBe(0);
  });
});

test('a database that is away is told as that, also to who waits', async () => {
  const away = new StoreFailure(new GatewayError('gateway.unavailable', undefined, { retryAfterS: 2 }));
  const { view, stored, during, commit } = busyDatabase();
  const waiters = new Waiters(10);
  view.onCommit((_, elsewhere) => waiters.settled(elsewhere));
  stored.set('a', '');
  const unavailable = { fault: 'gateway.unavailable' };
  during(() => {
    throw away;
  });
  await expect(view.run(() => view.get(rows, 'a'))).rejects.toMatchObject(unavailable);
  during(() => undefined);
  const waits = view.run(async () => {
    view.get(rows, 'b');
    view.mayWait();
    return waiters.until('b', 60_000, () => view.get(rows, 'b'));
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  during(() => {
    throw away;
  });
  waiters.hint('b');
  commit();
  await expect(waits).rejects.toMatchObject(unavailable);
  expect(waiters.count).toBe(0);
});

describe('questions that come in one moment', () => {
  const ask = (view: View, ...keys: string[]) =>
    Promise.all(keys.map((key) => view.run(() => view.get(rows, key)?.next)));

  test('are looked up with one statement a table, each step of them', async () => {
    const { stored, view, counts } = busyDatabase();
    stored.set('a', 'b');
    stored.set('b', 'c');
    stored.set('c', '');
    expect(await ask(view, 'a', 'b', 'nothing', 'a')).toEqual(['b', 'c', undefined, 'b']);
    expect(counts.statements).toBe(1);
    const follow = (key: string) => view.run(() => view.get(rows, view.get(rows, key)!.next)?.next);
    expect(await Promise.all(['a', 'b'].map(follow))).toEqual(['c', '']);
    expect(counts.statements).toBe(3);
  });

  test('are not given what another found before', async () => {
    const { stored, view, counts, during, commit } = busyDatabase();
    stored.set('a', 'old');
    let later: Promise<unknown> | undefined;
    during(() => {
      // The first statement has read, and its answer is on its way.
      if (later !== undefined) return;
      stored.set('a', 'new');
      commit();
      later = ask(view, 'a');
    });
    await ask(view, 'a');
    expect(await later).toEqual(['new']);
    expect(counts.statements).toBe(2);
  });

  test('fail together, and only they', async () => {
    const { stored, view, during } = busyDatabase();
    stored.set('a', 'b');
    during(() => {
      throw new StoreFailure(new GatewayError('gateway.unavailable', undefined, { retryAfterS: 2 }));
    });
    const failed = await Promise.allSettled(['a', 'b'].map((key) => view.run(() => view.get(rows, key))));
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    during(() => undefined);
    expect(await ask(view, 'a')).toEqual(['b']);
  });
});

describe('a question that waits', () => {
  const waitFor = (view: View, waiters: Waiters, key: string, ms: number) =>
    view.run(async () => {
      const before = view.get(rows, key);
      if (before) return before.next;
      view.mayWait();
      return waiters.until(key, ms, () => view.get(rows, key)?.next);
    });

  test('is not asked again by every commit, and never loses its own', async () => {
    const { stored, view, commit, counts, during } = busyDatabase();
    const waiters = new Waiters(10);
    view.onCommit((_, elsewhere) => waiters.settled(elsewhere));
    during(() => undefined);
    const answer = waitFor(view, waiters, 'a', 60_000);
    for (let n = 0; n < 200; n++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      commit();
    }
    expect(waiters.count).toBe(1);
    expect(counts.statements).toBeLessThan(10);
    stored.set('a', 'there');
    waiters.hint('a');
    commit();
    expect(await answer).toBe('there');
    expect(counts.open).toBe(0);
  });

  test('sees what is committed while it looks', async () => {
    const { stored, view, commit, during } = busyDatabase();
    const waiters = new Waiters(10);
    view.onCommit((_, elsewhere) => waiters.settled(elsewhere));
    let statements = 0;
    during(() => {
      statements += 1;
      // Read as absent, and there before the answer is.
      if (statements === 2) {
        stored.set('a', 'there');
        waiters.hint('a');
      }
      commit();
    });
    expect(await waitFor(view, waiters, 'a', 60_000)).toBe('there');
  });

  test('holds no moment while it waits, however busy it is', async () => {
    const { stored, view, commit, counts, during } = busyDatabase();
    const waiters = new Waiters(10);
    view.onCommit((_, elsewhere) => waiters.settled(elsewhere));
    during(commit);
    const answer = waitFor(view, waiters, 'a', 60_000);
    for (let n = 0; n < 20; n++) {
      await new Promise((resolve) => setTimeout(resolve, 3));
      waiters.hint('a');
      commit();
    }
    expect(counts.open).toBe(0);
    stored.set('a', 'there');
    waiters.hint('a');
    commit();
    expect(await answer).toBe('there');
  });

  test('ends in its time', async () => {
    const { view, commit, during } = busyDatabase();
    const waiters = new Waiters(10);
    view.onCommit((_, elsewhere) => waiters.settled(elsewhere));
    during(commit);
    expect(await waitFor(view, waiters, 'a', 50)).toBeUndefined();
    expect(waiters.count).toBe(0);
  });
});

test('a call that was in a group of the owner, and then waits, has its time out like any other', async () => {
  const { view, commit } = busyDatabase();
  const waiters = new Waiters(10);
  view.onCommit(() => waiters.settled());
  // As an owner's group runs it: its rows are the core's until the group ends.
  const core = { get: () => undefined } as never;
  const waiting = view.runWithin(core, async () =>
    waiters.until('work', 60, () => (view.get(rows, 'work') === undefined ? undefined : true)),
  );
  commit();
  const answer = await Promise.race([waiting, new Promise((resolve) => setTimeout(() => resolve('never'), 30_000))]);
  expect(answer).toBeUndefined();
});
