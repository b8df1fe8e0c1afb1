import type { ReadinessCause, ReadinessCount, ReadinessDay, ReadinessRow } from '#proto/eduk/gateway/v1/flow';
import { day, oin, schoolFlag, schoolYear } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { counted, list, paragraph, table } from '../print.ts';
import { misuse } from '../problem.ts';
import { following } from '../progress.ts';
import { whoMustAct } from '../words.ts';

/** Rows on a page of the gateway's. */
const PAGE = 200;
/** Days that are printed; --json has all. */
const DAYS = 14;
/** What to chase that is printed; --json has all. */
const CHASED = 20;

/** `<10`: from 1 to 9; `-`: not told, because another would follow from it. */
const word = (n: ReadinessCount | undefined): string => {
  if (!n) return '';
  if (n.underTen) return '<10';
  if (n.hidden) return '-';
  return n.atLeast ? `${n.count}+` : String(n.count);
};

const countJson = (n: ReadinessCount | undefined) => ({
  count: n && !n.underTen && !n.hidden ? n.count : null,
  underTen: n?.underTen ?? false,
  atLeast: n?.atLeast ?? false,
});

const causeJson = ({ code, state, count, who, partyOin, partyName, told, remedy, products }: ReadinessCause) => ({
  code,
  state,
  ...countJson(count),
  who,
  partyOin: partyOin || null,
  partyName: partyName || null,
  told,
  remedy,
  products,
});

const rowJson = (row: ReadinessRow) => ({
  schoolOin: row.schoolOin,
  schoolName: row.schoolName || null,
  productId: row.productId || null,
  title: row.title || null,
  groupKey: row.groupKey || null,
  wanted: countJson(row.wanted),
  confirmed: countJson(row.confirmed),
  granted: countJson(row.granted),
  provisioned: countJson(row.provisioned),
  opened: countJson(row.opened),
  causes: row.causes.map(causeJson),
});

const dayJson = ({ day, wanted, confirmed, granted, provisioned, opened }: ReadinessDay) => ({
  day,
  wanted,
  confirmed,
  granted,
  provisioned,
  opened,
});

const nameOf = ({ title, productId, groupKey }: ReadinessRow): string => `${title} ${productId} ${groupKey}`;

const whom = ({ who, partyName, partyOin }: ReadinessCause): string => partyName || partyOin || whoMustAct(who);

/** Causes of several pages together. */
function together(all: readonly ReadinessCause[]): ReadinessCause[] {
  const found = new Map<string, ReadinessCause>();
  for (const cause of all) {
    const name = [cause.code, cause.state, cause.who, cause.partyOin].join(' ');
    const known = found.get(name);
    if (!known) {
      found.set(name, { ...cause });
      continue;
    }
    const isOpen = (n: ReadinessCount | undefined): boolean => !n || n.underTen || n.hidden || n.atLeast;
    known.products += cause.products;
    known.count = {
      count: (known.count?.count ?? 0) + (cause.count?.count ?? 0),
      underTen: false,
      hidden: false,
      atLeast: isOpen(known.count) || isOpen(cause.count),
    };
  }
  return [...found.values()].sort((a, b) => (b.count?.count ?? 0) - (a.count?.count ?? 0));
}

const steps = (row: ReadinessRow): string[] =>
  [row.wanted, row.confirmed, row.granted, row.provisioned, row.opened].map(word);

const lacks = (row: ReadinessRow): string =>
  row.causes.map((cause) => `${word(cause.count)} ${cause.code}: ${whom(cause)}`).join('\n');

