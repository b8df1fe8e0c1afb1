/** What a change lets go, or sends elsewhere, of what stands: told before it is made, asked about on a terminal, said afterwards. */
import { createInterface } from 'node:readline/promises';
import type { GoingMail } from '#proto/eduk/delivery/v1/delivery';
import type { PreviewWithheldResponse } from '#proto/eduk/operator/v1/operator';
import type { Call, Flag, Result } from './command.ts';
import { counted, dutchTime, isoTime, table } from './print.ts';
import { asProblem, Problem } from './problem.ts';
import { mailboxWord } from './words.ts';

/** Of every command that lets mail go. */
export const goingFlags = {
  preview: { about: 'Only say what it would let go of what stands now; nothing is changed.' },
  yes: { about: 'On a terminal: do not ask.' },
} as const satisfies Record<string, Flag>;

export const UNCHANGED = 'Nothing was changed.';

export const goingJson = (going: readonly GoingMail[], uncounted = false) =>
  going.length === 0
    ? uncounted
      ? { uncounted }
      : {}
    : {
        going: going.map(({ service, standard, messages, staying, more, oldestMs, schools }) => ({
          service: mailboxWord(service),
          standard: standard || null,
          messages: Number(messages),
          staying: Number(staying),
          more,
          oldest: isoTime(oldestMs),
          ...(schools > 0 ? { schools } : {}),
        })),
      };

export const goingTable = (going: readonly GoingMail[]): string => {
  const stays = going.some(({ staying }) => staying > 0n);
  const ofSchools = going.some(({ schools }) => schools > 0);
  return table(
    ['mail of', 'goes by', 'messages', ...(stays ? ['parked'] : []), ...(ofSchools ? ['schools'] : []), 'oldest'],
    going.map(({ service, standard, messages, staying, more, oldestMs, schools }) => [
      mailboxWord(service),
      standard || 'who watches',
      `${more ? 'about ' : ''}${messages}`,
      ...(stays ? [`${staying}`] : []),
      ...(ofSchools ? [schools > 0 ? `${schools}` : ''] : []),
      dutchTime(oldestMs),
    ]),
  );
};

export const LET_GO = 'Let go, in order';

/** What withheld mail would go; nothing is changed. */
export const withheldShown = ({ going, unconfirmed }: PreviewWithheldResponse): Result => ({
  json: { going: [], ...goingJson(going), unconfirmed },
  text: going.length === 0 ? 'Nothing that is withheld would go by it.' : goingTable(going),
  said: `${unconfirmed ? 'It would not hold yet: school and party both have to give their word. ' : ''}${UNCHANGED}`,
});

/** Instead of what a change let go, where nobody could count it. */
export const UNCOUNTED =
  'What it comes to could not be counted: who keeps that did not answer. eduk doctor says who is away.';

const oldestOf = (going: readonly GoingMail[]): bigint =>
  going.map(({ oldestMs }) => oldestMs).reduce((a, b) => (b > 0n && (a === 0n || b < a) ? b : a), 0n);

/** In one sentence, which `how` begins; empty = nothing goes. */
export function goingSaid(going: readonly GoingMail[], how: string): string {
  if (going.length === 0) return '';
  const messages = going.reduce((sum, one) => sum + Number(one.messages), 0);
  const staying = going.reduce((sum, one) => sum + Number(one.staying), 0);
  const about = going.some(({ more }) => more) ? 'about ' : '';
  const oldest = oldestOf(going);
  const parked = `${counted(staying, 'message')} that ${staying === 1 ? 'is' : 'are'} parked or withheld, once let go`;
  const all = [
    ...(messages > 0 ? [`${counted(messages, 'message')} of before`] : []),
    ...(staying > 0 ? [parked] : []),
  ].join(', and ');
  return `${how}: ${about}${all}${oldest > 0n ? `; the oldest of ${dutchTime(oldest)}` : ''}.`;
}

/** On a terminal shows what would go, where there is any, and asks. Throws where the answer is no. */
export async function agreed(call: Call, preview: () => Promise<readonly GoingMail[]>): Promise<void> {
  if (!asks(call)) return;
  const going = await previewed(preview);
  if (going === undefined) await sure(call, UNCOUNTED);
  else if (going.length > 0) await sure(call, goingTable(going));
}

/** What a change comes to, to ask by; undefined = who keeps that does not answer, which keeps nobody from the change. */
export async function previewed<T>(preview: () => Promise<T>): Promise<T | undefined> {
  try {
    return await preview();
  } catch (thrown) {
    // A `Problem` already: no gateway was reached.
    if (thrown instanceof Problem || !/^(peer|gateway)\./.test(asProblem(thrown).code)) throw thrown;
    return undefined;
  }
}

/** Whether somebody is there to be asked. */
export const asks = (call: Call): boolean => call.streams.stdin.isTTY === true && !call.json && !call.has('yes');

/** Shows what a change comes to and asks. Throws where the answer is no. */
export async function sure(call: Call, shown: string): Promise<void> {
  const answer = await answerTo(call, `${shown}\n\nGo on? yes; else nothing changes: `);
  if (answer !== 'yes' && answer !== 'y') throw new Problem('wire.invalid', UNCHANGED, { exit: 2 });
}

/** One line from the terminal, without spaces around it. */
export async function answerTo(call: Call, question: string): Promise<string> {
  const { stdin, err } = call.streams;
  err(question);
  const lines = createInterface({ input: stdin });
  const { value = '' } = await lines[Symbol.asyncIterator]().next();
  lines.close();
  return String(value).trim();
}
