import type { Decision } from '#proto/eduk/core/v1/receipt';
import { schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { readLearners, readPairs } from '../learners.ts';
import { dutchTime, isoTime, table } from '../print.ts';
import { asProblem, type ErrorJson, errorJson, type Problem, refusalIn } from '../problem.ts';
import { following } from '../progress.ts';

/** What came of one line. */
interface Done {
  flowId?: string;
  decision?: Decision | undefined;
  /** For the table. */
  says: string;
  json: object;
}

const FROM_STDIN =
  'Give ECK iDs (URIs) or keys of the administration on standard input, one a line; they are told apart by their form, and not repeated.';

/** Does the same for each line; one that cannot be done does not stop the others. */
export async function each<Line extends { line: number }>(
  call: Call,
  lines: readonly Line[],
  ask: (line: Line) => Promise<Done>,
): Promise<Result> {
  const done: ({ line: number; flowId?: string; error?: ErrorJson } & object)[] = [];
  const rows: [number, string, string][] = [];
  let failed: Problem | undefined;
  const line = async (one: Line): Promise<void> => {
    try {
      const { flowId, decision, says, json } = await ask(one);
      const refusal = refusalIn(decision);
      if (refusal) throw refusal;
      done.push({ line: one.line, ...(flowId === undefined ? {} : { flowId }), ...json });
      rows.push([one.line, says, flowId ?? '']);
    } catch (thrown) {
      const problem = asProblem(thrown);
      // Without a gateway or a token no line can be done.
      if (problem.code === 'peer.unavailable' || problem.code === 'party.unknown') throw problem;
      failed ??= problem;
      done.push({ line: one.line, error: errorJson(problem) });
      rows.push([one.line, `${problem.code}: ${problem.message}`, '']);
    }
  };
  await following(call, { words: 'lines', all: lines.length }, async (progress) => {
    for (const one of lines) {
      await line(one);
      progress.add(1);
    }
  });
  return {
    json: failed ? { error: errorJson(failed), lines: done } : { lines: done },
    text: table(['line', 'outcome', 'flow'], rows),
    exit: failed ? 1 : 0,
  };
}

export const forgetLearners: Command = {
  name: 'learner forget',
  about: 'Forget learners: their identity is destroyed after 72 hours, or at once.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    now: { about: 'At once, without the 72 hours.' },
  },
  notes: [
    FROM_STDIN,
    'More than ten learners of a school in a day, and more than EDUK_HOLD_THRESHOLD_PERCENT of it, wait for approval: eduk hold list.',
    'Until it is destroyed, eduk learner keep takes it back.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const gateway = call.gateway();
    return each(call, await readLearners(call.streams), async ({ learner }) => {
      const { flowId, decision, destroyedMs } = await gateway.ask('forgetLearner', {
        schoolOin,
        learner,
        now: call.has('now'),
      });
      return destroyedMs === 0n
        ? // What is held is no failure of this command.
          { flowId, says: 'held: eduk hold list', json: { destroyed: null, held: true } }
        : {
            flowId,
            decision,
            says: `destroyed by ${dutchTime(destroyedMs)}`,
            json: { destroyed: isoTime(destroyedMs) },
          };
    });
  },
};

export const keepLearners: Command = {
  name: 'learner keep',
  about: 'Take back the forgetting of learners, within the 72 hours: everything about them is open again.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
  },
  notes: [
    FROM_STDIN,
    'Receivers are told of them again as of who comes new: what they had, and results of the last month.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const gateway = call.gateway();
    return each(call, await readLearners(call.streams), async ({ learner }) => {
      const { flowId, decision } = await gateway.ask('keepLearner', { schoolOin, learner });
      return { flowId, decision, says: 'kept', json: { kept: decision?.outcome === 'LearnerKept' } };
    });
  },
};

export const replaceNumbers: Command = {
  name: 'learner replace',
  about: 'Give learners another ECK iD, or another key: they stay the same learners, and are found by both.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
  },
  notes: [
    'Give two ECK iDs, or two keys of the administration, a line on standard input: the one that was, a tab or a semicolon, and the new one. They are not repeated.',
    'Receivers are shown the new ECK iD, but the key that they were shown first. The other way round takes an ECK iD back; a key stays the learner’s too.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const gateway = call.gateway();
    return each(call, await readPairs(call.streams), async ({ before, after }) => {
      const { changed } = await gateway.ask('replaceNumber', { schoolOin, before, after });
      return { says: changed ? 'replaced' : 'it was so', json: { changed } };
    });
  },
};
