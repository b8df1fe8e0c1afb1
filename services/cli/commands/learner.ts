import { schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { readLearners } from '../learners.ts';
import { dutchTime, isoTime, table } from '../print.ts';
import { asProblem, type ErrorJson, errorJson, type Problem, refusalIn } from '../problem.ts';

export const forgetLearners: Command = {
  name: 'learner forget',
  about: 'Forget learners: their identity is destroyed after 72 hours, or at once.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    now: { about: 'At once, without the 72 hours.' },
  },
  notes: [
    'Give ECK iDs (URIs) or keys of the administration on standard input, one a line; they are told apart by their form, and not repeated.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const lines = await readLearners(call.streams);
    const gateway = call.gateway();
    const done: { line: number; flowId?: string; destroyed?: string | null; error?: ErrorJson }[] = [];
    const rows: [number, string, string][] = [];
    let failed: Problem | undefined;
    for (const { line, learner } of lines)
      try {
        const { flowId, decision, destroyedMs } = await gateway.ask('forgetLearner', {
          schoolOin,
          learner,
          now: call.has('now'),
        });
        const refusal = refusalIn(decision);
        if (refusal) throw refusal;
        done.push({ line, flowId, destroyed: isoTime(destroyedMs) });
        rows.push([line, `destroyed ${dutchTime(destroyedMs)}`, flowId]);
      } catch (thrown) {
        const problem = asProblem(thrown);
        // Without a gateway or a token no line can be done.
        if (problem.code === 'peer.unavailable' || problem.code === 'party.unknown') throw problem;
        failed ??= problem;
        done.push({ line, error: errorJson(problem) });
        rows.push([line, `${problem.code}: ${problem.message}`, '']);
      }
    return {
      json: failed ? { error: errorJson(failed), lines: done } : { lines: done },
      text: table(['line', 'outcome', 'flow'], rows),
      exit: failed ? 1 : 0,
    };
  },
};
