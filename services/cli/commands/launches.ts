import type { LaunchQuarter, LaunchRow, ReadinessCount } from '#proto/eduk/gateway/v1/flow';
import { day, oin } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { list, paragraph, table } from '../print.ts';
import { whoMustAct } from '../words.ts';

/** Quarters of a row that are printed; --json has all. */
const QUARTERS = 4;

const word = (n: ReadinessCount | undefined): string => {
  if (!n) return '';
  if (n.underTen) return '<10';
  return n.hidden ? '-' : String(n.count);
};

const countJson = (n: ReadinessCount | undefined) => ({
  count: n && !n.underTen && !n.hidden ? n.count : null,
  underTen: n?.underTen ?? false,
});

const quarterJson = ({ at, asked, opened, unopened, refused, usual }: LaunchQuarter) => ({
  at,
  asked: countJson(asked),
  opened: countJson(opened),
  unopened: countJson(unopened),
  refused: countJson(refused),
  usual,
});

const isJudged = ({ state }: LaunchRow): boolean => state === 'low' || state === 'usual';

const rowJson = (row: LaunchRow) => ({
  platformOin: row.platformOin || null,
  platformName: row.platformName || null,
  publisherOin: row.publisherOin || null,
  publisherName: row.publisherName || null,
  state: row.state,
  percent: isJudged(row) ? row.percent : null,
  usualPercent: row.usualKnown ? row.usualPercent : null,
  whose: row.whose || null,
  code: row.code || null,
  who: row.who || null,
  partyOin: row.partyOin || null,
  partyName: row.partyName || null,
  told: row.told,
  remedy: row.remedy,
  quarters: row.quarters.map(quarterJson),
});

const nameOf = (name: string, of: string): string => name || of || '-';
const states: Readonly<Record<string, string>> = { low: 'LOW', none: 'NONE', usual: 'usual', few: 'few' };

export const launches: Command = {
  name: 'launches',
  about: 'Show how learners get in today, beside the same weekday of before, and whether it is them or us.',
  flags: {
    party: { about: 'Only what concerns this platform or publisher, as it sees it itself.', value: 'OIN', check: oin },
    day: { about: 'One of the seven days before; without it today.', value: 'DAY', check: day },
  },
  notes: [
    'Of all schools together. Counts from 1 to 9 are not shown (<10), nor one from which such a one would follow (-); percentages are in steps of five.',
    'Exit 1 where far fewer get in than usual.',
  ],
  async run(call): Promise<Result> {
    const gateway = call.gateway();
    const { launches: found } = await gateway.ask(
      'showLaunches',
      { asked: { day: call.one('day') ?? '' }, partyOin: call.one('party') ?? '' },
      60_000,
    );
    const rows = found?.rows ?? [];
    const wrong = rows.filter(({ state }) => state === 'low' || state === 'none');
    const json = {
      day: found?.day ?? '',
      until: found?.until ?? '',
      beside: found?.beside ?? [],
      behindMs: Number(found?.behindMs ?? 0n),
      rows: rows.map(rowJson),
    };
    const exit = wrong.length > 0 ? 1 : 0;
    if (rows.length === 0)
      return { json, text: '', said: `No launches on ${json.day}, nor on the same weekday before.` };
    const facts = list([
      ['day', `${json.day}, until ${json.until}`],
      ['beside', json.beside.join(', ')],
    ]);
    const verdicts = wrong.map((row) =>
      [
        paragraph(
          `${nameOf(row.platformName, row.platformOin)}, ${nameOf(row.publisherName, row.publisherOin)}: ${
            row.state === 'none' ? 'hardly any launches' : `${row.percent} % get in, usually ${row.usualPercent} %`
          }`,
        ),
        list([
          ['why', row.told],
          ['cause', row.code],
          ['call', row.partyName || row.partyOin || whoMustAct(row.who)],
          ['do', row.remedy],
        ]),
      ].join('\n'),
    );
    const shown = table(
      ['platform', 'publisher', 'state', 'in', 'usual', 'quarter', 'asked', 'opened', 'unopened', 'refused'],
      rows.map((row) => {
        const last = row.quarters.slice(-QUARTERS);
        const column = (of: (quarter: LaunchQuarter) => string): string => last.map(of).join('\n');
        return [
          nameOf(row.platformName, row.platformOin),
          nameOf(row.publisherName, row.publisherOin),
          states[row.state] ?? row.state,
          isJudged(row) ? `${row.percent} %` : '',
          row.usualKnown ? `${row.usualPercent} %` : '',
          column(({ at }) => at),
          column(({ asked, usual }) => `${word(asked)} (${usual})`),
          column(({ opened }) => word(opened)),
          column(({ unopened }) => word(unopened)),
          column(({ refused }) => word(refused)),
        ];
      }),
    );
    return { json, text: [facts, ...verdicts, shown].join('\n\n'), exit };
  },
};
