/** A school goes to another board, or its learners to another school. */
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type {
  PartyName,
  PreviewSchoolChangeResponse,
  SchoolChangeAsked,
  TransferLine,
} from '#proto/eduk/operator/v1/operator';
import type { SchoolChange } from '#proto/eduk/rosters/v1/rosters';
import { day, oin, schoolFlag, siteCode } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { readLearners } from '../learners.ts';
import { dutchTime, isoTime, list, table } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';
import { services } from '../words.ts';
import { mandateJson, named } from './mandate.ts';

const outcomes: Readonly<Record<string, string>> = {
  ends: 'ends: the board before gave it',
  stays: 'stays: the school’s own',
  lacks: 'to arrange: the new board gives it for its other schools',
};

const lineJson = ({ outcome, mandate, covered }: TransferLine) => ({
  outcome,
  mandate: mandate ? mandateJson(mandate) : null,
  covered,
});

const lineTable = (lines: readonly TransferLine[], names: readonly PartyName[]): string =>
  lines.length === 0
    ? 'It has no mandates.'
    : table(
        ['party', 'services', 'what comes of it', 'mandate'],
        lines.map(({ outcome, mandate, covered }) => [
          named(mandate!.partyOin, names),
          mandate!.services.map(services.word).join(', '),
          `${outcomes[outcome] ?? outcome}${outcome === 'ends' && !covered ? '\nnobody gives it yet' : ''}`,
          mandate!.mandateId,
        ]),
      );

export const transferSchool: Command = {
  name: 'school transfer',
  about: 'A school goes to another board: say what comes of its mandates; with --apply let it go.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    board: { about: 'The new board, which is registered.', value: 'OIN', required: true, check: oin },
    'run-off-until': {
      about: 'Last day of what the board before gave; without it 30 days from now.',
      value: 'DAY',
      check: day,
    },
    apply: { about: 'Let what the board before gave run off, and the school have the new board.' },
  },
  notes: [
    'The school stays the school: its OIN, its people, their rights and results stay as they are. Who is in it does not change.',
    'Mandates do not travel by themselves: what the new board gives for its other schools it gives for this one anew, or the school does.',
    'Without --apply nothing is changed. The same transfer applied again changes nothing.',
  ],
  async run(call): Promise<Result> {
    const apply = call.has('apply');
    const asked = {
      schoolOin: call.one('school')!,
      boardOin: call.one('board')!,
      runOffUntil: call.one('run-off-until') ?? '',
      apply,
    };
    const done = await call.gateway().ask('transferSchool', asked, 60_000);
    const refusal = refusalIn(done.decision);
    if (refusal) throw refusal;
    const { names, lines, beforeOin, runOffUntil, flowIds } = done;
    const name = (of: string) => (of === '' ? 'none' : named(of, names).replace('\n', ', '));
    return {
      json: {
        schoolOin: asked.schoolOin,
        boardOin: asked.boardOin,
        beforeOin: beforeOin || null,
        runOffUntil,
        applied: apply,
        lines: lines.map(lineJson),
        flowIds,
      },
      text: [
        list([
          ['school', name(asked.schoolOin)],
          ['board before', name(beforeOin)],
          [apply ? 'board now' : 'new board', name(asked.boardOin)],
          ['last day of what ends', runOffUntil],
        ]),
        '',
        lineTable(lines, names),
      ].join('\n'),
      ...(apply ? {} : { said: 'Nothing was changed; --apply lets the school go.' }),
    };
  },
};

const askedOf = (call: Call, whole: boolean, learners: readonly LearnerRef[]): SchoolChangeAsked => ({
  schoolOin: call.one('school')!,
  toSchoolOin: call.one('to')!,
  onDay: call.one('on')!,
  whole,
  siteCodes: whole ? [] : [...call.all('site')],
  yearGroups: whole ? [] : [...call.all('year-group')],
  learners: [...learners],
});

