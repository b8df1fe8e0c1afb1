/** What the distributed engine is put together from in earnest: Kafka, PostgreSQL, the vault over a database of its own. */
import { openDistributedEngine, openDistributedLog } from '#bus';
import { agesLines, connect, diallerFor, dispatcher, networksOf } from '#kernel';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { holdersOver, MasterSource, openPostgresVault, readAtStart } from '#services/pseudonyms';
import type { Parts } from './distributed.ts';
import { takesBack } from './withdrawn.ts';

export const parts: Parts = {
  async engine(options) {
    const engine = await openDistributedEngine({ ...options, remembers: takesBack });
    const log = connect(LogServiceDefinition, dispatcher(engine.implementations));
    const own = new Set(options.modules.flatMap(({ consumers }) => consumers.map(({ name }) => name)));
    return {
      implementations: engine.implementations,
      start: () => engine.start(),
      stop: () => engine.stop(),
      async missing() {
        const { database, broker } = await engine.health();
        return [...(database ? [] : ['database']), ...(broker ? [] : ['broker'])];
      },
      async metrics() {
        const [{ ages }, { owned, unpublished }] = await Promise.all([log.ages({}), engine.health()]);
        return [
          ...agesLines(ages.filter(({ consumer }) => own.has(consumer))),
          '# HELP eduk_unpublished_events Events of the log that are not on Kafka yet.',
          '# TYPE eduk_unpublished_events gauge',
          `eduk_unpublished_events ${unpublished.events}`,
          '# HELP eduk_unpublished_seconds Age of the oldest event that is not on Kafka yet.',
          '# TYPE eduk_unpublished_seconds gauge',
          `eduk_unpublished_seconds ${unpublished.oldestMs / 1000}`,
          '# HELP eduk_owned Services whose rows this process writes at the moment.',
          '# TYPE eduk_owned gauge',
          ...owned.map((name) => `eduk_owned{service="${name}"} 1`),
        ];
      },
    };
  },
  async log(options) {
    const opened = await openDistributedLog({ ...options, remembers: takesBack });
    return {
      implementation: opened.implementation,
      usedBytes: () => opened.usedBytes(),
      stop: () => opened.stop(),
      async missing() {
        await opened.unpublished();
        return [];
      },
    };
  },
  async vault({ keyFile, allowNetworks, onLoopback, ...options }) {
    const holders = holdersOver(diallerFor(networksOf(allowNetworks, onLoopback)));
    const source = new MasterSource(keyFile, holders);
    const masterKey = await readAtStart(source);
    try {
      return await openPostgresVault({ ...options, masterKey, nextKey: source.next, source, holders });
    } finally {
      masterKey.fill(0);
    }
  },
};
