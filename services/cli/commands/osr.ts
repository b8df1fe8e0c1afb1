import { readFileSync } from 'node:fs';
import type { PartyName, RegisterLine, SyncRegisterRequest } from '#proto/eduk/operator/v1/operator';
import { RegisterRun } from '#proto/eduk/parties/v1/parties';
import { day, oin, school, schoolNamed } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { counted, isoTime, list, table } from '../print.ts';
import { errorJson, misuse, Problem } from '../problem.ts';
import { following, waiting } from '../progress.ts';
import { services, whoMustAct } from '../words.ts';
import { endpointJson, named } from './mandate.ts';

/** Kinds of lines, in the order of a difference. */
const kinds: Readonly<Record<string, string>> = {
  stop: 'stop',
  run_off: 'run off',
  add: 'add',
  change: 'change',
  refused: 'refused',
  unanswered: 'no answer',
  unmatched_party: 'party unknown',
  unmatched_school: 'school unknown',
  endpoint: 'endpoint left out',
  ended_here: 'ended here',
  covered: 'held already',
};
const order = Object.keys(kinds);
const rank = ({ kind }: RegisterLine): number => (order.indexOf(kind) + order.length + 1) % (order.length + 1);

const lineJson = (line: RegisterLine) => ({
  kind: line.kind,
  schoolOin: line.schoolOin,
  partyOin: line.partyOin || null,
  sourceService: line.sourceService,
  services: line.services.map(services.word),
  mandateId: line.mandateId || null,
  validFrom: line.validFrom || null,
  validUntil: line.validUntil || null,
  runOffUntil: line.runOffUntil || null,
  endpoints: line.endpoints.map(endpointJson),
  code: line.code || null,
  told: line.told || null,
  who: line.who || null,
  applied: line.applied,
});

/** What a line says besides whom it is about. */
function wordsOf(line: RegisterLine): string {
  const days = [
    ...(line.validFrom ? [`from ${line.validFrom}`] : []),
    ...(line.validUntil ? [`until ${line.validUntil}`] : []),
    ...(line.runOffUntil ? [`until ${line.runOffUntil}`] : []),
  ].join(' ');
  return [
    days,
    ...line.endpoints.map(({ routingId, url }) => `${routingId} at ${url}`),
    line.told,
    ...(line.who ? [`${whoMustAct(line.who)} must act`] : []),
  ]
    .filter(Boolean)
    .join('\n');
}

const differenceTable = (lines: readonly RegisterLine[], names: readonly PartyName[]): string =>
  table(
    ['', 'school\nparty', 'services', 'what'],
    lines.map((line) => [
      kinds[line.kind] ?? line.kind,
      [named(line.schoolOin, names), ...(line.partyOin ? [named(line.partyOin, names)] : [])].join('\n'),
      line.services.map(services.word).join(', '),
      wordsOf(line),
    ]),
  );

const reading: Readonly<Record<string, string>> = {
  held: 'held: nothing was changed',
  done: 'done',
};

