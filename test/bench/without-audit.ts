/**
 * Loaded before everything else in each thread of a gateway (`--import`, BENCH_WITHOUT_AUDIT=yes): what is accepted leaves no record. The source changes as it is
 * read, and the files stay as they are, so that nothing that runs in earnest has a switch for it.
 */
import { registerHooks } from 'node:module';

const FILE = '/services/edge/stages/accept.ts';
/** What a message alone adds, and what a group does. */
const changes: readonly (readonly [string, string])[] = [
  ['  entry.events.push(auditEvent([itemOf(record)], submission.caller.oin));\n', ''],
  [
    'const entries = [...made.map(({ entry }) => entry), entryFor(said.record, sent[0]!)];',
    'const entries = made.map(({ entry }) => entry);',
  ],
];

/** The source without it. Throws where it is not what it was: a part of the bench that measures nothing must not look like one that does. */
export function withoutAudit(source: string): string {
  let changed = source;
  for (const [from, to] of changes) {
    if (!changed.includes(from)) throw new Error('what the bench takes out of accept.ts is not there any more');
    changed = changed.replace(from, () => to);
  }
  return changed;
}

if (process.env['BENCH_WITHOUT_AUDIT'] === 'yes')
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const { source } = loaded;
      if (!url.endsWith(FILE) || source === undefined || source === null) return loaded;
      return {
        ...loaded,
        source: withoutAudit(typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString()),
      };
    },
  });
