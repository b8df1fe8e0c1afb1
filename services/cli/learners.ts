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

/** Two numbers of one learner, by the number of their line. */
export interface NumberPair {
  line: number;
  before: LearnerRef;
  after: LearnerRef;
}

const refOf = (value: string): LearnerRef =>
  /^https?:/i.test(value) ? { eckId: value, lasKey: '' } : { eckId: '', lasKey: value };

/** Two identifiers a line, parted by a tab or a semicolon: the one that was, and the one that takes its place. */
export async function readPairs(streams: Streams, what = 'two ECK iDs or two keys'): Promise<NumberPair[]> {
  const { err, stdin } = streams;
  if (stdin.isTTY) err(`Give ${what} a line, the one that was first, with a ; between; end with Ctrl-D.\n`);
  const pairs: NumberPair[] = [];
  for await (const { line, value } of valuesOf(streams)) {
    if (pairs.length === MOST) throw misuse(`At most ${MOST} learners at once.`);
    // As spreadsheets write them, with quotes or without.
    const [before = '', after = '', ...more] = value.split(/[\t;]/).map((part) =>
      part
        .trim()
        .replace(/^"(.*)"$/, '$1')
        .trim(),
    );
    if (before === '' || after === '' || more.length > 0)
      throw misuse(`Line ${line} of standard input does not hold two numbers, with a tab or a semicolon between.`);
    pairs.push({ line, before: refOf(before), after: refOf(after) });
  }
  if (pairs.length === 0) throw misuse('Standard input holds no two numbers.');
  return pairs;
}

async function* valuesOf({ stdin }: Streams): AsyncGenerator<{ line: number; value: string }> {
  let line = 0;
  for await (const text of createInterface({ input: stdin, crlfDelay: Infinity })) {
    line++;
    const value = text.replace(/^\ufeff/, '').trim();
    if (value !== '') yield { line, value };
  }
}

/** Tokens of learners, one a line. */
export async function readTokens(streams: Streams): Promise<string[]> {
  const { stdin, err } = streams;
  if (stdin.isTTY) err('Give tokens of learners (lt_…), one a line; end with Ctrl-D.\n');
  const found: string[] = [];
  for await (const { line, value } of valuesOf(streams)) {
    if (found.length === MOST) throw misuse(`At most ${MOST} learners at once.`);
    // Who puts a name or number here is told so before it goes anywhere.
    if (!/^lt_[a-z2-7]{1,61}$/.test(value))
      throw misuse(`Line ${line} of standard input is no token of a learner (lt_…).`);
    found.push(value);
  }
  if (found.length === 0)
    throw misuse('Standard input holds no token: give tokens of learners (lt_…), one a line, or --flow.');
  return found;
}

/** Identifiers, one a line: an ECK iD is a URI, anything else a key of the administration. */
export async function readLearners(streams: Streams): Promise<LearnerLine[]> {
  const { stdin, err } = streams;
  if (stdin.isTTY) err('Give ECK iDs or keys of the administration, one a line; end with Ctrl-D.\n');
  const found: LearnerLine[] = [];
  for await (const { line, value } of valuesOf(streams)) {
    if (found.length === MOST) throw misuse(`At most ${MOST} learners at once.`);
    found.push({ line, learner: refOf(value) });
  }
  if (found.length === 0)
    throw misuse('Standard input holds no learner: give ECK iDs or keys of the administration, one a line.');
  return found;
}
