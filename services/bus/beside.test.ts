import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { systemClock } from '#kernel';
import { BesideView } from './beside.ts';
import { StoreFailure } from './store.ts';

test('a file that cannot be read at this moment is a failure of the store, which the engine then answers for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-beside-'));
  const db = new DatabaseSync(join(folder, 'state.db'));
  try {
    let isLocked = true;
    // The first reading of a moment is that of its version: what is locked shows there.
    db.prepare = (sql) => {
      const statement = DatabaseSync.prototype.prepare.call(db, sql);
      const get = statement.get.bind(statement);
      statement.get = (...values: []) => {
        if (isLocked) throw new Error('database is locked');
        return get(...values);
      };
      return statement;
    };
    const view = new BesideView(db, [], systemClock);
    expect(() => view.asOneMoment(() => 'read')).toThrow(StoreFailure);
    isLocked = false;
    expect(view.asOneMoment(() => 'read')).toBe('read');
  } finally {
    db.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
