import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '#kernel';
import { BesideView, Elsewhere } from './beside.ts';
import { busContract, type Place } from './contract.ts';
import { type Engine, type EngineOptions, engineOver, type FileEngine, openEngine } from './engine.ts';
import { MemoryStore } from './memory.ts';
import type { EngineView } from './port.ts';

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

function onFile(open: (options: EngineOptions & { file: string }) => Engine): Place {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-bus-'));
  const file = join(folder, 'state.db');
  return {
    open: async (options) => open({ file, ...options }),
    lose(stream, partition, number) {
      const db = new DatabaseSync(file);
      db.prepare(`DELETE FROM log_${stream}_${String(partition).padStart(2, '0')} WHERE number = ?`).run(number);
      db.close();
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

busContract('on SQLite', () => onFile(openEngine));

busContract('on SQLite, read beside it', () => onFile((options) => readBeside(openEngine(options), options)));

/** What can be read beside the engine is read there; the rest by the engine, as calls do it. */
function readBeside(engine: FileEngine, { file, modules, clock }: EngineOptions & { file: string }): Engine {
  engine.share();
  const db = new DatabaseSync(file, { readOnly: true });
  const beside = new BesideView(db, modules, clock ?? systemClock);
  const view = new Proxy(engine.view, {
    get(of, name: keyof EngineView) {
      const own = (of[name] as (...args: unknown[]) => unknown).bind(of);
      if (name === 'onCommit') return own;
      return (...args: unknown[]) => {
        try {
          return (beside[name] as (...args: unknown[]) => unknown).apply(beside, args);
        } catch (thrown) {
          if (!(thrown instanceof Elsewhere)) throw thrown;
          return own(...args);
        }
      };
    },
  });
  return {
    ...engine,
    view,
    ask: async (read) => beside.asOneMoment(read),
    async stop() {
      db.close();
      await engine.stop();
    },
  };
}
