import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '#kernel';
import type { Ending, Score, ScoreCount, Scorecard } from '#proto/eduk/gateway/v1/party';
import { day, oin } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, isoTime, list, paragraph, span, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';
import { following } from '../progress.ts';

/** Codes that a table names; --json has all. */
const SHOWN_CODES = 5;
/** Days that are printed; --json and --csv have all. */
const SHOWN_DAYS = 14;

const countsJson = (counts: readonly ScoreCount[]) => counts.map(({ code, times }) => ({ code, times: Number(times) }));
const msJson = (ms: bigint | undefined): number | null => (ms === undefined ? null : Number(ms));

const scoreJson = (score: Score) => ({
  accepted: Number(score.accepted),
  refused: Number(score.refused),
  refusedAtDoor: Number(score.refusedAtDoor),
  schemaViolations: Number(score.schemaViolations),
  refusals: countsJson(score.refusals),
  requests: Number(score.requests),
  again: Number(score.again),
  failed: Number(score.failed),
  failures: countsJson(score.failures),
  delivered: Number(score.delivered),
  answerP50Ms: msJson(score.answerP50Ms),
  answerP99Ms: msJson(score.answerP99Ms),
  deliveryP50Ms: msJson(score.deliveryP50Ms),
  deliveryP99Ms: msJson(score.deliveryP99Ms),
});

const endingJson = ({ what, subject, day, count, schoolOins }: Ending) => ({
  what,
  subject: subject || null,
  day,
  count,
  schoolOins,
});

/** As `--json` says it, and the files of a month. */
const cardJson = (card: Scorecard, name: string) => ({
  partyOin: card.partyOin,
  partyName: name || null,
  from: card.fromDay,
  to: card.untilDay,
  lastAccepted: isoTime(card.lastAcceptedMs),
  lastDelivered: isoTime(card.lastDeliveredMs),
  total: scoreJson(card.total!),
  endpoints: card.endpoints.map(({ standard, score }) => ({ standard, ...scoreJson(score!) })),
  days: card.days.map(({ day, score }) => ({ day, ...scoreJson(score!) })),
  endings: card.endings.map(endingJson),
});

/** Columns of a CSV line: what a spreadsheet adds up or draws. */
const COLUMNS = [
  'accepted',
  'refused',
  'refusedAtDoor',
  'schemaViolations',
  'requests',
  'again',
  'failed',
  'delivered',
  'answerP50Ms',
  'answerP99Ms',
  'deliveryP50Ms',
  'deliveryP99Ms',
] as const satisfies readonly (keyof Score)[];

