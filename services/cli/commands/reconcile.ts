import { isSchoolOin } from '#kernel';
import type { Reconciliation } from '#proto/eduk/delivery/v1/delivery';
import { ReplaySelection } from '#proto/eduk/events/v1/deliveries';
import type { ListedReconciliation, PartyName } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { errorJson, Problem, refusalIn } from '../problem.ts';
import { following } from '../progress.ts';
import { named } from './mandate.ts';
import { countedText, follow, jobJson } from './replay.ts';

/** Differences that a page of people shows; --json has all. */
const SHOWN = 50;
const PAGE = 1_000;
const KIND = 'entitlement';

const n = (count: bigint | undefined): number => Number(count ?? 0n);
const differing = ({ counts }: Reconciliation): number => n(counts?.missing) + n(counts?.surplus) + n(counts?.differs);

const lineJson = ({ reconciliation: of, canBeAsked, dueMs }: ListedReconciliation) => ({
  partyOin: of!.partyOin,
  schoolOin: of!.schoolOin,
  kind: of!.kind,
  source: of!.source || null,
  at: isoTime(of!.lastMs),
  ours: n(of!.counts?.ours),
  theirs: n(of!.counts?.theirs),
  same: n(of!.counts?.same),
  moving: n(of!.counts?.moving),
  missing: n(of!.counts?.missing),
  surplus: n(of!.counts?.surplus),
  differs: n(of!.counts?.differs),
  kept: n(of!.kept),
  begun: isoTime(of!.begunMs),
  code: of!.code || null,
  failures: of!.failures,
  failed: isoTime(of!.failedMs),
  canBeAsked,
  due: isoTime(dueMs),
});

const stateOf = ({ reconciliation: of, canBeAsked }: ListedReconciliation): string => {
  if (of!.begunMs > 0n) return 'under way';
  if (of!.failures > 0) return `no answer: ${of!.code}`;
  if (of!.lastMs === 0n) return canBeAsked ? 'not asked yet' : 'not said yet';
  return differing(of!) === 0 ? 'equal' : 'differs';
};

const linesTable = (lines: readonly ListedReconciliation[], names: readonly PartyName[]): string =>
  table(
    ['party', 'school', 'state', 'missing', 'surplus', 'differs', 'same', 'compared'],
    lines.map((line) => {
      const { counts, partyOin, schoolOin, lastMs } = line.reconciliation!;
      const number = (count: bigint | undefined) => (lastMs === 0n ? '' : String(n(count)));
      return [
        named(partyOin, names),
        named(schoolOin, names),
        stateOf(line),
        ...[counts?.missing, counts?.surplus, counts?.differs, counts?.same].map(number),
        dutchTime(lastMs),
      ];
    }),
  );

const asked = (call: Call) => ({ partyOin: call.one('party') ?? '', schoolOin: call.one('school') ?? '' });

/** Asks about one school, or about each that the party may be asked about. */
export const runReconcile: Command = {
  name: 'reconcile run',
  about: 'Ask a party what it has of a school, and compare that with what stands here; nothing is changed.',
  flags: {
    party: { about: 'The party; it has an endpoint holdings.', value: 'OIN', check: oin, required: true },
    school: schoolFlag('Of this school; without it, of each that it may be asked about.'),
  },
  notes: ['Parties without that endpoint say it by themselves, by CompareEntitlements: docs/reconciliation.md.'],
  async run(call): Promise<Result> {
    const gateway = call.gateway();
    const { partyOin, schoolOin } = asked(call);
    const before = await gateway.ask('listReconciliations', { partyOin, schoolOin, differing: false });
    const schools =
      schoolOin === ''
        ? before.reconciliations.flatMap(({ reconciliation: of, canBeAsked }) => (canBeAsked ? [of!.schoolOin] : []))
        : [schoolOin];
    if (schools.length === 0)
      throw new Problem(
        'state.missing',
        'This party cannot be asked about any school. It has no endpoint holdings, which it says and you register; or no mandate entitlement, which a school gives it (eduk mandate list).',
      );
    let failed: Problem | undefined;
    await following(call, { words: 'schools asked about', all: schools.length }, async (progress) => {
      for (const school of schools) {
        try {
          await gateway.ask('reconcile', { partyOin, schoolOin: school });
        } catch (thrown) {
          // What one school comes to says nothing of the others; what it was stands in the list.
          if (!(thrown instanceof Problem) || schools.length === 1) throw thrown;
          failed = thrown;
        }
        progress.add(1);
      }
    });
    const { reconciliations, names } = await gateway.ask('listReconciliations', {
      partyOin,
      schoolOin,
      differing: false,
    });
    const lines = reconciliations.filter(({ reconciliation: of }) => schools.includes(of!.schoolOin));
    const json = { reconciliations: lines.map(lineJson) };
    const text = linesTable(lines, names);
    if (!failed) return { json, text, ...said(lines) };
    return { json: { error: errorJson(failed), ...json }, text, said: failed.message, exit: 1 };
  },
};

const said = (lines: readonly ListedReconciliation[]): { said?: string } =>
  lines.some(({ reconciliation: of }) => differing(of!) > 0)
    ? { said: 'What differs: eduk reconcile show --party OIN --school SCHOOL. To mend it: eduk reconcile mend.' }
    : {};

