import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { busContract } from './contract.ts';
import { engineOver, openEngine } from './engine.ts';
import { MemoryStore } from './memory.ts';

busContract('in memory', () => {
  const store = new MemoryStore();
  return {
    open: async (options) => engineOver(store, options),
    lose: (stream, partition, number) => store.lose(stream, partition, number),
    remove() {
      // Nothing rests outside this process.
    },
  };
});

busContract('on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-bus-'));
  const file = join(folder, 'state.db');
  return {
    open: async (options) => openEngine({ file, ...options }),
    lose(stream, partition, number) {
      const db = new DatabaseSync(file);
      db.prepare(`DELETE FROM log_${stream}_${String(partition).padStart(2, '0')} WHERE number = ?`).run(number);
      db.close();
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
});
