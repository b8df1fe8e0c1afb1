import type { PreflightLine, PreflightMessage } from '#proto/eduk/gateway/v1/flow';
import { day, oin, schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { counted, list, paragraph, table } from '../print.ts';
import { following } from '../progress.ts';
import { whoMustAct } from '../words.ts';

const langs = ['nl', 'en'] as const;
/** Orders looked at for a page. */
const PAGE = 500;
/** Ids that one row names. */
const NAMED = 5;

const lineJson = (line: PreflightLine) => ({
  schoolOin: line.schoolOin,
  schoolName: line.schoolName || null,
  buyerOin: line.buyerOin,
  orderId: line.orderId,
  lineId: line.lineId,
  productId: line.productId || null,
  title: line.title || null,
  quantity: line.quantity,
  code: line.code,
  who: line.who,
  partyOin: line.partyOin || null,
  partyName: line.partyName || null,
  told: line.told,
  remedy: line.remedy,
  followupProductId: line.followupProductId || null,
});

/** Lines that fail for one reason, of one product and school, by one party. */
function alike(lines: readonly PreflightLine[]): PreflightLine[][] {
  const found = new Map<string, PreflightLine[]>();
  for (const line of lines) {
    const name = [line.partyOin, line.code, line.schoolOin, line.productId].join(' ');
    const of = found.get(name);
    if (of) of.push(line);
    else found.set(name, [line]);
  }
  return [...found.values()].sort((a, b) => b.length - a.length);
}

function named(lines: readonly PreflightLine[]): string {
  const ids = [...new Set(lines.map(({ orderId, lineId }) => `${orderId}/${lineId}`))];
  return [...ids.slice(0, NAMED), ...(ids.length > NAMED ? [`and ${ids.length - NAMED} more`] : [])].join('\n');
}

export const preflight: Command = {
  name: 'preflight',
  about: 'Say which lines of orders will fail on a day to come, why, and whom to call.',
  flags: {
    school: schoolFlag('Of one school.'),
    party: { about: 'Only what this party ordered or is to fulfil, as it sees it itself.', value: 'OIN', check: oin },
    day: { about: 'For that day; without it the next 1 August, in August itself today.', value: 'DAY', check: day },
    lang: { about: 'Language of the messages: nl or en; without it nl.', value: 'LANG', choices: langs },
    messages: { about: 'Print a message for each party to call, ready to send.' },
  },
  notes: ['Messages name schools, orders, lines and products, and nobody. Exit 1 where a line will fail.'],
  async run(call): Promise<Result> {
    const asked = {
      schoolOin: call.one('school') ?? '',
      day: call.one('day') ?? '',
      lang: call.one('lang') ?? 'nl',
      limit: PAGE,
    };
    const partyOin = call.one('party') ?? '';
    const gateway = call.gateway();
    const lines: PreflightLine[] = [];
    const messages: PreflightMessage[] = [];
    let lookedAt = 0;
    let on = '';
    await following(call, { words: 'open lines looked at' }, async (progress) => {
      for (let cursor = '', pages = 0; pages === 0 || cursor !== ''; pages++) {
        const { preflight: page } = await gateway.ask(
          'showPreflight',
          { asked: { ...asked, cursor }, partyOin },
          60_000,
        );
        lines.push(...(page?.lines ?? []));
        // A party of which lines stand on several pages is written to once for each.
        messages.push(...(page?.messages ?? []));
        lookedAt += page?.lookedAt ?? 0;
        on = page?.day ?? '';
        cursor = page?.cursor ?? '';
        progress.set(lookedAt);
      }
    });
    const failing = new Set(lines.map((line) => [line.buyerOin, line.orderId, line.lineId].join(' '))).size;
    const json = {
      day: on,
      lookedAt,
      failing,
      lines: lines.map(lineJson),
      messages: messages.map(({ partyOin: to, partyName, subject, body }) => ({
        partyOin: to,
        partyName: partyName || null,
        subject,
        body,
      })),
    };
    const facts = list([
      ['day', on],
      ['looked at', counted(lookedAt, 'open line')],
      ['will fail', counted(failing, 'line')],
    ]);
    if (lines.length === 0) return { json, text: facts };
    const rows = table(
      ['lines', 'whom to call', 'why', 'of', 'order/line'],
      alike(lines).map((same) => {
        const { code, remedy, told, partyName, partyOin: to, who, schoolName, schoolOin, title, productId } = same[0]!;
        return [
          same.length,
          partyName || to || whoMustAct(who),
          `${code}\n${remedy || told}`,
          [schoolName || schoolOin, title, productId].filter(Boolean).join('\n'),
          named(same),
        ];
      }),
    );
    const letters = call.has('messages')
      ? messages.map(({ partyName, partyOin: to, subject, body }) =>
          [
            list([
              ['to', [partyName, to].filter(Boolean).join(', ')],
              ['subject', subject],
            ]),
            body
              .split('\n')
              .map((line) => paragraph(line))
              .join('\n'),
          ].join('\n\n'),
        )
      : [];
    return { json, text: [facts, rows, ...letters].join('\n\n'), exit: 1 };
  },
};