/** OINs of a file, one a line. */
function inFile(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw misuse(`--schools names a file that cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const wrong = lines.findIndex((line) => school(line) !== undefined);
  if (wrong >= 0) throw misuse(`Line ${wrong + 1} of --schools is no BRIN and no OIN of a school.`);
  return lines;
}

const AT_ONCE = 500;

async function* parts(first: Partial<SyncRegisterRequest>, schools: readonly string[]) {
  yield first;
  for (let i = 0; i < schools.length; i += AT_ONCE) yield { schoolOins: schools.slice(i, i + AT_ONCE) };
}

export const syncOsr: Command = {
  name: 'osr sync',
  about: 'Compare mandates and endpoints of schools with OSR, and take over what it says.',
  flags: {
    school: { about: 'Of these schools; without it all.', value: 'BRIN|OIN', many: true, check: school },
    schools: { about: 'Of the schools in a file, one BRIN or OIN a line.', value: 'FILE' },
    party: { about: 'Of these suppliers; without it all.', value: 'OIN', many: true, check: oin },
    date: { about: 'Reference day (peildatum); another than today only with --dry-run.', value: 'DAY', check: day },
    'dry-run': { about: 'Say what would change, and change nothing.' },
    approve: { about: 'Make the difference that was held under this id, if it is still the same.', value: 'HOLD' },
  },
  notes: [
    'Where OSR is, and which of its services are which here, is set by EDUK_OSR_URL and EDUK_OSR_SERVICES; a gateway with EDUK_OSR_EVERY does this by itself.',
    'Only mandates that were taken from OSR are changed or ended. What would end or add too many of them is held: exit status 1, code hold.pending, and the id to approve.',
    'A question that OSR does not answer changes nothing for its school. Exit status 1 when there was one.',
  ],
  async run(call): Promise<Result> {
    const dryRun = call.has('dry-run');
    const date = call.one('date') ?? '';
    const schools = [...call.all('school'), ...(call.has('schools') ? inFile(call.one('schools')!) : [])].map(
      schoolNamed,
    );
    if (call.has('schools') && schools.length === 0) throw misuse('--schools names a file without a school.');
    const gateway = call.gateway();
    const first = { partyOins: [...call.all('party')], date, dryRun, approve: call.one('approve') ?? '' };
    const answer = await following(call, waiting('Comparing with OSR'), () =>
      gateway.send('syncRegister', parts(first, schools)),
    );
    const lines = [...answer.lines].sort((a, b) => rank(a) - rank(b));
    const run = answer.run ?? RegisterRun.fromPartial({});
    const counts = list([
      ['reference day', answer.date],
      ['schools', run.schools],
      ['as they are', answer.unchanged],
      [dryRun ? 'to add' : 'added', run.added],
      [dryRun ? 'to change' : 'changed', run.changed],
      [dryRun ? 'to end' : 'ended', run.ended],
      ['to look at', run.unmatched],
      ['unanswered', run.unanswered],
      ['state', dryRun ? (run.holdId ? 'would be held' : 'looked at only') : (reading[run.outcome] ?? run.outcome)],
      ['hold', run.holdId],
    ]);
    const json = {
      date: answer.date,
      dryRun,
      outcome: run.outcome,
      at: isoTime(run.atMs),
      holdId: run.holdId || null,
      schools: run.schools,
      unchanged: answer.unchanged,
      added: run.added,
      changed: run.changed,
      ended: run.ended,
      unmatched: run.unmatched,
      unanswered: run.unanswered,
      lines: lines.map(lineJson),
    };
    const text = lines.length === 0 ? counts : `${differenceTable(lines, answer.names)}\n\n${counts}`;
    const problem = problemOf(run, lines, dryRun);
    if (!problem) return { json, text };
    return { json: { error: errorJson(problem), ...json }, text, said: problem.message, exit: 1 };
  },
};

/** What keeps a comparison from being fine. */
function problemOf(run: RegisterRun, lines: readonly RegisterLine[], dryRun: boolean): Problem | undefined {
  if (run.holdId)
    return new Problem(
      'hold.pending',
      `This would end ${counted(run.ended, 'mandate')}, add ${run.added}, and waits: eduk osr sync --approve ${run.holdId}`,
      { who: 'us' },
    );
  if (run.unanswered > 0)
    return new Problem(
      'peer.unavailable',
      `OSR left ${counted(run.unanswered, 'question')} unanswered; the rest ${dryRun ? 'was looked at' : 'was done'}.`,
    );
  const refused = lines.filter(({ kind }) => kind === 'refused').length;
  if (refused > 0)
    return new Problem(
      'party.forbidden',
      `${counted(refused, 'mandate was', 'mandates were')} refused; the rest was done.`,
      { who: 'school' },
    );
  return undefined;
}
