import type { PreviewTurnResponse as Turn } from '#proto/eduk/rosters/v1/rosters';
import { day, schoolFlag, schoolYear } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { list, table } from '../print.ts';
import { errorJson, misuse, refusalIn } from '../problem.ts';

/** Why a school does not go on by itself. */
export const waits: Readonly<Record<string, string>> = {
  no_roster: 'no roster for that year came',
  held: 'a roster for that year waits for approval (eduk hold list)',
  cut_off: 'the roster of the year to come has less than half of the learners of this one',
  leaves_out_site: 'a site of this year has no roster for the year to come',
};

/** `612 → 598: 540 stay, 58 are new, 72 are not in the year to come`. */
function counts(before: number, after: number, stay: number): string {
  return `${before} → ${after}: ${stay} in both, ${after - stay} new, ${before - stay} in this year only`;
}

const comes = ({ onDay, planned }: Turn): string =>
  onDay === '' ? '' : `${onDay}${planned ? ', chosen for this school' : ', as of every school'}`;

export const turnYear: Command = {
  name: 'roster turn',
  about: 'Say what it comes to when a school goes on to another school year; with --apply let it.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    schooljaar: {
      about: 'The year to go on to; without it the one after that in which the school is.',
      value: 'YEAR',
      check: schoolYear,
    },
    on: { about: 'With --apply: first Dutch day of it, instead of now.', value: 'DAY', check: day },
    apply: { about: 'Let the school go on to it.' },
  },
  notes: [
    'Without --apply nothing is changed. Rosters of both years stay: nobody leaves by the turn, and no licence ends before its day.',
    'Without a turn of its own a school goes on to the next year on 1 August, or when its roster comes after that.',
    'A turn is taken back with --schooljaar and the year before, until 31 July.',
    'Counts only: no learner is named.',
  ],
  async run(call): Promise<Result> {
    if (call.has('on') && !call.has('apply')) throw misuse('--on goes with --apply.');
    const asked = { schoolOin: call.one('school')!, schoolYear: call.one('schooljaar') ?? '' };
    const { schoolName, turn: given } = await call.gateway().ask('previewTurn', asked);
    const turn = given!;
    const { learnersBefore, learnersAfter, learnersStay, groupsBefore, groupsAfter, groupsStay, ...staff } =
      turn.difference!;
    /** Once it was asked, what stood before it says nothing any more. */
    const facts = (chosen?: string) =>
      list([
        ['school', [schoolName, asked.schoolOin].filter(Boolean).join(', ')],
        ['is in', turn.running],
        ['goes on to', turn.schoolYear],
        ['learners', counts(learnersBefore, learnersAfter, learnersStay)],
        ['groups', counts(groupsBefore, groupsAfter, groupsStay)],
        ['staff', counts(staff.staffBefore, staff.staffAfter, staff.staffStay)],
        ['by itself on', chosen === undefined ? comes(turn) : chosen && `${chosen}, chosen for this school`],
        ['but waits, because', chosen === '' ? '' : (waits[turn.waits] ?? turn.waits)],
        ['refused now, because', chosen === undefined ? turn.told : ''],
      ]);
    const bySite =
      turn.sites.length === 0
        ? []
        : [
            table(
              ['site', turn.running, turn.schoolYear],
              turn.sites.map(({ siteCode, before, after }) => [siteCode, String(before), String(after)]),
            ),
          ];
    const json = {
      schoolOin: asked.schoolOin,
      running: turn.running,
      schoolYear: turn.schoolYear,
      difference: turn.difference!,
      sites: turn.sites,
      onDay: turn.onDay || null,
      planned: turn.planned,
      waits: turn.waits || null,
      refused: turn.code || null,
    };
    const text = [facts(), ...bySite].join('\n\n');
    if (!call.has('apply'))
      return {
        json: { ...json, applied: false, flowId: null },
        text,
        said: 'Nothing was changed; --apply lets the school go on to this year.',
      };
    const onDay = call.one('on') ?? '';
    const done = await call
      .gateway()
      .ask('turnYear', { schoolOin: asked.schoolOin, schoolYear: turn.schoolYear, onDay }, 60_000);
    const refusal = refusalIn(done.decision);
    const all = { ...json, applied: !refusal, flowId: done.flowId };
    if (refusal) return { json: { error: errorJson(refusal), ...all }, text, said: refusal.message, exit: 1 };
    if (!done.decision?.outcome)
      return {
        json: { ...all, applied: false },
        text,
        said: `Accepted, not decided yet; follow it with eduk flow show ${done.flowId}`,
      };
    return {
      // The day stands as it was asked for.
      json: { ...all, onDay: onDay || all.onDay, planned: onDay !== '', refused: null },
      text: [facts(onDay), ...bySite].join('\n\n'),
      said:
        onDay === ''
          ? `The school is in ${turn.schoolYear} now.`
          : `The school goes on to ${turn.schoolYear} on ${onDay}.`,
    };
  },
};