export const showReconcile: Command = {
  name: 'reconcile show',
  about: 'Show how parties stood when they were last compared; with a party and a school also what differed.',
  flags: {
    party: { about: 'Of this party.', value: 'OIN', check: oin },
    school: schoolFlag('Of this school.'),
    differing: { about: 'Only where something differed, or nothing was answered.' },
  },
  async run(call): Promise<Result> {
    const gateway = call.gateway();
    const { partyOin, schoolOin } = asked(call);
    const { reconciliations, names } = await gateway.ask('listReconciliations', {
      partyOin,
      schoolOin,
      differing: call.has('differing'),
    });
    const json = { reconciliations: reconciliations.map(lineJson) };
    if (reconciliations.length === 0) return { json, text: 'Nothing was compared yet.' };
    const lines = linesTable(reconciliations, names);
    if (partyOin === '' || schoolOin === '') return { json, text: lines, ...said(reconciliations) };
    const differences = await differencesOf(call, partyOin, schoolOin, call.json ? Number.POSITIVE_INFINITY : SHOWN);
    const all = reconciliations.reduce((sum, { reconciliation: of }) => sum + differing(of!), 0);
    const shown = table(
      ['id', 'difference', 'here', 'there', 'since'],
      differences.map(({ key, what, ours, theirs, sinceMs }) => [
        key,
        what,
        ours.join(' '),
        theirs.join(' '),
        dutchTime(sinceMs),
      ]),
    );
    const more = all - differences.length;
    return {
      json: {
        ...json,
        differences: differences.map(({ key, what, ours, theirs, sinceMs }) => ({
          id: key,
          difference: what,
          here: ours[0] ? { state: ours[0], productId: ours[1] ?? '' } : null,
          there: theirs[0] ? { state: theirs[0], productId: theirs[1] || null } : null,
          since: isoTime(sinceMs),
        })),
      },
      text: [
        lines,
        ...(differences.length > 0 ? [shown] : []),
        ...(more > 0 ? [paragraph(`And ${more} more: --json shows those that are kept.`)] : []),
      ].join('\n\n'),
      ...said(reconciliations),
    };
  },
};

async function differencesOf(call: Call, partyOin: string, schoolOin: string, most: number) {
  const gateway = call.gateway();
  return following(call, { words: 'differences read' }, async (progress) => {
    const found = [];
    for (let after = ''; ; ) {
      const limit = Math.min(PAGE, most - found.length);
      const { differences, more } = await gateway.ask('listDifferences', { partyOin, schoolOin, after, limit });
      found.push(...differences);
      progress.set(found.length);
      const last = differences.at(-1);
      if (!more || !last || found.length >= most) return found;
      after = last.key;
    }
  });
}

/** What the party removes itself: nothing that is sent takes away what nobody gave. */
const messageTo = (name: string, schoolOin: string, surplus: number): string =>
  `To ${name}: of school ${isSchoolOin(schoolOin) ? schoolOin.slice(11, 15) : schoolOin} you have ${counted(surplus, 'entitlement')} that the gateway does not have of you. Please look, and remove what is not yours; CompareEntitlements names them.`;

export const mendReconcile: Command = {
  name: 'reconcile mend',
  about: 'Count what sending again mends of what the party lacks or has otherwise; nothing is sent.',
  flags: {
    party: { about: 'The party.', value: 'OIN', check: oin, required: true },
    school: { ...schoolFlag('The school.'), required: true },
  },
  notes: [
    'eduk replay run begins what was counted, at a pace, and eduk replay stop ends it: docs/replay.md. What the party has too much it removes itself; the message to it is written here.',
  ],
  async run(call): Promise<Result> {
    const gateway = call.gateway();
    const { partyOin, schoolOin } = asked(call);
    const { reconciliations, names } = await gateway.ask('listReconciliations', {
      partyOin,
      schoolOin,
      differing: false,
    });
    const [line] = reconciliations.filter(({ reconciliation: of }) => of!.lastMs > 0n);
    if (!line)
      throw new Problem('state.missing', 'This party and school were never compared: eduk reconcile run does it.');
    const { counts } = line.reconciliation!;
    const [missing, surplus, differs] = [n(counts?.missing), n(counts?.surplus), n(counts?.differs)];
    const message = surplus === 0 ? null : messageTo(named(partyOin, names), schoolOin, surplus);
    const parts = [
      list([
        ['compared', dutchTime(line.reconciliation!.lastMs)],
        ['missing there', String(missing)],
        ['otherwise there', String(differs)],
        ['surplus there', String(surplus)],
      ]),
      ...(message === null ? [] : [paragraph(message)]),
    ];
    const json = { reconciliation: lineJson(line), message };
    if (missing + differs === 0)
      return {
        json: { ...json, replay: null },
        text: parts.join('\n\n'),
        said: surplus === 0 ? 'Nothing differs.' : 'Sending again mends nothing here; the party removes it itself.',
      };
    const { jobId, decision } = await gateway.ask('previewReplay', {
      selection: ReplaySelection.fromPartial({ partyOin, schoolOin, reconciled: KIND }),
    });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const job = await follow(call, jobId);
    return {
      json: { ...json, replay: jobJson(job) },
      text: [...parts, countedText(job)].join('\n\n'),
      said:
        job.toSend === 0n
          ? 'There is nothing to send: what was told about it is not kept any more, or waits. The party reads how it stands by ListEntitlements.'
          : `Begin it with eduk replay run ${jobId}. Under the ids that the party knows: one that drops repeats must be told first. Then compare again.`,
    };
  },
};
