import type { FlowRebuild } from '#proto/eduk/flows/v1/flows';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';

const BAR = 24;
/** Differences that a page of people shows. */
const SHOWN = 20;
const n = (count: bigint): number => Number(count);
const differing = ({ missing, surplus, differs }: FlowRebuild): number => n(missing) + n(surplus) + n(differs);

const rebuildJson = (of: FlowRebuild, mend: boolean) => ({
  state: of.state,
  mend,
  records: n(of.records),
  flows: n(of.flows),
  same: n(of.flows) - differing(of) - n(of.unreadable),
  missing: n(of.missing),
  surplus: n(of.surplus),
  differs: n(of.differs),
  mended: n(of.mended),
  left: n(of.left),
  unreadable: n(of.unreadable),
  older: n(of.older),
  keptFrom: isoTime(of.keptFromMs),
  columns: Object.fromEntries(of.columns.map(({ column, flows }) => [column, n(flows)])),
  differences: of.differences.map(({ flowId, what, columns }) => ({ flowId, what, columns })),
});

const states: Readonly<Record<string, string>> = {
  reading: 'of the log read',
  comparing: 'compared',
  confirming: 'looking again',
  mending: 'mending',
};

/** One line that is written over: how far it is. */
function bar({ state, permille, records, flows }: FlowRebuild): string {
  const full = Math.round((permille / 1000) * BAR);
  const share = state === 'reading' || state === 'comparing' ? `${Math.floor(permille / 10)} % ` : '';
  return `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}] ${share}${states[state] ?? state}  ${counted(records, 'record')}, ${counted(flows, 'flow')}`;
}

async function follow(call: Call, mend: boolean): Promise<FlowRebuild> {
  const shows = call.streams.isTerminal === true && !call.json;
  let last: FlowRebuild | undefined;
  for await (const { rebuild } of call.gateway().watch('rebuildFlows', { mend })) {
    last = rebuild!;
    if (shows) call.streams.err(`\r${bar(last)}\x1b[K`);
  }
  if (shows) call.streams.err('\r\x1b[K');
  if (last?.state !== 'done')
    throw new Problem(
      'peer.unavailable',
      'The gateway stopped telling of it: what was mended stays so; begin it again.',
    );
  return last;
}

function text(of: FlowRebuild, mend: boolean): string {
  const all = differing(of);
  const parts = [
    list([
      ['records read', n(of.records)],
      ['flows compared', n(of.flows)],
      ['as the log has them', n(of.flows) - all - n(of.unreadable)],
      ['missing', n(of.missing) || ''],
      ['surplus', n(of.surplus) || ''],
      ['otherwise', n(of.differs) || ''],
      ['mended', mend ? n(of.mended) : ''],
      ['left', n(of.left) || ''],
      ['not readable', n(of.unreadable) || ''],
      ['older, not looked at', n(of.older) || ''],
    ]),
  ];
  if (of.columns.length > 0)
    parts.push(
      table(
        ['column', 'flows'],
        of.columns.map((one) => [one.column, one.flows]),
      ),
    );
  if (of.differences.length > 0)
    parts.push(
      table(
        ['flow', 'difference', 'columns'],
        of.differences.slice(0, SHOWN).map(({ flowId, what, columns }) => [flowId, what, columns.join(' ')]),
      ),
    );
  if (all > Math.min(SHOWN, of.differences.length))
    parts.push(paragraph(`And ${all - Math.min(SHOWN, of.differences.length)} more: --json shows the first 200.`));
  parts.push(
    paragraph(
      `${of.keptFromMs === 0n ? 'The log keeps everything since its beginning.' : `The log has all of flows that began at ${dutchTime(of.keptFromMs)} or later; older ones were not touched.`} Totals (scorecards, refusals at doors, reads of rosters) are not on the log, and stay as they were counted.`,
    ),
  );
  return parts.join('\n\n');
}

export const rebuildFlows: Command = {
  name: 'flow rebuild',
  about: 'Make flows anew of what the log keeps, and compare them with those that stand.',
  flags: {
    check: { about: 'Compare only, and change nothing: what it does without --mend.' },
    mend: { about: 'Put right what differs.' },
  },
  notes: [
    'Ended with Ctrl-C it stops; what was mended by then stays so. Exit 1: something differs, or was left. When to use it: docs/moving.md.',
  ],
  async run(call): Promise<Result> {
    const mend = call.has('mend');
    if (mend && call.has('check')) throw misuse('--check and --mend do not go together.');
    const of = await follow(call, mend);
    const all = differing(of);
    return {
      json: rebuildJson(of, mend),
      text: text(of, mend),
      said:
        all === 0
          ? 'Every flow stands as the log has it.'
          : mend
            ? of.left > 0n
              ? `${counted(of.left, 'flow')} changed each time it was to be mended: begin again.`
              : `${counted(of.mended, 'flow')} put right.`
            : 'eduk flow rebuild --mend puts them right.',
      exit: (mend ? of.left > 0n : all > 0) ? 1 : 0,
    };
  },
};
