import type { FlowRebuild } from '#proto/eduk/flows/v1/flows';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';
import { following, type Stage } from '../progress.ts';

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

const STAGES: Readonly<Record<string, Stage>> = {
  reading: { words: 'of the log read', unit: 'share' },
  comparing: { words: 'of the flows compared', unit: 'share' },
  // What is looked at twice is little.
  confirming: { words: 'flows looked at again' },
  mending: { words: 'flows mended' },
};
const WHOLE = 1000;

/** Follows it until it is done, and shows how far it is. */
async function follow(call: Call, mend: boolean): Promise<FlowRebuild> {
  let last: FlowRebuild | undefined;
  await following(call, STAGES['reading']!, async (progress) => {
    let state = 'reading';
    for await (const { rebuild } of call.gateway().watch('rebuildFlows', { mend })) {
      last = rebuild!;
      const stage = last.state === state ? undefined : STAGES[last.state];
      state = last.state;
      if (stage) progress.stage(stage);
      if (STAGES[state]?.unit === 'share')
        progress.set(last.permille, WHOLE, `${counted(last.records, 'record')}, ${counted(last.flows, 'flow')}`);
      else progress.set(state === 'mending' ? n(last.mended) : differing(last));
    }
  });
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