const previewText = (asked: SchoolChangeAsked, seen: PreviewSchoolChangeResponse): string => {
  const { names } = seen;
  const name = (of: string) => named(of, names).replace('\n', ', ');
  const sum = seen.learners.reduce((all, one) => all + one.learners, 0);
  return [
    list([
      ['they leave', name(asked.schoolOin)],
      ['they go on at', name(asked.toSchoolOin)],
      ['first day there', asked.onDay],
      ['from rosters of', seen.schoolYear || 'none'],
      ['to rosters of', seen.toSchoolYear],
      ['learners', sum],
      ...seen.learners.map((one): [string, number] => [`  year group ${one.yearGroup || '(none)'}`, one.learners]),
      ['known there already', seen.known],
      ['stay: no ECK iD, or one that is doubtful there', seen.staying],
      ...(asked.learners.length > 0 ? [['of the list, in no roster of then', seen.unknown] as [string, number]] : []),
      ['results, which stay', Number(seen.results)],
      ['check', seen.check],
    ]),
    ...(seen.rights.length === 0
      ? []
      : [
          '',
          table(
            ['product', 'seller', 'personal, to be given anew', 'counted, which return'],
            seen.rights.map((one) => [
              one.productId === '' ? 'sensitive titles' : [one.title, one.productId].filter(Boolean).join('\n'),
              named(one.sellerOin, names),
              one.personal,
              one.counted,
            ]),
          ),
        ]),
    ...(seen.parties.length === 0
      ? []
      : [
          '',
          table(
            ['party', 'may have here', 'not there'],
            seen.parties.map(({ partyOin, had, has }) => [
              named(partyOin, names),
              had.map(services.word).join(', '),
              had
                .filter((one) => !has.includes(one))
                .map(services.word)
                .join(', '),
            ]),
          ),
        ]),
  ].join('\n');
};

async function change(call: Call, whole: boolean, learners: readonly LearnerRef[]): Promise<Result> {
  const gateway = call.gateway();
  const asked = askedOf(call, whole, learners);
  const check = call.one('confirm');
  const seen = await gateway.ask('previewSchoolChange', { asked }, 120_000);
  const json = {
    schoolOin: asked.schoolOin,
    toSchoolOin: asked.toSchoolOin,
    onDay: asked.onDay,
    schoolYear: seen.schoolYear || null,
    toSchoolYear: seen.toSchoolYear,
    learners: seen.learners.map(({ yearGroup, learners: of }) => ({ yearGroup, learners: of })),
    known: seen.known,
    staying: seen.staying,
    unknown: seen.unknown,
    rights: seen.rights.map(({ productId, title, sellerOin, personal, counted }) => ({
      productId: productId || null,
      title: title || null,
      sellerOin,
      personal,
      counted,
    })),
    parties: seen.parties.map(({ partyOin, had, has }) => ({
      partyOin,
      had: had.map(services.word),
      has: has.map(services.word),
    })),
    results: Number(seen.results),
    check: seen.check,
  };
  const text = previewText(asked, seen);
  if (check === undefined)
    return {
      json: { asked: false, ...json },
      text,
      said: `Nothing was done. With --confirm ${seen.check} it is asked for.`,
    };
  const { changeId, flowId, decision } = await gateway.ask('changeSchool', { asked, check }, 120_000);
  const isHeld = decision?.outcome === 'SchoolChangeHeld';
  const refusal = isHeld ? undefined : refusalIn(decision);
  if (refusal) throw refusal;
  return {
    json: { asked: true, changeId: changeId || null, held: isHeld, flowId, ...json },
    text,
    said: isHeld
      ? `It waits for another person: eduk hold approve ${changeId}`
      : `It stands already, or is not decided yet: eduk school changes, eduk flow show ${flowId}`,
  };
}

const flags = {
  school: { ...schoolFlag('The school that they leave.'), required: true },
  to: { ...schoolFlag('The school where they go on; it is known here.'), required: true },
  on: { about: 'First Dutch day there; today or later.', value: 'DAY', required: true, check: day },
  confirm: { about: 'The check that was shown with the numbers; without it nothing is done.', value: 'CHECK' },
} as const;

