/** What the console shows and does, the command line shows and does: which page and action is which command. */
import { expect, test } from 'vitest';
import { actions, PLACES } from '#services/console';
import { commands } from '../../services/cli/commands/index.ts';

const byPage: Readonly<Record<string, readonly string[]>> = {
  '/': ['doctor', 'alert list'],
  '/launches': ['launches'],
  '/readiness': ['readiness'],
  '/preflight': ['preflight'],
  '/flows': ['flow list'],
  '/flow': ['flow show'],
  '/why': ['flow why'],
  '/holds': ['hold list', 'hold rule list'],
  '/freezes': ['freeze list'],
  '/dead': ['dead list'],
  '/replay': ['replay status'],
  '/reconciled': ['reconcile show'],
  '/access': ['audit access'],
  '/audit': ['audit search'],
  '/parties': ['party list'],
  '/party': ['party show', 'party score'],
  // What is wrong with the settings of a place, and what differs from what it runs on.
  '/settings': ['doctor'],
  '/links': ['console links'],
};
const byAction: Readonly<Record<string, readonly string[]>> = {
  '/api/holds/decide': ['hold approve', 'hold reject'],
  '/api/dead/retry': ['dead retry'],
  '/api/dead/drop': ['dead drop'],
  '/api/dead/stop': ['dead stop'],
  '/api/dead/take-up': ['dead retry'],
  '/api/replays/preview': ['replay preview', 'reconcile mend'],
  '/api/replays/run': ['replay run'],
  '/api/replays/stop': ['replay stop'],
  '/api/reconciled/ask': ['reconcile run'],
  '/api/holds/rules/set': ['hold rule add'],
  '/api/holds/rules/approve': ['hold rule approve'],
  '/api/holds/rules/end': ['hold rule end'],
  '/api/freezes/set': ['freeze set'],
  '/api/freezes/end': ['freeze end'],
  '/api/links/make': ['console link'],
  '/api/links/end': ['console unlink'],
};

test('every page and action of the console has its command', () => {
  expect(Object.keys(byPage).sort()).toEqual(Object.keys(PLACES).sort());
  expect(Object.keys(byAction).sort()).toEqual(Object.keys(actions).sort());
  const known = commands.map(({ name }) => name);
  for (const name of [...Object.values(byPage), ...Object.values(byAction)].flat()) expect(known).toContain(name);
});

/** Parts of a page’s query that its command calls otherwise; empty = it has its own way, or needs none. */
const parts: Readonly<Record<string, string>> = {
  q: '',
  by: '',
  cursor: '',
  id: '',
  oin: '',
  first: 'first-day',
  decided: 'decided',
};

test('what a page may be narrowed by, its command may be too', () => {
  const lacking: string[] = [];
  for (const [page, query] of Object.entries(PLACES)) {
    const flags = new Set(
      commands.filter(({ name }) => byPage[page]!.includes(name)).flatMap(({ flags }) => Object.keys(flags ?? {})),
    );
    for (const part of query) {
      const flag = parts[part] ?? part;
      if (flag !== '' && !flags.has(flag)) lacking.push(`${page} ${part}`);
    }
  }
  expect(lacking).toEqual([]);
});
