import { createInterface } from 'node:readline';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { Streams } from './command.ts';
import { misuse } from './problem.ts';

/** A learner on standard input, by the number of the line: what stands there is never printed. */
export interface LearnerLine {
  line: number;
  learner: LearnerRef;
}

/** More is a roster, not a question. */
const MOST = 10_000;

/** Identifiers, one a line: an ECK iD is a URI, anything else a key of the administration. */
export async function readLearners({ stdin, err }: Streams): Promise<LearnerLine[]> {
  if (stdin.isTTY) err('Give ECK iDs or keys of the administration, one a line; end with Ctrl-D.\n');
  const found: LearnerLine[] = [];
  let line = 0;
  for await (const text of createInterface({ input: stdin, crlfDelay: Infinity })) {
    line++;
    const value = text.replace(/^\ufeff/, '').trim();
    if (value === '') continue;
    if (found.length === MOST) throw misuse(`At most ${MOST} learners at once.`);
    found.push({
      line,
      learner: /^https?:/i.test(value) ? { eckId: value, lasKey: '' } : { eckId: '', lasKey: value },
    });
  }
  if (found.length === 0)
    throw misuse('Standard input holds no learner: give ECK iDs or keys of the administration, one a line.');
  return found;
}