export const readiness: Command = {
  name: 'readiness',
  about: 'Show how ready schools are for their first day: what is missing, and whom to ask for it.',
  flags: {
    school: schoolFlag('One school, product after product; without it one row for each school.'),
    year: {
      about: 'School year; without it that of the first day, else the one that runs, from May the one to come.',
      value: 'YEAR',
      check: schoolYear,
    },
    'first-day': { about: 'First school day of the region.', value: 'DAY', check: day },
    'by-group': { about: 'With --school: a row for each group.' },
    product: { about: 'With --school: this product only.', value: 'PRODUCT' },
    party: { about: 'Only what concerns this party, as it sees it itself.', value: 'OIN', check: oin },
  },
  notes: [
    'Licences as counts: wanted, and how many of those are confirmed, granted, provisioned and opened, or further.',
    'Whoever is not the school sees no count from 1 to 9 (<10), nor one from which such a one would follow (-). A sum of what is shown reads 120+.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school') ?? '';
    const byGroup = call.has('by-group');
    const productId = call.one('product') ?? '';
    if (schoolOin === '' && (byGroup || productId !== ''))
      throw misuse('--by-group and --product are of one --school.');
    const asked = {
      schoolOin,
      schoolYear: call.one('year') ?? '',
      firstDay: call.one('first-day') ?? '',
      byGroup,
      productId,
      limit: PAGE,
    };
    const partyOin = call.one('party') ?? '';
    const gateway = call.gateway();
    const rows: ReadinessRow[] = [];
    const causes: ReadinessCause[] = [];
    let days: ReadinessDay[] = [];
    let year = '';
    let daysLeft = 0;
    await following(call, { words: schoolOin ? 'rows counted' : 'schools counted' }, async (progress) => {
      for (let cursor = '', pages = 0; pages === 0 || cursor !== ''; pages++) {
        const { readiness: page } = await gateway.ask(
          'showReadiness',
          { asked: { ...asked, cursor }, partyOin },
          60_000,
        );
        rows.push(...(page?.rows ?? []));
        causes.push(...(page?.chase ?? []));
        // Days are of the products of a page: those of the first stand for a school that has more.
        if (pages === 0) days = page?.days ?? [];
        year = page?.schoolYear ?? '';
        daysLeft = page?.daysLeft ?? 0;
        cursor = page?.cursor ?? '';
        progress.set(rows.length);
      }
    });
    if (schoolOin) rows.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    const chase = together(causes);
    const { firstDay } = asked;
    const json = {
      schoolYear: year,
      firstDay: firstDay || null,
      daysLeft: firstDay ? daysLeft : null,
      rows: rows.map(rowJson),
      chase: chase.map(causeJson),
      days: days.map(dayJson),
    };
    if (rows.length === 0)
      return {
        json,
        text: '',
        said: `Nothing is wanted for ${year}${schoolOin ? ' at this school' : ''} that is known here.`,
      };
    const facts = list([
      ['school year', year],
      [
        'first day',
        firstDay &&
          `${firstDay}, ${daysLeft < 0 ? `${counted(-daysLeft, 'day')} ago` : `in ${counted(daysLeft, 'day')}`}`,
      ],
      ['school', schoolOin && [rows[0]!.schoolName, schoolOin].filter(Boolean).join(', ')],
    ]);
    const head = ['wanted', 'conf.', 'granted', 'prov.', 'opened', 'missing'];
    const shown = schoolOin
      ? table(
          byGroup ? ['product', 'group', ...head] : ['product', ...head],
          rows.map((row) => [
            [row.title, row.productId].filter(Boolean).join('\n'),
            ...(byGroup ? [row.groupKey] : []),
            ...steps(row),
            lacks(row),
          ]),
        )
      : table(
          ['school', ...head],
          rows.map((row) => [[row.schoolName, row.schoolOin].filter(Boolean).join('\n'), ...steps(row), lacks(row)]),
        );
    const chased = table(
      ['count', 'whom to ask', 'why', 'what to do'],
      chase
        .slice(0, CHASED)
        .map((cause) => [
          word(cause.count),
          whom(cause),
          `${cause.code}${cause.products > 1 ? `\n${cause.products} products` : ''}`,
          cause.remedy || cause.told,
        ]),
    );
    const trend = table(
      ['day', 'wanted', 'conf.', 'granted', 'prov.', 'opened'],
      days
        .slice(-DAYS)
        .map(({ day, wanted, confirmed, granted, provisioned, opened }) => [
          day,
          wanted,
          confirmed,
          granted,
          provisioned,
          opened,
        ]),
    );
    const text = [
      facts,
      shown,
      ...(chase.length > 0 ? [`${paragraph('To ask for')}\n\n${chased}`] : []),
      ...(days.length > 0 ? [`${paragraph('How it went')}\n\n${trend}`] : []),
    ].join('\n\n');
    return { json, text };
  },
};
