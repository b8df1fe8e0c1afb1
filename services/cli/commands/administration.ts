import type { LearnerHas } from '#proto/eduk/operator/v1/operator';
import { schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { readPairs } from '../learners.ts';
import { counted, dutchTime, isoTime, list, table } from '../print.ts';
import { misuse } from '../problem.ts';
import { each } from './learner.ts';

/** Why a line is left as it is. */
const LEFT: Readonly<Record<string, string>> = {
  unknown: 'nobody at the school has this ECK iD',
  taken: 'the key is another learner’s, or a number stands twice',
};

export const mapKeys: Command = {
  name: 'learner map',
  about: 'A school goes to another administration: say whom its keys name; with --apply take them in.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    apply: { about: 'Have the keys lead to the learners whose ECK iD stands beside them.' },
  },
  notes: [
    'Give the whole school on standard input, a learner a line: the ECK iD, a tab or a semicolon, and the key in the new administration. They are not repeated.',
    'Without --apply nothing is changed. Do it before the first roster of the new administration; the same list given again changes nothing.',
    'Receivers go on being shown the key that they know. Nobody is made: a line that names nobody is left, by its number. Who had only a key: eduk learner replace.',
    'A key that was taken in leads to its learner for good.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const apply = call.has('apply');
    const pairs = await readPairs(call.streams, 'an ECK iD and a key');
    for (const { line, before, after } of pairs)
      if (before.eckId === '' || after.lasKey === '')
        throw misuse(`Line ${line} of standard input does not hold an ECK iD (a URI) and then a key.`);
    const learners = pairs.map(({ before, after }) => ({ eckId: before.eckId, lasKey: after.lasKey }));
    const { outcomes, maps, known, unknown, taken, unnamed, unnamedByYearGroup } = await call
      .gateway()
      .ask('mapKeys', { schoolOin, learners, apply }, 60_000);
    const left = pairs.flatMap(({ line }, i) => (LEFT[outcomes[i]!] ? [{ line, outcome: outcomes[i]! }] : []));
    const groups = unnamedByYearGroup.map(({ yearGroup, learners: of }) => ({ yearGroup, learners: of }));
    const counts: [string, string | number][] = [
      [apply ? 'lead to their learner now' : 'would lead to their learner', maps],
      ['did already', known],
      ['name nobody here', unknown],
      ['are another’s, or stand twice', taken],
      ['learners in rosters that no line names', unnamed],
      ...groups.map((one): [string, number] => [`  year group ${one.yearGroup || '(none)'}`, one.learners]),
    ];
    return {
      json: { applied: apply, maps, known, unknown, taken, left, unnamed, unnamedByYearGroup: groups },
      text: [
        list(counts),
        ...(left.length === 0
          ? []
          : [
              '',
              table(
                ['line', 'left as it is'],
                left.map(({ line, outcome }) => [line, LEFT[outcome]!]),
              ),
            ]),
      ].join('\n'),
      ...(apply ? {} : { said: 'Nothing was changed; --apply takes these keys in.' }),
      exit: apply && left.length > 0 ? 1 : 0,
    };
  },
};

const says: Readonly<Record<string, string>> = {
  merges: 'would become one',
  merged: 'are one learner',
  parts: 'would become two again',
  parted: 'are two learners',
};

const has = (what: LearnerHas | undefined) =>
  what && {
    schoolYears: what.schoolYears,
    entitlements: what.entitlements,
    results: what.results,
  };
const hasWords = (what: LearnerHas | undefined): string =>
  what
    ? `${counted(what.entitlements, 'entitlement')}, ${counted(what.results, 'result')}, in rosters of ${what.schoolYears.join(' and ') || 'no year'}`
    : '';

export const mergeLearners: Command = {
  name: 'learner merge',
  about: 'Say what it comes to that two learners are one; with --apply ask for it, or undo it.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    apply: { about: 'Ask for it: it waits until another person approves it.' },
    undo: { about: 'They are two after all: within 30 days, at once.' },
  },
  notes: [
    'Give two learners of the school a line on standard input, each by ECK iD or key, a tab or a semicolon between: first the one that stays as it is shown. They are not repeated.',
    'Entitlements, results, launches and mail of both are those of the first from then on. A second person approves it with eduk hold approve.',
    'Undone, each has what it had; what came meanwhile stays with the first.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const [apply, undo] = [call.has('apply'), call.has('undo')];
    const gateway = call.gateway();
    return each(call, await readPairs(call.streams, 'two learners'), async ({ before: winner, after: loser }) => {
      const done = await gateway.ask('mergeLearners', { schoolOin, winner, loser, apply, undo });
      const { outcome, flowId, decision, holdId, undoUntilMs } = done;
      const isHeld = decision?.outcome === 'LearnersMergeHeld';
      const isUndone = decision?.outcome === 'LearnersMergeUndone';
      const until = undoUntilMs > 0n && !isUndone ? `; can be undone until ${dutchTime(undoUntilMs)}` : '';
      const word = isHeld ? `held: eduk hold approve ${holdId}` : isUndone ? says['parted']! : says[outcome]!;
      return {
        // What is held is no failure of this command.
        ...(flowId === '' ? {} : { flowId }),
        ...(isHeld ? {} : { decision }),
        says: [
          `${word}${until}`,
          `the first: ${hasWords(done.winner)}`,
          done.loser ? `the second: ${hasWords(done.loser)}` : '',
        ]
          .filter(Boolean)
          .join('; '),
        json: {
          outcome: isUndone ? 'parted' : outcome,
          held: isHeld,
          holdId: holdId || null,
          undoUntil: isoTime(undoUntilMs),
          first: has(done.winner) ?? null,
          second: has(done.loser) ?? null,
        },
      };
    });
  },
};