export const mergeSchool: Command = {
  name: 'school merge',
  about: 'All learners of a school go on at another from a day on; say first what that comes to.',
  flags,
  notes: [
    'A second person approves it with eduk hold approve; until its day eduk school undo takes it back.',
    'There they are other learners to everybody: nothing that receivers are given says who was who. Mandates, results, staff and groups do not travel.',
    'Who gave a personal licence is told, to give it anew there; what was taken from a count returns to it.',
    'Who has no ECK iD stays, until a roster says otherwise. For more schools, a command for each.',
  ],
  run: (call) => change(call, true, []),
};

export const splitSchool: Command = {
  name: 'school split',
  about: 'Some learners of a school go on at another from a day on: of sites, of year groups, or of a list.',
  flags: {
    ...flags,
    site: { about: 'Of this site (dependancecode).', value: 'CODE', many: true, check: siteCode },
    'year-group': { about: 'Of this year group, as rosters name it.', value: 'YEARGROUP', many: true },
    list: { about: 'Of these: ECK iDs or keys on standard input, one a line. They are not repeated.' },
  },
  notes: ['Sites, year groups and a list go together: who is of each goes. All else is as with eduk school merge.'],
  async run(call): Promise<Result> {
    const learners = call.has('list') ? (await readLearners(call.streams)).map(({ learner }) => learner) : [];
    if (call.all('site').length + call.all('year-group').length + learners.length === 0)
      throw misuse('Say who goes: --site, --year-group or --list. For all of them: eduk school merge.');
    return change(call, false, learners);
  },
};

const states: Readonly<Record<string, string>> = {
  held: 'waits for a second person',
  planned: 'comes on its day',
  under_way: 'under way',
  done: 'done',
  undone: 'taken back',
  rejected: 'rejected',
};

const whoOf = ({ whole, siteCodes, yearGroups, listed }: SchoolChange): string =>
  whole
    ? 'everybody'
    : [
        siteCodes.length > 0 ? `sites ${siteCodes.join(', ')}` : '',
        yearGroups.length > 0 ? `year groups ${yearGroups.join(', ')}` : '',
        listed > 0 ? `a list of ${listed}` : '',
      ]
        .filter(Boolean)
        .join('; ');

export const listChanges: Command = {
  name: 'school changes',
  about: 'List changes of schools, who goes where and when, and how far they are.',
  flags: { school: schoolFlag('Only those of which this is one of the two schools.') },
  async run(call): Promise<Result> {
    const { changes, names } = await call.gateway().ask('listSchoolChanges', { schoolOin: call.one('school') ?? '' });
    return {
      json: changes.map(({ atMs, frozenUntilMs, ...one }) => ({
        ...one,
        at: isoTime(atMs),
        frozenUntil: isoTime(frozenUntilMs),
      })),
      text:
        changes.length === 0
          ? 'None.'
          : table(
              ['change', 'they leave', 'they go on at', 'from', 'who', 'state', 'gone', 'stay', 'to go'],
              changes.map((one) => [
                one.changeId,
                named(one.schoolOin, names),
                named(one.toSchoolOin, names),
                one.onDay,
                whoOf(one),
                `${states[one.state] ?? one.state}${one.frozenUntilMs > 0n ? `\nfrozen until ${dutchTime(one.frozenUntilMs)}` : ''}`,
                one.went,
                one.stayed,
                one.waiting,
              ]),
            ),
    };
  },
};

export const undoChange: Command = {
  name: 'school undo',
  about: 'Take a change of schools back, until its day.',
  arguments: [{ name: 'CHANGE', about: 'Its id, as eduk school changes shows it.' }],
  notes: ['Once its day has come, have those who should not have gone go back: eduk school split --list.'],
  async run(call): Promise<Result> {
    const changeId = call.args('CHANGE')[0]!;
    const { flowId, decision } = await call.gateway().ask('undoSchoolChange', { changeId });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return { json: { changeId, flowId }, text: 'It is taken back; nobody went.' };
  },
};