/** RFC 4180, a line for each day and one of all; what was not measured is empty. */
function csvOf(card: Scorecard): string {
  const line = (first: string, score: Score): string =>
    [card.partyOin, first, ...COLUMNS.map((name) => String(score[name] ?? ''))].join(',');
  const lines = [
    ['partyOin', 'day', ...COLUMNS].join(','),
    ...card.days.map(({ day, score }) => line(day, score!)),
    line('total', card.total!),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

const ms = (value: bigint | undefined): string =>
  value === undefined ? '' : value < 1_000n ? `${value} ms` : span(Number(value));

const codes = (counts: readonly ScoreCount[]): string =>
  counts
    .slice(0, SHOWN_CODES)
    .map(({ code, times }) => `${code} ${times}`)
    .join(', ');

const ENDS: Readonly<Record<string, string>> = {
  certificate: 'the certificate that it showed',
  secret: 'its client secret from before',
  key: 'a key with which it signs',
  mandate: 'mandates',
  run_off: 'run-off of mandates',
  version: 'a version of a standard',
};

function textOf(card: Scorecard, name: string): string {
  const total = card.total!;
  const facts = list([
    ['party', [name, card.partyOin].filter(Boolean).join(', ')],
    ['days', `${card.fromDay} to ${card.untilDay}`],
    ['accepted of it', total.accepted],
    [
      'refused',
      `${total.refused + total.refusedAtDoor}${total.refusals.length > 0 ? `: ${codes(total.refusals)}` : ''}`,
    ],
    ['of those by form', total.schemaViolations],
    ['delivered to it', total.delivered],
    ['requests', `${total.requests}, of which ${total.again} again`],
    ['failed', `${total.failed}${total.failures.length > 0 ? `: ${codes(total.failures)}` : ''}`],
    ...(total.answerP50Ms === undefined
      ? []
      : [
          ['it answers in', `${ms(total.answerP50Ms)} (half), ${ms(total.answerP99Ms)} (99 %)`] as [string, string],
          ['it has a message in', `${ms(total.deliveryP50Ms)} (half), ${ms(total.deliveryP99Ms)} (99 %)`] as [
            string,
            string,
          ],
        ]),
  ]);
  const parts = [facts];
  if (card.endpoints.length > 1)
    parts.push(
      table(
        ['endpoint', 'delivered', 'requests', 'again', 'failed', 'answer 99 %', 'delivery 99 %'],
        card.endpoints.map(({ standard, score }) => [
          standard,
          score!.delivered,
          score!.requests,
          score!.again,
          score!.failed,
          ms(score!.answerP99Ms),
          ms(score!.deliveryP99Ms),
        ]),
      ),
    );
  if (card.days.length > 0)
    parts.push(
      table(
        ['day', 'accepted', 'refused', 'delivered', 'failed', 'again', 'answer 99 %'],
        card.days
          .slice(-SHOWN_DAYS)
          .map(({ day, score }) => [
            day,
            score!.accepted,
            score!.refused + score!.refusedAtDoor,
            score!.delivered,
            score!.failed,
            score!.again,
            ms(score!.answerP99Ms),
          ]),
      ),
    );
  if (card.endings.length > 0)
    parts.push(
      `${paragraph('What ends')}\n\n${table(
        ['day', 'what', ''],
        card.endings.map(({ day, what, subject, count, schoolOins }) => [
          day,
          ENDS[what] ?? what,
          [subject, schoolOins.length > 0 ? counted(count, 'school') : ''].filter(Boolean).join(', '),
        ]),
      )}`,
    );
  return parts.join('\n\n');
}

const month = (text: string): string | undefined =>
  /^\d{4}-(0[1-9]|1[0-2])$/.test(text) ? undefined : 'is no month: YYYY-MM';

export const partyScore: Command = {
  name: 'party score',
  about: 'Show how it goes with a party: what it sent, how it took what was sent to it, and what of it ends.',
  arguments: [{ name: 'OIN', about: 'The party; without it, with --month, all that had any.', optional: true }],
  flags: {
    from: { about: 'First day; without it 29 days before the last.', value: 'DAY', check: day },
    to: { about: 'Last day; without it today.', value: 'DAY', check: day },
    csv: { about: 'Print a line for each day, as CSV.' },
    month: { about: 'Write the files of this month, as JSON and CSV, to --out.', value: 'MONTH', check: month },
    out: { about: 'With --month: folder for the files; made where it is not there.', value: 'FOLDER' },
  },
  notes: [
    'Days are kept for two months, the months after that for three years. How long things took is told within 9 %.',
    'Delivered, requests and times are of its endpoints: of who watches or pulls, nobody knows when it took something.',
  ],
  async run(call): Promise<Result> {
    const named = call.args('OIN')[0];
    const wrong = named === undefined ? undefined : oin(named);
    if (wrong) throw new Problem('wire.invalid', `OIN ${wrong}.`, { exit: 2 });
    const monthly = call.one('month');
    if ((monthly === undefined) !== (call.one('out') === undefined)) throw misuse('--month and --out go together.');
    if (monthly !== undefined) {
      if (call.has('from') || call.has('to') || call.has('csv')) throw misuse('--month stands for --from and --to.');
      return writeMonth(call, monthly, call.one('out')!, named);
    }
    if (named === undefined) throw misuse('Name the party.');
    if (call.has('csv') && call.json) throw misuse('--csv or --json, not both.');
    const { name, card } = await cardOf(call, named, call.one('from') ?? '', call.one('to') ?? '');
    return { json: cardJson(card, name), text: call.has('csv') ? csvOf(card).trimEnd() : textOf(card, name) };
  },
};

async function cardOf(call: Call, partyOin: string, fromDay: string, untilDay: string) {
  const gateway = call.gateway();
  const [{ scorecard }, { parties }] = await Promise.all([
    gateway.ask('showScorecard', { partyOin, fromDay, untilDay }),
    gateway.ask('listParties', { oin: partyOin }),
  ]);
  return { card: scorecard!, name: parties[0]?.name ?? '' };
}

async function writeMonth(call: Call, month: string, folder: string, named: string | undefined): Promise<Result> {
  const fromDay = `${month}-01`;
  const untilDay = new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).toISOString().slice(0, 10);
  const gateway = call.gateway();
  const { parties } = await gateway.ask('listParties', named === undefined ? {} : { oin: named });
  if (named !== undefined && parties.length === 0) throw new Problem('state.missing', 'No party has this OIN.');
  const files: string[] = [];
  try {
    makeFolders(folder);
  } catch (error) {
    throw misuse(`--out names a folder that cannot be made (${(error as NodeJS.ErrnoException).code}).`);
  }
  const write = async ({ oin: partyOin, name }: { oin: string; name: string }): Promise<void> => {
    const { scorecard } = await gateway.ask('showScorecard', { partyOin, fromDay, untilDay });
    // Schools that were only spoken of have no file, unless they were asked for.
    if (scorecard!.days.length === 0 && named === undefined) return;
    for (const [end, text] of [
      ['json', `${JSON.stringify(cardJson(scorecard!, name), undefined, 2)}\n`],
      ['csv', csvOf(scorecard!)],
    ] as const) {
      const file = join(folder, `${partyOin}-${month}.${end}`);
      writeFileSync(file, text);
      files.push(file);
    }
  };
  await following(call, { words: 'parties looked at', all: parties.length }, async (progress) => {
    for (const party of parties) {
      await write(party);
      progress.add(1);
    }
  });
  return {
    json: { month, files },
    text: files.length === 0 ? `Nothing was exchanged in ${month} that is kept.` : files.join('\n'),
  };
}
